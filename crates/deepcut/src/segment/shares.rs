//! Labels that the guided filter chooses: the soft share of each label at every pixel, filtered, then the largest.
//!
//! Groups are chosen first, then labels within the chosen group: the edge between foreground and background does not depend on what parts the
//! foreground has. The shares of all candidates sum to one, before the filter and after it, so one of them needs no filter.

use super::guided::{Guide, ONE};
use super::labels::{GridLabels, Group};
use super::objects::spread;
use super::upsample::{Field, Upsampling, log_share, odds};
use crate::image::Image;
use crate::kernels::{exponential, logistic};

/// Labels of an image's pixels, `[height, width]`.
pub(super) fn labels(image: &Image, grid: &GridLabels, how: Upsampling) -> Vec<u8> {
    let (height, width) = (image.height(), image.width());
    let mut labels = vec![0; height * width];
    let Some(first) = grid.groups.first().filter(|_| !labels.is_empty()) else { return labels };
    labels.fill(first.labels[0]);
    if let ([_], 1) = (&grid.groups[..], first.labels.len()) {
        return labels;
    }
    let guide = Guide::new(image);
    let shares = Shares::new(grid, guide.size(), how);
    let mut own = shares.zeros();
    let filtered = |own: &[u16]| {
        let mut total = vec![Choice::of(0.0); height * width];
        guide.filter(own, &guide.whole(), &mut total, |choice, share| *choice = Choice::of(share));
        total
    };
    // What the filter makes of the second group's share, where its labels need it again.
    let mut of_second = None;
    // The first label of each pixel's group.
    if let [_, second] = &grid.groups[..] {
        shares.group(1, &mut own);
        let other = second.labels[0];
        let decide = |label: &mut u8, share: f32| {
            if share > 0.5 {
                *label = other;
            }
        };
        if second.labels.len() > 1 {
            let total = filtered(&own);
            labels.iter_mut().zip(&total).for_each(|(label, choice)| decide(label, choice.rest));
            of_second = Some(total);
        } else {
            guide.filter(&own, &guide.whole(), &mut labels, decide);
        }
    } else {
        let all = vec![Choice::of(1.0); labels.len()];
        let chosen = choose(&guide, grid.groups.len(), all, shares.zeros(), |g, out| shares.group(g, out));
        labels
            .iter_mut()
            .zip(&chosen)
            .for_each(|(label, choice)| *label = grid.groups[usize::from(choice.candidate())].labels[0]);
    }
    for (g, group) in grid.groups.iter().enumerate() {
        let (k, of_group) = (group.labels.len(), group.labels[0]);
        if k < 2 || !labels.contains(&of_group) {
            continue;
        }
        let within = shares.within(g);
        shares.group(g, &mut own);
        let total = of_second.take_if(|_| g == 1).unwrap_or_else(|| filtered(&own));
        let chosen = choose(&guide, k, total, shares.zeros(), |label, out| {
            out.copy_from_slice(&own);
            shares.label(&within, k, label, out);
        });
        for (label, choice) in labels.iter_mut().zip(&chosen).filter(|(label, _)| **label == of_group) {
            *label = group.labels[usize::from(choice.candidate())];
        }
    }
    labels
}

/// How much each pixel belongs to the foreground, `[height, width]`, 0 to 255: what the filtered background leaves.
pub(super) fn foreground(image: &Image, grid: &GridLabels, how: Upsampling) -> Vec<u8> {
    let (height, width) = (image.height(), image.width());
    let mut out = vec![0; height * width];
    if grid.groups.len() > 1 && !out.is_empty() {
        let guide = Guide::new(image);
        let shares = Shares::new(grid, guide.size(), how);
        let mut share = shares.zeros();
        shares.group(0, &mut share);
        guide.filter(&share, &guide.whole(), &mut out, |out, background| *out = (255.0 * (1.0 - background) + 0.5) as u8);
    }
    out
}

/// The best of some candidates at a pixel.
#[derive(Clone, Copy)]
struct Choice {
    /// What the others leave to the first.
    rest: f32,
    /// The largest share of the others, and whose it is.
    best: f32,
    other: u8,
}

impl Choice {
    /// Nothing but the first, with all of the candidates' total.
    fn of(total: f32) -> Self {
        Self { rest: total, best: f32::NEG_INFINITY, other: 0 }
    }

    fn candidate(self) -> u8 {
        if self.best > self.rest { self.other } else { 0 }
    }
}

