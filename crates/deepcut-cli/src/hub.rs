//! Networks from the Hugging Face hub, through its shared cache.
//!
//! The variables are resolved here and handed to the `hf-hub` crate, whose own reading of them has changed between versions:
//!
//! | what | first of |
//! |---|---|
//! | cache | `HF_HUB_CACHE`, `HUGGINGFACE_HUB_CACHE`, `HF_HOME/hub`, `XDG_CACHE_HOME/huggingface/hub`, `~/.cache/huggingface/hub` |
//! | token | `HF_TOKEN`, the file `HF_TOKEN_PATH`, the file `HF_HOME/token` |
//! | mirror | `HF_ENDPOINT` |
//! | no network | `--offline`, `HF_HUB_OFFLINE` |

use anyhow::{Context, anyhow, bail};
use deepcut::backbone::catalogue::{Entry, FILE};
use deepcut::backbone::weights::sha256_of_reader;
use hf_hub::api::Progress;
use hf_hub::api::sync::ApiBuilder;
use hf_hub::{Cache, Repo, RepoType};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::ffi::OsString;
use std::fs::File;
use std::path::{Path, PathBuf};

/// How often a broken download is taken up again where it stopped.
const RETRIES: usize = 3;

/// Where networks come from.
#[derive(Debug, PartialEq)]
pub struct Hub {
    cache: PathBuf,
    token: Option<String>,
    endpoint: Option<String>,
    offline: bool,
    progress: bool,
}

/// What is known of a file in the cache.
pub struct Checked {
    /// SHA-256 of its bytes.
    pub sha256: String,
    /// What the hub stated; None if it stated something else than a SHA-256.
    pub stated: Option<String>,
}

impl Hub {
    /// As the environment says.
    ///
    /// # Errors
    /// If no variable tells where the cache is.
    pub fn from_env(offline: bool, progress: bool) -> anyhow::Result<Self> {
        Self::resolve(|name| std::env::var_os(name).filter(|value| !value.is_empty()), std::env::home_dir(), offline, progress)
    }

    fn resolve(
        variable: impl Fn(&str) -> Option<OsString>,
        home: Option<PathBuf>,
        offline: bool,
        progress: bool,
    ) -> anyhow::Result<Self> {
        let path = |name: &str| variable(name).map(PathBuf::from);
        let text = |name: &str| variable(name).map(|value| value.to_string_lossy().trim().to_owned());
        let huggingface =
            path("HF_HOME").or_else(|| Some(path("XDG_CACHE_HOME").or_else(|| Some(home?.join(".cache")))?.join("huggingface")));
        let cache = path("HF_HUB_CACHE")
            .or_else(|| path("HUGGINGFACE_HUB_CACHE"))
            .or_else(|| Some(huggingface.as_ref()?.join("hub")))
            .context("there is no home folder for the cache of networks; set HF_HOME to a folder")?;
        let token_file = path("HF_TOKEN_PATH").or_else(|| Some(huggingface?.join("token")));
        let token = text("HF_TOKEN")
            .or_else(|| std::fs::read_to_string(token_file?).ok().map(|token| token.trim().to_owned()))
            .filter(|token| !token.is_empty());
        let switch = text("HF_HUB_OFFLINE").unwrap_or_default().to_ascii_lowercase();
        Ok(Self {
            cache,
            token,
            endpoint: text("HF_ENDPOINT").map(|endpoint| endpoint.trim_end_matches('/').to_owned()),
            offline: offline || ["1", "true", "yes", "on"].contains(&switch.as_str()),
            progress,
        })
    }

    /// The entry's file, if it is in the cache.
    pub fn cached(&self, entry: &Entry) -> Option<PathBuf> {
        Cache::new(self.cache.clone()).repo(repository(entry)).get(FILE)
    }

    /// The entry's file, from the cache or else from the hub.
    ///
    /// # Errors
    /// As [`Hub::download`].
    pub fn fetch(&self, entry: &Entry) -> anyhow::Result<PathBuf> {
        self.cached(entry).map_or_else(|| self.download(entry), Ok)
    }

