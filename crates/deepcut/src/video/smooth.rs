//! Both directions: what the frames after a frame know of it, too.
//!
//! ```text
//! forward   aₜ = (1 − γ) lₜ + γ · carried(aₜ₋₁)
//! backward  bₜ = (1 − γ) lₜ + γ · carried(bₜ₊₁)
//! both      sₜ = (aₜ + bₜ − (1 − γ) lₜ) / (1 + γ)
//! ```
//!
//! | symbol | shape            | meaning                                                  |
//! |--------|------------------|----------------------------------------------------------|
//! | l      | `[n]`, or finer  | log-odds of an object by what the network says of frame t |
//! | s      | the same         | log-odds that the frame is cut with                      |
//! | γ      | number           | share of the frame before, or after                      |
//!
//! The video is read twice. The first time features make l and the motion between frames, which are kept in a temporary file, twelve bytes a
//! patch; from its end back to its beginning they make s. The second time every frame is cut with its s. So memory does not grow with the
//! video. Nothing is carried over the edge between two scenes.

use super::VideoError;
use super::motion::{Directions, Motion};
use super::track::{Tracking, bounded_odds};
use crate::cpu::Cpu;
use crate::features::FeatureMap;
use std::fs::File;
use std::io::{BufWriter, Read, Seek, SeekFrom, Write};

/// Log-odds are kept in steps of one sixteenth.
const STEPS: f32 = 15.875;

fn packed(odds: &[f32]) -> Vec<u8> {
    odds.iter().map(|odds| (odds * STEPS).round().clamp(-127.0, 127.0) as i8 as u8).collect()
}

fn unpacked(bytes: &[u8]) -> Vec<f32> {
    bytes.iter().map(|&byte| f32::from(byte as i8) / STEPS).collect()
}

/// Log-odds of a frame on a grid, and the cells along a patch's side.
pub(super) type Odds = (usize, Vec<f32>);

/// A file of records of many frames.
struct Records {
    file: BufWriter<File>,
    /// Where each record begins, and its length.
    places: Vec<Option<(u64, usize)>>,
    end: u64,
}

impl Records {
    fn new() -> std::io::Result<Self> {
        Ok(Self { file: BufWriter::new(tempfile::tempfile()?), places: Vec::new(), end: 0 })
    }

    /// Adds a record of the frame of this number.
    fn add(&mut self, frame: usize, bytes: &[u8]) -> std::io::Result<()> {
        self.file.seek(SeekFrom::Start(self.end))?;
        self.file.write_all(bytes)?;
        if self.places.len() <= frame {
            self.places.resize(frame + 1, None);
        }
        self.places[frame] = Some((self.end, bytes.len()));
        self.end += bytes.len() as u64;
        Ok(())
    }

    fn get(&mut self, frame: usize) -> std::io::Result<Option<Vec<u8>>> {
        let Some((place, length)) = self.places.get(frame).copied().flatten() else { return Ok(None) };
        self.file.flush()?;
        let file = self.file.get_mut();
        file.seek(SeekFrom::Start(place))?;
        let mut bytes = vec![0; length];
        file.read_exact(&mut bytes)?;
        Ok(Some(bytes))
    }
}

/// The first pass: takes frames in their order, then tells the log-odds of each.
pub(super) struct Smoother {
    cpu: Cpu,
    tracking: Tracking,
    records: Records,
    /// Of each frame the cells along a patch's side, and the frame before that it belongs together with.
    kept: Vec<Option<(usize, Option<usize>)>>,
    last: Option<(usize, Directions, Option<Odds>)>,
}

impl Smoother {
    pub fn new(cpu: Cpu, tracking: Tracking) -> Result<Self, VideoError> {
        let records = Records::new().map_err(no_room)?;
        Ok(Self { cpu, tracking, records, kept: Vec::new(), last: None })
    }

    /// Takes the features of the frame of this number. A frame that is left out is none of the video.
    pub fn add(&mut self, frame: usize, map: &FeatureMap) -> Result<(), VideoError> {
        let directions = Directions::of(map);
        let own = bounded_odds(map);
        let mut forward = own.clone();
        let mut before = None;
        if let Some((number, last, odds)) = &self.last {
            let motion = Motion::find(&self.cpu, &directions, last).filter(|m| m.kinship() >= self.tracking.least_kinship);
            let back = motion.as_ref().and_then(|_| Motion::find(&self.cpu, last, &directions));
            if let (Some(motion), Some(back)) = (motion, back) {
                if let (Some((scale, forward)), Some((its, odds))) = (&mut forward, odds)
                    && its == scale
                {
                    mix(forward, &motion.carry(odds, *scale), self.tracking.inertia);
                }
                before = Some((*number, back));
            }
        }
        if let (Some((scale, own)), Some((_, forward))) = (&own, &forward) {
            let motion = before.as_ref().map(|(_, motion)| motion.to_bytes()).unwrap_or_default();
            let bytes = [&packed(own)[..], &packed(forward), &motion].concat();
            self.records.add(frame, &bytes).map_err(no_room)?;
            self.kept.resize(frame + 1, None);
            self.kept[frame] = Some((*scale, before.as_ref().map(|(number, _)| *number)));
        }
        self.last = Some((frame, directions, forward));
        Ok(())
    }

