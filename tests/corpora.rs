//! Replays what fuzzing has found worth keeping: inputs that reach as much as possible, and every one that ever failed.

use std::fs;
use std::path::Path;

#[path = "../fuzz/src/targets.rs"]
#[expect(unreachable_pub, reason = "fuzzing uses it as a library")]
mod targets;

#[test]
fn no_input_of_the_corpora_is_a_fault() {
    for (name, target) in targets::TARGETS {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(name);
        let inputs = fs::read_dir(&folder).expect("a corpus");
        let inputs: Vec<_> = inputs.map(|entry| entry.expect("an input").path()).collect();
        assert!(inputs.len() >= 2, "{name} has {} inputs", inputs.len());
        for input in inputs {
            let bytes = fs::read(&input).expect("readable");
            // The name of the input is what a failure is found by.
            println!("{}", input.display());
            target(&bytes);
        }
    }
}
