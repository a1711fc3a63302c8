//! Progress: a callback for each step, which can cancel.

use std::ops::ControlFlow;

/// A step of the work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Step {
    /// Resizing and normalizing the image.
    Resize,
    /// Computing the features.
    Backbone,
    /// Building a graph and propagating features over it.
    Graph,
    /// An epoch of training, counted from 0, or a classical method in place of it.
    Train {
        /// Epochs before this one, in this stage.
        epoch: usize,
    },
    /// From the grid of patches to pixels.
    Upsample,
    /// Moving edges to the image's edges.
    Refine,
}

impl Step {
    /// Its name in reports: `resize`, `backbone`, `graph`, `train`, `upsample` or `refine`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Resize => "resize",
            Self::Backbone => "backbone",
            Self::Graph => "graph",
            Self::Train { .. } => "train",
            Self::Upsample => "upsample",
            Self::Refine => "refine",
        }
    }
}

/// Called as each step begins; returns `Break` to cancel the work.
pub type Observer<'a> = dyn FnMut(Step) -> ControlFlow<()> + 'a;

/// The observer returned `Break`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the work was cancelled")]
pub struct Cancelled;

/// Tells the observer of a step.
///
/// # Errors
/// [`Cancelled`] if it says `Break`.
pub(crate) fn begin(observe: &mut Observer<'_>, step: Step) -> Result<(), Cancelled> {
    if observe(step).is_break() { Err(Cancelled) } else { Ok(()) }
}

/// An observer that lets everything go on.
pub(crate) fn go_on(_: Step) -> ControlFlow<()> {
    ControlFlow::Continue(())
}
