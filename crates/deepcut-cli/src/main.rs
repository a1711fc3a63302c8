//! The command `deepcut`. Every capability is in the library; here are arguments, files, progress and exit codes.
//!
//! Exit status: 0 if everything was written, 1 if some pictures failed (each named on stderr, the others done), 2 for a wrong
//! command line or anything that stops the run.

mod args;
mod batch;
mod cache;
mod eval;
mod features;
mod hub;
mod inputs;
mod memory;
mod models;
mod network;
mod outputs;
mod segment;
mod stopwatch;

use args::{Cli, Command};
use clap::{CommandFactory, Parser};
use std::io::{ErrorKind, Write};
use std::process::ExitCode;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let outcome = match Cli::parse().command {
        Command::Segment(args) => segment::run(&args),
        Command::Eval(args) => eval::run(&args),
        Command::Sweep(args) => eval::sweep(&args),
        Command::Features(args) => features::run(&args),
        Command::Models { command } => models::run(&command),
        Command::Completions { shell } => {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut Cli::command(), "deepcut", &mut script);
            print(&script).map(|()| true)
        }
        Command::Man { command } => man(command.as_deref()),
    };
    match outcome {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(1),
        // Whoever read the output has seen enough.
        Err(error) if is_broken_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            // Standard error may be closed too; there is nowhere else to say so.
            let _ = writeln!(std::io::stderr(), "deepcut: {error:#}");
            ExitCode::from(2)
        }
    }
}

fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error.chain().filter_map(|cause| cause.downcast_ref::<std::io::Error>()).any(|io| io.kind() == ErrorKind::BrokenPipe)
}

fn print(bytes: &[u8]) -> anyhow::Result<()> {
    let mut stdout = std::io::stdout().lock();
    stdout.write_all(bytes)?;
    Ok(stdout.flush()?)
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
    print(&text).map(|()| true)
}
