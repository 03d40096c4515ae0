//! The upkeep of an upstream: active health checks, names resolved again, unused connections closed.

use std::{
    sync::{Arc, Weak},
    time::Duration,
};

use bartizan_policy::snapshot::{HealthSpec, UpstreamProtocol};
use http::{Request, header};
use tokio::time::Instant;

use super::{Backend, Upstream};
use crate::body::RequestBody;

/// How often the upkeep looks around.
const TICK: Duration = Duration::from_millis(500);

/// Starts the upkeep; it ends with the upstream.
pub fn start(upstream: &Arc<Upstream>) {
    tokio::spawn(upkeep(Arc::downgrade(upstream)));
    if let Some(health) = &upstream.spec.health {
        for backend in &upstream.backends {
            tokio::spawn(check(Arc::downgrade(upstream), Arc::downgrade(backend), health.clone()));
        }
    }
}

async fn upkeep(upstream: Weak<Upstream>) {
    let mut ticks = tokio::time::interval(TICK);
    loop {
        ticks.tick().await;
        let Some(upstream) = upstream.upgrade() else { return };
        for backend in &upstream.backends {
            backend.reap(upstream.spec.keepalive);
            if backend.is_stale(upstream.spec.resolve_every) {
                backend.resolve().await;
            }
        }
    }
}

async fn check(upstream: Weak<Upstream>, backend: Weak<Backend>, health: HealthSpec) {
    let (mut good, mut bad) = (0_u32, 0_u32);
    let mut next = Instant::now();
    loop {
        tokio::time::sleep_until(next).await;
        let (Some(upstream), Some(backend)) = (upstream.upgrade(), backend.upgrade()) else { return };
        if probe(&upstream, &backend, &health).await {
            (good, bad) = (good.saturating_add(1), 0);
            if good == health.healthy_after.max(1) {
                backend.set_down(false);
            }
        } else {
            (good, bad) = (0, bad.saturating_add(1));
            if bad == health.unhealthy_after.max(1) {
                backend.set_down(true);
            }
        }
        next += health.interval;
        next = next.max(Instant::now());
    }
}

/// One GET; 2xx within the time is healthy.
async fn probe(upstream: &Upstream, backend: &Arc<Backend>, health: &HealthSpec) -> bool {
    let attempt = async {
        let mut lease = upstream
            .lease(backend, false, false, upstream.spec.protocol != UpstreamProtocol::Http2)
            .await
            .ok()?;
        let uri = if lease.is_http2() {
            let scheme = if backend.spec.tls { "https" } else { "http" };
            format!("{scheme}://{}{}", backend.authority, health.path)
        } else {
            health.path.clone()
        };
        let request = Request::get(uri)
            .header(header::HOST, backend.authority.as_str())
            .header(header::USER_AGENT, "bartizan-health")
            .body(RequestBody::Empty)
            .ok()?;
        let response = lease.send(request).await.ok()?;
        let healthy = response.status().is_success();
        // The body is not read: the connection is not kept.
        drop(lease);
        Some(healthy)
    };
    matches!(tokio::time::timeout(health.timeout, attempt).await, Ok(Some(true)))
}
