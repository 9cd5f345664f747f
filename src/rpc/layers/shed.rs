//! How much work is taken on at once. What is more is refused before anything of it is done, so that a caller may
//! repeat it and the others are still answered in time.

use std::sync::Arc;

use http::Extensions;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::traffic::{Passage, Traffic};
use crate::app::Credential;
use crate::domain::access::Principal;
use crate::rpc::quotas::{Exceeded, Quotas};
use crate::rpc::status::{self, Refused};

/// The path of health checks: they are answered however busy the server is.
const HEALTH: &str = "/grpc.health.v1.Health/";
/// Requests of one stream that may be unanswered while the server has room.
const CREDIT: usize = 8;
/// Answers that may wait for their callers to take them, for each request that may be at work.
const UNTAKEN: usize = 8;

/// The places for requests in this server.
#[derive(Clone)]
pub(in crate::rpc) struct Admission {
    places: Arc<Semaphore>,
    untaken: Arc<Semaphore>,
    in_all: usize,
    quotas: Arc<Quotas>,
}

/// Who is at the other end of a connection, and what of theirs is at work; a request finds it among its extensions.
#[derive(Clone)]
pub(in crate::rpc) struct PeerState {
    places: Arc<Semaphore>,
    traffic: Arc<Traffic>,
    principal: Option<Arc<Principal>>,
}

/// A request's places; they are free again when this is dropped.
pub(super) struct Place {
    server: Option<OwnedSemaphorePermit>,
    untaken: Option<Arc<Semaphore>>,
    _connection: Option<OwnedSemaphorePermit>,
    _credential: Option<OwnedSemaphorePermit>,
    passage: Option<Passage>,
}

impl Admission {
    pub(in crate::rpc) fn new(in_all: usize, quotas: Quotas) -> Self {
        let untaken = Arc::new(Semaphore::new(in_all.saturating_mul(UNTAKEN).min(Semaphore::MAX_PERMITS)));
        Self { places: Arc::new(Semaphore::new(in_all)), untaken, in_all, quotas: Arc::new(quotas) }
    }

    /// A place for a request, if there is one.
    ///
    /// # Errors
    /// When the server has none, or the credential has had its share.
    pub(super) fn admit(
        &self,
        path: &str,
        extensions: &Extensions,
        credential: Option<&Credential>,
    ) -> Result<Place, Refused> {
        let peer = extensions.get::<PeerState>();
        let passage = peer.map(|peer| Passage::begin(&peer.traffic));
        if path.starts_with(HEALTH) {
            return Ok(Place { server: None, untaken: None, _connection: None, _credential: None, passage });
        }
        let take = |places: &Arc<Semaphore>| Arc::clone(places).try_acquire_owned().map_err(|_| status::overloaded());
        let connection = peer.map(|peer| take(&peer.places)).transpose()?;
        let server = take(&self.places)?;
        let share = credential.map(|credential| self.quotas.admit(&credential.principal)).transpose();
        let share = share.map_err(|exceeded| status::quota_exceeded(&exceeded))?.flatten();
        let untaken = Some(Arc::clone(&self.untaken));
        Ok(Place { server: Some(server), untaken, _connection: connection, _credential: share, passage })
    }

    /// Counts events that come with a request.
    ///
    /// # Errors
    /// When the credential has sent its share.
    pub(in crate::rpc) fn count_events(&self, credential: Option<&Credential>, events: usize) -> Result<(), Exceeded> {
        credential.map_or(Ok(()), |credential| self.quotas.count_events(&credential.principal, events))
    }

    /// The same for a stream of events, which waits instead: its client cannot send more than it has credit for.
    pub(in crate::rpc) async fn wait_for_events(&self, credential: Option<&Credential>, events: usize) {
        while let Err(exceeded) = self.count_events(credential, events) {
            tokio::time::sleep(exceeded.wait.unwrap_or_default()).await;
        }
    }

    /// How many requests of one stream may be unanswered now: fewer once less than half of the places are free.
    pub(in crate::rpc) fn credit(&self) -> i32 {
        let free = self.places.available_permits();
        let credit = (CREDIT * 2 * free / self.in_all.max(1)).clamp(1, CREDIT);
        i32::try_from(credit).unwrap_or(1)
    }
}

impl PeerState {
    /// A peer with places for so many requests, and whoever its certificate speaks for.
    pub(in crate::rpc) fn new(places: usize, principal: Option<Arc<Principal>>) -> Self {
        Self { places: Arc::new(Semaphore::new(places)), traffic: Arc::default(), principal }
    }

    pub(in crate::rpc) fn traffic(&self) -> &Traffic {
        &self.traffic
    }

    pub(super) fn principal(&self) -> Option<&Arc<Principal>> {
        self.principal.as_ref()
    }
}

impl Place {
    /// The work is done, and only its caller has to take the answer. Somebody else may have the place at work then: callers
    /// that take nothing would otherwise keep everybody from being served. Answers that wait have a bound of their own,
    /// because they take memory; where it is reached, the place at work is kept.
    pub(super) fn done(&mut self) {
        let untaken = self.untaken.take().and_then(|untaken| untaken.try_acquire_owned().ok());
        if untaken.is_some() {
            self.server = untaken;
        }
    }

    /// The wire asks for the next message of the answer.
    pub(super) fn taken(&mut self) {
        self.passage.iter_mut().for_each(Passage::taken);
    }

    /// A message of the answer was handed to the wire.
    pub(super) fn handed(&mut self) {
        self.passage.iter_mut().for_each(Passage::handed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rpc::quotas::QuotaOptions;

    const PATH: &str = "/rapport.v1.ProfileService/GetProfile";

    fn admission(in_all: usize) -> Admission {
        Admission::new(in_all, Quotas::new(QuotaOptions::default()))
    }

    #[test]
    fn what_is_too_much_is_refused_until_a_place_is_free() {
        let admission = admission(1);
        let place = admission.admit(PATH, &Extensions::new(), None).ok().expect("free");
        assert!(admission.admit(PATH, &Extensions::new(), None).is_err());
        assert!(admission.admit("/grpc.health.v1.Health/Check", &Extensions::new(), None).is_ok());
        drop(place);
        assert!(admission.admit(PATH, &Extensions::new(), None).is_ok());
    }

    #[test]
    fn one_connection_does_not_get_all_places() {
        let admission = admission(3);
        let mut extensions = Extensions::new();
        extensions.insert(PeerState::new(1, None));
        let _place = admission.admit(PATH, &extensions, None).ok().expect("free");
        assert!(admission.admit(PATH, &extensions, None).is_err());
        assert!(admission.admit(PATH, &Extensions::new(), None).is_ok());
    }

    #[test]
    fn credit_shrinks_while_the_server_is_busy_and_is_never_nothing() {
        let admission = admission(4);
        let mut places = Vec::new();
        let credits: Vec<i32> = (0..=4)
            .map(|_| {
                let credit = admission.credit();
                places.extend(admission.admit(PATH, &Extensions::new(), None).ok());
                credit
            })
            .collect();
        assert_eq!(credits, [8, 8, 8, 4, 1]);
    }
}
