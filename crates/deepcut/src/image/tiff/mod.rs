//! TIFF 6.0 and BigTIFF: the first image of the file that is no thumbnail.
//!
//! Every tag that changes how pixels are read is honoured, or the image is refused with the tag's name:
//!
//! | what | read | refused |
//! |---|---|---|
//! | layout | strips, tiles, chunky, planar, both byte orders, both fill orders | depth beyond one, tag `Decode` |
//! | compression | none, LZW, Deflate (both codes), PackBits, CCITT modified Huffman, T.4, T.6, JPEG | old-style JPEG and LZW, JPEG 2000, LERC, Zstandard, WebP, LZMA, LogLuv, … |
//! | predictor | none, horizontal, floating point | others |
//! | samples | unsigned 1 to 16, 24, 32 and 64 bits, signed, floating point of 16, 32 and 64 | complex, samples of several widths |
//! | colours | white or black is zero, RGB, palette, CMYK, YCbCr with subsampling, CIELab, ICCLab | other inks, ITULab, LogL, LogLuv, masks; filter arrays are camera RAW |
//! | further channels | associated and unassociated alpha | – (others are left out with a note) |
//!
//! Values beyond 16 bits, signed or floating point have no white of their own: they are scaled by the range that the tags or the values
//! themselves show, with a note. YCbCr's chroma is repeated, not interpolated, as libtiff does, whatever its positioning.

mod colors;
mod directory;
mod fax;
mod jpeg;
mod strips;
#[cfg(test)]
mod tests;

use super::foreign::RAW;
use super::picture::{Channels, Header, Picture, Space, room};
use super::{ImageError, depth, exif};
use directory::{Directory, File, tag};
use fax::Fax;
use strips::{Compression, Strips};

fn broken(what: &str) -> ImageError {
    ImageError::Broken(what.to_owned())
}

fn unsupported(what: &str) -> ImageError {
    ImageError::Unsupported(format!(
        "a TIFF {what}, which is not read; convert it first: tiffcp -c lzw in.tif out.tif, or magick in.tif out.png"
    ))
}

/// What a sample's bits mean.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum SampleFormat {
    Unsigned,
    Signed,
    Float,
}

/// What the samples of a pixel mean (tag 262).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Photometric {
    WhiteIsZero,
    BlackIsZero,
    Rgb,
    Palette,
    Cmyk,
    YCbCr,
    CieLab,
    IccLab,
}

/// An image of the file and all that its tags say.
struct Page<'a> {
    directory: Directory<'a>,
    height: usize,
    width: usize,
    samples: usize,
    bits: usize,
    format: SampleFormat,
    photometric: Photometric,
    /// Which sample is alpha, and whether colours are multiplied by it.
    alpha: Option<(usize, bool)>,
    strips: Strips,
    notes: Vec<String>,
}

/// The image, and notes about the others.
fn choose<'a>(file: &File<'a>) -> Result<(Directory<'a>, Vec<String>), ImageError> {
    let (all, is_lost) = file.directories()?;
    let is_raw = |d: &Directory<'_>| {
        d.has(tag::DNG_VERSION)
            || matches!(d.number(tag::PHOTOMETRIC), Some(32_803 | 34_892))
            || matches!(d.number(tag::COMPRESSION), Some(32_767 | 32_769 | 32_770 | 34_713 | 65_000 | 65_535))
    };
    if all.iter().any(|(directory, _)| is_raw(directory)) || file.bytes.get(8..12) == Some(b"IIII") {
        return Err(ImageError::Foreign(RAW));
    }
    // Bit 0 marks a smaller copy, bit 2 a mask.
    let is_full = |d: &Directory<'_>| {
        d.number(tag::NEW_SUBFILE_TYPE).unwrap_or(0) & 5 == 0
            && d.number(tag::SUBFILE_TYPE) != Some(2)
            && d.number(tag::WIDTH).is_some()
    };
    let pages = all.iter().filter(|(directory, in_chain)| *in_chain && is_full(directory)).count();
    let mut notes = Vec::new();
    if pages > 1 {
        notes.push(format!("it holds {pages} images: the first was taken"));
    }
    let mut all: Vec<_> = all.into_iter().filter(|(directory, in_chain)| *in_chain || is_full(directory)).collect();
    let chosen = all
        .iter()
        .position(|(directory, in_chain)| *in_chain && is_full(directory))
        .or_else(|| all.iter().position(|(directory, _)| is_full(directory)));
    if chosen.is_none() && is_lost {
        return Err(broken("it was cut short, and only a smaller copy of the image is left"));
    }
    if chosen.is_none() {
        notes.push("every image in it is marked as a smaller copy: the first was taken".to_owned());
    }
    Ok((all.swap_remove(chosen.unwrap_or(0)).0, notes))
}

