//! The parser of structured fields that reads `Signature-Input`, `Signature`, `Content-Digest`, `Client-Cert` and
//! `Bartizan-Signature`, against the vectors of its standard (RFC 9651).
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stderr,
    reason = "tests assert"
)]

use std::{fs, path::PathBuf};

use base64::{Engine, engine::general_purpose::STANDARD};
use serde_json::Value;
use sfv::{
    BareItem, Date, Decimal, Dictionary, FieldType, InnerList, Integer, Item, Key, List, ListEntry,
    Parameters, Parser,
};

/// Vectors whose field is serialized other than the suite says, or read where it must not be.
const KNOWN_TO_DIFFER: &[&str] = &[];

#[test]
fn the_vectors_of_structured_fields_hold() {
    let suites = std::env::var_os("BARTIZAN_SUITES").map_or_else(
        || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared/suites"),
        PathBuf::from,
    );
    let folder = suites.join("structured-fields");
    let Ok(files) = fs::read_dir(&folder) else {
        eprintln!("SKIPPED: the structured-fields suite is absent; set `BARTIZAN_SUITES`");
        return;
    };
    let (mut parsed, mut failed) = (0, Vec::new());
    for path in
        files.map(|file| file.unwrap().path()).filter(|path| path.extension().is_some_and(|e| e == "json"))
    {
        for vector in vectors(&path) {
            parsed += 1;
            if let Err(why) = reads(&vector) {
                failed.push(format!("{}: {}: {why}", path.display(), vector["name"]));
            }
        }
    }
    let mut serialized = 0;
    for file in fs::read_dir(folder.join("serialisation-tests")).unwrap() {
        let path = file.unwrap().path();
        for vector in vectors(&path) {
            serialized += 1;
            let written = write(vector["header_type"].as_str().unwrap(), &vector["expected"]);
            let wanted = vector.get("canonical").map(canonical);
            let good = if vector["must_fail"] == true { written.is_none() } else { written == wanted };
            if !good {
                failed.push(format!("{}: {}: {written:?}", path.display(), vector["name"]));
            }
        }
    }
    failed.retain(|failure| !KNOWN_TO_DIFFER.iter().any(|known| failure.contains(known)));
    assert!(failed.is_empty(), "{} of {parsed} + {serialized}:\n{}", failed.len(), failed.join("\n"));
    assert!(parsed > 1_000 && serialized > 100, "{parsed} + {serialized} vectors");
}

fn vectors(path: &std::path::Path) -> Vec<Value> {
    serde_json::from_slice(&fs::read(path).unwrap()).unwrap()
}

/// Several lines of one field are one value (RFC 9110 section 5.3).
fn joined(lines: &Value) -> String {
    lines.as_array().unwrap().iter().map(|line| line.as_str().unwrap()).collect::<Vec<_>>().join(", ")
}

/// What the suite says a field is written as; a field without members is not written.
fn canonical(lines: &Value) -> String {
    joined(lines)
}

fn reads(vector: &Value) -> Result<(), String> {
    let kind = vector["header_type"].as_str().unwrap();
    let raw = joined(&vector["raw"]);
    let written = match kind {
        "item" => Parser::new(&raw).parse::<Item>().ok().map(|item| (of_item(&item), Some(item.serialize()))),
        "list" => Parser::new(&raw).parse::<List>().ok().map(|list| (of_list(&list), list.serialize())),
        _ => Parser::new(&raw).parse::<Dictionary>().ok().map(|all| (of_dictionary(&all), all.serialize())),
    };
    let Some((value, text)) = written else {
        return if vector["must_fail"] == true || vector["can_fail"] == true {
            Ok(())
        } else {
            Err("is refused".to_owned())
        };
    };
    if vector["must_fail"] == true {
        return Err(format!("is read as {value}"));
    }
    if !same(&value, &vector["expected"]) {
        return Err(format!("is read as {value}, not {}", vector["expected"]));
    }
    let wanted = vector.get("canonical").map_or(raw, canonical);
    let text = text.unwrap_or_default();
    if text == wanted { Ok(()) } else { Err(format!("is written as `{text}`, not `{wanted}`")) }
}

/// Equal, numbers by their value: JSON has one kind of them.
fn same(value: &Value, expected: &Value) -> bool {
    match (value, expected) {
        (Value::Array(a), Value::Array(b)) => a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same(a, b)),
        (Value::Number(a), Value::Number(b)) => (a.as_f64().unwrap() - b.as_f64().unwrap()).abs() < 1e-9,
        _ => value == expected,
    }
}

fn typed(kind: &str, value: impl Into<Value>) -> Value {
    serde_json::json!({ "__type": kind, "value": value.into() })
}

