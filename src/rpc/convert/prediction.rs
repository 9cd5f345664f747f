//! Predictions.

use super::{model, time};
use crate::app::{Answer, Error, Kinds, With};
use crate::domain::limits;
use crate::domain::model::ModelRef;
use crate::domain::prediction::{
    Band, ChurnPrediction, Contribution, EffortPrediction, PredictionStatus, SegmentPrediction, largest,
};
use crate::domain::violation::Violations;
use crate::rpc::call::Call;
use crate::rpc::pb;

/// How many contributions an answer lists, beside the one that sums the rest.
#[derive(Debug, Clone, Copy)]
pub(in crate::rpc) struct ContributionLimit(usize);

impl ContributionLimit {
    /// The limit of an answer about one customer: 0 is all.
    pub(in crate::rpc) fn of_one(sent: i32, violations: &mut Violations) -> Self {
        Self(Self::parse(sent, violations).unwrap_or(usize::MAX))
    }

    /// The limit of an answer about many customers: 0 is a few, and there is a largest one.
    pub(in crate::rpc) fn of_many(sent: i32, violations: &mut Violations) -> Self {
        let limit = Self::parse(sent, violations).unwrap_or(limits::CONTRIBUTIONS_DEFAULT);
        Self(limit.min(limits::CONTRIBUTIONS_MAX))
    }

    /// The limit that was sent, if one was; a negative one is a violation.
    fn parse(sent: i32, violations: &mut Violations) -> Option<usize> {
        let limit = usize::try_from(sent);
        if limit.is_err() {
            violations.add("contribution_limit", "must not be negative");
        }
        limit.ok().filter(|limit| *limit > 0)
    }

    fn apply(self, contributions: Vec<Contribution>) -> Vec<pb::Contribution> {
        largest(contributions, self.0).into_iter().map(contribution).collect()
    }
}

/// The segment of a customer.
pub(in crate::rpc) fn segment(answer: With<SegmentPrediction>) -> pb::PredictSegmentResponse {
    let SegmentPrediction { status, segment_id, display_name, distance, affinities, outlier } = answer.prediction;
    pb::PredictSegmentResponse {
        segment_id,
        display_name,
        distance,
        affinities: affinities
            .into_iter()
            .map(|near| pb::Affinity {
                segment_id: near.segment_id,
                display_name: near.display_name,
                affinity: near.affinity,
            })
            .collect(),
        model: model_of(&answer.model),
        status: status_to_pb(status).into(),
        outlier,
        ..Default::default()
    }
}

/// The effort of a customer. It is always the index: there is no survey model yet.
pub(in crate::rpc) fn effort(answer: EffortPrediction, limit: ContributionLimit) -> pb::PredictEffortResponse {
    let basis = match answer.status {
        PredictionStatus::Ok => pb::EffortBasis::BehaviourIndex,
        PredictionStatus::InsufficientData => pb::EffortBasis::Unspecified,
    };
    pb::PredictEffortResponse {
        status: status_to_pb(answer.status).into(),
        basis: basis.into(),
        effort_index: answer.effort_index,
        band: band(answer.status, answer.band).into(),
        contributions: limit.apply(answer.contributions),
        ..Default::default()
    }
}

/// The churn of a customer. Where too little is known all figures are 0, so that none is taken for an answer.
pub(in crate::rpc) fn churn(answer: With<ChurnPrediction>, limit: ContributionLimit) -> pb::PredictChurnResponse {
    let churn = answer.prediction;
    let unanswered = pb::PredictChurnResponse {
        status: status_to_pb(churn.status).into(),
        model: model_of(&answer.model),
        ..Default::default()
    };
    match churn.status {
        PredictionStatus::InsufficientData => unanswered,
        PredictionStatus::Ok => pb::PredictChurnResponse {
            probability: churn.probability,
            base_rate: churn.base_rate,
            band: band(churn.status, churn.band).into(),
            horizon: Some(time::duration_to_pb(churn.horizon)),
            baseline_log_odds: churn.baseline_log_odds,
            log_odds: churn.log_odds,
            contributions: limit.apply(churn.contributions),
            ..unanswered
        },
    }
}

/// All answers about a customer; a part that has none says why in `errors`.
pub(in crate::rpc) fn all(call: &Call, answer: Answer, limit: ContributionLimit) -> pb::PredictResponse {
    let mut response = pb::PredictResponse {
        effort: answer.effort.map(|answer| effort(answer, limit)),
        profile_id: answer.profile.to_string(),
        ..Default::default()
    };
    let mut failed = |kind: pb::ModelKind, error: Error| {
        response.errors.push(pb::PredictionError { kind: kind.into(), error: Some(call.item_error(error)) });
    };
    match answer.segment {
        Some(Ok(answer)) => response.segment = Some(segment(answer)),
        Some(Err(error)) => failed(pb::ModelKind::Segments, error),
        None => {}
    }
    match answer.churn {
        Some(Ok(answer)) => response.churn = Some(churn(answer, limit)),
        Some(Err(error)) => failed(pb::ModelKind::Churn, error),
        None => {}
    }
    response
}

/// Which answers a stream is asked for; none named is all. A kind that is none, or has no prediction, is a violation.
pub(in crate::rpc) fn kinds(sent: &[i32], violations: &mut Violations) -> Kinds {
    /// How many kinds have predictions; whoever names more repeats one.
    const KINDS: usize = 3;
    if sent.is_empty() {
        return Kinds::ALL;
    }
    if sent.len() > KINDS {
        violations.add("kinds", format!("has {} items; the limit is {KINDS}", sent.len()));
    }
    let mut kinds = Kinds { segment: false, effort: false, churn: false };
    for (position, kind) in sent.iter().take(KINDS).enumerate() {
        match pb::ModelKind::try_from(*kind) {
            Ok(pb::ModelKind::Segments) => kinds.segment = true,
            Ok(pb::ModelKind::Churn) => kinds.churn = true,
            Ok(pb::ModelKind::Effort) => kinds.effort = true,
            Ok(pb::ModelKind::Unspecified | pb::ModelKind::Satisfaction) | Err(_) => {
                let field = format!("kinds[{position}]");
                violations.add(&field, "must be MODEL_KIND_SEGMENTS, _CHURN or _EFFORT");
            }
        }
    }
    kinds
}

fn model_of(reference: &ModelRef) -> Option<pb::ModelRef> {
    Some(model::reference(reference))
}

fn status_to_pb(status: PredictionStatus) -> pb::PredictionStatus {
    match status {
        PredictionStatus::Ok => pb::PredictionStatus::Ok,
        PredictionStatus::InsufficientData => pb::PredictionStatus::InsufficientData,
    }
}

fn band(status: PredictionStatus, band: Band) -> pb::Band {
    match (status, band) {
        (PredictionStatus::InsufficientData, _) => pb::Band::Unspecified,
        (PredictionStatus::Ok, Band::Low) => pb::Band::Low,
        (PredictionStatus::Ok, Band::Medium) => pb::Band::Medium,
        (PredictionStatus::Ok, Band::High) => pb::Band::High,
    }
}

fn contribution(contribution: Contribution) -> pb::Contribution {
    pb::Contribution {
        feature: contribution.feature.to_owned(),
        display_name: contribution.display_name.to_owned(),
        value: contribution.value,
        contribution: contribution.contribution,
    }
}
