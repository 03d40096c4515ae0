//! Client certificates as credentials: who signed them, which names they must have, and whom they name.

use std::{borrow::Cow, collections::BTreeMap, fmt, sync::Arc};

use bartizan_model::{
    ClientCertificate, CompileContext, CredentialKind, Diagnostic, Diagnostics, FileReference, Principal,
    Strength, SubjectName, Timestamp, Transaction,
    principal::{Authentication, Binding},
};
use hashbrown::HashMap;
use ipnet::IpNet;
use parking_lot::Mutex;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, de};
use serde_json::{Value, json};

use super::{
    certificate::CLIENT_CERT,
    flaw::Flaw,
    trust::{Doubt, Fault, Trust},
};
use crate::digest::of_parts;

/// Certificates whose chain is remembered as good, for each entry; a full memory starts over.
const REMEMBERED: usize = 4096;

/// Bytes of a pattern.
const MAX_PATTERN: usize = 512;

/// A client certificate, as the TLS handshake or a trusted proxy (`Client-Cert`, RFC 9440) brings it.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Mtls {
    /// The policy's name for those who issue these certificates: the principal's issuer. Default: `mtls`.
    pub issuer: Option<String>,
    /// PEM file of the authorities that must have signed the certificate. Without it, whoever the listener's `client_ca`
    /// (or the trusted proxy) accepts.
    pub ca: Option<FileReference>,
    /// What those authorities revoked: one file, several, or `{ files: [..], unlisted: deny, expired: deny }`. Needs `ca`.
    pub crl: Option<Revocation>,
    /// DNS names, one of which the certificate must have; `*` stands for one label.
    pub dns: Vec<String>,
    /// URIs, one of which the certificate must have; `*` stands for anything within one path segment, `**` for anything.
    pub uri: Vec<String>,
    /// Mail addresses, one of which the certificate must have; `*` stands for anything but `@`.
    pub email: Vec<String>,
    /// Addresses or networks, one of which the certificate must have.
    pub ip: Vec<String>,
    /// The trust domain of SPIFFE IDs, such as `prod.example.org`: the certificate must have exactly one URI, an ID of it.
    pub spiffe: Option<String>,
    /// Distinguished names (RFC 4514), one of which the subject must be; `*` stands for anything.
    pub subject: Vec<String>,
    /// Which name becomes the principal's subject: `uri`, `dns`, `email`, `ip` or `subject` (the distinguished name).
    /// Default: the first of these in this order that the certificate has; of several of a kind, the first that the
    /// rules accept.
    pub identify_by: Option<NameKind>,
}

/// A kind of name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum NameKind {
    /// A URI.
    Uri,
    /// A DNS name.
    Dns,
    /// A mail address.
    Email,
    /// An address.
    Ip,
    /// The distinguished name.
    Subject,
}

/// Certificate revocation lists, and what happens where they tell nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Revocation {
    /// The files, PEM or DER.
    pub files: Vec<FileReference>,
    /// A certificate that no list covers.
    pub unlisted: InDoubt,
    /// A list past its own end.
    pub expired: InDoubt,
}

/// What happens in doubt.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum InDoubt {
    /// The certificate is refused.
    #[default]
    Deny,
    /// The certificate is accepted.
    Allow,
}

impl Revocation {
    /// What happens where revocation cannot be told.
    #[must_use]
    pub fn doubt(&self) -> Doubt {
        Doubt {
            accept_unlisted: self.unlisted == InDoubt::Allow,
            accept_expired_list: self.expired == InDoubt::Allow,
        }
    }

