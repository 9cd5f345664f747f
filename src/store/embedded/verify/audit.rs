//! The audit log: whether every batch is there, whole, and follows the one before.

use std::path::Path;

use super::finding::{Finding, Remedy};
use super::folders;
use crate::store::embedded::audit::{self, Fault, Frames, Head, Last};
use crate::store::embedded::manifest::Manifest;
use crate::store::embedded::meter::Meter;
use crate::store::{Error, Result};

/// What an operator has to know before a backup is brought back.
const ONLY_THE_LOG: &str = "; only the audit log is concerned, and a server starts all the same";

/// Looks at every batch from the first one on.
pub(super) fn look(directory: &Path, manifest: Option<&Manifest>, meter: &mut Meter<'_>) -> Result<Vec<Finding>> {
    let told = match Last::read(directory) {
        Err(Error::Damaged { .. }) => None,
        told => told?,
    };
    let mut chain =
        Chain { manifest, told, end: Some(Last::default()), has_told: told.is_none(), findings: Vec::new() };
    let files = audit::list(directory)?;
    for (position, (first, path)) in files.iter().enumerate() {
        chain.look_at(path, *first, position + 1 == files.len())?;
        meter.add(path.metadata().map_or(0, |data| data.len()))?;
    }
    let Chain { end, has_told, mut findings, .. } = chain;
    // Where something was found already, what follows from it is no news.
    if let Some(told) = told.filter(|_| findings.is_empty()) {
        let end = end.unwrap_or_default();
        if told.number > end.number {
            let what = format!(
                "the log ends with entry {} and entry {} was acknowledged{ONLY_THE_LOG}",
                end.number, told.number
            );
            findings.push(Finding::new(directory.join(audit::DIRECTORY), what, Remedy::RestoreBackup));
        } else if !has_told {
            let what = format!(
                "no batch ends with entry {} and the hash that was acknowledged with it{ONLY_THE_LOG}",
                told.number
            );
            findings.push(Finding::new(audit::last(directory), what, Remedy::RestoreBackup));
        }
    }
    Ok(findings)
}

/// Whether a finding is about the end of the log, which can be cut off.
pub(super) fn is_torn_end(finding: &Finding) -> bool {
    finding.remedy == Remedy::CutTail && audit::first(&finding.file).is_some()
}

/// Findings about what lies beside the log, which are those of every folder of ours.
pub(super) fn strays(directory: &Path) -> Result<impl Iterator<Item = std::path::PathBuf>> {
    let last = audit::last(directory);
    let is_ours = move |path: &std::path::PathBuf| audit::first(path).is_some() || *path == last;
    Ok(folders::entries(&directory.join(audit::DIRECTORY))?.into_iter().filter(move |path| !is_ours(path)))
}

/// What was looked at so far.
struct Chain<'a> {
    manifest: Option<&'a Manifest>,
    told: Option<Last>,
    /// Where it ends; `None` where that cannot be said for what is damaged.
    end: Option<Last>,
    /// Whether the batch that was acknowledged last was seen.
    has_told: bool,
    findings: Vec<Finding>,
}

impl Chain<'_> {
    fn look_at(&mut self, path: &Path, first: u64, is_newest: bool) -> Result<()> {
        let file = std::fs::read(path).map_err(crate::store::embedded::files::failed("reading", path))?;
        if let Some(end) = self.end
            && end.number + 1 != first
        {
            let what =
                format!("the log goes on with entry {first} after entry {}: what is between is missing", end.number);
            self.lost(path, 0, what);
            self.end = None;
        }
        let head = match Head::read(path, &file) {
            Ok(head) => head,
            Err(Error::Damaged { offset, what, .. }) => {
                self.lost(path, offset, what);
                self.end = None;
                return Ok(());
            }
            Err(error) => return Err(error),
        };
        if self.manifest.is_some_and(|manifest| manifest.store != head.store) {
            self.lost(path, 0, "the file is of another store");
        } else if self.end.is_some_and(|end| end.hash != head.previous) {
            self.lost(path, 0, "the file does not follow the one before: the chain is broken");
        }
        self.end = Some(Last { number: first.saturating_sub(1), hash: head.previous });
        for framed in Frames::of(&file) {
            match framed {
                Ok(framed) => self.add(path, &framed),
                Err(fault) => self.ends(path, &fault, is_newest),
            }
        }
        Ok(())
    }

    fn add(&mut self, path: &Path, framed: &audit::Framed) {
        let batch = &framed.batch;
        let follows = self.end.is_none_or(|end| (end.number + 1, end.hash) == (batch.first, batch.previous));
        if !follows {
            self.lost(path, framed.offset, "a batch does not follow the one before: the chain is broken");
        }
        let end = Last { number: batch.last(), hash: framed.hash };
        self.has_told |= self.told == Some(end);
        self.end = Some(end);
    }

    /// The batches of a file end before the file does.
    fn ends(&mut self, path: &Path, fault: &Fault, is_newest: bool) {
        let is_unfinished = self.end.is_some_and(|end| fault.is_unfinished(end.number, self.told));
        if is_newest && is_unfinished {
            let what = format!("{}: a write that was not finished", fault.what);
            self.findings.push(Finding::new(path, what, Remedy::CutTail).at(fault.offset));
            return;
        }
        self.lost(path, fault.offset, fault.what);
        self.end = None;
    }

    fn lost(&mut self, path: &Path, offset: u64, what: impl Into<String>) {
        let what = format!("{}{ONLY_THE_LOG}", what.into());
        self.findings.push(Finding::new(path, what, Remedy::RestoreBackup).at(offset));
    }
}
