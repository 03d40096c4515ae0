//! What is known of a request, as the values that policies read: only those that some policy reads are made.

use std::{
    borrow::Cow, collections::HashMap, collections::HashSet, net::IpAddr, str::FromStr, sync::LazyLock,
};

use bartizan_model::{
    CanonicalRequest, CredentialKind, Principal, Scheme, Strength, Timestamp,
    compile::{FieldKind, FieldPlace},
};
use bartizan_pattern::body::{
    Content,
    form::Form,
    json::{Kind, Value as JsonValue},
};
use cedar_policy::{Context, Entity, EntityId, EntityTypeName, EntityUid, RestrictedExpression};
use serde_json::Value;

use super::schema::{RECORDS, Shape};
use crate::{Action, Geo, Zone, zone::Moment};

/// Items of one list that policies see: more than any real one has, less than what would take time.
const MAX_ITEMS: usize = 1_000;

/// A request's body as policies see it.
#[derive(Clone, Copy, Debug)]
pub enum Body<'a> {
    /// There is none.
    Absent,
    /// It could not be read, or is not whole: whatever policy looks into it cannot be evaluated.
    Unreadable,
    /// It was read.
    Read(Content<'a>),
}

/// A value that is there, and that no policy can use: two of them where one is read, no number where one is.
struct Unusable;

/// A value, or that there is none.
type Found = Result<Option<RestrictedExpression>, Unusable>;

/// A request as policies see it.
pub struct Facts<'a> {
    /// Its canonical head.
    pub request: &'a CanonicalRequest,
    /// The verified caller.
    pub principal: Option<&'a Principal>,
    /// The client's address.
    pub ip: IpAddr,
    /// The API's name.
    pub api: &'a str,
    /// When it began.
    pub time: Timestamp,
    /// Its action.
    pub action: &'a Action,
    /// Its path below the base path.
    pub path: &'a str,
    /// The roles that its caller has, inherited ones included.
    pub roles: &'a [&'a str],
    /// The body.
    pub body: Body<'a>,
    /// Where addresses are.
    pub geo: Option<&'a Geo>,
    /// The policy's clock.
    pub zone: Zone,
    /// How doubtful the caller is, 0 to 100.
    pub risk: i64,
}

/// What the policies of some actions read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Needs {
    pub principal: Shape,
    pub context: Shape,
    pub roles: bool,
    pub body: bool,
}

/// The entity types, parsed once.
static TYPES: LazyLock<Option<[EntityTypeName; 4]>> = LazyLock::new(|| {
    let name = |text| EntityTypeName::from_str(text).ok();
    Some([name("User")?, name("Service")?, name("Anonymous")?, name("Role")?])
});

