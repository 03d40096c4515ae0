//! Which template and which patterns a path finds.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests assert"
)]

use proptest::prelude::*;

use super::*;
use crate::path::folded;

fn router(templates: &[&'static str]) -> PathRouter<&'static str> {
    let mut router = PathRouter::new();
    for text in templates {
        router.insert(&Template::parse(text).unwrap(), *text).unwrap();
    }
    router
}

fn found(router: &PathRouter<&'static str>, path: &str) -> String {
    match router.find(path) {
        None => "-".to_owned(),
        Some((template, params)) => {
            let params: Vec<String> = params.iter().map(|(name, value)| format!("{name}={value}")).collect();
            format!("{template} {}", params.join(" ")).trim_end().to_owned()
        }
    }
}

#[test]
fn concrete_segments_win_and_dead_ends_are_left() {
    let router = router(&[
        "/",
        "/users",
        "/users/",
        "/users/me",
        "/users/{id}",
        "/users/{id}/posts",
        "/users/me/keys",
        "/{any}/me/keys",
        "/{a}/{b}/{c}/{d}",
        "/files/{name}.{ext}",
        "/files/{name}",
        "/files/{name}.json",
        "/jobs/{id}:cancel",
        "/jobs/{id}",
        "/v{major}/x",
        "/2010-04-01/Accounts/{Sid}.json",
        "/range/{from}-{to}",
        "/caf%c3%a9/@me",
    ]);
    for (path, expected) in [
        ("/", "/"),
        ("/users", "/users"),
        ("/users/", "/users/"),
        ("/users/me", "/users/me"),
        ("/users/17", "/users/{id} id=17"),
        ("/users/me/posts", "/users/{id}/posts id=me"),
        ("/users/me/keys", "/users/me/keys"),
        ("/users/x/keys", "-"),
        ("/teams/me/keys", "/{any}/me/keys any=teams"),
        ("/users/me/keys/4", "/{a}/{b}/{c}/{d} a=users b=me c=keys d=4"),
        ("/users/a/b/", "-"),
        ("/files/a.json", "/files/{name}.json name=a"),
        ("/files/a.b.c", "/files/{name}.{ext} name=a ext=b.c"),
        ("/files/a", "/files/{name} name=a"),
        ("/files/a.", "/files/{name} name=a."),
        ("/files/.json", "/files/{name} name=.json"),
        ("/files/x.json.json", "/files/{name}.json name=x.json"),
        ("/jobs/7:cancel", "/jobs/{id}:cancel id=7"),
        ("/jobs/7%3Acancel", "/jobs/{id}:cancel id=7"),
        ("/jobs/%3Acancel", "/jobs/{id} id=%3Acancel"),
        ("/jobs/7", "/jobs/{id} id=7"),
        ("/v12/x", "/v{major}/x major=12"),
        ("/v/x", "-"),
        ("/2010-04-01/Accounts/AC1.json", "/2010-04-01/Accounts/{Sid}.json Sid=AC1"),
        ("/2010-04-01/accounts/AC1.json", "-"),
        ("/range/1-2", "/range/{from}-{to} from=1 to=2"),
        ("/range/--3", "/range/{from}-{to} from=- to=3"),
        ("/range/1-", "-"),
        ("/caf%C3%A9/%40me", "/caf%c3%a9/@me"),
        ("/nothing", "-"),
        ("users", "-"),
        ("", "-"),
    ] {
        assert_eq!(found(&router, path), expected, "{path}");
    }
}

#[test]
fn templates_of_one_shape_conflict() {
    let mut router = router(&["/users/{id}", "/a/{x}.{y}"]);
    for text in ["/users/{name}", "/a/{name}.{ext}"] {
        let conflict = router.insert(&Template::parse(text).unwrap(), text).unwrap_err();
        assert_eq!(conflict.refused, text);
        assert!(conflict.to_string().contains(&conflict.existing));
    }
    router.insert(&Template::parse("/users/{id}/").unwrap(), "/users/{id}/").unwrap();
    assert_eq!(router.len(), 3);
    *router.get_mut(&Template::parse("/users/{other}").unwrap()).unwrap() = "changed";
    assert_eq!(router.find("/users/1").unwrap().0, &"changed");
    assert!(router.get_mut(&Template::parse("/absent").unwrap()).is_none());
    let (kept, fresh) = (Template::parse("/users/{third}").unwrap(), Template::parse("/fresh").unwrap());
    assert_eq!(router.get_or_insert_with(&kept, || "unused"), Some(&mut "changed"));
    assert_eq!(router.get_or_insert_with(&fresh, || "made"), Some(&mut "made"));
    assert_eq!((router.iter().count(), router.len()), (4, 4));
}

#[test]
fn parameters_are_slices_of_the_path() {
    let router = router(&["/{a}/{b}/{c}/{d}/{e}/{f}/{g}/{h}/{i}/{j}"]);
    let path = "/1/2/3/4/5/6/7/8/9/caf%C3%A9";
    let (_, params) = router.find(path).unwrap();
    assert_eq!(params.get("j"), Some("caf%C3%A9"));
    assert_eq!(params.get("a"), Some("1"));
    assert_eq!(params.get("z"), None);
    assert_eq!(params.template().parameters().count(), 10);
    assert_eq!(params.ranges()[0], 1..2);
}

#[test]
fn wrong_templates_are_told() {
    for (text, says) in [
        ("users", "begin with `/`"),
        ("/a//b", "empty segment"),
        ("/a/{id", "no `}`"),
        ("/a/id}", "cannot stand"),
        ("/a/{}", "is no parameter"),
        ("/a/{x/y}", "is no parameter"),
        ("/a/{b{c}}", "is no parameter"),
        ("/a/{b}{c}", "parts"),
        ("/a/{b}/{b}", "twice"),
        ("/a?x=1", "cannot stand"),
        ("/a#b", "cannot stand"),
        ("/a/../b", "dot segment"),
        ("/a%zz", "%25"),
    ] {
        let error = Template::parse(text).unwrap_err();
        assert!(error.contains(says), "{text}: {error}");
    }
}

fn pattern(text: &str) -> PathPattern {
    PathPattern::parse(text).unwrap()
}

#[test]
fn patterns_match_what_they_say() {
    for (text, matching, others) in [
        (
            "/login",
            vec!["/login", "/LOGIN", "/login/", "/login.", "/login%20"],
            vec!["/", "/login/x", "/logins"],
        ),
        ("/Login/", vec!["/login", "/login/"], vec!["/login/x"]),
        ("/", vec!["/"], vec!["/a"]),
        ("/**", vec!["/", "/a", "/a/b/c/"], vec![]),
        (
            "/admin/**",
            vec!["/admin", "/admin/", "/admin/users", "/Admin/a/b"],
            vec!["/administrator", "/", "/x/admin"],
        ),
        (
            "/users/*/roles",
            vec!["/users/7/roles"],
            vec!["/users/roles", "/users/7/8/roles", "/users/7/roles/x"],
        ),
        ("/users/{id}", vec!["/users/7"], vec!["/users", "/users/7/x"]),
        ("/files/{name}.PDF", vec!["/files/a.pdf", "/files/A.Pdf"], vec!["/files/.pdf", "/files/a.txt"]),
        ("/jobs/{id}:cancel", vec!["/jobs/7:cancel", "/jobs/7%3Acancel"], vec!["/jobs/7", "/jobs/:cancel"]),
        ("/*/x/**", vec!["/a/x", "/a/x/y"], vec!["/x", "/a/y"]),
        ("/café", vec!["/caf%C3%A9", "/caf%C3%89"], vec!["/cafe"]),
        ("/É{x}.B.{y}", vec!["/%C3%A9a.b.c", "/%C3%89a.B.c"], vec!["/ea.b.c"]),
        ("/@me", vec!["/@me", "/%40me"], vec!["/me"]),
    ] {
        let pattern = pattern(text);
        for path in matching {
            assert!(pattern.matches(&folded(path)), "{text} {path}");
        }
        for path in others {
            assert!(!pattern.matches(&folded(path)), "{text} {path}");
        }
    }
}

#[test]
fn wrong_patterns_are_told() {
    for (text, says) in [
        ("login", "begin with `/`"),
        ("/a/**/b", "not at the end"),
        ("/**/b", "not at the end"),
        ("/a*", "mixes"),
        ("/a/***", "mixes"),
        ("/a//b", "empty segment"),
        ("/a/{b", "no `}`"),
        ("/a/%20", "no path matches"),
        ("/a/{b}.", "no path matches"),
        ("/a/{b};v", "no path matches"),
        ("/a/..", "dot segment"),
    ] {
        let error = PathPattern::parse(text).unwrap_err();
        assert!(error.contains(says), "{text}: {error}");
    }
}

#[test]
fn narrower_patterns_are_more_specific() {
    let contained = [
        ("/**", "/*/**"),
        ("/*/**", "/*"),
        ("/a/**", "/a"),
        ("/a/**", "/a/*"),
        ("/*/b", "/a/b"),
        ("/a/*", "/a/{x}.pdf"),
        ("/a/{x}.pdf", "/a/{x}y.pdf"),
        ("/a/{x}.pdf", "/a/b.pdf"),
        ("/*/*", "/a/*"),
    ];
    for (wide, narrow) in contained {
        assert!(pattern(wide).specificity() < pattern(narrow).specificity(), "{wide} {narrow}");
    }
}

#[test]
fn ties_are_found() {
    assert!(pattern("/a/*").ties_with(&pattern("/*/b")));
    assert!(pattern("/a/*/**").ties_with(&pattern("/*/b/**")));
    assert!(!pattern("/a/*").ties_with(&pattern("/b/*")));
    assert!(!pattern("/a/*").ties_with(&pattern("/a/{id}")), "equal patterns are no tie");
    assert_eq!(pattern("/a/*"), pattern("/A/{id}/"));
    assert!(!pattern("/a/*/c").ties_with(&pattern("/*/b")));
    assert!(pattern("/a/**").overlaps(&pattern("/*/b/c")));
    assert!(!pattern("/a/**").overlaps(&pattern("/*")) || pattern("/*").matches("/a"));
    assert!(!pattern("/a/b/**").overlaps(&pattern("/a")));
    assert!(!pattern("/x/{a}.pdf").overlaps(&pattern("/x/{a}.txt")));
    assert!(
        pattern("/login").is_literal() && !pattern("/a/**").is_literal() && !pattern("/a/*").is_literal()
    );
}

fn any_pattern() -> impl Strategy<Value = String> {
    let piece = prop::sample::select(vec!["a", "b", "*", "{x}", "a{x}", "{x}b"]);
    (prop::collection::vec(piece, 0..4), any::<bool>()).prop_map(|(pieces, rest)| {
        format!(
            "/{}{}",
            pieces.join("/"),
            match (rest, pieces.is_empty()) {
                (true, true) => "**",
                (true, false) => "/**",
                _ => "",
            }
        )
    })
}

fn any_path() -> impl Strategy<Value = String> {
    let piece = prop::sample::select(vec!["a", "b", "ab", "aab", "c"]);
    prop::collection::vec(piece, 0..5).prop_map(|pieces| format!("/{}", pieces.join("/")))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn a_set_finds_what_each_pattern_matches(texts in prop::collection::vec(any_pattern(), 0..12), path in any_path()) {
        let set = PatternSet::new(texts.iter().map(|text| (pattern(text), text.clone())));
        let mut expected: Vec<&String> = texts.iter().filter(|text| pattern(text).matches(&path)).collect();
        expected.sort_by_key(|text| pattern(text).specificity());
        let found: Vec<&String> = set.find(&path).map(|(_, text)| text).collect();
        prop_assert_eq!(found, expected);
    }

    #[test]
    fn patterns_that_match_one_path_overlap(one in any_pattern(), other in any_pattern(), path in any_path()) {
        let (one, other) = (pattern(&one), pattern(&other));
        if one.matches(&path) && other.matches(&path) {
            prop_assert!(one.overlaps(&other) && other.overlaps(&one));
        }
    }

    #[test]
    fn a_router_finds_a_template_where_one_matches(texts in prop::collection::vec(any_pattern(), 0..8), path in any_path()) {
        let mut router = PathRouter::new();
        let mut any = false;
        for text in texts.iter().filter(|text| !text.contains('*')) {
            let mut parts = text.split("{x}");
            let first = parts.next().unwrap().to_owned();
            let named = parts.enumerate().fold(first, |all, (at, part)| format!("{all}{{x{at}}}{part}"));
            let _ = router.insert(&Template::parse(&named).unwrap(), ());
            any |= pattern(text).matches(&path);
        }
        prop_assert_eq!(router.find(&path).is_some(), any);
    }
}
