//! Who is who, told as simply as possible: flat lists of parts, of links between them, and of who owns which name. A
//! customer is whatever the links that still hold connect. No store, no index, no folding, and nothing is ever moved.

use std::collections::{BTreeMap, BTreeSet};

use rapport::domain::event::Draft;
use rapport::domain::id::{MergeId, ProfileId};
use rapport::domain::time::Timestamp;

use super::history::NAMES;

/// A type and a value in its normal form.
pub(crate) type Name = (&'static str, &'static str);

/// The number of a part, in the order of their creation.
pub(crate) type PartNo = usize;

/// The whole world.
#[derive(Default)]
pub(crate) struct Model {
    /// When each part came to be.
    created: Vec<Timestamp>,
    /// The server's ids of the parts, as far as they are known.
    pub(crate) ids: Vec<ProfileId>,
    /// Who owns which name, and for a device when its user was last seen on it.
    pub(crate) owners: BTreeMap<Name, (PartNo, Option<Timestamp>)>,
    /// The accepted events and the part of each.
    pub(crate) events: Vec<(Draft, PartNo)>,
    /// Number of the merge, a part of the side that stayed, and one of the side that joined.
    pub(crate) links: Vec<(usize, PartNo, PartNo)>,
    /// The server's ids of the merges, as far as they are known.
    pub(crate) merges: Vec<MergeId>,
    /// Whether each merge was undone.
    pub(crate) undone: Vec<bool>,
    /// Whether each merge was an operator's.
    pub(crate) by_operator: Vec<bool>,
    limits: BTreeMap<&'static str, usize>,
    blocked: BTreeSet<Name>,
}

/// What should become of an event; the part tells whose it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fate {
    Accepted(PartNo),
    Duplicate(PartNo),
    Rejected,
}

/// Why an operator's merge should be refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refused {
    SameCustomer,
    Limit,
}

const USER: &str = "user_id";

fn is_device(name: &Name) -> bool {
    ["device_id", "anonymous_id"].contains(&name.0)
}

fn priority(kind: &str) -> usize {
    ["user_id", "crm:x", "email", "phone", "device_id", "anonymous_id"].iter().position(|k| *k == kind).expect("known")
}

impl Model {
    /// The customers: the parts of each, the one first that names it.
    pub(crate) fn customers(&self) -> Vec<Vec<PartNo>> {
        let mut customers: Vec<Vec<PartNo>> = (0..self.created.len()).map(|part| vec![part]).collect();
        for (_, target, source) in &self.links {
            let target = customers.iter().position(|parts| parts.contains(target)).expect("a part of somebody");
            let source = customers.iter().position(|parts| parts.contains(source)).expect("a part of somebody");
            assert_ne!(target, source, "links form no circle");
            let joined = std::mem::take(&mut customers[source]);
            customers[target].extend(joined);
        }
        customers.retain(|parts| !parts.is_empty());
        customers
    }

    /// The customer that a part belongs to.
    pub(crate) fn customer(&self, part: PartNo) -> Vec<PartNo> {
        self.customers().into_iter().find(|parts| parts.contains(&part)).expect("every part is somebody's")
    }

    /// The part that names the customer of a part.
    pub(crate) fn named(&self, part: PartNo) -> PartNo {
        self.customer(part)[0]
    }

    /// The server's id of the customer of a part.
    pub(crate) fn id(&self, part: PartNo) -> ProfileId {
        self.ids[self.named(part)]
    }

    fn names(&self, customer: &[PartNo]) -> BTreeSet<Name> {
        self.owners.iter().filter(|(_, (part, _))| customer.contains(part)).map(|(name, _)| *name).collect()
    }

    pub(crate) fn limit(&self, kind: &str) -> usize {
        let default = if kind == USER {
            1
        } else if priority(kind) > 3 {
            50
        } else {
            5
        };
        self.limits.get(kind).copied().unwrap_or(default)
    }

    pub(crate) fn count(&self) -> usize {
        self.created.len()
    }

    pub(crate) fn set_rules(&mut self, limits: BTreeMap<&'static str, usize>, blocked: Option<Name>) {
        self.limits = limits;
        self.blocked = blocked.into_iter().collect();
    }

