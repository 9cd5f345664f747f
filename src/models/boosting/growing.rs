//! Growing one tree, leaf by leaf.

use std::ops::Range;

use super::bins::{Binned, MISSING};
use super::histogram::{AHEAD, Histogram, Split, Sum};
use super::training::{Parameters, probability};
use super::tree::{Node, Tree};

/// Grows trees on the same rows; buffers are kept from one tree to the next.
pub(super) struct Grower<'a> {
    binned: &'a Binned,
    parameters: &'a Parameters,
    /// The rows, those of a leaf side by side.
    rows: Vec<u32>,
    /// The sum of each of `rows`.
    sums: Vec<Sum>,
    /// Rows of a leaf on their way to the right.
    moving: Vec<(u32, Sum)>,
    /// Histograms that nobody needs at the moment.
    spare: Vec<Histogram>,
    nodes: Vec<Growing>,
}

/// A node of a tree that grows.
struct Growing {
    node: Node,
    total: Sum,
    /// Its rows in the grower.
    range: Range<usize>,
}

/// A leaf that can be split, with what is needed for it.
struct Candidate {
    node: usize,
    split: Split,
    histogram: Histogram,
}

impl<'a> Grower<'a> {
    pub(super) fn new(binned: &'a Binned, parameters: &'a Parameters, rows: Vec<u32>) -> Self {
        Self { binned, parameters, rows, sums: Vec::new(), moving: Vec::new(), spare: Vec::new(), nodes: Vec::new() }
    }

    /// Grows a tree that brings the scores, in log-odds, nearer to the labels, and adds its values to those of its rows.
    /// Both hold all rows of the table.
    pub(super) fn grow<L: Copy + Into<f64>>(&mut self, labels: &[L], scores: &mut [f64]) -> Tree {
        self.sums.clear();
        let sum = |row: &u32| Sum::of_row(probability(scores[*row as usize]), labels[*row as usize].into());
        self.sums.extend(self.rows.iter().map(sum));
        self.nodes.clear();
        let total = self.sums.iter().fold(Sum::default(), |total, sum| total + *sum);
        let root = self.add(total, 0..self.rows.len());
        let mut histogram = self.take_spare();
        histogram.fill(self.binned, &self.rows, &self.sums);
        let mut candidates = Vec::from_iter(self.candidate(root, histogram));
        for leaves in 2..=self.parameters.leaves_max {
            let Some(best) = pop_best(&mut candidates) else { break };
            let children = self.split(&best);
            if leaves < self.parameters.leaves_max {
                candidates.extend(self.candidates(children, best.histogram));
            } else {
                self.spare.push(best.histogram);
            }
        }
        self.spare.extend(candidates.into_iter().map(|candidate| candidate.histogram));
        self.finish(scores)
    }

    fn add(&mut self, total: Sum, range: Range<usize>) -> usize {
        self.nodes.push(Growing { node: Node::LEAF, total, range });
        self.nodes.len() - 1
    }

    fn take_spare(&mut self) -> Histogram {
        self.spare.pop().unwrap_or_else(|| Histogram::new(self.binned))
    }

    /// Makes an inner node of a leaf, and returns the left child; the right one follows.
    fn split(&mut self, Candidate { node, split, .. }: &Candidate) -> usize {
        let range = self.nodes[*node].range.clone();
        let border = range.start + split.left.rows() as usize;
        // Where no row has a missing value, later ones go with the majority.
        let has_missing = self.partition(range.clone(), split);
        let is_missing_left = if has_missing { split.is_missing_left } else { split.left.rows() >= split.right.rows() };
        let left = self.add(split.left, range.start..border);
        self.add(split.right, border..range.end);
        self.nodes[*node].node = Node {
            left: left as u32,
            column: split.column as u16,
            code: split.code - u8::from(!is_missing_left),
            offset: u8::from(!is_missing_left),
            ..Node::LEAF
        };
        left
    }

    /// Brings the rows of the left side before those of the right one, each in their order; true where one of them has
    /// no value in the column.
    fn partition(&mut self, range: Range<usize>, split: &Split) -> bool {
        let (block, place) = self.binned.place(split.column);
        self.moving.resize(self.rows.len(), Default::default());
        let (mut end, mut moved, mut has_missing) = (range.start, 0, false);
        let mut codes = [MISSING; AHEAD];
        for start in range.clone().step_by(AHEAD) {
            let rows = start..range.end.min(start + AHEAD);
            codes.iter_mut().zip(&self.rows[rows.clone()]).for_each(|(code, row)| *code = block[*row as usize][place]);
            // Every row is written to both sides and counted on one: a branch would be mispredicted half of the time.
            for (at, code) in rows.zip(codes) {
                let (row, sum) = (self.rows[at], self.sums[at]);
                let is_missing = code == MISSING;
                let goes_left = (code <= split.code) & (!is_missing | split.is_missing_left);
                (self.rows[end], self.sums[end], self.moving[moved]) = (row, sum, (row, sum));
                end += usize::from(goes_left);
                moved += usize::from(!goes_left);
                has_missing |= is_missing;
            }
        }
        for (offset, (row, sum)) in self.moving[..moved].iter().enumerate() {
            (self.rows[end + offset], self.sums[end + offset]) = (*row, *sum);
        }
        has_missing
    }

