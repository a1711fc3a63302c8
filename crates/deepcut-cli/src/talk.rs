//! What a run says: to people on standard error, to programs on standard output.

use crate::args::{FileArgs, RunArgs};
use crate::files::Fault;
use crate::inputs::Input;
use crate::outputs::Outputs;
use crate::stop;
use crate::words::{self, count};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde_json::json;
use std::collections::BTreeMap;
use std::io::{ErrorKind, Write};
use std::ops::ControlFlow;
use std::time::Instant;

/// What was done with a picture.
pub struct Done {
    /// For people, in a few words.
    pub told: String,
    /// For programs, one JSON object.
    pub json: Vec<u8>,
}

/// What became of a picture.
pub enum Outcome {
    Done { done: Done, notes: Vec<String>, damage: Option<String> },
    Skipped { unrecorded: usize },
    Differs(String),
}

/// What became of a picture, and the files written whatever became of it.
pub struct Told {
    pub outcome: anyhow::Result<Outcome>,
    pub written: Vec<String>,
}

/// The exit status of a run: 0 if everything is there that was asked for, 1 if not, 130 or 143 after a signal.
pub type Status = u8;

fn is_cancelled(error: &anyhow::Error) -> bool {
    matches!(error.downcast_ref(), Some(deepcut::Error::Cancelled))
}

/// Whether any cause is of one of these kinds.
pub fn has_kind(error: &anyhow::Error, kinds: &[ErrorKind]) -> bool {
    error.chain().filter_map(|cause| cause.downcast_ref::<std::io::Error>()).any(|error| kinds.contains(&error.kind()))
}

/// A progress bar on standard error, if there is more than one picture and the command line does not forbid it.
pub fn progress_bar(args: &RunArgs, total: usize, template: &str) -> ProgressBar {
    let hidden = args.quiet || args.no_progress || total < 2;
    // `stderr` draws only on a terminal.
    let target = if hidden { ProgressDrawTarget::hidden() } else { ProgressDrawTarget::stderr() };
    let style = ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
    ProgressBar::with_draw_target(Some(total as u64), target).with_style(style)
}

/// So many pictures in a row whose results cannot be written are enough.
const HOPELESS: usize = 3;

/// Standard output and standard error of a run.
pub struct Talk<'a> {
    args: &'a RunArgs,
    json: bool,
    outputs: &'a Outputs,
    bar: ProgressBar,
    begin: Instant,
    total: usize,
    /// Pictures of which something was told, whatever it is.
    told_of: usize,
    done: usize,
    skipped: usize,
    /// Results without a record.
    unrecorded: usize,
    /// Pictures with results of other settings; how the first's differ.
    differing: usize,
    difference: Option<(String, String)>,
    failures: usize,
    damaged: usize,
    written: usize,
    /// How often each note was made.
    notes: BTreeMap<String, usize>,
    left_out: BTreeMap<(&'static str, &'static str), usize>,
    /// Failures of the disk since the last success.
    faults: usize,
    /// Why the batch ends early.
    hopeless: Option<String>,
    /// Lines that standard output did not take.
    unsaid: usize,
    stdout: Option<String>,
}

impl<'a> Talk<'a> {
    pub fn new(
        args: &'a RunArgs,
        files: &FileArgs,
        outputs: &'a Outputs,
        total: usize,
        left_out: BTreeMap<(&'static str, &'static str), usize>,
    ) -> Self {
        Self {
            args,
            json: files.json,
            outputs,
            bar: progress_bar(args, total, "{wide_bar} {pos}/{len} {per_sec} {eta}"),
            begin: Instant::now(),
            total,
            told_of: 0,
            done: 0,
            skipped: 0,
            unrecorded: 0,
            differing: 0,
            difference: None,
            failures: 0,
            damaged: 0,
            written: 0,
            notes: BTreeMap::new(),
            left_out,
            faults: 0,
            hopeless: None,
            unsaid: 0,
            stdout: None,
        }
    }

