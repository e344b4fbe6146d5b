//! Analyse: what the model looks at, and the pictures of its figures.

use std::collections::{BTreeMap, BTreeSet};

use modelgate_core::canonical;
use modelgate_core::rule::Subset;
use modelgate_evaluate::{
    Bar, Plot, SliceRow, bars_plot, calibration_curve, calibration_plot, confusion_matrix_plot, curves,
    dependence_plot, precision_recall_plot, predicted_actual_plot, residual_plot, roc_plot, slice_table_plot,
};
use modelgate_model::LoadedModel;
use rayon::prelude::*;
use serde_json::json;

use crate::analysis::{Analysis, analyse as analyse_model};
use crate::answers::{Answers, answers};
use crate::contributions::Contributions;
use crate::error::PipelineError;
use crate::evaluation::{Evaluation, SubsetEvaluation};
use crate::record::Inputs;
use crate::runner::{Runner, Work};
use crate::stage::Stage;
use crate::stages::{command, data, judge, model};

/// Raised when what is drawn or measured here changes.
const REVISION: u32 = 11;

/// Looks at the model and draws the plots.
pub(crate) fn analyse(runner: &mut Runner<'_>) -> Result<bool, PipelineError> {
    let on = judge::gate_subset(runner);
    runner.step(
        Stage::Analyse,
        |runner| {
            Ok(Inputs::from([
                ("package".to_owned(), json!(runner.output(Stage::Assemble, model::MANIFEST)?)),
                ("evaluation".to_owned(), json!(runner.output(Stage::Evaluate, "evaluation")?)),
                ("on".to_owned(), json!(on)),
                ("repeats".to_owned(), json!(runner.pipeline.config.evaluate.importance_repeats)),
                ("seed".to_owned(), json!(runner.pipeline.config.seed)),
                ("revision".to_owned(), json!(REVISION)),
            ]))
        },
        |runner| {
            let evaluation = judge::evaluation(runner)?;
            let Some(found) = evaluation.subsets.get(&on) else {
                return Ok(Work { summary: format!("no plot: no rows on {on}"), ..Work::default() });
            };
            let package = modelgate_model::from_files(model::package_files(runner)?)?;
            let table = data::table(runner)?;
            let target = data::target(runner, &table)?;
            let split = data::assignment(runner)?;
            let rows = if on == Subset::Validation { &split.validation } else { &split.test };
            let answers = answers(&package.model, &table, &target, rows)?;
            let config = runner.pipeline.config;
            let repeats = config.evaluate.importance_repeats;
            let mut analysis =
                analyse_model(&package.model, &table, &target, rows, on, repeats, config.seed)?;
            if let Some(found) = contributions(runner, &package.model, &table, rows, &split.train)? {
                found.unit.clone_into(&mut analysis.unit);
                analysis.contributions = found.features;
            }
            let plots = plots(runner.pipeline.name, on, &evaluation, found, &answers, &analysis)?;
            // Not an output of the stage: what is stored by digest does not tell the time.
            if let Some(latency) = crate::latency::measure(&package.model, &table, rows)? {
                crate::latency::keep(runner.pipeline, package.digest, &latency)?;
            }
            let mut outputs =
                BTreeMap::from([("analysis.json".to_owned(), canonical::to_pretty(&analysis)?.into_bytes())]);
            let names: Vec<&str> = plots.iter().map(|(name, _)| name.as_str()).collect();
            let summary = match analysis.importance.first() {
                Some(first) => format!("{} plots; most important: {}", names.len(), first.feature),
                None => format!("{} plots", names.len()),
            };
            let unknown: BTreeSet<char> =
                plots.iter().flat_map(|(_, plot)| plot.unknown_letters.chars()).collect();
            for (at, (name, plot)) in plots.into_iter().enumerate() {
                // The first is what one looks at first; it lies beside the report.
                if at == 0 {
                    outputs.insert(format!("{name}.svg"), plot.svg.clone().into_bytes());
                    outputs.insert(format!("{name}.png"), plot.png.clone());
                }
                outputs.insert(format!("plots/{name}.svg"), plot.svg.into_bytes());
                outputs.insert(format!("plots/{name}.dark.svg"), plot.dark_svg.into_bytes());
                outputs.insert(format!("plots/{name}.png"), plot.png);
                outputs.insert(format!("plots/{name}.dark.png"), plot.dark_png);
            }
            let mut warnings = unknown_letters(&unknown);
            warnings.extend(analysis.warning(&package.model));
            Ok(Work { outputs, summary, warnings, ..Work::default() })
        },
    )
}

