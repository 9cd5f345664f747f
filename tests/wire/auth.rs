//! Who may call, and what of it: keys, scopes, and the end of keys.

use prost::Message as _;
use prost_types::FileDescriptorSet;
use rapport::rpc::pb;
use rapport::rpc::pb::admin_service_client::AdminServiceClient;
use rapport::rpc::pb::event_service_client::EventServiceClient;
use rapport::rpc::pb::profile_service_client::ProfileServiceClient;
use rapport::rpc::pb::training_service_client::TrainingServiceClient;
use rapport::store::embedded::{EmbeddedStore, Options};
use tonic::{Code, Request, Status};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_client::HealthClient;

use crate::support::{
    NOW, Shown, TestApp, contact, data, details, event, identifier, reason, status_of, text, track, user,
};

fn admin(app: &TestApp, key: &str) -> AdminServiceClient<Shown> {
    AdminServiceClient::new(app.shown(key))
}

async fn settings(app: &TestApp, key: &str) -> Result<(), Status> {
    admin(app, key).get_settings(pb::GetSettingsRequest::default()).await.map(drop)
}

#[track_caller]
fn refused<T: std::fmt::Debug>(answer: Result<T, Status>, code: Code, expected: &str) -> Status {
    let status = answer.expect_err(expected);
    assert_eq!((status.code(), reason(&status).as_str()), (code, expected), "{status:?}");
    status
}

/// The paths of all methods of the contract.
fn methods() -> Vec<String> {
    let files = FileDescriptorSet::decode(pb::FILE_DESCRIPTOR_SET).expect("descriptors").file;
    let services = files.iter().flat_map(|file| &file.service);
    let paths = services.flat_map(|service| {
        service.method.iter().map(move |method| format!("/rapport.v1.{}/{}", service.name(), method.name()))
    });
    paths.collect()
}

/// Calls a method with an empty message. Each is called as one without streams: that is enough to be let in or not.
async fn call(channel: impl Into<Shown>, path: &str) -> Result<(), Status> {
    let mut grpc = tonic::client::Grpc::new(channel.into());
    grpc.ready().await.expect("connected");
    let codec = tonic_prost::ProstCodec::<pb::GetSettingsRequest, prost_types::Any>::default();
    let path: http::uri::PathAndQuery = path.parse().expect("a path");
    grpc.unary(Request::new(pb::GetSettingsRequest::default()), path, codec).await.map(drop)
}

#[tokio::test]
async fn the_first_key_turns_authentication_on_for_everybody() {
    let app = TestApp::start().await;
    let mut open = app.admin();
    open.get_settings(pb::GetSettingsRequest::default()).await.expect("nobody is asked");
    let request = pb::CreateApiKeyRequest { scopes: vec!["admin".to_owned()], ..Default::default() };
    let made = open.create_api_key(request).await.expect("made").into_inner();
    assert_eq!(made.key.as_ref().map(|key| key.workspace.as_str()), Some("acme"), "the workspace that the call names");
    let (id, secret) = made.api_key.strip_prefix("rpk_").and_then(|rest| rest.split_once('_')).expect("its form");
    assert_eq!((id, secret.len()), (made.key_id.as_str(), 64), "256 bits in hexadecimal digits");
    settings(&app, &made.api_key).await.expect("let in");
    refused(open.get_settings(pb::GetSettingsRequest::default()).await, Code::Unauthenticated, "UNAUTHENTICATED");
    HealthClient::new(app.channel.clone()).check(HealthCheckRequest::default()).await.expect("health asks nobody");
}

#[tokio::test]
async fn no_method_is_open_and_none_answers_a_key_without_its_scope() {
    let app = TestApp::start().await;
    let (_, none) = app.key("acme", &["profiles:pii"]).await;
    let mut scopes = std::collections::BTreeSet::new();
    for path in methods() {
        for made_up in ["rpk_0000000000000000_", "x"] {
            refused(call(app.shown(made_up), &path).await, Code::Unauthenticated, "UNAUTHENTICATED");
        }
        let denied = refused(call(app.shown(&none), &path).await, Code::PermissionDenied, "PERMISSION_DENIED");
        let infos = details::<tonic_types::pb::ErrorInfo>(&status_of(&denied), "ErrorInfo");
        scopes.insert(infos[0].metadata["scope"].clone());
    }
    let expected = [
        "admin",
        "events:write",
        "events:write, profiles:read",
        "predictions:read",
        "privacy:write",
        "profiles:read",
        "training:write",
    ];
    assert!(scopes.iter().map(String::as_str).eq(expected), "{scopes:?}");
    refused(call(app.shown(&none), "/rapport.v1.AdminService/Nothing").await, Code::Unimplemented, "UNIMPLEMENTED");
}

