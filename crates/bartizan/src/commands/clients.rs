//! `bartizan clients`: enrolling, listing, rotating and ending the keys of clients that sign their requests.

use std::{fs, path::PathBuf, process::ExitCode};

use aws_lc_rs::{
    rand::SystemRandom as Generator,
    signature::{Ed25519KeyPair, KeyPair as _},
};
use bartizan_guards::identity::signature::keys::{Algorithm, SigningKey, natural};
use bartizan_model::{
    Clock as _, Timestamp,
    services::{ClientKeyRecord, Random as _},
    units::Period,
};
use bartizan_store::{
    Store, StoredClientKey,
    system::{SystemClock, SystemRandom},
};
use base64::{Engine, engine::general_purpose::STANDARD};
use comfy_table::{Table, presets};
use serde_json::json;

use crate::admin_client::{Output, Place, fail, remark, say};

/// Who made a change, in the log of changes.
const ACTOR: &str = "command-line";

/// How long a rotated key stays valid beside its successor, unless told otherwise.
const OVERLAP: Period = Period(std::time::Duration::from_secs(7 * 86_400));

/// Bytes of a client's name or a key's id.
const MAX_NAME: usize = 128;

/// Bytes of a file with a public key.
const MAX_FILE: u64 = 64 * 1024;

/// What stands before the key of an Ed25519 public key in DER (RFC 8410 section 4).
const ED25519_PREFIX: [u8; 12] = [0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00];

/// Enrolls, lists, rotates and ends the keys of clients that sign their requests (RFC 9421). A running gateway notices
/// within a second; operations that accept `signature` accept them.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    pub command: Command,
    #[command(flatten)]
    pub place: Place,
    /// How to answer.
    #[arg(long, value_enum, default_value_t, global = true)]
    pub output: Output,
}

/// What to do.
#[derive(Debug, clap::Subcommand)]
pub enum Command {
    /// Enrolls the public key of a client, or makes a pair for it.
    Enroll {
        /// Whose key it is: the subject that policies and events see.
        client: String,
        #[command(flatten)]
        source: KeySource,
        /// What signatures name as `keyid`; without it, one is made.
        #[arg(long)]
        id: Option<String>,
        /// After how long the key ends, such as `90d`; without it, never.
        #[arg(long, value_name = "PERIOD")]
        expires: Option<Period>,
    },
    /// Enrolls a successor; the old key ends after the overlap.
    Rotate {
        /// The id of the old key.
        id: String,
        #[command(flatten)]
        source: KeySource,
        /// The id of the new key; without it, one is made.
        #[arg(long)]
        new_id: Option<String>,
        /// How long both are valid.
        #[arg(long, value_name = "PERIOD", default_value_t = OVERLAP)]
        overlap: Period,
    },
    /// Ends a key, or all keys of a client, at once.
    Revoke {
        /// The id of the key, or the client's name.
        id_or_client: String,
    },
    /// Lists all keys.
    List,
}

/// Where the public key comes from.
#[derive(Debug, clap::Args)]
#[group(required = true, multiple = false)]
pub struct KeySource {
    /// A file with the client's public key: PEM or a JWK; Ed25519, ECDSA P-256 or P-384, or RSA.
    #[arg(long, value_name = "FILE")]
    pub key: Option<PathBuf>,
    /// Make an Ed25519 pair and write its private half to this new file, which goes to the client.
    #[arg(long, value_name = "FILE")]
    pub generate: Option<PathBuf>,
}

/// A public key that can be enrolled.
struct Public {
    algorithm: Algorithm,
    text: String,
}

/// Runs the command: 0 when it is done.
pub fn run(args: Args) -> ExitCode {
    // A first key may be enrolled before the gateway's first start; what there is not cannot be listed or ended.
    let store = match args.command {
        Command::Enroll { .. } => args.place.store(),
        _ => args.place.existing_store(),
    };
    match store.and_then(|store| execute(&store, &args.command, args.output)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(&error),
    }
}

fn execute(store: &Store, command: &Command, output: Output) -> Result<(), String> {
    let now = SystemClock::default().now();
    let log = |code, detail: String| {
        store.log_change(code, ACTOR, &detail).map_err(|error| format!("done, but not logged: {error}"))
    };
    match command {
        Command::Enroll { client, source, id, expires } => {
            check_name(client, "a client's name")?;
            if expires.is_some_and(|period| period.0.is_zero()) {
                return Err("a key lives longer than nothing; write `--expires 90d`".to_owned());
            }
            let record =
                record(id.as_deref(), client, source, now, expires.map(|period| now.plus(period.0)))?;
            store.enroll_client_key(record.clone()).map_err(|error| error.to_string())?;
            show(&[StoredClientKey { record: record.clone(), last_used: None }], now, output, "is enrolled");
            log("client.enrolled", format!("`{}` of {client}", record.id))
        }
        Command::Rotate { id, source, new_id, overlap } => {
            let keys = store.client_keys().map_err(|error| error.to_string())?;
            let old = keys.into_iter().find(|key| *key.record.id == **id);
            let lifetime = old.as_ref().and_then(|old| Some(old.record.expires?.since(old.record.created)));
            let client = old.map_or_else(|| "".into(), |old| old.record.client);
            let record =
                record(new_id.as_deref(), &client, source, now, lifetime.map(|life| now.plus(life)))?;
            let successor = record.clone();
            store
                .rotate_client_key(id, move |_| successor, now.plus(overlap.0), now)
                .map_err(|error| error.to_string())?;
            show(&[StoredClientKey { record: record.clone(), last_used: None }], now, output, "is enrolled");
            if output == Output::Text {
                remark(&format!("`{id}` stays valid for {overlap}"));
            }
            log("client.rotated", format!("`{id}` by `{}`, overlap {overlap}", record.id))
        }
        Command::Revoke { id_or_client } => {
            let ended = store.revoke_client_keys(id_or_client, now).map_err(|error| error.to_string())?;
            show(&ended, now, output, "is revoked");
            log("client.revoked", format!("`{id_or_client}`"))
        }
        Command::List => {
            list(&store.client_keys().map_err(|error| error.to_string())?, now, output);
            Ok(())
        }
    }
}

