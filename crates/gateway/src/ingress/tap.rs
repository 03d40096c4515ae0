//! The tap on a connection's decrypted bytes: the HTTP library only ever sees what the strict reader has passed.
//!
//! hyper tidies what it reads (it drops `Content-Length` beside `Transfer-Encoding`, merges, accepts two hosts), so a
//! rule over what hyper hands on would never fire. The tap reads the raw head first. A request that it refuses is
//! replaced by a fixed, harmless head, so that the refusal takes the same way as every exchange: it has an id, an event
//! and a problem body.

use std::{
    io,
    pin::{Pin, pin},
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use bartizan_pattern::{
    h2::FrameMeter,
    http1::{HeadBounds, Progress, Scanner},
};
use bytes::{Buf, BytesMut};
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, ReadBuf},
    time::{Instant, Sleep},
};

use crate::{
    connection::{Connection, Refusal},
    timer::LazyTimer,
};

/// The client connection preface of HTTP/2 (RFC 9113 section 3.4).
pub const H2_PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// Stands in for a refused head. `connection: close` makes the HTTP library end the connection after the answer.
const REFUSED_HEAD: &[u8] = b"GET / HTTP/1.1\r\nhost: refused\r\nconnection: close\r\n\r\n";

/// Bytes read at once while a head is incomplete.
const READ_CHUNK: usize = 4 * 1024;

/// A client that ends its side of the connection has left, or has only said all it has to say: for so long the answer
/// that it may wait for is still worked on.
const HALF_CLOSED_GRACE: Duration = Duration::from_secs(1);

/// What a lingering close still reads (and throws away), so that the client sees the answer instead of a reset.
const LINGER_BYTES: usize = 1024 * 1024;
const LINGER_TIME: Duration = Duration::from_secs(1);

/// Bytes a reading client must take in each stall window while we have something to send: below it, it is not reading.
const MIN_WRITE_RATE: u64 = 100;

/// How often a connection that cannot be written to is looked at.
const STALL_LOOK: Duration = Duration::from_secs(2);

/// Time limits of a connection.
#[derive(Clone, Copy, Debug)]
pub struct TapTimes {
    /// From the first byte of a head (or the start of the connection) to the complete head.
    pub header_timeout: Duration,
    /// Between exchanges.
    pub idle_timeout: Duration,
    /// Without progress in writing.
    pub write_stall: Duration,
}

#[derive(Debug)]
enum Mode {
    /// HTTP/1: heads are read strictly.
    Http1(Box<Scanner>),
    /// HTTP/2: control frames are counted; so many bytes of the preface are still to come.
    Http2 { meter: FrameMeter, preface_left: usize },
    /// The connection ends: nothing more is handed on.
    Ended,
}

/// Wraps a connection's stream. See the module's documentation.
#[derive(Debug)]
pub struct Tap<T> {
    io: T,
    connection: Arc<Connection>,
    mode: Mode,
    /// Bytes that were read and not yet handed on; the first `released` of them may be.
    held: BytesMut,
    released: usize,
    times: TapTimes,
    born: Instant,
    began: Instant,
    head_since: Option<Instant>,
    first_head_done: bool,
    read_timer: LazyTimer,
    write_timer: Option<Pin<Box<Sleep>>>,
    written_in_window: u64,
    window_began: Instant,
    linger: Option<(Pin<Box<Sleep>>, usize)>,
    half_closed: Option<Pin<Box<Sleep>>>,
    /// A body is being read: the next bytes are not a head.
    in_body: bool,
    body_error: bool,
    /// `detect` read bytes that nothing has scanned yet.
    unscanned: bool,
}

impl<T: AsyncRead + AsyncWrite + Unpin> Tap<T> {
    /// Wraps `io`. `born` is the zero of the gateway's monotonic clock.
    pub fn new(
        io: T,
        connection: Arc<Connection>,
        bounds: HeadBounds,
        times: TapTimes,
        born: Instant,
    ) -> Self {
        Tap {
            io,
            connection,
            mode: Mode::Http1(Box::new(Scanner::new(bounds))),
            held: BytesMut::new(),
            released: 0,
            times,
            born,
            began: Instant::now(),
            head_since: None,
            first_head_done: false,
            read_timer: LazyTimer::default(),
            write_timer: None,
            written_in_window: 0,
            window_began: Instant::now(),
            linger: None,
            half_closed: None,
            in_body: false,
            body_error: false,
            unscanned: false,
        }
    }

