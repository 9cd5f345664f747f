use std::ops::ControlFlow;

use super::*;
use crate::domain::settings::ChurnDefinition;
use crate::domain::time::days;
use crate::domain::value::Value;
use crate::models::artifact::{self, Model};
use crate::models::customer_key::CustomerKey;
use crate::models::examples::ChurnParameters;
use crate::models::fixture::{Customer, census, contact, day, examples, profiles, purchase, shop, state};

fn shop_examples(customers: &[Customer], horizon: u64) -> ChurnExamples {
    let parameters = ChurnParameters { horizon: Some(days(horizon)), seed: 5, ..Default::default() };
    let plan = ChurnPlan::new(&ChurnDefinition::default(), &parameters, &census(customers)).expect("long enough");
    examples(plan, customers)
}

fn trained(horizon: u64) -> TrainedChurn {
    train(&shop_examples(&shop(700, 1), horizon), None, &()).expect("enough data")
}

fn figure(metrics: &Map, name: &str) -> f64 {
    let Some(Value::Map(interval)) = metrics.get(name) else { panic!("no {name}") };
    let number = |key: &str| match interval.get(key) {
        Some(Value::Number(number)) => *number,
        other => panic!("{name} has {other:?} as its {key}"),
    };
    assert!(number("low") <= number("value") && number("value") <= number("high"), "{name}");
    number("value")
}

#[test]
fn a_shop_can_be_learned_and_the_card_says_how_well() {
    let trained = trained(60);
    assert!(trained.promote, "{:?}", trained.card["gate"]);
    let auc = figure(&trained.metrics, "auc");
    assert!(auc > 0.75 && auc >= figure(&trained.metrics, "recency_baseline_auc"), "{auc}");
    assert!(figure(&trained.metrics, "ece") < 0.1);
    for name in ["pr_auc", "brier", "lift_top_decile", "log_loss", "base_rate", "rows"] {
        assert!(figure(&trained.card, name) > 0.0);
    }
    let Value::List(cutoffs) = &trained.card["training_cutoff_times"] else { panic!("no cut-offs") };
    assert!(cutoffs.len() > 1);
}

#[test]
fn reasons_sum_to_the_score() {
    let model = trained(60).model;
    for (_, timeline) in shop(50, 9) {
        let answer = model.predict(&state(&timeline), day(400.0));
        let sum: f64 = answer.contributions.iter().map(|contribution| contribution.contribution).sum();
        assert!((answer.baseline_log_odds + sum - answer.log_odds).abs() < 1e-9);
        assert!(answer.probability > 0.0 && answer.probability < 1.0);
    }
}

#[test]
fn serving_scores_a_customer_as_training_did() {
    let customers = shop(700, 1);
    let examples = shop_examples(&customers, 60);
    let model = train(&examples, None, &()).expect("enough data").model;
    let cutoff = examples.plan.test;
    let scored: std::collections::BTreeMap<u64, f64> = examples
        .rows
        .iter()
        .filter(|row| row.is_test)
        .map(|row| (row.customer, model.probability(&row.values)))
        .collect();
    for (id, timeline) in customers {
        let known: Vec<_> = timeline.into_iter().filter(|event| event.times.event <= cutoff).collect();
        let answer = model.predict(&state(&known), cutoff);
        let expected = scored.get(&CustomerKey::from(id).seeded(examples.plan.seed));
        assert_eq!(expected, (answer.status == PredictionStatus::Ok).then_some(&answer.probability));
    }
}

#[test]
fn the_risk_grows_while_nothing_happens() {
    let model = trained(60).model;
    let timeline: Vec<_> = (0..10).map(|order| purchase(f64::from(order) * 10.0, 20.0)).collect();
    let at = |now| model.predict(&state(&timeline), day(now));
    assert!(at(200.0).probability > at(92.0).probability);
    assert_eq!(at(92.0).band, Band::Low);
}

#[test]
fn a_customer_of_whom_nothing_that_counts_is_known_gets_no_number() {
    let model = trained(60).model;
    let asked = state(&[contact(1.0, "chat", crate::domain::payload::ContactKind::Opened)]);
    for state in [State::default(), asked] {
        let answer = model.predict(&state, day(2.0));
        assert_eq!(answer.status, PredictionStatus::InsufficientData);
        assert!(answer.contributions.is_empty());
    }
}

#[test]
fn the_same_data_and_seed_make_the_same_bytes_in_any_order() {
    let mut customers = shop(700, 1);
    let bytes = |customers: &[Customer]| {
        let trained = train(&shop_examples(customers, 60), None, &()).expect("enough data");
        (artifact::encode(&Model::Churn(trained.model)), trained.card)
    };
    let first = bytes(&customers);
    customers.reverse();
    assert_eq!(first, bytes(&customers));
}

#[test]
fn a_server_that_drew_other_profile_ids_learns_the_same_model_with_the_same_card() {
    let customers = shop(3_000, 1);
    let parameters =
        ChurnParameters { cutoff_times: vec![day(250.0)], horizon: Some(days(60)), seed: 5, ..Default::default() };
    let plan = ChurnPlan::new(&ChurnDefinition::default(), &parameters, &census(&customers)).expect("long enough");
    assert!(plan.has_single_cutoff(), "so that the test customers are chosen");
    let learn = |first_id| {
        let mut examples = ChurnExamples::new(plan.clone());
        for (profile, timeline) in profiles(&customers, first_id) {
            examples.add(&profile, timeline);
        }
        let trained = train(&examples, None, &()).expect("enough data");
        (artifact::encode(&Model::Churn(trained.model)), trained.card)
    };
    assert_eq!(learn(1), learn(1 << 64 | 5_000));
}

#[test]
fn too_few_customers_are_said_with_their_number() {
    let Err(Error::NotEnoughData(message)) = train(&shop_examples(&shop(40, 1), 60), None, &()) else {
        panic!("learned from 40 customers")
    };
    assert!(message.starts_with("training needs 100 examples"), "{message}");
}

#[test]
fn training_stops_when_it_is_asked_to() {
    struct Impatient;
    impl Progress for Impatient {
        fn report(&self, done: f64) -> ControlFlow<()> {
            if done > 0.3 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        }
    }
    assert_eq!(train(&shop_examples(&shop(700, 1), 60), None, &Impatient), Err(Error::Cancelled));
}

#[test]
fn a_previous_model_is_compared_when_it_means_the_same() {
    let customers = shop(700, 1);
    let before = trained(60).model;
    let again = train(&shop_examples(&customers, 60), Some(&before), &()).expect("enough data");
    assert!(again.promote && matches!(again.card["previous_model"], Value::Map(_)));
    let other = train(&shop_examples(&customers, 45), Some(&before), &()).expect("enough data");
    assert!(other.promote && matches!(other.card["previous_model"], Value::Text(_)));
}

#[test]
fn folds_score_everybody_once() {
    let customers = shop(700, 1);
    let parameters =
        ChurnParameters { cutoff_times: vec![day(250.0)], horizon: Some(days(60)), seed: 5, ..Default::default() };
    let plan = ChurnPlan::new(&ChurnDefinition::default(), &parameters, &census(&customers)).expect("long enough");
    let examples = examples(plan, &customers);
    let (scores, recency) = cross_validate(&examples, 5, &()).expect("enough data");
    assert_eq!((scores.len(), recency.len()), (examples.rows.len(), examples.rows.len()));
    assert!(crate::models::evaluation::auc(&scores) > 0.7);
}
