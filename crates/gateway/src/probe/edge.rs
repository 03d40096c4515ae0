//! What no guard is mounted for: the strict reading of requests, the client's true address, overrides, unknown operations.

use std::{net::IpAddr, sync::Arc};

use bartizan_model::{Mode, probe::Expect};
use bartizan_policy::snapshot::{Api, Found, UnknownOperations};
use http::{HeaderName, HeaderValue, Method};

use super::{
    Level, Remark,
    judge::{self, Judgement},
    plan::{self, Target},
    run::{Rows, Run},
    wire::{Answer, Request},
};

const INGRESS: &str = "strict ingress";
const ADDRESS: &str = "client address";
const UNKNOWN: &str = "unknown operations";

/// Whom a forger claims to be (RFC 2544: nobody).
const CLAIMED: &str = "198.18.7.7";

/// Names by which a client could name another method or target; underscores count as dashes.
const OVERRIDES: [HeaderName; 5] = [
    HeaderName::from_static("x-http-method-override"),
    HeaderName::from_static("x-method-override"),
    HeaderName::from_static("x_http_method_override"),
    HeaderName::from_static("x-original-url"),
    HeaderName::from_static("x-rewrite-url"),
];

/// What two parsers could read differently: a name, and the request with `HOST` and `BASE` put in.
const AMBIGUOUS: [(&str, &str); 9] = [
    ("two `Host` fields", "GET BASE/ HTTP/1.1\r\nHost: HOST\r\nHost: elsewhere.invalid\r\n\r\n"),
    (
        "`Content-Length` beside `Transfer-Encoding`",
        "POST BASE/ HTTP/1.1\r\nHost: HOST\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    ),
    (
        "two lengths",
        "POST BASE/ HTTP/1.1\r\nHost: HOST\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nprobe",
    ),
    (
        "a disguised transfer coding",
        "POST BASE/ HTTP/1.1\r\nHost: HOST\r\nTransfer-Encoding : chunked\r\n\r\n0\r\n\r\n",
    ),
    ("dots behind an encoded slash", "GET BASE/a/..%2f..%2fetc/passwd HTTP/1.1\r\nHost: HOST\r\n\r\n"),
    ("a path that is encoded twice", "GET BASE/%252e%252e/admin HTTP/1.1\r\nHost: HOST\r\n\r\n"),
    ("a backslash in the path", "GET BASE/a%5c..%5cadmin HTTP/1.1\r\nHost: HOST\r\n\r\n"),
    ("a target of another host than `Host`", "GET http://elsewhere.invalid/ HTTP/1.1\r\nHost: HOST\r\n\r\n"),
    (
        "a field that continues on the next line",
        "GET BASE/ HTTP/1.1\r\nHost: HOST\r\nX-Probe: a\r\n b\r\n\r\n",
    ),
];

impl Run {
    /// What is read, and refused, before any guard.
    pub(super) async fn edge(&mut self, api: &Arc<Api>, targets: &[Target], rows: &mut Rows) {
        let Some(target) = targets.first() else { return };
        let Some(sample) = target.samples.first() else { return };
        let base = self.compose(api, target, sample, None, &[]);
        self.ingress(api, &base, rows).await;
        self.overrides(api, targets, rows).await;
        self.address(&base, rows).await;
    }

    async fn ingress(&mut self, api: &Arc<Api>, base: &Request, rows: &mut Rows) {
        rows.of(INGRESS, Mode::Enforce);
        for (name, text) in AMBIGUOUS {
            let text = text.replace("HOST", &base.host).replace("BASE", &api.base_path);
            let Some(answer) = self.send_raw(base, text.as_bytes()).await else { return };
            let row = rows.of(INGRESS, Mode::Enforce);
            row.hostile += 1;
            // Break-glass does not concern what is ambiguous.
            let refused = !answer.echoed && answer.status >= 400;
            if refused {
                row.blocked += 1;
                continue;
            }
            let line = text.lines().next().unwrap_or_default();
            let sent = format!("{line} from {}: {name}", base.peer);
            let what = format!("a request that two parsers could read differently gets through: {name}");
            self.not_enforced(api, INGRESS, what, sent, &answer);
        }
    }

    /// Fields that name another method or target must not reach an upstream.
    async fn overrides(&mut self, api: &Arc<Api>, targets: &[Target], rows: &mut Rows) {
        for target in targets {
            let Some(sample) = target.samples.first() else { continue };
            let mut request = self.compose(api, target, sample, None, &[]);
            let claims = HeaderValue::from_static("DELETE");
            request.headers.extend(OVERRIDES.into_iter().map(|name| (name, claims.clone())));
            let Some(answer) = self.send(&request).await else { return };
            if !answer.echoed {
                // A guard demands what no probe has; another operation may not.
                continue;
            }
            let row = rows.of(INGRESS, Mode::Enforce);
            row.hostile += 1;
            let through: Vec<&HeaderName> =
                answer.forwarded.iter().filter(|name| OVERRIDES.contains(name)).collect();
            let allowed = |name: &&HeaderName| api.allowed_override_headers.contains(name);
            let sent = format!("{}: fields that name another method or target", request.told());
            if through.is_empty() {
                row.blocked += 1;
            } else if through.iter().all(allowed) {
                row.watched += 1;
                let names: Vec<String> = through.iter().map(|name| format!("`{name}`")).collect();
                let what = format!(
                    "{} is let through: a client may name another method or target than the one that guards see",
                    names.join(", ")
                );
                let remedy =
                    "remove `allow_override_headers`, and have clients send the method that they mean";
                let active = Arc::clone(&self.active);
                let place = active.snapshot.places.setting(&api.name, &[], &["allow_override_headers"]);
                let remark =
                    Remark::new(Level::Finding, "override_headers", what, remedy).of(&api.name, INGRESS);
                self.remark(remark.at(place).exchange(sent, answer.told()));
            } else {
                let what = "a field that names another method or target gets through".to_owned();
                self.not_enforced(api, INGRESS, what, sent, &answer);
            }
            return;
        }
    }

    /// A client that nobody vouches for must not choose its own address.
    async fn address(&mut self, base: &Request, rows: &mut Rows) {
        rows.of(ADDRESS, Mode::Enforce);
        let free = |ip: &IpAddr| !self.gateway.bans.is_banned(*ip, self.gateway.services.clock.now());
        let Some(stranger) = plan::strangers(&self.active.snapshot.trusted_proxies).into_iter().find(free)
        else {
            return;
        };
        for (name, value) in [("x-forwarded-for", CLAIMED), ("forwarded", "for=198.18.7.7")] {
            let mut request = base.clone();
            request.peer = stranger;
            request.headers.push((HeaderName::from_static(name), HeaderValue::from_static(value)));
            let Some(answer) = self.send(&request).await else { return };
            let Some(observed) = &answer.observed else { continue };
            let row = rows.of(ADDRESS, Mode::Enforce);
            row.hostile += 1;
            if observed.client == stranger {
                row.blocked += 1;
                continue;
            }
            let remark = Remark::new(
                Level::Error,
                "forged_address",
                "any client may choose its own address: `ip_access`, bans and limits by address can be passed",
                "list the addresses of your own proxies in `trusted_proxies`, and nobody else's",
            );
            let sent = format!("{} with `{name}: {value}`", request.told());
            let came_back = format!("the gateway took {} for the client", observed.client);
            let active = Arc::clone(&self.active);
            let remark = remark.at(active.snapshot.places.document("trusted_proxies"));
            self.remark(Remark { guards: vec![ADDRESS], ..remark.exchange(sent, came_back) });
        }
    }

    /// A request that nothing names, under the API's `unknown_operations`.
    pub(super) async fn unknown(&mut self, api: &Arc<Api>, rows: &mut Rows) {
        let path = api.operations.undeclared_path();
        let Found::Operation(operation) = api.operations.find(&Method::GET, &path) else { return };
        // A block for everything leaves nothing unknown.
        if operation.known {
            return;
        }
        let target = Target::new(operation, (Method::GET, path));
        let mode = match api.unknown_operations {
            UnknownOperations::Deny if api.mode == Mode::Enforce => Mode::Enforce,
            UnknownOperations::Deny | UnknownOperations::Monitor => Mode::Monitor,
            UnknownOperations::Allow => Mode::Off,
        };
        let Some(sample) = target.samples.first() else { return };
        let request = self.compose(api, &target, sample, None, &[]);
        let Some(answer) = self.send(&request).await else { return };
        let row = rows.of(UNKNOWN, mode);
        row.hostile += 1;
        let judged = judge::hostile("route", mode, &Expect::Refused, &answer);
        let active = Arc::clone(&self.active);
        let place = active.snapshot.places.setting(&api.name, &[], &["unknown_operations", "contract"]);
        // Without a contract the operations are not known: watching them is how one comes to know them.
        let meant = mode == Mode::Off || api.operations.has_contract();
        let level = if meant { Level::Finding } else { Level::Note };
        let sent = format!("{}: an operation that nothing names", request.told());
        match (mode, judged) {
            (_, Judgement::Blocked) => row.blocked += 1,
            (Mode::Off, _) => {
                let what = "what neither the contract nor a block names is forwarded without a word";
                let remedy = "write `unknown_operations: deny`, or `monitor` to have it reported";
                let remark = Remark::new(level, "unknown_operations", what, remedy).of(&api.name, UNKNOWN);
                self.remark(remark.at(place).exchange(sent, answer.told()));
            }
            (Mode::Monitor, Judgement::Watched) => {
                row.watched += 1;
                let what = "what neither the contract nor a block names is forwarded, with a finding";
                let remedy = if level == Level::Finding {
                    "write `unknown_operations: deny`, and `mode: enforce` for the API; `--allow-monitor` accepts it"
                } else {
                    "give the API a `contract`, and what it does not name is refused"
                };
                let remark = Remark::new(level, "monitor", what, remedy).of(&api.name, UNKNOWN);
                self.remark(remark.at(place).exchange(sent, answer.told()));
            }
            (_, Judgement::Watched) => row.watched += 1,
            (_, Judgement::Broken(_) | Judgement::Unanswered) => {
                let what = "`unknown_operations` does not do what it says".to_owned();
                self.not_enforced(api, UNKNOWN, what, sent, &answer);
            }
        }
    }

    fn not_enforced(
        &mut self,
        api: &Arc<Api>,
        row: &'static str,
        what: String,
        sent: String,
        answer: &Answer,
    ) {
        let code = if answer.status == 0 { "no_answer" } else { "not_enforced" };
        let remedy =
            "keep traffic away and report it with this output: the gateway does not do what its policy says";
        let remark = Remark::new(Level::Error, code, what, remedy).of(&api.name, row);
        let unready = code == "not_enforced";
        self.remark(Remark { unready, ..remark.exchange(sent, answer.told()) });
    }
}
