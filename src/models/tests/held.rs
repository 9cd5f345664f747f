//! Models of the present format, as files of the repository.

use std::path::Path;

use crate::models::artifact::{self, Model};

/// Holds the fixture of a model in the present format to be read, written as it was, and to answer as it did: the bytes
/// lie in a file of its `name`, what it says about some customers in one beside it. CONTRIBUTING.md says how both are made.
pub(in crate::models) fn held(name: &str, model: &Model, answers: impl Fn(&Model) -> String) {
    let fixture = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/model-3")).join(name);
    let told = fixture.with_extension("answers");
    if std::env::var_os("RAPPORT_FIXTURES").is_some() {
        std::fs::create_dir_all(fixture.parent().expect("a directory")).expect("made");
        std::fs::write(&fixture, artifact::encode(model)).expect("written");
        std::fs::write(&told, answers(model)).expect("written");
    }
    let written = std::fs::read(&fixture).expect("a fixture of this format");
    let read = artifact::decode(&written).expect("the layout has changed: raise the version of artifacts");
    assert!(artifact::encode(&read) == written, "the layout has changed: raise the version of artifacts");
    let told = std::fs::read_to_string(told).expect("the answers of the fixture");
    assert!(told.lines().count() > 1 && answers(&read) == told, "{}", answers(&read));
}
