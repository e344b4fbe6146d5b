//! Results on a branch: what the user has is not touched, and who moves the branch meanwhile is noticed.

use std::path::Path;
use std::process::Command;

use modelgate_deploy::branch::{BranchError, Identity, Update, checked_out, default_remote, update};
use tempfile::TempDir;

fn git(folder: &Path, arguments: &[&str]) -> String {
    let mut command = Command::new("git");
    command.args(arguments).current_dir(folder);
    for role in ["AUTHOR", "COMMITTER"] {
        command.env(format!("GIT_{role}_NAME"), "user").env(format!("GIT_{role}_EMAIL"), "user@example.com");
    }
    let output = command.output().expect("git");
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).trim_end().to_owned()
}

fn write(folder: &Path, path: &str, text: &str) {
    let path = folder.join(path);
    fs_err::create_dir_all(path.parent().expect("a folder")).expect("made");
    fs_err::write(path, text).expect("written");
}

/// A bare repository and a clone with one commit, results that git ignores, and a change that is not committed.
fn clone() -> TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    git(folder.path(), &["init", "-q", "--bare", "-b", "main", "origin.git"]);
    git(folder.path(), &["clone", "-q", "origin.git", "work"]);
    let work = folder.path().join("work");
    git(&work, &["checkout", "-q", "-b", "main"]);
    write(&work, ".gitignore", "outputs/\n");
    write(&work, "code.py", "print(1)\n");
    git(&work, &["add", "-A"]);
    git(&work, &["commit", "-qm", "code"]);
    git(&work, &["push", "-q", "origin", "main"]);
    write(&work, "outputs/p/report.md", "# first\n");
    write(&work, "outputs/p/metrics.json", "{}\n");
    write(&work, "code.py", "print(2)\n");
    write(&work, "new.py", "print(3)\n");
    git(&work, &["add", "new.py"]);
    folder
}

fn wanted(work: &Path) -> Update {
    Update {
        folder: work.to_owned(),
        branch: "update".to_owned(),
        remote: default_remote(work).expect("a repository"),
        paths: vec!["outputs".to_owned()],
        message: "results".to_owned(),
        identity: Identity { name: "ci".to_owned(), email: "ci@example.com".to_owned() },
        force: false,
    }
}

fn state(work: &Path) -> (String, String, String) {
    let index = git(work, &["ls-files", "--stage"]);
    (git(work, &["status", "--porcelain"]), index, git(work, &["for-each-ref", "refs/heads", "refs/tags"]))
}

#[test]
fn results_get_to_their_branch_and_nothing_else_is_touched() {
    let folder = clone();
    let (work, origin) = (folder.path().join("work"), folder.path().join("origin.git"));
    let before = state(&work);
    let plan = wanted(&work);
    let dry = update(&plan, true).expect("looked");
    assert_eq!((dry.commit, dry.files.len()), (None, 2));
    assert!(git(&origin, &["branch", "--list", "update"]).is_empty());
    let first = update(&plan, false).expect("pushed");
    assert!(first.changed);
    assert_eq!(state(&work), before);
    let at = |revision: &str| git(&origin, &["ls-tree", "-r", "--name-only", revision]);
    assert_eq!(at("update"), "outputs/p/metrics.json\noutputs/p/report.md");
    assert_eq!(
        git(&origin, &["log", "-1", "--format=%an <%ae> %cn %s", "update"]),
        "ci <ci@example.com> ci results"
    );

    assert!(!update(&plan, false).expect("the same").changed);
    // A result that is gone is gone there too; what else is on the branch stays.
    fs_err::remove_file(work.join("outputs/p/metrics.json")).expect("removed");
    write(&work, "outputs/p/report.md", "# second\n");
    let other = Update { paths: vec!["code.py".to_owned()], ..plan.clone() };
    update(&other, false).expect("pushed");
    update(&plan, false).expect("pushed");
    assert_eq!(at("update"), "code.py\noutputs/p/report.md");
    assert_eq!(git(&origin, &["show", "update:outputs/p/report.md"]), "# second");
    assert_eq!(git(&origin, &["rev-list", "--count", "update"]), "3");
    assert_eq!(git(&origin, &["rev-parse", "main"]), git(&work, &["rev-parse", "main"]));
}

