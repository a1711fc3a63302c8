//! Facets: the activations of a vision transformer that are the features of a patch, and how several are joined.
//!
//! Sources: the facets and the log-binned descriptor are those of Amir et al. (arXiv 2112.05814), `extractor.py`, which the published
//! code uses; joining facets is ours.

use crate::features::{FeatureMap, FeatureMapError};
use std::fmt;
use std::str::FromStr;

/// An activation of one block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Facet {
    /// Keys of the block's attention, with all heads concatenated.
    Key,
    /// Queries of the block's attention.
    Query,
    /// Values of the block's attention.
    Value,
    /// Output of the block.
    Token,
    /// Output of the block after the network's final norm.
    NormToken,
}

impl Facet {
    /// Every facet.
    pub const ALL: [Self; 5] = [Self::Key, Self::Query, Self::Value, Self::Token, Self::NormToken];

    /// `key`, `query`, `value`, `token` or `norm-token`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Key => "key",
            Self::Query => "query",
            Self::Value => "value",
            Self::Token => "token",
            Self::NormToken => "norm-token",
        }
    }

    /// Whether the facet needs its block computed to the end.
    pub(super) fn needs_whole_block(self) -> bool {
        matches!(self, Self::Token | Self::NormToken)
    }
}

/// A facet of one block, written `value@6`, or `key` for the last block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BlockFacet {
    /// The activation.
    pub facet: Facet,
    /// The block, counted from 0. None: the last.
    pub block: Option<usize>,
}

/// A text that is not a list of facets.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` is no facet; expected key, query, value, token or norm-token, with a block if need be (value@6), several joined by +"
)]
pub struct ParseFacetError(String);

/// One facet, or several to join: written `value@6+key@8`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Facets(pub Vec<BlockFacet>);

impl FromStr for Facets {
    type Err = ParseFacetError;

    fn from_str(text: &str) -> Result<Self, ParseFacetError> {
        let wrong = || ParseFacetError(text.into());
        let one = |part: &str| {
            let (name, block) = part.split_once('@').map_or((part, None), |(name, block)| (name, Some(block)));
            let facet = Facet::ALL.into_iter().find(|facet| facet.name() == name).ok_or_else(wrong)?;
            let block = block.map(str::parse).transpose().map_err(|_| wrong())?;
            Ok(BlockFacet { facet, block })
        };
        text.split('+').map(one).collect::<Result<_, _>>().map(Self)
    }
}

impl fmt::Display for Facets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, BlockFacet { facet, block }) in self.0.iter().enumerate() {
            f.write_str(if i > 0 { "+" } else { "" })?;
            f.write_str(facet.name())?;
            block.map_or(Ok(()), |block| write!(f, "@{block}"))?;
        }
        Ok(())
    }
}

/// Joins m maps with the same grid: scales every row to length 1/√m and concatenates, so that inner products are mean cosines over the
/// maps. A single map is returned unchanged.
///
/// # Errors
/// [`FeatureMapError::Grids`] if the grids differ, [`FeatureMapError::Empty`] if there is no map.
pub fn fuse(mut maps: Vec<FeatureMap>) -> Result<FeatureMap, FeatureMapError> {
    if maps.len() == 1 {
        return Ok(maps.swap_remove(0));
    }
    let grid = maps.first().map_or((0, 0), FeatureMap::grid);
    if let Some(other) = maps.iter().map(FeatureMap::grid).find(|other| *other != grid) {
        return Err(FeatureMapError::Grids { first: grid, other });
    }
    let dim = maps.iter().map(FeatureMap::dim).sum();
    let share = 1.0 / (maps.len() as f32).sqrt();
    let mut data = Vec::with_capacity(grid.0 * grid.1 * dim);
    for cell in 0..grid.0 * grid.1 {
        for map in &maps {
            let row = &map.data()[cell * map.dim()..(cell + 1) * map.dim()];
            let length = row.iter().map(|x| x * x).sum::<f32>().sqrt();
            let scale = if length > 0.0 { share / length } else { 0.0 };
            data.extend(row.iter().map(|x| x * scale));
        }
    }
    FeatureMap::new(grid.0, grid.1, dim, data)
}

