//! Networks from the Hugging Face hub, through the cache that its other clients share.
//!
//! The variables are those of the Python package `huggingface_hub`:
//!
//! | what        | first of                                                                                                     |
//! |-------------|--------------------------------------------------------------------------------------------------------------|
//! | cache       | `HF_HUB_CACHE`, `HUGGINGFACE_HUB_CACHE`, `HF_HOME/hub`, `XDG_CACHE_HOME/huggingface/hub`, `~/.cache/huggingface/hub` |
//! | token       | `HF_TOKEN`, `HUGGING_FACE_HUB_TOKEN`, the file `HF_TOKEN_PATH`, the file `HF_HOME/token`; none with `HF_HUB_DISABLE_IMPLICIT_TOKEN` |
//! | mirror      | `HF_ENDPOINT`                                                                                                |
//! | no network  | `--offline`, `HF_HUB_OFFLINE`, `TRANSFORMERS_OFFLINE`                                                        |
//! | time-outs   | `HF_HUB_ETAG_TIMEOUT` for an answer, `HF_HUB_DOWNLOAD_TIMEOUT` for the next bytes: seconds, 10 of each        |
//!
//! and so is the cache, here of one file of one repository:
//!
//! | file                                   | content                                                            |
//! |----------------------------------------|--------------------------------------------------------------------|
//! | `REPOSITORY/refs/main`                 | the newest commit that was asked for                               |
//! | `REPOSITORY/snapshots/COMMIT/FILE`     | a link to the blob; a copy where there are no links                |
//! | `REPOSITORY/blobs/ETAG`                | the bytes; the ETag of a large file is its SHA-256                 |
//! | `REPOSITORY/blobs/ETAG.incomplete`     | their beginning, while they come                                   |
//! | `.locks/REPOSITORY/ETAG.lock`          | held by the kernel for whoever downloads                           |
//!
//! What a server says becomes part of a path only as 40 to 64 hexadecimal digits. A blob gets its name when its bytes are whole, have the
//! checksum that the hub states and are the network that was asked for; what broke off before goes on where it stopped.
//!
//! A try that fails is repeated after 1, 2, 4, 8 and 8 seconds, or what `Retry-After` says up to a minute; after 5 repetitions in which
//! fewer than 64 KiB came it is given up.

mod http;

use crate::words;
use anyhow::{Context, anyhow, bail};
use deepcut::Cpu;
use deepcut::backbone::catalogue::{Entry, FILE};
use deepcut::backbone::sha256_of_reader;
use deepcut::backbone::vit::{VisionTransformer, VitOptions};
use http::{Answer, Client, Patience, Trouble, header};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::ffi::OsString;
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{ErrorKind, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use ureq::http::Uri;

const HUB: &str = "https://huggingface.co";
/// How often a failed try is repeated.
const REPETITIONS: usize = 5;
/// The longest `Retry-After` that is waited for.
const LONGEST_WAIT: Duration = Duration::from_secs(60);
/// Bytes that a try must bring to count as one that worked; fewer in [`SLOW_TIME`] are a stall.
const PROGRESS: u64 = 1 << 16;
const SLOW_TIME: Duration = Duration::from_secs(60);

/// Where networks come from.
#[derive(Debug, PartialEq)]
pub struct Hub {
    cache: PathBuf,
    token: Option<String>,
    endpoint: String,
    offline: bool,
    patience: Patience,
    progress: Progress,
}

/// What is said on standard error meanwhile.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Progress {
    Silent,
    Lines,
    /// Lines, and a bar while bytes come.
    Bar,
}

/// What is known of a file in the cache.
pub struct Checked {
    /// SHA-256 of its bytes.
    pub sha256: String,
    /// What the hub stated; None if it stated something else than a SHA-256, or nobody knows any more.
    pub stated: Option<String>,
}

/// What the hub says of a file.
struct Stated {
    commit: String,
    etag: String,
    size: Option<u64>,
    location: Uri,
}

impl Hub {
    /// As the environment says.
    ///
    /// # Errors
    /// If no variable tells where the cache is.
    pub fn from_env(offline: bool, progress: Progress) -> anyhow::Result<Self> {
        Self::resolve(|name| std::env::var_os(name).filter(|value| !value.is_empty()), std::env::home_dir(), offline, progress)
    }