    /// Reads until it is clear whether the client speaks HTTP/2, and answers that. `control_frames` is the budget.
    ///
    /// # Errors
    /// The connection failed, ended, or said nothing in time.
    pub async fn detect(&mut self, alpn_h2: bool, control_frames: u32) -> io::Result<bool> {
        if !alpn_h2 {
            let deadline = Instant::now() + self.times.header_timeout;
            loop {
                let common = self.held.iter().zip(H2_PREFACE).take_while(|(a, b)| a == b).count();
                if common == H2_PREFACE.len() {
                    break;
                }
                if common < self.held.len() {
                    self.unscanned = true;
                    return Ok(false);
                }
                let read = tokio::time::timeout_at(deadline, std::future::poll_fn(|cx| self.poll_hold(cx)));
                match read.await {
                    // A client that says nothing, or only part of a head, is closed without a word: there is no
                    // request to answer.
                    Err(_) => return Err(io::ErrorKind::TimedOut.into()),
                    Ok(Err(error)) => return Err(error),
                    Ok(Ok(0)) if self.held.is_empty() => return Err(io::ErrorKind::UnexpectedEof.into()),
                    Ok(Ok(0)) => {
                        self.unscanned = true;
                        return Ok(false);
                    }
                    Ok(Ok(_)) => {}
                }
            }
        }
        let mut meter = FrameMeter::new(control_frames);
        let preface = self.held.len().min(H2_PREFACE.len());
        let rest = self.held.get(preface..).unwrap_or_default();
        if meter.see(rest, self.born.elapsed()).is_err() {
            // The preface alone is handed on: a connection that was greeted can be told GOAWAY.
            self.held.truncate(preface);
            self.released = preface;
            self.mode = Mode::Ended;
            self.connection.flood();
            return Ok(true);
        }
        self.released = self.held.len();
        self.mode = Mode::Http2 { meter, preface_left: H2_PREFACE.len() - preface };
        Ok(true)
    }

    /// Reads more into `held`; answers how many bytes came.
    fn poll_hold(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        if self.held.capacity() - self.held.len() < READ_CHUNK / 4 {
            self.held.reserve(READ_CHUNK);
        }
        // The room is not written to before bytes arrive: memory that is never touched costs nothing.
        let result = pin!(self.io.read_buf(&mut self.held)).poll(cx);
        if self.held.is_empty() {
            self.held = BytesMut::new();
        }
        result
    }

    /// Waits for the first head, whole or refused; `false` when the client left before. Until then nothing is spent on
    /// the connection but the bytes that came.
    ///
    /// # Errors
    /// The connection failed.
    pub async fn head(&mut self) -> io::Result<bool> {
        std::future::poll_fn(|cx| {
            loop {
                if self.released > 0 || self.body_error || !matches!(self.mode, Mode::Http1(_)) {
                    return Poll::Ready(Ok(true));
                }
                if !ready!(self.poll_head(cx))? {
                    return Poll::Ready(Ok(false));
                }
            }
        })
        .await
    }

