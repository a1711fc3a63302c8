//! The guided filter: moves the edges of soft shares to the image's edges.
//!
//! ```text
//! in every window of (2r + 1)² pixels    a = (Σ + ε)⁻¹ cov(I, p),   b = p̄ − aᵀ Ī
//! at every pixel                         q = āᵀ I + b̄
//! ```
//!
//! where I are the pixels' colors, p the share to filter, Σ the covariance of the colors, and ā, b̄ means over the windows that a pixel lies in: within
//! each window q is as nearly linear in the colors as ridge regression makes it. At the image's border windows have fewer pixels.
//!
//! In large images, whose windows are wide, a and b are those of an image of mean colors, [`LEAST_RADIUS`] or a little more of whose pixels make a radius;
//! ā and b̄ are then interpolated between its pixels' centers, and I stays that of the whole image.
//!
//! Sources: He, Sun and Tang, Guided Image Filtering (PAMI 2013), its version for color images; He and Sun, Fast Guided Filter (arXiv 1505.00996). Cost:
//! O(pixels), whatever the radius.
//!
//! Every sum is one of integers: shares are multiples of 2⁻¹⁵, and a and b are rounded to multiples of 2⁻²⁵ of a share, for colors in 0 to 255. So sums
//! that run along rows and columns are exact, however long they ran and wherever they began, and labels do not depend on the number of threads.

use super::upsample::{Place, TASK_LINES, Upsampling, places};
use crate::image::Image;
use crate::kernels::parallel;
use crate::kernels::widest::{Work, widest};
use std::ops::Range;

/// The radius of a window in an image of [`USUAL_PIXELS`]; it grows with the image's side.
const RADIUS: f64 = 10.0;
const USUAL_PIXELS: f64 = 400.0 * 300.0;
/// Largest radius, reached at 79 million pixels: sums of a column stay below 2³².
const MAX_RADIUS: usize = 256;
/// Least radius in the image that a and b are computed of.
const LEAST_RADIUS: usize = 9;
/// Weight of the ridge, for colors in 0 to 255: ε is 10⁻⁴ for colors in 0 to 1.
const EPSILON: f64 = 1e-4 * 255.0 * 255.0;

/// A share of one.
pub(super) const ONE: u16 = 1 << 15;
/// Steps of a coefficient within 2⁻¹⁵ of a share. `|a| ≤ σ(p) / 2√ε` is at most 3213 of those, and `|b| ≤ 1.46e6`: both fit 32 bits.
const STEPS: f64 = 1024.0;

/// Sums over windows: colors, share, their products, and products of colors.
const SUMS: usize = 13;
/// a and b.
const COEFFICIENTS: usize = 4;

/// The colors of an image, ready to guide any number of filters.
#[derive(Debug)]
pub(super) struct Guide<'a> {
    image: &'a Image<'a>,
    /// Size of the grid that shares are given on: the image's, or that of mean colors.
    height: usize,
    width: usize,
    /// In cells of the grid.
    radius: usize,
    /// Red, green and blue of the cells, one after the other: `[3, height, width]`.
    planes: Vec<u8>,
}

/// A rectangle of cells.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Area {
    pub rows: Range<usize>,
    pub columns: Range<usize>,
}

/// Red, green and blue, one after the other: `[3, height, width]`. `write` gets the three rows of this index.
fn colors_apart(height: usize, width: usize, write: impl Fn(usize, [&mut [u8]; 3]) + Sync) -> Vec<u8> {
    let pixels = height * width;
    let mut planes = vec![0; 3 * pixels];
    if pixels > 0 {
        let (red, rest) = planes.split_at_mut(pixels);
        let (green, blue) = rest.split_at_mut(pixels);
        let rows = red.chunks_mut(width).zip(green.chunks_mut(width)).zip(blue.chunks_mut(width));
        parallel::for_each(rows.enumerate(), |(y, ((red, green), blue))| write(y, [red, green, blue]));
    }
    planes
}

impl<'a> Guide<'a> {
    /// Takes an image apart; its windows have 21 × 21 pixels at 400 × 300, and as many times more on a side as a larger image has.
    pub fn new(image: &'a Image<'a>) -> Self {
        let (height, width) = (image.height(), image.width());
        let radius = RADIUS * ((height as f64 * width as f64) / USUAL_PIXELS).sqrt();
        let radius = (radius.round() as usize).clamp(1, MAX_RADIUS);
        match radius / LEAST_RADIUS {
            0 | 1 => Self::with_radius(image, radius),
            scale => Self::of_means(image, radius, scale),
        }
    }

