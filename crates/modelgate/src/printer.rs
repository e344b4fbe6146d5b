//! The one place that prints: stdout is data, stderr is talk.

use std::io::{IsTerminal, Write};

use owo_colors::{OwoColorize, Style};

use crate::arguments::{Arguments, OutputFormat};

/// Prints data and talk; colour only on a terminal and without `NO_COLOR`.
pub(crate) struct Printer {
    format: OutputFormat,
    quiet: bool,
}

impl Printer {
    pub(crate) fn new(arguments: &Arguments) -> Self {
        Self { format: arguments.output_format, quiet: arguments.quiet }
    }

    /// Returns whether data is asked for as JSON.
    pub(crate) fn is_json(&self) -> bool {
        self.format == OutputFormat::Json
    }

    /// Prints one line of data.
    pub(crate) fn data(&self, line: &str) -> std::io::Result<()> {
        writeln!(anstream::stdout().lock(), "{line}")
    }

    /// Prints a value as JSON.
    pub(crate) fn json<T: serde::Serialize>(&self, value: &T) -> anyhow::Result<()> {
        let text = modelgate_core::canonical::to_pretty(value)?;
        write!(anstream::stdout().lock(), "{text}")?;
        Ok(())
    }

    /// Prints one line of talk.
    pub(crate) fn talk(&self, line: &str) {
        if !self.quiet {
            // Talk that cannot be printed must not end the work.
            let _ = writeln!(anstream::stderr().lock(), "{line}");
        }
    }

    /// Prints talk that the next such line takes the place of; only on a terminal.
    pub(crate) fn overwritten(&self, line: &str) {
        let stderr = std::io::stderr();
        if !self.quiet && stderr.is_terminal() {
            let mut stderr = stderr.lock();
            let _ = write!(stderr, "\r\x1b[2K{line}");
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
            let text = cause.to_string();
            // A transparent wrapper repeats its source.
            if before.contains(&text) {
                continue;
            }
            let label = if before.is_empty() { "error:" } else { "cause:" };
            let _ = writeln!(stderr, "{} {text}", label.style(Style::new().red().bold()));
            before = text;
        }
    }

    /// Returns whether a person reads stderr and can answer.
    pub(crate) fn has_terminal(&self) -> bool {
        std::io::stdin().is_terminal() && std::io::stderr().is_terminal()
    }
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