/// Says which letters the PNGs could not be given.
fn unknown_letters(letters: &BTreeSet<char>) -> Vec<String> {
    const SHOWN: usize = 8;
    let Some(first) = letters.first() else { return Vec::new() };
    let shown: Vec<String> = letters.iter().take(SHOWN).map(char::to_string).collect();
    let more =
        if letters.len() > SHOWN { format!(" and {} more", letters.len() - SHOWN) } else { String::new() };
    vec![format!(
        "the font of the plots has no picture of {}{more}: a PNG shows the number of such a letter, as U+{:04X}; an SVG is \
         drawn with the fonts of who looks at it",
        shown.join(" "),
        u32::from(*first)
    )]
}

/// Returns what each feature adds to the score of a model that says so: each preprocessed one of a model that modelgate
/// trained, each column of one from elsewhere.
fn contributions(
    runner: &Runner<'_>,
    model: &LoadedModel,
    table: &modelgate_data::Table,
    rows: &[u32],
    train: &[u32],
) -> Result<Option<Contributions>, PipelineError> {
    let step = train.len().div_ceil(crate::contributions::TRAINING_ROWS).max(1);
    let some: Vec<u32> = train.iter().step_by(step).copied().collect();
    if command::is_foreign(runner) {
        let Some(estimator) = model.estimator() else { return Ok(None) };
        let inputs = model.inputs();
        let name = |at: usize| inputs.get(at).map(|(name, _)| name.clone());
        let names: Vec<String> = model.origins().into_iter().filter_map(name).collect();
        let matrix = model.features(table, rows)?;
        let training = || model.features(table, &some).ok();
        return Ok(crate::contributions::contributions(estimator, &names, &matrix, training));
    }
    let estimator = runner.estimator()?;
    let plan = data::plan(runner)?;
    let matrix = plan.transform(table, rows)?;
    let training = || plan.transform(table, &some).ok();
    Ok(crate::contributions::contributions(&estimator, &plan.output_names(), &matrix, training))
}

