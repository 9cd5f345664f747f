//! The log of who did what: added to at its end, read from there, and never across workspaces.

use rapport::domain::audit::{AuditEntry, AuditedCall};
use rapport::domain::id::ProfileId;
use rapport::store::{AuditQuery, Error, NumberedEntry, Store};

use crate::fixture::{at, id, workspace};

fn entry(of: &str, second: i64, subject: Option<ProfileId>) -> AuditEntry {
    let call = AuditedCall {
        workspace: workspace(of),
        principal: "key:k1".into(),
        method: "rapport.v1.ProfileService/GetProfile".into(),
        subject,
        purpose: "service".into(),
        status: 0,
    };
    AuditEntry { time: at(second), call, count: 1 }
}

fn everything(of: &str) -> AuditQuery {
    AuditQuery { workspace: workspace(of), subjects: Vec::new(), start: None, end: None, before: None, limit: 7 }
}

/// The times of all entries that are asked for, page by page, and how many pages there were.
async fn seconds(store: &dyn Store, mut query: AuditQuery) -> (Vec<i64>, usize) {
    let (mut found, mut pages) = (Vec::<NumberedEntry>::new(), 0);
    loop {
        let page = store.audit_entries(query.clone()).await.expect("read");
        assert!(page.entries.len() <= query.limit);
        assert!(page.entries.iter().all(|entry| entry.entry.call.workspace == query.workspace));
        found.extend(page.entries);
        pages += 1;
        match page.next {
            Some(next) => query.before = Some(next),
            None => break,
        }
    }
    assert!(found.is_sorted_by(|one, next| one.number > next.number), "the last one first, each once");
    (found.iter().map(|found| found.entry.time.as_micros() / 1_000_000).collect(), pages)
}

pub(crate) async fn an_empty_audit_log_is_read_as_such(store: &dyn Store) {
    assert_eq!(seconds(store, everything("acme")).await, (Vec::new(), 1));
    store.append_audit(Vec::new()).await.expect("nothing to do");
    assert_eq!(seconds(store, everything("acme")).await, (Vec::new(), 1));
}

pub(crate) async fn the_audit_log_is_read_from_its_end_and_only_of_its_workspace(store: &dyn Store) {
    let offset = at(0).as_micros() / 1_000_000;
    for batch in 0..10_i64 {
        let of = |second| if second % 2 == 0 { "acme" } else { "other" };
        let subject = |second: i64| (second % 5 == 0).then(|| id(u8::try_from(second % 3).expect("small")));
        let entries = (batch * 4..batch * 4 + 4).map(|second| entry(of(second), second, subject(second))).collect();
        store.append_audit(entries).await.expect("appended");
    }
    let expected = |seconds: &[i64]| seconds.iter().map(|second| second + offset).collect::<Vec<_>>();
    let even: Vec<i64> = (0..40).rev().filter(|second| second % 2 == 0).collect();
    let (all, pages) = seconds(store, everything("acme")).await;
    assert_eq!((all, pages >= 3), (expected(&even), true), "in pages of seven");
    let subjects = vec![id(0), id(1)];
    let about = AuditQuery { subjects, ..everything("acme") };
    assert_eq!(seconds(store, about).await.0, expected(&[30, 10, 0]), "20 was about another one");
    let (start, end) = (Some(at(10)), Some(at(16)));
    let between = AuditQuery { start, end, ..everything("acme") };
    assert_eq!(seconds(store, between).await.0, expected(&[14, 12, 10]));
    assert_eq!(seconds(store, everything("nobody")).await.0, [0_i64; 0]);
    store.append_audit(vec![entry("acme", 100, None)]).await.expect("appended");
    let newest = store.audit_entries(AuditQuery { limit: 1, ..everything("acme") }).await.expect("read");
    assert_eq!(newest.entries[0].entry, entry("acme", 100, None), "an entry is read as it was written");
    assert_eq!(newest.entries[0].number, 41, "numbers are those of all workspaces");
    store.close().await.expect("closes");
    assert!(matches!(store.append_audit(vec![entry("acme", 1, None)]).await, Err(Error::Closed)));
    assert!(matches!(store.audit_entries(everything("acme")).await, Err(Error::Closed)));
}
