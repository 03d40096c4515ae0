//! Tests through a running gateway: raw requests over sockets, and the gateway's own events for what its rules found.
//!
//! Each request comes from an address of its own within 127.0.0.0/8: the event that names the address is the request's.
//! Events tell no matched bytes, but a token of them. Where a test asks for the bytes, the request is looked at once more in
//! process, under the policy beside the gateway's state: what a rule found there is what it found in the gateway if both
//! have the same token by the installation's key.

use std::{
    collections::HashMap,
    hash::{BuildHasher as _, Hasher as _, RandomState},
    net::{IpAddr, Ipv4Addr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use bartizan_ftw::{Observed, Stage, Test, inspect};
use bartizan_model::TokenKey;
use bartizan_store::StateDirectory;
use bartizan_waf::engine::{Program, Worker};
use serde_json::Value;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpSocket,
    sync::Semaphore,
    time::{Instant, sleep, timeout, timeout_at},
};

use super::{mounted::Mounted, test::Outcome};
use crate::admin_client::{AdminClient, Place};

/// Requests whose events are asked for at once: fewer than the admin API answers.
const BATCH: usize = 200;
/// Requests under way at once.
const LANES: usize = 8;
/// A response is waited for this long; requests that are incomplete on purpose cost all of it.
const PATIENCE: Duration = Duration::from_secs(3);
/// A response whose end is not told by its head ends after so much silence.
const SILENCE: Duration = Duration::from_millis(200);
/// An event is stored within 100 ms.
const SETTLED: Duration = Duration::from_millis(150);
/// How often events are asked for until all are there.
const LOOKS: usize = 4;
/// Between requests that are sent again: of exchanges that simply passed, 100 a second have events.
const PAUSE: Duration = Duration::from_millis(15);
/// Bytes of a response that are read.
const MAX_RESPONSE: usize = 4 << 20;
/// Events that the admin API gives at once.
const EVENTS: usize = 1_000;

/// Runs every test against the gateway at `address`, whose events `place` has.
///
/// # Errors
/// The gateway or its admin API does not answer: one sentence.
pub fn run(tests: &[Test], address: SocketAddr, place: &Place) -> Result<Vec<Outcome>, String> {
    let admin = place.admin().map_err(|error| error.to_string())?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| format!("cannot start: {error}"))?;
    let replay = Replay::of(place);
    let mut marks = Marks::new();
    let mut outcomes = vec![Outcome::Passed; tests.len()];
    let stages: Vec<(usize, &Stage)> = tests
        .iter()
        .enumerate()
        .flat_map(|(index, test)| test.stages.iter().map(move |stage| (index, stage)))
        .collect();
    for batch in stages.chunks(BATCH) {
        let mut open: Vec<(usize, &Stage)> = batch.to_vec();
        // What has no event may have passed among too many: it is sent again, slowly.
        for lanes in [LANES, 1] {
            let sent = runtime.block_on(send_all(&open, address, lanes, &mut marks))?;
            let mut events = events(&admin, &sent, &runtime)?;
            let mut missing = Vec::new();
            for ((index, stage), (mark, status)) in open.into_iter().zip(sent) {
                let told = events.remove(&mark).unwrap_or_default();
                if told.is_empty() && status.is_some() {
                    missing.push((index, stage));
                } else if let Some(outcome) = outcomes.get_mut(index).filter(|o| **o == Outcome::Passed) {
                    *outcome = judge(stage, status, &told, replay.as_ref());
                }
            }
            open = missing;
        }
        for (index, _) in open {
            if let Some(outcome) = outcomes.get_mut(index) {
                *outcome = Outcome::Failed("no event tells what became of the request".to_owned());
            }
        }
    }
    Ok(outcomes)
}

/// Addresses that no request had before.
struct Marks(u32);

impl Marks {
    fn new() -> Self {
        Marks(u32::try_from(RandomState::new().build_hasher().finish() >> 42).unwrap_or_default())
    }

    /// 127.1.0.0 to 127.254.255.255.
    fn next(&mut self) -> Ipv4Addr {
        self.0 = self.0.wrapping_add(1);
        Ipv4Addr::from(0x7f01_0000 + self.0 % 0x00fe_0000)
    }
}

