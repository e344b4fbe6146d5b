//! `modelgate deploy space`: the version in production, to a Space. Staging is built and looked at first; what does not show
//! what it must never reaches the Space that people use.

use std::time::{Duration, Instant};

use anyhow::Context as _;
use modelgate_config::{SpaceConfig, duration_seconds};
use modelgate_core::lifecycle::Stage as Lifecycle;
use modelgate_core::{Digest, ModelName, Verdict, VersionNumber};
use modelgate_deploy::containers::{SpaceImage, space_files};
use modelgate_deploy::hub::{Content, ENDPOINT, Hub, HubError, Kind, NewFile, Repository, Token};
use modelgate_deploy::space::{
    Held, Plan, REFERENCE_ROWS, application, bring, find_weights, package_folder, pin, pinned, pinned_now,
    publish_weights,
};
use modelgate_pipeline::{PipelineError, Project, policy, registry, source_files};
use modelgate_registry::Registry;
use modelgate_serve::settings::Secret;
use modelgate_serve::smoke;
use serde_json::{Value, json};

use crate::arguments::deploy::Space;
use crate::commands::serve::judge;
use crate::environment::{self, surroundings};
use crate::exit::{Exit, UsageError};
use crate::printer::Printer;

/// What is deployed, and where.
struct Deployment<'a> {
    project: &'a Project,
    config: &'a SpaceConfig,
    printer: &'a Printer,
    hub: Hub,
    token: Option<Token>,
    model: ModelName,
    version: VersionNumber,
    digest: Digest,
    weights: Repository,
    patience: Duration,
}

/// What was seen of a Space.
struct Seen {
    host: String,
    verdict: Verdict,
    report: Value,
}

fn usage(error: HubError) -> anyhow::Error {
    match error {
        HubError::Place(sentence) => UsageError(sentence).into(),
        error => error.into(),
    }
}

pub(super) fn execute(arguments: &Space, project: &Project, printer: &Printer) -> anyhow::Result<Exit> {
    let Some(config) = &project.config.deploy.space else {
        let sentence =
            "modelgate.yaml says nothing about a Space: add `deploy: {space: {repository: owner/name}}`";
        return Err(UsageError(sentence.to_owned()).into());
    };
    let name = |kind, id: &str| Repository::new(kind, id).map_err(usage);
    let production = name(Kind::Space, &config.repository)?;
    let default = format!("{}-staging", config.repository);
    let staging = name(Kind::Space, config.staging.as_ref().unwrap_or(&default))?;
    let weights = name(Kind::Model, config.model_repository.as_ref().unwrap_or(&config.repository))?;
    let of_config = config.model.as_ref().map(|name| name.parse::<ModelName>()).transpose()?;
    let model = super::model(arguments.model.as_ref().or(of_config.as_ref()), project)?;
    let registry = registry(project)?;
    let version = registry.resolve(&model, &arguments.version)?;
    let digest = admit(project, &registry, &model, version, arguments)?;
    let variable = &environment::variable;
    let endpoint = environment::variable("HF_ENDPOINT").unwrap_or_else(|| ENDPOINT.to_owned());
    let token = Token::find(arguments.token_file.as_deref(), variable).map_err(usage)?;
    let hub = if arguments.dry_run {
        Hub::dry(&endpoint).map_err(usage)?
    } else if token.is_some() {
        Hub::new(&endpoint, token.clone()).map_err(usage)?
    } else {
        let sentence = "there is no token of the Hub: put one that can write into HF_TOKEN, or name a file with --token-file";
        return Err(UsageError(sentence.to_owned()).into());
    };
    if !arguments.dry_run && hub.whoami()?.1 {
        let sentence = "the token of the Hub can only read: make one that can write at https://huggingface.co/settings/tokens";
        return Err(anyhow::anyhow!(sentence));
    }
    let seconds = duration_seconds(&config.timeout).map_err(UsageError)?;
    let patience = Duration::from_secs(seconds);
    let deployment =
        Deployment { project, config, printer, hub, token, model, version, digest, weights, patience };
    let (exit, revision, seen) = if arguments.rollback {
        deployment.go_back(&production)?
    } else {
        deployment.go(arguments, &registry, &staging, &production)?
    };
    if arguments.dry_run {
        for request in deployment.hub.kept() {
            printer.data(&format!("{} {}", request.method, request.url))?;
            if let Some(body) = &request.body {
                printer.data(body)?;
            }
        }
        return Ok(exit);
    }
    if exit == Exit::Passed {
        let target = if arguments.only.is_some() { &staging } else { &production };
        deployment.record(target, &revision, &arguments.reason)?;
    }
    if printer.is_json() {
        printer.json(&json!({
            "schema_version": 1, "model": deployment.model, "version": deployment.version, "digest": deployment.digest,
            "weights": deployment.weights.id(), "revision": revision, "spaces": seen,
        }))?;
    }
    Ok(exit)
}

