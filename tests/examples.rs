//! The mapping files and data in `examples/` do what their comments say. The public data sets that the other mappings
//! are for do not ship, so those are held against a line or two in the form of each.

use std::path::{Path, PathBuf};

use rapport::cli::import::build::Built;
use rapport::cli::import::feed::{Feed, Tally};
use rapport::cli::import::mapping::Mapping;
use rapport::cli::import::rows::Pace;
use rapport::cli::import::sheet::Sheet;
use rapport::cli::import::source::Source;
use rapport::rpc::pb::event::Payload;
use rapport::rpc::pb::{ContactKind, Event};

fn examples() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("examples")
}

fn mapping(path: &str) -> Mapping {
    let text = std::fs::read_to_string(examples().join(path)).expect("shipped");
    Mapping::parse(path, &text).expect("well-formed")
}

fn read(source: Source, mapping: &Mapping) -> (Built, Tally) {
    let sheet = Sheet::of(&source, mapping).expect("readable");
    let mut feed = Feed::open(&sheet, mapping, 0, Pace::default()).expect("the mapping fits");
    let mut all = Built::default();
    while let Some(built) = feed.next_built().expect("readable") {
        all.events.extend(built.events);
        all.faults.extend(built.faults);
    }
    (all, feed.tally())
}

/// Reads a file of a few lines.
fn sample(path: &str, text: &str) -> Vec<Event> {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("sample.csv");
    std::fs::write(&file, text).expect("written");
    let (built, _) = read(Source::File(file), &mapping(path));
    assert_eq!(built.faults, []);
    built.events.into_iter().map(|outgoing| outgoing.event).collect()
}

fn kind(event: &Event) -> ContactKind {
    match &event.payload {
        Some(Payload::SupportContact(contact)) => contact.kind(),
        _ => panic!("not a contact"),
    }
}

#[test]
fn cdnow_ships_whole_and_every_line_is_a_purchase() {
    let mapping = mapping("retail/cdnow.toml");
    let mut customers = std::collections::HashSet::new();
    let mut ids = std::collections::HashSet::new();
    let mut amount = 0.0;
    for (file, purchases) in [("cdnow_sample.csv.gz", 6_919), ("cdnow_rest_even.csv.gz", 31_456)] {
        let (built, tally) = read(Source::File(examples().join("retail").join(file)), &mapping);
        assert_eq!((built.events.len(), tally.broken, tally.lines), (purchases, 0, purchases as u64));
        for outgoing in built.events {
            let Some(Payload::Purchase(purchase)) = &outgoing.event.payload else { panic!("not a purchase") };
            amount += purchase.revenue;
            customers.insert(outgoing.event.identifiers[0].value.clone());
            assert!(ids.insert(outgoing.event.event_id.clone()), "an id comes twice");
        }
    }
    assert_eq!(customers.len(), 12_912);
    assert!((1_300_000.0..1_450_000.0).contains(&amount), "{amount}");
}

#[test]
fn the_template_works_as_it_stands_on_the_lines_that_it_shows() {
    let template = std::fs::read_to_string(examples().join("mappings/template.toml")).expect("shipped");
    let shown = template.lines().skip_while(|line| !line.contains("order_no,line_no")).take(4);
    let csv: String = shown.map(|line| format!("{}\n", line.trim_start_matches("#   "))).collect();
    let events = sample("mappings/template.toml", &csv);
    let ids: Vec<_> = events.iter().map(|event| event.event_id.as_str()).collect();
    assert_eq!(ids, ["1001", "1001-traits", "R1001", "R1001-traits"]);
    let purchase = |event: &Event| match &event.payload {
        Some(Payload::Purchase(purchase)) => (purchase.revenue, purchase.refund, purchase.items.len()),
        _ => panic!("not a purchase"),
    };
    assert_eq!(purchase(&events[0]), (19.2, false, 2));
    assert_eq!(purchase(&events[2]), (7.5, true, 0));
}

#[test]
fn the_template_for_json_lines_works_as_it_stands_on_the_lines_that_it_shows() {
    let template = std::fs::read_to_string(examples().join("mappings/template_json_lines.toml")).expect("shipped");
    let shown = template.lines().filter_map(|line| line.strip_prefix("#   {"));
    let lines: String = shown.map(|line| format!("{{{line}\n")).collect();
    assert_eq!(lines.lines().count(), 2);
    let events = sample("mappings/template_json_lines.toml", &lines);
    let ids: Vec<_> = events.iter().map(|event| event.event_id.as_str()).collect();
    assert_eq!(ids, ["1001", "1001-SPRING", "1001-traits", "1002", "1002-traits"]);
    let Some(Payload::Purchase(purchase)) = &events[0].payload else { panic!("not a purchase") };
    assert_eq!((purchase.revenue, purchase.items.len()), (19.2, 2));
    assert_eq!(purchase.items[0].category, "mugs");
    assert_eq!(events[0].identifiers.len(), 2);
}

