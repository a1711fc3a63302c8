//! `deepcut models` and networks by name, against a server on this machine that answers as the hub does; `deepcut features`; vision
//! transformers from files.

use super::{assert_status, deepcut, folder, json_lines, save, stderr, tree};
use sha2::{Digest, Sha256};
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Command, Output};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock};

const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";
const REPOSITORY: &str = "/timm/vit_small_patch16_224.dino/resolve/main/model.safetensors";

/// How the server strays from the hub's ways.
#[derive(Clone, Copy, PartialEq)]
enum Fault {
    None,
    /// The first transfer of the file ends half-way.
    Cut,
    /// There is no such file.
    Absent,
    /// The stated checksum is another file's.
    Checksum,
}

/// A server that redirects to its store as the hub does, and what it was asked: the path, the range and the authorization.
struct Server {
    endpoint: String,
    asked: Arc<Mutex<Vec<[String; 3]>>>,
}

impl Server {
    fn start(body: &'static [u8], fault: Fault) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        let asked: Arc<Mutex<Vec<[String; 3]>>> = Arc::default();
        let (store, log) = (format!("{endpoint}/store"), asked.clone());
        let cut = Arc::new(AtomicBool::new(fault == Fault::Cut));
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let (stream, store, log, cut) = (stream.unwrap(), store.clone(), log.clone(), cut.clone());
                // A client keeps several connections open.
                std::thread::spawn(move || {
                    while let Some(request) = read_request(&stream) {
                        log.lock().unwrap().push(request.clone());
                        if !answer(&stream, body, fault, &cut, &store, &request) {
                            break;
                        }
                    }
                });
            }
        });
        Self { endpoint, asked }
    }

    fn asked(&self) -> Vec<[String; 3]> {
        self.asked.lock().unwrap().clone()
    }
}

fn read_request(stream: &TcpStream) -> Option<[String; 3]> {
    let mut lines = BufReader::new(stream).lines();
    let first = lines.next()?.ok()?;
    let mut request = [first.split(' ').nth(1)?.to_owned(), String::new(), String::new()];
    for line in lines {
        let line = line.ok()?;
        let Some((name, value)) = line.split_once(": ") else { break };
        match name.to_ascii_lowercase().as_str() {
            "range" => request[1] = value.into(),
            "authorization" => request[2] = value.into(),
            _ => {}
        }
    }
    Some(request)
}

/// Answers one request; false if the connection ends with it.
fn answer(mut stream: &TcpStream, body: &[u8], fault: Fault, cut: &AtomicBool, store: &str, request: &[String; 3]) -> bool {
    let [path, range, _] = request;
    if fault == Fault::Absent || (path != REPOSITORY && path != "/store") {
        return stream.write_all(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n").is_ok();
    }
    if path == REPOSITORY {
        let checksum = if fault == Fault::Checksum { "0".repeat(64) } else { sha256(body) };
        let size = body.len();
        let head = format!(
            "HTTP/1.1 302 Found\r\nLocation: {store}\r\nX-Repo-Commit: {COMMIT}\r\nX-Linked-Etag: \"{checksum}\"\r\nX-Linked-Size: {size}\r\nContent-Length: 0\r\n\r\n"
        );
        return stream.write_all(head.as_bytes()).is_ok();
    }
    let (first, last) = range.strip_prefix("bytes=").unwrap().split_once('-').unwrap();
    let first: usize = first.parse().unwrap();
    let last = last.parse().unwrap_or(body.len() - 1);
    let part = &body[first..=last];
    let head = format!(
        "HTTP/1.1 206 Partial Content\r\nContent-Length: {}\r\nContent-Range: bytes {first}-{last}/{}\r\n\r\n",
        part.len(),
        body.len()
    );
    let whole = part.len() == 1 || !cut.swap(false, Ordering::Relaxed);
    let part = if whole { part } else { &part[..part.len() / 2] };
    stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(part)).is_ok() && whole
}

fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A safetensors file of halves drawn from a fixed sequence in ±0.05.
fn random_file(tensors: &[(String, Vec<usize>)]) -> Vec<u8> {
    let (mut header, mut data, mut state) = (serde_json::Map::new(), Vec::new(), 1u32);
    for (name, shape) in tensors {
        let start = data.len();
        for _ in 0..shape.iter().product() {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            // Sign, then exponents of 2⁻⁷ to 2⁻⁵, then any mantissa.
            let bits = (state >> 16) as u16 & 0x83ff | (8 + (state >> 13) as u16 % 3) << 10;
            data.extend(bits.to_le_bytes());
        }
        let entry = serde_json::json!({ "dtype": "F16", "shape": shape, "data_offsets": [start, data.len()] });
        header.insert(name.clone(), entry);
    }
    let header = serde_json::Value::Object(header).to_string();
    [&(header.len() as u64).to_le_bytes()[..], header.as_bytes(), &data].concat()
}

fn transformer_file(dim: usize, depth: usize, patch: usize, side: usize) -> Vec<u8> {
    let mut tensors = vec![
        ("cls_token".to_owned(), vec![1, 1, dim]),
        ("pos_embed".to_owned(), vec![1, side * side + 1, dim]),
        ("patch_embed.proj.weight".to_owned(), vec![dim, 3, patch, patch]),
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
            ("mlp.fc1.weight", vec![4 * dim, dim]),
            ("mlp.fc1.bias", vec![4 * dim]),
            ("mlp.fc2.weight", vec![dim, 4 * dim]),
            ("mlp.fc2.bias", vec![dim]),
        ] {
            tensors.push((format!("blocks.{i}.{name}"), shape));
        }
    }
    random_file(&tensors)
}

/// What the hub would have under `dino-vits16`: its shapes, other values.
fn dino_vits16() -> &'static [u8] {
    static FILE: OnceLock<Vec<u8>> = OnceLock::new();
    FILE.get_or_init(|| transformer_file(384, 12, 16, 14))
}

/// The program in an environment of its own, with its cache in `dir/home`.
fn in_cache(dir: &Path, server: &Server) -> Command {
    let mut command = deepcut(dir);
    command.env_clear().env("HF_HOME", dir.join("home")).env("HF_ENDPOINT", &server.endpoint).env("HF_TOKEN", "secret");
    command
}

fn models(dir: &Path, server: &Server, arguments: &[&str]) -> Output {
    in_cache(dir, server).arg("models").args(arguments).output().unwrap()
}

#[test]
fn a_network_is_downloaded_verified_and_used() {
    let dir = folder();
    save(&dir.path().join("a.png"));
    let server = Server::start(dino_vits16(), Fault::None);
    assert_status(&models(dir.path(), &server, &["path", "dino-vits16"]), 2);
    assert!(server.asked().is_empty(), "`path` asks nobody");

    // By the first command that needs it; then it is there without a network.
    let segment = ["segment", "a.png", "--backbone", "dino-vits16", "-r", "64", "--json", "--format", "mask", "-o", "out"];
    assert_status(&in_cache(dir.path(), &server).args(segment).output().unwrap(), 0);
    let asked = server.asked();
    assert!(asked.iter().all(|[_, range, token]| !range.is_empty() && token == "Bearer secret"), "{asked:?}");
    let offline = in_cache(dir.path(), &server).args(segment).args(["--overwrite", "--offline"]).output().unwrap();
    assert_status(&offline, 0);
    let report = &json_lines(&offline)[0];
    assert_eq!(report["backbone"]["name"], "dino-vits16");
    assert_eq!(report["backbone"]["features"], "key@11");
    assert_eq!(report["backbone"]["sha256"], sha256(dino_vits16()));
    assert_eq!(report["options"]["resolution"], 64);

    let path = models(dir.path(), &server, &["path", "dino-vits16"]);
    assert_status(&path, 0);
    let path = String::from_utf8(path.stdout).unwrap();
    assert!(std::fs::read(path.trim()).unwrap() == dino_vits16());
    let verified = models(dir.path(), &server, &["verify"]);
    assert_status(&verified, 0);
    assert!(String::from_utf8(verified.stdout).unwrap().contains("dino-vits16: whole"));
    let listed = models(dir.path(), &server, &["list", "--json"]);
    let here: Vec<_> = json_lines(&listed).into_iter().filter(|entry| entry["here"] == true).collect();
    assert_eq!(here.iter().map(|entry| entry["name"].as_str().unwrap()).collect::<Vec<_>>(), ["embedded", "dino-vits16"]);
    assert_eq!(server.asked().len(), asked.len(), "what is here is not asked for again");

    // A cache that went bad is noticed, and mended by downloading again.
    let blob = dir.path().join(path.trim()).canonicalize().unwrap();
    let mut bytes = dino_vits16().to_vec();
    *bytes.last_mut().unwrap() ^= 1;
    std::fs::write(&blob, &bytes).unwrap();
    let damaged = models(dir.path(), &server, &["verify", "dino-vits16"]);
    assert_status(&damaged, 1);
    assert!(stderr(&damaged).contains(&sha256(&bytes)) && stderr(&damaged).contains(&sha256(dino_vits16())));
    assert_status(&models(dir.path(), &server, &["download", "dino-vits16", "--no-progress"]), 0);
    assert_status(&models(dir.path(), &server, &["verify", "dino-vits16"]), 0);
}

