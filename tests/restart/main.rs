//! What was acknowledged survives the death of the process.

mod backups;
mod cycles;
mod full_disk;
mod proof;
mod server;
mod trace;
mod writers;

use rapport::rpc::pb::event_service_client::EventServiceClient;
use rapport::rpc::pb::training_service_client::TrainingServiceClient;
use rapport::rpc::pb::{
    CreateTrainingRunRequest, Event, GetTrainingRunRequest, Identifier, IngestEventsRequest, ModelKind, Track,
    TrainingState, WatchTrainingRunRequest, event,
};

use server::Server;

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_asked_to_stop_does_so_in_the_middle_of_a_training() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let server = Server::start(directory.path()).await;
    let mut client = EventServiceClient::new(server.channel());
    for batch in 0..10_u64 {
        let events = (batch * 1_000..(batch + 1) * 1_000).map(event_of_a_user_of_its_own).collect();
        let request = IngestEventsRequest { events, validate_only: false };
        client.ingest_events(request).await.expect("accepted");
    }
    let mut training = TrainingServiceClient::new(server.channel());
    let request = CreateTrainingRunRequest { kind: ModelKind::Segments.into(), ..Default::default() };
    let run = training.create_training_run(request).await.expect("a run").into_inner().run.expect("a run");
    let request = WatchTrainingRunRequest { run_id: run.run_id.clone(), ..Default::default() };
    let mut states = training.watch_training_run(request).await.expect("a stream").into_inner();
    while let Some(state) = states.message().await.expect("a state") {
        if state.run.is_some_and(|run| run.progress > 0.0) {
            break;
        }
    }
    let ended = server.stop().await.expect("the process has ended");
    assert!(ended.success(), "{ended:?}");

    let server = Server::start(directory.path()).await;
    let mut training = TrainingServiceClient::new(server.channel());
    let request = GetTrainingRunRequest { run_id: run.run_id, ..Default::default() };
    let run = training.get_training_run(request).await.expect("the run").into_inner().run.expect("the run");
    assert_eq!(run.state(), TrainingState::Failed, "{run:?}");
    server.kill();
}

fn event_of_a_user_of_its_own(number: u64) -> Event {
    let payload = event::Payload::Track(Track { name: "step".to_owned(), properties: None });
    Event {
        event_id: number.to_string(),
        source: "restart".to_owned(),
        identifiers: vec![user_of(number)],
        channel: "web".to_owned(),
        payload: Some(payload),
        ..Event::default()
    }
}

fn user_of(number: u64) -> Identifier {
    Identifier { r#type: "user_id".to_owned(), value: format!("u{number}") }
}
