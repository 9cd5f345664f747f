//! K-Means with linfa, restarted by our own loop, and how stable its clusters are.
//!
//! linfa assigns rows on a pool of rayon's, one row at a time and without sums across threads, so the result does not
//! depend on the number of threads. It draws the first centroids of a sample and moves them for the first steps; a loop of our
//! own, over blocks of rows, goes on until nobody changes the cluster. With k clusters of n rows the centroids of a sample
//! cost about k/n more of the inertia than the best, and one step of Lloyd's over everybody ([`Clusters::refine`]) takes
//! that back.

use std::sync::OnceLock;

use linfa::DatasetBase;
use linfa::traits::Fit;
use linfa_clustering::{KMeans, KMeansInit};
use ndarray::{Array2, ArrayView2};
use rand::Rng;
use rayon::{ThreadPool, ThreadPoolBuilder};

use super::error::Error;
use super::evaluation::{jaccard, squared_distance};
use super::sampling::{Purpose, generator};

/// First centroids that are tried; the best fit stays.
const RESTARTS: u64 = 6;
/// Movement of all centroids at which a fit has converged, in standardised units.
const TOLERANCE: f64 = 1e-4;
/// Iterations of linfa's, after which a fit goes on with our own, which take a fraction of the time.
const FIRST_ITERATIONS: u64 = 2;
/// Bound on the iterations of our own.
const ITERATIONS_MAX: u64 = 100;
/// Resamples behind every Jaccard similarity.
const RESAMPLES: u64 = 25;
/// Rows that one resample draws at most.
const RESAMPLE_ROWS: usize = 2_000;
/// First centroids that are tried on a resample.
const RESAMPLE_RESTARTS: u64 = 3;

/// Rows of standardised figures, one after the other.
#[derive(Debug, Clone, PartialEq)]
pub struct Points {
    cells: Vec<f64>,
    dimensions: usize,
}

impl Points {
    /// Rows of `dimensions` cells each; a rest that fills no row is cut off.
    pub fn new(mut cells: Vec<f64>, dimensions: usize) -> Self {
        let dimensions = dimensions.max(1);
        cells.truncate(cells.len() / dimensions * dimensions);
        Self { cells, dimensions }
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.cells.len() / self.dimensions
    }

    /// True where there are none.
    pub fn is_empty(&self) -> bool {
        self.cells.is_empty()
    }

    pub(super) fn row(&self, row: usize) -> &[f64] {
        &self.cells[row * self.dimensions..(row + 1) * self.dimensions]
    }

    pub(super) fn rows(&self) -> impl Iterator<Item = &[f64]> {
        self.cells.chunks_exact(self.dimensions)
    }

    /// Some of the rows, each as often as it is named.
    pub fn select(&self, rows: &[usize]) -> Self {
        let cells = rows.iter().flat_map(|row| self.row(*row)).copied().collect();
        Self { cells, dimensions: self.dimensions }
    }

    /// How many different rows there are, counted up to `limit`.
    pub(super) fn distinct(&self, limit: usize) -> usize {
        let mut found: Vec<&[f64]> = Vec::new();
        for row in self.rows() {
            if found.len() >= limit {
                break;
            }
            if !found.contains(&row) {
                found.push(row);
            }
        }
        found.len()
    }

    /// The mean of the rows of each of `count` clusters; `None` where one of them has no row.
    pub(super) fn means(&self, clusters: &[usize], count: usize) -> Option<Vec<Vec<f64>>> {
        let mut sums = vec![vec![0.0; self.dimensions]; count];
        let mut sizes = vec![0.0; count];
        for (row, cluster) in self.rows().zip(clusters) {
            sizes[*cluster] += 1.0;
            for (sum, cell) in sums[*cluster].iter_mut().zip(row) {
                *sum += cell;
            }
        }
        for (sum, size) in sums.iter_mut().zip(&sizes) {
            sum.iter_mut().for_each(|cell| *cell /= size);
        }
        sizes.iter().all(|size| *size > 0.0).then_some(sums)
    }
}