    /// Takes an event that comes at `now`.
    pub(crate) fn ingest(&mut self, draft: &Draft, now: Timestamp) -> Fate {
        let is_same = |known: &Draft| known.event_id == draft.event_id && known.source == draft.source;
        if let Some((known, part)) = self.events.iter().find(|(known, _)| is_same(known)) {
            let same = Draft { sent_time: known.sent_time, ..draft.clone() } == *known;
            return if same { Fate::Duplicate(*part) } else { Fate::Rejected };
        }
        let names = self.usable(draft);
        if names.is_empty() {
            return Fate::Rejected;
        }
        let part = self.resolve(names, event_time(draft, now), now);
        self.events.push((draft.clone(), part));
        Fate::Accepted(part)
    }

    /// The names that may say whose event it is, the strongest first.
    fn usable(&self, draft: &Draft) -> Vec<Name> {
        let normal = |kind: &str, value: &str| {
            let (kind, values) = NAMES.iter().find(|(known, _)| *known == kind)?;
            let (_, normal) = values.iter().find(|(written, _)| *written == value)?;
            Some((*kind, (*normal)?))
        };
        let mut names: Vec<Name> =
            draft.identifiers.iter().filter_map(|sent| normal(&sent.kind, &sent.value)).collect();
        names.retain(|name| !self.blocked.contains(name));
        names.sort_by_key(|name| (priority(name.0), *name));
        names.dedup();
        names
    }

    fn resolve(&mut self, candidates: Vec<Name>, time: Timestamp, now: Timestamp) -> PartNo {
        // One name after the other, the strongest first and devices last: what does not go with the others is left out.
        let (mut names, mut moving) = (Vec::new(), Vec::new());
        for name in candidates {
            match self.owners.get(&name) {
                Some((part, seen)) if is_device(&name) && self.is_another_user(*part, &names) => {
                    // A device of another user moves, unless its user was seen on it later.
                    let with = [&names[..], &moving[..], &[name]].concat();
                    if seen.is_none_or(|seen| seen <= time) && self.exceeds(&self.owners_of(&names), &with).is_none() {
                        moving.push(name);
                    }
                }
                _ => {
                    names.push(name);
                    if names.len() + moving.len() > 1 && !self.may_be_one(&names, &moving) {
                        names.pop();
                    }
                }
            }
        }
        let owners = self.owners_of(&names);
        let has_user = names.iter().any(|name| name.0 == USER);
        names.extend(&moving);
        if let [stays, join @ ..] = &owners[..] {
            let pick = |parts: &[PartNo]| self.part_of(parts, &names);
            let merge = self.undone.len();
            let links: Vec<_> = join.iter().map(|joins| (merge, pick(stays), pick(joins))).collect();
            self.add_merge(links, false);
        }
        self.owners.retain(|name, _| !moving.contains(name));
        let part = match owners.first() {
            // The part that owns the strongest name of the customer, or the first of all.
            Some(customer) => {
                let parts = self.customer(customer[0]);
                let owner = |name: &Name| self.owners.get(name).map(|(part, _)| *part);
                names.iter().find_map(owner).filter(|part| parts.contains(part)).unwrap_or(parts[0])
            }
            None => {
                self.created.push(now);
                self.created.len() - 1
            }
        };
        for name in names {
            let (_, seen) = self.owners.entry(name).or_insert((part, None));
            if has_user && is_device(&name) {
                *seen = (*seen).max(Some(time));
            }
        }
        part
    }

    /// The customers that own any of the names; the one that stays first, the others in the order in which they join.
    fn owners_of(&self, names: &[Name]) -> Vec<Vec<PartNo>> {
        let owns = |parts: &Vec<PartNo>| self.names(parts).iter().any(|name| names.contains(name));
        let mut owners: Vec<Vec<PartNo>> = self.customers().into_iter().filter(owns).collect();
        owners.sort_by_key(|parts| {
            let strongest = self.names(parts).iter().map(|name| priority(name.0)).min();
            (strongest, parts.iter().map(|part| self.created[*part]).min(), parts[0])
        });
        owners
    }