/// Sends every request; the address that each came from, and the status that it was answered by.
async fn send_all(
    stages: &[(usize, &Stage)],
    address: SocketAddr,
    lanes: usize,
    marks: &mut Marks,
) -> Result<Vec<(IpAddr, Option<u16>)>, String> {
    let lane = Arc::new(Semaphore::new(lanes));
    let mut running = Vec::new();
    for (_, stage) in stages {
        let mark = IpAddr::V4(marks.next());
        let (lane, request) = (Arc::clone(&lane), stage.request.clone());
        running.push((
            mark,
            tokio::spawn(async move {
                let _turn = lane.acquire().await;
                if lanes == 1 {
                    sleep(PAUSE).await;
                }
                send(mark, address, &request).await
            }),
        ));
    }
    let mut sent = Vec::new();
    for (mark, task) in running {
        let status = task.await.map_err(|error| error.to_string())?;
        sent.push((
            mark,
            status.map_err(|error| format!("the gateway at `{address}` does not answer: {error}"))?,
        ));
    }
    Ok(sent)
}

/// Sends one request on a connection of its own; the status of the answer, if there is one.
async fn send(from: IpAddr, to: SocketAddr, request: &[u8]) -> std::io::Result<Option<u16>> {
    let socket = TcpSocket::new_v4()?;
    socket.bind(SocketAddr::new(from, 0))?;
    let mut stream = timeout(PATIENCE, socket.connect(to)).await??;
    let deadline = Instant::now() + PATIENCE;
    // A refusal may arrive, and the connection close, before everything is written: what came back still counts.
    let _ = timeout_at(deadline, stream.write_all(request)).await;
    let mut answer = Vec::new();
    let mut buffer = vec![0; 16 << 10];
    while answer.len() < MAX_RESPONSE && !is_whole(&answer) {
        let until = if status(&answer).is_some() { Instant::now() + SILENCE } else { deadline };
        match timeout_at(until, stream.read(&mut buffer)).await {
            Ok(Ok(read)) if read > 0 => answer.extend_from_slice(buffer.get(..read).unwrap_or_default()),
            _ => break,
        }
    }
    Ok(status(&answer))
}

/// The answer without interim ones (1xx): head and what follows.
fn last(mut answer: &[u8]) -> Option<(&[u8], &[u8])> {
    loop {
        let end = answer.windows(4).position(|four| four == b"\r\n\r\n")? + 4;
        let (head, rest) = answer.split_at_checked(end)?;
        if !head.get(9..).is_some_and(|status| status.starts_with(b"1")) {
            return Some((head, rest));
        }
        answer = rest;
    }
}

fn status(answer: &[u8]) -> Option<u16> {
    let (head, _) = last(answer)?;
    std::str::from_utf8(head.get(9..12)?).ok()?.parse().ok()
}

/// Whether an answer ends here by what its head says.
fn is_whole(answer: &[u8]) -> bool {
    let Some((head, body)) = last(answer) else { return false };
    let head = String::from_utf8_lossy(head).to_ascii_lowercase();
    let field = |name: &str| head.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
    if field("transfer-encoding").is_some() {
        return body.ends_with(b"0\r\n\r\n");
    }
    field("content-length")
        .and_then(|length| length.trim().parse().ok())
        .is_some_and(|length: usize| body.len() >= length)
}

/// The events of these requests, by address.
fn events(
    admin: &AdminClient,
    sent: &[(IpAddr, Option<u16>)],
    runtime: &tokio::runtime::Runtime,
) -> Result<HashMap<IpAddr, Vec<Value>>, String> {
    let mut found = HashMap::new();
    for _ in 0..LOOKS {
        runtime.block_on(async { sleep(SETTLED).await });
        found.clear();
        let answer = admin.ask("GET", &format!("/v1/events?limit={EVENTS}"), None);
        let mut answer = answer.map_err(|error| error.to_string())?;
        let list = answer.get_mut("events").and_then(Value::as_array_mut).map(std::mem::take);
        for event in list.unwrap_or_default() {
            let client = event.get("client").and_then(Value::as_str).and_then(|client| client.parse().ok());
            if let Some(client) = client {
                found.entry(client).or_insert_with(Vec::new).push(event);
            }
        }
        if sent.iter().all(|(mark, _)| found.contains_key(mark)) {
            break;
        }
    }
    Ok(found)
}

/// Looks at a request in process, to know the bytes that an event has a token of.
struct Replay {
    program: Arc<Program>,
    tokens: TokenKey,
}

impl Replay {
    /// `None` where policy or key cannot be read.
    fn of(place: &Place) -> Option<Self> {
        let mounted = Mounted::from(place.configuration()?);
        let program = mounted.sets().first().map(|(.., waf)| Arc::clone(waf.program()))?;
        let tokens = StateDirectory::open(&place.directory()).ok()?.token_key();
        Some(Replay { program, tokens })
    }

