//! The story of a verification: manifest, journal, what lies beside it, and then the index against all of it.

use std::ops::ControlFlow;
use std::path::Path;

use super::finding::{Finding, Remedy};
use super::{checkpoints, folders, index, repair};
use crate::domain::id::Revision;
use crate::store::embedded::journal::{self, Inspected};
use crate::store::embedded::manifest::{self, StoreId};
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
    let inspected = look_at_journal(directory, named, &mut meter)?;
    findings.extend(of_journal(directory, &inspected));
    let mut journal = if inspected.faults.is_empty() { Journal::Whole } else { Journal::Lossy };
    let store = named.or(inspected.store);
    if let Some(store) = store.filter(|_| journal == Journal::Whole && inspected.segments > 0) {
        let mut found = index::look(options, store, &inspected, &mut meter)?;
        found.extend(checkpoints::look(directory, store, &inspected, &mut meter)?);
        if found.iter().any(|finding| finding.remedy == Remedy::RestoreBackup) {
            journal = Journal::Lossy;
        }
        findings.extend(found);
    }
    if mode == Mode::Repair {
        repair::repair(options, store, journal, &mut findings)?;
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
    Ok(2 * bytes("journal")? + bytes("index")? + bytes("artifacts")? + bytes("checkpoints")?)
}

fn look_at_manifest(directory: &Path, findings: &mut Vec<Finding>) -> Result<Option<StoreId>> {
    match manifest::read(directory) {
        Ok(store) => Ok(Some(store)),
        Err(Error::Damaged { file, what, .. }) => {
            findings.push(Finding::new(file, what, Remedy::RewriteManifest));
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

fn look_at_journal(directory: &Path, store: Option<StoreId>, meter: &mut Meter<'_>) -> Result<Inspected> {
    let directory = directory.join("journal");
    if directory.is_dir() { journal::inspect(&directory, store, meter) } else { Ok(Inspected::default()) }
}

fn of_journal(directory: &Path, inspected: &Inspected) -> Vec<Finding> {
    let fault =
        |fault: &journal::Fault| Finding::new(&fault.file, fault.what.clone(), Remedy::RestoreBackup).at(fault.offset);
    let mut findings: Vec<_> = inspected.faults.iter().map(fault).collect();
    if inspected.segments == 0 {
        let what = "the journal is missing; a server would begin an empty one";
        findings.push(Finding::new(directory.join("journal"), what, Remedy::RestoreBackup));
    }
    findings.extend(inspected.torn.as_ref().map(|torn| {
        let what = format!("{}: a write that was not finished and never acknowledged", torn.what);
        Finding::new(&torn.path, what, Remedy::CutTail).at(torn.offset)
    }));
    findings
}
