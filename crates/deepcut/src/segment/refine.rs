//! Moves the labels' edges to the image's edges, with the bilateral solver.

use super::bilateral::{BilateralGrid, CONFIDENCE, LAMBDA};
use crate::image::Image;

/// Weight of smoothness unless the published solver is asked for, whose 256 takes more of good masks than it gives.
const LAMBDA_OURS: f64 = 8.0;
/// Pixels so near to another label, in patches, are in doubt then: only there does the grid leave the edge open.
const DOUBT: f64 = 0.5;
/// Their confidence.
const CONFIDENCE_IN_DOUBT: f64 = 0.1;

/// Solves for every label that occurs and gives each pixel of `labels` the label of the largest solution: with two labels, solution above one
/// half. `grid` is the size of the grid of patches that the labels were made on.
pub(super) fn refine(image: &Image, labels: &mut Vec<u8>, grid: (usize, usize), published: bool) {
    let mut occurs = [false; 256];
    labels.iter().for_each(|&label| occurs[usize::from(label)] = true);
    let present: Vec<u8> = (0..=u8::MAX).filter(|&label| occurs[usize::from(label)]).collect();
    let Some((&first, others)) = present.split_first() else { return };
    let size = (image.height(), image.width());
    let (rows, columns) = grid;
    let grid = BilateralGrid::new(image);
    // The published code trusts every pixel alike.
    let (lambda, doubt) = if published { (LAMBDA, 0.0) } else { (LAMBDA_OURS, DOUBT) };
    let reach = |side: usize, cells: usize| (side as f64 / cells.max(1) as f64 * doubt).round() as usize;
    let certain = within_label(labels, size, reach(size.0, rows), reach(size.1, columns));
    let solve = |label: u8| {
        let target = |at: usize| if labels[at] == label { 1.0 } else { 0.0 };
        grid.solve(lambda, target, |at| if certain[at] { CONFIDENCE } else { CONFIDENCE_IN_DOUBT })
    };
    // The solutions of all labels sum to one, so two labels need one solution.
    let mut best: Vec<f32> = if others.len() == 1 { vec![0.5; labels.len()] } else { solve(first) };
    let mut found = vec![first; best.len()];
    for &label in others {
        for ((value, best), to) in solve(label).into_iter().zip(&mut best).zip(&mut found) {
            if value > *best {
                (*best, *to) = (value, label);
            }
        }
    }
    *labels = found;
}

/// No label: there are fewer.
const MIXED: u8 = u8::MAX;

/// Which pixels see no label but their own within `down` rows and within `across` columns of them.
fn within_label(labels: &[u8], (height, width): (usize, usize), down: usize, across: usize) -> Vec<bool> {
    let (mut rows, mut both) = (vec![0; labels.len()], vec![0; labels.len()]);
    for y in 0..height {
        within_run(labels, &mut rows, (0..width).map(|x| y * width + x), across);
    }
    for x in 0..width {
        within_run(&rows, &mut both, (0..height).map(|y| y * width + x), down);
    }
    both.into_iter().map(|label| label != MIXED).collect()
}

/// Copies the values at the places `line`, but for those with another value within `reach` places, which become [`MIXED`].
fn within_run(from: &[u8], to: &mut [u8], line: impl DoubleEndedIterator<Item = usize> + Clone, reach: usize) {
    line.clone().for_each(|at| to[at] = from[at]);
    let mut mark = |line: &mut dyn Iterator<Item = usize>| {
        // The line's ends are no edges.
        let (mut since, mut before) = (reach, None);
        for at in line {
            since = if before.is_some_and(|before| before != from[at]) { 0 } else { since.saturating_add(1) };
            before = Some(from[at]);
            if since < reach {
                to[at] = MIXED;
            }
        }
    };
    mark(&mut line.clone());
    mark(&mut line.rev());
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Against looking around every pixel.
    #[test]
    fn pixels_within_a_label_are_far_from_others() {
        let (height, width) = (9, 11);
        let labels: Vec<u8> =
            (0..height * width).map(|at| u8::from(at % width > 6) + 2 * u8::from(at / width > 3 && at % 5 > 1)).collect();
        for (down, across) in [(0, 0), (1, 1), (2, 1), (1, 3)] {
            let own = |at: usize| {
                let (y, x) = (at / width, at % width);
                let near = |size: usize, at: usize, reach: usize| at.saturating_sub(reach)..(at + reach + 1).min(size);
                near(height, y, down).all(|row| near(width, x, across).all(|column| labels[row * width + column] == labels[at]))
            };
            let expected: Vec<bool> = (0..height * width).map(own).collect();
            assert_eq!(within_label(&labels, (height, width), down, across), expected, "{down} {across}");
        }
    }
}
