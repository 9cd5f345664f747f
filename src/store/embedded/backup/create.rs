//! Making a backup: what is there stays valid until the new one is complete.

use std::ops::ControlFlow;
use std::path::Path;

use super::contents;
use super::place::Place;
use super::record::Record;
use crate::domain::id::Revision;
use crate::domain::time::Timestamp;
use crate::store::embedded::manifest::StoreId;
use crate::store::embedded::meter::Meter;
use crate::store::{BackedUp, Progress, Result};

/// What is backed up.
#[derive(Debug, Clone, Copy)]
pub(in crate::store::embedded) struct Snapshot<'a> {
    /// The data directory.
    pub(in crate::store::embedded) directory: &'a Path,
    pub(in crate::store::embedded) store: StoreId,
    /// The last commit that belongs to the backup. It is durable.
    pub(in crate::store::embedded) revision: Revision,
    /// When the backup was asked for.
    pub(in crate::store::embedded) time: Timestamp,
}

/// Brings the snapshot to `directory`. Everything is on disk and was read back before `BACKUP` names it; what only the
/// earlier backup needed is removed after that.
pub(in crate::store::embedded) fn create(
    snapshot: &Snapshot<'_>,
    directory: &Path,
    observe: &mut dyn FnMut(Progress) -> ControlFlow<()>,
) -> Result<BackedUp> {
    let place = Place::take(snapshot, directory)?;
    let wanted = contents::wanted(snapshot.directory, snapshot.revision)?;
    let mut meter = Meter::new(wanted.iter().map(|wanted| wanted.bytes).sum(), observe);
    meter.check()?;
    let (mut files, mut bytes_copied, mut bytes_reused) = (Vec::with_capacity(wanted.len()), 0, 0);
    for wanted in &wanted {
        let brought = place.bring(wanted, &mut meter)?;
        bytes_copied += brought.bytes_copied;
        bytes_reused += brought.file.bytes - brought.bytes_copied;
        files.push(brought.file);
    }
    let (revision, time) = (snapshot.revision, snapshot.time);
    let release = env!("CARGO_PKG_VERSION").to_owned();
    let record = Record { release, store: snapshot.store, revision, time, files };
    record.write(place.root())?;
    place.sweep(&record)?;
    meter.finish()?;
    Ok(BackedUp { revision, time, files: record.files.len() as u64, bytes_copied, bytes_reused })
}
