//! What a customer said about their data: what stands, and all that was ever recorded.

use super::application::App;
use super::customer::{Caller, CustomerRef, Read};
use super::error::Result;
use super::page::{Begin, Binding, Listed, Page, PageRequest};
use crate::domain::consent::ConsentRecord;
use crate::domain::fact::{Document, DocumentKey, DocumentKind};
use crate::domain::id::{ProfileId, Revision};
use crate::domain::profile::Profile;

/// Records that are read at a time.
const AT_ONCE: usize = 1_000;

impl Listed for ConsentRecord {
    type Cursor = (u128, ProfileId);

    fn cursor(&self) -> Self::Cursor {
        (self.standing.record.as_u128(), self.standing.part)
    }
}

impl App {
    /// The answers that stand, each once for its purpose, sorted by purpose. Whoever asks for this needs no consent.
    ///
    /// # Errors
    /// [`NotFound`](super::Error::NotFound) for an unknown customer.
    pub async fn get_consents(
        &self,
        caller: &Caller,
        customer: &CustomerRef,
        read: &Read,
    ) -> Result<(Vec<ConsentRecord>, Revision)> {
        let revision = self.check_read(read)?;
        let profile = self.find(caller, customer, read).await?.profile;
        let now = self.context.now();
        let mut records = Vec::new();
        for purpose in profile.consents.purposes() {
            let Some(standing) = profile.consents.of(purpose, now) else { continue };
            let stored = self.store.document(&caller.workspace, &DocumentKey::consent(standing)).await?;
            if let Some(Document::Consent(record)) = stored.map(|stored| stored.value) {
                records.push(record);
            }
        }
        Ok((records, revision))
    }

    /// A page of everything that was recorded of a customer, newest first, also what does not stand any more.
    ///
    /// # Errors
    /// [`NotFound`](super::Error::NotFound) for an unknown customer, [`Invalid`](super::Error::Invalid) for a bad page.
    pub async fn list_consent_records(
        &self,
        caller: &Caller,
        customer: &CustomerRef,
        page: &PageRequest,
        read: &Read,
    ) -> Result<(Page<ConsentRecord>, Revision)> {
        let binding = Binding::new("ListConsentRecords", caller.workspace.as_str(), &customer.binding());
        let Begin { revision, limit, after: before } = self.check_page::<(u128, ProfileId)>(read, page, &binding)?;
        let profile = self.find(caller, customer, read).await?.profile;
        let mut records = self.consent_ledger(caller, &profile).await?;
        records.retain(|record| before.is_none_or(|before| record.cursor() < before));
        let more = records.len() > limit;
        records.truncate(limit);
        Ok((Page::new(records, more, binding), revision))
    }

    /// Everything that was recorded of a customer, newest first.
    pub(super) async fn consent_ledger(&self, caller: &Caller, profile: &Profile) -> Result<Vec<ConsentRecord>> {
        let mut records = Vec::new();
        for part in &profile.parts {
            records.extend(self.consents_of_part(caller, part.id).await?);
        }
        records.sort_unstable_by_key(|record| std::cmp::Reverse(record.cursor()));
        Ok(records)
    }

    async fn consents_of_part(&self, caller: &Caller, part: ProfileId) -> Result<Vec<ConsentRecord>> {
        let mut after = format!("{part}/");
        let mut records = Vec::new();
        loop {
            let found = self.store.documents(&caller.workspace, DocumentKind::Consent, Some(&after), AT_ONCE).await?;
            let more = found.len() == AT_ONCE;
            for document in found {
                match document.value {
                    Document::Consent(record) if record.standing.part == part => {
                        after = DocumentKey::consent(&record.standing).name;
                        records.push(record);
                    }
                    _ => return Ok(records),
                }
            }
            if !more {
                return Ok(records);
            }
        }
    }
}
