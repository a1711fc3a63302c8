//! The codebook of a set: what makes equal parts of its images get equal labels, on any day and machine.
//!
//! ```text
//! x                                           features of a patch in the set's space (`space.rs`)
//! s = softmax(− ‖x − cⱼ‖² / T)                method kmeans: j over the centers
//! s = softmax(− ‖z(x) − cⱼ‖² / T)             method spectral: z are x's coordinates in the union's graph (`spectral.rs`)
//! s = network(Â x)                            methods network and both
//! ```
//!
//! | symbol | tensor in the file              | shape      | meaning                                                  |
//! |--------|---------------------------------|------------|----------------------------------------------------------|
//! | μ      | `mean`                          | `[dim]`    | mean of the set's foreground patches, every image alike  |
//! | c      | `centers`                       | [k, dim]   | the parts' centers, method kmeans                        |
//! |        | `centers`                       | [k, e]     | those of method spectral, with the two that follow       |
//! |        | `landmarks`                     | [m, dim]   | nodes of the union's graph, times their weight           |
//! |        | `coordinates`                   | [m, e]     | where they lie                                           |
//! |        | `convolution.weight`, …         |            | the graph network, where the method trains one           |
//! |        | `segments`                      | [m, dim]   | with the option `common`: centers of segments            |
//! |        | `appears`                       | `[m]`      | the share of images that each of them appears in         |
//!
//! The metadata `deepcut-codebook` are JSON: the network whose features these are, the method, k, and what it was learned from
//! ([`Learned`]). A codebook belongs to one network and its facets; with others it is refused.

use super::foreground::Foreground;
use super::spectral::{Embedding, MAX_LANDMARKS};
use super::{Grouping, islands, space, union};
use crate::backbone::Identity;
use crate::backbone::prior::{FittedNetwork, Mismatch};
use crate::backbone::weights::{Weights, WeightsError, sha256};
use crate::cpu::Cpu;
use crate::gnn::{CONVOLUTION_WIDTH, HIDDEN_WIDTH, MAX_CLUSTERS, MIN_CLUSTERS, Network};
use crate::segment::{ClusterError, Clustering, Recipe};
use safetensors::tensor::{Dtype, TensorView, serialize};
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use std::fmt;

/// Key of the metadata.
const METADATA: &str = "deepcut-codebook";
/// Version of the file's layout.
const FORMAT: u32 = 1;
/// Longest feature vector that a codebook may be for.
const MAX_DIM: usize = 1 << 20;
/// Most segments that `common` looks at.
pub(super) const MAX_SEGMENTS: usize = 64;
/// Most coordinates of a landmark.
const MAX_COORDINATES: usize = 64;
/// T: squared distances of this much count e-fold.
const TEMPERATURE: f32 = 0.1;

/// Names of the graph network's tensors, in the order of [`Network::groups`].
const NETWORK: [&str; 6] =
    ["convolution.weight", "convolution.bias", "hidden.weight", "hidden.bias", "output.weight", "output.bias"];

/// Why there is no codebook, or it cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CodebookError {
    /// The file is damaged, or its tensors are not a codebook's.
    #[error(transparent)]
    File(#[from] WeightsError),
    /// The file is something else, such as a network.
    #[error("this is no codebook; under the name of a file that does not exist a new one is made")]
    NotACodebook,
    /// The metadata say something that this version does not understand.
    #[error("the codebook's metadata cannot be read ({0}); make it again with this version")]
    Metadata(String),
    /// It was learned from another network's features.
    #[error(
        "the codebook was learned for the network {learned}, not for {network}; take that network, or another file for a new codebook"
    )]
    Network {
        /// Name and begin of the checksum of the network that it was learned for.
        learned: String,
        /// Those of the network here.
        network: String,
    },
    /// It was learned from features of the same network, used in another way.
    #[error(
        "the codebook was learned for the {what} {learned}, not for {network}; take the same, or another file for a new codebook"
    )]
    Use {
        /// What differs, such as `features`.
        what: &'static str,
        /// The value it was learned for.
        learned: String,
        /// The value here.
        network: String,
    },
    /// It has another number of parts than asked for.
    #[error("the codebook has {learned} parts, not {asked}; ask for {learned}, or take another file for a new codebook")]
    Parts {
        /// Parts of the codebook.
        learned: usize,
        /// Parts asked for.
        asked: usize,
    },
    /// It was made by another method than asked for.
    #[error(
        "the codebook was made by the method {learned}, not {asked}; ask for {learned}, or take another file for a new codebook"
    )]
    Method {
        /// The codebook's.
        learned: &'static str,
        /// The one asked for.
        asked: &'static str,
    },
    /// It was made with another choice of common segments than asked for.
    #[error("the codebook was made {learned} the option common; ask for the same, or take another file for a new codebook")]
    Common {
        /// `with` or `without`.
        learned: &'static str,
    },
    /// Features have another length than those that it was learned from.
    #[error("the codebook is for features of {learned} values, but these have {got}; take another file for a new codebook")]
    Dimension {
        /// Length of a feature vector that it is for.
        learned: usize,
        /// Length here.
        got: usize,
    },
}