    /// Adds to the log what rules found in process of which the gateway tells the same token.
    fn confirm(&self, request: &[u8], told: &[(u64, &str)], observed: &mut Observed) {
        let Some(inspection) = inspect(request, &self.program, &mut Worker::new()) else { return };
        for finding in inspection.findings().iter().filter(|finding| finding.log) {
            let Some(matched) = finding.matches.first() else { continue };
            let bytes =
                matched.span.and_then(|(from, to)| matched.value.get(from..to)).unwrap_or(&matched.value);
            let same = format!(", {} bytes {}", bytes.len(), self.tokens.token(bytes));
            if told.iter().any(|(rule, detail)| *rule == finding.rule && detail.contains(&same)) {
                observed.add(finding);
            }
        }
    }
}

fn judge(stage: &Stage, status: Option<u16>, events: &[Value], replay: Option<&Replay>) -> Outcome {
    let mut observed =
        Observed { status, refused: status.is_none() && events.is_empty(), ..Observed::default() };
    let (mut refusal, mut passed) = (None, false);
    let mut details = Vec::new();
    for event in events {
        let text = |field: &str| event.get(field).and_then(Value::as_str).unwrap_or_default();
        let findings = event.get("findings").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
        let mut seen = false;
        for finding in
            findings.iter().filter(|finding| finding.get("guard").and_then(Value::as_str) == Some("waf"))
        {
            seen = true;
            let detail = finding.get("detail").and_then(Value::as_str).unwrap_or_default();
            match told(detail) {
                Some((rule, said)) => {
                    observed.tell(rule, &said);
                    details.push((rule, detail));
                }
                None => observed.log.extend(format!("{detail}\n").bytes()),
            }
        }
        if text("verdict") == "deny" && text("by") != "waf" && !seen {
            refusal = Some(format!("{} ({})", text("reason"), status.unwrap_or_default()));
        } else {
            passed = true;
        }
    }
    let asks_for_text = stage.expected.says.is_some() || stage.expected.says_not.is_some();
    if let Some(replay) = replay.filter(|_| asks_for_text && !details.is_empty()) {
        replay.confirm(&stage.request, &details, &mut observed);
    }
    // What follows a request that was let through is another request.
    refusal = refusal.filter(|_| !passed);
    observed.refused |= refusal.is_some();
    match (stage.expected.judge(&observed), refusal) {
        (Ok(()), None) => Outcome::Passed,
        (Ok(()), Some(_)) if stage.expected.wants_refusal() => Outcome::Passed,
        (_, Some(why)) => Outcome::Refused(why),
        (Err(why), None) => Outcome::Failed(why),
    }
}

/// The rule that a finding names, and what it says in the form of a log: an event tells no matched bytes.
fn told(detail: &str) -> Option<(u64, String)> {
    let (_, rest) = detail.split_once("too much for rule ").or_else(|| detail.split_once("rule "))?;
    let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
    let rule = rest.get(..digits)?.parse().ok()?;
    let said = rest.split_once("): ").map_or("", |(_, said)| said);
    let (msg, place) = said.split_once("; in ").unwrap_or((said, ""));
    let name = place.split([' ', ',', ';']).next().unwrap_or_default();
    Some((rule, format!("[msg \"{msg}\"] [data \"found within {name}: \"]")))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests assert")]
    use super::*;

    #[test]
    fn findings_name_their_rule() {
        let (rule, said) =
            told("rule 942100 (A.conf:12): SQL Injection; in ARGS:q after lowercase, 9 bytes t:1; score 5")
                .unwrap();
        assert_eq!(
            (rule, said.as_str()),
            (942_100, "[msg \"SQL Injection\"] [data \"found within ARGS:q: \"]")
        );
        let (rule, _) = told(
            "anomaly score 5, too much for rule 949110 (B.conf:9): rule 942100 (A.conf:12): SQL; in ARGS:q",
        )
        .unwrap();
        assert_eq!(rule, 949_110);
        assert!(told("a stream that is not held was not looked into").is_none());
    }

    #[test]
    fn answers_end_where_their_heads_say() {
        let interim = b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi";
        assert!(is_whole(interim));
        assert_eq!(status(interim), Some(200));
        assert!(!is_whole(b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nhi"));
        assert_eq!(status(b"HTTP/1.1 100 Continue\r\n\r\n"), None);
    }
}
