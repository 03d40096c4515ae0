//! `bartizan authz matrix`: roles and operations as a table.

use std::{path::PathBuf, process::ExitCode};

use bartizan_authz::actions::METHODS;
use bartizan_guards::access::Cell;
use bartizan_policy::snapshot::Snapshot;
use comfy_table::{Table, presets};
use http::Method;
use serde::Serialize;
use serde_json::json;

use crate::{
    admin_client::{Output, say},
    commands::check,
};

/// Which table, and how.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The configuration.
    #[arg(long, short, value_name = "FILE", default_value = "bartizan.yaml")]
    config: PathBuf,
    /// The environment to lay over it, instead of its own.
    #[arg(long, value_name = "NAME")]
    environment: Option<String>,
    /// Of this API only.
    #[arg(long, value_name = "NAME")]
    api: Option<String>,
    /// How to answer.
    #[arg(long, value_enum, default_value_t)]
    output: Form,
}

/// How a table is told.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
enum Form {
    /// A table for people.
    #[default]
    Text,
    /// Comma-separated values (RFC 4180).
    Csv,
    /// One JSON object.
    Json,
}

/// One operation and what each role may do with it.
#[derive(Debug, Serialize)]
struct Row {
    api: String,
    operation: String,
    /// Whether `access` decides about it at all.
    decided: bool,
    /// One for each role; empty where nothing decides.
    cells: Vec<Cell>,
}

/// Runs the command.
pub fn run(args: &Args) -> ExitCode {
    let loaded = match check::load(&args.config, args.environment.clone()) {
        Ok(loaded) => loaded,
        Err(rejected) => return check::refuse(&rejected, Output::Text),
    };
    let (roles, rows) = table(&loaded.snapshot, args.api.as_deref());
    match args.output {
        Form::Json => say(&format!("{:#}", json!({ "roles": roles, "operations": rows }))),
        Form::Csv => {
            say(&line(["api", "operation"].into_iter().map(str::to_owned).chain(roles.clone())));
            for row in &rows {
                let cells = told(row, roles.len());
                say(&line([row.api.clone(), row.operation.clone()].into_iter().chain(cells)));
            }
        }
        Form::Text => {
            let mut text = Table::new();
            text.load_preset(presets::NOTHING);
            text.set_header(["API", "OPERATION"].into_iter().map(str::to_owned).chain(roles.clone()));
            for row in &rows {
                let cells = told(row, roles.len());
                text.add_row([row.api.clone(), row.operation.clone()].into_iter().chain(cells));
            }
            say(&text.trim_fmt());
            if roles.is_empty() {
                say("no policy names a role: `access: { roles: file:roles.yaml }` does");
            }
        }
    }
    ExitCode::SUCCESS
}

/// The roles of all blocks, and a row for each operation.
fn table(snapshot: &Snapshot, wanted: Option<&str>) -> (Vec<String>, Vec<Row>) {
    let mut roles: Vec<String> = Vec::new();
    let mut found = Vec::new();
    for api in snapshot.apis.iter().filter(|api| wanted.is_none_or(|wanted| *api.name == *wanted)) {
        let mut operations: Vec<_> = api.operations.all().filter(|operation| operation.known).collect();
        operations.sort_by_key(|operation| {
            let (method, path) = operation.label.split_once(' ').unwrap_or(("", &operation.label));
            (path.to_owned(), method.to_owned())
        });
        operations.dedup_by_key(|operation| operation.label.clone());
        for operation in operations {
            let access = operation.guards.access.active();
            for role in access.iter().flat_map(|access| access.role_names()) {
                if !roles.iter().any(|known| **known == *role) {
                    roles.push(role.to_string());
                }
            }
            found.push((api.name.to_string(), operation));
        }
    }
    let mut rows = Vec::new();
    for (api, operation) in found {
        let Some(access) = operation.guards.access.active() else {
            rows.push(Row { api, operation: operation.label.to_string(), decided: false, cells: Vec::new() });
            continue;
        };
        let every = operation.label.starts_with("* ");
        let methods: &[&str] = if every { &METHODS } else { &["GET"] };
        for method in methods {
            let Ok(method) = method.parse::<Method>() else { continue };
            let action = access.actions().find(&operation.label, &method);
            let name = access.actions().get(action).map(|action| action.name.to_string());
            rows.push(Row {
                api: api.clone(),
                operation: name.filter(|_| every).unwrap_or_else(|| operation.label.to_string()),
                decided: true,
                cells: roles.iter().map(|role| access.cell(role, action)).collect(),
            });
        }
    }
    (roles, rows)
}

fn told(row: &Row, width: usize) -> Vec<String> {
    if !row.decided {
        return vec!["-".to_owned(); width];
    }
    let word = |cell: &Cell| match cell {
        Cell::Allow => "allow",
        Cell::Depends => "depends",
        Cell::Deny => "deny",
    };
    row.cells.iter().map(|cell| word(cell).to_owned()).collect()
}

/// One line of RFC 4180: what holds a comma, a quote or a line break is quoted.
fn line(values: impl Iterator<Item = String>) -> String {
    let quoted = |value: String| {
        // A cell that begins like a formula is one to spreadsheets.
        let value =
            if value.starts_with(['=', '+', '-', '@']) && value != "-" { format!("'{value}") } else { value };
        if value.contains([',', '"', '\n']) { format!("\"{}\"", value.replace('"', "\"\"")) } else { value }
    };
    values.map(quoted).collect::<Vec<_>>().join(",")
}
