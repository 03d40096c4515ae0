//! First messages of clients that speak, or claim to speak, no more than TLS 1.1, or only what is broken.

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
};

use crate::server::SILENCE;

/// A ClientHello and what it offers.
pub struct Hello {
    /// For people.
    pub name: &'static str,
    /// As sent.
    pub bytes: Vec<u8>,
}

/// What a server said to a ClientHello.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Said {
    /// A fatal alert with this description (RFC 8446 section 6).
    Alert(u8),
    /// Nothing: the connection ended.
    Nothing,
    /// Anything else; a ServerHello is the beginning of an agreement.
    Spoke,
}

const SSL_3: u16 = 0x0300;
const TLS_1_0: u16 = 0x0301;
const TLS_1_1: u16 = 0x0302;
const TLS_1_2: u16 = 0x0303;

/// ECDHE with ECDSA or RSA, AES in CBC mode and SHA-1: what browsers of the time offered first.
const OF_THE_TIME: &[u16] = &[0xC009, 0xC00A, 0xC013, 0xC014, 0x002F, 0x0035, 0x000A];
/// RC4, 3DES, export grade, no encryption at all, and RSA key exchange.
const BROKEN: &[u16] = &[0x0004, 0x0005, 0x000A, 0x0003, 0x0002, 0x0001, 0x0000, 0x002F, 0x009C];
/// Suites of TLS 1.2 that are fine.
const FINE: &[u16] = &[0xC02B, 0xC02C, 0xC02F, 0xC030, 0xCCA9, 0xCCA8];
/// RFC 7507: "this is a fallback".
const FALLBACK: u16 = 0x5600;

/// The downgrades.
#[must_use]
pub fn downgraded(name: &str) -> Vec<Hello> {
    let hello = |version, suites: &[u16], versions: Option<&[u16]>| {
        client_hello(version, suites, (version > SSL_3).then_some(name), versions)
    };
    let with_fallback: Vec<u16> = OF_THE_TIME.iter().copied().chain([FALLBACK]).collect();
    vec![
        Hello { name: "SSL 2.0", bytes: ssl_2_hello(0x0002) },
        Hello { name: "SSL 2.0 form, offering TLS 1.0", bytes: ssl_2_hello(TLS_1_0) },
        Hello { name: "SSL 3.0", bytes: hello(SSL_3, BROKEN, None) },
        Hello { name: "TLS 1.0", bytes: hello(TLS_1_0, OF_THE_TIME, None) },
        Hello { name: "TLS 1.1", bytes: hello(TLS_1_1, OF_THE_TIME, None) },
        Hello { name: "TLS 1.1 as a fallback", bytes: hello(TLS_1_1, &with_fallback, None) },
        Hello { name: "TLS 1.0 with suites of 1.2", bytes: hello(TLS_1_0, FINE, None) },
        Hello {
            name: "TLS 1.2 that lists 1.1 and 1.0",
            bytes: hello(TLS_1_2, FINE, Some(&[TLS_1_1, TLS_1_0])),
        },
        Hello { name: "TLS 1.2 with broken suites", bytes: hello(TLS_1_2, BROKEN, None) },
        Hello { name: "TLS 1.2 in CBC mode", bytes: hello(TLS_1_2, OF_THE_TIME, None) },
    ]
}

