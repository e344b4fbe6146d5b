//! Where test data is, and what a test does without it.

use std::path::{Path, PathBuf};

/// Returns a file or folder below `examples/`.
pub fn example(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples").join(path)
}

/// Says that a test is skipped.
///
/// # Panics
/// Panics when `MODELGATE_REQUIRE` is set: there a skip is a failure.
#[expect(clippy::print_stderr, reason = "a skip must be seen")]
pub fn skip(why: &str) {
    assert!(std::env::var_os("MODELGATE_REQUIRE").is_none(), "skipped, and MODELGATE_REQUIRE is set: {why}");
    eprintln!("SKIPPED: {why}");
}

/// Says that a case cannot be tried on this system, whatever is installed: its kernel has no such file system. That is no
/// failure anywhere; what a user or a package could give is [`skip`]'s.
#[expect(clippy::print_stderr, reason = "a skip must be seen")]
pub fn skip_case(why: &str) {
    eprintln!("SKIPPED: {why}");
}

/// Returns a file of `$MODELGATE_TEST_DATA/tabular`, or says that the test is skipped.
pub fn shared_table(file: &str) -> Option<PathBuf> {
    let path = std::env::var_os("MODELGATE_TEST_DATA")
        .map(|folder| PathBuf::from(folder).join("tabular").join(file));
    let found = path.filter(|path| path.is_file());
    if found.is_none() {
        skip(&format!("{file} is not in $MODELGATE_TEST_DATA/tabular"));
    }
    found
}
