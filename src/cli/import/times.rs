//! Reads the times of a file: a pattern, a date or RFC 3339, each with a time zone that somebody named.
//!
//! A time without a zone is never guessed at: either the text carries one or the mapping names one.

use anyhow::{Context as _, bail, ensure};
use jiff::civil::{DateTime, Time};
use jiff::fmt::strtime::{self, BrokenDownTime};
use jiff::tz::{AmbiguousOffset, TimeZone};
use jiff::{Timestamp, Zoned};

use super::fault::Notes;
use super::mapping::TimeSpec;

/// The pattern that the word `date` stands for.
const DATE: &str = "%Y-%m-%d";

/// How one column of times is read.
#[derive(Debug, Clone)]
pub struct TimeFormat {
    reading: Reading,
    /// How the format is called in a fault.
    name: String,
}

#[derive(Debug, Clone)]
enum Reading {
    Rfc3339,
    UnixSeconds,
    UnixMilliseconds,
    /// A pattern that carries its zone.
    Zoned(String),
    /// A pattern of local times, in one zone.
    Local(String, TimeZone),
    /// A pattern of dates, which all happen at one time of day in one zone.
    Dates(String, Time, TimeZone),
}

impl TimeFormat {
    /// The format that a mapping describes; `key` is where it does.
    ///
    /// # Errors
    /// When the pattern cannot be read, or says less about a time than is needed.
    pub fn new(spec: &TimeSpec, key: &str) -> anyhow::Result<Self> {
        let name = spec.format.clone().with_context(|| format!("{key}.format is missing; the template lists them"))?;
        let reading = match name.as_str() {
            "rfc3339" => Reading::Rfc3339,
            "unix_seconds" => Reading::UnixSeconds,
            "unix_milliseconds" => Reading::UnixMilliseconds,
            "date" => pattern(DATE, spec, key)?,
            other => pattern(other, spec, key)?,
        };
        if !matches!(reading, Reading::Local(..) | Reading::Dates(..)) {
            ensure!(
                spec.time_zone.is_none(),
                "{key}.time_zone: the format `{name}` already says the zone of each time"
            );
        }
        ensure!(
            matches!(reading, Reading::Dates(..)) || spec.at.is_none(),
            "{key}.at: the format `{name}` already says the time of day"
        );
        Ok(Self { reading, name })
    }

    /// The time that a cell states, in microseconds since the Unix epoch.
    ///
    /// # Errors
    /// A sentence for a fault, which does not repeat the cell.
    pub fn read(&self, text: &str, notes: &mut Notes) -> Result<i64, String> {
        let wrong = || format!("is not a time of the form {}", self.name);
        let timestamp = match &self.reading {
            Reading::Rfc3339 => return parse_rfc3339(text),
            Reading::UnixSeconds => text.parse().ok().and_then(|seconds| Timestamp::from_second(seconds).ok()),
            Reading::UnixMilliseconds => text.parse().ok().and_then(|millis| Timestamp::from_millisecond(millis).ok()),
            Reading::Zoned(pattern) => strtime::parse(pattern, text).ok().and_then(|time| stamped(&time)),
            Reading::Local(pattern, zone) => strtime::parse(pattern, text)
                .and_then(|time| time.to_datetime())
                .ok()
                .and_then(|time| in_zone(time, zone, notes)),
            Reading::Dates(pattern, at, zone) => strtime::parse(pattern, text)
                .and_then(|time| time.to_date())
                .ok()
                .and_then(|date| in_zone(date.to_datetime(*at), zone, notes)),
        };
        timestamp.map(Timestamp::as_microsecond).ok_or_else(wrong)
    }
}

/// The microseconds since the Unix epoch that an RFC 3339 text states.
///
/// # Errors
/// A sentence that tells a missing zone from any other fault, because people meet it most.
pub fn parse_rfc3339(text: &str) -> Result<i64, String> {
    match text.parse::<Timestamp>() {
        Ok(timestamp) => Ok(timestamp.as_microsecond()),
        Err(_) if text.parse::<DateTime>().is_ok() => Err("names no time zone".to_owned()),
        Err(_) => Err("is not a time of the form rfc3339".to_owned()),
    }
}

