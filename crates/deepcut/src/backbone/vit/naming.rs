//! How a file names its tensors: timm's scheme, which DINO's and DINOv2's own files share, and transformers' two.
//!
//! The rest of the loading asks for timm's names.

use crate::backbone::weights::{Weights, WeightsError};

/// The naming scheme of one network in a file.
pub(super) struct Naming {
    /// What every name of this network begins with.
    prefix: String,
    /// Whether the names are transformers', not timm's.
    pub transformers: bool,
    /// Whether the blocks have LayerScale. Among transformers' files only DINOv2's have it, which name a block's tensors their own way.
    pub layer_scale: bool,
}

/// Tensors outside the blocks: timm's name, transformers' name.
const OUTER_TENSORS: [[&str; 2]; 6] = [
    ["cls_token", "embeddings.cls_token"],
    ["pos_embed", "embeddings.position_embeddings"],
    ["register_tokens", "embeddings.register_tokens"],
    ["mask_token", "embeddings.mask_token"],
    ["patch_embed.proj", "embeddings.patch_embeddings.projection"],
    ["norm", "layernorm"],
];

/// Tensors of a block: timm's name, then transformers' in its ViT and in its DINOv2. timm joins query, key and value in `attn.qkv`.
const BLOCK_TENSORS: [[&str; 3]; 10] = [
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

/// The patch embedding, which identifies a network in a file: timm's name, transformers' name.
const PATCH_EMBEDDING: [&str; 2] = ["patch_embed.proj.weight", "embeddings.patch_embeddings.projection.weight"];

/// The registers: the name in DINOv2's and transformers' files, timm's name.
pub(super) const REGISTERS: [&str; 2] = ["register_tokens", "reg_token"];

/// Tensors without a part in the features: heads, decoders, and what only training needs. A name that ends with `.` or `_` is a prefix.
const IGNORED: [&str; 15] = [
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

/// Parts of names that identify operations this program does not compute.
const UNSUPPORTED: [(&str, &str); 17] = [
    (".mlp.w12.", SWIGLU),
    (".mlp.weights_in.", SWIGLU),
    (".mlp.fc1_g.", "a SwiGLU MLP (as EVA-02 has)"),
    (".gate_proj.", "a SwiGLU MLP (as DINOv3's H+ has)"),
    ("q_norm.", "normalized queries and keys"),
    ("k_norm.", "normalized queries and keys"),
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

/// The MLP of DINOv2's largest network.
pub(super) const SWIGLU: &str = "a SwiGLU MLP (as DINOv2's g has)";

/// The error for a network that has `what`.
pub(super) fn unsupported(what: &str) -> WeightsError {
    WeightsError::Unsuited(format!("the network has {what}, which this program does not compute"))
}

/// Whether a tensor is a LayerScale: a file has all of them or none.
fn is_layer_scale(name: &str) -> bool {
    [".ls1.gamma", ".ls2.gamma", ".layer_scale1.lambda1", ".layer_scale2.lambda1"].iter().any(|end| name.ends_with(end))
}

impl Naming {
    /// Finds the network in a file by its patch embedding; `wanted` is the prefix of its names, if the user gives it.
    ///
    /// # Errors
    /// [`WeightsError::Unsuited`] if there is no network, none with the prefix, or several without one to choose.
    pub fn detect(weights: &Weights<'_>, wanted: Option<&str>) -> Result<Self, WeightsError> {
        let found = |ends: [&str; 2]| -> Vec<(String, bool)> {
            let prefix =
                |name: &str, end: &str| name.strip_suffix(end).filter(|p| p.is_empty() || p.ends_with('.')).map(str::to_owned);
            let network = |name| ends.iter().enumerate().rev().find_map(|(at, end)| Some((prefix(name, end)?, at == 1)));
            weights.names().filter_map(network).collect()
        };
        let mut networks = found(PATCH_EMBEDDING);
        if networks.is_empty() {
            // Without a patch embedding, so that the error names it as missing.
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
                PATCH_EMBEDDING[0],
                PATCH_EMBEDDING[1],
                names.join(", ")
            )));
        };
        let layer_scale = weights.names().filter(|name| name.starts_with(&prefix)).any(is_layer_scale);
        Ok(Self { prefix, transformers, layer_scale })
    }

    /// The file's name for a tensor that timm calls `name`.
    pub fn file_name(&self, name: &str) -> String {
        let prefix = &self.prefix;
        if !self.transformers {
            return format!("{prefix}{name}");
        }
        let renamed = |rest: &str, ours: &str, theirs: &str| {
            let parameter = rest.strip_prefix(ours)?;
            (parameter.is_empty() || parameter.starts_with('.')).then(|| format!("{theirs}{parameter}"))
        };
        if let Some((block, rest)) = name.strip_prefix("blocks.").and_then(|name| name.split_once('.')) {
            let theirs = 1 + usize::from(self.layer_scale);
            let found = BLOCK_TENSORS.iter().find_map(|names| renamed(rest, names[0], names[theirs]));
            return format!("{prefix}encoder.layer.{block}.{}", found.unwrap_or_else(|| rest.into()));
        }
        let found = OUTER_TENSORS.iter().find_map(|[ours, theirs]| renamed(name, ours, theirs));
        format!("{prefix}{}", found.unwrap_or_else(|| name.into()))
    }

    /// Whether the tensor with this name in the file has no part in the features.
    pub fn ignores(&self, name: &str) -> bool {
        let ignored =
            |name: &str| IGNORED.iter().any(|known| name.starts_with(known) && (known.ends_with(['.', '_']) || name == *known));
        name.strip_prefix(&*self.prefix).is_none_or(ignored)
    }

    /// Checks that no tensor belongs to an operation that this program does not compute.
    ///
    /// # Errors
    /// [`WeightsError::Unsuited`], naming the operation.
    pub fn check(&self, weights: &Weights<'_>) -> Result<(), WeightsError> {
        let has = |part: &str| weights.names().any(|name| !self.ignores(name) && name.contains(part));
        UNSUPPORTED.iter().find(|(part, _)| has(part)).map_or(Ok(()), |(_, what)| Err(unsupported(what)))
    }
}
