//! What expires is forgotten, and what it adds up to is kept.

use rapport::domain::fact::{ExpireFact, Fact};
use rapport::domain::id::{ProfileId, Revision};
use rapport::store::{Error, Forgotten, Precondition, Store};

use crate::fixture::{
    at, belongs, belongs_to_part, commit, commit_as_read, event, event_with, id, merge, timeline, unmerge, user,
    workspace,
};

fn expire(profile: ProfileId, second: i64, groups: &[&[ProfileId]]) -> Fact {
    let groups = groups.iter().map(|group| group.to_vec()).collect();
    Fact::Expire(ExpireFact { profile, before: at(second), groups })
}

pub(crate) async fn expired_events_are_forgotten_and_the_profile_says_what_it_said(store: &dyn Store) {
    let acme = workspace("acme");
    for batch in 0..10_i64 {
        let seconds = batch * 30..batch * 30 + 30;
        let facts = seconds.map(|second| belongs(id(1), event(&second.to_string(), second), &[user("ann")])).collect();
        commit(store, &acme, facts, Vec::new()).await.expect("commits");
    }
    let before = store.profiles(&acme, &[id(1)]).await.expect("read").remove(0).expect("exists");
    for (horizon, left) in [(0, 300), (100, 200), (250, 50), (250, 50), (1_000, 0)] {
        commit(store, &acme, vec![expire(id(1), horizon, &[&[id(1)]])], Vec::new()).await.expect("commits");
        let after = store.profiles(&acme, &[id(1)]).await.expect("read").remove(0).expect("exists");
        assert!(after.revision > before.revision, "whoever decided on the history decides anew");
        assert_eq!((&after.state, after.update_time), (&before.state, before.update_time));
        let kept = timeline(store, &acme, id(1)).await;
        assert_eq!(kept.len(), left);
        assert!(kept.iter().all(|event| event.times.event >= at(horizon)));
    }
    let history = store.histories(&acme, &[id(1)]).await.expect("read").remove(0);
    assert_eq!(history.bases.len(), 1);
    assert_eq!((&history.bases[0].state, history.bases[0].before), (&before.state, at(1_000)));
    let known = store.find_events(&acme, &[event("7", 7).key]).await.expect("read").remove(0).expect("remembered");
    assert_eq!((known.profile, known.event), (id(1), event("7", 7)), "a repeat of a forgotten event is still known");

    // Both come late, one after the other, and are folded behind what has expired.
    for second in [1_500, 1_200] {
        let facts = vec![belongs(id(1), event(&second.to_string(), second), &[])];
        commit(store, &acme, facts, Vec::new()).await.expect("commits");
    }
    let after = store.profiles(&acme, &[id(1)]).await.expect("read").remove(0).expect("exists");
    assert_eq!(after.state.activity.events(), 302);
    assert_eq!(after.state.activity.all.map(|all| (all.first, all.last)), Some((at(0), at(1_500))));
}

pub(crate) async fn a_decision_on_a_history_that_has_expired_meanwhile_is_a_conflict(store: &dyn Store) {
    let acme = workspace("acme");
    let first = commit(store, &acme, vec![belongs(id(1), event("e1", 1), &[])], Vec::new()).await.expect("commits");
    let read = || Precondition::Profile(id(1), Some(first));
    commit_as_read(store, &acme, read(), store.revision()).await.expect("nothing has changed");
    let read_at = store.revision();
    commit(store, &acme, vec![expire(id(1), 100, &[&[id(1)]])], Vec::new()).await.expect("commits");
    let refused = commit_as_read(store, &acme, read(), read_at).await;
    assert!(matches!(refused, Err(Error::Conflict)), "{refused:?}");
}

