//! What is in force, and changing it: status, reload, break-glass, explain, doctor.

use std::time::Duration;

use axum::{
    Extension, Json,
    body::Bytes,
    extract::{State, rejection::BytesRejection},
    response::{IntoResponse, Response},
};
use bartizan_model::units::Period;
use http::StatusCode;
use serde::Deserialize;
use serde_json::json;

use crate::{Admin, MonitorUntil, bans::reason, refusal::Refusal, server::Ends};

use super::{bytes_of, json_body};

/// Break-glass is for an emergency; longer than a day is a policy.
const MAX_MONITOR: Duration = Duration::from_secs(24 * 3600);

pub(super) async fn status(State(admin): State<Admin>) -> Response {
    Json(admin.operations.status()).into_response()
}

pub(super) async fn reload(
    State(admin): State<Admin>,
    Extension(ends): Extension<Ends>,
) -> Result<Response, Refusal> {
    match admin.operations.reload().await {
        Ok(report) => {
            let detail = format!("generation {}, digest {}", report.generation, report.digest);
            admin.audit(ends, "policy.reloaded", detail);
            Ok(Json(report).into_response())
        }
        Err(diagnostics) => {
            admin.audit(
                ends,
                "policy.refused",
                "the configuration has errors; nothing was changed".to_owned(),
            );
            Err(Refusal {
                status: StatusCode::UNPROCESSABLE_ENTITY,
                code: "admin.policy_refused",
                title: "The configuration has errors; nothing was changed",
                detail: diagnostics,
            })
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct SetMode {
    mode: Wanted,
    #[serde(rename = "for")]
    period: Option<Period>,
    reason: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum Wanted {
    Monitor,
    Enforce,
}

pub(super) async fn set_mode(
    State(admin): State<Admin>,
    Extension(ends): Extension<Ends>,
    body: Result<Bytes, BytesRejection>,
) -> Result<Response, Refusal> {
    let asked: SetMode = json_body(body)?;
    if matches!(asked.mode, Wanted::Enforce) {
        return Ok(end_monitor(&admin, ends));
    }
    let period =
        asked.period.filter(|period| !period.0.is_zero() && period.0 <= MAX_MONITOR).ok_or_else(|| {
            Refusal::invalid("`for` says how long, such as `15m`: more than nothing, at most `24h`")
        })?;
    let reason = reason(asked.reason.as_deref().unwrap_or_default()).map_err(Refusal::invalid)?;
    let monitor = MonitorUntil { until: admin.clock.now().plus(period.0), reason };
    admin.operations.set_mode(Some(monitor.clone()));
    let event = admin.audit(ends, "mode.monitor", format!("until {}: {}", monitor.until, monitor.reason));
    Ok(Json(json!({ "mode": "monitor", "monitor": monitor, "event": event })).into_response())
}

pub(super) async fn enforce(State(admin): State<Admin>, Extension(ends): Extension<Ends>) -> Response {
    end_monitor(&admin, ends)
}

fn end_monitor(admin: &Admin, ends: Ends) -> Response {
    admin.operations.set_mode(None);
    let event = admin.audit(ends, "mode.enforce", "every guard decides in its own mode again".to_owned());
    Json(json!({ "mode": "enforce", "event": event })).into_response()
}

pub(super) async fn explain(
    State(admin): State<Admin>,
    body: Result<Bytes, BytesRejection>,
) -> Result<Response, Refusal> {
    let raw = bytes_of(body)?;
    match admin.operations.explain(&raw).await {
        Ok(steps) => Ok(Json(steps).into_response()),
        Err(detail) => Err(Refusal::invalid(detail)),
    }
}

pub(super) async fn doctor(State(admin): State<Admin>) -> Result<Response, Refusal> {
    match admin.operations.doctor().await {
        Ok(report) => Ok(Json(report).into_response()),
        Err(detail) => Err(Refusal {
            status: StatusCode::SERVICE_UNAVAILABLE,
            code: "admin.doctor",
            title: "The probes came to no end",
            detail,
        }),
    }
}
