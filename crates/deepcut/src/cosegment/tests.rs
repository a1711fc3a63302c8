//! Cosegmentation of hand-made features: what parts are, and what they may not depend on.

use super::*;
use crate::FeatureMap;
use crate::backbone::Identity;
use crate::progress::go_on;
use crate::random::Random;
use proptest::prelude::*;

const GRID: (usize, usize) = (8, 10);

/// An image of an object with three parts, side by side from column `left` on, on a plain ground. Features have eight values, with some noise.
fn image(seed: u64, left: usize) -> FeatureMap {
    let mut random = Random::new(seed);
    let mut values = Vec::new();
    for cell in 0..GRID.0 * GRID.1 {
        let (y, x) = (cell / GRID.1, cell % GRID.1);
        let inside = (2..6).contains(&y) && (left..left + 6).contains(&x);
        let mut row = [0.0f32; 8];
        if inside {
            row[1] = 1.0;
            row[2 + (x - left) / 2] = 0.8;
        } else {
            row[0] = 1.0;
        }
        values.extend(row.map(|x| x + 0.02 * (random.uniform() - 0.5)));
    }
    FeatureMap::new(GRID.0, GRID.1, 8, values).unwrap()
}

fn images() -> Vec<FeatureMap> {
    (0..5).map(|i| image(i, 1 + (i as usize * 3) % 4)).collect()
}

fn labels(found: &[Clustering]) -> Vec<Vec<u8>> {
    found.iter().map(|found| found.labels().collect()).collect()
}

fn cosegment(method: Grouping) -> Cosegment {
    Cosegment::default().method(method).n_parts(3)
}

fn cluster(options: &Cosegment, maps: &[FeatureMap]) -> (Codebook, Vec<Vec<u8>>) {
    let (codebook, found) = options.cluster(&Cpu::single(), &Recipe::default(), maps, 0).unwrap();
    (codebook, labels(&found))
}

/// The three parts lie where they were drawn, under the same label in every image.
#[test]
fn every_method_finds_the_parts() {
    for method in Grouping::ALL {
        let (codebook, found) = cluster(&cosegment(method), &images());
        assert_eq!(codebook.learned().n_parts, 3);
        let left = |i: usize| 1 + (i * 3) % 4;
        let names: Vec<u8> = (0..3).map(|part| found[0][3 * GRID.1 + left(0) + 2 * part]).collect();
        for (i, labels) in found.iter().enumerate() {
            for (cell, &label) in labels.iter().enumerate() {
                let (y, x) = (cell / GRID.1, cell % GRID.1);
                let inside = (2..6).contains(&y) && (left(i)..left(i) + 6).contains(&x);
                let expected = if inside { names[(x - left(i)) / 2] } else { 0 };
                assert_eq!(label, expected, "{}: image {i}, row {y}, column {x}", method.name());
            }
        }
        let mut sorted = names;
        sorted.sort_unstable();
        assert_eq!(sorted, [1, 2, 3], "{}", method.name());
    }
}

#[test]
fn permuted_images_give_permuted_results() {
    for method in Grouping::ALL {
        let maps = images();
        let (codebook, found) = cluster(&cosegment(method), &maps);
        let order = [3, 0, 4, 1, 2];
        let (of_permuted, permuted) = cluster(&cosegment(method), &order.map(|i| maps[i].clone()));
        assert_eq!(permuted, order.map(|i| found[i].clone()), "{}", method.name());
        assert_eq!(of_permuted, codebook);
    }
}

#[test]
fn threads_do_not_matter() {
    for method in Grouping::ALL {
        let (codebook, found) = cluster(&cosegment(method), &images());
        let cpu = Cpu::builder().threads(3).build().unwrap();
        let (of_three, parts) = cosegment(method).cluster(&cpu, &Recipe::default(), &images(), 0).unwrap();
        assert_eq!(of_three.to_bytes().unwrap(), codebook.to_bytes().unwrap(), "{}", method.name());
        assert_eq!(labels(&parts), found);
    }
}

