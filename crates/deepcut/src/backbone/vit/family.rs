//! The families of published networks, and what they decide: input statistics, interpolation of positions, default facets.

use crate::backbone::facet::{BlockFacet, Facet, Facets};
use crate::backbone::position::Interpolation;
use crate::backbone::weights::WeightsError;
use std::fmt;
use std::str::FromStr;

/// Mean and standard deviation of ImageNet's channels.
const IMAGENET: ([f32; 3], [f32; 3]) = ([0.485, 0.456, 0.406], [0.229, 0.224, 0.225]);
/// Mean and standard deviation that map pixels to −1..1.
const HALVES: ([f32; 3], [f32; 3]) = ([0.5; 3], [0.5; 3]);

/// A family of published networks. It decides the normalization of the input, the interpolation of positions and the default facet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Family {
    /// Self-supervised DINO (arXiv 2104.14294). Features: keys of the last block.
    Dino,
    /// Self-supervised DINOv2 (arXiv 2304.07193). Features: tokens after the final norm.
    Dinov2,
    /// Trained on ImageNet's classes (AugReg, arXiv 2106.10270). Features: values of the middle block and keys of the block after two
    /// thirds.
    Supervised,
}

impl Family {
    /// Every family.
    pub const ALL: [Self; 3] = [Self::Dino, Self::Dinov2, Self::Supervised];

    /// `dino`, `dinov2` or `supervised`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Dino => "dino",
            Self::Dinov2 => "dinov2",
            Self::Supervised => "supervised",
        }
    }

    /// Mean and standard deviation of the input's channels.
    pub(super) fn normalization(self) -> ([f32; 3], [f32; 3]) {
        if self == Self::Supervised { HALVES } else { IMAGENET }
    }

    /// How positions are interpolated in a network with so many registers.
    pub(super) fn interpolation(self, registers: usize) -> Interpolation {
        match self {
            Self::Dino => Interpolation { offset: 0.1, antialias: false },
            Self::Dinov2 if registers == 0 => Interpolation { offset: 0.1, antialias: false },
            Self::Dinov2 => Interpolation { offset: 0.0, antialias: true },
            Self::Supervised => Interpolation { offset: 0.0, antialias: false },
        }
    }

    /// The default facets of a network with `depth` blocks.
    pub(super) fn facets(self, depth: usize) -> Facets {
        let one = |facet, block| BlockFacet { facet, block };
        Facets(match self {
            Self::Dino => vec![one(Facet::Key, None)],
            Self::Dinov2 => vec![one(Facet::NormToken, None)],
            Self::Supervised => vec![one(Facet::Value, Some(depth / 2)), one(Facet::Key, Some(depth * 2 / 3))],
        })
    }

    /// The default facets of a network with `depth` blocks that is to get a prior. DINOv2: the tokens at the ends of the second, third and
    /// last quarter.
    pub(super) fn prior_facets(self, depth: usize) -> Facets {
        let token = |end: usize| BlockFacet { facet: Facet::Token, block: Some(end.saturating_sub(1)) };
        match self {
            Self::Dinov2 => Facets([depth / 2, depth * 3 / 4, depth].map(token).to_vec()),
            Self::Dino | Self::Supervised => self.facets(depth),
        }
    }

    /// Recommended side of a square input in pixels, for patches of this size, and for use with a prior or without.
    pub(super) fn resolution(self, patch_size: usize, for_prior: bool) -> usize {
        match (self, patch_size) {
            (Self::Dinov2, patch) if for_prior => 36 * patch,
            // 35 × 35 patches, as in the paper.
            (_, 8) => 280,
            // About 24 × 24.
            (_, patch) => 24 * patch,
        }
    }

    /// Infers the family from what a file holds, with the evidence in words.
    ///
    /// Only DINOv2 combines LayerScale with patches of 14. Among the other networks, those with a classifier and those with 192
    /// dimensions were trained on classes.
    ///
    /// # Errors
    /// [`WeightsError::Unsuited`] if LayerScale comes with a shape that DINOv2 does not have.
    pub(super) fn detect(
        layer_scale: bool,
        classifier: bool,
        dim: usize,
        patch_size: usize,
    ) -> Result<(Self, &'static str), WeightsError> {
        // DeiT III's huge network has patches of 14 too, but a width that DINOv2 does not have.
        if layer_scale && (patch_size != 14 || dim == 1280) {
            let what = format!(
                "a network with LayerScale, {dim} dimensions and patches of {patch_size} is none of DINOv2's (DeiT III has such): say which it is like with --family"
            );
            return Err(WeightsError::Unsuited(what));
        }
        Ok(if layer_scale {
            (Self::Dinov2, "LayerScale and patches of 14")
        } else if classifier {
            (Self::Supervised, "a classifier")
        } else if dim == 192 {
            (Self::Supervised, "192 dimensions")
        } else {
            (Self::Dino, "neither LayerScale nor a classifier")
        })
    }
}

impl fmt::Display for Family {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Family {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Self::ALL.into_iter().find(|family| family.name() == text).ok_or_else(|| "expected dino, dinov2 or supervised".into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prior_has_facets_and_a_resolution_of_its_own_where_they_are_better() {
        let dinov2 = Family::Dinov2;
        assert_eq!(dinov2.prior_facets(12).to_string(), "token@5+token@8+token@11");
        assert_eq!(dinov2.prior_facets(24).to_string(), "token@11+token@17+token@23");
        assert_eq!(dinov2.prior_facets(1).to_string(), "token@0+token@0+token@0");
        assert_eq!((dinov2.resolution(14, true), dinov2.resolution(14, false)), (504, 336));
        for family in [Family::Dino, Family::Supervised] {
            assert_eq!(family.prior_facets(12), family.facets(12));
            assert_eq!([8, 16].map(|patch| family.resolution(patch, true)), [280, 384]);
        }
    }
}
