//! The command line.

use crate::annotation::AnnotationArgs;
use crate::memory::MemoryArg;
use crate::video::VideoArgs;
use crate::words;
use anyhow::{Context, bail};
use clap::builder::{PossibleValue, PossibleValuesParser, TypedValueParser};
use clap::{Args, Parser, Subcommand, ValueEnum};
use deepcut::backbone::vit::{Family, VitOptions};
use deepcut::backbone::{Config, Facets};
use deepcut::batch::{Destination, usual_formats};
use deepcut::cosegment::{Cosegment, Grouping};
use deepcut::dataset::Void;
use deepcut::export::Format;
use deepcut::export::annotation::AnnotationFormat;
use deepcut::{Edges, Method, Options, Precision};
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
    /// Segment a set of images into parts that agree: a part has the same label in every image
    ///
    /// The first pass finds the object of each image, as `deepcut segment` does. Then the patches of all objects are grouped together, once, and
    /// the second pass writes labels: 0 is background, 1 to K are the parts, the largest over the set first.
    Cosegment(Box<CosegmentArgs>),
    /// Measure masks, boxes or parts against the truth of a data set
    Eval(Box<EvalArgs>),
    /// Measure every combination of some options on a data set
    Sweep(Box<SweepArgs>),
    /// Write the patch features of images, for other tools
    Features(Box<FeaturesArgs>),
    /// Fit a network to your own photographs, without labels: learn to tell objects from background in its features
    ///
    /// A teacher cuts the photographs, and a plane through the network's features learns what its objects have in common. The file is for --prior
    /// of the other commands, with the same network.
    Fit(Box<FitArgs>),
    /// Follow objects or parts through a video: masks of every frame, ids that live on, and files for annotation tools
    ///
    /// INPUT is a folder of frames (in natural order), a GIF, WebP or APNG animation, a Y4M stream (a file, or `-` for standard input), or any other
    /// video file, which the program ffmpeg decodes if it is installed.
    Video(Box<VideoArgs>),
    /// List, download, find and verify feature networks
    Models {
        #[command(subcommand)]
        command: ModelsCommand,
    },
    /// Print a completion script for a shell
    Completions { shell: clap_complete::Shell },
    /// Print the manual page of the program, or of one command
    Man { command: Option<String> },
}

/// Inputs and results.
#[derive(Args)]
pub struct FileArgs {
    /// Images: files, folders (with their sub-folders), glob patterns, or `-` for standard input
    ///
    /// A folder is walked like the pattern FOLDER/**/*: links are followed; hidden files and this program's own results are skipped. A pattern
    /// that ends in an extension takes every file it matches; other patterns take files with an image's extension.
    #[arg(required = true, value_name = "INPUT")]
    pub inputs: Vec<PathBuf>,
    /// Folder for the results (created if missing); a file name for one result of one image; `-` for standard output
    ///
    /// Results take the name of their image and keep the sub-folders of an input folder. Default: the current folder;
    /// standard output for an image from standard input.
    #[arg(short, long, value_name = "OUT")]
    pub output: Option<PathBuf>,
    /// Print one JSON object per image, and a summary, to standard output
    #[arg(long)]
    pub json: bool,
    /// Replace results that exist
    ///
    /// Without it the same command continues where it was stopped: images that have their results are skipped, missing results are written, and
    /// an image that changed is segmented again. Results of other settings, and results changed by hand, stay as they are.
    #[arg(long)]
    pub overwrite: bool,
    /// Compare an image's content, not its size and time, to see whether it changed since its results were written
    #[arg(long)]
    pub checksum: bool,
    /// Segment what can be read of a damaged image, with a warning, instead of refusing it
    #[arg(long)]
    pub keep_damaged: bool,
    /// Refuse images with more pixels than this [default: 268435456]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub max_pixels: Option<u64>,
}

