//! Whether two indexes say the same, key by key.

use super::disk::Bytes;
use super::layers::Index;
use crate::store::Result;

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
        differing += u64::from(is_left != is_right || left != right);
        if is_left {
            left = ones.next()?;
        }
        if is_right {
            right = others.next()?;
        }
    }
    Ok(differing)
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
