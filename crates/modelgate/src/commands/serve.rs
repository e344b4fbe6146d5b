//! `modelgate serve`: the prediction service; and `serve smoke`, a look at one from outside.

mod callers;
mod kept;
mod logging;
mod place;
mod server;
mod telemetry;

use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use anyhow::Context;
use modelgate_config::env::{MODELGATE_REGISTRY_URI, MODELGATE_SERVE};
use modelgate_config::variables::REFUSED;
use modelgate_config::{ServeConfig, ServeRequire, Unusual, smoke_rule};
use modelgate_core::Verdict;
use modelgate_core::rule::{GateRule, Subset};
use modelgate_core::verdict::GateVerdict;
use modelgate_model::onnxruntime;
use modelgate_model::signing::PublicKey;
use modelgate_pipeline::{Figures, PipelineError, Project, gate_check, signature};
use modelgate_serve::settings::{Leniency, Limits, LogTarget, PredictionLog, Require, Settings, Tls};
use modelgate_serve::{Ended, ServeError, smoke};
use modelgate_store::atomic;
use serde_json::json;

use self::kept::Kept;
use crate::arguments::serve::{ModelSource, Serve, ServeCommand, Service, Smoke};
use crate::environment;
use crate::exit::{Exit, UsageError};
use crate::printer::Printer;

pub(crate) fn execute(arguments: &Serve, folder: &Path, printer: &Printer) -> anyhow::Result<Exit> {
    match &arguments.command {
        Some(ServeCommand::Smoke(smoke)) => look(smoke, folder, printer),
        None => serve(&arguments.service, folder, printer),
    }
}

fn serve(arguments: &Service, folder: &Path, printer: &Printer) -> anyhow::Result<Exit> {
    refuse_unknown_variables()?;
    let of_file = crate::dotenv::of_service().map_err(UsageError)?;
    // A package can be served without a project around it, as in a container.
    let project = match super::find_project(folder) {
        // Without a project its policies are the defaults; with one that cannot be read they are not known.
        Err(error) if !matches!(error, PipelineError::NoProject(_)) => return Err(error.into()),
        found => found,
    };
    let local = match (arguments.source, &arguments.package) {
        (Some(ModelSource::Local), None) => {
            let sentence = "MODEL_SOURCE is `local`: name the package folder with --package or MODEL_PATH";
            return Err(UsageError(sentence.to_owned()).into());
        }
        (Some(ModelSource::Registry | ModelSource::Mlflow), _) => None,
        (_, package) => package.clone(),
    };
    // Said before anything is served, whether or not a model will need it.
    let _ = onnxruntime::find().map_err(|error| UsageError(error.to_string()))?;
    let none = ServeConfig::default();
    let config = match (&project, &local) {
        (Ok(project), _) => &project.config.serve,
        (Err(_), Some(_)) => &none,
        (Err(_), None) if arguments.source == Some(ModelSource::Mlflow) => &none,
        // A registry that the environment names needs no project either.
        (Err(_), None) if environment::variable(MODELGATE_REGISTRY_URI).is_some() => &none,
        (Err(_), None) => {
            return Err(project.err().map_or_else(|| anyhow::anyhow!("no project"), Into::into));
        }
    };
    let told = told()?;
    let config = told.as_ref().unwrap_or(config);
    let public_keys = public_keys(arguments, project.as_ref().ok(), folder)?;
    let given = arguments.cache.as_ref().map(|path| folder.join(path));
    let kept = Kept::of(given, project.as_ref().ok(), &environment::variable);
    let source = place::source(arguments, local.as_deref(), project.as_ref().ok(), folder, &kept)?;
    let (cache, nothing_kept) = match kept.packages(source.kind()) {
        Ok(cache) => (cache, None),
        Err(sentence) => (None, Some(sentence)),
    };
    let settings = Settings { public_keys, cache, ..settings(arguments, config, folder, printer)? };
    let talk = settings.talk;
    let say = |sentence: &str| match talk.line(sentence) {
        Some(line) if talk.json => printer.talk(line.trim_end()),
        Some(_) => printer.talk(sentence),
        None => {}
    };
    of_file.iter().chain(&nothing_kept).for_each(|sentence| say(sentence));
    let result = modelgate_serve::serve(settings, source, |started| {
        let scheme = if started.tls { "https" } else { "http" };
        say(&format!("listening on {scheme}://{} · a form for people at /, paths at /docs", started.address));
    });
    match result {
        Ok(Ended::Drained) => Ok(Exit::Passed),
        Ok(Ended::Interrupted) => Ok(Exit::Interrupted),
        Ok(Ended::Terminated) => Ok(Exit::Error),
        Err(ServeError::Setting(sentence)) => Err(UsageError(sentence).into()),
        Err(error) => Err(error.into()),
    }
}

