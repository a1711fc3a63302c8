//! Where each patch of a frame was in the frame before.
//!
//! ```text
//! wᵢⱼ ∝ exp(cos(fᵢ, gⱼ) / T),   j among the five most alike of the patches within two of i
//! carried(v)ᵢ = Σⱼ wᵢⱼ vⱼ
//! ```
//!
//! | symbol | code     | shape       | meaning                              |
//! |--------|----------|-------------|--------------------------------------|
//! | f, g   | features | `[n, d]`    | this frame's and the one's before     |
//! | w      | `shares` | `[n, 5]`    | weights; each row sums to one         |
//! | v      | `values` | `[n]`, or on a finer grid | what is carried along    |
//!
//! The features are there already, so this costs 25 inner products a patch. A patch of the embedded network is about twenty pixels of a frame of 480
//! rows, so the window reaches forty pixels; what moves faster is found again by the network itself.
//!
//! Whether the frames show one scene is asked of the same cosines. With a the mean of the highest cosine in each patch's window, and b that in the window
//! at the other side of the frame, where nothing of the patch can be:
//!
//! ```text
//! kinship = (a − b) / (1 − b)       1: all is there again; 0: the frame before has no more of a patch than any picture has
//! ```
//!
//! It needs no scale of the features' own: cosines of one network lie between 0.7 and 1, those of another between 0 and 1.
//!
//! Cost: O(25·n·d) time, and a quarter more for b, which every fourth patch tells.

use crate::cpu::Cpu;
use crate::features::FeatureMap;
use crate::kernels::parallel;

/// Patches that a patch may have moved, each way.
const RADIUS: usize = 2;
/// Patches that a patch's values are averaged over.
pub(super) const SOURCES: usize = 5;
/// T: a cosine this much lower weighs a factor of e less.
const TEMPERATURE: f32 = 0.05;

/// Every so many patches are compared with the other side.
const STRANGERS: usize = 4;
/// Frames that are so nearly the same are one scene, whatever the other side looks like.
const SAME: f32 = 0.98;

/// Where the patches of a frame come from.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Motion {
    columns: usize,
    /// `[n, SOURCES]`
    sources: Vec<[u32; SOURCES]>,
    /// `[n, SOURCES]`
    shares: Vec<[f32; SOURCES]>,
    kinship: f32,
}

/// Feature vectors of length one.
#[derive(Debug, Clone)]
pub(super) struct Directions {
    grid: (usize, usize),
    dim: usize,
    data: Vec<f32>,
}

impl Directions {
    pub fn of(map: &FeatureMap) -> Self {
        let (mut data, dim) = (map.data().to_vec(), map.dim());
        for row in data.chunks_exact_mut(dim) {
            let length = dot(row, row).sqrt();
            if length > 0.0 {
                row.iter_mut().for_each(|value| *value /= length);
            }
        }
        Self { grid: map.grid(), dim, data }
    }

    pub fn grid(&self) -> (usize, usize) {
        self.grid
    }

    pub fn dim(&self) -> usize {
        self.dim
    }

    /// The direction of one patch, `[dim]`.
    pub fn of_patch(&self, patch: usize) -> &[f32] {
        &self.data[patch * self.dim..][..self.dim]
    }
}

impl Motion {
    /// From one frame to the next; None if their grids differ.
    pub fn find(cpu: &Cpu, now: &Directions, before: &Directions) -> Option<Self> {
        if (now.grid, now.dim) != (before.grid, before.dim) {
            return None;
        }
        let (rows, columns) = now.grid;
        let mut found = vec![([0; SOURCES], [0.0; SOURCES], 0.0, None); rows * columns];
        cpu.together(|| {
            parallel::for_each(found.chunks_mut(columns).enumerate(), |(y, line)| {
                for (x, found) in line.iter_mut().enumerate() {
                    let own = now.of_patch(y * columns + x);
                    let (sources, cosines) = best(own, before, (y, x));
                    let is_asked = (y + x) % STRANGERS == 0;
                    let stranger = is_asked.then(|| best(own, before, (rows - 1 - y, columns - 1 - x)).1[0]);
                    *found = (sources, shares(cosines), cosines[0], stranger);
                }
            });
        });
        // In their order, so that the sums do not depend on threads.
        let mean = |sum: f32, count: usize| sum / count.max(1) as f32;
        let own = mean(found.iter().map(|(_, _, best, _)| best).sum(), found.len());
        let strangers = found.iter().filter_map(|(.., stranger)| *stranger);
        let other = mean(strangers.clone().sum(), strangers.count());
        let kinship = if own >= SAME { 1.0 } else { (own - other) / (1.0 - other).max(f32::EPSILON) };
        let (sources, shares) = found.into_iter().map(|(sources, shares, ..)| (sources, shares)).unzip();
        Some(Self { columns, sources, shares, kinship })
    }

