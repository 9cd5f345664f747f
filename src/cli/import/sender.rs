//! Brings events to the server: several batches at once, the events of one customer in their order.
//!
//! Every customer has a lane, and a lane sends one batch after the other. So the events of a customer arrive in the
//! order of the file, which spares the server from folding histories anew, while other lanes keep it busy.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use prost::Message as _;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tonic::{Code, Status};
use tonic_types::StatusExt as _;

use super::build::Outgoing;
use super::outcome::{Outcome, Rejection};
use crate::cli::session::{Wire, refused};
use crate::domain::limits;
use crate::rpc::pb;
use crate::rpc::pb::event_service_client::EventServiceClient;

/// Batches that may be on their way at the same time.
const LANES: usize = 4;
/// Events that may wait in a lane, so that reading goes on while a batch is on its way.
const WAITING: usize = 2 * limits::BATCH_EVENTS;
/// Encoded size of a batch, well below what the server takes in one message.
const BATCH_BYTES: usize = 1 << 20;
/// How often one batch is tried.
const TRIES: u32 = 12;
/// The pause before a second try, doubled before each further one.
const PAUSE: Duration = Duration::from_millis(100);
/// The longest pause that we choose ourselves.
const PAUSE_MAX: Duration = Duration::from_secs(5);

/// How events are sent.
#[derive(Clone)]
pub struct Sender {
    /// The client.
    pub client: EventServiceClient<Wire>,
    /// Whether the first rejected event ends it.
    pub strict: bool,
    /// How many events were answered so far.
    pub answered: Arc<AtomicU64>,
}

/// Where events are put to be sent.
pub struct Inlet(Vec<mpsc::Sender<Outgoing>>);

