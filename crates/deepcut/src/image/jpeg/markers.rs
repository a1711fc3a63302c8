//! Segments of a JPEG file (T.81, annex B), and what JFIF, Adobe, EXIF and ICC put into application segments.

use super::huffman::Huffman;
use super::idct::Block;
use super::{Damage, JpegError};
use std::sync::Arc;

/// Natural position of each coefficient in zigzag order (T.81, figure A.6); a run that leaves the block ends in its last place. Readers mask what
/// they read with 63, so that the compiler knows the bound.
#[rustfmt::skip]
pub(super) const ZIGZAG: [u8; 80] = [
     0,  1,  8, 16,  9,  2,  3, 10, 17, 24, 32, 25, 18, 11,  4,  5,
    12, 19, 26, 33, 40, 48, 41, 34, 27, 20, 13,  6,  7, 14, 21, 28,
    35, 42, 49, 56, 57, 50, 43, 36, 29, 22, 15, 23, 30, 37, 44, 51,
    58, 59, 52, 45, 38, 31, 39, 46, 53, 60, 61, 54, 47, 55, 62, 63,
    63, 63, 63, 63, 63, 63, 63, 63, 63, 63, 63, 63, 63, 63, 63, 63,
];

/// Most blocks of one MCU (T.81, B.2.3).
const MCU_BLOCKS: usize = 10;

/// A component of a frame.
#[derive(Debug, Clone)]
pub(super) struct Component {
    id: u8,
    /// Horizontal and vertical sampling factors, 1 to 4.
    pub(super) h: usize,
    pub(super) v: usize,
    /// Which quantisation table.
    quantisation: usize,
    /// Samples, without those that fill up blocks.
    pub(super) height: usize,
    pub(super) width: usize,
}

/// A frame header (T.81, B.2.2).
#[derive(Debug, Clone)]
pub(super) struct Frame {
    pub(super) progressive: bool,
    pub(super) height: usize,
    pub(super) width: usize,
    pub(super) components: Vec<Component>,
    /// Largest sampling factors.
    pub(super) h_max: usize,
    pub(super) v_max: usize,
    /// Rows and columns of MCUs, where all components are interleaved.
    pub(super) mcu_rows: usize,
    pub(super) mcu_columns: usize,
}

impl Frame {
    /// Blocks of a component without those that only fill up MCUs: rows, columns (T.81, A.2.3).
    pub(super) fn blocks(&self, component: usize) -> (usize, usize) {
        let component = &self.components[component];
        (component.height.div_ceil(8), component.width.div_ceil(8))
    }

    /// The same, with those that fill up MCUs.
    pub(super) fn padded_blocks(&self, component: usize) -> (usize, usize) {
        let component = &self.components[component];
        (self.mcu_rows * component.v, self.mcu_columns * component.h)
    }

    /// Blocks of all components, padded or not.
    pub(super) fn all_blocks(&self, padded: bool) -> u64 {
        let of = |c| if padded { self.padded_blocks(c) } else { self.blocks(c) };
        (0..self.components.len()).map(of).map(|(rows, columns)| rows as u64 * columns as u64).sum()
    }
}

/// A component of a scan, with its tables as they are at the scan's start.
#[derive(Clone)]
pub(super) struct ScanComponent {
    /// Index in the frame.
    pub(super) index: usize,
    /// Steps in natural order.
    pub(super) steps: Arc<Block>,
    pub(super) dc: Option<Arc<Huffman>>,
    pub(super) ac: Option<Arc<Huffman>>,
}

/// A scan header (T.81, B.2.3), and what of the tables the scan needs.
#[derive(Clone)]
pub(super) struct Scan {
    pub(super) components: Vec<ScanComponent>,
    /// First and last coefficient in zigzag order.
    pub(super) first: usize,
    pub(super) last: usize,
    /// Bits of the coefficients that an earlier scan left out, if one did, and that this one leaves out.
    pub(super) high: u32,
    pub(super) low: u32,
    /// MCUs between restart markers; 0: none.
    pub(super) restart_interval: usize,
}

/// How the components make colours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ColorSpace {
    Grey,
    YCbCr,
    Rgb,
    Cmyk,
    Ycck,
}

