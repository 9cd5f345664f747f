//! Room on the disk: from when on commits are refused, and what is kept back for what must be written all the same.
//!
//! sled does not survive a full disk: once a write of its own has failed, reads may hang until the process ends, and it
//! cannot be opened where nothing is free. So commits stop while there is still room, the index is only written to
//! where there is room for it, and a file of zeroes is given up when there is not.

use std::io;
use std::path::{Path, PathBuf};

use rustix::fs::statvfs;

use super::files;
use super::index::Index;
use super::options::DiskLimits;
use crate::store::{Error, Result};

/// What a write to the index may take beyond its bytes, for what sled has buffered and for its snapshot.
const MARGIN_BYTES: u64 = 32 << 20;
/// A table takes what it is given and its filter, and beside the entries stand the events that were seen; as much again is
/// for what is written anew with a small table.
const AMPLIFICATION: u64 = 2;
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
        // What was given up for the index is not for commits: they would be taken and refused by turns.
        let limit = self.limit(room).saturating_add(self.given_up(room));
        if room.free >= limit {
            return Ok(());
        }
        Err(Error::DiskFull(format!("{} bytes are free and {limit} are to stay free", room.free)))
    }

    /// Fails also where an index that takes no more commits cannot be brought to disk: whoever waited for it would wait
    /// until somebody makes room.
    pub(super) fn check_with(&self, index: &Index) -> Result<()> {
        self.check()?;
        if index.is_full() && !self.has_room_for_index(index.bytes()) {
            return Err(Error::DiskFull("there is no room for the index, which is behind the journal".to_owned()));
        }
        Ok(())
    }

    /// Whether so much can be written without coming near the limit.
    pub(super) fn has_room_for(&self, bytes: u64) -> bool {
        self.room().map_or(true, |room| room.free >= self.limit(room).saturating_add(bytes))
    }

    /// Whether the index may be given so many bytes. Gives up half of the reserve where that makes the difference; the
    /// other half is for the next start.
    pub(super) fn has_room_for_index(&self, bytes: u64) -> bool {
        let of_start = self.room().map_or(0, |room| self.reserve_bytes(room) / 2);
        self.fits_index(bytes) || (self.release_reserve(of_start) && self.fits_index(bytes))
    }

    /// Gives up the rest of the reserve on a disk that has no room for what a start writes: the mark of the index, and
    /// what sled writes while it opens. Others may have filled the disk to its last byte meanwhile.
    pub(super) fn prepare_start(&self) {
        if !self.fits_index(0) {
            self.release_reserve(0);
        }
    }

    /// Whether tables of so many bytes may be merged: that is no reason to come near the limit, and what is merged is
    /// there twice until the merge is done.
    pub(super) fn has_room_for_merge(&self, bytes: u64) -> bool {
        self.room().map_or(true, |room| room.free >= self.limit(room).saturating_add(in_index(room, bytes)))
    }

    fn fits_index(&self, bytes: u64) -> bool {
        self.room().map_or(true, |room| room.free >= in_index(room, bytes))
    }

    /// Keeps the reserve back, where there is so much room that it does not bring the limit nearer.
    pub(super) fn keep_reserve(&self) {
        let Ok(room) = self.room() else { return };
        let bytes = self.reserve_bytes(room);
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

    /// Gives up what was kept back beyond so many bytes. False where there is no more.
    fn release_reserve(&self, kept: u64) -> bool {
        let path = self.reserve();
        match path.metadata() {
            Ok(found) if found.len() > kept => {}
            _ => return false,
        }
        let given = if kept == 0 { files::remove(&path) } else { files::cut(&path, kept) };
        match given {
            Ok(()) => tracing::warn!("the disk is full; the room that was kept back is used now"),
            Err(error) => tracing::warn!(%error, "the room that was kept back cannot be used"),
        }
        true
    }

    /// How much of the reserve is not there.
    fn given_up(&self, room: Room) -> u64 {
        self.reserve_bytes(room).saturating_sub(self.reserve().metadata().map_or(0, |found| found.len()))
    }

    /// What is kept back where there is room for it.
    fn reserve_bytes(&self, room: Room) -> u64 {
        self.limits.reserve_bytes.min(room.total / SHARE)
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

/// What a write to the index may take of the disk.
fn in_index(room: Room, bytes: u64) -> u64 {
    bytes.saturating_mul(AMPLIFICATION).saturating_add(MARGIN_BYTES.min(room.total / SHARE))
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
        assert!(!roomy.has_room_for_index(1 << 60), "there is none even with it");
        assert_eq!(roomy.reserve().metadata().expect("half of it").len(), 1 << 19, "the other half is for a start");
        roomy.prepare_start();
        assert!(roomy.reserve().exists(), "there is room for a start without it");
        assert!(!roomy.has_room_for_index(1 << 60) && roomy.release_reserve(0) && !roomy.reserve().exists());
        space(directory.path(), u64::MAX).keep_reserve();
        assert!(!roomy.reserve().exists(), "nothing is kept back of too little");
    }

    #[test]
    fn what_is_given_up_for_the_index_does_not_let_commits_in_again() {
        let directory = tempfile::tempdir().expect("a directory");
        let roomy = space(directory.path(), 0);
        let room = roomy.room().expect("a disk");
        roomy.keep_reserve();
        assert_eq!(roomy.given_up(room), 0);
        assert!(!roomy.has_room_for_index(1 << 60));
        assert_eq!(roomy.given_up(room), 1 << 19);
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
