//! History that has expired: what is told of it, and what is not any more.

use std::time::Duration;

use rapport::rpc::pb;
use rapport::store::embedded::{EmbeddedStore, Options};
use tonic::{Code, Status};

use crate::support::{
    NOW, TestApp, data, details, event, identifier, item_reason, list, number, purchase, reason, status_of, text,
    track, user,
};

const DAY: i64 = 86_400;
const KEPT_DAYS: i64 = 60;
/// 2026-03-01T00:00:00Z less the days that are kept.
const HORIZON: i64 = NOW - DAY / 2 - KEPT_DAYS * DAY;

fn at(seconds: i64) -> Option<prost_types::Timestamp> {
    Some(prost_types::Timestamp { seconds, nanos: 0 })
}

fn plan(plan: &str) -> pb::event::Payload {
    pb::event::Payload::Identify(pb::Identify { traits: data([("plan", text(plan))]), traits_once: None })
}

/// An event of a user who is also known by a device, some days ago.
fn seen(id: &str, name: &str, days: i64, payload: pb::event::Payload) -> pb::Event {
    let mut event = event(id, name, NOW - days * DAY, payload);
    event.identifiers.push(identifier("device_id", &format!("{name}'s")));
    event
}

async fn accept_history(app: &TestApp) {
    let events = vec![
        seen("a100", "ann", 100, plan("free")),
        seen("a90", "ann", 90, purchase(10.0)),
        event("a50", "ann", NOW - 50 * DAY, plan("pro")),
        event("a1", "ann", NOW - DAY, purchase(20.0)),
        seen("b95", "bob", 95, purchase(5.0)),
        event("b40", "bob", NOW - 40 * DAY, track("seen")),
    ];
    app.accept(events).await;
}

async fn expire(app: &TestApp) {
    let kept = Duration::from_secs((KEPT_DAYS * DAY).unsigned_abs());
    app.app.expire_history(kept).await.expect("expires");
}

async fn profile(app: &TestApp, name: &str, as_of: Option<i64>) -> Result<pb::Profile, Status> {
    let as_of_time = as_of.and_then(at);
    let request = pb::GetProfileRequest { customer: user(name), as_of_time, ..Default::default() };
    Ok(app.profiles().get_profile(request).await?.into_inner().profile.expect("a profile"))
}

async fn events(app: &TestApp, name: &str, start: Option<i64>, end: Option<i64>) -> Result<Vec<String>, Status> {
    let (start_time, end_time) = (start.and_then(at), end.and_then(at));
    let request = pb::ListEventsRequest { customer: user(name), start_time, end_time, ..Default::default() };
    let events = app.events().list_events(request).await?.into_inner().events;
    Ok(events.into_iter().map(|event| event.event_id).collect())
}

/// What expiring must not change.
fn lasting(profile: pb::Profile) -> pb::Profile {
    pb::Profile { etag: String::new(), ..profile }
}

#[track_caller]
fn is_expired<T: std::fmt::Debug>(answer: Result<T, Status>) {
    let status = answer.expect_err("it has expired");
    assert_eq!((status.code(), reason(&status).as_str()), (Code::OutOfRange, "HISTORY_EXPIRED"));
    let info = details::<tonic_types::pb::ErrorInfo>(&status_of(&status), "ErrorInfo").remove(0);
    assert_eq!(info.metadata.get("oldest_time").map(String::as_str), Some("2025-12-31T00:00:00Z"));
}

#[tokio::test]
async fn what_has_expired_is_not_told_and_a_customer_is_who_they_were() {
    let directory = tempfile::tempdir().expect("a directory");
    let embedded = EmbeddedStore::open(Options::new(directory.path(), [7; 16])).expect("opens");
    for app in [TestApp::start().await, TestApp::builder().store(embedded).start().await] {
        accept_history(&app).await;
        let before = profile(&app, "ann", None).await.expect("known");
        let past = profile(&app, "ann", Some(HORIZON + 5 * DAY)).await.expect("known");
        assert_eq!(past.identifiers.len(), 2, "{past:?}");
        expire(&app).await;

        assert_eq!(lasting(profile(&app, "ann", None).await.expect("known")), lasting(before));
        let again = profile(&app, "ann", Some(HORIZON + 5 * DAY)).await.expect("known");
        assert_eq!(lasting(again), lasting(past), "what is kept of the past is what it was");
        profile(&app, "ann", Some(HORIZON)).await.expect("the first moment that is kept");
        is_expired(profile(&app, "ann", Some(HORIZON - 1)).await);

        assert_eq!(events(&app, "ann", None, None).await.expect("a list"), ["a1", "a50"]);
        assert_eq!(events(&app, "ann", Some(HORIZON), None).await.expect("a list"), ["a1", "a50"]);
        assert_eq!(events(&app, "ann", None, Some(NOW - 2 * DAY)).await.expect("a list"), ["a50"]);
        is_expired(events(&app, "ann", Some(HORIZON - 1), None).await);
        is_expired(events(&app, "ann", None, Some(HORIZON)).await);

        // Nobody moves the horizon back.
        app.app.expire_history(Duration::from_secs(500 * DAY.unsigned_abs())).await.expect("nothing to do");
        is_expired(events(&app, "ann", Some(HORIZON - 1), None).await);
    }
}

