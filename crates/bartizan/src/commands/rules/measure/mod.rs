//! `bartizan rules measure`: what rules make of known attacks and of known harmless traffic, level by level, in process.
//!
//! Both figures belong together: rules that block everything find every attack.

mod corpus;
mod table;

use std::{
    collections::BTreeMap,
    num::NonZero,
    path::{Path, PathBuf},
    process::ExitCode,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use bartizan_ftw::{inspect, is_refused};
use bartizan_policy::Source;
use bartizan_waf::engine::{Program, Worker};
use parking_lot::Mutex;

use self::{
    corpus::{Family, Kind},
    table::{Counted, Level, Report},
};
use super::mounted::{Mounted, Which};
use crate::admin_client::{Output, fail, say};

/// Measures rules with corpora.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// A file with attacks: JSON (a list of texts), CSV (columns `payload` and `attack_type`), or one on each line; `.gz` too.
    #[arg(long, value_name = "FILE", num_args = 1..)]
    attacks: Vec<PathBuf>,
    /// A file with harmless traffic, of the same forms.
    #[arg(long, value_name = "FILE", num_args = 1..)]
    harmless: Vec<PathBuf>,
    /// A CSV file with both: what its column `attack_type` calls `norm`, `normal`, `benign` or `legitimate` is harmless.
    #[arg(long, value_name = "FILE", num_args = 1..)]
    labelled: Vec<PathBuf>,
    /// The folder of the OWASP Core Rule Set, which is measured at each of the levels.
    #[arg(long, value_name = "DIR", conflicts_with = "config")]
    crs: Option<PathBuf>,
    /// Paranoia levels.
    #[arg(
        long,
        value_delimiter = ',',
        default_value = "1,2,3,4",
        conflicts_with = "config",
        value_parser = clap::value_parser!(u8).range(1..=4)
    )]
    levels: Vec<u8>,
    /// A policy, whose rules and settings are measured as they are.
    #[arg(long, short, value_name = "FILE")]
    config: Option<PathBuf>,
    /// How texts are sent. A text of a JSON file is a whole query string in `query`.
    #[arg(long, value_enum, default_value_t)]
    sent: Sent,
    /// Texts of each family that are sent, spread evenly over it; all without it.
    #[arg(long, value_name = "N")]
    at_most: Option<NonZero<usize>>,
    /// How many texts that were judged wrongly are shown, of each family.
    #[arg(long, value_name = "N", default_value_t = 0)]
    show: usize,
    /// How to answer.
    #[arg(long, value_enum, default_value_t)]
    output: Output,
}

/// Where a text stands in its request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Sent {
    /// In the query.
    #[default]
    Query,
    /// In a form.
    Form,
    /// In a value of a JSON document.
    Json,
}

/// Runs the command: 0 when it measured.
pub fn run(args: &Args) -> ExitCode {
    let families = match corpora(args) {
        Ok(families) => families,
        Err(text) => return fail(&text),
    };
    let programs = match programs(args) {
        Ok(programs) => programs,
        Err(code) => return code,
    };
    let levels = programs.into_iter().map(|(name, program)| Level {
        name,
        families: families.iter().map(|family| judge(family, args, &program)).collect(),
    });
    let report = Report { levels: levels.collect() };
    match args.output {
        Output::Json => say(&report.json().to_string()),
        Output::Text => say(&report.text()),
    }
    ExitCode::SUCCESS
}

fn corpora(args: &Args) -> Result<Vec<Family>, String> {
    let mut families: BTreeMap<(Kind, String), Family> = BTreeMap::new();
    let files = args.attacks.iter().map(|file| (file, Some(Kind::Attack)));
    let files = files.chain(args.harmless.iter().map(|file| (file, Some(Kind::Harmless))));
    for (file, kind) in files.chain(args.labelled.iter().map(|file| (file, None))) {
        for family in corpus::read(file, kind)? {
            let known = families.entry((family.kind, family.name.clone()));
            let known = known.or_insert_with(|| Family { texts: Vec::new(), ..family.clone() });
            known.texts.extend(family.texts);
        }
    }
    if families.is_empty() {
        return Err(
            "nothing to measure with; name files by `--attacks`, `--harmless` or `--labelled`".to_owned()
        );
    }
    let mut families: Vec<Family> = families.into_values().collect();
    if let Some(most) = args.at_most {
        for family in &mut families {
            let step = family.texts.len().div_ceil(most.get()).max(1);
            family.texts = std::mem::take(&mut family.texts).into_iter().step_by(step).collect();
        }
    }
    Ok(families)
}

