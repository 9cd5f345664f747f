//! How often, how long and where a customer was active.

use litemap::LiteMap;
use serde::{Deserialize, Serialize};
use smol_str::SmolStr;

use super::{join, map};
use crate::domain::event::Event;
use crate::domain::limits;
use crate::domain::payload::Payload;
use crate::domain::time::Timestamp;

/// A count with its first and last time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tally {
    /// How many.
    pub events: u64,
    /// The first of them.
    pub first: Timestamp,
    /// The last of them.
    pub last: Timestamp,
}

/// Everything that a customer did, counted.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Activity {
    /// All events; absent before the first.
    pub all: Option<Tally>,
    /// By channel; events without one are only in `all`.
    #[serde(deserialize_with = "map::read")]
    pub channels: LiteMap<SmolStr, Tally>,
    /// By kind of payload.
    #[serde(deserialize_with = "map::read")]
    pub kinds: LiteMap<SmolStr, Tally>,
    /// By the name of `Track` events.
    #[serde(deserialize_with = "map::read")]
    pub names: LiteMap<SmolStr, Tally>,
}

impl Activity {
    /// How many events there were.
    pub fn events(&self) -> u64 {
        self.all.map_or(0, |all| all.events)
    }

    pub(in crate::domain) fn fold(&mut self, event: &Event) {
        let time = event.times.event;
        match &mut self.all {
            Some(all) => all.add(time),
            None => self.all = Some(Tally::new(time)),
        }
        if !event.channel.is_empty() {
            count(&mut self.channels, &event.channel, time);
        }
        count(&mut self.kinds, event.payload.kind(), time);
        if let Payload::Track(track) = &event.payload {
            count(&mut self.names, &track.name, time);
        }
    }
}

impl Activity {
    /// Takes over what another history of the customer adds up to.
    pub(super) fn join(&mut self, other: Self) {
        let limit = limits::COUNTED_NAMES;
        let rest = (limit, &SmolStr::new_static(limits::OTHER));
        join::both(&mut self.all, other.all, Tally::join);
        join::by_name(&mut self.channels, other.channels, rest, Tally::join);
        join::by_name(&mut self.kinds, other.kinds, rest, Tally::join);
        join::by_name(&mut self.names, other.names, rest, Tally::join);
    }
}

impl Tally {
    fn new(time: Timestamp) -> Self {
        Self { events: 1, first: time, last: time }
    }

    fn add(&mut self, time: Timestamp) {
        self.events += 1;
        self.first = self.first.min(time);
        self.last = self.last.max(time);
    }

    fn join(&mut self, other: Self) {
        self.events += other.events;
        self.first = self.first.min(other.first);
        self.last = self.last.max(other.last);
    }
}

/// Counts `name`, or [`limits::OTHER`] once the map is full of other names.
fn count(tallies: &mut LiteMap<SmolStr, Tally>, name: &str, time: Timestamp) {
    if let Some(tally) = tallies.get_mut(name) {
        return tally.add(time);
    }
    let name = if tallies.len() < limits::COUNTED_NAMES { name } else { limits::OTHER };
    tallies.entry(SmolStr::new(name)).and_modify(|tally| tally.add(time)).or_insert_with(|| Tally::new(time));
}
