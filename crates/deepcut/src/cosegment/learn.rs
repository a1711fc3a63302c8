//! From the foregrounds of a set to a codebook.

use super::codebook::Segments;
use super::elbow::kmeans_at_elbow;
use super::spectral::{Embedding, spectral_cut};
use super::union::{Patches, Union, UnionError};
use super::{Codebook, Cosegment, CosegmentError, Foreground, Foregrounds, Grouping, Learned, space};
use crate::backbone::Identity;
use crate::cpu::Cpu;
use crate::gnn::{Network, nth_seed};
use crate::kmeans::{Fit, Points, kmeans};
use crate::progress::{Observer, Step, begin};
use crate::segment::{ClusterError, Recipe};
use std::ops::Range;

/// Features of all patches that are looked at, at most: 128 MiB. Of larger sets each image gives fewer patches, evenly spread over its object.
const MAX_VALUES: usize = 1 << 25;
/// Fewest and most parts that the elbow finds.
const AUTO_PARTS: [usize; 2] = [2, 10];
/// One more part has to explain this share of what there is.
const PARTS_ELBOW: f64 = 0.03;
/// Fewest and most segments that `common` looks at, and their elbow.
const SEGMENTS: [usize; 2] = [4, 16];
const SEGMENTS_ELBOW: f64 = 0.01;
/// A segment appears in an image where it has this share of the foreground's patches.
const APPEARS: f64 = 0.05;
/// Networks that are trained, of which the one of the best objective counts.
const STARTS: usize = 3;

/// The patches that are looked at: some of every image.
struct Drawn {
    dim: usize,
    /// `[n, dim]`, image after image.
    rows: Vec<f32>,
    /// Patches of each image; every image has one or more.
    counts: Vec<usize>,
}

/// Draws from the rows of each image of the set that `rows_of` gives.
fn draw(
    set: &Foregrounds,
    dim: usize,
    rows_of: impl Fn(&Foreground) -> Vec<f32>,
    observe: &mut Observer<'_>,
) -> Result<Drawn, CosegmentError> {
    let mut drawn = Drawn { dim, rows: Vec::new(), counts: Vec::new() };
    let most = (MAX_VALUES / (dim * set.images())).max(1);
    for foreground in set.each() {
        begin(observe, Step::Graph)?;
        let rows = rows_of(&foreground?);
        let patches = rows.len() / dim;
        let count = patches.min(most);
        for at in 0..count {
            let patch = at * patches / count;
            drawn.rows.extend_from_slice(&rows[patch * dim..(patch + 1) * dim]);
        }
        if count > 0 {
            drawn.counts.push(count);
        }
    }
    Ok(drawn)
}

/// Length of the feature vectors of a set. None if no image has an object.
fn dimension(set: &Foregrounds) -> Result<Option<usize>, CosegmentError> {
    let mut first = None;
    for foreground in set.each() {
        let foreground = foreground?;
        if foreground.patches() > 0 {
            let (first, other) = (*first.get_or_insert(foreground.dim), foreground.dim);
            if first != other {
                return Err(ClusterError::Dimensions { first, other }.into());
            }
        }
    }
    Ok(first)
}

/// The mean of the images' means, `[dim]`; `rows_of` gives an image's rows.
fn mean(set: &Foregrounds, dim: usize, rows_of: impl Fn(&Foreground) -> Vec<f32>) -> Result<Vec<f32>, CosegmentError> {
    let (mut total, mut images) = (vec![0.0f64; dim], 0.0);
    for foreground in set.each() {
        let rows = rows_of(&foreground?);
        if rows.is_empty() {
            continue;
        }
        let mut sum = vec![0.0f64; dim];
        rows.chunks_exact(dim).for_each(|row| sum.iter_mut().zip(row).for_each(|(sum, x)| *sum += f64::from(*x)));
        total.iter_mut().zip(sum).for_each(|(total, sum)| *total += sum / (rows.len() / dim) as f64);
        images += 1.0;
    }
    Ok(total.into_iter().map(|sum| (sum / images) as f32).collect())
}

impl Drawn {
    /// Ranges of the images' patches.
    fn images(&self) -> impl Iterator<Item = Range<usize>> {
        self.counts.iter().scan(0, |first, count| {
            *first += count;
            Some(*first - count..*first)
        })
    }

