//! `deepcut models` and networks by name, against a server on this machine that answers as the hub does; `deepcut features`; vision
//! transformers from files.

use super::{assert_status, deepcut, folder, json_lines, save, stderr, tree};
use sha2::{Digest, Sha256};
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Command, Output};
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
    /// This checksum is stated, whatever it is, or this commit, or this size.
    Etag(&'static str),
    Commit(&'static str),
    Size(&'static str),
    /// The first answer is that it is busy, the second that it was asked too often.
    Busy,
    /// Terms must be accepted first.
    Gated,
    /// A page that asks for a password.
    Page,
    /// The first answer never comes; the first transfer stops half-way, without an end.
    Stall,
    /// The file lies on another host.
    OtherHost,
    /// The file lies at an address of another kind.
    Downgrade,
    /// The transfer takes its time.
    Slow,
    /// Ranges are not known.
    NoRanges,
}

/// A server that redirects to its store as the hub does, and what it was asked: the path, the range and the authorization.
struct Server {
    endpoint: String,
    asked: Arc<Mutex<Vec<[String; 3]>>>,
}

impl Server {
    fn start(body: &'static [u8], fault: Fault) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let endpoint = format!("http://{address}");
        let asked: Arc<Mutex<Vec<[String; 3]>>> = Arc::default();
        let store = match fault {
            Fault::OtherHost => format!("http://localhost:{}/store", address.port()),
            Fault::Downgrade => "file:///etc/hostname".into(),
            _ => format!("{endpoint}/store"),
        };
        let log = asked.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let (stream, store, log) = (stream.unwrap(), store.clone(), log.clone());
                // A client keeps several connections open.
                std::thread::spawn(move || {
                    while let Some(request) = read_request(&stream) {
                        let before = {
                            let mut log = log.lock().unwrap();
                            log.push(request.clone());
                            log.iter().filter(|[path, ..]| *path == request[0]).count() - 1
                        };
                        if !answer(&stream, body, fault, before, &store, &request) {
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

    /// The ranges that the store was asked for.
    fn ranges(&self) -> Vec<String> {
        self.asked().into_iter().filter(|[path, ..]| path == "/store").map(|[_, range, _]| range).collect()
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

/// Answers one request, of which as many came `before`; false if the connection ends with it.
fn answer(mut stream: &TcpStream, body: &[u8], fault: Fault, before: usize, store: &str, request: &[String; 3]) -> bool {
    let [path, range, _] = request;
    let pause = |seconds: f32| std::thread::sleep(std::time::Duration::from_secs_f32(seconds));
    let mut say = |head: &str, text: &str| {
        stream.write_all(format!("HTTP/1.1 {head}\r\nContent-Length: {}\r\n\r\n{text}", text.len()).as_bytes()).is_ok()
    };
    match fault {
        Fault::Busy if before == 0 => return say("503 Service Unavailable", "busy"),
        Fault::Busy if before == 1 => return say("429 Too Many Requests\r\nRetry-After: 1", "slow down"),
        Fault::Gated => {
            return say("401 Unauthorized\r\nX-Error-Code: GatedRepo\r\nX-Error-Message: Access is restricted", "");
        }
        Fault::Page => return say("200 OK\r\nContent-Type: text/html", "<html>Sign in to the hotel's network</html>"),
        Fault::Absent => return say("404 Not Found", ""),
        _ if path != REPOSITORY && path != "/store" => return say("404 Not Found", ""),
        Fault::Stall if before == 0 && path == REPOSITORY => {
            pause(3.0);
            return false;
        }
        _ => {}
    }
    if path == REPOSITORY {
        let sum = sha256(body);
        let (zeros, length) = ("0".repeat(64), body.len().to_string());
        let etag = match fault {
            Fault::Checksum => &zeros,
            Fault::Etag(etag) => etag,
            _ => &sum,
        };
        let commit = if let Fault::Commit(commit) = fault { commit } else { COMMIT };
        let size = if let Fault::Size(size) = fault { size } else { &length };
        return say(
            &format!(
                "302 Found\r\nLocation: {store}\r\nX-Repo-Commit: {commit}\r\nX-Linked-Etag: \"{etag}\"\r\nX-Linked-Size: {size}"
            ),
            "",
        );
    }
    let (first, last) = range.strip_prefix("bytes=").unwrap().split_once('-').unwrap();
    let first: usize = if fault == Fault::NoRanges { 0 } else { first.parse().unwrap() };
    let last = last.parse().unwrap_or(body.len() - 1);
    let part = &body[first..=last];
    let status = if fault == Fault::NoRanges { "200 OK" } else { "206 Partial Content" };
    let head = format!(
        "HTTP/1.1 {status}\r\nContent-Length: {}\r\nContent-Range: bytes {first}-{last}/{}\r\n\r\n",
        part.len(),
        body.len()
    );
    let whole = before > 0 || ![Fault::Cut, Fault::Stall].contains(&fault);
    let part = if whole { part } else { &part[..part.len() / 2] };
    if fault == Fault::Slow {
        pause(2.0);
    }
    let sent = stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(part)).is_ok();
    if fault == Fault::Stall && !whole {
        pause(3.0);
    }
    sent && whole
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

/// A vision transformer in timm's naming with a table of `side × side` positions, and what else a file may hold.
pub(super) fn transformer_file(dim: usize, depth: usize, patch: usize, side: usize, more: &[(String, Vec<usize>)]) -> Vec<u8> {
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
    tensors.extend_from_slice(more);
    random_file(&tensors)
}

/// What the hub would have under `dino-vits16`: its shapes, other values.
fn dino_vits16() -> &'static [u8] {
    static FILE: OnceLock<Vec<u8>> = OnceLock::new();
    FILE.get_or_init(|| transformer_file(384, 12, 16, 14, &[]))
}

/// The program in an environment of its own, with its cache in `dir/home`.
fn in_cache(dir: &Path, server: &Server) -> Command {
    let mut command = deepcut(dir);
    command.env_clear().env("HF_HOME", dir.join("home")).env("HF_ENDPOINT", &server.endpoint).env("HF_TOKEN", "secret");
    // Where a test waits for these it should not wait long.
    command.env("HF_HUB_ETAG_TIMEOUT", "1").env("HF_HUB_DOWNLOAD_TIMEOUT", "1");
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
    assert_eq!(report["options"]["view"]["resolution"], 64);

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

/// Where the cache keeps the file of the tests.
fn blob(dir: &Path) -> std::path::PathBuf {
    dir.join("home/hub/models--timm--vit_small_patch16_224.dino/blobs").join(sha256(dino_vits16()))
}

#[test]
fn a_hub_that_strays_is_asked_again() {
    let half = dino_vits16().len() / 2;
    let resumed = vec!["bytes=0-".to_owned(), format!("bytes={half}-")];
    for (fault, ranges, words) in [
        (Fault::Cut, resumed.clone(), &["broke off after", "trying again in 1 s (1 of 5)"][..]),
        (Fault::Stall, resumed, &["does not answer", "broke off after"]),
        (Fault::Busy, vec!["bytes=0-".into(); 3], &["503", "429"]),
        (Fault::NoRanges, vec!["bytes=0-".into()], &[]),
    ] {
        let dir = folder();
        let server = Server::start(dino_vits16(), fault);
        let output = models(dir.path(), &server, &["download", "dino-vits16"]);
        assert_status(&output, 0);
        assert_eq!(server.ranges(), ranges, "{}", stderr(&output));
        assert!(words.iter().all(|word| stderr(&output).contains(word)), "{words:?}: {}", stderr(&output));
        assert_status(&models(dir.path(), &server, &["verify", "dino-vits16"]), 0);
    }
}

#[test]
fn a_download_that_fails_leaves_nothing_and_says_why() {
    for (fault, words) in [
        (Fault::Absent, &["404", "HF_ENDPOINT", "--backbone PATH"][..]),
        (Fault::Checksum, &["0000000000000000", "was removed"]),
        (Fault::None, &["not the network that it should be", "was removed"]),
        (Fault::Gated, &["401", "\"Access is restricted\"", "HF_TOKEN"]),
        (Fault::Page, &["not as a hub does", "X-Repo-Commit"]),
        (Fault::Downgrade, &["redirects"]),
        (Fault::Size("300000000000"), &["300000000000 bytes"]),
    ] {
        let dir = folder();
        let server = Server::start(b"not a network", fault);
        let output = models(dir.path(), &server, &["download", "dino-vits16", "no-such-network"]);
        assert_status(&output, 1);
        for word in words.iter().chain(&["dino-vits16", "no-such-network", "deepcut models list"]) {
            assert!(stderr(&output).contains(word), "{word}: {}", stderr(&output));
        }
        if fault == Fault::Checksum {
            assert!(stderr(&output).contains(&sha256(b"not a network")));
        }
        assert!(tree(dir.path()).iter().all(|file| file.ends_with(".lock")), "{:?}", tree(dir.path()));
        assert_status(&models(dir.path(), &server, &["path", "dino-vits16"]), 2);
    }
}

/// What a server says becomes a path only if it is a checksum.
#[test]
fn a_hostile_mirror_writes_no_file() {
    const EVIL: &str = "../../../../../evil";
    for fault in [
        Fault::Etag(EVIL),
        Fault::Etag("/tmp/evil"),
        Fault::Etag("5f3a-1234"),
        Fault::Etag(""),
        Fault::Etag("0123456789abcdef0123456789abcdef0123456/"),
        Fault::Commit(EVIL),
        Fault::Commit("main"),
        Fault::Commit(".."),
    ] {
        let dir = folder();
        let server = Server::start(dino_vits16(), fault);
        let output = models(dir.path(), &server, &["download", "dino-vits16"]);
        assert_status(&output, 1);
        assert!(stderr(&output).contains("hexadecimal"), "{}", stderr(&output));
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0, "not even a folder");
        assert!(server.ranges().is_empty());
    }
}

#[test]
fn the_token_is_not_sent_to_another_host() {
    let dir = folder();
    let server = Server::start(dino_vits16(), Fault::OtherHost);
    assert_status(&models(dir.path(), &server, &["download", "dino-vits16"]), 0);
    for [path, _, token] in server.asked() {
        assert_eq!(token, if path == "/store" { "" } else { "Bearer secret" });
    }
}

/// Every way in which an earlier download can have broken off.
#[test]
fn what_broke_off_heals() {
    let dir = folder();
    let server = Server::start(dino_vits16(), Fault::None);
    let at = dir.path();
    let partial = blob(at).with_extension("incomplete");
    let lock = at.join("home/hub/.locks/models--timm--vit_small_patch16_224.dino");
    let snapshot = at.join("home/hub/models--timm--vit_small_patch16_224.dino/snapshots").join(COMMIT);
    let whole = dino_vits16();
    let damaged = [&[7; 1000][..], &whole[1000..whole.len() / 2]].concat();
    type Break<'a> = (&'a str, Box<dyn Fn() + 'a>, &'a [&'a str]);
    let begin = format!("bytes={}-", whole.len() / 2);
    let breaks: [Break; 8] = [
        ("half", Box::new(|| std::fs::write(&partial, &whole[..whole.len() / 2]).unwrap()), &[&begin]),
        ("damaged half", Box::new(|| std::fs::write(&partial, &damaged).unwrap()), &[&begin, "bytes=0-"]),
        ("too much", Box::new(|| std::fs::write(&partial, [whole, b"more"].concat()).unwrap()), &["bytes=0-"]),
        ("all but the name", Box::new(|| std::fs::write(&partial, whole).unwrap()), &[]),
        ("blob cut short", Box::new(|| std::fs::write(blob(at), &whole[..5000]).unwrap()), &["bytes=0-"]),
        ("dangling link", Box::new(|| std::fs::remove_file(blob(at)).unwrap_or_default()), &["bytes=0-"]),
        ("no link", Box::new(|| std::fs::write(blob(at), whole).unwrap()), &[]),
        ("a dead process's lock", Box::new(|| std::fs::write(lock.join("x.lock"), "1").unwrap()), &["bytes=0-"]),
    ];
    assert_status(&models(at, &server, &["download", "dino-vits16"]), 0);
    for (what, make, ranges) in breaks {
        if what != "dangling link" {
            std::fs::remove_file(snapshot.join("model.safetensors")).unwrap();
        }
        std::fs::remove_file(blob(at)).unwrap();
        make();
        let before = server.ranges().len();
        let output = models(at, &server, &["download", "dino-vits16"]);
        assert_status(&output, 0);
        assert_eq!(server.ranges()[before..], *ranges, "{what}: {}", stderr(&output));
        assert!(std::fs::read(snapshot.join("model.safetensors")).unwrap() == whole && !partial.exists(), "{what}");
    }
    // The command that needs a network mends it, too, but not for a wrong option; without the hub it says what to do.
    save(&at.join("a.png"));
    std::fs::write(blob(at), &whole[..whole.len() - 1]).unwrap();
    let segment = ["segment", "a.png", "--backbone", "dino-vits16", "-r", "64", "--overwrite"];
    let offline = in_cache(at, &server).args(segment).arg("--offline").output().unwrap();
    assert_status(&offline, 2);
    assert!(stderr(&offline).contains("went bad") && stderr(&offline).contains(REPOSITORY), "{}", stderr(&offline));
    let output = in_cache(at, &server).args(segment).output().unwrap();
    assert_status(&output, 0);
    assert!(stderr(&output).contains("downloaded again"), "{}", stderr(&output));
    let asked = server.asked().len();
    assert_status(&in_cache(at, &server).args(segment).args(["--facet", "key@99"]).output().unwrap(), 2);
    assert_eq!(server.asked().len(), asked);
}

#[test]
fn a_second_download_waits_for_the_first() {
    let dir = folder();
    let server = Server::start(dino_vits16(), Fault::Slow);
    let start = || {
        let mut command = in_cache(dir.path(), &server);
        command.args(["models", "download", "dino-vits16"]).env("HF_HUB_ETAG_TIMEOUT", "10").env("HF_HUB_DOWNLOAD_TIMEOUT", "10");
        command.stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::piped()).spawn().unwrap()
    };
    let outputs = [start(), start()].map(|child| child.wait_with_output().unwrap());
    outputs.iter().for_each(|output| assert_status(output, 0));
    let waited = outputs.iter().filter(|output| stderr(output).contains("another process is downloading dino-vits16")).count();
    assert_eq!((waited, server.ranges().len()), (1, 1));
}

/// However a process ends, its beginning of the file stays and its lock goes.
#[test]
fn a_download_that_was_killed_goes_on() {
    let dir = folder();
    let server = Server::start(dino_vits16(), Fault::Stall);
    let patient = || {
        let mut command = in_cache(dir.path(), &server);
        command.args(["models", "download", "dino-vits16"]).env("HF_HUB_DOWNLOAD_TIMEOUT", "100");
        command.stdout(std::process::Stdio::null()).stderr(std::process::Stdio::piped());
        command
    };
    let mut child = patient().spawn().unwrap();
    let (partial, half) = (blob(dir.path()).with_extension("incomplete"), dino_vits16().len() / 2);
    let begin = std::time::Instant::now();
    while std::fs::metadata(&partial).map_or(0, |data| data.len()) < half as u64 {
        assert!(begin.elapsed().as_secs() < 60, "the first half does not come");
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    let output = patient().output().unwrap();
    assert_status(&output, 0);
    assert_eq!(server.ranges()[1..], [format!("bytes={half}-")], "{}", stderr(&output));
    assert!(!stderr(&output).contains("another process"), "{}", stderr(&output));
    assert!(std::fs::read(blob(dir.path())).unwrap() == dino_vits16());
}

#[test]
fn a_machine_without_a_network_is_told_what_to_carry_over() {
    let dir = folder();
    let path = |arguments: &[&str], endpoint: Option<&str>| {
        let mut command = deepcut(dir.path());
        command.env_clear().env("HF_HOME", dir.path()).args(["models", "path", "dinov2-vits14"]).args(arguments);
        command.envs(endpoint.map(|url| ("HF_ENDPOINT", url)));
        let output = command.output().unwrap();
        assert_status(&output, 2);
        stderr(&output)
    };
    let file = "/timm/vit_small_patch14_dinov2.lvd142m/resolve/main/model.safetensors";
    let told = path(&["--offline"], None);
    assert!(told.contains(&format!("https://huggingface.co{file}")) && told.contains("--family dinov2"), "{told}");
    assert!(!told.contains("models download"), "{told}");
    let told = path(&[], Some("https://mirror/hf/"));
    assert!(told.contains(&format!("https://mirror/hf{file}")) && told.contains("models download dinov2-vits14"), "{told}");
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
    let server = Server::start(SMALL.get_or_init(|| transformer_file(64, 1, 16, 4, &[])), Fault::None);
    let output = models(dir.path(), &server, &["download", "dino-vits16"]);
    assert_status(&output, 1);
    assert!(stderr(&output).contains("[16, 64, 1, 0]; dino-vits16 has [16, 384, 12, 0]"), "{}", stderr(&output));
    assert_status(&models(dir.path(), &server, &["path", "dino-vits16"]), 2);
    assert!(tree(dir.path()).iter().all(|file| file.ends_with(".lock")), "{:?}", tree(dir.path()));
}

#[test]
fn features_of_a_file_are_written_with_what_made_them() {
    let dir = folder();
    save(&dir.path().join("a.png"));
    std::fs::create_dir(dir.path().join("b")).unwrap();
    save(&dir.path().join("b/c.png"));
    std::fs::write(dir.path().join("vit.safetensors"), transformer_file(128, 3, 8, 4, &[])).unwrap();
    let features = |arguments: &[&str]| deepcut(dir.path()).arg("features").args(arguments).output().unwrap();
    let vit = ["--backbone", "vit.safetensors", "--heads", "2", "-r", "64"];

    assert_status(&features(&[&["a.png", "b", "-o", "out"], &vit[..]].concat()), 0);
    assert_eq!(tree(&dir.path().join("out")), ["a.features.safetensors", "c.features.safetensors"]);
    let shape_and_metadata = |file: &str| {
        let bytes = std::fs::read(dir.path().join(file)).unwrap();
        let (length, rest) = bytes.split_at(8);
        let header: serde_json::Value =
            serde_json::from_slice(&rest[..u64::from_le_bytes(length.try_into().unwrap()) as usize]).unwrap();
        (header["features"]["shape"].clone(), header["__metadata__"].clone())
    };
    // An image of 48 × 64 at about 64² pixels, in patches of 8.
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
        (&["a.png", "b", "-o", "x.safetensors"], "not 1 format of 2 images"),
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
