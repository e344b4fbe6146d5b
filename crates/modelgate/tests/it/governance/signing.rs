//! Signatures: made, believed, refused; and in both directions the same as those of the Python package.

use std::path::{Path, PathBuf};
use std::process::Command;

use modelgate_testing::{TestProject, skip};

use super::{CONFIG, project, registry};

/// Makes a key pair on P-256 with OpenSSL in the project.
pub(crate) fn keys(project: &TestProject, name: &str) -> Option<(String, String)> {
    keys_on(project, name, "prime256v1")
}

fn keys_on(project: &TestProject, name: &str, curve: &str) -> Option<(String, String)> {
    let (private, public) = (format!("{name}.key"), format!("{name}.pub"));
    let openssl = |arguments: &[&str]| {
        let done = Command::new("openssl").args(arguments).current_dir(project.path(".")).output();
        done.is_ok_and(|output| output.status.success())
    };
    let made = openssl(&["ecparam", "-name", curve, "-genkey", "-noout", "-out", &private])
        && openssl(&["ec", "-in", &private, "-pubout", "-out", &public]);
    if !made {
        skip("there is no openssl to make keys with");
        return None;
    }
    Some((private, public))
}

fn signing(public: &str) -> String {
    let policy = format!("signing: {{require_signature: true, public_keys: [{public}]}}\npipelines:");
    CONFIG.replace("pipelines:", &policy).replace("approval: automatic", "approval: required")
}

/// Signs a version by a key that the project believed, and believes `public` alone from then on.
fn sign_before_the_change(
    project: &TestProject,
    version: &str,
    (private, former): (&str, &str),
    public: &str,
) {
    project.write("modelgate.yaml", signing(former));
    let _ = project.run(&["model", "sign", "p", version, "--key", private]).exits(0);
    project.write("modelgate.yaml", signing(public));
}

#[test]
fn an_unsigned_version_does_not_reach_production_where_signatures_are_required() {
    let project = project(CONFIG, 1);
    let (Some((private, public)), Some((other, former))) = (keys(&project, "one"), keys(&project, "two"))
    else {
        return;
    };
    project.write("modelgate.yaml", signing(&public));
    let run = project.command(&["run"]).env("MODELGATE_SEED", "2").output().expect("started");
    assert_eq!(run.status.code(), Some(4));
    let _ = project.run(&["model", "approve", "p"]).exits(0);
    project
        .run(&["model", "promote", "p"])
        .exits(1)
        .says("signing.require_signature: p v002: it is not signed");
    sign_before_the_change(&project, "2", (&other, &former), &public);
    project.run(&["model", "promote", "p"]).exits(1).says("not made with this key");
    let _ = project.run(&["model", "sign", "p", "2", "--key", &private, "--reason", "released"]).exits(0);
    // A key that nobody believes takes the place of no signature.
    let unknown = project.run(&["model", "sign", "p", "2", "--key", &other]).exits(1);
    unknown.says("of none of the keys in signing.public_keys (`one.pub`)");
    project.run(&["model", "verify", "p", "2"]).exits(0).says("is signed by `one.pub`");
    let _ = project.run(&["model", "promote", "p"]).exits(0);
    assert!(project.path("models/packaged/p/model.sig").is_file());
    let verify = ["model", "verify", "--folder", "models/packaged/p"];
    project.run(&verify).exits(0).says("is what `one.pub` signed");
    project.run(&["status"]).exits(0).says("verified").says("signature   by `one.pub`");
    // Only what that key signed is served.
    let served = |package: &str| {
        let mut command = project.command(&["serve", "--port", "0", "--package", package]);
        command.args(["--require-model", "--startup-timeout", "1"]);
        command
    };
    let service = modelgate_testing::Service::ready(served("models/packaged/p"));
    assert_eq!(service.get("/health").json()["models"]["p"]["signed"], true);
    drop(service);
    let signature = project.read("models/packaged/p/model.sig");
    fs_err::remove_file(project.path("models/packaged/p/model.sig")).expect("removed");
    let refused = served("models/packaged/p").output().expect("ended");
    assert_eq!(refused.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&refused.stderr).contains("not signed"), "{refused:?}");
    project.write("models/packaged/p/model.sig", signature);
    // The version before was never signed: there is no way back to it.
    let back = ["model", "rollback", "p", "--yes", "--reason", "x"];
    project.run(&back).exits(1).says("it is not signed");
    // Not looking at the model does not mean not looking at who made it.
    let skipping = [&back[..], &["--skip-verification"]].concat();
    project.run(&skipping).exits(1).says("signing.require_signature: p v001: it is not signed");
    assert!(!project.run(&["ledger", "log"]).stdout.contains("intended"));
    project.run(&["ledger", "log"]).exits(0).says("v002 signed, sha256:").says("released");
    // A signature is all that a service without the registry asks: what is quarantined gets none unasked.
    let _ = project.run(&["model", "quarantine", "p", "1", "--reason", "leaks"]).exits(0);
    let sign = ["model", "sign", "p", "1", "--key", &private];
    project.run(&sign).exits(1).says("p v001 is not signed: its package is quarantined");
    // Its package in a folder gets none either.
    let _ = project.run(&["model", "pull", "p", "1", "--to", "left"]).exits(0);
    let sign_folder = ["model", "sign", "--folder", "left", "--key", &private];
    project.run(&sign_folder).exits(1).says("p v001 is not signed: its package is quarantined");
    let verdict = project.read("left/verdict.json");
    project.write("left/verdict.json", verdict.replacen("\"passed\"", "\"failed\"", 9));
    project.run(&sign_folder).exits(2).says("its verdict.json says failed");
    assert!(!project.path("left/model.sig").exists());
    let _ = project.run(&[&sign[..], &["--override-quarantine"]].concat()).exits(0);
    // What the gate wrote is not what lies beside the package any more.
    let beside = "models/packaged/p/verdict.json";
    let verdict = project.read(beside);
    project.write(beside, verdict.replacen("\"passed\"", "\"failed\"", 1));
    project.run(&verify).exits(1).says("verdict.json` contradicts itself");
    project.run(&["status"]).exits(0).says("its verdict.json is not what the gate wrote");
    let _ = project.run(&["model", "pull", "p"]).exits(0);
    assert_eq!(project.read(beside), verdict);
    let _ = project.run(&verify).exits(0);
}

