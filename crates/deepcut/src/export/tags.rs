//! Numbers and scores drawn into overlays: a bitmap font of what they are written with, and where the tags go.

use crate::components::BoundingBox;
use crate::segmentation::{Kind, Region, Segmentation};

/// Rows of a character, and of bits in each row, before they are enlarged.
const GLYPH: (usize, usize) = (7, 5);
/// A longer side of this many pixels has letters of one pixel a dot.
const PIXELS_PER_SCALE: usize = 250;

/// The rows of a character, five bits each, the leftmost highest. What has no picture is empty.
fn glyph(character: char) -> [u8; GLYPH.0] {
    match character {
        '0' => [0b01110, 0b10001, 0b10001, 0b10001, 0b10001, 0b10001, 0b01110],
        '1' => [0b00100, 0b01100, 0b00100, 0b00100, 0b00100, 0b00100, 0b01110],
        '2' => [0b01110, 0b10001, 0b00001, 0b00110, 0b01000, 0b10000, 0b11111],
        '3' => [0b11110, 0b00001, 0b00001, 0b01110, 0b00001, 0b00001, 0b11110],
        '4' => [0b00010, 0b00110, 0b01010, 0b10010, 0b11111, 0b00010, 0b00010],
        '5' => [0b11111, 0b10000, 0b11110, 0b00001, 0b00001, 0b10001, 0b01110],
        '6' => [0b00110, 0b01000, 0b10000, 0b11110, 0b10001, 0b10001, 0b01110],
        '7' => [0b11111, 0b00001, 0b00010, 0b00100, 0b01000, 0b01000, 0b01000],
        '8' => [0b01110, 0b10001, 0b10001, 0b01110, 0b10001, 0b10001, 0b01110],
        '9' => [0b01110, 0b10001, 0b10001, 0b01111, 0b00001, 0b00010, 0b01100],
        '%' => [0b11001, 0b11010, 0b00010, 0b00100, 0b01000, 0b01011, 0b10011],
        _ => [0; GLYPH.0],
    }
}

/// A text at a place of an image.
struct Tag {
    text: String,
    place: BoundingBox,
}

/// Draws the number and the score in percent of every object into an RGB image `[height, width, 3]` of the segmentation's size.
///
/// A tag stands at its object's box, where it hides no earlier tag if there is such a place: objects are numbered best first. It is as large as
/// the image asks for, and is left out where the image is too small for it.
pub(super) fn draw(pixels: &mut [u8], segmentation: &Segmentation, color: impl Fn(u8) -> [u8; 3]) {
    let size = (segmentation.height(), segmentation.width());
    let scale = ((size.0.max(size.1) + PIXELS_PER_SCALE / 2) / PIXELS_PER_SCALE).max(1);
    let mut placed: Vec<BoundingBox> = Vec::new();
    for region in segmentation.regions().iter().filter(|region| region.kind == Kind::Object) {
        if let Some(tag) = tag(region, size, scale, &placed) {
            placed.push(tag.place);
            paint(pixels, size.1, &tag, scale, color(region.label));
        }
    }
}

/// Number and score, or the number alone where both are wider than the image; None if that is too large too.
fn tag(region: &Region, size: (usize, usize), scale: usize, placed: &[BoundingBox]) -> Option<Tag> {
    let percent = (region.score.clamp(0.0, 1.0) * 100.0).round() as u8;
    [format!("{} {percent}%", region.label), region.label.to_string()].into_iter().find_map(|text| {
        let (height, width) = (scale * (GLYPH.0 + 2), scale * (text.len() * (GLYPH.1 + 1) + 1));
        let place = place(region.bounds, (height, width), size, placed)?;
        Some(Tag { text, place })
    })
}

/// Where a tag of some height and width goes: above the box, in its corners, below it; the first place that hides least of other tags.
fn place(
    bounds: BoundingBox,
    (height, width): (usize, usize),
    size: (usize, usize),
    placed: &[BoundingBox],
) -> Option<BoundingBox> {
    let (last_top, last_left) = (size.0.checked_sub(height)?, size.1.checked_sub(width)?);
    let (bottom, right) = (bounds.top + bounds.height, bounds.left + bounds.width);
    let tops = [bounds.top.saturating_sub(height), bounds.top, bottom.saturating_sub(height), bottom];
    let lefts = [bounds.left, right.saturating_sub(width)];
    let places = tops.into_iter().flat_map(|top| lefts.map(|left| (top.min(last_top), left.min(last_left))));
    places
        .map(|(top, left)| BoundingBox { top, left, height, width })
        .min_by_key(|place| placed.iter().map(|other| overlap(place, other)).sum::<usize>())
}

/// Pixels that two boxes share.
fn overlap(a: &BoundingBox, b: &BoundingBox) -> usize {
    let shared = |a: usize, a_length: usize, b: usize, b_length: usize| (a + a_length).min(b + b_length).saturating_sub(a.max(b));
    shared(a.top, a.height, b.top, b.height) * shared(a.left, a.width, b.left, b.width)
}

