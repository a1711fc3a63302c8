//! The command `video`: frames in, masks, overlays and tracks out.

use crate::annotation::AnnotationArgs;
use crate::args::{MethodArgs, NetworkArgs, RunArgs};
use crate::reporter::{Status, progress_bar};
use crate::{memory, network, print, stop, words};
use anyhow::{Context, anyhow, bail};
use clap::{Args, ValueEnum};
use deepcut::export::annotation::AnnotationFormat;
use deepcut::image::Decoder;
use deepcut::memory::Memory;
use deepcut::video::{Follow, Followed, Frames, Outputs, Tracking, VideoError, VideoFormat, VideoWriter};
use deepcut::{Mode, Options};
use serde_json::json;
use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::Instant;

/// What to follow, and what to write.
#[derive(Args)]
pub struct VideoArgs {
    /// A folder of frames, an animation, a Y4M stream (`-` for standard input), or a video file that ffmpeg decodes
    #[arg(value_name = "INPUT")]
    pub input: PathBuf,
    /// Folder for the results (created if missing): FRAME.mask.png and so on, and the files about the whole video
    #[arg(short, long, value_name = "OUT")]
    pub output: PathBuf,
    /// Files to write, separated by commas [default: mask,tracks; in the modes objects, parts and scene labels,tracks]
    #[arg(short, long, value_enum, value_delimiter = ',')]
    pub format: Vec<VideoFormatArg>,
    /// Write a video of the overlays too, in the format of its extension; needs ffmpeg
    #[arg(long, value_name = "FILE")]
    pub overlay: Option<PathBuf>,
    /// Frames a second, as 25, 29.97 or 30000/1001 [default: the video's; 25 for a folder]
    #[arg(long, value_name = "RATE", value_parser = parse_rate)]
    pub rate: Option<(u32, u32)>,
    /// Share of the frame before in what a frame's cut begins with, 0 to below 1: more is steadier, less follows faster [default: 0.8]
    #[arg(long, value_name = "SHARE")]
    pub inertia: Option<f32>,
    /// Cut the object again in every Nth frame, 0 only where a scene begins; between, it follows what the network says of each frame. Parts are cut in every frame [default: 0]
    #[arg(long, value_name = "N")]
    pub recut: Option<usize>,
    /// Look at the video in both directions: it is read twice, and each frame is cut by what those after it know, too. Not for standard input
    #[arg(long)]
    pub bidirectional: bool,
    /// Print one JSON object per frame, and a summary, to standard output
    #[arg(long)]
    pub json: bool,
    /// Replace results that exist
    #[arg(long)]
    pub overwrite: bool,
    /// Use what can be read of a damaged frame instead of bridging it
    #[arg(long)]
    pub keep_damaged: bool,
    /// Refuse frames with more pixels than this [default: 268435456]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub max_pixels: Option<u64>,
    /// Set any option by its name in the JSON report: `--set upsampling=nearest`; overrides other flags
    #[arg(long = "set", value_name = "NAME=VALUE", help_heading = "Method")]
    pub sets: Vec<String>,
    #[command(flatten)]
    pub annotation: AnnotationArgs,
    #[command(flatten)]
    pub method: MethodArgs,
    #[command(flatten)]
    pub network: NetworkArgs,
    #[command(flatten)]
    pub run: RunArgs,
}

/// A file to write of each frame, or of the video.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum VideoFormatArg {
    /// Gray PNG of each frame, 255 in the foreground
    Mask,
    /// Palette PNG of each frame whose indices are the labels, the same for an object or part in every frame
    Labels,
    /// Each frame with its labels' colors over it
    Overlay,
    /// tracks.json: objects with ids, and their frames, times, boxes, areas and scores
    Tracks,
    /// COCO: annotations.json with video_id and track_id
    Coco,
    /// CVAT for video 1.1: annotations.xml with a track for each object
    Cvat,
}

impl From<VideoFormatArg> for VideoFormat {
    fn from(format: VideoFormatArg) -> Self {
        match format {
            VideoFormatArg::Mask => Self::Mask,
            VideoFormatArg::Labels => Self::Labels,
            VideoFormatArg::Overlay => Self::Overlay,
            VideoFormatArg::Tracks => Self::Tracks,
            VideoFormatArg::Coco => Self::Coco,
            VideoFormatArg::Cvat => Self::Cvat,
        }
    }
}

/// A rate as a fraction.
fn parse_rate(text: &str) -> Result<(u32, u32), String> {
    let wrong =
        || format!("`{text}` is no rate; expected a number above 0 such as 25 or 29.97, or a fraction such as 30000/1001");
    let (above, below) = match text.split_once(['/', ':']) {
        Some((above, below)) => (above.parse().map_err(|_| wrong())?, below.parse().map_err(|_| wrong())?),
        None => {
            let rate: f64 = text.parse().map_err(|_| wrong())?;
            if !(0.001..=1_000_000.0).contains(&rate) {
                return Err(wrong());
            }
            ((rate * 1000.0).round() as u32, 1000)
        }
    };
    if above == 0 || below == 0 { Err(wrong()) } else { Ok((above, below)) }
}

