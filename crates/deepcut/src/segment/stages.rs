//! The stages of the method: the picture, the parts of its foreground, the clusters of its background.

use super::polarity::background;
use super::{GridLabels, Group, Stage};
use crate::backbone::FeatureMap;
use crate::baseline::{self, Method, Problem};
use crate::components::keep_largest;
use crate::gnn::{Network, Propagated, nth_seed};
use crate::graph::{Graph, GraphError, NodeFeatures};
use crate::kernels::Isa;
use crate::kernels::packed::Float;
use crate::kernels::parallel::Crew;
use crate::objective::Objective;
use crate::options::{Mode, Options, OptionsError};
use crate::train::{Assignment, Schedule, train_observed};
use std::ops::ControlFlow;

/// Clusters of the background in `Mode::Scene`.
const BACKGROUND_CLUSTERS: usize = 2;
/// Threshold of the graph on which confidence is measured where the stage's own graph has none.
const CONFIDENCE_TAU: f32 = 0.2;

/// Why a picture could not be clustered.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum ClusterError {
    /// The features make no graph.
    #[error(transparent)]
    Graph(#[from] GraphError),
    /// An option out of its range.
    #[error(transparent)]
    Options(#[from] OptionsError),
    /// Colours of other patches.
    #[error("{got} values of colours for {nodes} patches; expected three a patch")]
    Colors {
        /// Values there are.
        got: usize,
        /// Patches of the picture.
        nodes: usize,
    },
    /// More clusters than nodes.
    #[error("{n_clusters} clusters of {nodes} nodes; ask for fewer clusters or a higher resolution")]
    TooManyClusters {
        /// k asked for.
        n_clusters: usize,
        /// Patches of the picture.
        nodes: usize,
    },
    /// The observer said `Break`.
    #[error("the work was cancelled")]
    Cancelled,
    /// Colours are to weigh, but these features were computed without them.
    #[error("color is {color}, but the features come without the patches' colours; compute them with the same options")]
    NoColors {
        /// [`Options::color`].
        color: f32,
    },
}

/// The labels of a picture's patches.
#[derive(Debug, Clone, PartialEq)]
pub struct Clustering {
    /// Soft labels.
    pub grid: GridLabels,
    /// The highest label of the foreground.
    pub foreground_labels: u8,
    /// How clean the cut between foreground and background is, in [0, 1]: one minus their soft normalised cut on the thresholded
    /// graph, `Σ sᵀWs / sᵀD1 − 1` over the two. 1: they share no edge. 0: nothing was cut. It ranks masks well:
    /// `deepcut eval` prints the mean IoU by quarters of confidence.
    pub confidence: f32,
}

/// Bytes that [`cluster`] takes at most beside what it is given, for so many patches of so many features.
///
/// ```text
/// pairs: n² / 8 for a threshold's bits, which every confidence needs; 4 n² (in bf16 2 n²) for a graph that weighs its edges
/// nodes: the features, as they are, scaled, averaged and packed, and what a task or a search for eigenvectors keeps of each node
/// ```
#[must_use]
pub fn memory(isa: Isa, nodes: usize, dim: usize, options: &Options) -> u64 {
    let (n, dim, threads) = (nodes as u64, dim as u64, rayon::current_num_threads() as u64);
    let weight = match (options.method, options.objective, options.tau) {
        (Method::DeepSpectral, ..) => 4,
        (Method::Deepcut, Objective::Correlation, _) | (Method::Deepcut, _, Some(_)) => 0,
        (Method::Deepcut, _, None) if isa.float(options.precision) == Float::Bf16 => 2,
        (Method::Deepcut, _, None) => 4,
        _ => 0,
    };
    let pairs = n.saturating_mul(n);
    let of_a_node = 4 * 8 * dim + 256 * threads + 4096;
    (pairs / 8).saturating_add(pairs.saturating_mul(weight)).saturating_add(n.saturating_mul(of_a_node))
}

/// Clusters the patches of a picture. `observe` is told of each stage as it begins and of every epoch of training.
///
/// # Errors
/// [`ClusterError::Options`] if an option is out of its range; [`ClusterError::Graph`] if there are no features or they are not finite;
/// [`ClusterError::Colors`] if they come with colours of another number of patches, [`ClusterError::NoColors`] if colours are to weigh and `map`
/// has none; [`ClusterError::TooManyClusters`] if the picture has fewer patches than clusters; [`ClusterError::Cancelled`] once `observe` says
/// `Break`. (Fewer foreground patches than parts is no error: some parts stay empty.)
pub fn cluster(
    isa: Isa,
    map: &FeatureMap,
    options: &Options,
    observe: &mut dyn FnMut(Stage) -> ControlFlow<()>,
) -> Result<Clustering, ClusterError> {
    options.validate()?;
    let (height, width) = (map.grid_height, map.grid_width);
    let features = NodeFeatures::from_map(map)?.in_precision(isa.float(options.precision));
    let (nodes, n_clusters) = (features.nodes(), options.object_clusters());
    if n_clusters > nodes {
        return Err(ClusterError::TooManyClusters { n_clusters, nodes });
    }
    if let Some(got) = map.colors.as_ref().map(Vec::len).filter(|len| *len != 3 * nodes) {
        return Err(ClusterError::Colors { got, nodes });
    }
    if options.color > 0.0 && map.colors.is_none() {
        return Err(ClusterError::NoColors { color: options.color });
    }
    let mut cut = |features: &NodeFeatures, place: Place<'_>, n_clusters| cut(isa, features, place, n_clusters, options, observe);
    let whole = Place { stage: 0, grid: (height, width), colors: map.colors.as_deref() };
    let Cut { graph, assignment, background: back } = cut(&features, whole, n_clusters)?;
    let back = back.unwrap_or_else(|| background(&assignment.labels(), height, width, n_clusters, options.foreground));
    let mass: Vec<f32> = assignment.soft.chunks_exact(n_clusters).map(|row| 1.0 - row[back]).collect();

    let confidence = if graph.is_thresholded() {
        confidence(&graph, &mass)
    } else {
        let thresholded = graph.thresholded(CONFIDENCE_TAU);
        confidence(&thresholded.unwrap_or_else(|| Graph::threshold(isa, &features, CONFIDENCE_TAU)), &mass)
    };
    drop(graph);
    let foreground_labels = options.foreground_labels();
    let clustering = |groups| Clustering { grid: GridLabels { height, width, groups }, foreground_labels, confidence };
    if confidence < options.min_confidence {
        return Ok(clustering(vec![Group { mass: vec![1.0; nodes], labels: vec![0], shares: vec![] }]));
    }

    // A cell is foreground if its cluster is, however its mass is spread over the others.
    let found: Vec<bool> = assignment.labels().iter().map(|&label| label != back).collect();
    let mut inside = found.clone();
    if options.largest_component {
        keep_largest(&mut inside, height, width);
    }
    let dropped: Vec<bool> = found.iter().zip(&inside).map(|(found, inside)| *found && !inside).collect();
    if options.mode == Mode::Object && n_clusters > 2 {
        return Ok(clustering(cluster_groups(&assignment, back, &dropped)));
    }

    let [mut background, mut foreground] = sides(&mass, &inside, &dropped);
    let nodes_where = |wanted: bool| -> Vec<usize> { (0..nodes).filter(|&node| inside[node] == wanted).collect() };
    if options.mode != Mode::Object {
        let parts = options.part_clusters();
        foreground.labels = (1..=parts as u8).collect();
        foreground.shares =
            shares(&features, &nodes_where(true), parts, |f| Ok(cut(f, Place::of_some(1, f), parts)?.assignment))?;
    }
    if options.mode == Mode::Scene {
        background.labels = vec![0, foreground_labels + 1];
        background.shares = shares(&features, &nodes_where(false), BACKGROUND_CLUSTERS, |f| {
            Ok(cut(f, Place::of_some(2, f), BACKGROUND_CLUSTERS)?.assignment)
        })?;
    }
    Ok(clustering(vec![background, foreground]))
}

/// Every cluster is a group of its own; what a dropped cell has of the foreground is taken from it.
fn cluster_groups(assignment: &Assignment, back: usize, dropped: &[bool]) -> Vec<Group> {
    let k = assignment.n_clusters;
    let mut groups: Vec<Group> = (0..k)
        .map(|c| {
            let own = assignment.soft.iter().skip(c).step_by(k).zip(dropped);
            let mass = own.map(|(&s, &dropped)| if dropped && c != back { 0.0 } else { s }).collect();
            Group { mass, labels: vec![if c == back { 0 } else { c as u8 + 1 }], shares: vec![] }
        })
        .collect();
    // The background comes first, so that it wins where a dropped cell has nothing left.
    groups.swap(0, back);
    groups
}

/// Background and foreground. The foreground's mass is moved to the side that was decided, which differs from its own only for an exact
/// half or where it is spread over several clusters; a dropped cell has none.
fn sides(mass: &[f32], inside: &[bool], dropped: &[bool]) -> [Group; 2] {
    let decided = mass.iter().zip(inside).zip(dropped).map(|((mass, inside), dropped)| match (inside, dropped) {
        (_, true) => 0.0,
        (true, _) => mass.max(0.5 + f32::EPSILON),
        (false, _) => mass.min(0.5),
    });
    let foreground: Vec<f32> = decided.collect();
    [
        Group { mass: foreground.iter().map(|m| 1.0 - m).collect(), labels: vec![0], shares: vec![] },
        Group { mass: foreground, labels: vec![1], shares: vec![] },
    ]
}

/// Which nodes a stage cuts.
struct Place<'a> {
    /// 0, 1 or 2: picture, parts, background.
    stage: usize,
    /// Rows and columns of the nodes.
    grid: (usize, usize),
    colors: Option<&'a [f32]>,
}

