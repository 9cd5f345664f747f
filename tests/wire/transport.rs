//! What holds for every method: health, reflection, compression, deadlines, shedding, browsers.

use std::time::Duration;

use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use rapport::rpc::pb;
use rapport::rpc::pb::event_service_client::EventServiceClient;
use rapport::rpc::pb::profile_service_client::ProfileServiceClient;
use rapport::store::embedded::{DiskLimits, EmbeddedStore, Options};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tonic::codec::CompressionEncoding::Gzip;
use tonic::{Code, Request};
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;
use tonic_health::pb::{HealthCheckRequest, HealthCheckResponse};

use crate::support::{BrokenStore, NOW, TestApp, details, event, reason, status_of, track, user};

const SERVICES: [&str; 7] = [
    "rapport.v1.EventService",
    "rapport.v1.ProfileService",
    "rapport.v1.PrivacyService",
    "rapport.v1.SegmentService",
    "rapport.v1.PredictionService",
    "rapport.v1.TrainingService",
    "rapport.v1.AdminService",
];

async fn health(app: &TestApp, service: &str) -> Result<ServingStatus, tonic::Status> {
    let request = HealthCheckRequest { service: service.to_owned() };
    Ok(HealthClient::new(app.channel.clone()).check(request).await?.into_inner().status())
}

#[tokio::test]
async fn every_service_is_healthy_and_an_unknown_one_is_not_found() {
    let app = TestApp::start().await;
    for service in SERVICES.into_iter().chain([""]) {
        assert_eq!(health(&app, service).await.expect("known"), ServingStatus::Serving, "{service}");
    }
    assert_eq!(health(&app, "rapport.v1.NoService").await.expect_err("unknown").code(), Code::NotFound);
}

#[tokio::test]
async fn events_are_not_served_while_the_store_takes_no_writes_and_reads_are() {
    let app = TestApp::start().await;
    let request = HealthCheckRequest { service: SERVICES[0].to_owned() };
    let watch = HealthClient::new(app.channel.clone()).watch(request).await.expect("a stream");
    let mut watch = watch.into_inner();
    let state = async |watch: &mut tonic::Streaming<HealthCheckResponse>| {
        watch.message().await.expect("a state").expect("a state").status()
    };
    assert_eq!(state(&mut watch).await, ServingStatus::Serving);
    app.app.shut_down().await.expect("closed");
    assert_eq!(health(&app, SERVICES[0]).await.expect("known"), ServingStatus::NotServing);
    assert_eq!(health(&app, SERVICES[1]).await.expect("known"), ServingStatus::Serving);
    assert_eq!(state(&mut watch).await, ServingStatus::NotServing);

    let events = vec![event("e", "ann", NOW, track("x"))];
    let refused = app.events().ingest_events(pb::IngestEventsRequest { events, validate_only: false }).await;
    let refused = refused.expect_err("closed");
    assert_eq!((refused.code(), reason(&refused).as_str()), (Code::Unavailable, "STORE_UNAVAILABLE"));
    assert_eq!(details::<tonic_types::pb::RetryInfo>(&status_of(&refused), "RetryInfo").len(), 1);
}

#[tokio::test]
async fn both_reflections_list_the_public_services_and_know_their_files() {
    use tonic_reflection::pb::{v1, v1alpha};
    let mut expected: Vec<String> = SERVICES.map(str::to_owned).to_vec();
    expected.push("grpc.health.v1.Health".to_owned());
    expected.sort();
    let app = TestApp::start().await;
    macro_rules! services {
        ($version:ident) => {{
            use $version::server_reflection_request::MessageRequest;
            use $version::server_reflection_response::MessageResponse;
            let asked = [
                MessageRequest::ListServices(String::new()),
                MessageRequest::FileContainingSymbol("rapport.v1.ProfileService".to_owned()),
            ];
            let requests = asked.map(|question| $version::ServerReflectionRequest {
                message_request: Some(question),
                ..Default::default()
            });
            let mut client = $version::server_reflection_client::ServerReflectionClient::new(app.channel.clone())
                .send_compressed(Gzip)
                .accept_compressed(Gzip);
            let answers = client.server_reflection_info(tokio_stream::iter(requests)).await;
            let mut answers = answers.expect("a stream").into_inner();
            let listed = answers.message().await.expect("an answer").expect("an answer").message_response;
            let Some(MessageResponse::ListServicesResponse(listed)) = listed else { panic!("{listed:?}") };
            let file = answers.message().await.expect("an answer").expect("an answer").message_response;
            assert!(matches!(file, Some(MessageResponse::FileDescriptorResponse(_))), "{file:?}");
            let mut names: Vec<String> = listed.service.into_iter().map(|service| service.name).collect();
            names.sort();
            names
        }};
    }
    assert_eq!(services!(v1), expected);
    assert_eq!(services!(v1alpha), expected);
}

