//! `PredictionService` and `SegmentService`.

use pb::batch_predict_result::Result as Outcome;
use pb::{Band, EffortBasis, ModelKind, PredictionStatus};
use rapport::rpc::pb;

use crate::support::{NOW, TestApp, contact, event, fields, item_reason, reason, status_of, track, user};
use crate::training::{churn_request, shop, train};

fn sum(contributions: &[pb::Contribution]) -> f64 {
    contributions.iter().map(|contribution| contribution.contribution).sum()
}

async fn struggling() -> TestApp {
    let app = TestApp::start().await;
    let kinds = [
        pb::ContactKind::SelfServiceFailure,
        pb::ContactKind::Opened,
        pb::ContactKind::Transfer,
        pb::ContactKind::Resolved,
        pb::ContactKind::Reopened,
    ];
    let mut events: Vec<pb::Event> = kinds
        .into_iter()
        .zip(0..)
        .map(|(kind, n)| event(&n.to_string(), "ann", NOW - 86_400 + n * 3_600, contact(kind, "C")))
        .collect();
    events[1].channel = "phone".to_owned();
    events.push(event("x", "bob", NOW, track("search")));
    app.accept(events).await;
    app
}

#[tokio::test]
async fn effort_is_a_sum_of_points_and_needs_no_model() {
    let app = struggling().await;
    let mut request = pb::PredictEffortRequest { customer: user("ann"), ..Default::default() };
    let effort = app.predictions().predict_effort(request.clone()).await.expect("effort").into_inner();
    assert_eq!((effort.status(), effort.basis()), (PredictionStatus::Ok, EffortBasis::BehaviourIndex));
    assert!(effort.effort_index > 0.0 && effort.model.is_none() && effort.predicted_ces == 0.0, "{effort:?}");
    assert!((sum(&effort.contributions) - effort.effort_index).abs() < 1e-9, "{effort:?}");
    assert!(effort.contributions.len() > 2, "{effort:?}");
    assert!(effort.contributions.iter().all(|found| found.feature != "other"), "{effort:?}");

    request.contribution_limit = 1;
    let short = app.predictions().predict_effort(request.clone()).await.expect("effort").into_inner();
    let names: Vec<&str> = short.contributions.iter().map(|found| found.feature.as_str()).collect();
    assert_eq!(names, [effort.contributions[0].feature.as_str(), "other"]);
    assert!((sum(&short.contributions) - effort.effort_index).abs() < 1e-9, "{short:?}");

    request.contribution_limit = -1;
    let refused = app.predictions().predict_effort(request).await.expect_err("negative");
    assert_eq!(reason(&refused), "INVALID_FIELD");
    assert_eq!(fields(&status_of(&refused)), ["contribution_limit"]);
}

#[tokio::test]
async fn where_nothing_is_known_there_is_no_figure() {
    let app = struggling().await;
    let request = pb::PredictEffortRequest { customer: user("bob"), ..Default::default() };
    let effort = app.predictions().predict_effort(request).await.expect("no error").into_inner();
    assert_eq!(effort.status(), PredictionStatus::InsufficientData);
    assert_eq!((effort.basis(), effort.band()), (EffortBasis::Unspecified, Band::Unspecified));
    assert_eq!(effort.effort_index, 0.0);
}

#[tokio::test]
async fn without_models_predict_answers_effort_and_names_the_other_parts() {
    let app = struggling().await;
    let request = pb::PredictRequest { customer: user("ann"), ..Default::default() };
    let all = app.predictions().predict(request).await.expect("an answer").into_inner();
    assert!(all.effort.is_some() && all.segment.is_none() && all.churn.is_none());
    assert!(!all.profile_id.is_empty() && !all.revision.is_empty());
    let missing: Vec<ModelKind> = all.errors.iter().map(|error| error.kind()).collect();
    assert_eq!(missing, [ModelKind::Segments, ModelKind::Churn]);
    for error in all.errors {
        assert_eq!(item_reason(&error.error.expect("why")), "MODEL_NOT_TRAINED");
    }
}

#[tokio::test]
async fn churn_contributions_and_the_baseline_make_the_log_odds() {
    let app = shop().await;
    train(&app, churn_request()).await;
    let mut probabilities = Vec::new();
    for name in ["u0", "u1"] {
        let mut request = pb::PredictChurnRequest { customer: user(name), ..Default::default() };
        let churn = app.predictions().predict_churn(request.clone()).await.expect("churn").into_inner();
        assert_eq!(churn.status(), PredictionStatus::Ok, "{churn:?}");
        assert!((churn.baseline_log_odds + sum(&churn.contributions) - churn.log_odds).abs() < 1e-9, "{churn:?}");
        assert!(churn.probability > 0.0 && churn.probability < 1.0);
        assert_eq!(churn.horizon.map(|horizon| horizon.seconds), Some(60 * 86_400));
        let model = churn.model.as_ref().expect("a model");
        assert!(model.kind() == ModelKind::Churn && !model.model_version.is_empty());

        request.contribution_limit = 2;
        let short = app.predictions().predict_churn(request).await.expect("churn").into_inner();
        assert_eq!((short.contributions.len(), short.contributions[2].feature.as_str()), (3, "other"));
        assert!((sum(&short.contributions) - sum(&churn.contributions)).abs() < 1e-9);
        probabilities.push(churn.probability);
    }
    assert!(probabilities[0] > probabilities[1], "who left is likelier to be lost: {probabilities:?}");
}

