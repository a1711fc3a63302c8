//! Plain loops: the reference, and the kernels of machines without a faster set.

use super::packed::PANEL;
use super::{Depthwise, Left, Tile};

/// `tile += left · panel` for up to six rows of one panel.
pub(super) fn tile(left: Left<'_>, panel: &[f32], tile: &mut Tile) {
    for (k, b) in panel.chunks_exact(PANEL).enumerate().take(left.depth) {
        for (r, tile) in tile.iter_mut().enumerate().take(left.rows) {
            let a = left.data[r * left.row_stride + k * left.depth_stride];
            for (c, b) in tile.iter_mut().zip(b) {
                *c += a * b;
            }
        }
    }
}

/// Channels `first..` of one output row; see [`super::Isa::depthwise_row`].
pub(super) fn depthwise_row(shape: Depthwise<'_>, input: &[f32], out: &mut [f32], first: usize) {
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

/// See [`super::Isa::masked_sums`].
pub(super) fn masked_sums(row: &[u64], columns: &[f32], out: &mut [f32]) {
    for (c, out) in out.iter_mut().enumerate() {
        let column = &columns[c * row.len() * 64..(c + 1) * row.len() * 64];
        // Eight partial sums, as a register of eight lanes would keep them, so that long rows stay accurate.
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
