//! PNG (W3C, third edition): every colour type and depth, interlaced or not, and the default image of an APNG.
//!
//! Chunks are walked here, so that sums are checked, metadata inflates within bounds and no chunk that is not needed reaches the
//! decoder. A wrong sum or a missing end of the pixels is damage; a missing end of the file is not, if every pixel is there.

use super::picture::{Channels, Header, Picture, Space, eight_bits, room};
use super::{ImageError, depth, exif, profile};
use flate2::read::ZlibDecoder;
use std::io::{BufRead, Read, Seek, SeekFrom};

/// Most bytes of metadata that are inflated.
const MAX_TEXT: u64 = 1 << 20;
/// Deflate makes at most so many bytes of one.
const DEFLATE: u64 = 1032;

struct Chunk<'a> {
    kind: [u8; 4],
    data: &'a [u8],
    /// All of it, with its length and sum.
    whole: &'a [u8],
    /// Whether it is all there.
    complete: bool,
}

impl Chunk<'_> {
    fn is_intact(&self) -> bool {
        self.complete && {
            let (body, sum) = self.whole[4..].split_at(self.whole.len() - 8);
            crc32fast::hash(body).to_be_bytes() == sum
        }
    }
}

fn chunks(bytes: &[u8]) -> impl Iterator<Item = Chunk<'_>> {
    let mut rest = bytes.get(8..).unwrap_or_default();
    std::iter::from_fn(move || {
        let (length, kind) = (rest.get(..4)?, rest.get(4..8)?);
        let (length, kind) = (u32::from_be_bytes(length.try_into().ok()?) as usize, kind.try_into().ok()?);
        let end = length.saturating_add(12);
        let complete = end <= rest.len();
        let whole = &rest[..end.min(rest.len())];
        let data = &whole[8..(length.saturating_add(8)).min(whole.len())];
        rest = &rest[whole.len()..];
        Some(Chunk { kind, data, whole, complete })
    })
}

fn broken(what: &str) -> ImageError {
    ImageError::Broken(what.to_owned())
}

/// Size, bits of a sample, colour type, and whether it is interlaced.
struct Ihdr {
    height: usize,
    width: usize,
    depth: u8,
    color: u8,
    interlaced: bool,
}

fn ihdr(bytes: &[u8]) -> Result<Ihdr, ImageError> {
    let first = chunks(bytes).next().ok_or_else(|| broken("it ends before its header"))?;
    if &first.kind == b"CgBI" {
        let text = "an iPhone's own kind of PNG; convert it first: pngcrush -revert-iphone-optimizations in.png out.png";
        return Err(ImageError::Unsupported(text.to_owned()));
    }
    if &first.kind != b"IHDR" || !first.is_intact() {
        return Err(broken("its header is wrong"));
    }
    let &[w0, w1, w2, w3, h0, h1, h2, h3, depth, color, compression, filter, interlace] = first.data else {
        return Err(broken("its header is wrong"));
    };
    let known = match color {
        0 => [1, 2, 4, 8, 16].contains(&depth),
        3 => [1, 2, 4, 8].contains(&depth),
        2 | 4 | 6 => [8, 16].contains(&depth),
        _ => false,
    };
    if !known || compression != 0 || filter != 0 || interlace > 1 {
        return Err(broken("its header has values that PNG does not know"));
    }
    let (height, width) = (u32::from_be_bytes([h0, h1, h2, h3]) as usize, u32::from_be_bytes([w0, w1, w2, w3]) as usize);
    Ok(Ihdr { height, width, depth, color, interlaced: interlace == 1 })
}

pub(super) fn header(bytes: &[u8]) -> Result<Header, ImageError> {
    let Ihdr { height, width, depth, color, .. } = ihdr(bytes)?;
    let samples = [1, 0, 3, 1, 2, 0, 4][usize::from(color)];
    Ok(Header { height, width, bytes_per_pixel: 14, pixels_per_byte: (DEFLATE * 8).div_ceil(u64::from(depth) * samples) })
}

