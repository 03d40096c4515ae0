//! What happened to a probe, compared with what the policy says must happen.

use bartizan_model::{Mode, probe::Expect, transaction::Step};

use super::wire::Answer;

/// What happened to a hostile probe.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Judgement {
    /// It did not get through as it was.
    Blocked,
    /// It got through with a finding, and the policy wants no more.
    Watched,
    /// It got through although the policy says otherwise; why that is wrong.
    Broken(String),
    /// There is no answer to judge.
    Unanswered,
}

/// Judges a hostile probe of `guard`, which the policy mounts in `mode`.
pub(super) fn hostile(guard: &'static str, mode: Mode, expect: &Expect, answer: &Answer) -> Judgement {
    if answer.status == 0 {
        return Judgement::Unanswered;
    }
    let glass = answer.observed.as_ref().is_some_and(|observed| observed.monitor_all);
    let enforced = mode == Mode::Enforce && !glass;
    let found = answer.observed.as_ref().is_some_and(|observed| observed.found(guard));
    match expect {
        // Whatever stopped it later on, or did not.
        Expect::Refused if !enforced && found => Judgement::Watched,
        Expect::Refused if !answer.echoed && answer.status >= 400 => Judgement::Blocked,
        Expect::Refused if enforced => {
            Judgement::Broken(format!("`{guard}` is to enforce, and lets through what it says it refuses"))
        }
        Expect::Refused => Judgement::Broken(format!(
            "`{guard}` is to watch, and leaves no finding of what it says it refuses"
        )),
        Expect::Fields(fields) => {
            let wrong = fields.iter().find(|(name, wanted)| {
                let mut found = answer.headers.get_all(name).iter();
                match wanted {
                    Some(wanted) => !found.any(|value| value == wanted),
                    None => found.next().is_some(),
                }
            });
            match wrong {
                None => Judgement::Blocked,
                Some((name, Some(_))) if enforced => Judgement::Broken(format!(
                    "`{guard}` is to enforce, and the response lacks `{name}` as the policy sets it"
                )),
                Some((name, None)) if enforced => Judgement::Broken(format!(
                    "`{guard}` is to enforce, and the response has `{name}`, which it takes away"
                )),
                Some(_) => Judgement::Watched,
            }
        }
    }
}

/// What happened to a benign probe.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Benign {
    /// It came to the echo.
    Passed,
    /// It ended as it must where no credential can be made here.
    Asked,
    /// It came to the echo, and this guard would refuse it if it enforced.
    Watched(&'static str, &'static str),
    /// It was refused: by whom, and with which reason.
    Refused(&'static str, &'static str),
    /// There is no answer to judge.
    Unanswered,
}

/// Whether a code is the one that is named, or one of those that `guard.*` stands for.
pub(super) fn is_code(named: &str, code: &str) -> bool {
    named == code || named.strip_suffix('*').is_some_and(|prefix| code.starts_with(prefix))
}