/// The feature network.
#[derive(Args)]
pub struct NetworkArgs {
    /// The feature network: `embedded`, a name from `deepcut models list` (downloaded if missing), a safetensors file, or a folder with one
    ///
    /// A config.json of timm or transformers next to the file adds what the tensors do not say: heads, norms, the input's mean.
    #[arg(short, long, value_name = "NAME|PATH", default_value = "embedded", help_heading = "Network")]
    pub backbone: PathBuf,
    /// Activations to use as features: key, query, value, token or norm-token; with a block if not the last; several joined by + (value@6+key@8)
    /// [default: dino: key; dinov2: norm-token, in `deepcut fit` the tokens of three blocks; supervised: value of the middle block + key of the one
    /// after two thirds; with --prior: those that it was fitted for]
    #[arg(long, value_name = "FACETS", help_heading = "Network")]
    pub facet: Option<Facets>,
    /// Block for facets that name none, counted from 0 [default: the last]
    #[arg(long, value_name = "BLOCK", help_heading = "Network")]
    pub layer: Option<usize>,
    /// Pixels between patches; divides the patch size [default: the patch size]
    #[arg(long, value_name = "PIXELS", help_heading = "Network")]
    pub stride: Option<usize>,
    /// Family of a vision transformer's file: dino, dinov2 or supervised [default: detected from the file]
    #[arg(long, help_heading = "Network")]
    pub family: Option<Family>,
    /// Attention heads of a vision transformer's file [default: from its config.json or metadata, or as in the published network of its size]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..), help_heading = "Network")]
    pub heads: Option<u16>,
    /// Network to use from a file with several: its tensors' names begin with this, such as `teacher.backbone.`
    #[arg(long, value_name = "NAME", help_heading = "Network")]
    pub prefix: Option<String>,
    /// Describe each patch by its surroundings too, in 17 bins
    #[arg(long, help_heading = "Network")]
    pub log_bin: bool,
    /// Precision of products: `auto` takes the fastest on this processor, as measured, that keeps the masks: int8 for the embedded network, or
    /// bf16 or f32
    /// [default: auto; paper, or compared with paper: f32]
    #[arg(long, value_parser = precision_parser(), default_value = "auto", hide_default_value = true, help_heading = "Network")]
    #[arg(default_value_ifs([("profile", "paper", "f32"), ("compare", "paper", "f32")]))]
    pub precision: Precision,
    /// Give the same labels on every processor: portable kernels in f32; several times slower
    #[arg(long, conflicts_with = "precision", help_heading = "Network")]
    pub deterministic: bool,
    /// Tells objects from background in this network's features: a file that `deepcut fit` made
    ///
    /// The default facets and resolution are then those that it was fitted at; other facets, and other networks, are refused.
    #[arg(long, value_name = "FILE", help_heading = "Network")]
    pub prior: Option<PathBuf>,
    /// Do not use the network: take only models that were downloaded before
    #[arg(long, help_heading = "Network")]
    pub offline: bool,
}

impl NetworkArgs {
    /// Precision of products.
    pub fn precision(&self) -> Precision {
        if self.deterministic { Precision::F32 } else { self.precision }
    }

