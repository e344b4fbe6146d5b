//! The webhook, against a real HTTP server.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::sync::mpsc::{Receiver, channel};

use modelgate_testing::TestProject;

use super::{CONFIG, easy, project, run};
use crate::BINARY;

/// A request: its headers in lower case, and its body.
struct Request {
    headers: Vec<String>,
    body: String,
}

impl Request {
    fn header(&self, name: &str) -> String {
        let prefix = format!("{name}: ");
        let found = self.headers.iter().find_map(|line| line.strip_prefix(&prefix).map(str::to_owned));
        found.unwrap_or_default()
    }
}

/// Answers each request with `answer` and hands it on.
fn server(answer: &'static str) -> (String, Receiver<Request>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("address");
    let (sender, receiver) = channel();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let Ok(mut stream) = stream else { return };
            let mut reader = BufReader::new(stream.try_clone().expect("stream"));
            let mut headers = Vec::new();
            let mut line = String::new();
            while reader.read_line(&mut line).is_ok_and(|length| length > 2) {
                let (name, value) = line.trim().split_once(": ").unwrap_or((line.trim(), ""));
                headers.push(format!("{}: {value}", name.to_lowercase()));
                line.clear();
            }
            let request = Request { headers, body: String::new() };
            let length = request.header("content-length").parse().unwrap_or(0);
            let mut body = vec![0; length];
            reader.read_exact(&mut body).expect("body");
            let _ = stream.write_all(answer.as_bytes());
            let body = String::from_utf8(body).expect("text");
            if sender.send(Request { body, ..request }).is_err() {
                return;
            }
        }
    });
    (format!("http://{address}/hook/secret-path"), receiver)
}

const OK: &str = "HTTP/1.1 204 No Content\r\nconnection: close\r\n\r\n";

fn config(url: &str, more: &str) -> String {
    let notify = format!("notify: {{url: \"{url}\", secret_env: HOOK_KEY{more}}}\npipelines:");
    CONFIG.replace("pipelines:", &notify)
}

#[test]
fn who_is_told_slowly_keeps_nobody_waiting() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let url = format!("http://{}/hook", listener.local_addr().expect("address"));
    let project = project(CONFIG, 2);
    project.write("modelgate.yaml", config(&url, ", allow_private: true"));
    let mut rollback = project.command(&["model", "rollback", "p", "--yes", "--reason", "bad"]);
    let mut rollback = rollback.env("HOOK_KEY", "k3y").spawn().expect("started");
    // It is being told, and has no answer yet.
    let (stream, _) = listener.accept().expect("told");
    let _ = project.run(&["model", "alias", "p", "audited", "1"]).exits(0);
    let answer = |mut stream: std::net::TcpStream| stream.write_all(OK.as_bytes()).expect("answered");
    answer(stream);
    let (stream, _) = listener.accept().expect("told of the quarantine");
    answer(stream);
    assert!(rollback.wait().expect("ended").success());
}

#[cfg(unix)]
#[test]
fn what_a_killed_command_was_telling_is_told_by_the_next() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let deaf = format!("http://{}/hook", listener.local_addr().expect("address"));
    let project = project(CONFIG, 2);
    project.write("modelgate.yaml", config(&deaf, ", allow_private: true"));
    let mut rollback = project.command(&["model", "rollback", "p", "--yes", "--reason", "bad"]);
    let mut rollback = rollback.env("HOOK_KEY", "k3y").spawn().expect("started");
    let _ = listener.accept().expect("told");
    rollback.kill().expect("killed");
    let _ = rollback.wait();
    assert!(!project.path(".modelgate/unfinished/p.json").exists());
    let (url, requests) = server(OK);
    project.write("modelgate.yaml", config(&url, ", allow_private: true"));
    let status = || {
        let output = project.command(&["status"]).env("HOOK_KEY", "k3y").output().expect("started");
        String::from_utf8_lossy(&output.stderr).into_owned()
    };
    let said = status();
    assert!(said.contains("p v001 was gone back to") && said.contains("p v002 was quarantined"), "{said}");
    let told = || requests.recv_timeout(std::time::Duration::from_secs(10)).expect("told");
    let mut events = [told(), told()].map(|request| request.header("x-modelgate-event"));
    events.sort_unstable();
    assert_eq!(events, ["quarantined", "rolled_back"]);
    // Once.
    assert!(!status().contains("interrupted"));
    assert!(requests.try_recv().is_err());
}

