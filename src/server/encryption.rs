//! The master key that the key of all stored data is sealed with.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use anyhow::Context as _;

use super::config::{Config, Encryption};
use super::refusal::Refusal;
use crate::store::embedded::MasterKeys;

/// Reads the keys that the configuration names.
///
/// # Errors
/// [`Refusal`] for what is no key, for a file that others may read, and where two places name one; anything else that keeps
/// a file from being read.
pub(super) fn master_keys(config: &Config) -> anyhow::Result<MasterKeys> {
    let Encryption { key, key_file, previous_key_file } = &config.encryption;
    let present = match (key.reveal(), key_file.as_str()) {
        ("", "") => None,
        (digits, "") => Some(parse(digits.as_bytes()).ok_or_else(|| malformed("encryption.key"))?),
        ("", file) => Some(read(Path::new(file))?),
        _ => {
            return Err(Refusal::new(
                "encryption.key and encryption.key_file both name the key; set one of them".to_owned(),
            )
            .into());
        }
    };
    let previous = (!previous_key_file.is_empty()).then(|| read(Path::new(previous_key_file))).transpose()?;
    if present.is_none() && previous.is_some() {
        let what =
            "encryption.previous_key_file needs encryption.key or encryption.key_file, the key that takes its place";
        return Err(Refusal::new(what.to_owned()).into());
    }
    Ok(MasterKeys::new(present.into_iter().chain(previous).collect()))
}

fn read(path: &Path) -> anyhow::Result<[u8; 32]> {
    let about = || format!("reading {}", path.display());
    let mode = fs::metadata(path).with_context(about)?.permissions().mode();
    if mode & 0o077 != 0 {
        let path = path.display();
        let what = format!("{path} may be read by others than its owner; make it private with `chmod 600 {path}`");
        return Err(Refusal::new(what).into());
    }
    let content = fs::read(path).with_context(about)?;
    Ok(parse(&content).ok_or_else(|| malformed(&path.display().to_string()))?)
}

fn malformed(place: &str) -> Refusal {
    Refusal::new(format!(
        "{place} is no key: 64 hexadecimal digits, such as `openssl rand -hex 32` prints, or a file of 32 bytes"
    ))
}

/// A key as 32 bytes, or as their digits with white space around them.
fn parse(content: &[u8]) -> Option<[u8; 32]> {
    if let Ok(key) = content.try_into() {
        return Some(key);
    }
    let digits = content.trim_ascii().as_chunks::<2>();
    let mut key = [0; 32];
    if digits.0.len() != key.len() || !digits.1.is_empty() {
        return None;
    }
    for (byte, pair) in key.iter_mut().zip(digits.0) {
        *byte = u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()?;
    }
    Some(key)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(toml: &str) -> anyhow::Result<MasterKeys> {
        master_keys(&toml::from_str(toml).expect("a configuration"))
    }

    #[test]
    fn a_key_comes_from_the_configuration_or_a_private_file_and_is_never_shown() {
        let digits = "0123456789abcdef".repeat(4);
        assert_eq!(format!("{:?}", keys("").expect("none")), "MasterKeys(0)");
        let config: Config = toml::from_str(&format!("[encryption]\nkey = \"{digits}\"")).expect("a configuration");
        assert_eq!(format!("{:?}", master_keys(&config).expect("a key")), "MasterKeys(1)");
        let shown = toml::to_string(&config).expect("text");
        assert!(shown.contains("(hidden)") && !shown.contains(&digits) && !format!("{config:?}").contains(&digits));
        let home = tempfile::tempdir().expect("a folder");
        let path = home.path().join("master.key");
        let named = format!("[encryption]\nkey_file = \"{}\"", path.display());
        for (content, mode, says) in [
            (format!("{digits}\n").into_bytes(), 0o600, None),
            (vec![7; 32], 0o600, None),
            (vec![7; 32], 0o640, Some("chmod 600")),
            (vec![7; 31], 0o600, Some("openssl")),
            (vec![b'x'; 64], 0o600, Some("openssl")),
        ] {
            let _none_yet = fs::remove_file(&path);
            fs::write(&path, &content).expect("written");
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).expect("set");
            match (keys(&named), says) {
                (Ok(_), None) => {}
                (Err(refused), Some(says)) => {
                    assert!(refused.is::<Refusal>() && refused.to_string().contains(says), "{refused}")
                }
                (other, _) => panic!("{other:?}"),
            }
        }
        for twice in [format!("{named}\nkey = \"{digits}\""), "[encryption]\nprevious_key_file = \"x\"".to_owned()] {
            fs::write(&path, [7; 32]).expect("written");
            assert!(keys(&twice).is_err());
        }
    }
}
