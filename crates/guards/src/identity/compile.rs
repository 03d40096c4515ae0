//! From the `identity` block to the compiled guard, with everything that is wrong at once.

use std::sync::Arc;

use bartizan_model::{CompileContext, Diagnostic, Diagnostics, Profile};
use http::{HeaderName, header};

use super::{
    Accept, Anonymous, Challenges, Config, Identity, Requirement, Taken,
    introspection::OpaqueVerifier,
    jwt::JwtVerifier,
    key_rules::{KeyRules, MOST_CLIENTS},
};
use super::{
    dpop::Bindings,
    proofs::{Kind, Proofs},
    signature::Presence,
};

/// Compiles the block.
pub(super) fn identity(config: Config, context: &CompileContext<'_>) -> Result<Identity, Diagnostics> {
    let mut compiler = Compiler {
        context,
        problems: Diagnostics::new(),
        issuers: Vec::new(),
        headers: Vec::new(),
        proofs: Proofs::new(context),
        key_fields: Vec::new(),
        opaque: None,
    };
    let accept: Vec<Requirement> = config
        .accept
        .iter()
        .enumerate()
        .filter_map(|(index, entry)| compiler.entry(entry, &format!("accept[{index}]"), true))
        .collect();
    let Compiler { mut problems, issuers, headers, key_fields, opaque, proofs, .. } = compiler;
    // Tokens of retired issuers are refused where no token is accepted, too.
    let retired = context.issuers.values().any(|spec| spec.retired.is_some());
    let jwt = if issuers.is_empty() && !retired {
        None
    } else {
        JwtVerifier::compile(&issuers, context).map_err(|more| problems.extend(more)).ok()
    };
    let bearer = !issuers.is_empty() || opaque.is_some();
    let anonymous =
        config.anonymous.unwrap_or(if config.accept.is_empty() { Anonymous::Allow } else { Anonymous::Deny });
    if config.accept.is_empty() && anonymous == Anonymous::Deny {
        problems.push(
            Diagnostic::error("anonymous", "`anonymous: deny` without `accept` would refuse everybody")
                .help("list the accepted credentials, such as `accept: [{ jwt: { issuers: [corp] } }]`"),
        );
    }
    let required = config.binding == Some(Presence::Required);
    let settings = config.dpop.clone().unwrap_or_default();
    let bindings = match Bindings::compile(&settings, required, context) {
        Ok(bindings) => bindings,
        Err(name) => {
            return Err(Diagnostic::error(
                "dpop.algorithms",
                format!("`{name}` is not an asymmetric algorithm that can be accepted"),
            )
            .help("write some of `ES256`, `ES384`, `ES512`, `EdDSA`, `PS256`, `PS384`, `PS512`, `RS256`")
            .into());
        }
    };
    let dpop = bearer.then(|| (bindings.algorithms(), required || config.dpop.is_some()));
    let taken = Taken { tokens: bearer, keys: headers.clone() };
    let doubts = if accept.is_empty() { Diagnostics::new() } else { taken.doubts(context) };
    problems.or(Identity {
        accept,
        taken: Arc::new(taken),
        doubts,
        anonymous,
        challenges: Arc::new(
            Challenges::new(context.api, bearer, headers.clone()).with_proofs(proofs.challenges(), dpop),
        ),
        proofs,
        bindings,
        jwt,
        opaque,
        bearer,
        strict: context.profile == Profile::Strict,
        resource_metadata: bearer && config.resource_metadata.unwrap_or(true),
        revocations: Arc::clone(&context.services.revocations),
        api_key_headers: headers,
        key_rules: KeyRules::new(context, &key_fields),
    })
}

struct Compiler<'c, 'x> {
    context: &'c CompileContext<'x>,
    problems: Diagnostics,
    /// The accepted issuers, each once, with the place that names it first.
    issuers: Vec<(Arc<str>, String)>,
    /// The fields that hold API keys, each once.
    headers: Vec<HeaderName>,
    proofs: Proofs,
    /// What each entry of `accept` says of keys in its field.
    key_fields: Vec<(HeaderName, super::ApiKey)>,
    /// Who is asked about opaque tokens.
    opaque: Option<OpaqueVerifier>,
}

