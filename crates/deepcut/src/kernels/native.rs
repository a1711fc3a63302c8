//! Plain loops: the reference, and the kernels of machines without a faster set.

use super::compiled::compile;
use super::operands::{Depthwise, Left, PANEL, Start, View};
use super::quantized::{QUAD, QuadColumns, QuadRows, Rounding};
use super::rounding::{halves, to_bf16};
use super::table::Table;

/// Start values of the sums of a row.
fn begin(start: Start<'_>, out: &[f32]) -> [f32; PANEL] {
    let columns = out.len();
    let mut sums = [0.0f32; PANEL];
    match start {
        Start::Zero => {}
        Start::Bias(bias) => sums[..columns].copy_from_slice(&bias[..columns]),
        Start::Residual(bias) => sums.iter_mut().zip(bias).zip(out).for_each(|((sum, b), x)| *sum = b + x),
        Start::Accumulate => sums[..columns].copy_from_slice(out),
    }
    sums
}

/// See [`super::Kernels::gemm`]: one panel of columns.
fn strip(left: Left<'_>, right: View<'_, f32>, start: Start<'_>, out: &mut [f32], stride: usize) {
    let columns = right.columns;
    for (r, out) in out.chunks_mut(stride).enumerate().take(left.rows) {
        let out = &mut out[..columns];
        let mut sums = begin(start, out);
        for k in 0..left.depth {
            let a = left.data[r * left.row_stride + k * left.depth_stride];
            let row = &right.data[k * right.row_stride..][..columns];
            sums.iter_mut().zip(row).for_each(|(sum, b)| *sum += a * b);
        }
        out.copy_from_slice(&sums[..columns]);
    }
}

/// Same as [`strip`], for pairs of bf16.
fn strip_pairs(left: Left<'_, u32>, right: View<'_, u32>, start: Start<'_>, out: &mut [f32], stride: usize) {
    for (r, out) in out.chunks_mut(stride).enumerate().take(left.rows) {
        for (p, out) in out[..right.columns].chunks_mut(PANEL).enumerate() {
            let mut sums = begin(start.at_column(p * PANEL), out);
            for k in 0..left.depth {
                let a = halves(left.data[r * left.row_stride + k]);
                let row = &right.data[k * right.row_stride + p * right.panel_stride..][..out.len()];
                for (sum, b) in sums.iter_mut().zip(row) {
                    let b = halves(*b);
                    *sum += a[1] * b[1];
                    *sum += a[0] * b[0];
                }
            }
            out.copy_from_slice(&sums[..out.len()]);
        }
    }
}

/// See [`super::Kernels::round_row`].
pub(super) fn round_row(row: Left<'_>, pairs: &mut [u32]) {
    for (i, pair) in pairs.iter_mut().enumerate() {
        let half = |k: usize| if k < row.depth { u32::from(to_bf16(row.data[k * row.depth_stride])) } else { 0 };
        *pair = half(2 * i) | half(2 * i + 1) << 16;
    }
}

/// Same as [`strip`], for quads of int8.
fn strip_quads(left: QuadRows<'_>, right: QuadColumns<'_>, start: Start<'_>, out: &mut [f32], stride: usize) {
    let QuadRows { quads: left, roundings } = left;
    let QuadColumns { quads: right, scales, sums: columns } = right;
    for ((r, out), rounding) in out.chunks_mut(stride).enumerate().take(left.rows).zip(roundings) {
        for (p, out) in out[..right.columns].chunks_mut(PANEL).enumerate() {
            let values = begin(start.at_column(p * PANEL), out);
            let mut sums = [0i32; PANEL];
            for k in 0..left.depth {
                let a = left.data[r * left.row_stride + k].to_le_bytes();
                let row = &right.data[k * right.row_stride + p * right.panel_stride..][..out.len()];
                for (sum, b) in sums.iter_mut().zip(row) {
                    let products = a.iter().zip(b.to_le_bytes()).map(|(a, b)| i32::from(*a) * i32::from(b as i8));
                    *sum += products.sum::<i32>();
                }
            }
            for (c, out) in out.iter_mut().enumerate() {
                let (scale, column) = (scales[p * PANEL + c], columns[p * PANEL + c]);
                *out = values[c] + scale * (rounding.step * sums[c] as f32 + rounding.least * column);
            }
        }
    }
}

/// See [`super::Kernels::quantize_row`].
pub(super) fn quantize_row(row: &[f32], levels: u8, quads: &mut [u32]) -> Rounding {
    let least = row.iter().fold(f32::INFINITY, |m, x| m.min(*x));
    let rounding = Rounding::between(least, row.iter().fold(f32::NEG_INFINITY, |m, x| m.max(*x)), levels);
    round_quads(row, rounding, quads);
    rounding
}

/// Rounds values to integers by `rounding`.
pub(super) fn round_quads(row: &[f32], rounding: Rounding, quads: &mut [u32]) {
    let inverse = rounding.inverse();
    for (quad, values) in quads.iter_mut().zip(row.chunks(QUAD)) {
        let mut bytes = [0; QUAD];
        bytes.iter_mut().zip(values).for_each(|(byte, x)| *byte = ((x - rounding.least) * inverse).round_ties_even() as u8);
        *quad = u32::from_le_bytes(bytes);
    }
}

/// See [`super::Kernels::depthwise_row`].
fn depthwise_row(shape: Depthwise<'_>, input: &[f32], out: &mut [f32]) {
    depthwise_channels(shape, input, out, 0);
}

/// Channels `first..` of one output row of a depthwise convolution.
pub(super) fn depthwise_channels(shape: Depthwise<'_>, input: &[f32], out: &mut [f32], first: usize) {
    let Depthwise { weights, bias, kernel, channels, width } = shape;
    if first == channels {
        return;
    }
    for (x, out) in out.chunks_exact_mut(channels).enumerate() {
        out[first..].copy_from_slice(&bias[first..]);
        for i in 0..kernel {
            for j in 0..kernel {
                let at = (i * (width + kernel - 1) + x + j) * channels;
                let pixel = &input[at + first..at + channels];
                let weights = &weights[(i * kernel + j) * channels + first..];
                for ((o, p), w) in out[first..].iter_mut().zip(pixel).zip(weights) {
                    *o += p * w;
                }
            }
        }
    }
}

/// See [`super::Kernels::masked_sums`].
fn masked_sums(row: &[u64], columns: &[f32], out: &mut [f32]) {
    for (c, out) in out.iter_mut().enumerate() {
        let column = &columns[c * row.len() * 64..(c + 1) * row.len() * 64];
        // Eight partial sums keep long rows accurate.
        let mut lanes = [0.0f32; 8];
        for (word, values) in row.iter().zip(column.chunks_exact(64)) {
            let mut bits = *word;
            while bits != 0 {
                let j = bits.trailing_zeros() as usize;
                lanes[j % 8] += values[j];
                bits &= bits - 1;
            }
        }
        *out = lanes.iter().sum();
    }
}

compile!(false);

pub(super) static TABLE: Table = Table {
    name: "native",
    detected: || true,
    group: PANEL,
    row_step: 8,
    most_rows: 48,
    bf16: false,
    int8: false,
    levels: u8::MAX,
    strip,
    strip_pairs,
    strip_quads,
    round_row,
    quantize_row,
    depthwise_row,
    masked_sums,
    compiled: COMPILED,
};
