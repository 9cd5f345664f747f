//! CSV to rows. A cell may hold the end of a line, so that only who reads a file from its beginning knows where its rows
//! end; that is done on one thread.

use std::io::BufRead;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::Context as _;
use csv::{ByteRecord, ErrorKind, StringRecord};

use super::chunks::CHUNK_BYTES;
use super::fault::Fault;
use super::mapping::CsvSpec;
use super::rows::{Batch, Damaged, Read, Row};
use super::source::Opened;

/// The rows of a CSV file, in batches. Nothing comes after a failure.
pub struct CsvRows {
    reader: csv::Reader<Box<dyn BufRead + Send>>,
    read_bytes: Arc<AtomicU64>,
    file: Arc<str>,
    header: Vec<String>,
    line: u64,
    ended: bool,
}

impl CsvRows {
    /// Reads the header of an opened file.
    ///
    /// # Errors
    /// When the file cannot be read, has no header or names a column twice.
    pub fn new(file: Arc<str>, opened: Opened, csv: &CsvSpec) -> anyhow::Result<Self> {
        let Opened { reader, read_bytes } = opened;
        let delimiter = u8::try_from(csv.delimiter).ok().filter(u8::is_ascii).context("csv.delimiter must be ASCII")?;
        let mut reader = csv::ReaderBuilder::new().delimiter(delimiter).from_reader(reader);
        let header = reader.headers().with_context(|| format!("{file}: the header"))?;
        let header: Vec<String> = header.iter().map(|name| name.trim().to_owned()).collect();
        anyhow::ensure!(!header.is_empty(), "{file} is empty; its first line must name the columns");
        if let Some(twice) = header.iter().enumerate().find(|(position, name)| header[..*position].contains(name)) {
            anyhow::bail!("{file} has two columns named `{}`", twice.1);
        }
        Ok(Self { reader, read_bytes, file, header, line: 1, ended: false })
    }

    /// The names of the columns.
    pub fn header(&self) -> &[String] {
        &self.header
    }

    fn next_row(&mut self) -> anyhow::Result<Option<Read>> {
        let mut bytes = ByteRecord::new();
        let length = match self.reader.read_byte_record(&mut bytes) {
            Ok(false) => return Ok(None),
            Ok(true) => None,
            Err(error) => match error.kind() {
                ErrorKind::UnequalLengths { expected_len, len, .. } => {
                    Some(format!("has {len} cells; the header has {expected_len}"))
                }
                _ => anyhow::bail!("{} cannot be read after line {}: {error}", self.file, self.line),
            },
        };
        self.line = bytes.position().map_or(self.line, csv::Position::line);
        let row = |record| Row { record, lists: Vec::new(), line: self.line, number: 0 };
        Ok(Some(match (length, StringRecord::from_byte_record(bytes)) {
            (None, Ok(record)) => Ok(row(record)),
            (Some(fault), Ok(record)) => Err(self.damaged(row(record), None, fault)),
            (length, Err(error)) => {
                let column = self.header.get(error.utf8_error().field()).filter(|_| length.is_none()).cloned();
                let record = StringRecord::from_byte_record_lossy(error.into_byte_record());
                let fault = length.unwrap_or_else(|| "is not written in UTF-8".to_owned());
                Err(self.damaged(row(record), column, fault))
            }
        }))
    }

    fn damaged(&self, row: Row, column: Option<String>, fault: String) -> Box<Damaged> {
        let fault = Fault { file: self.file.clone(), line: row.line, column, fault, group_lines: None };
        Box::new(Damaged { fault, row })
    }

    fn next_batch(&mut self) -> anyhow::Result<Batch> {
        let mut rows = Vec::new();
        let start = self.reader.position().byte();
        while self.reader.position().byte() - start < CHUNK_BYTES as u64 {
            match self.next_row()? {
                Some(row) => rows.push(row),
                None => {
                    self.ended = true;
                    break;
                }
            }
        }
        Ok(Batch { rows, read_bytes: self.read_bytes.swap(0, Ordering::Relaxed) })
    }
}

impl Iterator for CsvRows {
    type Item = anyhow::Result<Batch>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.ended {
            return None;
        }
        let batch = self.next_batch();
        self.ended |= batch.is_err();
        Some(batch)
    }
}
