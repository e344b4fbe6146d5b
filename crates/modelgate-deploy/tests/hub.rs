//! The client of the Hub, against a Hub that refuses as the real one does.

use std::collections::BTreeMap;
use std::process::Command;
use std::time::Duration;

use modelgate_core::Digest;
use modelgate_deploy::hub::{Change, Content, Hub, HubError, Kind, NewFile, Repository, Token};
use modelgate_deploy::space::{Plan, bring, find_same_weights, publish_weights};
use modelgate_testing::CuttingProxy;
use modelgate_testing::hub::{FakeHub, READ_TOKEN, STRANGER_TOKEN, TOKEN};

fn client(url: &str, token: &str) -> Hub {
    Hub::new(url, Some(Token::new(token, "a test").expect("a token"))).expect("a client")
}

fn model() -> Repository {
    Repository::new(Kind::Model, "me/drug").expect("a name")
}

fn space() -> Repository {
    Repository::new(Kind::Space, "me/drug-app").expect("a name")
}

fn change(files: Vec<NewFile>) -> Change {
    Change { files, deleted: Vec::new(), summary: "v001".to_owned() }
}

/// Bytes that no text has, the same each time.
fn large(size: usize) -> Vec<u8> {
    (0..size).map(|at| ((at * 31 + at / 251) % 256) as u8).collect()
}

fn asked(hub: &FakeHub, part: &str) -> usize {
    hub.state().asked.iter().filter(|one| one.contains(part)).count()
}

#[test]
fn what_is_there_already_is_neither_sent_nor_committed_again() {
    let hub = FakeHub::start();
    hub.state().large_from = 1000;
    let client = client(&hub.url, TOKEN);
    assert!(client.create(&model(), false, "").expect("made"));
    assert!(!client.create(&model(), false, "").expect("there"));
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("model.onnx");
    fs_err::write(&path, large(5000)).expect("written");
    let files = |text: &str| {
        let content = Content::file(path.clone()).expect("there");
        vec![
            NewFile { path: "model.onnx".to_owned(), content },
            NewFile::new("manifest.json", text),
            NewFile::new("empty.txt", ""),
        ]
    };
    let first = client.commit(&model(), &change(files("{}"))).expect("committed");
    assert!(first.changed);
    let again = client.commit(&model(), &change(files("{}"))).expect("looked");
    assert_eq!((again.changed, &again.commit), (false, &first.commit));
    let second = client.commit(&model(), &change(files("{ }"))).expect("committed");
    assert!(second.changed && second.commit != first.commit);
    assert_eq!((asked(&hub, "/storage/"), asked(&hub, "/commit/")), (1, 2));
    let read = |revision: &str, path: &str| client.read(&model(), revision, path).expect("asked");
    assert_eq!(read(&first.commit, "manifest.json").as_deref(), Some(b"{}".as_slice()));
    assert_eq!(read("main", "model.onnx"), Some(large(5000)));
    assert_eq!(read("main", "empty.txt"), Some(Vec::new()));
    assert_eq!(read("main", "nothing.txt"), None);

    // A tag stays where it was set.
    client.tag(&model(), &first.commit, "v001").expect("set");
    client.tag(&model(), &first.commit, "v001").expect("set already");
    assert_eq!(client.tag(&model(), &second.commit, "v001").expect_err("moved").status(), Some(409));
    assert_eq!(read("v001", "manifest.json").as_deref(), Some(b"{}".as_slice()));

    // Files go when they are told to, and a second time there is nothing to do.
    let gone =
        Change { files: Vec::new(), deleted: vec!["empty.txt".to_owned()], summary: "tidy".to_owned() };
    assert!(client.commit(&model(), &gone).expect("committed").changed);
    assert!(!client.commit(&model(), &gone).expect("looked").changed);
    let left: Vec<String> = client.files(&model(), "main").expect("listed").into_keys().collect();
    assert_eq!(left, ["manifest.json", "model.onnx"]);
}

