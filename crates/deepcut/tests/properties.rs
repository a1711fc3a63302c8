//! What must hold for every picture: the gradient of the whole network, permutations, row sums, threads, degenerate input.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use deepcut::backbone::{Backbone, BackboneError, Identity, Input, InputSpec};
use deepcut::internals::evaluate;
use deepcut::internals::gnn::{Dropout, Network, Pass, Propagated};
use deepcut::internals::graph::{Graph, GraphError, NodeFeatures};
use deepcut::internals::kernels::packed::Float;
use deepcut::internals::train::{Assignment, Prior, Schedule, train};
use deepcut::segment::ClusterError;
use deepcut::{
    Cpu, FeatureMap, Idle, Image, Isa, Kind, Method, Mode, Objective, Options, Precision, Recipe, Refine, Segmenter, View,
};
use std::ops::ControlFlow::Continue;

const OBJECTIVES: [Objective; 4] = [Objective::Mincut, Objective::NormalizedCut, Objective::Correlation, Objective::Modularity];

/// Two or three noisy groups of feature vectors.
fn features(nodes: usize, dim: usize, groups: usize) -> NodeFeatures {
    let mut state = 12345u32;
    let mut noise = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 8) as f32 / (1 << 23) as f32 - 1.0
    };
    let data = (0..nodes * dim)
        .map(|at| {
            let (node, d) = (at / dim, at % dim);
            let center = if d % groups == node * groups / nodes { 1.0 } else { -0.3 };
            center + 0.7 * noise()
        })
        .collect();
    NodeFeatures::new(nodes, dim, data).unwrap()
}

fn schedule(objective: Objective, epochs: usize) -> Schedule {
    Schedule { objective, epochs, learning_rate: 3e-3, weight_decay: 1e-2, dropout: 0.0, seed: 0 }
}

fn graph(cpu: &Cpu, objective: Objective, features: &NodeFeatures) -> Graph {
    match objective {
        Objective::Correlation => Graph::correlation(cpu, features, 3.0),
        Objective::Mincut => Graph::relu(cpu, features),
        _ => Graph::threshold(cpu, features, 0.2),
    }
}

/// Central differences of the loss in some of the parameters of every layer, with dropout on and given logits.
#[test]
fn the_gradient_of_the_whole_network_matches_central_differences() {
    let cpu = &Cpu::default();
    let features = features(30, 8, 3);
    for objective in OBJECTIVES {
        let graph = graph(cpu, objective, &features);
        let z = Propagated::new(&graph, &features);
        let k = 3;
        let dropout = Some(Dropout { probability: 0.25, seed: 3, epoch: 1 });
        let network = Network::initial(8, k, 7);
        let logits: Vec<f32> = (0..30 * k).map(|i| (i * 5 % 7) as f32 / 4.0 - 0.8).collect();
        let mut pass = Pass::new(30, k).with_logits(logits.clone());
        let mut d_assignment = vec![0.0; 30 * k];
        let loss = |network: &Network| {
            let mut pass = Pass::new(30, k).with_logits(logits.clone());
            network.forward(cpu, &z, &mut pass, dropout);
            f64::from(evaluate(objective, &graph, &pass.assignment, k, &mut vec![0.0; 30 * k]))
        };
        network.forward(cpu, &z, &mut pass, dropout);
        evaluate(objective, &graph, &pass.assignment, k, &mut d_assignment);
        let mut gradient = Network::zeros(8, k);
        network.backward(cpu, &z, &mut pass, &d_assignment, &mut gradient);
        for group in 0..6 {
            let scale = gradient.groups()[group].iter().fold(1e-3f32, |m, g| m.max(g.abs()));
            for at in (0..gradient.groups()[group].len()).step_by(17) {
                let h = 2e-2;
                let moved = |by: f32| {
                    let mut other = network.clone();
                    other.groups_mut()[group][at] += by;
                    loss(&other)
                };
                let numeric = ((moved(h) - moved(-h)) / (2.0 * f64::from(h))) as f32;
                let error = (numeric - gradient.groups()[group][at]).abs();
                assert!(
                    error < 2e-2 * scale,
                    "{objective:?} group {group} [{at}]: {} for {numeric}",
                    gradient.groups()[group][at]
                );
            }
        }
    }
}

