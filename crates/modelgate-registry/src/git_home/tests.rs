//! A home on a branch that is damaged, that is another's, or that is kept on two sides.

use std::time::Instant;

use super::*;

/// Runs git in a folder, which must succeed, and returns what it says.
#[track_caller]
fn git(folder: &Path, arguments: &[&str]) -> String {
    let mut command = Command::new("git");
    command.arg("-C").arg(folder).args(["-c", "user.name=t", "-c", "user.email=t@localhost"]);
    let output = command.args(arguments).output().expect("git");
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

fn home(repository: &Path, state: &Path) -> GitBranchHome {
    GitBranchHome::new(repository, "modelgate", state).expect("a home")
}

/// A repository with a branch of ours, whose ledger has one line, and an object.
fn repository() -> (tempfile::TempDir, Objects) {
    let folder = tempfile::tempdir().expect("a folder");
    git(folder.path(), &["init", "--quiet"]);
    let objects = Objects::from([(Digest::of(b"package"), b"package".to_vec())]);
    let mut writer = home(folder.path(), &folder.path().join("writer"));
    writer.pull(false).expect("there is no branch yet");
    assert!(writer.recorded().expect("an empty ledger").is_empty());
    writer.append(&Position::default(), "{\"seq\":1}\n", &objects).expect("written").expect("won");
    (folder, objects)
}

/// Removes the loose object that the branch has under `name`, as a damaged or partial clone lacks it.
fn lose(repository: &Path, name: &str) {
    let blob = git(repository, &["rev-parse", &format!("modelgate:{name}")]);
    let path = repository.join(".git/objects").join(&blob[..2]).join(&blob[2..]);
    fs_err::remove_file(path).expect("a loose object");
}

#[test]
fn a_ledger_that_git_cannot_read_is_not_an_empty_one() {
    let (folder, objects) = repository();
    let tip = git(folder.path(), &["rev-parse", "modelgate"]);
    let mut stale = home(folder.path(), &folder.path().join("writer"));
    stale.pull(false).expect("the copy is there");
    lose(folder.path(), LEDGER);
    let is_told = |error: RegistryError| {
        let error = error.to_string();
        assert!(error.contains("could not be reached: git cat-file: ") && error.contains("bad"), "{error}");
    };
    is_told(home(folder.path(), &folder.path().join("reader")).pull(false).expect_err("no ledger"));
    let copy = fs_err::read(stale.ledger()).expect("a copy");
    is_told(stale.pull(true).expect_err("no ledger"));
    assert_eq!(fs_err::read(stale.ledger()).expect("a copy"), copy);
    // Neither with what was read of it nor as the first to write.
    let after = Position { end: copy.len() as u64, ..Position::default() };
    for expected in [after, Position::default()] {
        is_told(stale.append(&expected, "{\"seq\":2}\n", &objects).expect_err("no ledger"));
    }
    let more = Objects::from([(Digest::of(b"more"), b"more".to_vec())]);
    is_told(stale.keep(&more).expect_err("no ledger"));
    is_told(stale.remove(&after, &[Digest::of(b"package")]).expect_err("no ledger"));
    assert_eq!(git(folder.path(), &["rev-parse", "modelgate"]), tip, "the branch has not moved");
}

#[test]
fn an_object_that_git_cannot_read_is_not_one_that_is_missing() {
    let (folder, objects) = repository();
    let mut home = home(folder.path(), &folder.path().join("reader"));
    home.pull(false).expect("read");
    let (digest, bytes) = objects.first_key_value().expect("an object");
    assert_eq!(home.get(digest).expect("read"), *bytes);
    let missing = home.get(&Digest::of(b"another")).expect_err("nobody put it");
    assert!(matches!(missing, RegistryError::MissingObject { .. }), "{missing}");
    lose(folder.path(), &object_key(digest));
    let lost = home.get(digest).expect_err("gone");
    assert!(matches!(lost, RegistryError::Unavailable { .. }), "{lost}");
}

#[test]
fn a_branch_of_something_else_is_not_taken_for_an_empty_registry() {
    let folder = tempfile::tempdir().expect("a folder");
    git(folder.path(), &["init", "--quiet", "--initial-branch", "modelgate"]);
    git(folder.path(), &["commit", "--quiet", "--allow-empty", "--message", "mine"]);
    let tip = git(folder.path(), &["rev-parse", "modelgate"]);
    let mut home = home(folder.path(), &folder.path().join("state"));
    let error = home.pull(false).expect_err("no ledger").to_string();
    assert!(error.contains(&format!("its commit {tip} holds no `ledger.jsonl`")), "{error}");
    home.append(&Position::default(), "{\"seq\":1}\n", &Objects::new()).expect_err("no ledger");
    assert_eq!(git(folder.path(), &["rev-parse", "modelgate"]), tip);
}

#[test]
fn a_branch_that_is_damaged_is_not_one_that_is_missing() {
    let (folder, _) = repository();
    fs_err::write(folder.path().join(".git/refs/heads/modelgate"), "").expect("cut off by a crash");
    let error = home(folder.path(), &folder.path().join("reader")).pull(false).expect_err("broken");
    assert!(error.to_string().contains("broken ref"), "{error}");
}

#[test]
fn a_project_below_its_repository_sees_the_same_files() {
    let (folder, objects) = repository();
    let project = folder.path().join("models/churn");
    fs_err::create_dir_all(&project).expect("a folder");
    let mut home = home(&project, &project.join("state"));
    home.pull(false).expect("read");
    assert_eq!(fs_err::read_to_string(home.ledger()).expect("a copy"), "{\"seq\":1}\n");
    let found: Vec<Digest> = home.objects().expect("listed").iter().map(|found| found.digest).collect();
    assert_eq!(found, objects.into_keys().collect::<Vec<_>>());
}

#[test]
fn a_remote_that_takes_the_connection_and_says_nothing_is_given_up() {
    let socket = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = socket.local_addr().expect("an address");
    std::thread::spawn(move || {
        // Connections are held open until the test ends.
        let held: Vec<_> = socket.incoming().collect();
        drop(held);
    });
    let folder = tempfile::tempdir().expect("a folder");
    git(folder.path(), &["init", "--quiet"]);
    git(folder.path(), &["remote", "add", "origin", &format!("git://{address}/nothing")]);
    let mut home = home(folder.path(), folder.path());
    home.patience = Duration::from_secs(1);
    let began = Instant::now();
    let error = home.pull(false).expect_err("nobody answers").to_string();
    assert!(error.contains("the remote did not answer within 1 s"), "{error}");
    assert!(began.elapsed() < Duration::from_secs(20));
}

/// Registers an event in the repository's registry, as it is reached now.
fn write(home: &mut GitBranchHome, seq: u64) {
    home.pull(true).expect("read");
    let end = home.recorded().expect("a ledger").len() as u64;
    let line = format!("{{\"seq\":{seq}}}\n");
    home.append(&Position { end, ..Position::default() }, &line, &Objects::new())
        .expect("written")
        .expect("won");
}

/// A repository with a bare one beside it.
fn with_remote() -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().expect("a folder");
    let (clone, bare) = (folder.path().join("clone"), folder.path().join("bare"));
    for (place, kind) in [(&clone, "--quiet"), (&bare, "--bare")] {
        fs_err::create_dir_all(place).expect("a folder");
        git(place, &["init", "--quiet", kind]);
    }
    git(&clone, &["remote", "add", "origin", &bare.display().to_string()]);
    (folder, clone)
}

