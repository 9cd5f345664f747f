//! Stores that are killed, damaged, moved and filled.

mod backup;
mod damage;
mod fixture;
mod recovery;
mod verify;
mod writes;