    /// Values of the frame before, on a grid `scale` times as fine as the patches', as they lie now.
    pub fn carry(&self, values: &[f32], scale: usize) -> Vec<f32> {
        let (columns, fine) = (self.columns, self.columns * scale);
        let mut out = vec![0.0; values.len()];
        for (patch, (sources, shares)) in self.sources.iter().zip(&self.shares).enumerate() {
            let at = |patch: usize, line: usize| (patch / columns * scale + line) * fine + patch % columns * scale;
            for line in 0..scale {
                let to = at(patch, line);
                for (&source, &share) in sources.iter().zip(shares) {
                    let from = at(source as usize, line);
                    let cells = out[to..to + scale].iter_mut().zip(&values[from..from + scale]);
                    cells.for_each(|(out, value)| *out += share * value);
                }
            }
        }
        out
    }

    /// Bytes of a patch in [`Motion::to_bytes`], and of what comes before the first.
    pub const BYTES: usize = 2 * SOURCES;
    pub const HEAD: usize = 8;

    /// In few bytes: shares in steps of 1/255.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = [(self.columns as u32).to_le_bytes(), self.kinship.to_le_bytes()].concat();
        for (patch, (sources, shares)) in self.sources.iter().zip(&self.shares).enumerate() {
            let (y, x) = (patch / self.columns, patch % self.columns);
            // Where the source lies in the window.
            let place = |source: u32| {
                let (v, u) = (source as usize / self.columns, source as usize % self.columns);
                ((v + RADIUS - y) * (2 * RADIUS + 1) + u + RADIUS - x) as u8
            };
            out.extend(sources.map(place));
            out.extend(shares.map(|share| (share * 255.0).round() as u8));
        }
        out
    }

    /// What [`Motion::to_bytes`] made; None of other bytes.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (head, rest) = bytes.split_at_checked(Self::HEAD)?;
        let columns = u32::from_le_bytes([head[0], head[1], head[2], head[3]]) as usize;
        let kinship = f32::from_le_bytes([head[4], head[5], head[6], head[7]]);
        let (patches, left) = rest.as_chunks::<{ Self::BYTES }>();
        if columns == 0 || patches.is_empty() || patches.len() % columns != 0 || !left.is_empty() {
            return None;
        }
        let (mut sources, mut shares) = (Vec::with_capacity(patches.len()), Vec::with_capacity(patches.len()));
        for (patch, bytes) in patches.iter().enumerate() {
            let (places, weights) = bytes.split_at(SOURCES);
            let mut own = [0; SOURCES];
            for (own, &place) in own.iter_mut().zip(places) {
                let (down, across) = (usize::from(place) / (2 * RADIUS + 1), usize::from(place) % (2 * RADIUS + 1));
                let v = (patch / columns + down).checked_sub(RADIUS)?;
                let u = (patch % columns + across).checked_sub(RADIUS).filter(|u| *u < columns)?;
                *own = u32::try_from(v * columns + u).ok().filter(|source| (*source as usize) < patches.len())?;
            }
            let total = weights.iter().map(|&weight| f32::from(weight)).sum::<f32>().max(1.0);
            let mut of = [0.0; SOURCES];
            of.iter_mut().zip(weights).for_each(|(of, &weight)| *of = f32::from(weight) / total);
            sources.push(own);
            shares.push(of);
        }
        Some(Self { columns, sources, shares, kinship })
    }

    /// How much of the frame is in the frame before, at most 1; about 0 where a new scene begins.
    pub fn kinship(&self) -> f32 {
        self.kinship
    }
}

/// The patches most alike to a vector within the window about a patch, and their cosines, the highest first.
fn best(own: &[f32], before: &Directions, (y, x): (usize, usize)) -> ([u32; SOURCES], [f32; SOURCES]) {
    let (rows, columns) = before.grid;
    let mut sources = [(y * columns + x) as u32; SOURCES];
    let mut cosines = [f32::NEG_INFINITY; SOURCES];
    for v in y.saturating_sub(RADIUS)..(y + RADIUS + 1).min(rows) {
        for u in x.saturating_sub(RADIUS)..(x + RADIUS + 1).min(columns) {
            let at = v * columns + u;
            let cosine = dot(own, before.of_patch(at));
            // Among equals the first stays before the others.
            let Some(place) = cosines.iter().position(|&other| cosine > other) else { continue };
            cosines[place..].rotate_right(1);
            sources[place..].rotate_right(1);
            (cosines[place], sources[place]) = (cosine, at as u32);
        }
    }
    (sources, cosines)
}