#[test]
fn a_clone_of_one_commit_a_repository_without_any_and_one_without_a_remote_will_do() {
    let folder = clone();
    let origin = folder.path().join("origin.git");
    update(&wanted(&folder.path().join("work")), false).expect("pushed");
    let url = format!("file://{}", origin.display());
    git(folder.path(), &["clone", "-q", "--depth=1", &url, "shallow"]);
    let shallow = folder.path().join("shallow");
    write(&shallow, "outputs/p/report.md", "# of the shallow one\n");
    update(&wanted(&shallow), false).expect("pushed");
    assert_eq!(git(&origin, &["rev-list", "--count", "update"]), "2");

    // Nothing was ever committed here, and there is no main.
    let empty = folder.path().join("empty");
    git(folder.path(), &["init", "-q", "-b", "trunk", "empty"]);
    write(&empty, "model/outputs/p/report.md", "# alone\n");
    assert_eq!(checked_out(&empty).expect("asked"), None);
    let plan = Update { folder: empty.join("model"), ..wanted(&empty) };
    assert!(update(&plan, false).expect("written").changed);
    assert_eq!(git(&empty, &["ls-tree", "-r", "--name-only", "update"]), "model/outputs/p/report.md");
    assert!(!update(&plan, false).expect("the same").changed);
}

/// A hook of the bare repository that lets somebody else push first, `times` times.
#[cfg(unix)]
fn someone_first(folder: &Path, path: &str, times: u32) {
    use std::os::unix::fs::PermissionsExt as _;
    let origin = folder.join("origin.git");
    let script = format!(
        "#!/bin/sh\nset -e\nunset GIT_QUARANTINE_PATH GIT_OBJECT_DIRECTORY GIT_ALTERNATE_OBJECT_DIRECTORIES\n\
         count=$(cat count 2>/dev/null || echo 0)\n[ \"$count\" -lt {times} ] || exit 0\n\
         echo $((count + 1)) > count\nexport GIT_INDEX_FILE=\"$PWD/other-index\"\nrm -f \"$GIT_INDEX_FILE\"\n\
         git read-tree refs/heads/update\nblob=$(echo \"other $count\" | git hash-object -w --stdin)\n\
         git update-index --add --cacheinfo \"100644,$blob,{path}\"\n\
         export GIT_AUTHOR_NAME=o GIT_AUTHOR_EMAIL=o@x GIT_COMMITTER_NAME=o GIT_COMMITTER_EMAIL=o@x\n\
         commit=$(git commit-tree \"$(git write-tree)\" -p refs/heads/update -m other)\n\
         git update-ref refs/heads/update \"$commit\"\n"
    );
    let hook = origin.join("hooks/pre-receive");
    fs_err::create_dir_all(origin.join("hooks")).expect("made");
    fs_err::write(&hook, script).expect("written");
    fs_err::set_permissions(&hook, std::fs::Permissions::from_mode(0o755)).expect("set");
}

#[cfg(unix)]
#[test]
fn a_branch_that_moves_is_built_upon_and_the_same_results_are_told() {
    let folder = clone();
    let (work, origin) = (folder.path().join("work"), folder.path().join("origin.git"));
    let plan = wanted(&work);
    update(&plan, false).expect("pushed");
    write(&work, "outputs/p/report.md", "# second\n");
    someone_first(folder.path(), "other.txt", 2);
    assert!(update(&plan, false).expect("pushed in the end").changed);
    let log = git(&origin, &["log", "--format=%s", "update"]);
    assert_eq!(log, "results\nother\nother\nresults");
    assert_eq!(git(&origin, &["show", "update:other.txt"]), "other 1");

    fs_err::remove_file(origin.join("count")).expect("removed");
    write(&work, "outputs/p/report.md", "# third\n");
    someone_first(folder.path(), "outputs/p/theirs.md", 1);
    let error = update(&plan, false).expect_err("theirs would be lost");
    assert!(matches!(error, BranchError::Moved { .. }), "{error}");
    assert!(error.to_string().contains("somebody else wrote outputs meanwhile"), "{error}");
    assert_eq!(git(&origin, &["show", "update:outputs/p/report.md"]), "# second");

    fs_err::remove_file(origin.join("count")).expect("removed");
    someone_first(folder.path(), "other.txt", 1000);
    let error = update(&plan, false).expect_err("never first").to_string();
    assert!(error.contains("others were first 10 times"), "{error}");
}