#[track_caller]
fn refused(clone: &Path, state: &str, with: &[&str]) {
    let error = home(clone, &clone.join(state)).pull(false).expect_err("the other side").to_string();
    assert!(with.iter().all(|with| error.contains(with)), "{error}");
}

#[test]
fn a_remote_that_is_added_does_not_hide_what_this_clone_holds() {
    let (_folder, clone) = with_remote();
    git(&clone, &["remote", "rename", "origin", "later"]);
    git(&clone, &["config", "branch.modelgate.remote", "."]);
    write(&mut home(&clone, &clone.join("state")), 1);
    git(&clone, &["remote", "rename", "later", "origin"]);
    // Also where nothing remembers the ledger, as after a fresh clone of this clone.
    refused(&clone, "other", &["of origin", "`git push origin modelgate`"]);
    git(&clone, &["push", "--quiet", "origin", "modelgate"]);
    let mut shared = home(&clone, &clone.join("state"));
    write(&mut shared, 2);
    // The branch of this clone is behind now, which hides nothing.
    shared.pull(false).expect("read");
    assert_eq!(fs_err::read_to_string(shared.ledger()).expect("a copy"), "{\"seq\":1}\n{\"seq\":2}\n");
    assert_eq!(git(&clone, &["rev-list", "--count", "modelgate"]), "1");
}

