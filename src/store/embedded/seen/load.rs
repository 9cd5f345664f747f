//! Taking up the runs of an index that is opened.

use std::sync::Arc;

use super::run::{Label, Run};
use super::runs::{Runs, remove_run};
use crate::store::Result;
use crate::store::embedded::codec;
use crate::store::embedded::index::keys;
use crate::store::embedded::index::{Batch, Disk};

/// Reads the list with the fences of each run, and removes the leftovers of merges that were not finished.
pub(in crate::store::embedded) fn load(disk: &Disk) -> Result<Runs> {
    let labels: Vec<Label> = match disk.raw(&keys::RUN_LIST)? {
        Some(list) => codec::decode("the list of runs", &list)?,
        None => Vec::new(),
    };
    sweep(disk, &labels)?;
    let runs: Result<_> = labels.into_iter().map(|label| Run::load(disk, label).map(Arc::new)).collect();
    Ok(Runs(runs?))
}

/// Removes runs that no list names.
fn sweep(disk: &Disk, labels: &[Label]) -> Result<()> {
    for keys_of in [keys::run_blocks, keys::run_fences] {
        let mut from = keys_of(0);
        let prefix = from[..2].to_vec();
        while let Some((key, _)) = disk.raw_from(&from).next().transpose()? {
            let Some(run) = key.strip_prefix(prefix.as_slice()).and_then(|rest| rest.first_chunk::<8>()) else { break };
            let run = u64::from_be_bytes(*run);
            if labels.iter().all(|label| label.id != run) {
                let mut batch = Batch::default();
                remove_run(disk, run, &mut batch)?;
                disk.apply(batch)?;
            }
            from = keys_of(run + 1);
        }
    }
    Ok(())
}
