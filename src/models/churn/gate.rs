//! Judging models of churn: which one is picked, its card, its figures, and whether it may answer.

use std::cmp::Ordering;

use super::contest::{Contest, Entry};
use super::selection::{Selection, difference, losses, select};
use super::{ChurnModel, TrainedChurn, candidates, curves};
use crate::domain::settings::ChurnKind;
use crate::domain::value::{Map, Value};
use crate::models::bootstrap::{Interval, intervals};
use crate::models::card;
use crate::models::evaluation::{Ranking, ReliabilityBin, Scores, brier, expected_calibration_error, reliability};
use crate::models::examples::{ChurnExamples, ChurnPlan, Example};
use crate::models::plan::Split;

/// Picks one of the models by the test rows, which none of them has seen, and judges it beside the previous model.
pub(super) fn judge(
    examples: &ChurnExamples,
    Contest { mut entries, test }: Contest<'_>,
    previous: Option<&ChurnModel>,
) -> TrainedChurn {
    let seed = examples.plan.seed;
    let losses: Vec<Vec<f64>> =
        entries.iter().map(|entry| losses(&entry.scores.scores, &entry.scores.outcomes)).collect();
    let selection = select(&losses, seed);
    let mut figures: Vec<Map> = entries.iter().map(|entry| metrics(&entry.scores, seed)).collect();
    let compared = describe_candidates(&entries, &figures, &losses, &selection);
    let Entry { mut model, scores } = entries.swap_remove(selection.picked);
    let mut metrics = figures.swap_remove(selection.picked);
    let baseline = recency_baseline(&test, &scores.outcomes, seed);
    metrics.extend(baseline.get("auc").map(|auc| ("recency_baseline_auc".to_owned(), auc.clone())));

    let [log_loss] = intervals(test.len(), seed, |weights| [mean(&losses[selection.picked], weights)]);
    model.held_out_loss = Some((log_loss.low, log_loss.high));
    let before = Before::new(examples, &test, previous, &model);
    let verdict = verdict(&model, &scores, &before, seed);
    let mut card = metrics.clone();
    card.extend(describe_data(examples, &model, &test));
    card.extend(describe_model(&model));
    card.extend(compared);
    card.insert("recency_baseline".to_owned(), Value::Map(baseline));
    card.insert("reliability".to_owned(), reliability_bins(&scores));
    card.extend(curves::describe(&model, &scores, (examples, &test)));
    card.insert("gate".to_owned(), card::text(verdict.reason));
    card.insert("previous_model".to_owned(), before.describe(seed));
    TrainedChurn { model, card, metrics, promote: verdict.promote }
}

/// Which models were compared with which figures, and why one was picked.
fn describe_candidates(entries: &[Entry], figures: &[Map], losses: &[Vec<f64>], selection: &Selection) -> Map {
    let value = |index: usize, figure: &str| match figures[index].get(figure) {
        Some(Value::Map(interval)) => interval.get("value").cloned().unwrap_or(Value::Null),
        _ => Value::Null,
    };
    let about = (0..entries.len()).map(|index| {
        card::map([
            ("model", card::text(entries[index].model.kind())),
            ("calibration", card::text(entries[index].model.calibration.name())),
            ("log_loss", card::number(losses[index].iter().sum::<f64>() / losses[index].len() as f64)),
            ("log_loss_above_first", card::interval(selection.differences[index])),
            ("auc", value(index, "auc")),
            ("metrics", Value::Map(figures[index].clone())),
        ])
    });
    let challengers: Vec<&str> = entries[1..].iter().map(|entry| entry.model.kind()).collect();
    let (first, picked) = (entries[0].model.kind(), entries[selection.picked].model.kind());
    let Interval { value: lower, low, high } = selection.differences[selection.picked];
    let reason = if challengers.is_empty() {
        format!("{first}: no challenger could be fitted")
    } else if selection.picked == 0 {
        format!("{first}: no challenger ({}) has a log loss that is smaller beyond chance", challengers.join(", "))
    } else {
        format!(
            "{picked}: its log loss is smaller than that of {first} ({lower:+.4}, 95 % interval {low:+.4} to {high:+.4})"
        )
    };
    card::map([("candidates", card::list(about)), ("selection", card::text(reason))])
}

