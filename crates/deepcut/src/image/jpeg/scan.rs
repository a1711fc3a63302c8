//! Entropy-coded scans: sequential (T.81, annex F) and progressive (annex G), and where to go on after damage.
//!
//! | scan          | `first`, `last` | `high`  | a block's bits                                               |
//! |---------------|-----------------|---------|--------------------------------------------------------------|
//! | sequential    | 0, 63           | 0       | DC difference, runs of zeros and values, end of block        |
//! | DC first      | 0, 0            | 0       | DC difference                                                |
//! | DC refinement | 0, 0            | low + 1 | one bit                                                      |
//! | AC first      | ≥ 1             | 0       | runs and values, runs of blocks without any                  |
//! | AC refinement | ≥ 1             | low + 1 | one bit for each value known, runs over zeros to new values  |
//!
//! A segment that ends early leaves its other blocks grey; after bits that are no code the rest is read as if they were zeros. The next
//! restart marker ends either, as in libjpeg.

use super::Damage;
use super::bits::Bits;
use super::huffman::Huffman;
use super::idct::{self, Block};
use super::markers::marker::{RST0, RST7};
use super::markers::{Frame, Scan, ZIGZAG, next_marker};
use super::upsample::Painter;
use std::sync::Arc;

/// What a scan's blocks are for.
trait Blocks {
    /// Decodes the next block: component of the scan, row, column. Whether its bits are valid.
    fn decode(&mut self, bits: &mut Bits, component: usize, row: usize, column: usize) -> bool;
    /// Leaves out a block.
    fn skip(&mut self, _component: usize, _row: usize, _column: usize) {}
    /// Forgets what a segment's blocks have in common. Whether nothing of it was left to come.
    fn restart(&mut self) -> bool;
    /// A row of MCUs is complete.
    fn end_row(&mut self, _row: usize) {}
}

/// Where a scan is in its segments.
struct Segments<'a> {
    bytes: &'a [u8],
    bits: Bits<'a>,
    /// Number of the next restart marker.
    due: u8,
    /// Whether the segment has bits left, and whether all of them were valid so far.
    open: bool,
    valid: bool,
}

impl<'a> Segments<'a> {
    /// Goes on after the restart marker that is due (T.81, F.1.2.3), or as near to it as there is one.
    ///
    /// Another marker is one of the next two: its segment was lost, and it is left for later; one of the last two: something came twice,
    /// and it is passed over; or too far away to tell, and taken for the one due. A marker that ends the scan is left.
    fn restart(&mut self, damage: &mut Damage) {
        let (mut at, unread) = self.bits.finish();
        damage.stray += unread as u64;
        let mut expected = true;
        self.open = loop {
            let (marker, after, skipped) = next_marker(self.bytes, at);
            damage.stray += skipped as u64;
            at = after;
            let ahead = marker.map(|marker| marker.wrapping_sub(self.due) & 7);
            match (marker, ahead) {
                (Some(RST0..=RST7), Some(0)) => break true,
                (Some(RST0..=RST7), Some(3..=5)) => {
                    expected = false;
                    break true;
                }
                (Some(RST0..=RST7), Some(6 | 7)) | (Some(..0xc0), _) => expected = false,
                _ => {
                    expected &= !matches!(marker, Some(RST0..=RST7));
                    at -= if marker.is_some() { 2 } else { 0 };
                    break false;
                }
            }
        };
        damage.restarts += u64::from(!expected);
        self.valid = true;
        self.bits = Bits::new(self.bytes, at);
        self.due = (self.due + 1) & 7;
    }
}

