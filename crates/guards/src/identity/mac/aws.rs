//! AWS Signature Version 4, as the `Authorization` field carries it.

use aws_lc_rs::hmac;
use bartizan_model::{Timestamp, Transaction};
use http::{
    HeaderName,
    header::{AUTHORIZATION, DATE},
};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode, percent_encode};
use time::{Date, Month, OffsetDateTime, PrimitiveDateTime, Time, format_description::well_known::Rfc2822};

use super::{
    super::{flaw::Flaw, jwks::sha256, mtls::hex, replay, signature::base::Message},
    Claim, Form, KnownKey, MacVerifier, Pending, Spent, any_holds, only, unhex,
};
use crate::identity::signature::digest::Expected;

const ALGORITHM: &str = "AWS4-HMAC-SHA256";
const AMZ_DATE: HeaderName = HeaderName::from_static("x-amz-date");
const CONTENT: HeaderName = HeaderName::from_static("x-amz-content-sha256");
const UNSIGNED: &str = "UNSIGNED-PAYLOAD";

/// Fields that may be signed, and parameters of a query that are looked at.
const MAX_FIELDS: usize = 64;
const MAX_PARAMETERS: usize = 1024;

/// What `UriEncode` leaves alone.
const ENCODED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');
const ENCODED_PATH: &AsciiSet = &ENCODED.remove(b'/');

/// The parts of the field.
struct Authorization<'t> {
    key: &'t str,
    date: &'t str,
    region: &'t str,
    service: &'t str,
    signed: Vec<&'t str>,
    tag: Vec<u8>,
}

pub(super) fn read(verifier: &MacVerifier, transaction: &Transaction) -> Result<Option<Claim>, Flaw> {
    let ours =
        |value: &http::HeaderValue| value.as_bytes().trim_ascii_start().starts_with(ALGORITHM.as_bytes());
    if !transaction.request.headers.get_all(AUTHORIZATION).iter().any(ours) {
        return Ok(None);
    }
    let field = only(transaction, &AUTHORIZATION)?.ok_or(Flaw::SignatureMalformed)?;
    let parsed = parse(field)?;
    let key = verifier.key(parsed.key)?;
    let other =
        |wanted: &Option<String>, found: &str| wanted.as_deref().is_some_and(|wanted| wanted != found);
    if other(&verifier.region, parsed.region) || other(&verifier.service, parsed.service) {
        return Err(Flaw::SignatureTag);
    }
    // `Date` counts where the field of AWS is not there; it must be signed then, as those of AWS must anyway.
    let (time, moment) = match only(transaction, &AMZ_DATE)? {
        Some(time) => (time.to_owned(), moment(time)?),
        None => {
            let date = only(transaction, &DATE)?.ok_or(Flaw::SignatureParameter("x-amz-date"))?;
            if !parsed.signed.contains(&DATE.as_str()) {
                return Err(Flaw::SignatureComponents);
            }
            of_date(date)?
        }
    };
    if !time.starts_with(parsed.date) {
        return Err(Flaw::SignatureMismatch);
    }
    verifier.check_time(moment, transaction.started)?;
    demand(&parsed, transaction)?;
    let scope = format!("{}/{}/{}/aws4_request", parsed.date, parsed.region, parsed.service);
    let to_sign = format!("{ALGORITHM}\n{time}\n{scope}\n");
    let canonical = canonical(&parsed, transaction)?;
    let payload = only(transaction, &CONTENT)?;
    let keys: Vec<hmac::Key> = signing_keys(key, &parsed);
    let until = moment.plus(verifier.skew);
    let mut claim = Claim {
        principal: std::sync::Arc::clone(&key.principal),
        digests: Vec::new(),
        pending: None,
        once: None,
        max_body: verifier.max_body,
    };
    let Some(payload) = payload else {
        let form = Form::Aws { to_sign, canonical };
        let spent = Spent::Message { kind: verifier.name(), id: key.id.clone() };
        claim.pending = Some(Pending { keys, form, presented: vec![parsed.tag], spent, until });
        return Ok(Some(claim));
    };
    if payload == UNSIGNED {
        if !verifier.unsigned_payload {
            return Err(Flaw::SignatureComponents);
        }
    } else {
        // Chunked payloads sign each chunk by a signature of its own, which is not looked at here.
        let digest = unhex(payload).ok().filter(|digest| digest.len() == 32).ok_or(Flaw::DigestMalformed)?;
        claim.digests.push(Expected::Sha256(digest));
    }
    let canonical = format!("{canonical}{payload}");
    let message = format!("{to_sign}{}", hex(&sha256(&[canonical.as_bytes()])));
    if any_holds(&keys, message.as_bytes(), &[parsed.tag]) {
        let spent = replay::key(verifier.name(), key.id.as_bytes(), message.as_bytes());
        claim.once = Some((spent, until));
        Ok(Some(claim))
    } else {
        Err(Flaw::SignatureMismatch)
    }
}

