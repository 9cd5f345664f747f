//! The commands as a user types them: what they print for programs, and the code that they end with.

use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;

const SAMPLE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/retail/cdnow_sample.csv.gz");
const MAPPING: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/retail/cdnow.toml");
const ONLINE_RETAIL: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/mappings/online_retail.toml");
const JSON_LINES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/mappings/template_json_lines.toml");

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

    let page = home.path().join("report.html");
    let arguments_of_report =
        ["report", "--data-dir", data_dir, "--html", page.to_str().expect("a path"), "--output", "json"];
    let report = json(&rapport(&arguments_of_report));
    assert_eq!((&report["models"][0]["kind"], &report["models"][0]["card"]), (&Value::from("churn"), &trained["card"]));
    let html = std::fs::read_to_string(&page).expect("the page");
    assert!(html.matches("<svg").count() >= 4 && html.contains("Reliability") && !html.contains("http"));
    let none = rapport(&["report", "--model", "segments", "--data-dir", data_dir]);
    assert_eq!(none.status.code(), Some(2), "{}", String::from_utf8_lossy(&none.stderr));

    // Another server gives the same customers other profile ids, and must learn the same from them.
    let other = tempfile::tempdir().expect("a folder");
    json(&import(SAMPLE, other.path(), &[]));
    let other_dir = other.path().to_str().expect("a path");
    let elsewhere = json(&rapport(&arguments.map(|argument| if argument == data_dir { other_dir } else { argument })));
    assert_eq!(elsewhere["card"], trained["card"]);
}

