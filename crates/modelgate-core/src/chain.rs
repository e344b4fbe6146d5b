//! The hash chain: whether lines are those that were written, one after another.
//!
//! A line is canonical JSON, whose keys are sorted. Its hash is that of the line without the `hash` member, so it is
//! checked on the bytes themselves: no second text of the same values passes, and nothing is written again to compare.

use crate::Digest;
use crate::canonical;
use crate::ledger::{Head, LEDGER_VERSION, LedgerEntry};

/// The ledger is not what was written.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
#[error("the ledger was changed: line {line}: {what}")]
pub struct ChainError {
    /// The line, from 1.
    pub line: u64,
    /// What is wrong with it.
    pub what: String,
    /// Whether the line needs a newer modelgate, and is no sign that anything was changed.
    pub newer: bool,
}

impl ChainError {
    /// Returns the error of a line that was changed.
    pub fn changed(line: u64, what: String) -> Self {
        Self { line, what, newer: false }
    }
}

/// A line that cannot be read, whichever it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BadLine {
    /// What is wrong with it.
    pub what: String,
    /// Whether it needs a newer modelgate, and is no sign that anything was changed.
    pub newer: bool,
}

impl BadLine {
    /// Returns what is wrong with a line that was changed.
    pub fn changed(what: String) -> Self {
        Self { what, newer: false }
    }

    /// Returns the error of the line with this number.
    pub fn at(self, line: u64) -> ChainError {
        ChainError { line, what: self.what, newer: self.newer }
    }
}

const MEMBER: &str = ",\"hash\":\"sha256:";
/// The member's length: its beginning, 64 digits and the closing quote.
const MEMBER_LENGTH: usize = MEMBER.len() + 65;

/// Reads one line, without its line feed, and checks its own hash; not yet whether it follows the one before.
///
/// # Errors
/// Says what is wrong with the line.
pub fn read_line(line: &str) -> Result<LedgerEntry, BadLine> {
    let entry: LedgerEntry = serde_json::from_str(line).map_err(|parse| why_not_an_entry(line, &parse))?;
    if entry.schema_version != LEDGER_VERSION {
        let value = serde_json::from_str(line).unwrap_or_default();
        return Err(of_another_form(entry.schema_version.into(), &value));
    }
    if hash_holds(line, &entry.hash) {
        return Ok(entry);
    }
    let same_values = entry.compute_hash().is_ok_and(|hash| hash == entry.hash);
    let same_text = canonical::to_string(&entry).ok().as_deref() == Some(line);
    Err(BadLine::changed(match (same_values, same_text) {
        (true, false) => "it is not in canonical form".to_owned(),
        _ => OTHER_CONTENT.to_owned(),
    }))
}

const OTHER_CONTENT: &str = "its content does not match its hash";

/// Returns whether the line is the one that `hash`, its own, was made of.
fn hash_holds(line: &str, hash: &Digest) -> bool {
    // In JSON a quote inside a string is escaped, so this text is a member, and behind the last one stand only
    // members that hold no object: it is the entry's own.
    line.rfind(MEMBER)
        .and_then(|at| Some((at, line.get(at + MEMBER_LENGTH..)?)))
        .is_some_and(|(at, rest)| digest_of_two(&line[..at], rest) == *hash)
}

fn digest_of_two(first: &str, second: &str) -> Digest {
    use sha2::Digest as _;
    let mut hasher = sha2::Sha256::new();
    hasher.update(first.as_bytes());
    hasher.update(second.as_bytes());
    Digest::from_bytes(hasher.finalize().into())
}

/// Says what a line of another form needs; who registered a version says by which modelgate.
fn of_another_form(version: u64, line: &serde_json::Value) -> BadLine {
    let own = env!("CARGO_PKG_VERSION");
    let reads =
        format!("it has schema version {version}; this modelgate reads {LEDGER_VERSION} and is {own}");
    if version <= u64::from(LEDGER_VERSION) {
        return BadLine::changed(reads);
    }
    let plain = |text: &&str| {
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b".+-".contains(&byte);
        !text.is_empty() && text.len() <= 40 && text.bytes().all(allowed)
    };
    let places = ["/tool_version", "/event/registration/lineage/tool_version"];
    let mut named = places.iter().filter_map(|place| line.pointer(place)?.as_str()).filter(plain);
    let what = match named.find(|maker| *maker != own) {
        Some(maker) => format!("{reads}: use modelgate {maker} or newer"),
        None => format!("{reads}: use a newer modelgate"),
    };
    BadLine { what, newer: true }
}

