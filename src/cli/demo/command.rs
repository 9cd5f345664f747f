//! The demo from start to end.

use std::net::SocketAddr;
use std::process::ExitCode;
use std::time::Duration;

use prost_types::Struct;
use tokio::signal::unix::{SignalKind, signal};
use tonic::transport::Channel;

use super::home::Home;
use super::tour::Tour;
use super::{desk, retail, show};
use crate::cli::args::DemoArgs;
use crate::cli::clock::Stopwatch;
use crate::cli::config::{self, Overrides};
use crate::cli::progress;
use crate::cli::session::{self, QUIET, Session, refused};
use crate::cli::{card, card_of_answers, json, report, train};
use crate::rpc::pb;
use crate::rpc::pb::ModelKind;
use crate::server::{Server, telemetry};

/// Customers of the service desk that are shown.
const HARDEST: usize = 10;

/// How long each step took.
#[derive(Default)]
struct Steps(Vec<(&'static str, Duration)>);

impl Steps {
    /// Waits for a step and notes how long it took.
    async fn take<T>(
        &mut self,
        name: &'static str,
        step: impl Future<Output = anyhow::Result<T>>,
    ) -> anyhow::Result<T> {
        let watch = Stopwatch::start();
        let result = step.await?;
        self.0.push((name, watch.elapsed()));
        Ok(result)
    }

    fn print(&self) {
        let row = |(name, elapsed): &(&str, Duration)| vec![(*name).to_owned(), report::duration(*elapsed)];
        let mut rows: Vec<_> = self.0.iter().map(row).collect();
        rows.push(row(&("in all", self.0.iter().map(|(_, elapsed)| *elapsed).sum())));
        println!("{}", report::table("lr", &["step", "time"], rows));
    }
}

/// A model with its card.
struct Model {
    version: String,
    card: Struct,
}

/// Runs the demo.
///
/// # Errors
/// When the server cannot start or a step fails.
pub async fn demo(args: DemoArgs) -> anyhow::Result<ExitCode> {
    let mut steps = Steps::default();
    let home = Home::new(args.data_dir)?;
    let overrides = Overrides { data_dir: Some(home.path.clone()), listen: Some(args.listen), log_filter: Some(QUIET) };
    let config = config::load(None, overrides)?;
    telemetry::start(&config.log)?;
    let mut terminate = signal(SignalKind::terminate())?;
    let server = steps.take("start the server", Server::start(&config, progress::of_replay())).await?;
    let shown = tokio::select! {
        shown = show(server.address(), &mut steps) => shown,
        _ = terminate.recv() => Ok(Ended::Early),
        _ = tokio::signal::ctrl_c() => Ok(Ended::Early),
    };
    if matches!(shown, Ok(Ended::Shown)) && !args.exit {
        println!("\nServing on {} until Ctrl-C; the data are in {}.", server.address(), home.description());
        tokio::select! {
            _ = terminate.recv() => {}
            _ = tokio::signal::ctrl_c() => {}
        }
    }
    server.stop().await?;
    shown.map(|_| ExitCode::SUCCESS)
}

/// How the showing ended.
enum Ended {
    Shown,
    Early,
}

/// Connects like any client and goes through the whole demo.
async fn show(address: SocketAddr, steps: &mut Steps) -> anyhow::Result<Ended> {
    let channel = session::connect(&address.to_string()).await?;
    run(&channel, address, steps).await?;
    Ok(Ended::Shown)
}

/// Fills, trains and shows both workspaces on a server that is up.
async fn run(channel: &Channel, address: SocketAddr, steps: &mut Steps) -> anyhow::Result<()> {
    let retail = Session::on(channel.clone(), retail::WORKSPACE)?;
    let desk = Session::on(channel.clone(), desk::WORKSPACE)?;
    let retail_end = steps.take("import CDNOW", fill_retail(&retail)).await?;
    let desk_end = steps.take("simulate the service desk", fill_desk(&desk)).await?;
    let label = "train segments of retail";
    steps.take(label, model(&retail, ModelKind::Segments, as_of(retail_end), label)).await?;
    let label = "train churn of retail";
    let churn = steps.take(label, model(&retail, ModelKind::Churn, retail::horizon_parameters(), label)).await?;
    let label = "train value of retail";
    let value = steps.take(label, model(&retail, ModelKind::Value, retail::horizon_parameters(), label)).await?;
    let label = "train segments of servicedesk";
    steps.take(label, model(&desk, ModelKind::Segments, as_of(desk_end.clone()), label)).await?;
    let label = "train satisfaction of servicedesk";
    let satisfaction = steps.take(label, model(&desk, ModelKind::Satisfaction, as_of(desk_end), label)).await?;
    let hardest = steps.take("rank the desk's customers", desk::hardest(&desk, HARDEST)).await?;

    report::heading("Segments of workspace retail (CDNOW customers)");
    show::segments(&retail).await?;
    report::heading("Churn model of workspace retail");
    println!(
        "  Leaving means no purchase in the {} days (39 weeks) after a cut-off. The cut-off lies 39 weeks",
        retail::HORIZON_DAYS
    );
    println!(
        "  before the last purchase, so that 39 weeks of history stand before it and 39 weeks of outcome after it."
    );
    card::print_churn(&churn.card);
    report::heading("What customers of workspace retail will buy (BG/NBD and Gamma-Gamma)");
    card_of_answers::print_value(&value.card);
    report::heading("Segments of workspace servicedesk (simulated)");
    show::segments(&desk).await?;
    report::heading("What customers of the simulated service desk would answer to a survey of satisfaction (1 to 5)");
    card_of_answers::print_survey(&satisfaction.card);
    report::heading("The hardest cases of the simulated service desk, by effort index (0 to 100, 100 is the hardest)");
    show::hardest(&hardest);
    report::heading("Time");
    steps.print();
    report::heading("Try it");
    let hardest = hardest.into_iter().next().map(|hard| hard.user_id);
    Tour { address, churn_model: churn.version, hardest }.print();
    Ok(())
}

/// Parameters that make the end of the data the "now" of a training, so that the figures do not depend on the clock.
fn as_of(end: Option<String>) -> Struct {
    let parameters = end.map(|end| serde_json::json!({ "as_of_time": end }));
    parameters.as_ref().and_then(serde_json::Value::as_object).map(json::to_struct).unwrap_or_default()
}

/// Imports the purchases, unless the data directory of an earlier demo holds them. Returns the time of the last one.
async fn fill_retail(session: &Session) -> anyhow::Result<Option<String>> {
    if is_filled(session).await? {
        eprintln!("retail: the data directory holds customers already, nothing is imported");
        return Ok(None);
    }
    let (shift, imported) = retail::import(session).await?;
    println!("CDNOW purchases, collected by Fader and Hardie (examples/retail/ATTRIBUTION.md).");
    let moved = format!("Historic data would make everybody look long gone, so {}.", shift.sentence());
    println!("{}", report::wrapped(&moved, 0));
    report::fact("purchases", report::counted(imported.events.accepted));
    Ok(Some(shift.latest_time))
}

/// Simulates the desk, unless the data directory of an earlier demo holds one. Returns the time at which it ends.
async fn fill_desk(session: &Session) -> anyhow::Result<Option<String>> {
    if is_filled(session).await? {
        eprintln!("servicedesk: the data directory holds customers already, nothing is simulated");
        return Ok(None);
    }
    let (end, outcome) = desk::generate(session).await?;
    println!("A simulated service desk; no real log of one may be shipped.");
    report::fact("simulated events", report::counted(outcome.accepted));
    Ok(Some(end))
}

async fn is_filled(session: &Session) -> anyhow::Result<bool> {
    let request = pb::ListProfilesRequest { page_size: 1, ..pb::ListProfilesRequest::default() };
    let response = session.profiles().list_profiles(request).await;
    Ok(!response.map_err(|status| refused("ListProfiles", &status))?.into_inner().profiles.is_empty())
}

/// The active model of a kind, trained where there is none yet.
async fn model(session: &Session, kind: ModelKind, parameters: Struct, label: &str) -> anyhow::Result<Model> {
    let request = pb::ListModelsRequest { kind: kind.into(), ..pb::ListModelsRequest::default() };
    let response = session.training().list_models(request).await;
    let models = response.map_err(|status| refused("ListModels", &status))?.into_inner().models;
    let Some(active) = models.into_iter().find(|model| model.active) else {
        let trained = train::run(session, kind, parameters, label).await?;
        return Ok(Model { version: trained.run.model_version, card: trained.card });
    };
    let version = active.r#ref.map(|reference| reference.model_version).unwrap_or_default();
    eprintln!("{label}: the data directory holds a model already");
    Ok(Model { version, card: active.card.unwrap_or_default() })
}
