//! The view of an image: how it becomes a network's input, and how the network's output becomes features.

use super::{Backbone, BackboneError, Input, facet};
use crate::features::FeatureMap;
use crate::image::{Filter, Image, ImageError, size_keeping_aspect};
use crate::progress::{Cancelled, Observer, Step, begin, go_on};
use crate::setting::{OptionError, builders, check};
use serde::{Deserialize, Serialize};
use std::cell::RefCell;

/// Smallest and largest [`View::resolution`].
pub const RESOLUTIONS: std::ops::RangeInclusive<usize> = 16..=2048;

/// How an image becomes the network's input.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Framing {
    /// Squashes the image to `resolution × resolution`, as the published code does.
    Squash,
    /// Keeps the aspect ratio, with about `resolution²` pixels.
    #[default]
    KeepAspect,
}

/// The options that an image's features depend on, besides the network. Also a cache key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct View {
    /// Side of the network's input in pixels, 16 to 2048; see [`Framing`]. None: the backbone's own, 352 for the embedded one.
    pub resolution: Option<usize>,
    /// How the image is brought to the resolution.
    pub framing: Framing,
    /// Filter for resizing.
    pub filter: Filter,
    /// Whether a patch's features include its surroundings, as means in 17 bins (`backbone/facet.rs`).
    pub log_bin: bool,
    /// Whether features include the patches' mean colors, which [`Recipe::color`](crate::Recipe::color) needs.
    pub patch_colors: bool,
}

impl Default for View {
    /// The backbone's own resolution, aspect ratio kept, bilinear.
    fn default() -> Self {
        let (framing, filter) = (Framing::KeepAspect, Filter::Bilinear);
        Self { resolution: None, framing, filter, log_bin: false, patch_colors: false }
    }
}

