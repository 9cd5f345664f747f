//! A logistic curve from scores to probabilities (Platt 1999): two parameters, for few customers and smooth scores.

use serde::{Deserialize, Serialize};

use crate::models::logistic::{Logistic, Row};

/// Keeps the curve of classes that can be separated from becoming a step.
const PENALTY: f64 = 1e-3;

/// A rising logistic curve.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(in crate::models) struct Sigmoid {
    slope: f64,
    intercept: f64,
    /// Smallest probability; 1 less it is the largest.
    margin: f64,
}

impl Sigmoid {
    /// Fits scores and what became true; `None` where no rising curve fits them.
    pub(super) fn fit(scores: &[f64], outcomes: &[bool]) -> Option<Self> {
        let rows: Vec<Row<'_>> = scores.iter().map(std::slice::from_ref).zip(outcomes.iter().copied()).collect();
        let Logistic { intercept, weights } = Logistic::fit(&rows, PENALTY).ok()?;
        let slope = weights.first().copied().filter(|slope| *slope > 0.0)?;
        Some(Self { slope, intercept, margin: 1.0 / (scores.len() as f64 + 2.0) })
    }

    /// The probability of a score.
    pub(super) fn apply(&self, score: f64) -> f64 {
        let probability = 1.0 / (1.0 + (-(self.slope * score + self.intercept)).exp());
        probability.clamp(self.margin, 1.0 - self.margin)
    }

    /// Whether it can be applied.
    pub(super) fn is_sound(&self) -> bool {
        let is_rising = self.slope.is_finite() && self.slope > 0.0;
        is_rising && self.intercept.is_finite() && (0.0..=0.5).contains(&self.margin)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scores_that_are_too_sure_of_themselves_are_drawn_together() {
        // Of ten with log-odds of 3 only seven came true, and three of ten with -3: a slope of ln(7/3) / 3.
        let scores: Vec<f64> = (0..20).map(|row| if row < 10 { 3.0 } else { -3.0 }).collect();
        let outcomes: Vec<bool> = (0..20).map(|row| !(7..17).contains(&row)).collect();
        let sigmoid = Sigmoid::fit(&scores, &outcomes).expect("rises");
        assert!((sigmoid.apply(3.0) - 0.7).abs() < 1e-3 && (sigmoid.apply(-3.0) - 0.3).abs() < 1e-3, "{sigmoid:?}");
        assert!((sigmoid.apply(0.0) - 0.5).abs() < 1e-9 && sigmoid.is_sound());
    }

    #[test]
    fn what_falls_or_has_one_class_has_no_curve_and_nothing_is_certain() {
        let scores = [0.0, 1.0, 2.0, 3.0];
        assert_eq!(Sigmoid::fit(&scores, &[true, true, false, false]), None);
        assert_eq!(Sigmoid::fit(&scores, &[true; 4]), None);
        let separated = Sigmoid::fit(&scores, &[false, false, true, true]).expect("rises");
        assert_eq!((separated.apply(1e9), separated.apply(-1e9)), (1.0 - 1.0 / 6.0, 1.0 / 6.0));
    }
}
