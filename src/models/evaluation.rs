//! How good scores and clusters are. Every figure has its formula, its source and a test against a value computed by
//! hand.

use std::collections::BTreeMap;

pub use super::bootstrap::Interval;

/// Bins of the calibration error.
pub const CALIBRATION_BINS: usize = 15;
/// Share of the customers with the highest scores that the lift looks at.
const LIFT_SHARE: f64 = 0.1;

/// Scores with what became true.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Scores {
    /// Probabilities, or anything that ranks; higher means more likely.
    pub scores: Vec<f64>,
    /// What became true.
    pub outcomes: Vec<bool>,
}

impl Scores {
    /// How many there are.
    pub fn len(&self) -> usize {
        self.scores.len().min(self.outcomes.len())
    }

    /// Adds those of further rows.
    pub fn extend(&mut self, more: Self) {
        self.scores.extend(more.scores);
        self.outcomes.extend(more.outcomes);
    }

    /// True where there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// Scores from the highest to the lowest, so that the figures of many resamples need one sort.
#[derive(Debug, Clone)]
pub struct Ranking {
    rows: Vec<(f64, bool, usize)>,
}

/// Rows with the same score, by weight.
#[derive(Debug, Clone, Copy, Default)]
struct Tie {
    positives: f64,
    negatives: f64,
}

impl Ranking {
    /// Ranks the scores.
    pub fn new(scores: &Scores) -> Self {
        let pairs = scores.scores.iter().zip(&scores.outcomes).enumerate();
        let mut rows: Vec<_> = pairs.map(|(row, (score, outcome))| (*score, *outcome, row)).collect();
        rows.sort_by(|a, b| b.0.total_cmp(&a.0));
        Self { rows }
    }

    /// Area under the ROC curve: the probability that a positive ranks above a negative, ties counting half (Hanley
    /// and McNeil 1982). `weights` says how often each row counts. NaN where one of the classes is empty.
    pub fn auc(&self, weights: &[f64]) -> f64 {
        let (mut positives, mut negatives, mut concordant) = (0.0, 0.0, 0.0);
        for tie in self.ties(weights) {
            concordant += tie.negatives * (positives + tie.positives / 2.0);
            positives += tie.positives;
            negatives += tie.negatives;
        }
        concordant / (positives * negatives)
    }

    /// Area under the precision-recall curve as average precision: Σ (Rₙ − Rₙ₋₁) Pₙ over the distinct scores, without
    /// interpolation (Davis and Goadrich 2006 on why). NaN without a positive.
    pub fn pr_auc(&self, weights: &[f64]) -> f64 {
        let (mut positives, mut all, mut area) = (0.0, 0.0, 0.0);
        for tie in self.ties(weights) {
            positives += tie.positives;
            all += tie.positives + tie.negatives;
            if all > 0.0 {
                area += tie.positives * positives / all;
            }
        }
        area / positives
    }

    /// Share of positives among the tenth of the rows with the highest scores, divided by their share among all. Rows
    /// that tie at the border count in proportion.
    pub fn lift_top_decile(&self, weights: &[f64]) -> f64 {
        self.captured(weights, LIFT_SHARE) / LIFT_SHARE
    }

    /// Of all positives the share that is among the given share of the rows with the highest scores: the curve of
    /// cumulative gains. Rows that tie at the border count in proportion. NaN without a positive.
    pub fn captured(&self, weights: &[f64], share: f64) -> f64 {
        let total: f64 = self.rows.iter().map(|row| weights[row.2]).sum();
        let wanted = total * share;
        let (mut taken, mut found, mut positives) = (0.0, 0.0, 0.0);
        for tie in self.ties(weights) {
            let size = tie.positives + tie.negatives;
            let part = if size > 0.0 { ((wanted - taken) / size).clamp(0.0, 1.0) } else { 0.0 };
            taken += size * part;
            found += tie.positives * part;
            positives += tie.positives;
        }
        found / positives
    }

