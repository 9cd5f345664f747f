//! What a client can do to a connection beside asking for something: floods, silence, sizes. Spoken in frames of
//! HTTP/2, because clients that mean well cannot do most of it.

use std::time::Duration;

use http::{Method, Request};
use prost::bytes::Bytes;
use rapport::rpc::{RpcOptions, pb};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tonic::Code;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_client::HealthClient;

use crate::support::{NOW, TestApp, event, reason, track};

const HEADERS: u8 = 1;
const RESET: u8 = 3;
const SETTINGS: u8 = 4;
const GOAWAY: u8 = 7;
const END_STREAM: u8 = 1;
const ACK: u8 = 1;
const END_HEADERS: u8 = 4;
const CANCEL: u32 = 8;
const REFUSED_STREAM: u32 = 7;
const ENHANCE_YOUR_CALM: u32 = 11;
const HEALTH: &str = "/grpc.health.v1.Health/Check";
const STREAM: &str = "/rapport.v1.EventService/StreamEvents";
/// How long a test waits for what must come.
const PATIENCE: Duration = Duration::from_secs(30);

/// A frame that the server has sent.
#[derive(Debug)]
struct Frame {
    kind: u8,
    stream: u32,
    payload: Vec<u8>,
}

/// A connection that says in frames what it likes.
struct Wild(TcpStream);

impl Wild {
    /// Connects and says what every client says first.
    async fn connect(app: &TestApp) -> Self {
        let mut stream = TcpStream::connect(app.address).await.expect("connected");
        let hello = [&b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"[..], &frame(SETTINGS, 0, 0, &[])].concat();
        stream.write_all(&hello).await.expect("sent");
        Self(stream)
    }

    async fn send(&mut self, bytes: &[u8]) {
        // A server that has had enough may have closed already; what it said is read all the same.
        let _closed = self.0.write_all(bytes).await;
    }

    /// The next frame; `None` at the end of the connection.
    async fn next(&mut self) -> Option<Frame> {
        let mut head = [0; 9];
        tokio::time::timeout(PATIENCE, self.0.read_exact(&mut head)).await.expect("in time").ok()?;
        let mut payload = vec![0; usize::from(head[0]) << 16 | usize::from(head[1]) << 8 | usize::from(head[2])];
        self.0.read_exact(&mut payload).await.ok()?;
        let stream = u32::from_be_bytes([head[5], head[6], head[7], head[8]]);
        Some(Frame { kind: head[3], stream, payload })
    }

    /// The code of the GOAWAY that ends the connection.
    async fn ended_with(&mut self) -> Option<u32> {
        let mut code = None;
        while let Some(frame) = self.next().await {
            if frame.kind == GOAWAY {
                code = frame.payload[4..8].try_into().ok().map(u32::from_be_bytes);
            }
        }
        code
    }
}

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).expect("short").to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

/// Headers without any compression.
fn headers(path: &str, names: &[(&str, &str)]) -> Vec<u8> {
    let usual = [(":scheme", "http"), (":path", path), (":authority", "test"), ("content-type", "application/grpc")];
    let text = |text: &str| [&[u8::try_from(text.len()).expect("short")][..], text.as_bytes()].concat();
    let all = names.iter().chain(&usual);
    all.flat_map(|(name, value)| [vec![0], text(name), text(value)].concat()).collect()
}

fn open(stream: u32, path: &str, flags: u8) -> Vec<u8> {
    frame(HEADERS, END_HEADERS | flags, stream, &headers(path, &[(":method", "POST")]))
}

fn reset(stream: u32) -> Vec<u8> {
    frame(RESET, 0, stream, &CANCEL.to_be_bytes())
}

/// The ids of the streams that a client opens.
fn streams(count: u32) -> impl Iterator<Item = u32> {
    (0..count).map(|number| number * 2 + 1)
}

async fn with(change: impl FnOnce(&mut RpcOptions)) -> TestApp {
    TestApp::builder().options(change).start().await
}

async fn is_served(app: &TestApp) {
    HealthClient::new(app.channel.clone()).check(HealthCheckRequest::default()).await.expect("others are served");
}

/// Waits until the server closes a connection.
async fn closed(stream: &mut TcpStream) {
    let mut rest = Vec::new();
    let ended = tokio::time::timeout(PATIENCE, stream.read_to_end(&mut rest)).await.expect("an end");
    drop(ended);
}

