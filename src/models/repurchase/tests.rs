//! The published figures of CDNOW, from the data that ship in `examples/retail`.

use std::collections::BTreeMap;
use std::fs::File;

use super::*;

/// The last day of the 39 weeks that the published models were fitted on.
const END: &str = "1997-09-30";

/// The published sample up to a day, in weeks: 2,357 customers, of whom 946 bought again.
fn sample() -> Vec<(History, Spend)> {
    let day = |date: &str| {
        let date: jiff::civil::Date = date.parse().expect("a date");
        date.since(jiff::civil::date(1997, 1, 1)).map(|span| f64::from(span.get_days())).expect("days")
    };
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/retail/cdnow_sample.csv.gz");
    let reader = flate2::read::GzDecoder::new(File::open(file).expect("it ships"));
    let mut customers: BTreeMap<String, BTreeMap<String, f64>> = BTreeMap::new();
    for record in csv::Reader::from_reader(reader).into_deserialize() {
        let record: BTreeMap<String, String> = record.expect("a purchase");
        if record["date"].as_str() <= END {
            // The purchases of a day are one.
            let days = customers.entry(record["customer_id"].clone()).or_default();
            *days.entry(record["date"].clone()).or_default() += record["amount_usd"].parse::<f64>().expect("money");
        }
    }
    let customer = |days: BTreeMap<String, f64>| {
        let times: Vec<f64> = days.keys().map(|date| day(date)).collect();
        let (first, last) = (times[0], times[times.len() - 1]);
        let repeats = days.len() as u32 - 1;
        let history = History { repeats, last: (last - first) / 7.0, observed: (day(END) - first) / 7.0 };
        let mean = days.values().skip(1).sum::<f64>() / f64::from(repeats);
        (history, Spend { purchases: repeats, mean })
    };
    customers.into_values().map(customer).collect()
}

#[test]
fn bg_nbd_of_cdnow_is_the_published_one() {
    let histories: Vec<History> = sample().into_iter().map(|customer| customer.0).collect();
    assert_eq!(histories.len(), 2_357);
    let model = BgNbd::fit(&histories).expect("fits");
    // Fader, Hardie and Lee 2005, table 2.
    for (found, published) in [(model.r, 0.2426), (model.alpha, 4.414), (model.a, 0.793), (model.b, 2.426)] {
        assert!((found / published - 1.0).abs() < 5e-4, "{model:?}");
    }
    let likelihood = model.log_likelihood(&histories);
    assert!((likelihood + 9_582.4).abs() < 0.05, "{likelihood}");
}

#[test]
fn gamma_gamma_of_cdnow_is_the_published_one() {
    let spends: Vec<Spend> =
        sample().into_iter().map(|customer| customer.1).filter(|spend| spend.purchases > 0).collect();
    assert_eq!(spends.len(), 946);
    let model = GammaGamma::fit(&spends).expect("fits");
    // Fader and Hardie 2013, section 4.
    for (found, published) in [(model.p, 6.25), (model.q, 3.74), (model.gamma, 15.44)] {
        assert!((found / published - 1.0).abs() < 5e-3, "{model:?}");
    }
}