    fn ties<'a>(&'a self, weights: &'a [f64]) -> impl Iterator<Item = Tie> + 'a {
        self.rows.chunk_by(|a, b| a.0 == b.0).map(|rows| {
            rows.iter().fold(Tie::default(), |mut tie, (_, outcome, row)| {
                *(if *outcome { &mut tie.positives } else { &mut tie.negatives }) += weights[*row];
                tie
            })
        })
    }
}

/// [`Ranking::auc`] with every row counting once.
pub fn auc(scores: &Scores) -> f64 {
    Ranking::new(scores).auc(&vec![1.0; scores.len()])
}

/// Mean squared difference of probability and outcome (Brier 1950); 0 is perfect.
pub fn brier(probability: f64, outcome: bool) -> f64 {
    (probability - f64::from(u8::from(outcome))).powi(2)
}

/// Negative logarithm of the probability given to what became true; 0 is perfect. Probabilities are held 1e-15 away
/// from 0 and 1.
pub fn log_loss(probability: f64, outcome: bool) -> f64 {
    let given = if outcome { probability } else { 1.0 - probability };
    -given.clamp(1e-15, 1.0).ln()
}

/// The same for what became true by a share from 0 to 1.
pub fn share_log_loss(probability: f64, share: f64) -> f64 {
    share * log_loss(probability, true) + (1.0 - share) * log_loss(probability, false)
}

/// One bin of a reliability diagram.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct ReliabilityBin {
    /// Weight of the rows in it.
    pub rows: f64,
    /// Sum of their probabilities.
    pub probabilities: f64,
    /// Weight of those that became true.
    pub positives: f64,
}

/// Rows by probability in [`CALIBRATION_BINS`] bins of equal width.
pub fn reliability(scores: &Scores, weights: &[f64]) -> [ReliabilityBin; CALIBRATION_BINS] {
    let mut bins = [ReliabilityBin::default(); CALIBRATION_BINS];
    for ((probability, outcome), weight) in scores.scores.iter().zip(&scores.outcomes).zip(weights) {
        let bin = (probability * CALIBRATION_BINS as f64) as usize;
        let bin = &mut bins[bin.min(CALIBRATION_BINS - 1)];
        bin.rows += weight;
        bin.probabilities += weight * probability;
        bin.positives += if *outcome { *weight } else { 0.0 };
    }
    bins
}

/// Expected calibration error: the mean over the rows of the absolute difference between a bin's mean probability and
/// its share of positives (Naeini, Cooper and Hauskrecht 2015), 15 bins of equal width (Guo et al. 2017).
pub fn expected_calibration_error(bins: &[ReliabilityBin]) -> f64 {
    let rows: f64 = bins.iter().map(|bin| bin.rows).sum();
    bins.iter().map(|bin| (bin.probabilities - bin.positives).abs()).sum::<f64>() / rows
}

/// How much two clusterings of the same rows agree beyond chance: 1 for the same up to names, about 0 for unrelated
/// ones (Hubert and Arabie 1985). 1 where there is nothing to disagree about.
pub fn adjusted_rand_index(a: &[usize], b: &[usize]) -> f64 {
    let pairs = |count: &f64| count * (count - 1.0) / 2.0;
    let mut cells: BTreeMap<(usize, usize), f64> = BTreeMap::new();
    let (mut rows, mut columns) = (BTreeMap::new(), BTreeMap::new());
    for (a, b) in a.iter().zip(b) {
        *cells.entry((*a, *b)).or_default() += 1.0;
        *rows.entry(*a).or_default() += 1.0;
        *columns.entry(*b).or_default() += 1.0;
    }
    let together: f64 = cells.values().map(pairs).sum();
    let (in_a, in_b) = (rows.values().map(pairs).sum::<f64>(), columns.values().map(pairs).sum::<f64>());
    let all = pairs(&(a.len().min(b.len()) as f64));
    let expected = if all > 0.0 { in_a * in_b / all } else { 0.0 };
    let largest = (in_a + in_b) / 2.0;
    if largest == expected { 1.0 } else { (together - expected) / (largest - expected) }
}

/// Mean of [`silhouettes`]; −1 to 1, 0 where there is one cluster.
pub fn silhouette(rows: &[&[f64]], clusters: &[usize]) -> f64 {
    let widths = silhouettes(rows, clusters);
    widths.iter().sum::<f64>() / widths.len().max(1) as f64
}

