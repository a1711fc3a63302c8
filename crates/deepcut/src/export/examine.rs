//! Recognizes a file at the place of a result: a whole result, a partial one, or something else.

use super::annotation::regions::TYPE as REGIONS;
use super::record::{KEYWORD, PNG_HEADER, PNG_SIGNATURE, Record};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::io::{self, Read, Seek, SeekFrom};

/// The last chunk of every PNG file.
const PNG_END: &[u8] = b"\0\0\0\0IEND\xae\x42\x60\x82";
/// More than any record or header of ours has.
const MOST_BYTES: u64 = 1 << 26;

/// What a file is that lies where a result would.
#[derive(Debug, Clone, PartialEq)]
pub enum Found {
    /// A whole result. None: it has no record, so another program made or changed it.
    Whole(Option<Record>),
    /// A result that was cut short, or an empty file.
    Partial,
    /// No result.
    Other,
}

/// Looks at a file: its beginning, its end, and its record.
///
/// # Errors
/// If it cannot be read.
pub fn examine(file: &mut (impl Read + Seek)) -> io::Result<Found> {
    let length = file.seek(SeekFrom::End(0))?;
    file.rewind()?;
    let mut first = [0; 8];
    let given = fill(file, &mut first)?;
    let first = &first[..given];
    // Where the power failed, a file may have its length and no content.
    if first.iter().all(|&byte| byte == 0) {
        return Ok(Found::Partial);
    }
    match first {
        first if first == PNG_SIGNATURE => png(file, length),
        [b'{', ..] => json(file),
        [.., b'{'] | [_, _, _, _, _, 0, 0, 0] => tensors(file, first, length),
        first if PNG_SIGNATURE.starts_with(first) => Ok(Found::Partial),
        _ => Ok(Found::Other),
    }
}

fn fill(file: &mut impl Read, mut buffer: &mut [u8]) -> io::Result<usize> {
    let mut given = 0;
    while !buffer.is_empty() {
        match file.read(buffer)? {
            0 => break,
            n => (given, buffer) = (given + n, &mut buffer[n..]),
        }
    }
    Ok(given)
}

fn png(file: &mut (impl Read + Seek), length: u64) -> io::Result<Found> {
    file.seek(SeekFrom::Start(PNG_HEADER as u64))?;
    let mut head = [0; 16];
    if fill(file, &mut head)? < head.len() {
        return Ok(Found::Partial);
    }
    let mut record = None;
    let ours = head[4..8] == *b"tEXt" && head[8..] == *KEYWORD;
    if ours {
        let size = u64::from(u32::from_be_bytes([head[0], head[1], head[2], head[3]])).saturating_sub(KEYWORD.len() as u64);
        let mut text = Vec::new();
        Read::by_ref(file).take(size.min(MOST_BYTES)).read_to_end(&mut text)?;
        record = serde_json::from_slice(&text).ok();
    }
    let mut end = [0; PNG_END.len()];
    file.seek(SeekFrom::Start(length.saturating_sub(PNG_END.len() as u64)))?;
    fill(file, &mut end)?;
    Ok(match (end == PNG_END, ours) {
        (true, _) => Found::Whole(record),
        (false, true) => Found::Partial,
        (false, false) => Found::Other,
    })
}

