//! What customers will buy, and what that is worth.

use pb::{ModelKind, PredictionStatus, TrainingState};
use prost_types::{Duration, Timestamp};
use rapport::rpc::pb;
use tonic::Code;

use crate::support::{NOW, TestApp, data, event, fields, number, reason, status_of, track, user};
use crate::training::{shop, train};

const DAY: i64 = 86_400;

async fn learn(app: &TestApp) -> pb::TrainingRun {
    let parameters = data([("horizon_days", number(60.0)), ("seed", number(7.0))]);
    let request = pb::CreateTrainingRunRequest { kind: ModelKind::Value.into(), parameters, ..Default::default() };
    train(app, request).await.pop().expect("a final state")
}

async fn value(app: &TestApp, request: pb::PredictValueRequest) -> pb::PredictValueResponse {
    app.predictions().predict_value(request).await.expect("value").into_inner()
}

fn about(name: &str) -> pb::PredictValueRequest {
    pb::PredictValueRequest { customer: user(name), ..Default::default() }
}

fn days(count: i64) -> Option<Duration> {
    Some(Duration { seconds: count * DAY, nanos: 0 })
}

#[tokio::test]
async fn whoever_still_buys_is_worth_more_than_whoever_left() {
    let app = shop().await;
    let refused = app.predictions().predict_value(about("u1")).await.expect_err("no model");
    assert_eq!((refused.code(), reason(&refused).as_str()), (Code::FailedPrecondition, "MODEL_NOT_TRAINED"));
    let run = learn(&app).await;
    assert_eq!((run.state(), run.promoted), (TrainingState::Succeeded, true), "{run:?}");
    let metrics = &run.metrics.as_ref().expect("figures").fields;
    for key in ["auc", "recency_baseline_auc", "mae", "purchases_ratio", "revenue_ratio", "rows"] {
        assert!(metrics.contains_key(key), "{key}");
    }
    let (stays, left) = (value(&app, about("u1")).await, value(&app, about("u0")).await);
    for answer in [&stays, &left] {
        assert_eq!((answer.status(), answer.horizon), (PredictionStatus::Ok, days(60)));
        assert!((0.0..=1.0).contains(&answer.probability_alive) && answer.expected_purchases >= 0.0);
        assert_eq!((answer.currency.as_str(), answer.lifetime_horizon), ("EUR", days(1_095)));
        assert!(answer.annual_discount_rate == 0.1 && answer.lifetime_value >= 0.0);
        assert!((9.9..=17.0).contains(&answer.expected_order_value), "{answer:?}");
        assert_eq!(answer.model.as_ref().expect("a model").model_version, run.model_version);
    }
    assert!(stays.probability_alive > 0.8 && left.probability_alive < 0.2, "{stays:?} {left:?}");
    assert!(stays.lifetime_value > 5.0 * left.lifetime_value, "{stays:?} {left:?}");

    // When this one was still there, it looked as good.
    let as_of_time = Some(Timestamp { seconds: NOW - 300 * DAY, nanos: 0 });
    let before = value(&app, pb::PredictValueRequest { as_of_time, ..about("u0") }).await;
    assert!(before.probability_alive > 0.8, "{before:?}");
}

#[tokio::test]
async fn the_horizon_may_be_named_and_must_be_one() {
    let app = shop().await;
    learn(&app).await;
    let near = value(&app, about("u1")).await;
    let far = value(&app, pb::PredictValueRequest { horizon: days(120), ..about("u1") }).await;
    assert!(far.expected_purchases > 1.5 * near.expected_purchases && far.horizon == days(120));
    assert_eq!(far.lifetime_value, near.lifetime_value);
    for horizon in [days(0), days(731), days(-3), Some(Duration { seconds: DAY + 1, nanos: 0 })] {
        let request = pb::PredictValueRequest { horizon, ..about("u1") };
        let refused = app.predictions().predict_value(request).await.expect_err("no horizon");
        assert_eq!(reason(&refused), "INVALID_FIELD");
        assert_eq!(fields(&status_of(&refused)), ["horizon"]);
    }
}

#[tokio::test]
async fn predict_tells_the_value_too_and_whoever_never_bought_has_none() {
    let app = shop().await;
    app.accept(vec![event("x", "looker", NOW, track("look"))]).await;
    learn(&app).await;
    let alone = value(&app, about("u1")).await;
    let request = pb::PredictRequest { customer: user("u1"), ..Default::default() };
    let all = app.predictions().predict(request).await.expect("an answer").into_inner();
    let part = all.value.expect("a model answers");
    assert_eq!((part.lifetime_value, part.expected_purchases), (alone.lifetime_value, alone.expected_purchases));
    let looker = value(&app, about("looker")).await;
    assert_eq!(looker.status(), PredictionStatus::InsufficientData);
    assert_eq!((looker.expected_purchases, looker.lifetime_value, looker.currency.as_str()), (0.0, 0.0, ""));
}
