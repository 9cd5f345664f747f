//! `TrainingService`, and the models that it makes.

use pb::{ModelKind, TrainingState};
use rapport::rpc::pb;
use tonic::Code;

use crate::support::{
    Builder, NOW, TestApp, contact, data, event, fields, item_reason, list, number, purchase, reason, status_of, text,
};

const DAY: i64 = 86_400;
/// Day 0 of the shop below: 400 days before now.
const START: i64 = NOW - 400 * DAY;

/// A shop with 300 customers who buy every 15 days, but now and then not; every other one complains and leaves.
pub(crate) async fn shop() -> TestApp {
    shop_on(TestApp::builder()).await
}

/// The same shop on a server of one's own choice.
pub(crate) async fn shop_on(builder: Builder) -> TestApp {
    let app = builder.start().await;
    app.accept((0..300).flat_map(customer).collect()).await;
    app
}

fn customer(n: i64) -> Vec<pb::Event> {
    let user = format!("u{n}");
    let leaves = n % 2 == 0;
    let end = if leaves { 110 + n % 120 } else { 400 };
    let days = (n % 15..end).step_by(15).filter(|day| (n + day / 15 * 3) % 5 != 0);
    let mut events: Vec<pb::Event> = days
        .map(|day| event(&format!("{user}-{day}"), &user, START + day * DAY, purchase(10.0 + (n % 7) as f64)))
        .collect();
    if leaves {
        for (step, kind) in [pb::ContactKind::Opened, pb::ContactKind::Reopened].into_iter().enumerate() {
            let time = START + (end - 20) * DAY + i64::try_from(step).expect("small") * DAY;
            events.push(event(&format!("{user}-c{step}"), &user, time, contact(kind, "C")));
        }
    }
    events
}

pub(crate) fn churn_request() -> pb::CreateTrainingRunRequest {
    let cutoffs = ["2025-08-01T00:00:00Z", "2025-10-01T00:00:00Z", "2025-12-01T00:00:00Z"].map(text);
    pb::CreateTrainingRunRequest {
        kind: ModelKind::Churn.into(),
        parameters: data([
            ("cutoff_times", list(cutoffs.to_vec())),
            ("horizon_days", number(60.0)),
            ("seed", number(7.0)),
        ]),
        ..Default::default()
    }
}

/// Starts a training and follows it to its end.
pub(crate) async fn train(app: &TestApp, request: pb::CreateTrainingRunRequest) -> Vec<pb::TrainingRun> {
    let created = app.training().create_training_run(request).await.expect("a run").into_inner();
    let run_id = created.run.expect("a run").run_id;
    let request = pb::WatchTrainingRunRequest { run_id, ..Default::default() };
    let mut states = app.training().watch_training_run(request).await.expect("a stream").into_inner();
    let mut seen = Vec::new();
    while let Some(state) = states.message().await.expect("a state") {
        seen.push(state.run.expect("a run"));
    }
    seen
}

#[tokio::test]
async fn a_training_is_followed_to_its_model() {
    let app = shop().await;
    let seen = train(&app, churn_request()).await;
    assert!(seen.windows(2).all(|pair| pair[0].progress <= pair[1].progress));
    let run = seen.last().expect("a final state");
    assert_eq!((run.state(), run.progress, run.promoted), (TrainingState::Succeeded, 1.0, true), "{run:?}");
    assert!(run.metrics.as_ref().is_some_and(|metrics| metrics.fields.contains_key("auc")));
    assert!(!run.promotion_note.is_empty() && run.error.is_none());

    let request = pb::GetModelRequest { model_version: run.model_version.clone(), ..Default::default() };
    let model = app.training().get_model(request).await.expect("the model").into_inner().model.expect("the model");
    assert!(model.active && model.card.is_some_and(|card| card.fields.contains_key("brier")));
    let request = pb::ListModelsRequest { kind: ModelKind::Churn.into(), ..Default::default() };
    let models = app.training().list_models(request).await.expect("models").into_inner();
    assert_eq!((models.models.len(), models.next_page_token.as_str()), (1, ""));
    let request = pb::ListModelsRequest { kind: ModelKind::Effort.into(), ..Default::default() };
    assert_eq!(app.training().list_models(request).await.expect("none").into_inner().models, []);
    let request = pb::ActivateModelRequest { model_version: run.model_version.clone(), ..Default::default() };
    let activated = app.training().activate_model(request).await.expect("changes nothing").into_inner();
    assert!(activated.model.expect("the model").active);
}

