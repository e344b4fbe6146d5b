//! Figures that another `evaluate.average` made: `f1` of the one is not `f1` of the other. What is stored is read as today's
//! average has it, so that like is compared with like.
//!
//! Which average made a figure follows from the figures: those with `_macro` and `_weighted` are always what they say, and
//! the areas of several classes are made of those of each class.

use std::collections::BTreeMap;

use modelgate_config::AverageName;
use modelgate_core::ledger::Registration;
use modelgate_core::rule::Subset;
use modelgate_core::{ModelName, VersionNumber};
use modelgate_evaluate::{Average, Interval, averaged_areas};
use modelgate_registry::Registry;

use crate::error::PipelineError;
use crate::evaluation::SubsetEvaluation;
use crate::project::Pipeline;
use crate::stored;

/// The figures that are averaged, and kept by either average beside that.
const COUNTED: [&str; 3] = ["precision", "recall", "f1"];

/// The figures that are averaged where there are more than two classes.
const AREAS: [&str; 2] = ["roc_auc", "pr_auc"];

/// A figure that more than two classes alone have.
const OF_SEVERAL: &str = "top_2_accuracy";

/// Returns how `pipeline` makes one figure of those of its classes.
pub(crate) fn average(pipeline: &Pipeline<'_>) -> Average {
    match pipeline.config.evaluate.average {
        AverageName::Weighted => Average::Weighted,
        AverageName::Macro => Average::Macro,
    }
}

/// Holds where `metric` of a version is what `average` makes of it, as far as `figures`, which it was registered with, tell.
pub(crate) fn is_made_by(figures: &BTreeMap<String, f64>, metric: &str, average: Average) -> bool {
    let depends = is_counted(metric) || (AREAS.contains(&metric) && figures.contains_key(OF_SEVERAL));
    !depends || is_by(figures, average)
}

/// Holds for a figure that is averaged whatever the number of classes, and kept by either average under a name of its own.
pub(crate) fn is_counted(metric: &str) -> bool {
    COUNTED.contains(&metric)
}

fn named(metric: &str, average: Average) -> String {
    let average = match average {
        Average::Weighted => "weighted",
        Average::Macro => "macro",
    };
    format!("{metric}_{average}")
}

/// Holds for figures that differ by no more than how numbers are kept.
fn is_same(one: Option<f64>, other: Option<f64>) -> bool {
    match (one, other) {
        (Some(one), Some(other)) => (one - other).abs() <= 1e-9,
        (one, other) => one.is_none() && other.is_none(),
    }
}

/// Where figures could lie, by metric.
type Intervals = BTreeMap<String, Interval>;

/// Puts `average` into what follows from counts; returns whether it was averaged otherwise.
fn restate_counted(
    metrics: &mut BTreeMap<String, Option<f64>>,
    intervals: &mut Intervals,
    average: Average,
) -> bool {
    let mut is_other = false;
    for metric in COUNTED {
        let named = named(metric, average);
        let Some(known) = metrics.get(&named).copied() else { continue };
        let Some(plain) = metrics.get_mut(metric) else { continue };
        if !is_same(*plain, known) {
            *plain = known;
            is_other = true;
            intervals.remove(metric);
            intervals.extend(intervals.get(&named).map(|found| (metric.to_owned(), *found)));
        }
    }
    is_other
}

/// Puts `average` into the areas, from those of each class; returns whether they were averaged otherwise.
fn restate_areas(found: &mut SubsetEvaluation, average: Average) -> bool {
    let (area, precision) = averaged_areas(&found.per_class, average);
    let mut is_other = false;
    for (metric, known) in AREAS.into_iter().zip([area, precision]) {
        if let Some(plain) = found.metrics.get_mut(metric)
            && !is_same(*plain, known)
        {
            *plain = known;
            is_other = true;
            found.intervals.remove(metric);
        }
    }
    is_other
}

