//! The requests that everybody is measured with: four shapes of harmless traffic, as bytes on the wire.

use std::fmt::Write as _;

/// One shape.
pub struct Shape {
    /// How it is called.
    pub name: &'static str,
    /// The whole request.
    pub bytes: Vec<u8>,
}

/// All of them, from small to large.
pub fn shapes() -> Vec<Shape> {
    let mut query = "/shop/search?".to_owned();
    for (number, value) in WORDS.iter().cycle().take(27).enumerate() {
        let _ = write!(
            query,
            "{}field{number}={}",
            if number > 0 { "&" } else { "" },
            value.replace(' ', "+").replace('@', "%40")
        );
    }
    vec![
        Shape { name: "small GET", bytes: request("/api/items/42?page=2", "") },
        Shape { name: "GET, 27 values", bytes: request(&query, "") },
        Shape { name: "2 KB JSON", bytes: request("/api/orders", &json(2 << 10)) },
        Shape { name: "32 KB JSON", bytes: request("/api/orders", &json(32 << 10)) },
    ]
}

/// What people type and programs send.
const WORDS: [&str; 13] = [
    "blue shoes",
    "42",
    "Anna Berg",
    "2026-03-14",
    "anna.berg@example.com",
    "Lindenweg 12",
    "true",
    "in stock",
    "price ascending",
    "9f1c2a77-5d0e-4b7a-9c1d-3f6e8a2b4c5d",
    "size 38 wide fit",
    "de-DE",
    "a longer note that somebody typed about the delivery",
];

/// An order of about so many bytes, of values of every day; 32 KB have some 900 values, fewer than the 1,000 that the
/// recommended configuration of ModSecurity reads.
fn json(bytes: usize) -> String {
    let mut text = "{\"items\":[".to_owned();
    let mut words = WORDS.iter().cycle();
    let mut number = 0;
    while text.len() < bytes {
        let mut word = || words.next().copied().unwrap_or_default();
        let comma = if number > 0 { "," } else { "" };
        let (name, note) = (word(), [word(), word(), word()].join(" "));
        let _ = write!(
            text,
            "{comma}{{\"id\":{number},\"name\":\"{name}\",\"note\":\"{note}\",\"address\":\"{}, {}\"}}",
            word(),
            word(),
        );
        number += 1;
    }
    text + "]}"
}

/// A request as a browser sends it; `POST` where there is a body.
fn request(target: &str, body: &str) -> Vec<u8> {
    let (method, more) = if body.is_empty() {
        ("GET", String::new())
    } else {
        ("POST", format!("Content-Type: application/json\r\nContent-Length: {}\r\n", body.len()))
    };
    format!(
        "{method} {target} HTTP/1.1\r\nHost: shop.example\r\n\
         User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0\r\n\
         Accept: application/json, text/plain, */*\r\nAccept-Language: de,en;q=0.5\r\n\
         Accept-Encoding: gzip, deflate, br\r\nConnection: keep-alive\r\n\
         Cookie: session=8f14e45fceea167a5a36dedd4bea2543; theme=dark\r\n{more}\r\n{body}"
    )
    .into_bytes()
}

/// A request with a body of this type and coding, on a connection of its own.
pub fn post(content_type: &str, coding: &str, body: &[u8]) -> Vec<u8> {
    let coding = if coding.is_empty() { String::new() } else { format!("Content-Encoding: {coding}\r\n") };
    let head = format!(
        "POST /api/orders HTTP/1.1\r\nHost: shop.example\r\nUser-Agent: Mozilla/5.0\r\nAccept: */*\r\nConnection: close\r\n\
         Content-Type: {content_type}\r\n{coding}Content-Length: {}\r\n\r\n",
        body.len()
    );
    [head.as_bytes(), body].concat()
}
