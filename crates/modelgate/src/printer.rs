//! The one place that prints: stdout is data, stderr is talk.

use std::borrow::Cow;
use std::io::{ErrorKind, IsTerminal, Write};
use std::sync::OnceLock;

use anstream::adapter::strip_str;
use anstream::{AutoStream, ColorChoice};
use modelgate_core::{ModelName, VersionNumber};
use modelgate_data::DataError;
use modelgate_pipeline::PipelineError;
use owo_colors::{OwoColorize, Style};
use serde_json::json;

use crate::arguments::{Arguments, OutputFormat};
use crate::environment;

/// Prints data and talk; colour only on a terminal and without `NO_COLOR`.
pub(crate) struct Printer {
    format: OutputFormat,
    quiet: bool,
    /// Whether GitHub Actions reads along, and does what a line tells it.
    in_actions: bool,
    /// Why stdout took no more, once that was so. What is judged and done does not hang on who reads of it.
    unwritten: OnceLock<std::io::Error>,
}

impl Printer {
    pub(crate) fn new(arguments: &Arguments) -> Self {
        let in_actions = environment::in_actions();
        Self {
            format: arguments.output_format,
            quiet: arguments.quiet,
            in_actions,
            unwritten: OnceLock::new(),
        }
    }

    /// Returns a line as it may be printed: names from data do nothing in it.
    fn safe<'a>(&self, line: &'a str) -> Cow<'a, str> {
        let line = clean(line);
        if self.in_actions && (line.contains("::") || line.contains(MARK)) {
            return Cow::Owned(without_commands(&line));
        }
        line
    }

    /// Returns whether data is asked for as JSON.
    pub(crate) fn is_json(&self) -> bool {
        self.format == OutputFormat::Json
    }

    /// Returns whether nothing but errors is to be said.
    pub(crate) fn is_quiet(&self) -> bool {
        self.quiet
    }

    /// Prints one line of data. That nobody takes it is told at the end of the command ([`Printer::unwritten`]) and stops
    /// nothing: a closed pipe must neither turn a verdict into another one nor keep from being done what follows from it.
    #[expect(
        clippy::unnecessary_wraps,
        reason = "a printer may fail, though this one tells of it at the end"
    )]
    pub(crate) fn data(&self, line: &str) -> std::io::Result<()> {
        self.print(&self.safe(line));
        Ok(())
    }

    /// Prints a command to GitHub Actions, whose parts are escaped.
    pub(crate) fn command(&self, line: &str) {
        self.print(&clean(line));
    }

    fn print(&self, text: &str) {
        let stdout = std::io::stdout();
        self.write(|| {
            if AutoStream::choice(&stdout) == ColorChoice::Never {
                // At once: piece by piece between colours, a long list would be a write for each line.
                let plain = format!("{}\n", strip_str(text));
                return stdout.lock().write_all(plain.as_bytes());
            }
            writeln!(anstream::stdout().lock(), "{text}")
        });
    }

    /// Prints a value as JSON, as [`Printer::data`] prints a line.
    pub(crate) fn json<T: serde::Serialize>(&self, value: &T) -> anyhow::Result<()> {
        let mut text = escape_controls(modelgate_core::canonical::to_pretty(value)?);
        if self.in_actions && text.contains(MARK) {
            // In JSON it stands within a string.
            text = text.replace(MARK, "##\\u005b");
        }
        self.write(|| write!(anstream::stdout().lock(), "{text}"));
        Ok(())
    }

    fn write(&self, write: impl FnOnce() -> std::io::Result<()>) {
        if self.unwritten.get().is_none()
            && let Err(error) = write()
        {
            let _ = self.unwritten.set(error);
        }
    }

    /// Returns why not all data could be printed, unless the reader only had enough of it.
    pub(crate) fn unwritten(&self) -> Option<&std::io::Error> {
        self.unwritten.get().filter(|error| error.kind() != ErrorKind::BrokenPipe)
    }

    /// Gives stdout to `print`, which only shows something: a reader that goes away ends it, and that is no error.
    pub(crate) fn stream(
        &self,
        print: impl FnOnce(&mut dyn Write) -> anyhow::Result<()>,
    ) -> anyhow::Result<()> {
        let mut output = std::io::BufWriter::new(anstream::stdout().lock());
        let printed = print(&mut output).and_then(|()| Ok(output.flush()?));
        // What is left in the buffer has no reader either.
        let _ = output.into_parts();
        let closed = |error: &anyhow::Error| error.chain().any(is_broken_pipe);
        printed.or_else(|error| if closed(&error) { Ok(()) } else { Err(error) })
    }

    /// Prints one line of talk.
    pub(crate) fn talk(&self, line: &str) {
        if !self.quiet {
            // What `line` showed is written over.
            if std::io::stderr().is_terminal() && writes_over(&environment::variable) {
                let _ = write!(anstream::stderr().lock(), "\r\x1b[2K");
            }
            // Talk that cannot be printed must not end the work.
            let _ = writeln!(anstream::stderr().lock(), "{}", self.safe(line));
        }
    }

    /// Says what a command would do with a version of a model, were it not for `--dry-run`.
    pub(crate) fn would(&self, model: &ModelName, version: VersionNumber, what: &str) -> anyhow::Result<()> {
        if self.is_json() {
            return self.json(&json!({
                "schema_version": 1, "dry_run": true, "model": model, "version": version, "would": what,
            }));
        }
        Ok(self.data(&format!("{model}: {version} would {what}; nothing was done"))?)
    }

    /// Prints talk that the next such line takes the place of; only on a terminal that knows how.
    pub(crate) fn overwritten(&self, line: &str) {
        let stderr = std::io::stderr();
        if !self.quiet && stderr.is_terminal() && writes_over(&environment::variable) {
            let mut stderr = stderr.lock();
            let _ = write!(stderr, "\r\x1b[2K{}", clean(line));
            let _ = stderr.flush();
        }
    }

    /// Prints a warning.
    pub(crate) fn warning(&self, text: &str) {
        self.talk(&format!("{} {text}", "warning:".style(Style::new().yellow().bold())));
    }

    /// Prints an error, its causes and its hint, also when quiet.
    pub(crate) fn error(&self, error: &anyhow::Error) {
        let mut stderr = anstream::stderr().lock();
        let mut before = String::new();
        for cause in error.chain() {
            let text = told(cause, environment::shows_values());
            // A transparent wrapper repeats its source.
            if before.contains(&text) {
                continue;
            }
            let label = if before.is_empty() { "error:" } else { "cause:" };
            let placed = crate::dotenv::placed(&text);
            let _ = writeln!(stderr, "{} {}", label.style(Style::new().red().bold()), self.safe(&placed));
            before = text;
        }
    }

    /// Returns whether a person reads stderr and can answer.
    pub(crate) fn has_terminal(&self) -> bool {
        std::io::stdin().is_terminal() && std::io::stderr().is_terminal()
    }
}

