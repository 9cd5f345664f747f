//! Reading profiles: one, several by name, or all in pages.

use super::application::App;
use super::customer::{Caller, CustomerRef, Found, Read};
use super::error::{Error, Result};
use super::page::{Binding, Listed, Page, PageRequest};
use crate::domain::id::{ProfileId, Revision};
use crate::domain::limits;
use crate::domain::violation::ViolationReason;

impl App {
    /// One customer.
    ///
    /// # Errors
    /// [`Error::NotFound`] for an unknown one, or one without an event up to the time that was asked for.
    pub async fn get_profile(&self, caller: &Caller, customer: &CustomerRef, read: &Read) -> Result<(Found, Revision)> {
        let revision = self.check_read(read)?;
        Ok((self.find(caller, customer, read).await?, revision))
    }

    /// Several customers in their order, each or its error.
    ///
    /// # Errors
    /// [`Error::Invalid`] for more than the limit.
    pub async fn batch_get_profiles(
        &self,
        caller: &Caller,
        customers: &[CustomerRef],
        read: &Read,
    ) -> Result<(Vec<Result<Found>>, Revision)> {
        let revision = self.check_read(read)?;
        check_batch(customers.len())?;
        let found = self.find_all(caller, customers, read).await?;
        let results = customers.iter().zip(found).map(|(customer, found)| found.ok_or_else(|| customer.not_found()));
        Ok((results.collect(), revision))
    }

    /// A page of all customers in the order of their ids.
    ///
    /// # Errors
    /// [`Error::Invalid`] for a bad page.
    pub async fn list_profiles(
        &self,
        caller: &Caller,
        read: &Read,
        page: &PageRequest,
    ) -> Result<(Page<Found>, Revision)> {
        let revision = self.check_read(read)?;
        let binding = Binding::new("ListProfiles", caller.workspace.as_str(), &());
        let (limit, after) = (page.limit()?, page.cursor::<ProfileId>(&binding)?);
        let mut profiles = self.store.scan_profiles(&caller.workspace, after, limit + 1).await?;
        let more = profiles.len() > limit;
        profiles.truncate(limit);
        let now = self.reading_time(read);
        let items = profiles.into_iter().map(|profile| Found { profile, now }).collect();
        Ok((Page::new(items, more, binding), revision))
    }
}

impl Listed for Found {
    type Cursor = ProfileId;

    fn cursor(&self) -> ProfileId {
        self.profile.id
    }
}

/// Refuses a batch read of too many customers.
pub(super) fn check_batch(customers: usize) -> Result<()> {
    if customers <= limits::BATCH_CUSTOMERS {
        return Ok(());
    }
    let description = format!("has {customers} customers; the limit is {}", limits::BATCH_CUSTOMERS);
    Err(Error::invalid_because(ViolationReason::BatchTooLarge, "customers", description))
}
