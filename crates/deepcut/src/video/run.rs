//! A video from its frames to what is found in them, in a pipeline: one thread decodes frames, some compute their features, a frame each, one follows
//! objects through them in order, and the caller's takes the results. At most a few frames are on their way, so memory does not grow with the video.

use super::VideoError;
use super::frames::{Frame, Frames};
use super::smooth::{Smoothed, Smoother};
use super::track::{Tracked, Tracker, Tracking};
use crate::batch::ordered::guarded;
use crate::features::FeatureMap;
use crate::image::{Filter, Image};
use crate::segmenter::Segmenter;
use std::collections::BTreeMap;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

/// Frames that a stage may be ahead of the next, but for those that are at work.
const AHEAD: usize = 2;

/// How a video is followed.
pub struct Follow<'a> {
    /// The network, and how images are cut.
    pub segmenter: &'a Segmenter,
    /// How frames are joined.
    pub tracking: Tracking,
    /// Threads that compute features, each those of a frame; None: as many as Rayon's pool has. Another follows objects meanwhile, which takes a third
    /// of their time. The results do not depend on it.
    pub threads: Option<usize>,
    /// Whether to stop; what was begun is finished.
    pub cancelled: &'a (dyn Fn() -> bool + Sync),
}

/// A frame that was followed.
pub struct Followed {
    /// Its number, counted from 0.
    pub index: usize,
    /// What its results are called.
    pub name: String,
    /// Its file's name.
    pub file_name: String,
    /// Seconds from the first frame.
    pub time: f64,
    /// The image, in the size of the first frame; None if it cannot be read.
    pub image: Option<Image<'static>>,
    /// Height and width that it had, if they were others than the first frame's.
    pub resized_from: Option<(usize, usize)>,
    /// What was found, or the frame before again. None of a frame that cannot be read, before any that can.
    pub tracked: Option<Tracked>,
    /// Why the frame is bridged.
    pub error: Option<VideoError>,
    /// Seconds that its features and its tracking took.
    pub seconds: [f64; 2],
}

/// A frame that was read: its place among all, the size of the first, and the seconds that reading took.
struct Read {
    place: usize,
    frame: Frame,
    size: Option<(usize, usize)>,
    seconds: f64,
}

/// A frame on its way.
struct Prepared {
    place: usize,
    index: usize,
    name: String,
    file_name: String,
    time: f64,
    resized_from: Option<(usize, usize)>,
    seen: Result<(Image<'static>, FeatureMap), VideoError>,
    seconds: f64,
}

impl Follow<'_> {
    /// Follows objects through all frames and calls `each` with every one, in order. An error of `each` ends it. True if it came to the end, false if it
    /// was cancelled.
    ///
    /// # Errors
    /// [`VideoError`] if the video breaks off, after all frames before were given; or what `each` returns.
    pub fn run(&self, frames: Frames, each: impl FnMut(Followed) -> Result<(), VideoError>) -> Result<bool, VideoError> {
        let tracker = Tracker::new(self.segmenter.cpu().clone(), self.segmenter.options().clone(), self.tracking)?;
        self.pipeline(frames, |frames, out| track(tracker, frames, &out), each)
    }

    /// As [`Follow::run`], with what the frames after each frame know of it, too. `open` opens the video; it is read twice.
    ///
    /// # Errors
    /// As [`Follow::run`].
    pub fn run_both_ways(
        &self,
        open: impl Fn() -> Result<Frames, VideoError>,
        each: impl FnMut(Followed) -> Result<(), VideoError>,
    ) -> Result<bool, VideoError> {
        let tracker = Tracker::new(self.segmenter.cpu().clone(), self.segmenter.options().clone(), self.tracking)?;
        let smoother = Smoother::new(self.segmenter.cpu().clone(), self.tracking)?;
        let mut smoothed = None;
        let ended = self.pipeline(
            open()?,
            |frames, out| drop(out.send(smooth(smoother, frames))),
            |found| {
                smoothed = Some(found?);
                Ok(())
            },
        );
        match smoothed {
            // What breaks off the first time does so the second time, after the frames before it.
            Some(smoothed) if !matches!(ended, Ok(false)) => {
                let tracker = tracker.with_smoothed(smoothed);
                self.pipeline(open()?, |frames, out| track(tracker, frames, &out), each)
            }
            _ => ended,
        }
    }

