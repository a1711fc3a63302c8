//! Recognizes files that are not safetensors by their first bytes, and says what to do about each.

use std::borrow::Cow;

/// Converts a PyTorch checkpoint: flattens nested dictionaries to dotted names, and runs no code from the file.
const TORCH: &str = r#"python3 -c "import sys, argparse, torch; from safetensors.torch import save_file; torch.serialization.add_safe_globals([argparse.Namespace]); flat = lambda d, p='': {n: t for k, v in d.items() for n, t in (flat(v, f'{p}{k}.') if isinstance(v, dict) else {f'{p}{k}': v}).items()}; found = flat(torch.load(sys.argv[1], map_location='cpu', weights_only=True)); save_file({n: t.detach().clone().contiguous() for n, t in found.items() if torch.is_tensor(t)}, sys.argv[2])""#;
/// Converts a TorchScript program.
const TORCH_SCRIPT: &str = r#"python3 -c "import sys, torch; from safetensors.torch import save_file; save_file({n: t.detach().clone().contiguous() for n, t in torch.jit.load(sys.argv[1], map_location='cpu').state_dict().items()}, sys.argv[2])""#;
/// Converts a network of transformers, before version 5, from another framework's file.
const TRANSFORMERS: &str = "python3 -c \"import sys, transformers; transformers.AutoModel.from_pretrained(sys.argv[1], FROM=True).save_pretrained(sys.argv[2])\"";

/// What the bytes are instead of a safetensors file, and what to do. None if they look like one, or like no known format. `name` is the
/// file's name.
#[must_use]
pub(crate) fn recognize(name: &str, bytes: &[u8]) -> Option<String> {
    // The length of the header, then the header.
    if bytes.get(8) == Some(&b'{') && !bytes.starts_with(b"{") && !bytes.starts_with(b"<") {
        return None;
    }
    let lower = name.to_ascii_lowercase();
    // Escaped for a shell's single quotes.
    let name = &*name.replace('\'', "'\\''");
    let stem = name.rsplit_once('.').map_or(name, |(stem, _)| stem);
    let convert = |what: &str, command: &str| {
        format!("this is {what}, not a safetensors file; convert it with: {command} '{name}' '{stem}.safetensors'")
    };
    let folder = |what: &str, flag: &str| {
        let command = TRANSFORMERS.replace("FROM", flag);
        format!(
            "this is {what}, not a safetensors file; with transformers 4, convert the folder it lies in, with its config.json, by: {command} FOLDER CONVERTED"
        )
    };
    let contains = |what: &[u8]| bytes[..bytes.len().min(1 << 16)].windows(what.len()).any(|window| window == what);
    let ends = |extensions: &[&str]| extensions.iter().any(|extension| lower.ends_with(extension));
    if bytes.starts_with(b"PK\x03\x04") {
        return Some(if ends(&[".npz"]) || contains(b".npy") {
            "this is a NumPy archive, not a safetensors file; save its arrays with safetensors.numpy.save_file under the names of timm's network".into()
        } else if ends(&[".keras"]) || contains(b"model.weights.h5") {
            folder("a Keras network", "from_tf")
        } else if contains(b"/code/") || contains(b"constants.pkl") {
            convert("a TorchScript program", TORCH_SCRIPT)
        } else {
            convert("a PyTorch checkpoint", TORCH)
        });
    }
    // Pickles of protocols 2 to 5, which PyTorch wrote before version 1.6, or its still older tar archives.
    if matches!(bytes, [0x80, 2..=5, ..]) || bytes.get(257..262) == Some(b"ustar") {
        return Some(convert("a PyTorch checkpoint of the old form", TORCH));
    }
    if bytes.starts_with(b"\x89HDF\r\n\x1a\n") {
        return Some(folder("an HDF5 file, as Keras writes", "from_tf"));
    }
    if bytes.starts_with(b"GGUF") || bytes.starts_with(b"ggml") || bytes.starts_with(b"lmgg") {
        return Some(
            "this is a GGUF file, whose tensors are rounded for other programs; take the network's model.safetensors instead"
                .into(),
        );
    }
    if bytes.get(4..8) == Some(b"TFL3") {
        return Some(
            "this is a TensorFlow Lite program, not a network's weights; take the network's model.safetensors instead".into(),
        );
    }
    if bytes.starts_with(&[0x1f, 0x8b])
        || bytes.starts_with(b"\x28\xb5\x2f\xfd")
        || bytes.starts_with(b"\xfd7zXZ")
        || bytes.starts_with(b"BZh")
    {
        return Some("this is a compressed file; unpack it first".into());
    }
    if bytes.starts_with(b"\x93NUMPY") {
        return Some("this is a NumPy array, not a network's file".into());
    }
    // Protobuf: field 1, the format's version, then a text field.
    if ends(&[".onnx"]) || matches!(bytes, [0x08, 1..=32, 0x12 | 0x1a | 0x22 | 0x3a, ..]) {
        return Some(
            "this is an ONNX or TensorFlow graph, whose weights have lost their names; convert the checkpoint that it was exported from, for PyTorch with: "
                .to_owned()
                + TORCH
                + " CHECKPOINT.pth NETWORK.safetensors",
        );
    }
    if ends(&[".msgpack"]) || ends(&[".flax"]) {
        return Some(folder("a Flax network", "from_flax"));
    }
    text(bytes).map(|text| about_text(name, &text))
}

