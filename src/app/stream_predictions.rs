//! Answers about every customer, or about those of one segment.
//!
//! The customers are read page by page. While the next page is read, those before are opened, answered about and put into the
//! caller's form, each customer from the first to the last of that on one thread, which may be busy: those that serve only
//! pass messages on.

use std::sync::Arc;
use std::thread::available_parallelism;

use tokio::sync::{Semaphore, mpsc};
use tokio::task::{JoinError, JoinHandle, spawn_blocking};

use super::application::App;
use super::customer::{Caller, Found, Read};
use super::error::{Error, Resource, Result};
use super::predict::{Answer, Kinds, answer, segment};
use super::registry::Serving;
use super::unwind::{Panicked, produce};
use crate::domain::id::{ProfileId, Revision};
use crate::domain::profile::Profile;
use crate::domain::time::Timestamp;
use crate::store;

/// Customers that are read at a time; a message to the caller holds at most as many.
const CUSTOMERS_AT_ONCE: usize = 400;
/// Pages that were read and wait for their answers before the reading waits too.
const PAGES_AHEAD: usize = 2;
/// Messages that wait for a slow caller before the scan waits too.
const MESSAGES_AHEAD: usize = 2;

/// Some of the answers, in the order of the profile ids.
#[derive(Debug)]
pub struct PredictionBatch {
    /// The answers; for a customer whose consent does not cover the purpose, who it is and that.
    pub answers: Vec<std::result::Result<Answer, (ProfileId, Error)>>,
    /// What was read.
    pub revision: Revision,
}

/// What a stream of answers is to be about.
#[derive(Debug, Clone, Default)]
pub struct Wanted {
    /// Only customers who are in this segment; `None` is everybody.
    pub segment_id: Option<String>,
    /// Which answers; `None` is everything that a model answers.
    pub kinds: Option<Kinds>,
}

/// Pages whose answers are computed at the same time, of all streams: as many as there are processors.
pub(super) struct Computing(Arc<Semaphore>);

impl Default for Computing {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(available_parallelism().map_or(1, usize::from))))
    }
}

impl App {
    /// Begins a stream of answers about all customers, or about those of a segment, each batch as `tell` puts it. The
    /// stream ends when the caller lets go of it.
    ///
    /// # Errors
    /// [`Error::NotFound`] for an unknown segment; [`Error::Precondition`] when nothing of what is asked for can be
    /// answered. Errors on the way come through the stream.
    pub async fn stream_predictions<T: Send + 'static>(
        &self,
        caller: &Caller,
        wanted: Wanted,
        read: &Read,
        tell: impl Fn(PredictionBatch) -> T + Send + Sync + 'static,
    ) -> Result<mpsc::Receiver<Result<T>>> {
        self.check_read(read)?;
        if let Some(time) = read.as_of {
            self.history_kept(&caller.workspace).await?.check(time)?;
        }
        let Wanted { segment_id, kinds } = wanted;
        let serving = self.registry.serving(&caller.workspace);
        if let Some(segment_id) = &segment_id {
            // Without a model there are no segments, so the answer is the one for a segment that a model does not have.
            let known = serving.segments.iter().flat_map(|served| served.model.segments());
            let known = known.into_iter().any(|segment| segment.id == *segment_id);
            if !known {
                return Err(Error::not_found(Resource::Segment, segment_id));
            }
        }
        let kinds = kinds.unwrap_or_else(|| Kinds::everything(&serving));
        kinds.check(&serving)?;
        let now = self.reading_time(read);
        let (app, caller, read) = (self.clone(), caller.clone(), read.clone());
        let scan = Arc::new(Scan { app, caller, segment_id, kinds, read, now, serving, tell });
        Ok(produce(MESSAGES_AHEAD, |panicked| Err(panicked.into()), |sender| scan.run(sender)))
    }
}

struct Scan<F> {
    app: App,
    caller: Caller,
    segment_id: Option<String>,
    kinds: Kinds,
    read: Read,
    /// The moment at which the stream began: every answer is as of it.
    now: Timestamp,
    serving: Serving,
    tell: F,
}

