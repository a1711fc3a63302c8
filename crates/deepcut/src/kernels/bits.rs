//! Operations on rows of bits.

use super::isa::{Kernels, compiled};
use super::rounding::to_bf16;
use super::shape::{is_shape, volume};

impl Kernels {
    /// `out[c] = Σ_{j: bit j of row is set} columns[c, j]`.
    ///
    /// `columns` is `[out.len(), 64 * row.len()]`: every column padded to whole words.
    ///
    /// # Panics
    /// If the shapes disagree.
    pub fn masked_sums(self, row: &[u64], columns: &[f32], out: &mut [f32]) {
        assert!(is_shape(columns.len(), [out.len(), row.len(), 64]), "columns of a masked sum");
        #[allow(unsafe_code)]
        // SAFETY: the set was detected; the assertion is the kernel's contract.
        unsafe {
            (self.table().masked_sums)(row, columns, out);
        }
    }

    /// Product of bits, `[rows, words]`, and a row-major `[n, width]` matrix: `out[r] = Σ_{j: bit j of row r is set} values[j]`, `[rows, width]`.
    /// n is at most `64 * words`, and no bit beyond it is set.
    ///
    /// First sums every subset of four neighboring rows, so that four bits take one addition (the method of the four Russians); this pays with some
    /// hundred rows on the left.
    ///
    /// # Panics
    /// If the shapes disagree.
    pub fn bit_product(self, bits: &[u64], words: usize, values: &[f32], width: usize, out: &mut [f32]) {
        assert!(width > 0 && words > 0, "a product with bits without columns");
        // `None` is more than any slice holds.
        assert!(volume([64, words, width]).is_none_or(|most| values.len() <= most), "values of a product with bits");
        let rows = out.len() / width;
        assert!(is_shape(out.len(), [rows, width]) && is_shape(bits.len(), [rows, words]), "rows of a product with bits");
        if out.is_empty() {
            return;
        }
        compiled!(self.bit_product(bits, words, values, width, out));
    }

    /// Sets bit j if `row[j] > scale · bounds[j]`, and clears all other bits.
    ///
    /// # Panics
    /// If the shapes disagree.
    pub(crate) fn above(self, row: &[f32], scale: f32, bounds: &[f32], bits: &mut [u64]) {
        assert!(row.len() == bounds.len() && row.len().div_ceil(64) == bits.len(), "bounds of a row");
        compiled!(self.above(row, scale, bounds, bits));
    }

    /// Writes `values[bit j of row]`, rounded to bf16, in pairs, until `pairs` is full.
    ///
    /// # Panics
    /// If `row` has fewer bits.
    pub(crate) fn expand(self, row: &[u64], values: [f32; 2], pairs: &mut [u32]) {
        assert!(pairs.len().div_ceil(32) <= row.len(), "bits of a row");
        let values = values.map(to_bf16);
        compiled!(self.expand(row, values, pairs));
    }
}