    /// What of it has no effect on a cut like this.
    fn ignored(&self, options: &Options) -> Option<String> {
        let reason = |(name, why): &(&str, &'static str)| (*name == "least_peak").then_some(*why);
        let why = options
            .without_effect()
            .iter()
            .find_map(reason)
            .filter(|_| self.prior.is_some() && options.recipe.mode != deepcut::Mode::Objects)?;
        Some(format!("--prior has no effect on the cut: {why}"))
    }

    /// What of a vision transformer to use, if a config says so much of it.
    pub fn vit_options(&self, config: Config) -> VitOptions {
        VitOptions {
            family: self.family,
            facets: self.facet.clone(),
            layer: self.layer,
            for_prior: false,
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
    /// Number of threads [default: one per core]
    #[arg(short = 'j', long, value_parser = clap::value_parser!(u16).range(1..=1024), help_heading = "Run")]
    pub threads: Option<u16>,
    /// Print errors only
    #[arg(short, long, conflicts_with = "verbose", help_heading = "Run")]
    pub quiet: bool,
    /// Print what was found in each image, the network and the processor's rates
    #[arg(short, long, help_heading = "Run")]
    pub verbose: bool,
    /// Show no progress bar
    #[arg(long, help_heading = "Run")]
    pub no_progress: bool,
    /// Limit of the memory for decoding, and for clustering, over all threads: 500MB, 4GB or `none` [default: what is free]
    ///
    /// A large image waits until there is room; an image that would never fit is refused at once. `eval` and `sweep` limit clustering only.
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
    /// What to find: the main object, its parts, the parts and two clusters of background, or several objects, as many as there are
    #[arg(short, long, value_enum, default_value = "object", help_heading = "Method")]
    pub mode: ModeArg,
    /// Number of clusters, or of parts in the modes parts and scene, 2 to 32; an upper bound with correlation [default: 2; parts: 4; correlation: 10]
    #[arg(short = 'k', long, value_name = "K", help_heading = "Method")]
    pub n_clusters: Option<usize>,
    /// Settings to start from: those of the published method, or ours
    #[arg(long, value_enum, default_value = "default", help_heading = "Method")]
    pub profile: Profile,
    /// Method that clusters patches: `deepcut` trains its graph network on each image; the others are classical methods on the same features
    #[arg(long, value_parser = method_parser(), default_value = "deepcut", help_heading = "Method")]
    pub method: Method,
    /// Objective that the graph network minimizes; correlation needs no number of clusters [default: normalized-cut; paper: mincut]
    #[arg(long, value_enum, help_heading = "Method")]
    pub objective: Option<ObjectiveArg>,
    /// For correlation: patches repel each other if their affinity is below the largest divided by ALPHA; larger gives fewer clusters [default: 3]
    #[arg(long, help_heading = "Method")]
    pub alpha: Option<f32>,
    /// Threshold of the graph: patches with a larger cosine are joined; `none` weighs every edge by its affinity [default: 0.2; paper: none]
    #[arg(long, value_name = "COSINE", allow_hyphen_values = true, help_heading = "Method")]
    pub tau: Option<String>,
    /// Training epochs: one number, or three for image,parts,background; a prior, as the embedded network has one, halves the image's [default: 10,50,50; paper: 10,100,10]
    #[arg(long, value_delimiter = ',', help_heading = "Method")]
    pub epochs: Vec<usize>,
    /// For deep-spectral: weight of nearness in color and place, 0 to 1000; its authors use 0 and 10 [default: 0]
    #[arg(long, visible_alias = "colour", value_name = "WEIGHT", help_heading = "Method")]
    pub color: Option<f32>,
    /// Learning rate [default: 0.003; paper: 0.001]
    #[arg(long, help_heading = "Method")]
    pub lr: Option<f32>,
    /// Side of the network's input in pixels, 16 to 2048 [default: the network's, 352 for the embedded one; paper: 280]
    #[arg(short, long, value_name = "PIXELS", help_heading = "Method")]
    pub resolution: Option<usize>,
    /// Move the mask's edges to the image's edges [default: guided; paper: none]
    #[arg(long, value_enum, help_heading = "Method")]
    pub refine: Option<RefineArg>,
    /// Keep only the largest connected component of the foreground
    #[arg(long, help_heading = "Method")]
    pub largest_component: bool,
    /// In the mode objects: keep the N best of an image, 1 to 254 [default: all]
    #[arg(long, value_name = "N", help_heading = "Method")]
    pub max_objects: Option<usize>,
    /// In the mode objects: drop those smaller than this share of the image (0 to 1) [default: 0.0005]
    #[arg(long, value_name = "SHARE", help_heading = "Method")]
    pub min_area: Option<f32>,
    /// In the mode objects: drop those larger than this share of the image (0 to 1) [default: 1]
    #[arg(long, value_name = "SHARE", help_heading = "Method")]
    pub max_area: Option<f32>,
    /// In the mode objects: fill the holes of each object
    #[arg(long, help_heading = "Method")]
    pub fill_holes: bool,
    /// In the mode objects: drop those that touch the image's border
    #[arg(long, help_heading = "Method")]
    pub drop_border: bool,
    /// Report no object below this confidence (0 to 1); in the mode objects: none of a lower score
    #[arg(long, value_name = "C", help_heading = "Method")]
    pub min_confidence: Option<f32>,
    /// Seed of the initial network, the same for every image
    #[arg(long, default_value_t = 0, help_heading = "Method")]
    pub seed: u64,
}

#[derive(Args)]
pub struct SegmentArgs {
    #[command(flatten)]
    pub files: FileArgs,
    /// Files to write, separated by commas [default: mask,overlay for one object; labels,overlay for several objects, parts, scenes and clusters]
    #[arg(short, long, value_enum, value_delimiter = ',')]
    pub format: Vec<FormatArg>,
    /// Set any option by its name in the JSON report: `--set dropout=0.25`, `--set edges=relu`, `--set upsampling=nearest`; overrides other flags
    #[arg(long = "set", value_name = "NAME=VALUE", help_heading = "Method")]
    pub sets: Vec<String>,
    #[command(flatten)]
    pub annotation: AnnotationArgs,
    #[command(flatten)]
    pub method: MethodArgs,
    #[command(flatten)]
    pub network: NetworkArgs,
    #[command(flatten)]
    pub run: RunArgs,
}

/// Number of parts; None lets the program say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PartsArg(pub Option<usize>);

fn parts(text: &str) -> Result<PartsArg, String> {
    if text == "auto" {
        return Ok(PartsArg(None));
    }
    let number = text.parse().ok().filter(|k| (2..=32).contains(k));
    number.map(|k| PartsArg(Some(k))).ok_or_else(|| "expected a number from 2 to 32, or auto".into())
}

/// The images are looked at twice, which a stream cannot be.
const SET_HELP: &str = "Images: files, folders (with their sub-folders), or glob patterns";
const WALK_HELP: &str = "A folder is walked like the pattern FOLDER/**/*: links are followed; hidden files and this program's own results are skipped. A pattern that ends in an extension takes every file it matches; other patterns take files with an image's extension.";
const OUTPUT_HELP: &str = "Folder for the results (created if missing); a file name for one result of one image; `-` for standard output\n\nResults take the name of their image and keep the sub-folders of an input folder. Default: the current folder.";

fn grouping_parser() -> impl TypedValueParser<Value = Grouping> {
    PossibleValuesParser::new(Grouping::ALL.map(Grouping::name)).try_map(|name: String| name.parse::<Grouping>())
}

/// The set, and how its parts are found.
#[derive(Args)]
#[command(mut_arg("inputs", |inputs| inputs.help(SET_HELP).long_help(format!("{SET_HELP}\n\n{WALK_HELP}"))))]
#[command(mut_arg("output", |output| output.long_help(OUTPUT_HELP)))]
pub struct CosegmentArgs {
    #[command(flatten)]
    pub files: FileArgs,
    /// Files to write, separated by commas [default: labels,overlay]
    #[arg(short, long, value_enum, value_delimiter = ',')]
    pub format: Vec<FormatArg>,
    /// Number of parts, 2 to 32; `auto` takes more parts, up to 10, until one more explains little
    #[arg(short = 'k', long, value_name = "K|auto", default_value = "4", value_parser = parts, help_heading = "Parts")]
    pub n_parts: PartsArg,
    /// How patches are grouped over the set: by k-means; by a spectral cut of all images' graph; by one graph network trained on all images; or by both, the network after k-means
    #[arg(long, value_parser = grouping_parser(), default_value = Grouping::default().name(), help_heading = "Parts")]
    pub method: Grouping,
    /// File that keeps what tells parts apart: written if it is missing, used if it is there
    ///
    /// With the same file the same part has the same label in other images too, on any day and machine. It belongs to one network; with another, or another
    /// number of parts, it is refused.
    #[arg(long, value_name = "FILE", help_heading = "Parts")]
    pub codebook: Option<PathBuf>,
    /// Keep only what the images have in common: drop segments of the foreground that appear in less than this share of the images [without a value: 0.5]
    #[arg(long, value_name = "SHARE", num_args = 0..=1, require_equals = true, default_missing_value = "0.5", help_heading = "Parts")]
    pub common: Option<f32>,
    /// Join pieces smaller than this share of their part to the part around them, 0 to 1; 0 leaves them
    #[arg(long, value_name = "SHARE", default_value_t = 0.03, help_heading = "Parts")]
    pub min_part: f32,
    /// Side of the network's input in pixels, 16 to 2048 [default: the network's, 352 for the embedded one]
    #[arg(short, long, value_name = "PIXELS", help_heading = "Parts")]
    pub resolution: Option<usize>,
    /// Move the edges of object and parts to the image's edges [default: guided]
    #[arg(long, value_enum, help_heading = "Parts")]
    pub refine: Option<RefineArg>,
    /// Keep only the largest connected component of each image's foreground
    #[arg(long, help_heading = "Parts")]
    pub largest_component: bool,
    /// Report no object below this confidence (0 to 1)
    #[arg(long, value_name = "C", help_heading = "Parts")]
    pub min_confidence: Option<f32>,
    /// Seed of what is drawn
    #[arg(long, default_value_t = 0, help_heading = "Parts")]
    pub seed: u64,
    /// Set any option by its name in the JSON report: `--set tau=0.1`, `--set upsampling=nearest`; overrides other flags
    #[arg(long = "set", value_name = "NAME=VALUE", help_heading = "Parts")]
    pub sets: Vec<String>,
    #[command(flatten)]
    pub annotation: AnnotationArgs,
    #[command(flatten)]
    pub network: NetworkArgs,
    #[command(flatten)]
    pub run: RunArgs,
}

impl CosegmentArgs {
    /// How parts are found.
    pub fn parts(&self) -> anyhow::Result<Cosegment> {
        let parts = Cosegment::default().n_parts(self.n_parts.0).method(self.method).common(self.common).min_part(self.min_part);
        parts.validate()?;
        Ok(parts)
    }

    /// How images are seen, cut and finished.
    pub fn options(&self) -> anyhow::Result<Options> {
        let word = |value: PossibleValue| Value::from(value.get_name());
        let values = [
            ("mode", "parts".into()),
            ("n_clusters", self.n_parts.0.into()),
            ("resolution", self.resolution.into()),
            ("refine", self.refine.and_then(|refine| refine.to_possible_value()).map_or(Value::Null, word)),
            ("largest_component", self.largest_component.into()),
            ("min_confidence", self.min_confidence.into()),
            ("log_bin", self.network.log_bin.into()),
            ("precision", self.network.precision().name().into()),
            ("seed", self.seed.into()),
        ];
        let values = values.into_iter().map(|(name, value)| (name.into(), value)).collect();
        let mut options = Options::named(deepcut::profile::Profile::Default, &values)?;
        // JSON has no NaN: it was left out, and is refused here.
        options.finish.min_confidence =
            self.min_confidence.filter(|number| !number.is_finite()).unwrap_or(options.finish.min_confidence);
        for set in &self.sets {
            let (name, values) = parse_set(set)?;
            let [value] = &values[..] else { bail!("--set {set}: expected one value") };
            if ["mode", "n_clusters", "method"].contains(&&*name) {
                bail!("--set {set}: parts of a set are always found so; use -k or --method");
            }
            set_option(&mut options, &name, value).with_context(|| format!("--set {set}"))?;
        }
        options.validate()?;
        Ok(options)
    }

    /// What is written for each image.
    pub fn formats(&self, options: &Options, to: &Destination) -> Vec<Format> {
        formats(&self.format, &self.files, options, to)
    }

    /// The annotation files to write.
    pub fn annotations(&self, to: &Destination) -> Vec<AnnotationFormat> {
        annotations(&self.format, to)
    }
}

/// A data set, the options to evaluate, and what to keep.
#[derive(Args)]
pub struct StudyArgs {
    /// Data set: its layout on disk and its metrics
    #[arg(value_enum)]
    pub dataset: DatasetArg,
    /// The data set's folder, or one above it
    #[arg(long, value_name = "DIR")]
    pub root: PathBuf,
    /// Evaluate only the images listed in this file, one per line, like the data set's own lists: names, paths, numbers, or a sequence of frames
    #[arg(long, value_name = "FILE")]
    pub list: Option<PathBuf>,
    /// Evaluate only the first N images
    #[arg(long, value_name = "N")]
    pub limit: Option<usize>,
    /// What is measured: one foreground, or every object for itself [default: instances for coco, foreground for the others]
    #[arg(long, value_enum)]
    pub task: Option<TaskArg>,
    /// Values of label pictures that are void, or `none` [default: 255 for VOC; the others must say so if they have 255]
    #[arg(long, value_name = "VALUES", value_parser = parse_void)]
    pub void: Option<Void>,
    /// Folder that keeps features: a second run with another method computes none
    #[arg(long, value_name = "DIR")]
    pub cache: Option<PathBuf>,
    /// Largest size of that folder in GB; features used longest ago are removed first
    #[arg(long, value_name = "GB", default_value_t = 10.0, requires = "cache")]
    pub cache_size: f64,
    /// File that records each image's values; if it exists, the run continues from there
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
    /// Set any option by its name in the JSON report: `--set dropout=0.25`; overrides other flags
    #[arg(long = "set", value_name = "NAME=VALUE", help_heading = "Method", conflicts_with = "compare")]
    pub sets: Vec<String>,
    /// Evaluate two methods or profiles on the same images: `paper`, `default`, or a method's name
    #[arg(long, num_args = 2, value_names = ["A", "B"], conflicts_with = "seeds")]
    pub compare: Vec<String>,
    /// Evaluate N seeds, from --seed on, and print the standard deviation over them
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(2..=100))]
    pub seeds: Option<u64>,
    /// Find parts over the whole set, as `deepcut cosegment` does, and measure how well they agree [without a value: kmeans]
    ///
    /// All images of the set share one codebook. NMI and ARI are those of all keypoints together, as published.
    #[arg(long, value_name = "METHOD", num_args = 0..=1, require_equals = true, default_missing_value = Grouping::default().name())]
    #[arg(value_parser = grouping_parser(), conflicts_with_all = ["compare", "resume", "results"])]
    pub cosegment: Option<Grouping>,
    /// With davis: follow the object through each sequence instead of cutting every frame for itself, and print both
    #[arg(long, conflicts_with_all = ["compare", "seeds", "report", "csv", "results", "resume", "cache"])]
    pub video: bool,
    /// With --video: look at each sequence in both directions
    #[arg(long, requires = "video")]
    pub bidirectional: bool,
    /// With --video: cut the object again in every Nth frame
    #[arg(long, value_name = "N", requires = "video")]
    pub recut: Option<usize>,
    /// With --video: share of the frame before, 0 to below 1
    #[arg(long, value_name = "SHARE", requires = "video")]
    pub inertia: Option<f32>,
    /// Write a page with tables, plots and images into this folder
    #[arg(long, value_name = "DIR")]
    pub report: Option<PathBuf>,
    /// Number of best, of median and of worst images on that page
    #[arg(long, value_name = "N", default_value_t = 8)]
    pub examples: usize,
    /// With --task instances: write truth.json and results.json into this folder, as pycocotools reads them
    #[arg(long, value_name = "DIR", conflicts_with = "resume")]
    pub results: Option<PathBuf>,
    /// Write each image's values to this CSV file
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
    /// Values of an option, by its name in the JSON report: `tau=0.1,0.2,null`, `objective=mincut,normalized-cut`, `epochs=[10,10,10],[50,50,50]`;
    /// with several --set, all combinations are tried
    #[arg(long = "set", value_name = "NAME=VALUE,...", required = true)]
    pub sets: Vec<String>,
}

/// What of a data set's truth is measured.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum TaskArg {
    /// The foreground as one: masks, or whether its largest component hits a box
    Foreground,
    /// Every object for itself: average precision and recall, for voc2007, voc2012, coco and masks
    Instances,
}

