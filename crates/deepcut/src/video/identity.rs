//! Which object of a frame is which of the frames before: ids that live on.
//!
//! ```text
//! IoU(object, track) on a grid of two by two cells a patch, the track's cells moved with the patches
//! ```
//!
//! Pairs are taken by their overlap, the largest first, down to 0.2. An object that is left may be a track that was lost for a while, by the mean of its
//! features; else it begins a track. A track's label is the smallest that no living track has, so the colors of an overlay live on too.

use super::motion::{Directions, Motion};
use crate::segmentation::Segmentation;
use std::collections::BTreeMap;

/// Cells along a patch's side on which overlaps are measured.
const SCALE: usize = 2;
/// A smaller overlap is no proof.
const LEAST_OVERLAP: f32 = 0.2;
/// Cosine of the mean features by which a lost track is found again.
const LEAST_LIKENESS: f32 = 0.9;
/// Frames that a lost track is remembered.
const MEMORY: usize = 25;

/// A track that lives, or is remembered.
#[derive(Debug, Clone)]
struct Track {
    id: u32,
    label: u8,
    /// Cells of the last frame that it was seen in, as they moved since.
    cells: Vec<f32>,
    /// Mean of its patches' features then.
    look: Vec<f32>,
    /// Frames since.
    unseen: usize,
}

/// The tracks so far.
#[derive(Debug, Clone, Default)]
pub(super) struct Identities {
    tracks: Vec<Track>,
    last_id: u32,
}

impl Identities {
    /// Forgets all tracks; their ids are not used again.
    pub fn start_anew(&mut self) {
        self.tracks.clear();
    }

    /// The label and the id of each of the objects, whose labels are `labels`. `motion` leads from the frame before.
    pub fn name(
        &mut self,
        found: &Segmentation,
        labels: &[u8],
        directions: &Directions,
        motion: Option<&Motion>,
    ) -> BTreeMap<u8, (u8, u32)> {
        let grid = directions.grid();
        let cells = cells(found, grid);
        for track in &mut self.tracks {
            track.unseen += 1;
            if let Some(motion) = motion {
                track.cells = motion.carry(&track.cells, SCALE);
            }
        }
        self.tracks.retain(|track| track.unseen <= MEMORY);
        let objects: Vec<(u8, Vec<f32>, Vec<f32>)> = labels
            .iter()
            .map(|&label| {
                let own: Vec<f32> = cells.iter().map(|&cell| if cell == label { 1.0 } else { 0.0 }).collect();
                let look = look(&own, directions);
                (label, own, look)
            })
            .collect();
        let mut pairs = Vec::new();
        for (o, (_, own, look)) in objects.iter().enumerate() {
            for (t, track) in self.tracks.iter().enumerate() {
                let overlap = if track.unseen == 1 { overlap(own, &track.cells) } else { 0.0 };
                let likeness = likeness(look, &track.look);
                if overlap >= LEAST_OVERLAP {
                    // Every overlap goes before every likeness.
                    pairs.push((1.0 + overlap, o, t));
                } else if track.unseen > 1 && likeness >= LEAST_LIKENESS {
                    pairs.push((likeness, o, t));
                }
            }
        }
        pairs.sort_by(|a, b| b.0.total_cmp(&a.0).then_with(|| (a.1, a.2).cmp(&(b.1, b.2))));
        let (mut of_object, mut taken) = (vec![None; objects.len()], vec![false; self.tracks.len()]);
        for (_, o, t) in pairs {
            if of_object[o].is_none() && !taken[t] {
                (of_object[o], taken[t]) = (Some(t), true);
            }
        }
        let mut names = BTreeMap::new();
        for ((label, cells, look), track) in objects.into_iter().zip(of_object) {
            let (id, own_label) = match track {
                Some(t) => (self.tracks[t].id, self.tracks[t].label),
                None => {
                    self.last_id += 1;
                    let Some(free) = self.free_label(&taken) else { continue };
                    (self.last_id, free)
                }
            };
            let renewed = Track { id, label: own_label, cells, look, unseen: 0 };
            match track {
                Some(t) => self.tracks[t] = renewed,
                None => self.tracks.push(renewed),
            }
            names.insert(label, (own_label, id));
        }
        names
    }

    /// The smallest label that no track has; else that of the track that was unseen longest, which is forgotten. `taken` tracks are in this frame.
    fn free_label(&mut self, taken: &[bool]) -> Option<u8> {
        let is_free = |label: &u8| self.tracks.iter().all(|track| track.label != *label);
        if let Some(label) = (1..=254).find(is_free) {
            return Some(label);
        }
        let is_lost = |t: &usize| self.tracks[*t].unseen > 0 && !taken.get(*t).copied().unwrap_or_default();
        let oldest = (0..self.tracks.len()).filter(is_lost).max_by_key(|&t| self.tracks[t].unseen)?;
        let forgotten = &mut self.tracks[oldest];
        forgotten.unseen = MEMORY;
        Some(std::mem::take(&mut forgotten.label))
    }
}