/// What a codebook was learned for, and from what.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Learned {
    /// The network whose features these are.
    pub network: FittedNetwork,
    /// How patches were grouped.
    pub method: Grouping,
    /// Number of parts, k.
    pub n_parts: usize,
    /// Images with an object.
    pub images: usize,
    /// Patches of those objects that were looked at.
    pub patches: usize,
    /// Seed of what was drawn.
    pub seed: u64,
    /// The least share of images that a segment has to appear in, if the object common to them was looked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub common: Option<f32>,
}

/// The metadata.
#[derive(Serialize, Deserialize)]
struct Metadata {
    format: u32,
    #[serde(flatten)]
    learned: Learned,
}

/// Segments of the set's foregrounds, and how common they are.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Segments {
    /// `[m, dim]`, in the space of features of length 1.
    pub centers: Vec<f32>,
    /// The share of images that each appears in, `[m]`.
    pub appears: Vec<f32>,
}

impl Segments {
    /// The rows and cells of patches whose segment appears in the share `least` of the images.
    pub fn common(&self, rows: &[f32], cells: &[usize], least: f32) -> (Vec<f32>, Vec<usize>) {
        let dim = self.centers.len() / self.appears.len();
        let (mut kept, mut places) = (Vec::new(), Vec::new());
        for (row, &cell) in rows.chunks_exact(dim).zip(cells) {
            if self.appears[nearest(row, &self.centers)] >= least {
                kept.extend_from_slice(row);
                places.push(cell);
            }
        }
        (kept, places)
    }
}

/// What makes equal parts of a set's images get equal labels. See the module's documentation.
#[derive(Debug, Clone, PartialEq)]
pub struct Codebook {
    pub(super) learned: Learned,
    /// `[dim]`.
    pub(super) mean: Vec<f32>,
    /// `[k, dim]`, or with an embedding `[k, e]`; empty where a network stands in for them.
    pub(super) centers: Vec<f32>,
    pub(super) embedding: Option<Embedding>,
    pub(super) network: Option<Network>,
    pub(super) segments: Option<Segments>,
}

/// The squared distance of two vectors.
fn squared_distance(a: &[f32], b: &[f32]) -> f32 {
    a.iter().zip(b).map(|(a, b)| (a - b) * (a - b)).sum()
}

/// The center nearest to a row; among equals the first.
fn nearest(row: &[f32], centers: &[f32]) -> usize {
    let mut best = (0, f32::INFINITY);
    for (at, center) in centers.chunks_exact(row.len()).enumerate() {
        let distance = squared_distance(row, center);
        if distance < best.1 {
            best = (at, distance);
        }
    }
    best.0
}

impl Codebook {
    /// What it was learned for, and from what.
    #[must_use]
    pub fn learned(&self) -> &Learned {
        &self.learned
    }

    /// Length of the feature vectors that it is for.
    #[must_use]
    pub fn dim(&self) -> usize {
        self.mean.len()
    }

    /// SHA-256 of its file, in hexadecimal.
    ///
    /// # Errors
    /// As [`Codebook::to_bytes`].
    pub fn sha256(&self) -> Result<String, CodebookError> {
        Ok(sha256(&self.to_bytes()?))
    }

    /// Checks that it was learned from features of this network, used in this way. Strides may differ.
    ///
    /// # Errors
    /// [`CodebookError::Network`] or [`CodebookError::Use`].
    pub fn check(&self, identity: &Identity) -> Result<(), CodebookError> {
        match self.learned.network.mismatch(identity) {
            None => Ok(()),
            Some(Mismatch::Network { fitted: learned, here: network }) => Err(CodebookError::Network { learned, network }),
            Some(Mismatch::Use { what, fitted: learned, here: network }) => Err(CodebookError::Use { what, learned, network }),
        }
    }