    /// A grid of cells of `scale` pixels on a side, or a little more.
    fn of_means(image: &'a Image<'a>, radius: usize, scale: usize) -> Self {
        let (height, width) = ((image.height() / scale).max(1), (image.width() / scale).max(1));
        let first = |cell: usize, cells: usize, size: usize| cell * size / cells;
        let columns: Vec<_> = (0..width).map(|x| first(x, width, image.width())..first(x + 1, width, image.width())).collect();
        let planes = colors_apart(height, width, |y, [red, green, blue]| {
            let lines = first(y, height, image.height())..first(y + 1, height, image.height());
            for (((red, green), blue), columns) in red.iter_mut().zip(green).zip(blue).zip(&columns) {
                let mut sums = [0u32; 3];
                for line in lines.clone() {
                    let row = &image.rgb()[3 * (line * image.width() + columns.start)..3 * (line * image.width() + columns.end)];
                    for pixel in row.as_chunks::<3>().0 {
                        sums.iter_mut().zip(pixel).for_each(|(sum, x)| *sum += u32::from(*x));
                    }
                }
                let pixels = (lines.len() * columns.len()) as u32;
                [*red, *green, *blue] = sums.map(|sum| ((sum + pixels / 2) / pixels) as u8);
            }
        });
        let radius = (radius + scale / 2) / scale;
        Self { image, height, width, radius, planes }
    }

    fn with_radius(image: &'a Image<'a>, radius: usize) -> Self {
        let (height, width) = (image.height(), image.width());
        let planes = colors_apart(height, width, |y, [red, green, blue]| {
            let row = &image.rgb()[3 * y * width..3 * (y + 1) * width];
            for (((red, green), blue), pixel) in red.iter_mut().zip(green).zip(blue).zip(row.as_chunks::<3>().0) {
                [*red, *green, *blue] = *pixel;
            }
        });
        Self { image, height, width, radius, planes }
    }

    /// Height and width of the grid that shares are given on.
    pub fn size(&self) -> (usize, usize) {
        (self.height, self.width)
    }

    /// All of the grid.
    pub fn whole(&self) -> Area {
        Area { rows: 0..self.height, columns: 0..self.width }
    }

    /// Where the filtered share can be other than zero: within two radii of where the share is. None: nowhere.
    pub fn area(&self, share: &[u16]) -> Option<Area> {
        let occurs = |row: &[u16]| row.iter().any(|share| *share > 0);
        let mut rows = (0..self.height).filter(|&y| occurs(&share[y * self.width..(y + 1) * self.width]));
        let top = rows.next()?;
        let bottom = rows.next_back().unwrap_or(top);
        let mut any = vec![0; self.width];
        for row in share[top * self.width..(bottom + 1) * self.width].chunks_exact(self.width) {
            any.iter_mut().zip(row).for_each(|(any, share)| *any |= share);
        }
        let left = any.iter().position(|any| *any > 0)?;
        let right = any.iter().rposition(|any| *any > 0)?;
        let within = |first: usize, last: usize, size: usize| {
            first.saturating_sub(2 * self.radius)..(last + 2 * self.radius + 1).min(size)
        };
        Some(Area { rows: within(top, bottom, self.height), columns: within(left, right, self.width) })
    }