    /// Whether the customer of a part has user ids, and none of those among the names, of which there is one.
    fn is_another_user(&self, part: PartNo, names: &[Name]) -> bool {
        let users =
            |names: &mut dyn Iterator<Item = Name>| names.filter(|name| name.0 == USER).collect::<BTreeSet<_>>();
        let theirs = users(&mut self.names(&self.customer(part)).into_iter());
        let named = users(&mut names.iter().copied());
        !named.is_empty() && !theirs.is_empty() && theirs.is_disjoint(&named)
    }

    fn may_be_one(&self, names: &[Name], moving: &[Name]) -> bool {
        let owners = self.owners_of(names);
        let users_of = |names: BTreeSet<Name>| names.into_iter().filter(|name| name.0 == USER).collect::<BTreeSet<_>>();
        let mut users: Vec<BTreeSet<Name>> = owners.iter().map(|parts| users_of(self.names(parts))).collect();
        let claimed = users_of(names.iter().copied().collect());
        if !users.iter().flatten().copied().collect::<BTreeSet<_>>().is_superset(&claimed) {
            users.push(claimed);
        }
        let different = owners.len() > 1 && users.iter().filter(|users| !users.is_empty()).count() > 1;
        !different && self.exceeds(&owners, &[names, moving].concat()).is_none()
    }

    /// A type of which one customer made of these would have more than it may and more than any of them has.
    fn exceeds(&self, customers: &[Vec<PartNo>], added: &[Name]) -> Option<&'static str> {
        let count = |names: &BTreeSet<Name>, kind: &str| names.iter().filter(|name| name.0 == kind).count();
        let had: Vec<BTreeSet<Name>> = customers.iter().map(|parts| self.names(parts)).collect();
        let all: BTreeSet<Name> = had.iter().flatten().chain(added).copied().collect();
        // User ids come last, because an operator may exceed their limit and no other.
        NAMES.iter().rev().map(|(kind, _)| *kind).find(|kind| {
            let most = had.iter().map(|names| count(names, kind)).max().unwrap_or(0);
            count(&all, kind) > self.limit(kind).max(most)
        })
    }

    fn part_of(&self, customer: &[PartNo], names: &[Name]) -> PartNo {
        let owns = |part: &&PartNo| names.iter().any(|name| self.owners.get(name).is_some_and(|(of, _)| of == *part));
        *customer.iter().find(owns).unwrap_or(&customer[0])
    }

    fn add_merge(&mut self, links: Vec<(usize, PartNo, PartNo)>, by_operator: bool) {
        if !links.is_empty() {
            self.links.extend(links);
            self.undone.push(false);
            self.by_operator.push(by_operator);
        }
    }

    /// An operator merges the customers of some parts.
    pub(crate) fn merge(&mut self, target: PartNo, sources: &[PartNo]) -> Result<(), Refused> {
        let customers: Vec<Vec<PartNo>> = sources.iter().chain([&target]).map(|part| self.customer(*part)).collect();
        if customers.iter().collect::<BTreeSet<_>>().len() < customers.len() {
            return Err(Refused::SameCustomer);
        }
        if self.exceeds(&customers, &[]).is_some_and(|kind| kind != USER) {
            return Err(Refused::Limit);
        }
        let (merge, target) = (self.undone.len(), self.named(target));
        let links = sources.iter().map(|source| (merge, target, self.named(*source))).collect();
        self.add_merge(links, true);
        Ok(())
    }

    /// Undoes a merge; `false` when it was undone before.
    pub(crate) fn unmerge(&mut self, merge: usize) -> bool {
        self.links.retain(|(of, ..)| *of != merge);
        !std::mem::replace(&mut self.undone[merge], true)
    }
}

/// When an event happened, by the rule of the contract.
pub(crate) fn event_time(draft: &Draft, received: Timestamp) -> Timestamp {
    let claimed = match (draft.original_time, draft.sent_time) {
        (Some(original), Some(sent)) => received.plus_micros(original.as_micros() - sent.as_micros()),
        (Some(original), None) => original,
        (None, _) => received,
    };
    if claimed.as_micros() - received.as_micros() > 300_000_000 { received } else { claimed }
}
