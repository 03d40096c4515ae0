//! Rules: the Core Rule Set through the running gateway, and the commands and flags around it.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    io::{Read as _, Write as _},
    net::TcpListener,
    path::{Path, PathBuf},
    thread,
};

use bartizan_ftw::{Answer, CRS_SETUP};
use bartizan_testkit::{Gateway, RawUpstream, gateway::run_to_end, skipped, suites_dir};
use serde_json::Value;

use crate::support::{BINARY, policy};

/// Requests that the strict reading of HTTP may refuse before any rule sees them.
const MAX_REFUSED: usize = 80;

/// Tests that may fail over sockets, each with its reason.
const EXCEPTIONS: &[(&str, &str)] = &[(
    "920620-1",
    "expects a server that merges two `Content-Type` fields before rules see them; the gateway keeps both",
)];

/// How many exceptions there may be.
const MAX_EXCEPTIONS: usize = 5;

/// One test of so many runs by default; `BARTIZAN_FULL=1` runs them all.
const SAMPLED: usize = 12;

fn crs() -> Option<PathBuf> {
    let folder = suites_dir()?.join("crs");
    folder.join("rules").is_dir().then_some(folder)
}

/// The policy under which the tests of the Core Rule Set run: nothing is refused, responses are looked at.
fn test_policy(crs: &Path, upstream: &str) -> String {
    format!(
        "listeners: [{{ address: $LISTEN }}]\nadmin: {{ address: $ADMIN }}\nstorage: sqlite:$DIR/var/bartizan.db\n\
         apis:\n  - name: shop\n    upstream: {upstream}\n    mode: monitor\n    guards:\n      waf:\n\
         \x20       rules: [\"file:tests.conf\", crs]\n        crs: \"file:{}\"\n        responses: true\n\
         \x20       unreadable: allow\n        over_limit: partial\n        unknown_type: allow\n",
        crs.display()
    )
}

/// What the tests expect, with the methods that the rule set itself allows: an API is asked with more.
fn test_settings() -> String {
    format!(
        "{CRS_SETUP}SecAction \"id:9002,phase:1,pass,nolog,setvar:'tx.allowed_methods=GET HEAD POST OPTIONS'\"\n"
    )
}

#[test]
fn the_core_rule_set_passes_its_tests_over_sockets() {
    let Some(crs) = crs() else { return skipped("the Core Rule Set is absent; set `BARTIZAN_SUITES`") };
    let upstream = reflecting();
    let gateway = Gateway::with_config(BINARY, &test_policy(&crs, &upstream), |dir| {
        fs::write(dir.join("tests.conf"), test_settings())?;
        Ok(())
    })
    .unwrap();
    let full = std::env::var("BARTIZAN_FULL").is_ok_and(|full| full == "1");
    let tests = if full { crs.join("tests") } else { sample(&crs.join("tests"), gateway.dir.path()) };
    let url = format!("http://{}", gateway.address);
    let state = gateway.state();
    let arguments = [
        "rules",
        "test",
        tests.to_str().unwrap(),
        "--url",
        &url,
        "--state",
        state.to_str().unwrap(),
        "--output",
        "json",
    ];
    let output = std::process::Command::new(BINARY).args(arguments).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    let told: Value = serde_json::from_str(&text)
        .unwrap_or_else(|error| panic!("{error}: {text}{}", String::from_utf8_lossy(&output.stderr)));
    let names = |field: &str| -> BTreeMap<String, String> {
        let list = told[field].as_array().unwrap().iter();
        list.map(|one| (one["test"].as_str().unwrap().into(), one["why"].as_str().unwrap().into())).collect()
    };
    let (failed, refused) = (names("failed"), names("refused"));
    println!("{} tests, {} passed, {} refused earlier", told["tests"], told["passed"], refused.len());
    for (test, why) in &refused {
        println!("refused {test}: {why}");
    }
    for (test, why) in &failed {
        println!("FAILED {test}: {why}");
    }
    let known: BTreeSet<&str> = EXCEPTIONS.iter().map(|(test, _)| *test).collect();
    let unexpected: Vec<_> = failed.iter().filter(|(test, _)| !known.contains(test.as_str())).collect();
    assert!(unexpected.is_empty(), "{unexpected:#?}");
    let stale: Vec<_> = known.iter().filter(|test| !failed.contains_key(**test)).collect();
    assert!(!full || stale.is_empty(), "exceptions that pass: {stale:?}");
    assert!(told["tests"].as_u64().unwrap() > 200, "{} tests", told["tests"]);
    assert!(refused.len() <= MAX_REFUSED, "{}", refused.len());
    assert!(EXCEPTIONS.len() <= MAX_EXCEPTIONS);
}

/// Some of the files, linked into a folder.
fn sample(tests: &Path, dir: &Path) -> PathBuf {
    let chosen = dir.join("tests");
    fs::create_dir(&chosen).unwrap();
    let mut files: Vec<PathBuf> = fs::read_dir(tests)
        .unwrap()
        .flat_map(|folder| fs::read_dir(folder.unwrap().path()).unwrap())
        .map(|entry| entry.unwrap().path())
        .collect();
    files.sort();
    for file in files.iter().step_by(SAMPLED) {
        std::os::unix::fs::symlink(fs::canonicalize(file).unwrap(), chosen.join(file.file_name().unwrap()))
            .unwrap();
    }
    chosen
}