#[test]
fn many_files_are_asked_for_and_listed_in_pages() {
    let hub = FakeHub::start();
    let client = client(&hub.url, TOKEN);
    client.create(&space(), true, "docker").expect("made");
    let files: Vec<NewFile> =
        (0..300).map(|number| NewFile::new(format!("src/{number:03}.txt"), number.to_string())).collect();
    client.commit(&space(), &change(files)).expect("committed");
    assert_eq!(client.files(&space(), "main").expect("listed").len(), 300);
    assert_eq!((asked(&hub, "/preupload/"), asked(&hub, "/tree/")), (2, 6));
}

#[test]
fn an_upload_that_is_cut_off_goes_on_with_the_part_that_was_cut() {
    let hub = FakeHub::start();
    {
        let mut state = hub.state();
        (state.large_from, state.part_bytes) = (1000, 400_000);
    }
    // The connection ends in the middle of a part, twice.
    let proxy = CuttingProxy::start(&hub.url, 600_000, 0);
    let client = client(&proxy.endpoint, TOKEN);
    client.create(&model(), false, "").expect("made");
    proxy.cut_next(2);
    let bytes = large(2_100_000);
    client.commit(&model(), &change(vec![NewFile::new("model.onnx", bytes.clone())])).expect("committed");
    assert_eq!(proxy.cuts(), 2);
    assert_eq!(client.read(&model(), "main", "model.onnx").expect("read"), Some(bytes));
    // Six parts arrived, and none that had arrived was sent again from the beginning of the file.
    let parts: Vec<usize> = (1..=6)
        .map(|part| {
            let end = format!("/{part}");
            hub.state()
                .asked
                .iter()
                .filter(|one| one.starts_with("PUT /storage/") && one.ends_with(&end))
                .count()
        })
        .collect();
    assert!(parts.iter().all(|times| *times >= 1) && parts.iter().sum::<usize>() <= 8, "{parts:?}");
}

#[test]
fn a_whole_upload_that_is_cut_off_is_sent_again() {
    let hub = FakeHub::start();
    hub.state().large_from = 1000;
    let proxy = CuttingProxy::start(&hub.url, 500_000, 0);
    let client = client(&proxy.endpoint, TOKEN);
    client.create(&model(), false, "").expect("made");
    proxy.cut_next(1);
    hub.state().storage_troubles.extend([503]);
    let bytes = large(1_000_000);
    client.commit(&model(), &change(vec![NewFile::new("model.onnx", bytes.clone())])).expect("committed");
    assert_eq!(proxy.cuts(), 1);
    assert_eq!(client.read(&model(), "main", "model.onnx").expect("read"), Some(bytes));
}

#[test]
fn an_upload_that_was_never_committed_is_not_sent_again() {
    let hub = FakeHub::start();
    hub.state().large_from = 1000;
    let client = client(&hub.url, TOKEN);
    client.create(&model(), false, "").expect("made");
    let files = || vec![NewFile::new("model.onnx", large(5000)), NewFile::new("second.onnx", large(6000))];
    // What was killed after its first file leaves that one in the store; now the second does not arrive either.
    let first = files()[0].content.sha256().expect("read");
    hub.state().objects.insert(first.clone(), large(5000));
    hub.state().storage_troubles.extend([500; 5]);
    let error = client.commit(&model(), &change(files())).expect_err("the store is broken").to_string();
    assert!(error.contains("could not be reached for PUT") && error.contains("500"), "{error}");
    assert_eq!(client.files(&model(), "main").expect("listed").len(), 0);
    client.commit(&model(), &change(files())).expect("committed");
    assert_eq!(asked(&hub, &format!("PUT /storage/{first}")), 0);
}

