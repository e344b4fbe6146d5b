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
}

impl ChainError {
    /// Returns whether the line needs a newer modelgate, and is no sign that anything was changed.
    pub fn is_of_a_newer_version(&self) -> bool {
        self.what.starts_with(NEWER_EVENT)
            || self.what.strip_prefix(OTHER_VERSION).is_some_and(|rest| rest.contains(": use "))
    }
}

/// How the words about a line of another form begin.
const OTHER_VERSION: &str = "it has schema version ";
/// How the words about an event of a later version begin.
const NEWER_EVENT: &str = "it holds an event that this modelgate, ";

const MEMBER: &str = ",\"hash\":\"sha256:";
/// The member's length: its beginning, 64 digits and the closing quote.
const MEMBER_LENGTH: usize = MEMBER.len() + 65;

/// Reads one line, without its line feed, and checks its own hash; not yet whether it follows the one before.
///
/// # Errors
/// Says what is wrong with the line.
pub fn read_line(line: &str) -> Result<LedgerEntry, String> {
    let entry: LedgerEntry = serde_json::from_str(line).map_err(|parse| why_not_an_entry(line, &parse))?;
    if entry.schema_version != LEDGER_VERSION {
        let value = serde_json::from_str(line).unwrap_or_default();
        return Err(of_another_form(entry.schema_version.into(), &value));
    }
    // In JSON a quote inside a string is escaped, so this text is a member, and behind the last one stand only
    // members that hold no object: it is the entry's own.
    if let Some(at) = line.rfind(MEMBER)
        && let Some(rest) = line.get(at + MEMBER_LENGTH..)
        && digest_of_two(&line[..at], rest) == entry.hash
    {
        return Ok(entry);
    }
    let same_values = entry.compute_hash().is_ok_and(|hash| hash == entry.hash);
    let same_text = canonical::to_string(&entry).ok().as_deref() == Some(line);
    Err(match (same_values, same_text) {
        (true, false) => "it is not in canonical form".to_owned(),
        _ => "its content does not match its hash".to_owned(),
    })
}

fn digest_of_two(first: &str, second: &str) -> Digest {
    use sha2::Digest as _;
    let mut hasher = sha2::Sha256::new();
    hasher.update(first.as_bytes());
    hasher.update(second.as_bytes());
    Digest::from_bytes(hasher.finalize().into())
}

/// Says what a line of another form needs; who registered a version says by which modelgate.
fn of_another_form(version: u64, line: &serde_json::Value) -> String {
    let own = env!("CARGO_PKG_VERSION");
    let reads = format!("{OTHER_VERSION}{version}; this modelgate reads {LEDGER_VERSION} and is {own}");
    if version <= u64::from(LEDGER_VERSION) {
        return reads;
    }
    let plain = |text: &&str| {
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b".+-".contains(&byte);
        !text.is_empty() && text.len() <= 40 && text.bytes().all(allowed)
    };
    let places = ["/tool_version", "/event/registration/lineage/tool_version"];
    let mut named = places.iter().filter_map(|place| line.pointer(place)?.as_str()).filter(plain);
    match named.find(|maker| *maker != own) {
        Some(maker) => format!("{reads}: use modelgate {maker} or newer"),
        None => format!("{reads}: use a newer modelgate"),
    }
}

/// A line of a later version is told from a broken one.
fn why_not_an_entry(line: &str, parse: &serde_json::Error) -> String {
    let value: serde_json::Value = serde_json::from_str(line).unwrap_or_default();
    let version = value.get("schema_version").and_then(serde_json::Value::as_u64);
    if let Some(version) = version.filter(|version| *version > u64::from(LEDGER_VERSION)) {
        return of_another_form(version, &value);
    }
    let text = parse.to_string();
    if text.contains("unknown variant") && version.is_some() {
        let own = env!("CARGO_PKG_VERSION");
        return format!("{NEWER_EVENT}{own}, does not know; use a newer one: {text}");
    }
    format!("it is not a ledger entry: {text}")
}

/// Checks that `entry`, which stands on line `line`, follows `previous`.
///
/// # Errors
/// Says whether lines are missing, stand twice, or come from another history.
pub fn check_link(entry: &LedgerEntry, line: u64, previous: Option<Head>) -> Result<(), ChainError> {
    let expected = previous.map_or(1, |previous| previous.seq + 1);
    let error = |what: String| {
        Err(ChainError { line, what: format!("it does not follow the line before it: {what}") })
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
        let entry = read_line(line).map_err(|what| ChainError { line: number, what })?;
        check_link(&entry, number, entries.last().map(LedgerEntry::head))?;
        entries.push(entry);
    }
    Ok(entries)
}
