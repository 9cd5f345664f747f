//! Whether two indexes say the same, key by key.

use super::disk::Bytes;
use super::keys::{self, About};
use super::layers::{Index, Source as _};
use crate::store::Result;
use crate::store::embedded::entry::is_erased;

/// Entries that are read at a time.
const PAGE: usize = 1_000;

/// Bytes of keys and values after which the walk reports.
type Step<'a> = &'a mut dyn FnMut(u64) -> Result<()>;

/// Entries that only one of two indexes has, or of which they hold different values. Both have come to the same commit.
/// Seen events are not compared, because of those that left the window some are still there, as it happened to come.
pub(in crate::store::embedded) fn difference(one: &Index, other: &Index, step: Step<'_>) -> Result<u64> {
    let (mut ones, mut others) = (Walk::new(one), Walk::new(other));
    let (mut left, mut right) = (ones.next()?, others.next()?);
    let mut differing = 0;
    while left.is_some() || right.is_some() {
        let (is_left, is_right) = match (&left, &right) {
            (Some((left, _)), Some((right, _))) => (left <= right, right <= left),
            (left, right) => (left.is_some(), right.is_some()),
        };
        if let Some((key, value)) = left.as_ref().filter(|_| is_left) {
            step((key.len() + value.len()) as u64)?;
        }
        let differ = is_left != is_right || left != right;
        let says = |entry: &Option<(Bytes, Bytes)>, is_it: bool| -> Result<bool> {
            let Some((key, value)) = entry.as_ref().filter(|_| is_it) else { return Ok(false) };
            Ok(!says_nothing(one, (key, value))? && !says_nothing(other, (key, value))?)
        };
        // What is left of forgotten customers is not the same in an index that never knew them.
        differing += u64::from(differ && (says(&left, is_left)? || says(&right, is_right)?));
        if is_left {
            left = ones.next()?;
        }
        if is_right {
            right = others.next()?;
        }
    }
    Ok(differing)
}

/// Whether an entry is about a customer who is forgotten.
fn says_nothing(index: &Index, (key, value): (&[u8], &[u8])) -> Result<bool> {
    Ok(match keys::about(key, value) {
        Some(About::Part(profile)) => index.get(&profile)?.is_some_and(|entry| is_erased(&entry)),
        Some(About::Sealed(sealed)) => index.vault().is_forgotten(sealed),
        None => false,
    })
}

/// All entries of an index in the order of their keys.
struct Walk<'a> {
    index: &'a Index,
    page: std::vec::IntoIter<(Bytes, Bytes)>,
    last: Bytes,
}

impl<'a> Walk<'a> {
    fn new(index: &'a Index) -> Self {
        Self { index, page: Vec::new().into_iter(), last: Bytes::default() }
    }

    fn next(&mut self) -> Result<Option<(Bytes, Bytes)>> {
        if self.page.as_slice().is_empty() {
            self.page = self.index.page(&[], Some(&self.last), PAGE)?.into_iter();
        }
        let next = self.page.next();
        if let Some((key, _)) = &next {
            self.last = key.clone();
        }
        Ok(next)
    }
}