fn paint(pixels: &mut [u8], width: usize, tag: &Tag, scale: usize, color: [u8; 3]) {
    // Rec. 601 luma: black letters on light colors, white ones on dark.
    let luma = color.iter().zip([299, 587, 114]).map(|(&value, weight)| u32::from(value) * weight).sum::<u32>() / 1000;
    let ink = if luma < 128 { [255; 3] } else { [0; 3] };
    let rows = pixels.chunks_exact_mut(3 * width.max(1)).skip(tag.place.top).take(tag.place.height);
    let glyphs: Vec<_> = tag.text.chars().map(glyph).collect();
    for (y, row) in rows.enumerate() {
        for (x, pixel) in row.chunks_exact_mut(3).skip(tag.place.left).take(tag.place.width).enumerate() {
            // One dot of margin above and to the left of each character.
            let dot = (y / scale).checked_sub(1).zip((x / scale).checked_sub(1));
            let is_ink = dot.is_some_and(|(dot_y, dot_x)| {
                let bits = glyphs.get(dot_x / (GLYPH.1 + 1)).and_then(|glyph| glyph.get(dot_y));
                bits.is_some_and(|bits| (bits << (dot_x % (GLYPH.1 + 1))) & 0b10000 != 0)
            });
            pixel.copy_from_slice(if is_ink { &ink } else { &color });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::segmentation::Meaning;

    const TAG: [u8; 3] = [200, 0, 0];

    /// An image of `size` with objects as rectangles.
    fn objects(size: (usize, usize), boxes: &[BoundingBox], score: f32) -> Segmentation {
        let mut labels = vec![0; size.0 * size.1];
        for (label, bounds) in (1..).zip(boxes) {
            for y in bounds.top..bounds.top + bounds.height {
                labels[y * size.1 + bounds.left..][..bounds.width].fill(label);
            }
        }
        let kind = |label| if label == 0 { Kind::Background } else { Kind::Object };
        let meanings: Vec<_> =
            (0..=boxes.len() as u8).map(|label| Meaning { label, kind: kind(label), part_of: None, score }).collect();
        Segmentation::new(size.0, size.1, labels, &meanings).unwrap()
    }

    fn drawn(found: &Segmentation) -> Vec<String> {
        let (height, width) = (found.height(), found.width());
        let mut pixels = vec![90; height * width * 3];
        draw(&mut pixels, found, |_| TAG);
        let character = |pixel: &[u8]| {
            if pixel == TAG {
                '.'
            } else if pixel == [255; 3] {
                '#'
            } else {
                ' '
            }
        };
        pixels.chunks(3 * width).map(|row| row.chunks(3).map(character).collect()).collect()
    }

    #[test]
    fn a_tag_says_number_and_score() {
        let found = objects((12, 34), &[BoundingBox { top: 9, left: 1, height: 3, width: 4 }], 0.873);
        #[rustfmt::skip]
        assert_eq!(drawn(&found), [
            " ...............................  ",
            " ...#..........###..#####.##..#.  ",
            " ..##.........#...#.....#.##.#..  ",
            " ...#.........#...#....#.....#..  ",
            " ...#..........###....#.....#...  ",
            " ...#.........#...#..#.....#....  ",
            " ...#.........#...#..#.....#.##.  ",
            " ..###.........###...#....#..##.  ",
            " ...............................  ",
            "                                  ",
            "                                  ",
            "                                  ",
        ]);
        // Too narrow for the score, then for anything.
        let narrow = drawn(&objects((12, 9), &[BoundingBox { top: 9, left: 1, height: 3, width: 4 }], 1.0));
        assert_eq!((narrow[0].as_str(), narrow[1].as_str()), (" ....... ", " ...#... "));
        assert!(
            drawn(&objects((8, 40), &[BoundingBox { top: 2, left: 1, height: 3, width: 4 }], 1.0)).concat().trim().is_empty()
        );
    }

    #[test]
    fn tags_of_neighbors_hide_none() {
        let bounds = [(20, 4), (22, 8), (24, 6), (21, 40)].map(|(top, left)| BoundingBox { top, left, height: 30, width: 40 });
        let mut placed = Vec::new();
        for bounds in bounds {
            let place = place(bounds, (9, 31), (80, 90), &placed).unwrap();
            assert!(placed.iter().all(|other| overlap(&place, other) == 0));
            assert!(place.top + place.height <= 80 && place.left + place.width <= 90);
            placed.push(place);
        }
        assert_eq!((placed[0].top, placed[0].left), (11, 4));
    }

    #[test]
    fn letters_grow_with_the_image() {
        let found = objects((600, 900), &[BoundingBox { top: 100, left: 100, height: 300, width: 200 }], 0.5);
        let rows = drawn(&found);
        // Four pixels a dot: nine dots high, above the box.
        assert_eq!(rows.iter().filter(|row| row.contains('.')).count(), 36);
        assert!(rows[63].trim().is_empty() && rows[64].contains('.') && rows[99].contains('.') && rows[100].trim().is_empty());
    }
}
