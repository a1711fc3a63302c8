//! A prior: a plane through a network's features that tells objects from background, fitted on photographs nobody labeled.
//!
//! ```text
//! l = b + w · (x − μ)            log-odds that the patch with features x belongs to an object
//! ```
//!
//! | symbol | tensor in the file | shape   | meaning                              |
//! |--------|--------------------|---------|--------------------------------------|
//! | w      | `weight`           | `[dim]` | weights of the features              |
//! | μ      | `mean`             | `[dim]` | mean of the features it was fitted on |
//! | b      | `bias`             | `[1]`   | the log-odds at the mean             |
//!
//! The mean is subtracted first: weights of features that go together are large and nearly opposite, and so would the sum's terms be. The
//! metadata `deepcut-prior` are JSON: what the plane was fitted for, and on what ([`Fitted`]). A prior belongs to one network and its
//! facets; with others it is refused.
//!
//! How it is fitted is in `backbone/logistic.rs`; on what, in `fit.rs`.

use super::logistic::{self, Plane};
use super::weights::{Weights, WeightsError, sha256};
use super::{Backbone, BackboneError, Identity, Input, InputSpec};
use crate::cpu::Cpu;
use crate::features::{FeatureMap, FeatureMapError};
use safetensors::tensor::{Dtype, TensorView, serialize};
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use std::fmt;

/// Key of the metadata.
const METADATA: &str = "deepcut-prior";
/// Version of the file's layout.
const FORMAT: u32 = 1;
/// Longest feature vector that a prior may be for.
const MAX_DIM: usize = 1 << 20;

