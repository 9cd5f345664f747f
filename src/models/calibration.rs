//! Calibration: from scores that only rank to probabilities that come true.
//!
//! Isotonic regression by pooling adjacent violators (Ayer et al. 1955; Zadrozny and Elkan 2002), read between the
//! centres of its blocks by straight lines, so that two different scores seldom share a probability.
//!
//! This is not linfa-linear's: version 0.8.1 compares with a stale block while it pools backwards and so pools one
//! block too many (1, 4, 6, 1 becomes 3, 3, 3, 3), does not pool equal scores, and reads the positions of its blocks
//! from unsorted input. `tests` shows the first.

use serde::{Deserialize, Serialize};

/// A non-decreasing function from scores to probabilities.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Calibration {
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

impl Calibration {
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