fn of_bare(item: &BareItem) -> Value {
    match item {
        BareItem::Boolean(value) => (*value).into(),
        BareItem::Integer(value) => i64::from(*value).into(),
        BareItem::Decimal(value) => f64::from(*value).into(),
        BareItem::String(value) => value.as_str().into(),
        BareItem::Token(value) => typed("token", value.as_str()),
        BareItem::ByteSequence(value) => typed("binary", base32(value)),
        BareItem::Date(value) => typed("date", i64::from(value.unix_seconds())),
        BareItem::DisplayString(value) => typed("displaystring", value.as_str()),
    }
}

fn of_parameters(parameters: &Parameters) -> Value {
    let pair = |(key, value): (&Key, &BareItem)| Value::from(vec![key.as_str().into(), of_bare(value)]);
    parameters.iter().map(pair).collect::<Vec<_>>().into()
}

fn of_item(item: &Item) -> Value {
    vec![of_bare(&item.bare_item), of_parameters(&item.params)].into()
}

fn of_entry(entry: &ListEntry) -> Value {
    match entry {
        ListEntry::Item(item) => of_item(item),
        ListEntry::InnerList(list) => {
            let items: Vec<Value> = list.items.iter().map(of_item).collect();
            vec![items.into(), of_parameters(&list.params)].into()
        }
    }
}

fn of_list(list: &List) -> Value {
    list.iter().map(of_entry).collect::<Vec<_>>().into()
}

fn of_dictionary(all: &Dictionary) -> Value {
    let pair = |(key, entry): (&Key, &ListEntry)| Value::from(vec![key.as_str().into(), of_entry(entry)]);
    all.iter().map(pair).collect::<Vec<_>>().into()
}

/// The text of a value of the suite; nothing where it cannot be one.
fn write(kind: &str, value: &Value) -> Option<String> {
    match kind {
        "item" => Some(item(value)?.serialize()),
        "list" => value.as_array()?.iter().map(entry).collect::<Option<Vec<ListEntry>>>()?.serialize(),
        _ => {
            let pairs = value.as_array()?.iter().map(|pair| Some((key(&pair[0])?, entry(&pair[1])?)));
            pairs.collect::<Option<Dictionary>>()?.serialize()
        }
    }
}

fn key(value: &Value) -> Option<Key> {
    Key::from_string(value.as_str()?.to_owned()).ok()
}

fn parameters(value: &Value) -> Option<Parameters> {
    value.as_array()?.iter().map(|pair| Some((key(&pair[0])?, bare(&pair[1])?))).collect()
}

fn item(value: &Value) -> Option<Item> {
    Some(Item { bare_item: bare(&value[0])?, params: parameters(&value[1])? })
}

fn entry(value: &Value) -> Option<ListEntry> {
    match &value[0] {
        Value::Array(items) => {
            let items = items.iter().map(item).collect::<Option<Vec<_>>>()?;
            Some(InnerList::with_params(items, parameters(&value[1])?).into())
        }
        _ => Some(item(value)?.into()),
    }
}

fn bare(value: &Value) -> Option<BareItem> {
    let text = || value["value"].as_str().map(str::to_owned);
    Some(match value {
        Value::Bool(value) => BareItem::Boolean(*value),
        Value::Number(number) => match number.as_i64() {
            Some(number) => BareItem::Integer(Integer::try_from(number).ok()?),
            None => BareItem::Decimal(Decimal::try_from(number.as_f64()?).ok()?),
        },
        Value::String(text) => BareItem::String(sfv::String::from_string(text.clone()).ok()?),
        _ => match value["__type"].as_str()? {
            "token" => BareItem::Token(sfv::Token::from_string(text()?).ok()?),
            "binary" => BareItem::ByteSequence(STANDARD.decode(text()?).ok()?),
            "date" => {
                BareItem::Date(Date::from_unix_seconds(Integer::try_from(value["value"].as_i64()?).ok()?))
            }
            "displaystring" => BareItem::DisplayString(text()?),
            _ => return None,
        },
    })
}

/// RFC 4648 section 6, with padding: what the suite writes bytes in.
fn base32(bytes: &[u8]) -> String {
    const ALPHABET: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
    let mut text = String::new();
    for chunk in bytes.chunks(5) {
        let mut word = [0; 8];
        word[3..3 + chunk.len()].copy_from_slice(chunk);
        let word = u64::from_be_bytes(word);
        let letters = (chunk.len() * 8).div_ceil(5);
        for at in 0..8 {
            let letter = char::from(ALPHABET[usize::try_from((word >> (35 - 5 * at)) & 31).unwrap()]);
            text.push(if at < letters { letter } else { '=' });
        }
    }
    text
}
