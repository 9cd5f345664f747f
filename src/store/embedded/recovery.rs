//! From what is on disk to an index that agrees with the journal.

use std::path::Path;
use std::sync::Arc;
use std::thread::{self, JoinHandle};

use super::changes::{Placed, changes};
use super::effects::Effects;
use super::entry::Entry;
use super::index::{self, Flusher, Index, Mark, Meta};
use super::journal::{Frame, Journal, Segments};
use super::manifest::StoreId;
use super::options::Options;
use super::status::Status;
use super::{files, timeline};
use crate::domain::event::Event;
use crate::domain::id::{ProfileId, WorkspaceId};
use crate::domain::profile::Profile;
use crate::domain::projection::{self, Before};
use crate::store::{Error, Result};

/// An index with the thread that brings it to disk.
pub(super) struct Served {
    pub(super) index: Arc<Index>,
    flusher: Option<JoinHandle<Result<()>>>,
    /// Dropped after the index, and so after sled.
    mark: Mark,
}

/// Brings the index to the end of the journal. Cuts the journal's torn tail, once it is sure that nobody was told
/// that it is durable.
pub(super) fn recover(
    options: &Options,
    store: StoreId,
    journal: &mut Journal,
    status: &Arc<Status>,
) -> Result<Served> {
    let directory = options.directory.join("index");
    files::make_directory(&directory)?;
    let is_trusted = Mark::is_trusted(&directory)?;
    let mark = if is_trusted { Some(Mark::set(&directory)?) } else { None };
    let found = index::find(&directory, store, options.index_cache_bytes)?;
    if let Some(found) = &found {
        check_end(journal, &found.meta, &directory)?;
    }
    let opened = match found.filter(|_| is_trusted) {
        Some(found) => found,
        None => index::discard(&directory, store, options.index_cache_bytes)?,
    };
    let mark = mark.map_or_else(|| Mark::set(&directory), Ok)?;
    journal.cut()?;
    let served = Served::start(opened, mark, options, status)?;
    match served.replay(journal) {
        // What is wrong with the journal no other index can mend.
        Err(Error::Index(what)) => tracing::warn!(what, "the index cannot be used; it is rebuilt from the journal"),
        Err(error) => return Err(error),
        Ok(()) => return Ok(served),
    }
    drop(served);
    let opened = index::discard(&directory, store, options.index_cache_bytes)?;
    let mark = Mark::set(&directory)?;
    let served = Served::start(opened, mark, options, status)?;
    served.replay(journal)?;
    Ok(served)
}

/// Brings an index to the end of the journal for somebody who only looks at it, and everything of it to sled. `visit`
/// sees each commit before its turn.
pub(super) fn bring_up(
    opened: index::Opened,
    options: &Options,
    journal: &Journal,
    visit: &mut dyn FnMut(&Frame) -> Result<()>,
) -> Result<Served> {
    let mark = Mark::set(&options.directory)?;
    let mut served = Served::start(opened, mark, options, &Arc::default())?;
    let (from, segments) = (served.index.meta().applied, journal.segments());
    journal.replay(from, |frame| {
        visit(&frame)?;
        served.apply(frame, &segments)
    })?;
    served.finish()?;
    Ok(served)
}

/// An index is written after the journal: what it holds was durable, and must still be there.
pub(super) fn check_end(journal: &Journal, meta: &Meta, directory: &Path) -> Result<()> {
    if meta.applied <= journal.last {
        return Ok(());
    }
    let lost = format!(
        "the journal ends with commit {} and the index holds commit {}; restore the journal, or, if it is an older \
         one that you restored, delete {}",
        journal.last,
        meta.applied,
        directory.display()
    );
    let (path, offset) = journal.end();
    Err(files::damaged(&path, offset, lost))
}

impl Served {
    fn start(opened: index::Opened, mark: Mark, options: &Options, status: &Arc<Status>) -> Result<Self> {
        let index = Arc::new(Index::new(opened.disk, opened.meta, opened.runs, Arc::clone(status)));
        let flusher = Flusher::new(Arc::clone(&index), options.idempotency_window);
        let thread = thread::Builder::new().name("flusher".to_owned()).spawn(|| flusher.run());
        let thread = thread.map_err(|cause| Error::Io { action: "starting a thread".to_owned(), cause })?;
        Ok(Self { index, flusher: Some(thread), mark })
    }

    /// Brings everything to sled and ends the thread.
    pub(super) fn finish(&mut self) -> Result<()> {
        let Some(flusher) = self.flusher.take() else { return Ok(()) };
        self.index.stop();
        flusher.join().unwrap_or_else(|_| Err(Error::Index("the flusher panicked".to_owned())))?;
        self.mark.end_well();
        Ok(())
    }

    /// Applies every commit that the index does not hold yet, exactly as if it were made now.
    fn replay(&self, journal: &Journal) -> Result<()> {
        let (from, segments) = (self.index.meta().applied, journal.segments());
        if journal.last == from {
            return Ok(());
        }
        journal.replay(from, |frame| self.apply(frame, &segments))?;
        tracing::info!(%from, to = %journal.last, "brought the index to the end of the journal");
        Ok(())
    }

    fn apply(&self, frame: Frame, segments: &Segments) -> Result<()> {
        self.index.wait_for_room();
        // A flusher that failed makes no more room.
        self.index.check()?;
        let before = Stored { index: &self.index, segments, workspace: &frame.workspace };
        let projection = projection::project(&frame.facts, frame.time, &before)?;
        let effects = Effects::of(frame.workspace.clone(), frame.time, &frame.facts, projection)?;
        let placed = Placed { revision: frame.revision, places: frame.places };
        self.index.publish(changes(&*self.index, effects, &placed)?);
        Ok(())
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        // Nothing is lost: what does not reach sled is replayed.
        if let Err(error) = self.finish() {
            tracing::warn!(%error, "the index was not brought to its end");
        }
    }
}

/// What replay finds before a commit.
struct Stored<'a> {
    index: &'a Index,
    segments: &'a Segments,
    workspace: &'a WorkspaceId,
}

impl Before for Stored<'_> {
    type Error = Error;

    fn profile(&self, id: ProfileId) -> Result<Option<Profile>> {
        match Entry::find(self.index, self.workspace, id)? {
            Some(entry) => entry.profile(),
            None => Ok(None),
        }
    }

    fn timeline(&self, id: ProfileId) -> Result<Vec<Event>> {
        self.segments.events(timeline::places(self.index, self.workspace, id)?)
    }
}
