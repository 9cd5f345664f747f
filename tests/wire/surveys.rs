//! Satisfaction and effort, learned from answers to surveys.

use pb::batch_predict_result::Result as Outcome;
use pb::{EffortBasis, ModelKind, PredictionStatus, SurveyKind, TrainingState};
use rapport::rpc::pb;
use tonic::Code;

use crate::support::{NOW, TestApp, contact, event, fields, item_reason, purchase, reason, status_of, track, user};
use crate::training::train;

const DAY: i64 = 86_400;
const CUSTOMERS: i64 = 320;

/// A company whose customers answer with the less, the more often their case was escalated: `u0` never, `u3` three times.
/// How often they looked around has nothing to do with it.
async fn asking() -> TestApp {
    let app = TestApp::start().await;
    app.accept((0..CUSTOMERS).flat_map(customer).collect()).await;
    app
}

fn customer(n: i64) -> Vec<pb::Event> {
    let (user, trouble) = (format!("u{n}"), n % 4);
    let asked = NOW - 300 * DAY + n * DAY / 2;
    let mut events = vec![event(&format!("{user}-p"), &user, asked - 40 * DAY, purchase(20.0 + (n % 9) as f64))];
    for step in 0..n * 7 % 6 {
        let time = asked - 30 * DAY + step * DAY;
        events.push(event(&format!("{user}-t{step}"), &user, time, track("look")));
    }
    for step in 0..trouble {
        let kind = contact(pb::ContactKind::Escalated, "C");
        events.push(event(&format!("{user}-c{step}"), &user, asked - 5 * DAY + step * DAY, kind));
    }
    let noise = (n * 7919 % 3) - 1;
    let csat = (4 - trouble + noise).clamp(1, 5);
    let ces = (6 - trouble - trouble / 2 + noise).clamp(1, 7);
    for (kind, score) in [(SurveyKind::Csat, csat), (SurveyKind::Ces, ces)] {
        events.push(event(&format!("{user}-{}", kind.as_str_name()), &user, asked, answer(kind, score as f64)));
    }
    events
}

fn answer(kind: SurveyKind, score: f64) -> pb::event::Payload {
    pb::event::Payload::SurveyResponse(pb::SurveyResponse {
        kind: kind.into(),
        score: Some(score),
        ..Default::default()
    })
}

async fn learn(app: &TestApp, kind: ModelKind) -> pb::TrainingRun {
    let request = pb::CreateTrainingRunRequest { kind: kind.into(), ..Default::default() };
    train(app, request).await.pop().expect("a final state")
}

fn sum(contributions: &[pb::Contribution]) -> f64 {
    contributions.iter().map(|contribution| contribution.contribution).sum()
}

async fn satisfaction(app: &TestApp, request: pb::PredictSatisfactionRequest) -> pb::PredictSatisfactionResponse {
    app.predictions().predict_satisfaction(request).await.expect("satisfaction").into_inner()
}

fn about(name: &str) -> pb::PredictSatisfactionRequest {
    pb::PredictSatisfactionRequest { customer: user(name), ..Default::default() }
}

#[tokio::test]
async fn without_a_model_satisfaction_is_refused_and_predict_does_without() {
    let app = asking().await;
    let refused = app.predictions().predict_satisfaction(about("u0")).await.expect_err("no model");
    assert_eq!((refused.code(), reason(&refused).as_str()), (Code::FailedPrecondition, "MODEL_NOT_TRAINED"));
    let request = pb::PredictRequest { customer: user("u0"), ..Default::default() };
    let all = app.predictions().predict(request).await.expect("an answer").into_inner();
    assert!(all.satisfaction.is_none() && all.value.is_none());
    assert!(all.errors.iter().all(|error| error.kind() != ModelKind::Satisfaction), "{:?}", all.errors);
}

