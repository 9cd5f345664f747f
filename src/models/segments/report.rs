//! From clusters to segments with ids and words, and the card that says how good they are.

use super::choice::{Choice, STABLE};
use super::{Candidate, NEXT_NUMBER, SegmentModel, TrainedSegments, Training, pictures};
use crate::domain::segment::{Distinction, Segment};
use crate::domain::value::{Map, Value};
use crate::models::card;
use crate::models::clustering::nearest;
use crate::models::drift::{self, Spread};
use crate::models::evaluation::adjusted_rand_index;
use crate::models::matching::continue_clusters;
use crate::models::persona::{self, Group};
use crate::models::scaling::quantile;

/// Shortest mean squared deviation within segments, so that customers who are all at their centroids divide nothing by
/// nothing.
const VARIANCE_MIN: f64 = 1e-6;

impl Training<'_> {
    /// Names, describes and judges the clusters that were chosen.
    pub(super) fn finish(self, choice: Choice) -> TrainedSegments {
        let chosen = &choice.chosen;
        let assigned = chosen.clusters.assign(self.points);
        let order = by_size(&assigned, chosen.clusters.centroids.len());
        let mut place = vec![0; order.len()];
        for (position, cluster) in order.iter().enumerate() {
            place[*cluster] = position;
        }
        let assigned: Vec<usize> = assigned.into_iter().map(|cluster| place[cluster]).collect();
        let (ids, next_number) = self.ids(&assigned, order.len());
        let groups: Vec<Group> = (0..order.len()).map(|segment| self.group(segment, &assigned)).collect();
        let names = persona::names(&groups);
        let describe = |(((group, id), display_name), cluster): (((Group, String), String), &usize)| Segment {
            id,
            display_name,
            persona: persona::persona(&group),
            size: group.size as u64,
            share: group.share,
            stability_jaccard: chosen.jaccard[*cluster],
            distinguishing: group.distinctions,
        };
        let segments: Vec<Segment> = groups.into_iter().zip(ids).zip(names).zip(&order).map(describe).collect();
        let centroids: Vec<Vec<f64>> = order.iter().map(|at| chosen.clusters.centroids[*at].clone()).collect();
        let variance = self.variance(&centroids);
        let metrics = self.metrics(chosen, &segments, &assigned);
        let mut card = self.card(&choice, &segments, &metrics);
        let (promote, reason) = self.verdict(chosen);
        card.insert("gate".to_owned(), card::text(reason));
        card.insert(NEXT_NUMBER.to_owned(), card::number(next_number as f64));
        let widths: Vec<_> = chosen.widths.iter().map(|(cluster, width)| (place[*cluster], *width)).collect();
        let bounds = pictures::outlier_distances(self.points, &centroids);
        let outliers = pictures::describe_outliers(self.points, &centroids, &bounds, &segments);
        card.extend(card::map([
            ("outliers", Value::Map(outliers)),
            ("map", pictures::map(self.points, &assigned, &centroids, &self.dimensions)),
            ("silhouettes", pictures::silhouettes(&widths, &segments)),
            (drift::POPULATION, self.population()),
        ]));
        let (dimensions, outlier_distances) = (self.dimensions, bounds);
        let model = SegmentModel { dimensions, centroids, variance, segments, next_number, outlier_distances };
        TrainedSegments { model, card, metrics, promote }
    }

    /// Segments may answer when they are stable, when there are none yet, or when the caller chose their number.
    fn verdict(&self, chosen: &Candidate) -> (bool, String) {
        let found =
            format!("the least stable segment has a bootstrap Jaccard similarity of {:.2}", chosen.jaccard_min());
        if chosen.is_stable() {
            (true, format!("promoted: {found}, {STABLE} or more is stable"))
        } else if self.parameters.k.is_some() {
            (true, format!("promoted although {found} and {STABLE} would be stable: the number of segments was given"))
        } else if self.before.is_none() {
            (true, format!("promoted although {found} and {STABLE} would be stable: there were no segments before"))
        } else {
            (false, format!("not promoted: {found}, and {STABLE} would be stable; the segments before stay"))
        }
    }

    /// The id of each segment: that of the old one that it continues, else a new number.
    fn ids(&self, assigned: &[usize], k: usize) -> (Vec<String>, u64) {
        let before = self.before.as_ref().map_or(1, |before| before.model.next_number);
        let mut next_number = before.max(self.parameters.next_number);
        let continued = match &self.before {
            Some(before) => continue_clusters(assigned, &before.clusters, k, before.model.segments.len()),
            None => vec![None; k],
        };
        let mut id = |old: Option<usize>| {
            let old = old.zip(self.before.as_ref()).map(|(old, before)| before.model.segments[old].id.clone());
            old.unwrap_or_else(|| {
                next_number += 1;
                format!("seg_{}", next_number - 1)
            })
        };
        let ids = continued.into_iter().map(&mut id).collect();
        (ids, next_number)
    }

    /// Size and distinctions of one segment.
    fn group(&self, segment: usize, assigned: &[usize]) -> Group {
        let members: Vec<usize> = (0..assigned.len()).filter(|row| assigned[*row] == segment).collect();
        let mut distinctions: Vec<Distinction> =
            (0..self.dimensions.len()).map(|dimension| self.distinction(dimension, &members)).collect();
        distinctions.sort_by(|a, b| b.deviation.abs().total_cmp(&a.deviation.abs()));
        Group { size: members.len(), share: members.len() as f64 / assigned.len().max(1) as f64, distinctions }
    }

    fn distinction(&self, dimension: usize, members: &[usize]) -> Distinction {
        let everyone: Vec<usize> = (0..self.customers.len()).collect();
        let feature = self.dimensions[dimension].feature();
        let deviation: f64 = members.iter().map(|row| self.points.row(*row)[dimension]).sum();
        Distinction {
            feature: feature.name.to_owned(),
            display_name: feature.display_name.to_owned(),
            median: self.median(dimension, members),
            population_median: self.median(dimension, &everyone),
            deviation: deviation / members.len().max(1) as f64,
        }
    }

    /// Median of the known values in the feature's unit; 0 where nobody has one.
    fn median(&self, dimension: usize, rows: &[usize]) -> f64 {
        let position = self.dimensions[dimension].position;
        let mut values: Vec<f64> = rows.iter().filter_map(|row| self.customers[*row].1[position]).collect();
        values.sort_unstable_by(f64::total_cmp);
        let median = quantile(&values, 0.5);
        if median.is_finite() { median } else { 0.0 }
    }

    /// How the customers are spread over each feature, for those of a later day to be compared with.
    fn population(&self) -> Value {
        drift::describe(self.dimensions.iter().map(|dimension| {
            let values: Vec<Option<f64>> = self.customers.iter().map(|(_, row)| row[dimension.position]).collect();
            Spread::of(&dimension.name, &values)
        }))
    }

    fn variance(&self, centroids: &[Vec<f64>]) -> f64 {
        let squares: f64 = self.points.rows().map(|row| nearest(centroids, row).1).sum();
        (squares / (self.points.len().max(1) * self.dimensions.len().max(1)) as f64).max(VARIANCE_MIN)
    }

    fn metrics(&self, chosen: &Candidate, segments: &[Segment], assigned: &[usize]) -> Map {
        let jaccard = segments.iter().map(|segment| (segment.id.clone(), card::number(segment.stability_jaccard)));
        let mut metrics = card::map([
            ("k", card::count(segments.len())),
            ("silhouette", card::number(chosen.silhouette)),
            ("jaccard", Value::Map(jaccard.collect())),
            ("adjusted_rand_index", Value::Null),
            ("share_moved", Value::Null),
        ]);
        if let Some(before) = &self.before {
            let same = |(new, old): &(&usize, &usize)| segments[**new].id == before.model.segments[**old].id;
            let kept = assigned.iter().zip(&before.clusters).filter(same).count();
            let share_moved = 1.0 - kept as f64 / assigned.len().max(1) as f64;
            let agreement = adjusted_rand_index(assigned, &before.clusters);
            metrics.insert("adjusted_rand_index".to_owned(), card::number(agreement));
            metrics.insert("share_moved".to_owned(), card::number(share_moved));
        }
        metrics
    }

    fn card(&self, choice: &Choice, segments: &[Segment], metrics: &Map) -> Map {
        let mut card = metrics.clone();
        let how = match self.parameters.k {
            Some(_) => "k was given".to_owned(),
            None if choice.chosen.is_stable() => {
                format!(
                    "the highest silhouette of those k, from 3 on, whose every segment keeps a bootstrap Jaccard similarity \
                     of {STABLE}; 2 where there is no other"
                )
            }
            None => format!("no k keeps a bootstrap Jaccard similarity of {STABLE} in every segment; the best of them"),
        };
        card.extend(card::map([
            ("choice", card::text(how)),
            ("curves", Value::List(choice.candidates.iter().map(curve_point).collect())),
            ("features", Value::List(self.dimensions.iter().map(describe_dimension).collect())),
            ("segments", Value::List(segments.iter().map(describe_segment).collect())),
            ("customers", card::count(self.customers.len())),
            ("fitted_rows", card::count(choice.fitted_rows)),
            ("as_of_time", card::text(self.now.rfc3339())),
            ("seed", card::text(self.parameters.seed.to_string())),
        ]));
        card
    }
}

