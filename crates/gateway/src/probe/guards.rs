//! What guards are asked: a benign request for each set of them, and for each one the hostile ones that it offers.

use std::{
    collections::{BTreeMap, BTreeSet, HashSet},
    sync::Arc,
};

use bartizan_model::{
    Mode,
    probe::{Edit, Expect, Part, Probe, Weight},
    transaction::Step,
};
use bartizan_policy::snapshot::{Api, UnknownOperations};
use http::HeaderName;

use super::{
    Level, Remark,
    judge::{self, Benign, Judgement},
    modes::Lowered,
    plan::Target,
    run::{Rows, Run},
    wire::{Answer, Request},
};

/// Names the client's address; believed only from trusted proxies.
const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

impl Run {
    /// Probes every guard of every set.
    pub(super) async fn guards(&mut self, api: &Arc<Api>, targets: &[Target], rows: &mut Rows) {
        for target in targets {
            // In the order of the pipeline, also those that nothing is sent to.
            for part in target.parts.iter().filter(|part| part.instance != 0) {
                rows.of(part.guard, part.mode);
            }
            self.benign(api, target, rows).await;
        }
        let mut seen: HashSet<(usize, Part)> = HashSet::new();
        let mut lowered = Vec::new();
        let mut behind = Behind::new();
        for target in targets {
            for (place, part) in target.parts.iter().enumerate() {
                if part.instance != 0 && seen.insert((place, *part)) {
                    lowered.extend(self.hostile(api, targets, place, *part, rows, &mut behind).await);
                }
            }
        }
        self.modes(api, targets, lowered);
        for ((guard, reason), unreached) in behind {
            let names: Vec<String> = unreached.iter().map(|guard| format!("`{guard}`")).collect();
            let what = format!(
                "not all probes of {} could be sent: they stand behind `{guard}`, and nothing that is made here passes it ({reason})",
                names.join(", ")
            );
            let remedy = "nothing, if that is meant: what comes so far is refused, and that was probed";
            let remark = Remark::new(Level::Note, "not_probed", what, remedy);
            self.remark(Remark { guards: unreached.into_iter().collect(), ..remark.of(&api.name, guard) });
        }
    }

    /// One request that no guard should have anything against.
    async fn benign(&mut self, api: &Arc<Api>, target: &Target, rows: &mut Rows) {
        let refused = api.unknown_operations == UnknownOperations::Deny && api.mode == Mode::Enforce;
        if !target.operation.known && refused {
            return;
        }
        let guards: Vec<&'static str> = target.parts.iter().map(|part| part.guard).collect();
        let unmet = self.unmet(target, target.parts.len());
        let mut last = None;
        for sample in &target.samples {
            let request = self.compose(api, target, sample, None, &[]);
            let Some(answer) = self.send(&request).await else { return };
            let judged = judge::benign(&unmet, &guards, &answer);
            let other_method = matches!(judged, Benign::Refused(_, "request_limits.method"));
            last = Some((request, answer, judged));
            // A method that the contract names and `methods` does not is shut on purpose.
            if !other_method {
                break;
            }
        }
        let Some((request, answer, judged)) = last else { return };
        self.count_benign(target, &unmet, &answer, rows);
        self.tell_benign(api, target, &request, &answer, &judged);
    }

    fn count_benign(
        &mut self,
        target: &Target,
        unmet: &[(&'static str, &'static str)],
        answer: &Answer,
        rows: &mut Rows,
    ) {
        let Some(observed) = &answer.observed else { return };
        let mut counted: Vec<&str> = Vec::new();
        for part in target.parts.iter().filter(|part| part.instance != 0 && part.mode != Mode::Off) {
            if counted.contains(&part.guard) {
                continue;
            }
            counted.push(part.guard);
            let row = rows.of(part.guard, part.mode);
            let asked = |code: &str| {
                code == "request_limits.method"
                    || unmet.iter().any(|(guard, named)| *guard == part.guard && judge::is_code(named, code))
            };
            match observed.step(part.guard) {
                Some(Step::Continued | Step::Answered) => {
                    row.benign += 1;
                    row.passed += 1;
                }
                Some(Step::Watched(code) | Step::Refused(code)) if !asked(code) => row.benign += 1,
                _ => {}
            }
        }
    }

