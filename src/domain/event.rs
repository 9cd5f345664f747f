//! An event: who, when, where and what.

use serde::{Deserialize, Serialize};
use smol_str::SmolStr;

use super::identifier::Identifier;
use super::limits;
use super::payload::Payload;
use super::time::Timestamp;
use super::violation::{ViolationReason, Violations};

/// An event as a caller sent it, before we looked at it.
#[derive(Debug, Clone, PartialEq)]
pub struct Draft {
    /// The caller's name for the event, unique within `source`.
    pub event_id: SmolStr,
    /// The system that sends it.
    pub source: SmolStr,
    /// Type and value of each identifier.
    pub identifiers: Vec<SentIdentifier>,
    /// When it happened by the client's clock.
    pub original_time: Option<Timestamp>,
    /// When the client sent it by the client's clock.
    pub sent_time: Option<Timestamp>,
    /// Where it happened.
    pub channel: SmolStr,
    /// Where in the journey.
    pub touchpoint: SmolStr,
    /// What happened; `None` where the caller sent nothing we know.
    pub payload: Option<Payload>,
}

/// An identifier as it was sent: a type and a value.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct SentIdentifier {
    /// The type as it was sent.
    pub kind: SmolStr,
    /// The value as it was sent.
    pub value: SmolStr,
}

impl std::fmt::Debug for SentIdentifier {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "SentIdentifier({}, …)", self.kind)
    }
}

/// An event that we accepted. It never changes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Event {
    /// Names the event within the workspace.
    pub key: EventKey,
    /// The identifiers as they were sent.
    pub identifiers: Vec<SentIdentifier>,
    /// When.
    pub times: EventTimes,
    /// How much its source counted when it was accepted: of two statements of the same moment the higher one holds.
    pub source_priority: i32,
    /// Where it happened: `web`, `phone`, … or the caller's own.
    pub channel: SmolStr,
    /// Where in the journey.
    pub touchpoint: SmolStr,
    /// What happened.
    pub payload: Payload,
}

/// What makes an event the same event: accepted once per workspace.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct EventKey {
    /// The system that sent it.
    pub source: SmolStr,
    /// Its name there.
    pub event_id: SmolStr,
}

/// The four times of an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct EventTimes {
    /// The client's clock when it happened.
    pub original: Option<Timestamp>,
    /// The client's clock when it was sent.
    pub sent: Option<Timestamp>,
    /// Our clock when it came.
    pub received: Timestamp,
    /// When it happened as far as we can tell; the one that counts.
    pub event: Timestamp,
    /// True where the claimed time lay in the future and `received` took its place.
    pub clamped: bool,
}

impl EventTimes {
    /// Corrects the client's clock: `event = received − (sent − original)`; without `sent` it is the original, without
    /// the original it is `received`. More than [`limits::CLOCK_SKEW`] in the future is replaced by `received`.
    pub fn resolve(original: Option<Timestamp>, sent: Option<Timestamp>, received: Timestamp) -> Self {
        let claimed = match (original, sent) {
            (Some(original), Some(sent)) => received.plus_micros(-sent.micros_since(original)),
            (Some(original), None) => original,
            (None, _) => received,
        };
        let clamped = claimed > received.plus(limits::CLOCK_SKEW);
        Self { original, sent, received, event: if clamped { received } else { claimed }, clamped }
    }
}

/// The canonical order of a customer's events: two servers that fold the same events in this order agree.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct OrderKey {
    /// First by time,
    pub time: Timestamp,
    /// then by how much the source counts, the most last,
    pub source_priority: i32,
    /// then by source and id,
    pub key: EventKey,
    /// then by receipt, for a key that was forgotten and accepted again: the order is total.
    pub received: Timestamp,
}

/// A place in the canonical order, borrowed: comparing copies nothing.
type Place<'a> = (Timestamp, i32, &'a EventKey, Timestamp);

impl OrderKey {
    pub(super) fn place(&self) -> Place<'_> {
        (self.time, self.source_priority, &self.key, self.received)
    }
}

