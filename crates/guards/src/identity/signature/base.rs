//! Signature bases: what a signature over an HTTP message signs (RFC 9421 section 2).

use std::borrow::Cow;

use bartizan_model::Transaction;
use base64::{Engine, engine::general_purpose::STANDARD};
use http::{HeaderMap, HeaderName, header};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode, utf8_percent_encode};
use sfv::{
    BareItem, Dictionary, FieldType as _, InnerList, Item, ItemSerializer, List, ListEntry, ListSerializer,
    Parameters, Parser,
};

/// Components of one signature: more than any message has use for.
pub const MAX_COMPONENTS: usize = 64;

/// Bytes of a base: fields of a request have bounds of their own, but may be covered more than once.
const MAX_BASE: usize = 256 * 1024;

/// The application/x-www-form-urlencoded percent-encode set of the URL standard.
const FORM: &AsciiSet = &NON_ALPHANUMERIC.remove(b'*').remove(b'-').remove(b'.').remove(b'_');

/// Fields that are structured (RFC 9651), and how: the registered ones that requests and responses carry.
const STRUCTURED: &[(&str, Shape)] = &[
    ("accept-signature", Shape::Dictionary),
    ("cache-status", Shape::List),
    ("cdn-cache-control", Shape::Dictionary),
    ("client-cert", Shape::Item),
    ("client-cert-chain", Shape::List),
    ("content-digest", Shape::Dictionary),
    ("priority", Shape::Dictionary),
    ("proxy-status", Shape::List),
    ("repr-digest", Shape::Dictionary),
    ("signature", Shape::Dictionary),
    ("signature-input", Shape::Dictionary),
    ("want-content-digest", Shape::Dictionary),
    ("want-repr-digest", Shape::Dictionary),
];

/// How a structured field is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// An item.
    Item,
    /// A list.
    List,
    /// A dictionary.
    Dictionary,
}

/// A message as its signer saw it.
#[derive(Clone, Debug)]
pub struct Message<'m> {
    /// The method; empty for a response.
    pub method: &'m str,
    /// `http` or `https`.
    pub scheme: &'m str,
    /// Host and port, lower case, without the scheme's own port.
    pub authority: Cow<'m, str>,
    /// The path as it was sent.
    pub path: Cow<'m, str>,
    /// The query as it was sent, without `?`.
    pub query: Option<Cow<'m, str>>,
    /// The target of the request line where that is more than path and query (RFC 9112 section 3.2.2).
    pub target: Option<&'m str>,
    /// The fields.
    pub headers: &'m HeaderMap,
    /// The status of a response.
    pub status: Option<u16>,
    /// What a response answers.
    pub request: Option<&'m Message<'m>>,
}

impl<'m> Message<'m> {
    /// The request of a transaction.
    #[must_use]
    pub fn of(transaction: &'m Transaction) -> Self {
        let request = &transaction.request;
        let scheme = transaction.outer_scheme.unwrap_or(request.scheme).as_str();
        let (path, query) = match &request.sent {
            None => (Cow::Borrowed(&*request.path), request.query.as_deref().map(Cow::Borrowed)),
            Some(sent) => {
                // The absolute form has the authority before the path.
                let rest = sent
                    .split_once("://")
                    .map_or(&**sent, |(_, rest)| rest.find('/').and_then(|at| rest.get(at..)).unwrap_or("/"));
                match rest.split_once('?') {
                    Some((path, query)) => (Cow::Borrowed(path), Some(Cow::Borrowed(query))),
                    None => (Cow::Borrowed(rest), None),
                }
            }
        };
        Message {
            method: request.method.as_str(),
            scheme,
            authority: authority(scheme, &request.host, request.port),
            path,
            query,
            target: request.sent.as_deref().filter(|sent| !sent.starts_with('/')),
            headers: &request.headers,
            status: None,
            request: None,
        }
    }
}

/// Host and port, without the scheme's own port (RFC 9421 section 2.2.3).
#[must_use]
pub fn authority<'h>(scheme: &str, host: &'h str, port: Option<u16>) -> Cow<'h, str> {
    let own = if scheme == "https" { 443 } else { 80 };
    match port {
        Some(port) if port != own => Cow::Owned(format!("{host}:{port}")),
        _ => Cow::Borrowed(host),
    }
}

/// Why there is no signature base.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoBase {
    /// The components cannot be what they are said to be.
    Malformed,
    /// The message does not have one of them, or it is not unambiguous.
    Absent,
}

/// One covered component: a name and what its parameters make of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Component {
    name: String,
    /// The component identifier as it is written in the base.
    text: String,
    /// Tells components apart, whatever the order of their parameters.
    identity: String,
    strict: bool,
    bytes: bool,
    key: Option<String>,
    query_name: Option<String>,
    of_request: bool,
    trailer: bool,
}