/// Visits a scan's blocks in order (T.81, A.2); returns the place of the first byte after it.
fn walk(frame: &Frame, scan: &Scan, bytes: &[u8], at: usize, blocks: &mut impl Blocks, damage: &mut Damage) -> usize {
    let mut segments = Segments { bytes, bits: Bits::new(bytes, at), due: 0, open: true, valid: true };
    let (rows, columns, shape): (usize, usize, Vec<(usize, usize)>) = match scan.components.as_slice() {
        // One component's blocks are not interleaved, and none fills up an MCU.
        [only] => {
            let (rows, columns) = frame.blocks(only.index);
            (rows, columns, vec![(1, 1)])
        }
        several => {
            let shape = several.iter().map(|c| (frame.components[c.index].v, frame.components[c.index].h)).collect();
            (frame.mcu_rows, frame.mcu_columns, shape)
        }
    };
    let per_mcu = shape.iter().map(|(v, h)| v * h).sum::<usize>() as u64;
    let mut left = scan.restart_interval;
    for row in 0..rows {
        for column in 0..columns {
            if scan.restart_interval > 0 {
                if left == 0 {
                    if !blocks.restart() && segments.open {
                        damage.note("a run of empty blocks goes over its segment's end");
                    }
                    segments.restart(damage);
                    left = scan.restart_interval;
                }
                left -= 1;
            }
            damage.blocks += per_mcu;
            for (component, &(v, h)) in shape.iter().enumerate() {
                for y in row * v..(row + 1) * v {
                    for x in column * h..(column + 1) * h {
                        if segments.open {
                            segments.valid &= blocks.decode(&mut segments.bits, component, y, x);
                        } else {
                            blocks.skip(component, y, x);
                        }
                    }
                }
            }
            segments.open &= !segments.bits.is_past_end();
            if !segments.open {
                damage.missing += per_mcu;
            } else if !segments.valid {
                damage.doubtful += per_mcu;
            }
        }
        blocks.end_row(row);
    }
    if !blocks.restart() && segments.open {
        damage.note("a run of empty blocks goes over its scan's end");
    }
    let (at, unread) = segments.bits.finish();
    // Whoever looks for the next marker passes over them, and counts them.
    at - unread
}

/// Tables and prediction of one component of a scan.
struct Decoder {
    dc: Option<Arc<Huffman>>,
    ac: Option<Arc<Huffman>>,
    predicted: i32,
}

impl Decoder {
    fn of(scan: &Scan) -> Vec<Self> {
        scan.components.iter().map(|c| Self { dc: c.dc.clone(), ac: c.ac.clone(), predicted: 0 }).collect()
    }

    /// The next DC coefficient (T.81, F.2.2.1).
    #[inline(always)]
    fn dc(&mut self, bits: &mut Bits, valid: &mut bool) -> i32 {
        bits.refill();
        if let Some(table) = &self.dc {
            let entry = table.entry(bits);
            let difference = if entry.value != 0 {
                i32::from(entry.value)
            } else {
                let size = table.symbol(bits, valid);
                bits.take_signed(size.into())
            };
            self.predicted = self.predicted.wrapping_add(difference);
        }
        self.predicted
    }

    /// A sequential block (T.81, F.2.2), all of whose coefficients are zero before: whether its bits are valid, and whether it has
    /// AC coefficients.
    #[inline(always)]
    fn sequential(&mut self, bits: &mut Bits, block: &mut Block) -> (bool, bool) {
        let mut valid = true;
        block[0] = self.dc(bits, &mut valid) as i16;
        let Some(table) = &self.ac else { return (false, false) };
        let mut k = 1;
        while k < 64 {
            bits.refill();
            let entry = table.entry(bits);
            if entry.value != 0 {
                k += usize::from(entry.symbol >> 4);
                block[usize::from(ZIGZAG[k] & 63)] = entry.value;
                k += 1;
                continue;
            }
            let symbol = table.symbol(bits, &mut valid);
            let (run, size) = (usize::from(symbol >> 4), symbol & 15);
            match (run, size) {
                (15, 0) => k += 16,
                (_, 0) => return (valid && run == 0, k > 1),
                _ => {
                    k += run;
                    block[usize::from(ZIGZAG[k] & 63)] = bits.take_signed(size.into()) as i16;
                    k += 1;
                }
            }
        }
        (valid && k == 64, true)
    }
}

/// Whether an image is one sequential scan, whose blocks can be painted as they come.
pub(super) fn is_streamed(frame: &Frame, first: &Scan) -> bool {
    !frame.progressive && first.components.len() == frame.components.len()
}

/// Decodes and paints an image that is one scan; returns the place of the first byte after it.
pub(super) fn stream(frame: &Frame, scan: &Scan, bytes: &[u8], at: usize, painter: &mut Painter, damage: &mut Damage) -> usize {
    walk(frame, scan, bytes, at, &mut Stream { scan, decoders: Decoder::of(scan), painter }, damage)
}

struct Stream<'a, 'p> {
    scan: &'a Scan,
    decoders: Vec<Decoder>,
    painter: &'a mut Painter<'p>,
}

impl Blocks for Stream<'_, '_> {
    #[inline(always)]
    fn decode(&mut self, bits: &mut Bits, component: usize, row: usize, column: usize) -> bool {
        let mut block = [0; 64];
        let (valid, has_ac) = self.decoders[component].sequential(bits, &mut block);
        let component = &self.scan.components[component];
        let (plane, stride) = self.painter.block(component.index, row, column);
        if has_ac {
            idct::inverse(&block, &component.steps, plane, stride);
        } else {
            idct::inverse_flat(block[0], component.steps[0], plane, stride);
        }
        valid
    }

