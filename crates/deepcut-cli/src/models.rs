//! The command `models`: list, download, path, verify.

use crate::args::ModelsCommand;
use crate::hub::{Checked, Hub, Progress, check};
use crate::words;
use anyhow::Context;
use deepcut::backbone::catalogue::{ENTRIES, Entry};
use deepcut::backbone::convnet::ConvNet;
use deepcut::backbone::vit::{Family, VitOptions};
use deepcut::backbone::{self, Backbone, Config};
use deepcut::{Cpu, Precision};
use serde_json::{Value, json};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

/// Does the command. True if nothing failed.
pub fn run(command: &ModelsCommand) -> anyhow::Result<bool> {
    match command {
        ModelsCommand::List { json } => list(*json).map(|()| true),
        ModelsCommand::Download { names, no_progress } => {
            let hub = Hub::from_env(false, if *no_progress { Progress::Lines } else { Progress::Bar })?;
            each(names, |name| {
                let entry = entry(name)?;
                if let Some(path) = hub.cached(entry)
                    && verify_cached(entry, &path).is_ok()
                {
                    return Ok(path.display().to_string());
                }
                Ok(hub.download(entry)?.display().to_string())
            })
        }
        ModelsCommand::Path { name, offline } => {
            let (hub, entry) = (Hub::from_env(*offline, Progress::Silent)?, entry(name)?);
            let path = hub.cached(entry).with_context(|| {
                let download =
                    if hub.is_offline() { String::new() } else { format!("run `deepcut models download {name}`; or ") };
                format!("{name} is not here; {download}{}", hub.by_hand(entry))
            })?;
            crate::show(format!("{}\n", path.display()).as_bytes()).map(|()| true)
        }
        ModelsCommand::Verify { networks } => {
            let hub = Hub::from_env(true, Progress::Silent)?;
            let mut networks = networks.clone();
            if networks.is_empty() {
                networks
                    .extend(ENTRIES.iter().filter(|entry| hub.cached(entry).is_some()).map(|entry| PathBuf::from(entry.name)));
            }
            let names: Vec<String> = networks.iter().map(|name| name.to_string_lossy().into_owned()).collect();
            each(&names, |name| verify(&hub, name))
        }
    }
}

fn entry(name: &str) -> anyhow::Result<&'static Entry> {
    Entry::by_name(name).with_context(|| format!("there is no network named {name}; see `deepcut models list`"))
}

/// Says what came of each; one that fails does not hide the others.
fn each(names: &[String], work: impl Fn(&str) -> anyhow::Result<String>) -> anyhow::Result<bool> {
    let mut all = true;
    for name in names {
        match work(name) {
            Ok(text) => crate::show(format!("{name}: {text}\n").as_bytes())?,
            Err(error) => {
                all = false;
                words::say(&format!("deepcut: {name}: {}", words::chain(&error)));
            }
        }
    }
    Ok(all)
}

/// An object for each network that has a name.
pub fn entries() -> anyhow::Result<Vec<Value>> {
    let hub = Hub::from_env(true, Progress::Silent)?;
    let embedded = backbone::embedded::load(&Cpu::default(), Precision::F32)?;
    let identity = embedded.identity();
    let mut entries = vec![json!({ "name": identity.name, "sha256": identity.sha256, "here": true })];
    entries.extend(ENTRIES.iter().map(|entry| {
        let Entry { name, family, patch_size, dim, depth, license, repository, registers, .. } = *entry;
        let path = hub.cached(entry).map(|path| path.display().to_string());
        json!({
            "name": name, "family": family.name(), "patch_size": patch_size, "dim": dim, "depth": depth, "registers": registers,
            "parameters": entry.parameters(), "license": license, "repository": repository, "here": path.is_some(), "path": path,
            "note": entry.note(),
        })
    }));
    Ok(entries)
}

fn list(json: bool) -> anyhow::Result<()> {
    let mut text = String::new();
    if json {
        for entry in entries()? {
            writeln!(text, "{entry}")?;
        }
        return crate::show(text.as_bytes());
    }
    let hub = Hub::from_env(true, Progress::Silent)?;
    writeln!(text, "{:18} {:9} {:>5} {:>5} {:>6} {:>9} {:10}", "NAME", "FAMILY", "PATCH", "DIM", "BLOCKS", "PARAMS", "LICENCE")?;
    writeln!(text, "{:18} {:9} {:>5} {:>5} {:>6} {:>9} {:10} in the program", "embedded", "deepcut", "–", "–", "–", "–", "–")?;
    for entry in &ENTRIES {
        let Entry { name, family, patch_size, dim, depth, license, repository, .. } = *entry;
        let millions = format!("{:.0} M", entry.parameters() as f64 / 1e6);
        let here = hub.cached(entry).map_or_else(|| format!("{repository}, not here"), |_| "here".into());
        writeln!(text, "{name:18} {:9} {patch_size:>5} {dim:>5} {depth:>6} {millions:>9} {license:10} {here}", family.name())?;
    }
    if let Some(note) = Entry::by_name("dino-vits8").and_then(Entry::note) {
        writeln!(text, "\ndino-*: {note}: PARITY.md says how to convert it")?;
    }
    crate::show(text.as_bytes())
}

fn verify(hub: &Hub, name: &str) -> anyhow::Result<String> {
    if let Some(entry) = Entry::by_name(name) {
        let path = hub.cached(entry).with_context(|| format!("not here; run `deepcut models download {name}`"))?;
        return verify_cached(entry, &path);
    }
    let (bytes, file, config) = if name == "embedded" {
        (backbone::embedded::BYTES.to_vec(), name.to_owned(), Config::default())
    } else {
        anyhow::ensure!(Path::new(name).exists(), "there is no network of that name, and no such file");
        crate::network::read(Path::new(name))?
    };
    let options = if ConvNet::is_described_by(&bytes) {
        VitOptions::default()
    } else {
        // How the tensors are used later does not make them whole.
        VitOptions { heads: Some(1), family: Some(Family::Dino), config, ..VitOptions::default() }
    };
    let network = backbone::from_bytes(&file, &bytes, &Cpu::default(), &options)?;
    Ok(format!("whole, SHA-256 {}", network.identity().sha256))
}

fn verify_cached(entry: &Entry, path: &Path) -> anyhow::Result<String> {
    let Checked { sha256, stated } = check(path)?;
    let note = match stated {
        Some(stated) if stated == sha256 => "as the hub stated",
        Some(stated) => anyhow::bail!(
            "{} has SHA-256 {sha256}, the hub stated {stated}; `deepcut models download {}` gets it anew",
            path.display(),
            entry.name
        ),
        None => "of which the hub stated none",
    };
    crate::hub::verify(entry, path)?;
    Ok(format!("whole, SHA-256 {sha256}, {note}: {}", path.display()))
}
