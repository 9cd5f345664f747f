//! The keys: without them nothing that is stored can be read.

use std::path::Path;
use std::sync::Arc;

use super::finding::{Finding, Remedy};
use crate::store::embedded::Options;
use crate::store::embedded::vault::{self, Vault};
use crate::store::{Error, Result};

/// The vault as far as it can be opened, and what is wrong with it.
///
/// # Errors
/// [`Error::Refused`] without the right master key.
pub(super) fn look(options: &Options) -> Result<(Option<Arc<Vault>>, Vec<Finding>)> {
    let directory = &options.directory;
    let lost = |file: &Path, what: String| (None, vec![Finding::new(file, what, Remedy::RestoreBackup)]);
    let root = vault::root_file(directory);
    if !root.exists() {
        return Ok(lost(&root, "the root key is missing, without which nothing can be read".to_owned()));
    }
    match Vault::look(directory, &options.master_keys) {
        Ok(vault) => {
            let harmed = vault.harmed()?.into_iter().map(|file| {
                let what = "it is not what its copy is; the next start mends it by the slots that are whole";
                Finding::new(file, what, Remedy::Nothing)
            });
            Ok((Some(Arc::new(vault)), harmed.collect()))
        }
        Err(Error::Damaged { file, offset, what }) => {
            let (vault, findings) = lost(Path::new(&file), what);
            Ok((vault, findings.into_iter().map(|finding| finding.at(offset)).collect()))
        }
        Err(error) => Err(error),
    }
}