/// Whether a terminal is told to write over a line: one that knows no such word shows it. `NO_COLOR` is about colours alone.
fn writes_over(variable: &dyn Fn(&str) -> Option<String>) -> bool {
    variable("TERM").is_none_or(|term| term != "dumb")
}

fn is_broken_pipe(cause: &(dyn std::error::Error + 'static)) -> bool {
    cause.downcast_ref::<std::io::Error>().is_some_and(|error| error.kind() == ErrorKind::BrokenPipe)
}

/// Returns what a cause says; without `values`, nothing that stands in a row.
fn told(cause: &(dyn std::error::Error + 'static), values: bool) -> String {
    let text = cause.to_string();
    let hidden = cause
        .downcast_ref::<PipelineError>()
        .map(PipelineError::without_values)
        .or_else(|| cause.downcast_ref::<DataError>().map(DataError::without_values));
    match hidden {
        Some(hidden) if !values && hidden != text => {
            format!("{hidden} ({}=1 prints the value)", environment::SHOW_VALUES)
        }
        _ => text,
    }
}

/// The codes of our own colours, with their end.
const COLOURS: [&str; 6] = ["0", "2", "32", "33", "33;1", "31;1"];

/// Drops what a name from data could do to a terminal: move the cursor, erase, set its title, turn the direction of a line.
/// Our own colours stay, which say nothing that a word does not, and so does what keeps a name's direction to itself.
fn clean(line: &str) -> Cow<'_, str> {
    let harmful = |letter: char| {
        (letter.is_control() && !matches!(letter, '\n' | '\t'))
            || matches!(
                letter,
                '\u{202a}'..='\u{202e}' | '\u{2066}' | '\u{2067}' | '\u{200e}' | '\u{200f}' | '\u{061c}'
            )
    };
    if !line.contains(harmful) {
        return Cow::Borrowed(line);
    }
    let mut kept = String::with_capacity(line.len());
    let mut rest = line;
    // From one that may harm to the next: long lists have colours in every line.
    while let Some(at) = rest.find(harmful) {
        let (before, from) = rest.split_at(at);
        kept.push_str(before);
        let own = COLOURS.iter().find_map(|code| {
            let after = from.strip_prefix("\x1b[")?.strip_prefix(code)?.strip_prefix('m')?;
            Some((&from[..from.len() - after.len()], after))
        });
        rest = if let Some((colour, after)) = own {
            kept.push_str(colour);
            after
        } else {
            let mut letters = from.chars();
            letters.next();
            letters.as_str()
        };
    }
    kept.push_str(rest);
    Cow::Owned(kept)
}

/// How a command to GitHub Actions begins that may stand anywhere in a line.
const MARK: &str = "##[";

/// Takes from lines what GitHub Actions would do as it is told by them: a line that begins with `::` behind white space, and
/// what `##[` begins anywhere. A blank is seen; what cannot be seen counts for nothing where lines are compared.
fn without_commands(text: &str) -> String {
    let line = |line: &str| {
        let begins = line.len() - line.trim_start().len();
        let (blank, rest) = line.split_at(begins);
        let rest = rest.replace(MARK, "## [");
        match rest.strip_prefix("::") {
            Some(told) => format!("{blank}: :{told}"),
            None => format!("{blank}{rest}"),
        }
    };
    text.split('\n').map(line).collect::<Vec<_>>().join("\n")
}

/// Writes the controls that JSON leaves as they are, which a terminal would obey, as JSON's escapes.
fn escape_controls(json: String) -> String {
    let control = |letter: char| matches!(letter, '\u{7f}'..='\u{9f}');
    if !json.contains(control) {
        return json;
    }
    let mut escaped = String::with_capacity(json.len());
    for letter in json.chars() {
        if control(letter) {
            escaped.push_str(&format!("\\u{:04x}", u32::from(letter)));
        } else {
            escaped.push(letter);
        }
    }
    escaped
}

/// Colours a word by what it says.
pub(crate) fn coloured(word: &str) -> String {
    let style = match word {
        "passed" | "ran" | "production" | "promoted" | "approved" => Style::new().green(),
        "failed" | "refused" | "rejected" | "quarantined" => Style::new().red().bold(),
        "inconclusive" | "waiting" | "would run" => Style::new().yellow(),
        "skipped" | "not applicable" => Style::new().dimmed(),
        _ => Style::new(),
    };
    word.style(style).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_terminal_that_cannot_write_over_a_line_is_not_asked_to() {
        let with = |set: &'static str, to: &'static str| {
            writes_over(&move |name| (name == set).then(|| to.to_owned()))
        };
        assert!(with("TERM", "xterm") && with("NO_COLOR", "1") && !with("TERM", "dumb"));
    }

    #[test]
    fn a_name_from_data_is_no_command_to_github_actions() {
        for (line, shown) in [
            ("::error title=x::forged  float", ": :error title=x::forged  float"),
            ("  \u{a0}::add-mask::e", "  \u{a0}: :add-mask::e"),
            ("column\n::stop-commands::x\nend", "column\n: :stop-commands::x\nend"),
            ("+ column ##[error]x", "+ column ## [error]x"),
            ("###[x", "### [x"),
            ("a::b and [::1]:9000", "a::b and [::1]:9000"),
            (":::", ": ::"),
        ] {
            assert_eq!(without_commands(line), shown);
        }
    }

    #[test]
    fn a_name_from_data_does_nothing_to_a_terminal_and_our_colours_stay() {
        for (line, shown) in [
            ("plain\ttext\nand more", "plain\ttext\nand more"),
            ("a\x1b[2Jb", "a[2Jb"),
            ("\x1b]0;title\x07x", "]0;titlex"),
            ("c\u{9b}31md\r\x08", "c31md"),
            ("safe\u{202e}exe.gpj", "safeexe.gpj"),
            ("\u{2068}عربي\u{2069}", "\u{2068}عربي\u{2069}"),
            ("\x1b[8mhidden", "[8mhidden"),
        ] {
            assert_eq!(clean(line), shown);
        }
        for word in ["passed", "failed", "inconclusive", "skipped", "other"] {
            let coloured = coloured(word);
            // The second makes the line one that is looked at letter by letter.
            assert_eq!(clean(&format!("{coloured}\u{7}")), coloured);
        }
        let warning = "warning:".style(Style::new().yellow().bold()).to_string();
        assert_eq!(clean(&warning), warning);
    }

    #[test]
    fn an_error_says_where_a_value_stands_and_not_what_it_is_where_values_are_not_printed() {
        let error = DataError::Value {
            place: "kc.csv: line 9, column `bathrooms`".to_owned(),
            before: String::new(),
            value: "`john@secret.org`".to_owned(),
            after: " is not a number; mend it".to_owned(),
        };
        let shown = "kc.csv: line 9, column `bathrooms`: `john@secret.org` is not a number; mend it";
        let hidden = "kc.csv: line 9, column `bathrooms`: a value is not a number; mend it \
                      (MODELGATE_SHOW_VALUES=1 prints the value)";
        assert_eq!((told(&error, true).as_str(), told(&error, false).as_str()), (shown, hidden));
        let wrapped = PipelineError::from(error);
        assert_eq!((told(&wrapped, true).as_str(), told(&wrapped, false).as_str()), (shown, hidden));
        let other = PipelineError::Policy("no".to_owned());
        assert_eq!(told(&other, false), "no");
    }

    #[test]
    fn json_holds_no_control_that_a_terminal_obeys() {
        let text = escape_controls("{\"a\": \"\u{9b}2J\u{7f}é\"}".to_owned());
        assert_eq!(text, "{\"a\": \"\\u009b2J\\u007fé\"}");
    }
}
