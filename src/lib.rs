//! Rapport: customer profiles, segments and predictions behind gRPC, in one process with an embedded store.

pub mod app;
pub mod cli;
pub mod domain;
pub mod models;
pub mod rpc;
pub mod server;
pub mod store;

/// A profile is many small pieces that different threads make and let go of. With the allocator of glibc that took a
/// third of the processor's time, and twice the memory.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;
