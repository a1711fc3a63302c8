//! Vision transformers: DINO, DINOv2 with and without registers, and timm's supervised ones.
//!
//! ```text
//! x₀ = [class + p₀ ; registers ; patches · E + b + p]
//! x  = x + γ₁ · (attention(norm₁(x)) · P + b)          for each block
//! x  = x + γ₂ · (GELU(norm₂(x) · M₁ + b) · M₂ + b)
//! ```
//!
//! | symbol | code                 | shape         | meaning                                                        |
//! |--------|----------------------|---------------|----------------------------------------------------------------|
//! | x      | `State::x`           | [tokens, dim] | class token, registers, patches                                |
//! | E      | `patch_embedding`    | [3·patch², dim] | a convolution with the patch as kernel                       |
//! | p      | `positions`          | [side², dim]  | positional embedding, interpolated: `backbone/position.rs`    |
//! | P, M₁, M₂ | `projection`, `fc1`, `fc2` |     | layers of a block                                              |
//! | γ      |                      | `[dim]`       | DINOv2's LayerScale, folded into P and M₂; 1 in other networks |
//!
//! Norms have ε = 10⁻⁶ unless a config says otherwise; GELU is the exact one.
//!
//! | file         | what it does                                                     |
//! |--------------|------------------------------------------------------------------|
//! | `mod.rs`     | the network: options, patch embedding, blocks in order, facets   |
//! | `block.rs`   | one block                                                        |
//! | `loading.rs` | builds the network from a file's tensors                         |
//! | `naming.rs`  | translates tensor names                                          |
//! | `family.rs`  | what differs between DINO, DINOv2 and supervised networks        |
//! | `sizes.rs`   | published sizes, which tell the number of heads                  |
//!
//! Only what the facet needs of the last block is computed: for keys, a norm and one product.
//!
//! Sources: Dosovitskiy et al. (arXiv 2010.11929); DINO (arXiv 2104.14294), `vision_transformer.py`; DINOv2 (arXiv 2304.07193);
//! registers (arXiv 2309.16588). The facets are those of the published code's `extractor.py`: see `PARITY.md`.

mod block;
pub(super) mod family;
mod loading;
mod naming;
pub(super) mod sizes;

use super::config::Config;
use super::facet::{Facet, Facets, fuse};
use super::linear::{Linear, resized};
use super::{Backbone, BackboneError, FeatureMap, Identity, Input, InputSpec};
use crate::cpu::{Cpu, Precision};
use crate::kernels::attention::{KeysValues, query_rows};
use crate::kernels::parallel;
use block::{Block, Norm, State};
pub use family::Family;
use std::fmt;

/// How to load and use a network. A None leaves the choice to the network's family, unless its field says otherwise.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct VitOptions {
    /// The family. None: inferred from the file, see [`Family`].
    pub family: Option<Family>,
    /// The features.
    pub facets: Option<Facets>,
    /// The block of facets that name none. None: the last.
    pub layer: Option<usize>,
    /// Whether the network is to get a [`Prior`](super::Prior): facets and resolution that are not given are those that suit one.
    pub for_prior: bool,
    /// Pixels between patches; divides the patch size. None: the patch size.
    pub stride: Option<usize>,
    /// Attention heads. None: from [`VitOptions::config`], the file's metadata or the published network of the same size; loading fails if
    /// none of them tells.
    pub heads: Option<usize>,
    /// Prefix of the network's tensor names, for a file with several networks. None: the file has one network.
    pub prefix: Option<String>,
    /// Contents of the `config.json` next to the file.
    pub config: Config,
    /// Precision of the products; sums, norms and the softmax are always in f32. [`Precision::Int8`] is not computed yet: the faster of f32
    /// and bf16 replaces it.
    pub precision: Precision,
}

/// The network. See the module's documentation.
pub struct VisionTransformer {
    cpu: Cpu,
    identity: Identity,
    family: Family,
    facets: Vec<(Facet, usize)>,
    patch_size: usize,
    stride: usize,
    /// Recommended side of the input in pixels.
    resolution: usize,
    heads: usize,
    dim: usize,
    /// The class token with its position, then the registers: `[1 + registers, dim]`.
    prefix: Vec<f32>,
    patch_embedding: Linear,
    /// `[table_side, table_side, dim]`.
    positions: Vec<f32>,
    table_side: usize,
    blocks: Vec<Block>,
    /// None in networks that end with a mean of their tokens.
    norm: Option<Norm>,
}

impl VisionTransformer {
    /// The family that the network belongs to.
    #[must_use]
    pub fn family(&self) -> Family {
        self.family
    }

    /// Length of a token.
    #[must_use]
    pub fn dim(&self) -> usize {
        self.dim
    }

    /// Number of blocks.
    #[must_use]
    pub fn depth(&self) -> usize {
        self.blocks.len()
    }

    /// Side of a patch in pixels.
    #[must_use]
    pub fn patch_size(&self) -> usize {
        self.patch_size
    }

