//! `bartizan init`: a first configuration from a few flags, commented, ready to be changed.

use std::{
    fs::OpenOptions,
    io::{ErrorKind, Write as _},
    net::SocketAddr,
    path::{Path, PathBuf},
    process::ExitCode,
};

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
    /// The API's OpenAPI document: its paths and methods are what exists, anything else is refused.
    #[arg(value_name = "SPEC")]
    pub spec: Option<PathBuf>,
    /// The same by name.
    #[arg(long, value_name = "FILE", conflicts_with = "spec")]
    pub contract: Option<PathBuf>,
    /// The API to protect [default: a server of the document on this machine, or http://127.0.0.1:3000].
    #[arg(long, value_name = "URL")]
    pub upstream: Option<String>,
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
    let file = args.spec.as_deref().or(args.contract.as_deref());
    let contract = match file.map(|file| contract(file, directory)).transpose() {
        Ok(contract) => contract,
        Err(text) => {
            fail(&text);
            return ExitCode::from(EXIT_CONFIG);
        }
    };
    let found = contract.unwrap_or_default();
    let upstream = args.upstream.clone().or(found.upstream);
    let mut quick = QuickStart {
        contract: found.path,
        hosts: found.hosts,
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
        ..QuickStart::new(upstream.as_deref().unwrap_or("http://127.0.0.1:3000"))
    };
    if !found.name.is_empty() {
        quick.name = found.name;
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

/// What a contract says for a first configuration.
#[derive(Debug, Default)]
struct Found {
    /// Its path as the configuration refers to it.
    path: Option<String>,
    /// A name for the API, from its title; may be empty.
    name: String,
    /// The hosts of its servers.
    hosts: Vec<String>,
    /// A server on this machine: what the gateway stands before.
    upstream: Option<String>,
}

fn contract(file: &Path, directory: &Path) -> Result<Found, String> {
    let (_, contract, _) = super::contract::open(file).map_err(|diagnostics| diagnostics.to_string())?;
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
    let local = |host: &str| matches!(host, "localhost" | "127.0.0.1" | "[::1]");
    let origin = |url: &str| -> Option<String> {
        let (scheme, rest) = url.split_once("://")?;
        let authority = rest.split(['/', '?', '#']).next()?;
        let host = authority.rsplit_once(':').map_or(authority, |(host, _)| host);
        local(host).then(|| format!("{scheme}://{authority}"))
    };
    Ok(Found {
        path: Some(path.to_string_lossy().into_owned()),
        name: name.trim_end_matches('-').to_owned(),
        upstream: contract.servers.iter().find_map(|server| origin(&server.url)),
        hosts: contract.hosts.into_iter().filter(|host| !local(host)).collect(),
    })
}
