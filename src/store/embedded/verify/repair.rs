//! What can be repaired without a loss.

use std::fs;
use std::io;
use std::path::Path;
use std::sync::Arc;

use super::audit;
use super::finding::{Finding, Remedy};
use super::run::Journal;
use crate::store::Result;
use crate::store::embedded::files::{self, failed};
use crate::store::embedded::keep::Keep;
use crate::store::embedded::manifest::{self, Manifest};
use crate::store::embedded::recovery::Recovery;
use crate::store::embedded::space::Space;
use crate::store::embedded::vault::Vault;
use crate::store::embedded::{Options, journal};

/// Does what helps against the findings, in the order in which one depends on another. Where the journal has lost
/// something, the torn end and the index are evidence of it and stay.
pub(super) fn repair(
    options: &Options,
    manifest: Option<&Manifest>,
    condition: Journal,
    findings: &mut [Finding],
) -> Result<()> {
    for finding in findings.iter_mut().filter(|finding| finding.remedy == Remedy::RemoveLeftover) {
        remove(&finding.file)?;
        finding.repaired = true;
    }
    for finding in findings.iter_mut().filter(|finding| audit::is_torn_end(finding)) {
        files::cut(&finding.file, finding.offset.unwrap_or_default())?;
        finding.repaired = true;
    }
    let Some(manifest) = manifest else { return Ok(()) };
    // Without a checkpoint that leads there nobody knows whether the beginning of the journal was let go of or lost.
    let may_begin_there = !manifest.begin.is_late() || condition == Journal::Whole;
    for finding in findings.iter_mut().filter(|finding| finding.remedy == Remedy::RewriteManifest && may_begin_there) {
        manifest::write(&options.directory, manifest)?;
        finding.repaired = true;
    }
    if condition == Journal::Lossy {
        return Ok(());
    }
    let is_of_recovery = |finding: &&mut Finding| {
        matches!(finding.remedy, Remedy::CutTail | Remedy::RebuildIndex) && !audit::is_torn_end(finding)
    };
    if findings.iter().any(|finding| finding.remedy == Remedy::RebuildIndex) {
        remove(&options.directory.join("index"))?;
    }
    if !findings.iter_mut().any(|finding| is_of_recovery(&finding)) {
        return Ok(());
    }
    let vault = Arc::new(Vault::open(&options.directory, &options.master_keys)?);
    let mut journal = journal::open(&options.directory.join("journal"), manifest, Arc::clone(&vault))?;
    let (status, space, keep) =
        (Arc::default(), Arc::new(Space::new(&options.directory, options.disk)), Keep::default());
    let recovery = Recovery { options, manifest: *manifest, vault, status: &status, space: &space, keep: &keep };
    recovery.recover(&mut journal)?.finish()?;
    findings.iter_mut().filter(is_of_recovery).for_each(|finding| finding.repaired = true);
    Ok(())
}

fn remove(path: &Path) -> Result<()> {
    if !path.is_dir() {
        return files::remove(path);
    }
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(failed("removing", path)(error)),
        _ => files::sync_parent(path),
    }
}
