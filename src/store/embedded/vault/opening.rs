//! The vault as a whole.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::root::{self, MasterKeys};
use super::slots::{self, Slot, Slots};
use super::{erasing, ledger, seal};
use crate::store::Result;
use crate::store::embedded::files;

/// The folder of the data directory.
pub(in crate::store::embedded) const DIRECTORY: &str = "keys";
/// What lies in it.
pub(in crate::store::embedded) const FILES: [&str; 5] =
    [root::NAME, slots::NAMES[0], slots::NAMES[1], erasing::NAME, ledger::NAME];

/// The file of the root key.
pub(in crate::store::embedded) fn root_file(directory: &Path) -> PathBuf {
    directory.join(DIRECTORY).join(root::NAME)
}

/// An open vault.
#[derive(Debug)]
pub(in crate::store::embedded) struct Vault {
    pub(super) directory: PathBuf,
    pub(super) seals: seal::Keys,
    pub(super) slots: Slots,
    /// Always, but for a bench.
    pub(super) seals_anything: bool,
}

impl Vault {
    /// Opens the vault of a data directory, or makes one; what is damaged in one of two files is mended by the other.
    ///
    /// # Errors
    /// [`Error::Refused`](crate::store::Error::Refused) without the right master key; [`Error::Damaged`](crate::store::Error::Damaged)
    /// where a secret is in neither of its files.
    pub(in crate::store::embedded) fn open(directory: &Path, masters: &MasterKeys) -> Result<Self> {
        let directory = directory.join(DIRECTORY);
        files::make_directory(&directory)?;
        let root = root::open(&directory, masters)?;
        let (seals, slots) = (seal::Keys::new(&root), Slots::open(&directory)?);
        Ok(Self { directory, seals, slots, seals_anything: true })
    }

    /// Opens the vault of a data directory without changing anything. One that is missing opens nothing.
    ///
    /// # Errors
    /// As for [`Vault::open`].
    pub(in crate::store::embedded) fn look(directory: &Path, masters: &MasterKeys) -> Result<Self> {
        let directory = directory.join(DIRECTORY);
        let seals = seal::Keys::new(&root::look(&directory, masters)?);
        let slots = Slots::look(&directory)?;
        Ok(Self { directory, seals, slots, seals_anything: true })
    }

    /// The files of keys that are not as they should be, and that the next start mends.
    pub(in crate::store::embedded) fn harmed(&self) -> Result<Vec<PathBuf>> {
        self.slots.harmed()
    }

    /// A vault without a directory, which gives no slots.
    pub(in crate::store::embedded) fn bare() -> Result<Arc<Self>> {
        Self::look(Path::new("/nowhere"), &MasterKeys::default()).map(Arc::new)
    }

    /// The same vault, which seals, or for a bench leaves everything in the clear.
    pub(in crate::store::embedded) fn sealing(self, seals_anything: bool) -> Self {
        Self { seals_anything, ..self }
    }

    /// A slot that nobody has, with a secret that is durable.
    pub(in crate::store::embedded) fn draw(&self) -> Result<Slot> {
        self.slots.draw()
    }
}
