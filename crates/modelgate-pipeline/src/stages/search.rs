//! The search for parameters inside the stage `train`: every trial fitted and measured on rows that it did not see.
//!
//! The preprocessing is fitted anew on the training rows of each fold, so that nothing of the measured rows leaks. What a
//! fold lacks of the training rows, such as a category that comes later, is no reason to refuse them: the model sees all
//! of them. A trial depends on its parameters, the rows and the seed alone: threads change nothing.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;

use modelgate_config::{SearchConfig, SearchKindName, SearchRange};
use modelgate_core::metric::{Direction, direction, pinball};
use modelgate_core::schema::Task;
use modelgate_data::preprocess::{PreprocessPlan, PreprocessSpec, UnknownCategory};
use modelgate_data::target::Target;
use modelgate_data::{Table, Values};
use modelgate_evaluate::{Average, ClassificationInput};
use modelgate_learn::search::{
    Range, Round, candidates, distinct, folds as fold_of, lengthened, rounds, stratified_order, stretches,
};
use modelgate_learn::{FeatureMatrix, LearnError, Targets, Trainer, Validation};
use modelgate_model::Prediction;
use rayon::prelude::*;
use serde_json::Value;

use crate::error::PipelineError;
use crate::stages::heard::heard;
use crate::stages::trials::{FailedSearch, Trial, Trials, compare, judged};

/// Everything a search looks at.
pub(crate) struct Searched<'a> {
    /// The pipeline, as errors name it.
    pub(crate) pipeline: &'a str,
    pub(crate) config: &'a SearchConfig,
    pub(crate) algorithm: &'a str,
    pub(crate) params: &'a BTreeMap<String, Value>,
    /// The quantile that `params` ask for.
    pub(crate) quantile: Option<f64>,
    pub(crate) task: Task,
    pub(crate) seed: u64,
    pub(crate) average: Average,
    pub(crate) table: &'a Table,
    /// The column that identifies a row; its content does without.
    pub(crate) key: Option<&'a str>,
    /// Whether that column is a group.
    pub(crate) grouped: bool,
    /// The column that a split by time goes by.
    pub(crate) time: Option<&'a str>,
    pub(crate) target: &'a Target,
    /// One per row of the table; they count in fits, not in the metric.
    pub(crate) weights: Option<&'a [f64]>,
    pub(crate) features: &'a [String],
    pub(crate) spec: PreprocessSpec,
    pub(crate) train: &'a [u32],
    pub(crate) validation: &'a [u32],
}

/// How a search is made and measured; another one finds other trials for the same settings.
pub(crate) const REVISION: u32 = 3;

/// Returns the metric that a search compares and its direction; `quantile` is what every trial is trained for.
pub(crate) fn metric(
    config: &SearchConfig,
    task: Task,
    quantile: Option<f64>,
) -> Result<(String, bool), String> {
    let default = if task == Task::Classification { "f1" } else { "rmse" };
    let name = config.metric.clone().unwrap_or_else(|| default.to_owned());
    let known: &[&str] = match task {
        Task::Classification => &modelgate_core::metric::CLASSIFICATION,
        Task::Regression => &modelgate_core::metric::REGRESSION,
    };
    let own = quantile.filter(|_| task == Task::Regression).map(pinball);
    if !known.contains(&name.as_str()) && own.as_ref() != Some(&name) {
        let own = own.filter(|own| !known.contains(&own.as_str()));
        let all: Vec<&str> = known.iter().copied().chain(own.as_deref()).collect();
        return Err(format!("search.metric: `{name}` is not one of {}", all.join(", ")));
    }
    Ok((name.clone(), direction(&name) == Some(Direction::HigherIsBetter)))
}

fn range(range: &SearchRange) -> Range {
    match range {
        SearchRange::Choice(values) => Range::Choice(values.clone()),
        SearchRange::Uniform([low, high]) => Range::Uniform(*low, *high),
        SearchRange::LogUniform([low, high]) => Range::LogUniform(*low, *high),
        SearchRange::Int([low, high]) => Range::Int(*low, *high),
        SearchRange::LogInt([low, high]) => Range::LogInt(*low, *high),
    }
}