pub(crate) async fn sides_of_a_merge_that_can_be_undone_keep_what_was_their_own(store: &dyn Store) {
    let acme = workspace("acme");
    for (number, part) in (0..40_i64).zip([1, 2, 2, 1, 2].into_iter().cycle()) {
        let facts = vec![belongs(id(part), event(&number.to_string(), number), &[])];
        commit(store, &acme, facts, Vec::new()).await.expect("commits");
    }
    let apart = store.profiles(&acme, &[id(1), id(2)]).await.expect("read");
    commit(store, &acme, vec![merge(id(1), &[id(2)])], Vec::new()).await.expect("commits");
    let whole = store.profiles(&acme, &[id(1)]).await.expect("read").remove(0).expect("exists");
    let facts = vec![expire(id(1), 30, &[&[id(1)], &[id(2)]])];
    commit(store, &acme, facts, Vec::new()).await.expect("commits");
    let expired = store.profiles(&acme, &[id(1)]).await.expect("read").remove(0).expect("exists");
    assert_eq!(expired.state, whole.state);
    // A late one, so that everything is folded anew, and one by another part.
    let late = vec![belongs_to_part(id(1), id(2), event("late", 35), &[]), belongs(id(1), event("l2", 33), &[])];
    commit(store, &acme, late, Vec::new()).await.expect("commits");
    let refolded = store.profiles(&acme, &[id(1)]).await.expect("read").remove(0).expect("exists");
    assert_eq!(refolded.state.activity.events(), 42);
    assert_eq!(refolded.state.activity.all.map(|all| all.first), Some(at(0)));
    commit(store, &acme, vec![unmerge(id(1), &[&[id(1)], &[id(2)]])], Vec::new()).await.expect("commits");
    let after = store.profiles(&acme, &[id(1), id(2)]).await.expect("read");
    for (apart, after) in apart.into_iter().zip(after) {
        let (apart, after) = (apart.expect("exists"), after.expect("exists"));
        assert_eq!(after.state.activity.events(), apart.state.activity.events() + 1);
        assert_eq!(after.state.last, apart.state.last);
    }
    let bases = store.histories(&acme, &[id(1), id(2)]).await.expect("read");
    let parts: Vec<_> =
        bases.into_iter().map(|history| history.bases.into_iter().map(|base| base.parts)).map(Vec::from_iter).collect();
    assert_eq!(parts, [vec![vec![id(1)]], vec![vec![id(2)]]], "what was of both is gone");
}

pub(crate) async fn commits_are_let_go_of_no_further_than_their_events_are_forgotten(store: &dyn Store) {
    let acme = workspace("acme");
    let day = 86_400;
    for number in 0..100_i64 {
        let large = rapport::domain::payload::Payload::Identify(rapport::domain::payload::Identify {
            traits: [("note".to_owned(), rapport::domain::value::Value::Text("x".repeat(2_000)))].into(),
            ..Default::default()
        });
        let facts = vec![belongs(id(1), event_with(&number.to_string(), number * day, large), &[])];
        commit(store, &acme, facts, Vec::new()).await.expect("commits");
    }
    let forget = async |day_before: i64, by: Revision| {
        let oldest = store.forget_commits(Forgotten { before: at(day_before * day), by }).await.expect("let go");
        assert_eq!(oldest, store.oldest_commit());
        oldest
    };
    assert_eq!(forget(90, Revision(0)).await, Revision(1), "by then nothing was forgotten");
    assert_eq!(forget(0, store.revision()).await, Revision(1), "everything is younger");
    let by = commit(store, &acme, vec![expire(id(1), 90 * day, &[&[id(1)]])], Vec::new()).await.expect("commits");
    for number in 100..104_i64 {
        forget(90, by).await;
        let facts = vec![belongs(id(1), event(&number.to_string(), number * day), &[])];
        commit(store, &acme, facts, Vec::new()).await.expect("commits");
    }
    let oldest = store.oldest_commit();
    assert!(oldest > Revision(1), "something is let go of");
    // Of the window of 30 days everything is still there, although it has expired.
    assert!(oldest <= Revision(74), "{oldest}");
    let all = store.commits_after(&acme, Revision(oldest.0 - 1), 1_000).await.expect("read");
    assert_eq!(all.commits.first().map(|commit| commit.revision), Some(oldest));
    let gone = store.commits_after(&acme, Revision(oldest.0 - 2), 1_000).await;
    assert!(matches!(gone, Err(Error::Forgotten { oldest: kept }) if kept == oldest), "{gone:?}");
    assert_eq!(timeline(store, &acme, id(1)).await.len(), 14);
    assert_eq!(store.find_events(&acme, &[event("1", day).key]).await.expect("read"), [None]);
}
