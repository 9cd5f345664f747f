//! Bringing features of different units onto one scale, without letting a few extreme customers set it.

use serde::{Deserialize, Serialize};

/// Deviation below which a column says nothing.
const DEVIATION_MIN: f64 = 1e-9;

/// How a shaped value is winsorised and standardised.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub(super) struct Scale {
    /// Values below are raised to it.
    pub(super) low: f64,
    /// Values above are lowered to it.
    pub(super) high: f64,
    /// Mean of the winsorised values.
    pub(super) mean: f64,
    /// Their standard deviation, above zero.
    pub(super) deviation: f64,
}

impl Scale {
    /// Learns the scale of a column, cutting off `tail` (a share of the values) at both ends; `None` where the values
    /// do not vary, or are too large to be squared. Where the cut-off would leave nothing of a rare value, such as the few with a refund, the range
    /// stays whole.
    pub(super) fn fit(mut values: Vec<f64>, tail: f64) -> Option<Self> {
        values.retain(|value| value.is_finite());
        values.sort_unstable_by(f64::total_cmp);
        let (smallest, largest) = (*values.first()?, *values.last()?);
        let (mut low, mut high) = (quantile(&values, tail), quantile(&values, 1.0 - tail));
        if high - low < DEVIATION_MIN {
            (low, high) = (smallest, largest);
        }
        let count = values.len() as f64;
        let mean = values.iter().map(|value| value.clamp(low, high)).sum::<f64>() / count;
        let square = |value: &f64| (value.clamp(low, high) - mean).powi(2);
        let deviation = (values.iter().map(square).sum::<f64>() / count).sqrt();
        (deviation > DEVIATION_MIN && deviation.is_finite()).then_some(Self { low, high, mean, deviation })
    }

    /// The value in standard deviations from the mean.
    pub(super) fn apply(&self, value: f64) -> f64 {
        (value.clamp(self.low, self.high) - self.mean) / self.deviation
    }

    /// Whether the scale can be applied without a panic or a result that is no number.
    pub(super) fn is_sound(&self) -> bool {
        let numbers = [self.low, self.high, self.mean, self.deviation];
        numbers.iter().all(|number| number.is_finite()) && self.low <= self.high && self.deviation > 0.0
    }
}

/// The value at a share of sorted values, 0 for the smallest to 1 for the largest; NaN where there are none.
pub(super) fn quantile(sorted: &[f64], share: f64) -> f64 {
    let position = share.clamp(0.0, 1.0) * sorted.len().saturating_sub(1) as f64;
    sorted.get(position.round() as usize).copied().unwrap_or(f64::NAN)
}

/// Pearson's correlation of two standardised columns, up to rounding within −1 to 1; 0 for empty ones.
pub(super) fn correlation(a: &[f64], b: &[f64]) -> f64 {
    let norm = |column: &[f64]| column.iter().map(|value| value * value).sum::<f64>().sqrt();
    let product: f64 = a.iter().zip(b).map(|(a, b)| a * b).sum();
    let norms = norm(a) * norm(b);
    if norms > 0.0 { product / norms } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scaled_column_has_mean_zero_and_deviation_one() {
        let values: Vec<f64> = (0..1_000).map(f64::from).collect();
        let scale = Scale::fit(values.clone(), 0.01).expect("varies");
        let scaled: Vec<f64> = values.iter().map(|value| scale.apply(*value)).collect();
        let mean = scaled.iter().sum::<f64>() / 1_000.0;
        let square = scaled.iter().map(|value| value * value).sum::<f64>() / 1_000.0;
        assert!(mean.abs() < 1e-12 && (square - 1.0).abs() < 1e-12, "{mean} {square}");
    }

    #[test]
    fn one_enormous_value_does_not_set_the_scale() {
        let mut values: Vec<f64> = (0..1_000).map(f64::from).collect();
        values.push(1e12);
        let scale = Scale::fit(values, 0.01).expect("varies");
        assert!(scale.high < 1_000.0);
        assert_eq!(scale.apply(1e12), scale.apply(f64::INFINITY));
    }

    #[test]
    fn columns_without_variation_or_without_numbers_have_no_scale() {
        assert_eq!(Scale::fit(vec![4.0; 50], 0.01), None);
        assert_eq!(Scale::fit(vec![f64::NAN; 50], 0.01), None);
        assert_eq!(Scale::fit(Vec::new(), 0.01), None);
        assert_eq!(Scale::fit((1..50).map(|part| f64::MAX / f64::from(part)).collect(), 0.01), None);
    }

    #[test]
    fn a_rare_value_is_not_cut_away() {
        let mut values = vec![0.0; 997];
        values.extend([1.0; 3]);
        let scale = Scale::fit(values, 0.01).expect("varies");
        assert!(scale.apply(1.0) > scale.apply(0.0));
    }

    #[test]
    fn correlation_is_one_for_the_same_column_and_minus_one_for_its_mirror() {
        let column = [1.0, -1.0, 0.5];
        assert!((correlation(&column, &column) - 1.0).abs() < 1e-12);
        assert!((correlation(&column, &column.map(|value| -value)) + 1.0).abs() < 1e-12);
        assert_eq!(correlation(&[], &[]), 0.0);
    }
}
