//! Times and durations.

use std::time::Duration;

use crate::domain::limits;
use crate::domain::time::Timestamp;
use crate::domain::violation::Violations;

const SECONDS_PER_DAY: i64 = 86_400;

/// A time as the wire carries it.
pub(in crate::rpc) fn to_pb(time: Timestamp) -> prost_types::Timestamp {
    let (seconds, nanos) = time.as_seconds_and_nanos();
    prost_types::Timestamp { seconds, nanos }
}

/// A time that a caller sent; one outside of the representable range is a violation of `field`.
pub(in crate::rpc) fn from_pb(
    time: Option<prost_types::Timestamp>,
    field: &str,
    violations: &mut Violations,
) -> Option<Timestamp> {
    let time = time?;
    let converted = Timestamp::from_seconds_and_nanos(time.seconds, time.nanos);
    if converted.is_none() {
        violations.add(field, "must lie in the years 1 to 9999 and have nanos from 0 to 999999999");
    }
    converted
}

/// A duration as the wire carries it.
pub(in crate::rpc) fn duration_to_pb(duration: Duration) -> prost_types::Duration {
    let seconds = i64::try_from(duration.as_secs()).unwrap_or(i64::MAX);
    prost_types::Duration { seconds, nanos: i32::try_from(duration.subsec_nanos()).unwrap_or(0) }
}

/// How far ahead something looks; anything but a whole number of days from 1 to 730 is a violation of `field`.
pub(in crate::rpc) fn horizon_from_pb(
    sent: prost_types::Duration,
    field: &str,
    violations: &mut Violations,
) -> Option<Duration> {
    let whole_days = sent.nanos == 0 && sent.seconds % SECONDS_PER_DAY == 0;
    let horizon = u64::try_from(sent.seconds).map(Duration::from_secs).ok();
    let horizon = horizon.filter(|horizon| whole_days && limits::HORIZON.contains(horizon));
    if horizon.is_none() {
        violations.add(field, "must be a whole number of days from 1 to 730");
    }
    horizon
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nanoseconds_that_are_none_are_a_violation_of_their_field() {
        let mut violations = Violations::new();
        for nanos in [-1, 1_000_000_000] {
            let time = prost_types::Timestamp { seconds: 0, nanos };
            assert_eq!(from_pb(Some(time), "sent_time", &mut violations), None);
        }
        let fields: Vec<_> = violations.into_vec().into_iter().map(|violation| violation.field).collect();
        assert_eq!(fields, ["sent_time", "sent_time"]);
    }
}
