//! Vision transformers: DINO, DINOv2 with and without registers, and the supervised ones of timm.
//!
//! ```text
//! x₀ = [class + p₀ ; registers ; patches · E + b + p]
//! x  = x + γ₁ · (attention(norm₁(x)) · P + b)          for each block
//! x  = x + γ₂ · (GELU(norm₂(x) · M₁ + b) · M₂ + b)
//! ```
//!
//! where symbol – meaning: `p` – positional embedding, interpolated as `position.rs` says; `γ` – DINOv2's LayerScale, one
//! elsewhere, folded into `P` and `M₂`; norms have ε = 10⁻⁶ unless a config says otherwise; GELU is the exact one.
//!
//! Sources: Dosovitskiy et al. (arXiv 2010.11929); DINO (arXiv 2104.14294), `vision_transformer.py`; DINOv2 (arXiv 2304.07193);
//! registers (arXiv 2309.16588). The facets are those of the published code's `extractor.py`: see `PARITY.md`.
//!
//! A block is two passes over the tokens, `query_rows` at a time: norm, queries, keys and values; then attention, projection, norm and
//! MLP of the same rows, whose hidden activations never leave the second-level cache. Of the last block only what the facet needs
//! is computed: for keys, a norm and one product.

use super::config::Config;
use super::facet::{BlockFacet, Facet, Facets, fuse};
use super::linear::{Linear, resized};
use super::position::Interpolation;
use super::weights::{Weights, WeightsError, sha256};
use super::{Backbone, BackboneError, FeatureMap, Identity, Input, InputSpec};
use crate::cpu::{Cpu, Precision};
use crate::kernels::attention::{self, KeysValues, query_rows};
use crate::kernels::parallel;
use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

const EPSILON: f32 = 1e-6;
/// Dimensions, blocks and heads of the published sizes: Ti, S, medium, B, L, H, g, DINOv2's g, G. Beyond them nothing tells the number of heads.
const HEADS: [(usize, usize, usize); 9] = [
    (192, 12, 3),
    (384, 12, 6),
    (512, 12, 8),
    (768, 12, 12),
    (1024, 24, 16),
    (1280, 32, 16),
    (1408, 40, 16),
    (1536, 40, 24),
    (1664, 48, 16),
];
const IMAGENET: ([f32; 3], [f32; 3]) = ([0.485, 0.456, 0.406], [0.229, 0.224, 0.225]);
const HALVES: ([f32; 3], [f32; 3]) = ([0.5; 3], [0.5; 3]);

