//! The audit log: who did what to whom for what and with what result, and no value of anybody.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::time::Duration;

use pb::admin_service_client::AdminServiceClient;
use pb::privacy_service_client::PrivacyServiceClient;
use pb::profile_service_client::ProfileServiceClient;
use prost::Message as _;
use prost_types::FileDescriptorSet;
use rapport::rpc::pb;
use rapport::server::{Config, Server};
use rapport::store::embedded::{EmbeddedStore, Options};
use tonic::{Code, Request};

use crate::support::{NOW, Shown, TestApp, data, event, fields, identifier, reason, status_of, text, track, user};

/// How long a test waits for what must come.
const PATIENCE: Duration = Duration::from_secs(30);
/// All scopes, without which no method answers.
const ALL: [&str; 7] =
    ["events:write", "profiles:read", "profiles:pii", "predictions:read", "training:write", "privacy:write", "admin"];

/// Everything that the log has of the workspace of a key, the last entry first, after all of it was written.
async fn listed(app: &TestApp, key: &str, request: pb::ListAuditEntriesRequest) -> Vec<pb::AuditEntry> {
    app.app.write_audit().await.expect("written");
    let mut privacy = PrivacyServiceClient::new(app.shown(key));
    let (mut entries, mut page_token) = (Vec::new(), String::new());
    loop {
        let request = pb::ListAuditEntriesRequest { page_token, ..request.clone() };
        let page = privacy.list_audit_entries(request).await.expect("listed").into_inner();
        entries.extend(page.entries);
        page_token = page.next_page_token;
        if page_token.is_empty() {
            return entries;
        }
    }
}

/// An entry as a line: who, what, whom, what for, what came of it, how often.
fn line(entry: &pb::AuditEntry) -> String {
    let pb::AuditEntry { principal, method, profile_id, purpose, result, count, .. } = entry;
    let method = method.rsplit('/').next().expect("a name");
    format!("{principal} {method} [{profile_id}] [{purpose}] {result} {count}")
}

async fn lines(app: &TestApp, key: &str) -> Vec<String> {
    let mut lines: Vec<String> = listed(app, key, Default::default()).await.iter().map(line).collect();
    lines.sort();
    lines
}

async fn profile_id(app: &TestApp, key: &str, user_id: &str) -> String {
    get(app, key, user_id, "").await.expect("read")
}

async fn get(app: &TestApp, key: &str, user_id: &str, purpose: &str) -> Result<String, tonic::Status> {
    let request = pb::GetProfileRequest { customer: user(user_id), purpose: purpose.to_owned(), ..Default::default() };
    let answer = ProfileServiceClient::new(app.shown(key)).get_profile(request).await?;
    Ok(answer.into_inner().profile.expect("a profile").profile_id)
}

fn consent(user_id: &str, purpose: &str) -> pb::RecordConsentRequest {
    pb::RecordConsentRequest {
        customer: user(user_id),
        purpose: purpose.to_owned(),
        state: pb::ConsentState::Denied.into(),
        source: "phone_desk".to_owned(),
        ..Default::default()
    }
}

