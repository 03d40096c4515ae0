//! How long decisions take: `cargo run --release -p bartizan-authz --example decisions`.
//!
//! The role table, policies that are found by operation (a dozen of 500 apply), and 500 policies that all apply. Each figure
//! is the best of seven rounds, per decision.
#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a program for people")]
#![allow(clippy::disallowed_methods, reason = "it measures time")]

use std::{hint::black_box, sync::Arc, time::Instant};

use bartizan_authz::{
    Actions, Facts, Policies, RoleTable, Roles, Zone,
    cedar::{Body, Options, PolicyText},
};
use bartizan_model::{
    CanonicalRequest, CredentialKind, Principal, Scheme, Timestamp,
    compile::{ApiSpec, OperationSpec},
};
use http::{HeaderMap, Method, Version};

const OPERATIONS: usize = 42;

fn best(name: &str, rounds: u32, mut decide: impl FnMut()) {
    let mut least = f64::INFINITY;
    for _ in 0..7 {
        let begun = Instant::now();
        for _ in 0..rounds {
            decide();
        }
        least = least.min(begun.elapsed().as_secs_f64() * 1e9 / f64::from(rounds));
    }
    println!("{name:<48} {least:>10.0} ns");
}

fn main() {
    let operations = (0..OPERATIONS)
        .map(|n| OperationSpec {
            label: Arc::from(format!("GET /things{n}/{{id}}")),
            declared: true,
            ..OperationSpec::default()
        })
        .collect();
    let actions = Actions::new(&ApiSpec { operations, ..ApiSpec::default() });
    let id = actions.find("GET /things7/{id}", &Method::GET);

    let mut file = "roles:\n".to_owned();
    for role in 0..50 {
        file.push_str(&format!("  role{role}:\n"));
        for operation in (0..OPERATIONS).filter(|operation| operation % 50 <= role) {
            file.push_str(&format!("    - GET /things{operation}/*\n"));
        }
    }
    let table = RoleTable::compile(&Roles::parse(&file, "roles.yaml").unwrap(), &actions).unwrap();
    let names = ["role9", "role3"];
    best("role table, operation and roles looked up", 1_000_000, || {
        let action = actions.find(black_box("GET /things7/{id}"), &Method::GET);
        let roles = table.roles_of(Some(("corp", "alice")), names.iter().copied());
        black_box(table.decide(&actions, action, &roles, || "/things7/1".into()));
    });
    let roles = table.roles_of(Some(("corp", "alice")), names.iter().copied());
    best("role table, decision alone", 1_000_000, || {
        black_box(table.decide(&actions, black_box(id), &roles, || "/things7/1".into()));
    });

    let policy = |number: usize, scope: String| {
        format!(
            "@id(\"p{number}\") permit (principal is User, action{scope}, resource) when {{ principal.scopes.contains(\"s{number}\") && context.path.id == \"{number}\" && context.ip.isInRange(ip(\"10.0.0.0/8\")) }};\n"
        )
    };
    let indexed: String = (0..500)
        .map(|n| policy(n, format!(" == Action::\"GET /things{}/{{id}}\"", n % OPERATIONS)))
        .collect();
    let every: String = (0..500).map(|n| policy(n, String::new())).collect();
    let mut principal = Principal::new(CredentialKind::Jwt, "corp".into(), "alice".into());
    principal.scopes = vec!["read".into(), "write".into()];
    let request = CanonicalRequest {
        method: Method::GET,
        scheme: Scheme::Https,
        host: "api.test".to_owned(),
        port: None,
        path: "/things7/1".to_owned(),
        query: None,
        sent: None,
        headers: HeaderMap::new(),
        removed: Vec::new(),
        version: Version::HTTP_11,
        content_length: Some(0),
    };
    let facts = Facts {
        request: &request,
        principal: Some(&principal),
        ip: "10.1.2.3".parse().unwrap(),
        api: "bank",
        time: Timestamp::from_seconds(1),
        action: actions.get(id).unwrap(),
        path: "/things7/1",
        roles: &[],
        body: Body::Absent,
        geo: None,
        zone: Zone::default(),
        risk: 0,
    };
    for (name, text) in [("12 of 500 policies apply", indexed), ("500 of 500 policies apply", every)] {
        // Every action has a parameter `id` but those that nothing names.
        let text =
            if name.starts_with("500") { text.replace("context.path.id", "context.target") } else { text };
        let options = Options { api: "bank", roles: None, country: false, asn: false };
        let begun = Instant::now();
        let policies =
            Policies::load(&[PolicyText { file: "p.cedar", text: &text }], &actions, options).unwrap();
        println!(
            "{name}: loaded and validated in {} ms, {} apply",
            begun.elapsed().as_millis(),
            policies.applicable(id).len()
        );
        best(name, 2_000, || {
            black_box(policies.judge(black_box(id), &facts));
        });
    }
}
