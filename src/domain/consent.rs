//! For what a customer's data may be used.
//!
//! Consent is given for a purpose, and what is unknown is denied for every purpose but the service itself. Answers are
//! never overwritten: each is a record of its own, and what stands is the latest one by the time at which it was given.

use serde::{Deserialize, Serialize};
use smol_str::SmolStr;
use uuid::Uuid;

use super::id::ProfileId;
use super::limits;
use super::time::Timestamp;
use super::violation::Violations;

/// The purpose of serving the customer: the default where a read names none, and the only one that needs no consent.
pub const SERVICE: &str = "service";

/// What a customer answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum ConsentState {
    /// Yes.
    Granted,
    /// No.
    Denied,
}

/// One answer of a customer, with where it came from: an entry of a ledger to which entries are only ever added.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConsentRecord {
    /// The answer.
    pub standing: Standing,
    /// Where it was given, such as `web_banner` or `phone_desk`.
    pub source: String,
    /// What shows that it was given, such as a version of the text or the number of a form. Empty is none.
    pub proof: String,
    /// When it was recorded, by our clock.
    pub record_time: Timestamp,
}

/// What a customer says about one purpose.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Standing {
    /// Names the record of it; ids of later records sort behind those of earlier ones.
    pub record: Uuid,
    /// The part of the profile that it stays with, whatever merges are undone.
    pub part: ProfileId,
    /// The purpose.
    pub purpose: SmolStr,
    /// The answer.
    pub state: ConsentState,
    /// When it was given.
    pub time: Timestamp,
    /// From when on it is as if it had never been given; `None` is never.
    pub expire_time: Option<Timestamp>,
    /// Further parts of the profile for which it was given, because they were one customer with the part by then.
    pub covers: Vec<ProfileId>,
}

impl ConsentRecord {
    /// Checks everything that the types do not already rule out.
    pub fn check(&self, now: Timestamp, violations: &mut Violations) {
        check_purpose("purpose", &self.standing.purpose, violations);
        violations.check_required_text("source", &self.source, limits::NAME_BYTES);
        violations.check_text("proof", &self.proof, limits::REASON_BYTES);
        if self.standing.time > now.plus(limits::CLOCK_SKEW) {
            violations.add("consent_time", "must not be in the future");
        }
        if self.standing.expire_time.is_some_and(|end| end <= self.standing.time) {
            violations.add("expire_time", "must be later than consent_time");
        }
    }
}

/// Purposes are names that people type and compare, so that there is one spelling of each.
pub(super) fn check_purpose(field: &str, purpose: &str, violations: &mut Violations) {
    let is_word = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"_-.".contains(&byte);
    if purpose.is_empty() || purpose.len() > limits::PURPOSE_BYTES || !purpose.bytes().all(is_word) {
        let bytes = limits::PURPOSE_BYTES;
        violations.add(field, format!("must be 1 to {bytes} of a-z, 0-9, '_', '-' and '.'"));
    }
}

impl Standing {
    /// Whether it still says anything.
    fn holds(&self, now: Timestamp) -> bool {
        self.expire_time.is_none_or(|end| now < end)
    }

    /// Whether it takes the place of what another part says: it was given later, for that part too.
    fn overrules(&self, other: &Self) -> bool {
        self.covers.contains(&other.part) && (self.time, self.state) > (other.time, other.state)
    }
}

/// What all parts of a profile say, at most one answer of each part for a purpose.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Consents(Vec<Standing>);

impl Consents {
    /// Whether nothing was ever answered.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// How many answers there are.
    pub fn count(&self) -> usize {
        self.0.len()
    }

    /// Takes in an answer. One that was given before what is known already changes nothing; of two that were given at
    /// the same moment the more restrictive one stands.
    pub fn record(&mut self, standing: Standing) {
        let same = |known: &&mut Standing| known.part == standing.part && known.purpose == standing.purpose;
        match self.0.iter_mut().find(same) {
            Some(known) if (standing.time, standing.state) >= (known.time, known.state) => *known = standing,
            Some(_) => {}
            None => self.0.push(standing),
        }
    }

    /// What stands for a purpose: of answers that different parts gave before they were one customer, the most
    /// restrictive. `None` where nothing is known, or nothing any more.
    pub fn of(&self, purpose: &str, now: Timestamp) -> Option<&Standing> {
        let answers = || self.0.iter().filter(move |standing| standing.purpose == purpose && standing.holds(now));
        let stands = |standing: &&Standing| !answers().any(|other| other.overrules(standing));
        answers().filter(stands).max_by_key(|standing| (standing.state, standing.time))
    }

