//! Every kernel of every instruction set of this machine against a plain computation in double precision, on odd shapes.

use super::operands::SoftmaxRow;
use super::packed::{Float, Packed, Rows};
use super::quantized::Quantized;
use super::rounding::{halves, to_bf16};
use super::{Adam, Depthwise, Kernels, Left, Right, Start, native};

/// A fixed, irregular sequence in [−1, 1].
fn sequence(len: usize, salt: u32) -> Vec<f32> {
    let mut state = 0x9e37_79b9u32 ^ salt;
    (0..len)
        .map(|_| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 8) as f32 / (1 << 23) as f32 - 1.0
        })
        .collect()
}

/// Rounds to bf16.
fn round(x: f32) -> f32 {
    f32::from_bits(u32::from(to_bf16(x)) << 16)
}

fn assert_close(actual: &[f32], expected: &[f64], tolerance: f64, what: &str) {
    assert_eq!(actual.len(), expected.len(), "{what}");
    for (i, (a, e)) in actual.iter().zip(expected).enumerate() {
        assert!((f64::from(*a) - e).abs() <= tolerance, "{what}: [{i}] is {a}, expected {e}");
    }
}

#[test]
fn products_match_double_precision() {
    for isa in Kernels::available() {
        for (m, k, n) in [(1, 1, 1), (6, 16, 16), (7, 5, 17), (13, 300, 33), (48, 64, 2), (50, 513, 31), (3, 0, 4)] {
            let (a, b, bias) = (sequence(m * k, 1), sequence(k * n, 2), sequence(n, 3));
            let product = |r: usize, c: usize| -> f64 { (0..k).map(|i| f64::from(a[r * k + i]) * f64::from(b[i * n + c])).sum() };
            let expected: Vec<f64> = (0..m * n).map(|i| product(i / n, i % n) + f64::from(bias[i % n])).collect();
            let what = format!("{} {m}x{k}x{n}", isa.name());
            let tolerance = 1e-6 * (k as f64 + 1.0);

            let packed = Packed::from_rows(&b, k, n);
            let mut out = vec![7.0; m * n];
            isa.gemm(Left::row_major(&a, m, k), &packed, Start::Bias(&bias), &mut out);
            assert_close(&out, &expected, tolerance, &what);

            let mut parallel = vec![7.0; m * n];
            isa.gemm_parallel(Left::row_major(&a, m, k), &packed, Start::Bias(&bias), &mut parallel);
            assert_eq!(out, parallel, "{what}: tasks must not change a bit");

            let transpose: Vec<f32> = (0..k * m).map(|i| a[i % m * k + i / m]).collect();
            isa.gemm(Left::transposed(&transpose, m, k), &packed, Start::Bias(&bias), &mut parallel);
            assert_eq!(out, parallel, "{what}: transposed left side");

            let columns: Vec<f32> = (0..k * n).map(|i| b[i % k.max(1) * n + i / k.max(1)]).collect();
            // The right side read in place, and a left side within a wider matrix.
            let mut in_place = vec![7.0; m * n];
            isa.gemm(Left::row_major(&a, m, k), Right::row_major(&b, k, n), Start::Bias(&bias), &mut in_place);
            assert_eq!(out, in_place, "{what}: right side in place");
            let wide: Vec<f32> =
                (0..m * (k + 3)).map(|i| if i % (k + 3) < k { a[i / (k + 3) * k + i % (k + 3)] } else { f32::NAN }).collect();
            isa.gemm(Left::strided(&wide, m, k, k + 3), &packed, Start::Bias(&bias), &mut in_place);
            assert_eq!(out, in_place, "{what}: strided left side");
            isa.gemm(Left::row_major(&a, m, k), &packed, Start::Accumulate, &mut in_place);
            let twice: Vec<f64> = expected.iter().enumerate().map(|(i, e)| 2.0 * e - f64::from(bias[i % n])).collect();
            assert_close(&in_place, &twice, 2.0 * tolerance, &what);

            let mut residual = vec![0.5; m * n];
            isa.gemm(Left::row_major(&a, m, k), &Packed::from_columns(&columns, k, n), Start::Residual(&bias), &mut residual);
            let shifted: Vec<f64> = expected.iter().map(|e| e + 0.5).collect();
            assert_close(&residual, &shifted, tolerance, &what);
        }
    }
}

