//! A tree as flat nodes.

use serde::{Deserialize, Serialize};

/// A node. The children of an inner node lie side by side, behind their parent.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub(super) struct Node {
    /// How far the mean of the leaves below moves from the parent to here.
    pub(super) step: f64,
    /// Where the left child is; 0 for a leaf.
    pub(super) left: u32,
    /// Which column decides.
    pub(super) column: u16,
    /// A code of at most this, after `offset` was taken away, goes left.
    pub(super) code: u8,
    /// 1 sends the code of a missing value, 0, around to 255 and so to the right; 0 leaves it on the left.
    pub(super) offset: u8,
}

impl Node {
    pub(super) const LEAF: Self = Self { step: 0.0, left: 0, column: 0, code: 0, offset: 0 };

    pub(super) fn is_leaf(&self) -> bool {
        self.left == 0
    }

    /// The child that a row with this code in the node's column goes to.
    pub(super) fn child(&self, code: u8) -> usize {
        self.left as usize + usize::from(code.wrapping_sub(self.offset) > self.code)
    }
}

/// A grown tree; the root is the first of its nodes.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Tree {
    pub(super) nodes: Vec<Node>,
    /// The mean of the leaves over the rows that it was grown on.
    pub(super) mean: f64,
}

impl Tree {
    /// The value of a row; `code` gives its code in a column.
    pub(super) fn value(&self, code: impl Fn(usize) -> u8) -> f64 {
        let (mut node, mut value) = (&self.nodes[0], self.mean);
        while !node.is_leaf() {
            node = &self.nodes[node.child(code(usize::from(node.column)))];
            value += node.step;
        }
        value
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_value_goes_to_the_side_that_the_node_names() {
        let node = |code, offset| Node { left: 5, code, offset, ..Node::LEAF };
        // Values up to code 3 go left; a missing one has code 0.
        let (missing_left, missing_right) = (node(3, 0), node(2, 1));
        for code in 1..=255 {
            let expected = if code <= 3 { 5 } else { 6 };
            assert_eq!((missing_left.child(code), missing_right.child(code)), (expected, expected), "{code}");
        }
        assert_eq!((missing_left.child(0), missing_right.child(0)), (5, 6));
        // All values left, and only the missing ones right.
        assert_eq!((node(254, 1).child(255), node(254, 1).child(0)), (5, 6));
    }
}
