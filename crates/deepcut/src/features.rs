//! Patch features of one image: what a backbone makes, and all that clustering needs.

use crate::kernels::{first_not_finite, is_shape, volume};

/// Patch features of one image on a grid, row-major: `[grid_height, grid_width, dim]`.
///
/// Made by a [`Backbone`](crate::Backbone), or from features computed elsewhere:
///
/// ```
/// use deepcut::{Cpu, FeatureMap, Recipe, Start};
///
/// // A grid of 4 × 4 patches; the four in the middle look one way, the others another.
/// #[rustfmt::skip]
/// let look = [
///     0, 0, 0, 0,
///     0, 1, 1, 0,
///     0, 1, 1, 0,
///     0, 0, 0, 0,
/// ];
/// let data: Vec<f32> = look.iter().flat_map(|&look| if look == 1 { [1.0, 0.1, 0.0] } else { [0.0, 0.1, 1.0] }).collect();
/// let map = FeatureMap::new(4, 4, 3, data)?;
/// let found = Recipe::default().cluster(&Cpu::default(), &[map], Start::Seed(0))?;
/// assert_eq!(found[0].labels().map(usize::from).collect::<Vec<_>>(), look);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct FeatureMap {
    grid_height: usize,
    grid_width: usize,
    dim: usize,
    data: Vec<f32>,
    colors: Option<Vec<f32>>,
    objectness: Option<Vec<f32>>,
    fine_objectness: Option<(usize, Vec<f32>)>,
    constant: bool,
}

/// Why values are no feature map.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FeatureMapError {
    /// A side of the grid, or the dimension, is zero.
    #[error("there are no features: a grid of {grid_height} × {grid_width} patches of dimension {dim}")]
    Empty {
        /// Rows of patches.
        grid_height: usize,
        /// Columns of patches.
        grid_width: usize,
        /// Length of a feature vector.
        dim: usize,
    },
    /// The values are not those of the shape.
    #[error("{got} {what} for a grid of {grid_height} × {grid_width} patches; expected {expected} a patch")]
    Shape {
        /// `features`, `colors`, `log-odds of an object` or `fine log-odds of an object`.
        what: &'static str,
        /// Rows of patches.
        grid_height: usize,
        /// Columns of patches.
        grid_width: usize,
        /// Values there should be for each patch.
        expected: usize,
        /// Values there are.
        got: usize,
    },
    /// Maps to be joined are of different grids.
    #[error("feature maps of {first:?} and {other:?} patches cannot be joined")]
    Grids {
        /// Rows and columns of the first map.
        first: (usize, usize),
        /// Those of another.
        other: (usize, usize),
    },
    /// NaN or infinity among the values.
    #[error("the {what} of patch {patch} are not finite")]
    NotFinite {
        /// `features`, `colors`, `log-odds of an object` or `fine log-odds of an object`.
        what: &'static str,
        /// Index of the first such patch.
        patch: usize,
    },
}

impl FeatureMap {
    /// Wraps `[grid_height, grid_width, dim]` values; they need not be normalized.
    ///
    /// # Errors
    /// [`FeatureMapError`] if there are none, not as many as the shape says, or one is not finite.
    pub fn new(grid_height: usize, grid_width: usize, dim: usize, data: Vec<f32>) -> Result<Self, FeatureMapError> {
        let (colors, objectness, fine_objectness) = (None, None, None);
        let map = Self { grid_height, grid_width, dim, data, colors, objectness, fine_objectness, constant: false };
        if [grid_height, grid_width, dim].contains(&0) {
            return Err(FeatureMapError::Empty { grid_height, grid_width, dim });
        }
        map.check("features", &map.data, dim)?;
        Ok(map)
    }

