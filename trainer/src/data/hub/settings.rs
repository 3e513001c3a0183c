//! What the environment says about the hub, read as the hub's own client reads it.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::HubError;

const ENDPOINT: &str = "https://huggingface.co";

/// Where the hub is, where its files are kept, and who asks.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Without a slash at its end.
    pub endpoint: String,
    /// The cache that all clients of the hub share.
    pub cache: PathBuf,
    pub token: Option<Token>,
    /// Whether the network is to be left alone.
    pub offline: bool,
    pub bars: bool,
    pub patience: Patience,
}

/// A secret, and where it was found; only the latter is ever shown.
#[derive(Clone)]
pub struct Token {
    pub secret: String,
    pub found_in: String,
}

impl std::fmt::Debug for Token {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Token of {}", self.found_in)
    }
}

/// How long is waited for what.
#[derive(Clone, Copy, Debug)]
pub struct Patience {
    /// For the answer to a question about files.
    pub answer: Duration,
    /// For the next bytes of a download.
    pub download: Duration,
    /// Attempts of anything that may pass, and the pause behind the first; each further pause is twice as long.
    pub attempts: u32,
    pub pause: Duration,
}

impl Patience {
    const USUAL: Self = Self {
        answer: Duration::from_secs(10),
        download: Duration::from_secs(10),
        attempts: 5,
        pause: Duration::from_secs(1),
    };
}

impl Settings {
    /// Of this process's environment.
    pub fn from_env() -> Result<Self, HubError> {
        Self::read(|name| std::env::var_os(name), std::env::home_dir())
    }

    /// Of variables as `variable` gives them (one that is empty is as one that is not there) and of a user's home.
    pub fn read(variable: impl Fn(&str) -> Option<OsString>, home: Option<PathBuf>) -> Result<Self, HubError> {
        let set = |name: &str| variable(name).filter(|value| !value.is_empty());
        let text = |name: &'static str, expected: &'static str| match set(name).map(OsString::into_string) {
            None => Ok(None),
            Some(Ok(text)) => Ok(Some(text)),
            Some(Err(found)) => {
                Err(HubError::Environment { name, expected, found: found.to_string_lossy().into_owned() })
            }
        };
        let home = home.filter(|home| home.is_absolute());
        let path = |name: &str| set(name).map(|value| expand(&value, home.as_deref(), &set));
        let hub_home = path("HF_HOME").or_else(|| path("XDG_CACHE_HOME").map(|cache| cache.join("huggingface")));
        let hub_home = hub_home.or_else(|| home.as_ref().map(|home| home.join(".cache").join("huggingface")));
        let cache = path("HF_HUB_CACHE").or_else(|| path("HUGGINGFACE_HUB_CACHE"));
        let cache = cache.or_else(|| hub_home.as_ref().map(|home| home.join("hub"))).ok_or(HubError::NoHome)?;
        // an absolute one, as links in it lead from one place to another
        let cache = std::path::absolute(&cache).map_err(HubError::io(&cache))?;

        let address = "an address that begins with http:// or https://";
        let endpoint = text("HF_ENDPOINT", address)?.unwrap_or_else(|| ENDPOINT.to_owned());
        let endpoint = endpoint.trim().trim_end_matches('/').to_owned();
        let whole = endpoint.strip_prefix("https://").or_else(|| endpoint.strip_prefix("http://"));
        if whole.is_none_or(|rest| rest.is_empty() || rest.contains(|c: char| c.is_whitespace() || c.is_control())) {
            return Err(HubError::Environment { name: "HF_ENDPOINT", expected: address, found: endpoint });
        }

        let yes = |name: &'static str| -> Result<bool, HubError> {
            let value = text(name, "1 or 0")?.unwrap_or_default().to_ascii_uppercase();
            Ok(matches!(value.as_str(), "1" | "ON" | "YES" | "TRUE"))
        };
        let seconds = |name: &'static str, usual: Duration| {
            let expected = "a whole number of seconds";
            match text(name, expected)? {
                None => Ok(usual),
                Some(text) => match text.trim().parse::<u32>() {
                    Ok(0) => Ok(usual),
                    Ok(seconds) => Ok(Duration::from_secs(seconds.into())),
                    Err(_) => Err(HubError::Environment { name, expected, found: text }),
                },
            }
        };
        let usual = Patience::USUAL;
        Ok(Self {
            endpoint,
            cache,
            token: if yes("HF_HUB_DISABLE_IMPLICIT_TOKEN")? {
                None
            } else {
                let file = path("HF_TOKEN_PATH").or_else(|| hub_home.map(|home| home.join("token")));
                token(&text, file.as_deref())?
            },
            offline: yes("HF_HUB_OFFLINE")? || yes("TRANSFORMERS_OFFLINE")?,
            bars: !yes("HF_HUB_DISABLE_PROGRESS_BARS")?,
            patience: Patience {
                answer: seconds("HF_HUB_ETAG_TIMEOUT", usual.answer)?,
                download: seconds("HF_HUB_DOWNLOAD_TIMEOUT", usual.download)?,
                ..usual
            },
        })
    }
}

