//! Equivalents of the three expressions of the Core Rule Set 3.3 that no linear-time engine can run: they look
//! around (rules 920120 and 953120) or refer back (rule 942130). Each is known by its exact text.

use memchr::memmem;

use crate::operator::OperatorContext;

/// Rule 953120: a tag of PHP that does not begin XML.
const PHP_TAG: &[u8] = br"<\?(?!xml)";
/// Rule 920120: what does not belong into the name of a file, a semicolon after the entity of a letter aside.
const FILE_NAME: &[u8] = br#"(?<!&(?:[aAoOuUyY]uml)|&(?:[aAeEiIoOuU]circ)|&(?:[eEiIoOuUyY]acute)|&(?:[aAeEiIoOuU]grave)|&(?:[cC]cedil)|&(?:[aAnNoO]tilde)|&(?:amp)|&(?:apos));|['"=]"#;
/// Rule 942130: a comparison that is always true, such as `1=1` or `1<>2`.
const TAUTOLOGY: &[u8] = br#"(?i:[\s'"`()]*?\b([\d\w]+)\b[\s'"`()]*?(?:<(?:=(?:[\s'"`()]*?(?!\b\1\b)[\d\w]+|>[\s'"`()]*?(?:\b\1\b))|>?[\s'"`()]*?(?!\b\1\b)[\d\w]+)|(?:not\s+(?:regexp|like)|is\s+not|>=?|!=|\^)[\s'"`()]*?(?!\b\1\b)[\d\w]+|(?:(?:sounds\s+)?like|r(?:egexp|like)|=)[\s'"`()]*?(?:\b\1\b)))"#;

/// Parts of two expressions of the same rule set (rules 920600 and 942330) that have possessive quantifiers, and the
/// same without: where giving back would match more, the next byte is kept from being one that was taken.
const POSSESSIVE: [(&[u8], &[u8]); 4] = [
    (br#"[^?\w\s=.,;)(]++\s*?[(@"'`]*?\s*?\w+"#, br#"[^?\w\s=.,;)(]+\s*?[(@"'`]*?\s*?\w+"#),
    (br#"(?:\s*+;\s*+(?:(?:charset\s*+=\s*+(?:"?"#, br#"(?:\s*;\s*(?:(?:charset\s*=\s*(?:"?"#),
    (
        br#"|[^c"(),/:;<=>?![\x5c\]{}])[^"(),/:;<=>?![\x5c\]{}]*(?:)\s*+=\s*+[^(),/:;<=>?![\x5c\]{}]+)"#,
        br#"|[^c\s"(),/:;<=>?![\x5c\]{}])[^"(),/:;<=>?![\x5c\]{}]*(?:)\s*=\s*[^\s(),/:;<=>?![\x5c\]{}][^(),/:;<=>?![\x5c\]{}]*)"#,
    ),
    (
        br#"(?:\s*+,\s*+(?:(?:\*|[^"(),\/:;<=>?![\x5c\]{}]+)\/"#,
        br#"(?:\s*,\s*(?:(?:\*|[^\s"(),\/:;<=>?![\x5c\]{}][^"(),\/:;<=>?![\x5c\]{}]*)\/"#,
    ),
];

/// A pattern with `\"` as `"`, which means the same, and without the possessive quantifiers that are known.
pub(super) fn plain(pattern: &[u8]) -> Vec<u8> {
    let mut plain = Vec::with_capacity(pattern.len());
    let mut rest = pattern;
    while let [byte, tail @ ..] = rest {
        rest = match rest {
            [b'\\', b'"', tail @ ..] => {
                plain.push(b'"');
                tail
            }
            [b'\\', escaped, tail @ ..] => {
                plain.extend_from_slice(&[b'\\', *escaped]);
                tail
            }
            _ => {
                plain.push(*byte);
                tail
            }
        };
    }
    for (possessive, giving) in POSSESSIVE {
        while let Some(at) = memmem::find(&plain, possessive) {
            plain.splice(at..at + possessive.len(), giving.iter().copied());
        }
    }
    plain
}

/// One of the expressions that this crate runs itself.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(in crate::operator) enum Native {
    PhpTag,
    FileName,
    Tautology,
}

impl Native {
    /// The equivalent of a [`plain`] pattern.
    pub(super) fn of(pattern: &[u8]) -> Option<Self> {
        Some(match pattern {
            PHP_TAG => Self::PhpTag,
            FILE_NAME => Self::FileName,
            TAUTOLOGY => Self::Tautology,
            _ => return None,
        })
    }

    pub(super) fn matches(self, value: &[u8], context: &mut OperatorContext) -> bool {
        let found = match self {
            Self::PhpTag => php_tag(value),
            Self::FileName => file_name(value),
            Self::Tautology => {
                let Some([whole, word]) = tautology(value) else { return false };
                context.captured(whole.0, whole.1);
                if context.capturing {
                    context.set_group(1, Some(word));
                }
                return true;
            }
        };
        if let Some((start, end)) = found {
            context.captured(start, end);
        }
        found.is_some()
    }
}

fn php_tag(value: &[u8]) -> Option<(usize, usize)> {
    memmem::find_iter(value, b"<?")
        .find(|at| !value.get(at + 2..).unwrap_or_default().starts_with(b"xml"))
        .map(|at| (at, at + 2))
}

fn file_name(value: &[u8]) -> Option<(usize, usize)> {
    let unwanted = |(at, byte): (usize, &u8)| match byte {
        b'\'' | b'"' | b'=' => true,
        b';' => !ends_in_entity(value.get(..at).unwrap_or_default()),
        _ => false,
    };
    let at = value.iter().enumerate().position(unwanted)?;
    Some((at, at + 1))
}

/// Whether a text ends in `&auml`, `&amp` and the like.
fn ends_in_entity(text: &[u8]) -> bool {
    if text.ends_with(b"&amp") || text.ends_with(b"&apos") {
        return true;
    }
    [
        (b"uml".as_slice(), b"aAoOuUyY".as_slice()),
        (b"circ", b"aAeEiIoOuU"),
        (b"acute", b"eEiIoOuUyY"),
        (b"grave", b"aAeEiIoOuU"),
        (b"cedil", b"cC"),
        (b"tilde", b"aAnNoO"),
    ]
    .iter()
    .any(|(mark, letters)| {
        matches!(text.strip_suffix(*mark), Some([.., b'&', letter]) if letters.contains(letter))
    })
}

const fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_'
}

const fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t'..=b'\r')
}

const fn is_filler(byte: u8) -> bool {
    is_space(byte) || matches!(byte, b'\'' | b'"' | b'`' | b'(' | b')')
}

/// How many bytes from `at` on are of a kind.
fn run(value: &[u8], at: usize, kind: fn(u8) -> bool) -> usize {
    value.get(at..).unwrap_or_default().iter().take_while(|byte| kind(**byte)).count()
}

/// The first comparison that holds by itself, and its first word. Each word is looked at with what follows it up to
/// the next word or two, so that time is linear.
fn tautology(value: &[u8]) -> Option<[(usize, usize); 2]> {
    let mut start = 0;
    loop {
        let filler = run(value, start, is_filler);
        let word = start + filler;
        let length = run(value, word, is_word);
        if length > 0 {
            if let Some(end) = comparison(value, word, word + length) {
                return Some([(start, end), (word, word + length)]);
            }
            start = word + length;
        } else if word < value.len() {
            start = word + 1;
        } else {
            return None;
        }
    }
}

/// Where the comparison ends whose first word lies between `start` and `end`, if it is one that always holds.
fn comparison(value: &[u8], start: usize, end: usize) -> Option<usize> {
    let at = end + run(value, end, is_filler);
    let rest = value.get(at..).unwrap_or_default();
    let (length, equal) = operator(rest)?;
    let second = at + length + run(value, at + length, is_filler);
    let second_end = second + run(value, second, is_word);
    let (Some(first_word), Some(second_word)) = (value.get(start..end), value.get(second..second_end)) else {
        return None;
    };
    if second_word.is_empty() {
        return None;
    }
    // A word that an operator of letters runs into is no word of its own, and so never the same.
    let own =
        second.checked_sub(1).and_then(|before| value.get(before)).is_none_or(|before| !is_word(*before));
    let same = own && second_word.eq_ignore_ascii_case(first_word);
    (same == equal).then_some(second_end)
}

/// The length of the operator at the beginning of a text, and whether equal words make it true.
fn operator(text: &[u8]) -> Option<(usize, bool)> {
    let starts = |word: &[u8], at: usize| {
        text.get(at..)
            .and_then(|rest| rest.get(..word.len()))
            .is_some_and(|begin| begin.eq_ignore_ascii_case(word))
    };
    // The place after `first`, white space, and one of the words that may follow.
    let two = |first: &[u8], then: &[&[u8]]| {
        let blanks = run(text, first.len(), is_space);
        let at = first.len() + blanks;
        (starts(first, 0) && blanks > 0)
            .then(|| then.iter().find(|word| starts(word, at)))??
            .len()
            .checked_add(at)
    };
    Some(match text {
        [b'<', b'=', b'>', ..] => (3, true),
        [b'<', b'=', ..] | [b'<', b'>', ..] | [b'>', b'=', ..] | [b'!', b'=', ..] => (2, false),
        [b'<' | b'>' | b'^', ..] => (1, false),
        [b'=', ..] => (1, true),
        _ if starts(b"like", 0) => (4, true),
        _ if starts(b"rlike", 0) => (5, true),
        _ if starts(b"regexp", 0) => (6, true),
        _ => {
            let negated = two(b"not", &[b"regexp", b"like"]).or_else(|| two(b"is", &[b"not"]));
            match negated {
                Some(length) => (length, false),
                None => (two(b"sounds", &[b"like"])?, true),
            }
        }
    })
}
