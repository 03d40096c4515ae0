//! The responses of one operation: such as keep what the contract promises, and such as do not.

use bartizan_pattern::body::{BodyLimits, Buffers, media_type::BodyKind, read};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};

use super::{
    Generator, Made, Untested,
    body::{body_kind, stated},
    fits,
    mutate::{Surface, changes},
    source,
    value::Fill,
    write::{self, Written},
};
use crate::{
    form::{Operation, ParameterValue, Response, ResponseStatus},
    shape::Direction,
};

/// A response that was made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResponseCase {
    /// What it is about.
    pub about: String,
    /// The rule: a keyword of a schema, or what else there is to break.
    pub rule: &'static str,
    /// Whether it keeps to the contract.
    pub valid: bool,
    /// Its status.
    pub status: u16,
    /// Its header fields.
    pub headers: Vec<(String, String)>,
    /// Its body.
    pub body: Vec<u8>,
}

impl Generator<'_> {
    pub(super) fn responses(&self, operation: &Operation, made: &mut Made) {
        for response in &operation.responses {
            self.response(operation, response, made);
        }
        // Whatever the contract says of no status at all says nothing.
        let statuses: Vec<_> = operation.responses.iter().map(|response| response.status).collect();
        if !statuses.is_empty() && !statuses.contains(&ResponseStatus::Default) {
            let free = [418, 299, 599].into_iter().find(|status| operation.response(*status).is_none());
            if let Some(status) = free {
                let about = format!("{status}: a status that is not in the contract");
                made.responses.push(ResponseCase {
                    about,
                    rule: "status",
                    valid: false,
                    status,
                    headers: Vec::new(),
                    body: Vec::new(),
                });
            }
        }
    }

    fn response(&self, operation: &Operation, response: &Response, made: &mut Made) {
        let Some(check) = self.checks.operation(&operation.spec.label) else { return };
        let status = match response.status {
            ResponseStatus::Exact(status) => status,
            ResponseStatus::Class(class) => u16::from(class) * 100 + 42,
            ResponseStatus::Default => 542,
        };
        let mut headers = Vec::new();
        for field in &response.headers {
            let ParameterValue::Schema(at) = &field.value else { continue };
            let writes = |value: &_, _: &_| write::parameter(field, value, false).is_some();
            let found = self.value(at, None, Direction::Response, Fill::All, writes);
            let written = found.and_then(|(value, _)| write::parameter(field, &value, false));
            if let Some(Written::Field(text)) = written {
                headers.push((field.name.to_string(), text));
            }
        }
        for media in &response.media {
            let kind = stated(&media.range);
            let name = format!("{status} {}", media.range);
            let schema = check.response_schema(response.status, &media.range);
            let (Some(at), Some(schema)) = (&media.schema, schema) else { continue };
            // Other bodies are not looked at.
            if body_kind(&kind) != Some(BodyKind::Json) || media.item_schema.is_some() || has_no_body(status)
            {
                continue;
            }
            let mut fields = headers.clone();
            fields.push(("content-type".to_owned(), kind));
            let mut any = false;
            for fill in [Fill::All, Fill::Required] {
                let found = self.value(at, Some(schema), Direction::Response, fill, |_, _| true);
                let Some((value, maker)) = found else { continue };
                any = true;
                let mut push = |fields: &[_], about: String, rule, valid, value: &serde_json::Value| {
                    let body = value.to_string().into_bytes();
                    let headers = fields.to_vec();
                    made.responses.push(ResponseCase { about, rule, valid, status, headers, body });
                };
                push(&fields, name.clone(), "all", true, &value);
                if fill == Fill::Required {
                    continue;
                }
                if let Some(required) = response.headers.iter().find(|field| field.required)
                    && fields.iter().any(|(own, _)| *own == *required.name)
                {
                    let without: Vec<_> =
                        fields.iter().filter(|(own, _)| *own != *required.name).cloned().collect();
                    push(
                        &without,
                        format!("{name} header.{}: missing", required.name),
                        "header",
                        false,
                        &value,
                    );
                }
                let mut left = self.settings.requests;
                for change in changes(&maker, &source(at), &value, Surface::Json) {
                    let holds = || fits(schema, &change.value);
                    let valid = match (change.fits, change.certain) {
                        (true, _) if holds() => true,
                        (false, true) => false,
                        (false, false) if !holds() => false,
                        _ => continue,
                    };
                    let Some(fewer) = left.checked_sub(1) else { break };
                    left = fewer;
                    let about = format!("{name} {}: {}", change.pointer, change.rule);
                    push(&fields, about, change.rule, valid, &change.value);
                }
            }
            if !any {
                made.untested.push(Untested {
                    what: format!("response {name}"),
                    why: "no value was found that fits",
                    place: media.place.clone().or_else(|| operation.place.clone()),
                });
            }
        }
    }

    /// What the checks say of a response: nothing where it keeps to the contract.
    #[must_use]
    pub fn judge(&self, operation: &Operation, case: &ResponseCase) -> Vec<String> {
        let Some(check) = self.checks.operation(&operation.spec.label) else { return Vec::new() };
        let mut headers = HeaderMap::new();
        for (name, value) in &case.headers {
            let pair = (HeaderName::from_bytes(name.as_bytes()), HeaderValue::from_str(value));
            if let (Ok(name), Ok(value)) = pair {
                headers.append(name, value);
            }
        }
        let Ok(status) = StatusCode::from_u16(case.status) else { return Vec::new() };
        let head = check.response_head(&self.checks, status, &headers);
        let mut told: Vec<String> = head.issues.iter().map(|issue| format!("{issue:?}")).collect();
        let Some(media) = head.media else { return told };
        let mut buffers = Buffers::default();
        let content_type = headers.get(header::CONTENT_TYPE).map(HeaderValue::as_bytes);
        let limits = BodyLimits::default();
        let reading = read(content_type, None, &case.body, &limits, &mut buffers);
        let found = self.checks.body(&media, &reading, Direction::Response);
        told.extend(found.violations.iter().map(ToString::to_string));
        told.extend(found.members.iter().map(|member| format!("{}: {:?}", member.pointer, member.noticed)));
        told
    }
}

/// Whether HTTP gives responses of a status no body (RFC 9110 section 6.4.1).
fn has_no_body(status: u16) -> bool {
    status < 200 || matches!(status, 204 | 205 | 304)
}
