//! T-02: SQL in bodies of every type and coding, before a service that hands it to a database. Rules alone refuse it, the
//! contract alone does, and where both stand in its way, both are named.

mod bodies;
mod service;

use std::{fs, net::SocketAddr, time::Instant};

use anyhow::{Result, ensure};
use bartizan_bank::credentials;
use bartizan_testkit::{Gateway, gateway::run_to_end};

use crate::{
    Bounds, Criterion, Figures, Rule, Scenario, Stage,
    bank::{Bank, Customer},
    client::ask_plain,
};
use bodies::{FORMS, Form};
use service::Service;

/// The scenario.
pub static SCENARIO: Scenario = Scenario {
    actors: "a customer of the vulnerable bank who searches, and one who writes SQL where words belong",
    traffic: "each text in JSON, forms, multipart and XML bodies, with every character escaped, nested, and in gzip, to a \
              search service that hands it to the bank: behind rules alone, behind a contract alone that says of which \
              characters a question is, and behind both",
    truth: "the bank runs the statement: an answer that names another customer has leaked; the service counts what reached it",
    bounds: Bounds { requests: 2_000, seconds: 300 },
    proofs: &[Criterion {
        key: "leaked_without",
        text: "searches that named other customers",
        rule: Rule::AtLeast(30.0),
    }],
    criteria: &[
        Criterion { key: "forms", text: "ways to write a body", rule: Rule::AtLeast(12.0) },
        Criterion { key: "reached", text: "attacks that reached the service", rule: Rule::Exactly(0.0) },
        Criterion { key: "blocked_percent", text: "attacks blocked, in percent", rule: Rule::Exactly(100.0) },
        Criterion { key: "leaked", text: "attacks that read something", rule: Rule::Exactly(0.0) },
        Criterion {
            key: "explained",
            text: "ways whose refusal by rules `why` explains by rule, line and parameter",
            rule: Rule::AtLeast(12.0),
        },
        Criterion {
            key: "explained_contract",
            text: "ways whose refusal by the contract `why` explains by place and expectation",
            rule: Rule::AtLeast(12.0),
        },
        Criterion {
            key: "explained_both",
            text: "ways refused where both stand, of which `why` names the contract and the rule",
            rule: Rule::AtLeast(12.0),
        },
        Criterion { key: "legitimate_requests", text: "searches of people", rule: Rule::AtLeast(120.0) },
        Criterion {
            key: "legitimate_percent",
            text: "of those, answered as they should be, in percent",
            rule: Rule::Exactly(100.0),
        },
    ],
    without,
    with,
};

/// What the attacker writes: each reads other customers' names.
const SQL: [&str; 6] = [
    "x%' UNION SELECT id, username, phone FROM customers --",
    "x%' UNION ALL SELECT id, phone, username FROM customers --",
    "x%'/**/UNION/**/SELECT/**/id,username,phone/**/FROM/**/customers--",
    "x%' uNiOn sElEcT id, username, phone fRoM customers --",
    "x%'\nUNION\nSELECT id, username, phone\nFROM customers --",
    "x%' AND 1=0 UNION SELECT 1, group_concat(username), 3 FROM customers --",
];

/// What people write.
const WORDS: [&str; 6] = [
    "rent",
    "O'Brien's birthday",
    "union dues 2024",
    "Select committee dues from March",
    "C&A and H&M",
    "50% of dinner - table 4",
];

/// What the firewall looks for.
const RULES: &str = r#"SecRule ARGS|XML:/* "@detectSQLi" \
    "id:1,phase:2,deny,status:403,log,t:none,t:urlDecodeUni,severity:CRITICAL,msg:'SQL in a body'"
