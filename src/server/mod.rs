//! Wires the rooms to a server: configuration, telemetry, start and stop. The only room that names a store adapter.

mod audit;
pub mod config;
mod credentials;
mod digest_key;
mod encryption;
mod environment;
mod expiry;
mod jwks;
mod keys;
mod metrics;
mod models;
mod refusal;
mod reload;
mod running;
pub mod telemetry;
mod tls;
mod upkeep;

pub use crate::store::embedded::OnReplay;
pub use config::Config;
pub use refusal::Refusal;
pub use running::{InProcess, Server, serve_until_signal, start_in_process, wait_for_signal};
pub use upkeep::{Finding, Mode, Remedy, Restored, Verified, restore, take_over_erasures, verify};
