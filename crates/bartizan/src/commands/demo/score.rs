//! What the demo counts: what actors sent and what became of it, by ground truth, and what the gateway says that it did.

use std::{
    collections::{BTreeMap, VecDeque},
    net::IpAddr,
    sync::Arc,
    time::Duration,
};

use bartizan_model::{Event, EventId, EventKind, Timestamp, Verdict, event::Exchange};
use bartizan_traffic::{Answer, Broken, Kind, Outcome, Part};

/// Seconds of the pace that are remembered: more than the columns of a wide terminal.
const PACE: u64 = 240;
/// Durations of people's requests that the percentiles are of: the newest ones.
const DURATIONS: usize = 8_192;
/// Groups of refusals that are remembered: more than the rows of a tall terminal.
const GROUPS: usize = 64;
/// Refusals that differ in nothing are one group for this long, so that a flood is one line that counts.
const GROUPED: Duration = Duration::from_secs(10);
/// Refusals that senders told of before the gateway's event came: it comes within 100 ms.
const UNMATCHED: usize = 512;
/// How long the refusal that is shown as an example stays the same: long enough to copy it.
const EXAMPLE: Duration = Duration::from_secs(20);

/// People's requests that did not end as they should, told in words: the first ones.
const WRONG: usize = 5;

/// What became of one request, as its sender saw it.
#[derive(Clone, Debug)]
pub struct Sent {
    /// What sent it.
    pub kind: Kind,
    /// What stopping it means.
    pub part: Part,
    /// What came back.
    pub fate: Fate,
    /// The gateway's event, where the answer named one.
    pub event: Option<EventId>,
    /// From sending to the whole answer.
    pub took: Duration,
    /// What went wrong, of a person's request.
    pub wrong: Option<String>,
}

/// What came back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// The gateway refused, by an answer or by closing the connection.
    Stopped,
    /// The bank answered; a person as the bank should.
    Answered,
    /// The bank could not be reached, nothing came, or a person was answered something else.
    Failed,
}

impl From<&Outcome> for Sent {
    fn from(outcome: &Outcome) -> Self {
        let event = outcome.event().and_then(|id| id.parse().ok());
        let fate = match (outcome.label.part, &outcome.result) {
            // What the gateway answers a person has to be what the bank would have said, to the number.
            (Part::Use, Ok(answer)) if event.is_some() && outcome.label.expected == Some(answer.status) => {
                Fate::Answered
            }
            (Part::Use, Ok(_)) if event.is_none() && outcome.is_as_expected() => Fate::Answered,
            // 502 and 504 are the gateway's words for a bank that failed.
            (_, Ok(Answer { status: 502 | 504, .. })) if event.is_some() => Fate::Failed,
            (_, Ok(_)) if event.is_some() => Fate::Stopped,
            (Part::Groundwork | Part::Attack, Ok(_)) => Fate::Answered,
            // Nobody but the gateway talks to an attacker: who is banned, or says what is no HTTP, hears nothing.
            (Part::Groundwork | Part::Attack, Err(Broken::Connect | Broken::Closed)) => Fate::Stopped,
            (Part::Use, Ok(_)) | (_, Err(_)) => Fate::Failed,
        };
        let Outcome { label, latency, .. } = outcome;
        let wrong = (label.part == Part::Use && fate != Fate::Answered).then(|| {
            let answer = match &outcome.result {
                Ok(answer) => format!("status {}", answer.status),
                Err(error) => error.to_string(),
            };
            let id = event.map(|id| format!(", event {id}")).unwrap_or_default();
            // The path without its query: what people search for is theirs.
            let path = outcome.target.split('?').next().unwrap_or_default();
            format!("{} {} {path}: {answer}{id}", label.actor, outcome.method)
        });
        Sent { kind: label.kind, part: label.part, fate, event, took: *latency, wrong }
    }
}

/// What happened to all requests of one kind of attack.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Requests that were the attack itself.
    pub tried: u64,
    /// Of these, refused by the gateway.
    pub stopped: u64,
    /// Of these, answered by the bank, whatever it said.
    pub through: u64,
}

impl std::ops::AddAssign for Tally {
    fn add_assign(&mut self, other: Tally) {
        self.tried += other.tried;
        self.stopped += other.stopped;
        self.through += other.through;
    }
}

