//! From what is on disk to an index that agrees with the journal.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::{self, JoinHandle};

use super::changes::{Placed, changes};
use super::checkpoints::{self, Reader, Shelf};
use super::effects::Effects;
use super::entry::Entry;
use super::index::{self, Duties, Flusher, Index, Mark, Source as _, Trust, keys};
use super::journal::{self, Frame, Journal, Segments};
use super::keep::Keep;
use super::manifest::{Begin, Manifest};
use super::options::{DiskLimits, OnReplay, Options};
use super::seals::Seals;
use super::space::Space;
use super::status::Status;
use super::vault::Vault;
use super::{files, timeline};
use crate::domain::erasure;
use crate::domain::fact::Fact;
use crate::domain::history::History;
use crate::domain::id::{ProfileId, Revision, WorkspaceId};
use crate::domain::identifier::Identifier;
use crate::domain::profile::Profile;
use crate::domain::projection::{self, Before};
use crate::store::{Error, Result};

/// An index with the thread that brings it to disk.
pub(super) struct Served {
    pub(super) index: Arc<Index>,
    space: Arc<Space>,
    flusher: Option<JoinHandle<Result<()>>>,
    /// Dropped after the index, and so after sled.
    mark: Mark,
}

/// Everything that an index is opened with.
pub(super) struct Recovery<'a> {
    pub(super) options: &'a Options,
    pub(super) manifest: Manifest,
    pub(super) vault: Arc<Vault>,
    pub(super) status: &'a Arc<Status>,
    pub(super) space: &'a Arc<Space>,
    pub(super) keep: &'a Keep,
}

impl Recovery<'_> {
    /// Brings the index to the end of the journal. Cuts the journal's torn tail, once it is sure that nobody was told
    /// that it is durable.
    pub(super) fn recover(&self, journal: &mut Journal) -> Result<Served> {
        self.space.prepare_start();
        let directory = self.options.directory.join("index");
        files::make_directory(&directory)?;
        let trust = Mark::trust(&directory)?;
        if trust == Trust::Changed {
            tracing::warn!("the files of the index are not what they were when it was closed; it is rebuilt");
        }
        let is_trusted = trust == Trust::Trusted;
        let mark = if is_trusted { Some(Mark::set(&directory)?) } else { None };
        let found = index::find(&directory, self.manifest.store, self.options.index_cache_bytes)?;
        if let Some(found) = &found {
            check_end(journal, found.meta.applied, &directory)?;
        }
        let is_usable = |found: &index::Opened| is_trusted && found.meta.applied >= self.manifest.begin.usable_from;
        let shelf = self.shelf()?;
        if let Some((revision, path)) = shelf.newest_first().next() {
            check_end(journal, revision, &path)?;
        }
        journal.cut()?;
        let served = match found.filter(is_usable) {
            Some(found) => self.serve(found, mark.map_or_else(|| Mark::set(&directory), Ok)?)?,
            None => self.begin_anew(&directory)?,
        };
        match served.replay(journal, &self.options.on_replay) {
            // What is wrong with the journal no other index can mend.
            Err(Error::Index(what)) => tracing::warn!(what, "the index cannot be used; it is rebuilt from the journal"),
            Err(error) => return Err(error),
            Ok(()) => return Ok(served),
        }
        drop(served);
        let served = self.begin_anew(&directory)?;
        served.replay(journal, &self.options.on_replay)?;
        Ok(served)
    }

    /// Leaves whatever index there is, and begins with the newest checkpoint that is whole, or with nothing.
    fn begin_anew(&self, directory: &Path) -> Result<Served> {
        let shelf = self.shelf()?;
        let checkpoints = shelf.newest_first().collect();
        let opened = begin_index(directory, &self.manifest, checkpoints, self.options)?;
        self.serve(opened, Mark::set(directory)?)
    }

    fn shelf(&self) -> Result<Shelf> {
        Shelf::open(&self.options.directory, self.manifest.store, self.options.checkpoint_bytes)
    }

    fn serve(&self, opened: index::Opened, mark: Mark) -> Result<Served> {
        let checkpoints = self.shelf()?;
        let journal_bytes = journal::bytes_after(&self.options.directory.join("journal"), checkpoints.newest())?;
        let (space, keep, window) = (Arc::clone(self.space), self.keep.clone(), self.options.idempotency_window);
        let duties = Duties { space, window, checkpoints, keep, journal_bytes };
        Served::start((opened, Arc::clone(&self.vault)), mark, duties, self.status)
    }
}

