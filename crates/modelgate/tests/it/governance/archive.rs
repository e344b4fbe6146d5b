//! Retention, and a registry as one archive.

use modelgate_core::lifecycle::Event;
use modelgate_testing::TestProject;

use super::{CONFIG, easy, packaged, project, registry};
use crate::BINARY;

fn keeping(time: &str) -> String {
    CONFIG.replace("pipelines:", &format!("retention: {{keep: {time}, rollback_targets: 1}}\npipelines:"))
}

#[test]
fn everything_is_kept_by_default_and_what_goes_is_shown_first() {
    let project = project(CONFIG, 4);
    project.run(&["model", "gc", "--yes"]).exits(0).says("every version is kept");
    project.run(&["model", "gc"]).exits(64).says("--dry-run");
    project.write("modelgate.yaml", keeping("30d"));
    project.run(&["model", "gc", "--yes"]).exits(0).says("0 versions");
    // Production, the one to go back to, and what an alias needs stay whatever their age.
    let _ = project.run(&["model", "alias", "p", "audit", "1"]).exits(0);
    project.write("modelgate.yaml", keeping("0s"));
    std::thread::sleep(std::time::Duration::from_millis(1100));
    let before = registry(&project).position();
    let shown = project.run(&["model", "gc", "--dry-run"]).exits(0);
    shown.says("p v002 archived").says("would be removed");
    assert!(
        !shown.stdout.contains("v001") && !shown.stdout.contains("v003") && !shown.stdout.contains("v004")
    );
    assert_eq!(registry(&project).position(), before);
    project.run(&["model", "gc", "--yes"]).exits(0).says("1 versions");
    project.run(&["ledger", "log"]).exits(0).says("artefacts of v002 removed: retention");
    project.run(&["model", "list"]).exits(0).says("v002 removed");
    let back = ["model", "rollback", "p", "--to-version", "2", "--yes", "--reason", "x"];
    project.run(&back).exits(1).says("the artefacts of v002 are removed");
    project.run(&["ledger", "verify"]).exits(0).says("the ledger is whole");
    let back = ["model", "rollback", "p", "--yes", "--reason", "x"];
    project.run(&back).exits(0).says("v003 is in production again");
    super::run(&project, 9);
    project.run(&["status"]).exits(0).says("verified");
}

#[test]
fn a_registry_goes_into_an_archive_and_comes_out_the_same() {
    let first = project(CONFIG, 2);
    let _ = first.run(&["model", "export", "all.tar"]).exits(0);
    let _ = first.run(&["model", "export", "again.tar"]).exits(0);
    assert_eq!(fs_err::read(first.path("all.tar")).ok(), fs_err::read(first.path("again.tar")).ok());
    first.run(&["model", "export", "all.tar"]).exits(1).says("is there already");
    // A disk that is not mounted is not made up for.
    first.run(&["model", "export", "backup/all.tar"]).exits(64).says("there is no folder `backup`");
    first.run(&["ledger", "export", "backup/all.jsonl"]).exits(64).says("there is no folder `backup`");
    first.run(&["model", "export", "-"]).exits(64).says("an archive goes into a file");
    assert_eq!(first.run(&["ledger", "export", "-"]).exits(0).stdout, first.read(".modelgate/ledger.jsonl"));
    assert!(!first.path("backup").exists() && !first.path("-").exists());
    let archive = first.path("all.tar");
    let archive = archive.to_str().expect("path");
    let second = TestProject::with(BINARY, &easy(), CONFIG);
    let read = second.run(&["--output-format", "json", "model", "import", archive]).exits(0);
    read.says("6 events").says("2 runs");
    let answer: serde_json::Value = serde_json::from_str(&read.stdout).expect("JSON");
    assert_eq!((&answer["events"], &answer["runs"]), (&6.into(), &2.into()));
    assert_eq!(second.read(".modelgate/ledger.jsonl"), first.read(".modelgate/ledger.jsonl"));
    assert_eq!(packaged(&second), packaged(&first));
    assert_eq!(second.run(&["model", "list"]).stdout, first.run(&["model", "list"]).stdout);
    let _ = second.run(&["ledger", "verify"]).exits(0);
    second.run(&["model", "import", archive]).exits(1).says("has 6 events already");
    let _ = second.run(&["model", "rollback", "p", "--yes", "--reason", "x"]).exits(0);
}

