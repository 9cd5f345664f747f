//! Who may call, and how connections are encrypted.

use serde::{Deserialize, Serialize};

/// Who may call.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Auth {
    /// The file with the key under which digests of API keys are made; empty is `auth.key` in the data directory.
    pub key_file: String,
    /// Certificates of clients that speak for a workspace.
    pub certificates: Vec<Certificate>,
    /// Issuers whose tokens speak for a workspace.
    pub issuers: Vec<TokenIssuer>,
}

/// Certificates of clients, and what they may do. Exactly one of `fingerprint` and `san` is there.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Certificate {
    /// The SHA-256 digest of one certificate.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub fingerprint: String,
    /// A subject alternative name, a DNS name or a URI, of certificates that `tls.client_ca_file` has issued.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub san: String,
    /// The workspace that they reach.
    pub workspace: String,
    /// The names of their scopes.
    pub scopes: Vec<String>,
}

/// An issuer of tokens (OpenID Connect). Exactly one of `jwks_file` and `jwks_url` is there.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TokenIssuer {
    /// The claim `iss` of its tokens.
    pub issuer: String,
    /// What the claim `aud` must hold.
    pub audience: String,
    /// The file with its public keys as a JWKS; it is read again when it changes.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub jwks_file: String,
    /// Where the issuer itself has them; they are fetched again every few minutes, and when a token names another one.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub jwks_url: String,
    /// The authorities that its certificate may come from; empty: those that browsers trust.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub jwks_ca_file: String,
    /// The claim that names the workspace.
    #[serde(default = "workspace_claim")]
    pub workspace_claim: String,
    /// The claim that names the scopes.
    #[serde(default = "scopes_claim")]
    pub scopes_claim: String,
}

/// How connections are encrypted. Files are in PEM, and read again when they change.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Tls {
    /// The server's certificate, with those of its issuers behind it; empty is without TLS.
    pub cert_file: String,
    /// The private key of the certificate.
    pub key_file: String,
    /// The authorities that issue certificates of clients; empty asks for none.
    pub client_ca_file: String,
}

fn workspace_claim() -> String {
    "workspace".to_owned()
}

fn scopes_claim() -> String {
    "scope".to_owned()
}