pub(super) fn decode(bytes: &[u8]) -> Result<Picture, ImageError> {
    let ihdr = ihdr(bytes)?;
    let (picture, most) = pixels(bytes, &ihdr, u16::MAX)?;
    let mut picture = match depth::unused_bits(most).filter(|_| ihdr.depth == 16) {
        Some((full, note)) => {
            let (mut picture, _) = pixels(bytes, &ihdr, full)?;
            picture.notes.push(note);
            picture
        }
        None => picture,
    };
    metadata(bytes, &mut picture)?;
    Ok(picture)
}

/// As [`decode`], of numbers that stand for themselves whatever a profile says; 16 bits of which none is above 255 are bytes.
pub(super) fn values(bytes: &[u8]) -> Result<Picture, ImageError> {
    let ihdr = ihdr(bytes)?;
    let (picture, most) = pixels(bytes, &ihdr, u16::MAX)?;
    let mut picture = if ihdr.depth == 16 && most <= 255 { pixels(bytes, &ihdr, 255)?.0 } else { picture };
    metadata(bytes, &mut picture)?;
    picture.space = Space::Srgb;
    Ok(picture)
}

/// The pixels, where `full` is the 16-bit value that is white, and the greatest value of 16 bits.
fn pixels(bytes: &[u8], ihdr: &Ihdr, full: u16) -> Result<(Picture, u16), ImageError> {
    let (mut damage, mut is_cut) = (None, false);
    let mut pieces = vec![&bytes[..8]];
    let mut ended = false;
    for chunk in chunks(bytes).take_while(|chunk| &chunk.kind != b"IEND") {
        let is_pixels = &chunk.kind == b"IDAT";
        if !(is_pixels || &chunk.kind == b"IHDR" || is_wanted(&chunk, ihdr, &pieces)?) {
            // Later chunks of pixels would belong to nothing.
            ended |= pieces.len() > 2 && pieces.last().is_some_and(|last| last[4..8] == *b"IDAT");
            continue;
        }
        if is_pixels && ended {
            damage.get_or_insert("its pixels lie in several places");
            continue;
        }
        is_cut |= !chunk.complete;
        if chunk.complete && !chunk.is_intact() {
            damage.get_or_insert(if is_pixels {
                "a check sum of its pixels is wrong"
            } else {
                "a check sum of its palette is wrong"
            });
        }
        pieces.push(chunk.whole);
    }
    const END: &[u8] = b"\0\0\0\0IEND\xae\x42\x60\x82";
    // The decoder goes by the lengths: the pixels that are there end where the file does.
    let cut = pieces.last().filter(|_| is_cut).map(|last| {
        let data = &last[8..];
        [&(data.len() as u32).to_be_bytes(), &last[4..8], data, &[0; 4]].concat()
    });
    if let (Some(cut), Some(last)) = (&cut, pieces.last_mut()) {
        *last = cut;
    }
    pieces.push(END);
    let palette = Palette::new(ihdr, &pieces);

    let &Ihdr { height, width, interlaced, .. } = ihdr;
    let mut options = png::DecodeOptions::default();
    options.set_ignore_checksums(true);
    let mut decoder = png::Decoder::new_with_options(Pieces { pieces, at: 0 }, options);
    decoder.set_limits(png::Limits { bytes: (width + 64) * 8 * 8 + (1 << 20) });
    // The decoder makes black of an index that the palette does not have: indices are looked up here.
    let is_indexed = ihdr.color == 3;
    decoder.set_transformations(if is_indexed { png::Transformations::IDENTITY } else { png::Transformations::EXPAND });
    let mut reader = decoder.read_info().map_err(|e| ImageError::Broken(e.to_string()))?;
    let (color, bits) = reader.output_color_type();
    let (channels, has_alpha) = match color {
        png::ColorType::Grayscale => (Channels::Grey, false),
        png::ColorType::GrayscaleAlpha => (Channels::Grey, true),
        png::ColorType::Rgb => (Channels::Rgb, false),
        png::ColorType::Rgba => (Channels::Rgb, true),
        png::ColorType::Indexed if palette.colors.is_empty() => return Err(broken("it has no palette")),
        png::ColorType::Indexed => (Channels::Rgb, !palette.alpha.is_empty()),
    };
    let n = channels.count();
    let sixteen = bits == png::BitDepth::Sixteen;
    let palette = is_indexed.then_some(palette);
    let mut target = Target { data: room(height * width * n)?, alpha: None, n, palette, sixteen, full, most: 0 };
    target.data.resize(height * width * n, 0);
    if has_alpha {
        let mut alpha = room(height * width)?;
        alpha.resize(height * width, 0);
        target.alpha = Some(alpha);
    }

    let mut row = vec![0; reader.output_line_size(reader.info().width).unwrap_or(0)];
    let mut done = 0;
    let result = if interlaced {
        passes(&mut reader, &mut row, &mut target, (height, width), &mut done)
    } else if target.sixteen || has_alpha || is_indexed {
        (0..height).try_for_each(|y| {
            reader.read_row(&mut row)?;
            target.put(&row, width, y * width, 1);
            done += 1;
            Ok(())
        })
    } else {
        target.data.chunks_exact_mut(width * n).try_for_each(|row| {
            reader.read_row(row)?;
            done += 1;
            Ok(())
        })
    };
    let rows = if interlaced { 0 } else { done };
    if let Err::<(), png::DecodingError>(error) = result {
        if done == 0 {
            return Err(ImageError::Broken(format!("none of its pixels can be decoded ({error})")));
        }
        if interlaced {
            target.fill(done - 1, (height, width));
        }
    }
    let mut picture = Picture { alpha: target.alpha, ..Picture::new(height, width, channels, target.data) };
    let is_whole = if interlaced { done == 8 } else { rows == height };
    match damage {
        Some(damage) => picture.damaged(damage),
        None if is_whole => {}
        None if is_cut => picture.damaged("it was cut short"),
        None => picture.damaged("it ends before all its pixels"),
    }
    if target.palette.is_some_and(|palette| palette.beyond) {
        picture.damaged("some pixels have colors that its palette does not have");
    }
    Ok((picture, target.most))
}

