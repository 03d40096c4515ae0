//! Whole exchanges under both ways of walking rules.

use std::{
    cell::RefCell,
    fs,
    path::{Path, PathBuf},
    sync::{Arc, LazyLock},
};

use bartizan_waf::{
    engine::{Context, Inspection, Program, RequestHead, Worker},
    files::{Files, matches},
    lang::{Loader, RuleSet},
};

/// Rules of every kind, for where there is no Core Rule Set: phases, chains, jumps, counters, captures, exclusions.
const RULES: &str = r#"
SecRuleEngine DetectionOnly
SecAction "id:1,phase:1,nolog,pass,setvar:tx.level=1,setvar:tx.score=0"
SecRule TX:level "@lt 2" "id:2,phase:2,pass,nolog,skipAfter:END"
SecRule ARGS "@rx (?i)select" "id:3,phase:2,pass,log,t:urlDecodeUni"
SecMarker END
SecRule ARGS|ARGS_NAMES|REQUEST_COOKIES|XML:/* "@rx (?i)(union).{0,9}(select)" "id:4,phase:2,pass,log,capture,t:none,t:urlDecodeUni,t:removeComments,t:lowercase,setvar:tx.score=+5,logdata:'%{TX.1}'"
SecRule ARGS|!ARGS:token "@detectSQLi" "id:5,phase:2,pass,log,multiMatch,t:none,t:utf8toUnicode,t:urlDecodeUni,setvar:tx.score=+5"
SecRule REQUEST_HEADERS:User-Agent "@pm curl nikto" "id:6,phase:1,pass,log,t:lowercase,setvar:tx.score=+2"
SecRule &ARGS "@gt 3" "id:7,phase:2,pass,log,chain"
  SecRule ARGS "!@rx ^[a-z0-9]*$" "t:lowercase"
SecRule REQUEST_URI|REQUEST_BODY "@rx \.\./" "id:8,phase:2,pass,log,t:none,t:normalizePathWin,t:cmdLine"
SecRule FILES|MULTIPART_PART_HEADERS "@rx \.php" "id:9,phase:2,pass,log,t:htmlEntityDecode,t:jsDecode,t:cssDecode"
SecRule TX:score "@ge 5" "id:10,phase:2,deny,status:403,log"
"#;

/// The Core Rule Set of a folder.
struct Folder(PathBuf);

impl Files for Folder {
    fn read(&self, path: &str) -> Result<Arc<[u8]>, String> {
        fs::read(self.0.join(path)).map(Into::into).map_err(|error| error.to_string())
    }

    fn glob(&self, pattern: &str) -> Result<Vec<String>, String> {
        let folder = Path::new(pattern).parent().unwrap();
        let mut found: Vec<String> = fs::read_dir(self.0.join(folder))
            .map_err(|error| error.to_string())?
            .map(|entry| folder.join(entry.unwrap().file_name()).to_string_lossy().into_owned())
            .filter(|name| matches(pattern.as_bytes(), name.as_bytes()))
            .collect();
        found.sort();
        Ok(found)
    }
}

thread_local! {
    /// What the two ways keep from exchange to exchange.
    static WORKERS: RefCell<(Worker, Worker)> = RefCell::default();
}

/// Both rule sets: plain and fast.
static PROGRAMS: LazyLock<[(Arc<Program>, Arc<Program>); 2]> =
    LazyLock::new(|| rules().map(|rules| (Program::plain(rules.clone()), Program::new(rules))));

/// The Core Rule Set, or a few rules where there is none, and rules of every kind.
pub fn rules() -> [RuleSet; 2] {
    let suites = std::env::var_os("BARTIZAN_SUITES")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/suites"), PathBuf::from);
    let folder = Folder(suites.join("crs"));
    let mut loader = Loader::new(&folder);
    if folder.0.join("rules").is_dir() {
        loader
            .include("crs-setup.conf.example")
            .text("setup", bartizan_ftw::CRS_SETUP)
            .include("rules/*.conf");
    } else {
        println!("SKIPPED: no Core Rule Set at {}; a few rules stand for it", folder.0.display());
        loader.text("own.conf", RULES);
    }
    let rules = loader.finish().unwrap_or_else(|problems| panic!("{problems}")).rules;
    [rules, own()]
}

/// Fails where the two ways tell different things. An input is a head of lines (method and target, then fields), an empty
/// line, and a body.
pub fn target(bytes: &[u8]) {
    for (plain, fast) in &*PROGRAMS {
        WORKERS.with_borrow_mut(|(slow_worker, fast_worker)| {
            let one = tell(&inspect(plain, slow_worker, bytes));
            let other = tell(&inspect(fast, fast_worker, bytes));
            assert_eq!(one, other, "{}", bytes.escape_ascii());
        });
    }
}

fn own() -> RuleSet {
    let files = bartizan_waf::files::MemoryFiles::default();
    let mut loader = Loader::new(&files);
    loader.text("own.conf", RULES);
    loader.finish().unwrap_or_else(|problems| panic!("{problems}")).rules
}

/// Exchanges with an attack each.
pub fn seeds() -> Vec<Vec<u8>> {
    [
        "GET /shop/a.php?q=1'+UNION/**/SELECT+2--&token=%3Cscript%3E\nHost: shop.example\nUser-Agent: Nikto\nCookie: a=1; b=%27\n\n",
        "POST /login\nHost: shop.example\nContent-Type: application/x-www-form-urlencoded\n\nuser=admin'--&pass=../../etc/passwd&x=;cat%20/etc/passwd",
        "POST /api\nHost: shop.example\nContent-Type: application/json\n\n{\"a\":{\"b\":[\"<svg onload=alert(1)>\",\"\\u0027 or 1=1\"]},\"c\":\"${jndi:ldap://x}\"}",
        "PUT /x\nHost: shop.example\nContent-Type: text/xml\n\n<a b=\"javascript:alert(1)\"><c>1 union select 2</c></a>",
        "POST /up\nHost: shop.example\nContent-Type: multipart/form-data; boundary=x\n\n--x\r\nContent-Disposition: form-data; name=\"f\"; filename=\"a.php\"\r\n\r\n<?php system($_GET[1]);\r\n--x\r\nContent-Disposition: form-data; name=\"g\"\r\n\r\n1 or 1=1\r\n--x--\r\n",
        "GET /a/..%2f..%2fwindows/win.ini?a[]=1&a[]=2&a.b=%u0041%00\nHost: 127.0.0.1\nReferer: http://evil.example/\nRange: bytes=0-,1-\n\n",
    ]
    .map(|seed| seed.as_bytes().to_vec())
    .into()
}