    /// Filters a share, [`Guide::size`] in 0 to [`ONE`], which is zero farther than two radii within the area's bounds, unless those are the grid's. Calls
    /// `put` for those of the image's pixels, `out`, that lie in the area, with what it became: about 0 to 1.
    ///
    /// # Panics
    /// If the share is not of the grid's size or `out` not of the image's, or the area not within the grid.
    pub fn filter<T: Send>(&self, share: &[u16], area: &Area, out: &mut [T], put: impl Fn(&mut T, f32) + Sync) {
        assert!(share.len() == self.height * self.width, "a share for each cell");
        assert!(out.len() == self.image.height() * self.image.width(), "a value for each pixel");
        assert!(area.rows.end <= self.height && area.columns.end <= self.width, "an area of the grid");
        if area.rows.is_empty() || area.columns.is_empty() {
            return;
        }
        if self.size() == (self.image.height(), self.image.width()) {
            self.each_cell(share, area, out, |out, Sums { slopes, offset }, color, scale| {
                let [r, g, b] = color.map(f64::from);
                put(out, ((offset + slopes[0] * r + slopes[1] * g + slopes[2] * b) * scale.down / scale.across) as f32);
            });
            return;
        }
        let mut means = vec![[0.0f32; COEFFICIENTS]; share.len()];
        self.each_cell(share, area, &mut means, |means, Sums { slopes: [r, g, b], offset }, _, scale| {
            *means = [r, g, b, offset].map(|sum| (sum * scale.down / scale.across) as f32);
        });
        let rows = places(self.image.height(), self.height, Upsampling::Soft);
        let columns = places(self.image.width(), self.width, Upsampling::Soft);
        // Pixels between a cell of the area and one outside have some of its share.
        let pixels = |places: &[Place], cells: &Range<usize>| {
            let near = |(first, second, _): &Place| cells.contains(first) || cells.contains(second);
            places.iter().position(near).unwrap_or_default()..places.iter().rposition(near).map_or(0, |last| last + 1)
        };
        let (lines, across) = (pixels(&rows, &area.rows), pixels(&columns, &area.columns));
        let (width, columns) = (self.image.width(), &columns[across.clone()]);
        let lines_of_out = out[lines.start * width..lines.end * width]
            .chunks_mut(TASK_LINES * width)
            .zip(rows[lines.clone()].chunks(TASK_LINES));
        parallel::for_each_with(lines_of_out.enumerate(), &mut Vec::new(), |blend: &mut Vec<_>, (task, (out, rows))| {
            let rgb = &self.image.rgb()[3 * (lines.start + task * TASK_LINES) * width..];
            let grid = (&means[..], self.width);
            widest(Applied { grid, rows, columns, first: across.start, width, rgb, out, put: &put, blend });
        });
    }

    /// Calls `put` for the area's cells of `out`, of the grid's size, with the sums of the coefficients over the windows that a cell lies in.
    fn each_cell<T: Send>(&self, share: &[u16], area: &Area, out: &mut [T], put: impl Fn(&mut T, Sums, [u8; 3], Scale) + Sync) {
        // Each band computes again what it shares with its neighbors.
        let band = area.rows.len().div_ceil(parallel::current_threads()).max(2 * self.radius);
        let out = &mut out[area.rows.start * self.width..area.rows.end * self.width];
        let bands = out.chunks_mut(band * self.width).enumerate();
        parallel::for_each_with(bands, &mut Vec::new(), |buffers: &mut Buffers, (number, out)| {
            let first = area.rows.start + number * band;
            let rows = first..first + out.len() / self.width;
            widest(Band { guide: self, share, area, rows, out, put: &put, buffers });
        });
    }

    /// Pixels of the window about a place that lie within the image, along one side of it.
    fn reach(&self, at: usize, size: usize) -> f64 {
        ((at + self.radius + 1).min(size) - at.saturating_sub(self.radius)) as f64
    }
}

/// Sums of the coefficients over the windows that a cell lies in, in [`STEPS`] of a share.
#[derive(Clone, Copy)]
struct Sums {
    slopes: [f64; 3],
    offset: f64,
}

/// What makes a mean share of sums: the first divided by the second.
#[derive(Clone, Copy)]
struct Scale {
    down: f64,
    across: f64,
}

/// Some rows of an image whose coefficients are known on a grid.
struct Applied<'a, T, P> {
    /// Mean coefficients, `[height, width]`, and that width.
    grid: (&'a [[f32; COEFFICIENTS]], usize),
    rows: &'a [Place],
    /// Of the pixels from `first` on.
    columns: &'a [Place],
    first: usize,
    /// Of the image.
    width: usize,
    /// Colors of these rows.
    rgb: &'a [u8],
    out: &'a mut [T],
    put: &'a P,
    /// Coefficients between two rows of the grid.
    blend: &'a mut Vec<[f32; COEFFICIENTS]>,
}

impl<T, P: Fn(&mut T, f32)> Work for Applied<'_, T, P> {
    #[inline(always)]
    fn run(self) {
        let Self { grid: (means, cells), rows, columns, first, width, rgb, out, put, blend } = self;
        let between = |a: &[f32; COEFFICIENTS], b: &[f32; COEFFICIENTS], weight: f32| -> [f32; COEFFICIENTS] {
            std::array::from_fn(|c| a[c] + (b[c] - a[c]) * weight)
        };
        let lines = out.chunks_exact_mut(width).zip(rgb.chunks_exact(3 * width));
        for ((out, rgb), &(top, bottom, down)) in lines.zip(rows) {
            let [above, below] = [top, bottom].map(|row| &means[row * cells..][..cells]);
            blend.clear();
            blend.extend(above.iter().zip(below).map(|(a, b)| between(a, b, down)));
            let pixels = out[first..].iter_mut().zip(rgb[3 * first..].as_chunks::<3>().0);
            for ((out, color), &(left, right, across)) in pixels.zip(columns) {
                let [r, g, b, offset] = between(&blend[left], &blend[right], across);
                put(out, offset + r * f32::from(color[0]) + g * f32::from(color[1]) + b * f32::from(color[2]));
            }
        }
    }
}

