//! Satisfaction and effort as customers would answer: what the answers to a survey teach about everyone else.
//!
//! An answer is looked at as a share of the way from the lowest value of its scale to the highest. A scorer (the same
//! kinds as for churn, which look at the workspace's traits as well) makes a score in log-odds of that share, fitted by fractional logistic regression (Papke and
//! Wooldridge 1996) or by boosted trees with the same loss, so that no prediction leaves the scale. Around the predicted
//! answer lies an interval that the real answer falls into in a known share of the cases (`spread`).
//!
//! Whoever answers surveys differs from who does not. The card reports by how much (`respondents`); nothing is corrected.

use serde::{Deserialize, Serialize};

use self::spread::Spread;
use super::churn::scorer::Scorer;
use super::effort;
use super::error::{Error, Progress, report};
use super::features::View;
use super::schema::{Known, Schema};
use crate::domain::event::Event;
use crate::domain::payload::{Payload, SurveyKind};
use crate::domain::prediction::{Contribution, PredictedScore, PredictionStatus, SurveyPrediction, largest};
use crate::domain::profile::State;
use crate::domain::profile::surveys::Scores;
use crate::domain::time::Timestamp;
use crate::domain::value::Map;

mod answers;
mod candidates;
mod gate;
mod respondents;
mod spread;
#[cfg(test)]
mod tests;

pub use answers::{SurveyAnswers, SurveyParameters};

/// Answers below which nothing is learned.
pub const TRAINING_MIN: usize = 100;
/// Answers below which nothing is judged.
pub const TEST_MIN: usize = 50;
/// Answers in training that must differ from the most frequent one.
pub const DIFFERENT_MIN: usize = 20;
/// The share of real answers that lies between the ends of a predicted interval.
pub const LEVEL: f64 = 0.8;
/// The name of the contribution that is the predicted answer of the average respondent.
pub const BASELINE: &str = "baseline";
/// The kind of the events that are answers.
const SURVEY_RESPONSE: &str = "survey_response";
/// Share of answers by customers without any sign of effort below which such customers are not answered about.
const EFFORTLESS_MIN: f64 = 0.05;

/// Which survey is learned from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Question {
    /// Customer satisfaction, 1 to 5.
    Satisfaction,
    /// Customer effort score, 1 to 7, where 7 is effortless.
    Effort,
}

/// A trained model of answers. Serving needs nothing but its plain arrays.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SurveyModel {
    question: Question,
    schema: Schema,
    scorer: Scorer,
    spread: Spread,
    /// Nearly all who were asked had been in touch with support: nothing is known about the others.
    needs_contact: bool,
}

/// What a training of answers made.
#[derive(Debug, Clone, PartialEq)]
pub struct TrainedSurvey {
    /// The model.
    pub model: SurveyModel,
    /// What it was trained on and how good it is.
    pub card: Map,
    /// The figures of the card, each with its 95 % interval.
    pub metrics: Map,
    /// Whether it is good enough to answer.
    pub promote: bool,
}

impl Question {
    fn kind(self) -> SurveyKind {
        match self {
            Self::Satisfaction => SurveyKind::Csat,
            Self::Effort => SurveyKind::Ces,
        }
    }

    /// The name for programs, on cards.
    fn name(self) -> &'static str {
        match self {
            Self::Satisfaction => "csat",
            Self::Effort => "ces",
        }
    }

    /// The answer that an event gives to this question.
    fn answer(self, event: &Event) -> Option<f64> {
        match &event.payload {
            Payload::SurveyResponse(answer) if answer.kind == self.kind() => Some(answer.score),
            _ => None,
        }
    }

    /// What a customer has answered to this question.
    fn answered(self, state: &State) -> Option<Scores> {
        match self {
            Self::Satisfaction => state.surveys.csat,
            Self::Effort => state.surveys.ces,
        }
    }

    /// An answer as a share of the way from the lowest to the highest.
    fn share(self, answer: f64) -> f64 {
        let scale = self.kind().scale();
        ((answer - scale.start()) / (scale.end() - scale.start())).clamp(0.0, 1.0)
    }

    /// The answer of a share.
    fn of_share(self, share: f64) -> f64 {
        let scale = self.kind().scale();
        scale.start() + share * (scale.end() - scale.start())
    }
}

impl SurveyModel {
    /// Which survey it has learned from.
    pub fn question(&self) -> Question {
        self.question
    }

    /// What a customer would answer who is asked after the last thing that happened. `INSUFFICIENT_DATA` for a customer
    /// without any event, and where nearly all who were asked had been in touch with support, for those who have not.
    /// The `limit` largest reasons are listed.
    pub fn predict(&self, state: &State, now: Timestamp, limit: usize) -> SurveyPrediction {
        let Some(answer) = self.answer(state, now) else { return no_answer() };
        SurveyPrediction {
            status: PredictionStatus::Ok,
            predicted: answer.predicted,
            contributions: largest(answer.parts(), limit, |part, points| answer.reason(part, points)),
        }
    }

