//! Options of annotation files.

use anyhow::{Context, anyhow, bail};
use clap::Args;
use clap::builder::{PossibleValuesParser, TypedValueParser};
use deepcut::export::annotation::{AnnotationFormat, AnnotationOptions, CocoMasks, Paths, Shapes};
use deepcut::segmentation::Kind;
use deepcut::{Mode, Options};
use std::path::{Path, PathBuf};
use std::str::FromStr;

/// What annotation files say.
#[derive(Args)]
pub struct AnnotationArgs {
    /// Class of the objects in annotation files [default: object]
    ///
    /// This option and the others of annotation files can be changed later: the same command with another value segments no image again.
    #[arg(long, value_name = "NAME", help_heading = "Annotation files")]
    pub label: Option<String>,
    /// File with names of the parts or clusters in annotation files, one a line: the first is that of part 1 [default: part 1, part 2, ...]
    #[arg(long, value_name = "FILE", help_heading = "Annotation files")]
    pub labels: Option<PathBuf>,
    /// How annotation files name an image: by its path below the input folder, its whole path, or its file name
    #[arg(long, value_parser = choice::<Paths, 3>(Paths::ALL.map(Paths::name)), default_value = "relative", help_heading = "Annotation files")]
    pub paths: Paths,
    /// Take out corners of polygons that lie within this many pixels of a straighter line; 0 keeps them all, so that polygons are exactly
    /// the masks; 1 or 2 is good for correcting by hand. Polygons stay valid
    #[arg(long, value_name = "PIXELS", value_parser = simplify, default_value = "0", allow_negative_numbers = true, help_heading = "Annotation files")]
    pub simplify: f64,
    /// How COCO files write masks: as polygons, as run lengths (compressed, or as a list, with iscrowd 1), or each as what loses nothing: polygons,
    /// but compressed run lengths for masks with holes
    #[arg(long, value_name = "FORM", value_parser = choice::<CocoMasks, 4>(CocoMasks::ALL.map(CocoMasks::name)), default_value = "auto", help_heading = "Annotation files")]
    pub coco_masks: CocoMasks,
    /// What files of LabelMe, CVAT and Label Studio have: polygons, except masks where there is a hole, or masks only
    /// [default: polygon in LabelMe, which does not edit masks; mask in the others]
    #[arg(long, value_name = "SHAPE", value_parser = choice::<Shapes, 3>(Shapes::ALL.map(Shapes::name)), default_value = "auto", help_heading = "Annotation files")]
    #[arg(hide_default_value = true)]
    pub shapes: Shapes,
}

fn choice<T: FromStr<Err: std::error::Error + Send + Sync + 'static> + Clone + Send + Sync + 'static, const N: usize>(
    names: [&'static str; N],
) -> impl TypedValueParser<Value = T> {
    PossibleValuesParser::new(names).try_map(|name| name.parse::<T>())
}

fn simplify(text: &str) -> Result<f64, String> {
    text.parse().ok().filter(|pixels| (0.0..=1000.0).contains(pixels)).ok_or_else(|| "expected a number from 0 to 1000".into())
}

impl AnnotationArgs {
    /// The options, with the names that are in a file, for files of these formats.
    pub fn options(&self, formats: &[AnnotationFormat]) -> anyhow::Result<AnnotationOptions> {
        let mut options = AnnotationOptions::default();
        options.label = self.label.as_ref().map(|label| label.trim().into());
        let of_file = || format!("--labels {}", self.labels.as_deref().unwrap_or(Path::new("")).display());
        if let Some(path) = &self.labels {
            let text = std::fs::read_to_string(path).with_context(of_file)?;
            options.labels = text.lines().map(|line| line.trim().to_owned()).filter(|line| !line.is_empty()).collect();
            if options.labels.is_empty() {
                bail!("{}: expected a name on each line", of_file());
            }
        }
        (options.paths, options.simplify) = (self.paths, self.simplify);
        (options.coco_masks, options.shapes) = (self.coco_masks, self.shapes);
        options.validate(formats).map_err(|(option, error)| {
            let flag = if option == "labels" { of_file() } else { format!("--{option}") };
            anyhow!("{flag}: {error}")
        })?;
        Ok(options)
    }

    /// Which of the options given have no effect beside the others, and why.
    pub fn ignored(&self, formats: &[AnnotationFormat], options: &Options) -> Vec<String> {
        let usual = AnnotationOptions::default();
        let given = [
            ("--label", self.label.is_some()),
            ("--labels", self.labels.is_some()),
            ("--paths", self.paths != usual.paths),
            ("--simplify", self.simplify != usual.simplify),
            ("--coco-masks", self.coco_masks != usual.coco_masks),
            ("--shapes", self.shapes != usual.shapes),
        ];
        let kinds: Vec<Kind> = options.recipe.meanings(0.0).iter().map(|meaning| meaning.kind).collect();
        let has_objects = options.recipe.mode == Mode::Objects || kinds.contains(&Kind::Object);
        let why = |flag| match flag {
            _ if formats.is_empty() => Some("no annotation files are written; see --format"),
            "--label" if !has_objects => Some("it names objects; --labels names parts and clusters"),
            "--labels" if has_objects && self.label.is_some() => Some("--label names the objects"),
            _ if !formats.iter().any(|format| heeds(*format, flag)) => Some("no file of these formats depends on it"),
            _ => None,
        };
        let given = given.into_iter().filter_map(|(flag, given)| given.then_some(flag));
        given.filter_map(|flag| Some(format!("{flag} has no effect: {}", why(flag)?))).collect()
    }
}

/// Whether files of a format depend on an option.
fn heeds(format: AnnotationFormat, flag: &str) -> bool {
    use AnnotationFormat::{Coco, Cvat, GeoJson, LabelMe, LabelStudio, Npy, Voc, XAnyLabeling, Yolo};
    match flag {
        "--paths" => matches!(format, Coco | Voc | LabelMe | XAnyLabeling | Cvat | LabelStudio),
        "--simplify" => matches!(format, Coco | Yolo | GeoJson | LabelMe | XAnyLabeling | Cvat | LabelStudio),
        "--coco-masks" => format == Coco,
        "--shapes" => matches!(format, LabelMe | Cvat | LabelStudio),
        _ => format != Npy,
    }
}
