//! `bartizan access report`: what is granted and never used.

use std::{collections::BTreeSet, process::ExitCode};

use bartizan_model::{Clock as _, Timestamp, units::Period};
use bartizan_policy::Loaded;
use bartizan_store::system::SystemClock;
use comfy_table::{Table, presets};
use serde::Serialize;
use serde_json::json;

use super::{Used, guards};
use crate::admin_client::{Output, say};

/// What to tell.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// What was not used for this long counts as unused; without it, what was never used.
    #[arg(long, value_name = "PERIOD")]
    unused_for: Option<Period>,
    /// How to answer.
    #[arg(long, value_enum, default_value_t)]
    output: Output,
}

/// One thing that is granted and not used.
#[derive(Debug, Serialize)]
struct Unused {
    /// `grant`, `role`, `key` or `scope`.
    kind: &'static str,
    api: Option<String>,
    name: String,
    place: Option<String>,
    last_used: Option<String>,
}

/// Runs the command.
pub fn run(args: &Args, loaded: &Loaded, used: &Used) -> ExitCode {
    let now = SystemClock::default().now();
    let since = args.unused_for.map(|period| {
        Timestamp(now.0.saturating_sub(u64::try_from(period.0.as_micros()).unwrap_or(u64::MAX)))
    });
    let stale = |last: Option<Timestamp>| match (last, since) {
        (None, _) => true,
        (Some(last), Some(since)) => last < since,
        (Some(_), None) => false,
    };
    let mut unused = Vec::new();
    for api in &loaded.snapshot.apis {
        let mut told: BTreeSet<String> = BTreeSet::new();
        for access in guards(loaded, &api.name) {
            let Some(table) = access.roles() else { continue };
            for (id, role) in table.roles() {
                // Who has a role that inherits from this one uses its grants, too.
                let holders: Vec<_> = table
                    .roles()
                    .filter(|(other, _)| table.lineage(*other).any(|name| name == role))
                    .map(|(_, name)| name.to_string())
                    .collect();
                let of_role = |usage: &&bartizan_store::Usage| {
                    usage.of == "role" && *usage.api == *api.name && holders.contains(&usage.name)
                };
                let last = used.usage.iter().filter(of_role).map(|usage| usage.last).max();
                let everybody = matches!(&**role, "anonymous" | "authenticated");
                if stale(last) && !everybody && told.insert(format!("role {role}")) {
                    let place = table
                        .grants(id)
                        .find(|grant| grant.role == *role)
                        .map(|grant| grant.place.to_string());
                    unused.push(Unused {
                        kind: "role",
                        api: Some(api.name.to_string()),
                        name: role.to_string(),
                        place,
                        last_used: last.map(|last| last.to_string()),
                    });
                }
                for grant in table.grants(id).filter(|grant| grant.role == *role) {
                    let touched: Vec<&str> = access
                        .actions()
                        .iter()
                        .filter(|(_, action)| grant.touches(action))
                        .map(|(_, action)| &*action.name)
                        .collect();
                    let of_grant = |usage: &&bartizan_store::Usage| {
                        let holder = everybody || holders.contains(&usage.name);
                        usage.of == "role"
                            && *usage.api == *api.name
                            && holder
                            && touched.contains(&usage.operation.as_str())
                    };
                    let last = used.usage.iter().filter(of_grant).map(|usage| usage.last).max();
                    if stale(last) && told.insert(grant.told.to_string()) {
                        unused.push(Unused {
                            kind: "grant",
                            api: Some(api.name.to_string()),
                            name: format!("{}: {}", grant.role, grant.text),
                            place: Some(grant.place.to_string()),
                            last_used: last.map(|last| last.to_string()),
                        });
                    }
                }
            }
        }
    }
    let live = |key: &&bartizan_store::StoredKey| matches!(key.state(now), "active" | "rotated");
    for key in used.keys.iter().filter(live) {
        if stale(key.last_used) {
            unused.push(Unused {
                kind: "key",
                api: None,
                name: format!("{} of {}", key.record.id, key.record.owner),
                place: None,
                last_used: key.last_used.map(|last| last.to_string()),
            });
        }
    }
    let scopes: BTreeSet<&str> = used
        .keys
        .iter()
        .filter(live)
        .flat_map(|key| key.record.scopes.iter().map(|scope| &**scope))
        .collect();
    for scope in scopes {
        let of_scope = |usage: &&bartizan_store::Usage| usage.of == "scope" && usage.name == scope;
        let last = used.usage.iter().filter(of_scope).map(|usage| usage.last).max();
        if stale(last) {
            unused.push(Unused {
                kind: "scope",
                api: None,
                name: scope.to_owned(),
                place: None,
                last_used: last.map(|last| last.to_string()),
            });
        }
    }
    tell(args, used, &unused);
    ExitCode::from(u8::from(!unused.is_empty()))
}

fn tell(args: &Args, used: &Used, unused: &[Unused]) {
    if args.output == Output::Json {
        return say(&format!("{:#}", json!({ "unused": unused, "used": used.usage })));
    }
    if unused.is_empty() {
        return say("everything that is granted is used");
    }
    let mut table = Table::new();
    table.load_preset(presets::NOTHING).set_header(["UNUSED", "API", "NAME", "WRITTEN AT", "LAST USED"]);
    for one in unused {
        let shown = |text: &Option<String>| text.clone().unwrap_or_else(|| "-".to_owned());
        let last = one.last_used.clone().unwrap_or_else(|| "never".to_owned());
        table.add_row([one.kind.to_owned(), shown(&one.api), one.name.clone(), shown(&one.place), last]);
    }
    say(&table.trim_fmt());
}