/// Reads segments from the file's start to its end.
pub(super) struct Reader<'a> {
    bytes: &'a [u8],
    /// Next byte to read.
    pub(super) at: usize,
    pub(super) frame: Option<Frame>,
    quantisation: [Option<Arc<Block>>; 4],
    dc: [Option<Arc<Huffman>>; 4],
    ac: [Option<Arc<Huffman>>; 4],
    restart_interval: usize,
    jfif: bool,
    /// The transform that Adobe's segment states.
    adobe: Option<u8>,
    pub(super) exif: Option<Vec<u8>>,
    icc: Vec<(u8, &'a [u8])>,
    pub(super) damage: Damage,
}

/// Second bytes of markers (T.81, table B.1).
pub(super) mod marker {
    pub(super) const TEM: u8 = 0x01;
    pub(super) const SOF0: u8 = 0xc0;
    pub(super) const SOF2: u8 = 0xc2;
    pub(super) const DHT: u8 = 0xc4;
    pub(in super::super) const RST0: u8 = 0xd0;
    pub(in super::super) const RST7: u8 = 0xd7;
    pub(super) const SOI: u8 = 0xd8;
    pub(super) const EOI: u8 = 0xd9;
    pub(super) const SOS: u8 = 0xda;
    pub(super) const DQT: u8 = 0xdb;
    pub(super) const DNL: u8 = 0xdc;
    pub(super) const DRI: u8 = 0xdd;
    pub(super) const APP0: u8 = 0xe0;
    pub(super) const APP1: u8 = 0xe1;
    pub(super) const APP2: u8 = 0xe2;
    pub(super) const APP14: u8 = 0xee;
    pub(super) const APP15: u8 = 0xef;
    pub(super) const COM: u8 = 0xfe;
}

/// The next marker from a byte on, the byte after it, and how many bytes before it belong to nothing.
pub(super) fn next_marker(bytes: &[u8], mut at: usize) -> (Option<u8>, usize, usize) {
    let mut skipped = 0;
    loop {
        let rest = bytes.get(at..).unwrap_or_default();
        let junk = rest.iter().take_while(|&&byte| byte != 0xff).count();
        let fill = rest[junk..].iter().take_while(|&&byte| byte == 0xff).count();
        skipped += junk;
        at += junk + fill;
        match bytes.get(at) {
            None => return (None, at, skipped),
            Some(0) => (at, skipped) = (at + 1, skipped + 2),
            Some(&marker) => return (Some(marker), at + 1, skipped),
        }
    }
}

fn broken(what: impl Into<String>) -> JpegError {
    JpegError::Broken(what.into())
}

/// Reads numbers from a segment.
struct Segment<'a>(&'a [u8]);

impl<'a> Segment<'a> {
    fn take(&mut self, n: usize) -> Result<&'a [u8], JpegError> {
        let (taken, rest) = self.0.split_at_checked(n).ok_or_else(|| broken("a segment is shorter than what it holds"))?;
        self.0 = rest;
        Ok(taken)
    }

    fn byte(&mut self) -> Result<u8, JpegError> {
        Ok(self.take(1)?[0])
    }

    fn word(&mut self) -> Result<u16, JpegError> {
        Ok(u16::from_be_bytes([self.byte()?, self.byte()?]))
    }

    fn finish(self) -> Result<(), JpegError> {
        if self.0.is_empty() { Ok(()) } else { Err(broken("a segment is longer than what it holds")) }
    }
}

impl<'a> Reader<'a> {
    /// Starts at the marker that every file begins with.
    pub(super) fn new(bytes: &'a [u8]) -> Result<Self, JpegError> {
        if !bytes.starts_with(&[0xff, marker::SOI]) {
            return Err(JpegError::NotJpeg);
        }
        Ok(Self {
            bytes,
            at: 2,
            frame: None,
            quantisation: Default::default(),
            dc: Default::default(),
            ac: Default::default(),
            restart_interval: 0,
            jfif: false,
            adobe: None,
            exif: None,
            icc: Vec::new(),
            damage: Damage::default(),
        })
    }