    /// Reads more of a head, or of a chunk's frame, that is not whole; `false` when the client left in its middle.
    fn poll_head(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<bool>> {
        if !std::mem::take(&mut self.unscanned) {
            match self.poll_hold(cx) {
                Poll::Pending => {
                    ready!(self.poll_read_timer(cx));
                    self.refuse(Refusal::HeaderTimeout);
                    return Poll::Ready(Ok(true));
                }
                Poll::Ready(Ok(0)) => {
                    // There is nothing to answer.
                    self.held = BytesMut::new();
                    self.mode = Mode::Ended;
                    return Poll::Ready(Ok(false));
                }
                Poll::Ready(Ok(_)) => {}
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
            }
        }
        if let Mode::Http1(scanner) = &mut self.mode {
            let scanned = scan(scanner, &mut self.in_body, &self.connection, &self.held);
            self.released = scanned.released;
            if scanned.refused.is_some() {
                self.held.truncate(scanned.released);
            }
            self.after_scan(scanned.refused);
        }
        Poll::Ready(Ok(true))
    }

    /// When the read that waits now has waited too long; `None` while nothing is expected of the client.
    fn read_deadline(&self) -> Option<Instant> {
        if !matches!(self.mode, Mode::Http1(_)) {
            return None;
        }
        if let Some(since) = self.head_since {
            return Some(since + self.times.header_timeout);
        }
        if self.in_body || self.connection.active() > 0 {
            return None;
        }
        if self.first_head_done {
            Some(self.born + self.connection.quiet_since() + self.times.idle_timeout)
        } else {
            Some(self.began + self.times.header_timeout)
        }
    }

    /// Arms the timer, or says that the client's time is up.
    fn poll_read_timer(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        match self.read_deadline() {
            Some(deadline) => self.read_timer.poll(cx, deadline),
            // Something is running: when it ends, the library asks again.
            None => Poll::Pending,
        }
    }

    /// Replaces everything that is held by the stand-in for a refused head.
    fn refuse(&mut self, why: Refusal) {
        self.connection.refuse_next(why);
        self.held = BytesMut::from(REFUSED_HEAD);
        self.released = REFUSED_HEAD.len();
        self.mode = Mode::Ended;
        self.head_since = None;
    }

    /// Hands out bytes that are released already.
    fn give(&mut self, out: &mut ReadBuf<'_>) {
        let count = self.released.min(out.remaining());
        if let Some(bytes) = self.held.get(..count) {
            out.put_slice(bytes);
        }
        self.held.advance(count);
        self.released -= count;
        if self.held.is_empty() {
            // An idle connection keeps no buffer.
            self.held = BytesMut::new();
        }
    }
}

/// What the scanner made of a run of bytes.
struct Scanned {
    /// How many from the front may be handed on.
    released: usize,
    /// The request that follows them is refused.
    refused: Option<(Refusal, bool)>,
}

/// Lets the scanner look at `input`. The refusal's flag tells whether it concerns a head that is not handed on yet
/// (`true`) or a body whose head is gone already.
fn scan(scanner: &mut Scanner, in_body: &mut bool, connection: &Connection, input: &[u8]) -> Scanned {
    let mut released = 0;
    let mut head_start = None;
    loop {
        let rest = input.get(released..).unwrap_or_default();
        if rest.is_empty() {
            return Scanned { released, refused: None };
        }
        match scanner.scan(rest) {
            Progress::NeedMore | Progress::Head { bytes: 0 } | Progress::Body { bytes: 0 } => {
                return Scanned { released, refused: None };
            }
            Progress::Head { bytes } => {
                head_start = Some(released);
                if let Some(target) = odd_target(rest) {
                    connection.note_target(target);
                }
                connection.head_released();
                *in_body = !scanner.is_idle();
                released = released.saturating_add(bytes).min(input.len());
            }
            Progress::Body { bytes } => {
                released = released.saturating_add(bytes).min(input.len());
                *in_body = !scanner.is_idle();
                if !*in_body {
                    head_start = None;
                }
            }
            Progress::Refuse(why) => {
                // A body that is malformed within the same bytes as its head refuses the whole request.
                return match (*in_body, head_start) {
                    (true, Some(start)) => {
                        connection.head_withdrawn();
                        Scanned { released: start, refused: Some((Refusal::Head(why), true)) }
                    }
                    (true, None) => Scanned { released, refused: Some((Refusal::Head(why), false)) },
                    (false, _) => Scanned { released, refused: Some((Refusal::Head(why), true)) },
                };
            }
        }
    }
}

/// The target of a head, where it is no path.
fn odd_target(head: &[u8]) -> Option<&[u8]> {
    let line = head.trim_ascii_start();
    let start = line.iter().position(|byte| *byte == b' ')? + 1;
    let target = line.get(start..).filter(|target| !target.starts_with(b"/"))?;
    target.split(|byte| *byte == b' ').next()
}

impl<T: AsyncRead + AsyncWrite + Unpin> AsyncRead for Tap<T> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, out: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        loop {
            if this.released > 0 {
                this.give(out);
                return Poll::Ready(Ok(()));
            }
            if this.body_error {
                return Poll::Ready(Err(io::ErrorKind::InvalidData.into()));
            }
            if this.connection.is_passed_through() {
                if !this.held.is_empty() {
                    this.released = this.held.len();
                    continue;
                }
                return Pin::new(&mut this.io).poll_read(cx, out);
            }
            let before = out.filled().len();
            match &mut this.mode {
                // The refusal is on its way; the library must not read an end of stream before it has answered.
                Mode::Ended => return Poll::Pending,
                Mode::Http2 { meter, preface_left } => {
                    ready!(Pin::new(&mut this.io).poll_read(cx, out))?;
                    let new = out.filled().get(before..).unwrap_or_default();
                    let skip = (*preface_left).min(new.len());
                    *preface_left -= skip;
                    let frames = new.get(skip..).unwrap_or_default();
                    if meter.see(frames, this.born.elapsed()).is_err() {
                        // What is left of the preface is handed on: a connection that was greeted can be told GOAWAY.
                        out.set_filled(before + skip);
                        this.mode = Mode::Ended;
                        this.connection.flood();
                        return if skip > 0 { Poll::Ready(Ok(())) } else { Poll::Pending };
                    }
                    return Poll::Ready(Ok(()));
                }
                Mode::Http1(scanner) if this.held.is_empty() => {
                    match Pin::new(&mut this.io).poll_read(cx, out) {
                        Poll::Pending => {
                            ready!(this.poll_read_timer(cx));
                            // Nothing of a head has come: the connection just ends.
                            return Poll::Ready(Ok(()));
                        }
                        Poll::Ready(result) => result?,
                    }
                    let new = out.filled().get(before..).unwrap_or_default();
                    if new.is_empty() {
                        if !this.in_body && this.connection.owes_an_answer() {
                            let grace = || Box::pin(tokio::time::sleep(HALF_CLOSED_GRACE));
                            ready!(this.half_closed.get_or_insert_with(grace).as_mut().poll(cx));
                        }
                        return Poll::Ready(Ok(()));
                    }
                    let scanned = scan(scanner, &mut this.in_body, &this.connection, new);
                    let rest = new.get(scanned.released..).unwrap_or_default();
                    if !rest.is_empty() && scanned.refused.is_none() {
                        this.held.extend_from_slice(rest);
                    }
                    out.set_filled(before + scanned.released);
                    this.after_scan(scanned.refused);
                    if scanned.released > 0 {
                        return Poll::Ready(Ok(()));
                    }
                }
                Mode::Http1(_) => {
                    if !ready!(this.poll_head(cx))? {
                        return Poll::Ready(Ok(()));
                    }
                }
            }
        }
    }
}