/// Once both sides are rounded to bf16, their products are as exact as those in f32, since the sums are in f32.
#[test]
fn products_in_bf16_match_double_precision() {
    for isa in Kernels::available() {
        for (m, k, n) in
            [(1, 1, 1), (8, 16, 32), (7, 5, 17), (13, 300, 33), (48, 64, 2), (50, 513, 31), (97, 1027, 70), (3, 0, 4)]
        {
            let (a, b, bias) = (sequence(m * k, 1), sequence(k * n, 2), sequence(n, 3));
            let product = |r: usize, c: usize| -> f64 {
                (0..k).map(|i| f64::from(round(a[r * k + i])) * f64::from(round(b[i * n + c]))).sum()
            };
            let expected: Vec<f64> = (0..m * n).map(|i| product(i / n, i % n) + f64::from(bias[i % n])).collect();
            let what = format!("{} {m}x{k}x{n}", isa.name());
            let tolerance = 1e-6 * (k as f64 + 1.0);
            let mut packed = Packed::new(Float::Bf16);
            packed.fill_from_rows(&b, k, n);
            let mut out = vec![7.0; m * n];
            isa.gemm(Left::row_major(&a, m, k), &packed, Start::Bias(&bias), &mut out);
            assert_close(&out, &expected, tolerance, &what);

            let transpose: Vec<f32> = (0..k * m).map(|i| a[i % m * k + i / m]).collect();
            let columns: Vec<f32> = (0..k * n).map(|i| b[i % k.max(1) * n + i / k.max(1)]).collect();
            packed.fill_from_columns(&columns, k, n);
            let mut parallel = vec![7.0; m * n];
            isa.gemm_parallel(Left::transposed(&transpose, m, k), &packed, Start::Bias(&bias), &mut parallel);
            assert_eq!(out, parallel, "{what}: neither tasks nor transposes may change a bit");

            if k > 0 {
                let mut pairs = vec![9; k.div_ceil(2) * n];
                isa.pair_rows(&b, n, &mut pairs);
                let (left, first) = (Rows::new(isa, a.clone(), k, Float::Bf16), m / 3);
                let mut kept = vec![7.0; (m - first) * n];
                isa.gemm_rows(&left, first, Right::paired_rows(&pairs, k, n), Start::Bias(&bias), &mut kept);
                assert_eq!(out[first * n..], kept, "{what}: nor may rounding in advance");
            }
        }
    }
}

/// Ties go to even, and values that round beyond the largest become infinite, as in the processor.
#[test]
fn rounding_to_bf16_is_to_nearest_even() {
    let bits = [0x3f80_0000u32, 0x3f80_8000, 0x3f81_8000, 0x3f80_8001, 0x3f80_7fff, 0xc000_ffff, 0x7f7f_ffff, 0x8000_0000];
    let expected = [0x3f80u16, 0x3f80, 0x3f82, 0x3f81, 0x3f80, 0xc001, 0x7f80, 0x8000];
    let values: Vec<f32> = bits.iter().map(|b| f32::from_bits(*b)).collect();
    assert_eq!(values.iter().map(|x| to_bf16(*x)).collect::<Vec<_>>(), expected);
    for isa in Kernels::available() {
        for len in 1..=values.len() {
            let mut pairs = vec![9; len.div_ceil(2)];
            isa.round_row(Left::row_major(&values, 1, len), &mut pairs);
            let halves: Vec<u16> = pairs.iter().flat_map(|p| [*p as u16, (p >> 16) as u16]).collect();
            assert_eq!(halves[..len], expected[..len], "{}", isa.name());
            assert!(halves[len..].iter().all(|h| *h == 0));
        }
    }
}

/// Integers as the documentation of `quantized` defines them, in double precision.
fn integers(values: &[f32], least: f32, step: f32) -> Vec<f64> {
    let inverse = if step > 0.0 { 1.0 / step } else { 0.0 };
    values.iter().map(|x| f64::from(((x - least) * inverse).round_ties_even())).collect()
}