/// The candidate of the largest filtered share at each pixel. The first needs no filter: it has what the others leave of the total. `share` writes a
/// candidate's into `own`.
fn choose(
    guide: &Guide<'_>,
    candidates: usize,
    mut choices: Vec<Choice>,
    mut own: Vec<u16>,
    share: impl Fn(usize, &mut [u16]),
) -> Vec<Choice> {
    for candidate in 1..candidates {
        share(candidate, &mut own);
        let Some(area) = guide.area(&own) else { continue };
        guide.filter(&own, &area, &mut choices, |choice, share| {
            choice.rest -= share;
            if share > choice.best {
                (choice.best, choice.other) = (share, candidate as u8);
            }
        });
    }
    choices
}

/// The soft labels of a grid, on the grid of a guide.
struct Shares<'a> {
    grid: &'a GridLabels,
    /// Of the guide's grid.
    size: (usize, usize),
    how: Upsampling,
    /// One over the sum of the groups' shares at each cell, if there are more than two groups.
    scale: Vec<f32>,
}

impl<'a> Shares<'a> {
    fn new(grid: &'a GridLabels, size: (usize, usize), how: Upsampling) -> Self {
        let mut shares = Self { grid, size, how, scale: vec![] };
        if grid.groups.len() > 2 {
            let mut sum = vec![0.0; size.0 * size.1];
            for group in &grid.groups {
                shares.logarithms(group).each_pixel(&mut sum, |sum, log| *sum += exponential(log));
            }
            sum.iter_mut().for_each(|sum| *sum = 1.0 / *sum);
            shares.scale = sum;
        }
        shares
    }

    /// Room for one of them.
    fn zeros(&self) -> Vec<u16> {
        vec![0; self.size.0 * self.size.1]
    }

    fn field(&self, values: Vec<f32>) -> Field<'static> {
        Field::new(values.into(), (self.grid.height, self.grid.width), self.size, self.how)
    }

    fn logarithms(&self, group: &Group) -> Field<'static> {
        self.field(group.probability.iter().map(|&share| log_share(share)).collect())
    }

    /// The share of a group, of the grid's size in 0 to [`ONE`]: of two groups the odds are interpolated, of more the logarithms of their shares.
    fn group(&self, g: usize, out: &mut [u16]) {
        match self.grid.groups.len() {
            1 => out.fill(ONE),
            2 => {
                let sign = if g == 0 { -1.0 } else { 1.0 };
                odds(self.grid, self.size, self.how).each_pixel(out, |out, odds| *out = rounded(logistic(sign * odds)));
            }
            _ => {
                let mut share = vec![0.0; out.len()];
                self.logarithms(&self.grid.groups[g]).each_pixel(&mut share, |share, log| *share = exponential(log));
                out.iter_mut().zip(share).zip(&self.scale).for_each(|((out, share), scale)| *out = rounded(share * scale));
            }
        }
    }

    /// Shares of a group's labels within it, `[patches, labels]`, that sum to one: a patch without any has those of the nearest patch with some.
    fn within(&self, g: usize) -> Vec<f32> {
        let group = &self.grid.groups[g];
        let k = group.labels.len();
        let mut within = group.label_probability.clone();
        spread(&mut within, k, self.grid.width);
        for patch in within.chunks_exact_mut(k) {
            let sum: f32 = patch.iter().sum();
            if sum > 0.0 {
                patch.iter_mut().for_each(|share| *share /= sum);
            }
        }
        within
    }

    /// Makes the share of a group that of one of its k labels, which have these shares within it.
    fn label(&self, within: &[f32], k: usize, label: usize, out: &mut [u16]) {
        let within = self.field(within.iter().skip(label).step_by(k).copied().collect());
        within.each_pixel(out, |out, within| *out = rounded(f32::from(*out) / f32::from(ONE) * within));
    }
}

