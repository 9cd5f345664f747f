//! What becomes of models after their training, and trainings that nobody asks for.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::{self, ThreadId};
use std::time::Duration;

use pb::{ModelKind, TrainingOrigin, TrainingState};
use prost_types::Struct;
use prost_types::value::Kind;
use rapport::app::App;
use rapport::app::context::Context;
use rapport::domain::id::WorkspaceId;
use rapport::domain::model::ModelVersion;
use rapport::domain::time::Timestamp;
use rapport::rpc::pb;
use rapport::store::Store;
use rapport::store::memory::MemoryStore;
use tonic::Code;

use crate::support::{
    NOW, TestApp, TestClock, data, event, fields, list, number, purchase, reason, status_of, text, user,
};
use crate::training::{churn_request, shop, shop_on, train};

const DAY: i64 = 86_400;

async fn card(app: &TestApp, run: &pb::TrainingRun) -> Struct {
    let request = pb::GetModelRequest { model_version: run.model_version.clone(), ..Default::default() };
    let model = app.training().get_model(request).await.expect("the model").into_inner().model.expect("the model");
    model.card.expect("a card")
}

fn part(data: &Struct, key: &str) -> Struct {
    match data.fields.get(key).and_then(|value| value.kind.clone()) {
        Some(Kind::StructValue(part)) => part,
        other => panic!("{key} is {other:?}"),
    }
}

fn said(data: &Struct, key: &str) -> String {
    match data.fields.get(key).and_then(|value| value.kind.clone()) {
        Some(Kind::StringValue(text)) => text,
        other => panic!("{key} is {other:?}"),
    }
}

fn figure(data: &Struct, key: &str) -> f64 {
    match data.fields.get(key).and_then(|value| value.kind.clone()) {
        Some(Kind::NumberValue(number)) => number,
        other => panic!("{key} is {other:?}"),
    }
}

/// A model that has learned from nothing of the last 60 days.
async fn older_model(app: &TestApp) -> pb::TrainingRun {
    let cutoffs = ["2025-08-10T00:00:00Z", "2025-10-10T00:00:00Z"].map(text);
    let request = pb::CreateTrainingRunRequest {
        parameters: data([("cutoff_times", list(cutoffs.to_vec())), ("horizon_days", number(60.0))]),
        ..churn_request()
    };
    let run = train(app, request).await.pop().expect("a final state");
    assert_eq!((run.state(), run.promoted), (TrainingState::Succeeded, true), "{run:?}");
    run
}

#[tokio::test]
async fn answers_are_held_against_what_happened_once_the_horizon_has_passed() {
    let app = shop().await;
    let run = older_model(&app).await;
    assert!(!card(&app, &run).await.fields.contains_key("realised"), "nobody has looked");
    app.app.follow_up_models().await.expect("looked");
    let seen = card(&app, &run).await;
    let (realised, drift) = (part(&seen, "realised"), part(&seen, "drift_now"));
    assert_eq!((said(&realised, "status"), said(&realised, "basis")), ("measured".into(), "back_test".into()));
    assert_eq!((figure(&realised, "left"), figure(&drift, "customers")), (150.0, 300.0));
    let auc = figure(&part(&realised, "auc"), "value");
    assert!(auc > 0.9 && (0.0..=1.0).contains(&figure(&realised, "predicted_rate")), "{auc}");
    assert_eq!(figure(&part(&realised, "observed_rate"), "value"), 0.5);
    let looked = said(&seen, "follow_up_time");

    app.clock.advance_days(100);
    // Those who stayed went on buying, so that there are outcomes of what the model answered after its training.
    let later = (0..300).filter(|n| n % 2 == 1).flat_map(|n| [40, 99].map(|day| (n, day)));
    let bought = |(n, day)| event(&format!("l{n}-{day}"), &format!("u{n}"), NOW + day * DAY, purchase(10.0));
    app.accept(later.map(bought).collect()).await;
    app.app.follow_up_models().await.expect("looked");
    let seen = card(&app, &run).await;
    let realised = part(&seen, "realised");
    assert_eq!((said(&realised, "status"), said(&realised, "basis")), ("measured".into(), "answers".into()));
    assert!(said(&seen, "follow_up_time") > looked);
    assert!(figure(&part(&seen, "drift_now"), "index_max") > 0.25, "everybody has been away for longer");
}

