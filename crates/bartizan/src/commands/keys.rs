//! `bartizan keys`: making, listing, rotating and ending API keys, with or without a running gateway.

use std::{process::ExitCode, time::Duration};

use bartizan_control::keys::{self, Issued, NewKey};
use bartizan_model::{Clock as _, Rate, Timestamp, units::Period};
use bartizan_store::{
    Store, StoredKey,
    system::{SystemClock, SystemRandom},
};
use comfy_table::{Table, presets};
use serde_json::{Value, json};

use crate::{
    admin_client::{Output, Place, fail, remark, say},
    control::key_max_age,
};

/// Who made a change, in the log of changes.
const ACTOR: &str = "command-line";

/// Makes, lists, rotates and ends API keys. A running gateway notices within a second.
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
    /// Makes a key and prints it, once.
    #[command(
        after_help = "Examples:\n  bartizan keys create --owner billing --scope invoices:read --expires 90d\n  bartizan keys create --owner partner --role reader --tenant north --rate 100/m --burst 20\n  bartizan keys create --owner sensor-7 --attribute site=harbour --attribute level=3\n\nStandard output has the key alone: pipe it to where it belongs."
    )]
    Create {
        /// Whose it is: the subject that policies and events see.
        #[arg(long)]
        owner: String,
        /// What it may do; repeat for more.
        #[arg(long = "scope", value_name = "SCOPE")]
        scopes: Vec<String>,
        /// A role of its holder; repeat for more.
        #[arg(long = "role", value_name = "ROLE")]
        roles: Vec<String>,
        /// The tenant of its holder.
        #[arg(long)]
        tenant: Option<String>,
        /// What else policies may know of its holder; the value is JSON, or text that is none. Repeat for more.
        #[arg(long = "attribute", value_name = "NAME=VALUE", value_parser = attribute)]
        attributes: Vec<(String, Value)>,
        /// After how long it ends, such as `90d`; without it, never.
        #[arg(long, value_name = "PERIOD")]
        expires: Option<Period>,
        /// How often it may be used, such as `100/m`, whatever the policy limits.
        #[arg(long)]
        rate: Option<Rate>,
        /// Requests that may come at once under `--rate`; without it, as many as the rate counts.
        #[arg(long, requires = "rate")]
        burst: Option<u32>,
    },
    /// Lists all keys, without their secrets, and until when each has to be replaced.
    #[command(
        after_help = "ROTATE BY is the end of the key, or when it is older than `max_age` of the policy: that of `--config`, else of `bartizan.yaml` here.\n\nExamples:\n  bartizan keys list\n  bartizan keys list --config /etc/bartizan/bartizan.yaml --output json"
    )]
    List,
    /// Makes a successor that may do the same and prints it, once; the old key ends after the overlap.
    #[command(
        after_help = "Example:\n  bartizan keys rotate 5dJ0aQx2Lw --overlap 7d    both are valid for a week"
    )]
    Rotate {
        /// The public id of the old key.
        id: String,
        /// How long both are valid.
        #[arg(long, value_name = "PERIOD", default_value_t = keys::OVERLAP)]
        overlap: Period,
    },
    /// Ends a key at once.
    Revoke {
        /// The public id of the key.
        id: String,
    },
}

/// Runs the command: 0 when it is done.
pub fn run(args: Args) -> ExitCode {
    // A first key may be made before the gateway's first start; what there is not cannot be listed or ended.
    let store = match args.command {
        Command::Create { .. } => args.place.store(),
        _ => args.place.existing_store(),
    };
    let done = store.and_then(|store| execute(&store, &args.place, &args.command, args.output));
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(&error),
    }
}