/// The label at the middle of each cell, `[rows * SCALE, columns * SCALE]`.
fn cells(found: &Segmentation, (rows, columns): (usize, usize)) -> Vec<u8> {
    let (rows, columns) = (rows * SCALE, columns * SCALE);
    let middle = |cell: usize, cells: usize, pixels: usize| (2 * cell + 1) * pixels / (2 * cells);
    let at = |y: usize, x: usize| middle(y, rows, found.height()) * found.width() + middle(x, columns, found.width());
    (0..rows).flat_map(|y| (0..columns).map(move |x| (y, x))).map(|(y, x)| found.labels()[at(y, x)]).collect()
}

/// The mean of the directions of an object's patches, each weighted by its cells; of length one, or nothing.
fn look(cells: &[f32], directions: &Directions) -> Vec<f32> {
    let (_, columns) = directions.grid();
    let fine = columns * SCALE;
    let mut mean = vec![0.0; directions.dim()];
    for (cell, &share) in cells.iter().enumerate().filter(|(_, share)| **share > 0.0) {
        let patch = cell / fine / SCALE * columns + cell % fine / SCALE;
        mean.iter_mut().zip(directions.of_patch(patch)).for_each(|(mean, value)| *mean += share * value);
    }
    let length = mean.iter().map(|value| value * value).sum::<f32>().sqrt();
    if length > 0.0 {
        mean.iter_mut().for_each(|value| *value /= length);
    }
    mean
}

fn likeness(a: &[f32], b: &[f32]) -> f32 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

/// Intersection over union of soft masks; 0 of grids that differ.
fn overlap(a: &[f32], b: &[f32]) -> f32 {
    if a.len() != b.len() {
        return 0.0;
    }
    let (mut both, mut any) = (0.0, 0.0);
    for (&a, &b) in a.iter().zip(b) {
        both += a.min(b);
        any += a.max(b);
    }
    if any > 0.0 { both / any } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cpu::Cpu;
    use crate::features::FeatureMap;
    use crate::segmentation::{Kind, Meaning};

    /// A frame of one pixel a patch, and what it looks like: every digit another way.
    fn frame(rows: &[&str]) -> (Segmentation, Directions) {
        let labels: Vec<u8> = rows.iter().flat_map(|row| row.bytes()).map(|byte| byte - b'0').collect();
        let data = labels.iter().flat_map(|&label| (0..10).map(move |i| f32::from(u8::from(i == label)))).collect();
        let directions = Directions::of(&FeatureMap::new(rows.len(), rows[0].len(), 10, data).unwrap());
        let kind = |label| if label == 0 { Kind::Background } else { Kind::Object };
        let meanings: Vec<Meaning> =
            (0..10).map(|label| Meaning { label, kind: kind(label), part_of: None, score: 1.0 }).collect();
        (Segmentation::new(rows.len(), rows[0].len(), labels, &meanings).unwrap(), directions)
    }

    fn names(identities: &mut Identities, frames: &[&[&str]]) -> Vec<Vec<(u8, u32)>> {
        let mut before: Option<Directions> = None;
        let mut found = Vec::new();
        for rows in frames {
            let (segmentation, directions) = frame(rows);
            let motion = before.as_ref().and_then(|before| Motion::find(&Cpu::single(), &directions, before));
            let labels: Vec<u8> = segmentation.regions().iter().map(|region| region.label).filter(|label| *label > 0).collect();
            let names = identities.name(&segmentation, &labels, &directions, motion.as_ref());
            found.push(names.into_iter().map(|(label, (_, id))| (label, id)).collect());
            before = Some(directions);
        }
        found
    }

    #[test]
    fn a_moving_square_keeps_its_id_and_one_that_comes_back_too() {
        let left = &["000000", "110002", "110002", "000000"][..];
        let right = &["000000", "001102", "001102", "000000"][..];
        let gone = &["000000", "001100", "001100", "000000"][..];
        let mut identities = Identities::default();
        let found = names(&mut identities, &[left, right, gone, gone, right, left]);
        let both = vec![(1, 1), (2, 2)];
        assert_eq!(found, [both.clone(), both.clone(), vec![(1, 1)], vec![(1, 1)], both.clone(), both]);
        identities.start_anew();
        assert_eq!(names(&mut identities, &[left]), [vec![(1, 3), (2, 4)]]);
    }

    #[test]
    fn labels_are_used_again_and_ids_are_not() {
        let mut identities = Identities::default();
        let one = &["0000", "0100"][..];
        let other = &["0030", "0000"][..];
        let none = &["0000", "0000"][..];
        let frames: Vec<&[&str]> = [one].into_iter().chain(std::iter::repeat_n(none, MEMORY + 1)).chain([other]).collect();
        let found = names(&mut identities, &frames);
        assert_eq!(found[MEMORY + 2], [(3, 2)]);
        assert_eq!(identities.tracks[0].label, 1);
    }
}