#[tokio::test]
async fn satisfaction_is_learned_from_answers_and_its_reasons_sum() {
    let app = asking().await;
    let run = learn(&app, ModelKind::Satisfaction).await;
    assert_eq!((run.state(), run.promoted), (TrainingState::Succeeded, true), "{run:?}");
    let metrics = &run.metrics.as_ref().expect("figures").fields;
    for key in ["mae", "mean_baseline_mae", "r2", "rank_correlation", "interval_coverage", "rows"] {
        assert!(metrics.contains_key(key), "{key}");
    }
    let (calm, troubled) = (satisfaction(&app, about("u0")).await, satisfaction(&app, about("u3")).await);
    assert!(calm.predicted_csat > troubled.predicted_csat + 0.7, "{calm:?} {troubled:?}");
    for answer in [&calm, &troubled] {
        assert_eq!(answer.status(), PredictionStatus::Ok);
        assert!((sum(&answer.contributions) - answer.predicted_csat).abs() < 1e-9, "{answer:?}");
        assert!(1.0 <= answer.low && answer.low <= answer.predicted_csat, "{answer:?}");
        assert!(answer.predicted_csat <= answer.high && answer.high <= 5.0, "{answer:?}");
        assert!(answer.contributions.iter().any(|reason| reason.feature == "baseline"));
        let model = answer.model.as_ref().expect("a model");
        assert_eq!((model.kind(), &model.model_version), (ModelKind::Satisfaction, &run.model_version));
    }
    let short = satisfaction(&app, pb::PredictSatisfactionRequest { contribution_limit: 1, ..about("u3") }).await;
    assert_eq!((short.contributions.len(), short.contributions[1].feature.as_str()), (2, "other"));
    assert!((sum(&short.contributions) - short.predicted_csat).abs() < 1e-9);
    let request = pb::PredictSatisfactionRequest { contribution_limit: -1, ..about("u3") };
    let refused = app.predictions().predict_satisfaction(request).await.expect_err("negative");
    assert_eq!(fields(&status_of(&refused)), ["contribution_limit"]);

    // Before the trouble began, the answer of today's model was another one.
    let seconds = NOW - 300 * DAY + 3 * DAY / 2 - 7 * DAY;
    let as_of_time = Some(prost_types::Timestamp { seconds, nanos: 0 });
    let before = satisfaction(&app, pb::PredictSatisfactionRequest { as_of_time, ..about("u3") }).await;
    assert!(before.predicted_csat > troubled.predicted_csat + 0.5, "{before:?}");
}

#[tokio::test]
async fn every_way_to_ask_gives_the_same_satisfaction() {
    let app = asking().await;
    learn(&app, ModelKind::Satisfaction).await;
    let alone = satisfaction(&app, about("u2")).await;
    let request = pb::PredictRequest { customer: user("u2"), ..Default::default() };
    let all = app.predictions().predict(request).await.expect("an answer").into_inner();
    let part = all.satisfaction.expect("a model answers");
    assert_eq!((part.predicted_csat, part.low, part.high), (alone.predicted_csat, alone.low, alone.high));
    assert_eq!((part.contributions, part.profile_id.as_str()), (alone.contributions, ""));
    let customers = user("u2").into_iter().collect();
    let request = pb::BatchPredictRequest { customers, ..Default::default() };
    let batch = app.predictions().batch_predict(request).await.expect("a batch").into_inner();
    let Some(Outcome::Prediction(in_batch)) = &batch.results[0].result else { panic!("{batch:?}") };
    let in_batch = in_batch.satisfaction.as_ref().expect("a model answers");
    assert_eq!(in_batch.predicted_csat, alone.predicted_csat);
    assert!(in_batch.contributions.len() <= 6 && (sum(&in_batch.contributions) - alone.predicted_csat).abs() < 1e-9);
    let kinds = vec![ModelKind::Satisfaction.into(), ModelKind::Value.into()];
    let request = pb::StreamPredictionsRequest { kinds, ..Default::default() };
    let mut messages = app.predictions().stream_predictions(request).await.expect("a stream").into_inner();
    let mut answered = 0;
    while let Some(message) = messages.message().await.expect("a message") {
        for result in message.results {
            let Some(Outcome::Prediction(prediction)) = result.result else { panic!("an error") };
            assert!(prediction.effort.is_none() && prediction.satisfaction.is_some());
            let missing: Vec<_> = prediction.errors.iter().map(|error| error.kind()).collect();
            assert_eq!(missing, [ModelKind::Value], "what was named and has no model says so");
            answered += 1;
        }
    }
    assert_eq!(answered, CUSTOMERS);
}

