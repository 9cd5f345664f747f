//! How near predicted numbers come to those that became true. Rows may count more than once, so that the figures of
//! many resamples need one sort.

/// Predicted numbers with the true ones.
#[derive(Debug, Clone)]
pub(super) struct Agreement {
    predicted: Ranked,
    actual: Ranked,
}

/// Numbers with their order.
#[derive(Debug, Clone)]
struct Ranked {
    values: Vec<f64>,
    /// Rows from the smallest value to the largest.
    order: Vec<usize>,
}

impl Agreement {
    /// Pairs of the same rows.
    pub(super) fn new(predicted: Vec<f64>, actual: Vec<f64>) -> Self {
        Self { predicted: Ranked::new(predicted), actual: Ranked::new(actual) }
    }

    /// Mean absolute error.
    pub(super) fn absolute_error(&self, weights: &[f64]) -> f64 {
        self.mean(weights, |predicted, actual| (predicted - actual).abs())
    }

    /// Share of the variance of the true numbers that is explained: 1 − Σ (y − ŷ)² / Σ (y − ȳ)². 1 is perfect, 0 as good
    /// as their mean, and below 0 worse than it. NaN where they do not vary.
    pub(super) fn r2(&self, weights: &[f64]) -> f64 {
        let mean = self.mean(weights, |_, actual| actual);
        let error = self.mean(weights, |predicted, actual| (actual - predicted).powi(2));
        1.0 - error / self.mean(weights, |_, actual| (actual - mean).powi(2))
    }

    /// Spearman's correlation of the ranks, ties having their mean rank (Spearman 1904). NaN where one side does not vary.
    pub(super) fn rank_correlation(&self, weights: &[f64]) -> f64 {
        correlation(&self.predicted.ranks(weights), &self.actual.ranks(weights), weights)
    }

    /// The mean of something over the rows.
    pub(super) fn mean(&self, weights: &[f64], of: impl Fn(f64, f64) -> f64) -> f64 {
        let pairs = self.predicted.values.iter().zip(&self.actual.values).zip(weights);
        let (sum, rows) = pairs.fold((0.0, 0.0), |(sum, rows), ((predicted, actual), weight)| {
            (sum + weight * of(*predicted, *actual), rows + weight)
        });
        sum / rows
    }
}

impl Ranked {
    fn new(values: Vec<f64>) -> Self {
        let mut order: Vec<usize> = (0..values.len()).collect();
        order.sort_by(|a, b| values[*a].total_cmp(&values[*b]));
        Self { values, order }
    }

    /// The mean rank of each row among rows that count as often as `weights` says.
    fn ranks(&self, weights: &[f64]) -> Vec<f64> {
        let (mut ranks, mut before) = (vec![0.0; self.values.len()], 0.0);
        for tie in self.order.chunk_by(|a, b| self.values[*a] == self.values[*b]) {
            let size: f64 = tie.iter().map(|row| weights[*row]).sum();
            tie.iter().for_each(|row| ranks[*row] = before + size / 2.0);
            before += size;
        }
        ranks
    }
}

/// Pearson's correlation of two columns whose rows count as often as `weights` says; NaN where one does not vary.
pub(super) fn correlation(a: &[f64], b: &[f64], weights: &[f64]) -> f64 {
    let rows: f64 = weights.iter().sum();
    let mean = |values: &[f64]| values.iter().zip(weights).map(|(value, weight)| value * weight).sum::<f64>() / rows;
    let (mean_a, mean_b) = (mean(a), mean(b));
    let (mut product, mut square_a, mut square_b) = (0.0, 0.0, 0.0);
    for ((a, b), weight) in a.iter().zip(b).zip(weights) {
        product += weight * (a - mean_a) * (b - mean_b);
        square_a += weight * (a - mean_a).powi(2);
        square_b += weight * (b - mean_b).powi(2);
    }
    product / (square_a * square_b).sqrt()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_those_computed_by_hand() {
        let agreement = Agreement::new(vec![1.0, 2.0, 4.0], vec![1.0, 3.0, 5.0]);
        let once = [1.0; 3];
        assert!((agreement.absolute_error(&once) - 2.0 / 3.0).abs() < 1e-12);
        // Squared errors 0, 1 and 1 against a variance of 4 + 0 + 4.
        assert!((agreement.r2(&once) - 0.75).abs() < 1e-12);
        assert!((agreement.rank_correlation(&once) - 1.0).abs() < 1e-12);
        assert!((agreement.mean(&once, |_, actual| actual) - 3.0).abs() < 1e-12);
    }

    #[test]
    fn a_row_that_counts_twice_is_as_good_as_two_rows() {
        let twice = Agreement::new(vec![3.0, 1.0, 2.0], vec![2.0, 2.0, 7.0]);
        let written_out = Agreement::new(vec![3.0, 3.0, 1.0, 2.0], vec![2.0, 2.0, 2.0, 7.0]);
        let (weights, once) = ([2.0, 1.0, 1.0], [1.0; 4]);
        assert!((twice.rank_correlation(&weights) - written_out.rank_correlation(&once)).abs() < 1e-12);
        assert!((twice.r2(&weights) - written_out.r2(&once)).abs() < 1e-12);
    }

    #[test]
    fn ties_have_their_mean_rank() {
        // Ranks 1, 2.5, 2.5 and 4 against 1 to 4: the correlation is 4.5 / sqrt(4.5 · 5).
        let agreement = Agreement::new(vec![1.0, 2.0, 2.0, 9.0], vec![1.0, 2.0, 3.0, 4.0]);
        assert!((agreement.rank_correlation(&[1.0; 4]) - 4.5 / (4.5f64 * 5.0).sqrt()).abs() < 1e-12);
    }

    #[test]
    fn what_does_not_vary_has_no_correlation() {
        let constant = Agreement::new(vec![1.0, 1.0], vec![1.0, 2.0]);
        assert!(constant.rank_correlation(&[1.0; 2]).is_nan());
        assert!(Agreement::new(Vec::new(), Vec::new()).r2(&[]).is_nan());
    }
}
