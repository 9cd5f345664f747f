//! Random histories of a workspace keep what we promise about who is who.
//!
//! Each history is played on one store or on both side by side, and beside it on a model that is too simple to be
//! wrong. After every step everything that can be read is compared with the model and held to the promises. A failure
//! names its seed and shrinks to a short history.

mod clock;
mod expiry;
mod history;
mod model;
mod system;
mod writers;

use std::collections::{BTreeMap, BTreeSet};

use proptest::strategy::Strategy;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use rapport::app::CustomerRef;
use rapport::domain::event::{Draft, Event, SentIdentifier};
use rapport::domain::fold;
use rapport::domain::id::{MergeId, ProfileId, Revision};
use rapport::domain::identifier::Identifier;
use rapport::domain::identity_rules::{IdentifierRule, IdentityRules};
use rapport::domain::money::Money;
use rapport::domain::payload::Payload;
use rapport::domain::profile::Profile;
use rapport::domain::time::Timestamp;
use rapport::domain::value::Value;

use history::{Content, NAMES, Sent, Step, Written};
use model::{Fate, Model, Name};
use system::{Answer, Snapshot, System};

/// Histories in one run of the tests, unless the environment says otherwise.
const CASES: u64 = 600;
/// The same where each one opens an embedded store, which waits for the disk.
const EMBEDDED_CASES: u64 = 50;

/// Plays cases of consecutive seeds, so that every one of them can be played alone.
fn for_each_seed<S: Strategy>(cases: u64, strategy: &S, test: impl Fn(S::Value)) {
    let number = |name: &str| std::env::var(name).ok().map(|text| text.parse::<u64>().expect("a number"));
    let cases = number("RAPPORT_SIMULATION_CASES").unwrap_or(cases);
    let first = number("RAPPORT_SIMULATION_SEED").unwrap_or(0);
    for seed in first..first + cases {
        let mut bytes = [0; 32];
        bytes[..8].copy_from_slice(&seed.to_le_bytes());
        let config = Config { failure_persistence: None, max_shrink_iters: 3_000, ..Config::default() };
        let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &bytes);
        let mut runner = TestRunner::new_with_rng(config, rng);
        let case = strategy.new_tree(&mut runner).expect("a case");
        let tested = runner.run_one(case, |case| {
            test(case);
            Ok(())
        });
        if let Err(failure) = tested {
            panic!("seed {seed}: {failure}\nplay it again: RAPPORT_SIMULATION_SEED={seed} RAPPORT_SIMULATION_CASES=1");
        }
    }
}

fn block_on<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime").block_on(work)
}

#[test]
fn random_histories_keep_the_promises() {
    for_each_seed(CASES, &history::history(), |steps| {
        block_on(async { Simulation::new(vec![System::memory().await]).play(&steps).await });
    });
}

#[test]
fn the_stores_agree_and_replay_gives_the_same_bytes() {
    for_each_seed(EMBEDDED_CASES, &history::history(), |steps| {
        block_on(async {
            let systems = vec![System::memory().await, System::embedded().await];
            let mut simulation = Simulation::new(systems);
            simulation.play(&steps).await;
            simulation.step(&Step::Restart { without_index: true }).await;
        });
    });
}

#[test]
fn the_order_of_arrival_changes_nothing_of_a_customer() {
    use proptest::prelude::*;
    let strategy = history::of_one_customer().prop_flat_map(|events| (Just(events.len()), Just(events))).prop_flat_map(
        |(count, events)| (Just(events), Just((0..count).collect::<Vec<_>>()).prop_shuffle(), 1..5_usize),
    );
    for_each_seed(CASES, &strategy, |(events, order, batch)| {
        block_on(async {
            let straight = System::memory().await;
            let drafts = of_one_customer(&events, straight.advance());
            for draft in &drafts {
                straight.ingest(std::slice::from_ref(draft)).await;
            }
            let shuffled = System::memory().await;
            shuffled.advance();
            let in_order: Vec<Draft> = order.iter().map(|number| drafts[*number].clone()).collect();
            for drafts in in_order.chunks(batch) {
                shuffled.ingest(drafts).await;
            }
            let only = |snapshot: Snapshot| {
                assert_eq!(snapshot.profiles.len(), 1);
                let profile = snapshot.profiles.into_values().next().expect("one");
                bytes(&(&profile.parts[0].identifiers, &profile.state))
            };
            assert_eq!(only(straight.snapshot().await), only(shuffled.snapshot().await));
        });
    });
}

