//! What is known of an exchange: filled between phases, unchanged while rules are looked at.

use std::net::SocketAddr;

use bartizan_pattern::{
    alphabet::Bound,
    body::{UnreadableReason, multipart::MultipartFlags},
};

use super::fast::Bounds;
use crate::variables::Variable;

/// The head of a request as it was sent.
#[derive(Clone, Copy, Debug)]
pub struct RequestHead<'a> {
    /// The method.
    pub method: &'a [u8],
    /// The target as it was sent, with its query.
    pub target: &'a [u8],
    /// Such as `HTTP/1.1`.
    pub version: &'a [u8],
    /// Names and values in the order in which they were sent.
    pub headers: &'a [(&'a [u8], &'a [u8])],
    /// Where the request came from.
    pub client: SocketAddr,
    /// Where it arrived.
    pub server: SocketAddr,
    /// What is known of its values.
    pub proved: &'a [Proved<'a>],
}

/// What is known of the values of a part of a request, by the part's name: it is held against each value before it counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Proved<'a> {
    /// In which collection.
    pub place: Place,
    /// Of which name.
    pub name: &'a [u8],
    /// What is known.
    pub bound: Bound,
}

/// A collection of which values may be known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// Arguments of the query.
    Query,
    /// Header fields.
    Header,
    /// Cookies.
    Cookie,
    /// Fields of a form in the body.
    Form,
}

/// What is known of the values of a body.
#[derive(Clone, Copy, Debug, Default)]
pub struct ProvedBody<'a> {
    /// Of a JSON document: values by their numbers in the tape, ascending. The text is the one that the tape tells.
    pub values: &'a [(u32, Bound)],
    /// Of a form: fields, all of them of [`Place::Form`].
    pub fields: &'a [Proved<'a>],
}

/// A part of a collection.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) name: Vec<u8>,
    pub(super) value: Vec<u8>,
    /// What another engine calls the same part: selectors may use either name.
    pub(super) alias: Option<Vec<u8>>,
    /// The number of what is known of the value, among the bounds of the program; 0 where nothing is.
    pub(super) bound: u8,
}

impl Entry {
    pub(super) fn new(name: impl Into<Vec<u8>>, value: impl Into<Vec<u8>>) -> Self {
        Entry { name: name.into(), value: value.into(), ..Entry::default() }
    }
}

/// One uploaded file.
#[derive(Clone, Debug, Default)]
pub(super) struct File {
    /// The form field.
    pub(super) field: Vec<u8>,
    /// The client's name of the file.
    pub(super) filename: Vec<u8>,
    pub(super) content: Vec<u8>,
}

/// A text or attribute of an XML document.
#[derive(Clone, Debug)]
pub(super) struct XmlValue {
    /// Names of the elements that it is in, the outermost first.
    pub(super) elements: Vec<Box<[u8]>>,
    /// Its name, where it is an attribute.
    pub(super) attribute: Option<Box<[u8]>>,
    pub(super) text: Vec<u8>,
}

/// Everything about request and response that rules can look at.
#[derive(Clone, Debug, Default)]
pub(super) struct Exchange {
    pub(super) client: Option<SocketAddr>,
    pub(super) server: Option<SocketAddr>,
    pub(super) method: Vec<u8>,
    pub(super) protocol: Vec<u8>,
    pub(super) line: Vec<u8>,
    pub(super) uri_raw: Vec<u8>,
    pub(super) uri: Vec<u8>,
    pub(super) filename: Vec<u8>,
    pub(super) basename: Vec<u8>,
    pub(super) query: Vec<u8>,
    pub(super) server_name: Vec<u8>,
    pub(super) auth_type: Vec<u8>,
    pub(super) remote_user: Vec<u8>,
    pub(super) headers: Vec<Entry>,
    pub(super) cookies: Vec<Entry>,
    pub(super) args_get: Vec<Entry>,
    pub(super) args_post: Vec<Entry>,
    pub(super) files: Vec<File>,
    pub(super) multipart_names: Vec<Entry>,
    pub(super) multipart_filenames: Vec<Entry>,
    pub(super) multipart_headers: Vec<Entry>,
    pub(super) multipart: MultipartFlags,
    pub(super) multipart_strict_error: bool,
    pub(super) unmatched_boundary: u8,
    /// Texts and attributes of an XML body.
    pub(super) xml: Vec<XmlValue>,
    pub(super) urlencoded_error: bool,
    pub(super) body: Vec<u8>,
    pub(super) body_length: usize,
    /// Who read the body; the empty text where nobody did.
    pub(super) processor: &'static str,
    pub(super) body_error: Option<String>,
    /// The body is text of a type without names, such as `text/plain`.
    pub(super) body_is_text: bool,
    /// Why nothing in the body has a name, where its type is one that nobody reads.
    pub(super) body_unread: Option<UnreadableReason>,
    pub(super) inbound_data_error: bool,
    pub(super) status: Option<u16>,
    pub(super) response_protocol: Vec<u8>,
    pub(super) response_headers: Vec<Entry>,
    pub(super) response_body: Vec<u8>,
    pub(super) response_content_length: usize,
    pub(super) response_args: Vec<Entry>,
    pub(super) outbound_data_error: bool,
}

impl Exchange {
    /// Notes what is known of values, where they hold to it.
    pub(super) fn take_proved(&mut self, proved: &[Proved<'_>], bounds: &Bounds) {
        for known in proved {
            let number = bounds.number(&known.bound);
            let entries = match known.place {
                Place::Query => &mut self.args_get,
                Place::Header => &mut self.headers,
                Place::Cookie => &mut self.cookies,
                Place::Form => &mut self.args_post,
            };
            let is_name = |name: &[u8]| match known.place {
                Place::Header => name.eq_ignore_ascii_case(known.name),
                _ => name == known.name,
            };
            for entry in entries.iter_mut().filter(|entry| number > 0 && is_name(&entry.name)) {
                if known.bound.covers(&entry.value) {
                    entry.bound = number;
                }
            }
        }
    }

    /// The first header of that name, which is in lower case.
    pub(super) fn header(&self, name: &[u8]) -> Option<&[u8]> {
        first(&self.headers, name)
    }

    /// The text of a variable without parts that lies here as it is.
    pub(super) fn text(&self, variable: Variable) -> Option<&[u8]> {
        Some(match variable {
            Variable::AuthType => &self.auth_type,
            Variable::PathInfo | Variable::RequestFilename => &self.filename,
            Variable::QueryString => &self.query,
            Variable::RemoteUser => &self.remote_user,
            Variable::RequestBasename => &self.basename,
            Variable::RequestBody => &self.body,
            Variable::RequestLine => &self.line,
            Variable::RequestMethod => &self.method,
            Variable::RequestProtocol => &self.protocol,
            Variable::RequestUri => &self.uri,
            Variable::RequestUriRaw => &self.uri_raw,
            Variable::ResponseBody => &self.response_body,
            Variable::ResponseProtocol => &self.response_protocol,
            Variable::ServerName => &self.server_name,
            _ => return None,
        })
    }

    /// The first response header of that name, which is in lower case.
    pub(super) fn response_header(&self, name: &[u8]) -> Option<&[u8]> {
        first(&self.response_headers, name)
    }
}

fn first<'a>(entries: &'a [Entry], name: &[u8]) -> Option<&'a [u8]> {
    entries.iter().find(|entry| entry.name.eq_ignore_ascii_case(name)).map(|entry| entry.value.as_slice())
}