/// Renaming the nodes renames the result; rows sum to one; every objective lowers its loss.
#[test]
fn training_is_equivariant_and_descends() {
    let cpu = &Cpu::default();
    let n = 70;
    let features = features(n, 16, 2);
    let order: Vec<usize> = (0..n).map(|i| (i * 27 + 5) % n).collect();
    let renamed = features.select(&order).unwrap();
    let initial = Network::initial(16, 4, 1);
    for objective in OBJECTIVES {
        let run = |features: &NodeFeatures, epochs| {
            let graph = graph(cpu, objective, features);
            let z = Propagated::new(&graph, features);
            train(cpu, &graph, &z, &initial, schedule(objective, epochs), None, &mut |_| Continue(())).unwrap().assignment
        };
        let (before, after, other) = (run(&features, 1), run(&features, 20), run(&renamed, 20));
        assert!(after.loss < before.loss, "{objective:?}: {} to {}", before.loss, after.loss);
        for (i, &node) in order.iter().enumerate() {
            let (a, b) = (&other.soft[i * 4..(i + 1) * 4], &after.soft[node * 4..(node + 1) * 4]);
            assert!(a.iter().zip(b).all(|(a, b)| (a - b).abs() < 1e-3), "{objective:?} node {node}: {a:?}, {b:?}");
            assert!((a.iter().sum::<f32>() - 1.0).abs() < 1e-5);
        }
    }
}

/// An output of zeros begins at the prior; a larger weight stays nearer to it, on one thread as on several.
#[test]
fn training_begins_at_the_prior_and_stays_near() {
    let n = 70;
    let features = features(n, 16, 2);
    let logits: Vec<f32> = (0..n).flat_map(|i| [0.0, (i * 13 % 9) as f32 / 2.0 - 2.0]).collect();
    let probability: Vec<f32> = logits.chunks_exact(2).map(|row| 1.0 / (1.0 + (-row[1]).exp())).collect();
    let run = |threads: usize, epochs: usize, weight: f32| {
        let cpu = &Cpu::builder().threads(threads).build().unwrap();
        let graph = Graph::threshold(cpu, &features, 0.2);
        let z = Propagated::new(&graph, &features);
        let initial = Network::initial(16, 2, 1).with_zero_output();
        let (schedule, prior) = (schedule(Objective::NormalizedCut, epochs), Prior { logits: &logits, weight });
        train(cpu, &graph, &z, &initial, schedule, Some(prior), &mut |_| Continue(())).unwrap().assignment
    };
    let away =
        |found: &Assignment| found.soft.chunks_exact(2).zip(&probability).map(|(row, p)| (row[1] - p).abs()).fold(0.0, f32::max);
    assert!(away(&run(1, 1, 1.0)) < 1e-6, "the first pass is the prior");
    let [free, held, fixed] = [0.0, 1.0, 100.0].map(|weight| run(1, 40, weight));
    assert!(
        away(&free) > 2.0 * away(&held) && away(&held) > 2.0 * away(&fixed),
        "{} {} {}",
        away(&free),
        away(&held),
        away(&fixed)
    );
    assert!(held.loss < run(1, 1, 1.0).loss);
    assert_eq!(held, run(3, 40, 1.0));
}

/// Rounding the large products to bf16 turns hardly a label over.
#[test]
fn training_in_bf16_finds_the_same_clusters() {
    for isa in Isa::available() {
        let cpu = &Cpu::builder().isa(isa).build().unwrap();
        let single = features(150, 33, 2);
        let rounded = single.clone().in_precision(Float::Bf16);
        let initial = Network::initial(33, 2, 1);
        for objective in [Objective::NormalizedCut, Objective::Mincut] {
            let [a, b] = [&single, &rounded].map(|features| {
                let graph = graph(cpu, objective, features);
                let z = Propagated::new(&graph, features);
                train(cpu, &graph, &z, &initial, schedule(objective, 50), None, &mut |_| Continue(())).unwrap().assignment
            });
            let same = a.labels().iter().zip(b.labels()).filter(|(a, b)| **a == *b).count();
            assert!(same >= 148, "{objective:?} on {}: {same} of 150 labels", isa.name());
            assert!(a.soft != b.soft, "nothing was rounded");
        }
    }
}

