//! Models and their cards.

use super::{time, value};
use crate::app::{Error, ModelView, Resource, Result};
use crate::domain::model::{ModelKind, ModelRef, ModelVersion};
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

/// What a model answers, as the wire carries it.
pub(in crate::rpc) fn kind(kind: ModelKind) -> pb::ModelKind {
    match kind {
        ModelKind::Segments => pb::ModelKind::Segments,
        ModelKind::Churn => pb::ModelKind::Churn,
    }
}

/// The version that a request names.
///
/// # Errors
/// [`Error::Invalid`] where it names none; [`Error::NotFound`] for a text that we never hand out.
pub(in crate::rpc) fn version(text: &str) -> Result<ModelVersion> {
    if text.is_empty() {
        return Err(Error::invalid("model_version", "must not be empty"));
    }
    text.parse().map_err(|_| Error::not_found(Resource::Model, "model_version"))
}

/// The kind that a list is narrowed to; `None` is every kind.
///
/// # Errors
/// [`Error::Invalid`] for a number that is no kind.
pub(in crate::rpc) fn filter(kind: i32) -> Result<Filter> {
    match pb::ModelKind::try_from(kind) {
        Ok(pb::ModelKind::Unspecified) => Ok(Filter::Every),
        Ok(pb::ModelKind::Segments) => Ok(Filter::Only(ModelKind::Segments)),
        Ok(pb::ModelKind::Churn) => Ok(Filter::Only(ModelKind::Churn)),
        Ok(pb::ModelKind::Effort | pb::ModelKind::Satisfaction) => Ok(Filter::Nothing),
        Err(_) => Err(Error::invalid("kind", "must be a value of ModelKind")),
    }
}

/// Which kinds a list has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::rpc) enum Filter {
    /// All of them.
    Every,
    /// One of them.
    Only(ModelKind),
    /// A kind of which there cannot be any yet.
    Nothing,
}

impl Filter {
    /// The kind that the use case looks for; `None` is every kind.
    pub(in crate::rpc) fn kind(self) -> Option<ModelKind> {
        match self {
            Self::Only(kind) => Some(kind),
            Self::Every | Self::Nothing => None,
        }
    }
}
