//! Labels for numpy: `STEM.npy`, and `STEM.npz` with scores and names.
//!
//! Numbers are little-endian, in C order: rows before columns. `STEM.npy` is the labels, `[height, width]` in u8, 0 for background. The members
//! of `STEM.npz`:
//!
//! | member    | type  | shape           | meaning                                                   |
//! |-----------|-------|-----------------|-----------------------------------------------------------|
//! | `labels`  | u8    | [height, width] | the label of each pixel, 0 for background                 |
//! | `ids`     | u8    | [n]             | the labels that are foreground                            |
//! | `scores`  | f32   | [n]             | their scores                                              |
//! | `part_of` | u8    | [n]             | the number of the object that a part belongs to, or 0     |
//! | `names`   | text  | [n]             | their classes                                             |
//!
//! Sources: NumPy Enhancement Proposal 1, version 1.0 of the format; PKWARE's APPNOTE 6.3 for the archive, with one time for all files, so that
//! the same labels make the same bytes.

use super::annotation::{Annotate, Sheet};
use super::{ExportError, File};
use flate2::Compression;
use flate2::write::DeflateEncoder;
use std::io::{self, Write};

const NPY: &str = "*.npy";
const NPZ: &str = "*.npz";
/// The first of January 1980, where the archive's time begins.
const DATE: u16 = 0x21;
/// A version of the archive's format that knows deflation.
const ZIP_VERSION: u16 = 20;
const DEFLATED: u16 = 8;

/// Writes the labels as an array.
pub(super) struct Npy;

/// Writes labels, scores and names as arrays in an archive.
pub(super) struct Npz;

impl Annotate for Npy {
    fn image_files(&self) -> &[&str] {
        &[NPY]
    }

    fn image(&self, sheet: &Sheet<'_>) -> Result<Vec<File>, ExportError> {
        Ok(vec![File { name: NPY.into(), bytes: labels(sheet) }])
    }
}

impl Annotate for Npz {
    fn image_files(&self) -> &[&str] {
        &[NPZ]
    }

    fn image(&self, sheet: &Sheet<'_>) -> Result<Vec<File>, ExportError> {
        let objects = || sheet.objects.iter();
        let length = format!("({},)", sheet.objects.len());
        let scores: Vec<u8> = objects().flat_map(|object| object.score.to_le_bytes()).collect();
        let ids: Vec<u8> = objects().map(|object| object.label).collect();
        let groups: Vec<u8> = objects().map(|object| object.part_of.unwrap_or(0)).collect();
        // Texts of one length, four bytes a character, zeros at their ends.
        let longest = objects().map(|object| object.name.chars().count()).max().unwrap_or(0).max(1);
        let padded = |name: &str| name.chars().map(u32::from).chain(std::iter::repeat(0)).take(longest).collect::<Vec<_>>();
        let names: Vec<u8> = objects().flat_map(|object| padded(&object.name)).flat_map(u32::to_le_bytes).collect();
        let members = [
            ("labels.npy", labels(sheet)),
            ("ids.npy", array("|u1", &length, &ids)),
            ("scores.npy", array("<f4", &length, &scores)),
            ("part_of.npy", array("|u1", &length, &groups)),
            ("names.npy", array(&format!("<U{longest}"), &length, &names)),
        ];
        Ok(vec![File { name: NPZ.into(), bytes: archive(&members)? }])
    }
}

fn labels(sheet: &Sheet<'_>) -> Vec<u8> {
    array("|u1", &format!("({}, {})", sheet.height, sheet.width), &sheet.labels())
}

/// An array's file: magic bytes, version, length of the header, header, values.
fn array(kind: &str, shape: &str, values: &[u8]) -> Vec<u8> {
    let mut header = format!("{{'descr': '{kind}', 'fortran_order': False, 'shape': {shape}, }}");
    // The values begin at a multiple of 64; the header ends with a line break.
    let unpadded = 10 + header.len() + 1;
    header.push_str(&" ".repeat(unpadded.next_multiple_of(64) - unpadded));
    header.push('\n');
    let mut file = b"\x93NUMPY\x01\x00".to_vec();
    file.extend((header.len() as u16).to_le_bytes());
    file.extend(header.into_bytes());
    file.extend_from_slice(values);
    file
}

