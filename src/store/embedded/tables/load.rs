//! Taking up the tables of an index that is opened.

use super::table::{Label, Table};
use super::tables::Tables;
use crate::store::Result;
use crate::store::embedded::codec;
use crate::store::embedded::index::Disk;
use crate::store::embedded::index::keys::{self, Family};

/// Reads the list with the fences and the filter of each table, and finds what merges left that were not finished. Nothing is written:
/// on a full disk sled does not survive that.
pub(in crate::store::embedded) fn load(disk: &Disk, family: Family) -> Result<Tables> {
    let labels: Vec<Label> = match disk.get(&keys::table_list(family))? {
        Some(list) => codec::decode("the list of tables", &list)?,
        None => Vec::new(),
    };
    let leftovers = leftovers(disk, family, &labels)?;
    let list: Result<_> = labels.into_iter().map(|label| Table::load(disk, family, label)).collect();
    Ok(Tables { family, list: list?, leftovers })
}

/// Tables that no list names, each once.
fn leftovers(disk: &Disk, family: Family, labels: &[Label]) -> Result<Vec<u64>> {
    let mut leftovers = Vec::new();
    for of_table in [keys::blocks, keys::fences_of, keys::filter_of] {
        let mut from = Some(0);
        while let Some(next) = from
            && let Some((key, _)) = disk.from(&of_table(family, next)).next().transpose()?
            && let Some(found) = keys::parse_table(family, of_table, &key)
        {
            if labels.iter().all(|label| label.id != found) && !leftovers.contains(&found) {
                leftovers.push(found);
            }
            from = found.checked_add(1);
        }
    }
    Ok(leftovers)
}
