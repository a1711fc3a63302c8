//! How the kernels of every instruction set divide a product or a masked sum among what they keep in registers. Macros, since a function would not
//! have the caller's instructions.

/// Takes the rows of a product as many at a time as the first pattern that fits says: `block` computes the first of them and returns how many.
///
/// The caller's contract is that of a `strip`, and every block's is that there are as many rows as its pattern says.
macro_rules! in_blocks {
    ($left:ident, $right:ident, $start:ident, $out:ident, $stride:ident; $($rows:pat => $block:path),+ $(,)?) => {
        let mut row = 0;
        while row < $left.rows {
            let left = $left.slice(row, $left.rows - row);
            let out = &mut $out[row * $stride..];
            // SAFETY: the caller's contract, for the rows from `row` on, of which there are at least as many as each call takes.
            row += unsafe {
                match left.rows {
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
