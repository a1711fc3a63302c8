//! Every method on features whose clusters are known, and the eigenvectors against a dense solver.

use super::lanczos::{dot, jacobi, largest};
use super::*;
use crate::random::Random;

const GRID: (usize, usize) = (9, 12);

/// A rectangle in the grid.
fn is_object(node: usize) -> bool {
    let (y, x) = (node / GRID.1, node % GRID.1);
    (3..6).contains(&y) && (4..9).contains(&x)
}

/// Noisy vectors about one direction in the object and the opposite one elsewhere.
fn features() -> NodeFeatures {
    let (n, dim) = (GRID.0 * GRID.1, 6);
    let mut random = Random::new(5);
    let direction = |node, d: usize| if is_object(node) == d.is_multiple_of(2) { 1.0 } else { -1.0 };
    let data = (0..n * dim).map(|at| direction(at / dim, at % dim) + 0.8 * (random.uniform() - 0.5)).collect();
    NodeFeatures::new(n, dim, data).unwrap()
}

fn found(method: Method, features: &NodeFeatures, n_clusters: usize) -> Found {
    let cpu = &Cpu::default();
    let graph = Graph::threshold(cpu, features, 0.2);
    cluster(method, Problem { cpu, features, appearance: None, color: 0.0, graph: &graph, n_clusters, seed: 0 }).unwrap()
}

#[test]
fn every_method_finds_the_rectangle() {
    for method in Method::ALL.into_iter().skip(1) {
        let Found { assignment, background, seed_node } = found(method, &features(), 2);
        let labels = assignment.labels();
        assert!(seed_node.is_none_or(is_object), "{}", method.name());
        let object = background.map_or_else(|| usize::from(labels[0] == 0), |back| 1 - back);
        let wrong = labels.iter().enumerate().filter(|(i, label)| (**label == object) != is_object(*i)).count();
        assert_eq!(wrong, 0, "{}: {labels:?}", method.name());
        assert!(assignment.soft.chunks_exact(2).all(|row| row.iter().sum::<f32>() == 1.0));
    }
}

/// Without colors, the published default: the sign of the dense matrix's second eigenvector, the smaller cluster is the object.
#[test]
fn deep_spectral_is_the_dense_laplacian_s_second_eigenvector() {
    let (features, n) = (features(), GRID.0 * GRID.1);
    let unit = features.normalized(1.0);
    let row = |i: usize| unit.data()[i * unit.dim()..][..unit.dim()].iter().map(|&x| f64::from(x)).collect::<Vec<_>>();
    let rows: Vec<Vec<f64>> = (0..n).map(row).collect();
    let mut affinity: Vec<Vec<f64>> = rows.iter().map(|a| rows.iter().map(|b| dot(a, b).max(0.0)).collect()).collect();
    let degree: Vec<f64> = affinity.iter().map(|row| row.iter().sum()).collect();
    for (i, row) in affinity.iter_mut().enumerate() {
        row.iter_mut().zip(&degree).for_each(|(w, d)| *w /= (degree[i] * d).sqrt());
    }
    let (values, vectors) = jacobi(affinity);
    let mut order: Vec<usize> = (0..n).collect();
    order.sort_by(|&a, &b| values[b].total_cmp(&values[a]));
    let positive: Vec<bool> = vectors[order[1]].iter().map(|y| *y > 0.0).collect();
    let flip = 2 * positive.iter().filter(|p| **p).count() > n;
    let expected: Vec<usize> = positive.iter().map(|p| usize::from(*p != flip)).collect();
    assert_eq!(found(Method::DeepSpectral, &features, 2).assignment.labels(), expected);
}

/// Patches with equal features are separated by their colors; the rectangle is far larger than the number of neighbors.
#[test]
fn deep_spectral_uses_colors() {
    let grid = (24, 30);
    let n = grid.0 * grid.1;
    let inside = |i: usize| (6..18).contains(&(i / grid.1)) && (8..22).contains(&(i % grid.1));
    let features = NodeFeatures::new(n, 2, vec![1.0; 2 * n]).unwrap();
    let colors: Vec<f32> = (0..n).flat_map(|i| if inside(i) { [0.9, 0.1, 0.1] } else { [0.1, 0.6, 0.9] }).collect();
    let cpu = &Cpu::default();
    let graph = Graph::threshold(cpu, &features, 0.2);
    let appearance = Some(Appearance { colors: &colors, grid });
    let problem = Problem { cpu, features: &features, appearance, color: 10.0, graph: &graph, n_clusters: 2, seed: 0 };
    let labels = cluster(Method::DeepSpectral, problem).unwrap().assignment.labels();
    let wrong = labels.iter().enumerate().filter(|(i, label)| (**label == 1) != inside(*i)).count();
    assert_eq!(wrong, 0, "{labels:?}");
}

/// Four corners are four clusters, up to renaming.
#[test]
fn more_than_two_clusters() {
    let n = GRID.0 * GRID.1;
    let corner = |i: usize| 2 * usize::from(i / GRID.1 > 4) + usize::from(i % GRID.1 > 5);
    let data =
        (0..n).flat_map(|i| (0..4).map(move |d| if d == corner(i) { 1.0 } else { 0.02 * ((i * 7 + d) % 5) as f32 })).collect();
    let features = NodeFeatures::new(n, 4, data).unwrap();
    for method in [Method::Kmeans, Method::Spectral] {
        let labels = found(method, &features, 4).assignment.labels();
        let truth: Vec<usize> = (0..n).map(corner).collect();
        assert_eq!(crate::metrics::adjusted_rand_index(&labels, &truth), 1.0, "{}: {labels:?}", method.name());
    }
}