#[test]
fn a_remote_that_is_renamed_or_removed_does_not_begin_an_empty_registry() {
    let (_folder, clone) = with_remote();
    write(&mut home(&clone, &clone.join("state")), 1);
    git(&clone, &["remote", "rename", "origin", "upstream"]);
    refused(&clone, "other", &["remote `origin`, which it no longer has", "git remote rename"]);
    git(&clone, &["remote", "remove", "upstream"]);
    refused(&clone, "other", &["git branch --force modelgate refs/modelgate/origin/modelgate"]);
    git(&clone, &["branch", "--force", "modelgate", "refs/modelgate/origin/modelgate"]);
    let mut own = home(&clone, &clone.join("state"));
    own.pull(false).expect("read");
    assert_eq!(fs_err::read_to_string(own.ledger()).expect("a copy"), "{\"seq\":1}\n");
}

#[test]
fn a_branch_that_is_gone_from_the_remote_is_not_begun_anew() {
    let (folder, clone) = with_remote();
    write(&mut home(&clone, &clone.join("state")), 1);
    git(&folder.path().join("bare"), &["branch", "-D", "modelgate"]);
    refused(&clone, "other", &["`origin` has no branch `modelgate` any more"]);
    git(&clone, &["push", "--quiet", "origin", "refs/modelgate/origin/modelgate:refs/heads/modelgate"]);
    home(&clone, &clone.join("other")).pull(false).expect("it is back");
}

#[test]
fn a_clone_whose_remotes_have_other_names_is_told_so() {
    let (_folder, clone) = with_remote();
    git(&clone, &["remote", "rename", "origin", "upstream"]);
    refused(&clone, "state", &["`upstream` alone", "`git remote rename NAME origin`"]);
    git(&clone, &["config", "branch.modelgate.remote", "."]);
    write(&mut home(&clone, &clone.join("state")), 1);
    git(&clone, &["config", "--unset", "branch.modelgate.remote"]);
    home(&clone, &clone.join("state")).pull(false).expect("what is there is used");
}

#[test]
fn the_branch_has_one_name_in_the_index_on_whichever_side_it_is() {
    let (_folder, clone) = with_remote();
    let shared = home(&clone, &clone.join("state"));
    git(&clone, &["remote", "remove", "origin"]);
    let own = home(&clone, &clone.join("state"));
    assert_ne!(shared.name(), own.name());
    assert_eq!(shared.key(), own.key());
}

#[test]
fn what_the_user_fetched_stays_and_locks_of_other_fetches_are_waited_for() {
    let (folder, clone) = with_remote();
    let mut reader = home(&clone, &clone.join("state"));
    write(&mut reader, 1);
    git(&clone, &["fetch", "--quiet", "origin"]);
    let (fetched, theirs) = (clone.join(".git/FETCH_HEAD"), "refs/remotes/origin/modelgate");
    let before = (fs_err::read(&fetched).expect("fetched"), git(&clone, &["rev-parse", theirs]));
    git(folder.path(), &["clone", "--quiet", "bare", "colleague"]);
    let colleague = folder.path().join("colleague");
    write(&mut home(&colleague, &colleague.join("state")), 2);
    reader.pull(true).expect("read");
    assert_eq!(before, (fs_err::read(&fetched).expect("fetched"), git(&clone, &["rev-parse", theirs])));
    // The reference is to be moved, and another process holds its lock for a moment.
    git(&clone, &["update-ref", "refs/modelgate/origin/modelgate", &before.1]);
    let lock = clone.join(".git/refs/modelgate/origin/modelgate.lock");
    fs_err::write(&lock, "").expect("a lock");
    std::thread::scope(|scope| {
        scope.spawn(|| {
            std::thread::sleep(Duration::from_millis(30));
            fs_err::remove_file(&lock).expect("the lock");
        });
        reader.pull(true).expect("read once the lock is gone");
    });
}