#[tokio::test]
async fn too_little_data_shows_in_the_run() {
    let app = TestApp::start().await;
    app.accept(vec![event("e", "ann", NOW - DAY, purchase(1.0))]).await;
    let seen = train(&app, churn_request()).await;
    let run = seen.last().expect("a final state");
    assert_eq!(run.state(), TrainingState::Failed);
    let error = run.error.as_ref().expect("why");
    assert_eq!((Code::from(error.code), item_reason(error).as_str()), (Code::FailedPrecondition, "NOT_ENOUGH_DATA"));
    let request = pb::CancelTrainingRunRequest { run_id: run.run_id.clone(), ..Default::default() };
    let refused = app.training().cancel_training_run(request).await.expect_err("it has ended");
    assert_eq!((refused.code(), reason(&refused).as_str()), (Code::FailedPrecondition, "TRAINING_NOT_RUNNING"));
}

#[tokio::test]
async fn a_kind_that_is_none_is_refused() {
    let app = TestApp::start().await;
    let create = async |kind: i32| {
        let request = pb::CreateTrainingRunRequest { kind, ..Default::default() };
        app.training().create_training_run(request).await.expect_err("no such training")
    };
    for kind in [0, 99] {
        let refused = create(kind).await;
        assert_eq!((refused.code(), reason(&refused).as_str()), (Code::InvalidArgument, "INVALID_FIELD"));
        assert_eq!(fields(&status_of(&refused)), ["kind"]);
    }
}

#[tokio::test]
async fn every_fault_of_the_parameters_is_named() {
    let app = TestApp::start().await;
    let request = pb::CreateTrainingRunRequest {
        kind: ModelKind::Churn.into(),
        parameters: data([("horizon_days", number(0.0)), ("k", number(3.0)), ("seed", text("seven"))]),
        ..Default::default()
    };
    let refused = app.training().create_training_run(request).await.expect_err("all wrong");
    assert_eq!(fields(&status_of(&refused)), ["parameters.horizon_days", "parameters.k", "parameters.seed"]);
}

#[tokio::test]
async fn a_request_that_is_only_validated_starts_nothing() {
    let app = TestApp::start().await;
    let request = pb::CreateTrainingRunRequest { validate_only: true, ..churn_request() };
    let answer = app.training().create_training_run(request).await.expect("valid").into_inner();
    assert_eq!(answer.run.expect("a run").run_id, "");
    let runs = app.training().list_training_runs(pb::ListTrainingRunsRequest::default()).await.expect("runs");
    assert_eq!(runs.into_inner().runs, []);
}

#[tokio::test]
async fn a_named_request_starts_one_run() {
    let app = TestApp::start().await;
    let request = pb::CreateTrainingRunRequest { request_id: "weekly".to_owned(), ..churn_request() };
    let mut ids = Vec::new();
    for _ in 0..2 {
        let answer = app.training().create_training_run(request.clone()).await.expect("a run").into_inner();
        ids.push(answer.run.expect("a run").run_id);
    }
    assert_eq!(ids[0], ids[1]);
    let other = pb::CreateTrainingRunRequest { kind: ModelKind::Segments.into(), parameters: None, ..request };
    let refused = app.training().create_training_run(other).await.expect_err("another content");
    assert_eq!((refused.code(), reason(&refused).as_str()), (Code::AlreadyExists, "REQUEST_ID_REUSED"));
    let runs = app.training().list_training_runs(pb::ListTrainingRunsRequest::default()).await.expect("runs");
    assert_eq!(runs.into_inner().runs.len(), 1);
}
