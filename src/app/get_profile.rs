//! Reading profiles: one, several by name, or all in pages.

use std::sync::Arc;

use super::application::App;
use super::customer::{Caller, CustomerRef, Found, Read};
use super::error::Result;
use super::known::{Known, Shown};
use super::page::{Begin, Binding, Listed, Page, PageRequest};
use crate::domain::consent::Consents;
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

    /// One customer as they are to be shown. What was shown of them before is shown again where it still is so.
    ///
    /// # Errors
    /// As for [`get_profile`](Self::get_profile).
    pub async fn show_profile<S: Show>(
        &self,
        caller: &Caller,
        customer: &CustomerRef,
        read: &Read,
        how: &S,
    ) -> Result<(S::Answer, Revision)> {
        let revision = self.check_read(read)?;
        let known = self.known(caller, customer, read);
        if let Some(answer) = known.as_deref().and_then(|known| self.show_known(caller, read, how, known).transpose()) {
            return Ok((answer?, revision));
        }
        let found = self.find_or_take(caller, customer, read, known.as_deref()).await?;
        let lasting = how.lasting(&found);
        let segment = self.segment_of(caller, &found);
        let answer = how.answer(&lasting, segment, &found.profile.consents);
        let shown = Shown {
            id: found.profile.id,
            consents: found.profile.consents.clone(),
            bytes: how.bytes(&lasting),
            lasting: Arc::new(lasting),
        };
        // Who is asked for their segment will be asked again.
        let whole = known.and_then(|known| known.whole.clone());
        let whole = whole.or_else(|| self.has_segments(caller).then(|| Arc::clone(&found.profile)));
        self.remember(caller, &found.profile, read, Known { whole, shown: Some(shown) });
        Ok((answer, revision))
    }

    /// The same from memory alone; `None` where that is not enough.
    fn show_known<S: Show>(&self, caller: &Caller, read: &Read, how: &S, known: &Known) -> Result<Option<S::Answer>> {
        let Some(shown) = &known.shown else { return Ok(None) };
        let lasting = shown.lasting.downcast_ref::<S::Lasting>().filter(|lasting| how.is_current(lasting));
        let Some(lasting) = lasting else { return Ok(None) };
        let segment = match &known.whole {
            Some(profile) => {
                self.segment_of(caller, &Found { profile: Arc::clone(profile), now: self.reading_time(read) })
            }
            None if self.has_segments(caller) => return Ok(None),
            None => String::new(),
        };
        caller.concern.is_about(shown.id);
        self.permit_use(caller, &shown.consents, read)?;
        Ok(Some(how.answer(lasting, segment, &shown.consents)))
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
            let known = |customer: &Result<CustomerRef>| self.known_whole(caller, customer.as_ref().ok()?, read);
            let known: Vec<Option<Found>> = some.iter().map(known).collect();
            let unknown = some.iter().zip(&known).filter(|(_, known)| known.is_none());
            let unknown: Vec<CustomerRef> =
                unknown.filter_map(|(customer, _)| customer.as_ref().ok()).cloned().collect();
            let mut found = self.find_whole(caller, &unknown, read).await?.into_iter();
            for (customer, known) in some.into_iter().zip(known) {
                let found = || known.or_else(|| found.next().flatten());
                let found = customer.and_then(|customer| found().ok_or_else(|| customer.not_found()));
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
        let found = profiles.into_iter().map(|profile| Found::new(profile, now));
        let items = found.filter_map(|found| self.permit(caller, found, read).ok()).collect();
        // A page is short where consent is missing, and empty even; the next one goes on behind what was looked at.
        let page = match last {
            Some(last) if more => Page::before(items, &last, binding),
            _ => Page::new(items, false, binding),
        };
        Ok((page, revision))
    }
}

/// How a customer is shown, with what is lasting apart from what moves with time: only the second is made for each read.
pub trait Show {
    /// What stays as it is for as long as the profile does.
    type Lasting: Send + Sync + 'static;
    /// What is shown.
    type Answer;

    /// What is lasting of a customer.
    fn lasting(&self, found: &Found) -> Self::Lasting;

    /// Bytes of memory that it takes.
    fn bytes(&self, lasting: &Self::Lasting) -> usize;

    /// Whether it would be made in the same way again.
    fn is_current(&self, lasting: &Self::Lasting) -> bool;

    /// The answer of a read: with the segment at the moment, and what the customer says about the use of their data.
    fn answer(&self, lasting: &Self::Lasting, segment_id: String, consents: &Consents) -> Self::Answer;
}

impl Listed for Found {
    type Cursor = ProfileId;

    fn cursor(&self) -> ProfileId {
        self.profile.id
    }
}
