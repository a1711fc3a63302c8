//! What was measured of a data set's images, and the file that an evaluation goes on from: JSON, a header and then a line an image.

use crate::dataset::Note;
use crate::metrics::Histogram;
use crate::metrics::average_precision::Matches;
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};

/// What was measured of one image.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Picture {
    /// Zero if they came from a cache.
    pub features_seconds: f64,
    /// Of every contender; none if the truth is empty.
    pub results: Vec<Measured>,
    /// What was done to the image or its truth.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<Note>,
}

/// What was measured of one contender's result.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Measured {
    /// Metrics of this image alone, in the order of a table's rows.
    pub values: Vec<(Cow<'static, str>, f64)>,
    /// Of the segmentation, in [0, 1].
    pub confidence: f32,
    /// From the features to the pixels, by stage.
    pub seconds: BTreeMap<String, f64>,
    /// Of the soft mask, where the truth is a mask.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub histogram: Option<Histogram>,
    /// How instances were matched, by their masks and by their boxes, where the truth tells objects apart.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub matches: Option<[Matches; 2]>,
    /// Part and label of every keypoint.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub points: Vec<(usize, usize)>,
}

/// A line of the file.
#[derive(Serialize, Deserialize)]
struct Line<'a> {
    picture: Cow<'a, str>,
    #[serde(flatten)]
    values: Cow<'a, Picture>,
}

/// What a file holds.
#[derive(Debug, Default)]
pub struct Known {
    /// By name.
    pub pictures: HashMap<String, Picture>,
    /// Bytes of whole lines: what an interruption left after them is to be written over.
    pub whole: usize,
}

/// Why a file cannot be gone on from.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum RecordError {
    /// Its header is not this evaluation's.
    #[error("was begun with other options, another network, data set or version; name another file")]
    Other,
    /// A line that is no image's, or not of as many contenders and the same metrics as the others. Counted from 1.
    #[error("line {0} is damaged; name another file")]
    Damaged(usize),
}

/// The line of an image, with its end.
///
/// # Errors
/// None but those of the serializer.
pub fn line(name: &str, picture: &Picture) -> serde_json::Result<String> {
    Ok(serde_json::to_string(&Line { picture: name.into(), values: Cow::Borrowed(picture) })? + "\n")
}

/// Reads a file's bytes, if it begins with `header` or with nothing. Every image has results of `contenders`, or none.
///
/// # Errors
/// [`RecordError`] if it is another evaluation's, or damaged before its last line.
pub fn read(bytes: &[u8], header: &serde_json::Value, contenders: usize) -> Result<Known, RecordError> {
    let whole = bytes.iter().rposition(|b| *b == b'\n').map_or(0, |end| end + 1);
    let mut known = Known { whole, ..Known::default() };
    let mut lines = bytes[..whole].split(|b| *b == b'\n').enumerate();
    let is_header = |first: &[u8]| serde_json::from_slice::<serde_json::Value>(first).ok().as_ref() == Some(header);
    if whole > 0 && !lines.next().is_some_and(|(_, first)| is_header(first)) {
        return Err(RecordError::Other);
    }
    let mut names: Option<Vec<Cow<'static, str>>> = None;
    for (at, text) in lines.filter(|(_, text)| !text.is_empty()) {
        let damaged = RecordError::Damaged(at + 1);
        let Ok(Line { picture, values }) = serde_json::from_slice::<Line<'_>>(text) else { return Err(damaged) };
        let values = values.into_owned();
        if !values.results.is_empty() && values.results.len() != contenders {
            return Err(damaged);
        }
        for measured in &values.results {
            let own: Vec<_> = measured.values.iter().map(|(name, _)| name.clone()).collect();
            let is_whole = measured.histogram.as_ref().is_none_or(Histogram::is_whole)
                && measured.matches.iter().flatten().all(Matches::is_whole);
            if own.is_empty() || !is_whole || *names.get_or_insert_with(|| own.clone()) != own {
                return Err(damaged);
            }
        }
        known.pictures.insert(picture.into_owned(), values);
    }
    Ok(known)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn picture(values: &[(&'static str, f64)], contenders: usize) -> Picture {
        let values = values.iter().map(|(name, value)| ((*name).into(), *value)).collect();
        let histogram = Some(Histogram::new(&[0, 255], &[false, true]));
        let measured =
            Measured { values, confidence: 0.1, seconds: BTreeMap::new(), histogram, matches: None, points: vec![(1, 2)] };
        Picture { results: vec![measured; contenders], notes: vec![Note::Stored], ..Picture::default() }
    }

    #[test]
    fn what_is_written_is_read() {
        let header = json!({ "version": 1 });
        let lines = [line("a", &picture(&[("IoU", 1.0 / 3.0)], 2)).unwrap(), line("b", &Picture::default()).unwrap()];
        let text = format!("{header}\n{}{}{{\"picture\": \"c", lines[0], lines[1]);
        let known = read(text.as_bytes(), &header, 2).unwrap();
        assert_eq!((known.pictures.len(), known.whole), (2, text.rfind('\n').unwrap() + 1));
        assert_eq!(line("a", &known.pictures["a"]).unwrap(), lines[0]);
        assert_eq!(read(b"", &header, 2).unwrap().whole, 0);
        assert_eq!(read(text.as_bytes(), &json!({ "version": 2 }), 2).unwrap_err(), RecordError::Other);
        assert_eq!(read(text.as_bytes(), &header, 3).unwrap_err(), RecordError::Damaged(2));
        let mixed = format!("{header}\n{}{}", lines[0], line("b", &picture(&[("CorLoc", 1.0)], 2)).unwrap());
        assert_eq!(read(mixed.as_bytes(), &header, 2).unwrap_err(), RecordError::Damaged(3));
        let cut = text.replacen("\"inside\":[0,", "\"inside\":[", 1);
        assert_eq!(read(cut.as_bytes(), &header, 2).unwrap_err(), RecordError::Damaged(2));
        assert_eq!(read(b"\xff\n", &header, 2).unwrap_err(), RecordError::Other);
    }
}
