//! Models of segments as formats 1 and 2 of artifacts have them.

use serde::Deserialize;

use super::Dimension;
use crate::domain::segment::Segment;

/// There were no bounds beyond which a customer is far from every segment.
#[derive(Deserialize)]
pub(in crate::models) struct SegmentModel {
    dimensions: Vec<Dimension>,
    centroids: Vec<Vec<f64>>,
    variance: f64,
    segments: Vec<Segment>,
    next_number: u64,
}

impl From<SegmentModel> for super::SegmentModel {
    fn from(SegmentModel { dimensions, centroids, variance, segments, next_number }: SegmentModel) -> Self {
        Self { dimensions, centroids, variance, segments, next_number, outlier_distances: Vec::new() }
    }
}
