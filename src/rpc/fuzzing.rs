//! A way in for whoever throws bytes at what reads tokens of issuers. Nothing else calls it.

use super::token::{ExpectedClaims, Issuer};
use crate::domain::time::Timestamp;

/// Reads the bytes as a JWKS, a token and the claims of one, with zeroes between them. A signature keeps random bytes from
/// the claims behind it, so that claims are read as well as if they were signed.
///
/// # Panics
/// Where a token is accepted, which nobody has signed.
pub fn token(bytes: &[u8]) {
    let mut parts = bytes.splitn(3, |byte| *byte == 0);
    let [jwks, token, claims] = std::array::from_fn(|_| parts.next().unwrap_or_default());
    let [issuer, audience, workspace, scopes] = ["https://issuer", "rapport", "workspace", "scope"].map(str::to_owned);
    let expected = ExpectedClaims { issuer, audience, workspace, scopes };
    let now = Timestamp::from_micros(1_772_366_400_000_000);
    if let Ok(claims) = serde_json::from_slice(claims) {
        let _or_not_for_us = expected.check(&claims, now);
    }
    let issuer = Issuer::without_keys(expected);
    let _or_no_keys = issuer.replace_keys(jwks);
    if let Ok(token) = std::str::from_utf8(token) {
        assert!(issuer.verify(token, now).is_none(), "nobody has signed it");
    }
}
