//! Which API and which operation a request belongs to.

mod combinations;
mod host;
mod samples;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::sync::Arc;

use bartizan_pattern::{
    path::folded,
    template::{PathPattern, PathRouter, PatternSet, Template},
};
use http::Method;

use crate::snapshot::{Found, Operation};

pub(crate) use combinations::{Candidate, Enumeration};
pub use host::HostRouter;

/// An operation block of the policy, as matching sees it.
#[derive(Clone, Debug)]
pub(crate) struct Block {
    /// `None` for `*`.
    pub method: Option<Method>,
    /// Below the API's base path.
    pub pattern: PathPattern,
    /// As written: `POST /login`.
    pub label: String,
}

impl Block {
    /// Reads `METHOD /pattern`.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let form = "write a method (or `*`) and a path, such as `POST /login` or `* /admin/**`";
        let mut words = text.split_ascii_whitespace();
        let (Some(method), Some(path), None) = (words.next(), words.next(), words.next()) else {
            return Err(format!("`{text}` does not name operations; {form}"));
        };
        let method = match method {
            "*" => None,
            _ => {
                let upper = method.to_ascii_uppercase();
                let known = Method::from_bytes(upper.as_bytes());
                Some(known.map_err(|_| format!("`{method}` is not a method; {form}"))?)
            }
        };
        let pattern = PathPattern::parse(path)
            .map_err(|error| if error.contains("; ") { error } else { error.replacen(": ", "; ", 1) })?;
        let label = format!("{} {path}", method.as_ref().map_or("*", Method::as_str));
        Ok(Block { method, pattern, label })
    }

    /// Whether it speaks of requests with this method. `HEAD` is served as `GET` is.
    pub(crate) fn covers(&self, method: &Method) -> bool {
        match &self.method {
            None => true,
            Some(mine) => mine == method || (*method == Method::HEAD && *mine == Method::GET),
        }
    }

    /// Whether it names one operation, instead of a family of them.
    pub(crate) fn names_one(&self) -> bool {
        self.method.is_some()
            && !self.pattern.as_str().split('/').any(|segment| segment == "*" || segment == "**")
    }
}

/// The operations that one contract operation (or the unknown ones) become, by the blocks that match the actual path.
#[derive(Default)]
pub(crate) struct Variants(HashMap<Box<[u16]>, Arc<Operation>>);

impl Variants {
    /// Adds the operation for a set of blocks, given in ascending order.
    pub(crate) fn insert(&mut self, blocks: &[u16], operation: Arc<Operation>) {
        self.0.insert(Box::from(blocks), operation);
    }

    fn get(&self, blocks: &[u16]) -> Option<&Arc<Operation>> {
        self.0.get(blocks)
    }
}

/// Chooses the operation by method and canonical path (the whole path, base path included).
///
/// The contract's operation is found by its template; the policy's blocks are found by matching all of them against the
/// folded path itself, so that a contract path with parameters cannot lead around a block.
#[derive(Default)]
pub struct OperationTable {
    pub(crate) base_path: String,
    pub(crate) blocks: PatternSet<(u16, Block)>,
    pub(crate) contract: HashMap<Method, PathRouter<usize>>,
    pub(crate) operations: Vec<Variants>,
    /// What nothing names.
    pub(crate) unknown: Variants,
    /// `OPTIONS` of paths that exist and do not declare it: a preflight must reach the guards.
    pub(crate) options: Variants,
    /// Whether unknown operations are refused.
    pub(crate) refuse_unknown: bool,
}

impl OperationTable {
    /// The operation: never absent, unknown ones have an operation of their own.
    #[must_use]
    pub fn find(&self, method: &Method, path: &str) -> Found<'_> {
        let below = match path.strip_prefix(self.base_path.as_str()) {
            Some("") | None => "/",
            Some(below) => below,
        };
        let folded = folded(below);
        let mut matching: Vec<u16> = Vec::new();
        for (_, (index, block)) in self.blocks.find(&folded) {
            if block.covers(method) {
                matching.push(*index);
            }
        }
        matching.sort_unstable();

        let declared = self.contract_operation(method, below);
        if let Some(operation) = declared.and_then(|index| self.operations.get(index)?.get(&matching)) {
            return Found::Operation(operation);
        }
        let unknown = self.unknown.get(&matching);
        if let Some(operation) = unknown.filter(|operation| operation.known) {
            return Found::Operation(operation);
        }
        let methods = self.methods(below, &folded);
        if *method == Method::OPTIONS
            && !methods.is_empty()
            && let Some(operation) = self.options.get(&matching)
        {
            return Found::Operation(operation);
        }
        match unknown {
            Some(operation) if !self.refuse_unknown || methods.is_empty() => Found::Operation(operation),
            operation => Found::MethodNotAllowed { methods, operation },
        }
    }

    /// What an operation gets that nothing names: the API's own guards.
    #[must_use]
    pub fn fallback(&self) -> Option<&Arc<Operation>> {
        self.unknown.get(&[])
    }

    fn contract_operation(&self, method: &Method, below: &str) -> Option<usize> {
        let find = |method: &Method| self.contract.get(method)?.find(below).map(|(index, _)| *index);
        find(method).or_else(|| if *method == Method::HEAD { find(&Method::GET) } else { None })
    }

    /// The methods that the path has: of the contract, and of blocks that name one operation.
    fn methods(&self, below: &str, folded: &str) -> Vec<Method> {
        let mut methods: Vec<Method> = self
            .contract
            .iter()
            .filter(|(_, router)| router.find(below).is_some())
            .map(|(method, _)| method.clone())
            .collect();
        for (_, (_, block)) in self.blocks.find(folded) {
            if let (Some(method), true) = (&block.method, block.names_one())
                && !methods.contains(method)
            {
                methods.push(method.clone());
            }
        }
        methods.sort_by(|a, b| a.as_str().cmp(b.as_str()));
        methods
    }
}

/// A contract template as a pattern over folded paths; `None` when it has no such form.
pub(crate) fn template_pattern(template: &Template) -> Option<PathPattern> {
    PathPattern::parse(&template.as_str().replace('*', "%2A")).ok()
}
