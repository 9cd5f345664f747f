//! The in-memory adapter: the reference that every other adapter must agree with. Nothing survives the process.

mod store;
mod workspace;

pub use store::MemoryStore;
