//! Measured speed of products in each precision. Which one is fastest depends on the processor, not only on its instructions: bf16 dot products run at
//! 0.8 of the rate of f32 on an Intel Xeon without AMX, at twice that rate on an AMD Zen 4.

use super::isa::Kernels;
use super::operands::{Left, PANEL, Panels, Right, Start, View};
use super::precision::Float;
use super::quantized::Quantized;
use super::rounding::to_bf16;
use std::hint::black_box;
use std::time::{Duration, Instant};

/// Factor by which a coarser rounding must be faster to be chosen. Rates of one machine differ by a few percent from run to run: a tie must not give
/// one choice now and another later, and f32 is exact.
const CLEARLY_FASTER: f64 = 1.1;

/// Speed of products on one thread, in billions of multiply-adds per second. A rate is 0 if the instruction set has no kernel of its own for that
/// precision, or if the target has no clock.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Rates {
    /// Speed with factors in f32.
    pub f32: f64,
    /// Speed with factors in bf16, including the time to round the left side.
    pub bf16: f64,
    /// Speed with factors in int8, including the time to round the left side.
    pub int8: f64,
}

impl Rates {
    /// Rounding for floating-point products: bf16 if it is clearly faster than f32.
    #[must_use]
    pub(crate) fn fastest_float(&self) -> Float {
        if self.bf16 > CLEARLY_FASTER * self.f32 { Float::Bf16 } else { Float::F32 }
    }

    /// Whether products in int8 are clearly faster than those in floating point.
    #[must_use]
    pub(crate) fn int8_pays(&self) -> bool {
        self.int8 > CLEARLY_FASTER * self.f32.max(self.bf16)
    }
}

/// Depth and columns of the measured product: the output layer of an attention block of ViT-S. In f32 its weights take 0.6 MB, about what a
/// second-level cache holds.
const SIDE: usize = 384;
/// Rounds of products at least: the first one waits for memory.
const ROUNDS: usize = 3;
/// A rate is confirmed once the second-fastest product had so much of it. Other programs can slow a product down, not speed it up.
const CONFIRMED: f64 = 0.95;
/// Time of all rounds at least: a core that slept needs some to reach its speed.
const SHORT: Duration = Duration::from_millis(3);
/// Time after which no further round begins, whether the rates are confirmed or not.
const LONG: Duration = Duration::from_millis(40);

impl Kernels {
    /// Measures the products of this set on the calling thread, in a few milliseconds, and says whether the rates are confirmed: on a machine
    /// that is very busy they may not be. The precisions take turns, so that a change of the clock rate affects all of them.
    #[must_use]
    pub fn measure(self) -> (Rates, bool) {
        if cfg!(target_arch = "wasm32") {
            // No clock.
            return (Rates::default(), false);
        }
        let table = self.table();
        let rows = table.most_rows;
        let values: Vec<f32> = (0..SIDE * SIDE.max(rows)).map(|i| ((i * 37) % 101) as f32 / 101.0 - 0.5).collect();
        let (left, right) = (Left::row_major(&values, rows, SIDE), &values[..SIDE * SIDE]);
        // The order of the values does not change the time: the same ones serve as rows and as panels, without packing.
        let single = Right { depth: SIDE, panels: Panels::Single(panels(right, SIDE)) };
        let pairs: Vec<u32> = if table.bf16 { right.as_chunks().0.iter().map(pair).collect() } else { Vec::new() };
        let paired = table.bf16.then(|| Right { depth: SIDE, panels: Panels::Pairs(panels(&pairs, SIDE / 2)) });
        let quantized = table.int8.then(|| Quantized::from_columns(right, SIDE, SIDE));

        let mut out = vec![0.0; rows * SIDE];
        let mut rate = |fastest: &mut Fastest, product: &dyn Fn(&mut [f32])| {
            let begin = Instant::now();
            product(black_box(&mut out));
            let seconds = begin.elapsed().as_secs_f64().max(1e-9);
            fastest.add((rows * SIDE * SIDE) as f64 / seconds / 1e9);
        };
        let [mut f32, mut bf16, mut int8] = [Fastest::default(); 3];
        let (begin, mut round) = (Instant::now(), 0);
        let confirmed = loop {
            rate(&mut f32, &|out| self.gemm(left, single, Start::Zero, out));
            if let Some(paired) = paired {
                rate(&mut bf16, &|out| self.gemm(left, paired, Start::Zero, out));
            }
            if let Some(quantized) = &quantized {
                rate(&mut int8, &|out| self.gemm_quantized(left, quantized, Start::Zero, out));
            }
            round += 1;
            let confirmed = [f32, bf16, int8].iter().all(Fastest::is_confirmed);
            let elapsed = begin.elapsed();
            if elapsed > LONG || (round >= ROUNDS && elapsed > SHORT && confirmed) {
                break confirmed;
            }
        };
        (Rates { f32: f32.first, bf16: bf16.first, int8: int8.first }, confirmed)
    }
}

