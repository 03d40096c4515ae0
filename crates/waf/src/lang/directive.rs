//! One directive at a time: what `SecRule` and its like mean for the configuration that is being gathered.

use std::sync::Arc;

use bartizan_model::Diagnostic;

use super::{
    action::{Actions, Disruption, Phase, Which},
    load::{Draft, DraftLink, DraftTest, Item, Loader, beside},
    rule::Test,
    select::{Ids, Label},
    settings::{Settings, Taken},
    source::{Fault, Place, Word, diagnose},
    target::Targets,
    text::Text,
};
use crate::{
    files::Files,
    operator::{Expanding, Operator},
};

/// The directives that make and change rules; settings have their own table.
pub(super) const DIRECTIVES: &[&str] = &[
    "Include",
    "IncludeOptional",
    "SecAction",
    "SecDefaultAction",
    "SecMarker",
    "SecRule",
    "SecRuleRemoveById",
    "SecRuleRemoveByMsg",
    "SecRuleRemoveByTag",
    "SecRuleUpdateActionById",
    "SecRuleUpdateTargetById",
    "SecRuleUpdateTargetByMsg",
    "SecRuleUpdateTargetByTag",
];

type Faults = Vec<Diagnostic>;

impl Loader<'_> {
    pub(super) fn directive(
        &mut self,
        file: &Arc<str>,
        place: &Place,
        name: &str,
        words: &[Word],
        depth: usize,
    ) -> Result<(), Faults> {
        let at = |fault| vec![diagnose(place, fault)];
        match (name.to_ascii_lowercase().as_str(), words) {
            ("secrule", [targets, operator]) => self.rule(file, place, Some((targets, operator)), None),
            ("secrule", [targets, operator, actions]) => {
                self.rule(file, place, Some((targets, operator)), Some(actions))
            }
            ("secaction", [actions]) => self.rule(file, place, None, Some(actions)),
            ("secmarker", [name]) => self.marker(place, name),
            ("secdefaultaction", [actions]) => self.default_action(file, actions),
            ("include", [path]) => {
                self.include_from(&beside(file, &path.text), place, depth, false);
                Ok(())
            }
            ("includeoptional", [path]) => {
                self.include_from(&beside(file, &path.text), place, depth, true);
                Ok(())
            }
            ("secruleremovebyid", [_, ..]) => {
                let ids = words.iter().map(|word| word.text.as_str()).collect::<Vec<_>>().join(" ");
                self.remove(place, &Which::Ids(Ids::parse(&ids).map_err(at)?));
                Ok(())
            }
            ("secruleremovebytag", [tag]) => {
                self.remove(place, &Which::Tag(Label::parse(&tag.text).map_err(at)?));
                Ok(())
            }
            ("secruleremovebymsg", [msg]) => {
                self.remove(place, &Which::Msg(Label::parse(&msg.text).map_err(at)?));
                Ok(())
            }
            ("secruleupdatetargetbyid", [ids, targets @ ..]) => {
                self.update_target_by_id(file, place, ids, targets)
            }
            ("secruleupdatetargetbytag", [tag, targets @ ..]) => {
                let which = Which::Tag(Label::parse(&tag.text).map_err(at)?);
                self.update_targets(file, place, &which, None, targets)
            }
            ("secruleupdatetargetbymsg", [msg, targets @ ..]) => {
                let which = Which::Msg(Label::parse(&msg.text).map_err(at)?);
                self.update_targets(file, place, &which, None, targets)
            }
            ("secruleupdateactionbyid", [id, actions]) => self.update_actions(file, place, id, actions),
            (known, _) if DIRECTIVES.iter().any(|directive| directive.eq_ignore_ascii_case(known)) => {
                let message = format!("`{name}` has {} arguments, which does not fit", words.len());
                Err(at(Fault::new(message, usage(known))))
            }
            (lower, _) => match self.settings.take(lower, words) {
                Ok(Taken::Yes) => Ok(()),
                Ok(Taken::Idle(why)) => {
                    self.warn(place, Fault::new(format!("`{name}` changes nothing here"), why));
                    Ok(())
                }
                Ok(Taken::No) => Err(at(unknown(name))),
                Err(fault) => {
                    let message = format!("`{name}`: {}", fault.message);
                    Err(at(Fault::new(message, fault.help)))
                }
            },
        }
    }

    fn rule(
        &mut self,
        file: &Arc<str>,
        place: &Place,
        test: Option<(&Word, &Word)>,
        actions: Option<&Word>,
    ) -> Result<(), Faults> {
        let mut faults = Vec::new();
        let test = test.and_then(|(targets, operator)| match self.test(file, targets, operator) {
            Ok(test) => {
                if let Test::Fixed(compiled) = &test.test
                    && let Some(why) = compiled.limitation()
                {
                    let fault = Fault::new(format!("`@{}` never matches here", test.name), why);
                    match self.lenient {
                        true => self.warn(place, fault),
                        false => faults.push(operator.diagnostic(file, fault)),
                    }
                }
                Some(test)
            }
            Err(found) => {
                faults.extend(found);
                None
            }
        });
        let read = actions.map_or(Ok(Actions::default()), |word| {
            Actions::parse(&word.text).map_err(|wrong| {
                wrong.into_iter().map(|fault| word.diagnostic(file, fault)).collect::<Faults>()
            })
        });
        let actions = match read {
            Ok(actions) => actions,
            Err(found) => {
                faults.extend(found);
                // What follows may be its chain: told only where it is wrong in itself.
                let chained = actions.is_some_and(|word| word.text.split(',').any(|a| a.trim() == "chain"));
                (self.lost_chain, self.open_chain) = (chained, false);
                return Err(faults);
            }
        };
        if self.lost_chain {
            self.lost_chain = actions.chain;
            return if faults.is_empty() { Ok(()) } else { Err(faults) };
        }
        let chain = actions.chain;
        let at = |fault| diagnose(place, fault);
        if self.open_chain {
            if let Some(what) = head_only(&actions) {
                let help = "put it into the first rule of the chain";
                faults.push(at(Fault::new(format!("a chained rule cannot have `{what}`"), help)));
            }
            let link = DraftLink { place: place.clone(), test, actions };
            if let Some(Item::Rule(draft)) = self.items.last_mut() {
                draft.links.push(link);
            }
        } else {
            let id = self.number(place, actions.id).unwrap_or_else(|fault| {
                faults.push(at(fault));
                0
            });
            let phase = actions.phase.unwrap_or(Phase::RequestBody);
            let default = self.defaults.get(phase as usize).cloned().unwrap_or_default();
            let links = vec![DraftLink { place: place.clone(), test, actions }];
            self.items.push(Item::Rule(Box::new(Draft { id, phase, default, links })));
        }
        self.open_chain = chain;
        if faults.is_empty() { Ok(()) } else { Err(faults) }
    }

    /// The number of a new rule, which no other may have.
    fn number(&mut self, place: &Place, id: Option<u64>) -> Result<u64, Fault> {
        let Some(id) = id else {
            return Err(Fault::new(
                "a rule has no number",
                "add `id:N` with a number that no other rule has",
            ));
        };
        match self.ids.entry(id) {
            std::collections::btree_map::Entry::Occupied(first) => Err(Fault::new(
                format!("rule {id} exists already, at {}", first.get()),
                "give each rule a number of its own, and include each file once",
            )),
            std::collections::btree_map::Entry::Vacant(free) => {
                free.insert(place.clone());
                Ok(id)
            }
        }
    }

    fn test(&self, file: &Arc<str>, targets: &Word, operator: &Word) -> Result<DraftTest, Faults> {
        let mut faults = Vec::new();
        let parsed = Targets::parse(&targets.text).and_then(|parsed| {
            if parsed.included.is_empty() {
                return Err(Fault::new(
                    "a rule looks at nothing",
                    "name a variable that is not left out with `!`",
                ));
            }
            Ok(parsed)
        });
        let parsed = parsed.map_err(|fault| faults.push(targets.diagnostic(file, fault)));
        let compiled = self.operator(file, &operator.text);
        let compiled = compiled.map_err(|fault| faults.push(operator.diagnostic(file, fault)));
        match (parsed, compiled) {
            (Ok(targets), Ok((negated, name, argument, test))) => {
                Ok(DraftTest { targets, negated, name, argument, test })
            }
            _ => Err(faults),
        }
    }

    /// Reads `!@name argument`; text without `@` is a pattern for `@rx`.
    fn operator(&self, file: &Arc<str>, text: &str) -> Result<(bool, Box<str>, Text, Test), Fault> {
        let trimmed = text.trim_start();
        let (negated, rest) = match trimmed.strip_prefix('!') {
            Some(rest) => (true, rest.trim_start()),
            None => (false, trimmed),
        };
        let (name, argument) = match rest.strip_prefix('@') {
            Some(rest) => rest.split_once(char::is_whitespace).unwrap_or((rest, "")),
            None => ("rx", rest),
        };
        let argument = if name == "rx" { argument } else { argument.trim_start() };
        let offset = text.len() - argument.len();
        let parsed = match Text::parse(argument, offset) {
            Ok(parsed) => parsed,
            // In a pattern, `%{` may stand for itself.
            Err(_) if name.eq_ignore_ascii_case("rx") => Text::literal(argument.as_bytes()),
            Err(fault) => return Err(fault),
        };
        let files = Beside { file, files: self.files };
        let test = match parsed.as_literal() {
            Some(_) => {
                Operator::compile(name, argument, &files).map(|operator| Test::Fixed(Arc::new(operator)))
            }
            None => Expanding::compile(name).map(Test::Expanding),
        };
        match test {
            Ok(test) => Ok((negated, name.into(), parsed, test)),
            Err(why) => {
                let (message, help) =
                    why.split_once("; ").unwrap_or((&why, "`docs/rules.md` has the list of operators"));
                Err(Fault::new(format!("`@{name}`: {message}"), help).at(text.len() - trimmed.len()))
            }
        }
    }

    fn marker(&mut self, place: &Place, name: &Word) -> Result<(), Faults> {
        if self.open_chain {
            self.open_chain = false;
            let fault =
                Fault::new("a marker stands inside of a chain", "move it behind the last rule of the chain");
            return Err(vec![diagnose(place, fault)]);
        }
        self.items.push(Item::Marker(Arc::from(name.text.as_str())));
        Ok(())
    }

    fn default_action(&mut self, file: &Arc<str>, word: &Word) -> Result<(), Faults> {
        let actions = Actions::parse(&word.text).map_err(|wrong| {
            wrong.into_iter().map(|fault| word.diagnostic(file, fault)).collect::<Faults>()
        })?;
        let wrong = |message: &str, help: &str| Err(vec![word.diagnostic(file, Fault::new(message, help))]);
        if actions.id.is_some() || actions.chain || actions.msg.is_some() || actions.skip_after.is_some() {
            return wrong("a default has no number, message, chain or jump", "put them into the rules");
        }
        let Some(phase) = actions.phase else {
            return wrong(
                "a default lacks its phase",
                "add `phase:1` to `phase:5`; each has its own default",
            );
        };
        match actions.disruption {
            None => {
                return wrong("a default lacks what it does to the exchange", "add `pass`, `deny` or `drop`");
            }
            Some(Disruption::Block) => {
                return wrong(
                    "a default cannot be `block`, which means the default",
                    "write `deny` or `pass`",
                );
            }
            Some(_) => {}
        }
        if let Some(place) = self.defaults.get_mut(phase as usize) {
            *place = Arc::new(actions);
        }
        Ok(())
    }

    /// The drafts that are meant. Rules that do not exist are a warning: an exclusion outlives what it excluded.
    fn meant(&mut self, place: &Place, which: &Which) -> Vec<usize> {
        let is_meant = |draft: &Draft| {
            let head = draft.links.first().map(|link| &link.actions);
            match which {
                Which::Ids(ids) => ids.contains(draft.id),
                Which::Tag(label) => {
                    head.is_some_and(|actions| actions.tags.iter().any(|tag| label.is(&tag.source())))
                }
                Which::Msg(label) => {
                    head.and_then(|actions| actions.msg.as_ref()).is_some_and(|msg| label.is(&msg.source()))
                }
            }
        };
        let drafts = self.items.iter().enumerate().filter_map(|(index, item)| match item {
            Item::Rule(draft) => is_meant(draft).then_some(index),
            Item::Marker(_) => None,
        });
        let found: Vec<usize> = drafts.collect();
        if found.is_empty() {
            let fault = Fault::new(
                "no rule is meant by this",
                "put it behind the rules, and check the number or tag",
            );
            self.warn(place, fault);
        }
        found
    }

    fn remove(&mut self, place: &Place, which: &Which) {
        for index in self.meant(place, which).into_iter().rev() {
            self.items.remove(index);
        }
    }

    fn update_target_by_id(
        &mut self,
        file: &Arc<str>,
        place: &Place,
        ids: &Word,
        targets: &[Word],
    ) -> Result<(), Faults> {
        // `942100:1` means the first chained rule.
        let (ids_text, link) = match ids.text.split_once(':') {
            Some((ids, link)) => (ids, link.parse().map(Some)),
            None => (ids.text.as_str(), Ok(None)),
        };
        let Ok(link) = link else {
            let fault = Fault::new(format!("`{}` is no rule of a chain", ids.text), "write `920100:1`");
            return Err(vec![ids.diagnostic(file, fault)]);
        };
        let which = Which::Ids(Ids::parse(ids_text).map_err(|fault| vec![ids.diagnostic(file, fault)])?);
        self.update_targets(file, place, &which, link, targets)
    }

    fn update_targets(
        &mut self,
        file: &Arc<str>,
        place: &Place,
        which: &Which,
        link: Option<usize>,
        words: &[Word],
    ) -> Result<(), Faults> {
        let (update, replaced) = match words {
            [update] => (update, None),
            [update, replaced] => (update, Some(replaced)),
            _ => {
                let fault =
                    Fault::new("the variables are missing", "write `SecRuleUpdateTargetById 1 \"!ARGS:x\"`");
                return Err(vec![diagnose(place, fault)]);
            }
        };
        let parse =
            |word: &Word| Targets::parse(&word.text).map_err(|fault| vec![word.diagnostic(file, fault)]);
        let update = parse(update)?;
        let replaced = replaced.map(parse).transpose()?;
        for index in self.meant(place, which) {
            let Some(Item::Rule(draft)) = self.items.get_mut(index) else { continue };
            let tests = draft.links.iter_mut().enumerate().filter(|(at, _)| *at == link.unwrap_or(0));
            for test in tests.filter_map(|(_, link)| link.test.as_mut()) {
                if let Some(replaced) = &replaced {
                    let before = test.targets.included.len();
                    test.targets.included.retain(|target| !replaced.included.contains(target));
                    if test.targets.included.len() == before {
                        continue;
                    }
                }
                test.targets.update(&update);
            }
        }
        Ok(())
    }

    fn update_actions(
        &mut self,
        file: &Arc<str>,
        place: &Place,
        id: &Word,
        actions: &Word,
    ) -> Result<(), Faults> {
        let (id_text, link) = id.text.split_once(':').unwrap_or((&id.text, "0"));
        let Ok(link) = link.parse::<usize>() else {
            let fault = Fault::new(format!("`{}` is no rule of a chain", id.text), "write `920100:1`");
            return Err(vec![id.diagnostic(file, fault)]);
        };
        let which = Which::Ids(Ids::parse(id_text).map_err(|fault| vec![id.diagnostic(file, fault)])?);
        let update = Actions::parse(&actions.text).map_err(|wrong| {
            wrong.into_iter().map(|fault| actions.diagnostic(file, fault)).collect::<Faults>()
        })?;
        if update.id.is_some() || update.phase.is_some() || update.chain {
            let fault =
                Fault::new("number, phase and chain of a rule cannot change", "remove them from the update");
            return Err(vec![actions.diagnostic(file, fault)]);
        }
        for index in self.meant(place, &which) {
            if let Some(Item::Rule(draft)) = self.items.get_mut(index)
                && let Some(link) = draft.links.get_mut(link)
            {
                link.actions.update(update.clone());
            }
        }
        Ok(())
    }
}

