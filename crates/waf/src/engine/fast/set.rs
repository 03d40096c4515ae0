//! Everything to scan for while some gates hold: one tree of forms for each variable, and for each part of it that rules
//! name.

use std::{
    collections::BTreeSet,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use ahash::AHashMap;
use smallvec::SmallVec;

use super::{
    bits::Bits,
    needs::{Needs, by_kinds, by_letters},
    plan::condition,
    scan::Scanner,
};
use crate::{
    lang::{Condition, RuleSet, Selector, Step, Target},
    operator::{Operator, Trace},
    transform::Transformation,
    variables::Variable,
};

/// How many parts of one variable get a tree of their own.
const MAX_NAMED: usize = 64;

/// Everything to scan for while some gates hold.
#[derive(Debug)]
pub(super) struct ScanSet {
    /// Distinguishes sets within a process, for the caches of threads.
    pub(super) identity: usize,
    pub(super) scanner: Scanner,
    /// How many tests there are.
    pub(super) tests: usize,
    /// The stations that are visited whatever is found.
    pub(super) unscanned: Bits,
    /// By test, the station of its rule.
    pub(super) stations: Vec<usize>,
    pub(super) sources: Vec<Source>,
    /// Every transformation of any form.
    pub(super) steps: Vec<Transformation>,
    /// By test, what a text must have for it to find something: by kinds of bytes, and by letters.
    pub(super) needs: Vec<[Needs; 2]>,
    /// The tests that are searched for at once, group by group.
    pub(super) groups: Vec<Bits>,
    /// The tests that nothing is scanned for: each is made for each form of each value, once for all that look at it.
    pub(super) direct: Bits,
    /// By test, how it is made by itself.
    pub(super) operators: Vec<Direct>,
}

/// A test, as it is made by itself.
#[derive(Debug)]
pub(super) struct Direct {
    pub(super) operator: Arc<Operator>,
    pub(super) negated: bool,
    /// A bit of its own among the first 64 tests that nothing is scanned for; 0 for the others.
    pub(super) bit: u64,
}

/// The values of one variable, with the forms in which rules look at them.
#[derive(Debug)]
pub(super) struct Source {
    pub(super) variable: Variable,
    /// For the parts that have no tree of their own.
    pub(super) all: Option<Form>,
    /// For the parts of a name, which is in lower case: everything that looks at them.
    named: AHashMap<Box<[u8]>, Form>,
    /// For the parts that a selector finds, besides.
    pub(super) selected: Vec<(Target, Form)>,
}

/// A form of a value: tests that look at it, and what is made of it next.
#[derive(Debug)]
pub(super) struct Form {
    /// The number of the tree that begins here; 0 within a tree.
    pub(super) tree: u32,
    /// Tests of this very form.
    pub(super) tests: Bits,
    /// Tests of this form and of all that is made of it.
    pub(super) all: Bits,
    /// Every transformation behind this form, as bits.
    pub(super) steps: u64,
    pub(super) next: Vec<(Transformation, Form)>,
}

impl ScanSet {
    /// The set of some rules of a phase, of which these are the stations.
    pub(super) fn new(rules: &RuleSet, steps: &[Step], live: impl Iterator<Item = usize>) -> Self {
        static IDENTITIES: AtomicUsize = AtomicUsize::new(1);
        let conditions: Vec<Tested<'_>> = live
            .filter_map(|index| {
                let (condition, operator, every) = condition(rules.rules.get(index)?)?;
                Some(Tested { rule: index, condition, operator, every })
            })
            .collect();
        let operators: Vec<Option<&Operator>> = conditions.iter().map(Tested::scanned).collect();
        let (scanner, left_out, mut needs) = Scanner::new(&operators);
        let tests = conditions.len();
        let mut direct = Bits::new(tests);
        for test in left_out {
            direct.insert(test);
            if let (Some(needs), Some(tested)) = (needs.get_mut(test), conditions.get(test)) {
                *needs = tested.needs();
            }
        }
        let mut unscanned = Bits::new(steps.len());
        let mut stations = Vec::new();
        let mut scanned = conditions.iter().map(|tested| tested.rule).peekable();
        for (station, step) in steps.iter().enumerate() {
            let Step::Rule(rule) = step else { continue };
            // The rules of both are in the order of the walk.
            if scanned.next_if_eq(rule).is_some() {
                stations.push(station);
            } else {
                unscanned.insert(station);
            }
        }
        let included = conditions.iter().flat_map(|tested| &tested.condition.targets.included);
        let variables: BTreeSet<Variable> = included.map(|target| target.variable).collect();
        let mut sources: Vec<Source> =
            variables.into_iter().map(|variable| Source::new(variable, &conditions)).collect();
        for (form, tree) in sources.iter_mut().flat_map(Source::forms_mut).zip(1..) {
            form.tree = tree;
        }
        let used = sources.iter().flat_map(Source::forms).fold(0, |used, form| used | form.steps);
        let steps =
            Transformation::ALL.iter().copied().filter(|step| used >> *step as u32 & 1 == 1).collect();
        let groups = scanner.groups();
        let mut bit = 1u64;
        let operators = conditions.iter().enumerate().map(|(test, tested)| {
            let is_direct = direct.contains(test);
            let own = if is_direct { bit } else { 0 };
            bit = if is_direct { bit << 1 } else { bit };
            Direct { operator: tested.operator.clone(), negated: tested.condition.negated, bit: own }
        });
        let operators = operators.collect();
        ScanSet {
            identity: IDENTITIES.fetch_add(1, Ordering::Relaxed),
            scanner,
            tests,
            unscanned,
            stations,
            sources,
            steps,
            needs,
            groups,
            direct,
            operators,
        }
    }
}

/// The condition of a rule that can be scanned for.
struct Tested<'r> {
    rule: usize,
    condition: &'r Condition,
    operator: &'r Arc<Operator>,
    /// Whether every form of a value is tested, not only the last.
    every: bool,
}

