//! The command `fit`: from photographs nobody labeled to a file that tells objects from background in a network's features.

use crate::args::{FitArgs, TeacherArg};
use crate::reporter::{Describe, Status};
use crate::words::{self, count};
use crate::{batch, eval, memory, network};
use anyhow::{Context, bail};
use deepcut::backbone::{Prior, embedded};
use deepcut::batch::{Destination, collect, files};
use deepcut::fit::{Fit, FitError, Lesson};
use deepcut::{Options, Segmenter};
use serde_json::json;

/// Fits a prior to everything the command line names, and writes it.
pub fn run(args: &FitArgs) -> anyhow::Result<Status> {
    if args.teacher == TeacherArg::Embedded && args.network.prior.is_some() {
        bail!("--prior is for --teacher self: then the network's own cut, with that prior, teaches the next one");
    }
    if args.network.log_bin {
        bail!("--log-bin cannot be fitted: a prior looks at single patches; once fitted, it can be used with --log-bin");
    }
    eval::check_free("-o", &args.output, args.overwrite)?;
    let mut found = collect(&args.inputs);
    found.limit(args.limit);
    let inputs = args.files();
    let work = batch::batch(&inputs, &args.run, &args.network, Destination::Folder(".".into()));
    let mut fitted = Err(FitError::Stopped);
    let status = batch::run(
        &inputs,
        &args.run,
        &work,
        &found,
        || pipelines(args),
        |prepared, (network, teacher), listener| {
            let fit = Fit::new(network).seed(args.seed);
            let (summary, prior) = prepared.fit(teacher.as_ref().map_or(fit, |teacher| fit.teacher(teacher)), listener)?;
            fitted = prior;
            Ok(summary)
        },
    )?;
    match fitted {
        Ok(prior) => {
            files::write(&args.output, &prior.to_bytes()?, args.overwrite)?;
            tell(args, &prior, found.inputs.len())?;
            Ok(status)
        }
        // The batch has said so.
        Err(FitError::Stopped) => Ok(status.max(1)),
        Err(error) => {
            words::say(&format!("deepcut: {}", words::chain(&error.into())));
            Ok(status.max(1))
        }
    }
}

/// The pipeline of the network, and that of the teacher if it is another.
fn pipelines(args: &FitArgs) -> anyhow::Result<(Segmenter, Option<Segmenter>)> {
    let mut options = Options::default();
    options.recipe.method = args.method;
    options.recipe.precision = args.network.precision();
    options.seed = args.seed;
    let mut own = options.clone();
    own.view.resolution = args.resolution;
    let network = network::segmenter_for_prior(&args.network, &args.run, own)?;
    if args.teacher == TeacherArg::Itself {
        return Ok((network, None));
    }
    let cpu = network.cpu().clone();
    let teacher = embedded::load(&cpu, options.recipe.precision).context("cannot use the embedded network")?;
    let teacher = Segmenter::new(Box::new(teacher), options, cpu)?;
    Ok((network, Some(teacher.with_memory(memory::limit(args.run.max_memory, 1.0)))))
}

/// Says what was learned, and how well.
fn tell(args: &FitArgs, prior: &Prior, images: usize) -> anyhow::Result<()> {
    let (output, fitted) = (args.output.display().to_string(), prior.fitted());
    if args.json {
        let object = json!({ "type": "prior", "output": output, "sha256": prior.sha256(), "fitted": fitted });
        crate::show(format!("{object}\n").as_bytes())?;
    }
    if args.run.quiet {
        return Ok(());
    }
    let how_good = match &fitted.held_out {
        Some(held) => format!(
            "on {} held out, it agrees with its teacher on {:.1} % of the patches, and on the object with an intersection over union of {:.2}",
            count(held.images, "image"),
            100.0 * held.accuracy,
            held.iou
        ),
        None => "too few images to hold any out, so nothing says how good it is".into(),
    };
    words::say(&format!(
        "{output}: learned from {} patches of {} of {}, resolution {}, teacher {}; {how_good}",
        fitted.patches,
        fitted.images,
        count(images, "image"),
        fitted.resolution,
        fitted.teacher
    ));
    Ok(())
}

impl Describe for Lesson {
    fn text(&self) -> String {
        let area = 100.0 * self.area;
        if self.is_used {
            format!("object of {area:.0} % of the image")
        } else {
            format!("not learned from: the object covers {area:.0} % of the image")
        }
    }

    fn json(&self) -> serde_json::Result<Vec<u8>> {
        serde_json::to_vec(&json!({ "type": "picture", "area": self.area, "used": self.is_used }))
    }
}