#[test]
fn the_key_that_is_named_is_the_one_that_a_version_is_checked_by() {
    let project = project(CONFIG, 1);
    let (Some((private, public)), Some((_, other))) = (keys(&project, "one"), keys(&project, "two")) else {
        return;
    };
    let verify = |arguments: &[&str]| project.run(&[&["model", "verify", "p"], arguments].concat());
    verify(&["--key", &public]).exits(1).says("it is not signed");
    let folder = ["model", "verify", "--folder", "models/packaged/p"];
    project.run(&folder).exits(0).says("is the whole package sha256:").says("it is not signed");
    project.run(&[&folder[..], &["--key", &public]].concat()).exits(1).says("model.sig");
    let json = ["--output-format", "json"];
    let told = |arguments: &[&str]| -> (serde_json::Value, serde_json::Value) {
        let answer = project.run(&[&json, arguments].concat()).exits(0).stdout;
        let answer: serde_json::Value = serde_json::from_str(&answer).expect("JSON");
        (answer["whole"].clone(), answer["verified"].clone())
    };
    assert_eq!(told(&folder), (true.into(), false.into()));
    let rehearsed = project.run(&["model", "sign", "p", "--key", &private, "--dry-run"]).exits(0);
    rehearsed.says("p: v001 would be signed; nothing was done");
    verify(&[]).exits(0).says("it is not signed");
    let signed = project.run(&["--output-format", "json", "model", "sign", "p", "--key", &private]).exits(0);
    let signed: serde_json::Value = serde_json::from_str(&signed.stdout).expect("JSON");
    assert_eq!((&signed["version"], &signed["schema_version"]), (&1.into(), &1.into()));
    verify(&[]).exits(0).says("its signature was not looked at: there is no `--key`");
    verify(&["--key", &public]).exits(0).says("is signed by `one.pub`");
    verify(&["--key", &other]).exits(1).says("not made with this key");
    verify(&["--key", "none.pub"]).exits(1).says("none.pub");
    verify(&["--signature", "none.sig"]).exits(64).says("--folder");
    // The key that is named counts, and not those of the project.
    project.write("modelgate.yaml", signing(&public).replace("require_signature: true, ", ""));
    let _ = project.run(&["model", "pull", "p", "1", "--to", "package"]).exits(0);
    fs_err::remove_file(project.path("package/model.sig")).expect("removed");
    // A project that says whom it believes does not believe nobody.
    project.run(&["model", "verify", "--folder", "package"]).exits(1).says("`package` is not signed");
    assert_eq!(told(&["model", "verify", "p"]), (true.into(), true.into()));
    project.write("modelgate.yaml", signing(&public));
    verify(&["--key", &other]).exits(1).says("not made with this key");
    let answer = project.run(&["--output-format", "json", "model", "verify", "p"]).exits(0).stdout;
    let answer: serde_json::Value = serde_json::from_str(&answer).expect("JSON");
    assert_eq!(answer["key"], "one.pub");
}

