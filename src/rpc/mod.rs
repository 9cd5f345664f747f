//! The gRPC surface: the only room that knows tonic and prost. It converts, calls and converts back; it decides nothing.

mod access;
mod admin_service;
mod call;
mod codec;
mod connection;
mod convert;
mod credentials;
mod direct;
mod event_service;
mod event_stream;
mod export_stream;
#[doc(hidden)]
pub mod fuzzing;
mod health;
mod in_process;
mod layers;
mod listen;
mod measures;
mod options;
pub mod pb;
mod peers;
mod prediction_service;
mod privacy_service;
mod profile_service;
mod quotas;
mod reply;
mod router;
mod segment_service;
mod serve;
mod shown;
mod status;
mod stopping;
mod token;
mod training_service;
mod watch_stream;

pub use credentials::{CertificateName, CertificateRule, Credentials};
pub use in_process::in_process;
pub use measures::Measures;
pub use options::{ConnectionLimits, MessageLimits, RpcOptions};
pub use quotas::QuotaOptions;
pub use serve::serve;
pub use token::{ExpectedClaims, Issuer, UnusableKeys};