#[tokio::test]
async fn effort_says_what_it_rests_on() {
    let app = asking().await;
    let request = pb::PredictEffortRequest { customer: user("u3"), ..Default::default() };
    let index = app.predictions().predict_effort(request.clone()).await.expect("effort").into_inner();
    assert_eq!((index.basis(), index.predicted_ces, index.low), (EffortBasis::BehaviourIndex, 0.0, 0.0));
    let run = learn(&app, ModelKind::Effort).await;
    assert!(run.promoted, "{run:?}");
    let effort = app.predictions().predict_effort(request).await.expect("effort").into_inner();
    assert_eq!((effort.status(), effort.basis()), (PredictionStatus::Ok, EffortBasis::SurveyModel));
    assert!((1.0..4.0).contains(&effort.predicted_ces), "{effort:?}");
    assert!(effort.low <= effort.predicted_ces && effort.predicted_ces <= effort.high && effort.high <= 7.0);
    assert!((effort.effort_index - 100.0 * (7.0 - effort.predicted_ces) / 6.0).abs() < 1e-9, "{effort:?}");
    assert!((sum(&effort.contributions) - effort.effort_index).abs() < 1e-9, "{effort:?}");
    assert_eq!(effort.model.expect("a model").model_version, run.model_version);
}

#[tokio::test]
async fn models_of_answers_are_listed_and_can_be_activated() {
    let app = asking().await;
    let (first, second) = (learn(&app, ModelKind::Effort).await, learn(&app, ModelKind::Effort).await);
    let request = pb::ListModelsRequest { kind: ModelKind::Effort.into(), ..Default::default() };
    let models = app.training().list_models(request).await.expect("models").into_inner().models;
    let active = |models: &[pb::Model]| models.iter().filter(|model| model.active).count();
    assert_eq!((models.len(), active(&models)), (2, 1));
    assert!(second.promotion_note.contains("previous model"), "{second:?}");
    let request = pb::ActivateModelRequest { model_version: first.model_version.clone(), ..Default::default() };
    let activated = app.training().activate_model(request).await.expect("goes back").into_inner();
    let card = activated.model.expect("the model").card.expect("a card").fields;
    assert!(card.contains_key("respondents") && card.contains_key("interval_level"));
    let request = pb::PredictEffortRequest { customer: user("u3"), ..Default::default() };
    let effort = app.predictions().predict_effort(request).await.expect("effort").into_inner();
    assert_eq!(effort.model.expect("a model").model_version, first.model_version);
}

#[tokio::test]
async fn few_answers_are_not_enough_and_a_stranger_has_no_satisfaction() {
    let app = TestApp::start().await;
    app.accept((0..100).flat_map(customer).collect()).await;
    let run = learn(&app, ModelKind::Satisfaction).await;
    let error = run.error.as_ref().expect("why");
    assert_eq!((run.state(), item_reason(error).as_str()), (TrainingState::Failed, "NOT_ENOUGH_DATA"));
    assert!(error.message.contains("needs 100 answers"), "{}", error.message);

    let app = asking().await;
    app.accept(vec![event("x", "stranger", NOW, track("look"))]).await;
    learn(&app, ModelKind::Satisfaction).await;
    let nobody = app.predictions().predict_satisfaction(about("nobody")).await.expect_err("unknown");
    assert_eq!(reason(&nobody), "CUSTOMER_NOT_FOUND");
    let stranger = satisfaction(&app, about("stranger")).await;
    assert!(stranger.predicted_csat.is_finite() && stranger.status() == PredictionStatus::Ok, "{stranger:?}");
}