/// Brings an index in a directory of its own to the end of the journal, for somebody who only looks at it, and
/// everything of it to disk. `visit` sees each commit before its turn.
pub(super) fn bring_up(
    opened: index::Opened,
    options: &Options,
    journal: &Journal,
    visit: &mut dyn FnMut(&Frame) -> Result<()>,
) -> Result<Served> {
    let (mark, limits) = (Mark::set(&options.directory)?, DiskLimits { reserve_bytes: 0, ..options.disk });
    let duties = Duties {
        space: Arc::new(Space::new(&options.directory, limits)),
        window: options.idempotency_window,
        // None is ever due here.
        checkpoints: Shelf::open(&options.directory, options.new_store_id, u64::MAX)?,
        keep: Keep::default(),
        journal_bytes: 0,
    };
    let mut served = Served::start((opened, journal.vault()), mark, duties, &Arc::default())?;
    let (from, segments) = (served.index.meta().applied, journal.segments());
    let foresee = |frame: &Frame| foresee(&served.index, frame);
    journal.replay(from, foresee, |frame| {
        visit(&frame)?;
        served.apply(frame, &segments)
    })?;
    served.finish()?;
    Ok(served)
}

/// Begins an index with the first of some checkpoints that is whole, or with nothing where the journal has everything.
pub(super) fn begin_index(
    directory: &Path,
    manifest: &Manifest,
    checkpoints: Vec<(Revision, PathBuf)>,
    options: &Options,
) -> Result<index::Opened> {
    let Manifest { store, begin } = *manifest;
    let discard = || index::discard(directory, store, options.index_cache_bytes);
    for (revision, path) in checkpoints.into_iter().filter(|(revision, _)| *revision >= begin.usable_from) {
        let began =
            Reader::open(&path, store).and_then(|mut reader| index::load(discard()?, &mut reader, &options.on_replay));
        match began {
            Ok(opened) => {
                tracing::info!(%revision, "began the index with a checkpoint");
                return Ok(opened);
            }
            Err(error) => tracing::warn!(%error, "a checkpoint cannot be used"),
        }
    }
    if begin.is_late() {
        return Err(files::damaged(&options.directory.join(checkpoints::DIRECTORY), 0, no_way(begin)));
    }
    discard()
}

/// What to say where nothing leads to the first commit of a journal that begins late.
pub(super) fn no_way(begin: Begin) -> String {
    format!(
        "the journal begins with commit {}, and no checkpoint of commit {} or a later one is whole, without which no \
         index can be made",
        begin.first, begin.usable_from
    )
}

/// An index and a checkpoint are written after the journal: what they hold was durable, and must still be there.
pub(super) fn check_end(journal: &Journal, held: Revision, holder: &Path) -> Result<()> {
    if held <= journal.last {
        return Ok(());
    }
    let (path, offset) = journal.end();
    Err(files::damaged(&path, offset, lost(journal.last, held, holder)))
}

/// What to say of a journal that ends before something that was made of it.
pub(super) fn lost(last: Revision, held: Revision, holder: &Path) -> String {
    format!(
        "the journal ends with commit {last} and {} holds commit {held}; restore the journal, or, if it is an older one \
         that you restored, delete {0}",
        holder.display()
    )
}

