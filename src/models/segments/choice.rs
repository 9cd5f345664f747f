//! How many segments, and which.

use super::{Before, Candidate, CustomerKey, Row, SegmentParameters};
use crate::models::clustering::{Clusters, Points, stability};
use crate::models::error::{Error, Progress, report};
use crate::models::evaluation::silhouettes;

/// Rows that clusters are fitted on.
pub(super) const FIT_ROWS: usize = 5_000;
/// Rows that the silhouette looks at; its cost grows with their square.
const SILHOUETTE_ROWS: usize = 2_000;
/// Numbers of segments that are tried where the caller names none.
const TRIED: std::ops::RangeInclusive<usize> = 2..=8;
/// Segments from which they tell more than who does much and who does little.
const TELLING: usize = 3;
/// Jaccard similarity from which a cluster is stable (Hennig 2007).
pub(super) const STABLE: f64 = 0.75;
/// A group smaller than this is an outlier, not a segment.
const SHARE_MIN: f64 = 0.02;

/// The candidate that was chosen, and all that were looked at.
pub(super) struct Choice {
    pub(super) candidates: Vec<Candidate>,
    pub(super) chosen: Candidate,
    pub(super) fitted_rows: usize,
}

impl Candidate {
    /// Every cluster is found again in resamples and is large enough.
    pub(super) fn is_stable(&self) -> bool {
        self.clusters.centroids.len() == self.k && self.jaccard_min() >= STABLE && self.share_min >= SHARE_MIN
    }

    pub(super) fn jaccard_min(&self) -> f64 {
        self.jaccard.iter().copied().fold(f64::INFINITY, f64::min)
    }
}

/// Fits the `k` that was asked for, or tries several and takes the best of them.
pub(super) fn choose(
    customers: &[(CustomerKey, Row)],
    points: &Points,
    parameters: &SegmentParameters,
    before: Option<&Before<'_>>,
    progress: &dyn Progress,
) -> Result<Choice, Error> {
    let fitted = points.select(&sample(customers, FIT_ROWS, parameters.seed));
    let tried = parameters.k.map_or(TRIED, |k| k..=k);
    let steps = tried.clone().count() as f64;
    let mut candidates: Vec<Candidate> = Vec::new();
    for (step, k) in tried.enumerate() {
        report(progress, 0.05 + 0.9 * step as f64 / steps)?;
        let warm = before.filter(|before| before.model.centroids.len() == k);
        let warm = warm.and_then(|before| points.means(&before.clusters, k));
        match candidate(&fitted, k, parameters.seed, warm.as_deref()) {
            Ok(candidate) => candidates.push(candidate),
            // Fewer different customers than clusters: no larger k can work either.
            Err(Error::NotEnoughData(_)) if !candidates.is_empty() => break,
            Err(error) => return Err(error),
        }
    }
    let chosen = best(&candidates).cloned();
    let mut chosen = chosen.ok_or_else(|| Error::Internal("no number of segments was tried".to_owned()))?;
    if fitted.len() < points.len() {
        chosen.clusters.refine(points);
    }
    Ok(Choice { candidates, chosen, fitted_rows: fitted.len() })
}

/// The stable candidate whose groups are told apart best; two groups are one only where no larger number is stable. Where
/// none is, the one that comes nearest to it. The largest stable number would be a matter of chance: whether a number is just
/// stable depends on who is in the data, which silhouette is the highest hardly does.
fn best(candidates: &[Candidate]) -> Option<&Candidate> {
    let highest = |figure: fn(&Candidate) -> f64, from: &dyn Fn(&Candidate) -> bool| {
        let suited = candidates.iter().filter(|candidate| from(candidate));
        suited.reduce(|best, next| if figure(next) > figure(best) { next } else { best })
    };
    highest(|candidate| candidate.silhouette, &|candidate| candidate.is_stable() && candidate.k >= TELLING)
        .or_else(|| highest(|candidate| candidate.silhouette, &Candidate::is_stable))
        .or_else(|| highest(Candidate::jaccard_min, &|_| true))
}

fn candidate(points: &Points, k: usize, seed: u64, warm: Option<&[Vec<f64>]>) -> Result<Candidate, Error> {
    let clusters = Clusters::fit(points, k, seed, warm)?;
    let jaccard = stability(points, &clusters, seed)?;
    let assigned = clusters.assign(points);
    let mut sizes = vec![0usize; clusters.centroids.len()];
    for cluster in &assigned {
        sizes[*cluster] += 1;
    }
    // The rows are in random order already, so the first ones are a sample.
    let looked_at = points.len().min(SILHOUETTE_ROWS);
    let rows: Vec<&[f64]> = points.rows().take(looked_at).collect();
    let share_min = sizes.iter().copied().min().unwrap_or(0) as f64 / points.len().max(1) as f64;
    let of_rows = silhouettes(&rows, &assigned[..looked_at]);
    let silhouette = of_rows.iter().sum::<f64>() / of_rows.len().max(1) as f64;
    let widths = assigned.into_iter().zip(of_rows).collect();
    Ok(Candidate { clusters, silhouette, widths, jaccard, share_min, k })
}

/// Positions of at most `limit` customers in random order, chosen by hash: a customer more or less changes the sample by
/// one, so that retraining looks at nearly the same customers.
fn sample(customers: &[(CustomerKey, Row)], limit: usize, seed: u64) -> Vec<usize> {
    let mut hashed: Vec<(u64, usize)> =
        customers.iter().enumerate().map(|(row, (customer, _))| (customer.seeded(seed), row)).collect();
    hashed.sort_unstable();
    hashed.into_iter().take(limit).map(|(_, row)| row).collect()
}
