//! Steps that only some projects have, as texts of YAML.

use super::parts::{lines, secret};
use super::render::{Deploy, Plan, SETUP_PYTHON, below};

/// What the Hub is written with.
const HUB: &str = "HF_TOKEN";
/// What a Space is asked with that answers nobody without a key.
const KEY_OF_SPACE: &str = "MODELGATE_API_KEY";
/// The token that every job has, which is no secret of the repository.
const TOKEN_OF_JOB: &str = "GITHUB_TOKEN";
/// How far a variable of a step is indented.
const VARIABLE: &str = "          ";

/// The secrets that a deployment to the Space needs; the token of the job is there without being one.
pub(super) fn secrets_of_space(plan: &Plan) -> Vec<&str> {
    let own = plan.space_secrets.iter().map(String::as_str).filter(|name| *name != TOKEN_OF_JOB);
    let mut secrets = vec![HUB];
    for name in own {
        if !secrets.contains(&name) {
            secrets.push(name);
        }
    }
    secrets
}

/// The variables of a step that brings the package to the Space, a line each.
fn variables_of_space(plan: &Plan) -> String {
    let mut text = lines(&secrets_of_space(plan), VARIABLE, secret);
    if plan.space_secrets.iter().any(|name| name == TOKEN_OF_JOB) {
        text.push_str(&format!("{VARIABLE}{TOKEN_OF_JOB}: ${{{{ github.token }}}}\n"));
    }
    text
}

/// A step that brings what is in production to the Space, and keeps how that ended.
pub(super) fn step_of_target(plan: &Plan) -> String {
    if plan.deploy == Deploy::None {
        return String::new();
    }
    format!(
        "      - name: Bring it to the Space\n        id: target\n        working-directory: {}\n        env:\n{}          \
         REASON: ${{{{ env.RUN }}}}\n        # 2: it does not show there what it must.\n        run: |\n          code=0\n          \
         modelgate deploy space \"$MODEL\" --reason \"$REASON\" || code=$?\n          \
         echo \"code=$code\" >> \"$GITHUB_OUTPUT\"\n          exit \"$code\"\n",
        plan.folder,
        variables_of_space(plan),
    )
}

/// A step that points the Space at what is in production, which was there before; `when` is its condition, and `reason` what
/// the ledger keeps.
pub(super) fn step_of_target_back(plan: &Plan, when: &str, reason: &str) -> String {
    if plan.deploy == Deploy::None {
        return String::new();
    }
    let looked_at_with: Vec<&str> =
        secrets_of_space(plan).into_iter().filter(|name| [HUB, KEY_OF_SPACE].contains(name)).collect();
    format!(
        "      - name: Take the Space back\n{when}        working-directory: {}\n        env:\n{}          \
         REASON: {reason}\n        run: modelgate deploy space \"$MODEL\" --rollback --reason \"$REASON\"\n",
        plan.folder,
        lines(&looked_at_with, VARIABLE, secret),
    )
}

/// A step that stops the Space, where nothing may be served any more; `when` is its condition.
pub(super) fn step_of_target_stop(plan: &Plan, when: &str) -> String {
    if plan.deploy == Deploy::None {
        return String::new();
    }
    format!(
        "      - name: Stop the Space\n{when}        working-directory: {}\n        env:\n{}        \
         run: modelgate deploy space \"$MODEL\" --stop\n",
        plan.folder,
        lines(&[HUB], VARIABLE, secret),
    )
}

/// A step that fails before the promotion where a secret is missing that the Space needs behind it.
pub(super) fn step_of_needed(plan: &Plan) -> String {
    if plan.deploy == Deploy::None {
        return String::new();
    }
    let secrets = secrets_of_space(plan);
    format!(
        "      - name: Is there what the Space needs?\n        # Nothing is promoted that could not be brought there.\n        \
         env:\n{}        run: |\n          for name in {}; do\n            if [ -z \"${{!name}}\" ]; then\n              \
         echo \"the secret $name is not set in this repository, and the Space needs it\" >&2\n              exit 64\n            \
         fi\n          done\n",
        lines(&secrets, VARIABLE, secret),
        secrets.join(" "),
    )
}

pub(super) fn steps_of_python(plan: &Plan) -> String {
    let Some(file) = &plan.requirements else { return String::new() };
    let file = below(&plan.folder, file);
    format!(
        "      - uses: {SETUP_PYTHON}\n        with:\n          python-version: \"3.12\"\n          cache: pip\n          \
         cache-dependency-path: {file}\n      - name: What the training code needs\n        run: python -m pip install -r {file}\n"
    )
}

pub(super) fn steps_of_tests(plan: &Plan) -> String {
    if !plan.tests {
        return String::new();
    }
    format!(
        "      - uses: {SETUP_PYTHON}\n        with:\n          python-version: \"3.12\"\n      - name: The training code's own \
         tests\n        working-directory: {}\n        shell: bash\n        run: |\n          \
         if [ -f requirements.txt ]; then python -m pip install -r requirements.txt; fi\n          \
         python -m pip install pytest\n          python -m pytest tests\n",
        plan.folder
    )
}
