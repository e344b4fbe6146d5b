//! Whether the model in production is worth on the rows of today what it was worth when it was registered. Where it is not, that a
//! candidate is better than it says little: rows whose labels are swapped, or whose columns came in other units, make any model
//! that learned them look good beside it.

use std::collections::BTreeMap;

use modelgate_core::rule::Subset;
use modelgate_core::verdict::{FEW_LEFT, figure};
use serde::Deserialize as _;
use serde_json::Value;

use crate::evaluation::{Evaluation, SubsetEvaluation};

/// What production keeps of its figure at least, to be something to compare with: drift takes some of it, and less is for a person
/// to look at.
const KEPT: f64 = 0.5;

/// A model that was registered with less has little to lose.
const WORTH: f64 = 0.2;

/// Says that production has lost more than half of what it had over a constant answer, by `mcc` or `r2`, which are 0 for one;
/// `attached` is its `metrics.json`, and `now` its figures on the rows of this run.
pub(crate) fn collapsed(
    name: &str,
    now: &Evaluation,
    attached: Option<&Value>,
    on: Subset,
) -> Option<String> {
    let registered = BTreeMap::<Subset, SubsetEvaluation>::deserialize(attached?.get("subsets")?).ok()?;
    let (before, now, is_of_classes) = (registered.get(&on)?, now.subsets.get(&on)?, !now.classes.is_empty());
    if before.rows.min(now.rows) < FEW_LEFT {
        return None;
    }
    let metric = if is_of_classes { "mcc" } else { "r2" };
    let value = |found: &SubsetEvaluation| found.metrics.get(metric).copied().flatten();
    let (was, is) = (value(before)?, value(now)?);
    (was >= WORTH && is < KEPT * was).then(|| {
        format!(
            "{name} has {metric} {} on {on} and was registered with {}: it has lost more than half of its worth, so that to be better \
             than it says little; look whether labels, units or columns of the data are others than they were",
            figure(is),
            figure(was)
        )
    })
}

#[cfg(test)]
mod tests {
    use modelgate_core::Digest;
    use serde_json::json;

    use super::*;

    #[test]
    fn a_production_that_lost_more_than_half_of_its_worth_is_told() {
        let said = |metric: &str, was: f64, is: f64, rows: u64| {
            let metrics = BTreeMap::from([(metric.to_owned(), Some(is))]);
            let found = SubsetEvaluation { rows, metrics, ..SubsetEvaluation::default() };
            let classes = if metric == "mcc" { vec!["no".to_owned(), "yes".to_owned()] } else { Vec::new() };
            let subsets = BTreeMap::from([(Subset::Validation, found)]);
            let now = Evaluation { schema_version: 1, digest: Digest::of(b"p"), classes, subsets };
            let attached = json!({"subsets": {"validation": {"rows": rows, "metrics": {metric: was}}}});
            collapsed("production v001", &now, Some(&attached), Subset::Validation)
        };
        let told = said("mcc", 0.83, -0.6, 85).expect("told");
        assert!(
            told.starts_with("production v001 has mcc -0.6 on validation and was registered with 0.83"),
            "{told}"
        );
        assert!(said("r2", 0.8, -900.0, 85).is_some() && said("r2", 0.8, 0.39, 85).is_some());
        // What drift takes, what was not worth much, and what too few rows say.
        assert_eq!(said("mcc", 0.83, 0.5, 85), None);
        assert_eq!(said("mcc", 0.15, 0.0, 85), None);
        assert_eq!(said("mcc", 0.83, 0.0, 20), None);
    }
}
