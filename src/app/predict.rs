//! Answers about customers: segment, effort and churn. Pure reads.

use std::sync::Arc;

use super::application::App;
use super::customer::{Caller, CustomerRef, Found, Read};
use super::error::Result;
use super::registry::Serving;
use crate::domain::id::{ProfileId, Revision};
use crate::domain::model::ModelRef;
use crate::domain::prediction::{ChurnPrediction, EffortPrediction, SegmentPrediction};
use crate::models::effort;

/// A prediction with the model that gave it.
#[derive(Debug, Clone)]
pub struct With<P> {
    /// The prediction.
    pub prediction: P,
    /// The model.
    pub model: Arc<ModelRef>,
}

/// All answers about one customer; what cannot be answered says why.
#[derive(Debug)]
pub struct Answer {
    /// Which customer.
    pub profile: ProfileId,
    /// Which segment they are in; `None` where it was not asked for.
    pub segment: Option<Result<With<SegmentPrediction>>>,
    /// How hard the company makes life for them.
    pub effort: Option<EffortPrediction>,
    /// How likely they are to leave.
    pub churn: Option<Result<With<ChurnPrediction>>>,
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
}

impl Kinds {
    /// Everything.
    pub const ALL: Self = Self { segment: true, effort: true, churn: true };
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
        let (found, revision) = self.get_profile(caller, customer, read).await?;
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
    ) -> Result<Prediction<EffortPrediction>> {
        let (found, revision) = self.get_profile(caller, customer, read).await?;
        let answer = effort::predict(&found.profile.state, found.now);
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
        let (found, revision) = self.get_profile(caller, customer, read).await?;
        let answer = churn(&self.registry.serving(&caller.workspace), &found)?;
        Ok(Prediction { profile: found.profile.id, revision, answer })
    }

    /// Everything about a customer in one call.
    ///
    /// # Errors
    /// [`NotFound`](super::Error::NotFound) for an unknown customer.
    pub async fn predict(&self, caller: &Caller, customer: &CustomerRef, read: &Read) -> Result<Prediction<Answer>> {
        let (found, revision) = self.get_profile(caller, customer, read).await?;
        let answer = answer(&self.registry.serving(&caller.workspace), &found, Kinds::ALL);
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
        let answer_to = |found: Result<Found>| take(found.map(|found| answer(&serving, &found, Kinds::ALL)));
        self.find_each(caller, customers, read, answer_to).await?;
        Ok(revision)
    }

    /// The segment that a customer is in now, or an empty text where no model answers or too little is known.
    pub fn segment_of(&self, caller: &Caller, found: &Found) -> String {
        let serving = self.registry.serving(&caller.workspace);
        segment(&serving, found).map(|with| with.prediction.segment_id).unwrap_or_default()
    }
}

/// The answers that are asked for.
pub(super) fn answer(serving: &Serving, found: &Found, kinds: Kinds) -> Answer {
    Answer {
        profile: found.profile.id,
        segment: kinds.segment.then(|| segment(serving, found)),
        effort: kinds.effort.then(|| effort::predict(&found.profile.state, found.now)),
        churn: kinds.churn.then(|| churn(serving, found)),
    }
}

pub(super) fn segment(serving: &Serving, found: &Found) -> Result<With<SegmentPrediction>> {
    let served = serving.segments()?;
    let prediction = served.model.predict(&found.profile.state, found.now);
    Ok(With { prediction, model: Arc::clone(&served.reference) })
}

fn churn(serving: &Serving, found: &Found) -> Result<With<ChurnPrediction>> {
    let served = serving.churn()?;
    let prediction = served.model.predict(&found.profile.state, found.now);
    Ok(With { prediction, model: Arc::clone(&served.reference) })
}
