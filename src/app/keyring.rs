//! The keys that programs show, in memory: whoever asks is known without a read of the store.

use std::collections::HashMap;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use super::application::App;
use super::error::Result;
use crate::domain::access::{ApiKey, ApiKeyUse, Principal};
use crate::domain::fact::{Document, DocumentKind, Fact};
use crate::domain::id::WorkspaceId;
use crate::domain::time::Timestamp;

/// What every key begins with, so that scanners of repositories and logs find one that was left there.
const PREFIX: &str = "rpk_";
/// Microseconds between two notes of a key's use in memory: a hot key must not write to one place on every request.
const NOTE_MICROS: i64 = 60 * 1_000_000;
/// Microseconds between two documents about a key's use.
const STORE_MICROS: i64 = 3_600 * 1_000_000;

/// The server's own key, under which the digests of all secrets are made. Without it nobody can make up a digest that
/// fits a secret, not even who can write to the journal or to a backup of it.
#[derive(Clone)]
pub struct DigestKey([u8; 32]);

/// All keys of all workspaces by their ids, revoked ones included.
pub(super) struct Keyring {
    digest_key: DigestKey,
    keys: RwLock<HashMap<String, Arc<HeldKey>>>,
}

/// A key, and when it was used.
#[derive(Debug)]
pub(super) struct HeldKey {
    pub(super) principal: Arc<Principal>,
    pub(super) key: RwLock<ApiKey>,
    used: AtomicI64,
    stored: AtomicI64,
}

/// Proof that somebody may ask, for as long as it is live.
#[derive(Debug, Clone)]
pub struct Credential {
    /// On whose behalf it speaks.
    pub principal: Arc<Principal>,
    life: Life,
}

#[derive(Debug, Clone)]
enum Life {
    Connection,
    Key(Arc<HeldKey>),
    Until(Timestamp),
}

impl DigestKey {
    /// A key from its bytes, which must be random.
    pub fn new(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The digest of a key's secret. The id goes into it, so that a digest fits one key only.
    pub(super) fn digest(&self, id: &str, secret: &[u8; 32]) -> blake3::Hash {
        blake3::Hasher::new_keyed(&self.0).update(secret).update(id.as_bytes()).finalize()
    }
}

impl std::fmt::Debug for DigestKey {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("DigestKey(…)")
    }
}

impl Credential {
    /// One that lives as long as the connection that showed it, such as a certificate.
    pub fn of_connection(principal: Arc<Principal>) -> Self {
        Self { principal, life: Life::Connection }
    }

    /// One that says itself when it ends, such as a token.
    pub fn until(principal: Arc<Principal>, end: Timestamp) -> Self {
        Self { principal, life: Life::Until(end) }
    }

    /// Whether it is still accepted. A long answer asks again and again.
    pub fn is_live(&self, now: Timestamp) -> bool {
        match &self.life {
            Life::Connection => true,
            Life::Key(held) => held.is_live(now),
            Life::Until(end) => now < *end,
        }
    }
}

impl HeldKey {
    fn new(workspace: WorkspaceId, key: ApiKey) -> Self {
        let name = format!("key:{}", key.id).into();
        let principal = Arc::new(Principal { workspace, scopes: key.scopes, name });
        let never = || AtomicI64::new(i64::MIN);
        Self { principal, key: RwLock::new(key), used: never(), stored: never() }
    }

    fn is_live(&self, now: Timestamp) -> bool {
        self.key.read().unwrap_or_else(PoisonError::into_inner).is_live(now)
    }

    fn note_use(&self, now: Timestamp) {
        let micros = now.as_micros();
        if micros.saturating_sub(self.used.load(Ordering::Relaxed)) >= NOTE_MICROS {
            self.used.store(micros, Ordering::Relaxed);
        }
    }

    /// When the key was last used, to about a minute; `None` is never, as far as anybody knows.
    pub(super) fn last_use(&self) -> Option<Timestamp> {
        Some(self.used.load(Ordering::Relaxed)).filter(|micros| *micros != i64::MIN).map(Timestamp::from_micros)
    }
}

impl Keyring {
    pub(super) fn new(digest_key: DigestKey) -> Self {
        Self { digest_key, keys: RwLock::default() }
    }

