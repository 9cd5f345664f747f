//! The suite: each check takes a fresh store.

use std::time::Duration;

use rapport::domain::consent::ConsentState::{Denied, Granted};
use rapport::domain::event::EventKey;
use rapport::domain::fact::{Document, DocumentKey, DocumentKind, Fact, MergeFact, MergedSource};
use rapport::domain::fold;
use rapport::domain::id::{MergeId, ProfileId, Revision, RunId};
use rapport::domain::model::{ModelKind, ModelVersion};
use rapport::domain::profile::Profile;
use rapport::domain::settings::Settings;
use rapport::domain::training::TrainingRun;
use rapport::domain::value::Map;
use rapport::store::{AcceptedCommit, Error, Precondition, Store};

use crate::fixture::{
    at, belongs, belongs_to_part, commit, commit_as_read, commit_document, consents, event, id, large_event, merge,
    timeline, timelines, unmerge, user, workspace,
};

pub(crate) use crate::audit::{
    an_empty_audit_log_is_read_as_such, the_audit_log_is_read_from_its_end_and_only_of_its_workspace,
};
pub(crate) use crate::erasure::{
    a_forgotten_customer_is_in_no_read_and_others_are_as_they_were,
    marks_and_keys_are_the_same_each_time_and_tell_apart,
};
pub(crate) use crate::memos::what_was_made_of_a_profile_is_recalled_until_it_changes;
pub(crate) use crate::retention::{
    a_decision_on_a_history_that_has_expired_meanwhile_is_a_conflict,
    commits_are_let_go_of_no_further_than_their_events_are_forgotten,
    expired_events_are_forgotten_and_the_profile_says_what_it_said,
    sides_of_a_merge_that_can_be_undone_keep_what_was_their_own,
};

pub(crate) async fn an_empty_store_answers_with_nothing(store: &dyn Store) {
    let acme = workspace("acme");
    assert_eq!(store.revision(), Revision::default());
    assert_eq!(store.profiles(&acme, &[id(1)]).await.expect("read"), [None]);
    assert_eq!(store.owners(&acme, &[user("ann"), user("bob")]).await.expect("read"), [None, None]);
    assert_eq!(timelines(store, &acme, &[id(1)]).await.expect("read"), [Vec::new()]);
    assert_eq!(store.find_events(&acme, &[event("e", 1).key]).await.expect("read"), [None]);
    assert!(store.scan_profiles(&acme, None, 10).await.expect("read").is_empty());
    assert!(store.documents(&acme, DocumentKind::Settings, None, 10).await.expect("read").is_empty());
    assert!(store.workspaces().await.expect("read").is_empty());
    assert!(store.takes_writes());
}

pub(crate) async fn a_commit_is_read_back(store: &dyn Store) {
    let acme = workspace("acme");
    let facts = vec![belongs(id(1), event("e1", 10), &[user("ann")]), belongs(id(1), event("e2", 20), &[])];
    let revision = commit(store, &acme, facts, Vec::new()).await.expect("commits");
    assert_eq!(store.revision(), revision);
    let profile = store.profiles(&acme, &[id(1)]).await.expect("read").remove(0).expect("exists");
    assert_eq!((profile.id, profile.revision), (id(1), revision));
    assert_eq!(profile.identifiers(), [&user("ann")]);
    assert_eq!(profile.state.activity.events(), 2);
    assert_eq!(profile.create_time(), at(20));
    assert_eq!(store.owners(&acme, &[user("ann")]).await.expect("read"), [Some(id(1))]);
    let timeline = timelines(store, &acme, &[id(1)]).await.expect("read").remove(0);
    assert_eq!(timeline, [event("e1", 10), event("e2", 20)]);
    assert_eq!(store.workspaces().await.expect("read"), [acme]);
}

pub(crate) async fn what_customers_say_about_their_data_stays_with_their_parts(store: &dyn Store) {
    let acme = workspace("acme");
    let allowed = async |profile: u8| {
        let found = store.profiles(&acme, &[id(profile)]).await.expect("read").remove(0).expect("exists");
        found.consents.allow("marketing", at(99))
    };
    let begun = [(1, "e1"), (2, "e2")].map(|(number, name)| belongs(id(number), event(name, 10), &[]));
    commit(store, &acme, begun.to_vec(), Vec::new()).await.expect("commits");
    assert!(!allowed(1).await);
    let answers = vec![consents(id(1), id(1), Granted, 20), consents(id(2), id(2), Denied, 20)];
    commit(store, &acme, answers, Vec::new()).await.expect("commits");
    assert!(allowed(1).await && !allowed(2).await);
    // An event changes the profile around it.
    commit(store, &acme, vec![belongs(id(1), event("e3", 30), &[])], Vec::new()).await.expect("commits");
    assert!(allowed(1).await);
    commit(store, &acme, vec![merge(id(1), &[id(2)])], Vec::new()).await.expect("commits");
    assert!(!allowed(1).await && !allowed(2).await, "one of them refused");
    commit(store, &acme, vec![unmerge(id(1), &[&[id(1)], &[id(2)]])], Vec::new()).await.expect("commits");
    assert!(allowed(1).await && !allowed(2).await);
}