    fn resolve(
        variable: impl Fn(&str) -> Option<OsString>,
        home: Option<PathBuf>,
        offline: bool,
        progress: Progress,
    ) -> anyhow::Result<Self> {
        let path = |name: &str| variable(name).map(|value| expand(value, &variable, home.as_deref()));
        let text = |name: &str| variable(name).map(|value| value.to_string_lossy().trim().to_owned());
        let switch =
            |name: &str| text(name).is_some_and(|value| ["1", "true", "yes", "on"].contains(&&*value.to_ascii_lowercase()));
        let seconds = |name: &str| {
            let value =
                text(name).map(|value| value.parse::<u16>().with_context(|| format!("{name} is {value}; expected seconds")));
            value.transpose().map(|value| Duration::from_secs(value.filter(|value| *value > 0).unwrap_or(10).into()))
        };
        let huggingface = path("HF_HOME")
            .or_else(|| Some(path("XDG_CACHE_HOME").or_else(|| Some(home.as_ref()?.join(".cache")))?.join("huggingface")));
        let cache = path("HF_HUB_CACHE")
            .or_else(|| path("HUGGINGFACE_HUB_CACHE"))
            .or_else(|| Some(huggingface.as_ref()?.join("hub")))
            .context("there is no home folder for the cache of networks; set HF_HOME to a folder")?;
        let token_file = path("HF_TOKEN_PATH").or_else(|| Some(huggingface?.join("token")));
        let token = text("HF_TOKEN")
            .or_else(|| text("HUGGING_FACE_HUB_TOKEN"))
            .or_else(|| std::fs::read_to_string(token_file?).ok())
            .map(|token| token.replace(['\r', '\n'], "").trim().to_owned())
            .filter(|token| !token.is_empty() && !switch("HF_HUB_DISABLE_IMPLICIT_TOKEN"));
        let progress =
            if progress == Progress::Bar && switch("HF_HUB_DISABLE_PROGRESS_BARS") { Progress::Lines } else { progress };
        Ok(Self {
            cache,
            token,
            endpoint: text("HF_ENDPOINT").map_or(HUB.into(), |endpoint| endpoint.trim_end_matches('/').to_owned()),
            // The second counts where the first says nothing, even a no.
            offline: offline || switch(if text("HF_HUB_OFFLINE").is_some() { "HF_HUB_OFFLINE" } else { "TRANSFORMERS_OFFLINE" }),
            patience: Patience { answer: seconds("HF_HUB_ETAG_TIMEOUT")?, stall: seconds("HF_HUB_DOWNLOAD_TIMEOUT")? },
            progress,
        })
    }

    fn url(&self, entry: &Entry) -> String {
        format!("{}/{}/resolve/main/{FILE}", self.endpoint, entry.repository)
    }

    fn folder(&self, entry: &Entry) -> PathBuf {
        self.cache.join(folder_name(entry))
    }

    /// Whether the hub may not be asked.
    pub fn is_offline(&self) -> bool {
        self.offline
    }

    fn say(&self, text: &str) {
        if self.progress != Progress::Silent {
            words::say(text);
        }
    }

    /// The entry's file, if it is in the cache.
    pub fn cached(&self, entry: &Entry) -> Option<PathBuf> {
        let folder = self.folder(entry);
        let commit = std::fs::read_to_string(folder.join("refs").join("main")).ok()?;
        let commit = commit.trim();
        // A link without its blob is no file.
        Some(folder.join("snapshots").join(commit).join(FILE)).filter(|path| is_digest(commit) && path.is_file())
    }

    /// How to get the entry's file to a machine without a network.
    pub fn by_hand(&self, entry: &Entry) -> String {
        format!(
            "where there is a network, get {} and give the file with --backbone {FILE} --family {}, or copy the folder {} of a cache there into {}",
            self.url(entry),
            entry.family.name(),
            folder_name(entry),
            self.cache.display()
        )
    }

