//! A fully connected layer: `y = x W + b`. A 1 × 1 convolution is one, and so is a convolution over patches gathered beforehand.

use crate::kernels::packed::{Packed, Precision};
use crate::kernels::{Isa, Left, Start};

/// The layer, its weights packed for the product.
pub(super) struct Linear {
    pub weights: Packed,
    pub bias: Vec<f32>,
}

impl Linear {
    /// From a row-major `[outputs, inputs]` matrix, as every file stores it.
    pub fn new(precision: Precision, weights: &[f32], bias: Vec<f32>, inputs: usize) -> Self {
        let mut packed = Packed::new(precision);
        packed.fill_from_columns(weights, inputs, bias.len());
        Self { weights: packed, bias }
    }

    /// From a convolution whose kernel is a patch, `[outputs, inputs, size, size]`: a product over patches `[size, size, inputs]`.
    pub fn patches(precision: Precision, tensor: &[f32], bias: Vec<f32>, inputs: usize, size: usize) -> Self {
        let area = size * size;
        let channels_last: Vec<f32> = (0..tensor.len())
            .map(|at| {
                let (o, ij, i) = (at / (area * inputs), at / inputs % area, at % inputs);
                tensor[(o * inputs + i) * area + ij]
            })
            .collect();
        Self::new(precision, &channels_last, bias, area * inputs)
    }

    /// Inputs of the layer.
    pub fn inputs(&self) -> usize {
        self.weights.depth()
    }

    /// Outputs of the layer.
    pub fn outputs(&self) -> usize {
        self.weights.columns()
    }

    /// `out = rows W + b`.
    pub fn apply(&self, isa: Isa, rows: &[f32], out: &mut [f32]) {
        isa.gemm(self.left(rows), &self.weights, Start::Bias(&self.bias), out);
    }

    /// `out = out + rows W + b`.
    pub fn add(&self, isa: Isa, rows: &[f32], out: &mut [f32]) {
        isa.gemm(self.left(rows), &self.weights, Start::Residual(&self.bias), out);
    }

    /// [`Linear::apply`] over the threads of the current pool.
    pub fn apply_parallel(&self, isa: Isa, rows: &[f32]) -> Vec<f32> {
        let left = self.left(rows);
        let mut out = vec![0.0; rows.len() / self.inputs() * self.outputs()];
        isa.gemm_parallel(left, &self.weights, Start::Bias(&self.bias), &mut out);
        out
    }

    fn left<'a>(&self, rows: &'a [f32]) -> Left<'a> {
        Left::row_major(rows, rows.len() / self.inputs(), self.inputs())
    }
}

/// `buffer` at another length; what it held is of no use.
pub(super) fn resized(buffer: &mut Vec<f32>, len: usize) -> &mut [f32] {
    buffer.resize(len, 0.0);
    buffer
}
