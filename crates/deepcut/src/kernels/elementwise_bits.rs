//! Operations on rows of bits in plain Rust, which the compiler vectorizes; `compiled.rs` compiles it for each instruction set.

/// See [`super::Kernels::expand`].
#[inline(always)]
pub(super) fn expand(row: &[u64], [clear, set]: [u16; 2], pairs: &mut [u32]) {
    let (clear, set) = (u32::from(clear), u32::from(set));
    for (word, pairs) in row.iter().zip(pairs.chunks_mut(32)) {
        // Halves of a word: their bits shift in lanes as wide as the pairs.
        for (half, pairs) in [*word as u32, (word >> 32) as u32].into_iter().zip(pairs.chunks_mut(16)) {
            for (j, pair) in pairs.iter_mut().enumerate() {
                let two = half >> (2 * j);
                let (low, high) = (if two & 1 == 1 { set } else { clear }, if two & 2 == 2 { set } else { clear });
                *pair = low | high << 16;
            }
        }
    }
}

/// Writes every bit as an integer of eight bits, four to a quad, until `quads` is full.
#[inline(always)]
pub(super) fn expand_quads(row: &[u64], quads: &mut [u32]) {
    for (word, quads) in row.iter().zip(quads.chunks_mut(16)) {
        for (half, quads) in [*word as u32, (word >> 32) as u32].into_iter().zip(quads.chunks_mut(8)) {
            for (j, quad) in quads.iter_mut().enumerate() {
                // Bit b of four goes to the lowest of byte b: it is shifted by 7 b, and what else lands there is masked.
                *quad = (half >> (4 * j) & 15).wrapping_mul(0x0020_4081) & 0x0101_0101;
            }
        }
    }
}

/// See [`super::Kernels::above`].
#[inline(always)]
pub(super) fn above(row: &[f32], scale: f32, bounds: &[f32], bits: &mut [u64]) {
    for ((row, bounds), word) in row.chunks(64).zip(bounds.chunks(64)).zip(bits) {
        let bit = |(j, (w, bound)): (usize, (&f32, &f32))| u64::from(*w > scale * bound) << j;
        *word = row.iter().zip(bounds).enumerate().map(bit).fold(0, |word, bit| word | bit);
    }
}

/// Columns of a product with bits that are summed together.
const COLUMNS: usize = 16;

/// Adds to `total` the subset that each four bits of a word select.
#[inline(always)]
fn add_subsets(total: &mut [f32; COLUMNS], word: u64, subsets: &[[[f32; COLUMNS]; 16]; 16]) {
    let mut sums = *total;
    for (group, subsets) in subsets.iter().enumerate() {
        let subset = &subsets[(word >> (4 * group) & 15) as usize];
        for i in 0..COLUMNS {
            sums[i] += subset[i];
        }
    }
    *total = sums;
}

/// See [`super::Kernels::bit_product`]. Takes so few columns at a time that the sums of all subsets and of all rows fit the first-level cache.
#[inline(always)]
pub(super) fn bit_product(bits: &[u64], words: usize, values: &[f32], width: usize, out: &mut [f32]) {
    const NONE: [f32; COLUMNS] = [0.0; COLUMNS];
    let mut subsets = [[NONE; 16]; 16];
    let mut totals = vec![NONE; out.len() / width];
    for first in (0..width).step_by(COLUMNS) {
        let columns = first..(first + COLUMNS).min(width);
        totals.fill(NONE);
        for word in 0..words {
            for (group, sums) in subsets.iter_mut().enumerate() {
                for bit in 0..4 {
                    let mut value = NONE;
                    if let Some(row) = values.chunks_exact(width).nth(word * 64 + group * 4 + bit) {
                        value[..columns.len()].copy_from_slice(&row[columns.clone()]);
                    }
                    // The subsets without this row are done; adding it makes the subsets with it.
                    let (without, with) = sums.split_at_mut(1 << bit);
                    for (without, with) in without.iter().zip(with) {
                        for i in 0..COLUMNS {
                            with[i] = without[i] + value[i];
                        }
                    }
                }
            }
            for (row, total) in bits.chunks_exact(words).zip(&mut totals) {
                add_subsets(total, row[word], &subsets);
            }
        }
        for (total, out) in totals.iter().zip(out.chunks_exact_mut(width)) {
            out[columns.clone()].copy_from_slice(&total[..columns.len()]);
        }
    }
}
