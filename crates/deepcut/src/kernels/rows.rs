//! A matrix kept as the left side of many products.

use super::isa::Kernels;
use super::operands::Left;
use super::parallel;
use super::precision::Float;
use super::rounding::halves;

/// A row-major matrix kept as the left side of many products, rounded once.
#[derive(Debug, Clone)]
pub struct Rows {
    depth: usize,
    values: Values,
}

/// The values of [`Rows`].
#[derive(Debug, Clone)]
pub(super) enum Values {
    /// Values in f32, `[rows, depth]`.
    Single(Vec<f32>),
    /// Pairs of neighbors in bf16, `[rows, ⌈depth / 2⌉]`, the first in the low half; an odd last value is paired with zero.
    Pairs(Vec<u32>),
}

impl Rows {
    /// `rows` rows of zeros.
    pub(crate) fn zeros(rows: usize, depth: usize, precision: Float) -> Self {
        let values = match precision {
            Float::F32 => Values::Single(vec![0.0; rows * depth]),
            Float::Bf16 => Values::Pairs(vec![0; rows * depth.div_ceil(2)]),
        };
        Self { depth, values }
    }

    /// Number of columns.
    pub(super) fn depth(&self) -> usize {
        self.depth
    }

    pub(super) fn values(&self) -> &Values {
        &self.values
    }

    /// Tasks of `rows` rows; the last one may have fewer.
    pub(crate) fn tasks_mut(&mut self, rows: usize) -> Box<dyn Iterator<Item = RowsMut<'_>> + Send + '_> {
        let depth = self.depth;
        match &mut self.values {
            Values::Single(data) => Box::new(data.chunks_mut(rows * depth).map(RowsMut::Single)),
            Values::Pairs(data) => Box::new(data.chunks_mut(rows * depth.div_ceil(2)).map(RowsMut::Pairs)),
        }
    }

    /// Completes a symmetric matrix. Each block of `block` rows, an even number, holds the columns from the diagonal on, and gets the others.
    pub(crate) fn mirror(&mut self, block: usize) {
        match &mut self.values {
            Values::Single(data) => mirror(data, self.depth, 0, block, &mirror_single),
            Values::Pairs(data) => mirror(data, self.depth.div_ceil(2), 0, block, &mirror_pairs),
        }
    }

    /// Rounding of the values.
    #[must_use]
    pub fn precision(&self) -> Float {
        match self.values {
            Values::Single(_) => Float::F32,
            Values::Pairs(_) => Float::Bf16,
        }
    }

    /// The values as a row-major matrix.
    #[must_use]
    pub fn to_vec(&self) -> Vec<f32> {
        let depth = self.depth;
        match &self.values {
            Values::Single(data) => data.clone(),
            Values::Pairs(data) => {
                let pairs = depth.div_ceil(2).max(1);
                let mut out = vec![0.0; data.len() / pairs * depth];
                out.chunks_exact_mut(depth.max(1)).zip(data.chunks_exact(pairs)).for_each(|(out, row)| load_pairs(row, out));
                out
            }
        }
    }

    /// Replaces the matrix by `values[bit j of row r]` in bf16, for `depth` columns of the rows of bits, `[rows, words]`; keeps the memory.
    pub(crate) fn fill_from_bits(&mut self, isa: Kernels, bits: &[u64], words: usize, depth: usize, values: [f32; 2]) {
        let mut data = if let Values::Pairs(data) = &mut self.values { std::mem::take(data) } else { Vec::new() };
        let pairs = depth.div_ceil(2);
        data.resize(bits.len() / words * pairs, 0);
        data.chunks_exact_mut(pairs).zip(bits.chunks_exact(words)).for_each(|(row, bits)| isa.expand(bits, values, row));
        *self = Self { depth, values: Values::Pairs(data) };
    }

