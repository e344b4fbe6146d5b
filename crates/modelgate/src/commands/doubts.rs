//! What the project file asks for and is not there, or does not do what one would think: found before a promotion, a rollback or
//! a job of CI finds it.

use std::path::Path;
use std::process::Command;

use modelgate_data::dvc::DvcRepository;
use modelgate_pipeline::{Project, signature};

/// Something that is doubtful.
pub(super) struct Doubt {
    /// What it is about.
    pub(super) what: &'static str,
    /// Whether commands fail by it, whatever the environment.
    pub(super) is_broken: bool,
    /// What is wrong, and what to do.
    pub(super) sentence: String,
}

fn doubt(what: &'static str, is_broken: bool, sentence: String) -> Doubt {
    Doubt { what, is_broken, sentence }
}

/// Returns what is doubtful in the project's files, on every machine.
pub(super) fn of_files(project: &Project) -> Vec<Doubt> {
    let config = &project.config;
    let mut found = Vec::new();
    if let Err(error) = signature::trusted_keys(project) {
        let is_asked = config.signing.require_signature;
        let until = if is_asked {
            "what asks for a signature fails, promotions and rollbacks too"
        } else {
            "no signature can be looked at; nothing asks for one, since signing.require_signature is false"
        };
        let sentence =
            format!("signing.public_keys: {error}: put the public key there, PEM; until then {until}");
        found.push(doubt("signing", is_asked, sentence));
    }
    if config.notify.url.is_some() && config.notify.secret_env.is_none() {
        let sentence = "notify: messages go out unsigned, so that whoever gets them cannot tell who sent them: `secret_env: NAME` \
                        signs them with the key in that variable";
        found.push(doubt("webhook", false, sentence.to_owned()));
    }
    found.extend(of_names(project).map(|sentence| doubt("names", false, sentence)));
    found.extend(of_dvc(&project.root).map(|sentence| doubt("remote of DVC", false, sentence)));
    found.extend(of_tracked(&project.root).map(|sentence| doubt("cache in git", false, sentence)));
    found
}

/// Says that what stages left is versioned by git, where it is: whoever may commit could put there what no run has made, and
/// every clone would take it for its own work.
pub(super) fn of_tracked(root: &Path) -> Option<String> {
    let asked = Command::new("git")
        .args(["ls-files", "-z", "--", ".modelgate/cache"])
        .current_dir(root)
        .output()
        .ok()?;
    let is_tracked = asked.status.success() && !asked.stdout.is_empty();
    is_tracked.then(|| {
        "git versions files below `.modelgate/cache`, by which a run takes work for done: whoever may commit could put there what no \
         run has made. `git rm -r --cached .modelgate` takes them out; until then `modelgate run` does every stage again"
            .to_owned()
    })
}

/// Returns which names are two here and one folder elsewhere: those of pipelines in `outputs/`, those of models where packages are.
fn of_names(project: &Project) -> Option<String> {
    let pipelines = project.pipelines().ok()?;
    let names = pipelines.iter().map(|pipeline| ("pipelines", pipeline.name));
    let models = pipelines.iter().map(|pipeline| ("models", pipeline.model.as_str()));
    let mut seen: Vec<(&str, &str)> = Vec::new();
    for (what, name) in names.chain(models) {
        let is_close =
            |known: &&(&str, &str)| known.0 == what && known.1 != name && known.1.eq_ignore_ascii_case(name);
        if let Some((_, other)) = seen.iter().find(is_close) {
            return Some(format!(
                "the {what} `{other}` and `{name}` differ in capital letters alone: on Windows and macOS both have one folder, \
                 and one takes the place of the other; call one of them otherwise"
            ));
        }
        seen.push((what, name));
    }
    None
}

/// Returns why `data pull` brings nothing of DVC's default remote, if that is of a kind that is not read.
pub(super) fn of_dvc(root: &Path) -> Option<String> {
    // A repository that cannot be read is told of by who reads it.
    let (name, scheme) = DvcRepository::find(root).ok()??.unread_remote()?;
    Some(format!(
        "the remote `{name}` of DVC is `{scheme}://`, which `modelgate data pull` does not read: folders and `s3://` are. \
         Elsewhere, and in each job of CI, `dvc pull` has to bring the data first"
    ))
}

