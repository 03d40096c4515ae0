//! A response that is looked at item by item while it flows.

use std::collections::VecDeque;

use bartizan_guards::{
    ownership,
    response_contract::{ItemStream, Passed},
};
use bartizan_model::{Outcome, Phase, Stop, Verdict};
use bytes::Bytes;
use http_body::Frame;

use super::BodyError;
use crate::{
    held::Share,
    record::{Ending, Record},
};

/// What looks at the items, and what is ready for the client.
pub(super) struct Items {
    stream: ItemStream,
    /// Of the memory for held bodies: as much as the largest item of late took.
    share: Share,
    ready: VecDeque<Frame<Bytes>>,
    broken: Option<BodyError>,
    paused: bool,
    finished: bool,
}

impl Items {
    pub(super) fn new(stream: ItemStream, share: Share) -> Self {
        Items { stream, share, ready: VecDeque::new(), broken: None, paused: false, finished: false }
    }

    /// What the client gets next, as far as it is known: a piece, or that the body is broken off.
    pub(super) fn next(&mut self) -> Option<Result<Frame<Bytes>, BodyError>> {
        self.ready.pop_front().map(Ok).or_else(|| self.broken.map(Err))
    }

    /// Whether the library has to be left alone once before the body is broken off: it sends what it has when nothing more
    /// comes, and throws it away with a body that fails.
    pub(super) fn pause(&mut self) -> bool {
        self.broken.is_some() && self.ready.is_empty() && !std::mem::replace(&mut self.paused, true)
    }

    /// Whether the client has all that there is.
    pub(super) fn is_over(&self) -> bool {
        self.ready.is_empty() && self.broken.is_none() && self.stream.held() == 0
    }

    pub(super) fn is_finished(&self) -> bool {
        self.finished
    }

    /// Whether the client may get other bytes than came.
    pub(super) fn edits(&self) -> bool {
        !self.stream.only_watches()
    }

    /// Judges the next piece of the upstream.
    pub(super) fn take(&mut self, frame: Frame<Bytes>, record: &mut Record) {
        match frame.into_data() {
            Ok(data) => {
                let passed = self.stream.push(&mut record.transaction, data);
                self.pass(passed, record);
                self.account(record);
            }
            Err(mut frame) => {
                self.finish(record);
                if let Some(trailers) = frame.trailers_mut().filter(|_| self.edits()) {
                    ownership::forget_body(trailers);
                }
                self.ready.push_back(frame);
            }
        }
    }

    /// Judges what was left open at the end.
    pub(super) fn finish(&mut self, record: &mut Record) {
        if !std::mem::replace(&mut self.finished, true) {
            let passed = self.stream.finish(&mut record.transaction);
            self.pass(passed, record);
        }
    }

    fn pass(&mut self, passed: Passed, record: &mut Record) {
        let Passed { bytes, refused } = passed;
        self.ready.extend((!bytes.is_empty()).then(|| Frame::data(bytes)));
        let (Some(why), Some(operation)) = (refused, record.operation.clone()) else { return };
        let guard = &operation.guards.response_contract;
        let stop = guard.response(&mut record.transaction, Phase::ResponseBody, |_, _| Outcome::Deny(why));
        if let Err(Stop::Denial(denial)) = stop {
            record.end(Ending::of(&denial));
        }
        self.broken = Some(BodyError::Ended);
    }

    /// Takes of the budget what the open item has; gives it back once nothing is open.
    fn account(&mut self, record: &mut Record) {
        let held = self.stream.held();
        if held == 0 && self.share.taken() > 0 {
            self.share = record.gateway.held.share();
        }
        let more = held.saturating_sub(self.share.taken());
        if more > 0 && !self.share.grow(more) {
            let reason = Some("upstream.body_budget");
            record.end(Ending { verdict: Verdict::Error, reason, by: Some("upstream") });
            self.broken = Some(BodyError::Ended);
        }
    }
}
