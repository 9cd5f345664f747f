//! Gradient boosted trees on histograms (Friedman 2001; Ke et al. 2017, LightGBM), for one probability.
//!
//! Columns are cut into at most 255 bins and one for missing values. Each tree is grown leaf by leaf, the one with the
//! largest gain first, on gradients and curvatures of the log loss (Chen and Guestrin 2016). The sums of a histogram are
//! integers in fixed point, so that they are exact and the same in any order of adding. Whoever fits chooses the number
//! of trees by cross-validation ([`cross_fit`]) and then fits on everything ([`fit`]): no row is given up to a stop.
//!
//! What a column adds to the log-odds is the sum, over the splits on it that a row passes, of how far the mean of the
//! leaves below moved (Saabas 2014, for random forests). The parts sum to the log-odds exactly and cost no more than the
//! prediction. Shapley values (TreeSHAP, Lundberg et al. 2020) would share the credit of an interaction more evenly
//! between its columns, but cost the depth of the trees squared times their leaves: hundreds of microseconds per
//! customer where this takes about ten.

mod bins;
mod forest;
mod growing;
mod histogram;
mod training;
mod tree;

pub use bins::Binned;
pub use forest::{Explanation, Forest};
pub use training::{CrossFit, Parameters, cross_fit, fit};