/// Some rows of the area, filtered by one thread.
struct Band<'a, T, P> {
    guide: &'a Guide<'a>,
    share: &'a [u16],
    area: &'a Area,
    rows: Range<usize>,
    /// These rows of the grid.
    out: &'a mut [T],
    put: &'a P,
    buffers: &'a mut Buffers,
}

/// Room for a band; w is the area's width.
#[derive(Debug, Default)]
struct Buffers {
    /// Sums of the columns of a window's rows, `[SUMS, w]`.
    columns: Vec<u32>,
    /// Sums of the columns of the coefficients of a window's rows, `[COEFFICIENTS, w]`.
    coefficient_columns: Vec<i64>,
    /// The coefficients of the rows of a window, `[2r + 1, COEFFICIENTS, w]`; row y lies at y mod (2r + 1).
    ring: Vec<i32>,
    /// Means over the windows of one row, `[SUMS, w]`.
    means: Vec<f64>,
    /// Running sums of one row, `[w + 2r + 1]`.
    running: Vec<i64>,
    /// One over the number of pixels of the windows of one row, `[w]`.
    inverse: Vec<f64>,
    /// Sums of the coefficients of one row, `[COEFFICIENTS, w]`.
    filtered: Vec<f64>,
}

fn reset<T: Clone + Default>(values: &mut Vec<T>, length: usize) {
    values.clear();
    values.resize(length, T::default());
}

impl<T, P: Fn(&mut T, Sums, [u8; 3], Scale)> Work for Band<'_, T, P> {
    #[inline(always)]
    fn run(self) {
        let Self { guide, share, area, rows, out, put, buffers } = self;
        let Buffers { columns, coefficient_columns, ring, means, running, inverse, filtered } = buffers;
        let (radius, width, side) = (guide.radius, area.columns.len(), 2 * guide.radius + 1);
        reset(columns, SUMS * width);
        reset(coefficient_columns, COEFFICIENTS * width);
        reset(ring, side * COEFFICIENTS * width);
        reset(means, SUMS * width);
        reset(running, width + side);
        reset(filtered, COEFFICIENTS * width);
        let across: Vec<f64> = area.columns.clone().map(|x| guide.reach(x, guide.width)).collect();
        let source = |y: usize| Source::new(guide, share, y, &area.columns);
        // Rows whose coefficients are needed, and rows that those are computed from.
        let first = rows.start.saturating_sub(radius).max(area.rows.start);
        let end = (rows.end + radius).min(area.rows.end);
        let above = first.saturating_sub(radius).max(area.rows.start);
        for y in above..(first + radius).min(area.rows.end) {
            slide::<false>(columns, source(y));
        }
        let mut out = out.chunks_exact_mut(guide.width);
        for y in first..rows.end + radius {
            let slot = y % side * COEFFICIENTS * width;
            let coefficients = &mut ring[slot..slot + COEFFICIENTS * width];
            // The row that the window leaves lies where this one will.
            if y >= first + side {
                coefficient_columns.iter_mut().zip(&*coefficients).for_each(|(sum, x)| *sum -= i64::from(*x));
            }
            if y < end {
                if y + radius < area.rows.end {
                    slide::<false>(columns, source(y + radius));
                }
                if y > above + radius {
                    slide::<true>(columns, source(y - radius - 1));
                }
                let down = guide.reach(y, guide.height);
                inverse.clear();
                inverse.extend(across.iter().map(|across| 1.0 / (across * down)));
                for (column, means) in columns.chunks_exact(width).zip(means.chunks_exact_mut(width)) {
                    let sums = window_sums(column, radius, running);
                    means.iter_mut().zip(sums).zip(&*inverse).for_each(|((mean, sum), inverse)| *mean = sum * inverse);
                }
                solve(means, width, coefficients);
                coefficient_columns.iter_mut().zip(&*coefficients).for_each(|(sum, x)| *sum += i64::from(*x));
            }
            // The row whose window ends here.
            if y < rows.start + radius {
                continue;
            }
            let y = y - radius;
            let down = guide.reach(y, guide.height);
            for (column, filtered) in coefficient_columns.chunks_exact(width).zip(filtered.chunks_exact_mut(width)) {
                filtered.iter_mut().zip(window_sums(column, radius, running)).for_each(|(out, sum)| *out = sum);
            }
            let down = 1.0 / (STEPS * f64::from(ONE) * down);
            let Some(out) = out.next() else { return };
            let [r, g, b] = source(y).colors;
            let [reds, greens, blues, offsets] = [0, 1, 2, 3].map(|c| &filtered[c * width..][..width]);
            for (x, out) in out[area.columns.clone()].iter_mut().enumerate() {
                let sums = Sums { slopes: [reds[x], greens[x], blues[x]], offset: offsets[x] };
                put(out, sums, [r[x], g[x], b[x]], Scale { down, across: across[x] });
            }
        }
    }
}

