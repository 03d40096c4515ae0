//! Streams of items, judged while they flow: an item goes on when it was seen whole, and never waits for the next one.

use std::sync::Arc;

use bartizan_contract::{
    check::{Checks, ItemResult, Sequence},
    shape::{Direction, Noticed},
};
use bartizan_model::{Finding, Mode, Phase, Transaction};
use bartizan_pattern::body::sequence::Splitter;
use bytes::{Bytes, BytesMut};

use super::{Act, Config, TOLD, Why, finding};

/// What is known of one stream. It is fed with the bytes that an API sends, and gives those that a client gets.
pub struct ItemStream {
    checks: Arc<Checks>,
    sequence: Sequence,
    settings: Config,
    /// Whatever is found, nothing is taken out and nothing ends: bytes go on at once.
    watches: bool,
    splitter: Splitter,
    /// The beginning of an item that is not whole yet.
    open: BytesMut,
    /// The open item is too large to be judged, and goes on as it is.
    passes: bool,
    number: u64,
    told: usize,
    mode: Mode,
    ended: bool,
}

/// What comes of some bytes.
#[derive(Debug, Default)]
pub struct Passed {
    /// What the client gets.
    pub bytes: Bytes,
    /// Why nothing may follow: these bytes are the last, and the stream has to end so that it shows.
    pub refused: Option<Why>,
}

impl ItemStream {
    pub(super) fn new(checks: Arc<Checks>, sequence: Sequence, settings: Config, enforces: bool) -> Self {
        ItemStream {
            watches: !enforces || !settings.acts(),
            splitter: Splitter::new(sequence.framing()),
            checks,
            sequence,
            settings,
            open: BytesMut::new(),
            passes: false,
            number: 0,
            told: 0,
            mode: if enforces { Mode::Enforce } else { Mode::Monitor },
            ended: false,
        }
    }

    /// Whether the client gets every byte as it came.
    #[must_use]
    pub fn only_watches(&self) -> bool {
        self.watches
    }

    /// Bytes of memory that the open item has.
    #[must_use]
    pub fn held(&self) -> usize {
        self.open.capacity()
    }

    /// Judges the next bytes of the stream. Findings go to the transaction.
    pub fn push(&mut self, transaction: &mut Transaction, bytes: Bytes) -> Passed {
        if self.ended {
            return Passed::default();
        }
        // What is sent, where it is not simply the beginning of these bytes: most pieces are whole items that nothing is
        // taken out of, and go on without a copy.
        let mut edited: Option<BytesMut> = None;
        let mut rest: &[u8] = &bytes;
        while let Some((piece, behind)) = self.splitter.feed(rest).and_then(|end| rest.split_at_checked(end))
        {
            let before = bytes.len() - rest.len();
            rest = behind;
            if std::mem::take(&mut self.passes) {
                continue;
            }
            let joined = (!self.open.is_empty()).then(|| {
                self.open.extend_from_slice(piece);
                std::mem::take(&mut self.open)
            });
            let item: &[u8] = joined.as_deref().unwrap_or(piece);
            let (rewritten, refused) = self.item(transaction, item);
            if refused.is_some() {
                self.ended = true;
                return Passed { bytes: sent(edited, &bytes, before), refused };
            }
            if let Some(edited) = &mut edited {
                edited.extend_from_slice(rewritten.as_deref().unwrap_or(item));
            } else if joined.is_some() || rewritten.is_some() {
                let mut begun = BytesMut::from(bytes.get(..before).unwrap_or_default());
                begun.extend_from_slice(rewritten.as_deref().unwrap_or(item));
                edited = Some(begun);
            }
        }
        let whole = bytes.len() - rest.len();
        if rest.is_empty() || self.passes {
            if let Some(edited) = &mut edited {
                edited.extend_from_slice(rest);
            }
            return Passed {
                bytes: self.or_as_it_came(&bytes, sent(edited, &bytes, bytes.len())),
                refused: None,
            };
        }
        self.open.extend_from_slice(rest);
        if self.open.len() <= self.limit() {
            return Passed { bytes: self.or_as_it_came(&bytes, sent(edited, &bytes, whole)), refused: None };
        }
        let refused = self.too_large(transaction);
        let large = std::mem::take(&mut self.open);
        self.passes = true;
        self.ended = refused.is_some();
        let mut going = BytesMut::from(sent(edited, &bytes, whole));
        if refused.is_none() {
            going.extend_from_slice(&large);
        }
        Passed { bytes: self.or_as_it_came(&bytes, going.freeze()), refused }
    }

