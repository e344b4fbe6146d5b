//! The folder of plots: what an earlier run left, and the figures over versions.

use std::collections::BTreeMap;

use modelgate_config as config;
use modelgate_registry::Registry;

use crate::averaged;
use crate::project::Pipeline;

/// Removes plots that an earlier run left and this one does not draw.
pub(crate) fn drop_stale_plots(folder: &std::path::Path, outputs: &BTreeMap<String, modelgate_core::Digest>) {
    let Ok(entries) = fs_err::read_dir(folder.join("plots")) else { return };
    for entry in entries.flatten() {
        let name = format!("plots/{}", entry.file_name().to_string_lossy());
        if !outputs.contains_key(&name) {
            // One that cannot be removed is only in the way.
            let _ = fs_err::remove_file(entry.path());
        }
    }
}

/// Draws the main figures of the registered versions; `None` with fewer than two.
pub(crate) fn history(
    registry: Option<&Registry>,
    pipeline: &Pipeline<'_>,
    on: modelgate_core::rule::Subset,
) -> Option<modelgate_evaluate::Plot> {
    const LAST: usize = 40;
    let registry = registry?;
    let state = registry.state().models.get(&pipeline.model)?;
    if state.versions.len() < 2 {
        return None;
    }
    let last = state.versions.keys().skip(state.versions.len().saturating_sub(LAST));
    let versions: Vec<_> = last
        .filter_map(|version| Some((version, registry.registration(&pipeline.model, *version).ok()?)))
        .collect();
    let names: [&str; 3] = if pipeline.config.task == config::TaskKind::Regression {
        ["rmse", "mae", "median_ae"]
    } else {
        ["accuracy", "f1", "roc_auc"]
    };
    let average = averaged::average(pipeline);
    let line = |metric: &str| modelgate_evaluate::Line {
        name: metric.to_owned(),
        values: versions.iter().map(|(_, found)| averaged::told(&found.metrics, metric, average)).collect(),
    };
    let steps: Vec<String> = versions.iter().map(|(version, _)| version.to_string()).collect();
    let title = format!("{}: figures over versions", pipeline.name);
    let note = format!("on {on}, each on the data of its day");
    modelgate_evaluate::lines_plot(&title, &note, &steps, &names.map(line)).ok()
}
