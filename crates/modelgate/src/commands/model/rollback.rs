//! `modelgate model rollback`.

use std::io::{BufRead, Write};

use modelgate_core::verdict::figure;
use modelgate_core::{ModelName, VersionNumber};
use modelgate_pipeline::notify::Notice;
use modelgate_pipeline::rollback::{self, RollbackRequest, Target};
use modelgate_pipeline::{Project, lock, production_version, registry};
use modelgate_registry::Registry;
use modelgate_store::ProjectLock;
use serde_json::json;

use crate::arguments::model::Rollback;
use crate::commands::notify;
use crate::environment::surroundings;
use crate::exit::{Exit, UsageError};
use crate::printer::Printer;

/// How many versions are shown to choose from.
const SHOWN: usize = 10;

pub(crate) fn execute(arguments: &Rollback, project: &Project, printer: &Printer) -> anyhow::Result<Exit> {
    let around = surroundings();
    let model = &arguments.model;
    if arguments.dry_run {
        let registry = registry(project)?;
        if arguments.to_version.is_some() || arguments.from.is_some() {
            rehearse(project, &registry, arguments, printer)?;
        }
        return show(&registry, arguments, printer);
    }
    let asks = printer.has_terminal() && !arguments.yes;
    if !asks && !arguments.yes {
        let message =
            "without a terminal a rollback needs `--yes --reason …`; `--dry-run` shows the versions";
        return Err(UsageError(message.to_owned()).into());
    }
    // Before the lock, which is taken when a slow person's answer is there: what is seen now is what is decided on.
    let mut registry = registry(project)?;
    let seen = seen(&registry, arguments)?;
    // Who names neither version may be trying once more what took place.
    if arguments.from.is_none() && arguments.to_version.is_none() && !arguments.undo {
        rollback::check_followed(project, &registry, model)?;
    }
    let (to, reason) = if asks && !arguments.undo {
        let Some(answer) = ask(&registry, arguments, printer)? else {
            printer.talk("nothing was changed");
            return Ok(Exit::Passed);
        };
        (Some(answer.0), answer.1)
    } else {
        (None, arguments.reason.clone().unwrap_or_default())
    };
    super::needs_reason(&reason, "why is production rolled back?")?;
    let lock = lock(project, "modelgate model rollback", &around)?;
    registry.refresh()?;
    if arguments.undo {
        let version = rollback::undo(project, &mut registry, model, &reason, &around)?;
        if printer.is_json() {
            printer.json(&json!({ "schema_version": 1, "model": model, "undone": version }))?;
        }
        printer.talk(&format!("{model}: the rollback to {version} is undone"));
        return Ok(Exit::Passed);
    }
    let to = if arguments.or_none {
        let way = rollback::way_out(project, &registry, model, arguments.skip_verification)?;
        for (version, why) in &way.passed_over {
            printer.warning(&format!("{version} cannot take over: {why}"));
        }
        match (way.to, registry.model(model)?.production()) {
            (None, Some(from)) => {
                rollback::check_from(model, seen, Some(from))?;
                return take_out(project, &mut registry, lock, (model, from), &reason, printer);
            }
            (to, _) => to,
        }
    } else {
        to
    };
    // Somebody else may have gone back meanwhile: that is told before what could be gone back to now.
    rollback::check_from(model, seen, registry.model(model)?.production())?;
    let to = match to {
        Some(to) => to,
        None => target(&registry, arguments)?,
    };
    let request = request(arguments, seen, to, reason);
    let done = rollback::rollback(project, &mut registry, &request, &around)?;
    if printer.is_json() {
        printer.json(&json!({
            "schema_version": 1, "model": model, "from": done.from, "to": done.to, "digest": done.digest,
            "quarantined": done.from,
        }))?;
    }
    let again = format!("{model} {} is in production again, models/packaged/{model}/", done.to);
    let state = registry.model(model)?;
    let left = done.from.and_then(|from| Some((from, state.versions.get(&from)?.digest)));
    // Whoever is told may be slow: others need not wait for it.
    drop(lock);
    let mut notices = Vec::new();
    if let Some(from) = done.from {
        printer.talk(&format!("{again}; {from} is quarantined"));
        notices.push(Notice::rolled_back(model, done.to, done.digest, &request.reason));
    } else {
        printer.talk(&format!("{again}; nothing was there"));
        notices.push(Notice::promoted(model, done.to, done.digest, &request.reason));
    }
    notices.extend(left.map(|(from, digest)| Notice::quarantined(model, from, digest, &request.reason)));
    for notice in &notices {
        notify::tell(project, notice, &around, printer);
    }
    Ok(Exit::Passed)
}

