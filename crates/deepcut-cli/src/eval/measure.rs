//! One image, measured with every contender.

use super::results::Entries;
use super::{Contender, Evaluation};
use anyhow::Context;
use deepcut::batch::Stopwatch;
use deepcut::components::BoundingBox;
use deepcut::cosegment::Foreground;
use deepcut::dataset::{Instances, Known, Note, Sample};
use deepcut::instances::{Instance, instances};
use deepcut::metrics::average_precision::match_instances;
use deepcut::metrics::{Histogram, accuracy, box_iou, iou, mean_absolute_error, oracle_iou};
use deepcut::progress::Observer;
use deepcut::record::{Measured, Picture};
use deepcut::{FeatureMap, Image, Options, Segmentation, View};
use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::time::Instant;

/// Measures an image with every contender, unless there is nothing to find in it. With the entries of what is written, if `is_written`.
pub fn measure(evaluation: &Evaluation, sample: &Sample, is_written: bool) -> anyhow::Result<(Picture, Option<Entries>)> {
    let bytes = std::fs::read(&sample.image).context("cannot read the file")?;
    let (image, truth, mut notes) = evaluation.set.read(sample, &bytes)?;
    if truth.is_empty() {
        notes.push(Note::Empty);
        return Ok((Picture { notes, ..Picture::default() }, None));
    }
    let mut entries = match &truth {
        Known::Instances(truth) if is_written => Some(Entries::new([image.height(), image.width()], truth)),
        _ => None,
    };
    let mut features_seconds = 0.0;
    let mut maps: Vec<(View, FeatureMap)> = Vec::new();
    let mut results = Vec::new();
    for (at, contender) in evaluation.contenders.iter().enumerate() {
        let options = &contender.options;
        let (map, seconds) = evaluation.shared_features(&image, options, &mut maps)?;
        features_seconds += seconds;
        let mut watch = Stopwatch::new("graph");
        let (found, soft) = segment(evaluation, at, &image, map, &mut |step| {
            watch.begin(step.name());
            ControlFlow::Continue(())
        })?;
        results.push(match &truth {
            Known::Instances(truth) => {
                let judged = truth.judged(instances(&found, options.recipe.mode));
                entries.iter_mut().for_each(|entries| entries.add(&judged));
                compare_instances(truth, &judged, found.confidence(), watch.seconds())
            }
            _ => compare(sample, &truth, &found, &soft, watch.seconds()),
        });
    }
    Ok((Picture { features_seconds, results, notes }, entries))
}

impl Evaluation {
    /// An image's features and the seconds they took, or the cache's and zero.
    fn features(&self, image: &Image, options: &Options) -> anyhow::Result<(FeatureMap, f64)> {
        let key = self.cache.as_ref().map(|cache| (cache, cache.key(&self.segmenter, &options.needed_view(), image)));
        if let Some(map) = key.as_ref().and_then(|(cache, key)| cache.get(key)) {
            return Ok((map, 0.0));
        }
        let begin = Instant::now();
        let map = self.segmenter.features_with(image, &options.needed_view())?;
        let seconds = begin.elapsed().as_secs_f64();
        if let Some((cache, key)) = key {
            cache.put(&key, &map)?;
        }
        Ok((map, seconds))
    }

    /// As [`Evaluation::features`]; contenders that see the image alike share them.
    fn shared_features<'a>(
        &self,
        image: &Image,
        options: &Options,
        maps: &'a mut Vec<(View, FeatureMap)>,
    ) -> anyhow::Result<(&'a FeatureMap, f64)> {
        let known = maps.iter().position(|(view, _)| *view == options.needed_view());
        let mut seconds = 0.0;
        if known.is_none() {
            let (map, took) = self.features(image, options)?;
            maps.push((options.needed_view(), map));
            seconds = took;
        }
        Ok((&maps[known.unwrap_or(maps.len() - 1)].1, seconds))
    }

    /// An image, its truth, and what the first `count` contenders made of it, for people to look at.
    pub fn show(&self, sample: &Sample, count: usize) -> anyhow::Result<(Image<'static>, Known, Vec<Segmentation>)> {
        let bytes = std::fs::read(&sample.image).context("cannot read the file")?;
        let (image, truth, _) = self.set.read(sample, &bytes)?;
        let mut maps = Vec::new();
        let made = |(at, contender): (usize, &Contender)| {
            let map = self.shared_features(&image, &contender.options, &mut maps)?.0;
            Ok(segment(self, at, &image, map, &mut |_| ControlFlow::Continue(()))?.0)
        };
        let found = self.contenders.iter().enumerate().take(count).map(made).collect::<anyhow::Result<_>>()?;
        Ok((image, truth, found))
    }
}

