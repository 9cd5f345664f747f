//! Events.

use super::{payload, time};
use crate::app::IncomingEvent;
use crate::domain::event::{Draft, Event, SentIdentifier};
use crate::domain::violation::Violations;
use crate::rpc::pb;

/// A batch of events with everything that cannot be converted; paths begin at the request. Fields that only the
/// server sets are ignored.
pub(in crate::rpc) fn batch(events: Vec<pb::Event>) -> Vec<IncomingEvent> {
    events.into_iter().enumerate().map(|(position, event)| incoming(position, event)).collect()
}

fn incoming(position: usize, event: pb::Event) -> IncomingEvent {
    let mut violations = Violations::new();
    let draft = violations.within(format_args!("events[{position}]"), |violations| Draft {
        event_id: event.event_id.into(),
        source: event.source.into(),
        identifiers: event.identifiers.into_iter().map(identifier).collect(),
        original_time: time::from_pb(event.original_time, "original_time", violations),
        sent_time: time::from_pb(event.sent_time, "sent_time", violations),
        channel: event.channel.into(),
        touchpoint: event.touchpoint.into(),
        payload: event.payload.map(|payload| payload::from_pb(payload, violations)),
    });
    IncomingEvent { draft, violations }
}

/// An event of a timeline.
pub(in crate::rpc) fn to_pb(event: Event) -> pb::Event {
    pb::Event {
        event_id: event.key.event_id.into(),
        source: event.key.source.into(),
        identifiers: event
            .identifiers
            .into_iter()
            .map(|sent| pb::Identifier { r#type: sent.kind.into(), value: sent.value.into() })
            .collect(),
        original_time: event.times.original.map(time::to_pb),
        sent_time: event.times.sent.map(time::to_pb),
        received_time: Some(time::to_pb(event.times.received)),
        event_time: Some(time::to_pb(event.times.event)),
        channel: event.channel.into(),
        touchpoint: event.touchpoint.into(),
        time_clamped: event.times.clamped,
        payload: Some(payload::to_pb(event.payload)),
    }
}

fn identifier(sent: pb::Identifier) -> SentIdentifier {
    SentIdentifier { kind: sent.r#type.into(), value: sent.value.into() }
}
