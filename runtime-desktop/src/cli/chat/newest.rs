//! The model that was trained last.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

/// The newest `model.flm` in a folder of `folder`, where runs leave theirs, and how long ago it was written.
pub fn newest(folder: &Path) -> Option<(PathBuf, Duration)> {
    let paths = fs::read_dir(folder).ok()?.flatten().map(|entry| entry.path().join("model.flm"));
    let written = |path: &PathBuf| fs::metadata(path).ok().filter(fs::Metadata::is_file)?.modified().ok();
    let (path, written) = paths.filter_map(|path| written(&path).map(|at| (path, at))).max_by_key(|&(_, at)| at)?;
    Some((path, SystemTime::now().duration_since(written).unwrap_or_default()))
}

/// A time as people say it: "12 minutes".
pub fn spoken(time: Duration) -> String {
    let seconds = time.as_secs();
    let (count, unit) = match seconds {
        0..100 => (seconds, "second"),
        100..6_000 => (seconds / 60, "minute"),
        6_000..172_800 => (seconds / 3_600, "hour"),
        _ => (seconds / 86_400, "day"),
    };
    format!("{count} {unit}{}", if count == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests {
    use std::fs::File;

    use super::*;

    #[test]
    fn the_model_written_last_is_found_and_what_is_no_file_is_not() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(newest(&folder.path().join("out")), None);
        for (name, age) in [("old", 7200), ("new", 720), ("older", 90_000)] {
            fs::create_dir(folder.path().join(name)).unwrap();
            let file = File::create(folder.path().join(name).join("model.flm")).unwrap();
            file.set_modified(SystemTime::now() - Duration::from_secs(age)).unwrap();
        }
        fs::create_dir_all(folder.path().join("folder/model.flm")).unwrap();
        fs::create_dir(folder.path().join("empty")).unwrap();
        let (path, age) = newest(folder.path()).unwrap();
        assert_eq!(path, folder.path().join("new/model.flm"));
        assert_eq!(spoken(age), "12 minutes");
    }

    #[test]
    fn times_are_said_in_one_unit() {
        let said = |seconds| spoken(Duration::from_secs(seconds));
        assert_eq!([0, 1, 99].map(said), ["0 seconds", "1 second", "99 seconds"]);
        assert_eq!([100, 7200, 90_000, 172_800].map(said), ["1 minute", "2 hours", "25 hours", "2 days"]);
    }
}
