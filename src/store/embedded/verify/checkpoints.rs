//! The checkpoints against the journal.

use std::path::Path;

use super::finding::{Finding, Remedy};
use super::folders;
use crate::domain::id::Revision;
use crate::store::embedded::journal::Inspected;
use crate::store::embedded::manifest::Manifest;
use crate::store::embedded::meter::Meter;
use crate::store::embedded::{checkpoints, recovery};
use crate::store::{Error, Result};

/// Looks at every checkpoint: whether it is whole, and whether the journal still has what it holds. Where the journal
/// does not begin with the first commit, one of them must lead to where it does.
pub(super) fn look(
    directory: &Path,
    manifest: &Manifest,
    inspected: &Inspected,
    meter: &mut Meter<'_>,
) -> Result<Vec<Finding>> {
    let (mut findings, mut damaged, mut leads_on) = (Vec::new(), Vec::new(), !manifest.begin.is_late());
    for path in folders::entries(&directory.join(checkpoints::DIRECTORY))? {
        let Some(revision) = checkpoints::revision(&path) else { continue };
        // One that is not of this commit, by its header, shows nothing but that it is damaged.
        if revision > inspected.last && checkpoints::Reader::open(&path, manifest.store).is_ok() {
            let lost = recovery::lost(inspected.last, revision, &path);
            findings.push(Finding::new(directory.join("journal"), lost, Remedy::RestoreBackup));
        }
        match checkpoints::check(&path, manifest.store, meter) {
            Ok(()) => leads_on |= revision >= manifest.begin.usable_from,
            Err(Error::Damaged { offset, what, .. }) => {
                let what = format!("the checkpoint cannot be used: {what}");
                damaged.push(Finding::new(path, what, Remedy::RemoveLeftover).at(offset));
            }
            Err(Error::Format { .. }) => {
                let what = "another release made the checkpoint, and this one does not use it";
                damaged.push(Finding::new(path, what, Remedy::RemoveLeftover));
            }
            Err(error) => return Err(error),
        }
    }
    if leads_on {
        // As long as the journal, or another one, leads to the same state, a checkpoint only saves time.
        findings.extend(damaged);
    } else {
        let no_way = recovery::no_way(manifest.begin);
        findings.extend(damaged.into_iter().map(|finding| Finding { remedy: Remedy::RestoreBackup, ..finding }));
        findings.push(Finding::new(directory.join(checkpoints::DIRECTORY), no_way, Remedy::RestoreBackup));
    }
    Ok(findings)
}

/// The oldest checkpoint that is whole, of which an index can be made whatever became of the manifest.
pub(super) fn oldest_whole(directory: &Path, manifest: &Manifest, meter: &mut Meter<'_>) -> Result<Option<Revision>> {
    for (revision, path) in checkpoints::list(directory)? {
        match checkpoints::check(&path, manifest.store, meter) {
            Ok(()) => return Ok(Some(revision)),
            Err(Error::Damaged { .. } | Error::Format { .. }) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(None)
}