    /// The entry's network, from the cache or else from the hub. What went bad in the cache is downloaded again.
    ///
    /// # Errors
    /// As [`Hub::download`]; if the options do not suit the network.
    pub fn load(&self, entry: &Entry, cpu: &Cpu, options: &VitOptions) -> anyhow::Result<VisionTransformer> {
        let open = |path: &Path| {
            let bytes = std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
            entry.load(&bytes, cpu, options).with_context(|| format!("cannot use {}", path.display()))
        };
        if let Some(path) = self.cached(entry) {
            let problem = match open(&path) {
                Ok(network) if stated(&path).is_none_or(|stated| stated == deepcut::Backbone::identity(&network).sha256) => {
                    return Ok(network);
                }
                Ok(_) => anyhow!("{} does not have the checksum that the hub stated", path.display()),
                // The file, or what is asked of it?
                Err(error) if verify(entry, &path).is_ok() => return Err(error),
                Err(error) => error,
            };
            if self.offline {
                return Err(problem.context(format!("{} went bad in the cache; {}", entry.name, self.by_hand(entry))));
            }
            self.say(&format!("deepcut: {}; it is downloaded again", words::chain(&problem)));
        }
        open(&self.download(entry)?)
    }

    /// Downloads the entry's file, unless what the hub has is here already.
    ///
    /// # Errors
    /// If the hub may not be asked, does not answer, has no such file, or has another: then nothing is kept but the beginning of a file that broke
    /// off.
    pub fn download(&self, entry: &Entry) -> anyhow::Result<PathBuf> {
        let name = entry.name;
        if self.offline {
            bail!(
                "{name} is not in {} and the hub may not be asked (--offline, HF_HUB_OFFLINE); run `deepcut models download {name}` where it may; or {}",
                self.cache.display(),
                self.by_hand(entry)
            );
        }
        let variable = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
        let client = Client::new(&self.endpoint, self.token.clone(), self.patience, variable)?;
        if client.withholds_token() {
            self.say("deepcut: the token is not sent over plain HTTP; give HF_ENDPOINT an https:// address if it is needed");
        }
        let failed = || {
            format!(
                "cannot download {name} into {}; see to the network, the disk or HF_ENDPOINT, or give a file with --backbone PATH",
                self.cache.display()
            )
        };
        let (mut left, mut waits, mut fresh) = (REPETITIONS, [1, 2, 4, 8, 8].into_iter(), false);
        let mut furthest = 0;
        loop {
            let mut reached = 0;
            let (why, after) = match self.attempt(&client, entry, &mut reached, &mut fresh) {
                Ok(path) => return Ok(path),
                Err(Trouble::Final(error)) => return Err(error).with_context(failed),
                Err(Trouble::Passing(why, after)) => (why, after),
            };
            // Beyond where any try came: a server that begins anew each time does not count.
            if reached >= furthest + PROGRESS {
                (left, waits, furthest) = (REPETITIONS, [1, 2, 4, 8, 8].into_iter(), reached);
            }
            let wait = after.or_else(|| waits.next().map(Duration::from_secs)).unwrap_or_default();
            if left == 0 || wait > LONGEST_WAIT {
                let asks = if wait > LONGEST_WAIT { format!(", which asks to wait {} s", wait.as_secs()) } else { String::new() };
                return Err(anyhow!("{why}{asks}; given up after {} tries", REPETITIONS - left + 1)).with_context(failed);
            }
            left -= 1;
            self.say(&format!(
                "deepcut: {name}: {why}; trying again in {} s ({} of {REPETITIONS})",
                wait.as_secs(),
                REPETITIONS - left
            ));
            std::thread::sleep(wait);
        }
    }

