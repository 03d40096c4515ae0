//! The examples of AWS's own suite for Signature Version 4.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests assert")]

use bartizan_model::{CompileContext, Profile, Timestamp};
use serde_json::json;

use super::{Mac, MacVerifier};
use crate::{
    identity::flaw::Flaw,
    support::{self, TestFiles},
};

/// 2015-08-30T12:36:00Z.
const THEN: u64 = 1_440_938_160;

fn outcome(method: &str, query: Option<&str>, tag: &str) -> Result<bool, Flaw> {
    let config: Mac = serde_json::from_value(json!({
        "preset": "aws_sigv4",
        "keys": [{ "id": "AKIDEXAMPLE", "secret": "file:secret" }],
    }))
    .unwrap();
    let secret = b"wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY".to_vec();
    let files = TestFiles { given: [("secret".to_owned(), secret)].into(), directory: None };
    let (issuers, services) = (std::collections::BTreeMap::new(), support::idle_services());
    let context = CompileContext {
        spec: &bartizan_model::compile::UNKNOWN_API,
        api: "shop",
        operation: None,
        profile: Profile::Balanced,
        issuers: &issuers,
        services: &services,
        files: &files,
        scope: &|_| "api:shop".to_owned(),
    };
    let verifier = MacVerifier::compile(&config, "accept[0]", &context).unwrap_or_else(|e| panic!("{e}"));
    let mut transaction = support::transaction();
    transaction.started = Timestamp::from_seconds(THEN);
    transaction.request.method = method.parse().unwrap();
    transaction.request.host = "example.amazonaws.com".to_owned();
    transaction.request.query = query.map(str::to_owned);
    let headers = &mut transaction.request.headers;
    headers.insert("x-amz-date", "20150830T123600Z".parse().unwrap());
    let authorization = format!(
        "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/service/aws4_request, SignedHeaders=host;x-amz-date, Signature={tag}"
    );
    headers.insert("authorization", authorization.parse().unwrap());
    let claim = verifier.read(&transaction)?.unwrap();
    Ok(claim.pending.unwrap().judge(b"").is_ok())
}

#[test]
fn the_examples_of_aws_verify() {
    let vanilla = "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31";
    assert_eq!(outcome("GET", None, vanilla), Ok(true));
    let post = "5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b";
    assert_eq!(outcome("POST", None, post), Ok(true));
    assert_eq!(outcome("POST", None, vanilla), Ok(false));
    // Parameters are put in order.
    let ordered = "b97d918cfa904a5beff61c982a1b6f458b799221646efd99d3219ec94cdf2500";
    assert_eq!(outcome("GET", Some("Param2=value2&Param1=value1"), ordered), Ok(true));
    assert_eq!(outcome("GET", Some("Param2=value2&Param1=value2"), ordered), Ok(false));
    assert_eq!(outcome("GET", None, "00"), Err(Flaw::SignatureMalformed));
}
