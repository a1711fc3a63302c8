//! The command line.

use crate::memory::MemoryArg;
use crate::words;
use anyhow::{Context, bail};
use clap::builder::{PossibleValuesParser, TypedValueParser};
use clap::{Args, Parser, Subcommand, ValueEnum};
use deepcut::backbone::config::Config;
use deepcut::backbone::facet::Facets;
use deepcut::backbone::vit::{Family, VitOptions};
use deepcut::batch::Destination;
use deepcut::export::Format;
use deepcut::{Edges, Method, Mode, Objective, Options, Precision, Recipe, Refine};
use serde_json::Value;
use std::path::PathBuf;

/// Unsupervised image segmentation: objects, boxes and parts of any image, without labels or training data.
#[derive(Parser)]
#[command(name = "deepcut", version, max_term_width = 100)]
pub struct Cli {
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Subcommand)]
pub enum Command {
    /// Segment images: files, folders, glob patterns, or `-` for standard input
    Segment(Box<SegmentArgs>),
    /// Measure masks, boxes or parts against the truth of a data set
    Eval(Box<EvalArgs>),
    /// Measure every combination of some options on a data set
    Sweep(Box<SweepArgs>),
    /// Write the patch features of images, for other tools
    Features(Box<FeaturesArgs>),
    /// List, download, find and verify feature networks
    Models {
        #[command(subcommand)]
        command: ModelsCommand,
    },
    /// Print a completion script for a shell
    Completions { shell: clap_complete::Shell },
    /// Print the manual page, of one command if named
    Man { command: Option<String> },
}

/// What goes in and out.
#[derive(Args)]
pub struct FileArgs {
    /// Images: files, folders (with their sub-folders), glob patterns, or `-` for standard input
    ///
    /// Folders are walked as the pattern FOLDER/**/*: links are followed, hidden files and this program's own results are passed over. A pattern
    /// that ends in an extension takes every file it matches, others the images by name.
    #[arg(required = true, value_name = "INPUT")]
    pub inputs: Vec<PathBuf>,
    /// Folder for the results (made if need be); a file name for one result of one image; `-` for standard output
    ///
    /// Results are named after their image and keep the sub-folders of a folder given as input. Default: the current folder;
    /// standard output for an image from standard input.
    #[arg(short, long, value_name = "OUT")]
    pub output: Option<PathBuf>,
    /// Print one JSON object an image, and a summary, on standard output
    #[arg(long)]
    pub json: bool,
    /// Make results anew that exist
    ///
    /// Without it the same command goes on where it was stopped: images whose results are there are skipped, missing results are made, and a
    /// image that changed since is done again. Results of other settings, or changed by hand, are left as they are.
    #[arg(long)]
    pub overwrite: bool,
    /// Tell by its content whether an image changed since its results were made, not by its size and time
    #[arg(long)]
    pub checksum: bool,
    /// Segment a damaged image as far as it goes, with a warning, instead of refusing it
    #[arg(long)]
    pub keep_damaged: bool,
    /// Refuse images of more pixels [default: 268435456]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub max_pixels: Option<u64>,
}