    /// What is doubtful about the lists at `now`, and what to do.
    #[must_use]
    pub fn warning(&self, trust: &Trust, now: Timestamp) -> Option<(&'static str, &'static str)> {
        trust.lists_until().filter(|until| *until <= now).map(|_| match self.expired {
            InDoubt::Deny => (
                "a revocation list is past its end: its authority's clients are refused",
                "fetch the current list, or write `expired: allow`",
            ),
            InDoubt::Allow => (
                "a revocation list is past its end: newer revocations are not known",
                "fetch the current list",
            ),
        })
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RevocationMap {
    files: Vec<FileReference>,
    #[serde(default)]
    unlisted: InDoubt,
    #[serde(default)]
    expired: InDoubt,
}

impl<'de> Deserialize<'de> for Revocation {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Any;
        impl<'de> de::Visitor<'de> for Any {
            type Value = Revocation;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a file such as `file:clients.crl`, a list of files, or `{ files: [..], unlisted: deny, expired: deny }`")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Revocation, E> {
                let file = text.parse().map_err(E::custom)?;
                Ok(Revocation { files: vec![file], ..Revocation::default() })
            }

            fn visit_seq<A: de::SeqAccess<'de>>(self, seq: A) -> Result<Revocation, A::Error> {
                let files = Vec::deserialize(de::value::SeqAccessDeserializer::new(seq))?;
                Ok(Revocation { files, ..Revocation::default() })
            }

            fn visit_map<A: de::MapAccess<'de>>(self, map: A) -> Result<Revocation, A::Error> {
                let RevocationMap { files, unlisted, expired } =
                    RevocationMap::deserialize(de::value::MapAccessDeserializer::new(map))?;
                Ok(Revocation { files, unlisted, expired })
            }
        }
        deserializer.deserialize_any(Any)
    }
}

impl JsonSchema for Revocation {
    fn schema_name() -> Cow<'static, str> {
        Cow::Borrowed("Revocation")
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let file = generator.subschema_for::<FileReference>().to_value();
        let doubt = generator.subschema_for::<InDoubt>().to_value();
        let files = json!({ "type": "array", "items": file.clone() });
        json_schema!({
            "description": "certificate revocation lists, PEM or DER",
            "anyOf": [
                file,
                files.clone(),
                {
                    "type": "object",
                    "properties": { "files": files, "unlisted": doubt.clone(), "expired": doubt },
                    "required": ["files"],
                    "additionalProperties": false,
                },
            ],
        })
    }
}

/// One compiled entry.
pub(super) struct MtlsVerifier {
    issuer: Arc<str>,
    trust: Option<Trust>,
    rules: Vec<Rule>,
    spiffe: Option<String>,
    identify_by: Option<NameKind>,
    /// Fingerprints of certificates whose chain is good, until when that need not be looked at again.
    good: Mutex<HashMap<[u8; 32], Timestamp, ahash::RandomState>>,
}

/// Patterns of one kind of name, one of which must match.
enum Rule {
    Text { kind: NameKind, patterns: Vec<String> },
    Networks(Vec<IpNet>),
}

impl MtlsVerifier {
    pub(super) fn compile(
        config: &Mtls,
        path: &str,
        context: &CompileContext<'_>,
    ) -> Result<Self, Diagnostics> {
        let mut problems = Diagnostics::new();
        let mut rules = Vec::new();
        let texts = [
            (NameKind::Dns, "dns", &config.dns),
            (NameKind::Uri, "uri", &config.uri),
            (NameKind::Email, "email", &config.email),
            (NameKind::Subject, "subject", &config.subject),
        ];
        for (kind, name, patterns) in texts {
            for (index, pattern) in patterns.iter().enumerate() {
                if pattern.is_empty() || pattern.len() > MAX_PATTERN {
                    problems.push(
                        Diagnostic::error(
                            format!("{path}.mtls.{name}[{index}]"),
                            format!("a pattern has 1 to {MAX_PATTERN} bytes"),
                        )
                        .help("write a name, in which `*` stands for what may differ"),
                    );
                }
            }
            if !patterns.is_empty() {
                let lower = |pattern: &String| {
                    if kind == NameKind::Dns { pattern.to_ascii_lowercase() } else { pattern.clone() }
                };
                rules.push(Rule::Text { kind, patterns: patterns.iter().map(lower).collect() });
            }
        }
        let mut networks = Vec::new();
        for (index, text) in config.ip.iter().enumerate() {
            match text.parse::<IpNet>().or_else(|_| text.parse::<std::net::IpAddr>().map(IpNet::from)) {
                Ok(network) => networks.push(network),
                Err(_) => problems.push(
                    Diagnostic::error(
                        format!("{path}.mtls.ip[{index}]"),
                        format!("`{text}` is neither an address nor a network"),
                    )
                    .help("write `10.0.0.7` or `10.0.0.0/24`"),
                ),
            }
        }
        if !networks.is_empty() {
            rules.push(Rule::Networks(networks));
        }
        let spiffe = config.spiffe.as_ref().map(|domain| domain.to_ascii_lowercase());
        if spiffe.as_ref().is_some_and(|domain| domain.is_empty() || domain.contains(['/', ':', '*'])) {
            problems.push(
                Diagnostic::error(format!("{path}.mtls.spiffe"), "this is not a trust domain")
                    .help("write its name alone, such as `prod.example.org`"),
            );
        }
        let trust = trust(config, path, context, &mut problems);
        problems.or(MtlsVerifier {
            issuer: Arc::from(config.issuer.as_deref().unwrap_or("mtls")),
            trust,
            rules,
            spiffe,
            identify_by: config.identify_by,
            good: Mutex::default(),
        })
    }

