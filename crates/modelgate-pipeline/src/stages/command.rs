//! `train.command`: any program trains, and leaves `model.onnx` or a model of LightGBM or XGBoost.

mod interrupt;
mod placeholders;
mod process;
pub(crate) mod rows;
mod said;
mod secrets;
pub(crate) mod texts;
mod words;

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use modelgate_config::PreprocessConfig;
use modelgate_core::canonical;
use modelgate_data::Table;
use modelgate_data::split::SplitAssignment;
use serde_json::{Value, json};

use crate::error::PipelineError;
use crate::project::Project;
use crate::runner::{Runner, Work};
use crate::stage::Stage;
use crate::stages::data;

pub use interrupt::Interrupt;
use placeholders::quoted;
use process::{Ended, Heard, follow, shell};
use rows::csv;
pub use secrets::keep_from_programs;
use secrets::{Secrets, withhold};
use texts::{Contents, Texts};

/// The name of the output that holds the model as it came, whatever its form.
pub(crate) const MODEL: &str = "model.onnx";

/// How the names of the folders begin that hold the rows while a program trains.
const FOLDER: &str = "train-";

/// Removes what runs that were killed have left of the rows. Whoever calls it holds the project's lock: nobody trains.
pub(crate) fn remove_left(project: &Project) {
    let Ok(entries) = fs_err::read_dir(project.state_folder()) else { return };
    for entry in entries.flatten() {
        if entry.file_name().to_string_lossy().starts_with(FOLDER) {
            // What cannot be removed now stands in nobody's way.
            let _ = fs_err::remove_dir_all(entry.path());
        }
    }
}

/// Returns the command of the pipeline, if it has one.
pub(crate) fn command<'a>(runner: &'a Runner<'_>) -> Option<&'a str> {
    runner.pipeline.config.train.command.as_deref()
}

/// Returns whether the graph comes from elsewhere: a program, or a file that is imported.
pub(crate) fn is_foreign(runner: &Runner<'_>) -> bool {
    runner.options.import.is_some() || command(runner).is_some()
}

/// Takes the model of a file, to be judged on rows of `source`.
pub(crate) fn import(path: &Path, source: &str) -> Result<Work, PipelineError> {
    let bytes = fs_err::read(path)?;
    modelgate_model::ForeignModel::read(&bytes).map_err(|error| {
        let hint = pickle_hint(&bytes, path.extension().is_some_and(|end| end == "skops"));
        PipelineError::Policy(format!("{} cannot be imported: {error}{hint}", path.display()))
    })?;
    let summary = format!("imported {} bytes from {}", bytes.len(), path.display());
    // Nobody but its maker knows which rows those are.
    let warnings = vec![format!(
        "rows that the model was trained on prove nothing: its figures count where `{source}` has rows that it has never seen"
    )];
    Ok(Work { outputs: [(MODEL.to_owned(), bytes)].into(), summary, warnings, ..Work::default() })
}

/// Says of what looks like a pickle why it is not loaded.
fn pickle_hint(bytes: &[u8], is_named_so: bool) -> &'static str {
    // From protocol 2 on it begins with its own byte.
    if is_named_so || matches!(bytes, [0x80, 2..=5, ..]) {
        "; pickled models are never loaded, since loading one runs its code: docs/migrate.md converts it to ONNX"
    } else {
        ""
    }
}

/// Returns what the command's program is made of.
fn texts(pipeline: &crate::Pipeline<'_>, command: &str) -> Result<Texts, PipelineError> {
    let inputs = pipeline.config.train.inputs.as_deref();
    Texts::of(&pipeline.project.root, command, inputs).map_err(|reason| PipelineError::Setting {
        pipeline: pipeline.name.to_owned(),
        key: "train.inputs",
        reason,
    })
}

fn contents(runner: &Runner<'_>, command: &str) -> Result<Contents, PipelineError> {
    let texts = texts(runner.pipeline, command)?;
    let contents = texts.contents(&runner.pipeline.project.root, &runner.index);
    // An index that cannot be written only costs reading again.
    let _ = runner.index.save();
    Ok(contents)
}

