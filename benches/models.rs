//! What the models cost, and how well they do on a file of numbers.
//!
//! ```text
//! cargo bench --bench models                   # fits and answers on 100,000 generated rows of 30 columns, and predictions
//! cargo bench --bench models -- predictions    # only whole predictions, with features and reasons in words
//! cargo bench --bench models -- speed PYTHON   # the same, beside scikit-learn in that Python, in one run
//! cargo bench --bench models -- kmeans PYTHON  # segments of 1,000,000 rows of 20 columns, beside scikit-learn
//! cargo bench --bench models -- folds FILE...  # five folds: CSV of numbers, `label` is 0 or 1, `group` stays together
//! ```
//!
//! Times are CPU time, the least of three runs; a table names targets, and the program fails when one is missed.

use std::collections::BTreeMap;
use std::hint::black_box;
use std::path::Path;
use std::process::{Command, ExitCode};
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use rand::{Rng, SeedableRng};
use rand_xoshiro::Xoshiro256PlusPlus;
use rapport::domain::limits::CONTRIBUTIONS_DEFAULT;
use rapport::models::boosting::{self, Binned, Forest, Parameters};
use rapport::models::clustering::{Clusters, Points};
use rapport::models::evaluation::{Ranking, Scores, brier, expected_calibration_error, reliability};
use rapport::models::logistic::{Logistic, Row};
use rustix::time::{ClockId, clock_gettime};

#[path = "support/company.rs"]
mod company;

use company::{Company, Law};

const ROWS: usize = 100_000;
const COLUMNS: usize = 30;
const TREES: usize = 100;
const FOLDS: u64 = 5;
const SEED: u64 = 20_261_122;

fn main() -> anyhow::Result<ExitCode> {
    // cargo passes a flag of its own.
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words[..] {
        [] | ["speed"] => speed(None),
        ["predictions"] => predictions(),
        ["speed", python] => speed(Some(python)),
        ["kmeans", python] => kmeans(python),
        ["folds", ref files @ ..] if !files.is_empty() => {
            files.iter().try_for_each(|file| folds(Path::new(file)))?;
            Ok(ExitCode::SUCCESS)
        }
        _ => bail!("there are `predictions`, `speed [PYTHON]`, `kmeans PYTHON` and `folds FILE...`"),
    }
}

/// A table of numbers with what is to be told from them; what is missing is NaN.
struct Table {
    rows: Vec<Vec<f64>>,
    labels: Vec<bool>,
    groups: Vec<u64>,
}

