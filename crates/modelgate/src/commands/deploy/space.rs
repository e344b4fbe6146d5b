//! `modelgate deploy space`: the version in production, to a Space. Staging is built and looked at first; what does not show
//! what it must never reaches the Space that people use.

mod look;
mod meanwhile;
mod stop;

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::Context as _;
use modelgate_config::{SpaceConfig, duration_seconds};
use modelgate_core::lifecycle::Stage as Lifecycle;
use modelgate_core::{Digest, ModelName, Verdict, VersionNumber};
use modelgate_deploy::containers::{SpaceImage, space_files};
use modelgate_deploy::hub::{Content, ENDPOINT, Hub, HubError, Kind, NewFile, Repository, Token};
use modelgate_deploy::space::{
    Held, Plan, REFERENCE_ROWS, application, bring, find_same_weights, find_weights, package_folder, pin,
    pinned, publish_weights,
};
use modelgate_pipeline::{PipelineError, Project, policy, registry, source_files};
use modelgate_registry::Registry;
use serde_json::{Value, json};

use crate::arguments::deploy::Space;
use crate::environment::{self, surroundings};
use crate::exit::{Exit, UsageError};
use crate::printer::Printer;

/// What is deployed, and where.
struct Deployment<'a> {
    project: &'a Project,
    config: &'a SpaceConfig,
    printer: &'a Printer,
    hub: &'a Hub,
    token: Option<&'a Token>,
    model: ModelName,
    version: VersionNumber,
    digest: Digest,
    weights: Repository,
    patience: Duration,
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
    let model = super::model_of_space(config, project)?;
    if let Some(named) = &arguments.model {
        super::check_model_of_space(config, project, named)?;
    }
    if arguments.stop {
        return stop::execute(arguments, &production, printer);
    }
    let registry = registry(project)?;
    let version = registry.resolve(&model, &arguments.version)?;
    let digest = admit(project, &registry, &model, version, arguments)?;
    let (hub, token) = hub(arguments)?;
    let seconds = duration_seconds(&config.timeout).map_err(UsageError)?;
    let patience = Duration::from_secs(seconds);
    let (hub, token) = (&hub, token.as_ref());
    let deployment =
        Deployment { project, config, printer, hub, token, model, version, digest, weights, patience };
    let (exit, revision, seen) = if arguments.rollback {
        deployment.go_back(arguments, &registry, &production)?
    } else {
        deployment.go(arguments, &registry, &staging, &production)?
    };
    if arguments.dry_run {
        show(hub, printer)?;
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

/// Returns the Hub as the command line and the environment say it, and the token that it is asked with.
fn hub(arguments: &Space) -> anyhow::Result<(Hub, Option<Token>)> {
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
    Ok((hub, token))
}

/// Prints what a dry run would have sent.
fn show(hub: &Hub, printer: &Printer) -> anyhow::Result<()> {
    for request in hub.kept() {
        printer.data(&format!("{} {}", request.method, request.url))?;
        if let Some(body) = &request.body {
            printer.data(body)?;
        }
    }
    Ok(())
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

    /// Returns the same of another version.
    fn of(&self, version: VersionNumber, digest: Digest) -> Self {
        Self { model: self.model.clone(), version, digest, weights: self.weights.clone(), ..*self }
    }

    fn go(
        &self,
        arguments: &Space,
        registry: &Registry,
        staging: &Repository,
        production: &Repository,
    ) -> anyhow::Result<Done> {
        // Whose Space it is is asked before anything is sent there.
        let spaces = [Some(staging), arguments.only.is_none().then_some(production)];
        spaces.into_iter().flatten().try_for_each(|space| self.check_whose(space))?;
        let mut package = self.package(registry)?;
        if !arguments.include_reference_rows && package.remove(REFERENCE_ROWS).is_some() {
            self.printer
                .talk(&format!("{REFERENCE_ROWS} stays here; --include-reference-rows lets it leave"));
        }
        // Everything that could be wrong with what is sent is found before the first request.
        let files = self.files(&package, arguments)?;
        let secrets = self.secrets()?;
        let summary = format!("{} ({})", self.label(), self.digest.short());
        let revision =
            publish_weights(self.hub, &self.weights, self.config.private, &package, &self.digest, &summary)
                .map_err(usage)?;
        if !self.hub.is_dry() {
            self.printer.talk(&format!("the weights are {} at {revision}", self.weights.id()));
        }
        let own = self.is_own();
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
            let is_production = space == production;
            // Staging took minutes: what others decided meanwhile holds.
            if is_production && let Some(reason) = self.refused_meanwhile(arguments)? {
                self.printer.warning(&format!("{reason}; {} was not touched", production.id()));
                return Ok((Exit::Blocked, revision, seen));
            }
            let before = if self.hub.is_dry() || !is_production { Vec::new() } else { self.before(space)? };
            let looked = bring(self.hub, space, &plan).map_err(usage).and_then(|()| self.look(space));
            if !looked.as_ref().is_ok_and(|look| look.verdict == Verdict::Passed) {
                if is_production {
                    self.set_back(space, &before);
                } else if arguments.only.is_none() {
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
            if is_production && self.was_left(arguments, space, &before)? {
                return Ok((Exit::Blocked, revision, seen));
            }
            if last {
                break;
            }
        }
        Ok((Exit::Passed, revision, seen))
    }

    /// Returns the files of the version, which are those of its package.
    fn package(&self, registry: &Registry) -> anyhow::Result<BTreeMap<String, Vec<u8>>> {
        let package = registry.version_files(&self.model, self.version)?;
        let found = modelgate_model::from_files(package.clone())?.digest;
        if found != self.digest {
            anyhow::bail!(
                "the registry holds the package {found} for {}, which is {}",
                self.label(),
                self.digest
            );
        }
        Ok(package)
    }

    /// Serves a version again that was there before.
    fn go_back(
        &self,
        arguments: &Space,
        registry: &Registry,
        production: &Repository,
    ) -> anyhow::Result<Done> {
        self.check_whose(production)?;
        let Some(first) = find_weights(self.hub, &self.weights, &self.digest)? else {
            let sentence = format!(
                "{} was never brought to {}: deploy it without --rollback",
                self.label(),
                self.weights.id()
            );
            return Err(UsageError(sentence).into());
        };
        let revision = if self.hub.is_dry() { first } else { self.as_registered(registry)? };
        pin(self.hub, production, &pinned(&self.weights, &revision, &self.digest))?;
        if self.is_own() {
            self.printer.warning(&format!(
                "the files that were uploaded to {} stay as they are: {}",
                production.id(),
                self.brings_files(&self.label())
            ));
        }
        let look = self.look(production)?;
        let mut exit = Exit::from(look.verdict);
        let seen = vec![
            json!({ "space": production.id(), "url": look.host, "verdict": look.verdict, "seen": look.report }),
        ];
        if exit == Exit::Passed && self.was_left(arguments, production, &[])? {
            exit = Exit::Blocked;
        }
        Ok((exit, revision, seen))
    }

    /// Returns a revision with the package as the registry has it now: a signature that came later, or of another key, is sent
    /// first, since the Space believes no older one.
    fn as_registered(&self, registry: &Registry) -> anyhow::Result<String> {
        let mut package = self.package(registry)?;
        let there = |package: &BTreeMap<String, Vec<u8>>| {
            find_same_weights(self.hub, &self.weights, &self.digest, package)
        };
        if let Some(revision) = there(&package)? {
            return Ok(revision);
        }
        if package.remove(REFERENCE_ROWS).is_some()
            && let Some(revision) = there(&package)?
        {
            return Ok(revision);
        }
        self.printer.talk(&format!(
            "the signature or the reports of {} are others than those in {}: they are sent there",
            self.label(),
            self.weights.id()
        ));
        let summary = format!("{} ({})", self.label(), self.digest.short());
        publish_weights(self.hub, &self.weights, self.config.private, &package, &self.digest, &summary)
            .map_err(usage)
    }

    /// Whether the Space holds an application of the project's own.
    fn is_own(&self) -> bool {
        !self.config.upload.is_empty()
    }

    /// Says how an application that reads its model from its files gets those of a version.
    fn brings_files(&self, version: &str) -> String {
        format!(
            "an application that reads its model from there gets {version} by `modelgate model pull {0}` and `modelgate \
             deploy space {0}`",
            self.model
        )
    }

    /// Returns the files of the Space: ours, or the application of the project.
    fn files(&self, package: &BTreeMap<String, Vec<u8>>, arguments: &Space) -> anyhow::Result<Vec<NewFile>> {
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