fn check_name(name: &str, what: &str) -> Result<(), String> {
    if name.is_empty()
        || name.len() > MAX_NAME
        || !name.chars().all(|c| c.is_ascii_graphic() && c != '"' && c != '\\')
    {
        return Err(format!(
            "{what} is 1 to {MAX_NAME} printable ASCII characters without space, quote or backslash"
        ));
    }
    Ok(())
}

fn record(
    id: Option<&str>,
    client: &str,
    source: &KeySource,
    now: Timestamp,
    expires: Option<Timestamp>,
) -> Result<ClientKeyRecord, String> {
    let id = match id {
        Some(id) => id.to_owned(),
        None => {
            let mut bytes = [0; 8];
            SystemRandom.fill(&mut bytes);
            format!("ck_{:016x}", u64::from_be_bytes(bytes))
        }
    };
    check_name(&id, "a key's id")?;
    let public = match (&source.key, &source.generate) {
        (Some(file), _) => read(file)?,
        (None, Some(file)) => generate(file)?,
        (None, None) => {
            return Err("name the client's public key by `--key`, or write `--generate`".to_owned());
        }
    };
    Ok(ClientKeyRecord {
        id: id.into(),
        client: client.into(),
        algorithm: public.algorithm.name().into(),
        public_key: public.text.into(),
        created: now,
        expires,
        revoked: None,
        successor: None,
    })
}

fn read(file: &PathBuf) -> Result<Public, String> {
    let shown = file.display();
    let length = fs::metadata(file).map_err(|error| format!("cannot read `{shown}`: {error}"))?.len();
    if length > MAX_FILE {
        return Err(format!("`{shown}` is longer than a public key"));
    }
    let text = fs::read_to_string(file).map_err(|error| format!("cannot read `{shown}`: {error}"))?;
    if text.contains("PRIVATE KEY") {
        return Err(format!(
            "`{shown}` holds a private key, which stays with the client; name its public half"
        ));
    }
    let algorithm = natural(text.as_bytes()).ok_or_else(|| {
        format!("`{shown}` holds no public key that can be used; write PEM (`PUBLIC KEY`) or a JWK: Ed25519, ECDSA P-256 or P-384, or RSA of 2048 bits or more")
    })?;
    SigningKey::from_public(algorithm, text.as_bytes()).map_err(|error| format!("`{shown}`: {error}"))?;
    Ok(Public { algorithm, text })
}

/// Makes a pair; the private half is in the file only.
fn generate(file: &PathBuf) -> Result<Public, String> {
    use std::{io::Write as _, os::unix::fs::OpenOptionsExt as _};
    let pair = Ed25519KeyPair::generate_pkcs8v1(&Generator::new())
        .map_err(|_| "the system has no random numbers for a key".to_owned())?;
    let parsed = Ed25519KeyPair::from_pkcs8_maybe_unchecked(pair.as_ref())
        .map_err(|_| "a key that was made cannot be read back".to_owned())?;
    let shown = file.display();
    let cannot = |error| format!("cannot write `{shown}`: {error}; name a new file");
    let mut out =
        fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(file).map_err(cannot)?;
    out.write_all(pem("PRIVATE KEY", pair.as_ref()).as_bytes()).map_err(cannot)?;
    let public = [ED25519_PREFIX.as_slice(), parsed.public_key().as_ref()].concat();
    Ok(Public { algorithm: Algorithm::Ed25519, text: pem("PUBLIC KEY", &public) })
}

fn pem(label: &str, der: &[u8]) -> String {
    format!("-----BEGIN {label}-----\n{}\n-----END {label}-----\n", STANDARD.encode(der))
}

fn show(keys: &[StoredClientKey], now: Timestamp, output: Output, what: &str) {
    match output {
        Output::Json => {
            let keys: Vec<_> = keys.iter().map(|key| key.describe(now)).collect();
            say(&json!({ "keys": keys }).to_string());
        }
        Output::Text => {
            for key in keys {
                say(&format!("{} of {} ({}) {what}", key.record.id, key.record.client, key.record.algorithm));
            }
        }
    }
}

fn list(keys: &[StoredClientKey], now: Timestamp, output: Output) {
    if output == Output::Json {
        return show(keys, now, output, "");
    }
    if keys.is_empty() {
        return say("no client is enrolled; `bartizan clients enroll NAME --key FILE` enrolls one");
    }
    let mut table = Table::new();
    table.load_preset(presets::NOTHING).set_header([
        "ID",
        "CLIENT",
        "ALGORITHM",
        "STATE",
        "EXPIRES",
        "LAST USED",
    ]);
    for key in keys {
        let record = &key.record;
        table.add_row([
            record.id.to_string(),
            record.client.to_string(),
            record.algorithm.to_string(),
            key.state(now).to_owned(),
            moment(record.expires),
            moment(key.last_used),
        ]);
    }
    say(&table.trim_fmt());
}

/// To the second, which is what people compare.
fn moment(time: Option<Timestamp>) -> String {
    time.map_or_else(|| "never".to_owned(), |time| time.to_string().chars().take(19).chain(['Z']).collect())
}
