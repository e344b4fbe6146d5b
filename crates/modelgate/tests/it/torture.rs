//! Kills at random moments: whatever a command was doing, the next one finds the state before it or behind it.
//!
//! A hundred rounds in the test run; `MODELGATE_TORTURE_ROUNDS=1000` in `just torture`.

use std::process::Stdio;
use std::time::{Duration, Instant};

use modelgate_core::lifecycle::Stage;
use modelgate_core::{Digest, VersionNumber};
use modelgate_testing::TestProject;

use modelgate_registry::{Registry, RegistryUri};

use crate::governance::{CONFIG, model, project};

/// A generator of its own, so that a failing seed can be run again.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % bound
    }
}

/// Opens the registry where the project has it.
fn registry(project: &TestProject) -> Registry {
    let branch = RegistryUri::parse(Some("git+branch:models")).expect("an address");
    let uri = if project.path(".git").exists() { branch } else { RegistryUri::Folder };
    Registry::open(&uri, &project.path(".")).expect("a registry")
}

/// Starts a command and kills it after `after`; returns whether it had ended by itself.
fn kill(project: &TestProject, arguments: &[&str], seed: u64, after: Duration) -> bool {
    let mut command = project.command(arguments);
    command.env("MODELGATE_SEED", seed.to_string()).stdout(Stdio::null()).stderr(Stdio::null());
    let mut child = command.spawn().expect("started");
    std::thread::sleep(after);
    let ended = child.try_wait().expect("waited").is_some();
    let _ = child.kill();
    let _ = child.wait();
    ended
}

/// The facts that must hold after every kill.
fn check(project: &TestProject, what: &str) {
    let status = project.run(&["status"]);
    assert_eq!(status.code, 0, "{what}: {}", status.stderr);
    let verified = project.run(&["ledger", "verify"]);
    assert_eq!(verified.code, 0, "{what}: {}", verified.stderr);
    let registry = registry(project);
    let state = registry.model(&model()).expect("model");
    assert_eq!(state.pending, None, "{what}: a rollback is neither done nor undone");
    let production: Vec<VersionNumber> = state
        .versions
        .iter()
        .filter(|(_, found)| found.stage == Stage::Production)
        .map(|(version, _)| *version)
        .collect();
    let [version] = production.as_slice() else { panic!("{what}: production is {production:?}") };
    assert!(!project.path(".modelgate/unfinished/p.json").exists(), "{what}: something is unfinished");
    // The package is whole and is the one that the ledger names.
    let package = modelgate_model::open(&project.path("models/packaged/p")).expect("a whole package");
    assert_eq!(package.digest, state.versions[version].digest, "{what}");
    let manifest = fs_err::read(project.path("models/packaged/p/manifest.json")).expect("manifest");
    assert_eq!(Digest::of(&manifest), package.digest, "{what}");
    let baseline = project.json("baselines/p.json");
    assert_eq!(baseline["digest"], package.digest.to_string(), "{what}");
    // Whoever deploys reads this one.
    let manifest = project.json("outputs/p/deployment_manifest.json");
    assert_eq!(manifest["version"], serde_json::json!(version), "{what}");
    assert_eq!(manifest["digest"], package.digest.to_string(), "{what}");
    let readiness = manifest["readiness"].as_str().unwrap_or_default();
    assert!(["ready", "promotion_not_approved"].contains(&readiness), "{what}: {readiness}");
}

/// What may go may go at once: a collection has something to do in each round.
fn collecting(config: &str) -> String {
    config.replace("pipelines:", "retention: {keep: 0s, rollback_targets: 2}\npipelines:")
}

/// Returns whether a file below `folder` names the object.
fn is_named(folder: &std::path::Path, digest: &Digest) -> bool {
    let entries = fs_err::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry").path());
    let names = |path: &std::path::Path| {
        path.extension().is_some_and(|ending| ending == "json")
            && fs_err::read_to_string(path).expect("a record").contains(&digest.hex())
    };
    entries.into_iter().any(|path| if path.is_dir() { is_named(&path, digest) } else { names(&path) })
}

