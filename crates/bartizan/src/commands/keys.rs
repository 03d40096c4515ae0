//! `bartizan keys`: making, listing, rotating and ending API keys, with or without a running gateway.

use std::process::ExitCode;

use bartizan_control::keys::{self, Issued};
use bartizan_model::{Clock as _, Timestamp, units::Period};
use bartizan_store::{
    Store, StoredKey,
    system::{SystemClock, SystemRandom},
};
use comfy_table::{Table, presets};
use serde_json::json;

use crate::admin_client::{Output, Place, fail, remark, say};

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
    Create {
        /// Whose it is: the subject that policies and events see.
        #[arg(long)]
        owner: String,
        /// What it may do; repeat for more.
        #[arg(long = "scope", value_name = "SCOPE")]
        scopes: Vec<String>,
        /// After how long it ends, such as `90d`; without it, never.
        #[arg(long, value_name = "PERIOD")]
        expires: Option<Period>,
    },
    /// Lists all keys, without their secrets.
    List,
    /// Makes a successor and prints it, once; the old key ends after the overlap.
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
    let done = store.and_then(|store| execute(&store, &args.command, args.output));
    match done {
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
        Command::Create { owner, scopes, expires } => {
            let issued = keys::create(store, &SystemRandom, now, owner, scopes, *expires)
                .map_err(|error| error.to_string())?;
            show_once(&issued, now, output);
            log("key.created", format!("`{}` for {owner}", issued.key.record.id))
        }
        Command::List => {
            list(&store.keys().map_err(|error| error.to_string())?, now, output);
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
                Output::Json => say(&json!({ "key": key.describe(now) }).to_string()),
                Output::Text => say(&format!("{id} is revoked")),
            }
            log("key.revoked", format!("`{id}` of {}", key.record.owner))
        }
    }
}

/// Standard output has the key alone, so that it can be piped to where it belongs.
fn show_once(issued: &Issued, now: Timestamp, output: Output) {
    let key = issued.key.describe(now);
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

fn list(keys: &[StoredKey], now: Timestamp, output: Output) {
    if output == Output::Json {
        let keys: Vec<_> = keys.iter().map(|key| key.describe(now)).collect();
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
            day(key.last_used),
        ]);
    }
    say(&table.trim_fmt());
}

/// To the second, which is what people compare.
fn day(time: Option<Timestamp>) -> String {
    match time {
        Some(time) => time.to_string().chars().take(19).chain(['Z']).collect(),
        None => "never".to_owned(),
    }
}
