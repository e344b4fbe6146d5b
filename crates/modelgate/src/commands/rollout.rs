//! `modelgate rollout`: the controller of a canary. The ledger says what is to be; the service is told, and every
//! command first brings the two together again where another was interrupted.

mod abort;
mod moves;
mod rehearse;
mod settle;
mod status;
mod watch;

use modelgate_core::ModelName;
use modelgate_core::rollout::Rollout as Standing;
use modelgate_pipeline::{PipelineError, Project, Surroundings, registry};
use modelgate_registry::Registry;
use modelgate_serve::rollout::{Client, ClientError, Order, Standing as ServiceStanding};
use modelgate_serve::settings::Secret;
use modelgate_store::StoreError;

use crate::arguments::rollout::{Rollout, Target};
use crate::environment::{self, surroundings};
use crate::exit::{Exit, UsageError};
use crate::printer::Printer;

/// What a command needs.
struct Controller<'a> {
    project: &'a Project,
    printer: &'a Printer,
    around: Surroundings<'a>,
    client: Client,
    model: ModelName,
}

pub(crate) fn execute(rollout: &Rollout, project: &Project, printer: &Printer) -> anyhow::Result<Exit> {
    let target = match rollout {
        Rollout::Start(start) => &start.target,
        Rollout::Status(target) => target,
        Rollout::Step(one) | Rollout::Pause(one) | Rollout::Promote(one) | Rollout::Abort(one) => &one.target,
        Rollout::Watch(watch) => &watch.target,
    };
    let model = model(target, project, !matches!(rollout, Rollout::Start(_)))?;
    let controller =
        Controller { project, printer, around: surroundings(), client: client(target, project)?, model };
    if let Some(rehearsed) = controller.rehearsed(rollout) {
        return rehearsed;
    }
    match rollout {
        Rollout::Start(start) => controller.start(start),
        Rollout::Status(_) => controller.status(),
        Rollout::Step(one) => controller.step(&one.reason),
        Rollout::Pause(one) => controller.pause(&one.reason),
        Rollout::Promote(one) => controller.promote(&one.reason),
        Rollout::Abort(one) => controller.abort(&one.reason),
        Rollout::Watch(watch) => controller.watch(watch),
    }
}

/// Returns the model that is meant: the one that is named, the only one, or, where something is to be done with a rollout, the
/// only one of which one is under way.
fn model(target: &Target, project: &Project, under_way: bool) -> anyhow::Result<ModelName> {
    if let Some(model) = &target.model {
        return Ok(model.clone());
    }
    let mut models: Vec<ModelName> =
        project.pipelines()?.into_iter().map(|pipeline| pipeline.model).collect();
    models.sort();
    models.dedup();
    if under_way
        && models.len() > 1
        && let Ok(registry) = registry(project)
    {
        let is_under_way =
            |name: &&ModelName| registry.model(name).is_ok_and(|state| state.active_rollout().is_some());
        if let [one] = models.iter().filter(is_under_way).collect::<Vec<_>>()[..] {
            return Ok(one.clone());
        }
    }
    match <[ModelName; 1]>::try_from(models) {
        Ok([only]) => Ok(only),
        Err(models) => {
            let names: Vec<&str> = models.iter().map(ModelName::as_str).collect();
            Err(UsageError(format!("which model: {}?", names.join(", "))).into())
        }
    }
}

fn client(target: &Target, project: &Project) -> anyhow::Result<Client> {
    let serve = &project.config.serve;
    let beside = serve.reload_url.as_deref().and_then(|url| url.strip_suffix("/admin/reload"));
    let url = target.url.as_deref().or(serve.rollout.url.as_deref()).or(beside).ok_or_else(|| {
        UsageError("where is the service: `serve.rollout.url` in modelgate.yaml, or --url".to_owned())
    })?;
    if !(url.starts_with("http://") || url.starts_with("https://")) {
        return Err(UsageError(
            "--url: expected the address of a service, such as http://127.0.0.1:8080".to_owned(),
        )
        .into());
    }
    let token = environment::variable("ADMIN_API_TOKEN").ok_or_else(|| {
        UsageError(
            "the environment variable ADMIN_API_TOKEN is not set: the service takes no orders without it"
                .to_owned(),
        )
    })?;
    Ok(Client::new(url, Secret::new(token.trim().to_owned())))
}

/// Returns the ledger's number of its last event.
fn sequence(registry: &Registry) -> u64 {
    registry.position().head.map_or(0, |head| head.seq)
}

/// Returns what the service is told of a rollout.
fn order(rollout: &Standing, sequence: u64, start: bool) -> Order {
    Order {
        version: rollout.canary.to_string(),
        digest: rollout.canary_digest,
        weight: rollout.split().canary(),
        shadow: rollout.mirrored(),
        sequence,
        start,
        supersedes: None,
    }
}

/// Returns whether another command works on the project meanwhile, so that nothing could be written.
fn is_locked(error: &anyhow::Error) -> bool {
    let locked = |error: &StoreError| matches!(error, StoreError::Locked { .. });
    error.chain().any(|cause| match cause.downcast_ref::<PipelineError>() {
        Some(PipelineError::Store(error)) => locked(error),
        _ => cause.downcast_ref::<StoreError>().is_some_and(locked),
    })
}

impl Controller<'_> {
    fn now(&self) -> String {
        (self.around.now)()
    }

    /// Gives an order. Where the service refuses it as older than one that it took, and the ledger has no such event, then
    /// the ledger was restored from an older copy: the order takes the place of what was taken.
    fn tell(&self, registry: &mut Registry, order: &Order) -> Result<ServiceStanding, ClientError> {
        let model = self.model.as_str();
        let refused = self.client.order(model, order);
        if !matches!(&refused, Err(ClientError::Refused { status: 409, .. })) {
            return refused;
        }
        let taken = self.client.standing(model)?.sequence;
        if registry.refresh().is_err() || taken <= sequence(registry) {
            return refused;
        }
        self.printer.warning(&format!(
            "the service took an order by event {taken} of the ledger, which ends at {}: it was restored from an older copy, \
             and the service goes by what it says now",
            sequence(registry)
        ));
        self.client.order(model, &Order { supersedes: Some(taken), ..order.clone() })
    }

    /// Returns the rollout that is under way.
    fn active(&self, registry: &Registry) -> anyhow::Result<Standing> {
        let state = registry.model(&self.model)?;
        state.active_rollout().cloned().ok_or_else(|| {
            let last = state.rollout.as_ref().map_or_else(String::new, |last| {
                format!("; the last one: {} since {}", last.sentence(), last.time)
            });
            anyhow::anyhow!("no rollout of {} is under way{last}", self.model)
        })
    }
}
