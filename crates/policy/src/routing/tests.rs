//! Hosts, base paths, and the sets of blocks that can match at once.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests assert"
)]

use bartizan_pattern::template::{PathPattern, Template};
use http::Method;

use super::{Block, Candidate, Enumeration, HostRouter, combinations::contains, template_pattern};

#[test]
fn hosts_go_from_exact_to_any_and_base_paths_from_long_to_short() {
    let mut router = HostRouter::default();
    router.insert(None, "", 0).unwrap();
    router.insert(Some("api.example"), "", 1).unwrap();
    router.insert(Some("api.example"), "/v1", 2).unwrap();
    router.insert(Some("*.example"), "/v1", 3).unwrap();
    router.insert(Some("*.deep.example"), "", 4).unwrap();
    assert_eq!(router.insert(Some("api.example"), "/v1", 5), Err(2));
    assert_eq!(router.insert(None, "", 5), Err(0));
    let find = |host: &str, path: &str| router.find(host, path);
    assert_eq!(find("api.example", "/v1/a"), Some(2));
    assert_eq!(find("api.example", "/v1"), Some(2));
    assert_eq!(find("api.example", "/v10"), Some(1), "a base path ends at a segment");
    assert_eq!(find("API.Example.:8443", "/v1/a"), Some(2));
    assert_eq!(find("x.example", "/v1/a"), Some(3));
    assert_eq!(find("x.example", "/v2"), Some(0), "no base path of the host fits");
    assert_eq!(find("a.b.deep.example", "/v1/a"), Some(4));
    assert_eq!(find("example", "/v1"), Some(0), "the wildcard needs a label");
    assert_eq!(find("notexample", "/v1"), Some(0));
    assert_eq!(find("[::1]:80", "/"), Some(0));
}

#[test]
fn containment_is_never_claimed_in_doubt() {
    let pattern = |text: &str| PathPattern::parse(text).unwrap();
    let holds = |outer: &str, inner: &str| contains(&pattern(outer), &pattern(inner));
    for (outer, inner) in [
        ("/**", "/a"),
        ("/admin/**", "/admin"),
        ("/admin/**", "/ADMIN/{x}/y"),
        ("/a/*", "/a/b"),
        ("/a/{x}", "/a/{y}.json"),
    ] {
        assert!(holds(outer, inner), "{outer} {inner}");
    }
    for (outer, inner) in
        [("/a", "/a/**"), ("/a/*", "/a"), ("/a/b", "/a/*"), ("/a/{x}.json", "/a/{y}"), ("/a/*", "/a/b/c")]
    {
        assert!(!holds(outer, inner), "{outer} {inner}");
    }
}

fn sets(blocks: &[&str], within: Option<&str>, method: &str) -> Vec<Vec<u16>> {
    let mut blocks: Vec<Block> = blocks.iter().map(|text| Block::parse(text).unwrap()).collect();
    blocks.sort_by_key(|block| (block.pattern.specificity(), block.method.is_some()));
    let candidates: Vec<Candidate<'_>> =
        blocks.iter().enumerate().map(|(at, block)| Candidate { index: at as u16, block }).collect();
    let within = within.map(|text| template_pattern(&Template::parse(text).unwrap()).unwrap());
    let method = Method::from_bytes(method.as_bytes()).unwrap();
    let mut found =
        Enumeration { blocks: &candidates, within: within.as_ref(), limit: 64 }.sets(&[method]).unwrap();
    found.sort();
    found
}

#[test]
fn only_sets_that_can_occur_are_enumerated() {
    let blocks = ["* /admin/**", "GET /admin/users", "POST /login"];
    assert_eq!(sets(&blocks, None, "GET"), [vec![], vec![0], vec![0, 2]]);
    assert_eq!(sets(&blocks, None, "POST"), [vec![], vec![0], vec![1]]);
    assert_eq!(sets(&blocks, Some("/admin/users"), "GET"), [[0, 2]]);
    assert_eq!(sets(&blocks, Some("/admin/{page}"), "GET"), [vec![0], vec![0, 2]]);
    assert_eq!(sets(&blocks, Some("/{area}/{page}"), "GET"), [vec![], vec![0], vec![0, 2]]);
    assert_eq!(sets(&blocks, Some("/shop/{page}"), "GET"), [Vec::<u16>::new()]);
    let many: Vec<String> = (0..200).map(|n| format!("GET /path{n}")).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    assert_eq!(sets(&many, Some("/path7"), "GET"), [[7]]);
}

#[test]
fn too_many_sets_name_their_blocks() {
    let texts: Vec<String> = (0..8)
        .map(|n| {
            let mut segments = vec!["*".to_owned(); 8];
            segments[n] = "x".to_owned();
            format!("GET /{}", segments.join("/"))
        })
        .collect();
    let blocks: Vec<Block> = texts.iter().map(|text| Block::parse(text).unwrap()).collect();
    let candidates: Vec<Candidate<'_>> =
        blocks.iter().enumerate().map(|(at, block)| Candidate { index: at as u16, block }).collect();
    let error =
        Enumeration { blocks: &candidates, within: None, limit: 64 }.sets(&[Method::GET]).unwrap_err();
    assert_eq!(error.len(), 8);
}
