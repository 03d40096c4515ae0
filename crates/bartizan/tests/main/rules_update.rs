//! `bartizan rules update` against a server on loopback: what is verified and loads is put in place, everything else leaves
//! the old rules in force.

use std::{
    collections::HashMap,
    fs,
    io::{BufRead as _, BufReader, Write as _},
    net::{SocketAddr, TcpListener},
    path::Path,
    process::Command,
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use bartizan_testkit::{Gateway, RawUpstream, gateway::run_to_end};
use flate2::{Compression, write::GzEncoder};
use rustix::process::Signal;
use serde_json::Value;
use tar::{Builder, EntryType, Header};

use crate::support::{BINARY, policy};

/// What a path is answered with: status, more fields, body.
type Answers = HashMap<String, (u16, String, Vec<u8>)>;

fn serve(answers: Answers) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let answers = Arc::new(answers);
    thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let answers = Arc::clone(&answers);
            thread::spawn(move || {
                let mut lines = BufReader::new(stream.try_clone().unwrap()).lines();
                let first = lines.next().unwrap().unwrap();
                while lines.next().is_some_and(|line| line.is_ok_and(|line| !line.is_empty())) {}
                let path = first.split(' ').nth(1).unwrap();
                let missing = (404, String::new(), Vec::new());
                let (status, fields, body) = answers.get(path).unwrap_or(&missing);
                let head =
                    format!("HTTP/1.1 {status} Told\r\n{fields}Content-Length: {}\r\n\r\n", body.len());
                let _ = stream.write_all(head.as_bytes());
                let _ = stream.write_all(body);
            });
        }
    });
    address
}

/// Rules that refuse a word, and what the gateway probes every mount of the Core Rule Set with.
fn refusing(word: &str) -> String {
    format!(
        "SecRule ARGS \"@rx {word}|UNION|script|passwd\" \"id:100,phase:2,deny,status:403,log,ver:'{word}',msg:'A word'\"\n"
    )
}

fn packed(files: &[(&str, &str)]) -> Vec<u8> {
    let mut tar = Builder::new(GzEncoder::new(Vec::new(), Compression::default()));
    for (path, text) in files {
        let mut header = Header::new_gnu();
        header.set_size(text.len() as u64);
        header.set_mode(0o644);
        tar.append_data(&mut header, path, text.as_bytes()).unwrap();
    }
    tar.into_inner().unwrap().finish().unwrap()
}

fn rules(word: &str) -> Vec<u8> {
    packed(&[
        ("crs-2/crs-setup.conf.example", "SecRuleEngine On\n"),
        ("crs-2/rules/REQUEST-900.conf", &refusing(word)),
        ("crs-2/rules/REQUEST-900-OWN.conf.example", "# Yours.\n"),
    ])
}

/// An archive with one entry whose header says whatever it likes.
fn with_entry(path: &str, kind: EntryType, link: &str) -> Vec<u8> {
    let mut tar = Builder::new(GzEncoder::new(Vec::new(), Compression::default()));
    for (path, kind, link, text) in [
        ("crs/crs-setup.conf.example", EntryType::Regular, "", ""),
        ("crs/rules/a.conf", EntryType::Regular, "", "SecRuleEngine On\n"),
        (path, kind, link, ""),
    ] {
        let mut header = Header::new_gnu();
        header.set_size(text.len() as u64);
        header.set_mode(0o644);
        header.set_entry_type(kind);
        header.as_gnu_mut().unwrap().name[..path.len()].copy_from_slice(path.as_bytes());
        if !link.is_empty() {
            header.set_link_name_literal(link).unwrap();
        }
        header.set_cksum();
        tar.append(&header, text.as_bytes()).unwrap();
    }
    tar.into_inner().unwrap().finish().unwrap()
}

/// A file of 200 MiB that takes 200 KiB.
fn bomb() -> Vec<u8> {
    let mut tar = Builder::new(GzEncoder::new(Vec::new(), Compression::best()));
    let mut header = Header::new_gnu();
    header.set_size(200 << 20);
    header.set_mode(0o644);
    tar.append_data(&mut header, "rules/a.conf", std::io::Read::take(std::io::repeat(b'#'), 200 << 20))
        .unwrap();
    tar.into_inner().unwrap().finish().unwrap()
}

