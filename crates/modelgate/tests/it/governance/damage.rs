//! The ledger and its index, damaged in the ways that disks, people and other versions damage them.

use std::process::Stdio;

use modelgate_testing::TestProject;

use super::{CONFIG, project};

const LEDGER: &str = ".modelgate/ledger.jsonl";

#[test]
fn an_exported_ledger_is_verified_and_what_was_done_to_it_is_named() {
    let project = project(CONFIG, 2);
    let _ = project.run(&["ledger", "export", "out.jsonl"]).exits(0);
    let whole = project.read("out.jsonl");
    assert_eq!(whole, project.read(LEDGER));
    assert_eq!(project.run(&["ledger", "export"]).exits(0).stdout, whole);
    project.run(&["ledger", "export", "out.jsonl"]).exits(64).says("is there already");
    let verify = ["ledger", "verify", "--file", "out.jsonl"];
    project.run(&verify).exits(0).says("the ledger is whole: 6 events");
    let lines: Vec<&str> = whole.lines().collect();
    let mut flipped = whole.clone().into_bytes();
    let middle = whole.len() / 2;
    flipped[middle] ^= 1;
    let other = super::project(CONFIG, 1);
    let merged = format!("{}\n{}\n", other.read(LEDGER).lines().next().expect("line"), lines[1]);
    let cases: [(Vec<u8>, &str); 6] = [
        (flipped, "the ledger was changed: line"),
        (
            format!("{}\n{}\n", lines[0], lines[2]).into_bytes(),
            "line 2: it does not follow the line before it: event 2 was removed",
        ),
        (format!("{}\n{}\n{}\n", lines[0], lines[1], lines[1]).into_bytes(), "event 2 stands behind event 2"),
        (merged.into_bytes(), "two histories were merged"),
        (whole.as_bytes()[..whole.len() - 10].to_vec(), "the file was cut off"),
        (b"\xff\xfe\n".to_vec(), "byte 1 is not UTF-8"),
    ];
    for (bytes, message) in cases {
        project.write("out.jsonl", bytes);
        project.run(&verify).exits(1).says(message);
    }
    // Cut off at the end of a line it is a whole ledger: who knows an event that was there finds out.
    project.write("out.jsonl", lines[..4].join("\n") + "\n");
    project.run(&verify).exits(0).says("4 events");
    let json: serde_json::Value = serde_json::from_str(lines[5]).expect("JSON");
    let head = json["hash"].as_str().expect("a hash");
    let known = [&verify[..], &["--head", head]].concat();
    project.run(&known).exits(1).says("the ledger ends at event 4 and has no event with the hash");
    project.write("out.jsonl", &whole);
    let _ = project.run(&known).exits(0);
    let _ = project.run(&["ledger", "verify", "--head", head]).exits(0);
    let other = modelgate_core::Digest::of(b"another").to_string();
    project.run(&["ledger", "verify", "--head", &other]).exits(1).says("restore it from a copy");
    project.run(&["ledger", "verify", "--head", "yesterday"]).exits(64).says("--head");
}

fn database(project: &TestProject) -> std::path::PathBuf {
    project.path(".modelgate/registry.db")
}

#[test]
fn an_index_that_says_something_else_is_made_anew() {
    let project = project(CONFIG, 2);
    let connection = rusqlite::Connection::open(database(&project)).expect("index");
    connection.execute("UPDATE versions SET stage = 'rejected' WHERE version = 2", []).expect("changed");
    drop(connection);
    project.run(&["ledger", "verify"]).exits(0).says("it was made anew from the ledger");
    project.run(&["model", "show", "p", "2"]).exits(0).says("v002 is production");
}

#[test]
fn an_index_that_is_cut_off_is_made_anew_and_one_of_a_newer_version_is_refused() {
    let project = project(CONFIG, 2);
    let bytes = fs_err::read(database(&project)).expect("index");
    for length in [0, 1, 100, 5000, bytes.len() / 2] {
        fs_err::write(database(&project), &bytes[..length.min(bytes.len())]).expect("cut");
        project.run(&["model", "list"]).exits(0).says("v002");
    }
    let connection = rusqlite::Connection::open(database(&project)).expect("index");
    connection.pragma_update(None, "user_version", 99).expect("newer");
    connection.execute("UPDATE made_by SET tool_version = '9.9.9'", []).expect("by a newer one");
    drop(connection);
    project
        .run(&["model", "list"])
        .exits(1)
        .says("has schema 99; this modelgate reads 6: use modelgate 9.9.9 or newer");
}