impl VideoArgs {
    fn formats(&self, options: &Options) -> Vec<VideoFormat> {
        if self.format.is_empty() {
            let several = options.recipe.mode == Mode::Objects || options.recipe.meanings(0.0).len() > 2;
            return vec![if several { VideoFormat::Labels } else { VideoFormat::Mask }, VideoFormat::Tracks];
        }
        let mut found = Vec::new();
        for format in self.format.iter().copied().map(VideoFormat::from) {
            if !found.contains(&format) {
                found.push(format);
            }
        }
        found
    }

    fn tracking(&self) -> anyhow::Result<Tracking> {
        let mut tracking = Tracking::default();
        tracking.inertia = self.inertia.unwrap_or(tracking.inertia);
        tracking.recut = self.recut.unwrap_or(tracking.recut);
        tracking.validate()?;
        Ok(tracking)
    }

    fn open(&self) -> anyhow::Result<Frames> {
        self.frames().map_err(flagged).with_context(|| self.name())
    }

    fn frames(&self) -> Result<Frames, VideoError> {
        let mut decoder = Decoder::default();
        decoder.max_pixels = self.max_pixels.unwrap_or(decoder.max_pixels);
        decoder.keep_damaged = self.keep_damaged;
        decoder.memory = memory::limit(self.run.max_memory, 0.75).map(Memory::new);
        let frames = if self.is_stream() { Frames::read(std::io::stdin(), decoder) } else { Frames::open(&self.input, decoder) };
        Ok(frames?.with_rate(self.rate))
    }

    fn is_stream(&self) -> bool {
        self.input.as_os_str() == "-"
    }

    /// What to call the video.
    fn name(&self) -> String {
        if self.is_stream() { "standard input".into() } else { self.input.display().to_string() }
    }
}

/// Follows objects through what the command line names.
pub fn run(args: &VideoArgs) -> anyhow::Result<Status> {
    let options = args.method.options_set(&args.network, &args.sets)?;
    let formats = args.formats(&options);
    let tracking = args.tracking()?;
    let annotations: Vec<AnnotationFormat> = formats
        .iter()
        .filter_map(|format| match format {
            VideoFormat::Coco => Some(AnnotationFormat::Coco),
            VideoFormat::Cvat => Some(AnnotationFormat::Cvat),
            _ => None,
        })
        .collect();
    let annotation = args.annotation.options(&annotations)?;
    if !args.run.quiet {
        args.method.warn_of_ignored(&args.network, &options, &args.sets);
        let ignored = args.annotation.ignored(&annotations, &options);
        ignored.iter().for_each(|warning| words::say(&format!("deepcut: {warning}")));
    }
    if args.bidirectional && args.is_stream() {
        return Err(VideoError::Stream.into());
    }
    let frames = args.open()?;
    let numbered = options.recipe.mode == Mode::Objects;
    let segmenter = network::segmenter(&args.network, &args.run, options)?;
    let outputs = Outputs {
        folder: args.output.clone(),
        formats,
        overlay: args.overlay.clone(),
        numbered,
        overwrite: args.overwrite,
        annotation,
        name: args.name(),
        rate: frames.rate(),
        model: format!("deepcut {}, network {}", env!("CARGO_PKG_VERSION"), segmenter.backbone().identity().name),
    };
    let mut writer = VideoWriter::new(outputs).map_err(flagged)?;
    stop::listen().context("cannot listen to signals")?;
    let cancelled = || stop::asked().is_some();
    let follow = Follow { segmenter: &segmenter, tracking, threads: args.run.threads.map(usize::from), cancelled: &cancelled };
    let mut told = Told::new(args, &frames);
    let each = |frame: Followed| {
        writer.add(&frame)?;
        told.frame(&frame);
        Ok(())
    };
    let ended = if args.bidirectional {
        drop(frames);
        follow.run_both_ways(|| args.frames(), each)
    } else {
        follow.run(frames, each)
    };
    // What was done is complete, however it ended.
    let written = writer.finish();
    told.end(ended, written)
}

/// What is told of a run.
struct Told<'a> {
    args: &'a VideoArgs,
    bar: indicatif::ProgressBar,
    begin: Instant,
    frames: usize,
    failed: usize,
    resized: usize,
    scenes: usize,
    ids: BTreeSet<u32>,
    unsaid: bool,
}

impl<'a> Told<'a> {
    fn new(args: &'a VideoArgs, frames: &Frames) -> Self {
        let bar = match frames.count() {
            Some(count) => progress_bar(&args.run, count, "{wide_bar} {pos}/{len} {eta} {msg}"),
            None => {
                let bar = progress_bar(&args.run, usize::MAX, "{spinner} {pos} frames, {per_sec} {msg}");
                bar.unset_length();
                bar
            }
        };
        let (ids, begin) = (BTreeSet::new(), Instant::now());
        Self { args, bar, begin, frames: 0, failed: 0, resized: 0, scenes: 0, ids, unsaid: false }
    }