fn sha256(bytes: &[u8]) -> String {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(bytes).unwrap();
    let output = Command::new("sha256sum").arg(file.path()).output().unwrap();
    String::from_utf8(output.stdout).unwrap()[..64].to_owned()
}

fn update(dir: &Path, arguments: &[&str]) -> (Option<i32>, String) {
    let all: Vec<&str> = ["rules", "update", "--into", "crs"].iter().chain(arguments).copied().collect();
    let (status, log) = run_to_end(BINARY, dir, &all).unwrap();
    (status.code(), log)
}

/// The rules of the folder in force.
fn in_force(dir: &Path) -> String {
    fs::read_to_string(dir.join("crs/rules/REQUEST-900.conf")).unwrap()
}

/// A folder with rules that refuse `old`, and files of the user's own.
fn installed() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir_all(dir.path().join("crs/rules")).unwrap();
    fs::write(dir.path().join("crs/rules/REQUEST-900.conf"), refusing("old")).unwrap();
    fs::write(dir.path().join("crs/rules/REQUEST-900-OWN.conf"), "# Mine.\n").unwrap();
    fs::write(dir.path().join("crs/crs-setup.conf"), "SecRuleEngine On\n# Mine.\n").unwrap();
    dir
}

#[test]
fn verified_rules_are_put_in_place_and_back() {
    let good = rules("new");
    let hash = sha256(&good);
    let at = serve(
        [
            ("/good.tar.gz".to_owned(), (200, String::new(), good)),
            ("/moved".to_owned(), (302, "Location: /good.tar.gz\r\n".to_owned(), Vec::new())),
        ]
        .into(),
    );
    let dir = installed();
    let url = format!("http://{at}/moved");
    let (code, log) = update(dir.path(), &["--from", &url, "--sha256", &hash, "--output", "json"]);
    assert_eq!(code, Some(0), "{log}");
    let told: Value = serde_json::from_str(&log).unwrap();
    assert_eq!(told["sha256"], hash);
    assert_eq!(told["rules"], "new, 1 rules");
    assert_eq!(told["before"], "old, 1 rules");
    assert_eq!(told["taken_over"], serde_json::json!(["crs-setup.conf", "rules/REQUEST-900-OWN.conf"]));
    assert_eq!(in_force(dir.path()), refusing("new"));
    assert!(fs::read_to_string(dir.path().join("crs/crs-setup.conf")).unwrap().contains("Mine"));
    assert!(dir.path().join("crs.previous/rules/REQUEST-900.conf").is_file());
    // Nothing is left of the way there.
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 2);

    let (code, log) = update(dir.path(), &["--rollback"]);
    assert_eq!((code, in_force(dir.path())), (Some(0), refusing("old")), "{log}");
    let (code, log) = update(dir.path(), &["--rollback"]);
    assert_eq!((code, in_force(dir.path())), (Some(0), refusing("new")), "{log}");

    // Into a folder that is not there yet.
    let dir = tempfile::tempdir().unwrap();
    let (code, log) = update(dir.path(), &["--from", &url, "--sha256", &hash]);
    assert_eq!((code, in_force(dir.path())), (Some(0), refusing("new")), "{log}");
    let (code, log) = update(dir.path(), &["--rollback"]);
    assert!(code == Some(1) && log.contains("no earlier rules"), "{log}");
}

#[test]
fn a_folder_that_has_no_rules_is_not_replaced() {
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir(dir.path().join("crs")).unwrap();
    fs::write(dir.path().join("crs/letters.txt"), "dear").unwrap();
    let (code, log) = update(dir.path(), &["--from", "http://127.0.0.1:9/x", "--sha256", &"0".repeat(64)]);
    assert!(code == Some(1) && log.contains("has no folder `rules`"), "{log}");
    assert!(dir.path().join("crs/letters.txt").is_file());
}