/// Returns the keys that must have signed what is served: those that are given, else the project's where it asks for a
/// signature. A package without a project around it, as in a container, is held to what is given.
fn public_keys(
    arguments: &Service,
    project: Option<&Project>,
    folder: &Path,
) -> anyhow::Result<Vec<PublicKey>> {
    if arguments.public_keys.is_empty() {
        return match project.filter(|project| project.config.signing.require_signature) {
            Some(project) => Ok(signature::trusted_keys(project)?.into_iter().map(|(_, key)| key).collect()),
            None => Ok(Vec::new()),
        };
    }
    let read = |path| signature::public_key(&folder.join(path));
    let keys: Result<_, _> = arguments.public_keys.iter().map(read).collect();
    keys.map_err(|error| UsageError(format!("--public-key (MODELGATE_PUBLIC_KEYS): {error}")).into())
}

/// Returns the settings that the variable holds, as in a container: they take the place of the project's.
fn told() -> anyhow::Result<Option<ServeConfig>> {
    let Some(text) = environment::variable(MODELGATE_SERVE) else { return Ok(None) };
    let read = ServeConfig::from_carried(&text);
    read.map(Some).map_err(|reason| {
        UsageError(format!("{MODELGATE_SERVE}: expected what `serve:` says, as JSON: {reason}")).into()
    })
}

/// Variables of other services that mean something here and are not honoured: better no service than another one.
fn refuse_unknown_variables() -> anyhow::Result<()> {
    for (name, instead) in REFUSED {
        if environment::variable(name).is_some() {
            return Err(
                UsageError(format!("the environment variable {name} is not honoured: {instead}")).into()
            );
        }
    }
    Ok(())
}

