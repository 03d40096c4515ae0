//! `bartizan init`: a first configuration from a few flags, commented, ready to be changed.

use std::{
    fs::OpenOptions,
    io::{ErrorKind, Write as _},
    net::SocketAddr,
    path::{Path, PathBuf},
    process::ExitCode,
};

use bartizan_contract::{Contract, yaml::Budget};
use bartizan_model::{Mode, Profile};
use bartizan_policy::{CompileOptions, QuickStart, Source, compile, offline};
use serde_json::json;

use super::{
    check::refuse,
    run::{ModeFlag, ProfileFlag},
};
use crate::{
    EXIT_CONFIG,
    admin_client::{Output, fail, say},
};

/// Writes a first configuration. It is verified before it is written.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The API to protect.
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:3000")]
    pub upstream: String,
    /// Its OpenAPI document: its paths and methods are what exists, anything else is refused.
    #[arg(long, value_name = "FILE")]
    pub contract: Option<PathBuf>,
    /// Where to listen [default: 127.0.0.1:8080].
    #[arg(long, value_name = "ADDR")]
    pub listen: Option<SocketAddr>,
    /// Where the admin API listens [default: 127.0.0.1:9440].
    #[arg(long, value_name = "ADDR")]
    pub admin: Option<SocketAddr>,
    /// Whether findings stop exchanges.
    #[arg(long, value_enum)]
    pub mode: Option<ModeFlag>,
    /// How much the defaults demand.
    #[arg(long, value_enum)]
    pub profile: Option<ProfileFlag>,
    /// The file to write; `-` for standard output.
    #[arg(long = "file", short = 'o', value_name = "FILE", default_value = "bartizan.yaml")]
    pub file: PathBuf,
    /// Replace the file if it exists.
    #[arg(long)]
    pub force: bool,
    /// How to answer.
    #[arg(long, value_enum, default_value_t)]
    pub output: Output,
}

/// Runs the command.
pub fn run(args: &Args) -> ExitCode {
    let to_stdout = args.file == Path::new("-");
    let directory = if to_stdout { Path::new("") } else { args.file.parent().unwrap_or(Path::new("")) };
    let contract = match args.contract.as_deref().map(|file| contract(file, directory)).transpose() {
        Ok(contract) => contract,
        Err(text) => {
            fail(&text);
            return ExitCode::from(EXIT_CONFIG);
        }
    };
    let (path, name) = contract.unzip();
    let mut quick = QuickStart {
        contract: path,
        listen: args.listen,
        admin: args.admin,
        mode: args.mode.map(|mode| match mode {
            ModeFlag::Enforce => Mode::Enforce,
            ModeFlag::Monitor => Mode::Monitor,
        }),
        profile: args.profile.map(|profile| match profile {
            ProfileFlag::Balanced => Profile::Balanced,
            ProfileFlag::Strict => Profile::Strict,
        }),
        ..QuickStart::new(args.upstream.as_str())
    };
    if let Some(name) = name.filter(|name| !name.is_empty()) {
        quick.name = name;
    }
    let text = quick.to_yaml();
    let services = offline::services();
    let source =
        Source { base: Some(directory.to_path_buf()), ..Source::inline("command line", text.as_str()) };
    if let Err(rejected) = compile(&source, &CompileOptions::new(&services)) {
        return refuse(&rejected, args.output);
    }
    if to_stdout {
        say(text.trim_end());
        return ExitCode::SUCCESS;
    }
    let mut open = OpenOptions::new();
    open.write(true);
    if args.force {
        open.create(true).truncate(true)
    } else {
        open.create_new(true)
    };
    let shown = args.file.display();
    match open.open(&args.file).and_then(|mut file| file.write_all(text.as_bytes())) {
        Ok(()) => {
            match args.output {
                Output::Json => say(&json!({ "file": args.file }).to_string()),
                Output::Text => say(&format!("wrote {shown}; next: bartizan run --config {shown}")),
            }
            ExitCode::SUCCESS
        }
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {
            fail(&format!("`{shown}` exists; write `--force` to replace it, or `-o` for another file"))
        }
        Err(error) => {
            fail(&format!("`{shown}` cannot be written: {error}; check the directory and its permissions"))
        }
    }
}

/// The contract's path as the document refers to it, and a name for the API from its title.
fn contract(file: &Path, directory: &Path) -> Result<(String, String), String> {
    let shown = file.display();
    let bytes =
        std::fs::read(file).map_err(|error| format!("`{shown}` cannot be read: {error}; check the path"))?;
    let (contract, _) = Contract::parse(&bytes, &shown.to_string(), Budget::CONTRACT)
        .map_err(|diagnostics| diagnostics.to_string())?;
    let path = match file.strip_prefix(directory) {
        Ok(below) => below.to_path_buf(),
        Err(_) => std::path::absolute(file).unwrap_or_else(|_| file.to_path_buf()),
    };
    let mut name = String::new();
    for character in contract.title.to_lowercase().chars().take(64) {
        match character {
            'a'..='z' | '0'..='9' => name.push(character),
            _ if !name.is_empty() && !name.ends_with('-') => name.push('-'),
            _ => {}
        }
    }
    Ok((path.to_string_lossy().into_owned(), name.trim_end_matches('-').to_owned()))
}
