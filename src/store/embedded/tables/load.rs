//! Taking up the tables of an index that is opened.

use super::table::{Label, Table};
use super::tables::Tables;
use crate::store::Result;
use crate::store::embedded::codec;
use crate::store::embedded::index::keys::{self, Family};
use crate::store::embedded::index::{Batch, Disk};

/// Reads the list with the fences of each table, and removes the leftovers of merges that were not finished.
pub(in crate::store::embedded) fn load(disk: &Disk, family: Family) -> Result<Tables> {
    let labels: Vec<Label> = match disk.get(&keys::table_list(family))? {
        Some(list) => codec::decode("the list of tables", &list)?,
        None => Vec::new(),
    };
    sweep(disk, family, &labels)?;
    let list: Result<_> = labels.into_iter().map(|label| Table::load(disk, family, label)).collect();
    Ok(Tables { family, list: list? })
}

/// Removes tables that no list names.
fn sweep(disk: &Disk, family: Family, labels: &[Label]) -> Result<()> {
    for of_table in [keys::blocks, keys::fences_of] {
        let mut table = 0;
        while let Some((key, _)) = disk.from(&of_table(family, table)).next().transpose()? {
            let Some(found) = keys::parse_table(family, of_table, &key) else { break };
            if labels.iter().all(|label| label.id != found) {
                remove(disk, &of_table(family, found))?;
            }
            table = found + 1;
        }
    }
    Ok(())
}

fn remove(disk: &Disk, prefix: &[u8]) -> Result<()> {
    let mut batch = Batch::default();
    for item in disk.from(prefix) {
        let (key, _) = item?;
        if !key.starts_with(prefix) {
            break;
        }
        batch.remove(key);
    }
    disk.apply(batch)
}
