//! Tests of whole configurations: what is read, and what is told where it cannot be.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests assert")]

use super::*;
use crate::files::MemoryFiles;

fn files(content: &[(&str, &str)]) -> MemoryFiles {
    let mut files = MemoryFiles::default();
    for (name, text) in content {
        files.insert(*name, text.as_bytes());
    }
    files
}

fn load(text: &str) -> Result<Loaded, Vec<String>> {
    load_files(&[("a.conf", text)])
}

fn load_files(content: &[(&str, &str)]) -> Result<Loaded, Vec<String>> {
    let files = files(content);
    let mut loader = Loader::new(&files);
    loader.include("a.conf");
    loader.finish().map_err(|found| found.0.iter().map(ToString::to_string).collect())
}

#[test]
fn everything_wrong_is_told_at_once_with_its_place() {
    let errors = load(
        "SecRuleEngin On\n\
         SecRule ARGS \"@rx a\" \"id:1,deny\"\n\
         SecRule ARG \"@rxx a\" \"id:2,\\\n   denyy\"\n\
         SecRule ARGS \"@rx (\" \"id:3\"\n\
         SecRule ARGS \"@rx a\" \"id:1\"\n\
         SecRuleScript a.lua\n\
         SecRule ARGS \"@rx a\" \"deny\"\n\
         SecRule ARGS \"@rx a\" \"id:8,exec:/bin/true\"\n\
         <IfModule x>\n",
    )
    .unwrap_err();
    let expected = [
        ("a.conf:1:", "`SecRuleEngin` is no directive"),
        ("a.conf:3:9", "`ARG` is no variable"),
        ("a.conf:3:14", "`@rxx`"),
        ("a.conf:4:4", "`denyy` is no action"),
        ("a.conf:5:", "`@rx`"),
        ("a.conf:6:", "rule 1 exists already, at a.conf:2"),
        ("a.conf:7:", "refused"),
        ("a.conf:8:", "no number"),
        ("a.conf:9:", "action `exec` is refused"),
        ("a.conf:10:", "section of a web server"),
    ];
    assert_eq!(errors.len(), expected.len(), "{errors:#?}");
    for (error, (place, message)) in errors.iter().zip(expected) {
        assert!(error.starts_with(place) && error.contains(message), "{error}");
        assert!(error.contains("; "), "a remedy: {error}");
    }
}

#[test]
fn files_are_included_beside_the_file_that_names_them() {
    let loaded = load_files(&[
        ("a.conf", "Include rules/*.conf\nIncludeOptional missing.conf\nIncludeOptional none/*.conf"),
        ("rules/1.conf", "SecRule ARGS \"@pmFromFile words.data\" \"id:1,deny\""),
        ("rules/2.conf", "SecAction \"id:2,pass\""),
        ("rules/words.data", "attack\n"),
    ])
    .unwrap();
    assert_eq!(loaded.rules.rules.len(), 2);
    assert_eq!(loaded.rules.rules[0].place.to_string(), "rules/1.conf:1");
    let errors =
        load_files(&[("a.conf", "Include missing.conf\nInclude none/*.conf\nInclude a.conf")]).unwrap_err();
    assert!(errors.iter().any(|error| error.contains("too deep")), "{errors:#?}");
    assert!(errors.iter().any(|error| error.contains("`none/*.conf` names no file")), "{errors:#?}");
}

#[test]
fn defaults_hold_for_their_phase_and_block_means_them() {
    let loaded = load(
        "SecDefaultAction \"phase:1,log,deny,status:429,t:lowercase\"\n\
         SecRule ARGS \"a\" \"id:1,phase:1,block,t:trim\"\n\
         SecRule ARGS \"a\" \"id:2,phase:1,pass,t:none\"\n\
         SecRule ARGS \"a\" \"id:3,block\"\n\
         SecRule ARGS \"a\" \"id:4,deny,nolog\"",
    )
    .unwrap();
    let rules = &loaded.rules.rules;
    assert_eq!((&rules[0].disruption, rules[0].status), (&Disruption::Deny, 429));
    assert_eq!(rules[0].links[0].condition.as_ref().unwrap().transformations.len(), 2);
    assert_eq!(rules[1].disruption, Disruption::Pass);
    assert!(rules[1].links[0].condition.as_ref().unwrap().transformations.is_empty());
    assert_eq!(rules[2].disruption, Disruption::Pass);
    assert_eq!((rules[3].status, rules[3].log), (403, false));
}

