//! The in-process mark of a probe's connection, and the echo at which every probe ends.

use std::{
    net::IpAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use bartizan_model::{
    Finding, ResponseHead, Transaction, Verdict,
    probe::Scratch,
    transaction::{Step, TraceLine},
};
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode, header};
use parking_lot::Mutex;

use crate::{
    body::ReplyBody,
    record::{Ending, Record},
    respond,
};

/// What makes a connection one of probes. It is a value of this process, made by this module alone and handed to the
/// connection directly: no header, no token and no address can stand for it.
#[derive(Debug)]
pub struct Mark {
    scratch: Scratch,
    /// What the echo adds to its answer, as a careless upstream would.
    reply: HeaderMap,
    reached: AtomicBool,
    /// The fields that an upstream would have got, as far as guards see them.
    forwarded: Mutex<Vec<HeaderName>>,
    observed: Mutex<Option<Observed>>,
}

/// What the gateway decided about a probe.
#[derive(Debug)]
pub(super) struct Observed {
    pub ending: Option<Ending>,
    pub findings: Vec<Finding>,
    pub trace: Vec<TraceLine>,
    /// The client's address as the gateway established it.
    pub client: IpAddr,
    /// Break-glass was on.
    pub monitor_all: bool,
    /// The policy that decided.
    pub generation: u64,
}

impl Observed {
    /// What the guard with this id decided; nothing when the exchange ended before it.
    pub fn step(&self, guard: &str) -> Option<Step> {
        let steps = self.trace.iter().filter(|line| line.guard == guard).map(|line| line.step);
        // A guard in two places has passed only if it passed in both.
        steps.max_by_key(|step| match step {
            Step::Skipped => 0,
            Step::Continued => 1,
            Step::Answered => 2,
            Step::Watched(_) => 3,
            Step::Refused(_) => 4,
        })
    }

    /// Whether the guard left a finding.
    pub fn found(&self, guard: &str) -> bool {
        self.findings.iter().any(|finding| finding.guard == guard)
    }
}

impl Mark {
    pub(super) fn new(scratch: Scratch, reply: HeaderMap) -> Arc<Self> {
        Arc::new(Mark {
            scratch,
            reply,
            reached: AtomicBool::new(false),
            forwarded: Mutex::default(),
            observed: Mutex::default(),
        })
    }

    /// What the probe counts and looks up in.
    pub(crate) fn scratch(&self) -> Scratch {
        self.scratch.clone()
    }

    /// Takes down how the exchange ended; called when its record ends.
    pub(crate) fn note(&self, ending: Option<Ending>, transaction: &mut Transaction, generation: u64) {
        *self.observed.lock() = Some(Observed {
            ending,
            findings: std::mem::take(&mut transaction.findings),
            trace: transaction.trace.take().unwrap_or_default(),
            client: transaction.client.ip,
            monitor_all: transaction.monitor_all,
            generation,
        });
    }

    /// Whether the probe came to the echo: an upstream would have got it.
    pub(super) fn reached(&self) -> bool {
        self.reached.load(Ordering::Acquire)
    }

    /// The fields with which the probe came to the echo.
    pub(super) fn forwarded(&self) -> Vec<HeaderName> {
        self.forwarded.lock().clone()
    }

    pub(super) fn take(&self) -> Option<Observed> {
        self.observed.lock().take()
    }
}

/// Stands for the upstream of a probe: nothing is sent anywhere. Guards edit its answer as they edit every one.
pub(crate) fn echo(mut record: Box<Record>) -> Response<ReplyBody> {
    let mut headers = HeaderMap::new();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    if let Some(mark) = record.connection.mark() {
        headers.extend(mark.reply.clone());
        *mark.forwarded.lock() = record.transaction.request.headers.keys().cloned().collect();
        mark.reached.store(true, Ordering::Release);
    }
    let mut head = ResponseHead { status: StatusCode::OK, headers, from_upstream: true };
    respond::dress(&record, &mut head);
    record.end(Ending { verdict: Verdict::Allow, reason: None, by: Some("probe") });
    record.status = head.status.as_u16();
    let mut response = Response::new(ReplyBody::own(Bytes::from_static(b"{\"echo\":true}"), record));
    *response.status_mut() = head.status;
    *response.headers_mut() = head.headers;
    response
}
