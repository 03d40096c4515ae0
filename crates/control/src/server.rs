//! The listener of the admin API: few connections, each with a time limit for its head, and one door for all requests.

use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use axum::{
    Router,
    extract::{DefaultBodyLimit, Request, State},
    middleware::{Next, from_fn_with_state},
    response::{IntoResponse as _, Response},
};
use bartizan_model::{Clock, Event, EventId, EventKind, Redacted, services::Random};
use bartizan_store::{Sealer, Store};
use bartizan_telemetry::Telemetry;
use http::{HeaderValue, header};
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    server::graceful::GracefulShutdown,
    service::TowerToHyperService,
};
use tokio::{net::TcpListener, sync::Semaphore};

use crate::{Operations, access, api};

/// Connections at a time: a console, a scraper and some scripts need no more.
const MAX_CONNECTIONS: usize = 128;
/// For a request head to be complete.
const HEAD_TIMEOUT: Duration = Duration::from_secs(10);
/// For a request to be answered, its body included; a reload of a large policy is the slowest.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(60);
/// For running requests when the process ends.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(5);

/// What the admin API works with.
#[derive(Clone)]
pub struct Admin {
    /// The running gateway.
    pub operations: Arc<dyn Operations>,
    /// Events, keys and bans.
    pub store: Arc<Store>,
    /// Where changes are published, with the metrics.
    pub telemetry: Arc<Telemetry>,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// For event ids and new keys.
    pub random: Arc<dyn Random>,
    /// Seals what the store must not hold in clear.
    pub sealer: Arc<Sealer>,
    /// The bearer token.
    pub token: Arc<Redacted<String>>,
}

/// The two ends of an admin connection.
#[derive(Clone, Copy)]
pub(crate) struct Ends {
    pub(crate) local: SocketAddr,
    pub(crate) peer: SocketAddr,
}

impl Admin {
    /// Publishes the event of a change; answers its id.
    pub(crate) fn audit(&self, ends: Ends, code: &'static str, detail: String) -> EventId {
        self.audit_by(ends, code, "admin-token".to_owned(), detail)
    }

    /// As [`Admin::audit`], of a change that somebody else made.
    pub(crate) fn audit_by(&self, ends: Ends, code: &'static str, actor: String, detail: String) -> EventId {
        let now = self.clock.now();
        let mut random = [0; 16];
        self.random.fill(&mut random);
        let id = EventId::new(now, u128::from_le_bytes(random));
        self.telemetry.publish(Event {
            id,
            time: now,
            client: Some(ends.peer.ip()),
            generation: self.operations.status().generation,
            kind: EventKind::Control { code, actor, detail },
        });
        id
    }
}

/// Serves the admin API until `shutdown` resolves, then lets running requests end for at most 5 s.
///
/// # Errors
/// The listener has no address.
pub async fn serve(
    listener: TcpListener,
    admin: Admin,
    shutdown: impl Future<Output = ()> + Send,
) -> io::Result<()> {
    listener.local_addr()?;
    let routes = api::routes(admin.clone());
    let connections = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    let draining = GracefulShutdown::new();
    let mut shutdown = std::pin::pin!(shutdown);
    loop {
        let accepted = tokio::select! {
            () = &mut shutdown => break,
            accepted = listener.accept() => accepted,
        };
        let (stream, peer) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!("the admin API cannot accept a connection: {error}");
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            }
        };
        let (Ok(permit), Ok(local)) = (Arc::clone(&connections).try_acquire_owned(), stream.local_addr())
        else {
            continue;
        };
        let app = guarded(routes.clone(), &admin, Ends { local, peer });
        let connection = hyper::server::conn::http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(HEAD_TIMEOUT)
            .max_buf_size(64 * 1024)
            .serve_connection(TokioIo::new(stream), TowerToHyperService::new(app));
        let connection = draining.watch(connection);
        tokio::spawn(async move {
            if let Err(error) = connection.await {
                tracing::debug!("admin connection: {error}");
            }
            drop(permit);
        });
    }
    let _ = tokio::time::timeout(DRAIN_TIMEOUT, draining.shutdown()).await;
    Ok(())
}

/// The routes behind the one door, for one connection.
fn guarded(routes: Router, admin: &Admin, ends: Ends) -> Router {
    routes
        .layer(axum::Extension(ends))
        .layer(DefaultBodyLimit::max(api::MAX_BODY))
        .layer(from_fn_with_state((admin.clone(), ends), door))
}

async fn door(State((admin, ends)): State<(Admin, Ends)>, request: Request, next: Next) -> Response {
    let answer = async {
        let (headers, uri) = (request.headers(), request.uri());
        let admitted = if access::is_open(uri.path()) {
            access::admit_open(headers, uri, ends.local)
        } else {
            access::admit(headers, uri, ends.local, &admin.token)
        };
        if let Err(refusal) = admitted {
            return refusal.into_response();
        }
        next.run(request).await
    };
    let mut response = match tokio::time::timeout(REQUEST_TIMEOUT, answer).await {
        Ok(response) => response,
        Err(_) => crate::refusal::Refusal {
            status: http::StatusCode::GATEWAY_TIMEOUT,
            code: "admin.timeout",
            title: "It took too long",
            detail: "the request was given up after 60 s; what it began may still happen".to_owned(),
        }
        .into_response(),
    };
    let headers = response.headers_mut();
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}

#[cfg(test)]
mod tests;