#[tokio::test]
async fn the_log_says_who_did_what_to_whom_for_what_and_with_what_result() {
    let app = TestApp::start().await;
    app.accept(vec![event("e1", "ann", NOW, track("seen")), event("e2", "bea", NOW, track("seen"))]).await;
    let (reader_id, reader) = app.key("acme", &["profiles:read"]).await;
    let (officer_id, officer) = app.key("acme", &["privacy:write"]).await;
    let (_, other) = app.key("other", &["privacy:write"]).await;
    let (_, operator) = app.key("default", &["privacy:write"]).await;

    let ann = profile_id(&app, &reader, "ann").await;
    for _ in 0..2 {
        profile_id(&app, &reader, "ann").await;
    }
    let refused = get(&app, &reader, "ann", "marketing").await.expect_err("no consent");
    assert_eq!(reason(&refused), "CONSENT_DENIED");
    let missing = get(&app, &reader, "nobody", "").await.expect_err("unknown");
    assert_eq!(missing.code(), Code::NotFound);
    let mut admin = AdminServiceClient::new(app.shown(&reader));
    admin.get_settings(pb::GetSettingsRequest::default()).await.expect_err("no scope");
    get(&app, "rpk_made_up", "ann", "").await.expect_err("no key");
    let mut privacy = PrivacyServiceClient::new(app.shown(&officer));
    for _ in 0..2 {
        privacy.record_consent(consent("ann", "analytics")).await.expect("recorded");
    }
    privacy.record_consent(consent("ann", "Not A Purpose")).await.expect_err("invalid");

    let (reader, officer_name) = (format!("key:{reader_id}"), format!("key:{officer_id}"));
    let expected = [
        format!("{officer_name} RecordConsent [] [] INVALID_ARGUMENT 1"),
        format!("{officer_name} RecordConsent [{ann}] [] OK 1"),
        format!("{officer_name} RecordConsent [{ann}] [] OK 1"),
        format!("{reader} GetProfile [] [] NOT_FOUND 1"),
        format!("{reader} GetProfile [{ann}] [marketing] PERMISSION_DENIED 1"),
        format!("{reader} GetProfile [{ann}] [service] OK 3"),
        format!("{reader} GetSettings [] [] PERMISSION_DENIED 1"),
    ];
    let mut expected = expected.to_vec();
    expected.sort();
    assert_eq!(lines(&app, &officer).await, expected, "and nothing of accepted events");

    assert_eq!(lines(&app, &other).await, [""; 0], "another workspace sees nothing of it");
    let of_operator = lines(&app, &operator).await;
    let strangers = ["anonymous CreateApiKey [] [] OK 1", "unknown GetProfile [] [] UNAUTHENTICATED 1"];
    assert_eq!(of_operator.iter().filter(|line| line.contains("CreateApiKey")).count(), 4);
    assert!(strangers.iter().all(|line| of_operator.iter().any(|found| found == line)), "{of_operator:?}");
    assert!(of_operator.iter().all(|line| line.starts_with("anonymous") || line.starts_with("unknown")));
    // The listings are in the log too, once somebody looks again.
    let again = lines(&app, &officer).await;
    assert!(
        again.iter().any(|line| line.starts_with(&format!("{officer_name} ListAuditEntries [] [] OK"))),
        "{again:?}"
    );
}

#[tokio::test]
async fn reads_that_are_alike_are_told_at_once_and_their_repeats_when_the_minute_is_over() {
    let app = TestApp::start().await;
    app.accept(vec![event("e1", "ann", NOW, track("seen"))]).await;
    let (_, key) = app.key("acme", &ALL).await;
    let counts = async |expected: &[i64]| {
        let entries = listed(&app, &key, Default::default()).await;
        let of_reads = entries.iter().filter(|entry| entry.method.ends_with("/GetProfile"));
        assert_eq!(of_reads.map(|entry| entry.count).collect::<Vec<_>>(), expected);
    };
    for _ in 0..3 {
        profile_id(&app, &key, "ann").await;
    }
    counts(&[3]).await;
    for _ in 0..2 {
        profile_id(&app, &key, "ann").await;
    }
    counts(&[3]).await;
    app.clock.advance_days(1);
    counts(&[2, 3]).await;
    profile_id(&app, &key, "ann").await;
    counts(&[1, 2, 3]).await;
    profile_id(&app, &key, "ann").await;
    app.app.finish_audit().await.expect("written");
    counts(&[1, 1, 2, 3]).await;
}