#[test]
fn promotion_rollback_and_quarantine_are_told_and_signed() {
    let (url, requests) = server(OK);
    let project = project(CONFIG, 1);
    project.write("modelgate.yaml", config(&url, ", allow_private: true"));
    let command = |arguments: &[&str]| {
        let output = project.command(arguments).env("HOOK_KEY", "k3y").env("MODELGATE_SEED", "2").output();
        let output = output.expect("started");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8_lossy(&output.stderr).into_owned()
    };
    command(&["run"]);
    command(&["model", "rollback", "p", "--yes", "--reason", "bad"]);
    for (event, version) in [("promoted", 2), ("rolled_back", 1), ("quarantined", 2)] {
        let request = requests.recv_timeout(std::time::Duration::from_secs(10)).expect("told");
        assert_eq!(request.header("x-modelgate-event"), event);
        let body: serde_json::Value = serde_json::from_str(&request.body).expect("JSON");
        assert_eq!((&body["model"], &body["version"]), (&"p".into(), &version.into()));
        let time = request.header("x-modelgate-timestamp");
        let expected = modelgate_pipeline::notify::signature("k3y", &time, &request.body);
        assert_eq!(request.header("x-modelgate-signature"), expected);
        assert!(!request.body.contains("k3y"));
    }
}

#[cfg(unix)]
#[test]
fn the_hook_is_told_where_nobody_reads_what_the_command_prints() {
    let (url, requests) = server(OK);
    let project = project(CONFIG, 1);
    project.write("modelgate.yaml", config(&url, ", allow_private: true"));
    let unread = |arguments: &[&str]| {
        let (reader, writer) = std::io::pipe().expect("a pipe");
        drop(reader);
        let mut command = project.command(arguments);
        let ended = command.env("HOOK_KEY", "k3y").env("MODELGATE_SEED", "2").stdout(writer).output();
        assert!(ended.expect("started").status.success());
        requests.recv_timeout(std::time::Duration::from_secs(10)).expect("told").header("x-modelgate-event")
    };
    assert_eq!(unread(&["run"]), "promoted");
    let rollback = ["--output-format", "json", "model", "rollback", "p", "--yes", "--reason", "bad"];
    assert_eq!(unread(&rollback), "rolled_back");
}

#[test]
fn a_redirect_is_not_followed_and_a_private_address_is_refused() {
    let (target, reached) = server(OK);
    let redirect =
        format!("HTTP/1.1 307 Temporary Redirect\r\nlocation: {target}\r\nconnection: close\r\n\r\n");
    let (url, _requests) = server(Box::leak(redirect.into_boxed_str()));
    let project = TestProject::with(BINARY, &easy(), &config(&url, ", allow_private: true"));
    let output = project.command(&["run"]).env("HOOK_KEY", "k3y").output().expect("started");
    assert!(output.status.success(), "the run itself is done");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(said.contains("a redirect is not followed"), "{said}");
    assert!(!said.contains("k3y") && !said.contains("secret-path"), "{said}");
    assert!(reached.try_recv().is_err());
    let private = config("https://localhost:1/x", "");
    project.write("modelgate.yaml", private);
    let output = project.command(&["run"]).env("HOOK_KEY", "k3y").env("MODELGATE_SEED", "2").output();
    let said = String::from_utf8_lossy(&output.expect("started").stderr).into_owned();
    assert!(said.contains("which is a private address"), "{said}");
    project.write("modelgate.yaml", config(&target, ""));
    project.run(&["run"]).exits(64).says("notify.url");
}

#[test]
fn the_guide_checks_a_signature_as_we_make_it() {
    let page = include_str!("../../../../../docs/governance.md");
    let signed =
        modelgate_pipeline::notify::signature("k3y", "2026-11-01T12:00:00.000Z", "{\"event\":\"promoted\"}");
    assert!(page.contains(signed.trim_start_matches("sha256=")), "{signed}");
}

