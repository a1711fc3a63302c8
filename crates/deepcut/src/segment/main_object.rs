//! Which of the foreground's patches are the main object: the basin of most log-odds.
//!
//! ```text
//! mass(basin) = Σ max(l, 0) over its patches
//! ```
//!
//! A mask may hold several things, while a box is asked for one. A watershed of the log-odds parts them (`basins.rs`).

use super::basins::{Basins, nearest_of};

/// Persistence of a peak of log-odds above its saddle, as a share of its height: a lower one belongs to a higher.
const PERSISTENCE: f32 = 0.7;

/// The patches that are nearer to the main object than to any other, on a grid of so many columns; None if no patch is foreground.
///
/// `log_odds` are above 0 in the foreground.
pub(super) fn main_object(log_odds: &[f32], width: usize) -> Option<Vec<bool>> {
    let Basins { basin, peaks } = Basins::find(log_odds, width, 0.0, PERSISTENCE);
    let mut mass = vec![0.0f32; peaks.len()];
    for (basin, l) in basin.iter().zip(log_odds) {
        if let Some(basin) = *basin {
            mass[basin] += l;
        }
    }
    let main = (0..mass.len()).reduce(|a, b| if mass[b] > mass[a] { b } else { a })?;
    // Pixels of the mask may lie in patches without a basin.
    let has: Vec<bool> = basin.iter().map(Option::is_some).collect();
    Some(nearest_of(&has, width).into_iter().map(|from| from.is_some_and(|from| basin[from] == Some(main))).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_main_object_has_most_mass_not_the_highest_peak() {
        #[rustfmt::skip]
        let log_odds = [
            -1.0, -1.0, -1.0, -1.0, -1.0, -1.0,
             9.0,  1.0,  5.0,  5.0,  4.0, -1.0,
            -1.0, -1.0,  4.0,  4.0, -1.0, -1.0,
            -1.0, -1.0, -1.0, -1.0, -1.0, -1.0,
        ];
        let x = true;
        #[rustfmt::skip]
        assert_eq!(main_object(&log_odds, 6).unwrap(), [
            false, false, x, x, x, x,
            false, false, x, x, x, x,
            false, false, x, x, x, x,
            false, false, x, x, x, x,
        ]);
        // A shallower saddle makes one of the two.
        let joined = log_odds.map(|l| if l == 1.0 { 4.0 } else { l });
        assert_eq!(main_object(&joined, 6).unwrap(), [true; 24]);
        assert_eq!(main_object(&[-1.0, 0.0], 2), None);
        assert_eq!(main_object(&[3.0, 0.5, 3.0], 3).unwrap(), [true, true, false], "the first of equals");
    }
}