fn parse(field: &str) -> Result<Authorization<'_>, Flaw> {
    let rest = field.strip_prefix(ALGORITHM).ok_or(Flaw::SignatureMalformed)?;
    let (mut credential, mut signed, mut tag) = (None, None, None);
    for part in rest.split(',') {
        let (name, value) = part.trim().split_once('=').ok_or(Flaw::SignatureMalformed)?;
        let slot = match name {
            "Credential" => &mut credential,
            "SignedHeaders" => &mut signed,
            "Signature" => &mut tag,
            _ => return Err(Flaw::SignatureMalformed),
        };
        if slot.replace(value).is_some() {
            return Err(Flaw::SignatureMalformed);
        }
    }
    let mut scope = credential.ok_or(Flaw::SignatureParameter("Credential"))?.rsplitn(5, '/');
    let (Some("aws4_request"), Some(service), Some(region), Some(date), Some(key)) =
        (scope.next(), scope.next(), scope.next(), scope.next(), scope.next())
    else {
        return Err(Flaw::SignatureParameter("Credential"));
    };
    let signed: Vec<&str> = signed.ok_or(Flaw::SignatureParameter("SignedHeaders"))?.split(';').collect();
    let tag = unhex(tag.ok_or(Flaw::SignatureParameter("Signature"))?)?;
    // In order and each once, so that no two requests have the same canonical form.
    let ordered = signed.windows(2).all(|pair| matches!(pair, [first, second] if first < second));
    if tag.len() != 32 || date.len() != 8 || signed.len() > MAX_FIELDS || !ordered {
        return Err(Flaw::SignatureMalformed);
    }
    Ok(Authorization { key, date, region, service, signed, tag })
}

/// The host and every field of AWS must be signed, the date among them.
fn demand(parsed: &Authorization<'_>, transaction: &Transaction) -> Result<(), Flaw> {
    let names = transaction.request.headers.keys().map(HeaderName::as_str);
    let signed = |name: &str| parsed.signed.contains(&name);
    if signed("host") && names.filter(|name| name.starts_with("x-amz-")).all(signed) {
        Ok(())
    } else {
        Err(Flaw::SignatureComponents)
    }
}

/// The canonical request up to the hash of the payload.
fn canonical(parsed: &Authorization<'_>, transaction: &Transaction) -> Result<String, Flaw> {
    let message = Message::of(transaction);
    // All services but S3 encode the path once more.
    let path = match parsed.service {
        "s3" => message.path.clone().into_owned(),
        _ => percent_encode(tidy(&message.path).as_bytes(), ENCODED_PATH).to_string(),
    };
    let mut parameters = Vec::new();
    let query = message.query.as_deref().unwrap_or_default();
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        // `+` stays as it is: a form reads it as a space, and so it must not pass for `%2B`.
        let again = |text: &str| {
            let encoded = |part: &str| {
                let bytes: Vec<u8> = percent_decode(part.as_bytes()).collect();
                percent_encode(&bytes, ENCODED).to_string()
            };
            text.split('+').map(encoded).collect::<Vec<_>>().join("+")
        };
        parameters.push((again(name), again(value)));
        if parameters.len() > MAX_PARAMETERS {
            return Err(Flaw::SignatureMalformed);
        }
    }
    parameters.sort();
    let parameters: Vec<String> = parameters.iter().map(|(name, value)| format!("{name}={value}")).collect();
    let mut text = format!("{}\n{path}\n{}\n", message.method, parameters.join("&"));
    for name in &parsed.signed {
        let values: Vec<String> = message
            .headers
            .get_all(*name)
            .iter()
            .map(|value| value.to_str().map(squeeze))
            .collect::<Result<_, _>>()
            .map_err(|_| Flaw::SignatureComponent)?;
        let value = match (values.is_empty(), *name) {
            (false, _) => values.join(","),
            // HTTP/2 names the host elsewhere.
            (true, "host") => message.authority.clone().into_owned(),
            (true, _) => return Err(Flaw::SignatureComponent),
        };
        text.push_str(name);
        text.push(':');
        text.push_str(&value);
        text.push('\n');
    }
    text.push('\n');
    text.push_str(&parsed.signed.join(";"));
    text.push('\n');
    Ok(text)
}

