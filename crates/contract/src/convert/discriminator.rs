//! `discriminator`: which schema a value must be of, by one of its properties (OpenAPI 3.2 section 4.25).
//!
//! A value that names its kind is checked against that kind alone, so that what is wrong with it is told, and not that it
//! is none of twenty others.

use std::collections::{HashMap, HashSet};

use serde_json::{Value, json};

use super::{
    Converter,
    schema::{At, Frame, Walk},
};
use crate::{
    documents::{Documents, Site},
    pointer,
    tree::Node,
};

/// Schemas between one and what it builds on, at most.
const MAX_DEPTH: usize = 8;

/// A schema with a `discriminator`, and those that build on it.
#[derive(Debug)]
pub(super) struct Family<'a> {
    pub(super) base: Site<'a>,
    pub(super) discriminator: Site<'a>,
    members: Vec<Site<'a>>,
}

/// The pointer of what a value of a family may be.
pub(super) fn subtypes(base: &str) -> String {
    let mut out = "/x-subtypes".to_owned();
    pointer::push_token(&mut out, base.trim_start_matches('/'));
    out
}

/// The property that tells.
fn property<'a>(discriminator: &Site<'a>) -> Option<&'a str> {
    // Swagger 2.0 names it and no more.
    discriminator.node.as_str().or_else(|| discriminator.text("propertyName"))
}

/// The schemas that have a name.
fn named<'a>(documents: &'a Documents) -> impl Iterator<Item = Site<'a>> {
    documents.list().iter().flat_map(|document| {
        let top = documents.top(document);
        let lists =
            [top.get("components").and_then(|components| components.get("schemas")), top.get("definitions")];
        let own: Vec<_> = lists.iter().flatten().flat_map(Site::named).map(|(_, site)| site).collect();
        // A file of schemas alone.
        let plain = top.node.get("openapi").is_none() && top.node.get("swagger").is_none();
        let whole = (plain && own.is_empty()).then(|| top.clone());
        own.into_iter().chain(whole)
    })
}

/// The families of all documents, by document and pointer of the base.
pub(super) fn families(documents: &Documents) -> HashMap<(usize, String), Family<'_>> {
    let key = |site: &Site<'_>| (site.document.index, site.pointer.clone());
    let bases: Vec<Site<'_>> =
        named(documents).filter(|site| site.node.get("discriminator").is_some()).collect();
    if bases.is_empty() {
        return HashMap::new();
    }
    let mut builders: HashMap<(usize, String), Vec<Site<'_>>> = HashMap::new();
    for site in named(documents) {
        for part in site.get("allOf").iter().flat_map(Site::items) {
            if let Some(Ok(base)) = part.text("$ref").map(|text| documents.target(part.document, text)) {
                builders.entry(key(&base)).or_default().push(site.clone());
            }
        }
    }
    let mut found = HashMap::new();
    for base in bases {
        let Some(discriminator) = base.get("discriminator") else { continue };
        let (mut members, mut seen) = (Vec::new(), HashSet::from([key(&base)]));
        let mut level = vec![key(&base)];
        for _ in 0..MAX_DEPTH {
            let next: Vec<_> = level.iter().filter_map(|at| builders.get(at)).flatten().cloned().collect();
            let next: Vec<_> = next.into_iter().filter(|site| seen.insert(key(site))).collect();
            level = next.iter().map(key).collect();
            members.extend(next);
        }
        let combined = ["oneOf", "anyOf"].iter().any(|keyword| base.node.get(keyword).is_some());
        if !combined || !members.is_empty() {
            // What only the mapping names belongs to it too.
            for (_, target) in mapping(documents, &discriminator) {
                if seen.insert(key(&target)) {
                    members.push(target);
                }
            }
        }
        if !members.is_empty() {
            for list in ["oneOf", "anyOf"] {
                for part in base.get(list).iter().flat_map(Site::items) {
                    if let Some(Ok(member)) =
                        part.text("$ref").map(|text| documents.target(part.document, text))
                        && seen.insert(key(&member))
                    {
                        members.push(member);
                    }
                }
            }
            found.insert(key(&base), Family { base, discriminator, members });
        }
    }
    found
}