    /// The parts of an image's object, labeled 1 to k, and its background, 0. Pieces below the share `min_part` of their part join a neighbor.
    ///
    /// # Errors
    /// [`CodebookError::Dimension`] if the features have another length.
    pub fn parts(&self, cpu: &Cpu, recipe: &Recipe, foreground: &Foreground, min_part: f32) -> Result<Clustering, PartsError> {
        let (k, dim) = (self.learned.n_parts, self.dim());
        let cut = foreground.cut.clone();
        let inside = cut.foreground_patches();
        if foreground.patches() > 0 && foreground.dim != dim {
            return Err(CodebookError::Dimension { learned: dim, got: foreground.dim }.into());
        }
        let (mut rows, mut cells) = (foreground.rows(), foreground.cells());
        let mut dropped = vec![false; inside.len()];
        if let Some(segments) = &self.segments {
            let all = std::mem::take(&mut cells);
            (rows, cells) = segments.common(&rows, &all, self.learned.common.unwrap_or_default());
            all.into_iter().for_each(|cell| dropped[cell] = true);
            cells.iter().for_each(|&cell| dropped[cell] = false);
        }
        space::to_points(&mut rows, &cells, cut.grid().size().1, &self.mean);
        let shares = if rows.is_empty() { Vec::new() } else { self.shares(cpu, recipe, rows)? };
        let mut all = vec![0.0; inside.len() * k];
        for (cell, share) in cells.into_iter().zip(shares.chunks_exact(k)) {
            all[cell * k..(cell + 1) * k].copy_from_slice(share);
        }
        islands::join(&mut all, k, cut.grid().size(), min_part);
        Ok(cut.with_parts(k, all, &dropped))
    }

    /// Soft parts of rows that are not empty, `[n, k]`.
    fn shares(&self, cpu: &Cpu, recipe: &Recipe, rows: Vec<f32>) -> Result<Vec<f32>, ClusterError> {
        let (k, dim) = (self.learned.n_parts, self.dim());
        if let Some(network) = &self.network {
            return Ok(cpu.together(|| union::apply(cpu, recipe, network, rows, cpu.float(recipe.precision)))?);
        }
        let (rows, width) = match &self.embedding {
            Some(embedding) => (cpu.together(|| embedding.place(cpu, &rows, dim)), embedding.width(dim)),
            None => (rows, dim),
        };
        let distances = rows
            .chunks_exact(width)
            .flat_map(|row| self.centers.chunks_exact(width).map(|center| -squared_distance(row, center) / TEMPERATURE));
        let mut shares: Vec<f32> = distances.collect();
        cpu.isa.softmax(&mut shares, k);
        Ok(shares)
    }

