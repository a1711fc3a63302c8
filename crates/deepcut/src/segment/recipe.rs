//! How an image is cut: the options of clustering.

use crate::baseline::Method;
use crate::cpu::{Cpu, Precision};
use crate::gnn::{MAX_CLUSTERS, MIN_CLUSTERS};
use crate::kernels::packed::Float;
use crate::objective::Objective;
use crate::segmentation::{Kind, Meaning};
use crate::setting::{OptionError, builders, check, check_range};
use serde::{Deserialize, Serialize};

pub use super::polarity::ForegroundRule;

/// Clusters of the background in [`Mode::Scene`].
pub(super) const BACKGROUND_CLUSTERS: usize = 2;
/// Threshold of the graph on which confidence is measured where the cut's own graph has none, and that methods cut which need one.
pub(super) const DEFAULT_TAU: f32 = 0.2;
/// α of correlation clustering unless another is asked for.
const DEFAULT_ALPHA: f32 = 3.0;

/// What is segmented.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Mode {
    /// The main object: one stage.
    #[default]
    Object,
    /// The object, then k parts of it: two stages.
    Parts,
    /// The parts and two clusters of the background: three stages.
    Scene,
    /// Several objects, as many as the image has: one stage, whose foreground is told apart.
    Objects,
}

/// The graph whose edges join patches; `graph.rs` has the formulas.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Edges {
    /// Edges weigh the inner product of features, where it is positive: the paper's graph.
    Relu,
    /// Patches whose cosine exceeds this, in [−1, 1], are joined; the edges weigh alike.
    Threshold(f32),
    /// Patches repel each other where their inner product is below the largest divided by `alpha`: the signed graph of
    /// [`Objective::Correlation`].
    Correlation {
        /// At least 1; larger gives fewer clusters.
        alpha: f32,
    },
}

/// How an image is cut. Features and seed are given separately.
///
/// ```
/// use deepcut::{Edges, Mode, Objective, Recipe};
///
/// let parts = Recipe::default().mode(Mode::Parts).n_clusters(5);
/// parts.validate()?;
/// // Correlation clustering brings its own graph.
/// let correlation = Recipe::default().objective(Objective::Correlation);
/// assert_eq!(correlation.edges, Edges::Correlation { alpha: 3.0 });
/// // Fields that are not named have their defaults.
/// let read: Recipe = serde_json::from_str(r#"{"mode": "parts", "n_clusters": 5}"#)?;
/// assert_eq!(read, parts);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct Recipe {
    /// What is segmented: an object, its parts, or the whole scene.
    pub mode: Mode,
    /// How patches are clustered: by the graph network, or by a classical method on the same features.
    pub method: Method,
    /// k: clusters of the image (`object`) or parts of the object (`parts`, `scene`), 2 to 32; an upper bound with
    /// [`Objective::Correlation`]. None: 2 for an object, 4 for parts, 10 for correlation.
    pub n_clusters: Option<usize>,
    /// What the network is trained to minimize.
    pub objective: Objective,
    /// The graph.
    pub edges: Edges,
    /// Training epochs of the image, the parts and the background, each at least 1. Where the image's cut begins at a prior it trains for half as
    /// many, rounded up: there is less to learn.
    pub epochs: [usize; 3],
    /// AdamW's learning rate, above 0.
    pub learning_rate: f32,
    /// AdamW's weight decay, at least 0.
    pub weight_decay: f32,
    /// Share of the hidden layer dropped in training, in [0, 1).
    pub dropout: f32,
    /// Length that every feature vector is scaled to, above 0. None: as the backbone gives it.
    pub feature_norm: Option<f32>,
    /// λ of [`Method::DeepSpectral`]: the weight of colors near each other against features, 0 to 1000. 0, its authors' default, looks at no
    /// color; they also use 10. 0 with any other method.
    #[serde(alias = "colour")]
    pub color: f32,
    /// Whether each stage draws a network and dropout of its own, one after the other from the seed, as the published code. Otherwise every
    /// stage draws from the seed anew: stages of equal k begin alike.
    pub own_draws: bool,
    /// Whether the second and third stage subtract the mean of their patches' features first.
    pub center_parts: bool,
    /// Weight of the prior, 0 to 1000: of what the backbone says of objects ([`FeatureMap::objectness`](crate::FeatureMap::objectness)), if it says
    /// anything. The first stage's cut begins at the prior and is held near it by a cross-entropy of this weight. The prior also says which side
    /// is the object, whatever `foreground` is. 0: the cut without a prior.
    ///
    /// It joins the normalized cut into two clusters by the method deepcut, in every mode but [`Mode::Objects`]. Where it finds no object at all, the
    /// image is cut without it.
    pub prior_weight: f32,
    /// Components of the foreground's patches whose highest log-odds are below this share of the image's highest are dropped, in [0, 1]. 0 keeps
    /// all. Only with a prior.
    pub least_peak: f32,
    /// Which cluster is the background.
    pub foreground: ForegroundRule,
    /// Whether the object is one: the largest connected component of the foreground's patches. Parts are cut from it alone.
    pub single_object: bool,
    /// Precision of the graph's and the training's large products.
    pub precision: Precision,
}