#[tokio::test]
async fn entries_are_listed_by_customer_also_of_before_a_merge_by_time_and_in_pages() {
    let app = TestApp::start().await;
    app.accept(["ann", "bea", "eve"].map(|name| event(name, name, NOW, track("seen"))).to_vec()).await;
    let (_, key) = app.key("acme", &ALL).await;
    for name in ["ann", "bea", "eve"] {
        profile_id(&app, &key, name).await;
        app.clock.advance_days(1);
        app.app.write_audit().await.expect("written");
    }
    let request = pb::MergeProfilesRequest {
        target: user("ann"),
        sources: user("bea").into_iter().collect(),
        ..Default::default()
    };
    ProfileServiceClient::new(app.shown(&key)).merge_profiles(request).await.expect("merged");
    let methods = |entries: &[pb::AuditEntry]| {
        let name = |entry: &pb::AuditEntry| entry.method.rsplit('/').next().expect("a name").to_owned();
        entries.iter().map(name).collect::<Vec<_>>()
    };
    let about = |name: &str| pb::ListAuditEntriesRequest { customer: user(name), page_size: 1, ..Default::default() };
    let of_both = listed(&app, &key, about("bea")).await;
    assert_eq!(methods(&of_both), ["MergeProfiles", "GetProfile", "GetProfile"], "newest first");
    assert_eq!(methods(&listed(&app, &key, about("eve")).await), ["GetProfile"]);
    let time = |days: i64| Some(prost_types::Timestamp { seconds: NOW + days * 86_400, nanos: 0 });
    let between = pb::ListAuditEntriesRequest { start_time: time(1), end_time: time(2), ..Default::default() };
    let found = listed(&app, &key, between).await;
    assert_eq!((methods(&found), found[0].call_time), (vec!["GetProfile".to_owned()], time(1)));

    let mut privacy = PrivacyServiceClient::new(app.shown(&key));
    let page = privacy.list_audit_entries(about("bea")).await.expect("listed").into_inner();
    let elsewhere = pb::ListAuditEntriesRequest { page_token: page.next_page_token, ..about("eve") };
    let refused = privacy.list_audit_entries(elsewhere).await.expect_err("of another customer");
    assert_eq!(fields(&status_of(&refused)), ["page_token"]);
    let refused = privacy.list_audit_entries(about("nobody")).await.expect_err("unknown");
    assert_eq!(reason(&refused), "CUSTOMER_NOT_FOUND");
    let wrong = pb::ListAuditEntriesRequest {
        start_time: Some(prost_types::Timestamp { seconds: 0, nanos: -1 }),
        page_size: -1,
        ..Default::default()
    };
    let refused = privacy.list_audit_entries(wrong).await.expect_err("invalid");
    assert_eq!(fields(&status_of(&refused)), ["page_size", "start_time"]);
}

#[tokio::test]
async fn an_export_says_who_read_the_customer() {
    let app = TestApp::start().await;
    app.accept(["ann", "bea"].map(|name| event(name, name, NOW, track("seen"))).to_vec()).await;
    let (key_id, key) = app.key("acme", &ALL).await;
    let ann = profile_id(&app, &key, "ann").await;
    profile_id(&app, &key, "bea").await;
    app.app.write_audit().await.expect("written");
    let mut privacy = PrivacyServiceClient::new(app.shown(&key));
    let mut told = Vec::new();
    for _ in 0..2 {
        let request = pb::ExportCustomerRequest { customer: user("ann"), ..Default::default() };
        let mut stream = privacy.export_customer(request).await.expect("a stream").into_inner();
        told.clear();
        while let Some(message) = stream.message().await.expect("whole") {
            told.extend(message.lines);
        }
        app.app.write_audit().await.expect("written");
    }
    let audits: Vec<serde_json::Value> = told
        .iter()
        .map(|line| serde_json::from_str::<serde_json::Value>(line).expect("JSON")["audit"].take())
        .collect();
    let audits: Vec<_> = audits.into_iter().skip_while(serde_json::Value::is_null).collect();
    let [export, read] = &audits[..] else { panic!("{audits:?}: they come last, and only those of the customer") };
    assert_eq!(export["method"], "rapport.v1.PrivacyService/ExportCustomer");
    assert_eq!(read["method"], "rapport.v1.ProfileService/GetProfile");
    for entry in [export, read] {
        assert_eq!((&entry["principal"], &entry["profileId"]), (&format!("key:{key_id}").into(), &ann.clone().into()));
        assert_eq!((&entry["result"], &entry["count"]), (&"OK".into(), &"1".into()));
    }
}

/// The paths of all methods of the contract.
fn paths() -> Vec<String> {
    let files = FileDescriptorSet::decode(pb::FILE_DESCRIPTOR_SET).expect("descriptors").file;
    let services = files.iter().flat_map(|file| &file.service);
    let paths = services.flat_map(|service| {
        service.method.iter().map(move |method| format!("/rapport.v1.{}/{}", service.name(), method.name()))
    });
    paths.collect()
}