    /// The children of a node that can be split further, given its histogram.
    fn candidates(&mut self, left: usize, mut parent: Histogram) -> impl Iterator<Item = Candidate> + use<> {
        let right = left + 1;
        let (smaller, larger) = if self.rows_of(left) <= self.rows_of(right) { (left, right) } else { (right, left) };
        if !self.is_splittable(larger) {
            self.spare.push(parent);
            return None.into_iter().chain(None);
        }
        let mut histogram = self.take_spare();
        let range = self.nodes[smaller].range.clone();
        histogram.fill(self.binned, &self.rows[range.clone()], &self.sums[range]);
        parent.subtract(&histogram);
        let of_smaller = self.candidate(smaller, histogram);
        of_smaller.into_iter().chain(self.candidate(larger, parent))
    }

    fn candidate(&mut self, node: usize, histogram: Histogram) -> Option<Candidate> {
        let total = self.nodes[node].total;
        let split = histogram.best_split(self.binned, total, self.parameters);
        match split.filter(|_| self.is_splittable(node)) {
            Some(split) => Some(Candidate { node, split, histogram }),
            None => {
                self.spare.push(histogram);
                None
            }
        }
    }

    fn rows_of(&self, node: usize) -> u32 {
        self.nodes[node].total.rows()
    }

    fn is_splittable(&self, node: usize) -> bool {
        self.rows_of(node) / 2 >= self.parameters.rows_min
    }

    /// Gives the leaves their values and all nodes their steps.
    fn finish(&mut self, scores: &mut [f64]) -> Tree {
        let Parameters { learning_rate, penalty, .. } = *self.parameters;
        let mut means = vec![0.0; self.nodes.len()];
        // Children lie behind their parents.
        for index in (0..self.nodes.len()).rev() {
            let Growing { node, total, range } = &self.nodes[index];
            means[index] = if index == 0 && node.is_leaf() {
                // Without a split a tree knows no more than the base rate, which the scores began with.
                0.0
            } else if node.is_leaf() {
                let value = learning_rate * total.newton_step(penalty);
                self.rows[range.clone()].iter().for_each(|row| scores[*row as usize] += value);
                value
            } else {
                let left = node.left as usize;
                let (left_rows, right_rows) = (f64::from(self.rows_of(left)), f64::from(self.rows_of(left + 1)));
                (left_rows * means[left] + right_rows * means[left + 1]) / (left_rows + right_rows)
            };
        }
        for index in 0..self.nodes.len() {
            let left = self.nodes[index].node.left as usize;
            if left > 0 {
                self.nodes[left].node.step = means[left] - means[index];
                self.nodes[left + 1].node.step = means[left + 1] - means[index];
            }
        }
        Tree { nodes: self.nodes.iter().map(|growing| growing.node).collect(), mean: means[0] }
    }
}

/// Takes the candidate with the largest gain out; of equal ones, the first.
fn pop_best(candidates: &mut Vec<Candidate>) -> Option<Candidate> {
    let gains = candidates.iter().map(|candidate| candidate.split.gain).enumerate();
    let (best, _) = gains.reduce(|best, next| if next.1 > best.1 { next } else { best })?;
    Some(candidates.swap_remove(best))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Grows one tree on columns of 100 rows, of which the first 30 are positive.
    fn grown(columns: Vec<Vec<f64>>, parameters: Parameters) -> (Tree, Vec<f64>) {
        let binned = Binned::new(columns).expect("a table");
        let labels: Vec<bool> = (0..100).map(|row| row < 30).collect();
        let mut scores = vec![0.0; 100];
        let tree = Grower::new(&binned, &parameters, (0..100).collect()).grow(&labels, &mut scores);
        (tree, scores)
    }

    fn leaves(tree: &Tree) -> usize {
        tree.nodes.iter().filter(|node| node.is_leaf()).count()
    }

    #[test]
    fn a_leaf_moves_by_its_share_of_a_newton_step() {
        let column = (0..100).map(|row| f64::from(u8::from(row < 40))).collect();
        let (tree, scores) = grown(vec![column], Parameters { penalty: 0.0, ..Parameters::default() });
        // 40 rows of which 30 are positive: G = 40/2 - 30, H = 40/4; 60 of which none is: G = 30, H = 15.
        assert!((scores[0] - 0.1).abs() < 1e-6 && (scores[99] + 0.2).abs() < 1e-6, "{scores:?}");
        assert_eq!(leaves(&tree), 2);
        assert!((tree.mean - (0.4 * 0.1 - 0.6 * 0.2)).abs() < 1e-6);
    }

    #[test]
    fn a_tree_has_no_more_leaves_and_a_leaf_no_fewer_rows_than_allowed() {
        let column = || (0..100).map(|row| f64::from(row * 37 % 101)).collect::<Vec<_>>();
        for (leaves_max, rows_min) in [(2, 5), (4, 5), (31, 5), (31, 20), (31, 51)] {
            let parameters = Parameters { leaves_max, rows_min, penalty: 0.0, ..Parameters::default() };
            let (tree, scores) = grown(vec![column()], parameters);
            let mut sizes = scores.clone();
            sizes.sort_unstable_by(f64::total_cmp);
            let smallest = sizes.chunk_by(|a, b| a == b).map(<[f64]>::len).min().expect("rows");
            assert!(leaves(&tree) <= leaves_max && smallest >= rows_min as usize, "{leaves_max} {rows_min}");
            assert_eq!(leaves(&tree) == 1, rows_min > 50);
        }
    }

    #[test]
    fn where_no_row_had_a_missing_value_one_goes_with_the_majority() {
        let column = |border: usize| (0..100).map(|row| f64::from(u8::from(row >= border))).collect();
        for (border, value) in [(30, 1), (60, 2)] {
            let (tree, _) = grown(vec![column(border)], Parameters::default());
            let of = |code| tree.value(|_| code);
            let (left, right) = (of(1), of(2));
            assert!(left != right && of(MISSING) == if value == 1 { right } else { left });
        }
    }
}
