//! `modelgate init`.

mod classes;
mod parts;
mod rows;
mod scripts;
mod task;

use std::path::Path;

use modelgate_config::TaskKind;
use modelgate_core::ModelName;
use modelgate_data::{
    DataError, Dataset, NO_SUCH_NAME, ReadOptions, column_not_there, find_files, is_pandas_index,
};
use modelgate_pipeline::PROJECT_FILE;

use super::ci::check_place;
use crate::arguments::ci::{self, Ci};
use crate::arguments::{Init, TaskName, TemplateName};
use crate::exit::{Exit, UsageError};
use crate::printer::Printer;

pub(crate) fn execute(init: &Init, folder: &Path, printer: &Printer) -> anyhow::Result<Exit> {
    let path = folder.join(PROJECT_FILE);
    let own = init.template == Some(TemplateName::BringYourOwn);
    if path.exists() && own {
        // The scripts are of use to a project that is there: a model is moved in later, too.
        scripts::write(folder, printer)?;
        printer.talk(&format!("`{PROJECT_FILE}` is here already; it was not touched"));
        return Ok(Exit::Passed);
    }
    if path.exists() {
        return Err(UsageError(format!(
            "`{PROJECT_FILE}` is here already; it was not touched: change it there, or delete it to begin anew"
        ))
        .into());
    }
    if !own && let Some(sentence) = absent(folder, &init.source) {
        return Err(UsageError(sentence).into());
    }
    let name = init.name.clone().unwrap_or_else(|| name_of(folder));
    let name: ModelName = name.parse().map_err(|error| UsageError(format!("--name: {error}")))?;
    if init.ci {
        // Found out before anything is written.
        check_place(&std::path::absolute(folder)?, name.as_str())?;
    }
    let written = if own { modelgate_config::command_template } else { modelgate_config::template };
    let header = header(folder, &init.source);
    if let Err(reason) = &header {
        printer.warning(reason);
    }
    let unread = header.is_err();
    let header = header.unwrap_or_default();
    let target = target(init.target.as_deref(), header.as_deref())?;
    let rows = header.as_ref().and_then(|_| rows::read(folder, &init.source));
    let task = match (init.template, init.task) {
        (Some(TemplateName::Regression), _) | (_, Some(TaskName::Regression)) => TaskKind::Regression,
        (Some(TemplateName::Classification), _) | (_, Some(TaskName::Classification)) => {
            TaskKind::Classification
        }
        _ => match rows.as_ref().zip(target).and_then(|(rows, target)| task::numbers(rows, target)) {
            Some(reason) => {
                printer.talk(&format!(
                    "the task is a regression, since {reason}; where they are classes, `--task classification` says so"
                ));
                TaskKind::Regression
            }
            None => TaskKind::Classification,
        },
    };
    let text = written(name.as_str(), &init.source, target.unwrap_or(DEFAULT_TARGET), task);
    let classes = rows.as_ref().zip(target).filter(|_| task == TaskKind::Classification);
    let text = match classes.and_then(|(rows, target)| classes::uneven(rows, target)) {
        Some(reason) => {
            printer.talk(&format!("the bound in {PROJECT_FILE} is on balanced_accuracy: {reason}"));
            modelgate_config::with_rare_class(&text, &reason)
        }
        None => text,
    };
    let text = match rows.and_then(|rows| too_few(&rows, &text)) {
        Some(reason) => {
            printer.talk(&format!("the rule on slices is a comment in {PROJECT_FILE}: {reason}"));
            modelgate_config::without_slices(&text, &reason)
        }
        None => text,
    };
    let text = match own.then(|| scripts::write(folder, printer)).transpose()? {
        Some(program) => text.replace("python3 train.py ", &format!("python3 {program} ")),
        None => text,
    };
    modelgate_store::atomic::write(&path, text.as_bytes())?;
    let ignore = folder.join(".gitignore");
    let before = fs_err::read_to_string(&ignore).unwrap_or_default();
    let missing: Vec<&str> = [".modelgate/", "outputs/", "models/packaged/", ".env"]
        .into_iter()
        .filter(|line| !before.lines().any(|known| known.trim() == *line))
        .collect();
    if !missing.is_empty() {
        let separator = if before.is_empty() || before.ends_with('\n') { "" } else { "\n" };
        let text = format!("{before}{separator}{}\n", missing.join("\n"));
        modelgate_store::atomic::write(&ignore, text.as_bytes())?;
    }
    printer.talk(&format!("wrote {PROJECT_FILE} and .gitignore"));
    if init.ci {
        let workflows = Ci::Init(ci::Init::default());
        return super::ci::execute(&workflows, &super::project(folder)?, printer);
    }
    printer.talk(&match (header, target) {
        (Some(header), None) => format!(
            "next: set `target` in {PROJECT_FILE} to the column to predict, such as {}, then `modelgate run`; there is \
             no column `{DEFAULT_TARGET}`",
            candidates(&header)
        ),
        (Some(_), Some(_)) => "next: `modelgate run`".to_owned(),
        (None, _) if unread => format!(
            "next: mend the data, see to it that `target` in {PROJECT_FILE} is the column to predict, then `modelgate run`"
        ),
        (None, _) => {
            format!("next: put your data at `{}`, set `target`, then `modelgate run`", init.source)
        }
    });
    Ok(Exit::Passed)
}

