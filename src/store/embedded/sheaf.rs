//! Profiles that were read and not opened yet.

use std::sync::Arc;

use super::entry::Entry;
use super::index::keys;
use super::store::Open;
use super::vault::Vault;
use crate::domain::id::{ProfileId, WorkspaceId};
use crate::domain::profile::Profile;
use crate::store::{ProfilePage, Result};

/// What an entry usually takes with its key.
const USUAL_BYTES: usize = 1_024;

/// Entries with their keys as they lie in the index, one behind the other: whoever opens them does that on another thread,
/// which is then the only one that touches what becomes of them.
struct Sheaf {
    vault: Arc<Vault>,
    workspace: WorkspaceId,
    bytes: Vec<u8>,
    /// Where each key ends, and where its entry does.
    ends: Vec<(usize, usize)>,
    next: usize,
}

/// At most `limit` entries of profiles after `after`; those of merged and forgotten ones count.
pub(super) fn page(
    open: &Open,
    workspace: &WorkspaceId,
    after: Option<ProfileId>,
    limit: usize,
) -> Result<ProfilePage> {
    let (prefix, after) = (keys::profiles(workspace), after.map(|id| keys::profile(workspace, id)));
    let (mut bytes, mut ends) = (Vec::with_capacity(limit * USUAL_BYTES), Vec::with_capacity(limit));
    let mut last = None;
    open.index().each((&prefix, after.as_deref()), limit, |key, entry| {
        bytes.extend_from_slice(key);
        let key_ends = bytes.len();
        bytes.extend_from_slice(entry);
        ends.push((key_ends, bytes.len()));
        last = keys::parse_profile(key);
        Ok(())
    })?;
    let sheaf = Sheaf { vault: open.index().shared_vault(), workspace: workspace.clone(), bytes, ends, next: 0 };
    Ok(ProfilePage { last, profiles: Box::new(sheaf) })
}

impl Iterator for Sheaf {
    type Item = Result<Profile>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let (key_ends, ends) = *self.ends.get(self.next)?;
            let begins = self.next.checked_sub(1).map_or(0, |before| self.ends[before].1);
            self.next += 1;
            let (key, entry) = (&self.bytes[begins..key_ends], &self.bytes[key_ends..ends]);
            let profile = Entry::profile_of(entry, &self.vault, &self.workspace, key).transpose();
            if profile.is_some() {
                return profile;
            }
        }
    }
}