    /// A line on standard error, above the bar. If standard error is gone there is nowhere to say so.
    fn line(&self, text: &str) {
        self.bar.suspend(|| {
            let _ = writeln!(std::io::stderr(), "{}", words::line(text));
        });
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
                Err(error) if has_kind(&error, &[ErrorKind::BrokenPipe]) => {
                    self.stdout = Some("standard output was closed by its reader".into());
                }
                Err(error) => self.stdout = Some(format!("cannot write to standard output: {}", words::chain(&error))),
            }
        }
        self.unsaid += 1;
        if self.outputs.writes() { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    }

    /// Says what became of a picture. `Break` if there is no use in going on.
    pub fn told(&mut self, input: &Input, outputs: &[String], Told { outcome, written }: Told) -> ControlFlow<()> {
        let name = input.name();
        self.bar.inc(1);
        self.written += written.len();
        self.told_of += usize::from(!outcome.as_ref().is_err_and(is_cancelled));
        match outcome {
            Ok(Outcome::Done { done: Done { told, json }, notes, damage }) => {
                self.done += 1;
                self.faults = 0;
                if let Some(damage) = damage {
                    self.damaged += 1;
                    if !self.args.quiet {
                        self.line(&format!("deepcut: {name}: warning: damaged: {damage}"));
                    }
                }
                for note in notes {
                    let times = self.notes.entry(note.clone()).or_default();
                    *times += 1;
                    if !self.args.quiet && (*times == 1 || self.args.verbose) {
                        self.line(&format!("deepcut: {name}: note: {note}"));
                    }
                }
                if self.args.verbose {
                    self.line(&format!("{name}: {told}{}", arrow(&written)));
                } else if self.total == 1 && !self.args.quiet && !written.is_empty() {
                    self.line(&format!("{name}{}", arrow(&written)));
                }
                self.json(json)
            }
            Ok(Outcome::Skipped { unrecorded }) => {
                self.skipped += 1;
                self.unrecorded += unrecorded;
                if self.args.verbose || self.total == 1 && !self.args.quiet {
                    self.line(&format!("{name}: done before{}", arrow(outputs)));
                }
                self.json(json!({ "type": "skipped", "input": name, "outputs": outputs }).to_string().into())
            }
            Ok(Outcome::Differs(how)) => {
                self.differing += 1;
                if self.args.verbose {
                    self.line(&format!("{name}: there are results of other settings ({how}){}", arrow(outputs)));
                }
                let json = json!({ "type": "other-settings", "input": name, "outputs": outputs, "difference": how });
                self.difference.get_or_insert((name, how));
                self.json(json.to_string().into())
            }
            // Not a failure: it is left for the next run.
            Err(error) if is_cancelled(&error) => ControlFlow::Continue(()),
            Err(error) => {
                let flow = self.failed(&name, &error, &written);
                if let Some(why) = self.despair(&error) {
                    self.hopeless.get_or_insert(why);
                }
                if self.hopeless.is_some() { ControlFlow::Break(()) } else { flow }
            }
        }
    }

    /// Says what failed, and what was written all the same.
    pub fn failed(&mut self, name: &str, error: &anyhow::Error, written: &[String]) -> ControlFlow<()> {
        self.failures += 1;
        let message = words::chain(error);
        self.line(&format!("deepcut: {name}: {message}"));
        let mut object = json!({ "type": "error", "input": name, "message": message });
        if !written.is_empty() {
            object["outputs"] = json!(written);
        }
        self.json(object.to_string().into())
    }

    /// Why no other picture's results could be written either, if so.
    fn despair(&mut self, error: &anyhow::Error) -> Option<String> {
        error.downcast_ref::<Fault>()?;
        self.faults += 1;
        if let Some(root) = self.outputs.is_gone() {
            return Some(format!("the output folder {} is gone", root.display()));
        }
        if has_kind(error, &[ErrorKind::StorageFull, ErrorKind::QuotaExceeded, ErrorKind::ReadOnlyFilesystem]) {
            return Some("the disk takes no more".into());
        }
        // Something in the way of a name or a sub-folder is no fault of the disk.
        let of_a_name =
            [ErrorKind::AlreadyExists, ErrorKind::InvalidFilename, ErrorKind::NotADirectory, ErrorKind::PermissionDenied];
        let hopeless = self.faults >= HOPELESS && !(has_kind(error, &of_a_name) && self.outputs.takes_files());
        hopeless.then(|| format!("the results of {HOPELESS} pictures in a row could not be written"))
    }

    /// Says what was done and what was not, and how to go on.
    pub fn finish(&mut self) -> Status {
        self.bar.finish_and_clear();
        let seconds = self.begin.elapsed().as_secs_f64();
        let undone = self.total - self.told_of;
        let signal = stop::asked().filter(|_| undone > 0);
        if !self.args.quiet {
            self.summary(seconds);
        }
        let go_on = if self.outputs.writes() { "; the same command goes on from here" } else { "" };
        let not_done = format!("{} not done{go_on}", count(undone, "picture"));
        // These are errors, so they are said even if little is.
        if let (Some(why), true) = (&self.hopeless, undone > 0) {
            self.line(&format!("deepcut: stopped: {why}; {not_done}"));
        } else if let Some(signal) = signal {
            let why = if signal == 130 { "interrupted" } else { "terminated" };
            self.line(&format!("deepcut: {why}: {not_done}"));
        }
        if let Some((name, how)) = &self.difference {
            self.line(&format!(
                "deepcut: the results there of {} were made with other settings and are left as they are ({name}: {how}); pass --overwrite to make them anew, or another folder with -o",
                count(self.differing, "picture")
            ));
        }
        let unsaid = self.unsaid;
        let left_out: Vec<_> = self
            .left_out
            .iter()
            .map(|((what, remedy), files)| json!({ "what": what, "files": files, "remedy": remedy }))
            .collect();
        let mut object = json!({
            "type": "summary", "pictures": self.total, "done": self.done, "skipped": self.skipped, "other_settings": self.differing,
            "failures": self.failures, "not_done": undone, "damaged": self.damaged, "files": self.written, "left_out": left_out,
            "seconds": seconds,
        });
        if let Some(why) = self.hopeless.clone().or(signal.map(|status| format!("signal {}", status - 128))) {
            object["stopped"] = json!(why);
        }
        let _ = self.json(object.to_string().into());
        // A reader that has taken every picture's line may go before the last one.
        if let (Some(why), true) = (&self.stdout, unsaid > 0) {
            let rest = if self.outputs.writes() { "; files are written all the same" } else { "" };
            self.line(&format!("deepcut: {why}: {} not told{rest}", count(undone + unsaid, "picture")));
        }
        match signal {
            Some(signal) => signal,
            None => u8::from(self.failures > 0 || self.differing > 0 || undone > 0 || unsaid > 0),
        }
    }

    fn summary(&self, seconds: f64) {
        let &Self { total, written, failures, skipped, unrecorded, .. } = self;
        if total > 1 {
            let mut text = format!("{total} pictures, {} written, {failures} failed", count(written, "file"));
            if skipped > 0 {
                text.push_str(&format!(", {skipped} done before"));
            }
            if self.differing > 0 {
                text.push_str(&format!(", {} done with other settings", self.differing));
            }
            if self.damaged > 0 {
                text.push_str(&format!(", {} damaged", self.damaged));
            }
            if self.done > 0 {
                text.push_str(&format!(", {:.1} pictures/s", self.done as f64 / seconds));
            }
            self.line(&text);
        }
        for (note, &times) in self.notes.iter().filter(|&(_, &times)| times > 1 && !self.args.verbose) {
            self.line(&format!("the same for {}: {note}", count(times - 1, "more picture")));
        }
        if unrecorded > 0 {
            self.line(&format!(
                "left as found: {} that another program wrote or changed, or an older version; pass --overwrite to make them anew",
                count(unrecorded, "result")
            ));
        }
        if !self.left_out.is_empty() {
            let told: Vec<String> =
                self.left_out.iter().map(|((what, remedy), files)| format!("{files} {what} ({remedy})")).collect();
            self.line(&format!("left out: {}", told.join(", ")));
        }
    }
}

fn arrow(outputs: &[String]) -> String {
    if outputs.is_empty() { String::new() } else { format!(" → {}", outputs.join(", ")) }
}
