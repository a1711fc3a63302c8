//! Sizes that the slices do not have, above all sizes whose products wrap: every call panics or returns, and none writes beyond its output. The address
//! sanitizer (`tools/sanitize`) shows reads beyond an input. Products wrap only without overflow checks, as in a released program: run
//! `cargo test --profile wrapping -p deepcut --lib kernels` too.

use super::attention::{KeysValues, Scratch, query_rows};
use super::operands::SoftmaxRow;
use super::packed::{Float, Packed, Rows};
use super::quantized::{MAX_DEPTH, Quantized};
use super::shape::{extent, is_shape, volume};
use super::{Depthwise, Kernels, Left, Right, Start};
use std::panic::{AssertUnwindSafe, catch_unwind};

const CANARY: f32 = -77.25;
/// Values before and behind an output: more than any kernel writes at a time.
const MARGIN: usize = 4096;

/// Calls `work` with an output between margins that must not change. Returns whether `work` returned.
fn returns(len: usize, what: &str, work: impl FnOnce(&mut [f32])) -> bool {
    let mut memory = vec![CANARY; len + 2 * MARGIN];
    let returned = catch_unwind(AssertUnwindSafe(|| work(&mut memory[MARGIN..MARGIN + len]))).is_ok();
    let margins = memory[..MARGIN].iter().chain(&memory[MARGIN + len..]);
    assert_eq!(margins.filter(|x| **x != CANARY).count(), 0, "{what}: values written beyond the output");
    returned
}

fn refused(what: &str, work: impl FnOnce()) {
    assert!(!returns(0, what, |_| work()), "{what}: accepted");
}

#[test]
fn volumes_that_wrap_are_none() {
    const HUGE: usize = 1 << (usize::BITS / 2);
    assert_eq!(volume([3, 4, 5]), Some(60));
    assert_eq!(volume([HUGE, HUGE]), None);
    assert_eq!([volume([HUGE, HUGE, 0]), volume([0, HUGE, HUGE])], [Some(0); 2]);
    // The bits of a masked sum: slices of a few gigabytes can have these sizes.
    assert!(!is_shape(0, [1 << (usize::BITS / 2 - 3), 1 << (usize::BITS / 2 - 3), 64]));
    assert_eq!(extent([4, 4], [usize::MAX / 3 + 1, 1]), None);
    assert_eq!(extent([2, 3], [10, 2]), Some(15));
    assert_eq!(extent([0, 3], [usize::MAX, 2]), Some(0));
    // A stride of zero.
    assert_eq!(extent([usize::MAX, 1], [0, 1]), Some(1));
}

/// Name and call of a product.
type Product<'a> = (&'a str, &'a dyn Fn(&mut [f32]));

