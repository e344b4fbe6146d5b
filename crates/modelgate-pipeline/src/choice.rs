//! Which version `promotion.choose` wants in production: the candidate, or the best of history by a figure.
//!
//! A version that was replaced in production is measured against and not chosen: what replaced it was decided, and only
//! a rollback, which verifies it and says why, brings it back.

use std::collections::BTreeSet;

use modelgate_core::lifecycle::{Event, Stage as Lifecycle};
use modelgate_core::metric::{Direction, direction};
use modelgate_core::verdict::figure;
use modelgate_core::{ModelName, Verdict, VersionNumber};
use modelgate_evaluate::Average;
use modelgate_registry::Registry;

use crate::averaged;
use crate::error::PipelineError;
use crate::measured_on::MeasuredOn;
use crate::options::Surroundings;
use crate::policy;
use crate::project::Pipeline;
use crate::stored;

/// What becomes of the newest version.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Choice {
    /// This version goes to production; another than the newest sends the newest to staging.
    Promote {
        /// The version.
        version: VersionNumber,
        /// Why.
        reason: String,
    },
    /// The newest goes to staging.
    Stage {
        /// Why.
        reason: String,
    },
}

/// Decides for `newest`, which is approved.
///
/// # Errors
/// Fails when the registry cannot be read.
pub fn choose(
    pipeline: &Pipeline<'_>,
    registry: &Registry,
    newest: VersionNumber,
    otherwise: &str,
    now: &str,
) -> Result<Choice, PipelineError> {
    let Some(metric) = metric(pipeline) else {
        return Ok(Choice::Promote { version: newest, reason: otherwise.to_owned() });
    };
    let model = &pipeline.model;
    // The gate asks too; this may be chosen by since.
    if let Some(attached) = stored::attached(registry, model, newest)? {
        check_classes(pipeline, attached.classes.len())?;
    }
    let history = History::with_ways(pipeline, registry, metric, newest)?;
    let Some((best, value)) = history.best else {
        return Ok(Choice::Stage { reason: format!("no version has a figure of {metric}") });
    };
    let mut reason = format!("best_by {metric}: {best} has {}", figure(value));
    if let Some((archived, value)) = history.archived {
        reason.push_str(&format!(
            "; {archived} had {} and was replaced: only a rollback brings it back",
            figure(value)
        ));
    }
    if best == newest {
        return Ok(Choice::Promote { version: best, reason });
    }
    let of = |version| -> Result<MeasuredOn, PipelineError> {
        Ok(MeasuredOn::of(registry, &registry.registration(model, version)?).0)
    };
    if let Some(why) = of(best)?.differs(&of(newest)?) {
        reason.push_str(&format!(
            "; {best} and {newest} were measured on {why}, so this does not say which is better: `versus: production` in a \
             rule compares both on the same rows"
        ));
    }
    let state = registry.model(model)?;
    if state.production() == Some(best) {
        return Ok(Choice::Stage { reason });
    }
    if state.versions.get(&best).is_none_or(|found| found.approval.is_none()) {
        return Ok(Choice::Stage { reason: format!("{reason}; it waits for approval") });
    }
    Ok(match policy::check_promotion(pipeline.project, registry, model, best, now) {
        Ok(()) => Choice::Promote { version: best, reason },
        Err(error) if error.is_unanswered() => return Err(error),
        Err(error) => Choice::Stage { reason: format!("{reason}; {error}") },
    })
}

/// Returns the figure that `promotion.choose` goes by, if it goes by one.
fn metric<'a>(pipeline: &Pipeline<'a>) -> Option<&'a str> {
    pipeline.config.promotion.choose.strip_prefix("best_by ").map(str::trim)
}

/// Refuses to choose by a figure that a model of `classes` classes does not have: no version would ever be chosen.
///
/// # Errors
/// Says so.
pub(crate) fn check_classes(pipeline: &Pipeline<'_>, classes: usize) -> Result<(), PipelineError> {
    let top = metric(pipeline).and_then(|metric| metric.strip_prefix("top_")?.strip_suffix("_accuracy"));
    let Some(top) = top.and_then(|top| top.parse::<usize>().ok()).filter(|top| classes <= *top) else {
        return Ok(());
    };
    Err(PipelineError::Setting {
        pipeline: pipeline.name.to_owned(),
        key: "promotion.choose",
        reason: format!(
            "`top_{top}_accuracy` is a figure of more than {top} classes, and there are {classes}"
        ),
    })
}

/// Moves a newest version that is not the best to staging, if it is not there; returns whether it was moved.
///
/// # Errors
/// Fails when the registry cannot be written.
pub fn stage_newest(
    registry: &mut Registry,
    model: &ModelName,
    version: VersionNumber,
    reason: &str,
    surroundings: &Surroundings<'_>,
) -> Result<bool, PipelineError> {
    if registry.model(model)?.versions.get(&version).is_some_and(|found| found.stage == Lifecycle::Staging) {
        return Ok(false);
    }
    // What others say of a version can be long; a reason cannot.
    let reason: String = reason.chars().filter(|letter| !letter.is_control()).take(1000).collect();
    let event = Event::Stage { reason };
    registry.apply(model, version, &event, &(surroundings.now)(), &surroundings.actor)?;
    Ok(true)
}

/// The best versions by one figure.
struct History {
    /// Among those that could be in production.
    best: Option<(VersionNumber, f64)>,
    /// A former production that was better than that.
    archived: Option<(VersionNumber, f64)>,
}