/// Puts the archive of a folder into another home and takes it out again: the bytes are the same.
fn through(command: &dyn Fn(&[&str]) -> std::process::Command, project: &TestProject) {
    let exits = |arguments: &[&str], code: i32| {
        let output = command(arguments).output().expect("started");
        let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {said}");
        said
    };
    let first = super::project(CONFIG, 3);
    let _ = first.run(&["model", "rollback", "p", "--yes", "--reason", "bad"]).exits(0);
    let _ = first.run(&["model", "export", "all.tar"]).exits(0);
    let archive = first.path("all.tar");
    let archive = archive.to_str().expect("a path");
    // A damaged one leaves nothing of itself in the home.
    let mut damaged = entries(&fs_err::read(archive).expect("an archive"));
    let last = damaged.len() - 1;
    damaged[last].2[0] ^= 1;
    project.write("damaged.tar", write(&damaged));
    exits(&["model", "import", "damaged.tar"], 1);
    assert!(exits(&["model", "list"], 0).contains("there is no model yet"));
    assert!(exits(&["model", "import", archive], 0).contains("11 events"));
    assert!(exits(&["status"], 0).contains("production  v002"));
    assert!(exits(&["ledger", "verify"], 0).contains("the ledger is whole: 11 events, 1 model, "));
    assert_eq!(packaged(project), packaged(&first));
    assert!(exits(&["model", "import", archive], 1).contains("has 11 events already"));
    exits(&["model", "export", "out.tar"], 0);
    assert_eq!(
        fs_err::read(project.path("out.tar")).expect("an archive"),
        fs_err::read(archive).expect("an archive")
    );
    // What came in is a registry like any other, and goes out into a folder again.
    exits(&["model", "rollback", "p", "--yes", "--reason", "worse"], 0);
    exits(&["model", "export", "later.tar"], 0);
    let third = TestProject::with(BINARY, &easy(), CONFIG);
    let later = project.path("later.tar");
    third.run(&["model", "import", later.to_str().expect("a path")]).exits(0).says("13 events");
    third.run(&["status"]).exits(0).says("production  v001").says("verified");
}

#[test]
fn an_archive_goes_into_a_git_branch_and_out_again() {
    let config = CONFIG.replace("pipelines:", "registry: {uri: \"git+branch:models\"}\npipelines:");
    let project = TestProject::with(BINARY, &easy(), &config);
    let mut git = std::process::Command::new("git");
    let init = git.args(["init", "--quiet", "."]).current_dir(project.path(".")).status();
    assert!(init.expect("git").success());
    through(&|arguments| project.command(arguments), &project);
}

#[test]
fn an_archive_goes_into_a_bucket_and_out_again() {
    let Some(server) = modelgate_testing::S3Server::start() else { return };
    let clone = crate::object_registry::clone(&server);
    through(&|arguments| crate::object_registry::command(&clone, arguments), &clone.0);
}

