//! Tests of the walk: small rule sets on small exchanges.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests assert")]

use std::sync::Arc;

use super::*;
use crate::{files::MemoryFiles, lang::Loader, variables::MemoryCollections};

/// The same rules to be walked both ways.
struct Both {
    plain: Arc<Program>,
    fast: Arc<Program>,
}

fn rules(text: &str) -> Both {
    let files = MemoryFiles::default();
    let mut loader = Loader::new(&files);
    loader.text("test.conf", text);
    let rules = loader.finish().unwrap_or_else(|errors| panic!("{errors}")).rules;
    Both { plain: Program::plain(rules.clone()), fast: Program::new(rules) }
}

fn context() -> Context {
    Context { unique_id: "u1".into(), now: 1_700_000_000_000, collections: None }
}

struct Request<'a> {
    target: &'a str,
    headers: &'a [(&'a str, &'a str)],
    body: &'a str,
}

fn run(rules: &Both, request: &Request<'_>) -> Inspection {
    run_in(rules, request, context)
}

/// Runs the request both ways, which have to tell the same.
fn run_in(rules: &Both, request: &Request<'_>, context: impl Fn() -> Context) -> Inspection {
    let plain = run_one(&rules.plain, request, context());
    let fast = run_one(&rules.fast, request, context());
    assert_eq!(format!("{:?}", plain.findings()), format!("{:?}", fast.findings()));
    assert_eq!(plain.interruption(), fast.interruption());
    assert!(plain.tx().iter().eq(fast.tx().iter()));
    fast
}

fn run_one(program: &Arc<Program>, request: &Request<'_>, context: Context) -> Inspection {
    let mut worker = Worker::new();
    let mut inspection = Inspection::new(program.clone(), context);
    let headers: Vec<_> = request.headers.iter().map(|(n, v)| (n.as_bytes(), v.as_bytes())).collect();
    let head = RequestHead {
        method: if request.body.is_empty() { b"GET" } else { b"POST" },
        target: request.target.as_bytes(),
        version: b"HTTP/1.1",
        headers: &headers,
        client: "192.0.2.1:1234".parse().unwrap(),
        server: "192.0.2.9:443".parse().unwrap(),
        proved: &[],
    };
    if inspection.request_head(&head, &mut worker).is_none()
        && inspection.request_body(request.body.as_bytes(), false, &mut worker).is_none()
    {
        let headers = [(&b"Content-Type"[..], &b"text/plain"[..])];
        let _ = inspection.response_head(200, b"HTTP/1.1", &headers, &mut worker).is_none()
            && inspection.response_body(b"hello secret", false, &mut worker).is_none();
    }
    inspection.finish(&mut worker);
    inspection
}

fn get(target: &str) -> Request<'_> {
    Request { target, headers: &[("Host", "a.example")], body: "" }
}

fn ids(inspection: &Inspection) -> Vec<u64> {
    inspection.findings().iter().map(|finding| finding.rule).collect()
}

#[test]
fn a_match_denies_and_tells_what_matched() {
    let rules = rules(
        "SecRule ARGS \"@rx (?i)sel(ect)\" \"id:1,phase:1,deny,status:406,t:urlDecodeUni,capture,\
        msg:'found %{TX.1} in %{MATCHED_VAR_NAME}',logdata:'%{MATCHED_VAR}',severity:CRITICAL,tag:'a/%{REQUEST_METHOD}'\"\n\
        SecAction \"id:2,phase:2,pass,log\"\nSecAction \"id:3,phase:5,pass,log\"",
    );
    let inspection = run(&rules, &get("/x?q=a%20SeLeCt&z=1"));
    let interruption = inspection.interruption().unwrap();
    assert_eq!((interruption.rule, interruption.status, &interruption.stop), (1, 406, &Stop::Deny));
    assert_eq!(ids(&inspection), [1, 3], "a stopped exchange is only logged");
    let finding = &inspection.findings()[0];
    assert_eq!(finding.msg, b"found eCt in ARGS:q");
    assert_eq!(finding.logdata, b"a SeLeCt");
    assert_eq!(finding.tags, ["a/GET"]);
    assert_eq!(finding.matches[0].span, Some((2, 8)));
    assert_eq!(finding.place.to_string(), "test.conf:1");
}