pub(crate) async fn revisions_rise_by_commit_over_all_workspaces(store: &dyn Store) {
    let mut last = store.revision();
    for (number, name) in ["acme", "globex", "acme"].into_iter().enumerate() {
        let facts = vec![belongs(id(1), event(&number.to_string(), number as i64), &[])];
        let revision = commit(store, &workspace(name), facts, Vec::new()).await.expect("commits");
        assert!(revision > last);
        last = revision;
    }
}

pub(crate) async fn workspaces_do_not_see_each_other(store: &dyn Store) {
    // One name is the beginning of the other, so that a careless key would mix them up.
    let (short, long) = (workspace("a"), workspace("ab"));
    commit(store, &short, vec![belongs(id(1), event("e", 1), &[user("ann")])], Vec::new()).await.expect("commits");
    commit(store, &long, vec![belongs(id(2), event("e", 1), &[user("ann")])], Vec::new()).await.expect("commits");
    commit_document(store, &long, Document::Settings(Settings::default()), None).await.expect("commits");
    assert_eq!(store.owners(&short, &[user("ann")]).await.expect("read"), [Some(id(1))]);
    assert_eq!(store.profiles(&short, &[id(2)]).await.expect("read"), [None]);
    assert_eq!(store.scan_profiles(&short, None, 10).await.expect("read").len(), 1);
    assert_eq!(store.scan_profiles(&long, None, 10).await.expect("read").len(), 1);
    assert_eq!(store.document(&short, &DocumentKey::settings()).await.expect("read"), None);
    assert_eq!(
        store.find_events(&short, &[event("e", 1).key]).await.expect("read")[0].as_ref().map(|e| e.profile),
        Some(id(1))
    );
    assert_eq!(store.workspaces().await.expect("read"), [short, long]);
}

pub(crate) async fn a_stale_owner_is_a_conflict_and_changes_nothing(store: &dyn Store) {
    let acme = workspace("acme");
    commit(store, &acme, vec![belongs(id(1), event("e1", 1), &[user("ann")])], Vec::new()).await.expect("commits");
    for stale in [None, Some(id(2))] {
        let facts = vec![belongs(id(3), event("e2", 2), &[user("ann")])];
        let refused = commit(store, &acme, facts, vec![Precondition::Owner(user("ann"), stale)]).await;
        assert!(matches!(refused, Err(Error::Conflict)), "{refused:?}");
    }
    assert_eq!(store.owners(&acme, &[user("ann")]).await.expect("read"), [Some(id(1))]);
    assert_eq!(store.profiles(&acme, &[id(3)]).await.expect("read"), [None]);
    assert_eq!(store.find_events(&acme, &[event("e2", 2).key]).await.expect("read"), [None]);
    let facts = vec![belongs(id(1), event("e2", 2), &[])];
    let fresh = vec![Precondition::Owner(user("ann"), Some(id(1))), Precondition::Owner(user("bob"), None)];
    commit(store, &acme, facts, fresh).await.expect("commits");
}

