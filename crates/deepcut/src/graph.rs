//! The affinity graph of the patches.
//!
//! ```text
//! relu         W = max(F Fᵀ, 0) / max(F Fᵀ)
//! threshold    W = 1 where cos(fᵢ, fⱼ) > τ, else 10⁻⁵
//! correlation  W = F Fᵀ − c · 1 1ᵀ,  c = max(F Fᵀ) / α
//! ```
//!
//! | symbol | code          | shape  | meaning                                   |
//! |--------|---------------|--------|-------------------------------------------|
//! | F      | `features`    | [n, d] | patch features                            |
//! | W      | `Affinity`    | [n, n] | symmetric                                 |
//! | D      | `degree`      | `[n]`  | row sums of W                             |
//! | Â      | `propagate`   | [n, n] | `D̂^-½ Ŵ D̂^-½`, Ŵ the positive part of W |
//!
//! Sources: DeepCut (arXiv 2212.05853), `util.create_adj`, for the first and the last; TokenCut (arXiv 2202.11539) for the second.
//! `max(F Fᵀ)` is the largest squared norm of a row: no inner product exceeds the larger of its two vectors' squared norms.
//!
//! Storage: n² weights in the features' precision for `relu`; n² bits for `threshold`; for `correlation` only F, since `W S = F (Fᵀ S) − c · 1 (1ᵀ S)`.

use crate::cpu::Cpu;
use crate::features::FeatureMap;
use crate::kernels::packed::{Float, Packed, Rows};
use crate::kernels::parallel;
use crate::kernels::{Left, Right, Start, is_shape};

/// Weight of the edges a threshold leaves out: keeps every degree positive and the graph connected.
pub const WEAK_EDGE: f32 = 1e-5;
/// Rows of W that one task computes.
const TASK_ROWS: usize = 48;
/// Rows of bits that one task multiplies with a matrix.
const BIT_ROWS: usize = 256;

/// Why there is no graph.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum GraphError {
    /// No nodes, or features of no length.
    #[error("there are no features: {nodes} nodes of dimension {dim}")]
    Empty {
        /// Nodes.
        nodes: usize,
        /// Dimension.
        dim: usize,
    },
    /// NaN or infinity in the features.
    #[error("the features of node {node} are not finite")]
    NotFinite {
        /// Index of the first such node.
        node: usize,
    },
}

/// One feature vector a node: `[nodes, dim]`, row-major.
#[derive(Debug, Clone, PartialEq)]
pub struct NodeFeatures {
    nodes: usize,
    dim: usize,
    data: Vec<f32>,
    precision: Float,
}

impl NodeFeatures {
    /// Wraps a row-major `[nodes, dim]` matrix.
    ///
    /// # Errors
    /// [`GraphError::Empty`] or [`GraphError::NotFinite`].
    pub fn new(nodes: usize, dim: usize, data: Vec<f32>) -> Result<Self, GraphError> {
        if nodes == 0 || dim == 0 || !is_shape(data.len(), [nodes, dim]) {
            return Err(GraphError::Empty { nodes, dim });
        }
        // Rows without a way out of the loop, which the compiler turns into vector code.
        let finite = |row: &[f32]| row.iter().fold(true, |finite, x| finite & x.is_finite());
        match data.chunks_exact(dim).position(|row| !finite(row)) {
            Some(node) => Err(GraphError::NotFinite { node }),
            None => Ok(Self { nodes, dim, data, precision: Float::F32 }),
        }
    }

    /// The features of every patch of a grid, in row-major order.
    ///
    /// # Errors
    /// As [`NodeFeatures::new`].
    pub fn from_map(map: &FeatureMap) -> Result<Self, GraphError> {
        Self::new(map.patches(), map.dim(), map.data().to_vec())
    }

    /// The same features, whose products, here and in what is made of them, are computed in `precision`.
    #[must_use]
    pub fn in_precision(self, precision: Float) -> Self {
        Self { precision, ..self }
    }

