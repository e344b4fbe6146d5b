//! Versions of data: snapshots, pointer files, push and pull.

use std::path::Path;
use std::process::Command;

use modelgate_testing::{CuttingProxy, Output, S3Server, TestProject};

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
fn a_push_to_s3_goes_by_checksums_and_reads_objects_when_asked() {
    let Some(mut server) = S3Server::start() else { return };
    let project = project();
    // Large enough to be sent in parts.
    let big: Vec<u8> = (0..20_000_000u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    project.write("data/big.bin", &big);
    let _ = project.run(&["data", "snapshot", "p", "data/big.bin"]).exits(0);
    let variables = server.variables(None);
    let variable =
        |name: &str| variables.iter().find(|(known, _)| *known == name).map(|(_, value)| value.clone());
    let bucket = modelgate_store::remote::open("s3://data/p", Path::new("."), &variable).expect("a bucket");
    let key = |name: &str| {
        let pointer = project.read(&format!("data/{name}.modelgate"));
        let hex = pointer.split("sha256:").nth(1).expect("digest")[..64].to_owned();
        format!("sha256/{}/{}", &hex[..2], &hex[2..])
    };
    let push = |more: &[&str]| {
        let push = ["data", "push", "--remote", "s3://data/p"];
        with_s3(&project, &variables, &[&push, more].concat()).exits(0)
    };
    push(&[]).says("2 objects sent");
    let again = push(&[]);
    again.says("0 objects sent").says("2 there already");
    assert!(!again.stdout.contains("by size alone"), "{}", again.stdout);
    for (name, size) in [("p", 12), ("big", big.len())] {
        bucket.put(&key(name), &vec![0; size]).expect("put");
        push(&[]).says("1 object sent").says("other bytes than the name says");
    }
    // The server's own checksum need not know of a byte that was changed behind its back.
    server.flip_first_byte("data", &format!("p/{}", key("big")));
    push(&["--verify"]).says("1 object sent");
    push(&["--verify"]).says("0 objects sent");
    fresh_clone(&project);
    with_s3(&project, &variables, &["data", "pull", "--remote", "s3://data/p"])
        .exits(0)
        .says("2 files written");
    assert!(fs_err::read(project.path("data/big.bin")).expect("read") == big);
}

#[test]
fn wrong_requests_are_told_of() {
    let project = project();
    project.run(&["data", "push"]).exits(64).says("there is no data set to push");
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

/// Runs the binary with the folder `.modelgate` on a file system of a few megabytes.
#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_is_told_of_and_leaves_nothing_half_done() {
    let project = project();
    fs_err::create_dir_all(project.path(".modelgate")).expect("folder");
    let state = project.path(".modelgate");
    let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", "size=2m", "none"]).arg(&state).output();
    if !mounted.is_ok_and(|output| output.status.success()) {
        modelgate_testing::skip("a small file system cannot be mounted without being root");
        return;
    }
    project.write("data/big.csv", vec![b'x'; 4 << 20]);
    let output = project.run(&["data", "snapshot", "data/big.csv"]);
    project.write("data/small.csv", "x\n");
    let after = project.run(&["data", "snapshot", "data/small.csv"]);
    let files = |folder: &Path| -> usize {
        let entries = fs_err::read_dir(folder).expect("listing").map(|entry| entry.expect("entry").path());
        entries
            .map(|path| if path.is_dir() { fs_err::read_dir(path).expect("listing").count() } else { 1 })
            .sum()
    };
    let left = files(&state.join("store/sha256"));
    let unmounted = Command::new("umount").arg(&state).status().expect("umount");
    assert!(unmounted.success());
    output.exits(1).says("No space left on device");
    assert!(!project.path("data/big.modelgate").exists());
    let _ = after.exits(0);
    assert_eq!(left, 1, "one object, and nothing of the other");
}

/// Mounts a small file system, or says that this cannot be tried.
#[cfg(target_os = "linux")]
fn mount(size: &str, place: &Path) -> bool {
    fs_err::create_dir_all(place).expect("folder");
    let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", size, "none"]).arg(place).output();
    let is_mounted = mounted.is_ok_and(|output| output.status.success());
    if !is_mounted {
        modelgate_testing::skip("a small file system cannot be mounted without being root");
    }
    is_mounted
}

#[cfg(target_os = "linux")]
fn unmount(place: &Path) {
    assert!(Command::new("umount").arg(place).status().expect("umount").success());
}

/// Mounts a new file system of a kind that has reflinks; `None` where this machine or user has none, which is said.
#[cfg(target_os = "linux")]
fn mount_with_reflinks(project: &TestProject, place: &Path) -> Option<&'static str> {
    let image = project.path("disk.img");
    let done = |command: &mut Command| command.output().is_ok_and(|output| output.status.success());
    for (kind, make) in [("btrfs", "mkfs.btrfs"), ("xfs", "mkfs.xfs")] {
        fs_err::File::create(&image).expect("an image").set_len(400 << 20).expect("a length");
        fs_err::create_dir_all(place).expect("folder");
        if done(Command::new(make).arg("-q").arg(&image))
            && done(Command::new("mount").args(["-t", kind, "-o", "loop"]).arg(&image).arg(place))
        {
            return Some(kind);
        }
    }
    modelgate_testing::skip_case(
        "a file system with reflinks needs root, loop devices and mkfs.btrfs or mkfs.xfs",
    );
    None
}

