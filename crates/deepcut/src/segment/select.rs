//! Which objects stay, and what their masks are: holes, specks, areas, the image's border.

use super::finish::Finish;
use crate::components::Components;
use crate::segmentation::{Kind, Meaning};

/// Pieces of an object that are smaller than this share of its largest piece are dropped.
const LEAST_PIECE: f64 = 0.1;

/// Filters the objects of `[height, width]` labels, in place: 0 is background, label i the object `meanings` gives. Objects that stay are
/// numbered from 1, best first; returns what the labels mean then.
pub(super) fn select(finish: &Finish, labels: &mut [u8], (height, width): (usize, usize), meanings: &[Meaning]) -> Vec<Meaning> {
    drop_specks(labels, (height, width));
    if finish.fill_holes {
        fill_holes(labels, (height, width));
    }
    let mut area = [0usize; 256];
    labels.iter().for_each(|&label| area[usize::from(label)] += 1);
    let mut at_border = [false; 256];
    border(height, width).for_each(|cell| at_border[usize::from(labels[cell])] = true);
    let pixels = (height * width).max(1) as f64;
    let stays = |meaning: &&Meaning| {
        let label = usize::from(meaning.label);
        let share = area[label] as f64 / pixels;
        let fits = area[label] > 0 && share >= f64::from(finish.min_area) && share <= f64::from(finish.max_area);
        meaning.kind == Kind::Object
            && fits
            && meaning.score >= finish.min_confidence
            && !(finish.drop_border && at_border[label])
    };
    let mut objects: Vec<&Meaning> = meanings.iter().filter(stays).collect();
    objects.sort_by(|a, b| b.score.total_cmp(&a.score));
    objects.truncate(finish.max_objects.unwrap_or(usize::MAX));
    let mut renamed = [0u8; 256];
    let mut kept: Vec<Meaning> = meanings.iter().filter(|meaning| meaning.kind == Kind::Background).copied().collect();
    for (number, &object) in (1..=u8::MAX).zip(&objects) {
        renamed[usize::from(object.label)] = number;
        kept.push(Meaning { label: number, ..*object });
    }
    labels.iter_mut().for_each(|label| *label = renamed[usize::from(*label)]);
    kept
}

/// The cells of a grid's first and last row and column, some of them twice.
fn border(height: usize, width: usize) -> impl Iterator<Item = usize> {
    let rows = [0, height.saturating_sub(1)].into_iter().flat_map(move |y| (0..width).map(move |x| y * width + x));
    let columns = (0..height).flat_map(move |y| [y * width, y * width + width.saturating_sub(1)]);
    rows.chain(columns).filter(move |_| height > 0 && width > 0)
}

/// Makes background of pieces that are much smaller than the largest piece of their object.
fn drop_specks(labels: &mut [u8], (height, width): (usize, usize)) {
    let mut occurs = [false; 256];
    labels.iter().for_each(|&label| occurs[usize::from(label)] = true);
    for label in (1..=u8::MAX).filter(|&label| occurs[usize::from(label)]) {
        let pieces = Components::of_labels(height, width, labels, |other| other == label);
        let largest = pieces.list().iter().map(|piece| piece.area).max().unwrap_or_default();
        let is_speck = |piece: usize| (pieces.list()[piece].area as f64) < LEAST_PIECE * largest as f64;
        pieces.for_cells(is_speck, |at| labels[at] = 0);
    }
}