#[test]
fn products_in_int8_match_double_precision() {
    for isa in Kernels::available() {
        for (m, k, n) in
            [(1, 1, 1), (8, 16, 32), (7, 5, 17), (13, 300, 33), (48, 64, 2), (50, 513, 31), (97, 1027, 70), (3, 0, 4)]
        {
            // A row of equal values and a column of zeros have no step.
            let (mut a, mut b, bias) = (sequence(m * k, 1), sequence(k * n, 2), sequence(n, 3));
            a[..k].fill(0.75);
            b[..k].fill(0.0);
            let columns: Vec<(Vec<f64>, f64)> = (0..n)
                .map(|j| {
                    let column = &b[j * k..(j + 1) * k];
                    let scale = column.iter().fold(0.0f32, |m, w| m.max(w.abs())) / 127.0;
                    (integers(column, 0.0, scale), f64::from(scale))
                })
                .collect();
            let mut expected = Vec::new();
            for row in (0..m).map(|r| &a[r * k..(r + 1) * k]) {
                let [least, largest] = [f32::min, f32::max].map(|of| row.iter().copied().reduce(of).unwrap_or(0.0));
                let step = (largest - least) / f32::from(isa.table().levels);
                let units = integers(row, least, step);
                let value = |u: f64| f64::from(least) + f64::from(step) * u;
                for ((column, scale), bias) in columns.iter().zip(&bias) {
                    let product: f64 = units.iter().zip(column).map(|(u, q)| value(*u) * q * scale).sum();
                    expected.push(product + f64::from(*bias));
                }
            }
            let what = format!("{} {m}x{k}x{n}", isa.name());
            let tolerance = 1e-6 * (k as f64 + 1.0);
            let right = Quantized::from_columns(&b, k, n);
            let mut out = vec![7.0; m * n];
            isa.gemm_quantized(Left::row_major(&a, m, k), &right, Start::Bias(&bias), &mut out);
            assert_close(&out, &expected, tolerance, &what);

            let mut parts = vec![7.0; m * n];
            for (task, part) in parts.chunks_mut(5 * n).enumerate() {
                let rows = Left::row_major(&a, m, k).slice(5 * task, part.len() / n);
                isa.gemm_quantized(rows, &right, Start::Bias(&bias), part);
            }
            assert_eq!(out, parts, "{what}: tasks must not change a bit");

            for first in (0..n).step_by(16) {
                let mut later = vec![7.0; m * (n - first)];
                isa.gemm_quantized(Left::row_major(&a, m, k), right.at_column(first), Start::Bias(&bias[first..]), &mut later);
                let expected: Vec<f32> = out.chunks(n).flat_map(|row| &row[first..]).copied().collect();
                assert_eq!(later, expected, "{what}: columns from {first} on");
            }

            let mut residual = vec![0.5; m * n];
            isa.gemm_quantized(Left::row_major(&a, m, k), &right, Start::Residual(&bias), &mut residual);
            let shifted: Vec<f64> = expected.iter().map(|e| e + 0.5).collect();
            assert_close(&residual, &shifted, tolerance, &what);
        }
    }
}

/// The same bytes from every set, and no value further from its integer than half a step.
#[test]
fn rows_are_rounded_to_their_nearest_integers() {
    for len in [1, 3, 4, 15, 16, 17, 63, 64, 100] {
        let row = sequence(len, 9);
        let mut expected = vec![9; len.div_ceil(4)];
        for isa in Kernels::available() {
            native::quantize_row(&row, isa.table().levels, &mut expected);
            let mut quads = vec![9; expected.len()];
            let rounding = isa.quantize_row(&row, &mut quads);
            assert_eq!(quads, expected, "{} {len}", isa.name());
            let bytes: Vec<u8> = quads.iter().flat_map(|quad| quad.to_le_bytes()).collect();
            for (x, byte) in row.iter().zip(&bytes) {
                let error = (rounding.least + rounding.step * f32::from(*byte) - x).abs();
                assert!(error <= rounding.step * 0.5001 + 1e-7, "{} {len}: {error}", isa.name());
            }
            assert!(bytes[len..].iter().all(|byte| *byte == 0), "{} {len}: beyond the row", isa.name());
        }
    }
}

