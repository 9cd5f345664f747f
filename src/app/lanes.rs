//! Taking turns: writes about the same identifiers go one after the other within this process.
//!
//! What keeps writes right are the preconditions of a commit, across processes too. But where many callers write about
//! one customer at the same moment, only one of them can hold its preconditions, and the others would decide again and
//! again. In a lane each waits for its turn and then finds nothing changed.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use tokio::sync::{Mutex, MutexGuard};

use crate::domain::id::WorkspaceId;
use crate::domain::identifier::Identifier;

/// Lanes; identifiers that share one by chance only wait for each other. So many that two batches of a hundred events
/// rarely do, for 3 MB.
const LANES: usize = 1 << 16;

/// The lanes of a process.
pub(super) struct Lanes(Box<[Mutex<()>]>);

impl Default for Lanes {
    fn default() -> Self {
        Self((0..LANES).map(|_| Mutex::new(())).collect())
    }
}

impl Lanes {
    /// Waits for the turn of a write about these identifiers; the turn ends when the answer is dropped. Lanes are
    /// entered in ascending order, so that no two writes wait for each other.
    pub(super) async fn enter<'a>(
        &self,
        workspace: &WorkspaceId,
        identifiers: impl Iterator<Item = &'a Identifier>,
    ) -> Vec<MutexGuard<'_, ()>> {
        let mut lanes: Vec<usize> = identifiers.map(|identifier| lane(workspace, identifier)).collect();
        lanes.sort_unstable();
        lanes.dedup();
        let mut turns = Vec::with_capacity(lanes.len());
        for lane in lanes {
            turns.push(self.0[lane].lock().await);
        }
        turns
    }
}

fn lane(workspace: &WorkspaceId, identifier: &Identifier) -> usize {
    let mut hasher = DefaultHasher::new();
    (workspace, identifier).hash(&mut hasher);
    (hasher.finish() % LANES as u64) as usize
}
