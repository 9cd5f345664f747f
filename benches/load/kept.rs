//! Servers over stores that take a while to fill, and may be kept for the next time.

use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::client::Client;
use crate::crowd::Crowd;
use crate::process::{Process, make_key};
use crate::scenarios::WORKSPACE;

/// Names the directory in which filled stores are kept.
const KEEP: &str = "BENCH_KEEP";
/// Settings in TOML beside those that say where the server is.
const SETTINGS: &str = "BENCH_SETTINGS";
/// Holds the key of a store that is filled.
const FILLED: &str = "filled";

/// A server over a filled store.
pub(crate) struct Kept {
    pub(crate) server: Process,
    pub(crate) client: Client,
    pub(crate) home: PathBuf,
    _temporary: Option<tempfile::TempDir>,
}

impl Kept {
    /// A server over so many customers that has just started. `prepare` is called once in the life of the store, when so
    /// many of them as it says are there.
    pub(crate) async fn new<F>(
        crowd: Crowd,
        customers: usize,
        (first, prepare): (usize, impl FnOnce(Client) -> F),
    ) -> anyhow::Result<Self>
    where
        F: Future<Output = anyhow::Result<()>>,
    {
        let settings = std::env::var(SETTINGS).unwrap_or_default();
        let (home, temporary) = match std::env::var_os(KEEP) {
            Some(keep) => (Path::new(&keep).join(format!("{}-{customers}", crowd.name)), None),
            None => {
                let temporary = tempfile::tempdir()?;
                (temporary.path().to_owned(), Some(temporary))
            }
        };
        let filled = home.join(FILLED);
        let key = if let Ok(key) = std::fs::read_to_string(&filled) {
            key
        } else {
            std::fs::create_dir_all(&home)?;
            let key = make_key(&home, WORKSPACE)?;
            let mut server = Process::server(&home, &settings).await?;
            let client = Client::connect(&server.address, &key).await?;
            crowd.send(&client, 0..first.min(customers)).await?;
            prepare(client.clone()).await?;
            crowd.send(&client, first.min(customers)..customers).await?;
            server.settle().await?;
            eprintln!("{} MB resident when {customers} customers were sent", server.resident()? / 1_000_000);
            drop(client);
            server.stop()?;
            std::fs::write(&filled, &key)?;
            key
        };
        let server = Process::server(&home, &settings).await?;
        let client = Client::connect(&server.address, &key).await?;
        tokio::time::sleep(Duration::from_secs(1)).await;
        server.settle().await?;
        Ok(Self { server, client, home, _temporary: temporary })
    }
}

/// Nothing has to be prepared.
pub(crate) async fn nothing(_: Client) -> anyhow::Result<()> {
    Ok(())
}
