//! Accepted commands: what the journal records and every state is folded from.
//!
//! A fact records the *decision* (profile ids, claimed identifiers, demotions, times), not only the request.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::access::{ApiKey, ApiKeyUse};
use super::consent::{ConsentRecord, Standing};
use super::erasure::{EraseFact, Erasure, Mark, Remains, Tombstone, hex};
use super::event::Event;
use super::follow_up::FollowUp;
use super::history::Horizon;
use super::id::{MergeId, ProfileId, RunId};
use super::identifier::Identifier;
use super::identity::{Demotion, Release};
use super::merge::MergeRecord;
use super::model::{ModelKind, ModelRecord, ModelVersion};
use super::privacy_rules::PrivacyRules;
use super::profile::part::Link;
use super::rejection::Rejections;
use super::settings::Settings;
use super::time::Timestamp;
use super::training::{RunOrigin, TrainingRun};
use super::training_plan::TrainingPlan;

/// One accepted command.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[expect(clippy::large_enum_variant, reason = "nearly all facts are events, and a box would cost each of them")]
pub enum Fact {
    /// An event of a customer.
    Event(EventFact),
    /// Several profiles became one.
    Merge(MergeFact),
    /// A merge was undone.
    Unmerge(UnmergeFact),
    /// A document took a new content.
    Document(Document),
    /// Events of a profile have expired.
    Expire(ExpireFact),
    /// A customer said for what their data may be used.
    Consent(ConsentFact),
    /// A customer was forgotten.
    Erase(EraseFact),
    /// What is left of another fact, when its customer is forgotten.
    Forgotten(Remains),
}

/// An event of a customer, with everything that was decided about it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EventFact {
    /// Whose event it is; a profile that did not exist begins with it.
    pub profile: ProfileId,
    /// Whether the profile begins with it, which its followers want to hear.
    pub creates: bool,
    /// The part of the profile that the event stays with, whatever merges are undone.
    pub part: ProfileId,
    /// The event.
    pub event: Event,
    /// Identifiers that the part owns from now on.
    pub claims: Vec<Identifier>,
    /// Those of the claims that another profile loses.
    pub released: Vec<Release>,
    /// Devices that the event shows with their user.
    pub authenticated: Vec<Identifier>,
    /// Identifiers of the event that name nobody, and why.
    pub demoted: Vec<Demotion>,
}

/// A customer said for what their data may be used.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ConsentFact {
    /// The customer.
    pub profile: ProfileId,
    /// The answer. Where it came from is in the ledger.
    pub standing: Standing,
}

/// Several profiles became one.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct MergeFact {
    /// Names the merge.
    pub id: MergeId,
    /// The profile that stays.
    pub survivor: ProfileId,
    /// The profiles that became part of it; their ids resolve to it from now on.
    pub sources: Vec<MergedSource>,
}

impl MergeFact {
    /// What joins each source to the survivor, in the order of the sources.
    pub fn links(&self) -> impl Iterator<Item = Link> {
        let merge = self.id;
        self.sources.iter().map(move |source| Link { merge, target: source.to, source: source.part })
    }
}

/// A profile that became part of another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct MergedSource {
    /// The profile.
    pub profile: ProfileId,
    /// The part of it that the merge joins,
    pub part: ProfileId,
    /// and the part of the survivor that it joins it to.
    pub to: ProfileId,
}

/// A merge was undone: the profile falls apart.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct UnmergeFact {
    /// The merge.
    pub merge: MergeId,
    /// The profile that it is part of.
    pub profile: ProfileId,
    /// The parts of each profile that it falls into, the one first that names it.
    pub groups: Vec<Vec<ProfileId>>,
}

/// Events of a profile have expired: they are forgotten, and what they add up to is kept instead.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ExpireFact {
    /// The profile.
    pub profile: ProfileId,
    /// What happened before this time has expired.
    pub before: Timestamp,
    /// The parts of the profile, those together that no merge can be undone between any more.
    pub groups: Vec<Vec<ProfileId>>,
}

