//! Judging a model of answers: its card, its figures, and whether it may answer.

use std::cmp::Ordering;

use super::answers::{Parts, Row, SurveyAnswers};
use super::candidates::{Fitted, squared_errors};
use super::{LEVEL, Question, SurveyModel, TrainedSurvey};
use crate::domain::time::Timestamp;
use crate::domain::value::{Map, Value};
use crate::models::agreement::Agreement;
use crate::models::bootstrap::{Interval, intervals};
use crate::models::card;
use crate::models::churn::selection::difference;

/// The answers of the test, with what a model and the mean of the training say about them, as shares.
struct Test<'a> {
    answers: &'a SurveyAnswers,
    rows: &'a [Row<'a>],
    question: Question,
    actual: Vec<f64>,
    /// Which customer each row is of, counted from 0.
    customers: Vec<usize>,
    mean: f64,
    seed: u64,
}

/// Judges the model that was picked by the test rows, which it has not seen.
pub(super) fn judge(
    answers: &SurveyAnswers,
    parts: &Parts<'_>,
    fitted: Fitted,
    previous: Option<&SurveyModel>,
) -> TrainedSurvey {
    let question = answers.question();
    let test = Test {
        answers,
        rows: &parts.test,
        question,
        actual: parts.test.iter().map(|row| question.share(row.answer.score)).collect(),
        customers: customers(&parts.test),
        mean: fitted.mean,
        seed: answers.seed(),
    };
    let comparable = previous.filter(|previous| previous.question == question);
    let metrics = test.metrics(&fitted.model);
    let (promote, reason) = test.verdict(&fitted.model, comparable);
    let mut card = metrics.clone();
    card.extend(describe_data(answers, parts, fitted.mean));
    card.extend(describe_model(&fitted));
    card.extend(card::map([
        ("respondents", Value::Map(answers.respondents().describe())),
        ("gate", card::text(reason)),
        ("previous_model", comparable.map_or(Value::Null, |previous| Value::Map(test.metrics(previous)))),
    ]));
    TrainedSurvey { model: fitted.model, card, metrics, promote }
}

/// Numbers the customers of rows that stand customer by customer.
fn customers(rows: &[Row<'_>]) -> Vec<usize> {
    let of_customer = rows.chunk_by(|a, b| a.customer == b.customer).enumerate();
    of_customer.flat_map(|(number, rows)| std::iter::repeat_n(number, rows.len())).collect()
}

impl Test<'_> {
    fn predicted(&self, model: &SurveyModel) -> Vec<f64> {
        self.rows.iter().map(|row| model.share(&self.answers.known(&model.schema, row.answer))).collect()
    }

    /// The figures that every card has, in points of the scale. Their intervals draw customers with all of their answers.
    fn metrics(&self, model: &SurveyModel) -> Map {
        let predicted = self.predicted(model);
        let points = self.question.of_share(1.0) - self.question.of_share(0.0);
        let around: Vec<(f64, f64)> = predicted.iter().map(|share| model.spread.around(*share)).collect();
        let covered: Vec<f64> = around
            .iter()
            .zip(&self.actual)
            .map(|((low, high), actual)| f64::from(u8::from((*low..=*high).contains(actual))))
            .collect();
        let widths: Vec<f64> = around.iter().map(|(low, high)| points * (high - low)).collect();
        let agreement = Agreement::new(predicted, self.actual.clone());
        let mean = self.mean;
        let count = self.customers.last().map_or(0, |last| last + 1);
        let [mae, baseline, r2, rank, coverage, width, answer] = intervals(count, self.seed, |drawn| {
            let weights: Vec<f64> = self.customers.iter().map(|customer| drawn[*customer]).collect();
            let of = |values: &[f64]| {
                let sum: f64 = values.iter().zip(&weights).map(|(value, weight)| value * weight).sum();
                sum / weights.iter().sum::<f64>()
            };
            [
                points * agreement.absolute_error(&weights),
                points * agreement.mean(&weights, |_, actual| (actual - mean).abs()),
                agreement.r2(&weights),
                agreement.rank_correlation(&weights),
                of(&covered),
                of(&widths),
                self.question.of_share(agreement.mean(&weights, |_, actual| actual)),
            ]
        });
        card::map([
            ("mae", card::interval(mae)),
            ("mean_baseline_mae", card::interval(baseline)),
            ("r2", card::interval(r2)),
            ("rank_correlation", card::interval(rank)),
            ("interval_coverage", card::interval(coverage)),
            ("interval_width", card::interval(width)),
            ("mean_score", card::interval(answer)),
            ("rows", card::interval(Interval::exact(self.rows.len() as f64))),
        ])
    }

    /// A model may answer when its squared error is smaller than that of the mean answer and not significantly larger
    /// than that of the model before.
    fn verdict(&self, model: &SurveyModel, previous: Option<&SurveyModel>) -> (bool, String) {
        let ours = squared_errors(&self.predicted(model), &self.actual);
        let constant = squared_errors(&vec![self.mean; self.actual.len()], &self.actual);
        let (our_sum, constant_sum): (f64, f64) = (ours.iter().sum(), constant.iter().sum());
        // An error that is no number is less than nothing.
        if our_sum.partial_cmp(&constant_sum) != Some(Ordering::Less) {
            return (false, "not promoted: its squared error is no smaller than that of the mean answer".to_owned());
        }
        let Some(previous) = previous else {
            return (true, "promoted: its squared error is smaller than that of the mean answer".to_owned());
        };
        let theirs = squared_errors(&self.predicted(previous), &self.actual);
        let Interval { value, low, high } = difference(&ours, &theirs, self.seed);
        let promote = low <= 0.0;
        let word = if promote { "promoted: not significantly worse" } else { "not promoted: significantly worse" };
        let reason = format!(
            "{word} than the previous model (squared error of the share {value:+.4}, 95 % interval {low:+.4} to {high:+.4})"
        );
        (promote, reason)
    }
}