/// Which published networks a file belongs to: decides normalisation, positions and the default facet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Family {
    /// Self-supervised, arXiv 2104.14294: keys of the last block.
    Dino,
    /// Self-supervised, arXiv 2304.07193: tokens after the final norm.
    Dinov2,
    /// Trained on ImageNet's classes (AugReg, arXiv 2106.10270): values of the middle block and keys of the block after two thirds.
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

    fn normalization(self) -> ([f32; 3], [f32; 3]) {
        if self == Self::Supervised { HALVES } else { IMAGENET }
    }

    fn interpolation(self, registers: usize) -> Interpolation {
        match self {
            Self::Dino => Interpolation { offset: 0.1, antialias: false },
            Self::Dinov2 if registers == 0 => Interpolation { offset: 0.1, antialias: false },
            Self::Dinov2 => Interpolation { offset: 0.0, antialias: true },
            Self::Supervised => Interpolation { offset: 0.0, antialias: false },
        }
    }

    fn facets(self, depth: usize) -> Facets {
        let one = |facet, block| BlockFacet { facet, block };
        Facets(match self {
            Self::Dino => vec![one(Facet::Key, None)],
            Self::Dinov2 => vec![one(Facet::NormToken, None)],
            Self::Supervised => vec![one(Facet::Value, Some(depth / 2)), one(Facet::Key, Some(depth * 2 / 3))],
        })
    }

    /// Reads the family off a file, and says by what: only DINOv2 scales the layers of patches of 14; of the others, those with a classifier and those of
    /// 192 dimensions were trained on classes.
    fn detect(load: &Loader<'_>, dim: usize, patch_size: usize) -> Result<(Self, &'static str), WeightsError> {
        // DeiT III's H has patches of 14, too, but a width that DINOv2 has not.
        if load.layer_scale && (patch_size != 14 || dim == 1280) {
            let what = format!(
                "a network with LayerScale, {dim} dimensions and patches of {patch_size} is none of DINOv2's (DeiT III has such): say which it is like with --family"
            );
            return Err(WeightsError::Unsuited(what));
        }
        Ok(if load.layer_scale {
            (Self::Dinov2, "LayerScale and patches of 14")
        } else if load.has("head.weight") || load.has("classifier.weight") {
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

/// What of a network to use; every None is the family's own.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct VitOptions {
    /// None: read off the file, see [`Family`].
    pub family: Option<Family>,
    /// The features.
    pub facets: Option<Facets>,
    /// The block of facets that name none. None: the last.
    pub layer: Option<usize>,
    /// Pixels between patches; divides the patch size. None: the patch size.
    pub stride: Option<usize>,
    /// Attention heads. None: as [`VitOptions::config`], the file's metadata or the published network of the same size have; where none tells, an error.
    pub heads: Option<usize>,
    /// Of a file with several networks, the one whose tensors' names begin so. None: the only one.
    pub prefix: Option<String>,
    /// What the `config.json` beside the file says.
    pub config: Config,
    /// Precision of the products; sums, norms and the softmax are in f32 always. [`Precision::Int8`] is not computed yet: it is the faster of f32 and bf16.
    pub precision: Precision,
}

struct Norm {
    weight: Vec<f32>,
    bias: Vec<f32>,
    epsilon: f32,
}

impl Norm {
    fn apply(&self, cpu: &Cpu, rows: &[f32], out: &mut [f32]) {
        cpu.isa.layer_norm(rows, &self.weight, &self.bias, self.epsilon, out);
    }
}

struct Block {
    norm1: Norm,
    query: Linear,
    key: Linear,
    value: Linear,
    /// With `γ₁`.
    projection: Linear,
    norm2: Norm,
    fc1: Linear,
    /// With `γ₂`.
    fc2: Linear,
}

/// The network. See the module's documentation.
pub struct VisionTransformer {
    cpu: Cpu,
    identity: Identity,
    family: Family,
    facets: Vec<(Facet, usize)>,
    patch_size: usize,
    stride: usize,
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

/// How a file names its tensors.
struct Naming {
    prefix: String,
    transformers: bool,
    /// Of the two ways transformers names a block's tensors.
    dinov2: bool,
}

/// Tensors outside the blocks: timm's name (which DINO and DINOv2 use too), transformers' name.
const OUTSIDE: [[&str; 2]; 6] = [
    ["cls_token", "embeddings.cls_token"],
    ["pos_embed", "embeddings.position_embeddings"],
    ["register_tokens", "embeddings.register_tokens"],
    ["mask_token", "embeddings.mask_token"],
    ["patch_embed.proj", "embeddings.patch_embeddings.projection"],
    ["norm", "layernorm"],
];

/// A block's tensors: timm's name, then transformers' in its ViT and in its DINOv2. timm joins query, key and value in `attn.qkv`.
const INSIDE: [[&str; 3]; 10] = [
    ["norm1", "layernorm_before", "norm1"],
    ["attn.query", "attention.attention.query", "attention.attention.query"],
    ["attn.key", "attention.attention.key", "attention.attention.key"],
    ["attn.value", "attention.attention.value", "attention.attention.value"],
    ["attn.proj", "attention.output.dense", "attention.output.dense"],
    ["ls1.gamma", "layer_scale1.lambda1", "layer_scale1.lambda1"],
    ["norm2", "layernorm_after", "norm2"],
    ["mlp.fc1", "intermediate.dense", "mlp.fc1"],
    ["mlp.fc2", "output.dense", "mlp.fc2"],
    ["ls2.gamma", "layer_scale2.lambda1", "layer_scale2.lambda1"],
];

/// The patch embedding, by which a network in a file is known: timm's name, transformers' name.
const PATCHES: [&str; 2] = ["patch_embed.proj.weight", "embeddings.patch_embeddings.projection.weight"];

/// The registers, as DINOv2 and transformers name them and as timm does.
const REGISTERS: [&str; 2] = ["register_tokens", "reg_token"];

/// What comes with some files and has no part in the features: heads, decoders, what is only needed in training.
const PASSED_OVER: [&str; 15] = [
    "mask_token",
    "embeddings.mask_token",
    "embeddings.position_ids",
    "head.",
    "head_dist.",
    "classifier.",
    "fc_norm.",
    "pooler.",
    "pre_logits.",
    "dino_head.",
    "ibot_head.",
    "decoder.",
    "decoder_",
    "projector.",
    "predictor.",
];

/// Parts of names that tell of what this program does not compute.
const STRANGE: [(&str, &str); 17] = [
    (".mlp.w12.", "a SwiGLU MLP (as DINOv2's g has)"),
    (".mlp.weights_in.", "a SwiGLU MLP (as DINOv2's g has)"),
    (".mlp.fc1_g.", "a SwiGLU MLP (as EVA-02 has)"),
    (".gate_proj.", "a SwiGLU MLP (as DINOv3's H+ has)"),
    ("q_norm.", "normalised queries and keys"),
    ("k_norm.", "normalised queries and keys"),
    (".attn.norm.", "a norm inside attention"),
    (".mlp.norm.", "a norm inside the MLP"),
    ("norm_pre.", "a norm before the first block (as CLIP has)"),
    ("ln_pre.", "a norm before the first block (as CLIP has)"),
    ("pre_layrnorm.", "a norm before the first block (as CLIP has)"),
    ("rel_pos", "relative positions"),
    ("relative_position", "relative positions (as BEiT has)"),
    ("rope", "rotary positions (as DINOv3 and EVA-02 have)"),
    ("dist_token", "a distillation token (as DeiT has)"),
    ("distillation_token", "a distillation token (as DeiT has)"),
    (".gamma_1", "scales of another kind than LayerScale's (as BEiT has)"),
];

fn is_passed_over(name: &str) -> bool {
    PASSED_OVER.iter().any(|begin| name.starts_with(begin) && (begin.ends_with(['.', '_']) || name == *begin))
}

/// Whether a tensor is a LayerScale: a file has all of them or none.
fn is_layer_scale(name: &str) -> bool {
    [".ls1.gamma", ".ls2.gamma", ".layer_scale1.lambda1", ".layer_scale2.lambda1"].iter().any(|end| name.ends_with(end))
}

impl Naming {
    /// Finds the network in a file by its patch embedding; `wanted` is the prefix of its names, if the user says it.
    fn detect(weights: &Weights<'_>, wanted: Option<&str>) -> Result<Self, WeightsError> {
        let found = |ends: [&str; 2]| -> Vec<(String, bool)> {
            let prefix =
                |name: &str, end: &str| name.strip_suffix(end).filter(|p| p.is_empty() || p.ends_with('.')).map(str::to_owned);
            let of = |name| ends.iter().enumerate().rev().find_map(|(at, end)| Some((prefix(name, end)?, at == 1)));
            weights.names().filter_map(of).collect()
        };
        let mut networks = found(PATCHES);
        if networks.is_empty() {
            // Without its patch embedding, so that what is missing is named.
            networks = found(["cls_token", "embeddings.cls_token"]);
        }
        let all = networks.iter().map(|(prefix, _)| format!("`{prefix}`")).collect::<Vec<_>>().join(", ");
        if let Some(wanted) = wanted {
            networks.retain(|(prefix, _)| prefix.trim_end_matches('.') == wanted.trim_end_matches('.'));
            if networks.is_empty() {
                return Err(WeightsError::Unsuited(format!("no network's tensors begin with `{wanted}`; there is {all}")));
            }
        }
        if networks.len() > 1 {
            let hint = if all.contains("teacher") { " (DINO's and DINOv2's authors evaluate the teacher)" } else { "" };
            let count = networks.len();
            return Err(WeightsError::Unsuited(format!("the file holds {count} networks, {all}: say which with --prefix{hint}")));
        }
        let Some((prefix, transformers)) = networks.pop() else {
            let names: Vec<_> = weights.names().take(3).collect();
            return Err(WeightsError::Unsuited(format!(
                "no tensor is a vision transformer's patch embedding (`{}` in timm's naming, `{}` in transformers'); the first are {}",
                PATCHES[0],
                PATCHES[1],
                names.join(", ")
            )));
        };
        let dinov2 = weights.names().filter(|name| name.starts_with(&prefix)).any(is_layer_scale);
        Ok(Self { prefix, transformers, dinov2 })
    }

    /// The file's name for a tensor that timm calls `name`.
    fn file_name(&self, name: &str) -> String {
        let prefix = &self.prefix;
        if !self.transformers {
            return format!("{prefix}{name}");
        }
        let renamed = |rest: &str, ours: &str, theirs: &str| {
            let parameter = rest.strip_prefix(ours)?;
            (parameter.is_empty() || parameter.starts_with('.')).then(|| format!("{theirs}{parameter}"))
        };
        if let Some((block, rest)) = name.strip_prefix("blocks.").and_then(|name| name.split_once('.')) {
            let found = INSIDE.iter().find_map(|names| renamed(rest, names[0], names[1 + usize::from(self.dinov2)]));
            return format!("{prefix}encoder.layer.{block}.{}", found.unwrap_or_else(|| rest.into()));
        }
        let found = OUTSIDE.iter().find_map(|[ours, theirs]| renamed(name, ours, theirs));
        format!("{prefix}{}", found.unwrap_or_else(|| name.into()))
    }
}

/// Takes the tensors of one file by their timm names.
struct Loader<'a> {
    weights: Weights<'a>,
    naming: Naming,
    layer_scale: bool,
    precision: Precision,
    epsilon: f32,
}

impl Loader<'_> {
    fn has(&self, name: &str) -> bool {
        self.weights.shape(&self.naming.file_name(name)).is_ok()
    }

    fn shape(&self, name: &str) -> Result<Vec<usize>, WeightsError> {
        self.weights.shape(&self.naming.file_name(name))
    }

    fn take(&mut self, name: &str, shape: &[usize]) -> Result<Vec<f32>, WeightsError> {
        self.weights.take(&self.naming.file_name(name), shape)
    }

    fn norm(&mut self, name: &str, dim: usize) -> Result<Norm, WeightsError> {
        let [weight, bias] = ["weight", "bias"].map(|part| self.take(&format!("{name}.{part}"), &[dim]));
        Ok(Norm { weight: weight?, bias: bias?, epsilon: self.epsilon })
    }

    /// `[outputs, inputs]` weights and `[outputs]` bias.
    fn linear(&mut self, name: &str, inputs: usize, outputs: usize) -> Result<[Vec<f32>; 2], WeightsError> {
        Ok([self.take(&format!("{name}.weight"), &[outputs, inputs])?, self.take(&format!("{name}.bias"), &[outputs])?])
    }

    /// A layer whose outputs are multiplied by `{scale}.gamma`, if the network has LayerScale.
    fn scaled(&mut self, name: &str, scale: &str, inputs: usize, outputs: usize) -> Result<Linear, WeightsError> {
        let [mut weight, mut bias] = self.linear(name, inputs, outputs)?;
        if self.layer_scale {
            let gamma = self.take(&format!("{scale}.gamma"), &[outputs])?;
            for ((row, bias), gamma) in weight.chunks_exact_mut(inputs).zip(&mut bias).zip(gamma) {
                row.iter_mut().for_each(|w| *w *= gamma);
                *bias *= gamma;
            }
        }
        Ok(Linear::new(self.precision, &weight, bias, inputs))
    }

    fn block(&mut self, index: usize, dim: usize) -> Result<Block, WeightsError> {
        let name = |part: &str| format!("blocks.{index}.{part}");
        // Apart, as transformers and some others have them, or joined.
        let apart = [
            ["attn.query", "attn.key", "attn.value"],
            ["attn.q", "attn.k", "attn.v"],
            ["attn.q_proj", "attn.k_proj", "attn.v_proj"],
        ];
        let named = apart.into_iter().find(|parts| self.has(&name(&format!("{}.weight", parts[0]))));
        let [query, key, value] = if let Some([query, key, value]) = named.or(self.naming.transformers.then_some(apart[0])) {
            let mut take = |part| self.linear(&name(part), dim, dim);
            [take(query)?, take(key)?, take(value)?]
        } else {
            let [weight, bias] = self.linear(&name("attn.qkv"), dim, 3 * dim)?;
            [0, 1, 2].map(|i| [weight[i * dim * dim..(i + 1) * dim * dim].to_vec(), bias[i * dim..(i + 1) * dim].to_vec()])
        };
        let precision = self.precision;
        let linear = |[weight, bias]: [Vec<f32>; 2]| Linear::new(precision, &weight, bias, dim);
        let hidden: usize = self.shape(&name("mlp.fc1.bias"))?.iter().product();
        if hidden == 0 {
            return Err(WeightsError::Metadata(format!("block {index} has an MLP of no width")));
        }
        if self.shape(&name("mlp.fc2.weight")).is_ok_and(|shape| shape == [dim, hidden / 2] && hidden.is_multiple_of(2)) {
            return Err(not_computed("a SwiGLU MLP (as DINOv2's g has)"));
        }
        let fc1 = self.linear(&name("mlp.fc1"), dim, hidden)?;
        Ok(Block {
            norm1: self.norm(&name("norm1"), dim)?,
            query: linear(query),
            key: linear(key),
            value: linear(value),
            projection: self.scaled(&name("attn.proj"), &name("ls1"), dim, dim)?,
            norm2: self.norm(&name("norm2"), dim)?,
            fc1: linear(fc1),
            fc2: self.scaled(&name("mlp.fc2"), &name("ls2"), hidden, dim)?,
        })
    }

    /// The class token with its position and the registers, the positions of the patches, the side of their grid, and whether the class token
    /// lies at zero, as it does where positions are fixed.
    fn tokens(&mut self, dim: usize) -> Result<(Vec<f32>, Vec<f32>, usize, bool), WeightsError> {
        let mut prefix = self.take("cls_token", &[1, 1, dim])?;
        let count = self.shape("pos_embed")?.get(1).copied().unwrap_or_default();
        let mut positions = self.take("pos_embed", &[1, count, dim])?;
        // timm's networks with registers have added the class token's position to it already.
        let with_class = count.isqrt().pow(2) != count;
        let side = (count - usize::from(with_class)).isqrt();
        if side == 0 || side * side + usize::from(with_class) != count {
            let what = format!("`{}` holds {count} positions: no square grid", self.naming.file_name("pos_embed"));
            return Err(WeightsError::Metadata(what));
        }
        let fixed = with_class && positions[..dim].iter().all(|&value| value == 0.0);
        if with_class {
            prefix.iter_mut().zip(positions.drain(..dim)).for_each(|(x, p)| *x += p);
        }
        for name in REGISTERS {
            if self.has(name) {
                let registers = self.shape(name)?.get(1).copied().unwrap_or_default();
                prefix.extend(self.take(name, &[1, registers, dim])?);
            }
        }
        Ok((prefix, positions, side, fixed))
    }
}

fn not_computed(what: &str) -> WeightsError {
    WeightsError::Unsuited(format!("the network has {what}, which this program does not compute"))
}

/// The number of heads, and what it was taken from if nobody said it.
fn heads(
    options: &VitOptions,
    config: &Config,
    [dim, depth]: [usize; 2],
    fixed: bool,
) -> Result<(usize, Option<String>), WeightsError> {
    if let Some(heads) = options.heads.or_else(|| config.heads(dim)) {
        return Ok((heads, None));
    }
    let published = HEADS.iter().find(|&&(width, blocks, _)| [width, blocks] == [dim, depth]);
    match published {
        // MoCo v3's, whose positions are sines, as are those of no other published network of this size.
        Some(&(384, ..)) if fixed => Err(WeightsError::Unsuited(
            "nothing tells the number of heads: 12 in MoCo v3's network of 384 dimensions, whose positions are fixed, 6 in others; say it with --heads".into(),
        )),
        Some((.., heads)) => Ok((*heads, Some(format!("{heads} heads, as in published networks of {dim} dimensions and {depth} blocks (--heads)")))),
        None => Err(WeightsError::Unsuited(format!(
            "nothing tells the number of heads of a network of {dim} dimensions and {depth} blocks; say it with --heads, or put its config.json beside it"
        ))),
    }
}

/// A file whose network was found.
struct Opened<'a> {
    load: Loader<'a>,
    config: Config,
    /// Patch size, dimensions, blocks and registers.
    shape: [usize; 4],
    ignored: Vec<String>,
}

