//! Reports: small text files, in a folder of the bank's own that goes with it.

use std::{path::PathBuf, process::Stdio, time::Duration};

use axum::{
    Json,
    extract::{Path, State},
    http::StatusCode,
};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::{fs, io::AsyncReadExt as _, process::Command};

use crate::{
    Flaw,
    bank::{Bank, Shared},
    caller::Caller,
    input::{Input, room_for_one_more, text_within},
    refusal::{Answer, Refusal},
};

/// The most of a report that is read.
const MAX_REPORT: u64 = 64 * 1024;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Report {
    name: String,
}

/// `POST /v1/reports`.
pub async fn make(
    State(bank): State<Shared>,
    caller: Caller,
    Input(report): Input<Report>,
) -> Answer<(StatusCode, Json<Value>)> {
    text_within("name", &report.name, 200)?;
    let folder = folder(&bank, &caller).await?;
    if bank.has(Flaw::ShellReport) {
        shell(&folder, &report.name).await?;
    } else {
        let file = folder.join(plain(&report.name)?);
        fs::write(file, "report\n").await.map_err(|error| Refusal::internal(&error))?;
    }
    Ok((StatusCode::CREATED, Json(json!({ "name": report.name }))))
}

/// `GET /v1/reports/{name}`.
pub async fn get(State(bank): State<Shared>, caller: Caller, Path(name): Path<String>) -> Answer<String> {
    let file = folder(&bank, &caller).await?.join(plain(&name)?);
    let file = fs::File::open(file).await.map_err(|_| Refusal::not_found())?;
    let mut text = Vec::new();
    file.take(MAX_REPORT).read_to_end(&mut text).await.map_err(|error| Refusal::internal(&error))?;
    Ok(String::from_utf8_lossy(&text).into_owned())
}

/// BANK-05 (planted): the name becomes part of a shell's command. Its environment is empty, it begins in the caller's
/// folder, and it ends after two seconds.
async fn shell(folder: &PathBuf, name: &str) -> Answer<()> {
    let mut command = Command::new("/bin/sh");
    command.arg("-c").arg(format!("echo report > {name}")).current_dir(folder);
    command.env_clear().env("PATH", "/usr/bin:/bin");
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).kill_on_drop(true);
    let ended = tokio::time::timeout(Duration::from_secs(2), command.status()).await;
    match ended {
        Ok(Ok(status)) if status.success() => Ok(()),
        Ok(Ok(status)) => Err(Refusal::internal(&format!("sh -c \"echo report > {name}\": {status}"))),
        Ok(Err(error)) => Err(Refusal::internal(&error)),
        Err(late) => Err(Refusal::internal(&late)),
    }
}

/// The folder of one caller, with room for one more.
async fn folder(bank: &Bank, caller: &Caller) -> Answer<PathBuf> {
    let folder = bank.reports.path().join(caller.id.to_string());
    let internal = |error| Refusal::internal(&error);
    fs::create_dir_all(&folder).await.map_err(internal)?;
    let mut entries = fs::read_dir(&folder).await.map_err(internal)?;
    let mut count = 0;
    while entries.next_entry().await.map_err(internal)?.is_some() {
        count += 1;
    }
    room_for_one_more(count, 100)?;
    Ok(folder)
}

/// A name without a path or anything that a shell reads.
fn plain(name: &str) -> Answer<&str> {
    let letters = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_');
    if letters && (1..=60).contains(&name.len()) {
        Ok(name)
    } else {
        Err(Refusal::unprocessable("`name` is 1 to 60 letters, digits, `-` and `_`"))
    }
}
