//! A fully connected layer: `y = x W + b`. It also computes 1 × 1 convolutions, and convolutions over gathered patches.

use crate::cpu::{Cpu, Precision};
use crate::kernels::packed::{Float, Packed};
use crate::kernels::quantized::{MAX_DEPTH, Quantized};
use crate::kernels::{Left, Start};

/// The layer, with weights packed for the product.
pub(super) struct Linear {
    weights: Weights,
    pub bias: Vec<f32>,
}

enum Weights {
    /// Weights in f32 or bf16.
    Float(Packed),
    Int8(Quantized),
}

impl Linear {
    /// Packs a row-major `[outputs, inputs]` matrix, as files store it.
    ///
    /// [`Precision::Auto`] means f32 here: a network chooses its precision before it builds layers.
    pub fn new(precision: Precision, weights: &[f32], bias: Vec<f32>, inputs: usize) -> Self {
        let pack = |float| {
            let mut packed = Packed::new(float);
            packed.fill_from_columns(weights, inputs, bias.len());
            Weights::Float(packed)
        };
        let weights = match precision {
            Precision::F32 | Precision::Auto => pack(Float::F32),
            Precision::Bf16 => pack(Float::Bf16),
            // Sums have 32 bits; no published layer is this deep.
            Precision::Int8 if inputs > MAX_DEPTH => pack(Float::F32),
            Precision::Int8 => Weights::Int8(Quantized::from_columns(weights, inputs, bias.len())),
        };
        Self { weights, bias }
    }

    /// Packs a convolution whose kernel is a patch, `[outputs, inputs, size, size]`, as a product over patches `[size, size, inputs]`.
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

    /// Number of inputs.
    pub fn inputs(&self) -> usize {
        match &self.weights {
            Weights::Float(packed) => packed.depth(),
            Weights::Int8(quantized) => quantized.depth(),
        }
    }

    /// Number of outputs.
    pub fn outputs(&self) -> usize {
        self.bias.len()
    }

    /// `out = rows W + b`.
    pub fn apply(&self, cpu: &Cpu, rows: &[f32], out: &mut [f32]) {
        self.product(cpu, rows, Start::Bias(&self.bias), out);
    }

    /// `out = out + rows W + b`.
    pub fn add(&self, cpu: &Cpu, rows: &[f32], out: &mut [f32]) {
        self.product(cpu, rows, Start::Residual(&self.bias), out);
    }

    fn product(&self, cpu: &Cpu, rows: &[f32], start: Start<'_>, out: &mut [f32]) {
        match &self.weights {
            Weights::Float(packed) => cpu.isa.gemm(self.left(rows), packed, start, out),
            Weights::Int8(quantized) => cpu.isa.gemm_quantized(self.left(rows), quantized, start, out),
        }
    }

    fn left<'a>(&self, rows: &'a [f32]) -> Left<'a> {
        Left::row_major(rows, rows.len() / self.inputs(), self.inputs())
    }
}

/// Resizes `buffer`; its contents are undefined.
pub(super) fn resized(buffer: &mut Vec<f32>, len: usize) -> &mut [f32] {
    buffer.resize(len, 0.0);
    buffer
}
