//! Values that keep to a bound: a rule that is left out for it must be one that finds nothing.

use std::{
    cell::RefCell,
    sync::{Arc, LazyLock},
};

use bartizan_pattern::{
    alphabet::{Alphabet, Bound},
    body::{self, BodyLimits, Buffers},
};
use bartizan_waf::engine::{
    Context, Inspection, Place, Program, Proved, ProvedBody, RequestHead, Tuning, Worker,
};

use crate::exchanges;

/// What values are made of: the kinds that contracts prove, and worse ones, of which rules find much; how long they are, and in
/// which form they are written, where they have one.
const KINDS: [(&str, u32, &str); 29] = [
    ("0123456789+-.eE", Bound::ENDLESS, ""),
    ("0123456789-.", 9, ""),
    ("0123456789-.", 40, ""),
    ("truefals", 5, ""),
    ("nul", 4, ""),
    ("0123456789abcdefABCDEF-", 36, "xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx"),
    ("0123456789-", 10, "xxxx-xx-xx"),
    ("0123456789-:.+TtZz ", Bound::ENDLESS, "xxxx-xx-xx"),
    ("0123456789-:.TtZz", 30, "xxxx-xx-xxTxx:xx:xx.xxxxxxxxxZ"),
    ("0123456789.", 15, "xxx.xxx.xxx.xxx"),
    ("0123456789abcdefABCDEF:.", 45, ""),
    ("0123456789", 20, ""),
    ("ABCDEFGHIJKLMNOPQRSTUVWXYZ", 3, ""),
    ("abcdefghijklmnopqrstuvwxyz", 12, ""),
    ("abcdefghijklmnopqrstuvwxyz-", Bound::ENDLESS, ""),
    ("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-", 64, ""),
    ("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789+/=", Bound::ENDLESS, ""),
    ("abcdefghijklmnopqrstuvwxyz0123456789@._-+", 80, ""),
    ("ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789 ", 34, ""),
    ("+0123456789 ()", 20, ""),
    ("selctuniofrmwhdp (),*", 40, ""),
    ("scriptaleonx<>/=()", 60, ""),
    ("'\"-#;/* =01or", 24, ""),
    ("./\\etcpaswdinw", 40, ""),
    ("|&;$`(){}catlsid /", 40, ""),
    ("%0123456789abcdef", 60, ""),
    ("&#x;0123456789abcdefltg", 60, ""),
    ("\\ux0123456789abcdef", 60, ""),
    ("", 0, ""),
];

fn bounds() -> Vec<Bound> {
    let bound = |(text, longest, form): &(&str, u32, &str)| {
        let bound = Bound::new(Alphabet::of(text.as_bytes()).unwrap(), *longest);
        let start = form.find(|letter: char| !letter.is_alphanumeric()).unwrap_or(form.len());
        match form.is_empty() {
            true => Bound { dashes_apart: text.len() < 13 && text.contains("-."), ..bound },
            false => Bound {
                shortest: u32::try_from(form.len()).unwrap().min(*longest),
                start: u32::try_from(start).unwrap(),
                dashes_apart: true,
                ..bound
            },
        }
    };
    KINDS.iter().map(bound).collect()
}

/// Rules without their chains, so that nothing hides what a test finds: looked at one by one, and with values spared.
static PROGRAMS: LazyLock<Vec<(Arc<Program>, Arc<Program>)>> = LazyLock::new(|| {
    let sever = |mut rules: bartizan_waf::lang::RuleSet| {
        for rule in &mut rules.rules {
            rule.links.truncate(1);
        }
        let mut tuning = Tuning::default();
        tuning.expect(bounds());
        (Program::plain(rules.clone()), Program::new(rules).tuned(tuning))
    };
    exchanges::rules().into_iter().map(sever).collect()
});

thread_local! {
    static WORKERS: RefCell<(Worker, Worker)> = RefCell::default();
}