fn open<'a>(name: &str, bytes: &'a [u8], options: &VitOptions) -> Result<Opened<'a>, WeightsError> {
    let mut weights = Weights::parse_named(name, bytes)?;
    let config = options.config.clone().or(weights.config()?);
    let naming = Naming::detect(&weights, options.prefix.as_deref())?;
    let (prefix, layer_scale) = (naming.prefix.clone(), naming.dinov2);
    let is_ignored = |name: &str| name.strip_prefix(&*prefix).is_none_or(is_passed_over);
    let ignored = summary(weights.names().filter(|name| is_ignored(name)));
    let strange = |part: &str| weights.names().any(|name| !is_ignored(name) && name.contains(part));
    if let Some((_, what)) = STRANGE.iter().find(|(part, _)| strange(part)) {
        return Err(not_computed(what));
    }
    weights.ignore(is_ignored);
    let epsilon = config.epsilon.unwrap_or(EPSILON);
    let load = Loader { weights, naming, layer_scale, precision: options.precision, epsilon };

    let patch = load.shape("patch_embed.proj.weight")?;
    let (dim, size) = match patch[..] {
        [dim, 3, size, width] if dim > 0 && size > 0 && size == width => (dim, size),
        _ => {
            let what = format!("the patch embedding has shape {patch:?}, expected [dim, 3, patch, patch]");
            return Err(WeightsError::Metadata(what));
        }
    };
    let depth = (0..).take_while(|i| load.has(&format!("blocks.{i}.norm1.weight"))).count();
    if depth == 0 {
        return Err(WeightsError::Missing { name: load.naming.file_name("blocks.0.norm1.weight"), expected: vec![dim] });
    }
    let count = |name| load.shape(name).ok().and_then(|shape| shape.get(1).copied()).unwrap_or_default();
    let shape = [size, dim, depth, REGISTERS.into_iter().map(count).sum()];
    Ok(Opened { load, config, shape, ignored })
}