/// The two fastest of some products.
#[derive(Debug, Clone, Copy, Default)]
struct Fastest {
    first: f64,
    second: f64,
}

impl Fastest {
    fn add(&mut self, rate: f64) {
        self.second = self.second.max(rate.min(self.first));
        self.first = self.first.max(rate);
    }

    fn is_confirmed(&self) -> bool {
        self.second >= CONFIRMED * self.first
    }
}

/// A matrix of `SIDE` columns in panels of `rows` rows.
fn panels<T>(data: &[T], rows: usize) -> View<'_, T> {
    View { data, rows, columns: SIDE, row_stride: PANEL, panel_stride: rows * PANEL }
}

fn pair(two: &[f32; 2]) -> u32 {
    u32::from(to_bf16(two[0])) | u32::from(to_bf16(two[1])) << 16
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Ratios of an Intel Xeon without AMX (0.8) and of an AMD Zen 4 (2.0).
    #[test]
    fn the_fastest_float_is_chosen_by_its_rate() {
        let float = |f32, bf16| Rates { f32, bf16, int8: 0.0 }.fastest_float();
        assert_eq!(float(1.0, 0.8), Float::F32);
        assert_eq!(float(1.0, 2.0), Float::Bf16);
        // A tie is no reason to round, and neither is a rate that was not measured.
        assert_eq!([float(100.0, 97.0), float(100.0, 103.0), float(100.0, 109.9)], [Float::F32; 3]);
        assert_eq!(float(100.0, 111.0), Float::Bf16);
        assert_eq!([float(30.0, 0.0), float(0.0, 0.0)], [Float::F32; 2]);
    }

    #[test]
    fn int8_pays_if_it_is_faster_than_either_float() {
        let pays = |f32, bf16, int8| Rates { f32, bf16, int8 }.int8_pays();
        assert!(pays(1.0, 0.0, 2.0) && pays(1.0, 0.8, 1.2) && pays(1.0, 2.0, 3.5));
        assert!(!pays(1.0, 0.0, 1.05) && !pays(1.0, 2.0, 2.1) && !pays(2.0, 1.0, 1.5));
        assert!(!pays(1.0, 0.0, 0.0) && !pays(0.0, 0.0, 0.0));
    }

    /// What happens once may be chance: a rate counts when it was reached twice.
    #[test]
    fn a_rate_is_confirmed_by_a_second_product() {
        let of = |rates: &[f64]| {
            let mut fastest = Fastest::default();
            rates.iter().for_each(|rate| fastest.add(*rate));
            (fastest.first, fastest.is_confirmed())
        };
        assert_eq!(of(&[]), (0.0, true));
        assert_eq!(of(&[10.0]), (10.0, false));
        assert_eq!(of(&[3.0, 10.0, 2.0]), (10.0, false));
        assert_eq!(of(&[3.0, 10.0, 2.0, 9.8]), (10.0, true));
        assert_eq!(of(&[9.8, 10.0]), (10.0, true));
    }

    #[test]
    fn rates_are_measured_where_there_are_kernels() {
        for isa in Kernels::available() {
            let (rates, _) = isa.measure();
            let there = [(rates.f32, true), (rates.bf16, isa.name() == "avx512_bf16"), (rates.int8, isa.has_int8())];
            for (rate, is_there) in there {
                assert!(rate.is_finite() && (rate > 0.0) == is_there, "{}: {rates:?}", isa.name());
            }
        }
    }
}