impl<T: AsyncRead + AsyncWrite + Unpin> Tap<T> {
    /// Notes where the connection stands after a run of bytes was scanned.
    fn after_scan(&mut self, refused: Option<(Refusal, bool)>) {
        match refused {
            Some((why, true)) if self.released == 0 => self.refuse(why),
            Some((why, true)) => {
                // What was released goes out first; the stand-in follows.
                self.connection.refuse_next(why);
                self.held.extend_from_slice(REFUSED_HEAD);
                self.released = self.held.len();
                self.mode = Mode::Ended;
            }
            Some((Refusal::Head(why), false)) => {
                self.connection.refuse_body(why);
                self.body_error = true;
            }
            Some((Refusal::HeaderTimeout, false)) | None => {
                let pending_head = self.held.len() > self.released && !self.in_body;
                if pending_head {
                    self.head_since.get_or_insert_with(Instant::now);
                } else {
                    self.head_since = None;
                }
                self.first_head_done |= !pending_head;
                if !pending_head && !self.in_body {
                    self.connection.note_quiet(self.born.elapsed());
                }
            }
        }
    }

    fn wrote(&mut self, result: Poll<io::Result<usize>>, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        match result {
            Poll::Ready(Ok(count)) => {
                self.written_in_window = self.written_in_window.saturating_add(count as u64);
                if let Mode::Http2 { meter, .. } = &mut self.mode {
                    meter.sent(count as u64);
                }
                Poll::Ready(Ok(count))
            }
            Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
            Poll::Pending => {
                let window = self.times.write_stall;
                let look = STALL_LOOK.min(window);
                loop {
                    let timer = self.write_timer.get_or_insert_with(|| {
                        self.written_in_window = 0;
                        self.window_began = Instant::now();
                        Box::pin(tokio::time::sleep(look))
                    });
                    ready!(timer.as_mut().poll(cx));
                    let waited = self.window_began.elapsed();
                    // Where others wait for what this client keeps busy, it must read at once.
                    let idle = self.written_in_window == 0 && self.connection.is_pressed();
                    if waited >= window || idle {
                        if self.written_in_window < MIN_WRITE_RATE.saturating_mul(waited.as_secs().max(1)) {
                            return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
                        }
                        self.write_timer = None;
                    } else {
                        timer.as_mut().reset(Instant::now() + look);
                    }
                }
            }
        }
    }
}

impl<T: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Tap<T> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let result = Pin::new(&mut this.io).poll_write(cx, bytes);
        this.wrote(result, cx)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let result = Pin::new(&mut this.io).poll_write_vectored(cx, slices);
        this.wrote(result, cx)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let result = Pin::new(&mut this.io).poll_flush(cx);
        if result.is_ready() {
            // Everything is out: a later wait starts a window of its own.
            this.write_timer = None;
        }
        result
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let (timer, left) = match &mut this.linger {
            Some(linger) => linger,
            None => {
                ready!(Pin::new(&mut this.io).poll_shutdown(cx))?;
                this.held = BytesMut::new();
                this.linger.insert((Box::pin(tokio::time::sleep(LINGER_TIME)), LINGER_BYTES))
            }
        };
        // Closing a socket with unread bytes resets it, and the client may never see our answer: read on for a moment.
        let mut scrap = [0_u8; 2048];
        loop {
            if timer.as_mut().poll(cx).is_ready() || *left == 0 {
                return Poll::Ready(Ok(()));
            }
            let mut buffer = ReadBuf::new(&mut scrap);
            match ready!(Pin::new(&mut this.io).poll_read(cx, &mut buffer)) {
                Ok(()) if !buffer.filled().is_empty() => *left = left.saturating_sub(buffer.filled().len()),
                Ok(()) | Err(_) => return Poll::Ready(Ok(())),
            }
        }
    }
}