#[test]
fn a_branch_that_moves_is_looked_at_again_and_the_same_file_is_told() {
    let hub = FakeHub::start();
    let client = client(&hub.url, TOKEN);
    client.create(&model(), false, "").expect("made");
    hub.state().strangers = 1;
    let ours = change(vec![NewFile::new("manifest.json", "{}")]);
    assert!(client.commit(&model(), &ours).expect("committed").changed);
    let files: Vec<String> = client.files(&model(), "main").expect("listed").into_keys().collect();
    assert_eq!(files, ["manifest.json", "stranger.txt"]);
    assert_eq!(asked(&hub, "/commit/"), 2);

    hub.state().strangers = 100;
    let more = change(vec![NewFile::new("manifest.json", "{ }")]);
    let error = client.commit(&model(), &more).expect_err("it moves each time");
    assert!(matches!(error, HubError::Moved { .. }), "{error}");
    assert!(error.to_string().contains("models/me/drug moved while it was written to: 5 commits"), "{error}");

    hub.state().strangers = 1;
    let same = change(vec![NewFile::new("stranger.txt", "ours")]);
    let error = client.commit(&model(), &same).expect_err("somebody else means something by it").to_string();
    assert!(error.contains("somebody else changed `stranger.txt` too"), "{error}");
    hub.state().strangers = 0;
    assert!(client.commit(&model(), &same).expect("now").changed);
}

#[test]
fn a_token_that_may_not_is_told_and_never_shown() {
    let hub = FakeHub::start();
    client(&hub.url, TOKEN).create(&model(), true, "").expect("made");
    let files = || change(vec![NewFile::new("manifest.json", "{}")]);
    let attempt =
        |client: &Hub| client.create(&model(), false, "").and_then(|_| client.commit(&model(), &files()));
    for (token, status, says) in [
        ("hf_expired-long-ago", 401, "the token is unknown or has expired"),
        (READ_TOKEN, 403, "You must use a write token"),
        (STRANGER_TOKEN, 403, "under the namespace \"me\""),
    ] {
        let error = attempt(&client(&hub.url, token)).expect_err(token);
        assert_eq!(error.status(), Some(status), "{error}");
        let error = error.to_string();
        assert!(error.contains(says) && error.contains("[request Root=1-"), "{error}");
        assert!(error.contains(&hub.url) && !error.contains(token), "{error}");
    }
    let error = attempt(&Hub::new(&hub.url, None).expect("a client")).expect_err("no token").to_string();
    assert!(error.contains("there is no token: put one into HF_TOKEN"), "{error}");
    assert!(client(&hub.url, STRANGER_TOKEN).head(&model(), "main").expect("asked").is_none());
    let nowhere = Repository::new(Kind::Model, "me/nowhere").expect("a name");
    let error = client(&hub.url, TOKEN).commit(&nowhere, &files()).expect_err("nothing there").to_string();
    assert!(error.contains("there is no repository models/me/nowhere"), "{error}");
    assert_eq!(hub.state().repositories.len(), 1);
}

#[test]
fn limits_and_troubles_are_waited_out() {
    let hub = FakeHub::start();
    let client = client(&hub.url, TOKEN);
    hub.state().troubles.extend([(429, Some(1)), (502, None), (503, Some(0))]);
    client.create(&model(), false, "").expect("made");
    hub.state().troubles.extend([(500, None); 5]);
    let error = client.head(&model(), "main").expect_err("broken").to_string();
    assert!(error.contains("could not be reached for GET") && error.contains("500: try again"), "{error}");
    hub.state().troubles.push_back((429, Some(3600)));
    let error = client.head(&model(), "main").expect_err("an hour is not waited").to_string();
    assert!(error.contains("429"), "{error}");
    let closed = Hub::new("http://127.0.0.1:9", None).expect("a client");
    assert!(matches!(closed.head(&model(), "main"), Err(HubError::Unreachable { .. })));
}

