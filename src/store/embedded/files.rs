//! Files that are whole or absent, whatever happens to the machine.
//!
//! Every change of the store's own files is made here, and told to [`steps`](super::steps), so that a test can cut the
//! power between any two of them.

use std::fs::{self, File, TryLockError};
use std::io::{self, Write};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

use rustix::fs::{FallocateFlags, fallocate};

use super::steps::{self, Step};
use crate::store::{Error, Result};

/// What a file that is not finished yet ends with; such files are nobody's and may be removed.
pub(super) const UNFINISHED: &str = "tmp";
/// The file by which a process holds a directory.
pub(super) const LOCK: &str = "LOCK";

/// Names an action in the error of a file operation.
pub(super) fn failed(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Error {
    let action = format!("{action} {}", path.display());
    move |cause| Error::Io { action, cause }
}

/// An error about the content of a file.
pub(super) fn damaged(path: &Path, offset: u64, what: impl Into<String>) -> Error {
    Error::Damaged { file: path.display().to_string(), offset, what: what.into() }
}

/// Makes a directory with its parents, and makes each new name durable.
pub(super) fn make_directory(path: &Path) -> Result<()> {
    if path.is_dir() {
        // Whoever made it may have been killed before its name was durable. Who may not read the parent cannot help it.
        let _not_ours_to_sync = sync_parent(path);
        return Ok(());
    }
    if let Some(parent) = path.parent().filter(|parent| !parent.as_os_str().is_empty()) {
        make_directory(parent)?;
    }
    steps::tell(&Step::MakeDirectory(path));
    fs::create_dir(path).map_err(failed("making", path))?;
    sync_parent(path)
}

/// Writes a file so that after a power cut it has either this content or the one before.
pub(super) fn write_atomically(path: &Path, content: &[u8]) -> Result<()> {
    let mut file = Unfinished::begin(path)?;
    file.write(content)?;
    file.finish()
}

/// A file that gets its name, or takes the place of the one before, once it is whole and durable. Dropped before that,
/// it leaves nothing behind; what a process that was killed leaves says by its name that it is nobody's.
#[derive(Debug)]
pub(super) struct Unfinished {
    file: Appender,
    is_finished: bool,
}

impl Unfinished {
    pub(super) fn begin(path: &Path) -> Result<Self> {
        Ok(Self { file: Appender::create(&unfinished(path))?, is_finished: false })
    }

    pub(super) fn write(&mut self, bytes: &[u8]) -> Result<()> {
        self.file.write_all(bytes).map_err(failed("writing", &self.file.path))
    }

    /// Makes what was written so far durable, which nobody sees yet.
    pub(super) fn sync(&mut self) -> Result<()> {
        self.file.sync().map_err(failed("syncing", &self.file.path))
    }

    /// Makes the file durable, and then its name.
    pub(super) fn finish(mut self) -> Result<()> {
        self.sync()?;
        let path = self.file.path.with_extension("");
        steps::tell(&Step::Rename { from: &self.file.path, to: &path });
        fs::rename(&self.file.path, &path).map_err(failed("naming", &path))?;
        self.is_finished = true;
        sync_parent(&path)
    }
}

impl Drop for Unfinished {
    fn drop(&mut self) {
        if !self.is_finished {
            // Whoever opens the directory next removes what stays.
            let _gone_or_not = give_up(&self.file.path);
        }
    }
}

/// A file that is only written behind its end.
#[derive(Debug)]
pub(super) struct Appender {
    path: PathBuf,
    file: File,
    end: u64,
}

impl Appender {
    /// Makes a file, or takes all content from the one that is there. Neither is durable.
    pub(super) fn create(path: &Path) -> Result<Self> {
        steps::tell(&Step::Create(path));
        let file = File::create(path).map_err(failed("making", path))?;
        Ok(Self { path: path.to_owned(), file, end: 0 })
    }

    /// Opens a file that exists.
    pub(super) fn open(path: &Path) -> Result<Self> {
        let open = || {
            let file = File::options().append(true).open(path)?;
            let end = file.metadata()?.len();
            Ok((file, end))
        };
        let (file, end) = open().map_err(failed("opening", path))?;
        Ok(Self { path: path.to_owned(), file, end })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Makes everything that was written durable.
    pub(super) fn sync(&mut self) -> io::Result<()> {
        self.file.sync_data()?;
        steps::tell(&Step::Sync(&self.path));
        Ok(())
    }

    /// Cuts off everything behind so many bytes, durably.
    pub(super) fn cut(&mut self, bytes: u64) -> io::Result<()> {
        steps::tell(&Step::SetLength { path: &self.path, bytes });
        self.file.set_len(bytes)?;
        self.file.sync_all()?;
        steps::tell(&Step::Sync(&self.path));
        self.end = bytes;
        Ok(())
    }
}

impl Write for Appender {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        steps::tell(&Step::Write { path: &self.path, offset: self.end, bytes });
        let written = self.file.write(bytes)?;
        self.end += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

/// Cuts a file off at a length, durably.
pub(super) fn cut(path: &Path, bytes: u64) -> Result<()> {
    let cut = || {
        let file = File::options().write(true).open(path)?;
        steps::tell(&Step::SetLength { path, bytes });
        file.set_len(bytes)?;
        file.sync_all()?;
        steps::tell(&Step::Sync(path));
        Ok(())
    };
    cut().map_err(failed("cutting", path))
}

/// Writes over a part of a file. It is durable with the next sync.
pub(super) fn overwrite(path: &Path, offset: u64, bytes: &[u8]) -> Result<()> {
    let write = || {
        let file = File::options().write(true).open(path)?;
        steps::tell(&Step::Write { path, offset, bytes });
        file.write_all_at(bytes, offset)
    };
    write().map_err(failed("writing", path))
}

/// Makes the content of a file durable, whoever wrote it.
pub(super) fn sync(path: &Path) -> Result<()> {
    File::open(path).and_then(|file| file.sync_all()).map_err(failed("syncing", path))?;
    steps::tell(&Step::Sync(path));
    Ok(())
}

/// Removes a file durably; removing what is not there is no error.
pub(super) fn remove(path: &Path) -> Result<()> {
    steps::tell(&Step::Remove(path));
    match fs::remove_file(path) {
        Ok(()) => sync_parent(path),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(failed("removing", path)(error)),
    }
}

/// Removes a file of which nobody minds whether it is back after a power cut.
pub(super) fn give_up(path: &Path) -> io::Result<()> {
    steps::tell(&Step::Remove(path));
    fs::remove_file(path)
}

/// Makes a file that takes so many bytes of the disk, or none. Its content is of no interest, and so nothing of it is
/// made durable.
pub(super) fn allocate(path: &Path, bytes: u64) -> io::Result<()> {
    steps::tell(&Step::Create(path));
    let file = File::create(path)?;
    steps::tell(&Step::SetLength { path, bytes });
    fallocate(&file, FallocateFlags::empty(), 0, bytes).map_err(|error| {
        let _nothing_was_kept = give_up(path);
        error.into()
    })
}

/// Reads a file, or `None` where there is none.
pub(super) fn read(path: &Path) -> Result<Option<Vec<u8>>> {
    match fs::read(path) {
        Ok(content) => Ok(Some(content)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(failed("reading", path)(error)),
    }
}

/// Takes the directory for this process until the file is closed.
pub(super) fn lock_directory(directory: &Path) -> Result<File> {
    let path = directory.join(LOCK);
    let file = File::options().create(true).truncate(false).write(true).open(&path);
    let file = file.map_err(failed("opening", &path))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(Error::InUse { directory: directory.display().to_string() }),
        Err(TryLockError::Error(error)) => Err(failed("locking", &path)(error)),
    }
}

/// Makes names in the directory that holds `path` durable.
pub(super) fn sync_parent(path: &Path) -> Result<()> {
    sync_directory(match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    })
}

/// Makes names in a directory durable.
pub(super) fn sync_directory(directory: &Path) -> Result<()> {
    let sync = || File::open(directory)?.sync_all();
    sync().map_err(failed("syncing", directory))?;
    steps::tell(&Step::SyncDirectory(directory));
    Ok(())
}

/// The name of a file while it is being written.
pub(super) fn unfinished(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".");
    name.push(UNFINISHED);
    PathBuf::from(name)
}
