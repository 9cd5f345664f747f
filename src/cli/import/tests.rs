//! From a mapping and the text of a file to events and faults.

mod json_lines;

use super::build::Built;
use super::command::shift;
use super::feed::{Feed, Tally, latest_time};
use super::mapping::Mapping;
use super::rows::Pace;
use super::sheet::Sheet;
use super::source::Source;
use crate::cli::args::EndAt;
use crate::cli::clock;
use crate::rpc::pb;
use crate::rpc::pb::event::Payload;

const SHOP: &str = r#"
    source = "shop"
    time = { column = "date", format = "%Y-%m-%d %H:%M", time_zone = "Europe/London" }
    identifiers = { user_id = "{customer}" }
    group = { by = "invoice" }

    [[event]]
    event_id = "{invoice}"
    when = { column = "invoice", starts_with = "C", not = true }
    channel = "web"
    [event.purchase]
    order_id = "{invoice}"
    currency = "GBP"
    [event.purchase.items]
    over = "line"
    product_id = "{product}"
    quantity = "{quantity}"
    unit_price = "{price}"

    [[event]]
    event_id = "{invoice}"
    when = { column = "invoice", starts_with = "C" }
    channel = "web"
    [event.purchase]
    order_id = "{invoice}"
    revenue = { multiply = ["{quantity}", "{price}"], over = "line", abs = true }
    currency = "GBP"
    refund = true
    [event.purchase.items]
    over = "line"
    product_id = "{product}"
    quantity = { value = "{quantity}", abs = true }
    unit_price = "{price}"
"#;

const SHOP_HEADER: &str = "invoice,product,quantity,date,price,customer\n";

fn source(text: &str) -> Source {
    Source::Embedded { name: "shop.csv", bytes: text.to_owned().into_bytes().into() }
}

fn open(source: &Source, mapping: &Mapping, shift_micros: i64) -> anyhow::Result<Feed> {
    Feed::open(&Sheet::of(source, mapping)?, mapping, shift_micros, Pace::default())
}

fn run(mapping: &str, text: &str) -> (Built, Tally) {
    let mapping = Mapping::parse("mapping", mapping).expect("well-formed mapping");
    let mut feed = open(&source(text), &mapping, 0).expect("mapping fits");
    let mut all = Built::default();
    while let Some(built) = feed.next_built().expect("readable") {
        all.events.extend(built.events);
        all.faults.extend(built.faults);
    }
    (all, feed.tally())
}

fn refusal(mapping: &str, header: &str) -> String {
    let mapping = Mapping::parse("mapping", mapping).expect("well-formed mapping");
    let error = open(&source(header), &mapping, 0).err().expect("does not fit");
    format!("{error:#}")
}

fn purchase(event: &pb::Event) -> &pb::Purchase {
    match &event.payload {
        Some(Payload::Purchase(purchase)) => purchase,
        _ => panic!("not a purchase"),
    }
}

fn ids(built: &Built) -> Vec<&str> {
    built.events.iter().map(|outgoing| outgoing.event.event_id.as_str()).collect()
}

fn faults(built: &Built) -> Vec<String> {
    built.faults.iter().map(ToString::to_string).collect()
}

#[test]
fn lines_of_one_invoice_are_one_order_with_items_and_a_computed_amount() {
    let rows = "1,a,2,2011-06-01 09:00,1.5,ann\n1,b,1,2011-06-01 09:00,4,ann\n2,a,1,2011-06-01 10:00,1.5,bob\n";
    let (built, tally) = run(SHOP, &format!("{SHOP_HEADER}{rows}"));
    assert_eq!((built.events.len(), built.faults.len(), tally.lines), (2, 0, 3));
    let event = &built.events[0].event;
    assert_eq!((event.event_id.as_str(), event.source.as_str(), event.channel.as_str()), ("1", "shop", "web"));
    assert_eq!(event.identifiers[0].value, "ann");
    // Nine o'clock in London's summer is eight in UTC.
    assert_eq!(event.original_time.expect("dated").seconds, 1_306_915_200);
    let order = purchase(event);
    assert_eq!((order.revenue, order.refund, order.items.len()), (7.0, false, 2));
    assert_eq!((order.items[1].product_id.as_str(), order.items[1].unit_price), ("b", 4.0));
    assert_eq!(built.events[1].line, 4);
}

#[test]
fn a_cancelled_invoice_is_a_refund_with_positive_figures() {
    let rows = "C9,a,-2,2011-06-01 09:00,1.5,ann\nC9,b,-1,2011-06-01 09:00,4,ann\n";
    let (built, _) = run(SHOP, &format!("{SHOP_HEADER}{rows}"));
    let order = purchase(&built.events[0].event);
    assert!(order.refund);
    assert_eq!((order.revenue, order.items[0].quantity), (7.0, 2.0));
}

