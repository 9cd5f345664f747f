//! What every request passes on its way in and its answer on the way out. One service holds it all together, because
//! four boxes around each body would cost more than most requests.

mod body;
mod complete;
mod deadline;
mod gate;
mod identify;
mod shed;
mod trace;
mod traffic;
mod web;

pub(super) use gate::GateLayer;
pub(super) use identify::Door;
pub(super) use shed::{Admission, PeerState};
pub(super) use traffic::TICKS;
pub(super) use web::WebLayer;