    /// Rounding of products with these features: none unless set otherwise.
    #[must_use]
    pub fn precision(&self) -> Float {
        self.precision
    }

    /// n.
    #[must_use]
    pub fn nodes(&self) -> usize {
        self.nodes
    }

    /// d.
    #[must_use]
    pub fn dim(&self) -> usize {
        self.dim
    }

    /// `[nodes, dim]`.
    #[must_use]
    pub fn data(&self) -> &[f32] {
        &self.data
    }

    fn row(&self, node: usize) -> &[f32] {
        &self.data[node * self.dim..(node + 1) * self.dim]
    }

    /// The features of some of the nodes.
    ///
    /// # Errors
    /// [`GraphError::Empty`] if `nodes` is empty.
    pub fn select(&self, nodes: &[usize]) -> Result<Self, GraphError> {
        let data = nodes.iter().flat_map(|&node| self.row(node)).copied().collect();
        Ok(Self::new(nodes.len(), self.dim, data)?.in_precision(self.precision))
    }

    /// Every row scaled to length `norm`; rows of zeros stay so.
    #[must_use]
    pub fn normalized(&self, norm: f32) -> Self {
        let mut out = self.clone();
        parallel::for_each(out.data.chunks_mut(TASK_ROWS * self.dim), |rows| {
            for row in rows.chunks_exact_mut(self.dim) {
                let length = squared_norm(row).sqrt();
                if length > 0.0 {
                    let scale = norm / length;
                    row.iter_mut().for_each(|x| *x *= scale);
                }
            }
        });
        out
    }

    /// Every row less the mean row.
    #[must_use]
    pub fn centered(&self) -> Self {
        let mut mean = vec![0.0f64; self.dim];
        for row in self.data.chunks_exact(self.dim) {
            mean.iter_mut().zip(row).for_each(|(m, x)| *m += f64::from(*x));
        }
        let mut out = self.clone();
        for row in out.data.chunks_exact_mut(self.dim) {
            row.iter_mut().zip(&mean).for_each(|(x, m)| *x -= (m / self.nodes as f64) as f32);
        }
        out
    }

    fn largest_squared_norm(&self) -> f32 {
        self.data.chunks_exact(self.dim).map(squared_norm).fold(0.0, f32::max)
    }

    fn packed_columns(&self) -> Packed {
        let mut packed = Packed::new(self.precision);
        packed.fill_from_columns(&self.data, self.dim, self.nodes);
        packed
    }

    /// Each row multiplied by its scale.
    fn packed_rows(&self, scales: &[f32]) -> Packed {
        let mut packed = Packed::new(self.precision);
        packed.fill_from_scaled_rows(&self.data, scales, self.dim);
        packed
    }
}

fn squared_norm(row: &[f32]) -> f32 {
    row.iter().map(|x| x * x).sum()
}

/// Writes rows of W, from the row of this index on, into a block: all columns, or, where it is said, those from the same index on.
type FillRows<'a> = dyn Fn(usize, &mut [f32]) + Sync + 'a;

#[derive(Debug)]
enum Affinity {
    /// `[n, n]`; `messages` if it is Ŵ too: no weight is negative, every node's own is positive.
    Dense { weights: Rows, messages: bool },
    /// `[n, words]`: bit j of row i is set where the weight is 1.
    Threshold { bits: Vec<u64>, words: usize },
    /// `F Fᵀ − offset`.
    Factored { features: NodeFeatures, offset: f32 },
}

/// A symmetric affinity matrix, stored as its kind allows, with the products that clustering needs.
#[derive(Debug)]
pub struct Graph {
    cpu: Cpu,
    nodes: usize,
    affinity: Affinity,
    degree: Vec<f32>,
}

