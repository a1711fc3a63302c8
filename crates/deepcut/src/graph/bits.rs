//! W stored as one bit an edge.
//!
//! ```text
//! W = 1 where cos(fᵢ, fⱼ) > τ, else 10⁻⁵
//! ```
//!
//! Products sum over the set bits, then add 10⁻⁵ times the rest: `W S = (1 − 10⁻⁵) B S + 10⁻⁵ · 1 (1ᵀ S)`, B the bits.
//!
//! Cost: O(n²d) time for half of the bits, n² bits of memory.

use super::neighbors::Neighbors;
use super::node_features::{NodeFeatures, TASK_ROWS};
use super::propagation::{inverse_roots, scale_rows, scaled_rows};
use crate::cpu::Cpu;
use crate::kernels::packed::{Float, Rows};
use crate::kernels::parallel;
use crate::kernels::{Left, Start};

/// Weight of the edges below a threshold: it keeps every degree positive and the graph connected.
const WEAK_EDGE: f32 = 1e-5;
/// Rows of bits that one task multiplies with a matrix.
const PRODUCT_ROWS: usize = 256;

/// W as `[n, ⌈n / 64⌉]` words: bit j of row i is set where the weight is 1.
#[derive(Debug, PartialEq)]
pub(super) struct Bits {
    nodes: usize,
    words: usize,
    bits: Vec<u64>,
}

impl Bits {
    /// Wraps a symmetric matrix of bits, `[nodes, ⌈nodes / 64⌉]`.
    pub fn new(nodes: usize, bits: Vec<u64>) -> Self {
        Self { nodes, words: nodes.div_ceil(64), bits }
    }

    /// The edges whose cosine exceeds `tau`.
    pub fn threshold(cpu: &Cpu, features: &NodeFeatures, tau: f32) -> Self {
        let (n, dim) = (features.nodes(), features.dim());
        let words = n.div_ceil(64);
        let cosines = features.normalized(1.0);
        let right = cosines.compared_columns();
        let mut bits = vec![0u64; n * words];
        let bounds = vec![tau; n];
        // W is symmetric: a task computes its 64 rows from their diagonal on.
        parallel::for_each_with(
            bits.chunks_mut(64 * words).enumerate(),
            &mut Vec::new(),
            |block: &mut Vec<f32>, (task, bits)| {
                let (rows, first) = (bits.len() / words, task * 64);
                let columns = n - first;
                block.resize(rows * columns, 0.0);
                let left = Left::row_major(&cosines.data()[first * dim..], rows, dim);
                right.products(cpu, left, first, block);
                for (row, bits) in block.chunks_exact(columns).zip(bits.chunks_exact_mut(words)) {
                    cpu.isa.above(row, 1.0, &bounds[first..], &mut bits[task..]);
                }
            },
        );
        mirror(&mut bits, words);
        Self::new(n, bits)
    }

    /// The same, and the `count` nearest nodes of each node: both look at the same cosines.
    pub fn threshold_and_nearest(cpu: &Cpu, features: &NodeFeatures, tau: f32, count: usize) -> (Self, Neighbors) {
        let n = features.nodes();
        if n == 1 || count == 0 {
            return (Self::threshold(cpu, features, tau), Neighbors::nearest(cpu, features, count));
        }
        let words = n.div_ceil(64);
        let mut bits = vec![0u64; n * words];
        let bounds = vec![tau; n];
        // W is symmetric: of each row the bits from its square of 64 on are read.
        let see = |(task, bits): (usize, &mut [u64]), cosines: &[f32]| {
            for (r, (row, bits)) in cosines.chunks_exact(n).zip(bits.chunks_exact_mut(words)).enumerate() {
                let word = (task * TASK_ROWS + r) / 64;
                cpu.isa.above(&row[64 * word..], 1.0, &bounds[64 * word..], &mut bits[word..]);
            }
        };
        let outputs = bits.chunks_mut(TASK_ROWS * words).enumerate();
        let neighbors = Neighbors::nearest_seen(cpu, features, count, outputs, see);
        mirror(&mut bits, words);
        (Self::new(n, bits), neighbors)
    }

