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

/// Returns a script of `PowerShell` without its comments and texts, but for what is filled into those.
///
/// This is no `PowerShell`, which is not everywhere that tests run: it finds what is not closed, or used and never set.
fn without_texts(script: &str) -> String {
    let mut kept = String::new();
    for line in script.lines() {
        let mut quote = None;
        for letter in line.chars() {
            match (quote, letter) {
                (None, '#') => break,
                (None, '\'' | '"') => quote = Some(letter),
                (Some(open), close) if open == close => quote = None,
                // What is filled into a text counts.
                (Some('"'), letter) if letter.is_ascii_alphanumeric() || "_:$(){}".contains(letter) => {
                    kept.push(letter);
                }
                (None, letter) => kept.push(letter),
                (Some(_), _) => kept.push(' '),
            }
        }
        assert_eq!(quote, None, "a text is not closed in `{line}`");
        kept.push('\n');
    }
    kept
}

#[test]
fn the_installer_for_windows_unpacks_nothing_before_its_checksum_holds() {
    let script = read("install.ps1");
    let code = without_texts(&script);
    let mut open = Vec::new();
    for letter in code.chars() {
        match letter {
            '(' | '{' => open.push(letter),
            ')' => assert_eq!(open.pop(), Some('('), "{code}"),
            '}' => assert_eq!(open.pop(), Some('{'), "{code}"),
            _ => {}
        }
    }
    assert!(open.is_empty(), "{open:?} is not closed");
    // `Set-StrictMode` makes a variable that was never set an error: there is none.
    let names = code.split('$').skip(1).map(|rest| {
        let end =
            rest.find(|letter: char| !(letter.is_ascii_alphanumeric() || letter == ':' || letter == '_'));
        &rest[..end.unwrap_or(rest.len())]
    });
    for name in names.filter(|name| !name.is_empty() && !name.starts_with("env:") && *name != "_") {
        let set = script.contains(&format!("${name} = "));
        assert!(set || name == "ErrorActionPreference", "${name} is used and never set");
    }
    let at = |part: &str| script.find(part).unwrap_or_else(|| panic!("no `{part}`"));
    let order = ["SHA256SUMS\"", "Get-FileHash", "is not what was released", "Expand-Archive", "Copy-Item"];
    assert!(order.windows(2).all(|pair| at(pair[0]) < at(pair[1])), "{order:?}");
    // It obeys the variables that install.sh obeys.
    for name in ["MODELGATE_VERSION", "MODELGATE_INSTALL_DIR", "MODELGATE_RELEASES"] {
        assert!(script.contains(&format!("$env:{name}")) && read("install.sh").contains(name), "{name}");
    }
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
        lfs: false,
        data: Vec::new(),
        compared: Vec::new(),
        requirements: None,
        tests: false,
        deploy: Deploy::None,
        space_secrets: Vec::new(),
        notify_secret: None,
        sign: false,
        automatic: false,
        recipes: true,
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
        {
            use std::os::unix::fs::PermissionsExt as _;
            let all = std::fs::Permissions::from_mode(0o755);
            fs_err::set_permissions(folder.join("modelgate"), all).expect("allowed");
        }
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

    /// Runs the script of the action as a runner does, with a release in a folder; returns what it put on the path.
    fn act(folder: &Path, machine: (&str, &str), vouched: bool) -> (bool, Vec<PathBuf>, String) {
        use std::os::unix::fs::PermissionsExt as _;
        let action = read("action.yml");
        let action: serde_json::Value =
            serde_saphyr::from_str(action.split_once('\n').expect("lines").1).expect("YAML");
        let steps = action["runs"]["steps"].as_array().expect("steps");
        assert_eq!((steps.len(), steps[0]["shell"].as_str()), (1, Some("bash")));
        let bin = folder.join("shim");
        fs_err::create_dir_all(&bin).expect("a folder");
        // `gh`: a release is a folder, and somebody vouches for its files or does not.
        let gh = "#!/bin/bash\nset -eu\necho \"$*\" >> \"$ASKED\"\ncase \"$1 $2\" in\n  'release download')\n    \
                  release=$RELEASES/download/$3; shift 3\n    while [ $# -gt 0 ]; do\n      case \"$1\" in\n        \
                  --pattern) cp \"$release/$2\" .; shift 2 ;;\n        --repo) shift 2 ;;\n        --clobber) shift ;;\n        \
                  *) exit 9 ;;\n      esac\n    done ;;\n  'attestation verify') exec \"$VOUCHED\" ;;\n  *) exit 9 ;;\nesac\n";
        fs_err::write(bin.join("gh"), gh).expect("a program");
        fs_err::set_permissions(bin.join("gh"), std::fs::Permissions::from_mode(0o755)).expect("allowed");
        let (temporary, paths) = (folder.join("temporary"), folder.join("paths"));
        let _ = fs_err::remove_dir_all(&temporary);
        fs_err::create_dir_all(&temporary).expect("a folder");
        fs_err::write(&paths, "").expect("a file");
        fs_err::write(folder.join("asked"), "").expect("a file");
        let mut command = Command::new("bash");
        command.args(["--noprofile", "--norc", "-eo", "pipefail", "-c"]);
        command.arg(steps[0]["run"].as_str().expect("a script")).current_dir(folder);
        for (name, value) in steps[0]["env"].as_object().expect("variables") {
            let value = value.as_str().expect("a text");
            command.env(name, if value.contains("inputs.version") { "9.9.9" } else { value });
        }
        let path = format!("{}:{}", bin.display(), std::env::var("PATH").unwrap_or_default());
        command.env("PATH", path).env("RUNNER_OS", machine.0).env("RUNNER_ARCH", machine.1);
        command.env("RUNNER_TEMP", &temporary).env("GITHUB_PATH", &paths).env("RELEASES", folder);
        command.env("ASKED", folder.join("asked")).env("VOUCHED", if vouched { "true" } else { "false" });
        let output = command.output().expect("bash");
        let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
        let added = fs_err::read_to_string(&paths).expect("paths").lines().map(PathBuf::from).collect();
        (output.status.success(), added, said)
    }

    #[test]
    fn the_action_puts_on_the_path_what_was_released_and_nothing_else() {
        let folder = tempfile::tempdir().expect("a folder");
        let folder = folder.path();
        let Some(_) = release(folder, "modelgate 9.9.9") else {
            return skip("there is no release for this machine");
        };
        // The same archive under the name for each machine that unpacks one.
        let place = folder.join("download/v9.9.9");
        let machines = [
            ("Linux", "X64", "x86_64-unknown-linux-musl"),
            ("Linux", "ARM64", "aarch64-unknown-linux-musl"),
            ("macOS", "X64", "x86_64-apple-darwin"),
            ("macOS", "ARM64", "aarch64-apple-darwin"),
        ];
        let mut files = fs_err::read_dir(&place).expect("a release").flatten().map(|entry| entry.path());
        let archive = files.find(|path| path.extension().is_some_and(|end| end == "gz"));
        let bytes = fs_err::read(archive.expect("an archive")).expect("read");
        let sum = Digest::of(&bytes).hex();
        let list = |sum: &str| -> String {
            let lines = machines.map(|(.., target)| format!("{sum}  modelgate-{target}.tar.gz\n"));
            format!("{}  other.zip\n{}", "0".repeat(64), lines.concat())
        };
        for (.., target) in machines {
            fs_err::write(place.join(format!("modelgate-{target}.tar.gz")), &bytes).expect("written");
        }
        fs_err::write(place.join("SHA256SUMS"), list(&sum)).expect("sums");
        for (system, machine, target) in machines {
            let (good, added, said) = act(folder, (system, machine), true);
            assert!(good && added.len() == 1, "{system} {machine}: {said}");
            let output = Command::new(added[0].join("modelgate")).output().expect("installed");
            assert_eq!(output.stdout, b"modelgate 9.9.9\n");
            let asked = fs_err::read_to_string(folder.join("asked")).expect("asked");
            let vouched = format!("attestation verify modelgate-{target}.tar.gz --repo ");
            assert!(asked.contains(&vouched) && asked.contains("/.github/workflows/release.yml"), "{asked}");
        }

        let refused = |machine: (&str, &str), vouched: bool| {
            let (good, added, said) = act(folder, machine, vouched);
            assert!(!good && added.is_empty(), "{said}");
            assert!(!folder.join("temporary/modelgate/modelgate").exists(), "nothing is unpacked: {said}");
            (fs_err::read_to_string(folder.join("asked")).expect("asked"), said)
        };
        // Nobody vouches for it.
        refused(("Linux", "X64"), false);
        // It is another file than the list says, or the list does not name it: nobody is asked who made it.
        for list in [list(&"0".repeat(64)), format!("{sum}  other.zip\n")] {
            fs_err::write(place.join("SHA256SUMS"), list).expect("sums");
            let (asked, _) = refused(("Linux", "X64"), true);
            assert!(!asked.contains("attestation"), "{asked}");
        }
        let (_, said) = refused(("Linux", "RISCV64"), true);
        assert!(said.contains("there is no modelgate for Linux on RISCV64"), "{said}");
    }
}