/// Returns what the result depends on beside the data: the command, its parameters, and the files of its program, so that a
/// changed script trains again.
pub(crate) fn settings(runner: &Runner<'_>, command: &str) -> Result<Value, PipelineError> {
    let config = runner.pipeline.config;
    let params = json!(config.train.params);
    let mut settings = texts::settings(command, &params, &contents(runner, command)?);
    // A column that the program would get, though it is no feature: what `preprocess` leaves does not tell whether it has it.
    let (key, split) = (config.data.key.as_ref(), config.data.split.column.as_ref());
    let kept_back: BTreeSet<&String> = [key, split, config.data.weight.as_ref()]
        .into_iter()
        .flatten()
        .filter(|name| config.preprocess.drop.contains(name))
        .collect();
    if !kept_back.is_empty() {
        settings["kept_back"] = json!(kept_back);
    }
    Ok(settings)
}

/// Returns what a person should know of a command before it runs.
pub fn doubts(pipeline: &crate::Pipeline<'_>) -> Result<Vec<String>, PipelineError> {
    let config = pipeline.config;
    let Some(command) = config.train.command.as_deref() else { return Ok(Vec::new()) };
    let mut found = placeholders::doubts(command);
    let chosen = config.train.inputs.is_some();
    found.extend(texts(pipeline, command)?.doubts(&pipeline.project.root, chosen));
    found.extend(without_effect(&config.preprocess));
    Ok(found)
}

/// Says which settings do nothing where a program gets the rows as they are.
fn without_effect(preprocess: &PreprocessConfig) -> Option<String> {
    let usual = PreprocessConfig::default();
    let set = [
        ("missing", preprocess.missing != usual.missing),
        ("scale", preprocess.scale != usual.scale),
        ("encode", preprocess.encode != usual.encode),
        ("unknown_category", preprocess.unknown_category != usual.unknown_category),
    ];
    let set: Vec<String> =
        set.iter().filter(|(_, set)| *set).map(|(key, _)| format!("`preprocess.{key}`")).collect();
    (!set.is_empty()).then(|| {
        format!(
            "{} {} nothing here: the program of train.command gets the rows as they are; take {} out",
            set.join(", "),
            if set.len() == 1 { "does" } else { "do" },
            if set.len() == 1 { "it" } else { "them" }
        )
    })
}

/// Runs the command and returns the graph that it left.
pub(crate) fn train(runner: &mut Runner<'_>) -> Result<Work, PipelineError> {
    let table = data::table(runner)?;
    let split = data::assignment(runner)?;
    let Some(text) = runner.pipeline.config.train.command.clone() else { return Ok(Work::default()) };
    let started = Instant::now();
    let before = contents(runner, &text)?;
    let bytes = fit(runner, &text, &table, &split)?;
    let summary = format!(
        "`{}` on {} rows: {} bytes in {:.1} s",
        text.chars().take(60).collect::<String>(),
        split.train.len(),
        bytes.len(),
        started.elapsed().as_secs_f64()
    );
    let mut warnings = doubts(runner.pipeline)?;
    warnings.extend(contents(runner, &text)?.written_since(&before));
    let params = canonical::to_string(&runner.pipeline.config.train.params)?.into_bytes();
    let details = json!({
        "command": text,
        "train_rows": split.train.len(),
        "validation_rows": split.validation.len(),
        "model_bytes": bytes.len(),
    });
    let outputs = [
        (MODEL.to_owned(), bytes),
        ("params".to_owned(), params),
        ("details".to_owned(), canonical::to_string(&details)?.into_bytes()),
    ];
    Ok(Work { outputs: outputs.into(), summary, warnings, ..Work::default() })
}

