//! One workspace and the ids of another: what belongs to somebody else is missing, and looks as what never was.
//!
//! The methods and their fields are read from the descriptors, so that a method that is added is called too. A field
//! that may hold an id must be in [`KINDS`] or [`NO_IDS`], or the test fails.

use std::collections::BTreeMap;
use std::time::Duration;

use pb::ModelKind;
use prost::Message as _;
use prost_types::FileDescriptorSet;
use prost_types::field_descriptor_proto::Type;
use rapport::rpc::pb;
use tonic::{Code, Request};

use crate::raw::Raw;
use crate::support::{NOW, Shown, TestApp, event, identifier, track, user};
use crate::training::{shop, train};

/// Fields that hold ids, and which kind of id.
const KINDS: [(&str, Kind); 16] = [
    ("customer", Kind::Customer),
    ("customers", Kind::Customer),
    ("target", Kind::Customer),
    ("sources", Kind::Customer),
    ("segment_id", Kind::Text("segment")),
    ("segment_ids", Kind::Text("segment")),
    ("model_version", Kind::Text("model")),
    ("run_id", Kind::Text("run")),
    ("merge_id", Kind::Text("merge")),
    ("key_id", Kind::Text("key")),
    ("receipt_id", Kind::Text("receipt")),
    ("page_token", Kind::Text("page")),
    ("resume_token", Kind::Text("resume")),
    ("etag", Kind::Text("etag")),
    ("request_id", Kind::Text("request")),
    ("at_least_revision", Kind::Text("revision")),
];
/// Text fields of requests that name nothing that a workspace keeps.
const NO_IDS: [&str; 9] =
    ["source", "purpose", "proof", "reason", "directory", "workspace", "display_name", "kinds", "scopes"];

