//! Who is who: which profile an event belongs to.
//!
//! Pure: the caller looks up who owns the event's identifiers, [`resolve`] decides, and the decision is journaled, so
//! that replay applies it and never decides again.

use std::cmp::Ordering;
use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::id::ProfileId;
use super::identifier::Identifier;
use super::profile::Profile;

/// Rules by identifier type.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IdentityRules {
    by_kind: BTreeMap<String, IdentifierRule>,
    crm: IdentifierRule,
    other: IdentifierRule,
    blocked_values: Vec<String>,
}

/// The rule of one identifier type.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IdentifierRule {
    /// How many identifiers of the type one profile may have.
    pub limit: usize,
    /// How much the type says about who it is; 1 is the strongest.
    pub priority: u32,
}

impl Default for IdentityRules {
    fn default() -> Self {
        let kinds = [
            ("user_id", 1, 1),
            ("email", 5, 3),
            ("phone", 5, 4),
            ("loyalty_id", 5, 5),
            ("device_id", 50, 7),
            ("anonymous_id", 50, 8),
        ];
        let by_kind = kinds.map(|(kind, limit, priority)| (kind.to_owned(), IdentifierRule { limit, priority }));
        let blocked = ["", "-1", "null", "undefined", "none", "anonymous", "unknown", "n/a"];
        Self {
            by_kind: by_kind.into(),
            crm: IdentifierRule { limit: 5, priority: 2 },
            other: IdentifierRule { limit: 5, priority: 6 },
            blocked_values: blocked.map(str::to_owned).into(),
        }
    }
}

impl IdentityRules {
    /// The rule of a type.
    pub fn rule(&self, kind: &str) -> IdentifierRule {
        let general = if kind.starts_with("crm:") { self.crm } else { self.other };
        self.by_kind.get(kind).copied().unwrap_or(general)
    }

    /// True for values that systems write where they know nobody: blanks, zeroes, `null` and the like, in any case.
    pub fn is_blocked(&self, identifier: &Identifier) -> bool {
        let value = identifier.value().to_lowercase();
        value.bytes().all(|b| b == b'0') || self.blocked_values.contains(&value)
    }

    /// Separates the identifiers that may name a customer from those that stand for nobody.
    pub fn sort_out(&self, mut identifiers: Vec<Identifier>) -> Candidates {
        identifiers.sort_by(|a, b| self.rule(a.kind()).priority.cmp(&self.rule(b.kind()).priority).then(a.cmp(b)));
        identifiers.dedup();
        let mut candidates = Candidates::default();
        for identifier in identifiers {
            match self.reason_against(&identifier) {
                Some(reason) => candidates.demoted.push(Demotion { identifier, reason }),
                None => candidates.usable.push(identifier),
            }
        }
        candidates
    }

    /// Why an identifier cannot name a customer.
    fn reason_against(&self, identifier: &Identifier) -> Option<DemotionReason> {
        if self.is_blocked(identifier) {
            Some(DemotionReason::Blocked)
        } else if !identifier.is_complete() {
            Some(DemotionReason::Invalid)
        } else {
            None
        }
    }

    /// The priority of the strongest identifier that a profile has.
    fn strongest(&self, profile: &Profile) -> u32 {
        profile.identifiers.iter().map(|identifier| self.rule(identifier.kind()).priority).min().unwrap_or(u32::MAX)
    }

    /// Survivor first: the profile with the stronger identifier, then the older one.
    fn by_survival(&self, a: &Profile, b: &Profile) -> Ordering {
        (self.strongest(a), a.create_time, a.id).cmp(&(self.strongest(b), b.create_time, b.id))
    }
}

/// The identifiers of one event, sorted out.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Candidates {
    /// Those that may name a customer, each once, the strongest type first.
    pub usable: Vec<Identifier>,
    /// Those that get no identity so far, and why.
    pub demoted: Vec<Demotion>,
}

/// What [`resolve`] decided about one event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resolution {
    /// Who the event belongs to.
    pub owner: Owner,
    /// Identifiers that the profile does not have yet and gets.
    pub claims: Vec<Identifier>,
    /// Identifiers of the event that get no identity, and why.
    pub demoted: Vec<Demotion>,
}

/// Who an event belongs to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Owner {
    /// A customer that we did not know.
    New,
    /// A customer that we know.
    Known(ProfileId),
    /// Several profiles that turn out to be one customer.
    Merged {
        /// The profile that stays.
        survivor: ProfileId,
        /// The profiles that become part of it.
        sources: Vec<ProfileId>,
    },
}

/// An identifier of an event that names nobody.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Demotion {
    /// Which identifier.
    pub identifier: Identifier,
    /// Why.
    pub reason: DemotionReason,
}

/// Why an identifier names nobody.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum DemotionReason {
    /// Its value stands for nobody.
    Blocked,
    /// It would give a profile more identifiers of a type than the rule allows.
    Limit,
    /// Its value has no acceptable form.
    Invalid,
}

