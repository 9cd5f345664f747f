/// A count as the wire carries it; there is no customer with more than `i64::MAX` of anything.
pub(in crate::rpc) fn count(number: impl TryInto<i64>) -> i64 {
    number.try_into().unwrap_or(i64::MAX)
}