fn foreground(map: &FeatureMap) -> Foreground {
    Foreground::new(&Cpu::single(), &Recipe::default(), map, 0, &mut go_on).unwrap()
}

#[test]
fn a_codebook_comes_back_from_its_file_and_finds_the_same() {
    for method in Grouping::ALL {
        let options = cosegment(method).common(0.5);
        let (codebook, found) = cluster(&options, &images());
        let bytes = codebook.to_bytes().unwrap();
        let read = Codebook::from_bytes(&bytes).unwrap();
        assert_eq!(read, codebook);
        assert_eq!(read.to_bytes().unwrap(), bytes, "the same bytes again");
        let again = |map| read.parts(&Cpu::single(), &Recipe::default(), &foreground(map), options.min_part).unwrap();
        assert_eq!(labels(&images().iter().map(again).collect::<Vec<_>>()), found);
    }
}

/// Soft parts, and not only labels, survive the file bit by bit.
#[test]
fn soft_parts_are_the_same_from_a_file() {
    for method in Grouping::ALL {
        let (codebook, _) = cluster(&cosegment(method), &images());
        let read = Codebook::from_bytes(&codebook.to_bytes().unwrap()).unwrap();
        let of =
            |codebook: &Codebook| codebook.parts(&Cpu::single(), &Recipe::default(), &foreground(&images()[1]), 0.0).unwrap();
        assert_eq!(of(&read), of(&codebook), "{}", method.name());
    }
}

#[test]
fn damaged_files_are_refused() {
    let (codebook, _) = cluster(&cosegment(Grouping::Both).common(0.5), &images());
    let bytes = codebook.to_bytes().unwrap();
    for end in (0..bytes.len()).step_by(97) {
        let error = Codebook::from_bytes(&bytes[..end]).unwrap_err();
        assert!(error.to_string().contains("truncated"), "{error}");
    }
    assert!(matches!(Codebook::from_bytes(b"not a codebook at all"), Err(CodebookError::File(_))));
    let network = Weightless.to_bytes();
    assert!(matches!(Codebook::from_bytes(&network), Err(CodebookError::NotACodebook)));
    let name = b"\\\"n_parts\\\":";
    let at = bytes.windows(name.len()).position(|window| window == name).unwrap() + name.len();
    let mut other = bytes.clone();
    other[at] = b'4';
    assert!(matches!(Codebook::from_bytes(&other), Err(CodebookError::File(_))), "tensors of three parts");
    other[at] = b'1';
    assert!(matches!(Codebook::from_bytes(&other), Err(CodebookError::Metadata(_))));
}

/// A safetensors file of something else.
struct Weightless;

impl Weightless {
    fn to_bytes(&self) -> Vec<u8> {
        let header = br#"{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}  "#;
        [&(header.len() as u64).to_le_bytes()[..], header, &[0; 4]].concat()
    }
}

proptest! {
    /// Whatever bytes are changed, reading ends in a codebook or in an error.
    #[test]
    fn changed_bytes_never_panic(at in 0usize..4000, value: u8, is_spectral: bool) {
        let bytes_of = |method| cluster(&cosegment(method), &images()).0.to_bytes().unwrap();
        thread_local!(static BYTES: [std::cell::OnceCell<Vec<u8>>; 2] = const { [const { std::cell::OnceCell::new() }; 2] });
        let method = if is_spectral { Grouping::Spectral } else { Grouping::Kmeans };
        let mut bytes = BYTES.with(|known| known[usize::from(is_spectral)].get_or_init(|| bytes_of(method)).clone());
        let at = at % bytes.len();
        bytes[at] = value;
        let _ = Codebook::from_bytes(&bytes);
    }
}

