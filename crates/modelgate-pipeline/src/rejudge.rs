//! The gate on a model that this run did not train: one that was made elsewhere, or one that must be refused.

use modelgate_core::Digest;
use modelgate_core::rule::{GateRule, Subset, Versus};
use modelgate_core::schema::FeatureSchema;
use modelgate_core::verdict::{Comparisons, Evidence, GateVerdict, Reference, judge};
use modelgate_data::split::SplitAssignment;
use modelgate_data::target::Target;
use modelgate_data::{DataSchema, Mixed, Table};
use modelgate_model::{LoadedModel, Package};
use modelgate_registry::Registry;

use std::collections::BTreeMap;
use std::rc::Rc;

use crate::collapsed::collapsed;
use crate::error::PipelineError;
use crate::evaluation::{EvaluateOptions, Evaluation, evaluate};
use crate::footing::{Ground, Rows};
use crate::latency;
use crate::learned::{self, Own};
use crate::paired;
use crate::production;
use crate::promised::promised;
use crate::runner::Runner;
use crate::stages::measured::{Measured, measured, sliced, unmeasured};
use crate::stages::{contract, data, judge as gate};
use crate::stored;

/// The rows, rules and references of a pipeline's gate.
pub(crate) struct Court {
    pub(crate) table: Rc<Table>,
    /// The types of its columns.
    schema: DataSchema,
    pub(crate) target: Target,
    pub(crate) split: SplitAssignment,
    options: EvaluateOptions,
    comparing: gate::Comparing,
    /// The model that production has, for rules that look at both row by row.
    production: Option<(Package, Ground)>,
    figures: Vec<(&'static str, f64)>,
    rules: Vec<GateRule>,
    on: Subset,
    references: BTreeMap<Versus, Reference>,
    /// What a package from elsewhere learned from; nothing for what this project makes.
    own: Own,
}

/// The package in production.
pub(crate) struct InProduction {
    /// How a sentence calls it.
    pub(crate) name: String,
    /// The package.
    pub(crate) package: Package,
    /// Its `metrics.json`.
    attached: Option<serde_json::Value>,
    /// What its callers may rely on.
    promised: FeatureSchema,
}

/// Returns the package in production, if there is one.
///
/// # Errors
/// Fails when it is not what was registered.
pub(crate) fn production_package(
    runner: &Runner<'_>,
    registry: &Registry,
) -> Result<Option<InProduction>, PipelineError> {
    let model = &runner.pipeline.model;
    let Some(found) = production::find(registry, model) else { return Ok(None) };
    let files = registry.version_files(model, found.version)?;
    let parsed = |name| files.get(name).and_then(|bytes| serde_json::from_slice(bytes).ok());
    let (attached, reference): (_, Option<serde_json::Value>) =
        (parsed("metrics.json"), parsed("reference.json"));
    let package = modelgate_model::from_files(files)?;
    let serve = &runner.pipeline.project.config.serve;
    let promised = promised(package.manifest.schema.clone(), reference.as_ref(), serve);
    Ok(Some(InProduction { name: production::name_of(found.version), package, attached, promised }))
}

impl Court {
    /// Gathers what the gate looks at; the stages up to the split have run. A package from elsewhere, with its `metrics.json`, is
    /// judged on none of the rows that it is known to have learned from.
    pub(crate) fn of(
        runner: &mut Runner<'_>,
        registry: &Registry,
        elsewhere: Option<(&Package, Option<&serde_json::Value>)>,
    ) -> Result<Self, PipelineError> {
        let rules = gate::rules(runner)?;
        let found = production_package(runner, registry);
        let mut asked = sliced(runner, &rules);
        if let Ok(Some(found)) = &found {
            asked.extend(learned::columns(&found.package, found.attached.as_ref()));
        }
        if let Some((package, attached)) = elsewhere {
            asked.extend(learned::columns(package, attached));
        }
        // A column that only production takes and that cannot be read keeps nobody else from being judged.
        let Measured { table, schema: types, notes } = match measured(runner, &asked, Mixed::AsText) {
            Ok(found) => found,
            Err(_) => measured(runner, &sliced(runner, &rules), Mixed::AsText)?,
        };
        let target = data::target(runner, &table)?;
        let mut split = data::assignment(runner)?;
        let options = gate::plain_options(runner, &rules);
        let mut own = Own::default();
        if let Some((package, attached)) = elsewhere {
            let all = split.clone();
            let rows =
                Rows { table: &table, schema: &types, target: &target, split: &all, options: &options };
            own = Own::take_out(runner, package, attached, &rows, &mut split)?;
            own.warnings().for_each(|warning| runner.reporter.note(warning));
        }
        let mut in_production = None;
        let production = match found {
            Ok(None) => Reference::None,
            Ok(Some(InProduction { name, package, attached, promised })) => {
                let schema = Some(promised);
                let (target, split, options) = (&target, &split, &options);
                let rows = Rows { table: &table, schema: &types, target, split, options };
                match Ground::of(runner, (&name, &package), attached.as_ref(), &rows) {
                    Ok(ground) => {
                        let doubt = collapsed(
                            &name,
                            &ground.evaluation,
                            attached.as_ref(),
                            gate::gate_subset(runner),
                        );
                        ground.warnings().iter().chain(&doubt).for_each(|told| runner.reporter.note(told));
                        own.doubts.extend(doubt);
                        let scores = ground.evaluation.scores(name, schema);
                        in_production = Some((package, ground));
                        Reference::Scores(Box::new(scores))
                    }
                    Err(error) => Reference::Unavailable(format!("{name}: {}", unmeasured(&error, &notes))),
                }
            }
            Err(error) if error.is_unanswered() => return Err(error),
            Err(error) => Reference::Unavailable(error.without_values()),
        };
        let mut references = stored::runs(runner.pipeline, &rules, registry)?;
        references.insert(Versus::Production, production);
        references.insert(Versus::Baseline, stored::baseline(runner.pipeline, registry)?);
        Ok(Self {
            table,
            schema: types,
            target,
            split,
            options,
            comparing: gate::Comparing::of(runner)?,
            production: in_production,
            figures: contract::figures(runner)?,
            rules,
            on: gate::gate_subset(runner),
            references,
            own,
        })
    }

