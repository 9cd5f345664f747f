//! Times that come again, as cron writes them: `30 3 * * 1` is half past three on Mondays.
//!
//! Five fields: minute (0–59), hour (0–23), day of the month (1–31), month (1–12), day of the week (0–7, where 0 and 7 are
//! Sunday). Each is `*`, a number, a range `a-b`, any of these with a step `/n`, or a list of them with commas. Where both
//! days are given, either suffices, as in cron (POSIX, `crontab`). Times are UTC: a time zone would skip or repeat hours.
//!
//! A library for this brings another calendar with it; ours has one already.

use jiff::civil::{Date, Time};
use jiff::tz::TimeZone;

use super::time::Timestamp;

/// The fields: name, lowest and highest number.
const FIELDS: [(&str, u32, u32); 5] =
    [("minute", 0, 59), ("hour", 0, 23), ("day of the month", 1, 31), ("month", 1, 12), ("day of the week", 0, 7)];
/// Days that are looked through for the next time: the 29th of February comes within eight years.
const DAYS_MAX: usize = 366 * 8 + 1;
/// Bytes of a text that is read.
pub const CRON_BYTES: usize = 128;

/// Times that come again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cron {
    /// The numbers of each field, as bits.
    fields: [u64; 5],
    /// Whether a day must suit the month's field and the week's field; else either suffices.
    both_days: bool,
}

impl Cron {
    /// Reads the five fields.
    ///
    /// # Errors
    /// What is wrong with them, and what would be right.
    pub fn parse(text: &str) -> Result<Self, String> {
        let words: Vec<&str> = text.split_ascii_whitespace().collect();
        if text.len() > CRON_BYTES || words.len() != FIELDS.len() {
            return Err(format!(
                "must be five fields of at most {CRON_BYTES} bytes: minute, hour, day of the month, month, day of the week"
            ));
        }
        let mut fields = [0; 5];
        for ((bits, word), (name, low, high)) in fields.iter_mut().zip(&words).zip(FIELDS) {
            *bits = field(word, low, high).ok_or_else(|| {
                format!("has a {name} that is none: numbers from {low} to {high}, *, ranges a-b, steps /n and lists with commas")
            })?;
        }
        // Sunday has two numbers.
        fields[4] = (fields[4] | fields[4] >> 7) & 0x7f;
        let cron = Self { fields, both_days: words[2].starts_with('*') || words[4].starts_with('*') };
        match cron.next_after(Timestamp::from_micros(0)) {
            Some(_) => Ok(cron),
            None => Err("names a day that no month has".to_owned()),
        }
    }

    /// The first such time that is later; `None` where there is none within eight years.
    pub fn next_after(&self, time: Timestamp) -> Option<Timestamp> {
        let begin = jiff::Timestamp::from_microsecond(time.as_micros()).ok()?.to_zoned(TimeZone::UTC).datetime();
        let mut date = begin.date();
        for day in 0..DAYS_MAX {
            if self.suits(date) {
                let after = (day == 0).then(|| begin.time());
                if let Some(found) = self.first_of_day(after) {
                    let found = date.to_datetime(found).to_zoned(TimeZone::UTC).ok()?;
                    return Some(Timestamp::from_micros(found.timestamp().as_microsecond()));
                }
            }
            date = date.tomorrow().ok()?;
        }
        None
    }

    fn has(&self, field: usize, number: i8) -> bool {
        u32::try_from(number).is_ok_and(|number| self.fields[field] >> number & 1 == 1)
    }

    fn suits(&self, date: Date) -> bool {
        let of_month = self.has(2, date.day());
        let of_week = self.has(4, date.weekday().to_sunday_zero_offset());
        self.has(3, date.month()) && if self.both_days { of_month && of_week } else { of_month || of_week }
    }

    /// The first time of a day, behind the minute of `after` where there is one.
    fn first_of_day(&self, after: Option<Time>) -> Option<Time> {
        let minutes = (0..24).flat_map(|hour| (0..60).map(move |minute| (hour, minute)));
        let is_later = |at: &(i8, i8)| after.is_none_or(|after| *at > (after.hour(), after.minute()));
        let (hour, minute) =
            minutes.filter(is_later).find(|(hour, minute)| self.has(1, *hour) && self.has(0, *minute))?;
        Time::new(hour, minute, 0, 0).ok()
    }
}

/// The numbers of one field as bits; `None` where it is none.
fn field(word: &str, low: u32, high: u32) -> Option<u64> {
    word.split(',').try_fold(0, |bits, part| Some(bits | self::part(part, low, high)?))
}

