//! What lately changed, so that hardly anything that a decision read has to be read again.
//!
//! A commit says since when its reads are good; what no commit has changed since then is still so, without a look into
//! the index. This is backward validation (Kung and Robinson 1981), with a table of fixed size in the place of the sets
//! of keys that were written: keys that share a place by chance only cost a look.

use super::index::Change;
use super::index::keys::{self, EventHash};
use super::vault::Vault;
use crate::domain::id::{Revision, WorkspaceId};
use crate::store::Precondition;

/// Places, as a power of two.
const PLACES: u32 = 1 << 18;

/// For each place the last commit, since the store was opened, that changed a key of this place.
pub(super) struct Recent(Box<[Revision]>);

impl Default for Recent {
    fn default() -> Self {
        Self(vec![Revision::default(); PLACES as usize].into())
    }
}

impl Recent {
    /// Takes in what a commit changes. One that is not made in the end does no harm.
    pub(super) fn add(&mut self, change: &Change) {
        let keys = change.entries.iter().map(|(key, _)| &key[..]);
        for key in keys.chain(change.seen.keys().map(EventHash::as_slice)) {
            self.0[place(key)] = change.applied;
        }
    }

    /// Whether surely nothing has changed since a commit that could make the precondition fail.
    pub(super) fn is_unchanged(
        &self,
        since: Revision,
        (workspace, vault): (&WorkspaceId, &Vault),
        condition: &Precondition,
    ) -> bool {
        let is_old = |key: &[u8]| self.0[place(key)] <= since;
        match condition {
            Precondition::Profile(id, _) => is_old(&keys::profile(workspace, *id)),
            // Whoever claimed the identifier may have merged into its owner. Every merge or unmerge that gives it to
            // another one changes the owner too.
            Precondition::Owner(identifier, owner) => {
                is_old(&keys::owner(workspace, vault.mark(workspace, identifier)))
                    && owner.is_none_or(|owner| is_old(&keys::profile(workspace, owner)))
            }
            Precondition::EventAbsent(key) => is_old(&keys::event(workspace, key)),
            Precondition::Document(key, _) => is_old(&keys::document(workspace, key)),
        }
    }
}

fn place(key: &[u8]) -> usize {
    (crc32c::crc32c(key) % PLACES) as usize
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::event::EventKey;
    use crate::domain::fact::DocumentKey;
    use crate::domain::id::ProfileId;
    use crate::domain::identifier::Identifier;

    #[test]
    fn a_change_of_anything_that_a_precondition_rests_on_is_noticed() {
        let (workspace, vault) = (WorkspaceId::default_workspace(), Vault::bare().expect("no files are no damage"));
        let (id, other) = (ProfileId::from_bytes([1; 16]), ProfileId::from_bytes([2; 16]));
        let identifier = Identifier::parse("user_id", "1").expect("well-formed");
        let event = EventKey { source: "shop".into(), event_id: "1".into() };
        let settings = DocumentKey::settings();
        let entry = |key: keys::Key| Change {
            entries: vec![(key.into(), Default::default())],
            applied: Revision(5),
            ..Change::default()
        };
        let seen = Change {
            seen: [(keys::event(&workspace, &event), crate::store::embedded::journal::EventRef::default())].into(),
            applied: Revision(5),
            ..Change::default()
        };
        let cases = [
            (entry(keys::profile(&workspace, id)), Precondition::Profile(id, None)),
            (entry(keys::profile(&workspace, id)), Precondition::Owner(identifier.clone(), Some(id))),
            (
                entry(keys::owner(&workspace, vault.mark(&workspace, &identifier))),
                Precondition::Owner(identifier.clone(), Some(id)),
            ),
            (
                entry(keys::owner(&workspace, vault.mark(&workspace, &identifier))),
                Precondition::Owner(identifier, None),
            ),
            (entry(keys::document(&workspace, &settings)), Precondition::Document(settings, None)),
            (seen, Precondition::EventAbsent(event)),
        ];
        for (change, condition) in cases {
            let mut recent = Recent::default();
            assert!(recent.is_unchanged(Revision(0), (&workspace, &vault), &condition), "{condition:?}");
            recent.add(&change);
            assert!(!recent.is_unchanged(Revision(4), (&workspace, &vault), &condition), "{condition:?}");
            assert!(recent.is_unchanged(Revision(5), (&workspace, &vault), &condition), "{condition:?}");
            let elsewhere = Precondition::Profile(other, None);
            assert!(recent.is_unchanged(Revision(4), (&workspace, &vault), &elsewhere), "{condition:?}");
        }
    }
}
