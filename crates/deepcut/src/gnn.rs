//! The graph neural network: one graph convolution and a small perceptron, with its gradient and its optimizer.
//!
//! ```text
//! H₁ = ELU(Z Θ + b₀)        d → 64       Z = Â F, computed once an image
//! H₂ = ELU(H₁ A₁ + b₁)      64 → 32      dropout on H₂
//! S  = softmax(H₂ A₂ + b₂ + L)  32 → k    L: logits that are given, as a prior's; usually none
//! ```
//!
//! | symbol | code            | shape     | meaning                                         |
//! |--------|-----------------|-----------|-------------------------------------------------|
//! | Z      | `Propagated`    | [n, d]    | features, averaged over neighbors               |
//! | Θ, A   | `Layer::weight` | [in, out] | transposed with respect to PyTorch              |
//! | S      | `assignment`    | [n, k]    | soft clusters; each row sums to one             |
//!
//! The convolution is linear before its ELU, so `Â (F Θ) = (Â F) Θ`: an epoch costs O(n·d·64) and touches no edge.
//!
//! Source: DeepCut (arXiv 2212.05853), section 3; reference code `gnn_pool.GNNpool.forward`.

use crate::cpu::Cpu;
use crate::graph::{Graph, NodeFeatures};
use crate::kernels::packed::{Float, Packed, Rows};
use crate::kernels::parallel;
use crate::kernels::{Adam, Left, Right, Start};
use crate::random::Random;

/// Width of the graph convolution.
pub const CONVOLUTION_WIDTH: usize = 64;
/// Width of the hidden layer.
pub const HIDDEN_WIDTH: usize = 32;
/// Nodes in one task, which computes their activations from Z to S and back: they stay in the first-level cache.
const TASK_NODES: usize = 48;
/// Fewest clusters an assignment can have.
pub const MIN_CLUSTERS: usize = 2;
/// Most clusters an assignment can have.
pub const MAX_CLUSTERS: usize = 32;

/// A fully connected layer: `[inputs, outputs]` weights and `[outputs]` bias.
#[derive(Debug, Clone, PartialEq)]
pub struct Layer {
    /// `[inputs, outputs]`, row-major.
    pub weight: Vec<f32>,
    /// `[outputs]`.
    pub bias: Vec<f32>,
}

impl Layer {
    fn zeros(inputs: usize, outputs: usize) -> Self {
        Self { weight: vec![0.0; inputs * outputs], bias: vec![0.0; outputs] }
    }

    fn inputs(&self) -> usize {
        self.weight.len() / self.bias.len()
    }

    /// `out = rows · weight + bias`.
    fn apply(&self, cpu: &Cpu, rows: &[f32], out: &mut [f32]) {
        let (inputs, outputs) = (self.inputs(), self.bias.len());
        let right = Right::row_major(&self.weight, inputs, outputs);
        cpu.isa.gemm(Left::row_major(rows, rows.len() / inputs, inputs), right, Start::Bias(&self.bias), out);
    }

    /// Turns `self` into the gradient of a layer's parameters, from the layer's transposed input and the gradient of its output.
    fn gradient(&mut self, cpu: &Cpu, input: Left<'_>, output_gradient: &[f32]) {
        let outputs = self.bias.len();
        let right = Right::row_major(output_gradient, output_gradient.len() / outputs, outputs);
        cpu.isa.gemm(input, right, Start::Zero, &mut self.weight);
        bias_gradient(cpu, output_gradient, &mut self.bias);
    }

    /// The transposed weights: the gradient of the layer's input is `output_gradient · weightᵀ`.
    fn transposed(&self) -> Packed {
        Packed::from_columns(&self.weight, self.bias.len(), self.inputs())
    }
}

/// Sums the gradient of a layer's output over the rows.
fn bias_gradient(cpu: &Cpu, output_gradient: &[f32], bias: &mut [f32]) {
    let sums = cpu.isa.column_sums(output_gradient, bias.len());
    bias.iter_mut().zip(sums).for_each(|(b, sum)| *b = sum as f32);
}

