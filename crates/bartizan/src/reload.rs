//! Reload: compile, then swap. A configuration that does not compile changes nothing and says why.

use std::{
    collections::BTreeSet,
    ffi::OsStr,
    path::{Path, PathBuf},
    sync::{Arc, mpsc},
    time::{Duration, Instant},
};

use bartizan_control::ReloadReport;
use bartizan_gateway::{Gateway, Listeners};
use bartizan_model::{Event, EventKind, Timestamp};
use bartizan_policy::{CompileOptions, Source, compile, render};
use notify::Watcher as _;
use parking_lot::Mutex;

/// Editors write a file in several steps: changes are gathered for this long.
const SETTLE: Duration = Duration::from_millis(150);

/// Changes that never cease are taken in after this long: whoever touches a file all the time must not hold back a policy.
const LONGEST_SETTLE: Duration = Duration::from_millis(500);

/// Whether a file that is watched has this name, or the name fits, where the policy names files by a pattern.
fn is_named(file: &Path, name: &OsStr) -> bool {
    let Some(own) = file.file_name() else { return false };
    let fits = || {
        let (pattern, name) = (own.to_str()?, name.to_str()?);
        let (before, after) = pattern.split_once('*')?;
        let long = name.len() >= before.len() + after.len();
        Some(long && name.starts_with(before) && name.ends_with(after))
    };
    own == name || fits().unwrap_or(false)
}

/// Everything that a reload needs.
pub struct Reloader {
    gateway: Arc<Gateway>,
    listeners: Arc<Listeners>,
    source: Source,
    environment: Option<String>,
    watched: Mutex<BTreeSet<PathBuf>>,
    /// One reload at a time.
    running: tokio::sync::Mutex<()>,
    /// When the newest configuration was refused, and its first problem; `None` while the newest one is in force.
    refused: Mutex<Option<(Timestamp, String)>>,
}

impl Reloader {
    /// `watched` are the files that the first policy was made of.
    pub fn new(
        gateway: Arc<Gateway>,
        listeners: Arc<Listeners>,
        source: Source,
        environment: Option<String>,
        watched: Vec<PathBuf>,
    ) -> Arc<Self> {
        Arc::new(Reloader {
            gateway,
            listeners,
            source,
            environment,
            watched: Mutex::new(watched.into_iter().collect()),
            running: tokio::sync::Mutex::new(()),
            refused: Mutex::new(None),
        })
    }

    /// Why the newest configuration is not in force, for the operator.
    pub fn refused(&self) -> Option<String> {
        self.refused.lock().as_ref().map(|(time, problem)| {
            format!(
                "the newest configuration was refused at {time} ({problem}); the last good one serves on, \
                 `bartizan check` tells every problem"
            )
        })
    }

    /// Compiles the configuration again and puts it in force.
    ///
    /// # Errors
    /// The rendered diagnostics; the old policy serves on.
    pub async fn reload(self: &Arc<Self>, actor: &str) -> Result<ReloadReport, String> {
        let _one = self.running.lock().await;
        let this = Arc::clone(self);
        let compiled = tokio::task::spawn_blocking(move || this.compile()).await;
        let result = match compiled {
            Ok(Ok(loaded)) => self.apply(loaded),
            Ok(Err(text)) => Err(text),
            Err(error) => Err(format!("the compiler failed: {error}")),
        };
        let metrics = self.gateway.telemetry.metrics();
        metrics.reloaded(result.is_ok());
        let first =
            |text: &str| text.lines().next().unwrap_or_default().trim_start_matches("error: ").to_owned();
        *self.refused.lock() =
            result.as_ref().err().map(|text| (self.gateway.services.clock.now(), first(text)));
        match &result {
            Ok(report) => {
                tracing::info!(generation = report.generation, changed = report.changed, "policy in force");
                self.publish("policy.reloaded", actor, format!("generation {}", report.generation));
            }
            Err(text) => {
                tracing::error!("the new configuration is not used, the last good one serves on:\n{text}");
                self.publish("policy.rejected", actor, "the new configuration did not compile".to_owned());
            }
        }
        result
    }