pub(crate) async fn what_changed_after_a_decision_read_it_is_a_conflict_and_what_did_not_is_none(store: &dyn Store) {
    let acme = workspace("acme");
    for number in 1..=2 {
        let name = number.to_string();
        commit(store, &acme, vec![belongs(id(number), event(&name, 1), &[user(&name)])], Vec::new())
            .await
            .expect("commits");
    }
    let settings = Document::Settings(Settings::default());
    let revision = |profiles: &[Option<Profile>]| profiles[0].as_ref().map(|profile| profile.revision);
    let profile = revision(&store.profiles(&acme, &[id(1)]).await.expect("read"));
    let cases = [
        (Precondition::Profile(id(1), profile), belongs(id(1), event("e1", 2), &[])),
        (Precondition::Profile(id(3), None), belongs(id(3), event("e2", 2), &[])),
        (Precondition::Owner(user("new"), None), belongs(id(2), event("e3", 3), &[user("new")])),
        (Precondition::EventAbsent(event("e4", 4).key), belongs(id(2), event("e4", 4), &[])),
        (Precondition::Document(settings.key(), None), Fact::Document(settings)),
        (Precondition::Owner(user("1"), Some(id(1))), merge(id(2), &[id(1)])),
    ];
    for (number, (read, change)) in (10..).zip(cases) {
        let read_at = store.revision();
        let elsewhere = belongs(id(8), event(&format!("elsewhere {number}"), number), &[]);
        commit(store, &acme, vec![elsewhere], Vec::new()).await.expect("commits");
        commit_as_read(store, &acme, read.clone(), read_at).await.expect("what has nothing to do with it is none");
        commit(store, &acme, vec![change], Vec::new()).await.expect("commits");
        let refused = commit_as_read(store, &acme, read.clone(), read_at).await;
        assert!(matches!(refused, Err(Error::Conflict)), "{read:?}: {refused:?}");
    }
}

pub(crate) async fn a_stale_profile_is_a_conflict_and_changes_nothing(store: &dyn Store) {
    let acme = workspace("acme");
    let first = commit(store, &acme, vec![belongs(id(1), event("e1", 1), &[])], Vec::new()).await.expect("commits");
    let second = commit(store, &acme, vec![belongs(id(1), event("e2", 2), &[])], Vec::new()).await.expect("commits");
    for stale in [None, Some(first)] {
        let facts = vec![belongs(id(2), event("e3", 3), &[])];
        let refused = commit(store, &acme, facts, vec![Precondition::Profile(id(1), stale)]).await;
        assert!(matches!(refused, Err(Error::Conflict)), "{refused:?}");
    }
    assert_eq!(store.revision(), second);
    assert_eq!(store.profiles(&acme, &[id(2)]).await.expect("read"), [None]);
}

pub(crate) async fn a_repeated_event_is_a_conflict_and_changes_nothing(store: &dyn Store) {
    let acme = workspace("acme");
    let absent = || vec![Precondition::EventAbsent(event("e1", 1).key)];
    commit(store, &acme, vec![belongs(id(1), event("e1", 1), &[])], absent()).await.expect("commits");
    let refused = commit(store, &acme, vec![belongs(id(2), event("e1", 1), &[])], absent()).await;
    assert!(matches!(refused, Err(Error::Conflict)), "{refused:?}");
    assert_eq!(store.profiles(&acme, &[id(2)]).await.expect("read"), [None]);
    assert_eq!(timelines(store, &acme, &[id(1), id(2)]).await.expect("read")[1], []);
}

pub(crate) async fn a_stale_document_is_a_conflict_and_changes_nothing(store: &dyn Store) {
    let acme = workspace("acme");
    let settings = || Document::Settings(Settings::default());
    let first = commit_document(store, &acme, settings(), None).await.expect("commits");
    let second = commit_document(store, &acme, settings(), Some(first)).await.expect("commits");
    for stale in [None, Some(first)] {
        let refused = commit_document(store, &acme, settings(), stale).await;
        assert!(matches!(refused, Err(Error::Conflict)), "{refused:?}");
    }
    let stored = store.document(&acme, &DocumentKey::settings()).await.expect("read").expect("exists");
    assert_eq!(stored.revision, second);
}

pub(crate) async fn a_merge_moves_identifiers_and_history(store: &dyn Store) {
    let acme = workspace("acme");
    commit(store, &acme, vec![belongs(id(1), event("e1", 10), &[user("ann")])], Vec::new()).await.expect("commits");
    commit(store, &acme, vec![belongs(id(2), event("e2", 5), &[user("bob")])], Vec::new()).await.expect("commits");
    let facts = vec![merge(id(1), &[id(2)]), belongs(id(1), event("e3", 20), &[])];
    commit(store, &acme, facts, Vec::new()).await.expect("commits");

    assert_eq!(store.owners(&acme, &[user("ann"), user("bob")]).await.expect("read"), [Some(id(1)); 2]);
    let both = store.profiles(&acme, &[id(1), id(2)]).await.expect("read");
    assert_eq!(both[0], both[1]);
    let survivor = both[0].clone().expect("exists");
    assert_eq!(survivor.id, id(1));
    assert_eq!(survivor.state.activity.events(), 3);
    let both = timeline(store, &acme, id(2)).await;
    assert_eq!(both, [event("e2", 5), event("e1", 10), event("e3", 20)]);
    assert_eq!(survivor.state, fold::refold(&both));
    let parts = timelines(store, &acme, &[id(2), id(1)]).await.expect("read");
    assert_eq!(parts, [vec![event("e2", 5)], vec![event("e1", 10), event("e3", 20)]]);
    let scanned: Vec<ProfileId> =
        store.scan_profiles(&acme, None, 10).await.expect("read").iter().map(|profile| profile.id).collect();
    assert_eq!(scanned, [id(1)]);
    let found = store.find_events(&acme, &[event("e2", 5).key]).await.expect("read").remove(0).expect("exists");
    assert_eq!(found.profile, id(1));
    let gone = commit(store, &acme, Vec::new(), vec![Precondition::Profile(id(2), None)]).await;
    gone.expect("a merged profile does not exist");
}

