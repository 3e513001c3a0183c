//! The cache that the hub's clients share, as they lay it out:
//!
//! | path below the cache | what |
//! |---|---|
//! | `datasets--OWNER--NAME/refs/main` | the commit that `main` was when last asked |
//! | `datasets--OWNER--NAME/snapshots/COMMIT/FILE` | a link to a blob |
//! | `datasets--OWNER--NAME/blobs/ETAG` | a file's bytes; `ETAG.incomplete` the first of them |
//! | `datasets--OWNER--NAME/trees/COMMIT.json` | all files of a commit, with their sizes |
//! | `.locks/datasets--OWNER--NAME/ETAG.lock` | held by whoever downloads the blob |

use std::collections::BTreeMap;
use std::fs::{self, File, TryLockError};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::client::Client;
use super::{HubError, names};

/// How often a lock that another process holds is tried.
const LOCK_EVERY: Duration = Duration::from_millis(200);
/// The longest list of files that is read, and how deep folders may lie within each other.
const LONGEST_TREE: u64 = 256 << 20;
const DEEPEST: usize = 32;
/// Version of a list of files.
const TREE_FORMAT: u32 = 1;

/// One data set's part of the cache.
#[derive(Clone, Debug)]
pub struct Repository {
    hub: PathBuf,
    name: String,
}

/// What is known of a file of a commit.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub size: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub blob_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lfs_sha256: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lfs_size: Option<u64>,
}

/// All files of a commit by name.
pub type Tree = BTreeMap<String, Entry>;

#[derive(Serialize, Deserialize)]
struct TreeFile {
    format_version: u32,
    files: Tree,
}

/// A blob's lock; dropping it opens it.
pub struct Lock {
    file: Option<File>,
}

impl Repository {
    pub fn new(hub: &Path, repository: &str) -> Self {
        Self { hub: hub.to_owned(), name: format!("datasets--{}", repository.replace('/', "--")) }
    }

    fn folder(&self) -> PathBuf {
        self.hub.join(&self.name)
    }

    /// The commit that `main` was when it was last asked for.
    pub fn commit(&self) -> Option<String> {
        let mut commit = String::new();
        File::open(self.reference()).ok()?.take(1000).read_to_string(&mut commit).ok()?;
        let commit = commit.trim();
        names::is_component(commit).then(|| commit.to_owned())
    }

    fn reference(&self) -> PathBuf {
        self.folder().join("refs").join("main")
    }

    /// Says what `main` is now.
    pub fn set_commit(&self, commit: &str) -> Result<(), HubError> {
        if self.commit().as_deref() == Some(commit) {
            return Ok(());
        }
        replace(&self.reference(), commit.as_bytes())
    }

    /// Where a file of a commit lies once it is there.
    pub fn snapshot(&self, commit: &str, file: &str) -> PathBuf {
        let mut path = self.folder().join("snapshots").join(commit);
        path.extend(file.split('/'));
        path
    }

    pub fn blob(&self, etag: &str) -> PathBuf {
        self.folder().join("blobs").join(etag)
    }

    pub fn incomplete(&self, etag: &str) -> PathBuf {
        self.folder().join("blobs").join(format!("{etag}.incomplete"))
    }

    fn tree_path(&self, commit: &str) -> PathBuf {
        self.folder().join("trees").join(format!("{commit}.json"))
    }

    /// The files of a commit, if that was ever written down and makes sense.
    pub fn tree(&self, commit: &str) -> Option<Tree> {
        let mut text = Vec::new();
        File::open(self.tree_path(commit)).ok()?.take(LONGEST_TREE).read_to_end(&mut text).ok()?;
        let tree: TreeFile = serde_json::from_slice(&text).ok()?;
        let usable = tree.format_version == TREE_FORMAT && tree.files.keys().all(|name| names::is_inside(name));
        usable.then_some(tree.files)
    }

    /// Writes them down, for a time without a network.
    pub fn set_tree(&self, commit: &str, tree: &Tree) -> Result<(), HubError> {
        if self.tree(commit).as_ref() == Some(tree) {
            return Ok(());
        }
        let path = self.tree_path(commit);
        let file = TreeFile { format_version: TREE_FORMAT, files: tree.clone() };
        let text = serde_json::to_vec(&file).map_err(|error| HubError::io(&path)(error.into()))?;
        replace(&path, &text)
    }

