//! The same for JSON lines.

use std::num::NonZero;

use proptest::prelude::*;
use prost_types::value::Kind;
use serde_json::{Map, Value};

use super::super::chunks::LINE_BYTES;
use super::*;

const VISITS: &str = r#"
    source = "web"
    time = { undated = true }
    identifiers = { user_id = "{customer.id}" }
    [[event]]
    event_id = "{visit}"
    [event.track]
    name = "Visit"
    [event.track.properties]
    amount = "{amount}"
    exact = { value = "{amount}", as = "number", default = "0" }
    note = "{customer.address.note}"
    is_new = { value = "{new}", as = "boolean" }
"#;
/// A line that has every field.
const WHOLE: &str = r#"{"visit": 0, "customer": {"id": "C0", "address": {"note": "x"}}, "amount": 1, "new": true}"#;

const BASKETS: &str = r#"
    source = "shop"
    time = { undated = true }
    identifiers = { user_id = "{who}" }
    [[event]]
    event_id = "{order.no}"
    [event.purchase]
    currency = "EUR"
    revenue = { multiply = ["{order.items.pieces}", "{order.items.price}"], over = "order.items", abs = true }
    [event.purchase.items]
    over = "order.items"
    product_id = "{order.items.sku}"
    quantity = "{order.items.pieces}"
    unit_price = "{order.items.price}"
    [[event]]
    each = "tags"
    event_id = "{order.no}-{tags}"
    [event.track]
    name = "{tags}"
"#;

/// The cells of open data as text.
fn property<'b>(built: &'b Built, event: usize, name: &str) -> Option<&'b Kind> {
    let Some(Payload::Track(track)) = &built.events[event].event.payload else { panic!("not an action") };
    track.properties.as_ref().expect("properties").fields.get(name)?.kind.as_ref()
}

fn text<'b>(built: &'b Built, event: usize, name: &str) -> Option<&'b str> {
    match property(built, event, name) {
        Some(Kind::StringValue(text)) => Some(text),
        None => None,
        other => panic!("{other:?}"),
    }
}

/// What is wrong with one line, after a whole one.
fn fault(line: &str) -> String {
    let (built, tally) = run(VISITS, &format!("{WHOLE}\n{line}\n{WHOLE}\n"));
    assert_eq!((built.faults.len(), tally.lines, tally.broken, tally.imported), (1, 3, 1, 2), "{line}");
    let fault = built.faults[0].to_string();
    assert!(!fault.contains("secret"), "{fault}");
    fault.strip_prefix("shop.csv line 2").expect("its place").to_owned()
}

#[test]
fn fields_are_columns_by_their_path_and_values_are_as_they_are_written() {
    let lines = format!(
        "\u{feff}{WHOLE}\r\n\n  \n{}\n{}\n{}",
        r#"{"amount": 12345678901234567890.10, "new": false, "customer": {"address": {"note": "\u00e9\n\"\ud83d\ude00"}, "id": 7}, "visit": 1.50, "rest": [{"a": {}}]}"#,
        r#"{"visit":"2","customer.id":"C2","amount":-1e3,"customer":{"address":{"note":""}},"new":null}"#,
        r#" { "visit" : "3" , "customer" : { "id" : " C3 " , "address" : null } } "#,
    );
    let (built, tally) = run(VISITS, &lines);
    assert_eq!((faults(&built), tally.lines), (vec![], 4));
    assert_eq!(ids(&built), ["0", "1.50", "2", "3"]);
    let customers: Vec<_> = built.events.iter().map(|out| out.event.identifiers[0].value.as_str()).collect();
    assert_eq!(customers, ["C0", "7", "C2", "C3"]);
    assert_eq!(text(&built, 1, "amount"), Some("12345678901234567890.10"));
    assert_eq!(text(&built, 1, "note"), Some("é\n\"😀"));
    assert_eq!(property(&built, 1, "is_new"), Some(&Kind::BoolValue(false)));
    assert_eq!((text(&built, 2, "amount"), text(&built, 2, "note")), (Some("-1e3"), None));
    assert_eq!(property(&built, 2, "exact"), Some(&Kind::NumberValue(-1000.0)));
    assert_eq!((property(&built, 2, "is_new"), text(&built, 3, "amount")), (None, None));
    assert_eq!(built.events.iter().map(|out| out.line).collect::<Vec<_>>(), [1, 4, 5, 6]);
}