/// The first bytes as text. None if they are not, as in a file of weights.
fn text(bytes: &[u8]) -> Option<Cow<'_, str>> {
    let first = &bytes[..bytes.len().min(512)];
    let is_text = first.len() > 3 && first.iter().all(|b| *b >= 0x20 && *b != 0x7f || b"\t\r\n".contains(b));
    is_text.then(|| String::from_utf8_lossy(first))
}

/// What a text is instead of weights, and what to do.
fn about_text(name: &str, text: &str) -> String {
    let begin = text.trim_start_matches('\u{feff}').trim_start();
    let lower = begin.to_ascii_lowercase();
    if begin.starts_with("version https://git-lfs") || begin.starts_with("version http://git-media") {
        return format!("this is a pointer of Git LFS, not the file itself; fetch it with: git lfs pull --include '{name}'");
    }
    if lower.starts_with("<!doctype html") || lower.starts_with("<html") || lower.starts_with("<?xml") || lower.starts_with("<") {
        return "this is a web page, not a network: the download went wrong; fetch it again from the link that ends in /resolve/main/model.safetensors".into();
    }
    if begin.contains("\"weight_map\"") || name.ends_with(".index.json") {
        return joined();
    }
    let line: String = begin.lines().next().unwrap_or_default().chars().take(80).collect();
    format!("this is a text, not a network; it begins `{line}`: fetch the network again")
}

/// How to join a network in several files.
#[must_use]
pub fn joined() -> String {
    let command = r#"python3 -c "import sys; from safetensors.torch import load_file, save_file; save_file({n: t for f in sys.argv[2:] for n, t in load_file(f).items()}, sys.argv[1])" joined.safetensors model-*.safetensors"#;
    format!("this network is in several files; join them with: {command}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn containers_are_known_by_their_first_bytes() {
        let zip = |inside: &str| [b"PK\x03\x04\x00\x00", inside.as_bytes()].concat();
        let tar = [&[0u8; 257][..], b"ustar\x00"].concat();
        for (name, bytes, words) in [
            ("a.pth", &zip("archive/data.pkl")[..], &["PyTorch", "weights_only=True", "'a.pth' 'a.safetensors'"][..]),
            ("a.safetensors", &zip("archive/data.pkl"), &["PyTorch"]),
            ("a.pt", &zip("a/code/__torch__.py"), &["TorchScript", "torch.jit.load"]),
            ("a.npz", &zip("x.npy"), &["NumPy"]),
            ("a.keras", &zip("config.json"), &["Keras"]),
            ("b.ckpt", b"\x80\x02}q\x00.", &["old form", "'b.ckpt' 'b.safetensors'"]),
            ("b.bin", &tar, &["old form"]),
            ("c.h5", b"\x89HDF\r\n\x1a\n....", &["HDF5", "from_tf=True"]),
            ("d.gguf", b"GGUF\x03\x00\x00\x00", &["GGUF"]),
            ("e.onnx", b"\x08\x07\x12\x07pytorch\x1a", &["ONNX", "lost their names"]),
            ("f.msgpack", b"\x83\xa6params", &["Flax", "from_flax=True"]),
            ("g.tflite", b"\x1c\x00\x00\x00TFL3", &["TensorFlow Lite"]),
            ("h.gz", b"\x1f\x8b\x08\x00", &["unpack"]),
            (
                "i.safetensors",
                b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n",
                &["Git LFS", "git lfs pull"],
            ),
            ("j.safetensors", b"\n<!DOCTYPE html><html>", &["web page"]),
            ("k.safetensors", b"Entry not found", &["begins `Entry not found`"]),
            ("l.safetensors", br#"{"error":"Repository not found"}"#, &["is a text"]),
            ("model.safetensors.index.json", br#"{"metadata": {}, "weight_map": {}}"#, &["several files", "load_file"]),
        ] {
            let found = recognize(name, bytes).unwrap_or_default();
            assert!(words.iter().all(|word| found.contains(word)), "{name}: {found}");
        }
    }

    #[test]
    fn safetensors_and_what_is_like_nothing_known_are_left_alone() {
        let header = br#"{"x":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}      "#;
        for length in [8u64, 0x1208, 0x0403_4b50, header.len() as u64] {
            assert_eq!(recognize("a.safetensors", &[&length.to_le_bytes()[..], header].concat()), None);
        }
        assert_eq!(recognize("a.safetensors", &[]), None);
        assert_eq!(recognize("a.bin", &[0, 1, 2, 3]), None);
    }
}
