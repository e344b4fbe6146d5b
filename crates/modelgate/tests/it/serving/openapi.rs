//! The service keeps what its own description says, whatever is sent: tried by schemathesis.

use std::path::Path;
use std::process::Command;

use modelgate_testing::skip;

use super::{project, service};

#[test]
fn what_is_sent_by_the_description_and_against_it_is_answered_as_described() {
    let Some(tools) = std::env::var_os("MODELGATE_INTEROP_CI") else {
        return skip("MODELGATE_INTEROP_CI names no folder with schemathesis");
    };
    let project = project();
    let service = service(&project, &["--max-batch", "50"]);
    let checks =
        "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance";
    let mut command = Command::new(Path::new(&tools).join("bin/schemathesis"));
    command.args(["run", &format!("{}/openapi.json", service.url), "--seed", "1", "--max-examples", "25"]);
    command
        .args(["--phases", "examples,coverage,fuzzing", "--checks", checks])
        .current_dir(project.path("."));
    let output = command.output().expect("schemathesis");
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success() && said.contains("No issues found"), "{said}");
}
