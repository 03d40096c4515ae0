//! Workload tokens of many platforms as one kind of principal: the settings of an issuer's `map`, its presets, and how
//! they are applied to claims.

use std::{collections::BTreeMap, sync::Arc};

use bartizan_model::{
    Principal,
    federation::{ClaimMap, Piece, Rule, Template, pointer},
};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value};

use super::reason::Why;

/// Roles and scopes that one template adds at most: more than real tokens have.
const MAX_ITEMS: usize = 256;

/// Whose workload tokens an issuer signs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Preset {
    /// Service account tokens of a Kubernetes cluster.
    Kubernetes,
    /// Identity tokens of Google Cloud service accounts.
    Google,
    /// Access tokens of Microsoft Entra ID, for applications and managed identities.
    Azure,
    /// Tokens of AWS: web identities of STS, and service accounts of an EKS cluster (IRSA).
    Aws,
}

/// One template, or alternatives of which the first applies whose claims are all there.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Templates {
    /// One.
    One(String),
    /// Several.
    Any(Vec<String>),
}

impl Default for Templates {
    fn default() -> Self {
        Templates::Any(Vec::new())
    }
}

/// How claims become a principal. Names in braces are claims: `{sub}`, or with a JSON pointer (RFC 6901)
/// `{/kubernetes.io/namespace}`. What is not said here comes from the preset, then from the usual claims.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Mapping {
    /// The principal's subject, such as `{/kubernetes.io/namespace}/{/kubernetes.io/serviceaccount/name}`; a token for which
    /// no alternative applies is refused. Default: `sub`.
    pub subject: Templates,
    /// The principal's tenant. Default: `tenant`, else `tid`.
    pub tenant: Templates,
    /// Further roles; a template that is one claim with a list adds each of its texts.
    pub roles: Vec<String>,
    /// Further scopes, likewise.
    pub scopes: Vec<String>,
    /// The principal's attributes by name, besides the other claims.
    pub attributes: BTreeMap<String, Templates>,
    /// What holds for tokens with some claims; all rules that match apply, in order.
    pub rules: Vec<MappingRule>,
}

/// What holds for tokens with some claims.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct MappingRule {
    /// Claims (by name or JSON pointer) and the text that each must have; `*` stands for any text.
    pub when: BTreeMap<String, String>,
    /// Further roles.
    pub roles: Vec<String>,
    /// Further scopes.
    pub scopes: Vec<String>,
    /// The tenant.
    pub tenant: Option<String>,
    /// Further attributes.
    pub attributes: BTreeMap<String, String>,
}

/// Compiles an issuer's `preset` and `map`; nothing when it has neither.
///
/// # Errors
/// The place within `map` and what is wrong there.
pub fn compile(
    preset: Option<Preset>,
    mapping: Option<&Mapping>,
) -> Result<Option<ClaimMap>, (String, String)> {
    if preset.is_none() && mapping.is_none() {
        return Ok(None);
    }
    let mut map = ClaimMap::default();
    if let Some(preset) = preset {
        lay_over(&mut map, &of_platform(preset))?;
    }
    if let Some(mapping) = mapping {
        lay_over(&mut map, mapping)?;
    }
    Ok(Some(map))
}

fn lay_over(map: &mut ClaimMap, mapping: &Mapping) -> Result<(), (String, String)> {
    let subject = templates(&mapping.subject, "subject")?;
    if !subject.is_empty() {
        map.subject = subject;
    }
    let tenant = templates(&mapping.tenant, "tenant")?;
    if !tenant.is_empty() {
        map.tenant = tenant;
    }
    map.roles.extend(each(&mapping.roles, "roles")?);
    map.scopes.extend(each(&mapping.scopes, "scopes")?);
    for (name, alternatives) in &mapping.attributes {
        let compiled = templates(alternatives, &format!("attributes.{name}"))?;
        map.attributes.insert(Arc::from(name.as_str()), compiled);
    }
    for (index, rule) in mapping.rules.iter().enumerate() {
        map.rules.push(self::rule(rule, &format!("rules[{index}]"))?);
    }
    Ok(())
}

fn rule(rule: &MappingRule, path: &str) -> Result<Rule, (String, String)> {
    let at = |field: &str| format!("{path}.{field}");
    if rule.when.is_empty() {
        return Err((
            at("when"),
            "a rule without a condition holds for every token; write what it adds beside `rules`".to_owned(),
        ));
    }
    let mut when = Vec::new();
    for (claim, pattern) in &rule.when {
        let pointer = pointer(claim).map_err(|problem| (at("when"), problem))?;
        when.push((Arc::from(pointer), Arc::from(pattern.as_str())));
    }
    let mut attributes = BTreeMap::new();
    for (name, text) in &rule.attributes {
        attributes.insert(Arc::from(name.as_str()), template(text, &at(&format!("attributes.{name}")))?);
    }
    Ok(Rule {
        when,
        roles: each(&rule.roles, &at("roles"))?,
        scopes: each(&rule.scopes, &at("scopes"))?,
        tenant: rule.tenant.as_ref().map(|text| template(text, &at("tenant"))).transpose()?,
        attributes,
    })
}