impl Facts<'_> {
    /// The principal and the context, or why they cannot be told.
    pub(super) fn of(&self, needs: &Needs) -> Result<(Entity, Context), String> {
        let [user, service, anonymous, role] = TYPES.as_ref().ok_or("Cedar refuses its own names")?;
        let principal = self.principal;
        let (kind, id) = match principal {
            None => (anonymous, Cow::Borrowed("caller")),
            Some(known) => {
                let kind = if is_service(known) { service } else { user };
                (kind, Cow::Owned(format!("{}/{}", known.issuer, known.subject)))
            }
        };
        let uid = EntityUid::from_type_name_and_id(kind.clone(), EntityId::new(id));
        let mut attributes = HashMap::new();
        for (name, shape) in &needs.principal.members {
            if let Some(value) = self.principal(name, shape)? {
                attributes.insert(name.clone(), value);
            }
        }
        let parents: HashSet<EntityUid> = if needs.roles {
            let uid = |name: &&str| EntityUid::from_type_name_and_id(role.clone(), EntityId::new(name));
            self.roles.iter().map(uid).collect()
        } else {
            HashSet::new()
        };
        let entity = if attributes.is_empty() {
            Entity::new_no_attrs(uid, parents)
        } else {
            Entity::new(uid, attributes, parents).map_err(|error| error.to_string())?
        };
        let mut pairs = Vec::with_capacity(needs.context.members.len());
        let moment = needs.context.members.contains_key("time").then(|| self.moment());
        for (name, shape) in &needs.context.members {
            if let Some(value) = self.context(name, shape, moment.as_ref())? {
                pairs.push((name.clone(), value));
            }
        }
        if pairs.is_empty() {
            return Ok((entity, Context::empty()));
        }
        Ok((entity, Context::from_pairs(pairs).map_err(|error| error.to_string())?))
    }

    fn moment(&self) -> Moment {
        self.zone.moment(self.time)
    }

    /// An attribute of the principal; `None` where it has none.
    fn principal(&self, name: &str, shape: &Shape) -> Result<Option<RestrictedExpression>, String> {
        let Some(principal) = self.principal else {
            return Ok(match name {
                "kind" => Some(text("none")),
                "scopes" | "amr" => Some(RestrictedExpression::new_set([])),
                "roles" => Some(texts(self.roles.iter().copied())),
                "claims" => Some(records(Vec::new())?),
                _ => None,
            });
        };
        Ok(match name {
            "subject" => Some(text(&principal.subject)),
            "issuer" => Some(text(&principal.issuer)),
            "tenant" => principal.tenant.as_deref().map(text),
            "kind" => Some(text(kind(principal.kind))),
            "strength" => Some(text(match principal.strength {
                Strength::Bearer => "bearer",
                Strength::ProofOfPossession => "proof_of_possession",
            })),
            "acr" => principal.authentication.acr.as_deref().map(text),
            "amr" => Some(texts(principal.authentication.amr.iter().map(|name| &**name))),
            "client" => principal.client.as_deref().map(text),
            "session" => principal.session.as_deref().map(text),
            "scopes" => Some(texts(principal.scopes.iter().map(|name| &**name))),
            "roles" => Some(texts(self.roles.iter().copied())),
            "auth_age" => principal.authentication.time.map(|time| {
                let age = self.time.since(time).as_secs();
                RestrictedExpression::new_long(i64::try_from(age).unwrap_or(i64::MAX))
            }),
            "claims" => {
                let claim = |name: &String, shape: &Shape| {
                    let value = principal.attributes.get(name.as_str())?;
                    claims(value, shape)
                };
                let members = shape.members.iter();
                Some(records(
                    members.filter_map(|(name, shape)| Some((name.clone(), claim(name, shape)?))).collect(),
                )?)
            }
            _ => None,
        })
    }

    /// An attribute of the context; `None` where it is not there.
    fn context(
        &self,
        name: &str,
        shape: &Shape,
        moment: Option<&Moment>,
    ) -> Result<Option<RestrictedExpression>, String> {
        let request = self.request;
        let long = RestrictedExpression::new_long;
        if let Some((_, place)) = RECORDS.iter().find(|(record, _)| *record == name) {
            // Without the record, whatever policy looks into it fails, also one that first asks with `has`.
            return match self.record(*place, shape) {
                Ok(members) => records(members).map(Some),
                Err(Unusable) => Ok(None),
            };
        }
        Ok(match name {
            "method" => Some(text(request.method.as_str())),
            "host" => Some(text(&request.host)),
            "api" => Some(text(self.api)),
            "target" => Some(text(self.path)),
            "operation" => Some(text(&self.action.name)),
            "tls" => Some(RestrictedExpression::new_bool(request.scheme == Scheme::Https)),
            "ip" => {
                let ip = bartizan_model::address::canonical(self.ip);
                Some(RestrictedExpression::new_ip(ip.to_string()))
            }
            "country" => self.geo.map(|geo| text(&geo.country(self.ip))),
            "asn" => self.geo.map(|geo| long(geo.asn(self.ip).into())),
            "risk" => Some(long(self.risk)),
            "time" => match moment {
                Some(Moment { hour, minute, weekday, date, epoch }) => {
                    let member = |name: &String| {
                        let value = match name.as_str() {
                            "hour" => long(*hour),
                            "minute" => long(*minute),
                            "weekday" => long(*weekday),
                            "date" => text(date),
                            "epoch" => long(*epoch),
                            _ => return None,
                        };
                        Some((name.clone(), value))
                    };
                    Some(records(shape.members.keys().filter_map(member).collect())?)
                }
                None => None,
            },
            _ => None,
        })
    }

    /// The values of one part of the request.
    fn record(
        &self,
        place: FieldPlace,
        shape: &Shape,
    ) -> Result<Vec<(String, RestrictedExpression)>, Unusable> {
        let mut members = Vec::with_capacity(shape.members.len());
        if place == FieldPlace::Body {
            let tape = match self.body {
                Body::Absent => return Ok(members),
                Body::Read(Content::Json(tape)) => tape,
                Body::Read(Content::Form(form)) => {
                    for (name, member) in &shape.members {
                        members.extend(field(form, name, member)?.map(|value| (name.clone(), value)));
                    }
                    return Ok(members);
                }
                Body::Read(_) | Body::Unreadable => return Err(Unusable),
            };
            // Readers disagree about keys that come twice.
            if tape.duplicate_key().is_some() {
                return Err(Unusable);
            }
            let root = tape.root().ok_or(Unusable)?;
            for (name, member) in &shape.members {
                let value = root.get(name).map_or(Ok(None), |value| body(value, member))?;
                members.extend(value.map(|value| (name.clone(), value)));
            }
            return Ok(members);
        }
        for (name, member) in &shape.members {
            let kind = member.kind.unwrap_or(FieldKind::Text);
            let value = match place {
                FieldPlace::Path => match self.action.parameter(self.path, name) {
                    Some(value) => Some(scalar(&value, kind).ok_or(Unusable)?),
                    None => None,
                },
                FieldPlace::Query => several(&self.query(name), kind)?,
                _ => {
                    let fields = self.request.headers.get_all(name.as_str());
                    let values: Option<Vec<String>> =
                        fields.iter().map(|field| field.to_str().ok().map(str::to_owned)).collect();
                    several(&values.ok_or(Unusable)?, kind)?
                }
            };
            members.extend(value.map(|value| (name.clone(), value)));
        }
        Ok(members)
    }

    /// Every value of a parameter of the query.
    fn query(&self, name: &str) -> Vec<String> {
        let query = self.request.query.as_deref().unwrap_or_default();
        let pairs = query.split('&').filter_map(|pair| {
            let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
            let key = bartizan_pattern::body::form::decode(key.as_bytes());
            (*key == *name.as_bytes()).then_some(value)
        });
        let decoded = |value: &str| {
            // What is no text equals nothing that a policy can write.
            String::from_utf8_lossy(&bartizan_pattern::body::form::decode(value.as_bytes())).into_owned()
        };
        pairs.take(MAX_ITEMS).map(decoded).collect()
    }
}

