//! Text files of data sets on the Hugging Face hub.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use hf_hub::api::sync::ApiBuilder;
use hf_hub::{Cache, Repo, RepoType};

use super::DataError;

const ENDPOINT: &str = "https://huggingface.co";

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
            (Some(owner), Some(set), file) if !owner.is_empty() && !set.is_empty() && file != Some("") => {
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
    /// Downloads what is not in the hub's cache yet and returns the files' paths. The environment decides, as for
    /// every client of the hub: `HF_ENDPOINT` the address, `HF_HOME` the cache.
    pub fn download(&self, part: Part) -> Result<Vec<PathBuf>, DataError> {
        let endpoint = std::env::var("HF_ENDPOINT").unwrap_or_else(|_| ENDPOINT.to_owned());
        self.download_from(&endpoint, Cache::from_env(), part)
    }

    fn download_from(&self, endpoint: &str, cache: Cache, part: Part) -> Result<Vec<PathBuf>, DataError> {
        let endpoint = endpoint.trim_end_matches('/').to_owned();
        let failed =
            |message: String| DataError::Hub { dataset: self.repository.clone(), endpoint: endpoint.clone(), message };
        let api = ApiBuilder::from_cache(cache)
            .with_endpoint(endpoint.clone())
            .with_retries(3)
            .build()
            .map_err(|error| failed(error.to_string()))?;
        let repository = api.repo(Repo::new(self.repository.clone(), RepoType::Dataset));
        let files = match &self.file {
            Some(file) => vec![file.clone()],
            None => {
                let info = repository.info().map_err(|error| failed(error.to_string()))?;
                choose(info.siblings.into_iter().map(|file| file.rfilename).collect(), part)
            }
        };
        if files.is_empty() {
            return Err(failed("no .txt files in this data set".to_owned()));
        }
        files.iter().map(|file| repository.get(file).map_err(|error| failed(format!("{file}: {error}")))).collect()
    }
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

#[cfg(test)]
mod tests {
    use std::io::{BufRead, BufReader, Write};
    use std::net::TcpListener;

    use super::*;

    /// A hub with one data set: answers the listing, the headers' request and the download, as the real one does.
    fn serve(text: &'static str) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                let mut lines = BufReader::new(stream.try_clone().unwrap()).lines().map_while(Result::ok);
                let request = lines.next().unwrap_or_default();
                let headers: Vec<String> = lines.take_while(|line| !line.is_empty()).collect();
                let range =
                    headers.iter().find_map(|h| h.to_ascii_lowercase().strip_prefix("range: ").map(str::to_owned));
                let (status, body) = match request.split(' ').nth(1).unwrap_or_default() {
                    "/api/datasets/someone/stories/revision/main" => {
                        let files =
                            r#"[{"rfilename":"README.md"},{"rfilename":"s-train.txt"},{"rfilename":"s-valid.txt"}]"#;
                        ("200 OK", format!(r#"{{"siblings":{files},"sha":"abc"}}"#))
                    }
                    "/datasets/someone/stories/resolve/main/s-train.txt" => match range.as_deref() {
                        Some("bytes=0-0") => ("206 Partial Content", text[..1].to_owned()),
                        _ => ("206 Partial Content", text.to_owned()),
                    },
                    _ => ("404 Not Found", String::new()),
                };
                let _ = write!(
                    stream,
                    "HTTP/1.1 {status}\r\nContent-Length: {}\r\nContent-Range: bytes 0-0/{}\r\nx-repo-commit: abc\r\n\
                     etag: \"e1\"\r\nConnection: close\r\n\r\n{body}",
                    body.len(),
                    text.len(),
                );
            }
        });
        format!("http://{address}")
    }

    #[test]
    fn training_files_are_downloaded_once_and_a_missing_one_is_named() {
        let endpoint = serve("One.\n<|endoftext|>\nTwo.\n<|endoftext|>\n");
        let dir = tempfile::tempdir().unwrap();
        let cache = || Cache::new(dir.path().to_owned());
        let dataset: Dataset = "someone/stories".parse().unwrap();
        let files = dataset.download_from(&endpoint, cache(), Part::Train).unwrap();
        assert_eq!(files.len(), 1);
        assert!(std::fs::read_to_string(&files[0]).unwrap().starts_with("One.\n"));
        assert_eq!(files, dataset.download_from(&endpoint, cache(), Part::Train).unwrap());
        let missing: Dataset = "someone/stories/other.txt".parse().unwrap();
        let error = missing.download_from(&endpoint, cache(), Part::Train).unwrap_err().to_string();
        assert!(error.contains("hf:someone/stories: other.txt") && error.contains(&endpoint), "{error}");
    }

    #[test]
    fn an_unreachable_hub_is_an_error_that_names_its_address() {
        let dir = tempfile::tempdir().unwrap();
        let dataset: Dataset = "someone/stories".parse().unwrap();
        // Port 1 of this machine: nobody listens.
        let error = dataset.download_from("http://127.0.0.1:1", Cache::new(dir.path().to_owned()), Part::Train);
        assert!(error.unwrap_err().to_string().contains("http://127.0.0.1:1"));
    }

    #[test]
    fn validation_files_never_train() {
        let files = || ["V2-valid.txt", "b-train.txt", "a-train.txt", "x.csv", "notes.txt"].map(String::from).to_vec();
        assert_eq!(choose(files(), Part::Train), ["a-train.txt", "b-train.txt"]);
        assert_eq!(choose(files(), Part::Valid), ["V2-valid.txt"]);
        assert_eq!(choose(vec!["stories.txt".into(), "test.txt".into()], Part::Train), ["stories.txt"]);
    }

    #[test]
    fn names_are_checked() {
        for name in ["", "a", "a/", "/b", "a/b/"] {
            assert!(name.parse::<Dataset>().is_err(), "{name:?}");
        }
        assert_eq!("a/b/c/d.txt".parse::<Dataset>().unwrap().to_string(), "hf:a/b/c/d.txt");
    }
}