/// Why an image has no features.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ViewError {
    /// An option is out of its range.
    #[error(transparent)]
    Option(#[from] OptionError),
    /// The image cannot be resized.
    #[error(transparent)]
    Image(#[from] ImageError),
    /// The network failed.
    #[error(transparent)]
    Backbone(BackboneError),
    /// The observer returned `Break`.
    #[error(transparent)]
    Cancelled(#[from] Cancelled),
}

impl From<BackboneError> for ViewError {
    fn from(error: BackboneError) -> Self {
        match error {
            BackboneError::Cancelled => Self::Cancelled(Cancelled),
            error => Self::Backbone(error),
        }
    }
}

impl View {
    builders! {
        /// Sets how the image is brought to the resolution.
        framing: Framing,
        /// Sets the filter for resizing.
        filter: Filter,
        /// Sets whether a patch's features include its surroundings.
        log_bin: bool,
        /// Sets whether the features come with the patches' mean colors.
        patch_colors: bool;
        /// Sets the side of the network's input.
        resolution?: usize,
    }

    /// The view of the published code: squashed to 280 × 280 by Lanczos' filter.
    #[must_use]
    pub fn paper() -> Self {
        Self { resolution: Some(280), framing: Framing::Squash, filter: Filter::Lanczos, ..Self::default() }
    }

    /// Checks every value against its range.
    ///
    /// # Errors
    /// [`OptionError`], naming the first value out of range.
    pub fn validate(&self) -> Result<(), OptionError> {
        self.resolution.map_or(Ok(()), |side| check("resolution", side, RESOLUTIONS.contains(&side), "16 to 2048"))
    }

    /// Fills in the backbone's own resolution if none is set.
    ///
    /// # Errors
    /// [`OptionError`] if a value is out of its range, or the resolution is smaller than a patch of the network.
    pub fn for_backbone(mut self, backbone: &dyn Backbone) -> Result<Self, OptionError> {
        self.validate()?;
        let input = backbone.input();
        let resolution = *self.resolution.get_or_insert(input.resolution);
        check("resolution", resolution, resolution >= input.size_multiple, "at least a patch of the network")?;
        Ok(self)
    }

    /// Rows and columns of the network's input.
    ///
    /// ```
    /// use deepcut::{Cpu, Framing, Image, Precision, View, backbone::embedded};
    ///
    /// let network = embedded::load(&Cpu::single(), Precision::F32)?;
    /// let image = Image::new(300, 400, vec![0; 300 * 400 * 3])?;
    /// // About 176² pixels at the image's own aspect ratio; this network takes multiples of 16.
    /// let view = View::default().resolution(176);
    /// assert_eq!(view.input_size(&image, &network), (160, 208));
    /// assert_eq!(view.framing(Framing::Squash).input_size(&image, &network), (176, 176));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn input_size(&self, image: &Image, backbone: &dyn Backbone) -> (usize, usize) {
        let input = backbone.input();
        let resolution = self.resolution.unwrap_or(input.resolution);
        match self.framing {
            Framing::Squash => (resolution, resolution),
            Framing::KeepAspect => size_keeping_aspect(image.height(), image.width(), resolution, input.size_multiple),
        }
    }

    /// Computes the features of a batch of images, one map for each.
    ///
    /// # Errors
    /// [`ViewError`] if an option is out of its range, an image cannot be resized, or the network fails.
    pub fn features(&self, backbone: &dyn Backbone, images: &[&Image]) -> Result<Vec<FeatureMap>, ViewError> {
        self.features_observed(backbone, images, &mut go_on)
    }

    /// As [`View::features`]; `observe` is called as each step begins, and before each block of a vision transformer, and cancels the work if it
    /// returns `Break`.
    ///
    /// # Errors
    /// As [`View::features`], and [`ViewError::Cancelled`].
    pub fn features_observed(
        &self,
        backbone: &dyn Backbone,
        images: &[&Image],
        observe: &mut Observer<'_>,
    ) -> Result<Vec<FeatureMap>, ViewError> {
        let view = self.for_backbone(backbone)?;
        let spec = backbone.input();
        begin(observe, Step::Resize)?;
        let mut resized = Vec::with_capacity(images.len());
        for image in images {
            let (height, width) = view.input_size(image, backbone);
            resized.push((height, width, image.resize(height, width, view.filter)?.normalize(spec.mean, spec.std)));
        }
        begin(observe, Step::Backbone)?;
        let observe = RefCell::new(observe);
        let go_on = || begin(&mut **observe.borrow_mut(), Step::Backbone).is_ok();
        let mut inputs = Vec::with_capacity(images.len());
        for (height, width, data) in &resized {
            inputs.push(Input::new(*height, *width, data)?.with_go_on(&go_on));
        }
        let maps = backbone.features(&inputs)?;
        if maps.len() != images.len() {
            let what = format!("it gave {} feature maps for {} images", maps.len(), images.len());
            return Err(BackboneError::Device(what).into());
        }
        let ends = |(map, image): (FeatureMap, &&Image)| {
            let map = if view.log_bin { facet::log_bin(&map).map_err(BackboneError::from)? } else { map };
            let map = map.with_constant_image(image.is_constant());
            if !view.patch_colors {
                return Ok(map);
            }
            let (grid_height, grid_width) = map.grid();
            Ok(map.with_colors(image.mean_colors(grid_height, grid_width)?).map_err(BackboneError::from)?)
        };
        maps.into_iter().zip(images).map(ends).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn views_are_checked_and_read_as_they_are_written() {
        for view in [View::default(), View::paper(), View::default().resolution(64).patch_colors(true)] {
            view.validate().unwrap();
            assert_eq!(serde_json::from_str::<View>(&serde_json::to_string(&view).unwrap()).unwrap(), view);
        }
        for side in [0, 8, 15, 2049] {
            assert_eq!(View::default().resolution(side).validate().unwrap_err().name, "resolution");
        }
        assert!(serde_json::from_str::<View>(r#"{"resolutoin": 64}"#).is_err());
    }
}