/// Names by their first part, with how many there are.
fn summary<'a>(names: impl Iterator<Item = &'a str>) -> Vec<String> {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    names.for_each(|name| *counts.entry(name.split_once('.').map_or(name, |(first, _)| first)).or_default() += 1);
    counts
        .into_iter()
        .map(|(name, count)| if count == 1 { name.to_owned() } else { format!("{name} ({count} tensors)") })
        .collect()
}

impl VisionTransformer {
    /// Builds the network from safetensors bytes in any of three naming schemes: timm's, which DINO's and DINOv2's own files share, and
    /// transformers' two. Width, depth, patch size, registers and LayerScale are read off the tensors.
    ///
    /// # Errors
    /// Every variant of [`WeightsError`] but `NoMetadata`; `Unsuited` if `options` ask for what the network does not have.
    pub fn from_bytes(name: &str, bytes: &[u8], cpu: &Cpu, options: &VitOptions) -> Result<Self, WeightsError> {
        let (network, sha256) = parallel::join(|| Self::read(name, bytes, cpu, options), || sha256(bytes));
        let mut network = network?;
        network.identity.sha256 = sha256;
        Ok(network)
    }

    /// Patch size, dimensions, blocks and registers of a file's network, of which nothing else is looked at.
    pub(super) fn shape(name: &str, bytes: &[u8], options: &VitOptions) -> Result<[usize; 4], WeightsError> {
        Ok(open(name, bytes, options)?.shape)
    }