#[tokio::test]
async fn a_client_is_told_how_many_streams_it_may_open_and_refused_more() {
    let app = TestApp::start().await;
    let mut wild = Wild::connect(&app).await;
    let settings = wild.next().await.expect("settings").payload;
    let told = |id: u16| {
        let found = settings.chunks(6).find(|entry| entry[..2] == id.to_be_bytes()).expect("told");
        u32::from_be_bytes([found[2], found[3], found[4], found[5]])
    };
    assert_eq!((told(3), told(6)), (128, 16 << 10), "streams, and bytes of headers");

    let app = with(|options| options.connections.streams = 3).await;
    let mut wild = Wild::connect(&app).await;
    let all: Vec<u8> = streams(4).flat_map(|stream| open(stream, STREAM, 0)).collect();
    wild.send(&frame(SETTINGS, ACK, 0, &[])).await;
    wild.send(&all).await;
    let refused = loop {
        let frame = wild.next().await.expect("an answer");
        if frame.kind == RESET {
            break frame;
        }
    };
    assert_eq!((refused.stream, refused.payload), (7, REFUSED_STREAM.to_be_bytes().to_vec()));
    is_served(&app).await;
}

#[tokio::test]
async fn streams_that_are_reset_as_fast_as_they_are_opened_end_the_connection() {
    let app = TestApp::start().await;
    let mut wild = Wild::connect(&app).await;
    let flood: Vec<u8> = streams(1_000).flat_map(|stream| [open(stream, HEALTH, 0), reset(stream)].concat()).collect();
    wild.send(&flood).await;
    assert_eq!(wild.ended_with().await, Some(ENHANCE_YOUR_CALM));
    is_served(&app).await;
}

#[tokio::test]
async fn streams_that_the_server_must_reset_end_the_connection() {
    let app = TestApp::start().await;
    let mut wild = Wild::connect(&app).await;
    // A request without a method is no request.
    let faulty = |stream| frame(HEADERS, END_HEADERS | END_STREAM, stream, &headers(HEALTH, &[]));
    let flood: Vec<u8> = streams(200).flat_map(faulty).collect();
    wild.send(&flood).await;
    assert_eq!(wild.ended_with().await, Some(ENHANCE_YOUR_CALM));
    is_served(&app).await;
}

/// A client of HTTP/2 that is well-behaved unless a test wants otherwise.
async fn client(app: &TestApp, window: u32) -> h2::client::SendRequest<Bytes> {
    let stream = TcpStream::connect(app.address).await.expect("connected");
    let shaken = h2::client::Builder::new().initial_window_size(window).handshake(stream).await;
    let (client, connection) = shaken.expect("a connection");
    tokio::spawn(async move {
        let _ended = connection.await;
    });
    client.ready().await.expect("ready")
}

fn request(path: &str) -> http::request::Builder {
    let uri = format!("http://test{path}");
    Request::builder().method(Method::POST).uri(uri).header("content-type", "application/grpc").header("te", "trailers")
}

#[tokio::test]
async fn headers_that_are_too_many_are_refused() {
    let app = TestApp::start().await;
    let mut client = client(&app, 65_535).await;
    let fits = request(HEALTH).header("x-long", "x".repeat(8 << 10)).body(()).expect("a request");
    let (answer, mut body) = client.send_request(fits, false).expect("sent");
    body.send_data(Bytes::from_static(&[0, 0, 0, 0, 0]), true).expect("sent");
    assert_eq!(answer.await.expect("answered").status(), 200);
    let flood = request(HEALTH).header("x-long", "x".repeat(20 << 10)).body(()).expect("a request");
    let (answer, _) = client.send_request(flood, true).expect("sent");
    if let Ok(answer) = answer.await {
        assert_eq!(answer.status(), 431);
    }
    is_served(&app).await;
}

