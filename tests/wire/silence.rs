//! Nothing that says who a customer is or what they did reaches a log line, a figure or an error.
//!
//! Two nets. Every log line of every test of this binary, and every status that a test looks at, is held against the
//! values that tests have sent as identifiers and traits until then ([`seed`]). And one test fills every text of every
//! request of the contract with a canary, and looks into what comes back, into the log and into the figures.

use std::collections::BTreeSet;
use std::io::{self, Write};
use std::sync::{Once, OnceLock, PoisonError, RwLock};
use std::time::Duration;

use prost::Message as _;
use prost_reflect::{DescriptorPool, DynamicMessage, FieldDescriptor, Kind, MapKey, MessageDescriptor, Value};
use rapport::rpc::pb;
use rapport::rpc::pb::event_service_client::EventServiceClient;
use rapport::server::{Config, Server};
use tonic::codegen::Bytes;
use tonic::transport::{Channel, Endpoint};
use tonic::{Request, Status};

use crate::metrics::scrape;
use crate::raw::Raw;
use crate::support::{NOW, data, event, identifier, text, track};

/// What is shorter may be a part of a word of ours.
const SEED_BYTES: usize = 8;

fn seeds() -> &'static RwLock<BTreeSet<String>> {
    static SEEDS: OnceLock<RwLock<BTreeSet<String>>> = OnceLock::new();
    SEEDS.get_or_init(RwLock::default)
}

/// The seed that is in a text, if one is.
fn found_in(text: &str) -> Option<String> {
    let seeds = seeds().read().unwrap_or_else(PoisonError::into_inner);
    seeds.iter().find(|seed| text.contains(seed.as_str())).cloned()
}

/// From now on nothing may repeat what these events say of customers.
pub(crate) fn seed(events: &[pb::Event]) {
    let mut seeds = seeds().write().unwrap_or_else(PoisonError::into_inner);
    for event in events {
        let identifiers = event.identifiers.iter().map(|identifier| &identifier.value);
        let traits = match &event.payload {
            Some(pb::event::Payload::Identify(identify)) => identify.traits.as_ref(),
            _ => None,
        };
        let traits = traits.into_iter().flat_map(|traits| traits.fields.values());
        let words = traits.filter_map(|value| match &value.kind {
            Some(prost_types::value::Kind::StringValue(text)) => Some(text),
            _ => None,
        });
        seeds.extend(identifiers.chain(words).filter(|value| value.len() >= SEED_BYTES).cloned());
    }
}

/// Holds a status against the seeds.
#[track_caller]
pub(crate) fn check(status: &Status) {
    let said = format!("{} {}", status.message(), String::from_utf8_lossy(status.details()));
    assert_eq!(found_in(&said), None, "an error repeats what it was sent: {said}");
}

/// Holds every log line of this process against the seeds, from now on.
pub(crate) fn listen() {
    static LISTENING: Once = Once::new();
    LISTENING.call_once(|| {
        let log = tracing_subscriber::fmt().with_env_filter("rapport=trace").with_ansi(false).with_writer(|| Lines);
        log.init();
    });
}

struct Lines;