/// Events of one user, each with an identifier of its own.
fn of_one_customer(events: &[Content], now: Timestamp) -> Vec<Draft> {
    let draft = |(number, content): (usize, &Content)| {
        let mut draft = content.draft(format!("event-{number}"), now);
        draft.identifiers.push(SentIdentifier { kind: "device_id".into(), value: format!("device-{number}").into() });
        draft
    };
    events.iter().enumerate().map(draft).collect()
}

/// A history as it goes on: the systems under test, and the model beside them.
struct Simulation {
    systems: Vec<System>,
    model: Model,
    sent: Vec<Draft>,
    /// Everything there was after the last step.
    before: Snapshot,
    /// Whether a customer was ever allowed several user ids by rule.
    several_users: bool,
}

impl Simulation {
    fn new(systems: Vec<System>) -> Self {
        let (model, sent, before) = Default::default();
        Self { systems, model, sent, before, several_users: false }
    }

    async fn play(&mut self, steps: &[Step]) {
        for step in steps {
            self.step(step).await;
        }
    }

    async fn step(&mut self, step: &Step) {
        let mut now = Timestamp::MIN;
        self.systems.iter().for_each(|system| now = system.advance());
        match step {
            Step::Ingest(batch) => self.ingest(batch, now).await,
            Step::Merge { target, sources, regret } => self.merge(*target, sources, *regret).await,
            Step::Unmerge(which) => self.unmerge(*which).await,
            Step::Rules { limits, blocked } => self.set_rules(limits, *blocked).await,
            Step::Restart { without_index } => self.restart(*without_index).await,
        }
        self.check().await;
    }

    async fn ingest(&mut self, batch: &[Sent], now: Timestamp) {
        let mut drafts = Vec::with_capacity(batch.len());
        for sent in batch {
            let earlier = |which: usize, sent: &[Draft]| (!sent.is_empty()).then(|| sent[which % sent.len()].clone());
            let new_id = format!("event-{}", self.sent.len());
            let draft = match sent {
                Sent::New(content) => content.draft(new_id, now),
                Sent::Again(which) => match earlier(*which, &self.sent) {
                    Some(draft) => Draft { sent_time: draft.sent_time.map(|_| now), ..draft },
                    None => continue,
                },
                Sent::UnderTheNameOf(which, content) => {
                    let id = earlier(*which, &self.sent).map_or(new_id, |draft| draft.event_id.to_string());
                    content.draft(id, now)
                }
            };
            self.sent.push(draft.clone());
            drafts.push(draft);
        }
        let fates: Vec<Fate> = drafts.iter().map(|draft| self.model.ingest(draft, now)).collect();
        let answers = self.on_all(async |system| system.ingest(&drafts).await).await;
        self.learn_ids().await;
        assert_eq!(answers.len(), fates.len());
        for (fate, answer) in fates.into_iter().zip(answers) {
            match (fate, &answer) {
                (Fate::Accepted(part), Answer::Accepted(id)) | (Fate::Duplicate(part), Answer::Duplicate(id)) => {
                    assert_eq!(*id, self.model.id(part), "the event is another customer's: {fate:?}");
                }
                (Fate::Rejected, Answer::Rejected(_)) => {}
                _ => panic!("expected {fate:?}, but the server said {answer:?}"),
            }
        }
    }

    async fn merge(&mut self, target: usize, sources: &[usize], regret: bool) {
        let count = self.model.count();
        if count == 0 {
            return;
        }
        let (target, sources) = (target % count, sources.iter().map(|part| part % count).collect::<Vec<_>>());
        let ids: Vec<ProfileId> = sources.iter().map(|part| self.model.ids[*part]).collect();
        let target_id = self.model.ids[target];
        let survivor = self.model.id(target);
        let expected = self.model.merge(target, &sources);
        let answer = self.on_all(async |system| system.merge(target_id, &ids).await).await;
        match expected {
            Ok(()) => assert_eq!(answer, Answer::Profiles(vec![survivor])),
            Err(refused) => assert!(matches!(answer, Answer::Rejected(_)), "expected {refused:?}, got {answer:?}"),
        }
        self.learn_ids().await;
        if expected.is_err() || !regret {
            return;
        }
        self.undo(self.model.merges.len() - 1).await;
        let after = self.systems[0].snapshot().await;
        assert_eq!(after.profiles.keys().collect::<Vec<_>>(), self.before.profiles.keys().collect::<Vec<_>>());
        for (id, profile) in &after.profiles {
            let as_it_was = bytes(&lasting(&self.before.profiles[id]));
            assert_eq!(bytes(&lasting(profile)), as_it_was, "a merge and its end left a trace on {id}");
        }
        assert_eq!(after.timelines, self.before.timelines);
    }

