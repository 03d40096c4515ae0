//! What the gateway lets through is read the same by common parsers: documents of a public suite, generated ones, and
//! mutations of both, each shown to Python, Node, Java, jq and serde_json.

use std::{collections::BTreeMap, fmt::Write as _, fs, path::Path, process::Command};

use bartizan_guards::request_limits::Bodies;
use bartizan_pattern::body::{
    Buffers, Content, Parsed, Reading,
    json::{Kind, Value},
    read,
    xml::{Xml, XmlKind, XmlNode},
};
use bartizan_testkit::{program, skipped, suites_dir};
use base64::{Engine as _, engine::general_purpose::STANDARD};

use crate::support::{fixture, output};

/// Bodies of a kind that have to pass: fewer say nothing.
const ENOUGH: usize = 1500;

/// Numbers that look random (xorshift), from one seed.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) as usize % bound.max(1)
    }

    fn of<'a>(&mut self, all: &[&'a str]) -> &'a str {
        all[self.below(all.len())]
    }

    /// Bytes changed, doubled, moved, cut, and pieces of other bodies between them.
    fn mutation(&mut self, seeds: &[Vec<u8>], pieces: &[&str]) -> Vec<u8> {
        let mut bytes = seeds[self.below(seeds.len())].clone();
        for _ in 0..=self.below(3) {
            let at = self.below(bytes.len() + 1);
            let end = (at + self.below(12)).min(bytes.len());
            match self.below(6) {
                0 if at < bytes.len() => bytes[at] ^= 1 << self.below(8),
                1 => drop(bytes.drain(at..end)),
                2 => {
                    let piece = bytes[at..end].to_vec();
                    bytes.splice(at..at, piece);
                }
                3 => {
                    let other = &seeds[self.below(seeds.len())];
                    let from = self.below(other.len() + 1);
                    let piece = other[from..(from + self.below(20)).min(other.len())].to_vec();
                    bytes.splice(at..end, piece);
                }
                _ => {
                    let piece = self.of(pieces).bytes();
                    bytes.splice(at..at, piece);
                }
            }
        }
        bytes
    }
}

/// Bodies of one media type.
struct Corpus {
    media: &'static str,
    bodies: Vec<Vec<u8>>,
}

/// Those that pass, with what the gateway reads in them, in the readers' notation.
struct Passed {
    media: &'static str,
    bodies: Vec<(Vec<u8>, String)>,
}

impl Corpus {
    fn new(media: &'static str, seeds: Vec<Vec<u8>>, pieces: &[&str], mutations: usize) -> Self {
        let mut random = Random(0x9e37_79b9_7f4a_7c15);
        let mutated: Vec<_> = (0..mutations).map(|_| random.mutation(&seeds, pieces)).collect();
        Corpus { media, bodies: seeds.into_iter().chain(mutated).collect() }
    }

    /// Leaves out what the guard refuses by default.
    fn pass(self) -> Passed {
        let (settings, mut buffers) = (Bodies::default(), Buffers::new());
        let mut bodies = Vec::new();
        let all = self.bodies.len();
        for body in self.bodies {
            let media = Some(self.media.as_bytes());
            let reading = read(media, None, &body, &settings.limits(), &mut buffers);
            if settings.flaw(&reading).is_some() {
                continue;
            }
            let Reading::Parsed(parsed) = reading else { panic!("a flaw is missing") };
            if matches!(parsed.content, Content::Empty) {
                continue;
            }
            let ours = notation(&parsed);
            bodies.push((body, ours));
        }
        println!("{}: {} of {all} pass", self.media, bodies.len());
        assert!(bodies.len() >= ENOUGH, "too few pass");
        Passed { media: self.media, bodies }
    }
}

