//! What a package learned from that a run of this project did not make: its lineage names the data and the split by their
//! digests, and of the same data the same split can be made again.

use std::collections::BTreeMap;

use modelgate_core::rule::Subset;
use modelgate_core::verdict::{FEW_LEFT, GateVerdict, Outcome, RuleResult};
use modelgate_core::{Digest, canonical};
use modelgate_data::split::SplitAssignment;
use modelgate_model::Package;
use modelgate_model::manifest::Lineage;
use serde_json::Value;

use super::{Learned, SplitRecord, learned, recorded};
use crate::error::PipelineError;
use crate::footing::{Rows, parts};
use crate::runner::Runner;
use crate::stage::Stage;

/// Returns what a package of `lineage` learned from, which says nothing of how it was split, where its data are those of this run;
/// `None` where they are others, or the split is this one.
pub(super) fn of_same_rows(
    runner: &Runner<'_>,
    lineage: &Lineage,
    now: &SplitRecord,
    rows: &Rows<'_>,
) -> Result<Option<Learned>, PipelineError> {
    let same_rows = runner.output(Stage::Snapshot, "data")? == lineage.dataset;
    if !same_rows || runner.output(Stage::Split, "split")? == lineage.split {
        return Ok(None);
    }
    let kept = runner.store.get(&lineage.split).ok();
    if let Some(kept) = kept.and_then(|bytes| serde_json::from_slice::<SplitAssignment>(&bytes).ok()) {
        return Ok(Some(Learned::From(kept.train.into_iter().collect(), "the data are the same".to_owned())));
    }
    let other = SplitRecord { seed: lineage.seed, ..now.clone() };
    if let Ok(made) = other.again(now, rows.table, rows.schema, rows.target)
        && Digest::of(canonical::to_string(&made)?.as_bytes()) == lineage.split
    {
        let how = format!("the data are the same, and `seed` was {} and is {}", other.seed, now.seed);
        return Ok(Some(Learned::From(made.train.into_iter().collect(), how)));
    }
    Ok(Some(Learned::Unknown(
        "it was made of these very data, split otherwise by settings that it does not name; train it here with `modelgate run`, or \
         judge it on rows that it never saw"
            .to_owned(),
    )))
}

/// What a package from elsewhere that is judged here learned from.
#[derive(Clone, PartialEq, Debug, Default)]
pub(crate) struct Own {
    /// The rows that are left out of each subset, in words.
    left_out: BTreeMap<Subset, String>,
    /// Why its figures on these rows are no ground to pass it.
    unsure: Option<String>,
    /// What a person has to look at.
    pub(crate) doubts: Vec<String>,
}

/// What nobody here has trained, no policy approves by itself.
const BY_NOBODY_HERE: &str = "it came from a folder and not from a run";

impl Own {
    /// Takes the rows that `package` learned from out of `split`; `attached` is the `metrics.json` that it came with, or that a
    /// version of it here has.
    pub(crate) fn take_out(
        runner: &Runner<'_>,
        package: &Package,
        attached: Option<&Value>,
        rows: &Rows<'_>,
        split: &mut SplitAssignment,
    ) -> Result<Self, PipelineError> {
        let mut own = Self { doubts: vec![BY_NOBODY_HERE.to_owned()], ..Self::default() };
        let lineage = &package.manifest.lineage;
        let says = recorded::<SplitRecord>(attached, "split").is_some();
        let same_rows = runner.output(Stage::Snapshot, "data")? == lineage.dataset;
        if lineage.algorithm == "import" || !(says || same_rows) {
            own.doubts.push(
                "what it learned from is not known: of rows that it was trained on its figures are too good"
                    .to_owned(),
            );
            return Ok(own);
        }
        match learned(runner, package, attached, rows)? {
            Learned::Apart => {}
            // Of these very rows it has learned from most.
            Learned::Unknown(why) if same_rows => own.unsure = Some(why),
            Learned::Unknown(why) => {
                own.doubts.push(format!("it may have learned from rows that it is judged on: {why}"));
            }
            Learned::From(known, how) => {
                for (subset, list) in parts(split) {
                    let all = list.len();
                    list.retain(|row| !known.contains(row));
                    if list.len() < all {
                        let gone = all - list.len();
                        let sentence = format!(
                            "{gone} of {all} rows of {subset} are left out: the package was trained on them ({how})"
                        );
                        own.left_out.insert(subset, sentence);
                    }
                }
            }
        }
        Ok(own)
    }

