//! Segments: groups of customers that resemble each other, found by K-Means on few, robust features.
//!
//! The number of groups is given, or it is the one from 3 to 8, or else 2, that tells the groups apart best among those
//! whose every group is found again in resamples of the customers. A group keeps its id over retraining; ids are never used again.

use serde::{Deserialize, Serialize};

use super::clustering::{Clusters, Points, nearest};
use super::customer_key::CustomerKey;
use super::error::{Error, Progress, report};
use super::features::View;
use super::persona::{WORDINGS, feature_at};
use super::scaling::Scale;
use crate::domain::prediction::{Affinity, PredictionStatus, SegmentPrediction};
use crate::domain::profile::State;
use crate::domain::segment::Segment;
use crate::domain::time::Timestamp;
use crate::domain::value::Map;

mod choice;
mod dimensions;
pub(super) mod format_2;
mod pictures;
mod report;
#[cfg(test)]
mod tests;
mod today;

use dimensions::Dimension;
pub use today::SegmentsToday;

/// Customers below which no segments are learned.
pub const CUSTOMERS_MIN: usize = 50;
/// Numbers of segments that a caller may ask for.
pub const K: std::ops::RangeInclusive<usize> = 2..=20;

/// What a caller may choose for one training of segments.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct SegmentParameters {
    /// How many segments, within [`K`]. Absent: chosen from 2 to 8.
    pub k: Option<usize>,
    /// Where all randomness comes from.
    pub seed: u64,
    /// The first number for the id of a new segment; ids below it were given to others, also by models that are not
    /// `previous`.
    pub next_number: u64,
}

/// A trained model of segments. Serving needs nothing but its plain arrays.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SegmentModel {
    dimensions: Vec<Dimension>,
    /// In the order of `segments`.
    centroids: Vec<Vec<f64>>,
    /// Mean squared distance to the own centroid, per dimension.
    variance: f64,
    segments: Vec<Segment>,
    /// The number of the next new segment; never lower than that of any segment before.
    next_number: u64,
    /// Of each segment the distance to its centroid beyond which a customer is far from all of them; empty in a model of
    /// an earlier release, which did not learn it.
    outlier_distances: Vec<f64>,
}

/// What a training of segments made.
#[derive(Debug, Clone, PartialEq)]
pub struct TrainedSegments {
    /// The model.
    pub model: SegmentModel,
    /// What it was trained on and how good it is.
    pub card: Map,
    /// The figures of the card.
    pub metrics: Map,
    /// Whether it is good enough to answer.
    pub promote: bool,
}

/// The card's key for the number that the next new segment would get.
pub const NEXT_NUMBER: &str = "next_segment_number";

/// Customers to group, as of one `now`.
#[derive(Clone)]
pub struct SegmentRows {
    now: Timestamp,
    rows: Vec<(CustomerKey, Row)>,
}

/// Values of the features that segments may be made of, in the order of [`WORDINGS`].
type Row = [Option<f64>; WORDINGS.len()];

impl SegmentRows {
    /// No customers yet.
    pub fn new(now: Timestamp) -> Self {
        Self { now, rows: Vec::new() }
    }

    /// Adds a customer. One without any event is in no segment.
    pub fn add(&mut self, customer: impl Into<CustomerKey>, state: &State) {
        if state.activity.events() > 0 {
            self.rows.push((customer.into(), row(state, self.now)));
        }
    }

    /// The rows in an order that does not depend on the order in which customers came.
    fn sorted(&self) -> Vec<(CustomerKey, Row)> {
        let mut rows = self.rows.clone();
        rows.sort_by_key(|row| row.0);
        rows
    }
}

impl SegmentModel {
    /// The segments, the largest first.
    pub fn segments(&self) -> &[Segment] {
        &self.segments
    }

    /// The segment of a customer at `now`: that of the nearest centroid. Affinities are those of a mixture of equally
    /// frequent spherical normal distributions around the centroids: proportional to exp(−d² / 2s²), where d is the
    /// distance to the centroid and s² the mean squared deviation per dimension within the segments at training. An
    /// outlier is farther from the nearest centroid than 99 % of the segment's customers were at the training.
    /// `INSUFFICIENT_DATA` for a customer without any event.
    pub fn predict(&self, state: &State, now: Timestamp) -> SegmentPrediction {
        if state.activity.events() == 0 {
            return no_answer();
        }
        let place = self.place(&row(state, now));
        let (own, squared_distance) = nearest(&self.centroids, &place);
        let distance = squared_distance.sqrt();
        let Some(segment) = self.segments.get(own) else { return no_answer() };
        SegmentPrediction {
            status: PredictionStatus::Ok,
            segment_id: segment.id.clone(),
            display_name: segment.display_name.clone(),
            distance,
            affinities: self.affinities(&place),
            outlier: self.is_outlier(own, distance),
        }
    }

    /// The position of the nearest segment, and the distance to it.
    fn nearest(&self, row: &Row) -> (usize, f64) {
        let (own, squared_distance) = nearest(&self.centroids, &self.place(row));
        (own, squared_distance.sqrt())
    }

    /// Whether a customer at a distance from the nearest segment fits none; `None` where the model does not know.
    fn is_outlier(&self, segment: usize, distance: f64) -> Option<bool> {
        self.outlier_distances.get(segment).map(|bound| distance > *bound)
    }