/// A file whose landmarks are none, or lie in no space.
#[test]
fn landmarks_are_checked() {
    let (codebook, _) = cluster(&cosegment(Grouping::Spectral), &images());
    let with = |change: &dyn Fn(&mut Codebook)| {
        let mut other = codebook.clone();
        change(&mut other);
        Codebook::from_bytes(&other.to_bytes().unwrap()).unwrap_err()
    };
    let many = |codebook: &mut Codebook| {
        let embedding = codebook.embedding.as_mut().unwrap();
        embedding.landmarks = vec![0.5; 2049 * 8];
        embedding.coordinates = vec![0.5; 2049 * 4];
    };
    let error = with(&many).to_string();
    assert!(error.contains("expected 1 to 2048 landmarks"), "{error}");
    let error = with(&|codebook| codebook.centers.truncate(3));
    assert!(matches!(error, CodebookError::File(_)), "{error}");
    let error = with(&|codebook| codebook.learned.method = Grouping::Kmeans);
    assert!(matches!(error, CodebookError::File(_)), "{error}");
}

#[test]
fn a_codebook_of_other_features_is_refused() {
    let options = cosegment(Grouping::Kmeans);
    let (codebook, _) = cluster(&options, &images());
    let other = Identity { name: "other".into(), sha256: "abc".into(), ..Identity::default() };
    let error = codebook.check(&other).unwrap_err().to_string();
    assert!(error.contains("not for other (abc)"), "{error}");
    let facets = Identity { features: "key@3".into(), ..Identity::default() };
    let error = codebook.check(&facets).unwrap_err().to_string();
    assert!(error.contains("the features") && error.contains("key@3"), "{error}");
    codebook.check(&Identity::default()).unwrap();

    let parts = options.clone().n_parts(4).check(&codebook).unwrap_err();
    assert_eq!(parts.to_string(), "the codebook has 3 parts, not 4; ask for 3, or take another file for a new codebook");
    let error = options.clone().method(Grouping::Both).check(&codebook).unwrap_err().to_string();
    assert!(error.contains("by the method kmeans, not both"), "{error}");
    let error = options.clone().common(0.5).check(&codebook).unwrap_err().to_string();
    assert!(error.contains("without the option common"), "{error}");
    assert_eq!("both".parse(), Ok(Grouping::Both));
    assert_eq!("mean".parse::<Grouping>(), Err("expected kmeans, spectral, network, both".into()));
    options.n_parts(None).check(&codebook).unwrap();

    let short = FeatureMap::new(1, 3, 2, vec![0.0, 1.0, 1.0, 0.0, 0.0, 1.0]).unwrap();
    let error = codebook.parts(&Cpu::single(), &Recipe::default(), &foreground(&short), 0.0).unwrap_err();
    assert!(matches!(error, PartsError::Codebook(CodebookError::Dimension { learned: 8, got: 2 })), "{error}");
}

/// A map of patches that all look alike.
fn empty() -> FeatureMap {
    FeatureMap::new(4, 4, 8, [[1.0; 8]; 16].concat()).unwrap()
}

#[test]
fn sets_without_parts_say_so() {
    let cluster = |maps: &[FeatureMap]| {
        let options = cosegment(Grouping::Kmeans);
        options.cluster(&Cpu::single(), &Recipe::default(), maps, 0).unwrap_err().to_string()
    };
    assert_eq!(cluster(&[]), "there is no image to learn parts from");
    assert!(cluster(&[empty()]).starts_with("there are no parts to learn: no image of 1 has an object"));
    let one = FeatureMap::new(1, 3, 2, vec![0.0, 1.0, 1.0, 0.0, 0.0, 1.0]).unwrap();
    assert!(cluster(&[one]).starts_with("3 parts of 1 foreground patches in all images; ask for fewer parts"));
    assert!(
        cluster(&[images().remove(0), FeatureMap::new(1, 3, 2, vec![0.0, 1.0, 1.0, 0.0, 0.0, 1.0]).unwrap()])
            .contains("dimension")
    );
}

#[test]
fn one_image_is_a_set() {
    for method in Grouping::ALL {
        let (_, found) = cluster(&cosegment(method), &images()[..1]);
        let mut seen = found[0].clone();
        seen.sort_unstable();
        seen.dedup();
        assert_eq!(seen, [0, 1, 2, 3], "{}", method.name());
    }
}