/// Something small that is kept as a whole and replaced as a whole.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Document {
    /// The workspace's settings.
    Settings(Settings),
    /// A training run.
    TrainingRun(TrainingRun),
    /// A model that was trained, with its card.
    Model(ModelRecord),
    /// Which model of a kind answers.
    ActiveModel(ModelKind, ModelVersion),
    /// A request that named itself, so that its repeat gets the same answer.
    Request(RequestRecord),
    /// A merge, with its end if it has one.
    Merge(MergeRecord),
    /// A merge that a profile had a part in.
    ProfileMerge(ProfileId, MergeId),
    /// What a request was refused.
    Rejections(Rejections),
    /// How far back the history of the workspace goes.
    Horizon(Horizon),
    /// What was seen of a model since its training.
    FollowUp(FollowUp),
    /// When the workspace trains by itself.
    TrainingPlan(TrainingPlan),
    /// What began a training run, where nobody asked for it.
    RunOrigin(RunId, RunOrigin),
    /// An answer of a customer about their data.
    Consent(ConsentRecord),
    /// A key that programs show.
    ApiKey(ApiKey),
    /// When a key was last used.
    ApiKeyUse(ApiKeyUse),
    /// The record of an erasure.
    Erasure(Erasure),
    /// An identifier of a forgotten customer.
    Tombstone(Tombstone),
    /// What the workspace decides about the use of its customers' data. Only ever changed together with the settings.
    PrivacyRules(PrivacyRules),
}

/// A request that was carried out under a name of the caller's.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RequestRecord {
    /// The caller's name for it.
    pub request_id: String,
    /// Digest of the method and the content.
    pub digest: [u8; 16],
    /// What it came to.
    pub result: RequestResult,
}

/// What a named request came to.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum RequestResult {
    /// A training run.
    TrainingRun(RunId),
    /// A model that was activated.
    Model(ModelVersion),
    /// The settings as they were after it, the rules of privacy apart.
    Settings(Settings),
    /// A merge of profiles.
    Merge(MergeId),
    /// The profiles that a merge fell apart into.
    Unmerge(Vec<ProfileId>),
    /// The plan of trainings as it was after it.
    TrainingPlan(TrainingPlan),
    /// An answer that was recorded.
    Consent(ConsentRecord),
    /// A key that was made or revoked, by its id.
    ApiKey(String),
    /// An erasure.
    Erasure(Uuid),
    /// The settings as they were after it.
    AllSettings(Settings, PrivacyRules),
}

/// Names a document within its workspace.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DocumentKey {
    /// Which sort of document.
    pub kind: DocumentKind,
    /// Which one of them; empty where there is only one.
    pub name: String,
}

/// Sorts of documents. The numbers are stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum DocumentKind {
    /// [`Document::Settings`].
    Settings = 1,
    /// [`Document::TrainingRun`].
    TrainingRun = 2,
    /// [`Document::Model`].
    Model = 3,
    /// [`Document::ActiveModel`].
    ActiveModel = 4,
    /// [`Document::Request`].
    Request = 5,
    /// [`Document::Merge`].
    Merge = 6,
    /// [`Document::ProfileMerge`].
    ProfileMerge = 7,
    /// [`Document::Rejections`].
    Rejections = 8,
    /// [`Document::Horizon`].
    Horizon = 9,
    /// [`Document::FollowUp`].
    FollowUp = 10,
    /// [`Document::TrainingPlan`].
    TrainingPlan = 11,
    /// [`Document::RunOrigin`].
    RunOrigin = 12,
    /// [`Document::Consent`].
    Consent = 13,
    /// [`Document::ApiKey`].
    ApiKey = 14,
    /// [`Document::ApiKeyUse`].
    ApiKeyUse = 15,
    /// [`Document::Erasure`].
    Erasure = 16,
    /// [`Document::Tombstone`].
    Tombstone = 17,
    /// [`Document::PrivacyRules`].
    PrivacyRules = 18,
}

impl DocumentKey {
    /// The key of the settings.
    pub fn settings() -> Self {
        Self { kind: DocumentKind::Settings, name: String::new() }
    }

    /// The key of the rules of privacy.
    pub fn privacy_rules() -> Self {
        Self { kind: DocumentKind::PrivacyRules, name: String::new() }
    }

    /// The key of the horizon.
    pub fn horizon() -> Self {
        Self { kind: DocumentKind::Horizon, name: String::new() }
    }

    /// The key of the pointer to the model of a kind that answers.
    pub fn active_model(kind: ModelKind) -> Self {
        Self { kind: DocumentKind::ActiveModel, name: kind.name().to_owned() }
    }

    /// The key of a model.
    pub fn model(version: &ModelVersion) -> Self {
        Self { kind: DocumentKind::Model, name: version.to_string() }
    }