impl Graph {
    /// `W = max(F Fᵀ, 0) / max(F Fᵀ)`, the graph of the paper's normalised cut.
    #[must_use]
    pub fn relu(cpu: &Cpu, features: &NodeFeatures) -> Self {
        let n = features.nodes;
        let largest = features.largest_squared_norm();
        let scale = if largest > 0.0 { 1.0 / largest } else { 0.0 };
        let right = features.packed_columns();
        let fill = |first: usize, block: &mut [f32]| {
            let left = Left::row_major(&features.data[first * features.dim..], block.len() / (n - first), features.dim);
            cpu.isa.gemm(left, Right::from(&right).at_column(first), Start::Zero, block);
            block.iter_mut().for_each(|w| *w = w.max(0.0) * scale);
        };
        Self::dense(cpu, n, features.precision, true, &fill)
    }

    /// A graph of given weights: `[nodes, nodes]`, symmetric and finite.
    ///
    /// # Errors
    /// [`GraphError::Empty`] if there are not `nodes²` weights, [`GraphError::NotFinite`] if one is not finite.
    pub fn from_affinity(cpu: &Cpu, nodes: usize, affinity: Vec<f32>) -> Result<Self, GraphError> {
        let checked = NodeFeatures::new(nodes, nodes, affinity)?;
        let positive = checked.data.iter().all(|w| *w >= 0.0);
        Ok(Self::stored(cpu, nodes, Rows::new(cpu.isa, checked.data, nodes, Float::F32), positive))
    }

    /// Stores the weights, of which `fill` writes half: each row's from the block's diagonal on. None is negative if `positive`.
    fn dense(cpu: &Cpu, nodes: usize, precision: Float, positive: bool, fill: &FillRows<'_>) -> Self {
        let mut weights = Rows::zeros(nodes, nodes, precision);
        let tasks = weights.tasks_mut(TASK_ROWS).enumerate();
        parallel::for_each_with(tasks, &mut Vec::new(), |block: &mut Vec<f32>, (task, rows)| {
            let first = task * TASK_ROWS;
            block.resize(TASK_ROWS.min(nodes - first) * (nodes - first), 0.0);
            fill(first, block);
            rows.store(cpu.isa, block, nodes, first);
        });
        Self::stored(cpu, nodes, weights, positive)
    }

    /// Takes weights of which half counts, each row's from its block's diagonal on. The degrees are those of what is stored.
    fn stored(cpu: &Cpu, nodes: usize, mut weights: Rows, positive: bool) -> Self {
        weights.mirror(TASK_ROWS);
        let messages = positive && (0..nodes).all(|i| weights.get(i, i) > 0.0);
        let mut degree = vec![0.0; nodes];
        let columns = weights.columns(&vec![1.0; nodes], 1);
        parallel::for_each(degree.chunks_mut(TASK_ROWS).enumerate(), |(task, degree)| {
            for (r, degree) in degree.chunks_exact_mut(1).enumerate() {
                cpu.isa.row_dots(&weights, task * TASK_ROWS + r, &columns, degree);
            }
        });
        Self { cpu: cpu.clone(), nodes, affinity: Affinity::Dense { weights, messages }, degree }
    }

    /// `W = 1` where the cosine exceeds `tau`, else [`WEAK_EDGE`].
    #[must_use]
    pub fn threshold(cpu: &Cpu, features: &NodeFeatures, tau: f32) -> Self {
        let n = features.nodes;
        let words = n.div_ceil(64);
        let cosines = features.normalized(1.0);
        let right = cosines.packed_columns();
        let mut bits = vec![0u64; n * words];
        // Half of the matrix, from the diagonal on, in squares of 64.
        let bounds = vec![tau; n];
        parallel::for_each_with(
            bits.chunks_mut(64 * words).enumerate(),
            &mut Vec::new(),
            |block: &mut Vec<f32>, (task, bits)| {
                let (rows, first) = (bits.len() / words, task * 64);
                let columns = n - first;
                block.resize(rows * columns, 0.0);
                let left = Left::row_major(&cosines.data[first * cosines.dim..], rows, cosines.dim);
                cpu.isa.gemm(left, Right::from(&right).at_column(first), Start::Zero, block);
                for (row, bits) in block.chunks_exact(columns).zip(bits.chunks_exact_mut(words)) {
                    cpu.isa.above(row, 1.0, &bounds[first..], &mut bits[task..]);
                }
            },
        );
        mirror(&mut bits, words);
        Self::from_bits(cpu, n, bits)
    }

