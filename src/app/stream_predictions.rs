//! Answers about every customer, or about those of one segment.

use tokio::sync::mpsc;

use super::application::App;
use super::customer::{Caller, Found, Read};
use super::error::{Error, Resource, Result};
use super::predict::{Answer, Kinds, answer, segment};
use super::registry::Serving;
use super::unwind::produce;
use crate::domain::id::{ProfileId, Revision};
use crate::domain::time::Timestamp;

/// Customers that are read at a time; a message to the caller holds at most as many.
const CUSTOMERS_AT_ONCE: usize = 400;
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

impl App {
    /// Begins a stream of answers about all customers, or about those of the segment `segment_id`. The stream ends
    /// when the caller lets go of it. Without `kinds` it has everything that a model answers.
    ///
    /// # Errors
    /// [`Error::NotFound`] for an unknown segment; [`Error::Precondition`] when nothing of what is asked for can be
    /// answered. Errors on the way come through the stream.
    pub async fn stream_predictions(
        &self,
        caller: &Caller,
        segment_id: Option<String>,
        kinds: Option<Kinds>,
        read: &Read,
    ) -> Result<mpsc::Receiver<Result<PredictionBatch>>> {
        self.check_read(read)?;
        if let Some(time) = read.as_of {
            self.history_kept(&caller.workspace).await?.check(time)?;
        }
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
        let scan = Scan { app, caller, segment_id, kinds, read, now, serving };
        Ok(produce(MESSAGES_AHEAD, |panicked| Err(panicked.into()), |sender| scan.run(sender)))
    }
}

struct Scan {
    app: App,
    caller: Caller,
    segment_id: Option<String>,
    kinds: Kinds,
    read: Read,
    /// The moment at which the stream began: every answer is as of it.
    now: Timestamp,
    serving: Serving,
}

impl Scan {
    async fn run(self, sender: mpsc::Sender<Result<PredictionBatch>>) {
        let mut after = None;
        loop {
            let batch = self.next(&mut after).await;
            let ended = !matches!(batch, Ok(Some(_)));
            if let Some(batch) = batch.transpose()
                && sender.send(batch).await.is_err()
            {
                return;
            }
            if ended {
                return;
            }
        }
    }

    /// The answers about the next customers; `None` at the end.
    async fn next(&self, after: &mut Option<ProfileId>) -> Result<Option<PredictionBatch>> {
        let revision = self.app.store.revision();
        let profiles = self.app.store.scan_profiles(&self.caller.workspace, *after, CUSTOMERS_AT_ONCE).await?;
        let Some(last) = profiles.last() else { return Ok(None) };
        *after = Some(last.id);
        let profiles = self.app.as_of(&self.caller, profiles.into_iter().map(Some).collect(), &self.read).await?;
        let found = profiles.into_iter().flatten().map(|profile| Found::new(profile, self.now));
        let answers = found.filter(|found| self.wants(found)).map(|found| self.answer(found));
        Ok(Some(PredictionBatch { answers: answers.collect(), revision }))
    }

    fn answer(&self, found: Found) -> std::result::Result<Answer, (ProfileId, Error)> {
        let id = found.profile.id;
        let found = self.app.permit(&self.caller, found, &self.read).map_err(|error| (id, error))?;
        Ok(answer(&self.serving, &found, self.kinds, self.read.reasons()))
    }

    fn wants(&self, found: &Found) -> bool {
        self.segment_id
            .as_ref()
            .is_none_or(|wanted| segment(&self.serving, found).is_ok_and(|with| with.prediction.segment_id == *wanted))
    }
}