#[test]
fn a_broken_line_is_reported_by_line_and_column_and_its_whole_order_is_left_out() {
    let rows = "\
        1,a,two,2011-06-01 09:00,x1,ann\n\
        1,b,1,2011-06-01 09:00,4,ann\n\
        2,a,1,yesterday,1,\n\
        3,a,1,2011-06-01 09:00,2,ann\n\
        3,b,1,2011-06-01 09:00,2,ann\n\
        3,c,1\n\
        4,a,1,2011-06-01 09:00,1,bob\n";
    let (built, tally) = run(SHOP, &format!("{SHOP_HEADER}{rows}"));
    assert_eq!(ids(&built), ["4"]);
    assert_eq!(
        faults(&built),
        [
            "shop.csv line 2, column quantity: is not a number; its group of 2 lines is left out",
            "shop.csv line 2, column price: is not a number; its group of 2 lines is left out",
            "shop.csv line 4, column customer: is blank, and no other identifier says whose line it is",
            "shop.csv line 4, column date: is not a time of the form %Y-%m-%d %H:%M",
            "shop.csv line 7: has 3 cells; the header has 6; its group of 3 lines is left out",
        ]
    );
    assert_eq!((tally.lines, tally.imported, tally.broken, tally.left_out), (7, 1, 3, 3));
}

#[test]
fn a_mended_file_brings_what_was_left_out_and_nothing_else_anew() {
    let broken = "\
        1,a,2,2011-06-01 09:00,1.5,ann\n\
        1,b,two,2011-06-01 09:00,4,ann\n\
        2,a,1,2011-06-01 10:00,1.5,bob\n\
        1,c,1,2011-06-01 09:00,1,ann\n";
    for mapping in [SHOP.to_owned(), SHOP.replace("by = \"invoice\"", "by = \"invoice\", scattered = true")] {
        let (first, tally) = run(&mapping, &format!("{SHOP_HEADER}{broken}"));
        assert_eq!((ids(&first), tally.imported, tally.broken + tally.left_out), (vec!["2"], 1, 3));
        let mut mended: Vec<&str> = broken.lines().collect();
        mended[1] = "1,b,2,2011-06-01 09:00,4,ann";
        mended.sort_unstable();
        let (second, tally) = run(&mapping, &format!("{SHOP_HEADER}{}\n", mended.join("\n")));
        assert_eq!((ids(&second), tally.imported), (vec!["1", "2"], 4));
        assert_eq!(second.events[1].event, first.events[0].event);
        assert_eq!(purchase(&second.events[0].event).items.len(), 3);
    }
}

#[test]
fn a_line_whose_group_cannot_be_known_is_reported_alone() {
    let rows = "1,a,1,2011-06-01 09:00,1,ann\n,b,1,2011-06-01 09:00,1,ann\n1,c,1,2011-06-01 09:00,1,ann\n";
    let (built, tally) = run(SHOP, &format!("{SHOP_HEADER}{rows}"));
    assert_eq!((ids(&built), purchase(&built.events[0].event).items.len()), (vec!["1"], 2));
    assert_eq!(faults(&built), ["shop.csv line 3, column invoice: is blank, and the event's id is made of it"]);
    assert_eq!((tally.imported, tally.broken, tally.left_out), (2, 1, 0));
}

#[test]
fn no_fault_repeats_a_cell() {
    let rows = "1,a,secret,secret,secret,ann\n,a,1,2011-06-01 09:00,1,secret\n";
    let (built, _) = run(SHOP, &format!("{SHOP_HEADER}{rows}"));
    assert!(!built.faults.is_empty());
    assert!(faults(&built).iter().all(|fault| !fault.contains("secret")), "{:?}", faults(&built));
}

#[test]
fn an_order_that_comes_back_later_is_reported_unless_the_mapping_says_that_lines_are_scattered() {
    let rows = "1,a,1,2011-06-01 09:00,1,ann\n2,a,1,2011-06-01 09:00,1,bob\n1,b,1,2011-06-01 09:00,2,ann\n";
    let text = format!("{SHOP_HEADER}{rows}");
    let (built, tally) = run(SHOP, &text);
    // What comes back later is known before the first line is sent, so that a sorted file brings the order as it is.
    assert_eq!((ids(&built), tally.broken, tally.left_out), (vec!["2"], 1, 1));
    let fault = "comes back after other groups; sort the file by it or set group.scattered = true";
    let expected = format!("shop.csv line 4, column invoice: {fault}; its group of 2 lines is left out");
    assert_eq!(faults(&built), [expected]);

    let (built, _) = run(&SHOP.replace("by = \"invoice\"", "by = \"invoice\", scattered = true"), &text);
    assert_eq!((built.events.len(), built.faults.len()), (2, 0));
    assert_eq!(purchase(&built.events[0].event).revenue, 3.0);
}

