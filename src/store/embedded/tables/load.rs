//! Taking up the tables of an index that is opened.

use std::fs;
use std::path::Path;

use super::table::{Label, Table};
use super::tables::Tables;
use crate::store::Result;
use crate::store::embedded::codec;
use crate::store::embedded::files::{self, failed};
use crate::store::embedded::index::Disk;
use crate::store::embedded::index::keys::{self, Family};

/// Opens the tables that the list of a family names. Nothing is written.
pub(in crate::store::embedded) fn load(disk: &Disk, family: Family) -> Result<Tables> {
    let labels: Vec<Label> = match disk.get(&keys::table_list(family))? {
        Some(list) => codec::decode("the list of tables", &list)?,
        None => Vec::new(),
    };
    let list = labels.into_iter().map(|label| Table::open(disk.tables(), family, label));
    Ok(Tables { family, list: list.collect::<Result<_>>()? })
}

/// Removes the files of tables that were never finished, or whose removal did not come to its end: all that no list names.
pub(in crate::store::embedded) fn remove_leftovers(directory: &Path, lists: [&Tables; 2]) -> Result<()> {
    let known: Vec<_> = lists.iter().flat_map(|tables| tables.list.iter().map(|table| table.path())).collect();
    for entry in fs::read_dir(directory).map_err(failed("listing", directory))? {
        let path = entry.map_err(failed("listing", directory))?.path();
        if !known.contains(&path.as_path()) {
            files::give_up(&path).map_err(failed("removing", &path))?;
        }
    }
    Ok(())
}
