//! Templates, filled in for one project.

use std::path::PathBuf;

use super::parts::{
    CLOUD, CLOUD_TO_READ, declared, environment, handed_on, lines, quoted, secret, variables,
};
use super::paths::Watched;
use super::steps::{
    secrets_of_space, step_of_needed, step_of_target, step_of_target_back, step_of_target_stop,
    steps_of_python, steps_of_tests,
};

/// Where releases of modelgate are, `owner/name`.
pub fn repository() -> &'static str {
    env!("CARGO_PKG_REPOSITORY").trim_start_matches("https://github.com/")
}

/// Actions that are used, each by the commit of a release: a tag can be moved.
const CHECKOUT: &str = "actions/checkout@11bd71901bbe5b1630ceea73d27597364c9af683 # v4.2.2";
const CACHE: &str = "actions/cache@5a3ec84eff668545956fd18022155c47e93e2684 # v4.2.3";
const UPLOAD: &str = "actions/upload-artifact@ea165f8d65b6e75b540449e92b4886f43607fa02 # v4.6.2";
const DOWNLOAD: &str = "actions/download-artifact@d3f86a106a0bac45b974a628896c90dbdf5c8093 # v4.3.0";
pub(super) const SETUP_PYTHON: &str =
    "actions/setup-python@a26af69be951a213d495a4c3e4e4022e16d87065 # v5.6.0";

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
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own")]
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
    /// Whether the data is in Git LFS: a checkout has no more than pointers to it unless it is told.
    pub lfs: bool,
    /// Files and folders with data and contracts.
    pub data: Vec<Watched>,
    /// What a pull request's data is compared by, file by file: pointer files and data in git.
    pub compared: Vec<Watched>,
    /// A requirements file of the training code, from the project's folder, if there is one.
    pub requirements: Option<String>,
    /// Whether the training code has tests in `tests/`.
    pub tests: bool,
    /// Where a model goes.
    pub deploy: Deploy,
    /// The variables that `deploy space` takes the Space's own secrets from: secrets of the repository too.
    pub space_secrets: Vec<String>,
    /// The variable with the key that messages to the webhook are signed with: a secret of the repository.
    pub notify_secret: Option<String>,
    /// Whether only a signed version reaches production.
    pub sign: bool,
    /// Whether a run promotes what passed its gate, and nobody is asked.
    pub automatic: bool,
    /// Whether the Makefile and the justfile are this pipeline's: a folder with several has those of one.
    pub recipes: bool,
}

impl Plan {
    /// Returns what the pipeline is called on GitHub, where another project may have one of the same name.
    pub fn said(&self) -> String {
        said(&self.pipeline, self.suffix.trim_start_matches('-'))
    }
}

/// Returns what a pipeline is called on GitHub, whose workflows have the name `name`; nothing for the only ones.
pub fn said(pipeline: &str, name: &str) -> String {
    if name.is_empty() || name == pipeline { pipeline.to_owned() } else { format!("{pipeline} ({name})") }
}

/// The workflows that are written, by the names of their files.
pub const WORKFLOWS: [&str; 5] = ["ci", "data-validation", "deploy", "rollback", "train"];

/// The secret with the private key that versions are signed with.
pub const SIGNING_KEY: &str = "MODELGATE_SIGNING_KEY";

pub(super) fn below(folder: &str, path: &str) -> String {
    if folder == "." { path.to_owned() } else { format!("{folder}/{path}") }
}

/// A word of the shell.
fn word(text: &str) -> String {
    format!("'{}'", text.replace('\'', "'\\''"))
}

/// How a version is served while it is looked at, by its place in the registry.
const SERVE: &str =
    "          modelgate serve --port \"$PORT\" --model \"$MODEL@$CHOSEN\" --require-model &\n";

/// Says where the keys of a bucket are in a workflow that runs the code of pull requests.
const KEYS_NOTE: &str = "  # The code of pull requests runs here: the steps that need the bucket open it with a key that may only read.\n";

/// What a job has that takes a version out of production, where a person decides what is there.
const BACK_ASKS: &str = "    # Where a person decides what is in production, nobody else takes it out.\n    environment: production\n";

/// Lines of the shell that make of `$file`, from the repository's root, one from the project's folder.
fn from_folder(folder: &str) -> String {
    let up = "../".repeat(folder.split('/').count());
    format!(
        "            case \"$file\" in\n              {folder}/*) file=\"${{file#{folder}/}}\" ;;\n              \
         *) file=\"{up}$file\" ;;\n            esac\n"
    )
}

