//! Faults of the machine: the power that goes, and files that are not what was written.
//!
//! - `recorder` hears of every step that the store takes on its own files, and of every acknowledgement.
//! - `disk` says what of these steps may be there after a kill or a power cut.
//! - `workload` is a history with every kind of write; `examine` holds what is left of it to the promises.
//! - `audit`, `power`, `damage`, `checkpoints`, `tables`, `proof` and `starts` are the tests.
//!
//! A test's cases follow from a seed, which a failure names. `RAPPORT_FAULT_CASES` and `RAPPORT_FAULT_SEED` choose how
//! many and which; `.ci/nightly` plays thousands. Checkpoints are written by a thread of their own: a seed repeats what is
//! done, but where there are checkpoints it may fall a few steps earlier or later.

mod audit;
mod cases;
mod checkpoints;
mod damage;
mod disk;
mod examine;
mod power;
mod proof;
pub(in crate::store::embedded) mod recorder;
mod starts;
mod tables;
mod workload;
