//! From a file's bytes to an upright RGB image, for the formats that people have.
//!
//! | file | contents |
//! |---|---|
//! | `decoder.rs` | the entry: files, streams and bytes, within limits |
//! | `foreign.rs` | formats that are known, but not read, and how to convert them |
//! | `jpeg/`, `png.rs`, `webp.rs`, `tiff/`, `gif.rs`, `bmp.rs`, `pnm.rs` | one format each: bytes → `Picture` |
//! | `exif.rs`, `profile.rs`, `depth.rs` | orientation, colors, and number of bits, shared by all formats |

mod bmp;
mod decoder;
mod depth;
mod exif;
mod foreign;
pub(crate) mod gif;
pub(crate) mod jpeg;
mod picture;
mod png;
mod pnm;
mod profile;
mod tiff;
mod webp;

pub use decoder::{Decoder, Format};
#[cfg(feature = "datasets")]
pub(crate) use decoder::{Stored, stored_values};
pub use foreign::{Foreign, foreign};

use super::{Image, ImageError};
use std::ffi::OsStr;
use std::path::Path;

impl Image<'_> {
    /// Extensions of the files that [`Image::decode`] reads, in lower case.
    pub const EXTENSIONS: [&'static str; 24] = [
        "jpg", "jpeg", "jpe", "jfif", "jif", "jfi", "pjpeg", "pjp", "mpo", "png", "apng", "webp", "tif", "tiff", "btf", "tf8",
        "bmp", "dib", "gif", "ppm", "pgm", "pbm", "pnm", "pam",
    ];

    /// Whether a file is named as an image, whatever the case.
    #[must_use]
    pub fn is_named_by(path: &Path) -> bool {
        let extension = path.extension().and_then(OsStr::to_str).unwrap_or_default();
        Self::EXTENSIONS.iter().any(|known| known.eq_ignore_ascii_case(extension))
    }

    /// Decodes a file's bytes with [`Decoder::default`]: any depth and color type, turned upright, in sRGB.
    ///
    /// # Errors
    /// As [`Decoder::decode`].
    pub fn decode(bytes: &[u8]) -> Result<Image<'static>, ImageError> {
        Decoder::default().decode(bytes)
    }

    /// The image as it lies in its file.
    #[must_use]
    pub fn into_stored(self) -> Self {
        if self.orientation == 1 {
            return self;
        }
        // Two quarter turns undo each other, the others themselves.
        let inverse = [self.orientation, 8, 6][usize::from(self.orientation == 6) + 2 * usize::from(self.orientation == 8)];
        let turn = |bytes: &[u8], channels| picture::upright(bytes.to_vec(), (self.height, self.width), channels, inverse);
        let (rgb, (height, width)) = turn(&self.rgb, 3);
        let own = self.own.as_ref().map(|(colors, alpha)| (turn(colors, 3).0.into(), turn(alpha, 1).0));
        Self {
            height,
            width,
            rgb: rgb.into(),
            own,
            damage: self.damage.clone(),
            notes: self.notes.clone(),
            orientation: 1,
            room: self.room.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pictures_are_told_by_their_names() {
        let named = |name| Image::is_named_by(Path::new(name));
        assert!(named("A.JPG") && named("a.b.webp") && !named("notes.txt") && !named("jpg"));
    }

    #[test]
    fn a_turned_picture_lies_in_its_file_as_it_was() {
        let stored: Vec<u8> = (0..2 * 3 * 3).collect();
        for orientation in 1..=8 {
            let (rgb, (height, width)) = picture::upright(stored.clone(), (2, 3), 3, orientation);
            let mut image = Image::with_alpha(height, width, rgb, Some(vec![9; 6])).unwrap();
            image.orientation = orientation;
            let image = image.into_stored();
            assert_eq!(
                (image.height(), image.width(), image.colors(), image.orientation()),
                (2, 3, &stored[..], 1),
                "{orientation}"
            );
        }
    }
}