/// One row of what is summed.
#[derive(Clone, Copy)]
struct Source<'a> {
    colors: [&'a [u8]; 3],
    share: &'a [u16],
}

impl<'a> Source<'a> {
    #[inline(always)]
    fn new(guide: &'a Guide<'_>, share: &'a [u16], y: usize, columns: &Range<usize>) -> Self {
        let pixels = guide.height * guide.width;
        let at = y * guide.width + columns.start;
        let row = |start: usize| &guide.planes[start..start + columns.len()];
        Self { colors: [row(at), row(pixels + at), row(2 * pixels + at)], share: &share[at..at + columns.len()] }
    }
}

/// Adds a row to the sums of columns, `[SUMS, w]`, or takes it away.
#[inline(always)]
fn slide<const AWAY: bool>(columns: &mut [u32], Source { colors: [r, g, b], share }: Source<'_>) {
    let width = share.len();
    let (colors, rest) = columns.split_at_mut(3 * width);
    let (shares, products) = rest.split_at_mut(4 * width);
    let (share_alone, of_both) = shares.split_at_mut(width);
    for (sums, color) in colors.chunks_exact_mut(width).zip([r, g, b]) {
        sums.iter_mut().zip(color).for_each(|(sum, x)| accumulate::<AWAY>(sum, u32::from(*x)));
    }
    share_alone.iter_mut().zip(share).for_each(|(sum, p)| accumulate::<AWAY>(sum, u32::from(*p)));
    for (sums, color) in of_both.chunks_exact_mut(width).zip([r, g, b]) {
        let factors = share.iter().zip(color);
        sums.iter_mut().zip(factors).for_each(|(sum, (p, x))| accumulate::<AWAY>(sum, u32::from(*p) * u32::from(*x)));
    }
    for (sums, (one, other)) in products.chunks_exact_mut(width).zip([(r, r), (r, g), (r, b), (g, g), (g, b), (b, b)]) {
        let factors = one.iter().zip(other);
        sums.iter_mut().zip(factors).for_each(|(sum, (x, y))| accumulate::<AWAY>(sum, u32::from(u16::from(*x) * u16::from(*y))));
    }
}

#[inline(always)]
fn accumulate<const AWAY: bool>(sum: &mut u32, value: u32) {
    *sum = if AWAY { sum.wrapping_sub(value) } else { sum.wrapping_add(value) };
}

/// The sums over windows of 2r + 1 values about each of a row's; `running` is room for `w + 2r + 1` numbers.
#[inline(always)]
fn window_sums<'a, T: Copy + Into<i64>>(row: &[T], radius: usize, running: &'a mut [i64]) -> impl Iterator<Item = f64> + 'a {
    let (before, rest) = running.split_at_mut(radius + 1);
    let (within, after) = rest.split_at_mut(row.len());
    before.fill(0);
    let mut sum = 0;
    for (running, x) in within.iter_mut().zip(row) {
        sum += (*x).into();
        *running = sum;
    }
    after.fill(sum);
    let running = &*running;
    running[2 * radius + 1..].iter().zip(running).map(|(end, start)| exact(end - start))
}

/// An integer below 2⁵¹ as a float, which no instruction of AVX2 converts: its bits are added to those of 1.5 · 2⁵².
#[inline(always)]
fn exact(x: i64) -> f64 {
    f64::from_bits(x.wrapping_add(ROUND.to_bits().cast_signed()).cast_unsigned()) - ROUND
}

/// The nearest integer, likewise.
#[inline(always)]
fn rounded(x: f64) -> i32 {
    (x + ROUND).to_bits() as i32
}

const ROUND: f64 = 6_755_399_441_055_744.0;

