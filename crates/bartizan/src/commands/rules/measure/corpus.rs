//! Corpora: files of texts that are known to be attacks, or to be harmless.

use std::{collections::BTreeMap, fs::File, io::Read as _, path::Path};

use flate2::read::GzDecoder;

/// Bytes of a file, uncompressed.
const MAX_BYTES: u64 = 256 << 20;

/// What is known of a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// It attacks.
    Attack,
    /// It does not.
    Harmless,
}

/// Texts of one kind.
#[derive(Clone, Debug)]
pub struct Family {
    /// Attacks or not.
    pub kind: Kind,
    /// Such as `sqli`, or the name of the file.
    pub name: String,
    /// Each is a bare value, in place of a whole query string.
    pub bare: bool,
    /// The texts.
    pub texts: Vec<String>,
}

/// What labels call harmless.
const HARMLESS: [&str; 4] = ["norm", "normal", "benign", "legitimate"];

/// Reads a file. Without `kind` its own column says what is an attack.
///
/// # Errors
/// It cannot be read as what its name says, in one line.
pub fn read(file: &Path, kind: Option<Kind>) -> Result<Vec<Family>, String> {
    let shown = file.display();
    let name = file.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let raw = File::open(file).map_err(|error| format!("`{shown}` cannot be read: {error}"))?;
    let mut bytes = Vec::new();
    let (plain, read) = match name.strip_suffix(".gz") {
        Some(plain) => (plain, GzDecoder::new(raw).take(MAX_BYTES).read_to_end(&mut bytes)),
        None => (name.as_str(), raw.take(MAX_BYTES).read_to_end(&mut bytes)),
    };
    read.map_err(|error| format!("`{shown}` cannot be read: {error}"))?;
    let text = String::from_utf8_lossy(&bytes);
    if let Some(name) = plain.strip_suffix(".csv") {
        return labelled(&text, name, kind).map_err(|why| format!("`{shown}` {why}"));
    }
    let Some(kind) = kind else {
        return Err(format!("`{shown}` is no CSV file, so that nothing says what in it is an attack"));
    };
    let family = match plain.strip_suffix(".json") {
        Some(name) => {
            let texts = serde_json::from_str(&text)
                .map_err(|error| format!("`{shown}` is no list of texts: {error}"))?;
            Family { kind, name: name.to_owned(), bare: false, texts }
        }
        None => {
            let texts = text.lines().filter(|line| !line.is_empty()).map(str::to_owned).collect();
            Family { kind, name: plain.trim_end_matches(".txt").to_owned(), bare: true, texts }
        }
    };
    Ok(vec![family])
}

/// The families of a CSV file.
fn labelled(text: &str, name: &str, kind: Option<Kind>) -> Result<Vec<Family>, String> {
    let mut records = records(text).into_iter();
    let head = records.next().unwrap_or_default();
    let column = |wanted: &str| head.iter().position(|name| name.eq_ignore_ascii_case(wanted));
    let payload = column("payload").ok_or("has no column `payload`")?;
    let label = column("attack_type").or_else(|| column("label"));
    if label.is_none() && kind.is_none() {
        return Err("has no column `attack_type` that says what is an attack".to_owned());
    }
    let mut families: BTreeMap<String, Family> = BTreeMap::new();
    for record in records {
        let Some(payload) = record.get(payload) else { continue };
        let told = label.and_then(|label| record.get(label)).map_or(name, String::as_str);
        let own = if HARMLESS.contains(&told) { Kind::Harmless } else { Kind::Attack };
        let family = families.entry(told.to_owned()).or_insert_with(|| Family {
            kind: kind.unwrap_or(own),
            name: told.to_owned(),
            bare: true,
            texts: Vec::new(),
        });
        family.texts.push(payload.clone());
    }
    Ok(families.into_values().collect())
}

/// The records of a CSV text (RFC 4180): fields between commas; between quotes anything, a quote twice.
fn records(text: &str) -> Vec<Vec<String>> {
    let mut records = Vec::new();
    let (mut record, mut field, mut quoted) = (Vec::new(), String::new(), false);
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '"' if quoted && chars.peek() == Some(&'"') => {
                chars.next();
                field.push('"');
            }
            '"' if quoted => quoted = false,
            '"' if field.is_empty() => quoted = true,
            ',' if !quoted => record.push(std::mem::take(&mut field)),
            '\r' if !quoted && chars.peek() == Some(&'\n') => {}
            '\n' if !quoted => {
                record.push(std::mem::take(&mut field));
                records.push(std::mem::take(&mut record));
            }
            _ => field.push(c),
        }
    }
    if !field.is_empty() || !record.is_empty() {
        record.push(field);
        records.push(record);
    }
    records
}

/// A query string as a request can carry it: what no target has (RFC 9112 section 3.2) is escaped.
pub fn as_query(text: &str) -> String {
    use std::fmt::Write as _;

    let mut query = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_graphic() && !b"\"<>\\^`{|}#".contains(&byte) {
            query.push(char::from(byte));
        } else {
            let _ = write!(query, "%{byte:02X}");
        }
    }
    query
}

#[cfg(test)]
mod tests {
    use super::{as_query, records};

    #[test]
    fn csv_is_read_as_rfc_4180_says() {
        let text = "a,b\r\n\"1,\"\"2\"\"\",\n\"x\ny\",z";
        assert_eq!(records(text), [["a", "b"], ["1,\"2\"", ""], ["x\ny", "z"]]);
        assert!(records("").is_empty());
    }

    #[test]
    fn queries_keep_their_escapes() {
        assert_eq!(as_query("a=%27&b=<x y>é"), "a=%27&b=%3Cx%20y%3E%C3%A9");
    }
}
