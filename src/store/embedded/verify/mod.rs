//! Looking at a data directory that nobody has open: is everything what was written, and if not, what helps?
//!
//! Nothing is changed by looking, not even by sled, which works on a copy of its files. What can be repaired without
//! a loss is repaired where that was asked for; what was acknowledged and is not there any more only a backup brings
//! back.

mod audit;
mod checkpoints;
mod finding;
mod folders;
mod index;
mod keys;
mod places;
mod repair;
mod run;
mod workshop;

pub use finding::{Finding, Remedy};
pub use run::{Mode, Verified, verify};
