//! T-03 without the gateway: what a man in the middle reads and changes, and whom a client that trusts anybody talks to.

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    sync::{Arc, Mutex, PoisonError},
};

use anyhow::Result;
use bartizan_testkit::raw::{find, raw_request};
use rustls::version::{TLS12, TLS13};

use super::site::{Certificates, HOST, IMPOSTORS};
use crate::{
    Figures, Stage,
    bank::Bank,
    client::{PATIENCE, ask, ask_plain, request},
    server::Server,
    terminator::{IN_CLEAR, Stubborn, Terminator},
    tls::{self, Trust},
};

/// What the victim pays, and what the man in the middle makes of it: as long, so that no length changes.
const PAID: &str = "\"amount_cents\":1000,";
const CHANGED: &str = "\"amount_cents\":9000,";

/// The attack where nothing stands before the bank.
pub fn attack(stage: &Stage) -> Result<Figures> {
    let bank = Bank::start(stage)?;
    let mut figures = Figures::default();
    plain(stage, &bank, &mut figures)?;
    impostors(stage, &bank, &mut figures)?;
    stage.keep_log("bank-without", bank.process())?;
    Ok(figures)
}

/// The victim pays somebody over plain HTTP.
fn plain(stage: &Stage, bank: &Bank, figures: &mut Figures) -> Result<()> {
    let victim = bank.sign_in(stage, 1)?;
    let thief = bank.sign_in(stage, 2)?;
    let payee = bank.sign_in(stage, 3)?;
    let middle = Middle::start(bank.address, &payee.iban, &thief.iban)?;
    let transfer = victim.transfer(&payee.iban, 1_000, "rent");
    let bytes = request("POST", "/v1/transfers", HOST, Some(&victim.token), Some(&transfer));
    figures.attack(ask_plain(stage, middle.server.address, &bytes)?.status != 201);
    let read = middle.token();
    let read_right = read.as_deref() == Some(victim.token.as_str());
    figures.count("tokens_read", u64::from(read_right));
    figures.leaked += u64::from(read_right);
    let booked = bank.booked(stage, &victim)?;
    let changed = booked.iter().filter(|b| b.to == thief.iban && b.cents == 9_000).count() as u64;
    figures.count("transfers_changed", changed);
    figures.taken += changed;
    // What was read is used: the thief is the victim now.
    let bytes = request("GET", "/v1/accounts", HOST, read.as_deref(), None);
    let used = ask_plain(stage, bank.address, &bytes)?.status == 200;
    figures.attack(!used);
    figures.count("tokens_used", u64::from(used));
    figures.taken += u64::from(used);
    Ok(())
}

/// A client that trusts anybody, led to each of the impostors.
fn impostors(stage: &Stage, bank: &Bank, figures: &mut Figures) -> Result<()> {
    let certificates = Certificates::make(stage)?;
    let victim = bank.sign_in(stage, 1)?;
    let bytes = request("GET", "/v1/accounts", HOST, Some(&victim.token), None);
    let config = tls::client(Trust::Anybody, &[&TLS13, &TLS12])?;
    let mut given = 0;
    for (leaf, _) in certificates.impostors.iter().zip(IMPOSTORS) {
        let impostor = Terminator::start(leaf, bank.address)?;
        stage.spend()?;
        let reply = ask(&mut tls::connect(impostor.address(), HOST, &config)?, &bytes);
        let heard = impostor.heard(&victim.token);
        figures.attack(reply.status != 200 && !heard);
        given += u64::from(heard);
    }
    // A client that accepts being told to speak in clear.
    let stripped = Stubborn::start(IN_CLEAR.to_vec())?;
    stage.spend()?;
    let _ = raw_request(stripped.address(), &bytes, PATIENCE);
    let heard = find(&stripped.heard(), victim.token.as_bytes()).is_some();
    figures.attack(!heard);
    given += u64::from(heard);
    figures.count("wrong_servers", given);
    figures.leaked += given;
    Ok(())
}

/// The man in the middle of plain HTTP.
struct Middle {
    server: Server,
    token: Arc<Mutex<Option<String>>>,
}

impl Middle {
    fn start(target: SocketAddr, payee: &str, thief: &str) -> Result<Self> {
        let token = Arc::new(Mutex::new(None));
        let (kept, payee, thief) = (Arc::clone(&token), payee.to_owned(), thief.to_owned());
        let server = Server::start(move |mut client, _| {
            let text = String::from_utf8_lossy(&read_request(&mut client)).into_owned();
            let bearer = text.split_once("Bearer ").and_then(|(_, rest)| rest.split("\r\n").next());
            *kept.lock().unwrap_or_else(PoisonError::into_inner) = bearer.map(str::to_owned);
            let changed = text.replace(&payee, &thief).replace(PAID, CHANGED);
            let _ = client.write_all(&raw_request(target, changed.as_bytes(), PATIENCE));
        })?;
        Ok(Middle { server, token })
    }

    fn token(&self) -> Option<String> {
        self.token.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// A whole request with a `Content-Length`, or what came of it.
fn read_request(stream: &mut TcpStream) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut buffer = [0; 4096];
    loop {
        if let Some(head) = find(&bytes, b"\r\n\r\n") {
            let text = String::from_utf8_lossy(&bytes).to_ascii_lowercase();
            let length = text.split_once("content-length: ").and_then(|(_, rest)| rest.split("\r\n").next());
            let length = length.and_then(|digits| digits.parse::<usize>().ok()).unwrap_or(0);
            if bytes.len() >= head + 4 + length {
                return bytes;
            }
        }
        match stream.read(&mut buffer) {
            Ok(read @ 1..) => bytes.extend_from_slice(buffer.get(..read).unwrap_or_default()),
            _ => return bytes,
        }
    }
}