impl Write for Lines {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let said = String::from_utf8_lossy(line);
        if let Some(seed) = found_in(&said) {
            eprintln!("a log line repeats {seed:?}, which a test has sent: {said}");
            // No test waits for what a server logs, so that a panic on its thread could pass unseen.
            std::process::abort();
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Stands for everything that a customer might not want to see repeated.
const CANARY: &str = "canary-of-silence@example.com";
/// What stands in texts by which programs name things of ours; errors tell them back.
const NAME: &str = "nothing-of-that-name";
/// The fields of those texts.
const NAMES: [&str; 15] = [
    "segment_id",
    "segment_ids",
    "model_version",
    "run_id",
    "merge_id",
    "key_id",
    "receipt_id",
    "purpose",
    "directory",
    "workspace",
    "scopes",
    "label",
    "method_purposes",
    "source_priorities",
    "paths",
];
/// Fields that are left out of a request that is to come past everything that looks at its form.
const LEFT_OUT: [&str; 8] =
    ["at_least_revision", "page_token", "page_size", "resume_token", "read_mask", "as_of_time", "purpose", "etag"];
/// How deep messages are filled: a value of a trait may hold others.
const DEPTH: usize = 7;

/// A message with something in every field; of fields that exclude each other the `choice`th has it.
fn filled(descriptor: &MessageDescriptor, choice: usize, depth: usize) -> DynamicMessage {
    let mut message = DynamicMessage::new(descriptor.clone());
    if depth == 0 {
        return message;
    }
    for field in descriptor.fields() {
        let is_chosen = field.containing_oneof().is_none_or(|one| {
            let fields: Vec<FieldDescriptor> = one.fields().collect();
            fields[choice % fields.len()] == field
        });
        if is_chosen {
            message.set_field(&field, content(&field, choice, depth - 1));
        }
    }
    message
}

fn content(field: &FieldDescriptor, choice: usize, depth: usize) -> Value {
    if field.is_map() {
        let Kind::Message(entry) = field.kind() else { unreachable!("a map has entries") };
        let value = single(&entry.map_entry_value_field(), field.name(), choice, depth);
        return Value::Map([(MapKey::String(word(field.name()).to_owned()), value)].into());
    }
    let value = single(field, field.name(), choice, depth);
    if field.is_list() { Value::List(vec![value]) } else { value }
}

fn single(field: &FieldDescriptor, name: &str, choice: usize, depth: usize) -> Value {
    match field.kind() {
        Kind::String => Value::String(word(name).to_owned()),
        Kind::Bytes => Value::Bytes(word(name).as_bytes().to_vec().into()),
        Kind::Message(message) => Value::Message(filled(&message, choice, depth)),
        Kind::Enum(_) => Value::EnumNumber(1),
        kind => Value::default_value(&kind),
    }
}

fn word(field: &str) -> &'static str {
    match field {
        // Of an identifier, so that what follows is an address, and that of a customer who is there.
        "type" => "email",
        field if NAMES.contains(&field) => NAME,
        _ => CANARY,
    }
}

/// What a call is answered with; of a stream the first message.
async fn answer(channel: &Channel, path: &str, streams: bool, request: Vec<u8>) -> Result<Bytes, Status> {
    let mut grpc = tonic::client::Grpc::new(channel.clone());
    grpc.ready().await.expect("connected");
    let path = http::uri::PathAndQuery::try_from(path).expect("a path");
    if !streams {
        return Ok(grpc.unary(Request::new(request.into()), path, Raw).await?.into_inner());
    }
    let mut stream = grpc.server_streaming(Request::new(request.into()), path, Raw).await?.into_inner();
    match tokio::time::timeout(Duration::from_millis(300), stream.message()).await {
        Ok(message) => Ok(message?.unwrap_or_default()),
        Err(_nothing_yet) => Ok(Bytes::new()),
    }
}

#[tokio::test]
async fn no_error_no_log_line_and_no_figure_repeats_what_a_request_says_of_a_customer() {
    listen();
    let directory = tempfile::tempdir().expect("a directory");
    let mut config = Config { data_dir: directory.path().to_owned(), ..Config::default() };
    config.listen = "127.0.0.1:0".parse().expect("an address");
    config.metrics.listen = "127.0.0.1:0".to_owned();
    let server = Server::start(&config, Default::default()).await.expect("starts");
    let channel = Endpoint::from_shared(format!("http://{}", server.address())).expect("an address").connect_lazy();
    // A customer who is there, so that calls come further than to those who look for one.
    let traits = data([("note", text(CANARY))]);
    let identify = pb::event::Payload::Identify(pb::Identify { traits, ..Default::default() });
    let mut known = vec![event("1", CANARY, NOW, identify), event("2", CANARY, NOW, track(CANARY))];
    known[1].identifiers.push(identifier("email", CANARY));
    seed(&known);
    let request = pb::IngestEventsRequest { events: known, validate_only: false };
    EventServiceClient::new(channel.clone()).ingest_events(request).await.expect("taken in");

    let pool = DescriptorPool::decode(pb::FILE_DESCRIPTOR_SET).expect("descriptors");
    let methods = pool.services().filter(|service| service.package_name() == "rapport.v1");
    let methods: Vec<_> = methods.flat_map(|service| service.methods().collect::<Vec<_>>()).collect();
    let (mut answered, mut refused) = (0, 0);
    for method in &methods {
        // The first key would ask everybody for one; what is erased is gone for the calls behind it.
        if ["CreateApiKey", "EraseCustomer"].contains(&method.name()) {
            continue;
        }
        let path = format!("/{}/{}", method.parent_service().full_name(), method.name());
        let input = method.input();
        for choice in 0..8 {
            let full = filled(&input, choice, DEPTH);
            // And each field alone: the first fault must not hide what stands behind it.
            let alone = input.fields().map(|field| {
                let mut message = DynamicMessage::new(input.clone());
                message.set_field(&field, content(&field, choice, DEPTH));
                message
            });
            let mut sound = full.clone();
            for field in input.fields().filter(|field| LEFT_OUT.contains(&field.name())) {
                sound.clear_field(&field);
            }
            for request in [full.clone(), sound].into_iter().chain(alone) {
                match answer(&channel, &path, method.is_server_streaming(), request.encode_to_vec()).await {
                    Ok(_) => answered += 1,
                    Err(status) => {
                        check(&status);
                        refused += 1;
                    }
                }
            }
        }
    }
    assert!(answered > 200 && refused > 500, "{answered} calls were answered and {refused} refused");
    let figures = scrape(server.metrics_address().expect("served")).await;
    assert_eq!(found_in(&figures), None, "{figures}");
    server.stop().await.expect("stops");
}

#[test]
fn the_nets_catch_what_falls_into_them() {
    seed(&[event("1", "canary-that-is-caught", NOW, track("x"))]);
    assert_eq!(found_in("who is canary-that-is-caught?").as_deref(), Some("canary-that-is-caught"));
    let status = Status::with_details(tonic::Code::NotFound, "", b"canary-that-is-caught".to_vec().into());
    let check = std::panic::AssertUnwindSafe(|| check(&status));
    std::panic::catch_unwind(check).expect_err("caught");
}
