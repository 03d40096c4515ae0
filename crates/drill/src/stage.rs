//! Where a drill takes place: its folder, its seed and clock, its bounds, and the way out when it is cancelled.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};
use bartizan_model::Clock;
use bartizan_testkit::{Gateway, Process};
use tempfile::TempDir;

use crate::Bounds;

/// A pause is cut into pieces of this, so that a cancelled drill ends soon.
const PIECE: Duration = Duration::from_millis(50);

/// How drills are run.
#[derive(Clone)]
pub struct Options {
    /// The gateway's program: the binary that runs the drill.
    pub binary: PathBuf,
    /// The same seed makes the same people, secrets and order.
    pub seed: u64,
    /// Fewer repetitions of the same cases.
    pub short: bool,
    /// The times that people and scenarios mean are divided by this; what is measured never is.
    pub scale: f64,
    /// Where logs and state are copied to, one folder per drill and run.
    pub keep: Option<PathBuf>,
    /// The time that people know, for their one-time codes: the system's.
    pub clock: Arc<dyn Clock>,
}

/// Ends drills from outside.
#[derive(Clone, Debug, Default)]
pub struct Cancel(Arc<AtomicBool>);

impl Cancel {
    /// Asks running drills to end: they do at their next step, and take down what they started.
    pub fn cancel(&self) {
        self.0.store(true, Ordering::SeqCst);
    }

    /// Whether somebody asked.
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        self.0.load(Ordering::SeqCst)
    }
}

/// One run's surroundings. Dropping it removes its folder.
pub struct Stage {
    /// The drill, `T-03`.
    pub id: &'static str,
    /// How it is run.
    pub options: Options,
    bounds: Bounds,
    cancel: Cancel,
    folder: TempDir,
    begun: Instant,
    spent: AtomicU64,
}

impl Stage {
    /// A stage with a fresh folder; its time begins now.
    ///
    /// # Errors
    /// The folder could not be made.
    pub fn new(id: &'static str, options: &Options, bounds: Bounds, cancel: &Cancel) -> Result<Self> {
        let folder = tempfile::Builder::new().prefix("bartizan-drill-").tempdir();
        Ok(Stage {
            id,
            options: options.clone(),
            bounds,
            cancel: cancel.clone(),
            folder: folder.context("cannot make a temporary folder")?,
            begun: Instant::now(),
            spent: AtomicU64::new(0),
        })
    }

    /// A folder of the drill's own.
    ///
    /// # Errors
    /// It could not be made.
    pub fn folder(&self, name: &str) -> Result<PathBuf> {
        let folder = self.folder.path().join(name);
        fs::create_dir_all(&folder)?;
        Ok(folder)
    }

    /// The gateway's program as text.
    #[must_use]
    pub fn binary(&self) -> String {
        self.options.binary.to_string_lossy().into_owned()
    }

    /// Accounts for one request or connection.
    ///
    /// # Errors
    /// The drill is cancelled, or has used up its requests or its time.
    pub fn spend(&self) -> Result<()> {
        self.goes_on()?;
        if self.spent.fetch_add(1, Ordering::Relaxed) >= self.bounds.requests {
            bail!("the bound of {} requests is used up", self.bounds.requests);
        }
        Ok(())
    }

    /// Whether the drill may go on.
    ///
    /// # Errors
    /// It is cancelled, or has used up its time.
    pub fn goes_on(&self) -> Result<()> {
        if self.cancel.is_cancelled() {
            bail!("it was interrupted");
        }
        if self.begun.elapsed() > Duration::from_secs(self.bounds.seconds) {
            bail!("the bound of {} s is used up", self.bounds.seconds);
        }
        Ok(())
    }

    /// Waits as long as the scenario means, divided by the scale.
    ///
    /// # Errors
    /// As [`Stage::goes_on`].
    pub fn pause(&self, meant: Duration) -> Result<()> {
        let end = Instant::now() + meant.div_f64(self.options.scale.max(1.0));
        loop {
            self.goes_on()?;
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(());
            }
            thread::sleep(left.min(PIECE));
        }
    }

    /// Waits until something is so, in true time; whether it was, in time.
    ///
    /// # Errors
    /// As [`Stage::goes_on`].
    pub fn wait_until(&self, within: Duration, mut so: impl FnMut() -> bool) -> Result<bool> {
        let end = Instant::now() + within;
        while !so() {
            self.goes_on()?;
            if Instant::now() > end {
                return Ok(false);
            }
            thread::sleep(Duration::from_millis(5));
        }
        Ok(true)
    }

    /// Requests and connections that are left of the bound.
    #[must_use]
    pub fn left(&self) -> u64 {
        self.bounds.requests.saturating_sub(self.spent())
    }

    /// Requests and connections so far.
    #[must_use]
    pub fn spent(&self) -> u64 {
        self.spent.load(Ordering::Relaxed)
    }

    /// The time so far.
    #[must_use]
    pub fn elapsed(&self) -> Duration {
        self.begun.elapsed()
    }

    /// Keeps a gateway's configuration, state and log, where that is asked for.
    ///
    /// # Errors
    /// A file could not be written.
    pub fn keep_gateway(&self, name: &str, gateway: &Gateway) -> Result<()> {
        let Some(folder) = self.kept(name)? else { return Ok(()) };
        copy(gateway.dir.path(), &folder)?;
        Ok(fs::write(folder.join("output.log"), gateway.process.log())?)
    }

    /// Keeps what a process wrote, where that is asked for.
    ///
    /// # Errors
    /// The file could not be written.
    pub fn keep_log(&self, name: &str, process: &Process) -> Result<()> {
        let Some(folder) = self.kept(name)? else { return Ok(()) };
        Ok(fs::write(folder.join("output.log"), process.log())?)
    }

    /// Keeps a document, where that is asked for.
    ///
    /// # Errors
    /// The file could not be written.
    pub fn keep_document(&self, name: &str, file: &str, text: &str) -> Result<()> {
        let Some(folder) = self.kept(name)? else { return Ok(()) };
        Ok(fs::write(folder.join(file), text)?)
    }

    fn kept(&self, name: &str) -> Result<Option<PathBuf>> {
        let Some(keep) = &self.options.keep else { return Ok(None) };
        let folder = keep.join(self.id).join(name);
        fs::create_dir_all(&folder).with_context(|| format!("cannot make `{}`", folder.display()))?;
        Ok(Some(folder))
    }
}

/// Copies a folder with everything in it.
fn copy(from: &Path, to: &Path) -> Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy(&entry.path(), &target)?;
        } else if entry.file_type()?.is_file() {
            // Files of a running gateway come and go.
            let _ = fs::copy(entry.path(), target);
        }
    }
    Ok(())
}

/// Options for tests of what needs none of them.
#[cfg(test)]
pub fn options() -> Options {
    struct Still;
    impl Clock for Still {
        fn now(&self) -> bartizan_model::Timestamp {
            bartizan_model::Timestamp(0)
        }
        fn monotonic(&self) -> Duration {
            Duration::ZERO
        }
    }
    let clock = Arc::new(Still);
    Options { binary: "bartizan".into(), seed: 1, short: true, scale: 1.0, keep: None, clock }
}
