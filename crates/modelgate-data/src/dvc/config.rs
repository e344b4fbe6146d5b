//! DVC's configuration: that of the system, over it the user's, the repository's `.dvc/config` and `.dvc/config.local`.

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
        let environment = |name: &str| std::env::var_os(name).map(PathBuf::from);
        let home = environment(if cfg!(windows) { "USERPROFILE" } else { "HOME" });
        Self::read_over(&elsewhere(&environment), dvc, home.as_deref())
    }

    /// As [`Self::read`], over the configurations in other folders, for the user whose folder is `home`.
    fn read_over(folders: &[PathBuf], dvc: &Path, home: Option<&Path>) -> Result<Self, SnapshotError> {
        let mut sections = Sections::new();
        let others = folders.iter().map(|folder| (folder.as_path(), "config"));
        for (folder, name) in others.chain([(dvc, "config"), (dvc, "config.local")]) {
            let path = folder.join(name);
            match fs_err::read_to_string(&path) {
                // Paths are relative to the file that has them; those of the repository are known to be.
                Ok(text) => parse(&text, (folder != dvc).then_some(folder), home, &mut sections),
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

/// Returns the folders in which DVC keeps what holds for all repositories of the system and of the user, as `dvc config --system` and
/// `--global` write it.
fn elsewhere(environment: &dyn Fn(&str) -> Option<PathBuf>) -> Vec<PathBuf> {
    let below = |name: &str, path: &str| environment(name).map(|folder| folder.join(path));
    let [system, user] = if cfg!(windows) {
        [below("PROGRAMDATA", "iterative/dvc"), below("LOCALAPPDATA", "iterative/dvc")]
    } else if cfg!(target_os = "macos") {
        [Some("/Library/Application Support/dvc".into()), below("HOME", "Library/Application Support/dvc")]
    } else {
        [
            Some("/etc/xdg/dvc".into()),
            below("XDG_CONFIG_HOME", "dvc").or_else(|| below("HOME", ".config/dvc")),
        ]
    };
    [environment("DVC_SYSTEM_CONFIG_DIR").or(system), environment("DVC_GLOBAL_CONFIG_DIR").or(user)]
        .into_iter()
        .flatten()
        .collect()
}

/// Returns a value without its quotes, or without the comment behind it.
fn unquoted(text: &str) -> String {
    let text = text.trim();
    let quoted = |quote: char| text.strip_prefix(quote)?.split_once(quote).map(|(value, _)| value);
    let plain = || text.split('#').next().unwrap_or_default().trim_end();
    ['"', '\''].into_iter().find_map(quoted).unwrap_or_else(plain).to_owned()
}

/// Adds the sections of a file in the form of Python's `configobj`; paths in it are relative to `base`, if there is one, and `~` is
/// `home`.
fn parse(text: &str, base: Option<&Path>, home: Option<&Path>, sections: &mut Sections) {
    let mut section = String::new();
    for line in text.lines().map(str::trim) {
        if line.is_empty() || line.starts_with(['#', ';']) {
            continue;
        }
        if let Some(name) = line.strip_prefix('[').and_then(|rest| rest.rsplit_once(']')) {
            let name = name.0.trim();
            let quoted = |quote: char| name.strip_prefix(quote)?.strip_suffix(quote);
            ['"', '\''].into_iter().find_map(quoted).unwrap_or(name).clone_into(&mut section);
        } else if let Some((key, value)) = line.split_once('=') {
            let keys = sections.entry(section.clone()).or_default();
            let (key, value) = (key.trim().to_owned(), unquoted(value));
            let is_path = matches!(key.as_str(), "dir" | "url") && !value.contains("://");
            let of_home = home.filter(|_| is_path).and_then(|home| {
                let rest = value.strip_prefix('~')?;
                let is_ones_own = rest.is_empty() || rest.starts_with(std::path::is_separator);
                is_ones_own.then(|| home.join(rest.trim_start_matches(std::path::is_separator)))
            });
            let value = match (of_home, base.filter(|_| is_path)) {
                (Some(path), _) => path.to_string_lossy().into_owned(),
                (None, Some(base)) => base.join(value).to_string_lossy().into_owned(),
                (None, None) => value,
            };
            keys.insert(key, value);
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

    #[test]
    fn what_holds_for_all_repositories_is_read_below_that_of_this_one() {
        let folder = tempfile::tempdir().expect("folder");
        let (user, dvc) = (folder.path().join("user"), folder.path().join(".dvc"));
        fs_err::create_dir(&user).expect("made");
        fs_err::create_dir(&dvc).expect("made");
        let text = "[core]\nremote = a\n[cache]\n    dir = shared   # the team's\n['remote \"a\"']\nurl = '../x # y' # z\n";
        fs_err::write(user.join("config"), text).expect("written");
        let nowhere = folder.path().join("nowhere");
        let config = DvcConfig::read_over(&[nowhere.clone(), user.clone()], &dvc, None).expect("read");
        assert_eq!(config.cache(&dvc), user.join("shared"));
        let (name, keys) = config.remote(None).expect("remote");
        assert_eq!((name, Path::new(&keys["url"])), ("a", user.join("../x # y").as_path()));
        fs_err::write(dvc.join("config"), "[cache]\ndir = own#\n").expect("written");
        let config = DvcConfig::read_over(&[nowhere.clone(), user.clone()], &dvc, None).expect("read");
        assert_eq!(config.cache(&dvc), dvc.join("own"));
        // Each user's own folder, in any of the files.
        fs_err::write(user.join("config"), "[cache]\ndir = ~/cache\n").expect("written");
        fs_err::write(
            dvc.join("config"),
            "['remote \"a\"']\nurl = ~/rem\n['remote \"b\"']\nurl = ~other/rem\n",
        )
        .expect("written");
        let config = DvcConfig::read_over(&[nowhere, user], &dvc, Some(Path::new("/home/me"))).expect("read");
        assert_eq!(config.cache(&dvc), Path::new("/home/me/cache"));
        let url = |name: &str| config.remote(Some(name)).map(|(_, keys)| PathBuf::from(&keys["url"]));
        assert_eq!((url("a"), url("b")), (Some("/home/me/rem".into()), Some("~other/rem".into())));
        let given = |name: &str| (name == "DVC_GLOBAL_CONFIG_DIR").then(|| PathBuf::from("/g"));
        assert_eq!(elsewhere(&given).last(), Some(&PathBuf::from("/g")));
    }
}
