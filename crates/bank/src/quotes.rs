//! Streams: account events as server-sent events, and quotes over WebSocket (RFC 6455).

use std::{convert::Infallible, time::Duration};

use axum::{
    body::Body,
    extract::{Request, State},
    http::{HeaderMap, StatusCode, header},
    response::{
        IntoResponse, Response,
        sse::{Event, KeepAlive, Sse},
    },
};
use base64::{Engine as _, engine::general_purpose::STANDARD as BASE64};
use futures_util::{Stream, stream};
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use serde_json::json;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};

use crate::{
    bank::{Bank, Shared},
    caller::Caller,
    refusal::{Answer, Refusal},
    seed::Draw,
    sql,
};

/// Time between two events or quotes.
const EVERY: Duration = Duration::from_millis(500);

/// Bytes of a client's frame at most: it only ever has to send control frames, which have 125 (section 5.5).
const MAX_FRAME: usize = 125;

/// Opcodes (section 5.2).
const TEXT: u8 = 1;
const CLOSE: u8 = 8;
const PING: u8 = 9;
const PONG: u8 = 10;

/// The close code of a server that ends (section 7.4.1).
const GOING_AWAY: u16 = 1001;

/// `GET /v1/events`: the balances, again and again.
pub async fn events(
    State(bank): State<Shared>,
    caller: Caller,
) -> Sse<impl Stream<Item = Result<Event, Infallible>>> {
    let events = stream::unfold(0_u64, move |number| {
        let (bank, id) = (bank.clone(), caller.id);
        async move {
            if number > 0 {
                pause(&bank).await?;
            }
            let ask = "SELECT id, balance_cents FROM accounts WHERE owner = ?1";
            let balances = bank.sql(|db| sql::rows(db, ask, [id])).ok()?;
            let event = Event::default().id(number.to_string()).event("balances");
            Some((Ok(event.data(json!(balances).to_string())), number + 1))
        }
    });
    Sse::new(events).keep_alive(KeepAlive::default())
}

/// `GET /v1/quotes`: becomes a WebSocket.
pub async fn quotes(
    State(bank): State<Shared>,
    _caller: Caller,
    headers: HeaderMap,
    mut request: Request,
) -> Answer<Response> {
    let is = |name: header::HeaderName, expected: &str| {
        let value = headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
        value.split(',').any(|token| token.trim().eq_ignore_ascii_case(expected))
    };
    let upgrade = request.extensions_mut().remove::<OnUpgrade>();
    let key = headers.get(header::SEC_WEBSOCKET_KEY).and_then(|key| key.to_str().ok());
    let (Some(upgrade), Some(key), true, true, true) = (
        upgrade,
        key,
        is(header::UPGRADE, "websocket"),
        is(header::CONNECTION, "upgrade"),
        is(header::SEC_WEBSOCKET_VERSION, "13"),
    ) else {
        return Err(Refusal::new(StatusCode::UPGRADE_REQUIRED, "open this as a WebSocket of version 13"));
    };
    let accept = accept(key);
    tokio::spawn(async move {
        if let Ok(io) = upgrade.await {
            // The client is told by the end of the connection; there is nobody else to tell.
            let _ = talk(&bank, TokioIo::new(io)).await;
        }
    });
    let headers = [
        (header::UPGRADE, "websocket".to_owned()),
        (header::CONNECTION, "Upgrade".to_owned()),
        (header::SEC_WEBSOCKET_ACCEPT, accept),
    ];
    Ok((StatusCode::SWITCHING_PROTOCOLS, headers, Body::empty()).into_response())
}

/// RFC 6455 section 4.2.2.
fn accept(key: &str) -> String {
    let text = format!("{key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11");
    BASE64.encode(aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA1_FOR_LEGACY_USE_ONLY, text.as_bytes()))
}

/// Sends quotes, answers control frames, and ends with a close frame.
async fn talk(bank: &Bank, io: impl AsyncRead + AsyncWrite) -> std::io::Result<()> {
    let (mut input, mut output) = tokio::io::split(io);
    // A task of its own reads, because a read that is given up half-way would lose its place in the frame.
    let (sender, mut frames) = tokio::sync::mpsc::channel(1);
    let reading = async move {
        while let Ok(frame) = read_frame(&mut input).await {
            if sender.send(frame).await.is_err() {
                break;
            }
        }
    };
    let writing = async move {
        let mut draw = Draw::of(bank.seed, "quotes", 0);
        let mut ticks = tokio::time::interval(EVERY);
        loop {
            tokio::select! {
                () = closed(bank) => return write_frame(&mut output, CLOSE, &GOING_AWAY.to_be_bytes()).await,
                frame = frames.recv() => match frame {
                    Some((PING, payload)) => write_frame(&mut output, PONG, &payload).await?,
                    Some((CLOSE, payload)) => return write_frame(&mut output, CLOSE, &payload).await,
                    Some(_) => {}
                    None => return Ok(()),
                },
                _ = ticks.tick() => {
                    let quote = json!({ "symbol": "EURUSD", "rate": format!("1.{:04}", 500 + draw.below(1_000)) });
                    write_frame(&mut output, TEXT, quote.to_string().as_bytes()).await?;
                }
            }
        }
    };
    tokio::select! {
        written = writing => written,
        () = reading => Ok(()),
    }
}

/// A whole client frame (section 5.2): masked, small, unfragmented.
async fn read_frame(input: &mut (impl AsyncRead + Unpin)) -> std::io::Result<(u8, Vec<u8>)> {
    let [first, second] = read::<2>(input).await?;
    let length = usize::from(second & 0x7f);
    if second & 0x80 == 0 || length > MAX_FRAME {
        return Err(std::io::ErrorKind::InvalidData.into());
    }
    let mask = read::<4>(input).await?;
    let mut payload = vec![0; length];
    input.read_exact(&mut payload).await?;
    for (byte, mask) in payload.iter_mut().zip(mask.iter().cycle()) {
        *byte ^= mask;
    }
    Ok((first & 0xf, payload))
}

async fn read<const N: usize>(input: &mut (impl AsyncRead + Unpin)) -> std::io::Result<[u8; N]> {
    let mut bytes = [0; N];
    input.read_exact(&mut bytes).await?;
    Ok(bytes)
}

/// Frames here have 125 bytes at most, so that their length is one byte.
async fn write_frame(
    output: &mut (impl AsyncWrite + Unpin),
    kind: u8,
    payload: &[u8],
) -> std::io::Result<()> {
    let length = u8::try_from(payload.len().min(MAX_FRAME)).unwrap_or_default();
    let mut frame = vec![0x80 | kind, length];
    frame.extend(payload.iter().take(usize::from(length)));
    output.write_all(&frame).await?;
    output.flush().await
}

/// Waits, or tells that the bank closes.
async fn pause(bank: &Bank) -> Option<()> {
    tokio::select! {
        () = closed(bank) => None,
        () = tokio::time::sleep(EVERY) => Some(()),
    }
}

/// Ends when the bank closes.
async fn closed(bank: &Bank) {
    // An error means that the sender is gone, and with it the bank.
    let _ = bank.closing.clone().wait_for(|closing| *closing).await;
}
