//! The space in which the parts of a set are compared.
//!
//! ```text
//! u = f − ½ (μ + μᵢ)             without what makes the object differ from its background, in the set and in its image
//! v = Σ_q g(q) u_q / ‖u_q‖       over the patches q of the object around, g(q) = exp(− distance² / 2σ²)
//! x = v / ‖v‖
//! ```
//!
//! | symbol | code   | shape   | meaning                                                         |
//! |--------|--------|---------|-----------------------------------------------------------------|
//! | f      | `rows` | [n, d]  | features of an image's foreground patches, of length 1          |
//! | μ      | `mean` | `[d]`   | mean of the images' means                                       |
//! | μᵢ     |        | `[d]`   | mean of this image's foreground patches                         |
//! | σ      | `SIGMA`|         | in patches: patches that touch count much, the next ones little |
//!
//! All foreground patches share a direction, in which they differ from the background; without it what is left tells parts apart. Half of it is
//! the image's own, so that an odd color or light weighs less. How the constants were chosen is in `docs/method.md`.

/// σ of the average over patches around, in patches.
const SIGMA: f32 = 0.7;
/// Patches to each side that the average looks at.
const REACH: usize = 2;

/// Turns rows to points of the space, in place; `cells` are the places of the rows' patches on a grid of `width` columns, in rising order.
pub(super) fn to_points(rows: &mut [f32], cells: &[usize], width: usize, mean: &[f32]) {
    let dim = mean.len();
    let mut own = vec![0.0f64; dim];
    for row in rows.chunks_exact(dim) {
        own.iter_mut().zip(row).for_each(|(own, x)| *own += f64::from(*x));
    }
    let count = cells.len().max(1) as f64;
    let middle: Vec<f32> = own.iter().zip(mean).map(|(own, mean)| (0.5 * (own / count + f64::from(*mean))) as f32).collect();
    for row in rows.chunks_exact_mut(dim) {
        row.iter_mut().zip(&middle).for_each(|(x, middle)| *x -= middle);
        scale_to_one(row);
    }
    average(rows, cells, width, dim);
    rows.chunks_exact_mut(dim).for_each(scale_to_one);
}

fn scale_to_one(row: &mut [f32]) {
    let length = row.iter().map(|x| x * x).sum::<f32>().sqrt();
    if length > 0.0 {
        row.iter_mut().for_each(|x| *x /= length);
    }
}

/// Averages rows over the patches around.
fn average(rows: &mut [f32], cells: &[usize], width: usize, dim: usize) {
    let before = rows.to_vec();
    let place = |cell: usize| ((cell / width) as isize, (cell % width) as isize);
    let reach = REACH as isize;
    for (out, &cell) in rows.chunks_exact_mut(dim).zip(cells) {
        out.fill(0.0);
        let (y, x) = place(cell);
        for (dy, dx) in (-reach..=reach).flat_map(|dy| (-reach..=reach).map(move |dx| (dy, dx))) {
            let (oy, ox) = (y + dy, x + dx);
            if oy < 0 || !(0..width as isize).contains(&ox) {
                continue;
            }
            let Ok(at) = cells.binary_search(&(oy as usize * width + ox as usize)) else { continue };
            let weight = (-((dy * dy + dx * dx) as f32) / (2.0 * SIGMA * SIGMA)).exp();
            out.iter_mut().zip(&before[at * dim..(at + 1) * dim]).for_each(|(out, x)| *out += weight * x);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_all_patches_share_is_gone() {
        // Two images' patches, of one direction in common and one that tells parts apart.
        let mut rows = vec![0.8, 0.6, 0.8, -0.6];
        to_points(&mut rows, &[0, 40], 8, &[0.8, 0.0]);
        let expected = [0.0f32, 1.0, 0.0, -1.0];
        assert!(rows.iter().zip(expected).all(|(x, expected)| (x - expected).abs() < 1e-6), "{rows:?}");
    }

    #[test]
    fn an_odd_patch_takes_on_the_look_of_those_around() {
        // Nine patches in a square; the one in the middle looks another way.
        let cells: Vec<usize> = (0..9).map(|i| (i / 3 + 1) * 10 + i % 3 + 4).collect();
        let mut rows: Vec<f32> = (0..9).flat_map(|i| if i == 4 { [0.0, 1.0] } else { [1.0, 0.0] }).collect();
        average(&mut rows, &cells, 10, 2);
        assert!(rows[8] > rows[9], "{rows:?}");
        // Patches at the two ends of a row of the grid do not touch, though their places follow each other.
        let mut ends = vec![1.0, 0.0, 0.0, 1.0];
        average(&mut ends, &[9, 10], 10, 2);
        assert_eq!(ends, [1.0, 0.0, 0.0, 1.0]);
    }

    #[test]
    fn nothing_to_tell_apart_is_no_error() {
        let mut rows = vec![0.6, 0.8, 0.6, 0.8];
        to_points(&mut rows, &[3, 4], 5, &[0.6, 0.8]);
        assert!(rows.iter().all(|x| x.is_finite()));
        to_points(&mut [], &[], 5, &[0.6, 0.8]);
    }
}
