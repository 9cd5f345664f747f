//! Forgetting customers, and what is known of it afterwards.
//!
//! Whoever is forgotten leaves ids behind and pseudonyms, and nothing that they or anybody said about them.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::id::ProfileId;
use super::time::Timestamp;

/// Stands for an identifier of a workspace: a keyed digest, from which nobody without the key learns the identifier.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Mark(pub [u8; 16]);

/// A customer was forgotten: the profile with all its parts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EraseFact {
    /// Names the erasure.
    pub erasure: Uuid,
    /// The profile.
    pub profile: ProfileId,
    /// What it was made of.
    pub parts: Vec<ProfileId>,
}

/// What is left of a fact about a customer who was forgotten since. It is never written as a fact of its own.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Remains {
    /// An event.
    Event(RemainsOfEvent),
    /// Something that was kept about the customer.
    Document,
}

/// What of an event others must know: merges name its profile, and identifiers went from others to it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RemainsOfEvent {
    /// Whose event it was.
    pub profile: ProfileId,
    /// The part of the profile that it stayed with.
    pub part: ProfileId,
    /// Who lost which identifiers to the part.
    pub released: Vec<(ProfileId, Mark)>,
}

/// The record of an erasure. Signed, so that nobody can make one up afterwards.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Erasure {
    /// Names it, and its receipt.
    pub id: Uuid,
    /// The profile that was.
    pub profile: ProfileId,
    /// What it was made of.
    pub parts: Vec<ProfileId>,
    /// Stands for the customer.
    pub subject: [u8; 32],
    /// When, by our clock.
    pub time: Timestamp,
    /// Events that were forgotten.
    pub events: u64,
    /// Why, in the words of whoever asked for it, which name nobody.
    pub reason: String,
    /// Of what the receipt says.
    pub signature: Vec<u8>,
}

impl Erasure {
    /// The fact of it.
    pub fn fact(&self) -> EraseFact {
        EraseFact { erasure: self.id, profile: self.profile, parts: self.parts.clone() }
    }

    /// What the signature is of: everything that the receipt says, line by line.
    pub fn statement(&self, workspace: &str) -> String {
        let subject = hex(&self.subject);
        let (id, time, events) = (self.id.hyphenated(), self.time.as_micros(), self.events);
        format!("rapport erasure receipt 1\n{workspace}\n{id}\n{subject}\n{time}\n{events}\n")
    }
}

/// Bytes as hexadecimal digits.
pub fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        let _infallible = write!(text, "{byte:02x}");
        text
    })
}

/// Says of an identifier that it was a forgotten customer's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tombstone {
    /// The identifier.
    pub mark: Mark,
    /// Which erasure.
    pub erasure: Uuid,
}
