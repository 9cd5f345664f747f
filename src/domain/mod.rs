//! What a customer, an event, a profile, a segment and a prediction *are*.
//!
//! Pure and synchronous: no I/O, no clock, no randomness, no protobuf, and no import of another room. Everything that
//! the other rooms store, train on or send is defined here, together with the rules that change it.

pub mod access;
pub mod audit;
pub mod buckets;
pub mod change;
pub mod consent;
pub mod cron;
pub mod decision;
pub mod erasure;
pub mod event;
pub mod fact;
pub mod fold;
pub mod follow_up;
pub mod history;
pub mod id;
pub mod identifier;
pub mod identity;
pub mod identity_rules;
pub mod limits;
pub mod merge;
pub mod model;
pub mod money;
pub mod payload;
pub mod phone;
pub mod prediction;
pub mod privacy_rules;
pub mod profile;
pub mod projection;
pub mod reading;
pub mod rehearsal;
pub mod rejection;
pub mod segment;
pub mod settings;
pub mod time;
pub mod training;
pub mod training_plan;
pub mod value;
pub mod violation;