#[tokio::test]
async fn a_model_that_has_learned_from_the_last_outcomes_waits_for_the_next() {
    let app = shop().await;
    let run = train(&app, churn_request()).await.pop().expect("a final state");
    app.app.follow_up_models().await.expect("looked");
    let realised = part(&card(&app, &run).await, "realised");
    // The test cut-off and two horizons.
    assert_eq!(
        (said(&realised, "status"), said(&realised, "due_time")),
        ("pending".into(), "2026-03-31T00:00:00Z".into())
    );
}

#[tokio::test]
async fn a_history_that_has_expired_is_said() {
    let app = shop().await;
    let run = older_model(&app).await;
    app.app.expire_history(Duration::from_secs(40 * 86_400)).await.expect("expired");
    app.app.follow_up_models().await.expect("looked");
    let realised = part(&card(&app, &run).await, "realised");
    assert_eq!(said(&realised, "status"), "history_expired");
    assert_eq!(said(&realised, "oldest_time"), "2026-01-20T00:00:00Z");
}

#[tokio::test]
async fn a_retraining_says_how_far_customers_have_moved_and_the_model_before_is_still_followed() {
    let app = shop().await;
    let before = older_model(&app).await;
    app.clock.advance_days(1);
    let after = train(&app, churn_request()).await.pop().expect("a final state");
    assert!(after.promoted, "{after:?}");
    let drift = part(&card(&app, &after).await, "drift_from_previous");
    assert!(figure(&drift, "customers") >= 250.0 && !said(&drift, "level").is_empty());
    app.app.follow_up_models().await.expect("looked");
    let seen = card(&app, &before).await;
    assert_eq!(said(&part(&seen, "realised"), "status"), "measured");
    assert!(!seen.fields.contains_key("drift_now"), "it answers nobody of today");
    assert!(card(&app, &after).await.fields.contains_key("drift_now"));
}

/// A clock that nobody but the thread of the test can read while it is `stuck`: looks, which work on threads of their own,
/// fail.
struct StuckClock {
    clock: Arc<TestClock>,
    test: ThreadId,
    stuck: AtomicBool,
    failed: AtomicUsize,
}

impl Context for StuckClock {
    fn now(&self) -> Timestamp {
        if self.stuck.load(Ordering::SeqCst) && thread::current().id() != self.test {
            self.failed.fetch_add(1, Ordering::SeqCst);
            panic!("planted");
        }
        self.clock.now()
    }

    fn new_id(&self) -> uuid::Uuid {
        self.clock.new_id()
    }
}

#[tokio::test]
async fn a_look_that_fails_is_not_tried_again_at_once() {
    let store: Arc<dyn Store> = Arc::new(MemoryStore::default());
    let app = shop_on(TestApp::builder().shared(Arc::clone(&store))).await;
    let run = older_model(&app).await;
    let context = Arc::new(StuckClock {
        clock: Arc::clone(&app.clock),
        test: thread::current().id(),
        stuck: AtomicBool::new(true),
        failed: AtomicUsize::new(0),
    });
    let looking = App::start(store, Arc::clone(&context) as Arc<dyn Context>).await.expect("starts");
    for (days, failed) in [(0, 1), (0, 1), (1, 2)] {
        app.clock.advance_days(days);
        looking.follow_up_models().await.expect("one model is no failure of the others");
        assert_eq!(context.failed.load(Ordering::SeqCst), failed);
    }
    context.stuck.store(false, Ordering::SeqCst);
    looking.follow_up_models().await.expect("looked");
    assert!(!card(&app, &run).await.fields.contains_key("realised"), "it waits");
    app.clock.advance_days(1);
    looking.follow_up_models().await.expect("looked");
    assert!(card(&app, &run).await.fields.contains_key("realised"));
}

fn plan(schedules: &[(ModelKind, &str)], drift_index: f64) -> pb::UpdateTrainingPlanRequest {
    let schedule = |(kind, cron): &(ModelKind, &str)| pb::TrainingSchedule {
        kind: (*kind).into(),
        cron: (*cron).to_owned(),
        ..Default::default()
    };
    let plan =
        pb::TrainingPlan { schedules: schedules.iter().map(schedule).collect(), drift_index, ..Default::default() };
    pb::UpdateTrainingPlanRequest { plan: Some(plan), ..Default::default() }
}

async fn runs(app: &TestApp) -> Vec<pb::TrainingRun> {
    let listed = app.training().list_training_runs(pb::ListTrainingRunsRequest::default()).await.expect("runs");
    listed.into_inner().runs
}