/// Returns the package of a version that may be deployed: through the one door, signed where it has to be.
fn admit(
    project: &Project,
    registry: &Registry,
    model: &ModelName,
    version: VersionNumber,
    arguments: &Space,
) -> anyhow::Result<Digest> {
    let refuse = |sentence: String| Err(PipelineError::Policy(sentence).into());
    let state = registry.model(model)?;
    let Some(found) = state.versions.get(&version) else {
        return refuse(format!("{model} has no version {version}"));
    };
    if found.verdict != Verdict::Passed {
        return refuse(format!("the gate of {model} {version} says {}: it is not deployed", found.verdict));
    }
    if state.quarantined(&found.digest).is_some() {
        return refuse(format!("{model} {version} is quarantined: it is not deployed"));
    }
    match found.stage {
        Lifecycle::Production => {}
        Lifecycle::Approved if arguments.only.is_some() => {
            policy::check_promotion(project, registry, model, version, &(surroundings().now)())?;
        }
        stage => {
            let hint = match stage {
                Lifecycle::Approved => "promote it, or bring it to staging with `--only staging`",
                Lifecycle::Candidate | Lifecycle::Staging => "it must be approved and promoted first",
                _ => "only the version in production is",
            };
            return refuse(format!("{model} {version} is {stage} and not deployed: {hint}"));
        }
    }
    policy::check_signature(project, registry, model, version)?;
    Ok(found.digest)
}

type Done = (Exit, String, Vec<Value>);

