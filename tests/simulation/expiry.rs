//! History that expires in the middle of everything else changes nobody, whatever became of whom, and replay gives the
//! same bytes.

use std::collections::BTreeSet;
use std::time::Duration;

use proptest::prelude::*;
use rapport::domain::event::Draft;
use rapport::domain::id::{MergeId, ProfileId};
use rapport::domain::profile::Profile;

use super::history::{Sent, Step, history};
use super::system::{Answer, Snapshot, System};
use super::{EMBEDDED_CASES, block_on, bytes, for_each_seed};

/// Steps after each of which history expires.
const STEPS_BETWEEN: usize = 4;

#[test]
fn history_that_expires_changes_nobody_and_the_stores_agree() {
    let strategy = (history(), prop::collection::vec(0..30_u64, 1..4));
    for_each_seed(EMBEDDED_CASES, &strategy, |(steps, days_kept)| {
        block_on(async {
            let mut played = Played::new().await;
            for (number, step) in steps.iter().enumerate() {
                played.step(step).await;
                if number % STEPS_BETWEEN == STEPS_BETWEEN - 1 {
                    played.expire(days_kept[number / STEPS_BETWEEN % days_kept.len()]).await;
                }
            }
            played.expire(0).await;
            played.step(&Step::Restart { without_index: true }).await;
        });
    });
}

/// A history on all stores side by side. There is no model: what is right without expiry is shown elsewhere.
struct Played {
    systems: Vec<System>,
    sent: Vec<Draft>,
    ids: BTreeSet<ProfileId>,
    merges: BTreeSet<MergeId>,
    /// Events that were accepted.
    accepted: u64,
}

impl Played {
    async fn new() -> Self {
        let systems = vec![System::memory().await, System::embedded().await];
        Self { systems, sent: Vec::new(), ids: BTreeSet::new(), merges: BTreeSet::new(), accepted: 0 }
    }

    async fn step(&mut self, step: &Step) {
        let now = self.systems.iter().map(System::advance).max().expect("a system");
        match step {
            Step::Ingest(batch) => {
                for sent in batch {
                    let number = self.sent.len();
                    self.sent.push(match sent {
                        Sent::New(content) | Sent::UnderTheNameOf(_, content) => {
                            content.draft(format!("event-{number}"), now)
                        }
                        Sent::Again(which) if number > 0 => self.sent[which % number].clone(),
                        Sent::Again(_) => continue,
                    });
                }
                let drafts = self.sent[self.sent.len().saturating_sub(batch.len())..].to_vec();
                let answers = self.answer(async |system| system.ingest(&drafts).await).await;
                let is_accepted = |answer: &&Answer| matches!(answer, Answer::Accepted(_));
                self.accepted += answers.iter().filter(is_accepted).count() as u64;
            }
            Step::Merge { target, sources, .. } => {
                let ids: Vec<ProfileId> = self.ids.iter().copied().collect();
                if !ids.is_empty() {
                    let sources: Vec<_> = sources.iter().map(|source| ids[source % ids.len()]).collect();
                    self.answer(async |system| vec![system.merge(ids[target % ids.len()], &sources).await]).await;
                }
            }
            Step::Unmerge(which) => {
                if let Some(merge) = self.merges.iter().copied().nth(which % self.merges.len().max(1)) {
                    self.answer(async |system| vec![system.unmerge(merge).await]).await;
                }
            }
            Step::Rules { .. } => {}
            Step::Restart { without_index } => {
                for system in std::mem::take(&mut self.systems) {
                    self.systems.push(system.restart(*without_index).await);
                }
            }
        }
        self.snapshot().await;
    }

    /// Does the same on all, which must answer the same.
    async fn answer(&self, work: impl AsyncFn(&System) -> Vec<Answer>) -> Vec<Answer> {
        let mut answers = Vec::new();
        for system in &self.systems {
            answers.push(work(system).await);
        }
        assert!(answers.windows(2).all(|pair| pair[0] == pair[1]), "{answers:?}");
        answers.pop().unwrap_or_default()
    }

    /// Everything there is, which is the same on all.
    async fn snapshot(&mut self) -> Snapshot {
        let mut snapshots = Vec::new();
        for system in &self.systems {
            snapshots.push(system.snapshot().await);
        }
        assert!(snapshots.windows(2).all(|pair| pair[0] == pair[1]), "{snapshots:#?}");
        let snapshot = snapshots.pop().expect("a system");
        let counted: u64 = snapshot.profiles.values().map(|profile| profile.state.activity.events()).sum();
        assert_eq!(counted, self.accepted, "an event is lost, or counts twice");
        self.ids.extend(snapshot.profiles.values().flat_map(|profile| &profile.parts).map(|part| part.id));
        self.merges.extend(snapshot.merges.keys());
        snapshot
    }

    async fn expire(&mut self, days: u64) {
        let before = self.snapshot().await;
        for system in &self.systems {
            // So that merges come of age too.
            system.shift(1);
            system.app.expire_history(Duration::from_secs(days * 86_400)).await.expect("expires");
        }
        let after = self.snapshot().await;
        let said = |snapshot: &Snapshot| {
            let said =
                |profile: &Profile| (profile.id, profile.update_time, profile.parts.clone(), bytes(&profile.state));
            snapshot.profiles.values().map(said).collect::<Vec<_>>()
        };
        assert_eq!(said(&after), said(&before), "expiring changed somebody");
    }
}
