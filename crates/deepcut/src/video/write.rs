//! The files of a video: pictures of each frame as it comes, and files about all frames at the end.
//!
//! What is found in a frame is kept in a temporary file beside the results until the end, so memory does not grow with the video. Every file is there
//! whole or not at all; a video that was stopped has files about the frames that were done.

use super::VideoError;
use super::ffmpeg::Encoded;
use super::run::Followed;
use crate::batch::files::{self, create_beside, make_folder, move_to};
use crate::export::annotation::{AnnotationOptions, Regions};
use crate::export::tracks::{self, FrameRegions, TrackedFrames, Video, Visit};
use crate::export::{ExportError, Record, png};
use crate::image::Image;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufRead, BufReader, BufWriter, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use tempfile::NamedTempFile;

/// A kind of file of a video.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum VideoFormat {
    /// `FRAME.mask.png`: gray, 255 in the foreground.
    Mask,
    /// `FRAME.labels.png`: a palette picture whose indices are labels, the same for an object or part in every frame.
    Labels,
    /// `FRAME.overlay.png`: the frame with its labels' colors over it.
    Overlay,
    /// `tracks.json`: frames, times, and the objects in them, with ids.
    Tracks,
    /// `annotations.json`: COCO's, with `video_id` and `track_id`.
    Coco,
    /// `annotations.xml`: CVAT's file of a video.
    Cvat,
}

impl VideoFormat {
    /// Every format.
    pub const ALL: [Self; 6] = [Self::Mask, Self::Labels, Self::Overlay, Self::Tracks, Self::Coco, Self::Cvat];

    /// Its name on the command line.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Mask => "mask",
            Self::Labels => "labels",
            Self::Overlay => "overlay",
            Self::Tracks => "tracks",
            Self::Coco => "coco",
            Self::Cvat => "cvat",
        }
    }

    /// What the name of a frame's picture ends in, after a dot.
    fn suffix(self) -> Option<&'static str> {
        match self {
            Self::Mask => Some("mask.png"),
            Self::Labels => Some("labels.png"),
            Self::Overlay => Some("overlay.png"),
            _ => None,
        }
    }

    /// The name of the file about all frames.
    fn file(self) -> Option<&'static str> {
        match self {
            Self::Tracks => Some("tracks.json"),
            Self::Coco => Some("annotations.json"),
            Self::Cvat => Some("annotations.xml"),
            _ => None,
        }
    }
}

/// What to write of a video.
#[derive(Debug, Clone)]
pub struct Outputs {
    /// The folder for the results, made if it is missing.
    pub folder: PathBuf,
    /// The files.
    pub formats: Vec<VideoFormat>,
    /// A video of the overlays, encoded by ffmpeg in the format of its extension.
    pub overlay: Option<PathBuf>,
    /// Whether overlays have the number and score of each object.
    pub numbered: bool,
    /// Whether files that exist are replaced.
    pub overwrite: bool,
    /// Names and shapes of annotations.
    pub annotation: AnnotationOptions,
    /// What the video is called.
    pub name: String,
    /// Frames a second as a fraction.
    pub rate: (u32, u32),
    /// What made the results, for people.
    pub model: String,
}

/// Writes the files of a video.
pub struct VideoWriter {
    outputs: Outputs,
    kept: Option<BufWriter<NamedTempFile>>,
    overlay: Option<(Encoded, tempfile::TempPath)>,
    size: (usize, usize),
    frames: usize,
}

impl VideoWriter {
    /// Makes the folder and checks that results can be written there.
    ///
    /// # Errors
    /// [`VideoError::Exists`] if there are results already and they may not be replaced; [`VideoError::File`] if nothing can be written.
    pub fn new(outputs: Outputs) -> Result<Self, VideoError> {
        make_folder(&outputs.folder)?;
        files::remove_partial(&outputs.folder);
        if !outputs.overwrite {
            let path = existing(&outputs).map_err(|source| VideoError::Write { path: outputs.folder.clone(), source })?;
            if let Some(path) = path {
                return Err(VideoError::Exists { path });
            }
        }
        files::try_writing(&outputs.folder)?;
        let needs = outputs.formats.iter().any(|format| format.file().is_some());
        let kept = if needs { Some(BufWriter::new(create_beside(&outputs.folder.join("tracks.json"))?)) } else { None };
        Ok(Self { outputs, kept, overlay: None, size: (0, 0), frames: 0 })
    }

