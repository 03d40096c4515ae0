//! One run: what it may spend, what it has seen, and how a probe becomes a request.

use std::{collections::HashMap, sync::Arc};

use bartizan_guards::rate_limit::AddressLimits;
use bartizan_model::{
    Mode, Scheme, Timestamp,
    probe::{Edit, Offer, Part, Scratch},
    services::{ApiKeys, LimitStore},
};
use bartizan_policy::snapshot::{Api, Found};
use http::{HeaderMap, HeaderValue, Method, header};
use tokio::time::Instant;

use super::{
    Bounds, Interrupted, Level, Mark, Remark, Report, Row,
    plan::{self, Target},
    report::ApiReport,
    scratch::{Counters, OneKey},
    wire::{self, Answer, Request},
};
use crate::gateway::{Active, Gateway};

/// Remarks that are kept: somebody reads them.
const MAX_REMARKS: usize = 100;

/// A run over the policy in force.
pub(super) struct Run {
    pub gateway: Arc<Gateway>,
    pub active: Arc<Active>,
    bounds: Bounds,
    began: Instant,
    now: Timestamp,
    scheme: Scheme,
    key: Arc<OneKey>,
    offers: HashMap<Part, Arc<Offer>>,
    probes: usize,
    left_out: usize,
    remarks: Vec<Remark>,
    remarks_dropped: usize,
    superseded: bool,
}

impl Run {
    pub fn new(gateway: &Arc<Gateway>, bounds: Bounds) -> Self {
        let active = gateway.active();
        let now = gateway.services.clock.now();
        let listeners = &active.snapshot.listeners;
        let cleartext = listeners.iter().any(|l| l.tls.is_none() && l.redirect_to_https.is_none());
        Run {
            gateway: Arc::clone(gateway),
            bounds,
            began: Instant::now(),
            now,
            scheme: if cleartext { Scheme::Http } else { Scheme::Https },
            key: Arc::new(OneKey::new(&*gateway.services.random, now)),
            offers: HashMap::new(),
            probes: 0,
            left_out: 0,
            remarks: Vec::new(),
            remarks_dropped: 0,
            superseded: false,
            active,
        }
    }

    /// Probes every API.
    pub async fn all(mut self) -> Result<Report, Interrupted> {
        let active = Arc::clone(&self.active);
        let mut apis = Vec::new();
        for api in &active.snapshot.apis {
            apis.push(self.api(api).await);
            if self.gateway.is_draining() {
                return Err(Interrupted::Draining);
            }
            if self.superseded {
                return Err(Interrupted::Superseded);
            }
        }
        let break_glass_until = self.gateway.break_glass_until(self.gateway.services.clock.now());
        if let Some(until) = break_glass_until {
            self.remark(Remark::new(
                Level::Finding,
                "break_glass",
                format!("break-glass is on until {until}: no guard refuses anything, findings only are left"),
                "run `bartizan mode enforce` as soon as the emergency is over",
            ));
        }
        if self.left_out > 0 {
            let left_out = self.left_out;
            self.remark(Remark::new(
                Level::Note,
                "left_out",
                format!("{left_out} probes were not sent: a bound of the run was reached"),
                "ask `bartizan doctor`, which may send more than readiness does",
            ));
        }
        self.remarks.sort_by_key(|remark| remark.level);
        Ok(Report {
            generation: active.snapshot.generation,
            digest: active.snapshot.digest.clone(),
            break_glass_until,
            probes: self.probes,
            left_out: self.left_out,
            took: self.began.elapsed(),
            apis,
            findings: self.remarks,
            findings_dropped: self.remarks_dropped,
        })
    }

    async fn api(&mut self, api: &Arc<Api>) -> ApiReport {
        let (targets, unreached) = plan::targets(api, &self.active);
        let mut rows = Rows::default();
        self.edge(api, &targets, &mut rows).await;
        self.guards(api, &targets, &mut rows).await;
        self.unknown(api, &mut rows).await;
        if unreached > 0 {
            let what = format!("no request was found here that meets {unreached} set(s) of guards");
            let remedy = "see `bartizan check --effective` for what they end up with, and whether another API hides them";
            self.remark(Remark {
                api: Some(Arc::clone(&api.name)),
                ..Remark::new(Level::Note, "unreached", what, remedy)
            });
        }
        ApiReport { name: Arc::clone(&api.name), guards: rows.finish(&targets) }
    }

    /// Keeps a remark, unless there are too many; one that was made before learns of more operations.
    pub fn remark(&mut self, remark: Remark) {
        if let Some(known) = self.remarks.iter_mut().find(|known| known.says_what(&remark)) {
            return known.also_on(remark);
        }
        if self.remarks.len() < MAX_REMARKS {
            self.remarks.push(remark);
        } else {
            self.remarks_dropped += 1;
        }
    }

    /// What a mounted guard of this operation can be probed with.
    pub fn offer(&mut self, target: &Target, part: Part) -> Option<Arc<Offer>> {
        if !self.offers.contains_key(&part) {
            for offer in target.operation.guards.offers(self.now, |wanted| wanted == part) {
                self.offers.insert(offer.part, Arc::new(offer));
            }
        }
        self.offers.get(&part).cloned()
    }

    /// A guard offers this instead of what it would.
    #[cfg(test)]
    pub fn pretend(&mut self, offer: Offer) {
        self.offers.insert(offer.part, Arc::new(offer));
    }

    /// The guards of the operation, before `place` in the pipeline, whose demands no probe can meet, with the reasons.
    pub fn unmet(&mut self, target: &Target, place: usize) -> Vec<(&'static str, &'static str)> {
        let parts: Vec<Part> =
            target.parts.iter().take(place).filter(|part| part.mode != Mode::Off).copied().collect();
        let unmet = |part| self.offer(target, part).and_then(|offer| Some((part.guard, offer.probes.unmet?)));
        parts.into_iter().filter_map(unmet).collect()
    }

