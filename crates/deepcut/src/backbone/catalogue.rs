//! Networks with a name: where their weights are published, and their shapes. The command downloads them, not the library.

use super::vit::{Family, VisionTransformer, VitOptions};
use super::weights::WeightsError;
use crate::cpu::Cpu;

/// Name of the weights' file in every repository.
pub const FILE: &str = "model.safetensors";

/// A published vision transformer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Entry {
    /// Name on the command line.
    pub name: &'static str,
    /// Repository on the Hugging Face hub that holds [`FILE`].
    pub repository: &'static str,
    /// Family of the network.
    pub family: Family,
    /// Side of a patch in pixels.
    pub patch_size: usize,
    /// Length of a token.
    pub dim: usize,
    /// Number of blocks.
    pub depth: usize,
    /// Number of attention heads.
    pub heads: usize,
    /// Number of register tokens.
    pub registers: usize,
    /// SPDX identifier of the weights' license.
    pub license: &'static str,
}

const fn dino(name: &'static str, repository: &'static str, patch_size: usize, dim: usize) -> Entry {
    // Heads of 64 dimensions in both families.
    Entry {
        name,
        repository,
        family: Family::Dino,
        patch_size,
        dim,
        depth: 12,
        heads: dim / 64,
        registers: 0,
        license: "Apache-2.0",
    }
}

const fn dinov2(name: &'static str, repository: &'static str, dim: usize, depth: usize, registers: usize) -> Entry {
    Entry {
        name,
        repository,
        family: Family::Dinov2,
        patch_size: 14,
        dim,
        depth,
        heads: dim / 64,
        registers,
        license: "Apache-2.0",
    }
}

/// Every known network.
pub const ENTRIES: [Entry; 10] = [
    dino("dino-vits8", "timm/vit_small_patch8_224.dino", 8, 384),
    dino("dino-vits16", "timm/vit_small_patch16_224.dino", 16, 384),
    dino("dino-vitb8", "timm/vit_base_patch8_224.dino", 8, 768),
    dino("dino-vitb16", "timm/vit_base_patch16_224.dino", 16, 768),
    dinov2("dinov2-vits14", "timm/vit_small_patch14_dinov2.lvd142m", 384, 12, 0),
    dinov2("dinov2-vitb14", "timm/vit_base_patch14_dinov2.lvd142m", 768, 12, 0),
    dinov2("dinov2-vitl14", "timm/vit_large_patch14_dinov2.lvd142m", 1024, 24, 0),
    dinov2("dinov2-vits14-reg", "timm/vit_small_patch14_reg4_dinov2.lvd142m", 384, 12, 4),
    dinov2("dinov2-vitb14-reg", "timm/vit_base_patch14_reg4_dinov2.lvd142m", 768, 12, 4),
    dinov2("dinov2-vitl14-reg", "timm/vit_large_patch14_reg4_dinov2.lvd142m", 1024, 24, 4),
];

impl Entry {
    /// The entry with this name.
    #[must_use]
    pub fn by_name(name: &str) -> Option<&'static Self> {
        ENTRIES.iter().find(|entry| entry.name == name)
    }

    /// Number of parameters, without positions.
    #[must_use]
    pub fn parameters(&self) -> usize {
        let Self { dim, depth, patch_size, .. } = *self;
        depth * (12 * dim * dim + 13 * dim) + (3 * patch_size * patch_size + 1) * dim
    }

    /// Which network the file holds, if several are published under the name.
    #[must_use]
    pub fn note(&self) -> Option<&'static str> {
        (self.family == Family::Dino)
            .then_some("the teacher, which DINO publishes alone; DeepCut's code takes the student of the full checkpoint")
    }

    /// Builds the network from the entry's file.
    ///
    /// # Errors
    /// As [`VisionTransformer::from_bytes`]; [`WeightsError::Metadata`] if the file holds another network.
    pub fn load(&self, bytes: &[u8], cpu: &Cpu, options: &VitOptions) -> Result<VisionTransformer, WeightsError> {
        let (family, heads) = (options.family.or(Some(self.family)), options.heads.or(Some(self.heads)));
        let options = VitOptions { family, heads, ..options.clone() };
        let got = VisionTransformer::shape(self.name, bytes, &options)?;
        let expected = [self.patch_size, self.dim, self.depth, self.registers];
        if got != expected {
            return Err(WeightsError::Metadata(format!(
                "patch size, dimension, depth and registers are {got:?}; {} has {expected:?}",
                self.name
            )));
        }
        VisionTransformer::from_bytes(self.name, bytes, cpu, &options)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique_and_sizes_are_the_published_ones() {
        for entry in &ENTRIES {
            assert_eq!(
                ENTRIES.iter().filter(|other| other.name == entry.name || other.repository == entry.repository).count(),
                1
            );
            assert_eq!(Entry::by_name(entry.name), Some(entry));
        }
        // Caron et al., table 1, in millions: ViT-S 21, ViT-B 85.
        let millions = |name: &str| Entry::by_name(name).unwrap().parameters() / 1_000_000;
        assert_eq!([millions("dino-vits16"), millions("dino-vitb16"), millions("dinov2-vitl14")], [21, 85, 302]);
        assert_eq!(Entry::by_name("dino"), None);
    }

    #[test]
    fn another_network_under_the_name_is_refused() {
        let bytes = include_bytes!("../../tests/fixtures/vit_tiny_random.safetensors");
        let error = ENTRIES[0].load(bytes, &Cpu::default(), &VitOptions { heads: Some(2), ..VitOptions::default() }).unwrap_err();
        assert!(error.to_string().contains("[8, 64, 3, 0]; dino-vits8 has [8, 384, 12, 0]"), "{error}");
    }
}
