//! The fast bilateral solver: moves a mask's edges to the image's edges.
//!
//! ```text
//! minimise  λ/2 Σᵢⱼ Ŵᵢⱼ (xᵢ − xⱼ)² + Σᵢ cᵢ (xᵢ − tᵢ)²
//! ```
//!
//! where t is the target mask, c its confidence and Ŵ a bistochastic affinity of pixels near in position and colour. Pixels that
//! share a cell of a five-dimensional grid (x, y, luma, two chroma) are one unknown, and the system is solved by conjugate
//! gradients in that space.
//!
//! Source: Barron and Poole, The Fast Bilateral Solver (arXiv 1511.03296); reference code `bilateral_solver.py`.
//! Cost: O(pixels) to build and read, O(vertices) an iteration.

use crate::components::{fill_holes, keep_largest};
use crate::image::Image;
use std::collections::HashMap;

/// Side of a cell in pixels.
const SIGMA_SPATIAL: usize = 24;
/// Side of a cell in steps of brightness.
const SIGMA_LUMA: f64 = 4.0;
/// Side of a cell in steps of colour.
const SIGMA_CHROMA: f64 = 4.0;
/// Weight of smoothness, λ, in the published code.
pub const LAMBDA: f64 = 256.0;
/// Confidence of every pixel of the target there.
pub const CONFIDENCE: f64 = 0.999;
/// Conjugate-gradient steps at most.
const STEPS: usize = 25;
/// Relative residual at which they stop.
const TOLERANCE: f64 = 1e-5;
/// Smallest diagonal of the preconditioner.
const DIAGONAL_MIN: f64 = 1e-5;
const BISTOCHASTIC_STEPS: usize = 10;
const DIMENSIONS: usize = 5;

/// The grid of one image, for any number of masks.
#[derive(Debug)]
pub struct BilateralGrid {
    /// Vertex of each pixel.
    vertex: Vec<u32>,
    /// Pixels of each vertex.
    count: Vec<f64>,
    /// Neighbours of all vertices, one after the other; those of vertex v end at `ends[v]`.
    neighbors: Vec<u32>,
    ends: Vec<u32>,
    /// Diagonals that make the blur bistochastic.
    n: Vec<f64>,
    m: Vec<f64>,
}

impl BilateralGrid {
    /// Builds the grid.
    #[must_use]
    pub fn new(image: &Image) -> Self {
        let mut index: HashMap<u64, u32> = HashMap::new();
        let mut keys = Vec::new();
        let mut count: Vec<f64> = Vec::new();
        let mut vertex = Vec::with_capacity(image.height() * image.width());
        // Neighbouring pixels often share a cell.
        let mut last = (u64::MAX, 0);
        for (at, pixel) in image.rgb().chunks_exact(3).enumerate() {
            let key = cell(at / image.width(), at % image.width(), [pixel[0], pixel[1], pixel[2]]);
            if key != last.0 {
                let next = keys.len() as u32;
                let v = *index.entry(key).or_insert(next);
                if v == next {
                    keys.push(key);
                    count.push(0.0);
                }
                last = (key, v);
            }
            vertex.push(last.1);
            count[last.1 as usize] += 1.0;
        }
        let (mut neighbors, mut ends) = (Vec::new(), Vec::with_capacity(keys.len()));
        for key in &keys {
            for shift in SHIFTS {
                let (field, one) = (key >> shift & FIELD, 1 << shift);
                let below = (field > 0).then(|| key - one);
                let above = (field < FIELD).then(|| key + one);
                neighbors.extend(below.into_iter().chain(above).filter_map(|k| index.get(&k)));
            }
            ends.push(neighbors.len() as u32);
        }
        let mut grid = Self { vertex, n: vec![1.0; count.len()], m: Vec::new(), count, neighbors, ends };
        for _ in 0..BISTOCHASTIC_STEPS {
            let blurred = grid.blur(&grid.n);
            for ((n, m), b) in grid.n.iter_mut().zip(&grid.count).zip(blurred) {
                *n = (*n * m / b).sqrt();
            }
        }
        grid.m = grid.blur(&grid.n).iter().zip(&grid.n).map(|(b, n)| b * n).collect();
        grid
    }

    /// A 1-2-1 blur along every dimension, summed.
    fn blur(&self, x: &[f64]) -> Vec<f64> {
        let mut start = 0;
        let ends = self.ends.iter().map(|&end| end as usize);
        x.iter()
            .zip(ends)
            .map(|(value, end)| {
                let around: f64 = self.neighbors[start..end].iter().map(|&v| x[v as usize]).sum();
                start = end;
                2.0 * DIMENSIONS as f64 * value + around
            })
            .collect()
    }

    /// The system's matrix times `x`; `weight` is the confidence of each vertex's pixels, summed.
    fn apply(&self, lambda: f64, weight: &[f64], x: &[f64]) -> Vec<f64> {
        let inner: Vec<f64> = x.iter().zip(&self.n).map(|(x, n)| x * n).collect();
        let mut out = self.blur(&inner);
        for ((((o, n), m), x), weight) in out.iter_mut().zip(&self.n).zip(&self.m).zip(x).zip(weight) {
            *o = lambda * (m * x - n * *o) + weight * x;
        }
        out
    }

