//! What one credential may ask for, so that none of them takes what the others need.

use std::collections::HashMap;
use std::num::NonZeroU32;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use governor::clock::{Clock as _, MonotonicClock};
use governor::state::keyed::HashMapStateStore;
use governor::{Quota, RateLimiter};
use smol_str::SmolStr;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::domain::access::Principal;
use crate::domain::id::WorkspaceId;
use crate::domain::limits;

/// What each credential may ask for; 0 is without a bound.
#[derive(Debug, Clone, Copy, Default)]
pub struct QuotaOptions {
    /// Requests within a second. As many may come at once, and then one by one at that rate.
    pub requests_per_second: u32,
    /// Events within a second; a full batch may always come at once.
    pub events_per_second: u32,
    /// Requests that are at work at the same time.
    pub requests_in_flight: usize,
}

/// What credentials have asked for lately.
pub(super) struct Quotas {
    requests: Option<Rate>,
    events: Option<Rate>,
    places: Option<Places>,
}

/// The generic cell rate algorithm for each holder, by a clock that only goes forward, as timers have it: the time of day may
/// jump.
struct Rate {
    limiter: RateLimiter<Holder, HashMapStateStore<Holder>, MonotonicClock>,
    burst: u32,
}

struct Places {
    each: usize,
    of: Mutex<HashMap<Holder, Arc<Semaphore>>>,
}

/// Whose quota it is: all tokens of an issuer for a workspace share one, as they would share a key.
type Holder = (WorkspaceId, SmolStr);

/// Which quota is used up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Exceeded {
    /// The name of its setting.
    pub(super) quota: &'static str,
    /// After which time there is something left; `None` where nobody knows.
    pub(super) wait: Option<Duration>,
}

impl Rate {
    fn new(per_second: u32, batch: u32) -> Option<Self> {
        let rate = NonZeroU32::new(per_second)?;
        let burst = rate.max(NonZeroU32::new(batch)?);
        let limiter = RateLimiter::hashmap_with_clock(Quota::per_second(rate).allow_burst(burst), MonotonicClock);
        Some(Self { limiter, burst: burst.get() })
    }

    /// Takes so many, or says how long to wait for them. More than can come at once are taken as the most that can.
    fn take(&self, holder: &Holder, count: u32) -> Result<(), Duration> {
        let Some(count) = NonZeroU32::new(count.min(self.burst)) else { return Ok(()) };
        match self.limiter.check_key_n(holder, count) {
            Ok(Err(not_until)) => Err(not_until.wait_time_from(MonotonicClock.now())),
            Ok(Ok(())) | Err(_) => Ok(()),
        }
    }
}

impl Places {
    fn take(&self, holder: Holder) -> Option<OwnedSemaphorePermit> {
        let mut places = self.of.lock().unwrap_or_else(PoisonError::into_inner);
        let place = places.entry(holder).or_insert_with(|| Arc::new(Semaphore::new(self.each)));
        Arc::clone(place).try_acquire_owned().ok()
    }
}

impl Quotas {
    pub(super) fn new(options: QuotaOptions) -> Self {
        let QuotaOptions { requests_per_second, events_per_second, requests_in_flight } = options;
        let batch = u32::try_from(limits::BATCH_EVENTS).unwrap_or(u32::MAX);
        Self {
            requests: Rate::new(requests_per_second, 1),
            events: Rate::new(events_per_second, batch),
            places: (requests_in_flight > 0).then(|| Places { each: requests_in_flight, of: Mutex::default() }),
        }
    }

    /// A place for a request of a holder, where places are counted.
    pub(super) fn admit(&self, principal: &Principal) -> Result<Option<OwnedSemaphorePermit>, Exceeded> {
        let place = match &self.places {
            None => None,
            Some(places) => Some(
                places
                    .take(holder(principal))
                    .ok_or(Exceeded { quota: "limits.requests_in_flight_per_key", wait: None })?,
            ),
        };
        if let Some(rate) = &self.requests {
            rate.take(&holder(principal), 1)
                .map_err(|wait| Exceeded { quota: "limits.requests_per_second_per_key", wait: Some(wait) })?;
        }
        Ok(place)
    }

    /// Counts events that a holder sends.
    pub(super) fn count_events(&self, principal: &Principal, events: usize) -> Result<(), Exceeded> {
        let Some(rate) = &self.events else { return Ok(()) };
        rate.take(&holder(principal), u32::try_from(events).unwrap_or(u32::MAX))
            .map_err(|wait| Exceeded { quota: "limits.events_per_second_per_key", wait: Some(wait) })
    }
}

fn holder(principal: &Principal) -> Holder {
    (principal.workspace.clone(), principal.name.clone())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::access::Scopes;

    fn principal(workspace: &str, name: &str) -> Principal {
        Principal { workspace: workspace.parse().expect("a name"), scopes: Scopes::ALL, name: name.into() }
    }

    #[test]
    fn each_credential_of_each_workspace_has_a_quota_of_its_own() {
        let quotas = Quotas::new(QuotaOptions { requests_per_second: 2, ..QuotaOptions::default() });
        let noisy = principal("acme", "key:a");
        assert!(quotas.admit(&noisy).is_ok() && quotas.admit(&noisy).is_ok());
        let exceeded = quotas.admit(&noisy).expect_err("the third at once");
        assert_eq!(exceeded.quota, "limits.requests_per_second_per_key");
        assert!(exceeded.wait.is_some_and(|wait| wait <= Duration::from_millis(500)), "{exceeded:?}");
        for other in [principal("acme", "key:b"), principal("other", "key:a")] {
            assert!(quotas.admit(&other).is_ok());
        }
    }

    #[test]
    fn a_place_is_free_again_once_its_request_is_answered() {
        let quotas = Quotas::new(QuotaOptions { requests_in_flight: 1, ..QuotaOptions::default() });
        let (one, other) = (principal("acme", "key:a"), principal("acme", "key:b"));
        let place = quotas.admit(&one).expect("free");
        let taken = Exceeded { quota: "limits.requests_in_flight_per_key", wait: None };
        assert_eq!(quotas.admit(&one).map(drop), Err(taken));
        assert!(quotas.admit(&other).is_ok());
        drop(place);
        assert!(quotas.admit(&one).is_ok());
    }

    #[test]
    fn a_full_batch_comes_at_once_and_the_next_one_waits_for_as_long_as_it_takes() {
        let quotas = Quotas::new(QuotaOptions { events_per_second: 10, ..QuotaOptions::default() });
        let one = principal("acme", "key:a");
        assert_eq!(quotas.count_events(&one, limits::BATCH_EVENTS), Ok(()));
        assert_eq!(quotas.count_events(&one, 0), Ok(()));
        let wait = quotas.count_events(&one, 20).expect_err("used up").wait.expect("known");
        assert!(wait > Duration::from_millis(1_900) && wait <= Duration::from_secs(2), "{wait:?}");
    }

    #[test]
    fn nothing_is_bounded_unless_somebody_says_so() {
        let (quotas, one) = (Quotas::new(QuotaOptions::default()), principal("acme", "key:a"));
        let places: Vec<_> = (0..5_000).map(|_| quotas.admit(&one).expect("no bound")).collect();
        assert!(places.iter().all(Option::is_none));
        assert_eq!(quotas.count_events(&one, usize::MAX), Ok(()));
    }
}
