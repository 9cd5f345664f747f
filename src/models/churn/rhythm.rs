//! BG/NBD as a model of inactivity: how few signs of life are expected of a customer within the horizon.
//!
//! The score is the log-odds of none at all if they came as evenly as a Poisson process, −ln(exp(E) − 1) for E expected
//! ones. The model's own probability of silence ranks worse: on CDNOW it has an AUC of 0.747 instead of 0.764. What is
//! amiss with the level, the calibration mends.
//!
//! It looks at three features only, so that their exact Shapley values (Shapley 1953) need no more than the scores of
//! eight imagined customers: each feature is either the customer's own or that of the median customer, whose score is
//! the baseline.

use serde::{Deserialize, Serialize};

use super::scorer::Explanation;
use crate::domain::value::Map;
use crate::models::card;
use crate::models::error::Error;
use crate::models::features::{self, FEATURES};
use crate::models::repurchase::{BgNbd, History};
use crate::models::schema::Known;

/// What it looks at.
const LOOKS_AT: [&str; 3] = ["active_count", "active_recency_days", "active_tenure_days"];
/// Customers that are fitted: the four parameters do not become better with more.
const CUSTOMERS_MAX: usize = 20_000;
/// Expected signs of life between which scores differ.
const EXPECTED: std::ops::RangeInclusive<f64> = 1e-9..=100.0;
const WEEK_DAYS: f64 = 7.0;

/// What [`LOOKS_AT`] says about a customer, in its order.
type Looks = [f64; LOOKS_AT.len()];

/// A fitted model.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(in crate::models) struct Rhythm {
    model: BgNbd,
    horizon_weeks: f64,
    median: Looks,
    /// Where [`LOOKS_AT`] is in [`FEATURES`], found anew when a model is read.
    #[serde(skip)]
    indices: [usize; LOOKS_AT.len()],
}

impl Rhythm {
    /// Fits what was known of some customers, of each once.
    ///
    /// # Errors
    /// Those of [`BgNbd::fit`].
    pub(super) fn fit(customers: &[&Known], horizon_days: f64) -> Result<Self, Error> {
        let indices = positions().ok_or_else(|| Error::Internal("a feature of the rhythm is missing".to_owned()))?;
        let customers = &customers[..customers.len().min(CUSTOMERS_MAX)];
        let looks: Vec<Looks> =
            customers.iter().map(|known| indices.map(|index| known[index].unwrap_or(0.0))).collect();
        let model = BgNbd::fit(&looks.iter().map(history).collect::<Vec<_>>())?;
        let median = std::array::from_fn(|place| median(looks.iter().map(|looks| looks[place]).collect()));
        Ok(Self { model, horizon_weeks: horizon_days / WEEK_DAYS, median, indices })
    }

    /// The positions of the features that it looks at.
    pub(super) fn features(&self) -> [usize; LOOKS_AT.len()] {
        self.indices
    }

    /// The score of a customer with its parts.
    pub(super) fn explain(&self, known: &Known) -> Explanation {
        let own: Looks = std::array::from_fn(|place| known[self.indices[place]].unwrap_or(self.median[place]));
        // Bit n of a mask says whether feature n is the customer's own.
        let scores: [f64; 8] = std::array::from_fn(|mask| {
            let looks =
                std::array::from_fn(|place| if mask >> place & 1 == 1 { own[place] } else { self.median[place] });
            self.log_odds(&looks)
        });
        let part = |place: usize| {
            let without = (0..scores.len()).filter(|mask| mask >> place & 1 == 0);
            // |S|! (2 − |S|)! / 3! for a coalition S of the two other features.
            let weight = |mask: usize| if mask.count_ones() == 1 { 1.0 / 6.0 } else { 1.0 / 3.0 };
            let value = without.map(|mask| weight(mask) * (scores[mask | 1 << place] - scores[mask])).sum::<f64>();
            (self.indices[place], value)
        };
        Explanation { baseline: scores[0], parts: (0..LOOKS_AT.len()).map(part).collect() }
    }

    fn log_odds(&self, looks: &Looks) -> f64 {
        let expected = self.model.expected_purchases(&history(looks), self.horizon_weeks);
        -expected.clamp(*EXPECTED.start(), *EXPECTED.end()).exp_m1().ln()
    }

