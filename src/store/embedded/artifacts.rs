//! Trained models as files.

use std::fs;
use std::path::{Path, PathBuf};

use super::{codec, files};
use crate::domain::id::WorkspaceId;
use crate::domain::model::ModelVersion;
use crate::store::{Error, Result};

/// Where they lie in a data directory.
pub(super) const DIRECTORY: &str = "artifacts";
const MAGIC: [u8; 4] = *b"RPMA";
const FORMAT: u32 = 1;

/// `artifacts/<workspace>/<version>`. Both names are plain words by their types.
#[derive(Debug, Clone)]
pub(super) struct Artifacts(PathBuf);

impl Artifacts {
    pub(super) fn new(directory: &Path) -> Self {
        Self(directory.join(DIRECTORY))
    }

    pub(super) fn put(&self, workspace: &WorkspaceId, version: &ModelVersion, bytes: &[u8]) -> Result<()> {
        let path = self.path(workspace, version);
        files::make_directory(&self.0)?;
        files::make_directory(&self.0.join(workspace.as_str()))?;
        files::write_atomically(&path, &codec::seal_file(MAGIC, FORMAT, bytes))
    }

    pub(super) fn get(&self, workspace: &WorkspaceId, version: &ModelVersion) -> Result<Option<Vec<u8>>> {
        read(&self.path(workspace, version))
    }

    pub(super) fn remove(&self, workspace: &WorkspaceId, version: &ModelVersion) -> Result<()> {
        files::remove(&self.path(workspace, version))
    }

    /// Removes what a crash left unfinished.
    pub(super) fn sweep(&self) -> Result<()> {
        let workspaces = match fs::read_dir(&self.0) {
            Ok(workspaces) => workspaces,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(files::failed("listing", &self.0)(error)),
        };
        for workspace in workspaces {
            let workspace = workspace.map_err(files::failed("listing", &self.0))?.path();
            for file in fs::read_dir(&workspace).map_err(files::failed("listing", &workspace))? {
                let file = file.map_err(files::failed("listing", &workspace))?.path();
                if file.extension().is_some_and(|extension| extension == files::UNFINISHED) {
                    files::remove(&file)?;
                }
            }
        }
        Ok(())
    }

    fn path(&self, workspace: &WorkspaceId, version: &ModelVersion) -> PathBuf {
        self.0.join(workspace.as_str()).join(version.as_str())
    }
}

/// The bytes in a file, which must be what was kept.
pub(super) fn read(path: &Path) -> Result<Option<Vec<u8>>> {
    let Some(file) = files::read(path)? else { return Ok(None) };
    match codec::open_file(MAGIC, &file) {
        Ok((FORMAT, bytes)) => Ok(Some(bytes.to_vec())),
        Ok((found, _)) => Err(Error::Format { file: path.display().to_string(), found, supported: FORMAT }),
        Err(what) => Err(files::damaged(path, 0, what)),
    }
}
