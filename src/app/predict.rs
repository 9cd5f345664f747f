//! Answers about customers: segment, effort, churn, satisfaction and value. Pure reads.

use std::sync::Arc;
use std::time::Duration;

use super::application::App;
use super::customer::{Caller, CustomerRef, Found, Read};
use super::error::Result;
use super::registry::Serving;
use crate::domain::id::{ProfileId, Revision};
use crate::domain::model::ModelRef;
use crate::domain::prediction::{
    ChurnPrediction, EffortPrediction, SegmentPrediction, SurveyPrediction, ValuePrediction,
};
use crate::models::effort;

/// A prediction with the model that gave it.
#[derive(Debug, Clone)]
pub struct With<P> {
    /// The prediction.
    pub prediction: P,
    /// The model.
    pub model: Arc<ModelRef>,
}

/// How hard the company makes life for a customer, with the model that said so.
#[derive(Debug, Clone)]
pub struct Effort {
    /// The prediction.
    pub prediction: EffortPrediction,
    /// The model; `None` for the index of behaviour, which has none.
    pub model: Option<Arc<ModelRef>>,
}

/// All answers about one customer; what cannot be answered says why.
#[derive(Debug)]
pub struct Answer {
    /// Which customer.
    pub profile: ProfileId,
    /// Which segment they are in; `None` where it was not asked for.
    pub segment: Option<Result<With<SegmentPrediction>>>,
    /// How hard the company makes life for them.
    pub effort: Option<Effort>,
    /// How likely they are to leave.
    pub churn: Option<Result<With<ChurnPrediction>>>,
    /// How satisfied they would say to be.
    pub satisfaction: Option<Result<With<SurveyPrediction>>>,
    /// What they will buy, and what that is worth.
    pub value: Option<Result<With<ValuePrediction>>>,
}

/// One answer about one customer.
#[derive(Debug)]
pub struct Prediction<P> {
    /// Which customer.
    pub profile: ProfileId,
    /// What was read.
    pub revision: Revision,
    /// The answer.
    pub answer: P,
}

/// Which answers are asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Kinds {
    /// The segment.
    pub segment: bool,
    /// The effort.
    pub effort: bool,
    /// The churn.
    pub churn: bool,
    /// The satisfaction.
    pub satisfaction: bool,
    /// The value.
    pub value: bool,
}

impl Kinds {
    /// Nothing.
    pub const NONE: Self = Self { segment: false, effort: false, churn: false, satisfaction: false, value: false };

    /// What somebody gets who asks for everything: satisfaction and value only where a model answers, because most
    /// workspaces send no surveys, and many sell nothing piece by piece.
    pub(super) fn everything(serving: &Serving) -> Self {
        let (satisfaction, value) = (serving.satisfaction.is_some(), serving.value.is_some());
        Self { segment: true, effort: true, churn: true, satisfaction, value }
    }

    /// Why nothing of what is asked for can be answered; effort always can.
    pub(super) fn check(self, serving: &Serving) -> Result<()> {
        let asked = [
            (self.effort, Ok(())),
            (self.segment, serving.segments().map(drop)),
            (self.churn, serving.churn().map(drop)),
            (self.satisfaction, serving.satisfaction().map(drop)),
            (self.value, serving.value().map(drop)),
        ];
        let answers = asked.into_iter().filter(|(is_asked, _)| *is_asked).map(|(_, answer)| answer);
        answers.reduce(Result::or).unwrap_or(Ok(()))
    }
}

impl App {
    /// The segment that a customer is in.
    ///
    /// # Errors
    /// [`NotFound`](super::Error::NotFound) for an unknown customer, [`Precondition`](super::Error::Precondition) before the first training.
    pub async fn predict_segment(
        &self,
        caller: &Caller,
        customer: &CustomerRef,
        read: &Read,
    ) -> Result<Prediction<With<SegmentPrediction>>> {
        let (found, revision) = self.whole(caller, customer, read).await?;
        let answer = segment(&self.registry.serving(&caller.workspace), &found)?;
        Ok(Prediction { profile: found.profile.id, revision, answer })
    }

    /// How hard the company makes life for a customer.
    ///
    /// # Errors
    /// [`NotFound`](super::Error::NotFound) for an unknown customer.
    pub async fn predict_effort(
        &self,
        caller: &Caller,
        customer: &CustomerRef,
        read: &Read,
    ) -> Result<Prediction<Effort>> {
        let (found, revision) = self.whole(caller, customer, read).await?;
        let answer = effort_of(&self.registry.serving(&caller.workspace), &found, read.reasons());
        Ok(Prediction { profile: found.profile.id, revision, answer })
    }

    /// How likely a customer is to leave.
    ///
    /// # Errors
    /// [`NotFound`](super::Error::NotFound) for an unknown customer, [`Precondition`](super::Error::Precondition) before the first training.
    pub async fn predict_churn(
        &self,
        caller: &Caller,
        customer: &CustomerRef,
        read: &Read,
    ) -> Result<Prediction<With<ChurnPrediction>>> {
        let (found, revision) = self.whole(caller, customer, read).await?;
        let answer = churn(&self.registry.serving(&caller.workspace), &found, read.reasons())?;
        Ok(Prediction { profile: found.profile.id, revision, answer })
    }

