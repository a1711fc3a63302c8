//! Properties of vision transformers: early stopping, naming schemes, options, and files that lie.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use deepcut::backbone::Config;
use deepcut::backbone::convnet::ConvNet;
use deepcut::backbone::vit::{Family, VisionTransformer, VitOptions};
use deepcut::backbone::{Backbone, Input, ViewError, WeightsError, embedded};
use deepcut::internals::facet::fuse;
use deepcut::metrics::iou;
use deepcut::{Cpu, FeatureMap, Image, Isa, Options, Precision, Segmenter, Step, View};
use safetensors::SafeTensors;
use serde_json::{Value, json};
use std::ops::ControlFlow;

fn fixture(name: &str) -> Vec<u8> {
    std::fs::read(format!("{}/tests/fixtures/{name}.safetensors", env!("CARGO_MANIFEST_DIR"))).unwrap()
}

fn load(bytes: &[u8], facets: &str) -> Result<VisionTransformer, WeightsError> {
    let facets = (!facets.is_empty()).then(|| facets.parse().unwrap());
    let options = VitOptions { facets, heads: Some(2), precision: Precision::F32, ..VitOptions::default() };
    VisionTransformer::from_bytes("test", bytes, &Cpu::default(), &options)
}

fn features(vit: &VisionTransformer, height: usize, width: usize) -> FeatureMap {
    let data: Vec<f32> = (0..height * width * 3).map(|i| ((i * i % 97) as f32 - 48.0) / 30.0).collect();
    vit.features(&[Input::new(height, width, &data).unwrap()]).unwrap().remove(0)
}

/// Stopping at the facet gives what the full run passes on its way.
#[test]
fn stopping_early_changes_nothing() {
    let bytes = fixture("vit_tiny_random");
    for facet in ["key@0", "query@1", "value@1", "token@0", "norm-token@1", "key@2"] {
        let alone = features(&load(&bytes, facet).unwrap(), 40, 56);
        // Fused with the last block's token the network runs to its end; the first half of a row is the facet, scaled.
        let both = features(&load(&bytes, &format!("{facet}+token@2")).unwrap(), 40, 56);
        assert_eq!(both.dim(), 2 * alone.dim());
        let last = features(&load(&bytes, "token@2").unwrap(), 40, 56);
        assert_eq!(fuse(vec![alone, last]).unwrap(), both, "{facet}");
    }
}

/// Three blocks ask three times; after a no nothing is computed.
#[test]
fn work_is_cancelled_between_blocks() {
    let network = load(&fixture("vit_tiny_random"), "token@2").unwrap();
    let image = Image::new(40, 56, (0..40 * 56 * 3).map(|i| (i * i % 251) as u8).collect()).unwrap();
    let run = |asks: usize| {
        let mut steps = Vec::new();
        let found = View::default().resolution(48).features_observed(&network, &[&image], &mut |step| {
            steps.push(step);
            if steps.len() > asks { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        });
        (found, steps)
    };
    let (found, steps) = run(9);
    assert_eq!(steps, [Step::Resize, Step::Backbone, Step::Backbone, Step::Backbone, Step::Backbone]);
    assert!(found.is_ok());
    for asks in 0..5 {
        let (found, steps) = run(asks);
        assert!(matches!(found, Err(ViewError::Cancelled(_))), "after {asks}");
        assert_eq!(steps.len(), asks + 1);
    }
}

/// Products in bf16 or int8 turn no patch's features by more than a cosine of 0.999, under any instruction set.
#[test]
fn rounded_products_keep_directions() {
    let bytes = fixture("dinov2_random_plain");
    let network = |isa, precision| {
        let cpu = Cpu::builder().isa(isa).build().unwrap();
        let options = VitOptions { heads: Some(2), precision, ..VitOptions::default() };
        VisionTransformer::from_bytes("test", &bytes, &cpu, &options).unwrap()
    };
    let single = features(&network(Isa::detect(), Precision::F32), 70, 98);
    let precisions = [Precision::Bf16, Precision::Int8];
    for (isa, precision) in Isa::available().into_iter().flat_map(|isa| precisions.map(|precision| (isa, precision))) {
        let rounded = network(isa, precision);
        let map = features(&rounded, 70, 98);
        assert_ne!(map.data(), single.data(), "{}: nothing was rounded", isa.name());
        let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| f64::from(a * b)).sum::<f64>();
        let rows = map.data().chunks_exact(map.dim()).zip(single.data().chunks_exact(map.dim()));
        let least = rows.map(|(a, b)| dot(a, b) / (dot(a, a) * dot(b, b)).sqrt()).fold(f64::INFINITY, f64::min);
        println!("{} {:?}: least cosine {least:.6}", isa.name(), rounded.identity().precision);
        assert!(least >= 0.999, "{}: {least}", isa.name());
    }
}