#[test]
fn online_retail_groups_invoices_and_turns_cancellations_into_refunds() {
    let events = sample(
        "mappings/online_retail.toml",
        "InvoiceNo,StockCode,Description,Quantity,InvoiceDate,UnitPrice,CustomerID,Country\n\
         536374,21258,SEWING BOX,32,2010-12-01 09:09:00,10.95,15100,United Kingdom\n\
         536374,21733,T-LIGHT,2,2010-12-01 09:09:00,2.5,15100,United Kingdom\n\
         536375,21733,T-LIGHT,2,2010-12-01 09:09:00,2.5,,United Kingdom\n\
         C536379,D,Discount,-1,2010-12-01 09:41:00,27.5,14527,United Kingdom\n",
    );
    let purchases: Vec<_> = events
        .iter()
        .filter_map(|event| match &event.payload {
            Some(Payload::Purchase(purchase)) => Some((purchase.revenue, purchase.refund)),
            _ => None,
        })
        .collect();
    assert_eq!(purchases, [(355.4, false), (27.5, true)]);
}

#[test]
fn the_incident_log_becomes_only_the_steps_that_a_caller_can_feel() {
    let header = "number,incident_state,reassignment_count,reopen_count,sys_mod_count,caller_id,opened_at,\
                  sys_updated_at,contact_type,category,assignment_group,assigned_to\n";
    let rows = "INC1,New,0,0,0,Caller 1,29-02-2016 04:40,29-02-2016 04:57,Phone,Category 55,Group 70,?\n\
                INC1,Active,2,0,1,Caller 1,29-02-2016 04:40,29-02-2016 05:30,Phone,Category 55,Group 24,Resolver 31\n\
                INC1,Active,2,0,2,Caller 1,29-02-2016 04:40,29-02-2016 05:33,Phone,Category 55,Group 24,Resolver 31\n\
                INC1,Resolved,2,0,3,Caller 1,29-02-2016 04:40,29-02-2016 06:00,Phone,Category 55,Group 24,Resolver 31\n\
                INC1,Active,2,1,4,Caller 1,29-02-2016 04:40,29-02-2016 07:00,Phone,Category 55,Group 24,Resolver 31\n\
                INC1,Closed,2,1,5,Caller 1,29-02-2016 04:40,05-03-2016 06:00,Phone,Category 55,Group 24,Resolver 31\n\
                INC2,New,0,0,0,?,29-02-2016 04:40,29-02-2016 04:57,Phone,Category 55,Group 70,?\n";
    let events = sample("mappings/uci_incident.toml", &format!("{header}{rows}"));
    let kinds: Vec<_> = events.iter().map(kind).collect();
    use ContactKind::{Closed, Opened, Reopened, Resolved, Transfer};
    assert_eq!(kinds, [Opened, Transfer, Resolved, Reopened, Closed]);
    assert_eq!(events[0].channel, "phone");
}

#[test]
fn a_telco_customer_becomes_traits_and_a_subscription_that_does_not_tell_the_label() {
    let events = sample(
        "mappings/telco.toml",
        "customerID,gender,SeniorCitizen,Partner,Dependents,tenure,PhoneService,MultipleLines,InternetService,\
         OnlineSecurity,OnlineBackup,DeviceProtection,TechSupport,StreamingTV,StreamingMovies,Contract,\
         PaperlessBilling,PaymentMethod,MonthlyCharges,TotalCharges,Churn\n\
         4472-LVYGI,Female,0,Yes,Yes,0,No,No phone service,DSL,Yes,No,Yes,Yes,Yes,No,Two year,Yes,\
         Bank transfer (automatic),52.55, ,Yes\n",
    );
    let Some(Payload::Identify(identify)) = &events[0].payload else { panic!("no traits") };
    let traits = &identify.traits.as_ref().expect("traits").fields;
    assert!(traits.contains_key("churned") && !traits.contains_key("total_charges"));
    let Some(Payload::SubscriptionChange(change)) = &events[1].payload else { panic!("no subscription") };
    assert_eq!(change.status(), rapport::rpc::pb::SubscriptionStatus::Active);
    assert!(events.iter().all(|event| event.original_time.is_none()));
}

#[test]
fn an_olist_order_gathers_its_items_its_person_and_its_reviews() {
    let folder = tempfile::tempdir().expect("a folder");
    let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).expect("written");
    write("customers.csv.gz", "customer_id,customer_unique_id,customer_city,customer_state\nc1,p1,mauá,SP\n");
    write("order_items.csv.gz", "order_id,product_id,price\no1,a,10.5\no1,b,4\n");
    write("products.csv.gz", "product_id,product_category_name\na,brinquedos\n");
    write(
        "order_reviews.csv.gz",
        "review_id,order_id,review_score,review_comment_message,review_answer_timestamp\nr1,o1,5,,2018-01-20 10:00:00\n",
    );
    write(
        "orders.csv.gz",
        "order_id,customer_id,order_status,order_purchase_timestamp,order_delivered_customer_date,\
         order_estimated_delivery_date\no1,c1,delivered,2018-01-10 10:00:00,2018-01-15 10:00:00,2018-01-20 00:00:00\n",
    );
    let (built, _) = read(Source::File(folder.path().join("orders.csv.gz")), &mapping("mappings/olist.toml"));
    assert_eq!(built.faults, []);
    let ids: Vec<_> = built.events.iter().map(|out| out.event.event_id.as_str()).collect();
    assert_eq!(ids, ["order-o1", "delivered-o1", "customer-c1", "review-r1-o1"]);
    assert!(built.events.iter().all(|out| out.event.identifiers[0].value == "p1"));
    // Ten o'clock in São Paulo's summer is noon in UTC.
    assert_eq!(built.events[0].event.original_time.expect("dated").seconds, 1_515_585_600);
}