/// Sizes that corrupted memory once, or could have.
#[test]
fn sizes_that_wrap_are_refused() {
    let rows = (1usize << (usize::BITS - 5)) + 1;
    for isa in Kernels::available() {
        let name = isa.name();
        let products: [Product<'_>; 4] = [
            ("gemm", &|out| isa.gemm(Left::row_major(&[], rows, 0), Right::row_major(&[], 0, 32), Start::Zero, out)),
            ("gemm_parallel", &|out| {
                isa.gemm_parallel(Left::row_major(&[], rows, 0), Right::row_major(&[], 0, 32), Start::Zero, out);
            }),
            ("gemm of pairs", &|out| {
                isa.gemm(Left::row_major(&[], rows, 0), Right::paired_rows(&[], 0, 32), Start::Zero, out);
            }),
            ("gemm_quantized", &|out| {
                isa.gemm_quantized(Left::row_major(&[], rows, 0), &Quantized::from_columns(&[], 0, 32), Start::Zero, out);
            }),
        ];
        for (what, product) in products {
            assert!(!returns(32, &format!("{name}: {what}"), product), "{name}: {what}");
        }
        let kernel = 1usize << (usize::BITS / 2);
        for channels in [1, 8, 16, 48] {
            let bias = vec![0.0; channels];
            let shape = Depthwise { weights: &[], bias: &bias, kernel, channels, width: 1 };
            assert!(!returns(channels, name, |out| isa.depthwise_row(shape, &[], out)), "{name}: a kernel whose area wraps");
        }
        refused("pairs of rows", || isa.pair_rows(&[], 1 << (usize::BITS - 1), &mut [0; 2]));
        refused("words", || isa.bit_product(&[1], 1 << (usize::BITS - 6), &[], 1, &mut [0.0]));
        let one = Quantized::from_columns(&[1.0; 65], 65, 1);
        refused("words in int8", || isa.bit_product_quantized(&[1], 1, &one, &mut [0.0]));
        refused("rows in int8", || isa.bit_product_quantized(&[1; 3], 2, &one, &mut [0.0; 2]));
        refused("no columns in int8", || isa.bit_product_quantized(&[], 2, &Quantized::from_columns(&[], 65, 0), &mut []));
    }
    let half = 1usize << (usize::BITS / 2);
    refused("stride", || {
        let _ = Left::strided(&[1.0; 8], 4, 4, usize::MAX / 3 + 1).rows();
    });
    refused("rows of the left", || {
        let _ = Left::row_major(&[], half, half).rows();
    });
    refused("columns of the left", || {
        let _ = Left::transposed(&[], half, half).rows();
    });
    refused("the right", || {
        let _ = Right::row_major(&[], half, half).columns();
    });
    refused("the right in pairs", || {
        let _ = Right::paired_rows(&[], 2 * half, half).columns();
    });
    refused("columns of a matrix", || {
        let _ = Packed::from_columns(&[], half, half);
    });
    refused("rows of a matrix", || {
        let _ = Packed::from_rows(&[], half, half);
    });
    refused("strides", || Packed::default().fill(&[1.0; 8], [4, 4], [usize::MAX / 3 + 1, 1]));
    refused("strides beyond the end", || Packed::default().fill(&[1.0; 8], [3, 3], [3, 3]));
    refused("weights", || {
        let _ = Quantized::from_columns(&[], half, half);
    });
    refused("weights by rows", || {
        let _ = Quantized::from_rows(&[], half, half);
    });
    refused("a sum by rows that wraps", || {
        let _ = Quantized::from_rows(&vec![1.0; MAX_DEPTH + 1], MAX_DEPTH + 1, 1);
    });
    refused("a column within a panel", || {
        let _ = Quantized::from_columns(&[1.0; 20], 1, 20).at_column(8);
    });
    refused("a column beyond the last", || {
        let _ = Quantized::from_columns(&[1.0; 20], 1, 20).at_column(32);
    });
    refused("a sum that wraps", || {
        let _ = Quantized::from_columns(&vec![1.0; MAX_DEPTH + 1], MAX_DEPTH + 1, 1);
    });
    refused("rows kept", || {
        let _ = Rows::new(Kernels::detect(), vec![1.0; 3], 2, Float::Bf16);
    });
    refused("heads", || KeysValues::default().fill(&[], &[], 0, 0));
}

