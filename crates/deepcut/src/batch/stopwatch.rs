//! Seconds by stage.

use std::collections::BTreeMap;
use std::time::Instant;

/// Adds up the time that each stage takes; a stage lasts until the next begins.
#[derive(Debug, Clone)]
pub struct Stopwatch {
    since: Instant,
    stage: &'static str,
    seconds: BTreeMap<String, f64>,
}

impl Stopwatch {
    /// Begins with this stage.
    #[must_use]
    pub fn new(stage: &'static str) -> Self {
        Self { since: Instant::now(), stage, seconds: BTreeMap::new() }
    }

    /// Begins a stage; the one before ends here.
    pub fn begin(&mut self, stage: &'static str) {
        *self.seconds.entry(self.stage.into()).or_default() += self.since.elapsed().as_secs_f64();
        (self.since, self.stage) = (Instant::now(), stage);
    }

    /// Seconds of every stage so far.
    pub fn seconds(&mut self) -> BTreeMap<String, f64> {
        self.begin(self.stage);
        self.seconds.clone()
    }
}