/// The nearest multiple of one part in [`ONE`], of a share in 0 to 1.
#[inline(always)]
fn rounded(share: f32) -> u16 {
    // By way of 32 bits, which many shares take at once.
    (share * f32::from(ONE) + 0.5) as i32 as u16
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Eight patches of 64 × 64 pixels in two rows, and windows of 11 × 11; the picture's colors change two pixels before the patches do.
    const HEIGHT: usize = 128;
    const WIDTH: usize = 256;

    fn image() -> Image<'static> {
        let color = |at: usize| match at % WIDTH {
            0..126 => [20, 30, 40],
            126..190 => [200, 40, 60],
            _ => [30, 180, 90],
        };
        Image::new(HEIGHT, WIDTH, (0..HEIGHT * WIDTH).flat_map(color).collect()).unwrap()
    }

    fn grid(groups: Vec<Group>) -> GridLabels {
        GridLabels { height: 2, width: 4, groups, fine: None }
    }

    fn rows(row: [f32; 4]) -> Vec<f32> {
        [row, row].concat()
    }

    fn runs(labels: &[u8]) -> Vec<(usize, u8)> {
        let row = &labels[..WIDTH];
        assert!(labels.chunks_exact(WIDTH).all(|other| other == row), "{labels:?}");
        let starts = (0..WIDTH).filter(|&x| x == 0 || row[x] != row[x - 1]);
        starts.map(|x| (x, row[x])).collect()
    }

    fn two_groups(foreground: [f32; 4]) -> Vec<Group> {
        vec![Group::of_one(0, rows(foreground.map(|p| 1.0 - p))), Group::of_one(1, rows(foreground))]
    }

    #[test]
    fn edges_move_to_those_of_the_image() {
        let grid = grid(two_groups([0.02, 0.1, 0.9, 0.98]));
        for how in [Upsampling::Soft, Upsampling::Nearest] {
            assert_eq!(runs(&labels(&image(), &grid, how)), [(0, 0), (126, 1)], "{how:?}");
            let soft = foreground(&image(), &grid, how);
            assert!(soft.iter().zip(labels(&image(), &grid, how)).all(|(soft, label)| (*soft > 127) == (label == 1)));
        }
        let nothing = self::grid(vec![Group::of_one(0, vec![1.0; 8])]);
        assert_eq!(runs(&labels(&image(), &nothing, Upsampling::Soft)), [(0, 0)]);
        assert!(foreground(&image(), &nothing, Upsampling::Soft).iter().all(|soft| *soft == 0));
    }

    /// The foreground's edge is the same with parts and without, and the parts' edge is the image's.
    #[test]
    fn parts_are_chosen_within_the_foreground() {
        let mut groups = two_groups([0.02, 0.1, 0.9, 0.98]);
        groups[1].labels = vec![1, 2];
        // The first patches are not of the foreground, so they have no parts.
        groups[1].label_probability = [[0.0, 0.0], [0.0, 0.0], [0.9, 0.1], [0.1, 0.9]].concat().repeat(2);
        let expected = [(0, 0), (126, 1), (190, 2)];
        assert_eq!(runs(&labels(&image(), &grid(groups.clone()), Upsampling::Soft)), expected);
        // Of a background that has two.
        groups.swap(0, 1);
        assert_eq!(runs(&labels(&image(), &grid(groups), Upsampling::Soft)), expected);
    }

    #[test]
    fn of_many_labels_the_largest_share_wins() {
        let groups = [[0.9, 0.6, 0.2, 0.1], [0.05, 0.2, 0.6, 0.2], [0.05, 0.2, 0.2, 0.7]];
        let groups = (0..).zip(groups).map(|(label, row)| Group::of_one(label, rows(row)));
        let mut grid = grid(groups.collect());
        assert_eq!(runs(&labels(&image(), &grid, Upsampling::Soft)), [(0, 0), (126, 1), (190, 2)]);
        // A label that has no pixel.
        grid.groups.push(Group::of_one(3, vec![0.0; 8]));
        assert_eq!(runs(&labels(&image(), &grid, Upsampling::Soft)), [(0, 0), (126, 1), (190, 2)]);
        // A group of two labels among three.
        grid.groups[2] = Group { labels: vec![7, 8], label_probability: [[0.2, 0.8]; 8].concat(), ..grid.groups[2].clone() };
        assert_eq!(runs(&labels(&image(), &grid, Upsampling::Soft)), [(0, 0), (126, 1), (190, 8)]);
    }

    /// The shares at a pixel sum to one, but for rounding.
    #[test]
    fn shares_sum_to_one() {
        for n in 1..5 {
            let row = |g: usize| [0.1, 0.2, 0.3, 0.9].map(|x: f32| if g == 0 { 1.0 - x * (n - 1) as f32 / 4.0 } else { x / 4.0 });
            let grid = grid((0..n).map(|g| Group::of_one(g as u8, rows(row(g)))).collect());
            let shares = Shares::new(&grid, (HEIGHT, WIDTH), Upsampling::Soft);
            let mut sums = vec![0; HEIGHT * WIDTH];
            for g in 0..n {
                let mut own = vec![0; HEIGHT * WIDTH];
                shares.group(g, &mut own);
                sums.iter_mut().zip(own).for_each(|(sum, own)| *sum += i32::from(own));
            }
            assert!(sums.iter().all(|sum| (sum - i32::from(ONE)).abs() <= 2), "{n} groups: {:?}", &sums[..WIDTH]);
        }
    }
}
