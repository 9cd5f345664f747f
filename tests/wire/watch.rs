//! `WatchProfiles`: every change, in order, over breaks, merges and slow readers.

use std::time::Duration;

use pb::ChangeType::{Created, Merged, Unmerged, Updated};
use pb::profile_change::Cause;
use rapport::rpc::pb::profile_service_client::ProfileServiceClient;
use rapport::rpc::{RpcOptions, pb};
use rapport::store::memory::MemoryStore;
use tonic::transport::Endpoint;
use tonic::{Code, Status, Streaming};

use crate::support::{
    NOW, TestApp, data, details, event, fields, identifier, purchase, reason, status_of, text, track, user,
};
use crate::training::{shop, train};

type Changes = Streaming<pb::WatchProfilesResponse>;

/// Everything that a merge and its end may change.
const ALL: &str = "identifiers traits activity purchases support surveys subscription consents create_time";

fn from(resume_token: &str) -> pb::WatchProfilesRequest {
    pb::WatchProfilesRequest { resume_token: resume_token.to_owned(), ..Default::default() }
}

fn about(names: &[&str], resume_token: &str) -> pb::WatchProfilesRequest {
    pb::WatchProfilesRequest { customers: names.iter().filter_map(|name| user(name)).collect(), ..from(resume_token) }
}

async fn watch(app: &TestApp, request: pb::WatchProfilesRequest) -> Result<Changes, Status> {
    Ok(app.profiles().watch_profiles(request).await?.into_inner())
}

/// A stream, behind its first message, with the token of that.
async fn begun(app: &TestApp, request: pb::WatchProfilesRequest) -> (Changes, String) {
    let mut changes = watch(app, request).await.expect("a stream");
    let first = next(&mut changes).await;
    assert!(first.checkpoint && first.changes.is_empty() && !first.resume_token.is_empty(), "{first:?}");
    (changes, first.resume_token)
}

async fn next(changes: &mut Changes) -> pb::WatchProfilesResponse {
    let message = tokio::time::timeout(Duration::from_secs(20), changes.message()).await.expect("a message in time");
    message.expect("a message").expect("no end")
}

/// How the stream ends, after whatever messages it still has, of which the last token is told.
async fn end_of(changes: &mut Changes) -> (Status, Option<String>) {
    let mut last = None;
    loop {
        match tokio::time::timeout(Duration::from_secs(20), changes.message()).await.expect("an end in time") {
            Ok(message) => last = Some(message.expect("a status").resume_token),
            Err(status) => return (status, last),
        }
    }
}

/// The next `count` changes and the token behind them.
async fn take(changes: &mut Changes, count: usize) -> (Vec<pb::ProfileChange>, String) {
    let (mut taken, mut token) = (Vec::new(), String::new());
    while taken.len() < count {
        let message = next(changes).await;
        assert_eq!(message.checkpoint, message.changes.is_empty());
        taken.extend(message.changes);
        token = message.resume_token;
    }
    assert_eq!(taken.len(), count, "{taken:?}");
    (taken, token)
}

async fn id_of(app: &TestApp, name: &str) -> String {
    let request = pb::GetProfileRequest { customer: user(name), ..Default::default() };
    app.profiles().get_profile(request).await.expect("a customer").into_inner().profile.expect("a profile").profile_id
}

async fn merge(app: &TestApp, target: &str, source: &str) -> pb::MergeProfilesResponse {
    let request = pb::MergeProfilesRequest {
        target: user(target),
        sources: vec![user(source).expect("a name")],
        ..Default::default()
    };
    app.profiles().merge_profiles(request).await.expect("merges").into_inner()
}

async fn unmerge(app: &TestApp, merge_id: &str) -> pb::UnmergeProfilesResponse {
    let request = pb::UnmergeProfilesRequest { merge_id: merge_id.to_owned(), ..Default::default() };
    app.profiles().unmerge_profiles(request).await.expect("undone").into_inner()
}

fn seen(id: &str, name: &str) -> pb::Event {
    event(id, name, NOW - 60, track("seen"))
}

