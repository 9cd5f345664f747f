//! Judging models of churn: which one is picked, its card, its figures, and whether it may answer.

use std::cmp::Ordering;

use super::candidates::Candidate;
use super::selection::{Selection, difference, losses, select};
use super::{ChurnModel, TrainedChurn, curves};
use crate::domain::settings::ChurnKind;
use crate::domain::value::{Map, Value};
use crate::models::bootstrap::{Interval, intervals};
use crate::models::card;
use crate::models::evaluation::{Ranking, ReliabilityBin, Scores, auc, brier, expected_calibration_error, reliability};
use crate::models::examples::{ChurnExamples, ChurnPlan, Example};

/// Picks one of the candidates by the test rows, which none of them has seen, and judges it beside the previous model.
pub(super) fn judge(
    examples: &ChurnExamples,
    mut candidates: Vec<Candidate>,
    previous: Option<&ChurnModel>,
) -> TrainedChurn {
    let test: Vec<&Example> = examples.sorted().into_iter().filter(|row| row.is_test).collect();
    let seed = examples.plan.seed;
    let scores: Vec<Scores> = candidates.iter().map(|candidate| scores_of(&candidate.model, &test)).collect();
    let losses: Vec<Vec<f64>> = scores.iter().map(|scores| losses(&scores.scores, &scores.outcomes)).collect();
    let selection = select(&losses, seed);
    let compared = describe_candidates(&candidates, &scores, &losses, &selection);
    let model = candidates.swap_remove(selection.picked).model;

    let comparable = previous.filter(|previous| previous.meaning == model.meaning);
    let scores = &scores[selection.picked];
    let metrics = metrics(scores, &test, seed);
    let verdict = verdict(&model, scores, comparable.map(|previous| scores_of(previous, &test)).as_ref(), seed);
    let mut card = metrics.clone();
    card.extend(describe_data(examples, &model));
    card.extend(describe_model(&model));
    card.extend(compared);
    card.insert("reliability".to_owned(), reliability_bins(scores));
    card.extend(curves::describe(&model, scores, &test));
    card.insert("gate".to_owned(), card::text(verdict.reason));
    card.insert("previous_model".to_owned(), describe_previous(previous, comparable, &test, seed));
    TrainedChurn { model, card, metrics, promote: verdict.promote }
}

/// Which models were compared with which figures, and why one was picked.
fn describe_candidates(candidates: &[Candidate], scores: &[Scores], losses: &[Vec<f64>], selection: &Selection) -> Map {
    let name = |candidate: &Candidate| candidate.model.scorer.name();
    let entries = (0..candidates.len()).map(|index| {
        card::map([
            ("model", card::text(name(&candidates[index]))),
            ("calibration", card::text(candidates[index].model.calibration.name())),
            ("log_loss", card::number(losses[index].iter().sum::<f64>() / losses[index].len() as f64)),
            ("log_loss_above_first", card::interval(selection.differences[index])),
            ("auc", card::number(auc(&scores[index]))),
        ])
    });
    let challengers: Vec<&str> = candidates[1..].iter().map(name).collect();
    let (first, picked) = (name(&candidates[0]), name(&candidates[selection.picked]));
    let Interval { value, low, high } = selection.differences[selection.picked];
    let reason = if challengers.is_empty() {
        format!("{first}: no challenger could be fitted")
    } else if selection.picked == 0 {
        format!("{first}: no challenger ({}) has a log loss that is smaller beyond chance", challengers.join(", "))
    } else {
        format!(
            "{picked}: its log loss is smaller than that of {first} ({value:+.4}, 95 % interval {low:+.4} to {high:+.4})"
        )
    };
    card::map([("candidates", card::list(entries)), ("selection", card::text(reason))])
}

pub(super) fn scores_of(model: &ChurnModel, rows: &[&Example]) -> Scores {
    Scores {
        scores: rows.iter().map(|row| model.probability(&row.values)).collect(),
        outcomes: rows.iter().map(|row| row.left).collect(),
    }
}