#[cfg(target_os = "linux")]
#[test]
fn a_reflink_shares_the_blocks_and_nothing_else() {
    let project = project();
    let disk = project.path("disk");
    let Some(kind) = mount_with_reflinks(&project, &disk) else { return };
    let used = || {
        let sync = Command::new("sync").arg("-f").arg(&disk).status().expect("sync");
        assert!(sync.success());
        let output =
            Command::new("df").args(["--block-size=1", "--output=used"]).arg(&disk).output().expect("df");
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        text.lines().nth(1).and_then(|line| line.trim().parse::<u64>().ok()).expect("a number")
    };
    project.write("disk/modelgate.yaml", project.read("modelgate.yaml"));
    project.replace("disk/modelgate.yaml", "data: {remote:", "data: {link: reflink, remote:");
    // Nothing that a file system could make small.
    let big: Vec<u8> =
        (0..40_000_000u64).map(|n| (n.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 56) as u8).collect();
    project.write("disk/data/big.csv", &big);
    let before = used();
    let run = |arguments: &[&str]| project.run(&[&["-C", "disk"], arguments].concat());
    let snapshot = run(&["data", "snapshot", "data/big.csv"]);
    let after = used();
    let pointer = fs_err::read_to_string(project.path("disk/data/big.modelgate"));
    // In place: the object has its own blocks from then on.
    fs_err::write(project.path("disk/data/big.csv"), "x,y\n").expect("written");
    let pushed = run(&["data", "push", "big"]);
    let other = run(&["data", "snapshot", "data/big.csv"]);
    unmount(&disk);
    snapshot.exits(0).says("kept 1 reflink");
    assert!(after.saturating_sub(before) < 8_000_000, "{kind}: {before} bytes before, {after} after");
    assert!(pointer.expect("a pointer").contains("size: 40000000"));
    // The object is whole still, though the file has changed.
    pushed.exits(0).says("1 object sent");
    other.exits(0).says("big: changed").says("kept 1 reflink");
}

#[cfg(target_os = "linux")]
#[test]
fn a_reflink_that_is_asked_for_on_a_file_system_without_them_is_refused() {
    let project = project();
    let state = project.path("memory");
    if !mount("size=4m", &state) {
        return;
    }
    project.write("memory/modelgate.yaml", project.read("modelgate.yaml"));
    project.replace("memory/modelgate.yaml", "data: {remote:", "data: {link: reflink, remote:");
    project.write("memory/data/raw.csv", "x,y\n1,a\n");
    let refused = project.run(&["-C", "memory", "data", "snapshot"]);
    let other = project.run(&["-C", "memory", "data", "snapshot", "--link", "auto"]);
    unmount(&state);
    refused.exits(1).says("cannot be put into the store by reflink").says("use another `data.link`");
    other.exits(0).says("kept 1 hard link");
}

