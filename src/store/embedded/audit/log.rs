//! The open log: adding to it, and reading it from its end.

use std::collections::VecDeque;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use async_trait::async_trait;

use super::batch::{Batch, Frames, HEAD_BYTES, Head, read};
use super::{DIRECTORY, Last, names};
use crate::domain::audit::AuditEntry;
use crate::store::embedded::files::{self, Appender, Unfinished, failed};
use crate::store::embedded::manifest::StoreId;
use crate::store::embedded::{EmbeddedStore, locks};
use crate::store::{AuditLog, AuditPage, AuditQuery, Error, Result};

/// Bytes from which a file takes no further batch.
const FILE_BYTES: u64 = 16 << 20;

/// The log of an open store.
pub(in crate::store::embedded) struct Log {
    directory: PathBuf,
    store: StoreId,
    file_bytes: u64,
    end: Mutex<End>,
}

/// Where the log ends, and what it consists of.
struct End {
    last: Last,
    /// The numbers of the first entries of all files, in order.
    files: Vec<u64>,
    place: Place,
}

/// Where the next batch goes.
enum Place {
    /// To a file of its own, because the last one is full, or damaged and is left as it is.
    NewFile,
    /// Behind so many bytes of the last file.
    Behind(u64),
    /// To the last file.
    Open(Appender, u64),
}

impl Log {
    /// Opens the log of a data directory. A batch that was not finished is cut off. Damage keeps nobody from starting:
    /// what is damaged stays as it is, and the log goes on in a new file.
    pub(in crate::store::embedded) fn open(directory: &Path, store: StoreId) -> Result<Self> {
        Self::open_with(directory, store, FILE_BYTES)
    }

    pub(in crate::store::embedded) fn open_with(directory: &Path, store: StoreId, file_bytes: u64) -> Result<Self> {
        names::sweep(directory)?;
        let end = Mutex::new(End::find(directory)?);
        Ok(Self { directory: directory.to_owned(), store, file_bytes, end })
    }

    /// Adds entries as one batch, durably.
    pub(in crate::store::embedded) fn append(&self, entries: Vec<AuditEntry>) -> Result<()> {
        if entries.is_empty() {
            return Ok(());
        }
        let mut end = locks::lock(&self.end);
        let batch = Batch::new(end.last.hash, end.last.number + 1, entries);
        let (frame, hash) = batch.encode()?;
        self.make_room(&mut end, batch.first)?;
        let (mut file, bytes) = match std::mem::replace(&mut end.place, Place::NewFile) {
            Place::Open(file, bytes) => (file, bytes),
            Place::NewFile | Place::Behind(_) => return Err(Error::Index("the audit log has no open file".to_owned())),
        };
        if let Err(cause) = file.write_all(&frame).and_then(|()| file.sync()) {
            // What got there is cut off before anything else is written, now or when the next batch comes.
            end.place = if file.cut(bytes).is_ok() { Place::Open(file, bytes) } else { Place::Behind(bytes) };
            return Err(failed("writing", &names::path(&self.directory, *end.files.last().unwrap_or(&1)))(cause));
        }
        end.place = Place::Open(file, bytes + frame.len() as u64);
        end.last = Last { number: batch.last(), hash };
        if let Err(error) = end.last.write(&self.directory) {
            // The batch is durable. That the log reaches so far is said with the next one.
            tracing::warn!(%error, "the end of the audit log was not written down");
        }
        Ok(())
    }

    /// Opens the file that the batch which begins with an entry goes to.
    fn make_room(&self, end: &mut End, first: u64) -> Result<()> {
        if let Place::Behind(bytes) = end.place
            && let Some(newest) = end.files.last()
        {
            let path = names::path(&self.directory, *newest);
            let mut file = Appender::open(&path)?;
            file.cut(bytes).map_err(failed("cutting", &path))?;
            end.place = Place::Open(file, bytes);
        }
        if let Place::Open(_, bytes) = &end.place
            && *bytes < self.file_bytes
        {
            return Ok(());
        }
        files::make_directory(&self.directory.join(DIRECTORY))?;
        let path = names::path(&self.directory, first);
        let mut file = Unfinished::begin(&path)?;
        file.write(&Head { store: self.store, previous: end.last.hash }.encode())?;
        file.finish()?;
        if end.files.last() != Some(&first) {
            end.files.push(first);
        }
        end.place = Place::Open(Appender::open(&path)?, HEAD_BYTES as u64);
        Ok(())
    }

