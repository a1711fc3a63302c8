//! Pieces of a part that are small beside the whole of it join the part that they touch most.

use crate::components::Components;
use crate::segment::neighbors;
use crate::train::argmax;

/// Gives the patches of small pieces to a neighbor part: pieces, 4-connected, of less than the share `least` of their part's patches in this image.
/// `shares` are `[patches, k]`, zeros outside the object; `size` is the grid's rows and columns. The smallest go first, and a piece that touches no other part stays.
pub(super) fn join(shares: &mut [f32], k: usize, (height, width): (usize, usize), least: f32) {
    if least <= 0.0 {
        return;
    }
    // At most one pass for each piece: every pass but the last joins one to a neighbor.
    for _ in 0..shares.len() / k.max(1) {
        let labels: Vec<Option<usize>> =
            shares.chunks_exact(k).map(|row| row.iter().any(|share| *share > 0.0).then(|| argmax(row))).collect();
        let Some((piece, into)) = smallest(&labels, k, (height, width), least) else { return };
        for cell in piece {
            let row = &mut shares[cell * k..(cell + 1) * k];
            row.fill(0.0);
            row[into] = 1.0;
        }
    }
}

/// The smallest piece below its part's share that touches another part: its patches, and the part that it touches most.
fn smallest(labels: &[Option<usize>], k: usize, (height, width): (usize, usize), least: f32) -> Option<(Vec<usize>, usize)> {
    let mut best: Option<(Vec<usize>, usize)> = None;
    for part in 0..k {
        let found = Components::find(height, width, |cell| labels[cell] == Some(part));
        let area: usize = found.list().iter().map(|piece| piece.area).sum();
        let mut cells = vec![Vec::new(); found.list().len()];
        found.each_cell(|piece, cell| cells[piece].push(cell));
        for piece in cells {
            let is_small = (piece.len() as f32) < least * area as f32;
            if !is_small || best.as_ref().is_some_and(|(best, _)| best.len() <= piece.len()) {
                continue;
            }
            let mut touches = vec![0; k];
            for &cell in &piece {
                for other in neighbors(cell, width, height * width).filter_map(|other| labels[other]) {
                    touches[other] += usize::from(other != part);
                }
            }
            let most = touches.iter().max().copied().unwrap_or_default();
            if let Some(into) = touches.iter().position(|count| *count == most).filter(|_| most > 0) {
                best = Some((piece, into));
            }
        }
    }
    best
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Parts drawn by digits; `.` is background.
    fn shares(drawing: &[&str], k: usize) -> Vec<f32> {
        let row = |c: char| (0..k).map(move |part| f32::from(u8::from(c.to_digit(10) == Some(part as u32))));
        drawing.iter().flat_map(|line| line.chars()).flat_map(row).collect()
    }

    #[track_caller]
    fn assert_joined(before: &[&str], least: f32, after: &[&str]) {
        let mut found = shares(before, 3);
        join(&mut found, 3, (before.len(), before[0].len()), least);
        assert_eq!(found, shares(after, 3));
    }

    #[test]
    fn a_speck_joins_the_part_around_it() {
        let before = ["00000000", "01000000", "00001111", "22221111"];
        assert_joined(&before, 0.2, &["00000000", "00000000", "00001111", "22221111"]);
        assert_joined(&before, 0.1, &before);
        assert_joined(&before, 0.0, &before);
    }

    #[test]
    fn a_speck_apart_from_all_parts_stays() {
        let before = ["1...", "..11", "..11", "..00"];
        assert_joined(&before, 0.5, &before);
    }

    /// Two specks of different parts side by side within a third: each joins the part that it touches most.
    #[test]
    fn specks_join_one_after_the_other() {
        let before = ["000000", "001200", "000000", "111222", "111222"];
        assert_joined(&before, 0.5, &["000000", "000000", "000000", "111222", "111222"]);
    }
}