#[test]
fn every_value_has_its_effects_and_scores_add_up() {
    let rules = rules(
        "SecRule ARGS|ARGS_NAMES \"@rx ^x\" \"id:1,phase:1,pass,setvar:tx.Anomaly_Score=+5,\
        setvar:'tx.seen_%{MATCHED_VAR_NAME}=1',setvar:tx.low=-2\"\n\
        SecRule TX:ANOMALY_SCORE \"@ge 15\" \"id:2,phase:1,deny\"\n\
        SecRule &TX:/^seen_/ \"@eq 3\" \"id:3,phase:5,pass\"\n\
        SecRule TX:low \"@eq -6\" \"id:4,phase:5,pass\"",
    );
    let inspection = run(&rules, &get("/?a=x1&xb=x2"));
    assert_eq!(ids(&inspection), [1, 2, 3, 4]);
    assert_eq!(inspection.findings()[0].score, 15);
    assert_eq!(inspection.tx().get(b"seen_args_names:xb"), Some(&b"1"[..]));
}

#[test]
fn chains_hold_whole_and_see_what_matched_before() {
    let rules = rules(
        "SecRule ARGS:a \"@rx ^(.)\" \"id:1,phase:1,deny,capture,chain,setvar:tx.head=1\"\n\
         SecRule MATCHED_VARS \"@streq %{ARGS.b}\" \"chain\"\n\
         SecRule TX:1 \"!@streq z\" \"t:none\"",
    );
    assert_eq!(ids(&run(&rules, &get("/?a=xy&b=xy"))), [1]);
    let inspection = run(&rules, &get("/?a=xy&b=xz"));
    assert!(ids(&inspection).is_empty());
    assert_eq!(
        inspection.tx().get(b"head"),
        Some(&b"1"[..]),
        "effects of the head do not wait for the chain"
    );
    assert!(ids(&run(&rules, &get("/?a=zy&b=zy"))).is_empty());
    assert!(ids(&run(&rules, &get("/"))).is_empty(), "what does not exist does not match, negated or not");
}

#[test]
fn targets_are_counted_and_left_out() {
    let rules = rules(
        "SecRule ARGS|!ARGS:pwd|!ARGS:/^tok/ \"@contains x\" \"id:1,phase:1,pass\"\n\
         SecRule &ARGS \"@eq 3\" \"id:2,phase:1,pass\"\n\
         SecRule &REQUEST_HEADERS:Host \"@eq 0\" \"id:3,phase:1,pass\"\n\
         SecRule &REQUEST_HEADERS:None \"@eq 0\" \"id:4,phase:1,pass\"\n\
         SecRule ARGS:/^PW/ \"@streq x\" \"id:5,phase:1,pass\"",
    );
    assert_eq!(ids(&run(&rules, &get("/?PWD=x&token=x&a=b"))), [2, 4, 5]);
    assert_eq!(ids(&run(&rules, &get("/?id=x"))), [1, 4]);
}

