//! How fast `rapport import` reads files, without a server: lines to rows, and lines to events.
//!
//! ```text
//! cargo bench --bench import              # 500,000 lines of each kind
//! cargo bench --bench import -- 2000000   # of another number
//! ```
//!
//! *flat* is one purchase on each line, as CSV and as JSON lines by the same mapping; *nested* is an order with three items
//! in objects and lists. Rows are read and dropped; events are made and dropped on the thread that takes them, in the order
//! of the file. Threads that make rows of JSON lines are one, or as many as there are processors, beside the one that reads
//! and the one that takes; CSV has no such threads. What is compared is measured in turn, round by round: a ratio is the
//! median of the ratios within a round.

#![expect(clippy::disallowed_methods, reason = "a benchmark reads the clock")]

use std::fmt::Write as _;
use std::num::NonZero;
use std::path::Path;
use std::time::Instant;

use anyhow::Context as _;
use rapport::cli::import::feed::Feed;
use rapport::cli::import::in_order;
use rapport::cli::import::mapping::Mapping;
use rapport::cli::import::rows::Pace;
use rapport::cli::import::sheet::Sheet;
use rapport::cli::import::source::Source;

const ROUNDS: usize = 7;
const LINES: usize = 500_000;

const FLAT: &str = r#"
    source = "bench"
    time = { column = "at", format = "rfc3339" }
    identifiers = { user_id = "{customer}", email = "{email}" }
    [[event]]
    event_id = "{order}"
    channel = "web"
    [event.purchase]
    order_id = "{order}"
    revenue = "{amount}"
    currency = "EUR"
"#;
const NESTED: &str = r#"
    source = "bench"
    time = { column = "at", format = "rfc3339" }
    identifiers = { user_id = "{customer.id}", email = "{customer.email}" }
    [[event]]
    event_id = "{order}"
    channel = "web"
    [event.purchase]
    order_id = "{order}"
    currency = "EUR"
    [event.purchase.items]
    over = "items"
    product_id = "{items.sku}"
    quantity = "{items.pieces}"
    unit_price = "{items.price}"
"#;

/// What is made of a file.
#[derive(Clone, Copy, PartialEq)]
enum Made {
    Rows,
    Events,
}

/// A file and its mapping.
struct Case {
    name: &'static str,
    mapping: Mapping,
    sheet: Sheet,
    megabytes: f64,
    /// Whether it has threads of which there can be one or several.
    has_workers: bool,
}

fn main() -> anyhow::Result<()> {
    // cargo passes a flag of its own.
    let lines = std::env::args().skip(1).find(|argument| argument != "--bench");
    let lines = lines.map_or(Ok(LINES), |lines| lines.parse()).context("the argument is a number of lines")?;
    let home = tempfile::tempdir()?;
    let csv = "order,at,customer,email,amount,state,note\n";
    let cases = [
        case(home.path(), "flat CSV", FLAT, csv.to_owned() + &text(lines, flat_csv))?,
        case(home.path(), "flat JSON lines", FLAT, text(lines, flat_json))?,
        case(home.path(), "nested JSON lines", NESTED, text(lines, nested_json))?,
    ];
    let several = in_order::workers();
    println!("{lines} lines, {ROUNDS} rounds, {several} processors; lines per second, medians\n");
    println!(
        "{:<18} {:>6} {:<7} {:>12} {:>12} {:>6}",
        "",
        "MB",
        "made",
        "1 worker",
        format!("{several} workers"),
        "ratio"
    );
    for case in &cases {
        for made in [Made::Rows, Made::Events] {
            case.compare(made, lines, several)?;
        }
    }
    Ok(())
}

