//! Downloads of commands: one GET, without redirects.

use bytes::Bytes;
use http::{HeaderValue, StatusCode, header};

use crate::client::{Call, Reach};

/// What a server gave.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fetched {
    /// The whole body of a 200.
    Bytes(Bytes),
    /// A redirect, which is not followed here: its `Location`, where it has one.
    Elsewhere(Option<String>),
}

/// Gets a document over HTTP/1.1, with the system's authorities where it is `https`. At most `most` bytes of it are read; the
/// time is the caller's to bound.
///
/// # Errors
/// Anything but a whole 200 or a redirect, in one line that begins in lower case.
pub async fn download(url: &str, most: usize) -> Result<Fetched, String> {
    let mut call = Call::get(url, most, Reach::Anywhere);
    call.headers.insert(header::ACCEPT, HeaderValue::from_static("*/*"));
    let answer = call.send(None).await?;
    match answer.status {
        StatusCode::OK => Ok(Fetched::Bytes(answer.body)),
        status if status.is_redirection() => {
            let location = answer.headers.get(header::LOCATION).and_then(|value| value.to_str().ok());
            Ok(Fetched::Elsewhere(location.map(str::to_owned)))
        }
        status => Err(format!("answered {status}")),
    }
}
