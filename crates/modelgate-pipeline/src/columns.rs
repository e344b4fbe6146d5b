//! Do the columns exist that the project file names? Read off the header, before any work.

use modelgate_core::rule::GateRule;
use modelgate_data::{Dataset, SourceFile, column_not_there};

use crate::error::PipelineError;
use crate::project::Pipeline;
use crate::stages::dataset::{read_options, source_files};
use crate::stages::judge::pipeline_rules;

/// Checks the columns that `pipeline` names against the header of its source; `false` when the source is not to be looked
/// at here, since it is in a bucket or a command has to bring it.
///
/// # Errors
/// Names a column that is not there, with the nearest of those that are, and a source that is nowhere.
pub fn check_columns(pipeline: &Pipeline<'_>) -> Result<bool, PipelineError> {
    if pipeline.config.data.source.starts_with("s3://") {
        return Ok(false);
    }
    let files = match source_files(pipeline) {
        Ok(files) => files,
        // Another command brings them: they are known, and not here.
        Err(PipelineError::Sharing(_)) => return Ok(false),
        Err(error) => return Err(pipeline.project.placed(error)),
    };
    let Some(first) = files.first() else { return Ok(true) };
    let header = Dataset::column_names(first, &read_options(pipeline))?;
    check(pipeline, &header).map(|()| true)
}

/// Checks the columns that `pipeline` names against those of the first of `files`; one that cannot be read is told by who
/// reads it whole.
pub(crate) fn check_files(pipeline: &Pipeline<'_>, files: &[SourceFile]) -> Result<(), PipelineError> {
    let header = files.first().map(|first| Dataset::column_names(first, &read_options(pipeline)));
    match header {
        Some(Ok(header)) => check(pipeline, &header),
        _ => Ok(()),
    }
}

fn check(pipeline: &Pipeline<'_>, header: &[String]) -> Result<(), PipelineError> {
    let known: Vec<&str> = header.iter().map(String::as_str).collect();
    let dropped = &pipeline.config.preprocess.drop;
    let wrong = |key: String, name: &str| pipeline.wrong(&key, column_not_there("the column", name, &known));
    let data = &pipeline.config.data;
    let single = [
        ("data.target", Some(&data.target)),
        ("data.key", data.key.as_ref()),
        ("data.weight", data.weight.as_ref()),
        ("data.split.column", data.split.column.as_ref()),
    ];
    for (key, name) in single.into_iter().filter_map(|(key, name)| Some((key, name?))) {
        if !known.contains(&name.as_str()) {
            return Err(wrong(key.to_owned(), name));
        }
    }
    if let Some((at, name)) = dropped.iter().enumerate().find(|(_, name)| !known.contains(&name.as_str())) {
        return Err(wrong(format!("preprocess.drop[{at}]"), name));
    }
    let slices = &pipeline.config.evaluate.slices;
    if let Some((at, name)) = slices.iter().enumerate().find(|(_, name)| !known.contains(&name.as_str())) {
        return Err(wrong(format!("evaluate.slices[{at}]"), name));
    }
    let rules = pipeline_rules(pipeline)?;
    let named = rules.iter().flat_map(|rule| rule.slice.keys().map(move |name| (rule, name)));
    for (rule, name) in named {
        if !known.contains(&name.as_str()) {
            return Err(wrong(rule_key(pipeline, rule), name));
        }
    }
    Ok(())
}

/// Returns where a rule of the gate stands, below the pipeline; one of the policy stands elsewhere, and is named.
fn rule_key(pipeline: &Pipeline<'_>, rule: &GateRule) -> String {
    let own = pipeline.config.gate.rules.iter().flatten();
    let at = own.map(modelgate_config::RuleConfig::to_rule).position(|own| own.as_ref() == Ok(rule));
    at.map_or_else(|| format!("gate.rules, `{}`", rule.id), |at| format!("gate.rules[{at}].slice"))
}
