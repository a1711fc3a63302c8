//! Trains the network on one picture's graph: joins `gnn` and `objective`, which do not know each other.
//!
//! As in the published code, the assignment returned is that of the last training pass, after `epochs − 1` updates and with
//! dropout, if there is any.

use crate::gnn::{AdamW, Dropout, Network, Pass, Propagated};
use crate::graph::Graph;
use crate::kernels::Isa;
use crate::kernels::parallel::{Crew, crew};
use crate::objective::Objective;
use std::ops::ControlFlow;

/// How to train.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Schedule {
    /// What to minimise.
    pub objective: Objective,
    /// Forward passes; at least one.
    pub epochs: usize,
    /// AdamW's learning rate.
    pub learning_rate: f32,
    /// AdamW's weight decay.
    pub weight_decay: f32,
    /// Share of the hidden layer dropped, in [0, 1).
    pub dropout: f32,
    /// Seed of dropout.
    pub seed: u64,
}

/// A soft clustering of the nodes.
#[derive(Debug, Clone, PartialEq)]
pub struct Assignment {
    /// k.
    pub n_clusters: usize,
    /// `[nodes, n_clusters]`; each row sums to one.
    pub soft: Vec<f32>,
    /// The objective's value at `soft`.
    pub loss: f32,
}

impl Assignment {
    /// The cluster of each node: the first of the largest.
    #[must_use]
    pub fn labels(&self) -> Vec<usize> {
        self.soft.chunks_exact(self.n_clusters).map(first_largest).collect()
    }
}

/// Index of the first of the largest values.
pub(crate) fn first_largest(values: &[f32]) -> usize {
    let mut best = 0;
    for (i, v) in values.iter().enumerate() {
        if *v > values[best] {
            best = i;
        }
    }
    best
}

/// Trains a copy of `initial` on `graph`; `propagated` holds its features.
///
/// # Panics
/// If `propagated` is of another graph or of another dimension than `initial`.
#[must_use]
pub fn train(isa: Isa, graph: &Graph, propagated: &Propagated, initial: &Network, schedule: Schedule) -> Assignment {
    let mut epochs = 0..schedule.epochs.max(1);
    crew(|crew| train_with(crew, isa, graph, propagated, initial, schedule, &mut epochs))
}

/// As [`train`]; `observe` is told of each epoch as it begins and ends the training with `Break`: there is no assignment then.
///
/// # Panics
/// As [`train`].
#[must_use]
pub fn train_observed(
    isa: Isa,
    graph: &Graph,
    propagated: &Propagated,
    initial: &Network,
    schedule: Schedule,
    observe: &mut dyn FnMut() -> ControlFlow<()>,
) -> Option<Assignment> {
    let mut cancelled = false;
    let mut epochs = (0..schedule.epochs.max(1)).take_while(|_| {
        cancelled = observe().is_break();
        !cancelled
    });
    let assignment = crew(|crew| train_with(crew, isa, graph, propagated, initial, schedule, &mut epochs));
    (!cancelled).then_some(assignment)
}

fn train_with(
    crew: &Crew,
    isa: Isa,
    graph: &Graph,
    propagated: &Propagated,
    initial: &Network,
    schedule: Schedule,
    epochs: &mut dyn Iterator<Item = usize>,
) -> Assignment {
    let k = initial.n_clusters();
    let mut network = initial.clone();
    let mut gradient = Network::zeros(network.dim(), k);
    let mut optimizer = AdamW::new(&network, schedule.learning_rate, schedule.weight_decay);
    let mut pass = Pass::new(graph.nodes(), k);
    let mut assignment_gradient = vec![0.0; graph.nodes() * k];
    let mut loss = f32::NAN;
    for epoch in epochs {
        let dropout = Dropout { probability: schedule.dropout, seed: schedule.seed, epoch };
        network.forward(isa, crew, propagated, &mut pass, (schedule.dropout > 0.0).then_some(dropout));
        loss = schedule.objective.evaluate(crew, graph, &pass.assignment, k, &mut assignment_gradient);
        if epoch + 1 < schedule.epochs {
            network.backward(isa, crew, propagated, &mut pass, &assignment_gradient, &mut gradient);
            optimizer.step(isa, &mut network, &gradient);
        }
    }
    Assignment { n_clusters: k, soft: pass.assignment, loss }
}
