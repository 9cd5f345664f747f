//! Rapport: customer profiles, segments and predictions behind gRPC, in one process with an embedded store.

pub mod app;
pub mod cli;
pub mod domain;
pub mod models;
pub mod rpc;
pub mod server;
pub mod store;