/// Gives the rows of `table` to the command `text` and returns the graph that it left, which can be used.
pub(crate) fn fit(
    runner: &mut Runner<'_>,
    text: &str,
    table: &Table,
    split: &SplitAssignment,
) -> Result<Vec<u8>, PipelineError> {
    let config = runner.pipeline.config;
    let state = runner.pipeline.project.state_folder();
    fs_err::create_dir_all(&state)?;
    let folder = tempfile::Builder::new().prefix(FOLDER).tempdir_in(&state)?;
    let path = |name: &str| folder.path().join(name);
    let dropped = &config.preprocess.drop;
    let key = config.data.key.clone().filter(|key| !dropped.contains(key));
    let whole = data::whole_classes(runner.pipeline, table)?;
    fs_err::write(path("train.csv"), csv(table, &split.train, dropped, whole))?;
    fs_err::write(path("validation.csv"), csv(table, &split.validation, dropped, whole))?;
    let seed = config.seed.to_string();
    let values = [
        ("train", path("train.csv").display().to_string()),
        ("validation", path("validation.csv").display().to_string()),
        ("output", path(MODEL).display().to_string()),
        ("seed", seed),
        ("target", config.data.target.clone()),
        ("key", key.unwrap_or_default()),
        ("features", json!(data::run_features(runner)?).to_string()),
        ("params", json!(config.train.params).to_string()),
    ];
    let line = placeholders::filled(text, &values);
    let mut program = shell(&line);
    program.current_dir(&runner.pipeline.project.root).stdin(Stdio::null());
    program.stdout(Stdio::piped()).stderr(Stdio::piped());
    withhold(&mut program);
    let secrets = Secrets::of(runner.pipeline.project);
    for (name, value) in &values {
        program.env(format!("MODELGATE_{}", name.to_uppercase()), value);
    }
    let limit = Duration::from_secs(config.train.timeout_seconds);
    let reporter = &mut *runner.reporter;
    let mut hear = |heard: Heard<'_>| match heard {
        Heard::Line(line) => reporter.said(Stage::Train, line),
        Heard::Note(sentence) => reporter.note(sentence),
    };
    let (ended, last) = follow(&mut program, limit, folder.path(), &secrets, &mut hear).map_err(|error| {
        PipelineError::Policy(format!("train.command `{text}` could not be started: {error}"))
    })?;
    let failed = |what: String| {
        let said = if last.is_empty() {
            "it printed nothing".to_owned()
        } else {
            format!("its last lines:\n{}", last.join("\n"))
        };
        PipelineError::Policy(format!("train.command `{text}` {what}; {said}"))
    };
    match ended {
        Ended::TimedOut => {
            return Err(failed(format!("did not end within {} s (train.timeout_seconds)", limit.as_secs())));
        }
        Ended::Interrupted(interrupt) => return Err(PipelineError::Interrupted(interrupt)),
        Ended::With(Some(0)) => {}
        Ended::With(Some(code)) => return Err(failed(format!("ended with exit code {code}"))),
        Ended::With(None) => return Err(failed("was ended by a signal".to_owned())),
    }
    let bytes = match fs_err::read(path(MODEL)) {
        Ok(bytes) if !bytes.is_empty() => bytes,
        _ => {
            return Err(failed(
                "ended well and left no model: write the ONNX graph, LightGBM's text or XGBoost's JSON to the path in {output} or $MODELGATE_OUTPUT".to_owned(),
            ));
        }
    };
    // A wrong graph is told here, where the program's output is at hand.
    if let Err(error) = modelgate_model::ForeignModel::read(&bytes) {
        let hint = pickle_hint(&bytes, false);
        return Err(failed(format!("left a model that cannot be used: {error}{hint}")));
    }
    Ok(bytes)
}

/// Says that `command` cannot go with what it replaces.
pub(crate) fn check(folder: &Path, command: &str) -> Result<(), String> {
    let first = command.split_whitespace().next().ok_or_else(|| "`command` is empty".to_owned())?;
    let local = first.contains('/') && !first.contains('{');
    if local && !folder.join(first).exists() {
        return Err(format!("there is no program `{first}`; paths are relative to the project"));
    }
    Ok(())
}

