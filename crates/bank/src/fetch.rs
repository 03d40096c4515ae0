//! BANK-07 (planted): asks whatever address a customer names. It connects to loopback only, so that nothing leaves the
//! machine; what listens there stands for the inside of a network.

use std::{future::Future, net::SocketAddr, time::Duration};

use axum::http::Uri;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::{Method, Request, body::Bytes, client::conn::http1, header};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

use crate::refusal::{Answer, Refusal};

/// The most of an answer that is read.
const MAX_ANSWER: usize = 64 * 1024;

/// The whole of it ends after this.
const WITHIN: Duration = Duration::from_secs(2);

/// The status and body that a URL answers with.
pub async fn get(url: &str) -> Answer<(u16, String)> {
    within(send(Method::GET, url, &[], String::new())).await
}

/// The status and body that a URL answers a JSON document with.
pub async fn post(url: &str, fields: &[(&'static str, String)], json: String) -> Answer<(u16, String)> {
    within(send(Method::POST, url, fields, json)).await
}

async fn within(exchange: impl Future<Output = Answer<(u16, String)>>) -> Answer<(u16, String)> {
    match tokio::time::timeout(WITHIN, exchange).await {
        Ok(answer) => answer,
        Err(late) => Err(Refusal::internal(&late)),
    }
}

async fn send(
    method: Method,
    url: &str,
    fields: &[(&'static str, String)],
    json: String,
) -> Answer<(u16, String)> {
    let wrong = || Refusal::unprocessable("`url` is `http://` and a loopback address here");
    let uri: Uri = url.parse().map_err(|_| wrong())?;
    let authority = uri.authority().filter(|_| uri.scheme_str() == Some("http")).ok_or_else(wrong)?;
    let host = if authority.host() == "localhost" { "127.0.0.1" } else { authority.host() };
    let address: SocketAddr =
        format!("{host}:{}", authority.port_u16().unwrap_or(80)).parse().map_err(|_| wrong())?;
    if !address.ip().is_loopback() {
        return Err(wrong());
    }
    let stream = TcpStream::connect(address).await.map_err(|error| Refusal::internal(&error))?;
    let (mut sender, connection) =
        http1::handshake(TokioIo::new(stream)).await.map_err(|error| Refusal::internal(&error))?;
    let connection = tokio::spawn(connection);
    let target = uri.path_and_query().map_or("/", |target| target.as_str());
    let mut request = Request::builder().method(method).uri(target).header(header::HOST, authority.as_str());
    if !json.is_empty() {
        request = request.header(header::CONTENT_TYPE, "application/json");
    }
    for (name, value) in fields {
        request = request.header(*name, value);
    }
    let request = request.body(Full::new(Bytes::from(json))).map_err(|error| Refusal::internal(&error))?;
    let response = sender.send_request(request).await.map_err(|error| Refusal::internal(&error))?;
    let status = response.status().as_u16();
    let body = Limited::new(response.into_body(), MAX_ANSWER).collect().await;
    connection.abort();
    let body = body.map_err(|error| Refusal::internal(&error))?.to_bytes();
    Ok((status, String::from_utf8_lossy(&body).into_owned()))
}
