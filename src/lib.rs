//! Rapport keeps one profile per customer and predicts from it, over gRPC.

pub mod rpc;