    /// A request that no guard of the operation has anything against, as far as one can be made, but for `own`, with
    /// these changes.
    pub fn compose(
        &mut self,
        api: &Arc<Api>,
        target: &Target,
        sample: &(Method, String),
        own: Option<Part>,
        edits: &[Edit],
    ) -> Request {
        let (method, path) = sample.clone();
        let mut request = Request {
            method,
            host: plan::host(api, &self.active),
            path,
            query: None,
            headers: vec![
                (header::ACCEPT, HeaderValue::from_static("*/*")),
                (header::USER_AGENT, HeaderValue::from_static("bartizan-probe")),
            ],
            content_length: None,
            peer: std::net::Ipv4Addr::new(192, 0, 2, 1).into(),
            spent: None,
            reply: HeaderMap::new(),
        };
        let others = target.parts.iter().filter(|part| part.mode != Mode::Off && Some(**part) != own);
        for part in others.copied().collect::<Vec<_>>() {
            if let Some(offer) = self.offer(target, part) {
                self.apply(&mut request, target, &offer.probes.pass);
            }
        }
        self.apply(&mut request, target, edits);
        if request.content_length.is_none() && !matches!(request.method, Method::GET | Method::HEAD) {
            request.content_length = Some(0);
        }
        request
    }

    fn apply(&self, request: &mut Request, target: &Target, edits: &[Edit]) {
        for edit in edits {
            match edit.clone() {
                Edit::Peers(peers) => {
                    let free = |ip: &std::net::IpAddr| !self.gateway.bans.is_banned(*ip, self.now);
                    request.peer = peers.into_iter().find(free).unwrap_or(request.peer);
                }
                Edit::Method(method) => request.method = method,
                Edit::Header(name, value) => request.headers.push((name, value)),
                Edit::Query(query) => request.query = Some(query),
                Edit::ContentLength(length) => request.content_length = Some(length),
                Edit::ApiKey(name) => {
                    let value = HeaderValue::from_str(self.key.plain()).ok();
                    request.headers.extend(value.map(|value| (name, value)));
                }
                Edit::Spent { place, identified } => {
                    // Limits by address are asked first: the place of the others is counted behind them.
                    let limits = target.operation.guards.address_limits.active();
                    let before = if identified { limits.map_or(0, AddressLimits::count) } else { 0 };
                    request.spent = Some(place.saturating_add(before));
                }
                Edit::Reply(name, value) => drop(request.reply.append(name, value)),
            }
        }
    }

    /// Whether the request finds an operation that has `part` in this place.
    pub fn finds(&self, api: &Api, request: &Request, place: usize, part: Part) -> bool {
        let found = match api.operations.find(&request.method, &request.path) {
            Found::Operation(operation) => operation,
            Found::MethodNotAllowed { operation: Some(operation), .. } => operation,
            Found::MethodNotAllowed { operation: None, .. } => return false,
        };
        found.guards.parts().get(place) == Some(&part)
    }

    /// Sends a request; nothing when a bound of the run is reached.
    pub async fn send(&mut self, request: &Request) -> Option<Answer> {
        let bytes = request.bytes();
        self.send_raw(request, &bytes).await
    }

    /// Sends `bytes` as the peer of `request`; nothing when a bound of the run is reached.
    pub async fn send_raw(&mut self, request: &Request, bytes: &[u8]) -> Option<Answer> {
        if self.probes >= self.bounds.probes || self.began.elapsed() >= self.bounds.time {
            self.left_out += 1;
            return None;
        }
        self.probes += 1;
        let limits: Arc<dyn LimitStore> =
            Arc::new(Counters::new(&*self.gateway.services.random, request.spent));
        let api_keys: Arc<dyn ApiKeys> = Arc::<OneKey>::clone(&self.key);
        let mark = Mark::new(Scratch { limits, api_keys }, request.reply.clone());
        let unfinished = request.content_length.is_some_and(|length| length > 0);
        let (peer, patience) = (request.peer, self.bounds.answer);
        let answer = wire::send(&self.gateway, &mark, peer, self.scheme, bytes, unfinished, patience).await;
        let generation = self.active.snapshot.generation;
        // A run has no need to wait for anything: whoever shares the thread is let in between.
        tokio::task::yield_now().await;
        self.superseded |= answer.observed.as_ref().is_some_and(|seen| seen.generation != generation);
        Some(answer)
    }
}

/// The rows of one API while they are counted.
#[derive(Default)]
pub(super) struct Rows(Vec<Row>);

impl Rows {
    /// The row of a guard in a mode.
    pub fn of(&mut self, guard: &'static str, mode: Mode) -> &mut Row {
        let at = self.0.iter().position(|row| row.guard == guard && row.mode == mode);
        let at = at.unwrap_or_else(|| {
            let empty =
                Row { guard, mode, operations: 0, hostile: 0, blocked: 0, watched: 0, benign: 0, passed: 0 };
            self.0.push(empty);
            self.0.len() - 1
        });
        #[expect(clippy::indexing_slicing, reason = "INVARIANT: found, or pushed just now")]
        &mut self.0[at]
    }

    /// The rows with the number of operations that have each guard so.
    fn finish(mut self, targets: &[Target]) -> Vec<Row> {
        for row in &mut self.0 {
            let has = |target: &&Target| {
                target.parts.iter().any(|part| part.guard == row.guard && part.mode == row.mode)
            };
            let labels = targets.iter().filter(has).flat_map(|target| &target.labels);
            row.operations = labels.collect::<std::collections::HashSet<_>>().len();
        }
        self.0
    }
}