/// Returns the files by their place in the repository.
pub fn files(plan: &Plan) -> Vec<(PathBuf, String)> {
    let at = |path: &str| below(&plan.folder, path);
    let mut paths = plan.data.clone();
    paths.extend(Watched::file(&plan.folder, "modelgate.yaml"));
    let in_yaml: Vec<String> =
        paths.iter().map(|path| format!("\"{}\"", quoted(&path.for_github()))).collect();
    let globs =
        |paths: &[Watched]| -> Vec<String> { paths.iter().map(|path| word(&path.for_git())).collect() };
    let inside = plan.compared.iter().all(|path| path.is_in(&plan.folder));
    let pull = format!(
        "      - name: Bring the data\n        working-directory: {}\n        run: modelgate data pull\n",
        plan.folder
    );
    let cloud: &[&str] = if plan.cloud { &CLOUD } else { &[] };
    let read_keys = if plan.cloud { variables(&CLOUD_TO_READ) } else { String::new() };
    let notify: Vec<&str> =
        plan.notify_secret.as_deref().filter(|name| !cloud.contains(name)).into_iter().collect();
    // What a workflow that is called gets of its caller.
    let mut secrets = cloud.to_vec();
    let of_space = if plan.deploy == Deploy::Space { secrets_of_space(plan) } else { Vec::new() };
    let of_signing = plan.sign.then_some(SIGNING_KEY);
    for name in notify.iter().copied().chain(of_signing).chain(of_space) {
        if !secrets.contains(&name) {
            secrets.push(name);
        }
    }
    let refused = match plan.deploy {
        Deploy::None => "steps.look.outputs.code == '2'",
        Deploy::Space => "steps.look.outputs.code == '2' || steps.target.outputs.code == '2'",
    };
    let back_in = "        if: failure() && steps.back.outputs.before\n";
    let out = "        if: steps.back.outputs.before\n";
    let none_in = "        if: failure() && steps.back.outputs.none\n";
    let none_out = "        if: steps.back.outputs.none\n";
    let now = "        if: steps.rolled.outputs.now\n";
    let none_now = "        if: steps.rolled.outputs.none\n";
    let named = plan.suffix.trim_start_matches('-');
    let has_name = plan.said() != plan.pipeline;
    let when = |condition: bool, text: String| if condition { text } else { String::new() };
    let fill = |template: &str| {
        [
            // Parts with places of their own come first.
            ("@@SIGN@@", when(plan.sign, include_str!("../../templates/parts/sign.yml").to_owned())),
            (
                "@@SERVE@@",
                if plan.sign { include_str!("../../templates/parts/unsigned.yml") } else { SERVE }.to_owned(),
            ),
            ("@@WHO@@", include_str!("../../templates/parts/who.yml").to_owned()),
            ("@@WHICH@@", include_str!("../../templates/parts/which.yml").to_owned()),
            ("@@BACK@@", include_str!("../../templates/parts/back.yml").to_owned()),
            ("@@KEY@@", SIGNING_KEY.to_owned()),
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
            ("@@PULLREAD@@", when(plan.pull, format!("{pull}{}", environment(&read_keys)))),
            ("@@PULL@@", when(plan.pull, pull.clone())),
            ("@@READ@@", environment(&read_keys)),
            ("@@READKEYS@@", read_keys.clone()),
            ("@@KEYSNOTE@@", when(plan.cloud, KEYS_NOTE.to_owned())),
            ("@@LFS@@", when(plan.lfs, "          lfs: true\n".to_owned())),
            ("@@BACKASKS@@", when(!plan.automatic, BACK_ASKS.to_owned())),
            ("@@CLOUD@@", lines(cloud, "  ", secret)),
            ("@@NOTIFY@@", lines(&notify, "  ", secret)),
            ("@@TOLDREAD@@", environment(&(read_keys.clone() + &lines(&notify, "          ", secret)))),
            ("@@SAID@@", when(has_name, format!(" --name {named}"))),
            ("@@SAIDOF@@", plan.said()),
            ("@@RELATIVE@@", when(inside, " --relative".to_owned())),
            ("@@PLACE@@", when(!inside, from_folder(&plan.folder))),
            ("@@DECLARED@@", handed_on(&secrets, declared)),
            ("@@PASSED@@", handed_on(&secrets, secret)),
            ("@@NEEDED@@", step_of_needed(plan)),
            ("@@REFUSED@@", refused.to_owned()),
            ("@@TARGET@@", step_of_target(plan)),
            ("@@TARGETBACK@@", step_of_target_back(plan, now, "${{ inputs.reason }}")),
            ("@@TARGETSTOP@@", step_of_target_stop(plan, none_now)),
            ("@@TARGETOUT@@", step_of_target_back(plan, out, "${{ env.RUN }}")),
            ("@@STOPOUT@@", step_of_target_stop(plan, none_out)),
            ("@@TARGETBEFORE@@", step_of_target_back(plan, back_in, "${{ env.RUN }}")),
            ("@@STOPBEFORE@@", step_of_target_stop(plan, none_in)),
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
    if plan.recipes {
        files.push((at("Makefile").into(), include_str!("../../templates/Makefile")));
        files.push((at("justfile").into(), include_str!("../../templates/justfile")));
    }
    files.into_iter().map(|(path, template): (PathBuf, &str)| (path, fill(template))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan() -> Plan {
        let pattern = |path: &str| Watched::pattern("models/churn", path).expect("in the repository");
        Plan {
            folder: "models/churn".to_owned(),
            pipeline: "churn".to_owned(),
            model: "churn".to_owned(),
            registry: "git+branch:modelgate".to_owned(),
            branch: "trunk".to_owned(),
            suffix: String::new(),
            pull: true,
            cloud: true,
            lfs: false,
            data: vec![pattern("data/raw/*.csv")],
            compared: vec![pattern("data/*.modelgate")],
            requirements: Some("requirements.txt".to_owned()),
            tests: true,
            deploy: Deploy::None,
            space_secrets: Vec::new(),
            notify_secret: None,
            sign: false,
            automatic: false,
            recipes: true,
        }
    }

    /// Returns a workflow of a plan.
    fn workflow(plan: &Plan, name: &str) -> String {
        let place = format!(".github/workflows/{name}{}.yml", plan.suffix);
        let found = files(plan).into_iter().find(|(path, _)| path.as_os_str() == place.as_str());
        found.expect("a workflow").1
    }

    #[test]
    fn every_place_is_filled_in() {
        let files = files(&plan());
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
        assert!(ci.contains(
            "--no-renames --relative \"$BASE\" HEAD -- ':(top,glob)models/churn/data/*.modelgate'"
        ));
    }

    #[test]
    fn what_was_looked_at_is_promoted_over_what_was_seen_and_taken_back_from_there_alone() {
        let deploy = workflow(&plan(), "deploy");
        assert!(deploy.contains("model promote \"$MODEL\" \"$CHOSEN\" --over \"$OVER\""), "{deploy}");
        assert_eq!(deploy.matches("model rollback \"$MODEL\" --from \"$CHOSEN\"").count(), 2, "{deploy}");
    }

    #[test]
    fn the_code_of_a_pull_request_gets_no_key_that_may_write() {
        let plan = Plan { notify_secret: Some("HOOK_KEY".to_owned()), ..plan() };
        for name in ["ci", "data-validation"] {
            let text = workflow(&plan, name);
            assert!(
                !text.contains("secrets.AWS_ACCESS_KEY_ID") && !text.contains("secrets.AWS_SECRET_"),
                "{text}"
            );
            let (head, jobs) = text.split_once("\njobs:\n").expect("jobs");
            assert!(!head.contains("secrets."), "{head}");
            for step in jobs.split("      - ").filter(|step| step.contains("secrets.")) {
                assert!(step.contains("modelgate ") && !step.contains("pip "), "{step}");
            }
            // What reads the bucket has the key.
            let reads = ["modelgate run ", "modelgate data ", "modelgate config check"];
            for step in jobs.split("      - ").filter(|step| reads.iter().any(|read| step.contains(read))) {
                let key = "          AWS_ACCESS_KEY_ID: ${{ secrets.AWS_READ_ACCESS_KEY_ID }}\n";
                assert_eq!((step.matches(key).count(), step.matches("env:").count()), (1, 1), "{step}");
            }
        }
        assert!(
            workflow(&plan, "train").contains("\n  AWS_ACCESS_KEY_ID: ${{ secrets.AWS_ACCESS_KEY_ID }}\n")
        );
        assert!(!workflow(&Plan { cloud: false, ..plan }, "ci").contains("AWS_"));
    }

    #[test]
    fn a_checkout_has_what_git_lfs_keeps_where_the_data_is_looked_at() {
        let count = |lfs: bool, name: &str| {
            workflow(&Plan { lfs, ..plan() }, name)
                .matches("\n        with:\n          fetch-depth: 0\n          lfs: true\n")
                .count()
                + workflow(&Plan { lfs, ..plan() }, name)
                    .matches("persist-credentials: false\n          lfs: true\n")
                    .count()
        };
        // What changed is told by git, and what is said by the run before.
        assert_eq!(
            ["ci", "data-validation", "train", "deploy", "rollback"].map(|name| count(true, name)),
            [3, 2, 1, 0, 0]
        );
        assert_eq!(count(false, "ci"), 0);
    }

    #[test]
    fn production_is_left_without_a_person_only_where_none_decides() {
        let back = |automatic: bool| {
            let text = workflow(&Plan { automatic, ..plan() }, "deploy");
            let (_, behind) = text.split_once("\n  back:\n").expect("a job");
            behind.split_once("\n  production:\n").expect("a job").0.contains("    environment: production\n")
        };
        assert_eq!((back(false), back(true)), (true, false));
    }

    #[test]
    fn models_are_trained_and_deployed_from_the_main_branch_alone() {
        let condition = "    if: github.ref == 'refs/heads/trunk'\n";
        assert!(workflow(&plan(), "train").contains(condition));
        assert_eq!(workflow(&plan(), "deploy").matches(condition).count(), 2);
    }

    #[test]
    fn every_job_that_writes_the_ledger_in_the_name_of_a_reviewer_asks_who_it_was_first() {
        for (name, jobs) in [("deploy", 2), ("rollback", 1)] {
            let text = workflow(&plan(), name);
            assert!(text.contains("\ndefaults:\n  run:\n    shell: bash\n"), "{text}");
            let asking = text.split("\n    runs-on:").filter(|job| job.contains("environment: production\n"));
            let asking: Vec<&str> = asking.collect();
            assert_eq!(text.matches("echo \"MODELGATE_ACTOR=$actor\" >> \"$GITHUB_ENV\"").count(), jobs);
            assert_eq!((asking.len(), text.matches("      actions: read\n").count()), (jobs, jobs), "{text}");
        }
    }

    #[test]
    fn a_merge_queue_gets_its_gate() {
        let ci = workflow(&plan(), "ci");
        assert!(
            ci.contains("\n  merge_group:\n") && ci.contains("|| github.event.merge_group.base_sha ||"),
            "{ci}"
        );
    }

    #[test]
    fn each_model_is_deployed_by_an_event_of_its_own() {
        assert!(workflow(&plan(), "deploy").contains("types: [deploy]\n"));
        let second = Plan { suffix: "-drug".to_owned(), ..plan() };
        assert!(workflow(&second, "deploy").contains("types: [deploy-drug]\n"));
    }

    #[test]
    fn a_pipeline_of_a_name_that_another_project_has_says_which_it_is() {
        let second = Plan { suffix: "-us".to_owned(), recipes: false, ..plan() };
        for name in ["ci", "train", "data-validation"] {
            let text = workflow(&second, name);
            assert!(text.contains("modelgate ci comment --pipeline churn --name us"), "{name}: {text}");
        }
        assert!(workflow(&second, "data-validation").contains("\"The data of churn (us), or its model"));
        // Its name alone tells it apart already.
        let named = Plan { suffix: "-churn".to_owned(), ..plan() };
        assert!(!workflow(&named, "ci").contains("--name churn"));
        assert_eq!(files(&second).len(), 6);
    }

    #[test]
    fn the_key_of_the_webhook_goes_where_something_is_told_and_never_into_a_pull_request() {
        let plan = Plan { notify_secret: Some("HOOK_KEY".to_owned()), ..plan() };
        for name in ["train", "deploy", "rollback"] {
            assert!(workflow(&plan, name).contains("\n  HOOK_KEY: ${{ secrets.HOOK_KEY }}\n"), "{name}");
        }
        assert!(workflow(&plan, "train").contains("      HOOK_KEY: ${{ secrets.HOOK_KEY }}\n"));
        let validation = workflow(&plan, "data-validation");
        let (before, report) = validation.split_once("\n  report:\n").expect("a job");
        assert!(!before.contains("HOOK_KEY") && report.contains("HOOK_KEY"), "{validation}");
        assert!(!workflow(&plan, "ci").contains("HOOK_KEY"));
    }

    #[test]
    fn what_has_to_be_signed_is_signed_where_it_is_approved_and_nowhere_before() {
        let plan = Plan { sign: true, ..plan() };
        let deploy = workflow(&plan, "deploy");
        let (before, production) = deploy.split_once("\n  production:\n").expect("jobs");
        assert!(
            !before.contains("secrets.MODELGATE_SIGNING_KEY") && !before.contains("model sign \"$MODEL\"")
        );
        assert!(production.contains("    environment: production\n"), "{production}");
        let at = |text: &str| production.find(text).expect("a step");
        let sign = at("modelgate model sign \"$MODEL\" \"$CHOSEN\" --key");
        assert!(at("modelgate model approve") < sign && sign < at("modelgate model promote"), "{production}");
        assert_eq!(deploy.matches("secrets.MODELGATE_SIGNING_KEY").count(), 1);
        assert!(
            workflow(&plan, "train").contains("MODELGATE_SIGNING_KEY: ${{ secrets.MODELGATE_SIGNING_KEY }}")
        );
        assert!(!workflow(&Plan { sign: false, ..plan }, "deploy").contains("SIGNING"));
    }

    #[test]
    fn a_space_that_asks_for_a_key_is_asked_with_one_on_the_way_back_too() {
        let space_secrets = ["GITHUB_TOKEN", "MODELGATE_API_KEY", "SPACE_KEYS"].map(str::to_owned).to_vec();
        let plan = Plan { deploy: Deploy::Space, space_secrets, ..plan() };
        let steps = |name: &str, step: &str| -> Vec<String> {
            let text = workflow(&plan, name);
            let steps = text.split("      - name: ").filter(|text| text.starts_with(step));
            steps.map(str::to_owned).collect()
        };
        let back =
            [steps("deploy", "Take the Space back"), steps("rollback", "Take the Space back")].concat();
        assert_eq!(back.len(), 3);
        for step in &back {
            assert!(
                step.contains("          MODELGATE_API_KEY: ${{ secrets.MODELGATE_API_KEY }}\n"),
                "{step}"
            );
            assert!(!step.contains("SPACE_KEYS"), "{step}");
        }
        // The token of a job is no secret of the repository.
        let bring = steps("deploy", "Bring it to the Space").concat();
        assert!(bring.contains("          GITHUB_TOKEN: ${{ github.token }}\n"), "{bring}");
        assert!(!workflow(&plan, "deploy").contains("secrets.GITHUB_TOKEN"));
    }

    #[test]
    fn where_nothing_is_in_production_any_more_nothing_is_looked_at_and_the_space_stops() {
        let plan = Plan { deploy: Deploy::Space, ..plan() };
        let conditions = |name: &str, step: &str| -> Vec<String> {
            let text = workflow(&plan, name);
            let steps = text.split("      - name: ").filter(|text| text.starts_with(step));
            steps
                .map(|step| {
                    step.lines()
                        .find_map(|line| line.strip_prefix("        if: "))
                        .unwrap_or_default()
                        .to_owned()
                })
                .collect()
        };
        for step in ["Serve what is in production", "Record where it went", "Take the Space back"] {
            assert_eq!(conditions("rollback", step), ["steps.rolled.outputs.now"], "{step}");
        }
        assert_eq!(conditions("rollback", "Stop the Space"), ["steps.rolled.outputs.none"]);
        assert_eq!(
            conditions("deploy", "Stop the Space"),
            ["steps.back.outputs.none", "failure() && steps.back.outputs.none"]
        );
        let stop = workflow(&plan, "rollback");
        let (_, stop) = stop.split_once("      - name: Stop the Space\n").expect("a step");
        let (stop, _) =
            stop.split_once("      - name: ").or(stop.split_once("      # Behind")).expect("steps");
        assert!(
            stop.contains("run: modelgate deploy space \"$MODEL\" --stop\n")
                && stop.contains("HF_TOKEN: ${{ secrets.HF_TOKEN }}"),
            "{stop}"
        );
        assert!(!workflow(&Plan { deploy: Deploy::None, ..plan }, "rollback").contains("Stop the Space"));
    }

    #[test]
    fn data_beside_the_project_is_compared_from_its_folder() {
        let beside = Watched::file("models/churn", "../../shared/a.csv").expect("in the repository");
        let plan = Plan { compared: vec![beside], ..plan() };
        let ci = workflow(&plan, "ci");
        assert!(ci.contains("--no-renames \"$BASE\" HEAD -- ':(top,literal)shared/a.csv'"), "{ci}");
        assert!(ci.contains("models/churn/*) file=\"${file#models/churn/}\" ;;"), "{ci}");
        assert!(ci.contains("*) file=\"../../$file\" ;;"), "{ci}");
    }
}
