//! `StreamEvents`: one batch after the other, each answered when it is durable.

use tokio::sync::mpsc;
use tonic::{Status, Streaming};

use super::call::Call;
use super::convert::event;
use super::event_service::results;
use super::layers::Admission;
use super::stopping::Stopping;
use super::{pb, status};
use crate::app::{App, Error, Result, WriteMode};

type Answers = mpsc::Sender<std::result::Result<pb::StreamEventsResponse, Status>>;

/// One stream of batches.
pub(super) struct EventStream {
    app: App,
    call: Call,
    admission: Admission,
    last_sequence: Option<i64>,
}

impl EventStream {
    pub(super) fn new(app: App, call: Call, admission: Admission) -> Self {
        Self { app, call, admission, last_sequence: None }
    }

    /// Takes in batch after batch until the client has no more, hangs up or sends one that ends the stream. The next
    /// batch is read when the one before is answered, so that a client that sends more than its credit waits on the
    /// wire and not in our memory.
    pub(super) async fn run(
        mut self,
        mut requests: Streaming<pb::StreamEventsRequest>,
        answers: Answers,
        mut stopping: Stopping,
    ) {
        loop {
            let request = tokio::select! {
                biased;
                () = stopping.begun() => {
                    let stops = status::unavailable("the server stops; send what is not durable again on a new stream");
                    let _hung_up = answers.send(Err(stops.into_status())).await;
                    return;
                }
                () = answers.closed() => return,
                request = self.next(&mut requests) => request,
            };
            let answer = match request {
                Ok(None) => return,
                Ok(Some(_)) if !self.call.is_live(self.app.now()) => Err(status::unauthenticated().into_status()),
                Ok(Some(request)) => self.take_in(request).await.map_err(|error| self.call.refuse(error)),
                Err(unreadable) => Err(unreadable),
            };
            let ended = answer.is_err();
            if answers.send(answer).await.is_err() || ended {
                return;
            }
        }
    }

    /// The next batch, once the credential may send as many events.
    async fn next(
        &self,
        requests: &mut Streaming<pb::StreamEventsRequest>,
    ) -> std::result::Result<Option<pb::StreamEventsRequest>, Status> {
        let request = requests.message().await?;
        if let Some(request) = &request {
            self.admission.wait_for_events(self.call.credential.as_ref(), request.events.len()).await;
        }
        Ok(request)
    }

    async fn take_in(&mut self, request: pb::StreamEventsRequest) -> Result<pb::StreamEventsResponse> {
        self.check_sequence(request.sequence)?;
        let batch = event::batch(request.events);
        let ingested = self.app.ingest_events(&self.call.caller, batch, WriteMode::Commit).await?;
        Ok(pb::StreamEventsResponse {
            results: results(&self.call, ingested.outcomes),
            durable_sequence: request.sequence,
            revision: ingested.revision.to_string(),
            credit: self.admission.credit(),
        })
    }

    fn check_sequence(&mut self, sequence: i64) -> Result<()> {
        if sequence < 0 {
            return Err(Error::invalid("sequence", "must be 0 or more"));
        }
        if self.last_sequence.is_some_and(|last| sequence <= last) {
            return Err(Error::invalid("sequence", "must be greater than the one before on this stream"));
        }
        self.last_sequence = Some(sequence);
        Ok(())
    }
}
