//! `rapport keys`: makes, lists and revokes the keys that programs show.

use std::process::ExitCode;

use anyhow::Context as _;
use prost_types::Timestamp;
use serde_json::{Value, json};
use tonic::{Code, Status};

use super::args::{CreateKeyArgs, KeysCommand, ListKeysArgs, Output, RevokeKeyArgs};
use super::import::times;
use super::run::Refusal;
use super::session::{Session, Target, refused};
use super::{json, report};
use crate::rpc::pb;

/// Does what was asked with keys.
///
/// # Errors
/// When the directory is in use, or what was asked for is refused.
pub async fn keys(command: KeysCommand) -> anyhow::Result<ExitCode> {
    match command {
        KeysCommand::Create(args) => create(args).await,
        KeysCommand::List(args) => list(args).await,
        KeysCommand::Revoke(args) => revoke(args).await,
    }
}

async fn create(args: CreateKeyArgs) -> anyhow::Result<ExitCode> {
    let expire_time = args.expire_time.as_deref().map(time_of).transpose()?;
    let session = Session::open(&Target::from(&args.target), &args.target.workspace).await?;
    let request = pb::CreateApiKeyRequest {
        scopes: args.scopes,
        display_name: args.display_name,
        expire_time,
        ..Default::default()
    };
    let made = session.admin().create_api_key(request).await;
    session.close().await?;
    let made = made.map_err(|status| told("CreateApiKey", &status))?.into_inner();
    let key = made.key.context("the server answered without a key")?;
    match args.output {
        Output::Json => {
            let mut document = document(&key);
            document["api_key"] = json!(made.api_key);
            json::print(&document)?;
        }
        Output::Text => {
            report::heading(&format!("Key {}", key.key_id));
            report::fact("workspace", &key.workspace);
            report::fact("scopes", key.scopes.join(", "));
            report::fact("key", &made.api_key);
            println!(
                "\nThis is the only time that the key is shown. A program sends it as\n  authorization: Bearer {}",
                made.api_key
            );
        }
    }
    Ok(ExitCode::SUCCESS)
}

async fn list(args: ListKeysArgs) -> anyhow::Result<ExitCode> {
    let session = Session::open(&Target::from(&args.target), &args.target.workspace).await?;
    let listed = all(&session).await;
    session.close().await?;
    let keys = listed?;
    match args.output {
        Output::Json => json::print(&json!({ "keys": keys.iter().map(document).collect::<Vec<_>>() }))?,
        Output::Text if keys.is_empty() => println!("The workspace {} has no keys.", args.target.workspace),
        Output::Text => {
            let row = |key: &pb::ApiKey| {
                let state = match (&key.revoke_time, &key.expire_time) {
                    (Some(revoked), _) => format!("revoked {}", text_of(revoked)),
                    (None, Some(expire)) => format!("until {}", text_of(expire)),
                    (None, None) => "accepted".to_owned(),
                };
                let used = key.last_use_time.as_ref().map_or_else(|| "never".to_owned(), text_of);
                vec![key.key_id.clone(), key.display_name.clone(), key.scopes.join(", "), state, used]
            };
            let heads = ["key", "what for", "scopes", "state", "last used"];
            println!("{}", report::table("llwll", &heads, keys.iter().map(row).collect()));
        }
    }
    Ok(ExitCode::SUCCESS)
}

async fn all(session: &Session) -> anyhow::Result<Vec<pb::ApiKey>> {
    let (mut keys, mut page_token) = (Vec::new(), String::new());
    loop {
        let request = pb::ListApiKeysRequest { page_size: 1_000, page_token, ..Default::default() };
        let page = session.admin().list_api_keys(request).await;
        let page = page.map_err(|status| told("ListApiKeys", &status))?.into_inner();
        keys.extend(page.keys);
        page_token = page.next_page_token;
        if page_token.is_empty() {
            return Ok(keys);
        }
    }
}

async fn revoke(args: RevokeKeyArgs) -> anyhow::Result<ExitCode> {
    // Whose key it is need not be known to end it.
    let target = Target::of(args.server.as_deref(), args.data_dir);
    let session = Session::open(&target, "default").await?;
    let request = pb::RevokeApiKeyRequest { key_id: args.key_id, ..Default::default() };
    let ended = session.admin().revoke_api_key(request).await;
    session.close().await?;
    let key = ended.map_err(|status| told("RevokeApiKey", &status))?.into_inner().key;
    let key = key.context("the server answered without a key")?;
    match args.output {
        Output::Json => json::print(&document(&key))?,
        Output::Text => println!("The key {} of the workspace {} is revoked.", key.key_id, key.workspace),
    }
    Ok(ExitCode::SUCCESS)
}

/// A key that is not there was named wrongly, as a workspace that cannot be one is.
fn told(call: &str, status: &Status) -> anyhow::Error {
    match status.code() {
        Code::NotFound | Code::FailedPrecondition => Refusal(status.message().to_owned()).into(),
        _ => refused(call, status),
    }
}

fn document(key: &pb::ApiKey) -> Value {
    json!({
        "key_id": key.key_id,
        "workspace": key.workspace,
        "scopes": key.scopes,
        "display_name": key.display_name,
        "create_time": key.create_time.as_ref().map(text_of),
        "expire_time": key.expire_time.as_ref().map(text_of),
        "revoke_time": key.revoke_time.as_ref().map(text_of),
        "last_use_time": key.last_use_time.as_ref().map(text_of),
    })
}

fn time_of(text: &str) -> anyhow::Result<Timestamp> {
    let micros = times::parse_rfc3339(text).map_err(|fault| Refusal(format!("--expire-time {fault}")))?;
    let nanos = i32::try_from(micros.rem_euclid(1_000_000) * 1_000).unwrap_or(0);
    Ok(Timestamp { seconds: micros.div_euclid(1_000_000), nanos })
}

fn text_of(time: &Timestamp) -> String {
    let micros = time.seconds.saturating_mul(1_000_000) + i64::from(time.nanos / 1_000);
    crate::domain::time::Timestamp::from_micros(micros).rfc3339()
}
