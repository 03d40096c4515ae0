//! Token issuers: where their keys are, and which algorithms go with them.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use bartizan_guards::identity::{events::Receiver, federation};
use bartizan_model::{
    FileReference, Timestamp,
    compile::{EventSource, IssuerSpec, KeySource},
};

use super::Compiler;
use crate::document::{Events, Issuer};

impl Compiler<'_> {
    pub(super) fn issuers(&mut self, settings: &[Issuer]) -> BTreeMap<Arc<str>, Arc<IssuerSpec>> {
        let mut issuers = BTreeMap::new();
        for (index, issuer) in settings.iter().enumerate() {
            let path = format!("issuers[{index}]");
            let name: Arc<str> = Arc::from(issuer.name.as_str());
            if issuers.contains_key(&name) {
                self.error(
                    &format!("{path}.name"),
                    format!("two issuers are named `{name}`"),
                    "give each issuer a name of its own",
                );
            }
            let keys = self.keys(issuer, &path);
            // Where one of them was no algorithm, that is told already.
            let told = format!("{path}.algorithms");
            if issuer.algorithms.is_empty() && !self.report.iter().any(|error| error.path.starts_with(&told))
            {
                self.error(
                    &format!("{path}.algorithms"),
                    "no algorithm is accepted, so every token is refused",
                    "list what the issuer signs with, such as `[ES256, RS256]`",
                );
            }
            let symmetric = matches!(keys, Some(KeySource::Secret(_)));
            if let Some(at) =
                issuer.algorithms.iter().position(|algorithm| algorithm.is_symmetric() != symmetric)
            {
                let algorithm = issuer.algorithms.get(at).map_or("", |algorithm| algorithm.as_str());
                let (message, help) = if symmetric {
                    (
                        format!("`{algorithm}` does not sign with a shared secret"),
                        "with `secret`, list only HS256, HS384 or HS512",
                    )
                } else {
                    (
                        format!("`{algorithm}` needs a shared secret: published keys must not verify it"),
                        "add `secret: env:NAME` instead of `jwks`, or list asymmetric algorithms only",
                    )
                };
                self.error(&format!("{path}.algorithms[{at}]"), message, help);
            }
            if issuer.audiences.is_empty() && issuer.events.is_none() {
                self.warn(
                    &format!("{path}.audiences"),
                    "tokens for any audience are accepted: one made for another API works here too",
                    "list the `aud` value that names this API",
                );
            }
            let retired = self.retired(issuer, &path);
            let map =
                federation::compile(issuer.preset, issuer.map.as_ref()).unwrap_or_else(|(at, problem)| {
                    self.error(
                        &format!("{path}.map.{at}"),
                        problem,
                        "write claims in braces, such as `{sub}` or `{/kubernetes.io/namespace}`",
                    );
                    None
                });
            let events = issuer.events.as_ref().map(|events| self.events(events, &name, settings, &path));
            let Some(keys) = keys else { continue };
            let spec = IssuerSpec {
                audiences: issuer.audiences.iter().map(|text| Arc::from(text.as_str())).collect(),
                algorithms: issuer.algorithms.iter().map(|algorithm| Arc::from(algorithm.as_str())).collect(),
                max_lifetime: issuer.max_lifetime.map(|period| period.0),
                types: issuer.types.iter().map(|text| Arc::from(text.as_str())).collect(),
                leeway: issuer.leeway.map_or(Duration::from_secs(30), |period| period.0),
                profile: issuer.profile,
                id_tokens: issuer.id_tokens,
                retired,
                map: map.map(Arc::new),
                events: events.map(Arc::new),
                ..IssuerSpec::new(Arc::clone(&name), Arc::from(issuer.issuer.as_str()), keys)
            };
            issuers.insert(name, Arc::new(spec));
        }
        issuers
    }

    /// Who takes in the events of those issuers that send some.
    pub(super) fn receiver(
        &mut self,
        issuers: &BTreeMap<Arc<str>, Arc<IssuerSpec>>,
        settings: &[Issuer],
    ) -> Receiver {
        Receiver::compile(issuers, self.options.services, self.disk).unwrap_or_else(|(name, problem)| {
            let index = settings.iter().position(|issuer| *issuer.name == *name).unwrap_or_default();
            self.error(
                &format!("issuers[{index}].events"),
                format!("the events of `{name}` cannot be verified: {problem}"),
                "give the issuer keys that fit its `algorithms`",
            );
            Receiver::default()
        })
    }

    /// Since when its tokens are refused everywhere.
    fn retired(&mut self, issuer: &Issuer, path: &str) -> Option<Timestamp> {
        let at = issuer.retired_at.as_ref().and_then(|text| {
            text.parse()
                .map_err(|problem: String| self.error_text(&format!("{path}.retired_at"), &problem))
                .ok()
        });
        if issuer.retired && at.is_some() {
            self.error(
                &format!("{path}.retired_at"),
                "an issuer is either retired now or from a moment on",
                "remove `retired` or `retired_at`",
            );
        }
        if issuer.retired { Some(Timestamp(0)) } else { at }
    }

    /// Whose subjects an issuer may send events about.
    fn events(&mut self, events: &Events, name: &Arc<str>, settings: &[Issuer], path: &str) -> EventSource {
        if events.audiences.is_empty() {
            self.error(
                &format!("{path}.events.audiences"),
                "an event for any receiver would be taken for one of ours",
                "list the `aud` that the transmitter gives to this gateway",
            );
        }
        for (index, other) in events.speaks_for.iter().enumerate() {
            if !settings.iter().any(|issuer| issuer.name == *other) {
                self.error(
                    &format!("{path}.events.speaks_for[{index}]"),
                    format!("there is no issuer `{other}`"),
                    "write the name of one of the document's `issuers`",
                );
            }
        }
        let texts = |list: &[String]| list.iter().map(|text| Arc::from(text.as_str())).collect::<Vec<_>>();
        let speaks_for = match events.speaks_for.as_slice() {
            [] => vec![Arc::clone(name)],
            others => texts(others),
        };
        EventSource { audiences: texts(&events.audiences), speaks_for }
    }

    fn keys(&mut self, issuer: &Issuer, path: &str) -> Option<KeySource> {
        match (&issuer.jwks, &issuer.secret) {
            (Some(_), Some(_)) => {
                self.error(
                    &format!("{path}.secret"),
                    "an issuer has either published keys or a shared secret",
                    "remove `jwks` or `secret`",
                );
                None
            }
            (None, Some(secret)) => {
                use bartizan_model::Files as _;
                if let Err(text) = self.disk.secret(secret) {
                    self.error_text(&format!("{path}.secret"), &text);
                }
                Some(KeySource::Secret(secret.clone()))
            }
            (Some(text), None) => {
                let jwks = format!("{path}.jwks");
                if let Ok(file) = text.parse::<FileReference>() {
                    self.file(&file, &jwks)?;
                    return Some(KeySource::File(file));
                }
                self.check_url(text, &jwks, "a key set is `https://..` or `file:path`")?;
                Some(KeySource::Url(Arc::from(text.as_str())))
            }
            (None, None) => {
                self.check_url(
                    &issuer.issuer,
                    &format!("{path}.issuer"),
                    "discovery needs an `https://` issuer; otherwise add `jwks: file:..`, `jwks: https://..` or `secret: env:..`",
                )?;
                Some(KeySource::Discovery(Arc::from(issuer.issuer.as_str())))
            }
        }
    }

    /// Keys come over TLS, or from this machine.
    fn check_url(&mut self, text: &str, path: &str, help: &str) -> Option<()> {
        let uri: Option<http::Uri> = text.parse().ok();
        let scheme = uri.as_ref().and_then(http::Uri::scheme_str);
        let host = uri.as_ref().and_then(http::Uri::host).unwrap_or_default();
        match scheme {
            Some("https") if !host.is_empty() => Some(()),
            Some("http") if super::upstream::is_loopback(host) => Some(()),
            Some("http") => {
                self.error(path, "keys that come in cleartext can be forged on the way", help);
                None
            }
            _ => {
                self.error(path, format!("`{text}` is not a URL to fetch keys from"), help);
                None
            }
        }
    }
}
