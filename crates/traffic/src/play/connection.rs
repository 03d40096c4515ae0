//! One HTTP/1.1 connection of an actor: requests byte for byte as devices send them, answers as far as they are kept.

use std::{io, sync::Arc};

use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _},
    net::TcpStream,
};
use tokio_rustls::TlsConnector;

use super::{Broken, Config, proxy, tls};
use crate::request::{Answer, Connection, Planned};

/// Bytes of an answer's head at most.
const MAX_HEAD: usize = 64 * 1024;
/// Bytes that are read at a time.
const READ: usize = 8 * 1024;
/// Fields of an answer at most.
const MAX_FIELDS: usize = 100;

trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<S: AsyncRead + AsyncWrite + Send + Unpin> Stream for S {}

/// An actor's connection, where it has one, and what was read too far.
#[derive(Default)]
pub struct Line {
    open: Option<Open>,
}

struct Open {
    number: u64,
    stream: Box<dyn Stream>,
    ahead: Vec<u8>,
}

/// How the end of a body is known (RFC 9112 section 6.3).
enum Framing {
    None,
    Length(u64),
    Chunked,
    Close,
}

impl Line {
    /// Closes it.
    pub fn close(&mut self) {
        self.open = None;
    }

    /// Sends a request and reads its answer. A kept connection that the server has closed meanwhile is made anew once.
    pub async fn exchange(&mut self, config: &Config, planned: &Planned) -> Result<Answer, Broken> {
        if self.open.as_ref().is_some_and(|open| open.number != planned.connection.number) {
            self.close();
        }
        let bytes = written(planned, &config.host);
        let kept = self.open.is_some();
        match self.attempt(config, planned, &bytes).await {
            Err(Broken::Closed) if kept && self.open.as_ref().is_none_or(|open| open.ahead.is_empty()) => {
                self.close();
                self.attempt(config, planned, &bytes).await
            }
            result => result,
        }
    }

    async fn attempt(&mut self, config: &Config, planned: &Planned, bytes: &[u8]) -> Result<Answer, Broken> {
        let open = match &mut self.open {
            Some(open) => open,
            closed => closed.insert(connect(config, &planned.connection).await?),
        };
        // A refusal may come before the request was read whole: it is read all the same.
        let wrote = open.stream.write_all(bytes).await;
        let (answer, keep) = match open.answer(planned.method, config.keep_body).await {
            Err(Broken::Closed) if wrote.is_err() => return Err(Broken::Closed),
            answer => answer?,
        };
        if !keep || wrote.is_err() {
            self.close();
        }
        Ok(answer)
    }
}

async fn connect(config: &Config, connection: &Connection) -> Result<Open, Broken> {
    let mut stream = TcpStream::connect(config.target).await.map_err(|_| Broken::Connect)?;
    // Without it small requests wait for acknowledgements; a failure costs time only.
    let _ = stream.set_nodelay(true);
    if config.proxy_protocol {
        let header = proxy::header(connection.peer, config.target);
        stream.write_all(&header).await.map_err(|_| Broken::Connect)?;
    }
    let stream: Box<dyn Stream> = match &config.secure {
        None => Box::new(stream),
        Some(secure) => {
            let client = tls::client(secure, &connection.device.tls).map_err(|_| Broken::Handshake)?;
            let connector = TlsConnector::from(Arc::new(client));
            let secured = connector.connect(secure.name.clone(), stream).await;
            Box::new(secured.map_err(|_| Broken::Handshake)?)
        }
    };
    Ok(Open { number: connection.number, stream, ahead: Vec::new() })
}

/// The request as it goes over the wire.
fn written(planned: &Planned, host: &str) -> Vec<u8> {
    let body = planned.body.as_deref().unwrap_or_default();
    let mut bytes = Vec::with_capacity(1024 + body.len());
    for part in [planned.method, " ", &planned.target, " HTTP/1.1\r\n"] {
        bytes.extend_from_slice(part.as_bytes());
    }
    for (name, value) in planned.headers(host) {
        for part in [name, ": ", &value, "\r\n"] {
            bytes.extend_from_slice(part.as_bytes());
        }
    }
    bytes.extend_from_slice(b"\r\n");
    bytes.extend_from_slice(body);
    bytes
}

impl Open {
    /// Reads one answer, and whether the connection may carry another.
    async fn answer(&mut self, method: &str, keep_body: usize) -> Result<(Answer, bool), Broken> {
        loop {
            let (answer, framing, keep) = self.head(method).await?;
            // Interim answers come before the real one (RFC 9110 section 15.2); 101 is the last of HTTP/1.1.
            if (100..200).contains(&answer.status) && answer.status != 101 {
                continue;
            }
            let mut answer = answer;
            self.body(framing, keep_body, &mut answer.body).await?;
            return Ok((answer, keep));
        }
    }