    /// Reads a codebook's file.
    ///
    /// # Errors
    /// [`CodebookError::NotACodebook`], [`CodebookError::Metadata`], or [`CodebookError::File`] if it is damaged, a tensor has another shape, or a
    /// value is not finite.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, CodebookError> {
        let mut weights = Weights::parse(bytes)?;
        let text = weights.metadata(METADATA).map_err(|_| CodebookError::NotACodebook)?;
        let wrong = |what: String| Err(CodebookError::Metadata(what));
        let Metadata { format, learned } = match serde_json::from_str(text) {
            Ok(metadata) => metadata,
            Err(error) => return wrong(error.to_string()),
        };
        if format != FORMAT {
            return wrong(format!("format {format}; this version reads {FORMAT}"));
        }
        let (k, dim) = (learned.n_parts, weights.shape("mean")?.iter().product());
        if !(1..=MAX_DIM).contains(&dim) || !(MIN_CLUSTERS..=MAX_CLUSTERS).contains(&k) {
            return wrong(format!("{k} parts of features of {dim} values"));
        }
        if learned.common.is_some_and(|share| !(0.0..=1.0).contains(&share)) {
            return wrong("common is no share".into());
        }
        let mean = weights.take("mean", &[dim])?;
        let (mut centers, mut network, mut embedding) = (Vec::new(), None, None);
        match learned.method {
            Grouping::Kmeans => centers = weights.take("centers", &[k, dim])?,
            Grouping::Spectral => {
                let taken = take_embedding(&mut weights, dim)?;
                centers = weights.take("centers", &[k, taken.width(dim)])?;
                embedding = Some(taken);
            }
            Grouping::Network | Grouping::Both => network = Some(take_network(&mut weights, dim, k)?),
        }
        let segments = if learned.common.is_some() { Some(take_segments(&mut weights, dim)?) } else { None };
        weights.finish()?;
        Ok(Self { learned, mean, centers, embedding, network, segments })
    }

    /// The codebook's file: the same bytes for the same codebook.
    ///
    /// # Errors
    /// [`CodebookError::Metadata`] if the encoder refuses.
    pub fn to_bytes(&self) -> Result<Vec<u8>, CodebookError> {
        let refused = |error: &dyn fmt::Display| CodebookError::Metadata(error.to_string());
        let text = serde_json::to_string(&Metadata { format: FORMAT, learned: self.learned.clone() }).map_err(|e| refused(&e))?;
        let (k, dim) = (self.learned.n_parts, self.dim());
        let bytes = |values: &[f32]| -> Vec<u8> { values.iter().flat_map(|x| x.to_le_bytes()).collect() };
        let mut tensors = vec![("mean", vec![dim], bytes(&self.mean))];
        match &self.network {
            None => tensors.push(("centers", vec![k, self.centers.len() / k], bytes(&self.centers))),
            Some(network) => {
                let named = NETWORK.into_iter().zip(network_shapes(dim, k)).zip(network.groups());
                tensors.extend(named.map(|((name, shape), values)| (name, shape, bytes(values))));
            }
        }
        if let Some(embedding) = &self.embedding {
            let (m, e) = (embedding.len(dim), embedding.width(dim));
            tensors.push(("landmarks", vec![m, dim], bytes(&embedding.landmarks)));
            tensors.push(("coordinates", vec![m, e], bytes(&embedding.coordinates)));
        }
        if let Some(Segments { centers, appears }) = &self.segments {
            tensors.push(("segments", vec![appears.len(), dim], bytes(centers)));
            tensors.push(("appears", vec![appears.len()], bytes(appears)));
        }
        let mut views = Vec::new();
        for (name, shape, data) in &tensors {
            views.push((*name, TensorView::new(Dtype::F32, shape.clone(), data).map_err(|e| refused(&e))?));
        }
        serialize(views, Some(HashMap::from([(METADATA.to_owned(), text)]))).map_err(|e| refused(&e))
    }
}

/// Shapes of the graph network's tensors.
fn network_shapes(dim: usize, k: usize) -> [Vec<usize>; 6] {
    let (c, h) = (CONVOLUTION_WIDTH, HIDDEN_WIDTH);
    [vec![dim, c], vec![c], vec![c, h], vec![h], vec![h, k], vec![k]]
}

fn take_network(weights: &mut Weights<'_>, dim: usize, k: usize) -> Result<Network, WeightsError> {
    let mut network = Network::zeros(dim, k);
    for ((name, shape), group) in NETWORK.into_iter().zip(network_shapes(dim, k)).zip(network.groups_mut()) {
        group.copy_from_slice(&weights.take(name, &shape)?);
    }
    Ok(network)
}

fn take_embedding(weights: &mut Weights<'_>, dim: usize) -> Result<Embedding, CodebookError> {
    let (rows, shape) = (weights.shape("landmarks")?, weights.shape("coordinates")?);
    match (&rows[..], &shape[..]) {
        (&[m, _], &[_, e]) if (1..=MAX_LANDMARKS).contains(&m) && (1..=MAX_COORDINATES).contains(&e) => {
            Ok(Embedding { landmarks: weights.take("landmarks", &[m, dim])?, coordinates: weights.take("coordinates", &[m, e])? })
        }
        _ => Err(CodebookError::Metadata(format!(
            "landmarks {rows:?} and coordinates {shape:?}; expected 1 to {MAX_LANDMARKS} landmarks of 1 to {MAX_COORDINATES} coordinates"
        ))),
    }
}

fn take_segments(weights: &mut Weights<'_>, dim: usize) -> Result<Segments, CodebookError> {
    let count = weights.shape("appears")?.iter().product();
    if !(1..=MAX_SEGMENTS).contains(&count) {
        return Err(CodebookError::Metadata(format!("{count} segments; expected 1 to {MAX_SEGMENTS}")));
    }
    Ok(Segments { centers: weights.take("segments", &[count, dim])?, appears: weights.take("appears", &[count])? })
}

/// Why an image has no parts.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PartsError {
    /// The codebook is for other features.
    #[error(transparent)]
    Codebook(#[from] CodebookError),
    /// The features make no graph.
    #[error(transparent)]
    Cluster(#[from] ClusterError),
}