/// Values, separated by commas, or none.
fn parse_void(text: &str) -> Result<Void, String> {
    if text == "none" {
        return Ok(Void(Vec::new()));
    }
    let value = |word: &str| word.trim().parse::<u16>().map_err(|_| format!("`{word}` is no value from 0 to 65535; or `none`"));
    text.split(',').map(value).collect::<Result<_, _>>().map(Void)
}

/// A data set of the field.
#[derive(Clone, Copy, ValueEnum)]
pub enum DatasetArg {
    /// A folder of images and a folder of masks of the same names; or of label pictures, for instances
    Masks,
    /// ECSSD: images and masks
    Ecssd,
    /// DUTS-TE: images and masks
    DutsTe,
    /// DUT-OMRON: images and masks
    DutOmron,
    /// Pascal VOC 2007: boxes of trainval; or SegmentationObject, for instances
    Voc2007,
    /// Pascal VOC 2012: boxes of trainval; or SegmentationObject, for instances
    Voc2012,
    /// DAVIS: masks of video frames, and animals' joints if the files are there
    Davis,
    /// COCO 2014: boxes of the 20,000 images of LOST's list
    Coco20k,
    /// COCO's instances: a JSON file, as --root or below it, and its images
    Coco,
    /// CUB-200-2011: masks and keypoints of the test split
    Cub,
}

