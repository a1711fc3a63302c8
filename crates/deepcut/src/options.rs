//! What to do with a picture: plain data, validated once.

use crate::baseline::Method;
use crate::gnn::{MAX_CLUSTERS, MIN_CLUSTERS};
use crate::image::Filter;
use crate::kernels::packed::Precision;
use crate::objective::Objective;
use crate::segment::polarity::ForegroundRule;
use crate::segment::upsample::Upsampling;
use serde::{Deserialize, Serialize};

/// Smallest and largest [`Options::resolution`].
pub const RESOLUTIONS: std::ops::RangeInclusive<usize> = 16..=2048;

/// What comes out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Mode {
    /// The main object: one stage.
    Object,
    /// The object, then k parts of it: two stages.
    Parts,
    /// The parts and two clusters of the background: three stages.
    Scene,
}

/// What follows the upsampling.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Refine {
    /// Nothing.
    None,
    /// The bilateral solver: edges move to the picture's edges, where the grid of patches leaves them open.
    Bilateral,
    /// The same, ended as in the published code: the holes of an object of one label are filled and only its largest component is kept.
    BilateralPublished,
}

/// How the picture becomes the network's input.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Framing {
    /// Squashed to `resolution × resolution`, as the published code.
    Squash,
    /// About `resolution²` pixels at the picture's own aspect ratio.
    KeepAspect,
}

/// Everything that decides a result, beside the picture and the network.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Options {
    /// What comes out.
    pub mode: Mode,
    /// How patches are clustered: by the graph network, or by a classical method on the same features. Those that only cut in two have no parts.
    pub method: Method,
    /// k: clusters of the picture (`object`) or parts of the object (`parts`, `scene`), 2 to 32; an upper bound with
    /// [`Objective::Correlation`]. None: 2 for an object, 4 for parts, 10 for correlation.
    pub n_clusters: Option<usize>,
    /// What the network is trained to minimise.
    pub objective: Objective,
    /// Edges are the pairs of patches whose cosine exceeds this, in [−1, 1]. None: edges weigh their inner product, where positive.
    /// Correlation clustering has a graph of its own.
    pub tau: Option<f32>,
    /// Correlation clustering: patches repel each other where their inner product is below the largest divided by this, ≥ 1.
    pub alpha: f32,
    /// Training epochs of the picture, the parts and the background, each ≥ 1.
    pub epochs: [usize; 3],
    /// AdamW's learning rate, > 0.
    pub learning_rate: f32,
    /// AdamW's weight decay, ≥ 0.
    pub weight_decay: f32,
    /// Share of the hidden layer dropped in training, in [0, 1).
    pub dropout: f32,
    /// Every feature vector is scaled to this length, > 0. None: left as the backbone gives it.
    pub feature_norm: Option<f32>,
    /// λ of [`Method::DeepSpectral`]: what colours near each other weigh against features, 0 to 1000; 0, its authors' default, looks at none. They
    /// also use 10. Zero with any other method.
    #[serde(alias = "colour")]
    pub color: f32,
    /// Whether each stage draws a network and dropout of its own, one after the other from the seed, as the published code. Otherwise every stage
    /// draws from the seed anew: stages of equal k begin alike.
    pub own_draws: bool,
    /// Whether the second and third stage subtract the mean of their nodes' features first.
    pub center_parts: bool,
    /// Side of the network's input in pixels, 16 to 2048; see [`Framing`]. None: what suits the backbone, 352 for the embedded one.
    pub resolution: Option<usize>,
    /// How the picture is brought to that resolution.
    pub framing: Framing,
    /// Filter of that resizing.
    pub filter: Filter,
    /// Whether a patch is described by its surroundings too, in 17 bins: see [`crate::backbone::facet::log_bin`].
    pub log_bin: bool,
    /// Which cluster is the background.
    pub foreground: ForegroundRule,
    /// How patches become pixels.
    pub upsampling: Upsampling,
    /// Keep only the largest connected component of the foreground.
    pub largest_component: bool,
    /// What follows.
    pub refine: Refine,
    /// Below this confidence there is no object, in [0, 1]. See `Clustering::confidence`.
    pub min_confidence: f32,
    /// Precision of the graph's and the training's large products; the network's own is set when it is loaded.
    pub precision: Precision,
    /// Seed of the initial network and of dropout.
    pub seed: u64,
}

impl Default for Options {
    /// Deterministic, aspect ratio kept, exact normalised cut on the thresholded graph, border rule, soft upsampling.
    fn default() -> Self {
        Self {
            mode: Mode::Object,
            method: Method::Deepcut,
            n_clusters: None,
            objective: Objective::NormalizedCut,
            tau: Some(0.2),
            alpha: 3.0,
            epochs: [10, 50, 50],
            learning_rate: 3e-3,
            weight_decay: 1e-2,
            dropout: 0.0,
            feature_norm: Some(5.0),
            color: 0.0,
            own_draws: false,
            center_parts: true,
            resolution: None,
            framing: Framing::KeepAspect,
            filter: Filter::Bilinear,
            log_bin: false,
            foreground: ForegroundRule::Border,
            upsampling: Upsampling::Soft,
            largest_component: false,
            refine: Refine::None,
            min_confidence: 0.0,
            precision: Precision::F32,
            seed: 0,
        }
    }
}

