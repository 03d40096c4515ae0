//! T-04 without the gateway: a proxy that writes what proxies write, an access log, and at debug level the heads.

use std::{
    fs::OpenOptions,
    io::Write,
    net::SocketAddr,
    path::Path,
    sync::{Arc, Mutex, PoisonError},
};

use anyhow::{Context, Result};
use bartizan_testkit::{RawUpstream, raw::raw_request};
use base64::{Engine, engine::general_purpose::STANDARD};

use super::{Planted, bytes_of, crash, places::At};
use crate::{Figures, Stage, client::PATIENCE, search::Search, server::Server};

/// The same requests through the naive proxy; what its two logs hold.
pub fn attack(stage: &Stage) -> Result<Figures> {
    let planted = Planted::new(stage);
    let upstream = RawUpstream::echo()?;
    let folder = stage.folder("naive")?;
    let (access, debug) = (folder.join("access.log"), folder.join("debug.log"));
    let proxy = proxy(upstream.address, &access, &debug)?;
    let mut figures = Figures::default();
    for (place, secret) in planted.each() {
        if !matches!(place.at, At::Field(_) | At::Target(_) | At::Content(..)) {
            continue;
        }
        stage.spend()?;
        let _ = raw_request(proxy.address, &bytes_of(place, secret, "mirror.test"), PATIENCE);
        figures.attacks += 1;
    }
    let search = Search::new(planted.secrets());
    let found = |file: &Path| anyhow::Ok(search.find(&std::fs::read(file).context("no log")?).len() as u64);
    let (in_access, in_debug) = (found(&access)?, found(&debug)?);
    figures.count("access_log", in_access);
    figures.count("debug_log", in_debug);
    figures.leaked = in_debug.max(in_access).min(figures.attacks);
    figures.blocked = figures.attacks - figures.leaked;
    let held = planted.secrets().next().unwrap_or_default();
    figures.notes.push(format!("without the gateway, {}", crash::of_another(stage, held)?));
    Ok(figures)
}

/// Forwards one request per connection, and logs it: the combined format that web servers share, and the head.
fn proxy(target: SocketAddr, access: &Path, debug: &Path) -> Result<Server> {
    let open = |file: &Path| OpenOptions::new().create(true).append(true).open(file);
    let logs = Arc::new(Mutex::new((open(access)?, open(debug)?)));
    Ok(Server::start(move |mut client, _| {
        let mut request = vec![0; 256 << 10];
        let read = std::io::Read::read(&mut client, &mut request).unwrap_or_default();
        request.truncate(read);
        let answer = raw_request(target, &request, PATIENCE);
        let text = String::from_utf8_lossy(&request).into_owned();
        let head = text.split("\r\n\r\n").next().unwrap_or_default();
        let field = |name: &str| {
            let mut lines = head.lines().filter_map(|line| line.split_once(": "));
            lines.find(|(field, _)| field.eq_ignore_ascii_case(name)).map_or("-", |(_, value)| value)
        };
        let basic = field("authorization").strip_prefix("Basic ").and_then(|text| STANDARD.decode(text).ok());
        let user = basic.map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
        let user = user.as_deref().and_then(|pair| pair.split(':').next()).unwrap_or("-");
        let line = format!(
            "127.0.0.1 - {user} [-] \"{}\" 200 {} \"{}\" \"{}\"\n",
            head.lines().next().unwrap_or_default(),
            answer.len(),
            field("referer"),
            field("user-agent")
        );
        let mut logs = logs.lock().unwrap_or_else(PoisonError::into_inner);
        let _ = logs.0.write_all(line.as_bytes());
        let _ = logs.1.write_all(format!("[debug] client sent:\n{head}\n").as_bytes());
        let _ = client.write_all(&answer);
    })?)
}