impl<'a> Page<'a> {
    fn read(bytes: &'a [u8]) -> Result<Self, ImageError> {
        let (directory, mut notes) = choose(&File::new(bytes)?)?;
        let number = |tag, default| directory.number_or(tag, default);
        let side = |tag| number(tag, 0).and_then(|n| usize::try_from(n).map_err(|_| broken("its header has an absurd size")));
        let (height, width) = (side(tag::HEIGHT)?, side(tag::WIDTH)?);
        for (tag, name) in
            [(tag::IMAGE_DEPTH, "of more than two dimensions"), (tag::TILE_DEPTH, "with tiles of more than two dimensions")]
        {
            if number(tag, 1)? != 1 {
                return Err(unsupported(name));
            }
        }
        if directory.has(tag::DECODE) {
            return Err(unsupported("with the tag Decode (433)"));
        }
        if number(tag::INDEXED, 0)? != 0 {
            return Err(unsupported("with the tag Indexed (346)"));
        }

        let samples = number(tag::SAMPLES, 1)? as usize;
        if !(1..=1024).contains(&samples) {
            return Err(broken("its number of samples is wrong"));
        }
        let same = |tag, default: u64, name: &str| match directory.numbers(tag).as_deref() {
            None if directory.has(tag) => Err(broken(&format!("its tag {name} cannot be read"))),
            None | Some([]) => Ok(default),
            Some([first, rest @ ..]) if rest.iter().take(samples - 1).all(|n| n == first) => Ok(*first),
            Some(all) => Err(unsupported(&format!("whose samples differ in {name} ({all:?})"))),
        };
        let bits = same(tag::BITS, 1, "BitsPerSample")? as usize;
        let format = match same(tag::SAMPLE_FORMAT, 1, "SampleFormat")? {
            // Of unknown meaning: unsigned, as everyone takes it.
            1 | 4 => SampleFormat::Unsigned,
            2 => SampleFormat::Signed,
            3 => SampleFormat::Float,
            other => return Err(unsupported(&format!("of complex samples (SampleFormat {other})"))),
        };
        let known = match format {
            SampleFormat::Unsigned => matches!(bits, 1..=16 | 24 | 32 | 64),
            SampleFormat::Signed => matches!(bits, 8 | 16 | 32 | 64),
            SampleFormat::Float => matches!(bits, 16 | 32 | 64),
        };
        if !known {
            return Err(unsupported(&format!("of {bits} bits a sample ({format:?})")));
        }

        let photometric = match directory.number(tag::PHOTOMETRIC) {
            Some(0) => Photometric::WhiteIsZero,
            Some(1) => Photometric::BlackIsZero,
            Some(2) => Photometric::Rgb,
            Some(3) => Photometric::Palette,
            Some(4) => return Err(unsupported("that is a mask of transparency (PhotometricInterpretation 4)")),
            Some(5) => Photometric::Cmyk,
            Some(6) => Photometric::YCbCr,
            Some(8) => Photometric::CieLab,
            Some(9) => Photometric::IccLab,
            Some(10) => return Err(unsupported("of ITULab colors")),
            Some(32_844) => return Err(unsupported("of high dynamic range (LogL)")),
            Some(32_845) => return Err(unsupported("of high dynamic range (LogLuv)")),
            Some(other) => return Err(unsupported(&format!("with PhotometricInterpretation {other}"))),
            // Required, but left out by some writers of fax pages and of plain arrays.
            None if number(tag::COMPRESSION, 1)? != 1 && bits == 1 => Photometric::WhiteIsZero,
            None if samples >= 3 => {
                notes.push("it does not say what its samples mean: taken as RGB".to_owned());
                Photometric::Rgb
            }
            None => {
                notes.push("it does not say what its samples mean: taken as black is zero".to_owned());
                Photometric::BlackIsZero
            }
        };
        let colors = photometric.samples();
        if samples < colors {
            return Err(broken("it has too few samples for its colors"));
        }
        if photometric == Photometric::Cmyk && (number(tag::INK_SET, 1)? != 1) {
            return Err(unsupported("of inks other than CMYK (InkSet)"));
        }
        if photometric == Photometric::Cmyk
            && directory.numbers(tag::DOT_RANGE).is_some_and(|range| {
                range.chunks(2).any(|two| two[0] != 0 || two.get(1).is_some_and(|&n| n + 1 != 1 << bits.min(32)))
            })
        {
            return Err(unsupported("whose inks have their own range (DotRange)"));
        }
        let plain = bits == 8 && format == SampleFormat::Unsigned;
        let fits = match photometric {
            Photometric::Palette => bits <= 16 && format == SampleFormat::Unsigned,
            Photometric::YCbCr => plain,
            Photometric::CieLab | Photometric::IccLab => matches!(bits, 8 | 16) && format != SampleFormat::Float,
            _ => true,
        };
        if !fits {
            return Err(unsupported(&format!("of {photometric:?} with {bits} bits a sample ({format:?})")));
        }
        let extra = directory.numbers(tag::EXTRA_SAMPLES);
        if extra.is_none() && directory.has(tag::EXTRA_SAMPLES) {
            return Err(broken("its tag ExtraSamples cannot be read"));
        }
        let extra = extra.unwrap_or_default();
        let mut alpha = (colors..samples).zip(&extra).find(|(_, kind)| matches!(kind, 1 | 2)).map(|(at, &kind)| (at, kind == 1));
        if photometric == Photometric::Rgb && samples == 4 && extra.is_empty() {
            notes.push("it does not say what its fourth channel is: taken as alpha".to_owned());
            alpha = Some((3, false));
        }
        let left_out = samples - colors - usize::from(alpha.is_some());
        if left_out > 0 {
            notes.push(format!("{left_out} of its {samples} channels have no colors and were left out"));
        }
        let strips = Strips::read(&directory, (height, width), (samples, bits), photometric == Photometric::YCbCr)?;
        if strips.compression == Compression::Jpeg && !plain {
            return Err(unsupported(&format!("of JPEG with {bits} bits a sample")));
        }
        let float = strips.predictor == 3;
        if float != (format == SampleFormat::Float) && strips.predictor != 1 && (float || !matches!(bits, 16 | 32 | 64)) {
            return Err(unsupported(&format!("with Predictor {} for {format:?} samples", strips.predictor)));
        }
        if strips.predictor == 2 && !matches!(bits, 8 | 16 | 32 | 64) {
            return Err(unsupported(&format!("with Predictor 2 for {bits} bits a sample")));
        }
        Ok(Self { directory, height, width, samples, bits, format, photometric, alpha, strips, notes })
    }