/// Walks rules that nobody has seen before, both ways, over one request.
pub fn walk(rules: RuleSet) {
    let (plain, fast) = (Program::plain(rules.clone()), Program::new(rules));
    let request = b"POST /a?b=1' union select 2\nHost: a\nContent-Type: application/x-www-form-urlencoded\n\na=1&x=union+select";
    let one = tell(&inspect(&plain, &mut Worker::new(), request));
    let other = tell(&inspect(&fast, &mut Worker::new(), request));
    assert_eq!(one, other);
}

fn inspect(program: &Arc<Program>, worker: &mut Worker, bytes: &[u8]) -> Inspection {
    let context = Context { unique_id: "test".into(), now: 0, collections: None };
    let mut inspection = Inspection::new(Arc::clone(program), context);
    let end = bytes.windows(2).position(|two| two == b"\n\n").unwrap_or(bytes.len());
    let (head, body) = (&bytes[..end], bytes.get(end + 2..).unwrap_or_default());
    let mut lines = head.split(|byte| *byte == b'\n');
    let first = lines.next().unwrap_or_default();
    let blank = first.iter().position(|byte| *byte == b' ').unwrap_or(first.len());
    let headers: Vec<(&[u8], &[u8])> = lines
        .filter_map(|line| {
            let colon = line.iter().position(|byte| *byte == b':')?;
            Some((&line[..colon], line[colon + 1..].trim_ascii()))
        })
        .collect();
    let address = "192.0.2.1:80".parse().unwrap();
    let head = RequestHead {
        method: &first[..blank],
        target: first.get(blank + 1..).unwrap_or_default(),
        version: b"HTTP/1.1",
        headers: &headers,
        client: address,
        server: address,
        proved: &[],
    };
    inspection.request_head(&head, worker);
    inspection.request_body(body, false, worker);
    inspection.response_head(200, b"HTTP/1.1", &[(b"Content-Type", b"text/html")], worker);
    inspection.response_body(body, false, worker);
    inspection.finish(worker);
    inspection
}

pub fn tell(inspection: &Inspection) -> String {
    let variables: Vec<_> = inspection.tx().iter().map(|(n, v)| (n.to_vec(), v.to_vec())).collect();
    format!(
        "{:#?} {:?} {:?} {variables:?}",
        inspection.findings(),
        inspection.interruption(),
        inspection.would_interrupt()
    )
}
