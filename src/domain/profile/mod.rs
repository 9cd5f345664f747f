//! A customer's profile: what all accepted events of one customer add up to.

pub mod activity;
pub mod part;
pub mod purchases;
pub mod size;
pub mod subscription;
pub mod support;
pub mod surveys;
pub mod traits;

mod join;
mod map;
mod record;

pub use record::{Profile, State};
