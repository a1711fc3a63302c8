//! A small convolutional patch-feature network: the architecture of the embedded backbone.
//!
//! ```text
//! x  = blocks₂(down(blocks₁(stem(image))))            stride 8
//! y  = blocks₃(down(x))                                stride 16
//! out = head(mix(lateral(x) + upsample₂(top(y))))      stride 8
//! block(x) = x + project(GELU(expand(depthwise(x))))
//! objectness = plane · out                             where the file has a plane, or
//!            = out₁(blocks(lateral₁(x₄) + upsample₂(top₁(z))))   stride 4, where it has a mask head
//! ```
//!
//! where `stem` is a 4 × 4 convolution of stride 4, `down` a 2 × 2 one of stride 2, `depthwise` has one k × k kernel a channel
//! and zero padding, the others are 1 × 1, and `upsample₂` is bilinear. Batch norm is folded into the weights. Widths, depths and
//! kernel size are read from the file's metadata under the key `deepcut`, so another file of this family needs no other code.
//!
//! Planes are channels-last with a border of zeros, so that a convolution needs no test for the edge. A block is computed a few rows at
//! a time: their hidden activations, three times as wide, never leave the second-level cache.

use super::linear::{Linear, resized};
use super::weights::{Weights, WeightsError, sha256};
use super::{Backbone, BackboneError, FeatureMap, Identity, Input, InputSpec};
use crate::cpu::{Cpu, Precision};
use crate::kernels::Depthwise;
use crate::kernels::parallel;
use serde::Deserialize;
use std::fmt;

/// Key of the metadata that describe a network of this family.
const METADATA: &str = "deepcut";
/// Name of this family in the metadata.
const ARCHITECTURE: &str = "deepcut-student";
/// Largest width that the metadata may give.
const MAX_WIDTH: usize = 4096;
/// Largest number of blocks in a stage.
const MAX_DEPTH: usize = 64;
/// Largest kernel of a depthwise convolution.
const MAX_KERNEL: usize = 31;
/// Fewest pixels of a task: enough to make packing and bookkeeping negligible.
const TASK_PIXELS: usize = 48;
/// The tensor of the plane that tells objects from background: its weights, then its bias.
const PLANE: &str = "objectness";
/// Stride and kernel of the stem.
const STEM: usize = 4;
/// Pixels between patches.
const STRIDE: usize = 8;
/// Inputs are padded to a multiple of this, which makes both scales whole.
const SIZE_MULTIPLE: usize = 16;

#[derive(Debug, Clone, Deserialize)]
struct Architecture {
    architecture: String,
    widths: [usize; 3],
    depths: [usize; 3],
    mix: usize,
    ratio: usize,
    output: usize,
    stride: usize,
    kernel: usize,
    mean: [f32; 3],
    std: [f32; 3],
    activation: String,
    /// The head that draws the object's mask, where the file has one.
    mask: Option<MaskArchitecture>,
}

#[derive(Debug, Clone, Copy, Deserialize)]
struct MaskArchitecture {
    width: usize,
    depth: usize,
}

impl Architecture {
    fn check(&self) -> Result<(), WeightsError> {
        let wrong = |what: String| Err(WeightsError::Metadata(what));
        if self.architecture != ARCHITECTURE {
            return wrong(format!("architecture `{}`, expected `{ARCHITECTURE}`", self.architecture));
        }
        if self.activation != "gelu (erf)" || self.stride != STRIDE {
            return wrong(format!("activation `{}`, stride {}; expected `gelu (erf)`, {STRIDE}", self.activation, self.stride));
        }
        let mask = self.mask.unwrap_or(MaskArchitecture { width: 1, depth: 0 });
        let widths = self.widths.iter().chain([&self.output, &self.ratio, &mask.width]);
        if !widths.clone().all(|w| (1..=MAX_WIDTH).contains(w)) {
            return wrong(format!("widths {:?} outside 1..={MAX_WIDTH}", widths.collect::<Vec<_>>()));
        }
        if self.depths.iter().chain([&self.mix, &mask.depth]).any(|&depth| depth > MAX_DEPTH) {
            return wrong(format!("depths {:?}, {} and {} above {MAX_DEPTH}", self.depths, self.mix, mask.depth));
        }
        if self.kernel.is_multiple_of(2) || self.kernel > MAX_KERNEL {
            return wrong(format!("kernel {}; expected an odd number up to {MAX_KERNEL}", self.kernel));
        }
        if self.mean.iter().any(|m| !m.is_finite()) || self.std.iter().any(|s| !s.is_finite() || *s <= 0.0) {
            return wrong("mean or std is not finite and positive".into());
        }
        Ok(())
    }
}