impl Compiler<'_, '_> {
    fn entry(&mut self, entry: &Accept, path: &str, outermost: bool) -> Option<Requirement> {
        match entry {
            Accept::Jwt(jwt) => self.jwt(jwt, path),
            Accept::Introspection(settings) => self.introspection(settings, path),
            Accept::Mtls(mtls) => {
                let place = self.proofs.add_certificate(mtls, path, self.context);
                self.proof(Kind::Certificate, place, true)
            }
            Accept::Signature(signature) => {
                let place = self.proofs.add_signature(signature, path, self.context);
                self.proof(Kind::Signature, place, signature.forward_credential)
            }
            Accept::Hmac(mac) => {
                let place = self.proofs.add_mac(mac, path, self.context);
                self.proof(Kind::Mac, place, mac.forward_credential)
            }
            Accept::ApiKey(api_key) => self.api_key(api_key, path),
            Accept::All(_) if !outermost => self.error(
                path,
                "`all` within `all` says nothing more".to_owned(),
                "write its entries in the outer `all`",
            ),
            Accept::All(entries) if entries.is_empty() => self.error(
                path,
                "`all` is empty and would accept everybody".to_owned(),
                "list the credentials that must come together",
            ),
            Accept::All(entries) => {
                let all = entries
                    .iter()
                    .enumerate()
                    .map(|(index, entry)| self.entry(entry, &format!("{path}.all[{index}]"), false))
                    .collect::<Vec<_>>();
                all.into_iter().collect::<Option<Vec<_>>>().map(Requirement::All)
            }
        }
    }

    fn jwt(&mut self, jwt: &super::Jwt, path: &str) -> Option<Requirement> {
        let named: Vec<(Arc<str>, String)> = if jwt.issuers.is_empty() {
            self.context.issuers.keys().map(|name| (Arc::clone(name), path.to_owned())).collect()
        } else {
            let place = |index| format!("{path}.jwt.issuers[{index}]");
            jwt.issuers
                .iter()
                .enumerate()
                .map(|(index, name)| (Arc::from(name.as_str()), place(index)))
                .collect()
        };
        if named.is_empty() {
            return self.error(
                path,
                "`jwt` needs an issuer, and the document names none".to_owned(),
                "add the document's `issuers`",
            );
        }
        let issuers = named.iter().map(|(name, _)| Arc::clone(name)).collect();
        for (name, place) in named {
            if !self.issuers.iter().any(|(known, _)| *known == name) {
                self.issuers.push((name, place));
            }
        }
        Some(Requirement::Jwt { issuers, forward: jwt.forward_credential })
    }

    fn introspection(&mut self, settings: &super::Introspection, path: &str) -> Option<Requirement> {
        if self.opaque.is_some() {
            return self.error(
                path,
                "two endpoints would each learn the tokens of the other".to_owned(),
                "accept opaque tokens of one issuer only",
            );
        }
        match OpaqueVerifier::compile(settings, self.context) {
            Ok(verifier) => self.opaque = Some(verifier),
            Err((place, problem)) => {
                self.problems.push(Diagnostic::error(format!("{path}.introspection.{place}"), problem));
                return None;
            }
        }
        Some(Requirement::Opaque { forward: settings.forward_credential })
    }

    fn proof(&mut self, kind: Kind, place: Result<usize, Diagnostics>, forward: bool) -> Option<Requirement> {
        match place {
            Ok(place) => {
                let withheld = if forward { Vec::new() } else { self.proofs.fields(kind, place) };
                Some(Requirement::Proof { kind, place, withheld })
            }
            Err(problems) => {
                self.problems.extend(problems);
                None
            }
        }
    }

    fn api_key(&mut self, api_key: &super::ApiKey, path: &str) -> Option<Requirement> {
        let place = format!("{path}.api_key.header");
        let Ok(header) = HeaderName::try_from(api_key.header.as_str()) else {
            return self.error(
                &place,
                format!("`{}` is not a header field's name", api_key.header),
                "write one such as `X-API-Key`",
            );
        };
        if [header::AUTHORIZATION, header::COOKIE, header::HOST].contains(&header) {
            return self.error(
                &place,
                format!("`{}` has a meaning of its own", api_key.header),
                "write a field such as `X-API-Key`",
            );
        }
        if api_key.clients > MOST_CLIENTS {
            return self.error(
                &format!("{path}.api_key.clients"),
                format!("at most {MOST_CLIENTS} clients of a key are told apart"),
                "write a number from 1 to 256, or 0 to count none",
            );
        }
        if api_key.max_age.is_some_and(|age| age.0.is_zero()) {
            return self.error(
                &format!("{path}.api_key.max_age"),
                "no key is young enough for `0`".to_owned(),
                "write an age such as `90d`",
            );
        }
        if !self.headers.contains(&header) {
            self.headers.push(header.clone());
        }
        self.key_fields.push((header.clone(), api_key.clone()));
        Some(Requirement::ApiKey { header, forward: api_key.forward_credential })
    }

    fn error(&mut self, path: &str, message: String, help: &str) -> Option<Requirement> {
        self.problems.push(Diagnostic::error(path, message).help(help));
        None
    }
}
