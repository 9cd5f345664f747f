//! The directory that a backup goes to.

use std::fs::{self, File};
use std::io::{Seek as _, SeekFrom};
use std::path::{Component, Path, PathBuf};

use super::contents::{Nature, Wanted};
use super::copy::{self, Reader};
use super::create::Snapshot;
use super::record::{Digest, Listed, Record};
use crate::store::embedded::files::{self, damaged, failed};
use crate::store::embedded::meter::Meter;
use crate::store::embedded::{artifacts, audit, checkpoints, codec, vault};
use crate::store::{Error, Result};

/// Says that a first backup was begun here, and of which store.
const UNFINISHED: &str = "UNFINISHED";
const MAGIC: [u8; 4] = *b"RPBU";
const FORMAT: u32 = 1;
/// The directories in which every file is ours.
const OURS: [&str; 5] = ["journal", artifacts::DIRECTORY, audit::DIRECTORY, checkpoints::DIRECTORY, vault::DIRECTORY];

/// A directory that was found fit for a backup, for as long as the backup takes.
pub(super) struct Place<'a> {
    root: PathBuf,
    /// The data directory.
    source: &'a Path,
    former: Option<Record>,
    /// Held until the backup is complete.
    _lock: File,
}

/// A file that is in the backup now.
pub(super) struct Brought {
    pub(super) file: Listed,
    /// How much of it was not there before.
    pub(super) bytes_copied: u64,
}

/// How a file of the earlier backup compares with the one that is wanted.
enum Standing {
    Same,
    Grown,
    Other,
}

impl<'a> Place<'a> {
    /// Takes a directory that is missing, empty, or holds an earlier backup of the same store.
    pub(super) fn take(snapshot: &Snapshot<'a>, directory: &Path) -> Result<Self> {
        let root = real(directory)?;
        if root.starts_with(real(snapshot.directory)?) {
            return Err(Error::Refused(format!(
                "{} lies in the data directory that would be backed up; choose a directory elsewhere, best on another \
                 disk",
                directory.display()
            )));
        }
        files::make_directory(&root)?;
        // Looked at before anything is written, and again once nobody else can write.
        former(snapshot, &root)?;
        let lock = files::lock_directory(&root).map_err(|error| match error {
            Error::InUse { .. } => Error::Refused(format!("another backup is written to {}", root.display())),
            error => error,
        })?;
        let former = former(snapshot, &root)?;
        if former.is_none() {
            files::write_atomically(&root.join(UNFINISHED), &codec::seal_file(MAGIC, FORMAT, &snapshot.store))?;
        }
        Ok(Self { root, source: snapshot.directory, former, _lock: lock })
    }

    pub(super) fn root(&self) -> &Path {
        &self.root
    }

    /// Brings a file, or only what the earlier backup has not brought yet, and reads back what was written.
    pub(super) fn bring(&self, wanted: &Wanted, meter: &mut Meter<'_>) -> Result<Brought> {
        let source = self.source.join(&wanted.path);
        if let Some(known) = self.former.as_ref().and_then(|former| former.file(&wanted.path)) {
            match self.compare(known, wanted, &source)? {
                Standing::Same => {
                    meter.add(known.bytes)?;
                    return Ok(Brought { file: known.clone(), bytes_copied: 0 });
                }
                Standing::Grown => {
                    if let Some(brought) = self.append(known, wanted, meter)? {
                        return Ok(brought);
                    }
                }
                Standing::Other => {}
            }
        }
        self.copy(wanted, &source, meter)
    }

    /// Removes what the backup does not need. Foreign files beside it stay.
    pub(super) fn sweep(&self, record: &Record) -> Result<()> {
        for folder in OURS {
            self.sweep_folder(&self.root.join(folder), record)?;
        }
        let mark = self.root.join(UNFINISHED);
        files::remove(&files::unfinished(&mark))?;
        files::remove(&mark)
    }

