//! Judging a model of purchases: its card, its figures, and whether it may answer.

use super::buyers::{Buyer, Buyers};
use super::{ANNUAL_DISCOUNT_RATE, FITTED_MAX, LIFETIME, Spending, TrainedValue, ValueModel, weeks};
use crate::domain::value::{Map, Value};
use crate::models::agreement::{Agreement, correlation};
use crate::models::bootstrap::{Interval, intervals};
use crate::models::card;
use crate::models::churn::selection::difference;
use crate::models::evaluation::{Ranking, Scores};
use crate::models::repurchase::BgNbd;

/// Judges a model by what customers bought after the cut-off.
pub(super) fn judge(buyers: &Buyers, rows: &[Buyer], model: ValueModel, previous: Option<&ValueModel>) -> TrainedValue {
    let test = Test { rows, horizon_weeks: weeks(model.horizon), seed: buyers.plan().seed };
    // A model of another horizon can be asked about this one.
    let metrics = test.metrics(&model);
    let (promote, reason) = test.verdict(&model, previous);
    let mut card = metrics.clone();
    card.extend(describe_data(buyers, rows, &model));
    card.extend(describe_model(&model));
    card.extend(card::map([
        ("spend_frequency_correlation", card::interval(test.spend_and_frequency())),
        ("gate", card::text(reason)),
        ("previous_model", previous.map_or(Value::Null, |previous| Value::Map(test.metrics(previous)))),
    ]));
    TrainedValue { model, card, metrics, promote }
}

/// Customers with what they bought, and how far ahead that is.
struct Test<'a> {
    rows: &'a [Buyer],
    horizon_weeks: f64,
    seed: u64,
}

impl Test<'_> {
    fn expected(&self, model: &ValueModel) -> Vec<f64> {
        self.rows.iter().map(|row| model.purchases.expected_purchases(&row.history, self.horizon_weeks)).collect()
    }

    fn actual(&self) -> Vec<f64> {
        self.rows.iter().map(|row| row.purchases_after).collect()
    }

    /// The figures that every card has, each with its interval over the same resamples.
    fn metrics(&self, model: &ValueModel) -> Map {
        let expected = self.expected(model);
        let outcomes: Vec<bool> = self.rows.iter().map(|row| row.purchases_after > 0.0).collect();
        let ranking = |scores| Ranking::new(&Scores { scores, outcomes: outcomes.clone() });
        let recency = self.rows.iter().map(|row| row.history.last - row.history.observed).collect();
        let (by_model, by_recency) = (ranking(expected.clone()), ranking(recency));
        let worth: Vec<f64> =
            self.rows.iter().zip(&expected).map(|(row, expected)| revenue(model, row, *expected)).collect();
        let brought: Vec<f64> = self.rows.iter().map(|row| row.revenue_after).collect();
        let (purchases, money) = (Agreement::new(expected, self.actual()), Agreement::new(worth, brought));
        let ratio = |agreement: &Agreement, weights: &[f64]| {
            agreement.mean(weights, |expected, _| expected) / agreement.mean(weights, |_, actual| actual)
        };
        let [auc, recency_auc, mae, explained, purchases_ratio, revenue_ratio] =
            intervals(self.rows.len(), self.seed, |weights| {
                let mean = purchases.mean(weights, |_, actual| actual);
                let constant = purchases.mean(weights, |_, actual| deviance(mean, actual));
                [
                    by_model.auc(weights),
                    by_recency.auc(weights),
                    purchases.absolute_error(weights),
                    1.0 - purchases.mean(weights, deviance) / constant,
                    ratio(&purchases, weights),
                    ratio(&money, weights),
                ]
            });
        let mut metrics = card::map([
            ("auc", card::interval(auc)),
            ("recency_baseline_auc", card::interval(recency_auc)),
            ("mae", card::interval(mae)),
            ("deviance_explained", card::interval(explained)),
            ("purchases_ratio", card::interval(purchases_ratio)),
            ("rows", card::interval(Interval::exact(self.rows.len() as f64))),
        ]);
        if model.spend.is_some() {
            metrics.insert("revenue_ratio".to_owned(), card::interval(revenue_ratio));
        }
        metrics
    }

    /// A model may answer when it tells customers apart: its deviance must be smaller than that of the one number that
    /// would have been best for everybody, which nobody knew, and not significantly larger than that of the model before.
    fn verdict(&self, model: &ValueModel, previous: Option<&ValueModel>) -> (bool, String) {
        let actual = self.actual();
        let deviances = |expected: &[f64]| -> Vec<f64> {
            expected.iter().zip(&actual).map(|(expected, actual)| deviance(*expected, *actual)).collect()
        };
        let mean = actual.iter().sum::<f64>() / actual.len() as f64;
        let ours = deviances(&self.expected(model));
        let (our_sum, constant_sum): (f64, f64) =
            (ours.iter().sum(), deviances(&vec![mean; actual.len()]).iter().sum());
        if our_sum.partial_cmp(&constant_sum) != Some(std::cmp::Ordering::Less) {
            let reason = "not promoted: its deviance is no smaller than that of the best constant number of purchases";
            return (false, reason.to_owned());
        }
        let Some(previous) = previous else {
            let reason = "promoted: its deviance is smaller than that of the best constant number of purchases";
            return (true, reason.to_owned());
        };
        let Interval { value, low, high } = difference(&ours, &deviances(&self.expected(previous)), self.seed);
        let promote = low <= 0.0;
        let word = if promote { "promoted: not significantly worse" } else { "not promoted: significantly worse" };
        (
            promote,
            format!("{word} than the previous model (deviance {value:+.4}, 95 % interval {low:+.4} to {high:+.4})"),
        )
    }

    /// Pearson's correlation of how often customers came back and what they spend per purchase. Gamma-Gamma takes it for
    /// 0; where it is not, those who buy often are worth more or less than they are told to be.
    fn spend_and_frequency(&self) -> Interval {
        let of = |row: &&Buyer| row.history.repeats > 0 && row.spend.mean > 0.0;
        let (repeats, means): (Vec<f64>, Vec<f64>) =
            self.rows.iter().filter(of).map(|row| (f64::from(row.history.repeats), row.spend.mean)).unzip();
        let [found] = intervals(repeats.len(), self.seed, |weights| [correlation(&repeats, &means, weights)]);
        found
    }
}

