use std::fs;
use std::path::Path;

use super::*;
use crate::domain::id::WorkspaceId;
use crate::store::Error;

fn workspace(name: &str) -> WorkspaceId {
    name.parse().expect("a name")
}

fn open(directory: &Path) -> Vault {
    Vault::open(directory, &MasterKeys::default()).expect("opens")
}

fn seal(vault: &Vault, place: Place<'_>, slots: &[Slot], content: &[u8]) -> Vec<u8> {
    let encode = |mut buffer: Vec<u8>| {
        buffer.extend_from_slice(content);
        Ok(buffer)
    };
    vault.seal(place, slots, Vec::new(), encode).expect("sealed")
}

#[test]
fn what_is_sealed_opens_at_its_place_only_and_says_nothing() {
    let directory = tempfile::tempdir().expect("a directory");
    let vault = open(directory.path());
    let (acme, other) = (workspace("acme"), workspace("other"));
    let place = Place { workspace: &acme, label: b"here" };
    let (one, two) = (vault.draw().expect("a slot"), vault.draw().expect("a slot"));
    for slots in [&[][..], &[one], &[one, two]] {
        let sealed = seal(&vault, place, slots, b"canary");
        assert!(!sealed.windows(6).any(|bytes| bytes == b"canary"));
        assert_eq!(sealed, seal(&vault, place, slots, b"canary"), "the same content gives the same bytes");
        assert_eq!(vault.open_sealed(place, &sealed), Ok(Opened::Content(b"canary".to_vec())));
        for elsewhere in [Place { workspace: &other, ..place }, Place { label: b"there", ..place }] {
            assert!(vault.open_sealed(elsewhere, &sealed).is_err());
        }
        for position in 0..sealed.len() {
            let mut changed = sealed.clone();
            changed[position] ^= 1;
            assert!(vault.open_sealed(place, &changed).is_err(), "byte {position}");
            assert!(vault.open_sealed(place, &sealed[..position]).is_err(), "cut at {position}");
        }
    }
    let mine = seal(&vault, place, &[one], b"canary");
    let theirs = [&mine[..2], &two.to_le_bytes(), &mine[6..]].concat();
    assert!(vault.open_sealed(place, &theirs).is_err(), "another customer's key opens nothing");
}

#[test]
fn slots_outlive_the_process_and_none_is_given_twice() {
    let directory = tempfile::tempdir().expect("a directory");
    let acme = workspace("acme");
    let place = Place { workspace: &acme, label: b"" };
    let mut all: Vec<(Slot, Vec<u8>, u8)> = Vec::new();
    for turn in 0..3u8 {
        let vault = open(directory.path());
        for (slot, sealed, content) in &all {
            assert_eq!(vault.open_sealed(place, sealed), Ok(Opened::Content(vec![*content])), "slot {slot}");
        }
        for _ in 0..1_100 {
            let slot = vault.draw().expect("a slot");
            assert!(all.iter().all(|(known, ..)| *known != slot), "{slot} was given away before");
            all.push((slot, seal(&vault, place, &[slot], &[turn]), turn));
        }
    }
}

#[test]
fn what_is_damaged_in_one_file_is_mended_by_the_other_and_in_both_it_is_said() {
    let directory = tempfile::tempdir().expect("a directory");
    let (acme, keys) = (workspace("acme"), directory.path().join(DIRECTORY));
    let place = Place { workspace: &acme, label: b"" };
    let vault = open(directory.path());
    let slot = vault.draw().expect("a slot");
    let sealed = seal(&vault, place, &[slot], b"x");
    drop(vault);
    let whole = fs::read(keys.join("slots")).expect("readable");
    let mut flipped = whole.clone();
    flipped[5] ^= 1;
    for name in ["slots", "slots.copy"] {
        for harm in
            [Some(flipped.clone()), Some(whole[..77].to_vec()), Some(vec![0; whole.len()]), Some(Vec::new()), None]
        {
            match harm {
                Some(bytes) => fs::write(keys.join(name), bytes).expect("written"),
                None => fs::remove_file(keys.join(name)).expect("removed"),
            }
            assert_eq!(open(directory.path()).open_sealed(place, &sealed), Ok(Opened::Content(b"x".to_vec())));
            assert_eq!(fs::read(keys.join(name)).expect("readable"), whole, "{name} is mended");
        }
    }
    for name in ["slots", "slots.copy"] {
        fs::write(keys.join(name), &flipped).expect("written");
    }
    let refused = Vault::open(directory.path(), &MasterKeys::default()).expect_err("damaged");
    assert!(matches!(refused, Error::Damaged { offset: 0, .. }), "{refused}");
}

