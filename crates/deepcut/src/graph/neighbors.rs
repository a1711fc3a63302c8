//! The nearest nodes of each node, and averages over them.
//!
//! ```text
//! x ← (1 − α) x + α · Σⱼ wᵢⱼ xⱼ / Σⱼ wᵢⱼ,   wᵢⱼ = max(cos(fᵢ, fⱼ), 0)⁴,   j the nodes of largest cosine with i, but i
//! ```
//!
//! | symbol | code           | shape      | meaning                     |
//! |--------|----------------|------------|-----------------------------|
//! | F      | `NodeFeatures` | [n, d]     | patch features              |
//! | j      | `nodes`        | [n, count] | neighbors, the nearest first |
//! | w      | `weights`      | [n, count] | their weights               |
//!
//! Cost: O(n²d) for the cosines, a block of rows at a time: n² values are never stored.

use super::node_features::{NodeFeatures, TASK_ROWS};
use crate::cpu::Cpu;
use crate::kernels::Left;
use crate::kernels::parallel;
use crate::kernels::widest::{Work, widest};

/// Columns of a row whose largest values are compared: enough that the largest `count` of all columns seldom meet.
const LANES: usize = 32;

/// The nearest nodes of each node by the cosine of their features.
#[derive(Debug, Clone, PartialEq)]
pub struct Neighbors {
    count: usize,
    nodes: Vec<u32>,
    weights: Vec<f32>,
}

impl Neighbors {
    /// The `count` nearest nodes of each node, or all others if there are not so many. Of equally near ones the first is the nearer.
    #[must_use]
    pub fn nearest(cpu: &Cpu, features: &NodeFeatures, count: usize) -> Self {
        cpu.together(|| Self::nearest_seen(cpu, features, count, std::iter::repeat(()), |(), _| ()))
    }

    /// As [`Neighbors::nearest`]; `see` looks at the cosines of each [`TASK_ROWS`] nodes with all, `[rows, n]`, on the way, with one of `outputs`. It
    /// sees none if nobody has neighbors.
    pub(super) fn nearest_seen<T: Send>(
        cpu: &Cpu,
        features: &NodeFeatures,
        count: usize,
        outputs: impl Iterator<Item = T> + Send,
        see: impl Fn(T, &[f32]) + Sync,
    ) -> Self {
        let (n, dim) = (features.nodes(), features.dim());
        let count = count.min(n.saturating_sub(1));
        let mut found = Self { count, nodes: vec![0; n * count], weights: vec![0.0; n * count] };
        let unit = features.normalized(1.0);
        let right = unit.compared_columns();
        parallel::for_each_with(
            found.tasks_mut(TASK_ROWS).zip(outputs),
            &mut Vec::new(),
            |(cosines, best): &mut (Vec<f32>, Vec<Near>), (task, output)| {
                cosines.resize(task.rows() * n, 0.0);
                let left = Left::row_major(&unit.data()[task.first * dim..], task.rows(), dim);
                right.products(cpu, left, 0, cosines);
                see(output, cosines);
                widest(Search { task, cosines, best });
            },
        );
        found
    }

    /// The neighbors of `rows` nodes each; nothing if nobody has any.
    fn tasks_mut(&mut self, rows: usize) -> impl Iterator<Item = Task<'_>> {
        let (count, len) = (self.count, (rows * self.count).max(1));
        let outputs = self.nodes.chunks_mut(len).zip(self.weights.chunks_mut(len)).enumerate();
        outputs.map(move |(task, (nodes, weights))| Task { first: task * rows, count, nodes, weights })
    }

    /// Moves a value of each node, `[n]`, by the share `alpha` towards the weighted mean of its neighbors' values. A node without a neighbor of
    /// positive cosine keeps its own.
    ///
    /// # Panics
    /// If there is not a value for each node.
    #[must_use]
    pub fn average(&self, values: &[f32], alpha: f32) -> Vec<f32> {
        assert_eq!(values.len() * self.count, self.nodes.len(), "values of another graph");
        let count = self.count;
        let mean = |(node, &own): (usize, &f32)| {
            let of_node = node * count..(node + 1) * count;
            let (mut sum, mut total) = (0.0f32, 0.0f32);
            for (&neighbor, weight) in self.nodes[of_node.clone()].iter().zip(&self.weights[of_node]) {
                sum += weight * values[neighbor as usize];
                total += weight;
            }
            if total > 0.0 { (1.0 - alpha) * own + alpha * (sum / total) } else { own }
        };
        values.iter().enumerate().map(mean).collect()
    }
}