/// A change in short: the profile, what became of it, the fields and the cause.
fn short(change: &pb::ProfileChange) -> (String, pb::ChangeType, String, String) {
    let cause = match change.cause.as_ref().expect("a cause") {
        Cause::Event(event) => format!("{}/{}", event.source, event.event_id),
        Cause::MergeId(id) => format!("merge {id}"),
        Cause::UnmergeId(id) => format!("unmerge {id}"),
        Cause::ConsentId(id) => format!("consent {id}"),
        Cause::ReceiptId(id) => format!("receipt {id}"),
    };
    (change.profile_id.clone(), change.change_type(), change.changed_fields.join(" "), cause)
}

fn events_of(changes: &[pb::ProfileChange]) -> Vec<String> {
    changes.iter().map(|change| short(change).3).collect()
}

#[tokio::test]
async fn every_change_is_told_in_order_with_its_fields_and_its_cause() {
    let app = TestApp::start().await;
    app.accept(vec![seen("before", "ann")]).await;
    let (mut changes, _) = begun(&app, from("")).await;
    let plan = pb::event::Payload::Identify(pb::Identify { traits: data([("plan", text("pro"))]), traits_once: None });
    let device = |event: pb::Event| {
        let mut identifiers = event.identifiers.clone();
        identifiers.push(identifier("device_id", "tablet"));
        pb::Event { identifiers, ..event }
    };
    let first = device(event("e1", "bob", NOW - 50, track("seen")));
    let events = vec![first, event("e2", "bob", NOW - 40, plan), event("e3", "ann", NOW - 30, purchase(5.0))];
    app.accept(events).await;
    // The shared device goes over to who was seen on it last.
    app.accept(vec![device(event("e4", "ann", NOW - 20, track("seen")))]).await;
    let merged = merge(&app, "ann", "bob").await;
    let undone = unmerge(&app, &merged.merge_id).await;
    let (ann, bob) = (id_of(&app, "ann").await, id_of(&app, "bob").await);

    let (told, _) = take(&mut changes, 9).await;
    let of = |id: &String, kind, fields: &str, cause: &str| (id.clone(), kind, fields.to_owned(), cause.to_owned());
    let (by_merge, by_unmerge) = (format!("merge {}", merged.merge_id), format!("unmerge {}", merged.merge_id));
    let expected = [
        of(&bob, Created, "identifiers activity", "test/e1"),
        of(&bob, Updated, "traits activity", "test/e2"),
        of(&ann, Updated, "activity purchases", "test/e3"),
        of(&bob, Updated, "identifiers", "test/e4"),
        of(&ann, Updated, "identifiers activity", "test/e4"),
        of(&bob, Merged, "", &by_merge),
        of(&ann, Updated, ALL, &by_merge),
        of(&ann, Updated, ALL, &by_unmerge),
        of(&bob, Unmerged, ALL, &by_unmerge),
    ];
    assert_eq!(told.iter().map(short).collect::<Vec<_>>(), expected);
    let into: Vec<&str> = told.iter().map(|change| change.merged_into.as_str()).collect();
    assert_eq!(into, ["", "", "", "", "", &ann, "", "", ""]);
    let revisions: Vec<&str> = told.iter().map(|change| change.revision.as_str()).collect();
    let (of_merge, of_undo) = (merged.revision.as_str(), undone.revision.as_str());
    assert_eq!(revisions, ["r2", "r2", "r2", "r3", "r3", of_merge, of_merge, of_undo, of_undo]);
    assert!(told.iter().all(|change| change.commit_time == Some(prost_types::Timestamp { seconds: NOW, nanos: 0 })));
}

#[tokio::test]
async fn an_event_that_merges_tells_the_merge_first_and_then_itself() {
    let app = TestApp::start().await;
    let named = |id: &str, names: &[(&str, &str)]| {
        let identifiers = names.iter().map(|(kind, value)| identifier(kind, value)).collect();
        pb::Event { identifiers, ..seen(id, "") }
    };
    app.accept(vec![seen("a", "ann"), named("v", &[("anonymous_id", "v")])]).await;
    let (mut changes, _) = begun(&app, from("")).await;
    app.accept(vec![named("both", &[("user_id", "ann"), ("anonymous_id", "v")])]).await;
    let (told, _) = take(&mut changes, 3).await;
    let kinds: Vec<_> = told.iter().map(|change| (change.change_type(), change.changed_fields.join(" "))).collect();
    assert_eq!(kinds, [(Merged, String::new()), (Updated, ALL.to_owned()), (Updated, "activity".to_owned())]);
    assert_eq!(short(&told[2]).3, "test/both");
}