#[test]
fn rules_are_removed_and_changed_by_those_behind_them() {
    let loaded = load(
        "SecRule ARGS|REQUEST_URI \"a\" \"id:1,deny,tag:x,msg:'one'\"\n\
         SecRule ARGS \"a\" \"id:2,deny,tag:y,chain\"\n  SecRule REQUEST_HEADERS \"b\"\n\
         SecRule ARGS \"a\" \"id:3,deny,tag:x\"\n\
         SecRule ARGS \"a\" \"id:4,deny,msg:'four'\"\n\
         SecRuleUpdateTargetById 1 \"!ARGS:pwd\"\n\
         SecRuleUpdateTargetById 1 REQUEST_BODY REQUEST_URI\n\
         SecRuleUpdateTargetById 2:1 \"!REQUEST_HEADERS:Cookie\"\n\
         SecRuleUpdateTargetByTag x \"!ARGS:token\"\n\
         SecRuleUpdateActionById 1 \"pass,msg:'new'\"\n\
         SecRuleRemoveByMsg four\nSecRuleRemoveById 3 90-99\nSecRuleRemoveByTag nothing",
    )
    .unwrap();
    let rules = &loaded.rules.rules;
    assert_eq!(rules.iter().map(|rule| rule.id).collect::<Vec<_>>(), [1, 2]);
    let targets =
        |rule: usize, link: usize| rules[rule].links[link].condition.as_ref().unwrap().targets.to_string();
    assert_eq!(targets(0, 0), "ARGS|REQUEST_BODY|!ARGS:pwd|!ARGS:token");
    assert_eq!(targets(1, 1), "REQUEST_HEADERS|!REQUEST_HEADERS:cookie");
    assert_eq!(rules[0].disruption, Disruption::Pass);
    assert_eq!(rules[0].msg.as_ref().unwrap().source(), "new");
    assert_eq!(loaded.warnings.0.len(), 1, "{}", loaded.warnings);
}

#[test]
fn jumps_become_stations() {
    let loaded = load(
        "SecAction \"id:1,phase:1,pass,skipAfter:END\"\n\
         SecAction \"id:2,phase:2,pass\"\n\
         SecAction \"id:3,phase:1,pass,skip:1\"\n\
         SecMarker END\n\
         SecAction \"id:4,phase:1,pass,skipAfter:NOWHERE\"\n\
         SecAction \"id:5,phase:1,pass\"",
    )
    .unwrap();
    let rules = &loaded.rules.rules;
    assert_eq!(rules[0].jump, Jump::To(3));
    assert_eq!(rules[2].jump, Jump::To(4));
    assert_eq!(rules[3].jump, Jump::To(5));
    assert!(loaded.warnings.to_string().contains("NOWHERE"));
}

#[test]
fn chains_are_whole() {
    for (text, message) in [
        ("SecRule ARGS a \"id:1,chain\"", "no next rule"),
        ("SecRule ARGS a \"id:1,chain\"\nSecMarker X", "inside of a chain"),
        ("SecRule ARGS a \"id:1,chain\"\nSecRule ARGS b \"deny\"", "cannot have `pass, deny"),
        ("SecRule ARGS a \"id:1,chain\"\nSecRule ARGS b \"id:2\"", "cannot have `id`"),
    ] {
        let errors = load(text).unwrap_err();
        assert_eq!(errors.len(), 1, "{errors:#?}");
        assert!(errors[0].contains(message), "{errors:#?}");
    }
    // The links of a chain whose head is wrong are told only where they are wrong themselves.
    let errors =
        load("SecRule ARG a \"id:x,chain\"\nSecRule ARGS b \"chain\"\nSecRule ARGS c\nSecAction id:3")
            .unwrap_err();
    assert_eq!(errors.len(), 2, "{errors:#?}");
}

#[test]
fn the_recommended_configuration_loads() {
    let loaded = load(
        "SecRuleEngine DetectionOnly\nSecRequestBodyAccess On\nSecRequestBodyLimit 13107200\n\
         SecRequestBodyNoFilesLimit 131072\nSecRequestBodyLimitAction Reject\nSecRequestBodyJsonDepthLimit 512\n\
         SecArgumentsLimit 1000\nSecPcreMatchLimit 1000\nSecTmpDir /tmp/\nSecAuditLogParts ABIJDEFHZ\n\
         SecResponseBodyMimeType text/plain text/html\nSecArgumentSeparator &\nSecCookieFormat 0\n\
         SecUnicodeMapFile unicode.mapping 20127\nSecStatusEngine On\n\
         SecRule REQUEST_HEADERS:Content-Type \"^application/json\" \
         \"id:'200001',phase:1,t:none,t:lowercase,pass,nolog,ctl:requestBodyProcessor=JSON\"\n\
         SecRule MULTIPART_STRICT_ERROR \"!@eq 0\" \
         \"id:'200003',phase:2,t:none,log,deny,status:400,msg:'PE %{REQBODY_PROCESSOR_ERROR}, \\\n  BQ x'\"\n",
    )
    .unwrap();
    assert_eq!(loaded.rules.settings.engine, EngineMode::DetectionOnly);
    assert_eq!(loaded.rules.settings.response_body_types.len(), 2);
    assert!(loaded.warnings.0.iter().all(|warning| warning.message.contains("changes nothing here")));
}

