//! What group commit costs: the store's durable throughput beside a bare loop of append and fdatasync of the same bytes.
//!
//! ```text
//! cargo bench --bench journal              # in the system's temporary directory
//! cargo bench --bench journal -- DIRECTORY # on the disk that matters
//! ```
//!
//! Callers keep committing; the store makes those that wait durable together. The loop then writes exactly as many
//! bytes in exactly as many syncs: it is the floor under any store that syncs as often. A second loop that syncs after
//! every commit shows what a store without groups could reach. Rounds alternate, so that a disk whose mood changes
//! changes it for all. Commits of records show the journal and its groups alone: a record is a document of about as many
//! bytes as an event, which nobody looks at. Commits of events create a customer for each besides, index and all; deciding
//! whose an event is, is not in them.

#![expect(clippy::disallowed_methods, reason = "a benchmark reads the clock")]

use std::convert::Infallible;
use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rapport::domain::event::{Event, EventKey, EventTimes};
use rapport::domain::fact::{Document, EventFact, Fact};
use rapport::domain::history::History;
use rapport::domain::id::{ProfileId, WorkspaceId};
use rapport::domain::identifier::Identifier;
use rapport::domain::payload::{Payload, Track};
use rapport::domain::profile::Profile;
use rapport::domain::projection::{self, Before, Projection};
use rapport::domain::rejection::{EventRejection, Rejection, Rejections};
use rapport::domain::time::Timestamp;
use rapport::domain::value::Map;
use rapport::store::embedded::{EmbeddedStore, Options};
use rapport::store::{Commit, CommitStore, Precondition, Store};
use tokio::task::JoinSet;
use uuid::Uuid;

const ROUNDS: u32 = 3;
/// Events of one measurement.
const EVENTS: usize = 24_000;
/// Commits that the loop without groups writes; it would take too long for all.
const UNGROUPED: usize = 500;

/// Who commits what.
#[derive(Clone, Copy)]
struct Load {
    what: What,
    callers: usize,
    /// Events, or records.
    per_commit: usize,
}

/// What is committed.
#[derive(Clone, Copy)]
enum What {
    /// Documents, one after the other.
    Records,
    /// Events, each of a customer whom nobody knows yet.
    Events,
}

/// One measurement.
#[derive(Default)]
struct Measured {
    store: Duration,
    bare: Duration,
    ungrouped_per_commit: Duration,
    commits: usize,
    groups: u64,
    bytes: u64,
}

fn main() -> anyhow::Result<()> {
    // cargo passes a flag of its own.
    let directory = std::env::args().skip(1).find(|argument| argument != "--bench").map(PathBuf::from);
    let directory = directory.unwrap_or_else(std::env::temp_dir);
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    println!("what     callers  per commit  commits/sync  store per s  bare per s  ratio  one sync per commit per s");
    for what in [What::Records, What::Events] {
        for (callers, per_commit) in [(1, 1), (16, 1), (64, 1), (512, 1), (4, 100), (16, 100)] {
            let load = Load { what, callers, per_commit };
            let mut sum = Measured::default();
            for _ in 0..ROUNDS {
                sum.add(&runtime.block_on(measure(&directory, load))?);
            }
            sum.print(load);
        }
    }
    Ok(())
}

async fn measure(directory: &Path, load: Load) -> anyhow::Result<Measured> {
    let home = tempfile::tempdir_in(directory)?;
    let store = Arc::new(EmbeddedStore::open(Options::new(home.path().join("store"), [1; 16]))?);
    // A single caller waits for the disk every time, and needs fewer turns to show it.
    let commits = EVENTS / load.per_commit / if load.callers == 1 { 12 } else { 1 };
    let mut shares: Vec<Vec<Commit>> = (0..load.callers).map(|_| Vec::new()).collect();
    for number in 0..commits {
        shares[number % load.callers].push(match load.what {
            What::Records => record(number, load.per_commit),
            What::Events => commit(number, load.per_commit)?,
        });
    }
    let began = Instant::now();
    let mut callers = JoinSet::new();
    for share in shares {
        let store = Arc::clone(&store);
        callers.spawn(async move {
            for commit in share {
                store.commit(commit).await?;
            }
            Ok::<(), rapport::store::Error>(())
        });
    }
    for result in callers.join_all().await {
        result?;
    }
    let took = began.elapsed();
    let statistics = store.statistics();
    store.close().await?;
    let (groups, bytes) = (statistics.groups, statistics.bytes);
    let bare = append_and_sync(&home.path().join("bare"), groups, bytes)?;
    let few = (UNGROUPED.min(commits)) as u64;
    let ungrouped = append_and_sync(&home.path().join("ungrouped"), few, bytes / commits as u64 * few)?;
    let ungrouped_per_commit = ungrouped / u32::try_from(few)?;
    Ok(Measured { store: took, bare, ungrouped_per_commit, commits, groups, bytes })
}

