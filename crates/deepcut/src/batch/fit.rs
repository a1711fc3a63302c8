//! Fitting a prior to the images of a batch.

use super::segment::settings;
use super::{Batch, BatchError, Collected, Event, Job, JobError, Listener, Outcome, Prepared, Settings, Summary, Task, collect};
use crate::backbone::Prior;
use crate::fit::{Fit, FitError, Lesson, Lessons};
use std::path::Path;

/// Asks the teacher about each image.
struct Teach<'a>(Fit<'a>);

impl Task for Teach<'_> {
    type Done = Lesson;

    fn settings(&self) -> Settings {
        settings(self.0.network())
    }

    fn run(&self, job: &mut Job<'_>) -> Result<Lesson, JobError> {
        // The draw is the image's own, whatever images are beside it.
        let draw = job.record.sha256.get(..16).and_then(|digits| u64::from_str_radix(digits, 16).ok()).unwrap_or_default();
        Ok(job.watched(|image, observe| self.0.lesson_observed(image, draw, observe))?)
    }
}

impl Batch<'_> {
    /// Fits a prior to every image that the inputs name: files, folders, patterns. Images that fail are reported and left out.
    ///
    /// # Errors
    /// As [`Batch::prepare`] and [`Prepared::fit`].
    pub fn fit(
        &self,
        fit: Fit<'_>,
        inputs: &[impl AsRef<Path>],
        listener: &mut Listener<'_, Lesson>,
    ) -> Result<(Summary, Result<Prior, FitError>), BatchError> {
        self.prepare(&collect(inputs))?.fit(fit, listener)
    }
}

impl Prepared<'_, '_> {
    /// Fits a prior to the images. The listener gets a [`Lesson`] of each, without its patches. Nothing is written.
    ///
    /// # Errors
    /// As [`Prepared::run`].
    pub fn fit(
        self,
        fit: Fit<'_>,
        listener: &mut Listener<'_, Lesson>,
    ) -> Result<(Summary, Result<Prior, FitError>), BatchError> {
        let mut lessons = Lessons::default();
        let summary = self.run(&Teach(fit), &mut |mut event| {
            if let Event::Image { outcome: Outcome::Done { done, .. }, .. } = &mut event {
                lessons.add(done);
            }
            listener(event)
        })?;
        let prior = if summary.not_done > 0 { Err(FitError::Stopped) } else { fit.fit(lessons) };
        Ok((summary, prior))
    }
}

impl Collected {
    /// Keeps so many images at most, evenly spread over all.
    pub fn limit(&mut self, most: usize) {
        let all = self.inputs.len();
        if most < all {
            let kept: Vec<_> = (0..most).map(|at| self.inputs[at * all / most].clone()).collect();
            self.inputs = kept;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::batch::Input;

    #[test]
    fn a_limit_takes_images_from_the_whole_list() {
        let names = |count: usize, most| {
            let inputs = (0..count).map(|at| Input::file(format!("{at}.png"), "")).collect();
            let mut all = Collected { inputs, ..Collected::default() };
            all.limit(most);
            all.inputs.iter().map(Input::relative_name).collect::<Vec<_>>()
        };
        assert_eq!(names(10, 4), ["0.png", "2.png", "5.png", "7.png"]);
        assert_eq!(names(3, 3), ["0.png", "1.png", "2.png"]);
        assert_eq!(names(3, 300).len(), 3);
        assert_eq!(names(0, 5), [""; 0]);
    }
}
