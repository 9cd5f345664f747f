//! The secrets of customers: slots of a file, each with 256 random bits, that are there before anybody gets them, so that
//! a new customer costs no sync of their own.
//!
//! ```text
//! slot    secret 32 bytes · checksum u32 of number and secret · zero u32
//! ```
//! A secret of zeros is a destroyed one. There are two files with the same slots; what is damaged in one is taken from
//! the other, and a secret that is destroyed in either is destroyed.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, RwLock};

use super::root::{Key, draw};
use crate::store::embedded::codec::u32_at;
use crate::store::embedded::files::{self, Appender, damaged, failed};
use crate::store::embedded::locks;
use crate::store::{Error, Result};

/// The number of a slot.
pub(in crate::store::embedded) type Slot = u32;

pub(super) const NAMES: [&str; 2] = ["slots", "slots.copy"];
const SLOT_BYTES: usize = 40;
/// Slots that are made at a time: each sync of both files is shared by so many customers.
const MADE_AT_ONCE: usize = 1_024;
/// The secret of a slot that was destroyed.
const DESTROYED: Key = [0; 32];

/// All slots.
#[derive(Debug)]
pub(super) struct Slots {
    secrets: RwLock<Vec<Key>>,
    making: Mutex<Making>,
}

#[derive(Debug)]
struct Making {
    paths: [PathBuf; 2],
    /// The next one that nobody has. What a process before made and did not give away is not given away any more: which
    /// those are, only it knew.
    next: usize,
}

impl Slots {
    /// Reads both files, and mends one by the other.
    pub(super) fn open(directory: &Path) -> Result<Self> {
        let slots = Self::look(directory)?;
        let whole = slots.whole();
        for path in slots.harmed()? {
            if path.exists() {
                tracing::warn!(file = %path.display(), "a file of keys is mended by the other one");
            }
            files::write_atomically(&path, &whole)?;
        }
        Ok(slots)
    }

    /// The files that do not hold what both together say.
    pub(super) fn harmed(&self) -> Result<Vec<PathBuf>> {
        let (whole, mut harmed) = (self.whole(), Vec::new());
        for path in &locks::lock(&self.making).paths {
            if files::read(path)?.as_ref() != Some(&whole) {
                harmed.push(path.clone());
            }
        }
        Ok(harmed)
    }

    /// What a file holds that is as it should be.
    fn whole(&self) -> Vec<u8> {
        let secrets = locks::read(&self.secrets);
        secrets.iter().enumerate().flat_map(|(number, secret)| slot(number, secret)).collect()
    }

    /// Reads both files.
    pub(super) fn look(directory: &Path) -> Result<Self> {
        let paths = NAMES.map(|name| directory.join(name));
        let found = [files::read(&paths[0])?, files::read(&paths[1])?];
        let secrets = parse(&paths[0], found.each_ref().map(|file| file.as_deref().unwrap_or_default()))?;
        let making = Mutex::new(Making { paths, next: secrets.len() });
        Ok(Self { secrets: RwLock::new(secrets), making })
    }

    /// A slot that nobody has.
    pub(super) fn draw(&self) -> Result<Slot> {
        let mut making = locks::lock(&self.making);
        let known = locks::read(&self.secrets).len();
        if making.next >= known {
            let made = make(&making.paths, known)?;
            locks::write(&self.secrets).extend(made);
        }
        let slot = Slot::try_from(making.next);
        making.next += 1;
        slot.map_err(|_| Error::Refused("there are no keys for further customers".to_owned()))
    }

    /// Destroys secrets, durably in both files: what was sealed with them is gone wherever a copy of it may be.
    pub(super) fn destroy(&self, slots: &[Slot]) -> Result<()> {
        let making = locks::lock(&self.making);
        for path in &making.paths {
            for number in slots.iter().map(|slot| *slot as usize) {
                files::overwrite(path, (number * SLOT_BYTES) as u64, &slot(number, &DESTROYED))?;
            }
            files::sync(path)?;
        }
        let mut secrets = locks::write(&self.secrets);
        for slot in slots {
            if let Some(secret) = secrets.get_mut(*slot as usize) {
                *secret = DESTROYED;
            }
        }
        Ok(())
    }

