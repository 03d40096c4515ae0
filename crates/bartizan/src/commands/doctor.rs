//! `bartizan doctor`: proves that what the policy says is enforced is enforced, by probes through the live path.

use std::{net::IpAddr, path::Path, path::PathBuf, process::ExitCode, sync::Arc};

use bartizan_gateway::{
    Gateway, Parts,
    probe::{self, Bounds},
};
use bartizan_model::services::Bans;
use bartizan_policy::{CompileOptions, Source, compile, offline};
use bartizan_telemetry::Telemetry;
use serde_json::{Value, json};

use super::check::refuse;
use crate::admin_client::{AdminError, Output, Place, fail, say};

/// Sends benign and hostile probes through the gateway's own live path, to an echo inside the process, and tells what does
/// not do what the policy says. Nothing reaches an upstream; no limit, ban, counter or log changes.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  bartizan doctor                         the running gateway: break-glass and reloads count\n  bartizan doctor --config bartizan.yaml  a configuration, before it is run\n  bartizan doctor --allow-monitor         what only watches by policy is accepted\n  bartizan doctor --output json           for a pipeline\n\nEvery finding has a code in brackets, which `--allow` accepts; docs/doctor.md lists them.\n\nExit codes: 0 every guard that is to enforce blocks, 1 findings, 2 usage, 78 bad configuration."
)]
pub struct Args {
    /// Probes this configuration in a process of its own, without a listener, instead of the running gateway.
    #[arg(long, short, value_name = "FILE", conflicts_with = "state")]
    pub config: Option<PathBuf>,
    /// The environment to lay over the configuration, instead of its own.
    #[arg(long, value_name = "NAME", requires = "config")]
    pub environment: Option<String>,
    /// The running gateway's state directory.
    #[arg(long, value_name = "DIR")]
    pub state: Option<PathBuf>,
    /// Accepts guards that only watch, are off, or are not mounted on single operations, by policy.
    #[arg(long)]
    pub allow_monitor: bool,
    /// Accepts findings of this code, such as `override_headers`; errors are never accepted.
    #[arg(long, value_name = "CODE")]
    pub allow: Vec<String>,
    /// How to answer.
    #[arg(long, value_enum, default_value_t)]
    pub output: Output,
}

/// What `--allow-monitor` accepts.
const LOWERED: [&str; 3] = ["monitor", "off", "not_mounted"];

/// Runs the command.
pub fn run(args: &Args) -> ExitCode {
    let report = match &args.config {
        Some(config) => match probe_configuration(config, args) {
            Ok(report) => report,
            Err(code) => return code,
        },
        None => {
            let place = Place { state: args.state.clone(), config: None };
            match place.admin().and_then(|admin| admin.ask("POST", "/v1/doctor", None)) {
                Ok(report) => report,
                Err(error @ AdminError::NotRunning(_)) => {
                    return fail(&format!(
                        "{error}; or probe a configuration by `bartizan doctor --config FILE`"
                    ));
                }
                Err(error) => return fail(&error),
            }
        }
    };
    let verdict = Verdict::of(&report, args);
    match args.output {
        Output::Json => say(&format!("{:#}", verdict.json(&report))),
        Output::Text => say(&text(&report, &verdict)),
    }
    ExitCode::from(u8::from(!verdict.is_good()))
}

/// Builds the gateway that the configuration means, without a listener and without upstreams, and probes it.
fn probe_configuration(config: &Path, args: &Args) -> Result<Value, ExitCode> {
    let services = offline::services();
    let options = CompileOptions { environment: args.environment.clone(), ..CompileOptions::new(&services) };
    let loaded =
        compile(&Source::file(config), &options).map_err(|rejected| refuse(&rejected, args.output))?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| fail(&error))?;
    let report = runtime.block_on(async {
        let parts = Parts {
            services,
            telemetry: Arc::new(Telemetry::metrics_only()),
            bans: Arc::new(NoBans),
            trace: false,
        };
        let gateway = Gateway::start(parts, loaded.snapshot.without_upstreams())?;
        let report = probe::run(&gateway, Bounds::DOCTOR).await.map_err(|why| why.to_string())?;
        serde_json::to_value(report).map_err(|error| error.to_string())
    });
    report.map_err(|error: String| fail(&error))
}

struct NoBans;

impl Bans for NoBans {
    fn is_banned(&self, _: IpAddr, _: bartizan_model::Timestamp) -> bool {
        false
    }
}

/// What the findings of a report come to.
struct Verdict<'r> {
    errors: Vec<&'r Value>,
    findings: Vec<&'r Value>,
    accepted: Vec<&'r Value>,
    notes: Vec<&'r Value>,
}

impl<'r> Verdict<'r> {
    fn of(report: &'r Value, args: &Args) -> Self {
        let mut verdict =
            Verdict { errors: Vec::new(), findings: Vec::new(), accepted: Vec::new(), notes: Vec::new() };
        for finding in report.get("findings").and_then(Value::as_array).into_iter().flatten() {
            let code = field(finding, "code");
            let allowed = args.allow.iter().any(|allowed| allowed == code)
                || args.allow_monitor && LOWERED.contains(&code);
            match field(finding, "level") {
                "error" => verdict.errors.push(finding),
                "finding" if allowed => verdict.accepted.push(finding),
                "finding" => verdict.findings.push(finding),
                _ => verdict.notes.push(finding),
            }
        }
        verdict
    }

