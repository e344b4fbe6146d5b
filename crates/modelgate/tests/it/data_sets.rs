//! Versions of data: snapshots, pointer files, push and pull.

mod committed;
#[cfg(target_os = "linux")]
mod disks;
mod s3;

use std::path::Path;
use std::process::Command;

use modelgate_testing::TestProject;

fn project() -> TestProject {
    let config = "version: 1\nproject: p\ndata: {remote: ../remote-of-p}\npipelines:\n  p:\n    task: classification\n    \
                  data: {source: data/raw.csv, target: y}\n";
    let project = TestProject::new(env!("CARGO_BIN_EXE_modelgate"));
    project.write("modelgate.yaml", config.replace("../remote-of-p", &remote(&project)));
    project.write("data/raw.csv", "x,y\n1,a\n2,b\n");
    project
}

/// A folder beside the project that goes with it.
fn remote(project: &TestProject) -> String {
    project.path(".remote").display().to_string()
}

fn images(project: &TestProject, number: u32) {
    for image in 0..number {
        project.write(&format!("data/images/{}/{image}.txt", image % 7), format!("image {image}"));
    }
}

/// Forgets what the project keeps and has, as a fresh clone does; the pointer files stay.
fn fresh_clone(project: &TestProject) {
    let keep = |path: &Path| path.extension().is_some_and(|ending| ending == "modelgate");
    let _ = fs_err::remove_dir_all(project.path(".modelgate"));
    for entry in fs_err::read_dir(project.path("data")).expect("listing") {
        let path = entry.expect("entry").path();
        if path.is_dir() {
            fs_err::remove_dir_all(path).expect("removed");
        } else if !keep(&path) {
            fs_err::remove_file(path).expect("removed");
        }
    }
}

fn settle() {
    std::thread::sleep(std::time::Duration::from_millis(40));
}

#[test]
fn a_snapshot_writes_a_pointer_and_reads_unchanged_files_no_more() {
    let project = project();
    images(&project, 200);
    settle();
    let first = project.run(&["data", "snapshot", "p", "data/images"]).exits(0);
    first.says("p: new").says("images: new").says("200 files, 200 read");
    let pointer = project.read("data/p.modelgate");
    assert!(pointer.contains("source: \"data/raw.csv\"") && pointer.contains("sha256:"), "{pointer}");
    assert!(!project.read("data/images.modelgate").contains("list:"), "200 files are listed in the store");
    let again = project.run(&["data", "snapshot", "p", "data/images"]).exits(0);
    again.says("p: unchanged").says("images: unchanged").says("200 files, 0 read");
    assert_eq!(project.read("data/p.modelgate"), pointer);
    // One of many changed: it alone is read.
    fs_err::remove_file(project.path("data/images/0/0.txt")).expect("removed");
    project.write("data/images/0/0.txt", "another image");
    project
        .run(&["data", "snapshot", "data/images"])
        .exits(0)
        .says("images: changed")
        .says("200 files, 1 read");
}

#[test]
fn the_snapshot_of_a_pipeline_is_the_data_set_of_its_run() {
    let project = TestProject::example(env!("CARGO_BIN_EXE_modelgate"), "iris", None);
    let _ = project.run(&["data", "snapshot", "--output-format", "json"]).exits(0);
    let pointer = project.read("data/iris.modelgate");
    let _ = project.run(&["run", "--until", "snapshot"]).exits(0);
    let record = project.json(".modelgate/cache/iris/snapshot.json");
    let digest = record["outputs"]["data"].as_str().expect("digest");
    assert!(pointer.contains(digest), "{digest} is not in {pointer}");
}

#[test]
fn what_is_pushed_comes_back_in_a_fresh_clone() {
    let project = project();
    images(&project, 150);
    let _ = project.run(&["data", "snapshot", "p", "data/images"]).exits(0);
    project.run(&["data", "push", "--dry-run"]).exits(0).says("152 objects would be sent");
    project.run(&["data", "push"]).exits(0).says("152 objects sent");
    project.run(&["data", "push"]).exits(0).says("0 objects sent").says("152 there already");
    fresh_clone(&project);
    project.run(&["data", "pull"]).exits(0).says("151 files written").says("152 objects fetched");
    assert_eq!(project.read("data/images/3/10.txt"), "image 10");
    project.run(&["data", "pull"]).exits(0).says("0 files written, 151 unchanged");
    project.run(&["data", "snapshot", "p", "data/images"]).exits(0).says("images: unchanged");
}

