//! Every value of a document with the name of the way to it, built once per step and never copied.

use std::ops::ControlFlow;

use super::{Kind, Tape, Value};

/// How names are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PathStyle<'s> {
    /// What the document itself is called.
    pub root: &'s str,
    /// What stands before the number of an item.
    pub item: &'s str,
}

impl PathStyle<'static> {
    /// `json.items.0.sku`, as Coraza names values.
    pub const DOTTED: PathStyle<'static> = PathStyle { root: "json", item: "" };
    /// `json.items.array_0.sku`, as libmodsecurity names them.
    pub const ARRAYS: PathStyle<'static> = PathStyle { root: "json", item: "array_" };
}

/// Walks documents; its storage is used again.
#[derive(Debug, Default)]
pub struct Walker {
    path: Vec<u8>,
    open: Vec<Frame>,
}

#[derive(Clone, Copy, Debug)]
struct Frame {
    /// The number behind all that is inside.
    end: u32,
    /// Bytes of its own name.
    path: usize,
    /// The number of the next item; none in an object.
    item: Option<u32>,
}

impl Walker {
    /// An empty one; it allocates when it is first used.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Shows every value in the order of the text, an array or object before what is inside it, until `visit` breaks.
    ///
    /// The name is valid UTF-8: keys are decoded, and a dot in a key looks like any other. Its length is bounded by
    /// [`JsonLimits`](super::JsonLimits) (`path_bytes`, and the depth times the length of an item's number).
    pub fn walk<'a, B>(
        &mut self,
        tape: Tape<'a>,
        style: PathStyle<'_>,
        mut visit: impl FnMut(&[u8], Value<'a>) -> ControlFlow<B>,
    ) -> ControlFlow<B> {
        self.path.clear();
        self.path.extend_from_slice(style.root.as_bytes());
        self.open.clear();
        let mut index = 0;
        while let Some(mut value) = tape.value(index) {
            while self.open.last().is_some_and(|frame| frame.end <= index) {
                self.open.pop();
            }
            if let Some(frame) = self.open.last_mut() {
                self.path.truncate(frame.path);
                self.path.push(b'.');
                if let Some(number) = &mut frame.item {
                    self.path.extend_from_slice(style.item.as_bytes());
                    push_number(&mut self.path, *number);
                    *number += 1;
                } else {
                    value.decode_into(&mut self.path);
                    match tape.value(value.next_index()) {
                        Some(behind) => value = behind,
                        None => break,
                    }
                }
            }
            visit(&self.path, value)?;
            if value.kind().is_container() {
                let item = (value.kind() == Kind::Array).then_some(0);
                self.open.push(Frame { end: value.next_index(), path: self.path.len(), item });
            }
            index = value.index() + 1;
        }
        ControlFlow::Continue(())
    }
}

/// Writes a number in decimal digits.
fn push_number(out: &mut Vec<u8>, mut number: u32) {
    let start = out.len();
    loop {
        out.push(b'0' + (number % 10) as u8);
        number /= 10;
        if number == 0 {
            break;
        }
    }
    if let Some(digits) = out.get_mut(start..) {
        digits.reverse();
    }
}