#[derive(Clone, Copy, PartialEq)]
enum Kind {
    Customer,
    Text(&'static str),
}

/// An id of the other workspace, and one of the same form that was never given out.
struct Id {
    kind: &'static str,
    foreign: String,
    missing: String,
}

/// A method of the contract.
struct Method {
    path: String,
    streams: bool,
    /// The fields of its request by name: number and type.
    fields: BTreeMap<String, (i32, Type)>,
}

fn methods() -> Vec<Method> {
    let files = FileDescriptorSet::decode(pb::FILE_DESCRIPTOR_SET).expect("descriptors").file;
    let files: Vec<_> = files.into_iter().filter(|file| file.package() == "rapport.v1").collect();
    let message = |name: &str| {
        let name = name.trim_start_matches(".rapport.v1.");
        files.iter().flat_map(|file| &file.message_type).find(|message| message.name() == name).expect("declared")
    };
    let mut found = Vec::new();
    for service in files.iter().flat_map(|file| &file.service) {
        for method in &service.method {
            let fields = message(method.input_type()).field.iter();
            let fields = fields.map(|field| (field.name().to_owned(), (field.number(), field.r#type()))).collect();
            let path = format!("/rapport.v1.{}/{}", service.name(), method.name());
            found.push(Method { path, streams: method.server_streaming(), fields });
        }
    }
    found
}

/// A field with a length, as protobuf writes it.
fn field(number: i32, content: &[u8]) -> Vec<u8> {
    let mut written = Vec::new();
    prost::encoding::encode_key(
        u32::try_from(number).expect("positive"),
        prost::encoding::WireType::LengthDelimited,
        &mut written,
    );
    prost::encoding::encode_varint(content.len() as u64, &mut written);
    [written, content.to_vec()].concat()
}

/// What a call came to, with the foreign id written as the missing one.
async fn outcome(channel: &Shown, method: &Method, request: Vec<u8>, id: &Id) -> (Code, Vec<u8>) {
    let mut grpc = tonic::client::Grpc::new(channel.clone());
    grpc.ready().await.expect("connected");
    let path = http::uri::PathAndQuery::from_maybe_shared(method.path.clone()).expect("a path");
    let answered = if method.streams {
        match grpc.server_streaming(Request::new(request.into()), path, Raw).await {
            // What a stream that is open tells is looked at by the tests of the stream.
            Ok(stream) => match tokio::time::timeout(Duration::from_millis(300), stream.into_inner().message()).await {
                Ok(Err(status)) => Err(status),
                Ok(Ok(_)) | Err(_) => Ok(Vec::new()),
            },
            Err(status) => Err(status),
        }
    } else {
        grpc.unary(Request::new(request.into()), path, Raw).await.map(|answer| answer.into_inner().to_vec())
    };
    let (code, content) = match answered {
        Ok(message) => (Code::Ok, message),
        Err(status) => (status.code(), [status.message().as_bytes(), status.details()].concat()),
    };
    (code, replace(content, id))
}

fn replace(content: Vec<u8>, id: &Id) -> Vec<u8> {
    let (foreign, missing) = (id.foreign.as_bytes(), id.missing.as_bytes());
    assert_eq!(foreign.len(), missing.len());
    let mut content = content;
    let mut at = 0;
    while at + foreign.len() <= content.len() {
        if content[at..].starts_with(foreign) {
            content[at..at + missing.len()].copy_from_slice(missing);
        }
        at += 1;
    }
    content
}

/// Another id of the same form.
fn other_than(id: &str) -> String {
    let mut other = id.to_owned().into_bytes();
    let last = other.iter().rposition(u8::is_ascii_alphanumeric).expect("a letter or digit");
    other[last] = if other[last] == b'7' { b'8' } else { b'7' };
    String::from_utf8(other).expect("text")
}

fn id(kind: &'static str, foreign: &str) -> Id {
    Id { kind, foreign: foreign.to_owned(), missing: other_than(foreign) }
}

/// Everything that the workspace acme has an id for.
async fn ids(app: &TestApp) -> Vec<Id> {
    let mail = |value: &str| {
        let identifier = pb::customer_ref::Customer::Identifier(identifier("email", value));
        pb::CustomerRef { customer: Some(identifier) }
    };
    let by_mail = |number: &str, value: &str| {
        let mut event = event(number, "", NOW, track("x"));
        event.identifiers = vec![identifier("email", value)];
        event
    };
    app.accept(vec![by_mail("m1", "canary1@example.com"), by_mail("m2", "canary2@example.com")]).await;
    let merge = pb::MergeProfilesRequest {
        target: Some(mail("canary1@example.com")),
        sources: vec![mail("canary2@example.com")],
        request_id: "canary-request-1".to_owned(),
        ..Default::default()
    };
    let merged = app.profiles().merge_profiles(merge).await.expect("merged").into_inner();
    let request = pb::CreateTrainingRunRequest { kind: ModelKind::Segments.into(), ..Default::default() };
    let run = train(app, request).await.pop().expect("a run");
    let segments = app.segments().list_segments(pb::ListSegmentsRequest::default()).await.expect("segments");
    let listed = app.profiles().list_profiles(pb::ListProfilesRequest { page_size: 1, ..Default::default() }).await;
    let mut watched =
        app.profiles().watch_profiles(pb::WatchProfilesRequest::default()).await.expect("a stream").into_inner();
    let resume = watched.message().await.expect("a message").expect("a message").resume_token;
    let profile = merged.profile.expect("a profile");
    app.accept(vec![by_mail("m3", "canary3@example.com")]).await;
    let erase = pb::EraseCustomerRequest { customer: Some(mail("canary3@example.com")), ..Default::default() };
    let erased = app.privacy().erase_customer(erase).await.expect("erased").into_inner();
    vec![
        id("profile", &profile.profile_id),
        id("identifier", "canary1@example.com"),
        id("segment", &segments.into_inner().segments[0].segment_id),
        id("model", &run.model_version),
        id("run", &run.run_id),
        id("merge", &merged.merge_id),
        id("receipt", &erased.receipt.expect("a receipt").receipt_id),
        id("page", &listed.expect("a page").into_inner().next_page_token),
        id("resume", &resume),
    ]
}

fn reference(id: &Id, value: &str) -> Vec<u8> {
    let customer = match id.kind {
        "profile" => pb::customer_ref::Customer::ProfileId(value.to_owned()),
        _ => pb::customer_ref::Customer::Identifier(identifier("email", value)),
    };
    pb::CustomerRef { customer: Some(customer) }.encode_to_vec()
}

/// The request that names an id wherever the method takes one of its kind; `None` where it takes none.
fn request(method: &Method, id: &Id, value: &str) -> Option<Vec<u8>> {
    let mut request = Vec::new();
    for (name, kind) in KINDS {
        let Some((number, _)) = method.fields.get(name) else { continue };
        match kind {
            Kind::Customer if ["profile", "identifier"].contains(&id.kind) => {
                request.extend(field(*number, &reference(id, value)));
            }
            Kind::Text(kind) if kind == id.kind => request.extend(field(*number, value.as_bytes())),
            _ => {}
        }
    }
    if !request.is_empty() && method.path.ends_with("/RecordConsent") {
        // Without these it would be refused before anybody is looked for.
        let answer = pb::RecordConsentRequest {
            purpose: "marketing".to_owned(),
            state: pb::ConsentState::Granted.into(),
            source: "test".to_owned(),
            ..Default::default()
        };
        request.extend(answer.encode_to_vec());
    }
    Some(request).filter(|request| !request.is_empty())
}

#[tokio::test]
async fn every_id_of_another_workspace_is_as_missing_as_one_that_never_was() {
    let app = shop().await;
    let mut ids = ids(&app).await;
    let customer = user("u1");
    let read = pb::GetProfileRequest { customer, ..Default::default() };
    let before = app.profiles().get_profile(read.clone()).await.expect("read").into_inner().profile;
    let (key_id, key) = app.key("acme", &["admin", "profiles:read", "profiles:pii", "training:write"]).await;
    ids.push(id("key", &key_id));
    let all = [
        "events:write",
        "profiles:read",
        "profiles:pii",
        "predictions:read",
        "training:write",
        "privacy:write",
        "admin",
    ];
    let (_, other) = app.key("other", &all).await;
    let channel = app.shown(&other);
    let (mut called, mut not_found) = (0, 0);
    for method in &methods() {
        for id in &ids {
            let Some(foreign) = request(method, id, &id.foreign) else { continue };
            let missing = request(method, id, &id.missing).expect("the same fields");
            let of_another = outcome(&channel, method, foreign, id).await;
            let of_nobody = outcome(&channel, method, missing, id).await;
            let place = format!("{} with the {} of another workspace", method.path, id.kind);
            assert_eq!(of_another.0, of_nobody.0, "{place}");
            assert!(of_another.1 == of_nobody.1, "{place}: {:?} {:?}", of_another, of_nobody);
            let in_parts = method.path.contains("/Batch") || method.path.ends_with("/WatchProfiles");
            if ["page", "resume"].contains(&id.kind) {
                assert_eq!(of_another.0, Code::InvalidArgument, "{place}");
            } else if !in_parts {
                assert_eq!(of_another.0, Code::NotFound, "{place}: {}", String::from_utf8_lossy(&of_another.1));
                not_found += 1;
            }
            called += 1;
        }
    }
    assert!(called > 40 && not_found >= 30, "only {called} calls, {not_found} of them for something missing");

    // Nothing of it has changed anything, and the other workspace sees nothing of this one.
    let mut profiles = pb::profile_service_client::ProfileServiceClient::new(app.shown(&key));
    assert_eq!(profiles.get_profile(read).await.expect("read").into_inner().profile, before);
    let empty = |fields: &BTreeMap<String, (i32, Type)>| {
        !fields.keys().any(|name| KINDS.iter().any(|(kind, of)| kind == name && *of == Kind::Customer))
    };
    for method in methods().iter().filter(|method| empty(&method.fields) && method.path.contains("/List")) {
        let none = Id { kind: "none", foreign: "x".to_owned(), missing: "x".to_owned() };
        let (code, listed) = outcome(&channel, method, Vec::new(), &none).await;
        for id in &ids {
            let leaks = listed.windows(id.foreign.len()).any(|window| window == id.foreign.as_bytes());
            assert!(!leaks, "{} lists the {} of another workspace ({code:?})", method.path, id.kind);
        }
    }
}

#[test]
fn every_text_of_a_request_is_known_to_hold_an_id_or_none() {
    for method in methods() {
        for (name, (_, kind)) in &method.fields {
            let known = KINDS.iter().any(|(field, _)| field == name) || NO_IDS.contains(&name.as_str());
            assert!(*kind != Type::String || known, "{}: say at KINDS or NO_IDS what {name} is", method.path);
        }
    }
}
