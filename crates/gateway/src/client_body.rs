//! The client's body before it goes upstream: left alone and streamed, or held as far as a guard has to see it.

use std::sync::Arc;

use bartizan_guards::HeldBody;
use bartizan_model::{Denial, Verdict};
use bytes::Bytes;
use http::{HeaderValue, StatusCode, Version, header};
use hyper::body::Incoming;

use crate::{
    body::{HoldError, RequestBody, Upload, linger},
    forward::Onward,
    record::{BodyFault, Record},
    respond::{self, own_denial},
};

/// How long the beginning of a body of unknown length is waited for, while backends have connections left.
const AHEAD_TIME: std::time::Duration = std::time::Duration::from_millis(250);

/// The client's body on its way through the pipeline.
pub enum ClientBody {
    /// Nothing of it was read: no `100 Continue` was sent.
    Waiting(Incoming),
    /// Its beginning is held.
    Held(Box<Upload>),
    /// There is none.
    Empty,
    /// It comes with a question (`explain`), and goes nowhere.
    Told(Bytes),
}

impl ClientBody {
    /// Holds up to `bytes` of the body for guards; without a number, nothing is read.
    ///
    /// The body of an upgrade is the stream itself, and a gRPC stream over HTTP/2 may wait for its answer: neither is
    /// held.
    ///
    /// # Errors
    /// The body is longer, slower or more broken than allowed, or the budget for held bodies is spent.
    pub async fn hold(
        &mut self,
        record: &Record,
        onward: &Onward,
        bytes: Option<usize>,
    ) -> Result<HeldBody, Box<Denial>> {
        let headers = &record.transaction.request.headers;
        let nothing = |whole| HeldBody::new(Bytes::new(), whole).described(headers);
        let Some(limit) = bytes else { return Ok(nothing(self.is_empty())) };
        if onward.upgrade.is_some() || is_open(record) {
            return Ok(nothing(false));
        }
        let mut upload = match std::mem::replace(self, ClientBody::Empty) {
            ClientBody::Waiting(incoming) => match upload(record, onward, incoming)? {
                Some(upload) => upload,
                None => return Ok(nothing(true)),
            },
            // Held once, for all guards: what was shown is not shown again.
            held @ ClientBody::Held(_) => {
                *self = held;
                return Ok(nothing(false));
            }
            ClientBody::Empty => return Ok(nothing(true)),
            ClientBody::Told(body) => {
                let held = HeldBody::new(body.slice(..body.len().min(limit)), body.len() <= limit);
                *self = ClientBody::Told(body);
                return Ok(held.described(headers));
            }
        };
        match upload.hold(limit, record.gateway.held.share()).await {
            Ok((bytes, whole)) => {
                *self = if whole && bytes.is_empty() { ClientBody::Empty } else { ClientBody::Held(upload) };
                Ok(HeldBody::new(bytes, whole).described(headers))
            }
            Err(HoldError::Body(_)) => {
                Err(body_denial(record, record.body.fault().unwrap_or(BodyFault::Broken)))
            }
            Err(HoldError::Budget) => {
                let why = "the memory for bodies that guards look at is used up";
                let status = StatusCode::SERVICE_UNAVAILABLE;
                let mut denial = own_denial("ingress", "ingress.body_budget", status, Verdict::Throttle, why);
                denial.headers.push((header::RETRY_AFTER, HeaderValue::from_static("1")));
                Err(denial)
            }
        }
    }