#[tokio::test]
async fn a_stream_answers_everyone_once_in_the_order_of_their_ids() {
    let app = shop().await;
    let request = pb::StreamPredictionsRequest { contribution_limit: 99, ..Default::default() };
    let mut messages = app.predictions().stream_predictions(request).await.expect("a stream").into_inner();
    let mut seen = Vec::new();
    while let Some(message) = messages.message().await.expect("a message") {
        assert!(!message.revision.is_empty());
        for result in message.results {
            let Some(Outcome::Prediction(prediction)) = result.result else { panic!("an error") };
            let effort = prediction.effort.expect("effort");
            assert!(effort.contributions.len() <= 11 && prediction.revision.is_empty());
            seen.push(result.profile_id);
        }
    }
    assert_eq!(seen.len(), 300);
    assert!(seen.is_sorted_by(|a, b| a < b));
}

#[tokio::test]
async fn a_stream_of_many_pages_keeps_their_order_and_loses_nobody() {
    const CUSTOMERS: usize = 1_950;
    let app = TestApp::start().await;
    let numbers: Vec<usize> = (0..CUSTOMERS).collect();
    for some in numbers.chunks(975) {
        let seen = |number: &usize| event(&format!("e{number}"), &format!("u{number}"), NOW, track("x"));
        app.accept(some.iter().map(seen).collect()).await;
    }
    for _ in 0..5 {
        let request = pb::StreamPredictionsRequest { kinds: vec![ModelKind::Effort.into()], ..Default::default() };
        let mut messages = app.predictions().stream_predictions(request).await.expect("a stream").into_inner();
        let mut seen = Vec::new();
        while let Some(message) = messages.message().await.expect("a message") {
            assert!(message.results.len() <= 400);
            seen.extend(message.results.into_iter().map(|result| result.profile_id));
        }
        assert_eq!(seen.len(), CUSTOMERS);
        assert!(seen.is_sorted_by(|a, b| a < b));
    }
}

#[tokio::test]
async fn a_stream_of_what_has_no_answer_is_refused() {
    let app = struggling().await;
    let ask = async |segment_id: &str, kinds: &[i32]| {
        let request = pb::StreamPredictionsRequest {
            segment_id: segment_id.to_owned(),
            kinds: kinds.to_vec(),
            ..Default::default()
        };
        reason(&app.predictions().stream_predictions(request).await.expect_err("no answer"))
    };
    assert_eq!(ask("", &[ModelKind::Churn.into()]).await, "MODEL_NOT_TRAINED");
    assert_eq!(ask("", &[ModelKind::Satisfaction.into(), ModelKind::Value.into()]).await, "MODEL_NOT_TRAINED");
    assert_eq!(ask("", &[ModelKind::Churn.into(), 99]).await, "INVALID_FIELD");
    assert_eq!(ask("", &[0]).await, "INVALID_FIELD");
}

#[tokio::test]
async fn segments_have_members_whose_prediction_agrees() {
    let app = shop().await;
    let request = pb::CreateTrainingRunRequest { kind: ModelKind::Segments.into(), ..Default::default() };
    let seen = train(&app, request).await;
    let run = seen.last().expect("a final state");
    assert_eq!(run.state(), pb::TrainingState::Succeeded, "{run:?}");
    let request = pb::ListSegmentsRequest { page_size: 1_000, ..Default::default() };
    let segments = app.segments().list_segments(request).await.expect("segments").into_inner();
    assert!(segments.segments.len() >= 2 && segments.next_page_token.is_empty());
    let shares: f64 = segments.segments.iter().map(|segment| segment.share).sum();
    assert!((shares - 1.0).abs() < 1e-9);

    let first = segments.segments[0].clone();
    let request = pb::GetSegmentRequest { segment_id: first.segment_id.clone(), ..Default::default() };
    let one = app.segments().get_segment(request).await.expect("the segment").into_inner();
    assert_eq!(one.segment, Some(first.clone()));
    let request =
        pb::ListSegmentMembersRequest { segment_id: first.segment_id.clone(), page_size: 7, ..Default::default() };
    let members = app.segments().list_segment_members(request).await.expect("members").into_inner();
    assert_eq!((members.profiles.len(), members.next_page_token.is_empty()), (7, false));
    for member in members.profiles {
        assert_eq!(member.segment_id, first.segment_id);
        let customer =
            Some(pb::CustomerRef { customer: Some(pb::customer_ref::Customer::ProfileId(member.profile_id)) });
        let request = pb::PredictSegmentRequest { customer, ..Default::default() };
        let predicted = app.predictions().predict_segment(request).await.expect("a segment").into_inner();
        assert_eq!(predicted.segment_id, first.segment_id);
        assert!(predicted.outlier.is_some(), "a model of this release knows");
        let affinities: f64 = predicted.affinities.iter().map(|near| near.affinity).sum();
        assert!((affinities - 1.0).abs() < 1e-9);
    }
}

#[tokio::test]
async fn a_batch_lists_few_contributions_and_a_named_rest() {
    let app = struggling().await;
    let customers = [user("ann"), user("nobody")].into_iter().flatten().collect();
    let request = pb::BatchPredictRequest { customers, contribution_limit: 1, ..Default::default() };
    let batch = app.predictions().batch_predict(request).await.expect("a batch").into_inner();
    let Some(Outcome::Prediction(prediction)) = &batch.results[0].result else { panic!("{batch:?}") };
    let effort = prediction.effort.as_ref().expect("effort");
    assert_eq!(effort.contributions.len(), 2);
    assert!((sum(&effort.contributions) - effort.effort_index).abs() < 1e-9);
    assert_eq!(
        (batch.results[0].profile_id.as_str(), prediction.revision.as_str()),
        (prediction.profile_id.as_str(), "")
    );
    let Some(Outcome::Error(error)) = &batch.results[1].result else { panic!("{batch:?}") };
    assert_eq!((item_reason(error).as_str(), batch.results[1].profile_id.as_str()), ("CUSTOMER_NOT_FOUND", ""));
}