impl Place<'_> {
    /// Nodes picked from the grid.
    fn of_some(stage: usize, features: &NodeFeatures) -> Self {
        Self { stage, grid: (1, features.nodes()), colors: None }
    }
}

/// What a stage made.
struct Cut {
    graph: Graph,
    assignment: Assignment,
    /// The cluster of the background, if the method says.
    background: Option<usize>,
}

/// One stage: a graph of some nodes, and the network trained on it or another method's clusters.
fn cut(
    isa: Isa,
    features: &NodeFeatures,
    Place { stage, grid, colors }: Place<'_>,
    n_clusters: usize,
    options: &Options,
    observe: &mut dyn FnMut(Stage) -> ControlFlow<()>,
) -> Result<Cut, ClusterError> {
    let mut begin = |stage| if observe(stage).is_break() { Err(ClusterError::Cancelled) } else { Ok(()) };
    begin(Stage::Graph)?;
    // Within an object all patches are alike; what is left without their mean tells its parts apart.
    let features = if stage == 0 || !options.center_parts { features } else { &features.centered() };
    let features = match options.feature_norm {
        Some(norm) => &features.normalized(norm),
        None => features,
    };
    if options.method != Method::Deepcut {
        let graph = Graph::threshold(isa, features, options.tau.unwrap_or(CONFIDENCE_TAU));
        begin(Stage::Train)?;
        let Options { color, seed, .. } = *options;
        let problem = Problem { isa, grid, features, colors, color, graph: &graph, n_clusters, seed };
        let found = baseline::cluster(options.method, problem)?;
        return Ok(Cut { assignment: found.assignment, background: found.background, graph });
    }
    let graph = match (options.objective, options.tau) {
        (Objective::Correlation, _) => Graph::correlation(isa, features, options.alpha),
        (_, Some(tau)) => Graph::threshold(isa, features, tau),
        (_, None) => Graph::relu(isa, features),
    };
    let propagated = Propagated::new(&graph, features);
    let seed = if options.own_draws { nth_seed(options.seed, stage) } else { options.seed };
    let schedule = Schedule {
        objective: options.objective,
        epochs: options.epochs[stage],
        learning_rate: options.learning_rate,
        weight_decay: options.weight_decay,
        dropout: options.dropout,
        seed,
    };
    let initial = Network::initial(features.dim(), n_clusters, seed);
    let each_epoch = &mut || observe(Stage::Train);
    let assignment = train_observed(isa, &graph, &propagated, &initial, schedule, each_epoch).ok_or(ClusterError::Cancelled)?;
    Ok(Cut { graph, assignment, background: None })
}

