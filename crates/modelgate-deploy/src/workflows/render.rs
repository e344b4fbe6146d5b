//! Templates, filled in for one project.

use std::path::PathBuf;

/// Where releases of modelgate are.
const REPOSITORY: &str = "modelgate/modelgate";

/// Actions that are used, each by the commit of a release: a tag can be moved.
const CHECKOUT: &str = "actions/checkout@11bd71901bbe5b1630ceea73d27597364c9af683 # v4.2.2";
const CACHE: &str = "actions/cache@5a3ec84eff668545956fd18022155c47e93e2684 # v4.2.3";
const UPLOAD: &str = "actions/upload-artifact@ea165f8d65b6e75b540449e92b4886f43607fa02 # v4.6.2";
const SETUP_PYTHON: &str = "actions/setup-python@a26af69be951a213d495a4c3e4e4022e16d87065 # v5.6.0";

/// Where a model goes when it is in production.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Deploy {
    /// Nowhere: the package is an artifact of the run.
    #[default]
    None,
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
    /// Files and folders with data and contracts, from the project's folder.
    pub data: Vec<String>,
    /// A requirements file of the training code, from the project's folder, if there is one.
    pub requirements: Option<String>,
    /// Whether the training code has tests in `tests/`.
    pub tests: bool,
    /// Where a model goes.
    pub deploy: Deploy,
}

fn below(folder: &str, path: &str) -> String {
    if folder == "." { path.to_owned() } else { format!("{folder}/{path}") }
}

/// A text of YAML in double quotes, without these.
fn quoted(text: &str) -> String {
    text.replace('\\', "\\\\").replace('"', "\\\"")
}

/// Returns the files by their place in the repository.
pub fn files(plan: &Plan) -> Vec<(PathBuf, String)> {
    let at = |path: &str| below(&plan.folder, path);
    let mut paths: Vec<String> = plan.data.iter().map(|path| at(path)).collect();
    paths.push(at("modelgate.yaml"));
    let paths: Vec<String> = paths.iter().map(|path| format!("\"{}\"", quoted(path))).collect();
    let python = match &plan.requirements {
        None => String::new(),
        Some(file) => format!(
            "      - uses: {SETUP_PYTHON}\n        with:\n          python-version: \"3.12\"\n          cache: pip\n          \
             cache-dependency-path: {0}\n      - name: What the training code needs\n        run: python -m pip install -r {0}\n",
            at(file)
        ),
    };
    let tests = if plan.tests {
        format!(
            "      - uses: {SETUP_PYTHON}\n        with:\n          python-version: \"3.12\"\n      - name: The training code's own \
             tests\n        working-directory: {}\n        shell: bash\n        run: |\n          \
             if [ -f requirements.txt ]; then python -m pip install -r requirements.txt; fi\n          \
             python -m pip install pytest\n          python -m pytest tests\n",
            plan.folder
        )
    } else {
        String::new()
    };
    let fill = |template: &str| {
        [
            ("@@VERSION@@", env!("CARGO_PKG_VERSION").to_owned()),
            ("@@REPOSITORY@@", REPOSITORY.to_owned()),
            ("@@CHECKOUT@@", CHECKOUT.to_owned()),
            ("@@CACHE@@", CACHE.to_owned()),
            ("@@UPLOAD@@", UPLOAD.to_owned()),
            ("@@REGISTRY@@", quoted(&plan.registry)),
            ("@@FOLDER@@", plan.folder.clone()),
            ("@@PIPELINE@@", plan.pipeline.clone()),
            ("@@MODEL@@", plan.model.clone()),
            ("@@STATE@@", at(".modelgate")),
            ("@@OUTPUTS@@", at("outputs")),
            ("@@PACKAGED@@", at("models/packaged")),
            ("@@BEFORE@@", at("before-rollback.jsonl")),
            ("@@DATAPATHS@@", format!("[{}]", paths.join(", "))),
            ("@@PYTHON@@", python.clone()),
            ("@@TESTS@@", tests.clone()),
        ]
        .iter()
        .fold(template.to_owned(), |text, (name, value)| text.replace(name, value))
    };
    let workflow = |name: &str| PathBuf::from(".github/workflows").join(name);
    [
        (".github/actions/modelgate/action.yml".into(), include_str!("../../templates/action.yml")),
        (workflow("ci.yml"), include_str!("../../templates/ci.yml")),
        (workflow("data-validation.yml"), include_str!("../../templates/data-validation.yml")),
        (workflow("deploy.yml"), include_str!("../../templates/deploy.yml")),
        (workflow("rollback.yml"), include_str!("../../templates/rollback.yml")),
        (workflow("train.yml"), include_str!("../../templates/train.yml")),
        (at("Makefile").into(), include_str!("../../templates/Makefile")),
        (at("justfile").into(), include_str!("../../templates/justfile")),
    ]
    .map(|(path, template): (PathBuf, &str)| (path, fill(template)))
    .into()
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
            data: vec!["data/raw/*.csv".to_owned()],
            requirements: Some("requirements.txt".to_owned()),
            tests: true,
            deploy: Deploy::None,
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
