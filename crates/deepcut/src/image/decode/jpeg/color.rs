//! Colors of a row: JFIF's YCbCr (T.871, section 7) → RGB, Adobe's YCCK → CMYK.
//!
//! ```text
//! R = Y                       + 1.40200 (Cr − 128)
//! G = Y − 0.34414 (Cb − 128)  − 0.71414 (Cr − 128)
//! B = Y + 1.77200 (Cb − 128)
//! ```
//!
//! with 16 bits of fraction, each product of R and B and the sum of G's rounded on its own, as in libjpeg. YCCK is the same, of inks: C = 255 − R.

use super::markers::ColorSpace;
use crate::kernels::widest::{Work, widest};

/// Interleaves a row of samples of each component as pixels.
pub(super) fn convert(space: ColorSpace, rows: &[&[u8]], out: &mut [u8]) {
    match (space, rows) {
        (ColorSpace::YCbCr, [y, cb, cr]) => {
            for (((out, y), cb), cr) in out.chunks_mut(3 * RUN).zip(y.chunks(RUN)).zip(cb.chunks(RUN)).zip(cr.chunks(RUN)) {
                widest(Run { y, cb, cr, out });
            }
        }
        (ColorSpace::Ycck, [y, cb, cr, k]) => {
            for ((((out, &y), &cb), &cr), &k) in out.as_chunks_mut::<4>().0.iter_mut().zip(*y).zip(*cb).zip(*cr).zip(*k) {
                let [r, g, b] = rgb(y, cb, cr);
                *out = [255 - r, 255 - g, 255 - b, k];
            }
        }
        (_, [only]) => out.copy_from_slice(&only[..out.len()]),
        _ => {
            for (c, row) in rows.iter().enumerate() {
                for (out, &sample) in out[c..].iter_mut().step_by(rows.len()).zip(*row) {
                    *out = sample;
                }
            }
        }
    }
}

/// Pixels of a row that are converted at once.
const RUN: usize = 256;

/// YCbCr → RGB of at most [`RUN`] pixels, in steps that vector instructions do alike for all of them.
struct Run<'a> {
    y: &'a [u8],
    cb: &'a [u8],
    cr: &'a [u8],
    out: &'a mut [u8],
}

impl Work for Run<'_> {
    #[inline(always)]
    fn run(self) {
        let Self { y, cb, cr, out } = self;
        let (mut rg, mut blue, mut pixels) = ([0_u16; RUN], [0_u16; RUN], [0_u32; RUN]);
        let n = (out.len() / 3).min(RUN);
        let (rg, blue, pixels) = (&mut rg[..n], &mut blue[..n], &mut pixels[..n]);
        // Nothing wider than 16 bits is kept, so that a vector holds eight pixels.
        for ((((rg, blue), &y), &cb), &cr) in rg.iter_mut().zip(blue.iter_mut()).zip(y).zip(cb).zip(cr) {
            let [r, g, b] = rgb(y, cb, cr);
            (*rg, *blue) = (u16::from_le_bytes([r, g]), b.into());
        }
        for ((pixel, &rg), &blue) in pixels.iter_mut().zip(rg.iter()).zip(blue.iter()) {
            *pixel = u32::from(rg) | u32::from(blue) << 16;
        }
        // Four pixels are three words.
        let ((four, few), (pixels, few_pixels)) = (out.as_chunks_mut::<12>(), pixels.as_chunks::<4>());
        for (out, &[a, b, c, d]) in four.iter_mut().zip(pixels) {
            let words = u128::from(a) | u128::from(b) << 24 | u128::from(c) << 48 | u128::from(d) << 72;
            out.copy_from_slice(&words.to_le_bytes()[..12]);
        }
        for (out, pixel) in few.as_chunks_mut::<3>().0.iter_mut().zip(few_pixels) {
            out.copy_from_slice(&pixel.to_le_bytes()[..3]);
        }
    }
}

#[inline(always)]
fn rgb(y: u8, cb: u8, cr: u8) -> [u8; 3] {
    // What is left of each factor is small enough for products of 16 bits.
    const R: i32 = 91_881 - 65_536;
    const G: [i32; 2] = [-22_554, 65_536 - 46_802];
    const B: i32 = 116_130 - 2 * 65_536;
    let (y, cb, cr) = (i16::from(y), i16::from(cb) - 128, i16::from(cr) - 128);
    let round = |sum: i32| ((sum + 32_768) >> 16) as i16;
    let r = y + cr + round(i32::from(cr) * R);
    let g = y - cr + round(i32::from(cb) * G[0] + i32::from(cr) * G[1]);
    let b = y + 2 * cb + round(i32::from(cb) * B);
    [r, g, b].map(|value| value.clamp(0, 255) as u8)
}