/// Waits until every run has ended.
async fn settle(app: &TestApp) -> Vec<pb::TrainingRun> {
    for run in runs(app).await {
        let request = pb::WatchTrainingRunRequest { run_id: run.run_id, ..Default::default() };
        let mut states = app.training().watch_training_run(request).await.expect("a stream").into_inner();
        while states.message().await.expect("a state").is_some() {}
    }
    runs(app).await
}

#[tokio::test]
async fn a_schedule_trains_at_its_time_and_makes_up_once_for_what_it_missed() {
    let store: Arc<dyn Store> = Arc::new(MemoryStore::default());
    let app = TestApp::builder().shared(Arc::clone(&store)).start().await;
    let buy = |n: i64| {
        event(&format!("e{n}"), &format!("u{}", n % 60), NOW - (n % 50) * DAY, purchase(1.0 + (n * n % 90) as f64))
    };
    app.accept((0..300).map(buy).collect()).await;
    let changed = app.training().update_training_plan(plan(&[(ModelKind::Segments, "0 3 * * *")], 0.0)).await;
    let changed = changed.expect("changed").into_inner().plan.expect("a plan");
    let next = changed.schedules[0].next_time.expect("it comes again");
    assert_eq!(next.seconds, NOW + 15 * 3_600, "three o'clock of the next day");

    app.app.train_what_is_due().await.expect("looked");
    assert_eq!(runs(&app).await, [], "its time has not come");
    app.clock.advance_days(3);
    app.app.train_what_is_due().await.expect("looked");
    app.app.train_what_is_due().await.expect("looked");
    let begun = settle(&app).await;
    assert_eq!(
        begun.iter().map(|run| (run.kind(), run.origin())).collect::<Vec<_>>(),
        [(ModelKind::Segments, TrainingOrigin::Schedule)]
    );
    assert_eq!(begun[0].state(), TrainingState::Succeeded, "{begun:?}");

    // Another process on the same data knows what was done and what is to come.
    let restarted = App::start(Arc::clone(&store), Arc::clone(&app.clock) as Arc<dyn Context>).await.expect("starts");
    restarted.train_what_is_due().await.expect("looked");
    assert_eq!(runs(&app).await.len(), 1);
    app.clock.advance_days(1);
    app.app.train_what_is_due().await.expect("looked");
    assert_eq!(settle(&app).await.len(), 2);

    app.training().update_training_plan(plan(&[], 0.0)).await.expect("changed");
    app.clock.advance_days(9);
    app.app.train_what_is_due().await.expect("looked");
    assert_eq!(runs(&app).await.len(), 2, "the plan is over");
}

#[tokio::test]
async fn drift_beyond_the_plan_begins_a_training_but_not_every_day() {
    let app = shop().await;
    let asked = older_model(&app).await;
    app.training().update_training_plan(plan(&[], 0.25)).await.expect("changed");
    app.app.train_what_is_due().await.expect("looked");
    assert_eq!(runs(&app).await.len(), 1, "nobody has looked at the model yet");
    app.clock.advance_days(120);
    app.app.follow_up_models().await.expect("looked");
    app.app.train_what_is_due().await.expect("looked");
    let begun = settle(&app).await;
    assert_eq!(
        begun.iter().map(pb::TrainingRun::origin).collect::<Vec<_>>(),
        [TrainingOrigin::Drift, TrainingOrigin::Request]
    );
    assert_eq!(begun[1].run_id, asked.run_id);
    app.clock.advance_days(1);
    app.app.follow_up_models().await.expect("looked");
    app.app.train_what_is_due().await.expect("looked");
    assert_eq!(runs(&app).await.len(), 2, "a week has not passed");
}