struct Block {
    kernel: usize,
    /// `[kernel * kernel, channels]`.
    depthwise: Vec<f32>,
    depthwise_bias: Vec<f32>,
    expand: Linear,
    project: Linear,
}

/// The head that draws the object's mask: log-odds at the stride of the stem, from stage 1 and from what the last layer reads.
struct MaskHead {
    lateral: Linear,
    top: Linear,
    mix: Vec<Block>,
    out: Linear,
}

/// Where the network says how much a patch belongs to an object.
enum Objectness {
    Nowhere,
    /// In a plane through its features: weights and bias.
    Plane(Vec<f32>, f32),
    Mask(Box<MaskHead>),
}

/// The network. See the module's documentation.
pub struct ConvNet {
    cpu: Cpu,
    identity: Identity,
    architecture: Architecture,
    stem: Linear,
    stages: [Vec<Block>; 3],
    down: [Linear; 2],
    lateral: Linear,
    top: Linear,
    mix: Vec<Block>,
    head: Linear,
    objectness: Objectness,
}

/// Takes the tensors of one file in the layout the kernels read.
struct Loader<'a> {
    weights: Weights<'a>,
    architecture: Architecture,
    precision: Precision,
    /// Precision of the layers that int8 does not suit: f32 or bf16.
    float: Precision,
}

impl Loader<'_> {
    fn bias(&mut self, name: &str, outputs: usize) -> Result<Vec<f32>, WeightsError> {
        self.weights.take(&format!("{name}.bias"), &[outputs])
    }

    /// A convolution whose stride is its kernel size: `[out, in, size, size]` → a product over patches `[size, size, in]`.
    fn patches(&mut self, name: &str, inputs: usize, outputs: usize, size: usize) -> Result<Linear, WeightsError> {
        let tensor = self.weights.take(&format!("{name}.weight"), &[outputs, inputs, size, size])?;
        let bias = self.bias(name, outputs)?;
        // Layers that read pixels, or sum few layers, stay in floating point.
        Ok(Linear::patches(self.float, &tensor, bias, inputs, size))
    }

    fn pointwise(&mut self, name: &str, inputs: usize, outputs: usize) -> Result<Linear, WeightsError> {
        self.patches(name, inputs, outputs, 1)
    }

    /// A 1 × 1 convolution of a block. Blocks have nearly all of the products.
    fn dense(&mut self, name: &str, inputs: usize, outputs: usize) -> Result<Linear, WeightsError> {
        let tensor = self.weights.take(&format!("{name}.weight"), &[outputs, inputs, 1, 1])?;
        Ok(Linear::new(self.precision, &tensor, self.bias(name, outputs)?, inputs))
    }

    fn block(&mut self, name: &str, channels: usize) -> Result<Block, WeightsError> {
        let Architecture { kernel, ratio, .. } = self.architecture;
        let area = kernel * kernel;
        let depthwise = format!("{name}.depthwise");
        let tensor = self.weights.take(&format!("{depthwise}.weight"), &[channels, 1, kernel, kernel])?;
        Ok(Block {
            kernel,
            depthwise: (0..area * channels).map(|at| tensor[at % channels * area + at / channels]).collect(),
            depthwise_bias: self.bias(&depthwise, channels)?,
            expand: self.dense(&format!("{name}.expand"), channels, ratio * channels)?,
            project: self.dense(&format!("{name}.project"), ratio * channels, channels)?,
        })
    }

    fn blocks(&mut self, name: &str, depth: usize, channels: usize) -> Result<Vec<Block>, WeightsError> {
        (0..depth).map(|i| self.block(&format!("{name}.{i}"), channels)).collect()
    }

    /// A 1 × 1 convolution of a coarser plane: without bias, as it is added to another one that has one.
    fn top(&mut self, name: &str, inputs: usize, outputs: usize) -> Result<Linear, WeightsError> {
        let tensor = self.weights.take(&format!("{name}.weight"), &[outputs, inputs, 1, 1])?;
        Ok(Linear::new(self.float, &tensor, vec![0.0; outputs], inputs))
    }

    /// A file has a mask head or a plane, not both.
    fn objectness(&mut self) -> Result<Objectness, WeightsError> {
        let Architecture { widths: [fine, ..], output, mask, .. } = self.architecture;
        if let Some(MaskArchitecture { width, depth }) = mask {
            let head = MaskHead {
                lateral: self.pointwise("mask.lateral", fine, width)?,
                top: self.top("mask.top", output, width)?,
                mix: self.blocks("mask.mix", depth, width)?,
                out: self.pointwise("mask.out", width, 1)?,
            };
            return Ok(Objectness::Mask(Box::new(head)));
        }
        if !self.weights.names().any(|name| name == PLANE) {
            return Ok(Objectness::Nowhere);
        }
        let mut plane = self.weights.take(PLANE, &[output + 1])?;
        let bias = plane.pop().unwrap_or_default();
        Ok(Objectness::Plane(plane, bias))
    }
}