/// Whether a chunk is the palette or the transparency that belongs to the pixels after it.
fn is_wanted(chunk: &Chunk<'_>, ihdr: &Ihdr, pieces: &[&[u8]]) -> Result<bool, ImageError> {
    let has = |kind: &[u8; 4]| pieces.iter().any(|piece| piece[4..8] == *kind);
    let n = chunk.data.len();
    Ok(match &chunk.kind {
        // Other colour types have one for displays of few colours.
        b"PLTE" if ihdr.color == 3 && !has(b"PLTE") => {
            if n == 0 || !n.is_multiple_of(3) || n > 768 {
                return Err(broken("its palette has a wrong length"));
            }
            true
        }
        b"tRNS" if !has(b"tRNS") && !has(b"IDAT") => match ihdr.color {
            0 => n == 2,
            2 => n == 6,
            3 => has(b"PLTE") && (1..=256).contains(&n),
            _ => false,
        },
        _ => false,
    })
}

/// What indices of `depth` bits stand for.
struct Palette {
    depth: usize,
    colors: Vec<[u8; 3]>,
    /// Of the first colours; the others are opaque.
    alpha: Vec<u8>,
    /// Whether an index was none of its.
    beyond: bool,
}

impl Palette {
    /// That of the chunks; no colours if there is none.
    fn new(ihdr: &Ihdr, pieces: &[&[u8]]) -> Self {
        let chunk = |kind: &[u8; 4]| {
            let found = pieces.iter().find(|piece| piece.get(4..8) == Some(kind));
            found.and_then(|piece| piece.get(8..piece.len().saturating_sub(4))).unwrap_or_default()
        };
        let colors = chunk(b"PLTE").as_chunks().0.to_vec();
        Self { depth: usize::from(ihdr.depth), colors, alpha: chunk(b"tRNS").to_vec(), beyond: false }
    }
}

