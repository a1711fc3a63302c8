//! A network's description in the `config.json` next to its file, or in the file's own metadata, in timm's form or in transformers'.
//!
//! | property          | timm                                        | transformers                      |
//! |-------------------|---------------------------------------------|-----------------------------------|
//! | heads             | `model_args.num_heads`, else `architecture` | `num_attention_heads`             |
//! | shape             | `model_args`, `num_features`                | `hidden_size`, `num_hidden_layers`, `patch_size` |
//! | ε of the norms    |                                             | `layer_norm_eps`                  |
//! | mean, deviation   | `pretrained_cfg.mean`, `.std`               | `image_mean`, `image_std` of `preprocessor_config.json` |
//! | family            | `pretrained_cfg.tag`                        | `model_type`                      |
//!
//! An operation that this program does not compute, such as another activation, is an error.

use super::vit::family::Family;
use super::vit::sizes::heads_by_name;
use super::weights::WeightsError;
use serde_json::Value;

/// A network's description; None where it says nothing.
#[derive(Debug, Clone, Default, PartialEq)]
#[non_exhaustive]
pub struct Config {
    /// timm's name of the architecture.
    pub architecture: Option<String>,
    /// Number of attention heads.
    pub heads: Option<usize>,
    /// Length of a token.
    pub dim: Option<usize>,
    /// Number of blocks.
    pub depth: Option<usize>,
    /// Side of a patch in pixels.
    pub patch_size: Option<usize>,
    /// ε of the norms, which keeps their quotient finite.
    pub epsilon: Option<f32>,
    /// Mean of each input channel.
    pub mean: Option<[f32; 3]>,
    /// Standard deviation of each input channel.
    pub std: Option<[f32; 3]>,
    /// Family of the network: how it was trained.
    pub family: Option<Family>,
}

impl Config {
    /// Reads the text of a `config.json`.
    ///
    /// # Errors
    /// [`WeightsError::Metadata`] if the text is not a JSON object, or a value has the wrong type; [`WeightsError::Unsuited`] if the network
    /// needs an operation that this program does not compute.
    pub fn parse(text: &str) -> Result<Self, WeightsError> {
        let wrong = |what: String| WeightsError::Metadata(what);
        let value: Value = serde_json::from_str(text).map_err(|error| wrong(format!("the config is no JSON: {error}")))?;
        if !value.is_object() {
            return Err(wrong("the config is no JSON object".into()));
        }
        let object = Object(&value);
        object.check()?;
        let architecture = object.text(&["architecture"]).map(str::to_owned);
        let tag = object.text(&["pretrained_cfg.tag", "tag"]);
        let (mean, std) = if object.is(&["do_normalize"], false) {
            (Some([0.0; 3]), Some([1.0; 3]))
        } else {
            (
                object.triple(&["pretrained_cfg.mean", "image_mean", "mean"])?,
                object.triple(&["pretrained_cfg.std", "image_std", "std"])?,
            )
        };
        if std.is_some_and(|std| std.iter().any(|s| *s <= 0.0)) {
            return Err(wrong("the config's standard deviation of the input is not positive".into()));
        }
        Ok(Self {
            heads: object.size(&["num_attention_heads", "model_args.num_heads", "num_heads", "heads"])?,
            dim: object.size(&["hidden_size", "model_args.embed_dim", "embed_dim", "num_features"])?,
            depth: object.size(&["num_hidden_layers", "model_args.depth", "depth"])?,
            patch_size: object.size(&["patch_size", "model_args.patch_size"])?,
            epsilon: object.epsilon()?,
            family: family(architecture.as_deref(), tag, object.text(&["model_type"])),
            architecture,
            mean,
            std,
        })
    }

    /// Fills in missing values from `other`.
    #[must_use]
    pub fn or(self, other: Self) -> Self {
        Self {
            // The architecture's name decides only if neither config gives the number.
            heads: self.heads.or(other.heads),
            architecture: self.architecture.or(other.architecture),
            dim: self.dim.or(other.dim),
            depth: self.depth.or(other.depth),
            patch_size: self.patch_size.or(other.patch_size),
            epsilon: self.epsilon.or(other.epsilon),
            mean: self.mean.or(other.mean),
            std: self.std.or(other.std),
            family: self.family.or(other.family),
        }
    }

    /// Number of heads of a network with this width, as given or by the architecture's name.
    #[must_use]
    pub fn heads(&self, dim: usize) -> Option<usize> {
        let by_name = |name: &String| {
            let (_, size) = name.split_once("vit_").or_else(|| name.split_once("deit_")).or_else(|| name.split_once("deit3_"))?;
            let word = size.split(['_', '.']).next()?;
            heads_by_name(word, dim)
        };
        self.heads.or_else(|| self.architecture.as_ref().and_then(by_name))
    }