/// The feature network.
#[derive(Args)]
pub struct NetworkArgs {
    /// The feature network: `embedded`, a name that `deepcut models list` shows (downloaded if need be), a safetensors file, or a folder with one
    ///
    /// A config.json beside the file, timm's or transformers', says what the tensors do not: heads, norms, the input's mean.
    #[arg(short, long, value_name = "NAME|PATH", default_value = "embedded", help_heading = "Network")]
    pub backbone: PathBuf,
    /// Activations to use, joined by +: key, query, value, token or norm-token, with a block if not the last (value@6+key@8)
    /// [default: dino: key; dinov2: norm-token; supervised: value of the middle block + key of the one after two thirds]
    #[arg(long, value_name = "FACETS", help_heading = "Network")]
    pub facet: Option<Facets>,
    /// Block of a facet that names none, counted from 0 [default: the last]
    #[arg(long, value_name = "BLOCK", help_heading = "Network")]
    pub layer: Option<usize>,
    /// Pixels between patches; divides the patch size [default: the patch size]
    #[arg(long, value_name = "PIXELS", help_heading = "Network")]
    pub stride: Option<usize>,
    /// Family of a vision transformer's file: dino, dinov2 or supervised [default: read off the file]
    #[arg(long, help_heading = "Network")]
    pub family: Option<Family>,
    /// Attention heads of a vision transformer's file [default: by its config.json or metadata, or those of the published network of its size]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..), help_heading = "Network")]
    pub heads: Option<u16>,
    /// Of a file with several networks, the one whose tensors' names begin so, as `teacher.backbone.`
    #[arg(long, value_name = "NAME", help_heading = "Network")]
    pub prefix: Option<String>,
    /// Describe each patch by its surroundings too, in 17 bins
    #[arg(long, help_heading = "Network")]
    pub log_bin: bool,
    /// Precision of products: `auto` is the fastest of this processor that keeps the masks, int8 for the embedded network, else bf16 or f32
    /// [default: auto; paper, or compared with paper: f32]
    #[arg(long, value_parser = precision_parser(), default_value = "auto", hide_default_value = true, help_heading = "Network")]
    #[arg(default_value_ifs([("profile", "paper", "f32"), ("compare", "paper", "f32")]))]
    pub precision: Precision,
    /// The same labels on every processor: no product is rounded, and the portable kernels do all the work; several times as slow
    #[arg(long, conflicts_with = "precision", help_heading = "Network")]
    pub deterministic: bool,
    /// Never ask the hub: use only networks that are here already
    #[arg(long, help_heading = "Network")]
    pub offline: bool,
}

impl NetworkArgs {
    /// Precision of products.
    pub fn precision(&self) -> Precision {
        if self.deterministic { Precision::F32 } else { self.precision }
    }

    /// What of a vision transformer to use, if a config says so much of it.
    pub fn vit_options(&self, config: Config) -> VitOptions {
        VitOptions {
            family: self.family,
            facets: self.facet.clone(),
            layer: self.layer,
            stride: self.stride,
            heads: self.heads.map(usize::from),
            prefix: self.prefix.clone(),
            config,
            precision: self.precision(),
        }
    }
}

/// How to run.
#[derive(Args)]
pub struct RunArgs {
    /// Threads [default: one a core]
    #[arg(short = 'j', long, value_parser = clap::value_parser!(u16).range(1..=1024), help_heading = "Run")]
    pub threads: Option<u16>,
    /// Say nothing but errors
    #[arg(short, long, conflicts_with = "verbose", help_heading = "Run")]
    pub quiet: bool,
    /// Say what was found in each image
    #[arg(short, long, help_heading = "Run")]
    pub verbose: bool,
    /// Show no progress bar
    #[arg(long, help_heading = "Run")]
    pub no_progress: bool,
    /// Memory that decoding, and then clustering, may take, all threads together, as 500MB or 4GB, or `none` [default: what is free]
    ///
    /// A large image waits for room; what would never fit is refused before it begins. In `eval` and `sweep` it limits clustering alone.
    #[arg(long, value_name = "SIZE", value_parser = crate::memory::parse, help_heading = "Run")]
    pub max_memory: Option<MemoryArg>,
}

fn precision_parser() -> impl TypedValueParser<Value = Precision> {
    let by_name = |name: String| Precision::ALL.into_iter().find(|precision| precision.name() == name).ok_or("no precision");
    PossibleValuesParser::new(Precision::ALL.map(Precision::name)).try_map(by_name)
}

fn method_parser() -> impl TypedValueParser<Value = Method> {
    PossibleValuesParser::new(Method::ALL.map(Method::name)).try_map(|name| name.parse::<Method>())
}