    /// The transpose.
    #[must_use]
    pub fn transposed(&self) -> Self {
        let depth = self.depth;
        match &self.values {
            Values::Single(data) => {
                let rows = data.len() / depth.max(1);
                let mut out = vec![0.0; data.len()];
                parallel::for_each(out.chunks_mut((2 * TILE * rows).max(1)).enumerate(), |(task, out)| {
                    // Tiles fit the first-level cache, both read and written.
                    for first in (0..rows).step_by(TILE) {
                        let last = (first + TILE).min(rows);
                        for (column, out) in out.chunks_exact_mut(rows).enumerate() {
                            let from = data[first * depth + 2 * TILE * task + column..].iter().step_by(depth);
                            out[first..last].iter_mut().zip(from).for_each(|(to, from)| *to = *from);
                        }
                    }
                });
                Self { depth: rows, values: Values::Single(out) }
            }
            Values::Pairs(data) => {
                let stride = depth.div_ceil(2);
                let rows = data.len() / stride.max(1);
                let pairs = rows.div_ceil(2);
                let mut out = vec![0; depth * pairs];
                parallel::for_each(out.chunks_mut((2 * TILE * pairs).max(1)).enumerate(), |(task, out)| {
                    for first in (0..pairs).step_by(TILE) {
                        for (column, two) in out.chunks_mut(2 * pairs).enumerate() {
                            let (even, odd) = two.split_at_mut(pairs);
                            let upper = &data[2 * first * stride + task * TILE + column..];
                            for (at, pair) in (first..pairs.min(first + TILE)).enumerate() {
                                let a = upper[2 * at * stride];
                                // An odd last row has no partner.
                                let b = upper.get((2 * at + 1) * stride).copied().unwrap_or_default();
                                let square = transposed_square([a, b]);
                                even[pair] = square[0];
                                // An odd last column has no partner.
                                if let Some(odd) = odd.get_mut(pair) {
                                    *odd = square[1];
                                }
                            }
                        }
                    }
                });
                Self { depth: rows, values: Values::Pairs(out) }
            }
        }
    }

    /// Writes one row to `out`.
    pub(crate) fn load(&self, row: usize, out: &mut [f32]) {
        let depth = self.depth;
        match &self.values {
            Values::Single(data) => out.copy_from_slice(&data[row * depth..(row + 1) * depth]),
            Values::Pairs(data) => {
                let pairs = depth.div_ceil(2);
                load_pairs(&data[row * pairs..(row + 1) * pairs], out);
            }
        }
    }

    /// The value at `row`, `column`.
    pub(crate) fn get(&self, row: usize, column: usize) -> f32 {
        match &self.values {
            Values::Single(data) => data[row * self.depth + column],
            Values::Pairs(data) => halves(data[row * self.depth.div_ceil(2) + column / 2])[column % 2],
        }
    }

    /// Columns of a row-major matrix, `[depth, k]`, in the order of [`Kernels::row_dots`]: for pairs, first the factors of the low halves, then those of the
    /// high halves, padded with zeros.
    pub(crate) fn columns(&self, matrix: &[f32], k: usize) -> Vec<f32> {
        let (length, step) = match self.values {
            Values::Single(_) => (self.depth, 1),
            Values::Pairs(_) => (self.depth.div_ceil(2), 2),
        };
        let mut columns = vec![0.0; k * step * length];
        if length > 0 {
            for (at, half) in columns.chunks_exact_mut(length).enumerate() {
                let from = matrix[(at % step * k).min(matrix.len())..].iter().skip(at / step).step_by(step * k);
                half.iter_mut().zip(from).for_each(|(to, from)| *to = *from);
            }
        }
        columns
    }

    /// Keeps a row-major matrix of `depth` columns, rounded to `precision`.
    ///
    /// # Panics
    /// If the values do not divide into rows of `depth`.
    #[must_use]
    pub fn new(isa: Kernels, values: Vec<f32>, depth: usize, precision: Float) -> Self {
        assert!(values.len().is_multiple_of(depth), "rows of a matrix");
        let values = match precision {
            Float::F32 => Values::Single(values),
            Float::Bf16 if values.is_empty() => Values::Pairs(Vec::new()),
            Float::Bf16 => {
                let pairs = depth.div_ceil(2);
                let mut data = vec![0; values.len() / depth * pairs];
                parallel::for_each(data.chunks_exact_mut(pairs).zip(values.chunks_exact(depth)), |(pairs, row)| {
                    isa.round_row(Left::row_major(row, 1, depth), pairs);
                });
                Values::Pairs(data)
            }
        };
        Self { depth, values }
    }
}