    /// Whether data may be used for a purpose.
    pub fn allow(&self, purpose: &str, now: Timestamp) -> bool {
        match self.of(purpose, now) {
            Some(standing) => standing.state == ConsentState::Granted,
            None => purpose == SERVICE,
        }
    }

    /// The purposes that anything was ever answered for, each once, sorted.
    pub fn purposes(&self) -> Vec<&str> {
        let mut purposes: Vec<&str> = self.0.iter().map(|standing| standing.purpose.as_str()).collect();
        purposes.sort_unstable();
        purposes.dedup();
        purposes
    }

    /// Takes over what the parts of another profile say.
    pub fn join(&mut self, other: Self) {
        self.0.extend(other.0);
    }

    /// What these parts say.
    pub fn of_parts(&self, parts: &[ProfileId]) -> Self {
        Self(self.0.iter().filter(|standing| parts.contains(&standing.part)).cloned().collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(number: u8) -> ProfileId {
        ProfileId::from_bytes([number; 16])
    }

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_micros(seconds * 1_000_000)
    }

    fn answer(part: u8, state: ConsentState, second: i64) -> Standing {
        let (purpose, expire_time, covers) = ("marketing".into(), None, Vec::new());
        Standing { record: Uuid::nil(), part: id(part), purpose, state, time: at(second), expire_time, covers }
    }

    fn consents(answers: impl IntoIterator<Item = Standing>) -> Consents {
        let mut consents = Consents::default();
        answers.into_iter().for_each(|answer| consents.record(answer));
        consents
    }

    use ConsentState::{Denied, Granted};

    #[test]
    fn what_is_unknown_is_denied_but_for_the_service() {
        let nothing = Consents::default();
        assert!(nothing.allow(SERVICE, at(0)));
        for purpose in ["marketing", "analytics", "personalization", "ours", ""] {
            assert!(!nothing.allow(purpose, at(0)), "{purpose}");
        }
        let restricted = consents([Standing { purpose: SERVICE.into(), ..answer(1, Denied, 1) }]);
        assert!(!restricted.allow(SERVICE, at(2)), "also the service can be refused");
    }

    #[test]
    fn the_latest_answer_stands_in_whatever_order_they_come() {
        let answers = [answer(1, Granted, 1), answer(1, Denied, 2), answer(1, Granted, 3)];
        for order in [[0, 1, 2], [2, 1, 0], [1, 2, 0], [2, 0, 1]] {
            let consents = consents(order.map(|position| answers[position].clone()));
            assert!(consents.allow("marketing", at(9)), "{order:?}");
        }
        for order in [[answer(1, Granted, 1), answer(1, Denied, 1)], [answer(1, Denied, 1), answer(1, Granted, 1)]] {
            assert!(!consents(order).allow("marketing", at(9)), "at the same moment no is no");
        }
    }

    #[test]
    fn an_answer_ends_on_time() {
        let consents = consents([Standing { expire_time: Some(at(5)), ..answer(1, Granted, 1) }]);
        assert!(consents.allow("marketing", at(4)));
        assert!(!consents.allow("marketing", at(5)));
    }

    #[test]
    fn of_parts_that_were_apart_the_most_restrictive_counts() {
        let mut merged = consents([answer(1, Granted, 9)]);
        merged.join(consents([answer(2, Denied, 1)]));
        assert!(!merged.allow("marketing", at(10)), "the older no is of another part");
        let unknown_joined = consents([answer(1, Granted, 9)]);
        assert!(unknown_joined.allow("marketing", at(10)), "a part that says nothing does not refuse");
    }

    #[test]
    fn an_answer_of_the_merged_customer_stands_above_older_ones_until_the_merge_is_undone() {
        let mut merged = consents([answer(1, Granted, 1), answer(2, Denied, 2)]);
        merged.record(Standing { covers: vec![id(2)], ..answer(1, Granted, 3) });
        assert!(merged.allow("marketing", at(10)));
        merged.record(answer(2, Denied, 4));
        assert!(!merged.allow("marketing", at(10)), "a later no of the other part counts again");
        assert!(merged.of_parts(&[id(1)]).allow("marketing", at(10)));
        assert!(!merged.of_parts(&[id(2)]).allow("marketing", at(10)));
    }
}