impl Default for Recipe {
    /// The exact normalized cut on the thresholded graph, without dropout. The backbone's prior decides which side is the object; without one the
    /// border decides which is background.
    fn default() -> Self {
        Self {
            mode: Mode::Object,
            method: Method::Deepcut,
            n_clusters: None,
            objective: Objective::NormalizedCut,
            edges: Edges::Threshold(DEFAULT_TAU),
            epochs: [10, 50, 50],
            learning_rate: 3e-3,
            weight_decay: 1e-2,
            dropout: 0.0,
            feature_norm: Some(5.0),
            color: 0.0,
            own_draws: false,
            center_parts: true,
            prior_weight: 1.0,
            least_peak: 0.6,
            foreground: ForegroundRule::Border,
            single_object: false,
            precision: Precision::Auto,
        }
    }
}

impl Recipe {
    builders! {
        /// Sets what comes out.
        mode: Mode,
        /// Sets how patches are clustered.
        method: Method,
        /// Sets the graph.
        edges: Edges,
        /// Sets the epochs of the image, the parts and the background.
        epochs: [usize; 3],
        /// Sets AdamW's learning rate.
        learning_rate: f32,
        /// Sets AdamW's weight decay.
        weight_decay: f32,
        /// Sets the share of the hidden layer dropped in training.
        dropout: f32,
        /// Sets the weight of colors.
        color: f32,
        /// Sets whether each stage draws a network of its own.
        own_draws: bool,
        /// Sets whether parts are cut without their mean.
        center_parts: bool,
        /// Sets the weight of the prior.
        prior_weight: f32,
        /// Sets how high a component must peak.
        least_peak: f32,
        /// Sets which cluster is the background.
        foreground: ForegroundRule,
        /// Sets whether the object is only the largest component.
        single_object: bool,
        /// Sets the precision.
        precision: Precision;
        /// Sets k.
        n_clusters?: usize,
        /// Sets the length that feature vectors are scaled to.
        feature_norm?: f32,
    }

    /// Sets the objective, and the graph that goes with it if the one so far does not: the signed one for [`Objective::Correlation`], the
    /// thresholded one for the others.
    #[must_use]
    pub fn objective(mut self, objective: Objective) -> Self {
        self.objective = objective;
        self.edges = match (objective, self.edges) {
            (Objective::Correlation, edges @ Edges::Correlation { .. }) => edges,
            (Objective::Correlation, _) => Edges::Correlation { alpha: DEFAULT_ALPHA },
            (_, Edges::Correlation { .. }) => Edges::Threshold(DEFAULT_TAU),
            (_, edges) => edges,
        };
        self
    }

