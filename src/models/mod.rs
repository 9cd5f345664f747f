//! Profiles to features, features to scores: training, evaluation, calibration and the bytes of a trained model.
//!
//! Pure and synchronous: no I/O, no clock, no logging, no threads. All randomness comes from a seed that the caller
//! passes, so the same dataset, parameters and seed give the same model bytes. linfa lives only here.

pub mod artifact;
pub mod boosting;
pub mod churn;
pub mod clustering;
pub mod customer_key;
pub mod drift;
pub mod effort;
pub mod error;
pub mod evaluation;
pub mod examples;
pub mod features;
pub mod logistic;
pub mod repurchase;
pub mod segments;
pub mod survey;
pub mod traits;
pub mod value;

mod agreement;
mod bootstrap;
mod calibration;
mod card;
#[cfg(test)]
mod fixture;
mod matching;
mod persona;
mod plan;
mod projection;
mod regression;
mod sampling;
mod scaling;
mod schema;
#[cfg(test)]
mod tests;
mod thinning;