#[tokio::test]
async fn answers_that_nobody_takes_keep_nobody_waiting_until_they_are_many_and_end_their_connection() {
    const UNTAKEN: usize = 8;
    let app = with(|options| {
        options.connections.stalled_timeout = Duration::from_secs(2);
        options.requests_in_flight = 1;
    })
    .await;
    app.accept(vec![event("e", "ann", NOW, track("x"))]).await;
    let settings = async || app.admin().get_settings(pb::GetSettingsRequest::default()).await;
    // A window of nothing: not one byte of an answer may be sent.
    let mut slow = client(&app, 0).await;
    let mut heads = Vec::new();
    for _ in 0..=UNTAKEN {
        settings().await.expect("who takes nothing has only places for answers");
        let list = request("/rapport.v1.ProfileService/ListProfiles").header("rapport-workspace", "acme");
        let (answer, mut body) = slow.send_request(list.body(()).expect("a request"), false).expect("sent");
        body.send_data(Bytes::from_static(&[0, 0, 0, 0, 0]), true).expect("sent");
        heads.push(answer.await.expect("its head").into_body());
    }
    assert_eq!(reason(&settings().await.expect_err("the last one keeps the place at work")), "OVERLOADED");
    let ended = tokio::time::timeout(PATIENCE, heads[0].data()).await.expect("an end");
    ended.expect("no byte was allowed").expect_err("the connection was ended");
    while settings().await.is_err() {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn messages_have_the_sizes_that_the_settings_say() {
    let app = with(|options| {
        options.messages.request_bytes = 1_000;
        options.messages.batch_bytes = 2_000;
    })
    .await;
    let segment = |bytes| pb::GetSegmentRequest { segment_id: "x".repeat(bytes), ..Default::default() };
    let refused = app.segments().get_segment(segment(1_001)).await.expect_err("too large");
    assert_eq!((refused.code(), reason(&refused).as_str()), (Code::InvalidArgument, "INVALID_FIELD"));
    let missing = app.segments().get_segment(segment(100)).await.expect_err("no such segment");
    assert_eq!(reason(&missing), "SEGMENT_NOT_FOUND");
    let batch = |bytes| {
        let event = event(&"e".repeat(bytes), "ann", NOW, track("x"));
        pb::IngestEventsRequest { events: vec![event], validate_only: true }
    };
    app.events().ingest_events(batch(1_500)).await.expect("it fits");
    let refused = app.events().ingest_events(batch(2_001)).await.expect_err("too large");
    assert_eq!((refused.code(), reason(&refused).as_str()), (Code::InvalidArgument, "BATCH_TOO_LARGE"));
    use tonic::codec::CompressionEncoding::Gzip;
    let refused = app.events().send_compressed(Gzip).ingest_events(batch(100_000)).await.expect_err("it inflates");
    assert_eq!(reason(&refused), "BATCH_TOO_LARGE");
}

#[tokio::test]
async fn who_says_nothing_is_let_go() {
    let app = with(|options| options.connections.first_byte_timeout = Duration::from_millis(50)).await;
    let mut silent = TcpStream::connect(app.address).await.expect("connected");
    closed(&mut silent).await;
    is_served(&app).await;
}

#[tokio::test]
async fn a_connection_without_requests_ends_and_one_with_a_stream_does_not() {
    let app = with(|options| options.connections.idle_timeout = Duration::from_millis(100)).await;
    let (sender, receiver) = tokio::sync::mpsc::channel(1);
    let requests = tokio_stream::wrappers::ReceiverStream::new(receiver);
    let mut answers = app.events().stream_events(requests).await.expect("a stream").into_inner();
    let mut idle = Wild::connect(&app).await;
    while idle.next().await.is_some() {}
    // By now the stream has been as quiet for as long.
    let batch = pb::StreamEventsRequest { events: vec![event("e", "ann", NOW, track("x"))], sequence: 1 };
    sender.send(batch).await.expect("open");
    answers.message().await.expect("it goes on").expect("an answer");
}

#[tokio::test]
async fn a_connection_has_an_end_although_its_stream_goes_on() {
    let app = with(|options| {
        options.connections.age = Duration::from_millis(200);
        options.connections.age_grace = Duration::from_millis(100);
        options.connections.idle_timeout = Duration::from_millis(100);
    })
    .await;
    let mut watched =
        app.profiles().watch_profiles(pb::WatchProfilesRequest::default()).await.expect("a stream").into_inner();
    let ended = tokio::time::timeout(PATIENCE, async {
        loop {
            match watched.message().await {
                Ok(message) => assert!(message.is_some(), "the stream ended as if there were no more changes"),
                Err(status) => break status,
            }
        }
    });
    ended.await.expect("an end");
    is_served(&app).await;
}

#[tokio::test]
async fn an_address_has_so_many_connections_and_no_more() {
    let app = with(|options| options.connections.per_peer = 2).await;
    let mut first = Wild::connect(&app).await;
    let mut second = Wild::connect(&app).await;
    for wild in [&mut first, &mut second] {
        assert_eq!(wild.next().await.expect("settings").kind, SETTINGS);
    }
    let mut third = Wild::connect(&app).await;
    assert!(third.next().await.is_none(), "one too many is answered");
    drop(first);
    loop {
        if Wild::connect(&app).await.next().await.is_some() {
            break;
        }
    }
}
