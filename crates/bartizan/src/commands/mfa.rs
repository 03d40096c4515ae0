//! `bartizan mfa`: second factors of key holders, with or without a running gateway.

use std::process::ExitCode;

use bartizan_control::factors::{self, Enrolled};
use bartizan_model::{Clock as _, services::TotpHash};
use bartizan_store::{
    StateDirectory, Store, StoredFactor,
    system::{SystemClock, SystemRandom},
};
use comfy_table::{Table, presets};
use qrcodegen::{QrCode, QrCodeEcc};
use serde_json::json;

use crate::admin_client::{Output, Place, fail, remark, say};

/// Who made a change, in the log of changes.
const ACTOR: &str = "command-line";

/// Enrolls, lists and ends second factors. A running gateway notices within a second.
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
    /// Makes a secret for an authenticator app and shows it, once, as URI and QR code.
    #[command(
        after_help = "Examples:\n  bartizan mfa enroll billing\n  bartizan mfa enroll billing --hash sha256 --issuer 'North Bank' --no-qr\n\nThe holder sends the app's six digits as `X-Bartizan-TOTP` where `step_up` demands them."
    )]
    Enroll {
        /// The owner of the API keys, as `bartizan keys list` shows it.
        owner: String,
        /// The hash of the codes; not every app knows `sha256`.
        #[arg(long, value_enum, default_value_t)]
        hash: HashName,
        /// Who issues the codes, as the app shows it.
        #[arg(long, default_value = factors::ISSUER)]
        issuer: String,
        /// Show the URI only.
        #[arg(long)]
        no_qr: bool,
    },
    /// Lists who has a second factor.
    List,
    /// Ends an owner's second factor; where one is demanded, its keys are refused until another is enrolled.
    Revoke {
        /// The owner.
        owner: String,
    },
}

/// The hash of the codes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum HashName {
    /// Every app knows it.
    #[default]
    Sha1,
    /// Longer secrets.
    Sha256,
}

/// Runs the command: 0 when it is done.
pub fn run(args: Args) -> ExitCode {
    let store = match args.command {
        Command::Enroll { .. } => args.place.store(),
        _ => args.place.existing_store(),
    };
    match store.and_then(|store| execute(&store, &args.place, &args.command, args.output)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(&error),
    }
}

fn execute(store: &Store, place: &Place, command: &Command, output: Output) -> Result<(), String> {
    let log = |code, detail: String| {
        store.log_change(code, ACTOR, &detail).map_err(|error| format!("done, but not logged: {error}"))
    };
    match command {
        Command::Enroll { owner, hash, issuer, no_qr } => {
            let hash = match hash {
                HashName::Sha1 => TotpHash::Sha1,
                HashName::Sha256 => TotpHash::Sha256,
            };
            let sealer = StateDirectory::open(&place.directory())
                .and_then(|directory| directory.sealer())
                .map_err(|error| error.to_string())?;
            let now = SystemClock::default().now();
            let enrolled = factors::enroll(store, &sealer, &SystemRandom, now, owner, hash, issuer)
                .map_err(|error| error.to_string())?;
            show_once(&enrolled, *no_qr, output);
            log("mfa.enrolled", format!("totp for {owner}"))
        }
        Command::List => {
            list(&store.factors().map_err(|error| error.to_string())?, output);
            Ok(())
        }
        Command::Revoke { owner } => {
            store.remove_factor(owner).map_err(|error| error.to_string())?;
            match output {
                Output::Json => say(&json!({ "revoked": owner }).to_string()),
                Output::Text => say(&format!("{owner} has no second factor any more")),
            }
            log("mfa.revoked", format!("totp of {owner}"))
        }
    }
}

/// Standard output has the URI alone, so that it can be piped to where it belongs.
fn show_once(enrolled: &Enrolled, no_qr: bool, output: Output) {
    match output {
        Output::Json => say(&json!({
            "uri": enrolled.uri.expose(),
            "secret": enrolled.secret.expose(),
            "factor": enrolled.factor.describe(),
        })
        .to_string()),
        Output::Text => {
            remark(&format!("second factor of {}; it is shown this once:", enrolled.factor.owner));
            if !no_qr && let Some(code) = qr(enrolled.uri.expose()) {
                remark(&code);
            }
            say(enrolled.uri.expose());
        }
    }
}

/// A QR code of half-high blocks, dark on light whatever the terminal's colours are.
fn qr(text: &str) -> Option<String> {
    let code = QrCode::encode_text(text, QrCodeEcc::Low).ok()?;
    let (quiet, size) = (2, code.size());
    let dark = |x, y| code.get_module(x, y);
    let mut lines = Vec::new();
    for y in (-quiet..size + quiet).step_by(2) {
        let line: String = (-quiet..size + quiet)
            .map(|x| match (dark(x, y), dark(x, y + 1)) {
                (false, false) => '\u{2588}',
                (false, true) => '\u{2580}',
                (true, false) => '\u{2584}',
                (true, true) => ' ',
            })
            .collect();
        lines.push(line);
    }
    Some(lines.join("\n"))
}

fn list(factors: &[StoredFactor], output: Output) {
    if output == Output::Json {
        let factors: Vec<_> = factors.iter().map(StoredFactor::describe).collect();
        return say(&json!({ "factors": factors }).to_string());
    }
    if factors.is_empty() {
        return say("nobody has a second factor; `bartizan mfa enroll OWNER` makes one");
    }
    let mut table = Table::new();
    table.load_preset(presets::NOTHING).set_header(["OWNER", "FACTOR", "ENROLLED", "LAST USED"]);
    for factor in factors {
        let told = factor.describe();
        let text = |name: &str| told.get(name).and_then(|value| value.as_str()).unwrap_or("never").to_owned();
        table.add_row([
            factor.owner.to_string(),
            format!("{} {}", text("factor"), text("hash")),
            text("created"),
            text("last_used"),
        ]);
    }
    say(&table.trim_fmt());
}