/// Where the pixels go: colours and alpha apart, in 8 bits.
struct Target {
    data: Vec<u8>,
    alpha: Option<Vec<u8>>,
    n: usize,
    palette: Option<Palette>,
    sixteen: bool,
    full: u16,
    most: u16,
}

impl Target {
    /// A row of so many pixels, every `step` from pixel `at` on.
    fn put(&mut self, row: &[u8], count: usize, at: usize, step: usize) {
        if let Some(palette) = &mut self.palette {
            let depth = palette.depth;
            for i in 0..count {
                let index = usize::from(row[i * depth / 8] >> (8 - depth - i * depth % 8)) & ((1 << depth) - 1);
                let to = at + i * step;
                palette.beyond |= index >= palette.colors.len();
                self.data[3 * to..3 * to + 3].copy_from_slice(palette.colors.get(index).unwrap_or(&[0; 3]));
                if let Some(alpha) = &mut self.alpha {
                    alpha[to] = palette.alpha.get(index).copied().unwrap_or(255);
                }
            }
            return;
        }
        let samples = self.n + usize::from(self.alpha.is_some());
        // What nearly all images with alpha are.
        if let (3, false, 1, Some(alpha)) = (self.n, self.sixteen, step, &mut self.alpha) {
            let colors = self.data[at * 3..].chunks_exact_mut(3).zip(&mut alpha[at..]);
            for (pixel, (color, alpha)) in row.chunks_exact(4).zip(colors) {
                (color[0], color[1], color[2], *alpha) = (pixel[0], pixel[1], pixel[2], pixel[3]);
            }
            return;
        }
        for (i, pixel) in row.chunks_exact(samples * (1 + usize::from(self.sixteen))).take(count).enumerate() {
            let to = at + i * step;
            for c in 0..samples {
                let value = if self.sixteen {
                    let value = u16::from_be_bytes([pixel[2 * c], pixel[2 * c + 1]]);
                    if c < self.n {
                        self.most = self.most.max(value);
                        depth::scaled(value, self.full)
                    } else {
                        eight_bits(value)
                    }
                } else {
                    pixel[c]
                };
                match &mut self.alpha {
                    Some(alpha) if c == self.n => alpha[to] = value,
                    _ => self.data[to * self.n + c] = value,
                }
            }
        }
    }

    /// Fills what lies between the pixels of the passes that are there, by their neighbours above and to the left.
    fn fill(&mut self, passes: usize, (height, width): (usize, usize)) {
        let (rows, columns) = [(8, 8), (8, 8), (8, 4), (4, 4), (4, 2), (2, 2), (2, 1), (1, 1)][passes.min(7)];
        for y in 0..height {
            for x in 0..width {
                let (from, to) = ((y - y % rows) * width + x - x % columns, y * width + x);
                if from != to {
                    self.data.copy_within(from * self.n..(from + 1) * self.n, to * self.n);
                    if let Some(alpha) = &mut self.alpha {
                        alpha[to] = alpha[from];
                    }
                }
            }
        }
    }
}

/// The seven passes of Adam7; `done` becomes one more than the passes that are complete.
fn passes(
    reader: &mut png::Reader<Pieces<'_>>,
    row: &mut [u8],
    target: &mut Target,
    (height, width): (usize, usize),
    done: &mut usize,
) -> Result<(), png::DecodingError> {
    const PASSES: [(usize, usize, usize, usize); 7] =
        [(0, 8, 0, 8), (0, 8, 4, 8), (4, 8, 0, 4), (0, 4, 2, 4), (2, 4, 0, 2), (0, 2, 1, 2), (1, 2, 0, 1)];
    for (top, down, left, right) in PASSES {
        let columns = width.saturating_sub(left).div_ceil(right);
        for y in (top..height).step_by(down).filter(|_| columns > 0) {
            reader.read_row(row)?;
            *done = (*done).max(1);
            target.put(row, columns, y * width + left, right);
        }
        *done = (*done).max(1) + 1;
    }
    Ok(())
}

