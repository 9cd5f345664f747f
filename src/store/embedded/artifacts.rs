//! Trained models as files.

use std::fs;
use std::path::{Path, PathBuf};

use super::{codec, files};
use crate::domain::id::WorkspaceId;
use crate::domain::model::ModelVersion;
use crate::store::{Error, Result};

const MAGIC: [u8; 4] = *b"RPMA";
/// Since 2 the content begins with the file's name.
const FORMAT: u32 = 2;

/// `artifacts/<workspace>/<version>`. Both names are plain words by their types.
#[derive(Debug, Clone)]
pub(super) struct Artifacts(PathBuf);

impl Artifacts {
    pub(super) fn new(directory: &Path) -> Self {
        Self(directory.join("artifacts"))
    }

    pub(super) fn put(&self, workspace: &WorkspaceId, version: &ModelVersion, bytes: &[u8]) -> Result<()> {
        let path = self.path(workspace, version);
        files::make_directory(&self.0)?;
        files::make_directory(&self.0.join(workspace.as_str()))?;
        let named = [name(workspace, version).as_slice(), bytes].concat();
        files::write_atomically(&path, &codec::seal_file(MAGIC, FORMAT, &named))
    }

    pub(super) fn get(&self, workspace: &WorkspaceId, version: &ModelVersion) -> Result<Option<Vec<u8>>> {
        let path = self.path(workspace, version);
        let Some(file) = files::read(&path)? else { return Ok(None) };
        match codec::open_file(MAGIC, &file) {
            Ok((FORMAT, named)) => match named.strip_prefix(name(workspace, version).as_slice()) {
                Some(bytes) => Ok(Some(bytes.to_vec())),
                None => Err(files::damaged(&path, 0, "the file was written under another name")),
            },
            Ok((found, _)) => Err(Error::Format { file: path.display().to_string(), found, supported: FORMAT }),
            Err(what) => Err(files::damaged(&path, 0, what)),
        }
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

/// What the content begins with, so that a file that was copied over another is not taken for it. No name has a zero.
fn name(workspace: &WorkspaceId, version: &ModelVersion) -> Vec<u8> {
    [workspace.as_str().as_bytes(), version.as_str().as_bytes(), b""].join(&0)
}
