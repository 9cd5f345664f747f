//! The merges that a customer had a part in, undone ones too, newest first.

use super::application::App;
use super::customer::{Caller, CustomerRef, Read};
use super::error::{Error, Result};
use super::page::{Begin, Binding, Listed, Page, PageRequest};
use crate::domain::fact::{Document, DocumentKind};
use crate::domain::id::{MergeId, ProfileId, Revision};
use crate::domain::merge::MergeRecord;
use crate::domain::profile::Profile;

/// Entries that are read at a time.
const AT_ONCE: usize = 1_000;

impl Listed for MergeRecord {
    type Cursor = MergeId;

    fn cursor(&self) -> MergeId {
        self.id
    }
}

impl App {
    /// A page of the merges of a customer.
    ///
    /// # Errors
    /// [`Error::NotFound`](super::Error::NotFound) for an unknown customer, [`Error::Invalid`](super::Error::Invalid)
    /// for a bad page.
    pub async fn list_merges(
        &self,
        caller: &Caller,
        customer: &CustomerRef,
        page: &PageRequest,
        read: &Read,
    ) -> Result<(Page<MergeRecord>, Revision)> {
        let binding = Binding::new("ListMerges", caller.workspace.as_str(), &customer.binding());
        let Begin { revision, limit, after: before } = self.check_page::<MergeId>(read, page, &binding)?;
        let profile = self.find_permitted(caller, customer, read).await?.profile;
        let mut ids = self.merge_ids(caller, &profile).await?;
        ids.retain(|id| before.is_none_or(|before| *id < before));
        let more = ids.len() > limit;
        let mut records = Vec::with_capacity(ids.len().min(limit));
        for id in ids.into_iter().take(limit) {
            records.extend(self.kept_merge(caller, id).await?);
        }
        Ok((Page::new(records, more, binding), revision))
    }

    /// The record of a merge; `None` where it spoke of somebody who is forgotten too.
    pub(super) async fn kept_merge(&self, caller: &Caller, id: MergeId) -> Result<Option<MergeRecord>> {
        match self.merge_record(caller, id).await {
            Ok(record) => Ok(Some(record.value)),
            Err(Error::NotFound { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// All merges that a customer had a part in, newest first.
    pub(super) async fn merge_ids(&self, caller: &Caller, profile: &Profile) -> Result<Vec<MergeId>> {
        let mut ids = Vec::new();
        for part in &profile.parts {
            ids.extend(self.merges_of(caller, part.id).await?);
        }
        // Ids of merges begin with their time.
        ids.sort_unstable_by(|a, b| b.cmp(a));
        ids.dedup();
        Ok(ids)
    }

    async fn merges_of(&self, caller: &Caller, profile: ProfileId) -> Result<Vec<MergeId>> {
        let mut after = format!("{profile}/");
        let mut merges = Vec::new();
        loop {
            let kind = DocumentKind::ProfileMerge;
            let entries = self.store.documents(&caller.workspace, kind, Some(&after), AT_ONCE).await?;
            let more = entries.len() == AT_ONCE;
            for entry in entries {
                match entry.value {
                    Document::ProfileMerge(of, merge) if of == profile => merges.push(merge),
                    _ => return Ok(merges),
                }
            }
            match merges.last() {
                Some(last) if more => after = format!("{profile}/{last}"),
                _ => return Ok(merges),
            }
        }
    }
}
