//! Fitting a prior to photographs nobody labeled: a teacher cuts them, and the plane learns to tell its objects from background.
//!
//! ```text
//! image ──teacher──▶ mask ──mean of each patch──▶ share y ┐
//!       ──network──▶ features x of patches ───────────────┴─▶ plane (backbone/logistic.rs)
//! ```
//!
//! The teacher is another pipeline, such as that of the embedded network, or the network's own cut. It errs on single images; what its masks
//! have in common over many is what the plane can learn. Each image gives as many patches as the others, drawn by a seed and the image, and
//! images without an object, or with one that fills nearly all, give none. Every tenth image is held out, to tell how well the plane does.
//!
//! ```no_run
//! use deepcut::backbone::{self, Prior, WithPrior, vit::VitOptions};
//! use deepcut::batch::Batch;
//! use deepcut::fit::Fit;
//! use deepcut::{Cpu, Options, Segmenter};
//! use std::ops::ControlFlow::Continue;
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let (cpu, bytes) = (Cpu::default(), std::fs::read("vit.safetensors")?);
//! let load = || backbone::from_bytes("vit", &bytes, &cpu, &VitOptions::default());
//! let network = Segmenter::new(load()?, Options::default(), cpu.clone())?;
//! let teacher = Segmenter::load(Options::default())?;
//! let (_, prior) = Batch::new().fit(Fit::new(&network).teacher(&teacher), &["photos"], &mut |_| Continue(()))?;
//! std::fs::write("plane.safetensors", prior?.to_bytes()?)?;
//!
//! let prior = Prior::from_bytes(&std::fs::read("plane.safetensors")?)?;
//! let adapted = Segmenter::new(Box::new(WithPrior::new(load()?, prior)?), Options::default(), cpu.clone())?;
//! # Ok(())
//! # }
//! ```
//!
//! Reference: `Teacher.learn` in `training/teacher.py`.

use crate::backbone::prior::{Fitted, HeldOut};
use crate::backbone::{Prior, PriorError};
use crate::image::{Image, ImageError};
use crate::progress::{Observer, go_on};
use crate::random::Random;
use crate::segmentation::Segmentation;
use crate::segmenter::{Error, Segmenter};
use crate::setting::check;

/// Patches of an image, at most.
const PATCHES: usize = 256;
/// Features of all patches, at most: 256 MiB. Beyond, each image gives half as many patches.
const MAX_VALUES: usize = 1 << 26;
/// One of so many images is held out, if there are as many.
const HELD_OUT: usize = 10;
/// Share of an image that an object to learn from covers.
const AREAS: std::ops::RangeInclusive<f32> = 0.01..=0.75;

/// Why no prior could be fitted.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FitError {
    /// There are no images.
    #[error("there is no image to learn from")]
    NoImages,
    /// No image has an object to learn from.
    #[error(
        "there is nothing to learn from: in no image of {images} does the teacher find an object that covers 1 to 75 % of it; take other images, another teacher or another method"
    )]
    NoObjects {
        /// Images that were looked at.
        images: usize,
    },
    /// The work was stopped before all images were looked at.
    #[error("stopped before all images were looked at")]
    Stopped,
    /// The plane cannot be fitted.
    #[error(transparent)]
    Prior(#[from] PriorError),
}

/// What learns from what.
#[derive(Clone, Copy)]
pub struct Fit<'a> {
    network: &'a Segmenter,
    teacher: Option<&'a Segmenter>,
    seed: u64,
}

/// What an image has to teach.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Lesson {
    /// Share of the image that the teacher's object covers, in [0, 1].
    pub area: f32,
    /// Whether it is learned from: the object covers 1 to 75 % of the image.
    pub is_used: bool,
    /// Patches drawn.
    pub patches: usize,
    dim: usize,
    /// `[patches, dim]`.
    rows: Vec<f32>,
    /// `[patches]`.
    shares: Vec<f32>,
}

impl<'a> Fit<'a> {
    /// A prior for the network of this pipeline, taught by the pipeline itself.
    #[must_use]
    pub fn new(network: &'a Segmenter) -> Self {
        Self { network, teacher: None, seed: 0 }
    }

    /// Taught by another pipeline.
    #[must_use]
    pub fn teacher(self, teacher: &'a Segmenter) -> Self {
        Self { teacher: Some(teacher), ..self }
    }

    /// With another seed of the draw of patches than 0.
    #[must_use]
    pub fn seed(self, seed: u64) -> Self {
        Self { seed, ..self }
    }