    /// The published code's: relaxed cut on weighted edges, dropout, a draw for each stage, the corners' vote.
    #[must_use]
    pub fn paper() -> Self {
        Self {
            objective: Objective::Mincut,
            edges: Edges::Relu,
            epochs: [10, 100, 10],
            learning_rate: 1e-3,
            dropout: 0.25,
            feature_norm: None,
            own_draws: true,
            center_parts: false,
            prior_weight: 0.0,
            foreground: ForegroundRule::Corner,
            precision: Precision::F32,
            ..Self::default()
        }
    }

    /// The precision in use on a processor: never [`Precision::Auto`].
    #[must_use]
    pub(crate) fn precision_on(&self, cpu: &Cpu) -> Precision {
        cpu.network_precision(self.precision, true)
    }

    /// Whether clustering looks at the patches' colors.
    #[must_use]
    pub(crate) fn needs_colors(&self) -> bool {
        self.method == Method::DeepSpectral && self.color > 0.0
    }

    /// Whether what the network says of objects joins the first stage's cut, if it says anything.
    #[must_use]
    pub(crate) fn takes_prior(&self) -> bool {
        let cuts = self.method == Method::Deepcut && self.objective == Objective::NormalizedCut && self.object_clusters() == 2;
        // Where objects are told apart, what the network says joins after the cut.
        cuts && self.mode != Mode::Objects && self.prior_weight > 0.0
    }

    /// k of the first stage: an object and its background before there are parts, whatever the objective.
    #[must_use]
    pub(crate) fn object_clusters(&self) -> usize {
        match self.mode {
            Mode::Object => self.n_clusters.unwrap_or(if self.objective == Objective::Correlation { 10 } else { 2 }),
            _ => 2,
        }
    }

    /// k of the second stage.
    #[must_use]
    pub(crate) fn part_clusters(&self) -> usize {
        self.n_clusters.unwrap_or(if self.objective == Objective::Correlation { 10 } else { 4 })
    }

    /// What the labels of a result mean: 0 is background, then come the object, its parts or the clusters, then a second background.
    #[must_use]
    pub fn meanings(&self, score: f32) -> Vec<Meaning> {
        let meaning = |label: usize, kind, part_of| Meaning { label: label.min(MAX_CLUSTERS + 1) as u8, kind, part_of, score };
        let background = |label| meaning(label, Kind::Background, None);
        let parts = || (1..=self.part_clusters()).map(|label| meaning(label, Kind::Part, Some(1)));
        let mut found = vec![background(0)];
        match self.mode {
            // Objects and their scores are known once they are found.
            Mode::Objects => {}
            Mode::Object if self.object_clusters() == 2 => found.push(meaning(1, Kind::Object, None)),
            Mode::Object => found.extend((1..=self.object_clusters()).map(|label| meaning(label, Kind::Cluster, None))),
            Mode::Parts => found.extend(parts()),
            Mode::Scene => {
                found.extend(parts());
                found.push(background(self.part_clusters() + 1));
            }
        }
        found
    }