/// The backend of the tests: `/reflect` answers as the request's body says.
fn reflecting() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            thread::spawn(move || {
                let mut request = Vec::new();
                let mut buffer = vec![0; 64 << 10];
                let (target, body) = loop {
                    let read = stream.read(&mut buffer).unwrap_or(0);
                    request.extend_from_slice(&buffer[..read]);
                    match whole(&request) {
                        Some(parts) => break parts,
                        None if read == 0 => return,
                        None => {}
                    }
                };
                let mut answer = Answer::to(&target, &body).to_bytes();
                if request.starts_with(b"HEAD ") {
                    let end = answer.windows(4).position(|four| four == b"\r\n\r\n").unwrap() + 4;
                    answer.truncate(end);
                }
                let _ = stream.write_all(&answer);
            });
        }
    });
    format!("http://{address}")
}

/// Target and body of a request that arrived whole.
fn whole(request: &[u8]) -> Option<(Vec<u8>, Vec<u8>)> {
    let end = request.windows(4).position(|four| four == b"\r\n\r\n")? + 4;
    let head = String::from_utf8_lossy(&request[..end]).into_owned();
    let target = head.split(' ').nth(1)?.as_bytes().to_vec();
    let lower = head.to_ascii_lowercase();
    let field = |name: &str| lower.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
    let rest = &request[end..];
    if field("transfer-encoding").is_some() {
        return rest.ends_with(b"0\r\n\r\n").then(|| (target, dechunked(rest)));
    }
    let length: usize = field("content-length").map_or(0, |length| length.trim().parse().unwrap_or(0));
    (rest.len() >= length).then(|| (target, rest[..length].to_vec()))
}

fn dechunked(mut rest: &[u8]) -> Vec<u8> {
    let mut body = Vec::new();
    while let Some(end) = rest.windows(2).position(|two| two == b"\r\n") {
        let size = usize::from_str_radix(&String::from_utf8_lossy(&rest[..end]), 16).unwrap_or(0);
        if size == 0 || rest.len() < end + 4 + size {
            break;
        }
        body.extend_from_slice(&rest[end + 2..end + 2 + size]);
        rest = &rest[end + 4 + size..];
    }
    body
}

#[test]
fn the_first_hour_has_a_rule_set() {
    let Some(crs) = crs() else { return skipped("the Core Rule Set is absent; set `BARTIZAN_SUITES`") };
    let upstream = RawUpstream::echo().unwrap();
    let folder = fs::canonicalize(&crs).unwrap();
    let folder = folder.to_str().unwrap();
    let attack = "/?q=1%27%20OR%20%271%27=%271";
    let host = "User-Agent: Mozilla/5.0";
    let watching = Gateway::before(BINARY, &upstream.url(), &["--crs", folder]).unwrap();
    let said = watching.process.log();
    assert!(said.contains("only watched: waf"), "{said}");
    let rules = said.lines().find(|line| line.contains("rules of waf: OWASP_CRS/4.29.0-dev, ")).expect(&said);
    assert!(rules.contains(&format!(" rules from `{folder}/rules`")), "{said}");
    assert_eq!(watching.get(attack, &[host]).status, 200);
    let enforcing =
        Gateway::before(BINARY, &upstream.url(), &["--crs", folder, "--mode", "enforce"]).unwrap();
    assert_eq!(enforcing.get(attack, &[host]).status, 403);
    assert_eq!(enforcing.get("/?q=hello", &[host]).status, 200);
}

#[test]
fn rule_sets_that_are_not_there_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let arguments = ["run", "--upstream", "http://127.0.0.1:1", "--crs", "no-such-folder"];
    let (status, said) = run_to_end(BINARY, dir.path(), &arguments).unwrap();
    assert_eq!(status.code(), Some(78), "{said}");
    assert!(said.contains("no-such-folder") && said.contains("--crs"), "{said}");
    if Path::new("/usr/share/modsecurity-crs/rules").is_dir() {
        return skipped("Debian's package `modsecurity-crs` is installed: `waf: {}` finds it");
    }
    for block in ["{}", "{ rules: [crs] }"] {
        let text = policy("http://127.0.0.1:1", &format!("    guards: {{ waf: {block} }}\n"));
        let text = text.replace("$LISTEN", "127.0.0.1:0").replace("$ADMIN", "127.0.0.1:0");
        fs::write(dir.path().join("bartizan.yaml"), text).unwrap();
        let (status, said) = run_to_end(BINARY, dir.path(), &["run"]).unwrap();
        assert_eq!(status.code(), Some(78), "{block}: {said}");
        assert!(said.contains("modsecurity-crs"), "{said}");
    }
}

