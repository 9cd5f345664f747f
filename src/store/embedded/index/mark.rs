//! Whether what was written to the index can have been lost.
//!
//! Neither sled nor the tables wait for the disk: after the death of the process its files are whole, because the operating system
//! has them, but after a power cut they may be anything, without any sign of it. So the directory says since which
//! start of the machine it is being written to; after another start it is only trusted if it was closed in order.
//!
//! Nor does anyone notice what happens to its files while they are closed: 512 zeroes in the right place and it opens,
//! and knows less. So the end of an orderly closing says what all files together were, and they must still be that.

use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use crate::store::Result;
use crate::store::embedded::codec;
use crate::store::embedded::files::{self, failed};

const MAGIC: [u8; 4] = *b"RPIB";
const FORMAT: u32 = 1;
const CLOSED: &[u8] = b"closed";
const NAME: &str = "MARK";

/// Says that the index is being written to. Dropped after sled, it says whether that ended in order.
#[derive(Debug)]
pub(in crate::store::embedded) struct Mark {
    path: PathBuf,
    ended_well: bool,
}

/// What the mark says of the index beside it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::store::embedded) enum Trust {
    /// It is what was written.
    Trusted,
    /// Nobody knows what of it reached the disk.
    Unknown,
    /// It was closed in order, and its files are others now.
    Changed,
}

impl Mark {
    /// Whether what is there can be trusted.
    pub(in crate::store::embedded) fn trust(directory: &Path) -> Result<Trust> {
        let (boot, file) = (boot(), files::read(&path(directory))?);
        let before = file.as_deref().and_then(|file| codec::open_file(MAGIC, file).ok()).map(|(_, content)| content);
        Ok(match before {
            Some(closed) if closed.starts_with(CLOSED) => {
                if closed == content_of_closed(directory)? {
                    Trust::Trusted
                } else {
                    Trust::Changed
                }
            }
            Some(before) if !boot.is_empty() && before == boot => Trust::Trusted,
            _ => Trust::Unknown,
        })
    }

    /// Marks the index as being written to from now on: before the first write to one that is trusted, after one that
    /// is not trusted was discarded.
    pub(in crate::store::embedded) fn set(directory: &Path) -> Result<Self> {
        let path = path(directory);
        files::write_atomically(&path, &codec::seal_file(MAGIC, FORMAT, &boot()))?;
        Ok(Self { path, ended_well: false })
    }

    /// The index is damaged, and the next start must not go on with it.
    pub(in crate::store::embedded) fn distrust(&self) -> Result<()> {
        files::remove(&self.path)
    }

    /// Everything is on disk or with sled, which only has to be dropped.
    pub(in crate::store::embedded) fn end_well(&mut self) {
        self.ended_well = true;
    }
}

impl Drop for Mark {
    fn drop(&mut self) {
        if !self.ended_well {
            return;
        }
        // sled syncs its file when it is dropped. If this fails, the index is rebuilt once more than necessary.
        let directory = self.path.parent().unwrap_or(Path::new("."));
        let closed = content_of_closed(directory).map(|content| codec::seal_file(MAGIC, FORMAT, &content));
        if let Err(error) = closed.and_then(|file| files::write_atomically(&self.path, &file)) {
            tracing::warn!(%error, "the index could not be marked as closed");
        }
    }
}

/// Marks as other starts of the machine leave them, for tests that simulate those.
#[cfg(test)]
impl Mark {
    /// Whether the content of a mark says that the index was closed in order.
    pub(in crate::store::embedded) fn says_closed(file: &[u8]) -> bool {
        codec::open_file(MAGIC, file).is_ok_and(|(_, content)| content.starts_with(CLOSED))
    }

    pub(in crate::store::embedded) fn of_this_start() -> Vec<u8> {
        codec::seal_file(MAGIC, FORMAT, &boot())
    }

    pub(in crate::store::embedded) fn of_another_start() -> Vec<u8> {
        codec::seal_file(MAGIC, FORMAT, b"another start of the machine")
    }
}

fn path(directory: &Path) -> PathBuf {
    directory.join(NAME)
}

/// What a mark says of an index that is closed: that, and a checksum of the names and contents of all its files.
fn content_of_closed(directory: &Path) -> Result<Vec<u8>> {
    let (mut paths, mut directories) = (Vec::new(), vec![directory.to_owned()]);
    while let Some(directory) = directories.pop() {
        for entry in fs::read_dir(&directory).map_err(failed("listing", &directory))? {
            let path = entry.map_err(failed("listing", &directory))?.path();
            if path.is_dir() { directories.push(path) } else { paths.push(path) }
        }
    }
    paths.retain(|path| !path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(NAME.as_bytes())));
    paths.sort();
    let mut checksum = 0;
    for path in paths {
        let name = path.strip_prefix(directory).unwrap_or(&path).as_os_str().as_encoded_bytes();
        checksum = crc32c::crc32c_append(checksum, &[name, &[0]].concat());
        checksum = add_file(checksum, &path).map_err(failed("reading", &path))?;
    }
    Ok([CLOSED, &checksum.to_le_bytes()].concat())
}

fn add_file(mut checksum: u32, path: &Path) -> io::Result<u32> {
    let mut file = fs::File::open(path)?;
    let mut buffer = vec![0; 1 << 20];
    loop {
        let bytes = file.read(&mut buffer)?;
        if bytes == 0 {
            return Ok(checksum);
        }
        checksum = crc32c::crc32c_append(checksum, &buffer[..bytes]);
    }
}

/// Names the present start of the machine; empty where the system does not say, so that nothing is trusted wrongly.
fn boot() -> Vec<u8> {
    fs::read("/proc/sys/kernel/random/boot_id").unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_index_is_trusted_after_a_kill_and_after_an_orderly_end_but_not_after_a_power_cut() {
        let directory = tempfile::tempdir().expect("a directory");
        let set = || Mark::set(directory.path()).expect("writable");
        let is_trusted = || Mark::trust(directory.path()).expect("readable") == Trust::Trusted;
        assert!(!is_trusted(), "nothing says where it comes from");
        let killed = set();
        drop(killed);
        assert!(is_trusted(), "killed on this start of the machine");
        let mut closed = set();
        closed.end_well();
        drop(closed);
        assert!(is_trusted(), "closed in order");
        fs::write(path(directory.path()), Mark::of_another_start()).expect("writable");
        assert!(!is_trusted(), "written to when the power went");
    }

    #[test]
    fn an_index_whose_files_changed_since_it_was_closed_is_not_trusted() {
        let directory = tempfile::tempdir().expect("a directory");
        let file = directory.path().join("1/db");
        fs::create_dir(directory.path().join("1")).expect("writable");
        fs::write(&file, [5; 3_000]).expect("writable");
        let mut closed = Mark::set(directory.path()).expect("writable");
        closed.end_well();
        drop(closed);
        let is_trusted = || Mark::trust(directory.path()).expect("readable") == Trust::Trusted;
        assert!(is_trusted());
        fs::write(&file, [[5; 2_999].as_slice(), &[4]].concat()).expect("writable");
        assert!(!is_trusted(), "another content");
        fs::write(&file, [5; 3_000]).expect("writable");
        fs::write(directory.path().join("1/snap.7"), "").expect("writable");
        assert!(!is_trusted(), "a file more");
        fs::rename(&file, directory.path().join("1/snap.7")).expect("writable");
        assert!(!is_trusted(), "a file with another name");
        fs::rename(directory.path().join("1/snap.7"), &file).expect("writable");
        assert!(is_trusted(), "as it was closed");
    }
}