pub(crate) async fn ids_resolve_through_chains_of_merges(store: &dyn Store) {
    let acme = workspace("acme");
    for number in 1..=3 {
        let facts = vec![belongs(id(number), event(&number.to_string(), i64::from(number)), &[])];
        commit(store, &acme, facts, Vec::new()).await.expect("commits");
    }
    commit(store, &acme, vec![merge(id(2), &[id(1)])], Vec::new()).await.expect("commits");
    commit(store, &acme, vec![merge(id(3), &[id(2)])], Vec::new()).await.expect("commits");
    let found = store.profiles(&acme, &[id(1), id(2), id(3)]).await.expect("read");
    assert!(found.iter().all(|profile| profile.as_ref().is_some_and(|profile| profile.id == id(3))));
    assert_eq!(timeline(store, &acme, id(1)).await.len(), 3);
}

pub(crate) async fn an_unmerge_gives_both_sides_what_was_theirs_and_what_came_since(store: &dyn Store) {
    let acme = workspace("acme");
    commit(store, &acme, vec![belongs(id(1), event("e1", 10), &[user("ann")])], Vec::new()).await.expect("commits");
    commit(store, &acme, vec![belongs(id(2), event("e2", 5), &[user("bob")])], Vec::new()).await.expect("commits");
    let before = store.profiles(&acme, &[id(1), id(2)]).await.expect("read");
    commit(store, &acme, vec![merge(id(1), &[id(2)])], Vec::new()).await.expect("commits");
    commit(store, &acme, vec![unmerge(id(1), &[&[id(1)], &[id(2)]])], Vec::new()).await.expect("commits");
    let after = store.profiles(&acme, &[id(1), id(2)]).await.expect("read");
    for (before, after) in before.into_iter().zip(after) {
        let (before, after) = (before.expect("exists"), after.expect("exists"));
        assert!(after.revision > before.revision);
        assert_eq!(Profile { revision: after.revision, update_time: after.update_time, ..before }, after);
    }

    commit(store, &acme, vec![merge(id(1), &[id(2)])], Vec::new()).await.expect("commits");
    let since = vec![
        belongs_to_part(id(1), id(2), event("e3", 20), &[user("rob")]),
        belongs_to_part(id(1), id(1), event("e4", 30), &[]),
    ];
    commit(store, &acme, since, Vec::new()).await.expect("commits");
    commit(store, &acme, vec![unmerge(id(1), &[&[id(1)], &[id(2)]])], Vec::new()).await.expect("commits");
    assert_eq!(timeline(store, &acme, id(1)).await, [event("e1", 10), event("e4", 30)]);
    assert_eq!(timeline(store, &acme, id(2)).await, [event("e2", 5), event("e3", 20)]);
    let owners = store.owners(&acme, &[user("ann"), user("bob"), user("rob")]).await.expect("read");
    assert_eq!(owners, [Some(id(1)), Some(id(2)), Some(id(2))]);
    let found = store.find_events(&acme, &[event("e3", 20).key]).await.expect("read").remove(0).expect("exists");
    assert_eq!(found.profile, id(2));
    let scanned = store.scan_profiles(&acme, None, 10).await.expect("read");
    assert_eq!(scanned.iter().map(|profile| profile.id).collect::<Vec<_>>(), [id(1), id(2)]);
    assert_eq!(scanned[1].state, fold::refold(&timeline(store, &acme, id(2)).await));
}