/// Programs, as opposed to people: keys, certificates, signatures, and tokens that a client got for itself.
fn is_service(principal: &Principal) -> bool {
    match principal.kind {
        CredentialKind::ApiKey | CredentialKind::Mtls | CredentialKind::Signature => true,
        CredentialKind::Jwt | CredentialKind::Opaque => {
            principal.client.as_deref().is_some_and(|client| *client == *principal.subject)
        }
    }
}

fn kind(kind: CredentialKind) -> &'static str {
    kind.as_str()
}

fn text(value: &str) -> RestrictedExpression {
    RestrictedExpression::new_string(value.to_owned())
}

fn texts<'t>(values: impl Iterator<Item = &'t str>) -> RestrictedExpression {
    RestrictedExpression::new_set(values.take(MAX_ITEMS).map(text))
}

fn records(members: Vec<(String, RestrictedExpression)>) -> Result<RestrictedExpression, String> {
    RestrictedExpression::new_record(members).map_err(|error| error.to_string())
}

/// One text as what the policy reads it as; `None` where it is not such.
fn scalar(value: &str, kind: FieldKind) -> Option<RestrictedExpression> {
    match kind {
        FieldKind::Text | FieldKind::Other => Some(text(value)),
        FieldKind::Integer => value.parse().ok().map(RestrictedExpression::new_long),
        FieldKind::Boolean => value.parse().ok().map(RestrictedExpression::new_bool),
        FieldKind::Decimal => decimal(value),
        FieldKind::Texts => Some(texts([value].into_iter())),
        FieldKind::Integers => {
            value.parse().ok().map(|n| RestrictedExpression::new_set([RestrictedExpression::new_long(n)]))
        }
    }
}

/// The values of a parameter or field: one, unless the policy reads a list. Two values where one is read are nobody's choice
/// to make.
fn several(values: &[String], kind: FieldKind) -> Found {
    match (values, kind) {
        ([], _) => Ok(None),
        (_, FieldKind::Texts) => Ok(Some(texts(values.iter().map(String::as_str)))),
        (_, FieldKind::Integers) => {
            let numbers: Option<Vec<i64>> = values.iter().map(|value| value.parse().ok()).collect();
            let numbers = numbers.ok_or(Unusable)?;
            Ok(Some(RestrictedExpression::new_set(numbers.into_iter().map(RestrictedExpression::new_long))))
        }
        ([one], _) => scalar(one, kind).map(Some).ok_or(Unusable),
        _ => Err(Unusable),
    }
}