impl Tested<'_> {
    /// The operator, where a scanner may take it.
    fn scanned(&self) -> Option<&Operator> {
        let may = !self.condition.negated
            && (self.operator.expression().is_some() || self.operator.phrases().is_some());
        may.then_some(&**self.operator)
    }

    /// What a text must have for the direct test to hold, by kinds of bytes and by letters.
    fn needs(&self) -> [Needs; 2] {
        let one = |terms| match self.operator.trace() {
            _ if self.condition.negated => Needs::default(),
            Trace::Never => Needs::impossible(),
            Trace::Kinds(kinds) => Needs::of_kinds(kinds),
            Trace::Bytes(bytes) => Needs::of_bytes(bytes, terms),
            Trace::Unknown => Needs::default(),
        };
        [one(by_kinds), one(by_letters)]
    }

    fn includes(&self, variable: Variable, selector: &Selector) -> bool {
        let included = &self.condition.targets.included;
        included.iter().any(|target| target.variable == variable && target.selector == *selector)
    }
}

impl Source {
    fn new(variable: Variable, conditions: &[Tested<'_>]) -> Self {
        let mut source = Source { variable, all: None, named: AHashMap::new(), selected: Vec::new() };
        let tests = conditions.len();
        let of_this = |target: &&Target| target.variable == variable;
        let names = |targets: &[Target]| -> Vec<Box<[u8]>> {
            let names = targets.iter().filter(of_this).filter_map(|target| match &target.selector {
                Selector::Name(name) => Some(name.clone()),
                _ => None,
            });
            names.collect()
        };
        // Names that are only left out somewhere need no tree of their own, but with one that rule need not be looked
        // at for them.
        let included: BTreeSet<Box<[u8]>> =
            conditions.iter().flat_map(|tested| names(&tested.condition.targets.included)).collect();
        let excluded = conditions.iter().flat_map(|tested| names(&tested.condition.targets.excluded));
        let own: BTreeSet<Box<[u8]>> = included.iter().cloned().chain(excluded).take(MAX_NAMED).collect();
        for (test, tested) in conditions.iter().enumerate() {
            let add = |form: &mut Form| {
                form.add(&tested.condition.transformations, test, tests, tested.every);
            };
            let looks_at_all = tested.includes(variable, &Selector::All);
            if looks_at_all {
                add(source.all.get_or_insert_with(|| Form::new(tests)));
            }
            for name in &own {
                let looks = looks_at_all || tested.includes(variable, &Selector::Name(name.clone()));
                let form = source.named.entry(name.clone()).or_insert_with(|| Form::new(tests));
                if looks && !tested.condition.targets.excludes(variable, name) {
                    add(form);
                }
            }
            for target in tested.condition.targets.included.iter().filter(of_this) {
                match &target.selector {
                    Selector::All => continue,
                    Selector::Name(name) if own.contains(name) => continue,
                    _ => {}
                }
                match source.selected.iter_mut().find(|(known, _)| known == target) {
                    Some((_, form)) => add(form),
                    None => {
                        let mut form = Form::new(tests);
                        add(&mut form);
                        source.selected.push((target.clone(), form));
                    }
                }
            }
        }
        source.forms_mut().for_each(Form::close);
        source
    }

    /// Every tree.
    pub(super) fn forms(&self) -> impl Iterator<Item = &Form> {
        let selected = self.selected.iter().map(|(_, form)| form);
        self.all.iter().chain(self.named.values()).chain(selected)
    }

    fn forms_mut(&mut self) -> impl Iterator<Item = &mut Form> {
        let selected = self.selected.iter_mut().map(|(_, form)| form);
        self.all.iter_mut().chain(self.named.values_mut()).chain(selected)
    }

    /// Shows the trees for a part of this name and of this other name.
    pub(super) fn show<'s>(&'s self, name: &[u8], alias: Option<&[u8]>, mut show: impl FnMut(&'s Form)) {
        let mut is_named = false;
        if !self.named.is_empty() {
            for name in [Some(name), alias].into_iter().flatten() {
                let lower: SmallVec<[u8; 64]> = name.iter().map(u8::to_ascii_lowercase).collect();
                if let Some(form) = self.named.get(&*lower) {
                    is_named = true;
                    show(form);
                }
            }
        }
        if !is_named && let Some(form) = &self.all {
            show(form);
        }
        for (target, form) in &self.selected {
            if target.selector.selects(name) || alias.is_some_and(|alias| target.selector.selects(alias)) {
                show(form);
            }
        }
    }
}

impl Form {
    fn new(tests: usize) -> Self {
        Form { tree: 0, tests: Bits::new(tests), all: Bits::new(tests), steps: 0, next: Vec::new() }
    }

    /// Adds a test behind these transformations, with `every` also behind each of them before the last.
    fn add(&mut self, steps: &[Transformation], test: usize, tests: usize, every: bool) {
        if every || steps.is_empty() {
            self.tests.insert(test);
        }
        let Some((first, rest)) = steps.split_first() else { return };
        let at = match self.next.iter().position(|(step, _)| step == first) {
            Some(at) => at,
            None => {
                self.next.push((*first, Form::new(tests)));
                self.next.len() - 1
            }
        };
        if let Some((_, form)) = self.next.get_mut(at) {
            form.add(rest, test, tests, every);
        }
    }

    /// Gathers what is behind each form.
    fn close(&mut self) {
        self.all = self.tests.clone();
        for (step, form) in &mut self.next {
            form.close();
            self.all.insert_all(&form.all);
            self.steps |= form.steps | 1 << *step as u32;
        }
    }
}