    async fn unmerge(&mut self, which: usize) {
        if !self.model.merges.is_empty() {
            self.undo(which % self.model.merges.len()).await;
        }
    }

    async fn undo(&mut self, merge: usize) {
        let id = self.model.merges[merge];
        let whole =
            self.model.links.iter().find(|(of, ..)| *of == merge).map(|(_, part, _)| self.model.customer(*part));
        let was_live = self.model.unmerge(merge);
        let answer = self.on_all(async |system| system.unmerge(id).await).await;
        let Some(whole) = whole.filter(|_| was_live) else {
            assert!(matches!(answer, Answer::Rejected(_)), "undone twice: {answer:?}");
            return;
        };
        let named: BTreeSet<usize> = whole.iter().map(|part| self.model.named(*part)).collect();
        let Answer::Profiles(ids) = answer else { panic!("not undone: {answer:?}") };
        assert_eq!(ids.iter().collect::<BTreeSet<_>>(), named.iter().map(|part| &self.model.ids[*part]).collect());
        assert_eq!(ids[0], self.model.ids[whole[0]], "the one that keeps the present id comes first");
    }

    async fn set_rules(&mut self, limits: &[(usize, u32)], blocked: Option<Written>) {
        let limits: BTreeMap<&'static str, u32> = limits.iter().map(|(row, limit)| (NAMES[*row].0, *limit)).collect();
        let blocked: Option<Name> = blocked.and_then(|(row, column)| Some((NAMES[row].0, NAMES[row].1[column].1?)));
        let kinds: BTreeSet<&'static str> = limits.keys().copied().chain(blocked.map(|(kind, _)| kind)).collect();
        let rule = |kind: &str| {
            let default = IdentifierRule::default_of(kind);
            let blocked_values = blocked.iter().filter(|(of, _)| *of == kind).map(|(_, value)| (*value).to_owned());
            let limit = limits.get(kind).copied().unwrap_or(default.limit);
            IdentifierRule { limit, blocked_values: blocked_values.collect(), ..default }
        };
        let rules = IdentityRules { rules: kinds.into_iter().map(rule).collect() };
        self.on_all(async |system| system.set_rules(rules.clone()).await).await;
        self.several_users |= limits.get("user_id").is_some_and(|limit| *limit > 1);
        self.model.set_rules(limits.into_iter().map(|(kind, limit)| (kind, limit as usize)).collect(), blocked);
    }

    async fn restart(&mut self, without_index: bool) {
        for system in std::mem::take(&mut self.systems) {
            self.systems.push(system.restart(without_index).await);
        }
        for system in &self.systems {
            assert_eq!(system.snapshot().await, self.before, "a restart changed something");
        }
    }

    /// Does the same on every system, which must say the same.
    async fn on_all<T: PartialEq + std::fmt::Debug>(&self, act: impl AsyncFn(&System) -> T) -> T {
        let first = act(&self.systems[0]).await;
        for other in &self.systems[1..] {
            assert_eq!(act(other).await, first, "the stores disagree");
        }
        first
    }

    /// Tells the model the ids of what is new. Ids rise in the order in which they are made.
    async fn learn_ids(&mut self) {
        let snapshot = self.systems[0].snapshot().await;
        let known: BTreeSet<ProfileId> = self.model.ids.iter().copied().collect();
        let parts = snapshot.profiles.values().flat_map(|profile| &profile.parts).map(|part| part.id);
        self.model.ids.extend(parts.collect::<BTreeSet<_>>().difference(&known));
        assert_eq!(self.model.ids.len(), self.model.count(), "as many parts as there should be");
        let known: BTreeSet<MergeId> = self.model.merges.iter().copied().collect();
        self.model.merges.extend(snapshot.merges.keys().filter(|merge| !known.contains(merge)));
        assert_eq!(self.model.merges.len(), self.model.undone.len(), "as many merges as there should be");
    }

