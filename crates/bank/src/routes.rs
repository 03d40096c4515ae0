//! Every route of the bank: the documented ones, and those that are planted beside them.

use axum::{
    Router,
    extract::DefaultBodyLimit,
    http::{StatusCode, header},
    middleware,
    routing::{delete, get, post, put},
};

use crate::{
    CONTRACT, Flaw, accounts, admin, authorize,
    bank::Shared,
    cards, customers, debug,
    documents::{self, MAX_DOCUMENT, MAX_FORM},
    edge, health, issuer, legacy, login, notes, payees, prices, quotes,
    refusal::Refusal,
    reports, reset, search, token, transfers, webhooks,
};

/// The bank as a service.
pub fn routes(bank: &Shared) -> Router {
    let mut routes = documented();
    if bank.has(Flaw::DebugPage) {
        routes = routes.route("/debug", get(debug::page));
    }
    if bank.has(Flaw::OpenV0) {
        routes = routes
            .route("/v0/customers", get(legacy::customers))
            .route("/v0/accounts/{id}", get(legacy::account));
    }
    let routes = routes
        .fallback(|| async { Refusal::new(StatusCode::NOT_FOUND, "the bank has no such operation") })
        .layer(DefaultBodyLimit::max(MAX_DOCUMENT))
        .with_state(bank.clone());
    // A service around the routes: what it changes of a request still decides which route it takes.
    Router::new().fallback_service(routes).layer(middleware::from_fn_with_state(bank.clone(), edge::pass))
}

fn documented() -> Router<Shared> {
    let contract = || async { ([(header::CONTENT_TYPE, "application/json")], CONTRACT) };
    Router::new()
        .route("/healthz", get(|| async { "ok" }))
        .route("/openapi.json", get(contract))
        .route("/.well-known/openid-configuration", get(issuer::discovery))
        .route("/jwks", get(issuer::jwks))
        .route("/token", post(token::token))
        .route("/authorize", get(authorize::show).post(authorize::sign_in))
        .route("/revoke", post(token::revoke))
        .route("/userinfo", get(customers::userinfo).post(customers::userinfo))
        .route("/v1/login", post(login::login))
        .route("/v1/logout", post(login::logout))
        .route("/v1/password/forgot", post(reset::forgot))
        .route("/v1/password/reset", post(reset::reset))
        .route("/v1/customers", get(customers::list))
        .route("/v1/customers/me", get(customers::me).patch(customers::change))
        .route("/v1/customers/{id}", get(customers::get))
        .route("/v1/accounts", get(accounts::list))
        .route("/v1/accounts/{id}", get(accounts::get))
        .route("/v1/accounts/{id}/statements/{month}", get(accounts::statement))
        .route("/v1/cards", get(cards::list))
        .route("/v1/cards/{id}/lock", post(cards::lock))
        .route("/v1/transfers", get(transfers::list).post(transfers::make))
        .route("/v1/transfers/{id}", get(transfers::get))
        .route("/v1/customers/{id}/transfers", get(transfers::history))
        .route("/v1/payees", get(payees::list).post(payees::add))
        .route("/v1/payees/{id}", get(payees::get).patch(payees::rename).delete(payees::remove))
        .route("/v1/search", get(search::search))
        .route("/v1/notes", get(notes::list).post(notes::add))
        .route("/v1/reports", post(reports::make))
        .route("/v1/reports/{name}", get(reports::get))
        .route(
            "/v1/documents",
            get(documents::list).post(documents::upload).layer(DefaultBodyLimit::max(MAX_FORM)),
        )
        .route("/v1/documents/{id}", get(documents::get).delete(documents::remove))
        .route("/v1/webhooks", get(webhooks::list).post(webhooks::add))
        .route("/v1/webhooks/{id}", delete(webhooks::remove))
        .route("/v1/webhooks/{id}/deliveries", get(webhooks::deliveries))
        .route("/v1/webhooks/{id}/test", post(webhooks::test))
        .route("/v1/health-records", get(health::list))
        .route("/v1/health-records/{id}", get(health::get))
        .route("/v1/prices", get(prices::list))
        .route("/v1/prices/{id}", get(prices::get))
        .route("/v1/events", get(quotes::events))
        .route("/v1/quotes", get(quotes::quotes))
        .route("/v1/admin/statistics", get(admin::statistics))
        .route("/v1/admin/customers/{id}/role", put(admin::set_role))
        .route("/v1/admin/keys/rotate", post(admin::rotate))
}
