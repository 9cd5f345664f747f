use std::ops::ControlFlow;

use rand::Rng;

use super::contest::Entry;
use super::*;
use crate::domain::event::Event;
use crate::domain::prediction::PredictionStatus;
use crate::domain::settings::ChurnDefinition;
use crate::domain::time::days;
use crate::domain::value::Value;
use crate::models::artifact::{self, ArtifactError, Model};
use crate::models::customer_key::CustomerKey;
use crate::models::examples::{Census, ChurnParameters, ChurnPlan};
use crate::models::features::{FEATURES, position};
use crate::models::fixture::{
    Customer, census, contact, day, examples, id, identify, profiles, purchase, shop, state, text,
};
use crate::models::plan::Split;
use crate::models::sampling::{Purpose, generator, mix};
use crate::models::tests::held::held;

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
        let answer = model.predict(&state(&timeline), day(400.0), usize::MAX);
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
    let test: Vec<&Example> = examples.rows.iter().filter(|row| row.is_test).collect();
    let scores = model.scores(&examples, &test).scores;
    let scored: std::collections::BTreeMap<u64, f64> = test.iter().map(|row| row.customer).zip(scores).collect();
    for (id, timeline) in customers {
        let known: Vec<_> = timeline.into_iter().filter(|event| event.times.event <= cutoff).collect();
        let answer = model.predict(&state(&known), cutoff, usize::MAX);
        let expected = scored.get(&CustomerKey::from(id).seeded(examples.plan.seed));
        assert_eq!(expected, (answer.status == PredictionStatus::Ok).then_some(&answer.probability));
    }
}

#[test]
fn the_risk_grows_while_nothing_happens() {
    let model = trained(60).model;
    let timeline: Vec<_> = (0..10).map(|order| purchase(f64::from(order) * 10.0, 20.0)).collect();
    let at = |now| model.predict(&state(&timeline), day(now), usize::MAX);
    assert!(at(200.0).probability > at(92.0).probability);
    assert_eq!(at(92.0).band, Band::Low);
}