impl Inlet {
    /// Waits until there is room and puts an event in its customer's lane. False when nothing is sent any more; the
    /// reason then comes out of [`Sender::send`].
    pub fn put(&self, outgoing: Outgoing) -> bool {
        let mut hasher = DefaultHasher::new();
        // A user id is stronger than what else an event names, so it decides where there is one.
        let identifiers = &outgoing.event.identifiers;
        let strongest = identifiers.iter().find(|identifier| identifier.r#type == "user_id").or(identifiers.first());
        if let Some(identifier) = strongest {
            (&identifier.r#type, &identifier.value).hash(&mut hasher);
        }
        let lane = usize::try_from(hasher.finish() % LANES as u64).unwrap_or_default();
        self.0[lane].blocking_send(outgoing).is_ok()
    }
}

impl Sender {
    /// Runs `produce` on a thread of its own and sends what it puts in; ends when everything is answered.
    ///
    /// # Errors
    /// What `produce` fails with, or a call that was refused and is not worth repeating.
    pub async fn send<T: Send + 'static>(
        &self,
        produce: impl FnOnce(&Inlet) -> anyhow::Result<T> + Send + 'static,
    ) -> anyhow::Result<(T, Outcome)> {
        let mut lanes = JoinSet::new();
        let mut inlet = Vec::with_capacity(LANES);
        for _ in 0..LANES {
            let (sender, receiver) = mpsc::channel(WAITING);
            inlet.push(sender);
            lanes.spawn(self.clone().run_lane(receiver));
        }
        let producer = tokio::task::spawn_blocking(move || produce(&Inlet(inlet)));
        let mut outcome = Outcome::default();
        while let Some(lane) = lanes.join_next().await {
            outcome.add(lane??);
        }
        Ok((producer.await??, outcome))
    }

    async fn run_lane(mut self, mut receiver: mpsc::Receiver<Outgoing>) -> anyhow::Result<Outcome> {
        let mut outcome = Outcome::default();
        let mut waiting = Vec::new();
        while receiver.recv_many(&mut waiting, limits::BATCH_EVENTS).await > 0 {
            while !waiting.is_empty() {
                let batch: Vec<Outgoing> = waiting.drain(..batch_len(&waiting)).collect();
                self.send_batch(batch, &mut outcome).await?;
            }
        }
        Ok(outcome)
    }

    async fn send_batch(&mut self, batch: Vec<Outgoing>, outcome: &mut Outcome) -> anyhow::Result<()> {
        let (events, origins): (Vec<_>, Vec<_>) =
            batch.into_iter().map(|out| (out.event, (out.file, out.line))).unzip();
        let results = self.ingest(events).await.map_err(|status| refused("IngestEvents", &status))?;
        anyhow::ensure!(results.len() == origins.len(), "the server answered another number of events than it got");
        self.answered.fetch_add(results.len() as u64, Ordering::Relaxed);
        for (result, (file, line)) in results.into_iter().zip(origins) {
            match result.status() {
                pb::EventStatus::Accepted => outcome.accepted += 1,
                pb::EventStatus::Duplicate => outcome.duplicate += 1,
                pb::EventStatus::Rejected | pb::EventStatus::Unspecified => {
                    let rejection = Rejection::new(file, line, result.error.as_ref());
                    anyhow::ensure!(!self.strict, "{rejection}");
                    outcome.reject(rejection);
                }
            }
        }
        Ok(())
    }

    /// Sends a batch, again and again while the server says that it may take it later.
    async fn ingest(&mut self, events: Vec<pb::Event>) -> Result<Vec<pb::EventResult>, Status> {
        let mut pause = PAUSE;
        for _ in 1..TRIES {
            let request = pb::IngestEventsRequest { events: events.clone(), validate_only: false };
            match self.client.ingest_events(request).await {
                Ok(response) => return Ok(response.into_inner().results),
                Err(status) => match worth_waiting(&status, pause) {
                    Some(pause) => tokio::time::sleep(pause).await,
                    None => return Err(status),
                },
            }
            pause = (pause * 2).min(PAUSE_MAX);
        }
        let request = pb::IngestEventsRequest { events, validate_only: false };
        self.client.ingest_events(request).await.map(|response| response.into_inner().results)
    }
}

/// How many of the waiting events fit into one batch; at least one, however large it is.
fn batch_len(waiting: &[Outgoing]) -> usize {
    let mut bytes = 0;
    let fits = waiting.iter().take_while(|out| {
        bytes += out.event.encoded_len();
        bytes <= BATCH_BYTES
    });
    fits.count().max(1)
}

/// How long to wait before another try: as the server says, else for `pause`; nothing where another try is useless.
fn worth_waiting(status: &Status, pause: Duration) -> Option<Duration> {
    let told = status.get_details_retry_info().and_then(|info| info.retry_delay);
    match status.code() {
        Code::Unavailable => Some(told.unwrap_or(pause)),
        Code::ResourceExhausted => told,
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use tonic_types::ErrorDetails;

    use super::*;

    fn outgoing(name_bytes: usize) -> Outgoing {
        let payload = pb::event::Payload::Track(pb::Track { name: "x".repeat(name_bytes), properties: None });
        Outgoing { event: pb::Event { payload: Some(payload), ..Default::default() }, file: "f".into(), line: 1 }
    }

    #[test]
    fn a_batch_ends_before_it_is_too_large_and_holds_at_least_one_event() {
        let waiting: Vec<_> = (0..10).map(|_| outgoing(200_000)).collect();
        assert_eq!(batch_len(&waiting), 5);
        assert_eq!(batch_len(&[outgoing(2 << 20)]), 1);
    }

    #[test]
    fn only_a_busy_server_is_asked_again() {
        let pause = Duration::from_secs(1);
        assert_eq!(worth_waiting(&Status::unavailable("away"), pause), Some(pause));
        assert_eq!(worth_waiting(&Status::resource_exhausted("full"), pause), None);
        let details = ErrorDetails::with_retry_info(Some(Duration::from_secs(3)));
        let busy = Status::with_error_details(Code::ResourceExhausted, "busy", details);
        assert_eq!(worth_waiting(&busy, pause), Some(Duration::from_secs(3)));
        assert_eq!(worth_waiting(&Status::invalid_argument("wrong"), pause), None);
    }
}