/// Why there is no prior, or it cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PriorError {
    /// The file is damaged, or its tensors are not a plane's.
    #[error(transparent)]
    File(#[from] WeightsError),
    /// The file is something else, such as a network.
    #[error("this is no prior; `deepcut fit` makes one")]
    NotAPrior,
    /// The metadata say something that this version does not understand.
    #[error("the prior's metadata cannot be read ({0}); fit it again with this version")]
    Metadata(String),
    /// It was fitted for other weights.
    #[error("the prior was fitted for the network {fitted}, not for {network}; take that network, or fit a prior for this one")]
    Network {
        /// Name and begin of the checksum of the network that it was fitted for.
        fitted: String,
        /// Those of the network here.
        network: String,
    },
    /// It was fitted for the same network, used in another way.
    #[error("the prior was fitted for the {what} {fitted}, not for {network}; take the same, or fit a prior for these")]
    Use {
        /// What differs, such as `features`.
        what: &'static str,
        /// The value it was fitted for.
        fitted: String,
        /// The value here.
        network: String,
    },
    /// The number of weights is not the length of a feature vector.
    #[error("the prior has {weights} weights, but the network's features have {features} values; fit it again")]
    Dimension {
        /// Weights of the prior.
        weights: usize,
        /// Values of a feature vector.
        features: usize,
    },
    /// Rows and shares do not match, or one is not finite or no share.
    #[error("{rows} values and {shares} shares are not features of {dim} values a patch with a share in [0, 1] each")]
    Samples {
        /// Values of all rows.
        rows: usize,
        /// Number of shares.
        shares: usize,
        /// Values of a row.
        dim: usize,
    },
    /// All patches are object, or all are background.
    #[error("the patches are all {0}: there is nothing to tell apart")]
    OneSide(&'static str),
    /// The network failed at the first try.
    #[error(transparent)]
    Backbone(#[from] Box<BackboneError>),
}

/// The network that a prior was fitted for, and what of it: all that the features depend on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FittedNetwork {
    /// Name of the network.
    pub name: String,
    /// SHA-256 of its file, in hexadecimal.
    pub sha256: String,
    /// Its features, as [`Identity::features`].
    pub features: String,
    /// Pixels between patches; the prior may be used with other strides.
    pub stride: usize,
    /// Family of a vision transformer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub family: Option<String>,
    /// Number of attention heads.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub heads: Option<usize>,
    /// ε of the norms.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub epsilon: Option<f32>,
    /// Mean of the input's channels.
    pub mean: [f32; 3],
    /// Standard deviation of the input's channels.
    pub std: [f32; 3],
}

impl From<&Identity> for FittedNetwork {
    fn from(identity: &Identity) -> Self {
        Self {
            name: identity.name.clone(),
            sha256: identity.sha256.clone(),
            features: identity.features.clone(),
            stride: identity.stride,
            family: identity.family.map(|family| family.name().into()),
            heads: identity.heads,
            epsilon: identity.epsilon,
            mean: identity.mean,
            std: identity.std,
        }
    }
}

impl FittedNetwork {
    /// Name and begin of the checksum.
    fn called(&self) -> String {
        format!("{} ({:.8})", self.name, self.sha256)
    }

    /// Why features of another network cannot stand in for those of this one, if they cannot. Strides may differ.
    pub(crate) fn mismatch(&self, identity: &Identity) -> Option<Mismatch> {
        let (fitted, here) = (self, Self::from(identity));
        if fitted.sha256 != here.sha256 {
            return Some(Mismatch::Network { fitted: fitted.called(), here: here.called() });
        }
        let word = |value: &Option<String>| value.clone().unwrap_or_else(|| "none".into());
        let number = |value: Option<f64>| value.map_or_else(|| "none".into(), |value| value.to_string());
        let pairs = [
            ("features", fitted.features.clone(), here.features.clone()),
            ("family", word(&fitted.family), word(&here.family)),
            ("heads", number(fitted.heads.map(|n| n as f64)), number(here.heads.map(|n| n as f64))),
            ("ε of norms", number(fitted.epsilon.map(f64::from)), number(here.epsilon.map(f64::from))),
            ("input's mean", format!("{:?}", fitted.mean), format!("{:?}", here.mean)),
            ("input's deviation", format!("{:?}", fitted.std), format!("{:?}", here.std)),
        ];
        let (what, fitted, here) = pairs.into_iter().find(|(_, fitted, here)| fitted != here)?;
        Some(Mismatch::Use { what, fitted, here })
    }
}

/// How a network differs from the one that something was fitted for.
pub(crate) enum Mismatch {
    /// Other weights: names and begins of the checksums.
    Network { fitted: String, here: String },
    /// The same weights, used in another way.
    Use { what: &'static str, fitted: String, here: String },
}

/// What a prior was fitted for, and on what.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Fitted {
    /// The network.
    pub network: FittedNetwork,
    /// Side of the network's input in pixels. The recommended one when the prior is used.
    pub resolution: usize,
    /// Whose masks it learned from: a network's name and method.
    pub teacher: String,
    /// Images that it learned from.
    pub images: usize,
    /// Patches of those images.
    pub patches: usize,
    /// Seed of the draw of patches.
    pub seed: u64,
    /// How well it does on images kept apart, if there were enough.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub held_out: Option<HeldOut>,
}

/// How far a prior agrees with its teacher on images that it has not seen.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct HeldOut {
    /// Those images.
    pub images: usize,
    /// Mean intersection over union of the prior's foreground and the teacher's, in patches.
    pub iou: f64,
    /// Share of patches on which they agree.
    pub accuracy: f64,
}

/// The metadata.
#[derive(Serialize, Deserialize)]
struct Metadata {
    format: u32,
    #[serde(flatten)]
    fitted: Fitted,
}

/// A plane that tells objects from background in the features of one network. See the module's documentation.
#[derive(Debug, Clone, PartialEq)]
pub struct Prior {
    weight: Vec<f32>,
    mean: Vec<f32>,
    bias: f32,
    fitted: Fitted,
    sha256: String,
}

