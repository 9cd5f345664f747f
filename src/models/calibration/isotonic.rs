//! Isotonic regression by pooling adjacent violators (Ayer et al. 1955; Zadrozny and Elkan 2002), read between the
//! centres of its blocks by straight lines, so that two different scores seldom share a probability.
//!
//! This is not linfa-linear's: version 0.8.1 compares with a stale block while it pools backwards and so pools one
//! block too many (1, 4, 6, 1 becomes 3, 3, 3, 3), does not pool equal scores, and reads the positions of its blocks
//! from unsorted input. `tests` shows the first.

use serde::{Deserialize, Serialize};

/// A non-decreasing function from scores to probabilities.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(in crate::models) struct Isotonic {
    /// Mean score of each block, ascending.
    centres: Vec<f64>,
    /// Probability of each block, ascending.
    probabilities: Vec<f64>,
    /// Smallest probability; 1 less it is the largest.
    margin: f64,
}

/// Neighbouring scores that share one probability.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Block {
    rows: f64,
    scores: f64,
    positives: f64,
}

impl Block {
    fn mean(&self) -> f64 {
        self.positives / self.rows
    }

    fn add(&mut self, other: Self) {
        self.rows += other.rows;
        self.scores += other.scores;
        self.positives += other.positives;
    }
}

impl Isotonic {
    /// Fits scores and what became true. Probabilities stay within [1/(n+2), 1 − 1/(n+2)] of n rows: Laplace's rule of
    /// succession for n rows that all agree.
    pub(super) fn fit(scores: &[f64], outcomes: &[bool]) -> Self {
        let blocks = pool(scores, outcomes);
        Self {
            centres: blocks.iter().map(|block| block.scores / block.rows).collect(),
            probabilities: blocks.iter().map(Block::mean).collect(),
            margin: 1.0 / (scores.len() as f64 + 2.0),
        }
    }

    /// The probability of a score.
    pub(super) fn apply(&self, score: f64) -> f64 {
        self.interpolate(score).clamp(self.margin, 1.0 - self.margin)
    }

    fn interpolate(&self, score: f64) -> f64 {
        let above = self.centres.partition_point(|centre| *centre <= score);
        let (Some(first), Some(last)) = (self.probabilities.first(), self.probabilities.last()) else { return 0.5 };
        if above == 0 {
            return *first;
        }
        if above == self.centres.len() {
            return *last;
        }
        let (from, to) = (self.centres[above - 1], self.centres[above]);
        let part = (score - from) / (to - from);
        self.probabilities[above - 1] + part * (self.probabilities[above] - self.probabilities[above - 1])
    }

    /// Whether it can be applied: as many probabilities as centres, all of them in order.
    pub(super) fn is_sound(&self) -> bool {
        let ascends = |values: &[f64]| values.windows(2).all(|pair| pair[0] <= pair[1]);
        let finite = self.centres.iter().chain(&self.probabilities).all(|number| number.is_finite());
        self.centres.len() == self.probabilities.len()
            && finite
            && ascends(&self.centres)
            && ascends(&self.probabilities)
            && (0.0..=0.5).contains(&self.margin)
    }
}

