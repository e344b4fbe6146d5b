//! Does the gate refuse what it must? A model trained on permuted labels has learned nothing, and a copy of production
//! with damaged numbers has forgotten everything: a gate that lets one through is too weak.
//!
//! Only a rule that has seen the model refuses it. One that cannot be judged here whatever the model stands in the way of
//! good ones alike, and so does one on the data, the columns or the time: what nothing else refuses is not refused.

use std::collections::BTreeSet;

use modelgate_core::rule::{GateRule, Versus};
use modelgate_core::schema::Task;
use modelgate_core::verdict::{GateVerdict, Outcome, RuleResult};
use modelgate_core::{Digest, Verdict};
use modelgate_data::target::Target;
use modelgate_data::{Table, Values};
use modelgate_learn::{FeatureMatrix, Targets};
use modelgate_model::Package;
use serde::Serialize;

use crate::error::PipelineError;
use crate::options::{Reporter, RunOptions, Surroundings};
use crate::project::Pipeline;
use crate::rejudge::{Court, InProduction, production_package};
use crate::run::{lock, registry};
use crate::runner::Runner;
use crate::stage::{Selection, Stage};
use crate::stages::{command, contract, data, dataset, model};

/// How a trial came out.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum TrialOutcome {
    /// A rule that has seen the model stands against it.
    Refused,
    /// Every rule that applies holds.
    LetThrough,
    /// Nothing that was seen of the model stands against it, and yet it did not pass: there is no rule, or those that do
    /// not hold could not be judged here, or are not about what the model has learned.
    Undecided,
    /// The model is none that a gate must refuse, or could not be made: it says nothing of the gate.
    NotApplicable,
}

/// What became of one model that must be refused.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct Trial {
    /// What the model is.
    pub name: String,
    /// What the gate said.
    pub verdict: GateVerdict,
    /// How it came out.
    pub outcome: TrialOutcome,
    /// Whether nothing that was seen of the model stands against it: it was let through, or is undecided.
    pub let_through: bool,
    /// The rules that held, each with its sentence: those that were too weak.
    pub too_weak: Vec<String>,
    /// The rules that did not hold and say nothing of the model, each with its sentence: they could not be judged, or are
    /// about the data, the columns or the time.
    pub undecided: Vec<String>,
    /// Why the trial says nothing of the gate, where it does not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

impl Trial {
    /// Makes a trial that says nothing of the gate.
    fn of_nothing(name: String, verdict: GateVerdict, reason: String) -> Self {
        Self {
            name,
            verdict,
            outcome: TrialOutcome::NotApplicable,
            let_through: false,
            too_weak: Vec::new(),
            undecided: Vec::new(),
            reason: Some(reason),
        }
    }
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
    /// Whether training learns from the rows that it is given: where other labels leave the same model, it does not.
    pub learns: bool,
}

