//! One part of a multipart body: its name, its header fields and its data, where they stand.

use std::{borrow::Cow, ops::Range};

use super::{MultipartFlags, flags::MultipartFlag};

/// Text inside a field value; with escapes it has to be decoded.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Text {
    pub(super) start: u32,
    pub(super) end: u32,
    pub(super) escaped: bool,
}

#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Record {
    /// Which header fields are its own.
    pub(super) headers: (u32, u32),
    pub(super) name: Option<Text>,
    pub(super) filename: Option<Text>,
    pub(super) extended: Option<Text>,
    /// Where it begins, behind its boundary's line.
    pub(super) start: u32,
    pub(super) data: (u32, u32),
    pub(super) flags: MultipartFlags,
}

#[derive(Clone, Copy, Debug, Default)]
pub(super) struct HeaderRecord {
    pub(super) start: u32,
    pub(super) colon: u32,
    pub(super) value: u32,
    pub(super) end: u32,
}

/// A part.
#[derive(Clone, Copy, Debug)]
pub struct Part<'a> {
    pub(super) bytes: &'a [u8],
    pub(super) headers: &'a [HeaderRecord],
    pub(super) record: Record,
}

/// A header field of a part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header<'a> {
    /// The whole field as it is written, without the end of its last line; a field that goes on in further lines has
    /// their line ends inside.
    pub line: &'a [u8],
    /// What stands before the colon; nothing where there is no colon.
    pub name: &'a [u8],
    /// What stands behind the colon, without white space on both sides.
    pub value: &'a [u8],
    /// Where the whole field begins in the body.
    pub offset: usize,
}

impl<'a> Part<'a> {
    /// Its name, with escapes undone.
    #[must_use]
    pub fn name(self) -> Option<Cow<'a, [u8]>> {
        self.record.name.map(|text| self.decode(text))
    }

    /// Where its name stands, without quotes.
    #[must_use]
    pub fn name_span(self) -> Option<Range<usize>> {
        self.record.name.map(|text| text.start as usize..text.end as usize)
    }

    /// Its file name, with escapes undone; empty where a browser had no file to send.
    #[must_use]
    pub fn filename(self) -> Option<Cow<'a, [u8]>> {
        self.record.filename.map(|text| self.decode(text))
    }

    /// Where its file name stands, without quotes.
    #[must_use]
    pub fn filename_span(self) -> Option<Range<usize>> {
        self.record.filename.map(|text| text.start as usize..text.end as usize)
    }

    /// The value of its `filename*`, as it is written.
    #[must_use]
    pub fn extended_filename(self) -> Option<&'a [u8]> {
        let text = self.record.extended?;
        self.bytes.get(text.start as usize..text.end as usize)
    }

    /// Whether it is a file: it has a file name that is not empty.
    #[must_use]
    pub fn is_file(self) -> bool {
        self.record.filename.is_some_and(|text| text.start < text.end)
    }

    /// Its header fields in their order.
    pub fn headers(self) -> impl ExactSizeIterator<Item = Header<'a>> + Clone {
        let (start, end) = self.record.headers;
        let records = self.headers.get(start as usize..end as usize).unwrap_or_default();
        let text =
            move |start: u32, end: u32| self.bytes.get(start as usize..end as usize).unwrap_or_default();
        records.iter().map(move |record| Header {
            line: text(record.start, record.end),
            name: text(record.start, record.colon),
            value: text(record.value, record.end).trim_ascii(),
            offset: record.start as usize,
        })
    }

    /// The value of the first header field of this name.
    #[must_use]
    pub fn header(self, name: &str) -> Option<&'a [u8]> {
        self.headers()
            .find(|header| header.name.eq_ignore_ascii_case(name.as_bytes()))
            .map(|header| header.value)
    }

    /// Its data.
    #[must_use]
    pub fn data(self) -> &'a [u8] {
        self.bytes.get(self.data_span()).unwrap_or_default()
    }

    /// Where its data stands, without the line end that belongs to the boundary behind it.
    #[must_use]
    pub fn data_span(self) -> Range<usize> {
        self.record.data.0 as usize..self.record.data.1 as usize
    }

    /// Where the whole part stands: header fields, empty line and data.
    #[must_use]
    pub fn span(self) -> Range<usize> {
        self.record.start as usize..self.record.data.1 as usize
    }

    /// What is irregular in this part.
    #[must_use]
    pub fn flags(self) -> MultipartFlags {
        self.record.flags
    }

    /// Whether it has a flag.
    #[must_use]
    pub fn has(self, flag: MultipartFlag) -> bool {
        self.record.flags.contains(flag)
    }

    fn decode(self, text: Text) -> Cow<'a, [u8]> {
        decode(self.bytes, text)
    }
}

/// The text, without the backslashes of its escapes.
pub(super) fn decode(bytes: &[u8], text: Text) -> Cow<'_, [u8]> {
    let raw = bytes.get(text.start as usize..text.end as usize).unwrap_or_default();
    if !text.escaped {
        return Cow::Borrowed(raw);
    }
    let quote = (text.start as usize).checked_sub(1).and_then(|at| bytes.get(at)).copied().unwrap_or(b'"');
    let mut out = Vec::with_capacity(raw.len());
    let mut rest = raw.iter().copied().peekable();
    while let Some(byte) = rest.next() {
        let escape = byte == b'\\' && rest.peek().is_some_and(|next| *next == quote || *next == b'\\');
        out.push(if escape { rest.next().unwrap_or(byte) } else { byte });
    }
    Cow::Owned(out)
}
