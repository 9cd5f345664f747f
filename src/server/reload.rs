//! The background job that reads certificates and keys of issuers again when their files change.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::{JoinHandle, spawn_blocking};

use super::config;
use super::credentials::IssuerFile;
use super::tls;

/// How often files are looked at.
const EVERY: Duration = Duration::from_secs(1);

/// Files whose content is in force.
pub(super) struct Files {
    /// How TLS is spoken, where it is, and who is told of it.
    pub(super) tls: Option<(config::Tls, watch::Sender<Arc<rustls::ServerConfig>>)>,
    /// Issuers of tokens.
    pub(super) issuers: Vec<IssuerFile>,
}

/// Reads files again when they change, until the job is aborted. What cannot be used is logged, and what was in force
/// stays so: a file that is being written is soon whole.
pub(super) fn start(files: Files) -> JoinHandle<()> {
    let files = Arc::new(files);
    tokio::spawn(async move {
        // What changes between the start and the first look is read again for nothing, and not missed.
        let mut seen = Seen::new();
        while let Ok(now) = look(&files, seen).await {
            seen = now;
            tokio::time::sleep(EVERY).await;
        }
    })
}

/// What the files held when they were looked at.
type Seen = Vec<Option<Vec<u8>>>;

/// Looks at the files, beside the threads that serve.
async fn look(files: &Arc<Files>, seen: Seen) -> Result<Seen, tokio::task::JoinError> {
    let files = Arc::clone(files);
    let looked = spawn_blocking(move || {
        let now = files.contents();
        if now != seen {
            files.take();
        }
        now
    });
    looked.await
}

impl Files {
    fn contents(&self) -> Seen {
        let tls = self.tls.iter().flat_map(|(tls, _)| [&tls.cert_file, &tls.key_file, &tls.client_ca_file]);
        let issuers = self.issuers.iter().map(|file| &file.path);
        tls.chain(issuers).filter(|path| !path.is_empty()).map(|path| std::fs::read(path).ok()).collect()
    }

    fn take(&self) {
        if let Some((paths, sender)) = &self.tls {
            match tls::load(paths) {
                Ok(config) => {
                    sender.send_replace(Arc::new(config));
                    tracing::info!("certificates were read again");
                }
                Err(error) => tracing::warn!(error = %format!("{error:#}"), "certificates stay as they were"),
            }
        }
        for IssuerFile { issuer, path } in &self.issuers {
            let keys = std::fs::read(path).map_err(anyhow::Error::from);
            match keys.and_then(|jwks| Ok(issuer.replace_keys(&jwks)?)) {
                Ok(()) => tracing::info!(file = path, "keys of an issuer were read again"),
                Err(error) => tracing::warn!(file = path, %error, "keys of an issuer stay as they were"),
            }
        }
    }
}