/// Gives a piece of background that touches nothing but one object to that object. What lies at the image's border is no hole.
fn fill_holes(labels: &mut [u8], (height, width): (usize, usize)) {
    /// What a piece of background was seen to touch.
    #[derive(Clone, Copy, PartialEq)]
    enum Around {
        Nothing,
        Object(u8),
        More,
    }
    let pieces = Components::of_labels(height, width, labels, |label| label == 0);
    let mut around = vec![Around::Nothing; pieces.list().len()];
    pieces.each_cell(|piece, at| {
        let (y, x) = (at / width, at % width);
        if y == 0 || x == 0 || y + 1 == height || x + 1 == width {
            around[piece] = Around::More;
            return;
        }
        for neighbor in [at - 1, at + 1, at - width, at + width].map(|at| labels[at]).into_iter().filter(|&label| label != 0) {
            around[piece] = match around[piece] {
                Around::Nothing => Around::Object(neighbor),
                Around::Object(label) if label == neighbor => continue,
                _ => Around::More,
            };
        }
    });
    pieces.each_cell(|piece, at| {
        if let Around::Object(label) = around[piece] {
            labels[at] = label;
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[rustfmt::skip]
    const LABELS: [u8; 40] = [
        1, 1, 0, 0, 0, 0, 0, 0,
        1, 0, 0, 2, 2, 2, 2, 0,
        0, 0, 0, 2, 0, 0, 2, 0,
        0, 3, 0, 2, 2, 2, 2, 0,
        0, 0, 0, 0, 0, 0, 0, 0,
    ];

    fn selected(finish: Finish) -> (Vec<u8>, Vec<(u8, f32)>) {
        let meaning = |label, score| Meaning { label, kind: Kind::Object, part_of: None, score };
        let background = Meaning { kind: Kind::Background, ..meaning(0, 0.0) };
        let mut labels = LABELS.to_vec();
        let meanings = [background, meaning(1, 0.4), meaning(2, 0.9), meaning(3, 0.7)];
        let kept = select(&finish, &mut labels, (5, 8), &meanings);
        (labels, kept.iter().filter(|kept| kept.kind == Kind::Object).map(|kept| (kept.label, kept.score)).collect())
    }

    #[test]
    fn objects_are_numbered_best_first() {
        let (labels, kept) = selected(Finish::default());
        assert_eq!(kept, [(1, 0.9), (2, 0.7), (3, 0.4)]);
        assert_eq!(labels, LABELS.map(|label| [0, 3, 1, 2][usize::from(label)]));
    }

    #[test]
    fn areas_borders_and_numbers_are_limits() {
        let kept = |finish| selected(finish).1.iter().map(|(_, score)| *score).collect::<Vec<_>>();
        // 3, 10 and 1 of 40 pixels.
        assert_eq!(kept(Finish::default().min_area(0.05)), [0.9, 0.4]);
        assert_eq!(kept(Finish::default().max_area(0.2)), [0.7, 0.4]);
        assert_eq!(kept(Finish::default().drop_border(true)), [0.9, 0.7]);
        assert_eq!(kept(Finish::default().max_objects(1)), [0.9]);
        assert_eq!(kept(Finish::default().min_confidence(0.7)), [0.9, 0.7]);
        assert!(selected(Finish::default().min_area(0.5)).0.iter().all(|label| *label == 0));
    }

    #[test]
    fn holes_are_filled_if_asked() {
        let (labels, _) = selected(Finish::default().fill_holes(true));
        assert_eq!((labels[2 * 8 + 4], labels[2 * 8 + 5]), (1, 1));
        // A hole that touches two objects is none of theirs, nor is what lies at the border.
        #[rustfmt::skip]
        let mut labels = [
            1, 1, 1, 1, 2,
            1, 0, 1, 0, 2,
            1, 1, 1, 2, 2,
            1, 0, 1, 1, 1,
        ];
        let before = labels;
        fill_holes(&mut labels, (4, 5));
        assert_eq!(labels[6], 1);
        assert!(labels.iter().zip(before).enumerate().all(|(at, (now, before))| at == 6 || *now == before));
    }

    #[test]
    fn specks_of_an_object_are_dropped() {
        let mut labels = [vec![1u8; 11], vec![0], vec![1], vec![0], vec![2]].concat();
        drop_specks(&mut labels, (1, 15));
        assert_eq!(labels, [vec![1u8; 11], vec![0, 0, 0, 2]].concat());
    }
}