/// A row-major matrix as the right side of a product in `precision`; `pairs` stores its bf16 copy.
fn rounded<'a>(cpu: &Cpu, rows: &'a [f32], columns: usize, precision: Float, pairs: &'a mut Vec<u32>) -> Right<'a> {
    let depth = rows.len() / columns;
    match precision {
        Float::F32 => Right::row_major(rows, depth, columns),
        Float::Bf16 => {
            pairs.resize(depth.div_ceil(2) * columns, 0);
            cpu.isa.pair_rows(rows, columns, pairs);
            Right::paired_rows(pairs, depth, columns)
        }
    }
}

/// Z = Â F with its transpose, which the backward pass reads.
#[derive(Debug, Clone)]
pub struct Propagated {
    nodes: usize,
    dim: usize,
    rows: Rows,
    columns: Rows,
    precision: Float,
}

impl Propagated {
    /// Propagates `features` over `graph`. Products with Θ are computed in the features' precision, forward and backward.
    ///
    /// # Panics
    /// If the graph has another number of nodes.
    #[must_use]
    pub fn new(graph: &Graph, features: &NodeFeatures) -> Self {
        let precision = features.precision();
        let (nodes, dim) = (features.nodes(), features.dim());
        let (rows, columns) = graph.cpu().together(|| {
            let rows = graph.propagate(features);
            let columns = rows.transposed();
            (rows, columns)
        });
        Self { nodes, dim, rows, columns, precision }
    }

    /// Of features that are propagated already, such as those of several images, each over a graph of its own.
    #[must_use]
    pub fn of_propagated(cpu: &Cpu, features: &NodeFeatures) -> Self {
        let precision = features.precision();
        let (nodes, dim) = (features.nodes(), features.dim());
        let rows = Rows::new(cpu.isa, features.data().to_vec(), dim, precision);
        let columns = rows.transposed();
        Self { nodes, dim, rows, columns, precision }
    }
}

/// The network's parameters, or their gradient.
#[derive(Debug, Clone, PartialEq)]
pub struct Network {
    /// The graph convolution, d → 64: Θ and its bias.
    pub convolution: Layer,
    /// The hidden layer, 64 → 32.
    pub hidden: Layer,
    /// The output layer, 32 → k.
    pub output: Layer,
}

impl Network {
    /// A network of zeros.
    #[must_use]
    pub fn zeros(dim: usize, n_clusters: usize) -> Self {
        Self {
            convolution: Layer::zeros(dim, CONVOLUTION_WIDTH),
            hidden: Layer::zeros(CONVOLUTION_WIDTH, HIDDEN_WIDTH),
            output: Layer::zeros(HIDDEN_WIDTH, n_clusters),
        }
    }

    /// The initial network of a run: Θ Glorot-uniform with zero bias, the linear layers uniform in ±1/√inputs, as PyG and PyTorch do.
    ///
    /// The same seed gives the same network. Labels agree across images because training starts from the same network for every image.
    #[must_use]
    pub fn initial(dim: usize, n_clusters: usize, seed: u64) -> Self {
        let mut network = Self::zeros(dim, n_clusters);
        let mut random = Random::new(seed);
        let mut fill =
            |values: &mut [f32], bound: f32| values.iter_mut().for_each(|v| *v = (2.0 * random.uniform() - 1.0) * bound);
        fill(&mut network.convolution.weight, (6.0 / (dim + CONVOLUTION_WIDTH) as f32).sqrt());
        for (layer, inputs) in [(&mut network.hidden, CONVOLUTION_WIDTH), (&mut network.output, HIDDEN_WIDTH)] {
            let bound = 1.0 / (inputs as f32).sqrt();
            fill(&mut layer.weight, bound);
            fill(&mut layer.bias, bound);
        }
        network
    }

    /// With zeros in the output layer: S is then what the logits given to the pass make of it.
    #[must_use]
    pub fn with_zero_output(self) -> Self {
        Self { output: Layer::zeros(HIDDEN_WIDTH, self.n_clusters()), ..self }
    }

