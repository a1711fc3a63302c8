//! From patch features to labels of pixels.
//!
//! | file | what |
//! |---|---|
//! | `recipe.rs` | [`Recipe`]: how an image is cut |
//! | `stage.rs` | cuts nodes: a graph, then a network trained on it or a classical method |
//! | `prior.rs` | joins what the network says of objects to the cut |
//! | `arrange.rs`, `polarity.rs`, `labels.rs` | lays clusters on the grid: background, object, labels |
//! | `fine.rs` | the foreground on a finer grid, where the network says |
//! | `objects.rs`, `basins.rs` | tells objects apart within the foreground |
//! | `parts.rs` | lays parts that were found over a set of images into an image's cut |
//! | `main_object.rs` | which of the foreground's patches are the main object |
//! | `select.rs` | which objects stay, without holes and specks |
//! | `finish.rs`, `upsample.rs` | [`Finish`]: from the grid to pixels |
//! | `shares.rs`, `guided.rs` | soft labels follow the image's edges: the guided filter |
//! | `refine.rs`, `bilateral.rs` | labels follow the image's edges: the bilateral solver |

mod arrange;
mod basins;
pub(crate) mod bilateral;
mod distance;
mod fine;
mod finish;
mod guided;
mod labels;
mod main_object;
mod objects;
mod parts;
mod polarity;
mod prior;
mod recipe;
mod refine;
mod select;
mod shares;
mod stage;
mod upsample;

use crate::baseline::{Appearance, Method, maskcut};
#[cfg(feature = "batch")]
use crate::components::keep_largest;
use crate::cpu::Cpu;
use crate::features::FeatureMap;
use crate::graph::{Graph, GraphError, NodeFeatures};
#[cfg(feature = "batch")]
use crate::kernels::logistic;
use crate::kernels::packed::Float;
use crate::objective::cleanness;
use crate::progress::{Cancelled, Observer, Step, begin, go_on};
use crate::segmentation::{Kind, Meaning};
use crate::setting::OptionError;
#[cfg(feature = "batch")]
use arrange::{Arranged, drop_low};
use arrange::{arrange, spread};
pub(crate) use basins::neighbors;
use fine::fine_foreground;
pub use finish::{Finish, Refine};
pub use labels::{FineForeground, GridLabels, Group};
use main_object::main_object;
use objects::{Field, Objects};
use recipe::{BACKGROUND_CLUSTERS, DEFAULT_TAU};
pub use recipe::{Edges, ForegroundRule, Mode, Recipe};
pub use stage::Start;
use stage::{Networks, Nodes, Stage, slot, stage};
pub use upsample::Upsampling;

/// Why features could not be clustered.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum ClusterError {
    /// The features make no graph.
    #[error(transparent)]
    Graph(#[from] GraphError),
    /// An option out of its range.
    #[error(transparent)]
    Option(#[from] OptionError),
    /// More clusters than patches.
    #[error("{n_clusters} clusters of {nodes} nodes; ask for fewer clusters or a higher resolution")]
    TooManyClusters {
        /// k asked for.
        n_clusters: usize,
        /// Patches of the image.
        nodes: usize,
    },
    /// Colors are to weigh, but these features were computed without them.
    #[error("color is {color}, but the features come without the patches' colors; compute them with View::patch_colors")]
    NoColors {
        /// [`Recipe::color`].
        color: f32,
    },
    /// Maps of one call differ in dimension, so no network fits all of them.
    #[error("feature maps of dimension {first} and {other} cannot start from one network; cluster them apart")]
    Dimensions {
        /// Dimension of the first map.
        first: usize,
        /// Dimension of another.
        other: usize,
    },
    /// The network to start from has another shape.
    #[error(
        "the network to start from maps {} features to {} clusters, here it would be {} to {}; start from a seed",
        got.0, got.1, expected.0, expected.1
    )]
    Start {
        /// Dimension and number of clusters here.
        expected: (usize, usize),
        /// Those of the network.
        got: (usize, usize),
    },
    /// A classical method trains no network, so there is none to start from.
    #[error("the method {method} trains no network and cannot start from an earlier clustering; start from a seed")]
    NothingToTrain {
        /// The method's name.
        method: &'static str,
    },
    /// The observer returned `Break`.
    #[error("the work was cancelled")]
    Cancelled,
}