#[test]
fn without_its_key_nothing_is_sent() {
    let (url, requests) = server(OK);
    let project = TestProject::with(BINARY, &easy(), &config(&url, ", allow_private: true"));
    project.run(&["run"]).exits(0).says("the environment variable HOOK_KEY with the key is not set");
    assert!(requests.try_recv().is_err());
    let chosen = config(&url, ", allow_private: true, events: [rolled_back]");
    project.write("modelgate.yaml", chosen);
    run(&project, 2);
    assert!(requests.try_recv().is_err(), "a promotion was not asked for");
}

/// Takes the next message, which is of this kind.
#[track_caller]
fn told(requests: &Receiver<Request>, event: &str) -> serde_json::Value {
    let request = requests.recv_timeout(std::time::Duration::from_secs(10)).expect("told");
    assert_eq!(request.header("x-modelgate-event"), event, "{}", request.body);
    serde_json::from_str(&request.body).expect("JSON")
}

#[track_caller]
fn with_key(project: &TestProject, arguments: &[&str], seed: u64, code: i32) -> String {
    let mut command = project.command(arguments);
    let output =
        command.env("HOOK_KEY", "k3y").env("MODELGATE_SEED", seed.to_string()).output().expect("started");
    let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    assert_eq!(output.status.code(), Some(code), "{said}");
    said
}

#[test]
fn a_verdict_that_failed_and_an_approval_that_is_wanted_are_told_and_a_persons_no_is_not() {
    let (url, requests) = server(OK);
    let project = project(CONFIG, 1);
    let config = config(&url, ", allow_private: true");
    project.write("modelgate.yaml", config.replace("at_least: 0.7", "at_most: 0.1"));
    // A look, as that of a pull request, is told to nobody.
    with_key(&project, &["run", "--until", "gate"], 2, 2);
    with_key(&project, &["run"], 2, 2);
    let body = told(&requests, "verdict_failed");
    assert_eq!((&body["model"], &body["version"]), (&"p".into(), &2.into()));
    assert!(body["reason"].as_str().is_some_and(|reason| reason.contains("does not hold")), "{body}");
    // Nobody waits for a look on a schedule.
    let mut scheduled = project.command(&["run", "--until", "gate"]);
    scheduled.env("HOOK_KEY", "k3y").env("MODELGATE_SEED", "9");
    let scheduled = scheduled.env("GITHUB_ACTIONS", "true").env("GITHUB_EVENT_NAME", "schedule").output();
    assert_eq!(scheduled.expect("started").status.code(), Some(2));
    assert_eq!(told(&requests, "verdict_failed")["version"], serde_json::Value::Null);
    let required = config.replace("approval: automatic", "approval: required");
    project.write("modelgate.yaml", &required);
    with_key(&project, &["run"], 3, 4);
    assert_eq!(told(&requests, "approval_wanted")["version"], 3);
    with_key(&project, &["model", "reject", "p", "3", "--reason", "biased"], 3, 0);
    with_key(&project, &["run"], 3, 2);
    // What was made elsewhere is told of in the same words.
    with_key(&project, &["model", "pull", "p", "1", "--to", "first"], 3, 0);
    with_key(&project, &["model", "pull", "p", "2", "--to", "second"], 3, 0);
    let take = ["model", "promote", "p", "--from-run", "second"];
    let few = |config: &str| config.replace("at_least: 0.7", "at_least: 0.7, min_samples: 2");
    project.write("modelgate.yaml", few(&required));
    with_key(&project, &take, 3, 4);
    assert_eq!(told(&requests, "approval_wanted")["version"], 4, "the rejection was not told as a verdict");
    project.write("modelgate.yaml", config.replace("at_least: 0.7", "at_most: 0.1, min_samples: 2"));
    with_key(&project, &take, 3, 2);
    assert_eq!(told(&requests, "verdict_failed")["version"], 5);
    project.write("modelgate.yaml", few(&config));
    // What is in production already is neither promoted again nor told.
    let first = ["model", "promote", "p", "--from-run", "first"];
    assert!(with_key(&project, &first, 3, 0).contains("p v001 is this package, and in production already"));
    // What waited is gone on with, once a person has approved it.
    with_key(&project, &["model", "approve", "p", "4"], 3, 0);
    with_key(&project, &take, 3, 0);
    assert_eq!(told(&requests, "promoted")["version"], 4);
    assert!(requests.try_recv().is_err());
}

