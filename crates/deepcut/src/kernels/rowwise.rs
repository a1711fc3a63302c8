//! Operations on rows of values: activations, norms, sums, rounding, convolution and the optimizer's step.

use super::isa::{Kernels, compiled};
use super::operands::{Adam, Depthwise, Left, SoftmaxRow};
use super::shape::{is_shape, volume};

impl Kernels {
    /// `x ← x Φ(x)`, the exact (erf) GELU.
    pub fn gelu(self, values: &mut [f32]) {
        compiled!(self.gelu(values));
    }

    /// `x ← x` where positive, `eˣ − 1` elsewhere.
    pub fn elu(self, values: &mut [f32]) {
        compiled!(self.elu(values));
    }

    /// Softmax of each row of `width` values.
    ///
    /// # Panics
    /// If the values do not divide into rows of `width`.
    pub fn softmax(self, values: &mut [f32], width: usize) {
        assert!(values.len().is_multiple_of(width), "rows of a softmax");
        compiled!(self.softmax(values, width));
    }

    /// Adds a block of columns to a softmax over rows that are too long to hold (arXiv 1805.02867). `scores`, `[state.len(), width]`, become
    /// `exp(scale · (score − largest))`, and each row's state is updated.
    ///
    /// # Panics
    /// If `scores` do not divide into `state.len()` rows.
    pub fn softmax_step(self, scores: &mut [f32], scale: f32, state: &mut [SoftmaxRow]) {
        assert!(scores.len().is_multiple_of(state.len().max(1)), "scores of a softmax");
        compiled!(self.softmax_step(scores, scale, state));
    }

    /// [`Kernels::softmax_step`] for a product in bf16: writes the exponentials to `shares` in pairs, `[state.len(), ⌈width / 2⌉]`; an odd last one is
    /// paired with zero. The values left in `scores` are unspecified.
    ///
    /// # Panics
    /// If the shapes disagree.
    pub fn softmax_step_pairs(self, scores: &mut [f32], scale: f32, state: &mut [SoftmaxRow], shares: &mut [u32]) {
        let width = scores.len() / state.len().max(1);
        let pairs = width.div_ceil(2);
        assert!(scores.len() == width * state.len() && shares.len() == pairs * state.len(), "scores of a softmax");
        compiled!(self.softmax_step_pairs(scores, scale, state, shares));
    }

    /// `out = (x − mean) / √(variance + ε) · weight + bias`, for each row of `weight.len()` values.
    ///
    /// # Panics
    /// If the shapes disagree.
    pub fn layer_norm(self, rows: &[f32], weight: &[f32], bias: &[f32], epsilon: f32, out: &mut [f32]) {
        assert!(rows.len() == out.len() && weight.len() == bias.len(), "rows of a layer norm");
        assert!(rows.len().is_multiple_of(weight.len()), "rows of a layer norm");
        compiled!(self.layer_norm(rows, weight, bias, epsilon, out));
    }

    /// Turns the gradient of an ELU's `output` into that of its input: the derivative is 1 where positive, `eˣ = output + 1` elsewhere.
    ///
    /// # Panics
    /// If the lengths differ.
    pub fn elu_gradient(self, output: &[f32], gradient: &mut [f32]) {
        assert_eq!(output.len(), gradient.len(), "gradient of an ELU");
        compiled!(self.elu_gradient(output, gradient));
    }

    /// One step of AdamW on `[parameters, first moments, second moments]`; see [`Adam`].
    ///
    /// # Panics
    /// If the lengths differ.
    pub fn adam(self, step: Adam, gradient: &[f32], state: [&mut [f32]; 3]) {
        assert!(state.iter().all(|values| values.len() == gradient.len()), "parameters of a step");
        compiled!(self.adam(step, gradient, state));
    }

    /// Sum of each column of a row-major matrix, `[columns]`.
    ///
    /// # Panics
    /// If there are no columns.
    pub(crate) fn column_sums(self, rows: &[f32], columns: usize) -> Vec<f64> {
        let mut sums = vec![0.0; columns];
        compiled!(self.add_columns(rows, &mut sums));
        sums
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
        #[allow(unsafe_code)]
        // SAFETY: the set was detected; the assertions above are the kernel's contract on the slices.
        unsafe {
            (self.table().depthwise_row)(shape, input, out);
        }
    }

    /// Rounds one row to pairs of bf16; an odd last value is paired with zero.
    pub(super) fn round_row(self, row: Left<'_>, pairs: &mut [u32]) {
        assert!(row.depth_stride != 1 || row.data.len() >= row.depth && row.depth.div_ceil(2) == pairs.len(), "pairs of a row");
        #[allow(unsafe_code)]
        // SAFETY: the set was detected; the assertion is the kernel's contract.
        unsafe {
            (self.table().round_row)(row, pairs);
        }
    }

    /// Rounds every row to pairs of bf16; an odd last value of a row is paired with zero.
    pub(super) fn round_rows(self, rows: Left<'_>, pairs: &mut [u32]) {
        for (r, pairs) in pairs.chunks_exact_mut(rows.depth.div_ceil(2).max(1)).enumerate() {
            self.round_row(rows.slice(r, 1), pairs);
        }
    }

    /// Rounds a row-major matrix of `columns` columns to bf16 and joins its rows in pairs, `[⌈rows / 2⌉, columns]`; an odd last row is paired
    /// with zeros. See [`super::Right::paired_rows`].
    ///
    /// # Panics
    /// If the shapes disagree.
    pub fn pair_rows(self, rows: &[f32], columns: usize, pairs: &mut [u32]) {
        if rows.is_empty() && pairs.is_empty() {
            return;
        }
        assert!(rows.len().is_multiple_of(columns), "rows of a matrix");
        assert_eq!(pairs.len(), (rows.len() / columns).div_ceil(2) * columns, "pairs of rows");
        compiled!(self.pair_rows(rows, columns, pairs));
    }
}