fn request(
    arguments: &Rollback,
    from: Option<VersionNumber>,
    to: VersionNumber,
    reason: String,
) -> RollbackRequest {
    RollbackRequest {
        model: arguments.model.clone(),
        to,
        from,
        reason,
        skip_verification: arguments.skip_verification,
        override_quarantine: arguments.override_quarantine,
    }
}

/// Asks what stands against going back to the version that is named, and says what would be done.
fn rehearse(
    project: &Project,
    registry: &Registry,
    arguments: &Rollback,
    printer: &Printer,
) -> anyhow::Result<()> {
    let (seen, to) = (seen(registry, arguments)?, target(registry, arguments)?);
    // A reason is asked for when it is done.
    let reason = arguments.reason.clone().filter(|reason| !reason.trim().is_empty());
    let request = request(arguments, seen, to, reason.unwrap_or_else(|| "rehearsed".to_owned()));
    rollback::rehearse(project, registry, &request, &surroundings())?;
    let leaves = seen.map_or_else(String::new, |from| format!(", and {from} quarantined"));
    printer.talk(&format!("{} {to} would be in production again{leaves}; nothing was done", arguments.model));
    Ok(())
}

/// Quarantines the version in production, where none can be gone back to.
fn take_out(
    project: &Project,
    registry: &mut Registry,
    lock: ProjectLock,
    (model, from): (&ModelName, VersionNumber),
    reason: &str,
    printer: &Printer,
) -> anyhow::Result<Exit> {
    let around = surroundings();
    let digest = rollback::take_out(project, registry, model, from, reason, &around)?;
    drop(lock);
    if printer.is_json() {
        printer.json(&json!({
            "schema_version": 1, "model": model, "from": from, "to": null, "digest": null, "quarantined": from,
        }))?;
    }
    printer.talk(&format!(
        "{model} {from} is quarantined, and nothing is in production: there was no version that can take over"
    ));
    notify::tell(project, &Notice::quarantined(model, from, digest, reason), &around, printer);
    Ok(Exit::Passed)
}

/// Returns the version in production that the rollback was decided on.
fn seen(registry: &Registry, arguments: &Rollback) -> anyhow::Result<Option<VersionNumber>> {
    let Some(named) = &arguments.from else { return Ok(production_version(registry, &arguments.model)) };
    let wrong = |_| UsageError(format!("--from: `{named}` is no version: expected one such as `v003`"));
    Ok(Some(named.parse().map_err(wrong)?))
}

fn target(registry: &Registry, arguments: &Rollback) -> anyhow::Result<VersionNumber> {
    Ok(match &arguments.to_version {
        Some(version) => registry.resolve(&arguments.model, version)?,
        None => rollback::default_target(registry, &arguments.model)?,
    })
}

fn show(registry: &Registry, arguments: &Rollback, printer: &Printer) -> anyhow::Result<Exit> {
    let model = &arguments.model;
    let found = rollback::targets(registry, model, SHOWN)?;
    if printer.is_json() {
        let rows: Vec<_> = found
            .iter()
            .map(|one| {
                let metrics: std::collections::BTreeMap<_, _> = one
                    .metrics
                    .iter()
                    .map(|(metric, (value, difference))| {
                        (metric, json!({ "value": value, "difference": difference }))
                    })
                    .collect();
                json!({
                    "version": one.version, "trained_at": one.trained_at, "metrics": metrics, "other_rows": one.other_rows,
                    "damaged": one.damaged,
                    "in_production_since": time(one.in_production_since),
                    "in_production_until": time(one.in_production_until),
                })
            })
            .collect();
        let production = registry.model(model)?.production();
        printer.json(
            &json!({ "schema_version": 1, "model": model, "production": production, "targets": rows }),
        )?;
        return Ok(Exit::Passed);
    }
    printer.data(listing(registry, arguments, &found)?.trim_end())?;
    Ok(Exit::Passed)
}