SecRule ARGS|XML:/* "@rx (?i)\bunion\b[\s(]+(?:all[\s(]+)?select\b" \
    "id:2,phase:2,deny,status:403,log,t:none,t:urlDecodeUni,t:replaceComments,t:compressWhitespace,severity:CRITICAL,\
    msg:'SQL in a body'"
"#;

/// The customers of the attack: who searches, and whose name must not be told.
const SEARCHER: i64 = 5;
const OTHER: i64 = 6;

/// The attack where the service stands open.
fn without(stage: &Stage) -> Result<Figures> {
    let bank = Bank::start_vulnerable(stage)?;
    let service = Service::start(bank.address)?;
    let customer = bank.sign_in(stage, SEARCHER)?;
    let mut figures = Figures::default();
    for form in &FORMS {
        for sql in texts(stage) {
            let reply = ask_plain(stage, service.address(), &form.request(&customer.token, sql))?;
            let leaked = tells(stage, &reply.text());
            figures.attack(!leaked);
            figures.leaked += u64::from(leaked);
        }
    }
    figures.count("leaked_without", figures.leaked);
    stage.keep_log("bank", bank.process())?;
    Ok(figures)
}

/// Of which characters a question is: what people write, and nothing that a statement cannot do without.
const CONTRACT: &str = r##"{ "openapi": "3.1.0", "info": { "title": "Search", "version": "1" }, "paths": { "/search": { "post": {
    "requestBody": { "required": true, "content": {
        "application/json": { "schema": { "$ref": "#/components/schemas/Search" } },
        "application/vnd.bank.search+json": { "schema": { "$ref": "#/components/schemas/Search" } },
        "application/x-www-form-urlencoded": { "schema": { "$ref": "#/components/schemas/Search" } },
        "multipart/form-data": { "schema": { "$ref": "#/components/schemas/Search" } },
        "application/xml": { "schema": { "$ref": "#/components/schemas/Search" } },
        "text/xml": { "schema": { "$ref": "#/components/schemas/Search" } },
        "application/soap+xml": { "schema": { "$ref": "#/components/schemas/Search" } } } },
    "responses": { "200": { "description": "What was found" } } } } },
    "components": { "schemas": {
        "Search": { "type": "object", "additionalProperties": false, "xml": { "name": "search" }, "properties": {
            "page": { "type": "integer", "minimum": 1 }, "q": { "$ref": "#/components/schemas/Question" },
            "filter": { "type": "array", "maxItems": 4, "items": { "type": "object", "additionalProperties": false,
                "properties": { "on": { "enum": ["text"] }, "q": { "$ref": "#/components/schemas/Question" } } } } } },
        "Question": { "type": "string", "minLength": 1, "maxLength": 60, "pattern": "^[A-Za-z0-9 '&%.-]*$" } } } }"##;

/// What stands before the service.
#[derive(Clone, Copy, PartialEq)]
enum Half {
    Rules,
    Contract,
    Both,
}

impl Half {
    const ALL: [Half; 3] = [Half::Rules, Half::Contract, Half::Both];

    fn name(self) -> &'static str {
        match self {
            Half::Rules => "rules",
            Half::Contract => "contract",
            Half::Both => "both",
        }
    }

    /// What of the API's block says so.
    fn policy(self) -> &'static str {
        match self {
            Half::Rules => "unknown_operations: allow\n    guards: { waf: { rules: [\"file:sql.conf\"] } }",
            Half::Contract => "contract: file:search.json",
            Half::Both => "contract: file:search.json\n    guards: { waf: { rules: [\"file:sql.conf\"] } }",
        }
    }

    /// With which status it refuses.
    fn status(self) -> u16 {
        if self == Half::Rules { 403 } else { 400 }
    }

    /// How many refusals `why` explains is counted as this.
    fn key(self) -> &'static str {
        match self {
            Half::Rules => "explained",
            Half::Contract => "explained_contract",
            Half::Both => "explained_both",
        }
    }

    /// Whether `why` names who refused, and where.
    fn is_told(self, said: &str) -> bool {
        let has = |parts: &[&str]| parts.iter().all(|part| said.contains(part));
        let rules = has(&["sql.conf:", "rule "]) && (said.contains("ARGS") || said.contains("XML"));
        let contract = has(&["contract.body", "pattern", "search.json"]);
        match self {
            Half::Rules => rules && has(&["waf.attack"]),
            Half::Contract => contract,
            Half::Both => rules && contract && has(&["waf.attack"]),
        }
    }
}

/// The same where the gateway does.
fn with(stage: &Stage) -> Result<Figures> {
    let bank = Bank::start_vulnerable(stage)?;
    let service = Service::start(bank.address)?;
    let customer = bank.sign_in(stage, SEARCHER)?;
    let mut figures = Figures::default();
    for half in Half::ALL {
        let text = format!(
            "listeners: [{{ address: $LISTEN }}]\nadmin: {{ address: $ADMIN }}\nstorage: sqlite:$DIR/var/bartizan.db\n\
             apis:\n  - name: search\n    upstream: http://{}\n    {}\n",
            service.address(),
            half.policy()
        );
        let gateway = Gateway::with_config(&stage.binary(), &text, |folder| {
            fs::write(folder.join("search.json"), CONTRACT)?;
            Ok(fs::write(folder.join("sql.conf"), RULES)?)
        })?;
        attack(stage, half, &gateway, (&service, &customer), &mut figures)?;
        stage.keep_gateway(half.name(), &gateway)?;
    }
    figures.count("forms", FORMS.len() as u64);
    stage.keep_log("bank", bank.process())?;
    Ok(figures)
}

/// Every text in every form, and what people search for between them.
fn attack(
    stage: &Stage,
    half: Half,
    gateway: &Gateway,
    (service, customer): (&Service, &Customer),
    figures: &mut Figures,
) -> Result<()> {
    let begun = Instant::now();
    let mut events = Vec::new();
    for form in &FORMS {
        let before = service.asked();
        for (index, sql) in texts(stage).iter().enumerate() {
            let reply = ask_plain(stage, gateway.address, &form.request(&customer.token, sql))?;
            let refused = reply.status == half.status();
            let leaked = tells(stage, &reply.text());
            figures.attack(refused && !leaked);
            figures.leaked += u64::from(leaked);
            if refused {
                figures.first_finding.get_or_insert_with(|| begun.elapsed());
            } else {
                let (half, name) = (half.name(), form.name);
                figures
                    .notes
                    .push(format!("{half}, {name}: text {index} was answered with {}", reply.status));
            }
            if index == 0 {
                events.extend(reply.header("x-bartizan-event").map(|id| (form, id.to_owned())));
            }
        }
        figures.add("reached", service.asked() - before);
        people(stage, gateway.address, form, customer, figures)?;
    }
    explain(stage, half, gateway, &events, figures)
}

fn texts(stage: &Stage) -> &'static [&'static str] {
    if stage.options.short { SQL.get(..3).unwrap_or_default() } else { &SQL }
}

/// Whether an answer names a customer who did not ask.
fn tells(stage: &Stage, text: &str) -> bool {
    text.contains(&credentials(stage.options.seed, OTHER).username)
}

fn people(
    stage: &Stage,
    gateway: SocketAddr,
    form: &Form,
    customer: &Customer,
    figures: &mut Figures,
) -> Result<()> {
    for words in WORDS {
        // The vulnerable bank breaks over a quote itself: what counts is that the gateway lets the words through.
        let reply = ask_plain(stage, gateway, &form.request(&customer.token, words))?;
        let fair = reply.status == 200 || words.contains('\'') && reply.status == 500;
        figures.legitimate.requests += 1;
        figures.legitimate.succeeded += u64::from(fair);
        if !fair {
            figures.legitimate.miss(format!("{}: `{words}` was answered with {}", form.name, reply.status));
        }
    }
    Ok(())
}

/// Asks the gateway why it refused, as an operator does.
fn explain(
    stage: &Stage,
    half: Half,
    gateway: &Gateway,
    events: &[(&Form, String)],
    figures: &mut Figures,
) -> Result<()> {
    // Recent events are stored within a tenth of a second.
    stage.pause(std::time::Duration::from_millis(500))?;
    let state = gateway.state();
    let state = state.to_string_lossy();
    let mut explained = 0;
    for (form, id) in events {
        stage.goes_on()?;
        let (status, said) = run_to_end(
            &stage.binary(),
            gateway.dir.path(),
            &["why", id, "--state", &state, "--output", "json"],
        )?;
        ensure!(status.success(), "`why` ended with {status}: {said}");
        let told = half.is_told(&said);
        explained += u64::from(told);
        if !told {
            figures.notes.push(format!("{}, {}: `why` does not explain the refusal", half.name(), form.name));
        }
    }
    figures.count(half.key(), explained);
    Ok(())
}
