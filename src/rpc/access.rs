//! What each method asks of whoever calls it, and what the audit log says of its calls: one table, and what is not in it is
//! not served.

use std::collections::{HashMap, HashSet};
use std::sync::LazyLock;

use prost_reflect::DescriptorPool;

use crate::domain::access::Scope::{
    self, Admin, EventsWrite, PredictionsRead, PrivacyWrite, ProfilesRead, TrainingWrite,
};
use crate::domain::access::Scopes;
use crate::rpc::pb;

/// What a method asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Need {
    /// Nothing: load balancers ask without a credential.
    Nothing,
    /// All scopes of at least one of these sets.
    OneOf(&'static [Scopes]),
}

/// What the audit log says of the calls of a method. Refusals for want of a credential, a scope or consent are in it
/// whatever the method; those that are alike within a minute are counted together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Audit {
    /// Each call: it changes something, or hands out all of a customer.
    Each,
    /// Reads; those that are alike within a minute are one entry with their number.
    Alike,
    /// Reads that go on for as long as the caller wants: as those, and from when they begin.
    Begun,
    /// Nothing but refusals: the journal itself says what came in, or nobody's data are told.
    Refusals,
    /// Nothing: nobody is asked who they are.
    Nothing,
}

/// A method in the table.
#[derive(Debug, Clone, Copy)]
pub(super) struct Entry {
    pub(super) path: &'static str,
    pub(super) need: Need,
    pub(super) audit: Audit,
}

