//! Activity by day: integers from which any window is summed exactly, at any `now`.

use serde::{Deserialize, Serialize};

use super::event::Event;
use super::limits;
use super::money::Money;
use super::payload::{ContactKind, Payload};
use super::time::{Day, Timestamp};

/// What happened on the customer's active days, oldest first; days without an event have no entry.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Buckets(Vec<Bucket>);

/// One active day.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bucket {
    /// Which day, in UTC.
    pub day: Day,
    /// What happened.
    pub counts: Counts,
}

/// Counts of one day, or of several.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Counts {
    /// Events of any kind.
    pub events: u32,
    /// Purchases, refunds not counted.
    pub purchases: u32,
    /// Refunds.
    pub refunds: u32,
    /// Steps of contacts with support, failed self-service included.
    pub support: u32,
    /// Failed self-service.
    pub failures: u32,
    /// Money of purchases less money of refunds, of all currencies alike: meant for trends, not for accounts.
    pub revenue: Money,
}

impl Buckets {
    /// Active days, oldest first.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = &Bucket> {
        self.0.iter()
    }

    /// How many active days are kept.
    pub fn active_days(&self) -> usize {
        self.0.len()
    }

    /// The sum over the `days` days that end with the day of `now`, both ends included.
    pub fn window(&self, now: Timestamp, days: i32) -> Counts {
        self.windows(now, [days])[0]
    }

    /// The sums of several windows of `days`, which ascend, in one pass.
    pub fn windows<const N: usize>(&self, now: Timestamp, days: [i32; N]) -> [Counts; N] {
        let (mut sums, today) = ([Counts::default(); N], now.day());
        let (mut sum, mut window) = (Counts::default(), 0);
        for bucket in self.0.iter().rev() {
            let age = today.days_since(bucket.day);
            while window < N && age >= days[window] {
                sums[window] = sum;
                window += 1;
            }
            if window == N {
                return sums;
            }
            if age >= 0 {
                sum.add(&bucket.counts);
            }
        }
        sums[window..].fill(sum);
        sums
    }

    /// Events come in canonical order, so the day of an event is the last one or a new one.
    pub(super) fn fold(&mut self, event: &Event) {
        let day = event.times.event.day();
        if self.0.last().is_none_or(|last| last.day != day) {
            self.0.drain(..self.expired_at(day));
            self.0.push(Bucket { day, counts: Counts::default() });
        }
        if let Some(last) = self.0.last_mut() {
            last.counts.count(event);
        }
    }

    /// Takes over the days of another history of the customer.
    pub(super) fn join(&mut self, other: &Self) {
        for bucket in &other.0 {
            match self.0.binary_search_by_key(&bucket.day, |known| known.day) {
                Ok(known) => self.0[known].counts.add(&bucket.counts),
                Err(place) => self.0.insert(place, *bucket),
            }
        }
        if let Some(newest) = self.0.last().map(|bucket| bucket.day) {
            self.0.drain(..self.expired_at(newest));
        }
    }

    /// Whether there may be events on the days from one to another, both included: where the days are older than those that
    /// are kept, nobody knows.
    pub(super) fn may_have(&self, from: Day, to: Day) -> bool {
        let Some(newest) = self.0.last() else { return false };
        newest.day.days_since(from) >= limits::BUCKET_DAYS as i32
            || self.0.iter().any(|bucket| (from..=to).contains(&bucket.day))
    }

    /// How many days are too old to be kept beside a newest one.
    fn expired_at(&self, newest: Day) -> usize {
        let oldest_kept = newest.0.saturating_sub(limits::BUCKET_DAYS as i32);
        self.0.partition_point(|bucket| bucket.day.0 <= oldest_kept)
    }
}

impl Counts {
    fn count(&mut self, event: &Event) {
        self.events = self.events.saturating_add(1);
        match &event.payload {
            Payload::Purchase(purchase) if purchase.refund => {
                self.refunds = self.refunds.saturating_add(1);
                self.revenue += -purchase.revenue;
            }
            Payload::Purchase(purchase) => {
                self.purchases = self.purchases.saturating_add(1);
                self.revenue += purchase.revenue;
            }
            Payload::SupportContact(contact) => {
                self.support = self.support.saturating_add(1);
                let failed = contact.kind == ContactKind::SelfServiceFailure;
                self.failures = self.failures.saturating_add(u32::from(failed));
            }
            _ => {}
        }
    }

    fn add(&mut self, other: &Self) {
        self.events = self.events.saturating_add(other.events);
        self.purchases = self.purchases.saturating_add(other.purchases);
        self.refunds = self.refunds.saturating_add(other.refunds);
        self.support = self.support.saturating_add(other.support);
        self.failures = self.failures.saturating_add(other.failures);
        self.revenue += other.revenue;
    }
}