fn listing(registry: &Registry, arguments: &Rollback, found: &[Target]) -> anyhow::Result<String> {
    let model = &arguments.model;
    let production = registry.model(model)?.production();
    let named = production.map_or_else(|| "nothing".to_owned(), |version| version.to_string());
    let mut text = format!("{model}: in production is {named}\n");
    if found.is_empty() {
        text.push_str("there is no version to go back to\n");
    }
    for (place, one) in found.iter().enumerate() {
        let mark = match (place, production.is_some()) {
            (0, true) => "  (the production before)",
            (0, false) => "  (the last production)",
            _ => "",
        };
        if let Some(why) = &one.damaged {
            text.push_str(&format!("  {} cannot take over: {why}\n", one.version));
            continue;
        }
        let (since, until) = (time(one.in_production_since), time(one.in_production_until));
        text.push_str(&format!(
            "  {} in production from {since} to {until}, trained {}{mark}\n",
            one.version, one.trained_at
        ));
        if let Some(why) = one.other_rows {
            text.push_str(&format!("      measured on {why}: not held against {named}\n"));
        }
        for (metric, (value, difference)) in &one.metrics {
            let change = difference.map_or_else(String::new, |change| format!("{change:+.4}"));
            text.push_str(&format!("      {metric:<18} {:>12} {change:>10}\n", figure(*value)));
        }
    }
    Ok(text)
}

/// Returns a moment as the ledger writes it.
fn time(microseconds: i64) -> String {
    jiff::Timestamp::from_microsecond(microseconds).map_or_else(
        |_| "an unknown time".to_owned(),
        |time| time.strftime("%Y-%m-%dT%H:%M:%S%.3fZ").to_string(),
    )
}

/// Shows the versions and asks which, why, and whether it is meant; `None` is no.
fn ask(
    registry: &Registry,
    arguments: &Rollback,
    printer: &Printer,
) -> anyhow::Result<Option<(VersionNumber, String)>> {
    let found = rollback::targets(registry, &arguments.model, SHOWN)?;
    printer.talk(listing(registry, arguments, &found)?.trim_end());
    let named = target(registry, arguments)?;
    let choose = arguments.to_version.is_none();
    Ok(dialogue(
        named,
        choose,
        arguments.reason.as_deref(),
        &mut std::io::stdin().lock(),
        &mut anstream::stderr().lock(),
    ))
}

/// Reads version, reason and confirmation; the end of the input is no.
fn dialogue(
    named: VersionNumber,
    choose: bool,
    reason: Option<&str>,
    input: &mut impl BufRead,
    output: &mut impl Write,
) -> Option<(VersionNumber, String)> {
    let mut ask = |question: &str| {
        // A terminal that is gone gives no answer either.
        let _ = write!(output, "{question}");
        let _ = output.flush();
        let mut line = String::new();
        match input.read_line(&mut line) {
            Ok(length) if length > 0 => Some(line.trim().to_owned()),
            _ => None,
        }
    };
    let mut chosen = (!choose).then_some(named);
    let version = loop {
        if let Some(version) = chosen {
            break version;
        }
        let answer = ask(&format!("back to which version? [{named}] "))?;
        chosen = if answer.is_empty() { Some(named) } else { answer.parse().ok() };
    };
    let mut why = reason.unwrap_or_default().to_owned();
    while why.trim().is_empty() {
        why = ask("reason: ")?;
    }
    loop {
        match ask(&format!("roll back to {version} and quarantine what is in production? [y/n] "))?.as_str() {
            "y" | "yes" => return Some((version, why)),
            "n" | "no" => return None,
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(typed: &str, choose: bool, reason: Option<&str>) -> Option<(VersionNumber, String)> {
        dialogue(VersionNumber(2), choose, reason, &mut typed.as_bytes(), &mut Vec::new())
    }

    #[test]
    fn version_reason_and_confirmation_are_asked_for() {
        assert_eq!(answer("\nbad\ny\n", true, None), Some((VersionNumber(2), "bad".to_owned())));
        assert_eq!(
            answer("x\nv001\n\nbad\nq\nyes\n", true, None),
            Some((VersionNumber(1), "bad".to_owned()))
        );
        assert_eq!(answer("y\n", false, Some("known")), Some((VersionNumber(2), "known".to_owned())));
    }

    #[test]
    fn no_and_the_end_of_the_input_change_nothing() {
        for typed in ["", "1\n", "1\nbad\n", "1\nbad\nn\n"] {
            assert_eq!(answer(typed, true, None), None, "{typed:?}");
        }
    }
}
