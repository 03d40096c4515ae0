//! `bartizan explain REQUEST.http`: every step's decision about one request, and what would let it pass.

use std::{
    io::Read as _,
    net::{IpAddr, SocketAddr},
    path::PathBuf,
    process::ExitCode,
    sync::Arc,
};

use bartizan_gateway::{Gateway, Parts};
use bartizan_model::{Scheme, services::Bans};
use bartizan_policy::{CompileOptions, Source, compile, render};
use bartizan_telemetry::Telemetry;
use serde_json::Value;

use crate::{
    EXIT_CONFIG,
    admin_client::{Output, fail, say},
};

/// Tells what a configuration decides about one request, step by step. Nothing is sent anywhere.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "REQUEST.http is the request as text:\n\n  POST /login?next=%2F HTTP/1.1\n  Host: api.example\n  Content-Type: application/json\n\n  {\"user\": \"..\"}"
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
    /// How to answer.
    #[arg(long, value_enum, default_value_t)]
    pub output: Output,
}

/// Runs the command: 0 when the request would be forwarded, 1 when not.
pub fn run(args: &Args) -> ExitCode {
    let mut raw = Vec::new();
    let read = if args.request.as_os_str() == "-" {
        std::io::stdin().lock().read_to_end(&mut raw).map(drop)
    } else {
        std::fs::read(&args.request).map(|bytes| raw = bytes)
    };
    if let Err(error) = read {
        return fail(&format!("cannot read `{}`: {error}", args.request.display()));
    }
    let services = bartizan_policy::offline::services();
    let mut options = CompileOptions::new(&services);
    options.environment.clone_from(&args.environment);
    let loaded = match compile(&Source::file(&args.config), &options) {
        Ok(loaded) => loaded,
        Err(rejected) => {
            eprintln!("{}", render(&rejected.diagnostics, &rejected.sources, false));
            return ExitCode::from(EXIT_CONFIG);
        }
    };
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return fail(&error),
    };
    let result = runtime.block_on(async {
        let parts = Parts {
            services,
            telemetry: Arc::new(Telemetry::metrics_only()),
            bans: Arc::new(NoBans),
            trace: true,
        };
        let gateway = Gateway::start(parts, loaded.snapshot)?;
        let scheme = if args.tls { Scheme::Https } else { Scheme::Http };
        bartizan_gateway::explain(&gateway, &raw, SocketAddr::new(args.client, 0), scheme).await
    });
    match result {
        Err(error) => fail(&error),
        Ok(told) => {
            match args.output {
                Output::Json => say(&told.to_string()),
                Output::Text => say(&text(&told)),
            }
            ExitCode::from(u8::from(told.get("verdict").and_then(Value::as_str) != Some("allow")))
        }
    }
}

struct NoBans;

impl Bans for NoBans {
    fn is_banned(&self, _: IpAddr, _: bartizan_model::Timestamp) -> bool {
        false
    }
}

/// One screen.
fn text(told: &Value) -> String {
    let get = |name: &str| match told.get(name) {
        Some(Value::String(text)) => text.clone(),
        Some(Value::Null) | None => String::new(),
        Some(other) => other.to_string(),
    };
    let mut out = format!("{} {}", get("method"), get("path")).trim().to_owned();
    if !out.is_empty() {
        out.push('\n');
    }
    if !get("api").is_empty() {
        out.push_str(&format!(
            "api {}, operation {}, client {}\n",
            get("api"),
            get("operation"),
            get("client")
        ));
    }
    out.push('\n');
    for step in told.get("steps").and_then(Value::as_array).into_iter().flatten() {
        let field = |name: &str| step.get(name).and_then(Value::as_str).unwrap_or_default();
        let decision = match field("decision") {
            "skipped" => "not mounted".to_owned(),
            "continued" => "nothing against it".to_owned(),
            "answered" => "answers itself".to_owned(),
            "watched" => format!("would refuse: {} (monitor)", field("code")),
            _ => format!("REFUSES: {}", field("code")),
        };
        out.push_str(&format!("  {:<18} {:<8} {decision}\n", field("guard"), field("mode")));
    }
    for finding in told.get("findings").and_then(Value::as_array).into_iter().flatten() {
        let field = |name: &str| finding.get(name).and_then(Value::as_str).unwrap_or_default();
        out.push_str(&format!("\n{} ({}): {}\n", field("code"), field("severity"), field("detail")));
        if !field("remedy").is_empty() {
            out.push_str(&format!("  to let it pass: {}\n", field("remedy")));
        }
    }
    out.push_str(&match get("verdict").as_str() {
        "allow" if get("status").is_empty() => "\nverdict: allow, forwarded to the upstream".to_owned(),
        verdict => format!("\nverdict: {verdict}, status {}, by {}", get("status"), get("by")),
    });
    out
}