#[test]
fn an_index_that_another_process_holds_is_told_of() {
    let project = project(CONFIG, 1);
    let connection = rusqlite::Connection::open(database(&project)).expect("index");
    connection.execute_batch("BEGIN EXCLUSIVE").expect("held");
    project.run(&["model", "list"]).exits(1).says("another process holds the index");
    connection.execute_batch("ROLLBACK").expect("free");
    let _ = project.run(&["model", "list"]).exits(0);
}

#[test]
fn an_event_of_a_newer_version_is_told_from_damage() {
    let project = project(CONFIG, 1);
    let line = project.read(LEDGER).lines().next().expect("line").to_owned();
    let own = env!("CARGO_PKG_VERSION");
    let newer = line.replacen("\"schema_version\":1,\"seq\"", "\"schema_version\":9,\"seq\"", 1);
    let by = |version: &str| {
        newer.replacen(&format!("\"tool_version\":\"{own}\""), &format!("\"tool_version\":\"{version}\""), 1)
    };
    let reads = format!("it has schema version 9; this modelgate reads 1 and is {own}");
    let verify = ["ledger", "verify", "--file", "newer.jsonl"];
    // Which modelgate is needed is told where the event tells who wrote it.
    project.write("newer.jsonl", by("7.8.9") + "\n");
    project.run(&verify).exits(1).says(&format!("{reads}: use modelgate 7.8.9 or newer"));
    for silent in [by("\\u001b[2J"), by(own), by("")] {
        project.write("newer.jsonl", silent + "\n");
        let output = project.run(&verify).exits(1);
        output.says(&format!("{reads}: use a newer modelgate"));
        assert!(!output.stderr.contains('\u{1b}'));
    }
    // Also where its content has another form.
    project.write("newer.jsonl", by("7.8.9").replacen("\"actor\"", "\"author\"", 1) + "\n");
    project.run(&verify).exits(1).says(&format!("{reads}: use modelgate 7.8.9 or newer"));
    // And for the ledger itself, whatever is asked.
    project.write(LEDGER, by("7.8.9") + "\n");
    let _ = fs_err::remove_file(database(&project));
    project.run(&["model", "list"]).exits(1).says("use modelgate 7.8.9 or newer");
}

#[test]
fn two_promotions_of_one_name_at_once_have_one_winner() {
    let config = CONFIG.replace("promotion: {approval: automatic}", "promotion: {approval: required}");
    let project = project(CONFIG, 1);
    project.write("modelgate.yaml", config);
    for seed in ["2", "3"] {
        let output = project.command(&["run"]).env("MODELGATE_SEED", seed).output().expect("started");
        assert_eq!(output.status.code(), Some(4));
    }
    for version in ["2", "3"] {
        let _ = project.run(&["model", "approve", "p", version]).exits(0);
    }
    // Both decided while v001 was in production, whichever process is there first.
    let start = |version: &str| {
        let mut command = project.command(&["model", "promote", "p", version, "--over", "v001"]);
        command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("started")
    };
    let both = [start("2"), start("3")].map(|child| child.wait_with_output().expect("ended"));
    let won: Vec<usize> = (0..2).filter(|at| both[*at].status.success()).collect();
    let [winner] = won.as_slice() else { panic!("not one of them won: {both:?}") };
    let (winner, loser) = (winner + 2, 1 - winner);
    let said = String::from_utf8_lossy(&both[loser].stderr);
    assert_eq!(both[loser].status.code(), Some(1), "{said}");
    let overtaken =
        format!("v{winner:03} reached production meanwhile, where v001 was when this was decided");
    assert!(said.contains("another modelgate works on this project") || said.contains(&overtaken), "{said}");
    let listed = project.run(&["model", "list"]).exits(0);
    assert_eq!(listed.stdout.matches(" production ").count(), 1, "{}", listed.stdout);
    // Tried again, the other is told who won; looked at anew, it may.
    let late = (loser + 2).to_string();
    let again = ["model", "promote", "p", &late, "--over", "1"];
    project.run(&again).exits(1).says(&overtaken);
    project
        .run(&["model", "promote", "p", &late, "--over", "none"])
        .exits(1)
        .says("reached production meanwhile");
    project.run(&["model", "promote", "p", &late, "--over", "x"]).exits(64).says("--over: `x` is no version");
    let _ = project.run(&["model", "promote", "p", &late, "--over", &winner.to_string()]).exits(0);
    project.run(&["status"]).exits(0).says("verified");
}

