use super::*;
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