/// Finds out what a pattern says by writing a known time with it and reading that again.
fn pattern(pattern: &str, spec: &TimeSpec, key: &str) -> anyhow::Result<Reading> {
    let sample: Zoned = "2001-02-03T04:05:06+00:00[UTC]".parse()?;
    let read = strtime::format(pattern, &sample).and_then(|text| strtime::parse(pattern, text));
    let said =
        read.with_context(|| format!("{key}.format: `{pattern}` cannot be read; the template lists what can"))?;
    if stamped(&said).is_some() {
        return Ok(Reading::Zoned(pattern.to_owned()));
    }
    ensure!(said.to_date().is_ok(), "{key}.format: `{pattern}` does not say the day");
    let Some(zone) = &spec.time_zone else {
        bail!(
            "{key}.time_zone is missing: `{pattern}` says no zone, and a time without a zone is nobody's time; name one such as \"Europe/London\" or \"UTC\""
        );
    };
    let zone = TimeZone::get(zone).with_context(|| format!("{key}.time_zone: `{zone}` is no IANA time zone"))?;
    if said.hour().is_some() {
        return Ok(Reading::Local(pattern.to_owned(), zone));
    }
    let Some(at) = &spec.at else {
        bail!("{key}.at is missing: `{pattern}` says no time of day; name one such as \"12:00\"");
    };
    let at = at.parse().ok().with_context(|| format!("{key}.at: `{at}` is no time of day such as \"12:00\""))?;
    Ok(Reading::Dates(pattern.to_owned(), at, zone))
}

/// The time of a text that carries its zone, by name or by offset, or that counts from the epoch.
fn stamped(time: &BrokenDownTime) -> Option<Timestamp> {
    match time.iana_time_zone() {
        Some(_) => time.to_zoned().ok().map(|zoned| zoned.timestamp()),
        None => time.to_timestamp().ok(),
    }
}

