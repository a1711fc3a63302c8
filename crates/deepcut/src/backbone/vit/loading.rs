//! Builds the network from a file: finds it, checks that it is one this program computes, and takes its tensors.

use super::block::{Block, Norm};
use super::family::Family;
use super::naming::{Naming, REGISTERS, SWIGLU, unsupported};
use super::sizes::heads_by_shape;
use super::{VisionTransformer, VitOptions};
use crate::backbone::Identity;
use crate::backbone::config::Config;
use crate::backbone::facet::{BlockFacet, Facet, Facets};
use crate::backbone::linear::Linear;
use crate::backbone::weights::{Weights, WeightsError, sha256};
use crate::cpu::{Cpu, Precision};
use crate::kernels::parallel;
use std::collections::BTreeMap;

/// ε of norms, unless a config says otherwise.
const EPSILON: f32 = 1e-6;

impl VisionTransformer {
    /// Builds the network from safetensors bytes in any of three naming schemes: timm's, which DINO's and DINOv2's own files share, and
    /// transformers' two. The tensors' shapes give width, depth, patch size, registers and LayerScale.
    ///
    /// # Errors
    /// Every variant of [`WeightsError`] but `NoMetadata`; `Unsuited` if `options` ask for what the network does not have.
    pub fn from_bytes(name: &str, bytes: &[u8], cpu: &Cpu, options: &VitOptions) -> Result<Self, WeightsError> {
        // Rates are measured with nobody beside.
        let options = &VitOptions { precision: cpu.network_precision(options.precision, false), ..options.clone() };
        let (network, sha256) = cpu.together(|| parallel::join(|| Self::read(name, bytes, cpu, options), || sha256(bytes)));
        let mut network = network?;
        network.identity.sha256 = sha256;
        Ok(network)
    }

    /// Patch size, dimensions, blocks and registers of a file's network, without reading its values.
    pub(in crate::backbone) fn shape(name: &str, bytes: &[u8], options: &VitOptions) -> Result<[usize; 4], WeightsError> {
        Ok(open(name, bytes, options)?.shape)
    }

    /// [`VisionTransformer::from_bytes`] without the checksum.
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
        let Tokens { prefix, positions, table_side, fixed } = load.tokens(dim)?;
        let (heads, assumed) = heads(options, &config, [dim, depth], fixed)?;
        let mut assumed = Vec::from_iter(assumed);
        if heads == 0 || !dim.is_multiple_of(heads) {
            return unsuited(format!("{heads} heads do not divide {dim} dimensions"));
        }
        let family = match options.family.or(config.family) {
            Some(family) => family,
            None => {
                let classifier = load.has("head.weight") || load.has("classifier.weight");
                let (family, evidence) = Family::detect(load.naming.layer_scale, classifier, dim, patch_size)?;
                assumed.push(format!("the family {family}, by {evidence} (--family)"));
                family
            }
        };
        // A block that is given is that of the facets without a prior.
        let for_prior = options.for_prior && options.layer.is_none();
        let usual = if for_prior { family.prior_facets(depth) } else { family.facets(depth) };
        let chosen = options.facets.clone().unwrap_or(usual);
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
            prior: None,
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
            resolution: family.resolution(patch_size, options.for_prior),
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
}

/// A file whose network was found.
struct Opened<'a> {
    load: Loader<'a>,
    config: Config,
    /// Patch size, dimensions, blocks and registers.
    shape: [usize; 4],
    ignored: Vec<String>,
}

/// Finds the network in a file and reads its shape.
fn open<'a>(name: &str, bytes: &'a [u8], options: &VitOptions) -> Result<Opened<'a>, WeightsError> {
    let mut weights = Weights::parse_named(name, bytes)?;
    let config = options.config.clone().or(weights.config()?);
    let naming = Naming::detect(&weights, options.prefix.as_deref())?;
    let ignored = summary(weights.names().filter(|name| naming.ignores(name)));
    naming.check(&weights)?;
    weights.ignore(|name| naming.ignores(name));
    let epsilon = config.epsilon.unwrap_or(EPSILON);
    let load = Loader { weights, naming, precision: options.precision, epsilon };

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

/// Names grouped by their first part, with the number of tensors in each group.
fn summary<'a>(names: impl Iterator<Item = &'a str>) -> Vec<String> {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    names.for_each(|name| *counts.entry(name.split_once('.').map_or(name, |(first, _)| first)).or_default() += 1);
    counts
        .into_iter()
        .map(|(name, count)| if count == 1 { name.to_owned() } else { format!("{name} ({count} tensors)") })
        .collect()
}

/// The number of heads, and the evidence for it unless the user or a config gave it.
fn heads(
    options: &VitOptions,
    config: &Config,
    [dim, depth]: [usize; 2],
    fixed: bool,
) -> Result<(usize, Option<String>), WeightsError> {
    if let Some(heads) = options.heads.or_else(|| config.heads(dim)) {
        return Ok((heads, None));
    }
    match heads_by_shape(dim, depth) {
        // MoCo v3's network has 12 heads; no other published network of this size has fixed positions.
        Some(_) if fixed && dim == 384 => Err(WeightsError::Unsuited(
            "nothing tells the number of heads: 12 in MoCo v3's network of 384 dimensions, whose positions are fixed, 6 in others; say it with --heads".into(),
        )),
        Some(heads) => Ok((heads, Some(format!("{heads} heads, as in published networks of {dim} dimensions and {depth} blocks (--heads)")))),
        None => Err(WeightsError::Unsuited(format!(
            "nothing tells the number of heads of a network of {dim} dimensions and {depth} blocks; say it with --heads, or put its config.json beside it"
        ))),
    }
}

/// Takes the tensors of one file by timm's names.
struct Loader<'a> {
    weights: Weights<'a>,
    naming: Naming,
    precision: Precision,
    epsilon: f32,
}

/// The tokens before the patches, and the positions of the patches.
struct Tokens {
    /// The class token with its position, then the registers: `[1 + registers, dim]`.
    prefix: Vec<f32>,
    /// `[table_side, table_side, dim]`.
    positions: Vec<f32>,
    table_side: usize,
    /// Whether positions are fixed: the class token's is zero then.
    fixed: bool,
}

impl Loader<'_> {
    fn has(&self, name: &str) -> bool {
        self.shape(name).is_ok()
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
        if self.naming.layer_scale {
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
        // timm joins query, key and value in one tensor; transformers and some others keep three.
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
            return Err(unsupported(SWIGLU));
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

    fn tokens(&mut self, dim: usize) -> Result<Tokens, WeightsError> {
        let mut prefix = self.take("cls_token", &[1, 1, dim])?;
        let count = self.shape("pos_embed")?.get(1).copied().unwrap_or_default();
        let mut positions = self.take("pos_embed", &[1, count, dim])?;
        // timm's networks with registers have added the class token's position to it already.
        let with_class = count.isqrt().pow(2) != count;
        let table_side = (count - usize::from(with_class)).isqrt();
        if table_side == 0 || table_side * table_side + usize::from(with_class) != count {
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
        Ok(Tokens { prefix, positions, table_side, fixed })
    }
}
