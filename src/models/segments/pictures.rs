//! What a card needs for its pictures: a map of the customers, how well each fits its segment, and who fits none.
//!
//! A card names nobody. A map has places only, each standing for a customer among many, and none of a segment that is
//! so small that a place might point at a person.

use super::choice::FIT_ROWS;
use super::dimensions::Dimension;
use crate::domain::segment::Segment;
use crate::domain::value::{Map, Value};
use crate::models::card;
use crate::models::clustering::{Points, nearest};
use crate::models::persona::CUSTOMERS_MIN;
use crate::models::projection::Plane;
use crate::models::scaling::quantile;

/// Places on a map.
const PLACES: usize = 400;
/// Steps of the silhouette of one segment.
const WIDTHS: usize = 24;
/// Share of a segment's customers of the training that lie within its bound.
pub(super) const WITHIN: f64 = 0.99;

/// Of each segment the distance that [`WITHIN`] of its customers keep to the centroid. A segment that is too small for
/// that takes the bound of everybody.
pub(super) fn outlier_distances(points: &Points, centroids: &[Vec<f64>]) -> Vec<f64> {
    let mut by_segment = vec![Vec::new(); centroids.len()];
    for row in points.rows() {
        let (segment, squared) = nearest(centroids, row);
        by_segment[segment].push(squared.sqrt());
    }
    let mut everybody: Vec<f64> = by_segment.iter().flatten().copied().collect();
    let bound = |distances: &mut Vec<f64>| {
        distances.sort_unstable_by(f64::total_cmp);
        quantile(distances, WITHIN)
    };
    let of_everybody = bound(&mut everybody);
    let of_segment =
        |distances: &mut Vec<f64>| if distances.len() < CUSTOMERS_MIN { of_everybody } else { bound(distances) };
    by_segment.iter_mut().map(of_segment).collect()
}

/// How many customers of the training lie beyond the bounds, with the bounds.
pub(super) fn describe_outliers(points: &Points, centroids: &[Vec<f64>], bounds: &[f64], segments: &[Segment]) -> Map {
    let mut beyond = vec![0usize; segments.len()];
    for row in points.rows() {
        let (segment, squared) = nearest(centroids, row);
        beyond[segment] += usize::from(squared.sqrt() > bounds[segment]);
    }
    let of_segment = |((segment, bound), count): ((&Segment, &f64), &usize)| {
        card::map([
            ("id", card::text(segment.id.as_str())),
            ("distance", card::number(*bound)),
            ("customers", card::count(*count)),
        ])
    };
    let customers: usize = beyond.iter().sum();
    card::map([
        ("within_share", card::number(WITHIN)),
        ("customers", card::count(customers)),
        ("share", card::number(customers as f64 / points.len().max(1) as f64)),
        ("segments", card::list(segments.iter().zip(bounds).zip(&beyond).map(of_segment))),
    ])
}

/// The customers in two dimensions; null where they do not differ.
pub(super) fn map(points: &Points, assigned: &[usize], centroids: &[Vec<f64>], dimensions: &[Dimension]) -> Value {
    // Rows come in the order of a digest, so that the first ones are a fair sample.
    let sample: Vec<&[f64]> = points.rows().take(FIT_ROWS).collect();
    let Some(plane) = Plane::fit(&sample) else { return Value::Null };
    let mut sizes = vec![0; centroids.len()];
    assigned.iter().for_each(|segment| sizes[*segment] += 1);
    let shown = |segment: &usize| sizes[*segment] >= CUSTOMERS_MIN;
    let places: Vec<([f64; 2], usize)> = points
        .rows()
        .zip(assigned)
        .filter(|(_, segment)| shown(segment))
        .take(PLACES)
        .map(|(row, segment)| (plane.place(row), *segment))
        .collect();
    let list = |numbers: Vec<f64>| Value::List(numbers.into_iter().map(rounded).collect());
    let column = |axis: usize| list(places.iter().map(|(place, _)| place[axis]).collect());
    let centre = |axis: usize| list(centroids.iter().map(|centroid| plane.place(centroid)[axis]).collect());
    let axis = |axis: usize| {
        let weights = dimensions.iter().zip(plane.axis(axis));
        let mut weights: Vec<(&Dimension, f64)> = weights.map(|(dimension, weight)| (dimension, *weight)).collect();
        weights.sort_by(|a, b| b.1.abs().total_cmp(&a.1.abs()));
        let weight = |(dimension, weight): (&Dimension, f64)| {
            card::map([
                ("feature", card::text(dimension.name.as_str())),
                ("display_name", card::text(dimension.feature().display_name)),
                ("weight", rounded(weight)),
            ])
        };
        card::map([
            ("variance_share", card::number(plane.shares[axis])),
            ("weights", card::list(weights.into_iter().map(weight))),
        ])
    };
    Value::Map(card::map([
        ("axes", card::list([axis(0), axis(1)])),
        ("centroid_x", centre(0)),
        ("centroid_y", centre(1)),
        ("x", column(0)),
        ("y", column(1)),
        ("segment", Value::List(places.iter().map(|(_, segment)| card::count(*segment)).collect())),
    ]))
}

/// How well the customers of a sample fit their segments: of each segment the mean silhouette, the share that would be
/// nearer to another one, and the widths from the largest to the smallest in even steps.
pub(super) fn silhouettes(widths: &[(usize, f64)], segments: &[Segment]) -> Value {
    let entry = |(position, segment): (usize, &Segment)| {
        let mut own: Vec<f64> = widths.iter().filter(|(of, _)| *of == position).map(|(_, width)| *width).collect();
        own.sort_unstable_by(|a, b| b.total_cmp(a));
        let count = own.len().max(1) as f64;
        let steps = own.len().min(WIDTHS);
        let step = |step: usize| rounded(quantile(&own, step as f64 / (steps - 1).max(1) as f64));
        card::map([
            ("id", card::text(segment.id.as_str())),
            ("customers", card::count(own.len())),
            ("mean", card::number(if own.is_empty() { f64::NAN } else { own.iter().sum::<f64>() / count })),
            ("misplaced_share", card::number(own.iter().filter(|width| **width < 0.0).count() as f64 / count)),
            ("widths", Value::List((0..steps).map(step).collect())),
        ])
    };
    card::list(segments.iter().enumerate().map(entry))
}

/// Three decimals are more than a picture shows.
fn rounded(number: f64) -> Value {
    card::number((number * 1_000.0).round() / 1_000.0)
}