    /// The pipeline whose network gets the prior.
    #[must_use]
    pub fn network(&self) -> &'a Segmenter {
        self.network
    }

    /// What an image has to teach. Which patches are drawn depends on the seed and on `draw`: give each image a number of its own, such as one of
    /// its checksum.
    ///
    /// # Errors
    /// As [`Segmenter::segment`]; [`Error::Option`] if the network's features describe each patch by its surroundings too.
    pub fn lesson(&self, image: &Image, draw: u64) -> Result<Lesson, Error> {
        self.lesson_observed(image, draw, &mut go_on)
    }

    /// As [`Fit::lesson`]; `observe` is called as each step begins, and cancels the work with `Break`.
    ///
    /// # Errors
    /// As [`Fit::lesson`], and [`Error::Cancelled`].
    pub fn lesson_observed(&self, image: &Image, draw: u64, observe: &mut Observer<'_>) -> Result<Lesson, Error> {
        let log_bin = self.network.options().view.log_bin;
        check("log_bin", log_bin, !log_bin, "false: a prior looks at single patches; once fitted, it can be used with log_bin")?;
        let none = |area| Lesson { area, is_used: false, patches: 0, dim: 0, rows: Vec::new(), shares: Vec::new() };
        if image.is_constant() {
            return Ok(none(0.0));
        }
        let (map, found) = match self.teacher {
            Some(teacher) => (None, teacher.segment_observed(image, observe)?),
            None => {
                let map = self.network.features_observed(image, &self.network.options().needed_view(), observe)?;
                let options = self.network.options();
                let cut = self.network.cluster_observed(&map, options, observe)?;
                let found = options.finish.to_pixels_observed(self.network.cpu(), image, &cut, observe)?;
                (Some(map), found)
            }
        };
        let inside = found.regions().iter().filter(|region| region.is_foreground()).map(|region| region.area).sum::<usize>();
        let area = inside as f32 / (image.height() * image.width()) as f32;
        if !AREAS.contains(&area) {
            return Ok(none(area));
        }
        let map = match map {
            Some(map) => map,
            None => self.network.features_observed(image, &self.network.options().needed_view(), observe)?,
        };
        let (grid_height, grid_width) = map.grid();
        let every = shares(&found, grid_height, grid_width)?;
        let drawn = draw_some(map.patches(), PATCHES, &mut Random::new(self.seed ^ draw));
        let dim = map.dim();
        let rows = drawn.iter().flat_map(|&patch| &map.data()[patch * dim..(patch + 1) * dim]).copied().collect();
        let shares = drawn.iter().map(|&patch| every[patch]).collect();
        Ok(Lesson { area, is_used: true, patches: drawn.len(), dim, rows, shares })
    }

    /// The prior that the lessons teach.
    ///
    /// # Errors
    /// [`FitError::NoImages`], [`FitError::NoObjects`] or [`FitError::Prior`].
    pub fn fit(&self, lessons: Lessons) -> Result<Prior, FitError> {
        let Lessons { lessons, images, .. } = lessons;
        let nothing = if images == 0 { FitError::NoImages } else { FitError::NoObjects { images } };
        let dim = lessons.first().ok_or(nothing)?.dim;
        let is_held = |at: usize| at % HELD_OUT == HELD_OUT - 1;
        let (mut rows, mut shares, mut held) = (Vec::new(), Vec::new(), Vec::new());
        let mut learned = 0;
        for (at, lesson) in lessons.into_iter().enumerate() {
            if is_held(at) {
                held.push(lesson);
            } else {
                learned += 1;
                rows.extend(lesson.rows);
                shares.extend(lesson.shares);
            }
        }
        let options = self.network.options();
        let identity = self.network.backbone().identity();
        let teacher = self.teacher.unwrap_or(self.network);
        let fitted = Fitted {
            network: identity.into(),
            resolution: options.view.resolution.unwrap_or_else(|| self.network.backbone().input().resolution),
            teacher: format!("{}, {}", teacher.backbone().identity().name, teacher.options().recipe.method.name()),
            images: learned,
            patches: shares.len(),
            seed: self.seed,
            held_out: None,
        };
        let prior = Prior::fit(self.network.cpu(), rows, &shares, dim, fitted)?;
        let held_out = held_out(&prior, held);
        Ok(prior.with_held_out(held_out)?)
    }
}