impl Options {
    /// The behaviour of the published code; what it leaves undefined is defined here (see `PARITY.md`).
    #[must_use]
    pub fn paper() -> Self {
        Self {
            objective: Objective::Mincut,
            tau: None,
            epochs: [10, 100, 10],
            learning_rate: 1e-3,
            dropout: 0.25,
            feature_norm: None,
            own_draws: true,
            center_parts: false,
            resolution: Some(280),
            framing: Framing::Squash,
            filter: Filter::Lanczos,
            foreground: ForegroundRule::Corner,
            upsampling: Upsampling::Nearest,
            ..Self::default()
        }
    }

    /// What of these options a picture's features depend on.
    #[must_use]
    pub fn view(&self) -> View {
        let Self { resolution, framing, filter, log_bin, method, color, .. } = *self;
        View { resolution, framing, filter, log_bin, colors: method == Method::DeepSpectral && color > 0.0 }
    }

    /// k of the first stage: an object and its background before there are parts, whatever the objective.
    #[must_use]
    pub fn object_clusters(&self) -> usize {
        match self.mode {
            Mode::Object => self.n_clusters.unwrap_or(if self.objective == Objective::Correlation { 10 } else { 2 }),
            _ => 2,
        }
    }

    /// k of the second stage.
    #[must_use]
    pub fn part_clusters(&self) -> usize {
        self.n_clusters.unwrap_or(if self.objective == Objective::Correlation { 10 } else { 4 })
    }

    /// The highest label of the foreground; see `Segmentation`.
    #[must_use]
    pub fn foreground_labels(&self) -> u8 {
        let labels = match (self.mode, self.object_clusters()) {
            (Mode::Object, 2) => 1,
            (Mode::Object, n_clusters) => n_clusters,
            (Mode::Parts | Mode::Scene, _) => self.part_clusters(),
        };
        labels.min(MAX_CLUSTERS) as u8
    }

    /// The fields that change nothing beside the others, and why: whoever set one of them is mistaken.
    #[must_use]
    pub fn ignored(&self) -> Vec<(&'static str, &'static str)> {
        let mut found = Vec::new();
        let mut ignore = |names: &[&'static str], why| found.extend(names.iter().map(|name| (*name, why)));
        let trains = self.method == Method::Deepcut;
        if !trains {
            ignore(
                &["objective", "epochs", "learning_rate", "weight_decay", "dropout", "own_draws"],
                "only the method deepcut trains a network",
            );
        }
        if !(trains && self.objective == Objective::Correlation) {
            ignore(&["alpha"], "it is of the objective correlation");
        } else {
            ignore(&["tau"], "the objective correlation has a graph of its own");
        }
        if matches!(self.method, Method::Kmeans | Method::Lost | Method::DeepSpectral | Method::Pca) {
            ignore(&["tau"], "the method has no such graph; only the confidence depends on it");
        }
        if self.method == Method::Lost {
            ignore(&["seed"], "the method draws nothing");
        }
        if self.mode == Mode::Object {
            ignore(&["center_parts", "own_draws"], "it is of the modes parts and scene");
        }
        found
    }

    /// Checks every value against its range, and whether they go together.
    ///
    /// # Errors
    /// [`OptionsError`], naming the first value out of range.
    pub fn validate(&self) -> Result<(), OptionsError> {
        fn check(name: &'static str, value: impl ToString, ok: bool, expected: &'static str) -> Result<(), OptionsError> {
            if ok { Ok(()) } else { Err(OptionsError { name, value: value.to_string(), expected }) }
        }
        let float = |name, value: f32, low: f32, high: f32, expected| check(name, value, (low..=high).contains(&value), expected);
        if let Some(k) = self.n_clusters {
            check("n_clusters", k, (MIN_CLUSTERS..=MAX_CLUSTERS).contains(&k), "2 to 32")?;
        }
        if self.method.cuts_in_two() {
            let (method, two) = (self.method.name(), self.mode == Mode::Object && self.n_clusters.is_none_or(|k| k == 2));
            check("method", method, two, "one that finds more than an object, as deepcut, kmeans or spectral")?;
        }
        let correlates = self.objective == Objective::Correlation;
        check("objective", "correlation", !correlates || self.method == Method::Deepcut, "another, or the method deepcut")?;
        float("color", self.color, 0.0, 1e3, "0 to 1000")?;
        if self.method != Method::DeepSpectral {
            check("color", self.color, self.color == 0.0, "0 with any method but deep-spectral, which alone looks at colours")?;
        }
        if let Some(tau) = self.tau {
            float("tau", tau, -1.0, 1.0, "−1 to 1")?;
        }
        if let Some(norm) = self.feature_norm {
            float("feature_norm", norm, f32::MIN_POSITIVE, 1e3, "above 0, at most 1000")?;
        }
        for epochs in self.epochs {
            check("epochs", epochs, (1..=1_000_000).contains(&epochs), "1 to 1,000,000")?;
        }
        if let Some(side) = self.resolution {
            check("resolution", side, RESOLUTIONS.contains(&side), "16 to 2048")?;
        }
        float("alpha", self.alpha, 1.0, 1e6, "at least 1")?;
        float("learning_rate", self.learning_rate, f32::MIN_POSITIVE, 10.0, "above 0, at most 10")?;
        float("weight_decay", self.weight_decay, 0.0, 10.0, "0 to 10")?;
        float("dropout", self.dropout, 0.0, 0.99, "0 to 0.99")?;
        float("min_confidence", self.min_confidence, 0.0, 1.0, "0 to 1")
    }
}

/// How a picture is seen: options of one view have the same features. The fields are those of [`Options`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct View {
    /// Side of the network's input.
    pub resolution: Option<usize>,
    /// How the picture is brought to it.
    pub framing: Framing,
    /// Filter of that resizing.
    pub filter: Filter,
    /// Whether a patch is described by its surroundings too.
    pub log_bin: bool,
    /// Whether the features come with the patches' colours, which one method asks for.
    pub colors: bool,
}