    /// Length of a feature vector, d.
    #[must_use]
    pub fn dim(&self) -> usize {
        self.convolution.weight.len() / CONVOLUTION_WIDTH
    }

    /// Number of clusters, k.
    #[must_use]
    pub fn n_clusters(&self) -> usize {
        self.output.bias.len()
    }

    /// The parameters: one slice for each weight and bias.
    #[must_use]
    pub fn groups(&self) -> [&[f32]; 6] {
        let [c, h, o] = [&self.convolution, &self.hidden, &self.output];
        [&c.weight, &c.bias, &h.weight, &h.bias, &o.weight, &o.bias]
    }

    /// The parameters as [`Network::groups`] gives them, mutable.
    pub fn groups_mut(&mut self) -> [&mut [f32]; 6] {
        let [c, h, o] = [&mut self.convolution, &mut self.hidden, &mut self.output];
        [&mut c.weight, &mut c.bias, &mut h.weight, &mut h.bias, &mut o.weight, &mut o.bias]
    }

    /// Computes S from `propagated` features, and stores in `pass` the activations that [`Network::backward`] needs.
    ///
    /// # Panics
    /// If `propagated` or `pass` is of another graph or network.
    pub fn forward(&self, cpu: &Cpu, propagated: &Propagated, pass: &mut Pass, dropout: Option<Dropout>) {
        let k = self.n_clusters();
        pass.dropout = dropout;
        let theta = rounded(cpu, &self.convolution.weight, CONVOLUTION_WIDTH, propagated.precision, &mut pass.pairs);
        assert_eq!([propagated.nodes, propagated.dim], [pass.assignment.len() / k, self.dim()], "features of another graph");
        let activations = pass.h1.chunks_mut(TASK_NODES * CONVOLUTION_WIDTH).zip(pass.h2.chunks_mut(TASK_NODES * HIDDEN_WIDTH));
        let results = pass.kept.chunks_mut(TASK_NODES * HIDDEN_WIDTH).zip(pass.assignment.chunks_mut(TASK_NODES * k));
        parallel::for_each(activations.zip(results).enumerate(), |(task, ((h1, h2), (kept, assignment)))| {
            cpu.isa.gemm_rows(&propagated.rows, task * TASK_NODES, theta, Start::Bias(&self.convolution.bias), h1);
            cpu.isa.elu(h1);
            self.hidden.apply(cpu, h1, h2);
            cpu.isa.elu(h2);
            kept.copy_from_slice(h2);
            drop_out(dropout, task, kept);
            self.output.apply(cpu, kept, assignment);
            add_rows(assignment, pass.logits.get(task * TASK_NODES * k..).unwrap_or_default());
            cpu.isa.softmax(assignment, k);
        });
    }