#[test]
fn a_fresh_clone_that_pulled_can_push_again() {
    let project = project();
    images(&project, 3);
    let _ = project.run(&["data", "snapshot", "p", "data/images"]).exits(0);
    let first = project.run(&["data", "push"]).exits(0);
    first.says("5 objects sent").says(".remote was not there and was made");
    fresh_clone(&project);
    project.run(&["data", "pull"]).exits(0).says("4 objects fetched");
    project.run(&["data", "push", "--verify"]).exits(0).says("0 objects sent").says("5 there already");
    // What was there is not mounted any more: the place is empty, or gone.
    fs_err::rename(project.path(".remote"), project.path(".away")).expect("unmounted");
    let gone = project.run(&["data", "push"]).exits(64);
    gone.says(".remote` is not there, and this clone").says("mount its disk");
    fs_err::create_dir(project.path(".remote")).expect("the place");
    project.run(&["data", "push"]).exits(64).says(".remote` has no contents any more");
    assert_eq!(fs_err::read_dir(project.path(".remote")).expect("listing").count(), 0);
}

#[test]
#[cfg(unix)]
fn a_name_that_no_pull_brings_back_is_refused_before_anything_is_kept() {
    let project = project();
    project.write("data/odd/back\\slash", "1");
    project.write("data/odd/ok", "2");
    let snapshot = ["data", "snapshot", "data/odd"];
    project.run(&snapshot).exits(1).says("`data/odd/back\\slash`: ").says("rename it");
    assert!(!project.path("data/odd.modelgate").exists() && !project.path(".modelgate/store").exists());
    // A pointer file of an earlier version that has such a name is no dead end.
    fs_err::rename(project.path("data/odd/back\\slash"), project.path("data/odd/dash")).expect("renamed");
    let _ = project.run(&snapshot).exits(0);
    let pointer = project.read("data/odd.modelgate").replacen("data/odd/dash", "data/odd/back\\\\slash", 1);
    project.write("data/odd.modelgate", pointer);
    project.run(&["data", "push"]).exits(1).says("modelgate data snapshot");
    project.run(&snapshot).exits(0).says("could not be read");
    let _ = project.run(&["data", "push"]).exits(0);
}

/// Commits all that is not ignored.
fn commit(project: &TestProject) {
    for arguments in [&["add", "-A"][..], &["commit", "-q", "-m", "data"]] {
        let mut git = Command::new("git");
        git.args(["-c", "user.name=t", "-c", "user.email=t@example.com", "-C"]).arg(project.path("."));
        assert!(git.args(arguments).status().expect("git").success());
    }
}

#[test]
fn a_pull_request_is_compared_with_main_in_a_fresh_clone() {
    let project = project();
    let git = |arguments: &[&str]| {
        let output =
            Command::new("git").current_dir(project.path(".")).args(arguments).output().expect("git");
        assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    };
    project.write(".gitignore", "*.csv\ndata/images/\n.modelgate/\n.remote/\nclone/\n");
    git(&["init", "-q", "-b", "main"]);
    images(&project, 120);
    let kept = |rows: &str| {
        project.write("data/raw.new", rows);
        fs_err::rename(project.path("data/raw.new"), project.path("data/raw.csv")).expect("renamed");
        let _ = project.run(&["data", "snapshot", "p", "data/images"]).exits(0);
        let _ = project.run(&["data", "push"]).exits(0);
        commit(&project);
    };
    kept("x,y\n1,a\n2,b\n3,a\n");
    git(&["checkout", "-q", "-b", "change"]);
    project.write("data/images/8/new.txt", "new");
    kept("x,y\n1,a\n2,c\n4,a\n");
    let clone = || {
        let _ = fs_err::remove_dir_all(project.path("clone"));
        git(&["clone", "-q", ".", "clone"]);
    };
    let run = |arguments: &[&str]| project.run(&[&["-C", "clone"], arguments].concat());
    let diff = ["data", "diff", "origin/main:data/p.modelgate", "data/p.modelgate", "--key", "x"];
    // Whatever was pulled before, what is missing is fetched; the files of the project stay as they are.
    clone();
    run(&diff).exits(0).says("1 added, 1 removed, 1 changed").says("2: b → c");
    assert!(!project.path("clone/data/raw.csv").exists());
    run(&["data", "pull", "p"]).exits(0).says("0 objects fetched").says("1 file written");
    run(&diff).exits(0).says("1 changed");
    let folders = ["data", "diff", "origin/main:data/images.modelgate", "data/images.modelgate"];
    run(&folders).exits(0).says("+ data/images/8/new.txt");
    // By hand, into the store alone.
    clone();
    let _ = run(&["data", "pull", "p"]).exits(0);
    let pull = ["data", "pull", "origin/main:data/p.modelgate"];
    run(&pull).exits(0).says("1 object fetched").says("into the store alone");
    run(&pull).exits(0).says("0 objects fetched").says("1 here already");
    assert_eq!(project.read("clone/data/raw.csv"), "x,y\n1,a\n2,c\n4,a\n");
    let list = ["data", "pull", "origin/main:data/images.modelgate", "images"];
    run(&list).exits(0).says("121 objects fetched").says("121 files written");
    run(&["data", "pull", "origin/main:data/raw.csv"]).exits(64).says("REV:data/NAME.modelgate");
    run(&["data", "pull", "nowhere:data/p.modelgate"]).exits(1).says("nowhere:data/p.modelgate");
    // Without a remote the answer says how to get one.
    clone();
    let config = project.read("clone/modelgate.yaml");
    let declared = format!("data: {{remote: {}}}\n", remote(&project));
    assert!(config.contains(&declared), "{config}");
    project.write("clone/modelgate.yaml", config.replace(&declared, ""));
    run(&diff).exits(64).says("`data/raw.csv` is not in the store").says("--remote");
    run(&[&diff[..], &["--remote", &remote(&project)]].concat()).exits(0).says("1 changed");
    // What the remote has under the name is checked, and what it lacks is named.
    clone();
    let shown =
        Command::new("git").current_dir(project.path(".")).args(["show", "main:data/p.modelgate"]).output();
    let pointer = String::from_utf8(shown.expect("git").stdout).expect("text");
    let hex = &pointer.split("sha256:").nth(1).expect("digest")[..64];
    let object = project.path(&format!(".remote/sha256/{}/{}", &hex[..2], &hex[2..]));
    fs_err::write(&object, "x,y\n1,a\n2,b\n3,b\n").expect("written");
    run(&diff).exits(1).says("has other bytes than its name says");
    fs_err::remove_file(&object).expect("removed");
    run(&diff).exits(1).says(hex).says("`data/raw.csv` is not in").says("modelgate data push");
}

