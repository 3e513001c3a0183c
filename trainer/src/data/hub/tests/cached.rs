//! What the cache has, and what is kept in it.

use super::*;

#[test]
fn files_are_downloaded_once_and_lie_where_other_clients_look() {
    let server = Files::usual().serve();
    let user = User::new(&server.address);
    let path = user.assert_has(STORIES, TEXT.as_bytes());
    assert_eq!(path, user.folder().join("snapshots/c1/s-train.txt"));
    assert_eq!(fs::read_to_string(user.folder().join("refs/main")).unwrap(), "c1");
    let blob = user.folder().join("blobs").join(git_hash(TEXT.as_bytes()));
    assert_eq!(fs::read_link(&path).unwrap(), Path::new("../../blobs").join(blob.file_name().unwrap()));
    assert_eq!(fs::read(&blob).unwrap(), TEXT.as_bytes());
    assert_eq!(fs::read_dir(user.folder().join("blobs")).unwrap().count(), 1, "nothing incomplete is left");
    user.assert_has(STORIES, TEXT.as_bytes());
    assert_eq!(server.count("GET", ".txt"), 1);
    assert_eq!(user.get_part(STORIES, Part::Valid).unwrap()[0].file_name().unwrap(), "s-valid.txt");
    assert!(user.said().contains("downloading s-train.txt (38 bytes)"), "{}", user.said());
}

#[test]
fn what_is_cached_is_used_when_the_hub_is_gone_silent_unwell_or_a_login_page() {
    let server = Files::usual().serve();
    let user = User::new(&server.address);
    user.assert_has(STORIES, TEXT.as_bytes());
    let replies = [Reply::silent(), Reply::new(503, ""), Reply::new(429, ""), Reply::page("Welcome to our hotel")];
    let servers: Vec<Server> = replies.into_iter().map(|reply| Server::new(move |_| reply.clone())).collect();
    let endpoints = servers.iter().map(|server| server.address.as_str()).chain(["http://127.0.0.1:1"]);
    for endpoint in endpoints {
        let later = User::sharing(endpoint, user.settings.cache.clone());
        let begun = Instant::now();
        later.assert_has(STORIES, TEXT.as_bytes());
        assert!(begun.elapsed() < Duration::from_secs(3));
        let said = later.said();
        assert!(said.contains("using commit c1 of the cache") && said.contains(endpoint), "{said}");
    }
    assert!(servers.iter().all(|server| server.requests().len() == 1), "nobody waits for a hub that is not needed");
}

#[test]
fn offline_nothing_is_asked() {
    let server = Files::usual().serve();
    let mut user = User::new(&server.address);
    user.settings.offline = true;
    assert_refused(user.get(STORIES), &["not in the cache", "hub"]);
    user.settings.offline = false;
    user.assert_has(STORIES, TEXT.as_bytes());
    let asked = server.requests().len();
    user.settings.offline = true;
    user.assert_has(STORIES, TEXT.as_bytes());
    assert_refused(user.get_part(STORIES, Part::Valid), &["s-valid.txt of commit c1 is missing"]);
    assert_refused(user.get("someone/stories/x.txt"), &["x.txt of commit c1 is missing"]);
    assert_eq!(server.requests().len(), asked);
    assert!(user.said().contains("HF_HUB_OFFLINE is set: using commit c1"), "{}", user.said());
}

#[test]
fn what_another_client_left_is_found() {
    let user = User::new("http://127.0.0.1:1");
    let folder = user.folder();
    for below in ["refs", "blobs", "snapshots/c9/data"] {
        fs::create_dir_all(folder.join(below)).unwrap();
    }
    fs::write(folder.join("refs/main"), "c9").unwrap();
    fs::write(folder.join("blobs/e1"), TEXT).unwrap();
    let link = folder.join("snapshots/c9/data/s.txt");
    std::os::unix::fs::symlink("../../../blobs/e1", &link).unwrap();
    assert_eq!(user.assert_has(STORIES, TEXT.as_bytes()), link);
    // a link to a blob that is gone is no file
    fs::remove_file(folder.join("blobs/e1")).unwrap();
    assert_refused(user.get(STORIES), &["cannot be reached", "and no .txt files"]);
}