#[test]
fn whatever_is_wrong_leaves_the_old_rules_in_force() {
    let good = rules("new");
    let mut longer = good.clone();
    longer.extend([0; 16]);
    let half = good[..good.len() / 2].to_vec();
    let broken = packed(&[
        ("crs/crs-setup.conf.example", "SecRuleEngine On\n"),
        ("crs/rules/REQUEST-900.conf", "\nSecRule ARGS \"@rx (\" \"id:7,deny\"\nSecNonsense On\n"),
    ]);
    let archives = [
        ("wrong-hash", longer, "is not what was meant", 1),
        ("truncated", half, "ends too early", 1),
        ("no-archive", b"<html>Not here, ask elsewhere".to_vec(), "no `tar.gz`", 1),
        ("bomb", bomb(), "stands for more than 128 MiB", 1),
        ("upwards", with_entry("crs/../../x", EntryType::Regular, ""), "leads elsewhere", 1),
        ("absolute", with_entry("/bartizan-x", EntryType::Regular, ""), "leads elsewhere", 1),
        ("symlink", with_entry("crs/rules/b.conf", EntryType::Symlink, "/etc/passwd"), "a link", 1),
        ("hardlink", with_entry("crs/rules/b.conf", EntryType::Link, "crs/rules/a.conf"), "a link", 1),
        ("device", with_entry("crs/rules/b.conf", EntryType::Char, ""), "neither file nor folder", 1),
        ("twice", with_entry("crs/rules/a.conf", EntryType::Regular, ""), "twice", 1),
        ("no-rules", packed(&[("a/b.conf", "x")]), "no folder `rules`", 1),
        ("broken", broken, "REQUEST-900.conf:2", 78),
    ];
    let elsewhere = serve([("/good".to_owned(), (200, String::new(), good.clone()))].into());
    let mut answers: Answers = archives
        .iter()
        .map(|(name, bytes, ..)| (format!("/{name}"), (200, String::new(), bytes.clone())))
        .collect();
    for (path, to) in [
        ("/away", format!("http://{elsewhere}/good")),
        ("/plain", "http://rules.example/good".to_owned()),
        ("/round", "/round".to_owned()),
        ("/nowhere", "//".to_owned()),
    ] {
        answers.insert(path.to_owned(), (302, format!("Location: {to}\r\n"), Vec::new()));
    }
    answers.insert("/large".to_owned(), (200, String::new(), vec![0; (32 << 20) + 1]));
    let at = serve(answers);
    let dir = installed();
    let hash_of_good = sha256(&good);
    let mut asked: Vec<(String, String, &str, i32)> = archives
        .iter()
        .map(|(name, bytes, told, code)| {
            let hash = if *name == "wrong-hash" { hash_of_good.clone() } else { sha256(bytes) };
            (format!("http://{at}/{name}"), hash, *told, *code)
        })
        .collect();
    for (name, told) in [
        ("away", "redirects to another place"),
        ("plain", "redirects to another place"),
        ("round", "more than 5 times"),
        ("nowhere", "which is no URL"),
        ("large", "at most 32 MiB"),
        ("missing", "answered 404"),
    ] {
        asked.push((format!("http://{at}/{name}"), hash_of_good.clone(), told, 1));
    }
    for (url, hash, told, expected) in &asked {
        let (code, log) = update(dir.path(), &["--from", url, "--sha256", hash]);
        assert_eq!(code, Some(*expected), "{url}: {log}");
        assert!(log.contains(told), "{url}: {log}");
        assert_eq!(in_force(dir.path()), refusing("old"), "{url}");
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1, "{url} leaves something behind");
    }
    assert!(!Path::new("/bartizan-x").exists());
}

#[test]
fn what_names_no_pin_or_no_tls_is_a_slip_of_the_pen() {
    let dir = installed();
    let hash = "0".repeat(64);
    for arguments in [
        &["--from", "https://rules.example/crs.tar.gz"] as &[&str],
        &["--from", "http://rules.example/crs.tar.gz", "--sha256", &hash],
        &["--from", "https://me:secret@rules.example/crs.tar.gz", "--sha256", &hash],
        &["--from", "https://rules.example/crs.tar.gz", "--sha256", "1234"],
        &["--from", "https://rules.example/crs.tar.gz", "--key", "nonsense"],
        &["--rollback", "--from", "https://rules.example/crs.tar.gz", "--sha256", &hash],
        &[],
    ] {
        let (code, log) = update(dir.path(), arguments);
        assert_eq!(code, Some(2), "{arguments:?}: {log}");
    }
}

/// Made once by minisign's own format: a key, and its signature of the archive below over the BLAKE2b hash of it.
const PUBLIC_KEY: &str = include_str!("../fixtures/rules.pub");
const ARCHIVE: &[u8] = include_bytes!("../fixtures/rules.tar.gz");
const SIGNATURE: &str = include_str!("../fixtures/rules.tar.gz.minisig");

