//! Training of churn from a label and traits, for data whose events do not say who left.

use pb::{ModelKind, PredictionStatus, TrainingState};
use prost_types::Value;
use prost_types::value::Kind;
use rapport::rpc::pb;
use tonic::Code;

use crate::support::{NOW, TestApp, data, event, fields, list, number, purchase, status_of, text};
use crate::training::train;

const DAY: i64 = 86_400;

fn flag(flag: bool) -> Value {
    Value { kind: Some(Kind::BoolValue(flag)) }
}

fn identify<const N: usize>(traits: [(&str, Value); N]) -> pb::event::Payload {
    pb::event::Payload::Identify(pb::Identify { traits: data(traits), ..Default::default() })
}

/// 600 customers of whom those with a trial mostly left, two by two of the same household; three state no label.
async fn members() -> TestApp {
    let app = TestApp::start().await;
    let member = |number_of: i64| {
        let is_trial = number_of / 2 % 2 == 0;
        let left = (number_of / 4 % 5 != 0) == is_trial;
        let mut traits = vec![
            ("plan", text(if is_trial { "trial" } else { "yearly" })),
            ("seats", if number_of % 9 == 0 { text("many") } else { number((number_of % 6) as f64) }),
            ("household", text(&format!("h{}", number_of / 2))),
            ("left_because", text(if left { "price" } else { "none" })),
        ];
        if number_of > 2 {
            traits.push(("left", flag(left)));
        }
        let traits = prost_types::Struct { fields: traits.into_iter().map(|(key, v)| (key.to_owned(), v)).collect() };
        let payload = pb::event::Payload::Identify(pb::Identify { traits: Some(traits), ..Default::default() });
        event(&format!("m{number_of}"), &format!("u{number_of}"), NOW - DAY, payload)
    };
    app.accept((0..600).map(member).collect()).await;
    app
}

fn request<const N: usize>(parameters: [(&str, Value); N]) -> pb::CreateTrainingRunRequest {
    pb::CreateTrainingRunRequest { kind: ModelKind::Churn.into(), parameters: data(parameters), ..Default::default() }
}

fn figure(card: &prost_types::Struct, key: &str) -> f64 {
    let Some(Kind::StructValue(interval)) = card.fields[key].kind.as_ref() else { panic!("{key} has no interval") };
    match interval.fields["value"].kind {
        Some(Kind::NumberValue(value)) => value,
        _ => panic!("{key} has no value"),
    }
}

#[tokio::test]
async fn a_label_is_learned_from_traits_and_a_trait_is_a_reason() {
    let app = members().await;
    let labelled = request([
        ("label", text("left")),
        ("folds", number(4.0)),
        ("group_by", text("household")),
        ("exclude_traits", list(vec![text("left_because")])),
        ("seed", number(3.0)),
    ]);
    let run = train(&app, labelled).await.pop().expect("a final state");
    assert_eq!((run.state(), run.promoted), (TrainingState::Succeeded, true), "{run:?}");
    let metrics = run.metrics.expect("metrics");
    assert_eq!(figure(&metrics, "rows"), 597.0, "who states no label is no example");
    // A model that saw the reason would be sure.
    assert!((0.7..0.95).contains(&figure(&metrics, "auc")), "{metrics:?}");

    let stranger = identify([("plan", text("trial")), ("seats", number(2.0))]);
    app.accept(vec![event("new", "stranger", NOW - DAY, stranger), event("b", "nobody", NOW, purchase(1.0))]).await;
    let predict = async |user: &str| {
        let identifier = pb::Identifier { r#type: "user_id".to_owned(), value: user.to_owned() };
        let customer = pb::CustomerRef { customer: Some(pb::customer_ref::Customer::Identifier(identifier)) };
        let request = pb::PredictChurnRequest { customer: Some(customer), ..Default::default() };
        app.predictions().predict_churn(request).await.expect("churn").into_inner()
    };
    let answer = predict("stranger").await;
    assert_eq!((answer.status(), answer.probability > 0.6), (PredictionStatus::Ok, true), "{answer:?}");
    let reason = &answer.contributions[0];
    assert_eq!([&reason.feature, &reason.display_name, &reason.value], ["trait.plan", "plan", "trial"]);
    let sum: f64 = answer.contributions.iter().map(|reason| reason.contribution).sum();
    assert!((answer.baseline_log_odds + sum - answer.log_odds).abs() < 1e-9);
    assert!(
        answer.contributions.iter().all(|reason| !reason.feature.contains("left") && !reason.feature.contains("house"))
    );
    let unknown = predict("nobody").await;
    let plan = unknown.contributions.iter().find(|reason| reason.feature == "trait.plan");
    assert!(plan.is_none_or(|reason| reason.value == "unknown") && unknown.probability < answer.probability);
}

#[tokio::test]
async fn a_model_that_is_only_to_be_looked_at_answers_nothing() {
    let app = members().await;
    let kept_aside = request([("label", text("left")), ("promote", flag(false))]);
    let run = train(&app, kept_aside).await.pop().expect("a final state");
    assert_eq!((run.state(), run.promoted), (TrainingState::Succeeded, false));
    assert!(run.promotion_note.starts_with("kept aside, as the run was asked to; otherwise promoted"), "{run:?}");
    let request = pb::GetModelRequest { model_version: run.model_version, ..Default::default() };
    let model = app.training().get_model(request).await.expect("the model").into_inner().model.expect("the model");
    assert!(!model.active && model.card.is_some_and(|card| card.fields.contains_key("candidates")));
}

#[tokio::test]
async fn a_label_that_nobody_states_is_too_little_data_and_faulty_parameters_are_named() {
    let app = members().await;
    let run = train(&app, request([("label", text("nobody has it"))])).await.pop().expect("a final state");
    assert_eq!(run.state(), TrainingState::Failed);
    assert!(!run.error.expect("why").message.contains("nobody has it"));

    let faulty = request([
        ("label", text("")),
        ("folds", number(1.0)),
        ("group_by", number(1.0)),
        ("exclude_traits", text("a")),
        ("promote", text("no")),
    ]);
    let refused = app.training().create_training_run(faulty).await.expect_err("faulty");
    let keys = ["exclude_traits", "folds", "group_by", "label", "promote"].map(|key| format!("parameters.{key}"));
    assert_eq!((refused.code(), fields(&status_of(&refused))), (Code::InvalidArgument, keys.to_vec()));
}