/// Masks of the project's own pictures hardly change when the embedded network's products are in bf16 or int8.
#[test]
fn rounded_products_keep_masks() {
    for name in ["duck", "mug", "hare"] {
        let path = format!("{}/../../examples/pictures/{name}.jpg", env!("CARGO_MANIFEST_DIR"));
        let image = Image::decode(&std::fs::read(path).unwrap()).unwrap();
        let [single, bf16, int8] = [Precision::F32, Precision::Bf16, Precision::Int8].map(|precision| {
            let network = ConvNet::from_bytes("embedded", embedded::BYTES, &Cpu::default(), precision).unwrap();
            assert_eq!(network.identity().precision, precision);
            let segmenter = Segmenter::new(Box::new(network), Options::default(), Cpu::default()).unwrap();
            segmenter.segment(&image).unwrap().mask().iter().map(|&m| m > 0).collect::<Vec<bool>>()
        });
        for (rounded, precision) in [(bf16, "bf16"), (int8, "int8")] {
            let value = iou(&single, &rounded);
            println!("{name}, {precision}: IoU {value:.4}");
            assert!(value >= 0.99, "{name}, {precision}: {value}");
        }
    }
}

/// Inner products of fused rows are the means of the facets' cosines.
#[test]
fn fused_facets_give_mean_cosines() {
    let bytes = fixture("vit_tiny_random");
    let maps = ["value@0", "key@1", "norm-token@2"].map(|facet| features(&load(&bytes, facet).unwrap(), 40, 40));
    let fused = features(&load(&bytes, "value@0+key@1+norm-token@2").unwrap(), 40, 40);
    let dot = |map: &FeatureMap, i: usize, j: usize| -> f64 {
        let row = |i: usize| &map.data()[i * map.dim()..(i + 1) * map.dim()];
        row(i).iter().zip(row(j)).map(|(a, b)| f64::from(a * b)).sum()
    };
    for (i, j) in [(0, 0), (0, 1), (3, 17), (24, 5)] {
        let cosine = |map: &FeatureMap| dot(map, i, j) / (dot(map, i, i) * dot(map, j, j)).sqrt();
        let mean = maps.iter().map(cosine).sum::<f64>() / 3.0;
        assert!((dot(&fused, i, j) - mean).abs() < 1e-5, "{i}, {j}");
    }
}

/// A safetensors file as its header and tensors, to be changed.
#[derive(Clone)]
struct File(Vec<(String, Vec<usize>, Vec<f32>)>);

impl File {
    fn read(name: &str) -> Self {
        let bytes = fixture(name);
        let file = SafeTensors::deserialize(&bytes).unwrap();
        let values = |data: &[u8]| data.chunks_exact(4).map(|b| f32::from_le_bytes(b.try_into().unwrap())).collect();
        Self(file.iter().map(|(name, view)| (name.to_owned(), view.shape().to_vec(), values(view.data()))).collect())
    }

    fn bytes(&self) -> Vec<u8> {
        let mut header = serde_json::Map::new();
        let mut data = Vec::new();
        for (name, shape, values) in &self.0 {
            let start = data.len();
            data.extend(values.iter().flat_map(|v| v.to_le_bytes()));
            header.insert(name.clone(), json!({ "dtype": "F32", "shape": shape, "data_offsets": [start, data.len()] }));
        }
        let header = Value::Object(header).to_string();
        [&(header.len() as u64).to_le_bytes()[..], header.as_bytes(), &data].concat()
    }

    /// The tensors that `rename` maps to new names, and those it maps to none left out.
    fn renamed(&self, rename: impl Fn(&str) -> Option<String>) -> Self {
        Self(self.0.iter().filter_map(|(name, shape, values)| Some((rename(name)?, shape.clone(), values.clone()))).collect())
    }