    /// Checks that the tensors' shapes match this description.
    pub(super) fn check(&self, dim: usize, depth: usize, patch_size: usize) -> Result<(), WeightsError> {
        for (what, said, found) in [
            ("dimensions", self.dim, dim),
            ("blocks", self.depth, depth),
            ("pixels on a patch's side", self.patch_size, patch_size),
        ] {
            if let Some(said) = said.filter(|said| *said != found) {
                return Err(WeightsError::Metadata(format!(
                    "the config beside the tensors is of another network: it says {said} {what}, they have {found}; correct or remove config.json"
                )));
            }
        }
        Ok(())
    }
}

/// The family, by the words of a config.
fn family(architecture: Option<&str>, tag: Option<&str>, model_type: Option<&str>) -> Option<Family> {
    let begins = |text: Option<&str>, words: &[&str]| text.is_some_and(|text| words.iter().any(|word| text.starts_with(word)));
    if begins(model_type, &["dinov2"]) || architecture.is_some_and(|name| name.contains("dinov2")) || begins(tag, &["lvd142m"]) {
        Some(Family::Dinov2)
    } else if tag == Some("dino") {
        Some(Family::Dino)
    } else if begins(tag, &["augreg", "orig_in21k", "in1k", "in21k"]) {
        Some(Family::Supervised)
    } else {
        None
    }
}

/// The values of a config, found by dotted paths.
struct Object<'a>(&'a Value);

