//! Transformations: how a value is made plain before an operator sees it.
//!
//! The meaning of each is that of `ModSecurity` 3 (`src/actions/transformations`). Every one runs in time linear in
//! its input and writes at most [`Transformation::growth`] bytes per byte of it.

mod bytes;
mod decode;
mod digest;
mod escape;
mod path;
#[cfg(test)]
mod tests;
mod text;
mod utf8;

use smallvec::SmallVec;

pub use self::bytes::ByteSet;
pub(crate) use self::bytes::Letters;
pub(crate) use self::decode::base64_bits;

macro_rules! transformations {
    ($($(#[$doc:meta])* $variant:ident $name:literal $(| $alias:literal)*;)*) => {
        /// One transformation: what `t:NAME` names in a rule.
        #[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
        pub enum Transformation {
            $($(#[$doc])* $variant,)*
        }

        impl Transformation {
            /// Every transformation.
            pub const ALL: &[Self] = &[$(Self::$variant,)*];

            /// The transformation of a name, in any case; `None` where there is no such transformation.
            #[must_use]
            pub fn by_name(name: &str) -> Option<Self> {
                $(if name.eq_ignore_ascii_case($name) $(|| name.eq_ignore_ascii_case($alias))* {
                    return Some(Self::$variant);
                })*
                None
            }

            /// The name that the documentation of `ModSecurity` uses.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => $name,)*
                }
            }
        }
    };
}

transformations! {
    /// Base 64 (RFC 4648, section 4) up to the first byte that is none, line breaks aside.
    Base64Decode "base64Decode";
    /// Base 64, also its URL form, with every byte that is none skipped.
    Base64DecodeExt "base64DecodeExt";
    /// Base 64 with padding.
    Base64Encode "base64Encode";
    /// What evades the matching of commands: quotes, carets and backslashes go; runs of blanks, commas and semicolons
    /// become one space; no space stays before `/` and `(`; letters become small.
    CmdLine "cmdLine" | "cmd_line";
    /// Runs of white space become one space.
    CompressWhitespace "compressWhitespace";
    /// Escapes of CSS (CSS 2.1, section 4.1.3), of which the last two digits count.
    CssDecode "cssDecode";
    /// Escapes of ANSI C: `\n`, `\x41`, `\101`.
    EscapeSeqDecode "escapeSeqDecode";
    /// Pairs of hexadecimal digits to bytes; a last digit alone is dropped.
    HexDecode "hexDecode";
    /// Each byte as two hexadecimal digits.
    HexEncode "hexEncode";
    /// `&#x41;`, `&#65;`, and `quot`, `amp`, `lt`, `gt`, `nbsp`, the semicolon optional.
    HtmlEntityDecode "htmlEntityDecode";
    /// Escapes of JavaScript: `\u0041`, `\x41`, `\101`, `\n`.
    JsDecode "jsDecode";
    /// The number of bytes, in decimal digits.
    Length "length";
    /// ASCII letters become small.
    Lowercase "lowercase";
    /// The MD5 digest, 16 raw bytes.
    Md5 "md5";
    /// Nothing; in a rule it drops the transformations before it.
    None "none";
    /// Path segments: repeated slashes, `.` and `..` go.
    NormalisePath "normalisePath" | "normalizePath";
    /// The same after backslashes became slashes.
    NormalisePathWin "normalisePathWin" | "normalizePathWin";
    /// The eighth bit becomes the even parity of the other seven.
    ParityEven7Bit "parityEven7bit";
    /// The eighth bit becomes the odd parity of the other seven.
    ParityOdd7Bit "parityOdd7bit";
    /// The eighth bit goes.
    ParityZero7Bit "parityZero7bit";
    /// What PHP makes of the name of an argument.
    PhpArgsNames "phpArgsNames";
    /// Comments go, with what follows `--` and `#`: `/* */`, `<!-- -->`.
    RemoveComments "removeComments";
    /// The marks of comments go: `/*`, `*/`, `<!--`, `-->`, `--`, `#`.
    RemoveCommentsChar "removeCommentsChar";
    /// NUL bytes go.
    RemoveNulls "removeNulls";
    /// White space goes, and the bytes of the non-breaking space.
    RemoveWhitespace "removeWhitespace";
    /// Each `/* */` becomes one space, also one that is never closed.
    ReplaceComments "replaceComments";
    /// NUL bytes become spaces.
    ReplaceNulls "replaceNulls";
    /// The SHA-1 digest, 20 raw bytes.
    Sha1 "sha1";
    /// `0x414243` becomes `ABC`.
    SqlHexDecode "sqlHexDecode";
    /// White space at both ends goes.
    Trim "trim";
    /// White space at the beginning goes.
    TrimLeft "trimLeft";
    /// White space at the end goes.
    TrimRight "trimRight";
    /// ASCII letters become large.
    Uppercase "uppercase" | "upperCase";
    /// `%41` and `+`; what is no valid escape stays.
    UrlDecode "urlDecode";
    /// The same, and `%u0041` of IIS, of which the low byte counts; full-width ASCII becomes ASCII.
    UrlDecodeUni "urlDecodeUni";
    /// All bytes but letters, digits and `*` become `%41`, the space `+`.
    UrlEncode "urlEncode";
    /// Characters above ASCII become `%u0041`.
    Utf8ToUnicode "utf8toUnicode";
}

impl Transformation {
    /// Transforms `input` into `out` and tells whether that made a difference.
    ///
    /// `out` is cleared first. Where the answer is `false` the result is `input` itself, and what `out` holds means
    /// nothing.
    pub fn apply(self, input: &[u8], out: &mut Vec<u8>) -> bool {
        match self {
            Self::Base64Decode => decode::base64(input, out, false),
            Self::Base64DecodeExt => decode::base64(input, out, true),
            Self::Base64Encode => digest::base64_encode(input, out),
            Self::CmdLine => text::command_line(input, out),
            Self::CompressWhitespace => text::compress_whitespace(input, out),
            Self::CssDecode => escape::css(input, out),
            Self::EscapeSeqDecode => escape::ansi_c(input, out),
            Self::HexDecode => decode::hex(input, out),
            Self::HexEncode => digest::hex_encode(input, out),
            Self::HtmlEntityDecode => decode::html_entities(input, out),
            Self::JsDecode => escape::javascript(input, out),
            Self::Length => digest::length(input, out),
            Self::Lowercase => text::map(input, out, |byte| byte.to_ascii_lowercase()),
            Self::Md5 => digest::md5(input, out),
            Self::None => false,
            Self::NormalisePath => path::normalise(input, out, false),
            Self::NormalisePathWin => path::normalise(input, out, true),
            Self::ParityEven7Bit => text::map(input, out, |byte| {
                let odd = (byte & 0x7F).count_ones() % 2 == 1;
                if odd { byte | 0x80 } else { byte & 0x7F }
            }),
            Self::ParityOdd7Bit => text::map(input, out, |byte| {
                let odd = (byte & 0x7F).count_ones() % 2 == 1;
                if odd { byte & 0x7F } else { byte | 0x80 }
            }),
            Self::ParityZero7Bit => text::map(input, out, |byte| byte & 0x7F),
            Self::PhpArgsNames => text::php_argument_name(input, out),
            Self::RemoveComments => text::remove_comments(input, out),
            Self::RemoveCommentsChar => text::remove_comment_marks(input, out),
            Self::RemoveNulls => text::remove_nulls(input, out),
            Self::RemoveWhitespace => {
                text::remove(input, out, |byte| text::is_space(byte) || matches!(byte, 0xA0 | 0xC2))
            }
            Self::ReplaceComments => text::replace_comments(input, out),
            Self::ReplaceNulls => text::replace_nulls(input, out),
            Self::Sha1 => digest::sha1(input, out),
            Self::SqlHexDecode => decode::sql_hex(input, out),
            Self::Trim => text::trim(input, out, true, true),
            Self::TrimLeft => text::trim(input, out, true, false),
            Self::TrimRight => text::trim(input, out, false, true),
            Self::Uppercase => text::map(input, out, |byte| byte.to_ascii_uppercase()),
            Self::UrlDecode => decode::url(input, out, false),
            Self::UrlDecodeUni => decode::url(input, out, true),
            Self::UrlEncode => digest::url_encode(input, out),
            Self::Utf8ToUnicode => utf8::to_unicode(input, out),
        }
    }

    /// Whether a value of these kinds of bytes can come out changed. `false` is a proof that it cannot; `true` is
    /// none that it will.
    #[inline]
    #[must_use]
    pub fn may_change(self, bytes: &ByteSet) -> bool {
        let needed = NEEDED.get(self as usize).copied().unwrap_or([ByteSet::ANY; 2]);
        needed.iter().all(|needed| bytes.with(ByteSet::ALWAYS).any(*needed))
    }

    /// Whether it never makes a value longer, and never gives it a kind of byte beyond
    /// [those](ByteSet::after_bounded) that follow from its own.
    #[must_use]
    pub(crate) const fn is_bounded(self) -> bool {
        matches!(
            self,
            Self::CmdLine
                | Self::CompressWhitespace
                | Self::Lowercase
                | Self::None
                | Self::NormalisePath
                | Self::NormalisePathWin
                | Self::RemoveComments
                | Self::RemoveCommentsChar
                | Self::RemoveNulls
                | Self::RemoveWhitespace
                | Self::ReplaceComments
                | Self::ReplaceNulls
                | Self::Trim
                | Self::TrimLeft
                | Self::TrimRight
                | Self::Uppercase
        )
    }

    /// The same for a value of these kinds of bytes: without an escape, undoing those of URLs makes at most a space of a plus.
    #[must_use]
    pub(crate) const fn is_bounded_for(self, bytes: ByteSet) -> bool {
        let undoes = matches!(self, Self::UrlDecode | Self::UrlDecodeUni);
        self.is_bounded() || undoes && !bytes.any(ByteSet::PERCENT)
    }

    /// What a value must have for the transformation to change it: a kind of each of the two sets.
    const fn needed(self) -> [ByteSet; 2] {
        use ByteSet as B;
        const BLANK: ByteSet = B::SPACE.with(B::BREAK);
        const MARKS: ByteSet = B::DASH.with(B::HASH);
        const ALPHANUMERIC: ByteSet = B::UPPER.with(B::LOWER).with(B::DIGIT).with(B::ZERO);
        let one = match self {
            Self::None => B::NOTHING,
            Self::Lowercase => B::UPPER,
            Self::Uppercase => B::LOWER,
            Self::UrlDecode | Self::UrlDecodeUni => B::PERCENT.with(B::PLUS),
            Self::HtmlEntityDecode => B::AMPERSAND,
            Self::JsDecode | Self::CssDecode | Self::EscapeSeqDecode => B::BACKSLASH,
            Self::RemoveNulls | Self::ReplaceNulls => B::NUL,
            Self::RemoveWhitespace => BLANK.with(B::NBSP),
            Self::CompressWhitespace | Self::Trim | Self::TrimLeft | Self::TrimRight => BLANK,
            Self::ReplaceComments => return [B::SLASH, B::STAR],
            Self::RemoveComments | Self::RemoveCommentsChar => {
                return [MARKS.with(B::SLASH), MARKS.with(B::STAR)];
            }
            Self::CmdLine => B::UPPER.with(B::QUOTE).with(B::BACKSLASH).with(B::COMMA).with(BLANK),
            Self::NormalisePath => B::SLASH.with(B::DOT),
            Self::NormalisePathWin => B::SLASH.with(B::DOT).with(B::BACKSLASH),
            Self::Utf8ToUnicode => B::HIGH.with(B::NBSP).with(B::NUL),
            Self::ParityZero7Bit => B::HIGH.with(B::NBSP),
            Self::SqlHexDecode => return [B::ZERO, B::UPPER.with(B::LOWER)],
            Self::PhpArgsNames => B::SPACE.with(B::DOT).with(B::BRACKET).with(B::EQUALS),
            Self::UrlEncode => B::ANY.without(ALPHANUMERIC.with(B::STAR)),
            Self::Base64Decode
            | Self::Base64DecodeExt
            | Self::Base64Encode
            | Self::HexDecode
            | Self::HexEncode
            | Self::ParityEven7Bit
            | Self::ParityOdd7Bit => B::ANY,
            Self::Length | Self::Md5 | Self::Sha1 => B::ALWAYS,
        };
        [one, one]
    }

    /// The most bytes that one byte of input becomes; an output is never longer than this many times its input, or
    /// 20 bytes where that is more.
    #[must_use]
    pub const fn growth(self) -> usize {
        match self {
            Self::Base64Encode | Self::HexEncode => 4,
            Self::UrlEncode => 3,
            Self::Utf8ToUnicode => 4,
            _ => 1,
        }
    }
}

/// [`Transformation::needed`] of each transformation, in the order of their declaration.
const NEEDED: [[ByteSet; 2]; Transformation::ALL.len()] = needed();

#[expect(
    clippy::indexing_slicing,
    reason = "INVARIANT: the index is below both lengths, evaluated at compile time"
)]
const fn needed() -> [[ByteSet; 2]; Transformation::ALL.len()] {
    let mut needed = [[ByteSet::NOTHING; 2]; Transformation::ALL.len()];
    let mut index = 0;
    while index < needed.len() {
        needed[index] = Transformation::ALL[index].needed();
        index += 1;
    }
    needed
}

