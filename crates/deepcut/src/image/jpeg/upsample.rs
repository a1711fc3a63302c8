//! Rows of components → rows of the image, while they come.
//!
//! A component that has half the image's columns, rows or both is interpolated with weights of 3/4 and 1/4 in each direction, what
//! libjpeg calls fancy upsampling. With a, b the nearer and the farther sample, in integers:
//!
//! | halved        | left or upper sample        | right or lower sample       |
//! |---------------|-----------------------------|-----------------------------|
//! | columns       | (3a + b + 1) / 4            | (3a + b + 2) / 4            |
//! | rows          | (3a + b + 1) / 4            | (3a + b + 2) / 4            |
//! | both          | (3A + B + 8) / 16           | (3A + B + 7) / 16           |
//!
//! where A, B are 3a + b of the two rows. Past an edge the farther sample is the nearer one. Other ratios, and components of one or two
//! columns, repeat samples.

use super::color;
use super::idct::GREY;
use super::markers::{ColorSpace, Frame};

/// Takes blocks of samples row by row, and makes the image.
pub(super) struct Painter<'a> {
    frame: &'a Frame,
    color: ColorSpace,
    planes: Vec<Plane>,
    /// A row of the image.
    line: Vec<u8>,
    /// The rows that are complete.
    pixels: Vec<u8>,
    next_row: usize,
}

/// The last two rows of MCUs of a component.
struct Plane {
    samples: Vec<u8>,
    stride: usize,
    /// Rows that are kept.
    rows: usize,
    /// Those of the component, and its columns.
    height: usize,
    width: usize,
    /// How often the image has a sample of this component.
    times_v: usize,
    times_h: usize,
    /// A row as wide as the image.
    line: Vec<u8>,
    /// A row's samples, or sums over two rows.
    sums: Vec<u16>,
}

/// A zeroed buffer, if there is room for it.
fn room<T: Clone>(length: usize, value: T) -> Option<Vec<T>> {
    let mut buffer = Vec::new();
    buffer.try_reserve_exact(length).ok()?;
    buffer.resize(length, value);
    Some(buffer)
}

impl Plane {
    fn new(frame: &Frame, index: usize) -> Option<Self> {
        let component = &frame.components[index];
        let (stride, rows) = (8 * frame.padded_blocks(index).1, 16 * component.v);
        let (times_v, times_h) = (frame.v_max / component.v, frame.h_max / component.h);
        Some(Self {
            samples: room(stride * rows, GREY)?,
            stride,
            rows,
            height: component.height,
            width: component.width,
            times_v,
            times_h,
            line: room(component.width * times_h, 0)?,
            sums: room(component.width, 0)?,
        })
    }

    /// A row of the component, one of those kept.
    fn row(&self, row: usize) -> &[u8] {
        &self.samples[row % self.rows * self.stride..][..self.width]
    }

    /// Makes the image's row of this component, unless it is one of the component's own.
    fn prepare(&mut self, y: usize) {
        let near = y / self.times_v;
        match (self.times_v, self.times_h) {
            (1, 1) => {}
            (2, 1) => {
                let bias = 1 + (y % 2) as u16;
                self.sum_rows(y);
                for (out, &sum) in self.line.iter_mut().zip(&self.sums) {
                    *out = ((sum + bias) >> 2) as u8;
                }
            }
            (1, 2) if self.width > 2 => {
                let start = near % self.rows * self.stride;
                for (sum, &sample) in self.sums.iter_mut().zip(&self.samples[start..]) {
                    *sum = sample.into();
                }
                widen::<2, 1, 2>(&self.sums, &mut self.line);
            }
            (2, 2) if self.width > 2 => {
                self.sum_rows(y);
                widen::<4, 8, 7>(&self.sums, &mut self.line);
            }
            (_, times) => {
                let start = near % self.rows * self.stride;
                for (out, &sample) in self.line.chunks_exact_mut(times).zip(&self.samples[start..]) {
                    out.fill(sample);
                }
            }
        }
    }

    /// Three times the nearer row and once the farther.
    fn sum_rows(&mut self, y: usize) {
        let near = y / 2;
        let far = if y.is_multiple_of(2) { near.saturating_sub(1) } else { (near + 1).min(self.height - 1) };
        let [near, far] = [near, far].map(|row| &self.samples[row % self.rows * self.stride..][..self.width]);
        for ((sum, &near), &far) in self.sums.iter_mut().zip(near).zip(far) {
            *sum = 3 * u16::from(near) + u16::from(far);
        }
    }
}

/// Two samples for each of three sums or more: `(3 near + far + bias) >> SHIFT`, left and right.
fn widen<const SHIFT: u32, const LEFT: u16, const RIGHT: u16>(sums: &[u16], out: &mut [u8]) {
    let pair = |before: u16, sum: u16, after: u16| {
        (((3 * sum + before + LEFT) >> SHIFT) | ((3 * sum + after + RIGHT) >> SHIFT) << 8).to_le_bytes()
    };
    let (pairs, _) = out.as_chunks_mut::<2>();
    let ([first, inner @ .., last], [a, .., z]) = (pairs, sums) else { return };
    *first = pair(*a, *a, sums[1]);
    *last = pair(sums[sums.len() - 2], *z, *z);
    for (((pair_out, &before), &sum), &after) in inner.iter_mut().zip(sums).zip(&sums[1..]).zip(&sums[2..]) {
        *pair_out = pair(before, sum, after);
    }
}

impl<'a> Painter<'a> {
    /// Room for an image and for two rows of MCUs; `None` if there is not that much memory.
    pub(super) fn new(frame: &'a Frame, color: ColorSpace) -> Option<Self> {
        let bytes = frame.width * frame.components.len();
        let mut pixels = Vec::new();
        pixels.try_reserve_exact(frame.height.checked_mul(bytes)?).ok()?;
        let planes = (0..frame.components.len()).map(|index| Plane::new(frame, index)).collect::<Option<_>>()?;
        Some(Self { frame, color, planes, line: room(bytes, 0)?, pixels, next_row: 0 })
    }

    /// Where a component's block goes, and the bytes between its rows. Rows of MCUs come in order.
    #[inline(always)]
    pub(super) fn block(&mut self, component: usize, row: usize, column: usize) -> (&mut [u8], usize) {
        let plane = &mut self.planes[component];
        let start = 8 * row % plane.rows * plane.stride + 8 * column;
        (&mut plane.samples[start..], plane.stride)
    }

    /// Paints what a row of MCUs completes: all but its last rows, which need the samples below.
    pub(super) fn end_row(&mut self, mcu_row: usize) {
        let v_max = self.frame.v_max;
        let is_last = mcu_row + 1 == self.frame.mcu_rows;
        let end = if is_last { self.frame.height } else { 8 * v_max * (mcu_row + 1) - v_max };
        for y in self.next_row..end {
            self.planes.iter_mut().for_each(|plane| plane.prepare(y));
            let rows: Vec<&[u8]> =
                self.planes.iter().map(|p| if (p.times_v, p.times_h) == (1, 1) { p.row(y) } else { &p.line[..] }).collect();
            color::convert(self.color, &rows, &mut self.line);
            self.pixels.extend_from_slice(&self.line);
        }
        self.next_row = end;
    }

    /// The image.
    pub(super) fn finish(self) -> Vec<u8> {
        self.pixels
    }
}
