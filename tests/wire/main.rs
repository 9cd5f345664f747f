//! Holds the gRPC surface to what the comments in `proto/` promise, through a real client and the real transport.
//!
//! One binary, because each would link the whole server again.

mod audit;
mod auth;
mod backup;
mod consent;
mod erasure;
mod errors;
mod events;
mod export;
mod faults;
mod hardening;
mod history;
mod identity;
mod isolation;
mod labels;
mod metrics;
mod model_life;
mod predictions;
mod profiles;
mod quotas;
#[path = "../../fuzz/src/raw.rs"]
mod raw;
mod sealed;
mod settings;
mod shown;
mod silence;
mod support;
mod surveys;
mod tls;
mod training;
mod transport;
mod value;
mod watch;
