//! What a customer answered to surveys.

use serde::{Deserialize, Serialize};

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
}
