//! Strips and tiles: where they lie, how they are unpacked, and rows of samples out of them.

use super::directory::Directory;
use super::{Fax, Page, SampleFormat, broken, fax, tag, unsupported};
use crate::image::ImageError;
use crate::image::picture::room;
use flate2::read::ZlibDecoder;
use std::io::Read;

/// A tile may be so many times larger than the image: small images in tiles of a fixed size.
const TILE_PIXELS: usize = 1 << 22;

/// Rows of fewer bytes are kept even if they are not all there.
const LONG_ROW: usize = 1 << 24;
/// Bytes of strips that may be read in several places: writers share a tile of one color.
const OVERLAP: u64 = 1 << 28;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Compression {
    None,
    Fax(Fax),
    Lzw,
    Deflate,
    PackBits,
    Jpeg,
}

impl Compression {
    /// Bytes that a byte can become at most.
    fn expansion(self) -> usize {
        match self {
            Self::None => 1,
            Self::PackBits => 64,
            Self::Deflate => 1032,
            Self::Lzw => 4096,
            // Their own decoders know.
            Self::Fax(_) | Self::Jpeg => usize::MAX,
        }
    }
}

#[derive(Debug, Clone)]
pub(super) struct Strips {
    pub compression: Compression,
    pub predictor: u64,
    /// Rows and columns of a strip or tile.
    rows: usize,
    columns: usize,
    is_tiled: bool,
    /// Each sample's own strips.
    pub planar: bool,
    reversed: bool,
    /// Chroma's subsampling, down and across.
    subsampling: (usize, usize),
    /// Offset and length of each.
    places: Vec<(u64, u64)>,
    pub jpeg_tables: Option<Vec<u8>>,
}

impl Strips {
    pub fn read(
        directory: &Directory<'_>,
        (height, width): (usize, usize),
        (samples, bits): (usize, usize),
        is_ycbcr: bool,
    ) -> Result<Self, ImageError> {
        let number = |tag, default| directory.number_or(tag, default);
        let planar = match number(tag::PLANAR, 1)? {
            1 => false,
            2 => samples > 1,
            other => return Err(unsupported(&format!("with PlanarConfiguration {other}"))),
        };
        let fax_3 = number(tag::FAX_3_OPTIONS, 0)?;
        let compression = match number(tag::COMPRESSION, 1)? {
            1 => Compression::None,
            2 => Compression::Fax(Fax::Aligned(8)),
            32_771 => Compression::Fax(Fax::Aligned(16)),
            3 if fax_3 & 2 == 0 => Compression::Fax(Fax::Group3 { two_dimensions: fax_3 & 1 == 1 }),
            4 if number(tag::FAX_4_OPTIONS, 0)? & 2 == 0 => Compression::Fax(Fax::Group4),
            3 | 4 => return Err(unsupported("of fax lines without compression")),
            5 => Compression::Lzw,
            6 => return Err(unsupported("of old-style JPEG (Compression 6)")),
            7 => Compression::Jpeg,
            8 | 32_946 => Compression::Deflate,
            32_773 => Compression::PackBits,
            other => {
                let name = match other {
                    9 | 10 | 34_661 => "JBIG",
                    32_766 => "NeXT",
                    32_809 => "ThunderScan",
                    32_908 | 32_909 => "Pixar's compression",
                    33_003 | 33_004 | 33_005 | 34_712 => "JPEG 2000",
                    34_676 | 34_677 => "SGI's LogLuv",
                    34_887 => "LERC",
                    34_925 => "LZMA",
                    50_000 | 34_926 => "Zstandard",
                    50_001 | 34_927 => "WebP",
                    50_002 | 52_546 => "JPEG XL",
                    _ => return Err(unsupported(&format!("with Compression {other}"))),
                };
                return Err(unsupported(&format!("packed with {name} (Compression {other})")));
            }
        };
        if matches!(compression, Compression::Fax(_)) && (samples, bits) != (1, 1) {
            return Err(unsupported("packed as a fax with more than one bit a pixel"));
        }
        let predictor = match compression {
            Compression::Lzw | Compression::Deflate => number(tag::PREDICTOR, 1)?,
            _ => 1,
        };
        if !(1..=3).contains(&predictor) {
            return Err(unsupported(&format!("with Predictor {predictor}")));
        }
        let reversed = match number(tag::FILL_ORDER, 1)? {
            1 => false,
            2 => compression != Compression::Jpeg,
            other => return Err(unsupported(&format!("with FillOrder {other}"))),
        };
        let mut subsampling = (1, 1);
        if is_ycbcr && compression != Compression::Jpeg {
            let two = directory.numbers(tag::YCBCR_SUBSAMPLING).unwrap_or_else(|| vec![2, 2]);
            let (&across, &down) = two.first().zip(two.get(1)).ok_or_else(|| broken("its tag YCbCrSubSampling is wrong"))?;
            if ![1, 2, 4].contains(&across) || ![1, 2, 4].contains(&down) {
                return Err(broken("its tag YCbCrSubSampling is wrong"));
            }
            subsampling = (down as usize, across as usize);
            if subsampling != (1, 1) && (planar || samples != 3 || predictor != 1) {
                return Err(unsupported("of subsampled YCbCr in planes, with further channels, or with a predictor"));
            }
        }
        let is_tiled = directory.has(tag::TILE_WIDTH);
        let (rows, columns) = if is_tiled {
            (number(tag::TILE_HEIGHT, 0)? as usize, number(tag::TILE_WIDTH, 0)? as usize)
        } else {
            ((number(tag::ROWS_PER_STRIP, u64::MAX)? as usize).min(height), width)
        };
        if rows == 0 || columns == 0 {
            return Err(broken("its strips or tiles have no size"));
        }
        if is_tiled
            && rows.checked_mul(columns).is_none_or(|n| n > TILE_PIXELS.max(height.saturating_mul(width).saturating_mul(4)))
        {
            return Err(broken("its tiles are far larger than the image"));
        }
        let list = |first, second| directory.numbers(first).or_else(|| directory.numbers(second));
        let offsets =
            if is_tiled { list(tag::TILE_OFFSETS, tag::STRIP_OFFSETS) } else { list(tag::STRIP_OFFSETS, tag::TILE_OFFSETS) };
        let lengths =
            if is_tiled { list(tag::TILE_LENGTHS, tag::STRIP_LENGTHS) } else { list(tag::STRIP_LENGTHS, tag::TILE_LENGTHS) };
        let offsets = offsets.ok_or_else(|| broken("it does not say where its pixels are"))?;
        let end = directory.file.bytes.len() as u64;
        // Old writers leave the lengths out, or leave them zero.
        let lengths = lengths.unwrap_or_default();
        let places = offsets.iter().enumerate().map(|(i, &at)| {
            let known = lengths.get(i).copied().filter(|&n| n > 0 || lengths.len() > 1);
            (at, known.unwrap_or(end.saturating_sub(at)))
        });
        let jpeg_tables = directory.bytes(tag::JPEG_TABLES).map(<[u8]>::to_vec);
        Ok(Self {
            compression,
            predictor,
            rows,
            columns,
            is_tiled,
            planar,
            reversed,
            subsampling,
            places: places.collect(),
            jpeg_tables,
        })
    }

