//! What a batch reports while it runs and when it ends, and when there is no use in going on.

use super::inputs::{Input, LeftOut};
use super::outputs::Outputs;
use super::{JobError, Listener};
use crate::export::Report;
use std::collections::BTreeMap;
use std::fmt;
use std::io::ErrorKind;
use std::ops::{AddAssign, ControlFlow};
use std::path::PathBuf;

/// So many images in a row whose results cannot be written are enough.
const HOPELESS: usize = 3;

/// What a batch reports. `D` is what its task returns for an image.
#[derive(Debug)]
#[non_exhaustive]
pub enum Event<'a, D = Report> {
    /// The images are known, and the results can be written.
    Begin {
        /// How many images there are.
        images: usize,
        /// Whether results are written, rather than only reported.
        writes: bool,
    },
    /// Something other than an image failed: an input that names no image, or a file of the whole run.
    Failed {
        /// The input, or the names of the files.
        name: &'a str,
        /// Why.
        error: &'a JobError,
    },
    /// What became of an image; in the order of the inputs.
    Image {
        /// The image.
        input: &'a Input,
        /// Paths of all its results.
        outputs: &'a [String],
        /// Paths of the results that were written now, also if it failed later.
        written: &'a [String],
        /// What became of it.
        outcome: Outcome<D>,
    },
    /// The batch was cancelled a while ago, and images at hand still take time. Nothing is being written as long as this is handled: a
    /// program may end itself here.
    Late(&'a Summary),
}

/// How many results were there and are left as they are, though no run made them so.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Left {
    /// Those without a record, which overwriting would replace: another program wrote or changed them.
    pub unrecorded: usize,
    /// Those of formats that [keep edited](crate::export::annotation::Annotate::keeps_edited), which nothing replaces: a person wrote or
    /// changed them.
    pub edited: usize,
}

impl AddAssign for Left {
    fn add_assign(&mut self, other: Self) {
        self.unrecorded += other.unrecorded;
        self.edited += other.edited;
    }
}

/// What became of an image.
#[derive(Debug)]
#[non_exhaustive]
pub enum Outcome<D = Report> {
    /// Its results were made.
    Done {
        /// What the task returned.
        done: D,
        /// What the decoder did that may matter.
        notes: Vec<String>,
        /// What of its file is missing or wrong, if the decoder keeps damaged images.
        damage: Option<String>,
        /// Results that were there and are left.
        left: Left,
    },
    /// Its annotation files were made from the regions that were there; the rest was there, too.
    Annotated {
        /// Results that were there and are left.
        left: Left,
    },
    /// All its results were there.
    Skipped {
        /// Those of them that are none of ours.
        left: Left,
    },
    /// Results of other settings are there, and are left.
    Differs {
        /// How the settings differ, in words.
        how: String,
    },
    /// The batch was cancelled before it was done: it is left for the next run.
    Cancelled,
    /// It failed.
    Failed(JobError),
}

/// Why a batch ended before all images were done.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Stopped {
    /// The batch was cancelled.
    Cancelled,
    /// The listener said `Break`.
    Listener,
    /// The output folder is no longer there.
    OutputGone {
        /// The folder.
        folder: PathBuf,
    },
    /// The disk is full or can only be read.
    DiskFull,
    /// Results could not be written, image after image.
    Unwritable,
}

impl fmt::Display for Stopped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cancelled => f.write_str("the work was cancelled"),
            Self::Listener => f.write_str("the caller asked for no more"),
            Self::OutputGone { folder } => write!(f, "the output folder {} is gone", folder.display()),
            Self::DiskFull => f.write_str("the disk takes no more"),
            Self::Unwritable => write!(f, "the results of {HOPELESS} images in a row could not be written"),
        }
    }
}

/// How well simplified polygons fit the masks that they are of.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct PolygonFit {
    /// How many regions have polygons.
    pub regions: usize,
    /// Mean of their intersections over unions with the masks.
    pub mean: f64,
    /// The worst of them.
    pub worst: f64,
    /// The image that it is in.
    pub worst_image: String,
}

/// What a batch did.
#[derive(Debug, Clone, Default, PartialEq)]
#[non_exhaustive]
pub struct Summary {
    /// Images that the inputs name.
    pub images: usize,
    /// Images whose results were made.
    pub done: usize,
    /// Images whose annotation files were made from regions that were there.
    pub annotated: usize,
    /// Images whose results were there.
    pub skipped: usize,
    /// Results that were there and are left, though no run made them so.
    pub left: Left,
    /// Images with results of other settings, which were left.
    pub differing: usize,
    /// Failed images, inputs that name no image, and failures of files of the whole run.
    pub failures: usize,
    /// Images that were not worked on, since the batch stopped.
    pub not_done: usize,
    /// Damaged images that were done all the same.
    pub damaged: usize,
    /// Files written.
    pub files: usize,
    /// Paths of the files of the whole run that were written.
    pub run_files: Vec<String>,
    /// How well simplified polygons fit their masks, if any were made.
    pub polygons: Option<PolygonFit>,
    /// Files in folders that look like images but are not read: how many of each kind.
    pub left_out: BTreeMap<LeftOut, usize>,
    /// Images that share their name with others of another extension, so that programs which look for annotation files by the name alone do not
    /// find theirs.
    pub unpaired: usize,
    /// Why images were not done, if any were not.
    pub stopped: Option<Stopped>,
}

