//! Client certificates as guards see them: read from DER (RFC 5280), and from the fields by which a trusted proxy passes
//! them on (RFC 9440).

use std::{
    fmt::Write as _,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    sync::Arc,
};

use bartizan_model::{ClientCertificate, SubjectName, Timestamp, Witness};
use http::{HeaderMap, HeaderName};
use sfv::{BareItem, Item, List, ListEntry, Parser};
use x509_parser::{
    extensions::GeneralName,
    parse_x509_certificate,
    time::ASN1Time,
    x509::{AttributeTypeAndValue, X509Name},
};

use super::jwks::sha256;

/// `Client-Cert` (RFC 9440 section 2.2).
pub const CLIENT_CERT: HeaderName = HeaderName::from_static("client-cert");

/// `Client-Cert-Chain` (RFC 9440 section 2.3).
pub const CLIENT_CERT_CHAIN: HeaderName = HeaderName::from_static("client-cert-chain");

/// The largest certificate that is read, in bytes: ten times what authorities issue.
const MAX_CERTIFICATE: usize = 16 * 1024;

/// Certificates of one chain: longer ones are not built.
const MAX_CHAIN: usize = 8;

/// Alternative names that are kept: more are issued to servers, never to a client.
const MAX_NAMES: usize = 64;

/// Bytes of one name.
const MAX_NAME: usize = 1024;

/// Reads a leaf and the certificates that came with it.
///
/// # Errors
/// What is wrong with the leaf, as a clause. What is wrong with the others shows when the chain is verified.
pub fn read(leaf: &[u8], chain: &[&[u8]], witness: Witness) -> Result<ClientCertificate, &'static str> {
    if leaf.len() > MAX_CERTIFICATE || chain.iter().any(|der| der.len() > MAX_CERTIFICATE) {
        return Err("a certificate is larger than 16 KiB");
    }
    if chain.len() > MAX_CHAIN {
        return Err("the chain has more than 8 certificates");
    }
    let (rest, certificate) = parse_x509_certificate(leaf).map_err(|_| "it is no X.509 certificate")?;
    if !rest.is_empty() {
        return Err("something follows the certificate");
    }
    let alternative =
        certificate.subject_alternative_name().map_err(|_| "its alternative names cannot be read")?;
    let mut names = Vec::new();
    for name in alternative.iter().flat_map(|extension| &extension.value.general_names).take(MAX_NAMES) {
        names.extend(subject_name(name)?);
    }
    let mut serial = String::new();
    let digits = certificate.raw_serial();
    for byte in digits.iter().skip_while(|byte| **byte == 0) {
        let _ = write!(serial, "{byte:02x}");
    }
    let validity = certificate.validity();
    Ok(ClientCertificate {
        der: leaf.into(),
        chain: chain.iter().map(|der| Arc::from(*der)).collect(),
        fingerprint: sha256(&[leaf]),
        subject: distinguished_name(certificate.subject())?.into(),
        issuer: distinguished_name(certificate.issuer())?.into(),
        serial: serial.into(),
        names: names.into(),
        not_before: moment(validity.not_before),
        not_after: moment(validity.not_after),
        witness,
    })
}

/// Reads `Client-Cert` and `Client-Cert-Chain`; nothing where the first one is absent.
///
/// # Errors
/// What is wrong with the fields, as a clause: who sends them is trusted, so they are not ignored.
pub fn from_fields(headers: &HeaderMap) -> Result<Option<ClientCertificate>, &'static str> {
    let mut fields = headers.get_all(CLIENT_CERT).iter();
    let Some(field) = fields.next() else {
        return if headers.contains_key(CLIENT_CERT_CHAIN) {
            Err("`Client-Cert-Chain` comes without `Client-Cert`")
        } else {
            Ok(None)
        };
    };
    if fields.next().is_some() {
        return Err("`Client-Cert` came more than once");
    }
    let item: Item =
        Parser::new(field.as_bytes()).parse().map_err(|_| "`Client-Cert` is no structured field")?;
    let BareItem::ByteSequence(leaf) = item.bare_item else {
        return Err("`Client-Cert` is no byte sequence");
    };
    let mut text = Vec::new();
    for value in headers.get_all(CLIENT_CERT_CHAIN) {
        if !text.is_empty() {
            text.extend_from_slice(b", ");
        }
        text.extend_from_slice(value.as_bytes());
    }
    let list: List = Parser::new(&text).parse().map_err(|_| "`Client-Cert-Chain` is no structured field")?;
    let mut chain = Vec::new();
    for entry in &list {
        match entry {
            ListEntry::Item(Item { bare_item: BareItem::ByteSequence(der), .. }) => {
                chain.push(der.as_slice())
            }
            _ => return Err("`Client-Cert-Chain` holds something other than byte sequences"),
        }
    }
    read(&leaf, &chain, Witness::Proxy).map(Some)
}