    /// Returns what a person should know of it.
    pub(crate) fn warnings(&self) -> impl Iterator<Item = &String> {
        self.left_out.values().chain(&self.unsure).chain(self.doubts.iter().skip(1))
    }

    /// Returns the verdict as it holds on such rows: what passes on rows that it may have learned from has shown nothing, nor has
    /// what few rows are left for. `enough` holds for a rule that says itself how many rows are enough.
    pub(crate) fn held(&self, verdict: GateVerdict, enough: impl Fn(&str) -> bool) -> GateVerdict {
        let GateVerdict { rules, bootstrap, digest, .. } = verdict;
        let of_the_model = |result: &RuleResult| {
            let is_other = ["contract.", "latency."].iter().any(|kind| result.metric.starts_with(kind));
            !is_other && result.metric != "schema" && result.outcome != Outcome::NotApplicable
        };
        let held = rules.into_iter().map(|mut result| {
            if !of_the_model(&result) {
                return result;
            }
            if let Some(which) = self.left_out.get(&result.on) {
                let left = result.samples.unwrap_or(0);
                if left < FEW_LEFT && !enough(&result.id) && result.outcome != Outcome::Inconclusive {
                    result.outcome = Outcome::Inconclusive;
                    result.sentence.push_str(&format!("; {left} rows are too few to judge by"));
                }
                result.sentence.push_str(&format!("; {which}"));
            }
            if let Some(why) = self.unsure.as_ref().filter(|_| result.outcome == Outcome::Passed) {
                result.outcome = Outcome::Inconclusive;
                result.sentence.push_str(&format!("; this does not count for the package: {why}"));
            }
            result
        });
        GateVerdict::of(held.collect(), bootstrap, digest)
    }
}

#[cfg(test)]
mod tests {
    use Outcome::{Failed, Inconclusive, NotApplicable, Passed};
    use modelgate_core::Verdict;

    use super::*;

    fn verdict() -> GateVerdict {
        let result = |id: &str, metric: &str, outcome| RuleResult {
            samples: Some(25),
            ..RuleResult::without_figures(id, metric, Subset::Validation, outcome, "said")
        };
        let rules = vec![
            result("floor", "f1", Outcome::Passed),
            result("low", "recall", Outcome::Failed),
            result("clean", "contract.errors", Outcome::Passed),
            result("drop", "f1", Outcome::NotApplicable),
        ];
        GateVerdict::of(rules, true, None)
    }

    #[test]
    fn rows_that_a_package_may_know_pass_none_and_few_that_are_left_judge_none() {
        let outcomes = |own: &Own, enough: bool| {
            let held = own.held(verdict(), |_| enough);
            held.rules.iter().map(|rule| rule.outcome).collect::<Vec<_>>()
        };
        assert_eq!(outcomes(&Own::default(), false), [Passed, Failed, Passed, NotApplicable]);
        let unsure = Own { unsure: Some("it was split otherwise".to_owned()), ..Own::default() };
        assert_eq!(outcomes(&unsure, false), [Inconclusive, Failed, Passed, NotApplicable]);
        let which = (Subset::Validation, "60 of 85 rows are left out".to_owned());
        let fewer = Own { left_out: BTreeMap::from([which]), ..Own::default() };
        assert_eq!(outcomes(&fewer, false), [Inconclusive, Inconclusive, Passed, NotApplicable]);
        assert_eq!(outcomes(&fewer, true), [Passed, Failed, Passed, NotApplicable]);
        let told = fewer.held(verdict(), |_| false);
        assert_eq!((told.verdict, told.bootstrap), (Verdict::Inconclusive, true));
        assert_eq!(
            told.rules[0].sentence,
            "said; 25 rows are too few to judge by; 60 of 85 rows are left out"
        );
    }
}
