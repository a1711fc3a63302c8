//! One DeepCut network for a set of images: trained on the union of their graphs, a batch of images at a time.
//!
//! ```text
//! zᵢ = Âᵢ xᵢ                        each image's foreground patches, averaged over its own graph
//! S  = network(z of a batch)        one network for all images
//! L  = objective(W, S)              W joins patches of all images of the batch
//! ```
//!
//! | symbol | code          | shape  | meaning                                                |
//! |--------|---------------|--------|--------------------------------------------------------|
//! | x      | `Patches`     | [n, d] | features of an image's foreground patches, of length 5 |
//! | W      | `Batch::graph`| [n, n] | cosines of a batch's patches where they are positive    |
//! | S      | `assignment`  | [n, k] | soft parts                                             |
//!
//! Edges between images are what makes their parts agree. Messages stay within an image, so that the network does to an image alone what it was
//! trained to do. It may be trained towards given labels first, as those of a codebook: `CE(labels, S)`. Source: DeepCut (arXiv 2212.05853),
//! whose network and objective these are; there every image has a network of its own.

use crate::cpu::Cpu;
use crate::gnn::{AdamW, Network, Pass, Propagated};
use crate::graph::{Graph, GraphError, NodeFeatures};
use crate::kernels::packed::Float;
use crate::objective::{Objective, cross_entropy};
use crate::progress::{Cancelled, Observer, Step, begin};
use crate::segment::{Edges, Recipe};

/// Length of a feature vector where the recipe leaves it as it is.
const NORM: f32 = 5.0;
/// Most patches of a batch of images, unless one image has more.
const BATCH_PATCHES: usize = 2048;
/// Batches that are kept in memory; more are made anew each time.
const KEPT_BATCHES: usize = 8;
/// Epochs that the network learns given labels for.
const LABEL_EPOCHS: usize = 60;
/// Most steps of the optimizer in each phase, but every batch has one.
const MOST_STEPS: usize = 200;

/// The drawn patches of an image.
pub(super) struct Patches<'a> {
    /// `[patches, dim]`.
    pub rows: &'a [f32],
    /// The part of each patch, if the network is to learn parts first.
    pub labels: Option<&'a [u32]>,
}

/// Some images as one graph.
struct Batch {
    graph: Graph,
    propagated: Propagated,
    /// `[nodes, k]`, one for each node's label; empty without labels.
    target: Vec<f32>,
}

/// The graph of some patches, and their features as the recipe takes them. Edges weigh the cosine where it is positive: within an object a threshold joins
/// too much or too little, whatever it is.
fn graph(cpu: &Cpu, recipe: &Recipe, rows: Vec<f32>, dim: usize, precision: Float) -> Result<(Graph, NodeFeatures), GraphError> {
    let features = NodeFeatures::new(rows.len() / dim, dim, rows)?.in_precision(precision);
    let features = features.normalized(recipe.feature_norm.unwrap_or(NORM));
    let graph = match recipe.edges {
        Edges::Threshold(_) | Edges::Relu => Graph::relu(cpu, &features),
        Edges::Correlation { alpha } => Graph::correlation(cpu, &features, alpha),
    };
    Ok((graph, features))
}

/// Soft parts of an image's patches, `[patches, k]`; `rows` are not empty.
pub(super) fn apply(
    cpu: &Cpu,
    recipe: &Recipe,
    network: &Network,
    rows: Vec<f32>,
    precision: Float,
) -> Result<Vec<f32>, GraphError> {
    let (graph, features) = graph(cpu, recipe, rows, network.dim(), precision)?;
    let mut pass = Pass::new(features.nodes(), network.n_clusters());
    network.forward(cpu, &Propagated::new(&graph, &features), &mut pass, None);
    Ok(pass.assignment)
}

/// What trains one network.
pub(super) struct Union<'a> {
    pub cpu: &'a Cpu,
    pub recipe: &'a Recipe,
    pub precision: Float,
    pub dim: usize,
    pub k: usize,
    /// The images, each with a patch or more.
    pub images: Vec<Patches<'a>>,
}

