//! The decision about an answer: one walk over its JSON, record by record, before its first byte is sent.

use std::{borrow::Cow, ops::Range, sync::Arc};

use bartizan_authz::ownership::{Missing, Possible, Predicate};
use bartizan_pattern::body::{
    Content, Reading, UnreadableReason,
    json::{JsonLimits, Kind, Tape, TapeBuffer, Value},
};

use super::{
    config::{OnForeign, Undecided},
    reason::told,
    rules::OperationRule,
    values::{Answer, Scene, find},
};
use crate::body::HeldBody;

/// Records of one answer: as many as a document has nodes at most.
const MAX_LINES: usize = 1 << 16;

/// What an answer is to its caller.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Decision {
    /// All of it is the caller's.
    Own,
    /// It is somebody else's, or has records that are.
    Foreign { predicate: Arc<str>, records: Option<(usize, usize)> },
    /// What is left of it is the caller's.
    Filtered { left: Vec<u8>, records: (usize, usize) },
    /// Nobody can tell.
    Undecided { what: Cow<'static, str>, remedy: &'static str },
    /// A value of the caller's is missing.
    Caller { value: Arc<str>, anonymous: bool },
}

pub(super) const REMEDY: &str =
    "let the API answer as the rule expects, correct the rule, or set `undecided: allow` for this operation";

/// Decides about an answer that is held.
pub(super) fn decide(rule: &OperationRule, scene: Scene<'_>, held: &HeldBody, lines: bool) -> Decision {
    let undecided = |what: Cow<'static, str>, remedy| Decision::Undecided { what, remedy };
    if !held.whole {
        return undecided(
            "the answer is longer than `max_response`".into(),
            "raise `max_response` for this operation",
        );
    }
    if held.bytes.is_empty() {
        return undecided("the answer has no body".into(), REMEDY);
    }
    let reading = held.reading();
    let readable = !matches!(
        reading.reason(),
        Some(UnreadableReason::TooLong | UnreadableReason::Decode(_) | UnreadableReason::Charset(_))
    );
    if lines && readable {
        return by_line(rule, scene, reading.bytes());
    }
    match reading {
        Reading::Parsed(parsed) => match parsed.content {
            Content::Json(tape) => document(rule, scene, tape),
            Content::Empty => undecided("the answer has no body".into(), REMEDY),
            _ => undecided("the answer is not JSON".into(), REMEDY),
        },
        Reading::Unreadable(unreadable) => match unreadable.reason {
            UnreadableReason::UnknownType => undecided("the answer is not JSON".into(), REMEDY),
            reason => undecided(format!("the answer cannot be read: {reason}").into(), REMEDY),
        },
    }
}

/// Decides about one document.
fn document(rule: &OperationRule, scene: Scene<'_>, tape: Tape<'_>) -> Decision {
    let Some(root) = tape.root() else {
        return Decision::Undecided { what: "the answer has no body".into(), remedy: REMEDY };
    };
    let mut walk = Walk::new(rule, scene);
    for predicate in &rule.predicates {
        walk.predicate(predicate, root);
    }
    walk.end(tape)
}

/// Decides about one document a line. A line is a record; one that cannot be decided is not sent alone.
fn by_line(rule: &OperationRule, scene: Scene<'_>, bytes: &[u8]) -> Decision {
    let mut buffer = TapeBuffer::new();
    let limits = JsonLimits::default();
    let mut left = Vec::with_capacity(bytes.len());
    let (mut foreign, mut all) = (0, 0);
    let mut first = None;
    for line in bytes.split_inclusive(|byte| *byte == b'\n') {
        let text = line.trim_ascii();
        if text.is_empty() {
            left.extend_from_slice(line);
            continue;
        }
        all += 1;
        if all > MAX_LINES {
            return Decision::Undecided { what: "the answer has too many lines".into(), remedy: REMEDY };
        }
        let decision = match Tape::parse(text, &limits, &mut buffer) {
            Ok(tape) => document(rule, scene, tape),
            Err(error) => Decision::Undecided {
                what: format!("line {all} cannot be read: {error}").into(),
                remedy: REMEDY,
            },
        };
        match decision {
            Decision::Own => left.extend_from_slice(line),
            Decision::Filtered { left: part, .. } => {
                foreign += 1;
                left.extend_from_slice(&part);
                left.push(b'\n');
            }
            other => {
                let filtered = rule.on_foreign == OnForeign::Filter && rule.undecided == Undecided::Deny;
                match other {
                    Decision::Foreign { .. } => foreign += 1,
                    Decision::Undecided { .. } if filtered => foreign += 1,
                    Decision::Undecided { .. } if rule.undecided == Undecided::Allow => {
                        left.extend_from_slice(line);
                    }
                    _ => {}
                }
                first.get_or_insert(other);
            }
        }
    }
    match first {
        Some(caller @ Decision::Caller { .. }) => caller,
        Some(other) if rule.on_foreign == OnForeign::Refuse || foreign == 0 => match other {
            Decision::Foreign { predicate, .. } => {
                Decision::Foreign { predicate, records: Some((foreign, all)) }
            }
            other => other,
        },
        _ if foreign > 0 => Decision::Filtered { left, records: (foreign, all) },
        _ if all == 0 => Decision::Undecided { what: "the answer has no body".into(), remedy: REMEDY },
        _ => Decision::Own,
    }
}

/// One walk through a document.
struct Walk<'a> {
    rule: &'a OperationRule,
    scene: Scene<'a>,
    /// The numbers of foreign records and of the arrays that they are in.
    foreign: Vec<(u32, u32)>,
    /// Records that were judged, and those that were not the caller's.
    judged: usize,
    alien: usize,
    /// The first predicate that was false, and whether it judges records.
    refused: Option<(Arc<str>, bool)>,
    undecided: Option<Cow<'static, str>>,
    caller: Option<(Arc<str>, bool)>,
}