#[test]
fn what_makes_no_sense_is_refused_with_a_reason() {
    let folder = clone();
    let work = folder.path().join("work");
    let plan = wanted(&work);
    let with = |change: &dyn Fn(&mut Update)| {
        let mut changed = plan.clone();
        change(&mut changed);
        update(&changed, false).expect_err("refused").to_string()
    };
    for (error, says) in [
        (with(&|plan| plan.branch = "main".to_owned()), "`main` is checked out"),
        (with(&|plan| plan.branch = "a..b".to_owned()), "no name of a branch"),
        (with(&|plan| plan.branch = "-f".to_owned()), "no name of a branch"),
        (with(&|plan| plan.branch = "@{-1}".to_owned()), "no name of a branch"),
        (with(&|plan| plan.branch = "refs/heads/res".to_owned()), "give the name alone, such as `res`"),
        (with(&|plan| plan.paths = vec!["../origin.git".to_owned()]), "expected a path in the project"),
        (with(&|plan| plan.paths = vec![".git".to_owned()]), "is no result"),
        (with(&|plan| plan.paths = vec!["model/.modelgate/x".to_owned()]), "is no result"),
        (with(&|plan| plan.paths = vec!["nothing".to_owned()]), "there is no `nothing`"),
        (with(&|plan| plan.folder = folder.path().to_owned()), "in no git repository"),
        (with(&|plan| plan.remote = Some("nowhere".to_owned())), "git ls-remote"),
    ] {
        assert!(error.contains(says), "{says}: {error}");
    }
    // The password of a remote is in no message.
    git(&work, &["remote", "set-url", "origin", "https://me:secret@127.0.0.1:9/x.git"]);
    let error = with(&|_| ());
    assert!(error.contains("git ls-remote") && !error.contains("secret"), "{error}");
    #[cfg(unix)]
    {
        std::os::unix::fs::symlink("/etc/passwd", work.join("outputs/link")).expect("made");
        assert!(with(&|_| ()).contains("symbolic link"));
    }
}

#[test]
fn a_branch_of_code_or_of_a_registry_is_not_written_into() {
    let folder = clone();
    let (work, origin) = (folder.path().join("work"), folder.path().join("origin.git"));
    let refused = |work: &Path, branch: &str, force: bool| {
        let plan = Update { branch: branch.to_owned(), force, ..wanted(work) };
        let before = git(&origin, &["for-each-ref"]);
        let error = update(&plan, false).expect_err("refused");
        assert!(matches!(error, BranchError::Usage(_)), "{error}");
        assert_eq!(git(&origin, &["for-each-ref"]), before);
        error.to_string()
    };
    // Not checked out, as in a job of a pull request.
    git(&work, &["branch", "-q", "feature"]);
    git(&work, &["push", "-q", "origin", "feature"]);
    git(&work, &["checkout", "-q", "--detach"]);
    for force in [false, true] {
        assert!(refused(&work, "main", force).contains("clones of the remote begin with"));
    }
    assert!(refused(&work, "feature", false).contains("shares its history with what is checked out"));
    let forced = Update { branch: "feature".to_owned(), force: true, ..wanted(&work) };
    assert!(update(&forced, false).expect("pushed").changed);
    assert!(git(&origin, &["ls-tree", "-r", "--name-only", "feature"]).contains("code.py"));

    // A registry that the project file does not name.
    let ledger = folder.path().join("ledger");
    git(folder.path(), &["init", "-q", "-b", "models", "ledger"]);
    write(&ledger, "ledger.jsonl", "{}\n");
    git(&ledger, &["add", "-A"]);
    git(&ledger, &["commit", "-qm", "a version"]);
    git(&ledger, &["push", "-q", &origin.display().to_string(), "models"]);
    for force in [false, true] {
        assert!(refused(&work, "models", force).contains("holds a registry, with its `ledger.jsonl`"));
    }

    // Code of another history, in a clone of one commit.
    git(&ledger, &["checkout", "-q", "--orphan", "other"]);
    git(&ledger, &["rm", "-q", "--cached", "ledger.jsonl"]);
    write(&ledger, "modelgate.yaml", "version: 1\n");
    git(&ledger, &["add", "modelgate.yaml"]);
    git(&ledger, &["commit", "-qm", "code"]);
    git(&ledger, &["push", "-q", &origin.display().to_string(), "other"]);
    assert!(refused(&work, "other", false).contains("holds the project file"));
    // What was made for results takes them, whatever else it holds.
    assert!(update(&wanted(&work), false).expect("pushed").changed);

    // What would keep the branch from being written into the next time is refused the first time.
    write(&work, "ledger.jsonl", "{}\n");
    write(&work, "modelgate.yaml", "version: 1\n");
    let bringing = |path: &str, branch: &str, force: bool| {
        let paths = vec!["outputs".to_owned(), path.to_owned()];
        let plan = Update { branch: branch.to_owned(), paths, force, ..wanted(&work) };
        update(&plan, true).and_then(|_| update(&plan, false)).map_err(|error| error.to_string())
    };
    for (path, force) in [("ledger.jsonl", false), ("ledger.jsonl", true), ("modelgate.yaml", false)] {
        let error = bringing(path, "new", force).expect_err("refused");
        assert!(error.contains(&format!("`{path}` makes")), "{error}");
        assert!(git(&origin, &["branch", "--list", "new"]).is_empty());
    }
    for changed in [true, false] {
        assert_eq!(bringing("modelgate.yaml", "new", true).expect("forced").changed, changed);
    }
}