    fn get(&mut self, name: &str) -> &mut (String, Vec<usize>, Vec<f32>) {
        self.0.iter_mut().find(|(n, ..)| n == name).unwrap()
    }
}

/// A file in transformers' naming, its query, key and value apart.
fn transformers(name: &str, dinov2: bool) -> File {
    let mut file = File::read(name);
    let joined: Vec<_> = file.0.iter().filter(|(name, ..)| name.contains("attn.qkv")).cloned().collect();
    for (name, shape, values) in joined {
        let third = values.len() / 3;
        for (part, values) in ["query", "key", "value"].iter().zip(values.chunks_exact(third)) {
            let shape = std::iter::once(shape[0] / 3).chain(shape[1..].iter().copied()).collect();
            file.0.push((name.replace("attn.qkv", &format!("attention.attention.{part}")), shape, values.to_vec()));
        }
    }
    let names = [
        ("blocks.", "encoder.layer."),
        ("attn.proj", "attention.output.dense"),
        ("norm1", if dinov2 { "norm1" } else { "layernorm_before" }),
        ("norm2", if dinov2 { "norm2" } else { "layernorm_after" }),
        ("mlp.fc1", if dinov2 { "mlp.fc1" } else { "intermediate.dense" }),
        ("mlp.fc2", if dinov2 { "mlp.fc2" } else { "output.dense" }),
        ("ls1.gamma", "layer_scale1.lambda1"),
        ("ls2.gamma", "layer_scale2.lambda1"),
        ("patch_embed.proj", "embeddings.patch_embeddings.projection"),
        ("cls_token", "embeddings.cls_token"),
        ("mask_token", "embeddings.mask_token"),
        ("register_tokens", "embeddings.register_tokens"),
        ("pos_embed", "embeddings.position_embeddings"),
    ];
    file.renamed(|name| {
        if name.contains("attn.qkv") {
            return None;
        }
        let name = names.iter().fold(name.to_owned(), |name, (ours, theirs)| name.replace(ours, theirs));
        Some(if let Some(rest) = name.strip_prefix("norm.") { format!("layernorm.{rest}") } else { name })
    })
}

#[test]
fn all_naming_schemes_give_the_same_features() {
    for (name, family) in
        [("vit_tiny_random", Family::Dino), ("dinov2_random_plain", Family::Dinov2), ("dinov2_random_reg4", Family::Dinov2)]
    {
        let timm = load(&fixture(name), "").unwrap();
        assert_eq!(timm.family(), family);
        let expected = features(&timm, 70, 98);
        let file = transformers(name, family == Family::Dinov2);
        let inside = file.renamed(|name| Some(format!("dinov2_with_registers.{name}")));
        let mut headed = File::read(name);
        headed.0.push(("head.weight".into(), vec![3, 64], vec![0.5; 192]));
        headed.0.push(("head.bias".into(), vec![3], vec![0.5; 3]));
        for file in [file, inside] {
            let other = load(&file.bytes(), "").unwrap();
            assert_eq!(other.family(), family, "{name}");
            assert_eq!(features(&other, 70, 98), expected, "{name}");
        }
        let headed = load(&headed.bytes(), "").unwrap();
        // A classifier says how a network without LayerScale was trained.
        assert_eq!(headed.family() == Family::Supervised, family == Family::Dino);
    }
}

/// timm stores networks with registers with the class token's position added to it and left out of the table.
#[test]
fn tables_without_a_class_position_are_read() {
    let expected = features(&load(&fixture("dinov2_random_reg4"), "").unwrap(), 70, 70);
    let mut file = File::read("dinov2_random_reg4").renamed(|name| match name {
        "mask_token" => None,
        "register_tokens" => Some("reg_token".into()),
        _ => Some(name.into()),
    });
    let position: Vec<f32> = file.get("pos_embed").2.drain(..64).collect();
    file.get("pos_embed").1[1] -= 1;
    file.get("cls_token").2.iter_mut().zip(position).for_each(|(x, p)| *x += p);
    assert_eq!(features(&load(&file.bytes(), "").unwrap(), 70, 70), expected);
}