impl Prior {
    /// Fits the plane by logistic regression with a ridge. `rows` are the features of patches, `[n, dim]`; `shares` says how much of each patch is
    /// object, in [0, 1]. The result does not depend on the number of threads.
    ///
    /// # Errors
    /// [`PriorError::Samples`] if rows and shares do not match or hold other values, [`PriorError::OneSide`] if there is nothing to tell apart.
    pub fn fit(cpu: &Cpu, mut rows: Vec<f32>, shares: &[f32], dim: usize, fitted: Fitted) -> Result<Self, PriorError> {
        let is_whole = dim > 0 && dim <= MAX_DIM && !shares.is_empty() && shares.len().checked_mul(dim) == Some(rows.len());
        if !is_whole || !rows.iter().all(|x| x.is_finite()) || !shares.iter().all(|share| (0.0..=1.0).contains(share)) {
            return Err(PriorError::Samples { rows: rows.len(), shares: shares.len(), dim });
        }
        let is_object = |share: &f32| *share > 0.5;
        match (shares.iter().any(is_object), shares.iter().all(is_object)) {
            (false, _) => return Err(PriorError::OneSide("background")),
            (_, true) => return Err(PriorError::OneSide("object")),
            _ => {}
        }
        let Plane { weight, mean, bias } = logistic::fit(cpu, &mut rows, shares, dim);
        let single = |values: Vec<f64>| values.into_iter().map(|value| value as f32).collect();
        let mut prior = Self { weight: single(weight), mean: single(mean), bias: bias as f32, fitted, sha256: String::new() };
        prior.sha256 = sha256(&prior.to_bytes()?);
        Ok(prior)
    }

    /// Reads a prior's file.
    ///
    /// # Errors
    /// [`PriorError::NotAPrior`], [`PriorError::Metadata`], or [`PriorError::File`] if it is damaged, a tensor has another shape, or a value is not
    /// finite.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, PriorError> {
        let mut weights = Weights::parse(bytes)?;
        let text = weights.metadata(METADATA).map_err(|_| PriorError::NotAPrior)?;
        let Metadata { format, fitted } = serde_json::from_str(text).map_err(|error| PriorError::Metadata(error.to_string()))?;
        if format != FORMAT {
            return Err(PriorError::Metadata(format!("format {format}; this version reads {FORMAT}")));
        }
        let dim: usize = weights.shape("weight")?.iter().product();
        if !(1..=MAX_DIM).contains(&dim) {
            return Err(PriorError::Metadata(format!("{dim} weights; expected 1 to {MAX_DIM}")));
        }
        let [weight, mean] = [weights.take("weight", &[dim])?, weights.take("mean", &[dim])?];
        let bias = weights.take("bias", &[1])?[0];
        weights.finish()?;
        Ok(Self { weight, mean, bias, fitted, sha256: sha256(bytes) })
    }

    /// The prior's file.
    ///
    /// # Errors
    /// [`PriorError::Metadata`] if the encoder refuses.
    pub fn to_bytes(&self) -> Result<Vec<u8>, PriorError> {
        let refused = |error: &dyn fmt::Display| PriorError::Metadata(error.to_string());
        let text = serde_json::to_string(&Metadata { format: FORMAT, fitted: self.fitted.clone() }).map_err(|e| refused(&e))?;
        let bytes = |values: &[f32]| -> Vec<u8> { values.iter().flat_map(|x| x.to_le_bytes()).collect() };
        let tensors = [("weight", bytes(&self.weight)), ("mean", bytes(&self.mean)), ("bias", bytes(&[self.bias]))];
        let mut views = Vec::new();
        for (name, data) in &tensors {
            views.push((*name, TensorView::new(Dtype::F32, vec![data.len() / 4], data).map_err(|e| refused(&e))?));
        }
        serialize(views, Some(HashMap::from([(METADATA.to_owned(), text)]))).map_err(|e| refused(&e))
    }

    /// What it was fitted for, and on what.
    #[must_use]
    pub fn fitted(&self) -> &Fitted {
        &self.fitted
    }

    /// SHA-256 of its file, in hexadecimal.
    #[must_use]
    pub fn sha256(&self) -> &str {
        &self.sha256
    }

    /// Length of the feature vectors that it is for.
    #[must_use]
    pub fn dim(&self) -> usize {
        self.weight.len()
    }

    /// Checks that it was fitted for a network, used in this way. Strides may differ.
    ///
    /// # Errors
    /// [`PriorError::Network`] or [`PriorError::Use`].
    pub fn check(&self, identity: &Identity) -> Result<(), PriorError> {
        match self.fitted.network.mismatch(identity) {
            None => Ok(()),
            Some(Mismatch::Network { fitted, here: network }) => Err(PriorError::Network { fitted, network }),
            Some(Mismatch::Use { what, fitted, here: network }) => Err(PriorError::Use { what, fitted, network }),
        }
    }

    /// Log-odds that each patch of a map belongs to an object, `[grid_height, grid_width]`.
    ///
    /// # Errors
    /// [`PriorError::Dimension`] if the features have another length.
    pub fn logits(&self, map: &FeatureMap) -> Result<Vec<f32>, PriorError> {
        if map.dim() != self.dim() {
            return Err(PriorError::Dimension { weights: self.dim(), features: map.dim() });
        }
        Ok(self.logits_of_rows(map.data()).collect())
    }

    /// Log-odds of `[n, dim]` features of the right length, `[n]`.
    pub(crate) fn logits_of_rows(&self, rows: &[f32]) -> impl Iterator<Item = f32> {
        rows.chunks_exact(self.dim()).map(|row| {
            let terms = row.iter().zip(&self.mean).zip(&self.weight);
            let add = |sum, ((x, mean), w): ((&f32, &f32), &f32)| sum + f64::from(*w) * (f64::from(*x) - f64::from(*mean));
            terms.fold(f64::from(self.bias), add) as f32
        })
    }

    /// With how well it does on images kept apart.
    ///
    /// # Errors
    /// As [`Prior::to_bytes`].
    pub(crate) fn with_held_out(mut self, held_out: Option<HeldOut>) -> Result<Self, PriorError> {
        self.fitted.held_out = held_out;
        self.sha256 = sha256(&self.to_bytes()?);
        Ok(self)
    }
}