impl Passed {
    /// Shows all bodies to readers of one program, which reads them from a file, and compares. Gives a body for
    /// each reason that a reader refused one with.
    fn shown(&self, program: &mut Command, readers: &[&str]) -> Vec<(String, String)> {
        let folder = tempfile::tempdir().unwrap();
        let mut refused = BTreeMap::new();
        for reader in readers {
            let file = folder.path().join("bodies");
            let mut lines = String::new();
            for (body, _) in &self.bodies {
                writeln!(lines, "{reader}\t{}\t{}", self.media, STANDARD.encode(body)).unwrap();
            }
            fs::write(&file, lines).unwrap();
            let mut command = Command::new(program.get_program());
            command.args(program.get_args()).arg(&file);
            command.envs(program.get_envs().filter_map(|(name, value)| Some((name, value?))));
            let told = output(&mut command);
            let told: Vec<&str> = told.lines().collect();
            assert_eq!(told.len(), self.bodies.len(), "{reader}");
            if told.first() == Some(&"absent") {
                skipped(&format!("the reader `{reader}` is not installed; `cargo xtask test` installs it"));
                continue;
            }
            self.compare(reader, &told, &mut refused);
        }
        refused.into_iter().collect()
    }

    fn compare(&self, reader: &str, told: &[&str], refused: &mut BTreeMap<String, String>) {
        let mut wrong = Vec::new();
        for ((body, ours), theirs) in self.bodies.iter().zip(told) {
            if let Some(why) = theirs.strip_prefix("refused ") {
                let why: String = why.chars().filter(|c| !c.is_ascii_digit()).collect();
                refused.insert(format!("{reader}: {why}"), body.escape_ascii().to_string());
            } else if ours != theirs {
                wrong.push(format!("{}\n  ours   {ours}\n  theirs {theirs}", body.escape_ascii()));
            }
        }
        let count = wrong.len();
        wrong.truncate(12);
        assert!(wrong.is_empty(), "{reader} reads {count} otherwise:\n{}", wrong.join("\n"));
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |text, byte| text + &format!("{byte:02x}"))
}

/// What is in a body, as `fixtures/readers.py` writes it.
fn notation(parsed: &Parsed<'_>) -> String {
    let pairs = |found: Vec<(Vec<u8>, Vec<u8>)>| {
        let all: Vec<_> = found.iter().map(|(name, value)| format!("{}={}", hex(name), hex(value))).collect();
        all.join(",")
    };
    match parsed.content {
        Content::Json(tape) => of_json(tape.root().unwrap()),
        Content::Form(form) => {
            let some = form.pairs().filter(|pair| !pair.is_empty());
            pairs(some.map(|pair| (pair.name().into_owned(), pair.value().into_owned())).collect())
        }
        Content::Multipart(parts) => {
            let name = |name: Option<std::borrow::Cow<'_, [u8]>>| name.unwrap_or_default().into_owned();
            pairs(parts.parts().map(|part| (name(part.name()), part.data().to_vec())).collect())
        }
        Content::Xml(xml) => of_xml(xml),
        Content::Empty => String::new(),
        Content::Opaque | Content::Text(_) => panic!("not a body that is parsed"),
    }
}

fn double(number: f64) -> String {
    let number = if number == 0.0 { 0.0 } else { number };
    format!("d{:016x}", number.to_bits())
}

fn of_json(value: Value<'_>) -> String {
    match value.kind() {
        Kind::Null => "n".to_owned(),
        Kind::True => "t".to_owned(),
        Kind::False => "f".to_owned(),
        Kind::Number => double(value.as_number().unwrap().parse().unwrap()),
        Kind::String => format!("s{}", hex(value.as_str().unwrap().as_bytes())),
        Kind::Array => format!("[{}]", value.items().map(of_json).collect::<Vec<_>>().join(",")),
        Kind::Object => {
            let entry = |(key, value): (Value<'_>, Value<'_>)| {
                format!("{}:{}", hex(key.as_str().unwrap().as_bytes()), of_json(value))
            };
            let mut entries: Vec<_> = value.entries().map(entry).collect();
            entries.sort();
            format!("{{{}}}", entries.join(","))
        }
    }
}

/// The same of a value that `serde_json` read.
fn of_serde(value: &serde_json::Value) -> String {
    use serde_json::Value::{Array, Bool, Null, Number, Object, String};
    match value {
        Null => "n".to_owned(),
        Bool(true) => "t".to_owned(),
        Bool(false) => "f".to_owned(),
        Number(number) => double(number.to_string().parse().unwrap()),
        String(text) => format!("s{}", hex(text.as_bytes())),
        Array(items) => format!("[{}]", items.iter().map(of_serde).collect::<Vec<_>>().join(",")),
        Object(entries) => {
            let entry = |(key, value): (&std::string::String, &serde_json::Value)| {
                format!("{}:{}", hex(key.as_bytes()), of_serde(value))
            };
            let mut entries: Vec<_> = entries.iter().map(entry).collect();
            entries.sort();
            format!("{{{}}}", entries.join(","))
        }
    }
}

