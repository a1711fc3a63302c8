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
use clap::{CommandFactory, Parser};
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

/// A sentence with arguments' names in place of the command's flags: `max_memory` for `--max-memory`. Flags of other programs stay.
#[must_use]
pub fn without_flags(text: &str) -> String {
    let command = Cli::command();
    let is_ours = |name: &str| {
        let arguments = command.get_subcommands().flat_map(clap::Command::get_arguments);
        arguments.filter_map(clap::Arg::get_long).any(|long| long == name)
    };
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find("--") {
        let flag = &rest[at + 2..];
        let name = &flag[..flag.find(|c: char| !c.is_ascii_lowercase() && c != '-').unwrap_or(flag.len())];
        out.push_str(&rest[..at]);
        // Not within a name, as those of the hub's folders.
        let begins = out.chars().next_back().is_none_or(|c| c.is_whitespace() || "(`'\"".contains(c));
        if begins && is_ours(name) {
            out.push_str(&name.replace('-', "_"));
        } else {
            out.push_str("--");
            out.push_str(name);
        }
        rest = &flag[name.len()..];
    }
    out + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_become_names() {
        let text = "allow more (--max-memory), not models--timm--vit; run `git lfs pull --include x` --overwrite";
        let named = "allow more (max_memory), not models--timm--vit; run `git lfs pull --include x` overwrite";
        assert_eq!(without_flags(text), named);
        assert_eq!((&*without_flags("--"), &*without_flags("a -- b")), ("--", "a -- b"));
    }
}