/// An archive of deflated files: each with its header, then a directory, then the place of it.
fn archive(members: &[(&str, Vec<u8>)]) -> Result<Vec<u8>, ExportError> {
    let too_large = |_| io::Error::other("the archive would be larger than 4 GiB");
    let number = |length: usize| u32::try_from(length).map_err(too_large);
    let (mut file, mut directory) = (Vec::new(), Vec::new());
    for (name, content) in members {
        let mut encoder = DeflateEncoder::new(Vec::new(), Compression::default());
        encoder.write_all(content)?;
        let deflated = encoder.finish()?;
        let mut entry = Vec::new();
        for value in [ZIP_VERSION, 0, DEFLATED, 0, DATE] {
            entry.extend(value.to_le_bytes());
        }
        for value in [crc32fast::hash(content), number(deflated.len())?, number(content.len())?] {
            entry.extend(value.to_le_bytes());
        }
        entry.extend((name.len() as u16).to_le_bytes());
        // No extra field.
        entry.extend([0; 2]);
        directory.extend(b"PK\x01\x02");
        directory.extend(ZIP_VERSION.to_le_bytes());
        directory.extend_from_slice(&entry);
        // No comment, the first disk, no attributes.
        directory.extend([0; 10]);
        directory.extend(number(file.len())?.to_le_bytes());
        directory.extend(name.bytes());
        file.extend(b"PK\x03\x04");
        file.extend(entry);
        file.extend(name.bytes());
        file.extend(deflated);
    }
    let (place, length) = (number(file.len())?, number(directory.len())?);
    file.extend(directory);
    file.extend(b"PK\x05\x06\0\0\0\0");
    let count = members.len() as u16;
    file.extend([count, count].map(u16::to_le_bytes).concat());
    file.extend([length, place].map(u32::to_le_bytes).concat());
    file.extend([0; 2]);
    Ok(file)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::export::annotation::drawn::{Drawn, drawn};
    use crate::segmentation::Kind;
    use std::io::Read;

    #[test]
    fn an_array_has_its_header_and_rows_before_columns() {
        let sheets = Drawn::new([drawn(Kind::Object, &[".12", "..1"])]);
        let file = &sheets.images_in_bytes(&Npy)[0].1;
        assert_eq!(file[..10], *b"\x93NUMPY\x01\x00\x76\x00");
        assert!(file[10..].starts_with(b"{'descr': '|u1', 'fortran_order': False, 'shape': (2, 3), }"));
        assert_eq!((file[127], &file[128..]), (b'\n', &[0, 1, 2, 0, 0, 1][..]));
    }

    #[test]
    fn an_archive_has_its_members() {
        let sheets = Drawn::new([drawn(Kind::Part, &["1.2", "1.."])]);
        let file = &sheets.images_in_bytes(&Npz)[0].1;
        assert_eq!(file, &sheets.images_in_bytes(&Npz)[0].1);
        let mut at = 0;
        let mut found = Vec::new();
        while file[at..].starts_with(b"PK\x03\x04") {
            let word = |from: usize| u32::from_le_bytes(file[at + from..at + from + 4].try_into().unwrap());
            let (sum, deflated, length, name) = (word(14), word(18) as usize, word(22) as usize, usize::from(file[at + 26]));
            let start = at + 30 + name;
            let mut content = Vec::new();
            flate2::read::DeflateDecoder::new(&file[start..start + deflated]).read_to_end(&mut content).unwrap();
            assert_eq!((content.len(), crc32fast::hash(&content)), (length, sum));
            found.push((String::from_utf8(file[at + 30..start].to_vec()).unwrap(), content[128..].to_vec()));
            at = start + deflated;
        }
        let values = |name: &str| &found.iter().find(|(found, _)| found == name).unwrap().1;
        assert_eq!(values("labels.npy"), &[1, 0, 2, 1, 0, 0]);
        assert_eq!((values("ids.npy"), values("part_of.npy")), (&vec![1, 2], &vec![1, 1]));
        assert_eq!(values("scores.npy"), &[0.9f32.to_le_bytes(), 0.8f32.to_le_bytes()].concat());
        let names: Vec<u8> = "part 1part 2".chars().flat_map(|c| u32::from(c).to_le_bytes()).collect();
        assert_eq!(values("names.npy"), &names);
    }
}
