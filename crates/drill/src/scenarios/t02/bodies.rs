//! The same text in every body that a search is asked with.

/// One way to write a text into a body.
pub struct Form {
    /// What it is, for people.
    pub name: &'static str,
    content_type: &'static str,
    content_encoding: Option<&'static str>,
    write: fn(&str) -> Vec<u8>,
}

/// All of them.
pub const FORMS: [Form; 12] = [
    Form::plain("JSON", "application/json", |text| json(&quoted(text)).into_bytes()),
    Form::plain("JSON with escapes for every character", "application/json", |text| {
        let escaped: String = text.encode_utf16().map(|unit| format!("\\u{unit:04x}")).collect();
        json(&format!("\"{escaped}\"")).into_bytes()
    }),
    Form::plain("JSON, nested", "application/json; charset=utf-8", |text| {
        format!("{{\"filter\":[{{\"on\":\"text\",\"q\":{}}}]}}", quoted(text)).into_bytes()
    }),
    Form::plain("JSON of a vendor's type", "application/vnd.bank.search+json", |text| {
        json(&quoted(text)).into_bytes()
    }),
    Form::plain("a form", "application/x-www-form-urlencoded", |text| {
        format!("page=1&q={}", escaped(text, |byte| byte.is_ascii_alphanumeric())).into_bytes()
    }),
    Form::plain("a form with escapes for every byte", "application/x-www-form-urlencoded", |text| {
        format!("q={}", escaped(text, |_| false)).into_bytes()
    }),
    Form::plain("a form with its name escaped", "application/x-www-form-urlencoded", |text| {
        format!("%71={}", escaped(text, |byte| byte.is_ascii_alphanumeric())).into_bytes()
    }),
    Form::plain("parts", "multipart/form-data; boundary=frontier", |text| {
        format!("--frontier\r\nContent-Disposition: form-data; name=\"q\"\r\n\r\n{text}\r\n--frontier--\r\n")
            .into_bytes()
    }),
    Form::plain("XML", "application/xml", |text| xml(&references(text)).into_bytes()),
    Form::plain("XML with references for every character", "text/xml", |text| {
        xml(&text.chars().map(|c| format!("&#x{:x};", u32::from(c))).collect::<String>()).into_bytes()
    }),
    Form::plain("XML in a section", "application/soap+xml", |text| {
        xml(&format!("<![CDATA[{text}]]>")).into_bytes()
    }),
    Form {
        name: "JSON in gzip",
        content_type: "application/json",
        content_encoding: Some("gzip"),
        write: |text| gzip(json(&quoted(text)).as_bytes()),
    },
];

impl Form {
    const fn plain(name: &'static str, content_type: &'static str, write: fn(&str) -> Vec<u8>) -> Self {
        Form { name, content_type, content_encoding: None, write }
    }

    /// The request that searches for a text.
    pub fn request(&self, token: &str, text: &str) -> Vec<u8> {
        let body = (self.write)(text);
        let coding = self.content_encoding.map(|coding| format!("Content-Encoding: {coding}\r\n"));
        let head = format!(
            "POST /search HTTP/1.1\r\nHost: search.test\r\nAuthorization: Bearer {token}\r\n\
             Content-Type: {}\r\n{}Content-Length: {}\r\n\r\n",
            self.content_type,
            coding.unwrap_or_default(),
            body.len()
        );
        [head.into_bytes(), body].concat()
    }
}

fn json(text: &str) -> String {
    format!("{{\"page\":1,\"q\":{text}}}")
}

fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

fn xml(text: &str) -> String {
    format!("<?xml version=\"1.0\"?><search><page>1</page><q>{text}</q></search>")
}

fn references(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('\'', "&apos;")
}

/// A text of a form (WHATWG URL section 5): blanks as `+`.
fn escaped(text: &str, plain: impl Fn(u8) -> bool) -> String {
    text.bytes().fold(String::new(), |mut out, byte| {
        match byte {
            b' ' if plain(b'a') => out.push('+'),
            byte if plain(byte) => out.push(char::from(byte)),
            byte => out.push_str(&format!("%{byte:02X}")),
        }
        out
    })
}

/// RFC 1952 with one block that is stored as it is (RFC 1951 section 3.2.4): whoever looks for text in coded bytes would
/// find it, whoever reads the coding has to undo it.
fn gzip(bytes: &[u8]) -> Vec<u8> {
    let length = u16::try_from(bytes.len()).unwrap_or(u16::MAX);
    let head: &[u8] = &[0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255, 1];
    let tail = u32::from(length).to_le_bytes();
    [head, &length.to_le_bytes(), &(!length).to_le_bytes(), bytes, &crc(bytes).to_le_bytes(), &tail].concat()
}

/// What stands before the stored bytes, and behind them.
pub const GZIP_HEAD: usize = 15;
/// The checksum and the length.
pub const GZIP_TAIL: usize = 8;

fn crc(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(u32::MAX, |mut crc, byte| {
        crc ^= u32::from(*byte);
        for _ in 0..8 {
            crc = if crc & 1 == 1 { crc >> 1 ^ 0xedb8_8320 } else { crc >> 1 };
        }
        crc
    })
}
