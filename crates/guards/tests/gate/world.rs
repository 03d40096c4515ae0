//! What exists besides the policy, as cases write it: issuers, second factors, API keys.

use super::*;

pub(super) fn issuers(list: &Value) -> Result<BTreeMap<Arc<str>, Arc<IssuerSpec>>, String> {
    let texts = |value: &Value| -> Vec<Arc<str>> {
        value.as_array().into_iter().flatten().filter_map(|v| v.as_str().map(Into::into)).collect()
    };
    let period = |value: &Value| -> Result<Option<Duration>, String> {
        value.as_str().map(|text| text.parse::<Period>().map(|p| p.0)).transpose()
    };
    let mut issuers = BTreeMap::new();
    for entry in list.as_array().into_iter().flatten() {
        let text = |field: &str| entry[field].as_str().ok_or(format!("an issuer without `{field}`"));
        let keys = match (entry["jwks"].as_str(), entry["secret"].as_str()) {
            (_, Some(secret)) => KeySource::Secret(secret.parse()?),
            (Some(file), None) if file.starts_with("file:") => KeySource::File(file.parse()?),
            (Some(url), None) => KeySource::Url(url.into()),
            (None, None) => KeySource::Discovery(text("issuer")?.into()),
        };
        let name: Arc<str> = text("name")?.into();
        let moment = |value: &Value| value.as_str().map(str::parse::<Timestamp>).transpose();
        let retired = match (entry["retired"].as_bool(), moment(&entry["retired_at"])?) {
            (Some(true), None) => Some(Timestamp(0)),
            (_, at) => at,
        };
        let part = |field: &str| entry[field].clone();
        let preset = serde_json::from_value(part("preset")).map_err(|e| e.to_string())?;
        let map: Option<Mapping> = serde_json::from_value(part("map")).map_err(|e| e.to_string())?;
        let map = federation::compile(preset, map.as_ref())
            .map_err(|(at, problem)| format!("map.{at}: {problem}"))?;
        let profile = match entry["profile"].as_str() {
            Some("at+jwt") => TokenProfile::AccessToken,
            _ => TokenProfile::Any,
        };
        let spec = IssuerSpec {
            audiences: texts(&entry["audiences"]),
            algorithms: texts(&entry["algorithms"]),
            max_lifetime: period(&entry["max_lifetime"])?,
            types: texts(&entry["types"]),
            leeway: period(&entry["leeway"])?.unwrap_or(Duration::from_secs(30)),
            profile,
            id_tokens: entry["id_tokens"].as_bool().unwrap_or_default(),
            retired,
            map: map.map(Arc::new),
            ..IssuerSpec::new(Arc::clone(&name), text("issuer")?.into(), keys)
        };
        issuers.insert(name, Arc::new(spec));
    }
    Ok(issuers)
}

pub(super) fn factors(list: &Value) -> HashMap<String, Vec<u8>> {
    let entries = list.as_array().into_iter().flatten();
    let secrets = entries.filter_map(|entry| {
        Some((entry["owner"].as_str()?.to_owned(), entry["totp"].as_str()?.as_bytes().to_vec()))
    });
    secrets.collect()
}

pub(super) fn api_keys(list: &Value) -> FixedKeys {
    let mut keys = FixedKeys::default();
    let none = Map::new();
    for entry in list.as_array().into_iter().flatten() {
        let entry = entry.as_object().unwrap_or(&none);
        let text = |field: &str| entry.get(field).and_then(Value::as_str).unwrap_or_default();
        let names = |list: Option<&Value>| -> Vec<Arc<str>> {
            let names = list.and_then(Value::as_array).into_iter().flatten();
            names.filter_map(|name| name.as_str().map(Into::into)).collect()
        };
        let moment = |field: &str| entry.get(field).and_then(Value::as_u64).map(Timestamp::from_seconds);
        let scopes = entry.get("scopes").and_then(Value::as_array).into_iter().flatten();
        let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, text("key").as_bytes());
        let hash: [u8; 32] = digest.as_ref().try_into().expect("SHA-256 has 32 bytes");
        let limit = entry.get("rate").and_then(Value::as_str).and_then(|rate| rate.parse().ok());
        let created = moment("created").unwrap_or(Timestamp::from_seconds(1));
        let record = ApiKeyRecord {
            scopes: scopes.filter_map(|scope| scope.as_str().map(Into::into)).collect(),
            expires: moment("expires"),
            revoked: moment("revoked"),
            successor: entry.get("successor").and_then(Value::as_str).map(Into::into),
            roles: names(entry.get("roles")),
            tenant: entry.get("tenant").and_then(Value::as_str).map(Into::into),
            limit: limit.map(|rate: bartizan_model::Rate| KeyLimit { rate, burst: rate.count }),
            ..ApiKeyRecord::new(text("id").into(), hash, text("owner").into(), created)
        };
        keys.0.insert(hash, Arc::new(record));
    }
    keys
}
