//! The inner loops, one implementation per instruction set, chosen at run time.
//!
//! | file            | instruction set                                   |
//! |-----------------|---------------------------------------------------|
//! | [`native`]      | any; the plain reference the others are tested against |
//! | `avx2.rs`         | x86-64 with AVX2 and FMA                          |
//! | `elementwise.rs`  | bodies shared by both, vectorised by the compiler |
//! | [`packed`]      | the layout of a product's right-hand side         |
//! | [`attention`]   | products and softmax joined into streamed attention |
//!
//! An [`Isa`] is a handle on one set of kernels. Everything above this module carries the handle it was given, so two sets can
//! be compared in one process. A kernel computes each output in an order that depends on neither the number of threads nor the
//! position in a block: results are the same, byte for byte, on one thread or many.

pub mod attention;
#[cfg(target_arch = "x86_64")]
#[allow(unsafe_code)]
mod avx2;
pub(crate) mod elementwise;
pub mod native;
pub mod packed;

use packed::{PANEL, Packed};
use rayon::prelude::*;

/// Rows of a register tile.
const TILE_ROWS: usize = 6;
/// Depth of one pass over the right-hand side: a panel of this depth stays in the first-level cache.
const DEPTH_BLOCK: usize = 256;
/// Rows one task of [`Isa::gemm_parallel`] computes.
const TASK_ROWS: usize = 48;

type Tile = [[f32; PANEL]; TILE_ROWS];

/// The environment variable by which the command line forces an instruction set: `native` or `avx2`.
pub const ISA_VARIABLE: &str = "DEEPCUT_ISA";

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Native,
    #[cfg(target_arch = "x86_64")]
    Avx2,
}

/// A set of kernels that this machine can run.
///
/// There is no way to make one for an instruction set the processor lacks, which is what makes its methods safe.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Isa(Kind);

/// The left-hand side of a product: a strided view, so that a transpose costs nothing.
#[derive(Debug, Clone, Copy)]
pub struct Left<'a> {
    data: &'a [f32],
    rows: usize,
    depth: usize,
    row_stride: usize,
    depth_stride: usize,
}

impl<'a> Left<'a> {
    /// A row-major `[rows, depth]` matrix.
    #[must_use]
    pub fn row_major(data: &'a [f32], rows: usize, depth: usize) -> Self {
        assert!(data.len() >= rows * depth, "left side is shorter than its shape");
        Self { data, rows, depth, row_stride: depth, depth_stride: 1 }
    }

    /// The transpose of a row-major `[depth, rows]` matrix.
    #[must_use]
    pub fn transposed(data: &'a [f32], rows: usize, depth: usize) -> Self {
        assert!(data.len() >= rows * depth, "left side is shorter than its shape");
        Self { data, rows, depth, row_stride: 1, depth_stride: rows }
    }

    /// `[rows, depth]`, each row beginning `row_stride` after the one before: some columns of a wider matrix.
    #[must_use]
    pub fn strided(data: &'a [f32], rows: usize, depth: usize, row_stride: usize) -> Self {
        assert!(rows == 0 || data.len() >= (rows - 1) * row_stride + depth, "left side is shorter than its shape");
        Self { data, rows, depth, row_stride, depth_stride: 1 }
    }

    fn slice(self, first: usize, rows: usize) -> Self {
        Self { data: &self.data[first * self.row_stride..], rows, ..self }
    }
}

/// What a product is added to.
#[derive(Debug, Clone, Copy)]
pub enum Start<'a> {
    /// Nothing: `C = A B`.
    Zero,
    /// One value per column: `C = A B + 1 bᵀ`.
    Bias(&'a [f32]),
    /// What the output holds already and one value per column: `C = C + A B + 1 bᵀ`.
    Residual(&'a [f32]),
    /// What the output holds already: `C = C + A B`.
    Accumulate,
}

/// What a softmax over blocks of columns remembers of one row; see [`Isa::softmax_step`].
#[derive(Debug, Clone, Copy)]
pub struct SoftmaxRow {
    /// The largest score so far.
    pub largest: f32,
    /// `Σ exp(scale · (score − largest))` so far.
    pub sum: f32,
    /// What weighted sums of earlier blocks must be multiplied by, now that `largest` may have grown.
    pub shrink: f32,
}

impl Default for SoftmaxRow {
    fn default() -> Self {
        Self { largest: f32::NEG_INFINITY, sum: 0.0, shrink: 0.0 }
    }
}

/// Geometry of a depthwise convolution over a padded `[height, width, channels]` plane.
#[derive(Debug, Clone, Copy)]
pub struct Depthwise<'a> {
    /// `[kernel * kernel, channels]`.
    pub weights: &'a [f32],
    /// `[channels]`.
    pub bias: &'a [f32],
    /// Side of the square kernel.
    pub kernel: usize,
    /// Channels of input and output.
    pub channels: usize,
    /// Pixels of an output row; an input row has `kernel - 1` more.
    pub width: usize,
}