    /// One try. `reached` becomes how many bytes are there; `fresh` is whether a file that went on where it stopped was given up once.
    fn attempt(&self, client: &Client, entry: &Entry, reached: &mut u64, fresh: &mut bool) -> Result<PathBuf, Trouble> {
        let about = self.ask(client, entry)?;
        let folder = self.folder(entry);
        let blob = folder.join("blobs").join(&about.etag);
        let make = |path: &Path| std::fs::create_dir_all(path).with_context(|| unwritable(path));
        make(&folder.join("blobs"))?;
        let _lock = self.lock(entry, &about.etag)?;
        if !is_whole(&blob, &about) {
            let partial = folder.join("blobs").join(format!("{}.incomplete", about.etag));
            let went_on = self.transfer(client, entry, &about, &partial, reached)?;
            let remove = || std::fs::remove_file(&partial).with_context(|| unwritable(&partial));
            let sha256 = sha256(&partial)?;
            if is_sha256(&about.etag) && !sha256.eq_ignore_ascii_case(&about.etag) {
                remove()?;
                if went_on && !std::mem::replace(fresh, true) {
                    return Err(Trouble::Passing("what went on where it had stopped is damaged and was removed".into(), None));
                }
                return Err(Trouble::Final(anyhow!(
                    "the download is damaged: its SHA-256 is {sha256}, the hub states {}; it was removed: try again, or another HF_ENDPOINT",
                    about.etag
                )));
            }
            if let Err(error) = verify(entry, &partial) {
                remove()?;
                return Err(Trouble::Final(
                    error.context(format!("{} is not the network that it should be, and was removed", self.url(entry))),
                ));
            }
            std::fs::rename(&partial, &blob).with_context(|| unwritable(&blob))?;
        } else {
            verify(entry, &blob)?;
        }
        let snapshot = folder.join("snapshots").join(&about.commit);
        make(&snapshot)?;
        make(&folder.join("refs"))?;
        let path = snapshot.join(FILE);
        link(&about.etag, &blob, &path).with_context(|| unwritable(&path))?;
        let (reference, temporary) =
            (folder.join("refs").join("main"), folder.join("refs").join(format!(".main.{}", std::process::id())));
        let noted = std::fs::write(&temporary, &about.commit).and_then(|()| std::fs::rename(&temporary, &reference));
        noted.with_context(|| unwritable(&reference))?;
        Ok(path)
    }

    /// What the hub says of the entry's file.
    fn ask(&self, client: &Client, entry: &Entry) -> Result<Stated, Trouble> {
        let url: Uri = self.url(entry).parse().context("HF_ENDPOINT makes no address")?;
        let names = ["x-linked-etag", "etag"];
        let answer = client.get(&url, "bytes=0-0", |response| {
            header(response, "x-repo-commit").is_some() && names.iter().any(|name| header(response, name).is_some())
        })?;
        let Answer { from, response } = &answer;
        let no_hub = |what: &str| {
            Trouble::Final(anyhow!(
                "{} answers, but not as a hub does: {what}; is it a page of the network that wants a password, or another HF_ENDPOINT?",
                self.endpoint
            ))
        };
        let commit = header(response, "x-repo-commit").ok_or_else(|| no_hub("it states no commit (X-Repo-Commit)"))?;
        let etag = names.iter().find_map(|name| header(response, name)).ok_or_else(|| no_hub("it states no checksum (ETag)"))?;
        let etag = etag.trim().trim_start_matches("W/").trim_matches('"');
        if !is_digest(commit) || !is_digest(etag) {
            return Err(no_hub("its commit or ETag is not 40 to 64 hexadecimal digits"));
        }
        let total = header(response, "content-range").and_then(|range| range.rsplit_once('/')).map(|(_, total)| total);
        let length = header(response, "content-length").filter(|_| response.status() == 200);
        let size = header(response, "x-linked-size").or(total).or(length).and_then(|text| text.trim().parse().ok());
        let most = most_bytes(entry);
        if size.is_some_and(|size| size > most) {
            return Err(no_hub(&format!("its file has {} bytes, {} at most {most}", size.unwrap_or_default(), entry.name)));
        }
        let (commit, etag) = (commit.to_owned(), etag.to_owned());
        let location = if response.status().is_redirection() { http::target(from, response)? } else { from.clone() };
        Ok(Stated { commit, etag, size, location })
    }

    /// Waits until nobody else downloads the file. The kernel gives the lock back when its holder ends, however that happens.
    fn lock(&self, entry: &Entry, etag: &str) -> anyhow::Result<Option<File>> {
        let folder = self.cache.join(".locks").join(folder_name(entry));
        std::fs::create_dir_all(&folder).with_context(|| unwritable(&folder))?;
        let path = folder.join(format!("{etag}.lock"));
        let file = OpenOptions::new().create(true).truncate(false).write(true).open(&path).with_context(|| unwritable(&path))?;
        match file.try_lock() {
            Ok(()) => Ok(Some(file)),
            Err(TryLockError::WouldBlock) => {
                self.say(&format!("deepcut: another process is downloading {}; waiting for it", entry.name));
                file.lock().with_context(|| unwritable(&path))?;
                Ok(Some(file))
            }
            // A disk without locks: the checksum tells whether two wrote at once.
            Err(TryLockError::Error(_)) => Ok(None),
        }
    }

