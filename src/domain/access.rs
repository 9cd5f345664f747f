//! Who may do what: scopes, principals and the keys that programs show.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use smol_str::SmolStr;

use super::id::WorkspaceId;
use super::time::Timestamp;

/// One right of a credential. No scope includes another one. The numbers are stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Scope {
    /// Sends events, and merges customers by hand.
    EventsWrite = 0,
    /// Reads profiles and timelines, without what says who the customer is.
    ProfilesRead = 1,
    /// Sees who the customer is: identifiers, traits, texts.
    ProfilesPii = 2,
    /// Asks for predictions, segments and model cards.
    PredictionsRead = 3,
    /// Trains models and lets them answer.
    TrainingWrite = 4,
    /// Records consents, and exports customers.
    PrivacyWrite = 5,
    /// Changes settings and rules of the workspace, and makes keys for it.
    Admin = 6,
}

impl Scope {
    /// All scopes, in the order of their numbers.
    pub const ALL: [Self; 7] = [
        Self::EventsWrite,
        Self::ProfilesRead,
        Self::ProfilesPii,
        Self::PredictionsRead,
        Self::TrainingWrite,
        Self::PrivacyWrite,
        Self::Admin,
    ];

    /// The name that callers and operators write.
    pub const fn name(self) -> &'static str {
        match self {
            Self::EventsWrite => "events:write",
            Self::ProfilesRead => "profiles:read",
            Self::ProfilesPii => "profiles:pii",
            Self::PredictionsRead => "predictions:read",
            Self::TrainingWrite => "training:write",
            Self::PrivacyWrite => "privacy:write",
            Self::Admin => "admin",
        }
    }
}

/// A text that is no scope.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "a scope is one of events:write, profiles:read, profiles:pii, predictions:read, training:write, privacy:write, \
     admin"
)]
pub struct MalformedScope;

impl FromStr for Scope {
    type Err = MalformedScope;

    fn from_str(text: &str) -> Result<Self, MalformedScope> {
        Self::ALL.into_iter().find(|scope| scope.name() == text).ok_or(MalformedScope)
    }
}

/// A set of scopes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Scopes(u8);

impl Scopes {
    /// Every scope: what a caller has where nobody is asked for a credential.
    pub const ALL: Self = Self::of(&Scope::ALL);

    /// The set of these scopes.
    pub const fn of(scopes: &[Scope]) -> Self {
        let (mut bits, mut at) = (0, 0);
        while at < scopes.len() {
            bits |= 1 << scopes[at] as u8;
            at += 1;
        }
        Self(bits)
    }

    /// Whether the scope is one of the set.
    pub const fn has(self, scope: Scope) -> bool {
        self.0 & (1 << scope as u8) != 0
    }

    /// Whether every scope of `others` is one of the set.
    pub const fn has_all(self, others: Self) -> bool {
        self.0 & others.0 == others.0
    }

    /// Whether there is none.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// The scopes of the set, in the order of their numbers.
    pub fn iter(self) -> impl Iterator<Item = Scope> {
        Scope::ALL.into_iter().filter(move |scope| self.has(*scope))
    }
}

impl FromIterator<Scope> for Scopes {
    fn from_iter<I: IntoIterator<Item = Scope>>(scopes: I) -> Self {
        scopes.into_iter().fold(Self::default(), |set, scope| Self(set.0 | Self::of(&[scope]).0))
    }
}

impl fmt::Display for Scopes {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<&str> = self.iter().map(Scope::name).collect();
        formatter.write_str(&names.join(", "))
    }
}

/// On whose behalf a credential speaks: one workspace, and what may be done in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Principal {
    /// The only workspace that the credential reaches.
    pub workspace: WorkspaceId,
    /// What it may do there.
    pub scopes: Scopes,
    /// By what name the audit log knows it: the kind of credential and who it was given to, and never the credential.
    pub name: SmolStr,
}

/// A key as it is kept: never its secret, only a keyed digest of it.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ApiKey {
    /// Names the key among those of all workspaces. It is the middle part of the key and no secret.
    pub id: String,
    /// What the key may do.
    pub scopes: Scopes,
    /// What the key is for, in the operator's words.
    pub display_name: String,
    /// The digest of the secret under the server's own key.
    pub digest: [u8; 32],
    /// When it was made.
    pub create_time: Timestamp,
    /// From when on it is refused; `None` is never.
    pub expire_time: Option<Timestamp>,
    /// When somebody ended it; from then on it is refused.
    pub revoke_time: Option<Timestamp>,
}

impl ApiKey {
    /// Whether the key is accepted at a time.
    pub fn is_live(&self, now: Timestamp) -> bool {
        self.revoke_time.is_none() && self.expire_time.is_none_or(|expire| now < expire)
    }
}

impl fmt::Debug for ApiKey {
    /// Shows no digest: nobody needs to see one, and a log is no place for it.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut fields = formatter.debug_struct("ApiKey");
        fields.field("id", &self.id).field("scopes", &self.scopes).field("revoke_time", &self.revoke_time);
        fields.finish_non_exhaustive()
    }
}

/// When a key was last seen in use, kept apart from the key because it changes by itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ApiKeyUse {
    /// Which key.
    pub id: String,
    /// When, to about an hour.
    pub time: Timestamp,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scopes_are_read_as_they_are_written_and_include_no_other() {
        for scope in Scope::ALL {
            assert_eq!(scope.name().parse(), Ok(scope));
            let alone = Scopes::of(&[scope]);
            assert_eq!(alone.iter().collect::<Vec<_>>(), [scope]);
            assert_eq!(Scopes::from_iter([scope, scope]), alone);
        }
        assert_eq!("Admin".parse::<Scope>(), Err(MalformedScope));
        assert!(Scopes::ALL.has_all(Scopes::of(&[Scope::Admin])) && Scopes::default().is_empty());
        assert_eq!(Scopes::of(&[Scope::Admin, Scope::EventsWrite]).to_string(), "events:write, admin");
    }

    #[test]
    fn the_refusal_of_a_scope_names_all_of_them() {
        let sentence = MalformedScope.to_string();
        assert!(Scope::ALL.iter().all(|scope| sentence.contains(scope.name())), "{sentence}");
    }

    #[test]
    fn a_key_is_live_until_it_expires_or_is_revoked() {
        let at = Timestamp::from_micros;
        let key = ApiKey {
            id: "a".to_owned(),
            scopes: Scopes::ALL,
            display_name: String::new(),
            digest: [0; 32],
            create_time: at(0),
            expire_time: None,
            revoke_time: None,
        };
        assert!(key.is_live(at(i64::MAX)));
        let expiring = ApiKey { expire_time: Some(at(5)), ..key.clone() };
        assert!(expiring.is_live(at(4)) && !expiring.is_live(at(5)));
        assert!(!ApiKey { revoke_time: Some(at(5)), ..key }.is_live(at(1)));
    }
}