/// Centroids, each with at least one of the rows that they were fitted on.
#[derive(Debug, Clone, PartialEq)]
pub struct Clusters {
    pub(super) centroids: Vec<Vec<f64>>,
    /// Mean squared distance of a row to its centroid.
    inertia: f64,
}

impl Clusters {
    /// Fits `k` clusters from several first centroids, and from the `warm` ones where there are any: those are kept
    /// unless another start is better by more than a thousandth, so that clusters do not wander without a reason.
    ///
    /// # Errors
    /// [`Error::NotEnoughData`] with fewer than `k` different rows.
    pub fn fit(points: &Points, k: usize, seed: u64, warm: Option<&[Vec<f64>]>) -> Result<Self, Error> {
        let mut best = match warm {
            Some(centroids) => Some(run(points, k, Start::Warm(centroids))?),
            None => None,
        };
        let advantage = if best.is_some() { 0.999 } else { 1.0 };
        let bar = best.as_ref().map_or(f64::INFINITY, |best: &Self| best.inertia * advantage);
        let cold = best_of(points, k, RESTARTS, |turn| seed.wrapping_add(turn << 8).wrapping_add(k as u64))?;
        if cold.inertia < bar {
            best = Some(cold);
        }
        best.ok_or_else(|| Error::Internal("k-means found no finite distances".to_owned()))
    }

    /// Moves the centroids to the means of all rows that are nearest to them: one step of Lloyd's. Where that would leave
    /// one without a row, all stay where they are.
    pub fn refine(&mut self, points: &Points) {
        let assigned = self.assign(points);
        let Some(centroids) = points.means(&assigned, self.centroids.len()) else { return };
        let mut moved = Self { centroids, inertia: 0.0 };
        moved.settle(points);
        if moved.centroids.len() == self.centroids.len() {
            *self = moved;
        }
    }

    /// The nearest centroid of every row.
    pub fn assign(&self, points: &Points) -> Vec<usize> {
        let mut assigned = Vec::with_capacity(points.len());
        for_each_nearest(&self.centroids, points, |cluster, _| assigned.push(cluster));
        assigned
    }

    /// Mean squared distance of rows to their nearest centroids.
    pub fn inertia_of(&self, points: &Points) -> f64 {
        let mut sum = 0.0;
        for_each_nearest(&self.centroids, points, |_, distance| sum += distance);
        sum / points.len().max(1) as f64
    }
}

/// Rows that are looked at together.
const BLOCK: usize = 64;

/// Tells of every row, in their order, which centroid is nearest and how far it is squared. Rows are looked at in blocks
/// that are turned on their side, so that a processor takes several rows with each instruction; each distance is summed in
/// the order in which [`nearest`] sums it, and is the same number.
fn for_each_nearest(centroids: &[Vec<f64>], points: &Points, mut tell: impl FnMut(usize, f64)) {
    let mut columns = vec![[0.0; BLOCK]; points.dimensions];
    for block in points.cells.chunks(BLOCK * points.dimensions) {
        let rows = block.len() / points.dimensions;
        for (position, row) in block.chunks_exact(points.dimensions).enumerate() {
            columns.iter_mut().zip(row).for_each(|(column, cell)| column[position] = *cell);
        }
        let (mut least, mut cluster) = ([f64::INFINITY; BLOCK], [0u64; BLOCK]);
        for (number, centroid) in (0..).zip(centroids) {
            let mut distances = [0.0; BLOCK];
            for (column, own) in columns.iter().zip(centroid) {
                for (distance, cell) in distances.iter_mut().zip(column) {
                    *distance += (own - cell) * (own - cell);
                }
            }
            for ((least, cluster), distance) in least.iter_mut().zip(&mut cluster).zip(&distances) {
                let is_nearer = distance < least;
                *least = if is_nearer { *distance } else { *least };
                *cluster = if is_nearer { number } else { *cluster };
            }
        }
        // A last block that is not full has rows of the one before it behind its own.
        least.iter().zip(cluster).take(rows).for_each(|(least, cluster)| tell(cluster as usize, *least));
    }
}