#[derive(Args)]
pub struct FeaturesArgs {
    #[command(flatten)]
    pub files: FileArgs,
    /// Resize like the published method (squashed to a square) or like ours (aspect ratio kept)
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

/// What to learn from, for which network.
#[derive(Args)]
pub struct FitArgs {
    /// Images to learn from, some hundreds of one kind: files, folders (with their sub-folders), or glob patterns
    #[arg(required = true, value_name = "INPUT")]
    pub inputs: Vec<PathBuf>,
    /// File for what was learned
    #[arg(short, long, value_name = "FILE")]
    pub output: PathBuf,
    /// Whose masks to learn from: those of the embedded network, or those that the network itself cuts
    #[arg(long, value_enum, default_value = "embedded")]
    pub teacher: TeacherArg,
    /// Method that the teacher cuts with
    #[arg(long, value_parser = method_parser(), default_value = "deepcut")]
    pub method: Method,
    /// Learn from N images at most, spread evenly over all
    #[arg(long, value_name = "N", default_value_t = 300, value_parser = one_or_more)]
    pub limit: usize,
    /// Side of the network's input in pixels, 16 to 2048 [default: the network's]
    #[arg(short, long, value_name = "PIXELS")]
    pub resolution: Option<usize>,
    /// Seed of the draw of patches, and of the teacher
    #[arg(long, default_value_t = 0)]
    pub seed: u64,
    /// Print JSON objects to standard output: one per image, a summary, and what was learned
    #[arg(long)]
    pub json: bool,
    /// Replace the file if it exists
    #[arg(long)]
    pub overwrite: bool,
    /// Learn from what can be read of a damaged image, with a warning, instead of refusing it
    #[arg(long)]
    pub keep_damaged: bool,
    /// Refuse images with more pixels than this [default: 268435456]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub max_pixels: Option<u64>,
    #[command(flatten)]
    pub network: NetworkArgs,
    #[command(flatten)]
    pub run: RunArgs,
}

/// Whose masks a prior is learned from.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum TeacherArg {
    /// The embedded network's
    Embedded,
    /// The network's own
    #[value(name = "self")]
    Itself,
}

