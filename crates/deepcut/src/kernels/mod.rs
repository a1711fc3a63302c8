//! The inner loops, one implementation per instruction set, chosen at run time.
//!
//! | file            | instruction set                                   |
//! |-----------------|---------------------------------------------------|
//! | [`native`]      | any; the plain reference the others are tested against |
//! | `avx2.rs`         | x86-64 with AVX2 and FMA                          |
//! | `avx2_int8.rs`    | the same: products of factors rounded to int8 |
//! | `avx512.rs`       | x86-64 with AVX-512F too                          |
//! | `avx512_vnni.rs`  | x86-64 with AVX512-BW, VL and VNNI too: products of factors rounded to int8 |
//! | `avx512_bf16.rs`  | x86-64 with AVX512-BF16 too: products of factors rounded to bf16 |
//! | `neon.rs`         | 64-bit ARM                                        |
//! | `elementwise.rs`  | bodies shared by all, vectorised by the compiler  |
//! | `tiles.rs`        | what a kernel keeps in registers at a time          |
//! | `widest.rs`       | loops over integers, compiled for AVX2 too          |
//! | [`packed`]      | the layout of a product's right-hand side         |
//! | [`quantized`]   | products in int8                                  |
//! | [`parallel`]    | work over independent pieces                      |
//! | [`attention`]   | products and softmax joined into streamed attention |
//!
//! An [`Isa`] is a handle on one set of kernels. Everything above this module carries the handle it was given, so two sets can
//! be compared in one process. A kernel computes each output in an order that depends on neither the number of threads nor the
//! position in a block: results are the same, byte for byte, on one thread or many.

pub mod attention;
#[cfg(target_arch = "x86_64")]
#[allow(unsafe_code)]
mod avx2;
#[cfg(target_arch = "x86_64")]
#[allow(unsafe_code)]
mod avx2_int8;
#[cfg(target_arch = "x86_64")]
#[allow(unsafe_code)]
mod avx512;
#[cfg(target_arch = "x86_64")]
#[allow(unsafe_code)]
mod avx512_bf16;
#[cfg(target_arch = "x86_64")]
#[allow(unsafe_code)]
mod avx512_vnni;
mod elementwise;
pub mod native;
#[cfg(target_arch = "aarch64")]
#[allow(unsafe_code)]
mod neon;
pub mod packed;
pub mod parallel;
pub mod quantized;
pub mod rates;
mod tiles;
#[allow(unsafe_code)]
pub(crate) mod widest;

use packed::{Float, PANEL, Packed, Rows, Values};
use std::cell::RefCell;

/// Depth of one pass over the right-hand side: the panels of a pass stay in the nearer caches.
const DEPTH_BLOCK: usize = 512;
/// Rows one task of [`Isa::gemm_parallel`] computes.
const TASK_ROWS: usize = 48;
/// Rows of the largest task of any layer, and as many as are rounded at a time.
const MOST_ROWS: usize = 112;

/// The environment variable by which the command line forces an instruction set: `native`, `avx2`, `avx512`, `avx512_vnni`, `avx512_bf16` or `neon`.
pub const ISA_VARIABLE: &str = "DEEPCUT_ISA";

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    Native,
    #[cfg(target_arch = "x86_64")]
    Avx2,
    #[cfg(target_arch = "x86_64")]
    Avx512,
    #[cfg(target_arch = "x86_64")]
    Avx512Vnni,
    #[cfg(target_arch = "x86_64")]
    Avx512Bf16,
    #[cfg(target_arch = "aarch64")]
    Neon,
}

/// How many values an array of this shape has; None if that wraps. Every contract on sizes is checked with it: a wrapped product would let a kernel
/// walk beyond its slices.
pub(crate) fn volume<const N: usize>(shape: [usize; N]) -> Option<usize> {
    if shape.contains(&0) { Some(0) } else { shape.into_iter().try_fold(1usize, |volume, side| volume.checked_mul(side)) }
}

/// Whether so many values are an array of this shape.
pub(crate) fn is_shape<const N: usize>(len: usize, shape: [usize; N]) -> bool {
    volume(shape) == Some(len)
}

/// How many values end with the last element of a strided array; None if that wraps. Nothing if a side is zero.
fn extent<const N: usize>(shape: [usize; N], strides: [usize; N]) -> Option<usize> {
    if shape.contains(&0) {
        return Some(0);
    }
    shape.into_iter().zip(strides).try_fold(1usize, |end, (side, stride)| end.checked_add((side - 1).checked_mul(stride)?))
}

