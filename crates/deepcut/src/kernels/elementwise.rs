//! Activations, sums and the optimizer's step in plain Rust, which the compiler vectorizes; `compiled.rs` compiles it for each instruction set.
//!
//! `FMA` states whether a fused multiply-add is one instruction. The tests of [`super::Kernels`] measure the errors.

use super::operands::{Adam, SoftmaxRow};
use super::rounding::{ROUND, halves, to_bf16};

#[inline(always)]
fn mul_add<const FMA: bool>(a: f32, b: f32, c: f32) -> f32 {
    if FMA { a.mul_add(b, c) } else { a * b + c }
}

/// `eˣ` for x in [−87, 88] (clamped to it): `2ⁿ · p(r)`, `x = n ln 2 + r`, with Cephes' polynomial of degree 5 for `p`.
#[inline(always)]
fn exp<const FMA: bool>(x: f32) -> f32 {
    const LN2_HIGH: f32 = 0.693_359_4;
    const LN2_LOW: f32 = -2.121_944_4e-4;
    let x = x.clamp(-87.0, 88.0);
    let shifted = mul_add::<FMA>(x, std::f32::consts::LOG2_E, ROUND);
    let n = shifted - ROUND;
    let r = mul_add::<FMA>(n, -LN2_LOW, mul_add::<FMA>(n, -LN2_HIGH, x));
    let mut p = 1.987_569_1e-4;
    for c in [1.398_199_9e-3, 8.333_452e-3, 4.166_579_6e-2, 0.166_666_65, 0.5] {
        p = mul_add::<FMA>(p, r, c);
    }
    let p = mul_add::<FMA>(p * r, r, r) + 1.0;
    let scale = (shifted.to_bits() << 23).wrapping_add(1.0f32.to_bits());
    p * f32::from_bits(scale)
}

/// `eˣ` for x in [−87, 88], the same on every processor.
#[inline(always)]
pub(crate) fn exponential(x: f32) -> f32 {
    exp::<false>(x)
}

/// `1 / (1 + e⁻ˣ)`, the same on every processor.
#[inline(always)]
pub(crate) fn logistic(x: f32) -> f32 {
    1.0 / (1.0 + exp::<false>(-x))
}

/// `2ˣ` for x in [−126, 0] (clamped from below): `2ⁿ · p(r)`, `x = n + r`, with Cephes' polynomial of degree 6 for `p`.
#[inline(always)]
fn exp2<const FMA: bool>(x: f32) -> f32 {
    let x = if x > -126.0 { x } else { -126.0 };
    let shifted = x + ROUND;
    let r = x - (shifted - ROUND);
    let mut p = 1.535_336_2e-4;
    for c in [1.339_887_4e-3, 9.618_437e-3, 5.550_332_5e-2, 0.240_226_48, std::f32::consts::LN_2, 1.0] {
        p = mul_add::<FMA>(p, r, c);
    }
    // p lies in [√½, √2]: adding n to its exponent multiplies it by 2ⁿ.
    f32::from_bits((shifted.to_bits() << 23).wrapping_add(p.to_bits()))
}

/// Error function: a ratio of polynomials on [−4, 4], the approximation of Eigen and XLA.
#[inline(always)]
fn erf<const FMA: bool>(x: f32) -> f32 {
    const P: [f32; 7] =
        [-2.726_142e-10, 2.770_681_4e-8, -2.101_024e-6, -5.692_506_2e-5, -7.349_906_5e-4, -2.954_6e-3, -1.609_603_3e-2];
    const Q: [f32; 5] = [-1.456_607_2e-5, -2.133_740_6e-4, -1.682_827e-3, -7.373_329_3e-3, -1.426_473_9e-2];
    let x = x.clamp(-4.0, 4.0);
    let x2 = x * x;
    let (mut p, mut q) = (P[0], Q[0]);
    for c in &P[1..] {
        p = mul_add::<FMA>(p, x2, *c);
    }
    for c in &Q[1..] {
        q = mul_add::<FMA>(q, x2, *c);
    }
    x * p / q
}

#[inline(always)]
pub(super) fn gelu<const FMA: bool>(values: &mut [f32]) {
    for x in values {
        *x = 0.5 * *x * (1.0 + erf::<FMA>(*x * std::f32::consts::FRAC_1_SQRT_2));
    }
}

#[inline(always)]
pub(super) fn elu<const FMA: bool>(values: &mut [f32]) {
    for x in values {
        // The exponential of a positive value is computed and dropped: a select vectorizes, a branch does not.
        let negative = exp::<FMA>(x.min(0.0)) - 1.0;
        *x = if *x > 0.0 { *x } else { negative };
    }
}

/// Lanes of sums and maxima, which the compiler keeps in registers.
const LANES: usize = 16;

