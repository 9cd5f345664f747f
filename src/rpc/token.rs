//! Tokens of other issuers: JWT in the compact form of RFC 7519, signed by a key of a JWKS (RFC 7517).
//!
//! The algorithm follows from the key and is one of three; what the token says about it must agree. There is none
//! without a signature, and none with a shared secret, so that no public key can be mistaken for one.

use std::sync::{Arc, PoisonError, RwLock};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use quick_cache::sync::Cache;
use ring::signature::{ECDSA_P256_SHA256_FIXED, ED25519, RSA_PKCS1_2048_8192_SHA256};
use ring::signature::{RsaPublicKeyComponents, UnparsedPublicKey};
use serde::Deserialize;
use serde_json::Value;
use tokio::sync::Notify;
use tokio::sync::futures::Notified;

use crate::app::Credential;
use crate::domain::access::{Principal, Scope};
use crate::domain::time::Timestamp;

/// Tokens that were verified and are remembered, so that one is verified once and not with each request.
const REMEMBERED: usize = 10_000;
/// Microseconds by which the clock of an issuer may be ahead of ours.
const SKEW_MICROS: i64 = 60 * 1_000_000;
/// Keys of one issuer.
const KEYS: usize = 100;

/// Somebody whose tokens are accepted.
pub struct Issuer {
    claims: ExpectedClaims,
    keys: RwLock<Arc<Keys>>,
    unknown_key: Notify,
}

/// What a token must say, and where it says for whom it speaks.
#[derive(Debug, Clone)]
pub struct ExpectedClaims {
    /// The claim `iss`, exactly.
    pub issuer: String,
    /// What the claim `aud` must be or hold.
    pub audience: String,
    /// The claim that names the workspace.
    pub workspace: String,
    /// The claim that names the scopes, as a list or as words with spaces between them. What is no scope of ours is
    /// somebody else's and passed over.
    pub scopes: String,
}

/// The keys at one time, and what was verified with them: other keys forget it.
struct Keys {
    keys: Vec<Key>,
    verified: Cache<[u8; 32], Verified>,
}

#[derive(Clone)]
pub(super) struct Verified {
    principal: Arc<Principal>,
    end: Timestamp,
}

struct Key {
    id: Option<String>,
    public: PublicKey,
}

enum PublicKey {
    Rsa { n: Vec<u8>, e: Vec<u8> },
    P256(Vec<u8>),
    Ed25519(Vec<u8>),
}

/// Why a set of keys cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum UnusableKeys {
    /// It is no JWKS.
    #[error("it is no JWKS: {0}")]
    Unreadable(#[from] serde_json::Error),
    /// None of its keys is for an algorithm that is accepted.
    #[error("it holds no key for RS256, ES256 or EdDSA with Ed25519")]
    NoKey,
    /// There are too many.
    #[error("it holds more than {KEYS} keys")]
    TooMany,
}

impl std::fmt::Debug for Issuer {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Issuer").field("claims", &self.claims).finish_non_exhaustive()
    }
}

impl Issuer {
    /// An issuer with the keys of a JWKS.
    ///
    /// # Errors
    /// When the text holds no key that is accepted.
    pub fn new(claims: ExpectedClaims, jwks: &[u8]) -> Result<Self, UnusableKeys> {
        let issuer = Self::without_keys(claims);
        issuer.replace_keys(jwks)?;
        Ok(issuer)
    }

    /// An issuer whose keys nobody knows yet: its tokens are refused until there are some.
    pub fn without_keys(claims: ExpectedClaims) -> Self {
        Self { claims, keys: RwLock::new(Arc::new(Keys::default())), unknown_key: Notify::new() }
    }