fn settings(
    arguments: &Service,
    config: &ServeConfig,
    folder: &Path,
    printer: &Printer,
) -> anyhow::Result<Settings> {
    if !(0.0..=1.0).contains(&arguments.log_sample) {
        return Err(UsageError("--log-sample: expected a share from 0 to 1".to_owned()).into());
    }
    let seconds = Duration::from_secs;
    // How often and how long the source is tried: a flag, our variable, or the one that MLflow's own clients heed.
    let mlflow = arguments.source == Some(ModelSource::Mlflow);
    let tries = |given: Option<u32>, name: &str, range: std::ops::RangeInclusive<u32>, default: u32| match (
        given,
        environment::variable(name).filter(|_| mlflow),
    ) {
        (Some(given), _) => Ok(given),
        (None, None) => Ok(default),
        (None, Some(text)) => {
            let number: Option<u32> = text.trim().parse().ok();
            number.filter(|number| range.contains(number)).ok_or_else(|| {
                let (low, high) = range.into_inner();
                UsageError(format!("{name}: expected a whole number from {low} to {high}"))
            })
        }
    };
    let target = match &arguments.log {
        None => LogTarget::Off,
        Some(text) => logging::target(text, arguments, folder)?,
    };
    let startup_timeout = match (arguments.startup_timeout, config.startup_timeout_seconds) {
        (Some(given), _) => given,
        (None, None) => 60,
        (None, Some(configured)) if (1..=3600).contains(&configured) => configured,
        (None, Some(_)) => {
            let sentence = "serve.startup_timeout_seconds: expected a whole number from 1 to 3600";
            return Err(UsageError(sentence.to_owned()).into());
        }
    };
    let tls = match (&arguments.tls_certificate, &arguments.tls_key) {
        (Some(certificate), Some(key)) => {
            Some(Tls { certificate: folder.join(certificate), key: folder.join(key) })
        }
        _ => None,
    };
    let (admin_header, correlation_header) = callers::headers(&environment::variable)?;
    let admin_token = callers::secret("ADMIN_API_TOKEN")?;
    let api_keys = callers::api_keys(environment::variable("MODELGATE_API_KEYS").as_deref())?;
    callers::told_apart(admin_token.as_ref(), &api_keys)?;
    Ok(Settings {
        address: SocketAddr::new(arguments.host, arguments.port),
        require: match config.require {
            ServeRequire::Verdict => Require::Verdict,
            ServeRequire::Digest => Require::Digest,
        },
        leniency: Leniency {
            reject_out_of_range: config.out_of_range == Some(Unusual::Reject),
            reject_out_of_contract: config.out_of_contract != Some(Unusual::Flag),
            reject_unknown_category: config.unknown_category != Some(Unusual::Flag),
            ..Leniency::default()
        },
        feature_dimension: arguments.feature_dimension.map(|dimension| dimension as usize),
        // A version that is named stays, and may be quarantined all the same.
        refresh: seconds(arguments.refresh),
        startup_timeout: seconds(startup_timeout),
        require_model: arguments.require_model || config.require_production_model,
        breaker_threshold: tries(
            arguments.breaker_threshold,
            "MLFLOW_CIRCUIT_BREAKER_THRESHOLD",
            1..=100,
            5,
        )?,
        breaker_timeout: seconds(
            tries(arguments.breaker_timeout, "MLFLOW_CIRCUIT_BREAKER_TIMEOUT", 1..=3600, 60)?.into(),
        ),
        retry_attempts: tries(arguments.retry_attempts, "MLFLOW_RETRY_MAX_ATTEMPTS", 1..=20, 3)?,
        retry_factor: tries(arguments.retry_factor, "MLFLOW_RETRY_BACKOFF_FACTOR", 1..=10, 2)?.into(),
        admin_token,
        admin_header,
        api_keys,
        correlation_header,
        key_header: config.rollout.key_header.clone(),
        cors_origins: callers::origins(&arguments.cors_origins)?,
        trusted_proxies: arguments.trusted_proxies.clone(),
        limits: Limits {
            body_bytes: arguments.max_body as usize,
            batch_rows: arguments.max_batch as usize,
            concurrency: arguments.max_concurrency as usize,
            connections: arguments.max_connections as usize,
            rate_per_second: arguments.rate_limit,
            header_timeout: seconds(arguments.header_timeout),
            idle_timeout: seconds(arguments.idle_timeout),
            read_timeout: seconds(arguments.read_timeout),
            write_timeout: seconds(arguments.write_timeout),
            drain_delay: seconds(arguments.drain_delay),
            drain_timeout: seconds(arguments.drain_timeout),
        },
        log: PredictionLog { target, sample: arguments.log_sample, redact: config.redact.clone() },
        talk: telemetry::talk(printer.is_quiet())?,
        traces: telemetry::traces(&environment::names("OTEL_"), &environment::variable)?,
        tls,
        threads: arguments.threads.map(|threads| threads as usize),
        ..Settings::default()
    })
}

fn rules(texts: &[String]) -> anyhow::Result<Vec<GateRule>> {
    let one = |text: &String| smoke_rule(text).map_err(|message| UsageError(format!("--rule: {message}")));
    Ok(texts.iter().map(one).collect::<Result<Vec<_>, _>>()?)
}