fn part(part: &str, low: u32, high: u32) -> Option<u64> {
    let (range, step) = match part.split_once('/') {
        Some((range, step)) => (range, Some(number(step)?)),
        None => (part, None),
    };
    let (from, to) = match range.split_once('-') {
        Some((from, to)) => (number(from)?, number(to)?),
        None if range == "*" => (low, high),
        // As cron has it, a step begins at the number and goes on to the end.
        None => (number(range)?, if step.is_some() { high } else { number(range)? }),
    };
    let step = step.unwrap_or(1);
    let is_within = low <= from && from <= to && to <= high && step > 0;
    is_within.then(|| (from..=to).step_by(step as usize).fold(0, |bits, number| bits | 1 << number))
}

/// A number of one or two digits, and nothing else.
fn number(text: &str) -> Option<u32> {
    let is_number = (1..=2).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|_| is_number)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn time(text: &str) -> Timestamp {
        Timestamp::from_micros(text.parse::<jiff::Timestamp>().expect("a time").as_microsecond())
    }

    fn next(cron: &str, after: &str) -> String {
        let cron = Cron::parse(cron).expect("five fields");
        cron.next_after(time(after)).expect("comes again").rfc3339()
    }

    #[test]
    fn the_next_time_is_that_of_the_calendar() {
        // The 1st of March 2026 is a Sunday.
        for (cron, after, expected) in [
            ("* * * * *", "2026-03-01T12:00:00Z", "2026-03-01T12:01:00Z"),
            ("* * * * *", "2026-03-01T12:00:59.5Z", "2026-03-01T12:01:00Z"),
            ("30 3 * * *", "2026-03-01T03:29:00Z", "2026-03-01T03:30:00Z"),
            ("30 3 * * *", "2026-03-01T03:30:00Z", "2026-03-02T03:30:00Z"),
            ("0 4 * * 1", "2026-03-01T12:00:00Z", "2026-03-02T04:00:00Z"),
            ("0 4 * * 0", "2026-03-01T12:00:00Z", "2026-03-08T04:00:00Z"),
            ("0 4 * * 7", "2026-03-01T12:00:00Z", "2026-03-08T04:00:00Z"),
            ("0 0 1 * *", "2026-12-01T00:00:00Z", "2027-01-01T00:00:00Z"),
            ("0 0 29 2 *", "2026-03-01T00:00:00Z", "2028-02-29T00:00:00Z"),
            ("*/20 9-17/4 * * *", "2026-03-01T09:40:00Z", "2026-03-01T13:00:00Z"),
            ("5,50 0 * 6,7 *", "2026-03-01T00:00:00Z", "2026-06-01T00:05:00Z"),
            ("50/5 23 * * *", "2026-03-01T23:50:00Z", "2026-03-01T23:55:00Z"),
            ("0 0 13 * 5", "2026-03-01T00:00:00Z", "2026-03-06T00:00:00Z"),
            ("0 0 31 * 1", "2026-03-03T00:00:00Z", "2026-03-09T00:00:00Z"),
            ("0 0 */2 * 1", "2026-03-02T00:00:00Z", "2026-03-09T00:00:00Z"),
            ("0 0 * * 1-5", "2026-03-06T00:00:00Z", "2026-03-09T00:00:00Z"),
        ] {
            assert_eq!(next(cron, after), expected, "{cron} after {after}");
        }
    }

    #[test]
    fn what_is_no_time_is_refused_with_the_field() {
        for (cron, named) in [
            ("", "five fields"),
            ("0 0 * *", "five fields"),
            ("0 0 * * * *", "five fields"),
            ("60 0 * * *", "minute"),
            ("0 24 * * *", "hour"),
            ("0 0 0 * *", "day of the month"),
            ("0 0 * 13 *", "month"),
            ("0 0 * * 8", "day of the week"),
            ("0 0 * * mon", "day of the week"),
            ("5-1 0 * * *", "minute"),
            ("*/0 0 * * *", "minute"),
            ("+1 0 * * *", "minute"),
            ("1,,2 0 * * *", "minute"),
            ("-1 0 * * *", "minute"),
            ("0 0 30 2 *", "no month"),
        ] {
            let refused = Cron::parse(cron).expect_err(cron);
            assert!(refused.contains(named), "{cron}: {refused}");
        }
        assert!(Cron::parse(&format!("0 0 * * {}", "1,".repeat(100))).is_err());
    }

    #[test]
    fn the_end_of_the_calendar_is_no_panic() {
        assert_eq!(Cron::parse("* * * * *").expect("five fields").next_after(Timestamp::MAX), None);
        assert!(Cron::parse("* * * * *").expect("five fields").next_after(Timestamp::MIN).is_some());
    }
}