/// People's requests.
#[derive(Clone, Debug, Default)]
pub struct People {
    /// All of them.
    pub sent: u64,
    /// Those that ended as they should.
    pub succeeded: u64,
    /// Those that the gateway refused: false positives.
    pub stopped: u64,
    /// What went wrong with the first ones that did not succeed.
    pub wrong: Vec<String>,
    durations: VecDeque<Duration>,
}

impl People {
    /// 0.0 to 100.0; 100 before the first request. Never rounded up to 100.
    pub fn success(&self) -> f64 {
        if self.sent == self.succeeded {
            return 100.0;
        }
        #[expect(clippy::cast_precision_loss, reason = "a percentage of counts below 2^52")]
        let share = self.succeeded as f64 * 100.0 / self.sent as f64;
        share.min(99.99)
    }

    /// The duration that so many of 100 requests stay below, of the newest ones.
    pub fn percentile(&self, percent: usize) -> Duration {
        let mut sorted: Vec<Duration> = self.durations.iter().copied().collect();
        sorted.sort_unstable();
        let at = (sorted.len() * percent / 100).min(sorted.len().saturating_sub(1));
        sorted.get(at).copied().unwrap_or_default()
    }
}

/// Exchanges by verdict.
#[derive(Clone, Copy, Debug, Default)]
pub struct Verdicts {
    /// Forwarded and answered.
    pub allowed: u64,
    /// Refused.
    pub denied: u64,
    /// Asked for a credential.
    pub challenged: u64,
    /// Refused for now.
    pub throttled: u64,
    /// The gateway or the bank failed.
    pub failed: u64,
}

impl Verdicts {
    /// All that have one.
    pub fn total(&self) -> u64 {
        self.allowed + self.denied + self.challenged + self.throttled + self.failed
    }
}

/// Refusals that differ in nothing but their moment.
#[derive(Clone, Debug)]
pub struct Refusal {
    /// The first one's event.
    pub id: EventId,
    /// When the first one came, from the start.
    pub at: Duration,
    /// How many.
    pub count: u64,
    /// The client.
    pub from: Option<IpAddr>,
    /// What the client is, where it is known.
    pub kind: Option<Kind>,
    /// What was asked, such as `POST /v1/login`.
    pub operation: String,
    /// The reason code.
    pub reason: &'static str,
}

/// Everything that is counted.
#[derive(Clone, Debug)]
pub struct Score {
    /// When the counting began.
    pub began: Timestamp,
    /// Exchanges by verdict.
    pub verdicts: Verdicts,
    /// People's requests.
    pub people: People,
    /// When the first attack was stopped, from the start.
    pub first_stop: Option<Duration>,
    attacks: BTreeMap<Kind, Tally>,
    reasons: BTreeMap<&'static str, u64>,
    refusals: VecDeque<Refusal>,
    pace: BTreeMap<u64, u64>,
    unmatched: VecDeque<(EventId, Kind)>,
    example: Option<(Duration, EventId, &'static str)>,
}

impl Score {
    /// Nothing yet.
    pub fn new(began: Timestamp) -> Self {
        Score {
            began,
            verdicts: Verdicts::default(),
            people: People::default(),
            first_stop: None,
            attacks: BTreeMap::new(),
            reasons: BTreeMap::new(),
            refusals: VecDeque::new(),
            pace: BTreeMap::new(),
            unmatched: VecDeque::new(),
            example: None,
        }
    }

    /// Counts a request as its sender saw it.
    pub fn sent(&mut self, sent: &Sent) {
        if let Some(event) = sent.event {
            self.name(event, sent.kind);
        }
        match sent.part {
            Part::Use => {
                self.people.sent += 1;
                self.people.succeeded += u64::from(sent.fate == Fate::Answered);
                self.people.stopped += u64::from(sent.fate == Fate::Stopped);
                if let Some(wrong) = &sent.wrong
                    && self.people.wrong.len() < WRONG
                {
                    self.people.wrong.push(wrong.clone());
                }
                if self.people.durations.len() >= DURATIONS {
                    self.people.durations.pop_front();
                }
                self.people.durations.push_back(sent.took);
            }
            Part::Attack => {
                let tally = self.attacks.entry(sent.kind).or_default();
                tally.tried += 1;
                tally.stopped += u64::from(sent.fate == Fate::Stopped);
                tally.through += u64::from(sent.fate == Fate::Answered);
            }
            Part::Groundwork => {}
        }
    }

