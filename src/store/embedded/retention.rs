//! Letting go of the oldest segments, once nothing leads through them any more.
//!
//! An index is made of a checkpoint and the commits after it. So that the commits before are not needed, two checkpoints
//! must be there that were made after everything was forgotten that lies in those segments: from then on they are the
//! truth about what was before, and are kept twice and read through before the first segment goes. Then, in this order:
//! the manifest says where the journal begins, and the files are removed. Whatever happens in between, a start knows
//! what it may miss and removes what is left.

use std::path::PathBuf;

use async_trait::async_trait;

use super::checkpoints::{self, KEPT};
use super::files;
use super::journal::{self, Begun};
use super::manifest::{self, Begin, Manifest};
use super::meter::Meter;
use super::status::Status;
use super::store::{EmbeddedStore, Open};
use crate::domain::id::Revision;
use crate::domain::limits;
use crate::store::{Error, Forgotten, Result, Retention};

#[async_trait]
impl Retention for EmbeddedStore {
    async fn forget_commits(&self, forgotten: Forgotten) -> Result<Revision> {
        let status = self.shared_status();
        self.read(move |open| {
            forget(open, &status, forgotten)?;
            Ok(open.trail().oldest())
        })
        .await
    }
}

fn forget(open: &Open, status: &Status, forgotten: Forgotten) -> Result<()> {
    let journal = open.directory().join("journal");
    let window = open.index().meta().time.minus(open.window());
    let before = forgotten.before.minus(limits::CLOCK_SKEW).min(window);
    let Some(begun) = journal::begin_behind(&journal, open.trail().oldest(), (forgotten.by, before))? else {
        return Ok(());
    };
    if !has_two_checkpoints(open, status, forgotten.by)? {
        tracing::info!("the oldest part of the journal stays until two checkpoints have taken its place");
        return Ok(());
    }
    let Some(_no_backup_copies_it) = open.keep().try_hold() else { return Ok(()) };
    drop_segments(open, begun, forgotten.by)
}

/// Whether there are two whole checkpoints of a commit or later ones; asks for what is missing.
fn has_two_checkpoints(open: &Open, status: &Status, by: Revision) -> Result<bool> {
    for attempt in 0..=KEPT {
        let mut latest = checkpoints::list(open.directory())?;
        latest.drain(..latest.len().saturating_sub(KEPT));
        latest.retain(|(revision, _)| *revision >= by);
        if latest.len() == KEPT && are_whole(open, status, &latest)? {
            return Ok(true);
        }
        // One is made for each state; another one has to wait for the next commit.
        if attempt == KEPT || !open.index().make_checkpoint(|| status.patience().is_continue()) {
            break;
        }
    }
    Ok(false)
}

fn are_whole(open: &Open, status: &Status, latest: &[(Revision, PathBuf)]) -> Result<bool> {
    for (_, path) in latest {
        let mut patience = |_| status.patience();
        match checkpoints::check(path, open.store(), &mut Meter::new(0, &mut patience)) {
            Ok(()) => {}
            Err(Error::Damaged { file, offset, what }) => {
                tracing::warn!(file, offset, what, "a checkpoint is damaged; it gives way to later ones");
                return Ok(false);
            }
            Err(error) => return Err(error),
        }
    }
    Ok(true)
}

fn drop_segments(open: &Open, begun: Begun, usable_from: Revision) -> Result<()> {
    let Begun { first, previous_first, previous_bytes, dropped } = begun;
    if first <= open.trail().oldest() {
        // Somebody else was faster.
        return Ok(());
    }
    // An erasure may have asked for a later one.
    let usable_from = usable_from.max(manifest::read(open.directory())?.begin.usable_from);
    let begin = Begin { first, previous_first, previous_bytes, usable_from };
    manifest::write(open.directory(), &Manifest { store: open.store(), begin })?;
    open.trail().begin_with(first);
    open.segments().begin_with(first);
    for path in &dropped {
        files::remove(path)?;
    }
    tracing::info!(segments = dropped.len(), %first, "let go of the oldest segments of the journal");
    Ok(())
}
