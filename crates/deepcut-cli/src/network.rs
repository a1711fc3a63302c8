//! The feature network that the command line names, loaded.

use crate::args::{NetworkArgs, RunArgs};
use crate::hub::{Hub, Progress};
use crate::{memory, processor, words};
use anyhow::{Context, bail};
use deepcut::backbone::catalogue::{ENTRIES, Entry, FILE};
use deepcut::backbone::convnet::ConvNet;
use deepcut::backbone::vit::VitOptions;
use deepcut::backbone::{self, Backbone, Config, Facets, Identity, Prior, WithPrior, foreign};
use deepcut::cpu::Rates;
use deepcut::{Cpu, Options, Precision, Segmenter};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

/// What timm and transformers write beside a network.
const CONFIGS: [&str; 2] = ["config.json", "preprocessor_config.json"];

/// The pipeline with its network, downloaded if need be.
///
/// # Errors
/// If the network is not there or not whole, or an option does not suit it.
pub fn segmenter(args: &NetworkArgs, run: &RunArgs, options: Options) -> anyhow::Result<Segmenter> {
    segmenter_with(args, run, options, load)
}

/// As [`segmenter`], of a network that is to get a prior: its default facets and resolution are others.
///
/// # Errors
/// As [`segmenter`].
pub fn segmenter_for_prior(args: &NetworkArgs, run: &RunArgs, options: Options) -> anyhow::Result<Segmenter> {
    segmenter_with(args, run, options, |args, run, cpu| load_as(args, true, run, cpu))
}

fn segmenter_with(
    args: &NetworkArgs,
    run: &RunArgs,
    options: Options,
    load: impl FnOnce(&NetworkArgs, &RunArgs, &Cpu) -> anyhow::Result<Box<dyn Backbone>>,
) -> anyhow::Result<Segmenter> {
    let cpu = processor::cpu(args.deterministic)?;
    let network = load(args, run, &cpu)?;
    if run.verbose {
        words::say(&description(network.identity()));
        words::say(&rates(&cpu));
    }
    Ok(Segmenter::new(network, options, cpu)?.with_memory(memory::limit(run.max_memory, 1.0)))
}

/// How fast the kernels are, and what that makes of the precision `auto`.
fn rates(cpu: &Cpu) -> String {
    let Rates { f32, bf16, int8 } = cpu.rates();
    let rates = [("f32", f32), ("bf16", bf16), ("int8", int8)].into_iter().filter(|(_, rate)| *rate > 0.0);
    let rates: Vec<String> = rates.map(|(name, rate)| format!("{name} {rate:.0}")).collect();
    let (any, float) = (cpu.network_precision(Precision::Auto, true), cpu.network_precision(Precision::Auto, false));
    format!(
        "kernels {}: {} billion multiply-adds a second on a thread; auto is {} for the embedded network, {} for others",
        cpu.isa().name(),
        rates.join(", "),
        any.name(),
        float.name()
    )
}

/// What the network is, what was taken for granted of it, and what of its file is not used.
fn description(identity: &Identity) -> String {
    let mut text = format!("network {}: features {}", identity.name, identity.features);
    if let (Some(family), Some(heads)) = (identity.family, identity.heads) {
        text += &format!(", family {family}, {heads} heads, mean {:?}, std {:?}", identity.mean, identity.std);
    }
    if let Some(prior) = &identity.prior {
        text += &format!(", prior {prior:.8}");
    }
    for (what, list) in [("taken for granted", &identity.assumed), ("not used", &identity.ignored)] {
        if !list.is_empty() {
            text += &format!("; {what}: {}", list.join(", "));
        }
    }
    text
}

/// The network, downloaded if need be.
///
/// # Errors
/// If it is not there or not whole.
pub fn load(args: &NetworkArgs, run: &RunArgs, cpu: &Cpu) -> anyhow::Result<Box<dyn Backbone>> {
    load_as(args, false, run, cpu)
}

fn load_as(args: &NetworkArgs, for_prior: bool, run: &RunArgs, cpu: &Cpu) -> anyhow::Result<Box<dyn Backbone>> {
    let Some(path) = &args.prior else { return load_plain(args, None, for_prior, run, cpu) };
    let cannot = || format!("cannot use the prior {}", path.display());
    let bytes = std::fs::read(path).with_context(|| format!("cannot read the prior {}", path.display()))?;
    let prior = Prior::from_bytes(&bytes).with_context(cannot)?;
    // Each of these facets names its block, so `--layer` would count for nothing.
    let facets = prior.fitted().network.features.parse().ok().filter(|_| args.layer.is_none());
    let network = load_plain(args, facets, for_prior, run, cpu)?;
    Ok(Box::new(WithPrior::new(network, prior).with_context(cannot)?))
}