    /// Writes what was found in a frame. A frame before the first that can be read has nothing.
    ///
    /// # Errors
    /// [`VideoError`] if a file cannot be written.
    pub fn add(&mut self, frame: &Followed) -> Result<(), VideoError> {
        let Some(tracked) = &frame.tracked else { return Ok(()) };
        let found = &tracked.segmentation;
        self.size = (found.height(), found.width());
        // Of a frame that cannot be read there is nothing to see but what is laid over it.
        let black = || Image::new(found.height(), found.width(), vec![0; found.height() * found.width() * 3]);
        let image = match &frame.image {
            Some(image) => image,
            None => &black()?,
        };
        for format in &self.outputs.formats {
            let Some(suffix) = format.suffix() else { continue };
            let bytes = match format {
                VideoFormat::Mask => png::mask(found)?,
                VideoFormat::Labels => png::labels(found)?,
                _ if self.outputs.numbered => png::numbered_overlay(image, found)?,
                _ => png::overlay(image, found)?,
            };
            files::write(&self.outputs.folder.join(format!("{}.{suffix}", frame.name)), &bytes, self.outputs.overwrite)?;
        }
        if self.outputs.overlay.is_some() {
            let painted = png::painted_rgb(image, found, self.outputs.numbered)?;
            self.encoder()?.add(&painted)?;
        }
        if let Some(kept) = &mut self.kept {
            let line = FrameRegions {
                frame: frame.index,
                time: frame.time,
                scene: tracked.scene,
                bridged: tracked.bridged,
                regions: Regions::new(&frame.file_name, found, Record::of_no_file(&frame.file_name)),
                ids: tracked.ids.clone(),
            };
            let path = self.outputs.folder.join("tracks.json");
            let mut text = serde_json::to_vec(&line).map_err(ExportError::from)?;
            text.push(b'\n');
            kept.write_all(&text).map_err(|source| VideoError::Write { path, source })?;
        }
        self.frames += 1;
        Ok(())
    }

    /// The encoder of the overlay video, started with the first frame.
    fn encoder(&mut self) -> Result<&mut Encoded, VideoError> {
        if self.overlay.is_none() {
            let path = self.outputs.overlay.clone().unwrap_or_default();
            let extension = path.extension().map(|extension| extension.to_string_lossy().into_owned()).unwrap_or_default();
            let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
            make_folder(folder)?;
            // ffmpeg writes it beside its place, under a name of the same extension.
            let suffix = format!(".{extension}");
            let mut builder = tempfile::Builder::new();
            builder.prefix(".deepcut-").suffix(&suffix);
            #[cfg(unix)]
            {
                use std::os::unix::fs::PermissionsExt;
                // The user's mask applies.
                builder.permissions(std::fs::Permissions::from_mode(0o666));
            }
            let unfinished = builder.tempfile_in(folder);
            let unfinished = unfinished.map_err(|source| VideoError::Write { path: path.clone(), source })?.into_temp_path();
            let encoded = Encoded::create(&unfinished, self.size, self.outputs.rate)?;
            self.overlay = Some((encoded, unfinished));
        }
        match &mut self.overlay {
            Some((encoded, _)) => Ok(encoded),
            None => Err(VideoError::Empty),
        }
    }

    /// Writes the files about all frames that were added, and ends the overlay video.
    ///
    /// # Errors
    /// [`VideoError`] if one cannot be written.
    pub fn finish(mut self) -> Result<Written, VideoError> {
        let mut files = Vec::new();
        if let (Some((encoded, unfinished)), Some(path)) = (self.overlay.take(), &self.outputs.overlay) {
            encoded.finish()?;
            let moved = if self.outputs.overwrite { unfinished.persist(path) } else { unfinished.persist_noclobber(path) };
            moved.map_err(|error| VideoError::Write { path: path.clone(), source: error.error })?;
            files.push(path.clone());
        }
        let Some(kept) = self.kept.take() else { return Ok(Written { files, tracks: None }) };
        let failed = |source| VideoError::Write { path: self.outputs.folder.join("tracks.json"), source };
        let mut kept = kept.into_inner().map_err(|error| failed(error.into_error()))?;
        kept.as_file_mut().flush().map_err(failed)?;
        let (height, width) = self.size;
        let Outputs { name, rate, .. } = &self.outputs;
        let video = Video { name: name.clone(), height, width, rate: [rate.0, rate.1], frames: self.frames };
        let kept = Kept::new(kept, &self.outputs, video)?;
        for format in &self.outputs.formats {
            let Some(name) = format.file() else { continue };
            let path = self.outputs.folder.join(name);
            let mut out = BufWriter::new(create_beside(&path)?);
            match format {
                VideoFormat::Tracks => tracks::json(&kept, &mut out)?,
                VideoFormat::Coco => tracks::coco(&kept, &mut out)?,
                _ => tracks::cvat(&kept, &mut out)?,
            }
            let out = out.into_inner().map_err(|error| VideoError::Write { path: path.clone(), source: error.into_error() })?;
            move_to(out, &path, self.outputs.overwrite)?;
            files.push(path);
        }
        Ok(Written { files, tracks: Some(kept.places.len()) })
    }
}