    /// From a graph that weighs every edge, the one of the edges whose cosine, `W_ij / √(W_ii W_jj)`, exceeds `tau`, at least 0: of the graph
    /// [`Graph::relu`] makes, what [`Graph::threshold`] makes of the same features. None if this graph is stored otherwise.
    #[must_use]
    pub fn thresholded(&self, tau: f32) -> Option<Self> {
        let Affinity::Dense { weights, .. } = &self.affinity else { return None };
        let (n, words) = (self.nodes, self.nodes.div_ceil(64));
        let bounds: Vec<f32> = (0..n).map(|i| tau * weights.get(i, i).max(0.0).sqrt()).collect();
        let mut bits = vec![0u64; n * words];
        let tasks = bits.chunks_mut(TASK_ROWS * words).enumerate();
        parallel::for_each_with(tasks, &mut Vec::new(), |row: &mut Vec<f32>, (task, bits)| {
            row.resize(n, 0.0);
            for (r, bits) in bits.chunks_exact_mut(words).enumerate() {
                let i = task * TASK_ROWS + r;
                weights.load(i, row);
                self.cpu.isa.above(row, row[i].max(0.0).sqrt(), &bounds, bits);
            }
        });
        Some(Self::from_bits(&self.cpu, n, bits))
    }

    fn from_bits(cpu: &Cpu, nodes: usize, bits: Vec<u64>) -> Self {
        let words = nodes.div_ceil(64);
        let degree = bits
            .chunks_exact(words)
            .map(|row| {
                let ones = row.iter().map(|w| w.count_ones()).sum::<u32>() as f32;
                ones + (nodes as f32 - ones) * WEAK_EDGE
            })
            .collect();
        Self { cpu: cpu.clone(), nodes, affinity: Affinity::Threshold { bits, words }, degree }
    }

    /// `W = F Fᵀ − max(F Fᵀ) / alpha`, the signed graph of correlation clustering. A larger `alpha` gives fewer clusters.
    #[must_use]
    pub fn correlation(cpu: &Cpu, features: &NodeFeatures, alpha: f32) -> Self {
        let offset = features.largest_squared_norm() / alpha;
        let affinity = Affinity::Factored { features: features.clone(), offset };
        let mut graph = Self { cpu: cpu.clone(), nodes: features.nodes, affinity, degree: vec![0.0; features.nodes] };
        let mut degree = std::mem::take(&mut graph.degree);
        graph.multiply(&vec![1.0; features.nodes], 1, &mut degree);
        graph.degree = degree;
        graph
    }

    /// n.
    #[must_use]
    pub fn nodes(&self) -> usize {
        self.nodes
    }

    /// Whether it knows its edges by a threshold only.
    #[must_use]
    pub fn is_thresholded(&self) -> bool {
        matches!(self.affinity, Affinity::Threshold { .. })
    }

    /// The processor its products run on.
    #[must_use]
    pub fn cpu(&self) -> &Cpu {
        &self.cpu
    }

    /// Row sums of W, `[n]`.
    #[must_use]
    pub fn degree(&self) -> &[f32] {
        &self.degree
    }