    /// Reads on to the next scan header; `None` at the end of the image, whose marker may be missing.
    pub(super) fn next_scan(&mut self) -> Result<Option<Scan>, JpegError> {
        loop {
            let (marker, at, skipped) = next_marker(self.bytes, self.at);
            self.damage.stray += skipped as u64;
            self.at = at;
            let marker = match marker {
                None | Some(marker::EOI) if self.frame.is_some() => {
                    self.damage.open_end = marker.is_none();
                    return Ok(None);
                }
                None => return Err(JpegError::Truncated),
                Some(marker::EOI) => return Err(broken("it ends before an image begins")),
                Some(marker::RST0..=marker::RST7 | marker::TEM) => continue,
                Some(marker::SOI) => return Err(broken("a second image begins within the first")),
                Some(marker) => marker,
            };
            let mut segment = self.segment()?;
            match marker {
                marker::SOF0..=marker::SOF2 => self.start_frame(segment, marker == marker::SOF2)?,
                marker::DHT => self.huffman_tables(segment)?,
                marker::DQT => self.quantisation_tables(segment)?,
                marker::DRI => {
                    self.restart_interval = segment.word()?.into();
                    segment.finish()?;
                }
                marker::SOS => return self.start_scan(segment).map(Some),
                marker::APP0 => self.jfif(segment.0),
                marker::APP14 => self.adobe(segment.0),
                marker::APP1 => {
                    // The byte after "Exif" and a zero is another, or in some files none.
                    if self.exif.is_none() && segment.0.starts_with(b"Exif\0") {
                        self.exif = segment.0.get(6..).map(<[u8]>::to_vec);
                    }
                }
                marker::APP2 => {
                    if let Some([number, _, profile @ ..]) = segment.0.strip_prefix(b"ICC_PROFILE\0") {
                        self.icc.push((*number, profile));
                    }
                }
                marker::APP0..=marker::APP15 | marker::COM | marker::DNL => {}
                _ => return Err(unsupported(marker)),
            }
        }
    }

