//! `bartizan check`: everything that is wrong with a configuration, and what each operation ends up with.

use std::{
    io::IsTerminal as _,
    path::{Path, PathBuf},
    process::ExitCode,
};

use bartizan_model::Diagnostics;
use bartizan_policy::{CompileOptions, Effective, Loaded, Rejected, Source, compile, offline, render};
use comfy_table::{ContentArrangement, Table, presets};
use serde_json::json;

use crate::{
    EXIT_CONFIG,
    admin_client::{Output, remark, say},
};

/// Verifies a configuration by the same code that `run` uses. Exit code 0 when it can be run, 78 when not.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The configuration [default: bartizan.yaml].
    #[arg(value_name = "FILE")]
    pub file: Option<PathBuf>,
    /// The configuration, as `run` takes it.
    #[arg(long, short, value_name = "FILE", conflicts_with = "file")]
    pub config: Option<PathBuf>,
    /// The environment to lay over the configuration, instead of its own.
    #[arg(long, value_name = "NAME")]
    pub environment: Option<String>,
    /// Show what each operation ends up with: its guards, their modes and settings.
    #[arg(long)]
    pub effective: bool,
    /// Exit with 1 when there are warnings.
    #[arg(long)]
    pub strict_warnings: bool,
    /// How to answer.
    #[arg(long, value_enum, default_value_t)]
    pub output: Output,
}

/// Runs the command.
pub fn run(args: &Args) -> ExitCode {
    let file = args.file.as_ref().or(args.config.as_ref());
    let file = file.map_or_else(|| Path::new("bartizan.yaml"), PathBuf::as_path);
    match load(file, args.environment.clone()) {
        Ok(loaded) => {
            let warnings = &loaded.snapshot.warnings;
            match args.output {
                Output::Json => say_json(true, warnings, args.effective.then_some(&loaded.effective)),
                Output::Text => {
                    if !warnings.0.is_empty() {
                        remark(render(warnings, &loaded.sources, colour()).trim_end());
                    }
                    if args.effective {
                        say(&effective_text(&loaded.effective));
                    }
                    let operations: usize =
                        loaded.effective.apis.iter().map(|api| api.operations.len()).sum();
                    let apis = loaded.effective.apis.len();
                    let plural = |n: usize, one: &str| format!("{n} {one}{}", if n == 1 { "" } else { "s" });
                    let counted = format!("{}, {}", plural(apis, "API"), plural(operations, "operation"));
                    say(&format!("{} can be run: {counted}", file.display()));
                }
            }
            if args.strict_warnings && !warnings.0.is_empty() { ExitCode::FAILURE } else { ExitCode::SUCCESS }
        }
        Err(rejected) => refuse(&rejected, args.output),
    }
}

/// Compiles a file without serving anything.
pub fn load(file: &Path, environment: Option<String>) -> Result<Loaded, Box<Rejected>> {
    let services = offline::services();
    compile(&Source::file(file), &CompileOptions { environment, ..CompileOptions::new(&services) })
}

/// Tells what is wrong and answers exit code 78.
pub fn refuse(rejected: &Rejected, output: Output) -> ExitCode {
    match output {
        Output::Json => say_json(false, &rejected.diagnostics, None),
        Output::Text => tell(rejected),
    }
    ExitCode::from(EXIT_CONFIG)
}

/// Prints what is wrong to standard error.
fn tell(rejected: &Rejected) {
    remark(render(&rejected.diagnostics, &rejected.sources, colour()).trim_end());
}

/// Whether standard error is a terminal that may be coloured (<https://no-color.org>).
pub fn colour() -> bool {
    std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}

fn say_json(valid: bool, diagnostics: &Diagnostics, effective: Option<&Effective>) {
    let mut answer = json!({ "valid": valid, "diagnostics": diagnostics });
    if let (Some(effective), Some(answer)) = (effective, answer.as_object_mut()) {
        answer.insert("effective".to_owned(), json!(effective));
    }
    say(&format!("{answer:#}"));
}

/// One table for each API.
fn effective_text(effective: &Effective) -> String {
    let mut text = String::new();
    for api in &effective.apis {
        let hosts = if api.hosts.is_empty() { "any host".to_owned() } else { api.hosts.join(", ") };
        let base = if api.base_path.is_empty() { "/" } else { &api.base_path };
        text.push_str(&format!(
            "{}: {hosts} below {base} to {}; unknown operations: {}\n",
            api.name,
            api.backends.join(", "),
            api.unknown_operations
        ));
        let mut table = Table::new();
        table.load_preset(presets::UTF8_HORIZONTAL_ONLY).set_content_arrangement(ContentArrangement::Dynamic);
        table.set_header(["operation", "blocks", "guard", "mode", "settings"]);
        for operation in &api.operations {
            let mut first = true;
            for guard in &operation.guards {
                let (label, blocks) = if first {
                    (operation.label.as_str(), operation.blocks.join("\n"))
                } else {
                    ("", String::new())
                };
                first = false;
                table.add_row([label, &blocks, guard.guard, guard.mode, &guard.config.to_string()]);
            }
            if first {
                table.add_row([operation.label.as_str(), &operation.blocks.join("\n"), "none", "", ""]);
            }
        }
        text.push_str(&table.to_string());
        text.push_str("\n\n");
    }
    text
}