    /// `out = W S` for an assignment of `k` columns, both `[n, k]`.
    ///
    /// # Panics
    /// If a length is not `n * k`.
    pub fn multiply(&self, assignment: &[f32], k: usize, out: &mut [f32]) {
        let n = self.nodes;
        assert!(is_shape(out.len(), [n, k]) && assignment.len() == out.len(), "an assignment of another graph");
        if out.is_empty() {
            return;
        }
        match &self.affinity {
            Affinity::Dense { weights, .. } => {
                let columns = weights.columns(assignment, k);
                parallel::for_each(out.chunks_mut(TASK_ROWS * k).enumerate(), |(task, out)| {
                    for (r, out) in out.chunks_exact_mut(k).enumerate() {
                        self.cpu.isa.row_dots(weights, task * TASK_ROWS + r, &columns, out);
                    }
                });
            }
            Affinity::Threshold { bits, words } => {
                let columns = columns(assignment, k, words * 64);
                let totals = self.cpu.isa.column_sums(assignment, k);
                parallel::for_each(out.chunks_mut(TASK_ROWS * k).zip(bits.chunks(TASK_ROWS * words)), |(out, bits)| {
                    for (out, row) in out.chunks_exact_mut(k).zip(bits.chunks_exact(*words)) {
                        self.cpu.isa.masked_sums(row, &columns, out);
                    }
                    add_weak_edges(out, &totals);
                });
            }
            Affinity::Factored { features, offset } => {
                let d = features.dim;
                let mut projected = vec![0.0; d * k];
                let right = Packed::from_rows(assignment, n, k);
                parallel::for_each(projected.chunks_mut(TASK_ROWS * k).enumerate(), |(task, out)| {
                    let columns = Left::transposed(&features.data, d, n).slice(task * TASK_ROWS, out.len() / k);
                    self.cpu.isa.gemm(columns, &right, Start::Zero, out);
                });
                let bias: Vec<f32> = self.cpu.isa.column_sums(assignment, k).iter().map(|t| -(*t as f32) * offset).collect();
                let right = Packed::from_rows(&projected, d, k);
                parallel::for_each(out.chunks_mut(TASK_ROWS * k).enumerate(), |(task, out)| {
                    let rows = Left::row_major(&features.data[task * TASK_ROWS * d..], out.len() / k, d);
                    self.cpu.isa.gemm(rows, &right, Start::Bias(&bias), out);
                });
            }
        }
    }