/// What to find, and how.
#[derive(Args)]
pub struct MethodArgs {
    /// What to find: the main object, its parts, or the parts and two clusters of background
    #[arg(short, long, value_enum, default_value = "object", help_heading = "Method")]
    pub mode: ModeArg,
    /// Clusters, or parts in the modes parts and scene, 2 to 32; an upper bound with correlation [default: 2; parts: 4; correlation: 10]
    #[arg(short = 'k', long, value_name = "K", help_heading = "Method")]
    pub n_clusters: Option<usize>,
    /// Start from the published method's settings or from ours
    #[arg(long, value_enum, default_value = "default", help_heading = "Method")]
    pub profile: Profile,
    /// How patches are clustered: `deepcut` trains its graph network on each image, the others are classical methods on the same features
    #[arg(long, value_parser = method_parser(), default_value = "deepcut", help_heading = "Method")]
    pub method: Method,
    /// What the graph network minimises; correlation needs no number of clusters [default: normalized-cut; paper: mincut]
    #[arg(long, value_enum, help_heading = "Method")]
    pub objective: Option<ObjectiveArg>,
    /// Correlation: patches repel each other below the largest affinity divided by this; larger gives fewer clusters [default: 3]
    #[arg(long, help_heading = "Method")]
    pub alpha: Option<f32>,
    /// Patches whose cosine exceeds this are joined; `none` weighs every edge by its affinity [default: 0.2; paper: none]
    #[arg(long, value_name = "COSINE", allow_hyphen_values = true, help_heading = "Method")]
    pub tau: Option<String>,
    /// Training epochs, one number or three: image,parts,background [default: 10,50,50; paper: 10,100,10]
    #[arg(long, value_delimiter = ',', help_heading = "Method")]
    pub epochs: Vec<usize>,
    /// deep-spectral: what patches near each other in colour and place weigh, 0 to 1000; its authors use 0 and 10 [default: 0]
    #[arg(long, visible_alias = "colour", value_name = "WEIGHT", help_heading = "Method")]
    pub color: Option<f32>,
    /// Learning rate [default: 0.003; paper: 0.001]
    #[arg(long, help_heading = "Method")]
    pub lr: Option<f32>,
    /// Side of the network's input in pixels, 16 to 2048 [default: the network's, 352 for the embedded one; paper: 280]
    #[arg(short, long, value_name = "PIXELS", help_heading = "Method")]
    pub resolution: Option<usize>,
    /// Move the mask's edges to the image's edges
    #[arg(long, value_enum, default_value = "none", help_heading = "Method")]
    pub refine: RefineArg,
    /// Keep only the largest connected part of the foreground
    #[arg(long, help_heading = "Method")]
    pub largest_component: bool,
    /// Below this confidence (0 to 1) say that there is no object
    #[arg(long, value_name = "C", help_heading = "Method")]
    pub min_confidence: Option<f32>,
    /// Seed of the network that every image of a run starts from
    #[arg(long, default_value_t = 0, help_heading = "Method")]
    pub seed: u64,
}

#[derive(Args)]
pub struct SegmentArgs {
    #[command(flatten)]
    pub files: FileArgs,
    /// What to write, several separated by commas [default: mask,overlay for an object, labels,overlay for parts and scene]
    #[arg(short, long, value_enum, value_delimiter = ',')]
    pub format: Vec<FormatArg>,
    /// Set any option by its JSON name in reports: `--set dropout=0.25`, `--set edges=relu`, `--set upsampling=nearest`; wins over other flags
    #[arg(long = "set", value_name = "NAME=VALUE", help_heading = "Method")]
    pub sets: Vec<String>,
    #[command(flatten)]
    pub method: MethodArgs,
    #[command(flatten)]
    pub network: NetworkArgs,
    #[command(flatten)]
    pub run: RunArgs,
}

/// A data set, what is tried on it, and what is kept of the work.
#[derive(Args)]
pub struct StudyArgs {
    /// How the data set lies on disk
    #[arg(value_enum)]
    pub dataset: DatasetArg,
    /// The data set's folder, or one above it
    #[arg(long, value_name = "DIR")]
    pub root: PathBuf,
    /// Evaluate the images this file names, one a line, as the data set's own lists do: names, paths, numbers, or a sequence of frames
    #[arg(long, value_name = "FILE")]
    pub list: Option<PathBuf>,
    /// Evaluate the first N images only
    #[arg(long, value_name = "N")]
    pub limit: Option<usize>,
    /// Keep features in this folder, and take them from there: a second run with another method computes none
    #[arg(long, value_name = "DIR")]
    pub cache: Option<PathBuf>,
    /// Size of that folder at most, in GB; the features used longest ago go first
    #[arg(long, value_name = "GB", default_value_t = 10.0, requires = "cache")]
    pub cache_size: f64,
    /// Note every image's values in this file as they come, and go on from there if it exists
    #[arg(long, value_name = "FILE")]
    pub resume: Option<PathBuf>,
    /// Print the result as one JSON object
    #[arg(long)]
    pub json: bool,
    #[command(flatten)]
    pub method: MethodArgs,
    #[command(flatten)]
    pub network: NetworkArgs,
    #[command(flatten)]
    pub run: RunArgs,
}