#[test]
fn what_the_store_has_is_brought_back_without_a_remote() {
    let project = project();
    let config = project.read("modelgate.yaml");
    project.write("modelgate.yaml", config.replace(&format!("data: {{remote: {}}}\n", remote(&project)), ""));
    let _ = project.run(&["data", "snapshot", "p"]).exits(0);
    fs_err::remove_file(project.path("data/raw.csv")).expect("removed");
    project.run(&["data", "pull"]).exits(0).says("1 file written");
    assert_eq!(project.read("data/raw.csv"), "x,y\n1,a\n2,b\n");
    project.run(&["data", "push"]).exits(64).says("there is no remote; set `data:");
    fresh_clone(&project);
    let refused = project.run(&["data", "pull"]).exits(64);
    refused
        .says("of `data/raw.csv` is not in the store, and there is no remote to fetch it from; set `data:");
}

#[test]
fn a_pull_does_not_overwrite_what_no_snapshot_has() {
    let project = project();
    let _ = project.run(&["data", "snapshot", "--link", "copy"]).exits(0);
    let _ = project.run(&["data", "push"]).exits(0);
    project.write("data/raw.csv", "x,y\n3,c\n");
    project
        .run(&["data", "pull"])
        .exits(1)
        .says("`data/raw.csv` has changes that no snapshot has")
        .says("--force");
    assert_eq!(project.read("data/raw.csv"), "x,y\n3,c\n");
    project.run(&["data", "pull", "--force"]).exits(0).says("1 file written");
    assert_eq!(project.read("data/raw.csv"), "x,y\n1,a\n2,b\n");
}

#[test]
fn an_object_with_other_bytes_is_refused() {
    let project = project();
    let _ = project.run(&["data", "snapshot"]).exits(0);
    let _ = project.run(&["data", "push"]).exits(0);
    let hex = project.read("data/p.modelgate").split("sha256:").nth(1).expect("digest")[..64].to_owned();
    let object = project.path(&format!(".remote/sha256/{}/{}", &hex[..2], &hex[2..]));
    fs_err::write(&object, "x,y\n1,a\n2,c\n").expect("written");
    fresh_clone(&project);
    project.run(&["data", "pull"]).exits(1).says("has other bytes than its name says");
    assert!(!project.path("data/raw.csv").exists());
    fs_err::remove_file(&object).expect("removed");
    project.run(&["data", "pull"]).exits(1).says("is not in").says("data push");
}