impl Default for Rows {
    fn default() -> Self {
        Self { depth: 0, values: Values::Single(Vec::new()) }
    }
}

/// Some rows of [`Rows`], to write to.
pub(crate) enum RowsMut<'a> {
    Single(&'a mut [f32]),
    Pairs(&'a mut [u32]),
}

impl RowsMut<'_> {
    /// Stores `[rows, depth - first]` values in the columns from `first` on; `first` must be even.
    pub(crate) fn store(self, isa: Kernels, values: &[f32], depth: usize, first: usize) {
        let values = values.chunks_exact(depth - first);
        match self {
            Self::Single(data) => data.chunks_exact_mut(depth).zip(values).for_each(|(to, row)| to[first..].copy_from_slice(row)),
            Self::Pairs(data) => {
                for (pairs, row) in data.chunks_exact_mut(depth.div_ceil(2)).zip(values) {
                    isa.round_row(Left::row_major(row, 1, depth - first), &mut pairs[first / 2..]);
                }
            }
        }
    }
}

/// Transposes two rows of two values.
#[inline(always)]
fn transposed_square([a, b]: [u32; 2]) -> [u32; 2] {
    [a & 0xffff | b << 16, a >> 16 | b & 0xffff_0000]
}

/// Rows that are transposed together: source and target stay in the first-level cache.
const TILE: usize = 32;

/// Columns that are mirrored together: their source stays in the first-level cache.
const MIRROR: usize = 64;

/// Completes the square of `rows`, which begin with row `first` of a matrix: fills the lower half from the upper half, then completes each half.
/// `copy` takes the upper rows with the index of the first, then some lower rows likewise.
fn mirror<T: Send + Sync>(
    rows: &mut [T],
    stride: usize,
    first: usize,
    block: usize,
    copy: &(impl Fn(&[T], usize, &mut [T], usize, usize) + Sync),
) {
    let count = rows.len() / stride.max(1);
    if count <= block {
        return;
    }
    let half = (count / 2).next_multiple_of(block);
    let (upper, lower) = rows.split_at_mut(half * stride);
    parallel::for_each(lower.chunks_mut(block * stride).enumerate(), |(task, lower)| {
        copy(upper, first, lower, first + half + task * block, stride);
    });
    mirror(upper, stride, first, block, copy);
    mirror(lower, stride, first + half, block, copy);
}

fn mirror_single(upper: &[f32], column: usize, lower: &mut [f32], row: usize, stride: usize) {
    for (part, upper) in upper.chunks(MIRROR * stride).enumerate() {
        for (r, lower) in lower.chunks_exact_mut(stride).enumerate() {
            let from = upper.chunks_exact(stride).map(|upper| upper[row + r]);
            lower[column + part * MIRROR..].iter_mut().zip(from).for_each(|(to, from)| *to = from);
        }
    }
}

/// The same for pairs, two rows by two columns at a time; `row`, `column` and the number of upper rows are even.
fn mirror_pairs(upper: &[u32], column: usize, lower: &mut [u32], row: usize, stride: usize) {
    for (part, upper) in upper.chunks(MIRROR * stride).enumerate() {
        for (r, two) in lower.chunks_mut(2 * stride).enumerate() {
            let (even, odd) = two.split_at_mut(stride);
            let squares = upper.chunks_exact(2 * stride).map(|two| [two[row / 2 + r], two[stride + row / 2 + r]]);
            for (p, [a, b]) in squares.enumerate() {
                let at = (column + part * MIRROR) / 2 + p;
                let square = transposed_square([a, b]);
                even[at] = square[0];
                // An odd last row has no partner.
                if let Some(odd) = odd.get_mut(at) {
                    *odd = square[1];
                }
            }
        }
    }
}

/// Writes the values of some pairs.
fn load_pairs(pairs: &[u32], out: &mut [f32]) {
    let mut chunks = out.chunks_exact_mut(2);
    for (two, &pair) in (&mut chunks).zip(pairs) {
        two.copy_from_slice(&halves(pair));
    }
    if let ([last], Some(&pair)) = (chunks.into_remainder(), pairs.last()) {
        *last = halves(pair)[0];
    }
}