#[test]
fn what_the_options_ask_for_must_exist() {
    let bytes = fixture("vit_tiny_random");
    let message = |change: fn(&mut VitOptions)| {
        let mut options = VitOptions { heads: Some(2), ..VitOptions::default() };
        change(&mut options);
        VisionTransformer::from_bytes("test", &bytes, &Cpu::default(), &options).unwrap_err().to_string()
    };
    assert!(message(|o| o.facets = Some("key@3".parse().unwrap())).contains("key@3: the network's blocks are 0 to 2"));
    assert!(message(|o| o.layer = Some(7)).contains("blocks are 0 to 2"));
    assert!(message(|o| o.stride = Some(3)).contains("stride 3 does not divide the patch size, 8"));
    assert!(message(|o| o.stride = Some(0)).contains("stride 0"));
    assert!(message(|o| o.heads = Some(7)).contains("7 heads do not divide 64 dimensions"));
    assert!(message(|o| o.heads = Some(0)).contains("0 heads"));

    // A resolution below the patch size leaves nothing to look at.
    let mut options = Options::default();
    options.view.resolution = Some(16);
    let pipeline = |bytes: &[u8]| Segmenter::new(Box::new(load(bytes, "").unwrap()), options.clone(), Cpu::default());
    assert!(pipeline(&bytes).is_ok());
    let mut large = File::read("vit_tiny_random");
    let (_, shape, values) = large.get("patch_embed.proj.weight");
    *shape = vec![64, 3, 32, 32];
    values.resize(64 * 3 * 32 * 32, 0.0);
    assert!(matches!(pipeline(&large.bytes()), Err(deepcut::Error::Option(error)) if error.name == "resolution"));
    assert!(load(&File::read("dinov2_random_plain").bytes(), "").is_ok());
}

/// Each way a file can be wrong is an error that names the tensor.
#[test]
fn hostile_weights_are_errors() {
    let whole = File::read("dinov2_random_reg4");
    let error = |change: &dyn Fn(&mut File)| {
        let mut file = whole.clone();
        change(&mut file);
        load(&file.bytes(), "").unwrap_err()
    };
    for name in whole.0.iter().map(|(name, ..)| name.as_str()).filter(|name| !["mask_token", "register_tokens"].contains(name)) {
        let missing = error(&|file| file.0.retain(|(n, ..)| n != name)).to_string();
        // A gap in the numbers is named by what comes after it.
        let gap = name == "blocks.1.norm1.weight" && missing.contains("unexpected tensors: blocks.1.");
        assert!(gap || missing.contains(&format!("`{name}` is missing")), "{name}: {missing}");
    }
    for (name, shape, _) in &whole.0 {
        if name != "mask_token" {
            let flat = error(&|file| file.get(name).1 = vec![shape.iter().product(), 1, 1, 1, 1]).to_string();
            assert!(flat.contains("shape") || flat.contains("holds"), "{name}: {flat}");
            let nan = error(&|file| file.get(name).2[0] = f32::NAN);
            assert!(matches!(&nan, WeightsError::NotFinite { name: n } if n == name), "{name}: {nan}");
        }
    }
    assert!(matches!(error(&|f| f.0.push(("extra".into(), vec![1], vec![0.0]))), WeightsError::Unexpected(n) if n == ["extra"]));
    let third = error(&|file| {
        let (_, shape, values) = file.get("blocks.0.norm1.weight").clone();
        file.0.push(("blocks.3.norm1.weight".into(), shape, values));
    });
    assert!(matches!(third, WeightsError::Unexpected(names) if names == ["blocks.3.norm1.weight"]));

    // Tensors of no elements, and shapes whose product is beyond any number.
    let empty = |name: &str, shape: &[usize]| {
        error(&|file| {
            let tensor = file.get(name);
            (tensor.1, tensor.2) = (shape.to_vec(), vec![]);
        })
    };
    for (name, shape) in [
        ("patch_embed.proj.weight", &[0, 3, 14, 14][..]),
        ("patch_embed.proj.weight", &[64, 3, 0, 0]),
        ("patch_embed.proj.weight", &[]),
        ("pos_embed", &[1, 0, 64]),
        ("pos_embed", &[0]),
        ("cls_token", &[0]),
        ("blocks.0.mlp.fc1.bias", &[0]),
        ("register_tokens", &[1, 0, 65]),
        ("pos_embed", &[usize::MAX, usize::MAX, 64]),
        ("blocks.1.attn.qkv.weight", &[1 << 40, 1 << 40]),
    ] {
        let _ = empty(name, shape);
    }
    let bytes = whole.bytes();
    for end in [0, 1, 7, 8, 9, 100, bytes.len() / 2, bytes.len() - 1] {
        assert!(matches!(load(&bytes[..end], ""), Err(WeightsError::Container(_))), "cut at {end}");
    }
    assert!(matches!(load(&[&u64::MAX.to_le_bytes()[..], b"{}"].concat(), ""), Err(WeightsError::Container(_))));
}