/// Returns the trials of a search, each with the trainer that it has.
///
/// # Errors
/// Names the parameter that the algorithm does not take.
pub(crate) fn trials(
    config: &SearchConfig,
    algorithm: &str,
    params: &BTreeMap<String, Value>,
    quantile: Option<f64>,
    task: Task,
    seed: u64,
) -> Result<Vec<(BTreeMap<String, Value>, Box<dyn Trainer>)>, String> {
    metric(config, task, quantile)?;
    let space = config.space.iter().map(|(name, one)| (name.clone(), range(one))).collect();
    let drawn = candidates(&space, config.n_iter as usize, seed);
    let made = drawn.into_iter().map(|drawn| {
        let trainer = modelgate_learn::trainer(algorithm, task, &merged(params, &drawn));
        trainer.map(|trainer| (drawn, trainer)).map_err(|error| format!("search.space: {error}"))
    });
    made.collect()
}

fn merged(params: &BTreeMap<String, Value>, drawn: &BTreeMap<String, Value>) -> BTreeMap<String, Value> {
    params.iter().chain(drawn).map(|(name, value)| (name.clone(), value.clone())).collect()
}

/// Rows to fit and rows to measure, preprocessed.
struct Fold {
    train: Part,
    held_out: Part,
    names: Vec<String>,
}

struct Part {
    rows: usize,
    /// The number of each row in the data.
    numbers_in_data: Vec<u32>,
    values: Vec<f32>,
    labels: Vec<u32>,
    numbers: Vec<f64>,
    weights: Option<Vec<f64>>,
}

impl Part {
    fn matrix<'a>(&'a self, names: &'a [String]) -> FeatureMatrix<'a> {
        FeatureMatrix { rows: self.rows, columns: names.len(), values: &self.values, names }
    }

    /// `names` are those of the classes.
    fn targets<'a>(&'a self, of: &Target, names: &'a [String]) -> Targets<'a> {
        match of {
            Target::Classes { .. } => Targets::Classes { labels: &self.labels, classes: names.len(), names },
            Target::Values(_) => Targets::Values(&self.numbers),
        }
    }
}

