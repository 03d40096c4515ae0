//! Planted secrets: made from the seed, in the shapes that real ones have.

use base64::{
    Engine,
    engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD},
};

/// What a secret looks like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// 32 letters and digits.
    Token,
    /// Three parts in base64url, as RFC 7519 has them.
    Jwt,
    /// 32 hexadecimal digits.
    Hex,
    /// A UUID.
    Uuid,
    /// Four words with dashes, all in small letters: what a log takes for a name.
    Words,
    /// Sixteen digits with a right Luhn digit.
    Card,
    /// Letters, digits and what has to be escaped in URLs and JSON.
    Password,
    /// `sk_live_` and 24 letters and digits.
    Key,
}

/// How a secret is written where it is planted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Written {
    /// As it is.
    Plainly,
    /// What a URL cannot hold, percent-encoded (RFC 3986 section 2.1).
    InUrl,
    /// Every byte percent-encoded.
    EveryByte,
    /// Every byte percent-encoded twice.
    Twice,
    /// In base64, after `user:`: as basic authentication has it (RFC 7617).
    Basic,
    /// In base64.
    Base64,
    /// As text of JSON.
    InJson,
    /// Inside the header and the claims of a JWT, `{s}` in each standing for it.
    InToken(&'static str, &'static str),
}

/// SplitMix64 (Steele, Lea and Flood 2014).
pub struct Draw(u64);

impl Draw {
    /// Draws of this seed.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Draw(seed ^ 0x5EC2_E75D_2177_0001)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ z >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ z >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ z >> 31
    }

    fn letters(&mut self, alphabet: &str, count: usize) -> String {
        let letters: Vec<char> = alphabet.chars().collect();
        let most = letters.len().max(1) as u64;
        (0..count).filter_map(|_| letters.get(usize::try_from(self.next() % most).ok()?)).collect()
    }

    /// A secret of this shape.
    #[must_use]
    pub fn secret(&mut self, shape: Shape) -> String {
        const MIXED: &str = "ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz23456789";
        const HEX: &str = "0123456789abcdef";
        match shape {
            Shape::Token => self.letters(MIXED, 32),
            Shape::Hex => self.letters(HEX, 32),
            Shape::Key => format!("sk_live_{}", self.letters(MIXED, 24)),
            Shape::Uuid => [8, 4, 4, 4, 12].map(|count| self.letters(HEX, count)).join("-"),
            Shape::Jwt => {
                let mut part = |count| URL_SAFE_NO_PAD.encode(self.letters(MIXED, count));
                [part(24), part(60), part(64)].join(".")
            }
            // Consonants and vowels in turn: words that nobody wrote, which look like words.
            Shape::Words => {
                let mut word = || {
                    let pair =
                        |draw: &mut Self| draw.letters("bdfgklmnprstvz", 1) + &draw.letters("aeiou", 1);
                    pair(self) + &pair(self) + &self.letters("nrstl", 1)
                };
                [word(), word(), word(), word()].join("-")
            }
            Shape::Password => {
                format!("{}\"{}\\{}+{}%", self.letters(MIXED, 13), "ä", self.letters(MIXED, 13), "&")
            }
            Shape::Card => {
                let digits = format!("4532{}", self.letters("0123456789", 11));
                let sum: u32 = digits
                    .bytes()
                    .rev()
                    .enumerate()
                    .map(|(at, digit)| {
                        let value = u32::from(digit.saturating_sub(b'0')) * if at % 2 == 0 { 2 } else { 1 };
                        value / 10 + value % 10
                    })
                    .sum();
                format!("{digits}{}", (10 - sum % 10) % 10)
            }
        }
    }
}

/// A secret as it is written at its place.
#[must_use]
pub fn written(secret: &str, how: Written) -> String {
    let percent = |bytes: &[u8]| bytes.iter().map(|byte| format!("%{byte:02X}")).collect::<String>();
    match how {
        Written::Plainly => secret.to_owned(),
        Written::InUrl => {
            percent_encoding::utf8_percent_encode(secret, percent_encoding::NON_ALPHANUMERIC).to_string()
        }
        Written::EveryByte => percent(secret.as_bytes()),
        Written::Twice => percent(percent(secret.as_bytes()).as_bytes()),
        Written::Basic => STANDARD.encode(format!("user:{secret}")),
        Written::Base64 => STANDARD.encode(secret),
        Written::InToken(header, claims) => {
            let part = |text: &str| URL_SAFE_NO_PAD.encode(text.replace("{s}", secret));
            format!(
                "{}.{}.{}",
                part(header),
                part(claims),
                part("no signature, but as long as one: 64 bytes in all")
            )
        }
        Written::InJson => serde_json::Value::from(secret).to_string().trim_matches('"').to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_depend_on_the_seed_alone() {
        let all = [
            Shape::Token,
            Shape::Jwt,
            Shape::Hex,
            Shape::Uuid,
            Shape::Words,
            Shape::Card,
            Shape::Password,
            Shape::Key,
        ];
        let of = |seed| all.map(|shape| Draw::new(seed).secret(shape));
        assert_eq!(of(1), of(1));
        assert!(of(1).iter().zip(&of(2)).all(|(one, two)| one != two));
        assert!(of(3).iter().all(|secret| secret.len() >= 16), "short ones could be found by chance");
        assert_eq!(written("a b", Written::Twice), "%25%36%31%25%32%30%25%36%32");
        assert_eq!(written("x", Written::Basic), "dXNlcjp4");
        assert_eq!(written("a\"b", Written::InJson), "a\\\"b");
    }
}