fn templates(written: &Templates, path: &str) -> Result<Vec<Template>, (String, String)> {
    match written {
        Templates::One(text) => Ok(vec![template(text, path)?]),
        Templates::Any(texts) => each(texts, path),
    }
}

fn each(texts: &[String], path: &str) -> Result<Vec<Template>, (String, String)> {
    texts.iter().enumerate().map(|(index, text)| template(text, &format!("{path}[{index}]"))).collect()
}

fn template(text: &str, path: &str) -> Result<Template, (String, String)> {
    text.parse().map_err(|problem| (path.to_owned(), problem))
}

/// What a platform calls the parts of a principal. Every platform yields the attributes `platform`, `account` (project,
/// directory, account number or namespace) and `workload`.
fn of_platform(preset: Preset) -> Mapping {
    let any = |texts: &[&str]| Templates::Any(texts.iter().map(|text| (*text).to_owned()).collect());
    let attributes = |list: &[(&str, &[&str])]| -> BTreeMap<String, Templates> {
        list.iter().map(|(name, texts)| ((*name).to_owned(), any(texts))).collect()
    };
    // Service account tokens of today, and the ones that were kept in Secrets.
    const NAMESPACE: [&str; 2] = ["{/kubernetes.io/namespace}", "{kubernetes.io/serviceaccount/namespace}"];
    const ACCOUNT: [&str; 2] =
        ["{/kubernetes.io/serviceaccount/name}", "{kubernetes.io/serviceaccount/service-account.name}"];
    match preset {
        Preset::Kubernetes => Mapping {
            tenant: any(&NAMESPACE),
            attributes: attributes(&[
                ("platform", &["kubernetes"]),
                ("account", &NAMESPACE),
                ("workload", &ACCOUNT),
            ]),
            ..Mapping::default()
        },
        Preset::Google => Mapping {
            tenant: any(&["{/google/compute_engine/project_id}", "{hd}"]),
            attributes: attributes(&[
                ("platform", &["google"]),
                ("account", &["{/google/compute_engine/project_id}", "{hd}"]),
            ]),
            // An address that nobody verified names nobody.
            rules: vec![MappingRule {
                when: BTreeMap::from([("email_verified".to_owned(), "true".to_owned())]),
                attributes: BTreeMap::from([("workload".to_owned(), "{email}".to_owned())]),
                ..MappingRule::default()
            }],
            ..Mapping::default()
        },
        // `sub` is another one for each pair of applications; `oid` is the same for all.
        Preset::Azure => Mapping {
            subject: any(&["{oid}", "{sub}"]),
            tenant: any(&["{tid}"]),
            attributes: attributes(&[
                ("platform", &["azure"]),
                ("account", &["{tid}"]),
                ("workload", &["{azp}", "{appid}"]),
            ]),
            ..Mapping::default()
        },
        Preset::Aws => Mapping {
            tenant: any(&["{/https:~1~1sts.amazonaws.com~1/aws_account}", "{/kubernetes.io/namespace}"]),
            attributes: attributes(&[
                ("platform", &["aws"]),
                ("account", &["{/https:~1~1sts.amazonaws.com~1/aws_account}", "{/kubernetes.io/namespace}"]),
                (
                    "workload",
                    &[
                        "{/kubernetes.io/serviceaccount/name}",
                        "{/https:~1~1sts.amazonaws.com~1/principal_id}",
                    ],
                ),
            ]),
            ..Mapping::default()
        },
    }
}

