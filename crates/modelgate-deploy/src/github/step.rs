//! What a step leaves behind: its summary, its outputs, and annotations in its log.

use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::io::Write;
use std::path::Path;

use super::check::Annotation;
use super::escape;

/// Bytes of a step's summary; with one more, GitHub shows none of it.
const SUMMARY: u64 = 1 << 20;
/// Annotations of a step that are shown.
const SHOWN: usize = 10;

/// Appends the report to the summary in `path` (`GITHUB_STEP_SUMMARY`), cut to what is left of its limit.
///
/// # Errors
/// Fails when the file cannot be written.
pub fn summary(path: &Path, report: &str) -> std::io::Result<()> {
    let taken = fs_err::metadata(path).map_or(0, |data| data.len());
    let left = SUMMARY.saturating_sub(taken + 2) as usize;
    // Characters have up to four bytes.
    let report = if report.len() <= left {
        report.to_owned()
    } else {
        escape::cut(report, left / 4, "see the files of the run")
    };
    append(path, &format!("{report}\n"))
}

/// Appends outputs to `path` (`GITHUB_OUTPUT`).
///
/// # Errors
/// Fails when the file cannot be written.
pub fn outputs(path: &Path, values: &[(&str, &str)]) -> std::io::Result<()> {
    let mut text = String::new();
    for (name, value) in values {
        // Nobody can know the word at which the value ends.
        let word = format!("modelgate_{:016x}", RandomState::new().hash_one(name));
        text.push_str(&format!("{name}<<{word}\n{value}\n{word}\n"));
    }
    append(path, &text)
}

/// Returns the commands that put annotations beside lines, for the log of the step.
pub fn annotations(annotations: &[Annotation]) -> Vec<String> {
    let one = |annotation: &Annotation| {
        let level = if annotation.failed { "error" } else { "warning" };
        let (path, title) = (escape::property(&annotation.path), escape::property(&annotation.title));
        format!(
            "::{level} file={path},line={},title={title}::{}",
            annotation.line,
            escape::message(&annotation.message)
        )
    };
    annotations.iter().take(SHOWN).map(one).collect()
}

fn append(path: &Path, text: &str) -> std::io::Result<()> {
    fs_err::OpenOptions::new().create(true).append(true).open(path)?.write_all(text.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_summary_stays_below_its_limit_and_says_so() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("summary.md");
        summary(&path, "# First").expect("written");
        summary(&path, &"long line of the report\n".repeat(100_000)).expect("written");
        let text = fs_err::read_to_string(&path).expect("read");
        assert!(text.len() < 1 << 20, "{}", text.len());
        assert!(text.starts_with("# First\n") && text.contains("It does not fit here"));
    }

    #[test]
    fn outputs_may_hold_several_lines() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("output");
        outputs(&path, &[("verdict", "passed"), ("text", "a\nb=c")]).expect("written");
        let text = fs_err::read_to_string(&path).expect("read");
        let lines: Vec<&str> = text.lines().collect();
        assert!(lines[0].starts_with("verdict<<modelgate_"));
        assert_eq!((lines[1], lines[4], lines[5]), ("passed", "a", "b=c"));
        assert_eq!(lines[0].split_once("<<").map(|(_, word)| word), Some(lines[2]));
    }
}