#[test]
fn a_clock_that_was_ahead_is_told_of_and_carries_nothing_with_it() {
    let project = project(CONFIG, 1);
    let alias = modelgate_core::lifecycle::Event::SetAlias {
        alias: "a".parse().expect("alias"),
        reason: String::new(),
    };
    super::apply(&project, 1, &alias, "2099-01-01T00:00:00.000Z");
    let set = project.run(&["model", "alias", "p", "b", "1"]).exits(0);
    set.says("the ledger's last event is of 2099-01-01T00:00:00.000Z, and the clock here says");
    let output = project.run(&["--output-format", "json", "ledger", "log", "--last", "1"]).exits(0);
    let last: serde_json::Value = serde_json::from_str(&output.stdout).expect("JSON");
    let time = last["time"].as_str().expect("a time");
    assert!(time < "2099", "{time}");
    project.run(&["ledger", "at", "2026-01-01T00:00:00Z"]).exits(0).says("nothing was in production then");
    let ahead = last["seq"].as_u64().expect("a number") - 1;
    project.run(&["ledger", "verify"]).exits(0).says(&format!("event {ahead} has a later time than event"));
    // An approval of now counts now.
    super::run(&project, 2);
    project.run(&["status"]).exits(0).says("production  v002");
}

#[test]
fn damage_inside_the_index_is_told_of_and_nothing_is_stopped_by_it() {
    let project = project(CONFIG, 2);
    let bytes = fs_err::read(database(&project)).expect("index");
    let mut garbled = bytes.clone();
    garbled[4096 * 2..].fill(0xa5);
    fs_err::write(database(&project), &garbled).expect("garbled");
    project
        .run(&["model", "rollback", "p", "--yes", "--reason", "it was wrong"])
        .exits(0)
        .says("registry.db` was damaged: it is kept as")
        .says("backup");
    assert_eq!(super::packaged(&project), super::digest(&project, 1));
    let status = project.run(&["status"]).exits(0);
    assert!(!status.stderr.contains("damaged"), "it is told once: {}", status.stderr);
    fs_err::write(database(&project), "once more").expect("garbled");
    project.run(&["status"]).exits(0).says("registry.db.damaged-2");
    assert_eq!(
        fs_err::read(database(&project).with_extension("db.damaged")).expect("kept").len(),
        bytes.len()
    );
}

#[test]
fn an_older_ledger_is_gone_on_with_by_a_word_that_is_kept() {
    let project = project(CONFIG, 1);
    let backup = project.read(LEDGER);
    super::run(&project, 2);
    project.write(LEDGER, &backup);
    project.run(&["model", "list"]).exits(1).says("restore it from a copy that has them");
    let last: serde_json::Value = serde_json::from_str(backup.lines().last().expect("a line")).expect("JSON");
    let head = last["hash"].as_str().expect("a hash");
    let accept = ["ledger", "accept", "--head", head, "--reason"];
    project.run(&[&accept[..], &[" "]].concat()).exits(64).says("--reason");
    project
        .run(&["ledger", "accept", "--head", "none", "--reason", "x"])
        .exits(1)
        .says("nothing was accepted");
    project.run(&["ledger", "accept", "--head", "yesterday", "--reason", "x"]).exits(64).says("or `none`");
    let _ = project.run(&["model", "list"]).exits(1);
    let accept = [&accept[..], &["the disk of the ledger broke"]].concat();
    project
        .run(&accept)
        .exits(0)
        .says("tester went on from event 3, and gave up what was seen up to event 6");
    project.run(&accept).exits(0).says("nothing was given up");
    project.run(&["ledger", "verify"]).exits(0).says("the disk of the ledger broke");
    let runs = modelgate_registry::Index::open(&project.path(".modelgate")).expect("an index").runs();
    assert_eq!(runs.expect("runs").len(), 2, "runs stay");
    let json = ["--output-format", "json", "ledger", "verify"];
    let verified: serde_json::Value =
        serde_json::from_str(&project.run(&json).exits(0).stdout).expect("JSON");
    assert_eq!((&verified["schema_version"], &verified["entries"]), (&1.into(), &3.into()));
    super::run(&project, 3);
}