    /// Waits for a token that says it was signed with a key that is not known. One that came since the last wait is told
    /// at once.
    pub fn unknown_key(&self) -> Notified<'_> {
        self.unknown_key.notified()
    }

    /// Takes other keys instead; tokens that only an earlier one has signed are refused from now on.
    ///
    /// # Errors
    /// When the text holds no key that is accepted; the keys stay as they were.
    pub fn replace_keys(&self, jwks: &[u8]) -> Result<(), UnusableKeys> {
        let keys = Arc::new(Keys::read(jwks)?);
        *self.keys.write().unwrap_or_else(PoisonError::into_inner) = keys;
        Ok(())
    }

    /// For whom a token speaks; `None` for one that this issuer did not sign, that is over, or that lacks something.
    pub(super) fn verify(&self, token: &str, now: Timestamp) -> Option<Credential> {
        let keys = Arc::clone(&self.keys.read().unwrap_or_else(PoisonError::into_inner));
        let digest = *blake3::hash(token.as_bytes()).as_bytes();
        let verified = match keys.verified.get(&digest) {
            Some(verified) => verified,
            None => {
                let verified = self.read(token, &keys, now)?;
                keys.verified.insert(digest, verified.clone());
                verified
            }
        };
        (now < verified.end).then(|| Credential::until(verified.principal, verified.end))
    }

    fn read(&self, token: &str, keys: &Keys, now: Timestamp) -> Option<Verified> {
        let (signed, signature) = token.rsplit_once('.')?;
        let (header, claims) = signed.split_once('.')?;
        let header: Header = serde_json::from_slice(&decode(header)?).ok()?;
        // Whoever writes `crit` wants to be understood, and we understand no extension.
        if header.crit.is_some() {
            return None;
        }
        let Some(key) = keys.of(&header) else {
            // Tokens of other issuers come by here as well, and say nothing about the keys of this one.
            let claims: Option<serde_json::Map<String, Value>> = serde_json::from_slice(&decode(claims)?).ok();
            if claims?.get("iss")?.as_str()? == self.claims.issuer {
                self.unknown_key.notify_one();
            }
            return None;
        };
        key.public.verify(signed.as_bytes(), &decode(signature)?)?;
        let claims: serde_json::Map<String, Value> = serde_json::from_slice(&decode(claims)?).ok()?;
        self.claims.check(&claims, now)
    }
}

/// What a token says about itself.
#[derive(Deserialize)]
struct Header {
    alg: String,
    kid: Option<String>,
    crit: Option<Value>,
}

impl ExpectedClaims {
    pub(super) fn check(&self, claims: &serde_json::Map<String, Value>, now: Timestamp) -> Option<Verified> {
        if claims.get("iss")?.as_str()? != self.issuer {
            return None;
        }
        let is_for_us = match claims.get("aud")? {
            Value::String(audience) => *audience == self.audience,
            Value::Array(audiences) => audiences.iter().any(|audience| audience.as_str() == Some(&self.audience)),
            _ => false,
        };
        let end = time(claims.get("exp")?)?;
        let has_begun = match claims.get("nbf") {
            Some(begin) => now.plus_micros(SKEW_MICROS) >= time(begin)?,
            None => true,
        };
        if !is_for_us || !has_begun || now >= end {
            return None;
        }
        let workspace = claims.get(&self.workspace)?.as_str()?.parse().ok()?;
        let scopes: Vec<&str> = match claims.get(&self.scopes)? {
            Value::String(words) => words.split_ascii_whitespace().collect(),
            Value::Array(words) => words.iter().map(Value::as_str).collect::<Option<_>>()?,
            _ => return None,
        };
        let scopes = scopes.into_iter().filter_map(|word| word.parse::<Scope>().ok()).collect();
        // The issuer and nothing of the token: what it says of its subject may be a person's name or address.
        let name = format!("token:{}", self.issuer).into();
        Some(Verified { principal: Arc::new(Principal { workspace, scopes, name }), end })
    }
}

/// A time in seconds since the Unix epoch. A time of another form is a fault and not an absent time.
fn time(value: &Value) -> Option<Timestamp> {
    let seconds = value.as_i64().or_else(|| value.as_f64().map(|seconds| seconds as i64))?;
    Timestamp::from_seconds_and_nanos(seconds, 0)
}

impl Default for Keys {
    fn default() -> Self {
        Self { keys: Vec::new(), verified: Cache::new(REMEMBERED) }
    }
}