    /// Number of nodes.
    pub fn nodes(&self) -> usize {
        self.nodes
    }

    /// Row sums of W.
    pub fn degree(&self) -> Vec<f32> {
        let degree = |row: &[u64]| {
            let ones = row.iter().map(|w| w.count_ones()).sum::<u32>() as f32;
            ones + (self.nodes as f32 - ones) * WEAK_EDGE
        };
        self.bits.chunks_exact(self.words).map(degree).collect()
    }

    /// `out = W S`, both `[n, k]`.
    pub fn multiply(&self, cpu: &Cpu, assignment: &[f32], k: usize, out: &mut [f32]) {
        let words = self.words;
        let columns = padded_columns(assignment, k, words * 64);
        let totals = cpu.isa.column_sums(assignment, k);
        parallel::for_each(out.chunks_mut(TASK_ROWS * k).zip(self.bits.chunks(TASK_ROWS * words)), |(out, bits)| {
            for (out, row) in out.chunks_exact_mut(k).zip(bits.chunks_exact(words)) {
                cpu.isa.masked_sums(row, &columns, out);
            }
            add_weak_edges(out, &totals);
        });
    }

    /// `Â X`; `degree` holds the row sums of W, which are those of Ŵ, as every weight is positive.
    pub fn propagate(&self, cpu: &Cpu, degree: &[f32], x: &NodeFeatures) -> Rows {
        let (words, dim) = (self.words, x.dim());
        let root = inverse_roots(degree);
        let bits = |first: usize, out: &[f32]| &self.bits[first * words..][..out.len() / dim * words];
        if x.precision() == Float::Bf16 && !x.is_int8() {
            let right = x.packed_rows(&root);
            return scaled_rows(cpu, x, &root, TASK_ROWS, |weights: &mut Rows, first, out| {
                weights.fill_from_bits(cpu.isa, bits(first, out), words, self.nodes, [WEAK_EDGE, 1.0]);
                cpu.isa.gemm_rows(weights, 0, &right, Start::Zero, out);
            });
        }
        let mut scaled = x.data().to_vec();
        scale_rows(&mut scaled, dim, &root);
        let totals = cpu.isa.column_sums(&scaled, dim);
        match x.quantized_rows(&scaled) {
            Some(right) => scaled_rows(cpu, x, &root, TASK_ROWS, |(): &mut (), first, out| {
                cpu.isa.bit_product_quantized(bits(first, out), words, &right, out);
                add_weak_edges(out, &totals);
            }),
            None => scaled_rows(cpu, x, &root, PRODUCT_ROWS, |(): &mut (), first, out| {
                cpu.isa.bit_product(bits(first, out), words, &scaled, dim, out);
                add_weak_edges(out, &totals);
            }),
        }
    }
}

/// The columns of an assignment, each padded with zeros to `length`.
fn padded_columns(assignment: &[f32], k: usize, length: usize) -> Vec<f32> {
    let mut columns = vec![0.0; k * length];
    for (c, column) in columns.chunks_exact_mut(length).enumerate() {
        column.iter_mut().zip(assignment[c..].iter().step_by(k)).for_each(|(to, from)| *to = *from);
    }
    columns
}

/// Turns sums over the strong edges, `[rows, k]`, into sums over all edges; `totals` are sums over all nodes, `[k]`.
fn add_weak_edges(sums: &mut [f32], totals: &[f64]) {
    for (sum, total) in sums.iter_mut().zip(totals.iter().cycle()) {
        *sum = *sum * (1.0 - WEAK_EDGE) + *total as f32 * WEAK_EDGE;
    }
}