/// The nearest centroid and the squared distance to it; the first of equally near ones.
pub(super) fn nearest(centroids: &[Vec<f64>], row: &[f64]) -> (usize, f64) {
    let distances = centroids.iter().map(|centroid| squared_distance(centroid, row)).enumerate();
    distances.fold((0, f64::INFINITY), |best, next| if next.1 < best.1 { next } else { best })
}

/// Where a run begins.
enum Start<'a> {
    /// Centroids drawn by k-means++ (Arthur and Vassilvitskii 2007) from a seed.
    Drawn(u64),
    /// Given centroids.
    Warm(&'a [Vec<f64>]),
}

fn best_of(points: &Points, k: usize, restarts: u64, seed: impl Fn(u64) -> u64) -> Result<Clusters, Error> {
    let mut best = run(points, k, Start::Drawn(seed(0)))?;
    for turn in 1..restarts {
        let next = run(points, k, Start::Drawn(seed(turn)))?;
        if next.inertia < best.inertia {
            best = next;
        }
    }
    Ok(best)
}

/// One run of linfa's K-Means. Its own restarts would report the cluster sizes of the last run, not of the best.
fn run(points: &Points, k: usize, start: Start<'_>) -> Result<Clusters, Error> {
    if points.distinct(k) < k {
        // linfa would repeat a centroid, and panics where there is no row at all.
        return Err(Error::NotEnoughData(format!("there are fewer than {k} different customers for {k} segments")));
    }
    let seed = if let Start::Drawn(seed) = start { seed } else { 0 };
    let init = match start {
        Start::Drawn(_) => KMeansInit::KMeansPlusPlus,
        Start::Warm(rows) => {
            KMeansInit::Precomputed(Array2::from_shape_fn((k, points.dimensions), |at| rows[at.0][at.1]))
        }
    };
    let records = ArrayView2::from_shape((points.len(), points.dimensions), &points.cells)
        .map_err(|error| Error::Internal(format!("k-means: {error}")))?;
    let parameters = KMeans::params_with_rng(k, generator(seed, Purpose::Centroids, k as u64))
        .init_method(init)
        .n_runs(1)
        .tolerance(TOLERANCE)
        .max_n_iterations(FIRST_ITERATIONS);
    let model = on_one_thread(|| parameters.fit(&DatasetBase::from(records)))?
        .map_err(|error| Error::Internal(format!("k-means: {error}")))?;
    let mut clusters =
        Clusters { centroids: model.centroids().outer_iter().map(|row| row.to_vec()).collect(), inertia: 0.0 };
    clusters.converge(points);
    clusters.settle(points);
    Ok(clusters)
}

/// Runs work that asks rayon for threads on a single one: linfa would take every core, and serving needs one.
fn on_one_thread<T: Send>(work: impl FnOnce() -> T + Send) -> Result<T, Error> {
    static POOL: OnceLock<ThreadPool> = OnceLock::new();
    let pool = match POOL.get() {
        Some(pool) => pool,
        None => {
            let pool = ThreadPoolBuilder::new().num_threads(1).thread_name(|_| "k-means".to_owned()).build();
            let pool = pool.map_err(|error| Error::Internal(format!("a thread for k-means: {error}")))?;
            POOL.get_or_init(|| pool)
        }
    };
    Ok(pool.install(work))
}

impl Clusters {
    /// Goes on with Lloyd's steps until no row changes its cluster. One that loses all its rows ends it.
    fn converge(&mut self, points: &Points) {
        let mut assigned = self.assign(points);
        for _ in 0..ITERATIONS_MAX {
            let Some(means) = points.means(&assigned, self.centroids.len()) else { return };
            self.centroids = means;
            let next = self.assign(points);
            if next == assigned {
                return;
            }
            assigned = next;
        }
    }

    /// Recounts: drops centroids without a row and takes the inertia of the final centroids, not of those before.
    fn settle(&mut self, points: &Points) {
        let mut sizes = vec![0usize; self.centroids.len()];
        let mut inertia = 0.0;
        for_each_nearest(&self.centroids, points, |cluster, distance| {
            sizes[cluster] += 1;
            inertia += distance;
        });
        let mut size = sizes.iter();
        self.centroids.retain(|_| size.next().is_some_and(|size| *size > 0));
        self.inertia = inertia / points.len().max(1) as f64;
    }
}

