//! All runs, and which of them belong together.

use std::collections::HashMap;
use std::sync::Arc;

use super::merge::{Merge, Merged};
use super::run::{Entry, Found, Label, Run, RunWriter};
use crate::domain::time::Timestamp;
use crate::store::Result;
use crate::store::embedded::codec;
use crate::store::embedded::index::keys::{self, EventHash};
use crate::store::embedded::index::{Batch, Disk};
use crate::store::embedded::journal::EventRef;

/// A run below this is written anew with what comes next, so that a trickle of events does not make many runs.
const SMALL_ENTRIES: u64 = 256;
/// So many runs of one size become one of the next.
const RUNS_PER_TIER: usize = 4;

/// The runs, oldest first. A list never changes; a new one takes its place.
#[derive(Debug, Clone, Default)]
pub(in crate::store::embedded) struct Runs(pub(super) Vec<Arc<Run>>);

/// Runs that are in no list any more.
#[derive(Debug, Default)]
pub(in crate::store::embedded) struct Garbage(Vec<u64>);

impl Runs {
    /// Where the event that was last accepted under a hash lies; the outer `None` when the list is out of date.
    pub(in crate::store::embedded) fn find(&self, disk: &Disk, hash: &EventHash) -> Result<Option<Option<EventRef>>> {
        for run in self.0.iter().rev() {
            match run.find(disk, hash)? {
                Found::No => {}
                Found::At(at) => return Ok(Some(Some(at))),
                Found::Gone => return Ok(None),
            }
        }
        Ok(Some(None))
    }

    /// An id that no run has.
    pub(in crate::store::embedded) fn next_id(&self) -> u64 {
        self.0.iter().map(|run| run.label.id + 1).max().unwrap_or(0)
    }

    /// The list with a further run.
    pub(in crate::store::embedded) fn with_added(
        &self,
        id: u64,
        newest: Timestamp,
        seen: &HashMap<EventHash, EventRef>,
        batch: &mut Batch,
    ) -> Result<Self> {
        let mut entries: Vec<_> = seen.iter().map(|(hash, at)| Entry { hash: *hash, at: *at }).collect();
        entries.sort_unstable_by_key(|entry| entry.hash);
        let mut writer = RunWriter::new(id, newest);
        entries.into_iter().for_each(|entry| writer.push(entry, batch));
        let mut runs = self.0.clone();
        runs.push(writer.finish(batch)?);
        Ok(Self(runs))
    }

    /// Takes the newest run off the list when it is small, and adds its entries to `seen`, whose own are newer.
    pub(in crate::store::embedded) fn without_small(
        &self,
        disk: &Disk,
        seen: &mut HashMap<EventHash, EventRef>,
        garbage: &mut Garbage,
    ) -> Result<Self> {
        let Some((last, older)) = self.0.split_last().filter(|(last, _)| last.label.entries < SMALL_ENTRIES) else {
            return Ok(self.clone());
        };
        for entry in last.block(disk, 0)? {
            seen.entry(entry.hash).or_insert(entry.at);
        }
        garbage.0.push(last.label.id);
        Ok(Self(older.to_vec()))
    }

    /// The list without the runs whose newest event is older than `oldest`.
    pub(in crate::store::embedded) fn without_older_than(&self, oldest: Timestamp, garbage: &mut Garbage) -> Self {
        let (kept, dropped): (Vec<_>, Vec<_>) = self.0.iter().cloned().partition(|run| run.label.newest >= oldest);
        garbage.0.extend(dropped.iter().map(|run| run.label.id));
        Self(kept)
    }

    /// The newest runs that should become one.
    pub(in crate::store::embedded) fn plan_merge(&self, id: u64) -> Option<Merge> {
        let newest = tier(self.0.last()?);
        let mut smaller = self.0.iter().rev().take_while(|run| tier(run) <= newest).cloned().collect::<Vec<_>>();
        smaller.reverse();
        (smaller.len() >= RUNS_PER_TIER).then(|| Merge::new(id, smaller))
    }

    /// The list with one run in the place of those that it was merged from.
    pub(in crate::store::embedded) fn with_merged(&self, merged: Merged, garbage: &mut Garbage) -> Self {
        let mut run = Some(merged.run);
        let mut runs = Vec::with_capacity(self.0.len());
        for known in &self.0 {
            if merged.replaced.contains(&known.label.id) {
                garbage.0.push(known.label.id);
                runs.extend(run.take());
            } else {
                runs.push(Arc::clone(known));
            }
        }
        Self(runs)
    }

    /// Adds the list to a batch.
    pub(in crate::store::embedded) fn put_list(&self, batch: &mut Batch) -> Result<()> {
        let labels: Vec<Label> = self.0.iter().map(|run| run.label).collect();
        batch.insert(&keys::RUN_LIST, codec::encode(&labels)?);
        Ok(())
    }
}

impl Garbage {
    /// Removes the runs. Only for those that a list without them has been published for: a reader that still holds
    /// the older list finds a block gone and takes the newer.
    pub(in crate::store::embedded) fn remove(&mut self, disk: &Disk, batch: &mut Batch) -> Result<()> {
        for run in self.0.drain(..) {
            remove_run(disk, run, batch)?;
        }
        Ok(())
    }
}

/// Adds the removal of everything that is stored of a run.
pub(super) fn remove_run(disk: &Disk, run: u64, batch: &mut Batch) -> Result<()> {
    for prefix in [keys::run_blocks(run), keys::run_fences(run)] {
        for item in disk.raw_from(&prefix) {
            let (key, _) = item?;
            if !key.starts_with(&prefix) {
                break;
            }
            batch.remove(key);
        }
    }
    Ok(())
}

fn tier(run: &Run) -> u32 {
    (run.label.entries / SMALL_ENTRIES).max(1).ilog(RUNS_PER_TIER as u64)
}