/// The figures that every card has, each with its interval over the same resamples.
pub(super) fn metrics(scores: &Scores, test: &[&Example], seed: u64) -> Map {
    let ranking = Ranking::new(scores);
    let recency =
        Scores { scores: test.iter().map(|row| row.recency_days).collect(), outcomes: scores.outcomes.clone() };
    let recency = Ranking::new(&recency);
    let pairs = || scores.scores.iter().zip(&scores.outcomes);
    let briers: Vec<f64> = pairs().map(|(probability, left)| brier(*probability, *left)).collect();
    let losses = losses(&scores.scores, &scores.outcomes);
    let left: Vec<f64> = scores.outcomes.iter().map(|left| f64::from(u8::from(*left))).collect();
    let [auc, pr_auc, lift, recency_auc, brier, log_loss, base_rate, ece] = intervals(scores.len(), seed, |weights| {
        [
            ranking.auc(weights),
            ranking.pr_auc(weights),
            ranking.lift_top_decile(weights),
            recency.auc(weights),
            mean(&briers, weights),
            mean(&losses, weights),
            mean(&left, weights),
            expected_calibration_error(&reliability(scores, weights)),
        ]
    });
    card::map([
        ("auc", card::interval(auc)),
        ("pr_auc", card::interval(pr_auc)),
        ("lift_top_decile", card::interval(lift)),
        ("recency_baseline_auc", card::interval(recency_auc)),
        ("brier", card::interval(brier)),
        ("log_loss", card::interval(log_loss)),
        ("base_rate", card::interval(base_rate)),
        ("ece", card::interval(ece)),
        ("rows", card::interval(Interval::exact(scores.len() as f64))),
    ])
}

fn mean(values: &[f64], weights: &[f64]) -> f64 {
    let sum: f64 = values.iter().zip(weights).map(|(value, weight)| value * weight).sum();
    sum / values.len() as f64
}

struct Verdict {
    promote: bool,
    reason: String,
}

/// A model may answer when it beats the constant base rate and is not significantly worse than the one before.
fn verdict(model: &ChurnModel, scores: &Scores, previous: Option<&Scores>, seed: u64) -> Verdict {
    let ours = losses(&scores.scores, &scores.outcomes);
    let constant = losses(&vec![model.base_rate; scores.len()], &scores.outcomes);
    let (our_sum, constant_sum): (f64, f64) = (ours.iter().sum(), constant.iter().sum());
    // A loss that is no number is less than nothing.
    if our_sum.partial_cmp(&constant_sum) != Some(Ordering::Less) {
        let reason = "not promoted: its log loss is no better than that of the constant base rate".to_owned();
        return Verdict { promote: false, reason };
    }
    let Some(previous) = previous else {
        return Verdict { promote: true, reason: "promoted: better than the constant base rate".to_owned() };
    };
    let theirs = losses(&previous.scores, &previous.outcomes);
    let Interval { value, low, high } = difference(&ours, &theirs, seed);
    let promote = low <= 0.0;
    let word = if promote { "promoted: not significantly worse" } else { "not promoted: significantly worse" };
    let reason =
        format!("{word} than the previous model (log loss {value:+.4}, 95 % interval {low:+.4} to {high:+.4})");
    Verdict { promote, reason }
}

fn describe_data(examples: &ChurnExamples, model: &ChurnModel) -> Map {
    let plan = &examples.plan;
    let of = |test: bool| examples.rows.iter().filter(move |row| row.is_test == test);
    let kind = match model.meaning.kind {
        ChurnKind::Inactivity => "inactivity",
        ChurnKind::Contractual => "contractual",
    };
    let qualifying = model.meaning.qualifying_events.iter().map(|name| card::text(name.as_str())).collect();
    let definition = card::map([("kind", card::text(kind)), ("qualifying_events", Value::List(qualifying))]);
    let training = if plan.has_single_cutoff() { std::slice::from_ref(&plan.test) } else { &plan.training };
    card::map([
        ("definition", Value::Map(definition)),
        ("horizon_days", card::days(plan.meaning.horizon)),
        ("training_cutoff_times", card::times(training)),
        ("test_cutoff_time", card::text(plan.test.rfc3339())),
        ("dropped_cutoff_times", card::times(&plan.dropped)),
        ("split", card::text(describe_split(plan))),
        ("training_rows", card::count(of(false).count())),
        ("training_rows_left", card::count(of(false).filter(|row| row.left).count())),
        ("test_rows", card::count(of(true).count())),
        ("test_rows_left", card::count(of(true).filter(|row| row.left).count())),
        ("sampled_share", card::number(examples.kept_share())),
        // A seed may be larger than a number on a card is exact.
        ("seed", card::text(plan.seed.to_string())),
    ])
}

