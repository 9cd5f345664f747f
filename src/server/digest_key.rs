//! The key under which the digests of all API keys are made: a file of its own, that no backup holds.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use anyhow::Context as _;

use super::config::Config;
use super::refusal::Refusal;
use crate::app::DigestKey;
use crate::app::context::Context;

/// The file in the data directory, unless the configuration names another one.
pub(super) const NAME: &str = "auth.key";

/// The digest key of the data directory; it is made where there is none yet.
///
/// # Errors
/// [`Refusal`] for a file that others may read or that holds no key; anything else that keeps it from being read.
pub(super) fn load(config: &Config, context: &dyn Context) -> anyhow::Result<DigestKey> {
    let path = place(config);
    match File::open(&path) {
        Ok(file) => read(file, &path),
        Err(error) if error.kind() == io::ErrorKind::NotFound => make(&path, context),
        Err(error) => Err(error).with_context(|| format!("reading {}", path.display())),
    }
}

fn place(config: &Config) -> PathBuf {
    match config.auth.key_file.as_str() {
        "" => config.data_dir.join(NAME),
        path => PathBuf::from(path),
    }
}

fn read(mut file: File, path: &Path) -> anyhow::Result<DigestKey> {
    let mode = file.metadata()?.permissions().mode();
    if mode & 0o077 != 0 {
        return Err(Refusal::new(format!(
            "{path} may be read by others than its owner; make it private with `chmod 600 {path}`",
            path = path.display()
        ))
        .into());
    }
    let mut bytes = Vec::new();
    (&mut file).take(33).read_to_end(&mut bytes).with_context(|| format!("reading {}", path.display()))?;
    let bytes: [u8; 32] = bytes.try_into().map_err(|_| {
        Refusal::new(format!(
            "{path} is no key of 32 bytes; put the right file back, or remove it: every API key must then be made anew \
             with `rapport keys create`",
            path = path.display()
        ))
    })?;
    Ok(DigestKey::new(bytes))
}

/// Makes the file under another name first, so that a crash leaves a whole key or none.
fn make(path: &Path, context: &dyn Context) -> anyhow::Result<DigestKey> {
    let bytes = context.secret().context("drawing a key")?;
    let unfinished = path.with_extension("unfinished");
    let write = || -> io::Result<()> {
        let _left_by_a_crash = fs::remove_file(&unfinished);
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&unfinished)?;
        file.write_all(&bytes)?;
        file.sync_all()?;
        fs::rename(&unfinished, path)?;
        File::open(path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new(".")))?.sync_all()
    };
    write().with_context(|| format!("writing {}", path.display()))?;
    Ok(DigestKey::new(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::app::context::SystemContext;

    fn config(home: &Path) -> Config {
        Config { data_dir: home.to_owned(), ..Config::default() }
    }

    #[test]
    fn a_key_is_made_once_for_its_owner_only_and_read_again() {
        let home = tempfile::tempdir().expect("a folder");
        load(&config(home.path()), &SystemContext).expect("made");
        let path = home.path().join(NAME);
        let made = fs::read(&path).expect("readable");
        assert_eq!((made.len(), fs::metadata(&path).expect("there").permissions().mode() & 0o777), (32, 0o600));
        load(&config(home.path()), &SystemContext).expect("read");
        assert_eq!(fs::read(&path).expect("readable"), made);
        assert_eq!(fs::read_dir(home.path()).expect("a folder").count(), 1, "something was left beside it");
    }

    #[test]
    fn a_key_that_others_can_read_or_that_is_none_is_refused_with_what_helps() {
        let home = tempfile::tempdir().expect("a folder");
        let path = home.path().join(NAME);
        for (bytes, mode, says) in
            [(&[1; 32][..], 0o644, "chmod 600"), (&[1; 31], 0o600, "keys create"), (&[1; 33], 0o600, "keys create")]
        {
            let _none_yet = fs::remove_file(&path);
            fs::write(&path, bytes).expect("written");
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).expect("set");
            let refused = load(&config(home.path()), &SystemContext).expect_err("refused");
            assert!(refused.is::<Refusal>() && refused.to_string().contains(says), "{refused}");
        }
    }
}
