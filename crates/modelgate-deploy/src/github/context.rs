//! Where a step runs: the variables that GitHub Actions sets, and the event in the file that one of them names.

use serde_json::Value;

use crate::error::DeployError;

/// A pull request.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PullRequest {
    /// Its number.
    pub number: u64,
    /// Whether its branch is in another repository, whose pull requests get a token that can only read.
    pub from_fork: bool,
}

/// Where a step runs.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Context {
    /// Such as `https://api.github.com`, without a slash at its end.
    pub api: String,
    /// Such as `owner/name`.
    pub repository: String,
    /// The commit that is judged: of a pull request its head, not the merge that was checked out.
    pub sha: String,
    /// The pull request, if the event has one.
    pub pull_request: Option<PullRequest>,
    /// The page of the run.
    pub run_url: Option<String>,
    /// The number of the run.
    pub run: Option<u64>,
    /// Where people see repositories, such as `https://github.com`.
    pub server: String,
}

impl Context {
    /// Reads the variables of a step.
    ///
    /// # Errors
    /// Says which variable is missing or wrong.
    pub fn of_step(variable: &dyn Fn(&str) -> Option<String>) -> Result<Self, DeployError> {
        let wrong = |sentence: String| Err(DeployError::Place(sentence));
        let needed = |name: &str| {
            variable(name).ok_or_else(|| {
                DeployError::Place(format!("{name} is not set: this command is for a step of GitHub Actions"))
            })
        };
        let api = variable("GITHUB_API_URL").unwrap_or_else(|| "https://api.github.com".to_owned());
        let api = api.trim_end_matches('/').to_owned();
        let local = ["http://127.0.0.1:", "http://localhost:"].iter().any(|place| api.starts_with(place));
        if !api.starts_with("https://") && !local {
            return wrong("GITHUB_API_URL: expected an address that begins with https://".to_owned());
        }
        if api.contains('@') {
            return wrong(
                "GITHUB_API_URL holds a name or a token: the token belongs into GITHUB_TOKEN".to_owned(),
            );
        }
        let repository = needed("GITHUB_REPOSITORY")?;
        let plain = |part: &str| {
            let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
            !part.is_empty() && part != "." && part != ".." && part.bytes().all(allowed)
        };
        if !repository.split_once('/').is_some_and(|(owner, name)| plain(owner) && plain(name)) {
            return wrong("GITHUB_REPOSITORY: expected `owner/name`".to_owned());
        }
        let path = needed("GITHUB_EVENT_PATH")?;
        let text = fs_err::read_to_string(&path).map_err(|error| {
            DeployError::Place(format!("the event of GITHUB_EVENT_PATH cannot be read: {error}"))
        })?;
        let event: Value = serde_json::from_str(&text)
            .map_err(|error| DeployError::Place(format!("the event in `{path}` is no JSON: {error}")))?;
        let pull = &event["pull_request"];
        let pull_request = pull["number"].as_u64().map(|number| PullRequest {
            number,
            from_fork: pull["head"]["repo"]["full_name"] != pull["base"]["repo"]["full_name"],
        });
        let sha = match pull["head"]["sha"].as_str() {
            Some(sha) => sha.to_owned(),
            None => needed("GITHUB_SHA")?,
        };
        if !(7..=64).contains(&sha.len()) || !sha.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return wrong("the commit that is judged has no name: see GITHUB_SHA and the event".to_owned());
        }
        let given = variable("GITHUB_SERVER_URL");
        let server = given.clone().unwrap_or_else(|| "https://github.com".to_owned());
        let server = server.trim_end_matches('/').to_owned();
        let run: Option<u64> = variable("GITHUB_RUN_ID").and_then(|run| run.parse().ok());
        let run_url =
            run.filter(|_| given.is_some()).map(|run| format!("{server}/{repository}/actions/runs/{run}"));
        Ok(Self { api, repository, sha, pull_request, run_url, run, server })
    }

    /// Returns the address of the GraphQL API: of GitHub Enterprise Server it is not below that of REST.
    pub(super) fn graphql(&self) -> String {
        format!("{}/graphql", self.api.strip_suffix("/v3").unwrap_or(&self.api))
    }

    /// Returns an address below the repository's.
    pub(super) fn at(&self, path: &str) -> String {
        format!("{}/repos/{}/{path}", self.api, self.repository)
    }
}
