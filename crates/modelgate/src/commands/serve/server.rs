//! What is asked of an MLflow server: by flags, or by the variables that MLflow's own clients heed.

use modelgate_serve::source::{MlflowLogin, MlflowOptions, MlflowVersion};

use super::callers;
use crate::arguments::serve::{ServedStage, Service};
use crate::environment;
use crate::exit::UsageError;

/// Returns where the server is, who asks, and which versions are served.
///
/// # Errors
/// Fails when the address is missing, or when more than one version is meant.
pub(super) fn options(arguments: &Service) -> Result<MlflowOptions, UsageError> {
    let wrong = |sentence: &str| Err(UsageError(sentence.to_owned()));
    let Some(address) = arguments.mlflow.clone() else {
        return wrong(
            "MODEL_SOURCE is `mlflow`: give the server's address with --mlflow or MLFLOW_TRACKING_URI",
        );
    };
    let (model, reference) = match arguments.models.as_slice() {
        [] => (environment::variable("MLFLOW_MODEL_NAME"), None),
        [one] => match one.split_once('@') {
            Some((name, reference)) => (Some(name.to_owned()), Some(reference.to_owned())),
            None => (Some(one.clone()), None),
        },
        _ => {
            return wrong(
                "--model: with an MLflow server, name one model, or none for every model at the stage",
            );
        }
    };
    let version = match reference {
        Some(reference) if arguments.stage == ServedStage::Staging => {
            return Err(UsageError(format!(
                "--stage (MODEL_STAGE): `--model …@{reference}` names a version, wherever it stands: leave --stage out, or \
                 name the model alone for what is in staging"
            )));
        }
        Some(reference) => match number(&reference) {
            Some(number) => MlflowVersion::Number(number),
            None => MlflowVersion::Alias(reference),
        },
        None => variables(arguments)?,
    };
    if model.is_none() && matches!(version, MlflowVersion::Number(_)) {
        return wrong("MLFLOW_MODEL_VERSION is set: say of which model, with --model or MLFLOW_MODEL_NAME");
    }
    Ok(MlflowOptions { address, login: login()?, model, version })
}

/// `3` and `v3`; an alias may be any other word.
fn number(text: &str) -> Option<u64> {
    text.strip_prefix('v').unwrap_or(text).parse().ok().filter(|number| *number > 0)
}

fn variables(arguments: &Service) -> Result<MlflowVersion, UsageError> {
    let names = ["MLFLOW_MODEL_VERSION", "MLFLOW_MODEL_ALIAS", "MLFLOW_MODEL_STAGE"];
    let set: Vec<(&str, String)> =
        names.iter().filter_map(|name| Some((*name, environment::variable(name)?))).collect();
    match set.as_slice() {
        [] => {
            let stage = match arguments.stage {
                ServedStage::Production => "Production",
                ServedStage::Staging => "Staging",
            };
            Ok(MlflowVersion::Stage(stage.to_owned()))
        }
        [("MLFLOW_MODEL_VERSION", text)] => number(text)
            .map(MlflowVersion::Number)
            .ok_or_else(|| UsageError("MLFLOW_MODEL_VERSION: expected a number from 1".to_owned())),
        [("MLFLOW_MODEL_ALIAS", alias)] => Ok(MlflowVersion::Alias(alias.clone())),
        [(_, stage)] => ["Production", "Staging"]
            .iter()
            .find(|known| known.eq_ignore_ascii_case(stage))
            .map(|known| MlflowVersion::Stage((*known).to_owned()))
            .ok_or_else(|| UsageError("MLFLOW_MODEL_STAGE: expected Production or Staging".to_owned())),
        [(one, _), (other, _), ..] => {
            Err(UsageError(format!("{one} and {other} are both set: leave the one that is meant")))
        }
    }
}

fn login() -> Result<MlflowLogin, UsageError> {
    let secret = |name: &str| callers::secret(&format!("MLFLOW_TRACKING_{name}"));
    let user = environment::variable("MLFLOW_TRACKING_USERNAME").map(|user| user.trim().to_owned());
    match (user, secret("PASSWORD")?, secret("TOKEN")?) {
        (None, None, None) => Ok(MlflowLogin::None),
        (Some(user), Some(password), None) => Ok(MlflowLogin::Basic(user, password)),
        (None, None, Some(token)) => Ok(MlflowLogin::Bearer(token)),
        (_, _, Some(_)) => Err(UsageError(
            "MLFLOW_TRACKING_TOKEN and MLFLOW_TRACKING_USERNAME are both set: leave the one that is meant"
                .to_owned(),
        )),
        _ => Err(UsageError(
            "MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD go together: one of them is missing"
                .to_owned(),
        )),
    }
}
