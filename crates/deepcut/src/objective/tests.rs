//! Every objective: known answers, central differences, permutations, scale.

use super::*;
use crate::cpu::Cpu;
use crate::graph::NodeFeatures;
use proptest::prelude::*;

const ALL: [Objective; 4] = [Objective::Mincut, Objective::NormalizedCut, Objective::Correlation, Objective::Modularity];

fn value(objective: Objective, graph: &Graph, assignment: &[f32], k: usize) -> f32 {
    objective.evaluate(graph, assignment, k, &mut vec![0.0; assignment.len()])
}

fn graph(nodes: usize, affinity: &[f32]) -> Graph {
    Graph::from_affinity(&Cpu::default(), nodes, affinity.to_vec()).unwrap()
}

/// Two pairs without an edge between them, split as they are: the known optimum of each objective.
#[test]
fn a_perfect_split_has_the_known_values() {
    #[rustfmt::skip]
    let pairs = graph(4, &[
        1., 1., 0., 0.,
        1., 1., 0., 0.,
        0., 0., 1., 1.,
        0., 0., 1., 1.,
    ]);
    let split = [1., 0., 1., 0., 0., 1., 0., 1.];
    let at = |objective| value(objective, &pairs, &split, 2);
    assert!((at(Objective::Mincut) + 1.0).abs() < 1e-6);
    assert!((at(Objective::NormalizedCut) + 2.0).abs() < 1e-6);
    assert!((at(Objective::Correlation) + 8.0).abs() < 1e-6);
    // Half of the edges' weight is expected by chance; the two equal clusters' collapse term is zero.
    assert!((at(Objective::Modularity) + 0.5).abs() < 1e-6);
    // Undecided: all clusters are equal.
    let undecided = [0.5; 8];
    assert!((value(Objective::NormalizedCut, &pairs, &undecided, 2) + 1.0).abs() < 1e-6);
}

#[test]
fn gradients_match_central_differences() {
    let features = NodeFeatures::new(5, 3, (0..15).map(|i| ((i * 7 + 3) % 11) as f32 / 5.0 - 1.0).collect()).unwrap();
    let cpu = &Cpu::default();
    let graphs = [
        Graph::relu(cpu, &features),
        Graph::threshold(cpu, &features, 0.1),
        Graph::correlation(cpu, &features, 3.0),
        graph(3, &[1., 0.8, 0.1, 0.8, 1., 0.3, 0.1, 0.3, 1.]),
    ];
    for graph in &graphs {
        for k in [2, 3] {
            let n = graph.nodes();
            let assignment: Vec<f32> = (0..n * k).map(|i| 0.15 + ((i * 5 + 1) % 7) as f32 / 9.0).collect();
            for objective in ALL {
                // A signed graph has no volume to divide by.
                if graph.degree().iter().any(|&d| d <= 0.0) && objective != Objective::Correlation {
                    continue;
                }
                let mut gradient = vec![0.0; n * k];
                objective.evaluate(graph, &assignment, k, &mut gradient);
                for at in 0..n * k {
                    let h = 1e-2;
                    let shifted = |by: f32| {
                        let mut moved = assignment.clone();
                        moved[at] += by;
                        value(objective, graph, &moved, k)
                    };
                    let numeric = (shifted(h) - shifted(-h)) / (2.0 * h);
                    let error = (numeric - gradient[at]).abs();
                    assert!(error < 2e-3 * (1.0 + numeric.abs()), "{objective:?} k={k} [{at}]: {} for {numeric}", gradient[at]);
                }
            }
        }
    }
}

#[test]
fn a_graph_without_edges_or_a_cluster_without_nodes_is_defined() {
    let nothing = graph(3, &[0.0; 9]);
    let lopsided = [1.0, 0.0, 1.0, 0.0, 1.0, 0.0];
    for objective in ALL {
        let mut gradient = [f32::NAN; 6];
        assert!(objective.evaluate(&nothing, &lopsided, 2, &mut gradient).is_finite());
        assert!(gradient.iter().all(|g| g.is_finite()), "{objective:?}: {gradient:?}");
    }
}

#[test]
fn a_cross_entropy_is_added_to_value_and_gradient() {
    let (assignment, target) = ([0.5f32, 0.5, 0.25, 0.75], [1.0, 0.0, 0.5, 0.5]);
    let value = |assignment: &[f32]| cross_entropy::add(assignment, &target, 2, 3.0, &mut [0.0; 4]);
    let expected = 1.5 * (2f32.ln() + 0.5 * 4f32.ln() + 0.5 * (4.0f32 / 3.0).ln());
    assert!((value(&assignment) - expected).abs() < 1e-6);
    let mut gradient = [10.0; 4];
    cross_entropy::add(&assignment, &target, 2, 3.0, &mut gradient);
    for at in 0..4 {
        let shifted = |by: f32| {
            let mut moved = assignment;
            moved[at] += by;
            value(&moved)
        };
        let numeric = (shifted(1e-2) - shifted(-1e-2)) / 2e-2;
        assert!((gradient[at] - 10.0 - numeric).abs() < 1e-2, "[{at}]: {} for {numeric}", gradient[at] - 10.0);
    }
    // Where the assignment rules out what the target has, both stay finite.
    let mut gradient = [0.0; 2];
    assert!(cross_entropy::add(&[0.0, 1.0], &[1.0, 0.0], 2, 1e3, &mut gradient).is_finite());
    assert!(gradient.iter().all(|g| g.is_finite()), "{gradient:?}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Renaming the nodes renames the gradient; renaming the clusters does too; both leave the value.
    /// The ratios do not depend on the graph's scale; the correlation is proportional to it.
    #[test]
    fn permutations_and_scale(
        weights in proptest::collection::vec(0.0f32..1.0, 36),
        assignment in proptest::collection::vec(0.05f32..1.0, 18),
        shift in 1usize..6,
        scale in 0.1f32..10.0,
    ) {
        let (n, k) = (6, 3);
        let symmetric: Vec<f32> = (0..n * n).map(|at| weights[at / n * n + at % n] + weights[at % n * n + at / n]).collect();
        let node = |i: usize| (i + shift) % n;
        let renamed: Vec<f32> = (0..n * n).map(|at| symmetric[node(at / n) * n + node(at % n)]).collect();
        let cluster = |c: usize| (c + shift) % k;
        let place = |at: usize| node(at / k) * k + cluster(at % k);
        let moved: Vec<f32> = (0..n * k).map(|at| assignment[place(at)]).collect();
        let scaled: Vec<f32> = symmetric.iter().map(|w| w * scale).collect();
        for objective in ALL {
            let (mut gradient, mut other) = (vec![0.0; n * k], vec![0.0; n * k]);
            let before = objective.evaluate(&graph(n, &symmetric), &assignment, k, &mut gradient);
            let after = objective.evaluate(&graph(n, &renamed), &moved, k, &mut other);
            prop_assert!((before - after).abs() < 1e-4 * (1.0 + before.abs()));
            for at in 0..n * k {
                prop_assert!((gradient[place(at)] - other[at]).abs() < 1e-4 * (1.0 + other[at].abs()));
            }
            let larger = value(objective, &graph(n, &scaled), &assignment, k);
            let expected = if objective == Objective::Correlation { before * scale } else { before };
            prop_assert!((larger - expected).abs() < 1e-4 * (1.0 + expected.abs()));
        }
    }
}