/// A number with a fraction as Cedar's `decimal`: at most four digits behind the point.
fn decimal(number: &str) -> Option<RestrictedExpression> {
    let (whole, fraction) = number.split_once('.').unwrap_or((number, "0"));
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let fraction = fraction.trim_end_matches('0');
    let fraction = if fraction.is_empty() { "0" } else { fraction };
    let plain = whole.strip_prefix('-').unwrap_or(whole);
    // Beyond fifteen digits Cedar's decimals end.
    let fits = digits(plain) && digits(fraction) && fraction.len() <= 4 && plain.len() <= 14;
    fits.then(|| RestrictedExpression::new_decimal(format!("{whole}.{fraction}")))
}

/// A field of a form; what a policy names as a member of a member has a name with a dot.
fn field(form: Form<'_>, name: &str, shape: &Shape) -> Found {
    if !shape.members.is_empty() {
        let mut members = Vec::new();
        for (below, shape) in &shape.members {
            members
                .extend(field(form, &format!("{name}.{below}"), shape)?.map(|value| (below.clone(), value)));
        }
        return records(members).map(Some).map_err(|_| Unusable);
    }
    let pairs = form.pairs().filter(|pair| *pair.name() == *name.as_bytes());
    let values: Vec<String> =
        pairs.take(MAX_ITEMS).map(|pair| String::from_utf8_lossy(&pair.value()).into_owned()).collect();
    several(&values, shape.kind.unwrap_or(FieldKind::Text))
}

/// A member of a JSON body; `null` is nothing.
fn body(value: JsonValue<'_>, shape: &Shape) -> Found {
    if value.kind() == Kind::Null {
        return Ok(None);
    }
    if !shape.members.is_empty() {
        if value.kind() != Kind::Object {
            return Err(Unusable);
        }
        let mut members = Vec::new();
        for (name, shape) in &shape.members {
            let member = value.get(name).map_or(Ok(None), |value| body(value, shape))?;
            members.extend(member.map(|value| (name.clone(), value)));
        }
        return records(members).map(Some).map_err(|_| Unusable);
    }
    if value.kind() != Kind::Array {
        return leaf(value, shape.kind).map(Some).ok_or(Unusable);
    }
    let items = value.items().take(MAX_ITEMS + 1);
    let items: Option<Vec<_>> = items.map(|item| leaf(item, item_kind(shape.kind))).collect();
    let items = items.filter(|items| items.len() <= MAX_ITEMS).ok_or(Unusable)?;
    Ok(Some(RestrictedExpression::new_set(items)))
}

fn item_kind(list: Option<FieldKind>) -> Option<FieldKind> {
    match list {
        Some(FieldKind::Integers) => Some(FieldKind::Integer),
        _ => None,
    }
}

fn leaf(value: JsonValue<'_>, kind: Option<FieldKind>) -> Option<RestrictedExpression> {
    match value.kind() {
        Kind::String => value.as_str().map(|value| text(&value)),
        Kind::True | Kind::False => value.as_bool().map(RestrictedExpression::new_bool),
        Kind::Number => number(value.as_number()?, kind),
        Kind::Null | Kind::Array | Kind::Object => None,
    }
}

/// A JSON number: whole ones are `Long` unless the policy reads a decimal.
fn number(written: &str, kind: Option<FieldKind>) -> Option<RestrictedExpression> {
    if kind == Some(FieldKind::Decimal) {
        return decimal(written);
    }
    match written.parse::<i64>() {
        Ok(whole) => Some(RestrictedExpression::new_long(whole)),
        Err(_) => decimal(written),
    }
}

/// A claim of the credential.
fn claims(value: &Value, shape: &Shape) -> Option<RestrictedExpression> {
    if !shape.members.is_empty() {
        let member =
            |(name, shape): (&String, &Shape)| Some((name.clone(), claims(value.get(name)?, shape)?));
        return records(shape.members.iter().filter_map(member).collect()).ok();
    }
    match value {
        Value::String(value) => Some(text(value)),
        Value::Bool(value) => Some(RestrictedExpression::new_bool(*value)),
        Value::Number(written) => number(&written.to_string(), shape.kind),
        Value::Array(items) if items.len() <= MAX_ITEMS => {
            let one = Shape { kind: item_kind(shape.kind), ..Shape::default() };
            let items: Option<Vec<_>> = items.iter().map(|item| claims(item, &one)).collect();
            items.map(RestrictedExpression::new_set)
        }
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}