/// A local time in its zone. Where a clock change skips it or repeats it, the offset before the change counts, which
/// is what RFC 5545 does too; that is noted, because the file itself does not say so.
fn in_zone(time: DateTime, zone: &TimeZone, notes: &mut Notes) -> Option<Timestamp> {
    let ambiguous = zone.to_ambiguous_timestamp(time);
    match ambiguous.offset() {
        AmbiguousOffset::Unambiguous { .. } => {}
        AmbiguousOffset::Gap { .. } => notes.times_skipped_by_clock += 1,
        AmbiguousOffset::Fold { .. } => notes.times_repeated_by_clock += 1,
    }
    ambiguous.compatible().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec(format: &str, zone: Option<&str>, at: Option<&str>) -> TimeSpec {
        TimeSpec {
            column: Some("when".to_owned()),
            format: Some(format.to_owned()),
            time_zone: zone.map(str::to_owned),
            at: at.map(str::to_owned),
            undated: false,
        }
    }

    fn format(format: &str, zone: Option<&str>, at: Option<&str>) -> anyhow::Result<TimeFormat> {
        TimeFormat::new(&spec(format, zone, at), "time")
    }

    /// What a text reads as, written in UTC.
    fn read(format: &TimeFormat, text: &str) -> String {
        let micros = format.read(text, &mut Notes::default()).expect(text);
        Timestamp::from_microsecond(micros).expect("in range").to_string()
    }

    #[test]
    fn a_local_time_is_read_in_its_zone_in_winter_and_in_summer() {
        let london = format("%Y-%m-%d %H:%M:%S", Some("Europe/London"), None).expect("well-formed");
        assert_eq!(read(&london, "2010-12-01 09:09:00"), "2010-12-01T09:09:00Z");
        assert_eq!(read(&london, "2011-06-01 09:09:00"), "2011-06-01T08:09:00Z");
    }

    #[test]
    fn an_hour_that_the_clock_skips_or_repeats_is_read_by_the_offset_before_the_change_and_noted() {
        let london = format("%Y-%m-%d %H:%M", Some("Europe/London"), None).expect("well-formed");
        let mut notes = Notes::default();
        let skipped = london.read("2011-03-27 01:30", &mut notes).expect("read");
        assert_eq!(Timestamp::from_microsecond(skipped).expect("in range").to_string(), "2011-03-27T01:30:00Z");
        let repeated = london.read("2011-10-30 01:30", &mut notes).expect("read");
        assert_eq!(Timestamp::from_microsecond(repeated).expect("in range").to_string(), "2011-10-30T00:30:00Z");
        assert_eq!((notes.times_skipped_by_clock, notes.times_repeated_by_clock), (1, 1));
    }

    #[test]
    fn a_pattern_without_a_zone_needs_one_and_says_so() {
        let error = format("%d-%m-%Y %H:%M", None, None).expect_err("no zone");
        assert!(error.to_string().starts_with("time.time_zone is missing"), "{error}");
        let error = format("%d-%m-%Y %H:%M", Some("Europe/Londn"), None).expect_err("no such zone");
        assert!(error.to_string().contains("Londn"), "{error}");
    }

    #[test]
    fn a_pattern_with_a_zone_needs_none_and_takes_none() {
        let offset = format("%d/%b/%Y:%H:%M:%S %z", None, None).expect("well-formed");
        assert_eq!(read(&offset, "10/Oct/2000:13:55:36 -0700"), "2000-10-10T20:55:36Z");
        let named = format("%F %T %Q", None, None).expect("well-formed");
        assert_eq!(read(&named, "2011-06-01 09:00:00 Europe/London"), "2011-06-01T08:00:00Z");
        assert!(format("%d/%b/%Y:%H:%M:%S %z", Some("UTC"), None).is_err());
    }

    #[test]
    fn a_date_happens_at_the_time_of_day_that_the_mapping_names() {
        let dates = format("date", Some("America/New_York"), Some("12:00")).expect("well-formed");
        assert_eq!(read(&dates, "1997-01-01"), "1997-01-01T17:00:00Z");
        let error = format("date", Some("UTC"), None).expect_err("no time of day");
        assert!(error.to_string().starts_with("time.at is missing"), "{error}");
        assert!(format("%F %T", Some("UTC"), Some("12:00")).is_err());
    }

    #[test]
    fn rfc_3339_tells_a_missing_zone_from_nonsense() {
        let rfc = format("rfc3339", None, None).expect("well-formed");
        assert_eq!(read(&rfc, "2024-02-29T23:30:00.5+01:00"), "2024-02-29T22:30:00.5Z");
        let fault = |text| rfc.read(text, &mut Notes::default()).expect_err(text);
        assert_eq!(fault("2024-02-29T23:30:00"), "names no time zone");
        assert_eq!(fault("yesterday"), "is not a time of the form rfc3339");
        assert_eq!(fault("2023-02-29T23:30:00Z"), "is not a time of the form rfc3339");
    }

    #[test]
    fn seconds_and_milliseconds_count_from_the_epoch() {
        assert_eq!(read(&format("unix_seconds", None, None).expect("known"), "86400"), "1970-01-02T00:00:00Z");
        assert_eq!(read(&format("unix_milliseconds", None, None).expect("known"), "1500"), "1970-01-01T00:00:01.5Z");
    }

    #[test]
    fn a_fault_never_repeats_the_cell() {
        let local = format("%F", Some("UTC"), Some("00:00")).expect("well-formed");
        let fault = local.read("ann@example.com", &mut Notes::default()).expect_err("no date");
        assert_eq!(fault, "is not a time of the form %F");
    }

    #[test]
    fn a_pattern_that_cannot_be_read_or_says_no_day_is_refused() {
        assert!(format("%H:%M", Some("UTC"), None).is_err());
        assert!(format("%Y-%Z", Some("UTC"), None).is_err());
        assert!(format("%!", Some("UTC"), None).is_err());
    }
}