/// Completes a symmetric matrix of bits, `[rows, words]`, from those on and above the diagonal. In the squares of 64 on the diagonal others may be set.
fn mirror(bits: &mut [u64], words: usize) {
    let rows = bits.len() / words;
    for (i, j) in (0..words).flat_map(|j| (0..=j).map(move |i| (i, j))) {
        let mut square: [u64; 64] = std::array::from_fn(|r| bits.get((i * 64 + r) * words + j).copied().unwrap_or_default());
        if i == j {
            square.iter_mut().enumerate().for_each(|(r, word)| *word &= u64::MAX << r);
        }
        transpose(&mut square);
        for (r, (row, word)) in (j * 64..rows).zip(square).enumerate() {
            let kept = if i == j { bits[row * words + i] & u64::MAX << r } else { 0 };
            bits[row * words + i] = kept | word;
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

#[cfg(test)]
mod tests {
    use super::super::dense::Dense;
    use super::*;
    use crate::Isa;

    #[test]
    fn squares_of_bits_are_transposed() {
        let mut square: [u64; 64] = std::array::from_fn(|r| (r as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15));
        let before = square;
        transpose(&mut square);
        for (r, c) in (0..64).flat_map(|r| (0..64).map(move |c| (r, c))) {
            assert_eq!(square[r] >> c & 1, before[c] >> r & 1, "{r}, {c}");
        }
    }

    /// Every bit against its cosine; tasks compute half of them. A graph of weights gives the same bits.
    #[test]
    fn bits_are_cosines_above_the_threshold() {
        for n in [1, 2, 63, 64, 65, 128, 200] {
            let dim = 5;
            let data: Vec<f32> = (0..n * dim).map(|i| ((i * i * 7 + 3 * i) % 23) as f32 - 9.0).collect();
            let features = NodeFeatures::new(n, dim, data).unwrap();
            let cosines = features.normalized(1.0);
            for isa in Isa::available() {
                let cpu = &Cpu::builder().isa(isa).build().unwrap();
                let graph = Bits::threshold(cpu, &features, 0.2);
                let other = Dense::relu(cpu, &features).thresholded(cpu, 0.2);
                let bit = |graph: &Bits, i: usize, j: usize| graph.bits[i * graph.words + j / 64] >> (j % 64) & 1 == 1;
                for (i, j) in (0..n).flat_map(|i| (0..n).map(move |j| (i, j))) {
                    let cosine: f32 = cosines.row(i).iter().zip(cosines.row(j)).map(|(a, b)| a * b).sum();
                    assert_eq!(bit(&graph, i, j), bit(&other, i, j), "{n} nodes, {i}, {j}: {cosine}");
                    assert!(bit(&graph, i, j) == (cosine > 0.2) || (cosine - 0.2).abs() < 1e-5, "{n} nodes, {i}, {j}: {cosine}");
                }
                // Whole rows give the same bits as halves.
                let (whole, nearest) = Bits::threshold_and_nearest(cpu, &features, 0.2, 10);
                assert!(whole == graph && nearest == Neighbors::nearest(cpu, &features, 10), "{n} nodes");
                // In int8 the same edges but near the threshold, symmetric, whichever way they were found.
                let coarse = features.clone().with_int8(true);
                let half = Bits::threshold(cpu, &coarse, 0.2);
                let (whole, nearest) = Bits::threshold_and_nearest(cpu, &coarse, 0.2, 10);
                assert!(whole == half && nearest == Neighbors::nearest(cpu, &coarse, 10), "{n} nodes in int8");
                for (i, j) in (0..n).flat_map(|i| (0..n).map(move |j| (i, j))) {
                    let cosine: f32 = cosines.row(i).iter().zip(cosines.row(j)).map(|(a, b)| a * b).sum();
                    assert!(bit(&half, i, j) == (cosine > 0.2) || (cosine - 0.2).abs() < 0.02, "{n} nodes, {i}, {j}: {cosine}");
                    assert_eq!(bit(&half, i, j), bit(&half, j, i), "{n} nodes, {i}, {j}");
                }
                // No bit lies beyond the last node.
                assert_eq!(graph, other);
                assert_eq!(graph.degree(), other.degree());
            }
        }
    }
}