/// What was written at the end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Written {
    /// The files about all frames.
    pub files: Vec<PathBuf>,
    /// Number of tracks, where a file about them was asked for.
    pub tracks: Option<usize>,
}

/// A file that would be replaced.
fn existing(outputs: &Outputs) -> std::io::Result<Option<PathBuf>> {
    let is_there = |path: &PathBuf| path.symlink_metadata().is_ok();
    let of_run = outputs.formats.iter().filter_map(|format| Some(outputs.folder.join(format.file()?)));
    if let Some(path) = of_run.chain(outputs.overlay.clone()).find(is_there) {
        return Ok(Some(path));
    }
    let suffixes: Vec<&str> = outputs.formats.iter().filter_map(|format| format.suffix()).collect();
    for entry in std::fs::read_dir(&outputs.folder)? {
        let name = entry?.file_name();
        let text = name.to_string_lossy();
        if suffixes.iter().any(|suffix| text.ends_with(&format!(".{suffix}"))) {
            return Ok(Some(outputs.folder.join(name)));
        }
    }
    Ok(None)
}

/// What was kept of all frames.
struct Kept<'a> {
    file: NamedTempFile,
    outputs: &'a Outputs,
    video: Video,
    /// Where the frames of each track begin in the file.
    places: BTreeMap<u32, Vec<u64>>,
}

impl<'a> Kept<'a> {
    fn new(file: NamedTempFile, outputs: &'a Outputs, video: Video) -> Result<Self, VideoError> {
        let mut kept = Self { file, outputs, video, places: BTreeMap::new() };
        let mut places: BTreeMap<u32, Vec<u64>> = BTreeMap::new();
        kept.lines(&mut |place, frame| {
            frame.ids.values().for_each(|id| places.entry(*id).or_default().push(place));
            Ok(())
        })?;
        kept.places = places;
        Ok(kept)
    }

    /// The file from a place on.
    fn reader(&self, place: u64) -> std::io::Result<BufReader<File>> {
        let mut file = self.file.reopen()?;
        file.seek(SeekFrom::Start(place))?;
        Ok(BufReader::new(file))
    }

    fn lines(&self, visit: &mut dyn FnMut(u64, &FrameRegions) -> Result<(), ExportError>) -> Result<(), ExportError> {
        let (mut reader, mut place) = (self.reader(0)?, 0);
        while let Some((frame, length)) = next_line(&mut reader)? {
            visit(place, &frame)?;
            place += length as u64;
        }
        Ok(())
    }
}

/// The frame of the next line, and the line's length.
fn next_line(reader: &mut impl BufRead) -> Result<Option<(FrameRegions, usize)>, ExportError> {
    let mut line = Vec::new();
    let length = reader.read_until(b'\n', &mut line)?;
    if length == 0 {
        return Ok(None);
    }
    Ok(Some((serde_json::from_slice(&line)?, length)))
}

impl TrackedFrames for Kept<'_> {
    fn options(&self) -> &AnnotationOptions {
        &self.outputs.annotation
    }

    fn model(&self) -> &str {
        &self.outputs.model
    }

    fn video(&self) -> &Video {
        &self.video
    }

    fn each(&self, visit: &mut Visit<'_>) -> Result<(), ExportError> {
        self.lines(&mut |_, frame| visit(frame))
    }

    fn each_of(&self, track: u32, visit: &mut Visit<'_>) -> Result<(), ExportError> {
        let places = self.places.get(&track).map(Vec::as_slice).unwrap_or_default();
        let mut reader = self.reader(0)?;
        for &place in places {
            reader.seek(SeekFrom::Start(place))?;
            if let Some((frame, _)) = next_line(&mut reader)? {
                visit(&frame)?;
            }
        }
        Ok(())
    }
}