/// Returns what `command` needs first and does not find: its program, or the text that this is given. What only the shell
/// can tell, such as a word with a placeholder, is not doubted.
pub fn missing_for(folder: &Path, command: &str) -> Option<String> {
    let plain = |word: &&str| {
        word.chars().all(|letter| letter.is_ascii_alphanumeric() || "_-./+:@\\".contains(letter))
    };
    // Variables that the command is given stand before it.
    let is_setting = |word: &&str| {
        word.split_once('=').is_some_and(|(name, _)| {
            !name.is_empty() && name.chars().all(|letter| letter.is_ascii_alphanumeric() || letter == '_')
        })
    };
    let mut words = command.split_whitespace().skip_while(is_setting);
    let program = words.next().filter(plain)?;
    if !is_program(folder, program) {
        return Some(format!("there is no program `{program}`: install it, or name one that is there"));
    }
    let text = words.find(|word| !word.starts_with('-')).filter(plain)?;
    let missing = texts::is_source(Path::new(text)) && !folder.join(text).exists();
    missing.then(|| format!("there is no `{text}`; paths are relative to the project"))
}

fn is_executable(path: &Path) -> bool {
    let Ok(metadata) = fs_err::metadata(path) else { return false };
    #[cfg(unix)]
    let may = std::os::unix::fs::PermissionsExt::mode(&metadata.permissions()) & 0o111 != 0;
    #[cfg(not(unix))]
    let may = true;
    metadata.is_file() && may
}

/// Asks the shell that would start it.
fn is_program(folder: &Path, program: &str) -> bool {
    if program.contains(['/', '\\']) {
        return is_executable(&folder.join(program));
    }
    let question = if cfg!(windows) { "where" } else { "command -v --" };
    let mut asked = shell(&format!("{question} {}", quoted(program)));
    asked.current_dir(folder).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    asked.status().is_ok_and(|status| status.success())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(unix)]
    #[test]
    fn what_a_command_needs_first_is_looked_for() {
        let folder = tempfile::tempdir().expect("a folder");
        fs_err::write(folder.path().join("train.py"), "").expect("written");
        fs_err::write(folder.path().join("fit"), "#!/bin/sh\n").expect("written");
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        fs_err::set_permissions(folder.path().join("fit"), mode).expect("a program");
        let missing = |command: &str| missing_for(folder.path(), command).unwrap_or_default();
        for fine in [
            "sh train.py {train} {output}",
            "cp model.onnx {output}",
            "./fit --seed {seed}",
            "SEED={seed} sh -e train.py",
            // Only the shell can tell.
            "{program} train.py",
            "(cd src && ./fit)",
            "\"$HOME/fit\" x",
            "cd src && ./fit",
        ] {
            assert_eq!(missing(fine), "", "{fine}");
        }
        assert!(missing("no-such-program train.py").contains("no program `no-such-program`"));
        assert!(missing("SEED=1 no-such-program").contains("no program `no-such-program`"));
        assert!(missing("./train.py").contains("no program `./train.py`"));
        assert!(missing("sh -e other.sh {train}").contains("there is no `other.sh`"));
    }

    #[test]
    fn a_pickle_is_told_what_to_do_with() {
        assert!(pickle_hint(b"\x80\x04\x95rest", false).contains("docs/migrate.md"));
        assert_eq!(pickle_hint(b"\x08\x07onnx", false), "");
    }

    #[test]
    fn settings_that_a_program_does_not_see_are_told() {
        let mut preprocess = PreprocessConfig { drop: vec!["id".to_owned()], ..PreprocessConfig::default() };
        assert_eq!(without_effect(&preprocess), None);
        preprocess.scale = modelgate_config::ScaleName::Standard;
        let told = without_effect(&preprocess).expect("told");
        assert!(told.starts_with("`preprocess.scale` does nothing here"), "{told}");
        preprocess.encode = modelgate_config::EncodeName::Ordinal;
        let told = without_effect(&preprocess).expect("told");
        assert!(told.starts_with("`preprocess.scale`, `preprocess.encode` do nothing here"), "{told}");
    }
}
