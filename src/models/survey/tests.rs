use rand::Rng;

use super::*;
use crate::domain::history::Whole;
use crate::domain::payload::ContactKind;
use crate::domain::value::Value;
use crate::models::artifact::{self, ArtifactError, Model};
use crate::models::fixture::{Customer, contact, day, id, identify, profiles, purchase, state, survey, text, value};
use crate::models::sampling::{Purpose, generator};
use crate::models::tests::held::held;

/// The end of the histories below.
const NOW: f64 = 400.0;

/// Customers who bought, some of whom had trouble, and who were then asked. The answer is that of four draws, each the
/// higher the larger the `log_odds` of the trouble (none to three escalations) and of the money spent (0 to 1).
fn asked(customers: u128, kind: SurveyKind, log_odds: fn(f64, f64) -> f64) -> Vec<Customer> {
    let customer = |number: u128| {
        let mut random = generator(21, Purpose::Rows, number as u64);
        let (trouble, money): (u32, f64) = (random.gen_range(0..4), random.r#gen());
        let asked = 20.0 + 370.0 * random.r#gen::<f64>();
        let mut timeline = vec![purchase(asked - 10.0, 1.0 + 500.0 * money)];
        for step in 0..trouble {
            timeline.push(contact(asked - 5.0 + f64::from(step), "phone", ContactKind::Escalated));
        }
        let mean = 1.0 / (1.0 + (-log_odds(f64::from(trouble), money)).exp());
        let steps = (kind.scale().end() - kind.scale().start()) as u32;
        let score = 1 + (0..steps).filter(|_| random.r#gen_bool(mean)).count();
        timeline.push(survey(asked, kind, score as f64));
        (id(number + 1), timeline)
    };
    (0..customers).map(customer).collect()
}

fn sad(trouble: f64, _: f64) -> f64 {
    2.0 - 1.2 * trouble
}

fn exclusive_or(trouble: f64, money: f64) -> f64 {
    if (trouble > 1.5) == (money > 0.5) { -1.5 } else { 1.5 }
}

fn answers(question: Question, customers: &[Customer]) -> SurveyAnswers {
    answers_without(question, customers, &[])
}

fn answers_without(question: Question, customers: &[Customer], excluded: &[&str]) -> SurveyAnswers {
    let excluded = excluded.iter().map(|key| (*key).to_owned()).collect();
    let mut answers = SurveyAnswers::new(question, SurveyParameters { now: day(NOW), seed: 7, excluded });
    for (id, timeline) in customers {
        answers.add(*id, &Whole { base: None, events: timeline.clone() });
    }
    answers
}

fn satisfaction(customers: &[Customer]) -> Result<TrainedSurvey, Error> {
    train(&answers(Question::Satisfaction, customers), None, &())
}

#[test]
fn what_makes_answers_is_found_and_the_promised_share_of_later_answers_lies_within() {
    let customers = asked(3_000, SurveyKind::Csat, sad);
    let trained = satisfaction(&customers).expect("enough answers");
    assert!(trained.promote, "{}", text(&trained.card, "gate"));
    assert_eq!(text(&trained.card, "model"), "logistic_regression", "{}", text(&trained.card, "selection"));
    // Of four draws the best model explains the variance of the mean, about 0.55 of all.
    let (r2, coverage) = (value(&trained.card, "r2"), value(&trained.card, "interval_coverage"));
    assert!((0.45..0.65).contains(&r2), "{r2}");
    assert!((LEVEL - 0.05..LEVEL + 0.05).contains(&coverage), "{coverage}");
    assert!(value(&trained.card, "mae") < 0.8 * value(&trained.card, "mean_baseline_mae"));
    assert!(value(&trained.card, "rank_correlation") > 0.6);
    assert_eq!(value(&trained.card, "test_rows"), 750.0);
    // The true mean of each trouble is met.
    for trouble in 0..4 {
        let mut timeline = vec![purchase(NOW - 10.0, 200.0)];
        timeline.extend((0..trouble).map(|n| contact(NOW - 5.0 + f64::from(n), "phone", ContactKind::Escalated)));
        let answer = trained.model.predict(&state(&timeline), day(NOW), usize::MAX);
        let mean = 1.0 + 4.0 / (1.0 + (-sad(f64::from(trouble), 0.0)).exp());
        assert!((answer.predicted.score - mean).abs() < 0.3, "{trouble}: {answer:?}, {mean}");
    }
}

#[test]
fn reasons_sum_to_the_answer_and_it_never_leaves_the_scale() {
    for (question, kind) in [(Question::Satisfaction, SurveyKind::Csat), (Question::Effort, SurveyKind::Ces)] {
        for law in [sad, exclusive_or] {
            let customers = asked(1_200, kind, law);
            let trained = train(&answers(question, &customers), None, &()).expect("enough answers");
            for (_, timeline) in &customers[..40] {
                let answer = trained.model.predict(&state(timeline), day(NOW), usize::MAX);
                let sum: f64 = answer.contributions.iter().map(|reason| reason.contribution).sum();
                let predicted = answer.predicted;
                assert!((sum - predicted.score).abs() < 1e-9, "{answer:?}");
                assert!(answer.contributions.iter().all(|reason| !reason.value.to_string().is_empty()));
                assert!(kind.scale().start() <= &predicted.low && predicted.low <= predicted.score);
                assert!(predicted.score <= predicted.high && predicted.high <= *kind.scale().end());
            }
            let bytes = artifact::encode(&Model::Survey(trained.model.clone()));
            assert_eq!(artifact::decode(&bytes), Ok(Model::Survey(trained.model)));
        }
    }
}

#[test]
fn a_predicted_score_is_shown_on_the_scale_of_the_index_and_its_reasons_still_sum() {
    let customers = asked(1_200, SurveyKind::Ces, sad);
    let model = train(&answers(Question::Effort, &customers), None, &()).expect("enough answers").model;
    for (_, timeline) in &customers[..40] {
        let state = state(timeline);
        let answer = model.predict(&state, day(NOW), usize::MAX);
        for limit in [0, 2, usize::MAX] {
            let found = effort::predict_by_answers(&model, &state, day(NOW), limit);
            let index = 100.0 / 6.0 * (7.0 - answer.predicted.score);
            assert!((found.effort_index - index).abs() < 1e-9, "{found:?}");
            assert_eq!(found.predicted_ces, Some(answer.predicted));
            let sum: f64 = found.contributions.iter().map(|reason| reason.contribution).sum();
            assert!((sum - index).abs() < 1e-9, "{limit}: {found:?}");
            assert!(found.contributions.len() <= limit.saturating_add(1), "{limit}: {found:?}");
        }
        // What makes an answer better makes the index lower; the average alone keeps its sign.
        let found = effort::predict_by_answers(&model, &state, day(NOW), usize::MAX);
        for reason in answer.contributions.iter().filter(|reason| reason.feature != BASELINE) {
            let shown = found.contributions.iter().find(|shown| shown.feature == reason.feature).expect("it is listed");
            assert!((shown.contribution + 100.0 / 6.0 * reason.contribution).abs() < 1e-9, "{shown:?}");
        }
    }
}

#[test]
fn trees_take_over_where_they_are_better_beyond_chance_and_a_worse_model_does_not_replace_them() {
    let customers = asked(3_000, SurveyKind::Csat, exclusive_or);
    let trained = satisfaction(&customers).expect("enough answers");
    assert_eq!(text(&trained.card, "model"), "boosted_trees", "{}", text(&trained.card, "selection"));
    assert!(trained.promote && value(&trained.card, "r2") > 0.3);
    let other = satisfaction(&asked(3_000, SurveyKind::Csat, sad)).expect("enough answers").model;
    let again = train(&answers(Question::Satisfaction, &customers), Some(&other), &()).expect("enough answers");
    assert!(again.promote && matches!(again.card["previous_model"], Value::Map(_)), "{}", text(&again.card, "gate"));
    let rows = answers(Question::Satisfaction, &customers);
    let fitted = candidates::Fitted { model: other, mean: 0.5, compared: Vec::new(), reason: String::new() };
    let judged = gate::judge(&rows, &rows.parts(), fitted, Some(&trained.model));
    assert!(!judged.promote, "{}", text(&judged.card, "gate"));
}

/// Customers whose plan alone says how satisfied they are.
fn of_plans(customers: u128) -> Vec<Customer> {
    let customer = |number: u128| {
        let mut random = generator(22, Purpose::Rows, number as u64);
        let (plan, mean) = [("basic", 0.2), ("max", 0.9), ("pro", 0.5)][number as usize % 3];
        let asked = 20.0 + 370.0 * random.r#gen::<f64>();
        let score = 1 + (0..4).filter(|_| random.r#gen_bool(mean)).count();
        let stated = identify(asked - 10.0, &[("plan", Value::Text(plan.to_owned()))]);
        (id(number + 1), vec![stated, survey(asked, SurveyKind::Csat, score as f64)])
    };
    (0..customers).map(customer).collect()
}

#[test]
fn what_customers_state_of_themselves_explains_answers_with_one_reason_for_each_trait() {
    let customers = of_plans(1_200);
    let trained = satisfaction(&customers).expect("enough answers");
    assert!(trained.promote && value(&trained.card, "r2") > 0.4, "{:?}", trained.card);
    let answer_of = |plan: &str| {
        let stated = identify(NOW - 10.0, &[("plan", Value::Text(plan.to_owned()))]);
        trained.model.predict(&state(&[stated]), day(NOW), usize::MAX)
    };
    for (plan, mean, said) in [("basic", 0.2, "basic"), ("pro", 0.5, "pro"), ("never heard of", 0.5, "other")] {
        let answer = answer_of(plan);
        let reasons: Vec<String> = answer
            .contributions
            .iter()
            .filter(|reason| reason.feature == "trait.plan")
            .map(|reason| reason.value.to_string())
            .collect();
        assert_eq!(reasons, [said]);
        assert!((answer.predicted.score - (1.0 + 4.0 * mean)).abs() < 0.4, "{answer:?}");
        let sum: f64 = answer.contributions.iter().map(|reason| reason.contribution).sum();
        assert!((sum - answer.predicted.score).abs() < 1e-9, "{answer:?}");
    }
    let model = Model::Survey(trained.model.clone());
    assert_eq!(artifact::decode(&artifact::encode(&model)), Ok(model));
    // What the caller leaves out is no feature; nothing else tells the plans apart.
    let without = train(&answers_without(Question::Satisfaction, &customers, &["plan"]), Some(&trained.model), &());
    let without = without.expect("enough answers");
    assert!(!without.promote && value(&without.card, "r2") < 0.1, "{}", text(&without.card, "gate"));
    assert_eq!(
        without.card["traits_left_out"],
        Value::Map(
            [("excluded", 1.0), ("rare", 0.0), ("too_many", 0.0)]
                .map(|(reason, count)| (reason.to_owned(), Value::Number(count)))
                .into()
        )
    );
}

#[test]
fn the_fixture_of_answers_answers_as_it_did() {
    let customers = of_plans(600);
    held("survey", &Model::Survey(satisfaction(&customers).expect("enough answers").model), |model| {
        let Model::Survey(model) = model else { return String::new() };
        let answer = |(_, timeline): &Customer| {
            let answer = model.predict(&state(timeline), day(NOW), usize::MAX);
            let (predicted, reason) = (answer.predicted, &answer.contributions[0]);
            let (feature, value) = (&reason.feature, &reason.value);
            format!("{:.9} {:.9} {:.9} {feature} {value}\n", predicted.score, predicted.low, predicted.high)
        };
        customers[..6].iter().map(answer).collect()
    });
}

#[test]
fn where_nothing_explains_the_answers_nothing_is_promoted_or_it_hugs_the_mean() {
    let trained = satisfaction(&asked(800, SurveyKind::Csat, |_, _| 0.5)).expect("enough answers");
    assert!(!trained.promote || value(&trained.card, "r2") < 0.03, "{}", text(&trained.card, "gate"));
}

#[test]
fn too_few_or_equal_answers_are_not_enough() {
    let message = |customers: &[Customer]| match satisfaction(customers) {
        Err(Error::NotEnoughData(message)) => message,
        other => panic!("{other:?}"),
    };
    assert!(message(&[]).contains("has 0 and 0"));
    let customers = asked(120, SurveyKind::Csat, sad);
    assert!(message(&customers).contains("has 90 and 30"), "{}", message(&customers));
    assert!(message(&asked(900, SurveyKind::Csat, |_, _| 40.0)).contains("differ from the most frequent one"));
    assert!(message(&asked(900, SurveyKind::Ces, sad)).contains("csat"), "another question");
    // A customer alone can be in no two folds.
    let events = (0..400u32).map(|n| survey(f64::from(n), SurveyKind::Csat, f64::from(1 + n % 5))).collect();
    assert!(satisfaction(&[(id(1), events)]).is_err());
}

#[test]
fn the_same_answers_make_the_same_model_whatever_the_profile_ids() {
    let customers = asked(700, SurveyKind::Csat, sad);
    let trained = |first_id: u128| {
        let mut answers = answers(Question::Satisfaction, &[]);
        let mut profiles = profiles(&customers, first_id);
        profiles.sort_by_key(|(profile, _)| profile.id);
        for (profile, timeline) in profiles {
            answers.add(&profile, &Whole { base: None, events: timeline.to_vec() });
        }
        train(&answers, None, &()).expect("enough answers")
    };
    let (one, other) = (trained(1), trained(50_000));
    let bytes = |trained: &TrainedSurvey| artifact::encode(&Model::Survey(trained.model.clone()));
    assert!(bytes(&one) == bytes(&other) && one.card == other.card);
}

#[test]
fn nobody_is_told_an_answer_about_whom_nothing_is_known() {
    let calm = [purchase(NOW - 10.0, 200.0)];
    let status = |model: &SurveyModel, timeline: &[Event]| model.predict(&state(timeline), day(NOW), usize::MAX).status;
    let asked_all = satisfaction(&asked(800, SurveyKind::Csat, sad)).expect("enough answers").model;
    assert_eq!(status(&asked_all, &calm), PredictionStatus::Ok, "a quarter of those asked had no trouble");
    assert_eq!(status(&asked_all, &[]), PredictionStatus::InsufficientData);
    let mut troubled = asked(1_200, SurveyKind::Csat, sad);
    troubled.retain(|(_, timeline)| timeline.len() > 2);
    let asked_after_contacts = satisfaction(&troubled).expect("enough answers").model;
    assert_eq!(status(&asked_after_contacts, &calm), PredictionStatus::InsufficientData);
    assert_eq!(status(&asked_after_contacts, &troubled[0].1), PredictionStatus::Ok);
}

#[test]
fn neither_silence_nor_the_delay_of_the_survey_changes_what_a_customer_would_answer() {
    let model = satisfaction(&asked(800, SurveyKind::Csat, sad)).expect("enough answers").model;
    let timeline = [purchase(50.0, 200.0), contact(55.0, "phone", ContactKind::Escalated)];
    let at = |timeline: &[Event], now| model.predict(&state(timeline), day(now), usize::MAX).predicted.score;
    assert_eq!(at(&timeline, 56.0), at(&timeline, 390.0));
    let mut more = timeline.to_vec();
    more.push(contact(57.0, "phone", ContactKind::Escalated));
    assert!(at(&more, 390.0) < at(&timeline, 390.0) - 0.3);
}

#[test]
fn a_damaged_model_is_not_served() {
    let mut model = satisfaction(&asked(800, SurveyKind::Csat, sad)).expect("enough answers").model;
    assert!(model.resolve());
    model.spread = Spread::fit(&[0.5; 9], &[f64::NAN; 9]);
    assert_eq!(artifact::decode(&artifact::encode(&Model::Survey(model))), Err(ArtifactError::Unservable));
}
