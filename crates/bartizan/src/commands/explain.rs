//! `bartizan explain REQUEST.http`: every step's decision about one request, and what would let it pass.

use std::{
    io::Read as _,
    net::{IpAddr, SocketAddr},
    path::PathBuf,
    process::ExitCode,
    sync::Arc,
};

use bartizan_gateway::{Gateway, Parts};
use bartizan_model::{Principal, Scheme, Services, services::Bans};
use bartizan_policy::{CompileOptions, Rejected, Source, compile, render};
use bartizan_telemetry::{Telemetry, explain_value};
use serde_json::Value;

use crate::{
    EXIT_CONFIG,
    admin_client::{AdminError, Output, Place, fail, say},
    terminal::look,
};

/// Tells what a configuration decides about one request, step by step. Nothing is sent anywhere.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "REQUEST.http is the request as text:\n\n  POST /login?next=%2F HTTP/1.1\n  Host: api.example\n  Content-Type: application/json\n\n  {\"user\": \"..\"}\n\nExamples:\n  bartizan explain request.http --client 203.0.113.9\n  bartizan explain --running request.http      with the keys and bans of the gateway that runs\n  bartizan explain - --output json < request.http\n\ndocs/explain.md has the members of the JSON. Exit codes: 0 it would be forwarded or answered, 1 not so, 2 usage, 78 bad configuration."
)]
pub struct Args {
    /// A file with the request as text; `-` reads standard input.
    #[arg(value_name = "REQUEST.http")]
    pub request: PathBuf,
    /// The configuration.
    #[arg(long, short, value_name = "FILE", default_value = "bartizan.yaml")]
    pub config: PathBuf,
    /// The environment to lay over it, instead of its own.
    #[arg(long, value_name = "NAME")]
    pub environment: Option<String>,
    /// The address that the request comes from.
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1")]
    pub client: IpAddr,
    /// As if the request came over TLS.
    #[arg(long)]
    pub tls: bool,
    /// Ask the gateway that runs with this configuration, which has its issuers' keys, its API keys and its bans.
    #[arg(long, conflicts_with_all = ["environment", "client", "tls"])]
    pub running: bool,
    /// The state directory of that gateway, where the configuration does not tell.
    #[arg(long, value_name = "DIR", requires = "running")]
    pub state: Option<PathBuf>,
    /// How to answer.
    #[arg(long, value_enum, default_value_t)]
    pub output: Output,
}

/// Bytes of a request at most: more than any policy holds of a body.
const MAX_REQUEST: u64 = 16 * 1024 * 1024;

/// Runs the command: 0 when the request would be forwarded or answered, 1 when not.
pub fn run(args: &Args) -> ExitCode {
    let raw = match read(args) {
        Ok(raw) => raw,
        Err(error) => return fail(&error),
    };
    if args.running {
        return match running(args, &raw) {
            Ok(told) => tell(args, &told),
            Err(AdminError::Refused(400, detail)) => fail(&format!("`{}`, {detail}", args.request.display())),
            Err(error) => fail(&error),
        };
    }
    match asked(args, &raw, None) {
        Ok(told) => tell(args, &told),
        Err(Trouble::Configuration(rejected)) => {
            eprintln!("{}", render(&rejected.diagnostics, &rejected.sources, false));
            ExitCode::from(EXIT_CONFIG)
        }
        Err(Trouble::Other(error)) => fail(&error),
    }
}

/// Why a question has no answer.
pub enum Trouble {
    /// The configuration cannot be used.
    Configuration(Box<Rejected>),
    /// Anything else, as a sentence.
    Other(String),
}

/// What a configuration decides about a request, as if it came from `caller`, where there is one.
pub fn asked(args: &Args, raw: &[u8], caller: Option<Arc<Principal>>) -> Result<Value, Trouble> {
    let services = bartizan_policy::offline::services();
    let mut options = CompileOptions::new(&services);
    options.environment.clone_from(&args.environment);
    let loaded = compile(&Source::file(&args.config), &options).map_err(Trouble::Configuration)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Trouble::Other(error.to_string()))?;
    let result = runtime.block_on(async {
        let gateway = Gateway::start(parts(services), loaded.snapshot)?;
        let scheme = if args.tls { Scheme::Https } else { Scheme::Http };
        let peer = SocketAddr::new(args.client, 0);
        bartizan_gateway::explain_as(&gateway, raw, peer, scheme, caller).await
    });
    result.map_err(|error| Trouble::Other(format!("`{}`, {error}", args.request.display())))
}

/// What a gateway needs that only answers questions.
pub fn parts(services: Services) -> Parts {
    Parts { services, telemetry: Arc::new(Telemetry::metrics_only()), bans: Arc::new(NoBans), trace: true }
}

fn tell(args: &Args, told: &Value) -> ExitCode {
    match args.output {
        Output::Json => say(&told.to_string()),
        Output::Text => say(explain_value(told, &look()).trim_end()),
    }
    ExitCode::from(u8::from(told.get("verdict").and_then(Value::as_str) != Some("allow")))
}

/// The answer of the gateway that runs.
fn running(args: &Args, raw: &[u8]) -> Result<Value, AdminError> {
    let config = args.state.is_none().then(|| args.config.clone());
    let place = Place { state: args.state.clone(), config };
    place.admin()?.send("POST", "/v1/explain", "message/http", raw)
}

/// The request's text.
pub fn read(args: &Args) -> Result<Vec<u8>, String> {
    let mut raw = Vec::new();
    let opened: std::io::Result<Box<dyn std::io::Read>> = if args.request.as_os_str() == "-" {
        Ok(Box::new(std::io::stdin()))
    } else {
        std::fs::File::open(&args.request).map(|file| Box::new(file) as Box<dyn std::io::Read>)
    };
    let read = opened.and_then(|file| file.take(MAX_REQUEST + 1).read_to_end(&mut raw));
    match read {
        Err(error) => Err(format!(
            "cannot read `{}`: {error}; name a file with the request as text, or `-` for standard input",
            args.request.display()
        )),
        Ok(_) if raw.len() as u64 > MAX_REQUEST => {
            Err(format!("`{}` is larger than 16 MiB; shorten its body", args.request.display()))
        }
        Ok(_) => Ok(raw),
    }
}

struct NoBans;

impl Bans for NoBans {
    fn is_banned(&self, _: IpAddr, _: bartizan_model::Timestamp) -> bool {
        false
    }
}
