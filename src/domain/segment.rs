//! Segments: groups of customers that resemble each other.

use serde::{Deserialize, Serialize};

/// A group of customers, with what sets it apart.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Segment {
    /// A contract: the same group keeps its id over retraining.
    pub id: String,
    /// A name for people, a few words.
    pub display_name: String,
    /// The typical customer, in a sentence or two with figures.
    pub persona: String,
    /// Customers in it when it was learned.
    pub size: u64,
    /// Their share of all customers, 0 to 1.
    pub share: f64,
    /// Cluster-wise Jaccard similarity over bootstrap samples, 0 to 1; from 0.75 the group is stable.
    pub stability_jaccard: f64,
    /// The features that set it apart, the strongest first.
    pub distinguishing: Vec<Distinction>,
}

/// One feature in which a segment differs from everyone.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Distinction {
    /// The feature's name for programs.
    pub feature: String,
    /// The feature's name for people.
    pub display_name: String,
    /// Median within the segment, in the feature's unit.
    pub median: f64,
    /// Median of everyone.
    pub population_median: f64,
    /// The difference of the segment's mean from everyone's, in standard deviations of the standardised feature.
    pub deviation: f64,
}
