//! Video: frames from where they come, objects followed from frame to frame, and files about all of them.
//!
//! ```text
//! Frames ──▶ Image ──▶ FeatureMap ──Tracker──▶ Tracked ──▶ VideoWriter ──▶ masks, overlays, tracks
//! ```
//!
//! | file | what |
//! |---|---|
//! | `frames.rs` | [`Frames`]: a folder, an animation, a stream, or what ffmpeg decodes |
//! | `y4m.rs`, `animation.rs`, `ffmpeg.rs` | the sources that are no folder |
//! | `motion.rs` | where each patch was in the frame before |
//! | `track.rs` | [`Tracker`]: each frame starts from the one before |
//! | `identity.rs` | which object is which: ids that live on |
//! | `smooth.rs` | both directions: what the frames after know |
//! | `write.rs` | the files |
//! | `run.rs` | all of it, in a pipeline |

mod animation;
mod error;
mod ffmpeg;
mod frames;
mod identity;
mod motion;
mod run;
mod smooth;
mod track;
mod write;
mod y4m;

pub use error::VideoError;
pub use frames::{Frame, Frames};
pub use run::{Follow, Followed};
pub use track::{Tracked, Tracker, Tracking};
pub use write::{Outputs, VideoFormat, VideoWriter, Written};
pub use y4m::Y4m;