    /// How satisfied a customer would say to be.
    ///
    /// # Errors
    /// [`NotFound`](super::Error::NotFound) for an unknown customer, [`Precondition`](super::Error::Precondition) before the first training.
    pub async fn predict_satisfaction(
        &self,
        caller: &Caller,
        customer: &CustomerRef,
        read: &Read,
    ) -> Result<Prediction<With<SurveyPrediction>>> {
        let (found, revision) = self.whole(caller, customer, read).await?;
        let answer = satisfaction(&self.registry.serving(&caller.workspace), &found, read.reasons())?;
        Ok(Prediction { profile: found.profile.id, revision, answer })
    }

    /// What a customer will buy within a horizon, that of the model where none is named, and what that is worth.
    ///
    /// # Errors
    /// [`NotFound`](super::Error::NotFound) for an unknown customer, [`Precondition`](super::Error::Precondition) before the first training.
    pub async fn predict_value(
        &self,
        caller: &Caller,
        customer: &CustomerRef,
        horizon: Option<Duration>,
        read: &Read,
    ) -> Result<Prediction<With<ValuePrediction>>> {
        let (found, revision) = self.whole(caller, customer, read).await?;
        let answer = value(&self.registry.serving(&caller.workspace), &found, horizon)?;
        Ok(Prediction { profile: found.profile.id, revision, answer })
    }

    /// Everything about a customer in one call.
    ///
    /// # Errors
    /// [`NotFound`](super::Error::NotFound) for an unknown customer.
    pub async fn predict(&self, caller: &Caller, customer: &CustomerRef, read: &Read) -> Result<Prediction<Answer>> {
        let (found, revision) = self.whole(caller, customer, read).await?;
        let serving = self.registry.serving(&caller.workspace);
        let answer = answer(&serving, &found, Kinds::everything(&serving), read.reasons());
        Ok(Prediction { profile: found.profile.id, revision, answer })
    }

    /// Gives everything about several customers in their order to `take`, each or its error; one that could not be
    /// named stays the error that it is.
    ///
    /// # Errors
    /// [`Invalid`](super::Error::Invalid) for a read that cannot be; those of single customers go to `take`.
    pub async fn batch_predict(
        &self,
        caller: &Caller,
        customers: Vec<Result<CustomerRef>>,
        read: &Read,
        mut take: impl FnMut(Result<Answer>) + Send,
    ) -> Result<Revision> {
        let revision = self.check_read(read)?;
        let serving = self.registry.serving(&caller.workspace);
        let kinds = Kinds::everything(&serving);
        let answer_to = |found: Result<Found>| take(found.map(|found| answer(&serving, &found, kinds, read.reasons())));
        self.find_each(caller, customers, read, answer_to).await?;
        Ok(revision)
    }

    /// Whether a model says who is in which segment.
    pub(super) fn has_segments(&self, caller: &Caller) -> bool {
        self.registry.serving(&caller.workspace).segments.is_some()
    }

    /// The segment that a customer is in now, or an empty text where no model answers or too little is known.
    pub fn segment_of(&self, caller: &Caller, found: &Found) -> String {
        let serving = self.registry.serving(&caller.workspace);
        segment(&serving, found).map(|with| with.prediction.segment_id).unwrap_or_default()
    }
}

/// The answers that are asked for, each with so many `reasons`.
pub(super) fn answer(serving: &Serving, found: &Found, kinds: Kinds, reasons: usize) -> Answer {
    Answer {
        profile: found.profile.id,
        segment: kinds.segment.then(|| segment(serving, found)),
        effort: kinds.effort.then(|| effort_of(serving, found, reasons)),
        churn: kinds.churn.then(|| churn(serving, found, reasons)),
        satisfaction: kinds.satisfaction.then(|| satisfaction(serving, found, reasons)),
        value: kinds.value.then(|| value(serving, found, None)),
    }
}

pub(super) fn segment(serving: &Serving, found: &Found) -> Result<With<SegmentPrediction>> {
    let served = serving.segments()?;
    let prediction = served.model.predict(&found.profile.state, found.now);
    Ok(With { prediction, model: Arc::clone(&served.reference) })
}

fn churn(serving: &Serving, found: &Found, reasons: usize) -> Result<With<ChurnPrediction>> {
    let served = serving.churn()?;
    let prediction = served.model.predict(&found.profile.state, found.now, reasons);
    Ok(With { prediction, model: Arc::clone(&served.reference) })
}

/// The effort by what customers answered where a model has learned from that, and by the index of behaviour elsewhere.
fn effort_of(serving: &Serving, found: &Found, reasons: usize) -> Effort {
    let (state, now) = (&found.profile.state, found.now);
    let Some(served) = &serving.effort else {
        return Effort { prediction: effort::predict(state, now, reasons), model: None };
    };
    let prediction = effort::predict_by_answers(&served.model, state, now, reasons);
    Effort { prediction, model: Some(Arc::clone(&served.reference)) }
}

fn satisfaction(serving: &Serving, found: &Found, reasons: usize) -> Result<With<SurveyPrediction>> {
    let served = serving.satisfaction()?;
    let prediction = served.model.predict(&found.profile.state, found.now, reasons);
    Ok(With { prediction, model: Arc::clone(&served.reference) })
}

fn value(serving: &Serving, found: &Found, horizon: Option<Duration>) -> Result<With<ValuePrediction>> {
    let served = serving.value()?;
    let prediction = served.model.predict(&found.profile.state, found.now, horizon);
    Ok(With { prediction, model: Arc::clone(&served.reference) })
}
