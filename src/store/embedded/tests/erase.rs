//! An erasure that a kill comes into.

use super::fixture::{acme, belongs, commit, event, id, open};
use crate::domain::erasure::EraseFact;
use crate::domain::fact::Fact;
use crate::domain::history::History;
use crate::store::embedded::erase::note;
use crate::store::embedded::index::Source as _;
use crate::store::embedded::vault::Erasing;
use crate::store::{EventReader as _, ProfileReader as _, Store as _};

fn erase() -> Fact {
    Fact::Erase(EraseFact { erasure: uuid::Uuid::nil(), profile: id(1), parts: vec![id(1)] })
}

#[tokio::test]
async fn a_kill_between_the_commit_and_the_destruction_leaves_the_destruction_to_the_next_start() {
    for commits in [false, true] {
        let directory = tempfile::tempdir().expect("a directory");
        let store = open(directory.path());
        for number in 1..=4 {
            let part = 1 + u8::from(number % 2 == 0);
            commit(&store, vec![belongs(part, event(number))]).await.expect("commits");
        }
        let before = store.histories(&acme(), &[id(1), id(2)]).await.expect("readable");
        let Fact::Erase(fact) = erase() else { unreachable!("it is one") };
        let noted = store.read(|open| note(open, acme(), fact)).await.expect("noted");
        assert_eq!(noted.slots.len(), 1);
        if commits {
            commit(&store, vec![erase()]).await.expect("commits");
        }
        store.close().await.expect("closes");
        let store = open(directory.path());
        let vault = |open: &crate::store::embedded::store::Open| Ok(open.index().vault().left_erasing()?.is_some());
        assert!(!store.read(vault).await.expect("readable"), "it was ended");
        let after = store.histories(&acme(), &[id(1), id(2)]).await.expect("readable");
        let gone = store.profiles(&acme(), &[id(1)]).await.expect("readable")[0].is_none();
        assert_eq!(gone, commits);
        assert_eq!(after[1], before[1], "the other one has all");
        assert_eq!(after[0], if commits { History::default() } else { before[0].clone() });
        let Erasing { slots, .. } = noted;
        let is_destroyed = move |open: &crate::store::embedded::store::Open| {
            let sealed = [&1u16.to_le_bytes()[..], &slots[0].to_le_bytes()].concat();
            Ok(open.index().vault().is_forgotten(&sealed))
        };
        assert_eq!(store.read(is_destroyed).await.expect("readable"), commits);
        commit(&store, vec![belongs(3, event(5))]).await.expect("goes on");
    }
}
