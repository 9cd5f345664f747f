//! Predictions.

use super::{model, time};
use crate::app::{Answer, Effort, Error, Kinds, With};
use crate::domain::model::{ModelKind, ModelRef};
use crate::domain::prediction::{
    Band, ChurnPrediction, Contribution, PredictedScore, PredictionStatus, SegmentPrediction, SurveyPrediction,
    ValuePrediction,
};
use crate::domain::violation::Violations;
use crate::rpc::call::Call;
use crate::rpc::pb;

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

/// The effort of a customer. The index of behaviour is no predicted score, whose figures stay 0 then.
pub(in crate::rpc) fn effort(answer: Effort) -> pb::PredictEffortResponse {
    let Effort { prediction: answer, model } = answer;
    let basis = match (answer.status, answer.predicted_ces) {
        (PredictionStatus::InsufficientData, _) => pb::EffortBasis::Unspecified,
        (PredictionStatus::Ok, None) => pb::EffortBasis::BehaviourIndex,
        (PredictionStatus::Ok, Some(_)) => pb::EffortBasis::SurveyModel,
    };
    let predicted = answer.predicted_ces.unwrap_or(PredictedScore { score: 0.0, low: 0.0, high: 0.0 });
    pb::PredictEffortResponse {
        status: status_to_pb(answer.status).into(),
        basis: basis.into(),
        effort_index: answer.effort_index,
        band: band(answer.status, answer.band).into(),
        contributions: reasons(answer.contributions),
        predicted_ces: predicted.score,
        low: predicted.low,
        high: predicted.high,
        model: model.as_deref().and_then(model_of),
        ..Default::default()
    }
}

/// The satisfaction of a customer.
pub(in crate::rpc) fn satisfaction(answer: With<SurveyPrediction>) -> pb::PredictSatisfactionResponse {
    let SurveyPrediction { status, predicted: PredictedScore { score, low, high }, contributions } = answer.prediction;
    pb::PredictSatisfactionResponse {
        status: status_to_pb(status).into(),
        predicted_csat: score,
        low,
        high,
        contributions: reasons(contributions),
        model: model_of(&answer.model),
        ..Default::default()
    }
}

/// What a customer will buy, and what that is worth. Where too little is known all figures are 0.
pub(in crate::rpc) fn value(answer: With<ValuePrediction>) -> pb::PredictValueResponse {
    let ValuePrediction { status, alive, expected_purchases, horizon, worth } = answer.prediction;
    let mut response = pb::PredictValueResponse {
        status: status_to_pb(status).into(),
        probability_alive: alive,
        expected_purchases,
        horizon: Some(time::duration_to_pb(horizon)),
        model: model_of(&answer.model),
        ..Default::default()
    };
    if let Some(worth) = worth {
        response.expected_order_value = worth.order_value;
        response.lifetime_value = worth.lifetime_value;
        response.currency = worth.currency.as_str().to_owned();
        response.lifetime_horizon = Some(time::duration_to_pb(worth.lifetime_horizon));
        response.annual_discount_rate = worth.annual_discount_rate;
    }
    response
}

/// The churn of a customer. Where too little is known all figures are 0, so that none is taken for an answer.
pub(in crate::rpc) fn churn(answer: With<ChurnPrediction>) -> pb::PredictChurnResponse {
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
            contributions: reasons(churn.contributions),
            ..unanswered
        },
    }
}

/// All answers about a customer; a part that has none says why in `errors`.
pub(in crate::rpc) fn all(call: &Call, answer: Answer) -> pb::PredictResponse {
    let mut response = pb::PredictResponse {
        effort: answer.effort.map(effort),
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
        Some(Ok(answer)) => response.churn = Some(churn(answer)),
        Some(Err(error)) => failed(pb::ModelKind::Churn, error),
        None => {}
    }
    match answer.satisfaction {
        Some(Ok(answer)) => response.satisfaction = Some(satisfaction(answer)),
        Some(Err(error)) => failed(pb::ModelKind::Satisfaction, error),
        None => {}
    }
    match answer.value {
        Some(Ok(answer)) => response.value = Some(value(answer)),
        Some(Err(error)) => failed(pb::ModelKind::Value, error),
        None => {}
    }
    response
}

/// Which answers a stream is asked for; `None` where none is named, which is all. A kind that is none is a violation.
pub(in crate::rpc) fn kinds(sent: &[i32], violations: &mut Violations) -> Option<Kinds> {
    /// How many kinds have predictions; whoever names more repeats one.
    const KINDS: usize = ModelKind::ALL.len();
    if sent.is_empty() {
        return None;
    }
    if sent.len() > KINDS {
        violations.add("kinds", format!("has {} items; the limit is {KINDS}", sent.len()));
    }
    let mut kinds = Kinds::NONE;
    for (position, kind) in sent.iter().take(KINDS).enumerate() {
        match model::kind_from_pb(*kind) {
            Some(ModelKind::Segments) => kinds.segment = true,
            Some(ModelKind::Churn) => kinds.churn = true,
            Some(ModelKind::Effort) => kinds.effort = true,
            Some(ModelKind::Satisfaction) => kinds.satisfaction = true,
            Some(ModelKind::Value) => kinds.value = true,
            None => {
                let field = format!("kinds[{position}]");
                violations.add(&field, "must be MODEL_KIND_SEGMENTS, _CHURN, _EFFORT, _SATISFACTION or _VALUE");
            }
        }
    }
    Some(kinds)
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

fn reasons(contributions: Vec<Contribution>) -> Vec<pb::Contribution> {
    let reason = |reason: Contribution| pb::Contribution {
        feature: reason.feature.into(),
        display_name: reason.display_name.into(),
        value: reason.value.to_string(),
        contribution: reason.contribution,
    };
    contributions.into_iter().map(reason).collect()
}