    /// Whom the certificate names, if this entry accepts it at `now`.
    pub(super) fn verify(
        &self,
        certificate: &ClientCertificate,
        now: Timestamp,
    ) -> Result<Arc<Principal>, Flaw> {
        if certificate.not_after < now {
            return Err(Flaw::Certificate(Fault::Expired));
        }
        if now < certificate.not_before {
            return Err(Flaw::Certificate(Fault::NotYetValid));
        }
        if let Some(trust) = &self.trust {
            // The same certificate without the chain that it came with is another question.
            let mut parts: Vec<&[u8]> = vec![&certificate.fingerprint];
            parts.extend(certificate.chain.iter().map(|der| &**der));
            let key = if certificate.chain.is_empty() { certificate.fingerprint } else { of_parts(&parts) };
            let known = self.good.lock().get(&key).is_some_and(|until| now < *until);
            if !known {
                trust.check(certificate, now).map_err(Flaw::Certificate)?;
                let lists = trust.lists_until().filter(|until| *until > now);
                let until = lists.map_or(certificate.not_after, |until| until.min(certificate.not_after));
                let mut good = self.good.lock();
                if good.len() >= REMEMBERED {
                    good.clear();
                }
                good.insert(key, until);
            }
        }
        let mut matched = Vec::new();
        for rule in &self.rules {
            matched.push(rule.find(certificate).ok_or(Flaw::CertificateName)?);
        }
        if let Some(domain) = &self.spiffe {
            matched.push(spiffe_id(certificate, domain).ok_or(Flaw::CertificateName)?);
        }
        let subject = self.identify(certificate, &matched).ok_or(Flaw::CertificateName)?;
        Ok(Arc::new(self.principal(certificate, subject)))
    }

    /// The name that the caller goes by: one that a rule has matched before others of its kind.
    fn identify(
        &self,
        certificate: &ClientCertificate,
        matched: &[(NameKind, Arc<str>)],
    ) -> Option<Arc<str>> {
        let order = [NameKind::Uri, NameKind::Dns, NameKind::Email, NameKind::Ip, NameKind::Subject];
        let kinds = order.into_iter().filter(|kind| self.identify_by.is_none_or(|only| only == *kind));
        kinds.into_iter().find_map(|kind| {
            let by_rule = matched.iter().find(|(of, _)| *of == kind).map(|(_, name)| Arc::clone(name));
            by_rule.or_else(|| names(certificate, kind).next())
        })
    }

    fn principal(&self, certificate: &ClientCertificate, subject: Arc<str>) -> Principal {
        let fingerprint = hex(&certificate.fingerprint);
        let mut attributes: BTreeMap<Arc<str>, Value> = BTreeMap::new();
        let mut put = |name: &str, value: Value| drop(attributes.insert(Arc::from(name), value));
        put("serial", json!(certificate.serial));
        put("subject_dn", json!(certificate.subject));
        put("issuer_dn", json!(certificate.issuer));
        put("fingerprint", json!(fingerprint));
        put("verified_by", json!(certificate.witness));
        for kind in ["dns", "uri", "email", "ip"] {
            let of_kind: Vec<String> = certificate
                .names
                .iter()
                .filter(|name| name.kind() == kind)
                .map(ToString::to_string)
                .collect();
            if !of_kind.is_empty() {
                put(kind, json!(of_kind));
            }
        }
        Principal {
            strength: Strength::ProofOfPossession,
            attributes,
            credential_id: Some(fingerprint.into()),
            issued: Some(certificate.not_before),
            expires: Some(certificate.not_after),
            authentication: Authentication {
                time: Some(certificate.not_before),
                ..Authentication::default()
            },
            binding: Some(Binding::Certificate(certificate.fingerprint)),
            ..Principal::new(CredentialKind::Mtls, Arc::clone(&self.issuer), subject)
        }
    }
}

