//! DVC's configuration: `.dvc/config` and over it `.dvc/config.local`.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

use crate::snapshot::SnapshotError;

/// The sections by name, and the keys of each.
type Sections = BTreeMap<String, BTreeMap<String, String>>;

/// Where the cache and the remote are.
#[derive(Clone, Default)]
pub(crate) struct DvcConfig {
    sections: Sections,
}

/// Shows which keys are set; among their values are passwords.
impl fmt::Debug for DvcConfig {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sections = self.sections.iter().map(|(name, keys)| (name, keys.keys().collect::<Vec<_>>()));
        formatter.debug_map().entries(sections).finish()
    }
}

impl DvcConfig {
    /// Reads the configuration of the repository whose `.dvc` folder this is.
    pub(crate) fn read(dvc: &Path) -> Result<Self, SnapshotError> {
        let mut sections = Sections::new();
        for name in ["config", "config.local"] {
            let path = dvc.join(name);
            match fs_err::read_to_string(&path) {
                Ok(text) => parse(&text, &mut sections),
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(Self { sections })
    }

    fn get(&self, section: &str, key: &str) -> Option<&str> {
        self.sections.get(section)?.get(key).map(String::as_str)
    }

    /// Returns the cache's folder.
    pub(crate) fn cache(&self, dvc: &Path) -> PathBuf {
        match self.get("cache", "dir") {
            Some(dir) => dvc.join(dir),
            None => dvc.join("cache"),
        }
    }

    /// Returns the settings of the remote `name`, or of the default one; `None` when there is none.
    pub(crate) fn remote(&self, name: Option<&str>) -> Option<(&str, &BTreeMap<String, String>)> {
        let name = name.or_else(|| self.get("core", "remote"))?;
        let (section, keys) = self.sections.get_key_value(&format!("remote \"{name}\""))?;
        Some((section.trim_start_matches("remote ").trim_matches('"'), keys))
    }
}

/// Adds the sections of a file in the form of Python's `configobj`.
fn parse(text: &str, sections: &mut Sections) {
    let unquoted = |text: &str| {
        let text = text.trim();
        ['"', '\'']
            .into_iter()
            .find_map(|quote| text.strip_prefix(quote)?.strip_suffix(quote))
            .unwrap_or(text)
            .to_owned()
    };
    let mut section = String::new();
    for line in text.lines().map(str::trim) {
        if line.is_empty() || line.starts_with(['#', ';']) {
            continue;
        }
        if let Some(name) = line.strip_prefix('[').and_then(|rest| rest.rsplit_once(']')) {
            section = unquoted(name.0);
        } else if let Some((key, value)) = line.split_once('=') {
            let keys = sections.entry(section.clone()).or_default();
            keys.insert(key.trim().to_owned(), unquoted(value));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn remote_and_cache_are_read_and_the_local_file_wins() {
        let folder = tempfile::tempdir().expect("folder");
        let dvc = folder.path();
        let text = "[core]\n    remote = loc\n['remote \"loc\"']\n    url = s3://b/p\n    endpointurl = http://x\n# c = d\n";
        fs_err::write(dvc.join("config"), text).expect("written");
        fs_err::write(dvc.join("config.local"), "[cache]\ndir = ../cache\n['remote \"loc\"']\nregion = r\n")
            .expect("written");
        let config = DvcConfig::read(dvc).expect("read");
        assert_eq!(
            format!("{config:?}"),
            r#"{"cache": ["dir"], "core": ["remote"], "remote \"loc\"": ["endpointurl", "region", "url"]}"#
        );
        let (name, keys) = config.remote(None).expect("remote");
        assert_eq!((name, keys["url"].as_str(), keys["region"].as_str()), ("loc", "s3://b/p", "r"));
        assert!(config.remote(Some("other")).is_none());
        assert_eq!(config.cache(dvc), dvc.join("../cache"));
    }
}
