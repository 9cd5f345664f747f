//! Every limit on what a caller may send or ask for, in one place.
//!
//! A limit is part of the contract: the proto comments state the same numbers, and an answer that refuses something
//! names the field and the limit. Lengths of texts are in bytes of UTF-8.

use std::time::Duration;

use super::time::days;

/// Segments that one `WatchProfiles` may be narrowed to.
pub const WATCHED_SEGMENTS: usize = 100;
/// Changes in one message of `WatchProfiles`: with keys of the largest size it stays below half a MiB.
pub const CHANGES_PER_MESSAGE: usize = 500;
/// Keys of one workspace that were not revoked.
pub const API_KEYS: usize = 1_000;
/// Entries of the audit log that wait to be written, and kinds of calls that are counted: so many of each.
pub const AUDIT_WAITING: usize = 32 << 10;
/// Events in one `IngestEvents` request.
pub const BATCH_EVENTS: usize = 1_000;
/// Customers in one batch read.
pub const BATCH_CUSTOMERS: usize = 1_000;
/// Page size where the caller gives none.
pub const PAGE_SIZE_DEFAULT: usize = 50;
/// Largest page size; a larger one asked for is lowered to it.
pub const PAGE_SIZE_MAX: usize = 1_000;
/// Faults of one request, or of one event of a batch, that are kept and told; further ones are counted.
pub const VIOLATIONS: usize = 200;
/// Encoded bytes after which a page or a streamed message ends early, below the 4 MiB that gRPC clients accept.
pub const REPLY_BYTES: usize = 3 << 20;

/// A workspace's name.
pub const WORKSPACE_BYTES: usize = 63;
/// `event_id` and `source`.
pub const EVENT_KEY_BYTES: usize = 256;
/// Identifiers that one event may carry.
pub const IDENTIFIERS_PER_EVENT: usize = 20;
/// The type of an identifier.
pub const IDENTIFIER_TYPE_BYTES: usize = 64;
/// The value of an identifier.
pub const IDENTIFIER_VALUE_BYTES: usize = 512;
/// Rules of a workspace about types of identifiers.
pub const IDENTIFIER_RULES: usize = 100;
/// How many identifiers of a type a rule may allow a profile.
pub const IDENTIFIER_LIMIT: std::ops::RangeInclusive<u32> = 1..=1_000;
/// Identifiers of one profile, of all types together. A sender can make up types without end.
pub const PROFILE_IDENTIFIERS: usize = 1_000;
/// Priorities of types of identifiers.
pub const IDENTIFIER_PRIORITY: std::ops::RangeInclusive<u32> = 1..=100;
/// Blocked values of one rule.
pub const BLOCKED_VALUES: usize = 1_000;
/// Blocked patterns of one rule.
pub const BLOCKED_PATTERNS: usize = 20;
/// A blocked pattern.
pub const PATTERN_BYTES: usize = 256;
/// What a blocked pattern may take in memory.
pub const PATTERN_COMPILED_BYTES: usize = 64 << 10;
/// Profiles that one merge may join to another.
pub const MERGE_SOURCES: usize = 50;
/// Parts that a profile may be made of.
pub const PROFILE_PARTS: usize = 1_000;
/// Why an operator merges or unmerges, in words.
pub const REASON_BYTES: usize = 1_024;
/// Methods whose purpose a workspace sets.
pub const METHOD_PURPOSES: usize = 100;
/// Sources whose priority a workspace sets.
pub const SOURCE_PRIORITIES: usize = 100;
/// Priorities of sources.
pub const SOURCE_PRIORITY: std::ops::RangeInclusive<i32> = -100..=100;
/// Profiles that a preview of other identity rules looks at.
pub const PREVIEW_PROFILES: usize = 50_000;
/// Profiles, and pairs of them, that a preview names.
pub const PREVIEW_SAMPLES: usize = 10;
/// Fields at fault that the record of a refused event names.
pub const REJECTION_FIELDS: usize = 10;
/// Short names: channel, touchpoint, event and page names, plan, topic, agent, case, order, product, category; and ids
/// of ours that a request names, which are shorter.
pub const NAME_BYTES: usize = 128;
/// A page's URL.
pub const URL_BYTES: usize = 2_048;
/// Free text: a contact's words, a survey's comment.
pub const TEXT_BYTES: usize = 8_192;
/// Keys of the open data (traits, properties) of one event.
pub const VALUE_KEYS: usize = 100;
/// A key of open data.
pub const VALUE_KEY_BYTES: usize = 128;
/// Nesting of open data.
pub const VALUE_DEPTH: usize = 16;
/// Open data of one event in all.
pub const VALUE_BYTES: usize = 32 << 10;
/// Traits that a profile keeps; an event that would take it beyond them is rejected.
pub const PROFILE_TRAITS: usize = 500;
/// Bytes of all traits of a profile, so that every reply with one customer stays below what clients accept.
pub const PROFILE_TRAIT_BYTES: usize = 256 << 10;
/// The name of a purpose.
pub const PURPOSE_BYTES: usize = 64;
/// Purposes for which a customer's answers are kept.
pub const CONSENT_PURPOSES: usize = 32;
/// `request_id` of a write.
pub const REQUEST_ID_BYTES: usize = 128;
/// Line items of one purchase.
pub const LINE_ITEMS: usize = 500;
/// Largest absolute amount of money of one event, in units of its currency.
pub const AMOUNT: f64 = 1e9;
/// Largest quantity of a line item.
pub const QUANTITY: f64 = 1e6;
/// Largest number of seconds of a wait or a handling: one year.
pub const SECONDS: f64 = 31_536_000.0;
/// Largest number of transfers that one contact may report.
pub const TRANSFERS: i32 = 1_000;

/// How far in the future an event may claim to lie before its time is replaced by the time of its receipt.
pub const CLOCK_SKEW: Duration = Duration::from_secs(5 * 60);
/// For how long an `(source, event_id)` is remembered.
pub const IDEMPOTENCY_WINDOW: Duration = days(30);

/// Different names counted apart in an activity map; further ones are counted under [`OTHER`].
pub const COUNTED_NAMES: usize = 100;
/// The name under which what exceeds [`COUNTED_NAMES`] is counted.
pub const OTHER: &str = "other";
/// Currencies whose totals a profile keeps apart; further ones are counted under [`OTHER`].
pub const CURRENCIES: usize = 20;
/// Episodes that a profile keeps one by one; older ones remain in its totals.
pub const EPISODES: usize = 20;
/// Days of activity that a profile keeps one by one, counted from its latest.
pub const BUCKET_DAYS: usize = 800;
/// Names in a workspace's list of qualifying events.
pub const QUALIFYING_EVENTS: usize = 100;
/// Shortest and longest churn horizon.
pub const HORIZON: std::ops::RangeInclusive<Duration> = days(1)..=days(730);
/// Cut-offs of one training run.
pub const CUTOFFS: usize = 24;
/// Contributions in an answer of a batch or stream where the caller asks for no number, besides the one named
/// [`OTHER`].
pub const CONTRIBUTIONS_DEFAULT: usize = 5;
/// Largest number of contributions in an answer of a batch or stream; a larger one asked for is lowered to it.
pub const CONTRIBUTIONS_MAX: usize = 10;
/// How often a write decides again after it lost a race, before the caller is told so.
pub const CONFLICT_RETRIES: usize = 16;
