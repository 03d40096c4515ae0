//! The values that a target names.

use std::borrow::Cow;

use bartizan_pattern::body::multipart::MultipartFlag;
use time::OffsetDateTime;

use super::{
    exchange::{Entry, Exchange},
    live::Live,
};
use crate::{
    lang::{RuleSet, Selector, Target},
    variables::Variable,
};

/// One value with its name.
#[derive(Clone, Debug)]
pub(super) struct Value<'e> {
    pub(super) variable: Variable,
    /// Empty for a variable without parts.
    pub(super) name: Cow<'e, [u8]>,
    pub(super) alias: Option<&'e [u8]>,
    pub(super) bytes: Cow<'e, [u8]>,
}

/// What is known when values are looked up.
#[derive(Clone, Copy)]
pub(super) struct View<'e, 'l> {
    pub(super) exchange: &'e Exchange,
    pub(super) live: &'l Live,
    pub(super) rules: &'l RuleSet,
}

impl<'e> View<'e, '_> {
    /// All values of `target`, in order. A variable without parts always has one value, which may be empty; a part
    /// that does not exist has none.
    pub(super) fn values(self, target: &Target) -> Vec<Value<'e>> {
        let variable = target.variable;
        let mut values = Vec::new();
        if let (Variable::Tx, Selector::Name(name)) = (variable, &target.selector) {
            if let Some(value) = self.live.tx.get(name) {
                let (name, bytes) = (Cow::Owned(name.to_vec()), Cow::Owned(value.to_vec()));
                values.push(Value { variable, name, alias: None, bytes });
            }
        } else if variable == Variable::Tx {
            self.live.tx.select(&target.selector, |name, value| {
                let (name, bytes) = (Cow::Owned(name.to_vec()), Cow::Owned(value.to_vec()));
                values.push(Value { variable, name, alias: None, bytes });
            });
        } else if variable.is_collection() {
            self.parts(variable, &target.selector, &mut values);
            values.retain(|value| {
                target.selector.selects(&value.name)
                    || value.alias.is_some_and(|alias| target.selector.selects(alias))
            });
        } else {
            let bytes = self.scalar(variable);
            values.push(Value { variable, name: Cow::Borrowed(b""), alias: None, bytes });
        }
        values
    }

    /// The first value of a variable or of one part of it, for macros.
    pub(super) fn first(self, variable: Variable, key: Option<&[u8]>) -> Cow<'e, [u8]> {
        if variable == Variable::Tx {
            return Cow::Owned(key.and_then(|key| self.live.tx.get(key)).unwrap_or_default().to_vec());
        }
        if !variable.is_collection() {
            return self.scalar(variable);
        }
        let selector = key.map_or(Selector::All, |key| Selector::Name(key.into()));
        let target = Target { variable, selector, count: false };
        self.values(&target).into_iter().next().map(|value| value.bytes).unwrap_or_default()
    }

    fn parts(self, variable: Variable, selector: &Selector, out: &mut Vec<Value<'e>>) {
        let exchange = self.exchange;
        match variable {
            Variable::Args => {
                entries(variable, &exchange.args_get, out);
                entries(variable, &exchange.args_post, out);
            }
            Variable::ArgsGet => entries(variable, &exchange.args_get, out),
            Variable::ArgsPost => entries(variable, &exchange.args_post, out),
            Variable::ArgsNames => {
                names(variable, &exchange.args_get, out);
                names(variable, &exchange.args_post, out);
            }
            Variable::ArgsGetNames => names(variable, &exchange.args_get, out),
            Variable::ArgsPostNames => names(variable, &exchange.args_post, out),
            Variable::RequestHeaders => entries(variable, &exchange.headers, out),
            Variable::RequestHeadersNames => names(variable, &exchange.headers, out),
            Variable::RequestCookies => entries(variable, &exchange.cookies, out),
            Variable::RequestCookiesNames => names(variable, &exchange.cookies, out),
            Variable::ResponseHeaders => entries(variable, &exchange.response_headers, out),
            Variable::ResponseHeadersNames => names(variable, &exchange.response_headers, out),
            Variable::ResponseArgs => entries(variable, &exchange.response_args, out),
            Variable::MultipartPartHeaders => entries(variable, &exchange.multipart_headers, out),
            Variable::MultipartName => entries(variable, &exchange.multipart_names, out),
            Variable::MultipartFilename => entries(variable, &exchange.multipart_filenames, out),
            Variable::Files => self.files(variable, |file| Cow::Borrowed(&file.filename), out),
            Variable::FilesNames => self.files(variable, |file| Cow::Borrowed(&file.field), out),
            Variable::FilesTmpContent => self.files(variable, |file| Cow::Borrowed(&file.content), out),
            Variable::FilesSizes => self.files(variable, |file| decimal(file.content.len()), out),
            Variable::Tx => owned(variable, self.live.tx.iter(), out),
            Variable::Env => owned(variable, self.live.env.iter(), out),
            Variable::Global | Variable::Ip | Variable::Resource | Variable::Session | Variable::User => {
                let stored = self.live.stored(variable);
                owned(variable, stored.iter().map(|(name, value)| (&**name, &**value)), out);
            }
            Variable::MatchedVars | Variable::MatchedVarsNames => {
                for matched in &self.live.matched_all {
                    let name = matched.name();
                    let bytes = match variable {
                        Variable::MatchedVars => matched.value.to_vec(),
                        _ => name.clone(),
                    };
                    out.push(Value {
                        variable,
                        name: Cow::Owned(name),
                        alias: None,
                        bytes: Cow::Owned(bytes),
                    });
                }
            }
            Variable::Rule => self.rule(out),
            Variable::Xml => self.xml(selector, out),
            _ => {}
        }
    }

    fn files(
        self,
        variable: Variable,
        content: impl Fn(&'e super::exchange::File) -> Cow<'e, [u8]>,
        out: &mut Vec<Value<'e>>,
    ) {
        out.extend(self.exchange.files.iter().map(|file| Value {
            variable,
            name: Cow::Borrowed(file.field.as_slice()),
            alias: None,
            bytes: content(file),
        }));
    }

    fn rule(self, out: &mut Vec<Value<'e>>) {
        let Some(rule) = self.live.rule.and_then(|index| self.rules.rules.get(index)) else { return };
        let text = |text: &Option<Box<str>>| text.as_deref().unwrap_or_default().as_bytes().to_vec();
        let source = |text: &Option<crate::lang::Text>| {
            text.as_ref().map(crate::lang::Text::source).unwrap_or_default().into_bytes()
        };
        let severity = rule.severity.map(|severity| severity.number().to_string()).unwrap_or_default();
        let parts = [
            ("id", rule.id.to_string().into_bytes()),
            ("rev", text(&rule.rev)),
            ("ver", text(&rule.ver)),
            ("severity", severity.into_bytes()),
            ("msg", source(&rule.msg)),
            ("logdata", source(&rule.logdata)),
        ];
        out.extend(parts.into_iter().map(|(name, bytes)| Value {
            variable: Variable::Rule,
            name: Cow::Borrowed(name.as_bytes()),
            alias: None,
            bytes: Cow::Owned(bytes),
        }));
    }

    fn xml(self, selector: &Selector, out: &mut Vec<Value<'e>>) {
        let Selector::Path(path) = selector else { return };
        let selected = self
            .exchange
            .xml
            .iter()
            .filter(|value| path.selects(&value.elements, value.attribute.as_deref()));
        out.extend(selected.map(|value| Value {
            variable: Variable::Xml,
            name: Cow::Owned(path.source().as_bytes().to_vec()),
            alias: None,
            bytes: Cow::Borrowed(value.text.as_slice()),
        }));
    }

    fn scalar(self, variable: Variable) -> Cow<'e, [u8]> {
        let exchange = self.exchange;
        if let Some(text) = exchange.text(variable) {
            return Cow::Borrowed(text);
        }
        if let Some(flag) = multipart_flag(variable) {
            return self::flag(exchange.multipart.contains(flag));
        }
        match variable {
            Variable::ArgsCombinedSize => {
                let args = exchange.args_get.iter().chain(&exchange.args_post);
                decimal(args.map(|arg| arg.name.len() + arg.value.len()).sum())
            }
            Variable::FilesCombinedSize => {
                decimal(exchange.files.iter().map(|file| file.content.len()).sum())
            }
            Variable::FullRequest => Cow::Owned(self.full_request()),
            Variable::FullRequestLength => decimal(self.full_request().len()),
            Variable::Duration => Cow::Borrowed(b"0"),
            Variable::HighestSeverity => decimal(usize::from(self.live.highest_severity.unwrap_or(255))),
            Variable::InboundDataError => flag(exchange.inbound_data_error),
            Variable::OutboundDataError => flag(exchange.outbound_data_error),
            Variable::MatchedVar => Cow::Owned(self.live.matched.value.to_vec()),
            Variable::MatchedVarName => Cow::Owned(self.live.matched.name()),
            Variable::ModsecBuild => Cow::Borrowed(b"030000100"),
            Variable::MscPcreError | Variable::MscPcreLimitsExceeded => Cow::Borrowed(b"0"),
            Variable::MultipartStrictError => flag(exchange.multipart_strict_error),
            Variable::MultipartUnmatchedBoundary => decimal(usize::from(exchange.unmatched_boundary)),
            Variable::RemoteAddr | Variable::RemoteHost | Variable::UserAgentIp => {
                text(exchange.client.map(|client| client.ip().to_canonical()))
            }
            Variable::RemotePort => text(exchange.client.map(|client| client.port())),
            Variable::ServerAddr => text(exchange.server.map(|server| server.ip().to_canonical())),
            Variable::ServerPort => text(exchange.server.map(|server| server.port())),
            Variable::ReqbodyError | Variable::ReqbodyProcessorError => flag(exchange.body_error.is_some()),
            Variable::ReqbodyErrorMsg | Variable::ReqbodyProcessorErrorMsg => {
                Cow::Borrowed(exchange.body_error.as_deref().unwrap_or_default().as_bytes())
            }
            Variable::ReqbodyProcessor => match self.live.controls.request_processor {
                Some(processor) => Cow::Borrowed(processor.name().as_bytes()),
                None => Cow::Borrowed(exchange.processor.as_bytes()),
            },
            Variable::RequestBodyLength => decimal(exchange.body_length),
            Variable::ResponseContentLength => decimal(exchange.response_content_length),
            Variable::ResponseContentType => Cow::Owned(exchange.response_type()),
            Variable::ResponseStatus => text(exchange.status),
            Variable::StatusLine => {
                let status = exchange.status.map(|status| status.to_string()).unwrap_or_default();
                Cow::Owned([&exchange.response_protocol, &b" "[..], status.as_bytes()].concat())
            }
            Variable::SessionId => Cow::Owned(self.live.session_id.clone()),
            Variable::UserId => Cow::Owned(self.live.user_id.clone()),
            Variable::UniqueId => Cow::Owned(self.live.context.unique_id.as_bytes().to_vec()),
            Variable::UrlencodedError => flag(exchange.urlencoded_error),
            Variable::WebAppId => Cow::Owned(self.rules.settings.web_app_id.as_bytes().to_vec()),
            _ => self.time(variable),
        }
    }

    fn time(self, variable: Variable) -> Cow<'e, [u8]> {
        let seconds = self.live.context.now / 1000;
        let now =
            i64::try_from(seconds).ok().and_then(|seconds| OffsetDateTime::from_unix_timestamp(seconds).ok());
        let Some(now) = now else { return Cow::Borrowed(b"") };
        let number = match variable {
            Variable::Time => {
                let (hour, minute, second) = now.to_hms();
                return Cow::Owned(format!("{hour:02}:{minute:02}:{second:02}").into_bytes());
            }
            Variable::TimeEpoch => return Cow::Owned(seconds.to_string().into_bytes()),
            Variable::TimeYear => return Cow::Owned(now.year().to_string().into_bytes()),
            Variable::TimeDay => now.day(),
            Variable::TimeHour => now.hour(),
            Variable::TimeMin => now.minute(),
            Variable::TimeSec => now.second(),
            Variable::TimeMon => u8::from(now.month()) - 1,
            Variable::TimeWday => now.weekday().number_days_from_sunday(),
            _ => return Cow::Borrowed(b""),
        };
        decimal(usize::from(number))
    }

    fn full_request(self) -> Vec<u8> {
        let exchange = self.exchange;
        let mut full = exchange.line.clone();
        full.extend_from_slice(b"\r\n");
        for header in &exchange.headers {
            full.extend_from_slice(&header.name);
            full.extend_from_slice(b": ");
            full.extend_from_slice(&header.value);
            full.extend_from_slice(b"\r\n");
        }
        full.extend_from_slice(b"\r\n");
        full.extend_from_slice(&exchange.body);
        full
    }
}

