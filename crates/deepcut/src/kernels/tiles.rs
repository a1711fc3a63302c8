//! How the kernels of every instruction set divide a product or a masked sum among what they keep in registers. Macros, since a function would not
//! have the caller's instructions.

/// Takes the rows of a product as many at a time as the first pattern that fits says: `block` computes the first of them and returns how many.
///
/// The caller's contract is that of a `strip`, and every block's is that there are as many rows as its pattern says.
macro_rules! in_blocks {
    ($left:ident, $right:ident, $start:ident, $out:ident, $stride:ident; $($rows:pat => $block:path),+ $(,)?) => {
        let mut row = 0;
        while row < $left.rows() {
            let left = $left.slice(row, $left.rows() - row);
            let out = &mut $out[row * $stride..];
            // SAFETY: the caller's contract, for the rows from `row` on, of which there are at least as many as each call takes.
            row += unsafe {
                match left.rows() {
                    $($rows => $block(left, $right, $start, out, $stride),)+
                }
            };
        }
    };
}
pub(super) use in_blocks;

/// Takes the columns of a masked sum four at a time, which share the expansion of the bits: `group::<G>` sums the first G of them.
///
/// The caller's contract is that of a `masked_sums`.
macro_rules! in_groups {
    ($row:ident, $columns:ident, $out:ident; $group:ident) => {
        let stride = $row.len() * 64;
        for (group, out) in $out.chunks_mut(4).enumerate() {
            let columns = &$columns[group * 4 * stride..];
            // SAFETY: `columns` now begins at this group's first column and holds `out.len()` of them.
            unsafe {
                match out.len() {
                    1 => $group::<1>($row, columns, out),
                    2 => $group::<2>($row, columns, out),
                    3 => $group::<3>($row, columns, out),
                    _ => $group::<4>($row, columns, out),
                }
            }
        }
    };
}
pub(super) use in_groups;

/// Takes one row of a depthwise convolution, `lanes` channels at a time, as many pixels at a time as the first pattern that fits says: `run::<P>`
/// computes P of them. The value is how many channels that was.
///
/// The caller's contract is that of a `depthwise_row`, and every run's is that it ends within the row and its channels within a pixel.
macro_rules! in_runs {
    ($shape:ident, $input:ident, $out:ident, $lanes:expr; $($pixels:pat => $run:path),+ $(,)?) => {{
        let whole = $shape.channels / $lanes * $lanes;
        for channel in (0..whole).step_by($lanes) {
            let mut x = 0;
            while x < $shape.width {
                // SAFETY: the caller's contract; channel + lanes <= channels, and there are at least as many pixels as each call takes.
                x += unsafe {
                    match $shape.width - x {
                        $($pixels => $run($shape, $input, $out, x, channel),)+
                    }
                };
            }
        }
        whole
    }};
}
pub(super) use in_runs;