#[cfg(target_os = "linux")]
#[test]
fn a_pull_onto_a_full_disk_writes_nothing_and_goes_on_when_there_is_room() {
    let project = project();
    project.write("data/big.csv", vec![b'x'; 4 << 20]);
    let _ = project.run(&["data", "snapshot", "data/big.csv"]).exits(0);
    let _ = project.run(&["data", "push"]).exits(0);
    fresh_clone(&project);
    let state = project.path(".modelgate");
    if !mount("size=2m", &state) {
        return;
    }
    let full = project.run(&["data", "pull"]);
    unmount(&state);
    full.exits(1).says("No space left on device");
    assert!(!project.path("data/big.csv").exists());
    project.run(&["data", "pull"]).exits(0).says("1 file written");
    assert_eq!(fs_err::metadata(project.path("data/big.csv")).expect("big").len(), 4 << 20);
}

#[cfg(target_os = "linux")]
#[test]
fn what_is_written_about_data_is_there_whole_or_not_at_all_on_a_full_disk() {
    let project = project();
    let names: Vec<String> = (0..400).map(|column| format!("column {column}")).collect();
    let row = vec!["1"; 400].join(",");
    project.write("wide.csv", format!("{}\n{row}\n{row}\n", names.join(",")));
    let out = project.path("out");
    if !mount("size=16k", &out) {
        return;
    }
    fs_err::write(out.join("c.json"), "before").expect("written");
    let outputs = [
        &["data", "profile", "--data", "wide.csv", "--html", "out/p.html"][..],
        &["data", "profile", "--data", "wide.csv", "--output", "out/p.json"],
        &["data", "validate", "--data", "wide.csv", "--infer", "--contract", "out/c.yaml"],
        &["data", "validate", "--data", "wide.csv", "--infer", "--overwrite", "--contract", "out/c.json"],
    ];
    let outputs: Vec<Output> = outputs.into_iter().map(|arguments| project.run(arguments)).collect();
    let listing = fs_err::read_dir(&out).expect("listing").map(|entry| entry.expect("entry").file_name());
    let left: Vec<_> = listing.collect();
    let before = fs_err::read_to_string(out.join("c.json"));
    unmount(&out);
    for output in outputs {
        output.exits(1).says("No space left on device");
    }
    assert_eq!((left, before.expect("read").as_str()), (vec!["c.json".into()], "before"));
}

