//! One walk over a value with its shape.

use bartizan_pattern::body::json::{Kind, Value};

use super::{Member, Proof, ProofClass, Shape, ShapeId, Shapes};
use crate::value::Built;
use crate::{pointer::step, schema::View};

/// Which way a value goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// From a client to the API: `readOnly` members have no business in it.
    Request,
    /// From the API to a client: `writeOnly` members have no business in it.
    Response,
}

/// What is unusual about a member, told once for each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Noticed {
    /// No schema names it, although schemas name the members of its object.
    Undeclared,
    /// It is `readOnly`, and in a request.
    ReadOnly,
    /// It is `writeOnly`, and in a response.
    WriteOnly,
}

/// What a walk found.
#[derive(Debug, Default)]
pub struct Walk {
    /// Members by the number of their key's node in the tape; for values put together 0.
    pub noticed: Vec<(u32, Noticed)>,
    /// The JSON pointers of the first of them.
    pub pointers: Vec<String>,
    /// What is proved of texts, numbers and the like, by the number of the value's node, in its order.
    pub proofs: Vec<(u32, Proof)>,
    proving: bool,
}

/// Pointers that are told.
const POINTERS: usize = 32;
/// Members that are noticed: as many as the largest document has.
const NOTICED: usize = 1 << 22;

impl Walk {
    /// A walk that also collects proofs.
    #[must_use]
    pub fn proving() -> Self {
        Walk { proving: true, ..Walk::default() }
    }

    /// Walks over a value of a document. The value must fit its schema where proofs are collected.
    pub fn json(&mut self, shapes: &Shapes, id: ShapeId, value: Value<'_>, direction: Direction) {
        let mut path = Vec::new();
        self.tape(shapes, Some(id), value, direction, &mut path);
    }

    fn tape<'v>(
        &mut self,
        shapes: &Shapes,
        id: Option<ShapeId>,
        value: Value<'v>,
        direction: Direction,
        path: &mut Vec<Step<'v>>,
    ) {
        let shape = id.and_then(|id| shapes.get(id));
        match value.kind() {
            Kind::Object => {
                for (key, value) in value.entries() {
                    let name = key.as_str().unwrap_or_default();
                    let member = shape.map_or(Member::Free, |shape| shape.member(&name));
                    path.push(Step::Key(key));
                    let below = match member {
                        Member::Named(below) => {
                            if let Some(noticed) = shapes.get(below).and_then(|shape| shape.side(direction)) {
                                self.notice(key.index(), noticed, path);
                            }
                            Some(below)
                        }
                        Member::Undeclared => {
                            self.notice(key.index(), Noticed::Undeclared, path);
                            None
                        }
                        Member::Free => None,
                    };
                    if self.proving || below.is_some() && value.kind().is_container() {
                        self.tape(shapes, below, value, direction, path);
                    }
                    path.pop();
                }
            }
            Kind::Array => {
                let known = shape.filter(|shape| shape.items.is_some() || !shape.first_items.is_empty());
                if known.is_none() && !self.proving {
                    return;
                }
                for (number, item) in value.items().enumerate() {
                    let below =
                        known.and_then(|shape| shape.first_items.get(number).copied().or(shape.items));
                    path.push(Step::Item(number));
                    self.tape(shapes, below, item, direction, path);
                    path.pop();
                }
            }
            _ if !self.proving => {}
            kind => {
                let proof = match kind {
                    Kind::Number => Proof::of_number(value.source()),
                    Kind::True | Kind::False => Proof::of_class(ProofClass::Boolean),
                    Kind::Null => Proof::of_class(ProofClass::Null),
                    _ => {
                        shape.and_then(|shape| shape.proof).and_then(|proof| proof.of_text(&value.decoded()))
                    }
                };
                self.proofs.extend(proof.map(|proof| (value.index(), proof)));
            }
        }
    }

    /// Walks over a value put together; proofs of those are kept by their place in the request, not here.
    pub fn built(&mut self, shapes: &Shapes, id: ShapeId, value: &Built<'_>, direction: Direction, at: &str) {
        match value {
            Built::Map(entries) => {
                let Some(shape) = shapes.get(id) else { return };
                for (name, value) in entries {
                    let at = format!("{at}{}", step(name));
                    match shape.member(name) {
                        Member::Named(below) => {
                            if let Some(noticed) = shapes.get(below).and_then(|shape| shape.side(direction)) {
                                self.tell(0, noticed, || at.clone());
                            }
                            self.built(shapes, below, value, direction, &at);
                        }
                        Member::Undeclared => self.tell(0, Noticed::Undeclared, || at.clone()),
                        Member::Free => {}
                    }
                }
            }
            Built::List(items) => {
                for (number, item) in items.iter().enumerate() {
                    if let Some(below) = shapes.item(id, number) {
                        self.built(shapes, below, item, direction, &format!("{at}/{number}"));
                    }
                }
            }
            _ => {}
        }
    }

    fn notice(&mut self, key: u32, noticed: Noticed, path: &[Step<'_>]) {
        self.tell(key, noticed, || path.iter().map(Step::pointer).collect());
    }

    fn tell(&mut self, key: u32, noticed: Noticed, pointer: impl FnOnce() -> String) {
        if self.noticed.len() >= NOTICED {
            return;
        }
        self.noticed.push((key, noticed));
        if self.pointers.len() < POINTERS {
            self.pointers.push(pointer());
        }
    }
}

impl Shape {
    /// What is wrong with a member of this shape that goes this way.
    pub(crate) fn side(&self, direction: Direction) -> Option<Noticed> {
        match direction {
            Direction::Request if self.read_only => Some(Noticed::ReadOnly),
            Direction::Response if self.write_only => Some(Noticed::WriteOnly),
            _ => None,
        }
    }
}

/// A step of a pointer, which becomes text only where it is told.
enum Step<'v> {
    Key(Value<'v>),
    Item(usize),
}

impl Step<'_> {
    fn pointer(&self) -> String {
        match self {
            Step::Key(key) => step(&crate::schema::short(&key.as_str().unwrap_or_default(), 64)),
            Step::Item(number) => format!("/{number}"),
        }
    }
}

impl<'a> From<Value<'a>> for View<'a> {
    fn from(value: Value<'a>) -> Self {
        View::Tape(value)
    }
}