pub(crate) async fn an_unmerge_leaves_later_merges_with_the_side_that_they_are_linked_to(store: &dyn Store) {
    let acme = workspace("acme");
    for number in 1..=3 {
        let facts = vec![belongs(id(number), event(&number.to_string(), i64::from(number)), &[])];
        commit(store, &acme, facts, Vec::new()).await.expect("commits");
    }
    commit(store, &acme, vec![merge(id(1), &[id(2)])], Vec::new()).await.expect("commits");
    // The third is linked to the part that joined, although the first is the survivor.
    let source = MergedSource { profile: id(3), part: id(3), to: id(2) };
    let later = MergeFact { id: MergeId::from_bytes([8; 16]), survivor: id(1), sources: vec![source] };
    commit(store, &acme, vec![Fact::Merge(later)], Vec::new()).await.expect("commits");
    let whole = store.profiles(&acme, &[id(3)]).await.expect("read").remove(0).expect("exists");
    let groups = whole.groups_without(MergeId::from_bytes([9; 16]));
    assert_eq!((whole.id, &groups), (id(1), &vec![vec![id(1)], vec![id(2), id(3)]]));
    commit(store, &acme, vec![unmerge(id(1), &[&groups[0], &groups[1]])], Vec::new()).await.expect("commits");
    let found = store.profiles(&acme, &[id(1), id(2), id(3)]).await.expect("read");
    let ids: Vec<_> = found.into_iter().flatten().map(|profile| profile.id).collect();
    assert_eq!(ids, [id(1), id(2), id(2)]);
    assert_eq!(timeline(store, &acme, id(3)).await, [event("2", 2), event("3", 3)]);
}

pub(crate) async fn a_merge_within_the_commit_that_creates_its_source_is_whole(store: &dyn Store) {
    let acme = workspace("acme");
    commit(store, &acme, vec![belongs(id(1), event("e1", 1), &[user("ann")])], Vec::new()).await.expect("commits");
    let facts = vec![
        belongs(id(2), event("e2", 2), &[user("bob")]),
        merge(id(1), &[id(2)]),
        belongs(id(1), event("e3", 3), &[]),
    ];
    commit(store, &acme, facts, Vec::new()).await.expect("commits");
    assert_eq!(store.owners(&acme, &[user("bob")]).await.expect("read"), [Some(id(1))]);
    assert_eq!(timeline(store, &acme, id(1)).await.len(), 3);
    let found = store.profiles(&acme, &[id(2)]).await.expect("read").remove(0).expect("resolves");
    assert_eq!((found.id, found.state.activity.events()), (id(1), 3));
    assert_eq!(
        store.find_events(&acme, &[event("e2", 2).key]).await.expect("read")[0].as_ref().map(|e| e.profile),
        Some(id(1))
    );
}

pub(crate) async fn timelines_are_in_canonical_order(store: &dyn Store) {
    let acme = workspace("acme");
    for (event_id, second) in [("b", 30), ("c", 10), ("a", 30), ("d", 20)] {
        commit(store, &acme, vec![belongs(id(1), event(event_id, second), &[])], Vec::new()).await.expect("commits");
    }
    let timeline = timelines(store, &acme, &[id(1)]).await.expect("read").remove(0);
    let order: Vec<&str> = timeline.iter().map(|event| event.key.event_id.as_str()).collect();
    assert_eq!(order, ["c", "d", "a", "b"]);
    let profile = store.profiles(&acme, &[id(1)]).await.expect("read").remove(0).expect("exists");
    assert_eq!(profile.state, fold::refold(&timeline));
}

pub(crate) async fn long_timelines_are_complete(store: &dyn Store) {
    let acme = workspace("acme");
    for batch in 0..5_i64 {
        for customer in [1, 2] {
            let events = (0..70_i64).map(|n| event(&format!("{customer}-{batch}-{n}"), batch * 100 + n));
            let facts = events.map(|event| belongs(id(customer), event, &[])).collect();
            commit(store, &acme, facts, Vec::new()).await.expect("commits");
        }
    }
    let timelines = timelines(store, &acme, &[id(1), id(2)]).await.expect("read");
    assert_eq!([timelines[0].len(), timelines[1].len()], [350, 350]);
    commit(store, &acme, vec![merge(id(1), &[id(2)])], Vec::new()).await.expect("commits");
    commit(store, &acme, vec![belongs(id(1), event("last", 1_000), &[])], Vec::new()).await.expect("commits");
    let timeline = timeline(store, &acme, id(1)).await;
    assert_eq!(timeline.len(), 701);
    assert!(timeline.is_sorted_by_key(|event| event.order()));
}

