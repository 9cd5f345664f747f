//! The interval around a predicted answer, by split-conformal prediction with local weights (Lei et al. 2018): how far
//! off answers were that the model had not seen, in units of how far off they are bound to be.
//!
//! An answer near the end of its scale can deviate to one side only. Its unit is the standard deviation of a Bernoulli
//! variable of the same mean, √(p(1 − p)), which no distribution on the scale exceeds. That the share [`LEVEL`] of the
//! answers lies within holds whatever the distribution, as long as later customers resemble the earlier ones; the card
//! says what share did.

use serde::{Deserialize, Serialize};

use super::LEVEL;

/// Mean squared deviation below which no answer is bound to be.
const VARIANCE_MIN: f64 = 0.01;

/// How wide intervals are.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub(super) struct Spread {
    /// Half of an interval, in units of the deviation.
    width: f64,
}

impl Spread {
    /// Learns the width from predicted shares with the true ones, none of which the prediction was fitted on: of n
    /// errors that of rank ⌈(n + 1) · level⌉.
    pub(super) fn fit(predicted: &[f64], actual: &[f64]) -> Self {
        let error = |(predicted, actual): (&f64, &f64)| (actual - predicted).abs() / deviation(*predicted);
        let mut errors: Vec<f64> = predicted.iter().zip(actual).map(error).collect();
        errors.sort_unstable_by(f64::total_cmp);
        let rank = ((errors.len() + 1) as f64 * LEVEL).ceil() as usize;
        // With fewer than four errors nothing bounds the next one but the scale.
        let beyond = 1.0 / deviation(0.0);
        Self { width: errors.get(rank.saturating_sub(1)).copied().unwrap_or(beyond) }
    }

    /// The interval around a predicted share, within 0 to 1.
    pub(super) fn around(&self, predicted: f64) -> (f64, f64) {
        let half = self.width * deviation(predicted);
        ((predicted - half).max(0.0), (predicted + half).min(1.0))
    }

    /// Whether it can be applied.
    pub(super) fn is_sound(&self) -> bool {
        self.width.is_finite() && self.width >= 0.0
    }
}

fn deviation(share: f64) -> f64 {
    (share * (1.0 - share)).max(VARIANCE_MIN).sqrt()
}

#[cfg(test)]
mod tests {
    use rand::Rng;

    use super::*;
    use crate::models::sampling::{Purpose, generator};

    #[test]
    fn the_promised_share_of_new_answers_lies_within() {
        // Answers of five steps whose mean is known, as of a perfect model: four draws of a coin.
        let draw = |turn: u64, rows: usize| -> (Vec<f64>, Vec<f64>) {
            let mut random = generator(5, Purpose::Rows, turn);
            (0..rows)
                .map(|_| {
                    let mean = 0.1 + 0.8 * random.r#gen::<f64>();
                    let drawn = (0..4).filter(|_| random.r#gen_bool(mean)).count();
                    (mean, drawn as f64 / 4.0)
                })
                .unzip()
        };
        let (predicted, actual) = draw(0, 4_000);
        let spread = Spread::fit(&predicted, &actual);
        let (predicted, actual) = draw(1, 20_000);
        let within = predicted.iter().zip(&actual).filter(|(predicted, actual)| {
            let (low, high) = spread.around(**predicted);
            (low..=high).contains(*actual)
        });
        let share = within.count() as f64 / 20_000.0;
        assert!((LEVEL - 0.02..LEVEL + 0.02).contains(&share), "{share}");
    }

    #[test]
    fn an_interval_stays_on_the_scale_and_few_errors_bound_nothing_else() {
        let (low, high) = Spread::fit(&[0.5; 9], &[0.0; 9]).around(0.9);
        assert!(low > 0.0 && high == 1.0);
        for (predicted, actual) in [(vec![], vec![]), (vec![0.5; 3], vec![0.5; 3])] {
            let spread = Spread::fit(&predicted, &actual);
            assert!(spread.is_sound());
            assert_eq!(spread.around(0.5), (0.0, 1.0));
        }
    }
}