impl Summary {
    /// Whether everything is there that was asked for.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.failures == 0 && self.differing == 0 && self.not_done == 0
    }
}

/// What became of an image, and the files written whatever became of it.
pub(super) struct Finished<D> {
    pub outcome: Outcome<D>,
    pub written: Vec<String>,
}

/// Counts, and passes on.
pub(super) struct Progress<'a, 'l, D> {
    summary: Summary,
    /// Failures of the disk since the last success.
    faults: usize,
    outputs: &'a Outputs,
    listener: &'a mut Listener<'l, D>,
}

impl<'a, 'l, D> Progress<'a, 'l, D> {
    pub fn new(
        images: usize,
        left_out: BTreeMap<LeftOut, usize>,
        outputs: &'a Outputs,
        listener: &'a mut Listener<'l, D>,
    ) -> Self {
        // A listener that wants no more says so again.
        let _ = listener(Event::Begin { images, writes: outputs.writes() });
        let summary = Summary { images, left_out, not_done: images, ..Summary::default() };
        Self { summary, faults: 0, outputs, listener }
    }

    /// Reports a failure of something other than an image.
    pub fn failed(&mut self, name: &str, error: &JobError) -> ControlFlow<()> {
        self.summary.failures += 1;
        let flow = (self.listener)(Event::Failed { name, error });
        self.stop_if(flow)
    }

    /// Reports what became of an image. `Break` if there is no use in going on.
    pub fn image(&mut self, input: &Input, outputs: &[String], Finished { outcome, written }: Finished<D>) -> ControlFlow<()> {
        let summary = &mut self.summary;
        summary.files += written.len();
        summary.not_done -= usize::from(!matches!(outcome, Outcome::Cancelled));
        let mut hopeless = None;
        match &outcome {
            Outcome::Done { damage, left, .. } => {
                summary.done += 1;
                summary.left += *left;
                summary.damaged += usize::from(damage.is_some());
                self.faults = 0;
            }
            Outcome::Annotated { left } => {
                summary.annotated += 1;
                summary.left += *left;
                self.faults = 0;
            }
            Outcome::Skipped { left } => {
                summary.skipped += 1;
                summary.left += *left;
            }
            Outcome::Differs { .. } => summary.differing += 1,
            Outcome::Cancelled => {}
            Outcome::Failed(error) => {
                summary.failures += 1;
                hopeless = self.despair(error);
            }
        }
        let flow = (self.listener)(Event::Image { input, outputs, written: &written, outcome });
        if let Some(why) = hopeless {
            self.summary.stopped.get_or_insert(why);
        }
        self.stop_if(flow)
    }

    fn stop_if(&mut self, flow: ControlFlow<()>) -> ControlFlow<()> {
        if flow.is_break() {
            self.summary.stopped.get_or_insert(Stopped::Listener);
        }
        if self.summary.stopped.is_some() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    }

    /// Why no other image's results could be written either, if so.
    fn despair(&mut self, error: &JobError) -> Option<Stopped> {
        if !matches!(error, JobError::File(_)) {
            return None;
        }
        self.faults += 1;
        if let Some(folder) = self.outputs.is_gone() {
            return Some(Stopped::OutputGone { folder: folder.into() });
        }
        if error.has_kind(&[ErrorKind::StorageFull, ErrorKind::QuotaExceeded, ErrorKind::ReadOnlyFilesystem]) {
            return Some(Stopped::DiskFull);
        }
        // Something in the way of a name or a sub-folder is no fault of the disk.
        let of_a_name =
            [ErrorKind::AlreadyExists, ErrorKind::InvalidFilename, ErrorKind::NotADirectory, ErrorKind::PermissionDenied];
        let is_hopeless = self.faults >= HOPELESS && !(error.has_kind(&of_a_name) && self.outputs.takes_files());
        is_hopeless.then_some(Stopped::Unwritable)
    }

    /// Reports that images at hand take time after the batch was cancelled.
    pub fn late(&mut self) -> ControlFlow<()> {
        let _nothing_is_written = self.outputs.hold();
        let mut summary = self.summary.clone();
        summary.stopped.get_or_insert(Stopped::Cancelled);
        (self.listener)(Event::Late(&summary))
    }

    /// Whether every image was worked on.
    pub fn is_whole(&self) -> bool {
        self.summary.not_done == 0
    }

    /// Whether results of other settings were left.
    pub fn has_differing(&self) -> bool {
        self.summary.differing > 0
    }

    /// Counts files of the whole run.
    pub fn run_files(&mut self, written: Vec<String>) {
        self.summary.files += written.len();
        self.summary.run_files.extend(written);
    }

    /// Keeps how many images' files are not found by their names.
    pub fn unpaired(&mut self, images: usize) {
        self.summary.unpaired = images;
    }

    /// Keeps how well polygons fit.
    pub fn polygons(&mut self, fit: Option<PolygonFit>) {
        self.summary.polygons = fit;
    }

    pub fn finish(self, cancelled: bool) -> Summary {
        let mut summary = self.summary;
        if summary.not_done == 0 {
            summary.stopped = None;
        } else if cancelled {
            summary.stopped.get_or_insert(Stopped::Cancelled);
        }
        summary
    }
}