#[test]
fn pushes_that_go_elsewhere_are_no_race() {
    let (folder, clone) = with_remote();
    let mut home = home(&clone, &clone.join("state"));
    write(&mut home, 1);
    let fork = folder.path().join("fork");
    git(folder.path(), &["init", "--quiet", "--bare", "fork"]);
    git(&clone, &["remote", "set-url", "--push", "origin", &fork.display().to_string()]);
    home.pull(false).expect("read");
    let after =
        Position { end: fs_err::read(home.ledger()).expect("a copy").len() as u64, ..Position::default() };
    let error = home.append(&after, "{\"seq\":2}\n", &Objects::new()).expect_err("the fork lacks the branch");
    assert!(error.to_string().contains("remote.origin.pushurl"), "{error}");
}

#[cfg(unix)]
#[test]
fn the_hook_of_the_users_own_pushes_is_not_asked() {
    use std::os::unix::fs::PermissionsExt;
    let (_folder, clone) = with_remote();
    let hook = clone.join(".git/hooks/pre-push");
    fs_err::create_dir_all(clone.join(".git/hooks")).expect("a folder");
    fs_err::write(&hook, "#!/bin/sh\nexit 1\n").expect("a hook");
    fs_err::set_permissions(&hook, std::fs::Permissions::from_mode(0o755)).expect("a program");
    write(&mut home(&clone, &clone.join("state")), 1);
}

#[test]
fn a_branch_that_keeps_ours_from_being_made_is_named() {
    let (_folder, clone) = with_remote();
    git(&clone, &["commit", "--quiet", "--allow-empty", "--message", "mine"]);
    git(&clone, &["push", "--quiet", "origin", "HEAD:refs/heads/modelgate/add-ci"]);
    let begin = |home: &mut GitBranchHome| {
        home.pull(false).expect("there is no branch yet");
        home.append(&Position::default(), "{\"seq\":1}\n", &Objects::new())
    };
    let mut shared = home(&clone, &clone.join("state"));
    let error = begin(&mut shared).expect_err("in the way");
    assert!(error.appended_nothing(), "{error}");
    let error = error.to_string();
    assert!(error.contains("`modelgate` beside the branch `modelgate/add-ci` of `origin`"), "{error}");
    // The other way round, and in this clone alone.
    git(&clone, &["remote", "remove", "origin"]);
    git(&clone, &["branch", "registry"]);
    let mut own = GitBranchHome::new(&clone, "registry/models", &clone.join("own")).expect("a home");
    let error = begin(&mut own).expect_err("in the way").to_string();
    assert!(error.contains("`git branch -m registry NEW`"), "{error}");
    git(&clone, &["branch", "-m", "registry", "elsewhere"]);
    begin(&mut own).expect("written").expect("won");
}

#[cfg(unix)]
#[test]
fn a_remote_that_takes_no_push_is_not_one_that_cannot_be_reached() {
    use std::os::unix::fs::PermissionsExt;
    let (folder, clone) = with_remote();
    let hook = folder.path().join("bare/hooks/pre-receive");
    fs_err::create_dir_all(folder.path().join("bare/hooks")).expect("a folder");
    fs_err::write(&hook, "#!/bin/sh\necho protected branch >&2\nexit 1\n").expect("a hook");
    fs_err::set_permissions(&hook, std::fs::Permissions::from_mode(0o755)).expect("a program");
    let mut home = home(&clone, &clone.join("state"));
    home.pull(false).expect("there is no branch yet");
    let error = home.append(&Position::default(), "{\"seq\":1}\n", &Objects::new()).expect_err("refused");
    assert!(error.appended_nothing(), "{error}");
    let error = error.to_string();
    assert!(error.contains("takes no event from here") && error.contains("protected branch"), "{error}");
    assert!(error.contains("contents: write") && !error.contains("could not be reached"), "{error}");
}