#[test]
fn the_history_of_runs_goes_into_an_archive_and_comes_out_the_same() {
    let first = project(CONFIG, 2);
    let mut index = modelgate_registry::Index::open(&first.path(".modelgate")).expect("an index");
    // Numbers that a careless form would change, names that a careless reader would trip over.
    let mut hostile = index.runs().expect("runs").pop().expect("a run");
    hostile.run = "zz \"quoted\"\nline\u{2028}".to_owned();
    hostile.digest = None;
    hostile.params =
        [("p\n".to_owned(), "{\"a\": \"\u{0}\"}".to_owned()), (String::new(), String::new())].into();
    let figures = [0.1 + 0.2, f64::MIN_POSITIVE / 3.0, -2.5, 1e300, 1.0 / 3.0, 123_456_789.123_456_78];
    hostile.metrics = figures.iter().enumerate().map(|(at, value)| (format!("m{at}"), *value)).collect();
    index.record_run(&hostile).expect("recorded");
    let mut undefined = hostile.clone();
    undefined.run = "undefined".to_owned();
    undefined.metrics =
        [("inf".to_owned(), f64::INFINITY), ("nan".to_owned(), f64::NAN), ("one".to_owned(), 1.0)].into();
    index.record_run(&undefined).expect("recorded");
    first.run(&["model", "export", "all.tar"]).exits(0).says("4 runs written");
    let second = TestProject::with(BINARY, &easy(), CONFIG);
    // Runs that are there already stay.
    second.run(&["run", "--sample", "60"]);
    let before =
        modelgate_registry::Index::open(&second.path(".modelgate")).expect("an index").runs().expect("runs");
    let events = registry(&second).position().head;
    assert!(events.is_none(), "a sample registers nothing");
    fs_err::copy(first.path("all.tar"), second.path("all.tar")).expect("copied");
    second.run(&["model", "import", "all.tar"]).exits(0).says("4 runs read in");
    let mut expected = index.runs().expect("runs");
    assert_eq!(expected.len(), 4);
    for run in &mut expected {
        run.metrics.retain(|_, value| value.is_finite());
    }
    assert!(expected[0].params.contains_key("algorithm") && !expected[0].metrics.is_empty());
    expected.extend(before);
    expected.sort_by(|one, other| one.run.cmp(&other.run));
    let index = modelgate_registry::Index::open(&second.path(".modelgate")).expect("an index");
    let found = index.runs().expect("runs");
    assert_eq!(found, expected);
    let bits = |run: &modelgate_registry::RunRow| {
        run.metrics.values().map(|value| value.to_bits()).collect::<Vec<_>>()
    };
    let kept = found.iter().find(|run| run.run == hostile.run).expect("kept");
    assert_eq!(bits(kept), bits(&hostile));
    // The runs of versions are those that the ledger names.
    for version in [1, 2] {
        let registration = registry(&second)
            .registration(&"p".parse().expect("name"), modelgate_core::VersionNumber(version));
        let run = registration.expect("registered").lineage.run_id;
        assert!(!index.run_metrics(run.as_str()).expect("figures").is_empty(), "v{version:03}");
    }
}

/// Makes of an archive what the first form was: no runs, and a manifest that does not know of them.
fn of_the_first_form(entries: &mut Vec<Entry>) {
    let mut manifest: serde_json::Value = serde_json::from_slice(&entries[0].2).expect("JSON");
    manifest.as_object_mut().expect("an object").remove("runs").expect("runs");
    manifest["schema_version"] = 1.into();
    entries[0].2 = manifest.to_string().into_bytes();
    assert_eq!(entries.remove(2).0, "runs.jsonl");
}

#[test]
fn an_archive_of_the_first_form_is_read_and_what_it_lacks_is_said() {
    let first = project(CONFIG, 2);
    let _ = first.run(&["model", "export", "all.tar"]).exits(0);
    let mut entries = entries(&fs_err::read(first.path("all.tar")).expect("archive"));
    of_the_first_form(&mut entries);
    let second = TestProject::with(BINARY, &easy(), CONFIG);
    second.write("old.tar", write(&entries));
    let read = second.run(&["model", "import", "old.tar"]).exits(0);
    read.says("6 events and ").says("parameters and figures of runs stay behind");
    assert_eq!(second.run(&["model", "list"]).stdout, first.run(&["model", "list"]).stdout);
    let index = modelgate_registry::Index::open(&second.path(".modelgate")).expect("an index");
    assert_eq!(index.runs().expect("runs"), []);
    // A form that knows of no runs holds none.
    entries.insert(2, ("runs.jsonl".to_owned(), tar::EntryType::Regular, Vec::new()));
    let third = TestProject::with(BINARY, &easy(), CONFIG);
    third.write("odd.tar", write(&entries));
    third.run(&["model", "import", "odd.tar"]).exits(1).says("its manifest names no `runs.jsonl`");
    assert!(!third.path(".modelgate/ledger.jsonl").exists());
}

/// One file of an archive: its name, kind and bytes.
type Entry = (String, tar::EntryType, Vec<u8>);

fn entries(bytes: &[u8]) -> Vec<Entry> {
    let mut archive = tar::Archive::new(bytes);
    let read = |entry: std::io::Result<tar::Entry<'_, &[u8]>>| {
        use std::io::Read;
        let mut entry = entry.expect("entry");
        let name = entry.path().expect("name").display().to_string();
        let mut bytes = Vec::new();
        entry.read_to_end(&mut bytes).expect("bytes");
        (name, tar::EntryType::Regular, bytes)
    };
    archive.entries().expect("entries").map(read).collect()
}