    fn compile(&self) -> Result<bartizan_policy::Loaded, String> {
        let mut options = CompileOptions::new(&self.gateway.services);
        options.environment.clone_from(&self.environment);
        compile(&self.source, &options).map_err(|rejected| {
            self.watched.lock().extend(rejected.watched.iter().cloned());
            render(&rejected.diagnostics, &rejected.sources, false)
        })
    }

    fn apply(&self, loaded: bartizan_policy::Loaded) -> Result<ReloadReport, String> {
        let old = self.gateway.active();
        let changed = old.snapshot.digest != loaded.snapshot.digest;
        let digest = loaded.snapshot.digest.clone();
        let mut warnings: Vec<String> = loaded.snapshot.warnings.0.iter().map(ToString::to_string).collect();
        let moved = old.snapshot.admin.address != loaded.snapshot.admin.address;
        if moved || old.snapshot.state != loaded.snapshot.state {
            warnings.push("`admin.address` and `storage` change only with a restart".to_owned());
        }
        let plan = self.listeners.prepare(&loaded.snapshot.listeners)?;
        let generation = self.gateway.swap(loaded.snapshot)?;
        self.listeners.commit(plan);
        *self.watched.lock() = loaded.watched.into_iter().collect();
        Ok(ReloadReport { generation, digest, changed, warnings })
    }

    fn publish(&self, code: &'static str, actor: &str, detail: String) {
        let now = self.gateway.services.clock.now();
        self.gateway.telemetry.publish(Event {
            id: self.gateway.event_id(now),
            time: now,
            client: None,
            generation: self.gateway.active().snapshot.generation,
            kind: EventKind::Control { code, actor: actor.to_owned(), detail },
        });
    }

    /// Whether the configuration is made of one of these files. Kubernetes swaps whole directories by the link `..data`.
    fn concerns(&self, paths: &[PathBuf]) -> bool {
        let watched = self.watched.lock();
        paths
            .iter()
            .filter_map(|path| path.file_name())
            .any(|name| name == "..data" || watched.iter().any(|file| is_named(file, name)))
    }

    /// Reloads whenever one of the files changes. Directories are watched, because editors and Kubernetes replace files.
    pub fn watch(self: &Arc<Self>, runtime: tokio::runtime::Handle) {
        let this = Arc::clone(self);
        let started = std::thread::Builder::new().name("config-watch".to_owned()).spawn(move || {
            let (changes, changed) = mpsc::sync_channel(1);
            let watching = Arc::downgrade(&this);
            let watcher = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
                // Other files of the same directories may change all the time: a log, a database.
                if let (Ok(event), Some(this)) = (event, watching.upgrade())
                    && !event.kind.is_access()
                    && this.concerns(&event.paths)
                {
                    // A full channel already holds a reason to look.
                    let _ = changes.try_send(());
                }
            });
            let Ok(mut watcher) = watcher else {
                tracing::warn!("files cannot be watched; reload by SIGHUP or the admin API");
                return;
            };
            let mut directories = BTreeSet::new();
            loop {
                let files: Vec<PathBuf> = this.watched.lock().iter().cloned().collect();
                for directory in files.iter().filter_map(|file| file.parent()) {
                    let directory = if directory.as_os_str().is_empty() {
                        PathBuf::from(".")
                    } else {
                        directory.to_owned()
                    };
                    if directories.insert(directory.clone()) {
                        let _ = watcher.watch(&directory, notify::RecursiveMode::NonRecursive);
                    }
                }
                if changed.recv().is_err() {
                    return;
                }
                let until = Instant::now() + LONGEST_SETTLE;
                while Instant::now() < until && changed.recv_timeout(SETTLE).is_ok() {}
                let _ = runtime.block_on(this.reload("file watch"));
            }
        });
        if let Err(error) = started {
            tracing::warn!(%error, "files cannot be watched; reload by SIGHUP or the admin API");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_known_by_name_or_by_pattern() {
        let is = |file: &str, name: &str| is_named(Path::new(file), OsStr::new(name));
        assert!(is("policies/bank.cedar", "bank.cedar"));
        assert!(!is("policies/bank.cedar", "other.cedar"));
        assert!(is("policies/*.cedar", "other.cedar") && is("policies/bank-*.cedar", "bank-1.cedar"));
        assert!(!is("policies/*.cedar", "other.rego") && !is("a*a", "a"));
    }
}
