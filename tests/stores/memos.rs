//! What readers made of a profile is theirs again until the profile changes.

use std::sync::Arc;

use rapport::domain::id::{ProfileId, Revision, WorkspaceId};
use rapport::store::{Memo, Named, Store};

use crate::erasure::erase;
use crate::fixture::{belongs, commit, event, id, merge, user, workspace};

fn remember(store: &dyn Store, workspace: &WorkspaceId, profile: (ProfileId, Revision), text: &'static str) {
    store.remember(workspace, profile, Memo { value: Arc::new(text), bytes: text.len() });
}

fn recall(store: &dyn Store, workspace: &WorkspaceId, named: Named<'_>) -> Option<&'static str> {
    Some(*store.recall(workspace, named)?.value.downcast::<&'static str>().expect("what was remembered"))
}

pub(crate) async fn what_was_made_of_a_profile_is_recalled_until_it_changes(store: &dyn Store) {
    let (acme, other) = (workspace("acme"), workspace("other"));
    let (ann, bob) = (user("ann"), user("bob"));
    let of_ann = [Named::Profile(id(1)), Named::Identifier(&ann)];
    let facts = |event_id: &str| vec![belongs(id(1), event(event_id, 1), std::slice::from_ref(&ann))];
    let first = commit(store, &acme, facts("first"), Vec::new()).await.expect("commits");
    assert!(of_ann.into_iter().all(|named| recall(store, &acme, named).is_none()), "nothing was remembered");

    remember(store, &acme, (id(1), first), "one event");
    assert!(of_ann.into_iter().all(|named| recall(store, &acme, named) == Some("one event")));
    assert_eq!(recall(store, &acme, Named::Identifier(&bob)), None);
    assert_eq!(recall(store, &other, Named::Profile(id(1))), None, "another workspace has no such customer");
    remember(store, &acme, (id(1), first), "made again");
    assert_eq!(recall(store, &acme, Named::Profile(id(1))), Some("made again"));

    let second = commit(store, &acme, facts("second"), Vec::new()).await.expect("commits");
    assert!(of_ann.into_iter().all(|named| recall(store, &acme, named).is_none()), "the profile is another one");
    remember(store, &acme, (id(1), first), "too late");
    assert_eq!(recall(store, &acme, Named::Profile(id(1))), None, "made of what is no more");
    remember(store, &acme, (id(1), second), "two events");
    commit(store, &acme, vec![belongs(id(2), event("third", 1), &[bob])], Vec::new()).await.expect("commits");
    assert_eq!(recall(store, &acme, Named::Profile(id(1))), Some("two events"), "somebody else has changed");

    commit(store, &acme, vec![merge(id(2), &[id(1)])], Vec::new()).await.expect("merges");
    assert!(of_ann.into_iter().all(|named| recall(store, &acme, named).is_none()), "it is part of another one");
    let merged = store.profiles(&acme, &[id(2)]).await.expect("read").remove(0).expect("exists");
    remember(store, &acme, (id(2), merged.revision), "both");
    erase(store, id(2), &[id(1), id(2)], merged.revision).await.expect("forgets");
    assert_eq!(recall(store, &acme, Named::Profile(id(2))), None, "nobody is there any more");
    remember(store, &acme, (id(2), merged.revision), "of the forgotten");
    assert_eq!(recall(store, &acme, Named::Profile(id(2))), None);
}
