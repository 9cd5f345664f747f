//! Where the demo keeps its data: where the user says, or in a temporary directory that does not outlive it.

use std::os::unix::fs::DirBuilderExt as _;
use std::path::PathBuf;

use anyhow::Context as _;

use crate::cli::clock;

/// A directory for the demo.
pub struct Home {
    /// Where it is.
    pub path: PathBuf,
    is_temporary: bool,
}

impl Home {
    /// The directory that the user names, else a new temporary one that only the user can read.
    ///
    /// # Errors
    /// When the temporary directory cannot be made.
    pub fn new(data_dir: Option<PathBuf>) -> anyhow::Result<Self> {
        if let Some(path) = data_dir {
            return Ok(Self { path, is_temporary: false });
        }
        let name = format!("rapport-demo-{}-{}", std::process::id(), clock::now_micros());
        let path = std::env::temp_dir().join(name);
        let made = std::fs::DirBuilder::new().mode(0o700).create(&path);
        made.with_context(|| format!("a temporary directory at {}", path.display()))?;
        Ok(Self { path, is_temporary: true })
    }

    /// The directory in words.
    pub fn description(&self) -> String {
        let path = self.path.display();
        if self.is_temporary { format!("{path}, which is removed at the end") } else { path.to_string() }
    }
}

impl Drop for Home {
    fn drop(&mut self) {
        if self.is_temporary
            && let Err(error) = std::fs::remove_dir_all(&self.path)
        {
            eprintln!("{} could not be removed: {error}", self.path.display());
        }
    }
}
