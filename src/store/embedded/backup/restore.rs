//! Bringing a backup back: beside its place first, and into it once everything was found whole.

use std::fs::{self, File};
use std::io;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use super::copy::Reader;
use super::record::{self, Listed, Record};
use crate::domain::id::Revision;
use crate::domain::time::Timestamp;
use crate::store::embedded::files::{self, damaged, failed};
use crate::store::embedded::meter::Meter;
use crate::store::embedded::{checkpoints, journal, manifest, recovery};
use crate::store::{Error, Progress, Result};

/// What was brought back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Restored {
    /// The last commit of the backup.
    pub revision: Revision,
    /// When the backup was asked for.
    pub time: Timestamp,
    /// The release that made it.
    pub release: String,
    /// Files of the data directory.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
}

/// Makes the data directory `target`, which must be missing or empty, from the backup in `backup`. Every file is held
/// against its digest and every frame against its checksum before the directory appears under its name; an index is
/// built when the store is opened.
///
/// # Errors
/// [`Error::Refused`] for a target or a backup that cannot be taken, [`Error::Damaged`] with the file and the place.
/// The target is as it was then.
pub fn restore(backup: &Path, target: &Path, observe: &mut dyn FnMut(Progress) -> ControlFlow<()>) -> Result<Restored> {
    let target = std::path::absolute(target).map_err(failed("reading", target))?;
    check_target(backup, &target)?;
    let Some(record) = Record::read(backup)? else {
        let refused = format!("{} holds no backup: it has no file {}", backup.display(), record::NAME);
        return Err(Error::Refused(refused));
    };
    let bytes = record.files.iter().map(|file| file.bytes).sum();
    // Each byte is read twice: it is copied, and then its frame is checked where it will be read from.
    let mut meter = Meter::new(bytes * 2, observe);
    meter.check()?;
    let staging = staging(&target)?;
    clear(&staging)?;
    files::make_directory(&staging)?;
    let staged = fill(backup, &record, &staging, &mut meter).and_then(|()| check(&record, &staging, &mut meter));
    if let Err(error) = staged {
        clear(&staging)?;
        return Err(of_release(error, &record));
    }
    fs::rename(&staging, &target).map_err(failed("naming", &target))?;
    files::sync_parent(&target)?;
    meter.finish()?;
    let (Record { revision, time, release, .. }, files) = (record.clone(), record.files.len() as u64);
    Ok(Restored { revision, time, release, files, bytes })
}

/// What this release cannot read, the one that made the backup can.
fn of_release(error: Error, record: &Record) -> Error {
    let Error::Format { found, supported, .. } = error else { return error };
    Error::Refused(format!(
        "the backup holds data of format {found} and this release reads format {supported}: use release {}, which made \
         it",
        record.release
    ))
}

fn check_target(backup: &Path, target: &Path) -> Result<()> {
    let place = target.display();
    if target.starts_with(std::path::absolute(backup).map_err(failed("reading", backup))?) {
        return Err(Error::Refused(format!("{place} lies in the backup; choose a data directory elsewhere")));
    }
    let is_free = match fs::read_dir(target) {
        Ok(mut entries) => entries.next().is_none(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => true,
        Err(error) if error.kind() == io::ErrorKind::NotADirectory => false,
        Err(error) => return Err(failed("listing", target)(error)),
    };
    if is_free {
        return Ok(());
    }
    Err(Error::Refused(format!(
        "{place} is not empty; a backup is restored into a directory that is missing or empty, so that nothing is \
         overwritten: move it aside, or choose another"
    )))
}

/// The directory beside the target that becomes the target.
fn staging(target: &Path) -> Result<PathBuf> {
    let Some(name) = target.file_name() else {
        return Err(Error::Refused(format!("{} cannot be a data directory; choose another", target.display())));
    };
    let mut name = name.to_owned();
    name.push(".restoring");
    Ok(target.with_file_name(name))
}

/// Removes what an earlier attempt has left.
fn clear(staging: &Path) -> Result<()> {
    match fs::remove_dir_all(staging) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(failed("removing", staging)(error)),
        _ => Ok(()),
    }
}

/// Copies every file and holds it against its digest.
fn fill(backup: &Path, record: &Record, staging: &Path, meter: &mut Meter<'_>) -> Result<()> {
    for file in &record.files {
        let target = staging.join(&file.path);
        if let Some(parent) = target.parent() {
            files::make_directory(parent)?;
        }
        copy(&backup.join(&file.stored), &target, file, meter)?;
        files::sync_parent(&target)?;
    }
    Ok(())
}

fn copy(stored: &Path, target: &Path, listed: &Listed, meter: &mut Meter<'_>) -> Result<()> {
    if !stored.exists() {
        return Err(damaged(stored, 0, "the file is missing from the backup"));
    }
    let mut file = File::create(target).map_err(failed("making", target))?;
    let mut reader = Reader::open(stored)?;
    reader.read_to(listed.bytes, &mut file, meter)?;
    file.sync_all().map_err(failed("syncing", target))?;
    if reader.digest() == listed.digest {
        return Ok(());
    }
    Err(damaged(stored, 0, "the file is not what was backed up; take another backup"))
}

/// Whether what was copied is the store that the backup names, with every commit in its place.
fn check(record: &Record, staging: &Path, meter: &mut Meter<'_>) -> Result<()> {
    let manifest = manifest::read(staging)?;
    if manifest.store != record.store {
        return Err(damaged(&staging.join(manifest::NAME), 0, "the manifest is that of another store"));
    }
    let directory = staging.join("journal");
    let inspected = journal::inspect(&directory, Some(&manifest), meter)?;
    if let Some(fault) = inspected.faults.into_iter().next() {
        return Err(damaged(&fault.file, fault.offset, fault.what));
    }
    if let Some(torn) = inspected.torn {
        return Err(damaged(&torn.path, torn.offset, torn.what));
    }
    if inspected.last != record.revision {
        let what = format!("the journal ends with commit {} and the backup was of {}", inspected.last, record.revision);
        return Err(damaged(&directory, 0, what));
    }
    let leads_on = |(revision, _): &(Revision, PathBuf)| *revision >= manifest.begin.usable_from;
    if manifest.begin.is_late() && !checkpoints::list(staging)?.iter().any(leads_on) {
        return Err(damaged(&staging.join(checkpoints::DIRECTORY), 0, recovery::no_way(manifest.begin)));
    }
    Ok(())
}