#[test]
fn lines_of_two_customers_never_become_one_order() {
    let rows = "1,a,1,2011-06-01 09:00,1,ann\n1,b,1,2011-06-01 09:00,2,bob\n";
    let (built, _) = run(SHOP, &format!("{SHOP_HEADER}{rows}"));
    let expected =
        "shop.csv line 3, column invoice: groups lines of different customers; its group of 2 lines is left out";
    assert_eq!((faults(&built), built.events.len()), (vec![expected.to_owned()], 0));
}

#[test]
fn items_beyond_the_limit_are_summed_up_and_noted() {
    let rows: String = (0..600).map(|item| format!("1,{item},2,2011-06-01 09:00,1.5,ann\n")).collect();
    let (built, tally) = run(SHOP, &format!("{SHOP_HEADER}{rows}"));
    let order = purchase(&built.events[0].event);
    assert_eq!((order.items.len(), order.revenue), (500, 1_800.0));
    assert_eq!(order.items.iter().map(|item| item.quantity).sum::<f64>(), 1_200.0);
    assert_eq!(tally.notes.items_summed_up, 101);
}

#[test]
fn a_column_that_does_not_exist_is_named_with_its_key_and_what_there_is() {
    let error = refusal(&SHOP.replace("\"{price}\"\n", "\"{pricee}\"\n"), SHOP_HEADER);
    assert!(error.contains("event[0].purchase.items.unit_price") && error.contains("`pricee`"), "{error}");
    assert!(error.contains("invoice, product"), "{error}");
}

#[test]
fn a_mapping_without_a_zone_is_refused_before_anything_is_read() {
    let error = refusal(&SHOP.replace(", time_zone = \"Europe/London\"", ""), SHOP_HEADER);
    assert!(error.contains("time.time_zone is missing"), "{error}");
}

#[test]
fn the_same_file_gives_the_same_events_again() {
    let rows = "1,a,2,2011-06-01 09:00,1.5,ann\n2,b,1,2011-06-01 09:00,4,ann\n";
    let text = format!("{SHOP_HEADER}{rows}");
    let events = |text: &str| run(SHOP, text).0.events.into_iter().map(|out| out.event).collect::<Vec<_>>();
    assert_eq!(events(&text), events(&text));
}

#[test]
fn all_times_move_by_one_offset() {
    let rows = "1,a,2,2011-06-01 09:00,1.5,ann\n2,b,1,2011-06-03 10:00,4,ann\n";
    let text = format!("{SHOP_HEADER}{rows}");
    let mapping = Mapping::parse("mapping", SHOP).expect("well-formed");
    let sheet = Sheet::of(&source(&text), &mapping).expect("fits");
    let latest = latest_time(std::slice::from_ref(&sheet), &mapping).expect("readable").expect("dated");
    assert_eq!(latest, 1_307_091_600_000_000);
    let mut feed = Feed::open(&sheet, &mapping, 7_000_000, Pace::default()).expect("fits");
    let mut seconds = Vec::new();
    while let Some(built) = feed.next_built().expect("readable") {
        seconds.extend(built.events.iter().map(|out| out.event.original_time.expect("dated").seconds));
    }
    assert_eq!(seconds, [1_306_915_207, 1_307_091_607]);
}

#[test]
fn times_that_end_now_are_moved_by_whole_days_and_not_beyond_now() {
    let text = format!("{SHOP_HEADER}1,a,2,2011-06-01 09:00,1.5,ann\n");
    let mapping = Mapping::parse("mapping", SHOP).expect("well-formed");
    let sheet = Sheet::of(&source(&text), &mapping).expect("fits");
    let moved = shift(&[sheet], &mapping, EndAt::Now).expect("dated");
    assert_eq!(moved.micros() % 86_400_000_000, 0);
    assert!(moved.latest_time.ends_with("T08:00:00Z"), "{}", moved.latest_time);
    let left = clock::now_micros() - (1_306_915_200_000_000 + moved.micros());
    assert!((0..=86_400_000_000).contains(&left), "{left}");
}