#[test]
fn a_cut_connection_is_taken_up_where_it_broke() {
    let dir = folder();
    let server = Server::start(dino_vits16(), Fault::Cut);
    assert_status(&models(dir.path(), &server, &["download", "dino-vits16"]), 0);
    let ranges: Vec<String> =
        server.asked().into_iter().filter(|[path, ..]| path == "/store").map(|[_, range, _]| range).collect();
    let half = dino_vits16().len() / 2;
    assert_eq!(ranges, ["bytes=0-0".to_owned(), "bytes=0-".to_owned(), format!("bytes={half}-")]);
    assert_status(&models(dir.path(), &server, &["verify", "dino-vits16"]), 0);
}

#[test]
fn a_download_that_fails_leaves_nothing_and_says_why() {
    for (fault, words) in [
        (Fault::Absent, &["dino-vits16", "404", "HF_ENDPOINT", "--backbone PATH"][..]),
        (Fault::Checksum, &["dino-vits16", "0000000000000000", "was removed"]),
    ] {
        let dir = folder();
        let server = Server::start(b"not a network", fault);
        let output = models(dir.path(), &server, &["download", "dino-vits16", "no-such-network"]);
        assert_status(&output, 1);
        for word in words.iter().chain(&["no-such-network", "deepcut models list"]) {
            assert!(stderr(&output).contains(word), "{word}: {}", stderr(&output));
        }
        if fault == Fault::Checksum {
            assert!(stderr(&output).contains(&sha256(b"not a network")));
        }
        let left = tree(dir.path());
        assert!(left.iter().all(|file| file.ends_with(".lock") || file.contains("/refs/")), "{left:?}");
        assert_status(&models(dir.path(), &server, &["path", "dino-vits16"]), 2);
    }
}

#[test]
fn offline_asks_nobody() {
    let dir = folder();
    save(&dir.path().join("a.png"));
    let server = Server::start(dino_vits16(), Fault::None);
    let segment = ["segment", "a.png", "--backbone", "dino-vits16"];
    let by_flag = in_cache(dir.path(), &server).args(segment).arg("--offline").output().unwrap();
    let by_variable = in_cache(dir.path(), &server).args(segment).env("HF_HUB_OFFLINE", "1").output().unwrap();
    let download =
        in_cache(dir.path(), &server).args(["models", "download", "dino-vits16"]).env("HF_HUB_OFFLINE", "1").output().unwrap();
    for (output, status) in [(by_flag, 2), (by_variable, 2), (download, 1)] {
        assert_status(&output, status);
        assert!(stderr(&output).contains("deepcut models download dino-vits16"), "{}", stderr(&output));
    }
    assert!(server.asked().is_empty());
    assert_eq!(tree(dir.path()), ["a.png"]);
}

