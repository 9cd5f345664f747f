//! Choosing among models by how they do on the same customers.

use crate::models::bootstrap::{Interval, intervals};
use crate::models::evaluation::log_loss;

/// Which of several models was picked, and why.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::models) struct Selection {
    /// Its position.
    pub(in crate::models) picked: usize,
    /// Of each model, how much its mean log loss lies above that of the first one.
    pub(in crate::models) differences: Vec<Interval>,
}

/// The log loss of each row.
pub(in crate::models) fn losses(probabilities: &[f64], outcomes: &[bool]) -> Vec<f64> {
    probabilities.iter().zip(outcomes).map(|(probability, outcome)| log_loss(*probability, *outcome)).collect()
}

/// Picks by the losses of each model on the same rows: the first one, unless a challenger is better beyond chance, which
/// is when the whole 95 % interval of the paired difference lies below zero; of several such, the best.
pub(in crate::models) fn select(losses: &[Vec<f64>], seed: u64) -> Selection {
    let differences: Vec<Interval> = losses.iter().map(|of| difference(of, &losses[0], seed)).collect();
    let better = (1..losses.len()).filter(|model| differences[*model].high < 0.0);
    let picked = better.min_by(|a, b| differences[*a].value.total_cmp(&differences[*b].value)).unwrap_or(0);
    Selection { picked, differences }
}

/// How much larger the mean of some losses is than that of others on the same rows.
pub(in crate::models) fn difference(losses: &[f64], others: &[f64], seed: u64) -> Interval {
    let more: Vec<f64> = losses.iter().zip(others).map(|(loss, other)| loss - other).collect();
    let mean =
        |weights: &[f64]| more.iter().zip(weights).map(|(more, weight)| more * weight).sum::<f64>() / more.len() as f64;
    let [difference] = intervals(more.len(), seed, |weights| [mean(weights)]);
    difference
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A thousand losses of half, the first `count` of them changed.
    fn changed(count: usize, by: f64) -> Vec<f64> {
        (0..1_000).map(|row| if row < count { 0.5 + by } else { 0.5 }).collect()
    }

    #[test]
    fn a_challenger_must_be_better_beyond_chance() {
        let picked = |challengers: &[Vec<f64>]| {
            let losses: Vec<_> = std::iter::once(changed(0, 0.0)).chain(challengers.iter().cloned()).collect();
            select(&losses, 1).picked
        };
        assert_eq!(picked(&[]), 0);
        assert_eq!(picked(&[changed(0, 0.0), changed(900, 0.1)]), 0, "equal and worse");
        assert_eq!(picked(&[changed(2, -0.4)]), 0, "two of a thousand may be chance");
        assert_eq!(picked(&[changed(300, -0.1), changed(300, -0.2), changed(300, 0.1)]), 2);
    }

    #[test]
    fn a_loss_that_is_no_number_is_never_picked() {
        let losses = [changed(0, 0.0), vec![f64::NAN; 1_000], Vec::new()];
        assert_eq!(select(&losses, 1).picked, 0);
    }

    #[test]
    fn losses_are_those_of_what_became_true() {
        assert_eq!(losses(&[0.25, 0.25], &[true, false]), [-(0.25f64.ln()), -(0.75f64.ln())]);
    }
}
