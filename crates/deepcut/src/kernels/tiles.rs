//! Loops over the tiles that a kernel keeps in registers, shared by the instruction sets. They are macros, since a function would not be compiled with
//! the caller's instructions.

/// Loops over the rows of a product. The first pattern that matches the number of rows left selects the `block`, which computes some rows and returns
/// how many.
///
/// The caller has the contract of `strip`; a block may rely on as many rows as its pattern states.
macro_rules! in_blocks {
    ($left:ident, $right:ident, $start:ident, $out:ident, $stride:ident; $($rows:pat => $block:path),+ $(,)?) => {
        let mut row = 0;
        while row < $left.rows() {
            let left = $left.slice(row, $left.rows() - row);
            let out = &mut $out[row * $stride..];
            // SAFETY: the caller's contract holds for the rows from `row` on, and each pattern ensures that its block has enough of them.
            row += unsafe {
                match left.rows() {
                    $($rows => $block(left, $right, $start, out, $stride),)+
                }
            };
        }
    };
}
pub(super) use in_blocks;

/// Loops over the columns of a masked sum, four at a time: they share the expansion of the bits. `group::<G>` sums the first G of them.
///
/// The caller has the contract of `masked_sums`.
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

/// Loops over one row of a depthwise convolution, `lanes` channels at a time. The first pattern that matches the number of pixels left selects
/// `run::<P>`, which computes P pixels. Evaluates to the number of channels done.
///
/// The caller has the contract of `depthwise_row`; a run may rely on P pixels left in the row, and on `lanes` channels left in each.
macro_rules! in_runs {
    ($shape:ident, $input:ident, $out:ident, $lanes:expr; $($pixels:pat => $run:path),+ $(,)?) => {{
        let whole = $shape.channels / $lanes * $lanes;
        for channel in (0..whole).step_by($lanes) {
            let mut x = 0;
            while x < $shape.width {
                // SAFETY: the caller's contract; channel + lanes <= channels, and each pattern ensures that its run has enough pixels.
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
