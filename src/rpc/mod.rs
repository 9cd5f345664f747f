//! The gRPC surface: the only room that knows tonic and prost. It converts, calls and converts back; it decides nothing.

mod admin_service;
mod call;
mod convert;
mod event_service;
mod event_stream;
mod export_stream;
mod health;
mod in_process;
mod layers;
mod listen;
mod options;
pub mod pb;
mod prediction_service;
mod privacy_service;
mod profile_service;
mod reply;
mod router;
mod segment_service;
mod serve;
mod status;
mod stopping;
mod training_service;
mod watch_stream;

pub use in_process::in_process;
pub use options::RpcOptions;
pub use serve::serve;