impl FitArgs {
    /// The inputs, as the commands have them that write a result of each.
    pub fn files(&self) -> FileArgs {
        FileArgs {
            inputs: self.inputs.clone(),
            output: None,
            json: self.json,
            overwrite: self.overwrite,
            checksum: false,
            keep_damaged: self.keep_damaged,
            max_pixels: self.max_pixels,
        }
    }
}

fn one_or_more(text: &str) -> Result<usize, String> {
    text.parse().ok().filter(|number| *number > 0).ok_or_else(|| "expected a number from 1 on".into())
}

#[derive(Subcommand)]
pub enum ModelsCommand {
    /// Show all networks that have a name, and which are downloaded
    List {
        /// Print one JSON object per network
        #[arg(long)]
        json: bool,
    },
    /// Download networks and verify them
    Download {
        /// Names from `deepcut models list`
        #[arg(required = true, value_name = "NAME")]
        names: Vec<String>,
        /// Show no progress bar
        #[arg(long)]
        no_progress: bool,
    },
    /// Print the path of a downloaded network's file
    Path {
        /// A name from `deepcut models list`
        name: String,
        /// If it is missing, explain how to copy it to a machine without a network
        #[arg(long)]
        offline: bool,
    },
    /// Check networks: the hub's checksum, and every tensor
    Verify {
        /// Names, or safetensors files [default: every downloaded network]
        #[arg(value_name = "NAME|PATH")]
        networks: Vec<PathBuf>,
    },
}

