//! `modelgate model sign` and `modelgate model verify`.

use anyhow::Context as _;
use modelgate_model::signing::PublicKey;
use modelgate_pipeline::rollback::{self, Answered};
use modelgate_pipeline::{PipelineError, Project, lock, registry, signature};
use serde_json::json;

use crate::arguments::model::{Sign, Verify};
use crate::environment::surroundings;
use crate::exit::{Exit, UsageError};
use crate::printer::Printer;

pub(crate) fn sign(arguments: &Sign, project: &Project, printer: &Printer) -> anyhow::Result<Exit> {
    let key = signature::private_key(&arguments.key)?;
    if let Some(folder) = &arguments.folder {
        signature::check_folder_signable(project, folder, arguments.override_quarantine)?;
        let path = folder.join("model.sig");
        modelgate_store::atomic::write(&path, &signature::sign_folder(folder, &key)?)?;
        printer.talk(&format!("{} is written", path.display()));
        if printer.is_json() {
            printer.json(&json!({ "schema_version": 1, "file": path.display().to_string() }))?;
        }
        return Ok(Exit::Passed);
    }
    let Some(model) = &arguments.model else {
        return Err(UsageError("name a model, or a folder with `--folder`".to_owned()).into());
    };
    signature::check_key(project, &key)?;
    let around = surroundings();
    let _lock = if arguments.dry_run { None } else { Some(lock(project, "modelgate model sign", &around)?) };
    let mut registry = registry(project)?;
    let version = super::chosen(&registry, model, arguments.version.as_ref())?;
    signature::check_signable(project, &registry, model, version, arguments.override_quarantine)?;
    let (named, reason) = ((model, version), &arguments.reason);
    if arguments.dry_run {
        signature::rehearse_signature(project, &registry, named, &key, reason, &around)?;
        printer.would(model, version, "be signed")?;
        return Ok(Exit::Passed);
    }
    let made = signature::sign_registered(project, &mut registry, named, &key, reason, &around)?;
    printer.talk(&format!("{model} {version} is signed"));
    if printer.is_json() {
        printer.json(&json!({
            "schema_version": 1, "model": model, "version": version, "signature": made,
        }))?;
    }
    Ok(Exit::Passed)
}

pub(crate) fn verify(arguments: &Verify, project: &Project, printer: &Printer) -> anyhow::Result<Exit> {
    if let Some(folder) = &arguments.folder {
        let file = arguments.signature.clone().unwrap_or_else(|| folder.join("model.sig"));
        signature::check_verdict_beside(folder)?;
        // Who names a key or a signature, or asks for one, asks for more than a whole package. So does a project that says whom
        // it believes.
        let signing = &project.config.signing;
        let is_asked = arguments.key.is_some()
            || arguments.signature.is_some()
            || signing.require_signature
            || !signing.public_keys.is_empty();
        if !file.exists() {
            if is_asked {
                return Err(PipelineError::Policy(format!(
                    "`{}` is not signed: there is no `{}`; `modelgate model sign --folder {} --key FILE` makes it",
                    folder.display(),
                    file.display(),
                    folder.display()
                ))
                .into());
            }
            let digest = signature::verify_unsigned_folder(folder)?;
            let sentence = format!("{} is the whole package {digest}; it is not signed", folder.display());
            return tell(&sentence, None, printer);
        }
        let keys = keys(arguments, project)?;
        let key = signature::verify_folder(folder, &file, &keys)?;
        return tell(&format!("{} is what `{key}` signed", folder.display()), Some(&key), printer);
    }
    let Some(model) = &arguments.model else {
        return Err(UsageError("name a model, or a folder with `--folder`".to_owned()).into());
    };
    if arguments.signature.is_some() {
        let message = "--signature is for `--folder`: the signature of a version is in the registry";
        return Err(UsageError(message.to_owned()).into());
    }
    // A key that cannot be read is told before the model is asked its rows.
    let named = arguments.key.as_ref().map(|_| keys(arguments, project)).transpose()?;
    let registry = registry(project)?;
    let version = registry.resolve(model, &arguments.version)?;
    let answered = rollback::verify_version(project, &registry, model, version)?;
    let whole = match answered {
        Answered::AsStored => "is whole and answers as it did",
        Answered::NothingStored => "is whole; no rows are stored with it to ask it",
    };
    let signed = registry.model(model)?.versions.get(&version).is_some_and(|found| found.signature.is_some());
    // Who names a key asks for a signature by it.
    let keys = match named {
        Some(keys) => keys,
        None if signed => signature::trusted_keys(project)?,
        None => Vec::new(),
    };
    if !keys.is_empty() {
        let key = signature::verify_registered(&registry, model, version, &keys)
            .with_context(|| format!("{model} {version}"))?;
        let sentence = format!("{model} {version} {whole}, and is signed by `{key}`");
        return tell(&sentence, Some(&key), printer);
    }
    let about = if signed {
        "its signature was not looked at: there is no `--key`, and signing.public_keys is empty"
    } else {
        "it is not signed"
    };
    tell(&format!("{model} {version} {whole}; {about}"), None, printer)
}

/// Returns the key that is named, or those of the project.
fn keys(arguments: &Verify, project: &Project) -> anyhow::Result<Vec<(String, PublicKey)>> {
    Ok(match &arguments.key {
        Some(path) => vec![(path.display().to_string(), signature::public_key(path)?)],
        None => signature::trusted_keys(project)?,
    })
}

fn tell(sentence: &str, key: Option<&str>, printer: &Printer) -> anyhow::Result<Exit> {
    if printer.is_json() {
        printer
            .json(&json!({ "schema_version": 1, "whole": true, "verified": key.is_some(), "key": key }))?;
    } else {
        printer.data(sentence)?;
    }
    Ok(Exit::Passed)
}
