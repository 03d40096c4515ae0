//! Looking for secrets in whatever a process left: in every form that a careless sink could have given them.

use std::{
    collections::HashMap,
    fs::File,
    io::{self, Read},
    path::Path,
};

use base64::{
    Engine,
    engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE_NO_PAD},
};

/// A piece of a secret this long is a find: shorter ones occur by chance.
pub const PIECE: usize = 12;

/// Bytes of one sink that are looked at at most; holes of a core dump do not count.
const MOST: usize = 256 << 20;

/// A file is read in blocks of this.
const BLOCK: usize = 64 << 10;

type Window = [u8; PIECE];

/// The forms of all secrets, ready to be looked for.
pub struct Search {
    /// Every window of every form, with the number of its secret.
    windows: HashMap<Window, usize>,
    /// Which pairs of bytes a window begins with: all others are passed over quickly.
    begins: Vec<bool>,
}

impl Search {
    /// Of these secrets.
    #[must_use]
    pub fn new<'s>(secrets: impl IntoIterator<Item = &'s str>) -> Self {
        let mut search = Search { windows: HashMap::new(), begins: vec![false; 1 << 16] };
        for (number, secret) in secrets.into_iter().enumerate() {
            for form in forms(secret) {
                for window in windows(&form) {
                    search.windows.insert(window, number);
                    if let Some(begins) = search.begins.get_mut(pair(&window)) {
                        *begins = true;
                    }
                }
            }
        }
        search
    }

    /// The numbers of the secrets that are in these bytes as they are, in small letters or percent-decoded, sorted.
    #[must_use]
    pub fn find(&self, bytes: &[u8]) -> Vec<usize> {
        let mut found = Vec::new();
        self.look(bytes, &mut found);
        if bytes.iter().any(u8::is_ascii_uppercase) {
            self.look(&bytes.to_ascii_lowercase(), &mut found);
        }
        let mut decoded = bytes.to_vec();
        // Twice: what is encoded twice is a secret still.
        for _ in 0..2 {
            if !decoded.contains(&b'%') {
                break;
            }
            decoded = percent_encoding::percent_decode(&decoded).collect();
            self.look(&decoded, &mut found);
        }
        found.sort_unstable();
        found.dedup();
        found
    }

    fn look(&self, bytes: &[u8], found: &mut Vec<usize>) {
        for window in bytes.windows(PIECE) {
            if self.begins.get(pair(window)) != Some(&true) {
                continue;
            }
            if let Ok(window) = Window::try_from(window)
                && let Some(&number) = self.windows.get(&window)
                && !found.contains(&number)
            {
                found.push(number);
            }
        }
    }
}

/// What is in a file, without its blocks of zeros: a core dump is mostly holes.
///
/// # Errors
/// It could not be read.
pub fn contents(file: &Path) -> io::Result<Vec<u8>> {
    let mut file = File::open(file)?;
    let (mut block, zeros) = (vec![0; BLOCK], vec![0; BLOCK]);
    let mut bytes = Vec::new();
    while bytes.len() < MOST {
        let read = file.read(&mut block)?;
        if read == 0 {
            break;
        }
        let read = block.get(..read).unwrap_or_default();
        if Some(read) != zeros.get(..read.len()) {
            bytes.extend_from_slice(read);
        }
    }
    Ok(bytes)
}

/// The number of the first two bytes.
fn pair(window: &[u8]) -> usize {
    match window {
        [first, second, ..] => usize::from(u16::from_be_bytes([*first, *second])),
        _ => 0,
    }
}

fn windows(form: &[u8]) -> impl Iterator<Item = Window> {
    form.windows(PIECE).filter_map(|window| window.try_into().ok())
}

/// As it is, in small letters, reversed, in hexadecimal digits, and in base64 wherever it may begin in what is encoded.
fn forms(secret: &str) -> Vec<Vec<u8>> {
    let bytes = secret.as_bytes();
    let mut forms = vec![
        bytes.to_vec(),
        bytes.to_ascii_lowercase(),
        bytes.iter().rev().copied().collect(),
        bytes.iter().flat_map(|byte| format!("{byte:02x}").into_bytes()).collect(),
        STANDARD.encode(bytes).into_bytes(),
    ];
    for before in 0..3 {
        let text: Vec<u8> = std::iter::repeat_n(0, before).chain(bytes.iter().copied()).collect();
        for encoded in [STANDARD_NO_PAD.encode(&text), URL_SAFE_NO_PAD.encode(&text)] {
            // The first and last digits depend on what stands before and after.
            let inside = encoded.get(before * 2..encoded.len().saturating_sub(2));
            forms.push(inside.unwrap_or_default().as_bytes().to_vec());
        }
    }
    forms
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: &str = "Zq8Lw3Xr7Tn2Bv5Kd9Mf";

    fn finds(text: &str) -> bool {
        !Search::new([SECRET]).find(text.as_bytes()).is_empty()
    }

    #[test]
    fn every_form_is_found() {
        let percent: String = SECRET.bytes().map(|byte| format!("%{byte:02x}")).collect();
        let twice = percent.replace('%', "%25");
        for text in [
            format!("token={SECRET}"),
            SECRET.to_lowercase(),
            SECRET.to_uppercase(),
            SECRET.chars().rev().collect(),
            percent,
            twice,
            SECRET[4..16].to_owned(),
            STANDARD.encode(SECRET),
            STANDARD.encode(format!("u:{SECRET}")),
            STANDARD.encode(format!("user:{SECRET}\n")),
            URL_SAFE_NO_PAD.encode(format!("abc{SECRET}")),
            SECRET.bytes().map(|byte| format!("{byte:02X}")).collect(),
        ] {
            assert!(finds(&text), "{text}");
        }
    }

    #[test]
    fn what_is_not_there_is_not_found() {
        assert!(!finds("Zq8Lw3Xr7Tn and then something else"));
        assert!(!finds(""));
        assert!(!finds(&"a%zz%".repeat(100)));
        let search = Search::new(["first-secret-of-all", "second-secret-of-all"]);
        assert_eq!(search.find(b"..second-secret-of-all.."), [1]);
        assert_eq!(search.find(b"-secret-of-all").len(), 1, "what two secrets share counts for one of them");
    }
}