#[test]
fn a_broken_line_is_told_by_its_number_its_column_and_a_sentence_and_the_others_are_read() {
    for (line, expected) in [
        (r#"["secret"]"#, ": is not a JSON object"),
        ("secret", ": is not a JSON object"),
        (r#"{"visit": secret}"#, ": is not JSON at byte 11"),
        (r#"{"visit": 1, "customer": {"id": "C1"}} {"secret": 1}"#, ": is not JSON at byte 40"),
        (r#"{"visit": 01, "customer": {"id": "C1"}}"#, ": is not JSON at byte 12"),
        (r#"{"visit": 1, "secret": "\x", "customer": {"id": "C1"}}"#, ": is not JSON at byte 26"),
        (r#"{"visit": 1, "customer": {"id": "secret"#, ": is cut off: it ends in the middle of its object"),
        (r#"{"visit": 1, "customer": {"id": "secret"}, "visit": 1}"#, ", column visit: is there twice"),
        (r#"{"visit": 1, "customer": {"id": 1}, "customer.id": "secret"}"#, ", column customer.id: is there twice"),
        (r#"{"visit": {"secret": 1}, "customer": {"id": 1}}"#, ", column visit: is an object; name a field of it"),
        (
            r#"{"visit": ["secret"], "customer": {"id": 1}}"#,
            ", column visit: is a list; only `over` and `each` read one, and none within another",
        ),
        (
            r#"{"visit": 1, "customer": [{"id": "secret"}]}"#,
            ", column customer: is a list; only `over` and `each` read one, and none within another",
        ),
        (
            r#"{"visit": 1, "customer": "secret"}"#,
            ", column customer: is not an object, and a field of it is asked for",
        ),
        (
            r#"{"visit": 1, "customer": {"id": "\ud83dsecret"}}"#,
            ", column customer.id: holds half of a character, written as `\\u`",
        ),
        (
            r#"{"visit": 1, "customer": {"\ud83dsecret": 1, "id": 2}}"#,
            ", column customer: holds half of a character, written as `\\u`",
        ),
    ] {
        assert_eq!(fault(line), expected, "{line}");
    }
    let mut long = r#"{"visit": 1, "customer": {"id": "C1"}, "rest": ""#.to_owned();
    long.extend(std::iter::repeat_n('s', LINE_BYTES));
    assert_eq!(fault(&format!("{long}\"}}")), ": is longer than 4 MiB");
    long.truncate(LINE_BYTES - 2);
    let (built, _) = run(VISITS, &format!("{WHOLE}\n{long}\"}}\n{WHOLE}\n"));
    assert_eq!((built.events.len(), built.faults.len()), (3, 0));
}

#[test]
fn no_depth_of_nesting_is_too_much() {
    let deep = "[".repeat(LINE_BYTES / 4);
    assert_eq!(fault(&format!("{{\"visit\": 1, \"x\": {deep}")), ": is cut off: it ends in the middle of its object");
    let deep = "{\"customer\":".repeat(LINE_BYTES / 16);
    assert_eq!(fault(&deep), ": is cut off: it ends in the middle of its object");
    let deep =
        format!("{{\"visit\": 1, \"x\": {}{}, \"customer\": {{\"id\": 1}}}}", "[".repeat(9_999), "]".repeat(9_999));
    let (built, _) = run(VISITS, &format!("{WHOLE}\n{deep}\n"));
    assert_eq!((faults(&built), built.events.len()), (vec![], 2));
}

#[test]
fn bytes_that_are_not_utf8_break_their_line_alone() {
    let mut bytes = format!("{WHOLE}\n").into_bytes();
    bytes.extend(b"{\"visit\": \"\xff\xfe\", \"customer\": {\"id\": 1}}\n");
    bytes.extend(format!("{WHOLE}\n").into_bytes());
    let mapping = Mapping::parse("mapping", VISITS).expect("well-formed");
    let source = Source::Embedded { name: "shop.jsonl", bytes: bytes.into() };
    let mut feed = open(&source, &mapping, 0).expect("fits");
    let built: Vec<_> = std::iter::from_fn(|| feed.next_built().expect("readable")).collect();
    assert_eq!(faults(&built[1]), ["shop.jsonl line 2: is not written in UTF-8"]);
    assert_eq!((built[0].events.len(), built[1].events.len(), built[2].events.len()), (1, 0, 1));
}

#[test]
fn the_elements_of_a_list_are_ranged_over_like_lines_of_a_join() {
    let lines = [
        r#"{"who": "ann", "order": {"no": 1, "items": [{"sku": "a", "pieces": -2, "price": 1.5}, {"sku": "b", "pieces": -1, "price": 4, "sub": [1]}]}, "tags": ["x", 7]}"#,
        r#"{"who": "bob", "order": {"no": 2, "items": [{"price": 3, "pieces": 1}]}, "tags": [], "order.items.sku": "c"}"#,
        r#"{"who": "cyd", "order": {"no": 3, "items": null}}"#,
        r#"{"who": "dan", "order": {"no": 4, "items": [3]}}"#,
        r#"{"who": "eve", "order": {"no": 5, "items": [{"pieces": 1, "price": 1, "price": 1}]}}"#,
        r#"{"who": "flo", "order": {"no": 6, "items": {"pieces": 1, "price": 1}}}"#,
        r#"{"who": "gil", "order": {"no": 7, "items": [{"pieces": 1, "price": "one"}]}}"#,
        r#"{"who": "hal", "order": {"no": 8, "items": [{"pieces": 1, "price": 1}]}, "tags": [["y"]]}"#,
        r#"{"who": "ida", "order": {"no": 9, "items": [{"pieces": 1, "price": 1}], "items": []}, "tags": []}"#,
    ];
    let (built, _) = run(BASKETS, &lines.join("\n"));
    assert_eq!(ids(&built), ["1", "1-x", "1-7", "2"]);
    let order = purchase(&built.events[0].event);
    assert_eq!((order.revenue, order.items.len(), order.items[1].product_id.as_str()), (7.0, 2, "b"));
    let order = purchase(&built.events[3].event);
    assert_eq!((order.revenue, order.items[0].product_id.as_str()), (3.0, ""));
    let only = "is a list; only `over` and `each` read one, and none within another";
    assert_eq!(
        faults(&built),
        [
            "shop.csv line 3, column order.items.pieces: is blank",
            "shop.csv line 4, column order.items: is not an object, and a field of it is asked for",
            "shop.csv line 5, column order.items.price: is there twice",
            "shop.csv line 6, column order.items: is not a list, which `over` and `each` range over",
            "shop.csv line 7, column order.items.price: is not a number",
            "shop.csv line 7, column order.items.pieces: is blank",
            &format!("shop.csv line 8, column tags: {only}"),
            "shop.csv line 9, column order.items: is there twice",
        ]
    );
}

#[test]
fn what_no_line_has_is_refused_before_anything_is_sent_with_what_there_is() {
    let lines: String = (0..20_000).map(|_| format!("{WHOLE}\n")).collect();
    let error = refusal(&VISITS.replace("{new}", "{news}"), &lines);
    assert!(error.contains("event[0].track.properties.is_new: shop.csv has no column `news`"), "{error}");
    assert!(error.ends_with("it has amount, customer.address.note, customer.id, new, visit"), "{error}");
    // One line has it, and be it the last.
    let last = WHOLE.replace("\"new\"", "\"news\"");
    assert_eq!(run(&VISITS.replace("{new}", "{news}"), &format!("{lines}{last}")).0.events.len(), 20_001);

    let basket =
        r#"{"who": "ann", "order": {"no": 1, "items": [{"sku": "a", "pieces": 2, "price": 1.5}]}, "tags": ["x"]}"#;
    let error = refusal(&BASKETS.replace("{who}", "{order.items.sku}"), basket);
    assert!(error.contains("`order.items.sku` has several lines; range over them by `over` or `each`"), "{error}");
    let error = refusal(&BASKETS.replace("each = \"tags\"", "each = \"labels\"").replace("{tags}", "{who}"), basket);
    assert!(error.contains("`labels` is neither `line` nor a join nor a list in shop.csv"), "{error}");
    let error = refusal(&VISITS.replace("{visit}", "{order.items.sku}"), basket);
    assert!(error.contains("order.items[].sku") && error.contains("lists, marked []"), "{error}");
    let error = refusal(VISITS, "{\"secret");
    assert!(error.ends_with("its first lines are no JSON objects"), "{error}");
}

#[test]
fn a_row_and_a_file_are_columns_where_a_line_has_them() {
    let mapping = VISITS.replace("{customer.address.note}", "{row}-{file}");
    let note = |lines: &str| text(&run(&mapping, lines).0, 1, "note").map(str::to_owned);
    assert_eq!(note(&format!("{WHOLE}\n\n{WHOLE}\n")).as_deref(), Some("2-shop.csv"));
    let named = WHOLE.replace("\"new\"", "\"row\": 9, \"file\": \"f\", \"new\"");
    assert_eq!(note(&format!("{WHOLE}\n{named}\n")).as_deref(), Some("9-f"));
}

#[test]
fn numbers_of_json_are_read_right_where_the_mapping_says_that_cells_have_a_comma() {
    let mapping = VISITS.replace("source =", "csv = { decimal_comma = true }\n    source =");
    let amount = |json: &str| {
        let line = WHOLE.replace("\"amount\": 1", &format!("\"amount\": {json}"));
        property(&run(&mapping, &line).0, 0, "exact").cloned()
    };
    assert_eq!(amount("12.50"), Some(Kind::NumberValue(12.5)));
    assert_eq!(amount("\"1.012,50\""), Some(Kind::NumberValue(1012.5)));
}

#[test]
fn files_of_both_kinds_are_joined() {
    let folder = tempfile::tempdir().expect("a folder");
    let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).expect("written");
    write("orders.jsonl", "{\"order\": 1, \"who\": \"ann\", \"items\": [{\"sku\": \"a\"}, {\"sku\": \"b\"}]}\n");
    write("products.jsonl", "{\"sku\": \"a\", \"is\": {\"price\": 2}}\n{\"sku\": \"b\", \"is\": {\"price\": 3}}\n");
    write("people.csv", "who,person\nann,Ann\n");
    let mapping = r#"
        source = "market"
        time = { undated = true }
        identifiers = { user_id = "{people.person}" }
        join = [
            { name = "people", file = "people.csv", on = "who" },
            { name = "product", file = "products.jsonl", on = "sku", with = "items.sku" },
        ]
        [[event]]
        event_id = "{order}"
        [event.purchase]
        items = { over = "items", product_id = "{items.sku}", unit_price = "{product.is.price}" }
    "#;
    let read = |mapping: &str| {
        let mapping = Mapping::parse("mapping", mapping).expect("well-formed");
        open(&Source::File(folder.path().join("orders.jsonl")), &mapping, 0)
    };
    let built = read(mapping).expect("fits").next_built().expect("readable").expect("a line");
    assert_eq!((faults(&built), built.events[0].event.identifiers[0].value.as_str()), (vec![], "Ann"));
    assert_eq!(purchase(&built.events[0].event).revenue, 5.0);
    let error = read(&mapping.replace("is.price", "is.cost")).err().expect("does not fit");
    assert!(format!("{error:#}").contains("products.jsonl has no column `product.is.cost`; it has is.price, sku"));
}

#[test]
fn lines_of_one_order_are_grouped_and_left_out_with_one_that_is_cut_off() {
    let line = |invoice: &str, product: &str| {
        format!(
            r#"{{"invoice": "{invoice}", "product": "{product}", "quantity": 1, "price": 2, "customer": "ann", "date": "2011-06-01 09:00"}}"#
        )
    };
    let cut = &line("2", "b")[..40];
    let (built, tally) = run(SHOP, &format!("{}\n{}\n{}\n{cut}\n", line("1", "a"), line("1", "b"), line("2", "a")));
    assert_eq!((ids(&built), purchase(&built.events[0].event).items.len()), (vec!["1"], 2));
    assert_eq!((tally.broken, tally.left_out), (1, 1));
    let fault = "is cut off: it ends in the middle of its object; its group of 2 lines is left out";
    assert_eq!(faults(&built), [format!("shop.csv line 4: {fault}")]);
}

#[test]
fn rows_and_faults_come_in_the_order_of_the_file_whatever_the_number_of_workers() {
    let line = |number: usize| match number % 1_000 {
        999 => "{".to_owned(),
        _ => WHOLE.replace("\"visit\": 0", &format!("\"visit\": {number}")),
    };
    let text: String = (0..50_000).map(|number| line(number) + "\n").collect();
    let mapping = Mapping::parse("mapping", VISITS).expect("well-formed");
    let sheet = Sheet::of(&source(&text), &mapping).expect("fits");
    for workers in [1, 2, 7] {
        let pace = Pace { workers: NonZero::new(workers).expect("not zero"), ..Pace::default() };
        let mut feed = Feed::open(&sheet, &mapping, 0, pace).expect("fits");
        for number in 0..50_000 {
            let built = feed.next_built().expect("readable").expect("a line");
            let line = built.events.first().map(|out| out.line).or(built.faults.first().map(|fault| fault.line));
            assert_eq!(line, Some(number + 1));
        }
        assert_eq!((feed.tally().lines, feed.tally().broken), (50_000, 50));
    }
}

/// A file as CSV and as JSON lines. Where a cell is a number or a truth, JSON has it as such.
fn both(rows: &[[String; 6]]) -> [String; 2] {
    let names: Vec<&str> = SHOP_HEADER.trim().split(',').collect();
    let mut csv = csv::Writer::from_writer(Vec::new());
    csv.write_record(&names).expect("in memory");
    let mut json = String::new();
    for row in rows {
        csv.write_record(row).expect("in memory");
        let value = |cell: &String| match serde_json::from_str(cell) {
            Ok(number @ Value::Number(_)) if serde_json::to_string(&number).is_ok_and(|text| text == *cell) => number,
            Ok(truth @ Value::Bool(_)) => truth,
            _ if cell.is_empty() => Value::Null,
            _ => Value::String(cell.clone()),
        };
        let object: Map<String, Value> =
            names.iter().map(|name| (*name).to_owned()).zip(row.iter().map(value)).collect();
        json.push_str(&format!("{}\n", Value::Object(object)));
    }
    [String::from_utf8(csv.into_inner().expect("in memory")).expect("UTF-8"), json]
}

fn row() -> impl Strategy<Value = [String; 6]> {
    let number = || prop_oneof![4 => "[0-9]{1,3}", 2 => "-?[0-9]{1,3}\\.[1-9]", 1 => "\\PC{0,3}"];
    let date = prop_oneof![6 => Just("2011-06-01 09:00".to_owned()), 1 => "\\PC{0,4}"];
    ("C?[0-3]", "[a-c\"\\\\,\n é😀]{0,4}", number(), date, number(), "[ab ]{0,1}|true").prop_map(
        |(invoice, product, quantity, date, price, customer)| [invoice, product, quantity, date, price, customer],
    )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]
    #[test]
    fn csv_and_json_lines_of_the_same_rows_give_the_same_events_and_faults(
        rows in prop::collection::vec(row(), 1..30),
        is_scattered: bool,
    ) {
        let mapping = SHOP.replace("by = \"invoice\"", &format!("by = \"invoice\", scattered = {is_scattered}"));
        let [csv, json] = both(&rows).map(|text| {
            let (built, tally) = run(&mapping, &text);
            let events: Vec<_> = built.events.into_iter().map(|out| out.event).collect();
            let faults: Vec<_> = built.faults.into_iter().map(|fault| (fault.column, fault.fault, fault.group_lines)).collect();
            (events, faults, tally)
        });
        prop_assert_eq!(csv, json);
    }
}