impl From<Cancelled> for ClusterError {
    fn from(_: Cancelled) -> Self {
        Self::Cancelled
    }
}

/// Soft labels of an image's patches, and the networks that made them.
#[derive(Debug, Clone, PartialEq)]
pub struct Clustering {
    grid: GridLabels,
    meanings: Vec<Meaning>,
    confidence: f32,
    seed: u64,
    networks: Networks,
    has_objects: bool,
    main_object: Option<Vec<bool>>,
}

impl Clustering {
    /// The soft labels.
    #[must_use]
    pub fn grid(&self) -> &GridLabels {
        &self.grid
    }

    /// The label of every patch, row by row.
    pub fn labels(&self) -> impl Iterator<Item = u8> {
        self.grid.hard().into_iter()
    }

    /// What the labels mean.
    #[must_use]
    pub fn meanings(&self) -> &[Meaning] {
        &self.meanings
    }

    /// The patches that are nearer to the main object than to another, `[height, width]`: the basin of most log-odds, where a prior joined the
    /// cut ([`Recipe::prior_weight`]). None without a prior, and where nothing or several objects were found.
    #[must_use]
    pub fn main_object(&self) -> Option<&[bool]> {
        self.main_object.as_deref()
    }

    /// With objects of these scores, labeled from 1.
    fn with_objects(mut self, scores: &[f32]) -> Self {
        let object = |(label, &score)| Meaning { label, kind: Kind::Object, part_of: None, score };
        self.meanings.extend((1..=u8::MAX).zip(scores).map(object));
        Self { has_objects: true, ..self }
    }

    /// Whether the labels are objects that were told apart: [`Mode::Objects`].
    pub(crate) fn has_objects(&self) -> bool {
        self.has_objects
    }

    /// How clean the cut between foreground and background is, in [0, 1]: one minus their soft normalized cut on the thresholded
    /// graph, `Σ sᵀWs / sᵀD1 − 1` over the two. 1: they share no edge. 0: nothing was cut. It ranks masks well:
    /// `deepcut eval` prints the mean IoU by quarters of confidence.
    #[must_use]
    pub fn confidence(&self) -> f32 {
        self.confidence
    }
}

impl Recipe {
    /// Clusters the patches of one image or several, each for itself, all from the same start: that is what makes labels agree.
    ///
    /// A map of a constant image, or of patches that are all alike, has nothing to cut: it is all background, with confidence 0. Fewer
    /// foreground patches than parts is no error: some parts stay empty.
    ///
    /// # Errors
    /// [`ClusterError`]: an option out of its range, colors that are missing, maps that do not go together, a start that does not fit, or an
    /// image of fewer patches than clusters.
    pub fn cluster(&self, cpu: &Cpu, maps: &[FeatureMap], start: Start<'_>) -> Result<Vec<Clustering>, ClusterError> {
        self.cluster_observed(cpu, maps, start, &mut go_on)
    }

    /// As [`Recipe::cluster`]; `observe` is called as each step begins, and cancels the work with `Break`.
    ///
    /// # Errors
    /// As [`Recipe::cluster`], and [`ClusterError::Cancelled`].
    pub fn cluster_observed(
        &self,
        cpu: &Cpu,
        maps: &[FeatureMap],
        start: Start<'_>,
        observe: &mut Observer<'_>,
    ) -> Result<Vec<Clustering>, ClusterError> {
        self.validate()?;
        if matches!(start, Start::From(_)) && self.method != Method::Deepcut {
            return Err(ClusterError::NothingToTrain { method: self.method.name() });
        }
        let first = maps.first().map_or(0, FeatureMap::dim);
        if let Some(other) = maps.iter().map(FeatureMap::dim).find(|dim| *dim != first) {
            return Err(ClusterError::Dimensions { first, other });
        }
        // Rates are measured with nobody beside.
        let precision = (cpu.float(self.precision), cpu.takes_int8(self.precision));
        cpu.together(|| maps.iter().map(|map| self.cluster_map(cpu, map, precision, start, observe)).collect())
    }