#[test]
fn data_in_s3_is_validated_described_and_compared() {
    let Some(server) = S3Server::start() else { return };
    let project = project();
    let variables = server.variables(None);
    let variable =
        |name: &str| variables.iter().find(|(known, _)| *known == name).map(|(_, value)| value.clone());
    let bucket = modelgate_store::remote::open("s3://data", Path::new("."), &variable).expect("a bucket");
    bucket.put("a.csv", b"id,x\n1,2\n2,3\n").expect("put");
    bucket.put("b.csv", b"id,x\n1,2\n2,4\n3,5\n").expect("put");
    project.write("c.yaml", "version: 1\ncolumns: {id: {type: int}, x: {type: int, max: 3}}\n");
    let run = |arguments: &[&str]| with_s3(&project, &variables, arguments);
    run(&["data", "profile", "--data", "s3://data/a.csv"]).exits(0).says("2 rows × 2 columns");
    let validate = |key: &str| run(&["data", "validate", "--contract", "c.yaml", "--data", key]);
    validate("s3://data/a.csv").exits(0).says("all hold");
    validate("s3://data/*.csv").exits(2).says("x.max").says("s3://data/b.csv");
    run(&["data", "diff", "s3://data/a.csv", "s3://data/b.csv", "--key", "id"])
        .exits(0)
        .says("1 added, 0 removed, 1 changed")
        .says("2: 3 → 4");
    run(&["data", "profile", "--data", "s3://data/none.csv"]).exits(64).says("there is no such object");
    // A snapshot is of what is in the project; what a pipeline reads from elsewhere does not stop it.
    let config = project.read("modelgate.yaml");
    let other = "  far:\n    task: classification\n    data: {source: \"s3://data/a.csv\", target: x}\n";
    project.write("modelgate.yaml", format!("{config}{other}"));
    project.run(&["data", "snapshot"]).exits(0).says("p: new");
    assert!(!project.path("data/far.modelgate").exists());
    project.run(&["data", "snapshot", "far"]).exits(64).says("is not in the project");
    project.replace("modelgate.yaml", "source: data/raw.csv", "source: \"s3://data/b.csv\"");
    project.run(&["data", "snapshot"]).exits(64).says("no pipeline reads from the project");
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

fn with_s3(project: &TestProject, variables: &[(&str, String)], arguments: &[&str]) -> Output {
    let mut command = project.command(arguments);
    for name in ["AWS_PROFILE", "AWS_SESSION_TOKEN", "AWS_ENDPOINT_URL_S3"] {
        command.env_remove(name);
    }
    let output =
        command.envs(variables.iter().map(|(name, value)| (*name, value))).output().expect("started");
    Output {
        code: output.status.code().unwrap_or(-1),
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

#[test]
fn data_goes_to_s3_and_comes_back_over_a_connection_that_drops() {
    let Some(mut server) = S3Server::start() else { return };
    let project = project();
    images(&project, 120);
    let big: Vec<u8> = (0..30_000_000u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    project.write("data/big.bin", &big);
    let _ = project.run(&["data", "snapshot", "p", "data/images", "data/big.bin"]).exits(0);
    let remote = ["--remote", "s3://data/team/p"];
    let proxy = CuttingProxy::start(&server.endpoint, 5_000_000, 2);
    let cut = server.variables(Some(&proxy.endpoint));
    let push = with_s3(&project, &cut, &[&["data", "push"], &remote[..]].concat()).exits(0);
    push.says("123 objects sent to s3://data/team/p");
    assert_eq!(proxy.cuts(), 2);
    with_s3(&project, &cut, &[&["data", "push"], &remote[..]].concat()).exits(0).says("0 objects sent");
    fresh_clone(&project);
    proxy.cut_next(3);
    with_s3(&project, &cut, &[&["data", "pull"], &remote[..]].concat()).exits(0).says("122 files written");
    assert_eq!(proxy.cuts(), 5);
    assert!(fs_err::read(project.path("data/big.bin")).expect("read") == big);
    // Every connection is cut; each has brought some more.
    fresh_clone(&project);
    proxy.cut_next(i64::MAX);
    with_s3(&project, &cut, &[&["data", "pull", "big"], &remote[..]].concat())
        .exits(0)
        .says("1 file written");
    // Other bytes under the right name.
    let plain = server.variables(None);
    let hex = project.read("data/p.modelgate").split("sha256:").nth(1).expect("digest")[..64].to_owned();
    server.flip_first_byte("data", &format!("team/p/sha256/{}/{}", &hex[..2], &hex[2..]));
    fresh_clone(&project);
    let pull = with_s3(&project, &plain, &[&["data", "pull", "p"], &remote[..]].concat()).exits(1);
    pull.says("has other bytes than its name says");
    assert!(!project.path("data/raw.csv").exists());
    let nowhere = ["data", "push", "big", "--remote", "s3://nowhere/x"];
    let _ = with_s3(&project, &plain, &["data", "pull", "big", "--remote", "s3://data/team/p"]).exits(0);
    with_s3(&project, &plain, &nowhere).exits(1).says("there is no bucket `nowhere`");
    let mut nobody = plain.clone();
    nobody.retain(|(name, _)| !name.ends_with("_ID"));
    nobody.push(("HOME", project.path("nobody").display().to_string()));
    nobody.push(("AWS_ACCESS_KEY_ID", String::new()));
    with_s3(&project, &nobody, &nowhere).exits(1).says("there are no credentials for `s3://nowhere/x`");
}

#[test]
fn wrong_credentials_are_named() {
    let Some(server) = S3Server::start_strict() else { return };
    let project = project();
    let _ = project.run(&["data", "snapshot"]).exits(0);
    let push = ["data", "push", "--remote", "s3://data/p"];
    with_s3(&project, &server.variables(None), &push).exits(0).says("1 object sent");
    let mut wrong = server.variables(None);
    wrong.push(("AWS_SECRET_ACCESS_KEY", "not-the-secret".to_owned()));
    let output = with_s3(&project, &wrong, &push).exits(1);
    output.says("`s3://data/p` does not accept the credentials");
    assert!(!output.stderr.contains("not-the-secret"), "{}", output.stderr);
}

#[test]
fn a_pipeline_reads_its_source_from_s3() {
    let Some(server) = S3Server::start() else { return };
    let project = TestProject::example(env!("CARGO_BIN_EXE_modelgate"), "iris", None);
    let variables = server.variables(None);
    let push = ["data", "push", "--remote", "s3://data/sets"];
    let _ = project.run(&["data", "snapshot"]).exits(0);
    let _ = with_s3(&project, &variables, &push).exits(0);
    let hex = project.read("data/iris.modelgate").split("sha256:").nth(1).expect("digest")[..64].to_owned();
    let source = format!("s3://data/sets/sha256/{}/{}", &hex[..2], &hex[2..]);
    let config = project.read("modelgate.yaml").replace("data/raw/iris.csv", &source);
    assert!(config.contains(&source), "{config}");
    project.write("modelgate.yaml", config);
    let run = ["run", "--until", "split"];
    with_s3(&project, &variables, &run).exits(0).says(&hex[..12]);
    with_s3(&project, &variables, &run).exits(0).says("nothing changed");
    project.replace("modelgate.yaml", &source, "s3://data/none.csv");
    with_s3(&project, &variables, &run).exits(64).says("`s3://data/none.csv`: there is no such object");
}

#[test]
fn a_pipeline_reads_all_that_a_glob_finds_in_s3() {
    let Some(server) = S3Server::start() else { return };
    let project = TestProject::example(env!("CARGO_BIN_EXE_modelgate"), "iris", None);
    let variables = server.variables(None);
    let variable =
        |name: &str| variables.iter().find(|(known, _)| *known == name).map(|(_, value)| value.clone());
    let bucket =
        modelgate_store::remote::open("s3://data", std::path::Path::new("."), &variable).expect("a bucket");
    let table = project.read("data/raw/iris.csv");
    let (header, rows) = table.split_once('\n').expect("a header");
    let rows: Vec<&str> = rows.lines().collect();
    let part = |rows: &[&str]| format!("{header}\n{}\n", rows.join("\n"));
    for (key, rows) in
        [("parts/a.csv", &rows[..50]), ("parts/b.csv", &rows[50..]), ("parts/deeper/c.csv", &rows[..9])]
    {
        bucket.put(key, part(rows).as_bytes()).expect("put");
    }
    bucket.put("parts/readme.txt", b"not data").expect("put");
    project.replace("modelgate.yaml", "data/raw/iris.csv", "s3://data/parts/*.csv");
    let run = ["run", "--until", "split"];
    with_s3(&project, &variables, &run).exits(0).says("150 rows");
    with_s3(&project, &variables, &run).exits(0).says("nothing changed");
    // Another object, or another state of one, is other data.
    bucket.put("parts/b.csv", part(&rows[50..149]).as_bytes()).expect("put");
    with_s3(&project, &variables, &run).exits(0).says("149 rows");
    project.replace("modelgate.yaml", "s3://data/parts/*.csv", "s3://data/parts/*.parquet");
    with_s3(&project, &variables, &run).exits(64).says("no object has such a name");
}