/// A file whose network is somewhere inside, or whose queries, keys and values are apart, is read as the plain one; what has no part is said.
#[test]
fn other_ways_of_naming_the_same_tensors_are_understood() {
    let plain = File::read("vit_tiny_random");
    let expected = features(&load(&plain.bytes(), "").unwrap(), 40, 40);
    for prefix in
        ["module.", "backbone.", "encoder.", "model.", "vit.", "state_dict.module.base_encoder.", "teacher.backbone.", "dinov2."]
    {
        let mut file = plain.renamed(|name| Some(format!("{prefix}{name}")));
        for extra in ["optimizer.state.0.exp_avg", "teacher.head.mlp.0.weight", "head.weight"] {
            file.0.push((extra.into(), vec![2], vec![0.5; 2]));
        }
        let vit = load(&file.bytes(), "").unwrap();
        assert_eq!(features(&vit, 40, 40), expected, "{prefix}");
        assert_eq!(vit.family(), Family::Dino, "{prefix}: another network's head is none of its own");
        assert!(vit.identity().ignored.iter().any(|name| name == "optimizer"), "{:?}", vit.identity().ignored);
    }
    for parts in [["q", "k", "v"], ["q_proj", "k_proj", "v_proj"], ["query", "key", "value"]] {
        let mut file = plain.clone();
        for (name, shape, values) in plain.0.iter().filter(|(name, ..)| name.contains("attn.qkv")) {
            for (part, values) in parts.iter().zip(values.chunks_exact(values.len() / 3)) {
                let shape = std::iter::once(shape[0] / 3).chain(shape[1..].iter().copied()).collect();
                file.0.push((name.replace("qkv", part), shape, values.to_vec()));
            }
        }
        file.0.retain(|(name, ..)| !name.contains("attn.qkv"));
        assert_eq!(features(&load(&file.bytes(), "").unwrap(), 40, 40), expected, "{parts:?}");
    }
    // An autoencoder's decoder, a norm of the mean, and what training needed.
    let mut file = plain.clone();
    for extra in ["decoder_embed.weight", "decoder_blocks.0.attn.rel_pos_h", "fc_norm.weight", "mask_token", "pre_logits.fc.bias"]
    {
        file.0.push((extra.into(), vec![2], vec![0.5; 2]));
    }
    assert_eq!(features(&load(&file.bytes(), "").unwrap(), 40, 40), expected);
    file.0.retain(|(name, ..)| !name.starts_with("norm."));
    assert_eq!(features(&load(&file.bytes(), "").unwrap(), 40, 40), expected, "keys need no last norm");
    assert!(load(&file.bytes(), "norm-token").unwrap_err().to_string().contains("no norm of its tokens"));
}

#[test]
fn of_several_networks_one_is_asked_for() {
    let plain = File::read("vit_tiny_random");
    let expected = features(&load(&plain.bytes(), "").unwrap(), 40, 40);
    let mut both = plain.renamed(|name| Some(format!("teacher.backbone.{name}")));
    let student = plain.renamed(|name| Some(format!("student.module.backbone.{name}")));
    both.0.extend(student.0.into_iter().map(|(name, shape, values)| (name, shape, values.iter().map(|v| v * 0.9).collect())));
    let load = |prefix: Option<&str>| {
        let options =
            VitOptions { precision: Precision::F32, heads: Some(2), prefix: prefix.map(str::to_owned), ..VitOptions::default() };
        VisionTransformer::from_bytes("test", &both.bytes(), &Cpu::default(), &options)
    };
    let error = load(None).unwrap_err().to_string();
    for words in ["2 networks", "`teacher.backbone.`", "`student.module.backbone.`", "--prefix"] {
        assert!(error.contains(words), "{error}");
    }
    assert!(load(Some("ema.")).unwrap_err().to_string().contains("begin with `ema.`"));
    let [teacher, student] =
        ["teacher.backbone", "student.module.backbone."].map(|prefix| features(&load(Some(prefix)).unwrap(), 40, 40));
    assert_eq!(teacher, expected);
    assert_ne!(teacher, student);
}