/// The token of a variable, else that of the file that logging in wrote.
fn token(
    text: &impl Fn(&'static str, &'static str) -> Result<Option<String>, HubError>,
    file: Option<&Path>,
) -> Result<Option<Token>, HubError> {
    let expected = "a token of printable ASCII characters";
    // a token with anything else in it could not be sent, or would change the request
    let checked = |secret: String, name: &'static str, found_in: String| {
        let secret: String = secret.chars().filter(|c| !matches!(c, '\r' | '\n')).collect();
        match secret.trim() {
            "" => Ok(None),
            trimmed if trimmed.chars().all(|c| c.is_ascii_graphic()) => {
                Ok(Some(Token { secret: trimmed.to_owned(), found_in }))
            }
            _ => Err(HubError::Environment { name, expected, found: "something else".to_owned() }),
        }
    };
    for name in ["HF_TOKEN", "HUGGING_FACE_HUB_TOKEN"] {
        if let Some(token) = text(name, expected)?
            && let Some(token) = checked(token, name, name.to_owned())?
        {
            return Ok(Some(token));
        }
    }
    // a file that is not there or not ours to read is no token: most data sets need none
    let Some((path, secret)) = file.and_then(|path| Some((path, fs::read_to_string(path).ok()?))) else {
        return Ok(None);
    };
    checked(secret, "HF_TOKEN_PATH", path.display().to_string())
}

