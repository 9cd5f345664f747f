//! What one credential may ask for, and that it takes nothing from the others.

use std::time::Duration;

use rapport::rpc::pb;
use rapport::rpc::pb::event_service_client::EventServiceClient;
use rapport::rpc::pb::profile_service_client::ProfileServiceClient;
use rapport::rpc::{QuotaOptions, RpcOptions};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Code, Status};

use crate::support::{NOW, TestApp, details, event, reason, status_of, track, user};

async fn with_quotas(quotas: QuotaOptions) -> TestApp {
    let set = move |options: &mut RpcOptions| options.quotas = quotas;
    let app = TestApp::builder().options(set).start().await;
    app.accept(vec![event("first", "ann", NOW - 60, track("seen"))]).await;
    app
}

async fn read(app: &TestApp, key: &str) -> Result<(), Status> {
    let request = pb::GetProfileRequest { customer: user("ann"), ..Default::default() };
    ProfileServiceClient::new(app.shown(key)).get_profile(request).await.map(drop)
}

/// Holds a refusal to the contract, and tells how long it says to wait.
#[track_caller]
fn exceeded(status: &Status, quota: &str) -> Duration {
    assert_eq!((status.code(), reason(status).as_str()), (Code::ResourceExhausted, "QUOTA_EXCEEDED"), "{status:?}");
    let status = status_of(status);
    let infos = details::<tonic_types::pb::ErrorInfo>(&status, "ErrorInfo");
    assert_eq!(infos[0].metadata["quota"], quota);
    let violations = details::<tonic_types::pb::QuotaFailure>(&status, "QuotaFailure");
    assert_eq!(violations[0].violations[0].subject, quota);
    let retry = details::<tonic_types::pb::RetryInfo>(&status, "RetryInfo");
    retry[0].retry_delay.expect("a delay").try_into().expect("positive")
}

#[tokio::test]
async fn a_key_that_asks_too_often_waits_and_the_others_do_not() {
    let app = with_quotas(QuotaOptions { requests_per_second: 1, ..QuotaOptions::default() }).await;
    let (_, noisy) = app.key("acme", &["profiles:read"]).await;
    let (_, quiet) = app.key("acme", &["profiles:read"]).await;
    read(&app, &noisy).await.expect("the first one");
    let wait = exceeded(&read(&app, &noisy).await.expect_err("at once"), "limits.requests_per_second_per_key");
    assert!(wait > Duration::ZERO && wait <= Duration::from_secs(1), "{wait:?}");
    read(&app, &quiet).await.expect("another key");
    tokio::time::sleep(wait).await;
    read(&app, &noisy).await.expect("after the time that the refusal said");
}

#[tokio::test]
async fn events_are_counted_before_anything_is_done_and_a_stream_waits_instead() {
    let app = with_quotas(QuotaOptions { events_per_second: 100, ..QuotaOptions::default() }).await;
    let (_, key) = app.key("acme", &["events:write"]).await;
    let batch = |name: &str, count: i64| -> Vec<pb::Event> {
        (0..count).map(|number| event(&format!("{name}-{number}"), "ann", NOW - number, track("x"))).collect()
    };
    let mut client = EventServiceClient::new(app.shown(&key));
    let full = pb::IngestEventsRequest { events: batch("full", 1_000), validate_only: false };
    client.ingest_events(full).await.expect("a full batch comes at once");
    let refused = pb::IngestEventsRequest { events: batch("late", 200), validate_only: false };
    let refused = client.ingest_events(refused).await.expect_err("used up");
    exceeded(&refused, "limits.events_per_second_per_key");

    let (sender, receiver) = tokio::sync::mpsc::channel(2);
    let request = pb::StreamEventsRequest { events: batch("late", 200), sequence: 1 };
    sender.send(request).await.expect("room");
    let mut answers = client.stream_events(ReceiverStream::new(receiver)).await.expect("opened").into_inner();
    let early = tokio::time::timeout(Duration::from_millis(300), answers.message()).await;
    assert!(early.is_err(), "as many events take two seconds");
    let answer = answers.message().await.expect("goes on").expect("an answer");
    assert!(
        answer.results.iter().all(|result| result.status() == pb::EventStatus::Accepted),
        "nothing was done before"
    );
}

#[tokio::test]
async fn a_key_has_so_many_requests_at_work_and_gets_their_places_back() {
    let app = with_quotas(QuotaOptions { requests_in_flight: 1, ..QuotaOptions::default() }).await;
    let (_, key) = app.key("acme", &["profiles:read"]).await;
    let (_, other) = app.key("acme", &["profiles:read"]).await;
    let follow = pb::WatchProfilesRequest::default();
    let stream = ProfileServiceClient::new(app.shown(&key)).watch_profiles(follow).await.expect("opened");
    let refused = read(&app, &key).await.expect_err("its one place is taken");
    exceeded(&refused, "limits.requests_in_flight_per_key");
    read(&app, &other).await.expect("another key");
    drop(stream);
    let free = async { while read(&app, &key).await.is_err() {} };
    tokio::time::timeout(Duration::from_secs(30), free).await.expect("the place is free again");
}