/// The object of an image, for the parts of the set.
pub fn foreground(evaluation: &Evaluation, sample: &Sample, options: &Options) -> anyhow::Result<Foreground> {
    let bytes = std::fs::read(&sample.image).context("cannot read the file")?;
    let (image, ..) = evaluation.set.read(sample, &bytes)?;
    let map = evaluation.features(&image, options)?.0;
    Ok(evaluation.segmenter.foreground_of(&map, options, &mut |_| ControlFlow::Continue(()))?)
}

/// Labels that a contender gives an image, and the soft mask of the foreground.
fn segment(
    evaluation: &Evaluation,
    contender: usize,
    image: &Image,
    map: &FeatureMap,
    observe: &mut Observer<'_>,
) -> anyhow::Result<(Segmentation, Vec<u8>)> {
    let (segmenter, options) = (&evaluation.segmenter, &evaluation.contenders[contender].options);
    let clustering = match evaluation.codebooks.get(contender) {
        None => segmenter.cluster_observed(map, options, observe)?,
        Some((cosegment, codebook)) => {
            let foreground = segmenter.foreground_of(map, options, observe)?;
            codebook.parts(segmenter.cpu(), &options.recipe, &foreground, cosegment.min_part)?
        }
    };
    let found = options.finish.to_pixels_observed(segmenter.cpu(), image, &clustering, observe).map_err(deepcut::Error::from)?;
    Ok((found, options.finish.soft_foreground(segmenter.cpu(), image, &clustering)))
}

fn compare_instances(truth: &Instances, found: &[Instance], confidence: f32, seconds: BTreeMap<String, f64>) -> Measured {
    let matches = match_instances(found, &truth.objects);
    let count = |count: usize| count as f64;
    let masks = &matches[0];
    let values = vec![
        ("AP of an image".into(), masks.average_precision()),
        ("objects".into(), count(masks.objects())),
        ("objects found at IoU 0.5".into(), count(masks.found())),
        ("instances".into(), count(masks.detections())),
    ];
    Measured { values, confidence, seconds, histogram: None, matches: Some(matches), points: vec![] }
}

fn compare(sample: &Sample, truth: &Known, found: &Segmentation, soft: &[u8], seconds: BTreeMap<String, f64>) -> Measured {
    let (values, histogram) = match truth {
        Known::Mask(truth) => {
            let mask: Vec<bool> = found.mask().iter().map(|&value| value > 0).collect();
            let values = vec![
                ("IoU".into(), iou(&mask, truth)),
                ("IoU, oracle side".into(), oracle_iou(&mask, truth)),
                ("accuracy".into(), accuracy(&mask, truth)),
                ("MAE".into(), mean_absolute_error(soft, truth)),
            ];
            (values, Some(Histogram::new(soft, truth)))
        }
        Known::Boxes(boxes) => {
            let hit = |b: Option<BoundingBox>| b.is_some_and(|b| boxes.iter().any(|&truth| box_iou(b, truth) >= 0.5));
            let share = |hit: bool| f64::from(u8::from(hit));
            let (chosen, other) = (found.main_box(), found.complement().main_box());
            (vec![("CorLoc".into(), share(hit(chosen))), ("CorLoc, oracle side".into(), share(hit(chosen) || hit(other)))], None)
        }
        _ => (vec![], None),
    };
    let label = |y: f64, x: f64| {
        let inside = (0.0..found.height() as f64).contains(&y) && (0.0..found.width() as f64).contains(&x);
        inside.then(|| usize::from(found.labels()[y as usize * found.width() + x as usize]))
    };
    let points = sample.keypoints.iter().filter_map(|point| Some((point.part, label(point.y, point.x)?))).collect();
    Measured { values, confidence: found.confidence(), seconds, histogram, matches: None, points }
}
