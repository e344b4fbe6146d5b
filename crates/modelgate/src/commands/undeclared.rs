//! Asking once for what a project file does not say: the target and the task.

use std::io::{BufRead, Write};
use std::path::Path;

use modelgate_config::{Undeclared, declare, undeclared};
use modelgate_data::{ColumnType, Dataset, Mixed, read_columns};
use modelgate_pipeline::{PROJECT_FILE, source_files};

use super::data::whole;
use crate::exit::UsageError;
use crate::printer::Printer;

/// A column with more values than this is taken for numbers to predict.
const MOST_CLASSES: usize = 20;

/// Completes the project file above `folder`, if it lacks a target or a task and there is somebody to ask.
///
/// # Errors
/// Without a terminal, says what is missing and which columns there are.
pub(crate) fn complete(folder: &Path, printer: &Printer) -> anyhow::Result<()> {
    let Some(path) = folder.ancestors().map(|folder| folder.join(PROJECT_FILE)).find(|path| path.is_file())
    else {
        return Ok(());
    };
    let Ok(text) = fs_err::read_to_string(&path) else { return Ok(()) };
    let missing = undeclared(&text);
    if missing.is_empty() {
        return Ok(());
    }
    let root = path.parent().unwrap_or(folder);
    if !printer.has_terminal() {
        return Err(not_declared(&missing[0], root).into());
    }
    let answered = ask(text, &missing, root, &mut std::io::stdin().lock(), &mut anstream::stderr().lock())?;
    modelgate_store::atomic::write(&path, answered.as_bytes())?;
    printer.talk(&format!("wrote the answers into {PROJECT_FILE}"));
    Ok(())
}

/// Reads the data as the pipeline does: with what it says of delimiters and words, and from where its files are.
fn columns(missing: &Undeclared, root: &Path) -> anyhow::Result<Dataset> {
    let project = super::open_project(root)?;
    let pipeline = project.pipeline(Some(&missing.pipeline))?;
    Ok(Dataset::open(source_files(&pipeline)?, &whole(&pipeline), Mixed::AsText)?)
}

fn not_declared(missing: &Undeclared, root: &Path) -> UsageError {
    let keys = match (missing.task, missing.target) {
        (true, true) => "`task` and `data.target` are",
        (true, false) => "`task` is",
        _ => "`data.target` is",
    };
    let there = columns(missing, root).map_or_else(
        |error| format!("{} cannot be looked at: {error}", missing.source),
        |dataset| format!("the columns are {}", dataset.schema.names().join(", ")),
    );
    UsageError(format!(
        "{PROJECT_FILE}: pipelines.{}: {keys} not declared; say what is predicted (`data: {{target: COLUMN}}`) and whether it is a \
         `task: classification` or a `task: regression` (on a terminal modelgate asks); {there}",
        missing.pipeline
    ))
}

/// Asks, and returns the completed text.
fn ask(
    mut text: String,
    missing: &[Undeclared],
    root: &Path,
    input: &mut impl BufRead,
    output: &mut impl Write,
) -> anyhow::Result<String> {
    let mut question = |prompt: &str| -> anyhow::Result<String> {
        write!(output, "{prompt}")?;
        output.flush()?;
        let mut line = String::new();
        if input.read_line(&mut line)? == 0 {
            return Err(UsageError("there was no answer; nothing is changed".to_owned()).into());
        }
        Ok(line.trim().to_owned())
    };
    for open in missing {
        let dataset = columns(open, root)?;
        let names = dataset.schema.names();
        let last = names.last().copied().unwrap_or_default();
        let mut target = None;
        if open.target {
            let all = names.join(", ");
            let prompt = format!("pipeline {}: which column is predicted? ({all}) [{last}] ", open.pipeline);
            let found = loop {
                let answer = question(&prompt)?;
                let answer = if answer.is_empty() { last.to_owned() } else { answer };
                if names.contains(&answer.as_str()) {
                    break answer;
                }
            };
            target = Some(found);
        }
        let mut task = None;
        if open.task {
            let guess = guess(&dataset, target.as_deref())?;
            let prompt = format!("pipeline {}: classification or regression? [{guess}] ", open.pipeline);
            task = Some(loop {
                match question(&prompt)?.as_str() {
                    "" => break guess,
                    "c" | "classification" => break "classification",
                    "r" | "regression" => break "regression",
                    _ => {}
                }
            });
        }
        text = declare(&text, &open.pipeline, task, target.as_deref()).ok_or_else(|| {
            UsageError(format!(
                "{PROJECT_FILE}: the answers cannot be written into pipeline `{}`, which is not in block style; add `task: {}` and \
                 `data.target: {}` yourself",
                open.pipeline,
                task.unwrap_or("…"),
                target.as_deref().unwrap_or("…")
            ))
        })?;
    }
    Ok(text)
}

/// Returns what a column looks like: text, bools and few whole numbers are classes.
fn guess(dataset: &Dataset, target: Option<&str>) -> anyhow::Result<&'static str> {
    let Some(target) = target else { return Ok("classification") };
    let column_type = dataset.schema.column(target).map(|column| column.declared.column_type);
    if matches!(column_type, Some(ColumnType::Float | ColumnType::Decimal)) {
        return Ok("regression");
    }
    if column_type != Some(ColumnType::Int) {
        return Ok("classification");
    }
    let table = read_columns(dataset, &[target])?;
    let mut values = std::collections::BTreeSet::new();
    for row in 0..table.rows {
        values.extend(table.columns.iter().filter_map(|column| column.number(row)).map(f64::to_bits));
        if values.len() > MOST_CLASSES {
            return Ok("regression");
        }
    }
    Ok("classification")
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str =
        "version: 1\nproject: p\npipelines:\n  p:\n    data:\n      source: d.csv\n      delimiter: ':'\n";

    fn asked(answers: &str) -> (anyhow::Result<String>, String) {
        let folder = tempfile::tempdir().expect("a folder");
        fs_err::write(folder.path().join("d.csv"), "a:kind:price\n1:x:2.5\n2:y:3.5\n").expect("written");
        fs_err::write(folder.path().join(PROJECT_FILE), FILE).expect("written");
        let mut shown = Vec::new();
        let text =
            ask(FILE.to_owned(), &undeclared(FILE), folder.path(), &mut answers.as_bytes(), &mut shown);
        (text, String::from_utf8(shown).expect("text"))
    }

    #[test]
    fn the_answers_are_written_and_the_task_is_guessed() {
        let (text, shown) = asked("\n\n");
        let text = text.expect("answered");
        assert!(text.contains("task: regression") && text.contains("target: \"price\""), "{text}");
        assert!(shown.contains("(a, kind, price) [price]") && shown.contains("[regression]"), "{shown}");
        let (text, _) = asked("nothing\nkind\nmaybe\n\n");
        let text = text.expect("answered");
        assert!(text.contains("task: classification") && text.contains("target: \"kind\""), "{text}");
    }

    #[test]
    fn no_answer_changes_nothing() {
        assert!(asked("kind\n").0.is_err());
    }
}