/// A name that means something here. A kind that is not understood is left out; one that is, but holds what no such name
/// does, makes the whole certificate doubtful.
fn subject_name(name: &GeneralName<'_>) -> Result<Option<SubjectName>, &'static str> {
    const DOUBTFUL: &str = "an alternative name is empty, too long or holds control characters";
    let plain = |text: &str| {
        if text.is_empty() || text.len() > MAX_NAME || text.bytes().any(|b| !b.is_ascii_graphic()) {
            Err(DOUBTFUL)
        } else {
            Ok(Arc::<str>::from(text))
        }
    };
    Ok(Some(match name {
        GeneralName::DNSName(text) => SubjectName::Dns(plain(&text.to_ascii_lowercase())?),
        GeneralName::URI(text) => SubjectName::Uri(plain(text)?),
        GeneralName::RFC822Name(text) => SubjectName::Email(plain(text)?),
        GeneralName::IPAddress(bytes) => SubjectName::Ip(address(bytes).ok_or(DOUBTFUL)?),
        GeneralName::Invalid(..) => return Err(DOUBTFUL),
        _ => return Ok(None),
    }))
}

fn address(bytes: &[u8]) -> Option<IpAddr> {
    if let Ok(four) = <[u8; 4]>::try_from(bytes) {
        return Some(Ipv4Addr::from(four).into());
    }
    <[u8; 16]>::try_from(bytes).ok().map(|sixteen| Ipv6Addr::from(sixteen).into())
}

/// A distinguished name as RFC 4514 writes it: most specific part first.
fn distinguished_name(name: &X509Name<'_>) -> Result<String, &'static str> {
    let mut text = String::new();
    let parts: Vec<_> = name.iter_rdn().collect();
    for (index, part) in parts.iter().rev().enumerate() {
        if index > 0 {
            text.push(',');
        }
        for (index, attribute) in part.iter().enumerate() {
            if index > 0 {
                text.push('+');
            }
            write_attribute(attribute, &mut text);
        }
        if text.len() > 2 * MAX_NAME {
            return Err("a distinguished name is longer than 2 KiB");
        }
    }
    Ok(text)
}

/// RFC 4514 sections 2.3 and 2.4; a value that is no text is written as its hex.
fn write_attribute(attribute: &AttributeTypeAndValue<'_>, text: &mut String) {
    let oid = attribute.attr_type().to_id_string();
    let name = match oid.as_str() {
        "2.5.4.3" => "CN",
        "2.5.4.5" => "serialNumber",
        "2.5.4.6" => "C",
        "2.5.4.7" => "L",
        "2.5.4.8" => "ST",
        "2.5.4.9" => "STREET",
        "2.5.4.10" => "O",
        "2.5.4.11" => "OU",
        "0.9.2342.19200300.100.1.25" => "DC",
        "0.9.2342.19200300.100.1.1" => "UID",
        "1.2.840.113549.1.9.1" => "emailAddress",
        other => other,
    };
    text.push_str(name);
    text.push('=');
    let Ok(value) = attribute.as_str() else {
        text.push('#');
        for byte in attribute.as_slice() {
            let _ = write!(text, "{byte:02x}");
        }
        return;
    };
    let last = value.chars().count().saturating_sub(1);
    for (index, c) in value.chars().enumerate() {
        match c {
            '"' | '+' | ',' | ';' | '<' | '>' | '\\' => {
                text.push('\\');
                text.push(c);
            }
            ' ' | '#' if index == 0 => {
                text.push('\\');
                text.push(c);
            }
            ' ' if index == last => text.push_str("\\ "),
            c if c.is_control() => {
                let mut bytes = [0; 4];
                for byte in c.encode_utf8(&mut bytes).bytes() {
                    let _ = write!(text, "\\{byte:02x}");
                }
            }
            c => text.push(c),
        }
    }
}

/// Times before 1970 are as good as 1970.
fn moment(time: ASN1Time) -> Timestamp {
    Timestamp::from_seconds(u64::try_from(time.timestamp()).unwrap_or(0))
}