/// What is measured: the rules of a folder at each level, or those of a policy.
fn programs(args: &Args) -> Result<Vec<(String, Arc<Program>)>, ExitCode> {
    let of = |mounted: &Mounted| match mounted.sets().first() {
        Some((.., waf)) => Ok(Arc::clone(waf.program())),
        None => Err(fail(&"the policy mounts no rules; write `waf: { rules: [crs] }` below `guards`")),
    };
    let folder = match (&args.config, &args.crs) {
        (Some(config), _) => {
            let which = Which { config: Some(config.clone()), environment: None, crs: None };
            let mounted = Mounted::load(&which, args.output)?;
            return Ok(vec![("as the policy says".to_owned(), of(&mounted)?)]);
        }
        (None, Some(folder)) => folder.clone(),
        (None, None) => match crate::commands::run::installed_crs() {
            Some(folder) => PathBuf::from(folder),
            None => {
                return Err(fail(
                    &"no rules to measure; name their folder by `--crs`, or a policy by `--config`",
                ));
            }
        },
    };
    args.levels
        .iter()
        .map(|level| {
            let mounted = Mounted::of(&policy(&folder, *level), args.output)?;
            Ok((format!("level {level}"), of(&mounted)?))
        })
        .collect()
}

/// A policy with nothing but the rules.
fn policy(folder: &Path, level: u8) -> Source {
    let folder = folder.display().to_string().replace('\\', "\\\\").replace('"', "\\\"");
    Source::inline(
        "command line",
        format!(
            "version: 1\nlisteners: [{{ address: 127.0.0.1:8080 }}]\napis:\n  - name: measured\n    upstream: http://127.0.0.1:3000\n    \
             guards:\n      waf: {{ rules: [crs], crs: \"file:{folder}\", paranoia: {level} }}\n"
        ),
    )
}

/// Sends every text of a family through the rules.
fn judge(family: &Family, args: &Args, program: &Arc<Program>) -> Counted {
    let next = AtomicUsize::new(0);
    let counted = Mutex::new(Counted::of(family));
    let lanes = std::thread::available_parallelism().map_or(1, NonZero::get);
    std::thread::scope(|scope| {
        for _ in 0..lanes {
            scope.spawn(|| {
                let mut worker = Worker::new();
                loop {
                    let index = next.fetch_add(1, Ordering::Relaxed);
                    let Some(text) = family.texts.get(index) else { break };
                    let stopped = is_stopped(&request(text, family.bare, args.sent), program, &mut worker);
                    let mut counted = counted.lock();
                    counted.stopped += usize::from(stopped);
                    let wrong = stopped != (family.kind == Kind::Attack);
                    if wrong && counted.shown.len() < args.show {
                        counted.shown.push(text.clone());
                    }
                }
            });
        }
    });
    counted.into_inner()
}

/// Whether a request is refused: by the strict reading of HTTP, by rules, or because its body cannot be read.
fn is_stopped(request: &[u8], program: &Arc<Program>, worker: &mut Worker) -> bool {
    is_refused(request)
        || inspect(request, program, worker)
            .is_none_or(|inspection| inspection.interruption().is_some() || inspection.body_error().is_some())
}

/// A request of an ordinary program with this text in it.
fn request(text: &str, bare: bool, sent: Sent) -> Vec<u8> {
    let (line, kind, body) = match sent {
        Sent::Query if bare => (format!("GET /search?q={}", encoded(text)), None, String::new()),
        Sent::Query => (format!("GET /search?{}", corpus::as_query(text)), None, String::new()),
        Sent::Form => {
            let body = if bare { format!("q={}", encoded(text)) } else { text.to_owned() };
            ("POST /search".to_owned(), Some("application/x-www-form-urlencoded"), body)
        }
        Sent::Json => {
            let body = serde_json::json!({ "q": text }).to_string();
            ("POST /search".to_owned(), Some("application/json"), body)
        }
    };
    let more = kind.map_or_else(String::new, |kind| {
        format!("Content-Type: {kind}\r\nContent-Length: {}\r\n", body.len())
    });
    format!(
        "{line} HTTP/1.1\r\nHost: api.example\r\nUser-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0\r\n\
         Accept: */*\r\nAccept-Language: en\r\n{more}\r\n{body}"
    )
    .into_bytes()
}

/// Everything but letters, digits and `-._~` escaped (RFC 3986 section 2.3).
fn encoded(text: &str) -> String {
    use std::fmt::Write as _;

    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            let _ = write!(out, "%{byte:02X}");
        }
    }
    out
}