impl Union<'_> {
    /// Groups of images, as ranges of their places.
    fn groups(&self) -> Vec<std::ops::Range<usize>> {
        let mut groups = Vec::new();
        let (mut first, mut nodes) = (0, 0);
        for (at, image) in self.images.iter().enumerate() {
            let own = image.rows.len() / self.dim;
            if nodes > 0 && nodes + own > BATCH_PATCHES {
                groups.push(first..at);
                (first, nodes) = (at, 0);
            }
            nodes += own;
        }
        groups.push(first..self.images.len());
        groups
    }

    fn batch(&self, group: std::ops::Range<usize>) -> Result<Batch, GraphError> {
        let images = &self.images[group];
        let mut propagated = Vec::new();
        for image in images {
            let (graph, features) = graph(self.cpu, self.recipe, image.rows.to_vec(), self.dim, self.precision)?;
            propagated.extend(graph.propagate(&features).to_vec());
        }
        let rows: Vec<f32> = images.iter().flat_map(|image| image.rows).copied().collect();
        let (graph, features) = graph(self.cpu, self.recipe, rows, self.dim, self.precision)?;
        let propagated = NodeFeatures::new(features.nodes(), self.dim, propagated)?.in_precision(self.precision);
        let mut target = Vec::new();
        for label in images.iter().filter_map(|image| image.labels).flatten() {
            target.extend((0..self.k).map(|part| f32::from(u8::from(part == *label as usize))));
        }
        Ok(Batch { graph, propagated: Propagated::of_propagated(self.cpu, &propagated), target })
    }

    /// Trains a network from the initial one of a seed, and returns it with the mean objective of its batches.
    pub fn train(&self, seed: u64, observe: &mut Observer<'_>) -> Result<(Network, f32), UnionError> {
        let groups = self.groups();
        let keeps = groups.len() <= KEPT_BATCHES;
        begin(observe, Step::Graph)?;
        let kept: Vec<Batch> = match keeps {
            true => groups.iter().map(|group| self.batch(group.clone())).collect::<Result<_, _>>()?,
            false => Vec::new(),
        };
        let mut network = Network::initial(self.dim, self.k, seed);
        let mut gradient = Network::zeros(self.dim, self.k);
        let mut loss = 0.0;
        let learns_labels = self.images.iter().all(|image| image.labels.is_some());
        let epochs = self.recipe.epochs[1];
        let phases = [(learns_labels, if learns_labels { LABEL_EPOCHS } else { 0 }), (false, epochs)];
        for (is_label_phase, epochs) in phases {
            let mut optimizer = AdamW::new(&network, self.recipe.learning_rate, self.recipe.weight_decay);
            let steps = (epochs * groups.len()).min(MOST_STEPS.max(groups.len()));
            loss = 0.0;
            for step in 0..steps {
                begin(observe, Step::Train { epoch: step })?;
                let at = step % groups.len();
                let made;
                let batch = match kept.get(at) {
                    Some(batch) => batch,
                    None => {
                        made = self.batch(groups[at].clone())?;
                        &made
                    }
                };
                let mut pass = Pass::new(batch.graph.nodes(), self.k);
                let mut of_assignment = vec![0.0; batch.graph.nodes() * self.k];
                network.forward(self.cpu, &batch.propagated, &mut pass, None);
                let value = if is_label_phase {
                    cross_entropy::add(&pass.assignment, &batch.target, self.k, 1.0, &mut of_assignment)
                } else {
                    self.objective().evaluate(&batch.graph, &pass.assignment, self.k, &mut of_assignment)
                };
                if step + groups.len() >= steps {
                    loss += value / groups.len() as f32;
                }
                network.backward(self.cpu, &batch.propagated, &mut pass, &of_assignment, &mut gradient);
                optimizer.step(self.cpu, &mut network, &gradient);
            }
        }
        Ok((network, loss))
    }

    fn objective(&self) -> Objective {
        self.recipe.objective
    }
}

/// Why no network was trained.
pub(super) enum UnionError {
    Graph(GraphError),
    Cancelled,
}

impl From<GraphError> for UnionError {
    fn from(error: GraphError) -> Self {
        Self::Graph(error)
    }
}

impl From<Cancelled> for UnionError {
    fn from(_: Cancelled) -> Self {
        Self::Cancelled
    }
}