impl Isa {
    /// The fastest set this machine runs.
    #[must_use]
    pub fn detect() -> Self {
        *Self::available().last().unwrap_or(&Self(Kind::Native))
    }

    /// Every set this machine runs, slowest first.
    #[must_use]
    pub fn available() -> Vec<Self> {
        let mut sets = vec![Self(Kind::Native)];
        #[cfg(target_arch = "x86_64")]
        if is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") {
            sets.push(Self(Kind::Avx2));
        }
        sets
    }

    /// The set of this name, if this machine runs it.
    #[must_use]
    pub fn by_name(name: &str) -> Option<Self> {
        Self::available().into_iter().find(|isa| isa.name() == name)
    }

    /// `native` or `avx2`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self.0 {
            Kind::Native => "native",
            #[cfg(target_arch = "x86_64")]
            Kind::Avx2 => "avx2",
        }
    }

    /// `out = start + left · right`, `[rows, n]` row-major.
    ///
    /// # Panics
    /// If the shapes disagree.
    pub fn gemm(self, left: Left<'_>, right: &Packed, start: Start<'_>, out: &mut [f32]) {
        let n = right.columns();
        assert_eq!(left.depth, right.depth(), "inner dimensions of a product");
        assert_eq!(out.len(), left.rows * n, "output of a product");
        if let Start::Bias(bias) | Start::Residual(bias) = start {
            assert_eq!(bias.len(), n, "bias of a product");
        }
        for k0 in (0..left.depth.max(1)).step_by(DEPTH_BLOCK) {
            let depth = DEPTH_BLOCK.min(left.depth - k0);
            let start = if k0 == 0 { Some(start) } else { None };
            for panel in 0..n.div_ceil(PANEL) {
                let columns = panel * PANEL..n.min((panel + 1) * PANEL);
                let values = right.panel(panel, k0, depth);
                for row in (0..left.rows).step_by(TILE_ROWS) {
                    let rows = TILE_ROWS.min(left.rows - row);
                    let mut tile: Tile = [[0.0; PANEL]; TILE_ROWS];
                    for (r, tile) in tile.iter_mut().enumerate().take(rows) {
                        let at = (row + r) * n;
                        let tile = &mut tile[..columns.len()];
                        let before = &out[at + columns.start..at + columns.end];
                        match start {
                            Some(Start::Zero) => {}
                            Some(Start::Bias(bias)) => tile.copy_from_slice(&bias[columns.clone()]),
                            Some(Start::Residual(bias)) => {
                                for ((t, b), x) in tile.iter_mut().zip(&bias[columns.clone()]).zip(before) {
                                    *t = b + x;
                                }
                            }
                            Some(Start::Accumulate) | None => tile.copy_from_slice(before),
                        }
                    }
                    let block = Left { data: &left.data[row * left.row_stride + k0 * left.depth_stride..], rows, depth, ..left };
                    self.tile(block, values, &mut tile);
                    for (r, tile) in tile.iter().enumerate().take(rows) {
                        let at = (row + r) * n;
                        out[at + columns.start..at + columns.end].copy_from_slice(&tile[..columns.len()]);
                    }
                }
            }
        }
    }

    /// [`Isa::gemm`] over the threads of the current pool.
    ///
    /// # Panics
    /// If the shapes disagree.
    pub fn gemm_parallel(self, left: Left<'_>, right: &Packed, start: Start<'_>, out: &mut [f32]) {
        let n = right.columns();
        assert_eq!(out.len(), left.rows * n, "output of a product");
        if n == 0 {
            return;
        }
        out.par_chunks_mut(TASK_ROWS * n).enumerate().for_each(|(task, out)| {
            self.gemm(left.slice(task * TASK_ROWS, out.len() / n), right, start, out);
        });
    }

    fn tile(self, left: Left<'_>, panel: &[f32], tile: &mut Tile) {
        if left.depth == 0 {
            return;
        }
        let last = (left.rows - 1) * left.row_stride + (left.depth - 1) * left.depth_stride;
        assert!(left.data.len() > last && panel.len() >= left.depth * PANEL);
        match self.0 {
            Kind::Native => native::tile(left, panel, tile),
            #[cfg(target_arch = "x86_64")]
            #[allow(unsafe_code)]
            // SAFETY: an `Isa` of this kind exists only where AVX2 and FMA were detected; the assertion above is the
            // kernel's contract on the slices.
            Kind::Avx2 => unsafe { avx2::tile(left, panel, tile) },
        }
    }

    /// One output row of a depthwise convolution: `out[x, c] = bias[c] + Σ_{i,j} weights[i, j, c] · input[i, x + j, c]`.
    ///
    /// `input` begins at the first of the `kernel` padded input rows that the output row reads.
    ///
    /// # Panics
    /// If the shapes disagree.
    pub fn depthwise_row(self, shape: Depthwise<'_>, input: &[f32], out: &mut [f32]) {
        let Depthwise { weights, bias, kernel, channels, width } = shape;
        assert_eq!(out.len(), width * channels, "output row of a convolution");
        assert!(input.len() >= kernel * (width + kernel - 1) * channels, "input rows of a convolution");
        assert!(weights.len() == kernel * kernel * channels && bias.len() == channels, "weights of a convolution");
        match self.0 {
            Kind::Native => native::depthwise_row(shape, input, out, 0),
            #[cfg(target_arch = "x86_64")]
            #[allow(unsafe_code)]
            Kind::Avx2 => {
                // SAFETY: AVX2 and FMA were detected; the assertions above are the kernel's contract on the slices.
                let done = unsafe { avx2::depthwise_row(shape, input, out) };
                native::depthwise_row(shape, input, out, done);
            }
        }
    }

    /// `out[c] = Σ_{j: bit j of row is set} columns[c, j]`.
    ///
    /// `columns` is `[out.len(), 64 * row.len()]`: every column padded to whole words.
    ///
    /// # Panics
    /// If the shapes disagree.
    pub fn masked_sums(self, row: &[u64], columns: &[f32], out: &mut [f32]) {
        assert_eq!(columns.len(), out.len() * row.len() * 64, "columns of a masked sum");
        match self.0 {
            Kind::Native => native::masked_sums(row, columns, out),
            #[cfg(target_arch = "x86_64")]
            #[allow(unsafe_code)]
            // SAFETY: AVX2 and FMA were detected; the assertion above is the kernel's contract on the slices.
            Kind::Avx2 => unsafe { avx2::masked_sums(row, columns, out) },
        }
    }

    /// `x ← x Φ(x)`, the exact (erf) GELU.
    pub fn gelu(self, values: &mut [f32]) {
        match self.0 {
            Kind::Native => elementwise::gelu::<false>(values),
            #[cfg(target_arch = "x86_64")]
            #[allow(unsafe_code)]
            // SAFETY: AVX2 and FMA were detected.
            Kind::Avx2 => unsafe { avx2::gelu(values) },
        }
    }

    /// `x ← x` where positive, `eˣ − 1` elsewhere.
    pub fn elu(self, values: &mut [f32]) {
        match self.0 {
            Kind::Native => elementwise::elu::<false>(values),
            #[cfg(target_arch = "x86_64")]
            #[allow(unsafe_code)]
            // SAFETY: AVX2 and FMA were detected.
            Kind::Avx2 => unsafe { avx2::elu(values) },
        }
    }

    /// Softmax of each row of `width` values.
    pub fn softmax(self, values: &mut [f32], width: usize) {
        match self.0 {
            Kind::Native => elementwise::softmax::<false>(values, width),
            #[cfg(target_arch = "x86_64")]
            #[allow(unsafe_code)]
            // SAFETY: AVX2 and FMA were detected.
            Kind::Avx2 => unsafe { avx2::softmax(values, width) },
        }
    }

    /// One more block of columns of a softmax over rows too long to hold: `scores`, `[state.len(), width]`, become
    /// `exp(scale · (score − largest))`, and each row's state takes them in (arXiv 1805.02867).
    ///
    /// # Panics
    /// If `scores` do not divide into `state.len()` rows.
    pub fn softmax_step(self, scores: &mut [f32], scale: f32, state: &mut [SoftmaxRow]) {
        assert!(scores.len().is_multiple_of(state.len().max(1)), "scores of a softmax");
        match self.0 {
            Kind::Native => elementwise::softmax_step::<false>(scores, scale, state),
            #[cfg(target_arch = "x86_64")]
            #[allow(unsafe_code)]
            // SAFETY: AVX2 and FMA were detected.
            Kind::Avx2 => unsafe { avx2::softmax_step(scores, scale, state) },
        }
    }

    /// `out = (x − mean) / √(variance + ε) · weight + bias`, for each row of `weight.len()` values.
    ///
    /// # Panics
    /// If the shapes disagree.
    pub fn layer_norm(self, rows: &[f32], weight: &[f32], bias: &[f32], epsilon: f32, out: &mut [f32]) {
        assert!(rows.len() == out.len() && weight.len() == bias.len(), "rows of a layer norm");
        match self.0 {
            Kind::Native => elementwise::layer_norm(rows, weight, bias, epsilon, out),
            #[cfg(target_arch = "x86_64")]
            #[allow(unsafe_code)]
            // SAFETY: AVX2 and FMA were detected.
            Kind::Avx2 => unsafe { avx2::layer_norm(rows, weight, bias, epsilon, out) },
        }
    }
}

#[cfg(test)]
mod tests;