    /// Holds everything that can be read to the promises.
    async fn check(&mut self) {
        let snapshot = self.systems[0].snapshot().await;
        for other in &self.systems[1..] {
            assert_eq!(other.snapshot().await, snapshot, "the stores disagree");
        }
        self.check_identifiers(&snapshot).await;
        self.check_events(&snapshot);
        self.check_against_the_model(&snapshot);
        self.check_limits(&snapshot);
        self.check_users(&snapshot);
        snapshot.profiles.values().for_each(|profile| check_state(profile, &snapshot.timelines[&profile.id]));
        self.check_ids().await;
        self.before = snapshot;
    }

    /// Every identifier has one owner, who is found by it.
    async fn check_identifiers(&self, snapshot: &Snapshot) {
        let mut owners: BTreeMap<&Identifier, ProfileId> = BTreeMap::new();
        for profile in snapshot.profiles.values() {
            for identifier in profile.identifiers() {
                let other = owners.insert(identifier, profile.id);
                assert_eq!(other, None, "a {} has two owners", identifier.kind());
            }
        }
        for (kind, values) in NAMES {
            for name in values.iter().filter_map(|(_, normal)| *normal) {
                let identifier = Identifier::parse(kind, name).expect("well-formed");
                let owner = owners.get(&identifier).copied();
                let found =
                    self.on_all(async |system| system.find(CustomerRef::Identifier(identifier.clone())).await).await;
                assert_eq!(found, owner, "{kind} {name} leads to somebody else");
            }
        }
    }

    /// Every accepted event is in exactly one timeline.
    fn check_events(&self, snapshot: &Snapshot) {
        let id = |event: &Event| (event.key.source.clone(), event.key.event_id.clone());
        let mut listed: Vec<_> = snapshot.timelines.values().flatten().map(id).collect();
        let mut accepted: Vec<_> =
            self.model.events.iter().map(|(draft, _)| (draft.source.clone(), draft.event_id.clone())).collect();
        listed.sort();
        accepted.sort();
        assert_eq!(listed, accepted, "an event was lost or doubled");
    }

    /// Who is who, to the last part.
    fn check_against_the_model(&self, snapshot: &Snapshot) {
        let ids = |parts: &[usize]| parts.iter().map(|part| self.model.ids[*part]).collect::<Vec<_>>();
        let mut expected: Vec<Vec<ProfileId>> = self.model.customers().iter().map(|parts| ids(parts)).collect();
        expected.sort();
        let parts_of = |profile: &Profile| profile.parts.iter().map(|part| part.id).collect::<Vec<_>>();
        let mut found: Vec<Vec<ProfileId>> = snapshot.profiles.values().map(parts_of).collect();
        found.sort();
        assert_eq!(found, expected, "customers are made of other parts");
        for part in snapshot.profiles.values().flat_map(|profile| &profile.parts) {
            let number = self.model.ids.iter().position(|id| *id == part.id).expect("known");
            let owned = part.identifiers.iter().map(|owned| {
                ((owned.identifier.kind().to_owned(), owned.identifier.value().to_owned()), owned.authenticated)
            });
            let expected = self.model.owners.iter().filter(|(_, (of, _))| *of == number);
            let expected =
                expected.map(|((kind, value), (_, seen))| (((*kind).to_owned(), (*value).to_owned()), *seen));
            assert_eq!(owned.collect::<Vec<_>>(), expected.collect::<Vec<_>>(), "a part owns something else");
            let mut events: Vec<&str> =
                snapshot.by_part[&part.id].iter().map(|event| event.key.event_id.as_str()).collect();
            let of_part = self.model.events.iter().filter(|(_, of)| *of == number);
            let mut expected: Vec<&str> = of_part.map(|(draft, _)| draft.event_id.as_str()).collect();
            events.sort_unstable();
            expected.sort_unstable();
            assert_eq!(events, expected, "a part has other events");
        }
        assert_eq!(snapshot.merges.len(), self.model.merges.len(), "a merge is listed with none of its customers");
        for (merge, record) in &snapshot.merges {
            let number = self.model.merges.iter().position(|id| id == merge).expect("known");
            assert_eq!(record.undo_time.is_some(), self.model.undone[number], "a merge's end is told wrongly");
        }
    }

