//! Signatures of packages in the form of `OpenSSF` model signing v1.0: a Sigstore bundle that holds a DSSE envelope with
//! an in-toto statement over every file, signed by an ECDSA key on P-256, P-384 or P-521. The Python package
//! `model-signing` reads what this writes and the other way round.
//!
//! A signature is deterministic (RFC 6979): the same key and files give the same bytes.

mod keys;

use std::collections::BTreeMap;
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use modelgate_core::Digest;
use serde::{Deserialize, Serialize};

pub use keys::{PrivateKey, PublicKey};

/// The file that a signature is kept in, beside the files that it signs.
pub const SIGNATURE_FILE: &str = "model.sig";

const MEDIA_TYPE: &str = "application/vnd.dev.sigstore.bundle.v0.3+json";
const PAYLOAD_TYPE: &str = "application/vnd.in-toto+json";
const STATEMENT_TYPE: &str = "https://in-toto.io/Statement/v1";
const PREDICATE_TYPE: &str = "https://model_signing/signature/v1.0";
/// More than any signature of a package has.
const MAX_BUNDLE: usize = 64 << 20;

/// A key or a signature cannot be used, or does not fit the files.
#[derive(Debug, thiserror::Error)]
pub enum SigningError {
    /// The key cannot be used.
    #[error("cannot use the key: {0}")]
    Key(String),
    /// The signature is not one.
    #[error("`{SIGNATURE_FILE}` is not a model signature: {0}")]
    Form(String),
    /// It was made with another key.
    #[error("the signature was not made with this key{0}")]
    OtherKey(String),
    /// It signs other files.
    #[error("the files are not those that were signed: {0}")]
    Files(String),
    /// A file could not be read.
    #[error(transparent)]
    Io(#[from] std::io::Error),
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Bundle {
    media_type: String,
    verification_material: Material,
    dsse_envelope: Envelope,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Material {
    public_key: Option<KeyHint>,
    #[serde(default)]
    tlog_entries: Vec<serde_json::Value>,
}

#[derive(Serialize, Deserialize)]
struct KeyHint {
    #[serde(default)]
    hint: Option<String>,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Envelope {
    payload: String,
    payload_type: String,
    signatures: Vec<OneSignature>,
}

#[derive(Serialize, Deserialize)]
struct OneSignature {
    sig: String,
    #[serde(default)]
    keyid: String,
}

#[derive(Serialize, Deserialize)]
struct Statement {
    #[serde(rename = "_type")]
    kind: String,
    subject: Vec<Subject>,
    #[serde(rename = "predicateType")]
    predicate_type: String,
    predicate: Predicate,
}

#[derive(Serialize, Deserialize)]
struct Subject {
    name: String,
    digest: BTreeMap<String, String>,
}

#[derive(Serialize, Deserialize)]
struct Predicate {
    serialization: Serialization,
    resources: Vec<Resource>,
}

#[derive(Serialize, Deserialize)]
struct Serialization {
    method: String,
    allow_symlinks: bool,
    hash_type: String,
    #[serde(default)]
    ignore_paths: Vec<String>,
}

#[derive(Serialize, Deserialize)]
struct Resource {
    algorithm: String,
    name: String,
    digest: String,
}

/// Returns the bytes that are signed: DSSE's pre-authentication encoding.
fn pre_authentication(payload: &[u8]) -> Vec<u8> {
    let mut bytes = format!("DSSEv1 {} {PAYLOAD_TYPE} {} ", PAYLOAD_TYPE.len(), payload.len()).into_bytes();
    bytes.extend_from_slice(payload);
    bytes
}

/// Returns `model.sig` over `files`, names below the package's folder with their digests; `name` is the package's.
///
/// # Errors
/// Fails when there is no file to sign.
pub fn sign(name: &str, files: &BTreeMap<String, Digest>, key: &PrivateKey) -> Result<Vec<u8>, SigningError> {
    let resources: Vec<Resource> = files
        .iter()
        .filter(|(name, _)| *name != SIGNATURE_FILE)
        .map(|(name, digest)| Resource {
            algorithm: "sha256".to_owned(),
            name: name.clone(),
            digest: digest.hex(),
        })
        .collect();
    if resources.is_empty() {
        return Err(SigningError::Files("there is none".to_owned()));
    }
    let statement = Statement {
        kind: STATEMENT_TYPE.to_owned(),
        subject: vec![Subject {
            name: name.to_owned(),
            digest: BTreeMap::from([("sha256".to_owned(), root(&resources)?)]),
        }],
        predicate_type: PREDICATE_TYPE.to_owned(),
        predicate: Predicate {
            serialization: Serialization {
                method: "files".to_owned(),
                allow_symlinks: false,
                hash_type: "sha256".to_owned(),
                ignore_paths: vec![SIGNATURE_FILE.to_owned()],
            },
            resources,
        },
    };
    let form = |error: serde_json::Error| SigningError::Form(error.to_string());
    let payload = serde_json::to_vec(&statement).map_err(form)?;
    let signature = key.sign(&pre_authentication(&payload))?;
    let bundle = Bundle {
        media_type: MEDIA_TYPE.to_owned(),
        verification_material: Material {
            public_key: Some(KeyHint { hint: Some(key.public().hint()?) }),
            tlog_entries: Vec::new(),
        },
        dsse_envelope: Envelope {
            payload: STANDARD.encode(&payload),
            payload_type: PAYLOAD_TYPE.to_owned(),
            signatures: vec![OneSignature { sig: STANDARD.encode(signature), keyid: String::new() }],
        },
    };
    serde_json::to_vec(&bundle).map_err(form)
}

/// Returns the digest over all digests, in their order.
fn root(resources: &[Resource]) -> Result<String, SigningError> {
    let mut all = Vec::with_capacity(resources.len() * 32);
    for resource in resources {
        all.extend_from_slice(digest_of(resource)?.as_bytes());
    }
    Ok(Digest::of(&all).hex())
}

fn digest_of(resource: &Resource) -> Result<Digest, SigningError> {
    if resource.algorithm != "sha256" {
        let message = format!("`{}` is hashed by `{}`; sha256 is read", resource.name, resource.algorithm);
        return Err(SigningError::Form(message));
    }
    let digest = format!("sha256:{}", resource.digest.to_ascii_lowercase()).parse();
    digest.map_err(|_| SigningError::Form(format!("the digest of `{}` is none", resource.name)))
}

/// What a signature that holds has signed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Signed {
    /// The name that the signer gave.
    pub name: String,
    /// The files with their digests.
    pub files: BTreeMap<String, Digest>,
    /// Paths that the signer left out.
    pub ignored: Vec<String>,
}

/// Checks that `bundle` was made with `key`, and returns what it signs.
///
/// # Errors
/// Says what is wrong with the signature.
pub fn open(bundle: &[u8], key: &PublicKey) -> Result<Signed, SigningError> {
    let form = |what: String| SigningError::Form(what);
    if bundle.len() > MAX_BUNDLE {
        return Err(form(format!("it has {} bytes", bundle.len())));
    }
    let bundle: Bundle = serde_json::from_slice(bundle).map_err(|error| form(error.to_string()))?;
    if bundle.media_type != MEDIA_TYPE {
        return Err(form(format!("its media type is `{}`", bundle.media_type)));
    }
    let envelope = &bundle.dsse_envelope;
    if envelope.payload_type != PAYLOAD_TYPE {
        return Err(form(format!("its payload is `{}`", envelope.payload_type)));
    }
    // One signature and one reading: with several, two programs could look at different ones.
    let [signature] = envelope.signatures.as_slice() else {
        return Err(form(format!("it holds {} signatures, not one", envelope.signatures.len())));
    };
    let hint = bundle.verification_material.public_key.and_then(|key| key.hint).unwrap_or_default();
    let own = key.hint()?;
    if !hint.is_empty() && hint != own {
        let short = |text: &str| text.chars().take(12).collect::<String>();
        let message = format!(": it names key {} and this one is {}", short(&hint), short(&own));
        return Err(SigningError::OtherKey(message));
    }
    let decode = |text: &str| STANDARD.decode(text).map_err(|error| form(format!("base64: {error}")));
    let payload = decode(&envelope.payload)?;
    let der = decode(&signature.sig)?;
    key.verify(&pre_authentication(&payload), &der)?;
    statement(&payload)
}

/// Reads a payload whose signature holds.
fn statement(payload: &[u8]) -> Result<Signed, SigningError> {
    let form = |what: String| SigningError::Form(what);
    let statement: Statement = serde_json::from_slice(payload).map_err(|error| form(error.to_string()))?;
    if statement.kind != STATEMENT_TYPE || statement.predicate_type != PREDICATE_TYPE {
        return Err(form(format!("it states `{}`, `{}`", statement.kind, statement.predicate_type)));
    }
    let [subject] = statement.subject.as_slice() else {
        return Err(form("it does not have one subject".to_owned()));
    };
    let serialization = &statement.predicate.serialization;
    if serialization.method != "files" || serialization.hash_type != "sha256" {
        let (method, hash) = (&serialization.method, &serialization.hash_type);
        return Err(form(format!(
            "files are hashed by `{method}` with `{hash}`; `files` with `sha256` is read"
        )));
    }
    let resources = &statement.predicate.resources;
    if subject.digest.get("sha256") != Some(&root(resources)?) {
        return Err(form("its digests do not sum to its subject".to_owned()));
    }
    let mut files = BTreeMap::new();
    for resource in resources {
        if files.insert(resource.name.clone(), digest_of(resource)?).is_some() {
            return Err(form(format!("`{}` stands in it twice", resource.name)));
        }
    }
    Ok(Signed { name: subject.name.clone(), files, ignored: serialization.ignore_paths.clone() })
}

/// Checks that `files` are those that `signed` names: none changed, none missing, none added.
///
/// # Errors
/// Names the first file that is not.
pub fn compare(signed: &Signed, files: &BTreeMap<String, Digest>) -> Result<(), SigningError> {
    let ignored =
        |name: &str| signed.ignored.iter().any(|path| name == path || name.starts_with(&format!("{path}/")));
    for (name, digest) in &signed.files {
        match files.get(name) {
            Some(found) if found == digest => {}
            Some(_) => return Err(SigningError::Files(format!("`{name}` was changed"))),
            None => return Err(SigningError::Files(format!("`{name}` is missing"))),
        }
    }
    match files.keys().find(|name| !signed.files.contains_key(*name) && !ignored(name)) {
        Some(name) => Err(SigningError::Files(format!("`{name}` was added"))),
        None => Ok(()),
    }
}

/// Returns the digest of each file below `folder`, by its name with `/`.
///
/// # Errors
/// Refuses a symbolic link, whose target is not signed, and what is no file, such as a named pipe; names a file that cannot
/// be read.
pub fn files_of(folder: &Path) -> Result<BTreeMap<String, Digest>, SigningError> {
    let mut found = BTreeMap::new();
    let mut folders = vec![(folder.to_owned(), String::new())];
    while let Some((path, prefix)) = folders.pop() {
        for entry in fs_err::read_dir(&path)? {
            let entry = entry?;
            let name = entry.file_name().into_string().map_err(|name| {
                SigningError::Files(format!("the name `{}` is not UTF-8", name.to_string_lossy()))
            })?;
            let name = format!("{prefix}{name}");
            let kind = entry.file_type()?;
            if kind.is_symlink() {
                return Err(SigningError::Files(format!("`{name}` is a symbolic link")));
            } else if kind.is_dir() {
                folders.push((entry.path(), format!("{name}/")));
            } else if !kind.is_file() {
                return Err(SigningError::Files(format!("`{name}` is no plain file")));
            } else {
                found.insert(name, Digest::of(&fs_err::read(entry.path())?));
            }
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(seed: u8) -> PrivateKey {
        PrivateKey::from_seed(seed)
    }

    fn files() -> BTreeMap<String, Digest> {
        ["a.txt", "sub/b.txt"].map(|name| (name.to_owned(), Digest::of(name.as_bytes()))).into()
    }

    #[test]
    fn what_is_signed_is_verified_and_is_the_same_each_time() {
        let bundle = sign("m", &files(), &key(1)).expect("signed");
        assert_eq!(bundle, sign("m", &files(), &key(1)).expect("signed"));
        let signed = open(&bundle, &key(1).public()).expect("holds");
        assert_eq!((signed.name.as_str(), &signed.files), ("m", &files()));
        compare(&signed, &files()).expect("the same");
    }

    #[test]
    fn changed_missing_and_added_files_are_named() {
        let signed = open(&sign("m", &files(), &key(1)).expect("signed"), &key(1).public()).expect("holds");
        let said = |files: &BTreeMap<String, Digest>| compare(&signed, files).expect_err("found").to_string();
        let mut other = files();
        other.insert("a.txt".to_owned(), Digest::of(b"x"));
        assert!(said(&other).contains("`a.txt` was changed"));
        let mut other = files();
        other.remove("a.txt");
        assert!(said(&other).contains("`a.txt` is missing"));
        let mut other = files();
        other.insert("model.sig.bak".to_owned(), Digest::of(b"x"));
        assert!(said(&other).contains("`model.sig.bak` was added"));
    }

    #[test]
    fn other_keys_and_forged_bundles_are_refused() {
        let bundle = sign("m", &files(), &key(1)).expect("signed");
        let said = |bundle: &[u8], key: &PublicKey| open(bundle, key).expect_err("refused").to_string();
        assert!(said(&bundle, &key(2).public()).contains("not made with this key"));
        let mut forged: serde_json::Value = serde_json::from_slice(&bundle).expect("JSON");
        let envelope = &mut forged["dsseEnvelope"];
        let payload = STANDARD.decode(envelope["payload"].as_str().expect("text")).expect("base64");
        let payload = String::from_utf8(payload).expect("text").replace("a.txt", "z.txt");
        envelope["payload"] = STANDARD.encode(payload).into();
        let forged_text = forged.to_string();
        assert!(said(forged_text.as_bytes(), &key(1).public()).contains("was changed"));
        // With the hint of a key that is believed, another key's signature is still another key's.
        let mut hinted: serde_json::Value =
            serde_json::from_slice(&sign("m", &files(), &key(2)).expect("signed")).expect("JSON");
        hinted["verificationMaterial"]["publicKey"]["hint"] = key(1).public().hint().expect("hint").into();
        assert!(said(hinted.to_string().as_bytes(), &key(1).public()).contains("not made with this key"));
        let mut two: serde_json::Value = serde_json::from_slice(&bundle).expect("JSON");
        let one = two["dsseEnvelope"]["signatures"][0].clone();
        two["dsseEnvelope"]["signatures"].as_array_mut().expect("list").push(one);
        assert!(said(two.to_string().as_bytes(), &key(1).public()).contains("2 signatures"));
        for text in ["", "{}", "[]", "{\"mediaType\":\"x\"}"] {
            assert!(said(text.as_bytes(), &key(1).public()).contains("not a model signature"), "{text}");
        }
    }

    #[cfg(unix)]
    #[test]
    fn what_is_no_plain_file_is_refused() {
        let folder = tempfile::tempdir().expect("folder");
        fs_err::write(folder.path().join("a"), "x").expect("written");
        fs_err::os::unix::fs::symlink(folder.path().join("a"), folder.path().join("b")).expect("linked");
        let error = files_of(folder.path()).expect_err("refused").to_string();
        assert!(error.contains("`b` is a symbolic link"), "{error}");
        fs_err::remove_file(folder.path().join("b")).expect("removed");
        let _socket = std::os::unix::net::UnixListener::bind(folder.path().join("c")).expect("a socket");
        let error = files_of(folder.path()).expect_err("refused").to_string();
        assert!(error.contains("`c` is no plain file"), "{error}");
    }
}
