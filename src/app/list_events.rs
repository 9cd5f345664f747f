//! A customer's timeline, newest first.

use serde::{Deserialize, Serialize};

use super::application::App;
use super::customer::{Caller, CustomerRef, Read};
use super::error::Result;
use super::history_kept::HistoryKept;
use super::page::{Begin, Binding, Listed, Page, PageRequest};
use crate::domain::event::{Event, OrderKey};
use crate::domain::id::Revision;
use crate::domain::time::Timestamp;

/// Which events to list.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct EventFilter {
    /// Only these kinds of payload; empty is all.
    pub kinds: Vec<String>,
    /// Only from this event time on.
    pub start: Option<Timestamp>,
    /// Only before this event time.
    pub end: Option<Timestamp>,
}

/// Which events to list, and which page of them.
#[derive(Debug, Clone, Default)]
pub struct EventQuery {
    /// Which events.
    pub filter: EventFilter,
    /// Which page of them.
    pub page: PageRequest,
}

impl EventFilter {
    /// Refuses to tell of a time whose events have expired. Whoever does not ask for a time gets what is kept.
    fn check(&self, kept: &HistoryKept) -> Result<()> {
        let last = self.end.map(|end| end.plus_micros(-1));
        self.start.into_iter().chain(last).try_for_each(|time| kept.check(time))
    }

    fn lets_through(&self, event: &Event) -> bool {
        let time = event.times.event;
        (self.kinds.is_empty() || self.kinds.iter().any(|kind| kind == event.payload.kind()))
            && self.start.is_none_or(|start| time >= start)
            && self.end.is_none_or(|end| time < end)
    }
}

impl Listed for Event {
    type Cursor = OrderKey;

    fn cursor(&self) -> OrderKey {
        self.order()
    }
}

impl App {
    /// A page of a customer's events, newest first.
    ///
    /// # Errors
    /// [`Error::NotFound`](super::Error::NotFound) for an unknown customer, [`Error::Invalid`](super::Error::Invalid)
    /// for a bad page, [`Error::OutOfRange`](super::Error::OutOfRange) for a time whose events have expired.
    pub async fn list_events(
        &self,
        caller: &Caller,
        customer: &CustomerRef,
        query: &EventQuery,
        read: &Read,
    ) -> Result<(Page<Event>, Revision)> {
        let EventQuery { filter, page } = query;
        let binding = Binding::new("ListEvents", caller.workspace.as_str(), &(customer.binding(), filter));
        let Begin { revision, limit, after: before } = self.check_page::<OrderKey>(read, page, &binding)?;
        let profile = self.find_permitted(caller, customer, read).await?.profile;
        let mut histories = self.histories(&caller.workspace, &[&profile]).await?;
        let kept = self.history_kept(&caller.workspace).await?;
        filter.check(&kept)?;
        let mut wanted = histories.pop().unwrap_or_default().events;
        wanted.retain(|event| {
            // What has expired and was not forgotten yet is not told either.
            kept.check(event.times.event).is_ok()
                && filter.lets_through(event)
                && before.as_ref().is_none_or(|before| event.order() < *before)
        });

        let more = wanted.len() > limit;
        let items: Vec<Event> = wanted.into_iter().rev().take(limit).collect();
        Ok((Page::new(items, more, binding), revision))
    }
}
