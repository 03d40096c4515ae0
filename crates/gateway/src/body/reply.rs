//! The response body on its way down: an upstream's with its bounds, or the gateway's own. It ends the record.

use std::{
    collections::VecDeque,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use bartizan_guards::response_contract::ItemStream;
use bartizan_model::Verdict;
use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use tokio::time::Instant;

use super::{BodyError, HoldError, Pieces, items::Items, with_held};
use crate::{
    held::Share,
    kick::{Kick, Kicked},
    record::{Ending, Record},
    stall,
    timer::LazyTimer,
    upstream::Lease,
};

/// The response body that the client gets. It carries the record of the exchange, which ends with it.
pub struct ReplyBody {
    source: Source,
    record: Option<Box<Record>>,
}

enum Source {
    /// Made by the gateway.
    Own(Option<Bytes>),
    /// From an upstream.
    Upstream(Box<Download>),
}

/// An upstream's response body with its bounds.
pub struct Download {
    incoming: Incoming,
    lease: Option<Lease>,
    /// The longest wait between two pieces; `None` for event streams and gRPC.
    idle: Option<Duration>,
    /// The end of the whole exchange; `None` for event streams and gRPC.
    deadline: Option<Instant>,
    timer: LazyTimer,
    kick: Option<Kicked>,
    /// When the last piece came; `None` until the first wait.
    last: Option<Instant>,
    /// What guards have looked at, and its share of the budget.
    held: VecDeque<Frame<Bytes>>,
    share: Option<Share>,
    /// What looks at the items of the body while they flow.
    items: Option<Box<Items>>,
}

impl Download {
    /// Wraps an upstream's body; the lease goes back to the pool when the body has ended.
    pub fn new(incoming: Incoming, lease: Lease, idle: Option<Duration>, deadline: Option<Instant>) -> Self {
        Download {
            incoming,
            lease: Some(lease),
            idle,
            deadline,
            timer: LazyTimer::default(),
            kick: None,
            last: None,
            held: VecDeque::new(),
            share: None,
            items: None,
        }
    }

    /// Shows what flows to a guard, item by item; what is held comes first.
    pub fn look_at(&mut self, items: ItemStream, share: Share) {
        self.items = Some(Box::new(Items::new(items, share)));
    }

    /// Holds the body for guards, whole or up to `limit` bytes, as [`Upload::hold`] does; not longer than `until`, nor
    /// between two pieces than the longest wait.
    ///
    /// # Errors
    /// The upstream broke off or stalled, or the share cannot grow.
    pub async fn hold(
        &mut self,
        limit: usize,
        mut share: Share,
        until: Instant,
    ) -> Result<(Bytes, bool), HoldError> {
        let mut pieces = Pieces::default();
        while pieces.total <= limit && !self.incoming.is_end_stream() {
            let wait = self.idle.map_or(until, |idle| until.min(Instant::now() + idle));
            let Ok(frame) = tokio::time::timeout_at(wait, self.incoming.frame()).await else {
                return Err(HoldError::Body(BodyError::Upstream));
            };
            let Some(frame) = frame else { break };
            let frame = frame.map_err(|_| HoldError::Body(BodyError::Upstream))?;
            if !pieces.take(frame, &mut share) {
                return Err(HoldError::Budget);
            }
        }
        let ended = self.incoming.is_end_stream() || pieces.total <= limit;
        let (bytes, whole) = pieces.show(limit, &mut self.held);
        self.share = Some(share);
        Ok((bytes, whole && ended))
    }

    /// Sends these bytes in place of a body that is held whole.
    pub fn replace(&mut self, bytes: Bytes) {
        self.held.clear();
        self.held.extend((!bytes.is_empty()).then(|| Frame::data(bytes)));
    }

    /// A response whose body is known to be empty: the lease can go back at once.
    fn is_empty(&self) -> bool {
        self.is_over()
    }

    /// Nothing more comes.
    fn is_over(&self) -> bool {
        self.is_drained() && self.items.as_ref().is_none_or(|items| items.is_over())
    }

    /// Nothing more comes from the upstream.
    fn is_drained(&self) -> bool {
        self.held.is_empty() && self.incoming.is_end_stream()
    }
}

impl ReplyBody {
    /// A body made by the gateway.
    pub fn own(bytes: Bytes, record: Box<Record>) -> Self {
        ReplyBody { source: Source::Own(Some(bytes)), record: Some(record) }
    }

    /// An upstream's body.
    pub fn upstream(mut download: Download, record: Box<Record>) -> Self {
        if download.is_empty()
            && let Some(lease) = download.lease.take()
        {
            lease.give_back(&record.body);
        }
        ReplyBody { source: Source::Upstream(Box::new(download)), record: Some(record) }
    }

    /// A body without a record: for answers to what never became an exchange.
    #[must_use]
    pub fn bare() -> Self {
        ReplyBody { source: Source::Own(None), record: None }
    }
}

impl Drop for ReplyBody {
    fn drop(&mut self) {
        // A body of the gateway's own is handed over in one piece; whether the client took it cannot be known.
        let whole = match &self.source {
            Source::Own(_) => true,
            Source::Upstream(download) => download.is_over(),
        };
        if let Some(record) = &mut self.record
            && whole
        {
            record.end(Ending { verdict: Verdict::Allow, reason: None, by: None });
        }
    }
}

impl Download {
    /// The next piece for the client.
    fn poll(
        &mut self,
        record: &mut Option<Box<Record>>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let next = loop {
            if self.items.as_mut().is_some_and(|items| items.pause()) {
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
            if let Some(next) = self.items.as_mut().and_then(|items| items.next()) {
                break next.map_or_else(|error| self.broken_off(error), |frame| Some(Ok(frame)));
            }
            match (ready!(self.poll_upstream(record, cx)), &mut self.items, record.as_deref_mut()) {
                (Some(Ok(frame)), Some(items), Some(record)) => items.take(frame, record),
                (None, Some(items), Some(record)) if !items.is_finished() => items.finish(record),
                (next, ..) => break next,
            }
        };
        if let Some(record) = record {
            match &next {
                Some(Ok(frame)) => record.bytes_out += frame.data_ref().map_or(0, Bytes::len) as u64,
                None => record.end(Ending { verdict: Verdict::Allow, reason: None, by: None }),
                Some(Err(_)) => {}
            }
        }
        Poll::Ready(next)
    }

    /// Nothing of the upstream is wanted any more.
    fn broken_off(&mut self, error: BodyError) -> Option<Result<Frame<Bytes>, BodyError>> {
        self.lease = None;
        Some(Err(error))
    }

    /// The next piece of the upstream.
    fn poll_upstream(
        &mut self,
        record: &mut Option<Box<Record>>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let next = match self.held.pop_front() {
            Some(frame) => Poll::Ready(Some(Ok(frame))),
            None => {
                self.share = None;
                Pin::new(&mut self.incoming).poll_frame(cx)
            }
        };
        match next {
            Poll::Ready(Some(Ok(frame))) => {
                if self.last.is_some() {
                    self.last = Some(Instant::now());
                }
                if self.is_drained()
                    && let (Some(lease), Some(record)) = (self.lease.take(), record.as_ref())
                {
                    lease.give_back(&record.body);
                }
                Poll::Ready(Some(Ok(frame)))
            }
            Poll::Ready(None) => {
                if let (Some(lease), Some(record)) = (self.lease.take(), record.as_ref()) {
                    lease.give_back(&record.body);
                }
                Poll::Ready(None)
            }
            Poll::Ready(Some(Err(_))) => self.fail(record, "upstream.truncated"),
            Poll::Pending => {
                if let Some(record_ref) = record.as_ref() {
                    let kick = self.kick.get_or_insert_with(|| record_ref.gateway.kicks.subscribe());
                    while kick.poll_changed(cx).is_ready() {
                        if let Some(why) = Kick::verdict(record_ref) {
                            if let Some(record) = record {
                                record.end(Ending {
                                    verdict: Verdict::Deny,
                                    reason: Some(why),
                                    by: Some("stream"),
                                });
                            }
                            return Poll::Ready(Some(Err(BodyError::Ended)));
                        }
                    }
                }
                let idle = self.idle.map(|idle| *self.last.get_or_insert_with(Instant::now) + idle);
                let Some(deadline) = [idle, self.deadline].into_iter().flatten().min() else {
                    return Poll::Pending;
                };
                ready!(self.timer.poll(cx, deadline));
                self.fail(record, "upstream.body_timeout")
            }
        }
    }

    fn fail(
        &mut self,
        record: &mut Option<Box<Record>>,
        reason: &'static str,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        self.lease = None;
        if let Some(record) = record {
            // A client that broke its own upload is not the upstream's failure.
            let ending = if record.body.fault().is_some() {
                Ending { verdict: Verdict::Abort, reason: None, by: None }
            } else {
                Ending { verdict: Verdict::Error, reason: Some(reason), by: Some("upstream") }
            };
            record.end(ending);
        }
        Poll::Ready(Some(Err(BodyError::Upstream)))
    }
}

impl Body for ReplyBody {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let this = self.get_mut();
        stall::asked();
        match &mut this.source {
            Source::Own(bytes) => match bytes.take().filter(|b| !b.is_empty()) {
                Some(bytes) => {
                    if let Some(record) = &mut this.record {
                        record.bytes_out += bytes.len() as u64;
                    }
                    Poll::Ready(Some(Ok(Frame::data(bytes))))
                }
                None => Poll::Ready(None),
            },
            Source::Upstream(download) => {
                let next = download.poll(&mut this.record, cx);
                if matches!(next, Poll::Ready(Some(Ok(_)))) {
                    stall::given();
                }
                next
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.source {
            Source::Own(bytes) => bytes.as_ref().is_none_or(Bytes::is_empty),
            Source::Upstream(download) => download.is_over(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.source {
            Source::Own(bytes) => SizeHint::with_exact(bytes.as_ref().map_or(0, Bytes::len) as u64),
            Source::Upstream(download) => match &download.items {
                Some(items) if items.edits() => SizeHint::default(),
                _ => with_held(&download.held, &download.incoming),
            },
        }
    }
}
