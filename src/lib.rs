//! x

pub mod rpc;
