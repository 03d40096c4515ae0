//! The two bodies of an exchange: the client's on its way up, bounded in size and slowness, and the response's on its
//! way down, which ends the record.

mod error;
mod items;
mod reply;

use std::{
    collections::VecDeque,
    pin::Pin,
    sync::{Arc, atomic::Ordering},
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::Bytes;
use http::Version;
use http_body::{Body, Frame, SizeHint};
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use tokio::time::{Instant, Sleep};

use crate::{
    held::Share,
    ingress::canonical::strip_trailers,
    record::{BodyFault, BodyMeter},
};

pub use error::{BodyError, HoldError};
pub use reply::{Download, ReplyBody};

/// Before a slow body is judged.
const RATE_GRACE: Duration = Duration::from_secs(5);

/// What is fetched of a body before a backend is asked for a connection.
const AHEAD: usize = 16 * 1024;

/// The client's body on its way to an upstream.
pub enum RequestBody {
    /// None.
    Empty,
    /// Streamed.
    Stream(Box<Upload>),
}

/// The pieces of a body that guards look at.
#[derive(Default)]
struct Pieces {
    data: Vec<Bytes>,
    trailers: Option<Frame<Bytes>>,
    /// Bytes.
    total: usize,
}

impl Pieces {
    /// Adds a piece; `false` where the share cannot grow.
    fn take(&mut self, frame: Frame<Bytes>, share: &mut Share) -> bool {
        match frame.into_data() {
            Ok(data) => {
                if !share.grow(data.len()) {
                    return false;
                }
                self.total += data.len();
                self.data.push(data);
            }
            Err(frame) => self.trailers = Some(frame),
        }
        true
    }

    /// The pieces as one, of which at most `limit` bytes are shown, and whether these are all; all of them go into `held`.
    fn show(mut self, limit: usize, held: &mut VecDeque<Frame<Bytes>>) -> (Bytes, bool) {
        // Most bodies come as one piece, and are not copied.
        let bytes = match self.data.len() {
            0 => Bytes::new(),
            1 => self.data.swap_remove(0),
            _ => self.data.concat().into(),
        };
        let shown = bytes.slice(..bytes.len().min(limit));
        let all = shown.len() == bytes.len();
        held.extend((!bytes.is_empty()).then(|| Frame::data(bytes)));
        held.extend(self.trailers);
        (shown, all)
    }
}

/// A streamed request body with its bounds.
pub struct Upload {
    incoming: Incoming,
    /// What was fetched ahead.
    held: VecDeque<Frame<Bytes>>,
    /// What of the budget is held for guards.
    share: Option<Share>,
    meter: Arc<BodyMeter>,
    max: u64,
    min_rate: u64,
    deadline: Option<Instant>,
    waited: Duration,
    waiting_since: Option<Instant>,
    timer: Option<Pin<Box<Sleep>>>,
}

impl Upload {
    /// Bounds `incoming` to `max` bytes, after a grace to `min_rate` bytes per second of waiting (0 for any), and to a
    /// `deadline`.
    pub fn new(
        incoming: Incoming,
        meter: Arc<BodyMeter>,
        max: u64,
        min_rate: u64,
        deadline: Option<Instant>,
    ) -> Self {
        Upload {
            incoming,
            held: VecDeque::new(),
            share: None,
            meter,
            max,
            min_rate,
            deadline,
            waited: Duration::ZERO,
            waiting_since: None,
            timer: None,
        }
    }

    /// Waits for the beginning, so that a body that is malformed from the start is refused before anything is forwarded,
    /// and clients that send slowly keep no backend busy: for the whole body or [`AHEAD`] bytes of it, and after the
    /// first piece no longer than `patience`. `false` when the body is empty.
    ///
    /// # Errors
    /// The body was cut.
    pub async fn prefetch(&mut self, patience: Option<Duration>) -> Result<bool, BodyError> {
        let until = patience.map(|patience| Instant::now() + patience);
        let mut bytes = 0;
        loop {
            let next = std::future::poll_fn(|cx| self.poll_next(cx));
            let next = match until {
                Some(until) if bytes > 0 => match tokio::time::timeout_at(until, next).await {
                    Ok(next) => next,
                    Err(_) => return Ok(true),
                },
                _ => next.await,
            };
            match next {
                Some(Ok(frame)) => {
                    bytes += frame.data_ref().map_or(0, Bytes::len);
                    self.held.push_back(frame);
                    if bytes >= AHEAD || self.incoming.is_end_stream() {
                        return Ok(true);
                    }
                }
                Some(Err(error)) => return Err(error),
                None => return Ok(!self.held.is_empty()),
            }
        }
    }

    /// Holds the body for guards, whole or up to `limit` bytes, counted in `share`. What is held flows on later, in front
    /// of the rest. Answers what is held as one piece, at most `limit` bytes, and whether that is all.
    ///
    /// # Errors
    /// The body was cut, or the share cannot grow.
    pub async fn hold(&mut self, limit: usize, mut share: Share) -> Result<(Bytes, bool), HoldError> {
        let mut pieces = Pieces::default();
        let mut ended = false;
        while pieces.total <= limit && !ended {
            match std::future::poll_fn(|cx| self.poll_next(cx)).await {
                None => ended = true,
                Some(frame) => {
                    if !pieces.take(frame.map_err(HoldError::Body)?, &mut share) {
                        return Err(HoldError::Budget);
                    }
                    ended = self.incoming.is_end_stream();
                }
            }
        }
        let (bytes, whole) = pieces.show(limit, &mut self.held);
        self.share = Some(share);
        Ok((bytes, whole && ended))
    }

    /// Sends other bytes in place of what is held, which must be all of it; trailers stay.
    pub fn replace(&mut self, bytes: Bytes) {
        self.held.retain(Frame::is_trailers);
        if !bytes.is_empty() {
            self.held.push_front(Frame::data(bytes));
        }
    }

    /// What the client has not sent yet.
    pub fn into_rest(self) -> Incoming {
        self.incoming
    }

    fn cut(&self, fault: BodyFault) -> BodyError {
        self.meter.cut(fault);
        BodyError::Client(fault)
    }

    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        match Pin::new(&mut self.incoming).poll_frame(cx) {
            Poll::Ready(Some(Ok(frame))) => {
                if let Some(since) = self.waiting_since.take() {
                    self.waited += since.elapsed();
                }
                let length = frame.data_ref().map_or(0, Bytes::len) as u64;
                let total = self.meter.bytes.fetch_add(length, Ordering::Relaxed) + length;
                if total > self.max {
                    return Poll::Ready(Some(Err(self.cut(BodyFault::TooLarge))));
                }
                if self.incoming.is_end_stream() {
                    // Whoever sees this end does not ask again.
                    self.meter.finish();
                }
                let frame = frame.into_trailers().map_or_else(
                    |data| data,
                    |mut trailers| {
                        strip_trailers(&mut trailers);
                        Frame::trailers(trailers)
                    },
                );
                Poll::Ready(Some(Ok(frame)))
            }
            Poll::Ready(Some(Err(_))) => Poll::Ready(Some(Err(self.cut(BodyFault::Broken)))),
            Poll::Ready(None) => {
                self.meter.finish();
                Poll::Ready(None)
            }
            Poll::Pending => {
                // Only time spent waiting for the client counts: a slow upstream is not the client's fault.
                let since = *self.waiting_since.get_or_insert_with(Instant::now);
                let allowed = self.meter.bytes.load(Ordering::Relaxed).checked_div(self.min_rate);
                let slow = allowed.map(|allowed| {
                    let patience = (RATE_GRACE + Duration::from_secs(allowed)).saturating_sub(self.waited);
                    (since + patience, BodyFault::TooSlow)
                });
                let long = self.deadline.map(|deadline| (deadline, BodyFault::TooLong));
                let Some((deadline, fault)) = [slow, long].into_iter().flatten().min_by_key(|(at, _)| *at)
                else {
                    return Poll::Pending;
                };
                let timer = self.timer.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(deadline)));
                if timer.deadline() != deadline {
                    timer.as_mut().reset(deadline);
                }
                ready!(timer.as_mut().poll(cx));
                Poll::Ready(Some(Err(self.cut(fault))))
            }
        }
    }
}

