//! Points in time and calendar days.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

const MICROS_PER_SECOND: i64 = 1_000_000;
const SECONDS_PER_DAY: i64 = 86_400;

/// A point in time in UTC, kept to the microsecond, between the years 1 and 9999 like `google.protobuf.Timestamp`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Timestamp(i64);

impl Timestamp {
    /// The earliest representable time, 0001-01-01T00:00:00Z.
    pub const MIN: Self = Self(-62_135_596_800 * MICROS_PER_SECOND);
    /// The latest representable time, 9999-12-31T23:59:59.999999Z.
    pub const MAX: Self = Self(253_402_300_800 * MICROS_PER_SECOND - 1);

    /// A time from microseconds since the Unix epoch, held to the representable range.
    pub fn from_micros(micros: i64) -> Self {
        Self(micros.clamp(Self::MIN.0, Self::MAX.0))
    }

    /// A time from seconds and nanoseconds as protobuf writes them, or `None` outside of the representable range.
    pub fn from_seconds_and_nanos(seconds: i64, nanos: i32) -> Option<Self> {
        if !(0..1_000_000_000).contains(&nanos) {
            return None;
        }
        let micros = seconds.checked_mul(MICROS_PER_SECOND)?.checked_add(i64::from(nanos) / 1_000)?;
        (Self::MIN.0..=Self::MAX.0).contains(&micros).then_some(Self(micros))
    }

    /// Microseconds since the Unix epoch.
    pub fn as_micros(self) -> i64 {
        self.0
    }

    /// Whole seconds since the Unix epoch and the nanoseconds of the second, as protobuf writes them.
    pub fn as_seconds_and_nanos(self) -> (i64, i32) {
        let nanos = self.0.rem_euclid(MICROS_PER_SECOND) * 1_000;
        (self.0.div_euclid(MICROS_PER_SECOND), i32::try_from(nanos).unwrap_or(0))
    }

    /// The UTC day that holds this time.
    pub fn day(self) -> Day {
        let day = self.0.div_euclid(MICROS_PER_SECOND * SECONDS_PER_DAY);
        // The representable range spans 3.7 million days, which an i32 holds with room to spare.
        Day(i32::try_from(day).unwrap_or(0))
    }

    /// This time moved by a signed number of microseconds, held to the representable range.
    pub fn plus_micros(self, micros: i64) -> Self {
        Self::from_micros(self.0.saturating_add(micros))
    }

    /// This time moved forward, held to the representable range.
    pub fn plus(self, duration: Duration) -> Self {
        self.plus_micros(i64::try_from(duration.as_micros()).unwrap_or(i64::MAX))
    }

    /// This time moved back, held to the representable range.
    pub fn minus(self, duration: Duration) -> Self {
        self.plus_micros(-i64::try_from(duration.as_micros()).unwrap_or(i64::MAX))
    }

    /// Microseconds from `earlier` to this time; negative when `earlier` is later.
    pub fn micros_since(self, earlier: Self) -> i64 {
        self.0 - earlier.0
    }

    /// Days with their fraction from `earlier` to this time; negative when `earlier` is later.
    pub fn days_since(self, earlier: Self) -> f64 {
        self.micros_since(earlier) as f64 / (MICROS_PER_SECOND * SECONDS_PER_DAY) as f64
    }

    /// A time in UTC by RFC 3339, to the second. The calendar is Howard Hinnant's `civil_from_days`.
    pub fn rfc3339(self) -> String {
        let (seconds, _) = self.as_seconds_and_nanos();
        let second = seconds.rem_euclid(86_400);
        let shifted = seconds.div_euclid(86_400) + 719_468;
        let era = shifted.div_euclid(146_097);
        let day_of_era = shifted.rem_euclid(146_097);
        let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
        let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        // Years begin in March here, so that the leap day is the last of its year.
        let month_from_march = (5 * day_of_year + 2) / 153;
        let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
        let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
        let year = year_of_era + era * 400 + i64::from(month <= 2);
        let (hour, minute, second) = (second / 3_600, second / 60 % 60, second % 60);
        format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
    }

    /// Hours with their fraction from `earlier` to this time; negative when `earlier` is later.
    pub fn hours_since(self, earlier: Self) -> f64 {
        self.days_since(earlier) * 24.0
    }
}

/// A UTC calendar day, counted from 1970-01-01.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Day(pub i32);

impl Day {
    /// The first moment of the day, held to the representable range.
    pub fn start(self) -> Timestamp {
        Timestamp::from_micros(i64::from(self.0) * SECONDS_PER_DAY * MICROS_PER_SECOND)
    }

    /// Whole days from `earlier` to this day; negative when `earlier` is later.
    pub fn days_since(self, earlier: Self) -> i32 {
        self.0 - earlier.0
    }
}

impl fmt::Display for Day {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "day {}", self.0)
    }
}

/// A duration of whole days.
pub const fn days(count: u64) -> Duration {
    Duration::from_secs(count * SECONDS_PER_DAY as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn protobuf_seconds_and_nanos_survive_a_round_trip_before_and_after_the_epoch() {
        for (seconds, nanos) in [(0, 0), (-1, 999_999_000), (1_700_000_000, 5_000), (-62_135_596_800, 0)] {
            let time = Timestamp::from_seconds_and_nanos(seconds, nanos).expect("in range");
            assert_eq!(time.as_seconds_and_nanos(), (seconds, nanos));
        }
    }

    #[test]
    fn times_outside_of_the_protobuf_range_are_refused() {
        assert_eq!(Timestamp::from_seconds_and_nanos(253_402_300_800, 0), None);
        assert_eq!(Timestamp::from_seconds_and_nanos(-62_135_596_801, 0), None);
        assert_eq!(Timestamp::from_seconds_and_nanos(0, -1), None);
        assert_eq!(Timestamp::from_seconds_and_nanos(i64::MAX, 0), None);
    }

    #[test]
    fn a_time_before_the_epoch_belongs_to_the_day_before() {
        assert_eq!(Timestamp::from_micros(-1).day(), Day(-1));
        assert_eq!(Timestamp::from_micros(0).day(), Day(0));
    }

    #[test]
    fn times_read_like_a_calendar() {
        for (seconds, expected) in [
            (0, "1970-01-01T00:00:00Z"),
            (-1, "1969-12-31T23:59:59Z"),
            (951_782_400, "2000-02-29T00:00:00Z"),
            (1_315_659_661, "2011-09-10T13:01:01Z"),
            (-62_135_596_800, "0001-01-01T00:00:00Z"),
        ] {
            assert_eq!(Timestamp::from_micros(seconds * 1_000_000).rfc3339(), expected);
        }
    }
}