    /// Names of the files of a commit that are there.
    pub fn present(&self, commit: &str) -> Vec<String> {
        let mut found = Vec::new();
        list(&self.folder().join("snapshots").join(commit), "", DEEPEST, &mut found);
        found
    }

    /// Takes the lock of a blob, once whoever holds it is done. A cache on a file system without locks has none: there
    /// the name of what is incomplete is the process's own, see [`Lock::is_shared`].
    pub fn lock(&self, etag: &str, client: &Client, what: &str) -> Result<Lock, HubError> {
        let folder = self.hub.join(".locks").join(&self.name);
        fs::create_dir_all(&folder).map_err(HubError::io(&folder))?;
        let path = folder.join(format!("{etag}.lock"));
        let file = File::options().create(true).append(true).open(&path).map_err(HubError::io(&path))?;
        let mut said = false;
        loop {
            match file.try_lock() {
                Ok(()) => return Ok(Lock { file: Some(file) }),
                Err(TryLockError::WouldBlock) => {
                    if !said {
                        client.note(&format!("{what}: another process is downloading it: waiting"));
                        said = true;
                    }
                    client.pause(LOCK_EVERY)?;
                }
                Err(TryLockError::Error(error)) if error.kind() == io::ErrorKind::Unsupported => {
                    return Ok(Lock { file: None });
                }
                Err(TryLockError::Error(error)) => return Err(HubError::io(&path)(error)),
            }
        }
    }

    /// Makes a file of a commit of a blob: a link, or where there are none the blob itself.
    pub fn link(&self, etag: &str, commit: &str, file: &str) -> Result<PathBuf, HubError> {
        let path = self.snapshot(commit, file);
        let Some(folder) = path.parent() else { return Ok(path) };
        fs::create_dir_all(folder).map_err(HubError::io(folder))?;
        // from the file's folder up to the data set's
        let mut target = PathBuf::new();
        (0..2 + file.matches('/').count()).for_each(|_| target.push(".."));
        target.push("blobs");
        target.push(etag);
        match symlink(&target, &path) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                // another process made it, or it leads to a blob that is gone, or to an earlier one: ours is right
                let aside = folder.join(format!(".{etag}.{}.link", std::process::id()));
                let _ = fs::remove_file(&aside);
                symlink(&target, &aside).and_then(|()| fs::rename(&aside, &path)).map_err(HubError::io(&path))?;
            }
            Err(_) => {
                fs::copy(self.blob(etag), &path).map_err(HubError::io(&path))?;
            }
            Ok(()) => {}
        }
        Ok(path)
    }
}

impl Lock {
    /// Whether what is incomplete is shared with other processes, which wait for this lock.
    pub fn is_shared(&self) -> bool {
        self.file.is_some()
    }
}

#[cfg(unix)]
fn symlink(target: &Path, path: &Path) -> io::Result<()> {
    std::os::unix::fs::symlink(target, path)
}

#[cfg(not(unix))]
fn symlink(_: &Path, _: &Path) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}

/// Writes a small file aside and renames it, so that no other process sees half of it.
fn replace(path: &Path, contents: &[u8]) -> Result<(), HubError> {
    let folder = path.parent().unwrap_or(Path::new("."));
    fs::create_dir_all(folder).map_err(HubError::io(folder))?;
    let aside = path.with_extension(format!("{}.tmp", std::process::id()));
    let write = || {
        File::create(&aside)?.write_all(contents)?;
        fs::rename(&aside, path)
    };
    write().map_err(|error| {
        let _ = fs::remove_file(&aside);
        HubError::io(path)(error)
    })
}

/// Adds the names of files in `folder` and below, each behind `prefix`.
fn list(folder: &Path, prefix: &str, deepest: usize, found: &mut Vec<String>) {
    let Ok(entries) = fs::read_dir(folder) else { return };
    for entry in entries.flatten() {
        let Ok(name) = entry.file_name().into_string() else { continue };
        let name = format!("{prefix}{name}");
        let is_folder = entry.file_type().is_ok_and(|kind| kind.is_dir());
        if is_folder && deepest > 0 {
            list(&entry.path(), &format!("{name}/"), deepest - 1, found);
        } else if entry.path().is_file() {
            found.push(name);
        }
    }
}
