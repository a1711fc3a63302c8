//! What a program that carries the command needs of it beside [`run`](crate::run): the same networks, from the same places, on the same
//! processor.

pub use crate::args::{NetworkArgs, RunArgs};
pub use crate::memory::{MemoryArg, limit as memory_limit, parse as parse_memory};
pub use crate::processor::builder as cpu_builder;
pub use crate::words::{chain, with_flags};

use crate::args::{Cli, Command};
use crate::hub::{Hub, Progress};
use crate::{eval, models, network, stop};
use anyhow::anyhow;
use clap::Parser;
use deepcut::Cpu;
use deepcut::backbone::Backbone;
use deepcut::backbone::catalogue::Entry;
use serde_json::Value;
use std::ffi::OsString;

/// Why a network was not loaded.
#[derive(Debug)]
pub enum NetworkError {
    /// It is not here, and could not be downloaded.
    Missing(anyhow::Error),
    /// It is no network, or not one that can be used so.
    Unusable(anyhow::Error),
}

/// The network that the arguments name, downloaded if need be.
///
/// # Errors
/// [`NetworkError`].
pub fn network(args: &NetworkArgs, run: &RunArgs, cpu: &Cpu) -> Result<Box<dyn Backbone>, NetworkError> {
    network::load(args, run, cpu).map_err(|error| {
        let name = args.backbone.to_string_lossy();
        let is_here = match Entry::by_name(&name) {
            Some(entry) => Hub::from_env(true, Progress::Silent).is_ok_and(|hub| hub.cached(entry).is_some()),
            None => name == "embedded" || args.backbone.exists(),
        };
        if is_here { NetworkError::Unusable(error) } else { NetworkError::Missing(error) }
    })
}

/// The networks that have a name, as `deepcut models list --json` prints them.
///
/// # Errors
/// If there is no place for networks.
pub fn list_networks() -> anyhow::Result<Vec<Value>> {
    models::entries()
}

/// Does `deepcut eval` with these arguments, the first of which is the program's name, and returns the object of `--json`.
///
/// # Errors
/// If the arguments contradict themselves, the data set or the network is not there, or no image could be measured.
pub fn evaluate(arguments: &[OsString]) -> anyhow::Result<Value> {
    match Cli::try_parse_from(arguments)?.command {
        Command::Eval(args) => eval::json(&args),
        _ => Err(anyhow!("expected the command eval")),
    }
}

/// Ends [`evaluate`] soon, in whatever thread it works; with `false`, takes that back.
pub fn stop_evaluation(stop: bool) {
    stop::ask(if stop { 130 } else { 0 });
}
