//! Numbers and times as the demo writes them.

use std::time::Duration;

/// `1,234,567`.
pub fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut out = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// Minutes and seconds: `0:07`, `61:05`.
pub fn clock(time: Duration) -> String {
    format!("{}:{:02}", time.as_secs() / 60, time.as_secs() % 60)
}

/// Milliseconds with as many digits as mean something: `0.8 ms`, `12 ms`, `1.2 s`.
pub fn duration(time: Duration) -> String {
    let micros = time.as_micros();
    match micros {
        0..9_950 => format!("{}.{} ms", (micros + 50) / 1_000, (micros + 50) % 1_000 / 100),
        9_950..999_500 => format!("{} ms", (micros + 500) / 1_000),
        _ => format!("{}.{} s", (micros + 50_000) / 1_000_000, (micros + 50_000) % 1_000_000 / 100_000),
    }
}

/// `100%`, `99.98%`.
pub fn percent(share: f64) -> String {
    if share >= 100.0 { "100%".to_owned() } else { format!("{share:.2}%") }
}

/// At most `columns` characters; what is cut ends with `~`, which every terminal has.
pub fn fit(text: &str, columns: usize) -> String {
    if text.chars().count() <= columns {
        return text.to_owned();
    }
    text.chars().take(columns.saturating_sub(1)).chain(['~']).take(columns).collect()
}

/// A word as a shell takes it: quoted where it would not be one word.
pub fn for_shell(word: &str) -> String {
    let plain = |c: char| c.is_alphanumeric() || "/._-+:@%,=".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', "'\\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_read_well() {
        assert_eq!(
            (count(7), count(1_234), count(1_234_567)),
            ("7".into(), "1,234".into(), "1,234,567".into())
        );
        let ms = |micros| duration(Duration::from_micros(micros));
        assert_eq!((ms(840), ms(9_960), ms(999_400)), ("0.8 ms".into(), "10 ms".into(), "999 ms".into()));
        assert_eq!((ms(999_600), ms(1_260_000)), ("1.0 s".into(), "1.3 s".into()));
        assert_eq!((percent(100.0), percent(99.987)), ("100%".into(), "99.99%".into()));
        assert_eq!((fit("accounts", 8), fit("accounts", 5)), ("accounts".into(), "acco~".into()));
        assert_eq!(fit("accounts", 0), "");
        assert_eq!((for_shell("/tmp/a-1"), for_shell("my dir")), ("/tmp/a-1".into(), "'my dir'".into()));
        assert_eq!(for_shell("it's"), r"'it'\''s'");
        assert_eq!(clock(Duration::from_secs(3_665)), "61:05");
    }
}