    /// [`VisionTransformer::from_bytes`], but for the checksum.
    fn read(name: &str, bytes: &[u8], cpu: &Cpu, options: &VitOptions) -> Result<Self, WeightsError> {
        let Opened { mut load, config, shape: [patch_size, dim, depth, _], ignored } = open(name, bytes, options)?;
        let precision = cpu.network_precision(options.precision, false);
        load.precision = precision;
        let unsuited = |what: String| Err(WeightsError::Unsuited(what));
        let stride = options.stride.unwrap_or(patch_size);
        if stride == 0 || !patch_size.is_multiple_of(stride) {
            return unsuited(format!("stride {stride} does not divide the patch size, {patch_size}"));
        }
        config.check(dim, depth, patch_size)?;
        let (prefix, positions, table_side, fixed) = load.tokens(dim)?;
        let (heads, assumed) = heads(options, &config, [dim, depth], fixed)?;
        let mut assumed = Vec::from_iter(assumed);
        if heads == 0 || !dim.is_multiple_of(heads) {
            return unsuited(format!("{heads} heads do not divide {dim} dimensions"));
        }
        let family = match options.family.or(config.family) {
            Some(family) => family,
            None => {
                let (family, by) = Family::detect(&load, dim, patch_size)?;
                assumed.push(format!("the family {family}, by {by} (--family)"));
                family
            }
        };
        let chosen = options.facets.clone().unwrap_or_else(|| family.facets(depth));
        let facets: Vec<_> = chosen.0.iter().map(|f| (f.facet, f.block.or(options.layer).unwrap_or(depth - 1))).collect();
        if let Some((facet, block)) = facets.iter().find(|(_, block)| *block >= depth) {
            return unsuited(format!("{}@{block}: the network's blocks are 0 to {}", facet.name(), depth - 1));
        }
        let normed = load.has("norm.weight") || !load.has("fc_norm.weight");
        if !normed && facets.iter().any(|(facet, _)| *facet == Facet::NormToken) {
            return unsuited(
                "norm-token: this network has no norm of its tokens, only one of their mean; take another --facet".into(),
            );
        }

        let patch = load.take("patch_embed.proj.weight", &[dim, 3, patch_size, patch_size])?;
        let patch_embedding = Linear::patches(precision, &patch, load.take("patch_embed.proj.bias", &[dim])?, 3, patch_size);
        let blocks = (0..depth).map(|i| load.block(i, dim)).collect::<Result<_, _>>()?;
        let norm = normed.then(|| load.norm("norm", dim)).transpose()?;
        let epsilon = load.epsilon;
        load.weights.finish()?;
        let (mean, std) = family.normalization();
        let (mean, std) = (config.mean.unwrap_or(mean), config.std.unwrap_or(std));

        let features = Facets(facets.iter().map(|&(facet, block)| BlockFacet { facet, block: Some(block) }).collect());
        let identity = Identity {
            name: name.into(),
            sha256: String::new(),
            features: features.to_string(),
            stride,
            precision,
            family: Some(family),
            heads: Some(heads),
            mean,
            std,
            epsilon: Some(epsilon),
            assumed,
            ignored,
        };
        Ok(Self {
            cpu: cpu.clone(),
            identity,
            family,
            facets,
            patch_size,
            stride,
            heads,
            dim,
            prefix,
            patch_embedding,
            positions,
            table_side,
            blocks,
            norm,
        })
    }