/// Weights of cosines, the highest first; where there are fewer patches, the others have none.
fn shares(cosines: [f32; SOURCES]) -> [f32; SOURCES] {
    let weights = cosines.map(|cosine| ((cosine - cosines[0]) / TEMPERATURE).exp());
    let total: f32 = weights.iter().sum();
    weights.map(|weight| weight / total)
}

/// The inner product, in an order of its own that every processor has.
fn dot(a: &[f32], b: &[f32]) -> f32 {
    const LANES: usize = 16;
    let ((a, a_rest), (b, b_rest)) = (a.as_chunks::<LANES>(), b.as_chunks::<LANES>());
    let mut sums = [0.0; LANES];
    for (a, b) in a.iter().zip(b) {
        for lane in 0..LANES {
            sums[lane] += a[lane] * b[lane];
        }
    }
    let rest: f32 = a_rest.iter().zip(b_rest).map(|(a, b)| a * b).sum();
    sums.iter().sum::<f32>() + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Patches of four kinds, which have nothing in common.
    fn drawn(rows: &[&str]) -> Directions {
        let kinds = |kind: u8| (0..4u8).map(move |other| if kind == b'0' + other { 2.0 } else { 0.0 });
        let data: Vec<f32> = rows.iter().flat_map(|row| row.bytes()).flat_map(kinds).collect();
        Directions::of(&FeatureMap::new(rows.len(), rows[0].len(), 4, data).unwrap())
    }

    #[test]
    fn a_patch_that_moved_takes_its_values_along() {
        let before = drawn(&["00000", "01000", "00000"]);
        let now = drawn(&["00000", "00010", "00000"]);
        let motion = Motion::find(&Cpu::single(), &now, &before).unwrap();
        let mut values = vec![0.0; 15];
        values[6] = 1.0;
        let carried = motion.carry(&values, 1);
        assert!(carried[8] > 0.99 && carried.iter().sum::<f32>() < 1.01, "{carried:?}");
        assert_eq!(motion.kinship(), 1.0);
        // On a grid of twice the rows and columns: the upper left cell of the patch.
        let mut fine = vec![0.0; 60];
        fine[2 * 10 + 2] = 1.0;
        let carried = motion.carry(&fine, 2);
        assert!(carried[2 * 10 + 6] > 0.99 && carried[2 * 10 + 7] == 0.0);
    }

    #[test]
    fn a_motion_is_kept_in_few_bytes() {
        let (now, before) = (drawn(&["00000", "00310", "02000"]), drawn(&["00300", "01000", "00020"]));
        let motion = Motion::find(&Cpu::single(), &now, &before).unwrap();
        let bytes = motion.to_bytes();
        assert_eq!(bytes.len(), Motion::HEAD + 15 * Motion::BYTES);
        let read = Motion::from_bytes(&bytes).unwrap();
        assert_eq!((read.columns, read.kinship, &read.sources), (motion.columns, motion.kinship, &motion.sources));
        let close = |(a, b): (&[f32; SOURCES], &[f32; SOURCES])| a.iter().zip(b).all(|(a, b)| (a - b).abs() < 0.01);
        assert!(read.shares.iter().zip(&motion.shares).all(close));
        assert_eq!(Motion::from_bytes(&bytes[..bytes.len() - 1]), None);
        assert_eq!(Motion::from_bytes(&vec![255; bytes.len()]), None);
    }

    #[test]
    fn another_scene_has_nothing_of_the_one_before() {
        let kinship =
            |now: &[&str], before: &[&str]| Motion::find(&Cpu::single(), &drawn(now), &drawn(before)).unwrap().kinship();
        assert_eq!(kinship(&["2222222", "2223332", "2222222"], &["0000000", "0111000", "0000000"]), 0.0);
        // The left half of the frame is there again, the right half is new.
        let half = kinship(&["0000003333", "0000003333", "0000003333"], &["0000001111", "0000001111", "0000001111"]);
        assert!((0.2..0.9).contains(&half), "{half}");
    }

    #[test]
    fn threads_change_nothing_and_grids_must_agree() {
        let mut state = 1u32;
        let mut random = || {
            let data = (0..9 * 13 * 21).map(|_| {
                state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                (state >> 8) as f32 / 16_777_216.0 - 0.5
            });
            Directions::of(&FeatureMap::new(9, 13, 21, data.collect()).unwrap())
        };
        let (now, before) = (random(), random());
        let several = Cpu::builder().threads(3).build().unwrap();
        assert_eq!(Motion::find(&Cpu::single(), &now, &before), Motion::find(&several, &now, &before));
        assert_eq!(Motion::find(&several, &now, &drawn(&["00", "11"])), None);
    }
}