/// a and b of the windows of one row, `[COEFFICIENTS, w]` in [`STEPS`], from their means, `[SUMS, w]`: `Σ + ε = L D Lᵀ`, solved without branches.
#[inline(always)]
fn solve(means: &[f64], width: usize, out: &mut [i32]) {
    let plane = |c: usize| &means[c * width..][..width];
    let [r, g, b, p] = [0, 1, 2, 3].map(plane);
    let [rp, gp, bp] = [4, 5, 6].map(plane);
    let [rr, rg, rb, gg, gb, bb] = [7, 8, 9, 10, 11, 12].map(plane);
    let (ar, rest) = out.split_at_mut(width);
    let (ag, rest) = rest.split_at_mut(width);
    let (ab, offset) = rest.split_at_mut(width);
    let offset = &mut offset[..width];
    for x in 0..width {
        let (r, g, b, p) = (r[x], g[x], b[x], p[x]);
        let (u, v, w) = (rp[x] - r * p, gp[x] - g * p, bp[x] - b * p);
        let (rg, rb, gb) = (rg[x] - r * g, rb[x] - r * b, gb[x] - g * b);
        let d = 1.0 / (rr[x] - r * r + EPSILON);
        let (lg, lb) = (rg * d, rb * d);
        let e = 1.0 / (gg[x] - g * g + EPSILON - lg * rg);
        let k = gb - lg * rb;
        let lk = k * e;
        let f = 1.0 / (bb[x] - b * b + EPSILON - lb * rb - lk * k);
        let v = v - lg * u;
        let w = (w - lb * u - lk * v) * f;
        let v = v * e - lk * w;
        let u = u * d - lg * v - lb * w;
        ar[x] = rounded(u * STEPS);
        ag[x] = rounded(v * STEPS);
        ab[x] = rounded(w * STEPS);
        offset[x] = rounded((p - u * r - v * g - w * b) * STEPS);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::parallel::{Idle, Threads};

    fn picture(height: usize, width: usize) -> Image<'static> {
        let value = |at: usize| ((at * 2_654_435_761) >> 7) as u8 / 4 + if at / 3 % width > width / 2 { 120 } else { 30 };
        Image::new(height, width, (0..3 * height * width).map(value).collect()).unwrap()
    }

    fn share(height: usize, width: usize) -> Vec<u16> {
        let inside = |y: usize, x: usize| (y * 3 + x) % 17 < 7 && x * 5 > width;
        let value = |at: usize| if inside(at / width, at % width) { ONE - (at % 999) as u16 } else { (at % 77) as u16 };
        (0..height * width).map(value).collect()
    }

    fn filtered(guide: &Guide<'_>, share: &[u16], area: &Area) -> Vec<f32> {
        let mut out = vec![0.0; guide.image.height() * guide.image.width()];
        guide.filter(share, area, &mut out, |out, x| *out = x);
        out
    }

    /// The filter as it is written: every window is summed, every system solved by Cramer's rule.
    fn direct(image: &Image, share: &[u16], radius: usize) -> Vec<f64> {
        let (height, width) = (image.height(), image.width());
        let window = |at: usize| {
            let near = move |at: usize, size: usize| at.saturating_sub(radius)..(at + radius + 1).min(size);
            near(at / width, height).flat_map(move |y| near(at % width, width).map(move |x| y * width + x))
        };
        let mean = |at: usize, value: &dyn Fn(usize) -> f64| window(at).map(value).sum::<f64>() / window(at).count() as f64;
        let color = |at: usize, c: usize| f64::from(image.rgb()[3 * at + c]) / 255.0;
        let p = |at: usize| f64::from(share[at]) / f64::from(ONE);
        let coefficients = |at: usize| {
            let m = [0, 1, 2].map(|c| mean(at, &|i| color(i, c)));
            let mp = mean(at, &p);
            let y = [0, 1, 2].map(|c| mean(at, &|i| (color(i, c) - m[c]) * (p(i) - mp)));
            let mut s = [[0.0; 3]; 3];
            for (i, j) in (0..9).map(|ij| (ij / 3, ij % 3)) {
                s[i][j] = mean(at, &|at| (color(at, i) - m[i]) * (color(at, j) - m[j])) + if i == j { 1e-4 } else { 0.0 };
            }
            let det = |s: [[f64; 3]; 3]| {
                (0..3)
                    .map(|i| s[0][i] * (s[1][(i + 1) % 3] * s[2][(i + 2) % 3] - s[1][(i + 2) % 3] * s[2][(i + 1) % 3]))
                    .sum::<f64>()
            };
            let a = [0, 1, 2].map(|column| {
                let mut with = s;
                (0..3).for_each(|i| with[i][column] = y[i]);
                det(with) / det(s)
            });
            [a[0], a[1], a[2], mp - a[0] * m[0] - a[1] * m[1] - a[2] * m[2]]
        };
        let all: Vec<[f64; 4]> = (0..height * width).map(coefficients).collect();
        let filtered = |at: usize| (0..4).map(|c| mean(at, &|i| all[i][c]) * if c < 3 { color(at, c) } else { 1.0 }).sum();
        (0..height * width).map(filtered).collect()
    }

    #[test]
    fn it_is_the_filter_as_it_is_written() {
        for (height, width, radius) in
            [(1, 1, 1), (1, 9, 2), (9, 1, 2), (2, 2, 5), (13, 17, 1), (23, 19, 3), (30, 11, 4), (12, 31, 40)]
        {
            let (image, share) = (picture(height, width), share(height, width));
            let guide = Guide::with_radius(&image, radius);
            let expected = direct(&image, &share, radius);
            for threads in [1, 2, 3, 7] {
                let found = Threads::new(threads, Idle::Sleep).unwrap().together(|| filtered(&guide, &share, &guide.whole()));
                for (at, (found, expected)) in found.iter().zip(&expected).enumerate() {
                    let error = (f64::from(*found) - expected).abs();
                    assert!(
                        error < 2e-5,
                        "{height} × {width}, radius {radius}, {threads} threads, pixel {at}: {found} {expected}"
                    );
                }
            }
        }
    }

    /// To the bit.
    #[test]
    fn neither_threads_nor_areas_change_it() {
        let (height, width) = (120, 90);
        let picture = picture(height, width);
        let guide = Guide::with_radius(&picture, 6);
        let mut some = vec![0; height * width];
        for y in 50..60 {
            for x in 30..52 {
                some[y * width + x] = ONE - (y * x) as u16;
            }
        }
        let expected = filtered(&guide, &some, &guide.whole());
        for threads in [2, 3, 5] {
            let found = Threads::new(threads, Idle::Sleep).unwrap().together(|| filtered(&guide, &some, &guide.whole()));
            assert!(found == expected, "{threads} threads");
        }
        let area = guide.area(&some).unwrap();
        assert_eq!(area, Area { rows: 38..72, columns: 18..64 });
        assert!(filtered(&guide, &some, &area) == expected);
        // At the border, and nowhere.
        some.fill(0);
        assert_eq!(guide.area(&some), None);
        some[height * width - 1] = 1;
        assert_eq!(guide.area(&some), Some(Area { rows: 107..120, columns: 77..90 }));
    }

    /// Where all colors are the same the filter is two box means; of a share that is the same everywhere it leaves that.
    #[test]
    fn one_color_guides_nowhere() {
        let (height, width) = (40, 700);
        let image = Image::new(height, width, [250, 3, 128].repeat(height * width)).unwrap();
        let guide = Guide::with_radius(&image, 9);
        let same = filtered(&guide, &vec![ONE / 3; height * width], &guide.whole());
        assert!(same.iter().all(|x| (x - 10922.0 / 32768.0).abs() < 1e-7), "{:?}", &same[..4]);
        // A step becomes a ramp of twice the window.
        let step: Vec<u16> = (0..height * width).map(|at| if at % width < 350 { 0 } else { ONE }).collect();
        let ramp = filtered(&guide, &step, &guide.whole());
        for x in 0..width {
            let mean = |near: &dyn Fn(i32) -> f64, x: i32| (x - 9..=x + 9).map(near).sum::<f64>() / 19.0;
            let expected = if (60..640).contains(&x) {
                mean(&|x| mean(&|x| f64::from(u8::from(x >= 350)), x), x as i32)
            } else {
                f64::from(u8::from(x >= 350))
            };
            assert!((f64::from(ramp[20 * width + x]) - expected).abs() < 1e-7, "column {x}");
        }
    }

    /// The largest values there are, over long rows: no sum overflows, and no error adds up.
    #[test]
    fn sums_are_exact_at_the_largest_radius() {
        let (height, width) = (700, 1100);
        let white = Image::new(height, width, vec![255; 3 * height * width]).unwrap();
        let guide = Guide::with_radius(&white, MAX_RADIUS);
        let same = filtered(&guide, &vec![ONE; height * width], &guide.whole());
        assert!(same.iter().all(|x| (x - 1.0).abs() < 1e-7));
        // A picture of two colors, and their share: slopes of 1, far from the border and at it.
        let two = |at: usize| if (at / 3 % width / 3 + at / 3 / width / 5).is_multiple_of(2) { 255 } else { 0 };
        let image = Image::new(height, width, (0..3 * height * width).map(two).collect()).unwrap();
        let share: Vec<u16> = image.rgb().iter().step_by(3).map(|&x| if x > 0 { ONE } else { 0 }).collect();
        let guide = Guide::with_radius(&image, MAX_RADIUS);
        let found = filtered(&guide, &share, &guide.whole());
        for (found, share) in found.iter().zip(&share) {
            assert!((found - f32::from(*share) / f32::from(ONE)).abs() < 2e-4, "{found} {share}");
        }
    }

    #[test]
    fn radii_grow_with_the_side() {
        let sizes = |height, width| {
            let image = Image::new(height, width, vec![0; 3 * height * width]).unwrap();
            let guide = Guide::new(&image);
            (guide.radius, guide.size())
        };
        assert_eq!([sizes(300, 400), sizes(400, 300)], [(10, (300, 400)), (10, (400, 300))]);
        assert_eq!([sizes(1, 1), sizes(7, 2), sizes(510, 680)], [(1, (1, 1)), (1, (7, 2)), (17, (510, 680))]);
        // Two pixels to a cell, then three; a side shorter than a cell.
        assert_eq!(
            [sizes(541, 720), sizes(801, 1200), sizes(1, 700_000)],
            [(9, (270, 360)), (9, (267, 400)), (12, (1, 350_000))]
        );
    }

    /// Filters of the whole image and of means are nearly the same, at an edge too, and of a share that is the same everywhere they leave that.
    #[test]
    fn means_guide_as_the_image_does() {
        let (height, width, radius) = (260, 301, 20);
        // A slanted edge between two colors, each with a little of everything in it.
        let inside = |y: usize, x: usize| 2 * x + y > 400;
        let color = |at: usize| {
            let (y, x) = (at / 3 / width, at / 3 % width);
            ((at * 2_654_435_761) >> 9) as u8 / 16 + if inside(y, x) { 150 } else { 60 }
        };
        let image = Image::new(height, width, (0..3 * height * width).map(color).collect()).unwrap();
        let (whole, means) = (Guide::with_radius(&image, radius), Guide::of_means(&image, radius, 2));
        assert_eq!((means.size(), means.radius), ((130, 150), 10));
        // The share's edge lies some pixels beside the color's.
        let share = |guide: &Guide<'_>| -> Vec<u16> {
            let (rows, columns) = guide.size();
            let inside = |y: usize, x: usize| inside(y * height / rows, (x * width / columns).saturating_sub(4));
            (0..rows * columns).map(|at| if inside(at / columns, at % columns) { ONE } else { 0 }).collect()
        };
        let [of_whole, of_means] = [&whole, &means].map(|guide| filtered(guide, &share(guide), &guide.whole()));
        let errors: Vec<f32> = of_whole.iter().zip(&of_means).map(|(a, b)| (a - b).abs()).collect();
        let mean = errors.iter().sum::<f32>() / errors.len() as f32;
        assert!(mean < 0.006, "{mean}");
        let moved = of_whole.iter().zip(&of_means).filter(|(a, b)| (**a > 0.5) != (**b > 0.5)).count();
        assert!(moved < 60, "{moved} of {} pixels", errors.len());
        let same = filtered(&means, &vec![ONE / 3; 130 * 150], &means.whole());
        assert!(same.iter().all(|x| (x - 10922.0 / 32768.0).abs() < 1e-5));
    }

    /// To the bit.
    #[test]
    fn neither_threads_nor_areas_change_the_filter_of_means() {
        let picture = picture(240, 180);
        let guide = Guide::of_means(&picture, 13, 2);
        let mut some = vec![0; 120 * 90];
        for at in (50..60).flat_map(|y| (30..52).map(move |x| y * 90 + x)) {
            some[at] = ONE - at as u16;
        }
        let expected = filtered(&guide, &some, &guide.whole());
        for threads in [2, 3, 5] {
            let found = Threads::new(threads, Idle::Sleep).unwrap().together(|| filtered(&guide, &some, &guide.whole()));
            assert!(found == expected, "{threads} threads");
        }
        assert!(filtered(&guide, &some, &guide.area(&some).unwrap()) == expected);
    }
}
