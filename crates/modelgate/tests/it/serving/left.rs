//! What a rollback left is served no more, also where the service does not take what it went back to.

use modelgate_testing::{Service, TestProject};
use serde_json::json;

use super::{reload, row, serve};

/// Of a project whose v003 is in production, and takes a feature less than v002, and a service of it.
pub(super) fn what_was_left_by_a_rollback_goes(project: &TestProject, follows: &Service) {
    let mut command = serve(project, &["--package", "models/packaged"]);
    // The older version is refused for more than its schema.
    command.env("EXPECTED_FEATURE_DIMENSION", "3");
    let bound = Service::ready(command);
    let _ = bound
        .post("/predict/shop", &json!({ "features": [{ "age": 1, "income": 1, "region": "east" }] }))
        .is(200);
    let config = project.read("modelgate.yaml");
    let url = format!("{}/admin/reload", bound.url);
    project.write("modelgate.yaml", format!("{config}serve: {{reload_url: \"{url}\"}}\n"));
    let mut rollback = project.command(&["model", "rollback", "shop", "--reason", "bad", "--yes"]);
    let told = rollback.env("ADMIN_API_TOKEN", "right").output().expect("rolled back");
    let said = String::from_utf8_lossy(&told.stderr);
    assert!(told.status.success() && said.contains("it takes 4 features and 3 are expected"), "{said}");
    let health = bound.get("/health").is(503).json();
    let why = health["source"]["withdrawn"]["shop"].as_str().unwrap_or_default();
    assert!(why.contains("is quarantined as v003"), "{health}");
    let _ = bound.post("/predict/shop", &row()).is(503);
    the_package_that_was_left_is_not_served_from_a_folder(project);
    // Another service has the older version, as after a restart, since it may not keep what it served.
    assert_eq!(reload(follows).is(200).json()["models"]["shop"], "v002");
    let talk = follows.talk();
    assert!(talk.contains("the schema of shop v002 does not fit v003, which was served last"), "{talk}");
    let _ = follows.post("/predict/shop", &row()).is(200);
}

fn the_package_that_was_left_is_not_served_from_a_folder(project: &TestProject) {
    let _ = project.run(&["model", "pull", "shop", "v003", "--to", "left"]).exits(0);
    let serve = ["serve", "--port", "0", "--package", "left", "--require-model", "--startup-timeout", "1"];
    project.run(&serve).exits(1).says("is quarantined as v003 and is not served");
}