/// Returns what is missing on this machine alone, as `variable` knows its environment.
pub(super) fn of_machine(project: &Project, variable: &dyn Fn(&str) -> Option<String>) -> Vec<Doubt> {
    let config = &project.config;
    let mut found = Vec::new();
    if let Some(name) = config.notify.secret_env.as_deref().filter(|_| config.notify.url.is_some())
        && variable(name).is_none()
    {
        let sentence =
            format!("{name} is not set: notify.secret_env names it, and no message is sent without");
        found.push(doubt("webhook", false, sentence));
    }
    if config.serve.reload_url.is_some() && variable("ADMIN_API_TOKEN").is_none() {
        let sentence =
            "ADMIN_API_TOKEN is not set: the service at serve.reload_url is told of no promotion without";
        found.push(doubt("service", false, sentence.to_owned()));
    }
    let folder = config.data.remote.as_deref().filter(|remote| !remote.contains("://"));
    if let Some(remote) = folder.filter(|remote| !project.root.join(remote).is_dir()) {
        let sentence = format!(
            "data.remote `{remote}` is not there: `data pull` has nothing to bring until `data push` made it, or the disk is there"
        );
        found.push(doubt("remote", false, sentence));
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_asked_for_and_is_not_there_is_told() {
        let folder = tempfile::tempdir().expect("a folder");
        let write = |path: &str, text: &str| {
            let path = folder.path().join(path);
            fs_err::create_dir_all(path.parent().expect("a folder")).expect("made");
            fs_err::write(path, text).expect("written");
        };
        let pipeline = "version: 1\nproject: p\npipelines:\n  p:\n    task: regression\n    data: {source: a.csv, target: y}\n";
        let open = |more: &str| {
            write("modelgate.yaml", &format!("{pipeline}{more}"));
            Project::find(folder.path(), &|_| None).expect("a project")
        };
        let said =
            |doubts: Vec<Doubt>| doubts.into_iter().map(|one| (one.what, one.is_broken)).collect::<Vec<_>>();
        let none = |_: &str| None;
        let project = open("");
        assert!(said(of_files(&project)).is_empty() && said(of_machine(&project, &none)).is_empty());

        let project = open(
            "signing: {require_signature: true, public_keys: [nokey.pub]}\nnotify: {url: \"https://hooks.example/x\"}\n\
             data: {remote: nowhere}\nserve: {reload_url: \"http://127.0.0.1:1/admin/reload\"}\n",
        );
        assert_eq!(said(of_files(&project)), [("signing", true), ("webhook", false)]);
        assert!(of_files(&project)[0].sentence.contains("nokey.pub"));
        // Where nothing asks for a signature, nothing fails.
        let unasked = open("signing: {require_signature: false, public_keys: [nokey.pub]}\n");
        assert_eq!(said(of_files(&unasked)), [("signing", false)]);
        assert!(of_files(&unasked)[0].sentence.contains("nothing asks for one"));
        assert_eq!(said(of_machine(&project, &none)), [("service", false), ("remote", false)]);

        let project = open("notify: {url: \"https://hooks.example/x\", secret_env: NOPE}\n");
        assert!(of_files(&project).is_empty());
        let found = of_machine(&project, &none);
        assert!(found[0].sentence.starts_with("NOPE is not set"), "{}", found[0].sentence);
        assert!(of_machine(&project, &|_| Some("a key".to_owned())).is_empty());

        let second = pipeline.split_once("  p:").map_or("", |(_, second)| second);
        assert!(of_names(&open(&format!("  q:{second}"))).is_none());
        let told = of_names(&open(&format!("  P:{second}"))).expect("one folder on some systems");
        assert!(told.starts_with("the pipelines `P` and `p` differ in capital letters alone"), "{told}");

        for (url, is_told) in
            [("gs://b/p", true), ("azure://c/p", true), ("s3://b/p", false), ("../d", false)]
        {
            write(
                ".dvc/config",
                &format!("[core]\n    remote = main\n['remote \"main\"']\n    url = {url}\n"),
            );
            let told = of_dvc(folder.path());
            assert_eq!(told.is_some(), is_told, "{url}: {told:?}");
        }
    }

    #[test]
    fn what_stages_left_is_nothing_that_git_versions() {
        let folder = tempfile::tempdir().expect("a folder");
        let git = |arguments: &[&str]| {
            let done = Command::new("git").args(arguments).current_dir(folder.path()).output().expect("git");
            assert!(done.status.success(), "{done:?}");
        };
        git(&["init", "--quiet"]);
        let cache = folder.path().join(".modelgate/cache/p");
        fs_err::create_dir_all(&cache).expect("made");
        fs_err::write(cache.join("train.json"), "{}").expect("written");
        assert_eq!(of_tracked(folder.path()), None);
        git(&["add", "--force", ".modelgate"]);
        assert!(of_tracked(folder.path()).expect("told").contains("git rm -r --cached .modelgate"));
    }
}
