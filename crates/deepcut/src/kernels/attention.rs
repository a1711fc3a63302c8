//! Multi-head attention, streamed: `O = softmax(Q Kᵀ / √d) V` a block of keys at a time.
//!
//! | symbol | code      | shape              | meaning                                    |
//! |--------|-----------|--------------------|--------------------------------------------|
//! | Q      | `queries` | `[rows, heads · d]`  | some tokens' queries, heads side by side   |
//! | K, V   | [`KeysValues`] | `[tokens, heads · d]` | all tokens' keys and values, packed     |
//! | O      | `out`     | `[rows, heads · d]`  |                                            |
//!
//! Only the scores of [`query_rows`] tokens with one block of keys are held at a time; the maximum and the sum of the softmax are
//! carried from block to block (Milakov and Gimelshein, arXiv 1805.02867; Dao et al., FlashAttention, arXiv 2205.14135).
//! Cost: `4 · tokens² · heads · d` operations; memory beyond the result is `2 · tokens · heads · d` floats, the packed keys and values.

use super::isa::Kernels;
use super::operands::{Left, PANEL, Side, SoftmaxRow, Start};
use super::packed::Packed;
use super::parallel;
use super::precision::Float;

/// Keys in a block: their scores with [`query_rows`] queries stay in the second-level cache. Every block costs each query a maximum, a sum and a rescaling,
/// so the blocks are few and equal.
fn key_block(tokens: usize) -> usize {
    const MAX_KEYS: usize = 640;
    tokens.div_ceil(tokens.div_ceil(MAX_KEYS).max(1)).next_multiple_of(2 * PANEL).max(1)
}

/// Tokens in one task of a layer. Many, since each task reads all weights, keys and values; but so few that their intermediate results stay in the
/// second-level cache, and that the threads of the current pool have about the same work.
#[must_use]
pub fn query_rows(isa: Kernels, tokens: usize) -> usize {
    let (step, most) = (isa.table().row_step, isa.table().most_rows);
    let threads = parallel::current_threads();
    let busiest = |rows: &usize| tokens.div_ceil(*rows).div_ceil(threads).saturating_mul(*rows);
    (most.div_ceil(2 * step)..=most / step).rev().map(|steps| steps * step).min_by_key(busiest).unwrap_or(most)
}

/// The keys and values of all tokens of one layer.
#[derive(Debug, Default)]
pub struct KeysValues {
    precision: Float,
    head_dim: usize,
    /// Blocks of the first head, then of the second, and so on.
    blocks: Vec<Block>,
    blocks_per_head: usize,
}

#[derive(Debug)]
struct Block {
    /// `[head_dim, keys]`.
    keys: Packed,
    /// `[keys, head_dim]`.
    values: Packed,
}

/// Buffers of [`KeysValues::attend`], one for each thread.
#[derive(Debug, Default)]
pub struct Scratch {
    scores: Vec<f32>,
    /// Queries and shares in bf16.
    queries: Vec<u32>,
    shares: Vec<u32>,
    sums: Vec<f32>,
    rows: Vec<SoftmaxRow>,
}

impl KeysValues {
    /// No keys and values yet. Both products of attention will be in this precision.
    #[must_use]
    pub fn new(precision: Float) -> Self {
        Self { precision, ..Self::default() }
    }

    /// Packs the keys and values, `[tokens, dim]` each, in the memory of an earlier layer.
    ///
    /// # Panics
    /// If `keys` and `values` differ in length or are no matrices of `dim` columns, or `heads` does not divide `dim`.
    pub fn fill(&mut self, keys: &[f32], values: &[f32], dim: usize, heads: usize) {
        assert!(dim > 0 && heads > 0 && dim.is_multiple_of(heads), "heads of keys and values");
        assert!(keys.len() == values.len() && keys.len().is_multiple_of(dim), "keys and values");
        let tokens = keys.len() / dim;
        self.head_dim = dim / heads;
        let most = key_block(tokens);
        self.blocks_per_head = tokens.div_ceil(most);
        let empty = || Packed::new(self.precision);
        self.blocks.resize_with(heads * self.blocks_per_head, || Block { keys: empty(), values: empty() });
        let (head_dim, blocks_per_head) = (self.head_dim, self.blocks_per_head);
        parallel::for_each(self.blocks.iter_mut().enumerate(), |(at, block)| {
            let (head, first) = (at / blocks_per_head, at % blocks_per_head * most);
            let count = most.min(tokens - first);
            let from = first * dim + head * head_dim;
            block.keys.fill(&keys[from..], [head_dim, count], [1, dim]);
            block.values.fill(&values[from..], [count, head_dim], [dim, 1]);
        });
    }

    /// Computes O for some queries, `[rows, dim]`.
    ///
    /// # Panics
    /// If `queries` and `out` differ in length, or are no rows of the keys' dimension.
    pub fn attend(&self, isa: Kernels, queries: &[f32], scratch: &mut Scratch, out: &mut [f32]) {
        let d = self.head_dim;
        let dim = d * self.blocks.len() / self.blocks_per_head.max(1);
        assert!(queries.len() == out.len() && dim > 0 && queries.len().is_multiple_of(dim), "queries of another layer");
        if queries.is_empty() {
            return;
        }
        let scale = 1.0 / (d as f32).sqrt();
        let n = queries.len() / dim;
        let Scratch { scores, queries: rounded, shares, sums, rows } = scratch;
        for (head, blocks) in self.blocks.chunks_exact(self.blocks_per_head).enumerate() {
            let left = Left::strided(&queries[head * d..], n, d, dim);
            let left = match self.precision {
                Float::F32 => Side::Single(left),
                Float::Bf16 => {
                    rounded.resize(n * d.div_ceil(2), 0);
                    isa.round_rows(left, rounded);
                    Side::Pairs(Left::pairs(rounded, n, d))
                }
            };
            sums.clear();
            sums.resize(n * d, 0.0);
            rows.clear();
            rows.resize(n, SoftmaxRow::default());
            for Block { keys, values } in blocks {
                let width = keys.columns();
                scores.resize(n * width, 0.0);
                isa.gemm_side(left, keys.into(), Start::Zero, scores);
                let weights = match self.precision {
                    Float::F32 => {
                        isa.softmax_step(scores, scale, rows);
                        Side::Single(Left::row_major(scores, n, width))
                    }
                    Float::Bf16 => {
                        shares.resize(n * width.div_ceil(2), 0);
                        isa.softmax_step_pairs(scores, scale, rows, shares);
                        Side::Pairs(Left::pairs(shares, n, width))
                    }
                };
                for (row, state) in sums.chunks_exact_mut(d).zip(&*rows) {
                    row.iter_mut().for_each(|x| *x *= state.shrink);
                }
                isa.gemm_side(weights, values.into(), Start::Accumulate, sums);
            }
            for ((row, state), out) in sums.chunks_exact(d).zip(&*rows).zip(out.chunks_exact_mut(dim)) {
                let scale = 1.0 / state.sum;
                out[head * d..(head + 1) * d].iter_mut().zip(row).for_each(|(out, x)| *out = x * scale);
            }
        }
    }
}