#[tokio::test]
async fn each_scope_opens_its_methods_and_no_others() {
    let app = TestApp::start().await;
    let events = || pb::IngestEventsRequest { events: vec![event("e", "ann", NOW, track("x"))], validate_only: false };
    let profile = || pb::GetProfileRequest { customer: user("ann"), ..Default::default() };
    let (_, sender) = app.key("acme", &["events:write"]).await;
    let (_, reader) = app.key("acme", &["profiles:read"]).await;
    let (_, trainer) = app.key("acme", &["training:write"]).await;
    EventServiceClient::new(app.shown(&sender)).ingest_events(events()).await.expect("sends");
    ProfileServiceClient::new(app.shown(&reader)).get_profile(profile()).await.expect("reads");
    TrainingServiceClient::new(app.shown(&trainer)).list_models(pb::ListModelsRequest::default()).await.expect("lists");
    let denied = ProfileServiceClient::new(app.shown(&sender)).get_profile(profile()).await;
    refused(denied, Code::PermissionDenied, "PERMISSION_DENIED");
    let denied = EventServiceClient::new(app.shown(&reader)).ingest_events(events()).await;
    refused(denied, Code::PermissionDenied, "PERMISSION_DENIED");
    refused(settings(&app, &trainer).await, Code::PermissionDenied, "PERMISSION_DENIED");
}

#[tokio::test]
async fn the_workspace_is_that_of_the_key_and_cannot_be_named() {
    let app = TestApp::start().await;
    app.accept(vec![event("e", "ann", NOW, track("x"))]).await;
    let (_, acme) = app.key("acme", &["profiles:read"]).await;
    let (_, other) = app.key("other", &["profiles:read"]).await;
    let request = || pb::GetProfileRequest { customer: user("ann"), ..Default::default() };
    ProfileServiceClient::new(app.shown(&acme)).get_profile(request()).await.expect("of the workspace");
    let missing = ProfileServiceClient::new(app.shown(&other)).get_profile(request()).await;
    refused(missing, Code::NotFound, "CUSTOMER_NOT_FOUND");
    let mut named = Request::new(request());
    named.metadata_mut().insert("rapport-workspace", "acme".parse().expect("text"));
    let named = ProfileServiceClient::new(app.shown(&other)).get_profile(named).await;
    refused(named, Code::InvalidArgument, "WORKSPACE_INVALID");
}