#[test]
fn what_is_asked_of_no_ledger_and_no_model_is_refused() {
    let project = project(CONFIG, 1);
    project.write("empty.jsonl", "");
    project.run(&["ledger", "verify", "--file", "empty.jsonl"]).exits(1).says("it holds no event");
    project.run(&["ledger", "log", "--model", "nope"]).exits(1).says("there is no model `nope`; there is p");
}

#[test]
fn an_archive_is_written_of_what_is_whole_when_that_is_asked_for() {
    let project = project(CONFIG, 2);
    let files = super::registry(&project).registration(&super::model(), modelgate_core::VersionNumber(1));
    let hex = files.expect("v001").files["model.onnx"].hex();
    fs_err::remove_file(project.path(&format!(".modelgate/store/sha256/{}/{}", &hex[..2], &hex[2..])))
        .expect("removed");
    project
        .run(&["model", "export", "backup.tar"])
        .exits(1)
        .says("`model.onnx` of p v001")
        .says("--leave-out-damaged");
    project
        .run(&["model", "export", "backup.tar", "--leave-out-damaged"])
        .exits(0)
        .says("left out: `model.onnx` of p v001");
    project.run(&["ledger", "verify"]).exits(1).says("`model.onnx` of p v001");
    let second = TestProject::new(crate::BINARY);
    second.write("modelgate.yaml", project.read("modelgate.yaml"));
    let archive = project.path("backup.tar").display().to_string();
    second.run(&["model", "import", &archive]).exits(0).says("the archive lacks the object");
    second.run(&["model", "list"]).exits(0).says("v002");
    // Where production cannot be brought, all the rest is read in, and it is said.
    let third = TestProject::new(crate::BINARY);
    third.write("modelgate.yaml", project.read("modelgate.yaml"));
    third.write("models/packaged/p/notes.txt", "precious");
    let said = third.run(&["model", "import", &archive]).exits(0);
    said.says("objects and 2 runs read in").says("p: production was read in").says("`notes.txt`");
    fs_err::remove_file(third.path("models/packaged/p/notes.txt")).expect("removed");
    let _ = third.run(&["model", "pull", "p"]).exits(0);
    assert_eq!(super::packaged(&third), super::digest(&third, 2));
}

/// Mounts a file system on a folder of the project for the time of a test; only root can.
#[cfg(target_os = "linux")]
struct Mounted(std::path::PathBuf);

#[cfg(target_os = "linux")]
impl Drop for Mounted {
    fn drop(&mut self) {
        let _ = std::process::Command::new("umount").arg(&self.0).status();
    }
}

#[cfg(target_os = "linux")]
impl Mounted {
    fn new(arguments: &[&str], at: &std::path::Path) -> Option<Self> {
        fs_err::create_dir_all(at).expect("folder");
        let status =
            std::process::Command::new("mount").args(arguments).arg(at).stderr(Stdio::null()).status();
        if status.is_ok_and(|status| status.success()) {
            return Some(Self(at.to_owned()));
        }
        modelgate_testing::skip("a file system can only be mounted by root");
        None
    }
}

/// What moves production, each possible in a project of [`waiting`].
#[cfg(target_os = "linux")]
const MOVES: [&[&str]; 3] =
    [&["model", "promote", "p", "3"], &["model", "rollback", "p", "--yes", "--reason", "x"], &["run"]];

/// A project with v001 to go back to, v002 in production, and v003 approved.
#[cfg(target_os = "linux")]
fn waiting() -> TestProject {
    let project = project(CONFIG, 2);
    project.write("modelgate.yaml", CONFIG.replace("approval: automatic", "approval: required"));
    let run = project.command(&["run"]).env("MODELGATE_SEED", "3").output().expect("started");
    assert_eq!(run.status.code(), Some(4));
    let _ = project.run(&["model", "approve", "p", "3"]).exits(0);
    project.write("modelgate.yaml", CONFIG);
    project
}

