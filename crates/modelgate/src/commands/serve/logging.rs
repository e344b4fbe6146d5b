//! Where predictions are logged, as one word says it.

use std::path::Path;
use std::time::Duration;

use modelgate_serve::settings::{LogTarget, Loki, ParquetFolder};

use super::callers;
use crate::arguments::serve::Service;
use crate::environment;
use crate::exit::UsageError;

/// Returns what `--log` means: `-`, a file, `parquet:FOLDER` or `loki:ADDRESS`.
///
/// # Errors
/// Fails when an address is none, or holds a password.
pub(super) fn target(text: &str, arguments: &Service, folder: &Path) -> Result<LogTarget, UsageError> {
    if text == "-" {
        return Ok(LogTarget::Stdout);
    }
    if let Some(path) = text.strip_prefix("parquet:").filter(|path| !path.is_empty()) {
        return Ok(LogTarget::Parquet(ParquetFolder {
            folder: folder.join(path),
            rows: arguments.log_rows as usize,
            every: Duration::from_secs(arguments.log_seconds),
        }));
    }
    if let Some(address) = text.strip_prefix("loki:") {
        return loki(address).map(LogTarget::Loki);
    }
    if text.is_empty() || text == "parquet:" || text.contains("://") {
        let sentence = "--log: expected `-`, a file, `parquet:FOLDER` or `loki:http://host:3100`";
        return Err(UsageError(sentence.to_owned()));
    }
    let (max_bytes, keep) = (arguments.log_max_bytes, arguments.log_keep);
    Ok(LogTarget::File { path: folder.join(text), max_bytes, keep })
}

fn loki(address: &str) -> Result<Loki, UsageError> {
    let host = address.strip_prefix("http://").or_else(|| address.strip_prefix("https://"));
    let plain =
        host.is_some_and(|host| !host.is_empty() && !host.starts_with('/') && !host.contains(['?', '#']));
    if !plain {
        return Err(UsageError("--log: expected an address such as `loki:http://host:3100`".to_owned()));
    }
    if host.is_some_and(|host| host.contains('@')) {
        let sentence = "--log: the address holds a password: give it in MODELGATE_LOKI_USERNAME and MODELGATE_LOKI_PASSWORD";
        return Err(UsageError(sentence.to_owned()));
    }
    let variable = |name: &str| {
        environment::variable(&format!("MODELGATE_LOKI_{name}")).map(|text| text.trim().to_owned())
    };
    let login = match (variable("USERNAME"), callers::secret("MODELGATE_LOKI_PASSWORD")?) {
        (None, None) => None,
        (Some(user), Some(password)) => Some((user, password)),
        _ => {
            let sentence =
                "MODELGATE_LOKI_USERNAME and MODELGATE_LOKI_PASSWORD go together: one of them is missing";
            return Err(UsageError(sentence.to_owned()));
        }
    };
    Ok(Loki { address: address.trim_end_matches('/').to_owned(), tenant: variable("TENANT"), login })
}