    fn channels(&self) -> Channels {
        match self.photometric {
            Photometric::WhiteIsZero | Photometric::BlackIsZero => Channels::Grey,
            Photometric::Cmyk => Channels::Cmyk,
            _ => Channels::Rgb,
        }
    }
}

impl Photometric {
    /// Samples that are colours.
    fn samples(self) -> usize {
        match self {
            Self::WhiteIsZero | Self::BlackIsZero | Self::Palette => 1,
            Self::Cmyk => 4,
            _ => 3,
        }
    }
}

pub(super) fn header(bytes: &[u8]) -> Result<Header, ImageError> {
    let page = Page::read(bytes)?;
    let bits = (page.bits * page.samples) as u64;
    // Bytes that a byte of the file can become, with slack for a file that was cut short.
    let expansion: u64 = match page.strips.compression {
        Compression::None => 64,
        Compression::PackBits => 128,
        Compression::Deflate => 1032,
        Compression::Lzw => 4096,
        Compression::Jpeg => 2048 * bits / 8,
        // A line that equals the one above is a single bit.
        Compression::Fax(_) => 1 << 20,
    };
    let pixels_per_byte = (expansion * 8).div_ceil(bits).max(1);
    let (height, width) = (page.height, page.width);
    let bytes_per_pixel = 16 + page.strips.bytes(bits).div_ceil((height as u64).saturating_mul(width as u64).max(1));
    Ok(Header { height, width, bytes_per_pixel, pixels_per_byte })
}

/// How samples become eight bits.
enum Scale {
    /// By table: index → value.
    Table(Vec<u8>),
    /// From low to high.
    Range(f64, f64),
}

/// The values seen while converting.
#[derive(Debug, Clone, Copy)]
struct Seen {
    low: f64,
    high: f64,
    most: u16,
}