    /// Bytes of memory that a strip takes while it is unpacked, of so many bits a pixel.
    pub fn bytes(&self, bits: u64) -> u64 {
        // Its own, and what it was unpacked from or is spread into.
        2_u64.saturating_mul(self.rows as u64).saturating_mul(self.columns as u64).saturating_mul(bits.div_ceil(8))
    }
}

/// A row of a strip or tile, as far as it lies in the image.
pub(super) struct Row<'a> {
    pub y: usize,
    pub x: usize,
    pub pixels: usize,
    /// Which sample it is, if each has its own rows.
    pub plane: Option<usize>,
    pub data: &'a [u8],
}

/// Unpacks strip by strip and hands over every row; returns what is missing or wrong.
pub(super) fn each_row(page: &Page<'_>, bytes: &[u8], take: &mut dyn FnMut(Row<'_>)) -> Result<Option<String>, ImageError> {
    let (strips, height, width) = (&page.strips, page.height, page.width);
    let (down, across) = (height.div_ceil(strips.rows), width.div_ceil(strips.columns));
    let planes = if strips.planar { page.samples } else { 1 };
    let samples = if strips.planar { 1 } else { page.samples };
    let (sub_down, sub_across) = strips.subsampling;
    let is_subsampled = strips.subsampling != (1, 1);
    let row_bytes = strips
        .columns
        .checked_mul(samples * page.bits)
        .map(|bits| bits.div_ceil(8))
        .ok_or_else(|| broken("its header has an absurd size"))?;
    let packed_bytes = strips.columns.div_ceil(sub_across) * (sub_down * sub_across + 2);
    let (mut buffer, mut unpacked) = (Vec::new(), Vec::new());
    let (mut missing, mut any) = (0, false);
    let total = planes * down * across;
    let raw: u64 = strips.places.iter().map(|&(_, length)| length.min(bytes.len() as u64)).sum();
    if strips.places.len() < total.div_ceil(64) {
        return Err(broken("nearly all of its strips or tiles are missing"));
    }
    if raw > 8 * bytes.len() as u64 + OVERLAP {
        return Err(broken("its strips or tiles lie over each other"));
    }
    for index in 0..total {
        let (plane, y, x) = (index / (down * across), index / across % down * strips.rows, index % across * strips.columns);
        if strips.planar && plane >= page.photometric.samples() && page.alpha.is_none_or(|(at, _)| at != plane) {
            continue;
        }
        // The last strip has only the rows that are left; tiles are always whole.
        let rows = if strips.is_tiled { strips.rows } else { strips.rows.min(height - y) };
        let expected = if is_subsampled { packed_bytes * rows.div_ceil(sub_down) } else { row_bytes.saturating_mul(rows) };
        let raw = strips.places.get(index).and_then(|&(at, length)| slice(bytes, at, length)).unwrap_or_default();
        // A short strip of a large tile must not cost the whole tile.
        let possible = raw.len().saturating_mul(strips.compression.expansion());
        let there = if possible >= expected || is_subsampled {
            expected
        } else if row_bytes < LONG_ROW {
            possible.next_multiple_of(row_bytes).min(expected)
        } else {
            possible / row_bytes * row_bytes
        };
        buffer.clear();
        if buffer.capacity() < there {
            buffer = room(there)?;
        }
        buffer.resize(there, 0);
        let found = if raw.is_empty() { 0 } else { unpack(page, raw, (rows, strips.columns), samples, &mut buffer)? };
        any |= found > 0;
        missing += usize::from(found < expected);
        if is_subsampled {
            unpacked.resize(row_bytes * rows, 0);
            spread(&buffer, (rows, strips.columns), strips.subsampling, &mut unpacked);
        }
        let rows_of = if is_subsampled { &mut unpacked } else { &mut buffer };
        let pixels = strips.columns.min(width - x);
        for (i, row) in rows_of.chunks_exact_mut(row_bytes).enumerate().take(height - y) {
            match strips.predictor {
                2 => horizontal(row, samples, page.bits / 8, page.directory.file.big_endian),
                3 => floating(row, samples, page.bits / 8, page.directory.file.big_endian),
                _ => {}
            }
            take(Row { y: y + i, x, pixels, plane: strips.planar.then_some(plane), data: row });
        }
    }
    if !any {
        return Err(broken("none of its pixels can be decoded"));
    }
    let name = if strips.is_tiled { "tiles" } else { "strips" };
    Ok((missing > 0).then(|| format!("{missing} of its {total} {name} are missing or wrong")))
}