fn of_xml(xml: Xml<'_>) -> String {
    fn element(node: XmlNode<'_>, out: &mut String) {
        let attribute = |node: XmlNode<'_>| format!("{}={}", hex(node.name()), hex(&node.text()));
        let mut attributes: Vec<_> = node.attributes().map(attribute).collect();
        attributes.sort();
        write!(out, "<{} {}>", hex(node.name()), attributes.join(" ")).unwrap();
        let mut text = Vec::new();
        let flush = |text: &mut Vec<u8>, out: &mut String| {
            if !text.is_empty() {
                write!(out, "t{}", hex(text)).unwrap();
            }
            text.clear();
        };
        for child in node.children() {
            match child.kind() {
                XmlKind::Element => {
                    flush(&mut text, out);
                    element(child, out);
                }
                XmlKind::Text | XmlKind::CData => child.text_into(&mut text),
                _ => {}
            }
        }
        flush(&mut text, out);
        out.push('/');
    }
    let mut out = String::new();
    element(xml.root().unwrap(), &mut out);
    out
}

/// The readers in Python; the standard library suffices for most.
fn python() -> Option<Command> {
    let found = bartizan_testkit::python().or_else(|| program("python3"));
    let Some(python) = found else {
        skipped("python3 is not installed; `cargo xtask test` installs it");
        return None;
    };
    let mut command = Command::new(python);
    command.arg(fixture("readers.py"));
    Some(command)
}

/// The readers in Node; its own suffice for most.
fn node() -> Option<Command> {
    let Some(node) = program("node") else {
        skipped("node is not installed; `cargo xtask test` installs it");
        return None;
    };
    let mut command = Command::new(node);
    let modules = bartizan_testkit::test_env().join("node/node_modules");
    command.arg(fixture("readers.mjs")).env("NODE_PATH", modules);
    Some(command)
}

const TEXTS: [&str; 20] = [
    "",
    "a",
    "id",
    "role",
    "é",
    "東京",
    "😀",
    "__proto__",
    "constructor",
    "0",
    "10",
    "\\u0061",
    "\\u0000",
    "\\n\\t\\\"\\\\\\/",
    "\\ud83d\\ude00",
    "\\uFEFF",
    "\u{7f}",
    "\u{2028}",
    "' or 1=1",
    "<a>&amp;",
];
const NUMBERS: [&str; 16] = [
    "0",
    "-0",
    "-0.0",
    "1",
    "-1",
    "10",
    "1E5",
    "1e-7",
    "0.1",
    "123456789012345678901234567890",
    "9007199254740993",
    "1e308",
    "5e-324",
    "2.2250738585072011e-308",
    "1e-400",
    "0.30000000000000004",
];

fn json_of(random: &mut Random, depth: usize) -> String {
    let space = ["", " ", "\n", "\t", "\r\n  "];
    match random.below(if depth == 0 { 5 } else { 9 }) {
        0 => random.of(&["null", "true", "false"]).to_owned(),
        1 | 2 => random.of(&NUMBERS).to_owned(),
        3 | 4 => format!("\"{}{}\"", random.of(&TEXTS), random.of(&TEXTS)),
        5 | 6 => {
            let items: Vec<_> = (0..random.below(4)).map(|_| json_of(random, depth - 1)).collect();
            let comma = format!("{},{}", random.of(&space), random.of(&space));
            format!("[{}{}]", items.join(&comma), random.of(&space))
        }
        _ => {
            let mut entry = |_| {
                let colon = format!("{}:{}", random.of(&space), random.of(&space));
                format!("\"{}\"{colon}{}", random.of(&TEXTS), json_of(random, depth - 1))
            };
            let entries: Vec<_> = (0..4).map(&mut entry).collect();
            let count = random.below(5);
            format!("{{{}}}", entries[..count].join(","))
        }
    }
}

