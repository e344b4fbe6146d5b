//! `modelgate ci`: the files that make a repository's CI, and what a step of it says.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use modelgate_core::Verdict;
use modelgate_core::lifecycle::Stage;
use modelgate_core::verdict::Outcome;
use modelgate_deploy::github::{self, Annotation, Client, Context, Saying};
use modelgate_deploy::workflows::{self, Deploy, Plan};
use modelgate_pipeline::reports::{RunEvidence, markdown};
use modelgate_pipeline::{PROJECT_FILE, Pipeline, Project};
use serde_json::json;

use crate::arguments::ci::{Ci, Comment, DeployTarget, Init};
use crate::environment;
use crate::exit::{Exit, UsageError};
use crate::printer::Printer;

/// Where a registry lives that CI can share without a server.
const REGISTRY: &str = "git+branch:modelgate";

pub(crate) fn execute(ci: &Ci, project: &Project, printer: &Printer) -> anyhow::Result<Exit> {
    match ci {
        Ci::Init(arguments) => init(arguments, project, printer),
        Ci::Comment(arguments) => comment(arguments, project, printer),
    }
}

/// Returns the root of the repository that the project is in.
fn repository(project: &Project) -> anyhow::Result<PathBuf> {
    let mut folder = Some(project.root.as_path());
    while let Some(root) = folder {
        // A worktree has a file of this name.
        if root.join(".git").exists() {
            return Ok(root.to_owned());
        }
        folder = root.parent();
    }
    let sentence = format!("`{}` is in no git repository: `git init` makes one", project.root.display());
    Err(UsageError(sentence).into())
}

/// Returns a path of the project from the repository's root, with `/`.
fn from_root(root: &Path, path: &Path) -> String {
    let relative = path.strip_prefix(root).unwrap_or(path);
    let parts: Vec<_> = relative.components().map(|part| part.as_os_str().to_string_lossy()).collect();
    if parts.is_empty() { ".".to_owned() } else { parts.join("/") }
}

fn plan(arguments: &Init, project: &Project, pipeline: &Pipeline<'_>, root: &Path) -> anyhow::Result<Plan> {
    let folder = from_root(root, &project.root);
    // What goes into YAML and shell without quotes.
    let plain =
        |text: &str| text.chars().all(|letter| letter.is_ascii_alphanumeric() || "-_./".contains(letter));
    if !plain(&folder) {
        let sentence = format!(
            "the folder `{folder}` has a name that workflows cannot use: letters, digits, `-`, `_`, `.`"
        );
        return Err(UsageError(sentence).into());
    }
    if !plain(pipeline.name) || pipeline.name.starts_with('-') {
        let sentence = format!("the pipeline `{}` has a name that workflows cannot use", pipeline.name);
        return Err(UsageError(sentence).into());
    }
    let config = &pipeline.config.data;
    let source = config.source.as_str();
    // Data in a bucket changes without a commit; its pointer file does not.
    let local = (!source.contains("://")).then(|| match source.rsplit_once('/') {
        Some((folder, _)) if !folder.contains(['*', '?', '[']) => format!("{folder}/**"),
        _ => source.to_owned(),
    });
    let mut data: Vec<String> = local.into_iter().collect();
    data.extend(config.contract.clone());
    let requirements = "requirements.txt";
    let found = project.root.join(requirements).is_file();
    Ok(Plan {
        folder,
        pipeline: pipeline.name.to_owned(),
        model: pipeline.model.to_string(),
        registry: project.config.registry.uri.clone().unwrap_or_else(|| REGISTRY.to_owned()),
        data,
        requirements: (found && pipeline.config.train.command.is_some()).then(|| requirements.to_owned()),
        tests: project.root.join("tests").is_dir(),
        deploy: match arguments.deploy {
            DeployTarget::None => Deploy::None,
        },
    })
}

fn init(arguments: &Init, project: &Project, printer: &Printer) -> anyhow::Result<Exit> {
    let pipeline = project.pipeline(arguments.pipeline.as_deref())?;
    let root = repository(project)?;
    let files = workflows::files(&plan(arguments, project, &pipeline, &root)?);
    let written = workflows::write(&root, &files, arguments.force, arguments.check)?;
    if printer.is_json() {
        let files: Vec<_> = written
            .iter()
            .map(|one| json!({ "path": one.path, "outcome": format!("{:?}", one.outcome).to_lowercase(), "diff": one.diff }))
            .collect();
        printer.json(&json!({ "schema_version": 1, "files": files }))?;
    }
    let mut kept = false;
    for one in &written {
        let path = one.path.display();
        let sentence = match (one.outcome, arguments.check) {
            (workflows::Outcome::Created, false) => format!("wrote {path}"),
            (workflows::Outcome::Created, true) => format!("{path} is missing"),
            (workflows::Outcome::Same, _) => continue,
            (workflows::Outcome::Replaced, false) => format!("wrote {path} again; nobody had edited it"),
            (workflows::Outcome::Overwritten, _) => format!("overwrote {path}, which was edited"),
            (_, true) => format!("{path} differs:"),
            (workflows::Outcome::Kept, false) => {
                format!("{path} was edited and stays; `--force` would change it so:")
            }
        };
        printer.talk(&sentence);
        if one.outcome == workflows::Outcome::Kept || arguments.check {
            kept |= one.outcome == workflows::Outcome::Kept;
            if !printer.is_json() && !one.diff.is_empty() {
                printer.data(one.diff.trim_end())?;
            }
        }
    }
    if arguments.check {
        let differs = written.iter().any(|one| one.outcome != workflows::Outcome::Same);
        return Ok(if differs { Exit::Blocked } else { Exit::Passed });
    }
    if project.config.registry.uri.is_none() {
        printer.talk(&format!(
            "the workflows keep the registry in `{REGISTRY}`, a branch of this repository; \
             `registry: {{uri: \"{REGISTRY}\"}}` in {PROJECT_FILE} makes your own runs share it"
        ));
    }
    if !kept {
        printer.talk("next: commit them, and set required reviewers for the environment `production`");
    }
    Ok(Exit::Passed)
}