#[test]
fn what_was_torn_while_slots_were_made_is_nobodys_and_what_was_given_is_not_let_go_of() {
    let directory = tempfile::tempdir().expect("a directory");
    let (acme, keys) = (workspace("acme"), directory.path().join(DIRECTORY));
    let place = Place { workspace: &acme, label: b"" };
    let vault = open(directory.path());
    let slot = vault.draw().expect("a slot");
    let sealed = seal(&vault, place, &[slot], b"x");
    drop(vault);
    let before = fs::read(keys.join("slots")).expect("readable");
    // The next process makes more, and the power goes before the first file is durable.
    open(directory.path()).draw().expect("a slot");
    let after = fs::read(keys.join("slots")).expect("readable");
    assert_eq!(after.len(), 2 * before.len());
    let torn_at = |byte: usize| [&after[..byte], &vec![0; after.len() - byte]].concat();
    let lay = |first: &[u8], copy: &[u8]| {
        fs::write(keys.join("slots"), first).expect("written");
        fs::write(keys.join("slots.copy"), copy).expect("written");
    };
    for torn in [torn_at(before.len()), torn_at(before.len() + 50), after[..before.len() + 50].to_vec()] {
        lay(&torn, &before);
        let vault = open(directory.path());
        assert_eq!(vault.open_sealed(place, &sealed), Ok(Opened::Content(b"x".to_vec())));
        let next = vault.draw().expect("a slot");
        assert!(next as usize >= before.len() / 40, "{next} was given away before");
    }
    // What both files had is not torn, and neither is more than is made at a time, nor what has no copy.
    let flipped = |bytes: &[u8]| [&bytes[..5], &[bytes[5] ^ 1], &bytes[6..]].concat();
    let torn = torn_at(before.len());
    let damaged = [
        (flipped(&torn), flipped(&before)),
        (torn.clone(), before[..before.len() - 40].to_vec()),
        (flipped(&before), Vec::new()),
    ];
    for (first, copy) in damaged {
        lay(&first, &copy);
        let refused = Vault::open(directory.path(), &MasterKeys::default()).expect_err("damaged");
        assert!(matches!(refused, Error::Damaged { .. }), "{refused}");
        assert_eq!(fs::read(keys.join("slots")).expect("readable"), first, "nothing is changed");
    }
}

#[test]
fn a_root_key_opens_with_its_master_key_only_and_changes_hands() {
    let directory = tempfile::tempdir().expect("a directory");
    let acme = workspace("acme");
    let place = Place { workspace: &acme, label: b"" };
    let sealed = seal(&open(directory.path()), place, &[], b"x");
    let with = |keys: &[[u8; 32]]| Vault::open(directory.path(), &MasterKeys::new(keys.to_vec()));
    let opens = |keys: &[[u8; 32]]| {
        let vault = with(keys).expect("the right key");
        assert_eq!(vault.open_sealed(place, &sealed), Ok(Opened::Content(b"x".to_vec())));
    };
    let (old, new) = ([1; 32], [2; 32]);
    opens(&[old]);
    for wrong in [&[][..], &[new]] {
        let refused = with(wrong).expect_err("refused");
        assert!(matches!(&refused, Error::Refused(what) if what.contains("encryption.key_file")), "{refused}");
    }
    opens(&[new, old]);
    opens(&[new]);
    assert!(with(&[old]).is_err(), "the old key opens nothing any more");
}