    fn tell_benign(
        &mut self,
        api: &Arc<Api>,
        target: &Target,
        request: &Request,
        answer: &Answer,
        judged: &Benign,
    ) {
        let remedy = |guard: &str| {
            let findings = answer.observed.iter().flat_map(|observed| &observed.findings);
            let advice = findings.filter(|finding| finding.guard == guard).find_map(|f| f.remedy.clone());
            advice.map_or_else(|| format!("see what `{guard}` is told in the policy"), Into::into)
        };
        let (level, code, guard, what) = match *judged {
            Benign::Passed | Benign::Asked => return,
            Benign::Refused(_, "request_limits.method") => return,
            Benign::Refused(guard, reason) => (
                if target.parts.iter().any(|part| part.guard == guard) {
                    Level::Error
                } else {
                    Level::Finding
                },
                "benign_refused",
                guard,
                format!("a plain request that nothing is wrong with is refused by `{guard}` ({reason})"),
            ),
            Benign::Watched(guard, reason) => (
                Level::Finding,
                "benign_watched",
                guard,
                format!(
                    "`{guard}` only watches, and would refuse a plain request that nothing is wrong with ({reason})"
                ),
            ),
            Benign::Unanswered => {
                let remark = Remark::new(
                    Level::Error,
                    "no_answer",
                    "a plain request got no answer",
                    "ask again; if it stays so, see whether the process is starved of processor time",
                );
                return self.remark(Remark {
                    unready: true,
                    api: Some(Arc::clone(&api.name)),
                    ..remark.exchange(request.told(), answer.told())
                });
            }
        };
        let remark = Remark::new(level, code, what, remedy(guard));
        let blocks = api.operations.blocks_of(&request.method, &request.path);
        let active = Arc::clone(&self.active);
        let place = active.snapshot.places.setting(&api.name, &blocks, &[guard]);
        let remark = remark.of(&api.name, guard).on(&target.labels).at(place);
        let unready = level == Level::Error;
        self.remark(Remark { unready, ..remark.exchange(request.told(), answer.told()) });
    }

    /// The hostile probes of one mounted guard; what it does not enforce by policy.
    async fn hostile(
        &mut self,
        api: &Arc<Api>,
        targets: &[Target],
        place: usize,
        part: Part,
        rows: &mut Rows,
        behind: &mut Behind,
    ) -> Option<Lowered> {
        let target = targets.iter().find(|target| target.has(place, part))?;
        let offer = self.offer(target, part)?;
        if part.mode == Mode::Off {
            rows.of(part.guard, part.mode).hostile += offer.probes.hostile.len();
            return (!offer.probes.hostile.is_empty()).then_some(Lowered { place, part });
        }
        self.doubts(api, targets, place, part);
        // Limits stand in two places, one of which is often empty. A guard that says itself why it offers nothing has said it.
        let explained = offer.probes.doubts.iter().any(|doubt| SILENT.contains(&doubt.code));
        if offer.probes.hostile.is_empty() && part.guard != "rate_limit" && !explained {
            let what = format!("`{}` is mounted, and its settings refuse nothing", part.guard);
            let remark = Remark::new(Level::Note, "nothing_to_enforce", what, "write what it should refuse");
            let labels = targets.iter().filter(|target| target.has(place, part)).flat_map(|t| &t.labels);
            self.remark(remark.of(&api.name, part.guard).on(labels));
        }
        let mut watched = false;
        for probe in &offer.probes.hostile {
            let request = match self.aim(api, targets, place, part, probe) {
                Aim::At(request) => *request,
                Aim::Behind(guard, reason) => {
                    behind.entry((guard, reason)).or_default().insert(part.guard);
                    continue;
                }
                Aim::Nowhere => continue,
            };
            let Some(answer) = self.send(&request).await else { continue };
            let judged = judge::hostile(part.guard, part.mode, &probe.expect, &answer);
            let row = rows.of(part.guard, part.mode);
            row.hostile += 1;
            match judged {
                Judgement::Blocked => row.blocked += 1,
                Judgement::Watched => {
                    row.watched += 1;
                    watched = true;
                }
                Judgement::Broken(why) => {
                    self.broken(api, targets, (place, part), probe, &request, &answer, why)
                }
                Judgement::Unanswered => {
                    let why = format!("a hostile probe of `{}` got no answer", part.guard);
                    self.broken(api, targets, (place, part), probe, &request, &answer, why);
                }
            }
        }
        (watched && part.mode == Mode::Monitor).then_some(Lowered { place, part })
    }