pub(crate) async fn large_profiles_are_read_back(store: &dyn Store) {
    let acme = workspace("acme");
    for n in 0..8 {
        let facts = vec![belongs(id(1), large_event(&n.to_string(), n, 30_000), &[])];
        commit(store, &acme, facts, Vec::new()).await.expect("commits");
    }
    let profile = store.profiles(&acme, &[id(1)]).await.expect("read").remove(0).expect("exists");
    assert_eq!(profile.state.traits.len(), 240);
    assert_eq!(timelines(store, &acme, &[id(1)]).await.expect("read")[0].len(), 8);
    commit(store, &acme, vec![belongs(id(2), event("small", 50), &[])], Vec::new()).await.expect("commits");
    commit(store, &acme, vec![merge(id(2), &[id(1)])], Vec::new()).await.expect("commits");
    let merged = store.profiles(&acme, &[id(1)]).await.expect("read").remove(0).expect("resolves");
    assert_eq!((merged.id, merged.state.traits.len()), (id(2), 240));
}

pub(crate) async fn events_are_found_by_key(store: &dyn Store) {
    let acme = workspace("acme");
    let facts = (0..50_i64).map(|n| belongs(id(1), event(&n.to_string(), n), &[])).collect();
    commit(store, &acme, facts, Vec::new()).await.expect("commits");
    let other_source = EventKey { source: "other".into(), event_id: "7".into() };
    let keys = [event("7", 7).key, other_source, event("50", 50).key, event("49", 49).key];
    let found = store.find_events(&acme, &keys).await.expect("read");
    let names: Vec<Option<&str>> =
        found.iter().map(|found| found.as_ref().map(|found| found.event.key.event_id.as_str())).collect();
    assert_eq!(names, [Some("7"), None, None, Some("49")]);
}

pub(crate) async fn forgets_event_keys_after_the_window(store: &dyn Store, window: Duration) {
    let acme = workspace("acme");
    let seconds = i64::try_from(window.as_secs()).expect("small");
    commit(store, &acme, vec![belongs(id(1), event("old", 0), &[])], Vec::new()).await.expect("commits");
    commit(store, &acme, vec![belongs(id(1), event("at", seconds), &[])], Vec::new()).await.expect("commits");
    let key = event("old", 0).key;
    assert!(store.find_events(&acme, std::slice::from_ref(&key)).await.expect("read")[0].is_some());
    commit(store, &acme, vec![belongs(id(1), event("after", seconds + 1), &[])], Vec::new()).await.expect("commits");
    assert_eq!(store.find_events(&acme, std::slice::from_ref(&key)).await.expect("read"), [None]);
    let again = vec![belongs(id(1), event("old", seconds + 2), &[])];
    commit(store, &acme, again, vec![Precondition::EventAbsent(key)]).await.expect("may be accepted again");
}

pub(crate) async fn profiles_are_scanned_in_the_order_of_their_ids(store: &dyn Store) {
    let acme = workspace("acme");
    for number in [5, 1, 9, 3, 7] {
        let facts = vec![belongs(id(number), event(&number.to_string(), 1), &[])];
        commit(store, &acme, facts, Vec::new()).await.expect("commits");
    }
    let mut seen = Vec::new();
    loop {
        let page = store.scan_profiles(&acme, seen.last().copied(), 2).await.expect("read");
        if page.is_empty() {
            break;
        }
        assert!(page.len() <= 2);
        seen.extend(page.iter().map(|profile| profile.id));
    }
    assert_eq!(seen, [1, 3, 5, 7, 9].map(id));
    let (mut paged, mut after) = (Vec::new(), None);
    loop {
        let page = store.profile_page(&acme, after, 2).await.expect("read");
        let opened: Result<Vec<Profile>, _> = page.profiles.collect();
        paged.extend(opened.expect("readable"));
        let Some(last) = page.last else { break };
        assert!(after.is_none_or(|before| before < last));
        after = Some(last);
    }
    assert_eq!(paged, store.scan_profiles(&acme, None, 10).await.expect("read"));
}

pub(crate) async fn documents_are_listed_by_kind_and_name(store: &dyn Store) {
    let acme = workspace("acme");
    let run = |number: u8| TrainingRun::new(RunId::from_bytes([number; 16]), ModelKind::Churn, Map::new(), at(1));
    for number in [3, 1, 2] {
        commit_document(store, &acme, Document::TrainingRun(run(number)), None).await.expect("commits");
    }
    commit_document(store, &acme, Document::Settings(Settings::default()), None).await.expect("commits");
    let first = store.documents(&acme, DocumentKind::TrainingRun, None, 2).await.expect("read");
    let names: Vec<String> = first.iter().map(|document| document.value.key().name).collect();
    assert_eq!(names, [1, 2].map(|number| RunId::from_bytes([number; 16]).to_string()));
    let rest = store.documents(&acme, DocumentKind::TrainingRun, Some(&names[1]), 10).await.expect("read");
    assert_eq!(rest.len(), 1);
    assert_eq!(rest[0].value, Document::TrainingRun(run(3)));
    assert!(store.documents(&acme, DocumentKind::Model, None, 10).await.expect("read").is_empty());
}