#[test]
fn a_space_is_set_up_started_and_waited_for() {
    let hub = FakeHub::start();
    let client = client(&hub.url, TOKEN);
    client.create(&space(), false, "docker").expect("made");
    let files = change(vec![NewFile::new("Dockerfile", "FROM scratch\n")]);
    client.commit(&space(), &files).expect("committed");
    let variables = [("MODELGATE_MODEL_REVISION".to_owned(), "abc".to_owned())];
    assert!(client.set_variables(&space(), &variables).expect("set"));
    assert!(!client.set_variables(&space(), &variables).expect("set already"));
    client
        .set_secret(&space(), "HF_TOKEN", &Token::new("hf_other", "a test").expect("a token"))
        .expect("set");
    assert_eq!(hub.state().space("me/drug-app").secrets["HF_TOKEN"], "hf_other");
    client.restart(&space()).expect("started again");
    assert_eq!(hub.state().space("me/drug-app").restarts, 1);

    let space_of = |hub: &FakeHub, stage: &str, error: Option<&str>| {
        let mut state = hub.state();
        let found = state.repositories.get_mut("spaces/me/drug-app").and_then(|one| one.space.as_mut());
        let found = found.expect("a space");
        (found.stage, found.error) = (stage.to_owned(), error.map(ToOwned::to_owned));
        found.host = Some("http://127.0.0.1:1".to_owned());
    };
    space_of(&hub, "RUNNING", None);
    let wait = |patience| client.wait(&space(), patience, &|_| {});
    assert_eq!(wait(Duration::ZERO).expect("runs"), "http://127.0.0.1:1");
    space_of(&hub, "BUILD_ERROR", Some("no such base image"));
    let error = wait(Duration::from_secs(1)).expect_err("broken").to_string();
    assert!(error.contains("me/drug-app does not run: BUILD_ERROR: no such base image"), "{error}");
    assert!(error.contains("/spaces/me/drug-app"), "{error}");
    space_of(&hub, "BUILDING", None);
    let error = wait(Duration::ZERO).expect_err("too slow").to_string();
    assert!(error.contains("BUILDING after 0 s"), "{error}");
}

#[test]
fn the_stage_of_before_is_not_taken_for_the_end() {
    let hub = FakeHub::start();
    let client = client(&hub.url, TOKEN);
    client.create(&space(), false, "docker").expect("made");
    // Each look sees the next stage, and the last one from then on.
    let waited = |stages: &[&str]| {
        let at = |stage: &str| {
            let mut state = hub.state();
            let found = state.repositories.get_mut("spaces/me/drug-app").and_then(|one| one.space.as_mut());
            let found = found.expect("a space");
            (found.stage, found.host) = (stage.to_owned(), Some("http://127.0.0.1:1".to_owned()));
        };
        let left = std::cell::RefCell::new(stages.iter());
        let next = || left.borrow_mut().next().map_or((), |stage| at(stage));
        next();
        let began = std::time::Instant::now();
        let found = client.wait(&space(), Duration::from_secs(30), &|_| next());
        assert!(began.elapsed() < Duration::from_secs(20), "{stages:?}");
        found.map_err(|error| error.to_string())
    };
    for old in ["NO_APP_FILE", "BUILD_ERROR", "RUNTIME_ERROR"] {
        assert_eq!(waited(&[old, "BUILDING", "RUNNING"]).as_deref(), Ok("http://127.0.0.1:1"), "{old}");
        let error = waited(&[old, "BUILDING", "BUILD_ERROR"]).expect_err("it is the new build's");
        assert!(error.contains("does not run: BUILD_ERROR"), "{error}");
    }
}

#[test]
fn a_dry_run_sends_nothing_and_shows_everything_but_contents() {
    let hub = FakeHub::start();
    let dry = Hub::dry(&hub.url).expect("a client");
    dry.create(&model(), true, "").expect("kept");
    let files =
        vec![NewFile::new("model.onnx", large(3000)), NewFile::new("manifest.json", "{\"a secret row\": 1}")];
    dry.commit(&model(), &change(files)).expect("kept");
    dry.set_secret(&space(), "KEY", &Token::new("a-secret-value", "a test").expect("a token")).expect("kept");
    let kept = dry.kept();
    let shown: String = kept
        .iter()
        .map(|one| format!("{} {} {}\n", one.method, one.url, one.body.as_deref().unwrap_or_default()))
        .collect();
    for part in [
        "POST ",
        "/api/repos/create",
        "/preupload/main",
        "/objects/batch",
        "PUT ",
        "/commit/main",
        "parentCommit",
    ] {
        assert!(shown.contains(part), "{part}: {shown}");
    }
    assert!(shown.contains("lfsFile") && shown.contains("<19 bytes>"), "{shown}");
    assert!(!shown.contains("a secret row") && !shown.contains("a-secret-value"), "{shown}");
    assert!(hub.state().asked.is_empty());
}