const DESK: &str = r#"
    source = "desk"
    csv = { unknown = ["?"] }
    time = { column = "updated", format = "%d-%m-%Y %H:%M", time_zone = "UTC" }
    identifiers = { user_id = "{caller}" }
    skip_when = { column = "caller", blank = true }

    [[event]]
    event_id = "{number}-opened"
    when = { column = "number", changes_within = "number" }
    time = { column = "opened" }
    channel = { value = "{contact}", map = { Phone = "phone" }, otherwise = "other", default = "unknown" }
    [event.support_contact]
    case_id = "{number}"
    kind = "OPENED"

    [[event]]
    event_id = "{number}-{step:3}-transfer"
    when = { column = "moves", rises_within = "number" }
    [event.support_contact]
    case_id = "{number}"
    kind = "TRANSFER"
    transfers = { value = "{moves}", increase_within = "number" }

    [[event]]
    event_id = "{number}-{step:3}-state"
    when = [{ column = "state", one_of = ["Resolved", "Closed"] }, { column = "state", changes_within = "number" }]
    [event.support_contact]
    case_id = "{number}"
    kind = "{state}"
"#;

#[test]
fn a_counter_becomes_steps_where_it_rises_and_a_state_where_it_changes() {
    let rows = "\
        I1,1,0,New,ann,Phone,01-03-2016 08:00,01-03-2016 08:05\n\
        I1,2,2,Active,ann,Phone,01-03-2016 08:00,01-03-2016 09:00\n\
        I2,1,1,New,bob,?,01-03-2016 08:00,01-03-2016 09:30\n\
        I1,3,2,Resolved,ann,Phone,01-03-2016 08:00,01-03-2016 10:00\n\
        I1,4,3,Resolved,ann,Phone,01-03-2016 08:00,01-03-2016 11:00\n\
        I3,1,1,New,?,Phone,01-03-2016 08:00,01-03-2016 11:00\n";
    let (built, tally) = run(DESK, &format!("number,step,moves,state,caller,contact,opened,updated\n{rows}"));
    let steps: Vec<_> = built
        .events
        .iter()
        .map(|out| match &out.event.payload {
            Some(Payload::SupportContact(contact)) => (out.event.event_id.as_str(), contact.transfers),
            _ => panic!("not a contact"),
        })
        .collect();
    assert_eq!(
        steps,
        [
            ("I1-opened", 0),
            ("I1-002-transfer", 2),
            ("I2-opened", 0),
            ("I2-001-transfer", 1),
            ("I1-003-state", 0),
            ("I1-004-transfer", 1),
        ]
    );
    assert_eq!(built.events[0].event.original_time.expect("dated").seconds, 1_456_819_200);
    assert_eq!(built.events[2].event.channel, "unknown");
    assert_eq!((built.faults.len(), tally.skipped), (0, 1));
}

#[test]
fn what_rose_on_a_broken_line_is_seen_on_the_next_sound_one() {
    let rows = "\
        I1,1,0,New,ann,Phone,01-03-2016 08:00,01-03-2016 08:05\n\
        I1,2,2,Active,ann,Phone,01-03-2016 08:00,never\n\
        I1,3,2,Active,ann,Phone,01-03-2016 08:00,01-03-2016 10:00\n";
    let (built, _) = run(DESK, &format!("number,step,moves,state,caller,contact,opened,updated\n{rows}"));
    assert_eq!(faults(&built).len(), 1);
    assert_eq!(built.events[1].event.event_id, "I1-003-transfer");
}

const PEOPLE: &str = r#"
    source = "crm"
    time = { undated = true }
    identifiers = { user_id = "{id}", email = ["{mail}", "{mail2}"] }

    [[event]]
    event_id = "{id}-traits"
    [event.identify.traits]
    tenure = { value = "{tenure}", as = "number" }
    churned = { value = "{churn}", as = "boolean" }
    total = { value = "{total}", as = "number" }
    city = "{city}"
    imported = true

    [[event]]
    event_id = "{id}-subscription"
    [event.subscription_change]
    status = "ACTIVE"
    plan = "{plan}"
    monthly_amount = "{amount}"
    currency = "USD"

    [[event]]
    event_id = "{id}-score"
    when = { column = "score", blank = false }
    [event.survey_response]
    kind = "csat"
    score = "{score}"

    [[event]]
    event_id = "{id}-login"
    [event.track]
    name = "Login"
    properties = { seats = 3 }

    [[event]]
    event_id = "{id}-page"
    [event.page_view]
    name = "Home"
    url = "https://example.com/{id}"
"#;