/// The entries of all methods by their paths.
pub(super) struct Rights(HashMap<&'static str, Entry>);

const fn one(scope: Scope) -> Scopes {
    Scopes::of(&[scope])
}

const ADMIN: Need = Need::OneOf(&[one(Admin)]);
const EVENTS: Need = Need::OneOf(&[one(EventsWrite)]);
const PROFILES: Need = Need::OneOf(&[one(ProfilesRead)]);
/// A merge changes what is known of customers, as events do, and shows what became of them.
const MERGES: Need = Need::OneOf(&[Scopes::of(&[EventsWrite, ProfilesRead])]);
const PREDICTIONS: Need = Need::OneOf(&[one(PredictionsRead)]);
/// Profiles and predictions name segments, so that both may look them up.
const SEGMENTS: Need = Need::OneOf(&[one(PredictionsRead), one(ProfilesRead)]);
/// Whoever serves the rights of customers sees all of them.
const PRIVACY: Need = Need::OneOf(&[one(PrivacyWrite)]);
const TRAINING: Need = Need::OneOf(&[one(TrainingWrite)]);
/// A card says how far to trust a prediction, and what a training has come to.
const MODELS: Need = Need::OneOf(&[one(PredictionsRead), one(TrainingWrite)]);

const METHODS: [(&str, Need, Audit); 52] = [
    ("/rapport.v1.EventService/IngestEvents", EVENTS, Audit::Refusals),
    ("/rapport.v1.EventService/StreamEvents", EVENTS, Audit::Refusals),
    ("/rapport.v1.EventService/ListRejections", EVENTS, Audit::Alike),
    ("/rapport.v1.EventService/ListEvents", PROFILES, Audit::Alike),
    ("/rapport.v1.ProfileService/GetProfile", PROFILES, Audit::Alike),
    ("/rapport.v1.ProfileService/BatchGetProfiles", PROFILES, Audit::Alike),
    ("/rapport.v1.ProfileService/ListProfiles", PROFILES, Audit::Alike),
    ("/rapport.v1.ProfileService/ListMerges", PROFILES, Audit::Alike),
    ("/rapport.v1.ProfileService/WatchProfiles", PROFILES, Audit::Begun),
    ("/rapport.v1.ProfileService/MergeProfiles", MERGES, Audit::Each),
    ("/rapport.v1.ProfileService/UnmergeProfiles", MERGES, Audit::Each),
    ("/rapport.v1.ProfileService/GetIdentityRules", ADMIN, Audit::Alike),
    ("/rapport.v1.ProfileService/UpdateIdentityRules", ADMIN, Audit::Each),
    ("/rapport.v1.SegmentService/ListSegments", SEGMENTS, Audit::Alike),
    ("/rapport.v1.SegmentService/GetSegment", SEGMENTS, Audit::Alike),
    ("/rapport.v1.SegmentService/ListSegmentMembers", PROFILES, Audit::Alike),
    ("/rapport.v1.PredictionService/PredictSegment", PREDICTIONS, Audit::Alike),
    ("/rapport.v1.PredictionService/PredictEffort", PREDICTIONS, Audit::Alike),
    ("/rapport.v1.PredictionService/PredictChurn", PREDICTIONS, Audit::Alike),
    ("/rapport.v1.PredictionService/PredictSatisfaction", PREDICTIONS, Audit::Alike),
    ("/rapport.v1.PredictionService/PredictValue", PREDICTIONS, Audit::Alike),
    ("/rapport.v1.PredictionService/Predict", PREDICTIONS, Audit::Alike),
    ("/rapport.v1.PredictionService/BatchPredict", PREDICTIONS, Audit::Alike),
    ("/rapport.v1.PredictionService/StreamPredictions", PREDICTIONS, Audit::Begun),
    ("/rapport.v1.TrainingService/CreateTrainingRun", TRAINING, Audit::Each),
    ("/rapport.v1.TrainingService/GetTrainingRun", TRAINING, Audit::Alike),
    ("/rapport.v1.TrainingService/ListTrainingRuns", TRAINING, Audit::Alike),
    ("/rapport.v1.TrainingService/CancelTrainingRun", TRAINING, Audit::Each),
    ("/rapport.v1.TrainingService/WatchTrainingRun", TRAINING, Audit::Begun),
    ("/rapport.v1.TrainingService/ListModels", MODELS, Audit::Alike),
    ("/rapport.v1.TrainingService/GetModel", MODELS, Audit::Alike),
    ("/rapport.v1.TrainingService/ActivateModel", TRAINING, Audit::Each),
    ("/rapport.v1.TrainingService/GetTrainingPlan", TRAINING, Audit::Alike),
    ("/rapport.v1.TrainingService/UpdateTrainingPlan", TRAINING, Audit::Each),
    ("/rapport.v1.PrivacyService/GetConsents", PRIVACY, Audit::Alike),
    ("/rapport.v1.PrivacyService/RecordConsent", PRIVACY, Audit::Each),
    ("/rapport.v1.PrivacyService/ListConsentRecords", PRIVACY, Audit::Alike),
    ("/rapport.v1.PrivacyService/ListAuditEntries", PRIVACY, Audit::Alike),
    ("/rapport.v1.PrivacyService/ExportCustomer", PRIVACY, Audit::Each),
    ("/rapport.v1.PrivacyService/EraseCustomer", PRIVACY, Audit::Each),
    ("/rapport.v1.PrivacyService/VerifyErasure", PRIVACY, Audit::Alike),
    ("/rapport.v1.AdminService/GetServerInfo", ADMIN, Audit::Alike),
    ("/rapport.v1.AdminService/GetSettings", ADMIN, Audit::Alike),
    ("/rapport.v1.AdminService/UpdateSettings", ADMIN, Audit::Each),
    ("/rapport.v1.AdminService/CreateBackup", ADMIN, Audit::Each),
    ("/rapport.v1.AdminService/CreateApiKey", ADMIN, Audit::Each),
    ("/rapport.v1.AdminService/ListApiKeys", ADMIN, Audit::Alike),
    ("/rapport.v1.AdminService/RevokeApiKey", ADMIN, Audit::Each),
    ("/grpc.health.v1.Health/Check", Need::Nothing, Audit::Nothing),
    ("/grpc.health.v1.Health/Watch", Need::Nothing, Audit::Nothing),
    ("/grpc.reflection.v1.ServerReflection/ServerReflectionInfo", ADMIN, Audit::Refusals),
    ("/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo", ADMIN, Audit::Refusals),
];

/// The paths of all methods.
pub(super) fn paths() -> impl Iterator<Item = &'static str> {
    METHODS.iter().map(|(path, ..)| *path)
}

/// Whether a method, by its name in the audit log, reads customers for a purpose that its caller may leave out.
pub(super) fn reads_for_a_purpose(name: &str) -> bool {
    PURPOSEFUL.contains(name)
}

/// Read once from the contract's own descriptors: the reads whose request has a purpose.
static PURPOSEFUL: LazyLock<HashSet<String>> = LazyLock::new(|| {
    let Ok(pool) = DescriptorPool::decode(pb::FILE_DESCRIPTOR_SET) else { return HashSet::new() };
    let methods = METHODS.iter().filter(|(_, _, audit)| matches!(audit, Audit::Alike | Audit::Begun));
    let has_purpose = |path: &str| {
        let (service, method) = path.split_once('/')?;
        let service = pool.get_service_by_name(service)?;
        let method = service.methods().find(|found| found.name() == method)?;
        method.input().get_field_by_name("purpose").map(drop)
    };
    let names = methods.map(|(path, ..)| path.trim_start_matches('/'));
    names.filter(|name| has_purpose(name).is_some()).map(str::to_owned).collect()
});

impl Rights {
    pub(super) fn new() -> Self {
        Self(METHODS.into_iter().map(|(path, need, audit)| (path, Entry { path, need, audit })).collect())
    }