#[test]
fn signatures_are_of_the_key_and_of_the_archive() {
    let key = PUBLIC_KEY.lines().nth(1).unwrap();
    let tampered = SIGNATURE.replace("trusted comment: version 2", "trusted comment: version 3");
    assert_ne!(tampered, SIGNATURE);
    let ok = |bytes: &[u8]| (200, String::new(), bytes.to_vec());
    let at = serve(
        [
            ("/signed".to_owned(), ok(ARCHIVE)),
            ("/signed.minisig".to_owned(), ok(SIGNATURE.as_bytes())),
            ("/other".to_owned(), ok(&rules("new"))),
            ("/other.minisig".to_owned(), ok(SIGNATURE.as_bytes())),
            ("/unsigned".to_owned(), ok(ARCHIVE)),
            ("/tampered".to_owned(), ok(ARCHIVE)),
            ("/tampered.minisig".to_owned(), ok(tampered.as_bytes())),
            ("/garbled".to_owned(), ok(ARCHIVE)),
            ("/garbled.minisig".to_owned(), ok(b"RW")),
        ]
        .into(),
    );
    let dir = installed();
    // A key of somebody else: the same with another first byte of its point.
    let stranger = "RWQf6LRCGA9i53mlYecO4IzT51TGPpvWucNSCh1CBM0QTaLn73Y7GFO3";
    for (name, key, told) in [
        ("other", key, "not of this archive"),
        ("unsigned", key, "answered 404"),
        ("tampered", key, "not by the key that was named"),
        ("garbled", key, "no file of minisign"),
        ("signed", stranger, "not by the key that was named"),
    ] {
        let (code, log) = update(dir.path(), &["--from", &format!("http://{at}/{name}"), "--key", key]);
        assert!(code == Some(1) && log.contains(told), "{name}: {log}");
        assert_eq!(in_force(dir.path()), refusing("old"), "{name}");
    }
    let (url, signature) = (format!("http://{at}/unsigned"), format!("http://{at}/signed.minisig"));
    let (code, log) = update(dir.path(), &["--from", &url, "--key", key, "--signature", &signature]);
    assert_eq!((code, in_force(dir.path())), (Some(0), refusing("signed")), "{log}");
}

#[test]
fn a_running_gateway_takes_new_rules_on_by_reload() {
    let good = rules("new");
    let hash = sha256(&good);
    let at = serve([("/good".to_owned(), (200, String::new(), good))].into());
    let upstream = RawUpstream::echo().unwrap();
    let text = policy(&upstream.url(), "    guards:\n      waf: { rules: [crs], crs: \"file:crs\" }\n");
    let gateway = Gateway::with_config(BINARY, &text, |dir| {
        fs::create_dir_all(dir.join("crs/rules"))?;
        fs::write(dir.join("crs/rules/REQUEST-900.conf"), refusing("old"))?;
        fs::write(dir.join("crs/crs-setup.conf"), "SecRuleEngine On\n")?;
        Ok(())
    })
    .unwrap();
    let dir = gateway.dir.path();
    let refused = |word: &str| gateway.get(&format!("/?q={word}"), &[]).status == 403;
    assert!(refused("old") && !refused("new"));
    let url = format!("http://{at}/good");
    let (code, log) = update(dir, &["--from", &url, "--sha256", &hash, "--config", "bartizan.yaml"]);
    assert_eq!(code, Some(0), "{log}");
    gateway.process.signal(Signal::HUP).unwrap();
    let until = Instant::now() + Duration::from_secs(10);
    while !refused("new") {
        assert!(Instant::now() < until, "the gateway does not take them on:\n{}", gateway.process.log());
        thread::sleep(Duration::from_millis(20));
    }
    assert!(!refused("old"));

    // A policy with an exclusion that the new rules do not know is told before a gateway trips over it.
    let exclusion = "{ rule: 999, parameter: \"ARGS:a\", reason: gone }";
    let text = fs::read_to_string(dir.join("bartizan.yaml")).unwrap();
    let narrower =
        text.replace("crs: \"file:crs\" }", &format!("crs: \"file:crs\", exclusions: [{exclusion}] }}"));
    assert_ne!(text, narrower);
    fs::write(dir.join("next.yaml"), narrower).unwrap();
    let (code, log) = update(dir, &["--from", &url, "--sha256", &hash, "--config", "next.yaml"]);
    assert!(code == Some(78) && log.contains("there is no rule 999"), "{log}");
    assert_eq!(in_force(dir), refusing("new"));
}