/// Checks that production is one whole version, that its package is in place, and that nothing is unfinished; returns it.
#[cfg(target_os = "linux")]
#[track_caller]
fn whole(project: &TestProject) -> u32 {
    project.run(&["status"]).exits(0).says("verified");
    project.run(&["ledger", "verify"]).exits(0).says("the ledger is whole");
    assert!(!project.path(".modelgate/unfinished/p.json").exists());
    let production = super::registry(project).model(&super::model()).expect("a model").production();
    let production = production.expect("a production").0;
    assert_eq!(super::packaged(project), super::digest(project, production));
    production
}

#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_is_told_of_and_nothing_is_half_written() {
    let project = waiting();
    let state = project.path(".modelgate");
    let copy = project.path("copy");
    fs_err::rename(&state, &copy).expect("moved");
    let Some(_mounted) = Mounted::new(&["-t", "tmpfs", "-o", "size=12m", "tmpfs"], &state) else { return };
    let status =
        std::process::Command::new("cp").arg("-a").arg(copy.join(".")).arg(&state).status().expect("cp");
    assert!(status.success());
    // What a command gave back is taken again.
    let fill = || {
        use std::io::Write as _;
        let filler = state.join("filler");
        let mut filler = fs_err::OpenOptions::new().create(true).append(true).open(filler).expect("opened");
        let full = filler.write_all(&vec![0_u8; 13 << 20]).expect_err("a full disk");
        assert_eq!(full.kind(), std::io::ErrorKind::StorageFull, "{full}");
    };
    let before = project.read(LEDGER);
    // What is left of the ledger's last block has no room for this event.
    let reason = "x".repeat(4096);
    let quarantine = ["model", "quarantine", "p", "1", "--reason", &reason];
    for arguments in MOVES.iter().copied().chain([&quarantine[..]]) {
        fill();
        let output = project.command(arguments).env("MODELGATE_SEED", "4").output().expect("started");
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{arguments:?}: {said}");
        assert!(said.contains("No space left on device") || said.contains("disk is full"), "{said}");
        assert_eq!(project.read(LEDGER), before, "{arguments:?}: something of an event that failed is left");
        let _ = project.run(&["model", "list"]).exits(0);
        assert_eq!(super::packaged(&project), super::digest(&project, 2));
    }
    fs_err::remove_file(state.join("filler")).expect("removed");
    assert_eq!(whole(&project), 2);
    let _ = project.run(MOVES[0]).exits(0);
    assert_eq!(whole(&project), 3);
    super::run(&project, 4);
    assert_eq!(whole(&project), 4);
}

#[cfg(target_os = "linux")]
#[test]
fn a_project_that_cannot_be_written_is_read_and_writing_is_refused() {
    let project = waiting();
    let before = project.read(LEDGER);
    let folder = project.path(".");
    let folder = folder.to_str().expect("path");
    let view = TestProject::new(crate::BINARY);
    let at = view.path("view");
    let Some(mounted) = Mounted::new(&["--bind", folder], &at) else { return };
    let status = std::process::Command::new("mount").args(["-o", "remount,ro,bind"]).arg(&mounted.0).status();
    assert!(status.expect("mount").success());
    let place = mounted.0.to_str().expect("path").to_owned();
    let listed = view.run(&["-C", &place, "model", "list"]).exits(0);
    listed.says("v002");
    let _ = view.run(&["-C", &place, "ledger", "at", "2999-01-01T00:00:00Z"]).exits(0);
    // An index that is not there is made in memory.
    fs_err::remove_file(project.path(".modelgate/registry.db")).expect("removed");
    view.run(&["-C", &place, "model", "list"]).exits(0).says("v002");
    let alias = ["model", "alias", "p", "x", "1"];
    for arguments in MOVES.iter().copied().chain([&alias[..]]) {
        let arguments = [&["-C", place.as_str()][..], arguments].concat();
        let output = view.command(&arguments).env("MODELGATE_SEED", "4").output().expect("started");
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{arguments:?}: {said}");
        assert!(said.contains("Read-only file system"), "{arguments:?}: {said}");
    }
    drop(mounted);
    assert_eq!(project.read(LEDGER), before);
    assert_eq!(whole(&project), 2);
}