#[test]
fn files_may_begin_with_a_byte_order_mark() {
    let loaded = load_files(&[
        ("a.conf", "\u{feff}SecRule ARGS \"@pmFromFile a.data\" \"id:1,deny\"\r\nSecRule REMOTE_ADDR \"@ipMatchFromFile a.ips\" \"id:2,deny\""),
        ("a.data", "\u{feff}union\r\nselect\r\n"),
        ("a.ips", "\u{feff}192.0.2.1\r\n"),
    ])
    .unwrap();
    let condition = loaded.rules.rules[0].links[0].condition.as_ref().unwrap();
    let Test::Fixed(operator) = &condition.test else { panic!("no phrases") };
    assert_eq!(operator.phrases().unwrap(), [Box::from(&b"union"[..]), Box::from(&b"select"[..])]);
}

#[test]
fn what_never_matches_here_is_wrong_unless_it_was_published() {
    let text = "SecRule REMOTE_ADDR \"@geoLookup\" \"id:1,deny\"\nSecRule REMOTE_ADDR \"@rbl a.example\" \"id:2,deny\"";
    let errors = load(text).unwrap_err();
    assert_eq!(errors.len(), 2, "{errors:#?}");
    assert!(
        errors[0].starts_with("a.conf:1:22") && errors[0].contains("`@geoLookup` never matches here; "),
        "{errors:#?}"
    );
    let files = files(&[("a.conf", text)]);
    let mut loader = Loader::new(&files);
    loader.lenient(true).include("a.conf");
    assert_eq!(loader.finish().unwrap().warnings.0.len(), 2);
}

#[test]
fn names_of_other_engines_are_refused_with_what_to_do_instead() {
    for (text, remedy) in [
        ("SecDataset words x", "`@pmFromFile`"),
        ("SecIgnoreRuleCompilationErrors On", "never skipped"),
        ("SecPdfProtect On", "remove it"),
        ("SecRule ARGS \"@pmFromDataset words\" \"id:1,deny\"", "`@pmFromFile`"),
        ("SecRule ARGS \"@restpath /a\" \"id:1,deny\"", "`@rx`"),
        ("SecRule ARGS_PATH \"@rx a\" \"id:1,deny\"", "`REQUEST_FILENAME`"),
        ("SecRule ARGS \"@rx (a)\\1\" \"id:1,deny\"", "chained rule"),
        ("SecRule ARGS \"@rx a(?!b)\" \"id:1,deny\"", "chained rule"),
    ] {
        let errors = load(text).unwrap_err();
        assert_eq!(errors.len(), 1, "{errors:#?}");
        assert!(errors[0].split_once("; ").is_some_and(|(_, told)| told.contains(remedy)), "{errors:#?}");
    }
}

#[test]
fn the_manual_has_every_name_of_the_language() {
    let manual = include_str!("../../../../docs/rules.md");
    let names = super::directive::DIRECTIVES
        .iter()
        .chain(Settings::NAMES)
        .copied()
        .chain(crate::variables::Variable::names())
        .chain(crate::transform::Transformation::ALL.iter().map(|known| known.name()))
        .chain(super::action::NAMES.iter().copied());
    let missing: Vec<&str> = names.filter(|name| !manual.contains(&format!("`{name}`"))).collect();
    assert!(missing.is_empty(), "{missing:?}");
}

const FRAGMENTS: &[&str] = &[
    "SecRule",
    "SecAction",
    "SecMarker",
    "SecDefaultAction",
    "SecRuleUpdateTargetById",
    "SecRuleRemoveById",
    "Include",
    " ",
    "\n",
    "\\\n",
    "\"",
    "'",
    "\\",
    ",",
    ":",
    "|",
    "!",
    "&",
    "=",
    "/",
    "//@*",
    "%{",
    "}",
    "%{tx.a}",
    "@rx ",
    "@pm ",
    "@eq ",
    "ARGS",
    "XML",
    "TX",
    "id:1",
    "id:2",
    "phase:1",
    "phase:2",
    "chain",
    "deny",
    "block",
    "pass",
    "setvar:tx.a=+1",
    "ctl:ruleRemoveTargetById=1;ARGS:a",
    "skipAfter:X",
    "skip:1",
    "t:none",
    "t:lowercase",
    "msg:'a'",
    "(",
    "[",
    "a",
    "é",
    "\0",
    "#",
];

proptest::proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig { cases: 512, ..Default::default() })]

    #[test]
    fn whatever_is_written_is_read_or_told(
        parts in proptest::collection::vec(proptest::sample::select(FRAGMENTS), 0..60),
    ) {
        if let Err(errors) = load(&parts.concat()) {
            proptest::prop_assert!(!errors.is_empty());
        }
    }
}
