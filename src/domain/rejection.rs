//! What was refused, kept for those who look why a customer is not who they think.

use serde::{Deserialize, Serialize};

use super::event::{Event, EventKey};
use super::id::ProfileId;
use super::identifier::Identifier;
use super::identity::{Demotion, DemotionReason};
use super::limits;
use super::time::Timestamp;

/// What one request was refused, as a whole. It never changes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Rejections {
    /// Orders them: the newest first.
    pub name: String,
    /// When the request came, by our clock.
    pub time: Timestamp,
    /// What was refused, in the order of the request.
    pub items: Vec<Rejection>,
}

/// An event that was refused, or an identifier of an accepted one.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Rejection {
    /// The event.
    pub event: EventKey,
    /// What of it, and why.
    pub what: Rejected,
}

/// What was refused.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Rejected {
    /// The whole event, for this reason, with the fields at fault.
    Event(EventRejection, Vec<String>),
    /// An identifier of an event that was accepted for this profile.
    Identifier(Identifier, DemotionReason, ProfileId),
}

/// Why a whole event was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum EventRejection {
    /// A field is not what it must be.
    InvalidField,
    /// No identifier names anybody.
    IdentifierRequired,
    /// Its id was used for another event.
    EventIdReused,
    /// The profile would have too many traits.
    TraitLimitReached,
    /// It happened before the history that is kept.
    EventTooOld,
    /// Its customer is forgotten.
    CustomerErased,
}

impl Rejections {
    /// Whom they speak of: the profile whose identifiers they name, where they name any.
    pub fn subject(&self) -> Option<ProfileId> {
        self.items.iter().find_map(Rejection::subject)
    }

    /// Gathers what a request was refused at `time`; `unique` tells requests of the same moment apart.
    pub fn new(time: Timestamp, unique: impl std::fmt::Display, items: Vec<Rejection>) -> Self {
        // Documents are listed in the order of their names.
        let latest_first = u64::MAX - time.as_micros().cast_unsigned().wrapping_add(1 << 63);
        Self { name: format!("{latest_first:016x}-{unique}"), time, items }
    }
}

impl Rejection {
    /// Whose identifier it names, if it names one.
    pub fn subject(&self) -> Option<ProfileId> {
        match self.what {
            Rejected::Identifier(_, _, profile) => Some(profile),
            Rejected::Event(..) => None,
        }
    }

    /// An event that was refused. Its name may be as long as a caller makes it; the start of it is kept.
    /// So are the first of the fields: a batch of faults must not outgrow what one commit may be.
    pub fn of_event(source: &str, event_id: &str, reason: EventRejection, mut fields: Vec<String>) -> Self {
        fields.truncate(limits::REJECTION_FIELDS);
        fields.iter_mut().for_each(|field| *field = start_of(field));
        let event = EventKey { source: start_of(source).into(), event_id: start_of(event_id).into() };
        Self { event, what: Rejected::Event(reason, fields) }
    }

    /// The identifiers of an accepted event that name nobody.
    pub fn of_identifiers<'a>(
        event: &'a Event,
        profile: ProfileId,
        demoted: &'a [Demotion],
    ) -> impl Iterator<Item = Self> + 'a {
        demoted.iter().map(move |demotion| {
            let what = Rejected::Identifier(demotion.identifier.clone(), demotion.reason, profile);
            Self { event: event.key.clone(), what }
        })
    }
}

fn start_of(name: &str) -> String {
    name[..name.floor_char_boundary(limits::EVENT_KEY_BYTES)].to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn later_rejections_come_first_also_those_of_before_1970() {
        let names = [-5, 0, 7, 1_772_366_400_000_000]
            .map(|micros| Rejections::new(Timestamp::from_micros(micros), 1, vec![]).name);
        assert!(names.is_sorted_by(|earlier, later| later < earlier), "{names:?}");
    }

    #[test]
    fn an_overlong_name_is_kept_in_part() {
        let long = "é".repeat(limits::EVENT_KEY_BYTES);
        let kept = Rejection::of_event(&long, "1", EventRejection::InvalidField, vec![]);
        assert_eq!(kept.event.source.len(), limits::EVENT_KEY_BYTES);
        let many =
            Rejection::of_event("s", "1", EventRejection::InvalidField, vec![long; limits::REJECTION_FIELDS + 1]);
        let Rejected::Event(_, fields) = many.what else { panic!("an event was refused") };
        assert_eq!(fields.len(), limits::REJECTION_FIELDS);
        assert!(fields.iter().all(|field| field.len() == limits::EVENT_KEY_BYTES));
    }
}
