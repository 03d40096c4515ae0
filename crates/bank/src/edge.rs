//! What holds for every exchange of the bank: headers that keep answers private, and the flaws planted around all routes.

use axum::{
    body::Body,
    extract::{Request, State},
    http::{HeaderValue, Method, StatusCode, header},
    middleware::Next,
    response::{IntoResponse, Response},
};
use serde_json::json;

use crate::{Flaw, bank::Shared, caller::MethodBefore, refusal::Inside};

/// Runs before a route is chosen.
pub async fn pass(State(bank): State<Shared>, mut request: Request, next: Next) -> Response {
    let origin = request.headers().get(header::ORIGIN).cloned();
    let preflight = *request.method() == Method::OPTIONS && origin.is_some();
    if bank.has(Flaw::MethodOverride) {
        override_method(&mut request);
    }
    let mut response = if preflight && bank.has(Flaw::OpenCors) {
        StatusCode::NO_CONTENT.into_response()
    } else {
        next.run(request).await
    };
    let headers = response.headers_mut();
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    if let Some(origin) = origin.filter(|_| bank.has(Flaw::OpenCors)) {
        open_cors(&mut response, origin);
    }
    if bank.has(Flaw::VerboseErrors) { show_inside(response) } else { response }
}

/// BANK-20 (planted): the method becomes what a header says, after the check of the token's scope.
fn override_method(request: &mut Request) {
    let named = request.headers().get("x-http-method-override").map(HeaderValue::as_bytes);
    if let Some(method) = named.and_then(|name| Method::from_bytes(name).ok()) {
        let before = std::mem::replace(request.method_mut(), method);
        request.extensions_mut().insert(MethodBefore(before));
    }
}

/// BANK-21 (planted): every origin reads with the person's credentials.
fn open_cors(response: &mut Response, origin: HeaderValue) {
    let headers = response.headers_mut();
    headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
    headers.insert(header::ACCESS_CONTROL_ALLOW_CREDENTIALS, HeaderValue::from_static("true"));
    let methods = HeaderValue::from_static("GET, POST, PUT, PATCH, DELETE");
    headers.insert(header::ACCESS_CONTROL_ALLOW_METHODS, methods);
    let fields = HeaderValue::from_static("authorization, content-type");
    headers.insert(header::ACCESS_CONTROL_ALLOW_HEADERS, fields);
}

/// BANK-13 (planted): the answer tells what failed inside, and where.
fn show_inside(mut response: Response) -> Response {
    if let Some(Inside(inside)) = response.extensions_mut().remove::<Inside>() {
        let status = response.status().as_u16();
        let body = json!({ "title": "error", "status": status, "detail": inside }).to_string();
        response.headers_mut().remove(header::CONTENT_LENGTH);
        *response.body_mut() = Body::from(body);
    }
    response
}