/// The first action that only the head of a chain may have.
fn head_only(actions: &Actions) -> Option<&'static str> {
    let told = [
        (actions.id.is_some(), "id"),
        (actions.phase.is_some(), "phase"),
        (actions.disruption.is_some(), "pass, deny, block, drop, allow or redirect"),
        (actions.status.is_some(), "status"),
        (actions.skip.is_some(), "skip"),
        (actions.skip_after.is_some(), "skipAfter"),
    ];
    told.into_iter().find(|(is, _)| *is).map(|(_, what)| what)
}

fn usage(directive: &str) -> &'static str {
    match directive {
        "secrule" => {
            "write `SecRule VARIABLES \"@operator argument\" \"id:1,phase:2,deny\"`, and quote what has spaces"
        }
        "secaction" => "write `SecAction \"id:1,phase:1,pass,setvar:tx.name=1\"`",
        "secdefaultaction" => "write `SecDefaultAction \"phase:2,log,pass\"`",
        "secmarker" => "write `SecMarker NAME`",
        "secruleremovebyid" => "write `SecRuleRemoveById 920100`, a range or several",
        "secruleupdateactionbyid" => "write `SecRuleUpdateActionById 920100 \"pass\"`",
        _ => "quote an argument that has spaces",
    }
}

fn unknown(name: &str) -> Fault {
    if name.starts_with('<') {
        return Fault::new(
            format!("`{name}` is a section of a web server's configuration"),
            "rules are mounted by the policy: keep the directives, remove the section",
        );
    }
    let names = DIRECTIVES.iter().chain(Settings::NAMES).copied();
    let help = super::near(name, names).map_or_else(
        || "`docs/rules.md` has the list of directives".to_owned(),
        |near| format!("did you mean `{near}`?"),
    );
    Fault::new(format!("`{name}` is no directive"), help)
}

/// Data files lie beside the rule file that names them.
struct Beside<'a> {
    file: &'a str,
    files: &'a dyn Files,
}

impl Files for Beside<'_> {
    fn read(&self, path: &str) -> Result<Arc<[u8]>, String> {
        self.files.read(&beside(self.file, path))
    }

    fn glob(&self, pattern: &str) -> Result<Vec<String>, String> {
        self.files.glob(&beside(self.file, pattern))
    }
}
