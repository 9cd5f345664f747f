//! Reads CSV, plain or gzip, line by line, and says where a line is broken.

use std::borrow::Cow;
use std::fs::File;
use std::io::{self, BufRead as _, BufReader, Cursor, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::Context as _;
use csv::{ByteRecord, ErrorKind, StringRecord};
use flate2::bufread::MultiGzDecoder;

use super::fault::Fault;
use super::mapping::CsvSpec;

const GZIP_MAGIC: [u8; 2] = [0x1f, 0x8b];
const BUFFER_BYTES: usize = 64 << 10;

/// Something that can be read as a CSV file, more than once.
#[derive(Debug, Clone)]
pub enum Source {
    /// A file on disk.
    File(PathBuf),
    /// A file that is part of the program.
    Embedded {
        /// What to call it.
        name: &'static str,
        /// Its content.
        bytes: Cow<'static, [u8]>,
    },
}

impl Source {
    /// The name for messages and for `{file}`: without folders, so that it is the same wherever the file lies.
    pub fn name(&self) -> String {
        match self {
            Self::File(path) => path.file_name().map_or_else(String::new, |name| name.to_string_lossy().into_owned()),
            Self::Embedded { name, .. } => (*name).to_owned(),
        }
    }

    /// How many bytes there are to read, compressed where the file is.
    ///
    /// # Errors
    /// When the file is missing.
    pub fn bytes(&self) -> anyhow::Result<u64> {
        match self {
            Self::File(path) => Ok(path.metadata().with_context(|| path.display().to_string())?.len()),
            Self::Embedded { bytes, .. } => Ok(bytes.len() as u64),
        }
    }

    /// The folder that joined files lie in.
    pub fn folder(&self) -> PathBuf {
        match self {
            Self::File(path) => path.parent().unwrap_or(Path::new("")).to_owned(),
            Self::Embedded { .. } => PathBuf::new(),
        }
    }

    fn open(&self) -> anyhow::Result<Box<dyn Read + Send>> {
        match self {
            Self::File(path) => Ok(Box::new(File::open(path).with_context(|| path.display().to_string())?)),
            Self::Embedded { bytes, .. } => Ok(Box::new(Cursor::new(bytes.clone()))),
        }
    }
}

/// The lines of a CSV file.
pub struct Rows {
    reader: csv::Reader<Box<dyn Read + Send>>,
    file: Arc<str>,
    header: Vec<String>,
    number: u64,
    line: u64,
}

/// One line.
#[derive(Debug, Clone)]
pub struct Row {
    /// The cells.
    pub record: StringRecord,
    /// The line on which it begins, the header being line 1.
    pub line: u64,
    /// Which data row it is, from 1; broken ones count.
    pub number: u64,
}

/// A line whose cells are not what they should be.
#[derive(Debug)]
pub struct Damaged {
    /// What is wrong.
    pub fault: Fault,
    /// The line as far as it can be read: good enough to tell what it belongs to, for nothing else.
    pub row: Row,
}

impl Rows {
    /// Opens a file and reads its header; the bytes that are read from it are added to `read_bytes` as they are.
    ///
    /// # Errors
    /// When the file cannot be read, has no header or names a column twice.
    pub fn open(source: &Source, csv: &CsvSpec, read_bytes: Arc<AtomicU64>) -> anyhow::Result<Self> {
        let file: Arc<str> = source.name().into();
        let delimiter = u8::try_from(csv.delimiter).ok().filter(u8::is_ascii).context("csv.delimiter must be ASCII")?;
        let counted = Counted { inner: source.open()?, bytes: read_bytes };
        let plain = inflated(counted).with_context(|| file.to_string())?;
        let mut reader = csv::ReaderBuilder::new().delimiter(delimiter).from_reader(plain);
        let header = reader.headers().with_context(|| format!("{file}: the header"))?;
        let header: Vec<String> = header.iter().map(|name| name.trim().to_owned()).collect();
        anyhow::ensure!(!header.is_empty(), "{file} is empty; its first line must name the columns");
        if let Some(twice) = header.iter().enumerate().find(|(position, name)| header[..*position].contains(name)) {
            anyhow::bail!("{file} has two columns named `{}`", twice.1);
        }
        Ok(Self { reader, file, header, number: 0, line: 1 })
    }

    /// The names of the columns.
    pub fn header(&self) -> &[String] {
        &self.header
    }

    /// The file's name.
    pub fn file(&self) -> &Arc<str> {
        &self.file
    }

    /// The next line, a fault where it is damaged, nothing at the end.
    ///
    /// # Errors
    /// When the file cannot be read any further.
    pub fn next_row(&mut self) -> anyhow::Result<Option<Result<Row, Damaged>>> {
        let mut bytes = ByteRecord::new();
        self.number += 1;
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
        let (line, number) = (self.line, self.number);
        Ok(Some(match (length, StringRecord::from_byte_record(bytes)) {
            (None, Ok(record)) => Ok(Row { record, line, number }),
            (Some(fault), Ok(record)) => Err(self.damaged(Row { record, line, number }, None, fault)),
            (length, Err(error)) => {
                let column = self.header.get(error.utf8_error().field()).filter(|_| length.is_none()).cloned();
                let record = StringRecord::from_byte_record_lossy(error.into_byte_record());
                let fault = length.unwrap_or_else(|| "is not written in UTF-8".to_owned());
                Err(self.damaged(Row { record, line, number }, column, fault))
            }
        }))
    }

    fn damaged(&self, row: Row, column: Option<String>, fault: String) -> Damaged {
        let fault = Fault { file: self.file.clone(), line: row.line, column, fault, group_lines: None };
        Damaged { fault, row }
    }
}

/// Inflates what begins as gzip does, whatever the file is called.
fn inflated(inner: Counted) -> io::Result<Box<dyn Read + Send>> {
    let mut buffered = BufReader::with_capacity(BUFFER_BYTES, inner);
    let is_gzip = buffered.fill_buf()?.starts_with(&GZIP_MAGIC);
    Ok(if is_gzip { Box::new(MultiGzDecoder::new(buffered)) } else { Box::new(buffered) })
}

/// Counts what is read, for the progress bar.
struct Counted {
    inner: Box<dyn Read + Send>,
    bytes: Arc<AtomicU64>,
}

impl Read for Counted {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buffer)?;
        self.bytes.fetch_add(read as u64, Ordering::Relaxed);
        Ok(read)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    fn open(bytes: Vec<u8>) -> anyhow::Result<Rows> {
        let source = Source::Embedded { name: "a.csv", bytes: bytes.into() };
        Rows::open(&source, &CsvSpec::default(), Arc::default())
    }

    fn all(bytes: &[u8]) -> Vec<Result<Row, Damaged>> {
        let mut rows = open(bytes.to_vec()).expect("has a header");
        std::iter::from_fn(|| rows.next_row().expect("readable")).collect()
    }

    #[test]
    fn a_line_with_too_few_cells_is_a_fault_with_its_number_and_the_next_one_is_read() {
        let rows = all(b"a,b\n1,2\n3\n\"x\ny\",4\n5,6\n");
        assert_eq!(
            rows[1].as_ref().expect_err("too short").fault.to_string(),
            "a.csv line 3: has 1 cells; the header has 2"
        );
        let multi = rows[2].as_ref().expect("well-formed");
        assert_eq!((multi.line, multi.number), (4, 3));
        assert_eq!(rows[3].as_ref().expect("well-formed").line, 6);
    }

    #[test]
    fn a_cell_that_is_not_utf8_is_named_by_its_column() {
        let rows = all(b"a,b\n1,2\n3,\xff\xfe\n5,6\n");
        assert_eq!(
            rows[1].as_ref().expect_err("not UTF-8").fault.to_string(),
            "a.csv line 3, column b: is not written in UTF-8"
        );
        assert_eq!(rows.len(), 3);
    }

    #[test]
    fn gzip_is_known_by_its_first_bytes_and_a_byte_order_mark_is_no_part_of_a_name() {
        let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        packed.write_all("\u{feff}a,b\n1,2\n".as_bytes()).expect("in memory");
        let rows = open(packed.finish().expect("in memory")).expect("has a header");
        assert_eq!(rows.header(), ["a", "b"]);
    }

    #[test]
    fn a_truncated_gzip_file_is_an_error_and_not_its_end() {
        let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::none());
        packed.write_all(&b"a,b\n".repeat(100_000)).expect("in memory");
        let mut bytes = packed.finish().expect("in memory");
        bytes.truncate(bytes.len() / 2);
        let mut rows = open(bytes).expect("has a header");
        let error = loop {
            match rows.next_row() {
                Ok(Some(_)) => {}
                Ok(None) => panic!("the end of a truncated file passed for its end"),
                Err(error) => break error,
            }
        };
        assert!(error.to_string().contains("cannot be read after line"), "{error}");
    }

    #[test]
    fn a_header_that_names_a_column_twice_or_is_missing_is_refused() {
        assert!(open(b"a,a\n".to_vec()).is_err());
        assert!(open(Vec::new()).is_err());
    }
}
