//! Addresses: who is asked, and where an answer leads.

use ureq::http::Uri;

use super::HubError;

/// Scheme, host and port of an address: who it is that is asked.
pub fn origin(address: &str) -> Option<(String, String, u16)> {
    let uri: Uri = address.parse().ok()?;
    let scheme = uri.scheme_str()?.to_ascii_lowercase();
    let port = match (uri.port_u16(), scheme.as_str()) {
        (Some(port), _) => port,
        (None, "https") => 443,
        (None, "http") => 80,
        _ => return None,
    };
    Some((scheme, uri.host()?.to_ascii_lowercase(), port))
}

/// The address that `location`, met at `address`, means.
pub fn join(address: &str, location: &str) -> Result<String, HubError> {
    let bad = || HubError::Answer {
        address: address.to_owned(),
        reason: format!("sent to {location:?}, which is no address of a web server"),
    };
    let (scheme, rest) = address.split_once("://").ok_or_else(bad)?;
    let path_at = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let (host, path) = rest.split_at(path_at);
    let joined = if location.contains("://") {
        location.to_owned()
    } else if location.starts_with("//") {
        format!("{scheme}:{location}")
    } else if location.starts_with('/') {
        format!("{scheme}://{host}{location}")
    } else {
        let path = path.split(['?', '#']).next().unwrap_or_default();
        let folder = &path[..path.rfind('/').map_or(0, |slash| slash + 1)];
        format!("{scheme}://{host}{}{location}", if folder.is_empty() { "/" } else { folder })
    };
    if origin(&joined).is_some() { Ok(joined) } else { Err(bad()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_location_is_read_from_where_it_was_met() {
        let at = "https://a.example/b/c?d=e";
        for (location, want) in [
            ("/x?y", "https://a.example/x?y"),
            ("x", "https://a.example/b/x"),
            ("//b.example/x", "https://b.example/x"),
            ("http://b.example:81/x", "http://b.example:81/x"),
        ] {
            assert_eq!(join(at, location).unwrap(), want);
        }
        assert_eq!(join("http://a", "x").unwrap(), "http://a/x");
        for location in ["file:///etc/passwd", "ftp://a/b", "https://", "/a b"] {
            assert!(join(at, location).unwrap_err().to_string().contains("no address of a web server"), "{location}");
        }
    }

    #[test]
    fn only_the_same_scheme_host_and_port_are_the_same() {
        let hub = origin("https://hub.example/a");
        assert_eq!(origin("HTTPS://HUB.example:443/b"), hub);
        for other in
            ["http://hub.example/a", "https://hub.example:8443", "https://cdn.hub.example", "https://hub.example.b"]
        {
            assert_ne!(origin(other), hub, "{other}");
        }
        assert_eq!(origin("https://hub.example@evil.example/"), origin("https://evil.example/"));
    }
}