/// Judges what was seen by `texts`, or by the rules that hold without any. Where nothing was predicted no rule helps.
pub(crate) fn judge(report: &smoke::Report, texts: &[String]) -> anyhow::Result<GateVerdict> {
    let given = if texts.is_empty() {
        let mut texts =
            ["error_rate <= 0.01", "refused_rate <= 0.01", "p95_ms <= 500"].map(str::to_owned).to_vec();
        // What the gate measured was held to the limits of the gate; another one here would take their place.
        if report.accuracy_measured {
            texts.push("accuracy >= 0.7".to_owned());
        }
        rules(&texts)?
    } else {
        rules(texts)?
    };
    let verdict = gate_check(&Figures::of(report.figures.clone()), &given, Subset::Window);
    Ok(match report.unanswered() {
        Some(sentence) => GateVerdict { verdict: Verdict::Failed, sentence, ..verdict },
        None => verdict,
    })
}

fn look(arguments: &Smoke, folder: &Path, printer: &Printer) -> anyhow::Result<Exit> {
    let options = smoke::Options {
        url: arguments.url.clone(),
        model: arguments.model.clone(),
        rows: arguments.rows.as_ref().map(|path| folder.join(path)),
        requests: arguments.requests.map(|requests| requests as usize),
        timeout: Duration::from_secs(arguments.timeout),
        api_key: callers::secret("MODELGATE_API_KEY")?,
        bearer: None,
    };
    // Before anything is waited for: what is no address never answers.
    if !smoke::is_address(&options.url) {
        let sentence = "smoke: expected the address of a service, such as http://127.0.0.1:8080";
        return Err(UsageError(sentence.to_owned()).into());
    }
    if arguments.ready {
        smoke::ready(&options)?;
        return Ok(Exit::Passed);
    }
    // Before the service is asked: a rule that is none is found at once.
    rules(&arguments.rules)?;
    let report = smoke::smoke(&options)?;
    let verdict = judge(&report, &arguments.rules)?;
    if let (Some(Some(None)), Some(why)) =
        (options.rows.as_ref().map(|_| report.figures.get("accuracy").copied()), &report.accuracy_from)
    {
        printer.warning(&format!("accuracy is {why}"));
    }
    if let (Some(left_out), Some(path)) = (report.rows_left_out, &arguments.rows) {
        printer.warning(&format!(
            "`{}` has more rows than are sent: the last {left_out} were left out, and no figure is of them",
            path.display()
        ));
    }
    let whole = json!({ "report": report, "verdict": verdict });
    if let Some(path) = &arguments.output {
        atomic::write(&folder.join(path), serde_json::to_string_pretty(&whole)?.as_bytes())
            .context("the report cannot be written")?;
    }
    if printer.is_json() {
        printer.json(&whole)?;
    } else {
        let mark = if report.verified { "verified" } else { "NOT verified" };
        printer.data(&format!("{} {} ({mark}) {}", report.model, report.version, report.digest))?;
        for (name, value) in &report.figures {
            let value = value.map_or_else(|| "-".to_owned(), |value| format!("{value:.4}"));
            let from = report.accuracy_from.as_deref().filter(|_| name == "accuracy");
            let from = from.map_or_else(String::new, |from| format!("  ({from})"));
            printer.data(&format!("  {name:<14}{value}{from}"))?;
        }
        for rule in &verdict.rules {
            printer.data(&format!("  {:<13} {}", rule.outcome, rule.sentence))?;
        }
        // Where nothing was answered, the verdict says it.
        if let Some(first) = report.first_refusal.as_ref().filter(|_| report.answered > 0) {
            printer.data(&format!("  not answered: {first}"))?;
        }
        printer.data(&format!("{}: {}", verdict.verdict, verdict.sentence))?;
    }
    Ok(verdict.verdict.into())
}
