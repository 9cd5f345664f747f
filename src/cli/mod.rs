//! The commands of the binary.
//!
//! Commands that work on data talk gRPC, to a running server or to one in their own process, so that there is one path
//! for data and one set of checks; only `restore` and `verify` work on files, through `server`. Results go to the standard output, progress and errors to the standard error; a
//! request that cannot be followed ends with code 2, a failure with 1.

pub mod args;
pub mod backup;
pub mod card;
pub mod card_of_answers;
pub mod clock;
pub mod config;
pub mod demo;
pub mod evaluate;
pub mod findings;
pub mod import;
pub mod json;
pub mod keys;
pub mod meter;
pub mod model_report;
pub mod progress;
pub mod report;
pub mod restore;
pub mod run;
pub mod serve;
pub mod servicedesk;
pub mod session;
pub mod train;
pub mod verify;

pub use run::run;
