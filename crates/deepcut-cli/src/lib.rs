//! The command `deepcut`. Every capability is in the library `deepcut`; here are arguments, files, progress and exit codes.
//!
//! It is a library so that the Python package carries the same command, and loads networks as the command does. It is not for other users: it may
//! change in any version.
//!
//! Exit status: 0 if everything is there that was asked for, 1 if not (each failure is named on standard error, the rest is done), 2 for a
//! wrong command line or anything that stops the run before it begins, 130 after Ctrl-C, 143 after SIGTERM.

mod annotation;
mod args;
mod batch;
mod cache;
mod cosegment;
pub mod embed;
mod eval;
mod features;
mod fit;
mod hub;
mod memory;
mod models;
mod network;
mod processor;
mod reporter;
mod segment;
mod stop;
mod video;
mod words;

use args::{Cli, Command};
use clap::{CommandFactory, Parser};
use std::ffi::OsString;
use std::io::{ErrorKind, Write};

/// Runs the command with these arguments, the first of which is the program's name, and returns its exit status.
pub fn run(arguments: &[OsString]) -> u8 {
    batch::quiet_panics();
    let status = |whole: bool| u8::from(!whole);
    let cli = match Cli::try_parse_from(arguments) {
        Ok(cli) => cli,
        Err(error) => return refused(&error, arguments),
    };
    let outcome = match cli.command {
        Command::Segment(args) => segment::run(&args),
        Command::Cosegment(args) => cosegment::run(&args),
        Command::Eval(args) => eval::run(&args).map(status),
        Command::Sweep(args) => eval::sweep(&args).map(status),
        Command::Features(args) => features::run(&args),
        Command::Fit(args) => fit::run(&args),
        Command::Video(args) => video::run(&args),
        Command::Models { command } => models::run(&command).map(status),
        Command::Completions { shell } => {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut Cli::command(), "deepcut", &mut script);
            show(&script).map(|()| 0)
        }
        Command::Man { command } => man(command.as_deref()).map(status),
    };
    match outcome {
        Ok(status) => status,
        Err(error) => {
            words::say(&format!("deepcut: {}", words::chain(&error)));
            2
        }
    }
}

/// What clap says of the command line, or of itself if asked; names in it must not command the terminal.
fn refused(error: &clap::Error, arguments: &[OsString]) -> u8 {
    let is_odd = |argument: &OsString| words::line(&argument.to_string_lossy()) != argument.to_string_lossy();
    if error.use_stderr() && arguments.iter().any(is_odd) {
        // Without colors, which are commands too.
        let text = error.render().to_string();
        text.lines().for_each(words::say);
        return 2;
    }
    // Whoever closed the stream has seen enough.
    let _ = error.print();
    error.exit_code().try_into().unwrap_or(2)
}

/// Prints a list or a page: whoever closed standard output has seen enough. Of images the reporter knows what was left unsaid.
fn show(bytes: &[u8]) -> anyhow::Result<()> {
    match print(bytes) {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        printed => Ok(printed?),
    }
}

fn print(bytes: &[u8]) -> std::io::Result<()> {
    let mut stdout = std::io::stdout().lock();
    stdout.write_all(bytes)?;
    stdout.flush()
}

fn man(command: Option<&str>) -> anyhow::Result<bool> {
    let mut root = Cli::command();
    root.build();
    let page = match command {
        None => root,
        Some(name) => {
            let found = root.find_subcommand(name).cloned();
            found.ok_or_else(|| anyhow::anyhow!("there is no command `{name}`; see `deepcut --help`"))?
        }
    };
    let mut text = Vec::new();
    clap_mangen::Man::new(page).render(&mut text)?;
    show(&text).map(|()| true)
}
