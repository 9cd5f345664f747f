//! Room on the disk: from when on commits are refused, and what is kept back for what must be written all the same.
//!
//! sled does not survive a full disk: once a write of its own has failed, reads may hang until the process ends, and it
//! cannot be opened where nothing is free. So commits stop while there is still room, the index is only written to
//! where there is room for it, and a file of zeroes is given up when there is not.

use std::io;
use std::path::{Path, PathBuf};

use rustix::fs::statvfs;

use super::files;
use super::options::DiskLimits;
use crate::store::{Error, Result};

/// What a write to the index may take beyond its bytes, for what sled has buffered and for its snapshot.
const MARGIN_BYTES: u64 = 32 << 20;
/// sled writes about twice what it is given; twice that again is for what it rewrites on the way.
const AMPLIFICATION: u64 = 4;
/// The file that is kept back.
pub(super) const RESERVE: &str = "RESERVE";
/// The largest share of a disk that a margin or the reserve takes, so that small disks can be used at all.
const SHARE: u64 = 16;

/// The disk that holds a data directory.
#[derive(Debug)]
pub(super) struct Space {
    directory: PathBuf,
    limits: DiskLimits,
}

/// How large a disk is, and how much of it we may still use.
#[derive(Debug, Clone, Copy)]
struct Room {
    total: u64,
    free: u64,
}

impl Space {
    pub(super) fn new(directory: &Path, limits: DiskLimits) -> Self {
        Self { directory: directory.to_owned(), limits }
    }

    /// Fails while so little is free that commits are refused.
    pub(super) fn check(&self) -> Result<()> {
        // A file system that does not answer will refuse the write itself.
        let Ok(room) = self.room() else { return Ok(()) };
        let limit = self.limit(room);
        if room.free >= limit {
            return Ok(());
        }
        Err(Error::DiskFull(format!("{} bytes are free and {limit} are to stay free", room.free)))
    }

    /// Whether so much can be written without coming near the limit.
    pub(super) fn has_room_for(&self, bytes: u64) -> bool {
        self.room().map_or(true, |room| room.free >= self.limit(room).saturating_add(bytes))
    }

    /// Whether the index may be given so many bytes. Gives up the reserve where that makes the difference.
    pub(super) fn has_room_for_index(&self, bytes: u64) -> bool {
        let needed = |room: Room| bytes.saturating_mul(AMPLIFICATION) + MARGIN_BYTES.min(room.total / SHARE);
        let fits = || self.room().map_or(true, |room| room.free >= needed(room));
        fits() || (self.release_reserve() && fits())
    }

    /// Keeps the reserve back, where there is so much room that it does not bring the limit nearer.
    pub(super) fn keep_reserve(&self) {
        let Ok(room) = self.room() else { return };
        let bytes = self.limits.reserve_bytes.min(room.total / SHARE);
        let path = self.reserve();
        // One that is shorter was being made when the process ended: it would give nothing when it is needed.
        let is_kept = path.metadata().is_ok_and(|found| found.len() >= bytes);
        if bytes == 0 || is_kept || room.free < self.limit(room).saturating_add(2 * bytes) {
            return;
        }
        if let Err(error) = files::allocate(&path, bytes) {
            tracing::warn!(%error, bytes, "no room could be kept back; the index may have to be rebuilt on a full disk");
        }
    }

    /// Gives up what was kept back. False where there was nothing.
    fn release_reserve(&self) -> bool {
        match files::give_up(&self.reserve()) {
            Ok(()) => {
                tracing::warn!("the disk is full; the room that was kept back is used now");
                true
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => false,
            Err(error) => {
                tracing::warn!(%error, "the room that was kept back cannot be used");
                false
            }
        }
    }

    fn limit(&self, room: Room) -> u64 {
        // Disks are smaller than what a f64 counts exactly.
        let share = (room.total as f64 * self.limits.min_free_ratio) as u64;
        share.min(self.limits.min_free_bytes)
    }

    fn room(&self) -> Result<Room> {
        let found = statvfs(&self.directory).map_err(io::Error::from);
        let found = found.map_err(files::failed("looking at the disk of", &self.directory))?;
        Ok(Room { total: found.f_blocks * found.f_frsize, free: found.f_bavail * found.f_frsize })
    }

    fn reserve(&self) -> PathBuf {
        self.directory.join(RESERVE)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn space(directory: &Path, min_free_bytes: u64) -> Space {
        Space::new(directory, DiskLimits { min_free_bytes, min_free_ratio: 1.0, reserve_bytes: 1 << 20 })
    }

    #[test]
    fn the_smaller_of_the_two_limits_counts() {
        let directory = tempfile::tempdir().expect("a directory");
        assert!(matches!(space(directory.path(), u64::MAX).check(), Err(Error::DiskFull(_))));
        assert!(space(directory.path(), 0).check().is_ok());
        let limits = DiskLimits { min_free_bytes: u64::MAX, min_free_ratio: 0.0, reserve_bytes: 0 };
        assert!(Space::new(directory.path(), limits).check().is_ok());
    }

    #[test]
    fn the_reserve_is_given_up_when_the_index_needs_it_and_kept_where_there_is_room() {
        let directory = tempfile::tempdir().expect("a directory");
        let roomy = space(directory.path(), 0);
        roomy.keep_reserve();
        assert_eq!(roomy.reserve().metadata().expect("kept").len(), 1 << 20);
        assert!(roomy.has_room_for_index(1) && roomy.reserve().exists(), "there is room without it");
        assert!(!roomy.has_room_for_index(1 << 60) && !roomy.reserve().exists(), "there is none even with it");
        space(directory.path(), u64::MAX).keep_reserve();
        assert!(!roomy.reserve().exists(), "nothing is kept back of too little");
    }

    #[test]
    fn a_reserve_whose_making_was_cut_short_is_made_anew() {
        let directory = tempfile::tempdir().expect("a directory");
        let roomy = space(directory.path(), 0);
        std::fs::write(roomy.reserve(), "").expect("writable");
        roomy.keep_reserve();
        assert_eq!(roomy.reserve().metadata().expect("kept").len(), 1 << 20);
    }
}