/// Scaling all features leaves the graphs of cosines and ratios as they are.
#[test]
fn graphs_do_not_feel_the_features_scale() {
    let cpu = &Cpu::default();
    let features = features(40, 8, 2);
    let larger = features.normalized(1.0);
    let twice = features.normalized(8.0);
    for make in [|f: &NodeFeatures, cpu: &Cpu| Graph::relu(cpu, f), |f: &NodeFeatures, cpu: &Cpu| Graph::threshold(cpu, f, 0.3)] {
        let (a, b) = (make(&larger, cpu), make(&twice, cpu));
        assert!(a.degree().iter().zip(b.degree()).all(|(a, b)| (a - b).abs() < 1e-4 * a));
    }
}

/// The product by bits and the low-rank product are the product with the dense matrix they stand for.
#[test]
fn every_representation_multiplies_as_its_dense_matrix() {
    for isa in Isa::available() {
        let cpu = &Cpu::builder().isa(isa).build().unwrap();
        for n in [1, 5, 64, 65, 130] {
            let features = features(n, 6, 2);
            let unit = features.normalized(1.0);
            let dot =
                |f: &NodeFeatures, i: usize, j: usize| -> f32 { (0..6).map(|d| f.data()[i * 6 + d] * f.data()[j * 6 + d]).sum() };
            let largest = (0..n).map(|i| dot(&features, i, i)).fold(0.0, f32::max);
            type Weight<'a> = Box<dyn Fn(usize, usize) -> f32 + 'a>;
            let cases: [(Graph, Weight<'_>); 2] = [
                (Graph::threshold(cpu, &features, 0.2), Box::new(|i, j| if dot(&unit, i, j) > 0.2 { 1.0 } else { 1e-5 })),
                (Graph::correlation(cpu, &features, 3.0), Box::new(|i, j| dot(&features, i, j) - largest / 3.0)),
            ];
            for (graph, weight) in cases {
                let dense: Vec<f32> = (0..n * n).map(|at| weight(at / n, at % n)).collect();
                let dense = Graph::from_affinity(cpu, n, dense).unwrap();
                let k = 5;
                let s: Vec<f32> = (0..n * k).map(|i| ((i * 13) % 17) as f32 / 17.0).collect();
                let (mut a, mut b) = (vec![0.0; n * k], vec![0.0; n * k]);
                graph.multiply(&s, k, &mut a);
                dense.multiply(&s, k, &mut b);
                let close =
                    |a: &[f32], b: &[f32]| a.iter().zip(b).all(|(a, b)| (a - b).abs() < 1e-4 * (1.0 + b.abs()) * n as f32);
                assert!(close(&a, &b), "{} n={n}", isa.name());
                assert!(close(graph.degree(), dense.degree()));
                assert!(close(&graph.propagate(&features).to_vec(), &dense.propagate(&features).to_vec()));
            }
        }
    }
}

#[test]
fn features_that_make_no_graph_are_errors() {
    assert_eq!(NodeFeatures::new(0, 3, vec![]), Err(GraphError::Empty { nodes: 0, dim: 3 }));
    assert_eq!(NodeFeatures::new(2, 2, vec![0.0, 1.0, 2.0, f32::NAN]), Err(GraphError::NotFinite { node: 1 }));
}

/// A textured picture with one bright object.
fn picture(height: usize, width: usize) -> Image<'static> {
    let rgb = (0..height * width)
        .flat_map(|at| {
            let (y, x) = ((at / width) as f32 / height as f32, (at % width) as f32 / width as f32);
            let texture = ((at * 7919) % 23) as u8;
            let inside = (y - 0.5).powi(2) + (x - 0.45).powi(2) < 0.07;
            if inside { [220 - texture, 150, 40 + texture] } else { [40 + texture, 70 + (90.0 * y) as u8, 60] }
        })
        .collect();
    Image::new(height, width, rgb).unwrap()
}