const OWN: &str = "# Our own.\nSecRule ARGS \"@rx ^union\" \\\n    \"id:100,phase:2,deny,status:406,t:none,t:lowercase,\\\n    \
    severity:CRITICAL,tag:'paranoia-level/1',tag:'ours',msg:'SQL'\"\n\nSecRule ARGS:b \"@streq 1\" \"id:101,phase:1,pass,msg:'One'\"\n";

const TESTS: &str = "rule_id: 100\ntests:\n\
    \x20 - { test_id: 1, stages: [{ input: { uri: \"/?a=UNION\", headers: { Host: x } }, output: { log: { expect_ids: [100] } } }] }\n\
    \x20 - { test_id: 2, stages: [{ input: { uri: \"/?a=no\", headers: { Host: x } }, output: { log: { no_expect_ids: [100] } } }] }\n";

#[test]
fn rules_are_listed_shown_and_tested() {
    let upstream = RawUpstream::echo().unwrap();
    let exclusions = "exclusions: [{ rule: 100, parameter: \"ARGS:text\", reason: free text }]";
    let text = policy(
        &upstream.url(),
        &format!("    guards: {{ waf: {{ rules: [\"file:own.conf\"], {exclusions} }} }}\n"),
    );
    let gateway = Gateway::with_config(BINARY, &text, |dir| {
        fs::write(dir.join("own.conf"), OWN)?;
        fs::write(dir.join("own.yaml"), TESTS)?;
        Ok(())
    })
    .unwrap();
    let run = |arguments: &[&str]| {
        let (status, said) = run_to_end(BINARY, gateway.dir.path(), arguments).unwrap();
        (status.code().unwrap(), said)
    };
    let (code, said) = run(&["rules", "list", "--output", "json"]);
    let told: Value = serde_json::from_str(&said).unwrap();
    assert_eq!((code, told["rules"].as_array().unwrap().len()), (0, 2), "{said}");
    let first = told["rules"].as_array().unwrap().iter().find(|rule| rule["id"] == 100).unwrap();
    assert_eq!(
        (&first["paranoia"], &first["line"], &first["severity"]),
        (&1.into(), &2.into(), &"CRITICAL".into())
    );
    let (code, said) = run(&["rules", "list", "--tag", "ours"]);
    assert!(
        code == 0 && said.contains("own.conf:2") && said.contains("1 rule") && !said.contains("101"),
        "{said}"
    );
    assert_eq!(run(&["rules", "list", "--phase", "4"]).0, 1);

    let (code, said) = run(&["rules", "show", "100"]);
    assert_eq!(code, 0, "{said}");
    for part in
        ["refuses with 406", "lowercase", "@rx ^union", "ARGS:text", "free text", "SecRule ARGS", "msg:'SQL'"]
    {
        assert!(said.contains(part), "`{part}` is not in {said}");
    }
    assert_eq!(run(&["rules", "show", "7"]).0, 1);

    let url = format!("http://{}", gateway.address);
    for more in [&["--config", "bartizan.yaml"][..], &["--url", &url, "--state", "var"]] {
        let (code, said) = run(&[&["rules", "test", "own.yaml"], more].concat());
        assert_eq!(code, 0, "{said}");
        assert!(said.contains("100: 2 passed") && said.contains("2 tests: 2 passed"), "{said}");
        fs::write(gateway.dir.path().join("wrong.yaml"), TESTS.replace("a=UNION", "a=none")).unwrap();
        let (code, said) = run(&[&["rules", "test", "wrong.yaml"], more].concat());
        assert_eq!(code, 1, "{said}");
        assert!(
            said.contains("100-1 failed: 100 did not match") && said.contains("1 passed, 1 failed"),
            "{said}"
        );
    }
    assert_eq!(run(&["rules", "test", "own.yaml", "--url", "http://192.0.2.1"]).0, 2);
    let (code, said) = run(&["rules", "update", "--from", "https://rules.example"]);
    assert!(code == 2 && said.contains("rules update"), "{said}");
}

#[test]
fn rules_see_the_fields_that_end_at_the_gateway() {
    let upstream = RawUpstream::echo().unwrap();
    let rules = "SecRule REQUEST_HEADERS:X-HTTP-Method-Override \"@streq DELETE\" \"id:1,phase:1,deny,status:403\"\n\
        SecRule REQUEST_HEADERS:Connection \"@contains ,\" \"id:2,phase:1,deny,status:406\"\n";
    let text = policy(&upstream.url(), "    guards: { waf: { rules: [\"file:own.conf\"] } }\n");
    let gateway =
        Gateway::with_config(BINARY, &text, |dir| Ok(fs::write(dir.join("own.conf"), rules)?)).unwrap();
    assert_eq!(gateway.get("/", &["X-HTTP-Method-Override: DELETE"]).status, 403);
    assert_eq!(gateway.get("/", &["Connection: keep-alive, close"]).status, 406);
    upstream.clear();
    assert_eq!(gateway.get("/", &["X-HTTP-Method-Override: PUT", "Connection: close"]).status, 200);
    let arrived = upstream.requests();
    assert!(arrived[0].header("X-HTTP-Method-Override").is_empty(), "{}", arrived[0].text());
}
