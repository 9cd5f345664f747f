//! Everything about a customer as lines of JSON.

use std::sync::LazyLock;

use prost::Message as _;
use prost_reflect::{DescriptorPool, DynamicMessage, MessageDescriptor};
use tokio::sync::mpsc;
use tonic::Status;
use tonic::codegen::BoxStream;

use super::call::Call;
use super::convert::mask::Mask;
use super::convert::prediction;
use super::convert::{audit, consent, event, merge};
use super::pb;
use super::pb::export_record::Record;
use super::reply::Viewer;
use crate::app::{App, CustomerRef, Error, Exported, Read, Result, produce};

/// Bytes from which a message takes no further line.
const MESSAGE_BYTES: usize = 256 << 10;
/// Messages that wait for a slow caller before the reading waits too.
const MESSAGES_AHEAD: usize = 2;

/// How an export looks, read once from the contract's own descriptors.
static RECORD: LazyLock<Option<MessageDescriptor>> = LazyLock::new(|| {
    let pool = DescriptorPool::decode(pb::FILE_DESCRIPTOR_SET).ok()?;
    pool.get_message_by_name("rapport.v1.ExportRecord")
});

/// Begins the stream.
///
/// # Errors
/// [`Error::NotFound`] for an unknown customer; errors on the way come through the stream.
pub(super) async fn begin(
    app: &App,
    call: &Call,
    customer: &CustomerRef,
    read: &Read,
) -> Result<BoxStream<pb::ExportCustomerResponse>> {
    let (records, revision) = app.export_customer(&call.caller, customer, read).await?;
    let (app, own) = (app.clone(), call.clone());
    let messages = produce(MESSAGES_AHEAD, call.panicked(), |sender| async move {
        if let Err(error) = tell(&app, &own, records, (&sender, &revision.to_string())).await {
            let _hung_up = sender.send(Err(own.refuse(error))).await;
        }
    });
    Ok(Box::pin(tokio_stream::wrappers::ReceiverStream::new(messages)))
}

type Sender = mpsc::Sender<std::result::Result<pb::ExportCustomerResponse, Status>>;

async fn tell(
    app: &App,
    call: &Call,
    mut records: mpsc::Receiver<Result<Exported>>,
    (sender, revision): (&Sender, &str),
) -> Result<()> {
    let viewer = Viewer::new(app, call, Mask::default());
    let (mut lines, mut bytes) = (Vec::new(), 0);
    while let Some(exported) = records.recv().await {
        let line = line(record(call, &viewer, exported?))?;
        bytes += line.len();
        lines.push(line);
        if bytes >= MESSAGE_BYTES {
            let message =
                pb::ExportCustomerResponse { lines: std::mem::take(&mut lines), revision: revision.to_owned() };
            bytes = 0;
            if sender.send(Ok(message)).await.is_err() {
                return Ok(());
            }
        }
    }
    if !lines.is_empty() {
        let _hung_up = sender.send(Ok(pb::ExportCustomerResponse { lines, revision: revision.to_owned() })).await;
    }
    Ok(())
}

fn record(call: &Call, viewer: &Viewer<'_>, exported: Exported) -> Record {
    match exported {
        Exported::Profile(found) => Record::Profile(viewer.show_whole(&found)),
        Exported::Consent(record) => Record::Consent(consent::record(&record)),
        Exported::Merge(record) => Record::Merge(merge::record(&record)),
        Exported::Prediction(answer) => {
            let mut told = prediction::all(call, *answer);
            // That a model is not trained says nothing about the customer.
            told.errors.clear();
            Record::Prediction(told)
        }
        Exported::Event(found) => Record::Event(event::to_pb(found)),
        Exported::Audit(entry) => Record::Audit(audit::entry(&entry)),
    }
}

/// A record as the JSON that protobuf defines for it.
fn line(record: Record) -> Result<String> {
    let bytes = pb::ExportRecord { record: Some(record) }.encode_to_vec();
    let descriptor = RECORD.clone().ok_or_else(|| Error::Internal("the contract has no ExportRecord".into()))?;
    let message = DynamicMessage::decode(descriptor, &bytes[..]).map_err(|error| Error::Internal(error.into()))?;
    serde_json::to_string(&message).map_err(|error| Error::Internal(error.into()))
}