pub(super) fn decode(bytes: &[u8]) -> Result<Picture, ImageError> {
    let mut page = Page::read(bytes)?;
    let mut notes = std::mem::take(&mut page.notes);
    let (scale, is_stated) = page.stated_scale()?;
    let (mut picture, seen) = page.convert(bytes, &scale)?;
    if !is_stated && let Some((better, note)) = page.better_scale(seen) {
        picture = page.convert(bytes, &better)?.0;
        notes.push(note);
    }
    colors::finish(&page, &mut picture)?;
    picture.notes.splice(0..0, notes);

    let directory = &page.directory;
    let xmp = directory.bytes(tag::XMP);
    picture.orientation = match directory.number(tag::ORIENTATION) {
        Some(value) => u8::try_from(value).ok().filter(|value| (1..=8).contains(value)).unwrap_or(1),
        None => exif::first_of(None, xmp),
    };
    let is_lab = matches!(page.photometric, Photometric::CieLab | Photometric::IccLab);
    if let (Some(icc), false) = (directory.bytes(tag::ICC), is_lab) {
        picture.space = Space::icc(icc);
    } else if let (Channels::Rgb, Some(primaries), false) = (picture.channels, directory.floats(tag::PRIMARIES), is_lab) {
        let white = directory.floats(tag::WHITE_POINT).unwrap_or_else(|| vec![0.3127, 0.3290]);
        if let ([x, y], [rx, ry, gx, gy, bx, by]) = (&white[..], &primaries[..]) {
            let all = [[*x, *y], [*rx, *ry], [*gx, *gy], [*bx, *by]];
            // TIFF prescribes an exponent of 2.2 where no curve is given, which is how sRGB is written.
            picture.space = Space::Gamma { exponent: 2.2, chromaticities: Some(all) };
        }
    }
    if directory.has(tag::ICC) && !is_lab && !matches!(picture.space, Space::Icc(_)) {
        picture.notes.push("its color profile cannot be read and was ignored".to_owned());
    }
    if directory.has(tag::TRANSFER_FUNCTION) && matches!(picture.space, Space::Srgb | Space::Gamma { .. }) {
        picture.notes.push("its tag TransferFunction was ignored".to_owned());
    }
    Ok(picture)
}

