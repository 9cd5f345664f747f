//! What a profile is made of: customers that were once thought apart, and the merges that joined them.
//!
//! A merge joins profiles without mixing them. Every event and every identifier stays with the part that it was
//! accepted for, and later events go to the part whose identifiers they carry. Undoing a merge is therefore nothing
//! but taking its links away: each side then has what was its own, and what has come since.

use serde::{Deserialize, Serialize};

use crate::domain::id::{MergeId, ProfileId};
use crate::domain::identifier::Identifier;
use crate::domain::time::Timestamp;

/// A customer who is, or was, a profile of their own.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Part {
    /// The profile that the part was, and is again once its merge is undone.
    pub id: ProfileId,
    /// When it came to be, by our clock.
    pub create_time: Timestamp,
    /// What it is known by, sorted.
    pub identifiers: Vec<Owned>,
}

/// An identifier with what its owner can show for it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Owned {
    /// The identifier.
    pub identifier: Identifier,
    /// For a device: the latest event time at which its user was seen on it by name.
    pub authenticated: Option<Timestamp>,
}

/// A merge, as what it joined: a part of the profile that stayed with a part of the one that became part of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Link {
    /// The merge.
    pub merge: MergeId,
    /// The part on the side that stayed.
    pub target: ProfileId,
    /// The part on the side that joined.
    pub source: ProfileId,
}

impl Part {
    /// A customer of whom nothing is known yet.
    pub fn new(id: ProfileId, create_time: Timestamp) -> Self {
        Self { id, create_time, identifiers: Vec::new() }
    }

    pub(super) fn position(&self, identifier: &Identifier) -> Result<usize, usize> {
        self.identifiers.binary_search_by(|owned| owned.identifier.cmp(identifier))
    }

    /// The identifiers of a type, which stand together because identifiers are sorted by type first.
    pub(super) fn of_kind(&self, kind: &str) -> &[Owned] {
        let from = self.identifiers.partition_point(|owned| owned.identifier.kind() < kind);
        let rest = &self.identifiers[from..];
        &rest[..rest.partition_point(|owned| owned.identifier.kind() == kind)]
    }
}

/// The groups that parts fall into by their links. A group begins with the part that all others of it joined, and goes
/// on in the order in which they did.
pub(super) fn groups<'a>(parts: &[Part], links: impl Iterator<Item = &'a Link>) -> Vec<Vec<ProfileId>> {
    let mut groups: Vec<Vec<ProfileId>> = parts.iter().map(|part| vec![part.id]).collect();
    for link in links {
        let place = |part: ProfileId| groups.iter().position(|group| group.contains(&part));
        let (Some(target), Some(source)) = (place(link.target), place(link.source)) else { continue };
        if target != source {
            let joined = std::mem::take(&mut groups[source]);
            groups[target].extend(joined);
        }
    }
    groups.retain(|group| !group.is_empty());
    groups
}