type Drawing<'a> =
    (String, Box<dyn Fn() -> Result<Plot, modelgate_evaluate::EvaluateError> + Sync + Send + 'a>);

/// Draws what the figures allow; the first is the main one.
fn plots(
    name: &str,
    on: Subset,
    evaluation: &Evaluation,
    found: &SubsetEvaluation,
    answers: &Answers,
    analysis: &Analysis,
) -> Result<Vec<(String, Plot)>, PipelineError> {
    let title = |what: &str| format!("{name}: {what} on {on}");
    let mut drawings: Vec<Drawing<'_>> = Vec::new();
    if let Some(input) = answers.input() {
        let text = title("confusion matrix");
        drawings.push((
            "confusion_matrix".to_owned(),
            Box::new(move || confusion_matrix_plot(&text, &evaluation.classes, &found.confusion)),
        ));
        let drawn = drawn_classes(found);
        let curves: Vec<_> =
            drawn.into_iter().filter_map(|class| curves(&input, class).ok().flatten()).collect();
        if !curves.is_empty() {
            let (text, shared, classes) = (title("ROC"), curves.clone(), found.per_class.len());
            drawings.push(("roc".to_owned(), Box::new(move || roc_plot(&text, &shared, classes))));
            let text = title("precision and recall");
            drawings.push((
                "precision_recall".to_owned(),
                Box::new(move || precision_recall_plot(&text, &curves, classes)),
            ));
        }
        let bins = calibration_curve(&input);
        if let (false, Some(Some(error))) = (bins.is_empty(), found.metrics.get("calibration_error")) {
            let text = title("calibration");
            drawings
                .push(("calibration".to_owned(), Box::new(move || calibration_plot(&text, &bins, *error))));
        }
    } else if let Answers::Values { actual, predicted } = answers
        && predicted.iter().all(|value| value.is_finite())
    {
        let text = title("residuals");
        drawings.push(("residuals".to_owned(), Box::new(move || residual_plot(&text, actual, predicted))));
        let text = title("predicted and actual");
        drawings.push((
            "predicted_actual".to_owned(),
            Box::new(move || predicted_actual_plot(&text, actual, predicted)),
        ));
    }
    if !analysis.importance.is_empty() {
        let text = title("permutation importance");
        let note = format!(
            "rise of the {} when a column is shuffled: mean, spread of {} repeats",
            analysis.loss, analysis.repeats
        );
        let bar = |found: &modelgate_evaluate::Importance| Bar {
            name: found.feature.clone(),
            value: found.mean,
            spread: found.std,
        };
        let bars: Vec<Bar> = analysis.importance.iter().map(bar).collect();
        drawings.push(("importance".to_owned(), Box::new(move || bars_plot(&text, &note, &bars))));
    }
    for (at, dependence) in analysis.dependence.iter().enumerate() {
        let text = title(&format!("dependence on {}", dependence.feature));
        let note = format!("mean answer when every one of {} rows has this value", dependence.rows);
        drawings.push((
            format!("dependence_{}", at + 1),
            Box::new(move || dependence_plot(&text, &note, dependence)),
        ));
    }
    if let Some(drawing) = slice_drawing(found, &title("slices")) {
        drawings.push(drawing);
    }
    // Each is drawn from the same values in the same way on any thread; only the order of work differs.
    drawings.par_iter().map(|(name, draw)| Ok((name.clone(), draw()?))).collect()
}

/// Returns the classes whose curves are drawn: the second of two, else the two with the most rows and, of the others, the one
/// that is told apart worst.
fn drawn_classes(found: &SubsetEvaluation) -> Vec<usize> {
    if found.per_class.len() == 2 {
        return vec![1];
    }
    let mut classes: Vec<usize> = (0..found.per_class.len()).collect();
    classes.sort_by_key(|class| std::cmp::Reverse(found.per_class[*class].support));
    let others = classes.split_off(classes.len().min(2));
    let area = |class: usize| found.per_class[class].roc_auc.map(|area| (area, class));
    let worst = others.into_iter().filter_map(area).min_by(|one, other| one.0.total_cmp(&other.0));
    classes.extend(worst.map(|(_, class)| class));
    classes
}

/// Draws the declared slices by the main metric, the worst first; without any, the weakest that were found.
fn slice_drawing<'a>(found: &'a SubsetEvaluation, title: &str) -> Option<Drawing<'a>> {
    let metric = if found.per_class.is_empty() { "mae" } else { "accuracy" };
    let mut rows: Vec<SliceRow> = Vec::new();
    for slice in found.slices.iter().filter(|slice| !slice.of_rule) {
        let Some(value) = slice.metrics.get(metric).copied().flatten() else { continue };
        let interval = slice.intervals.get(metric).map(|interval| (interval.low, interval.high));
        rows.push(SliceRow { name: slice.name.clone(), rows: slice.rows, value, interval });
    }
    rows.sort_by(|one, other| one.value.total_cmp(&other.value));
    if metric == "mae" {
        rows.reverse();
    }
    let mut overall = found.metrics.get(metric).copied().flatten();
    let mut note = format!("{metric}, with its interval; the line is that of all rows");
    if rows.is_empty() {
        let search = found.search.as_ref()?;
        rows.extend(search.worst.iter().map(|slice| SliceRow {
            name: slice.name(),
            rows: slice.rows,
            value: slice.loss,
            interval: None,
        }));
        note = format!(
            "{} where it is highest, of {} parts; the line is that of all rows",
            search.loss, search.tested
        );
        // The loss of the search is one less accuracy, or the mean absolute error itself.
        overall = if metric == "mae" { overall } else { overall.map(|accuracy| 1.0 - accuracy) };
    }
    if rows.is_empty() {
        return None;
    }
    let text = title.to_owned();
    Some(("slices".to_owned(), Box::new(move || slice_table_plot(&text, &note, overall, &rows))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_class_that_is_told_apart_worst_is_drawn_beside_the_largest() {
        let class = |(support, roc_auc): (u64, Option<f64>)| modelgate_evaluate::ClassMetrics {
            name: String::new(),
            precision: 0.0,
            recall: 0.0,
            f1: 0.0,
            roc_auc,
            pr_auc: roc_auc,
            support,
        };
        let found = |classes: &[(u64, Option<f64>)]| SubsetEvaluation {
            per_class: classes.iter().copied().map(class).collect(),
            ..SubsetEvaluation::default()
        };
        let six = [(9, 0.9), (40, 0.8), (8, 0.6), (30, 0.99), (20, 0.95), (3, 0.7)];
        let mut six: Vec<(u64, Option<f64>)> =
            six.into_iter().map(|(rows, area)| (rows, Some(area))).collect();
        assert_eq!(drawn_classes(&found(&six)), [1, 3, 2]);
        // One that has no area has no curve.
        six[2].1 = None;
        assert_eq!(drawn_classes(&found(&six)), [1, 3, 5]);
        assert_eq!(drawn_classes(&found(&six[..2])), [1]);
    }
}