/// A network of this width and depth, patches of 16, whose class token lies at `position`.
fn shaped(dim: usize, depth: usize, position: f32) -> File {
    let mut file = vec![
        ("cls_token".to_owned(), vec![1, 1, dim]),
        ("pos_embed".to_owned(), vec![1, 5, dim]),
        ("patch_embed.proj.weight".to_owned(), vec![dim, 3, 16, 16]),
        ("patch_embed.proj.bias".to_owned(), vec![dim]),
        ("norm.weight".to_owned(), vec![dim]),
        ("norm.bias".to_owned(), vec![dim]),
    ];
    for i in 0..depth {
        for (name, shape) in [
            ("norm1.weight", vec![dim]),
            ("norm1.bias", vec![dim]),
            ("attn.qkv.weight", vec![3 * dim, dim]),
            ("attn.qkv.bias", vec![3 * dim]),
            ("attn.proj.weight", vec![dim, dim]),
            ("attn.proj.bias", vec![dim]),
            ("norm2.weight", vec![dim]),
            ("norm2.bias", vec![dim]),
            ("mlp.fc1.weight", vec![8, dim]),
            ("mlp.fc1.bias", vec![8]),
            ("mlp.fc2.weight", vec![dim, 8]),
            ("mlp.fc2.bias", vec![dim]),
        ] {
            file.push((format!("blocks.{i}.{name}"), shape));
        }
    }
    let values = |shape: &[usize]| (0..shape.iter().product()).map(|i: usize| ((i * i % 89) as f32 - 44.0) / 200.0).collect();
    let mut file = File(file.into_iter().map(|(name, shape)| (name, shape.clone(), values(&shape))).collect());
    file.get("pos_embed").2[..dim].fill(position);
    file
}

