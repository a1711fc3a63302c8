//! MaskCut: TokenCut again and again. After each cut the patches of its object are taken out of the graph, so that the next cut finds another.
//!
//! ```text
//! W⁽ᵗ⁾ᵢⱼ = cos(fᵢ mᵢ, fⱼ mⱼ) > τ,   mᵢ = 0 where an earlier cut found an object, else 1
//! ```
//!
//! The second eigenvector of each graph is cut at its mean. The object is the side of the patch with the largest magnitude, unless that side
//! holds two or more of the image's corners: then it is the other side. Of that side the component of its largest magnitude is kept.
//!
//! Source: Wang et al. (arXiv 2301.11320), section 3.2, written from the paper. Their threshold is τ = 0.15 and they cut three times; so does
//! this. Not here: their conditional random field, which moves masks to the image's edges.

use super::spectral;
use super::tokencut::{largest_magnitude, side_of};
use crate::components::keep_component;
use crate::cpu::Cpu;
use crate::graph::{Graph, NodeFeatures};
use crate::objective::cleanness;

/// How often the graph is cut.
const CUTS: usize = 3;
/// Corners of the image that make a side the background.
const BACKGROUND_CORNERS: usize = 2;

/// An object of a cut.
#[derive(Debug, Clone, PartialEq)]
pub struct CutObject {
    /// Whether each node belongs to it.
    pub inside: Vec<bool>,
    /// How clean its cut from all other nodes is, in [0, 1]: 1 less the normalized cut, or 0 if that is above 1.
    pub score: f32,
}

/// Objects in the order of their cuts; no node belongs to two. `whole` is the graph of all nodes: `[height, width]` patches whose cosine
/// exceeds `tau` are joined.
pub fn objects(
    cpu: &Cpu,
    whole: &Graph,
    features: &NodeFeatures,
    (height, width): (usize, usize),
    tau: f32,
    seed: u64,
) -> Vec<CutObject> {
    let mut found: Vec<CutObject> = Vec::new();
    let mut free = vec![true; features.nodes()];
    for _ in 0..CUTS {
        let left;
        let graph = if found.is_empty() {
            whole
        } else {
            left = Graph::threshold(cpu, &features.masked(&free), tau);
            &left
        };
        let vectors = spectral::eigenvectors(graph, 1, seed);
        let Some((vector, mut inside)) = vectors.first().and_then(|vector| Some((vector, side(vector, (height, width))?))) else {
            break;
        };
        inside.iter_mut().zip(&free).for_each(|(inside, free)| *inside &= free);
        let Some(node) = largest_magnitude(vector, |node| inside[node]) else { break };
        keep_component(&mut inside, height, width, node);
        let score = cleanness(whole, &inside.iter().map(|&inside| f32::from(u8::from(inside))).collect::<Vec<_>>());
        free.iter_mut().zip(&inside).for_each(|(free, inside)| *free &= !inside);
        found.push(CutObject { inside, score });
    }
    found
}

/// The side of the cut that is the object.
fn side(vector: &[f64], (height, width): (usize, usize)) -> Option<Vec<bool>> {
    let mut inside = side_of(vector, largest_magnitude(vector, |_| true)?);
    let corners = [0, width - 1, (height - 1) * width, height * width - 1];
    if corners.iter().filter(|&&corner| inside[corner]).count() >= BACKGROUND_CORNERS {
        inside.iter_mut().for_each(|inside| *inside = !*inside);
    }
    Some(inside)
}