/// A set of kernels that this machine can run.
///
/// There is no way to make one for an instruction set the processor lacks, which is what makes its methods safe.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Isa(Kind);

/// The left-hand side of a product: a strided view, so that a transpose costs nothing.
#[derive(Debug, Clone, Copy)]
pub struct Left<'a, T = f32> {
    data: &'a [T],
    rows: usize,
    depth: usize,
    row_stride: usize,
    depth_stride: usize,
}

impl<'a> Left<'a> {
    /// A row-major `[rows, depth]` matrix.
    #[must_use]
    pub fn row_major(data: &'a [f32], rows: usize, depth: usize) -> Self {
        Self::new(data, [rows, depth], [depth, 1])
    }

    /// The transpose of a row-major `[depth, rows]` matrix.
    #[must_use]
    pub fn transposed(data: &'a [f32], rows: usize, depth: usize) -> Self {
        Self::new(data, [rows, depth], [1, rows])
    }

    /// `[rows, depth]`, each row beginning `row_stride` after the one before: some columns of a wider matrix.
    #[must_use]
    pub fn strided(data: &'a [f32], rows: usize, depth: usize, row_stride: usize) -> Self {
        Self::new(data, [rows, depth], [row_stride, 1])
    }

    fn new(data: &'a [f32], [rows, depth]: [usize; 2], [row_stride, depth_stride]: [usize; 2]) -> Self {
        let left = Self { data, rows, depth, row_stride, depth_stride };
        assert!(left.is_whole(), "left side is shorter than its shape");
        left
    }
}

impl<'a> Left<'a, u32> {
    /// A row-major `[rows, depth]` matrix in pairs of bf16, an odd last value paired with zero.
    fn pairs(data: &'a [u32], rows: usize, depth: usize) -> Self {
        let pairs = depth.div_ceil(2);
        Self { data, rows, depth: pairs, row_stride: pairs, depth_stride: 1 }
    }
}

impl<T> Left<'_, T> {
    fn rows(&self) -> usize {
        self.rows
    }

    /// `rows` rows from `first` on.
    pub(crate) fn slice(self, first: usize, rows: usize) -> Self {
        // What has no elements may have any stride.
        Self { data: self.data.get(first.saturating_mul(self.row_stride)..).unwrap_or_default(), rows, ..self }
    }

    /// `depth` columns from `first` on.
    fn columns(self, first: usize, depth: usize) -> Self {
        Self { data: self.data.get(first * self.depth_stride..).unwrap_or_default(), depth, ..self }
    }

    /// Whether the data hold every element.
    fn is_whole(&self) -> bool {
        extent([self.rows, self.depth], [self.row_stride, self.depth_stride]).is_some_and(|end| end <= self.data.len())
    }
}

/// A left side in either precision; pairs count as one of its depth.
#[derive(Debug, Clone, Copy)]
enum Side<'a> {
    Single(Left<'a>),
    Pairs(Left<'a, u32>),
}

/// The right-hand side of a product, `[depth, columns]`: a packed matrix, or a row-major one read in place.
#[derive(Debug, Clone, Copy)]
pub struct Right<'a> {
    depth: usize,
    panels: Panels<'a>,
}

#[derive(Debug, Clone, Copy)]
enum Panels<'a> {
    /// f32.
    Single(View<'a, f32>),
    /// Pairs of bf16.
    Pairs(View<'a, u32>),
}

/// Rows of some panels.
#[derive(Debug, Clone, Copy)]
struct View<'a, T> {
    data: &'a [T],
    rows: usize,
    columns: usize,
    row_stride: usize,
    panel_stride: usize,
}

impl<T> View<'_, T> {
    /// Rows `k..k + rows` of the panels that hold columns `column..column + columns`; `column` begins a panel.
    fn part(self, k: usize, rows: usize, column: usize, columns: usize) -> Self {
        let from = k * self.row_stride + column / PANEL * self.panel_stride;
        Self { data: self.data.get(from..).unwrap_or_default(), rows, columns, ..self }
    }

    /// Whether the data hold every element.
    fn is_whole(&self) -> bool {
        let panels = self.columns.div_ceil(PANEL);
        // The last panel's columns, less the one that an extent ends with.
        let last = self.columns.saturating_sub(1) % PANEL;
        let end = extent([self.rows, panels], [self.row_stride, self.panel_stride]);
        self.rows == 0 || end.and_then(|end| end.checked_add(last)).is_some_and(|end| end <= self.data.len())
    }
}

