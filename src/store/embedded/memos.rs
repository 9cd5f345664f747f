//! What readers made of profiles, beside the entries that they are made of.

use super::entry;
use super::index::{Index, Source as _, keys};
use super::locks;
use super::store::EmbeddedStore;
use super::tables::AtOnce;
use crate::domain::id::{ProfileId, Revision, WorkspaceId};
use crate::store::{Memo, Memos, Named};

impl Memos for EmbeddedStore {
    fn recall(&self, workspace: &WorkspaceId, named: Named<'_>) -> Option<Memo> {
        let guard = locks::read(self.lock());
        let index = guard.as_ref()?.index();
        let id = match named {
            Named::Profile(id) => id,
            Named::Identifier(identifier) => {
                let mark = index.vault().mark(workspace, identifier);
                claimant(index, &keys::owner(workspace, mark))?
            }
        };
        // Whoever claimed the identifier may have merged into somebody, which gave their own entry another revision.
        index.recall(&keys::profile(workspace, id), entry::revision)
    }

    fn remember(&self, workspace: &WorkspaceId, (id, revision): (ProfileId, Revision), memo: Memo) {
        let guard = locks::read(self.lock());
        if let Some(open) = guard.as_ref() {
            open.index().remember_memo(&keys::profile(workspace, id), (revision, memo), entry::revision);
        }
    }
}

/// Who claimed an identifier, as far as memory says.
fn claimant(index: &Index, key: &[u8]) -> Option<ProfileId> {
    match index.get_at_once(key) {
        Ok(AtOnce::Found(Some(id))) => keys::parse_profile(&id),
        // An error is told to whoever reads the profile.
        Ok(AtOnce::Found(None) | AtOnce::OnDisk) | Err(_) => None,
    }
}
