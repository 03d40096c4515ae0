//! T-13: tokens of an issuer that was retired after a migration, shown everywhere, refused everywhere, and reported.

use std::{
    collections::BTreeSet,
    fs,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use bartizan_testkit::{
    Gateway, RawUpstream, Signer,
    provider::{Form, Provider},
    token::epoch_seconds,
};
use serde_json::{Value, json};

use crate::{
    Bounds, Criterion, Figures, Rule, Scenario, Stage,
    client::{ask_plain, request},
};

/// The scenario.
pub static SCENARIO: Scenario = Scenario {
    actors: "twelve clients that kept their tokens of the old issuer; a thief with the old issuer's stolen key; people whose \
             tokens are of the new one",
    traffic: "each token, used before the retirement or never, at every API and method: where it was accepted, where only the \
              new issuer's ever were, where no token is asked for; before the retirement, after it, and after a restart",
    truth: "an upstream that believes any token counts what reaches it; the report is compared with the clients that there are",
    bounds: Bounds { requests: 4_000, seconds: 120 },
    proofs: &[
        Criterion {
            key: "accepted_everywhere",
            text: "legacy tokens that the API alone accepts, in percent",
            rule: Rule::Exactly(100.0),
        },
        Criterion {
            key: "taken",
            text: "answers that the holders of legacy tokens got",
            rule: Rule::AtLeast(48.0),
        },
    ],
    criteria: &[
        Criterion {
            key: "accepted_before",
            text: "legacy tokens that were accepted before the retirement",
            rule: Rule::AtLeast(6.0),
        },
        Criterion {
            key: "in_force_ms",
            text: "from the changed policy to the first refusal, in milliseconds",
            rule: Rule::AtMost(1_000.0),
        },
        Criterion {
            key: "blocked_percent",
            text: "legacy tokens refused, in percent",
            rule: Rule::Exactly(100.0),
        },
        Criterion { key: "taken", text: "of them, how many reached an API", rule: Rule::Exactly(0.0) },
        Criterion {
            key: "own_reason",
            text: "refusals that name the retirement, in percent",
            rule: Rule::Exactly(100.0),
        },
        Criterion {
            key: "unreported",
            text: "clients with legacy tokens that the report lacks",
            rule: Rule::Exactly(0.0),
        },
        Criterion {
            key: "miscounted",
            text: "clients whose number of uses, or last use, the report tells wrong",
            rule: Rule::Exactly(0.0),
        },
        Criterion {
            key: "forged_by_name",
            text: "callers in the report that only forged tokens named",
            rule: Rule::Exactly(0.0),
        },
        Criterion {
            key: "legitimate_requests",
            text: "requests with tokens of the new issuer",
            rule: Rule::AtLeast(40.0),
        },
        Criterion {
            key: "legitimate_percent",
            text: "of those, answered as they should be, in percent",
            rule: Rule::Exactly(100.0),
        },
    ],
    without,
    with,
};

/// Clients that kept their old tokens.
const CLIENTS: usize = 12;

/// Where tokens are shown: an API that accepted both issuers, one that only ever accepted the new one, one for keys, and one
/// that asks for nothing.
const PLACES: [(&str, &str); 5] = [
    ("GET", "/orders"),
    ("POST", "/orders"),
    ("GET", "/new/orders"),
    ("GET", "/keys/orders"),
    ("DELETE", "/free/orders"),
];

/// A token of a client of the old issuer.
fn legacy(old: &Provider, client: usize) -> Result<String> {
    let claims = json!({ "client_id": format!("client-{client}"), "jti": format!("legacy-{client}") });
    old.token(&format!("subject-{client}"), &claims)
}

/// The attack where the API itself knows both issuers and nobody told it that one is retired.
fn without(stage: &Stage) -> Result<Figures> {
    let upstream = RawUpstream::echo()?;
    let old = Provider::start("", Form::OpenId)?;
    let mut figures = Figures::default();
    for client in 0..CLIENTS {
        let token = legacy(&old, client)?;
        for (method, path) in PLACES {
            let reply =
                ask_plain(stage, upstream.address, &request(method, path, "api.test", Some(&token), None))?;
            figures.attack(reply.status != 200);
            figures.taken += u64::from(reply.status == 200);
        }
    }
    figures.count("accepted_everywhere", figures.taken * 100 / figures.attacks.max(1));
    Ok(figures)
}

struct Site {
    upstream: RawUpstream,
    old: Provider,
    new: Provider,
    gateway: Gateway,
}

impl Site {
    fn start(stage: &Stage) -> Result<Self> {
        let (upstream, old, new) =
            (RawUpstream::echo()?, Provider::start("", Form::OpenId)?, Provider::start("", Form::OpenId)?);
        let url = upstream.url();
        let issuer = |name: &str, provider: &Provider| {
            let iss = &provider.issuer;
            format!("  - name: {name}\n    issuer: {iss}\n    audiences: [shop]\n    algorithms: [ES256]\n")
        };
        let text = format!(
            "listeners: [{{ address: $LISTEN }}]\nadmin: {{ address: $ADMIN, readiness_probes: false }}\n\
             issuers:\n{}{}apis:\n\
             \u{20}\u{20}- {{ name: orders, upstream: \"{url}\", identity: {{ accept: [{{ jwt: {{ issuers: [old, new] }} }}] }} }}\n\
             \u{20}\u{20}- {{ name: new, base_path: /new, upstream: \"{url}\", identity: {{ accept: [{{ jwt: {{ issuers: [new] }} }}] }} }}\n\
             \u{20}\u{20}- {{ name: keys, base_path: /keys, upstream: \"{url}\", identity: {{ accept: [api_key], anonymous: allow }} }}\n\
             \u{20}\u{20}- {{ name: free, base_path: /free, upstream: \"{url}\", identity: {{ anonymous: allow }} }}\n",
            issuer("old", &old),
            issuer("new", &new),
        );
        let gateway = Gateway::with_config(&stage.binary(), &text, |_| Ok(()))?;
        Ok(Site { upstream, old, new, gateway })
    }

    fn show(
        &self,
        stage: &Stage,
        (method, path): (&str, &str),
        token: &str,
    ) -> Result<bartizan_testkit::Reply> {
        ask_plain(stage, self.gateway.address, &request(method, path, "api.test", Some(token), None))
    }

    /// Writes the retirement into the policy; how long it took to be in force for a token that was remembered.
    fn retire(&self, stage: &Stage, token: &str) -> Result<Duration> {
        let file = self.gateway.dir.path().join("bartizan.yaml");
        let line = format!("    issuer: {}\n", self.old.issuer);
        let text = fs::read_to_string(&file)?;
        ensure!(text.contains(&line), "the policy lacks the old issuer");
        let begun = Instant::now();
        fs::write(&file, text.replace(&line, &format!("{line}    retired: true\n")))?;
        let reply = self.gateway.ask("POST", "/v1/reload", None)?;
        ensure!(reply.status == 200, "the reload was answered with {}", reply.status);
        let so = stage.wait_until(Duration::from_secs(5), || {
            let reply = self.gateway.get("/orders", &[&format!("Authorization: Bearer {token}")]);
            reply.status == 401
        })?;
        ensure!(so, "the retirement never came into force");
        Ok(begun.elapsed())
    }

    fn report(&self) -> Result<Vec<Value>> {
        let report = self.gateway.ask("GET", "/v1/issuers/retired", None)?.json();
        Ok(report.get("retired").and_then(Value::as_array).context("no report")?.clone())
    }
}

/// The attack where the gateway stands before every API.
fn with(stage: &Stage) -> Result<Figures> {
    let mut figures = Figures::default();
    let site = Site::start(stage)?;
    let tokens: Vec<String> = (0..CLIENTS).map(|client| legacy(&site.old, client)).collect::<Result<_>>()?;
    // Half of them are used before: the gateway remembers that they were good.
    for token in tokens.iter().take(CLIENTS / 2) {
        figures.add("accepted_before", u64::from(site.show(stage, ("GET", "/orders"), token)?.status == 200));
    }
    let first = tokens.first().context("no token")?;
    let in_force = site.retire(stage, first)?;
    figures.count("in_force_ms", u64::try_from(in_force.as_millis()).unwrap_or(u64::MAX));
    // What was asked while the retirement came into force is not the drill's to count.
    let before = site.report()?;
    let so_far = |client: &str| {
        let count = |used: &Value| (text(used, "client") == client).then(|| used.get("count")?.as_u64())?;
        before.iter().find_map(count).unwrap_or(0)
    };
    site.upstream.clear();
    let begun = epoch_seconds();
    let mut reasons = 0;
    let mut told = BTreeSet::new();
    let forged = forged(&site, stage)?;
    for (token, is_forged) in tokens.iter().map(|t| (t, false)).chain(forged.iter().map(|t| (t, true))) {
        for place in PLACES {
            let reply = site.show(stage, place, token)?;
            figures.attack(reply.status == 401);
            let event = reply.header("x-bartizan-event").unwrap_or_default().to_owned();
            if !is_forged && !told.contains(&event) {
                told.insert(event);
            }
        }
        let friend = site.new.token("person", &json!({ "client_id": "app" }))?;
        for place in [("GET", "/orders"), ("GET", "/new/orders"), ("GET", "/keys/orders")] {
            figures.legitimate.requests += 1;
            let reply = site.show(stage, place, &friend)?;
            figures.legitimate.succeeded += u64::from(reply.status == 200);
            if reply.status != 200 {
                figures.legitimate.miss(format!("{} {}: {}", place.0, place.1, reply.status));
            }
        }
    }
    let reached = site.upstream.requests();
    let legacy_reached = reached
        .iter()
        .filter(|request| tokens.iter().chain(&forged).any(|token| request.text().contains(token.as_str())));
    figures.taken = legacy_reached.count() as u64;
    figures.leaked = figures.taken;
    // Each refusal of a token that was once good names the retirement.
    stage.wait_until(Duration::from_secs(5), || told.iter().all(|id| reason(&site.gateway, id).is_some()))?;
    for id in &told {
        reasons += u64::from(reason(&site.gateway, id).as_deref() == Some("identity.issuer_retired"));
    }
    figures.count("own_reason", reasons * 100 / (told.len() as u64).max(1));
    let report = site.report()?;
    let shown = PLACES.len() as u64;
    for client in 0..CLIENTS {
        let (client, subject) = (format!("client-{client}"), format!("subject-{client}"));
        let used =
            report.iter().find(|used| text(used, "client") == client && text(used, "subject") == subject);
        figures.add("unreported", u64::from(used.is_none()));
        let count = used.and_then(|used| used.get("count")?.as_u64()).unwrap_or(0);
        let last: Option<bartizan_model::Timestamp> = used.and_then(|used| text(used, "last").parse().ok());
        let late = last.is_some_and(|last| i64::try_from(last.seconds()).is_ok_and(|last| last >= begun));
        figures.add("miscounted", u64::from(count != so_far(&client) + shown || !late));
    }
    let named = report
        .iter()
        .filter(|used| text(used, "client").contains("forged") || text(used, "subject").contains("forged"));
    figures.count("forged_by_name", named.count() as u64);
    stage.keep_gateway("with", &site.gateway)?;
    Ok(figures)
}

/// Tokens that only say that they are of the old issuer: of another key under its name, and without any signature.
fn forged(site: &Site, stage: &Stage) -> Result<Vec<String>> {
    let now = epoch_seconds();
    let claims = json!({
        "iss": site.old.issuer, "sub": "forged", "client_id": "forged", "aud": "shop", "iat": now, "exp": now + 600,
    });
    let stranger = Signer::new("first")?;
    let token = stranger.sign(&claims)?;
    let (input, _) = token.rsplit_once('.').context("no signature")?;
    stage.goes_on()?;
    Ok(vec![token.clone(), format!("{input}.")])
}

fn text<'v>(value: &'v Value, field: &str) -> &'v str {
    value.get(field).and_then(Value::as_str).unwrap_or_default()
}

fn reason(gateway: &Gateway, event: &str) -> Option<String> {
    let reply = gateway.ask("GET", &format!("/v1/events/{event}"), None).ok()?.json();
    reply.get("reason").and_then(Value::as_str).map(str::to_owned)
}