impl Body for RequestBody {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        match self.get_mut() {
            RequestBody::Empty => Poll::Ready(None),
            RequestBody::Stream(upload) => match upload.held.pop_front() {
                Some(frame) => Poll::Ready(Some(Ok(frame))),
                None => {
                    upload.share = None;
                    upload.poll_next(cx)
                }
            },
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            RequestBody::Empty => true,
            RequestBody::Stream(upload) => upload.held.is_empty() && upload.incoming.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            RequestBody::Empty => SizeHint::with_exact(0),
            RequestBody::Stream(upload) => with_held(&upload.held, &upload.incoming),
        }
    }
}

/// The length of a body whose beginning is held.
fn with_held(held: &VecDeque<Frame<Bytes>>, rest: &Incoming) -> SizeHint {
    let held = held.iter().filter_map(Frame::data_ref).map(Bytes::len).sum::<usize>() as u64;
    match rest.size_hint().exact() {
        Some(rest) => SizeHint::with_exact(rest + held),
        None => SizeHint::default(),
    }
}

/// Bytes and time that the body of a refused request is still read for.
const LINGER_BYTES: u64 = 64 * 1024;
const LINGER_TIME: Duration = Duration::from_secs(1);

/// Reads the rest of a refused HTTP/2 request for a moment, and throws it away: a stream that is reset while its client
/// still sends takes the answer with it. On HTTP/1 the close of the connection lingers, and reading here would ask for a
/// body that nobody wants (`100 Continue`).
pub fn linger(version: Version, mut body: Incoming) {
    if version < Version::HTTP_2 || body.is_end_stream() {
        return;
    }
    tokio::spawn(async move {
        let mut left = LINGER_BYTES;
        let drain = async {
            while let Some(Ok(frame)) = body.frame().await {
                let length = frame.data_ref().map_or(0, Bytes::len) as u64;
                match left.checked_sub(length) {
                    Some(rest) => left = rest,
                    None => return,
                }
            }
        };
        let _ = tokio::time::timeout(LINGER_TIME, drain).await;
    });
}