    /// Goes back from the end to the beginning.
    pub fn finish(mut self) -> Result<Smoothed, VideoError> {
        let mut smoothed = Records::new().map_err(no_room)?;
        let inertia = self.tracking.inertia;
        // What the frame after carries back, and to which frame.
        let mut carried: Option<(usize, Vec<f32>)> = None;
        let mut scales = vec![0; self.kept.len()];
        for frame in (0..self.kept.len()).rev() {
            let (Some((scale, number)), Some(bytes)) = (self.kept[frame], self.records.get(frame).map_err(no_room)?) else {
                continue;
            };
            let cells = self.records_cells(bytes.len(), scale, number.is_some());
            let (own, forward) = (unpacked(&bytes[..cells]), unpacked(&bytes[cells..2 * cells]));
            let motion = number.and_then(|number| Some((number, Motion::from_bytes(&bytes[2 * cells..])?)));
            let mut backward = own.clone();
            let after = carried.take().filter(|(to, values)| *to == frame && values.len() == cells);
            if let Some((_, values)) = &after {
                mix(&mut backward, values, inertia);
            }
            let both = |((a, b), l): ((&f32, &f32), &f32)| (a + b - (1.0 - inertia) * l) / (1.0 + inertia);
            let both: Vec<f32> = forward.iter().zip(&backward).zip(&own).map(both).collect();
            smoothed.add(frame, &packed(&both)).map_err(no_room)?;
            scales[frame] = scale;
            carried = motion.map(|(number, motion)| (number, motion.carry(&backward, scale)));
        }
        Ok(Smoothed { records: smoothed, scales })
    }

    /// Values of a record of so many bytes.
    fn records_cells(&self, bytes: usize, scale: usize, has_motion: bool) -> usize {
        let of_patch = scale * scale * 2 + if has_motion { Motion::BYTES } else { 0 };
        let head = if has_motion { Motion::HEAD } else { 0 };
        (bytes - head) / of_patch * scale * scale
    }
}

/// The log-odds of every frame.
pub(super) struct Smoothed {
    records: Records,
    scales: Vec<usize>,
}

impl Smoothed {
    /// Those of the frame of this number; None if it was left out, or the network says nothing.
    pub fn odds(&mut self, frame: usize) -> Option<Odds> {
        let bytes = self.records.get(frame).ok()??;
        Some((self.scales[frame], unpacked(&bytes)))
    }
}

fn mix(own: &mut [f32], other: &[f32], share: f32) {
    own.iter_mut().zip(other).for_each(|(own, other)| *own = (1.0 - share) * *own + share * other);
}

fn no_room(source: std::io::Error) -> VideoError {
    VideoError::Temporary(source)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use super::*;

    /// A frame of 3 × 4 patches that look like the digits, and what the network says of each.
    fn frame(rows: &[&str], odds: [f32; 12]) -> FeatureMap {
        let kinds = |kind: u8| (0..10u8).map(move |other| if kind == b'0' + other { 1.0 } else { 0.0 });
        let data = rows.iter().flat_map(|row| row.bytes()).flat_map(kinds).collect();
        FeatureMap::new(3, 4, 10, data).unwrap().with_objectness(odds.to_vec()).unwrap()
    }

    const LEFT: [&str; 3] = ["0000", "1000", "0000"];
    const RIGHT: [&str; 3] = ["0000", "0010", "0000"];

    fn odds_at(at: usize, value: f32) -> [f32; 12] {
        let mut odds = [-4.0; 12];
        odds[at] = value;
        odds
    }

    fn smoothed(frames: &[Option<FeatureMap>], inertia: f32) -> Vec<Option<Odds>> {
        let mut smoother = Smoother::new(Cpu::single(), Tracking::default().inertia(inertia)).unwrap();
        for (number, map) in frames.iter().enumerate() {
            map.iter().for_each(|map| smoother.add(number, map).unwrap());
        }
        let mut found = smoother.finish().unwrap();
        (0..frames.len()).map(|number| found.odds(number)).collect()
    }

    #[test]
    fn what_comes_later_is_known_before() {
        // The network sees the object in the last frame only; a frame between cannot be read.
        let frames = [Some(frame(&LEFT, odds_at(4, -1.0))), None, Some(frame(&RIGHT, odds_at(6, 7.0)))];
        let found = smoothed(&frames, 0.8);
        assert_eq!(found[1], None);
        let [first, last] = [0, 2].map(|number: usize| found[number].clone().unwrap().1);
        // Backward: 0.2 · −1 + 0.8 · 7; with what the forward pass says, −1: (−1 + 5.4 + 0.2) / 1.8.
        assert!((first[4] - 4.6 / 1.8).abs() < 0.1, "{first:?}");
        assert!((last[6] - (0.2 * 7.0 - 0.8 + 7.0 - 0.2 * 7.0) / 1.8).abs() < 0.1, "{last:?}");
        assert!(first.iter().enumerate().all(|(at, odds)| at == 4 || *odds < -3.0));
        // Without inertia every frame is as the network says.
        let alone = smoothed(&frames, 0.0)[0].clone().unwrap().1;
        assert!(alone.iter().zip(odds_at(4, -1.0)).all(|(found, own)| (found - own).abs() < 0.05));
    }

    #[test]
    fn nothing_is_carried_over_the_edge_of_a_scene() {
        let other = ["7777", "7787", "7777"];
        let found = smoothed(&[Some(frame(&LEFT, odds_at(4, -1.0))), Some(frame(&other, odds_at(4, 8.0)))], 0.8);
        let first = found[0].clone().unwrap().1;
        assert!((first[4] + 1.0).abs() < 0.05, "{first:?}");
    }

    #[test]
    fn log_odds_and_motions_are_kept_in_few_bytes() {
        let odds: Vec<f32> = (-80..=80).map(|tenth| tenth as f32 / 10.0).collect();
        assert!(unpacked(&packed(&odds)).iter().zip(&odds).all(|(a, b)| (a - b).abs() <= 0.5 / STEPS + 1e-6));
    }
}
