//! How the binary reaches people: the script that installs it, the action, the workflow of a release.

use std::path::{Path, PathBuf};
use std::process::Command;

use modelgate_deploy::workflows::{self, Deploy, Plan};
use modelgate_testing::skip;

fn root(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(name)
}

fn read(name: &str) -> String {
    fs_err::read_to_string(root(name)).expect("a file").replace("\r\n", "\n")
}

/// Returns the names of what a release has, by its workflow.
fn released() -> Vec<String> {
    let targets = read(".github/workflows/release.yml");
    let targets =
        targets.lines().filter_map(|line| line.trim().strip_prefix("- target: ").map(str::to_owned));
    targets
        .map(|target| {
            format!("modelgate-{target}{}", if target.contains("windows") { ".zip" } else { ".tar.gz" })
        })
        .collect()
}

#[test]
fn everybody_asks_for_what_a_release_has() {
    let released = released();
    assert_eq!(released.len(), 5);
    let action = read("action.yml");
    for file in &released {
        assert!(action.contains(&format!("file={file}")), "action.yml knows no {file}");
    }
    let installer = read("install.sh");
    for target in released.iter().filter_map(|file| file.strip_prefix("modelgate-")?.strip_suffix(".tar.gz"))
    {
        assert!(installer.contains(&format!("echo {target} ")), "install.sh knows no {target}");
    }
    assert!(read("install.ps1").contains("modelgate-x86_64-pc-windows-msvc.zip"));
}

#[test]
fn the_action_of_this_repository_is_the_one_that_workflows_get() {
    let plan = Plan {
        folder: ".".to_owned(),
        pipeline: "p".to_owned(),
        model: "p".to_owned(),
        registry: "git+branch:modelgate".to_owned(),
        branch: "main".to_owned(),
        suffix: String::new(),
        pull: false,
        cloud: false,
        data: Vec::new(),
        compared: Vec::new(),
        requirements: None,
        tests: false,
        deploy: Deploy::None,
    };
    let files = workflows::files(&plan);
    let (_, action) = files.iter().find(|(path, _)| path.ends_with("action.yml")).expect("an action");
    assert!(
        read("action.yml") == *action,
        "action.yml at the root is stale: it is templates/action.yml, filled in"
    );
}

#[cfg(unix)]
mod installing {
    use super::*;
    use modelgate_core::Digest;

    /// A release in a folder: an archive for this machine, and its checksum.
    fn release(folder: &Path, says: &str) -> Option<String> {
        let target = match (std::env::consts::OS, std::env::consts::ARCH) {
            ("linux", "x86_64") => "x86_64-unknown-linux-musl",
            ("linux", "aarch64") => "aarch64-unknown-linux-musl",
            ("macos", "x86_64") => "x86_64-apple-darwin",
            ("macos", "aarch64") => "aarch64-apple-darwin",
            _ => return None,
        };
        let file = format!("modelgate-{target}.tar.gz");
        let place = folder.join("download/v9.9.9");
        fs_err::create_dir_all(&place).expect("a folder");
        fs_err::write(folder.join("modelgate"), format!("#!/bin/sh\necho '{says}'\n")).expect("a program");
        let done = Command::new("tar")
            .arg("-czf")
            .arg(place.join(&file))
            .arg("-C")
            .arg(folder)
            .arg("./modelgate")
            .status();
        assert!(done.expect("tar").success());
        let sum = Digest::of(&fs_err::read(place.join(&file)).expect("an archive")).to_string();
        let sum = sum.strip_prefix("sha256:").expect("a digest").to_owned();
        fs_err::write(place.join("SHA256SUMS"), format!("{}  other.zip\n{sum}  {file}\n", "0".repeat(64)))
            .expect("sums");
        Some(file)
    }

    fn install(folder: &Path, version: &str) -> (bool, String) {
        let output = Command::new("sh")
            .arg(root("install.sh"))
            .env("MODELGATE_RELEASES", format!("file://{}", folder.display()))
            .env("MODELGATE_INSTALL_DIR", folder.join("bin"))
            .env("MODELGATE_VERSION", version)
            .output()
            .expect("sh");
        (output.status.success(), String::from_utf8_lossy(&output.stderr).into_owned())
    }

    #[test]
    fn a_release_is_installed_when_its_checksum_holds() {
        if Command::new("curl").arg("--version").output().is_err() {
            return skip("there is no curl");
        }
        let folder = tempfile::tempdir().expect("a folder");
        let Some(file) = release(folder.path(), "modelgate 9.9.9") else {
            return skip("there is no release for this machine");
        };
        let (good, said) = install(folder.path(), "9.9.9");
        assert!(good && said.contains("installed modelgate 9.9.9 in "), "{said}");
        let output = Command::new(folder.path().join("bin/modelgate")).output().expect("installed");
        assert_eq!(output.stdout, b"modelgate 9.9.9\n");

        // Another archive under the same checksum is refused, and what is installed stays.
        let place = folder.path().join("download/v9.9.9").join(&file);
        let mut bytes = fs_err::read(&place).expect("an archive");
        bytes.push(0);
        fs_err::write(&place, bytes).expect("written");
        let (good, said) = install(folder.path(), "v9.9.9");
        assert!(
            !good && said.contains("is not what was released") && said.contains("nothing was installed"),
            "{said}"
        );
        assert_eq!(
            Command::new(folder.path().join("bin/modelgate")).output().expect("there").stdout,
            b"modelgate 9.9.9\n"
        );

        fs_err::write(folder.path().join("download/v9.9.9/SHA256SUMS"), "").expect("written");
        let (good, said) = install(folder.path(), "9.9.9");
        assert!(!good && said.contains("SHA256SUMS does not name"), "{said}");
        let (good, said) = install(folder.path(), "8.0.0");
        assert!(!good && said.contains("cannot be downloaded"), "{said}");
        let (good, said) = install(folder.path(), "1.0/../../x");
        assert!(!good && said.contains("is no version"), "{said}");
    }
}