    /// Computes the gradient of the parameters from the gradient of the assignment, `[n, k]`. Call [`Network::forward`] with the same
    /// `pass` first.
    ///
    /// # Panics
    /// If `propagated`, `pass` or `gradient` is of another graph or network.
    pub fn backward(
        &self,
        cpu: &Cpu,
        propagated: &Propagated,
        pass: &mut Pass,
        assignment_gradient: &[f32],
        gradient: &mut Self,
    ) {
        let k = self.n_clusters();
        assert_eq!(assignment_gradient.len(), pass.assignment.len(), "gradient of another assignment");
        let (output, hidden) = (self.output.transposed(), self.hidden.transposed());
        let dropout = pass.dropout;
        let given = pass.assignment.chunks(TASK_NODES * k).zip(assignment_gradient.chunks(TASK_NODES * k));
        let activations = pass.h1.chunks(TASK_NODES * CONVOLUTION_WIDTH).zip(pass.h2.chunks(TASK_NODES * HIDDEN_WIDTH));
        let hidden_gradients = pass.d_output.chunks_mut(TASK_NODES * k).zip(pass.d_h2.chunks_mut(TASK_NODES * HIDDEN_WIDTH));
        let gradients = hidden_gradients.zip(pass.d_h1.chunks_mut(TASK_NODES * CONVOLUTION_WIDTH));
        let tasks = given.zip(activations).zip(gradients).enumerate();
        parallel::for_each(tasks, |(task, (((s, ds), (h1, h2)), ((d_output, d_h2), d_h1)))| {
            // Softmax: dL/dx = S ∘ (dL/dS − (S · dL/dS)).
            for (out, (s, g)) in d_output.chunks_exact_mut(k).zip(s.chunks_exact(k).zip(ds.chunks_exact(k))) {
                let along: f32 = s.iter().zip(g).map(|(s, g)| s * g).sum();
                for ((o, s), g) in out.iter_mut().zip(s).zip(g) {
                    *o = s * (g - along);
                }
            }
            let rows = d_output.len() / k;
            cpu.isa.gemm(Left::row_major(d_output, rows, k), &output, Start::Zero, d_h2);
            drop_out(dropout, task, d_h2);
            cpu.isa.elu_gradient(h2, d_h2);
            cpu.isa.gemm(Left::row_major(d_h2, rows, HIDDEN_WIDTH), &hidden, Start::Zero, d_h1);
            cpu.isa.elu_gradient(h1, d_h1);
        });
        // Each part sums over all nodes. The longest come first, so that no thread ends late.
        let Self { convolution, hidden, output } = gradient;
        let right = rounded(cpu, &pass.d_h1, CONVOLUTION_WIDTH, propagated.precision, &mut pass.pairs);
        let columns = |rows, width| Left::transposed(rows, width, propagated.nodes);
        let Layer { weight, bias } = convolution;
        let last = [GradientPart::Hidden(hidden), GradientPart::Output(output), GradientPart::Bias(bias)];
        let parts = weight.chunks_mut(TASK_NODES * CONVOLUTION_WIDTH).enumerate().map(GradientPart::Convolution).chain(last);
        parallel::for_each(parts, |part| match part {
            GradientPart::Convolution((task, out)) => {
                cpu.isa.gemm_rows(&propagated.columns, task * TASK_NODES, right, Start::Zero, out)
            }
            GradientPart::Hidden(layer) => layer.gradient(cpu, columns(&pass.h1, CONVOLUTION_WIDTH), &pass.d_h2),
            GradientPart::Output(layer) => layer.gradient(cpu, columns(&pass.kept, HIDDEN_WIDTH), &pass.d_output),
            GradientPart::Bias(bias) => bias_gradient(cpu, &pass.d_h1, bias),
        });
    }
}

