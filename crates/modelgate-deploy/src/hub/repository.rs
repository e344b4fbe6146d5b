//! Repositories on the Hub: making, reading and changing them.
//!
//! A change is one commit on top of the commit that was looked at. When the branch has moved, it is looked at again: what
//! somebody else did to other files is built upon, and what they did to the same files is told.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::client::Body;
use super::content::NewFile;
use super::names::Kind;
use super::{Hub, HubError, Repository};

/// Files of one question before an upload.
const ASKED_AT_ONCE: usize = 256;
/// How often a commit is built anew on a branch that moves.
const TRIES: usize = 5;
/// From this size on, a dry run takes a file for a large one; the Hub itself decides otherwise.
const LARGE: u64 = 10_000_000;

/// What is to change.
#[derive(Clone, Debug, Default)]
pub struct Change {
    /// Files that are to be there.
    pub files: Vec<NewFile>,
    /// Files that are to be gone.
    pub deleted: Vec<String>,
    /// The message.
    pub summary: String,
}

/// What became of a change.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Committed {
    /// The commit: a new one, or the newest when there was nothing to change.
    pub commit: String,
    /// Whether there is a new one.
    pub changed: bool,
}

/// How a file gets there, as the Hub wants it.
#[derive(Clone, PartialEq, Eq, Debug)]
struct Mode {
    large: bool,
    /// The name of the content that is there now.
    there: Option<String>,
    /// The name of the new content.
    wanted: String,
}

impl Hub {
    /// Returns who the token belongs to, and whether it can only read.
    ///
    /// # Errors
    /// Fails when the token is unknown or has expired.
    pub fn whoami(&self) -> Result<(String, bool), HubError> {
        if let Some(known) = self.owner.get() {
            return Ok(known.clone());
        }
        let answer = self.get(&self.at("/api/whoami-v2"))?.json();
        let name = answer["name"].as_str().unwrap_or_default().to_owned();
        let found = (name, answer["auth"]["accessToken"]["role"] == "read");
        Ok(self.owner.get_or_init(|| found).clone())
    }

    /// Makes a repository; one that is there is left as it is. Returns whether it is new.
    ///
    /// # Errors
    /// Fails when the token may not.
    pub fn create(&self, repository: &Repository, private: bool, sdk: &str) -> Result<bool, HubError> {
        let mut body = json!({
            "name": repository.name(), "organization": repository.owner(), "type": "model", "private": private,
        });
        if repository.kind() == Kind::Space {
            body["type"] = json!("space");
            body["sdk"] = json!(sdk);
        }
        // The Hub wants the name of an organization, and none for one's own.
        if !self.is_dry() && self.whoami()?.0 == repository.owner() {
            body["organization"] = Value::Null;
        }
        match self.send("POST", &self.at("/api/repos/create"), &[], Body::Json(&body)) {
            Ok(_) => Ok(true),
            Err(error) if error.status() == Some(409) => Ok(false),
            // A token of one repository alone may not make any, and need not when it is there.
            Err(error) if matches!(error.status(), Some(402 | 403)) => match self.head(repository, "main") {
                Ok(Some(_)) => Ok(false),
                _ => Err(error),
            },
            Err(error) => Err(error),
        }
    }