/// How stable each cluster is: the mean over resamples of the Jaccard similarity with the most similar cluster that is
/// found in the resample (Hennig 2007, `clusterboot`). From 0.75 a cluster is a valid, stable one; below 0.5 it
/// dissolves.
pub(super) fn stability(points: &Points, clusters: &Clusters, seed: u64) -> Result<Vec<f64>, Error> {
    let own = clusters.assign(points);
    let k = clusters.centroids.len();
    let mut sums = vec![0.0; k];
    for turn in 0..RESAMPLES {
        let rows = draw(points.len(), seed, turn);
        let resample = points.select(&rows);
        let again = best_of(&resample, k, RESAMPLE_RESTARTS, |restart| {
            seed.wrapping_add((turn + 1) << 24).wrapping_add(restart << 8).wrapping_add(k as u64)
        });
        // A resample with too few different rows holds no k clusters: each of them dissolved.
        let again = match again {
            Err(Error::NotEnoughData(_)) => continue,
            other => other?,
        };
        let mut unique = rows;
        unique.sort_unstable();
        unique.dedup();
        let before: Vec<usize> = unique.iter().map(|row| own[*row]).collect();
        let after: Vec<usize> = unique.iter().map(|row| nearest(&again.centroids, points.row(*row)).0).collect();
        for (sum, similarity) in sums.iter_mut().zip(best_similarities(&before, &after, k)) {
            *sum += similarity;
        }
    }
    Ok(sums.into_iter().map(|sum| sum / RESAMPLES as f64).collect())
}

fn draw(rows: usize, seed: u64, turn: u64) -> Vec<usize> {
    let mut random = generator(seed, Purpose::Stability, turn);
    (0..rows.min(RESAMPLE_ROWS)).map(|_| random.gen_range(0..rows)).collect()
}

/// For each of `k` clusters of `before` the Jaccard similarity with the most similar cluster of `after`.
fn best_similarities(before: &[usize], after: &[usize], k: usize) -> Vec<f64> {
    let table = overlaps(before, after, k, k);
    (0..k).map(|cluster| (0..k).map(|other| table.jaccard(cluster, other)).fold(0.0, f64::max)).collect()
}

/// How many rows two clusterings have in common, cluster by cluster.
pub(super) struct Overlaps {
    shared: Vec<f64>,
    before: Vec<f64>,
    after: Vec<f64>,
}

/// Counts the overlaps of two clusterings of the same rows.
pub(super) fn overlaps(before: &[usize], after: &[usize], k_before: usize, k_after: usize) -> Overlaps {
    let mut table =
        Overlaps { shared: vec![0.0; k_before * k_after], before: vec![0.0; k_before], after: vec![0.0; k_after] };
    for (before, after) in before.iter().zip(after) {
        table.shared[before * k_after + after] += 1.0;
        table.before[*before] += 1.0;
        table.after[*after] += 1.0;
    }
    table
}