    /// Counts an event of the gateway.
    pub fn seen(&mut self, event: &Event) {
        let at = event.time.since(self.began);
        let exchange = match &event.kind {
            EventKind::Exchange(exchange) => exchange,
            EventKind::Connection { code, .. } => {
                return self.refused(event, at, "a connection".to_owned(), code);
            }
            EventKind::Control { .. } => return,
        };
        match exchange.verdict {
            Verdict::Allow => self.verdicts.allowed += 1,
            Verdict::Deny => self.verdicts.denied += 1,
            Verdict::Challenge => self.verdicts.challenged += 1,
            Verdict::Throttle => self.verdicts.throttled += 1,
            Verdict::Error => self.verdicts.failed += 1,
            // Who leaves was not refused anything.
            Verdict::Abort => return,
        }
        *self.pace.entry(at.as_secs()).or_default() += 1;
        while self.pace.len() as u64 > PACE {
            self.pace.pop_first();
        }
        if let (Some(reason), false) = (exchange.reason, exchange.verdict == Verdict::Allow) {
            self.refused(event, at, asked(exchange), reason);
        }
    }

    fn refused(&mut self, event: &Event, at: Duration, operation: String, reason: &'static str) {
        *self.reasons.entry(reason).or_default() += 1;
        self.first_stop.get_or_insert(at);
        self.group(Refusal { id: event.id, at, count: 1, from: event.client, kind: None, operation, reason });
        self.choose_example(at);
    }

    /// Who was refused, from the sender's own word.
    fn name(&mut self, event: EventId, kind: Kind) {
        if let Some(refusal) = self.refusals.iter_mut().find(|refusal| refusal.id == event) {
            refusal.kind = Some(kind);
            return;
        }
        if self.unmatched.len() >= UNMATCHED {
            self.unmatched.pop_front();
        }
        self.unmatched.push_back((event, kind));
    }

    fn group(&mut self, mut new: Refusal) {
        let named = self.unmatched.iter().position(|(event, _)| *event == new.id);
        new.kind = named.and_then(|at| self.unmatched.remove(at)).map(|(_, kind)| kind);
        let same = self.refusals.iter_mut().find(|old| {
            new.at < old.at + GROUPED
                && (old.from, old.reason, &old.operation) == (new.from, new.reason, &new.operation)
        });
        if let Some(old) = same {
            old.count += 1;
            return;
        }
        self.refusals.push_front(new);
        self.refusals.truncate(GROUPS);
    }

    /// Another reason than before, where there is one.
    fn choose_example(&mut self, now: Duration) {
        let before = match self.example {
            Some((since, ..)) if now < since + EXAMPLE => return,
            Some((.., reason)) => reason,
            None => "",
        };
        let next = self.refusals.iter().find(|refusal| refusal.reason != before);
        if let Some(next) = next.or(self.refusals.front()) {
            self.example = Some((now, next.id, next.reason));
        }
    }

    /// A refusal to look at, the same for some time.
    pub fn example(&self) -> Option<EventId> {
        self.example.map(|(_, id, _)| id)
    }

    /// What happened to one kind of attack.
    pub fn attack(&self, kind: Kind) -> Tally {
        self.attacks.get(&kind).copied().unwrap_or_default()
    }

    /// All attacks together.
    pub fn attacks(&self) -> Tally {
        self.attacks.values().fold(Tally::default(), |mut all, tally| {
            all += *tally;
            all
        })
    }

    /// Reason codes with their counts, the most frequent first.
    pub fn reasons(&self) -> Vec<(&'static str, u64)> {
        let mut reasons: Vec<_> = self.reasons.iter().map(|(reason, count)| (*reason, *count)).collect();
        reasons.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
        reasons
    }

    /// Groups of refusals, the newest first.
    pub fn refusals(&self) -> impl Iterator<Item = &Refusal> {
        self.refusals.iter()
    }

    /// Requests in each of the last `columns` whole seconds before `now`, the oldest first.
    pub fn pace(&self, now: Duration, columns: u64) -> Vec<u64> {
        let now = now.as_secs();
        let from = now.saturating_sub(columns.min(PACE));
        (from..now).map(|second| self.pace.get(&second).copied().unwrap_or_default()).collect()
    }

