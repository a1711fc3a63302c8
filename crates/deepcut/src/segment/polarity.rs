//! Which cluster is the background: the objective does not say.
//!
//! The published code flips two clusters if more than two of the four corners carry label 1 (`util.graph_to_mask`), and applies
//! the same arithmetic to more clusters, where it yields negative labels. "The label most corners carry, the first of equals" is
//! the same rule for two clusters and defined for more.

/// Where to look for the background.
///
/// ```
/// use deepcut::segment::ForegroundRule;
/// use deepcut::{Cpu, FeatureMap, Recipe, Start};
///
/// // Most of the border looks one way, its corners another.
/// #[rustfmt::skip]
/// let look = [
///     1, 0, 0, 0, 1,
///     0, 0, 0, 0, 0,
///     0, 0, 0, 0, 0,
///     1, 0, 0, 0, 1,
/// ];
/// let data = look.iter().flat_map(|&look| if look == 1 { [1.0, 0.0] } else { [0.0, 1.0] }).collect();
/// let map = [FeatureMap::new(4, 5, 2, data)?];
/// let object = |rule| -> Result<Vec<u8>, deepcut::segment::ClusterError> {
///     let found = Recipe::default().foreground(rule).cluster(&Cpu::default(), &map, Start::Seed(0))?;
///     Ok(found[0].labels().collect())
/// };
/// assert_eq!(object(ForegroundRule::Border)?, look);
/// assert_eq!(object(ForegroundRule::Corner)?, look.map(|look| 1 - look));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum ForegroundRule {
    /// The four corners of the grid, as the published code.
    Corner,
    /// The whole border of the grid.
    Border,
}

/// The cluster that most corner or border cells of a `[height, width]` grid carry; the first of equals.
#[must_use]
pub(crate) fn background(labels: &[usize], height: usize, width: usize, n_clusters: usize, rule: ForegroundRule) -> usize {
    let mut votes = vec![0u32; n_clusters];
    for (at, &label) in labels.iter().enumerate().take(height * width) {
        let (y, x) = (at / width, at % width);
        let (edge_y, edge_x) = (y == 0 || y + 1 == height, x == 0 || x + 1 == width);
        let counts = match rule {
            ForegroundRule::Corner => edge_y && edge_x,
            ForegroundRule::Border => edge_y || edge_x,
        };
        if let (true, Some(votes)) = (counts, votes.get_mut(label)) {
            *votes += 1;
        }
    }
    let most = votes.iter().copied().max().unwrap_or(0);
    votes.iter().position(|&v| v == most).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn corners_follow_the_published_rule() {
        // Every choice of four corners around a center: label 1 is the background if more than two corners carry it.
        for corners in 0..16usize {
            let bit = |i: usize| corners >> i & 1;
            let grid = [bit(0), 0, bit(1), 0, 1, 0, bit(2), 0, bit(3)];
            let flip = corners.count_ones() > 2;
            assert_eq!(background(&grid, 3, 3, 2, ForegroundRule::Corner), usize::from(flip));
        }
    }

    #[test]
    fn the_border_outvotes_the_corners() {
        #[rustfmt::skip]
        let grid = [
            1, 0, 0, 1,
            0, 2, 2, 0,
            1, 0, 0, 1,
        ];
        assert_eq!(background(&grid, 3, 4, 3, ForegroundRule::Corner), 1);
        assert_eq!(background(&grid, 3, 4, 3, ForegroundRule::Border), 0);
        assert_eq!(background(&[1], 1, 1, 2, ForegroundRule::Border), 1);
    }
}