/// What many images have to teach, within bounded memory.
#[derive(Debug, Clone)]
pub struct Lessons {
    lessons: Vec<Lesson>,
    images: usize,
    /// Patches of an image.
    patches: usize,
    values: usize,
    most_values: usize,
}

impl Default for Lessons {
    fn default() -> Self {
        Self { lessons: Vec::new(), images: 0, patches: PATCHES, values: 0, most_values: MAX_VALUES }
    }
}

impl Lessons {
    /// Takes what a lesson teaches, and leaves it empty. The prior depends on the order of the lessons.
    pub fn add(&mut self, lesson: &mut Lesson) {
        self.images += 1;
        if !lesson.is_used {
            return;
        }
        let (rows, shares) = (std::mem::take(&mut lesson.rows), std::mem::take(&mut lesson.shares));
        let mut lesson = Lesson { rows, shares, ..lesson.clone() };
        lesson.keep(self.patches);
        self.values += lesson.rows.len();
        self.lessons.push(lesson);
        while self.values > self.most_values && self.patches > 1 {
            // The patches of a lesson lie in the order of their draw, so the first half is a draw as well.
            self.patches /= 2;
            self.lessons.iter_mut().for_each(|lesson| lesson.keep(self.patches));
            self.values = self.lessons.iter().map(|lesson| lesson.rows.len()).sum();
        }
    }

    /// Images that were looked at.
    #[must_use]
    pub fn images(&self) -> usize {
        self.images
    }

    /// Images that are learned from, those held out among them.
    #[must_use]
    pub fn used(&self) -> usize {
        self.lessons.len()
    }
}

impl Lesson {
    /// Drops all but the first patches.
    fn keep(&mut self, patches: usize) {
        self.rows.truncate(patches * self.dim);
        self.shares.truncate(patches);
        self.rows.shrink_to_fit();
        self.patches = self.shares.len();
    }
}

/// How much of each patch is foreground.
fn shares(found: &Segmentation, grid_height: usize, grid_width: usize) -> Result<Vec<f32>, ImageError> {
    let gray = found.mask().into_iter().flat_map(|value| [value; 3]).collect();
    let means = Image::new(found.height(), found.width(), gray)?.mean_colors(grid_height, grid_width)?;
    Ok(means.chunks_exact(3).map(|mean| mean[0]).collect())
}

/// At most `most` of `n` numbers, each as likely as the others, in random order (Fisher and Yates).
fn draw_some(n: usize, most: usize, random: &mut Random) -> Vec<usize> {
    let mut all: Vec<usize> = (0..n).collect();
    for at in 0..most.min(n) {
        let other = at + (random.next() % (n - at) as u64) as usize;
        all.swap(at, other);
    }
    all.truncate(most);
    all
}

