//! Who approved the deployment that a run waited for.
//!
//! The form is that of `GET /repos/{owner}/{repo}/actions/runs/{run_id}/approvals`.

use serde_json::Value;

use super::client::Client;
use super::context::Context;
use crate::error::DeployError;

/// Who approved what in a run.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Approvals {
    /// The login of who approved the environment that is asked about, the last of them; none when nobody had to be asked.
    pub approver: Option<String>,
    /// The names of the other environments that somebody approved: that says nothing of this one.
    pub others: Vec<String>,
}

/// Returns who approved the environment of this name in the run. GitHub takes small and capital letters of it for the same.
///
/// # Errors
/// Fails when the context has no run, or GitHub refuses: the token needs `actions: read`.
pub fn approver(client: &Client, context: &Context, environment: &str) -> Result<Approvals, DeployError> {
    let run = context.run.ok_or_else(|| {
        DeployError::Place(
            "GITHUB_RUN_ID is not set: this command is for a step of GitHub Actions".to_owned(),
        )
    })?;
    let answer = client.get(&context.at(&format!("actions/runs/{run}/approvals")))?;
    Ok(approvals(&answer.body, environment))
}

fn approvals(body: &Value, environment: &str) -> Approvals {
    let wanted = environment.to_lowercase();
    let mut found = Approvals::default();
    for approval in body.as_array().into_iter().flatten().filter(|approval| approval["state"] == "approved") {
        let environments = approval["environments"].as_array().into_iter().flatten();
        for name in environments.filter_map(|environment| environment["name"].as_str()) {
            if name.to_lowercase() == wanted {
                found.approver = approval["user"]["login"].as_str().map(str::to_owned);
            } else if !found.others.iter().any(|other| other == name) {
                found.others.push(name.to_owned());
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_environment_is_the_same_whatever_the_size_of_its_letters() {
        let yes = |login: &str, name: &str| json!({ "state": "approved", "user": { "login": login }, "environments": [{ "name": name }] });
        let no = json!({ "state": "rejected", "user": { "login": "rita" }, "environments": [{ "name": "Production" }] });
        let body = json!([yes("alice", "Production"), yes("bob", "preview"), no]);
        let found = approvals(&body, "production");
        assert_eq!(
            found,
            Approvals { approver: Some("alice".to_owned()), others: vec!["preview".to_owned()] }
        );
        assert_eq!(approvals(&body, "PRODUCTION").approver.as_deref(), Some("alice"));
        let other = approvals(&body, "prod");
        assert_eq!(
            (other.approver, other.others),
            (None, vec!["Production".to_owned(), "preview".to_owned()])
        );
        assert_eq!(approvals(&json!([]), "production"), Approvals::default());
    }
}