/// Brings stored figures to `average`; what cannot be told has no value then.
pub(crate) fn restate(subsets: &mut BTreeMap<Subset, SubsetEvaluation>, average: Average) {
    let mut is_other = false;
    for found in subsets.values_mut() {
        is_other |= restate_counted(&mut found.metrics, &mut found.intervals, average);
        for slice in &mut found.slices {
            is_other |= restate_counted(&mut slice.metrics, &mut slice.intervals, average);
        }
        if found.per_class.len() > 2 {
            is_other |= restate_areas(found, average);
        }
    }
    let of_several = subsets.values_mut().filter(|found| found.per_class.len() > 2);
    // Of a part of the rows the areas of each class are not kept.
    for slice in of_several.flat_map(|found| &mut found.slices).filter(|_| is_other) {
        for area in AREAS {
            slice.metrics.insert(area.to_owned(), None);
            slice.intervals.remove(area);
        }
    }
}

/// Brings figures to `average` of which nothing is known by class; what cannot be told has no value then.
pub(crate) fn restate_metrics(metrics: &mut BTreeMap<String, Option<f64>>, average: Average) {
    if restate_counted(metrics, &mut Intervals::new(), average) && metrics.contains_key(OF_SEVERAL) {
        metrics.extend(AREAS.map(|area| (area.to_owned(), None)));
    }
}

/// Holds for figures of which those that follow from counts are by `average`.
fn is_by(figures: &BTreeMap<String, f64>, average: Average) -> bool {
    let figure = |metric: &str| figures.get(metric).copied();
    COUNTED.iter().all(|metric| is_same(figure(metric), figure(&named(metric, average))))
}

/// Returns `metric` as `average` has it, of the figures that a version was registered with; `None` where these do not tell.
pub(crate) fn told(figures: &BTreeMap<String, f64>, metric: &str, average: Average) -> Option<f64> {
    if COUNTED.contains(&metric) {
        return figures.get(&named(metric, average)).copied();
    }
    let depends = AREAS.contains(&metric) && figures.contains_key(OF_SEVERAL);
    figures.get(metric).copied().filter(|_| !depends || is_by(figures, average))
}

/// Returns `metric` of a version as `average` has it; `None` where the version does not have it, or that cannot be told.
///
/// # Errors
/// Fails when the registry cannot be read.
pub(crate) fn of_version(
    registry: &Registry,
    model: &ModelName,
    version: VersionNumber,
    metric: &str,
    average: Average,
) -> Result<Option<f64>, PipelineError> {
    let registration = registry.registration(model, version)?;
    let figures = &registration.metrics;
    if !AREAS.contains(&metric) || !figures.contains_key(OF_SEVERAL) {
        return Ok(told(figures, metric, average));
    }
    let Some(attached) = stored::attached(registry, model, version)? else { return Ok(None) };
    let mut subsets = attached.subsets;
    subsets.retain(|_, found| is_of(found, &registration));
    restate(&mut subsets, average);
    Ok(subsets.into_values().find_map(|found| found.metrics.get(metric).copied().flatten()))
}

/// Holds for the figures that a version was registered with, which are those of its gate's rows.
pub(crate) fn is_of(found: &SubsetEvaluation, registration: &Registration) -> bool {
    let figures = &registration.metrics;
    !figures.is_empty() && figures.iter().all(|(name, value)| found.metrics.get(name) == Some(&Some(*value)))
}

/// Returns the figures that cannot be compared over all of `versions`, each with its figures: some are of the one average and
/// some of the other.
pub(crate) fn incomparable<'a>(
    versions: impl IntoIterator<Item = &'a BTreeMap<String, f64>>,
) -> Vec<&'static str> {
    let (mut by_macro, mut by_weighted, mut of_several) = (true, true, false);
    for figures in versions {
        by_macro &= is_by(figures, Average::Macro);
        by_weighted &= is_by(figures, Average::Weighted);
        of_several |= figures.contains_key(OF_SEVERAL);
    }
    if by_macro || by_weighted {
        return Vec::new();
    }
    COUNTED.into_iter().chain(AREAS.into_iter().filter(|_| of_several)).collect()
}

#[cfg(test)]
mod tests {
    use modelgate_evaluate::{ClassificationInput, classification};

    use super::*;
    use crate::evaluation::SliceEvaluation;