#[test]
fn an_evaluation_tells_every_model_by_folds_and_changes_nothing_that_answers() {
    let home = tempfile::tempdir().expect("a folder");
    json(&import(SAMPLE, home.path(), &[]));
    let data_dir = home.path().to_str().expect("a path");
    let asked = ["--cutoff-times", "1997-09-30T12:00:00Z", "--horizon-days", "273", "--folds", "5", "--seed", "1"];
    let evaluate = [&["evaluate", "churn", "--data-dir", data_dir][..], &asked].concat();
    let evaluated = json(&rapport(&[&evaluate[..], &["--output", "json"]].concat()));
    let card = &evaluated["card"];
    assert_eq!((&card["rows"]["value"], &card["test_rows"]), (&Value::from(2_357.0), &Value::from(2_357.0)));
    let names: Vec<&str> =
        card["candidates"].as_array().expect("a list").iter().filter_map(|of| of["model"].as_str()).collect();
    assert_eq!(names, ["logistic_regression", "boosted_trees", "bg_nbd"]);
    let auc = |card: &Value| card["auc"]["value"].as_f64().expect("an AUC");
    assert!(auc(card) > 0.75 && auc(card) >= auc(&card["recency_baseline"]) - 0.01, "{card}");
    assert!(card["gate"].as_str().is_some_and(|gate| gate.starts_with("kept aside")), "{card}");

    let table = rapport(&evaluate);
    let table = String::from_utf8(table.stdout).expect("text");
    for word in ["AUC", "Brier score", "calibration (ECE)", "bg_nbd", "recency alone", "judged by"] {
        assert!(table.contains(word), "{table}");
    }
    assert!(table.lines().all(|line| line.chars().count() <= 112), "{table}");
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
fn json_lines_are_imported_twice_without_a_change_and_stopped_by_a_broken_line_only_where_that_is_wanted() {
    let home = tempfile::tempdir().expect("a folder");
    let file = home.path().join("orders.jsonl.gz");
    let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    for order in 0..3_000 {
        let items =
            r#"[{"sku": "a", "pieces": 2, "price": 1.50}, {"sku": "b", "pieces": 1, "price": 4, "category": "x"}]"#;
        let start =
            format!(r#"{{"order": {order}, "at": "2026-03-01T10:15:00Z", "customer": {{"id": "C{}"}}"#, order % 7);
        let (paid, coupons) =
            (order != 5, if order == 9 { r#"["private" 1]"#.to_owned() } else { format!("[{}]", order % 2) });
        let email = if order == 0 { r#", "customer.email": "ann@example.com""# } else { "" };
        let line = format!(r#"{start}{email}, "paid": {paid}, "items": {items}, "coupons": {coupons}}}"#);
        writeln!(packed, "{line}").expect("in memory");
    }
    std::fs::write(&file, packed.finish().expect("in memory")).expect("written");
    let (path, data_dir) = (file.to_str().expect("a path"), home.path().join("data"));
    let further = ["--data-dir", data_dir.to_str().expect("a path"), "--output", "json"];
    let import = |further: &[&str]| rapport(&[&["import", path, "--mapping", JSON_LINES], further].concat());

    let first = json(&import(&further));
    let read = ["lines", "imported", "broken"].map(|key| first["read"][key].clone());
    assert_eq!(read, [3_000, 2_999, 1].map(Value::from));
    // Every sound line has an order, where it is paid, a coupon and traits.
    assert_eq!(first["events"]["accepted"], Value::from(3 * 2_999 - 1), "{first}");
    let fault = &first["first_faults"][0];
    assert_eq!((&fault["line"], &fault["file"]), (&Value::from(10), &Value::from("orders.jsonl.gz")));
    assert!(fault["fault"].as_str().is_some_and(|fault| fault.starts_with("is not JSON at byte ")), "{fault}");
    assert!(!first.to_string().contains("private"));
    let second = json(&import(&further));
    let events = ["accepted", "duplicate", "rejected"].map(|key| second["events"][key].clone());
    assert_eq!(events, [0, 3 * 2_999 - 1, 0].map(Value::from));

    let strict = import(&[&further[..], &["--strict"]].concat());
    let message = String::from_utf8_lossy(&strict.stderr).into_owned();
    assert_eq!(strict.status.code(), Some(1));
    assert!(message.contains("orders.jsonl.gz line 10: is not JSON") && !message.contains("private"), "{message}");

    // A mapping that names what no line has is refused, and a file that was cut off is no file that ends there.
    let misfit = home.path().join("misfit.toml");
    let text = std::fs::read_to_string(JSON_LINES).expect("shipped").replace("{items.sku}", "{items.number}");
    std::fs::write(&misfit, text).expect("written");
    let refused = rapport(&[&["import", path, "--mapping", misfit.to_str().expect("a path")], &further[..]].concat());
    assert_eq!(refused.status.code(), Some(2), "{}", String::from_utf8_lossy(&refused.stderr));
    let bytes = std::fs::read(&file).expect("readable");
    std::fs::write(&file, &bytes[..bytes.len() - 9]).expect("written");
    let cut = import(&further);
    let message = String::from_utf8_lossy(&cut.stderr).into_owned();
    assert_eq!(cut.status.code(), Some(1), "{message}");
    assert!(message.contains("cannot be read after line"), "{message}");
}

#[test]
fn a_log_that_nobody_looks_at_has_no_colours_and_an_error_gives_its_cause_once() {
    let home = tempfile::tempdir().expect("a folder");
    let file = home.path().join("file");
    std::fs::write(&file, "").expect("written");
    let below_a_file = file.join("data");
    let failed = rapport(&["serve", "--data-dir", below_a_file.to_str().expect("a path"), "--listen", "127.0.0.1:0"]);
    let log = String::from_utf8(failed.stderr).expect("text");
    assert!(log.contains("starting") && !log.contains('\u{1b}'), "{log}");
    assert_eq!((failed.status.code(), log.matches("os error").count()), (Some(1), 1), "{log}");
}

#[test]
fn an_order_with_a_broken_line_comes_whole_with_the_mended_file() {
    let home = tempfile::tempdir().expect("a folder");
    let orders = |quantity: &str| {
        let header = "InvoiceNo,StockCode,Description,Quantity,InvoiceDate,UnitPrice,CustomerID,Country";
        let line = |invoice, quantity| format!("{invoice},a,Cup,{quantity},2010-12-01 09:09:00,2.5,7,France");
        [header.to_owned(), line(1, "1"), line(1, quantity), line(2, "1"), line(1, "1").replace(",7,", ",,")].join("\n")
    };
    let file = home.path().join("orders.csv");
    let (path, data_dir) = (file.to_str().expect("a path"), home.path().join("data"));
    let further = ["--data-dir", data_dir.to_str().expect("a path"), "--output", "json"];
    let import = |further: &[&str]| rapport(&[&["import", path, "--mapping", ONLINE_RETAIL], further].concat());

    std::fs::write(&file, orders("private")).expect("written");
    let report = json(&import(&further));
    let read =
        |report: &Value| ["lines", "imported", "skipped", "broken", "left_out"].map(|key| report["read"][key].clone());
    assert_eq!(read(&report), [4, 1, 1, 1, 1].map(Value::from));
    let fault = &report["first_faults"][0];
    let place = ["line", "column", "group_lines"].map(|key| fault[key].clone());
    assert_eq!(place, [Value::from(3), Value::from("Quantity"), Value::from(2)]);
    assert!(!report.to_string().contains("private"));

    let strict = import(&[&further[..], &["--strict"]].concat());
    let message = String::from_utf8_lossy(&strict.stderr).into_owned();
    assert_eq!(strict.status.code(), Some(1));
    assert!(
        message.contains("line 3, column Quantity: is not a number; its group of 2 lines is left out"),
        "{message}"
    );

    std::fs::write(&file, orders("2")).expect("written");
    let report = json(&import(&further));
    assert_eq!(read(&report), [4, 3, 1, 0, 0].map(Value::from));
    let events = ["accepted", "duplicate", "rejected"].map(|key| report["events"][key].clone());
    // The order, and the country that its first line tells.
    assert_eq!(events, [2, 1, 0].map(Value::from));
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

#[test]
fn keys_are_made_listed_and_revoked_on_a_stopped_server() {
    let home = tempfile::tempdir().expect("a folder");
    let data = home.path().join("data");
    let data_dir = data.to_str().expect("a path");
    let keys =
        |further: &[&str]| rapport(&[&["keys"], further, &["--data-dir", data_dir, "--output", "json"]].concat());
    let made = json(&keys(&["create", "--workspace", "acme", "--scopes", "events:write,profiles:read"]));
    let (id, key) = (made["key_id"].as_str().expect("an id"), made["api_key"].as_str().expect("a key"));
    assert!(key.starts_with(&format!("rpk_{id}_")), "{made}");
    assert_eq!((&made["workspace"], &made["scopes"][1]), (&Value::from("acme"), &Value::from("profiles:read")));
    let listed = keys(&["list", "--workspace", "acme"]);
    assert!(!String::from_utf8_lossy(&listed.stdout).contains(key), "the secret is listed");
    assert_eq!(json(&listed)["keys"][0]["key_id"], Value::from(id));
    assert_eq!(json(&keys(&["list"]))["keys"], Value::Array(Vec::new()), "of the workspace default");
    assert!(json(&keys(&["revoke", id]))["revoke_time"].is_string());
    assert!(json(&keys(&["list", "--workspace", "acme"]))["keys"][0]["revoke_time"].is_string());
    for wrong in [
        &["revoke", "0123"][..],
        &["create", "--scopes", "root"],
        &["create", "--scopes", "admin", "--expire-time", "soon"],
    ] {
        let refused = keys(wrong);
        assert_eq!(refused.status.code(), Some(2), "{}", String::from_utf8_lossy(&refused.stderr));
    }
    let verified = json(&rapport(&["verify", "--data-dir", data_dir, "--output", "json"]));
    assert_eq!(verified["findings"], Value::Array(Vec::new()), "the file of the digest key belongs there");
}

#[test]
fn a_public_address_without_tls_and_keys_ends_with_code_2_and_what_to_do() {
    let home = tempfile::tempdir().expect("a folder");
    let data_dir = home.path().to_str().expect("a path");
    let refused = rapport(&["serve", "--data-dir", data_dir, "--listen", "0.0.0.0:0"]);
    let said = String::from_utf8_lossy(&refused.stderr);
    assert_eq!(refused.status.code(), Some(2), "{said}");
    assert!(["tls.cert_file", "rapport keys create", "127.0.0.1"].iter().all(|word| said.contains(word)), "{said}");
}