/// The customers of a page.
type Profiles = Box<dyn Iterator<Item = store::Result<Profile>> + Send>;

/// A page that was read, whose answers come.
type Coming<T> = Result<JoinHandle<Result<T>>>;

impl<T: Send + 'static, F: Fn(PredictionBatch) -> T + Send + Sync + 'static> Scan<F> {
    async fn run(self: Arc<Self>, sender: mpsc::Sender<Result<T>>) {
        let (pages, coming) = mpsc::channel(PAGES_AHEAD);
        tokio::join!(self.read_all(pages), pass_on(coming, sender));
    }

    /// Reads page after page until the end, an error, or until nobody takes them any more.
    async fn read_all(self: Arc<Self>, pages: mpsc::Sender<Coming<T>>) {
        let mut after = None;
        while let Some(page) = self.next(&mut after).await.transpose() {
            let ended = page.is_err();
            let coming = match page {
                Ok(page) => self.compute(page).await,
                Err(error) => Err(error),
            };
            if pages.send(coming).await.is_err() || ended {
                return;
            }
        }
    }

    /// The next customers; `None` at the end.
    async fn next(&self, after: &mut Option<ProfileId>) -> Result<Option<(Profiles, Revision)>> {
        let revision = self.app.store.revision();
        let page = self.app.store.profile_page(&self.caller.workspace, *after, CUSTOMERS_AT_ONCE).await?;
        if page.last.is_none() {
            return Ok(None);
        }
        *after = page.last;
        if self.read.as_of.is_none() {
            return Ok(Some((page.profiles, revision)));
        }
        let profiles = page.profiles.map(|profile| profile.map(Some)).collect::<store::Result<_>>()?;
        let profiles = self.app.as_of(&self.caller, profiles, &self.read).await?;
        Ok(Some((Box::new(profiles.into_iter().flatten().map(Ok)), revision)))
    }

    /// Lets the answers about a page come, as soon as a processor is free for them.
    async fn compute(self: &Arc<Self>, (profiles, revision): (Profiles, Revision)) -> Coming<T> {
        let turn = Arc::clone(&self.app.computing.0).acquire_owned().await;
        let turn = turn.map_err(|closed| Error::Internal(closed.into()))?;
        let scan = Arc::clone(self);
        Ok(spawn_blocking(move || {
            let told = scan.told(profiles, revision);
            drop(turn);
            told
        }))
    }

    /// Opens one profile after the other, so that each is in the nearest cache while it is looked at.
    fn told(&self, profiles: Profiles, revision: Revision) -> Result<T> {
        let mut answers = Vec::with_capacity(CUSTOMERS_AT_ONCE);
        for profile in profiles {
            let found = Found::new(profile?, self.now);
            if self.wants(&found) {
                answers.push(self.answer(&found));
            }
        }
        Ok((self.tell)(PredictionBatch { answers, revision }))
    }

    fn answer(&self, found: &Found) -> std::result::Result<Answer, (ProfileId, Error)> {
        let id = found.profile.id;
        self.app.permit_use(&self.caller, &found.profile.consents, &self.read).map_err(|error| (id, error))?;
        Ok(answer(&self.serving, found, self.kinds, self.read.reasons()))
    }

    fn wants(&self, found: &Found) -> bool {
        self.segment_id
            .as_ref()
            .is_none_or(|wanted| segment(&self.serving, found).is_ok_and(|with| with.prediction.segment_id == *wanted))
    }
}

/// Passes on what comes in the order in which it was read, until an error, or until nobody takes it any more.
async fn pass_on<T>(mut coming: mpsc::Receiver<Coming<T>>, sender: mpsc::Sender<Result<T>>) {
    while let Some(page) = coming.recv().await {
        let told = match page {
            Ok(told) => told.await.unwrap_or_else(|lost| Err(lost_work(lost))),
            Err(error) => Err(error),
        };
        let ended = told.is_err();
        if sender.send(told).await.is_err() || ended {
            return;
        }
    }
}

fn lost_work(lost: JoinError) -> Error {
    if lost.is_panic() { Panicked.into() } else { Error::Internal(lost.into()) }
}
