//! Copies of a ledger that hold what its home has lost: kept beside the copy that takes their place, since they may be all
//! that there is of those events.

use std::path::{Path, PathBuf};

use modelgate_core::Digest;

use crate::RegistryError;

/// A copy that was kept.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Kept {
    /// The number of its events; of another copy with as many, `-2` and so on behind it.
    pub(crate) label: String,
    /// Where it is.
    pub(crate) path: PathBuf,
}

fn kept_as(copy: &Path, label: &str) -> PathBuf {
    copy.with_extension(format!("jsonl.seen-{label}"))
}

/// Keeps the ledger in `copy` under another name when `next`, which takes its place, is not that ledger with or without
/// further lines.
///
/// # Errors
/// Fails when the folder cannot be written.
pub(crate) fn before(copy: &Path, next: &[u8]) -> Result<Option<Kept>, RegistryError> {
    let held = match fs_err::read(copy) {
        Ok(held) => held,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    // The rest of a write that was killed is no event.
    let end = held.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
    let whole = &held[..end];
    if next.starts_with(whole) {
        return Ok(None);
    }
    let events = whole.iter().filter(|byte| **byte == b'\n').count();
    let labels = (1_u32..).map(|n| if n == 1 { events.to_string() } else { format!("{events}-{n}") });
    for label in labels {
        let path = kept_as(copy, &label);
        match fs_err::read(&path) {
            Ok(there) if there == whole => return Ok(Some(Kept { label, path })),
            Ok(_) => {}
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                modelgate_store::atomic::write(&path, whole)?;
                return Ok(Some(Kept { label, path }));
            }
            Err(error) => return Err(error.into()),
        }
    }
    Ok(None)
}

/// Returns a copy that was kept of the ledger in `copy` and has the event with this hash.
pub(crate) fn with(copy: &Path, hash: &Digest) -> Option<Kept> {
    let beginning = format!("{}.jsonl.seen-", copy.file_stem()?.to_str()?);
    let member = format!("\"hash\":\"{hash}\"");
    let mut found = Vec::new();
    for entry in fs_err::read_dir(copy.parent()?).ok()?.flatten() {
        let name = entry.file_name();
        let Some(label) = name.to_str().and_then(|name| name.strip_prefix(&beginning)) else { continue };
        let path = entry.path();
        if fs_err::read_to_string(&path).is_ok_and(|text| text.contains(&member)) {
            found.push(Kept { label: label.to_owned(), path });
        }
    }
    // Of several the same one each time, on every system.
    found.into_iter().min_by(|one, other| one.label.cmp(&other.label))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_copy_is_kept_when_what_takes_its_place_lacks_events_of_it() {
        let folder = tempfile::tempdir().expect("folder");
        let copy = folder.path().join("one.jsonl");
        assert_eq!(before(&copy, b"1\n").expect("none yet"), None);
        let hash = Digest::of(b"2");
        let held = format!("1\n{{\"hash\":\"{hash}\"}}\nhalf a li");
        fs_err::write(&copy, &held).expect("written");
        let whole = held.trim_end_matches("half a li");
        for next in [whole.to_owned(), format!("{whole}3\n")] {
            assert_eq!(before(&copy, next.as_bytes()).expect("looked"), None, "{next}");
        }
        assert_eq!(with(&copy, &hash), None);
        // Twice the same is kept once.
        for _ in 0..2 {
            let kept = before(&copy, b"1\n").expect("kept").expect("it lacks one");
            assert_eq!(kept.path, folder.path().join("one.jsonl.seen-2"));
            assert_eq!(fs_err::read_to_string(&kept.path).expect("kept"), whole);
            assert_eq!(with(&copy, &hash), Some(kept));
        }
        fs_err::write(&copy, "1\n2\n").expect("written");
        assert_eq!(before(&copy, b"").expect("kept").expect("all of it").label, "2-2");
        assert_eq!(with(&copy, &Digest::of(b"3")), None);
    }
}