    /// Reads from one file: the last one that has anything of what is asked for.
    pub(in crate::store::embedded) fn read(&self, query: &AuditQuery) -> Result<AuditPage> {
        let (last, files) = {
            let end = locks::lock(&self.end);
            (end.last.number, end.files.clone())
        };
        let before = query.before.unwrap_or(u64::MAX).min(last + 1);
        let earlier = files.partition_point(|first| *first < before);
        let Some(first) = earlier.checked_sub(1).and_then(|at| files.get(at)).copied() else {
            return Ok(AuditPage { entries: Vec::new(), next: None });
        };
        let query = AuditQuery { before: Some(before), ..query.clone() };
        let path = names::path(&self.directory, first);
        let file = read(&path)?;
        let (mut found, mut is_cut) = (VecDeque::new(), false);
        for batch in batches(&path, &file).take_while(|batch| batch.first < before) {
            for entry in batch.entries_of(&query.workspace).filter(|entry| query.wants(entry.number, &entry.entry)) {
                found.push_back(entry);
                if found.len() > query.limit {
                    found.pop_front();
                    is_cut = true;
                }
            }
        }
        let next = if is_cut { found.front().map(|first| first.number) } else { Some(first).filter(|_| earlier > 1) };
        Ok(AuditPage { entries: found.into_iter().rev().collect(), next })
    }
}

/// The batches of a file, as far as they can be read.
fn batches<'a>(path: &'a Path, file: &'a [u8]) -> impl Iterator<Item = Batch> + 'a {
    let damaged = |offset: u64| {
        tracing::error!(file = %path.display(), offset, "the audit log is damaged; verify the data directory");
    };
    let is_ours = Head::read(path, file).is_ok();
    if !is_ours {
        damaged(0);
    }
    let frames = Some(file).filter(|_| is_ours).into_iter().flat_map(Frames::of);
    frames.map_while(move |framed| framed.map(|framed| framed.batch).map_err(|fault| damaged(fault.offset)).ok())
}

impl End {
    /// Where the log of a data directory ends.
    fn find(directory: &Path) -> Result<Self> {
        let files: Vec<u64> = names::list(directory)?.into_iter().map(|(first, _)| first).collect();
        let told = match Last::read(directory) {
            Err(Error::Damaged { .. }) => None,
            told => told?,
        };
        let Some(newest) = files.last().copied() else {
            return Ok(Self { last: told.unwrap_or_default(), files, place: Place::NewFile });
        };
        let path = names::path(directory, newest);
        let file = read(&path)?;
        let mut last = match Head::read(&path, &file) {
            Ok(head) => Last { number: newest.saturating_sub(1), hash: head.previous },
            Err(Error::Damaged { .. }) => {
                return Ok(Self::behind_damage(&path, told.unwrap_or_default(), files));
            }
            Err(error) => return Err(error),
        };
        let (mut end, mut fault) = (HEAD_BYTES as u64, None);
        for framed in Frames::of(&file) {
            match framed {
                Ok(framed) => (last, end) = (Last { number: framed.batch.last(), hash: framed.hash }, framed.end),
                Err(found) => fault = Some(found),
            }
        }
        match (told, fault) {
            (Some(told), _) if told.number > last.number => Ok(Self::behind_damage(&path, told, files)),
            (_, Some(fault)) if !fault.is_unfinished(last.number, told) => Ok(Self::behind_damage(&path, last, files)),
            (_, Some(fault)) => {
                tracing::warn!(file = %path.display(), offset = fault.offset, "cutting off what was not finished");
                files::cut(&path, fault.offset)?;
                Ok(Self { last, files, place: Place::Behind(end) })
            }
            (_, None) => Ok(Self { last, files, place: Place::Behind(end) }),
        }
    }

    /// Goes on with the next file, whose name must not be that of the damaged one: that is evidence.
    fn behind_damage(path: &Path, last: Last, files: Vec<u64>) -> Self {
        let file = path.display();
        tracing::error!(%file, "entries of the audit log are damaged or missing; it goes on in a new file");
        let number = last.number.max(files.last().copied().unwrap_or_default());
        Self { last: Last { number, ..last }, files, place: Place::NewFile }
    }
}

#[async_trait]
impl AuditLog for EmbeddedStore {
    async fn append_audit(&self, entries: Vec<AuditEntry>) -> Result<()> {
        self.read(move |open| {
            open.space().check()?;
            open.audit().append(entries)
        })
        .await
    }

    async fn audit_entries(&self, query: AuditQuery) -> Result<AuditPage> {
        self.read(move |open| open.audit().read(&query)).await
    }
}
