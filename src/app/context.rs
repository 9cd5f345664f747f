//! The only place that reads a clock, draws randomness or makes an id.

use std::time::Duration;

use rand::RngCore;
use uuid::Uuid;

use crate::domain::time::Timestamp;

/// What a decision needs from outside: the time and new ids. Tests give their own.
pub trait Context: Send + Sync + 'static {
    /// The wall-clock time.
    fn now(&self) -> Timestamp;

    /// A new unique id that sorts after those made in earlier milliseconds.
    fn new_id(&self) -> Uuid;

    /// 256 bits that nobody can guess, from the operating system.
    ///
    /// # Errors
    /// When the operating system has none; a key is not made of anything less.
    fn secret(&self) -> std::io::Result<[u8; 32]> {
        let mut secret = [0; 32];
        rand::rngs::OsRng.try_fill_bytes(&mut secret).map_err(std::io::Error::other)?;
        Ok(secret)
    }
}

/// The clock and the randomness of the operating system.
#[derive(Debug, Default)]
pub struct SystemContext;

impl Context for SystemContext {
    #[expect(clippy::disallowed_methods, reason = "the one place that reads the clock")]
    fn now(&self) -> Timestamp {
        let since_epoch = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        Timestamp::from_micros(0).plus(since_epoch.unwrap_or(Duration::ZERO))
    }

    #[expect(clippy::disallowed_methods, reason = "the one place that draws randomness")]
    fn new_id(&self) -> Uuid {
        let mut random = [0; 10];
        rand::thread_rng().fill_bytes(&mut random);
        let millis = u64::try_from(self.now().as_micros() / 1_000).unwrap_or(0);
        uuid::Builder::from_unix_timestamp_millis(millis, &random).into_uuid()
    }
}