impl Component {
    /// Reads a component as policies write it: `@method`, `content-digest`, `@query-param;name="id"`.
    ///
    /// # Errors
    /// It is not a component.
    pub fn parse(text: &str) -> Result<Self, NoBase> {
        let (name, parameters) = text.split_once(';').unwrap_or((text, ""));
        let name = name.trim().trim_matches('"');
        let written = if parameters.is_empty() {
            format!("\"{name}\"")
        } else {
            format!("\"{name}\";{}", parameters.trim())
        };
        let item: Item = Parser::new(&written).parse().map_err(|_| NoBase::Malformed)?;
        Component::read(&item)
    }

    fn read(item: &Item) -> Result<Self, NoBase> {
        let BareItem::String(name) = &item.bare_item else { return Err(NoBase::Malformed) };
        let name = name.as_str();
        let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b"!#$%&'*+-.^_`|~@".contains(&b);
        if name.is_empty() || !name.bytes().all(plain) {
            return Err(NoBase::Malformed);
        }
        let mut component = Component {
            name: name.to_owned(),
            text: serialize(item),
            identity: identity(item),
            strict: false,
            bytes: false,
            key: None,
            query_name: None,
            of_request: false,
            trailer: false,
        };
        let derived = name.starts_with('@');
        for (parameter, value) in &item.params {
            match (parameter.as_str(), value, derived) {
                ("sf", BareItem::Boolean(true), false) => component.strict = true,
                ("bs", BareItem::Boolean(true), false) => component.bytes = true,
                ("tr", BareItem::Boolean(true), false) => component.trailer = true,
                ("req", BareItem::Boolean(true), _) => component.of_request = true,
                ("key", BareItem::String(key), false) => component.key = Some(key.as_str().to_owned()),
                ("name", BareItem::String(of), true) if name == "@query-param" => {
                    component.query_name = Some(of.as_str().to_owned());
                }
                _ => return Err(NoBase::Malformed),
            }
        }
        let structured = component.strict || component.key.is_some();
        if component.bytes && structured || (name == "@query-param") != component.query_name.is_some() {
            return Err(NoBase::Malformed);
        }
        Ok(component)
    }

    /// The component identifier as an item.
    #[must_use]
    pub fn item(&self) -> Option<Item> {
        Parser::new(&self.text).parse().ok()
    }

    /// The field or derived component.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Whether it is the whole of the field or derived component of this name, and not a part of it.
    #[must_use]
    pub fn is_whole(&self, name: &str) -> bool {
        self.name == name && self.key.is_none() && !self.of_request && !self.trailer
    }

    /// Whether it is of the field or derived component of this name, all of it or a part.
    #[must_use]
    pub fn is_of(&self, name: &str) -> bool {
        self.name == name && !self.of_request && !self.trailer
    }

    /// The component identifier, as signatures list it.
    #[must_use]
    pub fn identifier(&self) -> &str {
        &self.text
    }

    /// Whether this covers what `demanded` demands: the same, perhaps in another encoding.
    #[must_use]
    pub fn covers(&self, demanded: &Component) -> bool {
        self.identity == demanded.identity
            || demanded.identity == format!("\"{}\"", demanded.name) && self.is_whole(&demanded.name)
    }

    fn value(&self, message: &Message<'_>) -> Result<String, NoBase> {
        let message = if self.of_request { message.request.ok_or(NoBase::Absent)? } else { message };
        if self.trailer {
            return Err(NoBase::Absent);
        }
        if self.name.starts_with('@') {
            return derived(&self.name, self.query_name.as_deref(), message);
        }
        let name = HeaderName::from_bytes(self.name.as_bytes()).map_err(|_| NoBase::Malformed)?;
        // HTTP/2 has the authority where HTTP/1 has `Host`.
        if name == header::HOST && !message.headers.contains_key(&name) {
            return Ok(message.authority.clone().into_owned());
        }
        let values: Vec<&[u8]> =
            message.headers.get_all(&name).iter().map(|value| value.as_bytes().trim_ascii()).collect();
        if values.is_empty() {
            return Err(NoBase::Absent);
        }
        if self.bytes {
            let each: Vec<String> =
                values.iter().map(|value| format!(":{}:", STANDARD.encode(value))).collect();
            return Ok(each.join(", "));
        }
        let joined = values.join(&b", "[..]);
        if let Some(key) = &self.key {
            let dictionary: Dictionary = Parser::new(&joined).parse().map_err(|_| NoBase::Absent)?;
            let (_, member) =
                dictionary.iter().find(|(name, _)| name.as_str() == key).ok_or(NoBase::Absent)?;
            return Ok(serialize_entry(member));
        }
        if self.strict {
            return strictly(&self.name, &joined).ok_or(NoBase::Absent);
        }
        // What is not ASCII has no place in a base (section 2.1): `bs` is there for it.
        String::from_utf8(joined).ok().filter(|text| text.is_ascii()).ok_or(NoBase::Absent)
    }
}