    /// With the mean color of every patch, `[grid_height, grid_width, 3]` in [0, 1]: [`Method::DeepSpectral`](crate::Method) can look at it.
    ///
    /// # Errors
    /// [`FeatureMapError`] if there are not three values a patch, or one is not finite.
    pub fn with_colors(self, colors: Vec<f32>) -> Result<Self, FeatureMapError> {
        self.check("colors", &colors, 3)?;
        Ok(Self { colors: Some(colors), ..self })
    }

    /// With the log-odds that each patch belongs to an object, `[grid_height, grid_width]`, if the network says: the cut begins there
    /// ([`Recipe::prior_weight`](crate::Recipe)), and [`Mode::Objects`](crate::Mode) tells objects apart by it. Log-odds on a finer
    /// grid are forgotten.
    ///
    /// # Errors
    /// [`FeatureMapError`] if there is not one value a patch, or one is not finite.
    pub fn with_objectness(self, objectness: Vec<f32>) -> Result<Self, FeatureMapError> {
        self.check("log-odds of an object", &objectness, 1)?;
        Ok(Self { objectness: Some(objectness), fine_objectness: None, ..self })
    }

    /// With the log-odds that each cell of a finer grid belongs to an object, `[grid_height * scale, grid_width * scale]`: every patch has
    /// `scale` × `scale` cells. Those of a patch are the mean of its cells'. The edges of the foreground are drawn on this grid.
    ///
    /// ```
    /// use deepcut::FeatureMap;
    ///
    /// let map = FeatureMap::new(1, 2, 1, vec![0.0, 1.0])?;
    /// #[rustfmt::skip]
    /// let map = map.with_fine_objectness(2, vec![
    ///     -5.0, -3.0, 1.0, 2.0,
    ///     -5.0, -3.0, 2.0, 3.0,
    /// ])?;
    /// assert_eq!(map.objectness(), Some(&[-4.0, 2.0][..]));
    /// # Ok::<(), deepcut::features::FeatureMapError>(())
    /// ```
    ///
    /// # Errors
    /// [`FeatureMapError`] if `scale` is zero, if there are not `scale` × `scale` values a patch, or if one is not finite.
    pub fn with_fine_objectness(self, scale: usize, values: Vec<f32>) -> Result<Self, FeatureMapError> {
        let what = "fine log-odds of an object";
        let Self { grid_height, grid_width, .. } = self;
        let expected = scale.max(1).saturating_mul(scale.max(1));
        if scale == 0 || !is_shape(values.len(), [grid_height, grid_width, expected]) {
            return Err(FeatureMapError::Shape { what, grid_height, grid_width, expected, got: values.len() });
        }
        let patch_of = |cell| patch_of(cell, grid_width, scale);
        if let Some(cell) = first_not_finite(&values, 1) {
            return Err(FeatureMapError::NotFinite { what, patch: patch_of(cell) });
        }
        // In f64, where the sum of finite values is finite.
        let mut means = vec![0.0f64; grid_height * grid_width];
        values.iter().enumerate().for_each(|(cell, x)| means[patch_of(cell)] += f64::from(*x) / expected as f64);
        let objectness = means.into_iter().map(|mean| mean as f32).collect();
        Ok(Self { objectness: Some(objectness), fine_objectness: Some((scale, values)), ..self })
    }

    /// Cells along a patch's side, if this is the size of a finer grid: what [`FeatureMap::with_fine_objectness`] takes. 0 for any other size, which it
    /// refuses.
    #[must_use]
    pub fn scale_of(&self, rows: usize, columns: usize) -> usize {
        let scale = rows / self.grid_height;
        if [self.grid_height, self.grid_width].map(|side| side.checked_mul(scale)) == [Some(rows), Some(columns)] {
            scale
        } else {
            0
        }
    }

