//! F, the features that a graph is made of.

use super::error::GraphError;
use crate::cpu::Cpu;
use crate::features::FeatureMap;
use crate::kernels::packed::{Float, Packed};
use crate::kernels::parallel;
use crate::kernels::quantized::{MAX_DEPTH, Quantized};
use crate::kernels::{Left, Right, Start, first_not_finite, is_shape};

/// Rows that one task computes, of W or of a matrix with a row for each node.
pub(super) const TASK_ROWS: usize = 48;

/// A feature vector for each node: `[nodes, dim]`, row-major.
#[derive(Debug, Clone, PartialEq)]
pub struct NodeFeatures {
    nodes: usize,
    dim: usize,
    data: Vec<f32>,
    precision: Float,
    /// Whether products that hardly depend on the rounding of one value are in int8.
    int8: bool,
}

/// Fᵀ, the right side of `F Fᵀ`.
pub(super) enum Columns {
    Float(Packed),
    Int8(Quantized),
}

impl Columns {
    /// `rows · Fᵀ` for rows like those of F, from column `first` on, a multiple of 16.
    pub fn products(&self, cpu: &Cpu, rows: Left<'_>, first: usize, out: &mut [f32]) {
        match self {
            Self::Float(packed) => cpu.isa.gemm(rows, Right::from(packed).at_column(first), Start::Zero, out),
            Self::Int8(quantized) => cpu.isa.gemm_quantized(rows, quantized.at_column(first), Start::Zero, out),
        }
    }
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
            None => Ok(Self { nodes, dim, data, precision: Float::F32, int8: false }),
        }
    }

    /// The features of every patch of a grid, in row-major order. A map was checked when it was made.
    #[must_use]
    pub fn from_map(map: &FeatureMap) -> Self {
        Self { nodes: map.patches(), dim: map.dim(), data: map.data().to_vec(), precision: Float::F32, int8: false }
    }

    /// Sets the precision of products with these features and with everything made from them.
    #[must_use]
    pub fn in_precision(self, precision: Float) -> Self {
        Self { precision, ..self }
    }

    /// Computes in int8 what hardly depends on the rounding of one value: which cosines exceed a threshold, which are the largest, and sums over
    /// the edges of a graph of bits. A cosine is then off by about 10⁻³. No effect beyond some ten thousand nodes or values.
    #[must_use]
    pub fn with_int8(self, int8: bool) -> Self {
        Self { int8: int8 && self.nodes.max(self.dim) <= MAX_DEPTH, ..self }
    }

    /// Whether products that hardly depend on the rounding of one value are in int8.
    pub(super) fn is_int8(&self) -> bool {
        self.int8
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
        Ok(Self::new(nodes.len(), self.dim, data)?.in_precision(self.precision).with_int8(self.int8))
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

    /// Fᵀ where the products are cosines that are compared.
    pub(super) fn compared_columns(&self) -> Columns {
        if self.int8 {
            Columns::Int8(Quantized::from_columns(&self.data, self.dim, self.nodes))
        } else {
            Columns::Float(self.packed_columns())
        }
    }

    /// Rows like those of F as the right side of a product with bits; none if that is not in int8.
    pub(super) fn quantized_rows(&self, rows: &[f32]) -> Option<Quantized> {
        self.int8.then(|| Quantized::from_rows(rows, self.nodes, self.dim))
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