/// A part of the gradient of the parameters, computed by one task.
enum GradientPart<'a> {
    /// Rows of Θ's gradient, and the index of their task.
    Convolution((usize, &'a mut [f32])),
    Hidden(&'a mut Layer),
    Output(&'a mut Layer),
    /// The bias of the convolution.
    Bias(&'a mut [f32]),
}

/// Adds as many of the values as there are.
fn add_rows(rows: &mut [f32], values: &[f32]) {
    rows.iter_mut().zip(values).for_each(|(x, value)| *x += value);
}

/// Multiplies the hidden layer's rows by dropout's factors; `task` is the index of their task.
fn drop_out(dropout: Option<Dropout>, task: usize, rows: &mut [f32]) {
    if let Some(dropout) = dropout {
        rows.iter_mut().enumerate().for_each(|(at, x)| *x *= dropout.scale(task * TASK_NODES * HIDDEN_WIDTH + at));
    }
}

/// The seed of a run's n-th network, if every network has its own; the first has the run's seed.
#[must_use]
pub fn nth_seed(seed: u64, n: usize) -> u64 {
    (0..n).fold(seed, |seed, _| Random::new(seed).next())
}

/// Activations of one forward pass and buffers of one backward pass.
#[derive(Debug)]
pub struct Pass {
    h1: Vec<f32>,
    h2: Vec<f32>,
    /// Dropout of the forward pass.
    dropout: Option<Dropout>,
    /// `h2` after dropout.
    kept: Vec<f32>,
    /// Logits added to the output layer's, `[n, k]`; empty if there are none.
    logits: Vec<f32>,
    /// S, `[n, k]`.
    pub assignment: Vec<f32>,
    /// The bf16 copy of Θ, then of the gradient of Z Θ.
    pairs: Vec<u32>,
    d_output: Vec<f32>,
    d_h2: Vec<f32>,
    d_h1: Vec<f32>,
}

impl Pass {
    /// Buffers for `nodes` nodes and `n_clusters` clusters.
    #[must_use]
    pub fn new(nodes: usize, n_clusters: usize) -> Self {
        let zeros = |width| vec![0.0; nodes * width];
        Self {
            h1: zeros(CONVOLUTION_WIDTH),
            h2: zeros(HIDDEN_WIDTH),
            dropout: None,
            kept: zeros(HIDDEN_WIDTH),
            logits: Vec::new(),
            assignment: zeros(n_clusters),
            pairs: Vec::new(),
            d_output: zeros(n_clusters),
            d_h2: zeros(HIDDEN_WIDTH),
            d_h1: zeros(CONVOLUTION_WIDTH),
        }
    }

    /// With logits that are added to those of the output layer, `[nodes, n_clusters]`.
    ///
    /// # Panics
    /// If there are not so many.
    #[must_use]
    pub fn with_logits(self, logits: Vec<f32>) -> Self {
        assert_eq!(logits.len(), self.assignment.len(), "logits of another assignment");
        Self { logits, ..self }
    }
}

/// Dropout in one forward pass. The seed, the epoch and a value's index decide whether it is dropped.
#[derive(Debug, Clone, Copy)]
pub struct Dropout {
    /// Share of the values set to zero, in [0, 1). The other values are divided by `1 − probability`.
    pub probability: f32,
    /// Seed of the run.
    pub seed: u64,
    /// Index of the forward pass.
    pub epoch: usize,
}

impl Dropout {
    /// The factor of the value at this index: 0 or `1 / (1 − probability)`.
    fn scale(self, at: usize) -> f32 {
        let index = (self.epoch as u64) << 40 | at as u64;
        let uniform = Random::new(self.seed ^ index.wrapping_mul(0xd134_2543_de82_ef95)).uniform();
        if uniform < self.probability { 0.0 } else { 1.0 / (1.0 - self.probability) }
    }
}

/// AdamW (Loshchilov and Hutter, arXiv 1711.05101) with PyTorch's constants: β = (0.9, 0.999), ε = 10⁻⁸.
#[derive(Debug)]
pub struct AdamW {
    learning_rate: f32,
    weight_decay: f32,
    step: i32,
    first: Network,
    second: Network,
}

impl AdamW {
    const BETA: [f32; 2] = [0.9, 0.999];
    const EPSILON: f32 = 1e-8;

    /// An optimizer for networks of this shape.
    #[must_use]
    pub fn new(network: &Network, learning_rate: f32, weight_decay: f32) -> Self {
        let zeros = Network::zeros(network.dim(), network.n_clusters());
        Self { learning_rate, weight_decay, step: 0, first: zeros.clone(), second: zeros }
    }

    /// Moves `network` one step against `gradient`.
    pub fn step(&mut self, cpu: &Cpu, network: &mut Network, gradient: &Network) {
        self.step += 1;
        let correction = Self::BETA.map(|b| 1.0 - f64::from(b).powi(self.step));
        let step = Adam {
            beta: Self::BETA,
            rate: (f64::from(self.learning_rate) / correction[0]) as f32,
            root: (1.0 / correction[1].sqrt()) as f32,
            decay: 1.0 - self.learning_rate * self.weight_decay,
            epsilon: Self::EPSILON,
        };
        let moments = self.first.groups_mut().into_iter().zip(self.second.groups_mut());
        for ((p, g), (m, v)) in network.groups_mut().into_iter().zip(gradient.groups()).zip(moments) {
            cpu.isa.adam(step, g, [p, m, v]);
        }
    }
}
