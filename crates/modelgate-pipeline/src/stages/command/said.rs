//! What a program prints, as lines of a bounded length.
//!
//! A progress bar writes over its line again and again, with a carriage return and no line end: of such lines one in a
//! second is passed on, and the last.

use std::io::{BufReader, Read};
use std::time::{Duration, Instant};

/// So many letters of a line are kept.
const LETTERS: usize = 500;
/// So many bytes are enough for them.
const BYTES: usize = 4 * LETTERS + 4;
/// How often a line that is written over is passed on.
const OVERWRITTEN_EVERY: Duration = Duration::from_secs(1);

/// Reads a stream to its end and passes on its lines while `hear` wants more.
pub(super) fn read_lines(stream: impl Read, mut hear: impl FnMut(String) -> bool) {
    let mut reading = BufReader::new(stream);
    let mut buffer = [0; 8192];
    let mut line = Vec::new();
    // A line that a carriage return has ended, while it is not known what comes.
    let mut ended: Option<Vec<u8>> = None;
    let mut told: Option<Instant> = None;
    loop {
        let count = match reading.read(&mut buffer) {
            Ok(0) => break,
            Ok(count) => count,
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
            Err(_) => break,
        };
        for byte in &buffer[..count] {
            match byte {
                b'\n' => {
                    // Both together are one end; what was written over by nothing still stands there.
                    let text = match ended.take() {
                        Some(before) if line.is_empty() => before,
                        _ => std::mem::take(&mut line),
                    };
                    line.clear();
                    if !hear(shown(&text)) {
                        return;
                    }
                }
                b'\r' => {
                    if !line.is_empty() {
                        ended = Some(std::mem::take(&mut line));
                    }
                }
                byte => {
                    if let Some(before) = ended.take()
                        && told.is_none_or(|told| told.elapsed() >= OVERWRITTEN_EVERY)
                    {
                        told = Some(Instant::now());
                        if !hear(shown(&before)) {
                            return;
                        }
                    }
                    if line.len() < BYTES {
                        line.push(*byte);
                    }
                }
            }
        }
    }
    let rest = if line.is_empty() { ended.take() } else { Some(line) };
    if let Some(rest) = rest {
        let _ = hear(shown(&rest));
    }
}

/// Returns a line as it is shown. Also what is not UTF-8 is.
fn shown(line: &[u8]) -> String {
    let text = String::from_utf8_lossy(line);
    let text = text.trim_end();
    match text.char_indices().nth(LETTERS) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(text: &str) -> Vec<String> {
        let mut found = Vec::new();
        read_lines(text.as_bytes(), |line| {
            found.push(line);
            true
        });
        found
    }

    #[test]
    fn a_line_ends_with_any_line_end() {
        assert_eq!(lines("one\ntwo \r\n\nthree"), ["one", "two", "", "three"]);
    }

    #[test]
    fn of_a_line_that_is_written_over_the_first_and_the_last_are_passed_on() {
        let bar: String = (0..=1000).map(|step| format!("\r{step} of 1000")).collect();
        let mut read = lines(&format!("{bar}\ndone\n"));
        assert_eq!(read.split_off(read.len() - 2), ["1000 of 1000", "done"]);
        assert!(read.len() < 100 && read[0] == "0 of 1000", "{read:?}");
        assert_eq!(lines("1 of 2\r2 of 2\r").last().map(String::as_str), Some("2 of 2"));
    }

    #[test]
    fn a_line_without_an_end_is_cut() {
        let read = lines(&"ü".repeat(5_000_000));
        assert_eq!(read.len(), 1);
        assert_eq!(read[0], format!("{}…", "ü".repeat(LETTERS)));
    }
}
