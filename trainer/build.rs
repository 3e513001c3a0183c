//! Says in `FLASHLM_COMMIT` which commit is built: 40 digits, or `unknown` outside a checkout of this repository.

use std::path::{Path, PathBuf};
use std::process::Command;

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    let manifest = std::env::var_os("CARGO_MANIFEST_DIR").map(PathBuf::from).unwrap_or_default();
    let commit = commit(&manifest).unwrap_or_else(|| "unknown".into());
    println!("cargo:rustc-env=FLASHLM_COMMIT={commit}");
}

/// The commit checked out, if the folder around the crate's is a checkout's root: an unpacked archive may lie in one of
/// something else.
fn commit(manifest: &Path) -> Option<String> {
    let root = PathBuf::from(git(manifest, &["rev-parse", "--show-toplevel"])?).canonicalize().ok()?;
    if manifest.parent()?.canonicalize().ok()? != root {
        return None;
    }
    // written at every commit, checkout and reset; without such a log there is only the branch's name
    for name in ["logs/HEAD", "HEAD"] {
        let file = manifest.join(git(manifest, &["rev-parse", "--git-path", name])?);
        if file.exists() {
            println!("cargo:rerun-if-changed={}", file.display());
            break;
        }
    }
    git(manifest, &["rev-parse", "HEAD"]).filter(|id| id.len() >= 40 && id.bytes().all(|b| b.is_ascii_hexdigit()))
}

/// The only line that git prints, `None` where there is no git or it fails.
fn git(dir: &Path, arguments: &[&str]) -> Option<String> {
    let output = Command::new("git").arg("-C").arg(dir).args(arguments).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?.trim().to_owned();
    (output.status.success() && !text.is_empty()).then_some(text)
}
