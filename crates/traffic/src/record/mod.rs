//! Traffic as files: requests in JSON lines or HAR, and beside them the labels, which the requests never carry.

mod har;
mod jsonl;

use std::io::{self, Write};

use base64::{Engine as _, engine::general_purpose::STANDARD as BASE64};
use serde::Serialize;

use crate::{label::Label, simulate::Exchange};

/// How requests are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// One JSON object a line; `docs/traffic.md` has its members.
    Jsonl,
    /// HTTP Archive 1.2.
    Har,
}

/// Writes exchanges as they come; nothing is kept but the bytes of one.
pub struct Recorder<W, L> {
    format: Format,
    host: String,
    out: W,
    labels: Option<L>,
    line: Vec<u8>,
    count: u64,
}

#[derive(Serialize)]
struct LabelLine<'a> {
    id: u64,
    #[serde(flatten)]
    label: &'a Label,
}

/// A body as text, or in base64 where it is none.
enum Text {
    Plain(String),
    Base64(String),
}

impl<W: Write, L: Write> Recorder<W, L> {
    /// Begins a file. Requests have `host` as `Host`; labels go to `labels`, one JSON object a line.
    ///
    /// # Errors
    /// The beginning could not be written.
    pub fn new(format: Format, host: &str, out: W, labels: Option<L>) -> io::Result<Self> {
        let mut recorder = Recorder {
            format,
            host: host.to_owned(),
            out,
            labels,
            line: Vec::with_capacity(4_096),
            count: 0,
        };
        if format == Format::Har {
            recorder.out.write_all(har::BEGIN.as_bytes())?;
        }
        Ok(recorder)
    }

    /// Writes one exchange, and its label aside.
    ///
    /// # Errors
    /// It could not be written.
    pub fn write(&mut self, exchange: &Exchange) -> io::Result<()> {
        self.line.clear();
        match self.format {
            Format::Jsonl => jsonl::write(&mut self.line, exchange, &self.host)?,
            Format::Har => {
                if self.count > 0 {
                    self.line.push(b',');
                }
                har::write(&mut self.line, exchange, &self.host)?;
            }
        }
        self.line.push(b'\n');
        self.out.write_all(&self.line)?;
        self.count += 1;
        if let Some(labels) = &mut self.labels {
            self.line.clear();
            serde_json::to_writer(
                &mut self.line,
                &LabelLine { id: exchange.id, label: &exchange.request.label },
            )?;
            self.line.push(b'\n');
            labels.write_all(&self.line)?;
        }
        Ok(())
    }

    /// Ends the file; how many exchanges it has.
    ///
    /// # Errors
    /// The end could not be written.
    pub fn finish(mut self) -> io::Result<u64> {
        if self.format == Format::Har {
            self.out.write_all(har::END.as_bytes())?;
        }
        self.out.flush()?;
        if let Some(labels) = &mut self.labels {
            labels.flush()?;
        }
        Ok(self.count)
    }
}

fn text(body: &[u8]) -> Text {
    match std::str::from_utf8(body) {
        Ok(text) => Text::Plain(text.to_owned()),
        Err(_) => Text::Base64(BASE64.encode(body)),
    }
}