fn describe_split(plan: &ChurnPlan) -> &'static str {
    if plan.has_single_cutoff() {
        "single cut-off: a fifth of the customers, chosen by hash, is the test; a later window may differ more"
    } else {
        "later window: trained on earlier cut-offs, whose outcomes end before the test cut-off"
    }
}

fn describe_model(model: &ChurnModel) -> Map {
    let mut about = model.scorer.describe();
    about.extend(card::map([
        ("model", card::text(model.scorer.name())),
        ("calibration", card::text(model.calibration.name())),
        ("training_base_rate", card::number(model.base_rate)),
    ]));
    about
}

pub(super) fn reliability_bins(scores: &Scores) -> Value {
    let bins = reliability(scores, &vec![1.0; scores.len()]);
    let filled = bins.iter().filter(|bin| bin.rows > 0.0);
    Value::List(
        filled
            .map(|ReliabilityBin { rows, probabilities, positives }| {
                Value::Map(card::map([
                    ("rows", card::number(*rows)),
                    ("mean_probability", card::number(probabilities / rows)),
                    ("observed_share", card::number(positives / rows)),
                ]))
            })
            .collect(),
    )
}

/// The figures of the previous model on the same test rows; null without one.
fn describe_previous(
    previous: Option<&ChurnModel>,
    comparable: Option<&ChurnModel>,
    test: &[&Example],
    seed: u64,
) -> Value {
    match (previous, comparable) {
        (None, _) => Value::Null,
        (Some(_), None) => card::text("not comparable: it has another definition of churn or another horizon"),
        (Some(_), Some(previous)) => Value::Map(metrics(&scores_of(previous, test), test, seed)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::time::days;
    use crate::models::calibration::Calibration;
    use crate::models::churn::scorer::Scorer;
    use crate::models::plan::Meaning;
    use crate::models::regression::Regression;

    fn model() -> ChurnModel {
        ChurnModel {
            meaning: Meaning { kind: ChurnKind::Inactivity, horizon: days(90), qualifying_events: Vec::new() },
            base_rate: 0.5,
            scorer: Scorer::Linear(Regression { intercept: 0.0, terms: Vec::new() }),
            calibration: Calibration::fit(&[], &[], &[]).calibration,
        }
    }

    /// A thousand customers of whom every second left, given the same probability of what became true.
    fn scores(given: f64) -> Scores {
        let outcomes: Vec<bool> = (0..1_000).map(|row| row % 2 == 0).collect();
        Scores { scores: outcomes.iter().map(|left| if *left { given } else { 1.0 - given }).collect(), outcomes }
    }

    #[test]
    fn a_model_that_knows_no_more_than_the_base_rate_does_not_answer() {
        assert!(!verdict(&model(), &scores(0.5), None, 1).promote);
        assert!(!verdict(&model(), &scores(0.4), None, 1).promote);
        assert!(!verdict(&model(), &scores(f64::NAN), None, 1).promote);
        assert!(verdict(&model(), &scores(0.6), None, 1).promote);
    }

    #[test]
    fn a_model_that_is_worse_than_the_one_before_does_not_answer_and_an_equal_one_does() {
        assert!(!verdict(&model(), &scores(0.6), Some(&scores(0.7)), 1).promote);
        assert!(verdict(&model(), &scores(0.6), Some(&scores(0.6)), 1).promote);
        assert!(verdict(&model(), &scores(0.7), Some(&scores(0.6)), 1).promote);
    }
}