#[test]
fn a_blob_that_is_there_is_linked_and_one_that_is_cut_off_is_downloaded_anew() {
    let server = Files::usual().serve();
    let user = User::new(&server.address);
    let blob = user.folder().join("blobs").join(git_hash(TEXT.as_bytes()));
    fs::create_dir_all(blob.parent().unwrap()).unwrap();
    fs::write(&blob, TEXT).unwrap();
    user.assert_has(STORIES, TEXT.as_bytes());
    assert_eq!(server.count("GET", ".txt"), 0);
    fs::write(&blob, &TEXT[..7]).unwrap();
    let mut offline = User::sharing(&server.address, user.settings.cache.clone());
    offline.settings.offline = true;
    assert_refused(offline.get(STORIES), &["missing or cut off"]);
    user.assert_has(STORIES, TEXT.as_bytes());
    assert_eq!(server.count("GET", ".txt"), 1);
}

#[test]
fn a_new_commit_is_downloaded_and_the_earlier_one_serves_until_it_is_whole() {
    let server = Files::usual().serve();
    let user = User::new(&server.address);
    user.assert_has(STORIES, TEXT.as_bytes());
    let newer = || Files::new("c2", &[("s-train.txt", b"Newer.\n")]);
    let broken = odd(newer(), |request| is_download(request).then(|| Reply::new(503, "")));
    let hindered = User::sharing(&broken.address, user.settings.cache.clone());
    hindered.assert_has(STORIES, TEXT.as_bytes());
    assert!(hindered.said().contains("using commit c1"), "{}", hindered.said());
    let well = newer().serve();
    User::sharing(&well.address, user.settings.cache.clone()).assert_has(STORIES, b"Newer.\n");
    assert_eq!(fs::read_to_string(user.folder().join("refs/main")).unwrap(), "c2");
}

#[test]
fn a_list_from_the_cache_is_not_trusted_either() {
    let user = User::new("http://127.0.0.1:1");
    for below in ["refs", "trees", "snapshots/c1"] {
        fs::create_dir_all(user.folder().join(below)).unwrap();
    }
    fs::write(user.folder().join("refs/main"), "c1").unwrap();
    fs::write(user.folder().join("snapshots/c1/s.txt"), TEXT).unwrap();
    fs::write(user.folder().join("x.txt"), "outside").unwrap();
    let tree = r#"{"format_version":1,"files":{"../../x.txt":{"size":7}}}"#;
    fs::write(user.folder().join("trees/c1.json"), tree).unwrap();
    // a list that makes no sense is as none: what is there counts
    user.assert_has(STORIES, TEXT.as_bytes());
    fs::write(user.folder().join("refs/main"), "../..").unwrap();
    assert_refused(user.get(STORIES), &["not in the cache"]);
}

#[test]
fn several_that_download_at_once_do_not_harm_each_other() {
    let text: Vec<u8> = (0..50_000u32).flat_map(|i| format!("{i} ").into_bytes()).collect();
    let files = Files::new("c1", &[("s.txt", &text)]);
    let slowly = files.clone();
    let server = odd(files, move |request| {
        is_download(request)
            .then(|| Reply { slow: Some((50_000, Duration::from_millis(60))), ..slowly.answer(request) })
    });
    let dir = tempfile::tempdir().unwrap();
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                let user = User::sharing(&server.address, dir.path().join("hub"));
                user.assert_has(STORIES, &text);
            });
        }
    });
    assert_eq!(server.count("GET", ".txt"), 1, "the others waited for the first");
}

#[test]
fn a_cache_that_cannot_be_written_still_serves() {
    let server = Files::usual().serve();
    let user = User::new(&server.address);
    user.assert_has(STORIES, TEXT.as_bytes());
    fs::write(user.folder().join("trees/c1.json"), "damaged").unwrap();
    let tree = user.folder().join("trees");
    fs::remove_dir_all(&tree).unwrap();
    // a file where a folder should be: nothing can be written there, by anyone
    fs::write(&tree, "").unwrap();
    user.assert_has(STORIES, TEXT.as_bytes());
}