/// What `--source` is when nobody names one: a place for data that come yet.
const DEFAULT_SOURCE: &str = "data/raw/data.csv";

/// Says that a source which somebody has named is not here, and what is. What DVC keeps may come with a pull.
fn absent(folder: &Path, source: &str) -> Option<String> {
    let pulled = folder.join(".dvc").is_dir() || folder.join(format!("{source}.dvc")).is_file();
    let is_here = !matches!(header(folder, source), Ok(None));
    if source == DEFAULT_SOURCE || pulled || is_here {
        return None;
    }
    let tables = ["csv", "tsv", "parquet", "jsonl"];
    let mut near: Vec<String> = fs_err::read_dir(folder)
        .into_iter()
        .flatten()
        .flatten()
        .filter(|entry| entry.path().extension().is_some_and(|end| tables.iter().any(|table| end == *table)))
        .map(|entry| format!("`{}`", entry.file_name().to_string_lossy()))
        .collect();
    near.sort();
    near.truncate(5);
    let near = if near.is_empty() { String::new() } else { format!("; here are {}", near.join(", ")) };
    Some(format!(
        "--source: there is no file `{source}`, and nothing was written{near}; name the file with your data, or put it there first"
    ))
}

/// Returns why the rule on slices of a first project file could judge nothing, if so.
fn too_few(rows: &rows::Rows, text: &str) -> Option<String> {
    let config = modelgate_config::parse(text, Path::new(PROJECT_FILE)).ok()?;
    parts::too_few(rows, config.pipelines.values().next()?)
}

/// What the target is called when nobody says so.
const DEFAULT_TARGET: &str = "target";

/// Returns the columns of the source; `None` when it is not here.
///
/// # Errors
/// Says why it cannot be read, when it is here.
fn header(folder: &Path, source: &str) -> Result<Option<Vec<String>>, String> {
    let files = match find_files(folder, source) {
        Ok(files) => files,
        Err(DataError::File { message, .. }) if message == NO_SUCH_NAME => return Ok(None),
        Err(error) => return Err(error.to_string()),
    };
    let Some(first) = files.first().filter(|file| file.on_disk().is_some_and(Path::exists)) else {
        return Ok(None);
    };
    let names = Dataset::column_names(first, &ReadOptions::default());
    names.map(Some).map_err(|error| error.to_string())
}

/// Returns the column to predict; `None` when nobody has named one, and none of the header has the default's name.
///
/// # Errors
/// Names the nearest column for one that is not there.
fn target<'a>(named: Option<&'a str>, header: Option<&[String]>) -> Result<Option<&'a str>, UsageError> {
    let Some(header) = header else { return Ok(Some(named.unwrap_or(DEFAULT_TARGET))) };
    let known: Vec<&str> = header.iter().map(String::as_str).collect();
    match named {
        Some(name) if !known.contains(&name) => {
            Err(UsageError(format!("--target: {}", column_not_there("the column", name, &known))))
        }
        Some(name) => Ok(Some(name)),
        None => Ok(known.contains(&DEFAULT_TARGET).then_some(DEFAULT_TARGET)),
    }
}

/// Names by which a column to predict often goes.
const COMMON: [&str; 9] =
    ["label", "class", "y", "outcome", "species", "churn", "price", "survived", "quality"];

/// Returns the columns that are most likely to be what is predicted: those with a common name, else the last.
fn candidates(header: &[String]) -> String {
    let common = header.iter().filter(|name| COMMON.contains(&name.to_lowercase().as_str()));
    let mut found: Vec<&String> = common.collect();
    let last = header.iter().rfind(|name| !is_pandas_index(name));
    found.extend(last.filter(|last| !found.contains(last)));
    found.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(" or ")
}

/// Makes a name of a folder's.
fn name_of(folder: &Path) -> String {
    let name = folder.file_name().unwrap_or_default().to_string_lossy().to_lowercase();
    let kept: String =
        name.chars().map(|letter| if letter.is_ascii_alphanumeric() { letter } else { '-' }).collect();
    let kept = kept.trim_matches('-');
    if kept.is_empty() { "project".to_owned() } else { kept.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_source_that_is_here_and_cannot_be_read_is_told_from_one_that_is_not_here() {
        let folder = tempfile::tempdir().expect("folder");
        let write = |text: &str| fs_err::write(folder.path().join("a.csv"), text).expect("written");
        assert_eq!(header(folder.path(), "a.csv"), Ok(None));
        assert_eq!(header(folder.path(), "*.csv"), Ok(None));
        let said = |source: &str| absent(folder.path(), source);
        assert!(said("a.csv").is_some_and(|said| said.contains("no file `a.csv`, and nothing was written;")));
        assert_eq!(said(DEFAULT_SOURCE), None);
        write("x,y\n1,2\n");
        assert_eq!(header(folder.path(), "*.csv"), Ok(Some(vec!["x".to_owned(), "y".to_owned()])));
        write(",y\n0,2\n");
        assert!(absent(folder.path(), "b.csv").is_some_and(|said| said.contains("here are `a.csv`; name")));
        assert_eq!(absent(folder.path(), "a.csv"), None);
        fs_err::write(folder.path().join("b.csv.dvc"), "").expect("written");
        assert_eq!(absent(folder.path(), "b.csv"), None);
        let reason = header(folder.path(), "a.csv").expect_err("the index of pandas");
        assert!(reason.contains("to_csv(…, index=False)"), "{reason}");
    }
}
