//! Answers about one customer, each with its reasons.

use std::time::Duration;

use smol_str::SmolStr;

use super::limits;
use super::money::Currency;
use super::reading::Reading;

/// Whether an answer could be given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PredictionStatus {
    /// Yes.
    Ok,
    /// Not enough is known about the customer; the figures are empty.
    InsufficientData,
}

/// Where an answer stands among all customers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Band {
    /// Nothing to do.
    Low,
    /// Worth a look.
    Medium,
    /// Worth acting on.
    High,
}

/// One reason of an answer. The contributions of an answer sum to its score.
#[derive(Debug, Clone, PartialEq)]
pub struct Contribution {
    /// The feature's name for programs.
    pub feature: SmolStr,
    /// The feature's name for people.
    pub display_name: SmolStr,
    /// The customer's value with its unit.
    pub value: Reading,
    /// How far it moved the score, in the score's unit.
    pub contribution: f64,
}

/// How likely a customer is to leave within the horizon.
#[derive(Debug, Clone, PartialEq)]
pub struct ChurnPrediction {
    /// Whether the figures below mean anything.
    pub status: PredictionStatus,
    /// Calibrated probability, within [1/(n+2), 1 − 1/(n+2)] of the calibration rows n.
    pub probability: f64,
    /// Share of all customers who left in the training windows.
    pub base_rate: f64,
    /// HIGH from twice the base rate, LOW below it.
    pub band: Band,
    /// How far the prediction looks ahead.
    pub horizon: Duration,
    /// The score of a customer without any particularity, before calibration.
    pub baseline_log_odds: f64,
    /// The score of this customer, before calibration: the baseline and all contributions.
    pub log_odds: f64,
    /// The reasons, largest first.
    pub contributions: Vec<Contribution>,
}

/// How hard the company makes life for a customer.
#[derive(Debug, Clone, PartialEq)]
pub struct EffortPrediction {
    /// Whether the figures below mean anything.
    pub status: PredictionStatus,
    /// 0 to 100, where 100 is the hardest.
    pub effort_index: f64,
    /// The Customer Effort Score, 1 to 7, that the customer would give, where a model has learned from such answers; the
    /// index is then another view of it. `None` for the index of behaviour, which is no predicted score.
    pub predicted_ces: Option<PredictedScore>,
    /// LOW below 33, HIGH from 67.
    pub band: Band,
    /// The reasons, largest first; they sum to the index. For a predicted score one of them is the index of the average
    /// respondent.
    pub contributions: Vec<Contribution>,
}

/// What a customer would answer to a survey.
#[derive(Debug, Clone, PartialEq)]
pub struct SurveyPrediction {
    /// Whether the figures below mean anything.
    pub status: PredictionStatus,
    /// The answer.
    pub predicted: PredictedScore,
    /// The reasons, largest first; they sum to the answer. One of them is the answer of the average respondent.
    pub contributions: Vec<Contribution>,
}

/// An answer on the scale of its survey that was not given.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct PredictedScore {
    /// The mean of what customers like this one answer.
    pub score: f64,
    /// 80 of 100 answers lie from here …
    pub low: f64,
    /// … to here.
    pub high: f64,
}

/// What a customer is expected to buy, and what that is worth.
#[derive(Debug, Clone, PartialEq)]
pub struct ValuePrediction {
    /// Whether the figures below mean anything.
    pub status: PredictionStatus,
    /// The probability that the customer has not left for good.
    pub alive: f64,
    /// How many purchases are expected within the horizon.
    pub expected_purchases: f64,
    /// How far ahead they are counted.
    pub horizon: Duration,
    /// What one of them is expected to be worth, net; `None` where no amounts are known to learn from.
    pub worth: Option<Worth>,
}

/// Money that a customer is expected to bring.
#[derive(Debug, Clone, PartialEq)]
pub struct Worth {
    /// In which currency.
    pub currency: Currency,
    /// Of one purchase.
    pub order_value: f64,
    /// The present value of all purchases within `lifetime_horizon`.
    pub lifetime_value: f64,
    /// How far ahead a lifetime is counted.
    pub lifetime_horizon: Duration,
    /// Interest per year at which later purchases count less.
    pub annual_discount_rate: f64,
}

/// Which segment a customer is in.
#[derive(Debug, Clone, PartialEq)]
pub struct SegmentPrediction {
    /// Whether the figures below mean anything.
    pub status: PredictionStatus,
    /// The segment's id, stable over retraining.
    pub segment_id: String,
    /// The segment's name for people.
    pub display_name: String,
    /// Distance to the segment's centre in standardised features.
    pub distance: f64,
    /// How near each segment is; the affinities sum to 1, the largest first.
    pub affinities: Vec<Affinity>,
    /// Whether the customer is far from every segment; `None` where the model did not learn what far is.
    pub outlier: Option<bool>,
}

/// How near a segment is to a customer.
#[derive(Debug, Clone, PartialEq)]
pub struct Affinity {
    /// Which segment.
    pub segment_id: String,
    /// Its name for people.
    pub display_name: String,
    /// 0 to 1.
    pub affinity: f64,
}

/// Tells the `limit` largest parts of a score, the largest first, and folds the others into one reason named `other`, so
/// that they still sum. Only what is listed is put into words: a score has many more parts than people read.
pub fn largest<P: Copy + Ord>(
    mut parts: Vec<(P, f64)>,
    limit: usize,
    tell: impl Fn(P, f64) -> Contribution,
) -> Vec<Contribution> {
    let larger_first = |a: &(P, f64), b: &(P, f64)| b.1.abs().total_cmp(&a.1.abs()).then(a.0.cmp(&b.0));
    let mut rest = None;
    if limit < parts.len() {
        parts.select_nth_unstable_by(limit, larger_first);
        rest = Some(parts.drain(limit..).map(|part| part.1).sum());
    }
    parts.sort_unstable_by(larger_first);
    let listed = parts.into_iter().map(|(part, contribution)| tell(part, contribution));
    listed.chain(rest.map(everything_else)).collect()
}

fn everything_else(contribution: f64) -> Contribution {
    Contribution {
        feature: limits::OTHER.into(),
        display_name: "everything else".into(),
        value: Reading::Text(SmolStr::default()),
        contribution,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tell(part: u8, contribution: f64) -> Contribution {
        let name: SmolStr = char::from(part).to_string().into();
        Contribution { feature: name.clone(), display_name: name, value: Reading::Unknown, contribution }
    }

    #[test]
    fn the_largest_parts_are_told_and_the_others_are_summed() {
        let parts = vec![(b'a', 1.0), (b'b', -3.0), (b'c', 0.5), (b'd', 3.0), (b'e', -0.25)];
        let told = |limit| -> Vec<(String, f64)> {
            let told = largest(parts.clone(), limit, tell).into_iter();
            told.map(|reason| (reason.feature.into(), reason.contribution)).collect()
        };
        let named = |reasons: &[(&str, f64)]| -> Vec<(String, f64)> {
            reasons.iter().map(|(name, contribution)| ((*name).to_owned(), *contribution)).collect()
        };
        let all = named(&[("b", -3.0), ("d", 3.0), ("a", 1.0), ("c", 0.5), ("e", -0.25)]);
        assert_eq!((told(5), told(usize::MAX)), (all.clone(), all));
        assert_eq!(told(2), named(&[("b", -3.0), ("d", 3.0), ("other", 1.25)]));
        assert_eq!(told(0), named(&[("other", 1.25)]));
        assert_eq!(largest(Vec::new(), 0, tell), []);
    }
}