#[test]
fn a_quarantine_by_hand_is_told_and_one_that_is_refused_is_not() {
    let (url, requests) = server(OK);
    let project = project(CONFIG, 2);
    project.write("modelgate.yaml", config(&url, ", allow_private: true"));
    let quarantine = |version: &str, code: i32| {
        let reason = "trained on the wrong feed";
        with_key(&project, &["model", "quarantine", "p", version, "--reason", reason], 2, code)
    };
    assert!(quarantine("2", 1).contains("in production"));
    quarantine("1", 0);
    let body = told(&requests, "quarantined");
    assert_eq!((&body["model"], &body["version"]), (&"p".into(), &1.into()));
    assert_eq!(body["digest"], super::digest(&project, 1));
    assert_eq!(body["reason"], "trained on the wrong feed");
    assert!(quarantine("1", 1).contains("quarantined already"));
    let chosen = config(&url, ", allow_private: true, events: [promoted]");
    let project = super::project(CONFIG, 2);
    project.write("modelgate.yaml", chosen);
    with_key(&project, &["model", "quarantine", "p", "1", "--reason", "x"], 2, 0);
    assert!(requests.try_recv().is_err(), "nothing else was told");
}

#[test]
fn what_a_killed_command_did_not_tell_is_told_by_the_one_that_completes_it() {
    use modelgate_core::VersionNumber;
    use modelgate_core::ledger::Verification;
    use modelgate_core::lifecycle::Event;
    const LATER: &str = "2027-01-01T00:00:00.000Z";
    let (url, requests) = server(OK);
    let project = project(CONFIG, 2);
    project.write("modelgate.yaml", config(&url, ", allow_private: true"));
    let mark = |work: &str, version: u32| {
        let text =
            format!("{{\"model\":\"p\",\"origin\":\"here\",\"version\":{version},\"work\":\"{work}\"}}");
        project.write(".modelgate/unfinished/p.json", text);
    };
    mark("rollback", 1);
    let (reason, origin) = ("killed".to_owned(), "here".to_owned());
    let verification = Verification::Verified;
    super::apply(&project, 1, &Event::IntendRollBack { reason, verification, origin }, LATER);
    let files = super::registry(&project).version_files(&super::model(), VersionNumber(1)).expect("files");
    modelgate_store::atomic::replace_folder(&project.path("models/packaged/p"), &files).expect("moved");
    assert!(with_key(&project, &["status"], 1, 0).contains("it is completed"));
    assert_eq!(told(&requests, "rolled_back")["version"], 1);
    assert_eq!(told(&requests, "quarantined")["version"], 2);
    // A promotion that never reached the ledger has nothing to tell.
    mark("promotion", 2);
    assert!(with_key(&project, &["status"], 1, 0).contains("in production is v001"));
    mark("promotion", 1);
    with_key(&project, &["status"], 1, 0);
    assert_eq!(told(&requests, "promoted")["version"], 1);
    // Production that was to be taken out, and was not, is there still.
    mark("take_out", 1);
    assert!(with_key(&project, &["status"], 1, 0).contains("before it began: in production is v001"));
    assert!(requests.try_recv().is_err());
    mark("take_out", 1);
    super::apply(
        &project,
        1,
        &Event::Quarantine { was_production: None, reason: "killed".to_owned() },
        LATER,
    );
    assert!(with_key(&project, &["status"], 1, 0).contains("is completed: in production is nothing"));
    assert_eq!(told(&requests, "quarantined")["version"], 1);
    assert!(!project.path("models/packaged/p").exists());
    assert!(requests.try_recv().is_err());
}