pub(crate) async fn artifacts_are_kept_replaced_and_removed(store: &dyn Store) {
    let (acme, other) = (workspace("acme"), workspace("other"));
    let version: ModelVersion = "churn-1".parse().expect("a version");
    assert_eq!(store.artifact(&acme, &version).await.expect("read"), None);
    store.put_artifact(&acme, &version, vec![1; 100_000]).await.expect("kept");
    assert_eq!(store.artifact(&acme, &version).await.expect("read"), Some(vec![1; 100_000]));
    assert_eq!(store.artifact(&other, &version).await.expect("read"), None);
    store.put_artifact(&acme, &version, vec![2]).await.expect("replaced");
    assert_eq!(store.artifact(&acme, &version).await.expect("read"), Some(vec![2]));
    store.remove_artifact(&acme, &version).await.expect("removed");
    store.remove_artifact(&acme, &version).await.expect("nothing to remove is no error");
    assert_eq!(store.artifact(&acme, &version).await.expect("read"), None);
}

pub(crate) async fn concurrent_commits_on_one_customer_end_in_one_order(store: &dyn Store) {
    let acme = workspace("acme");
    let writers = (0..16_i64).map(|writer| {
        let acme = acme.clone();
        async move {
            for n in 0..5_i64 {
                loop {
                    let facts = vec![belongs(id(1), event(&format!("{writer}-{n}"), writer * 7 + n), &[user("ann")])];
                    match commit(store, &acme, facts, Vec::new()).await {
                        Ok(_) => break,
                        Err(Error::Conflict) => {}
                        Err(error) => panic!("{error}"),
                    }
                }
            }
        }
    });
    futures_of(writers.collect()).await;
    let profile = store.profiles(&acme, &[id(1)]).await.expect("read").remove(0).expect("exists");
    let timeline = timelines(store, &acme, &[id(1)]).await.expect("read").remove(0);
    assert_eq!((profile.state.activity.events(), timeline.len()), (80, 80));
    assert_eq!(profile.state, fold::refold(&timeline));
}

/// Runs futures side by side on this task.
async fn futures_of<F: Future<Output = ()>>(futures: Vec<F>) {
    let mut futures: Vec<_> = futures.into_iter().map(|future| (Box::pin(future), false)).collect();
    std::future::poll_fn(|context| {
        for (future, done) in &mut futures {
            *done = *done || future.as_mut().poll(context).is_ready();
        }
        if futures.iter().all(|(_, done)| *done) { std::task::Poll::Ready(()) } else { std::task::Poll::Pending }
    })
    .await;
}

/// Runs two futures side by side, of which the first must wait for the second.
async fn both<A, B>(waits: impl Future<Output = A>, other: impl Future<Output = B>) -> (A, B) {
    let mut waits = Box::pin(waits);
    let early = std::future::poll_fn(|context| std::task::Poll::Ready(waits.as_mut().poll(context).is_ready())).await;
    assert!(!early, "it waits");
    let other = other.await;
    (waits.await, other)
}

/// Everything that can be followed behind a commit, `limit` commits at a time.
async fn followed(store: &dyn Store, name: &str, mut after: Revision, limit: usize) -> Vec<AcceptedCommit> {
    let mut all = Vec::new();
    while after < store.revision() {
        let followed = store.commits_after(&workspace(name), after, limit).await.expect("read");
        assert!(followed.commits.len() <= limit);
        assert!(followed.up_to > after, "a follower who is behind comes forward");
        assert!(followed.commits.iter().all(|commit| after < commit.revision && commit.revision <= followed.up_to));
        after = followed.up_to;
        all.extend(followed.commits);
    }
    all
}