/// What a customer is expected to bring by so many purchases; nothing is known about it without amounts.
fn revenue(model: &ValueModel, row: &Buyer, expected: f64) -> f64 {
    model.spend.as_ref().map_or(0.0, |spending| expected * spending.model.expected_value(&row.spend))
}

/// Twice the log-likelihood that an expected number of a Poisson distribution lacks to the best one, which is the true
/// number (McCullagh and Nelder 1989); 0 is perfect.
fn deviance(expected: f64, actual: f64) -> f64 {
    let expected = expected.max(1e-12);
    let surprise = if actual > 0.0 { actual * (actual / expected).ln() } else { 0.0 };
    2.0 * (surprise - (actual - expected))
}

fn describe_data(buyers: &Buyers, rows: &[Buyer], model: &ValueModel) -> Map {
    let plan = buyers.plan();
    let of = |is: fn(&Buyer) -> bool| card::count(rows.iter().filter(|row| is(row)).count());
    card::map([
        ("horizon_days", card::days(model.horizon)),
        ("cutoff_time", card::text(plan.cutoff.rfc3339())),
        ("test_end_time", card::text(plan.cutoff.plus(plan.horizon).rfc3339())),
        ("customers", card::count(rows.len())),
        ("customers_fitted", card::count(rows.len().min(FITTED_MAX))),
        ("customers_who_bought_again", of(|row| row.history.repeats > 0)),
        ("customers_who_bought_after", of(|row| row.purchases_after > 0.0)),
        ("sampled_share", card::number(buyers.kept_share())),
        // A seed may be larger than a number on a card is exact.
        ("seed", card::text(plan.seed.to_string())),
    ])
}

fn describe_model(model: &ValueModel) -> Map {
    let BgNbd { r, alpha, a, b } = model.purchases;
    let spend = model.spend.as_ref().map(|Spending { model, currency }| {
        card::map([
            ("currency", card::text(currency.as_str())),
            ("p", card::number(model.p)),
            ("q", card::number(model.q)),
            ("gamma", card::number(model.gamma)),
        ])
    });
    card::map([
        ("model", card::text("bg_nbd_gamma_gamma")),
        ("r", card::number(r)),
        ("alpha_weeks", card::number(alpha)),
        ("a", card::number(a)),
        ("b", card::number(b)),
        ("spend", spend.map_or(Value::Null, Value::Map)),
        ("lifetime_days", card::days(LIFETIME)),
        ("annual_discount_rate", card::number(ANNUAL_DISCOUNT_RATE)),
    ])
}
