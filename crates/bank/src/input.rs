//! What a request carries: JSON bodies, ids and pages, refused in one way where they are wrong.

use axum::{
    body::Bytes,
    extract::{FromRequest, FromRequestParts, Path, Query, Request},
    http::{StatusCode, header, request::Parts},
};
use serde::{Deserialize, de::DeserializeOwned};

use crate::{
    Flaw,
    bank::{Bank, Shared},
    refusal::{Answer, Refusal},
};

/// Lines of a page where none are asked for.
const PAGE: i64 = 20;

/// Lines of a page at most.
const MAX_PAGE: i64 = 100;

/// A JSON body of a known shape.
pub struct Input<T>(pub T);

impl<T: DeserializeOwned> FromRequest<Shared> for Input<T> {
    type Rejection = Refusal;

    async fn from_request(request: Request, bank: &Shared) -> Result<Self, Refusal> {
        let media = request.headers().get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
        let media = media.and_then(|media| media.split(';').next()).unwrap_or_default();
        if media.trim() != "application/json" {
            return Err(Refusal::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "send `application/json`"));
        }
        let bytes = Bytes::from_request(request, bank).await.map_err(|_| {
            Refusal::new(StatusCode::PAYLOAD_TOO_LARGE, "the body is too large or ended too early")
        })?;
        serde_json::from_slice(&bytes).map(Input).map_err(|error| {
            Refusal::unprocessable("the body does not have the documented shape").caused_by(&error)
        })
    }
}

/// The number in a path.
pub struct Id(pub i64);

impl FromRequestParts<Shared> for Id {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, bank: &Shared) -> Result<Self, Refusal> {
        let text = Path::<String>::from_request_parts(parts, bank).await.map_err(|_| Refusal::not_found())?.0;
        parse_id(bank, &text).map(Id)
    }
}

/// An id as a number.
pub fn parse_id(bank: &Bank, text: &str) -> Answer<i64> {
    text.parse::<i64>().map_err(|error| {
        // BANK-13 (planted): what is merely unknown fails inside, and the inside is shown.
        if bank.has(Flaw::VerboseErrors) { Refusal::internal(&error) } else { Refusal::not_found() }
    })
}

#[derive(Deserialize)]
struct Asked {
    limit: Option<i64>,
    offset: Option<i64>,
}

/// Which part of a list is asked for.
#[derive(Clone, Copy)]
pub struct Page {
    pub limit: i64,
    pub offset: i64,
}

impl FromRequestParts<Shared> for Page {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, bank: &Shared) -> Result<Self, Refusal> {
        let Query(asked) = Query::<Asked>::from_request_parts(parts, bank)
            .await
            .map_err(|error| Refusal::bad("`limit` and `offset` are numbers").caused_by(&error))?;
        // BANK-17 (planted): whatever is asked for.
        let most = if bank.has(Flaw::UnboundedPage) { i64::MAX } else { MAX_PAGE };
        Ok(Page {
            limit: asked.limit.unwrap_or(PAGE).clamp(1, most),
            offset: asked.offset.unwrap_or(0).max(0),
        })
    }
}

/// # Errors
/// A text is empty or longer than `most` characters.
pub fn text_within(name: &'static str, text: &str, most: usize) -> Answer<()> {
    if text.trim().is_empty() || text.chars().count() > most {
        return Err(Refusal::unprocessable(format!("`{name}` needs 1 to {most} characters")));
    }
    Ok(())
}

/// # Errors
/// Somebody has `most` of something already.
pub fn room_for_one_more(count: i64, most: i64) -> Answer<()> {
    if count >= most {
        return Err(Refusal::new(StatusCode::CONFLICT, "you have too many of these, remove some"));
    }
    Ok(())
}