/// The components that a signature covers, each once.
///
/// # Errors
/// [`NoBase::Malformed`].
pub fn components(input: &InnerList) -> Result<Vec<Component>, NoBase> {
    if input.items.len() > MAX_COMPONENTS {
        return Err(NoBase::Malformed);
    }
    let mut all: Vec<Component> = Vec::with_capacity(input.items.len());
    for item in &input.items {
        let component = Component::read(item)?;
        if component.name == "@signature-params"
            || all.iter().any(|known| known.identity == component.identity)
        {
            return Err(NoBase::Malformed);
        }
        all.push(component);
    }
    Ok(all)
}

/// Whether a message has a component.
#[must_use]
pub fn is_there(component: &Component, message: &Message<'_>) -> bool {
    component.value(message).is_ok()
}

/// The signature base of a message (section 2.5).
///
/// # Errors
/// Why there is none.
pub fn base(message: &Message<'_>, components: &[Component], input: &InnerList) -> Result<String, NoBase> {
    let mut text = String::new();
    for component in components {
        text.push_str(&component.text);
        text.push_str(": ");
        text.push_str(&component.value(message)?);
        text.push('\n');
        if text.len() > MAX_BASE {
            return Err(NoBase::Malformed);
        }
    }
    text.push_str("\"@signature-params\": ");
    text.push_str(&parameters(input));
    Ok(text)
}

/// A list of components and its parameters, as `Signature-Input` writes them.
#[must_use]
pub fn parameters(input: &InnerList) -> String {
    serialize_entry(&ListEntry::InnerList(input.clone()))
}

/// Derived components (section 2.2).
fn derived(name: &str, query_name: Option<&str>, message: &Message<'_>) -> Result<String, NoBase> {
    if name == "@status" {
        return message.status.map(|status| status.to_string()).ok_or(NoBase::Absent);
    }
    if message.status.is_some() {
        return Err(NoBase::Absent);
    }
    let query = || message.query.as_deref().map_or(String::new(), |query| format!("?{query}"));
    Ok(match name {
        "@method" => message.method.to_owned(),
        "@target-uri" => format!("{}://{}{}{}", message.scheme, message.authority, message.path, query()),
        "@authority" => message.authority.clone().into_owned(),
        "@scheme" => message.scheme.to_owned(),
        "@request-target" => match message.target {
            Some(target) => target.to_owned(),
            None => format!("{}{}", message.path, query()),
        },
        "@path" => message.path.clone().into_owned(),
        "@query" => format!("?{}", message.query.as_deref().unwrap_or_default()),
        "@query-param" => return query_parameter(query_name.ok_or(NoBase::Malformed)?, message),
        _ => return Err(NoBase::Malformed),
    })
}

/// One parameter of the query; one that comes more than once is nobody's to choose from (section 2.2.8).
fn query_parameter(name: &str, message: &Message<'_>) -> Result<String, NoBase> {
    let wanted = percent_decode(name.as_bytes()).collect::<Vec<u8>>();
    let decode = |text: &str| {
        let text = text.replace('+', " ");
        percent_decode(text.as_bytes()).collect::<Vec<u8>>()
    };
    let query = message.query.as_deref().ok_or(NoBase::Absent)?;
    let mut found = query.split('&').filter_map(|pair| {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        (decode(name) == wanted).then_some(value)
    });
    let (Some(value), None) = (found.next(), found.next()) else { return Err(NoBase::Absent) };
    // Bytes that are no text would all be signed as the same replacement.
    let value = String::from_utf8(decode(value)).map_err(|_| NoBase::Absent)?;
    Ok(utf8_percent_encode(&value, FORM).to_string())
}

/// A structured field as RFC 9651 section 4.1 writes it.
fn strictly(name: &str, value: &[u8]) -> Option<String> {
    let (_, shape) = STRUCTURED.iter().find(|(known, _)| *known == name)?;
    match shape {
        Shape::Item => Some(serialize(&Parser::new(value).parse::<Item>().ok()?)),
        Shape::List => Parser::new(value).parse::<List>().ok()?.serialize(),
        Shape::Dictionary => Parser::new(value).parse::<Dictionary>().ok()?.serialize(),
    }
}

fn serialize(item: &Item) -> String {
    ItemSerializer::new().bare_item(&item.bare_item).parameters(&item.params).finish()
}

fn serialize_entry(entry: &ListEntry) -> String {
    let mut list = ListSerializer::new();
    list.members([entry]);
    list.finish().unwrap_or_default()
}

/// An item with its parameters in an order of their own.
fn identity(item: &Item) -> String {
    let mut parameters: Vec<_> = item.params.iter().collect();
    parameters.sort_by(|(a, _), (b, _)| a.as_str().cmp(b.as_str()));
    let parameters: Parameters =
        parameters.into_iter().map(|(key, value)| (key.clone(), value.clone())).collect();
    serialize(&Item { bare_item: item.bare_item.clone(), params: parameters })
}
