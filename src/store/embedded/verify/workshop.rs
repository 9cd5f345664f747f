//! Where a verification works: a directory in the data directory, so that it is on the same disk and goes with it.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::folders;
use crate::store::Result;
use crate::store::embedded::files::{self, failed};
use crate::store::embedded::meter::Meter;

/// The directory's name.
pub(super) const NAME: &str = "verify.tmp";

/// The directory, gone with this value. What a killed verification left there is removed at the next one.
pub(super) struct Workshop(PathBuf);

impl Workshop {
    pub(super) fn open(directory: &Path) -> Result<Self> {
        let path = directory.join(NAME);
        clear(&path)?;
        files::make_directory(&path)?;
        Ok(Self(path))
    }

    /// A new directory in it.
    pub(super) fn bench(&self, name: &str) -> Result<PathBuf> {
        let path = self.0.join(name);
        files::make_directory(&path)?;
        Ok(path)
    }
}

impl Drop for Workshop {
    fn drop(&mut self) {
        if let Err(error) = clear(&self.0) {
            tracing::warn!(%error, "a directory that is not needed any more stays behind");
        }
    }
}

/// Copies everything below a directory.
pub(super) fn copy(from: &Path, to: &Path, meter: &mut Meter<'_>) -> Result<()> {
    files::make_directory(to)?;
    for path in folders::entries(from)? {
        let target = to.join(path.file_name().unwrap_or_default());
        if path.is_dir() {
            copy(&path, &target, meter)?;
        } else {
            meter.add(fs::copy(&path, &target).map_err(failed("copying", &path))?)?;
        }
    }
    Ok(())
}

fn clear(path: &Path) -> Result<()> {
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(failed("removing", path)(error)),
        _ => Ok(()),
    }
}
