//! Each stage of the pipeline on an example picture, and graph and training at the paper's sizes.

#![allow(clippy::expect_used, reason = "a bench without its input has nothing to say")]

use deepcut::backbone::{Backbone, Input, embedded};
use deepcut::image::Filter;
use deepcut::internals::bilateral::{BilateralGrid, CONFIDENCE, LAMBDA};
use deepcut::internals::gnn::{Network, Propagated};
use deepcut::internals::graph::{Graph, NodeFeatures};
use deepcut::internals::kernels::packed::Float::{self, Bf16, F32};
use deepcut::internals::train::{Schedule, train};
use deepcut::{Cpu, FeatureMap, Finish, Image, Objective, Options, Precision, Recipe, Refine, Segmenter, Start};
use divan::Bencher;
use divan::counter::ItemsCount;
use std::ops::ControlFlow;

fn main() {
    divan::main();
}

fn bytes() -> Vec<u8> {
    std::fs::read(concat!(env!("CARGO_MANIFEST_DIR"), "/../../examples/pictures/duck.jpg")).expect("the example picture")
}

#[divan::bench]
fn decode(bencher: Bencher<'_, '_>) {
    let bytes = bytes();
    bencher.bench_local(|| Image::decode(&bytes));
}

#[divan::bench(args = [192, 224, 320])]
fn backbone(bencher: Bencher<'_, '_>, side: usize) {
    let network = embedded::load(&Cpu::default(), Precision::F32).expect("the embedded network");
    let data: Vec<f32> = (0..side * side * 3).map(|i| ((i * 37) % 101) as f32 / 50.0 - 1.0).collect();
    let input = Input::new(side, side, &data).expect("an input");
    bencher.bench_local(|| network.features(&[input]));
}

/// As many nodes as ViT-S/8 has at 280 × 280, stride 8; and at 224 × 224, the embedded network's.
fn features(nodes: usize, dim: usize) -> NodeFeatures {
    let data = (0..nodes * dim).map(|i| ((i * 7919 + i / dim * 31) % 997) as f32 / 997.0 - 0.4).collect();
    NodeFeatures::new(nodes, dim, data).expect("features")
}

#[divan::bench(args = [(784, 128, F32), (1225, 384, F32), (1225, 384, Bf16)])]
fn graph_and_propagation(bencher: Bencher<'_, '_>, (nodes, dim, precision): (usize, usize, Float)) {
    let features = features(nodes, dim).in_precision(precision);
    bencher.bench_local(|| Graph::threshold(&Cpu::default(), &features, 0.2).propagate(&features));
}

/// Of the embedded network at its own resolution, and of ViT-S/8 at stride 4.
#[divan::bench(args = [(1936, 128, F32), (1936, 128, Bf16), (4761, 384, F32)])]
fn threshold(bencher: Bencher<'_, '_>, (nodes, dim, precision): (usize, usize, Float)) {
    let features = features(nodes, dim).in_precision(precision);
    bencher.bench_local(|| Graph::threshold(&Cpu::default(), &features, 0.2));
}

/// The same, and what a prior is averaged over.
#[divan::bench(args = [(1936, 128, F32), (1936, 128, Bf16), (4761, 384, F32)])]
fn threshold_and_nearest(bencher: Bencher<'_, '_>, (nodes, dim, precision): (usize, usize, Float)) {
    let features = features(nodes, dim).in_precision(precision);
    bencher.bench_local(|| Graph::threshold_and_nearest(&Cpu::default(), &features, 0.2, 10));
}

#[divan::bench(args = [(784, 128, 50, F32), (1225, 384, 10, F32), (1225, 384, 50, F32), (1225, 384, 50, Bf16)])]
fn training(bencher: Bencher<'_, '_>, (nodes, dim, epochs, precision): (usize, usize, usize, Float)) {
    let features = features(nodes, dim).in_precision(precision);
    let graph = Graph::threshold(&Cpu::default(), &features, 0.2);
    let z = Propagated::new(&graph, &features);
    let initial = Network::initial(dim, 2, 0);
    let schedule =
        Schedule { objective: Objective::NormalizedCut, epochs, learning_rate: 3e-3, weight_decay: 1e-2, dropout: 0.0, seed: 0 };
    bencher.bench_local(|| train(&Cpu::default(), &graph, &z, &initial, schedule, None, &mut |_| ControlFlow::Continue(())));
}

#[divan::bench]
fn bilateral_solver(bencher: Bencher<'_, '_>) {
    let image = Image::decode(&bytes()).expect("the example picture");
    bencher.bench_local(|| BilateralGrid::new(&image).solve(LAMBDA, |at| if at % 7 < 3 { 1.0 } else { 0.0 }, |_| CONFIDENCE));
}

/// The guided filter, at most a few percent of it upsampling.
#[divan::bench(args = [1, 4])]
fn guided_filter(bencher: Bencher<'_, '_>, times: usize) {
    let image = Image::decode(&bytes()).expect("the example picture");
    let (height, width) = (image.height() * times, image.width() * times);
    let image = image.resize(height, width, Filter::Bilinear).expect("a size");
    let map = FeatureMap::new(
        40,
        40,
        2,
        (0..1600).flat_map(|at| if at % 40 < 15 && at > 400 { [1.0, 0.1] } else { [0.1, 1.0] }).collect(),
    );
    let cpu = Cpu::default();
    let found = Recipe::default().cluster(&cpu, &[map.expect("features")], Start::Seed(0)).expect("a clustering");
    let finish = Finish::default().refine(Refine::Guided);
    bencher.counter(ItemsCount::new(height * width)).bench_local(|| finish.to_pixels(&cpu, &image, &found[0]));
}

#[divan::bench]
fn whole_pipeline(bencher: Bencher<'_, '_>) {
    let image = Image::decode(&bytes()).expect("the example picture");
    let segmenter = Segmenter::load(Options::default()).expect("the pipeline");
    bencher.bench_local(|| segmenter.segment(&image));
}
