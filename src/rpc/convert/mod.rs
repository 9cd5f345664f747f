//! The contract's messages to the domain's types and back, one file per resource. Nothing is decided here: a
//! conversion either has a meaning in the domain or becomes a violation that names the field and the limit.

pub(super) mod api_key;
pub(super) mod audit;
pub(super) mod backup;
pub(super) mod change;
pub(super) mod consent;
mod count;
pub(super) mod customer;
pub(super) mod erasure;
pub(super) mod event;
pub(super) mod mask;
pub(super) mod merge;
pub(super) mod model;
pub(super) mod money;
pub(super) mod page;
pub(super) mod payload;
pub(super) mod personal;
pub(super) mod prediction;
pub(super) mod profile;
pub(super) mod read;
pub(super) mod rejection;
pub(super) mod request_id;
pub(super) mod segment;
pub(super) mod settings;
pub(super) mod summary;
pub(super) mod time;
pub(super) mod training;
pub(super) mod training_plan;
pub(super) mod value;

pub(super) use count::count;