/// Calls a method with an empty message and waits for the first message or the end of its answer.
async fn call(channel: Shown, path: &str) {
    let mut grpc = tonic::client::Grpc::new(channel);
    grpc.ready().await.expect("connected");
    let codec = tonic_prost::ProstCodec::<pb::GetSettingsRequest, prost_types::Any>::default();
    let parsed: http::uri::PathAndQuery = path.parse().expect("a path");
    if let Ok(stream) = grpc.server_streaming(Request::new(pb::GetSettingsRequest::default()), parsed, codec).await {
        let mut messages = stream.into_inner();
        // What goes on is in the log from its beginning.
        while !path.contains("/Watch") && matches!(messages.message().await, Ok(Some(_))) {}
    }
}

#[tokio::test]
async fn every_method_is_in_the_log_with_its_answer_and_with_its_refusal() {
    let app = TestApp::start().await;
    let (key_id, key) = app.key("acme", &ALL).await;
    let (none_id, none) = app.key("acme", &["profiles:pii"]).await;
    for path in paths() {
        call(app.shown(&key), &path).await;
        call(app.shown(&none), &path).await;
        call(app.shown("rpk_made_up"), &path).await;
    }
    let entries = listed(&app, &key, Default::default()).await;
    let (_, operator) = app.key("default", &ALL).await;
    let of_strangers = listed(&app, &operator, Default::default()).await;
    for path in paths() {
        let entry = |entries: &[pb::AuditEntry], principal: &str| {
            let found = entries.iter().find(|entry| entry.principal == principal && path.ends_with(&entry.method));
            found.map(|entry| entry.result.clone())
        };
        let refused = entry(&entries, &format!("key:{none_id}"));
        assert_eq!(refused.as_deref(), Some("PERMISSION_DENIED"), "{path}");
        let stranger = entry(&of_strangers, "unknown");
        assert_eq!(stranger.as_deref(), Some("UNAUTHENTICATED"), "{path}");
        let answered = entry(&entries, &format!("key:{key_id}"));
        let is_ingestion = ["IngestEvents", "StreamEvents"].iter().any(|name| path.ends_with(name));
        assert_eq!(answered.is_none(), is_ingestion, "{path}: {answered:?}");
    }
}

#[tokio::test]
async fn those_who_are_left_out_of_an_answer_about_many_are_counted_without_a_name() {
    let app = TestApp::start().await;
    app.accept(["ann", "bea", "eve"].map(|name| event(name, name, NOW, track("seen"))).to_vec()).await;
    let (_, key) = app.key("acme", &ALL).await;
    let mut profiles = ProfileServiceClient::new(app.shown(&key));
    let customers = ["ann", "bea"].into_iter().filter_map(user).collect();
    let batch = pb::BatchGetProfilesRequest { customers, purpose: "marketing".to_owned(), ..Default::default() };
    profiles.batch_get_profiles(batch).await.expect("a batch");
    let list = pb::ListProfilesRequest { purpose: "marketing".to_owned(), ..Default::default() };
    profiles.list_profiles(list).await.expect("a page");
    let found = lines(&app, &key).await;
    let lines: Vec<&str> = found.iter().map(|line| line.split_once(' ').expect("a name").1).collect();
    assert_eq!(
        lines,
        [
            "BatchGetProfiles [] [marketing] OK 1",
            "BatchGetProfiles [] [marketing] PERMISSION_DENIED 2",
            "ListProfiles [] [marketing] OK 1",
            "ListProfiles [] [marketing] PERMISSION_DENIED 3",
        ]
    );
}

