//! The feature network that the command line names, loaded.

use crate::args::{NetworkArgs, RunArgs};
use crate::hub::{Hub, Talk};
use anyhow::{Context, bail};
use deepcut::backbone::catalogue::{ENTRIES, Entry};
use deepcut::backbone::convnet::ConvNet;
use deepcut::backbone::{self, Backbone};
use deepcut::kernels::ISA_VARIABLE;
use deepcut::{Isa, Options, Segmenter};

/// The pipeline with its network, downloaded if need be.
///
/// # Errors
/// If the network is not there or not whole, or an option does not suit it.
pub fn segmenter(args: &NetworkArgs, run: &RunArgs, mut options: Options) -> anyhow::Result<Segmenter> {
    let isa = match std::env::var(ISA_VARIABLE) {
        Err(_) => Isa::detect(),
        Ok(name) => Isa::by_name(&name).with_context(|| {
            let names: Vec<_> = Isa::available().iter().map(|isa| isa.name()).collect();
            format!("{ISA_VARIABLE}={name}: this machine has {}", names.join(", "))
        })?,
    };
    options.precision = args.precision(isa.fastest_float().into());
    Ok(Segmenter::with_backbone(load(args, run, isa)?, options, isa)?)
}

fn load(args: &NetworkArgs, run: &RunArgs, isa: Isa) -> anyhow::Result<Box<dyn Backbone>> {
    let name = args.backbone.to_string_lossy();
    let from_bytes = |name: &str, bytes: &[u8]| {
        let convolutional = ConvNet::is_described_by(bytes);
        let fastest = if convolutional { ConvNet::fastest_precision(isa) } else { isa.fastest_float().into() };
        backbone::from_bytes(name, bytes, isa, &args.vit_options(fastest))
    };
    if name == "embedded" {
        return from_bytes("embedded", backbone::embedded::BYTES).context("cannot use the embedded network");
    }
    if let Some(entry) = Entry::by_name(&name) {
        let talk = match (run.quiet, run.no_progress) {
            (true, _) => Talk::Nothing,
            (false, true) => Talk::Lines,
            (false, false) => Talk::Bar,
        };
        let vit = args.vit_options(isa.fastest_float().into());
        return Ok(Box::new(Hub::from_env(args.offline, talk)?.load(entry, &vit)?));
    }
    if !args.backbone.exists() {
        let names: Vec<_> = ENTRIES.iter().map(|entry| entry.name).collect();
        bail!("there is no file {name} and no network of that name; the names are embedded, {}", names.join(", "));
    }
    let bytes = std::fs::read(&args.backbone).with_context(|| format!("cannot read the network {name}"))?;
    let file = args.backbone.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    from_bytes(&file, &bytes).with_context(|| format!("cannot use the network {name}"))
}
