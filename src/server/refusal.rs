//! What only an operator can mend, with the next step.

use std::path::Path;

use crate::store;

/// A start, or a command, that must not go on: somebody has to do something first. The process exits with 2.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct Refusal(String);

impl Refusal {
    pub(super) fn new(sentence: String) -> Self {
        Self(sentence)
    }
}

/// Errors that only an operator can mend become a refusal that names the next step.
pub(super) fn refusal(error: store::Error, data_dir: &Path) -> anyhow::Error {
    let directory = data_dir.display();
    match error {
        store::Error::InUse { .. } | store::Error::Refused(_) => Refusal(error.to_string()).into(),
        store::Error::DiskFull(_) => {
            Refusal(format!("{error}; make room on the disk of {directory}, then start again")).into()
        }
        // What the manifest says can be read from the journal. The journal itself has no second copy here.
        store::Error::Damaged { ref file, .. } if file.ends_with("MANIFEST") => Refusal(format!(
            "{error}; the data directory {directory} is not served: `rapport verify --repair --data-dir {directory}` \
             mends what can be mended"
        ))
        .into(),
        store::Error::Damaged { .. } => Refusal(format!(
            "{error}; the data directory {directory} is not served: `rapport verify --data-dir {directory}` says all \
             that is wrong; move the directory aside, then bring back a backup with `rapport restore BACKUP --data-dir \
             {directory}`"
        ))
        .into(),
        store::Error::Format { .. } => Refusal(format!("{error}; start the release that wrote {directory}")).into(),
        error => error.into(),
    }
}