    fn sweep_folder(&self, folder: &Path, record: &Record) -> Result<()> {
        if !folder.is_dir() {
            return Ok(());
        }
        for entry in fs::read_dir(folder).map_err(failed("listing", folder))? {
            let path = entry.map_err(failed("listing", folder))?.path();
            if path.is_dir() {
                self.sweep_folder(&path, record)?;
            } else if !record.files.iter().any(|file| self.root.join(&file.stored) == path) {
                files::remove(&path)?;
            }
        }
        Ok(())
    }

    fn compare(&self, known: &Listed, wanted: &Wanted, source: &Path) -> Result<Standing> {
        let stored = self.root.join(&known.stored);
        if wanted.nature == Nature::Changing {
            let is_same = known.bytes == length(source)? && copy::digest(source, known.bytes)? == known.digest;
            return Ok(if is_same { Standing::Same } else { Standing::Other });
        }
        if stored.metadata().map_or(0, |data| data.len()) < known.bytes {
            return Ok(Standing::Other);
        }
        let may_hold = known.bytes <= wanted.bytes && known.bytes <= length(source)?;
        if may_hold && copy::have_equal_ends(source, &stored, known.bytes)? {
            return Ok(match wanted.nature {
                _ if known.bytes == wanted.bytes => Standing::Same,
                Nature::Segment => Standing::Grown,
                Nature::Whole | Nature::Changing => Standing::Other,
            });
        }
        // A segment never changes behind its end: either the copy is damaged, or the store went another way since.
        if wanted.nature == Nature::Segment && copy::digest(&stored, known.bytes)? == known.digest {
            return Err(another_history(&self.root));
        }
        Ok(Standing::Other)
    }

    /// Adds what a segment has become longer by; `None` where the copy is damaged and has to be made anew.
    fn append(&self, known: &Listed, wanted: &Wanted, meter: &mut Meter<'_>) -> Result<Option<Brought>> {
        let (source, stored) = (self.source.join(&wanted.path), self.root.join(&known.stored));
        let mut before = Reader::open(&stored)?;
        before.read_to(known.bytes, &mut std::io::sink(), meter)?;
        if before.digest() != known.digest {
            return Ok(None);
        }
        let mut file = File::options().write(true).open(&stored).map_err(failed("opening", &stored))?;
        // A backup that was interrupted may have left something behind the end.
        file.set_len(known.bytes).map_err(failed("cutting", &stored))?;
        file.seek(SeekFrom::End(0)).map_err(failed("writing", &stored))?;
        let mut reader = Reader::open(&source)?.after(before)?;
        reader.read_to(wanted.bytes, &mut file, meter)?;
        file.sync_all().map_err(failed("syncing", &stored))?;
        let file = Listed { bytes: wanted.bytes, digest: reader.digest(), ..known.clone() };
        self.read_back(&file, meter)?;
        Ok(Some(Brought { file, bytes_copied: wanted.bytes - known.bytes }))
    }

    fn copy(&self, wanted: &Wanted, source: &Path, meter: &mut Meter<'_>) -> Result<Brought> {
        let target = self.root.join(&wanted.path);
        files::make_directory(target.parent().unwrap_or(&self.root))?;
        let unfinished = files::unfinished(&target);
        let mut reader = Reader::open(source)?;
        // A file that is replaced as a whole may have been since it was looked for.
        let bytes = if wanted.nature == Nature::Segment { wanted.bytes } else { length(source)? };
        let mut file = File::create(&unfinished).map_err(failed("making", &unfinished))?;
        reader.read_to(bytes, &mut file, meter)?;
        file.sync_all().map_err(failed("syncing", &unfinished))?;
        let stored = self.free_name(wanted, reader.digest());
        let target = self.root.join(&stored);
        fs::rename(&unfinished, &target).map_err(failed("writing", &target))?;
        files::sync_parent(&target)?;
        let file = Listed { path: wanted.path.clone(), stored, bytes, digest: reader.digest() };
        self.read_back(&file, meter)?;
        Ok(Brought { file, bytes_copied: bytes })
    }