    pub(super) fn digest_key(&self) -> &DigestKey {
        &self.digest_key
    }

    pub(super) fn is_empty(&self) -> bool {
        self.keys.read().unwrap_or_else(PoisonError::into_inner).is_empty()
    }

    pub(super) fn get(&self, id: &str) -> Option<Arc<HeldKey>> {
        self.keys.read().unwrap_or_else(PoisonError::into_inner).get(id).cloned()
    }

    /// Holds a key as it is from now on.
    pub(super) fn put(&self, workspace: &WorkspaceId, key: ApiKey) {
        let mut keys = self.keys.write().unwrap_or_else(PoisonError::into_inner);
        match keys.get(&key.id) {
            // Answers that are under way hold the same one, so that its end reaches them too.
            Some(held) => *held.key.write().unwrap_or_else(PoisonError::into_inner) = key,
            None => drop(keys.insert(key.id.clone(), Arc::new(HeldKey::new(workspace.clone(), key)))),
        }
    }

    /// Who shows this key, if it is one of ours and live.
    fn authenticate(&self, shown: &str, now: Timestamp) -> Option<Credential> {
        let (id, secret) = parse(shown)?;
        // Made before the key is looked up, so that the time of an answer does not tell which ids there are.
        let digest = self.digest_key.digest(id, &secret);
        let held = self.get(id)?;
        let kept = {
            let key = held.key.read().unwrap_or_else(PoisonError::into_inner);
            key.is_live(now).then(|| blake3::Hash::from_bytes(key.digest))
        };
        // The comparison of hashes takes the same time wherever they differ.
        if kept? != digest {
            return None;
        }
        held.note_use(now);
        Some(Credential { principal: Arc::clone(&held.principal), life: Life::Key(held) })
    }
}

impl App {
    /// Who shows this key: a lookup in memory. `None` for anything but a key that is live.
    pub fn authenticate(&self, shown: &str) -> Option<Credential> {
        self.keyring.authenticate(shown, self.context.now())
    }

    /// Whether a key was ever made. It stays so when all keys are revoked: the last revocation must not open the server.
    pub fn has_keys(&self) -> bool {
        !self.keyring.is_empty()
    }

    /// Reads the keys of all workspaces into memory.
    pub(super) async fn load_keys(&self) -> Result<()> {
        for workspace in self.store.workspaces().await? {
            for document in self.all_documents(&workspace, DocumentKind::ApiKey).await? {
                if let Document::ApiKey(key) = document {
                    self.keyring.put(&workspace, key);
                }
            }
            for document in self.all_documents(&workspace, DocumentKind::ApiKeyUse).await? {
                let Document::ApiKeyUse(ApiKeyUse { id, time }) = document else { continue };
                if let Some(held) = self.keyring.get(&id) {
                    held.used.store(time.as_micros(), Ordering::Relaxed);
                    held.stored.store(time.as_micros(), Ordering::Relaxed);
                }
            }
        }
        Ok(())
    }

    /// Writes down when keys were used, at most once an hour for each.
    ///
    /// # Errors
    /// When the store takes no writes; the next call makes up for it.
    pub async fn note_key_uses(&self) -> Result<()> {
        let held: Vec<_> = {
            let keys = self.keyring.keys.read().unwrap_or_else(PoisonError::into_inner);
            keys.iter().map(|(id, held)| (id.clone(), Arc::clone(held))).collect()
        };
        for (id, held) in held {
            let Some(time) = held.last_use() else { continue };
            if time.as_micros().saturating_sub(held.stored.load(Ordering::Relaxed)) < STORE_MICROS {
                continue;
            }
            let mut commit = self.new_commit_in(&held.principal.workspace);
            commit.facts.push(Fact::Document(Document::ApiKeyUse(ApiKeyUse { id, time })));
            self.store.commit(commit).await?;
            held.stored.store(time.as_micros(), Ordering::Relaxed);
        }
        Ok(())
    }
}

/// A key as it is handed out, once.
pub(super) fn compose(id: &str, secret: &[u8; 32]) -> String {
    use std::fmt::Write as _;
    secret.iter().fold(format!("{PREFIX}{id}_"), |mut text, byte| {
        let _infallible = write!(text, "{byte:02x}");
        text
    })
}

