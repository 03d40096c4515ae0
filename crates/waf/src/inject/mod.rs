//! Detectors of injection that judge the shape of a text: SQL and cross-site scripting.
//!
//! Verdicts and fingerprints are those of libinjection 3.10, through its port in `libinjectionrs`.

use libinjectionrs::{detect_sqli, detect_xss};

/// What libinjection calls the fingerprint of an injection: up to eight letters, one for each token.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Fingerprint {
    letters: [u8; 8],
    length: usize,
}

impl Fingerprint {
    /// The letters.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        self.letters.get(..self.length).unwrap_or_default()
    }
}

/// The fingerprint of the injection of SQL that `value` is, if it is one.
#[must_use]
pub fn sqli(value: &[u8]) -> Option<Fingerprint> {
    let result = detect_sqli(value);
    let fingerprint = result.fingerprint.as_ref().filter(|_| result.is_injection())?;
    let mut letters = [0; 8];
    let mut length = 0;
    for (place, letter) in letters.iter_mut().zip(fingerprint.as_str().bytes()) {
        *place = letter;
        length += 1;
    }
    Some(Fingerprint { letters, length })
}

/// Whether `value` is markup that runs a script.
#[must_use]
pub fn xss(value: &[u8]) -> bool {
    detect_xss(value).is_injection()
}
