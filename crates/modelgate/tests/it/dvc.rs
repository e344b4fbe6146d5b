//! Repositories that DVC itself made, read by modelgate.

use std::path::{Path, PathBuf};
use std::process::Command;

use modelgate_testing::{Output, S3Server, TestProject, data_python};

/// A project in a repository of DVC.
struct Repository {
    project: TestProject,
    python: PathBuf,
}

const CONFIG: &str = "version: 1\nproject: p\npipelines:\n  p:\n    task: classification\n    seed: ${params:train.seed}\n    \
                      data: {source: data/raw.csv, target: target}\n    \
                      train: {algorithm: random_forest, params: {n_estimators: \"${params:train.n}\"}}\n";

const STAGES: &str = "stages:
  prepare:
    cmd: cp data/raw.csv prepared.csv
    deps: [data/raw.csv]
    params: [train.n]
    outs: [prepared.csv]
  fit:
    cmd: cat prepared.csv > model.txt && echo '{}' > metrics.json
    deps: [prepared.csv, data/images]
    outs: [model.txt]
    metrics:
    - metrics.json: {cache: false}
";

impl Repository {
    /// Makes a repository with a tracked file, a tracked folder and two stages that have run, all pushed to `remote`;
    /// or says that the test is skipped.
    fn make(remote: &str, settings: &[(&str, &str)]) -> Option<Self> {
        let python = data_python()?;
        let project = TestProject::new(env!("CARGO_BIN_EXE_modelgate"));
        let made = Self { project, python };
        made.project.write("modelgate.yaml", CONFIG);
        made.project.write("params.yaml", "train: {n: 5, seed: 7, rate: 0.1}\n");
        made.project.write("dvc.yaml", STAGES);
        let iris = modelgate_testing::example("iris/data/raw/iris.csv");
        made.project.write("data/raw.csv", fs_err::read(iris).expect("iris"));
        for number in 0..20 {
            made.project
                .write(&format!("data/images/{}/é {number}.txt", number % 3), format!("image {number}"));
        }
        made.project.write("data/images/crlf.txt", "a\r\nb\r\n");
        let url = if remote.contains("://") {
            remote.to_owned()
        } else {
            made.project.path(remote).display().to_string()
        };
        made.dvc(&["init", "--no-scm", "-q"]);
        made.dvc(&["config", "core.analytics", "false"]);
        made.dvc(&["remote", "add", "-q", "-d", "store", &url]);
        for (key, value) in settings {
            made.dvc(&["remote", "modify", "-q", "store", key, value]);
        }
        made.dvc(&["add", "-q", "data/raw.csv", "data/images"]);
        made.dvc(&["repro", "-q"]);
        made.dvc(&["push", "-q"]);
        Some(made)
    }

