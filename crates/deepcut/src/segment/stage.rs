//! One stage of the method: cuts nodes, wherever they lie. The stages are the image, the parts of its foreground, the clusters of its
//! background.

use super::prior;
use super::recipe::{DEFAULT_TAU, Edges, Recipe};
use super::{ClusterError, Clustering};
use crate::baseline::{self, Appearance, Found, Method, Problem};
use crate::cpu::Cpu;
use crate::gnn::{Network, Propagated, nth_seed};
use crate::graph::{Graph, Neighbors, NodeFeatures};
use crate::progress::{Observer, Step, begin};
use crate::train::{Assignment, Prior, Schedule, Trained, train};

/// Which part of an image a stage cuts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stage {
    Image = 0,
    Parts = 1,
    Background = 2,
}

/// The networks of the three stages, where they were trained; then the first stage's that began at a prior. It corrects the prior, where the
/// other makes clusters without one, so neither can go on as the other.
pub(super) type Networks = [Option<Network>; 4];

/// Which of [`Networks`] a stage trains.
pub(super) fn slot(which: Stage, has_prior: bool) -> usize {
    if has_prior { 3 } else { which as usize }
}

/// Where training starts.
///
/// ```
/// use deepcut::{Cpu, FeatureMap, Recipe, Start};
///
/// #[rustfmt::skip]
/// let look = [
///     0, 0, 0, 0,
///     0, 1, 1, 0,
///     0, 0, 0, 0,
/// ];
/// let frame = |look: &[u8]| FeatureMap::new(3, 4, 2, look.iter().flat_map(|&look| [f32::from(look), 1.0 - f32::from(look)]).collect());
/// let cpu = Cpu::default();
/// let before = Recipe::default().cluster(&cpu, &[frame(&look)?], Start::Seed(0))?;
/// // In the next frame the object is a patch further to the left. The network is trained already.
/// #[rustfmt::skip]
/// let look = [
///     0, 0, 0, 0,
///     1, 1, 0, 0,
///     0, 0, 0, 0,
/// ];
/// let after = Recipe::default().epochs([1; 3]).cluster(&cpu, &[frame(&look)?], Start::From(&before[0]))?;
/// assert_eq!(after[0].labels().collect::<Vec<_>>(), look);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, Copy)]
pub enum Start<'a> {
    /// From the initial network of this seed.
    Seed(u64),
    /// From the networks of an earlier clustering of features of the same kind, as the frame before in a video. A stage that was not trained
    /// there starts from the initial network of that clustering's seed.
    From(&'a Clustering),
}

impl<'a> Start<'a> {
    /// The seed of whatever is drawn.
    pub(super) fn seed(self) -> u64 {
        match self {
            Self::Seed(seed) => seed,
            Self::From(clustering) => clustering.seed,
        }
    }

    /// The networks there are.
    pub(super) fn networks(self) -> Option<&'a Networks> {
        match self {
            Self::Seed(_) => None,
            Self::From(clustering) => Some(&clustering.networks),
        }
    }
}

/// Nodes to cut.
#[derive(Clone, Copy)]
pub(super) struct Nodes<'a> {
    pub features: &'a NodeFeatures,
    /// Their colors and places, where they are a whole image.
    pub appearance: Option<Appearance<'a>>,
    /// Log-odds of an object, where they join the cut.
    pub prior: Option<&'a [f32]>,
}

/// What a stage made.
pub(super) struct Cut {
    pub graph: Graph,
    pub assignment: Assignment,
    /// The network that made the assignment, if the method trains one.
    pub network: Option<Network>,
    /// The cluster of the background, if the method says.
    pub background: Option<usize>,
    /// The node that the object grew from, if the method has one.
    pub seed_node: Option<usize>,
    /// Log-odds of the object, `[nodes]`, if a prior said which cluster it is.
    pub log_odds: Option<Vec<f32>>,
}