#[tokio::test]
async fn on_a_full_disk_writes_are_refused_with_a_delay_and_reads_go_on() {
    let directory = tempfile::tempdir().expect("a directory");
    let with = |disk| EmbeddedStore::open(Options { disk, ..Options::new(directory.path(), [7; 16]) }).expect("opens");
    let app = TestApp::builder().store(with(DiskLimits::default())).start().await;
    app.accept(vec![event("e", "ann", NOW, track("x"))]).await;
    app.app.shut_down().await.expect("closes");

    // No disk has as much room as this asks for: the store is started on a full one.
    let full = DiskLimits { min_free_bytes: u64::MAX, min_free_ratio: 1.0, ..DiskLimits::default() };
    let app = TestApp::builder().store(with(full)).start().await;
    let request = pb::IngestEventsRequest { events: vec![event("f", "ann", NOW, track("x"))], validate_only: false };
    let refused = app.events().ingest_events(request).await.expect_err("no room");
    assert_eq!((refused.code(), reason(&refused).as_str()), (Code::ResourceExhausted, "STORAGE_FULL"));
    assert_eq!(details::<tonic_types::pb::RetryInfo>(&status_of(&refused), "RetryInfo").len(), 1);
    assert_eq!(health(&app, SERVICES[0]).await.expect("known"), ServingStatus::NotServing);
    assert_eq!(health(&app, SERVICES[1]).await.expect("known"), ServingStatus::Serving);
    let request = pb::GetProfileRequest { customer: user("ann"), ..Default::default() };
    let profile = app.profiles().get_profile(request).await.expect("read").into_inner().profile.expect("a profile");
    assert_eq!(profile.activity.expect("activity").events, 1);
}

#[tokio::test]
async fn every_service_takes_gzip() {
    let app = TestApp::start().await;
    app.accept(vec![event("e", "ann", NOW, track("x"))]).await;
    let request = pb::IngestEventsRequest::default();
    app.events().send_compressed(Gzip).accept_compressed(Gzip).ingest_events(request).await.expect("events");
    let request = pb::GetProfileRequest { customer: user("ann"), ..Default::default() };
    app.profiles().send_compressed(Gzip).accept_compressed(Gzip).get_profile(request).await.expect("profiles");
    let request = pb::ListSegmentsRequest::default();
    app.segments().send_compressed(Gzip).accept_compressed(Gzip).list_segments(request).await.expect("segments");
    let request = pb::PredictRequest { customer: user("ann"), ..Default::default() };
    app.predictions().send_compressed(Gzip).accept_compressed(Gzip).predict(request).await.expect("predictions");
    let request = pb::ListModelsRequest::default();
    app.training().send_compressed(Gzip).accept_compressed(Gzip).list_models(request).await.expect("training");
    let request = pb::GetServerInfoRequest::default();
    app.admin().send_compressed(Gzip).accept_compressed(Gzip).get_server_info(request).await.expect("admin");
    let mut health = HealthClient::new(app.channel.clone()).send_compressed(Gzip).accept_compressed(Gzip);
    health.check(HealthCheckRequest::default()).await.expect("health");
}

#[tokio::test]
async fn a_bomb_is_measured_by_what_it_inflates_to() {
    let app = TestApp::start().await;
    let request = pb::GetSegmentRequest { segment_id: "x".repeat(3 << 20), ..Default::default() };
    let refused = app.segments().send_compressed(Gzip).get_segment(request).await.expect_err("too large");
    assert_eq!((refused.code(), reason(&refused).as_str()), (Code::InvalidArgument, "INVALID_FIELD"));
}