    /// Brings the rest of a file. True if some of it was there already.
    fn transfer(
        &self,
        client: &Client,
        entry: &Entry,
        about: &Stated,
        partial: &Path,
        reached: &mut u64,
    ) -> Result<bool, Trouble> {
        let write_failed = || format!("cannot write {}; is the disk full?", partial.display());
        let opened = OpenOptions::new().create(true).truncate(false).write(true).open(partial);
        let mut file = opened.with_context(|| unwritable(partial))?;
        let mut have = file.seek(SeekFrom::End(0)).with_context(write_failed)?;
        if about.size.is_some_and(|size| have > size) {
            have = 0;
        }
        if about.size == Some(have) && have > 0 {
            return Ok(true);
        }
        let Answer { response, .. } = client.get(&about.location, &format!("bytes={have}-"), |_| false)?;
        let range = header(&response, "content-range").and_then(|text| text.trim().strip_prefix("bytes "));
        let begins: Option<u64> = range.and_then(|range| range.split(['-', '/']).next()?.parse().ok());
        let total = match response.status().as_u16() {
            206 => range.and_then(|range| range.rsplit_once('/')).map(|(_, total)| total),
            _ => header(&response, "content-length"),
        };
        if let (Some(size), Some(Ok(total))) = (about.size, total.map(|total| total.trim().parse::<u64>()))
            && size != total
            && response.status().is_success()
        {
            return Err(Trouble::Passing(format!("the hub's store has {total} bytes, not the {size} that the hub states"), None));
        }
        match response.status().as_u16() {
            206 if begins == Some(have) => {}
            // A server that knows no ranges sends all.
            200 => have = 0,
            _ => {
                file.set_len(0).with_context(write_failed)?;
                return Err(Trouble::Passing("the hub's store sends another part than was asked for".into(), None));
            }
        }
        file.set_len(have).and_then(|()| file.seek(SeekFrom::Start(have))).with_context(write_failed)?;
        let went_on = have > 0;
        let bar = self.bar(entry.name, about.size, have);
        let most = about.size.unwrap_or_else(|| most_bytes(entry));
        let mut body = response.into_body().into_with_config().limit(u64::MAX).reader();
        let mut buffer = vec![0; 1 << 16];
        let (mut since, mut in_window) = (Instant::now(), 0);
        loop {
            let read = match body.read(&mut buffer) {
                Ok(0) => break,
                Ok(read) => read,
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) => return Err(Trouble::Passing(format!("the download broke off after {have} bytes ({error})"), None)),
            };
            have += read as u64;
            if have > most {
                file.set_len(0).with_context(write_failed)?;
                return Err(Trouble::Final(anyhow!("the hub's store sends more than the {most} bytes that it should")));
            }
            file.write_all(&buffer[..read]).with_context(write_failed)?;
            bar.inc(read as u64);
            *reached = have;
            in_window += read as u64;
            if since.elapsed() > SLOW_TIME {
                if in_window < PROGRESS {
                    return Err(Trouble::Passing(format!("the download came to a crawl after {have} bytes"), None));
                }
                (since, in_window) = (Instant::now(), 0);
            }
        }
        bar.finish_and_clear();
        if about.size.is_some_and(|size| have < size) {
            return Err(Trouble::Passing(format!("the download broke off after {have} bytes"), None));
        }
        file.sync_all().with_context(write_failed)?;
        Ok(went_on)
    }

    /// A bar on standard error while a file comes.
    fn bar(&self, name: &'static str, size: Option<u64>, have: u64) -> ProgressBar {
        let target = if self.progress == Progress::Bar { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
        let style = ProgressStyle::with_template("{msg} {wide_bar} {bytes}/{total_bytes} {bytes_per_sec} {eta}");
        let bar = ProgressBar::with_draw_target(size, target).with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
        bar.with_message(name).with_position(have).with_finish(indicatif::ProgressFinish::AndClear)
    }
}

fn folder_name(entry: &Entry) -> String {
    format!("models--{}", entry.repository.replace('/', "--"))
}

