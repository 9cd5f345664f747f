//! The commands of the binary.
//!
//! Commands that work on data talk gRPC, to a running server or to one in their own process, so that there is one path
//! for data and one set of checks.

pub mod import;