    /// The family its file belongs to.
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

    /// Pixels on a patch's side.
    #[must_use]
    pub fn patch_size(&self) -> usize {
        self.patch_size
    }

    /// Register tokens.
    #[must_use]
    pub fn registers(&self) -> usize {
        self.prefix.len() / self.dim - 1
    }

    /// Rows and columns of patches of an input.
    fn grid(&self, input: Input<'_>) -> (usize, usize) {
        let cells = |side: usize| side.checked_sub(self.patch_size).map_or(0, |beyond| beyond / self.stride + 1);
        (cells(input.height), cells(input.width))
    }

    /// `x₀`, `[tokens, dim]`.
    fn embed(&self, cpu: &Cpu, input: Input<'_>) -> Vec<f32> {
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
}

impl fmt::Debug for VisionTransformer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("VisionTransformer").field(&self.identity).finish()
    }
}

/// Activations of one picture, `[tokens, dim]` each, and what its blocks share.
#[derive(Default)]
struct State {
    x: Vec<f32>,
    query: Vec<f32>,
    key: Vec<f32>,
    value: Vec<f32>,
    keys_values: KeysValues,
    scratch: Vec<Scratch>,
}

/// Buffers of one task, kept by its thread.
#[derive(Default)]
struct Scratch {
    normed: Vec<f32>,
    hidden: Vec<f32>,
    attention: attention::Scratch,
}