    /// `Z = Â X` for node features `x` of dimension `dim`, both `[n, dim]`: the linear half of the graph convolution. It is rounded as products
    /// with `x` are.
    ///
    /// Only positive weights carry messages. A node whose own weight is not positive gets a self loop of weight 1 before the
    /// degrees are taken, as PyG's `GCNConv` does.
    ///
    /// # Panics
    /// If `x` has another number of nodes.
    #[must_use]
    pub fn propagate(&self, x: &NodeFeatures) -> Rows {
        assert_eq!(x.nodes, self.nodes, "features of another graph");
        let n = self.nodes;
        let weights: Box<FillRows<'_>> = match &self.affinity {
            Affinity::Threshold { bits, words } => return self.propagate_bits(bits, *words, x),
            Affinity::Dense { weights, messages: true } if weights.precision() == x.precision => {
                let root = inverse_roots(&self.degree);
                let right = x.packed_rows(&root);
                return self.scaled_rows(x, &root, TASK_ROWS, |(): &mut (), first, out| {
                    self.cpu.isa.gemm_rows(weights, first, &right, Start::Zero, out);
                });
            }
            Affinity::Dense { weights, .. } => Box::new(move |first, block| {
                block.chunks_exact_mut(n).enumerate().for_each(|(r, row)| weights.load(first + r, row));
            }),
            Affinity::Factored { features, offset } => {
                let right = features.packed_columns();
                let bias = vec![-offset; n];
                Box::new(move |first, block| {
                    let left = Left::row_major(&features.data[first * features.dim..], block.len() / n, features.dim);
                    self.cpu.isa.gemm(left, &right, Start::Bias(&bias), block);
                })
            }
        };
        let messages = matches!(self.affinity, Affinity::Dense { messages: true, .. });
        let fill = |first: usize, rows: usize, block: &mut Vec<f32>| {
            block.resize(rows * n, 0.0);
            weights(first, block);
            if !messages {
                keep_positive(first, n, block);
            }
        };
        let mut degree = self.degree.clone();
        if !messages {
            parallel::for_each_with(
                degree.chunks_mut(TASK_ROWS).enumerate(),
                &mut Vec::new(),
                |block: &mut Vec<f32>, (task, degree)| {
                    fill(task * TASK_ROWS, degree.len(), block);
                    for (row, degree) in block.chunks_exact(n).zip(degree) {
                        *degree = row.iter().map(|&w| f64::from(w)).sum::<f64>() as f32;
                    }
                },
            );
        }
        let root = inverse_roots(&degree);
        let right = x.packed_rows(&root);
        self.scaled_rows(x, &root, TASK_ROWS, |block: &mut Vec<f32>, first, out| {
            let rows = out.len() / x.dim;
            fill(first, rows, block);
            self.cpu.isa.gemm(Left::row_major(block, rows, n), &right, Start::Zero, out);
        })
    }

    /// [`Graph::propagate`] over a thresholded graph, whose weights are all positive.
    fn propagate_bits(&self, bits: &[u64], words: usize, x: &NodeFeatures) -> Rows {
        let root = inverse_roots(&self.degree);
        let bits = |first: usize, out: &[f32]| &bits[first * words..][..out.len() / x.dim * words];
        match x.precision {
            Float::F32 => {
                let mut scaled = x.data.clone();
                scale_rows(&mut scaled, x.dim, &root);
                let totals = self.cpu.isa.column_sums(&scaled, x.dim);
                self.scaled_rows(x, &root, BIT_ROWS, |(): &mut (), first, out| {
                    self.cpu.isa.bit_product(bits(first, out), words, &scaled, x.dim, out);
                    add_weak_edges(out, &totals);
                })
            }
            Float::Bf16 => {
                let right = x.packed_rows(&root);
                self.scaled_rows(x, &root, TASK_ROWS, |weights: &mut Rows, first, out| {
                    weights.fill_from_bits(self.cpu.isa, bits(first, out), words, self.nodes, [WEAK_EDGE, 1.0]);
                    self.cpu.isa.gemm_rows(weights, 0, &right, Start::Zero, out);
                })
            }
        }
    }

    /// `D̂^-½ Y`, rounded as `x` is: `compute` is given a buffer of its thread and writes some rows of Y, from the row of this index on; `root` is the
    /// diagonal of `D̂^-½`.
    fn scaled_rows<B: Default + Send>(
        &self,
        x: &NodeFeatures,
        root: &[f32],
        task_rows: usize,
        compute: impl Fn(&mut B, usize, &mut [f32]) + Sync,
    ) -> Rows {
        let mut out = Rows::zeros(self.nodes, x.dim, x.precision);
        let tasks = out.tasks_mut(task_rows).zip(root.chunks(task_rows)).enumerate();
        parallel::for_each_with(tasks, &mut Vec::new(), |(block, buffer): &mut (Vec<f32>, B), (task, (rows, root))| {
            block.resize(root.len() * x.dim, 0.0);
            compute(buffer, task * task_rows, block);
            scale_rows(block, x.dim, root);
            rows.store(self.cpu.isa, block, x.dim, 0);
        });
        out
    }
}

/// Makes rows of W, `[rows, n]` from the row of this index on, rows of Ŵ.
fn keep_positive(first: usize, n: usize, rows: &mut [f32]) {
    for (r, row) in rows.chunks_exact_mut(n).enumerate() {
        row.iter_mut().for_each(|w| *w = w.max(0.0));
        if row[first + r] <= 0.0 {
            row[first + r] = 1.0;
        }
    }
}

/// The diagonal of `D^-½`.
fn inverse_roots(degree: &[f32]) -> Vec<f32> {
    degree.iter().map(|d| 1.0 / d.sqrt()).collect()
}

/// Row r of `[rows, dim]` values is multiplied by `scales[r]`.
fn scale_rows(rows: &mut [f32], dim: usize, scales: &[f32]) {
    rows.chunks_exact_mut(dim).zip(scales).for_each(|(row, scale)| row.iter_mut().for_each(|x| *x *= scale));
}

/// The columns of an assignment, each padded with zeros to `length`.
fn columns(assignment: &[f32], k: usize, length: usize) -> Vec<f32> {
    let mut columns = vec![0.0; k * length];
    for (c, column) in columns.chunks_exact_mut(length).enumerate() {
        column.iter_mut().zip(assignment[c..].iter().step_by(k)).for_each(|(to, from)| *to = *from);
    }
    columns
}

