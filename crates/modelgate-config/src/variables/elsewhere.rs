//! What others are reached with: the Hub, GitHub, git and buckets.

use super::{Group, variable};

pub(super) const HUB: Group = Group {
    title: "The Hugging Face Hub",
    about: "For `deploy space`, and for a service whose `MODEL_PATH` is `hf://owner/model`.",
    in_file: true,
    variables: &[
        variable(
            "HF_TOKEN",
            "the token; a secret",
            "the file of `HF_TOKEN_PATH`, or what `hf auth login` left",
            "",
            "`deploy space` writes, or a repository is private",
        ),
        variable("HF_TOKEN_PATH", "a file with the token", "`$HF_HOME/token`", "a file", ""),
        variable("HF_HOME", "where the Hub's clients keep things", "`~/.cache/huggingface`", "a folder", ""),
        variable("HF_ENDPOINT", "the Hub", "`https://huggingface.co`", "`http://…` or `https://…`", ""),
        variable(
            "MODELGATE_MODEL_REVISION",
            "the revision of the weights; `deploy space` sets it in the Space",
            "main",
            "a commit, a tag or a branch",
            "",
        ),
        variable(
            "MODELGATE_MODEL_DIGEST",
            "no other package is served; `deploy space` sets it in the Space",
            "any package",
            "a digest",
            "",
        ),
        variable(
            "MODELGATE_MODEL_REPOSITORY",
            "the repository of the weights; `deploy space` sets it in the Space, for an application of one's own",
            "",
            "`owner/model`",
            "",
        ),
    ],
};

pub(super) const GITHUB: Group = Group {
    title: "GitHub",
    about: "For `ci comment` and `ci approver`. GitHub sets all but the token in every step.",
    in_file: false,
    variables: &[
        variable(
            "GITHUB_TOKEN",
            "the token; a secret. The workflows of `ci init` hand it on",
            "",
            "",
            "`ci comment` writes, or `ci approver` asks",
        ),
        variable("GITHUB_REPOSITORY", "the repository", "", "`owner/name`", "always"),
        variable("GITHUB_EVENT_PATH", "what started the step", "", "a file of JSON", "always"),
        variable(
            "GITHUB_SHA",
            "the commit that is judged",
            "the head of the pull request",
            "7 to 64 hexadecimal digits",
            "the event is no pull request",
        ),
        variable(
            "GITHUB_API_URL",
            "the API",
            "`https://api.github.com`",
            "`https://…`, or `http://` on this machine",
            "",
        ),
        variable("GITHUB_SERVER_URL", "where people see repositories", "`https://github.com`", "", ""),
        variable("GITHUB_RUN_ID", "the number of the run, for links to it", "", "a number", ""),
        variable(
            "GITHUB_ACTIONS",
            "`true` in a step: no values of rows are printed, see `MODELGATE_SHOW_VALUES`",
            "",
            "`true`",
            "",
        ),
        variable(
            "GITHUB_EVENT_NAME",
            "`schedule`: the webhook hears of a run that fails its gate and registers nothing",
            "",
            "",
            "",
        ),
        variable("GITHUB_ACTOR", "who started the run", "", "", "`ci approver` finds no approval"),
        variable(
            "GITHUB_TRIGGERING_ACTOR",
            "who started the run again",
            "`GITHUB_ACTOR`",
            "",
            "`ci approver` finds no approval",
        ),
        variable(
            "GITHUB_STEP_SUMMARY",
            "where the summary of the step goes",
            "none is written",
            "a file",
            "",
        ),
        variable("GITHUB_OUTPUT", "where the outputs of the step go", "none are written", "a file", ""),
        variable("GITLAB_USER_LOGIN", "who is at work, on GitLab", "", "", ""),
    ],
};

pub(super) const GIT: Group = Group {
    title: "Git",
    about: "For `deploy update-branch`, and for a registry on a branch. All else that git heeds it heeds here too, but \
            for what leads to another repository than the folder's.",
    in_file: false,
    variables: &[
        variable("GIT_AUTHOR_NAME", "who the commit is by; also `--name`", "git's own settings", "", ""),
        variable(
            "GIT_AUTHOR_EMAIL",
            "the address; also `--email`",
            "git's own settings",
            "",
            "`GIT_AUTHOR_NAME` is set",
        ),
        variable(
            "GIT_HTTP_LOW_SPEED_LIMIT",
            "bytes a second below which a transfer is given up",
            "100",
            "a number",
            "",
        ),
        variable("GIT_HTTP_LOW_SPEED_TIME", "after so many seconds of it", "20", "a number", ""),
    ],
};

pub(super) const BUCKETS: Group = Group {
    title: "Buckets",
    about: "For `s3://…`, wherever it stands.",
    in_file: true,
    variables: &[
        variable(
            "AWS_ACCESS_KEY_ID",
            "the key",
            "that of the profile",
            "",
            "there is no profile with a key, and no role",
        ),
        variable("AWS_SECRET_ACCESS_KEY", "its secret", "", "", "`AWS_ACCESS_KEY_ID` is set"),
        variable("AWS_SESSION_TOKEN", "the token of a session; a secret", "", "", ""),
        variable("AWS_PROFILE", "the profile of the shared files", "default", "", ""),
        variable("AWS_CONFIG_FILE", "the shared file of settings", "`~/.aws/config`", "a file", ""),
        variable(
            "AWS_SHARED_CREDENTIALS_FILE",
            "the shared file of keys",
            "`~/.aws/credentials`",
            "a file",
            "",
        ),
        variable("AWS_REGION", "the region", "`AWS_DEFAULT_REGION`, else that of the profile", "", ""),
        variable("AWS_DEFAULT_REGION", "as it, after it", "", "", ""),
        variable("AWS_ENDPOINT_URL_S3", "the server", "`AWS_ENDPOINT_URL`", "`http://…` or `https://…`", ""),
        variable("AWS_ENDPOINT_URL", "as it, after it", "`AWS_ENDPOINT`", "`http://…` or `https://…`", ""),
        variable(
            "AWS_ENDPOINT",
            "as it, after it",
            "that of the profile, else Amazon's",
            "`http://…` or `https://…`",
            "",
        ),
        variable(
            "AWS_VIRTUAL_HOSTED_STYLE_REQUEST",
            "the bucket is part of the host's name",
            "false",
            "true or false",
            "",
        ),
        variable("AWS_SKIP_SIGNATURE", "asks as nobody", "false", "true or false", ""),
        variable(
            "AWS_WEB_IDENTITY_TOKEN_FILE",
            "the token of a role, as Kubernetes gives it",
            "",
            "a file",
            "",
        ),
        variable("AWS_ROLE_ARN", "the role", "", "", "`AWS_WEB_IDENTITY_TOKEN_FILE` is set"),
        variable("AWS_ROLE_SESSION_NAME", "the name of its session", "", "", ""),
        variable(
            "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
            "where a container of ECS asks for keys",
            "",
            "a path",
            "",
        ),
        variable(
            "AWS_CONTAINER_CREDENTIALS_FULL_URI",
            "where a pod of EKS asks for keys",
            "",
            "an address",
            "",
        ),
        variable("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", "the token for it", "", "a file", ""),
    ],
};
