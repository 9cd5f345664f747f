//! Who is who: which profile an event belongs to.
//!
//! Pure: the caller looks up who owns the event's identifiers, [`Resolver::resolve`] decides, and the decision is
//! journaled, so that replay applies it and never decides again.

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};

use regex::{Regex, RegexBuilder};
use serde::{Deserialize, Serialize};
use smol_str::StrExt as _;

use super::event::{Event, SentIdentifier};
use super::id::ProfileId;
use super::identifier::{Identifier, PHONE};
use super::identity_rules::{ANY, ANY_CRM, IdentifierRule, NOBODY};
use super::limits;
use super::phone;
use super::profile::Profile;
use super::profile::size::outgrown;
use super::settings::Settings;
use super::time::Timestamp;

/// The type that names a customer who logged in.
const USER: &str = "user_id";
/// Types that name a thing that people share and hand on.
const DEVICES: [&str; 2] = ["anonymous_id", "device_id"];

/// What decides whose event it is: the rules of a workspace, ready to be applied.
#[derive(Debug)]
pub struct Resolver {
    by_kind: BTreeMap<String, Rule>,
    phone_region: String,
    source_priorities: BTreeMap<String, i32>,
}

/// One rule, ready to be applied.
#[derive(Debug)]
struct Rule {
    limit: usize,
    priority: u32,
    blocked_values: BTreeSet<String>,
    blocked_patterns: Vec<Regex>,
}

impl Default for Resolver {
    fn default() -> Self {
        Self::new(&Settings::default())
    }
}

/// Compiles a pattern of blocked values, which may not take much memory; it is matched in linear time.
pub(super) fn compile(pattern: &str) -> Result<Regex, regex::Error> {
    RegexBuilder::new(pattern).size_limit(limits::PATTERN_COMPILED_BYTES).build()
}

impl Resolver {
    /// Makes what settings say ready.
    pub fn new(settings: &Settings) -> Self {
        let ready = |rule: IdentifierRule| {
            let blocked_values = rule.blocked_values.iter().map(|value| value.trim().to_lowercase()).collect();
            // Rules are checked before they are kept, so that each of them compiles.
            let blocked_patterns = rule.blocked_patterns.iter().filter_map(|pattern| compile(pattern).ok()).collect();
            let (limit, priority) = (rule.limit as usize, rule.priority);
            (rule.kind, Rule { limit, priority, blocked_values, blocked_patterns })
        };
        Self {
            by_kind: settings.identity.complete().into_iter().map(ready).collect(),
            phone_region: settings.default_phone_region.clone(),
            source_priorities: settings.source_priorities.clone(),
        }
    }

    fn rule(&self, kind: &str) -> &Rule {
        let general = if kind.starts_with("crm:") { ANY_CRM } else { ANY };
        self.by_kind.get(kind).unwrap_or_else(|| &self.by_kind[general])
    }

    /// How much a source counts.
    pub fn source_priority(&self, source: &str) -> i32 {
        self.source_priorities.get(source).copied().unwrap_or(0)
    }

    /// How much a type says about who it is; 1 is the strongest.
    pub fn priority(&self, kind: &str) -> u32 {
        self.rule(kind).priority
    }

    /// How many identifiers of a type one profile may have.
    pub fn limit(&self, kind: &str) -> usize {
        self.rule(kind).limit
    }

    /// The form in which equal identifiers are equal texts; `None` for a phone number that is none.
    pub fn normalise(&self, identifier: Identifier) -> Option<Identifier> {
        if identifier.kind() == PHONE {
            identifier.with_value(phone::to_e164(identifier.value(), &self.phone_region)?)
        } else {
            Some(identifier)
        }
    }