    /// The soft solution, a value a pixel, for a `target` in [0, 1] a pixel and how far to trust it, `confidence` in (0, 1] a pixel. The larger
    /// `lambda`, the further the solution leaves the target for the image's edges.
    ///
    /// # Panics
    /// If either does not have a value for each pixel of the image.
    #[must_use]
    pub fn solve(&self, lambda: f64, target: impl Fn(usize) -> f64, confidence: impl Fn(usize) -> f64) -> Vec<f32> {
        let (mut weight, mut b) = (vec![0.0; self.count.len()], vec![0.0; self.count.len()]);
        for (at, &v) in self.vertex.iter().enumerate() {
            weight[v as usize] += confidence(at);
            b[v as usize] += confidence(at) * target(at);
        }
        let start = b.iter().zip(&weight).map(|(b, weight)| b / weight).collect();
        let diagonal: Vec<f64> = (self.m.iter().zip(&self.n).zip(&weight))
            .map(|((m, n), weight)| lambda * (m - 2.0 * DIMENSIONS as f64 * n * n) + weight)
            .map(|d| d.max(DIAGONAL_MIN))
            .collect();
        let y = self.conjugate_gradients(lambda, &weight, &b, start, &diagonal);
        self.vertex.iter().map(|&v| y[v as usize] as f32).collect()
    }

    /// Preconditioned conjugate gradients, as `scipy.sparse.linalg.cg`.
    fn conjugate_gradients(&self, lambda: f64, weight: &[f64], b: &[f64], mut x: Vec<f64>, diagonal: &[f64]) -> Vec<f64> {
        let limit = TOLERANCE * dot(b, b).sqrt();
        let mut r: Vec<f64> = b.iter().zip(self.apply(lambda, weight, &x)).map(|(b, ax)| b - ax).collect();
        let mut p = vec![0.0; b.len()];
        let mut before = f64::INFINITY;
        for _ in 0..STEPS {
            if dot(&r, &r).sqrt() <= limit {
                break;
            }
            let z: Vec<f64> = r.iter().zip(diagonal).map(|(r, d)| r / d).collect();
            let rho = dot(&r, &z);
            p.iter_mut().zip(&z).for_each(|(p, z)| *p = z + rho / before * *p);
            let q = self.apply(lambda, weight, &p);
            let alpha = rho / dot(&p, &q);
            x.iter_mut().zip(&p).for_each(|(x, p)| *x += alpha * p);
            r.iter_mut().zip(&q).for_each(|(r, q)| *r -= alpha * q);
            before = rho;
        }
        x
    }
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

/// Bits of one field of a key.
const FIELD: u64 = 0xfff;
/// Where the fields x, y, luma and both chromas begin.
const SHIFTS: [u32; DIMENSIONS] = [48, 36, 24, 12, 0];

/// The cell of a pixel. Twelve bits hold 4,095 cells of position: images of up to 98,000 pixels a side; longer ones share the last.
fn cell(y: usize, x: usize, [r, g, b]: [u8; 3]) -> u64 {
    let [r, g, b] = [r, g, b].map(f64::from);
    let luma = 0.299 * r + 0.587 * g + 0.114 * b;
    let blue = -0.168_736 * r - 0.331_264 * g + 0.5 * b + 128.0;
    let red = 0.5 * r - 0.418_688 * g - 0.081_312 * b + 128.0;
    let fields = [
        ((x / SIGMA_SPATIAL) as u64).min(FIELD),
        ((y / SIGMA_SPATIAL) as u64).min(FIELD),
        (luma / SIGMA_LUMA) as u64,
        (blue / SIGMA_CHROMA) as u64,
        (red / SIGMA_CHROMA) as u64,
    ];
    fields.iter().zip(SHIFTS).fold(0, |key, (field, shift)| key | field << shift)
}

/// Ends a solution's mask as `bilateral_solver_output` of the published code means to: holes filled, largest component kept. (That code
/// takes the second largest of all regions *including the background*, so a mask larger than its background turns over, and of an empty one
/// the whole image is left. Here the largest component is kept, and nothing stays nothing.)
pub fn finish_as_published(mask: &mut [bool], height: usize, width: usize) {
    fill_holes(mask, height, width);
    keep_largest(mask, height, width);
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Four rows of five: where the published code turns a mask over, or makes everything of nothing, the mask stays.
    #[test]
    fn masks_end_with_their_largest_component() {
        let finished = |drawing: &str| {
            let mut mask: Vec<bool> = drawing.bytes().map(|c| c == b'#').collect();
            finish_as_published(&mut mask, 4, 5);
            mask.iter().map(|&inside| if inside { '#' } else { '.' }).collect::<String>()
        };
        assert_eq!(finished("#......##...##..#..."), ".......##...##......", "two specks");
        assert_eq!(finished("####.#.##.####......"), "####.####.####......", "the hole");
        assert_eq!(finished("##################.."), "##################..", "larger than its background");
        assert_eq!(finished(&"#".repeat(20)), "#".repeat(20));
        assert_eq!(finished(&".".repeat(20)), ".".repeat(20));
    }
}