#[test]
fn a_push_counts_as_there_only_what_has_the_right_bytes() {
    let project = project();
    images(&project, 80);
    let _ = project.run(&["data", "snapshot", "p", "data/images"]).exits(0);
    let _ = project.run(&["data", "push"]).exits(0);
    settle();
    project.run(&["data", "push"]).exits(0).says("0 objects sent").says("82 there already");
    let hex = project.read("data/p.modelgate").split("sha256:").nth(1).expect("digest")[..64].to_owned();
    let object = format!(".remote/sha256/{}/{}", &hex[..2], &hex[2..]);
    let zeros = || {
        let size = fs_err::metadata(project.path(&object)).expect("an object").len();
        project.write(&object, vec![0; size as usize]);
    };
    for names in [&[][..], &["p"]] {
        // Of many objects a listing is asked for, of few each by itself.
        zeros();
        let run = |arguments: &[&str]| project.run(&[&["data", "push"], names, arguments].concat()).exits(0);
        run(&["--dry-run"])
            .says("1 object would be sent")
            .says("other bytes than the name says: would be sent");
        let pushed = run(&["--output-format", "json"]);
        let pushed: serde_json::Value = serde_json::from_str(&pushed.stdout).expect("JSON");
        assert_eq!((&pushed["pushed"]["objects"], &pushed["pushed"]["replaced"]), (&1.into(), &1.into()));
        run(&["--verify"]).says("0 objects sent");
    }
    fresh_clone(&project);
    project.run(&["data", "pull", "p"]).exits(0).says("1 file written");
}

#[test]
fn wrong_requests_are_told_of() {
    let project = project();
    project.run(&["data", "push"]).exits(64).says("there is no data set to push");
    // Data may lie in git alone.
    project.run(&["data", "pull"]).exits(0).says("there is nothing to pull: no `data/*.modelgate`");
    project.run(&["data", "pull", "p"]).exits(0).says("what p reads is neither a data set");
    project.run(&["data", "snapshot", "none.csv"]).exits(1).says("`none.csv`: there is no such file");
    project.run(&["data", "snapshot", "../x"]).exits(1).says("below the project");
    let _ = project.run(&["data", "snapshot"]).exits(0);
    project.run(&["data", "pull", "other"]).exits(64).says("there is no data set `other`; there is p");
    project.run(&["data", "push", "--remote", "ftp://x/y"]).exits(64).says("expected `s3://bucket/prefix`");
    project.run(&["data", "snapshot", "data/raw.csv", "--name", "p q"]).exits(64).says("cannot be the name");
    project.write("data/other.csv", "x\n");
    project
        .run(&["data", "snapshot", "data/other.csv", "--name", "p"])
        .exits(64)
        .says("the data set `p` is of");
    let text = project.read("data/p.modelgate").replace("data/raw.csv", "../raw.csv");
    project.write("data/p.modelgate", text);
    project.run(&["data", "pull"]).exits(1).says("p.modelgate").says("below the project");
    project.replace("data/p.modelgate", "name: \"../raw.csv", "name: \"conftest.py");
    project.run(&["data", "pull"]).exits(1).says("the name `conftest.py` is none that its source");
}

#[cfg(unix)]
#[test]
fn links_that_loop_and_files_that_cannot_be_read_are_named() {
    use std::os::unix::fs::PermissionsExt;
    let project = project();
    images(&project, 3);
    std::os::unix::fs::symlink("..", project.path("data/images/back")).expect("linked");
    project
        .run(&["data", "snapshot", "data/images"])
        .exits(1)
        .says("`data/images/back`: the symbolic link leads back");
    fs_err::remove_file(project.path("data/images/back")).expect("removed");
    let closed = project.path("data/images/0/0.txt");
    fs_err::set_permissions(&closed, std::fs::Permissions::from_mode(0o000)).expect("closed");
    let mut command = project.command(&["data", "snapshot", "data/images"]);
    if fs_err::File::open(&closed).is_ok() {
        // Root reads every file: somebody else runs the command in a project that is theirs.
        as_nobody(&project, &mut command);
    }
    let output = command.output().expect("started");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("data/images/0/0.txt") && said.contains("may not be read"), "{said}");
    assert!(!project.path("data/images.modelgate").exists());
}

/// Makes a project nobody's, and a command theirs.
#[cfg(unix)]
fn as_nobody(project: &TestProject, command: &mut Command) {
    use std::os::unix::process::CommandExt;
    fn own(path: &Path) {
        if path.is_dir() && !path.is_symlink() {
            for entry in fs_err::read_dir(path).expect("listing") {
                own(&entry.expect("entry").path());
            }
        }
        std::os::unix::fs::lchown(path, Some(65534), Some(65534)).expect("owned");
    }
    own(&project.path(""));
    command.uid(65534).gid(65534).env("HOME", project.path(""));
}

#[test]
fn what_moves_data_waits_for_who_holds_the_project() {
    let project = project();
    let _ = project.run(&["data", "snapshot"]).exits(0);
    let lock = fs_err::OpenOptions::new().write(true).open(project.path(".modelgate/lock")).expect("lock");
    let lock = lock.into_file();
    lock.lock().expect("locked");
    for command in [&["data", "push"][..], &["data", "pull"], &["data", "snapshot"]] {
        project.run(command).exits(1).says("wait for it to end");
    }
    let _ = project.run(&["data", "push", "--dry-run"]).exits(0);
    drop(lock);
    let _ = project.run(&["data", "push"]).exits(0);
}