    /// A request that finds an operation with this guard, past the guards before it.
    fn aim(&mut self, api: &Arc<Api>, targets: &[Target], place: usize, part: Part, probe: &Probe) -> Aim {
        let mut behind = None;
        for target in targets.iter().filter(|target| target.has(place, part)) {
            // What guards do to responses shows on refusals, too.
            let enforced = |guard: &str| {
                target.parts.iter().any(|part| part.guard == guard && part.mode == Mode::Enforce)
            };
            // What they make of an upstream's own field shows only where the upstream is reached.
            let to_the_end = edits_reply(probe);
            let places = if to_the_end { target.parts.len() } else { place };
            let stopped = self.unmet(target, places).into_iter().find(|(guard, _)| enforced(guard));
            if (probe.expect == Expect::Refused || to_the_end) && stopped.is_some() {
                behind = stopped;
                continue;
            }
            for sample in &target.samples {
                let request = self.compose(api, target, sample, Some(part), &probe.edits);
                // A trusted proxy may say who the client is: that is no forgery.
                let trusted = self.active.snapshot.trusted_proxies.contains(request.peer);
                let claims = request.headers.iter().any(|(name, _)| *name == X_FORWARDED_FOR);
                if !(trusted && claims) && self.finds(api, &request, place, part) {
                    return Aim::At(Box::new(request));
                }
            }
        }
        behind.map_or(Aim::Nowhere, |(guard, reason)| Aim::Behind(guard, reason))
    }

    #[expect(clippy::too_many_arguments, reason = "all that a reader of the remark is told")]
    fn broken(
        &mut self,
        api: &Arc<Api>,
        targets: &[Target],
        (place, part): (usize, Part),
        probe: &Probe,
        request: &Request,
        answer: &Answer,
        why: String,
    ) {
        let code = if answer.status == 0 { "no_answer" } else { "not_enforced" };
        let remark = Remark::new(
            Level::Error,
            code,
            format!("{why}: {}", probe.name),
            probe.remedy.as_deref().unwrap_or(
                "keep traffic away and report it with this output: the gateway does not do what its policy says",
            ),
        );
        let labels = targets.iter().filter(|target| target.has(place, part)).flat_map(|t| &t.labels);
        let blocks = api.operations.blocks_of(&request.method, &request.path);
        let active = Arc::clone(&self.active);
        let place = active.snapshot.places.setting(&api.name, &blocks, &[part.guard]);
        let unready = part.mode == Mode::Enforce && code == "not_enforced";
        let sent = format!("{}: {}", request.told(), probe.name);
        let remark = remark.of(&api.name, part.guard).on(labels).at(place);
        self.remark(Remark { unready, ..remark.exchange(sent, answer.told()) });
    }

    /// What the guard's own settings leave open.
    fn doubts(&mut self, api: &Arc<Api>, targets: &[Target], place: usize, part: Part) {
        let Some(target) = targets.iter().find(|target| target.has(place, part)) else { return };
        let Some(offer) = self.offer(target, part) else { return };
        let whole = super::modes::whole(api).is_some_and(|parts| parts.get(place) == Some(&part));
        for doubt in &offer.probes.doubts {
            let level = match doubt.weight {
                Weight::Note => Level::Note,
                Weight::Open => Level::Finding,
                Weight::WholeApi if whole => Level::Finding,
                Weight::WholeApi => Level::Note,
            };
            let blocks = target.samples.first().map(|(method, path)| api.operations.blocks_of(method, path));
            let detailed = format!("{}.{}", part.guard, doubt.code);
            let active = Arc::clone(&self.active);
            let keys = [detailed.as_str(), part.guard];
            let place_of = active.snapshot.places.setting(&api.name, &blocks.unwrap_or_default(), &keys);
            let single = doubt.weight == Weight::WholeApi && !whole;
            let remedy =
                if single { "nothing, if everybody may use them".into() } else { doubt.remedy.clone() };
            let remark = Remark::new(level, doubt.code, doubt.what.clone(), remedy);
            let remark = remark.of(&api.name, part.guard).at(place_of);
            let labels = targets.iter().filter(|target| target.has(place, part)).flat_map(|t| &t.labels);
            self.remark(if whole { remark } else { remark.on(labels) });
        }
    }
}

/// Whether a field of the upstream's answer must come out in another form.
fn edits_reply(probe: &Probe) -> bool {
    let Expect::Fields(fields) = &probe.expect else { return false };
    probe.edits.iter().any(|edit| match edit {
        Edit::Reply(name, _) => fields.iter().any(|(wanted, value)| wanted == name && value.is_some()),
        _ => false,
    })
}

/// Doubts of guards that explain why nothing is offered.
const SILENT: [&str; 2] = ["nothing_to_enforce", "not_probed"];

/// Guards of which not every probe could be sent, by the guard before them and its reason.
type Behind = BTreeMap<(&'static str, &'static str), BTreeSet<&'static str>>;

/// Where a hostile probe is sent.
enum Aim {
    /// There.
    At(Box<Request>),
    /// Every operation that has the guard has this one before it, whose demand no probe can meet.
    Behind(&'static str, &'static str),
    /// No request of this shape finds such an operation.
    Nowhere,
}
