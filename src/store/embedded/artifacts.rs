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
/// Since 2 the content begins with the file's name.
const FORMAT: u32 = 2;

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
        let named = [name(&path).as_slice(), bytes].concat();
        files::write_atomically(&path, &codec::seal_file(MAGIC, FORMAT, &named))
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

/// The bytes in a file, which must be what was kept under its name.
pub(super) fn read(path: &Path) -> Result<Option<Vec<u8>>> {
    let Some(file) = files::read(path)? else { return Ok(None) };
    match codec::open_file(MAGIC, &file) {
        Ok((FORMAT, named)) => match named.strip_prefix(name(path).as_slice()) {
            Some(bytes) => Ok(Some(bytes.to_vec())),
            None => Err(files::damaged(path, 0, "the file was written under another name")),
        },
        Ok((found, _)) => Err(Error::Format { file: path.display().to_string(), found, supported: FORMAT }),
        Err(what) => Err(files::damaged(path, 0, what)),
    }
}

/// What the content begins with, so that a file that was copied over another is not taken for it: workspace and version,
/// each with a zero behind it, which no name has.
fn name(path: &Path) -> Vec<u8> {
    let names = [path.parent().and_then(Path::file_name), path.file_name()];
    names.into_iter().flatten().flat_map(|name| [name.as_encoded_bytes(), &[0]].concat()).collect()
}