/// Bytes that the entry's file has at most: twice those of its parameters in f32.
fn most_bytes(entry: &Entry) -> u64 {
    8 * entry.parameters() as u64 + (64 << 20)
}

fn unwritable(path: &Path) -> String {
    format!("cannot write {}; set HF_HOME to a folder that may be written", path.display())
}

/// Whether a server's word may become part of a path.
fn is_digest(text: &str) -> bool {
    (40..=64).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_hexdigit())
}

fn is_sha256(text: &str) -> bool {
    text.len() == 64 && is_digest(text)
}

/// `~` and variables in a path, as Python expands them.
fn expand(path: OsString, variable: &impl Fn(&str) -> Option<OsString>, home: Option<&Path>) -> PathBuf {
    let Some(text) = path.to_str() else { return path.into() };
    let mut parts = text.split('$');
    let mut out = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let braced = part.strip_prefix('{').and_then(|part| part.split_once('}'));
        let end = part.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(part.len());
        let (name, rest) = braced.unwrap_or_else(|| part.split_at(end));
        match variable(name).and_then(|value| value.into_string().ok()) {
            Some(value) => out.extend([&value, rest]),
            None => out.extend(["$", part]),
        }
    }
    match (out.strip_prefix('~'), home) {
        (Some(rest), Some(home)) if rest.is_empty() || rest.starts_with(['/', std::path::MAIN_SEPARATOR]) => {
            home.join(rest.trim_start_matches(['/', std::path::MAIN_SEPARATOR]))
        }
        _ => out.into(),
    }
}

fn sha256(path: &Path) -> anyhow::Result<String> {
    let unreadable = || format!("cannot read {}", path.display());
    sha256_of_reader(File::open(path).with_context(unreadable)?).with_context(unreadable)
}

/// Whether a blob is what the hub states.
fn is_whole(blob: &Path, about: &Stated) -> bool {
    let length = std::fs::metadata(blob).ok().filter(std::fs::Metadata::is_file).map(|data| data.len());
    length.is_some_and(|length| about.size.is_none_or(|size| size == length))
        && (!is_sha256(&about.etag) || sha256(blob).is_ok_and(|sha256| sha256.eq_ignore_ascii_case(&about.etag)))
}

/// Whether the program can use a file as the entry's.
pub fn verify(entry: &Entry, path: &Path) -> anyhow::Result<()> {
    let bytes = std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
    entry.load(&bytes, &Cpu::default(), &VitOptions::default()).with_context(|| format!("cannot use {}", path.display()))?;
    Ok(())
}

/// Makes a snapshot's file of a blob: a link, or where there are none a copy. What was there is replaced.
fn link(etag: &str, blob: &Path, path: &Path) -> std::io::Result<()> {
    let temporary = path.with_file_name(format!(".{}.{}", std::process::id(), etag));
    // Of a process of the same number that was killed here; through it a copy would write into the blob.
    let _ = std::fs::remove_file(&temporary);
    let target = Path::new("..").join("..").join("blobs").join(etag);
    #[cfg(unix)]
    let linked = std::os::unix::fs::symlink(&target, &temporary);
    #[cfg(windows)]
    let linked = std::os::windows::fs::symlink_file(&target, &temporary);
    #[cfg(not(any(unix, windows)))]
    let linked = Err::<(), _>(std::io::Error::other(target.display().to_string()));
    if linked.is_err() {
        std::fs::hard_link(blob, &temporary).or_else(|_| std::fs::copy(blob, &temporary).map(|_| ()))?;
    }
    std::fs::rename(&temporary, path).inspect_err(|_| {
        let _ = std::fs::remove_file(&temporary);
    })
}

/// The SHA-256 that the hub stated of a snapshot's file: the name of the blob that it links to.
fn stated(path: &Path) -> Option<String> {
    // The blob itself may be a link into a store that names files otherwise.
    let blob = std::fs::read_link(path).ok()?;
    let in_blobs = blob.parent().is_some_and(|folder| folder.ends_with("blobs"));
    let name = blob.file_name()?.to_str()?.to_ascii_lowercase();
    (in_blobs && is_sha256(&name)).then_some(name)
}

