//! Something that is not as it should be.

use std::path::PathBuf;

/// Something that is not as it should be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// Where.
    pub file: PathBuf,
    /// Where in the file, if that can be said.
    pub offset: Option<u64>,
    /// What is wrong, without any of the content.
    pub what: String,
    /// What helps.
    pub remedy: Remedy,
    /// Whether it was done.
    pub repaired: bool,
}

/// What helps against a finding.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Remedy {
    /// Nothing has to be done: it does no harm, or the next start mends it.
    Nothing,
    /// The file is nobody's: remove it.
    RemoveLeftover,
    /// Nobody was told that this was durable: cut it off.
    CutTail,
    /// The journal says whose store it is: write the manifest anew.
    RewriteManifest,
    /// The journal has everything: build the index anew.
    RebuildIndex,
    /// Something that was acknowledged is not there: bring back a backup.
    RestoreBackup,
}

impl Finding {
    pub(super) fn new(file: impl Into<PathBuf>, what: impl Into<String>, remedy: Remedy) -> Self {
        Self { file: file.into(), offset: None, what: what.into(), remedy, repaired: false }
    }

    pub(super) fn at(self, offset: u64) -> Self {
        Self { offset: Some(offset), ..self }
    }

    /// Whether somebody still has to do something.
    pub fn remains(&self) -> bool {
        !self.repaired && self.remedy != Remedy::Nothing
    }
}

impl Remedy {
    /// The remedy as a program spells it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Nothing => "nothing",
            Self::RemoveLeftover => "remove_leftover",
            Self::CutTail => "cut_tail",
            Self::RewriteManifest => "rewrite_manifest",
            Self::RebuildIndex => "rebuild_index",
            Self::RestoreBackup => "restore_backup",
        }
    }
}
