//! Who approved the deployment that a run waited for.
//!
//! The form is that of `GET /repos/{owner}/{repo}/actions/runs/{run_id}/approvals`.

use serde_json::Value;

use super::client::Client;
use super::context::Context;
use crate::error::DeployError;

/// Returns the login of who approved the environment last; none when nobody had to be asked. Who approved another one of the
/// same run has said nothing of this one.
///
/// # Errors
/// Fails when the context has no run, or GitHub refuses: the token needs `actions: read`.
pub fn approver(
    client: &Client,
    context: &Context,
    environment: &str,
) -> Result<Option<String>, DeployError> {
    let run = context.run.ok_or_else(|| {
        DeployError::Place(
            "GITHUB_RUN_ID is not set: this command is for a step of GitHub Actions".to_owned(),
        )
    })?;
    let answer = client.get(&context.at(&format!("actions/runs/{run}/approvals")))?;
    let approvals = answer.body.as_array().into_iter().flatten();
    let is_for = |approval: &Value| {
        let mut environments = approval["environments"].as_array().into_iter().flatten();
        environments.any(|found| found["name"] == environment)
    };
    let mut said_yes = approvals.filter(|approval| approval["state"] == "approved" && is_for(approval));
    Ok(said_yes.next_back().and_then(|approval| approval["user"]["login"].as_str()).map(str::to_owned))
}