#[tokio::test]
async fn without_the_right_to_personal_data_they_are_left_out() {
    let app = TestApp::start().await;
    let secret = || text("canary-7f3a");
    let stated = pb::event::Payload::Identify(pb::Identify { traits: data([("name", secret())]), traits_once: None });
    let mut tracked = track("opened");
    if let pb::event::Payload::Track(track) = &mut tracked {
        track.properties = data([("note", secret())]);
    }
    let page = pb::PageView { url: "https://x/?q=canary-7f3a".to_owned(), name: "cart".to_owned(), properties: None };
    let mut called = contact(pb::ContactKind::Opened, "c1");
    if let pb::event::Payload::SupportContact(contact) = &mut called {
        (contact.agent, contact.text) = ("canary-7f3a".to_owned(), "canary-7f3a".to_owned());
    }
    let answer = pb::SurveyResponse {
        kind: pb::SurveyKind::Csat.into(),
        score: Some(4.0),
        comment: "canary-7f3a".to_owned(),
        case_id: String::new(),
    };
    let payloads =
        [stated, tracked, pb::event::Payload::PageView(page), called, pb::event::Payload::SurveyResponse(answer)];
    let mail = || identifier("email", "canary-7f3a@example.com");
    let events = payloads.into_iter().enumerate().map(|(number, payload)| {
        let mut event = event(&format!("e{number}"), "ann", NOW, payload);
        event.identifiers.push(mail());
        event
    });
    app.accept(events.collect()).await;
    let mut of_nobody = event("b", "", NOW, track("x"));
    of_nobody.identifiers = vec![identifier("email", "canary-7f3a@example.org")];
    app.accept(vec![of_nobody]).await;
    let source = pb::customer_ref::Customer::Identifier(identifier("email", "canary-7f3a@example.org"));
    let merge = pb::MergeProfilesRequest {
        target: user("ann"),
        sources: vec![pb::CustomerRef { customer: Some(source) }],
        reason: "canary-7f3a said so".to_owned(),
        ..Default::default()
    };
    app.profiles().merge_profiles(merge).await.expect("merged");
    let (_, pseudonymous) = app.key("acme", &["profiles:read"]).await;
    let (_, personal) = app.key("acme", &["profiles:read", "profiles:pii"]).await;
    for (key, sees) in [(pseudonymous, false), (personal, true)] {
        let mut profiles = ProfileServiceClient::new(app.shown(&key));
        let customer = Some(pb::CustomerRef { customer: Some(pb::customer_ref::Customer::Identifier(mail())) });
        let request = pb::GetProfileRequest { customer: customer.clone(), ..Default::default() };
        let profile = profiles.get_profile(request).await.expect("read").into_inner().profile.expect("a profile");
        assert_eq!(profile.activity.as_ref().expect("activity").events, 6);
        let listed = profiles.list_profiles(pb::ListProfilesRequest::default()).await.expect("read").into_inner();
        let request = pb::ListMergesRequest { customer: customer.clone(), ..Default::default() };
        let merges = profiles.list_merges(request).await.expect("read").into_inner();
        assert_eq!(merges.merges.len(), 1);
        let request = pb::ListEventsRequest { customer, ..Default::default() };
        let timeline = EventServiceClient::new(app.shown(&key)).list_events(request).await.expect("read").into_inner();
        assert_eq!(timeline.events.len(), 6);
        for answer in [format!("{profile:?}"), format!("{listed:?}"), format!("{timeline:?}"), format!("{merges:?}")] {
            assert_eq!(answer.contains("canary-7f3a"), sees, "{answer}");
        }
        assert!(sees || timeline.events.iter().all(|event| event.identifiers.is_empty()));
    }
}

#[tokio::test]
async fn a_revoked_key_ends_at_once_and_so_do_its_streams() {
    let app = TestApp::start().await;
    let (_, keeper) = app.key("acme", &["admin"]).await;
    let (id, key) = app.key("acme", &["admin", "events:write", "profiles:read"]).await;
    let mut changes = ProfileServiceClient::new(app.shown(&key));
    let changes = changes.watch_profiles(pb::WatchProfilesRequest::default()).await.expect("a stream");
    let mut changes = changes.into_inner();
    let (sender, receiver) = tokio::sync::mpsc::channel(1);
    let requests = tokio_stream::wrappers::ReceiverStream::new(receiver);
    let sent = EventServiceClient::new(app.shown(&key)).stream_events(requests).await.expect("a stream");
    let mut sent = sent.into_inner();

    let request = pb::RevokeApiKeyRequest { key_id: id.clone(), ..Default::default() };
    let ended = admin(&app, &key).revoke_api_key(request.clone()).await.expect("it ends itself").into_inner();
    assert!(ended.key.expect("the key").revoke_time.is_some());
    refused(settings(&app, &key).await, Code::Unauthenticated, "UNAUTHENTICATED");
    let batch = pb::StreamEventsRequest { events: vec![event("e", "ann", NOW, track("x"))], sequence: 1 };
    sender.send(batch).await.expect("the stream is open");
    refused(sent.message().await, Code::Unauthenticated, "UNAUTHENTICATED");
    let (_, reader) = app.key("acme", &["events:write", "profiles:read"]).await;
    let request = pb::GetProfileRequest { customer: user("ann"), ..Default::default() };
    let missing = ProfileServiceClient::new(app.shown(&reader)).get_profile(request).await;
    refused(missing, Code::NotFound, "CUSTOMER_NOT_FOUND");
    let events = pb::IngestEventsRequest { events: vec![event("f", "ann", NOW, track("x"))], validate_only: false };
    EventServiceClient::new(app.shown(&reader)).ingest_events(events).await.expect("sent");
    let told = loop {
        match changes.message().await {
            // What was on its way before the end.
            Ok(Some(message)) => assert!(message.changes.is_empty(), "{message:?}"),
            ended => break ended,
        }
    };
    refused(told, Code::Unauthenticated, "UNAUTHENTICATED");

    let again = admin(&app, &keeper).revoke_api_key(request_of(&id)).await.expect("safe to repeat").into_inner();
    assert!(again.key.expect("the key").revoke_time.is_some());
    refused(admin(&app, &keeper).revoke_api_key(request_of("0123")).await, Code::NotFound, "API_KEY_NOT_FOUND");
}