#[tokio::test]
async fn whoever_resumes_misses_nothing_and_gets_nothing_again_that_was_confirmed() {
    let app = TestApp::start().await;
    let (mut changes, start) = begun(&app, from("")).await;
    // More than one message holds, so that tokens lie within a commit.
    let events: Vec<_> = (0..1_000).map(|n| seen(&format!("{n:04}"), &format!("u{}", n % 300))).collect();
    let expected: Vec<String> = events.iter().map(|event| format!("test/{}", event.event_id)).collect();
    app.accept(events).await;
    let message = next(&mut changes).await;
    let (confirmed, token) = (message.changes, message.resume_token);
    assert!(confirmed.len() < 1_000, "one message holds {} changes", confirmed.len());
    drop(changes);
    app.accept(vec![seen("meanwhile", "ann")]).await;
    let (mut again, same) = begun(&app, from(&token)).await;
    assert_eq!(same, token, "nothing happened since");
    let (rest, end) = take(&mut again, 1_001 - confirmed.len()).await;
    let all = [&events_of(&confirmed)[..], &events_of(&rest)].concat();
    assert_eq!(all, [&expected[..], &["test/meanwhile".to_owned()]].concat());
    let (mut whole, _) = begun(&app, from(&start)).await;
    assert_eq!(events_of(&take(&mut whole, 1_001).await.0), all);
    let (mut nothing, _) = begun(&app, from(&end)).await;
    app.accept(vec![seen("last", "ann")]).await;
    assert_eq!(events_of(&take(&mut nothing, 1).await.0), ["test/last"]);
}

#[tokio::test]
async fn a_customer_is_followed_through_merges_and_their_end_and_over_a_break() {
    let app = TestApp::start().await;
    app.accept(vec![seen("a", "ann"), seen("b", "bob"), seen("c", "cid")]).await;
    let (mut changes, start) = begun(&app, about(&["bob"], "")).await;
    app.accept(vec![seen("a1", "ann"), seen("b1", "bob")]).await;
    let merged = merge(&app, "ann", "bob").await.merge_id;
    app.accept(vec![seen("c2", "cid"), seen("a2", "ann")]).await;
    let (told, token) = take(&mut changes, 4).await;
    let by_merge = format!("merge {merged}");
    assert_eq!(events_of(&told), ["test/b1", &by_merge, &by_merge, "test/a2"]);
    drop(changes);
    // While nobody listens the merge ends, and what happened before that is told as it was then.
    app.accept(vec![seen("a3", "ann")]).await;
    unmerge(&app, &merged).await;
    app.accept(vec![seen("b4", "bob"), seen("c4", "cid")]).await;
    let by_unmerge = format!("unmerge {merged}");
    let after = ["test/a3", &by_unmerge, &by_unmerge, "test/b4"];
    let (mut again, _) = begun(&app, about(&["bob"], &token)).await;
    assert_eq!(events_of(&take(&mut again, 4).await.0), after);
    let (mut whole, _) = begun(&app, about(&["bob"], &start)).await;
    assert_eq!(events_of(&take(&mut whole, 8).await.0), [&events_of(&told)[..], &after.map(str::to_owned)].concat());
}

#[tokio::test]
async fn a_segment_that_nobody_knows_and_every_other_fault_is_named() {
    let app = TestApp::start().await;
    let refused = async |request| {
        let status = watch(&app, request).await.expect_err("refused");
        (status.code(), reason(&status), fields(&status_of(&status)))
    };
    let segment = |id: &str| pb::WatchProfilesRequest { segment_ids: vec![id.to_owned()], ..from("") };
    let (code, reason_of, _) = refused(segment("s1")).await;
    assert_eq!((code, reason_of.as_str()), (Code::NotFound, "SEGMENT_NOT_FOUND"));
    let (code, reason_of, _) = refused(about(&["nobody"], "")).await;
    assert_eq!((code, reason_of.as_str()), (Code::NotFound, "CUSTOMER_NOT_FOUND"));
    let faulty = pb::WatchProfilesRequest {
        customers: vec![pb::CustomerRef::default(); 1_001],
        segment_ids: vec![String::new(); 101],
        resume_token: "00".to_owned(),
        at_least_revision: "yesterday".to_owned(),
    };
    let (code, reason_of, named) = refused(faulty).await;
    assert_eq!((code, reason_of.as_str()), (Code::InvalidArgument, "BATCH_TOO_LARGE"));
    for field in ["customers", "customers[0]", "customers[1]"] {
        assert!(named.iter().any(|named| named == field), "{field}: {named:?}");
    }
    let ahead = pb::WatchProfilesRequest { at_least_revision: "r9".to_owned(), ..from("") };
    assert_eq!(refused(ahead).await.1, "REVISION_AHEAD");
}

