//! Stores that are killed, damaged, moved and filled.

mod audit;
mod backup;
mod damage;
mod erase;
pub(super) mod faults;
mod fixture;
mod recovery;
mod retention;
mod verify;
mod writes;
