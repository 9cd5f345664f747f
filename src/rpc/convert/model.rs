//! Models and their cards.

use super::{time, value};
use crate::app::{Error, ModelView, Resource, Result, Unserved};
use crate::domain::limits;
use crate::domain::model::{ModelKind, ModelRef, ModelVersion};
use crate::domain::violation::Violations;
use crate::rpc::pb;

/// Which model it is.
pub(in crate::rpc) fn reference(reference: &ModelRef) -> pb::ModelRef {
    pb::ModelRef {
        kind: kind(reference.kind).into(),
        model_version: reference.version.to_string(),
        train_time: Some(time::to_pb(reference.train_time)),
    }
}

/// A model with its card.
pub(in crate::rpc) fn to_pb(view: &ModelView) -> pb::Model {
    pb::Model {
        r#ref: Some(reference(&view.record.reference)),
        active: view.active,
        card: Some(value::to_pb(&view.record.card)),
    }
}

/// A model that should answer and could not be loaded.
pub(in crate::rpc) fn unserved(unserved: &Unserved) -> pb::UnservedModel {
    pb::UnservedModel {
        kind: kind(unserved.kind).into(),
        model_version: unserved.version.to_string(),
        serving_model_version: unserved.instead.as_ref().map(ToString::to_string).unwrap_or_default(),
    }
}

/// What a model answers, as the wire carries it.
pub(in crate::rpc) fn kind(kind: ModelKind) -> pb::ModelKind {
    match kind {
        ModelKind::Segments => pb::ModelKind::Segments,
        ModelKind::Churn => pb::ModelKind::Churn,
        ModelKind::Effort => pb::ModelKind::Effort,
        ModelKind::Satisfaction => pb::ModelKind::Satisfaction,
        ModelKind::Value => pb::ModelKind::Value,
    }
}

/// The kind that a number of the wire stands for; `None` for the unspecified one and for numbers that are no kind.
pub(in crate::rpc) fn kind_from_pb(sent: i32) -> Option<ModelKind> {
    match pb::ModelKind::try_from(sent) {
        Ok(pb::ModelKind::Segments) => Some(ModelKind::Segments),
        Ok(pb::ModelKind::Churn) => Some(ModelKind::Churn),
        Ok(pb::ModelKind::Effort) => Some(ModelKind::Effort),
        Ok(pb::ModelKind::Satisfaction) => Some(ModelKind::Satisfaction),
        Ok(pb::ModelKind::Value) => Some(ModelKind::Value),
        Ok(pb::ModelKind::Unspecified) | Err(_) => None,
    }
}

/// The version that a request names. None, or one that is too long, is a violation.
///
/// # Errors
/// [`Error::NotFound`] for a text that we never hand out; it is looked at after the violations.
pub(in crate::rpc) fn version(text: &str, violations: &mut Violations) -> Result<ModelVersion> {
    violations.check_required_text("model_version", text, limits::NAME_BYTES);
    text.parse().map_err(|_| Error::not_found(Resource::Model, "model_version"))
}

/// The kind that a list is narrowed to, `None` for every kind; a number that is no kind is a violation.
pub(in crate::rpc) fn filter(kind: i32, violations: &mut Violations) -> Option<ModelKind> {
    if pb::ModelKind::try_from(kind).is_err() {
        violations.add("kind", "must be a value of ModelKind");
    }
    kind_from_pb(kind)
}
