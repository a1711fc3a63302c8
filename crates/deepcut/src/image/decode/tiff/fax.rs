//! ITU-T T.4 and T.6: fax lines of one bit a pixel.
//!
//! A line is its changing elements: where black begins, where white begins again, and so on. The codes' tables are the crate `fax`'s.

use fax::BitReader;
use fax::maps::{Mode, black, mode, white};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fax {
    /// T.4 in one dimension without ends of lines; each line begins at a multiple of so many bits.
    Aligned(usize),
    /// T.4 with ends of lines, in one or two dimensions.
    Group3 { two_dimensions: bool },
    /// T.6.
    Group4,
}

/// Bits of a slice, the highest of a byte first; zeros follow its end.
struct Bits<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl BitReader for Bits<'_> {
    type Error = std::convert::Infallible;

    fn peek(&self, bits: u8) -> Option<u16> {
        let byte = |i: usize| u32::from(self.bytes.get(self.at / 8 + i).copied().unwrap_or(0));
        let word = byte(0) << 24 | byte(1) << 16 | byte(2) << 8 | byte(3);
        (1..=16).contains(&bits).then(|| (word << (self.at % 8) >> (32 - u32::from(bits))) as u16)
    }

    fn consume(&mut self, bits: u8) -> Result<(), Self::Error> {
        self.at += usize::from(bits);
        Ok(())
    }

    fn bits_to_byte_boundary(&self) -> u8 {
        (8 - self.at % 8) as u8 % 8
    }
}

impl Bits<'_> {
    fn ended(&self) -> bool {
        self.at >= self.bytes.len() * 8
    }

    /// A run of one color: any number of make-up codes, and one below 64.
    fn run(&mut self, is_black: bool) -> Option<usize> {
        let mut sum = 0;
        loop {
            let part = usize::from(if is_black { black::decode(self)? } else { white::decode(self)? });
            sum += part;
            if part < 64 {
                return Some(sum);
            }
            if self.ended() {
                return None;
            }
        }
    }

    /// Passes over fill bits and the end of a line, if that comes next.
    fn end_of_line(&mut self) -> bool {
        if self.peek(11) != Some(0) {
            return false;
        }
        while !self.ended() && self.peek(1) == Some(0) {
            self.at += 1;
        }
        self.at += 1;
        self.at <= self.bytes.len() * 8
    }
}

/// A line of runs.
fn line_1d(bits: &mut Bits<'_>, width: usize, line: &mut Vec<usize>) -> Option<()> {
    let (mut at, mut is_black) = (0, false);
    while at < width {
        at += bits.run(is_black)?;
        line.push(at.min(width));
        is_black = !is_black;
    }
    Some(())
}

/// A line by its differences from the one above.
fn line_2d(bits: &mut Bits<'_>, above: &[usize], width: usize, line: &mut Vec<usize>) -> Option<()> {
    // One before the line's beginning, so that a change at its first pixel is found.
    let (mut a0, mut is_black, mut i) = (-1_isize, false, 0_usize);
    while a0 < width as isize {
        i = i.saturating_sub(2);
        while i < above.len() && (above[i] as isize <= a0 || (i % 2 == 1) != is_black) {
            i += 1;
        }
        let at = |i: usize| above.get(i).copied().unwrap_or(width);
        match mode::decode(bits)? {
            Mode::Pass => a0 = at(i + 1) as isize,
            Mode::Horizontal => {
                for color in [is_black, !is_black] {
                    a0 = a0.max(0) + isize::try_from(bits.run(color)?).ok()?;
                    line.push((a0 as usize).min(width));
                }
            }
            Mode::Vertical(delta) => {
                let a1 = at(i) as isize + isize::from(delta);
                if a1 < a0.max(0) || a1 > width as isize {
                    return None;
                }
                a0 = a1;
                line.push(a1 as usize);
                is_black = !is_black;
            }
            Mode::Extension | Mode::EOF => return None,
        }
        if bits.ended() && a0 < width as isize && bits.at > bits.bytes.len() * 8 + 32 {
            return None;
        }
    }
    Some(())
}

/// Rows of packed bits, 1 is black; returns how many whole rows were found.
pub(super) fn decode(data: &[u8], coding: Fax, (height, width): (usize, usize), out: &mut [u8]) -> usize {
    let mut bits = Bits { bytes: data, at: 0 };
    let (mut above, mut line) = (Vec::new(), Vec::new());
    for (y, row) in out.chunks_exact_mut(width.div_ceil(8)).take(height).enumerate() {
        line.clear();
        if bits.ended() {
            return y;
        }
        let found = match coding {
            Fax::Aligned(unit) => {
                bits.at = bits.at.next_multiple_of(unit);
                line_1d(&mut bits, width, &mut line)
            }
            Fax::Group4 => line_2d(&mut bits, &above, width, &mut line),
            Fax::Group3 { two_dimensions } => {
                let ended = bits.end_of_line();
                if two_dimensions && (!ended || bits.peek(1) == Some(0)) {
                    // Without an end of line there is no bit that tells the kind.
                    if ended {
                        bits.at += 1;
                        line_2d(&mut bits, &above, width, &mut line)
                    } else {
                        None
                    }
                } else {
                    bits.at += usize::from(two_dimensions);
                    // Six ends of lines end the page.
                    if bits.peek(11) == Some(0) { None } else { line_1d(&mut bits, width, &mut line) }
                }
            }
        };
        if found.is_none() || bits.at > data.len() * 8 {
            return y;
        }
        for run in line.chunks(2) {
            let end = run.get(1).copied().unwrap_or(width).min(width);
            (run[0]..end).for_each(|x| row[x / 8] |= 0x80 >> (x % 8));
        }
        std::mem::swap(&mut above, &mut line);
    }
    height
}
