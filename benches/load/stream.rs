//! Predictions of everybody, by one stream.

use std::time::Instant;

use anyhow::{Context as _, ensure};
use http::uri::PathAndQuery;
use prost::Message as _;
use prost::encoding::{DecodeContext, WireType, decode_key, skip_field};
use rapport::rpc::pb;
use rapport::rpc::pb::training_service_client::TrainingServiceClient;
use tokio_stream::StreamExt as _;
use tonic::codegen::Bytes;

use crate::client::Client;
use crate::crowd::{BUYERS, PLAIN};
use crate::data;
use crate::kept::Kept;
use crate::raw::Raw;
use crate::scenarios::median;

const PATH: &str = "/rapport.v1.PredictionService/StreamPredictions";
/// Kinds of models, by the names that cards have for them.
const LINEAR: &str = "logistic_regression";
const TREES: &str = "boosted_trees";
/// How often everybody is asked about.
const ROUNDS: usize = 3;

/// Churn by the linear model, which is trained while the customers are such that it wins, then by trees.
pub(crate) async fn stream(customers: usize) -> anyhow::Result<()> {
    let kept = Kept::new(BUYERS, customers, (PLAIN, linear)).await?;
    println!("| | model | customers per s | server CPU us per customer | client CPU us | bytes per customer |");
    println!("|---|---|---|---|---|---|");
    ensure!(activate(&kept.client, LINEAR).await?, "no linear model won with {PLAIN} customers");
    for kinds in [&[pb::ModelKind::Churn][..], &[pb::ModelKind::Segments], &[pb::ModelKind::Effort], &[]] {
        told(&kept, customers, (kinds, LINEAR)).await?;
    }
    if !activate(&kept.client, TREES).await? {
        data::train(&kept.client, pb::ModelKind::Churn).await?;
        kept.server.settle().await?;
    }
    if activate(&kept.client, TREES).await? {
        for kinds in [&[pb::ModelKind::Churn][..], &[]] {
            told(&kept, customers, (kinds, TREES)).await?;
        }
    }
    println!("{} MB resident", kept.server.resident()? / 1_000_000);
    Ok(())
}

/// Trains while only those customers are there of whom a linear model knows as much as another.
pub(crate) async fn linear(client: Client) -> anyhow::Result<()> {
    data::train(&client, pb::ModelKind::Segments).await?;
    data::train(&client, pb::ModelKind::Churn).await
}

async fn told(kept: &Kept, customers: usize, (kinds, model): (&[pb::ModelKind], &str)) -> anyhow::Result<()> {
    let request =
        pb::StreamPredictionsRequest { kinds: kinds.iter().map(|kind| (*kind).into()).collect(), ..Default::default() };
    let request = Bytes::from(request.encode_to_vec());
    let (mut rates, mut server, mut own, mut bytes) = (Vec::new(), Vec::new(), Vec::new(), 0);
    for _ in 0..ROUNDS {
        let (before, own_before, began) = (kept.server.cpu()?, own_cpu()?, Instant::now());
        let told = everybody(&kept.client, request.clone()).await?;
        let took = began.elapsed();
        ensure!(told.0 == customers, "{} of {customers} customers were told of", told.0);
        bytes = told.1 / customers.max(1);
        rates.push(customers as f64 / took.as_secs_f64());
        server.push((kept.server.cpu()? - before).as_secs_f64() * 1e6 / customers as f64);
        own.push((own_cpu()? - own_before) * 1e6 / customers as f64);
    }
    let names: Vec<&str> = kinds.iter().map(pb::ModelKind::as_str_name).collect();
    let names = if names.is_empty() { "everything".to_owned() } else { names.join(", ") };
    let (rate, server, own) = (median(&rates), median(&server), median(&own));
    println!("| {names} | {model} | {rate:.0} | {server:.2} | {own:.2} | {bytes} |");
    Ok(())
}

/// Counts the customers and the bytes of a stream, without reading what is said of them.
async fn everybody(client: &Client, request: Bytes) -> anyhow::Result<(usize, usize)> {
    let mut grpc = tonic::client::Grpc::new(client.channel(0));
    grpc.ready().await?;
    let path = PathAndQuery::from_static(PATH);
    let mut messages = grpc.server_streaming(client.with_key(request), path, Raw).await?.into_inner();
    let (mut customers, mut bytes) = (0, 0);
    while let Some(message) = messages.next().await {
        let mut message = message?;
        bytes += message.len();
        while !message.is_empty() {
            let (field, wire) = decode_key(&mut message)?;
            customers += usize::from(field == 1 && wire == WireType::LengthDelimited);
            skip_field(wire, field, &mut message, DecodeContext::default())?;
        }
    }
    Ok((customers, bytes))
}

/// Lets a kind of model answer about churn; false where none of the kind was trained.
async fn activate(client: &Client, kind: &str) -> anyhow::Result<bool> {
    let mut service = TrainingServiceClient::new(client.channel(0));
    let request = pb::ListModelsRequest { kind: pb::ModelKind::Churn.into(), ..Default::default() };
    for model in service.list_models(client.with_key(request)).await?.into_inner().models {
        let version = model.r#ref.context("a name")?.model_version;
        if kind_of(client, &version).await? == kind {
            let request = pb::ActivateModelRequest { model_version: version, ..Default::default() };
            service.activate_model(client.with_key(request)).await?;
            return Ok(true);
        }
    }
    Ok(false)
}

/// What kind of model it is.
async fn kind_of(client: &Client, version: &str) -> anyhow::Result<String> {
    let mut service = TrainingServiceClient::new(client.channel(0));
    let request = pb::GetModelRequest { model_version: version.to_owned(), ..Default::default() };
    let model = service.get_model(client.with_key(request)).await?.into_inner().model.context("a model")?;
    let kind = model.card.and_then(|card| card.fields.get("model").cloned()).and_then(|value| value.kind);
    Ok(match kind {
        Some(prost_types::value::Kind::StringValue(kind)) => kind,
        _ => "unknown".to_owned(),
    })
}

/// CPU seconds of this process.
fn own_cpu() -> anyhow::Result<f64> {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    Ok(time.tv_sec as f64 + time.tv_nsec as f64 / 1e9)
}
