//! From labels on the grid of patches to labels of pixels: the options, and what they do.

use super::bilateral::finish_as_published;
use super::objects::MAX_OBJECTS;
use super::refine::refine;
use super::select::select;
use super::shares;
use super::upsample::{self, Upsampling};
use super::{Clustering, GridLabels};
use crate::components::keep_largest;
use crate::cpu::Cpu;
use crate::image::Image;
use crate::progress::{Cancelled, Observer, Step, begin, go_on};
use crate::segmentation::{Kind, Segmentation};
use crate::setting::{OptionError, builders, check, check_range};
use serde::{Deserialize, Serialize};

/// How labels follow the edges of the image.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Refine {
    /// Not at all.
    None,
    /// The guided filter (He, Sun and Tang): the soft labels become as nearly linear in the colors as they are within windows of 21 × 21 pixels at
    /// 400 × 300, in proportion at other sizes, before the largest is taken.
    #[default]
    Guided,
    /// The bilateral solver on the labels: their edges move to the image's, where the grid of patches leaves them open. Many times slower.
    Bilateral,
    /// The same, ended as in the published code: the holes of an object of one label are filled and only its largest component is kept.
    BilateralPublished,
}

/// How a clustering becomes labels of pixels.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct Finish {
    /// How patches become pixels.
    pub upsampling: Upsampling,
    /// How labels follow the edges of the image.
    pub refine: Refine,
    /// Whether only the largest connected component of the foreground's pixels is kept.
    pub largest_component: bool,
    /// Below this confidence there is no object, in [0, 1]. See [`Clustering::confidence`]. [`Mode::Objects`](super::Mode): objects of a lower score
    /// are dropped.
    pub min_confidence: f32,
    /// [`Mode::Objects`](super::Mode): most objects of an image, 1 to 254; the best are kept. None: all.
    pub max_objects: Option<usize>,
    /// [`Mode::Objects`](super::Mode): least area of an object as a share of the image, in [0, 1].
    pub min_area: f32,
    /// [`Mode::Objects`](super::Mode): largest area of an object as a share of the image, in [0, 1].
    pub max_area: f32,
    /// [`Mode::Objects`](super::Mode): whether the holes of an object, which touch nothing else, are filled.
    pub fill_holes: bool,
    /// [`Mode::Objects`](super::Mode): whether objects that touch the image's border are dropped.
    pub drop_border: bool,
}

/// Objects smaller than this share of the image are dropped unless another is asked for: less than one patch of the embedded network.
const LEAST_AREA: f32 = 0.0005;

impl Default for Finish {
    /// Soft upsampling and the guided filter.
    fn default() -> Self {
        Self {
            upsampling: Upsampling::Soft,
            refine: Refine::Guided,
            largest_component: false,
            min_confidence: 0.0,
            max_objects: None,
            min_area: LEAST_AREA,
            max_area: 1.0,
            fill_holes: false,
            drop_border: false,
        }
    }
}

impl Finish {
    builders! {
        /// Sets how patches become pixels.
        upsampling: Upsampling,
        /// Sets the refinement.
        refine: Refine,
        /// Sets whether only the largest component is kept.
        largest_component: bool,
        /// Sets the confidence below which there is no object.
        min_confidence: f32,
        /// Sets the least area of an object.
        min_area: f32,
        /// Sets the largest area of an object.
        max_area: f32,
        /// Sets whether the holes of objects are filled.
        fill_holes: bool,
        /// Sets whether objects at the border are dropped.
        drop_border: bool;
        /// Sets the largest number of objects.
        max_objects?: usize,
    }

    /// The published code's: nearest upsampling, and no refinement.
    #[must_use]
    pub fn paper() -> Self {
        Self { upsampling: Upsampling::Nearest, refine: Refine::None, ..Self::default() }
    }

    /// Checks every value against its range.
    ///
    /// # Errors
    /// [`OptionError`], naming the first value out of range.
    pub fn validate(&self) -> Result<(), OptionError> {
        check_range("min_confidence", self.min_confidence, 0.0, 1.0, "0 to 1")?;
        if let Some(most) = self.max_objects {
            check("max_objects", most, (1..=MAX_OBJECTS).contains(&most), "1 to 254")?;
        }
        check_range("min_area", self.min_area, 0.0, 1.0, "0 to 1")?;
        check_range("max_area", self.max_area, self.min_area, 1.0, "at least min_area, at most 1")
    }

