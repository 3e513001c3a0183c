//! What a hub refuses, or is refused.

use super::*;

#[test]
fn every_refusal_says_its_cause() {
    let (code, message) = ("X-Error-Code", "X-Error-Message");
    let refused = |reply: Reply, words: &[&str]| {
        let server = Server::new(move |_| reply.clone());
        let user = User::new(&server.address);
        let error = assert_refused(user.get(STORIES), words);
        assert!(error.contains(&server.address), "{error}");
        assert_eq!(server.requests().len(), 1, "{error}");
    };
    refused(Reply::new(401, "").with(code, "RepoNotFound"), &["401", "needs a token", "HF_TOKEN"]);
    refused(Reply::new(403, "").with(code, "GatedRepo").with(message, "Ask."), &["403", "Ask."]);
    refused(Reply::new(404, "").with(code, "RepoNotFound"), &["404", "no such data set"]);
    refused(Reply::new(404, ""), &["404", "no such data set"]);
    refused(Reply::new(451, "").with(message, "Not here."), &["451: Not here."]);
    refused(Reply::page("Sign in"), &["an HTML page (\"Sign in\") came where the list of files was expected"]);
    refused(Reply { status: 403, ..Reply::page("Blocked") }, &["an HTML page (\"Blocked\")", "proxy"]);
    refused(Reply { status: 511, ..Reply::page("Hotel") }, &["an HTML page (\"Hotel\")"]);
    refused(Reply::new(200, " <html><title>Hi</title>"), &["an HTML page (\"Hi\")"]);
    refused(Reply::new(200, "{}"), &["not the list of files", "sha"]);
    refused(Reply::new(200, r#"{"sha":"../x","siblings":[]}"#), &["\"../x\" is no name for a file"]);
}

#[test]
fn a_file_that_is_not_there_is_named() {
    let server = Files::usual().serve();
    assert_refused(User::new(&server.address).get("someone/stories/other.txt"), &["other.txt: no such file", "404"]);
    let none = Files::new("c1", &[("a.parquet", b"PAR1"), ("README.md", b"")]).serve();
    assert_refused(User::new(&none.address).get(STORIES), &["no .txt files", "README.md, a.parquet"]);
    let empty = Files::new("c1", &[]).serve();
    assert_refused(User::new(&empty.address).get(STORIES), &["no .txt files", "it has no files"]);
}

#[test]
fn a_token_that_is_refused_is_named_by_where_it_is_from_and_never_shown() {
    let server = Server::new(|_| Reply::new(401, ""));
    let error = assert_refused(User::new(&server.address).with_token().get(STORIES), &["401", "the token of HF_TOKEN"]);
    assert!(!error.contains("secret"), "{error}");
    let gated = Server::new(|_| Reply::new(403, "").with("X-Error-Code", "GatedRepo"));
    assert_refused(User::new(&gated.address).with_token().get(STORIES), &["403", "access has to be asked for"]);
}

#[test]
fn a_hub_that_is_busy_or_unwell_is_asked_again() {
    for reply in [Reply::new(429, "").with("Retry-After", "0"), Reply::new(503, ""), Reply::new(500, "")] {
        for which in [|r: &Request| r.path.ends_with(LIST_PATH), |r: &Request| r.method == "HEAD", is_download] {
            let server = first(2, which, reply.clone());
            let user = User::new(&server.address);
            user.assert_has(STORIES, TEXT.as_bytes());
            let said = user.said();
            assert_eq!(said.matches("trying again in ").count(), 2, "{said}");
            assert!(said.contains(&format!("status {}", reply.status)), "{said}");
        }
    }
}

#[test]
fn the_hubs_own_time_to_wait_is_kept_and_one_too_long_is_told() {
    let server = first(1, |_| true, Reply::new(429, "").with("Retry-After", "1"));
    let begun = Instant::now();
    User::new(&server.address).assert_has(STORIES, TEXT.as_bytes());
    assert!(begun.elapsed() >= Duration::from_secs(1));
    let busy = Server::new(|_| Reply::new(429, "").with("Retry-After", "86400"));
    let begun = Instant::now();
    assert_refused(User::new(&busy.address).get(STORIES), &["429: asked for too often", "come back in 86400 s"]);
    assert!(begun.elapsed() < Duration::from_secs(1));
}

#[test]
fn patience_ends() {
    let server = Server::new(|_| Reply::new(503, ""));
    assert_refused(User::new(&server.address).get(STORIES), &["503: the hub is not well", "and not in the cache"]);
    assert_eq!(server.requests().len(), 4);
    assert_refused(User::new("http://127.0.0.1:1").get(STORIES), &["http://127.0.0.1:1", "cannot be reached"]);
}

#[test]
fn a_silent_hub_is_given_up_and_left_at_once_on_ctrl_c() {
    let server = Server::new(|_| Reply::silent());
    let mut user = User::new(&server.address);
    user.settings.patience.attempts = 2;
    let begun = Instant::now();
    assert_refused(user.get(STORIES), &["no answer for", "HF_HUB_DOWNLOAD_TIMEOUT"]);
    assert!(begun.elapsed() < Duration::from_secs(3));

    user.settings.patience.download = Duration::from_secs(60);
    let begun = Instant::now();
    let stop = || begun.elapsed() > Duration::from_millis(300);
    let dataset: Dataset = STORIES.parse().unwrap();
    let error = dataset.download_with(&user.settings, Part::Train, &stop, &|_| {}).unwrap_err().to_string();
    assert!(error.contains("stopped") && begun.elapsed() < Duration::from_secs(1), "{error}");
}

#[test]
fn a_page_or_a_pointer_in_place_of_a_text_is_named() {
    for method in ["HEAD", "GET"] {
        let server = odd(Files::usual(), move |request| {
            (request.path.ends_with(".txt") && request.method == method).then(|| Reply::page("Log in"))
        });
        let user = User::new(&server.address);
        assert_refused(user.get(STORIES), &["an HTML page", "where a text file was expected"]);
        assert_eq!(user.snapshots(), 0);
    }
    let pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n";
    let server = Files::new("c1", &[("s.txt", pointer.as_bytes())]).serve();
    let user = User::new(&server.address);
    assert_refused(user.get(STORIES), &["s.txt: a git-LFS pointer came"]);
    assert_eq!(user.snapshots(), 0);
}

#[test]
fn the_token_goes_to_the_endpoint_and_nowhere_else() {
    let store = Server::new(|request| {
        let path = request.path.trim_end_matches("?signed").to_owned();
        Files::usual().answer(&Request { path, ..request.clone() })
    });
    let elsewhere = store.address.clone();
    let hub = odd(Files::usual(), move |request| match request.path.as_str() {
        // a data set that was renamed, on the same hub; and bytes that lie elsewhere
        path if path.starts_with("/api/") && !path.contains("moved") => {
            Some(Reply::new(307, "").with("Location", format!("/moved{path}")))
        }
        path if is_download(request) => Some(Reply::new(302, "").with("Location", format!("{elsewhere}{path}?signed"))),
        _ => None,
    });
    let user = User::new(&hub.address).with_token();
    user.assert_has(STORIES, TEXT.as_bytes());
    let has_token = |request: &Request| request.header("authorization") == Some("Bearer hf_secret");
    assert!(hub.requests().iter().all(has_token) && hub.requests().len() >= 3);
    assert_eq!(store.requests().len(), 1);
    assert!(!store.requests().iter().any(|request| request.header("authorization").is_some()));
}

#[test]
fn addresses_that_lead_nowhere_are_told() {
    let round = Server::new(|request| Reply::new(302, "").with("Location", &request.path));
    assert_refused(User::new(&round.address).get(STORIES), &["sent from address to address more than 10 times"]);
    let file = Server::new(|_| Reply::new(302, "").with("Location", "file:///etc/passwd"));
    assert_refused(User::new(&file.address).get(STORIES), &["\"file:///etc/passwd\"", "no address of a web server"]);
}

#[test]
fn names_that_lead_out_of_the_cache_are_refused_from_the_hub_and_from_the_user() {
    for name in ["../../x.txt", "/etc/x.txt", "a\\..\\x.txt", "C:/x.txt", "a//x.txt", "./x.txt"] {
        let list = serde_json::json!({ "sha": "c1", "siblings": [{ "rfilename": "good.txt" }, { "rfilename": name }] });
        let server = Server::new(move |_| Reply::new(200, list.to_string()));
        let user = User::new(&server.address);
        assert_refused(user.get(STORIES), &["no path inside a data set"]);
        assert!(!user.folder().exists());
        let error = user.get(&format!("someone/stories/{name}")).unwrap_err();
        assert!(error.contains("expected hf:OWNER/NAME"), "{error}");
    }
}