/// Shows name, alias and bytes of every value of a target that lies in the exchange as it is; `false` for any other.
pub(super) fn each<'e>(
    exchange: &'e Exchange,
    target: &Target,
    mut show: impl FnMut(&'e [u8], Option<&'e [u8]>, &'e [u8]),
) -> bool {
    let selector = &target.selector;
    let is_collection = target.variable.is_collection();
    each_part(exchange, target.variable, |name, alias, bytes, _| {
        if !is_collection || selector.selects(name) || alias.is_some_and(|alias| selector.selects(alias)) {
            show(name, alias, bytes);
        }
    })
}

/// Whether a variable whose parts lie in the exchange as they are has one of this name, which is in lower case.
pub(super) fn has_part(exchange: &Exchange, variable: Variable, name: &[u8]) -> bool {
    let mut has = false;
    each_part(exchange, variable, |part, alias, _, _| {
        has |= part.eq_ignore_ascii_case(name) || alias.is_some_and(|alias| alias.eq_ignore_ascii_case(name));
    });
    has
}

/// Shows name, alias, bytes and bound of every part of a variable that lies in the exchange as it is; `false` for any
/// other.
pub(super) fn each_part<'e>(
    exchange: &'e Exchange,
    variable: Variable,
    mut show: impl FnMut(&'e [u8], Option<&'e [u8]>, &'e [u8], u8),
) -> bool {
    let (entries, more, names): (&[Entry], &[Entry], bool) = match variable {
        Variable::Args => (&exchange.args_get, &exchange.args_post, false),
        Variable::ArgsGet => (&exchange.args_get, &[], false),
        Variable::ArgsPost => (&exchange.args_post, &[], false),
        Variable::ArgsNames => (&exchange.args_get, &exchange.args_post, true),
        Variable::ArgsGetNames => (&exchange.args_get, &[], true),
        Variable::ArgsPostNames => (&exchange.args_post, &[], true),
        Variable::RequestHeaders => (&exchange.headers, &[], false),
        Variable::RequestHeadersNames => (&exchange.headers, &[], true),
        Variable::RequestCookies => (&exchange.cookies, &[], false),
        Variable::RequestCookiesNames => (&exchange.cookies, &[], true),
        Variable::ResponseHeaders => (&exchange.response_headers, &[], false),
        Variable::ResponseHeadersNames => (&exchange.response_headers, &[], true),
        Variable::ResponseArgs => (&exchange.response_args, &[], false),
        Variable::MultipartPartHeaders => (&exchange.multipart_headers, &[], false),
        Variable::MultipartName => (&exchange.multipart_names, &[], false),
        Variable::MultipartFilename => (&exchange.multipart_filenames, &[], false),
        Variable::Files | Variable::FilesNames | Variable::FilesTmpContent => {
            for file in &exchange.files {
                let bytes = match variable {
                    Variable::Files => &file.filename,
                    Variable::FilesNames => &file.field,
                    _ => &file.content,
                };
                show(&file.field, None, bytes, 0);
            }
            return true;
        }
        variable => {
            let Some(bytes) = exchange.text(variable) else { return false };
            show(b"", None, bytes, 0);
            return true;
        }
    };
    for entry in entries.iter().chain(more) {
        let (bytes, bound) = if names { (&entry.name, 0) } else { (&entry.value, entry.bound) };
        show(&entry.name, entry.alias.as_deref(), bytes, bound);
    }
    true
}