    /// Separates the identifiers that may name a customer from those that stand for nobody.
    pub fn sort_out(&self, identifiers: Vec<Identifier>) -> Candidates {
        let mut candidates = Candidates::default();
        for identifier in identifiers {
            if self.is_blocked(&identifier) {
                candidates.demoted.push(Demotion { identifier, reason: DemotionReason::Blocked });
                continue;
            }
            match self.normalise(identifier.clone()) {
                // The library may have brought it to another value that is blocked.
                Some(normal) if normal != identifier && self.is_blocked(&normal) => {
                    candidates.demoted.push(Demotion { identifier, reason: DemotionReason::Blocked });
                }
                Some(normal) => candidates.usable.push(normal),
                None => candidates.demoted.push(Demotion { identifier, reason: DemotionReason::Invalid }),
            }
        }
        candidates.usable.sort_by(|a, b| self.priority(a.kind()).cmp(&self.priority(b.kind())).then(a.cmp(b)));
        candidates.usable.dedup();
        candidates.demoted.sort();
        candidates.demoted.dedup();
        candidates
    }

    /// The identifiers of an accepted event, by the rules of today.
    pub fn candidates_of(&self, event: &Event) -> Candidates {
        let sent = event.identifiers.iter().filter_map(|sent| Identifier::parse(&sent.kind, &sent.value).ok());
        self.sort_out(sent.collect())
    }

    /// An identifier that an accepted event carries, whatever the rules of today say about it.
    pub fn carried(&self, sent: &SentIdentifier) -> Option<Identifier> {
        self.normalise(Identifier::parse(&sent.kind, &sent.value).ok()?)
    }

    /// True for values that systems write where they know nobody: blanks, zeroes, `null` and the like, in any case, and
    /// for those that the workspace blocks.
    fn is_blocked(&self, identifier: &Identifier) -> bool {
        let (rule, value) = (self.rule(identifier.kind()), identifier.value().to_lowercase_smolstr());
        (value.contains('0') && value.bytes().all(|b| b == b'0' || b == b'-'))
            || NOBODY.contains(&value.as_str())
            || rule.blocked_values.contains(value.as_str())
            || rule.blocked_patterns.iter().any(|pattern| pattern.is_match(identifier.value()))
    }

    /// The priority of the strongest identifier that a profile has.
    fn strongest(&self, profile: &Profile) -> u32 {
        let kinds = profile.parts.iter().flat_map(|part| &part.identifiers).map(|owned| owned.identifier.kind());
        kinds.map(|kind| self.priority(kind)).min().unwrap_or(u32::MAX)
    }

    /// Survivor first: the profile with the stronger identifier, then the older one.
    fn by_survival(&self, a: &Profile, b: &Profile) -> Ordering {
        (self.strongest(a), a.create_time(), a.id).cmp(&(self.strongest(b), b.create_time(), b.id))
    }

    /// The types of which a profile made of these would have more identifiers than it may, and more than any of them has
    /// already: nobody is refused what they have.
    pub fn exceeded<'a>(
        &self,
        profiles: &[&'a Profile],
        added: &'a [Identifier],
    ) -> impl Iterator<Item = Exceeded<'a>> {
        let mut kinds: Vec<&str> = added.iter().map(Identifier::kind).collect();
        // One profile alone has too many of a type only where one of that type is added.
        if profiles.len() > 1 {
            kinds.extend(profiles.iter().flat_map(|profile| profile.identifiers()).map(Identifier::kind));
        }
        kinds.sort_unstable();
        kinds.dedup();
        let new = new_to(profiles, added);
        let exceeded = kinds.into_iter().filter_map(|kind| {
            let had = profiles.iter().map(|profile| profile.of_kind(kind).count());
            let new = new.iter().filter(|identifier| identifier.kind() == kind).count();
            let (count, limit) = (had.clone().sum::<usize>() + new, self.limit(kind));
            (count > limit && count > had.max().unwrap_or(0)).then_some(Exceeded { kind, count, limit })
        });
        exceeded.collect::<Vec<_>>().into_iter()
    }
}

/// A type of which there would be too many.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Exceeded<'a> {
    /// The type.
    pub kind: &'a str,
    /// How many there would be.
    pub count: usize,
    /// How many there may be.
    pub limit: usize,
}

/// The identifiers of one event, sorted out.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Candidates {
    /// Those that may name a customer, each once, the strongest type first.
    pub usable: Vec<Identifier>,
    /// Those that get no identity so far, and why.
    pub demoted: Vec<Demotion>,
}