/// How far the prior agrees with lessons that it has not seen.
fn held_out(prior: &Prior, lessons: Vec<Lesson>) -> Option<HeldOut> {
    let images = lessons.len();
    if images == 0 {
        return None;
    }
    let (mut ious, mut equal, mut all) = (0.0, 0, 0);
    for Lesson { rows, shares, .. } in lessons {
        let (mut both, mut either) = (0, 0);
        for (logit, share) in prior.logits_of_rows(&rows).zip(&shares) {
            let (found, taught) = (logit > 0.0, *share > 0.5);
            both += usize::from(found && taught);
            either += usize::from(found || taught);
            equal += usize::from(found == taught);
        }
        all += shares.len();
        ious += if either == 0 { 1.0 } else { both as f64 / either as f64 };
    }
    Some(HeldOut { images, iou: ious / images as f64, accuracy: equal as f64 / all as f64 })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A lesson of two features; the first tells objects.
    fn lesson(patches: usize, seed: u64) -> Lesson {
        let mut random = Random::new(seed);
        let shares: Vec<f32> = (0..patches).map(|i| (i % 3 == 0) as u8 as f32).collect();
        let rows = shares.iter().flat_map(|share| [2.0 * share + random.uniform(), random.uniform()]).collect();
        Lesson { area: 0.3, is_used: true, patches, dim: 2, rows, shares }
    }

    #[test]
    fn shares_are_means_of_patches() {
        use crate::segmentation::{Kind, Meaning};
        let meaning = |label, kind| Meaning { label, kind, part_of: None, score: 0.5 };
        #[rustfmt::skip]
        let labels = vec![
            1, 1, 0, 0,
            1, 1, 0, 0,
            0, 0, 0, 0,
            0, 0, 0, 0,
        ];
        let found = Segmentation::new(4, 4, labels, &[meaning(0, Kind::Background), meaning(1, Kind::Object)]).unwrap();
        assert_eq!(shares(&found, 4, 4).unwrap()[..6], [1.0, 1.0, 0.0, 0.0, 1.0, 1.0]);
        let coarse = shares(&found, 1, 1).unwrap()[0];
        assert!((0.2..0.35).contains(&coarse), "{coarse}");
    }

    #[test]
    fn draws_are_whole_and_their_own() {
        let draw = |n, most, seed| draw_some(n, most, &mut Random::new(seed));
        let mut all = draw(50, 100, 1);
        all.sort_unstable();
        assert_eq!(all, (0..50).collect::<Vec<_>>());
        let some = draw(1000, 20, 1);
        assert_eq!(some, draw(1000, 20, 1));
        assert_ne!(some, draw(1000, 20, 2));
        let mut unique = some.clone();
        unique.sort_unstable();
        unique.dedup();
        assert_eq!(unique.len(), 20);
        // Each number is as likely as the others: 2,000 draws of 5 of 10 give about 1,000 each.
        let mut counts = [0; 10];
        (0..2000).flat_map(|seed| draw(10, 5, seed)).for_each(|at| counts[at] += 1);
        assert!(counts.iter().all(|count| (900..1100).contains(count)), "{counts:?}");
    }

    #[test]
    fn lessons_beyond_the_memory_give_fewer_patches_each() {
        let mut lessons = Lessons { most_values: 100, ..Lessons::default() };
        for seed in 0..4 {
            let mut lesson = lesson(40, seed);
            lessons.add(&mut lesson);
            assert!(lesson.rows.is_empty());
            assert!(
                lessons.values <= 100 && lessons.values == lessons.lessons.iter().map(|lesson| lesson.rows.len()).sum::<usize>()
            );
        }
        lessons.add(&mut Lesson { is_used: false, ..lesson(40, 9) });
        assert_eq!((lessons.images(), lessons.used()), (5, 4));
        let counts: Vec<usize> = lessons.lessons.iter().map(|lesson| lesson.shares.len()).collect();
        assert!(counts.iter().all(|count| *count == counts[0] && *count > 5), "{counts:?}");
        // The first of each draw are kept.
        assert_eq!(lessons.lessons[1].rows[..8], lesson(40, 1).rows[..8]);
    }

    #[cfg(feature = "embedded")]
    #[test]
    fn every_tenth_lesson_is_held_out_and_none_is_an_error() {
        let segmenter = Segmenter::load(crate::Options::default()).unwrap();
        let fit = Fit::new(&segmenter).seed(3);
        let mut lessons = Lessons::default();
        assert!(matches!(fit.fit(lessons.clone()), Err(FitError::NoImages)));
        lessons.add(&mut Lesson { is_used: false, ..lesson(10, 0) });
        assert!(matches!(fit.fit(lessons.clone()), Err(FitError::NoObjects { images: 1 })));
        (0..9).for_each(|seed| lessons.add(&mut lesson(30, seed)));
        assert_eq!(fit.fit(lessons.clone()).unwrap().fitted().held_out, None);
        lessons.add(&mut lesson(30, 9));
        let prior = fit.fit(lessons.clone()).unwrap();
        let fitted = prior.fitted();
        assert_eq!((fitted.images, fitted.patches, fitted.seed, &*fitted.teacher), (9, 270, 3, "embedded, deepcut"));
        let held = fitted.held_out.unwrap();
        assert!(held.images == 1 && held.iou > 0.95 && held.accuracy > 0.95, "{held:?}");
        assert_eq!(Prior::from_bytes(&prior.to_bytes().unwrap()).unwrap(), prior);
        assert_eq!(fit.fit(lessons).unwrap(), prior);
    }

    #[cfg(feature = "embedded")]
    #[test]
    fn an_image_of_one_color_and_features_with_surroundings_teach_nothing() {
        let segmenter = |options| Segmenter::load(options).unwrap();
        let plain = segmenter(crate::Options::default());
        let gray = Image::new(40, 40, vec![90; 4800]).unwrap();
        let lesson = Fit::new(&plain).lesson(&gray, 0).unwrap();
        assert!(!lesson.is_used && lesson.patches == 0 && lesson.area == 0.0);
        let mut options = crate::Options::default();
        options.view.log_bin = true;
        let binned = segmenter(options);
        assert!(matches!(Fit::new(&binned).lesson(&gray, 0), Err(Error::Option(error)) if error.name == "log_bin"));
    }
}
