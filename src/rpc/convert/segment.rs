//! Segments.

use super::{count, model};
use crate::app::{Error, Result};
use crate::domain::model::ModelRef;
use crate::domain::segment::{Distinction, Segment};
use crate::rpc::pb;

/// A segment with the model that found it.
pub(in crate::rpc) fn to_pb(segment: &Segment, found_by: &ModelRef) -> pb::Segment {
    pb::Segment {
        segment_id: segment.id.clone(),
        display_name: segment.display_name.clone(),
        persona: segment.persona.clone(),
        size: count(segment.size),
        share: segment.share,
        distinguishing: segment.distinguishing.iter().map(distinction).collect(),
        stability_jaccard: segment.stability_jaccard,
        model: Some(model::reference(found_by)),
    }
}

/// The segment that a request names.
///
/// # Errors
/// [`Error::Invalid`] where it names none.
pub(in crate::rpc) fn id(text: String) -> Result<String> {
    if text.is_empty() { Err(Error::invalid("segment_id", "must not be empty")) } else { Ok(text) }
}

fn distinction(distinction: &Distinction) -> pb::SegmentTrait {
    pb::SegmentTrait {
        feature: distinction.feature.clone(),
        display_name: distinction.display_name.clone(),
        median: distinction.median,
        population_median: distinction.population_median,
        deviation: distinction.deviation,
    }
}