    fn is_good(&self) -> bool {
        self.errors.is_empty() && self.findings.is_empty()
    }

    /// The report with its verdict.
    fn json(&self, report: &Value) -> Value {
        let mut answer = report.clone();
        if let Some(answer) = answer.as_object_mut() {
            answer.insert("good".to_owned(), self.is_good().into());
            let count = json!({ "errors": self.errors.len(), "findings": self.findings.len(), "accepted": self.accepted.len(), "notes": self.notes.len() });
            answer.insert("counts".to_owned(), count);
        }
        answer
    }
}

fn field<'v>(value: &'v Value, name: &str) -> &'v str {
    value.get(name).and_then(Value::as_str).unwrap_or_default()
}

fn number(value: &Value, name: &str) -> u64 {
    value.get(name).and_then(Value::as_u64).unwrap_or_default()
}

/// One screen: a table for each API, then what is wrong, then what is worth knowing.
fn text(report: &Value, verdict: &Verdict<'_>) -> String {
    let took = report.get("took_ms").and_then(Value::as_f64).unwrap_or_default();
    let mut out = format!(
        "generation {}, {} probes in {took} ms; nothing was forwarded, nothing was counted\n",
        number(report, "generation"),
        number(report, "probes")
    );
    for api in report.get("apis").and_then(Value::as_array).into_iter().flatten() {
        let title = field(api, "name");
        out.push_str(&format!(
            "\n{title:<20} {:<8}  {:<26}  {:<13}  operations\n",
            "mode", "hostile probes blocked", "benign passed"
        ));
        for row in api.get("guards").and_then(Value::as_array).into_iter().flatten() {
            out.push_str(&row_text(row));
        }
    }
    for (label, findings) in [
        ("ERROR", &verdict.errors),
        ("FINDING", &verdict.findings),
        ("accepted", &verdict.accepted),
        ("note", &verdict.notes),
    ] {
        for finding in findings {
            out.push_str(&finding_text(label, finding));
        }
    }
    let dropped = number(report, "findings_dropped");
    if dropped > 0 {
        out.push_str(&format!("\nand {dropped} more\n"));
    }
    out.push('\n');
    out.push_str(&conclusion(verdict));
    out
}

fn row_text(row: &Value) -> String {
    let (hostile, blocked, watched) =
        (number(row, "hostile"), number(row, "blocked"), number(row, "watched"));
    let hostile = match (hostile, watched) {
        (0, _) => "-".to_owned(),
        (hostile, 0) => format!("{blocked} of {hostile}"),
        (hostile, watched) => format!("{blocked} of {hostile}, {watched} only seen"),
    };
    let benign = match number(row, "benign") {
        0 => "-".to_owned(),
        benign => format!("{} of {benign}", number(row, "passed")),
    };
    let operations = match number(row, "operations") {
        0 => "all".to_owned(),
        count => count.to_string(),
    };
    let (guard, mode) = (field(row, "guard"), field(row, "mode"));
    format!("  {guard:<18} {mode:<8}  {hostile:<26}  {benign:<13}  {operations}\n")
}

fn finding_text(label: &str, finding: &Value) -> String {
    let place = finding.get("place").filter(|place| !place.is_null()).map(|place| {
        format!("{}:{}:{}", field(place, "file"), number(place, "line"), number(place, "column"))
    });
    let api = match field(finding, "api") {
        "" => String::new(),
        api => format!("{api}: "),
    };
    let mut out = format!("\n{label:<8} {api}{} [{}]\n", field(finding, "what"), field(finding, "code"));
    let mut line = |name: &str, text: &str| {
        if !text.is_empty() {
            out.push_str(&format!("  {name:<10} {text}\n"));
        }
    };
    if label == "accepted" {
        return out;
    }
    let operations: Vec<&str> = finding
        .get("operations")
        .and_then(Value::as_array)
        .map(|all| all.iter().filter_map(Value::as_str).collect())
        .unwrap_or_default();
    let more = number(finding, "operations_in_all").saturating_sub(operations.len() as u64);
    let operations = match more {
        0 => operations.join(", "),
        more => format!("{} and {more} more", operations.join(", ")),
    };
    line("on", &operations);
    line("sent", field(finding, "sent"));
    line("came back", field(finding, "came_back"));
    line("remedy", field(finding, "remedy"));
    line("policy", &place.unwrap_or_default());
    out
}

fn conclusion(verdict: &Verdict<'_>) -> String {
    let plural = |count: usize, one: &str| format!("{count} {one}{}", if count == 1 { "" } else { "s" });
    match (verdict.errors.len(), verdict.findings.len(), verdict.accepted.len()) {
        (0, 0, 0) => "every guard that is to enforce blocks".to_owned(),
        (0, 0, accepted) => {
            format!("every guard that is to enforce blocks; {} accepted", plural(accepted, "finding"))
        }
        (0, findings, _) => {
            format!("what enforces blocks, and the policy leaves open: {}", plural(findings, "finding"))
        }
        (errors, 0, _) => format!("not everything does what the policy says: {}", plural(errors, "error")),
        (errors, findings, _) => format!(
            "not everything does what the policy says: {}, {}",
            plural(errors, "error"),
            plural(findings, "finding")
        ),
    }
}