/// A service that must find a model, and waits a second for it.
fn demanding(project: &TestProject, arguments: &[&str]) -> Command {
    let mut command = project.command(arguments);
    command.args(["--port", "0", "--require-model", "--startup-timeout", "1"]);
    command
}

#[track_caller]
fn refuses(mut command: Command, code: i32, says: &str) {
    let output = command.output().expect("started");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(code), "{said}");
    assert!(said.contains(says), "{says}: {said}");
}

#[test]
fn a_service_without_a_project_is_held_to_the_keys_that_it_is_given() {
    let project = project(CONFIG, 1);
    let pairs = ["one", "two", "three"].map(|name| keys(&project, name));
    let [Some((private, public)), Some((_, second)), Some((_, third))] = pairs else { return };
    let elsewhere = tempfile::tempdir().expect("a folder");
    let folder = elsewhere.path().to_str().expect("a path");
    let _ = project.run(&["model", "pull", "p", "1", "--to", "package"]).exits(0);
    let package = project.path("package").display().to_string();
    let place = |name: &str| project.path(name).display().to_string();
    let serve = |keys: &[&str]| {
        let mut command = demanding(&project, &["-C", folder, "serve", "--package", &package]);
        let keys: Vec<String> = keys.iter().map(|name| place(name)).collect();
        command.env("MODELGATE_PUBLIC_KEYS", keys.join(","));
        command
    };
    let flags = |name: &str| {
        let arguments = ["-C", folder, "serve", "--package", &package, "--public-key", &place(name)];
        demanding(&project, &arguments)
    };
    refuses(serve(&[&public]), 1, "not signed");
    refuses(flags(&public), 1, "not signed");
    let _ = project.run(&["model", "sign", "--folder", "package", "--key", &private]).exits(0);
    refuses(serve(&[&second, &third]), 1, "no trusted key has signed it");
    refuses(flags(&second), 1, "no trusted key has signed it");
    for command in [serve(&[&second, &public]), flags(&public)] {
        let service = modelgate_testing::Service::ready(command);
        assert_eq!(service.get("/health").json()["models"]["p"]["signed"], true);
    }
    // What is no public key lets nothing in: a private one, a file that is not there, no file at all.
    refuses(serve(&[&private]), 64, "one.key");
    refuses(serve(&["none.pub"]), 64, "none.pub");
    let mut empty = serve(&[]);
    empty.env("MODELGATE_PUBLIC_KEYS", ",");
    refuses(empty, 64, "--public-key");
}

#[test]
fn only_a_signed_version_of_the_registry_is_served_where_signatures_are_required() {
    let project = project(CONFIG, 1);
    let (Some((private, public)), Some((other, former))) = (keys(&project, "one"), keys(&project, "two"))
    else {
        return;
    };
    project.write("modelgate.yaml", signing(&public));
    refuses(demanding(&project, &["serve"]), 1, "not signed");
    sign_before_the_change(&project, "1", (&other, &former), &public);
    project.run(&["status"]).exits(0).says("signature   not believed:");
    refuses(demanding(&project, &["serve"]), 1, "not made with this key");
    let _ = project.run(&["model", "sign", "p", "1", "--key", &private]).exits(0);
    let service = modelgate_testing::Service::ready(demanding(&project, &["serve"]));
    assert_eq!(service.get("/health").json()["models"]["p"]["signed"], true);
    drop(service);
    // A key that is named takes the place of the project's.
    refuses(demanding(&project, &["serve", "--public-key", "two.pub"]), 1, "not made with this key");
}

