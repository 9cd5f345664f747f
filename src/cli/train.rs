//! `rapport train`: asks for a training, follows it, and shows the model's card.

use std::process::ExitCode;

use anyhow::{Context as _, bail};
use prost_types::Struct;
use serde_json::json;

use super::args::{Output, TrainArgs, TrainKind};
use super::progress::Progress;
use super::session::{Session, Target, refused};
use super::{card, json, report};
use crate::rpc::pb;

/// A training that succeeded, and the model that it made.
pub struct Trained {
    /// The run.
    pub run: pb::TrainingRun,
    /// The model's card.
    pub card: Struct,
}

impl From<TrainKind> for pb::ModelKind {
    fn from(kind: TrainKind) -> Self {
        match kind {
            TrainKind::Segments => Self::Segments,
            TrainKind::Churn => Self::Churn,
            TrainKind::Effort => Self::Effort,
            TrainKind::Satisfaction => Self::Satisfaction,
            TrainKind::Value => Self::Value,
        }
    }
}

/// Trains and prints what came of it.
///
/// # Errors
/// When the server refuses the request or the run does not succeed.
pub async fn train(args: TrainArgs) -> anyhow::Result<ExitCode> {
    let parameters = json::parameters(&args.parameters)?;
    let session = Session::open(&Target::from(&args.target), &args.target.workspace).await?;
    let trained = run(&session, args.kind.into(), parameters, "training").await;
    session.close().await?;
    let trained = trained?;
    match args.output {
        Output::Json => json::print(&json!({
            "workspace": args.target.workspace,
            "run_id": trained.run.run_id,
            "model_version": trained.run.model_version,
            "promoted": trained.run.promoted,
            "promotion_note": trained.run.promotion_note,
            "metrics": trained.run.metrics.as_ref().map(json::from_struct),
            "card": json::from_struct(&trained.card),
        }))?,
        Output::Text => {
            report::heading(&format!("Model {}", trained.run.model_version));
            report::fact("answers from now on", if trained.run.promoted { "yes" } else { "no" });
            report::fact("because", &trained.run.promotion_note);
            card::print(&trained.card);
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// Trains a model with a progress bar called `label`.
///
/// # Errors
/// When the server refuses the request or the run does not succeed.
pub async fn run(session: &Session, kind: pb::ModelKind, parameters: Struct, label: &str) -> anyhow::Result<Trained> {
    let mut client = session.training();
    let request =
        pb::CreateTrainingRunRequest { kind: kind.into(), parameters: Some(parameters), ..Default::default() };
    let created = client.create_training_run(request).await;
    let created = created
        .map_err(|status| refused("CreateTrainingRun", &status))?
        .into_inner()
        .run
        .context("the server answered without a run")?;
    let run = follow(session, created, label).await?;
    let request = pb::GetModelRequest { model_version: run.model_version.clone(), ..Default::default() };
    let model = client.get_model(request).await.map_err(|status| refused("GetModel", &status))?.into_inner().model;
    let card = model.and_then(|model| model.card).unwrap_or_default();
    Ok(Trained { run, card })
}

/// Follows a run to its end.
async fn follow(session: &Session, mut run: pb::TrainingRun, label: &str) -> anyhow::Result<pb::TrainingRun> {
    let mut progress = Progress::share(label);
    let request = pb::WatchTrainingRunRequest { run_id: run.run_id.clone(), ..Default::default() };
    let watch = session.training().watch_training_run(request).await;
    let mut watch = watch.map_err(|status| refused("WatchTrainingRun", &status))?.into_inner();
    while let Some(seen) = watch.message().await.map_err(|status| refused("WatchTrainingRun", &status))? {
        run = seen.run.unwrap_or(run);
        progress.set_share(run.progress);
    }
    match run.state() {
        pb::TrainingState::Succeeded => {
            progress.finish("trained");
            Ok(run)
        }
        pb::TrainingState::Failed | pb::TrainingState::Cancelled => {
            drop(progress);
            let message = run.error.map_or_else(|| "it was cancelled".to_owned(), |error| error.message);
            bail!("the training made no model: {message}")
        }
        _ => bail!("the server stopped telling about the run before it ended"),
    }
}