    /// Says whether the image has nothing to cut: one color, or nearly. Then clustering finds no object, whatever the features.
    ///
    /// ```
    /// use deepcut::{Cpu, FeatureMap, Recipe, Start};
    ///
    /// let map = FeatureMap::new(1, 3, 2, vec![0.0, 1.0, /**/ 1.0, 0.0, /**/ 0.0, 1.0])?;
    /// let labels = |map: &FeatureMap| -> Result<Vec<u8>, deepcut::segment::ClusterError> {
    ///     let found = Recipe::default().cluster(&Cpu::default(), std::slice::from_ref(map), Start::Seed(0))?;
    ///     Ok(found[0].labels().collect())
    /// };
    /// assert_eq!(labels(&map)?, [0, 1, 0]);
    /// assert_eq!(labels(&map.with_constant_image(true))?, [0, 0, 0]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn with_constant_image(self, constant: bool) -> Self {
        Self { constant, ..self }
    }

    fn check(&self, what: &'static str, values: &[f32], expected: usize) -> Result<(), FeatureMapError> {
        let Self { grid_height, grid_width, .. } = *self;
        if !is_shape(values.len(), [grid_height, grid_width, expected]) {
            return Err(FeatureMapError::Shape { what, grid_height, grid_width, expected, got: values.len() });
        }
        first_not_finite(values, expected).map_or(Ok(()), |patch| Err(FeatureMapError::NotFinite { what, patch }))
    }

    /// Rows and columns of patches.
    #[must_use]
    pub fn grid(&self) -> (usize, usize) {
        (self.grid_height, self.grid_width)
    }

    /// Number of patches.
    #[must_use]
    pub fn patches(&self) -> usize {
        volume([self.grid_height, self.grid_width]).unwrap_or_default()
    }

    /// Length of a feature vector.
    #[must_use]
    pub fn dim(&self) -> usize {
        self.dim
    }

    /// The features, `[grid_height, grid_width, dim]`.
    #[must_use]
    pub fn data(&self) -> &[f32] {
        &self.data
    }

    /// The features, `[grid_height, grid_width, dim]`, without a copy.
    #[must_use]
    pub fn into_data(self) -> Vec<f32> {
        self.data
    }

    /// Mean color of every patch, `[grid_height, grid_width, 3]` in [0, 1], if known.
    #[must_use]
    pub fn colors(&self) -> Option<&[f32]> {
        self.colors.as_deref()
    }

    /// The log-odds that each patch belongs to an object, `[grid_height, grid_width]`, if the network says.
    #[must_use]
    pub fn objectness(&self) -> Option<&[f32]> {
        self.objectness.as_deref()
    }

    /// Cells of a finer grid along a patch's side, and the log-odds that each belongs to an object, `[grid_height * scale, grid_width * scale]`, if
    /// the network says.
    #[must_use]
    pub fn fine_objectness(&self) -> Option<(usize, &[f32])> {
        self.fine_objectness.as_ref().map(|(scale, values)| (*scale, &**values))
    }

    /// Whether the image is known to be of one color, or nearly: see [`FeatureMap::with_constant_image`].
    #[must_use]
    pub fn is_of_constant_image(&self) -> bool {
        self.constant
    }

    /// Whether there is nothing to cut: the image is constant, or all patches have the same features.
    #[must_use]
    pub fn is_constant(&self) -> bool {
        /// Differences below this share of the largest value are rounding.
        const ROUNDING: f32 = 1e-5;
        if self.constant {
            return true;
        }
        let (first, rest) = self.data.split_at(self.dim);
        let most = first.iter().fold(0.0f32, |most, x| most.max(x.abs())) * ROUNDING;
        // The loop ends at the first patch of any real image that differs.
        rest.chunks_exact(self.dim).all(|row| row.iter().zip(first).all(|(a, b)| (a - b).abs() <= most))
    }
}