/// A node that may be among the nearest.
#[derive(Debug, Clone, Copy)]
struct Near {
    cosine: f32,
    node: u32,
}

/// Neighbors to be found, of the nodes from `first` on.
struct Task<'a> {
    first: usize,
    count: usize,
    nodes: &'a mut [u32],
    weights: &'a mut [f32],
}

impl Task<'_> {
    /// Nodes whose neighbors these are.
    fn rows(&self) -> usize {
        self.nodes.len() / self.count
    }
}

/// A task and what it searches: the nodes' cosines with all nodes, `[rows, n]`. Those with themselves are overwritten.
struct Search<'a> {
    task: Task<'a>,
    cosines: &'a mut [f32],
    best: &'a mut Vec<Near>,
}

impl Work for Search<'_> {
    #[inline(always)]
    fn run(self) {
        let Self { task, cosines, best } = self;
        let (count, n) = (task.count, cosines.len() / task.rows());
        let outputs = task.nodes.chunks_exact_mut(count).zip(task.weights.chunks_exact_mut(count));
        for (r, (row, (nodes, weights))) in cosines.chunks_exact_mut(n).zip(outputs).enumerate() {
            // No node is its own neighbor.
            row[task.first + r] = f32::NEG_INFINITY;
            largest(row, count, best);
            for (near, (node, weight)) in best.iter().zip(nodes.iter_mut().zip(weights)) {
                (*node, *weight) = (near.node, near.cosine.max(0.0).powi(4));
            }
        }
    }
}

/// The `count` largest of a row's cosines, the largest first; of equals the first.
#[inline(always)]
fn largest(row: &[f32], count: usize, best: &mut Vec<Near>) {
    best.clear();
    let mut bound = lower_bound(row, count);
    for (block, values) in row.chunks(LANES).enumerate() {
        // Most blocks hold none of them.
        if !values.iter().fold(false, |any, cosine| any | (*cosine >= bound)) {
            continue;
        }
        for (lane, &cosine) in values.iter().enumerate() {
            let is_full = best.len() == count;
            if cosine < bound || is_full && cosine == bound {
                continue;
            }
            if is_full {
                best.pop();
            }
            let place = best.partition_point(|near| near.cosine >= cosine);
            best.insert(place, Near { cosine, node: (block * LANES + lane) as u32 });
            if best.len() == count {
                bound = best[count - 1].cosine;
            }
        }
    }
}

