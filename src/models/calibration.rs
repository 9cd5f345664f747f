//! Calibration: from scores that only rank to probabilities that come true.

use serde::{Deserialize, Serialize};

pub(super) use self::isotonic::Isotonic;
use self::sigmoid::Sigmoid;
use super::evaluation::log_loss;

mod isotonic;
mod sigmoid;

/// A rising function from scores to probabilities.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) enum Calibration {
    /// Steps that the data choose, joined by straight lines.
    Isotonic(Isotonic),
    /// One smooth curve.
    Sigmoid(Sigmoid),
}

/// Fits a kind of calibration; `None` where it does not fit.
type Fit = fn(&[f64], &[bool]) -> Option<Calibration>;

impl Calibration {
    /// Fits the kind that has the smaller log loss on held-out folds; `folds` has the fold of each row.
    pub(super) fn fit(scores: &[f64], outcomes: &[bool], folds: &[usize]) -> Self {
        let of_kind = |kind: Fit| {
            let held_out = held_out(kind, (scores, outcomes), folds)?;
            let loss: f64 = held_out.iter().zip(outcomes).map(|(p, outcome)| log_loss(*p, *outcome)).sum();
            Some((kind(scores, outcomes)?, loss))
        };
        let (calibration, _) = [sigmoid as Fit, isotonic]
            .into_iter()
            .filter_map(of_kind)
            .min_by(|a, b| a.1.total_cmp(&b.1))
            .expect("an isotonic calibration fits whatever it is given");
        calibration
    }

    /// The probability of a score, within [1/(n+2), 1 − 1/(n+2)] of the n rows that it was fitted on.
    pub(super) fn apply(&self, score: f64) -> f64 {
        match self {
            Self::Isotonic(isotonic) => isotonic.apply(score),
            Self::Sigmoid(sigmoid) => sigmoid.apply(score),
        }
    }

    /// The name for programs, on cards.
    pub(super) fn name(&self) -> &'static str {
        match self {
            Self::Isotonic(_) => "isotonic",
            Self::Sigmoid(_) => "sigmoid",
        }
    }

    /// Whether it can be applied.
    pub(super) fn is_sound(&self) -> bool {
        match self {
            Self::Isotonic(isotonic) => isotonic.is_sound(),
            Self::Sigmoid(sigmoid) => sigmoid.is_sound(),
        }
    }
}

fn isotonic(scores: &[f64], outcomes: &[bool]) -> Option<Calibration> {
    Some(Calibration::Isotonic(Isotonic::fit(scores, outcomes)))
}

fn sigmoid(scores: &[f64], outcomes: &[bool]) -> Option<Calibration> {
    Sigmoid::fit(scores, outcomes).map(Calibration::Sigmoid)
}

/// The probability of every row by a calibration of the rows in other folds.
fn held_out(kind: Fit, (scores, outcomes): (&[f64], &[bool]), folds: &[usize]) -> Option<Vec<f64>> {
    let mut probabilities = vec![0.0; scores.len()];
    for fold in 0..=folds.iter().max().copied().unwrap_or(0) {
        let others = (0..scores.len()).filter(|row| folds[*row] != fold);
        let (other_scores, other_outcomes): (Vec<f64>, Vec<bool>) =
            others.map(|row| (scores[row], outcomes[row])).unzip();
        let calibration = kind(&other_scores, &other_outcomes)?;
        for row in (0..scores.len()).filter(|row| folds[*row] == fold) {
            probabilities[row] = calibration.apply(scores[row]);
        }
    }
    Some(probabilities)
}

#[cfg(test)]
mod tests {
    use rand::Rng;

    use super::*;
    use crate::models::sampling::{Purpose, generator};

    /// Scores with outcomes that follow a probability.
    fn rows(count: usize, probability: fn(f64) -> f64) -> (Vec<f64>, Vec<bool>, Vec<usize>) {
        let mut random = generator(3, Purpose::Rows, 0);
        let scores: Vec<f64> = (0..count).map(|_| 6.0 * random.r#gen::<f64>() - 3.0).collect();
        let outcomes = scores.iter().map(|score| random.r#gen_bool(probability(*score))).collect();
        (scores, outcomes, (0..count).map(|row| row % 5).collect())
    }

    #[test]
    fn a_smooth_curve_fits_few_rows_and_steps_fit_what_is_a_step() {
        let (scores, outcomes, folds) = rows(300, |score| 1.0 / (1.0 + (-score).exp()));
        assert_eq!(Calibration::fit(&scores, &outcomes, &folds).name(), "sigmoid");
        let (scores, outcomes, folds) = rows(3_000, |score| if score > 1.0 { 0.5 } else { 0.1 });
        let calibration = Calibration::fit(&scores, &outcomes, &folds);
        assert_eq!(calibration.name(), "isotonic");
        assert!((calibration.apply(2.0) - 0.5).abs() < 0.05);
    }

    #[test]
    fn no_row_is_judged_by_a_calibration_that_saw_it() {
        let (scores, mut outcomes, folds) = rows(300, |score| 1.0 / (1.0 + (-score).exp()));
        let before = held_out(sigmoid, (&scores, &outcomes), &folds).expect("rises");
        outcomes.iter_mut().zip(&folds).filter(|row| *row.1 == 2).for_each(|(outcome, _)| *outcome = !*outcome);
        let after = held_out(sigmoid, (&scores, &outcomes), &folds).expect("rises");
        let same = |fold| (0..300).filter(|row| folds[*row] == fold).all(|row| before[row] == after[row]);
        assert!(same(2) && !same(1));
    }

    #[test]
    fn whatever_it_is_given_it_answers() {
        for (scores, outcomes) in
            [(vec![], vec![]), (vec![1.0; 4], vec![true; 4]), (vec![0.5; 3], vec![true, false, true])]
        {
            let folds = vec![0; scores.len()];
            let calibration = Calibration::fit(&scores, &outcomes, &folds);
            assert!(calibration.is_sound() && (0.0..=1.0).contains(&calibration.apply(0.0)));
        }
    }
}
