//! Each kernel under each instruction set, with its arithmetic rate: items are floating-point operations.

use deepcut::internals::kernels::packed::{Float, Packed};
use deepcut::internals::kernels::quantized::Quantized;
use deepcut::internals::kernels::{Depthwise, Kernels, Left, Start};
use divan::counter::ItemsCount;
use divan::{Bencher, black_box};

fn main() {
    divan::main();
}

const SETS: [&str; 3] = ["native", "avx2", "avx512"];

fn values(len: usize) -> Vec<f32> {
    (0..len).map(|i| ((i * 37) % 101) as f32 / 101.0 - 0.5).collect()
}

/// Products of one task: rows, depth, columns.
const PRODUCTS: [(&str, [usize; 3]); 6] = [
    ("embedded expand 196x224x672", [196, 224, 672]),
    ("vit-s qkv 48x384x384", [48, 384, 384]),
    ("vit-s mlp 48x384x1536", [48, 384, 1536]),
    ("vit-s mlp 48x1536x384", [48, 1536, 384]),
    ("attention scores 48x64x256", [48, 64, 256]),
    ("attention values 48x256x64", [48, 256, 64]),
];

#[divan::bench(args = SETS, consts = [0, 1, 2, 3, 4, 5])]
fn gemm<const PRODUCT: usize>(bencher: Bencher<'_, '_>, set: &str) {
    let Some(isa) = Kernels::by_name(set) else { return };
    let [m, k, n] = PRODUCTS[PRODUCT].1;
    let (a, b) = (values(m * k), Packed::from_rows(&values(k * n), k, n));
    let mut out = vec![0.0; m * n];
    bencher
        .counter(ItemsCount::new(2 * m * k * n))
        .bench_local(|| isa.gemm(Left::row_major(black_box(&a), m, k), &b, Start::Zero, &mut out));
}

/// The same with both sides in bf16, where the processor multiplies such.
#[divan::bench(args = ["avx512_bf16"], consts = [0, 1, 2, 3, 4, 5])]
fn gemm_bf16<const PRODUCT: usize>(bencher: Bencher<'_, '_>, set: &str) {
    let Some(isa) = Kernels::by_name(set) else { return };
    let [m, k, n] = PRODUCTS[PRODUCT].1;
    let a = values(m * k);
    let mut b = Packed::new(Float::Bf16);
    b.fill_from_rows(&values(k * n), k, n);
    let mut out = vec![0.0; m * n];
    bencher
        .counter(ItemsCount::new(2 * m * k * n))
        .bench_local(|| isa.gemm(Left::row_major(black_box(&a), m, k), &b, Start::Zero, &mut out));
}

/// The same with both sides in int8, the left one rounded in each product.
#[divan::bench(args = ["avx2", "avx512_vnni"], consts = [0, 1, 2, 3, 4, 5])]
fn gemm_int8<const PRODUCT: usize>(bencher: Bencher<'_, '_>, set: &str) {
    let Some(isa) = Kernels::by_name(set) else { return };
    let [m, k, n] = PRODUCTS[PRODUCT].1;
    let (a, b) = (values(m * k), Quantized::from_columns(&values(k * n), k, n));
    let mut out = vec![0.0; m * n];
    bencher
        .counter(ItemsCount::new(2 * m * k * n))
        .bench_local(|| isa.gemm_quantized(Left::row_major(black_box(&a), m, k), &b, Start::Zero, &mut out));
}

/// The bit graph's product with features in int8.
#[divan::bench(args = ["avx2", "avx512_vnni"])]
fn bit_product_int8_48x1936x128(bencher: Bencher<'_, '_>, set: &str) {
    let Some(isa) = Kernels::by_name(set) else { return };
    let (rows, n, width) = (48, 1936usize, 128);
    let words = n.div_ceil(64);
    let bits: Vec<u64> = (0..(rows * words) as u64).map(|w| w.wrapping_mul(0x9e37_79b9_7f4a_7c15)).collect();
    let right = Quantized::from_rows(&values(n * width), n, width);
    let mut out = vec![0.0; rows * width];
    let product = ItemsCount::new(2 * rows * n * width);
    bencher.counter(product).bench_local(|| isa.bit_product_quantized(black_box(&bits), words, &right, &mut out));
}

/// A row of a stage-1 depthwise convolution at 224 × 224.
#[divan::bench(args = SETS)]
fn depthwise_7x7_56x48(bencher: Bencher<'_, '_>, set: &str) {
    let Some(isa) = Kernels::by_name(set) else { return };
    let (kernel, channels, width) = (7, 48, 56);
    let (weights, bias) = (values(kernel * kernel * channels), values(channels));
    let input = values(kernel * (width + kernel - 1) * channels);
    let mut out = vec![0.0; width * channels];
    let shape = Depthwise { weights: &weights, bias: &bias, kernel, channels, width };
    bencher
        .counter(ItemsCount::new(2 * kernel * kernel * width * channels))
        .bench_local(|| isa.depthwise_row(shape, black_box(&input), &mut out));
}

/// A row of the bit graph's product with two clusters, 1,225 nodes.
#[divan::bench(args = SETS)]
fn masked_sums_1225x2(bencher: Bencher<'_, '_>, set: &str) {
    let Some(isa) = Kernels::by_name(set) else { return };
    let words = 1225usize.div_ceil(64);
    let row: Vec<u64> = (0..words as u64).map(|w| w.wrapping_mul(0x9e37_79b9_7f4a_7c15)).collect();
    let columns = values(2 * words * 64);
    let mut out = [0.0; 2];
    bencher.counter(ItemsCount::new(2 * words * 64)).bench_local(|| isa.masked_sums(black_box(&row), &columns, &mut out));
}

/// The bit graph's product with features, as many rows as one task takes; items are the operations of a product with every weight.
#[divan::bench(args = SETS)]
fn bit_product_256x1936x128(bencher: Bencher<'_, '_>, set: &str) {
    let Some(isa) = Kernels::by_name(set) else { return };
    let (rows, nodes, dim) = (256, 1936usize, 128);
    let words = nodes.div_ceil(64);
    let bits: Vec<u64> = (0..(rows * words) as u64).map(|w| w.wrapping_mul(0x9e37_79b9_7f4a_7c15)).collect();
    let (features, mut out) = (values(nodes * dim), vec![0.0; rows * dim]);
    bencher
        .counter(ItemsCount::new(2 * rows * nodes * dim))
        .bench_local(|| isa.bit_product(black_box(&bits), words, &features, dim, &mut out));
}

/// Items are values.
#[divan::bench(args = SETS)]
fn gelu_100k(bencher: Bencher<'_, '_>, set: &str) {
    let Some(isa) = Kernels::by_name(set) else { return };
    bencher.counter(ItemsCount::new(100_000usize)).with_inputs(|| values(100_000)).bench_local_values(|mut x| {
        isa.gelu(&mut x);
        x
    });
}

/// Items are values.
#[divan::bench(args = SETS)]
fn elu_100k(bencher: Bencher<'_, '_>, set: &str) {
    let Some(isa) = Kernels::by_name(set) else { return };
    bencher.counter(ItemsCount::new(100_000usize)).with_inputs(|| values(100_000)).bench_local_values(|mut x| {
        isa.elu(&mut x);
        x
    });
}