impl Served {
    fn start(
        (opened, vault): (index::Opened, Arc<Vault>),
        mark: Mark,
        duties: Duties,
        status: &Arc<Status>,
    ) -> Result<Self> {
        let index = Arc::new(Index::new(opened, Arc::clone(status), vault));
        let space = Arc::clone(&duties.space);
        // The process before may have used it up; a disk can be full again before the first flush.
        space.keep_reserve();
        let flusher = Flusher::new(Arc::clone(&index), duties);
        let thread = thread::Builder::new().name("flusher".to_owned()).spawn(|| flusher.run());
        let thread = thread.map_err(|cause| Error::Io { action: "starting a thread".to_owned(), cause })?;
        Ok(Self { index, space, flusher: Some(thread), mark })
    }

    /// Brings everything to disk and ends the thread.
    pub(super) fn finish(&mut self) -> Result<()> {
        let Some(flusher) = self.flusher.take() else { return Ok(()) };
        self.index.stop();
        let flushed = flusher.join().unwrap_or_else(|_| Err(Error::Index("the flusher panicked".to_owned())));
        if self.index.is_damaged() {
            self.mark.distrust()?;
            return flushed;
        }
        flushed?;
        self.mark.end_well();
        Ok(())
    }

    /// Applies every commit that the index does not hold yet, exactly as if it were made now.
    fn replay(&self, journal: &Journal, on_replay: &OnReplay) -> Result<()> {
        let (from, segments) = (self.index.meta().applied, journal.segments());
        if journal.last == from {
            return Ok(());
        }
        let total = journal.last.0 - from.0;
        journal.replay(
            from,
            |frame| foresee(&self.index, frame),
            |frame| {
                on_replay.tell(frame.revision.0 - from.0, total);
                self.apply(frame, &segments)
            },
        )?;
        tracing::info!(%from, to = %journal.last, "brought the index to the end of the journal");
        Ok(())
    }

    fn apply(&self, frame: Frame, segments: &Segments) -> Result<()> {
        let can_be_flushed = || self.space.has_room_for_index(self.index.bytes());
        self.index.wait_for_room(can_be_flushed);
        // A flusher that failed makes no more room.
        self.index.check()?;
        // Neither does a full disk; but what the store had in memory when it was killed, a full layer beside one that was
        // being flushed, has room in memory again.
        if self.index.is_full_twice() {
            return Err(Error::DiskFull("there is no room for the index, which is behind the journal".to_owned()));
        }
        let mut before = Stored { index: &self.index, segments, workspace: &frame.workspace };
        let projection = projection::project(&frame.facts, frame.time, &mut before)?;
        let mut seals = Seals::read_back(&*self.index, &frame.workspace, frame.slots.into_iter());
        let effects = Effects::of((&frame.workspace, frame.time), &frame.facts, projection, &mut seals)?;
        let placed = Placed { revision: frame.revision, places: frame.places };
        self.index.publish(changes((&*self.index, segments), effects, &placed)?);
        Ok(())
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        // Nothing is lost: what does not reach the disk is replayed.
        if let Err(error) = self.finish() {
            tracing::warn!(%error, "the index was not brought to its end");
        }
    }
}

/// Brings what a commit will read into the cache, so that whoever applies it does not wait for the disk.
fn foresee(index: &Index, frame: &Frame) {
    // What cannot be read now, cannot be read in its turn either, and is told then.
    let warm = |id| drop(index.get(&keys::profile(&frame.workspace, id)));
    for fact in &frame.facts {
        if let Fact::Event(fact) = fact {
            warm(fact.part);
            if fact.profile != fact.part {
                warm(fact.profile);
            }
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

    fn profile(&mut self, id: ProfileId) -> Result<Option<Profile>> {
        match Entry::find(self.index, self.workspace, id)? {
            Some(entry) => entry.profile(self.index.vault(), self.workspace, &keys::profile(self.workspace, id)),
            None => Ok(None),
        }
    }

    fn history(&self, part: ProfileId) -> Result<History> {
        timeline::history((self.index, self.segments), self.workspace, part)
    }

    fn mark(&self, identifier: &Identifier) -> Option<erasure::Mark> {
        Some(self.index.vault().mark(self.workspace, identifier))
    }
}