impl Searched<'_> {
    fn part(&self, plan: &PreprocessPlan, rows: &[u32]) -> Result<Part, PipelineError> {
        let values = plan.transform(self.table, rows)?;
        let (mut labels, mut numbers) = (Vec::new(), Vec::new());
        match self.target {
            Target::Classes { labels: all, .. } => {
                labels.extend(rows.iter().map(|row| all[*row as usize]));
            }
            Target::Values(all) => numbers.extend(rows.iter().map(|row| all[*row as usize])),
        }
        let weight = |row: &u32, weights: &[f64]| weights[*row as usize];
        let weights = self.weights.map(|weights| rows.iter().map(|row| weight(row, weights)).collect());
        Ok(Part { rows: rows.len(), numbers_in_data: rows.to_vec(), values, labels, numbers, weights })
    }

    /// Returns whether rows hold two classes that count, or are of a regression.
    fn can_be_learned(&self, rows: &[u32]) -> bool {
        let Target::Classes { labels, .. } = self.target else { return true };
        let counts = |row: &&u32| self.weights.is_none_or(|weights| weights[**row as usize] > 0.0);
        let mut found = rows.iter().filter(counts).map(|row| labels[*row as usize]);
        let first = found.next();
        found.any(|label| Some(label) != first)
    }

    fn fold(&self, train: &[u32], held_out: &[u32]) -> Result<Fold, PipelineError> {
        let spec = PreprocessSpec { unknown_category: UnknownCategory::Ignore, ..self.spec };
        let plan = modelgate_data::preprocess::fit_part(self.table, train, self.features, &spec)?;
        let names = plan.output_names();
        Ok(Fold { train: self.part(&plan, train)?, held_out: self.part(&plan, held_out)?, names })
    }

    /// As [`Self::fold`]; `None` where there is nothing to learn, such as before a class begins, and where no answers would have the
    /// metric, such as an area under the curve where a class is missing.
    fn useful(&self, train: &[u32], held_out: &[u32], metric: &str) -> Result<Option<Fold>, PipelineError> {
        let fold = self.can_be_learned(train).then(|| self.fold(train, held_out)).transpose()?;
        Ok(fold.filter(|fold| self.score(&fold.held_out, self.right_answers(&fold.held_out), metric).is_ok()))
    }

    /// Returns answers that are all right.
    fn right_answers(&self, part: &Part) -> Prediction {
        match self.target {
            Target::Classes { classes, .. } => {
                let count = classes.names().len();
                let mut probabilities = vec![0.0; part.rows * count];
                for (row, label) in probabilities.chunks_exact_mut(count.max(1)).zip(&part.labels) {
                    row[*label as usize] = 1.0;
                }
                Prediction::Classes { labels: part.labels.clone(), probabilities }
            }
            Target::Values(_) => {
                Prediction::Values(part.numbers.iter().map(|number| *number as f32).collect())
            }
        }
    }

    /// Returns the folds of the first `count` rows of `order`, whose identities are given; by time of the last. Those that
    /// nothing can be learned from, or that do not define the metric, are left out.
    fn folds(
        &self,
        order: &[u32],
        identities: &[u64],
        count: usize,
        metric: &str,
    ) -> Result<Vec<Fold>, PipelineError> {
        let count = count.min(order.len());
        let Some(folds) = self.config.cv.map(|folds| folds as usize) else {
            return Ok(vec![self.fold(&order[..count], self.validation)?]);
        };
        if self.time.is_some() {
            let first = order.len() - count;
            return self.windows(&order[first..], &identities[first..], folds, metric);
        }
        let (rows, identities) = (&order[..count], &identities[..count]);
        let of_rows = fold_of(identities, folds);
        let made = (0..folds).into_par_iter().map(|fold| {
            let part = |held_out: bool| {
                let chosen = rows.iter().zip(&of_rows).filter(|(_, of)| (**of == fold) == held_out);
                let mut rows: Vec<u32> = chosen.map(|(row, _)| *row).collect();
                rows.sort_unstable();
                rows
            };
            self.useful(&part(false), &part(true), metric)
        });
        made.filter_map(Result::transpose).collect()
    }

    /// Returns folds by time, of which each is measured on what follows the rows that it learns from.
    fn windows(
        &self,
        rows: &[u32],
        moments: &[u64],
        folds: usize,
        metric: &str,
    ) -> Result<Vec<Fold>, PipelineError> {
        let of_rows = stretches(moments, folds + 1);
        let made = (1..=folds).into_par_iter().map(|stretch| {
            let part = |chosen: fn(usize, usize) -> bool| {
                let chosen = rows.iter().zip(&of_rows).filter(|(_, of)| chosen(**of, stretch));
                let mut rows: Vec<u32> = chosen.map(|(row, _)| *row).collect();
                rows.sort_unstable();
                rows
            };
            self.useful(&part(|of, stretch| of < stretch), &part(|of, stretch| of == stretch), metric)
        });
        made.filter_map(Result::transpose).collect()
    }

    fn class_names(&self) -> Vec<String> {
        match self.target {
            Target::Classes { classes, .. } => classes.names(),
            Target::Values(_) => Vec::new(),
        }
    }

    /// Fits and measures one trial on one fold.
    fn measure(&self, trainer: &dyn Trainer, fold: &Fold, metric: &str) -> Result<f64, LearnError> {
        let names = self.class_names();
        let (train, held_out) = (&fold.train, &fold.held_out);
        let (learned, of_learned, weights) =
            (train.matrix(&fold.names), train.targets(self.target, &names), train.weights.as_deref());
        // The model is trained as it is tried: what stops early looks at the validation rows, where there are such.
        let outcome = if self.config.cv.is_none() && trainer.wants_validation() {
            let (looked_at, of_looked_at) =
                (held_out.matrix(&fold.names), held_out.targets(self.target, &names));
            let weights_of = held_out.weights.as_deref();
            let validation = Validation { matrix: &looked_at, targets: &of_looked_at, weights: weights_of };
            trainer.fit_validated(&learned, &of_learned, weights, validation, self.seed)
        } else {
            trainer.fit_weighted(&learned, &of_learned, weights, self.seed)
        };
        let in_data = |at: usize| Some(u64::from(*train.numbers_in_data.get(at)?) + 1);
        let outcome = outcome.map_err(|error| error.in_data(in_data))?;
        let answers = outcome.estimator.predict(&held_out.values, held_out.rows);
        let answers = answers.map_err(|error| LearnError::Data(error.to_string()))?;
        self.score(held_out, answers, metric)
    }

    /// Returns what answers for the rows of a part score.
    fn score(&self, held_out: &Part, answers: Prediction, metric: &str) -> Result<f64, LearnError> {
        let names = self.class_names();
        let told = |error: &dyn std::error::Error| LearnError::Data(error.to_string());
        let (metrics, undefined) = match answers {
            Prediction::Classes { labels: predicted, probabilities } => {
                let input = ClassificationInput {
                    labels: &held_out.labels,
                    predicted: &predicted,
                    probabilities: &probabilities,
                    class_names: &names,
                };
                let found = modelgate_evaluate::classification(&input, self.average);
                found.map(|found| (found.metrics, found.undefined)).map_err(|error| told(&error))?
            }
            Prediction::Values(predicted) => {
                let predicted: Vec<f64> = predicted.into_iter().map(f64::from).collect();
                let found = modelgate_evaluate::regression_of(&held_out.numbers, &predicted, self.quantile);
                found.map(|found| (found.metrics, found.undefined)).map_err(|error| told(&error))?
            }
        };
        let value = metrics.get(metric).copied().flatten().filter(|value| value.is_finite());
        value.ok_or_else(|| {
            LearnError::Data(match undefined.get(metric) {
                Some(why) => format!("{metric} is not defined: {why}"),
                None => format!("{metric} is not defined"),
            })
        })
    }

    /// Returns the training rows in an order of their content, and their identities in it; folds by time have them in its
    /// order, with their moments.
    fn order(&self) -> Result<(Vec<u32>, Vec<u64>), PipelineError> {
        let column = self.time.filter(|_| self.config.cv.is_some()).and_then(|name| self.table.column(name));
        if let Some(Values::Int(moments)) = column.map(|column| &column.values) {
            let moment = |row: &u32| moments.get(*row as usize).copied().flatten().unwrap_or(i64::MIN);
            let mut rows = self.train.to_vec();
            rows.sort_by_key(|row| (moment(row), *row));
            let moments = rows.iter().map(|row| moment(row) as u64).collect();
            return Ok((rows, moments));
        }
        let all = modelgate_data::split::identities(self.table, self.key, self.seed)?;
        let identities: Vec<u64> = self.train.iter().map(|row| all[*row as usize]).collect();
        let classes: Vec<u32> = match self.target {
            Target::Classes { labels, .. } => self.train.iter().map(|row| labels[*row as usize]).collect(),
            Target::Values(_) => vec![0; self.train.len()],
        };
        let order = stratified_order(&classes, &identities);
        let rows = order.iter().map(|at| self.train[*at]).collect();
        Ok((rows, order.iter().map(|at| identities[*at]).collect()))
    }

    /// Searches, and returns what a person should know of it besides; `progress` hears of fits that are done and of all there
    /// are.
    pub(crate) fn run(
        &self,
        progress: &mut dyn FnMut(usize, usize),
    ) -> Result<(Trials, Option<String>), PipelineError> {
        let setting = |reason: String| {
            let pipeline = self.pipeline.to_owned();
            PipelineError::Setting { pipeline, key: "train.search", reason }
        };
        let made = trials(self.config, self.algorithm, self.params, self.quantile, self.task, self.seed)
            .map_err(setting)?;
        let (metric, higher_is_better) = metric(self.config, self.task, self.quantile).map_err(setting)?;
        let folds = self.config.cv.map_or(1, |folds| folds as usize);
        if self.config.cv.is_none() && self.validation.is_empty() {
            let reason = "there are no validation rows; set `cv`, or `data.split.validation`";
            return Err(setting(reason.to_owned()));
        }
        if self.train.len() < 2 * folds {
            return Err(setting(format!("{} training rows are too few for {folds} folds", self.train.len())));
        }
        let (order, identities) = self.order()?;
        let by_time = self.time.is_some() && self.config.cv.is_some();
        let (needed, what) = match (by_time, self.grouped) {
            (true, _) => (folds + 1, "moments"),
            (false, true) => (folds, "groups"),
            (false, false) => (folds, "different rows"),
        };
        let different = distinct(&identities);
        if self.config.cv.is_some() && different < needed {
            let name = self.key.map_or_else(String::new, |name| format!(" of `{name}`"));
            return Err(setting(format!(
                "cv: {different} {what}{name} in the training rows are too few for {folds} folds: {needed} at least"
            )));
        }
        let plan = match self.config.kind {
            SearchKindName::Random => vec![Round { trials: made.len(), rows: self.train.len() }],
            SearchKindName::SuccessiveHalving => {
                let least = self.config.min_rows.map(|rows| rows as usize);
                if let Some(least) = least
                    && least < 2 * folds
                {
                    let reason = format!(
                        "min_rows: {least} rows are too few for {folds} folds: {} at least",
                        2 * folds
                    );
                    return Err(setting(reason));
                }
                let mut plan = rounds(made.len(), self.train.len(), self.config.factor as usize, least);
                // A fold has to have rows, and groups of its own.
                for round in &mut plan {
                    let (rows, least) = (round.rows.max(2 * folds), needed.max(2 * folds));
                    round.rows = if by_time {
                        lengthened(identities.iter().rev(), rows, least)
                    } else {
                        lengthened(identities.iter(), rows, least)
                    };
                }
                plan
            }
        };
        let mut total: usize = plan.iter().map(|round| round.trials * folds).sum();
        let mut left: Vec<usize> = (0..made.len()).collect();
        let mut found: Vec<Option<Trial>> = vec![None; made.len()];
        let mut done = 0;
        let mut left_out = None;
        for (number, round) in plan.iter().enumerate() {
            left.truncate(round.trials);
            let prepared = self.folds(&order, &identities, round.rows, &metric)?;
            total -= left.len() * (folds - prepared.len());
            if prepared.is_empty() {
                let more = if round.rows < self.train.len() {
                    format!("; the round had {} rows, set `min_rows` to more", round.rows)
                } else {
                    String::new()
                };
                return Err(setting(format!(
                    "cv: the rows that each of {folds} folds learns from have one class only, or {metric} is not defined on those \
                     that it is measured on{more}"
                )));
            }
            left_out = (prepared.len() < folds).then(|| {
                format!(
                    "trials are measured on {} of {folds} folds: the rows that the others learn from have one class only, or {metric} \
                     is not defined on those that they are measured on",
                    prepared.len()
                )
            });
            let jobs: Vec<(usize, usize)> =
                left.iter().flat_map(|trial| (0..prepared.len()).map(|fold| (*trial, fold))).collect();
            let before = done;
            let work = |sender: mpsc::Sender<Option<(usize, usize)>>| -> Vec<Result<f64, LearnError>> {
                let ended = AtomicUsize::new(before);
                let one = |(trial, fold): &(usize, usize)| {
                    let score = self.measure(made[*trial].1.as_ref(), &prepared[*fold], &metric);
                    // Nobody may be listening any more.
                    let _ = sender.send(Some((ended.fetch_add(1, Ordering::Relaxed) + 1, total)));
                    score
                };
                jobs.par_iter().map(one).collect()
            };
            let scores = heard(work, progress);
            done += jobs.len();
            let settings = scores.iter().all(|score| matches!(score, Err(LearnError::Setting(_))));
            let scores: Vec<Result<f64, String>> =
                scores.into_iter().map(|score| score.map_err(|error| error.to_string())).collect();
            for (trial, scores) in left.iter().zip(scores.chunks(prepared.len())) {
                found[*trial] = Some(judged(*trial, &made[*trial].0, number, round.rows, scores));
            }
            let scored = |trial: &usize| found[*trial].as_ref().is_some_and(|trial| trial.score.is_some());
            if !left.iter().any(scored) {
                // There is nothing to choose the next round by.
                let trials = found.into_iter().flatten().collect();
                let rows = (round.rows < self.train.len()).then_some(round.rows);
                return Err(PipelineError::FailedSearch(Box::new(FailedSearch {
                    metric,
                    rows,
                    trials,
                    settings,
                })));
            }
            left.sort_by(|one, other| {
                let score = |trial: &usize| found[*trial].as_ref().and_then(|trial| trial.score);
                compare(score(one), score(other), higher_is_better).then(one.cmp(other))
            });
        }
        let trials: Vec<Trial> = found.into_iter().flatten().collect();
        let best = left.first().and_then(|best| trials.get(*best));
        let Some(best) = best.filter(|best| best.score.is_some()) else {
            return Err(PipelineError::FailedSearch(Box::new(FailedSearch {
                metric,
                rows: None,
                trials,
                settings: false,
            })));
        };
        let trials = Trials {
            schema_version: 1,
            kind: self.config.kind,
            algorithm: self.algorithm.to_owned(),
            metric,
            higher_is_better,
            cv: self.config.cv,
            seed: self.seed,
            best: best.number,
            best_params: merged(self.params, &best.params),
            trials,
        };
        Ok((trials, left_out))
    }
}
