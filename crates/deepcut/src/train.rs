//! Trains the network on one image's graph: joins `gnn` and `objective`, which do not know each other.
//!
//! As in the published code, the result is the assignment of the last training pass: after `epochs − 1` updates, and with dropout if
//! there is any.

use crate::cpu::Cpu;
use crate::gnn::{AdamW, Dropout, Network, Pass, Propagated};
use crate::graph::Graph;
use crate::objective::{Objective, cross_entropy};
use std::ops::ControlFlow;

/// How to train.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Schedule {
    /// Objective to minimize.
    pub objective: Objective,
    /// Number of forward passes; at least one.
    pub epochs: usize,
    /// AdamW's learning rate.
    pub learning_rate: f32,
    /// AdamW's weight decay.
    pub weight_decay: f32,
    /// Share of the hidden layer's values that dropout sets to zero, in [0, 1).
    pub dropout: f32,
    /// Seed of dropout.
    pub seed: u64,
}

/// What is known of the assignment before training: it begins there, and is held near.
///
/// ```text
/// S = softmax(network + logits),   L = objective(S) + weight · CE(softmax(logits), S)
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Prior<'a> {
    /// Logits of each cluster for each node, `[nodes, n_clusters]`.
    pub logits: &'a [f32],
    /// Weight of the cross-entropy beside the objective, at least 0.
    pub weight: f32,
}

/// A soft clustering of the nodes.
#[derive(Debug, Clone, PartialEq)]
pub struct Assignment {
    /// Number of clusters, k.
    pub n_clusters: usize,
    /// The probability of each cluster for each node, `[nodes, n_clusters]`; each row sums to one.
    pub soft: Vec<f32>,
    /// The value of what was minimized at `soft`.
    pub loss: f32,
}

impl Assignment {
    /// The most probable cluster of each node; among equals, the first.
    #[must_use]
    pub fn labels(&self) -> Vec<usize> {
        self.soft.chunks_exact(self.n_clusters).map(argmax).collect()
    }
}

/// Index of the largest value; among equals, the first.
pub(crate) fn argmax(values: &[f32]) -> usize {
    let mut best = 0;
    for (i, v) in values.iter().enumerate() {
        if *v > values[best] {
            best = i;
        }
    }
    best
}

/// An assignment and the network that made it.
#[derive(Debug, Clone, PartialEq)]
pub struct Trained {
    /// The assignment of the last pass.
    pub assignment: Assignment,
    /// The network of that pass.
    pub network: Network,
}

/// Trains a copy of `initial` on `graph`; `propagated` holds the graph's features. To begin at a `prior`, `initial` has an output of zeros.
///
/// `observe` is called with each epoch's index as it begins. If it returns `Break`, training stops and the result is None.
///
/// # Panics
/// If `propagated` is of another graph or of another dimension than `initial`, or `prior` of another number of nodes or clusters.
#[must_use]
pub fn train(
    cpu: &Cpu,
    graph: &Graph,
    propagated: &Propagated,
    initial: &Network,
    schedule: Schedule,
    prior: Option<Prior<'_>>,
    observe: &mut dyn FnMut(usize) -> ControlFlow<()>,
) -> Option<Trained> {
    cpu.together(|| {
        let k = initial.n_clusters();
        let mut network = initial.clone();
        let mut gradient = Network::zeros(network.dim(), k);
        let mut optimizer = AdamW::new(&network, schedule.learning_rate, schedule.weight_decay);
        let mut pass = Pass::new(graph.nodes(), k);
        let mut target = Vec::new();
        if let Some(prior) = prior {
            pass = pass.with_logits(prior.logits.to_vec());
            target = prior.logits.to_vec();
            cpu.isa.softmax(&mut target, k);
        }
        let mut assignment_gradient = vec![0.0; graph.nodes() * k];
        let mut loss = f32::NAN;
        for epoch in 0..schedule.epochs.max(1) {
            if observe(epoch).is_break() {
                return None;
            }
            let dropout = Dropout { probability: schedule.dropout, seed: schedule.seed, epoch };
            network.forward(cpu, propagated, &mut pass, (schedule.dropout > 0.0).then_some(dropout));
            loss = schedule.objective.evaluate(graph, &pass.assignment, k, &mut assignment_gradient);
            if let Some(Prior { weight, .. }) = prior {
                loss += cross_entropy::add(&pass.assignment, &target, k, weight, &mut assignment_gradient);
            }
            if epoch + 1 < schedule.epochs {
                network.backward(cpu, propagated, &mut pass, &assignment_gradient, &mut gradient);
                optimizer.step(cpu, &mut network, &gradient);
            }
        }
        Some(Trained { assignment: Assignment { n_clusters: k, soft: pass.assignment, loss }, network })
    })
}