    /// One over the number of patches of each patch's image, `[n]`.
    fn weights(&self) -> Vec<f64> {
        self.counts.iter().flat_map(|&count| std::iter::repeat_n(1.0 / count as f64, count)).collect()
    }

    /// The patches of each image, with their labels, `[n]`, if there are any.
    fn patches<'a>(&'a self, labels: Option<&'a [u32]>) -> Vec<Patches<'a>> {
        let rows_of = |image: &Range<usize>| &self.rows[image.start * self.dim..image.end * self.dim];
        self.images().map(|image| Patches { rows: rows_of(&image), labels: labels.map(|labels| &labels[image]) }).collect()
    }

    /// Segments of the foregrounds, and the share of images that each appears in.
    fn segments(&self, cpu: &Cpu, restarts: usize, seed: u64, observe: &mut Observer<'_>) -> Result<Segments, CosegmentError> {
        let weights = self.weights();
        let points = Points { rows: &self.rows, dim: self.dim, weights: &weights };
        let fit = kmeans_at_elbow(cpu, points, SEGMENTS, SEGMENTS_ELBOW, restarts, seed, observe)?;
        let mut appears = vec![0.0; fit.centers.len() / self.dim];
        for image in self.images() {
            let least = APPEARS * image.len() as f64;
            let mut own = vec![0usize; appears.len()];
            fit.labels[image].iter().for_each(|&label| own[label as usize] += 1);
            let there = appears.iter_mut().zip(own).filter(|(_, own)| *own > 0 && *own as f64 >= least);
            there.for_each(|(appears, _)| *appears += 1.0);
        }
        appears.iter_mut().for_each(|appears| *appears /= self.counts.len() as f32);
        Ok(Segments { centers: fit.centers, appears })
    }
}

impl Cosegment {
    /// Learns the parts of a set. What was drawn depends on `seed`; the order of the images and their names do not matter, nor does the number of
    /// threads. `network` is what the features are of; the codebook belongs to it.
    ///
    /// # Errors
    /// [`CosegmentError`].
    pub fn learn(
        &self,
        cpu: &Cpu,
        recipe: &Recipe,
        set: &Foregrounds,
        network: &Identity,
        seed: u64,
        observe: &mut Observer<'_>,
    ) -> Result<Codebook, CosegmentError> {
        self.validate()?;
        recipe.validate().map_err(ClusterError::from)?;
        begin(observe, Step::Graph)?;
        if set.images() == 0 {
            return Err(CosegmentError::NoImages);
        }
        let Some(dim) = dimension(set)? else { return Err(CosegmentError::NoForeground { images: set.images() }) };
        // Rates are measured with nobody beside.
        let precision = cpu.float(recipe.precision);
        cpu.together(|| {
            let segments = match self.common {
                None => None,
                Some(_) => Some(draw(set, dim, Foreground::rows, observe)?.segments(cpu, self.restarts, seed, observe)?),
            };
            let common = |foreground: &Foreground| {
                let (rows, cells) = (foreground.rows(), foreground.cells());
                match (&segments, self.common) {
                    (Some(segments), Some(least)) => segments.common(&rows, &cells, least),
                    _ => (rows, cells),
                }
            };
            let mean = mean(set, dim, |foreground| common(foreground).0)?;
            let points_of = |foreground: &Foreground| {
                let (mut rows, cells) = common(foreground);
                space::to_points(&mut rows, &cells, foreground.cut.grid().size().1, &mean);
                rows
            };
            let drawn = draw(set, dim, points_of, observe)?;
            if let (Some(least), true) = (self.common, drawn.counts.is_empty()) {
                return Err(CosegmentError::NothingCommon { least: 100.0 * least });
            }
            let (images, n) = (drawn.counts.len(), drawn.rows.len() / dim);
            let least = self.n_parts.unwrap_or(AUTO_PARTS[0]);
            if least > n {
                return Err(CosegmentError::TooManyParts { n_parts: least, patches: n });
            }
            begin(observe, Step::Train { epoch: 0 })?;
            let Found { n_parts, centers, embedding, network: trained } = match self.method {
                Grouping::Kmeans => self.by_kmeans(cpu, &drawn, seed, observe)?.0,
                Grouping::Spectral => self.by_spectral_cut(cpu, &drawn, seed, observe)?,
                Grouping::Network | Grouping::Both => {
                    let (found, labels) = self.by_kmeans(cpu, &drawn, seed, observe)?;
                    let union = Union {
                        cpu,
                        recipe,
                        precision,
                        dim,
                        k: found.n_parts,
                        images: drawn.patches((self.method == Grouping::Both).then_some(&labels[..])),
                    };
                    // The network stands in for the centers.
                    Found { centers: Vec::new(), network: Some(best_network(&union, seed, observe)?), ..found }
                }
            };
            let learned =
                Learned { network: network.into(), method: self.method, n_parts, images, patches: n, seed, common: self.common };
            Ok(Codebook { learned, mean, centers, embedding, network: trained, segments })
        })
    }

