//! Names in `serve.redact` that no served model has as a feature: with a slip of the pen there, values that somebody wants
//! kept out of the prediction log would be in it without a word.

use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};

use crate::catalog::Catalog;
use crate::settings::{LogTarget, PredictionLog};
use crate::telemetry::talk::warn;

/// What was told, so that each name is told of once.
#[derive(Debug, Default)]
pub(crate) struct Redaction {
    told: Mutex<BTreeSet<String>>,
}

impl Redaction {
    /// Warns of names that no served model has as a feature; while none is served nothing is known.
    pub(crate) fn check(&self, log: &PredictionLog, catalog: &Catalog) {
        let served = catalog.served();
        if log.target == LogTarget::Off || served.models.is_empty() {
            return;
        }
        let has = |name: &str| {
            served.models.values().any(|model| model.features().iter().any(|one| one.name == name))
        };
        for name in self.news(&log.redact, has) {
            warn(&format!(
                "`serve.redact` names `{name}`, which is a feature of no served model: the prediction log holds the values \
                 of every other feature"
            ));
        }
    }

    /// Returns the names that `has` does not hold for and that were not told yet.
    fn news<'a>(&self, redact: &'a [String], has: impl Fn(&str) -> bool) -> Vec<&'a str> {
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        told.retain(|name| !has(name));
        let unknown = redact.iter().filter(|name| !has(name));
        unknown.filter(|name| told.insert((*name).clone())).map(String::as_str).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_no_model_has_is_told_once_until_one_had_it() {
        let redact = ["income", "incom", "age"].map(str::to_owned);
        let redaction = Redaction::default();
        let first = |name: &str| ["income", "age"].contains(&name);
        assert_eq!(redaction.news(&redact, first), ["incom"]);
        assert!(redaction.news(&redact, first).is_empty());
        assert_eq!(redaction.news(&redact, |name| name == "income"), ["age"]);
        assert!(redaction.news(&redact, |_| true).is_empty());
        assert_eq!(redaction.news(&redact, first), ["incom"]);
    }
}
