//! How an import sends: batches within the limits, a customer's events in their order, patience where it helps.
//!
//! A server of a few lines stands in for the real one, because these are promises about failures that the real one
//! shows too seldom.

use std::collections::{BTreeMap, HashSet};
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use rapport::cli::import::build::Outgoing;
use rapport::cli::import::outcome::Outcome;
use rapport::cli::import::sender::Sender;
use rapport::cli::session::Session;
use rapport::rpc::pb;
use rapport::rpc::pb::event_service_server::{EventService, EventServiceServer};
use tokio::net::TcpListener;
use tokio_stream::Stream;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::transport::{Endpoint, Server};
use tonic::{Request, Response, Status, Streaming};

/// What a call is answered with, by its number; `None` takes the events.
type Failure = fn(usize) -> Option<Status>;

#[derive(Clone)]
struct Fake {
    failure: Failure,
    calls: Arc<AtomicUsize>,
    batches: Arc<Mutex<Vec<Vec<pb::Event>>>>,
}

#[tonic::async_trait]
impl EventService for Fake {
    async fn ingest_events(
        &self,
        request: Request<pb::IngestEventsRequest>,
    ) -> Result<Response<pb::IngestEventsResponse>, Status> {
        assert_eq!(request.metadata().get("rapport-workspace").expect("named"), "shop");
        if let Some(status) = (self.failure)(self.calls.fetch_add(1, Ordering::SeqCst)) {
            return Err(status);
        }
        let events = request.into_inner().events;
        let result = |event: &pb::Event| {
            let bad = event.event_id.starts_with("bad");
            let status = if bad { pb::EventStatus::Rejected } else { pb::EventStatus::Accepted };
            pb::EventResult { status: status.into(), event_id: event.event_id.clone(), ..Default::default() }
        };
        let results = events.iter().map(result).collect();
        self.batches.lock().expect("unpoisoned").push(events);
        Ok(Response::new(pb::IngestEventsResponse { results, ..Default::default() }))
    }

    type StreamEventsStream = Pin<Box<dyn Stream<Item = Result<pb::StreamEventsResponse, Status>> + Send>>;

    async fn stream_events(
        &self,
        _request: Request<Streaming<pb::StreamEventsRequest>>,
    ) -> Result<Response<Self::StreamEventsStream>, Status> {
        Err(Status::unimplemented("not needed here"))
    }

    async fn list_events(
        &self,
        _request: Request<pb::ListEventsRequest>,
    ) -> Result<Response<pb::ListEventsResponse>, Status> {
        Err(Status::unimplemented("not needed here"))
    }

    async fn list_rejections(
        &self,
        _request: Request<pb::ListRejectionsRequest>,
    ) -> Result<Response<pb::ListRejectionsResponse>, Status> {
        Err(Status::unimplemented("not needed here"))
    }
}

/// Sends events to a server that fails as `failure` says, and returns what it saw.
async fn send(events: Vec<pb::Event>, failure: Failure, strict: bool) -> (anyhow::Result<Outcome>, Fake) {
    let fake = Fake { failure, calls: Arc::default(), batches: Arc::default() };
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("bound");
    let serving = Server::builder()
        .add_service(EventServiceServer::new(fake.clone()))
        .serve_with_incoming(TcpListenerStream::new(listener));
    let serving = tokio::spawn(serving);
    let channel = Endpoint::from_shared(format!("http://{address}")).expect("an address").connect_lazy();
    let session = Session::on(channel, "shop").expect("a workspace");
    let sender = Sender { client: session.events(), strict, answered: Arc::default() };
    let sent = sender.send(move |inlet| {
        let mut outgoing =
            events.into_iter().zip(1..).map(|(event, line)| Outgoing { event, file: "a.csv".into(), line });
        Ok(outgoing.all(|outgoing| inlet.put(outgoing)))
    });
    let sent = sent.await.map(|(_, outcome)| outcome);
    serving.abort();
    (sent, fake)
}

fn event(customer: usize, number: usize) -> pb::Event {
    let identifier = pb::Identifier { r#type: "user_id".to_owned(), value: customer.to_string() };
    pb::Event { event_id: number.to_string(), identifiers: vec![identifier], ..Default::default() }
}

#[tokio::test(flavor = "multi_thread")]
async fn batches_keep_to_the_limit_and_a_customers_events_to_their_order() {
    // Who they are before they log in differs from event to event and must not decide.
    let device = |number: usize| pb::Identifier { r#type: "device_id".to_owned(), value: number.to_string() };
    let visit = |number: usize| pb::Event {
        identifiers: [vec![device(number)], event(number % 37, number).identifiers].concat(),
        ..event(number % 37, number)
    };
    let events: Vec<_> = (0..20_000).map(visit).collect();
    let (sent, fake) = send(events, |_| None, false).await;
    assert_eq!(sent.expect("sent").accepted, 20_000);
    let batches = fake.batches.lock().expect("unpoisoned");
    assert!(batches.iter().all(|batch| batch.len() <= 1_000));
    let mut last: BTreeMap<&str, usize> = BTreeMap::new();
    for event in batches.iter().flatten() {
        let number = event.event_id.parse().expect("a number");
        let before = last.insert(&event.identifiers[1].value, number);
        assert!(before.is_none_or(|before| before < number), "event {number} overtook {before:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_away_for_a_moment_is_asked_again_and_nothing_is_lost() {
    let events: Vec<_> = (0..100).map(|number| event(number, number)).collect();
    let away = |call| (call < 6).then(|| Status::unavailable("starting"));
    let (sent, fake) = send(events, away, false).await;
    assert_eq!(sent.expect("sent").accepted, 100);
    let batches = fake.batches.lock().expect("unpoisoned");
    let ids: HashSet<_> = batches.iter().flatten().map(|event| event.event_id.as_str()).collect();
    assert_eq!(ids.len(), 100);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_that_no_repeat_can_mend_ends_the_import_with_its_reason() {
    let events: Vec<_> = (0..50_000).map(|number| event(number, number)).collect();
    let (sent, fake) = send(events, |_| Some(Status::invalid_argument("no such workspace")), false).await;
    let error = sent.expect_err("refused").to_string();
    assert!(error.contains("IngestEvents") && error.contains("no such workspace"), "{error}");
    // Each lane may have had a call on its way; none was repeated.
    assert!(fake.calls.load(Ordering::SeqCst) <= 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rejected_event_is_counted_with_its_line_and_ends_a_strict_import() {
    let events = || {
        let bad = pb::Event { event_id: "bad".to_owned(), ..event(7, 7) };
        vec![event(1, 1), bad, event(2, 2)]
    };
    let (sent, _) = send(events(), |_| None, false).await;
    let outcome = sent.expect("sent");
    assert_eq!((outcome.accepted, outcome.rejected), (2, 1));
    assert_eq!((&*outcome.first_rejections[0].file, outcome.first_rejections[0].line), ("a.csv", 2));
    let (sent, _) = send(events(), |_| None, true).await;
    assert!(sent.expect_err("strict").to_string().contains("a.csv line 2"));
}