    fn dvc(&self, arguments: &[&str]) {
        let folder = self.project.path(".");
        let mut command = Command::new(&self.python);
        command.args(["-m", "dvc"]).args(arguments).current_dir(folder).env("DVC_NO_ANALYTICS", "1");
        let output = command.output().expect("started");
        assert!(output.status.success(), "dvc {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    }

    fn remove(&self, path: &str) {
        let path = self.project.path(path);
        if path.is_dir() { fs_err::remove_dir_all(path) } else { fs_err::remove_file(path) }
            .expect("removed");
    }

    /// Removes the working copy and the cache: what a fresh clone has not.
    fn empty(&self) {
        for path in ["data/raw.csv", "data/images", "prepared.csv", "model.txt", ".dvc/cache"] {
            if self.project.path(path).exists() {
                self.remove(path);
            }
        }
    }

    fn run(&self, arguments: &[&str]) -> Output {
        self.project.run(arguments)
    }

    /// Returns an object of the cache or the remote `folder`, of the file `path`.
    fn object(&self, folder: &str, path: &str) -> PathBuf {
        let text = self.project.read(&format!("{path}.dvc"));
        let md5 = text.split("md5: ").nth(1).and_then(|rest| rest.split_whitespace().next()).expect("md5");
        self.project.path(folder).join("files/md5").join(&md5[..2]).join(&md5[2..])
    }
}

fn bytes(path: &Path) -> Vec<u8> {
    fs_err::read(path).expect("read")
}

#[test]
fn what_dvc_tracks_is_pulled_from_its_remote_and_dvc_agrees() {
    let Some(repository) = Repository::make("remote", &[]) else { return };
    let iris = bytes(&repository.project.path("data/raw.csv"));
    repository.empty();
    repository.run(&["run"]).exits(64).says("DVC tracks it: `modelgate data pull data/raw.csv` brings it");
    repository
        .run(&["data", "pull", "data/raw.csv.dvc"])
        .exits(0)
        .says("1 object fetched")
        .says("1 file written");
    assert!(bytes(&repository.project.path("data/raw.csv")) == iris);
    // The list of the folder and its 21 files; what the stages made has the content of `raw.csv`.
    repository.run(&["data", "pull"]).exits(0).says("22 objects fetched").says("1 unchanged");
    assert_eq!(repository.project.read("data/images/1/é 10.txt"), "image 10");
    assert_eq!(repository.project.read("data/images/crlf.txt"), "a\r\nb\r\n");
    repository.run(&["data", "pull"]).exits(0).says("0 objects fetched").says("0 files written");
    // DVC finds its cache and its working copy as it left them.
    repository.dvc(&["data", "status", "-q"]);
    let mut status = Command::new(&repository.python);
    status.args(["-m", "dvc", "status", "-q"]).current_dir(repository.project.path("."));
    assert!(status.status().expect("started").success(), "DVC sees changes");
}

#[test]
fn a_source_that_is_only_in_the_cache_is_read_from_there() {
    let Some(repository) = Repository::make("remote", &[]) else { return };
    repository.remove("data/raw.csv");
    let _ = repository.run(&["run", "--until", "evaluate"]).exits(0);
    assert!(!repository.project.path("data/raw.csv").exists());
    let config = repository.run(&["config", "show"]).exits(0).stdout;
    assert!(config.contains("n_estimators: 5") && config.contains("seed: 7"), "{config}");
    // A parameter that changes makes the stage run again.
    repository.project.replace("params.yaml", "n: 5", "n: 6");
    repository.run(&["run", "--until", "train"]).exits(0).says("6 trees");
    let cached = repository.object(".dvc/cache", "data/raw.csv");
    fs_err::remove_file(&cached).expect("removed");
    fs_err::write(&cached, "other").expect("written");
    repository.run(&["run"]).exits(1).says("does not have the MD5 of its name");
    repository.project.replace("params.yaml", "n: 6", "m: 6");
    repository.run(&["run"]).exits(64).says("modelgate.yaml:8:").says("`params.yaml` has no `train.n`");
}

#[test]
fn what_dvc_tracks_beside_a_project_is_pulled_where_a_pipeline_reads_it() {
    let Some(repository) = Repository::make("remote", &[]) else { return };
    let project = &repository.project;
    let config = |source: &str| {
        format!(
            "version: 1\nproject: q\npipelines:\n  q:\n    task: classification\n    data: {{source: {source}, target: target}}\n"
        )
    };
    let run = |arguments: &[&str]| repository.run(&[&["-C", "team/q"], arguments].concat());
    project.write("team/q/modelgate.yaml", config("../../data/raw.csv"));
    repository.empty();
    let brings = "DVC tracks it: `modelgate data pull ../../data/raw.csv` brings it";
    run(&["run", "--until", "split"]).exits(64).says(brings);
    run(&["data", "pull"]).exits(0).says("1 object fetched").says("1 file written");
    assert!(project.path("data/raw.csv").exists() && !project.path("data/images").exists());
    let _ = run(&["run", "--until", "split"]).exits(0);
    repository.empty();
    run(&["data", "pull", "../../data/raw.csv"]).exits(0).says("1 file written");
    repository.empty();
    project.write("team/q/modelgate.yaml", config("../../data/*.csv"));
    run(&["run", "--until", "split"])
        .exits(64)
        .says("DVC tracks what is there: `modelgate data pull` brings it");
    run(&["data", "pull"]).exits(0).says("1 file written");
    // Of data in git there is nothing to bring, whatever others keep in DVC.
    project.write("team/q/modelgate.yaml", config("here.csv"));
    run(&["data", "pull"]).exits(0).says("there is nothing to pull");
}

#[test]
fn contents_with_other_bytes_and_changes_are_not_lost() {
    let Some(repository) = Repository::make("remote", &[]) else { return };
    repository.project.write("data/raw.csv", "mine\n");
    repository.run(&["data", "pull"]).exits(1).says("`data/raw.csv` has changes that no snapshot has");
    assert_eq!(repository.project.read("data/raw.csv"), "mine\n");
    let _ = repository.run(&["data", "pull", "--force"]).exits(0);
    let object = repository.object("remote", "data/raw.csv");
    fs_err::remove_file(&object).expect("removed");
    fs_err::write(&object, "other").expect("written");
    repository.empty();
    repository.run(&["data", "pull", "data/raw.csv"]).exits(1).says("has other bytes than its name says");
    assert!(!repository.project.path("data/raw.csv").exists());
    fs_err::remove_file(&object).expect("removed");
    repository.run(&["data", "pull", "data/raw.csv"]).exits(1).says("is not in the remote").says("dvc push");
    repository.run(&["data", "pull", "data/none.csv"]).exits(64).says("there is data/images, data/raw.csv");
}

#[test]
fn stages_say_whether_they_are_stale_and_why_as_dvc_does() {
    let Some(repository) = Repository::make("remote", &[]) else { return };
    let status = |repository: &Repository| {
        let text = repository.run(&["status", "--output-format", "json"]).exits(0).stdout;
        let json: serde_json::Value = serde_json::from_str(&text).expect("json");
        json["dvc_stages"].as_array().expect("stages").clone()
    };
    let fresh = status(&repository);
    assert_eq!(fresh[0]["name"], "prepare");
    assert_eq!((&fresh[1]["name"], &fresh[1]["after"][0]), (&"fit".into(), &"prepare".into()));
    assert!(fresh.iter().all(|stage| stage["stale"] == serde_json::json!([])), "{fresh:?}");
    repository.run(&["status"]).exits(0).says("stages of DVC").says("up to date");
    repository.project.replace("params.yaml", "n: 5", "n: 6");
    repository
        .run(&["status"])
        .exits(0)
        .says("its parameter `train.n` was 5 and is 6")
        .says("`prepare` runs before it");
    repository.project.replace("params.yaml", "n: 6", "n: 5.0");
    assert!(status(&repository).iter().all(|stage| stage["stale"] == serde_json::json!([])));
    // What is only in the cache is told, as `dvc status` does.
    repository.remove("prepared.csv");
    let said = repository.run(&["status"]).exits(0);
    said.says("prepare     up to date, deleted here: `prepared.csv`")
        .says("fit         up to date, deleted here");
    assert_eq!(status(&repository)[0]["absent"], serde_json::json!(["prepared.csv"]));
    repository.run(&["data", "pull"]).exits(0).says("1 file written");
    repository.run(&["status"]).exits(0).does_not_say("deleted here");
    repository.project.write("data/images/new.txt", "new");
    repository.run(&["status"]).exits(0).says("fit         stale: its dependency `data/images` changed");
    repository
        .run(&["dag"])
        .exits(0)
        .says("dvc: fit ← ")
        .says("(stale: its dependency `data/images` changed)");
    repository.run(&["dag", "--mermaid"]).exits(0).says("stale\"]").says("--> snapshot");
    repository.remove("data/images/new.txt");
    repository.project.write("prepared.csv", "by hand");
    repository.run(&["status"]).exits(0).says("prepare     stale: its output `prepared.csv` changed");
    repository.dvc(&["checkout", "-q", "--force"]);
    repository.project.replace("dvc.yaml", "cp data/raw.csv", "cp -f data/raw.csv");
    repository.run(&["status"]).exits(0).says("prepare     stale: its command changed");
    repository.dvc(&["repro", "-q"]);
    assert!(status(&repository).iter().all(|stage| stage["stale"] == serde_json::json!([])));
}

#[test]
fn references_and_items_of_stages_are_what_dvc_takes_them_for() {
    let Some(repository) = Repository::make("remote", &[]) else { return };
    let files = &repository.project;
    files.replace(
        "params.yaml",
        "train:",
        "names: [a, b]\nrate: 1.0e-5\nis: yes\nten: 010\nword: kept\ntrain:",
    );
    let stages = files.read("dvc.yaml");
    files.write(
        "dvc.yaml",
        format!(
            "{stages}
  rate: {{cmd: 'echo ${{rate}} ${{train.n}} ${{is}} ${{ten}} > rate.txt', outs: [{{rate.txt: {{cache: false}}}}]}}
  kept: {{cmd: 'echo 1 > ${{word}}.csv', outs: [{{'${{word}}.csv': {{cache: false}}}}]}}
  deep: {{wdir: data, vars: [v.yaml], cmd: 'echo ${{who}} > deep.txt', outs: [deep.txt]}}
  each:
    foreach: ${{names}}
    do: {{cmd: 'echo ${{item}} > m_${{item}}.txt', metrics: [{{'m_${{item}}.txt': {{cache: false}}}}]}}
  grid:
    matrix: {{size: [1, 010], name: '${{names}}'}}
    cmd: echo ${{key}} > g-${{key}}
    outs: ['g-${{item.size}}-${{item.name}}']
"
        ),
    );
    files.write("data/v.yaml", "who: w\nfar: .inf\n");
    repository.dvc(&["repro", "-q"]);
    // Both are asked, and say the same.
    let stale = || {
        let text = repository.run(&["status", "--output-format", "json"]).exits(0).stdout;
        let json: serde_json::Value = serde_json::from_str(&text).expect("json");
        let stages = json["dvc_stages"].as_array().expect("stages").clone();
        let is_stale = |stage: &&serde_json::Value| stage["stale"] != serde_json::json!([]);
        let name = |stage: &serde_json::Value| stage["name"].as_str().expect("a name").to_owned();
        let mut ours: Vec<String> = stages.iter().filter(is_stale).map(name).collect();
        ours.sort();
        let mut dvc = Command::new(&repository.python);
        dvc.args(["-m", "dvc", "status", "--json"]).current_dir(files.path(".")).env("DVC_NO_ANALYTICS", "1");
        let told: serde_json::Value =
            serde_json::from_slice(&dvc.output().expect("started").stdout).expect("json");
        let theirs: Vec<String> = told.as_object().expect("stages").keys().cloned().collect();
        assert_eq!(ours, theirs);
        ours
    };
    assert_eq!(stale(), Vec::<String>::new());
    // What git keeps is in no remote, whatever its name is made of.
    files.write("m_a.txt", "by hand");
    // What is in DVC's cache is brought, where its stage works and however like another's name its own is.
    ["prepared.csv", "g-1-a", "data/deep.txt"].iter().for_each(|path| repository.remove(path));
    repository.run(&["data", "pull"]).exits(0).says("3 files written");
    assert_eq!(stale(), ["each@a"]);
    repository.dvc(&["repro", "-q"]);
    files.replace("params.yaml", "rate: 1.0e-5", "rate: 0.5");
    assert_eq!(stale(), ["rate"]);
    repository.run(&["status"]).exits(0).says("stale: its command changed");
    files.replace("params.yaml", "[a, b]", "[a, c]");
    assert_eq!(stale(), ["each@c", "grid@1-c", "grid@10-c", "rate"]);
    files.replace("dvc.yaml", "echo ${item} >", "echo the ${item} >");
    assert_eq!(stale(), ["each@a", "each@c", "grid@1-c", "grid@10-c", "rate"]);
    repository.dvc(&["repro", "-q"]);
    assert_eq!(stale(), Vec::<String>::new());
    files.replace("dvc.yaml", "echo the ${item} >", "echo ${who} >");
    repository.run(&["status"]).exits(0).says("ask `dvc status`");
}

#[test]
fn what_dvc_pushed_to_s3_is_pulled_from_there() {
    let Some(server) = S3Server::start() else { return };
    let settings = [
        ("endpointurl", server.endpoint.as_str()),
        ("access_key_id", server.key_id.as_str()),
        ("secret_access_key", server.secret.as_str()),
    ];
    let Some(repository) = Repository::make("s3://data/dvc/store", &settings) else { return };
    let iris = bytes(&repository.project.path("data/raw.csv"));
    repository.empty();
    repository.run(&["data", "pull"]).exits(0).says("23 objects fetched from s3://data/dvc/store");
    assert!(bytes(&repository.project.path("data/raw.csv")) == iris);
    assert_eq!(repository.project.read("data/images/2/é 2.txt"), "image 2");
}

#[test]
fn the_cache_of_dvc_2_is_read() {
    let project = TestProject::new(env!("CARGO_BIN_EXE_modelgate"));
    project.write(
        "modelgate.yaml",
        CONFIG.replace("${params:train.seed}", "7").replace("${params:train.n}", "5"),
    );
    // MD5 of "a\nb\n": DVC 2 named text by what it is with the line endings of Unix.
    let md5 = "dd8c6a395b5dd36c56d23275028f526c";
    project.write("data/raw.csv.dvc", format!("outs:\n- md5: {md5}\n  size: 6\n  path: raw.csv\n"));
    project.write(".dvc/config", "");
    project.write(&format!(".dvc/cache/{}/{}", &md5[..2], &md5[2..]), "a\r\nb\r\n");
    project.run(&["data", "pull"]).exits(0).says("1 file written");
    assert_eq!(project.read("data/raw.csv"), "a\r\nb\r\n");
    fs_err::remove_dir_all(project.path(".dvc/cache")).expect("removed");
    fs_err::remove_file(project.path("data/raw.csv")).expect("removed");
    project
        .run(&["data", "pull"])
        .exits(1)
        .says("there is no default remote")
        .says("the cache does not have");
}

/// A repository that no DVC has made, whose cache has the content `a\r\nb\r\n` under the MD5 `dd8c…`.
fn hostile(dvc_file: &str) -> TestProject {
    let project = TestProject::new(env!("CARGO_BIN_EXE_modelgate"));
    let config = CONFIG.replace("${params:train.seed}", "7").replace("${params:train.n}", "5");
    project.write("repository/modelgate.yaml", config);
    project.write("repository/.dvc/config", "");
    project.write("repository/.dvc/cache/dd/8c6a395b5dd36c56d23275028f526c", "a\r\nb\r\n");
    project.write("repository/.git/config", "");
    project.write("repository/data/raw.csv.dvc", dvc_file);
    project
}

#[test]
fn what_dvc_tracks_is_written_nowhere_but_below_the_repository() {
    let out = |path: &str| format!("outs:\n- md5: dd8c6a395b5dd36c56d23275028f526c\n  path: {path}\n");
    let outside = |project: &TestProject| project.path("victim").display().to_string();
    let pull = ["-C", "repository", "data", "pull"];
    for path in
        ["../../victim", "../.git/hooks/post-checkout", "../.GIT/x", "../.modelgate/x", "../.dvc/x", ".."]
    {
        let project = hostile(&out(path));
        project
            .run(&pull)
            .exits(1)
            .says("data/raw.csv.dvc: the output")
            .says("is not a path of data below the repository");
        assert!(!project.path("victim").exists() && !project.path("repository/.git/hooks").exists());
    }
    let project = hostile("");
    let absolute = outside(&project);
    project.write("repository/data/raw.csv.dvc", out(&absolute));
    project.run(&pull).exits(1).says("is not a path of data below the repository");
    project.write("repository/data/raw.csv.dvc", format!("wdir: ../..\n{}", out("victim")));
    project.run(&pull).exits(1).says("is not a path of data below the repository");
    fs_err::remove_file(project.path("repository/data/raw.csv.dvc")).expect("removed");
    project.write("repository/dvc.yaml", "stages:\n  s: {cmd: x, outs: [../victim]}\n");
    let lock = "schema: '2.0'\nstages:\n  s:\n    cmd: x\n    outs:\n    - {path: ../victim, md5: dd8c6a395b5dd36c56d23275028f526c}\n";
    project.write("repository/dvc.lock", lock);
    project.run(&pull).exits(1).says("dvc.lock: the output `../victim`");
    assert!(!project.path("victim").exists());
}

#[cfg(unix)]
#[test]
fn a_link_does_not_lead_what_dvc_tracks_out_of_the_repository() {
    let project = hostile("outs:\n- md5: dd8c6a395b5dd36c56d23275028f526c\n  path: away/x\n");
    fs_err::create_dir_all(project.path("elsewhere")).expect("folder");
    for (target, message) in [
        ("../../elsewhere", "a symbolic link leads it out of the project"),
        ("../.git", "into a folder of git, DVC or modelgate"),
    ] {
        let link = project.path("repository/data/away");
        std::os::unix::fs::symlink(target, &link).expect("linked");
        project.run(&["-C", "repository", "data", "pull"]).exits(1).says("data/away/x").says(message);
        fs_err::remove_file(link).expect("removed");
    }
    assert!(!project.path("elsewhere/x").exists() && !project.path("repository/.git/x").exists());
    let _ = project.run(&["-C", "repository", "data", "pull"]).exits(0);
    assert_eq!(project.read("repository/data/away/x"), "a\r\nb\r\n");
}

#[test]
fn a_dvc_file_is_compared_as_the_data_that_it_tracks() {
    let Some(repository) = Repository::make("remote", &[]) else { return };
    let diff = |arguments: &[&str]| repository.run(&[&["data", "diff"], arguments].concat());
    diff(&["data/raw.csv.dvc", "data/raw.csv"]).exits(0).says("no difference in 150 rows");
    let text = repository.project.read("data/raw.csv");
    let end = text.trim_end().rfind('\n').expect("lines");
    repository.project.write("data/raw.csv", &text[..=end]);
    diff(&["data/raw.csv.dvc", "data/raw.csv", "--exit-code"]).exits(2).says("150").says("149");
    diff(&["data/images.dvc", "data/images"]).exits(0).says("no difference in 21 files");
    repository.project.write("data/images/new.txt", "new");
    diff(&["data/images.dvc", "data/images"]).exits(0).says("+ data/images/new.txt");
    repository.empty();
    diff(&["data/raw.csv.dvc", "data/raw.csv.dvc"]).exits(64).says(
        "names a content that DVC's cache does not have; `modelgate data pull data/raw.csv.dvc` brings it",
    );
}