/// An image without an object stays background, and takes no part in what is learned.
#[test]
fn images_without_an_object_are_background() {
    let with: Vec<FeatureMap> = images().into_iter().chain([empty()]).collect();
    let (codebook, found) = cluster(&cosegment(Grouping::Kmeans), &with);
    let (without, of_others) = cluster(&cosegment(Grouping::Kmeans), &images());
    assert_eq!(codebook, without);
    assert_eq!(found[..5], of_others);
    assert_eq!(found[5], [0; 16]);
}

/// The same image twice is there once.
#[test]
fn copies_do_not_count() {
    let twice: Vec<FeatureMap> = images().into_iter().chain([image(0, 1)]).collect();
    assert_eq!(cluster(&cosegment(Grouping::Kmeans), &twice).0, cluster(&cosegment(Grouping::Kmeans), &images()).0);
}

#[test]
fn what_is_in_few_images_is_dropped() {
    // In one image a thing of another look lies below the object.
    let mut maps = images();
    let mut data = maps[0].data().to_vec();
    let odd: Vec<usize> = (1..9).map(|x| 6 * GRID.1 + x).collect();
    for &cell in &odd {
        data[cell * 8..(cell + 1) * 8].copy_from_slice(&[0.0, 0.8, 0.0, 0.0, 0.0, 0.0, 0.0, 0.7]);
    }
    maps[0] = FeatureMap::new(GRID.0, GRID.1, 8, data).unwrap();
    let (_, all) = cluster(&cosegment(Grouping::Kmeans), &maps);
    assert!(odd.iter().all(|&cell| all[0][cell] > 0), "the cut takes the thing: {:?}", all[0]);
    let (_, common) = cluster(&cosegment(Grouping::Kmeans).common(0.5), &maps);
    assert!(odd.iter().all(|&cell| common[0][cell] == 0), "{:?}", common[0]);
    assert_eq!(common[0].iter().filter(|label| **label > 0).count(), 24);
    assert_eq!(common[1..].iter().flatten().filter(|label| **label > 0).count(), 4 * 24);
}

#[test]
fn the_elbow_finds_three_parts() {
    let options = Cosegment::default().n_parts(None);
    let (codebook, _) = options.cluster(&Cpu::single(), &Recipe::default(), &images(), 0).unwrap();
    assert_eq!(codebook.learned().n_parts, 3);
}

/// What does not fit into memory is on the disk, and comes back as it was.
#[cfg(feature = "batch")]
#[test]
fn foregrounds_on_the_disk_are_those_in_memory() {
    let (mut memory, mut disk) = (Foregrounds::default(), Foregrounds::default().with_memory(5_000));
    for (at, map) in images().iter().enumerate() {
        let foreground = foreground(map);
        memory.add(&at.to_string(), &foreground).unwrap();
        disk.add(&at.to_string(), &foreground).unwrap();
        assert_eq!(disk.get(&at.to_string()).unwrap(), Some(foreground));
    }
    let learn = |set| {
        let options = cosegment(Grouping::Kmeans);
        options.learn(&Cpu::single(), &Recipe::default(), set, &Identity::default(), 0, &mut go_on).unwrap()
    };
    assert_eq!(learn(&memory), learn(&disk));
    assert_eq!(disk.get("another").unwrap(), None);
}

#[test]
fn options_are_checked() {
    Cosegment::default().validate().unwrap();
    let name = |options: Cosegment| options.validate().unwrap_err().name;
    assert_eq!(name(Cosegment::default().n_parts(1)), "n_parts");
    assert_eq!(name(Cosegment::default().n_parts(33)), "n_parts");
    assert_eq!(name(Cosegment::default().common(0.0)), "common");
    assert_eq!(name(Cosegment::default().common(f32::NAN)), "common");
    assert_eq!(name(Cosegment::default().min_part(1.1)), "min_part");
    assert_eq!(name(Cosegment::default().restarts(0)), "restarts");
}