/// Completes a symmetric matrix of bits, `[rows, words]`, from its squares of 64 on and above the diagonal.
fn mirror(bits: &mut [u64], words: usize) {
    let rows = bits.len() / words;
    for (i, j) in (1..words).flat_map(|j| (0..j).map(move |i| (i, j))) {
        let mut square: [u64; 64] = std::array::from_fn(|r| bits[(i * 64 + r) * words + j]);
        transpose(&mut square);
        for (row, word) in (j * 64..rows).zip(square) {
            bits[row * words + i] = word;
        }
    }
}

/// Transposes a square of bits (Warren, Hacker's Delight, 7–3): swaps ever smaller halves across the diagonal.
fn transpose(square: &mut [u64; 64]) {
    let mut mask = u64::from(u32::MAX);
    let mut half = 32;
    while half > 0 {
        for r in (0..64).filter(|r| r & half == 0) {
            let swap = (square[r] >> half ^ square[r + half]) & mask;
            square[r] ^= swap << half;
            square[r + half] ^= swap;
        }
        half /= 2;
        mask ^= mask << half;
    }
}

/// From sums over the edges that a threshold keeps, `[rows, k]`, to those over all edges: `totals` are sums over all nodes, `[k]`.
fn add_weak_edges(sums: &mut [f32], totals: &[f64]) {
    for (sum, total) in sums.iter_mut().zip(totals.iter().cycle()) {
        *sum = *sum * (1.0 - WEAK_EDGE) + *total as f32 * WEAK_EDGE;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn squares_of_bits_are_transposed() {
        let mut square: [u64; 64] = std::array::from_fn(|r| (r as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15));
        let before = square;
        transpose(&mut square);
        for (r, c) in (0..64).flat_map(|r| (0..64).map(move |c| (r, c))) {
            assert_eq!(square[r] >> c & 1, before[c] >> r & 1, "{r}, {c}");
        }
    }

    /// Only half of the weights are computed, in blocks of rows; all are stored, whether the blocks, the rows and the pairs are whole or not.
    #[test]
    fn weights_are_the_positive_inner_products() {
        for n in [1, 2, 47, 48, 49, 96, 97, 150, 201, 340] {
            let dim = 5;
            let data: Vec<f32> = (0..n * dim).map(|i| ((i * i * 7 + 3 * i) % 23) as f32 - 9.0).collect();
            let features = NodeFeatures::new(n, dim, data).unwrap();
            let largest = features.largest_squared_norm();
            for (cpu, precision) in crate::Isa::available().into_iter().flat_map(|isa| {
                let cpu = Cpu::builder().isa(isa).build().unwrap();
                [(cpu.clone(), Float::F32), (cpu, Float::Bf16)]
            }) {
                let cpu = &cpu;
                // The features are small integers, which bf16 holds: only the stored weight is rounded, to eight bits.
                let tolerance = if precision == Float::F32 { 1e-6 } else { 2f32.powi(-8) };
                let graph = Graph::relu(cpu, &features.clone().in_precision(precision));
                let Affinity::Dense { weights, .. } = &graph.affinity else { panic!("weights expected") };
                for (i, j) in (0..n).flat_map(|i| (0..n).map(move |j| (i, j))) {
                    let product: f32 = features.row(i).iter().zip(features.row(j)).map(|(a, b)| a * b).sum();
                    let (expected, weight) = (product.max(0.0) / largest, weights.get(i, j));
                    assert!(
                        (weight - expected).abs() <= tolerance * expected.max(1e-3),
                        "{n} nodes, {i}, {j}: {weight}, not {expected}"
                    );
                }
            }
        }
    }

    /// Every kind of graph, in both precisions, against the definition.
    #[test]
    fn features_are_averaged_over_the_positive_weights() {
        for n in [1, 2, 47, 49, 64, 150, 257] {
            let dim = 5;
            let data: Vec<f32> = (0..n * dim).map(|i| ((i * i * 7 + 3 * i) % 23) as f32 - 9.0).collect();
            for (cpu, precision) in crate::Isa::available().into_iter().flat_map(|isa| {
                let cpu = Cpu::builder().isa(isa).build().unwrap();
                [(cpu.clone(), Float::F32), (cpu, Float::Bf16)]
            }) {
                let cpu = &cpu;
                let features = NodeFeatures::new(n, dim, data.clone()).unwrap().in_precision(precision);
                let graphs =
                    [Graph::relu(cpu, &features), Graph::threshold(cpu, &features, 0.2), Graph::correlation(cpu, &features, 3.0)];
                for graph in graphs {
                    let identity: Vec<f32> = (0..n * n).map(|at| if at / n == at % n { 1.0 } else { 0.0 }).collect();
                    let mut weights = vec![0.0; n * n];
                    graph.multiply(&identity, n, &mut weights);
                    let weight = |i: usize, j: usize| match f64::from(weights[i * n + j]) {
                        w if i == j && w <= 0.0 => 1.0,
                        w => w.max(0.0),
                    };
                    let degree: Vec<f64> = (0..n).map(|i| (0..n).map(|j| weight(i, j)).sum()).collect();
                    for (at, z) in graph.propagate(&features).to_vec().into_iter().enumerate() {
                        let (i, c) = (at / dim, at % dim);
                        let terms = (0..n).map(|j| weight(i, j) / (degree[i] * degree[j]).sqrt() * f64::from(data[j * dim + c]));
                        let (sum, size) = terms.fold((0.0, 0.0), |(sum, size), x| (sum + x, size + x.abs()));
                        // In bf16 the weights, the features and the result are rounded, each by up to 2⁻⁸ of it.
                        let tolerance = if precision == Float::F32 { 1e-5 } else { 3.0 * 2f64.powi(-8) + 1e-4 };
                        assert!(
                            (f64::from(z) - sum).abs() <= tolerance * size,
                            "{} {precision:?}, {n} nodes, {i}: {z}, not {sum}",
                            cpu.isa.name()
                        );
                    }
                }
            }
        }
    }

    /// Every bit against its cosine; only half of them are computed. A graph of weights gives the same bits.
    #[test]
    fn bits_are_cosines_above_the_threshold() {
        for n in [1, 2, 63, 64, 65, 128, 200] {
            let dim = 5;
            let data: Vec<f32> = (0..n * dim).map(|i| ((i * i * 7 + 3 * i) % 23) as f32 - 9.0).collect();
            let features = NodeFeatures::new(n, dim, data).unwrap();
            let cosines = features.normalized(1.0);
            for isa in crate::Isa::available() {
                let cpu = &Cpu::builder().isa(isa).build().unwrap();
                let graph = Graph::threshold(cpu, &features, 0.2);
                let other = Graph::relu(cpu, &features).thresholded(0.2).unwrap();
                let [Affinity::Threshold { bits, words }, Affinity::Threshold { bits: others, .. }] =
                    [&graph.affinity, &other.affinity]
                else {
                    panic!("bits expected")
                };
                for (i, j) in (0..n).flat_map(|i| (0..n).map(move |j| (i, j))) {
                    let cosine: f32 = cosines.row(i).iter().zip(cosines.row(j)).map(|(a, b)| a * b).sum();
                    let bit = |bits: &[u64]| bits[i * words + j / 64] >> (j % 64) & 1 == 1;
                    assert_eq!(bit(bits), bit(others), "{n} nodes, {i}, {j}: {cosine}");
                    assert!(bit(bits) == (cosine > 0.2) || (cosine - 0.2).abs() < 1e-5, "{n} nodes, {i}, {j}: {cosine}");
                }
                assert_eq!(graph.degree, other.degree);
            }
            assert!(Graph::threshold(&Cpu::default(), &features, 0.2).thresholded(0.2).is_none());
        }
    }
}
