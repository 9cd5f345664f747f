//! What a customer answered to surveys.

use serde::{Deserialize, Serialize};

use super::join;
use crate::domain::payload::{SurveyKind, SurveyResponse};
use crate::domain::time::Timestamp;

/// Answers by question.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Surveys {
    /// Net promoter score, 0 to 10.
    pub nps: Option<Scores>,
    /// Satisfaction, 1 to 5.
    pub csat: Option<Scores>,
    /// Effort, 1 to 7, where 7 is effortless.
    pub ces: Option<Scores>,
}

/// Answers to one question.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Scores {
    /// How many.
    pub answers: u64,
    /// Their sum.
    pub sum: f64,
    /// The last one.
    pub last: f64,
    /// When it was given.
    pub last_time: Timestamp,
}

impl Scores {
    /// Mean of the answers.
    pub fn mean(&self) -> f64 {
        self.sum / self.answers as f64
    }

    /// Of two last answers of the same moment the higher one is taken for the last.
    fn join(&mut self, other: Self) {
        self.answers += other.answers;
        self.sum = join::sum(self.sum, other.sum);
        if self.last_time.cmp(&other.last_time).then(self.last.total_cmp(&other.last)).is_lt() {
            (self.last, self.last_time) = (other.last, other.last_time);
        }
    }
}

impl Surveys {
    pub(in crate::domain) fn fold(&mut self, answer: &SurveyResponse, time: Timestamp) {
        let scores = match answer.kind {
            SurveyKind::Nps => &mut self.nps,
            SurveyKind::Csat => &mut self.csat,
            SurveyKind::Ces => &mut self.ces,
        };
        let before = scores.map_or((0, 0.0), |scores| (scores.answers, scores.sum));
        *scores =
            Some(Scores { answers: before.0 + 1, sum: before.1 + answer.score, last: answer.score, last_time: time });
    }

    /// Takes over what another history of the customer adds up to.
    pub(super) fn join(&mut self, other: Self) {
        join::both(&mut self.nps, other.nps, Scores::join);
        join::both(&mut self.csat, other.csat, Scores::join);
        join::both(&mut self.ces, other.ces, Scores::join);
    }
}
