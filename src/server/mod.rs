//! Wires the rooms to a server: configuration, telemetry, start and stop. The only room that names a store adapter.

pub mod config;
mod environment;
mod running;
pub mod telemetry;

pub use config::Config;
pub use running::{InProcess, Refusal, Server, serve_until_signal, start_in_process, wait_for_signal};