/// Heads: said, by the config, by the file, by the published shape; else an error that says how to say it.
#[test]
fn the_number_of_heads_is_known_or_asked_for() {
    let load = |file: &[u8], heads: Option<usize>, config: &str| {
        let config = Config::parse(config).unwrap();
        VisionTransformer::from_bytes(
            "test",
            file,
            &Cpu::default(),
            &VitOptions { precision: Precision::F32, heads, config, ..VitOptions::default() },
        )
    };
    let small = shaped(384, 12, 0.5).bytes();
    let found = |file: &[u8], heads, config: &str| load(file, heads, config).unwrap().identity().heads;
    assert_eq!(found(&small, None, "{}"), Some(6));
    assert!(load(&small, None, "{}").unwrap().identity().assumed[0].contains("6 heads"));
    assert_eq!(found(&small, Some(12), r#"{"num_attention_heads": 6}"#), Some(12), "what is said goes first");
    assert_eq!(found(&small, None, r#"{"num_attention_heads": 12}"#), Some(12));
    let named = load(&small, None, r#"{"architecture": "vit_small_patch16_224", "pretrained_cfg": {"tag": "dino"}}"#).unwrap();
    assert_eq!((named.identity().heads, named.identity().assumed.is_empty()), (Some(6), true));
    assert!(load(&small, None, r#"{"hidden_size": 768}"#).unwrap_err().to_string().contains("another network"));

    // MoCo v3's positions are fixed, and the class token's is zero.
    let fixed = shaped(384, 12, 0.0).bytes();
    let error = load(&fixed, None, "{}").unwrap_err().to_string();
    assert!(error.contains("12 in MoCo v3") && error.contains("--heads"), "{error}");
    assert_eq!(found(&fixed, Some(12), "{}"), Some(12));
    for (dim, depth) in [(384, 2), (1280, 2), (320, 1), (64, 12)] {
        let error = load(&shaped(dim, depth, 0.5).bytes(), None, "{}").unwrap_err().to_string();
        assert!(error.contains("--heads") && error.contains("config.json"), "{error}");
    }
    // The file's own metadata, whole or as single values.
    for metadata in [json!({ "num_heads": "4" }), json!({ "config": r#"{"model_args": {"num_heads": 4}}"# })] {
        let bytes = shaped(128, 1, 0.5).bytes();
        let length = u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
        let mut header: Value = serde_json::from_slice(&bytes[8..8 + length]).unwrap();
        header["__metadata__"] = metadata;
        let header = header.to_string();
        let bytes = [&(header.len() as u64).to_le_bytes()[..], header.as_bytes(), &bytes[8 + length..]].concat();
        assert_eq!(found(&bytes, None, "{}"), Some(4));
    }
    // Heads change what the attention gives, so they must change the features behind it.
    let deep = shaped(128, 2, 0.5).bytes();
    let [two, four] = [2, 4].map(|heads| features(&load(&deep, Some(heads), "{}").unwrap(), 32, 32));
    assert_ne!(two, four);
}

#[test]
fn a_config_decides_the_input_the_norms_and_the_family() {
    let bytes = shaped(128, 2, 0.5).bytes();
    let load = |config: &str| {
        let config = Config::parse(config).unwrap();
        VisionTransformer::from_bytes(
            "test",
            &bytes,
            &Cpu::default(),
            &VitOptions { precision: Precision::F32, heads: Some(2), config, ..VitOptions::default() },
        )
        .unwrap()
    };
    let plain = load("{}");
    assert_eq!((plain.family(), plain.input().mean), (Family::Dino, [0.485, 0.456, 0.406]));
    let said = load(r#"{"pretrained_cfg": {"tag": "augreg_in21k", "mean": [0.1, 0.2, 0.3], "std": [1, 1, 2]}}"#);
    assert_eq!((said.family(), said.input().mean, said.input().std), (Family::Supervised, [0.1, 0.2, 0.3], [1.0, 1.0, 2.0]));
    let other = load(r#"{"layer_norm_eps": 0.01}"#);
    assert_eq!(other.identity().epsilon, Some(0.01));
    assert_ne!(features(&plain, 32, 32), features(&other, 32, 32));
}

/// Networks that compute something else are refused by what they have, never read as something they are not.
#[test]
fn networks_of_other_kinds_are_refused() {
    let refused = |change: &dyn Fn(&mut File), words: &str| {
        let mut file = shaped(128, 2, 0.5);
        change(&mut file);
        let error = load(&file.bytes(), "").unwrap_err().to_string();
        assert!(error.contains(words), "{words}: {error}");
    };
    let with = |name: &'static str| move |file: &mut File| file.0.push((name.to_owned(), vec![128], vec![0.5; 128]));
    refused(&with("norm_pre.weight"), "a norm before the first block");
    refused(&with("blocks.0.attn.q_norm.weight"), "normalized queries and keys");
    refused(&with("blocks.1.mlp.w12.weight"), "SwiGLU");
    refused(&with("blocks.1.attn.relative_position_bias_table"), "relative positions");
    refused(&with("blocks.1.gamma_1"), "scales of another kind");
    refused(&with("dist_token"), "a distillation token");
    refused(&with("rope.periods"), "rotary positions");
    refused(&with("something.else"), "unexpected tensors: something.else");
    let lack = |name: &'static str| move |file: &mut File| file.0.retain(|(n, ..)| n != name);
    refused(&lack("cls_token"), "`cls_token` is missing");
    refused(&lack("pos_embed"), "`pos_embed` is missing");
    refused(&lack("blocks.1.attn.qkv.bias"), "`blocks.1.attn.qkv.bias` is missing");
    // Packed SwiGLU: the first layer makes two of what the second takes.
    let packed = |file: &mut File| {
        let tensor = file.get("blocks.0.mlp.fc2.weight");
        (tensor.1, tensor.2) = (vec![128, 4], vec![0.5; 512]);
    };
    refused(&packed, "SwiGLU");
    // A class token, a distillation token and no square of patches.
    let positions = |file: &mut File| {
        let tensor = file.get("pos_embed");
        (tensor.1, tensor.2) = (vec![1, 6, 128], vec![0.5; 768]);
    };
    refused(&positions, "no square grid");
    // DeiT III scales its layers as DINOv2 does.
    let scaled = |file: &mut File| {
        for name in ["blocks.0.ls1.gamma", "blocks.0.ls2.gamma", "blocks.1.ls1.gamma", "blocks.1.ls2.gamma"] {
            file.0.push((name.into(), vec![128], vec![0.5; 128]));
        }
    };
    refused(&scaled, "--family");
    let alien = File(vec![("visual.conv1.weight".into(), vec![2], vec![0.5; 2])]);
    let error = load(&alien.bytes(), "").unwrap_err().to_string();
    assert!(error.contains("patch embedding") && error.contains("visual.conv1.weight"), "{error}");
}