/// Cuts nodes into `n_clusters`: a graph of them, and the network trained on it or another method's clusters.
pub(super) fn stage(
    cpu: &Cpu,
    recipe: &Recipe,
    which: Stage,
    Nodes { features, appearance, prior }: Nodes<'_>,
    n_clusters: usize,
    start: Start<'_>,
    observe: &mut Observer<'_>,
) -> Result<Cut, ClusterError> {
    begin(observe, Step::Graph)?;
    // Within an object all patches are alike; what is left without their mean tells its parts apart.
    let features = if which == Stage::Image || !recipe.center_parts { features } else { &features.centered() };
    let features = match recipe.feature_norm {
        Some(norm) => &features.normalized(norm),
        None => features,
    };
    let (graph, neighbors) = graph(cpu, recipe, features, prior.is_some());
    if recipe.method != Method::Deepcut {
        begin(observe, Step::Train { epoch: 0 })?;
        let problem = Problem { cpu, features, appearance, color: recipe.color, graph: &graph, n_clusters, seed: start.seed() };
        let Found { assignment, background, seed_node } = baseline::cluster(recipe.method, problem)?;
        return Ok(Cut { graph, assignment, network: None, background, seed_node, log_odds: None });
    }
    let log_odds = prior.map(|log_odds| {
        let neighbors = neighbors.unwrap_or_else(|| Neighbors::nearest(cpu, features, prior::NEIGHBORS));
        prior::propagated(&neighbors, log_odds)
    });
    // Without a patch that is rather an object than not, the prior does not say where one is.
    let prior = log_odds.filter(|log_odds| log_odds.iter().any(|&l| l > 0.0)).map(|log_odds| prior::logits(&log_odds));
    let propagated = Propagated::new(&graph, features);
    let seed = if recipe.own_draws { nth_seed(start.seed(), which as usize) } else { start.seed() };
    let epochs = recipe.epochs[which as usize];
    let schedule = Schedule {
        objective: recipe.objective,
        epochs: if prior.is_some() { epochs.div_ceil(2) } else { epochs },
        learning_rate: recipe.learning_rate,
        weight_decay: recipe.weight_decay,
        dropout: recipe.dropout,
        seed,
    };
    let initial = match start.networks().and_then(|networks| networks[slot(which, prior.is_some())].as_ref()) {
        None if prior.is_some() => &Network::initial(features.dim(), n_clusters, seed).with_zero_output(),
        None => &Network::initial(features.dim(), n_clusters, seed),
        Some(network) if (network.dim(), network.n_clusters()) == (features.dim(), n_clusters) => network,
        Some(network) => {
            let (expected, got) = ((features.dim(), n_clusters), (network.dim(), network.n_clusters()));
            return Err(ClusterError::Start { expected, got });
        }
    };
    let each_epoch = &mut |epoch| observe(Step::Train { epoch });
    let given = prior.as_deref().map(|logits| Prior { logits, weight: recipe.prior_weight });
    let trained = train(cpu, &graph, &propagated, initial, schedule, given, each_epoch);
    let Trained { assignment, network } = trained.ok_or(ClusterError::Cancelled)?;
    let log_odds = prior.is_some().then(|| prior::log_odds(&assignment));
    let background = prior.is_some().then_some(prior::BACKGROUND);
    Ok(Cut { graph, assignment, network: Some(network), background, seed_node: None, log_odds })
}

/// The graph of the recipe, and the nearest nodes of each if it looked for them on the way.
fn graph(cpu: &Cpu, recipe: &Recipe, features: &NodeFeatures, for_prior: bool) -> (Graph, Option<Neighbors>) {
    let graph = match recipe.edges {
        Edges::Threshold(tau) if for_prior => {
            let (graph, neighbors) = Graph::threshold_and_nearest(cpu, features, tau, prior::NEIGHBORS);
            return (graph, Some(neighbors));
        }
        Edges::Threshold(tau) => Graph::threshold(cpu, features, tau),
        // The graph that the confidence is measured on.
        _ if !recipe.method.needs_edges() => Graph::threshold(cpu, features, DEFAULT_TAU),
        Edges::Relu => Graph::relu(cpu, features),
        Edges::Correlation { alpha } => Graph::correlation(cpu, features, alpha),
    };
    (graph, None)
}