impl<'a> Right<'a> {
    /// A row-major `[depth, columns]` matrix. A product with many rows on the left is faster with a packed one.
    #[must_use]
    pub fn row_major(data: &'a [f32], depth: usize, columns: usize) -> Self {
        assert!(volume([depth, columns]).is_some_and(|len| len <= data.len()), "right side is shorter than its shape");
        Self { depth, panels: Panels::Single(View { data, rows: depth, columns, row_stride: columns, panel_stride: PANEL }) }
    }

    /// A `[depth, columns]` matrix in bf16 that [`Isa::pair_rows`] wrote.
    #[must_use]
    pub fn paired_rows(pairs: &'a [u32], depth: usize, columns: usize) -> Self {
        let rows = depth.div_ceil(2);
        assert!(volume([rows, columns]).is_some_and(|len| len <= pairs.len()), "right side is shorter than its shape");
        Self { depth, panels: Panels::Pairs(View { data: pairs, rows, columns, row_stride: columns, panel_stride: PANEL }) }
    }

    /// The columns from `first` on, which begins a panel.
    #[must_use]
    pub fn at_column(self, first: usize) -> Self {
        fn rest<T>(view: View<'_, T>, first: usize) -> View<'_, T> {
            assert!(first.is_multiple_of(PANEL) && first <= view.columns, "columns of a matrix");
            let (rows, columns) = (view.rows, view.columns - first);
            view.part(0, rows, first, columns)
        }
        let panels = match self.panels {
            Panels::Single(view) => Panels::Single(rest(view, first)),
            Panels::Pairs(view) => Panels::Pairs(rest(view, first)),
        };
        Self { panels, ..self }
    }

    fn columns(self) -> usize {
        match self.panels {
            Panels::Single(view) => view.columns,
            Panels::Pairs(view) => view.columns,
        }
    }
}

impl<'a> From<&'a Packed> for Right<'a> {
    fn from(packed: &'a Packed) -> Self {
        let (depth, columns) = (packed.depth(), packed.columns());
        // Without columns there are no panels, and rows may be any number.
        let view = |rows: usize| (rows, columns, PANEL, rows.saturating_mul(PANEL));
        let panels = match packed.precision() {
            Float::F32 => {
                let (rows, columns, row_stride, panel_stride) = view(depth);
                Panels::Single(View { data: packed.single(), rows, columns, row_stride, panel_stride })
            }
            Float::Bf16 => {
                let (rows, columns, row_stride, panel_stride) = view(depth.div_ceil(2));
                Panels::Pairs(View { data: packed.pairs(), rows, columns, row_stride, panel_stride })
            }
        };
        Self { depth, panels }
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

impl Start<'_> {
    /// The same for the columns from `first` on.
    fn at_column(self, first: usize) -> Self {
        match self {
            Self::Bias(bias) => Start::Bias(&bias[first..]),
            Self::Residual(bias) => Start::Residual(&bias[first..]),
            start => start,
        }
    }
}

/// The constants of one step of AdamW: `m ← m + (1 − β₁)(g − m)`, `v ← β₂ v + (1 − β₂) g²`, `p ← decay · p − rate · m / (root · √v + ε)`.
#[derive(Debug, Clone, Copy)]
pub struct Adam {
    /// Of the two moments.
    pub beta: [f32; 2],
    /// The learning rate, over the first moment's bias correction.
    pub rate: f32,
    /// One over the square root of the second moment's bias correction.
    pub root: f32,
    /// What weight decay leaves of a parameter.
    pub decay: f32,
    /// Keeps the quotient finite.
    pub epsilon: f32,
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

/// Output and start of a product with so many columns, and a whole left side.
fn check_product<T>(left: &Left<'_, T>, columns: usize, start: Start<'_>, out: &[f32]) {
    assert!(is_shape(out.len(), [left.rows, columns]), "output of a product");
    assert!(!matches!(start, Start::Bias(bias) | Start::Residual(bias) if bias.len() != columns), "bias of a product");
    assert!(left.is_whole(), "left side of a product");
}

/// Calls the kernel `$name` of the set, or `$native` where there is none. The kernels' contracts on slices, where they have any, are asserted
/// before.
macro_rules! dispatch {
    ($isa:expr, $native:expr, $name:ident($($argument:expr),*)) => {
        match $isa.0 {
            Kind::Native => $native,
            #[cfg(target_arch = "x86_64")]
            #[allow(unsafe_code)]
            // SAFETY: an `Isa` of this kind exists only where AVX2 and FMA were detected.
            Kind::Avx2 => unsafe { avx2::$name($($argument),*) },
            #[cfg(target_arch = "x86_64")]
            #[allow(unsafe_code)]
            // SAFETY: likewise, with AVX-512F.
            Kind::Avx512 | Kind::Avx512Vnni | Kind::Avx512Bf16 => unsafe { avx512::$name($($argument),*) },
            #[cfg(target_arch = "aarch64")]
            #[allow(unsafe_code)]
            // SAFETY: likewise, with NEON.
            Kind::Neon => unsafe { neon::$name($($argument),*) },
        }
    };
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
            if is_x86_feature_detected!("avx512f") {
                sets.push(Self(Kind::Avx512));
                if is_x86_feature_detected!("avx512bw")
                    && is_x86_feature_detected!("avx512vl")
                    && is_x86_feature_detected!("avx512vnni")
                {
                    sets.push(Self(Kind::Avx512Vnni));
                    if is_x86_feature_detected!("avx512bf16") {
                        sets.push(Self(Kind::Avx512Bf16));
                    }
                }
            }
        }
        #[cfg(target_arch = "aarch64")]
        if std::arch::is_aarch64_feature_detected!("neon") {
            sets.push(Self(Kind::Neon));
        }
        sets
    }

