//! The story of a verification: manifest, journal, what lies beside it, and then the index against all of it.

use std::ops::ControlFlow;
use std::path::Path;

use super::finding::{Finding, Remedy};
use super::{audit, checkpoints, folders, index, keys, repair};
use crate::domain::id::Revision;
use crate::store::embedded::journal::{self, Inspected};
use crate::store::embedded::manifest::{self, Begin, Manifest};
use crate::store::embedded::meter::Meter;
use crate::store::embedded::{Options, files};
use crate::store::{Error, Progress, Result};

/// What is done about findings.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// They are told.
    Look,
    /// Those that can be repaired without a loss are repaired.
    Repair,
}

/// What was found in a data directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verified {
    /// The last whole commit of the journal.
    pub revision: Revision,
    /// Segments of the journal.
    pub segments: u64,
    /// Whole commits in them.
    pub commits: u64,
    /// Everything that is not as it should be.
    pub findings: Vec<Finding>,
}

/// The condition of the journal, on which everything else depends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Journal {
    /// Everything that was acknowledged is there.
    Whole,
    /// Something of it is damaged or missing: whatever is derived from it must stay as it is.
    Lossy,
}

/// Looks at everything in the data directory of a store that nobody has open.
///
/// # Errors
/// [`Error::Refused`] for a directory without a store, [`Error::InUse`], [`Error::Format`] for one of another release.
/// Damage is no error but a finding.
pub fn verify(options: &Options, mode: Mode, observe: &mut dyn FnMut(Progress) -> ControlFlow<()>) -> Result<Verified> {
    let directory = &options.directory;
    if !directory.join(manifest::NAME).exists() && !directory.join("journal").exists() {
        return Err(Error::Refused(format!("{} holds no data of Rapport; name a data directory", directory.display())));
    }
    let _lock = files::lock_directory(directory)?;
    let mut meter = Meter::new(extent(directory)?, observe);
    meter.check()?;
    let mut findings = folders::look(directory, &mut meter)?;
    let named = look_at_manifest(directory, &mut findings)?;
    findings.extend(audit::look(directory, named.as_ref(), &mut meter)?);
    let inspected = look_at_journal(directory, named.as_ref(), &mut meter)?;
    findings.extend(of_journal(directory, &inspected));
    let (vault, found) = if inspected.commits > 0 { keys::look(options)? } else { Default::default() };
    findings.extend(found);
    let is_readable = inspected.faults.is_empty() && (vault.is_some() || inspected.commits == 0);
    let mut journal = if is_readable { Journal::Whole } else { Journal::Lossy };
    let manifest = match named {
        Some(manifest) => Some(manifest),
        None => said_by_journal(directory, &inspected, &mut meter)?,
    };
    let is_comparable = journal == Journal::Whole && inspected.segments > 0;
    if let (Some(manifest), Some(vault)) = (manifest.filter(|_| is_comparable), vault) {
        let mut found = index::look((options, vault), &manifest, &inspected, &mut meter)?;
        found.extend(checkpoints::look(directory, &manifest, &inspected, &mut meter)?);
        if found.iter().any(|finding| finding.remedy == Remedy::RestoreBackup) {
            journal = Journal::Lossy;
        }
        findings.extend(found);
    }
    if mode == Mode::Repair {
        repair::repair(options, manifest.as_ref(), journal, &mut findings)?;
    }
    meter.finish()?;
    let Inspected { last, segments, commits, .. } = inspected;
    Ok(Verified { revision: last, segments, commits, findings })
}

impl Verified {
    /// What somebody still has to do something about.
    pub fn remaining(&self) -> impl Iterator<Item = &Finding> {
        self.findings.iter().filter(|finding| finding.remains())
    }
}

/// Bytes that are read: the journal once for itself and once for the index, and the index to copy it.
fn extent(directory: &Path) -> Result<u64> {
    let bytes = |name: &str| folders::bytes(&directory.join(name));
    Ok(2 * bytes("journal")? + bytes("index")? + bytes("artifacts")? + bytes("audit")? + bytes("checkpoints")?)
}

/// What a manifest has to say for a journal to be whole, for want of one. Where the journal begins late, an index must
/// have come as far as every checkpoint that is there.
fn said_by_journal(directory: &Path, inspected: &Inspected, meter: &mut Meter<'_>) -> Result<Option<Manifest>> {
    let Some(store) = inspected.store else { return Ok(None) };
    let manifest = Manifest { store, begin: inspected.begin };
    if !manifest.begin.is_late() {
        return Ok(Some(manifest));
    }
    let oldest = checkpoints::oldest_whole(directory, &manifest, meter)?;
    let usable_from = oldest.unwrap_or(manifest.begin.first);
    Ok(Some(Manifest { begin: Begin { usable_from, ..manifest.begin }, ..manifest }))
}

fn look_at_manifest(directory: &Path, findings: &mut Vec<Finding>) -> Result<Option<Manifest>> {
    match manifest::read(directory) {
        Ok(manifest) => Ok(Some(manifest)),
        Err(Error::Damaged { file, what, .. }) => {
            findings.push(Finding::new(file, what, Remedy::RewriteManifest));
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

fn look_at_journal(directory: &Path, manifest: Option<&Manifest>, meter: &mut Meter<'_>) -> Result<Inspected> {
    let directory = directory.join("journal");
    if directory.is_dir() { journal::inspect(&directory, manifest, meter) } else { Ok(Inspected::default()) }
}

fn of_journal(directory: &Path, inspected: &Inspected) -> Vec<Finding> {
    let fault =
        |fault: &journal::Fault| Finding::new(&fault.file, fault.what.clone(), Remedy::RestoreBackup).at(fault.offset);
    let mut findings: Vec<_> = inspected.faults.iter().map(fault).collect();
    if inspected.segments == 0 {
        let what = "the journal is missing; a server would begin an empty one";
        findings.push(Finding::new(directory.join("journal"), what, Remedy::RestoreBackup));
    }
    findings.extend(inspected.leftovers.iter().map(|path| {
        let what = "the store has let go of it, and ended before it was removed";
        Finding::new(path, what, Remedy::RemoveLeftover)
    }));
    findings.extend(inspected.torn.as_ref().map(|torn| {
        let what = format!("{}: a write that was not finished and never acknowledged", torn.what);
        Finding::new(&torn.path, what, Remedy::CutTail).at(torn.offset)
    }));
    findings
}