impl ConvNet {
    /// Whether the metadata of safetensors bytes describe a network of this family.
    #[must_use]
    pub fn is_described_by(bytes: &[u8]) -> bool {
        Weights::parse(bytes).is_ok_and(|weights| weights.metadata(METADATA).is_ok())
    }

    /// Builds the network from safetensors bytes.
    ///
    /// Its 1 × 1 and patch-wise convolutions are computed in `precision`. With [`Precision::Int8`] only those of the blocks are; the others
    /// are in the faster of f32 and bf16. [`Precision::Auto`] chooses int8 where it is faster, because masks stay the same.
    ///
    /// # Errors
    /// Every variant of [`WeightsError`].
    pub fn from_bytes(name: &str, bytes: &[u8], cpu: &Cpu, precision: Precision) -> Result<Self, WeightsError> {
        Self::from_bytes_of(|| sha256(bytes), name, bytes, cpu, precision)
    }

    /// [`ConvNet::from_bytes`] of bytes whose checksum `sum` computes or knows.
    pub(super) fn from_bytes_of(
        sum: impl FnOnce() -> String + Send,
        name: &str,
        bytes: &[u8],
        cpu: &Cpu,
        precision: Precision,
    ) -> Result<Self, WeightsError> {
        // Rates are measured with nobody beside.
        let precision = cpu.network_precision(precision, true);
        let (network, sha256) = cpu.together(|| parallel::join(|| Self::read(name, bytes, cpu, precision), sum));
        let mut network = network?;
        network.identity.sha256 = sha256;
        Ok(network)
    }

    /// [`ConvNet::from_bytes`] without the checksum.
    fn read(name: &str, bytes: &[u8], cpu: &Cpu, precision: Precision) -> Result<Self, WeightsError> {
        let weights = Weights::parse_named(name, bytes)?;
        let architecture: Architecture =
            serde_json::from_str(weights.metadata(METADATA)?).map_err(|e| WeightsError::Metadata(e.to_string()))?;
        architecture.check()?;
        let Architecture { widths: [w1, w2, w3], depths: [d1, d2, d3], mix, output, .. } = architecture;
        let float = cpu.float(precision).into();
        let mut load = Loader { weights, architecture, precision, float };
        let stem = load.patches("stem", 3, w1, STEM)?;
        let stages = [load.blocks("stage1", d1, w1)?, load.blocks("stage2", d2, w2)?, load.blocks("stage3", d3, w3)?];
        let down = [load.patches("down1", w1, w2, 2)?, load.patches("down2", w2, w3, 2)?];
        let lateral = load.pointwise("lateral", w2, output)?;
        let top = load.top("top", w3, output)?;
        let mix = load.blocks("mix", mix, output)?;
        let head = load.pointwise("head", output, output)?;
        let objectness = load.objectness()?;
        load.weights.finish()?;
        let Architecture { mean, std, .. } = load.architecture;
        let (name, features) = (name.into(), "output".into());
        let identity = Identity { name, features, stride: STRIDE, precision, mean, std, ..Identity::default() };
        let cpu = cpu.clone();
        Ok(Self { cpu, identity, architecture: load.architecture, stem, stages, down, lateral, top, mix, head, objectness })
    }
}

impl Backbone for ConvNet {
    fn identity(&self) -> &Identity {
        &self.identity
    }

    fn input(&self) -> InputSpec {
        let Architecture { mean, std, .. } = self.architecture;
        InputSpec { mean, std, size_multiple: SIZE_MULTIPLE, resolution: 352 }
    }