#[tokio::test]
async fn a_call_that_takes_too_long_is_answered_with_deadline_exceeded() {
    let hanging = BrokenStore::hanging();
    let app =
        TestApp::builder().store(hanging).options(|o| o.request_timeout = Duration::from_millis(50)).start().await;
    let request = pb::GetProfileRequest { customer: user("ann"), ..Default::default() };
    let overdue = app.profiles().get_profile(request.clone()).await.expect_err("no answer");
    assert_eq!((overdue.code(), reason(&overdue).as_str()), (Code::DeadlineExceeded, "DEADLINE_EXCEEDED"));
}

/// A channel that leaves `grpc-timeout` to the server. tonic's own reads the metadata too, and where the machine is busy
/// it answers before the server does.
fn patient_channel() -> Client<HttpConnector, tonic::body::Body> {
    Client::builder(TokioExecutor::new()).http2_only(true).build_http()
}

#[tokio::test]
async fn the_callers_own_deadline_is_honoured_by_the_server() {
    let app = TestApp::builder().store(BrokenStore::hanging()).start().await;
    let mut request = Request::new(pb::GetProfileRequest { customer: user("ann"), ..Default::default() });
    request.metadata_mut().insert("grpc-timeout", "100m".parse().expect("text"));
    let mut profiles = ProfileServiceClient::with_origin(patient_channel(), app.origin());
    let overdue = profiles.get_profile(request).await.expect_err("no answer");
    assert_eq!((overdue.code(), reason(&overdue).as_str()), (Code::DeadlineExceeded, "DEADLINE_EXCEEDED"));
}

#[tokio::test]
async fn a_stream_ends_at_the_deadline_of_its_caller() {
    let app = TestApp::start().await;
    let mut request = Request::new(tokio_stream::pending());
    request.metadata_mut().insert("grpc-timeout", "1S".parse().expect("text"));
    let mut events = EventServiceClient::with_origin(patient_channel(), app.origin());
    let mut answers = events.stream_events(request).await.expect("a stream").into_inner();
    let ended = tokio::time::timeout(Duration::from_secs(20), answers.message()).await.expect("an end");
    let overdue = ended.expect_err("no answer");
    assert_eq!((overdue.code(), reason(&overdue).as_str()), (Code::DeadlineExceeded, "DEADLINE_EXCEEDED"));
}

#[tokio::test]
async fn what_is_too_much_is_refused_at_once_and_health_is_not() {
    let app = TestApp::builder().options(|options| options.requests_in_flight = 1).start().await;
    // A stream that has been answered holds its place until it ends.
    let (sender, receiver) = tokio::sync::mpsc::channel(1);
    let requests = tokio_stream::wrappers::ReceiverStream::new(receiver);
    let mut held = app.events().stream_events(requests).await.expect("a place").into_inner();
    let refused = app.admin().get_settings(pb::GetSettingsRequest::default()).await.expect_err("no place");
    assert_eq!((refused.code(), reason(&refused).as_str()), (Code::ResourceExhausted, "OVERLOADED"));
    assert_eq!(details::<tonic_types::pb::RetryInfo>(&status_of(&refused), "RetryInfo").len(), 1);
    assert_eq!(health(&app, "").await.expect("exempt"), ServingStatus::Serving);
    drop(sender);
    assert_eq!(held.message().await.expect("ended well"), None);
    drop(held);
    app.admin().get_settings(pb::GetSettingsRequest::default()).await.expect("a place");
}

/// Sends one HTTP/1.1 request and gives back the head and the body of its answer as text.
async fn http(app: &TestApp, head: &str, body: &[u8]) -> String {
    let mut stream = TcpStream::connect(app.address).await.expect("connected");
    let request = format!("{head}\r\nhost: test\r\nconnection: close\r\ncontent-length: {}\r\n\r\n", body.len());
    stream.write_all(request.as_bytes()).await.expect("sent");
    stream.write_all(body).await.expect("sent");
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.expect("answered");
    String::from_utf8_lossy(&answer).to_lowercase()
}

