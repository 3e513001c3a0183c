//! Text files of data sets on the Hugging Face hub.
//!
//! [`settings`] reads the environment, [`client`] asks the hub and is patient with it, [`download`] brings files into
//! the cache that all clients of the hub share ([`cache`]). What the cache has is used without the network, and said
//! to be where the hub cannot be reached.

mod address;
mod cache;
mod client;
mod download;
mod error;
mod names;
mod progress;
mod settings;
#[cfg(test)]
mod tests;

use std::fmt;
use std::io::Write;
use std::path::PathBuf;
use std::str::FromStr;

use serde::Deserialize;
use ureq::http::Method;

use self::cache::{Entry, Repository, Tree};
use self::client::{Client, Question};
use self::download::Facts;
pub use self::error::HubError;
use self::settings::Settings;
use super::DataError;
use crate::interrupt;

/// What the list of a data set's files should be, for messages.
const LIST: &str = "the list of files";

/// Which half of a data set is wanted, where it comes in two.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    Train,
    Valid,
}

/// `OWNER/NAME`, or `OWNER/NAME/FILE` for one of its files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dataset {
    /// `OWNER/NAME`.
    pub repository: String,
    /// A path in the repository; `None`: all its text files of the part that is wanted.
    pub file: Option<String>,
}

impl FromStr for Dataset {
    type Err = DataError;

    fn from_str(name: &str) -> Result<Self, DataError> {
        let mut parts = name.splitn(3, '/');
        match (parts.next(), parts.next(), parts.next()) {
            (Some(owner), Some(set), file)
                if names::is_owner_or_set(owner)
                    && names::is_owner_or_set(set)
                    && file.is_none_or(names::is_inside) =>
            {
                Ok(Self { repository: format!("{owner}/{set}"), file: file.map(str::to_owned) })
            }
            _ => Err(DataError::BadHubName(format!("hf:{name}"))),
        }
    }
}

impl fmt::Display for Dataset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "hf:{}", self.repository)?;
        self.file.iter().try_for_each(|file| write!(f, "/{file}"))
    }
}

impl Dataset {
    /// Downloads what is not in the hub's cache yet and returns the files' paths. The environment decides where the hub
    /// and its cache are, who asks and whether to ask at all, as for every client of the hub. What takes time, or is
    /// worth knowing, is said on standard error.
    ///
    /// # Errors
    /// The files are neither to be had nor in the cache, or the user stopped it; the message says why.
    pub fn download(&self, part: Part) -> Result<Vec<PathBuf>, DataError> {
        let failed = |error: HubError| DataError::Hub { dataset: self.repository.clone(), error: Box::new(error) };
        let settings = Settings::from_env().map_err(failed)?;
        self.download_with(&settings, part, &interrupt::requested, &|line| {
            // where nobody reads it any more, the download goes on
            let _ = writeln!(std::io::stderr(), "hf:{}: {line}", self.repository);
        })
    }

    fn download_with(
        &self,
        settings: &Settings,
        part: Part,
        stop: &dyn Fn() -> bool,
        note: &dyn Fn(&str),
    ) -> Result<Vec<PathBuf>, DataError> {
        let client = Client::new(settings, stop, note);
        let cache = Repository::new(&settings.cache, &self.repository);
        let request = Wanted { dataset: self, part, client: &client, cache: &cache };
        request.get().map_err(|error| DataError::Hub { dataset: self.repository.clone(), error: Box::new(error) })
    }
}

/// What is wanted of one data set, and who is asked for it.
struct Wanted<'w> {
    dataset: &'w Dataset,
    part: Part,
    client: &'w Client<'w>,
    cache: &'w Repository,
}

