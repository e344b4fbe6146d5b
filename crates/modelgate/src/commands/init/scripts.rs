//! What a model of one's own starts from: a program, what it exports with, and what both import.

use std::path::Path;

use crate::printer::Printer;

/// The program that trains.
const PROGRAM: &str = "train.py";
/// What it is called where there is a program of that name already.
const BESIDE: &str = "train_modelgate.py";
/// What both import.
const REQUIREMENTS: &str = "requirements.txt";

const SCRIPTS: [(&str, &str); 3] = [
    (PROGRAM, include_str!("../../../../../examples/bring-your-own/train.py")),
    ("modelgate_onnx.py", include_str!("../../../../../examples/bring-your-own/modelgate_onnx.py")),
    (REQUIREMENTS, include_str!("../../../../../examples/bring-your-own/requirements.txt")),
];

/// Writes the scripts that are not there, says which of the user's stay and what that means, and returns the program that
/// `train.command` is to run.
pub(super) fn write(folder: &Path, printer: &Printer) -> anyhow::Result<&'static str> {
    let mut program = PROGRAM;
    for (file, text) in SCRIPTS {
        // A script of the user's is theirs.
        let Some(there) = there(&folder.join(file))? else {
            put(folder, file, text, printer)?;
            continue;
        };
        if there == text {
            continue;
        }
        match file {
            PROGRAM => {
                program = BESIDE;
                printer.talk(&format!(
                    "{PROGRAM} is yours and stays: {BESIDE} shows what a program is given and has to leave, and is what a new \
                     `train.command` names until yours does so"
                ));
                if self::there(&folder.join(BESIDE))?.is_none() {
                    put(folder, BESIDE, text, printer)?;
                }
            }
            REQUIREMENTS => {
                let missing = missing(&there, text);
                if !missing.is_empty() {
                    printer.warning(&format!(
                        "{REQUIREMENTS} is yours and stays, and the workflows install from it: what the scripts import is \
                         missing there, {}",
                        missing.join(", ")
                    ));
                }
            }
            file => printer.talk(&format!("{file} is here already and stays")),
        }
    }
    Ok(program)
}

fn put(folder: &Path, file: &str, text: &str, printer: &Printer) -> anyhow::Result<()> {
    modelgate_store::atomic::write(&folder.join(file), text.as_bytes())?;
    printer.talk(&format!("wrote {file}"));
    Ok(())
}

/// Returns what a file holds; `None` when there is none. One that is no text is somebody's, too.
fn there(path: &Path) -> anyhow::Result<Option<String>> {
    match fs_err::read(path) {
        Ok(bytes) => Ok(Some(String::from_utf8_lossy(&bytes).replace("\r\n", "\n"))),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// Returns the name of a package, as pip compares names, of a line of requirements.
fn package(line: &str) -> Option<String> {
    let name: String = line
        .trim()
        .chars()
        .take_while(|letter| letter.is_ascii_alphanumeric() || "-_.".contains(*letter))
        .collect();
    (!name.is_empty() && !name.starts_with('-')).then(|| name.to_lowercase().replace(['_', '.'], "-"))
}

/// Returns the lines of `ours` whose packages `theirs` does not name.
fn missing<'a>(theirs: &str, ours: &'a str) -> Vec<&'a str> {
    let known: Vec<String> = theirs.lines().filter_map(package).collect();
    ours.lines().filter(|line| package(line).is_some_and(|name| !known.contains(&name))).collect()
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;
    use crate::arguments::Arguments;

    #[test]
    fn what_a_program_reads_is_what_was_read_here() {
        let (_, script) = SCRIPTS.into_iter().find(|(name, _)| *name == PROGRAM).expect("the program");
        // `None` and `NA` of a column that is declared as text are values.
        assert!(script.contains("keep_default_na=False, na_values=[\"\"]"));
        assert_eq!(script.matches("pandas.read_csv(").count(), 1, "all reading goes one way");
    }

    #[test]
    fn what_is_missing_in_requirements_of_somebody_is_named() {
        let ours = "# What they import.\nnumpy==2\nonnx==1\nscikit-learn==1\n";
        assert_eq!(missing("NumPy>=1.26\nscikit_learn\n-r more.txt\n", ours), ["onnx==1"]);
        assert_eq!(missing("", ours).len(), 3);
    }

    #[test]
    fn a_program_of_somebody_is_neither_overwritten_nor_called() {
        let folder = tempfile::tempdir().expect("a folder");
        let arguments = Arguments::try_parse_from(["modelgate", "--quiet", "doctor"]).expect("arguments");
        let printer = Printer::new(&arguments);
        assert_eq!(write(folder.path(), &printer).expect("written"), "train.py");
        assert_eq!(write(folder.path(), &printer).expect("there"), "train.py");
        assert!(!folder.path().join(BESIDE).exists());
        fs_err::write(folder.path().join(PROGRAM), "print(1)\n").expect("written");
        assert_eq!(write(folder.path(), &printer).expect("written"), BESIDE);
        assert_eq!(fs_err::read_to_string(folder.path().join(PROGRAM)).expect("read"), "print(1)\n");
        assert_eq!(fs_err::read_to_string(folder.path().join(BESIDE)).expect("read"), SCRIPTS[0].1);
    }
}