    /// Options that have no effect with the others, each with the reason.
    ///
    /// ```
    /// use deepcut::{Method, Recipe};
    ///
    /// let kmeans = Recipe::default().method(Method::Kmeans);
    /// assert!(kmeans.without_effect().contains(&("epochs", "only the method deepcut trains a network")));
    /// ```
    #[must_use]
    pub fn without_effect(&self) -> Vec<(&'static str, &'static str)> {
        let mut found = Vec::new();
        let mut add = |names: &[&'static str], why| found.extend(names.iter().map(|name| (*name, why)));
        if self.method != Method::Deepcut {
            add(
                &["objective", "epochs", "learning_rate", "weight_decay", "dropout", "own_draws"],
                "only the method deepcut trains a network",
            );
        }
        if !self.method.needs_edges() {
            add(&["edges"], "the method has no such graph; only the confidence depends on it");
        }
        if matches!(self.method, Method::Tokencut | Method::Lost | Method::DeepSpectral | Method::Maskcut) {
            add(&["foreground"], "the method says itself which side is the object");
        }
        if self.method == Method::Lost {
            add(&["seed"], "the method draws nothing");
        }
        if !self.takes_prior() {
            let why = "a prior joins the normalized cut in two by the method deepcut, in every mode but objects, if prior_weight is above 0";
            add(&["least_peak"], why);
            if self.prior_weight > 0.0 {
                add(&["prior_weight"], why);
            }
        }
        if matches!(self.mode, Mode::Object | Mode::Objects) {
            add(&["center_parts", "own_draws"], "it belongs to the modes parts and scene");
        }
        found
    }

    /// Checks every value against its range, and whether they go together.
    ///
    /// # Errors
    /// [`OptionError`], naming the first value out of range.
    pub fn validate(&self) -> Result<(), OptionError> {
        if let Some(k) = self.n_clusters {
            check("n_clusters", k, (MIN_CLUSTERS..=MAX_CLUSTERS).contains(&k), "2 to 32")?;
        }
        if self.mode == Mode::Objects {
            let unset = self.n_clusters.is_none();
            check(
                "n_clusters",
                self.n_clusters.unwrap_or_default(),
                unset,
                "unset: the mode objects finds their number, max_objects limits it",
            )?;
            check("mode", "objects", self.objective != Objective::Correlation, "another with the objective correlation")?;
        } else {
            check("method", "maskcut", self.method != Method::Maskcut, "another, or the mode objects")?;
        }
        if self.method == Method::Maskcut {
            let (tau, suits) = match self.edges {
                Edges::Threshold(tau) => (tau.to_string(), tau >= 0.0),
                _ => ("none".to_owned(), false),
            };
            check("tau", tau, suits, "at least 0 with the method maskcut")?;
        }
        if self.method.cuts_in_two() {
            let two = self.mode == Mode::Objects || self.mode == Mode::Object && self.n_clusters.is_none_or(|k| k == 2);
            let method = self.method.name();
            check("method", method, two, "one that finds more than an object, as deepcut, kmeans or spectral")?;
        }
        let correlates = self.objective == Objective::Correlation;
        check("objective", "correlation", !correlates || self.method == Method::Deepcut, "another, or the method deepcut")?;
        check_range("color", self.color, 0.0, 1e3, "0 to 1000")?;
        if self.method != Method::DeepSpectral {
            check("color", self.color, self.color == 0.0, "0 with any method but deep-spectral, which alone looks at colors")?;
        }
        match self.edges {
            Edges::Relu => {
                let suits = !self.method.needs_threshold();
                check("edges", "relu", suits, "a threshold: the methods tokencut and maskcut cut the graph of a threshold")?;
            }
            Edges::Threshold(tau) => check_range("tau", tau, -1.0, 1.0, "−1 to 1")?,
            Edges::Correlation { alpha } => {
                check_range("alpha", alpha, 1.0, 1e6, "at least 1")?;
                check("edges", "correlation", correlates, "a threshold (tau) or relu, or the objective correlation")?;
            }
        }
        let signed = matches!(self.edges, Edges::Correlation { .. });
        check("objective", "correlation", !correlates || signed, "another, or the edges correlation (alpha)")?;
        check_range("prior_weight", self.prior_weight, 0.0, 1e3, "0 to 1000")?;
        check_range("least_peak", self.least_peak, 0.0, 1.0, "0 to 1")?;
        if let Some(norm) = self.feature_norm {
            check_range("feature_norm", norm, f32::MIN_POSITIVE, 1e3, "above 0, at most 1000")?;
        }
        for epochs in self.epochs {
            check("epochs", epochs, (1..=1_000_000).contains(&epochs), "1 to 1,000,000")?;
        }
        check_range("learning_rate", self.learning_rate, f32::MIN_POSITIVE, 10.0, "above 0, at most 10")?;
        check_range("weight_decay", self.weight_decay, 0.0, 10.0, "0 to 10")?;
        check_range("dropout", self.dropout, 0.0, 0.99, "0 to 0.99")
    }

    /// Upper bound of the memory that clustering takes, in bytes, without its input.
    ///
    /// ```text
    /// pairs: n² / 8 for a threshold's bits, which every confidence needs; 4 n² (in bf16 2 n²) for a graph that weighs its edges
    /// nodes: the features, as they are, scaled, averaged and packed, and what a task or a search for eigenvectors keeps of each node
    /// ```
    #[must_use]
    pub fn memory(&self, cpu: &Cpu, patches: usize, dim: usize) -> u64 {
        let (n, dim, threads) = (patches as u64, dim as u64, cpu.threads() as u64);
        let weighs = self.edges == Edges::Relu && self.method.needs_edges();
        let weight = match self.method {
            Method::DeepSpectral => 4,
            _ if weighs && cpu.float(self.precision) == Float::Bf16 => 2,
            _ if weighs => 4,
            _ => 0,
        };
        let pairs = n.saturating_mul(n);
        let of_a_node = 4 * 8 * dim + 256 * threads + 4096;
        (pairs / 8).saturating_add(pairs.saturating_mul(weight)).saturating_add(n.saturating_mul(of_a_node))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_out_of_range_are_named() {
        Recipe::default().validate().unwrap();
        Recipe::paper().validate().unwrap();
        let name = |recipe: Recipe| recipe.validate().unwrap_err().name;
        let with = Recipe::default;
        assert_eq!(name(with().n_clusters(1)), "n_clusters");
        assert_eq!(name(with().n_clusters(33)), "n_clusters");
        assert_eq!(name(with().method(Method::Lost).mode(Mode::Parts)), "method");
        assert_eq!(name(with().method(Method::Pca).n_clusters(3)), "method");
        assert_eq!(name(with().method(Method::Tokencut).objective(Objective::Correlation)), "objective");
        assert_eq!(name(with().method(Method::Kmeans).objective(Objective::Correlation)), "objective");
        let objects = || with().mode(Mode::Objects);
        objects().validate().unwrap();
        objects().method(Method::Maskcut).validate().unwrap();
        assert_eq!(name(objects().n_clusters(3)), "n_clusters");
        assert_eq!(name(objects().objective(Objective::Correlation)), "mode");
        assert_eq!(name(with().method(Method::Maskcut)), "method");
        assert_eq!(name(objects().method(Method::Maskcut).edges(Edges::Relu)), "tau");
        assert_eq!(name(objects().method(Method::Maskcut).edges(Edges::Threshold(-0.1))), "tau");
        assert_eq!(name(with().color(10.0)), "color");
        assert_eq!(name(with().method(Method::DeepSpectral).color(-1.0)), "color");
        assert_eq!(name(with().method(Method::DeepSpectral).color(f32::NAN)), "color");
        assert_eq!(name(with().edges(Edges::Threshold(f32::NAN))), "tau");
        assert_eq!(name(with().edges(Edges::Correlation { alpha: 3.0 })), "edges");
        assert_eq!(name(with().method(Method::Tokencut).edges(Edges::Relu)), "edges");
        assert_eq!(name(with().objective(Objective::Correlation).edges(Edges::Relu)), "objective");
        assert_eq!(name(with().objective(Objective::Correlation).edges(Edges::Correlation { alpha: 0.5 })), "alpha");
        assert_eq!(name(with().epochs([10, 0, 10])), "epochs");
        assert_eq!(name(with().learning_rate(0.0)), "learning_rate");
        assert_eq!(name(with().weight_decay(-1.0)), "weight_decay");
        assert_eq!(name(with().dropout(1.0)), "dropout");
        assert_eq!(name(with().feature_norm(0.0)), "feature_norm");
        assert_eq!(name(with().prior_weight(-1.0)), "prior_weight");
        assert_eq!(name(with().prior_weight(f32::NAN)), "prior_weight");
        assert_eq!(name(with().least_peak(1.5)), "least_peak");
    }

    #[test]
    fn a_prior_joins_the_normalized_cut_in_two() {
        let default = Recipe::default;
        for mode in [Mode::Object, Mode::Parts, Mode::Scene] {
            assert!(default().mode(mode).takes_prior());
        }
        assert!(default().mode(Mode::Parts).n_clusters(5).takes_prior(), "five parts of one object");
        let without = [
            Recipe::paper(),
            default().prior_weight(0.0),
            default().mode(Mode::Objects),
            default().n_clusters(3),
            default().objective(Objective::Mincut),
            default().method(Method::Tokencut),
        ];
        for recipe in without {
            assert!(!recipe.takes_prior(), "{recipe:?}");
            assert!(recipe.without_effect().iter().any(|(name, _)| *name == "least_peak"));
        }
        assert!(default().without_effect().iter().all(|(name, _)| !["least_peak", "prior_weight"].contains(name)));
    }

    #[test]
    fn the_graph_follows_the_objective() {
        let correlation = Recipe::default().objective(Objective::Correlation);
        assert_eq!(correlation.edges, Edges::Correlation { alpha: 3.0 });
        assert_eq!(correlation.clone().objective(Objective::Mincut).edges, Edges::Threshold(0.2));
        let own = correlation.edges(Edges::Correlation { alpha: 5.0 });
        assert_eq!(own.objective(Objective::Correlation).edges, Edges::Correlation { alpha: 5.0 });
        assert_eq!(Recipe::paper().objective(Objective::NormalizedCut).edges, Edges::Relu);
    }

    #[test]
    fn the_number_of_clusters_follows_mode_and_objective() {
        let clusters = |recipe: &Recipe| (recipe.object_clusters(), recipe.part_clusters());
        let recipe = Recipe::default();
        assert_eq!(recipe.object_clusters(), 2);
        let recipe = recipe.objective(Objective::Correlation);
        assert_eq!(recipe.object_clusters(), 10);
        let recipe = recipe.n_clusters(5);
        assert_eq!(recipe.object_clusters(), 5);
        let recipe = recipe.mode(Mode::Parts);
        assert_eq!(clusters(&recipe), (2, 5));
        assert_eq!(clusters(&recipe.clone().n_clusters(None)), (2, 10));
        assert_eq!(clusters(&recipe.objective(Objective::Mincut)), (2, 5));
    }

    #[test]
    fn labels_have_meanings() {
        let kinds = |recipe: Recipe| recipe.meanings(0.5).iter().map(|m| (m.label, m.kind, m.part_of)).collect::<Vec<_>>();
        let background = |label| (label, Kind::Background, None);
        assert_eq!(kinds(Recipe::default()), [background(0), (1, Kind::Object, None)]);
        let part = |label| (label, Kind::Part, Some(1));
        let parts = Recipe::default().mode(Mode::Parts).n_clusters(2);
        assert_eq!(kinds(parts.clone()), [background(0), part(1), part(2)]);
        assert_eq!(kinds(parts.mode(Mode::Scene)), [background(0), part(1), part(2), background(3)]);
        assert_eq!(kinds(Recipe::default().n_clusters(3)).last(), Some(&(3, Kind::Cluster, None)));
    }

    #[test]
    fn recipes_are_read_as_they_are_written() {
        for recipe in [Recipe::default(), Recipe::paper(), Recipe::default().objective(Objective::Correlation)] {
            let text = serde_json::to_string(&recipe).unwrap();
            assert_eq!(serde_json::from_str::<Recipe>(&text).unwrap(), recipe, "{text}");
        }
        let read = |text| serde_json::from_str::<Recipe>(text);
        assert_eq!(read("{}").unwrap(), Recipe::default());
        assert_eq!(read(r#"{"edges": {"threshold": 0.1}}"#).unwrap().edges, Edges::Threshold(0.1));
        assert_eq!(read(r#"{"edges": "relu", "colour": 0}"#).unwrap().edges, Edges::Relu);
        assert!(read(r#"{"tao": 0.1}"#).is_err());
    }
}
