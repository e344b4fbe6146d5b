//! Who approved the deployment that a run waited for.
//!
//! The form is that of `GET /repos/{owner}/{repo}/actions/runs/{run_id}/approvals`.

use super::client::Client;
use super::context::Context;
use crate::error::DeployError;

/// Returns the login of who approved last; none when nobody had to be asked.
///
/// # Errors
/// Fails when the context has no run, or GitHub refuses: the token needs `actions: read`.
pub fn approver(client: &Client, context: &Context) -> Result<Option<String>, DeployError> {
    let run = context.run.ok_or_else(|| {
        DeployError::Place(
            "GITHUB_RUN_ID is not set: this command is for a step of GitHub Actions".to_owned(),
        )
    })?;
    let answer = client.get(&context.at(&format!("actions/runs/{run}/approvals")))?;
    let approvals = answer.body.as_array().into_iter().flatten();
    let mut said_yes = approvals.filter(|approval| approval["state"] == "approved");
    Ok(said_yes.next_back().and_then(|approval| approval["user"]["login"].as_str()).map(str::to_owned))
}