/// The checksum of a snapshot's file, beside the one the hub stated when it was downloaded.
///
/// # Errors
/// If the file cannot be read.
pub fn check(path: &Path) -> anyhow::Result<Checked> {
    let sha256 = sha256(path)?;
    // A copy has no link that tells, but its blob may still be there.
    let copied = || path.ancestors().nth(3).is_some_and(|folder| folder.join("blobs").join(&sha256).is_file());
    let stated = stated(path).or_else(|| copied().then(|| sha256.clone()));
    Ok(Checked { sha256, stated })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resolve(variables: &[(&str, &str)], offline: bool) -> Hub {
        let find = |name: &str| variables.iter().find(|(n, _)| *n == name).map(|(_, value)| (*value).into());
        Hub::resolve(find, Some("/home/a".into()), offline, Progress::Silent).unwrap()
    }

    #[test]
    fn the_cache_is_found_as_the_hub_documents_it() {
        let cache = |variables: &[(&str, &str)]| resolve(variables, false).cache;
        assert_eq!(cache(&[]), Path::new("/home/a/.cache/huggingface/hub"));
        assert_eq!(cache(&[("XDG_CACHE_HOME", "/x")]), Path::new("/x/huggingface/hub"));
        assert_eq!(cache(&[("XDG_CACHE_HOME", "/x"), ("HF_HOME", "/h")]), Path::new("/h/hub"));
        assert_eq!(cache(&[("HF_HOME", "/h"), ("HUGGINGFACE_HUB_CACHE", "/u")]), Path::new("/u"));
        assert_eq!(cache(&[("HF_HUB_CACHE", "/c"), ("HUGGINGFACE_HUB_CACHE", "/u")]), Path::new("/c"));
        assert_eq!(cache(&[("HF_HOME", "~/h")]), Path::new("/home/a/h/hub"));
        for (value, expected) in
            [("$X/c", "/x/c"), ("/a${X}c", "/a/xc"), ("$NONE/c", "$NONE/c"), ("~b/c", "~b/c"), ("~", "/home/a")]
        {
            assert_eq!(cache(&[("HF_HUB_CACHE", value), ("X", "/x")]), Path::new(expected));
        }
        assert!(Hub::resolve(|_| None, None, false, Progress::Silent).unwrap_err().to_string().contains("HF_HOME"));
    }

    #[test]
    fn token_mirror_and_offline_are_taken_from_the_environment() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("token"), "from-file\n").unwrap();
        let home = folder.path().to_str().unwrap();
        assert_eq!(resolve(&[("HF_HOME", home)], false).token.as_deref(), Some("from-file"));
        assert_eq!(resolve(&[("HF_HOME", home), ("HF_TOKEN", " t ")], false).token.as_deref(), Some("t"));
        assert_eq!(resolve(&[("HF_TOKEN_PATH", "/nowhere")], false).token, None);
        assert_eq!(resolve(&[("HF_ENDPOINT", "http://mirror/")], false).endpoint, "http://mirror");
        for (value, offline) in [("1", true), ("TRUE", true), ("0", false), ("", false)] {
            assert_eq!(resolve(&[("HF_HUB_OFFLINE", value)], false).offline, offline);
        }
        assert!(resolve(&[], true).offline && resolve(&[("TRANSFORMERS_OFFLINE", "yes")], false).offline);
        assert!(!resolve(&[("HF_HUB_OFFLINE", "0"), ("TRANSFORMERS_OFFLINE", "1")], false).offline);
        assert_eq!(resolve(&[("HUGGING_FACE_HUB_TOKEN", "old\n")], false).token.as_deref(), Some("old"));
        assert_eq!(resolve(&[("HF_TOKEN", "t"), ("HF_HUB_DISABLE_IMPLICIT_TOKEN", "1")], false).token, None);
        let patience = resolve(&[("HF_HUB_ETAG_TIMEOUT", "3"), ("HF_HUB_DOWNLOAD_TIMEOUT", "0")], false).patience;
        assert_eq!((patience.answer.as_secs(), patience.stall.as_secs()), (3, 10));
        let progress = Hub::resolve(
            |name| (name == "HF_HUB_DISABLE_PROGRESS_BARS").then(|| "1".into()),
            Some("/".into()),
            false,
            Progress::Bar,
        );
        assert_eq!(progress.unwrap().progress, Progress::Lines);
    }
}