    /// Brings a clustering to the pixels of its image, refined and filtered as the options say.
    ///
    /// ```
    /// use deepcut::{Cpu, FeatureMap, Finish, Image, Recipe, Start};
    ///
    /// #[rustfmt::skip]
    /// let look = [
    ///     0, 0, 0, 0, 0, 0,
    ///     0, 1, 1, 0, 0, 0,
    ///     0, 1, 1, 0, 1, 0,
    ///     0, 0, 0, 0, 0, 0,
    /// ];
    /// // An image of 4 × 6 pixels, each of which is a patch.
    /// let image = Image::new(4, 6, look.iter().flat_map(|&look| [200 * look, 90, 90]).collect())?;
    /// let features = look.iter().flat_map(|&look| if look == 1 { [1.0, 0.0] } else { [0.0, 1.0] });
    /// let map = FeatureMap::new(4, 6, 2, features.collect())?;
    /// let cpu = Cpu::default();
    /// let found = Recipe::default().cluster(&cpu, &[map], Start::Seed(0))?;
    /// assert_eq!(Finish::default().to_pixels(&cpu, &image, &found[0]).labels(), look);
    /// let largest = Finish::default().largest_component(true).to_pixels(&cpu, &image, &found[0]);
    /// #[rustfmt::skip]
    /// assert_eq!(largest.labels(), [
    ///     0, 0, 0, 0, 0, 0,
    ///     0, 1, 1, 0, 0, 0,
    ///     0, 1, 1, 0, 0, 0,
    ///     0, 0, 0, 0, 0, 0,
    /// ]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn to_pixels(&self, cpu: &Cpu, image: &Image, clustering: &Clustering) -> Segmentation {
        let empty = |_| Segmentation::empty(image.height(), image.width());
        self.to_pixels_observed(cpu, image, clustering, &mut go_on).unwrap_or_else(empty)
    }

    /// As [`Finish::to_pixels`]; `observe` is called as each step begins, and cancels the work with `Break`.
    ///
    /// # Errors
    /// [`Cancelled`].
    pub fn to_pixels_observed(
        &self,
        cpu: &Cpu,
        image: &Image,
        clustering: &Clustering,
        observe: &mut Observer<'_>,
    ) -> Result<Segmentation, Cancelled> {
        if image.is_constant() {
            begin(observe, Step::Upsample)?;
            return Ok(Segmentation::empty(image.height(), image.width()));
        }
        self.pixels(cpu, (image.height(), image.width()), Some(image), clustering, observe)
    }

    /// As [`Finish::to_pixels`], of an image that is not at hand: of `height` × `width` pixels, and not refined.
    ///
    /// ```
    /// use deepcut::{Cpu, FeatureMap, Finish, Recipe, Start};
    ///
    /// let map = FeatureMap::new(1, 3, 2, vec![0.0, 1.0, /**/ 1.0, 0.0, /**/ 0.0, 1.0])?;
    /// let cpu = Cpu::default();
    /// let found = Recipe::default().cluster(&cpu, &[map], Start::Seed(0))?;
    /// assert_eq!(Finish::default().to_size(&cpu, (1, 3), &found[0]).labels(), [0, 1, 0]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn to_size(&self, cpu: &Cpu, (height, width): (usize, usize), clustering: &Clustering) -> Segmentation {
        let found = self.pixels(cpu, (height, width), None, clustering, &mut go_on);
        found.unwrap_or_else(|_| Segmentation::empty(height, width))
    }

    fn pixels(
        &self,
        cpu: &Cpu,
        (height, width): (usize, usize),
        image: Option<&Image>,
        clustering: &Clustering,
        observe: &mut Observer<'_>,
    ) -> Result<Segmentation, Cancelled> {
        let GridLabels { height: rows, width: columns, .. } = *clustering.grid();
        let end = |mut labels: Vec<u8>| {
            let selected = clustering.has_objects().then(|| select(self, &mut labels, (height, width), clustering.meanings()));
            // Every label of a grid has a meaning.
            let found = Segmentation::new(height, width, labels, selected.as_deref().unwrap_or(clustering.meanings()));
            found
                .unwrap_or_else(|_| Segmentation::empty(height, width))
                .with_cut(clustering.confidence(), (rows, columns))
                .with_main_object(clustering.main_object().map(<[bool]>::to_vec))
        };
        begin(observe, Step::Upsample)?;
        if !clustering.has_objects() && clustering.confidence() < self.min_confidence {
            return Ok(end(vec![0; height * width]));
        }
        let published = self.refine == Refine::BilateralPublished;
        let upsampled = || cpu.together(|| upsample::upsample(clustering.grid(), height, width, self.upsampling));
        let mut labels = match (image, self.refine) {
            (None, _) | (_, Refine::None) => upsampled(),
            (Some(image), Refine::Guided) => {
                begin(observe, Step::Refine)?;
                cpu.together(|| shares::labels(image, clustering.grid(), self.upsampling))
            }
            (Some(image), Refine::Bilateral | Refine::BilateralPublished) => {
                let mut labels = upsampled();
                begin(observe, Step::Refine)?;
                refine(image, &mut labels, (rows, columns), published);
                labels
            }
        };
        if published || self.largest_component {
            let mut foreground = [false; 256];
            for meaning in clustering.meanings() {
                foreground[usize::from(meaning.label)] = meaning.kind != Kind::Background;
            }
            let mut mask: Vec<bool> = labels.iter().map(|&label| foreground[usize::from(label)]).collect();
            if published && foreground.iter().filter(|inside| **inside).count() == 1 {
                finish_as_published(&mut mask, height, width);
            } else {
                keep_largest(&mut mask, height, width);
            }
            for (label, inside) in labels.iter_mut().zip(mask) {
                *label = match (foreground[usize::from(*label)], inside) {
                    (true, false) => 0,
                    (false, true) => 1,
                    _ => *label,
                };
            }
        }
        Ok(end(labels))
    }

    /// How much each pixel belongs to the foreground, `[height, width]`, 0 to 255, before components. With [`Refine::Guided`] it is the filtered share that
    /// decides between background and foreground; otherwise it is upsampled softly, before refinement.
    #[must_use]
    pub fn soft_foreground(&self, cpu: &Cpu, image: &Image, clustering: &Clustering) -> Vec<u8> {
        let (height, width) = (image.height(), image.width());
        if image.is_constant() || clustering.confidence() < self.min_confidence {
            return vec![0; height * width];
        }
        cpu.together(|| match self.refine {
            Refine::Guided => shares::foreground(image, clustering.grid(), self.upsampling),
            _ => upsample::foreground(clustering.grid(), height, width),
        })
    }
}