/// The certificate of a request, unless somebody who is no trusted proxy claims one.
pub(super) fn presented(transaction: &Transaction) -> Result<Option<&Arc<ClientCertificate>>, Flaw> {
    if transaction.request.removed.iter().any(|(name, _)| *name == CLIENT_CERT) {
        return Err(Flaw::CertificateField);
    }
    Ok(transaction.certificate.as_ref())
}

fn trust(
    config: &Mtls,
    path: &str,
    context: &CompileContext<'_>,
    problems: &mut Diagnostics,
) -> Option<Trust> {
    let revocation = config.crl.clone().unwrap_or_default();
    let crl = format!("{path}.mtls.crl");
    let Some(ca) = &config.ca else {
        if config.crl.is_some() {
            problems.push(
                Diagnostic::error(crl, "a revocation list is verified by its authority, and none is named")
                    .help("add `ca`, or write the list as `client_crl` of the listener's `tls`"),
            );
        }
        return None;
    };
    let mut read = |file: &FileReference, path: &str| match context.files.read(file) {
        Ok(bytes) => Some(bytes),
        Err(text) => {
            problems.push(Diagnostic::error(path, text));
            None
        }
    };
    let authority = read(ca, &format!("{path}.mtls.ca"))?;
    let mut lists = Vec::new();
    for file in &revocation.files {
        lists.push((file.to_string(), read(file, &crl)?));
    }
    let alone = Trust::new((&ca.to_string(), &authority), &[], revocation.doubt());
    if let Err(text) = alone {
        problems.push(Diagnostic::error(format!("{path}.mtls.ca"), text));
        return None;
    }
    let lists: Vec<(String, &[u8])> = lists.iter().map(|(name, bytes)| (name.clone(), &**bytes)).collect();
    match Trust::new((&ca.to_string(), &authority), &lists, revocation.doubt()) {
        Ok(trust) => Some(trust),
        Err(text) => {
            problems.push(Diagnostic::error(crl, text));
            None
        }
    }
}

impl Rule {
    /// The first name that it accepts.
    fn find(&self, certificate: &ClientCertificate) -> Option<(NameKind, Arc<str>)> {
        match self {
            Rule::Text { kind, patterns } => names(certificate, *kind)
                .find(|name| patterns.iter().any(|pattern| matches(*kind, pattern, name)))
                .map(|name| (*kind, name)),
            Rule::Networks(networks) => certificate.names.iter().find_map(|name| match name {
                SubjectName::Ip(ip) if networks.iter().any(|network| network.contains(ip)) => {
                    Some((NameKind::Ip, Arc::from(ip.to_string())))
                }
                _ => None,
            }),
        }
    }
}

/// The names of one kind.
fn names(certificate: &ClientCertificate, kind: NameKind) -> impl Iterator<Item = Arc<str>> {
    let own = (kind == NameKind::Subject && !certificate.subject.is_empty())
        .then(|| Arc::clone(&certificate.subject));
    let others = certificate.names.iter().filter_map(move |name| match (kind, name) {
        (NameKind::Uri, SubjectName::Uri(text))
        | (NameKind::Dns, SubjectName::Dns(text))
        | (NameKind::Email, SubjectName::Email(text)) => Some(Arc::clone(text)),
        (NameKind::Ip, SubjectName::Ip(ip)) => Some(Arc::from(ip.to_string())),
        _ => None,
    });
    own.into_iter().chain(others)
}

/// The SPIFFE ID of a certificate, if it is of the trust domain: X509-SVID section 2 allows one URI only.
fn spiffe_id(certificate: &ClientCertificate, domain: &str) -> Option<(NameKind, Arc<str>)> {
    let mut uris = names(certificate, NameKind::Uri);
    let (uri, None) = (uris.next()?, uris.next()) else { return None };
    let (of, path) = uri.strip_prefix("spiffe://")?.split_once('/')?;
    let segments = || path.split('/');
    let plain = |segment: &str| {
        !matches!(segment, "" | "." | "..")
            && segment.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._".contains(&b))
    };
    (of == domain && segments().all(plain)).then_some((NameKind::Uri, uri))
}