fn request_of(id: &str) -> pb::RevokeApiKeyRequest {
    pb::RevokeApiKeyRequest { key_id: id.to_owned(), ..Default::default() }
}

#[tokio::test]
async fn the_last_revocation_does_not_open_the_server() {
    let app = TestApp::start().await;
    let (id, key) = app.key("acme", &["admin"]).await;
    admin(&app, &key).revoke_api_key(request_of(&id)).await.expect("revoked");
    let asked = app.admin().get_settings(pb::GetSettingsRequest::default()).await;
    refused(asked, Code::Unauthenticated, "UNAUTHENTICATED");
}

#[tokio::test]
async fn two_keys_live_side_by_side_until_one_expires() {
    let app = TestApp::start().await;
    let (_, old) = app.key("acme", &["admin"]).await;
    let expire_time = Some(prost_types::Timestamp { seconds: NOW + 86_400, nanos: 0 });
    let request = pb::CreateApiKeyRequest { scopes: vec!["admin".to_owned()], expire_time, ..Default::default() };
    let new = admin(&app, &old).create_api_key(request).await.expect("made").into_inner().api_key;
    for key in [&old, &new] {
        settings(&app, key).await.expect("live");
    }
    app.clock.advance_days(1);
    settings(&app, &old).await.expect("has no end");
    refused(settings(&app, &new).await, Code::Unauthenticated, "UNAUTHENTICATED");
}

#[tokio::test]
async fn keys_are_listed_without_secrets_and_with_their_last_use() {
    let app = TestApp::start().await;
    let (first, key) = app.key("acme", &["admin", "profiles:read"]).await;
    let (second, _) = app.key("acme", &["events:write"]).await;
    app.key("other", &["admin"]).await;
    let mut listed = Vec::new();
    let mut page_token = String::new();
    loop {
        let request = pb::ListApiKeysRequest { page_size: 1, page_token, ..Default::default() };
        let page = admin(&app, &key).list_api_keys(request).await.expect("listed").into_inner();
        listed.extend(page.keys);
        page_token = page.next_page_token;
        if page_token.is_empty() {
            break;
        }
    }
    let mut expected = [first.clone(), second];
    expected.sort();
    assert!(listed.iter().map(|key| &key.key_id).eq(&expected), "{listed:?}");
    assert!(!format!("{listed:?}").contains(&key[21..]), "the secret is shown");
    let used = |id: &str| listed.iter().find(|key| key.key_id == id).and_then(|key| key.last_use_time);
    assert_eq!(used(&first), Some(prost_types::Timestamp { seconds: NOW, nanos: 0 }));
    assert_eq!(listed.iter().filter(|key| key.last_use_time.is_none()).count(), 1, "the other one was never used");
}

