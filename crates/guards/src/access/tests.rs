//! Decisions of the guard that no case shows: the contract's `security`.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests assert")]

use bartizan_model::{
    ClientCertificate, CredentialKind, Principal, Witness,
    compile::{ApiSpec, OperationSpec, SchemeDemand, SchemeKind},
};

use super::*;
use crate::support;

fn demand(kind: SchemeKind, names: &[&str]) -> SchemeDemand {
    SchemeDemand {
        field: (kind == SchemeKind::ApiKey).then(|| "x-api-key".into()),
        scheme: "scheme".into(),
        kind,
        scopes: kind == SchemeKind::Token,
        names: names.iter().map(|name| Arc::from(*name)).collect(),
    }
}

/// The code with which an operation with this `security` refuses a caller with these scopes.
fn refused(
    security: Vec<SecurityAlternative>,
    kind: CredentialKind,
    scopes: &[&str],
    certified: bool,
) -> Option<&'static str> {
    refused_with(security, kind, scopes, certified, None)
}

fn refused_with(
    security: Vec<SecurityAlternative>,
    kind: CredentialKind,
    scopes: &[&str],
    certified: bool,
    shown: Option<crate::identity::Shown>,
) -> Option<&'static str> {
    let operation = OperationSpec {
        label: "GET /reports".into(),
        declared: true,
        security: Some(security),
        ..OperationSpec::default()
    };
    let spec = ApiSpec { operations: vec![operation], ..ApiSpec::default() };
    let guard: Access =
        support::compile_for(serde_json::json!({}), &spec, &support::TestFiles::default()).unwrap();
    let mut transaction = support::transaction();
    transaction.operation = "GET /reports".into();
    transaction.request.path = "/reports".to_owned();
    if certified {
        transaction.certificate = Some(Arc::new(ClientCertificate {
            der: Arc::from([]),
            chain: Arc::from([]),
            fingerprint: [0; 32],
            subject: "CN=app".into(),
            issuer: "CN=ca".into(),
            serial: "01".into(),
            names: Arc::from([]),
            not_before: Timestamp(0),
            not_after: Timestamp(u64::MAX),
            witness: Witness::Handshake,
        }));
    }
    let mut principal = Principal::new(kind, "corp".into(), "alice".into());
    principal.scopes = scopes.iter().map(|scope| Arc::from(*scope)).collect();
    transaction.principal = Some(Arc::new(principal));
    if let Some(shown) = shown {
        transaction.memory.keep(crate::identity::Shown::KEY, Box::new(shown));
    }
    support::code(&support::now(guard.request_headers(&mut transaction)))
}

#[test]
fn the_alternatives_of_a_contract_are_for_the_credentials_that_they_name() {
    use CredentialKind::{ApiKey, Jwt, Mtls, Signature};
    use SchemeKind::{ApiKey as Key, Certificate, Other, Token};
    let scope = Some("access.scope");
    let either = || vec![vec![demand(Token, &["write"])], vec![demand(Key, &[])]];
    assert_eq!(refused(either(), Jwt, &["write"], false), None);
    assert_eq!(refused(either(), Jwt, &["read"], false), scope, "the alternative for keys lets no token in");
    assert_eq!(refused(either(), ApiKey, &[], false), None);
    assert_eq!(
        refused(either(), Signature, &[], false),
        scope,
        "what no alternative is for needs the scopes"
    );
    let basic = || vec![vec![demand(Other, &[])], vec![demand(Token, &["write"])]];
    assert_eq!(refused(basic(), Jwt, &["read"], false), scope);
    let both = || vec![vec![demand(Token, &["a"]), demand(Token, &["b"])]];
    assert_eq!(refused(both(), Jwt, &["a"], false), scope);
    assert_eq!(refused(both(), Jwt, &["b", "a"], false), None);
    let either_scope = || vec![vec![demand(Token, &["a"])], vec![demand(Token, &["b"])]];
    assert_eq!(refused(either_scope(), Jwt, &["b"], false), None);
    assert_eq!(refused(either_scope(), ApiKey, &["b"], false), None, "scopes of keys are scopes");
    assert_eq!(refused(either_scope(), ApiKey, &[], false), scope);
    let certificate = || vec![vec![demand(Certificate, &[])]];
    assert_eq!(refused(certificate(), Jwt, &[], false), Some("access.denied"));
    assert_eq!(refused(certificate(), Mtls, &[], false), None);
    assert_eq!(refused(certificate(), Jwt, &[], true), None, "a token over a connection with a certificate");
    let with_token = || vec![vec![demand(Certificate, &[]), demand(Token, &["a"])]];
    assert_eq!(refused(with_token(), Jwt, &["a"], false), Some("access.denied"));
    assert_eq!(refused(with_token(), Jwt, &["a"], true), None);
    assert_eq!(refused(with_token(), Jwt, &[], true), scope);
    assert_eq!(refused(vec![], Jwt, &[], false), None);
    assert_eq!(refused(vec![vec![], vec![demand(Token, &["a"])]], Jwt, &[], false), None);
}

/// The same with what `identity` saw: the kinds that it takes, and those that came.
fn refused_shown(
    security: Vec<SecurityAlternative>,
    token: bool,
    keys: &[&'static str],
) -> Option<&'static str> {
    let field = |name: &&'static str| http::HeaderName::from_static(name);
    let taken =
        crate::identity::Taken { tokens: true, keys: ["x-api-key", "x-other"].iter().map(field).collect() };
    let shown = crate::identity::Shown { taken: taken.into(), token, keys: keys.iter().map(field).collect() };
    let kind = if token { CredentialKind::Jwt } else { CredentialKind::ApiKey };
    refused_with(security, kind, &[], false, Some(shown))
}

#[test]
fn a_kind_of_credential_that_is_accepted_has_to_be_the_one_that_is_demanded() {
    use SchemeKind::{ApiKey as Key, Other, Token};
    let other = Some("access.unauthenticated");
    let key = || vec![vec![demand(Key, &[])]];
    assert_eq!(refused_shown(key(), false, &["x-api-key"]), None);
    assert_eq!(refused_shown(key(), false, &["x-other"]), other, "a key in another field");
    assert_eq!(refused_shown(key(), true, &[]), other);
    assert_eq!(refused_shown(vec![vec![demand(Token, &[])]], false, &["x-api-key"]), other);
    let both = || vec![vec![demand(Key, &[]), demand(Token, &[])]];
    assert_eq!(refused_shown(both(), true, &[]), other, "all of one alternative");
    assert_eq!(refused_shown(both(), false, &["x-api-key"]), other);
    assert_eq!(refused_shown(both(), true, &["x-api-key"]), None);
    let either = || vec![vec![demand(Key, &[])], vec![demand(Token, &[])]];
    assert_eq!(refused_shown(either(), true, &[]), None);
    assert_eq!(refused_shown(either(), false, &["x-api-key"]), None);
    let optional = || vec![vec![demand(Key, &[])], vec![]];
    assert_eq!(refused_shown(optional(), true, &[]), None);
    // Who can tell a password from another credential does not sit here.
    assert_eq!(refused_shown(vec![vec![demand(Other, &[])]], true, &[]), None);
}
