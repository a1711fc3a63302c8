//! The functions of `elementwise.rs` and `elementwise_bits.rs`, compiled for one instruction set.

use super::operands::{Adam, SoftmaxRow};

/// The compiled functions. They are safe but for one condition: the processor must have the instructions.
#[derive(Clone, Copy)]
#[expect(clippy::type_complexity, reason = "the arguments of a kernel, each with its name")]
pub(super) struct Compiled {
    pub gelu: unsafe fn(values: &mut [f32]),
    pub elu: unsafe fn(values: &mut [f32]),
    pub elu_gradient: unsafe fn(output: &[f32], gradient: &mut [f32]),
    pub softmax: unsafe fn(values: &mut [f32], width: usize),
    pub softmax_step: unsafe fn(scores: &mut [f32], scale: f32, state: &mut [SoftmaxRow]),
    pub softmax_step_pairs: unsafe fn(scores: &mut [f32], scale: f32, state: &mut [SoftmaxRow], shares: &mut [u32]),
    pub layer_norm: unsafe fn(rows: &[f32], weight: &[f32], bias: &[f32], epsilon: f32, out: &mut [f32]),
    pub dots: unsafe fn(row: &[f32], columns: &[f32], out: &mut [f32]),
    pub pair_dots: unsafe fn(row: &[u32], columns: &[f32], out: &mut [f32]),
    pub add_columns: unsafe fn(rows: &[f32], sums: &mut [f64]),
    pub pair_rows: unsafe fn(rows: &[f32], columns: usize, pairs: &mut [u32]),
    pub adam: unsafe fn(step: Adam, gradient: &[f32], state: [&mut [f32]; 3]),
    pub above: unsafe fn(row: &[f32], scale: f32, bounds: &[f32], bits: &mut [u64]),
    pub expand: unsafe fn(row: &[u64], values: [u16; 2], pairs: &mut [u32]),
    pub expand_quads: unsafe fn(row: &[u64], quads: &mut [u32]),
    pub bit_product: unsafe fn(bits: &[u64], words: usize, values: &[f32], width: usize, out: &mut [f32]),
}

/// Defines the constant `COMPILED` in the file of an instruction set: `compile!(true, target_feature(enable = "…"))`, or `compile!(false)` without
/// fused multiply-adds.
macro_rules! compile {
    ($fused:literal $(, $features:meta)?) => {
        /// The functions compiled for this set.
        const COMPILED: super::compiled::Compiled = {
            use super::compiled::Compiled;
            use super::operands::{Adam, SoftmaxRow};
            use super::{elementwise, elementwise_bits};
            super::compiled::compile! { @ ($($features)?)
                fn gelu(values: &mut [f32]) = elementwise::gelu::<$fused>;
                fn elu(values: &mut [f32]) = elementwise::elu::<$fused>;
                fn elu_gradient(output: &[f32], gradient: &mut [f32]) = elementwise::elu_gradient;
                fn softmax(values: &mut [f32], width: usize) = elementwise::softmax::<$fused>;
                fn softmax_step(scores: &mut [f32], scale: f32, state: &mut [SoftmaxRow]) = elementwise::softmax_step::<$fused>;
                fn softmax_step_pairs(scores: &mut [f32], scale: f32, state: &mut [SoftmaxRow], shares: &mut [u32]) =
                    elementwise::softmax_step_pairs::<$fused>;
                fn layer_norm(rows: &[f32], weight: &[f32], bias: &[f32], epsilon: f32, out: &mut [f32]) = elementwise::layer_norm;
                fn dots(row: &[f32], columns: &[f32], out: &mut [f32]) = elementwise::dots::<$fused>;
                fn pair_dots(row: &[u32], columns: &[f32], out: &mut [f32]) = elementwise::pair_dots::<$fused>;
                fn add_columns(rows: &[f32], sums: &mut [f64]) = elementwise::add_columns;
                fn pair_rows(rows: &[f32], columns: usize, pairs: &mut [u32]) = elementwise::pair_rows;
                fn adam(step: Adam, gradient: &[f32], state: [&mut [f32]; 3]) = elementwise::adam;
                fn above(row: &[f32], scale: f32, bounds: &[f32], bits: &mut [u64]) = elementwise_bits::above;
                fn expand(row: &[u64], values: [u16; 2], pairs: &mut [u32]) = elementwise_bits::expand;
                fn expand_quads(row: &[u64], quads: &mut [u32]) = elementwise_bits::expand_quads;
                fn bit_product(bits: &[u64], words: usize, values: &[f32], width: usize, out: &mut [f32]) = elementwise_bits::bit_product;
            }
        };
    };
    (@ $features:tt $(fn $name:ident($($argument:ident: $kind:ty),*) = $body:expr;)*) => {{
        $(super::compiled::compile! { @ $features $name($($argument: $kind),*) = $body })*
        Compiled { $($name),* }
    }};
    (@ ($($features:meta)?) $name:ident($($argument:ident: $kind:ty),*) = $body:expr) => {
        $(#[$features])?
        fn $name($($argument: $kind),*) {
            $body($($argument),*);
        }
    };
}
pub(super) use compile;