#[test]
fn one_line_becomes_several_events_and_a_blank_cell_says_nothing() {
    let text = "id,mail,mail2,tenure,churn,total,city,plan,amount,score\n7,a@b.c,,12,Yes, ,Rome,Year,19.5,\n";
    let (built, _) = run(PEOPLE, text);
    let ids: Vec<_> = built.events.iter().map(|out| out.event.event_id.as_str()).collect();
    assert_eq!(ids, ["7-traits", "7-subscription", "7-login", "7-page"]);
    let event = &built.events[0].event;
    assert_eq!((event.original_time, event.identifiers.len()), (None, 2));
    let Some(Payload::Identify(identify)) = &event.payload else { panic!("not traits") };
    let traits = format!("{:?}", identify.traits);
    assert!(traits.contains("NumberValue(12.0)") && traits.contains("BoolValue(true)"), "{traits}");
    assert!(!traits.contains("total"), "{traits}");
    let Some(Payload::SubscriptionChange(change)) = &built.events[1].event.payload else { panic!("no subscription") };
    assert_eq!((change.status(), change.monthly_amount), (pb::SubscriptionStatus::Active, 19.5));
}

#[test]
fn a_word_that_the_contract_does_not_list_breaks_the_line() {
    let mapping = PEOPLE.replace("\"ACTIVE\"", "\"{plan}\"");
    let text = "id,mail,mail2,tenure,churn,total,city,plan,amount,score\n7,a@b.c,,12,maybe, ,Rome,Year,19.5,\n";
    assert_eq!(
        faults(&run(&mapping, text).0),
        [
            "shop.csv line 2, column churn: is neither true nor false",
            "shop.csv line 2, column plan: is none of the words that the contract lists for this field",
        ]
    );
}

#[test]
fn joined_files_are_looked_up_by_key_and_ranged_over() {
    let folder = tempfile::tempdir().expect("a folder");
    let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).expect("written");
    write("orders.csv", "order,customer_no,at\no1,c1,2018-01-01\no2,c9,2018-01-02\no3,c1,2018-01-03\n");
    write("customers.csv", "customer_no,person\nc1,ann\n");
    write("items.csv", "order,product,price\no1,p1,10\no1,p2,5\no3,p1,10\no3,p2\n");
    write("products.csv", "product,category\np2,toys\n");
    write("reviews.csv", "review,order,score,answered\nr1,o1,4,2018-01-05\nr2,o1,5,2018-01-06\n");
    let mapping = r#"
        source = "market"
        time = { column = "at", format = "date", time_zone = "America/Sao_Paulo", at = "12:00" }
        identifiers = { user_id = "{customer.person}" }
        [[join]]
        name = "customer"
        file = "customers.csv"
        on = "customer_no"
        [[join]]
        name = "item"
        file = "items.csv"
        on = "order"
        many = true
        [[join]]
        name = "product"
        file = "products.csv"
        on = "product"
        with = "item.product"
        [[join]]
        name = "review"
        file = "reviews.csv"
        on = "order"
        many = true
        [[event]]
        event_id = "order-{order}"
        [event.purchase]
        revenue = { value = "{item.price}", over = "item" }
        items = { over = "item", product_id = "{item.product}", unit_price = "{item.price}", category = "{product.category}" }
        [[event]]
        each = "review"
        event_id = "review-{review.review}"
        time = { column = "review.answered" }
        [event.survey_response]
        kind = "CSAT"
        score = "{review.score}"
    "#;
    let mapping = Mapping::parse("mapping", mapping).expect("well-formed");
    let source = Source::File(folder.path().join("orders.csv"));
    let mut feed = open(&source, &mapping, 0).expect("fits");
    let first = feed.next_built().expect("readable").expect("a line");
    assert_eq!(first.events.len(), 3);
    // What is wrong with a joined file is told with the first line of the main one.
    assert_eq!(faults(&first), ["items.csv line 5: has 2 cells; the header has 3"]);
    let order = purchase(&first.events[0].event);
    assert_eq!((order.revenue, order.items[0].category.as_str(), order.items[1].category.as_str()), (15.0, "", "toys"));
    assert_eq!(first.events[2].event.event_id, "review-r2");
    assert_eq!(first.events[2].event.identifiers[0].value, "ann");
    let second = feed.next_built().expect("readable").expect("a line");
    assert!(faults(&second)[0].contains("column customer.person: is blank"), "{:?}", faults(&second));
    let third = feed.next_built().expect("readable").expect("a line");
    assert_eq!((faults(&third).len(), third.events.len()), (1, 0));
    assert!(faults(&third)[0].ends_with("line 4, column order: leads to a broken line of items.csv"));
}