/// A whole network under another's name is refused, not used.
#[test]
fn a_network_of_other_shapes_is_refused() {
    let dir = folder();
    static SMALL: OnceLock<Vec<u8>> = OnceLock::new();
    let server = Server::start(SMALL.get_or_init(|| transformer_file(64, 1, 16, 4)), Fault::None);
    let output = models(dir.path(), &server, &["download", "dino-vits16"]);
    assert_status(&output, 1);
    assert!(stderr(&output).contains("[16, 64, 1, 0]; dino-vits16 has [16, 384, 12, 0]"), "{}", stderr(&output));
}

#[test]
fn features_of_a_file_are_written_with_what_made_them() {
    let dir = folder();
    save(&dir.path().join("a.png"));
    std::fs::create_dir(dir.path().join("b")).unwrap();
    save(&dir.path().join("b/c.png"));
    std::fs::write(dir.path().join("vit.safetensors"), transformer_file(128, 3, 8, 4)).unwrap();
    let features = |arguments: &[&str]| deepcut(dir.path()).arg("features").args(arguments).output().unwrap();
    let vit = ["--backbone", "vit.safetensors", "-r", "64"];

    assert_status(&features(&[&["a.png", "b", "-o", "out"], &vit[..]].concat()), 0);
    assert_eq!(tree(&dir.path().join("out")), ["a.features.safetensors", "c.features.safetensors"]);
    let shape_and_metadata = |file: &str| {
        let bytes = std::fs::read(dir.path().join(file)).unwrap();
        let (length, rest) = bytes.split_at(8);
        let header: serde_json::Value =
            serde_json::from_slice(&rest[..u64::from_le_bytes(length.try_into().unwrap()) as usize]).unwrap();
        (header["features"]["shape"].clone(), header["__metadata__"].clone())
    };
    // A picture of 48 × 64 at about 64² pixels, in patches of 8.
    let (shape, metadata) = shape_and_metadata("out/a.features.safetensors");
    assert_eq!(shape, serde_json::json!([7, 9, 128]));
    assert_eq!(metadata["grid"], "[7,9]");
    assert!(metadata["backbone"].as_str().unwrap().contains(r#""features":"key@2""#), "{metadata}");

    let one = |arguments: &[&str]| {
        let output = features(&[&["a.png", "-o", "one.safetensors", "--overwrite"], &vit[..], arguments].concat());
        assert_status(&output, 0);
        shape_and_metadata("one.safetensors")
    };
    assert_eq!(one(&["--stride", "4", "--profile", "paper"]).0, serde_json::json!([15, 15, 128]));
    assert_eq!(one(&["--facet", "value@0+token@1+key"]).0, serde_json::json!([7, 9, 384]));
    assert_eq!(one(&["--log-bin"]).0, serde_json::json!([7, 9, 17 * 128]));
    let (_, metadata) = one(&["--facet", "norm-token", "--layer", "1", "--family", "dinov2"]);
    assert!(metadata["backbone"].as_str().unwrap().contains("norm-token@1"), "{metadata}");

    let piped = features(&["a.png", "-o", "-"]);
    assert_status(&piped, 0);
    assert!(piped.stdout.len() > 128 * 4 && stderr(&piped).is_empty());

    for (arguments, message) in [
        (&["a.png", "--stride", "3"][..], "stride 3 does not divide the patch size, 8"),
        (&["a.png", "--facet", "key@3"], "key@3: the network's blocks are 0 to 2"),
        (&["a.png", "--layer", "9"], "blocks are 0 to 2"),
        (&["a.png", "--facet", "kee"], "`kee` is no facet"),
        (&["a.png", "--family", "dinov4"], "expected dino, dinov2 or supervised"),
        (&["a.png", "b", "-o", "x.safetensors"], "not 1 format of 2 pictures"),
        (&["a.png", "-o", "x.png"], "does not end as its format does"),
    ] {
        let output = features(&[arguments, &vit[..]].concat());
        assert_status(&output, 2);
        assert!(stderr(&output).contains(message), "{message}: {}", stderr(&output));
    }
    let embedded = features(&["a.png", "--facet", "key"]);
    assert_status(&embedded, 2);
    assert!(stderr(&embedded).contains("are for vision transformers"), "{}", stderr(&embedded));
}