    async fn head(&mut self, method: &str) -> Result<(Answer, Framing, bool), Broken> {
        loop {
            let mut fields = [httparse::EMPTY_HEADER; MAX_FIELDS];
            let mut head = httparse::Response::new(&mut fields);
            match head.parse(&self.ahead) {
                Ok(httparse::Status::Complete(length)) => {
                    let read = understood(&head, method).ok_or(Broken::Garbled)?;
                    self.ahead.drain(..length);
                    return Ok(read);
                }
                Ok(httparse::Status::Partial) if self.ahead.len() < MAX_HEAD => self.more().await?,
                _ => return Err(Broken::Garbled),
            }
        }
    }

    /// Reads more of what the server sends.
    async fn more(&mut self) -> Result<(), Broken> {
        // A vector grows by as little as 64 bytes by itself: a system call for each would be slow.
        self.ahead.reserve(READ);
        match self.stream.read_buf(&mut self.ahead).await {
            Ok(0) => Err(Broken::Closed),
            Ok(_) => Ok(()),
            Err(error) if error.kind() == io::ErrorKind::InvalidData => Err(Broken::Garbled),
            Err(_) => Err(Broken::Closed),
        }
    }

    async fn body(&mut self, framing: Framing, most: usize, kept: &mut Vec<u8>) -> Result<(), Broken> {
        match framing {
            Framing::None => Ok(()),
            Framing::Length(length) => self.pass(length, most, kept).await,
            Framing::Chunked => loop {
                let length = self.chunk().await?;
                if length == 0 {
                    return self.trailers().await;
                }
                self.pass(length, most, kept).await?;
                if self.line().await? != b"" {
                    return Err(Broken::Garbled);
                }
            },
            Framing::Close => loop {
                let length = self.ahead.len() as u64;
                self.pass(length, most, kept).await?;
                if self.more().await.is_err() {
                    return Ok(());
                }
            },
        }
    }

    /// Takes so many bytes of the body, and keeps the first `most` of the whole.
    async fn pass(&mut self, mut length: u64, most: usize, kept: &mut Vec<u8>) -> Result<(), Broken> {
        while length > 0 {
            if self.ahead.is_empty() {
                self.more().await?;
            }
            let take = usize::try_from(length).unwrap_or(usize::MAX).min(self.ahead.len());
            let room = most.saturating_sub(kept.len()).min(take);
            kept.extend(self.ahead.drain(..take).take(room));
            length -= take as u64;
        }
        Ok(())
    }

    /// The length of the next chunk (RFC 9112 section 7.1).
    async fn chunk(&mut self) -> Result<u64, Broken> {
        let line = self.line().await?;
        let size = line.split(|byte| *byte == b';').next().unwrap_or_default();
        let text = std::str::from_utf8(size).map_err(|_| Broken::Garbled)?;
        u64::from_str_radix(text.trim(), 16).map_err(|_| Broken::Garbled)
    }

    async fn trailers(&mut self) -> Result<(), Broken> {
        while !self.line().await?.is_empty() {}
        Ok(())
    }

    /// The next line, without its end.
    async fn line(&mut self) -> Result<Vec<u8>, Broken> {
        loop {
            if let Some(end) = self.ahead.windows(2).position(|pair| pair == b"\r\n") {
                let line = self.ahead.drain(..end).collect();
                self.ahead.drain(..2);
                return Ok(line);
            }
            if self.ahead.len() > MAX_HEAD {
                return Err(Broken::Garbled);
            }
            self.more().await?;
        }
    }
}

/// Status, fields, framing, and whether the connection stays open.
fn understood(head: &httparse::Response<'_, '_>, method: &str) -> Option<(Answer, Framing, bool)> {
    let status = head.code?;
    let headers: Vec<(String, String)> = head
        .headers
        .iter()
        .map(|field| (field.name.to_ascii_lowercase(), String::from_utf8_lossy(field.value).into_owned()))
        .collect();
    let answer = Answer { status, headers, body: Vec::new() };
    let has = |name, word: &str| {
        answer
            .header(name)
            .is_some_and(|value| value.split(',').any(|part| part.trim().eq_ignore_ascii_case(word)))
    };
    let framing = if method == "HEAD" || matches!(status, 100..=199 | 204 | 304) {
        Framing::None
    } else if has("transfer-encoding", "chunked") {
        Framing::Chunked
    } else if let Some(length) = answer.header("content-length") {
        Framing::Length(length.trim().parse().ok()?)
    } else {
        Framing::Close
    };
    let keep = status != 101
        && !matches!(framing, Framing::Close)
        && !has("connection", "close")
        && (head.version == Some(1) || has("connection", "keep-alive"));
    Some((answer, framing, keep))
}
