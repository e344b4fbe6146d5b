//! What the project file asks for and is not there, or does not do what one would think: found before a promotion, a rollback or
//! a job of CI finds it.

use std::path::Path;

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
        let sentence = format!(
            "signing.public_keys: {error}: put the public key there, PEM; until then what asks for a signature fails, promotions \
             and rollbacks too"
        );
        found.push(doubt("signing", true, sentence));
    }
    if config.notify.url.is_some() && config.notify.secret_env.is_none() {
        let sentence = "notify: messages go out unsigned, so that whoever gets them cannot tell who sent them: `secret_env: NAME` \
                        signs them with the key in that variable";
        found.push(doubt("webhook", false, sentence.to_owned()));
    }
    found.extend(of_dvc(&project.root).map(|sentence| doubt("remote of DVC", false, sentence)));
    found
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
        assert_eq!(said(of_machine(&project, &none)), [("service", false), ("remote", false)]);

        let project = open("notify: {url: \"https://hooks.example/x\", secret_env: NOPE}\n");
        assert!(of_files(&project).is_empty());
        let found = of_machine(&project, &none);
        assert!(found[0].sentence.starts_with("NOPE is not set"), "{}", found[0].sentence);
        assert!(of_machine(&project, &|_| Some("a key".to_owned())).is_empty());

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
}
