//! A verdict, said on GitHub: one comment per pull request, a check run or a status, the summary and the outputs of a step.

mod check;
mod client;
mod comment;
mod context;
mod escape;
mod step;

use modelgate_core::Verdict;

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
    /// The verdict in one line.
    pub title: String,
    /// The report, Markdown.
    pub report: String,
    /// What failed, and where it is written.
    pub annotations: Vec<Annotation>,
}

/// What became of it, each a sentence for the log of the step.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Said {
    /// Where the comment is.
    pub comment: Option<String>,
    /// Sentences.
    pub notes: Vec<String>,
}

/// Says it: a comment where there is a pull request, and a check run, or a status where check runs are not allowed.
///
/// A token that may only read (a pull request from a fork) is no error: it is noted, and the summary has the report.
///
/// # Errors
/// Fails when GitHub cannot be reached, or refuses for another reason.
pub fn say(client: &Client, context: &Context, saying: &Saying, check: bool) -> Result<Said, DeployError> {
    let mut said = Said::default();
    match &context.pull_request {
        None => said.notes.push("this is no pull request: there is nothing to comment on".to_owned()),
        Some(pull) => match comment::upsert(client, context, pull, saying) {
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
                said.notes.push(format!(
                    "the token may not comment ({reason}), {whose}: the report is in the summary of this step"
                ));
            }
            Err(error) => return Err(error),
        },
    }
    if check {
        said.notes.push(check::say(client, context, saying)?);
    }
    Ok(said)
}