/// A network with a prior: its maps say how likely each patch is an object. The prior's replaces what the network says itself.
pub struct WithPrior {
    backbone: Box<dyn Backbone>,
    prior: Prior,
    identity: Identity,
}

impl WithPrior {
    /// Joins a network and its prior. The network looks at one patch, to see that its features are as long as they should be.
    ///
    /// # Errors
    /// As [`Prior::check`]; [`PriorError::Dimension`]; [`PriorError::Backbone`] if the network fails.
    pub fn new(backbone: Box<dyn Backbone>, prior: Prior) -> Result<Self, PriorError> {
        prior.check(backbone.identity())?;
        let side = backbone.input().size_multiple.max(1);
        let blank = vec![0.0; 3 * side * side];
        let tried = Input::new(side, side, &blank).and_then(|input| backbone.features(&[input]));
        if let Some(map) = tried.map_err(Box::new)?.first() {
            prior.logits(map)?;
        }
        let identity = Identity { prior: Some(prior.sha256.clone()), ..backbone.identity().clone() };
        Ok(Self { backbone, prior, identity })
    }

    /// The prior.
    #[must_use]
    pub fn prior(&self) -> &Prior {
        &self.prior
    }
}

impl Backbone for WithPrior {
    fn identity(&self) -> &Identity {
        &self.identity
    }

    /// That of the network, at the resolution that the prior was fitted at.
    fn input(&self) -> InputSpec {
        InputSpec { resolution: self.prior.fitted.resolution, ..self.backbone.input() }
    }