impl<'a> Walk<'a> {
    fn new(rule: &'a OperationRule, scene: Scene<'a>) -> Self {
        Walk {
            rule,
            scene,
            foreign: Vec::new(),
            judged: 0,
            alien: 0,
            refused: None,
            undecided: None,
            caller: None,
        }
    }

    fn predicate(&mut self, predicate: &'a Predicate, root: Value<'a>) {
        let mut records = Vec::new();
        self.level(predicate, root, root, &mut records, 0);
    }

    /// The records below `value`, which is the answer, or a record of an outer list; lists are at most four deep.
    fn level(
        &mut self,
        predicate: &'a Predicate,
        root: Value<'a>,
        value: Value<'a>,
        records: &mut Vec<Value<'a>>,
        array: u32,
    ) {
        let Some(steps) = predicate.records().get(records.len()) else {
            let possible = {
                let scene = Scene { answer: Answer::Records { root, records }, ..self.scene };
                predicate.judge(&scene)
            };
            return self.settle(predicate, &possible, records.last().map(|record| (array, record.index())));
        };
        let list = match find(value, steps) {
            Ok(list) if list.kind() == Kind::Array => list,
            Ok(_) => return self.undecide(predicate, Missing::Shape),
            Err(why) => return self.undecide(predicate, why),
        };
        for record in list.items() {
            records.push(record);
            self.level(predicate, root, record, records, list.index());
            records.pop();
        }
    }

    fn undecide(&mut self, predicate: &Predicate, why: Missing) {
        let path = predicate.paths().find(|path| path.depth() > 0).map(|path| Arc::clone(&path.text));
        self.undecided.get_or_insert_with(|| told(&path.unwrap_or_else(|| "response".into()), why));
    }

    fn settle(&mut self, predicate: &Predicate, possible: &Possible, record: Option<(u32, u32)>) {
        self.judged += 1;
        if possible.holds() {
            return;
        }
        let filter = self.rule.on_foreign == OnForeign::Filter;
        if possible.fails() {
            self.alien += 1;
            self.refused.get_or_insert_with(|| (Arc::clone(predicate.text()), record.is_some()));
            self.foreign.extend(record.filter(|_| filter));
            return;
        }
        let (value, why) = possible.missing.clone().unwrap_or_else(|| ("response".into(), Missing::Later));
        if possible.of_caller {
            self.caller.get_or_insert((value, why == Missing::Anonymous));
            return;
        }
        // What cannot be decided of a list that is filtered goes with the foreign records.
        match record.filter(|_| filter && self.rule.undecided == Undecided::Deny) {
            Some(record) => {
                self.alien += 1;
                self.refused.get_or_insert_with(|| (Arc::clone(predicate.text()), true));
                self.foreign.push(record);
            }
            None => drop(self.undecided.get_or_insert_with(|| told(&value, why))),
        }
    }

    fn end(mut self, tape: Tape<'_>) -> Decision {
        if let Some((value, anonymous)) = self.caller {
            return Decision::Caller { value, anonymous };
        }
        let undecided = self.undecided.take();
        if let Some((predicate, of_record)) = self.refused {
            let records = of_record.then_some((self.alien, self.judged));
            // Only what has a place in a list can be taken out of it.
            let filtered = self.rule.on_foreign == OnForeign::Filter && self.foreign.len() == self.alien;
            if !filtered || (undecided.is_some() && self.rule.undecided == Undecided::Deny) {
                return Decision::Foreign { predicate, records };
            }
            let before = self.foreign.len();
            self.foreign.sort_unstable();
            self.foreign.dedup();
            let doubled = before - self.foreign.len();
            let left = without(tape, &self.foreign);
            return Decision::Filtered { left, records: (self.foreign.len(), self.judged - doubled) };
        }
        match undecided {
            Some(what) => Decision::Undecided { what, remedy: REMEDY },
            None => Decision::Own,
        }
    }
}

/// The document without these items, each given by the number of its array and its own, sorted.
fn without(tape: Tape<'_>, foreign: &[(u32, u32)]) -> Vec<u8> {
    let mut cuts: Vec<Range<usize>> = Vec::with_capacity(foreign.len());
    for group in foreign.chunk_by(|a, b| a.0 == b.0) {
        let Some(array) = group.first().and_then(|(array, _)| tape.value(*array)) else { continue };
        let is_foreign =
            |item: &Value<'_>| group.binary_search_by_key(&item.index(), |(_, item)| *item).is_ok();
        // The end of the last item that stays, and the beginning of what is cut.
        let mut kept_end = None;
        let mut cut_from: Option<usize> = None;
        let mut last_end = 0;
        for item in array.items() {
            let span = item.span();
            if is_foreign(&item) {
                cut_from.get_or_insert(span.start);
            } else {
                cuts.extend(cut_from.take().map(|from| from..span.start));
                kept_end = Some(span.end);
            }
            last_end = span.end;
        }
        // At the end of the list the comma before goes, too.
        cuts.extend(cut_from.map(|from| kept_end.unwrap_or(from)..last_end));
    }
    let bytes = tape.bytes();
    cuts.sort_unstable_by_key(|cut| (cut.start, std::cmp::Reverse(cut.end)));
    let mut left = Vec::with_capacity(bytes.len());
    let mut at = 0;
    for cut in cuts {
        if cut.start > at {
            left.extend_from_slice(bytes.get(at..cut.start).unwrap_or_default());
        }
        at = at.max(cut.end);
    }
    left.extend_from_slice(bytes.get(at..).unwrap_or_default());
    left
}
