use super::*;
use crate::Objective;
use crate::progress::Step;
use std::ops::ControlFlow;

/// An object before a background, with some grain; `shift` moves it.
fn map(shift: usize) -> FeatureMap {
    let inside = |at: usize| (2..6).contains(&(at / 8)) && (2 + shift..6 + shift).contains(&(at % 8));
    let grain = |at: usize, d: usize| ((at * 7 + d) % 5) as f32 * 0.01;
    let feature = |at: usize| (0..8).map(move |d| if (d < 4) == inside(at) { 1.0 } else { -0.2 } + grain(at, d));
    FeatureMap::new(8, 8, 8, (0..64).flat_map(feature).collect()).unwrap()
}

fn one(recipe: &Recipe, map: FeatureMap, start: Start<'_>) -> Result<Clustering, ClusterError> {
    recipe.cluster(&Cpu::default(), &[map], start).map(|mut found| found.remove(0))
}

#[test]
fn the_observer_cancels_between_steps_and_epochs() {
    let recipe = Recipe::default().mode(Mode::Scene).epochs([3, 4, 5]);
    let run = |most: usize| {
        let mut steps = Vec::new();
        let result = recipe.cluster_observed(&Cpu::default(), &[map(0)], Start::Seed(0), &mut |step| {
            steps.push(step);
            if steps.len() > most { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        });
        (result, steps)
    };
    let (whole, steps) = run(usize::MAX);
    let whole = whole.unwrap();
    let training = [3, 4, 5]
        .into_iter()
        .flat_map(|epochs| [vec![Step::Graph], (0..epochs).map(|epoch| Step::Train { epoch }).collect::<Vec<_>>()].concat());
    assert_eq!(steps, training.collect::<Vec<_>>());
    for most in 0..steps.len() {
        let (result, seen) = run(most);
        assert_eq!((result, seen.len()), (Err(ClusterError::Cancelled), most + 1));
    }
    assert_eq!(run(steps.len()).0, Ok(whole));
}

#[test]
fn several_maps_are_what_each_is_alone() {
    let recipe = Recipe::default().mode(Mode::Parts).n_clusters(2);
    let maps = [map(0), map(1), map(0)];
    let together = recipe.cluster(&Cpu::default(), &maps, Start::Seed(3)).unwrap();
    for (map, found) in maps.iter().zip(&together) {
        assert_eq!(&one(&recipe, map.clone(), Start::Seed(3)).unwrap(), found);
    }
    assert_eq!(together[0], together[2]);
    assert_eq!(recipe.cluster(&Cpu::default(), &[], Start::Seed(0)), Ok(vec![]));
    let other = FeatureMap::new(1, 2, 1, vec![0.0, 1.0]).unwrap();
    let mixed = recipe.cluster(&Cpu::default(), &[map(0), other], Start::Seed(0));
    assert_eq!(mixed, Err(ClusterError::Dimensions { first: 8, other: 1 }));
}

/// Training that goes on is further than training that begins: one epoch after forty is like forty, not like one.
#[test]
fn training_goes_on_where_it_ended() {
    let long = Recipe::default().epochs([40; 3]);
    let short = Recipe::default().epochs([1; 3]);
    let before = one(&long, map(0), Start::Seed(1)).unwrap();
    let (fresh, warm) = (one(&short, map(1), Start::Seed(1)).unwrap(), one(&short, map(1), Start::From(&before)).unwrap());
    let truth: Vec<u8> = (0..64).map(|at| u8::from((2..6).contains(&(at / 8)) && (3..7).contains(&(at % 8)))).collect();
    assert_eq!(warm.labels().collect::<Vec<_>>(), truth);
    assert!(warm.confidence() > fresh.confidence(), "{} {}", warm.confidence(), fresh.confidence());
    // The networks are handed on, over an image with nothing in it too.
    let nothing = one(&short, map(0).with_constant_image(true), Start::From(&warm)).unwrap();
    assert_eq!(one(&short, map(0), Start::From(&nothing)), one(&short, map(0), Start::From(&warm)));
    // A stage that was not trained begins from the seed.
    let parts = Recipe::default().mode(Mode::Parts);
    assert!(one(&parts, map(0), Start::From(&before)).is_ok());
    let wrong = one(&Recipe::default().n_clusters(3), map(0), Start::From(&before)).unwrap_err();
    assert_eq!(wrong, ClusterError::Start { expected: (8, 3), got: (8, 2) });
    let classical = one(&Recipe::default().method(Method::Kmeans), map(0), Start::From(&before));
    assert_eq!(classical, Err(ClusterError::NothingToTrain { method: "kmeans" }));
}

/// With every method and mode, an image with nothing to cut is all background.
#[test]
fn nothing_is_cut_from_what_is_all_alike() {
    let alike = FeatureMap::new(4, 4, 3, [0.5, -1.0, 2.0].repeat(16)).unwrap();
    let modes = [Mode::Object, Mode::Parts, Mode::Scene, Mode::Objects].map(|mode| Recipe::default().mode(mode));
    let of_method =
        |method| Recipe::default().method(method).mode(if method == Method::Maskcut { Mode::Objects } else { Mode::Object });
    let methods = Method::ALL.map(of_method);
    for recipe in modes.into_iter().chain(methods).chain([Recipe::paper(), Recipe::default().n_clusters(5)]) {
        for map in [alike.clone(), map(0).with_constant_image(true), FeatureMap::new(1, 1, 1, vec![3.0]).unwrap()] {
            let found = one(&recipe, map, Start::Seed(0)).unwrap();
            assert!(found.labels().all(|label| label == 0), "{recipe:?}");
            assert!(found.confidence() == 0.0);
        }
    }
}

#[test]
fn what_cannot_be_cut_is_an_error() {
    let two = FeatureMap::new(1, 2, 1, vec![0.0, 1.0]).unwrap();
    let error = one(&Recipe::default().n_clusters(3), two, Start::Seed(0)).unwrap_err();
    assert_eq!(error, ClusterError::TooManyClusters { n_clusters: 3, nodes: 2 });
    let colored = Recipe::default().method(Method::DeepSpectral).color(10.0);
    assert_eq!(one(&colored, map(0), Start::Seed(0)), Err(ClusterError::NoColors { color: 10.0 }));
    assert!(one(&colored, map(0).with_colors(vec![0.5; 192]).unwrap(), Start::Seed(0)).is_ok());
    let invalid = one(&Recipe::default().dropout(2.0), map(0), Start::Seed(0)).unwrap_err();
    assert!(matches!(invalid, ClusterError::Option(OptionError { name: "dropout", .. })));
}

/// Log-odds of the object of [`map`], and of a patch in the opposite corner of which the features say nothing.
fn opinion(shift: usize, corner: f32) -> Vec<f32> {
    let inside = |at: usize| (2..6).contains(&(at / 8)) && (2 + shift..6 + shift).contains(&(at % 8));
    (0..64)
        .map(|at| {
            if inside(at) {
                4.0
            } else if at == 7 {
                corner
            } else {
                -3.0
            }
        })
        .collect()
}

/// A map with a patch of its own kind in the corner.
fn map_with_prior(corner: f32) -> FeatureMap {
    let mut data = map(0).data().to_vec();
    data[7 * 8..8 * 8].copy_from_slice(&[-3.0, 1.0, 0.0, 1.0, 0.0, 1.0, -3.0, 1.0]);
    FeatureMap::new(8, 8, 8, data).unwrap().with_objectness(opinion(0, corner)).unwrap()
}

#[test]
fn the_prior_says_which_side_is_the_object() {
    let labels = |found: &Clustering| found.labels().collect::<Vec<u8>>();
    let around: Vec<f32> = opinion(0, -3.0).iter().map(|l| -l).collect();
    let around = map(0).with_objectness(around).unwrap();
    let without = one(&Recipe::default(), map(0), Start::Seed(0)).unwrap();
    let with = one(&Recipe::default(), around.clone(), Start::Seed(0)).unwrap();
    // The border, which votes where there is no prior, is the object here.
    assert_eq!(labels(&with), labels(&without).iter().map(|label| 1 - label).collect::<Vec<_>>());
    // Recipes that take no prior do not look at it.
    let recipes = [
        Recipe::default().prior_weight(0.0),
        Recipe::paper(),
        Recipe::default().n_clusters(3),
        Recipe::default().objective(Objective::Modularity),
        Recipe::default().method(Method::Kmeans),
    ];
    for recipe in recipes {
        assert_eq!(one(&recipe, around.clone(), Start::Seed(0)), one(&recipe, map(0), Start::Seed(0)), "{recipe:?}");
    }
    // A graph that weighs its edges has the same neighbors.
    let relu = one(&Recipe::default().edges(Edges::Relu), around, Start::Seed(0)).unwrap();
    assert_eq!(labels(&relu), labels(&with));
}

#[test]
fn low_components_are_dropped() {
    let corner = |recipe: Recipe, odds: f32| {
        let found = one(&recipe, map_with_prior(odds), Start::Seed(0)).unwrap();
        let labels: Vec<u8> = found.labels().collect();
        assert!(labels[2 * 8 + 2] > 0 && labels[63] == 0, "{labels:?}");
        labels[7] > 0
    };
    let default = Recipe::default;
    assert!(!corner(default(), 1.0) && corner(default(), 3.5) && !corner(default(), -3.0));
    assert!(corner(default().least_peak(0.0), 1.0) && !corner(default().least_peak(1.0), 3.5));
    // Parts are cut from what is left.
    let parts = || default().mode(Mode::Parts).n_clusters(2);
    assert!(!corner(parts(), 1.0) && corner(parts(), 3.5));
    assert!(!corner(default().single_object(true), 3.5), "the larger one");
}

#[test]
fn the_main_object_is_known_with_a_prior() {
    let main = |recipe: Recipe, map: FeatureMap| one(&recipe, map, Start::Seed(0)).unwrap().main_object().map(<[bool]>::to_vec);
    let found = main(Recipe::default(), map_with_prior(3.5)).unwrap();
    assert!(found[3 * 8 + 3] && found[63] && !found[7], "{found:?}");
    assert_eq!(main(Recipe::default(), map(0)), None);
    assert_eq!(main(Recipe::default().mode(Mode::Objects), map_with_prior(3.5)), None);
    // A prior that finds nothing is none.
    let nothing = map(0).with_objectness(vec![-9.0; 64]).unwrap();
    assert_eq!(one(&Recipe::default(), nothing, Start::Seed(0)), one(&Recipe::default(), map(0), Start::Seed(0)));
}

/// Half of the epochs, and a network that corrects the prior goes on as such only.
#[test]
fn training_from_a_prior_goes_on_by_itself() {
    let recipe = |epochs: usize| Recipe::default().epochs([epochs; 3]);
    let mut epochs = 0;
    let mut observe = |step| {
        epochs += usize::from(matches!(step, Step::Train { .. }));
        ControlFlow::Continue(())
    };
    recipe(5).cluster_observed(&Cpu::default(), &[map_with_prior(1.0)], Start::Seed(0), &mut observe).unwrap();
    assert_eq!(epochs, 3);
    let cold = one(&recipe(1), map_with_prior(1.0), Start::Seed(2)).unwrap();
    let without = one(&recipe(40), map(0), Start::Seed(2)).unwrap();
    assert_eq!(one(&recipe(1), map_with_prior(1.0), Start::From(&without)).unwrap().grid(), cold.grid());
    let with = one(&recipe(80), map_with_prior(1.0), Start::Seed(2)).unwrap();
    let warm = one(&recipe(1), map_with_prior(1.0), Start::From(&with)).unwrap();
    assert_eq!(warm.grid(), with.grid(), "one pass more without an update");
    assert!(warm.grid() != cold.grid());
}

/// A prior needs no more than one patch, and says nothing of an image without anything.
#[test]
fn priors_of_little_are_defined() {
    let two = FeatureMap::new(1, 2, 1, vec![0.0, 1.0]).unwrap().with_objectness(vec![f32::MAX, f32::MIN]).unwrap();
    assert_eq!(one(&Recipe::default(), two, Start::Seed(0)).unwrap().labels().collect::<Vec<_>>(), [1, 0]);
    let all = map(0).with_objectness(vec![f32::MAX; 64]).unwrap();
    let found = one(&Recipe::default().mode(Mode::Scene), all, Start::Seed(0)).unwrap();
    assert!(found.labels().all(|label| label > 0 && label < 5) && (0.0..=1.0).contains(&found.confidence()));
    let constant = map(0).with_objectness(vec![9.0; 64]).unwrap().with_constant_image(true);
    assert!(one(&Recipe::default(), constant, Start::Seed(0)).unwrap().labels().all(|label| label == 0));
}
