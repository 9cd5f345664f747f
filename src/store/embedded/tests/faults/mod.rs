//! Faults of the machine: the power that goes, and files that are not what was written.
//!
//! - `recorder` hears of every step that the store takes on its own files, and of every acknowledgement.
//! - `proof` holds acknowledgements to the syncs before them, and `starts` what a start believes.

mod proof;
pub(in crate::store::embedded) mod recorder;
mod starts;
