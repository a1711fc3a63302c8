//! Directories of TIFF and BigTIFF: tags and their values, of any type and byte order.

use super::broken;
use crate::image::ImageError;

/// More directories than this are not looked at.
const MAX_DIRECTORIES: usize = 1024;

#[derive(Debug, Clone, Copy)]
pub(super) struct File<'a> {
    pub bytes: &'a [u8],
    pub big_endian: bool,
    /// BigTIFF: offsets of 64 bits.
    big: bool,
}

#[derive(Debug, Clone, Copy)]
struct Entry {
    tag: u16,
    kind: u16,
    count: u64,
    /// Where the values lie.
    at: u64,
}

#[derive(Debug, Clone)]
pub(super) struct Directory<'a> {
    pub file: File<'a>,
    entries: Vec<Entry>,
    next: u64,
}

impl<'a> File<'a> {
    pub fn new(bytes: &'a [u8]) -> Result<Self, ImageError> {
        let (big_endian, big) = match bytes.get(..4) {
            Some([b'I', b'I', 42, 0]) => (false, false),
            Some([b'I', b'I', 43, 0]) => (false, true),
            Some([b'M', b'M', 0, 42]) => (true, false),
            Some([b'M', b'M', 0, 43]) => (true, true),
            _ => return Err(broken("its header is wrong")),
        };
        let file = Self { bytes, big_endian, big };
        if big && file.number(4, 2) != Some(8) {
            return Err(broken("its header is wrong"));
        }
        Ok(file)
    }

    /// An unsigned number of 1, 2, 4 or 8 bytes.
    pub fn number(&self, at: u64, size: u64) -> Option<u64> {
        let at = usize::try_from(at).ok()?;
        let bytes = self.bytes.get(at..at.checked_add(size as usize)?)?;
        let join = |value: u64, &b: &u8| value << 8 | u64::from(b);
        Some(if self.big_endian { bytes.iter().fold(0, join) } else { bytes.iter().rev().fold(0, join) })
    }

    fn directory(&self, at: u64) -> Option<Directory<'a>> {
        let (count_size, entry_size, offset_size) = if self.big { (8, 20, 8) } else { (2, 12, 4) };
        let count = self.number(at, count_size)?;
        let first = at.checked_add(count_size)?;
        if count.checked_mul(entry_size)? > self.bytes.len() as u64 {
            return None;
        }
        let mut entries = Vec::new();
        for at in (0..count).map(|i| first + i * entry_size) {
            let (tag, kind) = (self.number(at, 2)? as u16, self.number(at + 2, 2)? as u16);
            let count = self.number(at + 4, offset_size)?;
            let value = at + 4 + offset_size;
            // Values that fit take the place of the offset.
            let fits = count.checked_mul(size_of_kind(kind)).is_some_and(|length| length <= offset_size);
            let at = if fits { value } else { self.number(value, offset_size)? };
            entries.push(Entry { tag, kind, count, at });
        }
        // A file that ends here has no further directory.
        let next = self.number(first + count * entry_size, offset_size).unwrap_or(0);
        Some(Directory { file: *self, entries, next })
    }

    /// The directories of the chain, each with those below it after it, and whether it is one of the chain; and whether one of them
    /// cannot be read.
    pub fn directories(&self) -> Result<(Vec<(Directory<'a>, bool)>, bool), ImageError> {
        let mut found: Vec<(Directory<'a>, bool)> = Vec::new();
        let mut is_lost = false;
        let mut seen = Vec::new();
        let mut at = self.number(if self.big { 8 } else { 4 }, if self.big { 8 } else { 4 }).unwrap_or(0);
        while at != 0 && !seen.contains(&at) && found.len() < MAX_DIRECTORIES {
            seen.push(at);
            let Some(directory) = self.directory(at) else {
                is_lost = true;
                break;
            };
            at = directory.next;
            let below = directory.numbers(tag::SUB_IFDS).unwrap_or_default();
            is_lost |= below.is_empty() && directory.has(tag::SUB_IFDS);
            found.push((directory, true));
            for at in below.into_iter().take(16) {
                match self.directory(at) {
                    Some(directory) if !seen.contains(&at) => found.push((directory, false)),
                    found => is_lost |= found.is_none(),
                }
                seen.push(at);
            }
        }
        if found.is_empty() { Err(broken("it has no readable directory")) } else { Ok((found, is_lost)) }
    }
}

fn size_of_kind(kind: u16) -> u64 {
    match kind {
        3 | 8 => 2,
        4 | 9 | 11 | 13 => 4,
        5 | 10 | 12 | 16 | 17 | 18 => 8,
        _ => 1,
    }
}

impl<'a> Directory<'a> {
    fn entry(&self, tag: u16) -> Option<&Entry> {
        self.entries.iter().find(|entry| entry.tag == tag)
    }

    pub fn has(&self, tag: u16) -> bool {
        self.entry(tag).is_some()
    }

    /// Unsigned values; none if the tag is not there, is of another type, or lies beyond the end.
    pub fn numbers(&self, tag: u16) -> Option<Vec<u64>> {
        let entry = self.entry(tag)?;
        let size = match entry.kind {
            1 | 3 | 4 | 7 | 13 | 16 | 18 => size_of_kind(entry.kind),
            _ => return None,
        };
        self.bytes(tag)?;
        (0..entry.count).map(|i| self.file.number(entry.at + i * size, size)).collect()
    }

    /// The only or the first value.
    pub fn number(&self, tag: u16) -> Option<u64> {
        let entry = self.entry(tag)?;
        match entry.kind {
            1 | 3 | 4 | 7 | 13 | 16 | 18 if entry.count > 0 => self.file.number(entry.at, size_of_kind(entry.kind)),
            _ => None,
        }
    }

    /// The value that the format prescribes unless the tag is there.
    pub fn number_or(&self, tag: u16, default: u64) -> Result<u64, ImageError> {
        if !self.has(tag) {
            return Ok(default);
        }
        self.number(tag).ok_or_else(|| broken(&format!("its tag {tag} cannot be read")))
    }

    /// Values of any numeric type.
    pub fn floats(&self, tag: u16) -> Option<Vec<f64>> {
        let entry = self.entry(tag)?;
        let size = size_of_kind(entry.kind);
        self.bytes(tag)?;
        let value = |at: u64| {
            let number = self.file.number(at, size)?;
            let half = |at| self.file.number(at, 4);
            Some(match entry.kind {
                1 | 3 | 4 | 7 | 13 | 16 | 18 => number as f64,
                6 => f64::from(number as u8 as i8),
                8 => f64::from(number as u16 as i16),
                9 => f64::from(number as u32 as i32),
                17 => number as i64 as f64,
                5 => half(at)? as f64 / half(at + 4)? as f64,
                10 => f64::from(half(at)? as u32 as i32) / f64::from(half(at + 4)? as u32 as i32),
                11 => f64::from(f32::from_bits(number as u32)),
                12 => f64::from_bits(number),
                _ => return None,
            })
        };
        (0..entry.count).map(|i| value(entry.at + i * size)).collect()
    }

    /// The bytes of all values.
    pub fn bytes(&self, tag: u16) -> Option<&'a [u8]> {
        let entry = self.entry(tag)?;
        let length = usize::try_from(entry.count.checked_mul(size_of_kind(entry.kind))?).ok()?;
        let at = usize::try_from(entry.at).ok()?;
        self.file.bytes.get(at..at.checked_add(length)?)
    }
}

