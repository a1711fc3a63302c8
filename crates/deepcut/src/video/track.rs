//! Following objects from frame to frame.
//!
//! ```text
//! l ← (1 − γ) l + γ · carried(s)        l: what the network says of this frame; s: the log-odds of the frame before, as it was cut
//! ```
//!
//! | symbol | code      | shape                  | meaning                                     |
//! |--------|-----------|------------------------|---------------------------------------------|
//! | l      | `odds`    | `[n]`, or finer        | log-odds of an object: the prior of the cut |
//! | s      | `odds` of the state | the same     | log-odds of the foreground, once cut        |
//! | γ      | `inertia` | number                 | share of what was known before              |
//!
//! Where the network says where objects are, the first frame of a scene is cut, and in the others the object is where the prior says: a cut costs as much as
//! the network, and what it joins to the object once would stay, since training drives log-odds apart. Parts, and objects that the network does not know of,
//! are cut in every frame with that prior, by the network of the frame before trained for fewer epochs. What the network sees in one frame only is damped by
//! γ, and what it misses in one frame lives on. Where most patches find nothing like them in the frame before, a new scene begins: the frame is cut as an
//! image of its own, and ids are new.

use super::identity::Identities;
use super::motion::{Directions, Motion};
use super::smooth::{Odds, Smoothed};
use crate::baseline::Method;
use crate::cpu::Cpu;
use crate::features::FeatureMap;
use crate::image::Image;
use crate::options::Options;
use crate::segment::{ClusterError, Clustering, Mode, Recipe, Start};
use crate::segmentation::{Kind, Meaning, Segmentation};
use crate::segmenter::Error;
use crate::setting::{OptionError, builders, check, check_range};
use std::collections::BTreeMap;

/// Log-odds beyond this say no more; what is surer of itself could not be told better.
const MOST_ODDS: f32 = 8.0;

/// How frames are joined.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct Tracking {
    /// γ: share of the frame before in what a frame's cut begins with, in [0, 1). 0: every frame for itself.
    pub inertia: f32,
    /// Training epochs of a frame that starts from the one before, of the image and of its parts; each at least 1.
    pub epochs: [usize; 2],
    /// The object is cut again in every so many frames, by the network of the last cut trained on. Between them it is where the prior says, which has the
    /// frame before in it. 0: only where a scene begins. Parts are cut in every frame, and so are frames of a network that says nothing of objects.
    pub recut: usize,
    /// A new scene begins where less of a frame is in the one before, in [0, 1]: 1 would be all of it.
    pub least_kinship: f32,
}

impl Default for Tracking {
    fn default() -> Self {
        Self { inertia: 0.8, epochs: [6, 8], recut: 0, least_kinship: 0.4 }
    }
}

impl Tracking {
    builders! {
        /// Sets the share of the frame before.
        inertia: f32,
        /// Sets the epochs of a warm start.
        epochs: [usize; 2],
        /// Sets how often the object is cut again.
        recut: usize,
        /// Sets how much of a frame must be in the one before.
        least_kinship: f32;
    }

    /// Checks every value against its range.
    ///
    /// # Errors
    /// [`OptionError`], naming the first value out of range.
    pub fn validate(&self) -> Result<(), OptionError> {
        check("inertia", self.inertia, (0.0..1.0).contains(&self.inertia), "at least 0, below 1")?;
        let [image, parts] = self.epochs;
        check("epochs", format!("{image},{parts}"), image > 0 && parts > 0, "two numbers from 1 on")?;
        check_range("least_kinship", self.least_kinship, 0.0, 1.0, "0 to 1")
    }
}

/// What was found in a frame.
#[derive(Debug, Clone, PartialEq)]
pub struct Tracked {
    /// Labels of its pixels; a label is the same object or part in every frame of a scene.
    pub segmentation: Segmentation,
    /// The id of each label's object or part. Ids live on while it is followed, and are not used again.
    pub ids: BTreeMap<u8, u32>,
    /// The scene it belongs to, counted from 1.
    pub scene: usize,
    /// Whether the frame could not be read, and this is the frame before again.
    pub bridged: bool,
}

/// What is known of the frame before.
struct State {
    directions: Directions,
    clustering: Clustering,
    /// Log-odds of the foreground, and the cells along a patch's side; None without any.
    odds: Option<Odds>,
}

