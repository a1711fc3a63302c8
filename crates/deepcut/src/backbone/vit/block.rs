//! One transformer block, as two passes over the tokens.
//!
//! ```text
//! q, k, v = norm₁(x) · (Q, K, V) + b
//! x       = x + γ₁ · (attention(q, k, v) · P + b)
//! x       = x + γ₂ · (GELU(norm₂(x) · M₁ + b) · M₂ + b)
//! ```
//!
//! A task computes [`query_rows`] rows at a time. The first pass is the first line; the second pass is the others, whose hidden
//! activations never leave the second-level cache.

use crate::backbone::facet::Facet;
use crate::backbone::linear::{Linear, resized};
use crate::cpu::Cpu;
use crate::kernels::attention::{self, KeysValues, query_rows};
use crate::kernels::parallel;

/// A layer norm.
pub(super) struct Norm {
    pub weight: Vec<f32>,
    pub bias: Vec<f32>,
    pub epsilon: f32,
}

impl Norm {
    /// `out = norm(rows)`.
    pub fn apply(&self, cpu: &Cpu, rows: &[f32], out: &mut [f32]) {
        cpu.isa.layer_norm(rows, &self.weight, &self.bias, self.epsilon, out);
    }
}

/// The parameters of a block.
pub(super) struct Block {
    pub norm1: Norm,
    pub query: Linear,
    pub key: Linear,
    pub value: Linear,
    /// P, multiplied by `γ₁`.
    pub projection: Linear,
    pub norm2: Norm,
    /// M₁.
    pub fc1: Linear,
    /// M₂, multiplied by `γ₂`.
    pub fc2: Linear,
}

/// Activations of one image, `[tokens, dim]` each, and what its blocks share.
#[derive(Default)]
pub(super) struct State {
    pub x: Vec<f32>,
    pub query: Vec<f32>,
    pub key: Vec<f32>,
    pub value: Vec<f32>,
    pub keys_values: KeysValues,
    pub scratch: Vec<Scratch>,
}

/// Buffers of one task, kept by its thread.
#[derive(Default)]
pub(super) struct Scratch {
    normed: Vec<f32>,
    hidden: Vec<f32>,
    attention: attention::Scratch,
}

impl Block {
    /// The first pass: `linear(norm₁(x))` for each output.
    pub fn project(&self, cpu: &Cpu, x: &[f32], scratch: &mut Vec<Scratch>, outputs: &mut [(Facet, &Linear, &mut Vec<f32>)]) {
        let dim = self.norm1.weight.len();
        let rows = query_rows(cpu.isa, x.len() / dim) * dim;
        // Each task has its rows of every output.
        let mut tasks: Vec<_> = x.chunks(rows).map(|x| (x, Vec::with_capacity(outputs.len()))).collect();
        for (_, linear, out) in outputs {
            out.resize(x.len(), 0.0);
            tasks.iter_mut().zip(out.chunks_mut(rows)).for_each(|(task, out)| task.1.push((*linear, out)));
        }
        parallel::for_each_with(tasks.into_iter(), scratch, |scratch, (rows, outputs)| {
            let normed = resized(&mut scratch.normed, rows.len());
            self.norm1.apply(cpu, rows, normed);
            outputs.into_iter().for_each(|(linear, out)| linear.apply(cpu, normed, out));
        });
    }

    /// The second pass: attention and MLP.
    pub fn mix(&self, cpu: &Cpu, heads: usize, state: &mut State) {
        let dim = self.norm1.weight.len();
        let State { x, query, key, value, keys_values, scratch } = state;
        keys_values.fill(key, value, dim, heads);
        let rows = query_rows(cpu.isa, x.len() / dim) * dim;
        parallel::for_each_with(x.chunks_mut(rows).zip(query.chunks(rows)), scratch, |scratch, (x, query)| {
            let normed = resized(&mut scratch.normed, x.len());
            keys_values.attend(cpu.isa, query, &mut scratch.attention, normed);
            self.projection.add(cpu, normed, x);
            self.norm2.apply(cpu, x, normed);
            let hidden = resized(&mut scratch.hidden, x.len() / dim * self.fc1.outputs());
            self.fc1.apply(cpu, normed, hidden);
            cpu.isa.gelu(hidden);
            self.fc2.add(cpu, hidden, x);
        });
    }
}