#[tokio::test]
async fn no_value_of_a_customer_and_no_secret_is_in_the_files_of_the_log() {
    let home = tempfile::tempdir().expect("a directory");
    let store = EmbeddedStore::open(Options::new(home.path(), [7; 16])).expect("opens");
    let app = TestApp::builder().store(store).start().await;
    let canary = || "canary-7f3a".to_owned();
    let stated =
        pb::event::Payload::Identify(pb::Identify { traits: data([("name", text("canary-7f3a"))]), traits_once: None });
    let mut known = event("e1", "canary-7f3a", NOW, stated);
    known.identifiers.push(identifier("email", "canary-7f3a@example.com"));
    app.accept(vec![known, event("e2", "canary-2", NOW, track("canary-7f3a"))]).await;
    let (_, key) = app.key("acme", &ALL).await;
    let id = profile_id(&app, &key, "canary-7f3a").await;
    get(&app, &key, "canary-7f3a", "canary-7f3a@x").await.expect_err("no purpose that anybody consented to");
    get(&app, &key, "canary-7f3a-nobody", "").await.expect_err("unknown");
    get(&app, "canary-7f3a", "canary-2", "").await.expect_err("no credential");
    let mut privacy = PrivacyServiceClient::new(app.shown(&key));
    let recorded =
        pb::RecordConsentRequest { source: canary(), proof: canary(), ..consent("canary-7f3a", "analytics") };
    privacy.record_consent(recorded).await.expect("recorded");
    let merge = pb::MergeProfilesRequest {
        target: user("canary-7f3a"),
        sources: user("canary-2").into_iter().collect(),
        reason: canary(),
        ..Default::default()
    };
    ProfileServiceClient::new(app.shown(&key)).merge_profiles(merge).await.expect("merged");
    let about = pb::ListAuditEntriesRequest { customer: user("canary-7f3a"), ..Default::default() };
    assert!(listed(&app, &key, about).await.len() >= 3);
    app.app.finish_audit().await.expect("written");

    let bytes = files(&home.path().join("audit"));
    let holds = |what: &[u8]| bytes.windows(what.len()).any(|window| window == what);
    assert!(holds(b"rapport.v1.ProfileService/GetProfile") && holds(b"other"), "what is looked through is the log");
    assert!(holds(id.parse::<uuid::Uuid>().expect("an id").as_bytes()), "the pseudonym is what the log is about");
    let secret = key.rsplit_once('_').expect("its form").1;
    for value in ["canary", "example.com", secret] {
        assert!(!holds(value.as_bytes()), "{value}");
    }
}

/// The bytes of all files in a folder.
fn files(folder: &Path) -> Vec<u8> {
    let entries = fs::read_dir(folder).expect("readable").map(|entry| entry.expect("readable").path());
    entries.flat_map(|path| fs::read(path).expect("readable")).collect()
}

#[tokio::test]
async fn a_server_writes_the_log_by_itself_and_has_it_after_a_restart() {
    let home = tempfile::tempdir().expect("a directory");
    let file = home.path().join("rapport.toml");
    fs::write(&file, format!("listen = \"127.0.0.1:0\"\ndata_dir = {:?}\n", home.path().join("data")))
        .expect("written");
    let config = Config::load(Some(&file), std::iter::empty()).expect("valid");
    let methods = async |server: &Server| {
        let address = format!("http://{}", server.address());
        let mut privacy = PrivacyServiceClient::connect(address).await.expect("connected");
        let page = privacy.list_audit_entries(pb::ListAuditEntriesRequest::default()).await.expect("listed");
        page.into_inner().entries.into_iter().map(|entry| entry.method).collect::<BTreeSet<_>>()
    };
    let server = Server::start(&config, Default::default()).await.expect("starts");
    let mut admin = AdminServiceClient::connect(format!("http://{}", server.address())).await.expect("connected");
    admin.get_settings(pb::GetSettingsRequest::default()).await.expect("read");
    let settings = "rapport.v1.AdminService/GetSettings";
    let written = async { while !methods(&server).await.contains(settings) {} };
    tokio::time::timeout(PATIENCE, written).await.expect("it is written");
    admin.get_server_info(pb::GetServerInfoRequest::default()).await.expect("read");
    server.stop().await.expect("stops");

    let server = Server::start(&config, Default::default()).await.expect("starts");
    let found = methods(&server).await;
    server.stop().await.expect("stops");
    for method in [settings, "rapport.v1.AdminService/GetServerInfo", "rapport.v1.PrivacyService/ListAuditEntries"] {
        assert!(found.contains(method), "{found:?}");
    }
}