/// A line of a later version is told from a broken one: what it says is unknown here, and it is what was written.
fn why_not_an_entry(line: &str, parse: &serde_json::Error) -> BadLine {
    let value: serde_json::Value = serde_json::from_str(line).unwrap_or_default();
    let version = value.get("schema_version").and_then(serde_json::Value::as_u64);
    if let Some(version) = version.filter(|version| *version > u64::from(LEDGER_VERSION)) {
        return of_another_form(version, &value);
    }
    let text = parse.to_string();
    if text.contains("unknown variant") && version.is_some() {
        let hash = value.get("hash").and_then(|hash| hash.as_str()?.parse().ok());
        if !hash.is_some_and(|hash| hash_holds(line, &hash)) {
            return BadLine::changed(format!("{OTHER_CONTENT}: {text}"));
        }
        let own = env!("CARGO_PKG_VERSION");
        let what =
            format!("it holds an event that this modelgate, {own}, does not know; use a newer one: {text}");
        return BadLine { what, newer: true };
    }
    BadLine::changed(format!("it is not a ledger entry: {text}"))
}

/// Checks that `entry`, which stands on line `line`, follows `previous`.
///
/// # Errors
/// Says whether lines are missing, stand twice, or come from another history.
pub fn check_link(entry: &LedgerEntry, line: u64, previous: Option<Head>) -> Result<(), ChainError> {
    let expected = previous.map_or(1, |previous| previous.seq + 1);
    let error = |what: String| {
        Err(ChainError::changed(line, format!("it does not follow the line before it: {what}")))
    };
    if entry.seq > expected {
        let last = entry.seq - 1;
        let missing = if last == expected {
            format!("event {expected} was removed")
        } else {
            format!("events {expected} to {last} were removed")
        };
        return error(missing);
    }
    if entry.seq < expected {
        return error(format!(
            "event {} stands behind event {}: it was added, moved or stands twice",
            entry.seq,
            expected - 1
        ));
    }
    if entry.previous != previous.map(|previous| previous.hash) {
        return error(format!(
            "event {expected} was written after another event {}: two histories were merged, or the line before was \
             replaced",
            expected - 1
        ));
    }
    Ok(())
}

/// Reads the lines of a whole ledger and checks the chain: a changed, removed, added or reordered line is found.
/// What this cannot see is lines removed at the end; the index remembers the head for that.
///
/// # Errors
/// Names the first line that is not what was written.
pub fn read_chain(text: &str) -> Result<Vec<LedgerEntry>, ChainError> {
    let mut entries: Vec<LedgerEntry> = Vec::new();
    for (index, line) in text.lines().enumerate() {
        let number = index as u64 + 1;
        let entry = read_line(line).map_err(|bad| bad.at(number))?;
        check_link(&entry, number, entries.last().map(LedgerEntry::head))?;
        entries.push(entry);
    }
    Ok(entries)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns a line with the hash that belongs to it.
    fn sealed(line: &str) -> String {
        let at = line.find(",\"previous\"").expect("the member behind the hash");
        let hash = digest_of_two(&line[..at], &line[at..]);
        format!("{}{MEMBER}{}\"{}", &line[..at], hash.hex(), &line[at..])
    }

    #[test]
    fn an_unknown_event_is_of_a_newer_version_only_where_the_line_is_what_was_written() {
        let plain = r#"{"actor":"a","event":{"model":"m","type":"reborn"},"previous":null,"schema_version":1,"seq":1}"#;
        let line = sealed(plain);
        let bad = read_line(&line).expect_err("unknown");
        assert!(bad.newer && bad.what.contains("use a newer one"), "{bad:?}");
        // Somebody changed a letter: no version of modelgate wrote that.
        let bad = read_line(&line.replace("reborn", "rebirn")).expect_err("changed");
        assert!(!bad.newer && bad.what.starts_with("its content does not match its hash"), "{bad:?}");
        assert!(!read_line(plain).expect_err("no hash").newer);
    }
}