    fn features(&self, inputs: &[Input<'_>]) -> Result<Vec<FeatureMap>, BackboneError> {
        inputs.iter().map(|&input| self.cpu.together(|| self.features_of(input))).collect()
    }
}

impl ConvNet {
    fn features_of(&self, input: Input<'_>) -> Result<FeatureMap, BackboneError> {
        let cpu = &self.cpu;
        let pad = self.architecture.kernel / 2;
        let scratch = &mut Vec::new();
        let image =
            Plane::from_input(input.height.next_multiple_of(SIZE_MULTIPLE), input.width.next_multiple_of(SIZE_MULTIPLE), input);
        let mut forward = |x: &Plane, linear: &Linear, size: usize, blocks: &[Block]| {
            run(cpu, blocks, x.patches(cpu, linear, size, pad, scratch), scratch)
        };
        let fine = forward(&image, &self.stem, STEM, &self.stages[0]);
        let x = forward(&fine, &self.down[0], 2, &self.stages[1]);
        let y = forward(&x, &self.down[1], 2, &self.stages[2]);
        let coarse = y.patches(cpu, &self.top, 1, 0, scratch);
        let mut z = x.patches(cpu, &self.lateral, 1, pad, scratch);
        add_upsampled(&mut z, &coarse);
        let z = run(cpu, &self.mix, z, scratch);
        let features = z.patches(cpu, &self.head, 1, 0, scratch);
        let (height, width) = (input.height.div_ceil(STRIDE), input.width.div_ceil(STRIDE));
        let map = FeatureMap::new(height, width, features.channels, features.cropped(height, width))?;
        Ok(match &self.objectness {
            Objectness::Nowhere => map,
            Objectness::Plane(plane, bias) => {
                let logit = |row: &[f32]| row.iter().zip(plane).fold(*bias, |sum, (x, w)| sum + x * w);
                let objectness = map.data().chunks_exact(map.dim()).map(logit).collect();
                map.with_objectness(objectness)?
            }
            Objectness::Mask(head) => {
                const SCALE: usize = STRIDE / STEM;
                let coarse = z.patches(cpu, &head.top, 1, 0, scratch);
                let mut mask = fine.patches(cpu, &head.lateral, 1, pad, scratch);
                add_upsampled(&mut mask, &coarse);
                let mask = run(cpu, &head.mix, mask, scratch).patches(cpu, &head.out, 1, 0, scratch);
                map.with_fine_objectness(SCALE, mask.cropped(height * SCALE, width * SCALE))?
            }
        })
    }
}

impl fmt::Debug for ConvNet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ConvNet").field(&self.identity).finish()
    }
}

/// `[height, width, channels]` values within a border of `pad` zeros on every side.
struct Plane {
    height: usize,
    width: usize,
    channels: usize,
    pad: usize,
    data: Vec<f32>,
}

impl Plane {
    fn zeros(height: usize, width: usize, channels: usize, pad: usize) -> Self {
        let data = vec![0.0; (height + 2 * pad) * (width + 2 * pad) * channels];
        Self { height, width, channels, pad, data }
    }

    /// An input that may be smaller than the plane; the rest is zero.
    fn from_input(height: usize, width: usize, input: Input<'_>) -> Self {
        let mut plane = Self::zeros(height, width, 3, 0);
        store(input.data, &mut plane.data, width * 3, input.width * 3, 0);
        plane
    }

    /// Number of values from one row of the padded plane to the next.
    fn stride(&self) -> usize {
        (self.width + 2 * self.pad) * self.channels
    }

    fn at(&self, y: usize, x: usize) -> usize {
        (y + self.pad) * self.stride() + (x + self.pad) * self.channels
    }

    fn row(&self, y: usize) -> &[f32] {
        &self.data[self.at(y, 0)..self.at(y, self.width)]
    }

    /// The values of the first rows and columns, without the border: what lies wholly in the input's padding is dropped.
    fn cropped(self, height: usize, width: usize) -> Vec<f32> {
        if (self.height, self.width, self.pad) == (height, width, 0) {
            return self.data;
        }
        (0..height).flat_map(|y| &self.row(y)[..width * self.channels]).copied().collect()
    }

    /// Number of rows in a task.
    fn task_rows(&self) -> usize {
        TASK_PIXELS.div_ceil(self.width).min(self.height)
    }

    /// The rows inside the border, padded left and right, in chunks of [`Plane::task_rows`].
    fn tasks_mut(&mut self) -> std::slice::ChunksMut<'_, f32> {
        let (stride, rows) = (self.stride(), self.task_rows());
        let inside = self.pad * stride..(self.pad + self.height) * stride;
        self.data[inside].chunks_mut(rows * stride)
    }

    /// Applies a convolution with stride `size` and a `size × size` kernel.
    fn patches(&self, cpu: &Cpu, linear: &Linear, size: usize, pad: usize, scratch: &mut Vec<Scratch>) -> Self {
        let mut out = Self::zeros(self.height / size, self.width / size, linear.outputs(), pad);
        let (rows, stride, width, channels) = (out.task_rows(), out.stride(), out.width, out.channels);
        let run = size * self.channels;
        parallel::for_each_with(out.tasks_mut().enumerate(), scratch, |scratch, (task, out)| {
            let height = out.len() / stride;
            let patches = resized(&mut scratch.rows, height * width * size * run);
            for (at, patch) in patches.chunks_exact_mut(run).enumerate() {
                let (pixel, i) = (at / size, at % size);
                let (y, x) = (task * rows + pixel / width, pixel % width);
                let from = self.at(y * size + i, x * size);
                patch.copy_from_slice(&self.data[from..from + run]);
            }
            let values = resized(&mut scratch.out, height * width * channels);
            linear.apply(cpu, patches, values);
            store(values, out, stride, width * channels, pad * channels);
        });
        out
    }
}

