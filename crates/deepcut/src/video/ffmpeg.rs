//! What ffmpeg decodes and encodes: another process, and frames through a pipe.
//!
//! Frames come as Y4M, whose header says their size and rate, so no other program is asked first. ffmpeg turns them upright and makes their rate
//! constant, so a frame's number tells its time. It runs in a process group of its own: Ctrl-C is for this program, which ends it in order.

use super::VideoError;
use super::y4m::Y4m;
use crate::image::Image;
use std::ffi::OsString;
use std::io::{ErrorKind, Read, Write};
use std::path::Path;
use std::process::{Child, ChildStderr, ChildStdin, ChildStdout, Command, Stdio};

/// The program.
const PROGRAM: &str = "ffmpeg";
/// Bytes of what it says that are kept.
const MOST_WORDS: u64 = 4096;

/// The program with arguments for both directions.
fn command() -> Command {
    let mut command = Command::new(PROGRAM);
    #[cfg(unix)]
    std::os::unix::process::CommandExt::process_group(&mut command, 0);
    command.args(["-hide_banner", "-loglevel", "error", "-nostdin"]).stderr(Stdio::piped());
    command
}

/// A path as ffmpeg takes it whatever it begins with.
fn file(path: &Path) -> OsString {
    let mut name = OsString::from("file:");
    name.push(path);
    name
}

fn start(command: &mut Command, what: &'static str) -> Result<Child, VideoError> {
    command.spawn().map_err(|error| match error.kind() {
        ErrorKind::NotFound => VideoError::NoFfmpeg { what },
        _ => VideoError::Read(error),
    })
}

/// The last line that it said.
fn last_words(stderr: Option<ChildStderr>) -> String {
    let mut text = Vec::new();
    if let Some(stderr) = stderr {
        // What it said before it ended is all that counts.
        let _ = stderr.take(MOST_WORDS).read_to_end(&mut text);
    }
    let text = String::from_utf8_lossy(&text);
    text.lines().rfind(|line| !line.trim().is_empty()).unwrap_or("it says nothing").trim().to_owned()
}

/// Frames that ffmpeg decodes.
pub(super) struct Decoded {
    child: Child,
    frames: Y4m<std::io::BufReader<ChildStdout>>,
}

impl Decoded {
    /// Starts it on a file and reads the header of what it makes.
    pub fn open(path: &Path, max_pixels: u64) -> Result<Self, VideoError> {
        let mut command = command();
        command.arg("-i").arg(file(path)).args(["-map", "0:v:0", "-f", "yuv4mpegpipe", "-pix_fmt", "yuv420p", "-"]);
        let mut child = start(command.stdin(Stdio::null()).stdout(Stdio::piped()), "a video file")?;
        let Some(stdout) = child.stdout.take() else { return Err(VideoError::Empty) };
        match Y4m::new(std::io::BufReader::with_capacity(1 << 20, stdout), max_pixels) {
            Ok(frames) => Ok(Self { child, frames }),
            Err(VideoError::Empty) => {
                let stderr = child.stderr.take();
                let message = last_words(stderr);
                let _ = child.wait();
                Err(VideoError::Ffmpeg { what: "decode", message })
            }
            Err(error) => {
                let _ = child.kill();
                let _ = child.wait();
                Err(error)
            }
        }
    }

    pub fn rate(&self) -> Option<(u32, u32)> {
        self.frames.rate()
    }

    /// The next frame; None at the end.
    pub fn next_frame(&mut self) -> Result<Option<Image<'static>>, VideoError> {
        let frame = self.frames.next_frame()?;
        if frame.is_none() && !self.child.wait().map_err(VideoError::Read)?.success() {
            let message = last_words(self.child.stderr.take());
            return Err(VideoError::Ffmpeg { what: "decode", message });
        }
        Ok(frame)
    }
}

impl Drop for Decoded {
    fn drop(&mut self) {
        // It may wait for a reader for ever.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A video that ffmpeg encodes from frames of one size.
pub(super) struct Encoded {
    child: Child,
    stdin: Option<ChildStdin>,
}

impl Encoded {
    /// Starts it; the file's extension decides the format.
    pub fn create(path: &Path, (height, width): (usize, usize), rate: (u32, u32)) -> Result<Self, VideoError> {
        let mut command = command();
        command.args(["-y", "-f", "rawvideo", "-pix_fmt", "rgb24", "-s", &format!("{width}x{height}")]);
        command.args(["-framerate", &format!("{}/{}", rate.0, rate.1), "-i", "-"]);
        // Most players show no other chroma, which has a sample for two pixels.
        let even = "pad=ceil(iw/2)*2:ceil(ih/2)*2";
        if path.extension().is_none_or(|extension| !extension.eq_ignore_ascii_case("gif")) {
            command.args(["-vf", even, "-pix_fmt", "yuv420p"]);
        }
        command.arg(file(path));
        let mut child = start(command.stdin(Stdio::piped()).stdout(Stdio::null()), "an overlay video")?;
        let stdin = child.stdin.take();
        Ok(Self { child, stdin })
    }

    /// Adds a frame's `[height, width, 3]` bytes.
    pub fn add(&mut self, rgb: &[u8]) -> Result<(), VideoError> {
        match self.stdin.as_mut().map(|stdin| stdin.write_all(rgb)) {
            Some(Ok(())) => Ok(()),
            // It ended, and says why.
            _ => Err(self.failure()),
        }
    }

    /// Waits until the file is whole.
    pub fn finish(mut self) -> Result<(), VideoError> {
        drop(self.stdin.take());
        if self.child.wait().map_err(VideoError::Read)?.success() { Ok(()) } else { Err(self.failure()) }
    }

    fn failure(&mut self) -> VideoError {
        drop(self.stdin.take());
        let message = last_words(self.child.stderr.take());
        let _ = self.child.wait();
        VideoError::Ffmpeg { what: "encode", message }
    }
}

impl Drop for Encoded {
    fn drop(&mut self) {
        drop(self.stdin.take());
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