#[tokio::test]
async fn a_key_makes_keys_for_its_own_workspace_and_one_of_the_operator_for_all() {
    let app = TestApp::start().await;
    let (_, tenant) = app.key("acme", &["admin"]).await;
    let (foreign, _) = app.key("other", &["admin"]).await;
    let (_, operator) = app.key("default", &["admin"]).await;
    let request = |workspace: &str| pb::CreateApiKeyRequest {
        workspace: workspace.to_owned(),
        scopes: vec!["events:write".to_owned()],
        ..Default::default()
    };
    admin(&app, &tenant).create_api_key(request("acme")).await.expect("its own");
    refused(admin(&app, &tenant).create_api_key(request("other")).await, Code::PermissionDenied, "PERMISSION_DENIED");
    let list = pb::ListApiKeysRequest { workspace: "other".to_owned(), ..Default::default() };
    refused(admin(&app, &tenant).list_api_keys(list).await, Code::PermissionDenied, "PERMISSION_DENIED");
    let of_another =
        refused(admin(&app, &tenant).revoke_api_key(request_of(&foreign)).await, Code::NotFound, "API_KEY_NOT_FOUND");
    let of_nobody =
        refused(admin(&app, &tenant).revoke_api_key(request_of("0123")).await, Code::NotFound, "API_KEY_NOT_FOUND");
    assert_eq!(status_of(&of_another), status_of(&of_nobody), "they are told apart");
    let backup = pb::CreateBackupRequest { directory: "/nowhere".to_owned() };
    refused(admin(&app, &tenant).create_backup(backup).await, Code::PermissionDenied, "PERMISSION_DENIED");
    let made = admin(&app, &operator).create_api_key(request("other")).await.expect("the operator").into_inner();
    assert_eq!(made.key.expect("a key").workspace, "other");
    admin(&app, &operator).revoke_api_key(request_of(&foreign)).await.expect("the operator");
}

#[tokio::test]
async fn a_request_for_a_key_is_checked_and_can_be_repeated() {
    let app = TestApp::start().await;
    let wrong = pb::CreateApiKeyRequest {
        workspace: "No Workspace".to_owned(),
        scopes: vec!["admin".to_owned(), "everything".to_owned(), "admin".to_owned()],
        display_name: "x".repeat(129),
        expire_time: Some(prost_types::Timestamp { seconds: NOW, nanos: 0 }),
        ..Default::default()
    };
    let faulty = refused(app.admin().create_api_key(wrong).await, Code::InvalidArgument, "INVALID_FIELD");
    let fields = crate::support::fields(&status_of(&faulty));
    assert_eq!(fields, ["display_name", "expire_time", "scopes[1]", "scopes[2]", "workspace"]);
    let none = pb::CreateApiKeyRequest::default();
    refused(app.admin().create_api_key(none).await, Code::InvalidArgument, "INVALID_FIELD");
    let request =
        pb::CreateApiKeyRequest { scopes: vec!["admin".to_owned()], request_id: "r1".to_owned(), ..Default::default() };
    let first = app.admin().create_api_key(request.clone()).await.expect("made").into_inner();
    let again = admin(&app, &first.api_key).create_api_key(request).await.expect("repeated").into_inner();
    assert_eq!((again.key_id, again.api_key), (first.key_id, String::new()));
}

#[tokio::test]
async fn what_is_shown_twice_or_in_another_way_is_no_credential() {
    let app = TestApp::start().await;
    let (id, key) = app.key("acme", &["admin"]).await;
    let ask = async |values: &[&str]| {
        let mut request = Request::new(pb::GetSettingsRequest::default());
        for value in values {
            request.metadata_mut().append("authorization", value.parse().expect("text"));
        }
        AdminServiceClient::new(app.channel.clone()).get_settings(request).await
    };
    for good in ["Bearer ", "bearer ", "BEARER "] {
        ask(&[&format!("{good}{key}")]).await.expect("a scheme has no case");
    }
    let bearer = format!("Bearer {key}");
    let long = format!("Bearer {}", "x".repeat(9_000));
    for bad in [
        &[][..],
        &[key.as_str()],
        &["Bearer"],
        &["Bearer "],
        &["Basic YWNtZTphY21l"],
        &[&format!("Bearer  {key}")],
        &[&format!("Bearer {key} ")[..]],
        &[&format!("Bearer rpk_{id}_")],
        &[&long],
        &[&bearer, &bearer],
        &["Bearer nothing", &bearer],
    ] {
        let status = refused(ask(bad).await, Code::Unauthenticated, "UNAUTHENTICATED");
        assert!(!status.message().contains(&id), "{status:?}");
    }
}