#[tokio::test]
async fn a_token_that_was_altered_or_belongs_elsewhere_is_refused() {
    let app = TestApp::start().await;
    app.accept(vec![seen("a", "ann"), seen("b", "bob")]).await;
    let (_, token) = begun(&app, about(&["ann", "bob"], "")).await;
    begun(&app, about(&["bob", "ann"], &token)).await;
    let mut altered = token.clone().into_bytes();
    let last = altered.len() - 1;
    altered[last] = if altered[last] == b'0' { b'1' } else { b'0' };
    let altered = String::from_utf8(altered).expect("text");
    let elsewhere =
        ProfileServiceClient::new(app.wire_of("globex")).watch_profiles(about(&["ann", "bob"], &token)).await;
    for refused in [
        watch(&app, about(&["ann", "bob"], &altered)).await.expect_err("altered"),
        watch(&app, about(&["ann"], &token)).await.expect_err("other filters"),
        watch(&app, from(&token)).await.expect_err("no filters"),
        elsewhere.expect_err("another workspace"),
    ] {
        assert_eq!((refused.code(), reason(&refused).as_str()), (Code::InvalidArgument, "RESUME_TOKEN_INVALID"));
        assert_eq!(fields(&status_of(&refused)), ["resume_token"]);
    }
    // The same names on a server that has less.
    let (_, token) = begun(&app, from("")).await;
    let other = TestApp::start().await;
    let ahead = watch(&other, from(&token)).await.expect_err("ahead");
    assert_eq!((ahead.code(), reason(&ahead).as_str()), (Code::FailedPrecondition, "REVISION_AHEAD"));
}

#[tokio::test]
async fn a_token_that_is_older_than_what_is_kept_has_expired() {
    let app = TestApp::builder().store(MemoryStore::default().keeping_commits(2)).start().await;
    app.accept(vec![seen("0", "ann")]).await;
    let (_, token) = begun(&app, from("")).await;
    app.accept(vec![seen("1", "ann")]).await;
    app.accept(vec![seen("2", "ann")]).await;
    let (mut changes, _) = begun(&app, from(&token)).await;
    assert_eq!(events_of(&take(&mut changes, 2).await.0), ["test/1", "test/2"]);
    app.accept(vec![seen("3", "ann")]).await;
    let expired = watch(&app, from(&token)).await.expect_err("expired");
    assert_eq!((expired.code(), reason(&expired).as_str()), (Code::OutOfRange, "RESUME_TOKEN_EXPIRED"));
}

#[tokio::test]
async fn silence_is_broken_by_checkpoints_that_know_what_was_left_out() {
    let brief = |options: &mut RpcOptions| options.checkpoint_interval = Duration::from_millis(20);
    let app = TestApp::builder().options(brief).start().await;
    app.accept(vec![seen("a", "ann"), seen("b", "bob")]).await;
    let (mut changes, start) = begun(&app, about(&["ann"], "")).await;
    let idle = next(&mut changes).await;
    assert!(idle.checkpoint && idle.changes.is_empty());
    assert_eq!(idle.resume_token, start);
    app.accept(vec![seen("b1", "bob")]).await;
    let mut token = start.clone();
    while token == start {
        let message = next(&mut changes).await;
        assert!(message.checkpoint && message.changes.is_empty());
        token = message.resume_token;
    }
    app.accept(vec![seen("a1", "ann")]).await;
    assert_eq!(events_of(&take(&mut changes, 1).await.0), ["test/a1"]);
}