#[tokio::test]
async fn events_before_the_horizon_are_rejected_and_repeats_of_known_ones_are_not() {
    let app = TestApp::start().await;
    accept_history(&app).await;
    expire(&app).await;
    let old = seen("new", "ann", KEPT_DAYS + 1, purchase(1.0));
    let known = seen("a90", "ann", 90, purchase(10.0));
    let recent = event("first", "ann", HORIZON, purchase(1.0));
    let results = app.ingest(vec![old, known, recent]).await;
    let statuses: Vec<_> = results.iter().map(pb::EventResult::status).collect();
    assert_eq!(statuses, [pb::EventStatus::Rejected, pb::EventStatus::Duplicate, pb::EventStatus::Accepted]);
    let error = results[0].error.as_ref().expect("a reason");
    assert_eq!((Code::from(error.code), item_reason(error).as_str()), (Code::OutOfRange, "EVENT_TOO_OLD"));
    let refused = app.events().list_rejections(pb::ListRejectionsRequest::default()).await.expect("a list");
    let refused = refused.into_inner().rejections;
    assert_eq!(refused.len(), 1);
    assert_eq!((refused[0].event_id.as_str(), refused[0].reason()), ("new", pb::RejectionReason::EventTooOld));
}

#[tokio::test]
async fn predictions_and_trainings_as_of_an_expired_time_are_refused() {
    let app = TestApp::start().await;
    accept_history(&app).await;
    expire(&app).await;
    let as_of_time = at(HORIZON - 1);
    let request = pb::PredictEffortRequest { customer: user("ann"), as_of_time, ..Default::default() };
    is_expired(app.predictions().predict_effort(request).await);
    let customers = user("ann").into_iter().collect();
    let request = pb::BatchPredictRequest { customers, as_of_time, ..Default::default() };
    is_expired(app.predictions().batch_predict(request).await);
    let request = pb::StreamPredictionsRequest { as_of_time, ..Default::default() };
    is_expired(app.predictions().stream_predictions(request).await.map(|_| ()));
    let (expired, kept) = (text("2025-12-30T23:59:59Z"), text("2026-01-20T00:00:00Z"));
    for validate_only in [true, false] {
        for (kind, parameters) in [
            (pb::ModelKind::Churn, data([("cutoff_times", list(vec![expired.clone(), kept.clone()]))])),
            (pb::ModelKind::Segments, data([("as_of_time", expired.clone()), ("k", number(2.0))])),
        ] {
            let request =
                pb::CreateTrainingRunRequest { kind: kind.into(), parameters, validate_only, ..Default::default() };
            is_expired(app.training().create_training_run(request).await);
        }
    }
    let parameters = data([("as_of_time", kept)]);
    let request = pb::CreateTrainingRunRequest {
        kind: pb::ModelKind::Segments.into(),
        parameters,
        validate_only: true,
        ..Default::default()
    };
    app.training().create_training_run(request).await.expect("what is kept can be learned from");
}

#[tokio::test]
async fn a_merge_can_be_undone_until_its_own_time_has_expired() {
    let directory = tempfile::tempdir().expect("a directory");
    let embedded = EmbeddedStore::open(Options::new(directory.path(), [7; 16])).expect("opens");
    for app in [TestApp::start().await, TestApp::builder().store(embedded).start().await] {
        accept_history(&app).await;
        let merge = async || {
            let (target, sources) = (user("ann"), user("bob").into_iter().collect());
            let request = pb::MergeProfilesRequest { target, sources, ..Default::default() };
            app.profiles().merge_profiles(request).await.expect("merges").into_inner().merge_id
        };
        let unmerge = async |merge_id: &str| {
            let request = pb::UnmergeProfilesRequest { merge_id: merge_id.to_owned(), ..Default::default() };
            app.profiles().unmerge_profiles(request).await
        };
        let apart =
            [profile(&app, "ann", None).await.expect("known"), profile(&app, "bob", None).await.expect("known")];
        let merged = merge().await;
        let whole = profile(&app, "ann", None).await.expect("known");
        expire(&app).await;
        assert_eq!(lasting(profile(&app, "bob", None).await.expect("known")), lasting(whole));
        unmerge(&merged).await.expect("it is younger than the horizon");
        for (name, apart) in ["ann", "bob"].into_iter().zip(apart) {
            let after = profile(&app, name, None).await.expect("known");
            assert_eq!(pb::Profile { update_time: apart.update_time, ..lasting(after) }, lasting(apart));
        }

        let merged = merge().await;
        app.clock.advance_days(KEPT_DAYS + 1);
        expire(&app).await;
        let status = unmerge(&merged).await.expect_err("it was made before");
        assert_eq!((status.code(), reason(&status).as_str()), (Code::OutOfRange, "HISTORY_EXPIRED"));
        let whole = profile(&app, "ann", None).await.expect("known");
        assert_eq!(whole.activity.map(|activity| activity.events), Some(6));
    }
}

#[tokio::test]
async fn expiring_tells_followers_nothing() {
    let app = TestApp::start().await;
    accept_history(&app).await;
    let mut changes =
        app.profiles().watch_profiles(pb::WatchProfilesRequest::default()).await.expect("a stream").into_inner();
    changes.message().await.expect("a message").expect("the first");
    expire(&app).await;
    app.accept(vec![event("next", "ann", NOW, track("seen"))]).await;
    loop {
        let message = changes.message().await.expect("a message").expect("no end");
        let Some(first) = message.changes.first() else { continue };
        assert!(
            matches!(&first.cause, Some(pb::profile_change::Cause::Event(event)) if event.event_id == "next"),
            "{first:?}"
        );
        return;
    }
}
