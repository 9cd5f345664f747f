//! What a caller can ask for: one use case per file, each a readable story of checking, loading, deciding in the
//! domain, committing and answering.

mod activate_model;
mod application;
pub mod context;
mod customer;
mod error;
mod get_models;
mod get_profile;
mod get_segments;
mod ingest_events;
mod lanes;
mod list_events;
mod page;
mod predict;
mod registry;
mod request;
mod server_info;
mod settings;
mod stream_predictions;
mod train;
mod trainer;
mod training_runs;
mod unwind;

pub use application::App;
pub use customer::{Caller, CustomerRef, Found, Read};
pub(crate) use error::chain;
pub use error::{Error, Invalid, Reason, Resource, Result};
pub use get_models::ModelView;
pub use ingest_events::{IncomingEvent, IngestMode, Ingested, Outcome, OutcomeStatus};
pub use list_events::{EventFilter, EventQuery};
pub use page::{Listed, Page, PageRequest};
pub use predict::{Answer, Kinds, Prediction, With};
pub use server_info::ServerInfo;
pub use settings::{SettingsChange, SettingsView};
pub use stream_predictions::PredictionBatch;
pub use train::TrainingRequest;
pub use training_runs::RunView;
pub use unwind::{Caught, Panicked, produce};
