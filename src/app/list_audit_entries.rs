//! Who did what in a workspace, and who read a customer.

use serde::{Deserialize, Serialize};

use super::application::App;
use super::customer::{Caller, CustomerRef, Read};
use super::error::Result;
use super::page::{Begin, Binding, Listed, Page, PageRequest};
use crate::domain::audit::AuditEntry;
use crate::domain::id::{ProfileId, Revision};
use crate::domain::profile::Profile;
use crate::domain::time::Timestamp;
use crate::store::{AuditQuery, NumberedEntry};

/// Entries that are read at a time where all are wanted.
const AT_ONCE: usize = 1_000;

/// Which entries to list.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct AuditFilter {
    /// Only from this time on.
    pub start: Option<Timestamp>,
    /// Only before this time.
    pub end: Option<Timestamp>,
}

/// Which entries to list, and which page of them.
#[derive(Debug, Clone, Default)]
pub struct AuditRequest {
    /// Only entries about this customer; `None` is all.
    pub customer: Option<CustomerRef>,
    /// Which.
    pub filter: AuditFilter,
    /// Which page.
    pub page: PageRequest,
}

impl Listed for NumberedEntry {
    type Cursor = u64;

    fn cursor(&self) -> u64 {
        self.number
    }
}

impl App {
    /// A page of the audit log of the caller's workspace, the last entry first. It may be empty although another one
    /// follows, where entries of others lie between.
    ///
    /// # Errors
    /// [`NotFound`](super::Error::NotFound) for an unknown customer, [`Invalid`](super::Error::Invalid) for a bad page.
    pub async fn list_audit_entries(
        &self,
        caller: &Caller,
        request: &AuditRequest,
        read: &Read,
    ) -> Result<(Page<NumberedEntry>, Revision)> {
        let AuditRequest { customer, filter, page } = request;
        let arguments = (customer.as_ref().map(CustomerRef::binding), filter);
        let binding = Binding::new("ListAuditEntries", caller.workspace.as_str(), &arguments);
        let Begin { revision, limit, after: before } = self.check_page::<u64>(read, page, &binding)?;
        let subjects = match customer {
            Some(customer) => subjects(&self.find(caller, customer, read).await?.profile),
            None => Vec::new(),
        };
        let AuditFilter { start, end } = *filter;
        let query = AuditQuery { workspace: caller.workspace.clone(), subjects, start, end, before, limit };
        let found = self.store.audit_entries(query).await?;
        let page = match found.next {
            Some(next) => Page::before(found.entries, &next, binding),
            None => Page::new(found.entries, false, binding),
        };
        Ok((page, revision))
    }

    /// Everything that the log has about a customer, the last entry first, a part at a time: `next` is where the one
    /// before ended.
    pub(super) async fn audit_about(
        &self,
        caller: &Caller,
        profile: &Profile,
        next: Option<u64>,
    ) -> Result<(Vec<AuditEntry>, Option<u64>)> {
        let query = AuditQuery {
            workspace: caller.workspace.clone(),
            subjects: subjects(profile),
            start: None,
            end: None,
            before: next,
            limit: AT_ONCE,
        };
        let found = self.store.audit_entries(query).await?;
        Ok((found.entries.into_iter().map(|numbered| numbered.entry).collect(), found.next))
    }
}

/// The ids under which a customer is in the log: what was read before a merge was read of one of its parts.
fn subjects(profile: &Profile) -> Vec<ProfileId> {
    let parts = profile.parts.iter().map(|part| part.id).filter(|id| *id != profile.id);
    std::iter::once(profile.id).chain(parts).collect()
}