#[test]
fn the_fake_hub_is_one_to_the_official_client() {
    let Some(python) = std::env::var_os("MODELGATE_INTEROP_PYTHON") else {
        return modelgate_testing::skip(
            "MODELGATE_INTEROP_PYTHON names no Python with interop/requirements.txt",
        );
    };
    let hub = FakeHub::start();
    {
        let mut state = hub.state();
        (state.large_from, state.part_bytes) = (2_000_000, 1_000_000);
    }
    let home = tempfile::tempdir().expect("a folder");
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/../../interop/hub_round_trip.py");
    let output = Command::new(python)
        .args([script, READ_TOKEN])
        .env("HF_ENDPOINT", &hub.url)
        .env("HF_TOKEN", TOKEN)
        .env("HF_HOME", home.path())
        .env("TMPDIR", home.path())
        .output()
        .expect("started");
    let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    assert!(output.status.success(), "{said}\n{:#?}", hub.state().asked);
    assert!(said.contains("the official client got what it expects"), "{said}");
    // It took both ways for large files.
    assert!(
        asked(&hub, "POST /complete/") == 1 && asked(&hub, "PUT /storage/") >= 4,
        "{:#?}",
        hub.state().asked
    );
}

#[test]
fn a_signature_that_came_later_is_found_again() {
    let hub = FakeHub::start();
    let client = client(&hub.url, TOKEN);
    let package = |name: &str, signature: Option<&str>| -> BTreeMap<String, Vec<u8>> {
        let files =
            [("manifest.json", Some(name)), ("model.onnx", Some("weights")), ("model.sig", signature)];
        files
            .iter()
            .filter_map(|(file, text)| Some(((*file).to_owned(), text.as_ref()?.as_bytes().to_vec())))
            .collect()
    };
    let publish = |package: &BTreeMap<String, Vec<u8>>| {
        let digest = Digest::of(&package["manifest.json"]);
        publish_weights(&client, &model(), false, package, &digest, "v001").expect("published")
    };
    let found = |package: &BTreeMap<String, Vec<u8>>| {
        let digest = Digest::of(&package["manifest.json"]);
        find_same_weights(&client, &model(), &digest, package).expect("asked")
    };
    let [unsigned, old, new] =
        [None, Some("by the old key"), Some("by the new key")].map(|by| package("one", by));
    let first = publish(&unsigned);
    assert_eq!((found(&unsigned).as_ref(), found(&old)), (Some(&first), None));
    let second = publish(&old);
    let _ = publish(&package("two", Some("another")));
    let third = publish(&new);
    // Each is where it was brought, whatever came behind it, and is not sent again.
    let commits = || hub.state().repositories["models/me/drug"].commits.len();
    let before = commits();
    for (package, revision) in [(&unsigned, &first), (&old, &second), (&new, &third)] {
        assert_eq!(found(package).as_ref(), Some(revision));
        assert_eq!(publish(package), *revision);
    }
    assert_eq!(commits(), before);
}

#[test]
fn a_space_that_was_stopped_starts_with_what_is_brought_there() {
    let hub = FakeHub::start();
    let client = client(&hub.url, TOKEN);
    let stage = || client.runtime(&space()).expect("there").word;
    let bring_it = |text: &str| {
        let plan = Plan {
            sdk: "docker",
            private: false,
            files: vec![NewFile::new("Dockerfile", text)],
            packages: None,
            variables: vec![("A".to_owned(), "b".to_owned())],
            secrets: Vec::new(),
            summary: "v001".to_owned(),
        };
        bring(&client, &space(), &plan).expect("brought");
    };
    bring_it("FROM scratch");
    assert_eq!(stage(), "RUNNING");
    client.pause(&space()).expect("stopped");
    assert!(client.runtime(&space()).expect("there").is_stopped());
    // Its variables are the same, and a commit alone starts nothing.
    bring_it("FROM scratch\nUSER 1");
    assert_eq!(stage(), "RUNNING");
    let other = Repository::new(Kind::Space, "me/other").expect("a name");
    assert_eq!(client.pause(&other).expect_err("none").status(), Some(404));
}