impl Overlaps {
    /// Jaccard similarity of a cluster of the first with one of the second clustering.
    pub(super) fn jaccard(&self, before: usize, after: usize) -> f64 {
        jaccard(self.before[before], self.after[after], self.shared[before * self.after.len() + after])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::models::evaluation::adjusted_rand_index;

    /// Rows around the given centres in turn, `spread` wide.
    fn blobs(centres: &[[f64; 2]], rows: usize, spread: f64) -> Points {
        let mut random = generator(7, Purpose::Rows, 1);
        let mut near = |centre: f64| centre + spread * (random.r#gen::<f64>() - 0.5);
        let cells = (0..rows).flat_map(|row| centres[row % centres.len()].map(&mut near)).collect();
        Points::new(cells, 2)
    }

    const CORNERS: [[f64; 2]; 3] = [[0.0, 0.0], [10.0, 0.0], [0.0, 10.0]];

    #[test]
    fn separate_groups_are_found_and_stable() {
        let points = blobs(&CORNERS, 300, 2.0);
        let clusters = Clusters::fit(&points, 3, 1, None).expect("enough rows");
        let truth: Vec<usize> = (0..300).map(|row| row % 3).collect();
        assert_eq!(adjusted_rand_index(&clusters.assign(&points), &truth), 1.0);
        let stability = stability(&points, &clusters, 1).expect("enough rows");
        assert!(stability.iter().all(|jaccard| *jaccard > 0.99), "{stability:?}");
    }

    #[test]
    fn groups_that_are_none_are_not_stable() {
        let points = blobs(&[[0.0, 0.0]], 400, 2.0);
        let clusters = Clusters::fit(&points, 7, 1, None).expect("enough rows");
        let stability = stability(&points, &clusters, 1).expect("enough rows");
        assert!(stability.iter().any(|jaccard| *jaccard < 0.75), "{stability:?}");
    }

    #[test]
    fn the_same_seed_finds_the_same_clusters() {
        let points = blobs(&[[0.0, 0.0]], 400, 2.0);
        assert_eq!(Clusters::fit(&points, 5, 3, None), Clusters::fit(&points, 5, 3, None));
    }

    #[test]
    fn a_warm_start_that_is_as_good_keeps_its_order() {
        let points = blobs(&CORNERS, 300, 2.0);
        for turn in 0..3 {
            let mut warm: Vec<Vec<f64>> = CORNERS.map(|centre| centre.to_vec()).to_vec();
            warm.rotate_left(turn);
            let clusters = Clusters::fit(&points, 3, 1, Some(&warm)).expect("enough rows");
            for (found, start) in clusters.centroids.iter().zip(&warm) {
                assert!(squared_distance(found, start) < 1.0);
            }
        }
    }

    #[test]
    fn block_by_block_each_row_has_the_centroid_that_is_nearest_by_itself() {
        let centroids: Vec<Vec<f64>> = (0..19).map(|n| vec![f64::from(n * 7 % 19), f64::from(n * 3 % 5)]).collect();
        let clusters = Clusters { centroids, inertia: 0.0 };
        let points = blobs(&[[9.0, 2.0]], 2_001, 25.0);
        let one_by_one: Vec<(usize, f64)> = points.rows().map(|row| nearest(&clusters.centroids, row)).collect();
        assert_eq!(clusters.assign(&points), one_by_one.iter().map(|found| found.0).collect::<Vec<_>>());
        let inertia = one_by_one.iter().map(|found| found.1).sum::<f64>() / 2_001.0;
        assert_eq!(clusters.inertia_of(&points), inertia);
    }

    #[test]
    fn a_fit_of_a_sample_is_brought_to_everybody() {
        let points = blobs(&CORNERS, 3_000, 6.0);
        let sample: Vec<usize> = (0..90).collect();
        let mut clusters = Clusters::fit(&points.select(&sample), 3, 1, None).expect("enough rows");
        let before = clusters.inertia_of(&points);
        clusters.refine(&points);
        let of_all = Clusters::fit(&points, 3, 1, None).expect("enough rows").inertia;
        assert!(clusters.inertia < before && clusters.inertia < 1.001 * of_all, "{before} {clusters:?} {of_all}");
        // A centroid that nobody is near to stays.
        let mut far = Clusters { centroids: vec![vec![0.0, 0.0], vec![1e6, 1e6]], inertia: 0.0 };
        far.refine(&points);
        assert_eq!(far.centroids[1], [1e6, 1e6]);
    }

    #[test]
    fn more_clusters_than_different_rows_is_an_error_and_no_panic() {
        let points = Points::new(vec![1.0, 1.0, 2.0, 2.0, 1.0, 1.0], 2);
        assert!(matches!(Clusters::fit(&points, 3, 1, None), Err(Error::NotEnoughData(_))));
        assert!(matches!(Clusters::fit(&Points::new(Vec::new(), 2), 2, 1, None), Err(Error::NotEnoughData(_))));
    }

    #[test]
    fn the_best_partner_of_each_cluster_is_looked_for_by_jaccard() {
        // Cluster 0 shares 2 rows with cluster 1 of the other, out of 3; cluster 1 is found as it was.
        assert_eq!(best_similarities(&[0, 0, 0, 1, 1], &[1, 1, 2, 0, 0], 3), [2.0 / 3.0, 1.0, 0.0]);
    }
}
