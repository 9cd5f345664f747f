//! `rapport report`: reads models, prints their cards, and writes a page.

use std::process::ExitCode;

use anyhow::Context as _;
use serde_json::json;

use super::{churn, html, segments};
use crate::cli::args::{Output, ReportArgs};
use crate::cli::run::Refusal;
use crate::cli::session::{Session, Target, refused};
use crate::cli::{card, json, report};
use crate::rpc::pb;

/// Reports on a model, or on every one that answers.
///
/// # Errors
/// When there is no such model, the server does not answer, or the page cannot be written.
pub async fn report(args: ReportArgs) -> anyhow::Result<ExitCode> {
    let session = Session::open(&Target::from(&args.target), &args.target.workspace).await?;
    let models = read(&session, args.model.as_deref()).await;
    session.close().await?;
    let models = models?;
    if let Some(file) = &args.html {
        let title = format!("Models of {}", args.target.workspace);
        std::fs::write(file, page(&title, &models)).with_context(|| format!("cannot write {}", file.display()))?;
    }
    match args.output {
        Output::Json => json::print(&json!({
            "workspace": args.target.workspace,
            "html": args.html,
            "models": models.iter().map(as_json).collect::<Vec<_>>(),
        }))?,
        Output::Text => {
            for model in &models {
                report::heading(&format!("Model {}", version(model)));
                report::fact("answers now", if model.active { "yes" } else { "no" });
                card::print(&model.card.clone().unwrap_or_default());
            }
            if let Some(file) = &args.html {
                println!("\n  The page is in {}", file.display());
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// The model of a version, that of a kind which answers, or all that answer.
async fn read(session: &Session, wanted: Option<&str>) -> anyhow::Result<Vec<pb::Model>> {
    let kind = wanted.and_then(|word| pb::ModelKind::from_str_name(&format!("MODEL_KIND_{}", word.to_uppercase())));
    let mut client = session.training();
    if let (Some(version), None) = (wanted, kind) {
        let request = pb::GetModelRequest { model_version: version.to_owned(), ..Default::default() };
        let model = client.get_model(request).await.map_err(|status| refused("GetModel", &status))?.into_inner().model;
        return Ok(model.into_iter().collect());
    }
    let mut request = pb::ListModelsRequest { kind: kind.unwrap_or_default().into(), ..Default::default() };
    let mut active = Vec::new();
    loop {
        let page =
            client.list_models(request.clone()).await.map_err(|status| refused("ListModels", &status))?.into_inner();
        active.extend(page.models.into_iter().filter(|model| model.active));
        if page.next_page_token.is_empty() {
            break;
        }
        request.page_token = page.next_page_token;
    }
    if active.is_empty() {
        return Err(Refusal("no such model answers yet; `rapport train` makes one".to_owned()).into());
    }
    active.sort_by_key(|model| model.r#ref.as_ref().map_or(0, |reference| -reference.kind));
    Ok(active)
}

fn version(model: &pb::Model) -> &str {
    model.r#ref.as_ref().map_or("", |reference| reference.model_version.as_str())
}

fn kind(model: &pb::Model) -> &'static str {
    let kind = model.r#ref.as_ref().map_or(pb::ModelKind::Unspecified, |reference| reference.kind());
    kind.as_str_name().trim_start_matches("MODEL_KIND_")
}

fn train_time(model: &pb::Model) -> String {
    let time = model.r#ref.as_ref().and_then(|reference| reference.train_time);
    let time = time.and_then(|time| jiff::Timestamp::new(time.seconds, time.nanos).ok());
    time.map_or_else(String::new, |time| time.strftime("%Y-%m-%dT%H:%M:%SZ").to_string())
}

fn as_json(model: &pb::Model) -> serde_json::Value {
    json!({
        "model_version": version(model),
        "kind": kind(model).to_lowercase(),
        "active": model.active,
        "train_time": train_time(model),
        "card": model.card.as_ref().map(json::from_struct),
    })
}

/// The whole page.
fn page(title: &str, models: &[pb::Model]) -> String {
    let mut body = format!(
        "<header><h1>{}</h1>\n<p class=\"lead\">Model cards, as the server states them.</p></header>\n",
        html::escaped(title)
    );
    for model in models {
        let card = model.card.clone().unwrap_or_default();
        let (heading, sections) = match kind(model) {
            "CHURN" => ("Churn: who is about to leave", churn::sections(&card)),
            "SEGMENTS" => ("Segments: who behaves alike", segments::sections(&card)),
            other => (other, super::shared::drifts(&card)),
        };
        let (class, badge) = if model.active { ("badge active", "answers now") } else { ("badge", "does not answer") };
        body.push_str(&format!(
            "<article>\n<h2>{}<span class=\"{class}\">{badge}</span></h2>\n<p class=\"version\">{} · trained {}</p>\n{sections}</article>\n",
            html::escaped(heading),
            html::escaped(version(model)),
            html::escaped(&train_time(model)),
        ));
    }
    let release = env!("CARGO_PKG_VERSION");
    body.push_str(&format!(
        "<footer>Written by rapport {release}. Intervals are bootstrap intervals of 95 %. The page holds no data of a single customer by name, and loads nothing.</footer>\n"
    ));
    html::page(title, &body)
}

#[cfg(test)]
mod tests {
    use super::*;

    const EVIL: &str = "</svg><script>alert('\"&')</script>";

    fn model(kind: pb::ModelKind, card: &serde_json::Value) -> pb::Model {
        let reference = pb::ModelRef { kind: kind.into(), model_version: EVIL.to_owned(), ..Default::default() };
        let card = json::to_struct(card.as_object().expect("an object"));
        pb::Model { r#ref: Some(reference), active: true, card: Some(card) }
    }

    fn interval() -> serde_json::Value {
        json!({"value": 0.8, "low": 0.7, "high": 0.9})
    }

    fn drift() -> serde_json::Value {
        json!({"customers": 90.0, "index_max": 0.4, "level": EVIL, "features": [{
            "display_name": EVIL, "index": 0.4, "by_chance": 0.1, "level": "large",
            "shares_then": [0.5, 0.5], "shares_now": [0.2, 0.8],
        }]})
    }

    fn churn() -> serde_json::Value {
        let bins = json!([{"mean_probability": 0.2, "observed_share": 0.3, "rows": 40.0}]);
        let realised = json!({
            "status": "measured", "as_of_time": EVIL, "auc": interval(), "observed_rate": interval(), "reliability": bins,
        });
        json!({
            "auc": interval(), "rows": interval(), "gate": EVIL, "selection": EVIL, "horizon_days": 90.0,
            "definition": {"kind": EVIL, "qualifying_events": [EVIL]}, "reliability": bins,
            "gain": [{"share": 0.5, "captured": 0.8, "lift": 1.6}, {"share": 1.0, "captured": 1.0, "lift": 1.0}],
            "contributions": [{"display_name": EVIL, "mean_absolute": 0.4, "direction": -0.9}],
            "candidates": [{"model": EVIL, "calibration": EVIL, "log_loss": 0.5, "auc": 0.8}],
            "previous_model": {"auc": interval()}, "realised": realised, "drift_now": drift(),
        })
    }

    fn segments() -> serde_json::Value {
        json!({
            "k": 2.0, "silhouette": 0.4, "jaccard": {EVIL: 0.9}, "choice": EVIL,
            "features": [{"display_name": EVIL}], "outliers": {"share": 0.01},
            "segments": [{"id": EVIL, "display_name": EVIL, "persona": EVIL, "size": 40.0, "share": 1.0,
                "distinguishing": [{"display_name": EVIL, "median": 1.0, "population_median": 2.0}]}],
            "map": {"x": [0.1, 2.0], "y": [-1.0, 1.0], "segment": [0.0, 0.0], "centroid_x": [1.0], "centroid_y": [0.0],
                "axes": [{"variance_share": 0.6, "weights": [{"display_name": EVIL, "weight": 0.9}]}]},
            "silhouettes": [{"id": EVIL, "customers": 40.0, "mean": 0.4, "widths": [0.8, 0.4, -0.1]}],
            "curves": [{"k": 2.0, "silhouette": 0.4, "stable": true}], "drift_from_previous": drift(),
        })
    }

    /// Whether every element that is opened is closed in its turn.
    fn is_well_formed(html: &str) -> bool {
        let mut open: Vec<&str> = Vec::new();
        for tag in html.split('<').skip(1).map(|part| part.split('>').next().unwrap_or_default()) {
            let name = tag.trim_start_matches('/').split([' ', '\n', '/']).next().unwrap_or_default();
            if tag.starts_with('/') {
                if open.pop() != Some(name) {
                    return false;
                }
            } else if !tag.ends_with('/') && !["meta", "!DOCTYPE"].contains(&name) {
                open.push(name);
            }
        }
        open.is_empty()
    }

    #[test]
    fn a_page_is_well_formed_whatever_the_data_and_needs_nothing_from_elsewhere() {
        let models = [model(pb::ModelKind::Churn, &churn()), model(pb::ModelKind::Segments, &segments())];
        let html = page(EVIL, &models);
        assert!(is_well_formed(&html) && !html.contains("<script"), "{html}");
        assert!(html.matches("<svg").count() >= 9, "{} pictures", html.matches("<svg").count());
        assert_eq!(html.matches("<svg").count(), html.matches("role=\"img\" aria-label=\"").count());
        assert!(["http", "src=", "href=", "@import", "url("].iter().all(|outside| !html.contains(outside)));
        assert!(!html.contains("NaN"), "{html}");
    }

    #[test]
    fn a_card_of_an_earlier_release_has_a_page_without_what_it_does_not_tell() {
        let empty = json!({"auc": interval()});
        let models = [model(pb::ModelKind::Churn, &empty), model(pb::ModelKind::Segments, &json!({}))];
        let html = page("Models", &models);
        assert!(is_well_formed(&html) && html.contains("Nobody has looked yet") && !html.contains("NaN"), "{html}");
    }
}