    fn skip(&mut self, component: usize, row: usize, column: usize) {
        let (plane, stride) = self.painter.block(self.scan.components[component].index, row, column);
        idct::inverse_flat(0, 0, plane, stride);
    }

    fn restart(&mut self) -> bool {
        self.decoders.iter_mut().for_each(|decoder| decoder.predicted = 0);
        true
    }

    fn end_row(&mut self, row: usize) {
        self.painter.end_row(row);
    }
}

/// All coefficients of an image, for scans that give them piece by piece.
pub(super) struct Coefficients {
    planes: Vec<CoefficientPlane>,
}

struct CoefficientPlane {
    blocks: Vec<Block>,
    /// Blocks of a row.
    columns: usize,
    /// Steps of quantisation, as they were at the component's first scan.
    steps: Option<Arc<Block>>,
    /// For each coefficient in zigzag order, how many of its low bits are still to come; `None`: all of them.
    missing_bits: [Option<u32>; 64],
}

impl Coefficients {
    /// Room for a frame's coefficients; `None` if there is not that much memory.
    pub(super) fn new(frame: &Frame) -> Option<Self> {
        let plane = |component| {
            let (rows, columns) = frame.padded_blocks(component);
            let mut blocks = Vec::new();
            blocks.try_reserve_exact(rows * columns).ok()?;
            blocks.resize(rows * columns, [0; 64]);
            Some(CoefficientPlane { blocks, columns, steps: None, missing_bits: [None; 64] })
        };
        Some(Self { planes: (0..frame.components.len()).map(plane).collect::<Option<_>>()? })
    }

    /// Adds what a scan says; returns the place of the first byte after it.
    pub(super) fn scan(&mut self, frame: &Frame, scan: &Scan, bytes: &[u8], at: usize, damage: &mut Damage) -> usize {
        for component in &scan.components {
            let plane = &mut self.planes[component.index];
            plane.steps.get_or_insert_with(|| component.steps.clone());
            // A coefficient's first scan comes before those that refine it, and the mean before everything else (T.81, G.1.1.1).
            let bands = &mut plane.missing_bits;
            let is_first = scan.high == 0;
            if bands[scan.first..=scan.last].iter().any(|&bits| if is_first { bits.is_some() } else { bits != Some(scan.high) })
                || scan.first > 0 && bands[0].is_none()
            {
                damage.note("its scans do not follow each other");
            }
            bands[scan.first..=scan.last].fill(Some(scan.low));
        }
        let mut piece = Piece { scan, decoders: Decoder::of(scan), coefficients: self, empty_blocks: 0 };
        walk(frame, scan, bytes, at, &mut piece, damage)
    }

    /// Notes coefficients of which something is still to come.
    pub(super) fn check(&self, damage: &mut Damage) {
        let open = self.planes.iter().flat_map(|plane| &plane.missing_bits).filter(|&&bits| bits != Some(0)).count();
        if open > 0 {
            damage.note(format!("scans are missing: {open} of {} frequencies are not there in full", 64 * self.planes.len()));
        }
    }

    /// Paints the image.
    pub(super) fn paint(&self, frame: &Frame, painter: &mut Painter) {
        for mcu_row in 0..frame.mcu_rows {
            for (component, plane) in self.planes.iter().enumerate() {
                let v = frame.components[component].v;
                let steps = plane.steps.as_deref().unwrap_or(&[0; 64]);
                for row in mcu_row * v..(mcu_row + 1) * v {
                    for (column, block) in plane.blocks[row * plane.columns..][..plane.columns].iter().enumerate() {
                        let (samples, stride) = painter.block(component, row, column);
                        idct::inverse(block, steps, samples, stride);
                    }
                }
            }
            painter.end_row(mcu_row);
        }
    }
}

/// One of the scans of an image that has several.
struct Piece<'a> {
    scan: &'a Scan,
    decoders: Vec<Decoder>,
    coefficients: &'a mut Coefficients,
    /// How many blocks to come have no further new coefficients in this scan: EOBRUN of T.81, G.1.2.2.
    empty_blocks: u32,
}