/// The patch of a cell on a grid `scale` times finer, of a grid with `columns` patches a row.
pub(crate) fn patch_of(cell: usize, columns: usize, scale: usize) -> usize {
    let fine = columns * scale;
    cell / fine / scale * columns + cell % fine / scale
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shapes_and_values_are_checked() {
        let map = FeatureMap::new(2, 1, 2, vec![1.0, 2.0, 3.0, 4.0]).unwrap();
        assert_eq!((map.grid(), map.patches(), map.dim(), map.data().len()), ((2, 1), 2, 2, 4));
        assert_eq!(FeatureMap::new(2, 0, 2, vec![]), Err(FeatureMapError::Empty { grid_height: 2, grid_width: 0, dim: 2 }));
        let short = FeatureMap::new(2, 1, 3, vec![0.0; 5]).unwrap_err();
        assert_eq!(short.to_string(), "5 features for a grid of 2 × 1 patches; expected 3 a patch");
        assert!(FeatureMap::new(usize::MAX, 2, 2, vec![0.0; 4]).is_err());
        let nan = FeatureMap::new(2, 1, 2, vec![1.0, 2.0, f32::NAN, 4.0]);
        assert_eq!(nan, Err(FeatureMapError::NotFinite { what: "features", patch: 1 }));
        assert!(map.clone().with_colors(vec![0.5; 6]).is_ok());
        assert!(matches!(map.clone().with_colors(vec![0.5; 5]), Err(FeatureMapError::Shape { what: "colors", .. })));
        assert!(map.clone().with_colors(vec![f32::INFINITY; 6]).is_err());
        assert_eq!(map.clone().with_objectness(vec![-1.0, 2.0]).unwrap().objectness(), Some(&[-1.0, 2.0][..]));
        assert!(map.clone().with_objectness(vec![0.0; 4]).is_err() && map.with_objectness(vec![f32::NAN; 2]).is_err());
    }

    #[test]
    fn fine_log_odds_are_checked_and_averaged() {
        let map = || FeatureMap::new(2, 2, 1, vec![0.0; 4]).unwrap();
        let cells: Vec<f32> = (0..16u8).map(f32::from).collect();
        let fine = map().with_fine_objectness(2, cells.clone()).unwrap();
        assert_eq!((fine.fine_objectness(), fine.objectness()), (Some((2, &cells[..])), Some(&[2.5, 4.5, 10.5, 12.5][..])));
        // Of the same patches again.
        assert_eq!(fine.with_objectness(vec![0.0; 4]).unwrap().fine_objectness(), None);
        assert_eq!(
            [(4, 4), (2, 2), (4, 2), (5, 5), (1, 1), (0, 0)].map(|(rows, columns)| map().scale_of(rows, columns)),
            [2, 1, 0, 0, 0, 0]
        );
        for (scale, count) in [(0, 0), (0, 4), (1, 16), (2, 4), (3, 16), (usize::MAX, 16)] {
            let error = map().with_fine_objectness(scale, vec![0.0; count]).unwrap_err();
            assert!(matches!(error, FeatureMapError::Shape { what: "fine log-odds of an object", .. }), "{scale} {count}");
        }
        let mut nan = cells;
        nan[6] = f32::NAN;
        let error = map().with_fine_objectness(2, nan).unwrap_err();
        assert_eq!(error, FeatureMapError::NotFinite { what: "fine log-odds of an object", patch: 1 });
        let most = map().with_fine_objectness(2, vec![f32::MAX; 16]).unwrap();
        assert_eq!(most.objectness(), Some(&[f32::MAX; 4][..]));
    }

    #[test]
    fn equal_patches_are_constant() {
        let rows = |rows: &[[f32; 2]]| FeatureMap::new(1, rows.len(), 2, rows.concat()).unwrap();
        assert!(rows(&[[0.5, -2.0], [0.5, -2.0], [0.500001, -2.0]]).is_constant());
        assert!(!rows(&[[0.5, -2.0], [0.5, -2.0], [0.51, -2.0]]).is_constant());
        assert!(rows(&[[0.0, 0.0]; 4]).is_constant() && rows(&[[1.0, 0.0]]).is_constant());
        assert!(rows(&[[1.0, 0.0], [0.0, 1.0]]).with_constant_image(true).is_constant());
    }
}
