//! What is not deployed, by whom not, and what is said about it.

use modelgate_testing::hub::{FakeHub, READ_TOKEN, STRANGER_TOKEN};

use super::{CONFIG, Containers, deploy, deployments, exits, project};

#[test]
fn a_dry_run_shows_each_request_and_sends_none() {
    let (hub, project) = (FakeHub::start(), project(CONFIG, 1));
    let mut command = deploy(&project, &hub, &["--dry-run"]);
    command.env_remove("HF_TOKEN");
    let said = exits(command, 0);
    for part in [
        "POST {}/api/repos/create\n{",
        "POST {}/api/models/me/drug/preupload/main",
        "POST {}/api/models/me/drug/commit/main\n{\"key\":\"header\"",
        "POST {}/api/spaces/me/drug-app-staging/commit/main",
        "POST {}/api/spaces/me/drug-app/variables\n{\n  \"key\": \"MODELGATE_MODEL_REVISION\"",
        "GET {}/api/spaces/me/drug-app/runtime",
    ] {
        let part = part.replace("{}", &hub.url);
        assert!(said.contains(&part), "{part}: {said}");
    }
    assert!(hub.state().asked.is_empty());
    assert!(deployments(&project).is_empty());
    let said = exits(deploy(&project, &hub, &["--dry-run", "--rollback"]), 0);
    assert!(said.contains("/restart") && !said.contains("/commit/"), "{said}");
    assert!(hub.state().asked.is_empty());
}

#[test]
fn a_token_that_is_missing_wrong_or_without_rights_is_told_and_nothing_is_written() {
    let (hub, project) = (FakeHub::start(), project(CONFIG, 1));
    project.write("token", format!("{READ_TOKEN}\n"));
    let with = |name: &str, value: &str| {
        let mut command = deploy(&project, &hub, &[]);
        command.env_remove("HF_TOKEN").env(name, value);
        command
    };
    let file = project.path("token").display().to_string();
    let folder = project.path(".").display().to_string();
    for (command, code, says) in [
        (with("X", ""), 64, "there is no token of the Hub"),
        (with("HF_TOKEN", "two words"), 64, "HF_TOKEN holds no token"),
        (with("HF_TOKEN", "hf_expired-long-ago"), 1, "the token is unknown or has expired"),
        (with("HF_TOKEN", READ_TOKEN), 1, "the token of the Hub can only read"),
        (with("HF_TOKEN", STRANGER_TOKEN), 1, "under the namespace \"me\""),
        (with("HF_TOKEN_PATH", &file), 1, "the token of the Hub can only read"),
        (with("HF_HOME", &folder), 1, "the token of the Hub can only read"),
        (deploy(&project, &hub, &["--token-file", "nowhere"]), 64, "the token cannot be read"),
        (with("HF_ENDPOINT", "http://hub.test"), 64, "HF_ENDPOINT"),
    ] {
        let mut command = command;
        if says == "HF_ENDPOINT" {
            command.env("HF_TOKEN", READ_TOKEN);
        }
        let said = exits(command, code);
        assert!(said.contains(says), "{says}: {said}");
        for token in ["hf_expired-long-ago", READ_TOKEN, STRANGER_TOKEN] {
            assert!(!said.contains(token), "{said}");
        }
    }
    assert!(hub.state().repositories.is_empty());
}

