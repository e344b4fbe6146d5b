//! Large files: the batch that says where they go, and the way there, whole or in parts.
//!
//! What the store has already is not sent again. A part that was cut off is sent again alone; an upload that a killed command
//! began is begun anew with the files that are not there yet, since the addresses of its parts were good for that upload only.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::client::Body;
use super::content::NewFile;
use super::names::Kind;
use super::{Hub, HubError, Repository};

const MEDIA: &str = "application/vnd.git-lfs+json";
/// Files of one batch.
const ASKED_AT_ONCE: usize = 100;

impl Hub {
    /// Brings files into the store, by their SHA-256.
    pub(super) fn upload_large(
        &self,
        repository: &Repository,
        files: &[(&str, &NewFile)],
    ) -> Result<(), HubError> {
        let page = match repository.kind() {
            Kind::Model => String::new(),
            Kind::Space => "/spaces".to_owned(),
        };
        let url = self.at(&format!("{page}/{}.git/info/lfs/objects/batch", repository.id()));
        // Two files of one content are one object.
        let mut known = BTreeSet::new();
        let files: Vec<(&str, &NewFile)> =
            files.iter().copied().filter(|(oid, _)| known.insert(*oid)).collect();
        for chunk in files.chunks(ASKED_AT_ONCE) {
            let objects: Vec<Value> =
                chunk.iter().map(|(oid, file)| json!({ "oid": oid, "size": file.content.size() })).collect();
            let asked = json!({
                "operation": "upload", "transfers": ["basic", "multipart"], "hash_algo": "sha256",
                "ref": { "name": "main" }, "objects": objects,
            });
            let headers = [("accept", MEDIA), ("content-type", MEDIA)];
            let answer = self.send("POST", &url, &headers, Body::Json(&asked))?.json();
            if self.is_dry() {
                for (oid, file) in chunk {
                    let store = format!("<the address that the batch gives for {oid}>");
                    self.put(&store, &file.content, 0, file.content.size())?;
                }
                continue;
            }
            for (oid, file) in chunk {
                let found =
                    answer["objects"].as_array().into_iter().flatten().find(|one| one["oid"] == **oid);
                let Some(object) = found else {
                    let reason = format!("it says nothing about `{}`", file.path);
                    return Err(HubError::Answer { what: format!("POST {url}"), reason });
                };
                self.upload_one(&url, oid, file, object)?;
            }
        }
        Ok(())
    }

    fn upload_one(&self, batch: &str, oid: &str, file: &NewFile, object: &Value) -> Result<(), HubError> {
        let wrong = |reason: String| HubError::Answer { what: format!("POST {batch}"), reason };
        if let Some(message) = object["error"]["message"].as_str() {
            let status = object["error"]["code"].as_u64().unwrap_or(422) as u16;
            let reason: String = message.chars().filter(|letter| !letter.is_control()).take(300).collect();
            let what = format!("the upload of `{}`", file.path);
            return Err(HubError::Refused { what, status, reason, hint: "", request: None });
        }
        let actions = &object["actions"];
        if actions.is_null() {
            // The store has it.
            return Ok(());
        }
        let address = |action: &Value| -> Result<String, HubError> {
            let href = action["href"].as_str().ok_or_else(|| wrong("an action has no address".to_owned()))?;
            if self.allows(href) {
                Ok(href.to_owned())
            } else {
                Err(wrong("an address is not https://".to_owned()))
            }
        };
        let upload = &actions["upload"];
        let href = address(upload)?;
        match &upload["header"]["chunk_size"] {
            Value::Null => drop(self.put(&href, &file.content, 0, file.content.size())?),
            size => {
                let size = size.as_u64().or_else(|| size.as_str()?.parse().ok()).filter(|size| *size > 0);
                let size = size.ok_or_else(|| wrong("the size of parts is no number".to_owned()))?;
                self.upload_parts(&href, oid, file, &upload["header"], size, &wrong)?;
            }
        }
        if !actions["verify"].is_null() {
            let body = json!({ "oid": oid, "size": file.content.size() });
            self.send("POST", &address(&actions["verify"])?, &[], Body::Json(&body))?;
        }
        Ok(())
    }

    fn upload_parts(
        &self,
        complete: &str,
        oid: &str,
        file: &NewFile,
        header: &Value,
        part: u64,
        wrong: &dyn Fn(String) -> HubError,
    ) -> Result<(), HubError> {
        let mut addresses: Vec<(u64, &str)> = header
            .as_object()
            .into_iter()
            .flatten()
            .filter_map(|(name, url)| Some((name.parse().ok()?, url.as_str()?)))
            .collect();
        addresses.sort_unstable();
        let size = file.content.size();
        let numbered = addresses.iter().enumerate().all(|(at, (number, _))| *number == at as u64 + 1);
        if addresses.len() as u64 != size.div_ceil(part) || !numbered {
            return Err(wrong(format!("{} parts of {part} bytes do not make {size} bytes", addresses.len())));
        }
        let mut parts = Vec::new();
        for (number, url) in addresses {
            if !self.allows(url) {
                return Err(wrong("an address is not https://".to_owned()));
            }
            let start = (number - 1) * part;
            let answer = self.put(url, &file.content, start, part.min(size - start))?;
            let etag = answer.header("etag").filter(|etag| !etag.is_empty());
            let etag = etag.ok_or_else(|| wrong(format!("part {number} got no etag")))?;
            parts.push(json!({ "partNumber": number, "etag": etag }));
        }
        let headers = [("accept", MEDIA), ("content-type", MEDIA)];
        let body = json!({ "oid": oid, "parts": parts });
        self.send("POST", complete, &headers, Body::Json(&body)).map(drop)
    }
}
