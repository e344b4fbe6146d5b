//! Templates, filled in for one project.

use std::path::PathBuf;

use super::parts::{CLOUD, declared, handed_on, lines, quoted, secret};

/// Where releases of modelgate are, `owner/name`.
pub fn repository() -> &'static str {
    env!("CARGO_PKG_REPOSITORY").trim_start_matches("https://github.com/")
}

/// Actions that are used, each by the commit of a release: a tag can be moved.
const CHECKOUT: &str = "actions/checkout@11bd71901bbe5b1630ceea73d27597364c9af683 # v4.2.2";
const CACHE: &str = "actions/cache@5a3ec84eff668545956fd18022155c47e93e2684 # v4.2.3";
const UPLOAD: &str = "actions/upload-artifact@ea165f8d65b6e75b540449e92b4886f43607fa02 # v4.6.2";
const DOWNLOAD: &str = "actions/download-artifact@d3f86a106a0bac45b974a628896c90dbdf5c8093 # v4.3.0";
const SETUP_PYTHON: &str = "actions/setup-python@a26af69be951a213d495a4c3e4e4022e16d87065 # v5.6.0";

/// Where a model goes when it is in production.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Deploy {
    /// Nowhere: the package is an artifact of the run.
    #[default]
    None,
    /// To a Space of the Hugging Face Hub.
    Space,
}

/// What the files are filled in with.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Plan {
    /// The project's folder from the repository's root, `.` for the root itself.
    pub folder: String,
    /// The pipeline.
    pub pipeline: String,
    /// The model of the pipeline.
    pub model: String,
    /// The address of the registry.
    pub registry: String,
    /// The branch that pull requests go to.
    pub branch: String,
    /// What the names of the workflows end with, such as `-churn`, when a repository has several; empty for the only one.
    pub suffix: String,
    /// Whether the data is not in git: `data pull` brings it.
    pub pull: bool,
    /// Whether the registry or the data is in a bucket, whose keys are secrets of the repository.
    pub cloud: bool,
    /// Files and folders with data and contracts, from the project's folder.
    pub data: Vec<String>,
    /// What a pull request's data is compared by, file by file, from the project's folder: pointer files and data in git.
    pub compared: Vec<String>,
    /// A requirements file of the training code, from the project's folder, if there is one.
    pub requirements: Option<String>,
    /// Whether the training code has tests in `tests/`.
    pub tests: bool,
    /// Where a model goes.
    pub deploy: Deploy,
    /// The variables that `deploy space` takes the Space's own secrets from: secrets of the repository too.
    pub space_secrets: Vec<String>,
}

/// What the Hub is written with.
const HUB: &str = "HF_TOKEN";

fn below(folder: &str, path: &str) -> String {
    if folder == "." { path.to_owned() } else { format!("{folder}/{path}") }
}

/// A word of the shell.
fn word(text: &str) -> String {
    format!("'{}'", text.replace('\'', "'\\''"))
}

/// The secrets that a deployment to the Space needs; the token of the job is there without being one.
fn secrets_of_space(plan: &Plan) -> Vec<&str> {
    let own = plan.space_secrets.iter().map(String::as_str).filter(|name| *name != "GITHUB_TOKEN");
    let mut secrets = vec![HUB];
    for name in own {
        if !secrets.contains(&name) {
            secrets.push(name);
        }
    }
    secrets
}

/// A step that brings what is in production to the Space, and keeps how that ended.
fn step_of_target(plan: &Plan) -> String {
    if plan.deploy == Deploy::None {
        return String::new();
    }
    format!(
        "      - name: Bring it to the Space\n        id: target\n        working-directory: {}\n        env:\n{}          \
         REASON: ${{{{ env.RUN }}}}\n        # 2: it does not show there what it must.\n        run: |\n          code=0\n          \
         modelgate deploy space \"$MODEL\" --reason \"$REASON\" || code=$?\n          \
         echo \"code=$code\" >> \"$GITHUB_OUTPUT\"\n          exit \"$code\"\n",
        plan.folder,
        lines(&secrets_of_space(plan), "          ", secret),
    )
}