impl Blocks for Piece<'_> {
    #[inline(always)]
    fn decode(&mut self, bits: &mut Bits, component: usize, row: usize, column: usize) -> bool {
        let plane = &mut self.coefficients.planes[self.scan.components[component].index];
        let block = &mut plane.blocks[row * plane.columns + column];
        let decoder = &mut self.decoders[component];
        match (self.scan.first, self.scan.last, self.scan.high) {
            (0, 63, 0) => {
                *block = [0; 64];
                decoder.sequential(bits, block).0
            }
            (0, _, 0) => {
                let mut valid = true;
                block[0] = (decoder.dc(bits, &mut valid) << self.scan.low) as i16;
                valid
            }
            (0, ..) => {
                bits.refill();
                block[0] |= (bits.take(1) as i16) << self.scan.low;
                true
            }
            (_, _, 0) => self.first_ac(bits, component, row, column),
            _ => self.refine_ac(bits, component, row, column),
        }
    }

    fn restart(&mut self) -> bool {
        self.decoders.iter_mut().for_each(|decoder| decoder.predicted = 0);
        std::mem::take(&mut self.empty_blocks) == 0
    }
}

impl Piece<'_> {
    /// First scan of a block's AC coefficients (T.81, G.1.2.2).
    fn first_ac(&mut self, bits: &mut Bits, component: usize, row: usize, column: usize) -> bool {
        if self.empty_blocks > 0 {
            self.empty_blocks -= 1;
            return true;
        }
        let plane = &mut self.coefficients.planes[self.scan.components[component].index];
        let block = &mut plane.blocks[row * plane.columns + column];
        let Some(table) = self.decoders[component].ac.as_deref() else { return false };
        let &Scan { first, last, low, .. } = self.scan;
        let (mut k, mut valid) = (first, true);
        while k <= last {
            bits.refill();
            let entry = table.entry(bits);
            let (run, value) = if entry.value != 0 {
                (entry.symbol >> 4, i32::from(entry.value))
            } else {
                let symbol = table.symbol(bits, &mut valid);
                match (symbol >> 4, symbol & 15) {
                    (15, 0) => {
                        k += 16;
                        continue;
                    }
                    (run, 0) => {
                        self.empty_blocks = (1 << run) - 1 + bits.take(run.into());
                        return valid;
                    }
                    (run, size) => (run, bits.take_signed(size.into())),
                }
            };
            k += usize::from(run);
            block[usize::from(ZIGZAG[k] & 63)] = (value << low) as i16;
            k += 1;
        }
        valid && k == last + 1
    }

    /// Refinement of a block's AC coefficients (T.81, G.1.2.3).
    fn refine_ac(&mut self, bits: &mut Bits, component: usize, row: usize, column: usize) -> bool {
        let plane = &mut self.coefficients.planes[self.scan.components[component].index];
        let block = &mut plane.blocks[row * plane.columns + column];
        let Some(table) = self.decoders[component].ac.as_deref() else { return false };
        let &Scan { first, last, low, .. } = self.scan;
        let bit = 1_i16 << low;
        // Passes over `zeros` coefficients that are zero, and to the next such; those that are not take a bit each.
        let pass = |bits: &mut Bits, block: &mut Block, k: &mut usize, mut zeros: u32| {
            while *k <= last {
                let value = &mut block[usize::from(ZIGZAG[*k] & 63)];
                if *value != 0 {
                    bits.refill();
                    if bits.take(1) == 1 && *value & bit == 0 {
                        *value = value.wrapping_add(if *value > 0 { bit } else { -bit });
                    }
                } else if zeros == 0 {
                    return;
                } else {
                    zeros -= 1;
                }
                *k += 1;
            }
        };
        let (mut k, mut valid) = (first, true);
        while self.empty_blocks == 0 && k <= last {
            bits.refill();
            let symbol = table.symbol(bits, &mut valid);
            let (run, size) = (u32::from(symbol >> 4), symbol & 15);
            if size == 0 && run < 15 {
                self.empty_blocks = (1 << run) + bits.take(run);
                break;
            }
            let new = if size == 0 {
                0
            } else if bits.take(1) == 1 {
                bit
            } else {
                -bit
            };
            pass(bits, block, &mut k, run);
            if new != 0 {
                // A new value's size is 1, and it has a place.
                valid &= size == 1 && k <= last;
                if k <= last {
                    block[usize::from(ZIGZAG[k] & 63)] = new;
                }
            }
            k += 1;
        }
        if self.empty_blocks > 0 {
            pass(bits, block, &mut k, 64);
            self.empty_blocks -= 1;
        }
        valid
    }
}
