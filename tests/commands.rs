//! The commands as a user types them: what they print for programs, and the code that they end with.

use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;

const SAMPLE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/retail/cdnow_sample.csv.gz");
const MAPPING: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/retail/cdnow.toml");

fn rapport(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_rapport")).args(arguments).output().expect("the program runs")
}

fn json(output: &Output) -> Value {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).expect("one JSON document")
}

/// Imports a file into a data directory with further arguments.
fn import(file: &str, data_dir: &Path, further: &[&str]) -> Output {
    let data_dir = data_dir.to_str().expect("a path");
    let mut arguments = vec!["import", file, "--mapping", MAPPING, "--data-dir", data_dir, "--output", "json"];
    arguments.extend(further);
    rapport(&arguments)
}

#[test]
fn a_file_that_is_imported_twice_changes_nothing_and_its_model_can_be_trained() {
    let home = tempfile::tempdir().expect("a folder");
    let first = json(&import(SAMPLE, home.path(), &[]));
    assert_eq!((&first["events"]["accepted"], &first["read"]["broken"]), (&Value::from(6_919), &Value::from(0)));
    let second = json(&import(SAMPLE, home.path(), &[]));
    assert_eq!((&second["events"]["accepted"], &second["events"]["duplicate"]), (&Value::from(0), &Value::from(6_919)));

    let data_dir = home.path().to_str().expect("a path");
    let parameters = r#"{"horizon_days": 273, "seed": 1}"#;
    let arguments = ["train", "churn", "--data-dir", data_dir, "--parameters", parameters, "--output", "json"];
    let trained = json(&rapport(&arguments));
    let auc = trained["card"]["auc"]["value"].as_f64().expect("an AUC");
    assert!((0.5..1.0).contains(&auc), "{auc}");
    assert_eq!(trained["promoted"], Value::from(true));

    // Another server gives the same customers other profile ids, and must learn the same from them.
    let other = tempfile::tempdir().expect("a folder");
    json(&import(SAMPLE, other.path(), &[]));
    let other_dir = other.path().to_str().expect("a path");
    let elsewhere = json(&rapport(&arguments.map(|argument| if argument == data_dir { other_dir } else { argument })));
    assert_eq!(elsewhere["card"], trained["card"]);
}

#[test]
fn times_that_are_moved_end_where_they_were_told_to_and_can_be_sent_again() {
    let home = tempfile::tempdir().expect("a folder");
    let end = ["--end-at", "2026-01-01T00:00:00Z"];
    let moved = json(&import(SAMPLE, home.path(), &end));
    assert_eq!(moved["moved"]["latest_time_in_files"], "1998-06-30T12:00:00Z");
    assert_eq!(moved["moved"]["latest_time"], "2026-01-01T00:00:00Z");
    let again = json(&import(SAMPLE, home.path(), &end));
    assert_eq!(again["events"]["duplicate"], Value::from(6_919));
}

#[test]
fn a_broken_line_is_reported_with_its_place_and_ends_only_a_strict_import() {
    let home = tempfile::tempdir().expect("a folder");
    let file = home.path().join("broken.csv");
    std::fs::write(&file, "customer_id,date,quantity,amount_usd\n1,1997-01-01,1,9.5\n2,1997-01-01,1,private\n")
        .expect("written");
    let file = file.to_str().expect("a path");
    let report = json(&import(file, &home.path().join("data"), &[]));
    assert_eq!((&report["read"]["broken"], &report["events"]["accepted"]), (&Value::from(1), &Value::from(1)));
    let fault = &report["first_faults"][0];
    assert_eq!((&fault["line"], &fault["column"]), (&Value::from(3), &Value::from("amount_usd")));
    assert!(!report.to_string().contains("private"));

    let strict = import(file, &home.path().join("data"), &["--strict"]);
    assert_eq!(strict.status.code(), Some(1));
    let message = String::from_utf8_lossy(&strict.stderr).into_owned();
    assert!(message.contains("broken.csv line 3, column amount_usd") && !message.contains("private"), "{message}");
}

#[test]
fn what_cannot_be_followed_ends_with_code_2_and_a_failure_with_1() {
    let home = tempfile::tempdir().expect("a folder");
    let data_dir = home.path().to_str().expect("a path");
    let refused: [&[&str]; 5] = [
        &["import", SAMPLE],
        &["import", SAMPLE, "--mapping", SAMPLE, "--data-dir", data_dir],
        &["import", SAMPLE, "--mapping", MAPPING, "--data-dir", data_dir, "--workspace", "Not A Name"],
        &["train", "churn", "--data-dir", data_dir, "--parameters", "[]"],
        &["serve", "--data-dir", data_dir, "--listen", "0.0.0.0:0"],
    ];
    for arguments in refused {
        assert_eq!(rapport(arguments).status.code(), Some(2), "{arguments:?}");
    }
    let untrainable = rapport(&["train", "segments", "--data-dir", data_dir]);
    assert_eq!(untrainable.status.code(), Some(1), "{}", String::from_utf8_lossy(&untrainable.stderr));
}