impl Exceeded<'_> {
    /// Whether it is the type that names a customer who logged in.
    pub fn is_user(&self) -> bool {
        self.kind == USER
    }
}

/// What [`Resolver::resolve`] decided about one event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resolution {
    /// Who the event belongs to.
    pub owner: Owner,
    /// The identifiers that name its customer, the strongest first.
    pub named_by: Vec<Identifier>,
    /// Identifiers that the customer does not have yet and gets.
    pub claims: Vec<Identifier>,
    /// Those of the claims that another customer loses.
    pub released: Vec<Release>,
    /// Devices that the event shows with their user.
    pub authenticated: Vec<Identifier>,
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

/// A device that moves to another user.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Release {
    /// The device.
    pub identifier: Identifier,
    /// Who loses it.
    pub from: ProfileId,
}

/// An identifier of an event that names nobody.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Demotion {
    /// Which identifier.
    pub identifier: Identifier,
    /// Why.
    pub reason: DemotionReason,
}

/// Why an identifier names nobody.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum DemotionReason {
    /// Its value stands for nobody.
    Blocked,
    /// It would give a profile more identifiers of a type than the rule allows.
    Limit,
    /// Its value has no acceptable form.
    Invalid,
    /// It belongs to another user, and two users never merge by themselves.
    OtherUser,
    /// The device has been seen with another user since.
    Outdated,
    /// It was a customer's who is forgotten.
    Forgotten,
}

impl Resolver {
    /// Decides whose event it is, which happened at `time`.
    ///
    /// `candidates` must hold a usable identifier; `owner_of` gives the current profile of an identifier. Identifiers
    /// are taken up one by one, the strongest first and devices last; one that would break a rule beside those that
    /// were taken up is demoted. The first breaks none.
    pub fn resolve<'a>(
        &self,
        candidates: Candidates,
        time: Timestamp,
        owner_of: impl Fn(&Identifier) -> Option<&'a Profile>,
    ) -> Resolution {
        let Candidates { usable, mut demoted } = candidates;
        let mut taken = Taken { identifiers: Vec::with_capacity(usable.len()), owners: Vec::new(), moving: Vec::new() };
        let (devices, names): (Vec<_>, Vec<_>) =
            usable.into_iter().partition(|identifier| DEVICES.contains(&identifier.kind()));
        for identifier in names.into_iter().chain(devices) {
            if let Err(reason) = self.take_up(&mut taken, &identifier, owner_of(&identifier), time) {
                demoted.push(Demotion { identifier, reason });
            }
        }
        let Taken { mut identifiers, mut owners, moving } = taken;
        owners.sort_by(|a, b| self.by_survival(a, b));
        identifiers.sort_by_key(|identifier| self.priority(identifier.kind()));
        let has_user = identifiers.iter().any(|identifier| identifier.kind() == USER);
        let is_device = |identifier: &&Identifier| has_user && DEVICES.contains(&identifier.kind());
        let authenticated = identifiers.iter().filter(is_device).cloned().collect();
        let is_moving = |identifier: &Identifier| moving.iter().any(|release| release.identifier == *identifier);
        let is_claimed = |identifier: &&Identifier| owner_of(identifier).is_none() || is_moving(identifier);
        let claims = identifiers.iter().filter(is_claimed).cloned().collect();
        let owner = match owners.split_first() {
            None => Owner::New,
            Some((known, [])) => Owner::Known(known.id),
            Some((survivor, sources)) => {
                Owner::Merged { survivor: survivor.id, sources: sources.iter().map(|profile| profile.id).collect() }
            }
        };
        demoted.sort();
        Resolution { owner, named_by: identifiers, claims, released: moving, authenticated, demoted }
    }

    /// Takes an identifier up beside others, or says why it cannot be.
    fn take_up<'a>(
        &self,
        taken: &mut Taken<'a>,
        identifier: &Identifier,
        owner: Option<&'a Profile>,
        time: Timestamp,
    ) -> Result<(), DemotionReason> {
        let with: Vec<Identifier> = taken.identifiers.iter().chain([identifier]).cloned().collect();
        let foreign = owner.filter(|owner| is_device_of_another_user(identifier, owner, &taken.identifiers));
        if let Some(owner) = foreign {
            let seen = owner.owned(identifier).and_then(|owned| owned.authenticated);
            if seen.is_some_and(|seen| time < seen) {
                return Err(DemotionReason::Outdated);
            }
            self.check(&taken.owners, &with)?;
            taken.moving.push(Release { identifier: identifier.clone(), from: owner.id });
        } else {
            let mut owners = taken.owners.clone();
            owners.extend(owner.filter(|owner| owners.iter().all(|known| known.id != owner.id)));
            if !taken.identifiers.is_empty() {
                self.check(&owners, &with)?;
            }
            taken.owners = owners;
        }
        taken.identifiers = with;
        Ok(())
    }

    /// Whether these may become one customer by themselves.
    pub fn may_merge(&self, profiles: &[&Profile]) -> bool {
        self.check(profiles, &[]).is_ok()
    }

    /// Why the owners, with these identifiers, cannot be one customer.
    fn check(&self, owners: &[&Profile], identifiers: &[Identifier]) -> Result<(), DemotionReason> {
        let merges = owners.len() > 1;
        match self.exceeded(owners, identifiers).next() {
            _ if merges && are_different_users(owners, identifiers) => Err(DemotionReason::OtherUser),
            Some(exceeded) if exceeded.is_user() => Err(DemotionReason::OtherUser),
            Some(_) => Err(DemotionReason::Limit),
            None if outgrown(owners, new_to(owners, identifiers).len()).is_some() => Err(DemotionReason::Limit),
            None => Ok(()),
        }
    }
}