/// A file to write for each image, or files of annotations.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum FormatArg {
    /// Palette PNG whose indices are the labels; 0 is background
    Labels,
    /// Gray PNG, 255 in the foreground
    Mask,
    /// The image with its labels' colors over it
    Overlay,
    /// The image, transparent outside the foreground
    Cutout,
    /// Boxes, areas, confidence and everything else, as JSON
    Json,
    /// COCO: annotations.json of all images, and results.json with scores
    Coco,
    /// YOLO: segments in labels/NAME.txt, and data.yaml
    Yolo,
    /// Pascal VOC: Annotations, SegmentationObject, SegmentationClass and ImageSets
    Voc,
    /// GeoJSON for each image, as QuPath reads it
    Geojson,
    /// Labels, scores and names for numpy
    Npz,
    /// Labels for numpy
    Npy,
    /// LabelMe: a JSON file for each image
    #[value(name = "labelme")]
    LabelMe,
    /// X-AnyLabeling: a JSON file for each image, polygons only
    #[value(name = "x-anylabeling")]
    XAnyLabeling,
    /// CVAT for images 1.1: annotations.xml of all images
    Cvat,
    /// Label Studio: tasks.json with predictions of all images, and label-studio.xml, the labeling configuration
    LabelStudio,
}

/// A format, by what writes it.
#[derive(Clone, Copy)]
enum Written {
    Picture(Format),
    Annotation(AnnotationFormat),
}

impl FormatArg {
    fn written(self) -> Written {
        use Written::{Annotation, Picture};
        match self {
            Self::Labels => Picture(Format::Labels),
            Self::Mask => Picture(Format::Mask),
            Self::Overlay => Picture(Format::Overlay),
            Self::Cutout => Picture(Format::Cutout),
            Self::Json => Picture(Format::Json),
            Self::Coco => Annotation(AnnotationFormat::Coco),
            Self::Yolo => Annotation(AnnotationFormat::Yolo),
            Self::Voc => Annotation(AnnotationFormat::Voc),
            Self::Geojson => Annotation(AnnotationFormat::GeoJson),
            Self::Npz => Annotation(AnnotationFormat::Npz),
            Self::Npy => Annotation(AnnotationFormat::Npy),
            Self::LabelMe => Annotation(AnnotationFormat::LabelMe),
            Self::XAnyLabeling => Annotation(AnnotationFormat::XAnyLabeling),
            Self::Cvat => Annotation(AnnotationFormat::Cvat),
            Self::LabelStudio => Annotation(AnnotationFormat::LabelStudio),
        }
    }
}

#[derive(Clone, Copy, ValueEnum)]
pub enum Profile {
    Paper,
    Default,
}

impl From<Profile> for deepcut::profile::Profile {
    fn from(profile: Profile) -> Self {
        match profile {
            Profile::Paper => Self::Paper,
            Profile::Default => Self::Default,
        }
    }
}

#[derive(Clone, Copy, ValueEnum)]
pub enum ModeArg {
    Object,
    Parts,
    Scene,
    Objects,
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
    /// Leave the edges as the patches have them
    None,
    /// The guided filter
    Guided,
    /// The bilateral solver: slower
    Bilateral,
}