/// The values that a mapping names, and what they stand for; what leads nowhere is left out.
fn mapping<'a>(documents: &'a Documents, discriminator: &Site<'a>) -> Vec<(&'a str, Site<'a>)> {
    let entries: Vec<_> = discriminator.get("mapping").iter().flat_map(Site::named).collect();
    let target = |(value, site): (&'a str, Site<'a>)| {
        let text = site.node.as_str()?;
        let plain = !text.contains(['/', '#']);
        let by_name = || documents.target(site.document, &format!("#/components/schemas/{text}"));
        let target = if plain {
            by_name().or_else(|_| documents.target(site.document, text))
        } else {
            documents.target(site.document, text)
        };
        Some((value, target.ok()?))
    };
    entries.into_iter().filter_map(target).collect()
}

/// The name of a schema: the last step of its pointer, or that of its file.
fn name(site: &Site<'_>) -> String {
    match site.pointer.rsplit_once('/') {
        Some((_, last)) => pointer::token(last).into_owned(),
        None => {
            let file = site.document.file.rsplit('/').next().unwrap_or_default();
            file.split('.').next().unwrap_or_default().to_owned()
        }
    }
}

/// The values of the property that stand for a schema: those that the mapping names, those that the schema itself allows,
/// or its name.
fn values(
    documents: &Documents,
    discriminator: &Site<'_>,
    property: &str,
    member: &Site<'_>,
    base: Option<&Site<'_>>,
) -> Vec<String> {
    let same =
        |site: &Site<'_>| site.document.index == member.document.index && site.pointer == member.pointer;
    let mapped = mapping(documents, discriminator).into_iter().filter(|(_, site)| same(site));
    let mut found: Vec<String> = mapped.map(|(value, _)| value.to_owned()).collect();
    if found.is_empty() {
        allowed(documents, member, property, base, MAX_DEPTH, &mut found);
    }
    if found.is_empty() {
        found.push(name(member));
    }
    found
}

/// The values that a schema allows its own property to have, those of `base` left aside.
fn allowed(
    documents: &Documents,
    schema: &Site<'_>,
    property: &str,
    base: Option<&Site<'_>>,
    depth: usize,
    found: &mut Vec<String>,
) {
    let is_base = |site: &Site<'_>| {
        base.is_some_and(|base| base.document.index == site.document.index && base.pointer == site.pointer)
    };
    let Ok(schema) = documents.follow(schema.clone()) else { return };
    if depth == 0 || is_base(&schema) {
        return;
    }
    let own = schema.get("properties").and_then(|properties| properties.get(property));
    if let Some(own) = own.and_then(|own| documents.follow(own).ok()) {
        let constant = own.node.get("const").into_iter();
        let listed = own.node.get("enum").map(Node::items).unwrap_or_default().iter();
        found.extend(constant.chain(listed).filter_map(Node::as_str).map(str::to_owned));
    }
    for part in schema.get("allOf").iter().flat_map(Site::items) {
        allowed(documents, &part, property, base, depth - 1, found);
    }
}

/// `if` the property has one of these values, `then` this schema.
fn rule(property: &str, values: &[String], reference: &str) -> Value {
    let test = match values {
        [one] => json!({ "const": one }),
        _ => json!({ "enum": values }),
    };
    json!({ "if": { "required": [property], "properties": { property: test } }, "then": { "$ref": reference } })
}

/// Where the property is missing, or has no value that stands for anything.
fn otherwise(property: &str, values: &[String], reference: &str) -> Value {
    json!({
        "if": { "required": [property], "properties": { property: { "enum": values } } },
        "else": { "$ref": reference }
    })
}