pub(crate) async fn commits_are_followed_in_order_from_anywhere_and_without_those_of_others(store: &dyn Store) {
    let mut mine = Vec::new();
    for n in 0..12_i64 {
        let name = if n % 3 == 0 { "ab" } else { "a" };
        let facts = vec![
            belongs(id(n as u8), event(&format!("{n}-1"), n), &[user(&n.to_string())]),
            belongs(id(n as u8), event(&format!("{n}-2"), n), &[]),
        ];
        let revision = commit(store, &workspace(name), facts.clone(), Vec::new()).await.expect("commits");
        if name == "a" {
            mine.push(AcceptedCommit { revision, time: at(n), facts });
        }
    }
    assert_eq!(store.oldest_commit(), Revision(1));
    for after in 0..=store.revision().0 {
        let expected: Vec<_> = mine.iter().filter(|commit| commit.revision.0 > after).cloned().collect();
        for limit in [1, 2, 100] {
            assert_eq!(
                followed(store, "a", Revision(after), limit).await,
                expected,
                "after {after}, {limit} at a time"
            );
        }
    }
    assert_eq!(followed(store, "b", Revision(0), 100).await, []);
    let end = store.commits_after(&workspace("a"), store.revision(), 10).await.expect("read");
    assert_eq!((end.commits, end.up_to), (Vec::new(), store.revision()));
}

pub(crate) async fn large_commits_are_followed_a_few_at_a_time(store: &dyn Store) {
    for n in 0..4_i64 {
        let facts = vec![belongs(id(n as u8), large_event(&n.to_string(), n, 800_000), &[])];
        commit(store, &workspace("a"), facts, Vec::new()).await.expect("commits");
    }
    let all = followed(store, "a", Revision(0), 100).await;
    assert_eq!(all.iter().map(|commit| commit.revision.0).collect::<Vec<_>>(), [1, 2, 3, 4]);
}

pub(crate) async fn a_follower_waits_for_the_next_commit_and_hears_of_the_end(store: &dyn Store) {
    let acme = workspace("acme");
    let next = async || {
        let facts = vec![belongs(id(1), event(&store.revision().to_string(), 1), &[])];
        commit(store, &acme, facts, Vec::new()).await.expect("commits");
    };
    next().await;
    store.committed_after(Revision(0)).await.expect("a commit");
    let last = store.revision();
    let (waited, ()) = both(store.committed_after(last), next()).await;
    waited.expect("the next commit");
    let last = store.revision();
    let (waited, closed) = both(store.committed_after(last), store.close()).await;
    closed.expect("closes");
    assert!(matches!(waited, Err(Error::Closed)), "{waited:?}");
    assert!(matches!(store.committed_after(last).await, Err(Error::Closed)));
    assert!(matches!(store.commits_after(&acme, Revision(0), 1).await, Err(Error::Closed)));
}

pub(crate) async fn nothing_is_lost_or_told_too_early_while_others_commit(store: &dyn Store) {
    let acme = workspace("acme");
    let writers = (0..8_u8).map(|writer| {
        let acme = acme.clone();
        let writes = async move {
            for n in 0..20_i64 {
                let facts = vec![belongs(id(writer), event(&format!("{writer}-{n}"), n), &[])];
                commit(store, &acme, facts, Vec::new()).await.expect("commits");
            }
        };
        Box::pin(writes) as std::pin::Pin<Box<dyn Future<Output = ()> + '_>>
    });
    let follower = async {
        let (mut after, mut seen) = (Revision(0), Vec::new());
        while seen.len() < 160 {
            store.committed_after(after).await.expect("a commit");
            let followed = store.commits_after(&acme, after, 7).await.expect("read");
            assert!(followed.up_to > after && followed.up_to <= store.revision());
            after = followed.up_to;
            for commit in followed.commits {
                let [Fact::Event(fact)] = commit.facts.as_slice() else { panic!("{commit:?}") };
                let profile = store.profiles(&acme, &[fact.profile]).await.expect("read").remove(0).expect("visible");
                assert!(profile.revision >= commit.revision, "a change is told when reads show it");
                seen.push(commit.revision.0);
            }
        }
        assert_eq!(seen, (1..=160).collect::<Vec<u64>>());
    };
    futures_of(writers.chain([Box::pin(follower) as _]).collect()).await;
}

pub(crate) async fn a_closed_store_refuses(store: &dyn Store) {
    let acme = workspace("acme");
    commit(store, &acme, vec![belongs(id(1), event("e1", 1), &[])], Vec::new()).await.expect("commits");
    store.close().await.expect("closes");
    assert!(!store.takes_writes());
    let refused = commit_document(store, &acme, Document::Settings(Settings::default()), None).await;
    assert!(matches!(refused, Err(Error::Closed)), "{refused:?}");
    assert!(matches!(store.profiles(&acme, &[id(1)]).await, Err(Error::Closed)));
}
