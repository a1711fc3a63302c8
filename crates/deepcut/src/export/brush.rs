//! Brush masks of Label Studio: run lengths of bytes, written bit by bit.
//!
//! | bits           | meaning                                                                                       |
//! |----------------|-----------------------------------------------------------------------------------------------|
//! | 32             | number of values: four for each pixel, red, green, blue and alpha, by rows                    |
//! | 5              | bits of a value, less one: 8                                                                  |
//! | 4 × 4          | the four widths of lengths, less one: 3, 4, 8 and 16                                          |
//! | 1, then 2      | for each run: 1, for a value that repeats; which of the four widths its length has            |
//! | width, then 8  | its length less one; the value, 255 inside the mask and 0 outside                             |
//!
//! Zeros fill the last byte. Longer runs than 65,536 values are cut. Runs of values that do not repeat, which begin with 0, are not written.
//!
//! Source: the format of the npm package `@thi.ng/rle-pack`, with the widths that Label Studio uses. Cost: O(pixels).

use crate::rle::Rle;

/// Values of each pixel.
const CHANNELS: u64 = 4;
/// Bits of a value.
const VALUE_BITS: u32 = 8;
/// Bits that lengths of runs are written with.
const WIDTHS: [u32; 4] = [3, 4, 8, 16];

/// The bytes of a brush mask; None if it has more values than 32 bits count: images of 2³⁰ pixels or more.
pub(super) fn encode(mask: &Rle) -> Option<Vec<u8>> {
    let pixels = mask.height() as u64 * mask.width() as u64;
    let values = u32::try_from(pixels.checked_mul(CHANNELS)?).ok()?;
    let mut bits = Bits::default();
    bits.push(u64::from(values), 32);
    bits.push(u64::from(VALUE_BITS - 1), 5);
    WIDTHS.iter().for_each(|&width| bits.push(u64::from(width - 1), 4));
    for (run, pixels) in mask.row_counts().into_iter().enumerate() {
        let value = if run % 2 == 0 { 0 } else { 255 };
        let mut rest = pixels as u64 * CHANNELS;
        while rest > 0 {
            let which = WIDTHS.iter().position(|&width| rest <= 1 << width).unwrap_or(WIDTHS.len() - 1);
            let length = rest.min(1 << WIDTHS[which]);
            bits.push(1, 1);
            bits.push(which as u64, 2);
            bits.push(length - 1, WIDTHS[which]);
            bits.push(value, VALUE_BITS);
            rest -= length;
        }
    }
    Some(bits.bytes)
}

/// Bytes filled from their highest bit on.
#[derive(Default)]
struct Bits {
    bytes: Vec<u8>,
    /// Bits of the last byte that are free.
    free: u32,
}

impl Bits {
    /// The lowest `count` bits of a value, the highest of them first.
    fn push(&mut self, value: u64, count: u32) {
        for bit in (0..count).rev() {
            if self.free == 0 {
                self.bytes.push(0);
                self.free = 8;
            }
            self.free -= 1;
            if let Some(last) = self.bytes.last_mut() {
                *last |= ((value >> bit & 1) as u8) << self.free;
            }
        }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The values of a brush mask, by the format's description.
    pub(in crate::export) fn decode(bytes: &[u8]) -> Vec<u8> {
        let mut at = 0;
        let mut read = |count: u32| {
            (0..count).fold(0usize, |value, _| {
                at += 1;
                value << 1 | usize::from(bytes[(at - 1) / 8] >> (7 - (at - 1) % 8) & 1)
            })
        };
        let number = read(32);
        let value_bits = read(5) as u32 + 1;
        let widths = [(); 4].map(|()| read(4) as u32 + 1);
        let mut values = Vec::new();
        while values.len() < number {
            let repeats = read(1) == 1;
            let width = widths[read(2)];
            let length = read(width) + 1;
            if repeats {
                let value = read(value_bits) as u8;
                values.extend(std::iter::repeat_n(value, length));
            } else {
                (0..length).for_each(|_| values.push(read(value_bits) as u8));
            }
        }
        values
    }

    /// One row: outside, inside, outside. The header is the one that every mask of Label Studio begins with after its length.
    #[test]
    fn a_mask_by_hand() {
        let bytes = encode(&Rle::encode(1, 4, |at| at == 1 || at == 2)).unwrap();
        assert_eq!(bytes[..6], [0, 0, 0, 16, 57, 27]);
        let mut bits = Bits::default();
        bits.push(16, 32);
        bits.push(7, 5);
        [2, 3, 7, 15].into_iter().for_each(|width| bits.push(width, 4));
        // Runs of 4, 8, 4 values.
        for (length, value) in [(4, 0), (8, 255), (4, 0)] {
            bits.push(0b100, 3);
            bits.push(length - 1, 3);
            bits.push(value, 8);
        }
        assert_eq!(bytes, bits.bytes);
        assert_eq!(bytes.len(), (32 + 21 + 3 * 14usize).div_ceil(8));
    }

    #[test]
    fn runs_longer_than_sixteen_bits_are_cut() {
        for pixels in [1, 2, 3, 4, 5, 64, 65, 16_384, 16_385, 40_000] {
            let inside = Rle::encode(1, pixels, |_| true);
            assert_eq!(decode(&encode(&inside).unwrap()), vec![255; pixels * 4], "{pixels}");
        }
        assert_eq!(encode(&Rle::new(1 << 15, 1 << 15, vec![1 << 30]).unwrap()), None);
    }

    proptest! {
        #[test]
        fn a_mask_comes_back(height in 1..70usize, width in 1..70usize, seed in any::<u64>(), share in 0..=16u64) {
            let random = |at: usize| (at as u64 + 1).wrapping_mul(seed | 1).wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 60 < share;
            let values = decode(&encode(&Rle::encode(height, width, random)).unwrap());
            let expected: Vec<u8> = (0..height * width).flat_map(|at| [u8::from(random(at)) * 255; 4]).collect();
            prop_assert_eq!(values, expected);
        }
    }
}