    fn say(&self, text: &str) {
        self.bar.suspend(|| words::say(&format!("deepcut: {text}")));
    }

    fn line(&mut self, value: &serde_json::Value) {
        if self.args.json {
            self.unsaid |= print(format!("{value}\n").as_bytes()).is_err();
        }
    }

    fn frame(&mut self, frame: &Followed) {
        self.frames += 1;
        self.bar.inc(1);
        let loud = !self.args.run.quiet;
        if let Some(error) = &frame.error {
            self.failed += 1;
            let bridged =
                if frame.tracked.is_some() { "the mask of the frame before takes its place" } else { "it has no result" };
            self.say(&format!("frame {} ({}): {}; {bridged}", frame.index, frame.file_name, error_text(error)));
        }
        if let Some((height, width)) = frame.resized_from {
            self.resized += 1;
            if self.resized == 1 && loud {
                self.say(&format!(
                    "frame {} ({}) is {width} × {height} pixels; frames of another size than the first are resized to it",
                    frame.index, frame.file_name
                ));
            }
        }
        let Some(tracked) = &frame.tracked else { return };
        if loud && tracked.scene > self.scenes && tracked.scene > 1 {
            self.say(&format!("frame {} ({}) begins scene {}", frame.index, frame.file_name, tracked.scene));
        }
        self.scenes = self.scenes.max(tracked.scene);
        self.ids.extend(tracked.ids.values());
        let [features, tracking] = frame.seconds;
        if self.args.run.verbose {
            let ids: Vec<String> = tracked.ids.values().map(ToString::to_string).collect();
            let milliseconds = 1000.0 * (features + tracking);
            self.bar.suspend(|| words::say(&format!("{}: ids {}, {milliseconds:.0} ms", frame.file_name, ids.join(", "))));
        }
        let object = |region: &deepcut::Region| {
            let id = tracked.ids.get(&region.label)?;
            let bounds = region.bounds;
            let bounds = [bounds.left, bounds.top, bounds.width, bounds.height];
            Some(json!({ "id": id, "label": region.label, "box": bounds, "area": region.area, "score": region.score }))
        };
        let objects: Vec<_> = tracked.segmentation.regions().iter().filter_map(object).collect();
        self.line(&json!({
            "type": "frame", "frame": frame.index, "name": frame.file_name, "time": frame.time, "scene": tracked.scene, "bridged": tracked.bridged,
            "objects": objects, "seconds": { "features": features, "tracking": tracking },
            "error": frame.error.as_ref().map(error_text),
        }));
    }

    /// Says how it ended, and with which status.
    fn end(
        mut self,
        ended: Result<bool, VideoError>,
        written: Result<deepcut::video::Written, VideoError>,
    ) -> anyhow::Result<Status> {
        self.bar.finish_and_clear();
        let seconds = self.begin.elapsed().as_secs_f64();
        let mut whole = self.failed == 0;
        if let Err(error) = &ended {
            if self.frames == 0 {
                bail!("{}: {}", self.args.name(), error_text(error));
            }
            whole = false;
            self.say(&format!("{}: {}", self.args.name(), error_text(error)));
        }
        let (frames, failed, scenes, tracks) = (self.frames, self.failed, self.scenes, self.ids.len());
        let stopped = matches!(ended, Ok(false));
        let files: Vec<String> = match &written {
            Ok(written) => written.files.iter().map(|path| path.display().to_string()).collect(),
            Err(error) => {
                whole = false;
                self.say(&error_text(error));
                Vec::new()
            }
        };
        self.line(&json!({
            "type": "summary", "frames": frames, "failed": failed, "resized": self.resized, "scenes": scenes, "tracks": tracks,
            "seconds": seconds, "stopped": stopped, "outputs": files,
        }));
        if !self.args.run.quiet {
            let count = words::count;
            let rate = frames as f64 / seconds.max(1e-9);
            let stopped = if stopped { "; stopped before the end" } else { "" };
            words::say(&format!(
                "{}, {failed} failed; {}, {}; {seconds:.1} s, {rate:.1} frames a second{stopped}",
                count(frames, "frame"),
                count(scenes, "scene"),
                count(tracks, "track"),
            ));
        }
        if self.unsaid {
            self.say("standard output did not take every line");
            whole = false;
        }
        Ok(match stop::asked() {
            Some(status) if stopped => status,
            _ => u8::from(!whole),
        })
    }
}

/// An error and its causes in a line, with the flags that help.
fn error_text(error: &VideoError) -> String {
    words::with_flags(error, error.remedy())
}

/// The same as an error of the command.
fn flagged(error: VideoError) -> anyhow::Error {
    anyhow!(error_text(&error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_are_numbers_or_fractions() {
        assert_eq!(parse_rate("25"), Ok((25000, 1000)));
        assert_eq!(parse_rate("29.97"), Ok((29970, 1000)));
        assert_eq!(parse_rate("30000/1001"), Ok((30000, 1001)));
        for wrong in ["0", "-1", "nan", "1/0", "x", "1/x", "1e99", ""] {
            assert!(parse_rate(wrong).is_err(), "{wrong}");
        }
    }
}
