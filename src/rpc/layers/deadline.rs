//! How long a request may take.

use std::time::Duration;

use http::HeaderMap;

/// Methods whose answers go on for as long as the caller wants, unless the caller says how long.
const STREAMS: [&str; 8] = [
    "/rapport.v1.AdminService/CreateBackup",
    "/rapport.v1.EventService/StreamEvents",
    "/rapport.v1.PredictionService/StreamPredictions",
    "/rapport.v1.ProfileService/WatchProfiles",
    "/rapport.v1.TrainingService/WatchTrainingRun",
    "/grpc.health.v1.Health/Watch",
    "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo",
    "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",
];
/// tonic looks at `grpc-timeout` too, before us, and would answer `CANCELLED`; so ours is over a little earlier.
const HEAD_START: Duration = Duration::from_millis(5);

/// Whether the method answers with a stream.
pub(super) fn is_stream(path: &str) -> bool {
    STREAMS.contains(&path)
}

/// How long the request may take: as long as the caller waits, and a unary one never longer than `unary`. `None` is
/// without end.
pub(super) fn limit(path: &str, headers: &HeaderMap, unary: Duration) -> Option<Duration> {
    let asked = headers.get("grpc-timeout").and_then(|value| parse(value.to_str().ok()?));
    let asked = asked.map(|asked| asked.saturating_sub(HEAD_START.min(asked / 10).max(HEAD_START / 2)));
    if is_stream(path) { asked } else { Some(asked.map_or(unary, |asked| asked.min(unary))) }
}

/// A timeout as gRPC writes it: at most eight digits and a unit. What is none counts as absent, as it does for tonic.
fn parse(text: &str) -> Option<Duration> {
    let (digits, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    if digits.is_empty() || digits.len() > 8 || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let number: u64 = digits.parse().ok()?;
    match unit {
        "H" => Some(Duration::from_secs(number * 3_600)),
        "M" => Some(Duration::from_secs(number * 60)),
        "S" => Some(Duration::from_secs(number)),
        "m" => Some(Duration::from_millis(number)),
        "u" => Some(Duration::from_micros(number)),
        "n" => Some(Duration::from_nanos(number)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const UNARY: &str = "/rapport.v1.ProfileService/GetProfile";
    const DEFAULT: Duration = Duration::from_secs(10);

    fn headers(timeout: &'static str) -> HeaderMap {
        [(http::HeaderName::from_static("grpc-timeout"), http::HeaderValue::from_static(timeout))].into_iter().collect()
    }

    #[test]
    fn a_unary_call_has_a_default_and_a_cap() {
        assert_eq!(limit(UNARY, &HeaderMap::new(), DEFAULT), Some(DEFAULT));
        assert_eq!(limit(UNARY, &headers("1H"), DEFAULT), Some(DEFAULT));
        assert_eq!(limit(UNARY, &headers("1S"), DEFAULT), Some(Duration::from_millis(995)));
    }

    #[test]
    fn a_stream_lasts_as_long_as_its_caller_says() {
        assert_eq!(limit(STREAMS[0], &HeaderMap::new(), DEFAULT), None);
        assert_eq!(limit(STREAMS[0], &headers("1H"), DEFAULT), Some(Duration::from_secs(3_600) - HEAD_START));
    }

    #[test]
    fn a_tiny_timeout_is_over_at_once() {
        assert_eq!(limit(UNARY, &headers("1m"), DEFAULT), Some(Duration::ZERO));
    }

    #[test]
    fn what_is_no_timeout_counts_as_absent() {
        for text in ["", "S", "1", "1s", "-1S", "123456789S", "+1S"] {
            assert_eq!(parse(text), None, "{text}");
        }
    }
}
