//! Versions of data on small file systems: full disks, and file systems with and without reflinks.

use std::path::Path;
use std::process::Command;

use modelgate_testing::{Output, TestProject};

use super::{fresh_clone, project};

/// Runs the binary with the folder `.modelgate` on a file system of a few megabytes.
#[test]
fn a_full_disk_is_told_of_and_leaves_nothing_half_done() {
    let project = project();
    let state = project.path(".modelgate");
    if !mount("size=2m", &state) {
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
    unmount(&state);
    output.exits(1).says("No space left on device");
    assert!(!project.path("data/big.modelgate").exists());
    let _ = after.exits(0);
    assert_eq!(left, 1, "one object, and nothing of the other");
}

/// Mounts a small file system, or says that this cannot be tried.
fn mount(size: &str, place: &Path) -> bool {
    fs_err::create_dir_all(place).expect("folder");
    let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", size, "none"]).arg(place).output();
    let is_mounted = mounted.is_ok_and(|output| output.status.success());
    if !is_mounted {
        modelgate_testing::skip("a small file system cannot be mounted without being root");
    }
    is_mounted
}

fn unmount(place: &Path) {
    assert!(Command::new("umount").arg(place).status().expect("umount").success());
}

/// Mounts a new file system of a kind that has reflinks; `None` where this machine or user has none, which is said.
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
    other.exits(0).says("kept 1 copy");
}

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