/// Of each row (b − a) / max(a, b), where a is its mean distance to the others of its cluster and b that to the nearest
/// other cluster (Rousseeuw 1987); 0 for a row that is alone, and for all where there is one cluster.
///
/// The cost grows with the square of the rows. linfa's own says the same, but allocates two arrays for every pair.
pub fn silhouettes(rows: &[&[f64]], clusters: &[usize]) -> Vec<f64> {
    let count = clusters.iter().max().map_or(0, |largest| largest + 1);
    let mut sizes = vec![0.0; count];
    for cluster in clusters {
        sizes[*cluster] += 1.0;
    }
    if sizes.iter().filter(|size| **size > 0.0).count() < 2 {
        return vec![0.0; rows.len()];
    }
    let mut sums = vec![0.0; count];
    let mut width = |(row, own): (&&[f64], &usize)| {
        sums.fill(0.0);
        for (other, cluster) in rows.iter().zip(clusters) {
            sums[*cluster] += squared_distance(row, other).sqrt();
        }
        silhouette_of_row(*own, &sums, &sizes)
    };
    rows.iter().zip(clusters).map(&mut width).collect()
}

fn silhouette_of_row(own: usize, sums: &[f64], sizes: &[f64]) -> f64 {
    if sizes[own] <= 1.0 {
        return 0.0;
    }
    let within = sums[own] / (sizes[own] - 1.0);
    let others = (0..sizes.len()).filter(|cluster| *cluster != own && sizes[*cluster] > 0.0);
    let nearest = others.map(|cluster| sums[cluster] / sizes[cluster]).fold(f64::INFINITY, f64::min);
    let largest = within.max(nearest);
    if largest > 0.0 { (nearest - within) / largest } else { 0.0 }
}

/// Squared Euclidean distance.
pub fn squared_distance(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| (a - b) * (a - b)).sum()
}