/// An input says of which kind a value is, where it stands, and what it is.
pub fn target(bytes: &[u8]) {
    let [kind, place, rest @ ..] = bytes else { return };
    let number = usize::from(*kind) % KINDS.len();
    let (letters, longest, form) = KINDS[number];
    let letters = letters.as_bytes();
    let longest = usize::try_from(longest).unwrap().min(200);
    // Letters of the kind stay what they are, the others become some of it.
    let letter = |byte: &u8| match letters.contains(byte) {
        true => Some(*byte),
        false => letters.get(usize::from(*byte) % letters.len().max(1)).copied(),
    };
    let mut value: Vec<u8> = rest.iter().filter_map(letter).take(longest).collect();
    for (byte, place) in value.iter_mut().zip(form.bytes()) {
        match place {
            b'x' if byte.is_ascii_alphanumeric() => {}
            b'x' => *byte = b'0',
            mark => *byte = mark,
        }
    }
    let bound = bounds()[number];
    if !bound.covers(&value) {
        return;
    }
    let place = [Place::Query, Place::Header, Place::Cookie, Place::Form][usize::from(*place) % 4];
    for (plain, spared) in &*PROGRAMS {
        WORKERS.with_borrow_mut(|(one, other)| {
            let told = inspect(plain, one, place, &value, bound);
            let spared = inspect(spared, other, place, &value, bound);
            assert_eq!(told, spared, "{place:?} {}", value.escape_ascii());
        });
    }
}

/// Texts of which some kinds have all letters.
pub fn seeds() -> Vec<Vec<u8>> {
    let texts = [
        "-1234.5e-7",
        "true",
        "2147483647",
        "4294967295",
        "-2147483648",
        "0000012345",
        "1e309",
        "-1.5",
        "10.0.0.1",
        "255.255.255.255",
        "2026-02-28T23:59:59.123456789Z",
        "9f1c2a77-5d0e-4b7a-9c1d-3f6e8a2b4c5d",
        "2026-02-28",
        "2026-02-28T23:59:59.123456+01:00",
        "fe80::dead:beef",
        "select",
        "union select 1 from users",
        "<script>alert(1)</script>",
        "' or 1=1 -- ",
        "../../etc/passwd",
        "; cat /etc/passwd | id",
        "%27%20or%201",
        "&#x3c;script",
        "\\u003cscript",
        "0e1",
        "1e309",
        "feed-dead-beef-cafe",
        "HTTP/1.1\r\nHost: a",
        "a@b.c",
        "ababababab",
        "00000000000000000000000000000000",
    ];
    let mut seeds = Vec::new();
    for kind in 0..u8::try_from(KINDS.len()).unwrap() {
        for (number, text) in texts.iter().enumerate() {
            let place = u8::try_from(number % 4).unwrap();
            seeds.push([&[kind, place][..], text.as_bytes()].concat());
        }
    }
    seeds
}

fn inspect(program: &Arc<Program>, worker: &mut Worker, place: Place, value: &[u8], bound: Bound) -> String {
    let context = Context { unique_id: "test".into(), now: 0, collections: None };
    let mut inspection = Inspection::new(Arc::clone(program), context);
    let encoded: String = value.iter().map(|byte| format!("%{byte:02x}")).collect();
    let target = if place == Place::Query { format!("/a?x={encoded}") } else { "/a".to_owned() };
    let cookie = [b"x=", value].concat();
    let mut headers: Vec<(&[u8], &[u8])> = vec![(b"Host", b"shop.example"), (b"User-Agent", b"client/1")];
    let json = value.first().is_some_and(|byte| byte % 2 == 0);
    match place {
        Place::Header => headers.push((b"x", value)),
        Place::Cookie => headers.push((b"Cookie", &cookie)),
        Place::Form if json => headers.push((b"Content-Type", b"application/json")),
        Place::Form => headers.push((b"Content-Type", b"application/x-www-form-urlencoded")),
        Place::Query => {}
    }
    let proved = [Proved { place, name: b"x", bound }];
    let address = "192.0.2.1:80".parse().unwrap();
    let head = RequestHead {
        method: if place == Place::Form { b"POST" } else { b"GET" },
        target: target.as_bytes(),
        version: b"HTTP/1.1",
        headers: &headers,
        client: address,
        server: address,
        proved: &proved,
    };
    inspection.request_head(&head, worker);
    let text: String = value.iter().map(|byte| format!("\\u{byte:04x}")).collect();
    let (kind, body) = match (place, json) {
        (Place::Form, true) => ("application/json", format!("{{\"x\":\"{text}\"}}")),
        (Place::Form, false) => ("application/x-www-form-urlencoded", format!("x={encoded}")),
        _ => ("", String::new()),
    };
    let mut buffers = Buffers::new();
    let limits = BodyLimits::default();
    let reading = body::read(Some(kind.as_bytes()), None, body.as_bytes(), &limits, &mut buffers);
    let values = [(2, bound)];
    let known =
        ProvedBody { values: if json { &values } else { &[] }, fields: if json { &[] } else { &proved } };
    match place {
        Place::Form => inspection.request_body_read(&reading, body.len(), false, known, worker),
        _ => inspection.request_body(b"", false, worker),
    };
    inspection.finish(worker);
    exchanges::tell(&inspection)
}