/// Judges a benign probe. `unmet` are the guards, with their reasons, whose demands no probe can meet.
pub(super) fn benign(
    unmet: &[(&'static str, &'static str)],
    guards: &[&'static str],
    answer: &Answer,
) -> Benign {
    let Some(observed) = answer.observed.as_ref().filter(|_| answer.status != 0) else {
        return Benign::Unanswered;
    };
    let expected =
        |guard: &str, code: &str| unmet.iter().any(|(who, why)| *who == guard && is_code(why, code));
    if !answer.echoed {
        let (by, reason) = answer.ended().unwrap_or(("the gateway", None));
        let reason = reason.unwrap_or("no reason");
        return if expected(by, reason) { Benign::Asked } else { Benign::Refused(by, reason) };
    }
    let watched = guards.iter().find_map(|guard| match observed.step(guard) {
        Some(Step::Watched(code)) if !expected(guard, code) => Some((*guard, code)),
        _ => None,
    });
    watched.map_or(Benign::Passed, |(guard, code)| Benign::Watched(guard, code))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests assert")]
    use std::{
        borrow::Cow,
        net::IpAddr,
        sync::Arc,
        task::{Context, Poll, Waker},
    };

    use bartizan_model::{
        Client, CompileContext, Diagnostics, EventId, Guard, Mounted, Outcome, Reason, ReasonInfo, Scheme,
        Timestamp, Transaction, Verdict,
        probe::{Probe, Probes},
        transaction::CanonicalRequest,
    };
    use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Version};

    use super::*;
    use crate::{probe::mark::Observed, record::Ending};

    /// Says that it refuses everything; what it does is another matter.
    struct Guarded {
        lies: bool,
    }

    #[derive(Debug)]
    struct Never;

    const INFO: ReasonInfo = ReasonInfo {
        code: "guarded.never",
        status: StatusCode::FORBIDDEN,
        severity: bartizan_model::Severity::High,
        verdict: Verdict::Deny,
        public: "never",
    };

    impl Reason for Never {
        const ALL: &'static [ReasonInfo] = &[INFO];
        fn info(&self) -> ReasonInfo {
            INFO
        }
        fn detail(&self) -> Cow<'static, str> {
            "never".into()
        }
    }

    impl Guard for Guarded {
        const ID: &'static str = "guarded";
        type Config = Vec<String>;
        type Reason = Never;

        fn compile(_: Vec<String>, _: &CompileContext<'_>) -> Result<Self, Diagnostics> {
            Ok(Guarded { lies: false })
        }

        async fn request_headers(&self, _: &mut Transaction) -> Outcome<Never> {
            if self.lies { Outcome::Continue } else { Outcome::Deny(Never) }
        }

        fn probes(&self, _: Timestamp) -> Probes {
            Probes { hostile: vec![Probe::refused("anything", Vec::new())], ..Probes::default() }
        }
    }

    /// What the mounted guard does with its own probe, as the pipeline would run it.
    fn outcome(lies: bool, mode: Mode, monitor_all: bool) -> Judgement {
        let mounted = Mounted::new(Arc::new(Guarded { lies }), mode);
        let offer = mounted.offer(Timestamp(0)).unwrap();
        let mut transaction = transaction(monitor_all);
        let run = std::pin::pin!(mounted.request_headers(&mut transaction))
            .poll(&mut Context::from_waker(Waker::noop()))
            .map(|cleared| cleared.is_ok());
        let echoed = match run {
            Poll::Ready(passed) => passed,
            Poll::Pending => false,
        };
        let ending = Ending { verdict: Verdict::Deny, reason: Some(INFO.code), by: Some("guarded") };
        let answer = Answer {
            status: if echoed { 200 } else { 403 },
            headers: HeaderMap::new(),
            echoed,
            forwarded: Vec::new(),
            observed: Some(Observed {
                ending: (!echoed).then_some(ending),
                findings: transaction.findings,
                trace: transaction.trace.unwrap(),
                client: transaction.client.ip,
                monitor_all,
                generation: 1,
            }),
        };
        hostile(offer.part.guard, offer.part.mode, &offer.probes.hostile.first().unwrap().expect, &answer)
    }

    fn transaction(monitor_all: bool) -> Transaction {
        let ip: IpAddr = [192, 0, 2, 1].into();
        Transaction {
            id: EventId::new(Timestamp(0), 1),
            started: Timestamp(0),
            ticks: std::time::Duration::ZERO,
            client: Client { ip, peer: (ip, 1).into() },
            certificate: None,
            outer_scheme: None,
            request: CanonicalRequest {
                method: Method::GET,
                scheme: Scheme::Http,
                host: "shop.test".to_owned(),
                port: None,
                path: "/".to_owned(),
                query: None,
                sent: None,
                headers: HeaderMap::new(),
                removed: Vec::new(),
                version: Version::HTTP_11,
                content_length: Some(0),
            },
            api: "shop".into(),
            operation: "GET /".into(),
            principal: None,
            hello: None,
            risk: 0,
            allowed_by: Vec::new(),
            findings: Vec::new(),
            findings_dropped: 0,
            response_headers: HeaderMap::new(),
            consumed_headers: Vec::new(),
            memory: bartizan_model::Memory::default(),
            monitor_all,
            guard_mode: Mode::Enforce,
            score: None,
            probe: true,
            scratch: None,
            trace: Some(Vec::new()),
        }
    }

    #[test]
    fn a_guard_that_lies_is_caught_in_every_mode() {
        assert_eq!(outcome(false, Mode::Enforce, false), Judgement::Blocked);
        assert_eq!(outcome(false, Mode::Monitor, false), Judgement::Watched);
        assert_eq!(outcome(false, Mode::Enforce, true), Judgement::Watched);
        for (mode, glass) in [(Mode::Enforce, false), (Mode::Monitor, false), (Mode::Enforce, true)] {
            assert!(matches!(outcome(true, mode, glass), Judgement::Broken(_)), "{mode:?} {glass}");
        }
    }

    fn answer(echoed: bool, status: u16, fields: &[(&'static str, &'static str)]) -> Answer {
        let fields = fields
            .iter()
            .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)));
        Answer { status, headers: fields.collect(), echoed, forwarded: Vec::new(), observed: None }
    }

    #[test]
    fn what_a_guard_answers_itself_is_no_refusal() {
        let preflight = answer(false, 204, &[]);
        assert!(matches!(hostile("cors", Mode::Enforce, &Expect::Refused, &preflight), Judgement::Broken(_)));
        let silent = answer(false, 0, &[]);
        assert_eq!(hostile("cors", Mode::Enforce, &Expect::Refused, &silent), Judgement::Unanswered);
    }

    #[test]
    fn fields_are_compared_with_what_the_client_sees() {
        let server = HeaderName::from_static("server");
        let nosniff = HeaderName::from_static("x-content-type-options");
        let expect =
            Expect::Fields(vec![(server, None), (nosniff, Some(HeaderValue::from_static("nosniff")))]);
        let judged = |fields| hostile("security_headers", Mode::Enforce, &expect, &answer(true, 200, fields));
        assert_eq!(judged(&[("x-content-type-options", "nosniff")]), Judgement::Blocked);
        assert!(
            matches!(judged(&[]), Judgement::Broken(why) if why.contains("lacks `x-content-type-options`"))
        );
        let named = [("x-content-type-options", "nosniff"), ("server", "probe/1.0")];
        let wrong = hostile("security_headers", Mode::Enforce, &expect, &answer(true, 200, &named));
        assert!(matches!(wrong, Judgement::Broken(why) if why.contains("has `server`")));
        let watched = hostile("security_headers", Mode::Monitor, &expect, &answer(true, 200, &named));
        assert_eq!(watched, Judgement::Watched);
    }
}