/// The network without a prior; with these facets if it is a vision transformer and the command line names none.
fn load_plain(
    args: &NetworkArgs,
    facets: Option<Facets>,
    for_prior: bool,
    run: &RunArgs,
    cpu: &Cpu,
) -> anyhow::Result<Box<dyn Backbone>> {
    let name = args.backbone.to_string_lossy();
    let vit_options = |config| {
        let options = args.vit_options(config);
        VitOptions { facets: options.facets.or_else(|| facets.clone()), for_prior, ..options }
    };
    let from_bytes = |name: &str, bytes: &[u8], config| {
        let is_other = facets.is_some() && ConvNet::is_described_by(bytes);
        let options = if is_other { args.vit_options(config) } else { vit_options(config) };
        backbone::from_bytes(name, bytes, cpu, &options)
    };
    if name == "embedded" {
        return from_bytes("embedded", backbone::embedded::BYTES, Config::default()).context("cannot use the embedded network");
    }
    if let Some(entry) = Entry::by_name(&name) {
        let progress = match (run.quiet, run.no_progress) {
            (true, _) => Progress::Silent,
            (false, true) => Progress::Lines,
            (false, false) => Progress::Bar,
        };
        let vit = vit_options(Config::default());
        return Ok(Box::new(Hub::from_env(args.offline, progress)?.load(entry, cpu, &vit)?));
    }
    if !args.backbone.exists() {
        let names: Vec<_> = ENTRIES.iter().map(|entry| entry.name).collect();
        bail!("there is no file {name} and no network of that name; the names are embedded, {}", names.join(", "));
    }
    let (bytes, file, config) = read(&args.backbone)?;
    from_bytes(&file, &bytes, config).with_context(|| format!("cannot use the network {name}"))
}

/// A network's file, or the one in a folder: its bytes, its name, and what the configs beside it say.
///
/// # Errors
/// If a folder has no such file or several, or one of the files cannot be read.
pub fn read(path: &Path) -> anyhow::Result<(Vec<u8>, String, Config)> {
    let file = if path.is_dir() { file_in(path)? } else { path.to_owned() };
    let name = file.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    if name.contains("-of-") && name.ends_with(".safetensors") {
        bail!("cannot use the network {}: {}", path.display(), foreign::joined());
    }
    let bytes = std::fs::read(&file).with_context(|| format!("cannot read the network {}", file.display()))?;
    let mut config = Config::default();
    for beside in CONFIGS.map(|name| file.with_file_name(name)) {
        let text = match std::fs::read_to_string(&beside) {
            Ok(text) => text,
            Err(error) if error.kind() == ErrorKind::NotFound => continue,
            Err(error) => return Err(error).with_context(|| format!("cannot read {}", beside.display())),
        };
        config = config.or(Config::parse(&text).with_context(|| {
            format!(
                "cannot use {}, which lies beside the network; correct it, or put the network into a folder of its own",
                beside.display()
            )
        })?);
    }
    Ok((bytes, name, config))
}

/// The one network in a folder, as the hub and transformers lay it out.
fn file_in(folder: &Path) -> anyhow::Result<PathBuf> {
    let unreadable = || format!("cannot read the folder {}", folder.display());
    let entries = std::fs::read_dir(folder).with_context(unreadable)?.collect::<Result<Vec<_>, _>>().with_context(unreadable)?;
    let mut files: Vec<PathBuf> = entries.into_iter().map(|entry| entry.path()).collect();
    files.sort();
    if let Some(model) = files.iter().find(|file| file.ends_with(FILE)) {
        return Ok(model.clone());
    }
    if files.iter().any(|file| file.to_string_lossy().ends_with(".safetensors.index.json")) {
        bail!("cannot use the network {}: {}", folder.display(), foreign::joined());
    }
    let of = |extensions: &[&str]| -> Vec<&PathBuf> {
        let ends =
            |file: &&PathBuf| file.extension().is_some_and(|e| extensions.iter().any(|known| e.eq_ignore_ascii_case(known)));
        files.iter().filter(ends).collect()
    };
    // One in another container is named with what to do about it when it is read.
    match (&of(&["safetensors"])[..], &of(&["bin", "pth", "pt", "ckpt", "h5", "onnx", "msgpack", "gguf"])[..]) {
        ([file], _) => Ok((*file).clone()),
        ([], [file, ..]) => Ok((*file).clone()),
        ([], []) => bail!("there is no {FILE} in the folder {}", folder.display()),
        (several, _) => {
            bail!("there are {} safetensors files in the folder {}; name one of them", several.len(), folder.display())
        }
    }
}