impl Block {
    /// The first pass: `linear(norm₁(x))` for each output.
    fn project(&self, cpu: &Cpu, x: &[f32], scratch: &mut Vec<Scratch>, outputs: &mut [(Facet, &Linear, &mut Vec<f32>)]) {
        let dim = self.norm1.weight.len();
        let rows = query_rows(cpu.isa, x.len() / dim) * dim;
        // Each task has its rows of every output.
        let mut tasks: Vec<_> = x.chunks(rows).map(|x| (x, Vec::with_capacity(outputs.len()))).collect();
        for (_, linear, out) in outputs {
            out.resize(x.len(), 0.0);
            tasks.iter_mut().zip(out.chunks_mut(rows)).for_each(|(task, out)| task.1.push((*linear, out)));
        }
        parallel::for_each_with(tasks.into_iter(), scratch, |scratch, (rows, outputs)| {
            let normed = resized(&mut scratch.normed, rows.len());
            self.norm1.apply(cpu, rows, normed);
            outputs.into_iter().for_each(|(linear, out)| linear.apply(cpu, normed, out));
        });
    }

    /// The second pass: attention and MLP.
    fn mix(&self, cpu: &Cpu, heads: usize, state: &mut State) {
        let dim = self.norm1.weight.len();
        let State { x, query, key, value, keys_values, scratch } = state;
        keys_values.fill(key, value, dim, heads);
        let rows = query_rows(cpu.isa, x.len() / dim) * dim;
        parallel::for_each_with(x.chunks_mut(rows).zip(query.chunks(rows)), scratch, |scratch, (x, query)| {
            let normed = resized(&mut scratch.normed, x.len());
            keys_values.attend(cpu.isa, query, &mut scratch.attention, normed);
            self.projection.add(cpu, normed, x);
            self.norm2.apply(cpu, x, normed);
            let hidden = resized(&mut scratch.hidden, x.len() / dim * self.fc1.outputs());
            self.fc1.apply(cpu, normed, hidden);
            cpu.isa.gelu(hidden);
            self.fc2.add(cpu, hidden, x);
        });
    }
}