/// The bytes that are there of those that should be.
fn slice(bytes: &[u8], at: u64, length: u64) -> Option<&[u8]> {
    let rest = bytes.get(usize::try_from(at).ok()?..)?;
    let found = &rest[..usize::try_from(length).unwrap_or(usize::MAX).min(rest.len())];
    (!found.is_empty()).then_some(found)
}

/// Unpacks a strip; returns how many bytes of it were found.
fn unpack(
    page: &Page<'_>,
    raw: &[u8],
    (rows, columns): (usize, usize),
    samples: usize,
    out: &mut [u8],
) -> Result<usize, ImageError> {
    let reversed: Vec<u8>;
    let raw = if page.strips.reversed {
        reversed = raw.iter().map(|b| b.reverse_bits()).collect();
        &reversed
    } else {
        raw
    };
    Ok(match page.strips.compression {
        Compression::None => {
            let n = raw.len().min(out.len());
            out[..n].copy_from_slice(&raw[..n]);
            n
        }
        Compression::PackBits => pack_bits(raw, out),
        Compression::Deflate => {
            let (mut decoder, mut found) = (ZlibDecoder::new(raw), 0);
            while let Ok(n @ 1..) = decoder.read(&mut out[found..]) {
                found += n;
            }
            found
        }
        Compression::Lzw => lzw(raw, out)?,
        Compression::Fax(coding) => fax::decode(raw, coding, (rows, columns), out) * columns.div_ceil(8),
        Compression::Jpeg => super::jpeg::unpack(page, raw, (rows, columns), samples, out)?,
    })
}

fn pack_bits(mut raw: &[u8], out: &mut [u8]) -> usize {
    let mut found = 0;
    while let (Some((&head, rest)), true) = (raw.split_first(), found < out.len()) {
        let count = usize::from(head.wrapping_neg()) + 1;
        match head {
            0..=127 => {
                let n = (usize::from(head) + 1).min(rest.len());
                let fits = n.min(out.len() - found);
                out[found..found + fits].copy_from_slice(&rest[..fits]);
                found += fits;
                raw = &rest[n..];
            }
            128 => raw = rest,
            _ => {
                let Some((&value, rest)) = rest.split_first() else { break };
                let fits = count.min(out.len() - found);
                out[found..found + fits].fill(value);
                found += fits;
                raw = rest;
            }
        }
    }
    found
}