#[tokio::test]
async fn a_plan_is_checked_as_a_whole_and_kept_from_two_writers() {
    let app = TestApp::start().await;
    let wrong = plan(&[(ModelKind::Segments, "0 3 * * 9")], 0.01);
    let refused = app.training().update_training_plan(wrong).await.expect_err("both are wrong");
    assert_eq!((refused.code(), reason(&refused).as_str()), (Code::InvalidArgument, "INVALID_FIELD"));
    assert_eq!(fields(&status_of(&refused)), ["plan.drift_index", "plan.schedules[0].cron"]);
    let kind = (ModelKind::Unspecified, "0 3 * * 1");
    let refused = app.training().update_training_plan(plan(&[kind], 0.0)).await.expect_err("no kind");
    assert_eq!(fields(&status_of(&refused)), ["plan.schedules[0].kind"]);

    let validate =
        pb::UpdateTrainingPlanRequest { validate_only: true, ..plan(&[(ModelKind::Churn, "5 4 * * 1")], 0.3) };
    let shown = app.training().update_training_plan(validate).await.expect("valid").into_inner().plan.expect("a plan");
    assert!(shown.schedules[0].next_time.is_some());
    let stored = app.training().get_training_plan(pb::GetTrainingPlanRequest::default()).await.expect("a plan");
    assert_eq!(stored.into_inner().plan.expect("a plan").schedules, [], "nothing was changed");

    let named =
        pb::UpdateTrainingPlanRequest { request_id: "plan-1".into(), ..plan(&[(ModelKind::Churn, "5 4 * * 1")], 0.3) };
    let first = app.training().update_training_plan(named.clone()).await.expect("changed").into_inner();
    let again = app.training().update_training_plan(named.clone()).await.expect("repeated").into_inner();
    assert_eq!(first.plan, again.plan);
    let mut stale = plan(&[], 0.0);
    stale.plan.as_mut().expect("a plan").etag = "1".into();
    let refused = app.training().update_training_plan(stale).await.expect_err("stale");
    assert_eq!((refused.code(), reason(&refused).as_str()), (Code::Aborted, "ETAG_MISMATCH"));
}

#[tokio::test]
async fn in_the_place_of_a_model_that_cannot_be_loaded_the_last_good_one_answers_and_it_is_said() {
    let store: Arc<dyn Store> = Arc::new(MemoryStore::default());
    let app = shop_on(TestApp::builder().shared(Arc::clone(&store))).await;
    let good = older_model(&app).await;
    app.clock.advance_days(1);
    let lost = train(&app, churn_request()).await.pop().expect("a final state");
    let (workspace, version): (WorkspaceId, ModelVersion) =
        ("acme".parse().expect("a name"), lost.model_version.parse().expect("a version"));
    let whole = store.artifact(&workspace, &version).await.expect("read").expect("kept");
    let mut too_new = whole.clone();
    too_new[4] = 99;
    for harm in [Some(whole[..whole.len() / 2].to_vec()), Some(too_new), None] {
        match harm {
            Some(bytes) => store.put_artifact(&workspace, &version, bytes).await.expect("written"),
            None => store.remove_artifact(&workspace, &version).await.expect("removed"),
        }
        let restarted = TestApp::builder().shared(Arc::clone(&store)).start().await;
        let request = pb::PredictChurnRequest { customer: user("u1"), ..Default::default() };
        let answer = restarted.predictions().predict_churn(request).await.expect("answers").into_inner();
        assert_eq!(answer.model.expect("a model").model_version, good.model_version);
        let unserved = unserved(&restarted).await;
        let [unserved] = unserved.as_slice() else { panic!("{unserved:?}") };
        assert_eq!((unserved.kind(), &unserved.model_version), (ModelKind::Churn, &lost.model_version));
        assert_eq!(unserved.serving_model_version, good.model_version);
        assert_eq!(restarted.app.figures().unserved, [rapport::domain::model::ModelKind::Churn]);
        for (run, active) in [(&good, true), (&lost, false)] {
            let request = pb::GetModelRequest { model_version: run.model_version.clone(), ..Default::default() };
            let model = restarted.training().get_model(request).await.expect("the model").into_inner().model;
            assert_eq!(model.map(|model| model.active), Some(active));
        }
        // A look that cannot read the lost model is no failure of the others.
        restarted.app.follow_up_models().await.expect("looked");
        assert!(card(&restarted, &good).await.fields.contains_key("drift_now"));
    }
    let mended = TestApp::builder().shared(Arc::clone(&store)).start().await;
    let request = pb::ActivateModelRequest { model_version: good.model_version.clone(), ..Default::default() };
    mended.training().activate_model(request).await.expect("activated");
    assert_eq!(unserved(&mended).await, []);
    assert_eq!(mended.app.figures().unserved, []);
}

async fn unserved(app: &TestApp) -> Vec<pb::UnservedModel> {
    let info = app.admin().get_server_info(pb::GetServerInfoRequest::default()).await.expect("information");
    info.into_inner().unserved_models
}