    /// The body as it goes upstream. What was not held yet is awaited for its first piece, so that a body that is
    /// malformed from the start is refused before anything reaches an upstream.
    ///
    /// # Errors
    /// The body is longer, slower or more broken than allowed.
    pub async fn onward(self, record: &Record, onward: &Onward) -> Result<RequestBody, Box<Denial>> {
        let incoming = match self {
            ClientBody::Waiting(incoming) => incoming,
            ClientBody::Held(upload) => return Ok(RequestBody::Stream(upload)),
            ClientBody::Empty | ClientBody::Told(_) => return Ok(RequestBody::Empty),
        };
        let Some(mut upload) = upload(record, onward, incoming)? else { return Ok(RequestBody::Empty) };
        // A stream that both sides talk on may begin with the response: gRPC and HTTP/2 without a length are not waited for.
        let request = &record.transaction.request;
        let announced = request.content_length.is_some();
        if !is_open(record) && (request.version < Version::HTTP_2 || announced) {
            let patience = (!announced && !onward.upstream.is_busy()).then_some(AHEAD_TIME);
            match upload.prefetch(patience).await {
                Ok(true) => {}
                Ok(false) => return Ok(RequestBody::Empty),
                Err(_) => {
                    return Err(body_denial(record, record.body.fault().unwrap_or(BodyFault::Broken)));
                }
            }
        }
        Ok(RequestBody::Stream(upload))
    }

    /// Sends other bytes in place of a body that is held as a whole.
    pub fn replace(&mut self, bytes: Bytes) {
        match self {
            ClientBody::Held(upload) => upload.replace(bytes),
            ClientBody::Told(body) => *body = bytes,
            ClientBody::Waiting(_) | ClientBody::Empty => {}
        }
    }

    /// The exchange was refused: what the client still sends is thrown away for a moment.
    pub fn linger(self, version: Version) {
        match self {
            ClientBody::Waiting(incoming) => linger(version, incoming),
            ClientBody::Held(upload) => linger(version, upload.into_rest()),
            ClientBody::Empty | ClientBody::Told(_) => {}
        }
    }

    /// Whether the head said that there is none.
    pub(crate) fn is_empty(&self) -> bool {
        match self {
            ClientBody::Waiting(incoming) => http_body::Body::is_end_stream(incoming),
            ClientBody::Held(_) => false,
            ClientBody::Empty => true,
            ClientBody::Told(bytes) => bytes.is_empty(),
        }
    }
}

/// gRPC streams may be silent for long, and stay open.
fn is_open(record: &Record) -> bool {
    let request = &record.transaction.request;
    request.version == Version::HTTP_2 && respond::is_grpc(&request.headers)
}

/// The body with its bounds; `None` where there is none.
fn upload(record: &Record, onward: &Onward, incoming: Incoming) -> Result<Option<Box<Upload>>, Box<Denial>> {
    let meter = &record.body;
    if http_body::Body::is_end_stream(&incoming) {
        meter.finish();
        return Ok(None);
    }
    if record.transaction.request.content_length.is_some_and(|length| length > onward.max_body) {
        return Err(body_denial(record, BodyFault::TooLarge));
    }
    let open = is_open(record);
    let min_rate = if open { 0 } else { record.active.snapshot.bounds.min_body_rate };
    let deadline = (!open).then(|| record.deadline());
    Ok(Some(Box::new(Upload::new(incoming, Arc::clone(meter), onward.max_body, min_rate, deadline))))
}

/// What a cut request body is answered with.
pub fn body_denial(record: &Record, fault: BodyFault) -> Box<Denial> {
    match fault {
        BodyFault::TooLarge => own_denial(
            "ingress",
            "ingress.body_too_large",
            StatusCode::PAYLOAD_TOO_LARGE,
            Verdict::Deny,
            "the body is larger than `max_body`",
        ),
        BodyFault::TooSlow => own_denial(
            "ingress",
            "ingress.body_too_slow",
            StatusCode::REQUEST_TIMEOUT,
            Verdict::Deny,
            "the body came slower than `bounds.min_body_rate`",
        ),
        BodyFault::TooLong => own_denial(
            "ingress",
            "ingress.exchange_too_long",
            StatusCode::REQUEST_TIMEOUT,
            Verdict::Deny,
            "the exchange took longer than `bounds.total_timeout`",
        ),
        BodyFault::Broken => match record.connection.body_refusal() {
            Some(why) => crate::ingress::canonical::refusal(why.code(), 400, why.detail()),
            None => own_denial(
                "client",
                "client.aborted",
                StatusCode::BAD_REQUEST,
                Verdict::Abort,
                "the client left before its body was whole",
            ),
        },
    }
}
