//! A verdict, said on GitHub: one comment per pull request, a check run or a status, the summary and the outputs of a step.

mod approval;
mod assets;
mod check;
mod client;
mod comment;
mod context;
mod escape;
mod objects;
mod step;

use modelgate_core::Verdict;

pub use approval::{Approvals, approver};
pub use check::Annotation;
pub use client::{Client, Request};
pub use context::{Context, PullRequest};
pub use step::{annotations, outputs, summary};

use crate::error::DeployError;

/// What is said.
#[derive(Clone, PartialEq, Debug)]
pub struct Saying {
    /// Tells several reports of one pull request apart; the pipeline's name.
    pub name: String,
    /// The verdict.
    pub verdict: Verdict,
    /// Whether a person has to approve before it goes on.
    pub waiting: bool,
    /// Whether it is of a sample, which says nothing for good.
    pub sampled: bool,
    /// The verdict in one line.
    pub title: String,
    /// The report, Markdown.
    pub report: String,
    /// What failed, and where it is written.
    pub annotations: Vec<Annotation>,
    /// When the run ended, in seconds since 1970.
    pub seconds: i64,
}

/// Where the report goes.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Place {
    /// Into a comment on the pull request of the event, if there is one.
    PullRequest,
    /// Into an issue of this title, open while the verdict is not `passed`: for scheduled runs.
    Issue(String),
}

/// What became of it, each a sentence for the log of the step.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Said {
    /// Where the comment is.
    pub comment: Option<String>,
    /// Sentences.
    pub notes: Vec<String>,
}

/// Says it: a comment where there is a pull request, or an issue, and a check run, or a status where check runs are not allowed.
///
/// `plots` are PNG files by name, put on a branch of the repository so that the comment can show them.
/// A token that may only read (a pull request from a fork) is no error: it is noted, and the summary has the report.
///
/// # Errors
/// Fails when GitHub cannot be reached, or refuses for another reason.
pub fn say(
    client: &Client,
    context: &Context,
    saying: &Saying,
    place: &Place,
    plots: &[(String, Vec<u8>)],
    check: bool,
) -> Result<Said, DeployError> {
    let mut said = Said::default();
    let is_somewhere = matches!(place, Place::Issue(_)) || context.pull_request.is_some();
    let mut shown = String::new();
    if !plots.is_empty() && is_somewhere {
        match assets::publish(client, context, &saying.name, saying.seconds, plots) {
            Ok(text) => shown = text,
            Err(DeployError::Refused { status: 409, reason, .. }) => said.notes.push(format!(
                "the branch `{}` cannot be written ({reason}): the comment has no plots",
                assets::BRANCH
            )),
            Err(DeployError::Refused { status: 403 | 404, reason, .. }) => said.notes.push(format!(
                "the token may not write the branch `{}` ({reason}), `contents: write` is missing: the comment has no plots",
                assets::BRANCH
            )),
            Err(error) => return Err(error),
        }
    }
    let in_summary = "the report is in the summary of this step";
    match (place, &context.pull_request) {
        (Place::Issue(title), _) => match comment::issue(client, context, title, saying, &shown) {
            Ok(sentence) => said.notes.push(sentence),
            Err(DeployError::Refused { status: 403 | 404 | 410, reason, .. }) => said.notes.push(format!(
                "the token may not write issues ({reason}), `issues: write` is missing or there are none here: {in_summary}"
            )),
            Err(error) => return Err(error),
        },
        (Place::PullRequest, None) => {
            said.notes.push("this is no pull request: there is nothing to comment on".to_owned());
        }
        (Place::PullRequest, Some(pull)) => match comment::upsert(client, context, pull, saying, &shown) {
            Ok((url, how)) => {
                said.notes.push(format!("{how} the comment {url}"));
                said.comment = Some(url);
            }
            Err(DeployError::Refused { status: 403 | 404, reason, .. }) => {
                let whose = if pull.from_fork {
                    "as it is for pull requests from forks"
                } else {
                    "`pull-requests: write` is missing"
                };
                said.notes.push(format!("the token may not comment ({reason}), {whose}: {in_summary}"));
            }
            Err(error) => return Err(error),
        },
    }
    if check {
        said.notes.push(check::say(client, context, saying)?);
    }
    Ok(said)
}