/// What a map makes of the claims of a verified token: the subject, and the rest of the principal.
pub(super) fn apply(
    map: &ClaimMap,
    claims: &Map<String, Value>,
    principal: &mut Principal,
) -> Result<(), Why> {
    let claims = Value::Object(claims.clone());
    if !map.subject.is_empty() {
        principal.subject = first(&map.subject, &claims).ok_or(Why::ClaimUnmapped)?;
    }
    if !map.tenant.is_empty() {
        principal.tenant = first(&map.tenant, &claims);
    }
    add(&mut principal.roles, &map.roles, &claims);
    add(&mut principal.scopes, &map.scopes, &claims);
    for (name, alternatives) in &map.attributes {
        match first(alternatives, &claims) {
            Some(text) => principal.attributes.insert(Arc::clone(name), Value::from(&*text)),
            // A claim of the same name must not pass for what the map means by it.
            None => principal.attributes.remove(name),
        };
    }
    for rule in map.rules.iter().filter(|rule| matches(rule, &claims)) {
        add(&mut principal.roles, &rule.roles, &claims);
        add(&mut principal.scopes, &rule.scopes, &claims);
        if let Some(tenant) = rule.tenant.as_ref().and_then(|template| fill(template, &claims)) {
            principal.tenant = Some(tenant);
        }
        for (name, template) in &rule.attributes {
            if let Some(text) = fill(template, &claims) {
                principal.attributes.insert(Arc::clone(name), Value::from(&*text));
            }
        }
    }
    Ok(())
}

fn first(alternatives: &[Template], claims: &Value) -> Option<Arc<str>> {
    alternatives.iter().find_map(|template| fill(template, claims))
}

/// The text of a template, unless a claim is missing. A claim that holds the text which follows it would let two tokens
/// come to one subject, so it counts as missing.
fn fill(template: &Template, claims: &Value) -> Option<Arc<str>> {
    let mut text = String::new();
    let mut pieces = template.0.iter().peekable();
    while let Some(piece) = pieces.next() {
        match piece {
            Piece::Text(fixed) => text.push_str(fixed),
            Piece::Claim(pointer) => {
                let value = plain(claims.pointer(pointer)?)?;
                if let Some(Piece::Text(next)) = pieces.peek()
                    && value.contains(&**next)
                {
                    return None;
                }
                text.push_str(&value);
            }
        }
    }
    Some(text.into())
}

/// A claim as text: a name that may be written into header fields and logs, a number or a truth value.
fn plain(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => super::claims::is_name(text).then(|| text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(truth) => Some(truth.to_string()),
        _ => None,
    }
}

fn add(list: &mut Vec<Arc<str>>, templates: &[Template], claims: &Value) {
    for template in templates {
        let texts: Vec<Arc<str>> = match template.0.as_slice() {
            [Piece::Claim(pointer)] => match claims.pointer(pointer) {
                Some(Value::Array(items)) => {
                    items.iter().filter_map(plain).map(Arc::from).take(MAX_ITEMS).collect()
                }
                Some(value) => plain(value).map(Arc::from).into_iter().collect(),
                None => Vec::new(),
            },
            _ => fill(template, claims).into_iter().collect(),
        };
        for text in texts {
            if !list.contains(&text) && list.len() < MAX_ITEMS {
                list.push(text);
            }
        }
    }
}

fn matches(rule: &Rule, claims: &Value) -> bool {
    rule.when.iter().all(|(pointer, pattern)| {
        claims.pointer(pointer).is_some_and(|value| match value {
            Value::Array(items) => items.iter().filter_map(plain).any(|text| glob(pattern, &text)),
            value => plain(value).is_some_and(|text| glob(pattern, &text)),
        })
    })
}