#[derive(Args)]
pub struct EvalArgs {
    #[command(flatten)]
    pub study: StudyArgs,
    /// Set any option by its JSON name in reports: `--set dropout=0.25`; wins over other flags
    #[arg(long = "set", value_name = "NAME=VALUE", help_heading = "Method", conflicts_with = "compare")]
    pub sets: Vec<String>,
    /// Evaluate two methods or profiles on the same images: `paper`, `default`, or a method's name
    #[arg(long, num_args = 2, value_names = ["A", "B"], conflicts_with = "seeds")]
    pub compare: Vec<String>,
    /// Evaluate N seeds, from --seed on, and print the standard deviation over them
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(2..=100))]
    pub seeds: Option<u64>,
    /// Write a page with tables, plots and images into this folder
    #[arg(long, value_name = "DIR")]
    pub report: Option<PathBuf>,
    /// Best, median and worst images on that page, of each
    #[arg(long, value_name = "N", default_value_t = 8)]
    pub examples: usize,
    /// Write the values of every image to this file, as CSV
    #[arg(long, value_name = "FILE")]
    pub csv: Option<PathBuf>,
    /// Replace files that exist
    #[arg(long)]
    pub overwrite: bool,
}

#[derive(Args)]
pub struct SweepArgs {
    #[command(flatten)]
    pub study: StudyArgs,
    /// Values of an option, as its JSON name in reports: `tau=0.1,0.2,null`, `objective=mincut,normalized-cut`, `epochs=[10,10,10],[50,50,50]`;
    /// given several times, all combinations are tried
    #[arg(long = "set", value_name = "NAME=VALUE,...", required = true)]
    pub sets: Vec<String>,
}

/// A data set of the field.
#[derive(Clone, Copy, ValueEnum)]
pub enum DatasetArg {
    /// A folder of images beside a folder of masks
    Masks,
    /// ECSSD: images and masks
    Ecssd,
    /// DUTS-TE: images and masks
    DutsTe,
    /// DUT-OMRON: images and masks
    DutOmron,
    /// Pascal VOC 2007: boxes of trainval
    Voc2007,
    /// Pascal VOC 2012: boxes of trainval
    Voc2012,
    /// DAVIS: masks of video frames, and animals' joints if they are there
    Davis,
    /// COCO 2014: boxes of the twenty thousand images of LOST's list
    Coco20k,
    /// CUB-200-2011: masks and keypoints of the test split
    Cub,
}

#[derive(Args)]
pub struct FeaturesArgs {
    #[command(flatten)]
    pub files: FileArgs,
    /// Resize as the published method does (squashed to a square) or as ours (aspect ratio kept)
    #[arg(long, value_enum, default_value = "default", help_heading = "Network")]
    pub profile: Profile,
    /// Side of the network's input in pixels, 16 to 2048 [default: the network's, 352 for the embedded one; paper: 280]
    #[arg(short, long, value_name = "PIXELS", help_heading = "Network")]
    pub resolution: Option<usize>,
    #[command(flatten)]
    pub network: NetworkArgs,
    #[command(flatten)]
    pub run: RunArgs,
}

#[derive(Subcommand)]
pub enum ModelsCommand {
    /// Show every network known by name, and which are here
    List {
        /// Print one JSON object a network
        #[arg(long)]
        json: bool,
    },
    /// Download networks and verify them
    Download {
        /// Names that `deepcut models list` shows
        #[arg(required = true, value_name = "NAME")]
        names: Vec<String>,
        /// Show no progress bar
        #[arg(long)]
        no_progress: bool,
    },
    /// Print where a downloaded network's file is
    Path {
        /// A name that `deepcut models list` shows
        name: String,
        /// If it is not here, say how to carry it to a machine without a network
        #[arg(long)]
        offline: bool,
    },
    /// Check networks: the checksum the hub stated, and every tensor
    Verify {
        /// Names, or safetensors files [default: every downloaded network]
        #[arg(value_name = "NAME|PATH")]
        networks: Vec<PathBuf>,
    },
}