impl Keys {
    fn read(jwks: &[u8]) -> Result<Self, UnusableKeys> {
        #[derive(Deserialize)]
        struct Jwks {
            keys: Vec<Jwk>,
        }
        let jwks: Jwks = serde_json::from_slice(jwks)?;
        if jwks.keys.len() > KEYS {
            return Err(UnusableKeys::TooMany);
        }
        let keys: Vec<Key> = jwks.keys.into_iter().filter_map(Jwk::into_key).collect();
        if keys.is_empty() {
            return Err(UnusableKeys::NoKey);
        }
        Ok(Self { keys, ..Self::default() })
    }

    /// The key that a token says it was signed with; without a name only where there is no choice.
    fn of(&self, header: &Header) -> Option<&Key> {
        let mut fitting = self
            .keys
            .iter()
            .filter(|key| key.public.algorithm() == header.alg && (header.kid.is_none() || key.id == header.kid));
        fitting.next().filter(|_| fitting.next().is_none())
    }
}

/// A key as a JWKS holds it. Only what is needed to verify is read.
#[derive(Deserialize)]
struct Jwk {
    kty: String,
    kid: Option<String>,
    #[serde(rename = "use")]
    purpose: Option<String>,
    alg: Option<String>,
    crv: Option<String>,
    n: Option<String>,
    e: Option<String>,
    x: Option<String>,
    y: Option<String>,
}

impl Jwk {
    /// The key, where it is one to verify with; a set may hold others beside.
    fn into_key(self) -> Option<Key> {
        let part = |text: &Option<String>| decode(text.as_deref()?);
        let public = match (self.kty.as_str(), self.crv.as_deref()) {
            ("RSA", _) => PublicKey::Rsa { n: part(&self.n)?, e: part(&self.e)? },
            ("EC", Some("P-256")) => {
                let (x, y) = (part(&self.x)?, part(&self.y)?);
                // 4 says that both coordinates follow.
                let point = [&[4][..], &x, &y].concat();
                PublicKey::P256(Some(point).filter(|point| point.len() == 65)?)
            }
            ("OKP", Some("Ed25519")) => PublicKey::Ed25519(part(&self.x)?),
            _ => return None,
        };
        let is_for_signatures = self.purpose.as_deref().is_none_or(|purpose| purpose == "sig");
        let agrees = self.alg.as_deref().is_none_or(|algorithm| algorithm == public.algorithm());
        (is_for_signatures && agrees).then_some(Key { id: self.kid, public })
    }
}

impl PublicKey {
    /// The one algorithm that goes with the key.
    fn algorithm(&self) -> &'static str {
        match self {
            Self::Rsa { .. } => "RS256",
            Self::P256(_) => "ES256",
            Self::Ed25519(_) => "EdDSA",
        }
    }

    fn verify(&self, signed: &[u8], signature: &[u8]) -> Option<()> {
        let verified = match self {
            Self::Rsa { n, e } => {
                RsaPublicKeyComponents { n, e }.verify(&RSA_PKCS1_2048_8192_SHA256, signed, signature)
            }
            Self::P256(point) => UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point).verify(signed, signature),
            Self::Ed25519(point) => UnparsedPublicKey::new(&ED25519, point).verify(signed, signature),
        };
        verified.ok()
    }
}

fn decode(text: &str) -> Option<Vec<u8>> {
    URL_SAFE_NO_PAD.decode(text).ok()
}