/// Whether a text is what a pattern says, `*` being any text: the parts between stars are found one after the other.
fn glob(pattern: &str, text: &str) -> bool {
    let mut parts = pattern.split('*');
    let Some(mut rest) = parts.next().and_then(|begin| text.strip_prefix(begin)) else { return false };
    let mut parts: Vec<&str> = parts.collect();
    let Some(end) = parts.pop() else { return rest.is_empty() };
    for part in parts {
        match rest.split_once(part) {
            Some((_, after)) => rest = after,
            None => return false,
        }
    }
    rest.ends_with(end)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests assert")]
    use super::*;
    use bartizan_model::CredentialKind;
    use serde_json::json;

    fn mapped(preset: Option<Preset>, mapping: Value, claims: Value) -> Result<Principal, Why> {
        let mapping: Mapping = serde_json::from_value(mapping).unwrap();
        let map = compile(preset, Some(&mapping)).unwrap().unwrap();
        let mut principal = Principal::new(CredentialKind::Jwt, "corp".into(), "before".into());
        apply(&map, claims.as_object().unwrap(), &mut principal).map(|()| principal)
    }

    fn workload(preset: Preset, claims: Value) -> (String, Option<String>, Value, Value) {
        let principal = mapped(Some(preset), json!({}), claims).unwrap();
        let attribute = |name: &str| principal.attributes.get(name).cloned().unwrap_or_default();
        let tenant = principal.tenant.as_deref().map(str::to_owned);
        (principal.subject.to_string(), tenant, attribute("platform"), attribute("workload"))
    }

    #[test]
    fn platforms_come_to_one_shape() {
        let (_, tenant, platform, name) = workload(
            Preset::Kubernetes,
            json!({ "kubernetes.io": { "namespace": "payments", "serviceaccount": { "name": "ledger" } } }),
        );
        assert_eq!(
            (tenant.as_deref(), platform, name),
            (Some("payments"), json!("kubernetes"), json!("ledger"))
        );
        let (_, tenant, _, name) = workload(
            Preset::Kubernetes,
            json!({ "kubernetes.io/serviceaccount/namespace": "payments",
                    "kubernetes.io/serviceaccount/service-account.name": "ledger" }),
        );
        assert_eq!((tenant.as_deref(), name), (Some("payments"), json!("ledger")), "tokens kept in Secrets");
        let (subject, tenant, platform, name) =
            workload(Preset::Azure, json!({ "oid": "o", "sub": "s", "tid": "payments", "azp": "ledger" }));
        assert_eq!(
            (subject.as_str(), tenant.as_deref(), platform, name),
            ("o", Some("payments"), json!("azure"), json!("ledger"))
        );
        let google = |verified: bool| {
            json!({ "email": "ledger@payments.iam.gserviceaccount.com", "email_verified": verified,
                    "google": { "compute_engine": { "project_id": "payments" } } })
        };
        let (_, tenant, _, name) = workload(Preset::Google, google(true));
        assert_eq!(
            (tenant.as_deref(), name),
            (Some("payments"), json!("ledger@payments.iam.gserviceaccount.com"))
        );
        assert_eq!(workload(Preset::Google, google(false)).3, Value::Null, "an address that nobody verified");
        let (_, tenant, platform, name) = workload(
            Preset::Aws,
            json!({ "https://sts.amazonaws.com/": { "aws_account": "123456789012", "principal_id": "arn:aws:iam::123456789012:role/ledger" } }),
        );
        assert_eq!(
            (tenant.as_deref(), platform, name),
            (Some("123456789012"), json!("aws"), json!("arn:aws:iam::123456789012:role/ledger"))
        );
    }

    #[test]
    fn maps_and_rules_are_laid_over_a_preset() {
        let map = json!({
            "subject": "{/kubernetes.io/namespace}/{/kubernetes.io/serviceaccount/name}",
            "roles": ["{groups}", "in-{/kubernetes.io/namespace}"],
            "rules": [{ "when": { "sub": "system:serviceaccount:pay*:*" }, "roles": ["payer"], "attributes": { "tier": "one" } },
                      { "when": { "sub": "system:serviceaccount:other:*" }, "roles": ["never"] }],
        });
        let claims = |namespace: &str| {
            json!({ "sub": "system:serviceaccount:payments:ledger", "groups": ["a", "b", 7, "a"],
                    "kubernetes.io": { "namespace": namespace, "serviceaccount": { "name": "ledger" } } })
        };
        let principal = mapped(Some(Preset::Kubernetes), map.clone(), claims("payments")).unwrap();
        assert_eq!(&*principal.subject, "payments/ledger");
        let roles: Vec<&str> = principal.roles.iter().map(|role| &**role).collect();
        assert_eq!(roles, ["a", "b", "7", "in-payments", "payer"]);
        assert_eq!(principal.attributes.get("tier"), Some(&json!("one")));
        for hostile in ["payments/ledger", "", " ", "a\nb"] {
            let refused = mapped(Some(Preset::Kubernetes), map.clone(), claims(hostile));
            assert_eq!(refused.unwrap_err(), Why::ClaimUnmapped, "{hostile:?} in a subject of two claims");
        }
    }

    #[test]
    fn mistakes_are_told_with_their_place() {
        for (map, place) in [
            (json!({ "subject": "{" }), "subject"),
            (json!({ "roles": ["x", "{}"] }), "roles[1]"),
            (json!({ "attributes": { "a": "{b}{c}" } }), "attributes.a"),
            (json!({ "rules": [{ "roles": ["x"] }] }), "rules[0].when"),
        ] {
            let mapping: Mapping = serde_json::from_value(map).unwrap();
            assert_eq!(compile(None, Some(&mapping)).unwrap_err().0, place);
        }
    }

    #[test]
    fn stars_stand_for_any_text() {
        for (pattern, text, expected) in [
            ("a", "a", true),
            ("a", "ab", false),
            ("a*", "ab", true),
            ("*b", "ab", true),
            ("a*b", "ab", true),
            ("a*b", "aXb", true),
            ("ab*ba", "aba", false),
            ("a*b*c", "a-b-c", true),
            ("a*b*c", "a-c-b", false),
            ("*", "", true),
            ("", "x", false),
        ] {
            assert_eq!(glob(pattern, text), expected, "{pattern} {text}");
        }
    }
}