#[test]
fn only_what_came_through_the_door_is_deployed() {
    let (hub, _containers) = Containers::hub();
    let project = project(&CONFIG.replace("approval: automatic", "approval: required"), 0);
    assert_eq!(project.run(&["run"]).code, 4);
    let said = exits(deploy(&project, &hub, &[]), 1);
    assert!(said.contains("production"), "nothing is there: {said}");
    let said = exits(deploy(&project, &hub, &["drug", "1"]), 1);
    assert!(
        said.contains("drug v001 is candidate and not deployed: it must be approved and promoted first"),
        "{said}"
    );
    exits(deploy(&project, &hub, &["drug", "1", "--only", "staging"]), 1);
    let _ = project.run(&["model", "approve", "drug"]).exits(0);
    let said = exits(deploy(&project, &hub, &["drug", "1"]), 1);
    assert!(said.contains("bring it to staging with `--only staging`"), "{said}");
    assert!(hub.state().repositories.is_empty());

    exits(deploy(&project, &hub, &["drug", "1", "--only", "staging"]), 0);
    assert!(!hub.state().repositories.contains_key("spaces/me/drug-app"));
    assert!(deployments(&project)[0].contains("space/me/drug-app-staging"));

    // A signature is asked for here as it is for production.
    let _ = project.run(&["model", "promote", "drug"]).exits(0);
    project.write("key.pem", "no key\n");
    let config = project.read("modelgate.yaml");
    project.write(
        "modelgate.yaml",
        format!("{config}signing: {{require_signature: true, public_keys: [key.pem]}}\n"),
    );
    let said = exits(deploy(&project, &hub, &[]), 1);
    assert!(said.contains("signing.require_signature: drug v001"), "{said}");
    project.write("modelgate.yaml", &config);

    let second = project.command(&["run"]).env("MODELGATE_SEED", "2").output().expect("run");
    assert_eq!(second.status.code(), Some(4));
    let _ = project.run(&["model", "quarantine", "drug", "2", "--reason", "wrong"]).exits(0);
    let said = exits(deploy(&project, &hub, &["drug", "2", "--only", "staging"]), 1);
    assert!(said.contains("quarantined"), "{said}");

    project.replace("modelgate.yaml", "at_least: 0.7", "at_most: 0.01");
    assert_eq!(project.run(&["run"]).code, 2);
    let said = exits(deploy(&project, &hub, &["drug", "3", "--only", "staging"]), 1);
    assert!(said.contains("the gate of drug v003 says failed"), "{said}");
    // Nor does it wait for anybody, whatever the run of before left.
    let path = "outputs/drug/deployment_manifest.json";
    project.write(path, project.read(path).replace("\"ready\"", "\"promotion_not_approved\""));
    project.run(&["deploy", "manifest"]).exits(0).says("\"readiness\": \"ready\"");
    assert!(!hub.state().repositories.contains_key("spaces/me/drug-app"));
}