/// Equal features, or fewer nodes than clusters, do not panic.
#[test]
fn degenerate_features_give_some_result() {
    for n in [1, 2, 3, 5] {
        let features = NodeFeatures::new(n, 3, vec![1.0; 3 * n]).unwrap();
        let cpu = &Cpu::default();
        let graph = Graph::threshold(cpu, &features, 0.2);
        for method in Method::ALL {
            let problem =
                Problem { cpu, features: &features, appearance: None, color: 0.0, graph: &graph, n_clusters: 2, seed: 0 };
            assert_eq!(cluster(method, problem).unwrap().assignment.soft.len(), 2 * n, "{}, {n} nodes", method.name());
        }
    }
}

fn symmetric(n: usize) -> Vec<Vec<f64>> {
    let mut random = Random::new(9);
    let mut a = vec![vec![0.0; n]; n];
    for (i, j) in (0..n).flat_map(|i| (0..=i).map(move |j| (i, j))) {
        let value = f64::from(random.uniform()) - 0.5;
        (a[i][j], a[j][i]) = (value, value);
    }
    a
}

/// The dense solver's own equation: A v = λ v, with unit vectors at right angles.
#[test]
fn rotations_diagonalize() {
    for n in [1, 2, 7, 30] {
        let a = symmetric(n);
        let (values, vectors) = jacobi(a.clone());
        for (i, (value, v)) in values.iter().zip(&vectors).enumerate() {
            for (row, v_i) in a.iter().zip(v) {
                assert!((dot(row, v) - value * v_i).abs() < 1e-12, "{n}");
            }
            for (j, w) in vectors.iter().enumerate() {
                assert!((dot(v, w) - f64::from(u8::from(i == j))).abs() < 1e-12, "{n}");
            }
        }
    }
}

#[test]
fn lanczos_agrees_with_the_dense_solver() {
    for n in [3, 20, 90] {
        let a = symmetric(n);
        let (mut values, _) = jacobi(a.clone());
        values.sort_by(|a, b| b.total_cmp(a));
        let apply = |v: &[f64], out: &mut [f64]| out.iter_mut().zip(&a).for_each(|(out, row)| *out = dot(row, v));
        let found = largest(n, 3, &[], 1, apply);
        for ((value, v), expected) in found.iter().zip(&values) {
            assert!((value - expected).abs() < 1e-6, "{n}: {value}, not {expected}");
            let mut image = vec![0.0; n];
            apply(v, &mut image);
            assert!(image.iter().zip(v).all(|(a, v)| (a - value * v).abs() < 1e-5), "{n}");
        }
        // Without the first, the second is the largest.
        let rest = largest(n, 1, &[found[0].1.clone()], 1, apply);
        assert!((rest[0].0 - values[1]).abs() < 1e-6, "{n}");
    }
}

/// Generalized eigenvectors of graphs of every kind against those of the dense matrix.
#[test]
fn graphs_have_the_dense_matrix_eigenvectors() {
    let features = features();
    let cpu = &Cpu::default();
    let n = features.nodes();
    for graph in [Graph::threshold(cpu, &features, 0.2), Graph::relu(cpu, &features)] {
        let identity: Vec<f32> = (0..n * n).map(|i| f32::from(u8::from(i / n == i % n))).collect();
        let mut w = vec![0.0; n * n];
        graph.multiply(&identity, n, &mut w);
        let degree: Vec<f64> = graph.degree().iter().map(|&d| f64::from(d)).collect();
        let row = |i: usize| (0..n).map(|j| f64::from(w[i * n + j]) / (degree[i] * degree[j]).sqrt()).collect();
        let (mut values, _) = jacobi((0..n).map(row).collect());
        values.sort_by(|a, b| b.total_cmp(a));
        let second = &spectral::eigenvectors(&graph, 1, 0)[0];
        // (D − W) y = λ D y with the second smallest λ.
        let lambda = 1.0 - values[1];
        let size = second.iter().fold(0.0f64, |m, y| m.max(y.abs()));
        for i in 0..n {
            let wy: f64 = (0..n).map(|j| f64::from(w[i * n + j]) * second[j]).sum();
            let rest = degree[i] * second[i] - wy - lambda * degree[i] * second[i];
            assert!(rest.abs() < 1e-4 * degree[i] * size, "node {i}: {rest}");
        }
    }
}

/// Two rectangles that look different from each other and from the background; MaskCut finds one after the other.
#[test]
fn maskcut_finds_what_tokencut_leaves() {
    let grid = (12, 16);
    let kind = |node: usize| match (node / grid.1, node % grid.1) {
        (2..7, 2..8) => 1,
        (7..10, 10..14) => 2,
        _ => 0,
    };
    let mut random = Random::new(2);
    let data = (0..grid.0 * grid.1 * 3).map(|at| f32::from(u8::from(at % 3 == kind(at / 3))) + 0.1 * random.uniform()).collect();
    let features = NodeFeatures::new(grid.0 * grid.1, 3, data).unwrap();
    let cpu = &Cpu::default();
    let whole = Graph::threshold(cpu, &features, 0.5);
    let cuts = maskcut::objects(cpu, &whole, &features, grid, 0.5, 0);
    for wanted in [1, 2] {
        let found = cuts.iter().any(|cut| cut.inside.iter().enumerate().all(|(node, inside)| *inside == (kind(node) == wanted)));
        assert!(found, "rectangle {wanted}");
    }
    for node in 0..features.nodes() {
        assert!(cuts.iter().filter(|cut| cut.inside[node]).count() <= 1, "node {node} belongs to two objects");
    }
    assert!(cuts.iter().all(|cut| (0.0..=1.0).contains(&cut.score)));
}
