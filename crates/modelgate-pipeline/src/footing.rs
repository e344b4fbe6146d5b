//! Production on rows that are fair to both: not those that it learned from, nor those that it does not answer.

use std::collections::BTreeMap;

use modelgate_core::Digest;
use modelgate_core::rule::Subset;
use modelgate_core::verdict::Footing;
use modelgate_data::split::SplitAssignment;
use modelgate_data::target::Target;
use modelgate_data::{DataSchema, Table};
use modelgate_model::{LoadedModel, Package};
use serde_json::Value;

use crate::answers::answers;
use crate::error::PipelineError;
use crate::evaluation::{EvaluateOptions, Evaluation, evaluate};
use crate::learned::{Learned, learned};
use crate::runner::Runner;

/// The rows on which production is compared, and its figures there.
pub(crate) struct Ground {
    /// The rows.
    pub(crate) split: SplitAssignment,
    /// Production's figures on them.
    pub(crate) evaluation: Evaluation,
    left_out: BTreeMap<Subset, String>,
    unsure: Option<String>,
}

/// The rows of a run and what they are asked for.
pub(crate) struct Rows<'a> {
    pub(crate) table: &'a Table,
    /// The types of its columns.
    pub(crate) schema: &'a DataSchema,
    pub(crate) target: &'a Target,
    pub(crate) split: &'a SplitAssignment,
    pub(crate) options: &'a EvaluateOptions,
}

impl Ground {
    /// Finds the rows and scores production on them; `attached` is its `metrics.json`.
    ///
    /// # Errors
    /// Fails when production cannot be scored on the data.
    pub(crate) fn of(
        runner: &Runner<'_>,
        (name, production): (&str, &Package),
        attached: Option<&Value>,
        rows: &Rows<'_>,
    ) -> Result<Self, PipelineError> {
        let mut split = rows.split.clone();
        let (mut left_out, mut unsure) = (BTreeMap::new(), None);
        match learned(runner, production, attached, rows)? {
            Learned::Apart => {}
            Learned::Unknown(why) => {
                unsure = Some(format!(
                    "{name} may have learned from rows that it is compared on, and which cannot be told: {why}"
                ));
            }
            Learned::From(known, how) => {
                for (subset, list) in parts(&mut split) {
                    let all = list.len();
                    list.retain(|row| !known.contains(row));
                    let gone = all - list.len();
                    if gone > 0 {
                        let sentence = format!(
                            "{gone} of {all} rows of {subset} are left out of the comparison: by the split of {name} \
                             they are its training rows ({how})"
                        );
                        left_out.insert(subset, sentence);
                    }
                }
            }
        }
        let score = |split: &SplitAssignment| {
            evaluate(&production.model, production.digest, rows.table, rows.target, split, rows.options)
        };
        let mut evaluation = score(&split)?;
        let partly =
            |found: &crate::evaluation::SubsetEvaluation| (1..found.rows).contains(&found.unanswered);
        if evaluation.subsets.values().any(partly) {
            for (subset, list) in parts(&mut split) {
                if !evaluation.subsets.get(&subset).is_some_and(partly) {
                    continue;
                }
                let silent = answers(&production.model, rows.table, rows.target, list)?.silent();
                let all = list.len();
                let mut answered = silent.iter().map(|silent| !silent);
                list.retain(|_| answered.next().unwrap_or(true));
                let sentence = format!(
                    "{} of {all} rows of {subset} are left out of the comparison: {name} does not answer them with a finite \
                     number",
                    all - list.len()
                );
                let said = left_out.entry(subset).or_insert_with(String::new);
                *said = if said.is_empty() { sentence } else { format!("{said}; {sentence}") };
            }
            evaluation = score(&split)?;
        }
        Ok(Self { split, evaluation, left_out, unsure })
    }

    /// Scores the candidate on the rows, where they are not all.
    pub(crate) fn candidate(
        &self,
        model: &LoadedModel,
        digest: Digest,
        rows: &Rows<'_>,
    ) -> Result<Option<Evaluation>, PipelineError> {
        if self.left_out.is_empty() {
            return Ok(None);
        }
        evaluate(model, digest, rows.table, rows.target, &self.split, rows.options).map(Some)
    }

    /// Returns what this means for the rules that compare with production; `candidate` is on the rows that are left.
    pub(crate) fn footing(&self, candidate: Option<&Evaluation>) -> Option<Footing> {
        if let Some(candidate) = candidate {
            let candidate = candidate.scores(String::new(), None).subsets;
            return Some(Footing::Fewer { candidate, left_out: self.left_out.clone() });
        }
        self.unsure.clone().map(Footing::Unsure)
    }

    /// Returns what a person should know of it.
    pub(crate) fn warnings(&self) -> Vec<String> {
        self.left_out.values().chain(&self.unsure).cloned().collect()
    }
}

/// Returns the rows that are held back, by subset.
pub(crate) fn parts(split: &mut SplitAssignment) -> [(Subset, &mut Vec<u32>); 2] {
    [(Subset::Validation, &mut split.validation), (Subset::Test, &mut split.test)]
}
