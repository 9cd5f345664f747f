//! What reads bytes that others send, each with bytes of nobody's making. A target panics where something is wrong.
//!
//! ```text
//! cargo +nightly fuzz run requests       # any of TARGETS
//! ```
//!
//! `tests/corpora.rs` replays what is kept in `fuzz/corpus` with every `cargo test`.

mod raw;
mod requests;

use rapport::cli::import::feed::Feed;
use rapport::cli::import::mapping::Mapping;
use rapport::cli::import::rows::Pace;
use rapport::cli::import::sheet::Sheet;
use rapport::cli::import::source::Source;
use rapport::domain::profile::State;
use rapport::domain::time::Timestamp;
use rapport::models::artifact::{self, Model};

pub use requests::requests;

/// A way in.
pub type Target = fn(&[u8]);

/// Every target by its name.
pub const TARGETS: [(&str, Target); 10] = [
    ("requests", requests),
    ("journal", journal),
    ("backup", backup),
    ("tokens", tokens),
    ("keys", keys),
    ("issuers", issuers),
    ("vault", vault),
    ("csv", csv),
    ("mapping", mapping),
    ("artifact", artifact),
];

/// A mapping that uses most of what mappings can do.
const MAPPING: &str = include_str!("../../examples/mappings/template.toml");
/// The lines that it is written for.
const LINES: &[u8] = b"order_no,line_no,customer_no,email,ordered_at,sku,title,pieces,price,state\n\
    1001,1,C7,ann@example.com,2026-03-01 10:15,A-1,Blue mug,2,7.50,paid\n\
    1001,2,C7,ann@example.com,2026-03-01 10:15,B-9,Tea,1,4.20,paid\n\
    R1001,1,C7,ann@example.com,2026-03-04 09:00,A-1,Blue mug,-1,7.50,returned\n";

/// Frames of the journal, and facts in them.
pub fn journal(bytes: &[u8]) {
    rapport::store::embedded::fuzzing::journal(bytes);
}

/// The list of a backup, and entries of the index.
pub fn backup(bytes: &[u8]) {
    rapport::store::embedded::fuzzing::backup(bytes);
}

/// Tokens of pages and of streams.
pub fn tokens(bytes: &[u8]) {
    if let Ok(text) = std::str::from_utf8(bytes) {
        rapport::app::fuzzing::token(text);
    }
}

/// Keys that programs show.
pub fn keys(bytes: &[u8]) {
    if let Ok(text) = std::str::from_utf8(bytes) {
        rapport::app::fuzzing::key(text);
    }
}

/// Keys of issuers, their tokens, and claims.
pub fn issuers(bytes: &[u8]) {
    rapport::rpc::fuzzing::token(bytes);
}

/// What is sealed, secrets of customers, the ledger of erasures, and the audit log.
pub fn vault(bytes: &[u8]) {
    rapport::store::embedded::fuzzing::vault(bytes);
}

/// A file of CSV or of JSON lines, imported by a mapping that is right.
pub fn csv(bytes: &[u8]) {
    let mapping = Mapping::parse("mapping.toml", MAPPING).expect("a mapping");
    read(&mapping, bytes);
}

/// A mapping, over a CSV file that is right.
pub fn mapping(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    if let Ok(mapping) = Mapping::parse("mapping.toml", text)
        // Whatever it joins lies in files, and there are none.
        && mapping.join.is_empty()
    {
        read(&mapping, LINES);
    }
}

fn read(mapping: &Mapping, bytes: &[u8]) {
    let source = Source::Embedded { name: "fuzzed.csv", bytes: bytes.to_vec().into() };
    let Ok(sheet) = Sheet::of(&source, mapping) else { return };
    let Ok(mut feed) = Feed::open(&sheet, mapping, 0, Pace::default()) else { return };
    while let Ok(Some(_)) = feed.next_built() {}
}

/// A model. One that is served answers about a customer of whom nothing is known, with numbers that are some.
pub fn artifact(bytes: &[u8]) {
    let (state, now) = (State::default(), Timestamp::from_micros(1_772_366_400_000_000));
    let numbers = match artifact::decode(bytes).ok().or_else(|| artifact::decode(&artifact::seal(bytes)).ok()) {
        None => return,
        Some(Model::Churn(model)) => vec![model.predict(&state, now, usize::MAX).probability],
        Some(Model::Segments(model)) => vec![model.predict(&state, now).distance],
        Some(Model::Survey(model)) => {
            let answer = model.predict(&state, now, usize::MAX);
            vec![answer.predicted.low, answer.predicted.high]
        }
        Some(Model::Value(model)) => {
            drop(model.predict(&state, now, None));
            Vec::new()
        }
    };
    assert!(numbers.iter().all(|number| number.is_finite()), "{numbers:?}");
}