    /// Downloads the entry's file and compares its SHA-256 with the one the hub states.
    ///
    /// # Errors
    /// If the hub may not be asked, does not answer, has no such file, or the checksums differ: then nothing is kept.
    pub fn download(&self, entry: &Entry) -> anyhow::Result<PathBuf> {
        let name = entry.name;
        if self.offline {
            bail!(
                "{name} is not in {} and the hub may not be asked (--offline, HF_HUB_OFFLINE); run `deepcut models download {name}` where it may, or give a file with --backbone PATH",
                self.cache.display()
            );
        }
        let mut builder = ApiBuilder::from_cache(Cache::new(self.cache.clone()))
            .with_token(self.token.clone())
            .with_retries(RETRIES)
            .with_user_agent("deepcut", env!("CARGO_PKG_VERSION"));
        if let Some(endpoint) = &self.endpoint {
            builder = builder.with_endpoint(endpoint.clone());
        }
        let repository = builder.build().context("cannot speak HTTP")?.repo(repository(entry));
        let target = if self.progress { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
        let bar = Bar { bar: ProgressBar::with_draw_target(None, target), name };
        // The crate's errors repeat their sources in their own words.
        let path = repository.download_with_progress(FILE, bar).map_err(|error| {
            anyhow!(
                "cannot download {name} into {}; see to the network, the disk or HF_ENDPOINT, or give a file with --backbone PATH: {error}",
                self.cache.display()
            )
        })?;
        let Checked { sha256, stated } = check(&path)?;
        match stated {
            Some(stated) if stated != sha256 => {
                // What the snapshot points to, then the snapshot.
                let removed = path.canonicalize().and_then(std::fs::remove_file).and_then(|()| std::fs::remove_file(&path));
                removed.with_context(|| format!("cannot remove the damaged {}; remove it by hand", path.display()))?;
                bail!(
                    "the download of {name} is damaged: its SHA-256 is {sha256}, the hub states {stated}; it was removed: try again, or another HF_ENDPOINT"
                );
            }
            _ => Ok(path),
        }
    }
}

fn repository(entry: &Entry) -> Repo {
    Repo::new(entry.repository.into(), RepoType::Model)
}

/// The checksum of a file, beside the one the hub stated when it was downloaded: the name under which the cache keeps it.
///
/// # Errors
/// If the file cannot be read.
pub fn check(path: &Path) -> anyhow::Result<Checked> {
    let unreadable = || format!("cannot read {}", path.display());
    let sha256 = sha256_of_reader(File::open(path).with_context(unreadable)?).with_context(unreadable)?;
    let blob = path.canonicalize().with_context(unreadable)?;
    let stated = blob.file_name().map(|name| name.to_string_lossy().into_owned());
    Ok(Checked { sha256, stated: stated.filter(|name| name.len() == 64 && name.bytes().all(|b| b.is_ascii_hexdigit())) })
}

/// A bar on standard error while a file comes.
struct Bar {
    bar: ProgressBar,
    name: &'static str,
}

impl Progress for Bar {
    fn init(&mut self, size: usize, _: &str) {
        let style = ProgressStyle::with_template("{msg} {wide_bar} {bytes}/{total_bytes} {bytes_per_sec} {eta}");
        self.bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
        self.bar.set_length(size as u64);
        self.bar.set_position(0);
        self.bar.set_message(self.name);
    }

    fn update(&mut self, size: usize) {
        self.bar.inc(size as u64);
    }

    fn finish(&mut self) {
        self.bar.finish_and_clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resolve(variables: &[(&str, &str)], offline: bool) -> Hub {
        let find = |name: &str| variables.iter().find(|(n, _)| *n == name).map(|(_, value)| (*value).into());
        Hub::resolve(find, Some("/home/a".into()), offline, false).unwrap()
    }

    #[test]
    fn the_cache_is_found_as_the_hub_documents_it() {
        let cache = |variables: &[(&str, &str)]| resolve(variables, false).cache;
        assert_eq!(cache(&[]), Path::new("/home/a/.cache/huggingface/hub"));
        assert_eq!(cache(&[("XDG_CACHE_HOME", "/x")]), Path::new("/x/huggingface/hub"));
        assert_eq!(cache(&[("XDG_CACHE_HOME", "/x"), ("HF_HOME", "/h")]), Path::new("/h/hub"));
        assert_eq!(cache(&[("HF_HOME", "/h"), ("HUGGINGFACE_HUB_CACHE", "/u")]), Path::new("/u"));
        assert_eq!(cache(&[("HF_HUB_CACHE", "/c"), ("HUGGINGFACE_HUB_CACHE", "/u")]), Path::new("/c"));
        assert!(Hub::resolve(|_| None, None, false, false).unwrap_err().to_string().contains("HF_HOME"));
    }

    #[test]
    fn token_mirror_and_offline_are_taken_from_the_environment() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("token"), "from-file\n").unwrap();
        let home = folder.path().to_str().unwrap();
        assert_eq!(resolve(&[("HF_HOME", home)], false).token.as_deref(), Some("from-file"));
        assert_eq!(resolve(&[("HF_HOME", home), ("HF_TOKEN", " t ")], false).token.as_deref(), Some("t"));
        assert_eq!(resolve(&[("HF_TOKEN_PATH", "/nowhere")], false).token, None);
        assert_eq!(resolve(&[("HF_ENDPOINT", "http://mirror/")], false).endpoint.as_deref(), Some("http://mirror"));
        for (value, offline) in [("1", true), ("TRUE", true), ("0", false), ("", false)] {
            assert_eq!(resolve(&[("HF_HUB_OFFLINE", value)], false).offline, offline);
        }
        assert!(resolve(&[], true).offline);
    }
}