fn multipart_flag(variable: Variable) -> Option<MultipartFlag> {
    Some(match variable {
        Variable::MultipartBoundaryQuoted => MultipartFlag::BoundaryQuoted,
        Variable::MultipartBoundaryWhitespace => MultipartFlag::BoundaryWhitespace,
        Variable::MultipartCrlfLfLines => MultipartFlag::CrlfLfLines,
        Variable::MultipartDataAfter => MultipartFlag::DataAfter,
        Variable::MultipartDataBefore => MultipartFlag::DataBefore,
        Variable::MultipartFileLimitExceeded => MultipartFlag::FileLimitExceeded,
        Variable::MultipartHeaderFolding => MultipartFlag::HeaderFolding,
        Variable::MultipartInvalidHeaderFolding => MultipartFlag::InvalidHeaderFolding,
        Variable::MultipartInvalidPart => MultipartFlag::InvalidPart,
        Variable::MultipartInvalidQuoting => MultipartFlag::InvalidQuoting,
        Variable::MultipartLfLine => MultipartFlag::LfLine,
        Variable::MultipartMissingSemicolon => MultipartFlag::MissingSemicolon,
        _ => return None,
    })
}

fn entries<'e>(variable: Variable, entries: &'e [Entry], out: &mut Vec<Value<'e>>) {
    out.extend(entries.iter().map(|entry| Value {
        variable,
        name: Cow::Borrowed(entry.name.as_slice()),
        alias: entry.alias.as_deref(),
        bytes: Cow::Borrowed(entry.value.as_slice()),
    }));
}

fn names<'e>(variable: Variable, entries: &'e [Entry], out: &mut Vec<Value<'e>>) {
    out.extend(entries.iter().map(|entry| Value {
        variable,
        name: Cow::Borrowed(entry.name.as_slice()),
        alias: entry.alias.as_deref(),
        bytes: Cow::Borrowed(entry.name.as_slice()),
    }));
}

fn owned<'v>(
    variable: Variable,
    entries: impl Iterator<Item = (&'v [u8], &'v [u8])>,
    out: &mut Vec<Value<'_>>,
) {
    out.extend(entries.map(|(name, value)| Value {
        variable,
        name: Cow::Owned(name.to_vec()),
        alias: None,
        bytes: Cow::Owned(value.to_vec()),
    }));
}

fn flag<'e>(is: bool) -> Cow<'e, [u8]> {
    Cow::Borrowed(if is { b"1" } else { b"0" })
}

fn decimal<'e>(number: usize) -> Cow<'e, [u8]> {
    Cow::Owned(number.to_string().into_bytes())
}

fn text<'e>(value: Option<impl ToString>) -> Cow<'e, [u8]> {
    Cow::Owned(value.map(|value| value.to_string()).unwrap_or_default().into_bytes())
}
