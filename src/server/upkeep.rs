//! Work on the files of a server that is stopped: bringing back a backup, and verifying a data directory.

use std::ops::ControlFlow;
use std::path::Path;

use super::config::Config;
use super::encryption;
use super::refusal::{Refusal, refusal};
use crate::store;
use crate::store::Progress;
use crate::store::embedded::{self, Options};
pub use crate::store::embedded::{Finding, Mode, Remedy, Restored, Verified};

/// Makes a data directory, which must be missing or empty, from a backup.
///
/// # Errors
/// [`Refusal`] when the directory is not free, or the backup is none, damaged or of another release; the directory is
/// as it was then.
pub fn restore(backup: &Path, data_dir: &Path, mut told: impl FnMut(Progress)) -> anyhow::Result<Restored> {
    let mut observe = |progress| {
        told(progress);
        ControlFlow::Continue(())
    };
    embedded::restore(backup, data_dir, &mut observe).map_err(|error| match error {
        store::Error::Damaged { .. } => {
            Refusal::new(format!("{error}; {} is as it was: restore another backup", data_dir.display())).into()
        }
        error => refusal(error, data_dir),
    })
}

/// Adds the erasures of a ledger to the data directory of a stopped server, which carries them out at its next start. Returns
/// how many were new.
///
/// # Errors
/// [`Refusal`] for a file that is no ledger.
pub fn take_over_erasures(data_dir: &Path, ledger: &Path) -> anyhow::Result<usize> {
    embedded::take_over_erasures(data_dir, ledger).map_err(|error| refusal(error, data_dir))
}

/// Looks at everything in the data directory of a stopped server, and repairs what the mode says.
///
/// # Errors
/// [`Refusal`] when the directory is in use, holds no data, or is of another release. Damage is no error but a finding.
pub fn verify(config: &Config, mode: Mode, mut told: impl FnMut(Progress)) -> anyhow::Result<Verified> {
    // A directory that has no name for its store yet is not verified, so that none is ever given here.
    let mut options = Options::new(&config.data_dir, [0; 16]);
    options.index_cache_bytes = config.storage.index_cache_bytes;
    options.master_keys = encryption::master_keys(config)?;
    let mut observe = |progress| {
        told(progress);
        ControlFlow::Continue(())
    };
    embedded::verify(&options, mode, &mut observe).map_err(|error| refusal(error, &config.data_dir))
}