/// Whether a pattern matches all of a name.
fn matches(kind: NameKind, pattern: &str, name: &str) -> bool {
    let stops: &[u8] = match kind {
        NameKind::Dns => b".",
        NameKind::Uri => b"/?#",
        NameKind::Email => b"@",
        NameKind::Ip | NameKind::Subject => b"",
    };
    glob(pattern.as_bytes(), name.as_bytes(), stops)
}

/// `*` stands for anything without `stops`, at least one byte; `**` for anything. Names and patterns are short, and the
/// table of states makes it their product at worst.
fn glob(pattern: &[u8], name: &[u8], stops: &[u8]) -> bool {
    let mut parts: Vec<Part> = Vec::new();
    let mut rest = pattern;
    while let Some((&first, after)) = rest.split_first() {
        rest = after;
        match (first, after) {
            (b'*', [b'*', after @ ..]) => {
                rest = after;
                parts.push(Part::Anything);
            }
            (b'*', _) => parts.push(Part::Some),
            (byte, _) => parts.push(Part::Byte(byte)),
        }
    }
    // `reached[i]`: the first i parts match what was read of the name.
    let mut reached = vec![false; parts.len() + 1];
    if let Some(first) = reached.first_mut() {
        *first = true;
    }
    // `**` may stand for nothing.
    let skip = |reached: &mut Vec<bool>| {
        for (index, part) in parts.iter().enumerate() {
            let here = reached.get(index).copied().unwrap_or(false);
            if matches!(part, Part::Anything)
                && here
                && let Some(next) = reached.get_mut(index + 1)
            {
                *next = true;
            }
        }
    };
    skip(&mut reached);
    for &byte in name {
        let mut next = vec![false; parts.len() + 1];
        for (index, part) in parts.iter().enumerate() {
            let before = reached.get(index).copied().unwrap_or(false);
            let within = reached.get(index + 1).copied().unwrap_or(false);
            let on = match part {
                Part::Byte(wanted) => before && *wanted == byte,
                Part::Some => (before || within) && !stops.contains(&byte),
                Part::Anything => before || within,
            };
            if let Some(slot) = next.get_mut(index + 1) {
                *slot = on;
            }
        }
        reached = next;
        skip(&mut reached);
    }
    reached.last().copied().unwrap_or(false)
}

enum Part {
    Byte(u8),
    Some,
    Anything,
}

/// Lower-case hex.
pub(super) fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stars_stay_within_their_part() {
        let dns = |pattern, name| matches(NameKind::Dns, pattern, name);
        assert!(dns("*.partners.example", "a.partners.example"));
        assert!(!dns("*.partners.example", "a.b.partners.example"));
        assert!(!dns("*.partners.example", ".partners.example"));
        assert!(!dns("*.partners.example", "partners.example"));
        assert!(!dns("api.example", "api.example.evil"));
        let uri = |pattern, name| matches(NameKind::Uri, pattern, name);
        assert!(uri("spiffe://prod/ns/*/sa/web", "spiffe://prod/ns/shop/sa/web"));
        assert!(!uri("spiffe://prod/ns/*/sa/web", "spiffe://prod/ns/a/b/sa/web"));
        assert!(uri("spiffe://prod/**", "spiffe://prod/a/b"));
        assert!(uri("spiffe://prod/**/web", "spiffe://prod/a/b/web"));
        assert!(!uri("spiffe://prod/*", "spiffe://prod.evil/x"));
        assert!(matches(NameKind::Email, "*@example.com", "bob@example.com"));
        assert!(!matches(NameKind::Email, "*@example.com", "bob@evil@example.com"));
        assert!(matches(NameKind::Subject, "CN=*,O=Partners", "CN=web,O=Partners"));
    }

    #[test]
    fn a_long_pattern_costs_no_more_than_the_product() {
        let pattern = "*a".repeat(200);
        assert!(glob(pattern.as_bytes(), "a".repeat(1_000).as_bytes(), b"."));
        assert!(!glob(pattern.as_bytes(), format!("{}b", "a".repeat(1_000)).as_bytes(), b"."));
    }
}