    fn features(&self, inputs: &[Input<'_>]) -> Result<Vec<FeatureMap>, BackboneError> {
        let maps = self.backbone.features(inputs)?;
        let with = |map: FeatureMap| {
            let (grid_height, grid_width) = map.grid();
            let (expected, got) = (self.prior.dim(), map.data().len());
            let wrong = |_| FeatureMapError::Shape { what: "features", grid_height, grid_width, expected, got };
            let logits = self.prior.logits(&map).map_err(wrong)?;
            Ok(map.with_objectness(logits)?)
        };
        maps.into_iter().map(with).collect()
    }
}

impl fmt::Debug for WithPrior {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("WithPrior").field(&self.identity).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use safetensors::SafeTensors;

    /// A network whose features are the input's channels, and a fourth value that is always 1: `size` patches of one pixel.
    struct Channels(Identity);

    impl Channels {
        fn boxed(sha256: &str, features: &str) -> Box<dyn Backbone> {
            Box::new(Self(Identity {
                name: "channels".into(),
                sha256: sha256.into(),
                features: features.into(),
                ..Identity::default()
            }))
        }
    }

    impl Backbone for Channels {
        fn identity(&self) -> &Identity {
            &self.0
        }

        fn input(&self) -> InputSpec {
            InputSpec { mean: [0.0; 3], std: [1.0; 3], size_multiple: 1, resolution: 32 }
        }

        fn features(&self, inputs: &[Input<'_>]) -> Result<Vec<FeatureMap>, BackboneError> {
            let with = |input: &Input<'_>| input.data().chunks_exact(3).flat_map(|p| [p[0], p[1], p[2], 1.0]).collect();
            inputs.iter().map(|input| Ok(FeatureMap::new(input.size().0, input.size().1, 4, with(input))?)).collect()
        }
    }

    /// Objects are where the first channel is above 1000.5: a large mean, as features have.
    fn prior(network: &dyn Backbone) -> Prior {
        let rows: Vec<f32> =
            (0..40u8).flat_map(|i| [1000.0 + f32::from(i % 2), f32::from(i % 5), f32::from(i % 3), 1.0]).collect();
        let shares: Vec<f32> = (0..40).map(|i| (i % 2) as f32).collect();
        let fitted = Fitted {
            network: network.identity().into(),
            resolution: 48,
            teacher: "a test".into(),
            images: 1,
            patches: 40,
            seed: 0,
            held_out: None,
        };
        Prior::fit(&Cpu::single(), rows, &shares, 4, fitted).unwrap()
    }

    #[test]
    fn a_prior_is_read_as_it_is_written_and_says_where_objects_are() {
        let network = Channels::boxed("aa", "output");
        let prior = prior(&*network);
        let read = Prior::from_bytes(&prior.to_bytes().unwrap()).unwrap();
        assert_eq!(read, prior);
        assert_eq!((read.dim(), read.sha256()), (4, &*sha256(&prior.to_bytes().unwrap())));
        let with = WithPrior::new(network, read).unwrap();
        assert_eq!(with.identity().prior.as_deref(), Some(prior.sha256()));
        assert_eq!(with.input().resolution, 48);
        let data = [1000.0, 0.0, 0.0, 1001.0, 4.0, 2.0, 1000.5, 2.0, 1.0];
        let maps = with.features(&[Input::new(1, 3, &data).unwrap()]).unwrap();
        let logits = maps[0].objectness().unwrap();
        assert!(logits[0] < -2.0 && logits[1] > 2.0 && logits[2].abs() < 0.2, "{logits:?}");
    }