    /// Frames to `middle` on a thread, and what it makes of them to `each`.
    fn pipeline<T: Send>(
        &self,
        frames: Frames,
        middle: impl FnOnce(InOrder, SyncSender<T>) + Send,
        mut each: impl FnMut(T) -> Result<(), VideoError>,
    ) -> Result<bool, VideoError> {
        let workers = self.threads.unwrap_or_else(rayon::current_num_threads).max(1);
        let pool = || {
            // A frame on each thread beats threads inside a frame.
            let pool = rayon::ThreadPoolBuilder::new().num_threads(1).build();
            pool.map_err(|error| VideoError::Broken { what: error.to_string() })
        };
        let pools: Vec<_> = (0..workers).map(|_| pool()).collect::<Result<_, _>>()?;
        let of_middle = pool()?;
        std::thread::scope(|scope| {
            // Who reads a frame needs a ticket; it is given back when the frame is taken in its order.
            let (give_back, tickets) = sync_channel(workers + AHEAD);
            for _ in 0..workers + AHEAD {
                give_back.send(()).ok();
            }
            let (to_workers, frames_read) = sync_channel(AHEAD);
            let (to_middle, prepared) = sync_channel(AHEAD);
            let (to_caller, results) = sync_channel(AHEAD);
            let frames_read = Arc::new(Mutex::new(frames_read));
            let reader = scope.spawn(move || self.read(frames, &tickets, &to_workers));
            for pool in pools {
                let (frames_read, to_middle) = (frames_read.clone(), to_middle.clone());
                scope.spawn(move || pool.install(|| self.prepare_all(&frames_read, &to_middle)));
            }
            // Those of the workers are all there are: with the last of them a channel ends.
            drop((frames_read, to_middle));
            let in_order = InOrder { prepared, early: BTreeMap::new(), next: 0, give_back };
            scope.spawn(move || of_middle.install(move || middle(in_order, to_caller)));
            let mut ended = Ok(());
            for result in results {
                ended = each(result);
                if ended.is_err() {
                    // With the receiver the threads before it end.
                    break;
                }
            }
            let read = reader.join().unwrap_or_else(|_| Err(VideoError::Broken { what: "its reader failed".into() }));
            ended.and(read)
        })
    }

    /// Reads frames. True at the end, false if cancelled or nobody waits for them.
    fn read(&self, mut frames: Frames, tickets: &Receiver<()>, out: &SyncSender<Read>) -> Result<bool, VideoError> {
        let mut size = None;
        for place in 0.. {
            if tickets.recv().is_err() || (self.cancelled)() {
                return Ok(false);
            }
            let begin = Instant::now();
            let Some(frame) = frames.next_frame()? else { return Ok(true) };
            if let Ok(image) = &frame.image {
                size.get_or_insert((image.height(), image.width()));
            }
            if out.send(Read { place, frame, size, seconds: begin.elapsed().as_secs_f64() }).is_err() {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Computes the features of frames until there are no more, or nobody waits for them.
    fn prepare_all(&self, frames: &Mutex<Receiver<Read>>, out: &SyncSender<Prepared>) {
        loop {
            let frame = frames.lock().unwrap_or_else(PoisonError::into_inner).recv();
            let Ok(frame) = frame else { return };
            if out.send(self.prepare(frame)).is_err() {
                return;
            }
        }
    }

    fn prepare(&self, Read { place, frame: Frame { index, name, file_name, time, image }, size, seconds }: Read) -> Prepared {
        let begin = Instant::now();
        let view = self.segmenter.options().needed_view();
        let mut resized_from = None;
        let seen = image.map_err(VideoError::Image).and_then(|image| {
            let own = (image.height(), image.width());
            let (height, width) = size.unwrap_or(own);
            let image = if own == (height, width) {
                image
            } else {
                resized_from = Some(own);
                image.resize(height, width, Filter::Bilinear)?
            };
            let map = guarded(|| Ok::<_, VideoError>(self.segmenter.features_with(&image, &view)?))?;
            Ok((image, map))
        });
        let seconds = seconds + begin.elapsed().as_secs_f64();
        Prepared { place, index, name, file_name, time, resized_from, seen, seconds }
    }
}

/// Prepared frames in their order, whoever was ready first.
struct InOrder {
    prepared: Receiver<Prepared>,
    /// Those that others come before.
    early: BTreeMap<usize, Prepared>,
    next: usize,
    give_back: SyncSender<()>,
}

impl Iterator for InOrder {
    type Item = Prepared;

    fn next(&mut self) -> Option<Prepared> {
        while !self.early.contains_key(&self.next) {
            let frame = self.prepared.recv().ok()?;
            self.early.insert(frame.place, frame);
        }
        let frame = self.early.remove(&self.next)?;
        self.next += 1;
        // Nobody takes it at the end of the video.
        self.give_back.try_send(()).ok();
        Some(frame)
    }
}

/// Looks at all frames for the first time.
fn smooth(mut smoother: Smoother, frames: InOrder) -> Result<Smoothed, VideoError> {
    guarded(|| {
        for frame in frames {
            if let Ok((_, map)) = &frame.seen {
                smoother.add(frame.index, map)?;
            }
        }
        smoother.finish()
    })
}

/// Follows objects through prepared frames.
fn track(mut tracker: Tracker, frames: InOrder, out: &SyncSender<Followed>) {
    for Prepared { index, name, file_name, time, resized_from, seen, seconds, .. } in frames {
        let begin = Instant::now();
        tracker.go_to(index);
        let found = seen.and_then(|(image, map)| {
            let tracked = guarded(|| Ok::<_, VideoError>(tracker.next_frame(&image, map)?))?;
            Ok((image, tracked))
        });
        let (image, tracked, error) = match found {
            Ok((image, tracked)) => (Some(image), Some(tracked), None),
            Err(error) => (None, tracker.bridge(), Some(error)),
        };
        let seconds = [seconds, begin.elapsed().as_secs_f64()];
        if out.send(Followed { index, name, file_name, time, image, resized_from, tracked, error, seconds }).is_err() {
            return;
        }
    }
}