/// Whatever a killed collection left, the next one frees, and what a version needs is there.
fn check_collected(project: &TestProject, what: &str) {
    let collected = project.run(&["model", "gc", "--yes"]);
    assert_eq!(collected.code, 0, "{what}: {}", collected.stderr);
    let registry = registry(project);
    let needed = registry.needed().expect("a registry");
    let state = registry.model(&model()).expect("model");
    for (version, found) in &state.versions {
        if found.stage != Stage::Removed {
            registry
                .version_files(&model(), *version)
                .unwrap_or_else(|error| panic!("{what}: {version}: {error}"));
            continue;
        }
        let weights = registry.registration(&model(), *version).expect("registered").files["model.onnx"];
        // What the stages of the last run name stays for the next run.
        let kept = needed.contains(&weights) || is_named(&project.path(".modelgate/cache"), &weights);
        let left = registry.object(&weights).is_ok() && !kept;
        assert!(!left, "{what}: the artefacts of {version} are removed, and its model is there");
    }
}

fn rounds() -> u64 {
    std::env::var("MODELGATE_TORTURE_ROUNDS").ok().and_then(|text| text.parse().ok()).unwrap_or(100)
}

#[test]
fn nothing_is_lost_however_a_run_an_approval_a_promotion_a_rollback_and_a_collection_are_killed() {
    let config = collecting(CONFIG);
    torture(&project(&config, 2), &config, rounds());
}

/// Each command is a dozen processes of git here: a fourth of the rounds takes as long.
#[test]
fn nothing_is_lost_on_a_git_branch_either() {
    let config =
        collecting(CONFIG).replace("pipelines:", "registry: {uri: \"git+branch:models\"}\npipelines:");
    let project = TestProject::with(crate::BINARY, &crate::governance::easy(), &config);
    let git = std::process::Command::new("git")
        .args(["init", "--quiet", "."])
        .current_dir(project.path("."))
        .status();
    assert!(git.expect("git").success());
    for seed in 1..=2 {
        crate::governance::run(&project, seed);
    }
    torture(&project, &config, (rounds() / 4).max(20));
}

fn torture(project: &TestProject, config: &str, rounds: u64) {
    let mut random = Random(20_261_121);
    project.write("modelgate.yaml", config.replace("approval: automatic", "approval: required"));
    let mut killed = [0_u32; 5];
    // How long each command takes here, so that the kills fall into it.
    let mut length = [Duration::from_millis(60); 5];
    for round in 0..rounds {
        let kind = (round % 5) as usize;
        let seed = 100 + round / 5;
        let newest = registry(project).model(&model()).expect("model").versions.len().to_string();
        let command: Vec<&str> = match kind {
            0 => vec!["run"],
            1 => vec!["model", "approve", "p", &newest],
            2 => vec!["model", "promote", "p", &newest],
            3 => vec!["model", "rollback", "p", "--yes", "--reason", "torture"],
            _ => vec!["model", "gc", "--yes"],
        };
        if kind == 1 {
            // What the killed run did not reach.
            let _ = project.command(&["run"]).env("MODELGATE_SEED", seed.to_string()).output();
        }
        if kind == 2 {
            let _ = project.run(&["model", "approve", "p", &newest]);
        }
        if kind == 3 {
            let _ = project.run(&["model", "promote", "p", &newest]);
        }
        let span = length[kind].as_micros() as u64;
        let after = Duration::from_micros(random.below(span + span / 4));
        let began = Instant::now();
        let ended = kill(project, &command, seed, after);
        if ended {
            length[kind] = (length[kind] * 3 + began.elapsed().min(after)) / 4;
        } else {
            length[kind] = length[kind] * 21 / 20;
            killed[kind] += 1;
        }
        let what = format!("round {round}: {command:?} killed after {after:?}");
        check(project, &what);
        if kind == 4 {
            check_collected(project, &what);
        }
    }
    let registered = registry(project);
    let versions = registered.model(&model()).expect("model").versions.values();
    let removed = versions.filter(|found| found.stage == Stage::Removed).count();
    assert!(removed > 0, "no collection had anything to do");
    let fewest = killed.iter().min().copied().unwrap_or(0);
    assert!(u64::from(fewest) >= (rounds / 40).max(1), "too few commands were killed at work: {killed:?}");
    let entries = registry(project).position().head.map_or(0, |head| head.seq);
    assert!(entries > rounds / 4, "the ledger hardly grew: {entries} events");
}