fn write(entries: &[Entry]) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    for (name, kind, bytes) in entries {
        let mut header = tar::Header::new_gnu();
        // Past the checks of `set_path`, as an attacker writes it.
        header.as_gnu_mut().expect("gnu").name[..name.len()].copy_from_slice(name.as_bytes());
        header.set_entry_type(*kind);
        header.set_size(bytes.len() as u64);
        if *kind == tar::EntryType::Symlink {
            header.set_link_name("/etc/passwd").expect("link");
        }
        header.set_cksum();
        builder.append(&header, bytes.as_slice()).expect("appended");
    }
    builder.into_inner().expect("archive")
}

#[test]
fn an_archive_that_was_tampered_with_is_refused_and_nothing_is_written_elsewhere() {
    let first = project(CONFIG, 1);
    let _ = first.run(&["model", "export", "all.tar"]).exits(0);
    let whole = fs_err::read(first.path("all.tar")).expect("archive");
    let good = entries(&whole);
    let with = |change: &dyn Fn(&mut Vec<Entry>)| {
        let mut entries = good.clone();
        change(&mut entries);
        write(&entries)
    };
    let evil = |name: &str, kind: tar::EntryType| {
        with(&|entries| entries.push((name.to_owned(), kind, b"evil".to_vec())))
    };
    // What its maker wrote, and wrote wrong.
    let runs = |text: &str, count: u64| {
        with(&|entries| {
            let mut manifest: serde_json::Value = serde_json::from_slice(&entries[0].2).expect("JSON");
            let digest = modelgate_core::Digest::of(text.as_bytes());
            manifest["runs"] = serde_json::json!({ "count": count, "digest": digest });
            entries[0].2 = manifest.to_string().into_bytes();
            entries[2].2 = text.as_bytes().to_vec();
        })
    };
    let regular = tar::EntryType::Regular;
    let cases: Vec<(Vec<u8>, &str)> = vec![
        (evil("../../evil", regular), "does not belong into a registry"),
        (evil("/tmp/evil", regular), "does not belong into a registry"),
        (evil("objects/sha256/../../evil", regular), "does not belong into a registry"),
        (evil("objects/sha256/aa", tar::EntryType::Symlink), "links and folders are refused"),
        (with(&|entries| entries[3].2[0] ^= 1), "was changed: its content has another digest"),
        (with(&|entries| entries[2].2[20] ^= 1), "`runs.jsonl` was changed: its content has another digest"),
        (with(&|entries| drop(entries.remove(2))), "it has no `runs.jsonl`, which its manifest names"),
        (runs("{\"run\":\"x\"}\n", 1), "`runs.jsonl`, line 1: missing field"),
        (runs("", 3), "`runs.jsonl` has 0 runs, its manifest names 3"),
        (
            with(&|entries| {
                let mut manifest: serde_json::Value = serde_json::from_slice(&entries[0].2).expect("JSON");
                manifest.as_object_mut().expect("an object").remove("runs");
                entries[0].2 = manifest.to_string().into_bytes();
            }),
            "its manifest names no `runs.jsonl`",
        ),
        (with(&|entries| drop(entries.pop())), "is not in it"),
        (
            with(&|entries| entries[1].2[100] ^= 1),
            "bad.tar`: `ledger.jsonl` in it: the ledger was changed: line 1",
        ),
        (with(&|entries| entries[1].2.truncate(10)), "the ledger was changed"),
        (with(&|entries| entries.swap(0, 1)), "does not begin with `modelgate-registry.json`"),
        (
            with(&|entries| {
                let text = String::from_utf8(entries[0].2.clone()).expect("text");
                let own = format!("\"tool_version\": \"{}\"", env!("CARGO_PKG_VERSION"));
                assert!(text.contains(&own), "{text}");
                let text = text.replace(&own, "\"tool_version\": \"7.0.0\"");
                entries[0].2 = text.replace("\"schema_version\": 2", "\"schema_version\": 7").into_bytes();
            }),
            "has schema 7; this modelgate reads 2: use modelgate 7.0.0 or newer",
        ),
        (whole[..whole.len() / 2].to_vec(), "archive"),
        (b"no archive".to_vec(), "archive"),
    ];
    for (bytes, message) in cases {
        let taker = TestProject::with(BINARY, &easy(), CONFIG);
        taker.write("bad.tar", bytes);
        taker.run(&["model", "import", "bad.tar"]).exits(1).says(message);
        assert!(!taker.path(".modelgate/ledger.jsonl").exists(), "{message}");
        assert!(!taker.path("../evil").exists() && !taker.path("evil").exists());
    }
}