    /// Returns the subset that the gate looks at.
    pub(crate) fn on(&self) -> Subset {
        self.on
    }

    /// Scores and judges a model.
    pub(crate) fn judge(
        &self,
        model: &LoadedModel,
        digest: Digest,
        name: &str,
        schema: &FeatureSchema,
    ) -> Result<(Evaluation, GateVerdict), PipelineError> {
        let evaluation = evaluate(model, digest, &self.table, &self.target, &self.split, &self.options)?;
        let mut candidate = evaluation.scores(name.to_owned(), Some(schema.clone()));
        let rows = match self.on {
            Subset::Test => &self.split.test,
            _ => &self.split.validation,
        };
        let times = if gate::asks_times(&self.rules) {
            latency::measure(model, &self.table, rows)?.map(|found| found.figures())
        } else {
            None
        };
        for subset in candidate.subsets.values_mut() {
            let figures = self.figures.iter().chain(times.iter().flatten());
            subset.metrics.extend(figures.map(|(name, value)| ((*name).to_owned(), Some(*value))));
        }
        let (mut comparisons, mut footings) = (Comparisons::default(), BTreeMap::new());
        if let Some((production, ground)) = &self.production
            && production.digest != digest
        {
            let (target, split, options) = (&self.target, &self.split, &self.options);
            let rows = Rows { table: &self.table, schema: &self.schema, target, split, options };
            let fair = ground.candidate(model, digest, &rows)?;
            footings.extend(ground.footing(fair.as_ref()).map(|footing| (Versus::Production, footing)));
            let (table, target) = (&self.table, &self.target);
            let input = self.comparing.input(model, &production.model, table, target, &ground.split);
            comparisons = paired::compare(&input, &self.rules)?;
        }
        let references = self.references.clone();
        let evidence = Evidence { candidate, references, on: self.on, comparisons, footings };
        let is_enough = |id: &str| self.rules.iter().any(|rule| rule.id == id && rule.min_samples.is_some());
        let verdict = self.own.held(judge(&self.rules, &evidence), is_enough);
        Ok((evaluation, verdict.doubted(self.own.doubts.clone())))
    }
}