/// Products without elements return.
#[test]
fn products_of_no_size_return() {
    let isas = Kernels::available();
    for (isa, [m, k, n]) in isas.into_iter().flat_map(|isa| {
        [[0, 3, 40], [0, 3, 2000], [0, 0, 0], [5, 0, 40], [5, 3, 0], [usize::MAX, 0, 0], [usize::MAX, 3, 0], [0, 0, 70]]
            .map(|shape| (isa, shape))
    }) {
        let what = format!("{} {m} x {k} x {n}", isa.name());
        let (rows, len) = (if n == 0 || k == 0 { 0 } else { m * k }, if n == 0 { 0 } else { m * n });
        let (left, right, pairs) = (vec![1.0; rows], vec![1.0; k * n], vec![0; k.div_ceil(2) * n]);
        // Only a matrix without columns can have so many rows.
        let m = if m == usize::MAX && k > 0 { 0 } else { m };
        let sides = [Right::row_major(&right, k, n), Right::paired_rows(&pairs, k, n)];
        let bias = vec![0.5; n];
        for start in [Start::Zero, Start::Bias(&bias), Start::Residual(&bias), Start::Accumulate] {
            let wide = Left { data: &left, rows: m, depth: k, row_stride: k, depth_stride: 1 };
            if !wide.is_whole() {
                continue;
            }
            for right in sides {
                assert!(returns(len, &what, |out| isa.gemm(wide, right, start, out)), "{what}");
                assert!(returns(len, &what, |out| isa.gemm_parallel(wide, right, start, out)), "{what}");
            }
            let quantized = Quantized::from_columns(&right, k, n);
            assert!(returns(len, &what, |out| isa.gemm_quantized(wide, &quantized, start, out)), "{what}");
            for precision in [Float::F32, Float::Bf16] {
                let kept = Rows::new(isa, left.clone(), k, precision);
                let right = sides[usize::from(precision == Float::Bf16)];
                assert!(returns(len, &what, |out| isa.gemm_rows(&kept, 0, right, start, out)), "{what} {precision:?}");
            }
        }
    }
    for isa in Kernels::available() {
        let mut keys_values = KeysValues::default();
        keys_values.fill(&[0.5; 70 * 4], &[0.5; 70 * 4], 4, 2);
        keys_values.attend(isa, &[], &mut Scratch::default(), &mut []);
        isa.pair_rows(&[], 0, &mut []);
        isa.softmax(&mut [], 0);
        isa.softmax_step(&mut [], 1.0, &mut []);
        isa.softmax_step_pairs(&mut [], 1.0, &mut [], &mut []);
        isa.layer_norm(&[], &[], &[], 1e-6, &mut []);
        isa.bit_product(&[], 3, &[], 2, &mut []);
        isa.masked_sums(&[], &[], &mut [1.0; 3]);
        let shape = Depthwise { weights: &[], bias: &[], kernel: 3, channels: 0, width: usize::MAX };
        isa.depthwise_row(shape, &[], &mut []);
        assert!(query_rows(isa, usize::MAX) > 0);
    }
}

/// Sizes of a hostile or mistaken caller: small ones, powers of two and their neighbors.
struct Sizes(u64);

impl Sizes {
    fn next(&mut self, below: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % below
    }

    fn small(&mut self) -> usize {
        [0, 1, 2, 3, 7, 8, 9, 15, 16, 17, 31, 32, 33, 48, 49, 64][self.next(16)]
    }

    fn any(&mut self) -> usize {
        match self.next(4) {
            0 => 1usize.rotate_left(self.next(64) as u32).wrapping_add(self.next(3)).wrapping_sub(1),
            1 => (usize::MAX / (1 + self.next(5))).wrapping_add(self.next(3)).wrapping_sub(1),
            _ => self.small(),
        }
    }

    /// The length that a wrapped product asks for, or one near it, if that can be allocated.
    fn len(&mut self, wrapped: usize) -> usize {
        let len = if wrapped <= 1 << 16 { wrapped } else { self.small() };
        if self.next(8) == 0 { len.saturating_sub(1) } else { len }
    }
}