    /// What there is to say of a method; `None` for one that nobody may call.
    pub(super) fn of(&self, path: &str) -> Option<Entry> {
        self.0.get(path).copied()
    }
}

impl Entry {
    /// The name of the method in the audit log.
    pub(super) fn name(&self) -> &'static str {
        self.path.trim_start_matches('/')
    }
}

impl Need {
    /// The scopes that are missing, in the way that asks for the fewest; `None` where nothing is.
    pub(super) fn missing(self, held: Scopes) -> Option<Scopes> {
        let Self::OneOf(sets) = self else { return None };
        let lacking = |set: &Scopes| set.iter().filter(|scope| !held.has(*scope)).collect::<Scopes>();
        sets.iter().map(lacking).min_by_key(|lacking| lacking.iter().count()).filter(|lacking| !lacking.is_empty())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use prost::Message as _;
    use prost_types::FileDescriptorSet;

    use super::*;

    /// The paths of all methods that descriptors declare.
    fn declared(encoded: &[u8]) -> BTreeSet<String> {
        let files = FileDescriptorSet::decode(encoded).expect("descriptors").file;
        let services = files.iter().flat_map(|file| file.service.iter().map(move |service| (file.package(), service)));
        let paths = services.flat_map(|(package, service)| {
            service.method.iter().map(move |method| format!("/{package}.{}/{}", service.name(), method.name()))
        });
        paths.collect()
    }

    #[test]
    fn every_method_of_every_service_has_an_entry_and_every_entry_a_method() {
        let mut methods = declared(crate::rpc::pb::FILE_DESCRIPTOR_SET);
        assert!(methods.len() > 30, "only {} methods are declared", methods.len());
        methods.extend(declared(tonic_health::pb::FILE_DESCRIPTOR_SET));
        methods.extend(declared(tonic_reflection::pb::v1::FILE_DESCRIPTOR_SET));
        methods.extend(declared(tonic_reflection::pb::v1alpha::FILE_DESCRIPTOR_SET));
        let entries: BTreeSet<String> = paths().map(str::to_owned).collect();
        assert_eq!(entries.len(), METHODS.len(), "a method has two entries");
        assert_eq!(methods, entries, "methods on the left, entries of METHODS on the right");
    }

    #[test]
    fn reads_of_customers_take_a_purpose_and_nothing_else_does() {
        for read in ["ProfileService/GetProfile", "PredictionService/StreamPredictions", "EventService/ListEvents"] {
            assert!(reads_for_a_purpose(&format!("rapport.v1.{read}")), "{read}");
        }
        for other in ["PrivacyService/RecordConsent", "AdminService/GetSettings", "ProfileService/Nothing", ""] {
            assert!(!reads_for_a_purpose(&format!("rapport.v1.{other}")), "{other}");
        }
        assert!(PURPOSEFUL.len() > 10, "{:?}", *PURPOSEFUL);
    }

    #[test]
    fn only_health_is_open() {
        for (path, need, _) in METHODS {
            assert_eq!(need == Need::Nothing, path.starts_with("/grpc.health.v1."), "{path}");
            assert_eq!(need.missing(Scopes::default()).is_none(), need == Need::Nothing, "{path}");
            assert_eq!(need.missing(Scopes::ALL), None, "{path}");
        }
    }

    #[test]
    fn every_method_says_how_it_is_audited_and_no_change_goes_unseen() {
        let reads = ["Get", "BatchGet", "List", "Verify", "Watch", "Predict", "BatchPredict", "StreamPredictions"];
        for (path, need, audit) in METHODS {
            let (service, name) = path.rsplit_once('/').expect("a path");
            let is_read = reads.iter().any(|read| name.starts_with(read));
            let is_ingestion = ["IngestEvents", "StreamEvents"].contains(&name);
            let lasts = is_read && (name.starts_with("Watch") || name.starts_with("Stream"));
            let expected = match service {
                "/grpc.health.v1.Health" => Audit::Nothing,
                _ if service.starts_with("/grpc.") || is_ingestion => Audit::Refusals,
                _ if lasts => Audit::Begun,
                _ if is_read => Audit::Alike,
                _ => Audit::Each,
            };
            assert_eq!(audit, expected, "{path}");
            assert_eq!(audit == Audit::Nothing, need == Need::Nothing, "{path}");
        }
    }

    #[test]
    fn what_is_missing_is_the_least_that_would_do() {
        assert_eq!(MERGES.missing(one(ProfilesRead)), Some(one(EventsWrite)));
        assert_eq!(MODELS.missing(one(TrainingWrite)), None);
        assert_eq!(MODELS.missing(one(Admin)), Some(one(PredictionsRead)));
    }
}
