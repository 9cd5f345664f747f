//! `StreamEvents`: one batch after the other, each answered when it is durable.

use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;
use tonic::{Status, Streaming};

use super::call::Call;
use super::convert::event;
use super::event_service::results;
use super::layers::Admission;
use super::stopping::Stopping;
use super::{pb, status};
use crate::app::{App, Error, Result};
use crate::domain::id::Revision;

type Answers = mpsc::Sender<std::result::Result<pb::StreamEventsResponse, Status>>;

/// Batches of a stream that are at work at the same time, so that one is decided while the one before becomes durable.
const AT_WORK: usize = 4;

/// One stream of batches.
pub(super) struct EventStream {
    app: App,
    call: Call,
    admission: Admission,
    last_sequence: Option<i64>,
}

/// A batch at work, with the commit that it came to.
type Work = JoinHandle<Result<(pb::StreamEventsResponse, Revision)>>;

impl EventStream {
    pub(super) fn new(app: App, call: Call, admission: Admission) -> Self {
        Self { app, call, admission, last_sequence: None }
    }

    /// Takes in batch after batch until the client has no more, hangs up or sends one that ends the stream. A few are at
    /// work at a time; further ones are read when these are answered, so that a client that sends more than its credit
    /// waits on the wire and not in our memory.
    pub(super) async fn run(
        mut self,
        requests: Streaming<pb::StreamEventsRequest>,
        answers: Answers,
        stopping: Stopping,
    ) {
        let (begun, mut work) = mpsc::channel(AT_WORK - 1);
        let call = self.call.clone();
        let read = self.read(requests, (&answers, begun), stopping);
        let answer = async {
            let mut latest = Revision::default();
            while let Some(work) = work.recv().await {
                let answer = finished(work).await.map_err(|error| call.refuse(error));
                // A later batch may have been committed before: each answer includes all before it.
                let answer = answer.map(|(answer, revision)| {
                    latest = latest.max(revision);
                    pb::StreamEventsResponse { revision: latest.to_string(), ..answer }
                });
                let ended = answer.is_err();
                if answers.send(answer).await.is_err() || ended {
                    return false;
                }
            }
            true
        };
        let mut answer = std::pin::pin!(answer);
        // What ends the reading is told behind the answers to everything that was read.
        let (end, answered) = tokio::select! {
            end = read => (end, answer.await),
            _ended_early = &mut answer => return,
        };
        if let (Some(status), true) = (end, answered) {
            let _hung_up = answers.send(Err(status)).await;
        }
    }

    /// Reads batches and begins work on them in their order. Says with what the stream ends, if not by its client.
    async fn read(
        &mut self,
        mut requests: Streaming<pb::StreamEventsRequest>,
        (answers, begun): (&Answers, mpsc::Sender<Work>),
        mut stopping: Stopping,
    ) -> Option<Status> {
        loop {
            let request = tokio::select! {
                biased;
                () = stopping.begun() => {
                    let stops = "the server stops; send what is not durable again on a new stream";
                    return Some(status::unavailable(stops).into_status());
                }
                () = answers.closed() => return None,
                request = self.next(&mut requests) => request,
            };
            let request = match request {
                Ok(None) => return None,
                Ok(Some(_)) if !self.call.is_live(self.app.now()) => {
                    return Some(status::unauthenticated().into_status());
                }
                Ok(Some(request)) => request,
                Err(unreadable) => return Some(unreadable),
            };
            if let Err(error) = self.check_sequence(request.sequence) {
                return Some(self.call.refuse(error));
            }
            let Ok(place) = begun.reserve().await else { return None };
            let (work, turn) = self.begin(request);
            place.send(work);
            // Whoever fails before it is let in drops the sender.
            let _it_is_its_turn = turn.await;
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

    /// Begins work on a batch; the receiver hears when no later batch can overtake it.
    fn begin(&self, request: pb::StreamEventsRequest) -> (Work, oneshot::Receiver<()>) {
        let (app, call, admission) = (self.app.clone(), self.call.clone(), self.admission.clone());
        let (on_turn, turn) = oneshot::channel();
        let work = tokio::spawn(async move {
            let batch = event::batch(request.events);
            let on_turn = || {
                let _nobody_waits = on_turn.send(());
            };
            let ingested = app.ingest_events_in_turn(&call.caller, batch, on_turn).await?;
            let answer = pb::StreamEventsResponse {
                results: results(&call, ingested.outcomes),
                durable_sequence: request.sequence,
                revision: String::new(),
                credit: admission.credit(),
            };
            Ok((answer, ingested.revision))
        });
        (work, turn)
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

/// What came of a batch. A panic goes on where the stream ends with it.
async fn finished(work: Work) -> Result<(pb::StreamEventsResponse, Revision)> {
    match work.await {
        Ok(answer) => answer,
        Err(error) => match error.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            Err(_the_runtime_ends) => Err(Error::Unavailable),
        },
    }
}
