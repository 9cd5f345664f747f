//! Stores that are killed, damaged, moved and filled.

mod damage;
pub(super) mod faults;
mod fixture;
mod recovery;
mod writes;