#[tokio::test]
async fn a_page_of_this_machine_may_call_over_grpc_web() {
    let app = TestApp::start().await;
    let preflight = |origin: &str| {
        format!(
            "OPTIONS /rapport.v1.AdminService/GetServerInfo HTTP/1.1\r\norigin: {origin}\r\n\
             access-control-request-method: POST\r\naccess-control-request-headers: content-type,x-grpc-web"
        )
    };
    let answer = http(&app, &preflight("http://localhost:3000"), b"").await;
    assert!(answer.contains("access-control-allow-origin: http://localhost:3000"), "{answer}");
    for name in ["authorization", "content-type", "x-grpc-web", "x-user-agent", "grpc-timeout", "rapport-workspace"] {
        let allowed = answer.lines().find(|line| line.starts_with("access-control-allow-headers:"));
        assert!(allowed.is_some_and(|line| line.contains(name)), "{name}: {answer}");
    }
    let foreign = http(&app, &preflight("https://example.com"), b"").await;
    assert!(!foreign.contains("access-control-allow-origin"), "{foreign}");

    let head = "POST /rapport.v1.AdminService/GetServerInfo HTTP/1.1\r\norigin: http://localhost:3000\r\n\
                content-type: application/grpc-web+proto\r\nx-grpc-web: 1";
    let answer = http(&app, head, &[0, 0, 0, 0, 0]).await;
    assert!(answer.starts_with("http/1.1 200"), "{answer}");
    assert!(answer.contains("grpc-status:0") && answer.contains("memory"), "{answer}");
    for name in ["grpc-status", "grpc-message", "grpc-status-details-bin"] {
        let exposed = answer.lines().find(|line| line.starts_with("access-control-expose-headers:"));
        assert!(exposed.is_some_and(|line| line.contains(name)), "{name}: {answer}");
    }
}

#[tokio::test]
async fn a_stopping_server_ends_its_watches_and_closes_what_does_not_end() {
    let options = |options: &mut rapport::rpc::RpcOptions| {
        options.requests_in_flight = 1;
        options.drain_timeout = Duration::from_millis(100);
    };
    let mut app = TestApp::builder().store(BrokenStore::hanging()).options(options).start().await;
    let watched = HealthClient::new(app.channel.clone()).watch(HealthCheckRequest::default()).await;
    let mut watched = watched.expect("a stream").into_inner();
    let state = watched.message().await.expect("a state").expect("a state");
    assert_eq!(state.status(), ServingStatus::Serving);
    let mut profiles = app.profiles();
    let stuck = tokio::spawn(async move {
        let request = pb::GetProfileRequest { customer: user("ann"), ..Default::default() };
        profiles.get_profile(request).await
    });
    // The only place is taken once the server has the request.
    while app.admin().get_settings(pb::GetSettingsRequest::default()).await.is_ok() {
        tokio::task::yield_now().await;
    }
    let stopped = app.stop();
    let state = watched.message().await.expect("a state").expect("a state");
    assert_eq!(state.status(), ServingStatus::NotServing);
    tokio::time::timeout(Duration::from_secs(5), stopped).await.expect("stops although a request is stuck");
    let closed = stuck.await.expect("no panic").expect_err("never answered");
    assert_ne!(closed.code(), Code::DeadlineExceeded);
    assert!(TcpStream::connect(app.address).await.is_err(), "nothing listens any more");
}

#[tokio::test]
async fn a_server_in_the_own_process_answers_without_a_port() {
    let app = TestApp::start().await;
    let channel = rapport::rpc::in_process(app.app.clone(), rapport::rpc::RpcOptions::default()).expect("set up");
    let mut admin = pb::admin_service_client::AdminServiceClient::new(channel);
    let info = admin.get_server_info(pb::GetServerInfoRequest::default()).await.expect("info").into_inner();
    assert_eq!(info.store, "memory");
    let refused = admin.get_settings(pb::GetSettingsRequest { at_least_revision: "r9".to_owned() }).await;
    assert_eq!(reason(&refused.expect_err("ahead")), "REVISION_AHEAD");
}
