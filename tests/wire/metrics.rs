//! The figures for Prometheus: they count what was asked and what came of it, and say nothing of anybody.

use std::net::SocketAddr;

use rapport::rpc::pb;
use rapport::rpc::pb::event_service_client::EventServiceClient;
use rapport::rpc::pb::profile_service_client::ProfileServiceClient;
use rapport::server::{Config, Server};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::support::{NOW, event, track, user};

/// A value that must not be repeated anywhere.
const CANARY: &str = "canary-4711@example.com";

/// What a scraper gets.
pub(crate) async fn scrape(address: SocketAddr) -> String {
    let mut stream = TcpStream::connect(address).await.expect("connects");
    stream.write_all(b"GET /metrics HTTP/1.1\r\nhost: rapport\r\nconnection: close\r\n\r\n").await.expect("asked");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.expect("answered");
    assert!(answer.starts_with("HTTP/1.1 200 OK"), "{answer}");
    answer
}

#[tokio::test]
async fn requests_and_events_are_counted_by_what_came_of_them_and_nobody_is_named() {
    let directory = tempfile::tempdir().expect("a directory");
    let mut config = Config { data_dir: directory.path().to_owned(), ..Config::default() };
    config.listen = "127.0.0.1:0".parse().expect("an address");
    config.metrics.listen = "127.0.0.1:0".to_owned();
    let server = Server::start(&config, Default::default()).await.expect("starts");
    let origin = format!("http://{}", server.address());
    let mut events = EventServiceClient::connect(origin.clone()).await.expect("connects");
    let sent = [event("1", CANARY, NOW, track(CANARY)), event("", CANARY, NOW, track(CANARY))];
    for _ in 0..2 {
        let request = pb::IngestEventsRequest { events: sent.to_vec(), validate_only: false };
        events.ingest_events(request).await.expect("answered");
    }
    let trial = pb::IngestEventsRequest { events: sent.to_vec(), validate_only: true };
    events.ingest_events(trial).await.expect("answered");
    let mut profiles = ProfileServiceClient::connect(origin).await.expect("connects");
    for name in [CANARY, "nobody"] {
        let request = pb::GetProfileRequest { customer: user(name), ..Default::default() };
        let _found_or_not = profiles.get_profile(request).await;
    }
    let figures = scrape(server.metrics_address().expect("served")).await;
    let of = |method: &str, code: &str| {
        let (service, method) = method.split_once('/').expect("a method");
        format!("grpc_server_handled_total{{grpc_code=\"{code}\",grpc_method=\"{method}\",grpc_service=\"{service}\"}}")
    };
    for (name, count) in [
        (of("rapport.v1.EventService/IngestEvents", "OK"), 3),
        (of("rapport.v1.ProfileService/GetProfile", "OK"), 1),
        (of("rapport.v1.ProfileService/GetProfile", "NotFound"), 1),
        ("rapport_events_total{status=\"accepted\"}".to_owned(), 1),
        ("rapport_events_total{status=\"duplicate\"}".to_owned(), 1),
        ("rapport_events_total{status=\"rejected\"}".to_owned(), 2),
        ("rapport_models_unserved{kind=\"churn\"}".to_owned(), 0),
        ("rapport_takes_writes".to_owned(), 1),
        ("grpc_server_in_flight".to_owned(), 0),
    ] {
        assert!(figures.lines().any(|line| line == format!("{name} {count}")), "{name} is not {count}:\n{figures}");
    }
    assert!(figures.contains("grpc_server_handling_seconds_bucket") && figures.contains("process_cpu_seconds_total"));
    assert!(!figures.contains("canary"), "{figures}");
    server.stop().await.expect("stops");
}

#[tokio::test]
async fn no_figures_are_served_unless_they_are_wanted() {
    let directory = tempfile::tempdir().expect("a directory");
    let mut config = Config { data_dir: directory.path().to_owned(), ..Config::default() };
    config.listen = "127.0.0.1:0".parse().expect("an address");
    let server = Server::start(&config, Default::default()).await.expect("starts");
    assert_eq!(server.metrics_address(), None);
    server.stop().await.expect("stops");
}