impl Page<'_> {
    /// The scale that bits and tags state, and whether it is certain.
    fn stated_scale(&self) -> Result<(Scale, bool), ImageError> {
        let first = |tag| self.directory.floats(tag).and_then(|all| all.first().copied()).filter(|v: &f64| v.is_finite());
        let table = |f: &dyn Fn(u64) -> u64| Scale::Table((0..1_u64 << self.bits).map(|v| f(v).min(255) as u8).collect());
        let is_unsigned = self.format == SampleFormat::Unsigned;
        let full = if self.bits < 64 { (1_u64 << self.bits) - 1 } else { u64::MAX };
        if matches!(self.photometric, Photometric::CieLab | Photometric::IccLab) {
            return Ok((if self.bits == 8 { table(&|v| v) } else { table(&|v| v >> 8) }, true));
        }
        if self.photometric == Photometric::Palette || self.photometric == Photometric::YCbCr {
            return Ok((table(&|v| v), true));
        }
        if is_unsigned && self.bits <= 16 {
            let low = first(tag::S_MIN_VALUE).or_else(|| first(tag::MIN_VALUE)).unwrap_or(0.0).max(0.0) as u64;
            // A range of fewer than the bits is stated on purpose only if it is another power of two.
            let stated = first(tag::S_MAX_VALUE).or_else(|| first(tag::MAX_VALUE)).map(|v| v.max(0.0) as u64);
            let stated =
                stated.filter(|&high| self.bits > 8 && high < full && (high + 1).is_power_of_two() && high >= 255 && low == 0);
            let high = stated.unwrap_or(full);
            return Ok((table(&|v| (v * 255 + high / 2) / high), self.bits != 16 || stated.is_some()));
        }
        let stated = first(tag::S_MIN_VALUE).zip(first(tag::S_MAX_VALUE)).filter(|(low, high)| low < high);
        Ok(match stated {
            Some((low, high)) => (Scale::Range(low, high), true),
            None => (Scale::Range(0.0, 1.0), false),
        })
    }

    /// The scale that the values show, with a note that says so.
    fn better_scale(&self, seen: Seen) -> Option<(Scale, String)> {
        let Seen { low, high, most } = seen;
        if self.format == SampleFormat::Unsigned && self.bits == 16 {
            let (full, note) = depth::unused_bits(most)?;
            return Some((Scale::Table((0..=u16::MAX).map(|v| depth::scaled(v, full)).collect()), note));
        }
        let kind = if self.format == SampleFormat::Float { "floating-point" } else { "whole" };
        let full = 2_f64.powi(self.bits as i32) - 1.0;
        if self.format == SampleFormat::Float && low >= 0.0 && high <= 1.0 {
            return None;
        }
        let (from, to) = match () {
            () if low > high => return None,
            // Bytes and 16-bit values as floating point.
            () if self.format == SampleFormat::Float && low >= 0.0 && (64.0..=255.0).contains(&high) => (0.0, 255.0),
            () if self.format == SampleFormat::Float && low >= 0.0 && (16_384.0..=65_535.0).contains(&high) => (0.0, 65_535.0),
            // Values that reach the upper half of the bits use all of them.
            () if self.format == SampleFormat::Unsigned && high > full / 2.0 => (0.0, full),
            () if self.format == SampleFormat::Unsigned => (0.0, high),
            () => (low, high),
        };
        let note = format!("its {kind} values go from {low} to {high}: {from} was taken as black and {to} as white");
        Some((Scale::Range(from, to), note))
    }

    /// The pixels in eight bits, channels as the samples are, and the range of values that was seen.
    fn convert(&self, bytes: &[u8], scale: &Scale) -> Result<(Picture, Seen), ImageError> {
        let Self { height, width, bits, format, .. } = *self;
        let n = self.photometric.samples();
        // Palette indices need their own width until they are colours.
        let palette = if self.photometric == Photometric::Palette { Some(colors::palette(self)?) } else { None };
        let out_n = if palette.is_some() { 3 } else { n };
        let mut data = room(height * width * out_n)?;
        data.resize(height * width * out_n, 0);
        let mut alpha = Vec::new();
        if self.alpha.is_some() {
            alpha = room(height * width)?;
            alpha.resize(height * width, 0);
        }
        let mut seen = Seen { low: f64::INFINITY, high: f64::NEG_INFINITY, most: 0 };
        let (mut beyond, mut not_numbers) = (false, 0_usize);
        let alpha_at = self.alpha.map(|(at, _)| at);
        let big_endian = self.directory.file.big_endian;
        let full = (1_u64 << bits.min(63)) - 1;
        let opaque = match (format, scale) {
            (SampleFormat::Float, Scale::Range(0.0, high)) if matches!(*high, 255.0 | 65_535.0) => *high,
            (SampleFormat::Float, _) => 1.0,
            (SampleFormat::Signed, _) => 2_f64.powi(bits as i32 - 1) - 1.0,
            (SampleFormat::Unsigned, _) => 2_f64.powi(bits as i32) - 1.0,
        };
        // Bytes that are what they are.
        let is_plain = bits == 8
            && alpha_at.is_none()
            && palette.is_none()
            && matches!(scale, Scale::Table(table) if table.iter().enumerate().all(|(i, &v)| i == usize::from(v)));
        let damage = strips::each_row(self, bytes, &mut |row: strips::Row<'_>| {
            let start = row.y * width + row.x;
            let per_pixel = if row.plane.is_some() { 1 } else { self.samples };
            if is_plain && row.plane.is_none() && per_pixel == n {
                data[start * n..][..row.pixels * n].copy_from_slice(&row.data[..row.pixels * n]);
                return;
            }
            for s in 0..per_pixel {
                let sample = row.plane.unwrap_or(s);
                let is_alpha = Some(sample) == alpha_at;
                if sample >= n && !is_alpha {
                    continue;
                }
                for x in 0..row.pixels {
                    let at = x * per_pixel + s;
                    let value = match scale {
                        Scale::Table(table) => {
                            let value = strips::unsigned(row.data, at, bits, big_endian);
                            if is_alpha {
                                ((value * 255 + full / 2) / full) as u8
                            } else if let Some(palette) = &palette {
                                let color = palette.get(value as usize);
                                beyond |= color.is_none();
                                data[(start + x) * 3..][..3].copy_from_slice(color.unwrap_or(&[0; 3]));
                                continue;
                            } else {
                                seen.most = seen.most.max(value as u16);
                                table[value as usize]
                            }
                        }
                        Scale::Range(low, high) => {
                            let value = strips::number(row.data, at, bits, format, big_endian);
                            if is_alpha {
                                (value / opaque * 255.0).round() as u8
                            } else {
                                if value.is_finite() {
                                    seen.low = seen.low.min(value);
                                    seen.high = seen.high.max(value);
                                }
                                not_numbers += usize::from(value.is_nan());
                                ((value - low) / (high - low) * 255.0).round() as u8
                            }
                        }
                    };
                    if is_alpha { alpha[start + x] = value } else { data[(start + x) * n + sample] = value }
                }
            }
        })?;
        let channels = self.channels();
        let mut picture = Picture::new(height, width, channels, data);
        // An alpha channel that is zero everywhere was never filled in.
        picture.alpha = self.alpha.map(|_| alpha).filter(|alpha| alpha.iter().any(|&a| a > 0));
        picture.damage = damage;
        if beyond {
            picture.damaged("some pixels have colors that its palette does not have");
        }
        if not_numbers > 0 {
            picture.notes.push(format!("{not_numbers} of its values are not numbers: taken as black"));
        }
        Ok((picture, seen))
    }
}