impl Backbone for VisionTransformer {
    fn identity(&self) -> &Identity {
        &self.identity
    }

    fn input(&self) -> InputSpec {
        let resolution = match self.patch_size {
            // 35 × 35 patches, as the paper's.
            8 => 280,
            // About 24 × 24.
            patch => 24 * patch,
        };
        InputSpec { mean: self.identity.mean, std: self.identity.std, size_multiple: self.patch_size, resolution }
    }

    fn features(&self, inputs: &[Input<'_>]) -> Result<Vec<FeatureMap>, BackboneError> {
        inputs.iter().map(|&input| self.cpu.together(|| self.features_of(input))).collect()
    }
}

impl VisionTransformer {
    fn features_of(&self, input: Input<'_>) -> Result<FeatureMap, BackboneError> {
        let cpu = &self.cpu;
        let (grid_height, grid_width) = self.grid(input);
        if grid_height == 0 || grid_width == 0 {
            let Input { height, width, .. } = input;
            return Err(BackboneError::TooSmall { height, width, patch: self.patch_size });
        }
        let mut found: Vec<Option<FeatureMap>> = vec![None; self.facets.len()];
        let keys_values = KeysValues::new(cpu.float(self.identity.precision));
        let mut state = State { x: self.embed(cpu, input), keys_values, ..State::default() };
        for (index, block) in self.blocks.iter().enumerate() {
            let wanted = |facet: Facet| self.facets.contains(&(facet, index));
            let mut keep = |facet: Facet, tokens: &[f32]| {
                for (place, _) in found.iter_mut().zip(&self.facets).filter(|(_, which)| **which == (facet, index)) {
                    *place = Some(FeatureMap::new(grid_height, grid_width, self.dim, self.patches(tokens).to_vec())?);
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
        Ok(fuse(found.into_iter().flatten().collect())?)
    }
}
