//! Whether a checkpoint is whole.

use std::path::Path;

use super::file::Reader;
use crate::store::Result;
use crate::store::embedded::manifest::StoreId;
use crate::store::embedded::meter::Meter;

/// Reads a checkpoint of a store to its end.
///
/// # Errors
/// For what is wrong with it first: [`Error::Damaged`](crate::store::Error::Damaged) with the place, or
/// [`Error::Format`](crate::store::Error::Format).
pub(in crate::store::embedded) fn check(path: &Path, store: StoreId, meter: &mut Meter<'_>) -> Result<()> {
    let mut reader = Reader::open(path, store)?;
    while let Some(block) = reader.next()? {
        meter.add(block.entries().map(|(_, key, value)| key.len() + value.len()).sum::<usize>() as u64)?;
    }
    Ok(())
}