impl Deployment<'_> {
    fn label(&self) -> String {
        format!("{} {}", self.model, self.version)
    }

    fn go(
        &self,
        arguments: &Space,
        registry: &Registry,
        staging: &Repository,
        production: &Repository,
    ) -> anyhow::Result<Done> {
        let mut package = registry.version_files(&self.model, self.version)?;
        let found = modelgate_model::from_files(package.clone())?.digest;
        if found != self.digest {
            anyhow::bail!(
                "the registry holds the package {found} for {}, which is {}",
                self.label(),
                self.digest
            );
        }
        if !arguments.include_reference_rows && package.remove(REFERENCE_ROWS).is_some() {
            self.printer
                .talk(&format!("{REFERENCE_ROWS} stays here; --include-reference-rows lets it leave"));
        }
        // Everything that could be wrong with what is sent is found before the first request.
        let files = self.files(&package, arguments)?;
        let secrets = self.secrets()?;
        let summary = format!("{} ({})", self.label(), self.digest.short());
        let revision =
            publish_weights(&self.hub, &self.weights, self.config.private, &package, &self.digest, &summary)
                .map_err(usage)?;
        if !self.hub.is_dry() {
            self.printer.talk(&format!("the weights are {} at {revision}", self.weights.id()));
        }
        let own = !self.config.upload.is_empty();
        let mut variables = pinned(&self.weights, &revision, &self.digest);
        variables.extend(self.config.variables.iter().map(|(name, value)| (name.clone(), value.clone())));
        let plan = Plan {
            sdk: if own { self.config.sdk.as_str() } else { "docker" },
            private: self.config.private,
            files,
            packages: (!own).then_some(self.digest),
            variables,
            secrets,
            summary,
        };
        let mut seen = Vec::new();
        for (space, last) in [(staging, arguments.only.is_some()), (production, true)] {
            let before = if self.hub.is_dry() || space == staging { Vec::new() } else { self.before(space)? };
            let looked = bring(&self.hub, space, &plan).map_err(usage).and_then(|()| self.look(space));
            if !looked.as_ref().is_ok_and(|look| look.verdict == Verdict::Passed) {
                if !before.is_empty() {
                    pin(&self.hub, space, &before)?;
                    self.printer.warning(&format!("{} is told to serve what it served before", space.id()));
                } else if space == staging && arguments.only.is_none() {
                    self.printer.warning(&format!("{} was not touched", production.id()));
                }
            }
            let look = looked?;
            let verdict = look.verdict;
            seen.push(
                json!({ "space": space.id(), "url": look.host, "verdict": verdict, "seen": look.report }),
            );
            if verdict != Verdict::Passed {
                return Ok((verdict.into(), revision, seen));
            }
            if last {
                break;
            }
        }
        Ok((Exit::Passed, revision, seen))
    }

    /// Serves a version again that was there before.
    fn go_back(&self, production: &Repository) -> anyhow::Result<Done> {
        let Some(revision) = find_weights(&self.hub, &self.weights, &self.digest)? else {
            let sentence = format!(
                "{} was never brought to {}: deploy it without --rollback",
                self.label(),
                self.weights.id()
            );
            return Err(UsageError(sentence).into());
        };
        pin(&self.hub, production, &pinned(&self.weights, &revision, &self.digest))?;
        let look = self.look(production)?;
        let verdict = look.verdict;
        let seen = vec![
            json!({ "space": production.id(), "url": look.host, "verdict": verdict, "seen": look.report }),
        ];
        Ok((verdict.into(), revision, seen))
    }

    fn before(&self, space: &Repository) -> anyhow::Result<Vec<(String, String)>> {
        match pinned_now(&self.hub, space) {
            Ok(before) => Ok(before),
            // It is made now.
            Err(error) if error.status() == Some(404) => Ok(Vec::new()),
            Err(error) => Err(error.into()),
        }
    }

    /// Returns the files of the Space: ours, or the application of the project.
    fn files(
        &self,
        package: &std::collections::BTreeMap<String, Vec<u8>>,
        arguments: &Space,
    ) -> anyhow::Result<Vec<NewFile>> {
        if self.config.upload.is_empty() {
            let title = self.config.title.clone().unwrap_or_else(|| self.project.config.project.clone());
            let keys = super::public_keys(self.project)?.into_iter().map(|(_, text)| text).collect();
            let serve = super::served(self.project, self.printer);
            let image =
                SpaceImage { title, model: self.model.clone(), weights: self.weights.id(), keys, serve };
            let folder = package_folder(&self.digest);
            let own = space_files(&image).into_iter().map(|(path, text)| NewFile::new(path, text));
            let package = package
                .iter()
                .map(|(name, bytes)| NewFile::new(format!("{folder}/{name}"), bytes.as_slice()));
            return Ok(own.chain(package).collect());
        }
        let held = Held { rows: self.rows()?, reference_rows: arguments.include_reference_rows };
        let mut files: Vec<NewFile> = Vec::new();
        for (from, to) in &self.config.upload {
            let (taken, back) =
                application(&self.project.root, from, to, &self.digest, &held).map_err(usage)?;
            for path in back {
                self.printer.talk(&format!("{path} stays here; --include-reference-rows lets it leave"));
            }
            files.extend(taken);
        }
        files.sort_by(|one, other| one.path.cmp(&other.path));
        if let Some(pair) = files.windows(2).find(|pair| pair[0].path == pair[1].path) {
            let sentence = format!("deploy.space.upload puts two files at `{}`", pair[0].path);
            return Err(UsageError(sentence).into());
        }
        Ok(files)
    }

    /// Returns the files with rows that pipelines read: name, size and SHA-256.
    fn rows(&self) -> anyhow::Result<Vec<(String, u64, String)>> {
        let mut rows = Vec::new();
        for pipeline in self.project.pipelines()? {
            // Data that is not here cannot be among what is uploaded from here.
            for file in source_files(&pipeline).unwrap_or_default() {
                let Some(path) = file.on_disk().filter(|path| path.is_file()) else { continue };
                let content = Content::file(path.to_owned())?;
                rows.push((file.name.clone(), content.size(), content.sha256()?));
            }
        }
        Ok(rows)
    }

    fn secrets(&self) -> anyhow::Result<Vec<(String, Token)>> {
        let one = |(name, from): (&String, &String)| {
            let value = environment::variable(from).ok_or_else(|| {
                UsageError(format!("{from} is not set: deploy.space.secrets takes `{name}` from it"))
            })?;
            Ok((name.clone(), Token::new(&value, from).map_err(usage)?))
        };
        self.config.secrets.iter().filter(|_| !self.hub.is_dry()).map(one).collect()
    }

    /// Waits until a Space serves the package, and looks at it from outside.
    fn look(&self, space: &Repository) -> anyhow::Result<Seen> {
        if self.hub.is_dry() {
            self.hub.runtime(space)?;
            return Ok(Seen { host: String::new(), verdict: Verdict::Passed, report: Value::Null });
        }
        let began = Instant::now();
        let mut pause = Duration::from_millis(200);
        let wrong = loop {
            let left = self.patience.saturating_sub(began.elapsed());
            let talk = |stage: &str| self.printer.talk(&format!("{}: {}", space.id(), stage.to_lowercase()));
            let host = self.hub.wait(space, left, &talk)?;
            let outcome = if self.config.upload.is_empty() { self.smoke(&host)? } else { self.well(&host) };
            let reason = match outcome {
                Ok(seen) => {
                    self.printer.talk(&format!("{} at {host}: {}", space.id(), seen.verdict));
                    return Ok(seen);
                }
                Err(reason) => reason,
            };
            // What answers may still be the container before this one.
            if began.elapsed() + pause > self.patience {
                break format!("{host}: {reason}");
            }
            std::thread::sleep(pause);
            pause = (pause * 2).min(Duration::from_secs(5));
        };
        self.printer.warning(&format!("{} does not show what it must: {wrong}", space.id()));
        Ok(Seen { host: wrong.clone(), verdict: Verdict::Failed, report: json!({ "reason": wrong }) })
    }

    /// Asks for predictions and judges what was seen; an error is a reason to look again.
    fn smoke(&self, host: &str) -> anyhow::Result<Result<Seen, String>> {
        let bearer = self.token.as_ref().filter(|_| self.config.private && self.is_the_hubs(host));
        let options = smoke::Options {
            url: host.to_owned(),
            model: Some(self.model.to_string()),
            rows: None,
            requests: 50,
            timeout: Duration::from_secs(10),
            api_key: environment::variable("MODELGATE_API_KEY").map(Secret::new),
            bearer: bearer.map(|token| Secret::new(token.expose().to_owned())),
        };
        let report = match smoke::smoke(&options) {
            Ok(report) => report,
            Err(error) => return Ok(Err(error.to_string())),
        };
        if let Some(reason) = report.unanswered() {
            return Ok(Err(reason));
        }
        if report.digest != self.digest.to_string() {
            return Ok(Err(format!("it serves {}, not {}", report.digest, self.digest)));
        }
        let verdict = judge(&report, &self.config.rules)?;
        if !report.verified {
            return Ok(Err("it says that no verdict is bound to its package".to_owned()));
        }
        for rule in verdict.rules.iter().filter(|_| verdict.verdict != Verdict::Passed) {
            self.printer.talk(&format!("  {} {}", rule.outcome, rule.sentence));
        }
        let seen = Seen {
            host: host.to_owned(),
            verdict: verdict.verdict,
            report: json!({ "report": report, "verdict": verdict }),
        };
        Ok(Ok(seen))
    }

    /// Asks an application of one's own whether it is well.
    fn well(&self, host: &str) -> Result<Seen, String> {
        let bearer = self.token.as_ref().filter(|_| self.config.private && self.is_the_hubs(host));
        let bearer = bearer.map(|token| Secret::new(token.expose().to_owned()));
        let status = smoke::status(&format!("{host}{}", self.config.health), bearer.as_ref())?;
        if status != 200 {
            return Err(format!("{} answers {status}", self.config.health));
        }
        let report = json!({ "path": self.config.health, "status": status });
        Ok(Seen { host: host.to_owned(), verdict: Verdict::Passed, report })
    }

    /// Returns whether a token may be sent to an address: a Space's own, or one of this machine beside a Hub on it.
    fn is_the_hubs(&self, host: &str) -> bool {
        let name =
            host.strip_prefix("https://").and_then(|rest| rest.split(['/', ':']).next()).unwrap_or_default();
        let local = "http://127.0.0.1:";
        name.ends_with(".hf.space") || host.starts_with(local) && self.hub.endpoint().starts_with(local)
    }

    fn record(&self, space: &Repository, revision: &str, reason: &str) -> anyhow::Result<()> {
        let of_weights = || format!("{} at {revision}", self.weights.id());
        let reason = if reason.trim().is_empty() { of_weights() } else { reason.to_owned() };
        let (version, target) = (self.version.to_string(), format!("space/{}", space.id()));
        super::record::record(self.project, &self.model, &version, &target, &reason)
            .with_context(|| format!("{} is deployed, and the ledger could not be told", self.label()))?;
        self.printer.talk(&format!("{} serves {}", space.id(), self.label()));
        Ok(())
    }
}
