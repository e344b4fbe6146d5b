//! The shared configuration of the AWS tools: `~/.aws/credentials` and `~/.aws/config`.
//!
//! Read are the plain keys of one profile: key, secret, token, region and endpoint. A profile that names a role, a
//! process or single sign-on is refused in words, since its credentials would have to be fetched elsewhere.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::RemoteError;

/// Returns the keys of `profile`, from both files; the credentials file wins.
pub(crate) fn read(
    profile: &str,
    environment: &dyn Fn(&str) -> Option<String>,
) -> Result<BTreeMap<String, String>, RemoteError> {
    let home = environment("HOME").or_else(|| environment("USERPROFILE"));
    let file = |variable: &str, name: &str| {
        let path = environment(variable).map(PathBuf::from);
        path.or_else(|| home.as_ref().map(|home| Path::new(home).join(".aws").join(name)))
    };
    let mut keys = BTreeMap::new();
    let sources = [
        (file("AWS_CONFIG_FILE", "config"), format!("profile {profile}")),
        (file("AWS_SHARED_CREDENTIALS_FILE", "credentials"), profile.to_owned()),
    ];
    for (path, section) in sources {
        let Some(path) = path else { continue };
        let text = match fs_err::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => continue,
            Err(error) => return Err(error.into()),
        };
        let found = section_of(&text, |name| name == section || (profile == "default" && name == "default"));
        if let Some(key) = ["role_arn", "credential_process", "sso_session", "sso_start_url"]
            .into_iter()
            .find(|key| found.contains_key(*key))
        {
            let reason = format!(
                "the profile `{profile}` uses `{key}`, which is not read here; export its credentials, for example \
                 with `aws configure export-credentials --profile {profile} --format env`"
            );
            return Err(RemoteError::Profile { path, reason });
        }
        keys.extend(found);
    }
    Ok(keys)
}

/// Returns the `key = value` lines of the sections that are asked for.
fn section_of(text: &str, wanted: impl Fn(&str) -> bool) -> BTreeMap<String, String> {
    let mut inside = false;
    let mut keys = BTreeMap::new();
    for line in text.lines() {
        let indented = line.starts_with([' ', '\t']);
        let line = line.trim();
        if line.is_empty() || line.starts_with(['#', ';']) {
            continue;
        }
        if let Some(name) = line.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
            inside = wanted(name.0.trim());
        } else if inside
            && !indented
            && let Some((key, value)) = line.split_once('=')
        {
            keys.insert(key.trim().to_ascii_lowercase(), value.trim().to_owned());
        }
    }
    keys
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_profile_is_read_from_both_files() {
        let folder = tempfile::tempdir().expect("folder");
        let aws = folder.path().join(".aws");
        fs_err::create_dir(&aws).expect("folder");
        fs_err::write(
            aws.join("credentials"),
            "[default]\naws_access_key_id = A\n[ml]\naws_access_key_id=B\n",
        )
        .expect("written");
        fs_err::write(aws.join("config"), "[profile ml]\nregion = eu-west-1\ns3 =\n  region = no\n# x = y\n")
            .expect("written");
        let home = folder.path().display().to_string();
        let keys = read("ml", &|name| (name == "HOME").then(|| home.clone())).expect("read");
        assert_eq!(keys["aws_access_key_id"], "B");
        assert_eq!(keys["region"], "eu-west-1");
        let keys = read("default", &|name| (name == "HOME").then(|| home.clone())).expect("read");
        assert_eq!(keys["aws_access_key_id"], "A");
        fs_err::write(aws.join("config"), "[profile ml]\nrole_arn = x\n").expect("written");
        let error = read("ml", &|name| (name == "HOME").then(|| home.clone())).expect_err("a role");
        assert!(error.to_string().contains("role_arn"), "{error}");
    }
}