/// Decides whose event it is.
///
/// `candidates` must hold a usable identifier; `owner_of` gives the current profile of an identifier. Where attaching or merging would break a limit, the weakest identifier of the event is demoted and the
/// rest is tried again; a single identifier breaks no limit.
pub fn resolve<'a>(
    rules: &IdentityRules,
    candidates: Candidates,
    owner_of: impl Fn(&Identifier) -> Option<&'a Profile>,
) -> Resolution {
    let Candidates { mut usable, mut demoted } = candidates;
    loop {
        let mut owners: Vec<&Profile> = usable.iter().filter_map(&owner_of).collect();
        owners.sort_by(|a, b| rules.by_survival(a, b));
        owners.dedup_by_key(|profile| profile.id);
        if usable.len() > 1 && breaks_limit(rules, &usable, &owners) {
            demoted.extend(usable.pop().map(|identifier| Demotion { identifier, reason: DemotionReason::Limit }));
            continue;
        }
        let claims = usable.into_iter().filter(|identifier| owner_of(identifier).is_none()).collect();
        let owner = match owners.split_first() {
            None => Owner::New,
            Some((known, [])) => Owner::Known(known.id),
            Some((survivor, sources)) => {
                Owner::Merged { survivor: survivor.id, sources: sources.iter().map(|profile| profile.id).collect() }
            }
        };
        return Resolution { owner, claims, demoted };
    }
}

fn breaks_limit(rules: &IdentityRules, usable: &[Identifier], owners: &[&Profile]) -> bool {
    let owned = owners.iter().flat_map(|profile| &profile.identifiers);
    let mut all: Vec<&Identifier> = owned.chain(usable).collect();
    all.sort();
    all.dedup();
    all.chunk_by(|a, b| a.kind() == b.kind()).any(|same_kind| same_kind.len() > rules.rule(same_kind[0].kind()).limit)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::time::Timestamp;

    fn identifier(kind: &str, value: &str) -> Identifier {
        Identifier::parse(kind, value).expect("well-formed")
    }

    fn profile(number: u8, identifiers: &[(&str, &str)]) -> Profile {
        let mut profile = Profile::new(ProfileId::from_bytes([number; 16]), Timestamp::from_micros(i64::from(number)));
        profile.claim(identifiers.iter().map(|(kind, value)| identifier(kind, value)));
        profile
    }

    fn decide(profiles: &[Profile], event: &[(&str, &str)]) -> Resolution {
        let rules = IdentityRules::default();
        let candidates = rules.sort_out(event.iter().map(|(kind, value)| identifier(kind, value)).collect());
        resolve(&rules, candidates, |wanted| profiles.iter().find(|profile| profile.identifiers.contains(wanted)))
    }

    #[test]
    fn nobody_known_is_a_new_customer_with_all_identifiers() {
        let resolution = decide(&[], &[("email", "a@b.c"), ("user_id", "1")]);
        assert_eq!(resolution.owner, Owner::New);
        assert_eq!(resolution.claims.len(), 2);
    }

    #[test]
    fn a_known_customer_gets_what_is_new() {
        let known = profile(1, &[("user_id", "1")]);
        let resolution = decide(std::slice::from_ref(&known), &[("email", "a@b.c"), ("user_id", "1")]);
        assert_eq!(resolution.owner, Owner::Known(known.id));
        assert_eq!(resolution.claims, [identifier("email", "a@b.c")]);
    }

    #[test]
    fn the_profile_with_the_stronger_identifier_survives_although_it_is_younger() {
        let (older, younger) = (profile(1, &[("email", "a@b.c")]), profile(2, &[("user_id", "1")]));
        let both = [older.clone(), younger.clone()];
        let resolution = decide(&both, &[("email", "a@b.c"), ("user_id", "1")]);
        assert_eq!(resolution.owner, Owner::Merged { survivor: younger.id, sources: vec![older.id] });
    }

    #[test]
    fn two_users_never_merge_and_the_weaker_identifier_is_demoted() {
        let (ann, bob) =
            (profile(1, &[("user_id", "ann"), ("email", "shared@b.c")]), profile(2, &[("user_id", "bob")]));
        let resolution = decide(&[ann, bob.clone()], &[("email", "shared@b.c"), ("user_id", "bob")]);
        assert_eq!(resolution.owner, Owner::Known(bob.id));
        assert_eq!(resolution.claims, []);
        let demoted = Demotion { identifier: identifier("email", "shared@b.c"), reason: DemotionReason::Limit };
        assert_eq!(resolution.demoted, [demoted]);
    }

    #[test]
    fn a_sixth_email_is_demoted_and_the_event_still_lands() {
        let emails: Vec<String> = (0..5).map(|n| format!("{n}@b.c")).collect();
        let mut all: Vec<(&str, &str)> = emails.iter().map(|email| ("email", email.as_str())).collect();
        all.push(("user_id", "1"));
        let known = profile(1, &all);
        let resolution = decide(std::slice::from_ref(&known), &[("email", "6@b.c"), ("user_id", "1")]);
        assert_eq!(resolution.owner, Owner::Known(known.id));
        assert_eq!(resolution.demoted.len(), 1);
    }

    #[test]
    fn a_phone_number_without_its_country_is_demoted() {
        let candidates = IdentityRules::default().sort_out(vec![identifier("phone", "0170 1234567")]);
        assert_eq!((candidates.usable, candidates.demoted[0].reason), (vec![], DemotionReason::Invalid));
    }

    #[test]
    fn values_that_stand_for_nobody_are_demoted() {
        let rules = IdentityRules::default();
        for nobody in ["", "0", "0000", "-1", "NULL", "undefined", "None", "anonymous", "Unknown", "N/A"] {
            let candidates = rules.sort_out(vec![identifier("user_id", nobody)]);
            assert_eq!(candidates.usable, [], "{nobody}");
            assert_eq!(candidates.demoted[0].reason, DemotionReason::Blocked);
        }
        assert_eq!(rules.sort_out(vec![identifier("user_id", "10")]).usable.len(), 1);
    }
}
