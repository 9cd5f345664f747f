//! Every store keeps the same promises: one suite, run by each adapter. The in-memory adapter is the reference.

mod audit;
mod conformance;
mod erasure;
mod fixture;
mod memos;
mod retention;

use std::time::Duration;

use rapport::store::embedded::{EmbeddedStore, Options};
use rapport::store::memory::MemoryStore;
use rapport::store::{CommitReader as _, Error, Store};

/// Runs each listed check of the suite on a fresh store of one adapter.
macro_rules! conforms {
    ($adapter:ident, $open:expr, [$($check:ident),+ $(,)?]) => {
        mod $adapter {
            $(
                #[tokio::test]
                async fn $check() {
                    let fresh = $open;
                    super::conformance::$check(fresh(rapport::domain::limits::IDEMPOTENCY_WINDOW).as_ref()).await;
                }
            )+

            #[tokio::test]
            async fn forgets_event_keys_after_the_window() {
                let fresh = $open;
                let store = fresh(super::WINDOW);
                super::conformance::forgets_event_keys_after_the_window(store.as_ref(), super::WINDOW).await;
            }
        }
    };
}

/// A window that the suite can step over.
const WINDOW: Duration = Duration::from_secs(3_600);

macro_rules! every_adapter {
    ($($check:ident),+ $(,)?) => {
        conforms!(memory, super::memory, [$($check),+]);
        conforms!(embedded, super::embedded(), [$($check),+]);
    };
}

every_adapter![
    an_empty_store_answers_with_nothing,
    a_commit_is_read_back,
    what_customers_say_about_their_data_stays_with_their_parts,
    revisions_rise_by_commit_over_all_workspaces,
    workspaces_do_not_see_each_other,
    a_stale_owner_is_a_conflict_and_changes_nothing,
    what_changed_after_a_decision_read_it_is_a_conflict_and_what_did_not_is_none,
    a_stale_profile_is_a_conflict_and_changes_nothing,
    a_repeated_event_is_a_conflict_and_changes_nothing,
    a_stale_document_is_a_conflict_and_changes_nothing,
    a_merge_moves_identifiers_and_history,
    ids_resolve_through_chains_of_merges,
    an_unmerge_gives_both_sides_what_was_theirs_and_what_came_since,
    an_unmerge_leaves_later_merges_with_the_side_that_they_are_linked_to,
    a_merge_within_the_commit_that_creates_its_source_is_whole,
    timelines_are_in_canonical_order,
    long_timelines_are_complete,
    large_profiles_are_read_back,
    events_are_found_by_key,
    profiles_are_scanned_in_the_order_of_their_ids,
    documents_are_listed_by_kind_and_name,
    artifacts_are_kept_replaced_and_removed,
    concurrent_commits_on_one_customer_end_in_one_order,
    commits_are_followed_in_order_from_anywhere_and_without_those_of_others,
    large_commits_are_followed_a_few_at_a_time,
    a_follower_waits_for_the_next_commit_and_hears_of_the_end,
    nothing_is_lost_or_told_too_early_while_others_commit,
    an_empty_audit_log_is_read_as_such,
    the_audit_log_is_read_from_its_end_and_only_of_its_workspace,
    a_forgotten_customer_is_in_no_read_and_others_are_as_they_were,
    marks_and_keys_are_the_same_each_time_and_tell_apart,
    what_was_made_of_a_profile_is_recalled_until_it_changes,
    a_closed_store_refuses,
    expired_events_are_forgotten_and_the_profile_says_what_it_said,
    a_decision_on_a_history_that_has_expired_meanwhile_is_a_conflict,
    sides_of_a_merge_that_can_be_undone_keep_what_was_their_own,
    commits_are_let_go_of_no_further_than_their_events_are_forgotten,
];

fn memory(window: Duration) -> Box<dyn Store> {
    Box::new(MemoryStore::with_idempotency_window(window))
}

#[tokio::test]
async fn a_store_that_keeps_only_the_latest_commits_says_so() {
    use rapport::domain::id::Revision;
    let store = MemoryStore::default().keeping_commits(2);
    let acme = fixture::workspace("acme");
    for n in 1..=4_u8 {
        let facts = vec![fixture::belongs(fixture::id(n), fixture::event(&n.to_string(), 1), &[])];
        fixture::commit(&store, &acme, facts, Vec::new()).await.expect("commits");
    }
    assert_eq!(store.oldest_commit(), Revision(3));
    assert_eq!(store.commits_after(&acme, Revision(2), 10).await.expect("read").commits.len(), 2);
    let refused = store.commits_after(&acme, Revision(1), 10).await;
    assert!(matches!(refused, Err(Error::Forgotten { oldest: Revision(3) })), "{refused:?}");
}

/// Opens embedded stores in a directory that lives as long as the returned function.
fn embedded() -> impl Fn(Duration) -> Box<dyn Store> {
    let directory = tempfile::tempdir().expect("a temporary directory");
    move |window| {
        let mut options = Options::new(directory.path(), [7; 16]);
        options.idempotency_window = window;
        // Small, so that the suite fills several.
        options.segment_bytes = 20_000;
        Box::new(EmbeddedStore::open(options).expect("a fresh directory opens"))
    }
}