fn lzw(raw: &[u8], out: &mut [u8]) -> Result<usize, ImageError> {
    // Before TIFF 5.0 bits were written in the other order: the first code, 256, begins with a zero byte.
    if let [0, second, ..] = raw
        && second & 1 == 1
    {
        return Err(unsupported("of old-style LZW"));
    }
    let mut decoder = weezl::decode::Decoder::with_tiff_size_switch(weezl::BitOrder::Msb, 8);
    let (mut raw, mut found) = (raw, 0);
    while found < out.len() {
        let result = decoder.decode_bytes(raw, &mut out[found..]);
        raw = &raw[result.consumed_in..];
        found += result.consumed_out;
        if !matches!(result.status, Ok(weezl::LzwStatus::Ok)) || (result.consumed_in == 0 && result.consumed_out == 0) {
            break;
        }
    }
    Ok(found)
}

/// Data units of luma and two chroma into one of each for every pixel.
fn spread(packed: &[u8], (rows, columns): (usize, usize), (down, across): (usize, usize), out: &mut [u8]) {
    let unit = down * across + 2;
    let row_units = columns.div_ceil(across);
    for (y, row) in out.chunks_exact_mut(columns * 3).take(rows).enumerate() {
        for (x, pixel) in row.chunks_exact_mut(3).enumerate() {
            let unit = &packed[(y / down * row_units + x / across) * unit..][..unit];
            pixel.copy_from_slice(&[unit[y % down * across + x % across], unit[down * across], unit[down * across + 1]]);
        }
    }
}

/// Undoes differences between neighbours of 1, 2, 4 or 8 bytes a sample.
fn horizontal(row: &mut [u8], samples: usize, size: usize, big_endian: bool) {
    let step = samples * size;
    if size == 1 {
        for i in step..row.len() {
            row[i] = row[i].wrapping_add(row[i - step]);
        }
        return;
    }
    for at in (step..row.len() / size * size).step_by(size) {
        let mut carry = 0;
        for i in 0..size {
            let byte = if big_endian { size - 1 - i } else { i };
            let sum = u16::from(row[at + byte]) + u16::from(row[at + byte - step]) + carry;
            row[at + byte] = sum as u8;
            carry = sum >> 8;
        }
    }
}

/// Undoes differences between bytes of floating-point samples that were sorted by their significance (Adobe's technical note 3).
fn floating(row: &mut [u8], samples: usize, size: usize, big_endian: bool) {
    for i in samples..row.len() {
        row[i] = row[i].wrapping_add(row[i - samples]);
    }
    let sorted = row.to_vec();
    let n = row.len() / size;
    for (i, value) in row.chunks_exact_mut(size).enumerate() {
        for byte in 0..size {
            value[if big_endian { byte } else { size - 1 - byte }] = sorted[byte * n + i];
        }
    }
}

/// The unsigned sample at an index of a row; bits that are no whole bytes have the highest first in either byte order.
pub(super) fn unsigned(row: &[u8], index: usize, bits: usize, big_endian: bool) -> u64 {
    match bits {
        8 => u64::from(row[index]),
        16 => {
            let two = [row[2 * index], row[2 * index + 1]];
            u64::from(if big_endian { u16::from_be_bytes(two) } else { u16::from_le_bytes(two) })
        }
        24 | 32 | 64 => {
            let size = bits / 8;
            let bytes = &row[index * size..(index + 1) * size];
            let join = |value: u64, &b: &u8| value << 8 | u64::from(b);
            if big_endian { bytes.iter().fold(0, join) } else { bytes.iter().rev().fold(0, join) }
        }
        _ => {
            let start = index * bits;
            (start..start + bits).fold(0, |value, bit| value << 1 | u64::from(row[bit / 8] >> (7 - bit % 8) & 1))
        }
    }
}

/// The sample at an index of a row as a number.
pub(super) fn number(row: &[u8], index: usize, bits: usize, format: SampleFormat, big_endian: bool) -> f64 {
    let raw = unsigned(row, index, bits, big_endian);
    match (format, bits) {
        (SampleFormat::Unsigned, _) => raw as f64,
        // The sign's bit brought to the top and back.
        (SampleFormat::Signed, _) => ((raw << (64 - bits)) as i64 >> (64 - bits)) as f64,
        (SampleFormat::Float, 16) => f64::from(half::f16::from_bits(raw as u16)),
        (SampleFormat::Float, 32) => f64::from(f32::from_bits(raw as u32)),
        (SampleFormat::Float, _) => f64::from_bits(raw),
    }
}
