//! Seconds by stage.

use std::collections::BTreeMap;
use std::time::Instant;

/// Adds up the time between one stage's beginning and the next's.
pub struct Stopwatch {
    since: Instant,
    stage: &'static str,
    seconds: BTreeMap<String, f64>,
}

impl Stopwatch {
    /// Begins with this stage.
    pub fn new(stage: &'static str) -> Self {
        Self { since: Instant::now(), stage, seconds: BTreeMap::new() }
    }

    /// The stage before ends here.
    pub fn begin(&mut self, stage: &'static str) {
        *self.seconds.entry(self.stage.into()).or_default() += self.since.elapsed().as_secs_f64();
        (self.since, self.stage) = (Instant::now(), stage);
    }

    /// Ends the last stage.
    pub fn seconds(&mut self) -> BTreeMap<String, f64> {
        self.begin("");
        std::mem::take(&mut self.seconds)
    }
}