impl Object<'_> {
    /// The value at the first path that has one.
    fn get(&self, paths: &[&str]) -> Option<&Value> {
        let at = |path: &&str| path.split('.').try_fold(self.0, |value, key| value.get(key)).filter(|value| !value.is_null());
        paths.iter().find_map(at)
    }

    fn text(&self, paths: &[&str]) -> Option<&str> {
        self.get(paths)?.as_str()
    }

    fn is(&self, paths: &[&str], truth: bool) -> bool {
        self.get(paths).and_then(Value::as_bool) == Some(truth)
    }

    /// A positive number, or a pair of two equal ones.
    fn size(&self, paths: &[&str]) -> Result<Option<usize>, WeightsError> {
        let number = |value: &Value| value.as_u64().filter(|n| (1..=1 << 20).contains(n)).map(|n| n as usize);
        let Some(value) = self.get(paths) else { return Ok(None) };
        let found = match value.as_array().map(Vec::as_slice) {
            Some([a, b]) if a == b => number(a),
            Some(_) => None,
            None => number(value),
        };
        let message = || WeightsError::Metadata(format!("the config's {} is {value}; expected a positive number", paths[0]));
        found.map(Some).ok_or_else(message)
    }

    fn triple(&self, paths: &[&str]) -> Result<Option<[f32; 3]>, WeightsError> {
        let Some(value) = self.get(paths) else { return Ok(None) };
        let numbers: Option<Vec<f32>> =
            value.as_array().map(|values| values.iter().filter_map(Value::as_f64).map(|v| v as f32).collect());
        let triple = numbers.and_then(|numbers| <[f32; 3]>::try_from(numbers).ok()).filter(|t| t.iter().all(|v| v.is_finite()));
        let message = || WeightsError::Metadata(format!("the config's {} is {value}; expected three numbers", paths[0]));
        triple.map(Some).ok_or_else(message)
    }

    fn epsilon(&self) -> Result<Option<f32>, WeightsError> {
        let Some(value) = self.get(&["layer_norm_eps", "model_args.norm_eps"]) else { return Ok(None) };
        let epsilon = value.as_f64().map(|v| v as f32).filter(|v| (0.0..=1e-2).contains(v));
        epsilon
            .map(Some)
            .ok_or_else(|| WeightsError::Metadata(format!("the config's layer_norm_eps is {value}; expected 0 to 0.01")))
    }

    /// Checks that the network needs no operation that this program does not compute.
    fn check(&self) -> Result<(), WeightsError> {
        let unsuited = |what: String| {
            Err(WeightsError::Unsuited(format!("the config asks for {what}, which this program does not compute")))
        };
        if let Some(name) = self.text(&["hidden_act", "model_args.act_layer"]).filter(|name| *name != "gelu") {
            return unsuited(format!("the activation `{name}`"));
        }
        if self.is(&["use_swiglu_ffn"], true) {
            return unsuited("a SwiGLU MLP".into());
        }
        for (key, what) in [
            ("model_args.pre_norm", "a norm before the first block"),
            ("model_args.qk_norm", "normalized queries and keys"),
            ("use_qk_norm", "normalized queries and keys"),
            ("use_relative_position_bias", "relative positions"),
            ("use_shared_relative_position_bias", "relative positions"),
            ("model_args.scale_attn_norm", "a norm inside attention"),
        ] {
            if self.is(&[key], true) {
                return unsuited(what.into());
            }
        }
        let architecture = self.text(&["architecture"]).unwrap_or_default();
        for (part, what) in [("quickgelu", "the activation `quick_gelu`"), ("_rpn", "norms behind attention and MLP")] {
            if architecture.contains(part) {
                return unsuited(what.into());
            }
        }
        if self.is(&["do_rescale"], false) {
            return unsuited("pixels from 0 to 255".into());
        }
        if let Some(factor) = self.get(&["rescale_factor"]).and_then(Value::as_f64)
            && (factor * 255.0 - 1.0).abs() > 1e-3
        {
            return unsuited(format!("pixels times {factor}"));
        }
        for key in ["image_size", "pretrained_cfg.input_size", "model_args.img_size"] {
            if let Some([.., height, width]) = self.get(&[key]).and_then(Value::as_array).map(Vec::as_slice)
                && height != width
            {
                return unsuited(format!("positions of {height} × {width} pixels, no square,"));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As timm writes it.
    const TIMM: &str = r#"{"architecture": "vit_small_patch8_224", "num_classes": 0, "num_features": 384, "global_pool": "token",
        "pretrained_cfg": {"tag": "dino", "input_size": [3, 224, 224], "mean": [0.5, 0.25, 0.125], "std": [0.5, 0.5, 1.0], "license": "apache-2.0"}}"#;
    /// As transformers writes it.
    const TRANSFORMERS: &str = r#"{"architectures": ["ViTModel"], "hidden_act": "gelu", "hidden_size": 384, "image_size": 224,
        "layer_norm_eps": 1e-12, "model_type": "vit", "num_attention_heads": 12, "num_hidden_layers": 12, "patch_size": 16}"#;

    #[test]
    fn both_forms_are_read() {
        let timm = Config::parse(TIMM).unwrap();
        assert_eq!((timm.heads(384), timm.heads(768), timm.family), (Some(6), None, Some(Family::Dino)));
        assert_eq!((timm.mean, timm.std, timm.dim), (Some([0.5, 0.25, 0.125]), Some([0.5, 0.5, 1.0]), Some(384)));
        let other = Config::parse(TRANSFORMERS).unwrap();
        assert_eq!((other.heads(384), other.epsilon, other.family), (Some(12), Some(1e-12), None));
        assert!(other.check(384, 12, 16).is_ok());
        assert!(other.check(384, 12, 8).unwrap_err().to_string().contains("16 pixels on a patch's side, they have 8"));
        assert_eq!(timm.or(other.clone()).heads(384), Some(12), "a number beats a name");
        let argued = Config::parse(r#"{"architecture": "vit_small_patch16_224", "model_args": {"num_heads": 12}}"#).unwrap();
        assert_eq!(argued.heads(384), Some(12));
        let family = |text: &str| Config::parse(text).unwrap().family;
        assert_eq!(family(r#"{"model_type": "dinov2_with_registers", "patch_size": [14, 14]}"#), Some(Family::Dinov2));
        assert_eq!(family(r#"{"pretrained_cfg": {"tag": "augreg_in21k_ft_in1k"}}"#), Some(Family::Supervised));
        assert_eq!(family("{}"), None);
        assert_eq!(other.or(Config::default()), Config::parse(TRANSFORMERS).unwrap());
        for (name, dim, heads) in [
            ("vit_huge_patch14_224", 1280, 16),
            ("vit_giant_patch14_dinov2.lvd142m", 1536, 24),
            ("deit_tiny_patch16_224", 192, 3),
        ] {
            let config = Config { architecture: Some(name.into()), ..Config::default() };
            assert_eq!(config.heads(dim), Some(heads), "{name}");
        }
    }

    #[test]
    fn what_is_not_computed_and_what_is_no_config_are_errors() {
        for (text, words) in [
            ("", "no JSON"),
            ("[1]", "no JSON object"),
            (r#"{"num_attention_heads": "six"}"#, "num_attention_heads is \"six\""),
            (r#"{"num_attention_heads": 0}"#, "expected a positive number"),
            (r#"{"patch_size": [16, 8]}"#, "expected a positive number"),
            (r#"{"hidden_act": "quick_gelu"}"#, "`quick_gelu`"),
            (r#"{"model_args": {"act_layer": "gelu_tanh"}}"#, "`gelu_tanh`"),
            (r#"{"use_swiglu_ffn": true}"#, "SwiGLU"),
            (r#"{"architecture": "vit_base_patch16_rpn_224"}"#, "norms behind attention"),
            (r#"{"model_args": {"qk_norm": true}}"#, "normalized queries and keys"),
            (r#"{"image_mean": [0.5]}"#, "expected three numbers"),
            (r#"{"image_std": [0.5, 0, 0.5]}"#, "not positive"),
            (r#"{"rescale_factor": 0.00784}"#, "pixels times"),
            (r#"{"image_size": [224, 128]}"#, "no square"),
            (r#"{"layer_norm_eps": -1}"#, "layer_norm_eps"),
        ] {
            let error = Config::parse(text).unwrap_err().to_string();
            assert!(error.contains(words), "{text}: {error}");
        }
    }
}