/// The figures that every card has, each with its interval over the same resamples.
pub(super) fn metrics(scores: &Scores, seed: u64) -> Map {
    let ranking = Ranking::new(scores);
    let pairs = || scores.scores.iter().zip(&scores.outcomes);
    let briers: Vec<f64> = pairs().map(|(probability, left)| brier(*probability, *left)).collect();
    let losses = losses(&scores.scores, &scores.outcomes);
    let left: Vec<f64> = scores.outcomes.iter().map(|left| f64::from(u8::from(*left))).collect();
    let [auc, pr_auc, lift, brier, log_loss, base_rate, ece] = intervals(scores.len(), seed, |weights| {
        [
            ranking.auc(weights),
            ranking.pr_auc(weights),
            ranking.lift_top_decile(weights),
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
        ("brier", card::interval(brier)),
        ("log_loss", card::interval(log_loss)),
        ("base_rate", card::interval(base_rate)),
        ("ece", card::interval(ece)),
        ("rows", card::interval(Interval::exact(scores.len() as f64))),
    ])
}

/// What knowing only how long ago the customers were last active is worth. It ranks and gives no probability.
fn recency_baseline(test: &[&Example], outcomes: &[bool], seed: u64) -> Map {
    let scores = Scores { scores: test.iter().map(|row| row.recency_days).collect(), outcomes: outcomes.to_vec() };
    let ranking = Ranking::new(&scores);
    let [auc, pr_auc, lift] = intervals(scores.len(), seed, |weights| {
        [ranking.auc(weights), ranking.pr_auc(weights), ranking.lift_top_decile(weights)]
    });
    card::map([
        ("auc", card::interval(auc)),
        ("pr_auc", card::interval(pr_auc)),
        ("lift_top_decile", card::interval(lift)),
    ])
}

fn mean(values: &[f64], weights: &[f64]) -> f64 {
    let sum: f64 = values.iter().zip(weights).map(|(value, weight)| value * weight).sum();
    sum / values.len() as f64
}

/// The model before, as far as it can be compared with the new one.
enum Before {
    /// There is none.
    None,
    /// It answers another question.
    AnotherMeaning,
    /// It may have learned from the very customers that the folds hold out, so that only what it was found to be worth
    /// when it was made can be compared.
    Seen(Option<(f64, f64)>),
    /// What it says about the same customers.
    Scores(Scores),
}

impl Before {
    fn new(examples: &ChurnExamples, test: &[&Example], previous: Option<&ChurnModel>, model: &ChurnModel) -> Self {
        match previous {
            None => Self::None,
            Some(previous) if previous.meaning != model.meaning => Self::AnotherMeaning,
            Some(previous) if matches!(examples.plan.split, Split::Folds(_)) => Self::Seen(previous.held_out_loss),
            Some(previous) => Self::Scores(previous.scores(examples, test)),
        }
    }

    /// Its figures on the same test rows; null without a model.
    fn describe(&self, seed: u64) -> Value {
        match self {
            Self::None => Value::Null,
            Self::AnotherMeaning => card::text("not comparable: it has another definition of churn or another horizon"),
            Self::Seen(_) => card::text("not comparable row by row: it may have learned from the same customers"),
            Self::Scores(scores) => Value::Map(metrics(scores, seed)),
        }
    }
}

struct Verdict {
    promote: bool,
    reason: String,
}

/// A model may answer when it beats the constant base rate and is not significantly worse than the one before.
fn verdict(model: &ChurnModel, scores: &Scores, before: &Before, seed: u64) -> Verdict {
    let ours = losses(&scores.scores, &scores.outcomes);
    let constant = losses(&vec![model.base_rate; scores.len()], &scores.outcomes);
    let (our_sum, constant_sum): (f64, f64) = (ours.iter().sum(), constant.iter().sum());
    // A loss that is no number is less than nothing.
    if our_sum.partial_cmp(&constant_sum) != Some(Ordering::Less) {
        let reason = "not promoted: its log loss is no better than that of the constant base rate".to_owned();
        return Verdict { promote: false, reason };
    }
    let word =
        |promote| if promote { "promoted: not significantly worse" } else { "not promoted: significantly worse" };
    match before {
        Before::None | Before::AnotherMeaning | Before::Seen(None) => {
            Verdict { promote: true, reason: "promoted: better than the constant base rate".to_owned() }
        }
        Before::Seen(Some((from, to))) => {
            let (low, high) = model.held_out_loss.unwrap_or((f64::NAN, f64::NAN));
            let promote = low <= *to;
            let reason = format!(
                "{} than the previous model (log loss {low:.4} to {high:.4} by folds, against {from:.4} to {to:.4} when \
                 that one was made)",
                word(promote)
            );
            Verdict { promote, reason }
        }
        Before::Scores(previous) => {
            let theirs = losses(&previous.scores, &previous.outcomes);
            let Interval { value, low, high } = difference(&ours, &theirs, seed);
            let promote = low <= 0.0;
            let reason = format!(
                "{} than the previous model (log loss {value:+.4}, 95 % interval {low:+.4} to {high:+.4})",
                word(promote)
            );
            Verdict { promote, reason }
        }
    }
}

fn describe_data(examples: &ChurnExamples, model: &ChurnModel, test: &[&Example]) -> Map {
    let plan = &examples.plan;
    let training: Vec<&Example> = examples.sorted().into_iter().filter(|row| !row.is_test).collect();
    let left = |rows: &[&Example]| rows.iter().filter(|row| row.left).count();
    let kind = match (&model.meaning.label, model.meaning.kind) {
        (Some(_), _) => "label",
        (None, ChurnKind::Inactivity) => "inactivity",
        (None, ChurnKind::Contractual) => "contractual",
    };
    let qualifying = model.meaning.qualifying_events.iter().map(|name| card::text(name.as_str())).collect();
    let mut definition = card::map([("kind", card::text(kind)), ("qualifying_events", Value::List(qualifying))]);
    definition.extend(model.meaning.label.iter().map(|label| ("label".to_owned(), card::text(label.as_str()))));
    let cutoffs = if plan.training.is_empty() { std::slice::from_ref(&plan.test) } else { &plan.training };
    card::map([
        ("definition", Value::Map(definition)),
        ("horizon_days", card::days(plan.meaning.horizon)),
        ("training_cutoff_times", card::times(cutoffs)),
        ("test_cutoff_time", card::text(plan.test.rfc3339())),
        ("dropped_cutoff_times", card::times(&plan.dropped)),
        ("split", card::text(describe_split(plan))),
        ("group_by", plan.group_by.as_ref().map_or(Value::Null, |key| card::text(key.as_str()))),
        ("training_rows", card::count(training.len())),
        ("training_rows_left", card::count(left(&training))),
        ("test_rows", card::count(test.len())),
        ("test_rows_left", card::count(left(test))),
        ("sampled_share", card::number(examples.kept_share())),
        ("traits_left_out", Value::Map(candidates::traits_of(examples, &training).describe_left_out())),
        // A seed may be larger than a number on a card is exact.
        ("seed", card::text(plan.seed.to_string())),
    ])
}

fn describe_split(plan: &ChurnPlan) -> String {
    match plan.split {
        Split::Folds(folds) => format!(
            "folds: each of {folds} parts of the customers is told by models of the others; the model itself has learned \
             from all of them"
        ),
        Split::Fifth => {
            "single cut-off: a fifth of the customers, chosen by hash, is the test; a later window may differ more"
                .to_owned()
        }
        Split::LaterWindow => {
            "later window: trained on earlier cut-offs, whose outcomes end before the test cut-off".to_owned()
        }
    }
}

fn describe_model(model: &ChurnModel) -> Map {
    let mut about = model.scorer.describe(&model.schema);
    about.extend(card::map([
        ("model", card::text(model.kind())),
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::time::days;
    use crate::models::calibration::Calibration;
    use crate::models::churn::scorer::Scorer;
    use crate::models::plan::Meaning;
    use crate::models::regression::Regression;
    use crate::models::schema::Schema;

    fn model() -> ChurnModel {
        ChurnModel {
            meaning: Meaning {
                kind: ChurnKind::Inactivity,
                horizon: days(90),
                qualifying_events: Vec::new(),
                label: None,
            },
            base_rate: 0.5,
            schema: Schema::default(),
            scorer: Scorer::Linear(Regression { intercept: 0.0, terms: Vec::new() }),
            calibration: Calibration::fit(&[], &[], &[]),
            held_out_loss: Some((0.5, 0.6)),
        }
    }

    /// A thousand customers of whom every second left, given the same probability of what became true.
    fn scores(given: f64) -> Scores {
        let outcomes: Vec<bool> = (0..1_000).map(|row| row % 2 == 0).collect();
        Scores { scores: outcomes.iter().map(|left| if *left { given } else { 1.0 - given }).collect(), outcomes }
    }

    #[test]
    fn a_model_that_knows_no_more_than_the_base_rate_does_not_answer() {
        let alone = |given| verdict(&model(), &scores(given), &Before::None, 1).promote;
        assert_eq!([0.5, 0.4, f64::NAN, 0.6].map(alone), [false, false, false, true]);
    }

    #[test]
    fn a_model_that_is_worse_than_the_one_before_does_not_answer_and_an_equal_one_does() {
        let beside = |ours, theirs| verdict(&model(), &scores(ours), &Before::Scores(scores(theirs)), 1).promote;
        assert!(!beside(0.6, 0.7) && beside(0.6, 0.6) && beside(0.7, 0.6));
    }

    #[test]
    fn a_model_that_may_have_seen_the_customers_is_compared_by_what_it_was_worth() {
        let after = |before| verdict(&model(), &scores(0.6), &Before::Seen(before), 1).promote;
        // Its own log loss lies between 0.5 and 0.6.
        assert!(after(None) && after(Some((0.55, 0.65))) && after(Some((0.4, 0.51))) && !after(Some((0.3, 0.49))));
    }
}