    /// Requests a second, over the last five whole seconds.
    pub fn rate(&self, now: Duration) -> u64 {
        let last = self.pace(now, 5);
        let count = u64::try_from(last.len()).unwrap_or_default().max(1);
        (last.iter().sum::<u64>() + count / 2) / count
    }
}

/// What was asked: the operation, the path where none was found, or no more than the method where the path was not read.
fn asked(exchange: &Exchange) -> String {
    let Exchange { operation, method, path, reason, .. } = exchange;
    if operation.contains(' ') {
        operation.to_string()
    } else if reason.is_some_and(|reason| reason.starts_with("ingress.")) && path == "/" {
        format!("{method}, not read further")
    } else {
        format!("{method} {path}")
    }
}

/// A score that several tasks write and the view reads.
pub type Shared = Arc<parking_lot::Mutex<Score>>;

#[cfg(test)]
pub mod tests {
    //! The counting, and events to count.
    #![allow(clippy::unwrap_used, reason = "tests assert")]

    use bartizan_model::{Mode, Scheme};
    use bartizan_traffic::Label;

    use super::*;

    /// An event as the gateway publishes it; with a reason it is a refusal.
    pub fn exchange(
        number: u64,
        at: Timestamp,
        from: &str,
        operation: &str,
        reason: Option<&'static str>,
    ) -> Event {
        let (method, path) = operation.split_once(' ').unwrap();
        let verdict = match reason {
            None => Verdict::Allow,
            Some("rate_limit.exceeded") => Verdict::Throttle,
            Some(reason) if reason.starts_with("identity") => Verdict::Challenge,
            Some(_) => Verdict::Deny,
        };
        Event {
            id: EventId::new(at_zero(), u128::from(number)),
            time: at,
            client: Some(from.parse().unwrap()),
            generation: 1,
            kind: EventKind::Exchange(Box::new(Exchange {
                verdict,
                reason,
                by: reason.map(|_| "identity"),
                api: "bank".into(),
                operation: operation.into(),
                method: if method == "POST" { "POST" } else { "GET" },
                scheme: Scheme::Http,
                protocol: "HTTP/1.1",
                path: path.to_owned(),
                status: 200,
                duration: Duration::from_millis(1),
                upstream_wait: None,
                backend: None,
                attempts: 1,
                bytes_in: 0,
                bytes_out: 0,
                principal: None,
                allowed_by: Vec::new(),
                findings: Vec::new(),
                findings_dropped: 0,
                score: None,
                observed: Vec::new(),
                trace: Vec::new(),
                mode: Mode::Enforce,
            })),
        }
    }

    fn at_zero() -> Timestamp {
        Timestamp::from_seconds(1_790_000_000)
    }

    fn sent(part: Part, fate: Fate, event: Option<EventId>) -> Sent {
        let kind = if part == Part::Use { Kind::Person } else { Kind::SqlInjection };
        Sent { kind, part, fate, event, took: Duration::from_millis(1), wrong: None }
    }

    fn outcome(part: Part, result: Result<Answer, Broken>) -> Outcome {
        let label = Label {
            actor: "somebody".into(),
            kind: if part == Part::Use { Kind::Person } else { Kind::SqlInjection },
            part,
            drill: None,
            flaw: None,
            operation: None,
            principal: None,
            object: None,
            victim: None,
            expected: (part == Part::Use).then_some(401),
        };
        let (target, latency) = ("/v1/search?q=rent".to_owned(), Duration::from_millis(1));
        Outcome { id: 1, label, method: "GET", target, at: at_zero(), latency, result, foreseen: 200 }
    }

    #[test]
    fn a_fate_is_who_answered_and_what() {
        let event = ("x-bartizan-event".to_owned(), exchange_id());
        let ours = |status| Ok(Answer { status, headers: vec![event.clone()], body: Vec::new() });
        let banks = |status| Ok(Answer { status, ..Answer::default() });
        for (part, result, fate) in [
            (Part::Attack, ours(403), Fate::Stopped),
            (Part::Attack, Err(Broken::Closed), Fate::Stopped),
            (Part::Attack, ours(502), Fate::Failed),
            (Part::Attack, Err(Broken::Timeout), Fate::Failed),
            (Part::Attack, banks(500), Fate::Answered),
            (Part::Use, banks(401), Fate::Answered),
            (Part::Use, ours(401), Fate::Answered),
            (Part::Use, banks(404), Fate::Answered),
            (Part::Use, ours(429), Fate::Stopped),
            (Part::Use, banks(500), Fate::Failed),
            (Part::Use, Err(Broken::Closed), Fate::Failed),
        ] {
            let told = format!("{part:?} {result:?}");
            let sent = Sent::from(&outcome(part, result));
            assert_eq!(sent.fate, fate, "{told}");
            assert_eq!(sent.wrong.is_some(), part == Part::Use && fate != Fate::Answered, "{told}");
            assert!(!sent.wrong.unwrap_or_default().contains("rent"), "what is searched for is not told");
        }
    }