#[test]
fn one_thread_equals_many_byte_for_byte() {
    let image = picture(120, 170);
    for (mode, objective, refine) in [
        (Mode::Object, Objective::NormalizedCut, Refine::Guided),
        (Mode::Object, Objective::NormalizedCut, Refine::Bilateral),
        (Mode::Scene, Objective::Correlation, Refine::Guided),
        (Mode::Parts, Objective::Mincut, Refine::Bilateral),
        (Mode::Objects, Objective::NormalizedCut, Refine::Guided),
    ] {
        let mut options = if objective == Objective::Mincut { Options::paper() } else { Options::default() };
        options.recipe = options.recipe.mode(mode).objective(objective);
        options.finish.refine = refine;
        let segmenter = Segmenter::load(options).unwrap();
        let run = |threads| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| (segmenter.features(&image).unwrap(), segmenter.segment(&image).unwrap()))
        };
        let one = run(1);
        for threads in [2, 3, 7] {
            assert!(run(threads) == one, "{mode:?} {objective:?} {refine:?} on {threads} threads");
        }
    }
}

#[test]
fn every_mode_and_objective_labels_every_pixel() {
    let image = picture(90, 75);
    for objective in OBJECTIVES {
        for (mode, k) in [(Mode::Object, None), (Mode::Object, Some(5)), (Mode::Parts, Some(3)), (Mode::Scene, None)] {
            for mut options in [Options::default(), Options::paper()] {
                options.recipe = options.recipe.mode(mode).n_clusters(k).objective(objective).single_object(true);
                options.finish.largest_component = true;
                let segmenter = Segmenter::load(options.clone()).unwrap();
                let result = segmenter.segment(&image).unwrap();
                assert_eq!(result.labels().len(), 90 * 75);
                assert!((0.0..=1.0).contains(&result.confidence()));
                assert!(result.components().len() <= 1, "{mode:?} {objective:?}");
                let meanings = options.recipe.meanings(0.0);
                assert!(result.regions().iter().all(|region| meanings.iter().any(|meaning| meaning.label == region.label)));
            }
        }
    }
}

/// Objects are disjoint, numbered best first, and each a region with its own score.
#[test]
fn objects_are_regions() {
    let (height, width) = (160, 240);
    let colors = |at: usize| {
        let (y, x) = ((at / width) as f32, (at % width) as f32);
        let texture = (at * 7 % 23) as u8;
        if (y - 80.0).hypot(x - 60.0) < 40.0 || (y - 80.0).hypot(x - 180.0) < 40.0 {
            [220 - texture, 150, 40 + texture]
        } else {
            [40 + texture, 70, 60]
        }
    };
    let image = Image::new(height, width, (0..height * width).flat_map(colors).collect()).unwrap();
    for method in [Method::Deepcut, Method::Kmeans, Method::Maskcut] {
        let options = Options::default().recipe(Recipe::default().mode(Mode::Objects).method(method));
        let found = Segmenter::load(options).unwrap().segment(&image).unwrap();
        let objects: Vec<_> = found.regions().iter().filter(|region| region.kind == Kind::Object).collect();
        assert_eq!(objects.len(), 2, "{method:?}");
        for (number, object) in (1..).zip(&objects) {
            assert!(object.label == number && (0.0..=1.0).contains(&object.score) && object.area > 3000, "{method:?} {object:?}");
        }
        assert!(objects[0].score >= objects[1].score, "{method:?}");
    }
}

