//! The PROXY protocol, versions 1 and 2: who is behind a trusted load balancer, told before the first byte of TLS or HTTP.
//!
//! Specification: haproxy's `proxy-protocol.txt`, sections 2.1 and 2.2. Type-length-value extensions are skipped.

use std::{
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
};

use tokio::io::{AsyncRead, AsyncReadExt};

const V2_SIGNATURE: &[u8; 12] = b"\r\n\r\n\0\r\nQUIT\n";

/// The longest version 1 line (section 2.1).
const V1_MAX: usize = 107;

/// The longest version 2 payload that is read: addresses and some extensions. The field allows 65,535.
const V2_MAX: usize = 4096;

/// Reads the header and answers the client's address; `None` for `UNKNOWN` and `LOCAL` (a health check of the proxy).
///
/// # Errors
/// The connection failed or what came is not a PROXY header.
pub async fn read<T: AsyncRead + Unpin>(io: &mut T) -> io::Result<Option<SocketAddr>> {
    let mut start = [0_u8; 12];
    io.read_exact(&mut start).await?;
    if &start == V2_SIGNATURE {
        let mut fixed = [0_u8; 4];
        io.read_exact(&mut fixed).await?;
        let [version_command, family, high, low] = fixed;
        let length = usize::from(u16::from_be_bytes([high, low]));
        if version_command >> 4 != 2 || version_command & 15 > 1 || length > V2_MAX {
            return Err(malformed());
        }
        let mut payload = vec![0_u8; length];
        io.read_exact(&mut payload).await?;
        return if version_command & 15 == 0 { Ok(None) } else { v2(family, &payload) };
    }
    let mut line = start.to_vec();
    while !line.ends_with(b"\r\n") {
        if line.len() >= V1_MAX {
            return Err(malformed());
        }
        line.push(io.read_u8().await?);
    }
    v1(&line)
}

fn malformed() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "not a PROXY protocol header")
}

/// `PROXY TCP4 192.0.2.1 198.51.100.1 56324 443\r\n`
fn v1(line: &[u8]) -> io::Result<Option<SocketAddr>> {
    let text = std::str::from_utf8(line).map_err(|_| malformed())?;
    let mut words = text.strip_suffix("\r\n").ok_or_else(malformed)?.split(' ');
    if words.next() != Some("PROXY") {
        return Err(malformed());
    }
    let family = words.next().ok_or_else(malformed)?;
    if family == "UNKNOWN" {
        return Ok(None);
    }
    let source: IpAddr = words.next().and_then(|w| w.parse().ok()).ok_or_else(malformed)?;
    let _: IpAddr = words.next().and_then(|w| w.parse().ok()).ok_or_else(malformed)?;
    let port: u16 = words.next().and_then(|w| w.parse().ok()).ok_or_else(malformed)?;
    let _: u16 = words.next().and_then(|w| w.parse().ok()).ok_or_else(malformed)?;
    let fits = matches!((family, source), ("TCP4", IpAddr::V4(_)) | ("TCP6", IpAddr::V6(_)));
    if !fits || words.next().is_some() {
        return Err(malformed());
    }
    Ok(Some(SocketAddr::new(source, port)))
}

fn v2(family: u8, payload: &[u8]) -> io::Result<Option<SocketAddr>> {
    match family >> 4 {
        1 => {
            let addresses: [u8; 12] =
                payload.get(..12).and_then(|b| b.try_into().ok()).ok_or_else(malformed)?;
            let [a, b, c, d, _, _, _, _, high, low, _, _] = addresses;
            let port = u16::from_be_bytes([high, low]);
            Ok(Some(SocketAddr::new(Ipv4Addr::new(a, b, c, d).into(), port)))
        }
        2 => {
            let source: [u8; 16] = payload.get(..16).and_then(|b| b.try_into().ok()).ok_or_else(malformed)?;
            let port: [u8; 2] = payload.get(32..34).and_then(|b| b.try_into().ok()).ok_or_else(malformed)?;
            if payload.len() < 36 {
                return Err(malformed());
            }
            Ok(Some(SocketAddr::new(Ipv6Addr::from(source).into(), u16::from_be_bytes(port))))
        }
        // AF_UNSPEC and AF_UNIX say nothing about an internet address.
        0 | 3 => Ok(None),
        _ => Err(malformed()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn parse(mut bytes: &[u8]) -> Result<(Option<SocketAddr>, usize), ()> {
        let address = read(&mut bytes).await.map_err(drop)?;
        Ok((address, bytes.len()))
    }

    #[tokio::test]
    async fn both_versions_leave_the_stream_behind_the_header() {
        let v1 = b"PROXY TCP4 192.0.2.7 198.51.100.1 56324 443\r\nGET";
        assert_eq!(parse(v1).await, Ok((Some("192.0.2.7:56324".parse().unwrap()), 3)));
        assert_eq!(parse(b"PROXY UNKNOWN\r\nGET").await, Ok((None, 3)));
        let mut v2 = V2_SIGNATURE.to_vec();
        v2.extend([0x21, 0x11, 0, 15, 192, 0, 2, 9, 1, 1, 1, 1, 0x12, 0x34, 0, 80, 4, 0, 0, b'G']);
        assert_eq!(parse(&v2).await, Ok((Some("192.0.2.9:4660".parse().unwrap()), 1)));
        let mut local = V2_SIGNATURE.to_vec();
        local.extend([0x20, 0, 0, 0, b'G']);
        assert_eq!(parse(&local).await, Ok((None, 1)));
    }

    #[tokio::test]
    async fn anything_else_is_refused() {
        for bytes in [
            &b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"[..],
            b"PROXY TCP4 192.0.2.7 198.51.100.1 56324\r\n",
            b"PROXY TCP6 192.0.2.7 198.51.100.1 56324 443\r\n",
            b"PROXY TCP4 192.0.2.7 198.51.100.1 56324 443 more\r\n",
            b"PROXY TCP4 192.0.2.7 198.51.100.1 99999 443\r\n",
        ] {
            assert_eq!(parse(bytes).await, Err(()), "{bytes:?}");
        }
    }
}