/// Without spaces around, and one for each run of them.
fn squeeze(text: &str) -> String {
    text.split(' ').filter(|word| !word.is_empty()).collect::<Vec<_>>().join(" ")
}

/// A path without empty and dot segments (RFC 3986 section 5.2.4), as its signers write it.
fn tidy(path: &str) -> String {
    let mut kept: Vec<&str> = Vec::new();
    for segment in path.split('/') {
        match segment {
            "" | "." => {}
            ".." => drop(kept.pop()),
            segment => kept.push(segment),
        }
    }
    let end = if path.ends_with('/') && !kept.is_empty() { "/" } else { "" };
    format!("/{}{end}", kept.join("/"))
}

/// The moment that a `Date` names, and how AWS writes it in what is signed.
fn of_date(date: &str) -> Result<(String, Timestamp), Flaw> {
    if let Ok(read) = moment(date) {
        return Ok((date.to_owned(), read));
    }
    // RFC 9110 section 5.6.7 writes `GMT`, which RFC 2822 reads as a zone of old.
    let wrong = Flaw::SignatureParameter("date");
    let time = OffsetDateTime::parse(date, &Rfc2822).map_err(|_| wrong)?.to_offset(time::UtcOffset::UTC);
    let seconds = u64::try_from(time.unix_timestamp()).map_err(|_| wrong)?;
    let text = format!(
        "{:04}{:02}{:02}T{:02}{:02}{:02}Z",
        time.year(),
        u8::from(time.month()),
        time.day(),
        time.hour(),
        time.minute(),
        time.second()
    );
    Ok((text, Timestamp::from_seconds(seconds)))
}

/// `YYYYMMDD'T'HHMMSS'Z'`.
fn moment(text: &str) -> Result<Timestamp, Flaw> {
    let wrong = Flaw::SignatureParameter("x-amz-date");
    let number = |from: usize, to: usize| {
        text.get(from..to).filter(|part| part.bytes().all(|b| b.is_ascii_digit()))?.parse::<u16>().ok()
    };
    let read = || {
        let small = |from, to| u8::try_from(number(from, to)?).ok();
        let month = Month::try_from(small(4, 6)?).ok()?;
        let date = Date::from_calendar_date(i32::from(number(0, 4)?), month, small(6, 8)?).ok()?;
        let time = Time::from_hms(small(9, 11)?, small(11, 13)?, small(13, 15)?).ok()?;
        u64::try_from(PrimitiveDateTime::new(date, time).assume_utc().unix_timestamp()).ok()
    };
    let framed = text.len() == 16 && text.get(8..9) == Some("T") && text.ends_with('Z');
    let seconds = framed.then(read).flatten().ok_or(wrong)?;
    Ok(Timestamp::from_seconds(seconds))
}

/// The keys of the day, region and service, one for each secret.
fn signing_keys(key: &KnownKey, parsed: &Authorization<'_>) -> Vec<hmac::Key> {
    let keyed = |key: &[u8]| hmac::Key::new(hmac::HMAC_SHA256, key);
    let derive = |secret: &[u8]| {
        [parsed.date, parsed.region, parsed.service, "aws4_request"]
            .iter()
            .fold(keyed(secret), |key, part| keyed(hmac::sign(&key, part.as_bytes()).as_ref()))
    };
    key.secrets.iter().map(|secret| derive(&[b"AWS4", secret.expose().as_slice()].concat())).collect()
}
