//! `rapport report`: what a model is, how good it is and what came of it, for people who decide about it.

mod churn;
pub mod command;
mod html;
mod plot;
mod segments;
mod shared;