    /// Finds the features of a model that was read; false where this release cannot serve it.
    pub(super) fn resolve(&mut self) -> bool {
        let Some(indices) = positions() else { return false };
        self.indices = indices;
        let numbers = self.median.iter().chain([&self.horizon_weeks]);
        self.model.is_sound() && numbers.into_iter().all(|number| number.is_finite() && *number >= 0.0)
    }

    pub(super) fn describe(&self) -> Map {
        let BgNbd { r, alpha, a, b } = self.model;
        let feature = |place: usize| {
            let feature = &FEATURES[self.indices[place]];
            card::map([
                ("feature", card::text(feature.name)),
                ("display_name", card::text(feature.display_name)),
                ("median", card::number(self.median[place])),
            ])
        };
        card::map([
            ("features", card::list((0..LOOKS_AT.len()).map(feature))),
            ("r", card::number(r)),
            ("alpha_weeks", card::number(alpha)),
            ("a", card::number(a)),
            ("b", card::number(b)),
        ])
    }
}

/// Where [`LOOKS_AT`] is in [`FEATURES`].
fn positions() -> Option<[usize; LOOKS_AT.len()]> {
    let [count, recency, tenure] = LOOKS_AT.map(features::position);
    Some([count?, recency?, tenure?])
}

/// The history that features speak of, in weeks. Imagined customers may be younger than their last sign of life.
fn history([count, recency_days, tenure_days]: &Looks) -> History {
    let observed = tenure_days.max(0.0) / WEEK_DAYS;
    let repeats = (count - 1.0).max(0.0) as u32;
    let last = if repeats == 0 { 0.0 } else { (observed - recency_days / WEEK_DAYS).clamp(0.0, observed) };
    History { repeats, last, observed }
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_unstable_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(0.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::models::features::Values;

    fn values([count, recency, tenure]: Looks) -> Values {
        let mut values = [None; FEATURES.len()];
        for (index, value) in positions().expect("features").into_iter().zip([count, recency, tenure]) {
            values[index] = Some(value);
        }
        values
    }

    fn rhythm() -> Rhythm {
        Rhythm {
            model: BgNbd { r: 0.243, alpha: 4.414, a: 0.793, b: 2.426 },
            horizon_weeks: 13.0,
            median: [2.0, 60.0, 200.0],
            indices: positions().expect("features"),
        }
    }

    #[test]
    fn the_parts_sum_to_the_log_odds_of_no_sign_of_life() {
        let (rhythm, looks) = (rhythm(), [5.0, 10.0, 270.0]);
        let explanation = rhythm.explain(&values(looks));
        assert!((explanation.log_odds() - rhythm.log_odds(&looks)).abs() < 1e-9);
        assert!((explanation.baseline - rhythm.log_odds(&rhythm.median)).abs() < 1e-12);
        let history = History { repeats: 4, last: 260.0 / 7.0, observed: 270.0 / 7.0 };
        let none = (-rhythm.model.expected_purchases(&history, 13.0)).exp();
        assert!((explanation.log_odds() - (none / (1.0 - none)).ln()).abs() < 1e-9);
    }

    #[test]
    fn the_median_customer_has_no_reasons_and_a_missing_value_is_none() {
        let rhythm = rhythm();
        let explanation = rhythm.explain(&values(rhythm.median));
        assert!(explanation.parts.iter().all(|part| part.1.abs() < 1e-12));
        assert_eq!(rhythm.explain(&[None; FEATURES.len()]), explanation);
    }

    #[test]
    fn what_moves_nothing_gets_no_credit() {
        // Of one who bought once, the model sees only the tenure: neither count nor recency moves anything.
        let rhythm = Rhythm { median: [1.0, 200.0, 200.0], ..rhythm() };
        let explanation = rhythm.explain(&values([1.0, 10.0, 20.0]));
        assert!(explanation.parts[0].1.abs() < 1e-12 && explanation.parts[1].1.abs() < 1e-12);
        assert!(explanation.parts[2].1 < 0.0, "who came a short while ago is likelier to come again");
    }

    #[test]
    fn an_imagined_customer_who_is_younger_than_the_last_purchase_has_a_score() {
        let rhythm = rhythm();
        for looks in [[9.0, 500.0, 3.0], [0.0, 0.0, 0.0], [1e12, 0.0, 1e9]] {
            assert!(rhythm.explain(&values(looks)).log_odds().is_finite(), "{looks:?}");
        }
    }
}