#[tokio::test]
async fn reflection_needs_admin_once_keys_are_asked_for() {
    use tonic_reflection::pb::v1::ServerReflectionRequest;
    use tonic_reflection::pb::v1::server_reflection_client::ServerReflectionClient;
    use tonic_reflection::pb::v1::server_reflection_request::MessageRequest;
    let app = TestApp::start().await;
    let (_, admin) = app.key("acme", &["admin"]).await;
    let (_, sender) = app.key("acme", &["events:write"]).await;
    let ask = async |channel: Shown| {
        let question = Some(MessageRequest::ListServices(String::new()));
        let request = tokio_stream::once(ServerReflectionRequest { message_request: question, ..Default::default() });
        let mut answers = ServerReflectionClient::new(channel).server_reflection_info(request).await?.into_inner();
        answers.message().await
    };
    assert!(ask(app.shown(&admin)).await.expect("admin").is_some());
    refused(ask(app.shown(&sender)).await, Code::PermissionDenied, "PERMISSION_DENIED");
    refused(ask(app.shown("nothing")).await, Code::Unauthenticated, "UNAUTHENTICATED");
}

#[tokio::test]
async fn keys_survive_a_restart_and_no_file_holds_their_secret() {
    let home = tempfile::tempdir().expect("a folder");
    let config = rapport::server::Config {
        data_dir: home.path().to_owned(),
        listen: ([127, 0, 0, 1], 0).into(),
        ..Default::default()
    };
    let server = rapport::server::start_in_process(&config, Default::default()).await.expect("starts");
    let request = pb::CreateApiKeyRequest { scopes: vec!["admin".to_owned()], ..Default::default() };
    let mut operator = AdminServiceClient::new(server.channel.clone());
    let made = operator.create_api_key(request.clone()).await.expect("made").into_inner();
    let ended = operator.create_api_key(request).await.expect("made").into_inner();
    operator.revoke_api_key(request_of(&ended.key_id)).await.expect("revoked");
    drop(operator);
    server.shut_down().await.expect("closes");

    let server = rapport::server::Server::start(&config, Default::default()).await.expect("starts");
    let channel = tonic::transport::Endpoint::from_shared(format!("http://{}", server.address()));
    let channel = channel.expect("an address").connect_lazy();
    let ask = async |key: &str| {
        let mut request = Request::new(pb::GetSettingsRequest::default());
        request.metadata_mut().insert("authorization", format!("Bearer {key}").parse().expect("text"));
        AdminServiceClient::new(channel.clone()).get_settings(request).await
    };
    ask(&made.api_key).await.expect("known after the restart");
    refused(ask(&ended.api_key).await, Code::Unauthenticated, "UNAUTHENTICATED");
    server.stop().await.expect("stops");

    let secret = &made.api_key[21..];
    let bytes: Vec<u8> =
        (0..32).map(|at| u8::from_str_radix(&secret[at * 2..at * 2 + 2], 16).expect("digits")).collect();
    let mut folders = vec![home.path().to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).expect("readable") {
            let path = entry.expect("readable").path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let content = std::fs::read(&path).expect("readable");
            for needle in [secret.as_bytes(), &bytes] {
                assert!(!content.windows(needle.len()).any(|window| window == needle), "{}", path.display());
            }
        }
    }
}

#[tokio::test]
async fn a_store_that_says_nothing_of_its_key_opens_to_nobody() {
    let home = tempfile::tempdir().expect("a folder");
    let open = || EmbeddedStore::open(Options::new(home.path(), [7; 16])).expect("opens");
    let app = TestApp::builder().store(open()).start().await;
    let (_, key) = app.key("acme", &["admin"]).await;
    settings(&app, &key).await.expect("let in");
    app.app.shut_down().await.expect("closes");
    // Another digest key: that of a server whose file was lost.
    let app = TestApp::builder().store(open()).start().await;
    refused(settings(&app, &key).await, Code::Unauthenticated, "UNAUTHENTICATED");
    let (_, anew) = app.key("acme", &["admin"]).await;
    settings(&app, &anew).await.expect("a key that was made anew");
}