    /// Nobody gets more of a type than the rules allow. What somebody had they keep, and an operator may give a
    /// customer several user ids.
    fn check_limits(&self, snapshot: &Snapshot) {
        let count = |profile: &Profile, kind: &str| profile.identifiers().iter().filter(|i| i.kind() == kind).count();
        for profile in snapshot.profiles.values() {
            let was_part = |earlier: &&Profile| profile.parts.iter().any(|part| part.id == earlier.id);
            let earlier: Vec<&Profile> = self.before.profiles.values().filter(was_part).collect();
            for (kind, _) in NAMES {
                let had = earlier.iter().map(|profile| count(profile, kind));
                // All users of those who became one, if one of the merges is an operator's.
                let by_operator = profile.links.iter().any(|link| self.is_operators(link.merge));
                let had = if kind == "user_id" && by_operator { had.sum() } else { had.max().unwrap_or(0) };
                // Who falls apart takes what the whole had.
                let whole = self.before.profiles.values().find(|whole| {
                    whole.parts.len() > profile.parts.len() && whole.parts.iter().any(|part| part.id == profile.id)
                });
                let had = had.max(whole.map_or(0, |whole| count(whole, kind)));
                let limit = self.model.limit(kind);
                assert!(count(profile, kind) <= limit.max(had), "{} has too many of {kind}", profile.id);
            }
        }
    }

    fn is_operators(&self, merge: MergeId) -> bool {
        self.model.merges.iter().position(|id| *id == merge).is_some_and(|number| self.model.by_operator[number])
    }

    /// What events alone have joined never has two user ids.
    fn check_users(&self, snapshot: &Snapshot) {
        if self.several_users {
            return;
        }
        for profile in snapshot.profiles.values() {
            let mut groups: Vec<BTreeSet<ProfileId>> = profile.parts.iter().map(|part| [part.id].into()).collect();
            for link in profile.links.iter().filter(|link| !self.is_operators(link.merge)) {
                let (joined, others) = groups
                    .into_iter()
                    .partition::<Vec<_>, _>(|group| group.contains(&link.source) || group.contains(&link.target));
                groups = others;
                groups.push(joined.into_iter().flatten().collect());
            }
            for group in groups {
                let of_group = profile.parts.iter().filter(|part| group.contains(&part.id));
                let users = of_group.flat_map(|part| &part.identifiers);
                let users = users.filter(|owned| owned.identifier.kind() == "user_id").count();
                assert!(users <= 1, "events alone made one customer of {users} users");
            }
        }
    }

    /// Every id that was ever handed out leads to the customer of today.
    async fn check_ids(&self) {
        for (part, id) in self.model.ids.iter().enumerate() {
            let found = self.on_all(async |system| system.find(CustomerRef::Profile(*id)).await).await;
            assert_eq!(found, Some(self.model.id(part)), "an id leads to somebody else");
        }
    }
}

/// The state is what the timeline adds up to: by our own fold, and counted here by hand.
fn check_state(profile: &Profile, timeline: &[Event]) {
    assert_eq!(bytes(&profile.state), bytes(&fold::refold(timeline)), "the state is not that of the timeline");
    assert_eq!(profile.state.activity.events(), timeline.len() as u64);
    let mut by_time: Vec<&Event> = timeline.iter().collect();
    by_time.sort_by_key(|event| (event.times.event, &event.key.source, &event.key.event_id));
    let (mut plan, mut net) = (None, Money::ZERO.as_units());
    for event in by_time {
        match &event.payload {
            Payload::Identify(identify) => match &identify.traits["plan"] {
                Value::Null => plan = None,
                Value::Text(text) if text.is_empty() => {}
                value => plan = Some(value),
            },
            Payload::Purchase(purchase) if purchase.refund => net -= purchase.revenue.as_units(),
            Payload::Purchase(purchase) => net += purchase.revenue.as_units(),
            _ => {}
        }
    }
    assert_eq!(profile.state.traits.get("plan").map(|stated| &stated.value), plan);
    let total: f64 = profile.state.purchases.totals.values().map(|totals| totals.net().as_units()).sum();
    assert!((total - net).abs() < 1e-6, "{total} is not {net}");
}

/// What of a profile a write and its undoing must not change.
fn lasting(profile: &Profile) -> Profile {
    Profile { revision: Revision::default(), update_time: Timestamp::MIN, ..profile.clone() }
}

fn bytes(value: &impl serde::Serialize) -> Vec<u8> {
    postcard::to_allocvec(value).expect("encodes")
}