/// Blocks of strictly ascending means, in the order of the scores. Equal scores are one block from the start: they
/// cannot have different probabilities.
fn pool(scores: &[f64], outcomes: &[bool]) -> Vec<Block> {
    let mut rows: Vec<(f64, bool)> = scores.iter().copied().zip(outcomes.iter().copied()).collect();
    rows.sort_by(|a, b| a.0.total_cmp(&b.0));
    let mut blocks: Vec<Block> = Vec::new();
    for tied in rows.chunk_by(|a, b| a.0 == b.0) {
        let mut block = Block {
            rows: tied.len() as f64,
            scores: tied.iter().map(|row| row.0).sum(),
            positives: tied.iter().filter(|row| row.1).count() as f64,
        };
        while let Some(before) = blocks.pop_if(|before| before.mean() >= block.mean()) {
            block.add(before);
        }
        blocks.push(block);
    }
    blocks
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The max-min formula of isotonic regression (Robertson, Wright and Dykstra 1988), directly: for each distinct
    /// score the largest, over the scores up to it, of the smallest mean from there to a score from it on.
    fn reference(scores: &[f64], outcomes: &[bool]) -> Vec<f64> {
        let mut distinct = scores.to_vec();
        distinct.sort_by(f64::total_cmp);
        distinct.dedup();
        let mean = |from: f64, to: f64| {
            let rows = scores.iter().zip(outcomes).filter(|row| (from..=to).contains(row.0));
            let (count, positives) =
                rows.fold((0.0, 0.0), |sum, row| (sum.0 + 1.0, sum.1 + f64::from(u8::from(*row.1))));
            positives / count
        };
        let value = |at: &f64| {
            let starts = distinct.iter().filter(|from| *from <= at);
            let smallest = |from: &f64| {
                distinct.iter().filter(|to| *to >= at).map(|to| mean(*from, *to)).fold(f64::INFINITY, f64::min)
            };
            starts.map(smallest).fold(f64::NEG_INFINITY, f64::max)
        };
        scores.iter().map(value).collect()
    }

    fn fitted(scores: &[f64], outcomes: &[bool]) -> Vec<f64> {
        let mut sorted = scores.to_vec();
        sorted.sort_by(f64::total_cmp);
        let blocks = pool(scores, outcomes);
        let mut of_sorted = Vec::new();
        for block in &blocks {
            of_sorted.extend(std::iter::repeat_n(block.mean(), block.rows as usize));
        }
        scores.iter().map(|score| of_sorted[sorted.partition_point(|other| other < score)]).collect()
    }

    proptest! {
        #[test]
        fn blocks_are_those_of_the_max_min_formula(rows in prop::collection::vec((0i8..12, any::<bool>()), 1..40)) {
            let scores: Vec<f64> = rows.iter().map(|row| f64::from(row.0)).collect();
            let outcomes: Vec<bool> = rows.iter().map(|row| row.1).collect();
            for (found, expected) in fitted(&scores, &outcomes).iter().zip(reference(&scores, &outcomes)) {
                prop_assert!((found - expected).abs() < 1e-12, "{found} is not {expected}");
            }
        }

        #[test]
        fn a_higher_score_never_has_a_lower_probability(
            rows in prop::collection::vec((-3.0..3.0f64, any::<bool>()), 0..60),
            a in -5.0..5.0f64,
            b in -5.0..5.0f64,
        ) {
            let (scores, outcomes): (Vec<f64>, Vec<bool>) = rows.into_iter().unzip();
            let calibration = Isotonic::fit(&scores, &outcomes);
            prop_assert!(calibration.is_sound());
            let (low, high) = (calibration.apply(a.min(b)), calibration.apply(a.max(b)));
            let margin = 1.0 / (scores.len() as f64 + 2.0);
            prop_assert!(low <= high && low >= margin && high <= 1.0 - margin);
        }
    }

    #[test]
    fn between_two_blocks_the_probability_is_read_from_a_straight_line() {
        let scores = [0.0, 0.0, 2.0, 2.0];
        let calibration = Isotonic::fit(&scores, &[true, false, true, true]);
        assert_eq!(calibration.interpolate(0.0), 0.5);
        assert_eq!(calibration.interpolate(1.0), 0.75);
        assert_eq!(calibration.interpolate(9.0), 1.0);
        assert_eq!(calibration.apply(9.0), 1.0 - 1.0 / 6.0);
    }

    #[test]
    fn linfa_pools_one_block_too_many() {
        use linfa::traits::{Fit, Predict};
        let x = ndarray::array![[0.0], [1.0], [2.0], [3.0]];
        let dataset = linfa::Dataset::new(x.clone(), ndarray::array![1.0, 4.0, 6.0, 1.0]);
        let model = linfa_linear::IsotonicRegression::default().fit(&dataset).expect("fits");
        // Right would be 1, 11/3, 11/3, 11/3. When this fails, linfa has mended it and may take the place of `pool`.
        assert_eq!(model.predict(&x).to_vec(), [3.0; 4]);
    }
}