/// Follows objects through the frames of a video. Give it the frames in their order.
///
/// ```
/// use deepcut::video::{Tracker, Tracking};
/// use deepcut::{Cpu, FeatureMap, Image, Options};
///
/// // Frames of 6 × 8 pixels, each of which is a patch; an object goes to the right.
/// let mut tracker = Tracker::new(Cpu::default(), Options::default(), Tracking::default())?;
/// for x in 1..5 {
///     let inside = |at: usize| (2..4).contains(&(at / 8)) && (x..x + 2).contains(&(at % 8));
///     let image = Image::new(6, 8, (0..48).flat_map(|at| if inside(at) { [200, 90, 90] } else { [0, 90, 90] }).collect())?;
///     let features = (0..48).flat_map(|at| if inside(at) { [1.0, 0.0] } else { [0.0, 1.0] }).collect();
///     let found = tracker.next_frame(&image, FeatureMap::new(6, 8, 2, features)?)?;
///     assert!((0..48).all(|at| (found.segmentation.labels()[at] == 1) == inside(at)));
///     assert_eq!((found.ids[&1], found.scene), (1, 1));
/// }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Tracker {
    cpu: Cpu,
    options: Options,
    tracking: Tracking,
    state: Option<State>,
    identities: Identities,
    scene: usize,
    last: Option<Tracked>,
    /// Frames since the last cut.
    since_cut: usize,
    /// The number of the next frame.
    frame: usize,
    /// What each frame's cut begins with, where the whole video was seen before.
    smoothed: Option<Smoothed>,
}

impl Tracker {
    /// A tracker that has seen nothing yet.
    ///
    /// # Errors
    /// [`Error::Option`] if an option is out of its range.
    pub fn new(cpu: Cpu, mut options: Options, tracking: Tracking) -> Result<Self, Error> {
        options.validate()?;
        tracking.validate()?;
        options.recipe.precision = options.recipe.precision_on(&cpu);
        let (state, identities, last, smoothed) = (None, Identities::default(), None, None);
        Ok(Self { cpu, options, tracking, state, identities, scene: 0, last, since_cut: 0, frame: 0, smoothed })
    }

    /// The next frame is the one of this number.
    pub(super) fn go_to(&mut self, frame: usize) {
        self.frame = frame;
    }

    /// With what both directions know of each frame.
    pub(super) fn with_smoothed(self, smoothed: Smoothed) -> Self {
        Self { smoothed: Some(smoothed), ..self }
    }

    /// Follows the objects to the next frame. `map` has the features of `image`.
    ///
    /// # Errors
    /// [`Error::Cluster`] if the features cannot be clustered. The frame may be [bridged](Tracker::bridge), and the next one followed.
    pub fn next_frame(&mut self, image: &Image, map: FeatureMap) -> Result<Tracked, Error> {
        let directions = Directions::of(&map);
        let before = self.state.as_ref();
        let motion = before.and_then(|before| Motion::find(&self.cpu, &directions, &before.directions));
        let motion = motion.filter(|motion| motion.kinship() >= self.tracking.least_kinship);
        let scale = map.fine_objectness().map_or(1, |(scale, _)| scale);
        let is_whole = |(own, odds): &Odds| *own == scale && odds.len() == map.patches() * scale * scale;
        let known = self.smoothed.as_mut().and_then(|smoothed| smoothed.odds(self.frame)).filter(is_whole);
        let odds = known.or_else(|| self.odds(&map, motion.as_ref()));
        let map = match &odds {
            Some((1, odds)) => map.with_objectness(odds.clone())?,
            Some((scale, odds)) => map.with_fine_objectness(*scale, odds.clone())?,
            None => map,
        };
        let clustering = self.cut(&map, motion.is_some())?;
        if motion.is_none() {
            self.scene += 1;
            self.identities.start_anew();
        }
        let found = self.options.finish.to_pixels(&self.cpu, image, &clustering);
        let tracked = self.named(found, &directions, motion.as_ref());
        let odds = known_odds(&clustering, odds);
        self.state = Some(State { directions, clustering, odds });
        Ok(self.last.insert(tracked).clone())
    }