    /// The segment at the reader's place: two bytes of length, which count themselves, and its contents.
    fn segment(&mut self) -> Result<Segment<'a>, JpegError> {
        let mut rest = Segment(self.bytes.get(self.at..).unwrap_or_default());
        let length = usize::from(rest.word().map_err(|_| JpegError::Truncated)?);
        let length = length.checked_sub(2).ok_or_else(|| broken("a segment's length is less than two bytes"))?;
        self.at += 2 + length;
        rest.take(length).map(Segment).map_err(|_| JpegError::Truncated)
    }

    fn start_frame(&mut self, mut segment: Segment, progressive: bool) -> Result<(), JpegError> {
        if self.frame.is_some() {
            return Err(broken("it has two frame headers"));
        }
        let precision = segment.byte()?;
        if precision != 8 {
            return Err(JpegError::Precision(precision));
        }
        let (height, width) = (usize::from(segment.word()?), usize::from(segment.word()?));
        if height == 0 {
            return Err(JpegError::Unsupported("states its height after its pixels (DNL)"));
        }
        if width == 0 {
            return Err(broken("its width is zero"));
        }
        let count = segment.byte()?;
        if ![1, 3, 4].contains(&count) {
            return Err(JpegError::Components(count));
        }
        let mut components = Vec::new();
        for _ in 0..count {
            let (id, sampling, quantisation) = (segment.byte()?, segment.byte()?, segment.byte()?);
            let (mut h, mut v) = (usize::from(sampling >> 4), usize::from(sampling & 15));
            if !((1..=4).contains(&h) && (1..=4).contains(&v) && quantisation < 4) {
                return Err(broken("a component of its frame has numbers out of range"));
            }
            if count == 1 {
                // A single component's blocks are not interleaved, whatever its factors.
                (h, v) = (1, 1);
            }
            components.push(Component { id, h, v, quantisation: quantisation.into(), height: 0, width: 0 });
        }
        segment.finish()?;
        let h_max = components.iter().map(|c| c.h).max().unwrap_or(1);
        let v_max = components.iter().map(|c| c.v).max().unwrap_or(1);
        for component in &mut components {
            if h_max % component.h != 0 || v_max % component.v != 0 {
                return Err(JpegError::Unsupported("has components whose sizes are no whole multiples of each other"));
            }
            component.height = (height * component.v).div_ceil(v_max);
            component.width = (width * component.h).div_ceil(h_max);
        }
        let (mcu_rows, mcu_columns) = (height.div_ceil(8 * v_max), width.div_ceil(8 * h_max));
        self.frame = Some(Frame { progressive, height, width, components, h_max, v_max, mcu_rows, mcu_columns });
        Ok(())
    }

    fn huffman_tables(&mut self, mut segment: Segment) -> Result<(), JpegError> {
        while !segment.0.is_empty() {
            let place = segment.byte()?;
            let counts = *segment.take(16)?.first_chunk().ok_or(JpegError::Truncated)?;
            let symbols = segment.take(counts.iter().map(|&n| usize::from(n)).sum())?;
            let table = Huffman::new(&counts, symbols).filter(|table| symbols.len() <= 256 && (place >= 16 || table.is_for_dc()));
            let slot = if place < 16 { self.dc.get_mut(usize::from(place)) } else { self.ac.get_mut(usize::from(place - 16)) };
            match (table, slot) {
                (Some(table), Some(slot)) => *slot = Some(Arc::new(table)),
                _ => return Err(broken("a Huffman table is impossible")),
            }
        }
        Ok(())
    }

    fn quantisation_tables(&mut self, mut segment: Segment) -> Result<(), JpegError> {
        while !segment.0.is_empty() {
            let kind = segment.byte()?;
            let mut table = [0; 64];
            for &place in &ZIGZAG[..64] {
                // Steps of 16 bits wrap as products do.
                table[usize::from(place)] = if kind < 16 { segment.byte()?.into() } else { segment.word()? as i16 };
            }
            match self.quantisation.get_mut(usize::from(kind & 15)) {
                Some(slot) if kind < 32 => *slot = Some(Arc::new(table)),
                _ => return Err(broken("a quantisation table is impossible")),
            }
        }
        Ok(())
    }

    fn start_scan(&mut self, mut segment: Segment) -> Result<Scan, JpegError> {
        let frame = self.frame.as_ref().ok_or_else(|| broken("a scan comes before the frame header"))?;
        let count = segment.byte()?;
        let mut components: Vec<ScanComponent> = Vec::new();
        for _ in 0..count {
            let (id, tables) = (segment.byte()?, segment.byte()?);
            // Some writers give all components one number: each is meant once.
            let free = |index: usize| components.iter().all(|c| c.index != index);
            let index = (0..frame.components.len())
                .find(|&index| frame.components[index].id == id && free(index))
                .ok_or_else(|| broken("a scan has a component that the frame has not"))?;
            let steps = self.quantisation[frame.components[index].quantisation]
                .clone()
                .ok_or_else(|| broken("a quantisation table is missing"))?;
            if tables >> 4 > 3 || tables & 15 > 3 {
                return Err(broken("a scan names a Huffman table beyond the fourth"));
            }
            let [dc, ac] = [(&self.dc, tables >> 4, false), (&self.ac, tables & 15, true)].map(|(tables, slot, is_ac)| {
                // Frames of Motion JPEG have no tables, and mean the standard's; if one of several is gone, something is wrong.
                let is_standard = !frame.progressive && slot < 2 && self.dc.iter().chain(&self.ac).all(Option::is_none);
                let standard = || is_standard.then(|| Huffman::standard(is_ac, slot == 1).map(Arc::new)).flatten();
                tables[usize::from(slot)].clone().or_else(standard)
            });
            components.push(ScanComponent { index, steps, dc, ac });
        }
        let (first, last, approximation) = (usize::from(segment.byte()?), usize::from(segment.byte()?), segment.byte()?);
        let (high, low) = (u32::from(approximation >> 4), u32::from(approximation & 15));
        segment.finish()?;
        let blocks = components.iter().map(|c| frame.components[c.index].h * frame.components[c.index].v).sum::<usize>();
        if components.is_empty() || components.len() > 1 && blocks > MCU_BLOCKS {
            return Err(broken("a scan has no component, or too many"));
        }
        let mut scan = Scan { components, first, last, high, low, restart_interval: self.restart_interval };
        if !frame.progressive {
            if (first, last, high, low) != (0, 63, 0, 0) {
                self.damage.note("a sequential scan has the parameters of a progressive one");
            }
            (scan.first, scan.last, scan.high, scan.low) = (0, 63, 0, 0);
        } else if low > 13
            || last > 63
            || (high != 0 && high != low + 1)
            || if first == 0 { last != 0 } else { first > last || scan.components.len() > 1 }
        {
            return Err(broken("a progressive scan has impossible parameters"));
        }
        let needs_dc = first == 0 && high == 0;
        let needs_ac = last > 0;
        if scan.components.iter().any(|c| needs_dc && c.dc.is_none() || needs_ac && c.ac.is_none()) {
            return Err(broken("a Huffman table is missing"));
        }
        Ok(scan)
    }

    /// JFIF, part 5 of T.871: the components are Y, Cb and Cr.
    fn jfif(&mut self, segment: &[u8]) {
        if let [b'J', b'F', b'I', b'F', 0, major, minor, _, _, _, _, _, _, _, ..] = segment {
            self.jfif = true;
            if *major != 1 {
                self.damage.note(format!("its JFIF version, {major}.{minor:02}, is unknown"));
            }
        }
    }

    /// Adobe's technical note 5116, section 18: a transform of 0 (none), 1 (YCbCr) or 2 (YCCK).
    fn adobe(&mut self, segment: &[u8]) {
        if let [b'A', b'd', b'o', b'b', b'e', _, _, _, _, _, _, transform, ..] = segment {
            self.adobe = Some(*transform);
        }
    }

    /// What the components mean: the rules of libjpeg.
    pub(super) fn color_space(&mut self) -> ColorSpace {
        let ids: Vec<u8> = self.frame.iter().flat_map(|frame| &frame.components).map(|component| component.id).collect();
        match (ids.as_slice(), self.adobe) {
            ([_], _) => ColorSpace::Grey,
            ([_, _, _], _) if self.jfif => ColorSpace::YCbCr,
            ([_, _, _], Some(0)) | ([b'R', b'G', b'B'], None) => ColorSpace::Rgb,
            ([_, _, _], Some(1) | None) => ColorSpace::YCbCr,
            ([_, _, _, _], Some(0) | None) => ColorSpace::Cmyk,
            ([_, _, _, _], Some(2)) => ColorSpace::Ycck,
            (ids, other) => {
                self.damage.note(format!("Adobe's colour transform, {}, is unknown", other.unwrap_or_default()));
                if ids.len() == 3 { ColorSpace::YCbCr } else { ColorSpace::Ycck }
            }
        }
    }

    /// The colour profile, put together from its numbered parts (ICC.1, B.4); an empty one, which nobody can read, if some are missing.
    pub(super) fn icc(&mut self) -> Option<Vec<u8>> {
        self.icc.sort_by_key(|&(number, _)| number);
        let profile = self.icc.iter().flat_map(|(_, part)| *part).copied().collect::<Vec<_>>();
        // A profile begins with its own length.
        let is_whole = profile.first_chunk().is_some_and(|&stated| u32::from_be_bytes(stated) as usize <= profile.len());
        (!self.icc.is_empty()).then(|| if is_whole { profile } else { Vec::new() })
    }
}

/// The name of a frame that is not read.
fn unsupported(marker: u8) -> JpegError {
    JpegError::Unsupported(match marker {
        0xc3 => "is lossless (SOF3)",
        0xc5..=0xc7 | 0xcd..=0xcf | 0xde | 0xdf => "is hierarchical (SOF5-7, SOF13-15)",
        0xc9 | 0xca | 0xcc => "is coded arithmetically (SOF9, SOF10)",
        0xcb => "is lossless and coded arithmetically (SOF11)",
        0xf7 | 0xf8 => "is JPEG-LS (SOF55)",
        _ => return broken(format!("the marker FF{marker:02X} is unknown")),
    })
}