    /// The same in numbers; `None` where too little is known.
    pub(super) fn answer<'a>(&'a self, state: &'a State, now: Timestamp) -> Option<Predicted<'a>> {
        let is_unknown = state.activity.events() == 0;
        if is_unknown || self.needs_contact && !has_contact(state, now) {
            return None;
        }
        let view = View::new(state, moment(state).unwrap_or(now), &[]);
        let known = self.scorer.look(&self.schema, &view);
        let explanation = self.scorer.explain(&known);
        let (log_odds, baseline) = (explanation.log_odds(), probability(explanation.baseline));
        let share = probability(log_odds);
        let moved = log_odds - explanation.baseline;
        // A customer with nothing in particular has the slope of the curve instead of that of its chord.
        let slope = if moved.abs() > 1e-9 { (share - baseline) / moved } else { baseline * (1.0 - baseline) };
        let (low, high) = self.spread.around(share);
        Some(Predicted {
            predicted: PredictedScore {
                score: self.question.of_share(share),
                low: self.question.of_share(low),
                high: self.question.of_share(high),
            },
            average: self.question.of_share(baseline),
            points: self.question.of_share(slope) - self.question.of_share(0.0),
            log_odds: explanation.parts,
            known,
            currency: view.currency(),
            schema: &self.schema,
        })
    }

    /// The predicted share of known values.
    fn share(&self, known: &Known) -> f64 {
        probability(self.scorer.log_odds(known))
    }

    /// Finds the features of a model that was read; false where this release cannot serve it.
    pub(super) fn resolve(&mut self) -> bool {
        self.scorer.resolve(&self.schema) && self.spread.is_sound()
    }
}

/// What a part of a predicted answer comes from: a feature by its position in the schema, or `None` for what the average
/// respondent answers.
pub(super) type Source = Option<usize>;

/// A predicted answer whose reasons are numbers yet.
pub(super) struct Predicted<'a> {
    pub(super) predicted: PredictedScore,
    /// What the average respondent answers.
    pub(super) average: f64,
    /// Points of the scale per log-odds, the same for all parts, so that they sum from the answer of the average
    /// respondent to that of this customer.
    points: f64,
    log_odds: Vec<(usize, f64)>,
    known: Vec<Option<f64>>,
    currency: &'a str,
    schema: &'a Schema,
}

impl Predicted<'_> {
    /// What sums to the answer, in points of the scale.
    pub(super) fn parts(&self) -> Vec<(Source, f64)> {
        let moved = self.log_odds.iter().map(|(position, part)| (Some(*position), self.points * part));
        std::iter::once((None, self.average)).chain(moved).collect()
    }

    /// A part in words. Its contribution may be in another unit than points.
    pub(super) fn reason(&self, source: Source, contribution: f64) -> Contribution {
        match source {
            Some(position) => self.schema.reason(position, &self.known, self.currency, contribution),
            None => Contribution {
                feature: BASELINE.into(),
                display_name: "The average respondent".into(),
                value: format!("{:.1}", self.average).into(),
                contribution,
            },
        }
    }
}

/// When the last thing happened that was no answer to a survey. Customers are asked some time after something has happened,
/// and answered about at any time: as of that moment both look alike, whatever the delay, and silence changes nothing.
fn moment(state: &State) -> Option<Timestamp> {
    let kinds = state.activity.kinds.iter().filter(|(kind, _)| kind.as_str() != SURVEY_RESPONSE);
    kinds.map(|(_, tally)| tally.last).max()
}

/// Whether a customer has ever been in touch with support, or tried to help themselves and failed.
fn has_contact(state: &State, now: Timestamp) -> bool {
    effort::predict(state, now, 0).status == PredictionStatus::Ok
}

fn no_answer() -> SurveyPrediction {
    SurveyPrediction {
        status: PredictionStatus::InsufficientData,
        predicted: PredictedScore { score: 0.0, low: 0.0, high: 0.0 },
        contributions: Vec::new(),
    }
}

fn probability(log_odds: f64) -> f64 {
    1.0 / (1.0 + (-log_odds).exp())
}

/// Trains models on the earlier answers, picks one of them by answers that it was fitted without, and judges it on the
/// later ones beside the `previous` model.
///
/// # Errors
/// [`Error::NotEnoughData`] with fewer than [`TRAINING_MIN`] answers in training or [`TEST_MIN`] in the test, or where
/// fewer than [`DIFFERENT_MIN`] of those in training differ from the most frequent one; [`Error::Cancelled`] when
/// `progress` asks to stop.
pub fn train(
    answers: &SurveyAnswers,
    previous: Option<&SurveyModel>,
    progress: &dyn Progress,
) -> Result<TrainedSurvey, Error> {
    report(progress, 0.0)?;
    let parts = answers.parts();
    check(answers.question(), &parts)?;
    let fitted = candidates::fit(answers, &parts.training, progress)?;
    report(progress, 0.9)?;
    let trained = gate::judge(answers, &parts, fitted, previous);
    report(progress, 1.0)?;
    Ok(trained)
}

fn check(question: Question, parts: &answers::Parts<'_>) -> Result<(), Error> {
    let (name, training, test) = (question.name(), parts.training.len(), parts.test.len());
    if training < TRAINING_MIN || test < TEST_MIN {
        return Err(Error::NotEnoughData(format!(
            "a model of {name} needs {TRAINING_MIN} answers to learn from and {TEST_MIN} others to be judged by, but has \
             {training} and {test}"
        )));
    }
    let mut scores: Vec<f64> = parts.training.iter().map(|row| row.answer.score).collect();
    scores.sort_unstable_by(f64::total_cmp);
    let most_frequent = scores.chunk_by(|a, b| a == b).map(<[f64]>::len).max().unwrap_or(0);
    let different = training - most_frequent;
    if different < DIFFERENT_MIN {
        return Err(Error::NotEnoughData(format!(
            "a model of {name} needs {DIFFERENT_MIN} answers that differ from the most frequent one, but has {different}"
        )));
    }
    Ok(())
}