/// The branch `modelgate` of a clone with two events, a reader that has copied both, and the ledger of the first.
fn copied() -> (tempfile::TempDir, GitBranchHome, String) {
    let (folder, _) = repository();
    let mut reader = home(folder.path(), &folder.path().join("reader"));
    reader.pull(false).expect("read");
    let first = fs_err::read_to_string(reader.ledger()).expect("a copy");
    write(&mut home(folder.path(), &folder.path().join("writer")), 2);
    reader.pull(false).expect("read");
    (folder, reader, first)
}

#[test]
fn a_copy_is_not_taken_for_that_of_a_commit_which_another_command_has_noted() {
    let (_folder, mut reader, first) = copied();
    let whole = fs_err::read_to_string(reader.ledger()).expect("a copy");
    // Of two commands at once the slower one wrote its copy last, and the faster one which commit it is of.
    modelgate_store::atomic::write(reader.ledger(), first.as_bytes()).expect("written");
    reader.pull(false).expect("read");
    assert_eq!(fs_err::read_to_string(reader.ledger()).expect("a copy"), whole);
}

#[test]
fn nothing_is_written_that_was_decided_on_another_text_than_the_branchs() {
    let (_folder, mut reader, _) = copied();
    let whole = fs_err::read_to_string(reader.ledger()).expect("a copy");
    fs_err::write(reader.ledger(), whole.replacen('1', "7", 1)).expect("edited");
    let end = Position { end: whole.len() as u64, ..Position::default() };
    let written = reader.append(&end, "{\"seq\":3}\n", &Objects::new()).expect("looked");
    assert!(written.is_none());
    assert_eq!(fs_err::read_to_string(reader.ledger()).expect("a copy"), whole);
    assert!(reader.append(&end, "{\"seq\":3}\n", &Objects::new()).expect("written").is_some());
}

#[test]
fn an_event_that_the_branch_has_is_written_whatever_becomes_of_the_copy() {
    let folder = tempfile::tempdir().expect("a folder");
    git(folder.path(), &["init", "--quiet"]);
    let mut home = home(folder.path(), &folder.path().join("state"));
    home.pull(false).expect("there is no branch yet");
    // Nothing can be renamed to that place.
    let _ = fs_err::remove_file(home.ledger());
    fs_err::create_dir_all(home.ledger().join("in the way")).expect("a folder");
    let stamp = home.append(&Position::default(), "{\"seq\":1}\n", &Objects::new()).expect("written");
    assert_eq!(stamp, Some(Stamp::unknown()));
    fs_err::remove_dir_all(home.ledger()).expect("out of the way");
    home.pull(false).expect("read");
    assert_eq!(fs_err::read_to_string(home.ledger()).expect("a copy"), "{\"seq\":1}\n");
}

#[test]
fn the_lock_of_a_git_that_was_killed_is_named() {
    for remote in [false, true] {
        let (folder, clone) = with_remote();
        if !remote {
            git(&clone, &["remote", "remove", "origin"]);
        }
        let mut home = home(&clone, &clone.join("state"));
        write(&mut home, 1);
        let side = if remote { folder.path().join("bare") } else { clone.join(".git") };
        let lock = side.join("refs/heads/modelgate.lock");
        fs_err::write(&lock, "").expect("a lock");
        home.pull(false).expect("read");
        let end = Position { end: home.recorded().expect("a ledger").len() as u64, ..Position::default() };
        let append = |home: &mut GitBranchHome| home.append(&end, "{\"seq\":2}\n", &Objects::new());
        assert!(append(&mut home).expect("it may go away").is_none(), "{remote}");
        let error = home.busy(20);
        assert!(error.appended_nothing(), "{error}");
        let error = error.to_string();
        assert!(error.contains("modelgate.lock': File exists, and that in 20 attempts"), "{error}");
        fs_err::remove_file(&lock).expect("removed");
        assert!(append(&mut home).expect("written").is_some(), "{remote}");
        assert!(matches!(home.busy(20), RegistryError::Busy { .. }), "{remote}");
    }
}