    fn cluster_map(
        &self,
        cpu: &Cpu,
        map: &FeatureMap,
        (precision, int8): (Float, bool),
        start: Start<'_>,
        observe: &mut Observer<'_>,
    ) -> Result<Clustering, ClusterError> {
        let (grid, nodes, n_clusters) = (map.grid(), map.patches(), self.object_clusters());
        let mut networks = start.networks().cloned().unwrap_or_default();
        if map.is_of_constant_image() || map.is_constant() && !self.needs_colors() {
            return Ok(self.clustering(grid, vec![Group::of_one(0, vec![1.0; nodes])], 0.0, start.seed(), networks));
        }
        if n_clusters > nodes {
            return Err(ClusterError::TooManyClusters { n_clusters, nodes });
        }
        let appearance = map.colors().map(|colors| Appearance { colors, grid });
        if self.needs_colors() && appearance.is_none() {
            return Err(ClusterError::NoColors { color: self.color });
        }
        let features = NodeFeatures::from_map(map).in_precision(precision).with_int8(int8);
        let of_objects = |graph: &Graph, objects: Objects, networks| {
            let confidence = confidence(cpu, graph, &features, &objects.foreground);
            self.clustering(grid, objects.groups, confidence, start.seed(), networks).with_objects(&objects.scores)
        };
        if let (Method::Maskcut, Edges::Threshold(tau)) = (self.method, self.edges) {
            begin(observe, Step::Graph)?;
            let graph = Graph::threshold(cpu, &features, tau);
            begin(observe, Step::Train { epoch: 0 })?;
            let cuts = maskcut::objects(cpu, &graph, &features, grid, tau, start.seed());
            return Ok(of_objects(&graph, Objects::of_cuts(&cuts, nodes), networks));
        }
        let mut cut = |which: Stage, nodes: Nodes<'_>, k: usize| {
            let mut cut = stage(cpu, self, which, nodes, k, start, observe)?;
            if let Some(network) = cut.network.take() {
                networks[slot(which, cut.log_odds.is_some())] = Some(network);
            }
            Ok::<_, ClusterError>(cut)
        };
        let prior = map.objectness().filter(|_| self.takes_prior());
        let mut whole = cut(Stage::Image, Nodes { features: &features, appearance, prior }, n_clusters)?;
        let arranged = arrange(&mut whole, grid, self.foreground, self.least_peak, self.single_object);
        if self.mode == Mode::Objects {
            let field = Field::new(&arranged.foreground, map.objectness(), grid.1);
            return Ok(of_objects(&whole.graph, Objects::of_field(&field, grid), networks));
        }
        let confidence = confidence(cpu, &whole.graph, &features, &arranged.foreground);
        drop(whole.graph);
        let groups = if self.mode == Mode::Object && n_clusters > 2 {
            arranged.cluster_groups(&whole.assignment)
        } else {
            // Clusters of some nodes, spread over all; zeros if there are none.
            let mut within = |which: Stage, inside: bool, k: usize| {
                let some = arranged.nodes(inside);
                if some.is_empty() {
                    return Ok(vec![0.0; nodes * k]);
                }
                let selected = features.select(&some)?;
                let cut = cut(which, Nodes { features: &selected, appearance: None, prior: None }, k)?;
                Ok::<_, ClusterError>(spread(&cut.assignment, &some, nodes))
            };
            let [mut background, mut foreground] = arranged.two_groups();
            let parts = self.part_clusters();
            if self.mode != Mode::Object {
                foreground.labels = (1..=parts as u8).collect();
                foreground.label_probability = within(Stage::Parts, true, parts)?;
            }
            if self.mode == Mode::Scene {
                background.labels = vec![0, parts as u8 + 1];
                background.label_probability = within(Stage::Background, false, BACKGROUND_CLUSTERS)?;
            }
            vec![background, foreground]
        };
        let fine = whole.log_odds.as_ref().and_then(|_| fine_foreground(map, &groups, &arranged.dropped));
        let main_object = whole.log_odds.and_then(|log_odds| {
            let inside = log_odds.iter().zip(&arranged.inside).map(|(&l, &inside)| if inside { l } else { l.min(0.0) });
            main_object(&inside.collect::<Vec<_>>(), grid.1)
        });
        let mut clustering = self.clustering(grid, groups, confidence, start.seed(), networks);
        clustering.grid.fine = fine;
        Ok(Clustering { main_object, ..clustering })
    }

    /// The object, or the objects, where the prior says, without a cut: for a frame of a video whose prior has the frame before in it. Networks and
    /// confidence are those of the clustering before. None if the recipe finds something else, or there is no prior.
    #[cfg(feature = "batch")]
    pub(crate) fn of_prior(&self, map: &FeatureMap, before: &Clustering) -> Option<Clustering> {
        let whole = matches!(self.mode, Mode::Object | Mode::Objects) && self.method == Method::Deepcut;
        if !whole || self.prior_weight == 0.0 || self.object_clusters() != 2 || map.is_of_constant_image() {
            return None;
        }
        let (log_odds, grid) = (map.objectness()?, map.grid());
        let foreground: Vec<f32> = log_odds.iter().map(|&l| logistic(l)).collect();
        let (seed, networks) = (before.seed, before.networks.clone());
        if self.mode == Mode::Objects {
            let objects = Objects::of_field(&Field::new(&foreground, Some(log_odds), grid.1), grid);
            let clustering = self.clustering(grid, objects.groups, before.confidence, seed, networks);
            return Some(clustering.with_objects(&objects.scores));
        }
        let found: Vec<bool> = log_odds.iter().map(|&l| l > 0.0).collect();
        let mut inside = found.clone();
        drop_low(&mut inside, grid, log_odds, self.least_peak);
        if self.single_object {
            keep_largest(&mut inside, grid.0, grid.1);
        }
        let dropped = found.iter().zip(&inside).map(|(found, inside)| *found && !inside).collect();
        let arranged = Arranged { background: 0, foreground, inside, dropped };
        let groups = arranged.two_groups().to_vec();
        let fine = fine_foreground(map, &groups, &arranged.dropped);
        let kept = log_odds.iter().zip(&arranged.inside).map(|(&l, &inside)| if inside { l } else { l.min(0.0) });
        let main_object = main_object(&kept.collect::<Vec<_>>(), grid.1);
        let mut clustering = self.clustering(grid, groups, before.confidence, seed, networks);
        clustering.grid.fine = fine;
        Some(Clustering { main_object, ..clustering })
    }

    fn clustering(
        &self,
        (height, width): (usize, usize),
        groups: Vec<Group>,
        confidence: f32,
        seed: u64,
        networks: Networks,
    ) -> Clustering {
        let grid = GridLabels { height, width, groups, fine: None };
        Clustering {
            grid,
            meanings: self.meanings(confidence),
            confidence,
            seed,
            networks,
            has_objects: false,
            main_object: None,
        }
    }
}

/// How cleanly a soft foreground is cut from the rest, on the thresholded graph.
fn confidence(cpu: &Cpu, graph: &Graph, features: &NodeFeatures, foreground: &[f32]) -> f32 {
    let thresholded = if graph.is_thresholded() {
        None
    } else {
        graph.thresholded(DEFAULT_TAU).or_else(|| Some(Graph::threshold(cpu, features, DEFAULT_TAU)))
    };
    cleanness(thresholded.as_ref().unwrap_or(graph), foreground)
}

#[cfg(test)]
mod tests;
