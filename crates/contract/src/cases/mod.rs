//! Requests and responses that are made from a contract: such as fit it, up to every bound, and such as break one rule each.
//!
//! What is made says what should be decided about it. That a request that should fit does, its schemas say before; that one
//! that breaks a rule does so, follows from how it was made where that is certain, else its schemas say that, too. What
//! cannot be made is told.

mod body;
mod dice;
mod examples;
mod mutate;
mod place;
mod query;
mod request;
mod response;
mod text;
mod value;
mod write;

use std::{cell::RefCell, sync::Arc};

use bartizan_model::{Diagnostics, diagnostic::Place as Written};
use bartizan_pattern::body::json::JsonLimits;
use http::Method;
use serde_json::Value;

pub use examples::{Example, examples};
pub use response::ResponseCase;

use self::{
    place::Source,
    value::{Fill, Maker},
};
use crate::{
    check::{Checks, compile, with_json},
    form::{Description, Operation, SchemaRef},
    schema::{Schema, View},
    shape::Direction,
};

/// Seeds that are tried until a value fits.
const TRIES: u64 = 24;
/// Seeds of which the fullest value is taken.
const REPAIRED: u64 = 8;
/// Members that are taken out of one value until it fits.
const MOST_TAKEN: usize = 40;

/// What is made.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// Another one makes other examples; the same one always the same.
    pub seed: u64,
    /// Requests for one operation, at most.
    pub requests: usize,
}

/// A request that was made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Case {
    /// What it is about: a parameter or a place in the body, and the rule that it meets or breaks.
    pub about: String,
    /// The rule: a keyword of a schema, or what else there is to break.
    pub rule: &'static str,
    /// Whether the operation should accept it.
    pub valid: bool,
    /// The request.
    pub request: Request,
}

/// A request as a client sends it. Its path is below the base path.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Request {
    /// The method.
    pub method: Method,
    /// The path, escaped.
    pub path: String,
    /// The query without `?`, escaped.
    pub query: Option<String>,
    /// The header fields but those that the connection needs.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Option<Vec<u8>>,
}

/// What was made of one operation.
#[derive(Clone, Debug, Default)]
pub struct Made {
    /// Requests.
    pub requests: Vec<Case>,
    /// Responses.
    pub responses: Vec<ResponseCase>,
    /// What could not be made, and why.
    pub untested: Vec<Untested>,
    /// Requests beyond [`Settings::requests`].
    pub left_out: usize,
}

/// Something of which nothing could be made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Untested {
    /// What.
    pub what: String,
    /// Why.
    pub why: &'static str,
    /// Where the contract has it.
    pub place: Option<Written>,
}

/// Makes requests and responses.
#[derive(Debug)]
pub struct Generator<'c> {
    contract: &'c Description,
    checks: Arc<Checks>,
    settings: Settings,
    /// Members of values that were taken out because they do not fit.
    without: RefCell<Vec<Untested>>,
}

impl<'c> Generator<'c> {
    /// A generator for a contract.
    ///
    /// # Errors
    /// The contract cannot be compiled.
    pub fn new(contract: &'c Description, settings: Settings) -> Result<Self, Diagnostics> {
        Ok(Generator {
            contract,
            checks: Arc::new(compile(contract)?),
            settings,
            without: RefCell::default(),
        })
    }

    /// Everything for one operation of the contract.
    #[must_use]
    pub fn operation(&self, operation: &'c Operation) -> Made {
        let mut made = Made::default();
        if operation.opaque {
            made.untested.push(Untested {
                what: "the operation".to_owned(),
                why: "its description lies in a file that cannot be read",
                place: operation.place.clone(),
            });
            return made;
        }
        self.requests(operation, &mut made);
        self.responses(operation, &mut made);
        made.untested.append(&mut self.without.borrow_mut());
        made
    }

    /// A value of a schema that fits it, with its maker; `None` where none was found.
    fn value(
        &self,
        at: &SchemaRef,
        schema: Option<&Schema>,
        direction: Direction,
        fill: Fill,
        usable: impl Fn(&Value, &Maker<'c>) -> bool,
    ) -> Option<(Value, Maker<'c>)> {
        let sources = source(at);
        let maker = |number: u64, fill| {
            let seed = self.settings.seed.wrapping_add(number.wrapping_mul(0x9e37));
            Maker::new(&self.contract.schemas, seed, direction, fill)
        };
        // The fullest that fits once what does not is taken out.
        let mut best: Option<(Value, Maker<'c>, Vec<String>)> = None;
        for number in 0..if fill == Fill::All { REPAIRED } else { 0 } {
            let maker = maker(number, fill);
            let Some(made) = maker.value(&sources, "", 0) else { continue };
            let Some((value, mut without)) =
                repaired(made, schema).filter(|(value, _)| usable(value, &maker))
            else {
                continue;
            };
            without.extend(maker.without.take());
            let whole = without.is_empty();
            if best.as_ref().is_none_or(|(.., least)| without.len() < least.len()) {
                best = Some((value, maker, without));
            }
            if whole {
                break;
            }
        }
        if let Some((value, maker, without)) = best {
            let what = without.into_iter().map(|pointer| format!("{pointer} of {at}"));
            let place = self.contract.schemas.place(at);
            self.without.borrow_mut().extend(what.map(|what| Untested {
                what,
                why: "no value was found that fits",
                place: place.clone(),
            }));
            return Some((value, maker));
        }
        (0..TRIES).find_map(|number| {
            // What is full may be too much: then less is tried.
            let maker = maker(number, if fill == Fill::All { Fill::Some } else { fill });
            let value = maker.value(&sources, "", 0)?;
            (schema.is_none_or(|schema| fits(schema, &value)) && usable(&value, &maker))
                .then_some((value, maker))
        })
    }
}

/// A value without the members and items that do not fit, and where these were; `None` where it does not become one that
/// fits.
fn repaired(mut value: Value, schema: Option<&Schema>) -> Option<(Value, Vec<String>)> {
    let mut without = Vec::new();
    let Some(schema) = schema else { return Some((value, without)) };
    while without.len() < MOST_TAKEN {
        let text = value.to_string();
        let found = with_json(text.as_bytes(), &limits(), |root| schema.violations(View::Tape(root))).ok()?;
        let Some(first) = found.first() else { return Some((value, without)) };
        let (above, token) = first.pointer.rsplit_once('/')?;
        let above = above.to_owned();
        let token = crate::pointer::token(token).into_owned();
        match value.pointer_mut(&above)? {
            Value::Object(members) => drop(members.shift_remove(&token)?),
            Value::Array(items) => {
                let number = token.parse::<usize>().ok().filter(|number| *number < items.len())?;
                items.remove(number);
            }
            _ => return None,
        }
        without.push(first.pointer.clone());
    }
    None
}

fn limits() -> JsonLimits {
    JsonLimits { nodes: 1 << 20, ..JsonLimits::default() }
}

fn source(at: &SchemaRef) -> [Source; 1] {
    [Source { at: at.clone(), certain: true }]
}

/// Whether a value fits a schema.
fn fits(schema: &Schema, value: &Value) -> bool {
    let text = value.to_string();
    with_json(text.as_bytes(), &limits(), |root| schema.fits(View::Tape(root))).unwrap_or(false)
}