#[tokio::test]
async fn a_slow_reader_is_let_go_with_the_last_token_and_loses_nothing() {
    // The server does not wait at all: the first message for which there is no room is one too many.
    let hasty = |options: &mut RpcOptions| options.stalled_send_timeout = Duration::ZERO;
    let app = TestApp::builder().options(hasty).start().await;
    let address = format!("http://{}", app.address);
    // So little room on the way that a few messages fill it.
    let narrow = Endpoint::from_shared(address).expect("an address").initial_stream_window_size(65_535);
    let mut profiles = ProfileServiceClient::new(narrow.connect_lazy());
    let mut events = pb::event_service_client::EventServiceClient::new(app.channel.clone());
    let mut changes = profiles.watch_profiles(from("")).await.expect("a stream").into_inner();
    let count = 6_000;
    for batch in (0..count).collect::<Vec<_>>().chunks(1_000) {
        let long = |n: &i32| seen(&format!("{n:0200}"), &format!("u{}", n % 10));
        let request = pb::IngestEventsRequest { events: batch.iter().map(long).collect(), validate_only: false };
        events.ingest_events(request).await.expect("taken in");
    }
    let mut got = Vec::new();
    let (status, last) = loop {
        match tokio::time::timeout(Duration::from_secs(20), changes.message()).await.expect("in time") {
            Ok(message) => got.push(message.expect("a status")),
            Err(status) => break (status, got.last().map(|message| message.resume_token.clone())),
        }
    };
    assert_eq!((status.code(), reason(&status).as_str()), (Code::ResourceExhausted, "READER_TOO_SLOW"));
    let info = details::<tonic_types::pb::ErrorInfo>(&status_of(&status), "ErrorInfo").remove(0);
    assert_eq!(info.metadata.get("resume_token").cloned(), last);
    let mut all = events_of(&got.into_iter().flat_map(|message| message.changes).collect::<Vec<_>>());
    assert!(all.len() < 6_000, "the stream was not too much for the reader");
    let mut rest = ProfileServiceClient::new(app.channel.clone());
    let mut rest = rest.watch_profiles(from(&last.expect("a token"))).await.expect("a stream").into_inner();
    while all.len() < 6_000 {
        all.extend(events_of(&next(&mut rest).await.changes));
    }
    assert_eq!(all, (0..count).map(|n| format!("test/{n:0200}")).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_stopping_server_and_a_closed_store_end_the_stream() {
    let mut app = TestApp::start().await;
    let (mut changes, _) = begun(&app, from("")).await;
    let stopped = app.stop();
    let (status, _) = end_of(&mut changes).await;
    assert_eq!((status.code(), reason(&status).as_str()), (Code::Unavailable, "STORE_UNAVAILABLE"));
    stopped.await;

    let app = TestApp::start().await;
    let (mut changes, _) = begun(&app, from("")).await;
    app.app.shut_down().await.expect("closed");
    let (status, _) = end_of(&mut changes).await;
    assert_eq!((status.code(), reason(&status).as_str()), (Code::Unavailable, "STORE_UNAVAILABLE"));
}

#[tokio::test]
async fn only_who_is_in_a_segment_now_is_told_where_segments_are_named() {
    let app = shop().await;
    let request = pb::CreateTrainingRunRequest { kind: pb::ModelKind::Segments.into(), ..Default::default() };
    train(&app, request).await;
    let segment_of = async |name: &str| {
        let request = pb::PredictSegmentRequest { customer: user(name), ..Default::default() };
        app.predictions().predict_segment(request).await.expect("a segment").into_inner().segment_id
    };
    let names: Vec<String> = (0..40).map(|n| format!("u{n}")).collect();
    let request = pb::WatchProfilesRequest { segment_ids: vec![segment_of("u1").await], ..from("") };
    let (mut changes, _) = begun(&app, request.clone()).await;
    app.accept(names.iter().map(|name| seen(&format!("of {name}"), name)).collect()).await;
    let mut expected = Vec::new();
    for name in &names {
        if segment_of(name).await == request.segment_ids[0] {
            expected.push(format!("test/of {name}"));
        }
    }
    assert!((1..names.len()).contains(&expected.len()), "the customers are in one segment");
    assert_eq!(events_of(&take(&mut changes, expected.len()).await.0), expected);
    let absent = pb::WatchProfilesRequest { segment_ids: vec!["none".to_owned()], ..from("") };
    assert_eq!(reason(&watch(&app, absent).await.expect_err("unknown")), "SEGMENT_NOT_FOUND");
}
