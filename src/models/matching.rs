//! Which new cluster is which old segment.

use pathfinding::kuhn_munkres::kuhn_munkres;
use pathfinding::matrix::Matrix;

use super::clustering::overlaps;

/// Similarity below which a cluster has dissolved and what is found is another one (Hennig 2007).
const SAME_MIN: f64 = 0.5;
/// Similarities as integers, which the assignment needs.
const PARTS: f64 = 1e9;

/// For each new cluster the old one that it continues. The pairs have the largest total Jaccard similarity over the
/// same customers (Kuhn 1955, Munkres 1957); a pair that shares less than half continues nothing.
pub(super) fn continue_clusters(new: &[usize], old: &[usize], k_new: usize, k_old: usize) -> Vec<Option<usize>> {
    let mut continued = vec![None; k_new];
    if k_new == 0 || k_old == 0 {
        return continued;
    }
    let table = overlaps(new, old, k_new, k_old);
    // The algorithm wants at least as many columns as rows; a column beyond the old clusters continues nothing.
    let weights = Matrix::from_fn(k_new, k_old.max(k_new), |(new, old)| {
        if old < k_old { (table.jaccard(new, old) * PARTS) as i64 } else { 0 }
    });
    let (_, columns) = kuhn_munkres(&weights);
    for (new, old) in columns.into_iter().enumerate() {
        if old < k_old && table.jaccard(new, old) >= SAME_MIN {
            continued[new] = Some(old);
        }
    }
    continued
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clusters_are_found_again_under_other_numbers() {
        let old = [0, 0, 0, 1, 1, 2, 2, 2];
        let new = [2, 2, 2, 0, 0, 1, 1, 0];
        assert_eq!(continue_clusters(&new, &old, 3, 3), [Some(1), Some(2), Some(0)]);
    }

    #[test]
    fn a_cluster_more_is_new_and_a_cluster_less_is_gone() {
        let old = [0, 0, 0, 0, 1, 1, 1, 1];
        let new = [0, 0, 0, 2, 1, 1, 1, 1];
        assert_eq!(continue_clusters(&new, &old, 3, 2), [Some(0), Some(1), None]);
        assert_eq!(continue_clusters(&[0; 8], &old, 1, 2), [Some(0)]);
        assert_eq!(continue_clusters(&[0; 8], &[0, 0, 0, 1, 1, 1, 2, 2], 1, 3), [None]);
    }

    #[test]
    fn an_empty_side_matches_nothing() {
        assert_eq!(continue_clusters(&[], &[], 2, 0), [None, None]);
        assert!(continue_clusters(&[], &[], 0, 2).is_empty());
    }
}