impl Case {
    fn compare(&self, made: Made, lines: usize, several: NonZero<usize>) -> anyhow::Result<()> {
        let (mut one, mut more, mut ratios) = (Vec::new(), Vec::new(), Vec::new());
        for _ in 0..ROUNDS {
            let rate = |workers| Ok::<_, anyhow::Error>(lines as f64 / self.seconds(made, lines, workers)?);
            let alone = rate(NonZero::<usize>::MIN)?;
            one.push(alone);
            if self.has_workers {
                let together = rate(several)?;
                more.push(together);
                ratios.push(together / alone);
            }
        }
        let made = if made == Made::Rows { "rows" } else { "events" };
        print!("{:<18} {:>6.0} {made:<7} {:>12.0}", self.name, self.megabytes, median(&mut one));
        if self.has_workers {
            print!(" {:>12.0} {:>6.2}", median(&mut more), median(&mut ratios));
        }
        println!();
        Ok(())
    }

    fn seconds(&self, made: Made, lines: usize, workers: NonZero<usize>) -> anyhow::Result<f64> {
        let pace = Pace { workers, ..Pace::default() };
        let began = Instant::now();
        let mut taken = 0;
        if made == Made::Rows {
            let mut rows = self.sheet.rows(&pace)?;
            while let Some(row) = rows.next_row()? {
                taken += usize::from(row.is_ok());
            }
        } else {
            let mut feed = Feed::open(&self.sheet, &self.mapping, 0, pace)?;
            while let Some(built) = feed.next_built()? {
                taken += built.events.len();
            }
        }
        anyhow::ensure!(taken == lines, "{taken} of {lines} lines were read");
        Ok(began.elapsed().as_secs_f64())
    }
}

fn case(home: &Path, name: &'static str, mapping: &str, text: String) -> anyhow::Result<Case> {
    let path = home.join(name.replace(' ', "-"));
    std::fs::write(&path, &text)?;
    let mapping = Mapping::parse(name, mapping)?;
    let sheet = Sheet::of(&Source::File(path), &mapping)?;
    Ok(Case { name, mapping, sheet, megabytes: text.len() as f64 / 1e6, has_workers: name.contains("JSON") })
}

fn text(lines: usize, line: fn(usize, &mut String)) -> String {
    let mut text = String::new();
    (0..lines).for_each(|number| line(number, &mut text));
    text
}

fn flat_csv(number: usize, text: &mut String) {
    let (customer, amount) = (number % 10_007, number % 977);
    let start = format!("O-{number:09},2026-03-01T10:15:00+01:00,C-{customer}");
    // A text in memory takes every line.
    let _ = writeln!(text, "{start},customer-{customer}@example.com,{amount}.50,paid,\"left at the door, as agreed\"");
}

fn flat_json(number: usize, text: &mut String) {
    let (customer, amount) = (number % 10_007, number % 977);
    let start = format!(r#"{{"order":"O-{number:09}","at":"2026-03-01T10:15:00+01:00","customer":"C-{customer}""#);
    let end = r#""state":"paid","note":"left at the door, as agreed"}"#;
    let _ = writeln!(text, r#"{start},"email":"customer-{customer}@example.com","amount":{amount}.50,{end}"#);
}

fn nested_json(number: usize, text: &mut String) {
    let customer = number % 10_007;
    let item = |item: usize| {
        let (sku, pieces, price) = ((number + item) % 2_003, 1 + item % 3, number % 89);
        format!(r#"{{"sku":"S-{sku}","title":"A thing with a \"name\"","pieces":{pieces},"price":{price}.25}}"#)
    };
    let items = [item(0), item(1), item(2)].join(",");
    let start = format!(r#"{{"order":"O-{number:09}","at":"2026-03-01T10:15:00+01:00","shipping":{{"method":"post"}}"#);
    let who = format!(r#"{{"id":"C-{customer}","email":"customer-{customer}@example.com","tags":["a","b"]}}"#);
    let _ = writeln!(text, r#"{start},"customer":{who},"items":[{items}]}}"#);
}

fn median(figures: &mut [f64]) -> f64 {
    figures.sort_by(f64::total_cmp);
    figures[figures.len() / 2]
}
