//! Progress of work that says itself how large it is.

use super::progress::Progress;

/// Shows such work from the first report on.
pub struct Meter {
    label: &'static str,
    progress: Option<Progress>,
}

impl Meter {
    /// Work that has not said anything yet.
    pub fn new(label: &'static str) -> Self {
        Self { label, progress: None }
    }

    /// So many bytes of so many are done.
    pub fn set(&mut self, done: u64, total: u64) {
        let label = self.label;
        self.progress.get_or_insert_with(|| Progress::bytes(label, total)).set(done, "");
    }

    /// Ends with a sentence.
    pub fn finish(self, sentence: &str) {
        if let Some(progress) = self.progress {
            progress.finish(sentence);
        }
    }
}
