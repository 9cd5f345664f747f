//! `rapport demo`: real purchases and a *simulated* service desk, imported, learned from, shown and served.
//!
//! It does nothing that a user could not do: the server is the one that `serve` starts, and everything goes over gRPC.

pub mod command;
pub mod desk;
pub mod home;
pub mod retail;
pub mod show;
pub mod tour;

pub use command::demo;