impl<'a> Converter<'a> {
    /// What a value of a family may be: what its base says, and what the kind that it names says.
    pub(super) fn subtypes(&mut self, family: &Family<'a>) -> Value {
        let Family { base, discriminator, members } = family;
        let from = base.document.index;
        let mut rules = vec![json!({ "$ref": self.uri(from, base) })];
        let Some(property) = property(discriminator) else {
            self.report.error(discriminator, "the `discriminator` names no property", "add `propertyName`");
            return json!({ "allOf": rules });
        };
        self.check_mapping(discriminator);
        let mut all = vec![name(base)];
        for member in members {
            let values = values(self.documents, discriminator, property, member, Some(base));
            rules.push(rule(property, &values, &self.uri(from, member)));
            all.extend(values);
            self.targets.push(member.clone());
        }
        match self.default_mapping(discriminator) {
            Some(default) => {
                rules.push(otherwise(property, &all, &self.uri(from, &default)));
                self.targets.push(default);
            }
            // Without a mapping nobody knows which names an API gives to its kinds.
            None if discriminator.node.get("mapping").is_some() => {
                rules.push(json!({ "properties": { property: { "enum": all } } }));
            }
            None => {}
        }
        json!({ "allOf": rules })
    }

    /// Says what of a mapping leads nowhere.
    fn check_mapping(&self, discriminator: &Site<'a>) {
        let known = mapping(self.documents, discriminator);
        for (value, site) in discriminator.get("mapping").iter().flat_map(Site::named) {
            if !known.iter().any(|(other, _)| *other == value) {
                let message = format!("the mapping of `{value}` leads nowhere");
                self.report.error(&site, message, "name a schema, or write a reference to one");
            }
        }
    }

    /// `defaultMapping` of OpenAPI 3.2.
    fn default_mapping(&self, discriminator: &Site<'a>) -> Option<Site<'a>> {
        let text = discriminator.text("defaultMapping")?;
        let target = match text.contains(['/', '#']) {
            true => self.documents.target(discriminator.document, text),
            false => self.documents.target(discriminator.document, &format!("#/components/schemas/{text}")),
        };
        match target {
            Ok(target) => Some(target),
            Err(broken) => {
                self.report.error(discriminator, broken.message, broken.help);
                None
            }
        }
    }
}

impl<'a> Walk<'_, 'a> {
    /// Turns the alternatives of a schema with a `discriminator` into rules about the property that tells them apart.
    pub(super) fn discriminate(&mut self, at: &At<'a>, frame: &mut Frame<'a>) {
        let Some(discriminator) = at.site.get("discriminator") else { return };
        if self.to.families.contains_key(&(at.site.document.index, at.site.pointer.clone())) {
            // Its alternatives build on it: they stand apart, or each would contain itself.
            frame.map.shift_remove("oneOf");
            frame.map.shift_remove("anyOf");
            return;
        }
        let Some(property) = property(&discriminator) else {
            return self.to.report.error(
                &discriminator,
                "the `discriminator` names no property",
                "add `propertyName`",
            );
        };
        let Some(keyword) = ["oneOf", "anyOf"].into_iter().find(|keyword| frame.map.contains_key(*keyword))
        else {
            return;
        };
        let branches: Vec<Site<'a>> = at.site.get(keyword).iter().flat_map(Site::items).collect();
        let references: Option<Vec<String>> =
            frame.map.get(keyword).and_then(Value::as_array).and_then(|list| {
                list.iter().map(|item| Some(item.get("$ref")?.as_str()?.to_owned())).collect()
            });
        let Some(references) = references.filter(|list| list.len() == branches.len()) else {
            // An alternative without a name cannot be told by one.
            return;
        };
        self.to.check_mapping(&discriminator);
        let mut all = Vec::new();
        let mut rules = Vec::new();
        for (branch, reference) in branches.iter().zip(&references) {
            let Some(Ok(member)) =
                branch.text("$ref").map(|text| self.to.documents.target(branch.document, text))
            else {
                return;
            };
            let values = values(self.to.documents, &discriminator, property, &member, None);
            rules.push((rule(property, &values, reference), branch.clone()));
            all.extend(values);
        }
        frame.map.shift_remove(keyword);
        let default = self.to.default_mapping(&discriminator);
        let first = match &default {
            Some(_) => json!({ "type": "object" }),
            None => {
                json!({ "type": "object", "required": [property], "properties": { property: { "enum": all } } })
            }
        };
        frame.also.push((first, discriminator.clone()));
        frame.also.extend(rules);
        if let Some(default) = default {
            let uri = self.to.refer(at.site.document.index, default, false, at.dialect);
            frame.also.push((otherwise(property, &all, &uri), discriminator));
        }
    }
}