impl Table {
    /// About 16 % positive, twelve of the columns matter, some of them only together.
    fn generated() -> Self {
        const WEIGHTS: [f64; 12] = [0.9, -0.7, 0.6, -0.5, 0.45, -0.4, 0.35, -0.3, 0.25, -0.2, 0.15, -0.1];
        let mut random = Xoshiro256PlusPlus::seed_from_u64(SEED);
        let mut table = Self { rows: Vec::new(), labels: Vec::new(), groups: Vec::new() };
        for row in 0..ROWS as u64 {
            let x: Vec<f64> = (0..COLUMNS).map(|_| normal(&mut random)).collect();
            let linear: f64 = x.iter().zip(WEIGHTS).map(|(x, weight)| x * weight).sum();
            let steps = 0.6 * x[0] * x[1] - 0.5 * f64::from(u8::from(x[2].abs() > 1.2)) + 0.5 * x[3].max(0.0) * x[4];
            table.labels.push(random.r#gen_bool(1.0 / (1.0 + (2.35 - linear - steps).exp())));
            table.rows.push(x);
            table.groups.push(row);
        }
        table
    }

    fn read(file: &Path) -> anyhow::Result<Self> {
        let mut reader = csv::Reader::from_path(file).with_context(|| format!("cannot open {}", file.display()))?;
        let names = reader.headers()?.clone();
        let mut table = Self { rows: Vec::new(), labels: Vec::new(), groups: Vec::new() };
        for (number, record) in (0..).zip(reader.records()) {
            let (record, mut row, mut group) = (record?, Vec::new(), number);
            for (name, cell) in names.iter().zip(&record) {
                let value: f64 = if cell.is_empty() { f64::NAN } else { cell.parse()? };
                match name {
                    "label" => table.labels.push(value > 0.5),
                    "group" => group = value.to_bits(),
                    _ => row.push(value),
                }
            }
            table.rows.push(row);
            table.groups.push(group);
        }
        ensure!(table.labels.len() == table.rows.len(), "{} has no column named label", file.display());
        Ok(table)
    }

    /// The columns of the rows at `positions`.
    fn columns(&self, positions: &[usize]) -> Vec<Vec<f64>> {
        let width = self.rows.first().map_or(0, Vec::len);
        (0..width).map(|column| positions.iter().map(|row| self.rows[*row][column]).collect()).collect()
    }

    /// Which fold each row is in: the same for all of a group.
    fn folds(&self) -> Vec<usize> {
        let fold = |group: &u64| Xoshiro256PlusPlus::seed_from_u64(SEED ^ group).gen_range(0..FOLDS as usize);
        self.groups.iter().map(fold).collect()
    }
}

/// A normal number, after Box and Muller (1958).
fn normal(random: &mut impl Rng) -> f64 {
    let radius = (-2.0 * (1.0 - random.r#gen::<f64>()).ln()).sqrt();
    radius * (std::f64::consts::TAU * random.r#gen::<f64>()).cos()
}

fn speed(python: Option<&str>) -> anyhow::Result<ExitCode> {
    let table = Table::generated();
    let rows: Vec<Row<'_>> = table.rows.iter().map(Vec::as_slice).zip(table.labels.iter().copied()).collect();
    let (logistic, logistic_time) = least_of_three(|| Logistic::fit(&rows, 1.0))?;
    let everyone: Vec<usize> = (0..ROWS).collect();
    let columns = table.columns(&everyone);
    let grow = || boosting::fit(&Binned::new(columns.clone())?, &table.labels, &Parameters::default(), TREES);
    let (forest, boosting_time) = least_of_three(grow)?;
    let (_, linear_answer) = least_of_three(|| answer_all(&table, |row| logistic.log_odds(row)))?;
    let explain = |row: &[f64]| forest.explain(row).map_or(f64::NAN, |explanation| explanation.log_odds);
    let (_, trees_answer) = least_of_three(|| answer_all(&table, explain))?;

    let mut missed = false;
    let mut say = |name: &str, found: f64, unit: &str, target: Option<f64>| missed |= !print(name, found, unit, target);
    say("logistic: fit of 100,000 x 30", logistic_time.as_secs_f64(), "s", None);
    say("boosting: fit of 100,000 x 30, 100 trees", boosting_time.as_secs_f64(), "s", None);
    say("logistic: log-odds of a row", micros(linear_answer), "us", Some(2.0));
    say("boosting: log-odds with contributions of a row", micros(trees_answer), "us", Some(20.0));
    if let Some(python) = python {
        let peers = scikit_learn(python, &table)?;
        let ratio = |name: &str, ours: Duration| {
            Ok::<_, anyhow::Error>(ours.as_secs_f64() / *peers.get(name).context("no figure")?)
        };
        say("logistic: CPU time against scikit-learn's", ratio("logistic", logistic_time)?, "x", Some(2.0));
        say("boosting: CPU time against scikit-learn's", ratio("boosting", boosting_time)?, "x", Some(1.5));
    }
    let predictions = predictions()?;
    Ok(if missed { ExitCode::FAILURE } else { predictions })
}

/// Prints a figure beside its target; false where it is missed.
fn print(name: &str, found: f64, unit: &str, target: Option<f64>) -> bool {
    let reached = target.is_none_or(|target| found <= target);
    let word = if reached { "reached" } else { "MISSED" };
    let target = target.map(|target| format!("<= {target}  {word}")).unwrap_or_default();
    println!("{name:56}  {found:9.3} {unit:3}  {target}");
    reached
}

/// What it takes to turn a profile into an answer: features, score, and the listed reasons with their values; as many as
/// a batch lists where nobody asks for a number, and all.
fn predictions() -> anyhow::Result<ExitCode> {
    const TURNS: usize = 20;
    let mut missed = false;
    for (law, kind, target) in [(Law::Additive, "logistic", 2.0), (Law::Together, "boosting", 20.0)] {
        for (traits, limit) in
            [(0, CONTRIBUTIONS_DEFAULT), (0, usize::MAX), (12, CONTRIBUTIONS_DEFAULT), (12, usize::MAX)]
        {
            let company = Company::new(law, traits, SEED)?;
            let ask = || {
                // A customer is asked about several times in a row: where a server answers, the profile has just been read
                // from its bytes, and lies in the processor's memory.
                let asked = company.states.iter().flat_map(|state| std::iter::repeat_n(state, TURNS));
                let reasons =
                    asked.map(|state| black_box(company.model.predict(state, company.now, limit)).contributions.len());
                Ok::<usize, anyhow::Error>(reasons.sum())
            };
            let (reasons, took) = least_of_three(ask)?;
            let asked = (TURNS * company.states.len()) as f64;
            let name = format!("{kind}: prediction, {traits} traits, {:.0} reasons", reasons as f64 / asked);
            missed |= !print(&name, took.as_secs_f64() * 1e6 / asked, "us", Some(target));
        }
    }
    Ok(if missed { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

/// Clusters as a training of segments finds them: fitted on a sample, moved to everybody, everybody assigned.
fn kmeans(python: &str) -> anyhow::Result<ExitCode> {
    const ROWS: usize = 1_000_000;
    const COLUMNS: usize = 20;
    const K: usize = 8;
    const SAMPLE: usize = 5_000;
    let mut random = Xoshiro256PlusPlus::seed_from_u64(SEED);
    // As many groups as are looked for, which overlap.
    let centres: Vec<f64> = (0..K * COLUMNS).map(|_| normal(&mut random)).collect();
    let cells: Vec<f64> = (0..ROWS * COLUMNS).map(|cell| centres[cell % (K * COLUMNS)] + normal(&mut random)).collect();
    let points = Points::new(cells.clone(), COLUMNS);
    let sample: Vec<usize> = (0..SAMPLE).map(|_| random.gen_range(0..ROWS)).collect();
    let work = || {
        let mut clusters = Clusters::fit(&points.select(&sample), K, SEED, None)?;
        clusters.refine(&points);
        let assigned = black_box(clusters.assign(&points));
        Ok::<_, anyhow::Error>((clusters, assigned.len()))
    };
    let ((clusters, _), took) = least_of_three(work)?;
    let inertia = clusters.inertia_of(&points) * ROWS as f64;
    let peers = run_python(python, "scikit_learn_kmeans.py", &cells, &[ROWS, COLUMNS, K])?;
    let figure = |name: &str| peers.get(name).copied().context("no figure");
    let (seconds, theirs) = (figure("seconds")?, figure("inertia")?);
    println!(
        "ours: {:.3} s, inertia {inertia:.0}; scikit-learn: {seconds:.3} s, inertia {theirs:.0}",
        took.as_secs_f64()
    );
    let (times, more) = (took.as_secs_f64() / seconds, inertia / theirs - 1.0);
    println!("k-means: CPU time against scikit-learn's  {times:.3} x  <= 1; inertia {:+.3} %  <= +0.1 %", more * 100.0);
    Ok(if times <= 1.0 && more <= 0.001 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn least_of_three<T, E>(mut work: impl FnMut() -> Result<T, E>) -> Result<(T, Duration), E> {
    let mut best = None;
    for _ in 0..3 {
        let before = cpu();
        let made = work()?;
        let took = cpu() - before;
        if best.as_ref().is_none_or(|(_, least)| took < *least) {
            best = Some((made, took));
        }
    }
    Ok(best.expect("it was done three times"))
}

/// CPU time of the process.
fn cpu() -> Duration {
    Duration::try_from(clock_gettime(ClockId::ProcessCPUTime)).unwrap_or_default()
}

fn answer_all(table: &Table, answer: impl Fn(&[f64]) -> f64) -> anyhow::Result<f64> {
    Ok(table.rows.iter().map(|row| black_box(answer(row))).sum())
}

fn micros(all_rows: Duration) -> f64 {
    all_rows.as_secs_f64() * 1e6 / ROWS as f64
}

/// CPU seconds of scikit-learn, by model, on one thread.
fn scikit_learn(python: &str, table: &Table) -> anyhow::Result<BTreeMap<String, f64>> {
    let labels = table.labels.iter().map(|label| f64::from(u8::from(*label)));
    let numbers: Vec<f64> = table.rows.iter().flatten().copied().chain(labels).collect();
    run_python(python, "scikit_learn.py", &numbers, &[ROWS, COLUMNS])
}

/// The figures that a script of `benches/support` prints about numbers, on one thread.
fn run_python(
    python: &str,
    script: &str,
    numbers: &[f64],
    arguments: &[usize],
) -> anyhow::Result<BTreeMap<String, f64>> {
    let directory = tempfile::tempdir()?;
    let file = directory.path().join("rows");
    std::fs::write(&file, numbers.iter().copied().flat_map(f64::to_le_bytes).collect::<Vec<u8>>())?;
    let output = Command::new(python)
        .arg(Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/benches/support")).join(script))
        .arg(&file)
        .args(arguments.iter().map(usize::to_string))
        .envs([("OMP_NUM_THREADS", "1"), ("OPENBLAS_NUM_THREADS", "1")])
        .output()?;
    ensure!(output.status.success(), "scikit-learn failed: {}", String::from_utf8_lossy(&output.stderr));
    let mut figures = BTreeMap::new();
    for line in String::from_utf8(output.stdout)?.lines() {
        let (name, figure) = line.split_once(' ').context("a name and a figure")?;
        figures.insert(name.to_owned(), figure.parse()?);
    }
    Ok(figures)
}

/// Scores every row by models of the other folds.
fn folds(file: &Path) -> anyhow::Result<()> {
    let table = Table::read(file)?;
    let of_row = table.folds();
    let (mut logistic, mut boosted) = (vec![0.0; table.rows.len()], vec![0.0; table.rows.len()]);
    let mut trees = Vec::new();
    for fold in 0..FOLDS as usize {
        let (test, training): (Vec<usize>, Vec<usize>) = (0..of_row.len()).partition(|row| of_row[*row] == fold);
        let linear = Linear::fit(&table, &training)?;
        let forest = boost(&table, &training, &of_row)?;
        trees.push(forest.trees());
        for row in test {
            logistic[row] = linear.probability(&table.rows[row]);
            boosted[row] = 1.0 / (1.0 + (-forest.log_odds(&table.rows[row])?).exp());
        }
    }
    println!("{} ({} rows; trees {trees:?})", file.display(), table.rows.len());
    for (name, scores) in [("logistic", logistic), ("boosting", boosted)] {
        let scores = Scores { scores, outcomes: table.labels.clone() };
        let (weights, ranking) = (vec![1.0; scores.len()], Ranking::new(&scores));
        let briers: f64 = scores.scores.iter().zip(&scores.outcomes).map(|(score, label)| brier(*score, *label)).sum();
        println!(
            "  {name}  AUC {:.4}  Brier {:.4}  ECE {:.4}  lift {:.2}",
            ranking.auc(&weights),
            briers / scores.len() as f64,
            expected_calibration_error(&reliability(&scores, &weights)),
            ranking.lift_top_decile(&weights)
        );
    }
    Ok(())
}

fn boost(table: &Table, training: &[usize], of_row: &[usize]) -> anyhow::Result<Forest> {
    let binned = Binned::new(table.columns(training))?;
    let labels: Vec<bool> = training.iter().map(|row| table.labels[*row]).collect();
    let folds: Vec<usize> = training.iter().map(|row| of_row[*row]).collect();
    let parameters = Parameters::default();
    let found = boosting::cross_fit(&binned, &labels, &folds, &parameters, &())?;
    Ok(boosting::fit(&binned, &labels, &parameters, found.trees)?)
}

/// Logistic regression on standardised columns; what is missing is the mean.
struct Linear {
    scales: Vec<(f64, f64)>,
    regression: Logistic,
}

impl Linear {
    fn fit(table: &Table, training: &[usize]) -> anyhow::Result<Self> {
        let scales: Vec<(f64, f64)> = table.columns(training).into_iter().map(scale).collect();
        let rows: Vec<Vec<f64>> = training.iter().map(|row| scaled(&scales, &table.rows[*row])).collect();
        let labels = training.iter().map(|row| table.labels[*row]);
        let rows: Vec<Row<'_>> = rows.iter().map(Vec::as_slice).zip(labels).collect();
        let regression = Logistic::fit(&rows, 1.0)?;
        Ok(Self { scales, regression })
    }

    fn probability(&self, row: &[f64]) -> f64 {
        1.0 / (1.0 + (-self.regression.log_odds(&scaled(&self.scales, row))).exp())
    }
}

/// Mean and deviation of what is known of a column.
fn scale(mut column: Vec<f64>) -> (f64, f64) {
    column.retain(|value| value.is_finite());
    let count = column.len().max(1) as f64;
    let mean = column.iter().sum::<f64>() / count;
    let deviation = (column.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / count).sqrt();
    (mean, if deviation > 1e-9 { deviation } else { 1.0 })
}

fn scaled(scales: &[(f64, f64)], row: &[f64]) -> Vec<f64> {
    let cell = |((mean, deviation), value): (&(f64, f64), &f64)| {
        if value.is_finite() { (value - mean) / deviation } else { 0.0 }
    };
    scales.iter().zip(row).map(cell).collect()
}