/// Returns what failed or could not be told, each beside its rule in the project file.
fn annotations(project: &Project, evidence: &RunEvidence, root: Option<&Path>) -> Vec<Annotation> {
    let file = project.root.join(PROJECT_FILE);
    let text = fs_err::read_to_string(&file).unwrap_or_default();
    let path = root.map_or_else(|| PROJECT_FILE.to_owned(), |root| from_root(root, &file));
    let line_of = |id: &str| {
        let holds = |line: &str| {
            let Some((_, rest)) = line.split_once("id:") else { return false };
            let rest = rest.trim_start().trim_start_matches(['"', '\'']);
            rest.strip_prefix(id).is_some_and(|rest| {
                !rest.starts_with(|letter: char| letter.is_alphanumeric() || letter == '_' || letter == '-')
            })
        };
        let gate = || text.lines().position(|line| line.trim_start().starts_with("gate:"));
        text.lines().position(holds).or_else(gate).map_or(1, |at| at as u64 + 1)
    };
    let rules = evidence.verdict.rules.iter();
    rules
        .filter(|rule| matches!(rule.outcome, Outcome::Failed | Outcome::Inconclusive))
        .map(|rule| Annotation {
            path: path.clone(),
            line: line_of(&rule.id),
            failed: rule.outcome == Outcome::Failed,
            title: format!("{}: {}", rule.id, rule.outcome),
            message: rule.sentence.clone(),
        })
        .collect()
}

fn comment(arguments: &Comment, project: &Project, printer: &Printer) -> anyhow::Result<Exit> {
    let pipeline = project.pipeline(arguments.pipeline.as_deref())?;
    let context = Context::of_step(&environment::variable).map_err(|error| UsageError(error.to_string()))?;
    let evidence = RunEvidence::load(&pipeline)?;
    // A run that ended before its gate leaves the verdict of an earlier one behind.
    if evidence.run.verdict.is_none() || evidence.run.digest != evidence.verdict.digest {
        let sentence =
            format!("the last run of `{}` ended before its gate: there is no verdict to say", pipeline.name);
        return Err(anyhow::anyhow!(sentence));
    }
    let verdict = &evidence.verdict;
    let waiting = evidence.run.state.as_ref().is_some_and(|state| *state == Stage::Candidate);
    let report = match &arguments.report {
        None => markdown(&evidence, false),
        Some(path) => fs_err::read_to_string(path).context("the report cannot be read")?,
    };
    let root = repository(project).ok();
    let saying = Saying {
        name: pipeline.name.to_owned(),
        verdict: verdict.verdict,
        waiting: verdict.verdict == Verdict::Passed && waiting,
        title: format!("{}: {}", verdict.verdict, verdict.sentence),
        report,
        annotations: annotations(project, &evidence, root.as_deref()),
    };
    // What needs no token comes first: it is there whatever GitHub says.
    if !arguments.dry_run {
        leave(&saying, &pipeline, &evidence, printer)?;
    }
    let client = if arguments.dry_run {
        Client::dry()
    } else if let Some(token) = environment::variable("GITHUB_TOKEN") {
        Client::new(token).map_err(|error| UsageError(error.to_string()))?
    } else {
        let sentence = "GITHUB_TOKEN is not set: give the step `env: {GITHUB_TOKEN: ${{ github.token }}}`; the report \
                        is in the summary";
        return Err(UsageError(sentence.to_owned()).into());
    };
    let said = github::say(&client, &context, &saying, !arguments.no_check)?;
    for request in client.kept() {
        printer.data(&format!("{} {}", request.method, request.url))?;
        if let Some(body) = &request.body {
            printer.data(&serde_json::to_string_pretty(body)?)?;
        }
    }
    if !arguments.dry_run {
        said.notes.iter().for_each(|note| printer.talk(note));
    }
    Ok(Exit::Passed)
}

/// Writes the summary, the outputs and the annotations of the step.
fn leave(
    saying: &Saying,
    pipeline: &Pipeline<'_>,
    evidence: &RunEvidence,
    printer: &Printer,
) -> anyhow::Result<()> {
    if let Some(path) = environment::variable("GITHUB_STEP_SUMMARY") {
        github::summary(Path::new(&path), &saying.report)?;
    }
    if let Some(path) = environment::variable("GITHUB_OUTPUT") {
        let version = evidence.run.version.map_or_else(String::new, |version| version.to_string());
        let digest = evidence.verdict.digest.map_or_else(String::new, |digest| digest.to_string());
        let report = pipeline.outputs().join("report.md").display().to_string();
        let values = [
            ("verdict", saying.verdict.to_string()),
            ("report-path", report),
            ("digest", digest),
            ("version", version),
        ];
        let values: Vec<(&str, &str)> = values.iter().map(|(name, value)| (*name, value.as_str())).collect();
        github::outputs(Path::new(&path), &values)?;
    }
    for line in github::annotations(&saying.annotations) {
        printer.data(&line)?;
    }
    Ok(())
}
