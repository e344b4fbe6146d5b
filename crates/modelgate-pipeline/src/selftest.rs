//! Does the gate refuse what it must? A model trained on permuted labels has learned nothing, and a copy of production
//! with damaged numbers has forgotten everything: a gate that lets one through is too weak.

use modelgate_core::verdict::{GateVerdict, Outcome};
use modelgate_core::{Digest, Verdict, canonical};
use modelgate_data::target::Target;
use modelgate_data::{Table, Values};
use modelgate_learn::{FeatureMatrix, Targets};
use modelgate_model::LoadedModel;
use serde::Serialize;

use crate::error::PipelineError;
use crate::options::{Reporter, RunOptions, Surroundings};
use crate::project::Pipeline;
use crate::rejudge::{Court, production_package};
use crate::run::{lock, registry};
use crate::runner::Runner;
use crate::stage::{Selection, Stage};
use crate::stages::{command, data, dataset, model};

/// What became of one model that must be refused.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct Trial {
    /// What the model is.
    pub name: String,
    /// What the gate said.
    pub verdict: GateVerdict,
    /// Whether the gate let it through.
    pub let_through: bool,
    /// The rules that held, each with its sentence: those that were too weak.
    pub too_weak: Vec<String>,
}

/// What the self-test found.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct SelfTest {
    /// The version of this form.
    pub schema_version: u32,
    /// The pipeline.
    pub pipeline: String,
    /// One per model that must be refused.
    pub trials: Vec<Trial>,
}

impl SelfTest {
    /// Returns whether the gate refused every one.
    pub fn refused_all(&self) -> bool {
        self.trials.iter().all(|trial| !trial.let_through)
    }
}