    #[test]
    fn a_prior_is_for_one_network_and_one_use_of_it() {
        let network = Channels::boxed("aa", "output");
        let prior = prior(&*network);
        let refused = |network: Box<dyn Backbone>| WithPrior::new(network, prior.clone()).unwrap_err().to_string();
        let other = refused(Channels::boxed("bb", "output"));
        assert!(other.contains("for the network channels (aa), not for channels (bb)"), "{other}");
        let facet = refused(Channels::boxed("aa", "key@11"));
        assert!(facet.contains("for the features output, not for key@11; take the same"), "{facet}");
        let mut scaled = network.identity().clone();
        scaled.std = [0.5; 3];
        let scaled = refused(Box::new(Channels(scaled)));
        assert!(scaled.contains("input's deviation"), "{scaled}");
        // Other strides, precisions and assumptions are no other use.
        let same = Identity { stride: 4, assumed: vec!["x".into()], ..network.identity().clone() };
        WithPrior::new(Box::new(Channels(same)), prior.clone()).unwrap();
        let short = Prior { weight: vec![1.0; 3], mean: vec![0.0; 3], ..prior.clone() };
        let short = WithPrior::new(network, short).unwrap_err();
        assert!(matches!(short, PriorError::Dimension { weights: 3, features: 4 }), "{short}");
    }

    #[test]
    fn damaged_files_are_refused() {
        let network = Channels::boxed("aa", "output");
        let prior = prior(&*network);
        let bytes = prior.to_bytes().unwrap();
        for end in [0, 7, 20, bytes.len() - 1] {
            assert!(matches!(Prior::from_bytes(&bytes[..end]), Err(PriorError::File(WeightsError::Container(_)))), "{end}");
        }
        let nan = Prior { bias: f32::NAN, ..prior.clone() };
        let nan = Prior::from_bytes(&nan.to_bytes().unwrap()).unwrap_err();
        assert!(nan.to_string().contains("`bias` holds a value that is not finite"), "{nan}");
        let short = Prior { mean: vec![0.0; 3], ..prior.clone() };
        let short = Prior::from_bytes(&short.to_bytes().unwrap()).unwrap_err();
        assert!(short.to_string().contains("tensor `mean` has shape [3], expected [4]"), "{short}");
        // A network, and a file of another time.
        assert!(matches!(Prior::from_bytes(super::super::embedded::BYTES), Err(PriorError::NotAPrior)));
        let again = |change: &dyn Fn(&str) -> String| {
            let text = SafeTensors::read_metadata(&bytes).unwrap().1.metadata().clone().unwrap()[METADATA].clone();
            let tensors = SafeTensors::deserialize(&bytes).unwrap();
            let file = serialize(tensors.tensors(), Some(HashMap::from([(METADATA.to_owned(), change(&text))]))).unwrap();
            Prior::from_bytes(&file)
        };
        assert_eq!(again(&|text| text.into()).unwrap(), prior);
        let later = again(&|text| text.replace("\"format\":1", "\"format\":2")).unwrap_err();
        assert!(later.to_string().contains("format 2; this version reads 1"), "{later}");
        assert!(matches!(again(&|text| text.replace("sha256", "sha")), Err(PriorError::Metadata(_))));
    }

    #[test]
    fn what_cannot_be_fitted_is_refused() {
        let network = Channels::boxed("aa", "output");
        let fitted = prior(&*network).fitted().clone();
        let fit = |rows: &[f32], shares: &[f32], dim| {
            Prior::fit(&Cpu::single(), rows.to_vec(), shares, dim, fitted.clone()).unwrap_err()
        };
        for (rows, shares, dim) in [
            (&[1.0, 2.0][..], &[0.0, 1.0][..], 2),
            (&[], &[], 1),
            (&[1.0, 2.0], &[0.0, 1.5], 1),
            (&[1.0, f32::NAN], &[0.0, 1.0], 1),
            (&[1.0, 2.0], &[0.0, f32::NAN], 1),
            (&[1.0, 2.0], &[0.0, 1.0], 0),
        ] {
            assert!(matches!(fit(rows, shares, dim), PriorError::Samples { .. }), "{rows:?} {shares:?}");
        }
        assert!(matches!(fit(&[1.0, 2.0], &[0.0, 0.2], 1), PriorError::OneSide("background")));
        assert!(matches!(fit(&[1.0, 2.0], &[1.0, 0.9], 1), PriorError::OneSide("object")));
    }
}