/// Clusters some of the nodes and spreads the result over all of them, `[all nodes, n_clusters]`; zeros if there are none.
fn shares(
    features: &NodeFeatures,
    nodes: &[usize],
    n_clusters: usize,
    cut: impl FnOnce(&NodeFeatures) -> Result<Assignment, ClusterError>,
) -> Result<Vec<f32>, ClusterError> {
    let mut out = vec![0.0; features.nodes() * n_clusters];
    if !nodes.is_empty() {
        let assignment = cut(&features.select(nodes)?)?;
        for (&node, row) in nodes.iter().zip(assignment.soft.chunks_exact(n_clusters)) {
            out[node * n_clusters..(node + 1) * n_clusters].copy_from_slice(row);
        }
    }
    Ok(out)
}

/// `Σ sᵀWs / sᵀD1 − 1` over a soft foreground and its complement.
fn confidence(graph: &Graph, foreground: &[f32]) -> f32 {
    let both: Vec<f32> = foreground.iter().flat_map(|&f| [f, 1.0 - f]).collect();
    let mut gradient = vec![0.0; both.len()];
    let value = Objective::NormalizedCut.evaluate(&Crew::alone(), graph, &both, 2, &mut gradient);
    (-value - 1.0).clamp(0.0, 1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An object before a background, with some grain.
    fn map() -> FeatureMap {
        let inside = |at: usize| (2..6).contains(&(at / 8)) && (2..6).contains(&(at % 8));
        let grain = |at: usize, d: usize| ((at * 7 + d) % 5) as f32 * 0.01;
        let feature = |at: usize| (0..8).map(move |d| if (d < 4) == inside(at) { 1.0 } else { -0.2 } + grain(at, d));
        FeatureMap { grid_height: 8, grid_width: 8, dim: 8, data: (0..64).flat_map(feature).collect(), colors: None }
    }

    #[test]
    fn the_observer_cancels_between_stages_and_epochs() {
        let options = Options { mode: Mode::Scene, epochs: [3, 4, 5], ..Options::default() };
        let run = |most: usize| {
            let mut told = Vec::new();
            let result = cluster(Isa::detect(), &map(), &options, &mut |stage| {
                told.push(stage);
                if told.len() > most { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
            });
            (result, told)
        };
        let (whole, told) = run(usize::MAX);
        let whole = whole.unwrap();
        let training = [3, 4, 5].into_iter().flat_map(|epochs| [vec![Stage::Graph], vec![Stage::Train; epochs]].concat());
        assert_eq!(told, training.collect::<Vec<_>>());
        for most in 0..told.len() {
            let (result, seen) = run(most);
            assert_eq!((result, seen.len()), (Err(ClusterError::Cancelled), most + 1));
        }
        assert_eq!(run(told.len()).0, Ok(whole));
    }
}
