//! Customers in memory: what a read of before made of them, so that the next one neither looks for the profile nor opens
//! and decodes it.

use std::any::Any;
use std::sync::Arc;

use super::application::App;
use super::customer::{Caller, CustomerRef, Found, Read};
use super::error::Result;
use crate::domain::consent::Consents;
use crate::domain::id::{ProfileId, Revision};
use crate::domain::profile::Profile;
use crate::domain::profile::size::memory_bytes;
use crate::store::{Memo, Named};

/// What is known of a customer. Most readers ask for the same thing again and again, so that not everybody's whole
/// profile has to be in memory.
#[derive(Clone, Default)]
pub(super) struct Known {
    /// For reads that compute something from it.
    pub(super) whole: Option<Arc<Profile>>,
    /// For those that show it.
    pub(super) shown: Option<Shown>,
}

/// What an answer shows of a customer, as far as it does not move with time.
#[derive(Clone)]
pub(super) struct Shown {
    pub(super) id: ProfileId,
    pub(super) consents: Consents,
    pub(super) lasting: Arc<dyn Any + Send + Sync>,
    pub(super) bytes: usize,
}

impl Known {
    fn bytes(&self) -> usize {
        size_of::<Self>()
            + self.whole.as_deref().map_or(0, memory_bytes)
            + self.shown.as_ref().map_or(0, |shown| shown.bytes)
    }
}

impl App {
    /// What memory has of the customer as they are today.
    pub(super) fn known(&self, caller: &Caller, customer: &CustomerRef, read: &Read) -> Option<Arc<Known>> {
        if read.as_of.is_some() {
            return None;
        }
        let named = match customer {
            CustomerRef::Profile(id) => Named::Profile(*id),
            CustomerRef::Identifier(identifier) if !identifier.needs_region() => Named::Identifier(identifier),
            CustomerRef::Identifier(_) | CustomerRef::Nobody => return None,
        };
        self.store.recall(&caller.workspace, named)?.value.downcast().ok()
    }

    /// Reads the whole of one customer for what the read says, and remembers them.
    pub(super) async fn whole(
        &self,
        caller: &Caller,
        customer: &CustomerRef,
        read: &Read,
    ) -> Result<(Found, Revision)> {
        let revision = self.check_read(read)?;
        let known = self.known(caller, customer, read);
        let found = self.find_or_take(caller, customer, read, known.as_deref()).await?;
        if known.as_ref().is_none_or(|known| known.whole.is_none()) {
            let shown = known.and_then(|known| known.shown.clone());
            self.remember(caller, &found.profile, read, Known { whole: Some(Arc::clone(&found.profile)), shown });
        }
        Ok((found, revision))
    }

    /// The customer, taken from what is known of them where that is the whole, and else read.
    pub(super) async fn find_or_take(
        &self,
        caller: &Caller,
        customer: &CustomerRef,
        read: &Read,
        known: Option<&Known>,
    ) -> Result<Found> {
        let Some(profile) = known.and_then(|known| known.whole.clone()) else {
            return self.find_permitted(caller, customer, read).await;
        };
        caller.concern.is_about(profile.id);
        self.permit(caller, Found { profile, now: self.reading_time(read) }, read)
    }

    /// The customer, where memory has the whole of them.
    pub(super) fn known_whole(&self, caller: &Caller, customer: &CustomerRef, read: &Read) -> Option<Found> {
        let profile = Arc::clone(self.known(caller, customer, read)?.whole.as_ref()?);
        Some(Found { profile, now: self.reading_time(read) })
    }

    /// Reads the whole of customers whom memory has not, and remembers them.
    pub(super) async fn find_whole(
        &self,
        caller: &Caller,
        customers: &[CustomerRef],
        read: &Read,
    ) -> Result<Vec<Option<Found>>> {
        if customers.is_empty() {
            return Ok(Vec::new());
        }
        let found = self.find_all(caller, customers, read).await?;
        for found in found.iter().flatten() {
            let known = Known { whole: Some(Arc::clone(&found.profile)), shown: None };
            self.remember(caller, &found.profile, read, known);
        }
        Ok(found)
    }

    /// Remembers what a read has made of a customer, unless it was one of the past.
    pub(super) fn remember(&self, caller: &Caller, profile: &Profile, read: &Read, known: Known) {
        if read.as_of.is_none() {
            let memo = Memo { bytes: known.bytes(), value: Arc::new(known) };
            self.store.remember(&caller.workspace, (profile.id, profile.revision), memo);
        }
    }
}
