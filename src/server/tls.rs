//! TLS as files say it, read again whenever they change.

use std::sync::Arc;

use anyhow::Context as _;
use rustls::crypto::ring::default_provider;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};

use super::config;

/// How TLS is spoken, as the files of the configuration say it now.
///
/// # Errors
/// When a file cannot be read, holds something else, or the key does not belong to the certificate. No message shows
/// what is in a key file.
pub(super) fn load(files: &config::Tls) -> anyhow::Result<ServerConfig> {
    let certificates = certificates(&files.cert_file)?;
    let key = std::fs::read(&files.key_file).with_context(|| format!("reading {}", files.key_file))?;
    let key = PrivateKeyDer::from_pem_slice(&key)
        .map_err(|_| anyhow::anyhow!("{} holds no private key in PEM", files.key_file))?;
    let provider = Arc::new(default_provider());
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider)).with_safe_default_protocol_versions()?;
    let builder = if files.client_ca_file.is_empty() {
        builder.with_no_client_auth()
    } else {
        let mut roots = RootCertStore::empty();
        for authority in self::certificates(&files.client_ca_file)? {
            roots.add(authority).with_context(|| format!("{} holds no authority", files.client_ca_file))?;
        }
        // A client without a certificate may still show a key or a token.
        let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
        builder.with_client_cert_verifier(verifier.allow_unauthenticated().build()?)
    };
    let place = || format!("{} and {}", files.cert_file, files.key_file);
    let mut tls = builder.with_single_cert(certificates, key).with_context(place)?;
    tls.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(tls)
}

fn certificates(path: &str) -> anyhow::Result<Vec<CertificateDer<'static>>> {
    let pem = std::fs::read(path).with_context(|| format!("reading {path}"))?;
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&pem).collect();
    let found = found.ok().filter(|found| !found.is_empty());
    found.with_context(|| format!("{path} holds no certificate in PEM"))
}