    /// The key of the plan of trainings.
    pub fn training_plan() -> Self {
        Self { kind: DocumentKind::TrainingPlan, name: String::new() }
    }

    /// The key of what began a training run.
    pub fn run_origin(id: RunId) -> Self {
        Self { kind: DocumentKind::RunOrigin, name: id.to_string() }
    }

    /// The key of what was seen of a model.
    pub fn follow_up(version: &ModelVersion) -> Self {
        Self { kind: DocumentKind::FollowUp, name: version.to_string() }
    }

    /// The key of a training run.
    pub fn training_run(id: RunId) -> Self {
        Self { kind: DocumentKind::TrainingRun, name: id.to_string() }
    }

    /// The key of a merge.
    pub fn merge(id: MergeId) -> Self {
        Self { kind: DocumentKind::Merge, name: id.to_string() }
    }

    /// The key of a merge that a profile had a part in. The merges of a profile follow each other in their order.
    pub fn profile_merge(profile: ProfileId, merge: MergeId) -> Self {
        Self { kind: DocumentKind::ProfileMerge, name: format!("{profile}/{merge}") }
    }

    /// The key of an answer of a part of a profile. Those of a part follow each other in the order of their recording.
    pub fn consent(standing: &Standing) -> Self {
        let name = format!("{}/{}", standing.part, standing.record.hyphenated());
        Self { kind: DocumentKind::Consent, name }
    }

    /// The key of a key that programs show.
    pub fn api_key(id: &str) -> Self {
        Self { kind: DocumentKind::ApiKey, name: id.to_owned() }
    }

    /// The key of when such a key was last used.
    pub fn api_key_use(id: &str) -> Self {
        Self { kind: DocumentKind::ApiKeyUse, name: id.to_owned() }
    }

    /// The key of the record of an erasure.
    pub fn erasure(id: Uuid) -> Self {
        Self { kind: DocumentKind::Erasure, name: id.hyphenated().to_string() }
    }

    /// The key of what says that an identifier was a forgotten customer's.
    pub fn tombstone(mark: Mark) -> Self {
        Self { kind: DocumentKind::Tombstone, name: hex(&mark.0) }
    }

    /// The key of a named request.
    pub fn request(request_id: &str) -> Self {
        Self { kind: DocumentKind::Request, name: request_id.to_owned() }
    }
}

impl Document {
    /// Whose it is: the parts of customers about whom it says something that they or others said. With any of them forgotten
    /// it is gone.
    pub fn subjects(&self) -> Vec<ProfileId> {
        match self {
            Self::Consent(record) => vec![record.standing.part],
            Self::Request(RequestRecord { result: RequestResult::Consent(record), .. }) => vec![record.standing.part],
            Self::Rejections(rejections) => rejections.subject().into_iter().collect(),
            Self::Merge(merge) => merge.sources.iter().map(|source| source.profile).chain([merge.survivor]).collect(),
            _ => Vec::new(),
        }
    }

    /// What the document is found by.
    pub fn key(&self) -> DocumentKey {
        match self {
            Self::Settings(_) => DocumentKey::settings(),
            Self::PrivacyRules(_) => DocumentKey::privacy_rules(),
            Self::Horizon(_) => DocumentKey::horizon(),
            Self::TrainingRun(run) => DocumentKey::training_run(run.id),
            Self::Model(model) => DocumentKey::model(&model.reference.version),
            Self::ActiveModel(kind, _) => DocumentKey::active_model(*kind),
            Self::Request(request) => DocumentKey::request(&request.request_id),
            Self::Merge(merge) => DocumentKey::merge(merge.id),
            Self::Rejections(rejections) => {
                DocumentKey { kind: DocumentKind::Rejections, name: rejections.name.clone() }
            }
            Self::TrainingPlan(_) => DocumentKey::training_plan(),
            Self::RunOrigin(id, _) => DocumentKey::run_origin(*id),
            Self::FollowUp(follow_up) => DocumentKey::follow_up(&follow_up.version),
            Self::Consent(record) => DocumentKey::consent(&record.standing),
            Self::ApiKey(key) => DocumentKey::api_key(&key.id),
            Self::ApiKeyUse(used) => DocumentKey::api_key_use(&used.id),
            Self::Erasure(erasure) => DocumentKey::erasure(erasure.id),
            Self::Tombstone(tombstone) => DocumentKey::tombstone(tombstone.mark),
            Self::ProfileMerge(profile, merge) => DocumentKey::profile_merge(*profile, *merge),
        }
    }
}
