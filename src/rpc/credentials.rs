//! What proves who asks, beside the keys that the server gives out: certificates of clients and tokens of issuers.

use std::fmt;
use std::sync::Arc;

use ring::digest::{SHA256, digest};
use rustls::pki_types::CertificateDer;

use super::token::Issuer;
use crate::app::Credential;
use crate::domain::access::Principal;
use crate::domain::time::Timestamp;

/// Certificates and issuers that the server trusts. Where there is one of either, everybody is asked for a credential.
#[derive(Debug, Clone, Default)]
pub struct Credentials {
    /// Which certificates speak for whom; of several that fit, the first counts.
    pub certificates: Arc<[CertificateRule]>,
    /// Whose tokens are accepted.
    pub issuers: Arc<[Arc<Issuer>]>,
}

/// A certificate, by its digest or by a name in it, and on whose behalf it speaks.
#[derive(Debug, Clone)]
pub struct CertificateRule {
    /// Which certificates.
    pub name: CertificateName,
    /// On whose behalf they speak.
    pub principal: Arc<Principal>,
}

/// What a certificate is known by. That it was issued by an authority that the server trusts was proved before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CertificateName {
    /// The SHA-256 digest of the whole certificate.
    Fingerprint([u8; 32]),
    /// One of its subject alternative names, a DNS name or a URI, as it is written there.
    SubjectAltName(String),
}

impl fmt::Display for CertificateName {
    /// The name by which the audit log knows whoever shows the certificate.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::SubjectAltName(name) => write!(formatter, "certificate:{name}"),
            Self::Fingerprint(digest) => {
                formatter.write_str("certificate:")?;
                digest.iter().try_for_each(|byte| write!(formatter, "{byte:02x}"))
            }
        }
    }
}

impl Credentials {
    /// Whether there is anything to ask for.
    pub(super) fn is_empty(&self) -> bool {
        self.certificates.is_empty() && self.issuers.is_empty()
    }

    /// On whose behalf a client speaks that showed this certificate and proved to have its key.
    pub(super) fn of_certificate(&self, certificate: &CertificateDer<'_>) -> Option<Arc<Principal>> {
        let fingerprint = digest(&SHA256, certificate);
        let names = names(certificate);
        let fits = |rule: &&CertificateRule| match &rule.name {
            CertificateName::Fingerprint(expected) => fingerprint.as_ref() == expected,
            CertificateName::SubjectAltName(expected) => names.contains(expected),
        };
        self.certificates.iter().find(fits).map(|rule| Arc::clone(&rule.principal))
    }

    /// On whose behalf a token speaks, if one of the issuers has signed it.
    pub(super) fn of_token(&self, token: &str, now: Timestamp) -> Option<Credential> {
        self.issuers.iter().find_map(|issuer| issuer.verify(token, now))
    }
}

fn names(certificate: &CertificateDer<'_>) -> Vec<String> {
    let Ok(parsed) = webpki::EndEntityCert::try_from(certificate) else { return Vec::new() };
    parsed.valid_dns_names().chain(parsed.valid_uri_names()).map(str::to_owned).collect()
}
