//! The audit log: one JSON line per event, in a file only its owner may read, rotated by size.

use std::{
    fs::{self, DirBuilder, File, OpenOptions},
    io::{self, Write},
    path::{Path, PathBuf},
    sync::Arc,
};

use bartizan_model::Event;

use crate::{Metrics, buffer::Consumer, queue::json};

/// The audit log's settings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditConfig {
    /// The file that grows; rotated ones are beside it as `<file>.1` (newest) to `<file>.<keep>`.
    pub file: PathBuf,
    /// Rotated before it would grow beyond this many bytes; 0 never rotates.
    pub rotate_at: u64,
    /// Rotated files kept; 0 starts the file over.
    pub keep: u32,
}

/// Bytes gathered before a write.
const WRITE_AT: usize = 256 * 1024;

/// The open log. Where the disk fails, events are lost and counted, the operator is told once, and the gateway serves on.
pub(crate) struct AuditLog {
    config: AuditConfig,
    file: Option<File>,
    size: u64,
    metrics: Arc<Metrics>,
    failing: bool,
}

impl AuditLog {
    /// Opens or creates the file, to append. A half-written last line, of a machine that lost power, is ended first.
    pub(crate) fn open(config: AuditConfig, metrics: Arc<Metrics>) -> io::Result<Self> {
        let (file, size) = open(&config.file)?;
        Ok(AuditLog { config, file: Some(file), size, metrics, failing: false })
    }

    fn write(&mut self, lines: &str) -> io::Result<()> {
        if self.file.is_none() {
            let (file, size) = open(&self.config.file)?;
            self.file = Some(file);
            self.size = size;
        }
        let length = lines.len() as u64;
        if self.config.rotate_at > 0 && self.size > 0 && self.size + length > self.config.rotate_at {
            self.rotate()?;
        }
        let Some(file) = &mut self.file else {
            return Ok(());
        };
        match file.write_all(lines.as_bytes()) {
            Ok(()) => {
                self.size += length;
                Ok(())
            }
            Err(error) => {
                // Some of it may be on disk: opening the file again finds its true size and ends a torn line.
                self.file = None;
                Err(error)
            }
        }
    }

    fn rotate(&mut self) -> io::Result<()> {
        self.file = None;
        let base = &self.config.file;
        if self.config.keep == 0 {
            fs::remove_file(base)?;
        } else {
            for number in (1..self.config.keep).rev() {
                match fs::rename(numbered(base, number), numbered(base, number + 1)) {
                    Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                    _ => {}
                }
            }
            fs::rename(base, numbered(base, 1))?;
        }
        let (file, size) = open(base)?;
        self.file = Some(file);
        self.size = size;
        Ok(())
    }

    fn write_lines(&mut self, lines: &mut String, events: &mut u64) {
        if lines.is_empty() {
            return;
        }
        match self.write(lines) {
            Ok(()) => {
                if std::mem::replace(&mut self.failing, false) {
                    tracing::warn!("the audit log `{}` is being written again", self.config.file.display());
                }
            }
            Err(error) => {
                self.metrics.audit_write_failed();
                self.metrics.events_dropped(Self::NAME, *events);
                if !std::mem::replace(&mut self.failing, true) {
                    tracing::error!(
                        "the audit log `{}` cannot be written, events are being lost: {error}",
                        self.config.file.display()
                    );
                }
            }
        }
        lines.clear();
        *events = 0;
    }
}

impl Consumer for AuditLog {
    const NAME: &'static str = "audit";

    fn consume(&mut self, batch: &[Arc<Event>]) {
        // A write never spans a rotation, so it is kept smaller than a file is.
        let limit = match self.config.rotate_at {
            0 => WRITE_AT,
            rotate_at => WRITE_AT.min(usize::try_from(rotate_at).unwrap_or(WRITE_AT)),
        };
        let mut lines = String::new();
        let mut events = 0;
        for event in batch {
            let line = json(event);
            if lines.len() + line.len() + 1 > limit {
                self.write_lines(&mut lines, &mut events);
            }
            lines.push_str(&line);
            lines.push('\n');
            events += 1;
        }
        self.write_lines(&mut lines, &mut events);
    }
}

fn open(path: &Path) -> io::Result<(File, u64)> {
    if let Some(directory) = path.parent().filter(|directory| !directory.as_os_str().is_empty()) {
        let mut builder = DirBuilder::new();
        builder.recursive(true);
        #[cfg(unix)]
        {
            use std::os::unix::fs::DirBuilderExt as _;
            builder.mode(0o700);
        }
        builder.create(directory)?;
    }
    let mut options = OpenOptions::new();
    options.create(true).append(true).read(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt as _;
        options.mode(0o600);
    }
    let mut file = options.open(path)?;
    let size = file.metadata()?.len();
    let size = if size > 0 && !ends_with_newline(&file, size)? {
        file.write_all(b"\n")?;
        size + 1
    } else {
        size
    };
    Ok((file, size))
}

fn ends_with_newline(mut file: &File, size: u64) -> io::Result<bool> {
    use std::io::{Read as _, Seek as _, SeekFrom};
    let mut last = [0];
    file.seek(SeekFrom::Start(size - 1))?;
    file.read_exact(&mut last)?;
    Ok(last == *b"\n")
}

fn numbered(base: &Path, number: u32) -> PathBuf {
    let mut name = base.as_os_str().to_owned();
    name.push(format!(".{number}"));
    PathBuf::from(name)
}
