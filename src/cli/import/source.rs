//! Files to read from, plain or gzip, and what they are written in.

use std::borrow::Cow;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Cursor, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::Context as _;
use flate2::bufread::MultiGzDecoder;

const GZIP_MAGIC: [u8; 2] = [0x1f, 0x8b];
const BUFFER_BYTES: usize = 64 << 10;
/// What some programs put before the first character of a file.
pub const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// Something that can be read as a file of rows, more than once.
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

/// What a file is written in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// Cells between delimiters, the first line naming the columns.
    Csv,
    /// A JSON object on every line.
    JsonLines,
}

/// A file from its first byte on, inflated where it is compressed.
pub struct Opened {
    /// Its content.
    pub reader: Box<dyn BufRead + Send>,
    /// How many bytes were read from the file itself since somebody last took this number.
    pub read_bytes: Arc<AtomicU64>,
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

    /// Opens the file. Gzip is known by its first bytes, whatever the file is called.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn open(&self) -> anyhow::Result<Opened> {
        let inner: Box<dyn Read + Send> = match self {
            Self::File(path) => Box::new(File::open(path).with_context(|| path.display().to_string())?),
            Self::Embedded { bytes, .. } => Box::new(Cursor::new(bytes.clone())),
        };
        let read_bytes = Arc::new(AtomicU64::new(0));
        let counted = Counted { inner, bytes: read_bytes.clone() };
        let mut buffered = BufReader::with_capacity(BUFFER_BYTES, counted);
        let is_gzip = buffered.fill_buf().with_context(|| self.name())?.starts_with(&GZIP_MAGIC);
        let reader: Box<dyn BufRead + Send> = if is_gzip {
            Box::new(BufReader::with_capacity(BUFFER_BYTES, MultiGzDecoder::new(buffered)))
        } else {
            Box::new(buffered)
        };
        Ok(Opened { reader, read_bytes })
    }

    /// What the file is written in: JSON lines where it is called so (`.jsonl` or `.ndjson`, also before `.gz`) or begins
    /// with a brace, else CSV. No mapping says it, so that one mapping reads the same data in both forms.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn format(&self) -> anyhow::Result<Format> {
        let name = self.name().to_ascii_lowercase();
        let name = name.strip_suffix(".gz").unwrap_or(&name);
        if name.ends_with(".jsonl") || name.ends_with(".ndjson") {
            return Ok(Format::JsonLines);
        }
        for byte in self.open()?.reader.bytes() {
            let byte = byte.with_context(|| self.name())?;
            if !byte.is_ascii_whitespace() && !BYTE_ORDER_MARK.contains(&byte) {
                return Ok(if byte == b'{' { Format::JsonLines } else { Format::Csv });
            }
        }
        Ok(Format::Csv)
    }
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
    use super::*;

    fn format(name: &'static str, bytes: &'static [u8]) -> Format {
        Source::Embedded { name, bytes: Cow::Borrowed(bytes) }.format().expect("readable")
    }

    #[test]
    fn json_lines_are_known_by_their_first_brace_or_by_the_name_of_the_file() {
        for (name, bytes) in [
            ("a.csv", &b"{\"a\": 1}\n"[..]),
            ("a", b"\xef\xbb\xbf\n  \n {\"a\": 1}"),
            ("a.jsonl", b"cut\"}\n{\"a\": 1}"),
            ("A.NDJSON.GZ", b""),
        ] {
            assert_eq!(format(name, bytes), Format::JsonLines, "{name}");
        }
        for (name, bytes) in [("a.csv", &b"a,b\n"[..]), ("a.json.csv", b"\"{a}\",b\n"), ("empty", b"")] {
            assert_eq!(format(name, bytes), Format::Csv, "{name}");
        }
    }
}