/// A file to write for each image.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum FormatArg {
    /// Palette PNG whose indices are the labels; 0 is background
    Labels,
    /// Grey PNG, 255 in the foreground
    Mask,
    /// The image under its labels' colours
    Overlay,
    /// The image, transparent outside the foreground
    Cutout,
    /// Boxes, areas, confidence and everything else, as JSON
    Json,
}

impl From<FormatArg> for Format {
    fn from(format: FormatArg) -> Self {
        match format {
            FormatArg::Labels => Self::Labels,
            FormatArg::Mask => Self::Mask,
            FormatArg::Overlay => Self::Overlay,
            FormatArg::Cutout => Self::Cutout,
            FormatArg::Json => Self::Json,
        }
    }
}

#[derive(Clone, Copy, ValueEnum)]
pub enum Profile {
    Paper,
    Default,
}

impl Profile {
    /// Its options, with what both commands can change.
    fn options(self, resolution: Option<usize>, network: &NetworkArgs) -> Options {
        let mut options = match self {
            Self::Paper => Options::paper(),
            Self::Default => Options::default(),
        };
        options.view.resolution = resolution.or(options.view.resolution);
        options.view.log_bin = network.log_bin;
        options.recipe.precision = network.precision();
        options
    }
}

#[derive(Clone, Copy, ValueEnum)]
pub enum ModeArg {
    Object,
    Parts,
    Scene,
}

#[derive(Clone, Copy, ValueEnum)]
pub enum ObjectiveArg {
    NormalizedCut,
    Mincut,
    Correlation,
    Modularity,
}

#[derive(Clone, Copy, ValueEnum)]
pub enum RefineArg {
    None,
    Bilateral,
}

impl FeaturesArgs {
    /// The profile's options with what the command line changes.
    pub fn options(&self) -> Options {
        self.profile.options(self.resolution, &self.network)
    }
}

impl MethodArgs {
    /// The profile's options with what the command line changes.
    pub fn options(&self, network: &NetworkArgs) -> anyhow::Result<Options> {
        self.options_as(self.profile, self.method, network)
    }

    /// The options with what `--set` says of some of them.
    pub fn options_set(&self, network: &NetworkArgs, sets: &[String]) -> anyhow::Result<Options> {
        let mut options = self.options(network)?;
        for set in sets {
            let (name, values) = parse_set(set)?;
            let [value] = &values[..] else { bail!("--set {set}: expected one value; `deepcut sweep` tries several") };
            set_option(&mut options, &name, value).with_context(|| format!("--set {set}"))?;
        }
        options.validate()?;
        Ok(options)
    }

    /// As [`MethodArgs::options`], with another profile and method.
    pub fn options_as(&self, profile: Profile, method: Method, network: &NetworkArgs) -> anyhow::Result<Options> {
        let mut options = profile.options(self.resolution, network);
        let mut recipe = options.recipe.method(method).n_clusters(self.n_clusters).mode(match self.mode {
            ModeArg::Object => Mode::Object,
            ModeArg::Parts => Mode::Parts,
            ModeArg::Scene => Mode::Scene,
        });
        if let Some(objective) = self.objective {
            recipe = recipe.objective(match objective {
                ObjectiveArg::NormalizedCut => Objective::NormalizedCut,
                ObjectiveArg::Mincut => Objective::Mincut,
                ObjectiveArg::Correlation => Objective::Correlation,
                ObjectiveArg::Modularity => Objective::Modularity,
            });
        }
        let tau = match self.tau.as_deref() {
            None => None,
            Some("none") => Some(Edges::Relu),
            Some(number) => {
                let tau = number.parse().with_context(|| format!("--tau {number}: expected a number or `none`"))?;
                Some(Edges::Threshold(tau))
            }
        };
        recipe.edges = match (recipe.edges, tau, self.alpha) {
            (Edges::Correlation { .. }, _, Some(alpha)) => Edges::Correlation { alpha },
            (edges @ Edges::Correlation { .. }, ..) => edges,
            (_, Some(tau), _) => tau,
            // TokenCut's own threshold.
            (Edges::Relu, ..) if method == Method::Tokencut => Recipe::default().edges,
            (edges, ..) => edges,
        };
        match self.epochs[..] {
            [] => {}
            [all] => recipe.epochs = [all; 3],
            [picture, parts, background] => recipe.epochs = [picture, parts, background],
            _ => bail!("--epochs: expected one number or three, got {}", self.epochs.len()),
        }
        recipe.color = self.color.unwrap_or(recipe.color);
        recipe.learning_rate = self.lr.unwrap_or(recipe.learning_rate);
        recipe.largest_component = self.largest_component;
        options.recipe = recipe;
        options.finish.refine = match self.refine {
            RefineArg::None => Refine::None,
            RefineArg::Bilateral if matches!(profile, Profile::Paper) => Refine::BilateralPublished,
            RefineArg::Bilateral => Refine::Bilateral,
        };
        options.finish.min_confidence = self.min_confidence.unwrap_or(options.finish.min_confidence);
        options.finish.largest_component = self.largest_component;
        options.seed = self.seed;
        options.validate()?;
        Ok(options)
    }