#[test]
fn json_is_read_alike() {
    let mut random = Random(7);
    let mut seeds: Vec<Vec<u8>> = (0..2000).map(|_| json_of(&mut random, 4).into_bytes()).collect();
    seeds.push(("[".repeat(100) + &"]".repeat(100)).into_bytes());
    match suites_dir().map(|folder| folder.join("json-parsing/test_parsing")) {
        Some(folder) if folder.is_dir() => seeds.extend(files(&folder)),
        _ => skipped("JSONTestSuite is absent; see BARTIZAN_SUITES"),
    }
    let pieces =
        ["\"", "\\", "\\u", "1e", "e309", "{", "}", "[", "]", ",", ":", "NaN", "//", "\u{feff}", "\0"];
    let passed = Corpus::new("application/json", seeds, &pieces, 4000).pass();
    let mut refused = BTreeMap::new();
    let serde: Vec<String> = passed
        .bodies
        .iter()
        .map(|(body, _)| match serde_json::from_slice::<serde_json::Value>(body) {
            Ok(value) => of_serde(&value),
            Err(error) => format!("refused {error}"),
        })
        .collect();
    passed.compare("serde_json", &serde.iter().map(String::as_str).collect::<Vec<_>>(), &mut refused);
    assert_eq!(refused, BTreeMap::new());
    for mut program in [python(), node()].into_iter().flatten() {
        assert_eq!(passed.shown(&mut program, &["json"]), []);
    }
    match program("jq") {
        Some(jq) => by_jq(&passed, &jq),
        None => skipped("jq is not installed"),
    }
}

/// jq replaces what is no UTF-8, takes `NaN`, and makes the largest double of `1e309`: none of these passes.
fn by_jq(passed: &Passed, jq: &Path) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("bodies");
    let lines: String = passed.bodies.iter().map(|(body, _)| STANDARD.encode(body) + "\n").collect();
    fs::write(&file, lines).unwrap();
    let told =
        output(Command::new(jq).args(["-Rc", "@base64d | try [fromjson] catch \"refused\""]).arg(&file));
    let told: Vec<String> = told
        .lines()
        .map(|line| match serde_json::from_str::<serde_json::Value>(line).unwrap() {
            serde_json::Value::Array(one) => of_serde(&one[0]),
            _ => "refused by jq".to_owned(),
        })
        .collect();
    let mut refused = BTreeMap::new();
    passed.compare("jq", &told.iter().map(String::as_str).collect::<Vec<_>>(), &mut refused);
    assert_eq!(refused, BTreeMap::new());
}

fn files(folder: &Path) -> Vec<Vec<u8>> {
    let mut paths: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths.iter().map(|path| fs::read(path).unwrap()).collect()
}

#[test]
fn forms_are_read_alike() {
    let mut random = Random(11);
    let words = [
        "",
        "a",
        "id",
        "a[]",
        "a[b]",
        "%61",
        "+",
        "%20",
        "%2B",
        "%C3%A9",
        "é",
        "%00",
        "%26",
        "%3D",
        "=",
        "%25",
        "%EF%BB%BF",
    ];
    let mut seeds = Vec::new();
    for _ in 0..2000 {
        let mut pair = |_| {
            let equals = random.of(&["=", "=", "=", ""]);
            format!("{}{}{equals}{}", random.of(&words), random.of(&words), random.of(&words))
        };
        let pairs: Vec<_> = (0..5).map(&mut pair).collect();
        let count = random.below(6);
        seeds.push(pairs[..count].join("&").into_bytes());
    }
    let pieces = ["&", "&&", "=", "%", "%2", "%zz", "+", ";", "%ff", "\u{feff}", "?", "#", "\0", "\n"];
    let passed = Corpus::new("application/x-www-form-urlencoded", seeds, &pieces, 3000).pass();
    if let Some(mut python) = python() {
        assert_eq!(passed.shown(&mut python, &["form", "form_parser"]), []);
    }
    if let Some(mut node) = node() {
        assert_eq!(passed.shown(&mut node, &["form"]), []);
    }
}