#[test]
fn nothing_unsigned_is_put_into_a_container_or_told_to_be_deployable() {
    let project = project(CONFIG, 1);
    let (Some((private, public)), Some((other, former))) = (keys(&project, "one"), keys(&project, "two"))
    else {
        return;
    };
    let refused = |why: &str| {
        project.run(&["deploy", "docker"]).exits(1).says("signing.require_signature: p v001").says(why);
        assert!(!project.path("Dockerfile").exists());
        let manifest = project.run(&["deploy", "manifest"]).exits(2);
        manifest.says("it must not be deployed: signing.require_signature: p v001").says(why);
        let manifest: serde_json::Value = serde_json::from_str(&manifest.stdout).expect("JSON");
        assert_eq!(manifest["readiness"], "signature_refused");
    };
    project.write("modelgate.yaml", signing(&public));
    refused("it is not signed");
    sign_before_the_change(&project, "1", (&other, &former), &public);
    refused("not made with this key");
    // What a run writes says the same.
    let _ = project.run(&["run"]);
    assert!(project.read("outputs/p/deployment_manifest.json").contains("signature_refused"));
    let _ = project.run(&["model", "sign", "p", "1", "--key", &private]).exits(0);
    let manifest = project.run(&["deploy", "manifest"]).exits(0);
    let manifest: serde_json::Value = serde_json::from_str(&manifest.stdout).expect("JSON");
    assert_eq!(manifest["readiness"], "ready");
    let _ = project.run(&["deploy", "docker"]).exits(0);
    assert!(project.read("Dockerfile").contains("COPY one.pub /keys/1.pem\n"));
    assert!(project.read("Dockerfile").contains("MODELGATE_PUBLIC_KEYS=/keys/1.pem\n"));
    assert!(project.read(".dockerignore").contains("\n!one.pub\n"));
    // A key that the image cannot take is told before anything is written.
    let elsewhere = tempfile::tempdir().expect("a folder");
    let outside = elsewhere.path().join("one.pub");
    fs_err::copy(project.path("one.pub"), &outside).expect("copied");
    project.write("modelgate.yaml", signing(outside.to_str().expect("a path")));
    project.run(&["deploy", "docker"]).exits(64).says("keep a copy below the project");
}

#[test]
fn tampered_added_and_linked_files_and_forged_bundles_are_refused() {
    let project = project(CONFIG, 1);
    let Some((private, public)) = keys(&project, "one") else { return };
    let _ = project.run(&["model", "pull", "p", "1", "--to", "package"]).exits(0);
    let _ = project.run(&["model", "sign", "--folder", "package", "--key", &private]).exits(0);
    let verify = ["model", "verify", "--folder", "package", "--key", &public];
    let _ = project.run(&verify).exits(0);
    let whole = fs_err::read(project.path("package/model.onnx")).expect("model");
    let mut changed = whole.clone();
    changed[30] ^= 1;
    project.write("package/model.onnx", changed);
    project.run(&verify).exits(1).says("`model.onnx` was changed");
    project.write("package/model.onnx", whole);
    project.write("package/extra.py", "import os");
    project.run(&verify).exits(1).says("`extra.py` was added");
    fs_err::remove_file(project.path("package/extra.py")).expect("removed");
    #[cfg(unix)]
    {
        fs_err::os::unix::fs::symlink("/etc/passwd", project.path("package/link")).expect("linked");
        project.run(&verify).exits(1).says("`link` is a symbolic link");
        fs_err::remove_file(project.path("package/link")).expect("removed");
    }
    let bundle = project.read("package/model.sig");
    for (text, message) in [
        (bundle.replacen("\"payload\":\"ey", "\"payload\":\"eY", 1), ""),
        ("{}".to_owned(), "is not a model signature"),
        (String::new(), "is not a model signature"),
    ] {
        project.write("package/model.sig", text);
        project.run(&verify).exits(1).says(message);
    }
    project.run(&["model", "sign", "p", "--key", &public]).exits(1).says("it is a public key");
    project.run(&["model", "sign", "p", "--key", "no.key"]).exits(1).says("no.key");
}

/// Returns the command of the Python package, where there is one.
fn peer() -> Option<PathBuf> {
    let python = std::env::var_os("MODELGATE_INTEROP_PYTHON").map(PathBuf::from);
    let command = python.as_deref().and_then(Path::parent).map(|folder| folder.join("model_signing"));
    let found = command.filter(|command| command.is_file());
    if found.is_none() {
        skip("MODELGATE_INTEROP_PYTHON names no Python with model-signing");
    }
    found
}

#[test]
fn the_python_package_verifies_our_signatures_and_we_verify_its() {
    let Some(peer) = peer() else { return };
    let project = project(CONFIG, 1);
    for curve in ["prime256v1", "secp384r1", "secp521r1"] {
        both_ways(&project, &peer, curve);
    }
}

