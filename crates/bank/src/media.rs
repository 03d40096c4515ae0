//! What an uploaded document is, by its first bytes: what the sender calls it proves nothing.

/// What may be uploaded: nothing that a browser runs.
pub const MEDIA_TYPES: [&str; 4] = ["application/pdf", "image/png", "image/jpeg", "text/plain"];

/// The media type of a document, where it is one of [`MEDIA_TYPES`]. Text is UTF-8 without control characters, and does not
/// begin as a document that a browser would run.
pub fn sniff(bytes: &[u8]) -> Option<&'static str> {
    match bytes {
        [b'%', b'P', b'D', b'F', b'-', ..] => Some("application/pdf"),
        [0x89, b'P', b'N', b'G', b'\r', b'\n', 0x1a, b'\n', ..] => Some("image/png"),
        [0xff, 0xd8, 0xff, ..] => Some("image/jpeg"),
        _ => is_text(bytes).then_some("text/plain"),
    }
}

fn is_text(bytes: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(bytes) else { return false };
    let begins = text.trim_start_matches('\u{feff}').trim_start();
    !begins.starts_with('<') && !text.chars().any(|c| c.is_control() && !matches!(c, '\t' | '\n' | '\r'))
}

/// The media type of a `Content-Type`, without its parameters.
pub fn essence(content_type: &str) -> &str {
    content_type.split(';').next().unwrap_or_default().trim()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_bytes_decide() {
        assert_eq!(sniff(b"%PDF-1.7\n"), Some("application/pdf"));
        assert_eq!(sniff(b"\x89PNG\r\n\x1a\n...."), Some("image/png"));
        assert_eq!(sniff(b"\xff\xd8\xff\xe0"), Some("image/jpeg"));
        assert_eq!(sniff("Grüße,\n\tIda".as_bytes()), Some("text/plain"));
        assert_eq!(sniff(b""), Some("text/plain"));
        for wrong in
            [&b"<svg onload=x>"[..], b"\xef\xbb\xbf <!doctype html>", b"MZ\x90\0", b"a\0b", b"\xff\xfe"]
        {
            assert_eq!(sniff(wrong), None, "{wrong:?}");
        }
    }
}