    /// Who only watches does not keep anything back.
    fn or_as_it_came(&self, came: &Bytes, bytes: Bytes) -> Bytes {
        if self.watches { came.clone() } else { bytes }
    }

    /// The stream is over: judges what is open, which many readers take for an item.
    pub fn finish(&mut self, transaction: &mut Transaction) -> Passed {
        let item = std::mem::take(&mut self.open);
        if self.ended || item.is_empty() {
            return Passed::default();
        }
        let (rewritten, refused) = self.item(transaction, &item);
        if self.watches || refused.is_some() {
            return Passed { bytes: Bytes::new(), refused };
        }
        Passed { bytes: rewritten.map_or_else(|| item.freeze(), Bytes::from), refused: None }
    }

    fn limit(&self) -> usize {
        usize::try_from(self.settings.max_response.0).unwrap_or(usize::MAX)
    }

    /// Judges an item: what goes on in its place, and why it does not.
    fn item(&mut self, transaction: &mut Transaction, item: &[u8]) -> (Option<Vec<u8>>, Option<Why>) {
        if item.len() > self.limit() {
            return (None, self.too_large(transaction));
        }
        let act_of = |noticed| match noticed {
            Noticed::WriteOnly => self.settings.write_only,
            Noticed::Undeclared | Noticed::ReadOnly => self.settings.undeclared_properties,
        };
        let cut = |noticed| !self.watches && act_of(noticed) == Act::Strip;
        let found = self.checks.item(&self.sequence, self.number, item, Direction::Response, &cut);
        let ItemResult { empty, unreadable, mut violations, members, rewritten } = found;
        // What leaves is what has to fit.
        if let Some(left) = rewritten.as_ref().filter(|_| !violations.is_empty()) {
            let of = (&self.sequence, self.number);
            violations = self.checks.item(of.0, of.1, left, Direction::Response, &|_| false).violations;
        }
        self.number += u64::from(!empty);
        let mut told: Vec<(Act, Why)> = Vec::new();
        if unreadable {
            let why =
                format!("response/{}: no JSON document that can be read", self.number.saturating_sub(1));
            told.push((self.settings.undecided, Why::Undecided(why)));
        }
        told.extend(
            violations.iter().map(|violation| (self.settings.invalid, Why::Invalid(violation.to_string()))),
        );
        for member in &members {
            let act = act_of(member.noticed);
            let act = if act == Act::Strip { Act::Monitor } else { act };
            told.push((act, Why::of_member(member.noticed, &member.pointer)));
        }
        let refused = self.tell(transaction, told);
        (rewritten, refused.filter(|_| !self.watches))
    }

    fn too_large(&mut self, transaction: &mut Transaction) -> Option<Why> {
        let why = format!(
            "response/{}: larger than `response_contract.max_response`, {} bytes",
            self.number, self.settings.max_response.0
        );
        self.number += 1;
        self.tell(transaction, vec![(self.settings.undecided, Why::Undecided(why))])
    }

    /// Tells what was found, a few times in a stream however long it is; answers the first that ends it.
    fn tell(&mut self, transaction: &mut Transaction, told: Vec<(Act, Why)>) -> Option<Why> {
        let mut refusal = None;
        for (act, why) in told {
            if act == Act::Allow {
                continue;
            }
            if refusal.is_none() && act != Act::Monitor && !self.watches {
                refusal = Some(why);
                continue;
            }
            if self.told < TOLD {
                self.told += 1;
                transaction.find(Finding { mode: self.mode, ..finding(&why, Phase::ResponseBody) });
            }
        }
        refusal
    }
}

/// What was put together, else so much of what came.
fn sent(edited: Option<BytesMut>, bytes: &Bytes, length: usize) -> Bytes {
    edited.map_or_else(|| bytes.slice(..length.min(bytes.len())), BytesMut::freeze)
}

impl std::fmt::Debug for ItemStream {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ItemStream").field("number", &self.number).finish_non_exhaustive()
    }
}