/// In the paper's profile each stage draws for itself; by default those of equal k begin alike. An object has one stage, and feels nothing.
#[test]
fn stages_draw_for_themselves_if_asked() {
    let image = picture(90, 75);
    let labels = |own_draws, mode| {
        let mut options = Options::paper();
        options.recipe = options.recipe.mode(mode).n_clusters((mode != Mode::Object).then_some(3)).own_draws(own_draws);
        Segmenter::load(options).unwrap().segment(&image).unwrap().labels().to_vec()
    };
    for mode in [Mode::Object, Mode::Parts, Mode::Scene] {
        let own = labels(true, mode);
        assert_eq!(own, labels(true, mode), "the same picture twice");
        let anew = labels(false, mode);
        assert_eq!(own == anew, mode == Mode::Object, "{mode:?}");
        // The first stage is the same: parts and scene differ in labels, not in the object.
        assert!(own.iter().zip(&anew).all(|(a, b)| (1..=3).contains(a) == (1..=3).contains(b)), "{mode:?}");
    }
}

/// Weights for colours that were not computed are an error, not another result.
#[test]
fn colors_that_are_missing_are_not_passed_over() {
    let image = picture(60, 60);
    let plain = Options::default().recipe(Recipe::default().method(Method::DeepSpectral));
    let colored = Options::default().recipe(Recipe::default().method(Method::DeepSpectral).color(10.0));
    let segmenter = Segmenter::load(plain).unwrap();
    let features = segmenter.features(&image).unwrap();
    assert_eq!(features.colors(), None);
    let error = segmenter.cluster(&features, &colored).unwrap_err();
    assert!(error.to_string().contains("without the patches' colors"), "{error}");
    assert!(matches!(error, deepcut::Error::Cluster(ClusterError::NoColors { .. })));
    let features = segmenter.features_with(&image, &colored.needed_view()).unwrap();
    assert!(segmenter.cluster(&features, &colored).is_ok());
}

#[test]
fn degenerate_pictures_and_options_are_defined() {
    let segmenter = Segmenter::load(Options::default()).unwrap();
    for (height, width) in [(1, 1), (64, 64)] {
        let flat = Image::new(height, width, vec![200; height * width * 3]).unwrap();
        let result = segmenter.segment(&flat).unwrap();
        assert_eq!((result.labels(), result.confidence()), (&vec![0; height * width][..], 0.0));
    }
    // Strips and specks that are not constant.
    for (height, width) in [(1, 2), (2, 1), (1, 500), (3, 3)] {
        let image = Image::new(height, width, (0..height * width * 3).map(|i| (i * 37 % 256) as u8).collect()).unwrap();
        assert_eq!(segmenter.segment(&image).unwrap().labels().len(), height * width);
    }
    let mut options = Options::default().recipe(Recipe::default().n_clusters(32)).view(View::default().resolution(16));
    let error = Segmenter::load(options.clone()).unwrap().segment(&picture(20, 20)).unwrap_err();
    assert!(error.to_string().contains("32 clusters of 4 nodes"), "{error}");
    options = Options::default();
    options.finish.min_confidence = 1.0;
    let rejected = Segmenter::load(options).unwrap().segment(&picture(60, 60)).unwrap();
    assert!(rejected.mask().iter().all(|&m| m == 0) && rejected.confidence() < 1.0);
}

/// A network whose features are all alike, or all zero, or not a number.
struct Broken(f32, Identity);

impl Backbone for Broken {
    fn identity(&self) -> &Identity {
        &self.1
    }
    fn input(&self) -> InputSpec {
        InputSpec { mean: [0.0; 3], std: [1.0; 3], size_multiple: 8, resolution: 64 }
    }
    fn features(&self, inputs: &[Input<'_>]) -> Result<Vec<FeatureMap>, BackboneError> {
        let of = |input: &Input<'_>| {
            let (height, width) = (input.size().0 / 8, input.size().1 / 8);
            Ok(FeatureMap::new(height, width, 4, vec![self.0; height * width * 4])?)
        };
        inputs.iter().map(of).collect()
    }
}