/// A step that points the Space at what is in production, which was there before; `when` is its condition, and `reason` what
/// the ledger keeps.
fn step_of_target_back(plan: &Plan, when: &str, reason: &str) -> String {
    if plan.deploy == Deploy::None {
        return String::new();
    }
    format!(
        "      - name: Take the Space back\n{when}        working-directory: {}\n        env:\n          {}\n          \
         REASON: {reason}\n        run: modelgate deploy space \"$MODEL\" --rollback --reason \"$REASON\"\n",
        plan.folder,
        secret(HUB),
    )
}

/// A step that fails before the promotion where a secret is missing that the Space needs behind it.
fn step_of_needed(plan: &Plan) -> String {
    if plan.deploy == Deploy::None {
        return String::new();
    }
    let secrets = secrets_of_space(plan);
    format!(
        "      - name: Is there what the Space needs?\n        # Nothing is promoted that could not be brought there.\n        \
         env:\n{}        run: |\n          for name in {}; do\n            if [ -z \"${{!name}}\" ]; then\n              \
         echo \"the secret $name is not set in this repository, and the Space needs it\" >&2\n              exit 64\n            \
         fi\n          done\n",
        lines(&secrets, "          ", secret),
        secrets.join(" "),
    )
}

fn steps_of_python(plan: &Plan) -> String {
    let Some(file) = &plan.requirements else { return String::new() };
    let file = below(&plan.folder, file);
    format!(
        "      - uses: {SETUP_PYTHON}\n        with:\n          python-version: \"3.12\"\n          cache: pip\n          \
         cache-dependency-path: {file}\n      - name: What the training code needs\n        run: python -m pip install -r {file}\n"
    )
}

fn steps_of_tests(plan: &Plan) -> String {
    if !plan.tests {
        return String::new();
    }
    format!(
        "      - uses: {SETUP_PYTHON}\n        with:\n          python-version: \"3.12\"\n      - name: The training code's own \
         tests\n        working-directory: {}\n        shell: bash\n        run: |\n          \
         if [ -f requirements.txt ]; then python -m pip install -r requirements.txt; fi\n          \
         python -m pip install pytest\n          python -m pytest tests\n",
        plan.folder
    )
}