    /// The secrets of some slots; `None` where one of them is destroyed.
    pub(super) fn secrets(&self, slots: &[Slot]) -> std::result::Result<Option<Vec<Key>>, &'static str> {
        let known = locks::read(&self.secrets);
        let secret =
            |slot: &Slot| known.get(*slot as usize).copied().ok_or("something is sealed with a key that is not there");
        let secrets = slots.iter().map(secret).collect::<std::result::Result<Vec<_>, _>>()?;
        Ok(Some(secrets).filter(|secrets| !secrets.contains(&DESTROYED)))
    }
}

/// The secrets that both files together hold.
pub(in crate::store::embedded) fn parse(path: &Path, files: [&[u8]; 2]) -> Result<Vec<Key>> {
    let [count, copied] = files.map(|file| file.len() / SLOT_BYTES);
    let count = count.max(copied);
    let mut secrets = Vec::with_capacity(count);
    for number in 0..count {
        match agreed(files.map(|file| secret(file, number))) {
            Some(secret) => secrets.push(secret),
            None if number >= copied && was_being_made(files) => break,
            None => {
                let what = "the key of a customer is damaged in both files; restore a backup";
                return Err(damaged(path, (number * SLOT_BYTES) as u64, what));
            }
        }
    }
    Ok(secrets)
}

/// Whether the power may have gone while slots were made: the first file had got them, not durably yet, and the copy none of
/// them. Nobody was given one, so that what is damaged there is nobody's.
fn was_being_made([first, copy]: [&[u8]; 2]) -> bool {
    !copy.is_empty()
        && copy.len().is_multiple_of(SLOT_BYTES)
        && (copy.len()..=copy.len() + MADE_AT_ONCE * SLOT_BYTES).contains(&first.len())
}

/// Makes slots behind the known ones, durable in both files.
fn make(paths: &[PathBuf; 2], known: usize) -> Result<Vec<Key>> {
    let mut bytes = vec![0; MADE_AT_ONCE * size_of::<Key>()];
    blake3::Hasher::new_keyed(&draw()?).finalize_xof().fill(&mut bytes);
    let secrets: Vec<Key> = bytes.as_chunks().0.to_vec();
    let slots: Vec<u8> = secrets.iter().enumerate().flat_map(|(number, secret)| slot(known + number, secret)).collect();
    for path in paths {
        let append = || {
            if known == 0 {
                // Whole or not there: of the first slots nobody could tell whether they were being made.
                return files::write_atomically(path, &slots);
            }
            let mut file = Appender::open(path)?;
            // An attempt before may have ended for want of room.
            file.cut((known * SLOT_BYTES) as u64).map_err(failed("cutting", path))?;
            file.write_all(&slots).and_then(|()| file.sync()).map_err(failed("writing", path))
        };
        append()
            .map_err(|error: Error| if error.is_lack_of_room() { Error::DiskFull(error.to_string()) } else { error })?;
    }
    Ok(secrets)
}

fn slot(number: usize, secret: &Key) -> [u8; SLOT_BYTES] {
    let mut slot = [0; SLOT_BYTES];
    slot[..32].copy_from_slice(secret);
    slot[32..36].copy_from_slice(&checksum(number, secret).to_le_bytes());
    slot
}

/// The secret of a slot of a file; `None` where it is damaged or missing.
fn secret(file: &[u8], number: usize) -> Option<Key> {
    let slot = file.get(number * SLOT_BYTES..(number + 1) * SLOT_BYTES)?;
    let secret: Key = *slot.first_chunk()?;
    (u32_at(slot, 32) == checksum(number, &secret)).then_some(secret)
}

fn agreed(read: [Option<Key>; 2]) -> Option<Key> {
    match read {
        [Some(one), Some(other)] if one != other => Some(DESTROYED).filter(|_| [one, other].contains(&DESTROYED)),
        [one, other] => one.or(other),
    }
}

fn checksum(number: usize, secret: &Key) -> u32 {
    crc32c::crc32c_append(crc32c::crc32c(&(number as u64).to_le_bytes()), secret)
}