    /// Number of register tokens.
    #[must_use]
    pub fn registers(&self) -> usize {
        self.prefix.len() / self.dim - 1
    }

    /// Rows and columns of an input's patches.
    fn grid(&self, input: Input<'_>) -> (usize, usize) {
        let cells = |side: usize| side.checked_sub(self.patch_size).map_or(0, |beyond| beyond / self.stride + 1);
        (cells(input.height), cells(input.width))
    }

    /// `x₀`, `[tokens, dim]`.
    fn embed(&self, input: Input<'_>) -> Vec<f32> {
        let cpu = &self.cpu;
        let (grid_height, grid_width) = self.grid(input);
        let (dim, patch, stride) = (self.dim, self.patch_size, self.stride);
        let interpolation = self.family.interpolation(self.registers());
        let positions = interpolation.apply(&self.positions, self.table_side, dim, (grid_height, grid_width));
        let mut x = self.prefix.clone();
        x.extend(positions);
        let rows = query_rows(cpu.isa, x.len() / dim);
        let tasks = x[self.prefix.len()..].chunks_mut(rows * dim).enumerate();
        parallel::for_each_with(tasks, &mut Vec::new(), |patches: &mut Vec<f32>, (task, out)| {
            let patches = resized(patches, out.len() / dim * patch * patch * 3);
            for (at, row) in patches.chunks_exact_mut(patch * 3).enumerate() {
                let (cell, i) = (task * rows + at / patch, at % patch);
                let (y, x) = (cell / grid_width * stride + i, cell % grid_width * stride);
                let from = (y * input.width + x) * 3;
                row.copy_from_slice(&input.data[from..from + patch * 3]);
            }
            self.patch_embedding.add(cpu, patches, out);
        });
        x
    }

    /// The patches' rows of a `[tokens, dim]` matrix.
    fn patches<'a>(&self, tokens: &'a [f32]) -> &'a [f32] {
        &tokens[self.prefix.len()..]
    }

    /// The features of one input.
    fn features_of(&self, input: Input<'_>) -> Result<FeatureMap, BackboneError> {
        let cpu = &self.cpu;
        let (grid_height, grid_width) = self.grid(input);
        if grid_height == 0 || grid_width == 0 {
            let Input { height, width, .. } = input;
            return Err(BackboneError::TooSmall { height, width, patch: self.patch_size });
        }
        let mut maps: Vec<Option<FeatureMap>> = vec![None; self.facets.len()];
        let keys_values = KeysValues::new(cpu.float(self.identity.precision));
        let mut state = State { x: self.embed(input), keys_values, ..State::default() };
        for (index, block) in self.blocks.iter().enumerate() {
            input.go_on()?;
            let wanted = |facet: Facet| self.facets.contains(&(facet, index));
            let mut keep = |facet: Facet, tokens: &[f32]| {
                for (map, _) in maps.iter_mut().zip(&self.facets).filter(|(_, which)| **which == (facet, index)) {
                    *map = Some(FeatureMap::new(grid_height, grid_width, self.dim, self.patches(tokens).to_vec())?);
                }
                Ok::<(), BackboneError>(())
            };
            // Whether anything beyond this block's queries, keys and values is wanted.
            let goes_on = self.facets.iter().any(|&(facet, at)| at > index || at == index && facet.needs_whole_block());
            let State { x, query, key, value, scratch, .. } = &mut state;
            let mut outputs =
                vec![(Facet::Query, &block.query, query), (Facet::Key, &block.key, key), (Facet::Value, &block.value, value)];
            outputs.retain(|(facet, ..)| goes_on || wanted(*facet));
            block.project(cpu, x, scratch, &mut outputs);
            outputs.iter().try_for_each(|(facet, _, tokens)| keep(*facet, tokens))?;
            if !goes_on {
                break;
            }
            block.mix(cpu, self.heads, &mut state);
            keep(Facet::Token, &state.x)?;
            if let Some(norm) = self.norm.as_ref().filter(|_| wanted(Facet::NormToken)) {
                let mut normed = vec![0.0; state.x.len()];
                norm.apply(cpu, &state.x, &mut normed);
                keep(Facet::NormToken, &normed)?;
            }
        }
        Ok(fuse(maps.into_iter().flatten().collect())?)
    }
}

impl Backbone for VisionTransformer {
    fn identity(&self) -> &Identity {
        &self.identity
    }

    fn input(&self) -> InputSpec {
        let Self { resolution, patch_size: size_multiple, .. } = *self;
        InputSpec { mean: self.identity.mean, std: self.identity.std, size_multiple, resolution }
    }

    fn features(&self, inputs: &[Input<'_>]) -> Result<Vec<FeatureMap>, BackboneError> {
        inputs.iter().map(|&input| self.cpu.together(|| self.features_of(input))).collect()
    }
}

impl fmt::Debug for VisionTransformer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("VisionTransformer").field(&self.identity).finish()
    }
}
