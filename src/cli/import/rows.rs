//! The rows of a file in their order, read on other threads than the one that takes them.

use std::num::NonZero;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::vec::IntoIter;

use csv::StringRecord;

use super::fault::Fault;
use super::in_order::{InOrder, workers};

/// One row.
#[derive(Debug, Clone)]
pub struct Row {
    /// The cells.
    pub record: StringRecord,
    /// For each list of the sheet the cells of its elements.
    pub lists: Vec<Vec<StringRecord>>,
    /// The line on which it begins; the header of a CSV file is line 1.
    pub line: u64,
    /// Which data row it is, from 1; broken ones count.
    pub number: u64,
}

/// A row whose cells are not what they should be.
#[derive(Debug)]
pub struct Damaged {
    /// What is wrong.
    pub fault: Fault,
    /// The row as far as it can be read: good enough to tell what it belongs to, for nothing else.
    pub row: Row,
}

/// What a row was read as.
pub type Read = Result<Row, Box<Damaged>>;

/// Some rows that follow one another.
#[derive(Debug)]
pub struct Batch {
    /// The rows, not numbered yet.
    pub rows: Vec<Read>,
    /// How many bytes of the file were read for them.
    pub read_bytes: u64,
}

/// How a file is read.
#[derive(Debug, Clone)]
pub struct Pace {
    /// The threads that make rows of JSON lines. A thread that reads the file, and for CSV makes its rows, comes besides.
    pub workers: NonZero<usize>,
    /// Where the bytes of the file are added up whose rows were taken.
    pub read_bytes: Arc<AtomicU64>,
}

impl Default for Pace {
    fn default() -> Self {
        Self { workers: workers(), read_bytes: Arc::default() }
    }
}

/// The rows of a file.
pub struct Rows {
    batches: InOrder<Batch>,
    batch: IntoIter<Read>,
    /// The bytes of the batch at hand, which count when it is used up: what is read ahead is not done yet.
    batch_bytes: u64,
    read_bytes: Arc<AtomicU64>,
    number: u64,
}

impl Rows {
    /// The rows of some batches; the bytes that were read for them are added to `read_bytes` as they are used up.
    pub fn new(batches: InOrder<Batch>, read_bytes: Arc<AtomicU64>) -> Self {
        Self { batches, batch: Vec::new().into_iter(), batch_bytes: 0, read_bytes, number: 0 }
    }

    /// The next row, a fault where it is damaged, nothing at the end.
    ///
    /// # Errors
    /// When the file cannot be read any further.
    pub fn next_row(&mut self) -> anyhow::Result<Option<Read>> {
        loop {
            if let Some(mut read) = self.batch.next() {
                self.number += 1;
                match &mut read {
                    Ok(row) => row.number = self.number,
                    Err(damaged) => damaged.row.number = self.number,
                }
                return Ok(Some(read));
            }
            self.read_bytes.fetch_add(std::mem::take(&mut self.batch_bytes), Ordering::Relaxed);
            let Some(batch) = self.batches.next_result()? else { return Ok(None) };
            self.batch = batch.rows.into_iter();
            self.batch_bytes = batch.read_bytes;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::super::asked::Asked;
    use super::super::mapping::CsvSpec;
    use super::super::sheet::Sheet;
    use super::super::source::Source;
    use super::*;

    fn open(bytes: Vec<u8>) -> anyhow::Result<(Sheet, Rows)> {
        let source = Source::Embedded { name: "a.csv", bytes: bytes.into() };
        let sheet = Sheet::open(&source, &CsvSpec::default(), &Asked::default())?;
        let rows = sheet.rows(&Pace::default())?;
        Ok((sheet, rows))
    }

    fn all(bytes: &[u8]) -> Vec<Read> {
        let (_, mut rows) = open(bytes.to_vec()).expect("has a header");
        std::iter::from_fn(|| rows.next_row().expect("readable")).collect()
    }

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::none());
        packed.write_all(bytes).expect("in memory");
        packed.finish().expect("in memory")
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
        let (sheet, _) = open(gzip("\u{feff}a,b\n1,2\n".as_bytes())).expect("has a header");
        assert_eq!(sheet.header(), ["a", "b"]);
    }

    #[test]
    fn a_truncated_gzip_file_is_an_error_and_not_its_end() {
        for line in [&b"a,b\n"[..], b"{\"a\": 1}\n"] {
            let mut bytes = gzip(&line.repeat(100_000));
            bytes.truncate(bytes.len() / 2);
            let (_, mut rows) = open(bytes).expect("begins well");
            let error = loop {
                match rows.next_row() {
                    Ok(Some(_)) => {}
                    Ok(None) => panic!("the end of a truncated file passed for its end"),
                    Err(error) => break error,
                }
            };
            assert!(error.to_string().contains("cannot be read after line"), "{error}");
        }
    }

    #[test]
    fn a_header_that_names_a_column_twice_or_is_missing_is_refused() {
        assert!(open(b"a,a\n".to_vec()).is_err());
        assert!(open(Vec::new()).is_err());
    }

    #[test]
    fn bytes_count_when_their_rows_were_taken_and_all_of_them_at_the_end() {
        for line in ["1,2\n", "{\"a\": 1, \"b\": 2}\n"] {
            let text = format!("{}{}", if line.starts_with('1') { "a,b\n" } else { "" }, line.repeat(100_000));
            let source = Source::Embedded { name: "a", bytes: text.clone().into_bytes().into() };
            let sheet = Sheet::open(&source, &CsvSpec::default(), &Asked::default()).expect("begins well");
            let pace = Pace::default();
            let mut rows = sheet.rows(&pace).expect("readable");
            assert!(rows.next_row().expect("readable").is_some());
            assert_eq!(pace.read_bytes.load(Ordering::Relaxed), 0);
            let mut taken = 1;
            while rows.next_row().expect("readable").is_some() {
                taken += 1;
            }
            assert_eq!((taken, pace.read_bytes.load(Ordering::Relaxed)), (100_000, text.len() as u64));
        }
    }
}