/// Clusters by size, the largest first; equally large ones in the order in which they were found.
fn by_size(assigned: &[usize], k: usize) -> Vec<usize> {
    let mut sizes = vec![0usize; k];
    for cluster in assigned {
        sizes[*cluster] += 1;
    }
    let mut order: Vec<usize> = (0..k).collect();
    order.sort_by_key(|cluster| std::cmp::Reverse(sizes[*cluster]));
    order
}

fn curve_point(candidate: &Candidate) -> Value {
    let jaccard = candidate.jaccard.iter().map(|similarity| card::number(*similarity)).collect();
    Value::Map(card::map([
        ("k", card::count(candidate.k)),
        ("silhouette", card::number(candidate.silhouette)),
        ("jaccard_min", card::number(candidate.jaccard_min())),
        ("jaccard", Value::List(jaccard)),
        ("share_min", card::number(candidate.share_min)),
        ("stable", Value::Bool(candidate.is_stable())),
    ]))
}

fn describe_dimension(dimension: &super::Dimension) -> Value {
    Value::Map(card::map([
        ("feature", card::text(dimension.name.as_str())),
        ("display_name", card::text(dimension.feature().display_name)),
        ("mean", card::number(dimension.scale.mean)),
        ("deviation", card::number(dimension.scale.deviation)),
    ]))
}

fn describe_segment(segment: &Segment) -> Value {
    Value::Map(card::map([
        ("id", card::text(segment.id.as_str())),
        ("display_name", card::text(segment.display_name.as_str())),
        ("persona", card::text(segment.persona.as_str())),
        ("size", card::number(segment.size as f64)),
        ("share", card::number(segment.share)),
        ("distinguishing", card::list(segment.distinguishing.iter().map(describe_distinction))),
    ]))
}

fn describe_distinction(distinction: &Distinction) -> Map {
    card::map([
        ("feature", card::text(distinction.feature.as_str())),
        ("display_name", card::text(distinction.display_name.as_str())),
        ("median", card::number(distinction.median)),
        ("population_median", card::number(distinction.population_median)),
        ("deviation", card::number(distinction.deviation)),
    ])
}
