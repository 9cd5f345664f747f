//! The checkpoints against the journal.

use std::path::Path;

use super::finding::{Finding, Remedy};
use super::folders;
use crate::domain::id::Revision;
use crate::store::embedded::journal::Inspected;
use crate::store::embedded::manifest::StoreId;
use crate::store::embedded::meter::Meter;
use crate::store::embedded::{checkpoints, recovery};
use crate::store::{Error, Result};

/// Looks at every checkpoint: whether it is whole, and whether the journal still has what it holds.
pub(super) fn look(
    directory: &Path,
    store: StoreId,
    inspected: &Inspected,
    meter: &mut Meter<'_>,
) -> Result<Vec<Finding>> {
    let mut findings = Vec::new();
    for path in folders::entries(&directory.join(checkpoints::DIRECTORY))? {
        let Some(revision) = checkpoints::revision(&path) else { continue };
        // One that is not of this commit, by its header, shows nothing but that it is damaged.
        if revision > inspected.last && checkpoints::Reader::open(&path, store).is_ok() {
            let lost = recovery::lost(inspected.last, revision, &path);
            findings.push(Finding::new(directory.join("journal"), lost, Remedy::RestoreBackup));
        }
        match checkpoints::check(&path, store, meter) {
            Ok(()) => {}
            Err(Error::Damaged { offset, what, .. }) => {
                let what = format!("the checkpoint cannot be used: {what}");
                findings.push(Finding::new(path, what, remedy(inspected)).at(offset));
            }
            Err(error) => return Err(error),
        }
    }
    Ok(findings)
}

/// As long as the journal reaches back to the first commit, a checkpoint only saves time.
fn remedy(inspected: &Inspected) -> Remedy {
    if inspected.oldest == Revision(1) { Remedy::RemoveLeftover } else { Remedy::RestoreBackup }
}
