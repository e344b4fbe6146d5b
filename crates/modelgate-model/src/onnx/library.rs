//! Where the library of ONNX Runtime is: what `ORT_DYLIB_PATH` names, else what the project file does. It is loaded once
//! in a process, so the first word of a project holds.

use std::path::PathBuf;
use std::sync::OnceLock;

/// The variable that names the library, before anything else does.
pub const VARIABLE: &str = "ORT_DYLIB_PATH";

/// The key of the project file that names it.
pub const KEY: &str = "serve.onnxruntime";

static NAMED: OnceLock<PathBuf> = OnceLock::new();

/// Why ONNX Runtime cannot be asked.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Unavailable {
    /// It was not built in, or nothing names its library: only some graphs need it.
    #[error("{0}")]
    Absent(String),
    /// What names its library is wrong.
    #[error("{0}")]
    Broken(String),
}

/// Names the library for this process, as the project file does; `ORT_DYLIB_PATH` goes before it. A second word is
/// not heard.
pub fn name(path: PathBuf) {
    let _ = NAMED.set(path);
}

/// A library, and what named it.
pub(super) struct Library {
    pub(super) path: PathBuf,
    pub(super) from: &'static str,
}

/// Returns which library is named.
pub(super) fn named() -> Option<Library> {
    let variable = std::env::var_os(VARIABLE).filter(|path| !path.is_empty());
    match variable {
        Some(path) => Some(Library { path: path.into(), from: VARIABLE }),
        None => NAMED.get().map(|path| Library { path: path.clone(), from: KEY }),
    }
}

/// Returns the library that is named, without loading it; `None` where none is.
///
/// # Errors
/// Says where a library is named that is not there.
pub fn find() -> Result<Option<PathBuf>, Unavailable> {
    let Some(Library { path, from }) = named() else { return Ok(None) };
    // A relative path in the variable is looked for beside the program and by the system's loader.
    if (from == VARIABLE && path.is_relative()) || path.is_file() {
        return Ok(Some(path));
    }
    let what = if path.exists() { "is no file" } else { "is not there" };
    Err(Unavailable::Broken(format!(
        "{from}: ONNX Runtime's library `{}` {what}; name the file, such as \
         `onnxruntime/capi/libonnxruntime.so.1.31.1` of the Python package",
        path.display()
    )))
}

/// Loads the library, if it was not yet, and returns where it was.
///
/// # Errors
/// Says why ONNX Runtime cannot be asked, and what to do.
pub fn load() -> Result<PathBuf, Unavailable> {
    super::runtime::library().map(|_| named().map(|library| library.path).unwrap_or_default())
}