#[test]
fn a_deployment_is_an_event() {
    let project = project(CONFIG, 1);
    let deploy = Event::Deploy { target: "kubernetes/prod".to_owned(), reason: "release".to_owned() };
    super::apply(&project, 1, &deploy, "2027-01-01T00:00:00.000Z");
    project.run(&["ledger", "log"]).exits(0).says("v001 deployed to kubernetes/prod: release");
    let record = ["deploy", "record", "p", "--target", "spaces/p", "--reason", "release 2"];
    project.run(&record).exits(0).says("p v001 is recorded as deployed to spaces/p");
    let entries = project.run(&["--output-format", "json", "ledger", "log", "--last", "1"]).exits(0);
    let last: serde_json::Value = serde_json::from_str(&entries.stdout).expect("JSON");
    assert_eq!((&last["event"]["type"], &last["event"]["target"]), (&"deployed".into(), &"spaces/p".into()));
    assert_eq!((&last["after"], &last["actor"]), (&super::digest(&project, 1).into(), &"tester".into()));
    let before = registry(&project).position();
    project.run(&["deploy", "record", "p", "9", "--target", "x"]).exits(1).says("no version or alias `9`");
    project
        .run(&["deploy", "record", "p", "--target", "a\nb"])
        .exits(1)
        .says("the target has 1 to 512 bytes");
    project.run(&["deploy", "record", "p"]).exits(64).says("--target");
    let signed =
        CONFIG.replace("pipelines:", "signing: {require_signature: true, public_keys: [x.pub]}\npipelines:");
    project.write("modelgate.yaml", signed);
    project.run(&record).exits(1).says("signing.require_signature: p v001: it is not signed");
    project.write("modelgate.yaml", CONFIG);
    assert_eq!(registry(&project).position(), before);
    super::run(&project, 2);
    // What runs is recorded, and where it stands is told.
    project.run(&["deploy", "record", "p", "1", "--target", "x"]).exits(0).says("p v001 is archived, and is");
    let _ = project.run(&["model", "rollback", "p", "--yes", "--reason", "bad"]).exits(0);
    project
        .run(&["deploy", "record", "p", "2", "--target", "x"])
        .exits(1)
        .says("v002 is quarantined and cannot");
}

#[test]
fn a_git_branch_goes_back_collects_and_stays_whole() {
    let config = |retention: &str| {
        let registry = format!("registry: {{uri: \"git+branch:models\"}}\n{retention}pipelines:");
        CONFIG.replace("pipelines:", &registry)
    };
    let project = TestProject::with(BINARY, &easy(), &config(""));
    let mut git = std::process::Command::new("git");
    let init = git.args(["init", "--quiet", "."]).current_dir(project.path(".")).status();
    assert!(init.expect("git").success());
    for seed in 1..=4 {
        super::run(&project, seed);
    }
    let _ = project.run(&["model", "rollback", "p", "--yes", "--reason", "x"]).exits(0);
    project.run(&["status"]).exits(0).says("production  v003").says("verified");
    std::thread::sleep(std::time::Duration::from_millis(1100));
    project.write("modelgate.yaml", config("retention: {keep: 0s, rollback_targets: 1}\n"));
    let collected = project.run(&["model", "gc", "--yes"]).exits(0);
    collected.says("p v001 archived").says("p v004 quarantined").says("removed");
    assert!(!collected.stdout.contains("v002"), "{}", collected.stdout);
    project.run(&["ledger", "verify"]).exits(0).says("the ledger is whole");
    let _ = project.run(&["model", "rollback", "p", "--yes", "--reason", "y"]).exits(0);
    project.run(&["status"]).exits(0).says("production  v002").says("verified");
}
