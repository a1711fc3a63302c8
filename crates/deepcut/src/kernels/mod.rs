//! The inner loops: one implementation for each instruction set, chosen at run time.
//!
//! A file imports only files above it in this table; `tests/structure.rs` checks that there is no circle.
//!
//! | file                  | contents                                                            |
//! |-----------------------|---------------------------------------------------------------------|
//! | [`parallel`]          | work over independent pieces                                        |
//! | `shape.rs`            | sizes of arrays, computed without wrapping                          |
//! | `precision.rs`        | rounding of the factors of products                                 |
//! | `rounding.rs`         | rounding of single values                                           |
//! | `operands.rs`         | arguments of the kernels: views of matrices, and others             |
//! | [`quantized`]         | operands of products in int8                                        |
//! | `tiles.rs`            | loops over the tiles that a kernel keeps in registers               |
//! | `elementwise.rs`      | functions shared by all sets, vectorized by the compiler            |
//! | `elementwise_bits.rs` | the same for rows of bits                                           |
//! | `compiled.rs`         | these functions compiled for one set                                |
//! | `table.rs`            | the functions of one set                                            |
//! | `native.rs`           | any processor; the plain reference the others are tested against    |
//! | `avx2.rs`             | x86-64 with AVX2 and FMA                                            |
//! | `avx2_int8.rs`        | the same: products in int8                                          |
//! | `avx512.rs`           | x86-64 with AVX-512F too                                            |
//! | `avx512_vnni.rs`      | x86-64 with AVX512-BW, VL and VNNI too: products in int8            |
//! | `avx512_bf16.rs`      | x86-64 with AVX512-BF16 too: products in bf16                       |
//! | `neon.rs`             | 64-bit ARM                                                          |
//! | `simd128.rs`          | WebAssembly with vectors, plain and relaxed                         |
//! | `isa.rs`              | [`Kernels`]: a handle on the table of one set                       |
//! | `rowwise.rs`          | its methods on rows of values                                       |
//! | `bits.rs`             | its methods on rows of bits                                         |
//! | `rows.rs`             | a matrix kept as the left side of many products                     |
//! | [`packed`]            | a matrix kept as the right side of a product                        |
//! | `gemm.rs`             | products in f32 and bf16                                            |
//! | `int8.rs`             | products in int8                                                    |
//! | [`rates`]             | products timed on this processor                                    |
//! | [`attention`]         | streamed attention: products and softmax, a block at a time         |
//! | `widest.rs`           | loops that are the same to the bit, compiled for each width         |
//!
//! The rest of the library takes a [`Kernels`] as an argument, so that two sets can be compared in one process. A kernel computes each output in an order
//! that depends on neither the number of threads nor the position in a block: results are the same to the last bit on one thread or many.

pub mod attention;
#[cfg(target_arch = "x86_64")]
#[allow(unsafe_code)]
mod avx2;
#[cfg(target_arch = "x86_64")]
#[allow(unsafe_code)]
mod avx2_int8;
#[cfg(target_arch = "x86_64")]
#[allow(unsafe_code)]
mod avx512;
#[cfg(target_arch = "x86_64")]
#[allow(unsafe_code)]
mod avx512_bf16;
#[cfg(target_arch = "x86_64")]
#[allow(unsafe_code)]
mod avx512_vnni;
mod bits;
mod compiled;
mod elementwise;
mod elementwise_bits;
mod gemm;
mod int8;
mod isa;
mod native;
#[cfg(target_arch = "aarch64")]
#[allow(unsafe_code)]
mod neon;
mod operands;
pub mod packed;
pub mod parallel;
mod precision;
pub mod quantized;
pub mod rates;
mod rounding;
mod rows;
mod rowwise;
mod shape;
#[cfg(all(target_arch = "wasm32", target_feature = "simd128"))]
#[allow(unsafe_code)]
mod simd128;
mod table;
#[cfg(any(target_arch = "x86_64", target_arch = "aarch64", all(target_arch = "wasm32", target_feature = "simd128")))]
mod tiles;
#[allow(unsafe_code)]
pub(crate) mod widest;

pub(crate) use elementwise::{exponential, logistic};
pub use isa::Kernels;
pub use operands::{Adam, Depthwise, Left, Right, Start};
pub(crate) use shape::{first_not_finite, is_shape, volume};

#[cfg(test)]
mod absurd_sizes;
#[cfg(test)]
mod tests;