/// The identifiers of an event that were taken up so far.
struct Taken<'a> {
    identifiers: Vec<Identifier>,
    /// Who owns any of them, but for those that move, each once.
    owners: Vec<&'a Profile>,
    /// Those of them that another customer loses.
    moving: Vec<Release>,
}

/// Those of the identifiers that none of the profiles has yet.
fn new_to<'a>(profiles: &[&Profile], identifiers: &'a [Identifier]) -> Vec<&'a Identifier> {
    identifiers.iter().filter(|wanted| profiles.iter().all(|profile| profile.owned(wanted).is_none())).collect()
}

/// Whether a device belongs to a user, and to none of those whom the event names.
fn is_device_of_another_user(identifier: &Identifier, owner: &Profile, named: &[Identifier]) -> bool {
    if !DEVICES.contains(&identifier.kind()) {
        return false;
    }
    let theirs = users_of(owner);
    let named: Vec<&Identifier> = named.iter().filter(|identifier| identifier.kind() == USER).collect();
    !theirs.is_empty() && !named.is_empty() && theirs.iter().all(|user| !named.contains(user))
}

/// Whether some two of these are known by different user ids.
fn are_different_users(owners: &[&Profile], named: &[Identifier]) -> bool {
    let mut users: Vec<_> = owners.iter().map(|owner| users_of(owner)).filter(|users| !users.is_empty()).collect();
    let is_new = |user: &&Identifier| users.iter().flatten().all(|known| known != user);
    let new: Vec<_> = named.iter().filter(|identifier| identifier.kind() == USER).filter(is_new).collect();
    if !new.is_empty() {
        users.push(new);
    }
    users.len() > 1
}