#[test]
fn a_customer_of_whom_nothing_that_counts_is_known_gets_no_number() {
    let model = trained(60).model;
    let asked = state(&[contact(1.0, "chat", crate::domain::payload::ContactKind::Opened)]);
    for state in [State::default(), asked] {
        let answer = model.predict(&state, day(2.0), usize::MAX);
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
    assert_eq!(plan.split, Split::Fifth, "so that the test customers are chosen");
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
fn folds_judge_by_everybody_once_and_the_model_learns_from_all() {
    let customers = shop(700, 1);
    let parameters = ChurnParameters {
        cutoff_times: vec![day(250.0)],
        horizon: Some(days(60)),
        seed: 5,
        folds: Some(5),
        ..Default::default()
    };
    let plan = ChurnPlan::new(&ChurnDefinition::default(), &parameters, &census(&customers)).expect("long enough");
    let examples = examples(plan, &customers);
    let contest = Contest::hold(&examples, &()).expect("enough data");
    let mut judges: Vec<u64> = contest.test.iter().map(|row| row.customer).collect();
    judges.sort_unstable();
    judges.dedup();
    assert_eq!((judges.len(), contest.test.len()), (examples.rows.len(), examples.rows.len()));
    let names: Vec<&str> = contest.entries.iter().map(|entry| entry.model.kind()).collect();
    assert_eq!(names, ["logistic_regression", "boosted_trees", "bg_nbd"]);
    let trained = train(&examples, None, &()).expect("enough data");
    let rows = examples.rows.len() as f64;
    assert_eq!((figure(&trained.metrics, "rows"), &trained.card["training_rows"]), (rows, &Value::Number(rows)));
    assert!(figure(&trained.metrics, "auc") > 0.7 && trained.promote);
    // The same customers again: the model before has seen them all, and its answers about them prove nothing.
    let again = train(&examples, Some(&trained.model), &()).expect("enough data");
    assert!(again.promote && text(&again.card, "gate").contains("by folds"), "{}", text(&again.card, "gate"));
}

/// A static set: a plan, a monthly fee that some do not state, and whether they left. Customers of a household, two by
/// two, do the same.
fn static_set(customers: u64) -> ChurnExamples {
    let census = Census { customers, first_time: Some(day(0.0)), last_time: Some(day(1.0)), has_purchases: false };
    let [label, group_by] = ["left", "household"].map(|key| Some(key.to_owned()));
    let parameters = ChurnParameters { label, group_by, seed: 3, ..Default::default() };
    let plan = ChurnPlan::new(&ChurnDefinition::default(), &parameters, &census).expect("a label needs no history");
    let mut examples = ChurnExamples::new(plan);
    for number in 0..customers {
        let mut random = generator(17, Purpose::Rows, number / 2);
        let plan = random.gen_range(0..4usize);
        let fee = 5.0 + 95.0 * random.r#gen::<f64>();
        let left = random.r#gen_bool([0.1, 0.3, 0.5, 0.8][plan]);
        let mut stated = vec![
            ("left", Value::Bool(left)),
            ("household", Value::Number((number / 2) as f64)),
            ("plan", Value::Text(["basic", "plus", "pro", "trial"][plan].to_owned())),
            ("note", Value::Text(format!("called about {number}"))),
        ];
        if number / 2 % 3 > 0 {
            stated.push(("fee", Value::Number(fee)));
        }
        let at = 1.0 - number as f64 / customers as f64;
        examples.add(id(u128::from(number) + 1), &[identify(at, &stated)]);
    }
    examples
}

#[test]
fn a_label_and_traits_make_a_model_whose_reasons_are_the_traits() {
    let examples = static_set(2_000);
    let trained = train(&examples, None, &()).expect("enough data");
    assert!(figure(&trained.metrics, "auc") > 0.72 && figure(&trained.metrics, "ece") < 0.06);
    let Value::Map(left_out) = &trained.card["traits_left_out"] else { panic!("nothing is said of the traits") };
    assert_eq!(left_out["excluded"], Value::Number(2.0), "the label and the household");
    let customer = |plan: &str| {
        let stated = [("plan", Value::Text(plan.to_owned())), ("fee", Value::Number(20.0))];
        trained.model.predict(&state(&[identify(1.0, &stated)]), day(1.5), usize::MAX)
    };
    let answer = customer("trial");
    let reason = answer.contributions.first().expect("reasons");
    assert_eq!(
        (reason.feature.as_str(), reason.display_name.as_str(), reason.value.to_string().as_str()),
        ("trait.plan", "plan", "trial")
    );
    assert!(reason.contribution > 0.5 && answer.probability > 0.6 && customer("basic").probability < 0.3);
    let times = answer.contributions.iter().filter(|reason| reason.feature == "trait.plan").count();
    assert_eq!(times, 1, "one reason for each trait");
    let other = customer("never heard of");
    let said = other.contributions.iter().find(|reason| reason.feature == "trait.plan").expect("a reason");
    assert_eq!(said.value.to_string(), "other");
    let model = Model::Churn(trained.model.clone());
    let bytes = artifact::encode(&model);
    assert_eq!(artifact::decode(&bytes), Ok(model));
    for text in ["called about", "household"] {
        assert!(!bytes.windows(text.len()).any(|window| window == text.as_bytes()), "{text} is in the model");
    }
}

#[test]
fn trees_tell_by_traits_too_and_give_one_reason_for_each() {
    let examples = static_set(2_000);
    let rows: Vec<&Example> = examples.sorted();
    let models = candidates::fit(&examples, &rows, &()).expect("enough data");
    let trees = models.iter().find(|model| model.kind() == "boosted_trees").expect("a challenger");
    let stated = [("plan", Value::Text("trial".to_owned()))];
    let answer = trees.predict(&state(&[identify(1.0, &stated)]), day(1.5), usize::MAX);
    let names: Vec<&str> = answer.contributions.iter().map(|reason| reason.feature.as_str()).collect();
    assert_eq!(names.iter().filter(|name| **name == "trait.plan").count(), 1, "{names:?}");
    let sum: f64 = answer.contributions.iter().map(|reason| reason.contribution).sum();
    assert!((answer.baseline_log_odds + sum - answer.log_odds).abs() < 1e-9 && answer.probability > 0.6);
    assert_eq!(models.len(), 2, "a label has no rhythm");
}

#[test]
fn no_strange_trait_is_a_fault_of_the_training() {
    let mut examples = static_set(600);
    let strange = |number: u64| {
        vec![
            (
                "mixed".to_owned(),
                if number.is_multiple_of(2) { Value::Number(1.0) } else { Value::Text("one".to_owned()) },
            ),
            ("many".to_owned(), Value::Text(format!("{number}"))),
            ("constant".to_owned(), Value::Number(7.0)),
            ("huge".to_owned(), Value::Number(f64::MAX / (1.0 + number as f64))),
            ("nothing".to_owned(), Value::Number(f64::NAN)),
            ("list".to_owned(), Value::List(vec![Value::Bool(true)])),
            ("nested".to_owned(), Value::Map([("a".to_owned(), Value::Number(1.0))].into())),
            ("prose".to_owned(), Value::Text("word ".repeat(number as usize % 50))),
        ]
    };
    for number in 0..600 {
        let stated = strange(number);
        let left = ("left", Value::Bool(number % 3 == 0));
        let stated: Vec<(&str, Value)> =
            stated.iter().map(|(key, value)| (key.as_str(), value.clone())).chain([left]).collect();
        examples.add(id(10_000 + u128::from(number)), &[identify(1.0, &stated)]);
    }
    let model = train(&examples, None, &()).expect("enough data").model;
    for number in 0..50 {
        let stated = strange(number);
        let stated: Vec<(&str, Value)> = stated.iter().map(|(key, value)| (key.as_str(), value.clone())).collect();
        let answer = model.predict(&state(&[identify(1.0, &stated)]), day(1.5), usize::MAX);
        assert!(answer.probability > 0.0 && answer.probability < 1.0 && answer.log_odds.is_finite());
        assert!(answer.contributions.iter().all(|reason| reason.contribution.is_finite()));
    }
}

/// Customers of whom two features are known. By one rule the first of them decides, by the other the two mean nothing
/// one by one: those tend to leave of whom exactly one is high.
fn invented(log_odds: fn(f64, f64) -> f64) -> ChurnExamples {
    let plan = shop_examples(&shop(50, 1), 60).plan;
    let [money, value] = ["net_revenue", "order_value"].map(|name| position(name).expect("a feature"));
    let mut examples = ChurnExamples::new(plan);
    for number in 0..4_000 {
        let mut random = generator(11, Purpose::Rows, number);
        let [a, b]: [f64; 2] = random.r#gen();
        let mut values = [None; FEATURES.len()];
        (values[money], values[value]) = (Some(1_000.0 * a), Some(100.0 * b));
        let left = random.r#gen_bool(1.0 / (1.0 + (-log_odds(a, b)).exp()));
        let customer = mix(number);
        let is_test = number % 4 == 0;
        let stated = Vec::new();
        examples.rows.push(Example { customer, group: customer, is_test, left, recency_days: 1.0, values, stated });
    }
    examples
}

fn linear(a: f64, _: f64) -> f64 {
    4.0 * (1_000.0 * a).ln_1p() - 24.0
}

fn exclusive_or(a: f64, b: f64) -> f64 {
    if (a > 0.5) == (b > 0.5) { -1.5 } else { 1.5 }
}

#[test]
fn trees_take_over_where_they_are_better_beyond_chance_and_the_card_says_why() {
    let trained = train(&invented(exclusive_or), None, &()).expect("enough data");
    assert_eq!(text(&trained.card, "model"), "boosted_trees");
    assert!(trained.promote && text(&trained.card, "selection").starts_with("boosted_trees: its log loss is smaller"));
    let Value::List(candidates) = &trained.card["candidates"] else { panic!("no candidates") };
    assert_eq!(candidates.len(), 2, "nobody in the data has a rhythm");
    let model = Model::Churn(trained.model.clone());
    assert_eq!(artifact::decode(&artifact::encode(&model)), Ok(model));
    // Another linear model would be significantly worse than the trees that answer now.
    let other = train(&invented(linear), None, &()).expect("enough data").model;
    let examples = invented(exclusive_or);
    let test: Vec<&Example> = examples.sorted().into_iter().filter(|row| row.is_test).collect();
    let entry = Entry { scores: other.scores(&examples, &test), model: other };
    let judged = gate::judge(&examples, Contest { entries: vec![entry], test }, Some(&trained.model));
    assert!(!judged.promote);
}

#[test]
fn the_transparent_model_stays_where_nothing_is_better_beyond_chance() {
    let trained = train(&invented(linear), None, &()).expect("enough data");
    assert_eq!(text(&trained.card, "model"), "logistic_regression");
    let selection = text(&trained.card, "selection");
    assert!(selection.starts_with("logistic_regression: no challenger (boosted_trees)"), "{selection}");
}

#[test]
fn every_kind_of_model_gives_reasons_that_sum_and_survives_its_bytes() {
    let examples = shop_examples(&shop(700, 1), 60);
    let training: Vec<&Example> = examples.sorted().into_iter().filter(|row| !row.is_test).collect();
    let models = candidates::fit(&examples, &training, &()).expect("enough data");
    let names: Vec<&str> = models.iter().map(ChurnModel::kind).collect();
    assert_eq!(names, ["logistic_regression", "boosted_trees", "bg_nbd"]);
    for model in models {
        let bytes = artifact::encode(&Model::Churn(model.clone()));
        assert_eq!(artifact::decode(&bytes), Ok(Model::Churn(model.clone())));
        held(model.kind(), &Model::Churn(model.clone()), |model| {
            let Model::Churn(model) = model else { return String::new() };
            let answer = |(_, timeline): (_, Vec<Event>)| {
                let answer = model.predict(&state(&timeline), day(300.0), usize::MAX);
                format!("{:.9} {:.9}\n", answer.probability, answer.log_odds)
            };
            shop(9, 5).into_iter().map(answer).collect()
        });
        assert!(crate::models::evaluation::auc(&model.scores(&examples, &training)) > 0.75, "{model:?}");
        for (_, timeline) in shop(20, 9) {
            let answer = model.predict(&state(&timeline), day(400.0), usize::MAX);
            let sum: f64 = answer.contributions.iter().map(|contribution| contribution.contribution).sum();
            assert!((answer.baseline_log_odds + sum - answer.log_odds).abs() < 1e-9);
            assert!(answer.contributions.iter().all(|reason| !reason.value.to_string().is_empty()) && sum != 0.0);
        }
    }
}

#[test]
fn a_damaged_scorer_is_not_served() {
    let examples = shop_examples(&shop(700, 1), 60);
    let training: Vec<&Example> = examples.sorted().into_iter().filter(|row| !row.is_test).collect();
    for mut model in candidates::fit(&examples, &training, &()).expect("enough data") {
        assert!(model.resolve());
        model.base_rate = f64::NAN;
        assert_eq!(artifact::decode(&artifact::encode(&Model::Churn(model))), Err(ArtifactError::Unservable));
    }
}

#[test]
fn a_card_has_the_curves_the_reasons_and_the_customers_of_its_test() {
    let trained = trained(60);
    let list = |key: &str| match &trained.card[key] {
        Value::List(list) => list.clone(),
        other => panic!("{key} is {other:?}"),
    };
    let number = |entry: &Value, key: &str| match entry {
        Value::Map(map) => match map[key] {
            Value::Number(number) => number,
            ref other => panic!("{key} is {other:?}"),
        },
        other => panic!("{other:?}"),
    };
    let gain = list("gain");
    assert_eq!((gain.len(), number(&gain[19], "captured"), number(&gain[19], "lift")), (20, 1.0, 1.0));
    assert!(gain.windows(2).all(|pair| number(&pair[0], "captured") <= number(&pair[1], "captured")));
    assert!((number(&gain[1], "lift") - figure(&trained.metrics, "lift_top_decile")).abs() < 1e-12);
    let reasons = list("contributions");
    assert!(!reasons.is_empty() && reasons.len() <= 20);
    assert!(reasons.iter().all(|reason| number(reason, "direction").abs() <= 1.0 + 1e-9));
    assert!(number(&reasons[0], "mean_absolute") >= number(&reasons[reasons.len() - 1], "mean_absolute"));
    assert!(list("population").len() >= reasons.len());
}

#[test]
fn customers_of_another_day_are_held_against_those_of_the_test() {
    let (customers, trained) = (shop(700, 1), trained(60));
    let look = |now: f64| {
        let mut today = ChurnToday::new(&trained.model, &trained.card).expect("the card tells of its customers");
        customers.iter().for_each(|(_, timeline)| today.add(&state(timeline), day(now)));
        let report = today.describe();
        (report["level"].clone(), report["mean_probability"].clone())
    };
    // Two years later nobody has bought for a long time, and all are expected to stay away.
    let (level, Value::Number(probability)) = look(1_100.0) else { panic!("no probability") };
    assert!(level == Value::Text("large".to_owned()) && probability > 0.8, "{level:?} {probability}");
    let examples = shop_examples(&customers, 60);
    assert_eq!(
        trained.model.drift_to(&examples, &trained.card).expect("told")["level"],
        Value::Text("small".to_owned())
    );
}

#[test]
fn what_a_model_said_is_held_against_what_came_of_it() {
    let (customers, trained) = (shop(1_500, 3), trained(60));
    let outcomes = |time: f64| {
        let mut rows = ChurnExamples::new(trained.model.outcomes_as_of(day(time)));
        customers.iter().for_each(|(id, timeline)| rows.add(*id, timeline));
        trained.model.outcomes(&rows)
    };
    let measured = outcomes(300.0);
    assert_eq!(measured["status"], Value::Text("measured".to_owned()));
    let (auc, rows) = (figure(&measured, "auc"), figure(&measured, "rows"));
    let [Value::Number(predicted), Value::Number(left)] = ["predicted_rate", "left"].map(|key| measured[key].clone())
    else {
        panic!("no rates: {measured:?}")
    };
    assert!(auc > 0.7 && (predicted - left / rows).abs() < 0.1, "{auc} {predicted} {left} of {rows}");
    assert_eq!(figure(&measured, "base_rate"), left / rows);
    let Value::Map(observed) = &measured["observed_rate"] else { panic!("no observed rate") };
    assert_eq!(observed["value"], Value::Number(left / rows));
    // Behind the end of all events everybody has left, of which nothing can be learned.
    assert_eq!(outcomes(500.0)["status"], Value::Text("not_enough_data".to_owned()));
}