impl FeaturesArgs {
    /// The profile's options with what the command line changes.
    pub fn options(&self) -> Options {
        let mut options = deepcut::profile::Profile::from(self.profile).options();
        options.view.resolution = self.resolution.or(options.view.resolution);
        options.view.log_bin = self.network.log_bin;
        options.recipe.precision = self.network.precision();
        options
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
        let word = |value: PossibleValue| Value::from(value.get_name());
        let tau = match self.tau.as_deref() {
            None | Some("none") => self.tau.as_deref().map(Value::from),
            Some(number) => {
                let tau: f32 = number.parse().with_context(|| format!("--tau {number}: expected a number or `none`"))?;
                Some(tau.into())
            }
        };
        let epochs = match self.epochs[..] {
            [] => Value::Null,
            [all] => all.into(),
            [..] if self.epochs.len() == 3 => self.epochs.clone().into(),
            _ => bail!("--epochs: expected one number or three, got {}", self.epochs.len()),
        };
        let values = [
            ("method", method.name().into()),
            ("mode", self.mode.to_possible_value().map_or(Value::Null, word)),
            ("n_clusters", self.n_clusters.into()),
            ("objective", self.objective.and_then(|objective| objective.to_possible_value()).map_or(Value::Null, word)),
            ("tau", tau.into()),
            ("alpha", self.alpha.into()),
            ("epochs", epochs),
            ("color", self.color.into()),
            ("learning_rate", self.lr.into()),
            ("resolution", self.resolution.into()),
            ("refine", self.refine.and_then(|refine| refine.to_possible_value()).map_or(Value::Null, word)),
            ("largest_component", self.largest_component.into()),
            ("max_objects", self.max_objects.into()),
            ("min_area", self.min_area.into()),
            ("max_area", self.max_area.into()),
            ("fill_holes", self.fill_holes.into()),
            ("drop_border", self.drop_border.into()),
            ("min_confidence", self.min_confidence.into()),
            ("log_bin", network.log_bin.into()),
            ("precision", network.precision().name().into()),
            ("seed", self.seed.into()),
        ];
        let mut options =
            Options::named(profile.into(), &values.into_iter().map(|(name, value)| (name.into(), value)).collect())?;
        // JSON has no NaN and no infinity: they were left out, and are refused here.
        let (recipe, finish) = (&mut options.recipe, &mut options.finish);
        let numbers = [
            (self.color, &mut recipe.color),
            (self.lr, &mut recipe.learning_rate),
            (self.min_area, &mut finish.min_area),
            (self.max_area, &mut finish.max_area),
            (self.min_confidence, &mut finish.min_confidence),
        ];
        for (given, option) in numbers {
            *option = given.filter(|number| !number.is_finite()).unwrap_or(*option);
        }
        let odd_tau = self.tau.as_ref().and_then(|tau| tau.parse::<f32>().ok()).filter(|tau| !tau.is_finite());
        match (recipe.edges, odd_tau, self.alpha.filter(|alpha| !alpha.is_finite())) {
            (Edges::Correlation { .. }, _, Some(alpha)) => recipe.edges = Edges::Correlation { alpha },
            (Edges::Relu | Edges::Threshold(_), Some(tau), _) => recipe.edges = Edges::Threshold(tau),
            _ => {}
        }
        options.validate()?;
        Ok(options)
    }

    /// Says which of the options given have no effect beside the others.
    pub fn warn_of_ignored(&self, network: &NetworkArgs, options: &Options, sets: &[String]) {
        for warning in self.ignored(options, sets).into_iter().chain(network.ignored(options)) {
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
            ("max_objects", "--max-objects", self.max_objects.is_some()),
            ("min_area", "--min-area", self.min_area.is_some()),
            ("max_area", "--max-area", self.max_area.is_some()),
            ("fill_holes", "--fill-holes", self.fill_holes),
            ("drop_border", "--drop-border", self.drop_border),
        ];
        let sets: Vec<String> = sets.iter().filter_map(|set| Some(parse_set(set).ok()?.0)).collect();
        let mut found = Vec::new();
        for (field, why) in options.without_effect() {
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

/// What to write for each image; `--json` alone writes no file.
fn formats(asked: &[FormatArg], files: &FileArgs, options: &Options, to: &Destination) -> Vec<Format> {
    if !asked.is_empty() {
        let pictures = asked.iter().filter_map(|format| match format.written() {
            Written::Picture(format) => Some(format),
            Written::Annotation(_) => None,
        });
        return once(pictures);
    }
    let [data, overlay] = usual_formats(options);
    match (to.is_single(), files.json && files.output.is_none()) {
        (_, true) => vec![],
        (true, false) if to.extension().as_deref() == Some("json") => vec![Format::Json],
        (true, false) if !annotations(asked, to).is_empty() => vec![],
        (true, false) => vec![data],
        (false, false) => vec![data, overlay],
    }
}

/// The annotation files to write: those asked for, or what the name of the one file says.
fn annotations(asked: &[FormatArg], to: &Destination) -> Vec<AnnotationFormat> {
    if asked.is_empty() {
        let extension = to.extension().unwrap_or_default();
        let by_name = [AnnotationFormat::GeoJson, AnnotationFormat::Npz, AnnotationFormat::Npy];
        return by_name.into_iter().filter(|format| format.name() == extension).collect();
    }
    once(asked.iter().filter_map(|format| match format.written() {
        Written::Picture(_) => None,
        Written::Annotation(format) => Some(format),
    }))
}

impl SegmentArgs {
    /// What is written for each image.
    pub fn formats(&self, options: &Options, to: &Destination) -> Vec<Format> {
        formats(&self.format, &self.files, options, to)
    }

    /// The annotation files to write.
    pub fn annotations(&self, to: &Destination) -> Vec<AnnotationFormat> {
        annotations(&self.format, to)
    }

    /// Says which of the options given have no effect beside the others.
    pub fn warn_of_ignored(&self, options: &Options, to: &Destination) {
        self.method.warn_of_ignored(&self.network, options, &self.sets);
        for warning in self.annotation.ignored(&self.annotations(to), options) {
            words::say(&format!("deepcut: {warning}"));
        }
    }
}

/// Each of them once, in their order.
fn once<T: PartialEq>(all: impl Iterator<Item = T>) -> Vec<T> {
    let mut found = Vec::new();
    for item in all {
        if !found.contains(&item) {
            found.push(item);
        }
    }
    found
}