#[test]
fn depthwise_convolution_matches_double_precision() {
    for isa in Kernels::available() {
        for (kernel, channels, width) in [(7, 48, 12), (7, 20, 9), (3, 3, 1), (1, 8, 5), (5, 9, 17)] {
            let padded = width + kernel - 1;
            let input = sequence(kernel * padded * channels, 4);
            let (weights, bias) = (sequence(kernel * kernel * channels, 5), sequence(channels, 6));
            let mut expected = vec![0.0f64; width * channels];
            for x in 0..width {
                for c in 0..channels {
                    let sum: f64 = (0..kernel * kernel)
                        .map(|ij| {
                            let (i, j) = (ij / kernel, ij % kernel);
                            f64::from(weights[ij * channels + c]) * f64::from(input[(i * padded + x + j) * channels + c])
                        })
                        .sum();
                    expected[x * channels + c] = sum + f64::from(bias[c]);
                }
            }
            let mut out = vec![0.0; width * channels];
            let shape = Depthwise { weights: &weights, bias: &bias, kernel, channels, width };
            isa.depthwise_row(shape, &input, &mut out);
            assert_close(&out, &expected, 1e-5, &format!("{} {kernel}x{channels}x{width}", isa.name()));
        }
    }
}

#[test]
fn masked_sums_match_double_precision() {
    for isa in Kernels::available() {
        for (words, k) in [(1, 1), (1, 2), (3, 5), (10, 4), (20, 32)] {
            let columns = sequence(words * 64 * k, 7);
            let row: Vec<u64> =
                (0..words as u64).map(|w| (w + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(w as u32)).collect();
            let expected: Vec<f64> = (0..k)
                .map(|c| {
                    (0..words * 64)
                        .filter(|j| row[j / 64] >> (j % 64) & 1 == 1)
                        .map(|j| f64::from(columns[c * words * 64 + j]))
                        .sum()
                })
                .collect();
            let mut out = vec![0.0; k];
            isa.masked_sums(&row, &columns, &mut out);
            assert_close(&out, &expected, 1e-4, &format!("{} {words} words, {k} columns", isa.name()));
        }
    }
}

#[test]
fn products_with_bits_match_double_precision() {
    for isa in Kernels::available() {
        for (rows, n, width) in [(1, 1, 1), (3, 64, 32), (5, 65, 33), (2, 130, 70), (9, 200, 128), (50, 1100, 40)] {
            let values = sequence(n * width, 8);
            let words = usize::div_ceil(n, 64);
            let is_set = |r: usize, j: usize| !(r * 31 + j * j * 7 + j).is_multiple_of(3);
            let mut bits = vec![0u64; rows * words];
            let mut expected = vec![0.0f64; rows * width];
            for (r, j) in (0..rows).flat_map(|r| (0..n).map(move |j| (r, j))).filter(|&(r, j)| is_set(r, j)) {
                bits[r * words + j / 64] |= 1 << (j % 64);
                let row = &values[j * width..(j + 1) * width];
                expected[r * width..].iter_mut().zip(row).for_each(|(sum, x)| *sum += f64::from(*x));
            }
            let mut out = vec![9.0; rows * width];
            isa.bit_product(&bits, words, &values, width, &mut out);
            let what = format!("{} {rows}x{n}x{width}", isa.name());
            // Sums in f32 of so many values.
            let tolerance = 2e-5 * (n as f64 / 200.0).max(1.0);
            assert_close(&out, &expected, tolerance, &what);

            // In int8 each value is off by half a step of its column at most.
            let scales: Vec<f32> = (0..n).map(|j| 1.0 / (1 + j % 5) as f32).collect();
            let scaled: Vec<f32> =
                values.chunks(width).zip(&scales).flat_map(|(row, s)| row.iter().map(move |x| x * s)).collect();
            let columns: Vec<f32> = (0..width * n).map(|at| scaled[at % n * width + at / n]).collect();
            let (right, whole) = (Quantized::from_rows(&scaled, n, width), Quantized::from_columns(&columns, n, width));
            assert_eq!(right, whole, "{what}: a matrix by rows is the same");
            let expected = (0..rows * width).map(|at| {
                let (r, column) = (at / width, &columns[at % width * n..][..n]);
                let scale = column.iter().fold(0.0f32, |most, w| most.max(w.abs())) / 127.0;
                let units = integers(column, 0.0, scale);
                units.iter().enumerate().filter(|(j, _)| is_set(r, *j)).map(|(_, q)| q * f64::from(scale)).sum()
            });
            isa.bit_product_quantized(&bits, words, &right, &mut out);
            assert_close(&out, &expected.collect::<Vec<f64>>(), tolerance, &what);
        }
    }
}

/// Largest errors seen over the sweep: GELU 4.2e-7 absolute, ELU 9e-8, softmax 2.4e-7.
#[test]
fn activations_match_double_precision() {
    let sweep: Vec<f32> = (-2400..=2400).map(|i| i as f32 / 200.0).collect();
    for isa in Kernels::available() {
        let mut gelu = sweep.clone();
        isa.gelu(&mut gelu);
        let expected: Vec<f64> = sweep
            .iter()
            .map(|&x| 0.5 * f64::from(x) * (1.0 + libm::erf(f64::from(x) * std::f64::consts::FRAC_1_SQRT_2)))
            .collect();
        assert_close(&gelu, &expected, 1.5e-6, "gelu");

        let mut elu = sweep.clone();
        isa.elu(&mut elu);
        let expected: Vec<f64> = sweep.iter().map(|&x| if x > 0.0 { f64::from(x) } else { f64::from(x).exp_m1() }).collect();
        assert_close(&elu, &expected, 2e-7, "elu");

        for width in [1, 2, 3, 10, 32] {
            let mut rows = sweep[..sweep.len() / width * width].to_vec();
            let expected: Vec<f64> = rows
                .chunks_exact(width)
                .flat_map(|row| {
                    let total: f64 = row.iter().map(|&x| f64::from(x).exp()).sum();
                    row.iter().map(move |&x| f64::from(x).exp() / total)
                })
                .collect();
            isa.softmax(&mut rows, width);
            assert_close(&rows, &expected, 5e-7, "softmax");
        }
        // Far outside the range, the results stay finite and the row still sums to one.
        let mut extreme = [1e30, -1e30, f32::MAX, f32::MIN];
        isa.softmax(&mut extreme, 2);
        assert_eq!(extreme, [1.0, extreme[1], 1.0, extreme[3]]);
        assert!(extreme[1] < 1e-37 && extreme[3] < 1e-37);
    }
}

/// Largest error seen: 8e-7.
#[test]
fn layer_norm_matches_double_precision() {
    for isa in Kernels::available() {
        for (rows, width) in [(1, 1), (3, 5), (7, 64), (2, 384), (5, 193)] {
            // Far from zero, where a variance computed in one pass would lose its digits.
            let values: Vec<f32> = sequence(rows * width, 8).iter().map(|x| 30.0 + 2.0 * x).collect();
            let (weight, bias) = (sequence(width, 9), sequence(width, 10));
            let expected: Vec<f64> = values
                .chunks_exact(width)
                .flat_map(|row| {
                    let mean = row.iter().map(|&x| f64::from(x)).sum::<f64>() / width as f64;
                    let variance = row.iter().map(|&x| (f64::from(x) - mean).powi(2)).sum::<f64>() / width as f64;
                    let parameters = weight.iter().zip(&bias);
                    let norm = move |x: f32| (f64::from(x) - mean) / (variance + 1e-6).sqrt();
                    row.iter().zip(parameters).map(move |(&x, (&w, &b))| norm(x) * f64::from(w) + f64::from(b))
                })
                .collect();
            let mut out = vec![0.0; values.len()];
            isa.layer_norm(&values, &weight, &bias, 1e-6, &mut out);
            assert_close(&out, &expected, 1e-5, &format!("{} {rows}x{width}", isa.name()));
        }
    }
}

/// No choice of rows gives the busiest thread more work than the largest task would, and no task outgrows the cache.
#[test]
fn tasks_of_a_layer_are_balanced() {
    use super::attention::query_rows;
    for threads in 1..=6 {
        let team = super::parallel::Threads::new(threads, super::parallel::Idle::Sleep).unwrap();
        team.together(|| {
            for (isa, tokens) in
                Kernels::available().into_iter().flat_map(|isa| [1, 7, 197, 785, 1226, 4762].map(|tokens| (isa, tokens)))
            {
                let (step, most) = (isa.table().row_step, isa.table().most_rows);
                let rows = query_rows(isa, tokens);
                assert!(rows.is_multiple_of(step) && (most / 2..=most).contains(&rows), "{rows} of {tokens}");
                let busiest = |rows: usize| tokens.div_ceil(rows).div_ceil(threads) * rows;
                assert!(busiest(rows) <= busiest(most), "{rows} of {tokens} for {threads}");
            }
        });
    }
}

/// Streamed attention against the plain formula, for tokens that make part of a block, exactly one, or several. Some scores are so far apart (to ±600)
/// that a softmax without its maximum would overflow; there the rounding of the scores shows. In bf16 the formula takes the rounded operands, so that
/// only the rounding of the softmax is left: for each share up to 2⁻⁸ and the cubic's error.
#[test]
fn attention_matches_the_plain_formula() {
    use super::attention::{KeysValues, Scratch};
    for (tokens, heads, head_dim, spread) in [
        (1, 2, 32, 1.0),
        (2, 1, 64, 1.0),
        (63, 3, 16, 4.0),
        (64, 2, 64, 1.0),
        (65, 2, 5, 20.0),
        (197, 3, 64, 4.0),
        (256, 1, 8, 1.0),
        // Two blocks of keys, then three.
        (641, 2, 16, 20.0),
        (1226, 1, 64, 4.0),
        (1283, 1, 5, 4.0),
    ] {
        let dim = heads * head_dim;
        let scaled = |salt| -> Vec<f32> { sequence(tokens * dim, salt).iter().map(|x| spread * x).collect() };
        for precision in [Float::F32, Float::Bf16] {
            let rounded = |values: Vec<f32>| match precision {
                Float::F32 => values,
                Float::Bf16 => values.into_iter().map(round).collect(),
            };
            let (queries, keys, values) = (rounded(scaled(11)), rounded(scaled(12)), rounded(sequence(tokens * dim, 13)));
            let at = |matrix: &[f32], token: usize, head: usize, c: usize| f64::from(matrix[token * dim + head * head_dim + c]);
            let mut expected = vec![0.0f64; tokens * dim];
            for (token, out) in expected.chunks_exact_mut(dim).enumerate() {
                for (head, out) in out.chunks_exact_mut(head_dim).enumerate() {
                    let score =
                        |other| -> f64 { (0..head_dim).map(|c| at(&queries, token, head, c) * at(&keys, other, head, c)).sum() };
                    let scores: Vec<f64> = (0..tokens).map(|other| score(other) / (head_dim as f64).sqrt()).collect();
                    let largest = scores.iter().copied().fold(f64::NEG_INFINITY, f64::max);
                    let weights: Vec<f64> = scores.iter().map(|s| (s - largest).exp()).collect();
                    let total: f64 = weights.iter().sum();
                    for (c, out) in out.iter_mut().enumerate() {
                        *out = (0..tokens).map(|other| weights[other] / total * at(&values, other, head, c)).sum();
                    }
                }
            }
            for isa in Kernels::available() {
                let mut packed = KeysValues::new(precision);
                packed.fill(&sequence(300 * 6, 1), &sequence(300 * 6, 2), 6, 2);
                packed.fill(&keys, &values, dim, heads);
                let mut out = vec![0.0; tokens * dim];
                for (queries, out) in queries.chunks(48 * dim).zip(out.chunks_mut(48 * dim)) {
                    packed.attend(isa, queries, &mut Scratch::default(), out);
                }
                let tolerance = match precision {
                    Float::F32 if spread > 10.0 => 5e-5,
                    Float::F32 => 5e-6,
                    Float::Bf16 => 2f64.powi(-8) + 1e-4,
                };
                assert_close(&out, &expected, tolerance, &format!("{} {precision:?} {tokens} tokens, {heads} heads", isa.name()));
            }
        }
    }
}

/// Two blocks, the second with larger scores, against the exponentials: the error is the rounding to bf16 and the cubic's error.
#[test]
fn softmax_steps_in_bf16_match_double_precision() {
    for isa in Kernels::available() {
        for (rows, width) in [(1, 1), (3, 2), (2, 15), (3, 16), (2, 17), (1, 31), (2, 33), (2, 192)] {
            let mut state = vec![SoftmaxRow::default(); rows];
            let mut sums = vec![0.0f64; rows];
            for (block, spread) in [4.0, 40.0].into_iter().enumerate() {
                let scores: Vec<f32> = sequence(rows * width, 30 + block as u32).iter().map(|x| spread * x).collect();
                let before: Vec<f32> = state.iter().map(|s| s.largest).collect();
                let mut shares = vec![9; rows * width.div_ceil(2)];
                isa.softmax_step_pairs(&mut scores.clone(), 0.5, &mut state, &mut shares);
                for r in 0..rows {
                    let what = format!("{} {width}, row {r} of block {block}", isa.name());
                    let row = &scores[r * width..(r + 1) * width];
                    let largest = row.iter().fold(before[r], |a, b| a.max(*b));
                    let power = |x: f32| (0.5 * (f64::from(x) - f64::from(largest))).exp();
                    let expected: Vec<f64> = row.iter().map(|x| power(*x)).collect();
                    sums[r] = sums[r] * power(before[r]) + expected.iter().sum::<f64>();
                    let pairs = &shares[r * width.div_ceil(2)..(r + 1) * width.div_ceil(2)];
                    let half = |j: usize| halves(pairs[j / 2])[j % 2];
                    for (j, e) in expected.iter().enumerate() {
                        assert!(
                            (f64::from(half(j)) - e).abs() <= e * (2f64.powi(-8) + 1e-4),
                            "{what}: [{j}] is {}, expected {e}",
                            half(j)
                        );
                    }
                    assert!(width.is_multiple_of(2) || half(width) == 0.0, "{what}");
                    assert_eq!(state[r].largest, largest, "{what}");
                    assert_close(&[state[r].shrink], &[power(before[r])], 1e-4, &what);
                    assert!(
                        (f64::from(state[r].sum) - sums[r]).abs() <= 2e-4 * sums[r],
                        "{what}: sum {}, expected {}",
                        state[r].sum,
                        sums[r]
                    );
                }
            }
        }
    }
}

#[test]
fn dots_match_double_precision() {
    for isa in Kernels::available() {
        for (len, k) in [(1, 1), (15, 2), (64, 3), (200, 2), (1225, 10)] {
            let (values, matrix) = (sequence(2 * len, 14), sequence(len * k, 15));
            for precision in [Float::F32, Float::Bf16] {
                let rows = Rows::new(isa, values.clone(), len, precision);
                let columns = rows.columns(&matrix, k);
                let what = format!("{} {len}, {k} columns, {precision:?}", isa.name());
                for row in 0..2 {
                    let mut stored = vec![0.0; len];
                    rows.load(row, &mut stored);
                    assert!((0..len).all(|j| stored[j] == rows.get(row, j)), "{what}");
                    let dot = |c: usize| (0..len).map(|j| f64::from(stored[j]) * f64::from(matrix[j * k + c])).sum();
                    let expected: Vec<f64> = (0..k).map(dot).collect();
                    let mut out = vec![9.0; k];
                    isa.row_dots(&rows, row, &columns, &mut out);
                    assert_close(&out, &expected, 2e-5, &what);
                    let given: Vec<f64> = values[row * len..(row + 1) * len].iter().map(|v| f64::from(*v)).collect();
                    assert_close(&stored, &given, if precision == Float::F32 { 0.0 } else { 2f64.powi(-9) }, &what);
                }
            }
        }
    }
}

#[test]
fn bits_state_what_is_above() {
    for isa in Kernels::available() {
        for len in [1, 63, 64, 65, 200] {
            let (row, bounds) = (sequence(len, 24), sequence(len, 25));
            let mut bits = vec![u64::MAX; len.div_ceil(64)];
            isa.above(&row, 0.5, &bounds, &mut bits);
            let expected = |j: usize| j < len && row[j] > 0.5 * bounds[j];
            assert!((0..64 * bits.len()).all(|j| (bits[j / 64] >> (j % 64) & 1 == 1) == expected(j)), "{} {len}", isa.name());
        }
    }
}

#[test]
fn elu_gradients_and_adam_match_double_precision() {
    for isa in Kernels::available() {
        let (output, gradient) = (sequence(100, 16), sequence(100, 17));
        let mut out = gradient.clone();
        isa.elu_gradient(&output, &mut out);
        let slope = |h: f32| if h > 0.0 { 1.0 } else { f64::from(h) + 1.0 };
        let expected: Vec<f64> = output.iter().zip(&gradient).map(|(h, g)| slope(*h) * f64::from(*g)).collect();
        assert_close(&out, &expected, 2e-7, "elu gradient");

        let step = Adam { beta: [0.9, 0.999], rate: 0.02, root: 3.0, decay: 0.99, epsilon: 1e-8 };
        let squared = sequence(100, 20).iter().map(|x| x * x + 0.01).collect();
        let [mut p, mut m, mut v]: [Vec<f32>; 3] = [sequence(100, 18), sequence(100, 19), squared];
        let (mut moments, mut squares, mut parameters) = (Vec::new(), Vec::new(), Vec::new());
        for i in 0..100 {
            let [g, p, m, v] = [gradient[i], p[i], m[i], v[i]].map(f64::from);
            moments.push(m * 0.9 + g * 0.1);
            squares.push(v * 0.999 + g * g * 0.001);
            parameters.push(p * 0.99 - 0.02 * moments[i] / (squares[i].sqrt() * 3.0 + 1e-8));
        }
        isa.adam(step, &gradient, [&mut p, &mut m, &mut v]);
        for (actual, expected, what) in
            [(&m, moments, "first moment"), (&v, squares, "second moment"), (&p, parameters, "parameters")]
        {
            assert_close(actual, &expected, 2e-6, what);
        }
    }
}

#[test]
fn bits_are_expanded() {
    let bits: Vec<u64> = (1..7u64).map(|w| w.wrapping_mul(0x9e37_79b9_7f4a_7c15)).collect();
    for isa in Kernels::available() {
        let mut rows = Rows::default();
        for depth in [1, 31, 32, 63, 64, 65, 130, 192] {
            rows.fill_from_bits(isa, &bits, 3, depth, [-1.0, 2.0]);
            let value = |r: usize, j: usize| if bits[3 * r + j / 64] >> (j % 64) & 1 == 1 { 2.0 } else { -1.0 };
            let expected: Vec<f32> = (0..2 * depth).map(|at| value(at / depth, at % depth)).collect();
            assert_eq!(rows.to_vec(), expected, "{} {depth}", isa.name());
        }
    }
}

#[test]
fn rows_are_transposed() {
    for (rows, depth) in [(1, 1), (1, 5), (2, 3), (3, 2), (64, 64), (65, 127), (131, 70), (200, 33)] {
        for precision in [Float::F32, Float::Bf16] {
            let matrix = Rows::new(Kernels::detect(), sequence(rows * depth, 1), depth, precision);
            let (values, transposed) = (matrix.to_vec(), matrix.transposed());
            let expected: Vec<f32> = (0..depth * rows).map(|at| values[at % rows * depth + at / rows]).collect();
            assert_eq!(transposed.to_vec(), expected, "{rows} x {depth}");
            assert_eq!(transposed.transposed().to_vec(), values, "{rows} x {depth}");
        }
    }
}