#[test]
fn parts_are_read_alike() {
    let mut random = Random(13);
    let names = ["a", "id", "a[]", "é", "file", "a b", "x.y", "%20"];
    let values = [
        "",
        "1",
        "é",
        "two\r\nlines",
        "--",
        "--x",
        "-- x --",
        "\r\n",
        "\n",
        "{\"a\":1}",
        "----",
        "\u{feff}a",
    ];
    let mut seeds = Vec::new();
    for _ in 0..2000 {
        let mut body = String::new();
        for _ in 0..1 + random.below(4) {
            let file = random.of(&["", "", "; filename=\"f.txt\"", "; filename=\"a b.bin\""]);
            let kind = match file {
                "" => "",
                _ => random.of(&[
                    "",
                    "Content-Type: text/plain\r\n",
                    "Content-Type: application/octet-stream\r\n",
                ]),
            };
            let name = random.of(&names);
            write!(
                body,
                "--xyz\r\nContent-Disposition: form-data; name=\"{name}\"{file}\r\n{kind}\r\n{}\r\n",
                random.of(&values)
            )
            .unwrap();
        }
        seeds.push((body + "--xyz--\r\n").into_bytes());
    }
    let pieces = [
        "\r\n",
        "\n",
        "\r",
        "--xyz",
        "\r\n--xyz\r\n",
        "\r\n--xyz--\r\n",
        "--",
        "\"",
        "\\",
        "%22",
        "'",
        ";",
        " ",
        "\t",
        "\0",
        "; filename=x",
        "; name=b",
        "Content-Transfer-Encoding: base64\r\n",
        "Content-Disposition: form-data; name=b\r\n",
    ];
    let passed = Corpus::new("multipart/form-data; boundary=xyz", seeds, &pieces, 4000).pass();
    if let Some(mut python) = python() {
        assert_eq!(passed.shown(&mut python, &["email", "form_parser"]), []);
    }
    if let Some(mut node) = node() {
        // Node's own wants boundaries only where lines begin, and refuses what has one elsewhere.
        let refused = passed.shown(&mut node, &["form_data", "busboy"]);
        assert!(refused.iter().all(|(why, _)| why.starts_with("form_data: ")), "{refused:?}");
    }
}

#[test]
fn xml_is_read_alike() {
    fn element(random: &mut Random, depth: usize) -> String {
        let name = random.of(&["a", "b", "order", "é", "a-b", "a.b", "_x"]);
        let texts = [
            "",
            "1",
            " ",
            "é",
            "&lt;",
            "&#233;",
            "&#x1F600;",
            "<![CDATA[<b>&amp;]]>",
            "<!-- c -->",
            "\r\n",
            "\t",
            "<?p x?>",
            "]]",
            "'\"",
        ];
        let attributes =
            ["", "", " x=\"1\"", " y='&quot;\t\n'", " x=\"1\" y=\"é&#10;\"", " xml:lang = \"en\""];
        let mut inside = String::new();
        for _ in 0..random.below(4) {
            inside += random.of(&texts);
            if depth > 0 {
                inside += &element(random, depth - 1);
            }
        }
        format!("<{name}{}>{inside}{}</{name}>", random.of(&attributes), random.of(&texts))
    }
    let mut random = Random(17);
    let begins = [
        "",
        "<?xml version=\"1.0\"?>",
        "<?xml version='1.0' encoding='UTF-8' standalone='yes'?>\n",
        "\u{feff}",
        "<!-- x -->\n",
    ];
    let seeds = (0..2000).map(|_| format!("{}{}", random.of(&begins), element(&mut random, 3)).into_bytes());
    let pieces = [
        "<",
        ">",
        "&",
        "&amp;",
        "&#0;",
        "&#13;",
        "]]>",
        "<![CDATA[",
        "<!--",
        "-->",
        "<!DOCTYPE a>",
        "<?xml?>",
        "\"",
        "'",
        "\0",
        "\u{b}",
        "\u{fffe}",
        " xmlns=\"u\"",
        " x=\"2\"",
        "\r",
        "<a/>",
        "--",
    ];
    let passed = Corpus::new("application/xml", seeds.collect(), &pieces, 4000).pass();
    if let Some(mut python) = python() {
        assert_eq!(passed.shown(&mut python, &["xml"]), []);
    }
    let Some(java) = program("java") else { return skipped("java is not installed") };
    let mut command = Command::new(java);
    command.arg(fixture("Readers.java"));
    assert_eq!(passed.shown(&mut command, &["xml"]), []);
}