fn execute(store: &Store, place: &Place, command: &Command, output: Output) -> Result<(), String> {
    let now = SystemClock::default().now();
    let log = |code, detail: String| {
        store.log_change(code, ACTOR, &detail).map_err(|error| format!("done, but not logged: {error}"))
    };
    match command {
        Command::Create { owner, scopes, roles, tenant, attributes, expires, rate, burst } => {
            let asked = NewKey {
                owner: owner.clone(),
                scopes: scopes.clone(),
                roles: roles.clone(),
                tenant: tenant.clone(),
                attributes: attributes.iter().cloned().collect(),
                expires: *expires,
                rate: *rate,
                burst: *burst,
            };
            let issued =
                keys::create(store, &SystemRandom, now, &asked).map_err(|error| error.to_string())?;
            show_once(&issued, now, output);
            log("key.created", format!("`{}` for {owner}", issued.key.record.id))
        }
        Command::List => {
            let max_age = place.configuration().and_then(|loaded| key_max_age(&loaded.snapshot));
            list(&store.keys().map_err(|error| error.to_string())?, now, max_age, output);
            Ok(())
        }
        Command::Rotate { id, overlap } => {
            let issued =
                keys::rotate(store, &SystemRandom, now, id, *overlap).map_err(|error| error.to_string())?;
            show_once(&issued, now, output);
            if output == Output::Text {
                remark(&format!("`{id}` stays valid for {overlap}"));
            }
            log("key.rotated", format!("`{id}` by `{}`, overlap {overlap}", issued.key.record.id))
        }
        Command::Revoke { id } => {
            let key = store.revoke_key(id, now).map_err(|error| error.to_string())?;
            match output {
                Output::Json => say(&json!({ "key": key.describe(now, None) }).to_string()),
                Output::Text => say(&format!("{id} is revoked")),
            }
            log("key.revoked", format!("`{id}` of {}", key.record.owner))
        }
    }
}

/// Standard output has the key alone, so that it can be piped to where it belongs.
fn show_once(issued: &Issued, now: Timestamp, output: Output) {
    let key = issued.key.describe(now, None);
    match output {
        Output::Json => say(&json!({ "secret": issued.plain.expose(), "key": key }).to_string()),
        Output::Text => {
            remark(&format!(
                "key {} for {}; it is shown this once:",
                issued.key.record.id, issued.key.record.owner
            ));
            say(issued.plain.expose());
        }
    }
}

fn list(keys: &[StoredKey], now: Timestamp, max_age: Option<Duration>, output: Output) {
    if output == Output::Json {
        let keys: Vec<_> = keys.iter().map(|key| key.describe(now, max_age)).collect();
        return say(&json!({ "keys": keys }).to_string());
    }
    if keys.is_empty() {
        return say("there are no keys; `bartizan keys create --owner NAME` makes one");
    }
    let mut table = Table::new();
    table.load_preset(presets::NOTHING).set_header([
        "ID",
        "OWNER",
        "SCOPES",
        "STATE",
        "EXPIRES",
        "ROTATE BY",
        "LAST USED",
    ]);
    for key in keys {
        let record = &key.record;
        table.add_row([
            record.id.to_string(),
            record.owner.to_string(),
            record.scopes.join(" "),
            key.state(now).to_owned(),
            day(record.expires),
            key.rotate_by(now, max_age).map_or_else(|| "-".to_owned(), |by| day(Some(by))),
            day(key.last_used),
        ]);
    }
    say(&table.trim_fmt());
    let soon = |key: &&StoredKey| key.rotate_by(now, max_age).is_some_and(|by| by <= now.plus(keys::REMIND));
    let soon: Vec<&str> = keys.iter().filter(soon).map(|key| &*key.record.id).collect();
    if !soon.is_empty() {
        remark(&format!("to be replaced within two weeks, by `bartizan keys rotate`: {}", soon.join(", ")));
    }
}

/// `name=value`; a value that is no JSON is text.
fn attribute(text: &str) -> Result<(String, Value), String> {
    let (name, value) = text.split_once('=').ok_or("write it as `name=value`")?;
    let value = serde_json::from_str(value).unwrap_or_else(|_| Value::String(value.to_owned()));
    Ok((name.to_owned(), value))
}

/// To the second, which is what people compare.
fn day(time: Option<Timestamp>) -> String {
    match time {
        Some(time) => time.to_string().chars().take(19).chain(['Z']).collect(),
        None => "never".to_owned(),
    }
}