    /// Returns what the Hub says about a repository; `None` when it is not there, or not for this token.
    ///
    /// # Errors
    /// Fails when the Hub cannot be reached, or the token is unknown.
    pub fn info(&self, repository: &Repository, revision: &str) -> Result<Option<Value>, HubError> {
        let url = self.at(&format!("{}/revision/{}", repository.api(), escaped(revision)));
        match self.get(&url) {
            Ok(answer) => Ok(Some(answer.json())),
            Err(error) if error.status() == Some(404) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Returns the commit that a branch or a tag means; `None` when there is none.
    ///
    /// # Errors
    /// As [`Self::info`].
    pub fn head(&self, repository: &Repository, revision: &str) -> Result<Option<String>, HubError> {
        let Some(info) = self.info(repository, revision)? else { return Ok(None) };
        if self.is_dry() {
            return Ok(Some(format!("<the commit of {repository}@{revision}>")));
        }
        match info["sha"].as_str() {
            Some(sha) => Ok(Some(sha.to_owned())),
            None => Err(HubError::Answer {
                what: format!("GET {}", repository.api()),
                reason: "there is no `sha`".to_owned(),
            }),
        }
    }

    /// Returns the files of a commit: path and name of the content.
    ///
    /// # Errors
    /// Fails when there is no such commit.
    pub fn files(
        &self,
        repository: &Repository,
        revision: &str,
    ) -> Result<BTreeMap<String, String>, HubError> {
        let mut url = self.at(&format!("{}/tree/{}?recursive=true", repository.api(), escaped(revision)));
        let mut found = BTreeMap::new();
        // A thousand pages are more files than a Space can hold.
        for _ in 0..1000 {
            let answer = self.get(&url)?;
            for one in answer.json().as_array().into_iter().flatten() {
                let name = one["lfs"]["oid"].as_str().or(one["oid"].as_str());
                if let (Some(path), Some(name), true) = (one["path"].as_str(), name, one["type"] == "file") {
                    found.insert(path.to_owned(), name.to_owned());
                }
            }
            match answer.header("link").and_then(next_page).filter(|next| self.allows(next)) {
                Some(next) => url = next,
                None => return Ok(found),
            }
        }
        Ok(found)
    }

    /// Returns a file; `None` when it, the commit or the repository is not there.
    ///
    /// # Errors
    /// Fails when the Hub cannot be reached, or the token is unknown.
    pub fn read(
        &self,
        repository: &Repository,
        revision: &str,
        path: &str,
    ) -> Result<Option<Vec<u8>>, HubError> {
        let url = self.at(&format!("{}/resolve/{}/{path}", repository.page(), escaped(revision)));
        match self.get(&url) {
            Ok(answer) => Ok(Some(answer.bytes)),
            Err(error) if error.status() == Some(404) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Gives a commit a name that stays.
    ///
    /// # Errors
    /// Fails when the name is another commit's already.
    pub fn tag(&self, repository: &Repository, commit: &str, name: &str) -> Result<(), HubError> {
        let url = self.at(&format!("{}/tag/{}", repository.api(), escaped(commit)));
        match self.send("POST", &url, &[], Body::Json(&json!({ "tag": name }))) {
            Err(error) if error.status() == Some(409) => match self.head(repository, name)? {
                Some(same) if same == commit => Ok(()),
                _ => Err(error),
            },
            result => result.map(drop),
        }
    }

    /// Makes a change, in one commit.
    ///
    /// # Errors
    /// Fails when the token may not, when somebody else changed the same files meanwhile, or when a file cannot be read.
    pub fn commit(&self, repository: &Repository, change: &Change) -> Result<Committed, HubError> {
        let mut before: Option<Vec<Mode>> = None;
        for _ in 0..TRIES {
            let head = self.head(repository, "main")?.ok_or_else(|| {
                HubError::Place(format!(
                    "there is no repository {repository}, or it is not this token's to read"
                ))
            })?;
            let modes = self.modes(repository, &change.files)?;
            // What was there when it was looked at first: whoever changed it since meant something by it.
            if let Some(before) = &before {
                let moved = before.iter().zip(&modes).zip(&change.files);
                let moved = moved.filter(|((then, now), _)| {
                    then.there != now.there && now.there.as_ref() != Some(&now.wanted)
                });
                if let Some((_, file)) = moved.into_iter().next() {
                    let reason =
                        format!("somebody else changed `{}` too; deploy again when they are done", file.path);
                    return Err(HubError::Moved { repository: repository.to_string(), reason });
                }
            }
            let new = |(mode, _): &(&Mode, &NewFile)| mode.there.as_ref() != Some(&mode.wanted);
            let changed: Vec<(&Mode, &NewFile)> = modes.iter().zip(&change.files).filter(new).collect();
            let deleted = self.still_there(repository, &head, &change.deleted)?;
            if changed.is_empty() && deleted.is_empty() {
                return Ok(Committed { commit: head, changed: false });
            }
            let large: Vec<(&str, &NewFile)> = changed
                .iter()
                .filter(|(mode, _)| mode.large)
                .map(|(mode, file)| (mode.wanted.as_str(), *file))
                .collect();
            self.upload_large(repository, &large)?;
            match self.send_commit(repository, &head, change, &changed, &deleted) {
                // Another commit came first; or it was ours, whose answer was lost: looking again tells.
                Err(error) if error.status() == Some(412) => before = Some(before.unwrap_or(modes)),
                Err(error) => return Err(error),
                Ok(commit) => return Ok(Committed { commit, changed: true }),
            }
        }
        let reason = format!("{TRIES} commits of others came first; deploy again when they are done");
        Err(HubError::Moved { repository: repository.to_string(), reason })
    }

    fn still_there(
        &self,
        repository: &Repository,
        head: &str,
        paths: &[String],
    ) -> Result<Vec<String>, HubError> {
        if paths.is_empty() {
            return Ok(Vec::new());
        }
        let there = self.files(repository, head)?;
        Ok(paths.iter().filter(|path| there.contains_key(*path)).cloned().collect())
    }

    /// Asks how each file gets there, and what is there now.
    fn modes(&self, repository: &Repository, files: &[NewFile]) -> Result<Vec<Mode>, HubError> {
        let url = self.at(&format!("{}/preupload/main", repository.api()));
        let mut modes = Vec::new();
        for chunk in files.chunks(ASKED_AT_ONCE) {
            let mut asked = Vec::new();
            for file in chunk {
                let sample = STANDARD.encode(file.content.sample()?);
                asked.push(json!({ "path": file.path, "size": file.content.size(), "sample": sample }));
            }
            let shown = chunk.iter().map(|file| format!("{} ({} bytes)", file.path, file.content.size()));
            let shown = format!("<asks how these get there: {}>", shown.collect::<Vec<_>>().join(", "));
            let bytes = json!({ "files": asked }).to_string().into_bytes();
            let answer = self.send("POST", &url, &[], Body::Bytes("application/json", bytes, shown))?.json();
            let answers: BTreeMap<&str, &Value> = answer["files"]
                .as_array()
                .into_iter()
                .flatten()
                .filter_map(|one| Some((one["path"].as_str()?, one)))
                .collect();
            for file in chunk {
                let large = match answers.get(file.path.as_str()).and_then(|one| one["uploadMode"].as_str()) {
                    Some(mode) => mode == "lfs",
                    None if self.is_dry() => {
                        file.content.size() >= LARGE || file.content.sample()?.contains(&0)
                    }
                    None => {
                        let reason = format!("it says nothing about `{}`", file.path);
                        return Err(HubError::Answer { what: format!("POST {url}"), reason });
                    }
                };
                // The store of large files takes no empty one.
                let large = large && file.content.size() > 0;
                let wanted = if large { file.content.sha256()? } else { file.content.blob()? };
                let there = answers.get(file.path.as_str()).and_then(|one| one["oid"].as_str());
                modes.push(Mode { large, there: there.map(ToOwned::to_owned), wanted });
            }
        }
        Ok(modes)
    }

    fn send_commit(
        &self,
        repository: &Repository,
        head: &str,
        change: &Change,
        changed: &[(&Mode, &NewFile)],
        deleted: &[String],
    ) -> Result<String, HubError> {
        let header = json!({ "summary": change.summary, "description": "", "parentCommit": head });
        let mut lines = vec![json!({ "key": "header", "value": header })];
        let mut shown = vec![lines[0].to_string()];
        for (mode, file) in changed {
            let line = if mode.large {
                let size = file.content.size();
                json!({ "key": "lfsFile", "value": { "path": file.path, "algo": "sha256", "oid": mode.wanted, "size": size } })
            } else {
                let content = STANDARD.encode(file.content.read()?);
                json!({ "key": "file", "value": { "path": file.path, "content": content, "encoding": "base64" } })
            };
            let mut brief = line.clone();
            if !mode.large {
                brief["value"]["content"] = json!(format!("<{} bytes>", file.content.size()));
            }
            shown.push(brief.to_string());
            lines.push(line);
        }
        for path in deleted {
            let line = json!({ "key": "deletedFile", "value": { "path": path } });
            shown.push(line.to_string());
            lines.push(line);
        }
        let body: String = lines.iter().map(|line| format!("{line}\n")).collect();
        let url = self.at(&format!("{}/commit/main", repository.api()));
        let body = Body::Bytes("application/x-ndjson", body.into_bytes(), shown.join("\n"));
        let answer = self.send("POST", &url, &[], body)?.json();
        match answer["commitOid"].as_str() {
            Some(commit) => Ok(commit.to_owned()),
            None if self.is_dry() => Ok(format!("<the new commit of {repository}>")),
            None => Err(HubError::Answer {
                what: format!("POST {url}"),
                reason: "there is no `commitOid`".to_owned(),
            }),
        }
    }
}

/// A revision as a part of a path.
fn escaped(revision: &str) -> String {
    revision
        .bytes()
        .map(|byte| match byte {
            byte if byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte) => (byte as char).to_string(),
            byte => format!("%{byte:02X}"),
        })
        .collect()
}

/// `<https://…?cursor=…>; rel="next"`.
fn next_page(link: &str) -> Option<String> {
    link.split(',').find_map(|part| {
        let (url, relation) = part.split_once(';')?;
        let url = url.trim().strip_prefix('<')?.strip_suffix('>')?;
        relation.contains("rel=\"next\"").then(|| url.to_owned())
    })
}