impl Wanted<'_> {
    fn get(&self) -> Result<Vec<PathBuf>, HubError> {
        let Settings { endpoint, offline, .. } = self.client.settings;
        if *offline {
            let files = self.cached()?;
            self.client.note(&format!("HF_HUB_OFFLINE is set: using {}", self.place()));
            return Ok(files);
        }
        let network = match self.online() {
            Err(error) if error.is_out_of_reach() => error,
            done => return done,
        };
        match self.cached() {
            Ok(files) => {
                self.client.note(&format!("{network}: using {} without asking {endpoint}", self.place()));
                Ok(files)
            }
            Err(cache) => Err(HubError::NeitherWay { network: Box::new(network), cache: Box::new(cache) }),
        }
    }

    /// What of the cache is used, in words.
    fn place(&self) -> String {
        let commit = self.cache.commit().unwrap_or_default();
        format!("commit {commit} of the cache {}", self.client.settings.cache.display())
    }

    /// What the hub has now.
    fn online(&self) -> Result<Vec<PathBuf>, HubError> {
        // with something to fall back on nobody is kept waiting for a hub that is gone
        let attempts = if self.cached().is_ok() { 1 } else { self.client.settings.patience.attempts };
        let (commit, files) = match &self.dataset.file {
            Some(file) => (None, vec![file.clone()]),
            None => {
                let (commit, tree) = self.client.patiently(attempts, || self.list(), || 0)?;
                let files = self.choose(&tree)?;
                // for a time without a network; a cache that cannot be written has the files, or fails over them
                let _ = self.cache.set_tree(&commit, &tree);
                (Some((commit, tree)), files)
            }
        };
        let mut main = None;
        let mut paths = Vec::with_capacity(files.len());
        for file in &files {
            let there = commit.as_ref().and_then(|(commit, tree)| self.whole(commit, file, Some(tree)));
            paths.push(match (there, &commit) {
                (Some(path), _) => path,
                (None, commit) => {
                    let revision = commit.as_ref().map_or("main", |(commit, _)| commit);
                    let address = self.address(revision, file);
                    let ask = || Facts::ask(self.client, &address, file);
                    let mut facts = self.client.patiently(attempts, ask, || 0)?;
                    match commit {
                        Some((commit, _)) => facts.commit.clone_from(commit),
                        None => main = Some(facts.commit.clone()),
                    }
                    let address = self.address(&facts.commit, file);
                    download::fetch(self.client, self.cache, &facts, (file, &address))?
                }
            });
        }
        if let Some(commit) = commit.map(|(commit, _)| commit).or(main) {
            // the last thing to say, once all is there: what was there before serves until then
            let said = self.cache.set_commit(&commit);
            if self.cache.commit().as_deref() != Some(&commit) {
                said?;
            }
        }
        Ok(paths)
    }

    /// A file of a commit in the cache, if it is as long as it should be.
    fn whole(&self, commit: &str, file: &str, tree: Option<&Tree>) -> Option<PathBuf> {
        let path = self.cache.snapshot(commit, file);
        let length = std::fs::metadata(&path).ok().filter(std::fs::Metadata::is_file)?.len();
        let expected = tree.and_then(|tree| tree.get(file)).and_then(|entry| entry.lfs_size.or(entry.size));
        expected.is_none_or(|expected| expected == length).then_some(path)
    }

    /// What the cache has, without a look at the network.
    fn cached(&self) -> Result<Vec<PathBuf>, HubError> {
        let lacks = |reason: String| HubError::NotCached { cache: self.client.settings.cache.clone(), reason };
        let commit = self.cache.commit().ok_or_else(|| lacks(String::new()))?;
        let tree = self.cache.tree(&commit);
        let files = match (&self.dataset.file, &tree) {
            (Some(file), _) => vec![file.clone()],
            (None, Some(tree)) => self.choose(tree)?,
            // another client's: what it left is all there is to go by
            (None, None) => {
                let present = self.cache.present(&commit).into_iter().map(|name| (name, Entry::default()));
                self.choose(&present.collect())?
            }
        };
        let paths = files.iter().map(|file| {
            let path = self.whole(&commit, file, tree.as_ref());
            path.ok_or_else(|| lacks(format!("{file} of commit {commit} is missing or cut off")))
        });
        paths.collect()
    }

    /// The files of the part wanted.
    fn choose(&self, tree: &Tree) -> Result<Vec<String>, HubError> {
        let files = choose(tree.keys().cloned().collect(), self.part);
        if !files.is_empty() {
            return Ok(files);
        }
        let mut some: Vec<&str> = tree.keys().map(String::as_str).take(5).collect();
        if tree.len() > some.len() {
            some.push("...");
        }
        let some = if some.is_empty() { "no files".to_owned() } else { some.join(", ") };
        Err(HubError::NoText(format!("{some}; hf:{}/FILE names one", self.dataset.repository)))
    }

    /// The hub's list of files and the commit it is of.
    fn list(&self) -> Result<(String, Tree), HubError> {
        let Self { client, dataset, .. } = self;
        let address =
            format!("{}/api/datasets/{}/revision/main?blobs=true", client.settings.endpoint, dataset.repository);
        let question = Question { method: Method::GET, address: &address, from: 0, expected: LIST };
        let mut answer = client.ask(&question)?;
        if answer.is_page() {
            return Err(client.page(&mut answer, b"", LIST));
        }
        let text = client.whole(&mut answer)?;
        let wrong = |reason: String| HubError::Answer { address: address.clone(), reason };
        let info: Info = match serde_json::from_slice(&text) {
            Ok(info) => info,
            Err(_) if text.trim_ascii_start().starts_with(b"<") => return Err(client.page(&mut answer, &text, LIST)),
            Err(error) => return Err(wrong(format!("not {LIST} of a data set: {error}"))),
        };
        if !names::is_component(&info.sha) {
            return Err(wrong(format!("its commit {:?} is no name for a file", info.sha)));
        }
        if let Some(bad) = info.siblings.iter().find(|file| !names::is_inside(&file.rfilename)) {
            return Err(HubError::UnsafeName(bad.rfilename.clone()));
        }
        let entry = |file: Sibling| {
            let (lfs_sha256, lfs_size) = file.lfs.map_or((None, None), |lfs| (lfs.sha256, lfs.size));
            (file.rfilename, Entry { size: file.size, blob_id: file.blob_id, lfs_sha256, lfs_size })
        };
        Ok((info.sha, info.siblings.into_iter().map(entry).collect()))
    }

    fn address(&self, revision: &str, file: &str) -> String {
        let Settings { endpoint, .. } = self.client.settings;
        format!("{endpoint}/datasets/{}/resolve/{revision}/{}", self.dataset.repository, download::encoded(file))
    }
}

/// What the hub says of a data set, as far as it is of use.
#[derive(Deserialize)]
struct Info {
    sha: String,
    siblings: Vec<Sibling>,
}

#[derive(Deserialize)]
struct Sibling {
    rfilename: String,
    size: Option<u64>,
    #[serde(rename = "blobId")]
    blob_id: Option<String>,
    lfs: Option<Lfs>,
}

#[derive(Deserialize)]
struct Lfs {
    sha256: Option<String>,
    size: Option<u64>,
}

/// The text files of one part. Training takes what is not named as validation or test text, and among those only
/// the files named as training text if any is; so it never sees a file that evaluation may use.
fn choose(mut files: Vec<String>, part: Part) -> Vec<String> {
    let named = |file: &str, words: &[&str]| words.iter().any(|word| file.to_ascii_lowercase().contains(word));
    files.retain(|file| file.ends_with(".txt"));
    files.sort();
    match part {
        Part::Valid => files.retain(|file| named(file, &["valid"])),
        Part::Train => {
            files.retain(|file| !named(file, &["valid", "test"]));
            if files.iter().any(|file| named(file, &["train"])) {
                files.retain(|file| named(file, &["train"]));
            }
        }
    }
    files
}