/// A path with a leading `~` and with variables (`$NAME`, `${NAME}`) put in; what is not known stays as it is.
fn expand(value: &OsString, home: Option<&Path>, variable: &impl Fn(&str) -> Option<OsString>) -> PathBuf {
    let Some(text) = value.to_str() else { return value.into() };
    let mut rest = text;
    let mut out = String::with_capacity(text.len());
    if let (Some(home), Some(below)) = (home.and_then(Path::to_str), text.strip_prefix('~'))
        && (below.is_empty() || below.starts_with('/'))
    {
        out.push_str(home);
        rest = below;
    }
    while let Some((before, after)) = rest.split_once('$') {
        out.push_str(before);
        let plain = after.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(after.len());
        let (name, behind) = match after.strip_prefix('{').and_then(|inner| inner.split_once('}')) {
            Some(braced) => braced,
            None => after.split_at(plain),
        };
        let value = if name.is_empty() { None } else { variable(name).and_then(|value| value.into_string().ok()) };
        match value {
            Some(value) => {
                out.push_str(&value);
                rest = behind;
            }
            None => {
                out.push('$');
                rest = after;
            }
        }
    }
    out.push_str(rest);
    out.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(variables: &[(&str, &str)], home: Option<&str>) -> Result<Settings, HubError> {
        let get = |name: &str| variables.iter().find(|(n, _)| *n == name).map(|(_, value)| OsString::from(value));
        Settings::read(get, home.map(PathBuf::from))
    }

    fn cache(variables: &[(&str, &str)]) -> PathBuf {
        read(variables, Some("/home/sue")).unwrap().cache
    }

    #[test]
    fn the_cache_is_where_the_hubs_own_client_has_it() {
        let (home, xdg) = (("HF_HOME", "/data/hf"), ("XDG_CACHE_HOME", "/var/x"));
        assert_eq!(cache(&[]), Path::new("/home/sue/.cache/huggingface/hub"));
        assert_eq!(cache(&[xdg]), Path::new("/var/x/huggingface/hub"));
        assert_eq!(cache(&[xdg, home]), Path::new("/data/hf/hub"));
        assert_eq!(cache(&[home, ("HUGGINGFACE_HUB_CACHE", "/old")]), Path::new("/old"));
        assert_eq!(cache(&[("HUGGINGFACE_HUB_CACHE", "/old"), ("HF_HUB_CACHE", "/new")]), Path::new("/new"));
        assert_eq!(cache(&[("HF_HOME", "")]), Path::new("/home/sue/.cache/huggingface/hub"));
        assert_eq!(cache(&[("HF_HOME", "~/hf")]), Path::new("/home/sue/hf/hub"));
        let some = [("A", "/a"), ("HF_HOME", "$A/${A}b/$B/${C")];
        assert_eq!(cache(&some), Path::new("/a//ab/$B/${C/hub"));
    }

    #[test]
    fn without_a_home_only_a_named_cache_will_do() {
        assert!(matches!(read(&[], None), Err(HubError::NoHome)));
        assert!(matches!(read(&[], Some("")), Err(HubError::NoHome)));
        assert!(read(&[], None).unwrap_err().to_string().contains("HF_HOME"));
        assert_eq!(read(&[("HF_HUB_CACHE", "/c")], None).unwrap().cache, Path::new("/c"));
    }

    #[test]
    fn a_token_comes_from_a_variable_or_else_the_file_and_is_never_shown() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("token");
        fs::write(&file, "hf_file\n").unwrap();
        let file = file.to_str().unwrap();
        let token = |variables: &[(&str, &str)]| read(variables, Some("/nobody")).map(|settings| settings.token);
        assert!(token(&[]).unwrap().is_none());
        let of_file = token(&[("HF_TOKEN_PATH", file)]).unwrap().unwrap();
        assert_eq!((of_file.secret.as_str(), of_file.found_in.as_str()), ("hf_file", file));
        let of_home = token(&[("HF_HOME", dir.path().to_str().unwrap())]).unwrap().unwrap();
        assert_eq!(of_home.secret, "hf_file");
        let both = token(&[("HF_TOKEN_PATH", file), ("HF_TOKEN", " hf_variable\n")]).unwrap().unwrap();
        assert_eq!((both.secret.as_str(), both.found_in.as_str()), ("hf_variable", "HF_TOKEN"));
        assert_eq!(token(&[("HUGGING_FACE_HUB_TOKEN", "hf_old")]).unwrap().unwrap().secret, "hf_old");
        assert!(token(&[("HF_TOKEN", "hf_a"), ("HF_HUB_DISABLE_IMPLICIT_TOKEN", "1")]).unwrap().is_none());
        assert!(!format!("{both:?}").contains("variable"));
        let error = token(&[("HF_TOKEN", "hf geheim")]).unwrap_err().to_string();
        assert!(error.starts_with("HF_TOKEN: expected a token") && !error.contains("geheim"), "{error}");
    }

    #[test]
    fn values_that_make_no_sense_are_refused_by_name() {
        for (name, value) in
            [("HF_ENDPOINT", "hub.example"), ("HF_ENDPOINT", "https://"), ("HF_ENDPOINT", "http://a b")]
        {
            assert!(
                read(&[(name, value)], Some("/h")).unwrap_err().to_string().contains("begins with http"),
                "{value}"
            );
        }
        let error = read(&[("HF_HUB_ETAG_TIMEOUT", "soon")], Some("/h")).unwrap_err().to_string();
        assert_eq!(error, "HF_HUB_ETAG_TIMEOUT: expected a whole number of seconds, found \"soon\"");
    }

    #[test]
    fn yes_is_what_the_hubs_own_client_takes_for_it() {
        for (value, offline) in [("1", true), ("yes", true), ("True", true), ("ON", true), ("0", false), ("", false)] {
            assert_eq!(read(&[("HF_HUB_OFFLINE", value)], Some("/h")).unwrap().offline, offline, "{value:?}");
        }
        let settings = read(&[("HF_HUB_DOWNLOAD_TIMEOUT", "3"), ("HF_ENDPOINT", "http://a:1/")], Some("/h")).unwrap();
        assert_eq!((settings.patience.download, settings.endpoint.as_str()), (Duration::from_secs(3), "http://a:1"));
    }
}