#[test]
fn features_without_structure_are_defined() {
    for objective in OBJECTIVES {
        for mode in [Mode::Object, Mode::Parts, Mode::Scene, Mode::Objects] {
            if mode == Mode::Objects && objective == Objective::Correlation {
                continue;
            }
            for value in [0.0, 1.0, f32::NAN] {
                let options = Options::default().recipe(Recipe::default().objective(objective).mode(mode));
                let broken = Broken(value, Identity { name: "broken".into(), stride: 8, ..Identity::default() });
                let result = Segmenter::new(Box::new(broken), options, Cpu::default()).unwrap().segment(&picture(50, 50));
                if value.is_nan() {
                    let error = result.unwrap_err();
                    assert!(matches!(error, deepcut::Error::Backbone(BackboneError::Output(_))), "{error}");
                } else {
                    assert!(!result.unwrap().has_object());
                }
            }
        }
    }
}

/// The rule for constant images holds on both ways, with every method: from the image, and by way of features or of a clustering.
#[test]
fn constant_images_have_no_object_on_any_way() {
    let (height, width) = (70, 90);
    let noise = |at: usize| 120 + ((at * 7919 + at / 3 * 31) % 5) as u8;
    let constant = Image::new(height, width, vec![77; height * width * 3]).unwrap();
    let nearly = Image::new(height, width, (0..height * width * 3).map(noise).collect()).unwrap();
    let real = picture(height, width);
    for method in Method::ALL {
        let mode = if method == Method::Maskcut { Mode::Objects } else { Mode::Object };
        let options = Options::default().recipe(Recipe::default().method(method).mode(mode));
        let segmenter = Segmenter::load(options.clone()).unwrap();
        for image in [&constant, &nearly] {
            let nothing = |found: &deepcut::Segmentation, way: &str| {
                assert!(!found.has_object() && found.labels().len() == height * width, "{} {way}", method.name());
            };
            nothing(&segmenter.segment(image).unwrap(), "image");
            let features = segmenter.features(image).unwrap();
            let clustering = segmenter.cluster(&features, &options).unwrap();
            assert_eq!(clustering.confidence(), 0.0);
            nothing(&segmenter.to_pixels(image, &clustering, &options), "features");
            assert_eq!(segmenter.to_pixels(image, &clustering, &options), segmenter.segment(image).unwrap());
            // Features of something else, that do not know of this image.
            let other = segmenter.cluster(&segmenter.features(&real).unwrap(), &options).unwrap();
            nothing(&segmenter.to_pixels(image, &other, &options), "clustering");
        }
    }
}

/// Own threads, sleeping or spinning, are the same as a pool's.
#[test]
fn own_threads_give_the_same_labels() {
    let image = picture(100, 130);
    let options = Options::default().recipe(Recipe::default().mode(Mode::Parts));
    let run = |cpu: Cpu| {
        let network = deepcut::backbone::embedded::load(&cpu, Precision::Bf16).unwrap();
        Segmenter::new(Box::new(network), options.clone(), cpu).unwrap().segment(&image).unwrap()
    };
    let alone = run(Cpu::single());
    for (threads, idle) in [(2, Idle::Spin), (2, Idle::Sleep), (5, Idle::Sleep)] {
        assert!(run(Cpu::builder().threads(threads).idle(idle).build().unwrap()) == alone, "{threads} threads, {idle:?}");
    }
}

/// A backbone that gives fewer maps than there were images is at fault; no image is lost in silence.
#[test]
fn a_backbone_must_answer_for_every_image() {
    struct Lazy(Identity);
    impl Backbone for Lazy {
        fn identity(&self) -> &Identity {
            &self.0
        }
        fn input(&self) -> InputSpec {
            InputSpec { mean: [0.0; 3], std: [1.0; 3], size_multiple: 8, resolution: 64 }
        }
        fn features(&self, inputs: &[Input<'_>]) -> Result<Vec<FeatureMap>, BackboneError> {
            inputs.iter().skip(1).map(|_| Ok(FeatureMap::new(1, 1, 1, vec![0.0])?)).collect()
        }
    }
    let (image, lazy) = (picture(20, 20), Lazy(Identity::default()));
    let error = View::default().features(&lazy, &[&image, &image]).unwrap_err();
    assert!(error.to_string().contains("1 feature maps for 2 images"), "{error}");
    assert!(View::default().features(&lazy, &[]).unwrap().is_empty());
}