/// Colours and orientation; a damaged chunk of them is passed over.
fn metadata(bytes: &[u8], picture: &mut Picture) -> Result<(), ImageError> {
    let (mut icc, mut gamma, mut chromaticities, mut srgb, mut cicp) = (None, None, None, false, None);
    let (mut exif_data, mut raw_exif, mut xmp) = (None, None, None);
    let wanted = [b"iCCP", b"gAMA", b"cHRM", b"sRGB", b"cICP", b"eXIf", b"acTL", b"tEXt", b"zTXt", b"iTXt"];
    for chunk in chunks(bytes).filter(|chunk| wanted.contains(&&chunk.kind)) {
        let name = || String::from_utf8_lossy(&chunk.kind).into_owned();
        if !chunk.is_intact() {
            if !chunk.kind.ends_with(b"Xt") {
                picture.notes.push(format!("its chunk {} is damaged and was ignored", name()));
            }
            continue;
        }
        let number =
            |i: usize| chunk.data.get(4 * i..4 * i + 4).map(|b| f64::from(u32::from_be_bytes([b[0], b[1], b[2], b[3]])) / 1e5);
        match &chunk.kind {
            b"iCCP" => icc = Some(inflated_profile(chunk.data)),
            b"gAMA" => gamma = number(0).filter(|&g| g > 0.0),
            b"cHRM" => {
                let all: Option<Vec<f64>> = (0..8).map(number).collect();
                chromaticities = all.map(|v| std::array::from_fn(|i| [v[2 * i], v[2 * i + 1]]));
            }
            b"sRGB" => srgb = true,
            // RGB of the full range: anything else is for video.
            b"cICP" => match *chunk.data {
                [primaries, transfer, 0, 1] => cicp = Some((primaries, transfer)),
                [_, transfer @ (16 | 18), ..] => cicp = Some((0, transfer)),
                _ => picture
                    .notes
                    .push("its color codes (cICP) are not those of RGB of the full range and were ignored".to_owned()),
            },
            b"eXIf" => exif_data = Some(chunk.data.to_vec()),
            b"acTL" => {
                if chunk.data.get(..4).is_some_and(|n| n > &[0, 0, 0, 1][..]) {
                    picture.notes.push("it is an animation: its default image was taken".to_owned());
                }
            }
            _ => match text(&chunk) {
                Some((b"XML:com.adobe.xmp", packet)) => xmp = Some(packet),
                Some((b"Raw profile type exif" | b"Raw profile type APP1", packet)) => raw_exif = raw_profile(&packet),
                _ => {}
            },
        }
    }
    picture.orientation = exif::first_of(exif_data.or(raw_exif).as_deref(), xmp.as_deref());
    // As the standard ranks them.
    picture.space = match (cicp, icc) {
        (Some((_, 16 | 18)), _) => {
            let text = "an HDR image (PQ or HLG); map its tones first, for example with ffmpeg -i in.png -vf tonemap out.png";
            return Err(ImageError::Unsupported(text.to_owned()));
        }
        // The codes of sRGB itself.
        (Some((1, 13)), _) => Space::Srgb,
        (Some((primaries, transfer)), _) => Space::Cicp { primaries, transfer },
        (None, Some(Some(icc))) => Space::Icc(icc),
        (None, Some(None)) => {
            picture.notes.push("its color profile cannot be unpacked and was ignored".to_owned());
            Space::Srgb
        }
        (None, None) if srgb => Space::Srgb,
        (None, None) => match gamma {
            Some(gamma) => Space::Gamma { exponent: 1.0 / gamma, chromaticities },
            None => chromaticities.map_or(Space::Srgb, |c| Space::Gamma { exponent: 2.2, chromaticities: Some(c) }),
        },
    };
    Ok(())
}

/// The profile after its name and its method of compression.
fn inflated_profile(data: &[u8]) -> Option<Vec<u8>> {
    let name = data.iter().take(80).position(|&b| b == 0)?;
    let packed = data.get(name + 1..)?.strip_prefix(&[0])?;
    inflate(packed, profile::MAX_BYTES as u64)
}

