//! Joints of animals in video frames (Biggs et al., BADJA, arXiv 1811.05804): a JSON file a sequence.

use super::{Dataset, DatasetError, Folders, Keypoint, by_stem, has_extension, stem};
use serde::Deserialize;
use std::path::Path;

/// Places are given in frames of this many rows, whatever the frames' size.
const ROWS: f64 = 1080.0;
/// Rows of the frames that DAVIS calls 480p.
const FRAME_ROWS: f64 = 480.0;

#[derive(Deserialize)]
struct Frame {
    image_path: String,
    visibility: Vec<bool>,
    /// Row and column of each.
    joints: Vec<[f64; 2]>,
}

/// Gives the frames of a set the joints that a folder `joints` has for their sequences.
pub(super) fn add(folders: &Folders, set: &mut Dataset) -> Result<(), DatasetError> {
    let Some((_, files)) = folders.iter().find(|(folder, _)| folder.ends_with("joints")) else { return Ok(()) };
    for (sequence, path) in by_stem(files, |path| has_extension(path, "json"))? {
        let wrong = |error: serde_json::Error| DatasetError::Truth { path: path.clone(), problem: error.to_string() };
        let frames: Vec<Frame> = serde_json::from_str(&super::text(path)?).map_err(wrong)?;
        for Frame { image_path, visibility, joints } in frames {
            if joints.len() != visibility.len() {
                let problem = format!(
                    "{image_path} has {} joints, of which {} are said to be visible or not",
                    joints.len(),
                    visibility.len()
                );
                return Err(DatasetError::Truth { path: path.clone(), problem });
            }
            let name = format!("{sequence}/{}", stem(Path::new(&image_path)));
            if let Some(sample) = set.samples.iter_mut().find(|sample| sample.name == name) {
                let visible = joints.iter().zip(&visibility).enumerate().filter(|(_, (_, visible))| **visible);
                let scaled = |place: f64| place * FRAME_ROWS / ROWS;
                sample.keypoints =
                    visible.map(|(part, ([row, column], _))| Keypoint { part, y: scaled(*row), x: scaled(*column) }).collect();
            }
        }
    }
    Ok(())
}
