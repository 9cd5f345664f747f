//! Stores that are killed, damaged, moved and filled.

mod damage;
mod fixture;
mod recovery;
mod writes;