/// Trains on permuted labels, damages production, and asks the gate of `pipeline` about both. Nothing is registered.
///
/// # Errors
/// Fails when the stages up to the package cannot run.
pub fn selftest(
    pipeline: &Pipeline<'_>,
    surroundings: &Surroundings<'_>,
    reporter: &mut dyn Reporter,
) -> Result<SelfTest, PipelineError> {
    let _lock = lock(pipeline.project, "modelgate gate selftest", surroundings)?;
    let options = RunOptions { selection: Selection::Until(Stage::Assemble), ..RunOptions::default() };
    let mut runner = Runner::new(pipeline, &options, surroundings, reporter);
    let stages: [fn(&mut Runner<'_>) -> Result<bool, PipelineError>; 5] =
        [dataset::snapshot, data::split, data::preprocess, model::train, model::assemble];
    for stage in stages {
        stage(&mut runner)?;
    }
    let registry = registry(pipeline.project)?;
    let court = Court::of(&mut runner, &registry)?;
    let own = modelgate_model::from_files(model::package_files(&runner)?)?;
    let mut trials = Vec::new();

    let (name, permuted, digest) = if let Some(command) = &pipeline.config.train.command {
        let table = with_permuted_target(&court, &pipeline.config.data.target, pipeline.config.seed);
        let bytes = command::fit(&mut runner, command, &table, &court.split)?;
        let name = "trained by train.command on permuted labels";
        (name, LoadedModel::load(&bytes)?, Digest::of(&bytes))
    } else {
        let estimator = fit_permuted(&mut runner, &court)?;
        let digest = canonical::digest(&estimator)?;
        ("trained on permuted labels", own.model.with_estimator(estimator)?, digest)
    };
    let schema = &own.manifest.schema;
    let (_, verdict) = court.judge(&permuted, digest, "a model trained on permuted labels", schema)?;
    trials.push(trial(name, verdict));

    let (name, package) = match production_package(&runner, &registry)? {
        Some((name, package)) => (format!("{name} with damaged weights"), package),
        None => ("the candidate with damaged weights (nothing is in production)".to_owned(), own),
    };
    let damaged = package.model.damaged()?;
    let digest = Digest::of(format!("damaged {}", package.digest).as_bytes());
    let (_, verdict) = court.judge(&damaged, digest, &name, &package.manifest.schema)?;
    trials.push(trial(&name, verdict));
    Ok(SelfTest { schema_version: 1, pipeline: pipeline.name.to_owned(), trials })
}

fn trial(name: &str, verdict: GateVerdict) -> Trial {
    let let_through = verdict.verdict == Verdict::Passed;
    let held = verdict
        .rules
        .iter()
        .filter(|rule| let_through && matches!(rule.outcome, Outcome::Passed | Outcome::NotApplicable));
    let too_weak = held.map(|rule| format!("{}: {}", rule.id, rule.sentence)).collect();
    Trial { name: name.to_owned(), verdict, let_through, too_weak }
}

/// Fits the pipeline's trainer to the training rows with their labels in a seeded random order.
fn fit_permuted(
    runner: &mut Runner<'_>,
    court: &Court,
) -> Result<modelgate_model::estimator::Estimator, PipelineError> {
    let rows = &court.split.train;
    let plan = data::plan(runner)?;
    let names = plan.output_names();
    let values = plan.transform(&court.table, rows)?;
    let matrix = FeatureMatrix { rows: rows.len(), columns: names.len(), values: &values, names: &names };
    let seed = runner.pipeline.config.seed;
    let shuffled = permutation(rows, seed);
    let trainer = model::trainer(runner)?;
    let outcome = match &court.target {
        Target::Classes { labels, classes } => {
            let labels: Vec<u32> = shuffled.iter().map(|row| labels[*row as usize]).collect();
            let names = classes.names();
            let targets = Targets::Classes { labels: &labels, classes: names.len(), names: &names };
            trainer.fit(&matrix, &targets, seed)?
        }
        Target::Values(values) => {
            let values: Vec<f64> = shuffled.iter().map(|row| values[*row as usize]).collect();
            trainer.fit(&matrix, &Targets::Values(&values), seed)?
        }
    };
    Ok(outcome.estimator)
}

/// Returns the rows with the labels of the training rows in another order among them, and those of the validation rows
/// likewise: what stops early must not learn from them either.
fn with_permuted_target(court: &Court, target: &str, seed: u64) -> Table {
    fn reorder<T: Clone>(values: &mut [T], rows: &[u32], order: &[u32]) {
        let moved: Vec<T> = order.iter().map(|row| values[*row as usize].clone()).collect();
        for (row, value) in rows.iter().zip(moved) {
            values[*row as usize] = value;
        }
    }
    let mut table = Table::clone(&court.table);
    let Some(column) = table.columns.iter_mut().find(|column| column.name == target) else { return table };
    for rows in [&court.split.train, &court.split.validation] {
        let order = permutation(rows, seed);
        match &mut column.values {
            Values::Int(values) => reorder(values, rows, &order),
            Values::Float(values) => reorder(values, rows, &order),
            Values::Text(values) => reorder(values, rows, &order),
        }
    }
    table
}

/// Returns `rows` in an order of their own, the same for the same seed.
fn permutation(rows: &[u32], seed: u64) -> Vec<u32> {
    let mut ranked: Vec<([u8; 32], u32)> = rows
        .iter()
        .map(|row| (*Digest::of(format!("selftest {seed} {row}").as_bytes()).as_bytes(), *row))
        .collect();
    ranked.sort_unstable();
    ranked.into_iter().map(|(_, row)| row).collect()
}

#[cfg(test)]
mod tests {
    use super::permutation;

    #[test]
    fn labels_are_permuted_and_none_is_lost() {
        let rows: Vec<u32> = (0..100).collect();
        let shuffled = permutation(&rows, 42);
        assert_ne!(shuffled, rows);
        assert_eq!(shuffled, permutation(&rows, 42));
        let mut sorted = shuffled;
        sorted.sort_unstable();
        assert_eq!(sorted, rows);
    }
}