    /// The figures of a model of `classes` that is right of the first class alone.
    fn measured(classes: usize, average: Average) -> SubsetEvaluation {
        let names: Vec<String> = (0..classes).map(|class| format!("c{class}")).collect();
        let labels: Vec<u32> =
            (0..60_u32).map(|row| if row < 40 { 0 } else { row % classes as u32 }).collect();
        let predicted: Vec<u32> = labels.iter().map(|label| label / 2).collect();
        let probabilities: Vec<f32> =
            (0..labels.len() * classes).map(|at| (at * 7 % 11) as f32 / 11.0).collect();
        let input = ClassificationInput {
            labels: &labels,
            predicted: &predicted,
            probabilities: &probabilities,
            class_names: &names,
        };
        let found = classification(&input, average).expect("figures");
        let at = |value: f64| Interval {
            low: value,
            high: value,
            standard_error: 0.1,
            confidence: 0.9,
            rounds: 100,
        };
        let intervals = found.metrics.iter().filter_map(|(name, value)| Some((name.clone(), at((*value)?))));
        let intervals: Intervals = intervals.collect();
        let metrics = found.metrics.clone();
        let slice = SliceEvaluation {
            name: "part".to_owned(),
            of_rule: true,
            rows: 60,
            metrics,
            intervals: intervals.clone(),
        };
        SubsetEvaluation {
            rows: 60,
            metrics: found.metrics,
            per_class: found.per_class,
            intervals,
            slices: vec![slice],
            ..SubsetEvaluation::default()
        }
    }

    fn restated(found: SubsetEvaluation, average: Average) -> SubsetEvaluation {
        let mut subsets = BTreeMap::from([(Subset::Validation, found)]);
        restate(&mut subsets, average);
        subsets.remove(&Subset::Validation).expect("figures")
    }

    #[test]
    fn stored_figures_become_what_the_average_of_today_makes_of_the_same_answers() {
        let both = [Average::Macro, Average::Weighted];
        for (before, now) in [(both[0], both[1]), (both[1], both[0])] {
            for classes in [2, 3] {
                let (old, new) = (measured(classes, before), measured(classes, now));
                assert_ne!(old.metrics["f1"], new.metrics["f1"]);
                assert_eq!(old.metrics["roc_auc"] == new.metrics["roc_auc"], classes == 2);
                assert_eq!(restated(old.clone(), before), old);
                let found = restated(old, now);
                assert_eq!(found.metrics, new.metrics, "{classes} classes");
                assert_eq!(found.intervals["f1"], new.intervals["f1"]);
                assert_eq!(found.slices[0].metrics["f1"], new.slices[0].metrics["f1"]);
                // The areas of each class of a part are not kept: its rule is inconclusive.
                assert_eq!(found.slices[0].metrics["roc_auc"].is_some(), classes == 2);
                assert_eq!(found.intervals.contains_key("roc_auc"), classes == 2);
            }
        }
    }

    #[test]
    fn without_the_figures_of_each_class_only_areas_of_several_cannot_be_told() {
        for classes in [2, 3] {
            let (mut old, new) =
                (measured(classes, Average::Macro).metrics, measured(classes, Average::Weighted).metrics);
            restate_metrics(&mut old, Average::Weighted);
            assert_eq!(old["f1"], new["f1"]);
            assert_eq!(old["pr_auc"], new["pr_auc"].filter(|_| classes == 2));
        }
    }

    #[test]
    fn figures_of_both_averages_are_not_compared() {
        let figures = |classes, average| -> BTreeMap<String, f64> {
            let found = measured(classes, average).metrics.into_iter();
            found.filter_map(|(name, value)| Some((name, value?))).collect()
        };
        let (one, other) = (figures(2, Average::Macro), figures(2, Average::Weighted));
        assert_eq!(incomparable([&one, &one]), Vec::<&str>::new());
        assert_eq!(incomparable([&one, &other, &one]), COUNTED);
        let several = [figures(3, Average::Macro), figures(3, Average::Weighted)];
        assert_eq!(incomparable(&several), ["precision", "recall", "f1", "roc_auc", "pr_auc"]);
        let numbers = BTreeMap::from([("rmse".to_owned(), 1.0)]);
        assert_eq!(incomparable([&numbers, &numbers]), Vec::<&str>::new());
    }
}
