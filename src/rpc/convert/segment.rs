//! Segments.

use super::{count, model};
use crate::domain::limits;
use crate::domain::model::ModelRef;
use crate::domain::segment::{Distinction, Segment};
use crate::domain::violation::Violations;
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

/// The segment that a request must name.
pub(in crate::rpc) fn id(text: String, violations: &mut Violations) -> String {
    violations.check_required_text("segment_id", &text, limits::NAME_BYTES);
    text
}

/// The segment that a request may name.
pub(in crate::rpc) fn optional_id(text: String, violations: &mut Violations) -> Option<String> {
    violations.check_text("segment_id", &text, limits::NAME_BYTES);
    Some(text).filter(|id| !id.is_empty())
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