fn users_of(profile: &Profile) -> Vec<&Identifier> {
    profile.of_kind(USER).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::identity_rules::IdentityRules;

    fn identifier(kind: &str, value: &str) -> Identifier {
        Identifier::parse(kind, value).expect("well-formed")
    }

    fn profile(number: u8, identifiers: &[(&str, &str)]) -> Profile {
        let mut profile = Profile::new(ProfileId::from_bytes([number; 16]), Timestamp::from_micros(i64::from(number)));
        profile.claim(profile.id, identifiers.iter().map(|(kind, value)| identifier(kind, value)));
        profile
    }

    fn decide(profiles: &[Profile], event: &[(&str, &str)]) -> Resolution {
        decide_at(profiles, event, 100)
    }

    fn decide_at(profiles: &[Profile], event: &[(&str, &str)], second: i64) -> Resolution {
        let resolver = Resolver::default();
        let candidates = resolver.sort_out(event.iter().map(|(kind, value)| identifier(kind, value)).collect());
        let owner = |wanted: &Identifier| profiles.iter().find(|profile| profile.owned(wanted).is_some());
        resolver.resolve(candidates, Timestamp::from_micros(second), owner)
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
        let demoted = Demotion { identifier: identifier("email", "shared@b.c"), reason: DemotionReason::OtherUser };
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
    fn a_user_is_never_demoted_for_what_is_shared_with_another() {
        let ann = profile(1, &[("user_id", "ann"), ("email", "fam@b.c"), ("loyalty_id", "1")]);
        let of_bob = [("user_id", "bob"), ("email", "fam@b.c"), ("loyalty_id", "1")];
        let resolution = decide(std::slice::from_ref(&ann), &of_bob);
        assert_eq!((resolution.owner, resolution.named_by), (Owner::New, vec![identifier("user_id", "bob")]));
        assert!(resolution.demoted.iter().all(|demoted| demoted.reason == DemotionReason::OtherUser));

        let emails: Vec<String> = (0..5).map(|n| format!("{n}@b.c")).collect();
        let mut all: Vec<(&str, &str)> = emails.iter().map(|email| ("email", email.as_str())).collect();
        all.push(("user_id", "ann"));
        let known = profile(1, &all);
        let two_more = [("user_id", "ann"), ("email", "6@b.c"), ("email", "7@b.c"), ("device_id", "d")];
        let resolution = decide(std::slice::from_ref(&known), &two_more);
        assert_eq!((resolution.owner, resolution.claims), (Owner::Known(known.id), vec![identifier("device_id", "d")]));
    }

    #[test]
    fn only_what_is_at_fault_is_demoted() {
        let ann = profile(1, &[("user_id", "ann"), ("email", "shared@b.c")]);
        let of_bob = [("user_id", "bob"), ("email", "shared@b.c"), ("device_id", "new")];
        let resolution = decide(std::slice::from_ref(&ann), &of_bob);
        assert_eq!(resolution.demoted.iter().map(|one| one.identifier.kind()).collect::<Vec<_>>(), ["email"]);
        assert_eq!(resolution.claims, [identifier("user_id", "bob"), identifier("device_id", "new")]);
    }

    #[test]
    fn a_phone_number_without_its_country_is_demoted() {
        let candidates = Resolver::default().sort_out(vec![identifier("phone", "0170 1234567")]);
        assert_eq!((candidates.usable, candidates.demoted[0].reason), (vec![], DemotionReason::Invalid));
    }

    #[test]
    fn values_that_stand_for_nobody_are_demoted() {
        let rules = Resolver::default();
        for nobody in [
            "",
            "0",
            "00000000-0000-0000-0000-000000000000",
            "0000",
            "-1",
            "NULL",
            "undefined",
            "None",
            "anonymous",
            "Unknown",
            "N/A",
        ] {
            let candidates = rules.sort_out(vec![identifier("user_id", nobody)]);
            assert_eq!(candidates.usable, [], "{nobody}");
            assert_eq!(candidates.demoted[0].reason, DemotionReason::Blocked);
        }
        assert_eq!(rules.sort_out(vec![identifier("user_id", "10")]).usable.len(), 1);
    }

    #[test]
    fn a_shared_device_moves_to_the_user_who_logs_in_and_not_back_by_an_older_event() {
        let mut ann = profile(1, &[("user_id", "ann"), ("device_id", "tablet")]);
        ann.authenticate(&identifier("device_id", "tablet"), Timestamp::from_micros(50));
        let of_bob = [("user_id", "bob"), ("device_id", "tablet")];
        let later = decide_at(std::slice::from_ref(&ann), &of_bob, 60);
        assert_eq!(later.owner, Owner::New);
        assert_eq!(later.released, [Release { identifier: identifier("device_id", "tablet"), from: ann.id }]);
        assert!(later.claims.contains(&identifier("device_id", "tablet")));
        assert_eq!(later.authenticated, [identifier("device_id", "tablet")]);
        let older = decide_at(std::slice::from_ref(&ann), &of_bob, 40);
        assert_eq!((older.released, older.demoted[0].reason), (vec![], DemotionReason::Outdated));
        assert_eq!(older.claims, [identifier("user_id", "bob")]);
    }

    #[test]
    fn an_anonymous_visitor_who_logs_in_is_merged_not_moved() {
        let (ann, visitor) = (profile(1, &[("user_id", "ann")]), profile(2, &[("anonymous_id", "v")]));
        let resolution = decide(&[ann.clone(), visitor.clone()], &[("user_id", "ann"), ("anonymous_id", "v")]);
        assert_eq!(resolution.owner, Owner::Merged { survivor: ann.id, sources: vec![visitor.id] });
        assert_eq!(resolution.released, []);
    }

    #[test]
    fn a_customer_keeps_what_exceeds_a_limit_that_was_lowered() {
        let ann = profile(1, &[("user_id", "ann"), ("user_id", "anna"), ("email", "a@b.c")]);
        let resolution = decide(std::slice::from_ref(&ann), &[("user_id", "anna"), ("email", "new@b.c")]);
        assert_eq!((resolution.owner, resolution.demoted), (Owner::Known(ann.id), vec![]));
        assert_eq!(resolution.claims, [identifier("email", "new@b.c")]);
    }

    #[test]
    fn rules_of_a_workspace_block_values_and_patterns_and_set_limits() {
        let rule = |kind: &str, limit| IdentifierRule { limit, ..IdentifierRule::default_of(kind) };
        let blocked_patterns = vec!["@example\\.com$".to_owned()];
        let email =
            IdentifierRule { blocked_values: vec!["Till@Shop.DE".to_owned()], blocked_patterns, ..rule("email", 1) };
        let resolver = Resolver::new(&Settings {
            identity: IdentityRules { rules: vec![email, rule(ANY_CRM, 2)] },
            default_phone_region: "DE".to_owned(),
            ..Settings::default()
        });
        let blocked = |kind, value| resolver.sort_out(vec![identifier(kind, value)]).usable.is_empty();
        assert!(blocked("email", "till@shop.de") && blocked("email", "x@example.com"));
        assert!(!blocked("user_id", "till@shop.de") && !blocked("email", "x@example.org"));
        assert_eq!((resolver.limit("email"), resolver.limit("crm:sap"), resolver.limit("user_id")), (1, 2, 1));
        let national =
            resolver.sort_out(vec![identifier("phone", "0170 1234567"), identifier("phone", "+491701234567")]);
        assert_eq!(national.usable, [identifier("phone", "+491701234567")]);
    }

    #[test]
    fn of_the_devices_that_would_move_only_those_of_a_full_type_stay() {
        let devices: Vec<String> = (0..50).map(|n| format!("d{n}")).collect();
        let mut all: Vec<(&str, &str)> = devices.iter().map(|device| ("device_id", device.as_str())).collect();
        all.push(("user_id", "bob"));
        let bob = profile(1, &all);
        let ann = profile(2, &[("user_id", "ann"), ("device_id", "hers"), ("anonymous_id", "hers")]);
        let event = [("user_id", "bob"), ("device_id", "hers"), ("anonymous_id", "hers")];
        let resolution = decide(&[ann.clone(), bob.clone()], &event);
        let moved = Release { identifier: identifier("anonymous_id", "hers"), from: ann.id };
        let stays = Demotion { identifier: identifier("device_id", "hers"), reason: DemotionReason::Limit };
        assert_eq!((resolution.owner, resolution.released), (Owner::Known(bob.id), vec![moved]));
        assert_eq!(resolution.demoted, [stays]);
    }
}
