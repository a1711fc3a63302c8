//! Sizes of arrays, computed without wrapping.

/// Number of values in an array of this shape; `None` if it wraps. Every contract on sizes is checked with it: a wrapped product would let a kernel
/// walk beyond its slices.
pub(crate) fn volume<const N: usize>(shape: [usize; N]) -> Option<usize> {
    if shape.contains(&0) { Some(0) } else { shape.into_iter().try_fold(1usize, |volume, side| volume.checked_mul(side)) }
}

/// Whether `len` values make an array of this shape.
pub(crate) fn is_shape<const N: usize>(len: usize, shape: [usize; N]) -> bool {
    volume(shape) == Some(len)
}

/// Number of values up to and including the last element of a strided array: 0 if a side is zero, `None` if it wraps.
pub(super) fn extent<const N: usize>(shape: [usize; N], strides: [usize; N]) -> Option<usize> {
    if shape.contains(&0) {
        return Some(0);
    }
    shape.into_iter().zip(strides).try_fold(1usize, |end, (side, stride)| end.checked_add((side - 1).checked_mul(stride)?))
}

/// Index of the first row, of `width` values, that holds NaN or infinity.
pub(crate) fn first_not_finite(values: &[f32], width: usize) -> Option<usize> {
    // No early exit from a row, so that the compiler vectorizes the loop.
    let finite = |row: &[f32]| row.iter().fold(true, |finite, x| finite & x.is_finite());
    values.chunks_exact(width).position(|row| !finite(row))
}