/// The transformations of a rule, in order.
#[derive(Clone, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Chain(SmallVec<[Transformation; 8]>);

impl Chain {
    /// The chain of these steps. `t:none` drops what precedes it and is no step itself.
    pub fn new(steps: impl IntoIterator<Item = Transformation>) -> Self {
        let mut chain = Self::default();
        for step in steps {
            chain.push(step);
        }
        chain
    }

    /// Adds one step; `t:none` empties the chain.
    pub fn push(&mut self, step: Transformation) {
        if step == Transformation::None {
            self.0.clear();
        } else {
            self.0.push(step);
        }
    }

    /// The steps in order.
    #[must_use]
    pub fn steps(&self) -> &[Transformation] {
        &self.0
    }

    /// Whether some step may change a value of these kinds of bytes. `false` is a proof that the chain changes
    /// nothing.
    #[must_use]
    pub fn may_change(&self, bytes: &ByteSet) -> bool {
        self.0.iter().any(|step| step.may_change(bytes))
    }

    /// Runs all steps. The result is `input` itself, or it lies in `first`; `second` is scratch.
    pub fn apply<'a>(&self, input: &'a [u8], first: &'a mut Vec<u8>, second: &mut Vec<u8>) -> &'a [u8] {
        let mut changed = false;
        for step in &self.0 {
            if changed {
                if step.apply(first, second) {
                    std::mem::swap(first, second);
                }
            } else {
                changed = step.apply(input, first);
            }
        }
        if changed { first } else { input }
    }
}
