//! The header of the PROXY protocol, version 2 (section 2.2 of its specification).

use std::net::{IpAddr, Ipv6Addr, SocketAddr};

const SIGNATURE: [u8; 12] = *b"\r\n\r\n\0\r\nQUIT\n";

/// The header that says that `from` connected to `to` by TCP.
pub fn header(from: SocketAddr, to: SocketAddr) -> Vec<u8> {
    let mut header = SIGNATURE.to_vec();
    // Version 2, the command PROXY.
    header.push(0x21);
    match (from.ip(), to.ip()) {
        (IpAddr::V4(source), IpAddr::V4(destination)) => {
            header.extend([0x11, 0, 12]);
            header.extend(source.octets());
            header.extend(destination.octets());
        }
        (source, destination) => {
            header.extend([0x21, 0, 36]);
            header.extend(wide(source).octets());
            header.extend(wide(destination).octets());
        }
    }
    header.extend(from.port().to_be_bytes());
    header.extend(to.port().to_be_bytes());
    header
}

fn wide(address: IpAddr) -> Ipv6Addr {
    match address {
        IpAddr::V4(address) => address.to_ipv6_mapped(),
        IpAddr::V6(address) => address,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_have_the_form_of_the_specification() {
        let to: SocketAddr = "127.0.0.1:8080".parse().expect("an address");
        let four = header("198.18.0.7:40000".parse().expect("an address"), to);
        assert_eq!(four.get(..16), Some(b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c".as_slice()));
        assert_eq!(four.get(16..), Some([198, 18, 0, 7, 127, 0, 0, 1, 0x9c, 0x40, 0x1f, 0x90].as_slice()));
        let six = header("[2001:db8::7]:40000".parse().expect("an address"), to);
        assert_eq!((six.len(), six.get(12..16)), (16 + 36, Some([0x21, 0x21, 0, 36].as_slice())));
    }
}
