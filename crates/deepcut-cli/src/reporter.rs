//! What a run says: to people on standard error, to programs on standard output.

use crate::args::RunArgs;
use crate::stop;
use crate::words::{self, count};
use deepcut::batch::{Event, Input, JobError, Left, Outcome, Stopped, Summary};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde_json::json;
use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::ops::ControlFlow;
use std::time::Instant;

/// What is told of an image that is done.
pub trait Describe {
    /// For people, in a few words.
    fn text(&self) -> String;

    /// For programs, one JSON object.
    fn json(&self) -> serde_json::Result<Vec<u8>>;
}

/// The exit status of a run: 0 if everything is there that was asked for, 1 if not, 130 or 143 after a signal.
pub type Status = u8;

/// A progress bar on standard error, if there is more than one image and the command line does not forbid it.
pub fn progress_bar(args: &RunArgs, total: usize, template: &str) -> ProgressBar {
    let hidden = args.quiet || args.no_progress || total < 2;
    // `stderr` draws only on a terminal.
    let target = if hidden { ProgressDrawTarget::hidden() } else { ProgressDrawTarget::stderr() };
    let style = ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
    ProgressBar::with_draw_target(Some(total as u64), target).with_style(style)
}

/// Standard output and standard error of a run.
pub struct Reporter<'a> {
    args: &'a RunArgs,
    json: bool,
    bar: ProgressBar,
    begin: Instant,
    images: usize,
    /// Whether results are written, rather than only told.
    writes: bool,
    /// The first image with results of other settings, and how they differ.
    difference: Option<(String, String)>,
    /// How often each note was made.
    notes: BTreeMap<String, usize>,
    /// Lines that standard output did not take, and why.
    unsaid: usize,
    stdout: Option<String>,
}

impl<'a> Reporter<'a> {
    /// Says nothing yet; `json` is whether programs listen.
    pub fn new(args: &'a RunArgs, json: bool) -> Self {
        Self {
            args,
            json,
            bar: ProgressBar::hidden(),
            begin: Instant::now(),
            images: 0,
            writes: false,
            difference: None,
            notes: BTreeMap::new(),
            unsaid: 0,
            stdout: None,
        }
    }

    /// Says what happened. `Break` if there is no use in going on.
    pub fn handle<D: Describe>(&mut self, event: Event<'_, D>) -> ControlFlow<()> {
        match event {
            Event::Begin { images, writes } => {
                (self.images, self.writes, self.begin) = (images, writes, Instant::now());
                self.bar = progress_bar(self.args, images, "{wide_bar} {pos}/{len} {per_sec} {eta}");
                ControlFlow::Continue(())
            }
            Event::Failed { name, error } => self.failed(name, error, &[]),
            Event::Image { input, outputs, written, outcome } => {
                self.bar.inc(1);
                self.image(input, outputs, written, outcome)
            }
            _ => ControlFlow::Continue(()),
        }
    }

    /// A line on standard error, above the bar.
    fn line(&self, text: &str) {
        self.bar.suspend(|| words::say(text));
    }

