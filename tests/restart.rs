//! What was acknowledged survives the death of the process.

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use rapport::rpc::pb::event_service_client::EventServiceClient;
use rapport::rpc::pb::training_service_client::TrainingServiceClient;
use rapport::rpc::pb::{
    CreateTrainingRunRequest, CustomerRef, Event, EventStatus, GetTrainingRunRequest, Identifier, IngestEventsRequest,
    ListEventsRequest, ModelKind, Track, TrainingState, WatchTrainingRunRequest, customer_ref, event,
};
use tonic::transport::Channel;

/// The real binary on a data directory; killed when dropped.
struct Server {
    process: Child,
    address: String,
}

impl Server {
    fn start(data_dir: &Path) -> Self {
        let mut process = Command::new(env!("CARGO_BIN_EXE_rapport"))
            .args(["serve", "--listen", "127.0.0.1:0", "--data-dir"])
            .arg(data_dir)
            .env("RAPPORT_LOG_FORMAT", "json")
            .stderr(Stdio::piped())
            .spawn()
            .expect("the binary starts");
        let mut lines = BufReader::new(process.stderr.take().expect("piped")).lines();
        let address = lines
            .by_ref()
            .map_while(Result::ok)
            .filter_map(|line| serde_json::from_str::<serde_json::Value>(&line).ok())
            .find(|line| line["message"] == "serving")
            .and_then(|line| Some(format!("http://{}", line["address"].as_str()?)))
            .expect("a line that names the address");
        // The pipe is read to its end, so that the server never waits for us.
        std::thread::spawn(move || lines.for_each(drop));
        Self { process, address }
    }

    async fn client(&self) -> EventServiceClient<Channel> {
        EventServiceClient::connect(self.address.clone()).await.expect("connects")
    }

    /// Asks the process to end, as a supervisor does, and gives back how it ended; `None` where it has not after a
    /// while that is far above what it may take.
    async fn stop(mut self) -> Option<ExitStatus> {
        let terminate = format!("kill -TERM {}", self.process.id());
        assert!(Command::new("sh").args(["-c", &terminate]).status().expect("a shell").success());
        for _ in 0..300 {
            if let Some(status) = self.process.try_wait().expect("a child of ours") {
                return Some(status);
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        None
    }

    fn kill(mut self) {
        self.process.kill().expect("SIGKILL");
        self.process.wait().expect("dies");
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _dead_already = self.process.kill();
        let _reaped_already = self.process.wait();
    }
}

fn event(number: u64) -> Event {
    let payload = event::Payload::Track(Track { name: "step".to_owned(), properties: None });
    Event {
        event_id: number.to_string(),
        source: "restart".to_owned(),
        identifiers: vec![user(number % 3)],
        channel: "web".to_owned(),
        payload: Some(payload),
        ..Event::default()
    }
}

fn user(number: u64) -> Identifier {
    Identifier { r#type: "user_id".to_owned(), value: format!("u{number}") }
}

/// Sends events one by one and counts up for every acknowledgement, until the server is gone.
async fn send_until_killed(mut client: EventServiceClient<Channel>, mut next: u64) -> u64 {
    loop {
        let request = IngestEventsRequest { events: vec![event(next)], validate_only: false };
        match client.ingest_events(request).await {
            Ok(response) => {
                let results = response.into_inner().results;
                assert!(results.iter().all(|result| result.status() == EventStatus::Accepted), "{results:?}");
                next += 1;
            }
            Err(_) => return next,
        }
    }
}

async fn stored_ids(client: &mut EventServiceClient<Channel>, user: Identifier) -> Vec<u64> {
    let (mut ids, mut page_token) = (Vec::new(), String::new());
    loop {
        let customer = Some(CustomerRef { customer: Some(customer_ref::Customer::Identifier(user.clone())) });
        let request = ListEventsRequest { customer, page_size: 1_000, page_token, ..ListEventsRequest::default() };
        let page = client.list_events(request).await.expect("lists").into_inner();
        ids.extend(page.events.iter().map(|event| event.event_id.parse::<u64>().expect("a number")));
        page_token = page.next_page_token;
        if page_token.is_empty() {
            return ids;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_acknowledged_event_survives_kills_and_none_is_doubled() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let mut acknowledged = 0;
    for cycle in 0..10_u64 {
        let server = Server::start(directory.path());
        let sending = tokio::spawn(send_until_killed(server.client().await, acknowledged));
        // Each cycle dies at another point of the work.
        tokio::time::sleep(Duration::from_millis(40 + 35 * cycle)).await;
        server.kill();
        // The event in flight at the kill may have become durable without its acknowledgement; sending it again as a
        // caller would do must not double it, so the next cycle goes on after it.
        acknowledged = sending.await.expect("sends");
        let server = Server::start(directory.path());
        let mut client = server.client().await;
        let again = IngestEventsRequest { events: vec![event(acknowledged)], validate_only: false };
        client.ingest_events(again).await.expect("a repeat is safe");
        acknowledged += 1;

        let mut stored = Vec::new();
        for number in 0..3 {
            if number < acknowledged {
                stored.extend(stored_ids(&mut client, user(number)).await);
            }
        }
        stored.sort_unstable();
        let expected: Vec<u64> = (0..acknowledged).collect();
        assert_eq!(stored, expected, "after cycle {cycle}");
        server.kill();
    }
    assert!(acknowledged > 50, "only {acknowledged} events were acknowledged");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_asked_to_stop_does_so_in_the_middle_of_a_training() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let server = Server::start(directory.path());
    let mut client = server.client().await;
    for batch in 0..10_u64 {
        let events = (0..1_000).map(|number| {
            let number = batch * 1_000 + number;
            Event { identifiers: vec![user(number)], ..event(number) }
        });
        let request = IngestEventsRequest { events: events.collect(), validate_only: false };
        client.ingest_events(request).await.expect("accepted");
    }
    let mut training = TrainingServiceClient::connect(server.address.clone()).await.expect("connects");
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

    let server = Server::start(directory.path());
    let mut training = TrainingServiceClient::connect(server.address.clone()).await.expect("connects");
    let request = GetTrainingRunRequest { run_id: run.run_id, ..Default::default() };
    let run = training.get_training_run(request).await.expect("the run").into_inner().run.expect("the run");
    assert_eq!(run.state(), TrainingState::Failed, "{run:?}");
    server.kill();
}