fn inflate(packed: &[u8], most: u64) -> Option<Vec<u8>> {
    let mut out = Vec::new();
    ZlibDecoder::new(packed).take(most + 1).read_to_end(&mut out).ok()?;
    (out.len() as u64 <= most).then_some(out)
}

/// Keyword and text of a chunk whose keyword is one that matters.
fn text<'a>(chunk: &Chunk<'a>) -> Option<(&'a [u8], Vec<u8>)> {
    let end = chunk.data.iter().take(80).position(|&b| b == 0)?;
    let (keyword, rest) = (&chunk.data[..end], &chunk.data[end + 1..]);
    if !keyword.starts_with(b"Raw profile type ") && keyword != b"XML:com.adobe.xmp" {
        return None;
    }
    let text = match &chunk.kind {
        b"tEXt" => rest.to_vec(),
        b"zTXt" => inflate(rest.strip_prefix(&[0])?, MAX_TEXT)?,
        _ => {
            let (&compressed, rest) = rest.split_first()?;
            // Method, language and translated keyword.
            let rest = rest.get(1..)?;
            let rest = &rest[rest.iter().position(|&b| b == 0)? + 1..];
            let rest = &rest[rest.iter().position(|&b| b == 0)? + 1..];
            if compressed == 1 { inflate(rest, MAX_TEXT)? } else { rest.to_vec() }
        }
    };
    Some((keyword, text))
}

/// ImageMagick's way of writing binary data as text: a name, a length, and hexadecimal digits.
fn raw_profile(text: &[u8]) -> Option<Vec<u8>> {
    let mut lines = text.trim_ascii_start().splitn(3, |&b| b == b'\n');
    let (_, _, digits) = (lines.next()?, lines.next()?, lines.next()?);
    let digits: Vec<u8> = digits.iter().filter_map(|&b| char::from(b).to_digit(16)).map(|d| d as u8).collect();
    Some(digits.chunks_exact(2).map(|two| two[0] << 4 | two[1]).collect())
}

/// Slices read one after the other.
struct Pieces<'a> {
    pieces: Vec<&'a [u8]>,
    at: usize,
}

impl Read for Pieces<'_> {
    fn read(&mut self, buf: &mut [u8]) -> std::io::Result<usize> {
        let n = self.fill_buf()?.read(buf)?;
        self.consume(n);
        Ok(n)
    }
}

impl BufRead for Pieces<'_> {
    fn fill_buf(&mut self) -> std::io::Result<&[u8]> {
        while self.pieces.get(self.at).is_some_and(|piece| piece.is_empty()) {
            self.at += 1;
        }
        Ok(self.pieces.get(self.at).copied().unwrap_or_default())
    }

    fn consume(&mut self, n: usize) {
        if let Some(piece) = self.pieces.get_mut(self.at) {
            *piece = &piece[n..];
        }
    }
}

