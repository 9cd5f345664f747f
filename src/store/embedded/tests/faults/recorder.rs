//! Listens to the steps that stores take on their files.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use crate::domain::id::Revision;
use crate::store::embedded::locks;
use crate::store::embedded::steps::Step;

/// Everything that happened below a directory, in order.
static LISTENERS: Mutex<Vec<(PathBuf, Log)>> = Mutex::new(Vec::new());

type Log = Arc<Mutex<Vec<Entry>>>;

/// Something that happened. Paths are relative to the directory that is listened to.
#[derive(Debug, Clone)]
pub(super) enum Entry {
    Change(Change),
    /// A caller was told, or could see, that this commit and all before it are accepted.
    Acknowledged(Revision),
    /// The content of an artifact is being changed to this, or to nothing.
    ArtifactBegins(usize, Option<u8>),
    /// A caller was told that it has been changed.
    ArtifactEnds(usize, Option<u8>),
}

/// A step that owns what it speaks of.
#[derive(Debug, Clone)]
pub(super) enum Change {
    MakeDirectory(PathBuf),
    Create(PathBuf),
    Write { path: PathBuf, offset: u64, bytes: Vec<u8> },
    SetLength { path: PathBuf, bytes: u64 },
    Rename { from: PathBuf, to: PathBuf },
    Remove(PathBuf),
    Sync(PathBuf),
    SyncDirectory(PathBuf),
}

/// Called by the store for each step.
pub(in crate::store::embedded) fn tell(step: &Step<'_>) {
    for (root, log) in locks::lock(&LISTENERS).iter() {
        if let Some(change) = Change::below(root, step) {
            locks::lock(log).push(Entry::Change(change));
        }
    }
}

/// Listens until it is dropped.
#[derive(Debug)]
pub(super) struct Recorder {
    log: Log,
}

impl Recorder {
    pub(super) fn start(root: &Path) -> Self {
        let log = Log::default();
        locks::lock(&LISTENERS).push((root.to_owned(), Arc::clone(&log)));
        Self { log }
    }

    pub(super) fn note(&self, entry: Entry) {
        locks::lock(&self.log).push(entry);
    }

    /// How much has happened so far.
    pub(super) fn position(&self) -> usize {
        locks::lock(&self.log).len()
    }

    pub(super) fn entries(&self) -> Vec<Entry> {
        locks::lock(&self.log).clone()
    }
}

impl Drop for Recorder {
    fn drop(&mut self) {
        locks::lock(&LISTENERS).retain(|(_, log)| !Arc::ptr_eq(log, &self.log));
    }
}

impl Change {
    /// Whether it happens in the directory of one index, which bears a number.
    pub(super) fn is_within_index(&self) -> bool {
        let path = match self {
            Self::MakeDirectory(path) | Self::Create(path) | Self::Remove(path) => path,
            Self::Write { path, .. } | Self::SetLength { path, .. } | Self::Rename { to: path, .. } => path,
            Self::Sync(path) | Self::SyncDirectory(path) => path,
        };
        let mut names = path.iter().skip_while(|name| *name != "index").skip(1);
        names.next().is_some_and(|name| name.to_str().is_some_and(|name| name.parse::<u64>().is_ok()))
    }

    fn below(root: &Path, step: &Step<'_>) -> Option<Self> {
        let relative = |path: &Path| path.strip_prefix(root).ok().map(Path::to_owned);
        Some(match *step {
            Step::MakeDirectory(path) => Self::MakeDirectory(relative(path)?),
            Step::Create(path) => Self::Create(relative(path)?),
            Step::Write { path, offset, bytes } => Self::Write { path: relative(path)?, offset, bytes: bytes.to_vec() },
            Step::SetLength { path, bytes } => Self::SetLength { path: relative(path)?, bytes },
            Step::Rename { from, to } => Self::Rename { from: relative(from)?, to: relative(to)? },
            Step::Remove(path) => Self::Remove(relative(path)?),
            Step::Sync(path) => Self::Sync(relative(path)?),
            Step::SyncDirectory(path) => Self::SyncDirectory(relative(path)?),
        })
    }
}