/// The id and the secret of a key; `None` for a text of another form.
pub(super) fn parse(shown: &str) -> Option<(&str, [u8; 32])> {
    let (id, digits) = shown.strip_prefix(PREFIX)?.split_once('_')?;
    let digits: &[u8; 64] = digits.as_bytes().try_into().ok()?;
    let mut secret = [0; 32];
    for (byte, pair) in secret.iter_mut().zip(digits.as_chunks::<2>().0) {
        *byte = digit(pair[0])? << 4 | digit(pair[1])?;
    }
    Some((id, secret))
}

/// Only the digits that we hand out, so that one key has one form.
fn digit(byte: u8) -> Option<u8> {
    match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::access::{Scope, Scopes};

    const SECRET: [u8; 32] = [0xa7; 32];

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_micros(seconds * 1_000_000)
    }

    fn key(ring: &Keyring, id: &str) -> ApiKey {
        ApiKey {
            id: id.to_owned(),
            scopes: Scopes::of(&[Scope::Admin]),
            display_name: String::new(),
            digest: *ring.digest_key().digest(id, &SECRET).as_bytes(),
            create_time: at(0),
            expire_time: Some(at(1_000)),
            revoke_time: None,
        }
    }

    fn ring() -> Keyring {
        let ring = Keyring::new(DigestKey::new([1; 32]));
        let made = key(&ring, "k1");
        ring.put(&"acme".parse().expect("a name"), made);
        ring
    }

    #[test]
    fn a_key_is_known_in_its_one_form_and_until_its_end() {
        let ring = ring();
        let shown = compose("k1", &SECRET);
        let known = ring.authenticate(&shown, at(10)).expect("known");
        assert_eq!(known.principal.workspace.as_str(), "acme");
        assert!(known.is_live(at(999)) && !known.is_live(at(1_000)));
        assert!(ring.authenticate(&shown, at(1_000)).is_none(), "expired");
        for other in [
            shown.to_uppercase(),
            shown.replace("k1", "k2"),
            shown.replacen("a7", "a8", 1),
            shown[..shown.len() - 1].to_owned(),
            format!("{shown}0"),
            "rpk_k1_".to_owned(),
            "rpk_".to_owned(),
            String::new(),
            format!("rpk_k1_{}", "é".repeat(32)),
        ] {
            assert!(ring.authenticate(&other, at(10)).is_none(), "{other}");
        }
    }

    #[test]
    fn the_end_of_a_key_reaches_answers_that_are_under_way() {
        let ring = ring();
        let known = ring.authenticate(&compose("k1", &SECRET), at(10)).expect("known");
        ring.put(&"acme".parse().expect("a name"), ApiKey { revoke_time: Some(at(20)), ..key(&ring, "k1") });
        assert!(!known.is_live(at(20)));
        assert!(ring.authenticate(&compose("k1", &SECRET), at(20)).is_none());
        assert!(!ring.is_empty(), "a revoked key still says that keys are asked for");
    }

    #[test]
    fn a_digest_of_another_server_or_another_key_does_not_fit() {
        let ring = ring();
        let other = Keyring::new(DigestKey::new([2; 32]));
        other.put(&"acme".parse().expect("a name"), key(&ring, "k1"));
        assert!(other.authenticate(&compose("k1", &SECRET), at(10)).is_none());
        let moved = ApiKey { id: "k2".to_owned(), ..key(&ring, "k1") };
        ring.put(&"acme".parse().expect("a name"), moved);
        assert!(ring.authenticate(&compose("k2", &SECRET), at(10)).is_none());
    }

    #[test]
    fn a_use_is_noted_to_the_minute() {
        let ring = ring();
        let held = ring.get("k1").expect("held");
        assert_eq!(held.last_use(), None);
        for (second, noted) in [(100, 100), (130, 100), (160, 160)] {
            assert!(ring.authenticate(&compose("k1", &SECRET), at(second)).is_some());
            assert_eq!(held.last_use(), Some(at(noted)), "{second}");
        }
    }
}