/// How much two sets of rows overlap, by the sizes of both and of what they share: |A ∩ B| / |A ∪ B| (Jaccard 1901);
/// 1 for two empty sets.
pub fn jaccard(a: f64, b: f64, shared: f64) -> f64 {
    let union = a + b - shared;
    if union > 0.0 { shared / union } else { 1.0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scores(pairs: &[(f64, bool)]) -> Scores {
        Scores {
            scores: pairs.iter().map(|pair| pair.0).collect(),
            outcomes: pairs.iter().map(|pair| pair.1).collect(),
        }
    }

    fn near(found: f64, expected: f64) {
        assert!((found - expected).abs() < 1e-12, "{found} is not {expected}");
    }

    #[test]
    fn auc_counts_ties_half() {
        // Pairs of a positive and a negative: 0.9 wins two, 0.5 wins one and ties one: 3.5 of 4.
        near(auc(&scores(&[(0.9, true), (0.5, true), (0.5, false), (0.1, false)])), 3.5 / 4.0);
        near(auc(&scores(&[(0.3, true), (0.3, false), (0.3, false)])), 0.5);
        assert!(auc(&scores(&[(0.3, true)])).is_nan());
    }

    #[test]
    fn a_row_of_weight_two_counts_like_two_rows() {
        let weighted = Ranking::new(&scores(&[(0.9, true), (0.7, false), (0.5, true), (0.1, false)]));
        let repeated = scores(&[(0.9, true), (0.7, false), (0.7, false), (0.5, true), (0.1, false)]);
        let once = Ranking::new(&repeated);
        near(weighted.auc(&[1.0, 2.0, 1.0, 1.0]), once.auc(&[1.0; 5]));
        near(weighted.pr_auc(&[1.0, 2.0, 1.0, 1.0]), once.pr_auc(&[1.0; 5]));
        near(weighted.lift_top_decile(&[1.0, 2.0, 1.0, 1.0]), once.lift_top_decile(&[1.0; 5]));
    }

    #[test]
    fn average_precision_is_scikit_learns() {
        // The example of sklearn.metrics.average_precision_score: 0.83…
        let ranking = Ranking::new(&scores(&[(0.1, false), (0.4, false), (0.35, true), (0.8, true)]));
        near(ranking.pr_auc(&[1.0; 4]), 0.5 + 0.5 * 2.0 / 3.0);
    }

    #[test]
    fn lift_compares_the_top_tenth_with_everyone() {
        // 20 rows, 4 positives; the top two hold one: 0.5 / 0.2.
        let rows: Vec<(f64, bool)> = (0..20).map(|row| (-f64::from(row), [1, 5, 9, 13].contains(&row))).collect();
        near(Ranking::new(&scores(&rows)).lift_top_decile(&[1.0; 20]), 2.5);
        // When all tie, the top tenth is like everyone.
        let tied: Vec<(f64, bool)> = rows.iter().map(|row| (1.0, row.1)).collect();
        near(Ranking::new(&scores(&tied)).lift_top_decile(&[1.0; 20]), 1.0);
    }

    #[test]
    fn brier_and_log_loss_of_one_row() {
        near(brier(0.8, true), 0.04);
        near(brier(0.8, false), 0.64);
        near(log_loss(0.8, true), -(0.8f64.ln()));
        near(log_loss(0.8, false), -(0.2f64.ln()));
        assert!(log_loss(0.0, true).is_finite());
    }

    #[test]
    fn calibration_error_weighs_the_bins_by_their_rows() {
        // Two bins: mean 0.1 with 1 of 2 true, mean 0.9 with 1 of 1 true: (2·0.4 + 1·0.1) / 3.
        let rows = scores(&[(0.1, true), (0.1, false), (0.9, true)]);
        near(expected_calibration_error(&reliability(&rows, &[1.0; 3])), 0.3);
        let perfect = scores(&[(1.0, true), (0.0, false)]);
        near(expected_calibration_error(&reliability(&perfect, &[1.0; 2])), 0.0);
    }

    #[test]
    fn adjusted_rand_index_of_a_published_table() {
        // The example of scikit-learn: [0, 0, 1, 2] against [0, 0, 1, 1] gives 0.57.
        near(adjusted_rand_index(&[0, 0, 1, 2], &[0, 0, 1, 1]), 4.0 / 7.0);
        near(adjusted_rand_index(&[0, 0, 1, 1], &[1, 1, 0, 0]), 1.0);
        near(adjusted_rand_index(&[0, 0, 1, 1], &[0, 1, 0, 1]), -0.5);
        near(adjusted_rand_index(&[], &[]), 1.0);
    }

    #[test]
    fn silhouette_of_two_pairs_on_a_line() {
        let rows: Vec<[f64; 1]> = vec![[0.0], [1.0], [10.0], [11.0]];
        let rows: Vec<&[f64]> = rows.iter().map(|row| row.as_slice()).collect();
        // Outer rows: a = 1, b = 10.5; inner rows: a = 1, b = 9.5.
        near(silhouette(&rows, &[0, 0, 1, 1]), (9.5 / 10.5 + 8.5 / 9.5) / 2.0);
        near(silhouette(&rows, &[0, 0, 0, 0]), 0.0);
        near(silhouette(&[], &[]), 0.0);
    }

    #[test]
    fn silhouette_agrees_with_linfa() {
        use linfa::metrics::SilhouetteScore;
        let points: Vec<[f64; 2]> = (0..40).map(|i| [f64::from(i * 7 % 13), f64::from(i * 5 % 11)]).collect();
        let clusters: Vec<usize> = (0..40).map(|i| i % 3).collect();
        let records = ndarray::Array2::from_shape_fn((40, 2), |(row, column)| points[row][column]);
        let dataset = linfa::DatasetBase::new(records, ndarray::Array1::from(clusters.clone()));
        let rows: Vec<&[f64]> = points.iter().map(|row| row.as_slice()).collect();
        near(silhouette(&rows, &clusters), dataset.silhouette_score().expect("two clusters"));
    }

    #[test]
    fn jaccard_of_overlapping_sets() {
        near(jaccard(3.0, 3.0, 2.0), 0.5);
        near(jaccard(0.0, 0.0, 0.0), 1.0);
    }
}