    /// Where a file can be put without taking anything from the earlier backup.
    fn free_name(&self, wanted: &Wanted, digest: Digest) -> String {
        let holds_another = |file: &Listed| file.stored == wanted.path && file.digest != digest;
        let is_taken = self.former.as_ref().is_some_and(|former| former.files.iter().any(holds_another));
        if is_taken && wanted.nature != Nature::Segment {
            let digest = blake3::Hash::from_bytes(digest).to_hex();
            return format!("{}.{}", wanted.path, &digest[..16]);
        }
        // A longer copy of a segment begins with what the earlier backup needs of it.
        wanted.path.clone()
    }

    fn read_back(&self, file: &Listed, meter: &mut Meter<'_>) -> Result<()> {
        meter.check()?;
        let path = self.root.join(&file.stored);
        if copy::digest(&path, file.bytes)? == file.digest {
            return Ok(());
        }
        Err(damaged(&path, 0, "what was read back is not what was written; use another disk for the backup"))
    }
}

/// The earlier backup of a directory; refuses whatever is neither that nor nothing.
fn former(snapshot: &Snapshot<'_>, root: &Path) -> Result<Option<Record>> {
    let place = root.display();
    let record = match Record::read(root) {
        Err(Error::Damaged { file, what, .. }) => {
            let refused = format!("{file} is damaged ({what}); choose an empty directory and keep this one aside");
            return Err(Error::Refused(refused));
        }
        record => record?,
    };
    let Some(record) = record else {
        let begun = files::read(&root.join(UNFINISHED))?;
        let is_ours = begun.is_some_and(|begun| codec::open_file(MAGIC, &begun) == Ok((FORMAT, &snapshot.store)));
        if is_ours || is_empty(root)? {
            return Ok(None);
        }
        let refused = format!("{place} is neither empty nor a backup of this store; choose an empty directory");
        return Err(Error::Refused(refused));
    };
    if record.store != snapshot.store {
        return Err(Error::Refused(format!("{place} holds a backup of another store; choose an empty directory")));
    }
    if record.revision > snapshot.revision {
        return Err(another_history(root));
    }
    Ok(Some(record))
}

fn another_history(root: &Path) -> Error {
    Error::Refused(format!(
        "{} holds a backup of commits that this store does not have, as after a restore of an older one; choose an \
         empty directory, so that they are not lost",
        root.display()
    ))
}

/// Whether nothing is in a directory but what taking it has left there.
fn is_empty(directory: &Path) -> Result<bool> {
    for entry in fs::read_dir(directory).map_err(failed("listing", directory))? {
        let name = entry.map_err(failed("listing", directory))?.file_name();
        let ours = [files::LOCK.into(), files::unfinished(Path::new(UNFINISHED)).into_os_string()];
        if !ours.contains(&name) {
            return Ok(false);
        }
    }
    Ok(true)
}

fn length(path: &Path) -> Result<u64> {
    Ok(path.metadata().map_err(failed("reading", path))?.len())
}

/// A path without links, as far as it exists.
fn real(path: &Path) -> Result<PathBuf> {
    let mut existing = std::path::absolute(path).map_err(failed("reading", path))?;
    let mut missing = Vec::new();
    while !existing.exists() {
        match existing.components().next_back() {
            Some(Component::Normal(name)) => missing.push(name.to_owned()),
            _ => return Err(Error::Refused(format!("{} leads nowhere; name the directory itself", path.display()))),
        }
        existing.pop();
    }
    let mut real = existing.canonicalize().map_err(failed("reading", path))?;
    if !real.is_dir() {
        return Err(Error::Refused(format!("{} is no directory; name one", real.display())));
    }
    real.extend(missing.iter().rev());
    Ok(real)
}