    fn exchange_id() -> String {
        EventId::new(at_zero(), 7).to_string()
    }

    #[test]
    fn a_banned_address_is_among_the_refusals() {
        let mut score = Score::new(at_zero());
        let kind = EventKind::Connection { code: "connection.banned", detail: String::new() };
        let client = Some("192.0.2.1".parse().unwrap());
        let id = EventId::new(at_zero(), 1);
        score.seen(&Event { id, time: at_zero(), client, generation: 1, kind });
        assert_eq!(score.reasons(), [("connection.banned", 1)]);
        assert_eq!((score.refusals().count(), score.verdicts.total()), (1, 0));
    }

    #[test]
    fn truth_decides_what_counts() {
        let mut score = Score::new(at_zero());
        for fate in [Fate::Stopped, Fate::Answered, Fate::Failed] {
            for part in [Part::Use, Part::Groundwork, Part::Attack] {
                score.sent(&sent(part, fate, None));
            }
        }
        assert_eq!(score.attacks(), Tally { tried: 3, stopped: 1, through: 1 });
        assert_eq!((score.people.sent, score.people.succeeded, score.people.stopped), (3, 1, 1));
        assert!(score.people.success() < 34.0);
    }

    #[test]
    fn one_failure_in_a_million_is_not_rounded_away() {
        let people = People { sent: 1_000_000, succeeded: 999_999, ..People::default() };
        assert!(people.success() < 100.0);
    }

    #[test]
    fn a_flood_is_one_line_that_counts_and_knows_who_it_was() {
        let mut score = Score::new(at_zero());
        let early = exchange(1, at_zero(), "192.0.2.1", "POST /v1/login", Some("rate_limit.exceeded"));
        // The sender's word may come before the gateway's event, or after it.
        score.sent(&sent(Part::Attack, Fate::Stopped, Some(early.id)));
        score.seen(&early);
        for number in 2..=100 {
            let at = at_zero().plus(Duration::from_millis(number * 50));
            score.seen(&exchange(number, at, "192.0.2.1", "POST /v1/login", Some("rate_limit.exceeded")));
        }
        let late = at_zero().plus(Duration::from_secs(11));
        let late = exchange(101, late, "192.0.2.1", "POST /v1/login", Some("rate_limit.exceeded"));
        score.seen(&late);
        score.sent(&sent(Part::Attack, Fate::Stopped, Some(late.id)));
        let groups: Vec<(u64, Option<Kind>)> = score.refusals().map(|r| (r.count, r.kind)).collect();
        assert_eq!(groups, [(1, Some(Kind::SqlInjection)), (100, Some(Kind::SqlInjection))]);
        assert_eq!(score.reasons(), [("rate_limit.exceeded", 101)]);
        assert_eq!(score.first_stop, Some(Duration::ZERO));
    }

    #[test]
    fn the_example_stays_long_enough_to_be_copied() {
        let mut score = Score::new(at_zero());
        let mut shown = Vec::new();
        for second in 0..60 {
            let reason = if second % 2 == 0 { "identity.missing" } else { "rate_limit.exceeded" };
            let at = at_zero().plus(Duration::from_secs(second));
            score.seen(&exchange(second, at, "192.0.2.1", "GET /v1/cards", Some(reason)));
            shown.push(score.example().unwrap());
        }
        shown.dedup();
        assert_eq!(shown.len(), 3);
    }

    #[test]
    fn the_pace_is_that_of_whole_seconds() {
        let mut score = Score::new(at_zero());
        for number in 0..100 {
            let at = at_zero().plus(Duration::from_millis(number * 100));
            score.seen(&exchange(number, at, "192.0.2.1", "GET /v1/cards", None));
        }
        let now = Duration::from_millis(9_950);
        assert_eq!((score.rate(now), score.pace(now, 3)), (10, vec![10, 10, 10]));
        assert_eq!(score.pace(now, 100).len(), 9);
    }
}
