//! The root key, and the master key that it is sealed with.

use std::fmt;
use std::path::Path;

use ring::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use ring::rand::{SecureRandom as _, SystemRandom};
use serde::{Deserialize, Serialize};

use crate::store::embedded::codec;
use crate::store::embedded::files::{self, damaged};
use crate::store::{Error, Result};

/// The file in the folder of keys.
pub(super) const NAME: &str = "root";
const MAGIC: [u8; 4] = *b"RPKR";
const FORMAT: u32 = 1;
/// What the seal of the root key is bound to.
const LABEL: &[u8] = b"rapport root key";

/// 256 bits.
pub(super) type Key = [u8; 32];

/// Keys from outside of the data directory. The first seals the root key; any of them may have sealed it until now, so
/// that a key gives way to another one by standing behind it for one start.
#[derive(Clone, Default)]
pub struct MasterKeys(Vec<Key>);

impl MasterKeys {
    /// These keys, the present one first.
    pub fn new(keys: Vec<Key>) -> Self {
        Self(keys)
    }
}

impl fmt::Debug for MasterKeys {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "MasterKeys({})", self.0.len())
    }
}

/// What the file holds.
#[derive(Serialize, Deserialize)]
enum Stored {
    /// The key, for want of a master key.
    Bare(Key),
    /// Nonce, and the key with its tag.
    Sealed([u8; 12], Vec<u8>),
}

/// 256 bits that nobody can guess. They are drawn here and not by the context of the application: what a test's context
/// draws can be foretold, and must never be the key of anything.
pub(super) fn draw() -> Result<Key> {
    let mut key = Key::default();
    let failed = |_| Error::Refused("the operating system gives no random bytes to make a key of".to_owned());
    SystemRandom::new().fill(&mut key).map_err(failed)?;
    Ok(key)
}

/// Reads the root key or makes one, and seals it with the present master key if it is not yet.
pub(super) fn open(directory: &Path, masters: &MasterKeys) -> Result<Key> {
    let path = directory.join(NAME);
    let Some((root, sealed_by)) = read(&path, masters)? else {
        let root = draw()?;
        write(&path, &root, masters)?;
        return Ok(root);
    };
    if sealed_by != (!masters.0.is_empty()).then_some(0) {
        write(&path, &root, masters)?;
    }
    Ok(root)
}

/// Reads the root key, or draws one for nothing where there is none.
pub(super) fn look(directory: &Path, masters: &MasterKeys) -> Result<Key> {
    read(&directory.join(NAME), masters)?.map_or_else(draw, |(root, _)| Ok(root))
}

/// The root key, and which of the master keys it is sealed with; `None` where there is no root key.
fn read(path: &Path, masters: &MasterKeys) -> Result<Option<(Key, Option<usize>)>> {
    let Some(file) = files::read(path)? else { return Ok(None) };
    let (format, content) = codec::open_file(MAGIC, &file).map_err(|what| damaged(path, 0, what))?;
    if format != FORMAT {
        return Err(Error::Format { file: path.display().to_string(), found: format, supported: FORMAT });
    }
    let stored: Stored =
        codec::decode("the root key", content).map_err(|_| damaged(path, 0, "the root key cannot be read"))?;
    Ok(Some(match stored {
        Stored::Bare(root) => (root, None),
        Stored::Sealed(nonce, sealed) => {
            let opened = masters.0.iter().position(|master| unseal(master, nonce, &sealed).is_some());
            let root = opened.and_then(|position| unseal(&masters.0[position], nonce, &sealed));
            (root.ok_or_else(|| Error::Refused(no_master(masters)))?, opened)
        }
    }))
}

fn no_master(masters: &MasterKeys) -> String {
    let what = if masters.0.is_empty() { "no master key is set" } else { "the master key is another one" };
    format!(
        "the data are sealed and {what}: set encryption.key_file (or RAPPORT_ENCRYPTION_KEY) to the key that this data \
         directory, or the one that the backup is of, was written with"
    )
}

fn write(path: &Path, root: &Key, masters: &MasterKeys) -> Result<()> {
    let stored = match masters.0.first() {
        None => Stored::Bare(*root),
        Some(master) => {
            let (drawn, mut nonce, mut sealed) = (draw()?, [0; 12], root.to_vec());
            nonce.copy_from_slice(&drawn[..12]);
            let cipher = cipher(master).ok_or_else(too_short)?;
            let at = Nonce::assume_unique_for_key(nonce);
            cipher.seal_in_place_append_tag(at, Aad::from(LABEL), &mut sealed).map_err(|_| too_short())?;
            Stored::Sealed(nonce, sealed)
        }
    };
    files::write_atomically(path, &codec::seal_file(MAGIC, FORMAT, &codec::encode(&stored)?))
}

fn unseal(master: &Key, nonce: [u8; 12], sealed: &[u8]) -> Option<Key> {
    let mut root = sealed.to_vec();
    let opened = cipher(master)?.open_in_place(Nonce::assume_unique_for_key(nonce), Aad::from(LABEL), &mut root);
    opened.ok()?.try_into().ok().map(|root: &mut Key| *root)
}

/// The cipher of a key.
pub(super) fn cipher(key: &Key) -> Option<LessSafeKey> {
    UnboundKey::new(&AES_256_GCM, key).ok().map(LessSafeKey::new)
}

fn too_short() -> Error {
    Error::Index("a key has not the length of its cipher".to_owned())
}