#[test]
fn jumps_and_allow_skip_what_follows() {
    let rules = rules(
        "SecRule ARGS:jump \"@eq 1\" \"id:1,phase:1,pass,nolog,skipAfter:END\"\n\
         SecRule ARGS:jump \"@eq 2\" \"id:2,phase:1,pass,nolog,skip:1\"\n\
         SecAction \"id:3,phase:1,pass,log\"\nSecAction \"id:4,phase:1,pass,log\"\nSecMarker END\n\
         SecRule ARGS:allow \"@streq all\" \"id:5,phase:1,allow,nolog\"\n\
         SecRule ARGS:allow \"@streq phase\" \"id:6,phase:1,allow:phase,nolog\"\n\
         SecRule ARGS:allow \"@streq request\" \"id:7,phase:1,allow:request,nolog\"\n\
         SecAction \"id:8,phase:1,pass\"\nSecAction \"id:9,phase:2,pass\"\nSecAction \"id:10,phase:4,pass\"\n\
         SecAction \"id:11,phase:5,pass\"",
    );
    assert_eq!(ids(&run(&rules, &get("/?jump=1"))), [8, 9, 10, 11]);
    assert_eq!(ids(&run(&rules, &get("/?jump=2"))), [4, 8, 9, 10, 11]);
    assert_eq!(ids(&run(&rules, &get("/?jump=1&allow=all"))), [11]);
    assert_eq!(ids(&run(&rules, &get("/?jump=1&allow=phase"))), [9, 10, 11]);
    assert_eq!(ids(&run(&rules, &get("/?jump=1&allow=request"))), [10, 11]);
}

#[test]
fn detection_only_stops_nothing_and_says_what_it_would() {
    let rules = rules(
        "SecRuleEngine DetectionOnly\n\
         SecRule ARGS a \"id:1,phase:1,deny,status:418\"\nSecRule ARGS a \"id:2,phase:2,drop\"",
    );
    let inspection = run(&rules, &get("/?x=a"));
    assert_eq!(ids(&inspection), [1, 2]);
    assert!(inspection.interruption().is_none());
    assert_eq!(inspection.would_interrupt().map(|it| (it.rule, it.status)), Some((1, 418)));
}

#[test]
fn controls_change_the_rest_of_the_inspection() {
    let rules = rules(
        "SecRule ARGS:c \"@streq off\" \"id:1,phase:1,pass,nolog,ctl:ruleEngine=Off\"\n\
         SecRule ARGS:c \"@streq id\" \"id:2,phase:1,pass,nolog,ctl:ruleRemoveById=10-11\"\n\
         SecRule ARGS:c \"@streq tag\" \"id:3,phase:1,pass,nolog,ctl:ruleRemoveByTag=t\"\n\
         SecRule ARGS:c \"@streq target\" \"id:4,phase:1,pass,nolog,ctl:ruleRemoveTargetByTag=t;ARGS:c\"\n\
         SecRule ARGS \"@rx .\" \"id:10,phase:2,pass\"\n\
         SecRule ARGS \"@rx .\" \"id:11,phase:2,pass,tag:t\"",
    );
    assert_eq!(ids(&run(&rules, &get("/?c=x"))), [10, 11]);
    assert!(ids(&run(&rules, &get("/?c=off"))).is_empty());
    assert!(ids(&run(&rules, &get("/?c=id"))).is_empty());
    assert_eq!(ids(&run(&rules, &get("/?c=tag"))), [10]);
    assert_eq!(ids(&run(&rules, &get("/?c=target"))), [10]);
    assert_eq!(ids(&run(&rules, &get("/?c=target&d=1"))), [10, 11]);
}

#[test]
fn multi_match_sees_every_form() {
    let rules = rules(
        "SecRule ARGS \"@streq A%20\" \"id:1,phase:1,pass,t:none,t:urlDecode,t:lowercase,multiMatch\"\n\
         SecRule ARGS \"@streq A \" \"id:2,phase:1,pass,t:none,t:urlDecode,t:lowercase,multiMatch\"\n\
         SecRule ARGS \"@streq A \" \"id:3,phase:1,pass,t:none,t:urlDecode,t:lowercase\"",
    );
    assert_eq!(ids(&run(&rules, &get("/?x=A%2520"))), [1, 2]);
}