    /// k-means of the points, and the part of each.
    fn by_kmeans(
        &self,
        cpu: &Cpu,
        drawn: &Drawn,
        seed: u64,
        observe: &mut Observer<'_>,
    ) -> Result<(Found, Vec<u32>), CosegmentError> {
        let (dim, weights) = (drawn.dim, drawn.weights());
        let points = Points { rows: &drawn.rows, dim, weights: &weights };
        let fit = match self.n_parts {
            Some(k) => kmeans(cpu, points, k, self.restarts, seed),
            None => kmeans_at_elbow(cpu, points, AUTO_PARTS, PARTS_ELBOW, self.restarts, seed, observe)?,
        };
        let Fit { centers, labels, .. } = largest_first(fit, points);
        Ok((Found { n_parts: centers.len() / dim, centers, embedding: None, network: None }, labels))
    }

    /// A spectral cut of the points' graph; how many parts there are, k-means says.
    fn by_spectral_cut(&self, cpu: &Cpu, drawn: &Drawn, seed: u64, observe: &mut Observer<'_>) -> Result<Found, CosegmentError> {
        let n_parts = match self.n_parts {
            Some(k) => k,
            None => self.by_kmeans(cpu, drawn, seed, observe)?.0.n_parts,
        };
        let weights = drawn.weights();
        let points = Points { rows: &drawn.rows, dim: drawn.dim, weights: &weights };
        let cut = spectral_cut(cpu, points, n_parts, self.restarts, seed).map_err(ClusterError::from)?;
        let dim = cut.embedding.width(drawn.dim);
        let centers = largest_first(cut.fit, Points { rows: &cut.placed, dim, weights: &cut.weights }).centers;
        Ok(Found { n_parts, centers, embedding: Some(cut.embedding), network: None })
    }
}

/// What tells the parts apart, by one of the methods.
struct Found {
    n_parts: usize,
    centers: Vec<f32>,
    embedding: Option<Embedding>,
    network: Option<Network>,
}

/// Numbers the centers by their points' weight, the heaviest first.
fn largest_first(fit: Fit, points: Points<'_>) -> Fit {
    let k = fit.centers.len() / points.dim;
    let mut weight = vec![0.0; k];
    fit.labels.iter().zip(points.weights).for_each(|(&label, own)| weight[label as usize] += own);
    let mut order: Vec<usize> = (0..k).collect();
    order.sort_by(|&a, &b| weight[b].total_cmp(&weight[a]));
    let mut place = vec![0; k];
    order.iter().enumerate().for_each(|(at, &old)| place[old] = at as u32);
    Fit {
        centers: order.iter().flat_map(|&old| &fit.centers[old * points.dim..(old + 1) * points.dim]).copied().collect(),
        labels: fit.labels.iter().map(|&label| place[label as usize]).collect(),
        distortion: fit.distortion,
    }
}

/// The best of the networks of some seeds.
fn best_network(union: &Union<'_>, seed: u64, observe: &mut Observer<'_>) -> Result<Network, CosegmentError> {
    let failed = |error| match error {
        UnionError::Graph(error) => CosegmentError::Cluster(error.into()),
        UnionError::Cancelled => CosegmentError::Cancelled,
    };
    let mut best = union.train(seed, observe).map_err(failed)?;
    for start in 1..STARTS {
        let other = union.train(nth_seed(seed, start), observe).map_err(failed)?;
        if other.1 < best.1 {
            best = other;
        }
    }
    Ok(best.0)
}