#[test]
fn a_version_that_was_never_there_cannot_be_gone_back_to() {
    let (hub, project) = (FakeHub::start(), project(CONFIG, 1));
    let said = exits(deploy(&project, &hub, &["--rollback"]), 64);
    assert!(said.contains("drug v001 was never brought to me/drug"), "{said}");
    // A tag that somebody moved is not believed.
    let short = super::digest(&project, 1).trim_start_matches("sha256:")[..12].to_owned();
    let mut repository = modelgate_testing::hub::Repository::default();
    let entry = modelgate_testing::hub::Entry::Regular(b"{}".to_vec());
    let oid = repository.commit("other", [("manifest.json".to_owned(), entry)].into());
    repository.tags.insert(format!("modelgate-{short}"), oid);
    hub.state().repositories.insert("models/me/drug".to_owned(), repository);
    let said = exits(deploy(&project, &hub, &["--rollback"]), 1);
    assert!(said.contains("is not of the package") && said.contains("remove the tag"), "{said}");

    // Nor is a Space taken from another model, whoever brought that there.
    let mut other = modelgate_testing::hub::Repository::default();
    let entry = modelgate_testing::hub::Entry::Regular(br#"{"name": "house"}"#.to_vec());
    let oid = other.commit("house", [("manifest.json".to_owned(), entry)].into());
    hub.state().repositories.insert("models/me/house".to_owned(), other);
    let pinned = [
        ("MODELGATE_MODEL_REPOSITORY", "me/house"),
        ("MODELGATE_MODEL_REVISION", oid.as_str()),
        ("MODELGATE_MODEL_DIGEST", "sha256:00"),
    ];
    let variables = pinned.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
    let space = modelgate_testing::hub::Space { variables, ..Default::default() };
    let space = modelgate_testing::hub::Repository { space: Some(space), ..Default::default() };
    hub.state().repositories.insert("spaces/me/drug-app".to_owned(), space);
    for arguments in [&[][..], &["--rollback"]] {
        let said = exits(deploy(&project, &hub, arguments), 64);
        assert!(
            said.contains("me/drug-app serves the model `house`, whose place `drug` would take"),
            "{said}"
        );
    }
    assert!(hub.state().writes().is_empty(), "{:?}", hub.state().writes());
}

#[test]
fn a_space_is_of_one_model() {
    let project = project(CONFIG, 0);
    let second = CONFIG.split_once("pipelines:\n").expect("pipelines").1;
    let second = second.split_once("deploy:\n").expect("a Space").0.replace("  drug:", "  ocean:");
    let both = CONFIG.replace("deploy:\n", &format!("{second}deploy:\n"));
    let hub = FakeHub::start();
    let said = |model: &str, arguments: &[&str], config: &str| {
        project.write("modelgate.yaml", config);
        exits(deploy(&project, &hub, &[&[model, "--dry-run"], arguments].concat()), 64)
    };
    let mine = both.replace("space: {", "space: {model: drug, ");
    for arguments in [&[][..], &["--rollback"], &["--stop"], &["--only", "staging"]] {
        let said = said("ocean", arguments, &mine);
        assert!(
            said.contains("the Space me/drug-app is of the model `drug`, and `ocean` would take its place"),
            "{said}"
        );
    }
    let said = said("ocean", &[], &both);
    assert!(said.contains("say which in `deploy.space.model`, one of `drug`, `ocean`"), "{said}");
    let _ = project.run(&["config", "check"]).exits(0);
}

#[test]
fn settings_that_make_no_sense_are_found_where_they_stand() {
    let project = project(CONFIG, 0);
    let space = |text: &str| {
        let line = CONFIG.lines().find(|line| line.trim_start().starts_with("space:")).expect("a line");
        project.write("modelgate.yaml", CONFIG.replace(line, &format!("  space: {{{text}}}")));
        let output = project.run(&["config", "check"]);
        (output.code, output.stdout + &output.stderr)
    };
    for (text, says) in [
        ("repository: app", "deploy.space.repository"),
        ("repository: me/app, staging: me/app", "deploy.space.staging"),
        ("repository: me/app, model: no/name", "deploy.space.model"),
        ("repository: me/app, model_repository: ../x", "deploy.space.model_repository"),
        ("repository: me/app, upload: {../data: src}", "deploy.space.upload"),
        ("repository: me/app, upload: {/etc: src}", "deploy.space.upload"),
        ("repository: me/app, private: true", "deploy.space.private"),
        ("repository: me/app, variables: {MODELGATE_MODEL_REVISION: x}", "deploy.space.variables"),
        ("repository: me/app, variables: {\"a-b\": x}", "deploy.space.variables"),
        ("repository: me/app, secrets: {KEY: hf_a-token-itself}", "deploy.space.secrets"),
        ("repository: me/app, rules: [p95_ms]", "deploy.space.rules"),
        ("repository: me/app, timeout: soon", "deploy.space.timeout"),
        ("repository: me/app, health: health", "deploy.space.health"),
        ("repository: me/app, sdk: streamlit", "streamlit"),
        ("repository: me/app, uplaod: {}", "upload"),
        ("staging: me/app", "repository"),
    ] {
        let (code, said) = space(text);
        assert!(code == 64 && said.contains(says), "{text}: {code} {said}");
    }
    let good = "repository: me/app, private: true, secrets: {HF_TOKEN: HF_READ_TOKEN}";
    assert_eq!(space(good).0, 0, "{}", space(good).1);
    project.write("modelgate.yaml", CONFIG.split("deploy:").next().expect("a text"));
    let said = exits(deploy(&project, &FakeHub::start(), &[]), 64);
    assert!(said.contains("deploy: {space: {repository: owner/name}}"), "{said}");
}