    /// What to take for a frame that cannot be read: the frame before again. None before the first.
    pub fn bridge(&mut self) -> Option<Tracked> {
        self.last.clone().map(|last| Tracked { bridged: true, ..last })
    }

    /// What the cut begins with: what the network says, and what was known before; with the cells along a patch's side.
    fn odds(&self, map: &FeatureMap, motion: Option<&Motion>) -> Option<Odds> {
        let own = bounded_odds(map);
        let scale = own.as_ref().map_or(1, |(scale, _)| *scale);
        let before = self.state.as_ref().and_then(|state| state.odds.as_ref()).filter(|(own, _)| *own == scale);
        let carried = motion.zip(before).map(|(motion, (scale, odds))| motion.carry(odds, *scale));
        let inertia = self.tracking.inertia;
        match (own.map(|(_, own)| own), carried) {
            (Some(own), Some(carried)) => {
                Some((scale, own.iter().zip(carried).map(|(own, carried)| (1.0 - inertia) * own + inertia * carried).collect()))
            }
            (Some(own), None) => Some((scale, own)),
            // A network that says nothing of objects: the cut before is all there is.
            (None, Some(carried)) if inertia > 0.0 => Some((scale, carried.iter().map(|odds| inertia * odds).collect())),
            (None, _) => None,
        }
    }

    fn cut(&mut self, map: &FeatureMap, goes_on: bool) -> Result<Clustering, ClusterError> {
        let recipe = &self.options.recipe;
        self.since_cut += 1;
        if let Some(before) =
            self.state.as_ref().filter(|_| goes_on && (self.tracking.recut == 0 || self.since_cut < self.tracking.recut))
            && let Some(followed) = recipe.of_prior(map, &before.clustering)
        {
            return Ok(followed);
        }
        self.since_cut = 0;
        let maps = std::slice::from_ref(map);
        let found = match self.state.as_ref().filter(|_| goes_on && recipe.method == Method::Deepcut) {
            Some(before) => {
                let [image, parts] = self.tracking.epochs;
                let most = recipe.epochs;
                let warm = Recipe { epochs: [image.min(most[0]), parts.min(most[1]), parts.min(most[2])], ..recipe.clone() };
                warm.cluster(&self.cpu, maps, Start::From(&before.clustering))?
            }
            None => recipe.cluster(&self.cpu, maps, Start::Seed(self.options.seed))?,
        };
        // One map, one clustering.
        found.into_iter().next().ok_or(ClusterError::Cancelled)
    }

    /// With ids, and labels that live on.
    fn named(&mut self, found: Segmentation, directions: &Directions, motion: Option<&Motion>) -> Tracked {
        let (scene, bridged) = (self.scene, false);
        let labels: Vec<u8> = found.regions().iter().filter(|region| region.is_foreground()).map(|region| region.label).collect();
        if self.options.recipe.mode != Mode::Objects {
            // A label is the same part in every frame: the network that tells parts apart goes on.
            let most = self.options.recipe.meanings(0.0).len() as u32 - 1;
            let first = (scene as u32).saturating_sub(1) * most;
            let ids = labels.into_iter().map(|label| (label, first + u32::from(label))).collect();
            return Tracked { segmentation: found, ids, scene, bridged };
        }
        let names = self.identities.name(&found, &labels, directions, motion);
        let mut renamed = [0; 256];
        names.iter().for_each(|(label, (own, _))| renamed[usize::from(*label)] = *own);
        let background = Meaning { label: 0, kind: Kind::Background, part_of: None, score: found.confidence() };
        let objects = found.regions().iter().filter(|region| region.is_foreground());
        let meaning = |label: &u8, score| Meaning { label: *label, kind: Kind::Object, part_of: None, score };
        let named = objects.filter_map(|region| names.get(&region.label).map(|(own, _)| meaning(own, region.score)));
        let meanings: Vec<Meaning> = [background].into_iter().chain(named).collect();
        let (height, width, confidence, grid) = (found.height(), found.width(), found.confidence(), found.grid());
        let labels = found.into_labels().into_iter().map(|label| renamed[usize::from(label)]).collect();
        // Every label that is left has a meaning.
        let segmentation =
            Segmentation::new(height, width, labels, &meanings).unwrap_or_else(|_| Segmentation::empty(height, width));
        let ids = names.into_values().collect();
        Tracked { segmentation: segmentation.with_cut(confidence, grid), ids, scene, bridged }
    }
}