    fn affinities(&self, place: &[f64]) -> Vec<Affinity> {
        let distances: Vec<f64> =
            self.centroids.iter().map(|centroid| super::evaluation::squared_distance(centroid, place)).collect();
        let nearest = distances.iter().copied().fold(f64::INFINITY, f64::min);
        // The nearest has the weight 1, so that far-away customers do not divide nothing by nothing.
        let weight = |distance: &f64| (-(distance - nearest) / (2.0 * self.variance)).exp();
        let total: f64 = distances.iter().map(weight).sum();
        let affinity = |(segment, distance): (&Segment, &f64)| Affinity {
            segment_id: segment.id.clone(),
            display_name: segment.display_name.clone(),
            affinity: weight(distance) / total,
        };
        let mut affinities: Vec<_> = self.segments.iter().zip(&distances).map(affinity).collect();
        affinities.sort_by(|a, b| b.affinity.total_cmp(&a.affinity));
        affinities
    }

    fn place(&self, row: &Row) -> Vec<f64> {
        self.dimensions.iter().map(|dimension| dimension.of(row)).collect()
    }

    /// The segment's position for every row.
    fn assign(&self, rows: &[(CustomerKey, Row)]) -> Vec<usize> {
        rows.iter().map(|(_, row)| nearest(&self.centroids, &self.place(row)).0).collect()
    }

    /// Finds the features of a model that was read; false where this release cannot serve it.
    pub(super) fn resolve(&mut self) -> bool {
        let dimensions = self.dimensions.iter_mut().all(|dimension| dimension.resolve());
        let shaped = self
            .centroids
            .iter()
            .all(|centroid| centroid.len() == self.dimensions.len() && centroid.iter().all(|cell| cell.is_finite()));
        dimensions
            && shaped
            && !self.centroids.is_empty()
            && self.centroids.len() == self.segments.len()
            && self.variance.is_finite()
            && self.variance > 0.0
            && (self.outlier_distances.is_empty() || self.outlier_distances.len() == self.segments.len())
    }
}

fn row(state: &State, now: Timestamp) -> Row {
    let view = View::new(state, now, &[]);
    std::array::from_fn(|position| feature_at(position)?.of(&view))
}

fn no_answer() -> SegmentPrediction {
    SegmentPrediction {
        status: PredictionStatus::InsufficientData,
        segment_id: String::new(),
        display_name: String::new(),
        distance: 0.0,
        affinities: Vec::new(),
        outlier: None,
    }
}

/// Learns segments, and finds those of the `previous` model again.
///
/// # Errors
/// [`Error::NotEnoughData`] with fewer than [`CUSTOMERS_MIN`] customers, or where they do not differ enough for the
/// segments asked for; [`Error::Cancelled`] when `progress` asks to stop.
pub fn train(
    rows: &SegmentRows,
    parameters: &SegmentParameters,
    previous: Option<&SegmentModel>,
    progress: &dyn Progress,
) -> Result<TrainedSegments, Error> {
    if parameters.k.is_some_and(|k| !K.contains(&k)) {
        return Err(Error::NotEnoughData(format!("k must be from {} to {}", K.start(), K.end())));
    }
    let customers = rows.sorted();
    if customers.len() < CUSTOMERS_MIN {
        let found = customers.len();
        return Err(Error::NotEnoughData(format!(
            "segments need {CUSTOMERS_MIN} customers with an event, but there are {found}"
        )));
    }
    report(progress, 0.0)?;
    let dimensions = dimensions::choose(&customers);
    if dimensions.is_empty() {
        return Err(Error::NotEnoughData("the customers do not differ in any feature of segments".to_owned()));
    }
    let cells = customers.iter().flat_map(|(_, row)| dimensions.iter().map(|dimension| dimension.of(row))).collect();
    let points = Points::new(cells, dimensions.len());
    let before = previous.map(|previous| Before { model: previous, clusters: previous.assign(&customers) });
    let choice = choice::choose(&customers, &points, parameters, before.as_ref(), progress)?;
    let training = Training { customers: &customers, dimensions, points: &points, before, parameters, now: rows.now };
    let trained = training.finish(choice);
    report(progress, 1.0)?;
    Ok(trained)
}

/// The previous model, and where it puts the customers of today.
struct Before<'a> {
    model: &'a SegmentModel,
    clusters: Vec<usize>,
}

/// Everything that the report of a training speaks of.
struct Training<'a> {
    customers: &'a [(CustomerKey, Row)],
    dimensions: Vec<Dimension>,
    points: &'a Points,
    before: Option<Before<'a>>,
    parameters: &'a SegmentParameters,
    now: Timestamp,
}

/// Clusters of one `k`, with how good they are.
#[derive(Debug, Clone)]
struct Candidate {
    clusters: Clusters,
    /// Mean silhouette on a sample.
    silhouette: f64,
    /// Of each row of that sample its cluster and its silhouette.
    widths: Vec<(usize, f64)>,
    /// Bootstrap Jaccard similarity of each cluster.
    jaccard: Vec<f64>,
    /// Share of the customers in the smallest cluster.
    share_min: f64,
    /// What it was fitted for; clusters without a customer are dropped.
    k: usize,
}
