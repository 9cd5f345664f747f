//! Files that are looked up by a key while the main file is read. They are held in memory.

use std::collections::{HashMap, HashSet};
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context as _, ensure};
use csv::StringRecord;

use super::asked::Asked;
use super::fault::Fault;
use super::mapping::{JoinSpec, Mapping};
use super::rows::Pace;
use super::sheet::Sheet;
use super::source::Source;

/// Names that mean something else where a join's name could stand.
const RESERVED: [&str; 3] = ["line", "row", "file"];

/// One joined file.
pub struct Table {
    /// The name under which a mapping refers to it.
    pub name: String,
    /// Its file's name.
    pub file: Arc<str>,
    /// The names of its columns.
    pub header: Vec<String>,
    /// What columns it has, for messages.
    pub known: String,
    /// The name of the key's column in the file that looks it up.
    pub with: String,
    /// Whether a key may have several lines.
    pub many: bool,
    lines: Vec<StringRecord>,
    by_key: HashMap<String, Vec<u32>>,
    /// Keys of damaged lines: what leads to one of them would be incomplete.
    damaged: HashSet<String>,
}

impl Table {
    /// Reads all joined files of a mapping; broken lines are reported in `faults` and left out.
    ///
    /// # Errors
    /// When a file cannot be read, has no such column or the join's name is taken.
    pub fn load_all(mapping: &Mapping, folder: &Path, faults: &mut Vec<Fault>) -> anyhow::Result<Vec<Self>> {
        let asked = Asked::of(mapping)?;
        let load = |join: &JoinSpec| {
            let name = &join.name;
            ensure!(!RESERVED.contains(&name.as_str()), "join: the name `{name}` has a meaning of its own");
            let source = Source::File(folder.join(&join.file));
            let sheet = Sheet::open(&source, &mapping.csv, &asked.of_join(join));
            Self::load(join, &sheet.with_context(|| format!("join `{name}`"))?, faults)
        };
        mapping.join.iter().map(load).collect()
    }

    fn load(join: &JoinSpec, sheet: &Sheet, faults: &mut Vec<Fault>) -> anyhow::Result<Self> {
        let key = sheet.header().iter().position(|name| *name == join.on);
        let key = key.with_context(|| {
            format!("join `{}`: {} has no column `{}`; {}", join.name, sheet.file(), join.on, sheet.known())
        })?;
        let mut table = Self {
            name: join.name.clone(),
            file: sheet.file().clone(),
            header: sheet.header().to_vec(),
            known: sheet.known().to_owned(),
            with: join.with.clone().unwrap_or_else(|| join.on.clone()),
            many: join.many,
            lines: Vec::new(),
            by_key: HashMap::new(),
            damaged: HashSet::new(),
        };
        let mut rows = sheet.rows(&Pace::default())?;
        while let Some(row) = rows.next_row()? {
            match row {
                Ok(row) => table.add(row.record, key, row.line, faults),
                Err(damaged) => {
                    faults.push(damaged.fault);
                    table.damaged.extend(damaged.row.record.get(key).map(|key| key.trim().to_owned()));
                }
            }
        }
        Ok(table)
    }

    fn add(&mut self, record: StringRecord, key: usize, line: u64, faults: &mut Vec<Fault>) {
        let value = record.get(key).unwrap_or_default().trim();
        if value.is_empty() {
            return;
        }
        let lines = self.by_key.entry(value.to_owned()).or_default();
        if lines.is_empty() || self.many {
            lines.push(u32::try_from(self.lines.len()).unwrap_or(u32::MAX));
            self.lines.push(record);
        } else {
            let fault = "repeats a key, and the join is not marked `many`; the first line counts".to_owned();
            let column = Some(self.header[key].clone());
            faults.push(Fault { file: self.file.clone(), line, column, fault, group_lines: None });
        }
    }

    /// The lines that have a key, in the order of the file.
    pub fn lines_of(&self, key: &str) -> &[u32] {
        self.by_key.get(key).map_or(&[], Vec::as_slice)
    }

    /// Whether a line with this key is damaged.
    pub fn is_damaged(&self, key: &str) -> bool {
        self.damaged.contains(key)
    }

    /// One line.
    pub fn line(&self, line: u32) -> Option<&StringRecord> {
        self.lines.get(line as usize)
    }
}