impl Event {
    pub(super) fn place(&self) -> Place<'_> {
        (self.times.event, self.source_priority, &self.key, self.times.received)
    }

    /// Where the event stands in the canonical order.
    pub fn order(&self) -> OrderKey {
        let (time, received) = (self.times.event, self.times.received);
        OrderKey { time, source_priority: self.source_priority, key: self.key.clone(), received }
    }

    /// True when `other` is this event sent again: everything but the times of sending and receipt is equal.
    pub fn has_same_content(&self, other: &Self) -> bool {
        self.identifiers == other.identifiers
            && self.times.original == other.times.original
            && self.channel == other.channel
            && self.touchpoint == other.touchpoint
            && self.payload == other.payload
    }
}

impl Draft {
    /// Checks the draft and completes it to an event received at `received`, with the identifiers that may name its
    /// customer, normalised.
    ///
    /// Every fault is added to `violations`; the event is returned only when this call added none.
    pub fn accept(self, received: Timestamp, violations: &mut Violations) -> Option<(Event, Vec<Identifier>)> {
        let before = violations.len();
        violations.check_required_text("event_id", &self.event_id, limits::EVENT_KEY_BYTES);
        violations.check_required_text("source", &self.source, limits::EVENT_KEY_BYTES);
        violations.check_text("channel", &self.channel, limits::NAME_BYTES);
        violations.check_text("touchpoint", &self.touchpoint, limits::NAME_BYTES);
        let identifiers = self.check_identifiers(violations);
        match &self.payload {
            Some(payload) => payload.check(violations),
            None => violations.add("payload", "must be one of the kinds that the event message lists"),
        }
        if violations.len() > before {
            return None;
        }
        let event = Event {
            key: EventKey { source: self.source, event_id: self.event_id },
            identifiers: self.identifiers,
            times: EventTimes::resolve(self.original_time, self.sent_time, received),
            source_priority: 0,
            channel: self.channel,
            touchpoint: self.touchpoint,
            payload: self.payload?,
        };
        Some((event, identifiers))
    }

    fn check_identifiers(&self, violations: &mut Violations) -> Vec<Identifier> {
        let limit = limits::IDENTIFIERS_PER_EVENT;
        if self.identifiers.is_empty() {
            violations.add_because(
                ViolationReason::IdentifierRequired,
                "identifiers",
                "must name the customer by at least one identifier",
            );
        }
        if self.identifiers.len() > limit {
            violations.add("identifiers", format!("has {} items; the limit is {limit}", self.identifiers.len()));
        }
        let mut normalised = Vec::with_capacity(self.identifiers.len().min(limit));
        for (position, sent) in self.identifiers.iter().take(limit).enumerate() {
            match Identifier::parse(&sent.kind, &sent.value) {
                Ok(identifier) => normalised.push(identifier),
                Err(fault) => violations.add(&format!("identifiers[{position}]"), fault.to_string()),
            }
        }
        normalised
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_micros(seconds * 1_000_000)
    }

    #[test]
    fn a_clock_that_is_wrong_by_an_hour_is_corrected() {
        let times = EventTimes::resolve(Some(at(3_600)), Some(at(3_610)), at(7_200));
        assert_eq!(times.event, at(7_190));
        assert!(!times.clamped);
    }

    #[test]
    fn without_a_sent_time_the_original_time_counts() {
        assert_eq!(EventTimes::resolve(Some(at(5)), None, at(100)).event, at(5));
    }

    #[test]
    fn without_an_original_time_the_event_happened_when_it_came() {
        assert_eq!(EventTimes::resolve(None, Some(at(5)), at(100)).event, at(100));
    }

    #[test]
    fn a_time_in_the_future_is_clamped_and_marked_but_a_small_skew_is_not() {
        let skewed = EventTimes::resolve(Some(at(100 + 300)), None, at(100));
        assert_eq!((skewed.event, skewed.clamped), (at(400), false));
        let future = EventTimes::resolve(Some(at(100 + 301)), None, at(100));
        assert_eq!((future.event, future.clamped), (at(100), true));
    }
}