/// Writes so many bytes in so many equal parts, each durable before the next.
fn append_and_sync(path: &Path, parts: u64, bytes: u64) -> anyhow::Result<Duration> {
    let mut file = File::create(path)?;
    let part = vec![0x5a; usize::try_from(bytes / parts)?];
    let began = Instant::now();
    for _ in 0..parts {
        file.write_all(&part)?;
        file.sync_data()?;
    }
    Ok(began.elapsed())
}

/// A commit of documents that nobody has read.
fn record(number: usize, documents: usize) -> Commit {
    let time = Timestamp::from_micros(1_700_000_000_000_000 + number as i64);
    let document = |position: usize| {
        let unique = (number * documents + position) as u128;
        let fields = vec!["events[0].identifiers: what was wrong with this one, in so many words".to_owned()];
        let refused =
            Rejection::of_event("bench", &format!("event-{unique:012}"), EventRejection::InvalidField, fields);
        Fact::Document(Document::Rejections(Rejections::new(time, Uuid::from_u128(unique), vec![refused])))
    };
    let facts = (0..documents).map(document).collect();
    let (workspace, projection) = (WorkspaceId::default_workspace(), Projection::default());
    Commit { workspace, time, preconditions: Vec::new(), read_at: None, facts, projection }
}

/// A commit of events of customers that nobody knows yet, with the preconditions that a decision names.
fn commit(number: usize, events: usize) -> anyhow::Result<Commit> {
    let (mut facts, mut preconditions) = (Vec::new(), Vec::new());
    let time = Timestamp::from_micros(1_700_000_000_000_000 + number as i64);
    for position in 0..events {
        let unique = (number * events + position) as u128;
        // Spread like random ids, and the same in every run.
        let id = ProfileId::from_bytes(unique.wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835).to_be_bytes());
        let user = Identifier::parse("user_id", &format!("customer-{unique}"))?;
        let event = event(unique, time);
        preconditions.push(Precondition::Profile(id, None));
        preconditions.push(Precondition::Owner(user.clone(), None));
        preconditions.push(Precondition::EventAbsent(event.key.clone()));
        let (claims, (released, authenticated, demoted)) = (vec![user], Default::default());
        facts.push(Fact::Event(EventFact {
            profile: id,
            creates: false,
            part: id,
            event,
            claims,
            released,
            authenticated,
            demoted,
        }));
    }
    let projection = projection::project(&facts, time, &mut Nobody).unwrap_or_else(|never| match never {});
    Ok(Commit { workspace: WorkspaceId::default_workspace(), time, preconditions, read_at: None, facts, projection })
}

fn event(number: u128, time: Timestamp) -> Event {
    Event {
        key: EventKey { source: "bench".into(), event_id: format!("event-{number:012}").into() },
        identifiers: Vec::new(),
        times: EventTimes { original: Some(time), sent: Some(time), received: time, event: time, clamped: false },
        channel: "web".into(),
        source_priority: 0,
        touchpoint: "checkout".into(),
        payload: Payload::Track(Track { name: "order_viewed".into(), properties: Map::new() }),
    }
}

struct Nobody;

impl Before for Nobody {
    type Error = Infallible;

    fn profile(&mut self, _: ProfileId) -> Result<Option<Profile>, Infallible> {
        Ok(None)
    }

    fn history(&self, _: ProfileId) -> Result<History, Infallible> {
        Ok(History::default())
    }
}

impl Measured {
    fn add(&mut self, other: &Self) {
        self.store += other.store;
        self.bare += other.bare;
        self.ungrouped_per_commit += other.ungrouped_per_commit;
        self.commits += other.commits;
        self.groups += other.groups;
        self.bytes += other.bytes;
    }

    fn print(&self, load: Load) {
        let events = (self.commits * load.per_commit) as f64;
        let per_second = |duration: Duration| events / duration.as_secs_f64();
        let ungrouped = f64::from(ROUNDS) * load.per_commit as f64 / self.ungrouped_per_commit.as_secs_f64();
        println!(
            "{:7}  {:7}  {:10}  {:12.1}  {:11.0}  {:10.0}  {:5.2}  {:25.0}",
            match load.what {
                What::Records => "records",
                What::Events => "events",
            },
            load.callers,
            load.per_commit,
            self.commits as f64 / self.groups as f64,
            per_second(self.store),
            per_second(self.bare),
            self.bare.as_secs_f64() / self.store.as_secs_f64(),
            ungrouped,
        );
    }
}