/// Joins the lanes two by two, in four levels: joined one after another, each step would wait for the one before.
#[inline(always)]
fn reduce(mut lanes: [f32; LANES], join: impl Fn(f32, f32) -> f32) -> f32 {
    let mut half = LANES / 2;
    while half > 0 {
        for i in 0..half {
            lanes[i] = join(lanes[i], lanes[i + half]);
        }
        half /= 2;
    }
    lanes[0]
}

#[inline(always)]
fn sum(values: &[f32], term: impl Fn(f32) -> f32) -> f32 {
    let mut lanes = [0.0f32; LANES];
    let chunks = values.chunks_exact(LANES);
    let rest = chunks.remainder();
    for chunk in chunks {
        lanes.iter_mut().zip(chunk).for_each(|(lane, x)| *lane += term(*x));
    }
    lanes.iter_mut().zip(rest).for_each(|(lane, x)| *lane += term(*x));
    reduce(lanes, |a, b| a + b)
}

#[inline(always)]
pub(super) fn dots<const FMA: bool>(row: &[f32], columns: &[f32], out: &mut [f32]) {
    const STEP: usize = 4 * LANES;
    for (c, out) in out.iter_mut().enumerate() {
        let column = &columns[c * row.len()..(c + 1) * row.len()];
        // Four registers of sums, so that one addition need not wait for the one before.
        let mut lanes = [0.0f32; STEP];
        let (a, b) = (row.chunks_exact(STEP), column.chunks_exact(STEP));
        let rest = a.remainder().iter().zip(b.remainder());
        for (a, b) in a.zip(b) {
            for ((lane, a), b) in lanes.iter_mut().zip(a).zip(b) {
                *lane = mul_add::<FMA>(*a, *b, *lane);
            }
        }
        for (lane, (a, b)) in lanes.iter_mut().zip(rest) {
            *lane = mul_add::<FMA>(*a, *b, *lane);
        }
        *out = sum(&lanes, |x| x);
    }
}

/// Same as [`dots`], for a row of pairs of bf16.
#[inline(always)]
pub(super) fn pair_dots<const FMA: bool>(row: &[u32], columns: &[f32], out: &mut [f32]) {
    const STEP: usize = 2 * LANES;
    for (c, out) in out.iter_mut().enumerate() {
        let (lows, highs) = columns[2 * c * row.len()..2 * (c + 1) * row.len()].split_at(row.len());
        let ((pairs, rest), (lows, low_rest), (highs, high_rest)) =
            (row.as_chunks::<STEP>(), lows.as_chunks::<STEP>(), highs.as_chunks::<STEP>());
        let mut sums = [[0.0f32; STEP]; 2];
        for ((pairs, lows), highs) in pairs.iter().zip(lows).zip(highs) {
            for i in 0..STEP {
                let [low, high] = halves(pairs[i]);
                sums[0][i] = mul_add::<FMA>(low, lows[i], sums[0][i]);
                sums[1][i] = mul_add::<FMA>(high, highs[i], sums[1][i]);
            }
        }
        for (i, ((pair, l), h)) in rest.iter().zip(low_rest).zip(high_rest).enumerate() {
            let [low, high] = halves(*pair);
            sums[0][i] = mul_add::<FMA>(low, *l, sums[0][i]);
            sums[1][i] = mul_add::<FMA>(high, *h, sums[1][i]);
        }
        *out = sum(sums.as_flattened(), |x| x);
    }
}

#[inline(always)]
fn largest(values: &[f32]) -> f32 {
    let mut lanes = [f32::NEG_INFINITY; LANES];
    let larger = |a: f32, b: f32| if b > a { b } else { a };
    let chunks = values.chunks_exact(LANES);
    let rest = chunks.remainder();
    for chunk in chunks {
        lanes.iter_mut().zip(chunk).for_each(|(lane, x)| *lane = larger(*lane, *x));
    }
    lanes.iter_mut().zip(rest).for_each(|(lane, x)| *lane = larger(*lane, *x));
    reduce(lanes, larger)
}

#[inline(always)]
pub(super) fn layer_norm(rows: &[f32], weight: &[f32], bias: &[f32], epsilon: f32, out: &mut [f32]) {
    let width = weight.len();
    if width == 0 {
        return;
    }
    for (row, out) in rows.chunks_exact(width).zip(out.chunks_exact_mut(width)) {
        let mean = sum(row, |x| x) / width as f32;
        let variance = sum(row, |x| (x - mean) * (x - mean)) / width as f32;
        let scale = 1.0 / (variance + epsilon).sqrt();
        for (((out, x), w), b) in out.iter_mut().zip(row).zip(weight).zip(bias) {
            *out = (x - mean) * scale * w + b;
        }
    }
}