#[cfg(test)]
mod tests {
    use ring::rand::SystemRandom;
    use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _};
    use serde_json::json;

    use super::*;

    const NOW: i64 = 1_772_366_400;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_micros(seconds * 1_000_000)
    }

    fn encode(bytes: impl AsRef<[u8]>) -> String {
        URL_SAFE_NO_PAD.encode(bytes)
    }

    /// An issuer with an elliptic key `ec` and an Edwards key `ed`.
    struct Signer {
        ec: EcdsaKeyPair,
        ed: Ed25519KeyPair,
        random: SystemRandom,
    }

    impl Signer {
        fn new() -> Self {
            let random = SystemRandom::new();
            let ec = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &random).expect("a key");
            let ec = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, ec.as_ref(), &random);
            let ed = Ed25519KeyPair::from_seed_unchecked(&[7; 32]).expect("a key");
            Self { ec: ec.expect("a key"), ed, random }
        }

        fn jwks(&self) -> Vec<u8> {
            let point = self.ec.public_key().as_ref();
            let ec = json!({"kty": "EC", "crv": "P-256", "kid": "ec", "use": "sig",
                            "x": encode(&point[1..33]), "y": encode(&point[33..])});
            let ed = json!({"kty": "OKP", "crv": "Ed25519", "kid": "ed", "x": encode(self.ed.public_key())});
            let other = json!({"kty": "oct", "kid": "secret", "k": "AAAA"});
            json!({"keys": [other, ec, ed]}).to_string().into_bytes()
        }

        fn issuer(&self) -> Issuer {
            let [issuer, audience, workspace, scopes] =
                ["https://issuer", "rapport", "workspace", "scope"].map(str::to_owned);
            Issuer::new(ExpectedClaims { issuer, audience, workspace, scopes }, &self.jwks()).expect("keys")
        }

        fn token(&self, header: &Value, claims: &Value) -> String {
            let signed = format!("{}.{}", encode(header.to_string()), encode(claims.to_string()));
            let signature = match header["alg"].as_str() {
                Some("ES256") => self.ec.sign(&self.random, signed.as_bytes()).expect("signed").as_ref().to_vec(),
                Some("EdDSA") => self.ed.sign(signed.as_bytes()).as_ref().to_vec(),
                _ => Vec::new(),
            };
            format!("{signed}.{}", encode(signature))
        }
    }

    fn claims() -> Value {
        json!({"iss": "https://issuer", "aud": ["other", "rapport"], "exp": NOW + 600, "nbf": NOW,
               "workspace": "acme", "scope": "openid profiles:read events:write"})
    }

    fn changed(key: &str, value: Value) -> Value {
        let mut changed = claims();
        match value {
            Value::Null => drop(changed.as_object_mut().expect("an object").remove(key)),
            value => changed[key] = value,
        }
        changed
    }

    #[test]
    fn only_a_token_of_the_issuer_itself_asks_for_keys_that_are_not_known() {
        use std::task::{Context, Poll, Waker};
        let signer = Signer::new();
        let issuer = signer.issuer();
        let is_asked_for = || {
            let wanted = std::pin::pin!(issuer.unknown_key());
            wanted.poll(&mut Context::from_waker(Waker::noop())) == Poll::Ready(())
        };
        let new = json!({"alg": "ES256", "kid": "new"});
        for (header, claims, asked) in [
            (json!({"alg": "ES256", "kid": "ec"}), claims(), false),
            (new.clone(), changed("iss", json!("https://other")), false),
            (new.clone(), changed("iss", Value::Null), false),
            (new, claims(), true),
        ] {
            let _known_or_not = issuer.verify(&signer.token(&header, &claims), at(NOW));
            assert_eq!(is_asked_for(), asked, "{header} {claims}");
        }
    }

    #[test]
    fn a_token_that_was_signed_speaks_for_its_workspace_until_its_end() {
        let (signer, header) = (Signer::new(), json!({"alg": "ES256", "kid": "ec", "typ": "JWT"}));
        let issuer = signer.issuer();
        for header in [header, json!({"alg": "EdDSA", "kid": "ed"}), json!({"alg": "EdDSA"})] {
            let token = signer.token(&header, &claims());
            // The second time it is remembered.
            for _ in 0..2 {
                let known = issuer.verify(&token, at(NOW)).expect("accepted");
                assert_eq!(known.principal.workspace.as_str(), "acme");
                assert_eq!(known.principal.scopes.to_string(), "events:write, profiles:read");
                assert!(known.is_live(at(NOW + 599)) && !known.is_live(at(NOW + 600)));
                assert!(issuer.verify(&token, at(NOW + 600)).is_none(), "its end has come");
            }
        }
    }

    #[test]
    fn a_token_that_lacks_something_or_says_something_else_is_refused() {
        let (signer, header) = (Signer::new(), json!({"alg": "ES256", "kid": "ec"}));
        let issuer = signer.issuer();
        let wrong = [
            ("iss", json!("https://other")),
            ("iss", Value::Null),
            ("iss", json!(["https://issuer"])),
            ("aud", json!("other")),
            ("aud", json!([])),
            ("aud", Value::Null),
            ("aud", json!({"rapport": 1})),
            ("exp", json!(NOW)),
            ("exp", Value::Null),
            ("exp", json!((NOW + 600).to_string())),
            ("nbf", json!(NOW + 61)),
            ("nbf", json!("0")),
            ("workspace", json!("No Workspace")),
            ("workspace", Value::Null),
            ("workspace", json!(1)),
            ("scope", Value::Null),
            ("scope", json!(1)),
            ("scope", json!([1])),
        ];
        for (key, value) in wrong {
            let token = signer.token(&header, &changed(key, value.clone()));
            assert!(issuer.verify(&token, at(NOW)).is_none(), "{key} {value}");
        }
        assert!(issuer.verify(&signer.token(&header, &changed("nbf", Value::Null)), at(NOW)).is_some());
    }

    #[test]
    fn the_algorithm_is_that_of_the_key_and_never_none() {
        let signer = Signer::new();
        let issuer = signer.issuer();
        let good = signer.token(&json!({"alg": "ES256", "kid": "ec"}), &claims());
        let (signed, signature) = good.rsplit_once('.').expect("three parts");
        let (_, body) = signed.split_once('.').expect("three parts");
        for header in [
            json!({"alg": "none"}),
            json!({"alg": "none", "kid": "ec"}),
            json!({"alg": "HS256", "kid": "ec"}),
            json!({"alg": "EdDSA", "kid": "ec"}),
            json!({"alg": "ES256", "kid": "ed"}),
            json!({"alg": "ES256", "kid": "x"}),
            json!({"alg": "RS256", "kid": "ec"}),
            json!({"kid": "ec"}),
            json!({"alg": "ES256", "kid": "ec", "crit": ["exp"]}),
        ] {
            let token = signer.token(&header, &claims());
            assert!(issuer.verify(&token, at(NOW)).is_none(), "{header}");
            let moved = format!("{}.{body}.{signature}", encode(header.to_string()));
            assert!(issuer.verify(&moved, at(NOW)).is_none(), "{header}");
        }
        let other = encode(changed("workspace", json!("other")).to_string());
        for token in [
            format!("{}.{other}.{signature}", signed.split_once('.').expect("two parts").0),
            format!("{signed}."),
            format!("{signed}.{signature}="),
            signed.to_owned(),
            format!("{good}.{good}"),
            String::new(),
            "..".to_owned(),
            "a.b.c".to_owned(),
        ] {
            assert!(issuer.verify(&token, at(NOW)).is_none(), "{token}");
        }
    }

    #[test]
    fn other_keys_forget_what_the_earlier_ones_had_signed() {
        let (signer, header) = (Signer::new(), json!({"alg": "ES256", "kid": "ec"}));
        let issuer = signer.issuer();
        let token = signer.token(&header, &claims());
        assert!(issuer.verify(&token, at(NOW)).is_some());
        for unusable in [&b"{}"[..], b"{\"keys\": []}", b"no JSON", br#"{"keys": [{"kty": "oct"}]}"#] {
            issuer.replace_keys(unusable).expect_err("holds no key");
            assert!(issuer.verify(&token, at(NOW)).is_some(), "the keys stay as they were");
        }
        let other = Signer::new();
        issuer.replace_keys(&other.jwks()).expect("keys");
        assert!(issuer.verify(&token, at(NOW)).is_none());
        assert!(issuer.verify(&other.token(&header, &claims()), at(NOW)).is_some());
    }
}