/// What the network says of a frame, within bounds.
pub(super) fn bounded_odds(map: &FeatureMap) -> Option<Odds> {
    let (scale, odds) = match map.fine_objectness() {
        Some((scale, fine)) => (scale, fine),
        None => (1, map.objectness()?),
    };
    Some((scale, odds.iter().map(|odds| odds.clamp(-MOST_ODDS, MOST_ODDS)).collect()))
}

/// The log-odds of a cut's foreground: on the finer grid, where they are known there, or of the patches; those that the cut began with if it says none.
fn known_odds(clustering: &Clustering, prior: Option<Odds>) -> Option<Odds> {
    let bounded = |odds: f32| odds.clamp(-MOST_ODDS, MOST_ODDS);
    if let Some(fine) = clustering.grid().fine() {
        return Some((fine.scale(), fine.odds().iter().copied().map(bounded).collect()));
    }
    if let Some(prior) = prior.filter(|(scale, _)| *scale > 1) {
        // Objects are told apart after the cut, which does not know what the finer grid does.
        return Some(prior);
    }
    let background = clustering.grid().groups().first()?;
    Some((1, background.probability().iter().map(|p| bounded(((1.0 - p) / p).ln())).collect()))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use super::*;

    const HEIGHT: usize = 8;
    const WIDTH: usize = 12;

    /// A frame of one pixel a patch: a square of four patches at this place before a ground, in one of two worlds that have nothing in common.
    fn frame(world: usize, top: usize, left: usize) -> (Image<'static>, FeatureMap) {
        let inside = |at: usize| (top..top + 2).contains(&(at / WIDTH)) && (left..left + 2).contains(&(at % WIDTH));
        let cells = HEIGHT * WIDTH;
        let colors = (0..cells).flat_map(|at| [200 * u8::from(inside(at)), 40 + at as u8 % 3, 90 * world as u8]).collect();
        let features = (0..cells).flat_map(|at| {
            let kind = 2 * world + usize::from(inside(at));
            (0..4).map(move |i| f32::from(u8::from(i == kind)))
        });
        let map = FeatureMap::new(HEIGHT, WIDTH, 4, features.collect()).unwrap();
        let odds = (0..cells).map(|at| if inside(at) { 3.0 } else { -3.0 }).collect();
        (Image::new(HEIGHT, WIDTH, colors).unwrap(), map.with_objectness(odds).unwrap())
    }

    fn tracker(mode: Mode, inertia: f32) -> Tracker {
        let options = Options::default().recipe(Recipe::default().mode(mode));
        Tracker::new(Cpu::single(), options, Tracking::default().inertia(inertia)).unwrap()
    }

    fn follow(tracker: &mut Tracker, frames: &[(Image<'static>, FeatureMap)]) -> Vec<Tracked> {
        frames.iter().map(|(image, map)| tracker.next_frame(image, map.clone()).unwrap()).collect()
    }

    fn square(tracked: &Tracked) -> Vec<usize> {
        tracked.segmentation.mask().iter().enumerate().filter(|(_, inside)| **inside > 0).map(|(at, _)| at).collect()
    }

    #[test]
    fn a_still_video_is_cut_warm_as_it_is_cut_cold() {
        for mode in [Mode::Object, Mode::Objects, Mode::Parts] {
            let found = follow(&mut tracker(mode, 0.8), &[frame(0, 3, 5), frame(0, 3, 5), frame(0, 3, 5)]);
            assert_eq!(square(&found[0]), [3 * WIDTH + 5, 3 * WIDTH + 6, 4 * WIDTH + 5, 4 * WIDTH + 6], "{mode:?}");
            for later in &found[1..] {
                assert_eq!(
                    (later.segmentation.labels(), &later.ids),
                    (found[0].segmentation.labels(), &found[0].ids),
                    "{mode:?}"
                );
            }
        }
    }

    #[test]
    fn a_moving_square_keeps_its_id_and_its_label() {
        for mode in [Mode::Object, Mode::Objects] {
            let frames: Vec<_> = (1..9).map(|left| frame(0, 3, left)).collect();
            let found = follow(&mut tracker(mode, 0.8), &frames);
            for (tracked, left) in found.iter().zip(1..) {
                assert_eq!(square(tracked)[0], 3 * WIDTH + left, "{mode:?}");
                assert_eq!(tracked.ids, BTreeMap::from([(1, 1)]), "{mode:?}");
                assert_eq!(tracked.scene, 1);
            }
        }
    }

    #[test]
    fn a_scene_change_starts_anew() {
        for mode in [Mode::Object, Mode::Objects] {
            let frames = [frame(0, 3, 5), frame(0, 3, 6), frame(1, 3, 6), frame(1, 3, 7), frame(0, 3, 5)];
            let found = follow(&mut tracker(mode, 0.8), &frames);
            assert_eq!(found.iter().map(|tracked| tracked.scene).collect::<Vec<_>>(), [1, 1, 2, 2, 3], "{mode:?}");
            assert_eq!(found.iter().map(|tracked| tracked.ids[&1]).collect::<Vec<_>>(), [1, 1, 2, 2, 3], "{mode:?}");
            // It is cut as a first frame is.
            assert_eq!(found[4].segmentation.labels(), found[0].segmentation.labels());
        }
    }

    #[test]
    fn what_the_network_misses_once_lives_on() {
        let (image, map) = frame(0, 3, 5);
        let blind = map.clone().with_objectness(vec![-1.0; HEIGHT * WIDTH]).unwrap();
        let frames = [(image.clone(), map.clone()), (image.clone(), blind.clone()), (image, map)];
        assert_eq!(square(&follow(&mut tracker(Mode::Object, 0.8), &frames)[1]).len(), 4);
    }

    #[test]
    fn a_bridged_frame_is_the_one_before() {
        let mut tracker = tracker(Mode::Object, 0.8);
        assert_eq!(tracker.bridge(), None);
        let found = follow(&mut tracker, &[frame(0, 3, 5)]);
        let bridged = tracker.bridge().unwrap();
        assert!(bridged.bridged && bridged.segmentation == found[0].segmentation);
        assert_eq!(follow(&mut tracker, &[frame(0, 3, 6)])[0].ids, found[0].ids);
    }

    #[test]
    fn a_network_that_says_nothing_of_objects_is_followed_too() {
        let without = |(image, map): (Image<'static>, FeatureMap)| {
            let (rows, columns) = map.grid();
            (image, FeatureMap::new(rows, columns, map.dim(), map.data().to_vec()).unwrap())
        };
        let frames: Vec<_> = (1..9).map(|left| without(frame(0, 3, left))).collect();
        for (tracked, left) in follow(&mut tracker(Mode::Object, 0.8), &frames).iter().zip(1..) {
            assert_eq!((square(tracked)[0], square(tracked).len()), (3 * WIDTH + left, 4));
        }
    }

    #[test]
    fn threads_and_sizes_change_nothing_that_they_should_not() {
        let frames: Vec<_> = (1..6).map(|left| frame(0, 2, left)).collect();
        let options = Options::default();
        let several = Cpu::builder().threads(3).build().unwrap();
        let follow_on = |cpu| follow(&mut Tracker::new(cpu, options.clone(), Tracking::default()).unwrap(), &frames);
        assert_eq!(follow_on(Cpu::single()), follow_on(several));
        // Another grid is another scene.
        let mut tracker = tracker(Mode::Object, 0.8);
        follow(&mut tracker, &frames[..1]);
        let image = Image::new(1, 2, vec![9, 9, 9, 200, 9, 9]).unwrap();
        let small = FeatureMap::new(1, 2, 4, vec![1.0, 0.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0]).unwrap();
        assert_eq!(tracker.next_frame(&image, small).unwrap().scene, 2);
    }

    #[test]
    fn options_are_checked() {
        for wrong in [Tracking::default().inertia(1.0), Tracking::default().inertia(f32::NAN), Tracking::default().epochs([0, 1])]
        {
            assert!(Tracker::new(Cpu::single(), Options::default(), wrong).is_err());
        }
        assert!(Tracking::default().least_kinship(2.0).validate().is_err());
    }
}