/// A bound that at least `count` values of a row reach: so many lanes have a value that large.
#[inline(always)]
fn lower_bound(row: &[f32], count: usize) -> f32 {
    if count > LANES {
        return f32::NEG_INFINITY;
    }
    let mut most = [f32::NEG_INFINITY; LANES];
    let (blocks, rest) = row.as_chunks::<LANES>();
    for values in blocks {
        most.iter_mut().zip(values).for_each(|(most, value)| *most = if *value > *most { *value } else { *most });
    }
    most.iter_mut().zip(rest).for_each(|(most, value)| *most = most.max(*value));
    *most.select_nth_unstable_by(count - 1, |a, b| b.total_cmp(a)).1
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::packed::Float;

    /// Every instruction set, precision and number of threads against the definition, with ties.
    #[test]
    fn the_nearest_are_those_of_largest_cosine() {
        for (n, count) in [(1, 10), (2, 10), (5, 4), (31, 10), (33, 10), (150, 10), (257, 7), (100, 40)] {
            let dim = 5;
            let data: Vec<f32> = (0..n * dim).map(|i| ((i * i * 7 + 3 * i) % 23) as f32 - 9.0).collect();
            let features = NodeFeatures::new(n, dim, data).unwrap();
            for isa in crate::Isa::available() {
                let cpus = [1, 3].map(|threads| Cpu::builder().isa(isa).threads(threads).build().unwrap());
                let found = Neighbors::nearest(&cpus[0], &features, count);
                assert_eq!(found, Neighbors::nearest(&cpus[1], &features, count), "{n} nodes, threads");
                let count = count.min(n - 1);
                assert_eq!((found.count, found.nodes.len()), (count, n * count));
                let unit = features.normalized(1.0);
                for i in 0..n {
                    let cosine = |j: usize| unit.row(i).iter().zip(unit.row(j)).map(|(a, b)| a * b).sum::<f32>();
                    let mut cosines: Vec<f32> = (0..n).filter(|&j| j != i).map(cosine).collect();
                    cosines.sort_by(|a, b| b.total_cmp(a));
                    let mut seen = std::collections::BTreeSet::from([i]);
                    for (rank, expected) in cosines.iter().enumerate().take(count) {
                        let (node, weight) = (found.nodes[i * count + rank] as usize, found.weights[i * count + rank]);
                        assert!((cosine(node) - expected).abs() < 1e-5, "{n} nodes, {i}, {rank}: {node}");
                        assert!((weight - expected.max(0.0).powi(4)).abs() < 1e-4);
                        assert!(seen.insert(node), "{n} nodes, {i}: {node} twice");
                    }
                }
                let rounded = features.clone().in_precision(Float::Bf16);
                let [one, three] = cpus.each_ref().map(|cpu| Neighbors::nearest(cpu, &rounded, count));
                assert_eq!(one, three);
            }
        }
    }

    #[test]
    fn of_equals_the_first_are_nearest() {
        let mut best = Vec::new();
        let nodes = |best: &[Near]| best.iter().map(|near| near.node).collect::<Vec<_>>();
        let mut row = vec![0.25; 100];
        largest(&row, 3, &mut best);
        assert_eq!(nodes(&best), [0, 1, 2]);
        (row[40], row[72], row[99], row[71]) = (0.5, 0.5, 0.75, 0.5);
        largest(&row, 3, &mut best);
        assert_eq!(nodes(&best), [99, 40, 71]);
        largest(&row, 5, &mut best);
        assert_eq!(nodes(&best), [99, 40, 71, 72, 0]);
    }

    /// Nodes 0 and 1 are alike, node 2 is their opposite but for a little.
    #[test]
    fn values_move_to_the_mean_of_neighbors() {
        let features = NodeFeatures::new(4, 2, vec![1.0, 0.0, 3.0, 0.0, 0.0, 2.0, -1.0, -1.0]).unwrap();
        let near = Neighbors::nearest(&Cpu::single(), &features, 2);
        assert_eq!(
            near.average(&[8.0, 4.0, -2.0, 5.0], 0.5),
            [6.0, 6.0, -2.0, 5.0],
            "the last two have no neighbor of positive cosine"
        );
        // cos⁴ = 1/4 between the first and the second, 1/4 between the second and the third.
        let features = NodeFeatures::new(3, 2, vec![1.0, 0.0, 1.0, 1.0, 0.0, 1.0]).unwrap();
        let near = Neighbors::nearest(&Cpu::single(), &features, 2);
        let found = near.average(&[1.0, 5.0, 3.0], 0.25);
        for (found, expected) in found.iter().zip([2.0, 4.25, 3.5]) {
            assert!((found - expected).abs() < 1e-5, "{found}, not {expected}");
        }
    }
}