    /// A line on standard output, if programs listen. `Break` if nobody does and nothing else is wanted.
    fn json(&mut self, mut object: Vec<u8>) -> ControlFlow<()> {
        if !self.json {
            return ControlFlow::Continue(());
        }
        if self.stdout.is_none() {
            object.push(b'\n');
            match self.bar.suspend(|| crate::print(&object)) {
                Ok(()) => return ControlFlow::Continue(()),
                Err(error) if error.kind() == ErrorKind::BrokenPipe => {
                    self.stdout = Some("standard output was closed by its reader".into());
                }
                Err(error) => self.stdout = Some(format!("cannot write to standard output: {error}")),
            }
        }
        self.unsaid += 1;
        if self.writes { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    }

    fn image<D: Describe>(
        &mut self,
        input: &Input,
        outputs: &[String],
        written: &[String],
        outcome: Outcome<D>,
    ) -> ControlFlow<()> {
        let name = input.name();
        match outcome {
            Outcome::Done { done, notes, damage, .. } => {
                if let (Some(damage), false) = (damage, self.args.quiet) {
                    self.line(&format!("deepcut: {name}: warning: damaged: {damage}"));
                }
                for note in notes {
                    let times = self.notes.entry(note.clone()).or_default();
                    *times += 1;
                    if !self.args.quiet && (*times == 1 || self.args.verbose) {
                        self.line(&format!("deepcut: {name}: note: {note}"));
                    }
                }
                if self.args.verbose {
                    self.line(&format!("{name}: {}{}", done.text(), arrow(written)));
                } else if self.images == 1 && !self.args.quiet && !written.is_empty() {
                    self.line(&format!("{name}{}", arrow(written)));
                }
                match done.json() {
                    Ok(object) => self.json(object),
                    Err(error) => {
                        self.json(json!({ "type": "error", "input": name, "message": error.to_string() }).to_string().into())
                    }
                }
            }
            Outcome::Annotated { .. } => {
                if self.args.verbose || self.images == 1 && !self.args.quiet {
                    self.line(&format!("{name}: segmented before{}", arrow(written)));
                }
                self.json(json!({ "type": "annotated", "input": name, "outputs": outputs }).to_string().into())
            }
            Outcome::Skipped { .. } => {
                if self.args.verbose || self.images == 1 && !self.args.quiet {
                    self.line(&format!("{name}: done before{}", arrow(outputs)));
                }
                self.json(json!({ "type": "skipped", "input": name, "outputs": outputs }).to_string().into())
            }
            Outcome::Differs { how } => {
                if self.args.verbose {
                    self.line(&format!("{name}: there are results of other settings ({how}){}", arrow(outputs)));
                }
                let json = json!({ "type": "other-settings", "input": name, "outputs": outputs, "difference": how });
                self.difference.get_or_insert((name, how));
                self.json(json.to_string().into())
            }
            Outcome::Failed(error) => self.failed(&name, &error, written),
            // Cancelled: it is left for the next run.
            _ => ControlFlow::Continue(()),
        }
    }

    /// Says what failed, and what was written all the same.
    fn failed(&mut self, name: &str, error: &JobError, written: &[String]) -> ControlFlow<()> {
        let message = words::with_flags(error, error.remedy());
        self.line(&format!("deepcut: {name}: {message}"));
        let mut object = json!({ "type": "error", "input": name, "message": message });
        if !written.is_empty() {
            object["outputs"] = json!(written);
        }
        self.json(object.to_string().into())
    }

    /// Says what was done and what was not, and how to go on.
    pub fn finish(&mut self, summary: &Summary) -> Status {
        self.bar.finish_and_clear();
        let seconds = self.begin.elapsed().as_secs_f64();
        let undone = summary.not_done;
        let signal = stop::asked().filter(|_| undone > 0);
        // The disk's reasons, not those of the user.
        let hopeless = summary.stopped.as_ref().filter(|why| !matches!(why, Stopped::Cancelled | Stopped::Listener));
        if !self.args.quiet {
            self.summary(summary, seconds);
        }
        let go_on = if self.writes { "; the same command goes on from here" } else { "" };
        let not_done = format!("{} not done{go_on}", count(undone, "image"));
        // These are errors, so they are said even if little is.
        if let Some(why) = hopeless {
            self.line(&format!("deepcut: stopped: {why}; {not_done}"));
        } else if let Some(signal) = signal {
            let why = if signal == 130 { "interrupted" } else { "terminated" };
            self.line(&format!("deepcut: {why}: {not_done}"));
        }
        if let Some((name, how)) = &self.difference {
            self.line(&format!(
                "deepcut: the results there of {} were made with other settings and are left as they are ({name}: {how}); pass --overwrite to make them anew, or another folder with -o",
                count(summary.differing, "image")
            ));
        }
        let unsaid = self.unsaid;
        let left_out: Vec<_> = summary
            .left_out
            .iter()
            .map(|(kind, files)| json!({ "what": kind.what, "files": files, "remedy": kind.remedy }))
            .collect();
        let mut object = json!({
            "type": "summary", "pictures": summary.images, "done": summary.done, "annotated": summary.annotated,
            "skipped": summary.skipped,
            "other_settings": summary.differing, "failures": summary.failures, "not_done": undone, "damaged": summary.damaged,
            "files": summary.files, "left_out": left_out, "seconds": seconds,
        });
        if !summary.run_files.is_empty() {
            object["outputs"] = json!(summary.run_files);
        }
        if summary.unpaired > 0 {
            object["unpaired"] = json!(summary.unpaired);
        }
        if summary.left != Left::default() {
            object["left"] = json!({ "unrecorded": summary.left.unrecorded, "edited": summary.left.edited });
        }
        if let Some(fit) = &summary.polygons {
            object["polygons"] =
                json!({ "regions": fit.regions, "mean_iou": fit.mean, "worst_iou": fit.worst, "worst": fit.worst_image });
        }
        if let Some(why) = hopeless.map(ToString::to_string).or(signal.map(|status| format!("signal {}", status - 128))) {
            object["stopped"] = json!(why);
        }
        let _ = self.json(object.to_string().into());
        // A reader that has taken every image's line may go before the last one.
        if let (Some(why), true) = (&self.stdout, unsaid > 0) {
            let rest = if self.writes { "; files are written all the same" } else { "" };
            self.line(&format!("deepcut: {why}: {} not told{rest}", count(undone + unsaid, "image")));
        }
        signal.unwrap_or_else(|| u8::from(!summary.is_complete() || unsaid > 0))
    }

    fn summary(&self, summary: &Summary, seconds: f64) {
        let &Summary { images, skipped, left, differing, damaged, .. } = summary;
        if images > 1 {
            let written = if self.writes { format!(", {} written", count(summary.files, "file")) } else { String::new() };
            let mut text = format!("{images} images{written}, {} failed", summary.failures);
            if summary.annotated > 0 {
                text.push_str(&format!(", {} segmented before", summary.annotated));
            }
            if skipped > 0 {
                text.push_str(&format!(", {skipped} done before"));
            }
            if differing > 0 {
                text.push_str(&format!(", {differing} done with other settings"));
            }
            if damaged > 0 {
                text.push_str(&format!(", {damaged} damaged"));
            }
            if summary.done > 0 {
                text.push_str(&format!(", {:.1} pictures/s", summary.done as f64 / seconds));
            }
            self.line(&text);
        }
        if !summary.run_files.is_empty() {
            self.line(&format!("all images{}", arrow(&summary.run_files)));
        }
        if let (Some(fit), true) = (&summary.polygons, self.args.verbose) {
            self.line(&format!(
                "polygons of {}: intersection over union with their masks {:.4} on average, {:.4} at worst ({})",
                count(fit.regions, "region"),
                fit.mean,
                fit.worst,
                fit.worst_image
            ));
        }
        for (note, &times) in self.notes.iter().filter(|&(_, &times)| times > 1 && !self.args.verbose) {
            self.line(&format!("the same for {}: {note}", count(times - 1, "more image")));
        }
        if summary.unpaired > 0 {
            self.line(&format!(
                "deepcut: warning: annotation files of {} have names such as a.jpg.txt, as others are called the same but for the extension; \
                 programs look for a.txt: give each image a name of its own",
                count(summary.unpaired, "image")
            ));
        }
        if left.unrecorded > 0 {
            self.line(&format!(
                "left as found: {} that another program wrote or changed, or an older version; pass --overwrite to make them anew",
                count(left.unrecorded, "result")
            ));
        }
        if left.edited > 0 {
            self.line(&format!(
                "left as found: {} that somebody wrote or changed; --overwrite does not replace them either: move them away to have them made anew",
                count(left.edited, "annotation file")
            ));
        }
        if !summary.left_out.is_empty() {
            let left: Vec<String> =
                summary.left_out.iter().map(|(kind, files)| format!("{files} {} ({})", kind.what, kind.remedy)).collect();
            self.line(&format!("left out: {}", left.join(", ")));
        }
    }
}

fn arrow(outputs: &[String]) -> String {
    if outputs.is_empty() { String::new() } else { format!(" → {}", outputs.join(", ")) }
}