impl History {
    /// Passes over, for the best, what was never compared with a version that is in production now: it cannot follow that one
    /// however it is approved, and would be waited for for ever. And what was judged by other rules than this project's: that
    /// is promoted by its number, by who has read of it. What is said of `newest`, it is told where it is promoted.
    fn with_ways(
        pipeline: &Pipeline<'_>,
        registry: &Registry,
        metric: &str,
        newest: VersionNumber,
    ) -> Result<Self, PipelineError> {
        let (project, model, average) = (pipeline.project, &pipeline.model, averaged::average(pipeline));
        let mut barred = BTreeSet::new();
        loop {
            let history = Self::by(registry, model, (metric, average), &barred)?;
            let Some((best, _)) = history.best.filter(|(best, _)| *best != newest) else {
                return Ok(history);
            };
            match policy::check_compared(registry, model, best) {
                Err(error) if error.is_unanswered() => return Err(error),
                Err(_) => barred.insert(best),
                // What is in production is what the newest has to be better than, whichever way it got there.
                Ok(()) if registry.model(model)?.production() == Some(best) => return Ok(history),
                Ok(()) if policy::other_rules(project, registry, model, best)?.is_some() => {
                    barred.insert(best)
                }
                Ok(()) => return Ok(history),
            };
        }
    }

    fn by(
        registry: &Registry,
        model: &ModelName,
        (metric, average): (&str, Average),
        barred: &BTreeSet<VersionNumber>,
    ) -> Result<Self, PipelineError> {
        let better = |value: f64, before: f64| match direction(metric) {
            Some(Direction::LowerIsBetter) => value < before,
            _ => value > before,
        };
        let state = registry.model(model)?;
        let (mut best, mut archived): (Option<(VersionNumber, f64)>, Option<(VersionNumber, f64)>) =
            (None, None);
        for (version, found) in &state.versions {
            let place = match found.stage {
                Lifecycle::Candidate | Lifecycle::Approved | Lifecycle::Staging | Lifecycle::Production => {
                    &mut best
                }
                Lifecycle::Archived => &mut archived,
                Lifecycle::Rejected | Lifecycle::Quarantined | Lifecycle::Removed => continue,
            };
            if found.verdict != Verdict::Passed
                || barred.contains(version)
                || state.quarantined(&found.digest).is_some()
            {
                continue;
            }
            let value = averaged::of_version(registry, model, *version, metric, average)?;
            let Some(value) = value else { continue };
            // Of equals, the older: production does not move without a gain.
            if !value.is_nan() && place.is_none_or(|(_, before)| better(value, before)) {
                *place = Some((*version, value));
            }
        }
        let archived = archived.filter(|(_, value)| best.is_none_or(|(_, best)| better(*value, best)));
        Ok(Self { best, archived })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::options::RunOptions;
    use crate::scene::Silent;
    use crate::{Ending, production};

    #[test]
    fn figures_of_another_average_bring_no_model_to_production() {
        let folder = tempfile::tempdir().expect("a folder");
        // A tenth of the rows, most of which a split of `a` finds, and some that nothing finds.
        let rows = (0..3000_u32).map(|row| {
            let is_found = row % 100 >= 90 && row / 100 % 5 < 3;
            format!("{},{}\n", row % 100, if is_found || row % 19 == 0 { "yes" } else { "no" })
        });
        fs_err::write(folder.path().join("d.csv"), "a,y\n".to_owned() + &rows.collect::<String>())
            .expect("written");
        // How the run ended, what it measured and what is in production then.
        let ran = |average: &str, params: &str, rules: &str| {
            let text = format!(
                "version: 1\nproject: p\npipelines:\n  p:\n    task: classification\n    data: {{source: d.csv, target: y}}\n    train: {{algorithm: decision_tree, params: {{{params}}}}}\n    evaluate: {{average: {average}, intervals: none}}\n    gate: {{rules: [{{metric: accuracy, at_least: 0.5}}{rules}]}}\n    promotion: {{approval: automatic, choose: best_by f1}}\n"
            );
            fs_err::write(folder.path().join("modelgate.yaml"), text).expect("written");
            let project = crate::Project::find(folder.path(), &|_| None).expect("a project");
            let pipeline = project.pipeline(None).expect("a pipeline");
            let clock = || "2026-01-01T00:00:00.000Z".to_owned();
            let around = Surroundings { now: &clock, actor: "tester".to_owned() };
            let ended = crate::run(&pipeline, &RunOptions::default(), &around, &mut Silent, &mut Silent);
            let registry = crate::run::registry(&project).expect("a registry");
            let found = production::version(&registry, &pipeline.model).expect("a production");
            let newest =
                *registry.model(&pipeline.model).expect("a model").versions.keys().last().expect("a version");
            let f1 = registry.registration(&pipeline.model, newest).expect("registered").metrics["f1"];
            (ended.expect("run").ending, f1, found.to_string())
        };
        let baseline = ", {metric: f1, versus: baseline, max_drop: 0.01}";
        let (ending, good, production) = ran("macro", "max_depth: 1", "");
        assert_eq!((ending, production.as_str()), (Ending::Done, "v001"));
        // One leaf: `no` to every row. By its name, its figure is the better one.
        let useless = "min_samples_leaf: 2000";
        let (ending, bad, production) = ran("weighted", useless, "");
        assert!(bad > good + 0.02, "{bad} and {good}");
        assert_eq!((ending, production.as_str()), (Ending::Done, "v001"));
        let (ending, _, production) = ran("weighted", useless, baseline);
        assert_eq!((ending, production.as_str()), (Ending::Blocked, "v001"));
    }
}