#[test]
fn bodies_are_read_by_their_type() {
    let rules = rules(
        "SecRule ARGS_POST:json.items.0.sku \"@streq x\\u0041\" \"id:1,pass\"\n\
         SecRule ARGS_POST:json.items.0.sku \"@streq xA\" \"id:2,pass\"\n\
         SecRule ARGS:json.items.array_0.sku \"@streq xA\" \"id:3,pass\"\n\
         SecRule REQBODY_ERROR \"@eq 1\" \"id:4,pass\"\n\
         SecRule REQBODY_PROCESSOR \"@streq JSON\" \"id:5,phase:1,pass\"\n\
         SecRule ARGS_POST:f \"@streq a b\" \"id:6,pass\"\n\
         SecRule REQUEST_BODY \"@streq f=a+b\" \"id:7,pass\"\n\
         SecRule FILES:up \"@endsWith .php\" \"id:8,pass\"\n\
         SecRule MULTIPART_PART_HEADERS:up \"@streq Content-Type: text/x\" \"id:9,pass\"\n\
         SecRule FILES_COMBINED_SIZE \"@eq 4\" \"id:10,pass\"",
    );
    let post = |kind: &'static str, body: &'static str| {
        let headers: &'static [(&str, &str)] = Box::leak(Box::new([("Content-Type", kind)]));
        Request { target: "/", headers, body }
    };
    let json = post("application/json", r#"{"items":[{"sku":"x\u0041"}]}"#);
    assert_eq!(ids(&run(&rules, &json)), [5, 2, 3]);
    assert_eq!(ids(&run(&rules, &post("application/json", "{"))), [5, 4]);
    assert_eq!(ids(&run(&rules, &post("application/x-www-form-urlencoded", "f=a+b"))), [6, 7]);
    let form = post(
        "multipart/form-data; boundary=b",
        "--b\r\nContent-Disposition: form-data; name=\"up\"; filename=\"a.php\"\r\nContent-Type: text/x\r\n\r\ndata\r\n--b--\r\n",
    );
    assert_eq!(ids(&run(&rules, &form)), [8, 9, 10]);
}

#[test]
fn stored_collections_count_over_requests() {
    let rules = rules(
        "SecAction \"id:1,phase:1,pass,nolog,initcol:ip=%{REMOTE_ADDR},setvar:ip.hits=+1,expirevar:ip.hits=60\"\n\
         SecRule IP:hits \"@ge 3\" \"id:2,phase:1,deny,status:429\"",
    );
    let store = Arc::new(MemoryCollections::new(10, 1 << 20));
    let at = |seconds: u64| Context { now: seconds * 1000, collections: Some(store.clone()), ..context() };
    for (second, stopped) in [(0, false), (1, false), (2, true), (70, false)] {
        let inspection = run_one(&rules.fast, &get("/"), at(second));
        assert_eq!(inspection.interruption().is_some(), stopped, "second {second}");
    }
}

#[test]
fn responses_are_looked_at() {
    let rules = rules(
        "SecRule RESPONSE_STATUS \"@eq 200\" \"id:1,phase:3,pass\"\n\
         SecRule RESPONSE_BODY \"@contains secret\" \"id:2,phase:4,deny,status:502\"\n\
         SecRule RESPONSE_HEADERS:content-type \"@beginsWith text\" \"id:3,phase:3,pass\"",
    );
    let inspection = run(&rules, &get("/"));
    assert_eq!(ids(&inspection), [1, 3, 2]);
    assert_eq!(inspection.interruption().map(|it| it.status), Some(502));
}

#[test]
fn redirects_expand_their_address() {
    let rules = rules("SecRule ARGS a \"id:1,phase:1,redirect:'https://b.example/?u=%{UNIQUE_ID}'\"");
    let inspection = run(&rules, &get("/?x=a"));
    let interruption = inspection.interruption().unwrap();
    assert_eq!(interruption.status, 302);
    assert_eq!(interruption.stop, Stop::Redirect(b"https://b.example/?u=u1".to_vec()));
}

/// What was cut short for want of work says so, and nothing that it did not find is remembered as not there.
#[test]
fn a_budget_of_work_ends_the_walk_and_leaves_nothing_behind() {
    let rules = rules(
        r#"SecRule ARGS "@rx (?i)union\s+select" "id:1,phase:2,deny,t:none,t:urlDecodeUni,t:htmlEntityDecode"
           SecRule ARGS "@pm sleep( benchmark(" "id:2,phase:2,deny,t:none,t:lowercase"
           SecRule ARGS "@rx ^[a-z]+$" "id:3,phase:2,pass,nolog""#,
    );
    let attack = b"/?q=1%2520UNION&r=x&s=%26%2349;%2520UNION%2520SELECT";
    let head = RequestHead {
        method: b"GET",
        target: attack,
        version: b"HTTP/1.1",
        headers: &[],
        client: "192.0.2.1:1234".parse().unwrap(),
        server: "192.0.2.9:443".parse().unwrap(),
        proved: &[],
    };
    for program in [&rules.plain, &rules.fast] {
        let mut worker = Worker::new();
        let mut inspect = |most: Option<u64>| {
            let mut inspection = Inspection::new(program.clone(), context());
            if let Some(most) = most {
                inspection.limit_work(most);
            }
            inspection.request_head(&head, &mut worker);
            inspection.request_body(b"", false, &mut worker);
            inspection.finish(&mut worker);
            (inspection.work(), inspection.interruption().is_some())
        };
        let (needed, _) = inspect(None);
        assert!(!needed.is_over() && needed.done() > 100, "{needed:?}");
        let mut cut = 0;
        for most in 0..needed.done() {
            let (work, stopped) = inspect(Some(most));
            // Either it came to its verdict, or it says that it did not.
            assert!(stopped || work.is_over(), "{most}: {work:?}");
            cut += usize::from(work.is_over());
            assert!(inspect(None).1, "{most}");
        }
        assert!(cut > 0);
    }
}

fn xml(rules: &Both, body: &str) -> Vec<u64> {
    let headers = &[("Host", "a.example"), ("Content-Type", "text/xml")];
    ids(&run(rules, &Request { target: "/", headers, body }))
}

#[test]
fn text_of_xml_is_one_whatever_stands_in_it() {
    let rules = rules(
        "SecRule XML:/* \"@rx ^1 union select 2$\" \"id:1,phase:2,pass\"\n\
         SecRule XML:/a/b \"@streq x y\" \"id:2,phase:2,pass\"\n\
         SecRule XML:/* \"@streq one\" \"id:3,phase:2,pass\"",
    );
    for body in [
        "<a>1 union select 2</a>",
        "<a>1 un<!-- -->ion select 2</a>",
        "<a>1 un<![CDATA[ion sel]]>ect<?x?> 2</a>",
        "<a>1 un<b/>ion select 2</a>",
        "<a>1 un<b>ion</b> sel<c><d>ect</d> </c>2</a>",
        "<x><a>1 <b>union</b> select 2</a><b>other</b></x>",
    ] {
        assert_eq!(xml(&rules, body), [1], "{body}");
    }
    assert_eq!(xml(&rules, "<a><b>x<!-- --> <!-- -->y</b><c>one</c></a>"), [2, 3]);
    assert_eq!(
        xml(&rules, "<a><b>1 union</b><b> select 2</b></a>"),
        [] as [u64; 0],
        "two texts of two elements"
    );
}

#[test]
fn xml_is_arguments_as_far_as_rules_say() {
    for (setting, expected) in [("Off", vec![1]), ("On", vec![1, 2]), ("OnlyArgs", vec![2])] {
        let rules = rules(&format!(
            "SecParseXmlIntoArgs {setting}\nSecRule XML:/* \"@streq xy\" \"id:1,phase:2,pass\"\n\
             SecRule ARGS:xml.a.b \"@streq xy\" \"id:2,phase:2,pass\""
        ));
        assert_eq!(xml(&rules, "<a><b>x<!-- -->y</b></a>"), expected, "{setting}");
    }
}

fn rules_of_arguments() -> Both {
    rules("SecRule ARGS \"@contains a\" \"id:1,phase:2,pass\"")
}

#[test]
fn a_body_of_two_types_is_read_as_neither() {
    let rules = rules_of_arguments();
    for (second, error) in [("application/json", None), ("text/plain", Some("body.media_types_differ"))] {
        let headers = &[("Content-Type", "application/json"), ("content-type", second)];
        let inspection = run(&rules, &Request { target: "/", headers, body: "{\"a\":1}" });
        assert_eq!(inspection.body_error(), error, "{second}");
    }
}

#[test]
fn bodies_that_nobody_reads_are_named() {
    let rules = rules("SecRule REQUEST_BODY \"@contains a\" \"id:1,phase:2,pass\"");
    let unread = |headers: &[(&str, &str)]| {
        let inspection = run(&rules, &Request { target: "/", headers, body: "{\"a\":1}" });
        assert!(inspection.body_error().is_none());
        inspection.body_unread().map(|why| why.code())
    };
    assert_eq!(unread(&[]), Some("body.media_type_missing"));
    assert_eq!(unread(&[("Content-Type", "")]), Some("body.media_type_missing"));
    assert_eq!(unread(&[("Content-Type", "json")]), Some("body.media_type_malformed"));
    assert_eq!(unread(&[("Content-Type", "application/octet-stream")]), Some("body.unknown_type"));
    assert_eq!(unread(&[("Content-Type", "text/plain")]), None);
    let arguments = rules_of_arguments();
    for (kind, expected) in [("text/plain", Some("body.unknown_type")), ("application/json", None)] {
        let headers = &[("Content-Type", kind)];
        let inspection = run(&arguments, &Request { target: "/", headers, body: "{\"a\":1}" });
        assert_eq!(inspection.body_unread().map(|why| why.code()), expected, "{kind}");
    }
    let headers = &[("Content-Type", "image/png"), ("Content-Encoding", "lzma")];
    let inspection = run(&rules, &Request { target: "/", headers, body: "a" });
    assert_eq!(inspection.body_error(), Some("decode.unknown_coding"));
}

#[test]
fn a_rule_may_want_the_bytes_alone() {
    let rules = rules(
        "SecAction \"id:1,phase:1,pass,nolog,ctl:requestBodyProcessor=RAW\"\n\
         SecRule REQUEST_BODY \"@contains a\" \"id:2,phase:2,pass\"",
    );
    let headers = &[("Content-Type", "image/png")];
    let inspection = run(&rules, &Request { target: "/", headers, body: "a" });
    assert_eq!((inspection.body_error(), inspection.body_unread(), ids(&inspection)), (None, None, vec![2]));
}

#[test]
fn fields_that_servers_may_decode_again_are_unreadable() {
    let rules = rules("SecRule ARGS:q \"@streq x\" \"id:1,phase:2,pass\"");
    for (header, error) in [
        ("X-A: 1", None),
        ("Content-Type: text/plain; charset=UTF-8", None),
        ("Content-Type: text/plain; charset=iso-8859-1", None),
        ("Content-Type: text/plain; charset=utf-16le", Some("part_charset")),
        ("Content-Type: text/plain; charset=utf-7", Some("part_charset")),
        ("Content-Transfer-Encoding: 8bit", None),
        ("Content-Transfer-Encoding: BASE64", Some("transfer_encoding")),
        ("Content-Transfer-Encoding: quoted-printable", Some("transfer_encoding")),
    ] {
        let body =
            format!("--b\r\nContent-Disposition: form-data; name=\"q\"\r\n{header}\r\n\r\nx\r\n--b--\r\n");
        let headers = &[("Content-Type", "multipart/form-data; boundary=b")];
        let inspection = run(&rules, &Request { target: "/", headers, body: &body });
        let told = inspection
            .body_error()
            .map(|told| told.trim_start_matches("Multipart parsing error: multipart."));
        assert_eq!((told, ids(&inspection)), (error, vec![1]), "{header}");
    }
}
