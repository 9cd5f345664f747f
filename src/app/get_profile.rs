//! Reading profiles: one, several by name, or all in pages.

use super::application::App;
use super::customer::{Caller, CustomerRef, Found, Read};
use super::error::Result;
use super::page::{Begin, Binding, Listed, Page, PageRequest};
use crate::domain::id::{ProfileId, Revision};

/// Customers of a batch that are in memory at a time.
const CUSTOMERS_AT_ONCE: usize = 50;

impl App {
    /// One customer.
    ///
    /// # Errors
    /// [`NotFound`](super::Error::NotFound) for an unknown one, or one without an event up to the time that was asked for;
    /// [`Forbidden`](super::Error::Forbidden) where their consent does not cover the purpose.
    pub async fn get_profile(&self, caller: &Caller, customer: &CustomerRef, read: &Read) -> Result<(Found, Revision)> {
        let revision = self.check_read(read)?;
        Ok((self.find_permitted(caller, customer, read).await?, revision))
    }

    /// Gives several customers in their order to `take`, each or its error; one that could not be named stays the error
    /// that it is.
    ///
    /// # Errors
    /// [`Error::Invalid`](super::Error::Invalid) for a read that cannot be; those of single customers go to `take`.
    pub async fn batch_get_profiles(
        &self,
        caller: &Caller,
        customers: Vec<Result<CustomerRef>>,
        read: &Read,
        take: impl FnMut(Result<Found>) + Send,
    ) -> Result<Revision> {
        let revision = self.check_read(read)?;
        self.find_each(caller, customers, read, take).await?;
        Ok(revision)
    }

    /// Reads the customers of a batch a few at a time and gives each away before the next ones are read: a batch may
    /// name many customers with much about each, and not all of it would fit into the reply.
    pub(super) async fn find_each(
        &self,
        caller: &Caller,
        customers: Vec<Result<CustomerRef>>,
        read: &Read,
        mut take: impl FnMut(Result<Found>) + Send,
    ) -> Result<()> {
        let mut customers = customers.into_iter();
        loop {
            let some: Vec<Result<CustomerRef>> = customers.by_ref().take(CUSTOMERS_AT_ONCE).collect();
            if some.is_empty() {
                return Ok(());
            }
            let named: Vec<CustomerRef> = some.iter().flatten().cloned().collect();
            let mut found = self.find_all(caller, &named, read).await?.into_iter();
            for customer in some {
                let found = customer.and_then(|customer| found.next().flatten().ok_or_else(|| customer.not_found()));
                take(found.and_then(|found| self.permit(caller, found, read)));
            }
        }
    }

    /// A page of all customers whose consent covers the purpose, in the order of their ids.
    ///
    /// # Errors
    /// [`Invalid`](super::Error::Invalid) for a bad page.
    pub async fn list_profiles(
        &self,
        caller: &Caller,
        read: &Read,
        page: &PageRequest,
    ) -> Result<(Page<Found>, Revision)> {
        let binding = Binding::new("ListProfiles", caller.workspace.as_str(), &());
        let Begin { revision, limit, after } = self.check_page::<ProfileId>(read, page, &binding)?;
        let mut profiles = self.store.scan_profiles(&caller.workspace, after, limit + 1).await?;
        let more = profiles.len() > limit;
        profiles.truncate(limit);
        let now = self.reading_time(read);
        let last = profiles.last().map(|profile| profile.id);
        let found = profiles.into_iter().map(|profile| Found { profile, now });
        let items = found.filter_map(|found| self.permit(caller, found, read).ok()).collect();
        // A page is short where consent is missing, and empty even; the next one goes on behind what was looked at.
        let page = match last {
            Some(last) if more => Page::before(items, &last, binding),
            _ => Page::new(items, false, binding),
        };
        Ok((page, revision))
    }
}

impl Listed for Found {
    type Cursor = ProfileId;

    fn cursor(&self) -> ProfileId {
        self.profile.id
    }
}