    /// Says which of the options given have no effect beside the others.
    pub fn warn_of_ignored(&self, options: &Options, sets: &[String]) {
        for warning in self.ignored(options, sets) {
            words::say(&format!("deepcut: {warning}"));
        }
    }

    fn ignored(&self, options: &Options, sets: &[String]) -> Vec<String> {
        let recipe = &options.recipe;
        let given = [
            ("objective", "--objective", self.objective.is_some()),
            ("edges", "--tau", self.tau.is_some()),
            ("epochs", "--epochs", !self.epochs.is_empty()),
            ("learning_rate", "--lr", self.lr.is_some()),
            ("seed", "--seed", self.seed != 0),
        ];
        let sets: Vec<String> = sets.iter().filter_map(|set| Some(parse_set(set).ok()?.0)).collect();
        let mut found = Vec::new();
        for (field, why) in recipe.without_effect() {
            let flags = given.iter().filter(|(name, _, given)| *name == field && *given).map(|(_, flag, _)| (*flag).to_owned());
            let alias = |name: &str| name == field || (field == "edges" && ["tau", "alpha"].contains(&name));
            let set = sets.iter().filter(|name| alias(name)).map(|name| format!("--set {name}"));
            found.extend(flags.chain(set).map(|flag| format!("{flag} has no effect: {why}")));
        }
        match recipe.edges {
            Edges::Correlation { .. } if self.tau.is_some() => {
                found.push("--tau has no effect: the objective correlation has a graph of its own".into());
            }
            Edges::Correlation { .. } => {}
            _ if self.alpha.is_some() => found.push("--alpha has no effect: it belongs to the objective correlation".into()),
            _ => {}
        }
        found
    }
}

/// A name and its values: what lies between commas outside brackets, as JSON, or as a word if it is none.
pub fn parse_set(set: &str) -> anyhow::Result<(String, Vec<Value>)> {
    let (name, values) = set.split_once('=').with_context(|| format!("--set {set}: expected NAME=VALUE"))?;
    let mut depth = 0;
    let parts = values.split(|c| {
        depth += i32::from("[{".contains(c)) - i32::from("]}".contains(c));
        c == ',' && depth == 0
    });
    let values = parts.map(|part| serde_json::from_str(part).unwrap_or_else(|_| part.into())).collect();
    Ok((name.trim().replace('-', "_"), values))
}

/// Sets an option by its name, unless it is one that has a flag of its own for a reason.
pub fn set_option(options: &mut Options, name: &str, value: &Value) -> anyhow::Result<()> {
    if name == "precision" {
        bail!("the network is loaded in it once a run; use --precision");
    }
    Ok(options.set(name, value)?)
}

impl SegmentArgs {
    /// What to write for each image; `--json` alone writes no file.
    pub fn formats(&self, to: &Destination) -> Vec<Format> {
        if !self.format.is_empty() {
            let mut formats: Vec<Format> = Vec::new();
            for format in self.format.iter().map(|&format| format.into()) {
                if !formats.contains(&format) {
                    formats.push(format);
                }
            }
            return formats;
        }
        let data = if matches!(self.method.mode, ModeArg::Object) { Format::Mask } else { Format::Labels };
        match (to.is_single(), self.files.json && self.files.output.is_none()) {
            (_, true) => vec![],
            (true, false) if to.extension().as_deref() == Some("json") => vec![Format::Json],
            (true, false) => vec![data],
            (false, false) => vec![data, Format::Overlay],
        }
    }
}
