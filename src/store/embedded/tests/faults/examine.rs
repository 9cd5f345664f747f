//! Holds what is left of a history to the promises.

use std::collections::BTreeMap;

use super::workload::{self, ARTIFACTS, Artifacts};
use crate::domain::fact::Fact;
use crate::domain::id::Revision;
use crate::store::embedded::tests::fixture::{Contents, acme, belongs, commit, contents, event};
use crate::store::embedded::{EmbeddedStore, Options};
use crate::store::memory::MemoryStore;
use crate::store::{CommitReader, CommitStore};

/// An event that no history has.
const ANOTHER: i64 = 1_000_000;

/// What must be there.
pub(super) struct Expected<'a> {
    /// The facts of all commits that may be there.
    pub(super) truth: &'a [Vec<Fact>],
    /// How many of them somebody was told of.
    pub(super) promised: Revision,
    pub(super) artifacts: &'a Artifacts,
}

/// What was found: how many commits, and everything that can be read.
pub(super) struct Found {
    pub(super) revision: Revision,
    pub(super) contents: Contents,
}

/// Opens a store and says what is wrong with its commits and artifacts. Its contents are left to [`Reference`].
pub(super) async fn examine(options: Options, expected: &Expected<'_>) -> Result<Found, String> {
    let store = EmbeddedStore::open(options.clone()).map_err(|error| format!("it does not open: {error}"))?;
    let revision = store.revision();
    if revision < expected.promised {
        return Err(format!("commit {} was acknowledged, and the last one is {revision}", expected.promised));
    }
    let (stored, let_go) = (all_facts(&store).await?, usize::try_from(store.oldest_commit().0 - 1).expect("small"));
    let wanted =
        expected.truth.get(let_go..let_go + stored.len()).ok_or("there are more commits than were ever made")?;
    if let Some(position) = stored.iter().zip(wanted).position(|(stored, wanted)| stored != wanted) {
        return Err(format!("commit {} is another one than was made", let_go + position + 1));
    }
    for number in 0..ARTIFACTS {
        let content = workload::artifact(&store, number).await?;
        if !expected.artifacts[number].contains(&content) {
            let known = &expected.artifacts[number];
            return Err(format!("artifact {number} holds {content:?}, and should be one of {known:?}"));
        }
    }
    let contents = contents(&store).await;
    let next = commit(&store, vec![belongs(1, event(ANOTHER))]).await;
    let next = next.map_err(|error| format!("it takes no further commit: {error}"))?;
    drop(store);
    let store = EmbeddedStore::open(options).map_err(|error| format!("it does not open again: {error}"))?;
    if (next.0, store.revision()) != (revision.0 + 1, next) {
        return Err(format!("commit {next} after commit {revision} became {}", store.revision()));
    }
    Ok(Found { revision, contents })
}

async fn all_facts(store: &EmbeddedStore) -> Result<Vec<Vec<Fact>>, String> {
    let (mut facts, mut after) = (Vec::new(), Revision(store.oldest_commit().0 - 1));
    while after < store.revision() {
        let followed = store.commits_after(&acme(), after, 1_000).await.map_err(|error| error.to_string())?;
        after = followed.up_to;
        facts.extend(followed.commits.into_iter().map(|commit| commit.facts));
    }
    Ok(facts)
}

/// What the reference store makes of the same commits.
pub(super) struct Reference(BTreeMap<Revision, Contents>);

impl Reference {
    /// The contents after each of some commits.
    pub(super) async fn after(truth: &[Vec<Fact>], mut revisions: Vec<Revision>) -> Self {
        let store = MemoryStore::with_idempotency_window(workload::WINDOW);
        let mut known = BTreeMap::new();
        revisions.sort();
        revisions.dedup();
        for revision in revisions {
            for facts in
                &truth[usize::try_from(store.revision().0).expect("small")..usize::try_from(revision.0).expect("small")]
            {
                commit(&store, facts.clone()).await.expect("commits");
            }
            known.insert(revision, contents(&store).await);
        }
        Self(known)
    }

    /// Says what differs.
    pub(super) fn compare(&self, found: &Found) -> Result<(), String> {
        if self.0.get(&found.revision) == Some(&found.contents) {
            return Ok(());
        }
        Err(format!("after commit {} something reads differently than in the reference store", found.revision))
    }
}
