//! Whether two indexes say the same, key by key.

use super::disk::{Bytes, Disk, Torn};
use super::keys;
use super::layers::Index;
use crate::store::{Error, Result};

/// Bytes of keys and values after which the walk reports.
type Step<'a> = &'a mut dyn FnMut(u64) -> Result<()>;

/// Entries that only one of two indexes has, or of which they hold different values. Both have come to the same commit
/// and have everything in sled. Seen events are not compared, because they lie in runs as it happened to come.
pub(in crate::store::embedded) fn difference(one: &Index, other: &Index, step: Step<'_>) -> Result<u64> {
    let (mut ones, mut others) = (entries(&one.disk), entries(&other.disk));
    let (mut left, mut right) = (ones.next().transpose()?, others.next().transpose()?);
    let mut differing = 0;
    while left.is_some() || right.is_some() {
        let (is_left, is_right) = match (&left, &right) {
            (Some((left, _)), Some((right, _))) => (left <= right, right <= left),
            (left, right) => (left.is_some(), right.is_some()),
        };
        if is_left != is_right {
            differing += 1;
        } else if let (Some((key, left)), Some((_, right))) = (&left, &right) {
            step((key.len() + left.len()) as u64)?;
            let (left, right) = (value(&one.disk, key, left)?, value(&other.disk, key, right)?);
            differing += u64::from(left.is_none() || left != right);
        }
        if is_left {
            left = ones.next().transpose()?;
        }
        if is_right {
            right = others.next().transpose()?;
        }
    }
    Ok(differing)
}

/// What readers ask for: everything of the workspaces, and their list. Parts of values come with their values.
fn entries(disk: &Disk) -> impl Iterator<Item = Result<(Bytes, Bytes)>> {
    disk.raw_from(&[]).filter(|entry| match entry {
        Ok((key, _)) => key.starts_with(&keys::WORKSPACES) || keys::is_of_a_workspace(key),
        Err(_) => true,
    })
}

/// The whole value; `None` where parts of it are missing or damaged.
fn value(disk: &Disk, key: &[u8], stored: &Bytes) -> Result<Option<Bytes>> {
    match disk.whole(key, stored) {
        Ok(value) => Ok(Some(value)),
        Err(Torn::Parts | Torn::Failed(Error::Index(_))) => Ok(None),
        Err(Torn::Failed(error)) => Err(error),
    }
}