impl SelfTest {
    /// Returns whether the gate refused every one that it could be asked about.
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
    let stages: [fn(&mut Runner<'_>) -> Result<bool, PipelineError>; 6] =
        [dataset::snapshot, contract::contract, data::split, data::preprocess, model::train, model::assemble];
    // Data that do not keep their contract end no self-test: it is the rules that are asked about, not the data.
    for stage in stages {
        stage(&mut runner)?;
    }
    let registry = registry(pipeline.project)?;
    let court = Court::of(&mut runner, &registry, None)?;
    let own = modelgate_model::from_files(model::package_files(&runner)?)?;
    let blind = blind(&court, &own)?;
    let mut trials = Vec::new();

    let mut learns = true;
    let (name, permuted, digest) = if let Some(command) = &pipeline.config.train.command {
        let table = with_permuted_target(&court, &pipeline.config.data.target, pipeline.config.seed);
        let bytes = command::fit(&mut runner, command, &table, &court.split)?;
        learns = bytes != runner.bytes(Stage::Train, command::MODEL)?;
        let name = "trained by train.command on permuted labels";
        (name, as_package(&runner, &own, &bytes)?.model, Digest::of(&bytes))
    } else {
        let estimator = fit_permuted(&mut runner, &court)?;
        let digest = Digest::of(&estimator.to_bytes()?);
        ("trained on permuted labels", own.model.with_estimator(estimator)?, digest)
    };
    let schema = &own.manifest.schema;
    let (_, verdict) = court.judge(&permuted, digest, "a model trained on permuted labels", schema)?;
    trials.push(if learns {
        trial(name, verdict, &blind)
    } else {
        let reason = "train.command leaves the same model whatever the labels are: it does not learn from the rows that it is \
                      given, so that no rule can tell this model from the candidate";
        Trial::of_nothing(name.to_owned(), verdict, reason.to_owned())
    });

    trials.push(damaged(&court, &own, production_package(&runner, &registry), &blind, runner.reporter)?);
    Ok(SelfTest { schema_version: 1, pipeline: pipeline.name.to_owned(), trials, learns })
}

/// Judges a copy of production with damaged numbers; of the candidate where nothing is in production, or what is there cannot
/// be damaged, or scored on the rows as they are now: a gate that may let another model take its place must be tested all the same.
fn damaged(
    court: &Court,
    own: &Package,
    production: Result<Option<InProduction>, PipelineError>,
    blind: &BTreeSet<String>,
    reporter: &mut dyn Reporter,
) -> Result<Trial, PipelineError> {
    let judged = |name: &str, package: &Package| -> Result<Trial, PipelineError> {
        let damaged = package.model.damaged()?;
        let digest = Digest::of(format!("damaged {}", package.digest).as_bytes());
        let (_, verdict) = court.judge(&damaged, digest, name, &package.manifest.schema)?;
        Ok(trial(name, verdict, blind))
    };
    let judged_own = |name: &str| match own.model.damaged() {
        Ok(_) => judged(name, own),
        Err(error) => {
            let verdict = GateVerdict::of(Vec::new(), false, None);
            Ok(Trial::of_nothing(name.to_owned(), verdict, error.to_string()))
        }
    };
    let found = match production {
        Ok(None) => {
            return judged_own("the candidate with damaged weights (nothing is in production)");
        }
        Ok(Some(found)) => {
            let name = format!("{} with damaged weights", found.name);
            judged(&name, &found.package).map_err(|error| (found.name, error))
        }
        Err(error) => Err(("production".to_owned(), error)),
    };
    found.or_else(|(name, error)| {
        reporter.note(&format!(
            "{name} cannot be judged here ({error}): it is the candidate whose weights are damaged"
        ));
        judged_own(&format!("the candidate with damaged weights ({name} cannot be judged here)"))
    })
}

/// Makes the package of what a program left, whatever its form, as a run would.
fn as_package(runner: &Runner<'_>, own: &Package, bytes: &[u8]) -> Result<Package, PipelineError> {
    let model = modelgate_model::ForeignModel::read(bytes)?;
    let reference: serde_json::Value = runner.json(Stage::Assemble, "reference.json")?;
    let (name, schema, lineage) = (&runner.pipeline.model, &own.manifest.schema, &own.manifest.lineage);
    let (_, files) = modelgate_model::assemble_foreign(name, schema, &model, lineage, &reference)?;
    Ok(modelgate_model::from_files(files)?)
}

/// Returns the rules that cannot be judged here of the candidate as it is either: that they cannot of a bad model says
/// nothing of it.
fn blind(court: &Court, own: &Package) -> Result<BTreeSet<String>, PipelineError> {
    // Under another digest it is held against production also when it is that.
    let digest = Digest::of(format!("undamaged {}", own.digest).as_bytes());
    let (_, verdict) = court.judge(&own.model, digest, "the candidate", &own.manifest.schema)?;
    let rules = verdict.rules.into_iter();
    Ok(rules.filter(|rule| rule.outcome == Outcome::Inconclusive).map(|rule| rule.id).collect())
}

/// Holds for a figure that depends on what a model has learned.
fn is_of_the_model(metric: &str) -> bool {
    metric != "schema" && !["contract.", "latency."].iter().any(|kind| metric.starts_with(kind))
}

/// Returns whether a rule can refuse a model while nothing is in production.
pub fn holds_alone(rule: &GateRule) -> bool {
    is_of_the_model(&rule.metric) && rule.check.versus() != Some(&Versus::Production)
}

/// Returns in words what a gate needs of which no rule [holds alone](holds_alone).
pub fn advice(pipeline: &Pipeline<'_>) -> String {
    let metric = match data::pipeline_task(pipeline) {
        Task::Classification => "f1",
        Task::Regression => "r2",
    };
    format!(
        "add a bound that holds by itself, such as `{{metric: {metric}, at_least: 0.6}}`, to `gate.rules` of the pipeline `{}`; \
         `modelgate config show` has the rules that it goes by now",
        pipeline.name
    )
}

fn trial(name: &str, verdict: GateVerdict, blind: &BTreeSet<String>) -> Trial {
    let stands = |rule: &&RuleResult| matches!(rule.outcome, Outcome::Failed | Outcome::Inconclusive);
    let sees_the_model = |rule: &RuleResult| {
        let is_blind = rule.outcome == Outcome::Inconclusive && blind.contains(&rule.id);
        !is_blind && is_of_the_model(&rule.metric)
    };
    let outcome = if verdict.verdict == Verdict::Passed {
        TrialOutcome::LetThrough
    } else if verdict.rules.iter().filter(stands).any(sees_the_model) {
        TrialOutcome::Refused
    } else {
        TrialOutcome::Undecided
    };
    let let_through = outcome != TrialOutcome::Refused;
    let named = |wanted: &dyn Fn(&&RuleResult) -> bool| {
        let rules = verdict.rules.iter().filter(|rule| let_through && wanted(rule));
        rules.map(|rule| format!("{}: {}", rule.id, rule.sentence)).collect()
    };
    // A rule that does not apply has neither held nor failed.
    let (too_weak, undecided) = (named(&|rule| rule.outcome == Outcome::Passed), named(&stands));
    Trial { name: name.to_owned(), verdict, outcome, let_through, too_weak, undecided, reason: None }
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
    use super::*;
    use crate::options::{ApprovalAnswer, ApprovalRequest, Approver, StageReport};
    use crate::{Ending, Project};

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

    #[derive(Default)]
    struct Nobody(Vec<String>);

    impl Reporter for Nobody {
        fn started(&mut self, _: Stage) {}
        fn note(&mut self, note: &str) {
            self.0.push(note.to_owned());
        }
        fn finished(&mut self, _: &StageReport) {}
    }

    impl Approver for Nobody {
        fn ask(&mut self, _: &ApprovalRequest) -> ApprovalAnswer {
            ApprovalAnswer::Nobody
        }
    }

    /// A project with a contract that its data keep, and any rules.
    struct Scene {
        folder: tempfile::TempDir,
        rules: String,
    }

    impl Scene {
        fn new(rules: &str) -> Self {
            let folder = tempfile::tempdir().expect("a folder");
            let rows =
                (0..120).map(|row| format!("{}.5,{},{}\n", row % 10, row % 7, u8::from(row % 10 >= 5)));
            let scene = Self { folder, rules: rules.to_owned() };
            scene.write("d.csv", &("a,b,y\n".to_owned() + &rows.collect::<String>()));
            scene.keep(true);
            scene
        }

        fn write(&self, name: &str, text: &str) {
            fs_err::write(self.folder.path().join(name), text).expect("written");
        }

        /// Makes the contract one that the data keep, or break.
        fn keep(&self, kept: bool) {
            let max = if kept { 10 } else { 5 };
            self.write("c.yaml", &format!("version: 1\ncolumns: {{a: {{type: float, max: {max}}}, b: {{type: int}}, y: {{type: int}}}}\n"));
        }

        fn with<T>(&self, work: impl FnOnce(&Pipeline<'_>, &Surroundings<'_>) -> T) -> T {
            self.write(
                "modelgate.yaml",
                &format!(
                    "version: 1\nproject: p\npipelines:\n  p:\n    task: classification\n    data: {{source: d.csv, target: y, contract: c.yaml, on_violation: judge}}\n    train: {{algorithm: decision_tree}}\n    promotion: {{approval: automatic}}\n    gate: {{rules: [{}]}}\n",
                    self.rules
                ),
            );
            let project = Project::find(self.folder.path(), &|_| None).expect("a project");
            let clock = || "2026-01-01T00:00:00.000Z".to_owned();
            work(
                &project.pipeline(None).expect("a pipeline"),
                &Surroundings { now: &clock, actor: "tester".to_owned() },
            )
        }

        fn run(&self) -> crate::RunOutcome {
            let options = RunOptions::default();
            let (mut hears, mut asks) = (Nobody::default(), Nobody::default());
            self.with(|pipeline, around| {
                crate::run(pipeline, &options, around, &mut hears, &mut asks).expect("run")
            })
        }

        /// Returns the first trial, of permuted labels, and whether all were refused.
        fn trial(&self) -> (Trial, bool) {
            let found = self
                .with(|pipeline, around| selftest(pipeline, around, &mut Nobody::default()).expect("tested"));
            (found.trials[0].clone(), found.refused_all())
        }
    }

    const CONTRACT: &str = "{id: clean, metric: contract.violations, at_most: 0}";
    const WEAK: &str = "{id: weak, metric: accuracy, at_least: 0.01}";
    const STRONG: &str = "{id: strong, metric: accuracy, at_least: 0.95}";

    #[test]
    fn a_rule_on_the_contract_hides_no_weak_gate() {
        let scene = Scene::new(&format!("{CONTRACT}, {WEAK}"));
        let (trial, refused) = scene.trial();
        assert_eq!((trial.outcome, refused), (TrialOutcome::LetThrough, false), "{trial:#?}");
        assert_eq!(trial.verdict.verdict, Verdict::Passed);
        assert!(trial.too_weak.iter().any(|rule| rule.starts_with("weak: ")), "{:?}", trial.too_weak);
        // Data that break it refuse every model, whatever it is like.
        scene.keep(false);
        let (trial, refused) = scene.trial();
        assert_eq!((trial.outcome, refused), (TrialOutcome::Undecided, false), "{trial:#?}");
        assert_eq!(trial.verdict.verdict, Verdict::Failed);
        assert!(trial.let_through && trial.undecided[0].starts_with("clean: "), "{:?}", trial.undecided);
    }

    #[test]
    fn a_gate_that_sees_what_a_model_is_worth_refuses_it_also_on_data_that_break_their_contract() {
        let scene = Scene::new(&format!("{CONTRACT}, {STRONG}"));
        for kept in [true, false] {
            scene.keep(kept);
            let (trial, refused) = scene.trial();
            assert_eq!((trial.outcome, refused), (TrialOutcome::Refused, true), "{trial:#?}");
            assert!(trial.too_weak.is_empty() && trial.undecided.is_empty());
        }
    }

    #[test]
    fn what_cannot_be_judged_of_any_model_refuses_none() {
        let (trial, refused) =
            Scene::new(&format!("{{id: many, metric: f1, at_least: 0.9, min_samples: 100000}}, {WEAK}"))
                .trial();
        assert_eq!((trial.outcome, refused), (TrialOutcome::Undecided, false), "{trial:#?}");
        assert_eq!(trial.verdict.verdict, Verdict::Inconclusive);
        assert!(trial.undecided[0].starts_with("many: ") && trial.too_weak[0].starts_with("weak: "));
    }

    #[test]
    fn a_rule_versus_a_run_is_judged_by_the_figures_of_that_run() {
        let mut scene = Scene::new(WEAK);
        let outcome = scene.run();
        assert_ne!(outcome.ending, Ending::Blocked);
        let run = outcome.run_id.expect("a run");
        let versus =
            |drop: &str| format!("{{id: run, metric: accuracy, max_drop: {drop}, versus: \"run:{run}\"}}");
        scene.rules = versus("0.9");
        assert_eq!(scene.trial().0.outcome, TrialOutcome::LetThrough);
        scene.rules = versus("0.01");
        let (trial, refused) = scene.trial();
        assert_eq!((trial.verdict.verdict, trial.outcome), (Verdict::Failed, TrialOutcome::Refused));
        assert!(refused);
    }

    #[test]
    fn a_production_that_cannot_be_judged_any_more_keeps_no_gate_from_being_tested() {
        let scene = Scene::new(STRONG);
        assert_eq!(scene.run().ending, Ending::Done);
        let tested = || {
            let mut heard = Nobody::default();
            let found = scene.with(|pipeline, around| selftest(pipeline, around, &mut heard));
            let found = found.expect("tested");
            assert!(found.refused_all(), "{found:#?}");
            (found.trials[1].name.clone(), heard.0)
        };
        assert_eq!(tested().0, "production v001 with damaged weights");
        // The column `b` is gone.
        let rows = (0..120).map(|row| format!("{}.5,{}\n", row % 10, u8::from(row % 10 >= 5)));
        scene.write("d.csv", &("a,y\n".to_owned() + &rows.collect::<String>()));
        scene.write("c.yaml", "version: 1\ncolumns: {a: {type: float}, y: {type: int}}\n");
        let (name, heard) = tested();
        assert_eq!(name, "the candidate with damaged weights (production v001 cannot be judged here)");
        let note = heard
            .iter()
            .find(|note| note.starts_with("production v001 cannot be judged here ("))
            .expect("a note");
        assert!(note.contains("`b`"), "{note}");
    }
}
