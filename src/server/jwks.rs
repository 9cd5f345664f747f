//! Keys of issuers that are fetched from them, and again when they may have changed.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use tokio::task::{JoinHandle, spawn_blocking};
use ureq::Agent;
use ureq::tls::{Certificate, PemItem, RootCerts, TlsConfig, parse_pem};

use crate::rpc::Issuer;

/// How long one fetch may take.
const TIMEOUT: Duration = Duration::from_secs(5);
/// Bytes of an answer.
const BYTES: u64 = 1 << 20;
/// How old keys may become before they are fetched again: a key that its issuer has withdrawn is accepted no longer than
/// that.
const MAX_AGE: Duration = Duration::from_secs(300);
/// The pause between two fetches, whatever asks for one: tokens that name unknown keys can be made by anybody.
const PAUSE: Duration = Duration::from_secs(5);

/// An issuer, and where its keys are.
pub(super) struct Fetched {
    issuer: Arc<Issuer>,
    url: String,
    agent: Agent,
}

impl Fetched {
    /// An issuer whose JWKS is at a URL. The server's certificate must come from an authority in `ca_file`, or from one
    /// that browsers trust where that is empty.
    ///
    /// # Errors
    /// When the URL is none to fetch keys from, or the file holds no certificate.
    pub(super) fn new(issuer: Arc<Issuer>, url: &str, ca_file: &str) -> anyhow::Result<Self> {
        check(url)?;
        let roots = if ca_file.is_empty() { RootCerts::WebPki } else { RootCerts::from(authorities(ca_file)?) };
        let agent = Agent::config_builder()
            .timeout_global(Some(TIMEOUT))
            // Nobody in between, whatever the environment names: over http the target is this machine itself.
            .proxy(None)
            // Another place than the configured one is not trusted to say who may call.
            .max_redirects(0)
            .tls_config(TlsConfig::builder().root_certs(roots).build())
            .build();
        Ok(Self { issuer, url: url.to_owned(), agent: agent.into() })
    }

    fn fetch(&self) -> anyhow::Result<()> {
        let mut answer = self.agent.get(&self.url).call()?;
        anyhow::ensure!(answer.status() == 200, "the answer is {}", answer.status());
        let jwks = answer.body_mut().with_config().limit(BYTES).read_to_vec()?;
        Ok(self.issuer.replace_keys(&jwks)?)
    }
}

/// Keys decide who may call, so that nobody on the way may change them.
fn check(url: &str) -> anyhow::Result<()> {
    let parsed: http::Uri = url.parse().context("jwks_url")?;
    let is_loopback = matches!(parsed.host(), Some("localhost" | "127.0.0.1" | "[::1]"));
    let is_safe = match parsed.scheme_str() {
        Some("https") => parsed.host().is_some(),
        Some("http") => is_loopback,
        _ => false,
    };
    anyhow::ensure!(is_safe, "jwks_url must begin with https://, or be on this machine");
    Ok(())
}

fn authorities(file: &str) -> anyhow::Result<Vec<Certificate<'static>>> {
    let pem = std::fs::read(file).with_context(|| format!("reading {file}"))?;
    let items = parse_pem(&pem).collect::<Result<Vec<_>, _>>().with_context(|| file.to_owned())?;
    let certificates = items.into_iter().filter_map(|item| match item {
        PemItem::Certificate(certificate) => Some(certificate),
        _ => None,
    });
    let certificates: Vec<_> = certificates.collect();
    anyhow::ensure!(!certificates.is_empty(), "{file} holds no certificate in PEM");
    Ok(certificates)
}

/// Fetches keys now, whenever they are old, and when a token names one that nobody knows, until the job is aborted. What
/// cannot be fetched is logged, and the keys stay as they were; without any, the tokens of the issuer are refused.
pub(super) fn start(fetched: Fetched) -> JoinHandle<()> {
    let fetched = Arc::new(fetched);
    tokio::spawn(async move {
        loop {
            let work = Arc::clone(&fetched);
            let done = spawn_blocking(move || work.fetch()).await;
            let age = match done {
                Ok(Ok(())) => {
                    tracing::info!(url = fetched.url, "keys of an issuer were fetched");
                    MAX_AGE
                }
                Ok(Err(error)) => {
                    let error = format!("{error:#}");
                    tracing::warn!(url = fetched.url, error, "keys of an issuer stay as they were");
                    PAUSE
                }
                Err(_panicked_or_stopped) => return,
            };
            tokio::time::sleep(PAUSE).await;
            let _whatever_is_first = tokio::time::timeout(age - PAUSE, fetched.issuer.unknown_key()).await;
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_come_over_tls_or_from_this_machine() {
        for url in ["https://id.example/jwks", "http://localhost:8080/jwks", "http://127.0.0.1/a", "http://[::1]:1/a"] {
            assert!(check(url).is_ok(), "{url}");
        }
        for url in
            ["http://id.example/jwks", "ftp://localhost/jwks", "/jwks.json", "https://", "", "http://localhost.evil"]
        {
            assert!(check(url).is_err(), "{url}");
        }
    }

    #[test]
    fn a_file_without_a_certificate_is_refused() {
        let file = tempfile::NamedTempFile::new().expect("a file");
        let path = file.path().to_str().expect("text");
        let refused = authorities(path).expect_err("empty").to_string();
        assert!(refused.contains("no certificate"), "{refused}");
        authorities("/nowhere").expect_err("not there");
    }
}