/// An option out of its range.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[error("{name} is {value}; expected {expected}")]
pub struct OptionsError {
    /// The field of [`Options`].
    pub name: &'static str,
    /// What it holds.
    pub value: String,
    /// Its range.
    pub expected: &'static str,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn profiles_are_valid_and_values_out_of_range_are_named() {
        Options::default().validate().unwrap();
        Options::paper().validate().unwrap();
        let name = |change: fn(&mut Options)| {
            let mut options = Options::default();
            change(&mut options);
            options.validate().unwrap_err().name
        };
        assert_eq!(name(|o| o.n_clusters = Some(1)), "n_clusters");
        assert_eq!(name(|o| o.n_clusters = Some(33)), "n_clusters");
        assert_eq!(name(|o| (o.method, o.mode) = (Method::Lost, Mode::Parts)), "method");
        assert_eq!(name(|o| (o.method, o.n_clusters) = (Method::Pca, Some(3))), "method");
        assert_eq!(name(|o| (o.method, o.objective) = (Method::Tokencut, Objective::Correlation)), "objective");
        assert_eq!(name(|o| (o.method, o.objective) = (Method::Kmeans, Objective::Correlation)), "objective");
        assert_eq!(name(|o| o.color = 10.0), "color");
        assert_eq!(name(|o| (o.method, o.color) = (Method::DeepSpectral, -1.0)), "color");
        assert_eq!(name(|o| (o.method, o.color) = (Method::DeepSpectral, f32::NAN)), "color");
        assert_eq!(name(|o| o.tau = Some(f32::NAN)), "tau");
        assert_eq!(name(|o| o.alpha = 0.5), "alpha");
        assert_eq!(name(|o| o.epochs[1] = 0), "epochs");
        assert_eq!(name(|o| o.learning_rate = 0.0), "learning_rate");
        assert_eq!(name(|o| o.weight_decay = -1.0), "weight_decay");
        assert_eq!(name(|o| o.dropout = 1.0), "dropout");
        assert_eq!(name(|o| o.feature_norm = Some(0.0)), "feature_norm");
        assert_eq!(name(|o| o.resolution = Some(8)), "resolution");
        assert_eq!(name(|o| o.min_confidence = 2.0), "min_confidence");
    }

    /// Colours are computed for the one method that looks at them, if it does.
    #[test]
    fn colors_are_seen_only_where_they_weigh() {
        let mut options = Options { method: Method::DeepSpectral, ..Options::default() };
        assert!(!options.view().colors);
        options.color = 10.0;
        options.validate().unwrap();
        assert!(options.view().colors);
        let told = serde_json::to_string(&options).unwrap();
        assert_eq!(serde_json::from_str::<Options>(&told).unwrap(), options);
        assert_eq!(serde_json::from_str::<Options>(&told.replace("\"color\"", "\"colour\"")).unwrap(), options);
    }

    #[test]
    fn the_number_of_clusters_follows_mode_and_objective() {
        let mut options = Options::default();
        assert_eq!(options.object_clusters(), 2);
        options.objective = Objective::Correlation;
        assert_eq!(options.object_clusters(), 10);
        options.n_clusters = Some(5);
        assert_eq!(options.object_clusters(), 5);
        options.mode = Mode::Parts;
        assert_eq!((options.object_clusters(), options.part_clusters()), (2, 5));
        options.n_clusters = None;
        assert_eq!((options.object_clusters(), options.part_clusters()), (2, 10));
        options.n_clusters = Some(5);
        options.objective = Objective::Mincut;
        assert_eq!((options.object_clusters(), options.part_clusters()), (2, 5));
    }
}