/// The tags that decide how pixels are read.
pub(super) mod tag {
    pub const NEW_SUBFILE_TYPE: u16 = 254;
    pub const SUBFILE_TYPE: u16 = 255;
    pub const WIDTH: u16 = 256;
    pub const HEIGHT: u16 = 257;
    pub const BITS: u16 = 258;
    pub const COMPRESSION: u16 = 259;
    pub const PHOTOMETRIC: u16 = 262;
    pub const FILL_ORDER: u16 = 266;
    pub const STRIP_OFFSETS: u16 = 273;
    pub const ORIENTATION: u16 = 274;
    pub const SAMPLES: u16 = 277;
    pub const ROWS_PER_STRIP: u16 = 278;
    pub const STRIP_LENGTHS: u16 = 279;
    pub const MIN_VALUE: u16 = 280;
    pub const MAX_VALUE: u16 = 281;
    pub const PLANAR: u16 = 284;
    pub const FAX_3_OPTIONS: u16 = 292;
    pub const FAX_4_OPTIONS: u16 = 293;
    pub const TRANSFER_FUNCTION: u16 = 301;
    pub const PREDICTOR: u16 = 317;
    pub const WHITE_POINT: u16 = 318;
    pub const PRIMARIES: u16 = 319;
    pub const COLOR_MAP: u16 = 320;
    pub const TILE_WIDTH: u16 = 322;
    pub const TILE_HEIGHT: u16 = 323;
    pub const TILE_OFFSETS: u16 = 324;
    pub const TILE_LENGTHS: u16 = 325;
    pub const SUB_IFDS: u16 = 330;
    pub const INK_SET: u16 = 332;
    pub const DOT_RANGE: u16 = 336;
    pub const EXTRA_SAMPLES: u16 = 338;
    pub const SAMPLE_FORMAT: u16 = 339;
    pub const S_MIN_VALUE: u16 = 340;
    pub const S_MAX_VALUE: u16 = 341;
    pub const INDEXED: u16 = 346;
    pub const JPEG_TABLES: u16 = 347;
    pub const DECODE: u16 = 433;
    pub const YCBCR_COEFFICIENTS: u16 = 529;
    pub const YCBCR_SUBSAMPLING: u16 = 530;
    pub const REFERENCE_BLACK_WHITE: u16 = 532;
    pub const XMP: u16 = 700;
    pub const IMAGE_DEPTH: u16 = 32_997;
    pub const TILE_DEPTH: u16 = 32_998;
    pub const ICC: u16 = 34_675;
    pub const DNG_VERSION: u16 = 50_706;
}