#[inline(always)]
pub(super) fn softmax_step<const FMA: bool>(scores: &mut [f32], scale: f32, state: &mut [SoftmaxRow]) {
    let width = scores.len() / state.len().max(1);
    if width == 0 {
        return;
    }
    let scale = scale * std::f32::consts::LOG2_E;
    // All maxima come first: the exponentials of a row need not wait for its own.
    for (row, state) in scores.chunks_exact(width).zip(&mut *state) {
        let before = state.largest;
        state.largest = before.max(largest(row));
        // Before the first block this is 2^−∞, clamped to almost zero; the sums that it scales are zero.
        state.shrink = exp2::<FMA>((before - state.largest) * scale);
    }
    for (row, state) in scores.chunks_exact_mut(width).zip(state) {
        let offset = -state.largest * scale;
        let mut lanes = [0.0f32; LANES];
        let mut chunks = row.chunks_exact_mut(LANES);
        for chunk in &mut chunks {
            for (lane, x) in lanes.iter_mut().zip(chunk) {
                *x = exp2::<FMA>(mul_add::<FMA>(*x, scale, offset));
                *lane += *x;
            }
        }
        for (lane, x) in lanes.iter_mut().zip(chunks.into_remainder()) {
            *x = exp2::<FMA>(mul_add::<FMA>(*x, scale, offset));
            *lane += *x;
        }
        state.sum = mul_add::<FMA>(state.sum, state.shrink, reduce(lanes, |a, b| a + b));
    }
}

/// See [`super::Kernels::softmax_step_pairs`].
#[inline(always)]
pub(super) fn softmax_step_pairs<const FMA: bool>(scores: &mut [f32], scale: f32, state: &mut [SoftmaxRow], shares: &mut [u32]) {
    let width = scores.len() / state.len().max(1);
    if width == 0 {
        return;
    }
    softmax_step::<FMA>(scores, scale, state);
    for (row, pairs) in scores.chunks_exact(width).zip(shares.chunks_exact_mut(width.div_ceil(2))) {
        for (pair, two) in pairs.iter_mut().zip(row.chunks(2)) {
            let high = two.get(1).map_or(0, |x| u32::from(to_bf16(*x)));
            *pair = u32::from(to_bf16(two[0])) | high << 16;
        }
    }
}

#[inline(always)]
pub(super) fn softmax<const FMA: bool>(values: &mut [f32], width: usize) {
    if width == 0 {
        return;
    }
    for row in values.chunks_exact_mut(width) {
        let largest = row.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        for x in row {
            *x -= largest;
        }
    }
    for x in &mut *values {
        *x = exp::<FMA>(*x);
    }
    for row in values.chunks_exact_mut(width) {
        let scale = 1.0 / row.iter().sum::<f32>();
        for x in row {
            *x *= scale;
        }
    }
}

#[inline(always)]
pub(super) fn elu_gradient(output: &[f32], gradient: &mut [f32]) {
    for (g, h) in gradient.iter_mut().zip(output) {
        *g *= 1.0 + h.min(0.0);
    }
}

#[inline(always)]
pub(super) fn adam(step: Adam, gradient: &[f32], [parameters, first, second]: [&mut [f32]; 3]) {
    let Adam { beta: [b1, b2], rate, root, decay, epsilon } = step;
    for (((p, g), m), v) in parameters.iter_mut().zip(gradient).zip(first).zip(second) {
        *m += (g - *m) * (1.0 - b1);
        *v = *v * b2 + g * g * (1.0 - b2);
        *p = *p * decay - rate * *m / (v.sqrt() * root + epsilon);
    }
}

/// `sums[c] += Σ_r rows[r, c]`, row after row.
#[inline(always)]
pub(super) fn add_columns(rows: &[f32], sums: &mut [f64]) {
    for row in rows.chunks_exact(sums.len()) {
        sums.iter_mut().zip(row).for_each(|(sum, x)| *sum += f64::from(*x));
    }
}

/// See [`super::Kernels::pair_rows`].
#[inline(always)]
pub(super) fn pair_rows(rows: &[f32], columns: usize, pairs: &mut [u32]) {
    for (two, pairs) in rows.chunks(2 * columns).zip(pairs.chunks_exact_mut(columns)) {
        let (low, high) = two.split_at(columns);
        if high.is_empty() {
            pairs.iter_mut().zip(low).for_each(|(pair, low)| *pair = u32::from(to_bf16(*low)));
        } else {
            for ((pair, low), high) in pairs.iter_mut().zip(low).zip(high) {
                *pair = u32::from(to_bf16(*low)) | u32::from(to_bf16(*high)) << 16;
            }
        }
    }
}
