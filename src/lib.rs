//! Rapport: customer profiles, segments and predictions behind gRPC, in one process with an embedded store.

pub mod cli;
pub mod domain;
pub mod rpc;