/// Signs and verifies on one curve, in both directions.
fn both_ways(project: &TestProject, peer: &Path, curve: &str) {
    let (one, two) = (format!("one-{curve}"), format!("two-{curve}"));
    let (Some((private, public)), Some((_, other))) =
        (keys_on(project, &one, curve), keys_on(project, &two, curve))
    else {
        return;
    };
    let _ = fs_err::remove_dir_all(project.path("package"));
    let _ = project.run(&["model", "pull", "p", "1", "--to", "package"]).exits(0);
    let _ = project.run(&["model", "sign", "--folder", "package", "--key", &private]).exits(0);
    let ask = |arguments: &[&str]| {
        let output =
            Command::new(peer).args(arguments).current_dir(project.path(".")).output().expect("started");
        let said = [output.stdout, output.stderr].concat();
        (output.status.success(), String::from_utf8_lossy(&said).into_owned())
    };
    let theirs = |key: &str| {
        ask(&["verify", "key", "package", "--signature", "package/model.sig", "--public_key", key])
    };
    let (good, said) = theirs(&public);
    assert!(good, "{said}");
    assert!(!theirs(&other).0);
    fs_err::write(project.path("package/MODEL_CARD.md"), "changed").expect("written");
    assert!(!theirs(&public).0);
    let sign = ["sign", "key", "package", "--signature", "package/model.sig", "--private_key", &private];
    let (good, said) = ask(&sign);
    assert!(good, "{said}");
    let _ = project.run(&["model", "verify", "--folder", "package", "--key", &public]).exits(0);
    project
        .run(&["model", "verify", "--folder", "package", "--key", &other])
        .exits(1)
        .says("not made with this key");
    fs_err::write(project.path("package/MODEL_CARD.md"), "changed again").expect("written");
    let verify = ["model", "verify", "--folder", "package", "--key", &public];
    project.run(&verify).exits(1).says("`MODEL_CARD.md` was changed");
}

#[test]
fn keys_of_other_curves_are_told_from_those_that_can_be_used() {
    let project = project(CONFIG, 1);
    let curves = [("secp384r1", "a"), ("secp521r1", "b"), ("secp256k1", "c"), ("prime256v1", "d")];
    let mut made = Vec::new();
    for (curve, name) in curves {
        let Some(pair) = keys_on(&project, name, curve) else { return };
        made.push(pair);
    }
    let [(p384, public384), (p521, public521), (koblitz, public_koblitz), (_, public256)] = made.as_slice()
    else {
        panic!("four pairs");
    };
    for (private, public) in [(p384, public384), (p521, public521)] {
        let _ = fs_err::remove_dir_all(project.path("package"));
        let _ = project.run(&["model", "pull", "p", "1", "--to", "package"]).exits(0);
        let _ = project.run(&["model", "sign", "--folder", "package", "--key", private]).exits(0);
        let verify = |key: &str| project.run(&["model", "verify", "--folder", "package", "--key", key]);
        let _ = verify(public).exits(0);
        verify(public256).exits(1).says("not made with this key");
        // PKCS #8 of the same key signs the same.
        let pkcs8 = Command::new("openssl")
            .args(["pkcs8", "-topk8", "-nocrypt", "-in", private, "-out", "pkcs8.key"])
            .current_dir(project.path("."))
            .status();
        assert!(pkcs8.expect("openssl").success());
        let before = project.read("package/model.sig");
        let _ = project.run(&["model", "sign", "--folder", "package", "--key", "pkcs8.key"]).exits(0);
        assert_eq!(project.read("package/model.sig"), before);
    }
    let sign = ["model", "sign", "--folder", "package", "--key", koblitz];
    project.run(&sign).exits(1).says("expected a PEM file with an ECDSA key on P-256, P-384 or P-521");
    let verify = ["model", "verify", "--folder", "package", "--key", public_koblitz];
    project.run(&verify).exits(1).says("a public ECDSA key on P-256, P-384 or P-521");
}

#[test]
fn a_signature_survives_export_and_import() {
    let first = project(CONFIG, 1);
    let Some((private, _)) = keys(&first, "one") else { return };
    let _ = first.run(&["model", "sign", "p", "--key", &private]).exits(0);
    let _ = first.run(&["model", "export", "all.tar"]).exits(0);
    let second = TestProject::with(crate::BINARY, &super::easy(), CONFIG);
    let _ = second.run(&["model", "import", first.path("all.tar").to_str().expect("path")]).exits(0);
    let signature = |project: &TestProject| {
        let registry = registry(project);
        registry.model(&super::model()).expect("model").versions[&modelgate_core::VersionNumber(1)].signature
    };
    assert!(signature(&first).is_some());
    assert_eq!(signature(&first), signature(&second));
    assert!(second.path("models/packaged/p/model.sig").is_file());
}