fn json(file: &mut (impl Read + Seek)) -> io::Result<Found> {
    /// Enough of a report to know it.
    #[derive(Deserialize)]
    struct Report {
        r#type: String,
        #[serde(default)]
        record: Option<Record>,
    }
    file.rewind()?;
    let mut text = Vec::new();
    Read::by_ref(file).take(MOST_BYTES).read_to_end(&mut text)?;
    Ok(match serde_json::from_slice::<Report>(&text) {
        Ok(report) if ["picture", REGIONS].contains(&&*report.r#type) => Found::Whole(report.record),
        Err(e) if e.is_eof() && text.trim_ascii_start()[1..].trim_ascii_start().starts_with(b"\"type\": \"picture\"") => {
            Found::Partial
        }
        _ => Found::Other,
    })
}

fn tensors(file: &mut (impl Read + Seek), first: &[u8], length: u64) -> io::Result<Found> {
    /// Enough of a header to know it.
    #[derive(Deserialize)]
    struct Header {
        #[serde(rename = "__metadata__", default)]
        metadata: BTreeMap<String, String>,
        features: Tensor,
    }
    #[derive(Deserialize)]
    struct Tensor {
        data_offsets: [u64; 2],
    }
    let Ok(size) = first.try_into().map(u64::from_le_bytes) else { return Ok(Found::Other) };
    if size > MOST_BYTES {
        return Ok(Found::Other);
    }
    let mut text = Vec::new();
    Read::by_ref(file).take(size).read_to_end(&mut text)?;
    if (text.len() as u64) < size {
        return Ok(if text.is_empty() || text[0] == b'{' { Found::Partial } else { Found::Other });
    }
    Ok(match serde_json::from_slice::<Header>(&text) {
        Ok(header) if length < (8 + size).saturating_add(header.features.data_offsets[1]) => Found::Partial,
        Ok(header) => Found::Whole(header.metadata.get("record").and_then(|text| serde_json::from_str(text).ok())),
        Err(_) => Found::Other,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::features::FeatureMap;
    use crate::segmentation::Segmentation;
    use serde_json::Value;
    use std::io::Cursor;

    fn record() -> Record {
        let settings = [("resolution".to_owned(), Value::from(352))].into();
        Record {
            input: "Größe\u{1f986}\n.jpg".into(),
            folder: "0123456789abcdef".into(),
            bytes: 7,
            sha256: "aa".repeat(32),
            settings,
            version: "1.2.3".into(),
        }
    }

    fn look(bytes: &[u8]) -> Found {
        examine(&mut Cursor::new(bytes)).unwrap()
    }

    #[test]
    fn a_png_file_keeps_its_record_and_its_pixels() {
        let plain = crate::export::png::mask(&Segmentation::empty(9, 5)).unwrap();
        assert_eq!(look(&plain), Found::Whole(None));
        let file = record().into_png(plain.clone());
        assert_eq!(look(&file), Found::Whole(Some(record())));
        // Any decoder checks the chunk's sum and shows its text.
        let reader = png::Decoder::new(Cursor::new(&file)).read_info().unwrap();
        let text = &reader.info().uncompressed_latin1_text[0];
        assert_eq!((&*text.keyword, &*text.text), ("deepcut", &*record().to_ascii()));
        assert_eq!(crate::Image::decode(&file).unwrap(), crate::Image::decode(&plain).unwrap());
        for length in 0..file.len() {
            assert_eq!(look(&file[..length]), Found::Partial, "{length} bytes");
        }
        assert_eq!(look(&plain[..plain.len() - 1]), Found::Other);
        assert_eq!(record().into_png(b"no PNG".to_vec()), b"no PNG");
    }

    #[test]
    fn tensors_and_reports_keep_it_too() {
        let map = FeatureMap::new(2, 1, 3, vec![0.5; 6]).unwrap();
        let file = crate::export::tensors::features(&map, [("record".to_owned(), record().to_ascii())].into_iter()).unwrap();
        assert_eq!(look(&file), Found::Whole(Some(record())));
        for length in 8..file.len() {
            assert_eq!(look(&file[..length]), Found::Partial, "{length} bytes");
        }
        let plain = crate::export::tensors::features(&map, std::iter::empty()).unwrap();
        assert_eq!(look(&plain), Found::Whole(None));

        let report = format!("{{\n  \"type\": \"picture\",\n  \"record\": {}\n}}\n", record().to_ascii());
        assert_eq!(look(report.as_bytes()), Found::Whole(Some(record())));
        assert_eq!(look(&report.as_bytes()[..60]), Found::Partial);
        assert_eq!(look(b"{\"type\": \"picture\"}"), Found::Whole(None));
        // Another program's annotations of the same name.
        assert_eq!(look(br#"{"version": "5.0", "shapes": []}"#), Found::Other);
        assert_eq!(look(br#"{"shapes": ["#), Found::Other);
    }

    #[test]
    fn other_files_are_no_results() {
        for bytes in [&b"text"[..], b"\xff\xd8\xff\xe0 JPEG", b"\x50\x4b\x03\x04 zip", b"[1, 2, 3, 4, 5]", &[9; 4096]] {
            assert_eq!(look(bytes), Found::Other, "{bytes:?}");
        }
        assert_eq!(look(&[]), Found::Partial);
        assert_eq!(look(&[0; 4096]), Found::Partial);
    }
}
