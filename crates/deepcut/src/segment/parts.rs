//! Parts that were found over a set of images, laid into the cut of one of them; and that cut as bytes, to be kept until the parts are known.

use super::labels::{FineForeground, GridLabels, Group};
use super::upsample::log_share;
use super::{Clustering, Mode, Recipe};
use crate::features::patch_of;

/// Largest grid that bytes may describe.
const MAX_PATCHES: usize = 1 << 26;

impl Clustering {
    /// Which patches are foreground, `[patches]`.
    pub(crate) fn foreground_patches(&self) -> Vec<bool> {
        self.grid.hard().into_iter().map(|label| label > 0).collect()
    }

    /// With `k` parts in place of the object: `shares` are theirs of every patch of the grid, `[patches, k]`, zeros outside the object. Patches of
    /// the object that are `dropped`, `[patches]`, become background.
    ///
    /// # Panics
    /// If a length is another.
    pub(crate) fn with_parts(mut self, k: usize, shares: Vec<f32>, dropped: &[bool]) -> Self {
        let GridLabels { height, width, groups, fine } = &mut self.grid;
        assert_eq!((shares.len(), dropped.len()), (*height * *width * k, *height * *width), "parts of another grid");
        if let [background, foreground, ..] = &mut groups[..] {
            for (patch, _) in dropped.iter().enumerate().filter(|(_, dropped)| **dropped) {
                (background.probability[patch], foreground.probability[patch]) = (1.0, 0.0);
            }
            foreground.labels = (1..=k as u8).collect();
            foreground.label_probability = shares;
        }
        if let Some(FineForeground { scale, odds }) = fine {
            let cells = odds.iter_mut().enumerate().filter(|(cell, _)| dropped[patch_of(*cell, *width, *scale)]);
            cells.for_each(|(_, odds)| *odds = log_share(0.0));
        }
        if let Some(main) = &mut self.main_object {
            main.iter_mut().zip(dropped).for_each(|(main, dropped)| *main &= !dropped);
        }
        self.meanings = Recipe::default().mode(Mode::Parts).n_clusters(k).meanings(self.confidence);
        self
    }

    /// Forgets the networks, which take more room than all else.
    pub(crate) fn without_networks(self) -> Self {
        Self { networks: Default::default(), ..self }
    }

    /// The cut of an object as bytes, without its networks.
    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        let GridLabels { height, width, groups, fine } = &self.grid;
        let foreground = groups.get(1).map_or(&[][..], |group| &group.probability);
        let mut out = Vec::new();
        let mut number = |n: usize| out.extend((n as u64).to_le_bytes());
        [*height, *width, foreground.len(), fine.as_ref().map_or(0, |fine| fine.scale)].into_iter().for_each(&mut number);
        [self.seed as usize, self.main_object.as_ref().map_or(0, Vec::len)].into_iter().for_each(&mut number);
        let odds = fine.as_ref().map_or(&[][..], |fine| &fine.odds);
        let values = std::iter::once(&self.confidence).chain(foreground).chain(odds);
        out.extend(values.flat_map(|value| value.to_le_bytes()));
        out.extend(self.main_object.iter().flatten().map(|&main| u8::from(main)));
        out
    }

    /// The cut that [`Clustering::to_bytes`] wrote, and the bytes after it. None if they are of nothing such.
    pub(crate) fn from_bytes(mut bytes: &[u8]) -> Option<(Self, &[u8])> {
        let mut numbers = [0usize; 6];
        for number in &mut numbers {
            let (first, rest) = bytes.split_first_chunk()?;
            *number = u64::from_le_bytes(*first) as usize;
            bytes = rest;
        }
        let [height, width, inside, scale, seed, main] = numbers;
        let patches = height.checked_mul(width).filter(|patches| *patches <= MAX_PATCHES)?;
        let cells = patches.checked_mul(scale.checked_mul(scale)?)?;
        if ![0, patches].contains(&inside) || ![0, patches].contains(&main) {
            return None;
        }
        let mut values = |count: usize| {
            let (first, rest) = bytes.split_at_checked(count.checked_mul(4)?)?;
            bytes = rest;
            Some(first.as_chunks::<4>().0.iter().map(|value| f32::from_le_bytes(*value)).collect::<Vec<_>>())
        };
        let (confidence, foreground, odds) = (values(1)?[0], values(inside)?, values(cells)?);
        let (of_main, rest) = bytes.split_at_checked(main)?;
        let groups = match inside {
            0 => vec![Group::of_one(0, vec![1.0; patches])],
            _ => vec![Group::of_one(0, foreground.iter().map(|p| 1.0 - p).collect()), Group::of_one(1, foreground)],
        };
        let grid = GridLabels { height, width, groups, fine: (scale > 0).then_some(FineForeground { scale, odds }) };
        let clustering = Self {
            grid,
            meanings: Recipe::default().meanings(confidence),
            confidence,
            seed: seed as u64,
            networks: Default::default(),
            has_objects: false,
            main_object: (main > 0).then(|| of_main.iter().map(|&main| main > 0).collect()),
        };
        Some((clustering, rest))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Cpu, FeatureMap, Start};

    fn cut() -> Clustering {
        let look = [0u8, 0, 0, 0, /**/ 0, 1, 1, 0, /**/ 0, 0, 0, 0];
        let values = look.iter().flat_map(|&look| [f32::from(look), 1.0 - f32::from(look)]).collect();
        let cells = (0..48).map(|cell| if look[patch_of(cell, 4, 2)] == 1 { 3.0 } else { -3.0 }).collect();
        let map = FeatureMap::new(3, 4, 2, values).unwrap().with_fine_objectness(2, cells).unwrap();
        let found = Recipe::default().cluster(&Cpu::single(), &[map], Start::Seed(7)).unwrap();
        found.into_iter().next().unwrap().without_networks()
    }

    #[test]
    fn a_cut_comes_back_from_its_bytes() {
        let cut = cut();
        let mut bytes = cut.to_bytes();
        let whole = bytes.len();
        bytes.extend([1, 2, 3]);
        assert_eq!(Clustering::from_bytes(&bytes), Some((cut, &[1u8, 2, 3][..])));
        for end in 0..whole {
            assert_eq!(Clustering::from_bytes(&bytes[..end]), None);
        }
        let map = FeatureMap::new(1, 2, 1, vec![1.0, 1.0]).unwrap();
        let nothing = Recipe::default().cluster(&Cpu::single(), &[map], Start::Seed(0)).unwrap().remove(0);
        assert_eq!(Clustering::from_bytes(&nothing.to_bytes()), Some((nothing, &[][..])));
    }

    #[test]
    fn parts_lie_within_the_object() {
        let cut = cut();
        let mut shares = vec![0.0; 12 * 3];
        (shares[5 * 3 + 2], shares[6 * 3]) = (1.0, 1.0);
        let mut dropped = vec![false; 12];
        let parts = cut.clone().with_parts(3, shares.clone(), &dropped);
        assert_eq!(parts.labels().collect::<Vec<_>>(), [0, 0, 0, 0, 0, 3, 1, 0, 0, 0, 0, 0]);
        assert_eq!(parts.meanings().len(), 4);
        dropped[6] = true;
        let parts = cut.with_parts(3, shares, &dropped);
        assert_eq!(parts.labels().collect::<Vec<_>>(), [0, 0, 0, 0, 0, 3, 0, 0, 0, 0, 0, 0]);
        assert!(parts.grid().fine().unwrap().odds().iter().filter(|odds| **odds > 0.0).count() == 4);
    }
}
