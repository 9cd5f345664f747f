//! `rapport backup`, `restore` and `verify`, and a server that names them, as an operator types them.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;

const SAMPLE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/retail/cdnow_sample.csv.gz");
const MAPPING: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/retail/cdnow.toml");
const SEGMENT: &str = "journal/00000000000000000001.journal";

fn rapport(command: &str, arguments: &[&dyn AsRef<std::ffi::OsStr>]) -> Output {
    let mut program = Command::new(env!("CARGO_BIN_EXE_rapport"));
    program.arg(command);
    for argument in arguments {
        program.arg(argument);
    }
    program.output().expect("the program runs")
}

#[track_caller]
fn json(output: &Output, code: i32) -> Value {
    assert_eq!(output.status.code(), Some(code), "{}", said(output));
    serde_json::from_slice(&output.stdout).expect("one JSON document")
}

/// What a command told people.
fn said(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

/// Imports the sample and gives back how many events were new and how many known.
fn import(data: &Path) -> (u64, u64) {
    let done = rapport("import", &[&SAMPLE, &"--mapping", &MAPPING, &"--data-dir", &data, &"--output", &"json"]);
    let events = &json(&done, 0)["events"];
    (events["accepted"].as_u64().expect("a count"), events["duplicate"].as_u64().expect("a count"))
}

fn verify(data: &Path, further: &[&dyn AsRef<std::ffi::OsStr>]) -> Output {
    let arguments: [&dyn AsRef<std::ffi::OsStr>; 4] = [&"--data-dir", &data, &"--output", &"json"];
    rapport("verify", &[&arguments[..], further].concat())
}

fn folders(home: &Path) -> [PathBuf; 3] {
    ["data", "backup", "restored"].map(|name| home.join(name))
}

#[test]
fn a_backup_is_restored_and_knows_every_event() {
    let home = tempfile::tempdir().expect("a folder");
    let [data, backup, restored] = folders(home.path());
    let (accepted, _) = import(&data);
    let made = json(&rapport("backup", &[&backup, &"--data-dir", &data, &"--output", &"json"]), 0);
    assert!(made["bytes_copied"].as_u64() > Some(100_000), "{made}");
    let again = json(&rapport("backup", &[&backup, &"--data-dir", &data, &"--output", &"json"]), 0);
    // Nothing is new but the entry of the audit log that says that the first backup was made.
    let audited = again["bytes_copied"].as_u64().expect("a number");
    assert!((1..1_000).contains(&audited), "{again}");
    assert_eq!(again["bytes_reused"], made["bytes_copied"]);
    let brought = json(&rapport("restore", &[&backup, &"--data-dir", &restored, &"--output", &"json"]), 0);
    let bytes = made["bytes_copied"].as_u64().map(|bytes| bytes + audited);
    assert_eq!((&brought["revision"], brought["bytes"].as_u64()), (&made["revision"], bytes));
    let verified = json(&verify(&restored, &[]), 0);
    assert_eq!((&verified["revision"], &verified["remaining"]), (&made["revision"], &Value::from(0)));
    assert_eq!(import(&restored), (0, accepted));
    assert_eq!(json(&verify(&restored, &[]), 0)["findings"], Value::Array(Vec::new()));
    for (command, from) in [("backup", &data), ("restore", &backup)] {
        let told = match command {
            "backup" => rapport(command, &[&backup, &"--data-dir", from]),
            _ => rapport(command, &[from, &"--data-dir", &home.path().join("another")]),
        };
        assert!(told.status.success() && said(&told).contains("up to revision"), "{}", said(&told));
    }
}

#[test]
fn what_cannot_be_backed_up_or_restored_ends_with_code_2() {
    let home = tempfile::tempdir().expect("a folder");
    let [data, backup, restored] = folders(home.path());
    import(&data);
    let inside = rapport("backup", &[&data.join("backup"), &"--data-dir", &data]);
    assert_eq!(inside.status.code(), Some(2), "{}", said(&inside));
    json(&rapport("backup", &[&backup, &"--data-dir", &data, &"--output", &"json"]), 0);
    let taken = rapport("restore", &[&backup, &"--data-dir", &data]);
    assert!(taken.status.code() == Some(2) && said(&taken).contains("is not empty"), "{}", said(&taken));
    let mut bytes = fs::read(backup.join(SEGMENT)).expect("readable");
    bytes[100_000] ^= 1;
    fs::write(backup.join(SEGMENT), bytes).expect("written");
    let damaged = rapport("restore", &[&backup, &"--data-dir", &restored]);
    assert!(damaged.status.code() == Some(2) && said(&damaged).contains(SEGMENT), "{}", said(&damaged));
    assert!(!restored.exists());
    let nothing = verify(&home.path().join("nothing"), &[]);
    assert!(nothing.status.code() == Some(2) && said(&nothing).contains("holds no data"), "{}", said(&nothing));
}

#[test]
fn a_server_that_does_not_start_names_the_command_that_helps() {
    let home = tempfile::tempdir().expect("a folder");
    let [data, backup, restored] = folders(home.path());
    let (accepted, _) = import(&data);
    json(&rapport("backup", &[&backup, &"--data-dir", &data, &"--output", &"json"]), 0);
    let start = || rapport("serve", &[&"--data-dir", &data, &"--listen", &"127.0.0.1:0"]);

    fs::write(data.join("MANIFEST"), "not one").expect("written");
    let refused = start();
    assert!(
        refused.status.code() == Some(2) && said(&refused).contains("rapport verify --repair"),
        "{}",
        said(&refused)
    );
    assert_eq!(json(&verify(&data, &[]), 1)["findings"][0]["remedy"], "rewrite_manifest");
    let repaired = json(&verify(&data, &[&"--repair"]), 0);
    assert_eq!(repaired["findings"][0]["repaired"], Value::from(true));
    assert_eq!(import(&data), (0, accepted));

    let mut bytes = fs::read(data.join(SEGMENT)).expect("readable");
    bytes[100_000] ^= 1;
    fs::write(data.join(SEGMENT), bytes).expect("written");
    let refused = start();
    assert!(refused.status.code() == Some(2) && said(&refused).contains("rapport restore"), "{}", said(&refused));
    for further in [&[][..], &[&"--repair" as &dyn AsRef<std::ffi::OsStr>]] {
        let found = json(&verify(&data, further), 1);
        assert_eq!(found["findings"][0]["remedy"], "restore_backup", "{found}");
        assert!(found["findings"][0]["offset"].as_u64() <= Some(100_000), "{found}");
    }
    let told = rapport("verify", &[&"--data-dir", &data]);
    assert!(said(&told).contains("rapport restore BACKUP"), "{}", said(&told));
    json(&rapport("restore", &[&backup, &"--data-dir", &restored, &"--output", &"json"]), 0);
    assert_eq!(import(&restored), (0, accepted));
}