/// Buffers of one task, kept by its thread.
#[derive(Default)]
struct Scratch {
    rows: Vec<f32>,
    hidden: Vec<f32>,
    out: Vec<f32>,
}

/// Copies unpadded rows into padded ones.
fn store(rows: &[f32], out: &mut [f32], stride: usize, width: usize, indent: usize) {
    for (row, out) in rows.chunks_exact(width).zip(out.chunks_exact_mut(stride)) {
        out[indent..indent + width].copy_from_slice(row);
    }
}

/// Applies a stage's blocks, alternating between two planes.
fn run(cpu: &Cpu, blocks: &[Block], mut x: Plane, scratch: &mut Vec<Scratch>) -> Plane {
    if blocks.is_empty() {
        return x;
    }
    let mut out = Plane::zeros(x.height, x.width, x.channels, x.pad);
    for block in blocks {
        block.apply(cpu, &x, scratch, &mut out);
        std::mem::swap(&mut x, &mut out);
    }
    x
}

impl Block {
    /// `out = x + project(GELU(expand(depthwise(x))))`.
    fn apply(&self, cpu: &Cpu, x: &Plane, scratch: &mut Vec<Scratch>, out: &mut Plane) {
        let (rows, stride, channels, width) = (x.task_rows(), x.stride(), x.channels, x.width);
        let shape = Depthwise { weights: &self.depthwise, bias: &self.depthwise_bias, kernel: self.kernel, channels, width };
        parallel::for_each_with(out.tasks_mut().enumerate(), scratch, |scratch, (task, out)| {
            let height = out.len() / stride;
            let pixels = height * width;
            let filtered = resized(&mut scratch.rows, pixels * channels);
            let residual = resized(&mut scratch.out, pixels * channels);
            let lines = filtered.chunks_exact_mut(width * channels).zip(residual.chunks_exact_mut(width * channels));
            for (i, (filtered, residual)) in lines.enumerate() {
                let y = task * rows + i;
                // Row y of the plane begins `pad` rows below row y of the padded data: the first row the kernel reads.
                cpu.isa.depthwise_row(shape, &x.data[y * stride..], filtered);
                residual.copy_from_slice(x.row(y));
            }
            let hidden = resized(&mut scratch.hidden, pixels * self.expand.outputs());
            self.expand.apply(cpu, filtered, hidden);
            cpu.isa.gelu(hidden);
            self.project.add(cpu, hidden, residual);
            store(residual, out, stride, width * channels, x.pad * channels);
        });
    }
}

/// Adds `coarse` (half the height and width, no border), upsampled bilinearly about pixel centers, to `fine`.
fn add_upsampled(fine: &mut Plane, coarse: &Plane) {
    let half = |i: usize, n: usize| {
        // Center i + ½ of the fine grid lies at i/2 − ¼ of the coarse one.
        let (near, far) = (i / 2, if i.is_multiple_of(2) { (i / 2).saturating_sub(1) } else { (i / 2 + 1).min(n / 2 - 1) });
        [(near, 0.75f32), (far, 0.25)]
    };
    let Plane { height, width, channels, pad, .. } = *fine;
    let (rows, stride) = (fine.task_rows(), fine.stride());
    parallel::for_each(fine.tasks_mut().enumerate(), |(task, fine)| {
        for (i, row) in fine.chunks_exact_mut(stride).enumerate() {
            let pixels = row[pad * channels..].chunks_exact_mut(channels).take(width);
            for (x, out) in pixels.enumerate() {
                for (cy, wy) in half(task * rows + i, height) {
                    for (cx, wx) in half(x, width) {
                        let at = coarse.at(cy, cx);
                        for (o, c) in out.iter_mut().zip(&coarse.data[at..at + channels]) {
                            *o += wy * wx * c;
                        }
                    }
                }
            }
        }
    });
}
