//! Archives: `tar.gz`, unpacked under caps; nothing of one lands outside the folder that it was given.

use std::{
    collections::BTreeSet,
    fs,
    io::{self, Read},
    path::{Path, PathBuf},
};

use flate2::read::GzDecoder;
use tar::{Archive, EntryType};

/// Bytes that an archive may stand for: the Core Rule Set with its tests has 10 MiB.
const MAX_BYTES: u64 = 128 << 20;
/// Files and folders.
const MAX_ENTRIES: usize = 20_000;
/// Folders in folders.
const MAX_DEPTH: usize = 16;
/// Bytes of a path.
const MAX_PATH: usize = 1024;

/// Unpacks into `folder`, which is made; the folder in it, or itself, that has the rules.
///
/// # Errors
/// What is wrong with the archive, in one line; what was unpacked before lies there still.
pub fn unpack(archive: &[u8], folder: &Path) -> Result<PathBuf, String> {
    let wrong = |error: io::Error| match error.kind() {
        io::ErrorKind::UnexpectedEof => "the archive ends too early".to_owned(),
        _ => format!("the archive is no `tar.gz`: {error}"),
    };
    let mut archive = Archive::new(Capped { inner: GzDecoder::new(archive), left: MAX_BYTES });
    fs::create_dir(folder).map_err(|error| format!("`{}` cannot be made: {error}", folder.display()))?;
    let mut seen = BTreeSet::new();
    let entries = archive.entries().map_err(wrong)?;
    for (count, entry) in entries.enumerate() {
        let mut entry = entry.map_err(wrong)?;
        if count >= MAX_ENTRIES {
            return Err(format!("the archive has more than {MAX_ENTRIES} entries"));
        }
        let shown = String::from_utf8_lossy(&entry.path_bytes()).escape_debug().to_string();
        let is_file = match entry.header().entry_type() {
            // What `git archive` says of itself.
            EntryType::XGlobalHeader => continue,
            EntryType::Directory => false,
            EntryType::Regular => true,
            EntryType::Symlink | EntryType::Link => {
                return Err(format!("the archive has a link, `{shown}`; rules are files and folders"));
            }
            _ => return Err(format!("the archive has something that is neither file nor folder, `{shown}`")),
        };
        let path = inside(&entry.path_bytes())
            .ok_or_else(|| format!("the archive has a path that leads elsewhere, `{shown}`"))?;
        let to = folder.join(&path);
        let unwritten = |error: io::Error| format!("`{}` cannot be written: {error}", to.display());
        if !is_file {
            fs::create_dir_all(&to).map_err(unwritten)?;
            continue;
        }
        if !seen.insert(path) {
            return Err(format!("the archive has `{shown}` twice"));
        }
        if let Some(parent) = to.parent() {
            fs::create_dir_all(parent).map_err(unwritten)?;
        }
        let mut file = fs::File::create_new(&to).map_err(unwritten)?;
        io::copy(&mut entry, &mut file).map_err(wrong)?;
    }
    // The checksum of gzip stands at its end.
    io::copy(&mut archive.into_inner(), &mut io::sink()).map_err(wrong)?;
    root(folder)
}

/// A path below the folder that is unpacked into.
fn inside(path: &[u8]) -> Option<PathBuf> {
    let text = std::str::from_utf8(path).ok().filter(|text| text.len() <= MAX_PATH)?;
    if text.starts_with('/') || text.contains(['\\', ':']) || text.chars().any(char::is_control) {
        return None;
    }
    let mut inside = PathBuf::new();
    let steps = text.split('/').filter(|step| !step.is_empty() && *step != ".");
    for (depth, step) in steps.enumerate() {
        if step == ".." || depth >= MAX_DEPTH {
            return None;
        }
        inside.push(step);
    }
    Some(inside)
}

/// The folder with `rules`: the one that was unpacked into, or the only one in it.
fn root(folder: &Path) -> Result<PathBuf, String> {
    if folder.join("rules").is_dir() {
        return Ok(folder.to_owned());
    }
    let below: Vec<PathBuf> = fs::read_dir(folder)
        .map_err(|error| error.to_string())?
        .filter_map(|entry| Some(entry.ok()?.path()))
        .collect();
    match below.as_slice() {
        [only] if only.join("rules").is_dir() => Ok(only.clone()),
        _ => Err("the archive has no folder `rules` at its top or in its only folder".to_owned()),
    }
}

/// Gives an error where more comes than may.
struct Capped<R> {
    inner: R,
    left: u64,
}

impl<R: Read> Read for Capped<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buffer)?;
        self.left = self
            .left
            .checked_sub(read as u64)
            .ok_or_else(|| io::Error::other(format!("it stands for more than {} MiB", MAX_BYTES >> 20)))?;
        Ok(read)
    }
}