/// A ClientHello (RFC 5246 section 7.4.1.2) in a record.
fn client_hello(version: u16, suites: &[u16], name: Option<&str>, versions: Option<&[u16]>) -> Vec<u8> {
    let mut body = version.to_be_bytes().to_vec();
    body.extend_from_slice(&[0x5C; 32]);
    body.push(0);
    body.extend(prefixed(&list(suites)));
    body.extend_from_slice(&[1, 0]);
    if let Some(name) = name {
        let mut extensions = Vec::new();
        let host = [&[0], prefixed(name.as_bytes()).as_slice()].concat();
        extension(&mut extensions, 0, &prefixed(&host));
        // x25519, secp256r1, secp384r1; uncompressed points; signatures of every kind.
        extension(&mut extensions, 10, &prefixed(&list(&[29, 23, 24])));
        extension(&mut extensions, 11, &[1, 0]);
        extension(&mut extensions, 13, &prefixed(&list(&[0x0403, 0x0804, 0x0401, 0x0203, 0x0201])));
        if let Some(versions) = versions {
            let versions = list(versions);
            let count = u8::try_from(versions.len()).unwrap_or_default();
            extension(&mut extensions, 43, &[&[count], versions.as_slice()].concat());
        }
        body.extend(prefixed(&extensions));
    }
    let length = u32::try_from(body.len()).unwrap_or_default().to_be_bytes();
    let message = [&[1], length.get(1..).unwrap_or_default(), &body].concat();
    let outside = version.min(TLS_1_0).to_be_bytes();
    [&[22], outside.as_slice(), &prefixed(&message)].concat()
}

/// The hello of SSL 2.0, which later versions could be offered in (RFC 5246 appendix E.2).
fn ssl_2_hello(version: u16) -> Vec<u8> {
    let suites: Vec<u8> = [0x00_00_35_u32, 0x00_00_2F, 0x01_00_80]
        .iter()
        .flat_map(|s| s.to_be_bytes().into_iter().skip(1))
        .collect();
    let mut body = vec![1];
    body.extend_from_slice(&version.to_be_bytes());
    body.extend_from_slice(&u16::try_from(suites.len()).unwrap_or_default().to_be_bytes());
    body.extend_from_slice(&[0, 0, 0, 16]);
    body.extend_from_slice(&suites);
    body.extend_from_slice(&[0x5C; 16]);
    let length = 0x8000 | u16::try_from(body.len()).unwrap_or_default();
    [length.to_be_bytes().as_slice(), &body].concat()
}

fn list(numbers: &[u16]) -> Vec<u8> {
    numbers.iter().flat_map(|number| number.to_be_bytes()).collect()
}

/// With its length in two bytes before it.
fn prefixed(bytes: &[u8]) -> Vec<u8> {
    [u16::try_from(bytes.len()).unwrap_or_default().to_be_bytes().as_slice(), bytes].concat()
}

fn extension(to: &mut Vec<u8>, kind: u16, body: &[u8]) {
    to.extend_from_slice(&kind.to_be_bytes());
    to.extend(prefixed(body));
}

/// Says hello and hears what is said to it.
#[must_use]
pub fn say(address: SocketAddr, hello: &[u8]) -> Said {
    let Ok(mut stream) = TcpStream::connect_timeout(&address, SILENCE) else { return Said::Nothing };
    let _ = stream.set_read_timeout(Some(SILENCE));
    if stream.write_all(hello).is_err() {
        return Said::Nothing;
    }
    let mut answer = [0; 7];
    let mut read = 0;
    while let Some(room) = answer.get_mut(read..).filter(|room| !room.is_empty()) {
        match stream.read(room) {
            Ok(0) | Err(_) => break,
            Ok(more) => read += more,
        }
    }
    match (read, answer) {
        (0, _) => Said::Nothing,
        // RFC 8446 section 6: a record of two bytes, fatal, and why.
        (7, [21, _, _, 0, 2, 2, why]) => Said::Alert(why),
        _ => Said::Spoke,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::indexing_slicing, reason = "tests assert")]
    use super::*;

    #[test]
    fn lengths_are_right() {
        for hello in downgraded("bank.test").iter().filter(|hello| hello.bytes[0] == 22) {
            let bytes = &hello.bytes;
            assert_eq!(
                usize::from(u16::from_be_bytes([bytes[3], bytes[4]])) + 5,
                bytes.len(),
                "{}",
                hello.name
            );
            let inside = u32::from_be_bytes([0, bytes[6], bytes[7], bytes[8]]);
            assert_eq!(inside as usize + 9, bytes.len(), "{}", hello.name);
        }
        let old = ssl_2_hello(2);
        assert_eq!(usize::from(u16::from_be_bytes([old[0] & 0x7F, old[1]])) + 2, old.len());
    }
}
