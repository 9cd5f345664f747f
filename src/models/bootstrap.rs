//! Intervals of figures, by drawing the same number of rows again with replacement (Efron and Tibshirani 1993).

use rand::Rng;

use super::sampling::{Purpose, generator};
use super::scaling::quantile;

/// Resamples behind every interval.
pub(super) const RESAMPLES: u64 = 200;

/// A figure with its 95 % percentile interval. The interval always holds the figure: resampling inflates figures that
/// sum absolute differences, such as the calibration error.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Interval {
    /// The figure on the rows themselves.
    pub value: f64,
    /// 2.5 % of the resamples lie below.
    pub low: f64,
    /// 2.5 % of the resamples lie above.
    pub high: f64,
}

impl Interval {
    /// A figure that is known exactly.
    pub(super) fn exact(value: f64) -> Self {
        Self { value, low: value, high: value }
    }
}

/// The intervals of `N` figures of `rows` rows. `figures` computes them from how often each row was drawn; rows are
/// customers, so resampling rows is resampling customers.
pub(super) fn intervals<const N: usize>(
    rows: usize,
    seed: u64,
    mut figures: impl FnMut(&[f64]) -> [f64; N],
) -> [Interval; N] {
    let values = figures(&vec![1.0; rows]);
    let mut samples: [Vec<f64>; N] = std::array::from_fn(|_| Vec::with_capacity(RESAMPLES as usize));
    let mut weights = vec![0.0; rows];
    for turn in 0..RESAMPLES {
        let mut random = generator(seed, Purpose::Bootstrap, turn);
        weights.fill(0.0);
        for _ in 0..rows {
            weights[random.gen_range(0..rows)] += 1.0;
        }
        for (sample, figure) in samples.iter_mut().zip(figures(&weights)) {
            sample.push(figure);
        }
    }
    std::array::from_fn(|index| {
        let mut sample = std::mem::take(&mut samples[index]);
        sample.retain(|figure| figure.is_finite());
        sample.sort_unstable_by(f64::total_cmp);
        let value = values[index];
        // `f64::min` passes over an interval that is no number.
        Interval { value, low: value.min(quantile(&sample, 0.025)), high: value.max(quantile(&sample, 0.975)) }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_interval_of_a_mean_is_two_standard_errors_wide_to_either_side() {
        let values: Vec<f64> = (0..1_000).map(|row| f64::from(row % 2)).collect();
        let [mean] = intervals(1_000, 3, |weights| {
            [weights.iter().zip(&values).map(|(weight, value)| weight * value).sum::<f64>() / 1_000.0]
        });
        assert_eq!(mean.value, 0.5);
        // The standard error of the mean of 1,000 fair coins is 0.0158.
        assert!((0.46..0.48).contains(&mean.low) && (0.52..0.54).contains(&mean.high), "{mean:?}");
    }

    #[test]
    fn the_same_seed_draws_the_same_rows_and_no_rows_are_no_fault() {
        let draw = |seed| intervals(50, seed, |weights| [weights[0]]);
        assert_eq!(draw(1), draw(1));
        let [empty] = intervals(0, 1, |weights| [weights.iter().sum::<f64>()]);
        assert_eq!(empty, Interval::exact(0.0));
    }
}