/// Describes every patch by its surroundings too, in 17 bins: nine for the 3 × 3 patches around it, itself included, and eight for the
/// 3 × 3 means at distance three. Beyond the edge, the nearest patch is repeated. The result has 17 times the dimension; what
/// the network says of objects stays.
///
/// # Errors
/// [`FeatureMapError::Shape`] if the size overflows.
pub fn log_bin(map: &FeatureMap) -> Result<FeatureMap, FeatureMapError> {
    let ((height, width), dim) = (map.grid(), map.dim());
    let means = mean_of_neighbors(map);
    let nearest = |at: usize, step: isize, n: usize| at.saturating_add_signed(step).min(n - 1);
    let mut data = Vec::with_capacity(height * width * dim * 17);
    for y in 0..height {
        for x in 0..width {
            for (distance, source) in [(1, map.data()), (3, &*means)] {
                for (i, j) in (-1..=1).flat_map(|i| (-1..=1).map(move |j| (i, j))) {
                    if distance > 1 && (i, j) == (0, 0) {
                        continue;
                    }
                    let cell = nearest(y, i * distance, height) * width + nearest(x, j * distance, width);
                    data.extend_from_slice(&source[cell * dim..(cell + 1) * dim]);
                }
            }
        }
    }
    let binned = FeatureMap::new(height, width, 17 * dim, data)?;
    match (map.fine_objectness(), map.objectness()) {
        (Some((scale, values)), _) => binned.with_fine_objectness(scale, values.to_vec()),
        (None, Some(objectness)) => binned.with_objectness(objectness.to_vec()),
        (None, None) => Ok(binned),
    }
}

/// The mean over each cell's 3 × 3 neighbors that exist.
fn mean_of_neighbors(map: &FeatureMap) -> Vec<f32> {
    let ((height, width), dim) = (map.grid(), map.dim());
    let mut out = vec![0.0; map.data().len()];
    for (cell, out) in out.chunks_exact_mut(dim).enumerate() {
        let (y, x) = (cell / width, cell % width);
        let (rows, columns) = (y.saturating_sub(1)..=(y + 1).min(height - 1), x.saturating_sub(1)..=(x + 1).min(width - 1));
        let share = 1.0 / (rows.clone().count() * columns.clone().count()) as f32;
        for neighbor in rows.flat_map(|y| columns.clone().map(move |x| y * width + x)) {
            let row = &map.data()[neighbor * dim..(neighbor + 1) * dim];
            out.iter_mut().zip(row).for_each(|(out, x)| *out += share * x);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn facets_are_read_as_they_are_written() {
        for text in ["key", "norm-token", "value@6+key@8", "query@0", "token@11+key"] {
            assert_eq!(text.parse::<Facets>().unwrap().to_string(), text);
        }
        for text in ["", "keys", "key@", "key@-1", "key@x", "key+", "value@6 + key@8"] {
            assert!(text.parse::<Facets>().is_err(), "{text}");
        }
    }

    fn map(grid_height: usize, grid_width: usize, dim: usize, data: &[f32]) -> FeatureMap {
        FeatureMap::new(grid_height, grid_width, dim, data.to_vec()).unwrap()
    }

    #[test]
    fn inner_products_of_fused_maps_are_mean_cosines() {
        let a = map(1, 3, 2, &[3.0, 4.0, 0.0, 2.0, 0.0, 0.0]);
        let b = map(1, 3, 3, &[1.0, 2.0, 2.0, -5.0, 0.0, 0.0, 1.0, 1.0, 1.0]);
        assert_eq!(fuse(vec![a.clone()]).unwrap(), a);
        let fused = fuse(vec![a, b]).unwrap();
        let dot = |i: usize, j: usize| -> f32 { (0..5).map(|c| fused.data()[i * 5 + c] * fused.data()[j * 5 + c]).sum() };
        assert!((dot(0, 0) - 1.0).abs() < 1e-6);
        // Cosines 4/5 and −1/3.
        assert!((dot(0, 1) - (0.8 - 1.0 / 3.0) / 2.0).abs() < 1e-6);
        // A row of zeros has no direction: only the other map speaks.
        assert!((dot(2, 2) - 0.5).abs() < 1e-6);
    }

    #[test]
    fn a_single_cell_is_its_own_surroundings() {
        assert_eq!(log_bin(&map(1, 1, 2, &[1.0, 2.0])).unwrap().data(), [1.0, 2.0].repeat(17));
    }

    #[test]
    fn what_the_network_says_of_objects_stays() {
        let plain = map(1, 2, 1, &[1.0, 2.0]);
        let said = plain.clone().with_objectness(vec![-1.0, 3.0]).unwrap();
        assert_eq!(log_bin(&said).unwrap().objectness(), said.objectness());
        let fine = plain.with_fine_objectness(2, vec![0.5; 8]).unwrap();
        assert_eq!(log_bin(&fine).unwrap().fine_objectness(), fine.fine_objectness());
    }

    /// Cells 0, 1, 2 in a row: the middle one's nine near bins, then the means (0.5, 1, 1.5) three to the left and right, clamped.
    #[test]
    fn near_bins_are_cells_and_far_bins_means() {
        let out = log_bin(&map(1, 3, 1, &[0.0, 1.0, 2.0])).unwrap();
        assert_eq!(out.data()[17..26], [0.0, 1.0, 2.0].repeat(3));
        assert_eq!(out.data()[26..34], [0.5, 1.0, 1.5, 0.5, 1.5, 0.5, 1.0, 1.5]);
    }
}
