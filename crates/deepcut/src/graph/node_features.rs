//! F, the features that a graph is made of.

use super::error::GraphError;
use crate::features::FeatureMap;
use crate::kernels::packed::{Float, Packed};
use crate::kernels::parallel;
use crate::kernels::{first_not_finite, is_shape};

/// Rows that one task computes, of W or of a matrix with a row for each node.
pub(super) const TASK_ROWS: usize = 48;

/// A feature vector for each node: `[nodes, dim]`, row-major.
#[derive(Debug, Clone, PartialEq)]
pub struct NodeFeatures {
    nodes: usize,
    dim: usize,
    data: Vec<f32>,
    precision: Float,
}

impl NodeFeatures {
    /// Wraps a row-major `[nodes, dim]` matrix.
    ///
    /// # Errors
    /// [`GraphError::Empty`] or [`GraphError::NotFinite`].
    pub fn new(nodes: usize, dim: usize, data: Vec<f32>) -> Result<Self, GraphError> {
        if nodes == 0 || dim == 0 || !is_shape(data.len(), [nodes, dim]) {
            return Err(GraphError::Empty { nodes, dim });
        }
        match first_not_finite(&data, dim) {
            Some(node) => Err(GraphError::NotFinite { node }),
            None => Ok(Self { nodes, dim, data, precision: Float::F32 }),
        }
    }

    /// The features of every patch of a grid, in row-major order. A map was checked when it was made.
    #[must_use]
    pub fn from_map(map: &FeatureMap) -> Self {
        Self { nodes: map.patches(), dim: map.dim(), data: map.data().to_vec(), precision: Float::F32 }
    }

    /// Sets the precision of products with these features and with everything made from them.
    #[must_use]
    pub fn in_precision(self, precision: Float) -> Self {
        Self { precision, ..self }
    }

    /// Precision of products with these features; f32 unless set.
    #[must_use]
    pub fn precision(&self) -> Float {
        self.precision
    }

    /// Number of nodes, n.
    #[must_use]
    pub fn nodes(&self) -> usize {
        self.nodes
    }

    /// Length of a feature vector, d.
    #[must_use]
    pub fn dim(&self) -> usize {
        self.dim
    }

    /// The matrix, `[nodes, dim]`.
    #[must_use]
    pub fn data(&self) -> &[f32] {
        &self.data
    }

    /// Takes the matrix out.
    pub(super) fn into_data(self) -> Vec<f32> {
        self.data
    }

    pub(super) fn row(&self, node: usize) -> &[f32] {
        &self.data[node * self.dim..(node + 1) * self.dim]
    }

    /// The features of the given nodes.
    ///
    /// # Errors
    /// [`GraphError::Empty`] if `nodes` is empty.
    pub fn select(&self, nodes: &[usize]) -> Result<Self, GraphError> {
        let data = nodes.iter().flat_map(|&node| self.row(node)).copied().collect();
        Ok(Self::new(nodes.len(), self.dim, data)?.in_precision(self.precision))
    }

    /// With zeros in the rows of nodes that are not `kept`, `[nodes]`.
    #[must_use]
    pub fn masked(&self, kept: &[bool]) -> Self {
        let mut out = self.clone();
        let rows = out.data.chunks_exact_mut(self.dim).zip(kept).filter(|(_, kept)| !**kept);
        rows.for_each(|(row, _)| row.fill(0.0));
        out
    }

    /// Scales every row to length `norm`; rows of zeros stay zero.
    #[must_use]
    pub fn normalized(&self, norm: f32) -> Self {
        let mut out = self.clone();
        parallel::for_each(out.data.chunks_mut(TASK_ROWS * self.dim), |rows| {
            for row in rows.chunks_exact_mut(self.dim) {
                let length = squared_norm(row).sqrt();
                if length > 0.0 {
                    let scale = norm / length;
                    row.iter_mut().for_each(|x| *x *= scale);
                }
            }
        });
        out
    }

    /// Subtracts the mean row from every row.
    #[must_use]
    pub fn centered(&self) -> Self {
        let mut mean = vec![0.0f64; self.dim];
        for row in self.data.chunks_exact(self.dim) {
            mean.iter_mut().zip(row).for_each(|(m, x)| *m += f64::from(*x));
        }
        let mut out = self.clone();
        for row in out.data.chunks_exact_mut(self.dim) {
            row.iter_mut().zip(&mean).for_each(|(x, m)| *x -= (m / self.nodes as f64) as f32);
        }
        out
    }

    /// max(F Fᵀ): no inner product exceeds the larger of its two vectors' squared norms.
    pub(super) fn largest_squared_norm(&self) -> f32 {
        self.data.chunks_exact(self.dim).map(squared_norm).fold(0.0, f32::max)
    }

    /// Fᵀ, the right side of `F Fᵀ`.
    pub(super) fn packed_columns(&self) -> Packed {
        let mut packed = Packed::new(self.precision);
        packed.fill_from_columns(&self.data, self.dim, self.nodes);
        packed
    }

    /// F with each row multiplied by its scale, as the right side of a product.
    pub(super) fn packed_rows(&self, scales: &[f32]) -> Packed {
        let mut packed = Packed::new(self.precision);
        packed.fill_from_scaled_rows(&self.data, scales, self.dim);
        packed
    }
}

fn squared_norm(row: &[f32]) -> f32 {
    row.iter().map(|x| x * x).sum()
}