#[test]
fn no_sizes_lead_beyond_the_output() {
    let product = |sides: &[usize]| sides.iter().fold(1usize, |product, side| product.wrapping_mul(*side));
    let mut sizes = Sizes(7);
    for (round, isa) in (0..600).flat_map(|round| Kernels::available().into_iter().map(move |isa| (round, isa))) {
        let [m, k, n, stride] = [(); 4].map(|()| sizes.any());
        let what = format!("round {round}, {} {m} x {k} x {n}, stride {stride}", isa.name());
        let pairs = k.div_ceil(2);
        let (a, b) = (vec![1.0; sizes.len(product(&[m, k]))], vec![1.0; sizes.len(product(&[k, n]))]);
        let strided = m.wrapping_sub(1).wrapping_mul(stride).wrapping_add(k);
        let (wide, packed_pairs) = (vec![1.0; sizes.len(strided)], vec![0u32; sizes.len(product(&[pairs, n]))]);
        let (out, bias) = (sizes.len(product(&[m, n])), vec![0.5; sizes.len(n)]);
        let start = [Start::Zero, Start::Bias(&bias), Start::Residual(&bias), Start::Accumulate][sizes.next(4)];
        let kind = sizes.next(4);
        returns(out, &what, |out| {
            let left = match kind {
                0 => Left::transposed(&a, m, k),
                1 => Left::strided(&wide, m, k, stride),
                _ => Left::row_major(&a, m, k),
            };
            match round % 4 {
                0 => isa.gemm(left, Right::row_major(&b, k, n), start, out),
                1 => isa.gemm(left, Right::paired_rows(&packed_pairs, k, n), start, out),
                2 => isa.gemm_parallel(left, Right::row_major(&b, k, n), start, out),
                _ => isa.gemm(left, &Packed::from_columns(&b, k, n), start, out),
            }
        });
        // With k = 0, a huge number of columns would pass the check and be allocated.
        if k > 0 {
            returns(out, &what, |out| {
                let right = Quantized::from_columns(&b, k, n);
                isa.gemm_quantized(Left::strided(&wide, m, k, stride), &right, start, out);
            });
        }
        let (first, precision) = (sizes.any(), [Float::F32, Float::Bf16][round % 2]);
        returns(out, &what, |out| {
            let rows = Rows::new(isa, a.clone(), k, precision);
            let right = if round % 2 == 0 { Right::row_major(&b, k, n) } else { Right::paired_rows(&packed_pairs, k, n) };
            isa.gemm_rows(&rows, first, right, start, out);
        });

        let [kernel, channels, width] = [m, k, n];
        let padded = width.wrapping_add(kernel).wrapping_sub(1);
        let (weights, bias) = (vec![1.0; sizes.len(product(&[kernel, kernel, channels]))], vec![1.0; sizes.len(channels)]);
        let input = vec![1.0; sizes.len(product(&[kernel, padded, channels]))];
        let shape = Depthwise { weights: &weights, bias: &bias, kernel, channels, width };
        returns(sizes.len(product(&[width, channels])), &what, |out| isa.depthwise_row(shape, &input, out));

        let (row, count) = (vec![u64::MAX; sizes.small()], sizes.small());
        let columns = vec![1.0; sizes.len(product(&[count, row.len(), 64]))];
        returns(count, &what, |out| isa.masked_sums(&row, &columns, out));
        let bits = vec![u64::MAX; sizes.len(product(&[m, k]))];
        returns(sizes.len(product(&[m, n])), &what, |out| isa.bit_product(&bits, k, &b, n, out));
        let mut states = vec![SoftmaxRow::default(); sizes.small()];
        let mut shares = vec![0; sizes.len(product(&[states.len(), count.div_ceil(2)]))];
        returns(sizes.len(product(&[states.len(), count])), &what, |scores| {
            isa.softmax_step_pairs(scores, 0.5, &mut states, &mut shares);
        });
        returns(sizes.small(), &what, |values| isa.softmax(values, n));
        returns(sizes.small(), &what, |out| isa.layer_norm(&a, &bias, &weights, 1e-6, out));
        returns(sizes.small(), &what, |out| isa.elu_gradient(&a, out));
        returns(0, &what, |_| isa.pair_rows(&a, k, &mut shares));
        let (tokens, heads, head_dim) = (sizes.small(), 1 + sizes.next(3), 1 + sizes.next(20));
        let dim = if round % 3 == 0 { sizes.any() } else { heads * head_dim };
        let keys = vec![0.5; sizes.len(tokens * heads * head_dim)];
        let queries = vec![0.5; sizes.len(count * heads * head_dim)];
        returns(queries.len(), &what, |out| {
            let mut keys_values = KeysValues::new(precision);
            keys_values.fill(&keys, &keys, dim, heads);
            keys_values.attend(isa, &queries, &mut Scratch::default(), out);
        });
    }
}