/// The decoder asks for it and never seeks.
impl Seek for Pieces<'_> {
    fn seek(&mut self, _: SeekFrom) -> std::io::Result<u64> {
        Err(std::io::ErrorKind::Unsupported.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chunk(kind: &[u8; 4], data: &[u8]) -> Vec<u8> {
        let body = [&kind[..], data].concat();
        [&(data.len() as u32).to_be_bytes()[..], &body, &crc32fast::hash(&body).to_be_bytes()].concat()
    }

    /// Two grey pixels, 64 and 200, with other chunks before and after them.
    fn grey(before: &[u8], after: &[u8]) -> Vec<u8> {
        let head = chunk(b"IHDR", &[0, 0, 0, 2, 0, 0, 0, 1, 8, 0, 0, 0, 0]);
        // Stored, not compressed.
        let pixels = chunk(b"IDAT", &[0x78, 1, 1, 3, 0, 0xfc, 0xff, 0, 64, 200, 1, 0x4d, 1, 9]);
        [b"\x89PNG\r\n\x1a\n", &head[..], before, &pixels, after, &chunk(b"IEND", &[])].concat()
    }

    /// EXIF that says so.
    fn exif(orientation: u8) -> Vec<u8> {
        [b"MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0", &[orientation][..], b"\0\0\0\0\0\0"].concat()
    }

    /// Four pixels of two bits: the last of them is of a colour that the palette lacks.
    #[test]
    fn an_index_beyond_the_palette_is_damage() {
        let indexed = |colors: usize, index: u8, more: &[u8]| {
            let head = chunk(b"IHDR", &[0, 0, 0, 4, 0, 0, 0, 1, 2, 3, 0, 0, 0]);
            let mut packed = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::fast());
            std::io::Write::write_all(&mut packed, &[0, 0b00_01_10_00 | index]).unwrap();
            let palette = chunk(b"PLTE", &(1..=3 * colors as u8).collect::<Vec<_>>());
            let pixels = chunk(b"IDAT", &packed.finish().unwrap());
            [b"\x89PNG\r\n\x1a\n", &head[..], &palette, more, &pixels, &chunk(b"IEND", &[])].concat()
        };
        let picture = decode(&indexed(3, 2, &[])).unwrap();
        assert_eq!((picture.data, picture.alpha, picture.damage), (vec![1, 2, 3, 4, 5, 6, 7, 8, 9, 7, 8, 9], None, None));
        let picture = decode(&indexed(3, 0, &chunk(b"tRNS", &[9, 8]))).unwrap();
        assert_eq!(picture.alpha, Some(vec![9, 8, 255, 9]));
        let damage = decode(&indexed(3, 3, &[])).unwrap().damage.unwrap();
        assert!(damage.contains("its palette does not have"), "{damage}");
    }

    #[test]
    fn color_codes_of_a_narrow_range_are_ignored_with_a_note() {
        let of = |codes: &[u8]| decode(&grey(&chunk(b"cICP", codes), &[])).map(|picture| (picture.space, picture.notes.len()));
        assert_eq!(of(&[1, 13, 0, 1]).unwrap(), (Space::Srgb, 0));
        assert_eq!(of(&[1, 13, 0, 0]).unwrap(), (Space::Srgb, 1));
        assert_eq!(of(&[9, 1, 1, 1]).unwrap(), (Space::Srgb, 1));
        assert!(of(&[9, 16, 0, 0]).is_err() && of(&[9, 18, 0, 1]).is_err());
    }

    /// The pixels end where the file does, though a sum before them was wrong: nothing that follows is read for pixels.
    #[test]
    fn a_file_is_cut_where_it_ends_whatever_else_is_wrong() {
        let packed = [0x78, 1, 1, 3, 0, 0xfc, 0xff, 0, 64, 200, 1, 0x4d, 1, 9];
        let mut first = chunk(b"IDAT", &packed[..9]);
        *first.last_mut().unwrap() ^= 1;
        let head = chunk(b"IHDR", &[0, 0, 0, 2, 0, 0, 0, 1, 8, 0, 0, 0, 0]);
        let second = chunk(b"IDAT", &packed[9..]);
        let file = [b"\x89PNG\r\n\x1a\n", &head[..], &first, &second].concat();
        assert!(decode(&file).unwrap().damage.unwrap().contains("check sum"));
        assert!(decode(&file[..file.len() - 9]).is_err());
    }

    #[test]
    fn orientation_is_read_from_every_chunk_that_may_carry_it() {
        let hex: String = [b"Exif\0\0", &exif(6)[..]].concat().iter().map(|b| format!("{b:02x}")).collect();
        let raw = format!("\nexif\n      {}\n{hex}\n", hex.len() / 2);
        let text = |kind: &[u8; 4], parts: &[&[u8]]| chunk(kind, &parts.concat());
        let xmp = b"<x tiff:Orientation=\"3\"/>";
        let mut packed = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::fast());
        std::io::Write::write_all(&mut packed, raw.as_bytes()).unwrap();
        let packed = packed.finish().unwrap();
        for (bytes, expected) in [
            (chunk(b"eXIf", &exif(8)), 8),
            (text(b"tEXt", &[b"Raw profile type exif\0", raw.as_bytes()]), 6),
            (text(b"zTXt", &[b"Raw profile type APP1\0\0", &packed]), 6),
            (text(b"iTXt", &[b"XML:com.adobe.xmp\0\0\0\0\0", xmp]), 3),
            (text(b"tEXt", &[b"Comment\0tiff:Orientation=\"3\""]), 1),
        ] {
            for file in [grey(&bytes, &[]), grey(&[], &bytes)] {
                let picture = decode(&file).unwrap();
                assert_eq!((picture.orientation, picture.damage), (expected, None));
                assert_eq!(picture.data, [64, 200]);
            }
        }
        // EXIF comes before XMP.
        let both = [text(b"iTXt", &[b"XML:com.adobe.xmp\0\0\0\0\0", xmp]), chunk(b"eXIf", &exif(8))].concat();
        assert_eq!(decode(&grey(&both, &[])).unwrap().orientation, 8);
    }

    #[test]
    fn colors_are_ranked_as_the_standard_says() {
        let gamma = |n: u32| chunk(b"gAMA", &n.to_be_bytes());
        let space = |before: &[u8]| decode(&grey(before, &[])).unwrap().space;
        assert_eq!(space(&gamma(100_000)), Space::Gamma { exponent: 1.0, chromaticities: None });
        assert_eq!(space(&[gamma(100_000), chunk(b"sRGB", &[0])].concat()), Space::Srgb);
        assert_eq!(space(&[gamma(100_000), chunk(b"cICP", &[1, 13, 0, 1])].concat()), Space::Srgb);
        assert_eq!(space(&chunk(b"cICP", &[12, 13, 0, 1])), Space::Cicp { primaries: 12, transfer: 13 });
        assert_eq!(space(&gamma(0)), Space::Srgb);
        assert!(matches!(decode(&grey(&chunk(b"cICP", &[9, 16, 0, 1]), &[])), Err(ImageError::Unsupported(_))));
    }

    #[test]
    fn wrong_sums_and_missing_ends() {
        let whole = grey(&[], &[]);
        // The end of the file is missing, but no pixel.
        for length in [whole.len() - 12, whole.len() - 14] {
            assert_eq!(decode(&whole[..length]).unwrap().damage, None, "{length}");
        }
        for from_end in [13, 22] {
            let mut bytes = whole.clone();
            let at = bytes.len() - from_end;
            bytes[at] ^= 1;
            assert!(decode(&bytes).unwrap().damage.unwrap().contains("check sum"), "{from_end}");
        }
        // A sum of metadata is wrong: it is passed over.
        // Palettes and transparency of wrong lengths.
        let indexed = |before: &[u8]| {
            let mut bytes = grey(before, &[]);
            let head = chunk(b"IHDR", &[0, 0, 0, 2, 0, 0, 0, 1, 8, 3, 0, 0, 0]);
            bytes[8..8 + head.len()].copy_from_slice(&head);
            decode(&bytes)
        };
        for palette in [&[][..], &[1], &[1; 4], &[1; 771]] {
            assert!(matches!(indexed(&chunk(b"PLTE", palette)), Err(ImageError::Broken(_))), "{}", palette.len());
        }
        assert!(matches!(indexed(&[]), Err(ImageError::Broken(_))));
        assert_eq!(indexed(&chunk(b"PLTE", &[7; 768])).unwrap().data, [7; 6]);
        assert_eq!(decode(&grey(&chunk(b"tRNS", &[0]), &[])).unwrap().alpha, None);
        assert_eq!(decode(&grey(&chunk(b"tRNS", &[0, 64]), &[])).unwrap().alpha, Some(vec![0, 255]));
        let mut gamma = chunk(b"gAMA", &100_000_u32.to_be_bytes());
        gamma[9] ^= 1;
        let picture = decode(&grey(&gamma, &[])).unwrap();
        assert_eq!((picture.space, picture.notes.len(), picture.damage), (Space::Srgb, 1, None));
        assert!(matches!(decode(&whole[..40]), Err(ImageError::Broken(_))));
    }
}