fn describe_data(answers: &SurveyAnswers, parts: &Parts<'_>, mean: f64) -> Map {
    let question = answers.question();
    let first = |rows: &[Row<'_>]| time(rows.iter().map(|row| row.answer.time).min());
    let last = |rows: &[Row<'_>]| time(rows.iter().map(|row| row.answer.time).max());
    let split = match parts.test_from {
        Some(_) => "later window: trained on the earlier three quarters of the answers, tested on the later quarter",
        None => "by customer: most answers have the same time; a quarter of the customers, chosen by hash, is the test",
    };
    let scale = question.kind().scale();
    card::map([
        ("question", card::text(question.name())),
        ("scale_low", card::number(*scale.start())),
        ("scale_high", card::number(*scale.end())),
        ("training_rows", card::count(parts.training.len())),
        ("training_mean_score", card::number(question.of_share(mean))),
        ("training_first_time", first(&parts.training)),
        ("training_last_time", last(&parts.training)),
        ("test_rows", card::count(parts.test.len())),
        ("test_first_time", first(&parts.test)),
        ("test_last_time", last(&parts.test)),
        ("split", card::text(split)),
        ("sampled_share", card::number(answers.kept_share())),
        ("traits_left_out", Value::Map(answers.traits_of(&parts.training).describe_left_out())),
        // A seed may be larger than a number on a card is exact.
        ("seed", card::text(answers.seed().to_string())),
    ])
}

/// A time that there may be none of.
fn time(time: Option<Timestamp>) -> Value {
    time.map_or(Value::Null, |time| card::text(time.rfc3339()))
}

fn describe_model(fitted: &Fitted) -> Map {
    let model = &fitted.model;
    let candidates = fitted.compared.iter().map(|compared| {
        card::map([
            ("model", card::text(compared.name)),
            ("squared_error", card::number(compared.error)),
            ("squared_error_above_first", card::interval(compared.above_first)),
        ])
    });
    let mut about = model.scorer.describe(&model.schema);
    about.extend(card::map([
        ("model", card::text(model.scorer.name())),
        ("selection", card::text(fitted.reason.as_str())),
        ("candidates", card::list(candidates)),
        ("interval_level", card::number(LEVEL)),
        ("needs_contact", Value::Bool(model.needs_contact)),
    ]));
    about
}
