//! Whether everything that the index says of events is still there.

use crate::domain::id::Revision;
use crate::store::Result;
use crate::store::embedded::entry::Entry;
use crate::store::embedded::index::Index;
use crate::store::embedded::index::keys::{self, Placing};
use crate::store::embedded::meter::Meter;
use crate::store::embedded::timeline;

/// Entries that are read at a time.
const PAGE: usize = 1_000;

/// How many events of timelines lie before the first segment of the journal.
pub(super) fn missing(index: &Index, first: Revision, meter: &mut Meter<'_>) -> Result<u64> {
    let (mut missing, mut after) = (0, Vec::new());
    loop {
        let page = index.page(&[], Some(&after), PAGE)?;
        for (key, value) in &page {
            let places = match keys::placing(key) {
                Some(Placing::Profile) => Entry::decode(value)?.head.tail,
                Some(Placing::Block) => timeline::decode_block(value)?,
                None => continue,
            };
            missing += places.iter().filter(|at| at.segment < first.0).count() as u64;
        }
        meter.add(0)?;
        match page.last() {
            Some((last, _)) => after = last.to_vec(),
            None => return Ok(missing),
        }
    }
}