/// Returns the files by their place in the repository.
pub fn files(plan: &Plan) -> Vec<(PathBuf, String)> {
    let at = |path: &str| below(&plan.folder, path);
    let mut paths: Vec<String> = plan.data.iter().map(|path| at(path)).collect();
    paths.push(at("modelgate.yaml"));
    let in_yaml: Vec<String> = paths.iter().map(|path| format!("\"{}\"", quoted(path))).collect();
    // A glob of git, which knows `**` too.
    let globs = |paths: &[String]| -> Vec<String> {
        paths.iter().map(|path| word(&format!(":(glob){path}"))).collect()
    };
    let pull = format!(
        "      - name: Bring the data\n        working-directory: {}\n        run: modelgate data pull\n",
        plan.folder
    );
    let cloud: &[&str] = if plan.cloud { &CLOUD } else { &[] };
    // What a workflow that is called gets of its caller.
    let mut secrets = cloud.to_vec();
    if plan.deploy == Deploy::Space {
        secrets.extend(secrets_of_space(plan).into_iter().filter(|name| !cloud.contains(name)));
    }
    let refused = match plan.deploy {
        Deploy::None => "steps.look.outputs.code == '2'",
        Deploy::Space => "steps.look.outputs.code == '2' || steps.target.outputs.code == '2'",
    };
    let back_in = "        if: failure() && steps.back.outputs.before\n";
    let when = |condition: bool, text: String| if condition { text } else { String::new() };
    let fill = |template: &str| {
        [
            ("@@VERSION@@", env!("CARGO_PKG_VERSION").to_owned()),
            ("@@REPOSITORY@@", repository().to_owned()),
            ("@@CHECKOUT@@", CHECKOUT.to_owned()),
            ("@@CACHE@@", CACHE.to_owned()),
            ("@@UPLOAD@@", UPLOAD.to_owned()),
            ("@@DOWNLOAD@@", DOWNLOAD.to_owned()),
            ("@@REGISTRY@@", quoted(&plan.registry)),
            ("@@BRANCH@@", quoted(&plan.branch)),
            ("@@SUFFIX@@", plan.suffix.clone()),
            ("@@FOLDER@@", plan.folder.clone()),
            ("@@PIPELINE@@", plan.pipeline.clone()),
            ("@@MODEL@@", plan.model.clone()),
            ("@@STATE@@", at(".modelgate")),
            ("@@OUTPUTS@@", at("outputs")),
            ("@@PACKAGED@@", at("models/packaged")),
            ("@@BEFORE@@", at("before-rollback.jsonl")),
            ("@@DATAPATHS@@", format!("[{}]", in_yaml.join(", "))),
            ("@@DATAFILES@@", globs(&paths).join(" ")),
            ("@@COMPARED@@", globs(&plan.compared).join(" ")),
            ("@@PYTHON@@", steps_of_python(plan)),
            ("@@TESTS@@", steps_of_tests(plan)),
            ("@@PULL@@", when(plan.pull, pull.clone())),
            ("@@CLOUD@@", lines(cloud, "  ", secret)),
            ("@@DECLARED@@", handed_on(&secrets, declared)),
            ("@@PASSED@@", handed_on(&secrets, secret)),
            ("@@NEEDED@@", step_of_needed(plan)),
            ("@@REFUSED@@", refused.to_owned()),
            ("@@TARGET@@", step_of_target(plan)),
            ("@@TARGETBACK@@", step_of_target_back(plan, "", "${{ inputs.reason }}")),
            ("@@TARGETBEFORE@@", step_of_target_back(plan, back_in, "${{ env.RUN }}")),
        ]
        .iter()
        .fold(template.to_owned(), |text, (name, value)| text.replace(name, value))
    };
    let workflow = |name: &str| PathBuf::from(format!(".github/workflows/{name}{}.yml", plan.suffix));
    let mut files = vec![
        (".github/actions/modelgate/action.yml".into(), include_str!("../../templates/action.yml")),
        (workflow("ci"), include_str!("../../templates/ci.yml")),
        (workflow("data-validation"), include_str!("../../templates/data-validation.yml")),
        (workflow("deploy"), include_str!("../../templates/deploy.yml")),
        (workflow("rollback"), include_str!("../../templates/rollback.yml")),
        (workflow("train"), include_str!("../../templates/train.yml")),
    ];
    // Typed by people; those of the first pipeline take another one as `PIPELINE=…`.
    if plan.suffix.is_empty() {
        files.push((at("Makefile").into(), include_str!("../../templates/Makefile")));
        files.push((at("justfile").into(), include_str!("../../templates/justfile")));
    }
    files.into_iter().map(|(path, template): (PathBuf, &str)| (path, fill(template))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_place_is_filled_in() {
        let plan = Plan {
            folder: "models/churn".to_owned(),
            pipeline: "churn".to_owned(),
            model: "churn".to_owned(),
            registry: "git+branch:modelgate".to_owned(),
            branch: "trunk".to_owned(),
            suffix: String::new(),
            pull: true,
            cloud: true,
            data: vec!["data/raw/*.csv".to_owned()],
            compared: vec!["data/*.modelgate".to_owned()],
            requirements: Some("requirements.txt".to_owned()),
            tests: true,
            deploy: Deploy::None,
            space_secrets: Vec::new(),
        };
        let files = files(&plan);
        assert_eq!(files.len(), 8);
        for (path, text) in &files {
            assert!(!text.contains("@@"), "{}: {text}", path.display());
        }
        let ci = &files[1].1;
        assert!(ci.contains("working-directory: models/churn") && ci.contains("path: models/churn/outputs"));
        let validation = &files[2].1;
        assert!(
            validation.contains("paths: [\"models/churn/data/raw/*.csv\", \"models/churn/modelgate.yaml\"]")
        );
    }
}