    /// The set that every machine runs, with the same results to the last bit: without fused multiply-adds, in an order of its own.
    #[must_use]
    pub fn portable() -> Self {
        Self(Kind::Native)
    }

    /// The set of this name, if this machine runs it.
    #[must_use]
    pub fn by_name(name: &str) -> Option<Self> {
        Self::available().into_iter().find(|isa| isa.name() == name)
    }

    /// The rounding whose products in floating point are fastest here.
    #[must_use]
    pub fn fastest_float(self) -> Float {
        match self.0 {
            #[cfg(target_arch = "x86_64")]
            Kind::Avx512Bf16 => Float::Bf16,
            _ => Float::F32,
        }
    }

    /// `native`, `avx2`, `avx512`, `avx512_vnni`, `avx512_bf16` or `neon`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self.0 {
            Kind::Native => "native",
            #[cfg(target_arch = "x86_64")]
            Kind::Avx2 => "avx2",
            #[cfg(target_arch = "x86_64")]
            Kind::Avx512 => "avx512",
            #[cfg(target_arch = "x86_64")]
            Kind::Avx512Vnni => "avx512_vnni",
            #[cfg(target_arch = "x86_64")]
            Kind::Avx512Bf16 => "avx512_bf16",
            #[cfg(target_arch = "aarch64")]
            Kind::Neon => "neon",
        }
    }

    /// Columns whose sums a kernel keeps in registers at a time.
    fn group(self) -> usize {
        match self.0 {
            #[cfg(target_arch = "x86_64")]
            Kind::Avx512 | Kind::Avx512Vnni | Kind::Avx512Bf16 => 2 * PANEL,
            _ => PANEL,
        }
    }

    /// The rows a kernel keeps in registers, and as many of them as a task may have whose intermediate results are to stay in the second-level cache:
    /// processors with AVX-512 have a large one.
    fn task_rows(self) -> (usize, usize) {
        match self.0 {
            #[cfg(target_arch = "x86_64")]
            Kind::Avx2 => (6, 48),
            #[cfg(target_arch = "x86_64")]
            Kind::Avx512 | Kind::Avx512Vnni | Kind::Avx512Bf16 => (8, MOST_ROWS),
            _ => (8, 48),
        }
    }

    /// `out = start + left · right`, `[rows, n]` row-major. If `right` is in bf16, `left` is rounded likewise.
    ///
    /// # Panics
    /// If the shapes disagree.
    pub fn gemm<'a>(self, left: Left<'_>, right: impl Into<Right<'a>>, start: Start<'_>, out: &mut [f32]) {
        let right = right.into();
        let n = right.columns();
        assert_eq!(left.depth, right.depth, "inner dimensions of a product");
        check_product(&left, n, start, out);
        if out.is_empty() {
            return;
        }
        match right.panels {
            Panels::Single(view) => {
                for k in (0..left.depth.max(1)).step_by(DEPTH_BLOCK) {
                    let depth = DEPTH_BLOCK.min(left.depth - k);
                    let start = if k == 0 { start } else { Start::Accumulate };
                    for column in (0..n).step_by(self.group()) {
                        let columns = self.group().min(n - column);
                        let right = view.part(k, depth, column, columns);
                        self.strip(left.columns(k, depth), right, start.at_column(column), &mut out[column..], n);
                    }
                }
            }
            Panels::Pairs(view) => {
                let chunks = out.chunks_mut(MOST_ROWS.saturating_mul(n)).enumerate();
                chunks.for_each(|(task, out)| self.gemm_pairs(left.slice(task * MOST_ROWS, out.len() / n), view, start, out));
            }
        }
    }

    /// The product of up to [`MOST_ROWS`] rows with pairs of bf16.
    fn gemm_pairs(self, left: Left<'_>, right: View<'_, u32>, start: Start<'_>, out: &mut [f32]) {
        const PAIRS: usize = DEPTH_BLOCK / 2;
        thread_local! {
            /// The rounded left side: too large to clear each time.
            static ROUNDED: RefCell<Vec<u32>> = RefCell::new(vec![0; MOST_ROWS * PAIRS]);
        }
        ROUNDED.with_borrow_mut(|rounded| self.gemm_rounded::<PAIRS>(left, right, start, rounded, out));
    }

    fn gemm_rounded<const PAIRS: usize>(
        self,
        left: Left<'_>,
        right: View<'_, u32>,
        start: Start<'_>,
        rounded: &mut [u32],
        out: &mut [f32],
    ) {
        for k in (0..right.rows.max(1)).step_by(PAIRS) {
            let pairs = PAIRS.min(right.rows - k);
            let depth = (2 * pairs).min(left.depth - 2 * k);
            for (r, row) in rounded.chunks_exact_mut(PAIRS).enumerate().take(left.rows) {
                self.round_row(left.slice(r, 1).columns(2 * k, depth), &mut row[..pairs]);
            }
            let left = Left { data: &rounded[..], rows: left.rows, depth: pairs, row_stride: PAIRS, depth_stride: 1 };
            self.depth_block(left, right, k, start, out);
        }
    }

    /// Adds the product with the rows of `right` from `k` on, as many as `left` is deep; the first of them begins with `start`.
    fn depth_block(self, left: Left<'_, u32>, right: View<'_, u32>, k: usize, start: Start<'_>, out: &mut [f32]) {
        let n = right.columns;
        let start = if k == 0 { start } else { Start::Accumulate };
        for column in (0..n).step_by(self.group()) {
            let right = right.part(k, left.depth, column, self.group().min(n - column));
            self.strip_pairs(left, right, start.at_column(column), &mut out[column..], n);
        }
    }

    /// [`Isa::gemm`] with rows `first..first + out.len() / n` of a matrix kept as a left side; both sides are in one precision.
    ///
    /// # Panics
    /// If shapes or precisions disagree.
    pub fn gemm_rows<'a>(self, left: &Rows, first: usize, right: impl Into<Right<'a>>, start: Start<'_>, out: &mut [f32]) {
        let right = right.into();
        let n = right.columns();
        if n == 0 {
            assert!(out.is_empty(), "output of a product");
            return;
        }
        let rows = out.len() / n;
        assert_eq!(left.depth(), right.depth, "inner dimensions of a product");
        let left = match left.values() {
            Values::Single(data) => Side::Single(Left::row_major(&data[first * right.depth..], rows, right.depth)),
            Values::Pairs(data) => Side::Pairs(Left::pairs(&data[first * right.depth.div_ceil(2)..], rows, right.depth)),
        };
        self.gemm_side(left, right, start, out);
    }

    /// [`Isa::gemm`] with a left side that is in the precision of the right one.
    #[expect(clippy::panic, reason = "the contract, like a shape")]
    fn gemm_side(self, left: Side<'_>, right: Right<'_>, start: Start<'_>, out: &mut [f32]) {
        match (left, right.panels) {
            (Side::Single(left), Panels::Single(_)) => self.gemm(left, right, start, out),
            (Side::Pairs(left), Panels::Pairs(view)) => {
                assert_eq!(left.depth, view.rows, "inner dimensions of a product");
                check_product(&left, view.columns, start, out);
                if out.is_empty() {
                    return;
                }
                for k in (0..left.depth.max(1)).step_by(DEPTH_BLOCK / 2) {
                    self.depth_block(left.columns(k, (DEPTH_BLOCK / 2).min(left.depth - k)), view, k, start, out);
                }
            }
            _ => panic!("precisions of a product"),
        }
    }

    /// [`Isa::gemm`] over the threads of the current pool.
    ///
    /// # Panics
    /// If the shapes disagree.
    pub fn gemm_parallel<'a>(self, left: Left<'_>, right: impl Into<Right<'a>>, start: Start<'_>, out: &mut [f32]) {
        let right = right.into();
        let n = right.columns();
        check_product(&left, n, start, out);
        if out.is_empty() {
            return;
        }
        parallel::for_each(out.chunks_mut(TASK_ROWS.saturating_mul(n)).enumerate(), |(task, out)| {
            self.gemm(left.slice(task * TASK_ROWS, out.len() / n), right, start, out);
        });
    }

    /// A product whose columns are one [`Isa::group`] or fewer; rows of `out` are `stride` apart.
    fn strip(self, left: Left<'_>, right: View<'_, f32>, start: Start<'_>, out: &mut [f32], stride: usize) {
        if left.rows == 0 {
            return;
        }
        self.check_strip(left, &right, start, out, stride);
        dispatch!(self, native::strip(left, right, start, out, stride), strip(left, right, start, out, stride));
    }

    /// As [`Isa::strip`], for pairs of bf16.
    fn strip_pairs(self, left: Left<'_, u32>, right: View<'_, u32>, start: Start<'_>, out: &mut [f32], stride: usize) {
        if left.rows == 0 {
            return;
        }
        self.check_strip(left, &right, start, out, stride);
        match self.0 {
            #[cfg(target_arch = "x86_64")]
            #[allow(unsafe_code)]
            // SAFETY: AVX-512F and AVX512-BF16 were detected; `check_strip` is the kernel's contract.
            Kind::Avx512Bf16 => unsafe { avx512_bf16::strip(left, right, start, out, stride) },
            _ => native::strip_pairs(left, right, start, out, stride),
        }
    }

    /// What every kernel relies on. Nothing here may wrap: a call that passes stays inside its slices, whatever its caller computed.
    fn check_strip<T: Copy>(self, left: Left<'_, T>, right: &View<'_, T>, start: Start<'_>, out: &[f32], stride: usize) {
        let columns = right.columns;
        assert!(left.is_whole() && right.is_whole() && left.depth == right.rows && (1..=self.group()).contains(&columns));
        assert!(extent([left.rows, columns], [stride, 1]).is_some_and(|end| end <= out.len()));
        assert!(!matches!(start, Start::Bias(bias) | Start::Residual(bias) if bias.len() < columns));
    }

    /// Rounds one row to pairs of bf16; an odd last value is paired with zero.
    fn round_row(self, row: Left<'_>, pairs: &mut [u32]) {
        match self.0 {
            #[cfg(target_arch = "x86_64")]
            #[allow(unsafe_code)]
            Kind::Avx512Bf16 if row.depth_stride == 1 => {
                assert!(row.data.len() >= row.depth && row.depth.div_ceil(2) == pairs.len());
                // SAFETY: AVX-512F and AVX512-BF16 were detected; the assertion is the kernel's contract.
                unsafe { avx512_bf16::round(&row.data[..row.depth], pairs) };
            }
            _ => native::round_row(row, pairs),
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
        assert!(is_shape(out.len(), [width, channels]), "output row of a convolution");
        assert!(is_shape(weights.len(), [kernel, kernel, channels]) && bias.len() == channels, "weights of a convolution");
        if out.is_empty() {
            return;
        }
        assert!(kernel > 0, "a convolution without a kernel");
        let input_len = width.checked_add(kernel - 1).and_then(|padded| volume([kernel, padded, channels]));
        assert!(input_len.is_some_and(|len| len <= input.len()), "input rows of a convolution");
        match self.0 {
            Kind::Native => native::depthwise_row(shape, input, out, 0),
            #[cfg(target_arch = "x86_64")]
            #[allow(unsafe_code)]
            Kind::Avx2 => {
                // SAFETY: AVX2 and FMA were detected; the assertions above are the kernel's contract on the slices.
                let done = unsafe { avx2::depthwise_row(shape, input, out) };
                native::depthwise_row(shape, input, out, done);
            }
            #[cfg(target_arch = "x86_64")]
            #[allow(unsafe_code)]
            Kind::Avx512 | Kind::Avx512Vnni | Kind::Avx512Bf16 => {
                // SAFETY: AVX-512F was detected; the assertions above are the kernel's contract on the slices.
                let done = unsafe { avx512::depthwise_row(shape, input, out) };
                native::depthwise_row(shape, input, out, done);
            }
            #[cfg(target_arch = "aarch64")]
            #[allow(unsafe_code)]
            Kind::Neon => {
                // SAFETY: NEON was detected; the assertions above are the kernel's contract on the slices.
                let done = unsafe { neon::depthwise_row(shape, input, out) };
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
        assert!(is_shape(columns.len(), [out.len(), row.len(), 64]), "columns of a masked sum");
        dispatch!(self, native::masked_sums(row, columns, out), masked_sums(row, columns, out));
    }

    /// The product of bits, `[rows, words]`, with a row-major `[n, width]` matrix: `out[r] = Σ_{j: bit j of row r is set} values[j]`, `[rows, width]`;
    /// n is at most `64 * words`, and no bit beyond it is set.
    ///
    /// The sums of every subset of four neighbouring rows are made first, so that four bits take one addition (the method of the four Russians); that
    /// pays where there are some hundred rows on the left.
    ///
    /// # Panics
    /// If the shapes disagree.
    pub fn bit_product(self, bits: &[u64], words: usize, values: &[f32], width: usize, out: &mut [f32]) {
        assert!(width > 0 && words > 0, "a product with bits without columns");
        // None: more than there can be.
        assert!(volume([64, words, width]).is_none_or(|most| values.len() <= most), "values of a product with bits");
        let rows = out.len() / width;
        assert!(is_shape(out.len(), [rows, width]) && is_shape(bits.len(), [rows, words]), "rows of a product with bits");
        if out.is_empty() {
            return;
        }
        dispatch!(self, elementwise::bit_product(bits, words, values, width, out), bit_product(bits, words, values, width, out));
    }

    /// `x ← x Φ(x)`, the exact (erf) GELU.
    pub fn gelu(self, values: &mut [f32]) {
        dispatch!(self, elementwise::gelu::<false>(values), gelu(values));
    }

    /// `x ← x` where positive, `eˣ − 1` elsewhere.
    pub fn elu(self, values: &mut [f32]) {
        dispatch!(self, elementwise::elu::<false>(values), elu(values));
    }

    /// Softmax of each row of `width` values.
    ///
    /// # Panics
    /// If the values are no whole number of rows.
    pub fn softmax(self, values: &mut [f32], width: usize) {
        assert!(values.len().is_multiple_of(width), "rows of a softmax");
        dispatch!(self, elementwise::softmax::<false>(values, width), softmax(values, width));
    }

    /// One more block of columns of a softmax over rows too long to hold: `scores`, `[state.len(), width]`, become
    /// `exp(scale · (score − largest))`, and each row's state takes them in (arXiv 1805.02867).
    ///
    /// # Panics
    /// If `scores` do not divide into `state.len()` rows.
    pub fn softmax_step(self, scores: &mut [f32], scale: f32, state: &mut [SoftmaxRow]) {
        assert!(scores.len().is_multiple_of(state.len().max(1)), "scores of a softmax");
        dispatch!(self, elementwise::softmax_step::<false>(scores, scale, state), softmax_step(scores, scale, state));
    }

    /// [`Isa::softmax_step`] for a product in bf16: the exponentials are written to `shares` in pairs, `[state.len(), ⌈width / 2⌉]`, an odd last one
    /// paired with zero. What becomes of `scores` is not defined.
    ///
    /// # Panics
    /// If the shapes disagree.
    pub fn softmax_step_pairs(self, scores: &mut [f32], scale: f32, state: &mut [SoftmaxRow], shares: &mut [u32]) {
        let width = scores.len() / state.len().max(1);
        let pairs = width.div_ceil(2);
        assert!(scores.len() == width * state.len() && shares.len() == pairs * state.len(), "scores of a softmax");
        match self.0 {
            #[cfg(target_arch = "x86_64")]
            #[allow(unsafe_code)]
            // SAFETY: AVX-512F and AVX512-BF16 were detected; the assertion is the kernel's contract.
            Kind::Avx512Bf16 if width > 0 => unsafe { avx512_bf16::softmax_step(scores, scale, state, shares) },
            _ => {
                self.softmax_step(scores, scale, state);
                self.round_rows(Left::row_major(scores, state.len(), width), shares);
            }
        }
    }

    /// Rounds a left side to pairs of bf16; an odd last value of a row is paired with zero.
    fn round_rows(self, rows: Left<'_>, pairs: &mut [u32]) {
        for (r, pairs) in pairs.chunks_exact_mut(rows.depth.div_ceil(2).max(1)).enumerate() {
            self.round_row(rows.slice(r, 1), pairs);
        }
    }

    /// `out = (x − mean) / √(variance + ε) · weight + bias`, for each row of `weight.len()` values.
    ///
    /// # Panics
    /// If the shapes disagree.
    pub fn layer_norm(self, rows: &[f32], weight: &[f32], bias: &[f32], epsilon: f32, out: &mut [f32]) {
        assert!(rows.len() == out.len() && weight.len() == bias.len(), "rows of a layer norm");
        assert!(rows.len().is_multiple_of(weight.len()), "rows of a layer norm");
        dispatch!(self, elementwise::layer_norm(rows, weight, bias, epsilon, out), layer_norm(rows, weight, bias, epsilon, out));
    }

    /// From the `output` of an ELU and its gradient to that of its input: the derivative is 1 where positive, `eˣ = output + 1` elsewhere.
    ///
    /// # Panics
    /// If the lengths differ.
    pub fn elu_gradient(self, output: &[f32], gradient: &mut [f32]) {
        assert_eq!(output.len(), gradient.len(), "gradient of an ELU");
        dispatch!(self, elementwise::elu_gradient(output, gradient), elu_gradient(output, gradient));
    }

    /// One step of AdamW on `[parameters, first moments, second moments]`; see [`Adam`].
    ///
    /// # Panics
    /// If the lengths differ.
    pub fn adam(self, step: Adam, gradient: &[f32], state: [&mut [f32]; 3]) {
        assert!(state.iter().all(|values| values.len() == gradient.len()), "parameters of a step");
        dispatch!(self, elementwise::adam(step, gradient, state), adam(step, gradient, state));
    }

    /// `out[c] = Σ_j rows[row, j] · columns[c, j]`, for columns that [`Rows::columns`] ordered.
    ///
    /// # Panics
    /// If the shapes disagree.
    pub(crate) fn row_dots(self, rows: &Rows, row: usize, columns: &[f32], out: &mut [f32]) {
        let depth = rows.depth();
        match rows.values() {
            Values::Single(data) => {
                assert!(is_shape(columns.len(), [out.len(), depth]), "columns of a product");
                let row = &data[row * depth..(row + 1) * depth];
                dispatch!(self, elementwise::dots::<false>(row, columns, out), dots(row, columns, out));
            }
            Values::Pairs(data) => {
                let pairs = depth.div_ceil(2);
                assert!(is_shape(columns.len(), [out.len(), 2, pairs]), "columns of a product");
                let row = &data[row * pairs..(row + 1) * pairs];
                dispatch!(self, elementwise::pair_dots::<false>(row, columns, out), pair_dots(row, columns, out));
            }
        }
    }

    /// Rounds a row-major matrix of `columns` columns to bf16 and joins its rows in pairs, `[⌈rows / 2⌉, columns]`; an odd last row is paired
    /// with zeros. See [`Right::paired_rows`].
    ///
    /// # Panics
    /// If the shapes disagree.
    pub fn pair_rows(self, rows: &[f32], columns: usize, pairs: &mut [u32]) {
        if rows.is_empty() && pairs.is_empty() {
            return;
        }
        assert!(rows.len().is_multiple_of(columns), "rows of a matrix");
        assert_eq!(pairs.len(), (rows.len() / columns).div_ceil(2) * columns, "pairs of rows");
        dispatch!(self, elementwise::pair_rows(rows, columns, pairs), pair_rows(rows, columns, pairs));
    }

    /// Sums over the rows of a row-major matrix: `[columns]`.
    ///
    /// # Panics
    /// If there are no columns.
    pub(crate) fn column_sums(self, rows: &[f32], columns: usize) -> Vec<f64> {
        let mut sums = vec![0.0; columns];
        dispatch!(self, elementwise::add_columns(rows, &mut sums), add_columns(rows, &mut sums));
        sums
    }

    /// Bit j of a row of bits becomes whether `row[j] > scale · bounds[j]`; bits beyond the row are cleared.
    ///
    /// # Panics
    /// If the shapes disagree.
    pub(crate) fn above(self, row: &[f32], scale: f32, bounds: &[f32], bits: &mut [u64]) {
        assert!(row.len() == bounds.len() && row.len().div_ceil(64) == bits.len(), "bounds of a row");
        dispatch!(self, elementwise::above(row, scale, bounds, bits), above(row, scale, bounds, bits));
    }

    /// `values[bit j of row]`, rounded to bf16, in pairs: for as many bits as `pairs` holds.
    ///
    /// # Panics
    /// If `row` has fewer bits.
    pub(crate) fn expand(self, row: &[u64], values: [f32; 2], pairs: &mut [u32]) {
        assert!(pairs.len().div_ceil(32) <= row.len(), "bits of a row");
        let values = values.map(packed::to_bf16);
        dispatch!(self, elementwise::expand(row, values, pairs), expand(row, values, pairs));
    }
}

#[cfg(test)]
mod absurd_sizes;
#[cfg(test)]
mod tests;