#[cfg(target_os = "linux")]
#[test]
fn few_file_descriptors_are_an_error_and_no_damage() {
    let alias = ["model", "alias", "p", "x", "1"];
    for (arguments, after) in MOVES.iter().copied().zip([3, 1, 4]).chain([(&alias[..], 2)]) {
        let project = waiting();
        let limited = |limit: u32| {
            let script = format!("ulimit -n {limit}; exec \"$0\" \"$@\"");
            std::process::Command::new("sh")
                .args(["-c", &script, crate::BINARY])
                .args(arguments)
                .current_dir(project.path("."))
                .envs([("MODELGATE_ACTOR", "tester"), ("MODELGATE_SEED", "4")])
                .output()
                .expect("started")
        };
        let mut refused = 0;
        let done = [4, 6, 8, 10, 12, 16, 24, 32, 64, 128, 256].into_iter().any(|limit| {
            let output = limited(limit);
            // What came to its end in the ledger alone is brought to its end by the next command.
            let production = whole(&project);
            assert!(production == 2 || production == after, "{arguments:?} {limit}: v{production:03}");
            if output.status.success() {
                assert_eq!(production, after, "{arguments:?} {limit}: {output:?}");
            } else {
                let said = String::from_utf8_lossy(&output.stderr);
                assert!(!said.is_empty() && !said.contains("panicked"), "{arguments:?} {limit}: {said}");
                refused += 1;
            }
            output.status.success() || production == after && after != 2
        });
        assert!(done && refused > 0, "{arguments:?}: {refused} limits were too low");
    }
}

#[test]
fn production_that_cannot_be_read_is_judged_beside_when_it_can_be_read_again() {
    let rules = "gate: {rules: [{id: no-regression, metric: accuracy, versus: production, max_drop: 50%, min_samples: 1}]}";
    let config =
        CONFIG.replace("gate: {rules: [{id: min-accuracy, metric: accuracy, at_least: 0.7}]}", rules);
    let project = project(&config, 1);
    let model = super::registry(&project)
        .registration(&super::model(), modelgate_core::VersionNumber(1))
        .expect("registered");
    let digest = model.files["model.onnx"];
    let object = modelgate_store::ContentStore::new(&project.path(".modelgate")).path(&digest);
    let aside = project.path("aside");
    fs_err::rename(&object, &aside).expect("moved");
    let again = |code| {
        let output = project.command(&["run"]).env("MODELGATE_SEED", "2").output().expect("started");
        let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
        assert_eq!(output.status.code(), Some(code), "{said}");
        said
    };
    // A disk that does not give it out: that is no verdict.
    fs_err::create_dir(&object).expect("made");
    let said = again(1);
    assert!(said.contains("Is a directory") && !said.contains("v002"), "{said}");
    // An object that is lost: nothing can be said, until somebody puts it back.
    fs_err::remove_dir(&object).expect("removed");
    assert!(again(3).contains("is not in the registry"));
    assert!(again(3).contains("nothing changed"));
    fs_err::rename(&aside, &object).expect("put back");
    let said = again(0);
    assert!(said.contains("gate       ran") && said.contains("passed"), "{said}");
    assert!(again(0).contains("nothing changed"));
}

#[test]
fn a_promotion_that_the_files_could_not_follow_says_what_is_in_production() {
    let config = CONFIG.replace("approval: automatic", "approval: required");
    let project = TestProject::with(crate::BINARY, &super::easy(), &config);
    let _ = project.run(&["run"]).exits(4);
    let _ = project.run(&["model", "approve", "p"]).exits(0);
    project.write("baselines", "in the way");
    let promote = project.run(&["model", "promote", "p"]).exits(1);
    promote.says("p v001 is in production by the ledger").says("baselines").says("the next command here");
    fs_err::remove_file(project.path("baselines")).expect("removed");
    project.run(&["status"]).exits(0).says("in production is v001").says("production  v001");
    assert!(project.path("baselines/p.json").exists());
}

#[cfg(unix)]
#[test]
fn a_state_folder_behind_a_link_to_nothing_is_no_empty_history() {
    let project = TestProject::with(crate::BINARY, &super::easy(), CONFIG);
    std::os::unix::fs::symlink("/nowhere/mounted", project.path(".modelgate")).expect("linked");
    for command in ["status", "run"] {
        let output = project.run(&[command]).exits(1);
        output.says(".modelgate` is a link to `/nowhere/mounted`").says("is its disk mounted?");
    }
}
