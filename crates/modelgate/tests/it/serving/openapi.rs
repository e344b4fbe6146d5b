//! The service keeps what its own description says, whatever is sent: tried by schemathesis.

use std::path::Path;
use std::process::Command;

use modelgate_testing::{Service, TestProject, skip};

use super::{project, service};

/// The paths of `router.rs`.
fn routes() -> Vec<String> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../modelgate-serve/src/http/router.rs");
    let source = fs_err::read_to_string(path).expect("the router");
    let routes = source.split(".route(").skip(1).filter_map(|rest| rest.split('"').nth(1));
    routes.map(str::to_owned).collect()
}

#[test]
fn every_path_is_described() {
    let project = project();
    let service = service(&project, &[]);
    let document = service.get("/openapi.json").is(200).json();
    let routes = routes();
    assert!(routes.len() > 25, "{routes:?}");
    // Files of the pages are no paths for callers.
    for route in routes.iter().filter(|route| !route.starts_with("/assets/") && *route != "/docs/{file}") {
        let path = route.replace("{name}", "shop").replace("{model}", "shop").replace("{version}", "v001");
        let operation = &document["paths"][&path];
        let operation =
            operation.get("get").or_else(|| operation.get("post")).unwrap_or_else(|| panic!("{path}"));
        let answer = &operation["responses"]["200"]["content"];
        let schema =
            answer.as_object().and_then(|kinds| kinds.values().next()).map(|kind| kind["schema"].clone());
        assert!(schema.is_some_and(|schema| schema.is_object()), "{path}: {operation}");
    }
    // Everything that is referred to is there.
    let text = document.to_string();
    for name in text.split("#/components/schemas/").skip(1).filter_map(|rest| rest.split('"').next()) {
        assert!(document["components"]["schemas"][name].is_object(), "{name}");
    }
    // The examples are answered.
    let infer = &document["components"]["schemas"]["InferRequest.shop"]["example"];
    let _ = service.post("/v2/models/shop/infer", infer).is(200);
    for form in
        document["components"]["schemas"]["InvocationsRequest.shop"]["anyOf"].as_array().expect("forms")
    {
        let _ = service.post("/invocations", &form["example"]).is(200);
    }
    let csv = &document["paths"]["/invocations"]["post"]["requestBody"]["content"]["text/csv"]["example"];
    let csv = csv.as_str().expect("CSV").as_bytes();
    let _ = service.request("POST", "/invocations", &[("content-type", "text/csv")], Some(csv)).is(200);
}

#[test]
fn what_is_sent_by_the_description_and_against_it_is_answered_as_described() {
    let Some(tools) = std::env::var_os("MODELGATE_INTEROP_CI") else {
        return skip("MODELGATE_INTEROP_CI names no folder with schemathesis");
    };
    let project = project();
    let service = service(&project, &["--max-batch", "50"]);
    // Without its token /admin only refuses, of which it warns; everything that was tried has to be as described.
    tries(&tools, &project, &service, &["--max-examples", "60"]);
}

#[test]
fn an_administrator_and_a_canary_are_answered_as_described() {
    let Some(tools) = std::env::var_os("MODELGATE_INTEROP_CI") else {
        return skip("MODELGATE_INTEROP_CI names no folder with schemathesis");
    };
    let project = super::rollout::careful();
    super::rollout::candidate(&project);
    let service = service(&project, &["--max-batch", "50"]);
    super::rollout::configure(&project, &service, "[50, 100]");
    let _ = super::rollout::rollout(&project, &["start"]).exits(0);
    // What it sends as an order may take the canary out; half of what it predicts before is the canary's.
    let header = ["--header", "X-Admin-Token: right", "--max-examples", "30"];
    tries(&tools, &project, &service, &header);
    let metrics = service.get("/metrics").text;
    for track in ["stable", "canary"] {
        let answered =
            |line: &&str| line.contains(&format!("track=\"{track}\"")) && line.contains("code=\"200\"");
        let counted = metrics.lines().filter(|line| line.starts_with("modelgate_requests_total"));
        assert!(counted.clone().any(|line| answered(&line)), "{track}: {metrics}");
    }
    for outcome in ["rollout_ordered", "rollout_aborted", "noop"] {
        let counted = format!("modelgate_admin_requests_total{{outcome=\"{outcome}\"}}");
        assert!(metrics.contains(&counted), "{outcome}: {metrics}");
    }
}

/// Lets schemathesis try every path; what is not as described fails.
fn tries(tools: &std::ffi::OsStr, project: &TestProject, service: &Service, arguments: &[&str]) {
    let checks =
        "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance";
    let mut command = Command::new(Path::new(tools).join("bin/schemathesis"));
    command.args(["run", &format!("{}/openapi.json", service.url), "--seed", "1"]).args(arguments);
    command
        .args(["--phases", "examples,coverage,fuzzing", "--checks", checks])
        .current_dir(project.path("."));
    let output = command.output().expect("schemathesis");
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let tried = said.lines().find_map(|line| {
        let (generated, passed) = line.trim().strip_suffix(" passed")?.split_once(" generated, ")?;
        Some((generated.parse::<u32>().ok()?, passed.parse::<u32>().ok()?))
    });
    assert!(output.status.success() && !said.contains("FAILURES"), "{said}");
    assert!(tried.is_some_and(|(generated, passed)| generated == passed && passed > 1000), "{said}");
}
